/* Charts in state containers. */

#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "chart_parts.h"

#define BM_SIZES 3 /* particles and dimensions of the system, coordinates of the flow */

bm_status_t bm_chart_save(const bm_chart_t *chart, bm_state_t *state)
{
  const size_t shape_d = bm_chart_shape_dimension(chart);
  const size_t dimensions = chart->ops->angular ? 3 : chart->dimensions;
  const int64_t sizes[BM_SIZES] = {(int64_t)(chart->system_d / dimensions), (int64_t)dimensions,
                                   (int64_t)chart->d};
  BM_TRY(bm_state_put_string(state, "chart/kind", chart->ops->name));
  BM_TRY(bm_state_put_ints(state, "chart/sizes", BM_SIZES, sizes));
  BM_TRY(bm_state_put_doubles(state, "standardisation/mean", chart->d, chart->units->mean));
  BM_TRY(bm_state_put_doubles(state, "standardisation/scale", chart->d, chart->units->scale));
  if (chart->alignment != NULL) {
    BM_TRY(bm_state_put_doubles(state, "chart/reference", shape_d, chart->alignment->reference));
    BM_TRY(bm_state_put_doubles(state, "chart/noise", 1, &chart->noise));
    BM_TRY(bm_state_put_ints(state, "chart/centres", 4 * chart->centre_count, chart->centres));
    BM_TRY(bm_state_put_doubles(state, "chart/hands", chart->centre_count, chart->hands));
  }
  if (chart->directions != NULL) {
    BM_TRY(bm_state_put_doubles(state, "chart/mean", shape_d, chart->mean));
    BM_TRY(bm_state_put_doubles(state, "chart/directions", chart->d * shape_d, chart->directions));
  }
  if (chart->angles != NULL) {
    BM_TRY(bm_state_put_ints(state, "chart/angles", 4 * chart->d, chart->angles));
  }
  return chart->cuts == NULL ? BM_OK
                             : bm_state_put_doubles(state, "chart/cuts", chart->d, chart->cuts);
}

/* A block of doubles into memory of its own; finite ones. */
static bm_status_t load_block(const bm_state_t *state, const char *name, size_t count, double **out)
{
  BM_TRY(BM_ALLOC(count, out));
  BM_TRY(bm_state_get_doubles(state, name, count, *out));
  for (size_t i = 0; i < count; i++) {
    if (!isfinite((*out)[i])) {
      return BM_FAIL(BM_ERR_DATA, "the model's block '%s' has numbers that are not finite", name);
    }
  }
  return BM_OK;
}

/* Lists of four atoms each. */
static bm_status_t load_atoms(const bm_state_t *state, const char *name, size_t count,
                              size_t particles, int64_t **out)
{
  BM_TRY(BM_ALLOC(4 * count, out));
  BM_TRY(bm_state_get_ints(state, name, 4 * count, *out));
  for (size_t i = 0; i < 4 * count; i++) {
    if ((*out)[i] < 0 || (*out)[i] >= (int64_t)particles) {
      return BM_FAIL(BM_ERR_DATA, "the model's block '%s' names atoms that are not there", name);
    }
  }
  return BM_OK;
}

static bm_status_t load_alignment(const bm_state_t *state, bm_chart_t *chart)
{
  double *reference = NULL;
  bm_status_t status =
      load_block(state, "chart/reference", bm_chart_shape_dimension(chart), &reference);
  if (status == BM_OK) {
    status = bm_alignment_create(chart->particles, reference, &chart->alignment);
  }
  bm_free(reference);
  BM_TRY(status);
  chart->centre_count = bm_state_count(state, "chart/hands");
  BM_TRY(
      load_atoms(state, "chart/centres", chart->centre_count, chart->particles, &chart->centres));
  BM_TRY(load_block(state, "chart/hands", chart->centre_count, &chart->hands));
  BM_TRY(bm_state_get_doubles(state, "chart/noise", 1, &chart->noise));
  /* of charts that keep the directions in which aligned molecules do not vary */
  const int is_good =
      chart->ops->lost == 0 ? chart->noise > 0.0 && isfinite(chart->noise) : chart->noise == 0.0;
  return is_good ? BM_OK : BM_FAIL(BM_ERR_DATA, "the model's noise makes no sense");
}

static bm_status_t load_units(const bm_state_t *state, bm_chart_t *chart)
{
  double *values[2] = {NULL, NULL};
  bm_status_t status = load_block(state, "standardisation/mean", chart->d, &values[0]);
  if (status == BM_OK) {
    status = load_block(state, "standardisation/scale", chart->d, &values[1]);
  }
  for (size_t k = 0; status == BM_OK && k < chart->d; k++) {
    if (!(values[1][k] > 0.0)) {
      status = BM_FAIL(BM_ERR_DATA, "the model's scale of coordinate %zu is not positive", k);
    }
  }
  if (status == BM_OK) {
    status = bm_standardisation_create(chart->d, values[0], values[1], &chart->units);
  }
  bm_free(values[0]);
  bm_free(values[1]);
  return status;
}

static bm_status_t load_parts(const bm_state_t *state, bm_chart_t *chart)
{
  const size_t shape_d = bm_chart_shape_dimension(chart);
  BM_TRY(load_units(state, chart));
  if (chart->ops->angular) {
    BM_TRY(load_atoms(state, "chart/angles", chart->d, chart->system_d / 3, &chart->angles));
    return chart->ops->learn == NULL ? BM_OK
                                     : load_block(state, "chart/cuts", chart->d, &chart->cuts);
  }
  if (chart->ops->aligned) {
    BM_TRY(load_alignment(state, chart));
  }
  if (chart->ops->flatten == NULL) {
    return BM_OK;
  }
  BM_TRY(load_block(state, "chart/mean", shape_d, &chart->mean));
  return load_block(state, "chart/directions", chart->d * shape_d, &chart->directions);
}

bm_status_t bm_chart_load(const bm_state_t *state, size_t particles, size_t dimensions,
                          bm_chart_t **out)
{
  const char *kind = "standardised"; /* older models do not say */
  int64_t sizes[BM_SIZES] = {(int64_t)particles, (int64_t)dimensions,
                             (int64_t)(particles * dimensions)};
  *out = NULL;
  if (bm_state_count(state, "chart/kind") > 0) {
    BM_TRY(bm_state_get_string(state, "chart/kind", &kind));
    BM_TRY(bm_state_get_ints(state, "chart/sizes", BM_SIZES, sizes));
  }
  const bm_chart_ops_t *ops = bm_chart_find(kind);
  if (ops == NULL) {
    return BM_FAIL(BM_ERR_DATA, "the model's coordinates '%s' are not known", kind);
  }
  const bm_chart_system_t system = {.particles = (size_t)sizes[0],
                                    .dimensions = (size_t)sizes[1],
                                    .angle_count = (size_t)sizes[2]};
  if (sizes[0] < 1 || sizes[0] > 1 << 20 || sizes[1] < 1 || sizes[1] > 3 || sizes[2] < 0 ||
      sizes[2] > 1 << 20 || ((ops->aligned || ops->angular) && (sizes[0] < 3 || sizes[1] != 3))) {
    return BM_FAIL(BM_ERR_DATA, "the model's sizes make no sense");
  }
  if (sizes[2] != (int64_t)bm_chart_dimension_of(ops, &system)) {
    return BM_FAIL(BM_ERR_DATA, "the model's sizes make no sense");
  }
  BM_TRY(bm_chart_create(ops, &system, out));
  bm_status_t status = load_parts(state, *out);
  if (status != BM_OK) {
    bm_chart_destroy(out);
  }
  return status;
}
