/* The 3N - 6 principal directions of aligned molecules, each scaled to unit variance. */

#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/geometry/principal.h"
#include "chart_parts.h"

static bm_status_t learn(size_t n, const double *z, bm_chart_t *chart)
{
  const size_t shape_d = bm_chart_shape_dimension(chart);
  double *variances = NULL;
  bm_status_t status = BM_ALLOC(shape_d, &chart->mean);
  if (status == BM_OK) {
    status = BM_ALLOC(chart->d * shape_d, &chart->directions);
  }
  if (status == BM_OK) {
    status = BM_ALLOC(chart->d, &variances);
  }
  if (status == BM_OK) {
    status = bm_principal_components(n, shape_d, z, NULL, chart->d, chart->mean, chart->directions,
                                     variances);
  }
  bm_free(variances);
  return status;
}

static void flatten(const bm_chart_t *chart, const double *z, double *u)
{
  const size_t shape_d = bm_chart_shape_dimension(chart);
  for (size_t k = 0; k < chart->d; k++) {
    u[k] = 0.0;
    for (size_t l = 0; l < shape_d; l++) {
      u[k] += chart->directions[k * shape_d + l] * (z[l] - chart->mean[l]);
    }
  }
}

static void adjoint(const bm_chart_t *chart, const double *g_z, double *g_u)
{
  const size_t shape_d = bm_chart_shape_dimension(chart);
  for (size_t k = 0; k < chart->d; k++) {
    g_u[k] = 0.0;
    for (size_t l = 0; l < shape_d; l++) {
      g_u[k] += chart->directions[k * shape_d + l] * g_z[l];
    }
  }
}

static void unflatten(const bm_chart_t *chart, const double *u, double *z)
{
  const size_t shape_d = bm_chart_shape_dimension(chart);
  memcpy(z, chart->mean, shape_d * sizeof *z);
  for (size_t k = 0; k < chart->d; k++) {
    for (size_t l = 0; l < shape_d; l++) {
      z[l] += chart->directions[k * shape_d + l] * u[k];
    }
  }
}

static double log_weight(const bm_chart_t *chart, const double *u, const double *z)
{
  (void)u;
  return -bm_alignment_log_volume(chart->alignment, z);
}

static void log_weight_gradient(const bm_chart_t *chart, const double *u, const double *z,
                                double *g_z, double *g_u)
{
  (void)u;
  bm_alignment_log_volume_gradient(chart->alignment, z, g_z);
  adjoint(chart, g_z, g_u);
  for (size_t k = 0; k < chart->d; k++) {
    g_u[k] = -g_u[k];
  }
}

const bm_chart_ops_t bm_chart_whitened = {
    .name = "whitened",
    .description = "principal directions of aligned molecules, six fewer than coordinates",
    .aligned = 1,
    .lost = BM_RIGID,
    .prepare = bm_chart_prepare_alignment,
    .learn = learn,
    .project = bm_chart_project_aligned,
    .flatten = flatten,
    .unflatten = unflatten,
    .adjoint = adjoint,
    .log_weight = log_weight,
    .log_weight_gradient = log_weight_gradient,
};
