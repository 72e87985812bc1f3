#ifndef BOLTZMAP_IO_KEEPER_H
#define BOLTZMAP_IO_KEEPER_H

/* Where a long work keeps its state, so that it goes on when it was interrupted. */

#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/io/state.h"

typedef struct {
  void *self;
  double every_s; /* seconds between calls of save */
  /* Keep a state (rank 0's own, NULL elsewhere; more may be put in) under the number of its step.
   * Collective. */
  bm_status_t (*save)(void *self, int64_t step, bm_state_t *state);
  /* The last state that was kept, on every rank, owned by the caller; NULL: none. Collective. */
  bm_status_t (*load)(void *self, bm_state_t **state);
} bm_keeper_t;

#endif
