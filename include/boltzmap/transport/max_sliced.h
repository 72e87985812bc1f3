#ifndef BOLTZMAP_TRANSPORT_MAX_SLICED_H
#define BOLTZMAP_TRANSPORT_MAX_SLICED_H

/* Max-sliced Wasserstein-2: the largest 1-D W2 of projections over all directions (Deshpande et
 * al., CVPR 2019): the direction in which two sets differ most. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"

typedef struct {
  size_t n, d;
  const double *x, *y; /* [n][d], not owned */
} bm_max_sliced_pair_t;

/* Ascend from the best of `count` directions, those from `first` on of a seed (sliced.h), to a
 * local maximum of the W2² of projections. `direction` may be NULL. BM_ERR_MEMORY; BM_STOPPED after
 * a stop request on this rank. Not collective. */
bm_status_t bm_max_sliced_ascend(const bm_max_sliced_pair_t *pair, uint64_t seed, size_t first,
                                 size_t count, double *w2_squared, double *direction /* [d] */);

#endif
