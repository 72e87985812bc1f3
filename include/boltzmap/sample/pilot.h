#ifndef BOLTZMAP_SAMPLE_PILOT_H
#define BOLTZMAP_SAMPLE_PILOT_H

/* The record of a pilot run: coordinates (all, or 128 of them spread evenly where there are more),
 * the potential's observables and the energy of all walkers at regular steps, from which
 * convergence and autocorrelation are judged. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/sample/walkers.h"

typedef struct bm_pilot bm_pilot_t;

/* Verdict on a pilot run. */
typedef struct {
  double autocorrelation; /* of the slowest quantity, in records; +inf where it has none yet */
  double rhat;            /* largest */
  char slowest[64];       /* the quantity of that R-hat where it is too large, else the slowest */
} bm_pilot_verdict_t;

/* Room for `draws` records of `walkers` walkers, dealt over the ranks by block partition. The
 * context and the potential must outlive the pilot. Not collective. */
bm_status_t bm_pilot_create(const bm_context_t *context, size_t walkers, size_t draws,
                            const bm_potential_t *potential, bm_pilot_t **out);
void bm_pilot_destroy(bm_pilot_t **pilot);

/* Start over; add the walkers' present state. */
void bm_pilot_clear(bm_pilot_t *pilot);
void bm_pilot_record(bm_pilot_t *pilot, const bm_walkers_t *walkers);

/* Integrated autocorrelation time and rank-normalised split R-hat of every quantity, each computed
 * on one rank from the chains in the order of walkers, so that the verdict is the same on any
 * number of ranks. All draws must be recorded. Collective. */
bm_status_t bm_pilot_judge(bm_pilot_t *pilot, bm_pilot_verdict_t *verdict);

#endif
