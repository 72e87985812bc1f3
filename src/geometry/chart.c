#include "boltzmap/geometry/chart.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/internal.h"
#include "boltzmap/base/memory.h"
#include "chart_parts.h"

static const bm_chart_ops_t *const table[] = {
#define BM_CHART_ROW(row, name) &bm_chart_##row,
    BM_CHART_TABLE(BM_CHART_ROW)
#undef BM_CHART_ROW
        NULL,
};

const char *const bm_chart_molecular_names[] = {
#define BM_CHART_ROW(row, name) name,
    BM_CHART_MOLECULAR_TABLE(BM_CHART_ROW)
#undef BM_CHART_ROW
        NULL,
};

const bm_chart_ops_t *bm_chart_find(const char *name)
{
  size_t k = 0;
  while (table[k] != NULL && strcmp(table[k]->name, name) != 0) {
    k++;
  }
  return table[k];
}

int bm_chart_is_angular(const bm_chart_ops_t *ops)
{
  return ops->angular;
}

size_t bm_chart_dimension_of(const bm_chart_ops_t *ops, const bm_chart_system_t *system)
{
  return ops->angular ? system->angle_count : system->particles * system->dimensions - ops->lost;
}

void bm_chart_destroy(bm_chart_t **chart)
{
  bm_chart_t *self = *chart;
  if (self != NULL) {
    bm_standardisation_destroy(&self->units);
    bm_alignment_destroy(&self->alignment);
    bm_free(self->centres);
    bm_free(self->hands);
    bm_free(self->mean);
    bm_free(self->directions);
    bm_free(self->angles);
    bm_free(self->cuts);
    bm_free(self->work);
    bm_free(self->slope);
  }
  bm_free(self);
  *chart = NULL;
}

bm_status_t bm_chart_create(const bm_chart_ops_t *ops, const bm_chart_system_t *system,
                            bm_chart_t **out)
{
  bm_chart_t *chart;
  BM_TRY(BM_ALLOC(1, &chart));
  chart->ops = ops;
  chart->system_d = system->particles * system->dimensions;
  chart->d = bm_chart_dimension_of(ops, system);
  chart->particles = ops->angular ? system->angle_count : system->particles;
  chart->dimensions = ops->angular ? 1 : system->dimensions;
  *out = chart;
  bm_status_t status = BM_ALLOC(chart->d, &chart->work);
  if (status == BM_OK) {
    status = BM_ALLOC(bm_chart_shape_dimension(chart), &chart->slope);
  }
  if (status != BM_OK) {
    bm_chart_destroy(out);
  }
  return status;
}

static void flatten(const bm_chart_t *chart, const double *z, double *u)
{
  if (chart->ops->flatten == NULL) {
    memcpy(u, z, chart->d * sizeof *u);
  } else {
    chart->ops->flatten(chart, z, u);
  }
}

/* Noise widens the columns that the rigid directions have a part in. */
static void widen(bm_chart_t *chart)
{
  for (size_t k = 0; chart->noise > 0.0 && k < chart->d; k++) {
    double square = 0.0;
    for (size_t r = 0; r < BM_RIGID; r++) {
      double part = chart->noise * chart->alignment->rigid[r * chart->d + k];
      square += part * part;
    }
    chart->units->scale[k] = sqrt(chart->units->scale[k] * chart->units->scale[k] + square);
  }
}

/* From the configurations by way of their shapes; `work` [n][shape d + d]. */
static bm_status_t fit_shapes(const bm_chart_system_t *system, size_t n, const double *x,
                              double *work, bm_chart_t *chart)
{
  const bm_chart_ops_t *ops = chart->ops;
  const size_t shape_d = bm_chart_shape_dimension(chart);
  double *z = work;
  double *u = work + n * shape_d;
  if (ops->prepare != NULL) {
    BM_TRY(ops->prepare(system, n, x, chart));
  }
  BM_TRY(bm_chart_project(chart, n, x, z));
  if (ops->learn != NULL) {
    BM_TRY(ops->learn(n, z, chart));
  }
  for (size_t i = 0; i < n; i++) {
    flatten(chart, z + i * shape_d, u + i * chart->d);
  }
  BM_TRY(bm_standardisation_fit(n, chart->d, u, &chart->units));
  widen(chart);
  return BM_OK;
}

bm_status_t bm_chart_fit(const bm_chart_ops_t *ops, const bm_chart_system_t *system, size_t n,
                         const double *x, bm_chart_t **out)
{
  double *work = NULL;
  BM_TRY(bm_chart_create(ops, system, out));
  bm_status_t status = BM_ALLOC(n * (bm_chart_shape_dimension(*out) + (*out)->d), &work);
  if (status == BM_OK) {
    status = fit_shapes(system, n, x, work, *out);
  }
  bm_free(work);
  if (status != BM_OK) {
    bm_chart_destroy(out);
  }
  return status;
}

bm_status_t bm_chart_create_standardised(size_t particles, size_t dimensions, const double *mean,
                                         const double *scale, bm_chart_t **out)
{
  const bm_chart_system_t system = {.particles = particles, .dimensions = dimensions};
  BM_TRY(bm_chart_create(&bm_chart_standardised, &system, out));
  bm_status_t status =
      bm_standardisation_create(particles * dimensions, mean, scale, &(*out)->units);
  if (status != BM_OK) {
    bm_chart_destroy(out);
  }
  return status;
}

const char *bm_chart_name(const bm_chart_t *chart)
{
  return chart->ops->name;
}

size_t bm_chart_dimension(const bm_chart_t *chart)
{
  return chart->d;
}

size_t bm_chart_system_dimension(const bm_chart_t *chart)
{
  return chart->system_d;
}

size_t bm_chart_shape_dimension(const bm_chart_t *chart)
{
  return chart->particles * chart->dimensions;
}

size_t bm_chart_particles(const bm_chart_t *chart)
{
  return chart->particles;
}

const double *bm_chart_scale(const bm_chart_t *chart)
{
  return chart->units->scale;
}

double bm_chart_log_det(const bm_chart_t *chart)
{
  return bm_standardisation_log_det(chart->units);
}

bm_status_t bm_chart_project(const bm_chart_t *chart, size_t n, const double *x, double *z)
{
  if (chart->ops->project != NULL) {
    return chart->ops->project(chart, n, x, z);
  }
  memcpy(z, x, n * chart->system_d * sizeof *z);
  return BM_OK;
}

void bm_chart_encode(const bm_chart_t *chart, const double *z, double *y)
{
  flatten(chart, z, y);
  for (size_t k = 0; k < chart->d; k++) {
    y[k] = (y[k] - chart->units->mean[k]) / chart->units->scale[k];
  }
}

/* The unscaled coordinates, in the chart's own room. */
static const double *unscale(const bm_chart_t *chart, const double *y)
{
  for (size_t k = 0; k < chart->d; k++) {
    chart->work[k] = chart->units->mean[k] + chart->units->scale[k] * y[k];
  }
  return chart->work;
}

void bm_chart_decode(const bm_chart_t *chart, const double *y, double *z, double *log_weight)
{
  const double *u = unscale(chart, y);
  if (chart->ops->unflatten == NULL) {
    memcpy(z, u, chart->d * sizeof *z);
  } else {
    chart->ops->unflatten(chart, u, z);
  }
  if (log_weight != NULL) {
    *log_weight = chart->ops->log_weight == NULL ? 0.0 : chart->ops->log_weight(chart, u, z);
  }
}

void bm_chart_decode_adjoint(const bm_chart_t *chart, const double *g_z, double *g_y)
{
  if (chart->ops->adjoint == NULL) {
    memcpy(g_y, g_z, chart->d * sizeof *g_y);
  } else {
    chart->ops->adjoint(chart, g_z, g_y);
  }
  for (size_t k = 0; k < chart->d; k++) {
    g_y[k] *= chart->units->scale[k];
  }
}

void bm_chart_log_weight_gradient(const bm_chart_t *chart, const double *y, const double *z,
                                  double *g_y)
{
  if (chart->ops->log_weight_gradient == NULL) {
    memset(g_y, 0, chart->d * sizeof *g_y);
    return;
  }
  chart->ops->log_weight_gradient(chart, unscale(chart, y), z, chart->slope, g_y);
  for (size_t k = 0; k < chart->d; k++) {
    g_y[k] *= chart->units->scale[k];
  }
}

void bm_chart_add_noise(const bm_chart_t *chart, bm_random_t random, uint32_t row, uint64_t round,
                        double *y)
{
  double normals[BM_RIGID];
  if (chart->noise == 0.0) {
    return;
  }
  bm_random_normals(random, row, round, 0, BM_RIGID, normals);
  for (size_t r = 0; r < BM_RIGID; r++) {
    const double *direction = chart->alignment->rigid + r * chart->d;
    for (size_t k = 0; k < chart->d; k++) {
      y[k] += chart->noise * normals[r] * direction[k] / chart->units->scale[k];
    }
  }
}

/* A chart for a molecule knows which hand its stereocentres have. */
static bm_status_t keep_centres(const bm_chart_system_t *system, bm_chart_t *chart)
{
  chart->centre_count = system->centre_count;
  BM_TRY(BM_ALLOC(4 * system->centre_count, &chart->centres));
  BM_TRY(BM_ALLOC(system->centre_count, &chart->hands));
  for (size_t c = 0; c < system->centre_count; c++) {
    for (size_t k = 0; k < 4; k++) {
      chart->centres[4 * c + k] = (int64_t)system->centres[c][k];
    }
    chart->hands[c] = bm_internal_handedness(system->start, system->centres[c]) > 0.0 ? 1.0 : -1.0;
  }
  return BM_OK;
}

bm_status_t bm_chart_prepare_alignment(const bm_chart_system_t *system, size_t n, const double *x,
                                       bm_chart_t *chart)
{
  assert(system->dimensions == 3);
  BM_TRY(keep_centres(system, chart));
  return bm_alignment_fit(system->particles, n, x, system->start, &chart->alignment);
}

bm_status_t bm_chart_project_aligned(const bm_chart_t *chart, size_t n, const double *x, double *z)
{
  for (size_t i = 0; i < n; i++) {
    for (size_t c = 0; c < chart->centre_count; c++) {
      const int64_t *centre = chart->centres + 4 * c;
      const size_t atoms[4] = {(size_t)centre[0], (size_t)centre[1], (size_t)centre[2],
                               (size_t)centre[3]};
      double hand = bm_internal_handedness(x + i * chart->system_d, atoms);
      if (hand * chart->hands[c] <= 0.0) {
        return BM_FAIL(
            BM_ERR_DATA,
            "configuration %zu has the other handedness at atom %zu than the structure of "
            "system.coordinates: a mirror image; leave it out or mirror it",
            i, atoms[0] + 1);
      }
    }
  }
  return bm_alignment_apply(chart->alignment, n, x, z);
}
