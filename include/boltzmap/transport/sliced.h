#ifndef BOLTZMAP_TRANSPORT_SLICED_H
#define BOLTZMAP_TRANSPORT_SLICED_H

/* Sliced Wasserstein-2: root of the mean over directions of the 1-D W2² of the projections
 * (Bonneel, Rabin, Peyré, Pfister, J. Math. Imaging Vis. 51, 22, 2015).
 *
 * The mean over the sphere is estimated from directions in orthonormal blocks (Rowland et al.,
 * AISTATS 2019), with control variates whose mean is known: the square of the projected shift
 * between the clouds, and, where there are enough directions for it, all spherical harmonics up to
 * degree 6 (Leluc et al., ICML 2024), taken off by least squares. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"

/* `count` directions, each uniform on the unit sphere of d dimensions, a function of (seed, index)
 * alone; each block of d of them (of 256 where d is more) is orthonormal. BM_ERR_MEMORY. */
bm_status_t bm_sliced_directions(uint64_t seed, size_t first, size_t count, size_t d,
                                 double *directions /* [count][d] */);

/* Replace the part of each value that comes from the shift between the clouds' means, (direction ·
 * shift)², by its mean over all directions, |shift|²/d. BM_ERR_MEMORY. */
bm_status_t bm_sliced_take_shift(size_t n, size_t m, size_t d, const double *x /* [n][d] */,
                                 const double *y /* [m][d] */, size_t count,
                                 const double *directions /* [count][d] */,
                                 double *w2_squared /* [count] */);

/* Mean over the sphere of a function known in the first `count` directions of a seed, and its
 * standard error, widened for small numbers so that two of them hold 95% (NaN for a single value).
 * BM_ERR_MEMORY. */
bm_status_t bm_sliced_mean(uint64_t seed, size_t count, size_t d,
                           const double *values /* [count] */, double *mean, double *error);

/* Kernel: the 1-D W2² of each of `count` projections of x [n][d] and y [m][d]. */
bm_status_t bm_sliced_w2_squared(size_t n, size_t m, size_t d, const double *x, const double *y,
                                 size_t count, const double *directions /* [count][d] */,
                                 double *w2_squared /* [count] */);

#endif
