#ifndef BOLTZMAP_GEOMETRY_STANDARDISATION_H
#define BOLTZMAP_GEOMETRY_STANDARDISATION_H

/* Zero mean and unit variance, column by column: y = (x - mean)/scale. The log-determinant of the way
 * back, y to x, is the sum of log scale. */

#include <stddef.h>

#include "boltzmap/base/status.h"

typedef struct {
  size_t d;
  double *mean;  /* [d] */
  double *scale; /* [d], positive */
} bm_standardisation_t;

/* Mean and standard deviation of n rows. A column that does not vary is BM_ERR_DATA naming it: no
 * density lives there. Owned by the caller. */
bm_status_t bm_standardisation_fit(size_t n, size_t d, const double *x /* [n][d] */,
                                   bm_standardisation_t **out);

/* From stored values. */
bm_status_t bm_standardisation_create(size_t d, const double *mean, const double *scale,
                                      bm_standardisation_t **out);
void bm_standardisation_destroy(bm_standardisation_t **standardisation);

double bm_standardisation_log_det(const bm_standardisation_t *standardisation);

#endif
