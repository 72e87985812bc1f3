/* Maps that are learned: RealNVP flows (paper section 4). */

#include <assert.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "map_parts.h"

#define BM_LAYERS_MOST 1024 /* as in decks */
#define BM_WIDTH_MOST 65536

static const size_t chunk_offset[2] = {0, BM_MAP_CHUNK};
static const bm_shards_t chunk = {1, chunk_offset};

bm_status_t bm_map_create(const bm_flow_shape_t *shape, const bm_layout_t *layout,
                          bm_chart_t *chart, bm_map_t **out)
{
  assert(bm_chart_dimension(chart) == shape->d);
  bm_flow_t *flow = NULL;
  bm_flow_workspace_t *workspace = NULL;
  *out = NULL;
  bm_status_t status = bm_flow_create(shape, &flow);
  if (status == BM_OK) {
    status = bm_flow_workspace_create(flow, BM_MAP_CHUNK, 1, &workspace);
  }
  if (status == BM_OK) {
    status = bm_map_create_common(&bm_map_kind_realnvp, layout, chart, out);
  }
  if (status != BM_OK) {
    bm_flow_workspace_destroy(&workspace);
    bm_flow_destroy(&flow);
    return status;
  }
  (*out)->flow = flow;
  (*out)->workspace = workspace;
  return BM_OK;
}

static void destroy(bm_map_t *map)
{
  bm_flow_workspace_destroy(&map->workspace);
  bm_flow_workspace_destroy(&map->backward);
  bm_flow_destroy(&map->flow);
}

bm_status_t bm_map_freeze(bm_map_t *map)
{
  assert(map->flow != NULL);
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

static bm_status_t forward(bm_map_t *map, size_t rows)
{
  (void)rows;
  bm_flow_forward(map->flow, map->workspace, &chunk, map->in, map->out, map->log_det);
  return BM_OK;
}

static bm_status_t inverse(bm_map_t *map, size_t rows)
{
  (void)rows;
  bm_flow_inverse(map->flow, map->workspace, &chunk, map->in, map->out, map->log_det);
  return BM_OK;
}

static bm_status_t jacobian(bm_map_t *map, size_t rows)
{
  (void)rows;
  if (map->frozen && map->backward == NULL) {
    BM_TRY(bm_flow_workspace_create(map->flow, BM_MAP_CHUNK, 1, &map->backward));
  }
  bm_flow_jacobian(map->flow, map->frozen ? map->backward : map->workspace, &chunk, map->in,
                   map->out, map->log_det, map->jacobian);
  return BM_OK;
}

static bm_status_t save(bm_map_t *map, bm_state_t *state)
{
  const bm_flow_shape_t *shape = bm_flow_shape(map->flow);
  int64_t sizes[4 + BM_HIDDEN_MAX] = {(int64_t)shape->d, (int64_t)shape->layers,
                                      (int64_t)map->layout.particles,
                                      (int64_t)map->layout.dimensions};
  for (size_t l = 0; l < shape->hidden_count; l++) {
    sizes[4 + l] = (int64_t)shape->hidden[l];
  }
  BM_TRY(bm_state_put_string(state, "flow/precision", BM_REAL_NAME));
  BM_TRY(bm_state_put_string(state, "flow/backend", shape->backend->name));
  BM_TRY(bm_state_put_string(state, "flow/kernel", shape->backend->kernel()));
  BM_TRY(bm_state_put_string(state, "flow/activation", bm_activation_names[shape->activation]));
  BM_TRY(bm_state_put_ints(state, "flow/sizes", 4 + shape->hidden_count, sizes));
  BM_TRY(bm_state_put_doubles(state, "flow/scale_cap", 1, &shape->scale_cap));
  return bm_state_put_reals(state, "flow/parameters", bm_flow_parameter_count(map->flow),
                            bm_flow_parameters(map->flow));
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

static bm_status_t load_networks(const bm_state_t *state, bm_flow_shape_t *shape)
{
  const char *activation;
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
  *shape = (bm_flow_shape_t){
      .d = (size_t)sizes[0], .layers = (size_t)sizes[1], .hidden_count = count - 4};
  BM_TRY(load_networks(state, shape));
  for (size_t l = 0; l < shape->hidden_count; l++) {
    shape->hidden[l] = (size_t)sizes[4 + l];
  }
  BM_TRY(bm_map_load_layout(state, sizes[2], sizes[3], layout));
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

static bm_status_t load(const bm_context_t *context, const bm_state_t *state, bm_map_t **out)
{
  (void)context;
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

const bm_map_kind_t bm_map_kind_realnvp = {
    .name = "realnvp",
    .forward = forward,
    .inverse = inverse,
    .jacobian = jacobian,
    .save = save,
    .load = load,
    .destroy = destroy,
};
