#include "boltzmap/geometry/principal.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"

static void find_mean(size_t n, size_t d, const double *x, double *mean)
{
  memset(mean, 0, d * sizeof *mean);
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < d; k++) {
      mean[k] += x[i * d + k];
    }
  }
  for (size_t k = 0; k < d; k++) {
    mean[k] /= (double)n;
  }
}

/* Upper triangle of the covariance; `row` [d] is room. */
static void find_covariance(size_t n, size_t d, const double *x, const double *mean,
                            const double *scale, double *row, double *covariance /* [d][d] */)
{
  memset(covariance, 0, d * d * sizeof *covariance);
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < d; k++) {
      row[k] = (x[i * d + k] - mean[k]) / (scale == NULL ? 1.0 : scale[k]);
    }
    for (size_t k = 0; k < d; k++) {
#pragma omp simd
      for (size_t l = k; l < d; l++) {
        covariance[k * d + l] += row[k] * row[l];
      }
    }
  }
  for (size_t k = 0; k < d * d; k++) {
    covariance[k] /= (double)n;
  }
}

/* Eigenvectors stand in columns, by rising eigenvalue. */
static void take_direction(size_t d, const double *vectors, size_t column, double *direction)
{
  size_t largest = 0;
  for (size_t k = 0; k < d; k++) {
    direction[k] = vectors[k * d + column];
    largest = fabs(direction[k]) > fabs(direction[largest]) ? k : largest;
  }
  double sign = direction[largest] < 0.0 ? -1.0 : 1.0;
  for (size_t k = 0; k < d; k++) {
    direction[k] *= sign;
  }
}

bm_status_t bm_principal_components(size_t n, size_t d, const double *x, const double *scale,
                                    size_t count, double *mean, double *directions,
                                    double *variances)
{
  double *work = NULL; /* covariance, then its eigenvectors [d][d]; eigenvalues or a row [d] */
  BM_TRY(BM_ALLOC(d * d + d, &work));
  double *values = work + d * d;
  find_mean(n, d, x, mean);
  find_covariance(n, d, x, mean, scale, values, work);
  int info = LAPACKE_dsyev(LAPACK_ROW_MAJOR, 'V', 'U', (int)d, work, (int)d, values);
  for (size_t k = 0; k < count && info == 0; k++) {
    take_direction(d, work, d - 1 - k, directions + k * d);
    variances[k] = values[d - 1 - k];
  }
  bm_free(work);
  return info == 0 ? BM_OK
                   : BM_FAIL(BM_ERR_INTERNAL, "principal components: LAPACK dsyev gives %d", info);
}
