#include "boltzmap/transport/map.h"

#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "map_parts.h"

static const bm_map_kind_t *const table[] = {
#define BM_MAP_ROW(row, name) &bm_map_kind_##row,
    BM_MAP_TABLE(BM_MAP_ROW)
#undef BM_MAP_ROW
        NULL,
};

const char *const bm_map_kinds[] = {
#define BM_MAP_ROW(row, name) name,
    BM_MAP_TABLE(BM_MAP_ROW)
#undef BM_MAP_ROW
        NULL,
};

bm_status_t bm_map_create_common(const bm_map_kind_t *kind, const bm_layout_t *layout,
                                 bm_chart_t *chart, bm_map_t **out)
{
  bm_map_t *map;
  *out = NULL;
  BM_TRY(BM_ALLOC(1, &map));
  map->kind = kind;
  map->layout = *layout;
  map->d = bm_chart_dimension(chart);
  map->shape_d = bm_chart_shape_dimension(chart);
  map->layout.particles = bm_chart_particles(chart);
  map->layout.dimensions = map->shape_d / map->layout.particles;
  size_t items = BM_MAP_CHUNK * map->d;
  bm_status_t status = BM_ALLOC(items, &map->in);
  if (status == BM_OK) {
    status = BM_ALLOC(items, &map->out);
  }
  if (status == BM_OK) {
    status = BM_ALLOC(BM_MAP_CHUNK, &map->log_det);
  }
  if (status == BM_OK) {
    status = BM_ALLOC(map->d, &map->row);
  }
  if (status == BM_OK) {
    status = BM_ALLOC(map->shape_d, &map->shape);
  }
  if (status != BM_OK) {
    bm_map_destroy(&map);
    return status;
  }
  map->chart = chart;
  map->log_scale = bm_chart_log_det(chart);
  *out = map;
  return BM_OK;
}

void bm_map_destroy(bm_map_t **map)
{
  bm_map_t *self = *map;
  if (self != NULL) {
    self->kind->destroy(self);
    bm_chart_destroy(&self->chart);
    bm_free(self->in);
    bm_free(self->out);
    bm_free(self->log_det);
    bm_free(self->row);
    bm_free(self->shape);
    bm_free(self->jacobian);
  }
  bm_free(self);
  *map = NULL;
}

const bm_chart_t *bm_map_chart(const bm_map_t *map)
{
  return map->chart;
}

const bm_layout_t *bm_map_layout(const bm_map_t *map)
{
  return &map->layout;
}

size_t bm_map_base_dimension(const bm_map_t *map)
{
  return map->d;
}

size_t bm_map_dimension(const bm_map_t *map)
{
  return map->shape_d;
}

bm_range_t bm_map_partition(size_t n, int parts, int part)
{
  bm_range_t chunks = bm_partition((n + BM_MAP_CHUNK - 1) / BM_MAP_CHUNK, parts, part);
  size_t first = chunks.first * BM_MAP_CHUNK;
  size_t end = (chunks.first + chunks.count) * BM_MAP_CHUNK;
  first = first < n ? first : n;
  end = end < n ? end : n;
  return (bm_range_t){first, end - first};
}

/* log density of the unscaled coordinates from the base point and the flow's log-determinant. */
static double log_density_of(const bm_map_t *map, const bm_real_t *base /* [d] */, double log_det)
{
  double squares = 0.0;
  for (size_t k = 0; k < map->d; k++) {
    squares += (double)base[k] * (double)base[k];
  }
  return -0.5 * squares - 0.5 * (double)map->d * log(2.0 * M_PI) - log_det - map->log_scale;
}

/* Rows of the chunk that starts at `first`. */
static size_t chunk_rows(size_t n, size_t first)
{
  return n - first < BM_MAP_CHUNK ? n - first : BM_MAP_CHUNK;
}

/* Copy rows into the chunk and fill it up with zeros. */
static void load_base(bm_map_t *map, size_t rows, const double *base)
{
  memset(map->in, 0, BM_MAP_CHUNK * map->d * sizeof *map->in);
  for (size_t i = 0; i < rows * map->d; i++) {
    map->in[i] = (bm_real_t)base[i];
  }
}

/* A row of the flow's coordinates to the shape; what that adds to its log density. */
static double decode_row(const bm_map_t *map, const bm_real_t *y, double *x)
{
  double log_weight;
  for (size_t k = 0; k < map->d; k++) {
    map->row[k] = (double)y[k];
  }
  bm_chart_decode(map->chart, map->row, x, &log_weight);
  return log_weight;
}

bm_status_t bm_map_push(bm_map_t *map, size_t n, const double *base, double *x, double *log_density)
{
  for (size_t first = 0; first < n; first += BM_MAP_CHUNK) {
    size_t rows = chunk_rows(n, first);
    load_base(map, rows, base + first * map->d);
    BM_TRY(map->kind->forward(map, rows));
    for (size_t i = 0; i < rows; i++) {
      double log_weight = decode_row(map, map->out + i * map->d, x + (first + i) * map->shape_d);
      if (log_density != NULL) {
        log_density[first + i] =
            log_density_of(map, map->in + i * map->d, map->log_det[i]) + log_weight;
      }
    }
  }
  return BM_OK;
}

/* Shapes into the chunk, which is filled up with zeros; what decoding adds to their log densities. */
static void load_shapes(bm_map_t *map, size_t rows, const double *x, double *log_weight)
{
  double *same = map->shape; /* decoding gives the shape again */
  memset(map->in, 0, BM_MAP_CHUNK * map->d * sizeof *map->in);
  for (size_t i = 0; i < rows; i++) {
    bm_chart_encode(map->chart, x + i * map->shape_d, map->row);
    for (size_t k = 0; k < map->d; k++) {
      map->in[i * map->d + k] = (bm_real_t)map->row[k];
    }
    bm_chart_decode(map->chart, map->row, same, &log_weight[i]);
  }
}

bm_status_t bm_map_pull(bm_map_t *map, size_t n, const double *x, double *base, double *log_density)
{
  for (size_t first = 0; first < n; first += BM_MAP_CHUNK) {
    size_t rows = chunk_rows(n, first);
    load_shapes(map, rows, x + first * map->shape_d, log_density + first);
    BM_TRY(map->kind->inverse(map, rows));
    for (size_t i = 0; i < rows; i++) {
      log_density[first + i] += log_density_of(map, map->out + i * map->d, map->log_det[i]);
    }
    for (size_t i = 0; base != NULL && i < rows * map->d; i++) {
      base[first * map->d + i] = (double)map->out[i];
    }
  }
  return BM_OK;
}

bm_status_t bm_map_jacobian(bm_map_t *map, size_t n, const double *base, double *jacobian)
{
  const double *scale = bm_chart_scale(map->chart);
  size_t d = map->d;
  if (map->jacobian == NULL) {
    BM_TRY(BM_ALLOC(BM_MAP_CHUNK * d * d, &map->jacobian));
  }
  for (size_t first = 0; first < n; first += BM_MAP_CHUNK) {
    size_t rows = chunk_rows(n, first);
    load_base(map, rows, base + first * d);
    BM_TRY(map->kind->jacobian(map, rows));
    for (size_t i = 0; i < rows * d * d; i++) {
      jacobian[first * d * d + i] = map->jacobian[i] * scale[i / d % d];
    }
  }
  return BM_OK;
}

bm_status_t bm_map_save(bm_map_t *map, bm_state_t *state)
{
  BM_TRY(bm_state_put_string(state, "flow/kind", map->kind->name));
  BM_TRY(map->kind->save(map, state));
  BM_TRY(bm_chart_save(map->chart, state));
  return bm_state_put_string(state, "units/length", map->layout.length_unit);
}

bm_status_t bm_map_load_layout(const bm_state_t *state, int64_t particles, int64_t dimensions,
                               bm_layout_t *layout)
{
  const char *length_unit;
  BM_TRY(bm_state_get_string(state, "units/length", &length_unit));
  *layout = (bm_layout_t){(size_t)particles, (size_t)dimensions,
                          strcmp(length_unit, "nm") == 0 ? "nm" : "1", "1"};
  return BM_OK;
}

bm_status_t bm_map_load(const bm_context_t *context, const bm_state_t *state, bm_map_t **out)
{
  const char *name;
  *out = NULL;
  BM_TRY(bm_state_get_string(state, "flow/kind", &name));
  for (size_t i = 0; table[i] != NULL; i++) {
    if (strcmp(table[i]->name, name) == 0) {
      return table[i]->load(context, state, out);
    }
  }
  return BM_FAIL(BM_ERR_DATA, "the model's flow is of kind '%s', which is not known", name);
}
