#ifndef BOLTZMAP_TRANSPORT_MULTILEVEL_H
#define BOLTZMAP_TRANSPORT_MULTILEVEL_H

/* Rank 0's part of an exact distance: from coarse to fine levels, in steps between which everything
 * there is to know lies in arrays, so that a computation can be written down, ended and gone on
 * with to the same bits.
 *
 * A level starts with dual variables extended from the coarser one, takes as candidates the pairs
 * of least reduced cost, matches them by auctions of falling epsilon, adds pairs that turn out to
 * be missing, and completes the matching by shortest augmenting paths. On the finest level this
 * goes on until no pair of negative reduced cost is left. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/io/state.h"
#include "boltzmap/transport/auction.h"
#include "boltzmap/transport/pricing.h"

#define BM_COARSEST 512 /* points that are solved from the full cost matrix */

typedef struct bm_multilevel bm_multilevel_t;

/* The cost renumbered, the pricing of these levels; both have to outlive it. BM_ERR_MEMORY. */
bm_status_t bm_multilevel_create(const bm_cost_t *cost, bm_pricing_t *pricing, size_t levels,
                                 const size_t *sizes /* [levels] */, bm_multilevel_t **out);
void bm_multilevel_destroy(bm_multilevel_t **solver);

/* The next step. Collective with bm_pricing_serve. BM_STOPPED where a stop was asked for before the
 * step was done: it is as if it had not begun. */
bm_status_t bm_multilevel_step(bm_multilevel_t *solver);

/* Is the last level solved? */
int bm_multilevel_done(const bm_multilevel_t *solver);

/* "level 2 of 5, …": owned by the solver. */
const char *bm_multilevel_phase(bm_multilevel_t *solver);

/* The optimal matching and its duals, once done. */
const bm_matching_t *bm_multilevel_matching(const bm_multilevel_t *solver);

/* Write down all there is, and take it up again on a solver just created for the same problem.
 * BM_ERR_DATA where the state does not fit. */
bm_status_t bm_multilevel_save(const bm_multilevel_t *solver, bm_state_t *state);
bm_status_t bm_multilevel_load(const bm_state_t *state, bm_multilevel_t *solver);

#endif
