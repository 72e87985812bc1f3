#ifndef BOLTZMAP_MODEL_PACK_H
#define BOLTZMAP_MODEL_PACK_H

/* The fast force field and its dynamics: independent replicas of one molecule side by side in SIMD
 * lanes. Precisions are rows of one table, compiled from the same source; model/force_field.h is the
 * plain reference of both. A replica's numbers do not depend on the lane it is in or on its
 * neighbours. Units: nm, ps, kJ/mol, atomic mass unit. Not for several threads at once. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/random.h"
#include "boltzmap/base/status.h"
#include "boltzmap/model/constraints.h"
#include "boltzmap/model/force_field.h"

typedef struct bm_pack bm_pack_t; /* tables and scratch; opaque */

/* Langevin-middle dynamics (Zhang, Liu, Yan, Tuckerman, Liu, J. Phys. Chem. A 123, 6056 (2019)), as
 * OpenMM's LangevinMiddleIntegrator has it: velocities a full step by the force, positions half a step,
 * velocities by friction and noise, positions half a step, constraints. Velocities belong to the middle
 * of the step. Friction 0 is the leapfrog without thermostat. */
typedef struct {
  double timestep; /* ps */
  double friction; /* 1/ps */
  bm_random_t random;
} bm_pack_dynamics_t;

typedef struct {
  const char *name; /* "single", "double" */
  size_t lanes;     /* replicas of a group */

  /* Tables of a force field, which must outlive them. `constraints` NULL: none; what is constrained
   * has no bond energy, and energies and forces hold at the constrained lengths only. `x` is a usual
   * configuration: it tells pairs of atoms whose spheres overlap often from others, which are computed
   * in a way that is quicker for them. BM_ERR_DATA where radii of the implicit solvent are beyond what
   * the kernels are made for. */
  bm_status_t (*create)(const bm_force_field_t *field, const bm_constraints_t *constraints,
                        const double *x /* [atoms][3] */, bm_pack_t **out);
  void (*destroy)(bm_pack_t **pack);

  /* Energy of each family of terms, and where not NULL the forces, of n configurations. NaN or +inf at
   * collisions. */
  void (*energy)(bm_pack_t *pack, size_t n, const double *x /* [n][atoms][3] */,
                 double *energy /* [n][BM_TERM_COUNT] */,
                 double *force /* [n][atoms][3] or NULL */);

  /* A group of `lanes` replicas: bytes of its state, aligned to 64; putting a replica in and taking it
   * out, exact to the precision of the state. */
  size_t (*state_bytes)(const bm_pack_t *pack);
  void (*put)(const bm_pack_t *pack, void *state, size_t lane, const double *x /* [atoms][3] */,
              const double *v /* [atoms][3] */);
  void (*get)(const bm_pack_t *pack, const void *state, size_t lane, double *x, double *v);

  /* Take `count` steps with a group: lane k is walker walkers[k] at temperature kT[k] (kJ/mol), and
   * random numbers are counted by walker and step. At the end velocities satisfy the constraints,
   * and each replica is shifted to near the origin, so that positions keep their digits. */
  void (*run)(bm_pack_t *pack, void *state, const bm_pack_dynamics_t *dynamics,
              const uint32_t *walkers /* [lanes] */, const double *kT /* [lanes] */,
              uint64_t first_step, size_t count);

  /* Make velocities satisfy the constraints at the positions. */
  void (*constrain_velocities)(bm_pack_t *pack, void *state);
} bm_pack_ops_t;

extern const bm_pack_ops_t bm_pack_single, bm_pack_double;

/* By name; NULL where there is none. */
const bm_pack_ops_t *bm_pack_find(const char *name);

#endif
