#include "boltzmap/geometry/standardisation.h"

#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"

bm_status_t bm_standardisation_create(size_t d, const double *mean, const double *scale,
                                      bm_standardisation_t **out)
{
  *out = NULL;
  bm_standardisation_t *made;
  BM_TRY(BM_ALLOC(1, &made));
  made->d = d;
  bm_status_t status = BM_ALLOC(d, &made->mean);
  if (status == BM_OK) {
    status = BM_ALLOC(d, &made->scale);
  }
  if (status != BM_OK) {
    bm_standardisation_destroy(&made);
    return status;
  }
  memcpy(made->mean, mean, d * sizeof *mean);
  memcpy(made->scale, scale, d * sizeof *scale);
  *out = made;
  return BM_OK;
}

/* Two passes: the mean first, so that the variance does not cancel. */
static bm_status_t fit_column(size_t n, size_t d, const double *x, size_t column, double *mean,
                              double *scale)
{
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) {
    sum += x[i * d + column];
  }
  *mean = sum / (double)n;
  double squares = 0.0;
  for (size_t i = 0; i < n; i++) {
    double deviation = x[i * d + column] - *mean;
    squares += deviation * deviation;
  }
  *scale = sqrt(squares / (double)n);
  if (!(*scale > 1e-12 * (1.0 + fabs(*mean)))) {
    return BM_FAIL(BM_ERR_DATA,
                   "column %zu of the training data does not vary: a density cannot be learned "
                   "there; leave it out",
                   column);
  }
  return BM_OK;
}

bm_status_t bm_standardisation_fit(size_t n, size_t d, const double *x, bm_standardisation_t **out)
{
  double *values = NULL;
  *out = NULL;
  BM_TRY(BM_ALLOC(2 * d, &values));
  bm_status_t status = BM_OK;
  for (size_t k = 0; status == BM_OK && k < d; k++) {
    status = fit_column(n, d, x, k, &values[k], &values[d + k]);
  }
  if (status == BM_OK) {
    status = bm_standardisation_create(d, values, values + d, out);
  }
  bm_free(values);
  return status;
}

void bm_standardisation_destroy(bm_standardisation_t **standardisation)
{
  if (*standardisation != NULL) {
    bm_free((*standardisation)->mean);
    bm_free((*standardisation)->scale);
  }
  bm_free(*standardisation);
  *standardisation = NULL;
}

double bm_standardisation_log_det(const bm_standardisation_t *standardisation)
{
  double sum = 0.0;
  for (size_t k = 0; k < standardisation->d; k++) {
    sum += log(standardisation->scale[k]);
  }
  return sum;
}
