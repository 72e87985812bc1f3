#ifndef BOLTZMAP_MODEL_POTENTIAL_H
#define BOLTZMAP_MODEL_POTENTIAL_H

/* Potentials U(x) with their gradient, batched over configurations, and the Boltzmann density
 * exp(-beta·U)/Z (paper eq. 1). A potential is one file and one row of BM_POTENTIAL_TABLE. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/random.h"
#include "boltzmap/base/status.h"
#include "boltzmap/io/deck.h"

/* Shape of a configuration. d = particles · dimensions. */
typedef struct {
  size_t particles, dimensions; /* dimensions ≤ 3 */
  const char *length_unit;      /* "1" in reduced units, "nm", or "rad" of angles */
  const char *energy_unit;      /* "1" or "kJ/mol" */
} bm_layout_t;

/* An observable that belongs to the potential (a distance, an angle). */
typedef struct {
  const char *name;
  const char *unit;
  double period; /* of an angle; 0: none */
} bm_observable_name_t;

typedef struct bm_molecule bm_molecule_t; /* model/molecule.h */

/* What a potential of given parameters is like. Lists are static or belong to the potential. */
typedef struct {
  bm_layout_t layout;
  double beta;   /* 1/energy_unit; 0: the deck's system.beta */
  int invariant; /* U does not change when all particles are moved and turned together */
  const bm_observable_name_t *observables; /* besides the coordinates */
  size_t observable_count;
  const bm_observable_name_t *averages; /* functions whose averages the results give under these
                                           names, such as "prob_same_well" */
  size_t average_count;
  const size_t (*pairs)[2]; /* [pair_count], particles that should not come too close */
  size_t pair_count;
  size_t symmetry_count;         /* elements of ops->symmetry; 0: it has none */
  const bm_molecule_t *molecule; /* for samplers of molecular dynamics; NULL: none */

} bm_traits_t;

/* What a potential does. `self` is its own parameters, made by create. Arrays are float64. */
typedef struct {
  /* required */
  const char *name;          /* system.kind */
  const char *description;   /* one line for --help */
  const bm_deck_key_t *keys; /* its keys of `system`, each with when = "system.kind=name" */
  bm_status_t (*create)(const bm_deck_case_t *deck_case, void **self, bm_traits_t *traits);
  void (*destroy)(void **self);
  /* energy[i] = U(x_i), +inf at a collision and never NaN for finite x; gradient may be NULL, and
   * counts only where the energy is finite */
  void (*energy)(const void *self, size_t n, const double *x /* [n][d] */, double *energy /* [n] */,
                 double *gradient /* [n][d] */);
  /* A starting point: drawn so that all wells are reached (stream tells walkers apart), or, of a
   * molecule, the structure in the deck. */
  void (*start)(const void *self, bm_random_t random, uint32_t stream, double *x /* [d] */);

  /* optional: the observables of its traits */
  void (*observe)(const void *self, size_t n, const double *x /* [n][d] */,
                  double *values /* [observable_count][n] */);

  /* optional: the averages of its traits */
  void (*average)(const void *self, size_t n, const double *x /* [n][d] */,
                  double *values /* [average_count][n] */);

  /* optional: the parts that the energy is the sum of, and their names, ended by NULL */
  const char *const *term_names;
  void (*terms)(const void *self, size_t n, const double *x /* [n][d] */,
                double *values /* [n][terms] */);

  /* optional: measure-preserving involutions x -> J_k(x) (J_k∘J_k = identity, |det| = 1), proposed
   * by Metropolis samplers as jumps between wells; they need not be symmetries of U */
  size_t involution_count;
  void (*involution)(const void *self, size_t k, double *x /* [d], in place */);

  /* optional: a group of maps that leave U as it is and preserve volume, so that an image of a
   * configuration is as probable as itself; its traits count the elements, 0 is the identity */
  void (*symmetry)(const void *self, size_t element, double *x /* [d], in place */);
} bm_potential_ops_t;

typedef struct bm_potential bm_potential_t;

/* All potentials: bm_potential_<row> is defined in a file of its own. */
#define BM_POTENTIAL_TABLE(X)                   \
  X(amber, "amber")                             \
  X(coulomb_double_well, "coulomb-double-well") \
  X(double_well, "double-well")                 \
  X(gaussian, "gaussian")

#define BM_POTENTIAL_ROW(row, name) extern const bm_potential_ops_t bm_potential_##row;
BM_POTENTIAL_TABLE(BM_POTENTIAL_ROW)
#undef BM_POTENTIAL_ROW

/* The rows, ended by NULL, and their names for the deck. */
extern const bm_potential_ops_t *const bm_potential_table[];
extern const char *const bm_potential_names[];

/* Deck keys of `system` common to all kinds: kind, beta, energy_cutoff. */
extern const bm_deck_key_t bm_potential_keys[];

/* The potential of a deck's `system` group. Owned by the caller. BM_ERR_DATA for values that do not
 * go together. Not collective. */
bm_status_t bm_potential_create(const bm_deck_case_t *deck_case, bm_potential_t **out);
void bm_potential_destroy(bm_potential_t **potential);

/* One that is made of another, without a deck; what `self` is does not belong to it. Owned by the caller.
 * BM_ERR_MEMORY. Where it has no energy the functions below that need one are not to be called. */
bm_status_t bm_potential_derive(const bm_potential_ops_t *ops, const void *self,
                                const bm_traits_t *traits, bm_potential_t **out);
int bm_potential_has_energy(const bm_potential_t *potential);

size_t bm_potential_dimension(const bm_potential_t *potential); /* d */
const bm_layout_t *bm_potential_layout(const bm_potential_t *potential);
double bm_potential_beta(const bm_potential_t *potential); /* inverse temperature, 1/energy_unit */
const bm_traits_t *bm_potential_traits(const bm_potential_t *potential);
const bm_potential_ops_t *bm_potential_ops(const bm_potential_t *potential);

/* U and, where gradient is not NULL, its gradient for n configurations, the energy cut-off of
 * Theorem 1 applied where the deck asks for it. For finite x the energy is never NaN: a collision
 * without softening or cut-off gives +inf. Where the energy is not finite the gradient is given as
 * zero. */
void bm_potential_energy(const bm_potential_t *potential, size_t n, const double *x /* [n][d] */,
                         double *energy /* [n] */, double *gradient /* [n][d] or NULL */);

/* The potential's observables, as ops->observe. */
void bm_potential_observe(const bm_potential_t *potential, size_t n, const double *x /* [n][d] */,
                          double *values /* [observable_count][n] */);

/* The functions whose averages are reported, as ops->average. */
void bm_potential_average(const bm_potential_t *potential, size_t n, const double *x /* [n][d] */,
                          double *values /* [average_count][n] */);

/* Number of terms, and the terms themselves, as ops->terms; without the cut-off. */
size_t bm_potential_term_count(const bm_potential_t *potential);
void bm_potential_terms(const bm_potential_t *potential, size_t n, const double *x /* [n][d] */,
                        double *values /* [n][terms] */);

void bm_potential_start(const bm_potential_t *potential, bm_random_t random, uint32_t stream,
                        double *x /* [d] */);
size_t bm_potential_involution_count(const bm_potential_t *potential);
void bm_potential_involution(const bm_potential_t *potential, size_t k, double *x /* [d] */);

/* Elements of the group of symmetries: 1 where there is none but the identity. */
size_t bm_potential_symmetry_count(const bm_potential_t *potential);
void bm_potential_symmetry(const bm_potential_t *potential, size_t element, double *x /* [d] */);

#endif
