#ifndef BOLTZMAP_SAMPLE_WALKERS_H
#define BOLTZMAP_SAMPLE_WALKERS_H

/* The walkers of one rank, side by side, so that energies come in batches. Each walker is a Markov
 * chain of its own, whose random numbers are counted by its number in the whole set. A move writes
 * proposals for all walkers and then decides on each. Local arithmetic, no communication. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/random.h"
#include "boltzmap/base/status.h"
#include "boltzmap/model/potential.h"

typedef struct {
  const bm_potential_t *potential; /* not owned */
  bm_random_t move, accept;        /* generators of proposals and decisions */
  uint32_t first;                  /* number of the first walker here */
  size_t count, d;
  int uses_gradient;  /* gradients are kept with the energies */
  const double *mass; /* [particles] of a molecule, not owned; NULL: 1 */

  /* where the walkers are */
  double *x;        /* [count][d] */
  double *energy;   /* [count], U(x) */
  double *gradient; /* [count][d], of U at x; NULL without uses_gradient */

  /* what is proposed, and room for the move */
  double *proposal;          /* [count][d] */
  double *proposal_energy;   /* [count] */
  double *proposal_gradient; /* [count][d]; NULL without uses_gradient */
  double *noise;             /* [count][d] */
  double *correction;        /* [count] */

  double *memory; /* one block behind all of them */
} bm_walkers_t;

/* Walkers `first`…`first + count - 1` of the run with this seed, each at its starting point.
 * `count` may be 0. Owned by the caller. */
bm_status_t bm_walkers_create(const bm_potential_t *potential, uint64_t seed, uint32_t first,
                              size_t count, int uses_gradient, bm_walkers_t **out);
void bm_walkers_destroy(bm_walkers_t **walkers);

/* Mass of coordinate k of all walkers, k in [count·d]. */
double bm_walkers_mass(const bm_walkers_t *walkers, size_t k);

/* Fill `noise` with standard normals of this step. */
void bm_walkers_draw_noise(bm_walkers_t *walkers, uint64_t step);

/* Energies (and gradients) of the places and of the proposals. */
void bm_walkers_evaluate(bm_walkers_t *walkers);
void bm_walkers_evaluate_proposal(bm_walkers_t *walkers);

/* Let walker i of this rank go where it proposes. */
void bm_walkers_take(bm_walkers_t *walkers, size_t i);

/* Metropolis-Hastings: take each proposal with probability min(1, exp(-beta·ΔU + correction)),
 * where the correction (NULL: 0) holds the logarithm of the ratio of proposal densities. A proposal
 * whose energy is not finite is refused, except that a walker whose own energy is +inf accepts
 * everything but NaN: it can always leave. Gives the number taken. */
size_t bm_walkers_decide(bm_walkers_t *walkers, const double *correction /* [count] */,
                         uint64_t step);

/* Propose to each walker one of the potential's involutions, chosen uniformly, and decide. There
 * must be at least one. Gives the number taken. */
size_t bm_walkers_jump(bm_walkers_t *walkers, uint64_t step);

/* BM_ERR_DATA where the energy or a coordinate of a walker is not finite, naming walker and
 * step. */
bm_status_t bm_walkers_check(const bm_walkers_t *walkers, uint64_t step);

#endif
