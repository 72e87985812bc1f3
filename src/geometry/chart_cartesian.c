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

/* The density of u has the noise as a factor, in the ideal. */
static double log_weight(const bm_chart_t *chart, const double *u, const double *z)
{
  double sum = 0.0;
  for (size_t r = 0; r < BM_RIGID; r++) {
    double along = 0.0;
    for (size_t k = 0; k < chart->d; k++) {
      along += chart->alignment->rigid[r * chart->d + k] * u[k];
    }
    along /= chart->noise;
    sum += 0.5 * along * along + log(chart->noise * sqrt(2.0 * M_PI));
  }
  return sum - bm_alignment_log_volume(chart->alignment, z);
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
};
