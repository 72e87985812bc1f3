#ifndef BOLTZMAP_TRANSPORT_MARGINAL_H
#define BOLTZMAP_TRANSPORT_MARGINAL_H

/* Wasserstein-2 on the line: the L2 distance of quantile functions, exact for any two sizes. */

#include <stddef.h>

#include "boltzmap/base/status.h"

/* Sort in ascending order (radix sort on the bits of float64; `scratch` of the same length). Finite
 * values only. */
void bm_sort(size_t n, double *values /* [n] */, double *scratch /* [n] */);

/* W2² of two sorted samples of any sizes (equal weights 1/n, 1/m). */
double bm_marginal_w2_squared_sorted(size_t n, const double *x /* [n] */, size_t m,
                                     const double *y /* [m] */);

/* The same on a circle of length `period`, both samples sorted in [0, period): the best of all cuts
 * (Delon, Salomon, Sobolevski, SIAM J. Appl. Math. 70, 2239, 2010). */
double bm_marginal_w2_squared_circle(size_t n, const double *x /* [n] */, size_t m,
                                     const double *y /* [m] */, double period);

/* W2² of two samples in any order; period > 0: on a circle of that length, 0: on the line.
 * BM_ERR_MEMORY where there is no room for sorted copies. */
bm_status_t bm_marginal_w2_squared(size_t n, const double *x /* [n] */, size_t m,
                                   const double *y /* [m] */, double period, double *w2_squared);

#endif
