/* Backbone torsions of a molecule as the flow's coordinates (paper section 6.2): "dihedrals" takes angles as
 * numbers in (-pi, pi], as the paper does, so that the flow cannot know that the ends meet; "torus" cuts
 * each circle where the data are least dense, and brings generated angles back into (-pi, pi]. Their density is
 * that of the stretch they were generated in: what a flow puts beyond the cut is not added to the other end. */

#include <math.h>

#include "boltzmap/base/internal.h"
#include "boltzmap/base/memory.h"
#include "chart_parts.h"

#define BM_BINS 72 /* of a circle, to look for the cut */
#define BM_SPREAD \
  3 /* bins to either side that count as well, so that one empty bin does not decide */

static double wrapped(double angle)
{
  double turned = remainder(angle, 2.0 * M_PI);
  return turned <= -M_PI ? turned + 2.0 * M_PI : turned;
}

static bm_status_t prepare(const bm_chart_system_t *system, size_t n, const double *x,
                           bm_chart_t *chart)
{
  (void)n;
  (void)x;
  BM_TRY(BM_ALLOC(4 * system->angle_count, &chart->angles));
  for (size_t k = 0; k < 4 * system->angle_count; k++) {
    chart->angles[k] = (int64_t)system->angles[k / 4][k % 4];
  }
  return BM_OK;
}

static bm_status_t project(const bm_chart_t *chart, size_t n, const double *x, double *z)
{
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < chart->d; k++) {
      const int64_t *angle = chart->angles + 4 * k;
      const size_t atoms[4] = {(size_t)angle[0], (size_t)angle[1], (size_t)angle[2],
                               (size_t)angle[3]};
      z[i * chart->d + k] = bm_internal_dihedral(x + i * chart->system_d, atoms);
    }
  }
  return BM_OK;
}

/* Middle of the stretch of the circle where column k of z has fewest points; of equal ones that between
 * the most empty neighbours: the middle of an empty stretch. */
static double emptiest(size_t n, size_t d, const double *z, size_t k)
{
  double counts[BM_BINS] = {0.0};
  for (size_t i = 0; i < n; i++) {
    size_t bin = (size_t)((wrapped(z[i * d + k]) + M_PI) / (2.0 * M_PI) * BM_BINS);
    counts[bin < BM_BINS ? bin : BM_BINS - 1] += 1.0;
  }
  size_t best = 0;
  double least = INFINITY;
  for (size_t b = 0; b < BM_BINS; b++) {
    double sum = 0.0;
    for (size_t s = 0; s < BM_BINS; s++) { /* far bins count a little: they break ties */
      size_t away = s < BM_BINS - s ? s : BM_BINS - s;
      double weight = away <= BM_SPREAD ? 1.0 : 1e-6 / (double)(away * away);
      sum += weight * counts[(b + s) % BM_BINS];
    }
    if (sum < least) {
      least = sum;
      best = b;
    }
  }
  return ((double)best + 0.5) / BM_BINS * 2.0 * M_PI - M_PI;
}

static bm_status_t learn(size_t n, const double *z, bm_chart_t *chart)
{
  BM_TRY(BM_ALLOC(chart->d, &chart->cuts));
  for (size_t k = 0; k < chart->d; k++) {
    chart->cuts[k] = emptiest(n, chart->d, z, k);
  }
  return BM_OK;
}

/* From the point opposite to the cut. */
static void flatten(const bm_chart_t *chart, const double *z, double *u)
{
  for (size_t k = 0; k < chart->d; k++) {
    u[k] = wrapped(z[k] - chart->cuts[k] - M_PI);
  }
}

static void unflatten(const bm_chart_t *chart, const double *u, double *z)
{
  for (size_t k = 0; k < chart->d; k++) {
    z[k] = wrapped(u[k] + chart->cuts[k] + M_PI);
  }
}

const bm_chart_ops_t bm_chart_dihedrals = {
    .name = "dihedrals",
    .description = "backbone angles as numbers from -pi to pi",
    .angular = 1,
    .prepare = prepare,
    .project = project,
};

const bm_chart_ops_t bm_chart_torus = {
    .name = "torus",
    .description = "backbone angles, each circle cut where the data are least dense",
    .angular = 1,
    .prepare = prepare,
    .learn = learn,
    .project = project,
    .flatten = flatten,
    .unflatten = unflatten,
};
