#ifndef BOLTZMAP_TRANSPORT_MARGINAL_H
#define BOLTZMAP_TRANSPORT_MARGINAL_H

/* Wasserstein-2 on the line: the L2 distance of quantile functions, exact for any two sizes. */

#include <stddef.h>

/* Sort in ascending order (radix sort on the bits of float64; `scratch` of the same length). Finite
 * values only. */
void bm_sort(size_t n, double *values /* [n] */, double *scratch /* [n] */);

/* W2² of two sorted samples of any sizes (equal weights 1/n, 1/m). */
double bm_marginal_w2_squared_sorted(size_t n, const double *x /* [n] */, size_t m,
                                     const double *y /* [m] */);

#endif
