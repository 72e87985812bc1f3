#include "boltzmap/transport/map.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"

#define BM_FLOW_KIND "realnvp"
#define BM_LAYERS_MOST 1024 /* as in decks */
#define BM_WIDTH_MOST 65536

struct bm_map {
  bm_flow_t *flow;
  bm_flow_workspace_t *workspace; /* of a frozen map: without backward passes */
  bm_flow_workspace_t *backward;  /* for Jacobians of a frozen map; NULL until one is asked for */
  bm_chart_t *chart;
  bm_layout_t layout; /* of a shape */
  size_t d, shape_d;
  int frozen;
  double log_scale;    /* log-determinant of the chart's scales */
  bm_real_t *in, *out; /* [BM_MAP_CHUNK][d] */
  double *log_det;     /* [BM_MAP_CHUNK] */
  double *row;         /* [d], one row in the chart's coordinates */
  double *shape;       /* [shape d] */
  double *jacobian;    /* [BM_MAP_CHUNK][d][d]; NULL until one is asked for */
};

static const size_t chunk_offset[2] = {0, BM_MAP_CHUNK};
static const bm_shards_t chunk = {1, chunk_offset};

bm_status_t bm_map_create(const bm_flow_shape_t *shape, const bm_layout_t *layout,
                          bm_chart_t *chart, bm_map_t **out)
{
  assert(bm_chart_dimension(chart) == shape->d);
  bm_map_t *map;
  *out = NULL;
  BM_TRY(BM_ALLOC(1, &map));
  map->layout = *layout;
  map->shape_d = bm_chart_shape_dimension(chart);
  map->layout.particles = bm_chart_particles(chart);
  map->layout.dimensions = map->shape_d / map->layout.particles;
  map->d = shape->d;
  size_t items = BM_MAP_CHUNK * map->d;
  bm_status_t status = bm_flow_create(shape, &map->flow);
  if (status == BM_OK) {
    status = bm_flow_workspace_create(map->flow, BM_MAP_CHUNK, 1, &map->workspace);
  }
  if (status == BM_OK) {
    status = BM_ALLOC(items, &map->in);
  }
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
    bm_flow_workspace_destroy(&self->workspace);
    bm_flow_workspace_destroy(&self->backward);
    bm_flow_destroy(&self->flow);
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

bm_status_t bm_map_freeze(bm_map_t *map)
{
  bm_flow_workspace_t *workspace;
  BM_TRY(bm_flow_workspace_freeze(map->flow, BM_MAP_CHUNK, 1, &workspace));
  bm_flow_workspace_destroy(&map->workspace);
  map->workspace = workspace;
  map->frozen = 1;
  return BM_OK;
}

bm_flow_t *bm_map_flow(bm_map_t *map)
{
  return map->flow;
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

void bm_map_push(bm_map_t *map, size_t n, const double *base, double *x, double *log_density)
{
  for (size_t first = 0; first < n; first += BM_MAP_CHUNK) {
    size_t rows = chunk_rows(n, first);
    load_base(map, rows, base + first * map->d);
    bm_flow_forward(map->flow, map->workspace, &chunk, map->in, map->out, map->log_det);
    for (size_t i = 0; i < rows; i++) {
      double log_weight = decode_row(map, map->out + i * map->d, x + (first + i) * map->shape_d);
      if (log_density != NULL) {
        log_density[first + i] =
            log_density_of(map, map->in + i * map->d, map->log_det[i]) + log_weight;
      }
    }
  }
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

void bm_map_pull(bm_map_t *map, size_t n, const double *x, double *base, double *log_density)
{
  for (size_t first = 0; first < n; first += BM_MAP_CHUNK) {
    size_t rows = chunk_rows(n, first);
    load_shapes(map, rows, x + first * map->shape_d, log_density + first);
    bm_flow_inverse(map->flow, map->workspace, &chunk, map->in, map->out, map->log_det);
    for (size_t i = 0; i < rows; i++) {
      log_density[first + i] += log_density_of(map, map->out + i * map->d, map->log_det[i]);
    }
    for (size_t i = 0; base != NULL && i < rows * map->d; i++) {
      base[first * map->d + i] = (double)map->out[i];
    }
  }
}

bm_status_t bm_map_jacobian(bm_map_t *map, size_t n, const double *base, double *jacobian)
{
  const double *scale = bm_chart_scale(map->chart);
  size_t d = map->d;
  if (map->jacobian == NULL) {
    BM_TRY(BM_ALLOC(BM_MAP_CHUNK * d * d, &map->jacobian));
  }
  if (map->frozen && map->backward == NULL) {
    BM_TRY(bm_flow_workspace_create(map->flow, BM_MAP_CHUNK, 1, &map->backward));
  }
  bm_flow_workspace_t *workspace = map->frozen ? map->backward : map->workspace;
  for (size_t first = 0; first < n; first += BM_MAP_CHUNK) {
    size_t rows = chunk_rows(n, first);
    load_base(map, rows, base + first * d);
    bm_flow_jacobian(map->flow, workspace, &chunk, map->in, map->out, map->log_det, map->jacobian);
    for (size_t i = 0; i < rows * d * d; i++) {
      jacobian[first * d * d + i] = map->jacobian[i] * scale[i / d % d];
    }
  }
  return BM_OK;
}

bm_status_t bm_map_save(bm_map_t *map, bm_state_t *state)
{
  const bm_flow_shape_t *shape = bm_flow_shape(map->flow);
  int64_t sizes[4 + BM_HIDDEN_MAX] = {(int64_t)shape->d, (int64_t)shape->layers,
                                      (int64_t)map->layout.particles,
                                      (int64_t)map->layout.dimensions};
  for (size_t l = 0; l < shape->hidden_count; l++) {
    sizes[4 + l] = (int64_t)shape->hidden[l];
  }
  BM_TRY(bm_state_put_string(state, "flow/kind", BM_FLOW_KIND));
  BM_TRY(bm_state_put_string(state, "flow/precision", BM_REAL_NAME));
  BM_TRY(bm_state_put_string(state, "flow/backend", shape->backend->name));
  BM_TRY(bm_state_put_string(state, "flow/kernel", shape->backend->kernel()));
  BM_TRY(bm_state_put_string(state, "flow/activation", bm_activation_names[shape->activation]));
  BM_TRY(bm_state_put_ints(state, "flow/sizes", 4 + shape->hidden_count, sizes));
  BM_TRY(bm_state_put_doubles(state, "flow/scale_cap", 1, &shape->scale_cap));
  BM_TRY(bm_state_put_reals(state, "flow/parameters", bm_flow_parameter_count(map->flow),
                            bm_flow_parameters(map->flow)));
  BM_TRY(bm_chart_save(map->chart, state));
  return bm_state_put_string(state, "units/length", map->layout.length_unit);
}

/* Sizes that a healthy file can have, far from those whose products overflow; anything else would be a wrong
 * or forged file. */
static bm_status_t check_sizes(const int64_t *sizes, size_t count)
{
  int good = sizes[0] >= 2 && sizes[1] <= BM_LAYERS_MOST && sizes[3] <= 3;
  for (size_t i = 0; i < count; i++) {
    good = good && sizes[i] > 0 && sizes[i] <= (i < 4 ? 1 << 20 : BM_WIDTH_MOST);
  }
  return good ? BM_OK : BM_FAIL(BM_ERR_DATA, "the model's sizes make no sense");
}

static bm_status_t load_kind(const bm_state_t *state, bm_flow_shape_t *shape)
{
  const char *kind;
  const char *activation;
  BM_TRY(bm_state_get_string(state, "flow/kind", &kind));
  if (strcmp(kind, BM_FLOW_KIND) != 0) {
    return BM_FAIL(BM_ERR_DATA, "the model's flow is of kind '%s', which is not known", kind);
  }
  BM_TRY(bm_state_get_string(state, "flow/activation", &activation));
  BM_TRY(bm_activation_find(activation, &shape->activation));
  if (bm_state_count(state, "flow/backend") > 0) { /* older models do not say */
    const char *backend;
    BM_TRY(bm_state_get_string(state, "flow/backend", &backend));
    shape->backend = bm_network_find(backend);
    if (shape->backend == NULL) {
      return BM_FAIL(BM_ERR_DATA, "the model's back end '%s' is not known", backend);
    }
  }
  return BM_OK;
}

static bm_status_t load_shape(const bm_state_t *state, bm_flow_shape_t *shape, bm_layout_t *layout)
{
  int64_t sizes[4 + BM_HIDDEN_MAX];
  size_t count = bm_state_count(state, "flow/sizes");
  if (count < 5 || count > 4 + BM_HIDDEN_MAX) {
    return BM_FAIL(BM_ERR_DATA, "the model's block 'flow/sizes' is missing or has a wrong length");
  }
  BM_TRY(bm_state_get_ints(state, "flow/sizes", count, sizes));
  BM_TRY(check_sizes(sizes, count));
  const char *length_unit;
  BM_TRY(bm_state_get_string(state, "units/length", &length_unit));
  *shape = (bm_flow_shape_t){
      .d = (size_t)sizes[0], .layers = (size_t)sizes[1], .hidden_count = count - 4};
  BM_TRY(load_kind(state, shape));
  for (size_t l = 0; l < shape->hidden_count; l++) {
    shape->hidden[l] = (size_t)sizes[4 + l];
  }
  *layout = (bm_layout_t){(size_t)sizes[2], (size_t)sizes[3],
                          strcmp(length_unit, "nm") == 0 ? "nm" : "1", "1"};
  BM_TRY(bm_state_get_doubles(state, "flow/scale_cap", 1, &shape->scale_cap));
  return shape->scale_cap > 0.0 && shape->scale_cap <= BM_SCALE_CAP_MAX
             ? BM_OK
             : BM_FAIL(BM_ERR_DATA, "the model's scale_cap is not in (0, %g]", BM_SCALE_CAP_MAX);
}

/* What a training never leaves. */
static bm_status_t check_finite(bm_map_t *map)
{
  int good = 1;
  for (size_t i = 0; i < bm_flow_parameter_count(map->flow); i++) {
    good = good && isfinite(bm_flow_parameters(map->flow)[i]);
  }
  return good ? BM_OK : BM_FAIL(BM_ERR_DATA, "the model's parameters are not finite numbers");
}

bm_status_t bm_map_load(const bm_state_t *state, bm_map_t **out)
{
  *out = NULL;
  bm_flow_shape_t shape;
  bm_layout_t layout;
  BM_TRY(load_shape(state, &shape, &layout));
  bm_chart_t *chart = NULL;
  BM_TRY(bm_chart_load(state, layout.particles, layout.dimensions, &chart));
  /* before there is memory for what may be none of this file's */
  const size_t parameters = bm_state_count(state, "flow/parameters");
  bm_status_t status =
      bm_chart_dimension(chart) == shape.d && bm_flow_shape_parameters(&shape) == parameters
          ? bm_map_create(&shape, &layout, chart, out)
          : BM_FAIL(BM_ERR_DATA, "the model's sizes make no sense");
  if (status != BM_OK) {
    bm_chart_destroy(&chart);
    return status;
  }
  status = bm_state_get_reals(state, "flow/parameters", bm_flow_parameter_count((*out)->flow),
                              bm_flow_parameters((*out)->flow));
  if (status == BM_OK) {
    status = check_finite(*out);
  }
  if (status == BM_OK) {
    status = bm_map_freeze(*out);
  }
  if (status != BM_OK) {
    bm_map_destroy(out);
  }
  return status;
}
