#ifndef BOLTZMAP_GEOMETRY_PRINCIPAL_H
#define BOLTZMAP_GEOMETRY_PRINCIPAL_H

/* Principal components: eigenvectors of the covariance of n rows, by falling variance. */

#include <stddef.h>

#include "boltzmap/base/status.h"

/* Mean of the rows, the first `count` ≤ d directions, each with its largest component positive, and the
 * variances along them; `scale` [d] divides the columns of x - mean first (NULL: not), the mean is that of x.
 * BM_ERR_MEMORY, BM_ERR_INTERNAL. */
bm_status_t bm_principal_components(size_t n, size_t d, const double *x /* [n][d] */,
                                    const double *scale, size_t count, double *mean /* [d] */,
                                    double *directions /* [count][d] */,
                                    double *variances /* [count] */);

#endif
