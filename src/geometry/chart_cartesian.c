/* All 3N coordinates of aligned molecules (paper section 6.3). Aligned ones do not vary along six directions,
 * where a likelihood would be unbounded: training adds noise along these, and a generated sample is
 * what is left when its part along them is taken out. */

#include <math.h>
#include <string.h>

#include "chart_parts.h"

static bm_status_t prepare(const bm_chart_system_t *system, size_t n, const double *x,
                           bm_chart_t *chart)
{
  chart->noise = system->noise;
  return bm_chart_prepare_alignment(system, n, x, chart);
}

static void unflatten(const bm_chart_t *chart, const double *u, double *z)
{
  memcpy(z, u, chart->d * sizeof *z);
  bm_alignment_project(chart->alignment, z, NULL);
}

/* The part of u along a rigid direction, in units of the noise. */
static double noise_along(const bm_chart_t *chart, const double *direction, const double *u)
{
  double along = 0.0;
  for (size_t k = 0; k < chart->d; k++) {
    along += direction[k] * u[k];
  }
  return along / chart->noise;
}

/* The density of u has the noise as a factor, in the ideal. */
static double log_weight(const bm_chart_t *chart, const double *u, const double *z)
{
  double sum = 0.0;
  for (size_t r = 0; r < BM_RIGID; r++) {
    double along = noise_along(chart, chart->alignment->rigid + r * chart->d, u);
    sum += 0.5 * along * along + log(chart->noise * sqrt(2.0 * M_PI));
  }
  return sum - bm_alignment_log_volume(chart->alignment, z);
}

static void log_weight_gradient(const bm_chart_t *chart, const double *u, const double *z,
                                double *g_z, double *g_u)
{
  bm_alignment_log_volume_gradient(chart->alignment, z, g_z);
  unflatten(chart, g_z, g_u);
  for (size_t k = 0; k < chart->d; k++) {
    g_u[k] = -g_u[k];
  }
  for (size_t r = 0; r < BM_RIGID; r++) {
    const double *direction = chart->alignment->rigid + r * chart->d;
    const double slope = noise_along(chart, direction, u) / chart->noise;
    for (size_t k = 0; k < chart->d; k++) {
      g_u[k] += slope * direction[k];
    }
  }
}

const bm_chart_ops_t bm_chart_cartesian = {
    .name = "cartesian",
    .description = "all coordinates of aligned molecules, with noise in the six null directions",
    .aligned = 1,
    .prepare = prepare,
    .project = bm_chart_project_aligned,
    .unflatten = unflatten,
    .adjoint = unflatten, /* an orthogonal projection is its own adjoint */
    .log_weight = log_weight,
    .log_weight_gradient = log_weight_gradient,
};
