#ifndef BOLTZMAP_IO_KEEPER_H
#define BOLTZMAP_IO_KEEPER_H

/* Where a long work keeps its state, so that it goes on when it was interrupted. */

#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/io/state.h"
#include "boltzmap/parallel/context.h"

typedef struct {
  void *self;
  double every_s; /* seconds between calls of save */
  /* Keep a state (rank 0's own, NULL elsewhere; more may be put in) under the number of its step.
   * Collective. */
  bm_status_t (*save)(void *self, int64_t step, bm_state_t *state);
  /* The last state that was kept, on every rank, owned by the caller; NULL: none. Collective. */
  bm_status_t (*load)(void *self, bm_state_t **state);
} bm_keeper_t;

/* A container to fill, on rank 0; NULL elsewhere. BM_ERR_MEMORY. Collective. */
bm_status_t bm_keeper_begin(const bm_context_t *context, bm_state_t **state);

/* Keep it where it was `filled` on all ranks; then it is gone, in any case. Collective. */
bm_status_t bm_keeper_end(const bm_context_t *context, const bm_keeper_t *keeper, int64_t step,
                          bm_status_t filled, bm_state_t **state);

#endif
