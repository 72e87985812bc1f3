#ifndef BOLTZMAP_TRANSPORT_SLICED_H
#define BOLTZMAP_TRANSPORT_SLICED_H

/* Sliced Wasserstein-2: root of the mean over directions of the 1-D W2² of the projections
 * (Bonneel, Rabin, Peyré, Pfister, J. Math. Imaging Vis. 51, 22, 2015). */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"

/* `count` directions, uniform on the unit sphere of d dimensions, a function of (seed, index)
 * alone: normals, normalised. */
void bm_sliced_directions(uint64_t seed, size_t first, size_t count, size_t d,
                          double *directions /* [count][d] */);

/* Kernel: the 1-D W2² of each of `count` projections of x [n][d] and y [m][d]. */
bm_status_t bm_sliced_w2_squared(size_t n, size_t m, size_t d, const double *x, const double *y,
                                 size_t count, const double *directions /* [count][d] */,
                                 double *w2_squared /* [count] */);

#endif
