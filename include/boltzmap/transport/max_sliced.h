#ifndef BOLTZMAP_TRANSPORT_MAX_SLICED_H
#define BOLTZMAP_TRANSPORT_MAX_SLICED_H

/* Max-sliced Wasserstein-2: the largest 1-D W2 of projections over all directions (Deshpande et al.,
 * CVPR 2019): the direction in which two sets differ most. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"

/* Ascend from the best of `count` directions, those from `first` on of a seed (sliced.h), to a local
 * maximum of the W2² of projections of x [n][d] and y [n][d]. `direction` may be NULL. BM_ERR_MEMORY;
 * BM_STOPPED after a stop request on this rank. */
bm_status_t bm_max_sliced_ascend(size_t n, size_t d, const double *x, const double *y,
                                 uint64_t seed, size_t first, size_t count, double *w2_squared,
                                 double *direction /* [d] */);

#endif
