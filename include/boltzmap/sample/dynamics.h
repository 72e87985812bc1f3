#ifndef BOLTZMAP_SAMPLE_DYNAMICS_H
#define BOLTZMAP_SAMPLE_DYNAMICS_H

/* Replicas of a molecule in Langevin-middle dynamics (model/pack.h), those of one rank. A replica's
 * random numbers are counted by its number in the whole set, so that its trajectory is the same on any
 * rank and beside any neighbours. Local arithmetic, no communication. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/model/molecule.h"
#include "boltzmap/parallel/partition.h"

typedef struct {
  const char *precision; /* "single" or "double" */
  double timestep;       /* ps */
  double friction;       /* 1/ps */
} bm_dynamics_settings_t;

typedef struct bm_dynamics bm_dynamics_t;

/* Replicas `range` of the run with this seed, all at the molecule's start with velocities drawn from
 * the Maxwell distribution of its temperature. The molecule must outlive them. The caller owns
 * `*out`. */
bm_status_t bm_dynamics_create(const bm_molecule_t *molecule,
                               const bm_dynamics_settings_t *settings, uint64_t seed,
                               bm_range_t range, bm_dynamics_t **out);
void bm_dynamics_destroy(bm_dynamics_t **dynamics);

/* Take so many steps with all replicas. */
void bm_dynamics_run(bm_dynamics_t *dynamics, size_t steps);

/* Steps taken so far; setting it is for going on from a checkpoint. */
uint64_t bm_dynamics_step(const bm_dynamics_t *dynamics);
void bm_dynamics_set_step(bm_dynamics_t *dynamics, uint64_t step);

/* Replica i of this rank, from 0: positions (nm) and velocities (nm/ps) of the middle of the last step,
 * exact to the precision of the dynamics. */
void bm_dynamics_get(const bm_dynamics_t *dynamics, size_t i, double *x /* [d] */,
                     double *v /* [d] */);
void bm_dynamics_put(bm_dynamics_t *dynamics, size_t i, const double *x, const double *v);

/* Temperature of a replica's thermostat, kT in kJ/mol. Velocities stay as they are. */
double bm_dynamics_kT(const bm_dynamics_t *dynamics, size_t i);
void bm_dynamics_set_kT(bm_dynamics_t *dynamics, size_t i, double kT);

/* Kinetic temperature of a replica, K, over its unconstrained degrees of freedom. */
double bm_dynamics_temperature(bm_dynamics_t *dynamics, size_t i);

/* BM_ERR_DATA where a replica has exploded (a number that is not finite, a constrained bond off its length, or
 * a kinetic temperature more than ten times its thermostat's, more for few degrees of freedom), naming it and
 * the step. */
bm_status_t bm_dynamics_check(bm_dynamics_t *dynamics);

#endif
