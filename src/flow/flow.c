#include "boltzmap/flow/flow.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"

/* One coupling layer's share of the columns and parameters. */
typedef struct {
  size_t kept, kept_count;   /* first kept column, number */
  size_t moved, moved_count; /* first transformed column, number */
  bm_network_shape_t network;
  size_t offset_s, offset_t; /* of the networks in the flat buffer */
} coupling_t;

struct bm_flow {
  bm_flow_shape_t shape;
  coupling_t *couplings; /* [layers] */
  size_t parameter_count;
  bm_real_t *parameters; /* [parameter_count], in use */
  bm_real_t *own;        /* [parameter_count] */
};

/* What one coupling layer keeps for its backward pass. */
typedef struct {
  bm_real_t *a;       /* [rows][kept_count] */
  bm_real_t *b;       /* [rows][moved_count], on the base side */
  bm_real_t *s;       /* [rows][moved_count] */
  bm_real_t *cache_s; /* hidden activations */
  bm_real_t *cache_t;
} layer_cache_t;

#define BM_WIDE 5 /* buffers as wide as a configuration */

struct bm_flow_workspace {
  size_t rows, shards;
  layer_cache_t *layers;
  bm_real_t *block;   /* all caches */
  bm_real_t *t;       /* [rows][d] */
  bm_real_t *ds, *dt; /* [rows][d] */
  bm_real_t *da;      /* [rows][d] */
  bm_real_t *adjoint; /* [rows][d], for Jacobians */
  bm_real_t *scratch;
  bm_real_t *zeros; /* [rows] */
};

static coupling_t make_coupling(const bm_flow_shape_t *shape, size_t k)
{
  size_t half = shape->d / 2;
  coupling_t coupling = {0};
  if (k % 2 == 0) {
    coupling.kept = 0;
    coupling.kept_count = half;
    coupling.moved = half;
    coupling.moved_count = shape->d - half;
  } else {
    coupling.kept = half;
    coupling.kept_count = shape->d - half;
    coupling.moved = 0;
    coupling.moved_count = half;
  }
  coupling.network = (bm_network_shape_t){.in = coupling.kept_count,
                                          .out = coupling.moved_count,
                                          .hidden_count = shape->hidden_count,
                                          .activation = shape->activation};
  memcpy(coupling.network.hidden, shape->hidden, sizeof shape->hidden);
  return coupling;
}

bm_status_t bm_flow_create(const bm_flow_shape_t *shape, bm_flow_t **out)
{
  assert(shape->d >= 2 && shape->layers > 0 && shape->scale_cap > 0.0);
  assert(shape->hidden_count >= 1 && shape->hidden_count <= BM_HIDDEN_MAX);
  bm_flow_t *flow;
  *out = NULL;
  BM_TRY(BM_ALLOC(1, &flow));
  flow->shape = *shape;
  bm_status_t status = BM_ALLOC(shape->layers, &flow->couplings);
  for (size_t k = 0; status == BM_OK && k < shape->layers; k++) {
    coupling_t coupling = make_coupling(shape, k);
    size_t count = bm_network_parameter_count(&coupling.network);
    coupling.offset_s = flow->parameter_count;
    coupling.offset_t = flow->parameter_count + count;
    flow->parameter_count += 2 * count;
    flow->couplings[k] = coupling;
  }
  if (status == BM_OK) {
    status = BM_ALLOC(flow->parameter_count, &flow->own);
    flow->parameters = flow->own;
  }
  if (status != BM_OK) {
    bm_flow_destroy(&flow);
    return status;
  }
  *out = flow;
  return BM_OK;
}

void bm_flow_destroy(bm_flow_t **flow)
{
  if (*flow != NULL) {
    bm_free((*flow)->couplings);
    bm_free((*flow)->own);
  }
  bm_free(*flow);
  *flow = NULL;
}

const bm_flow_shape_t *bm_flow_shape(const bm_flow_t *flow)
{
  return &flow->shape;
}

size_t bm_flow_parameter_count(const bm_flow_t *flow)
{
  return flow->parameter_count;
}

size_t bm_flow_shape_parameters(const bm_flow_shape_t *shape)
{
  size_t count = 0;
  for (size_t k = 0; k < shape->layers; k++) {
    bm_network_shape_t network = make_coupling(shape, k).network;
    count += 2 * bm_network_parameter_count(&network);
  }
  return count;
}

size_t bm_flow_masked_equivalent(const bm_flow_shape_t *shape)
{
  bm_network_shape_t full = make_coupling(shape, 0).network;
  full.in = shape->d;
  full.out = shape->d;
  return 2 * shape->layers * bm_network_parameter_count(&full);
}

bm_network_shape_t bm_flow_conditioner(const bm_flow_shape_t *shape, size_t k)
{
  return make_coupling(shape, k).network;
}

bm_real_t *bm_flow_parameters(bm_flow_t *flow)
{
  return flow->parameters;
}

void bm_flow_borrow(bm_flow_t *flow, bm_real_t *parameters)
{
  if (parameters == NULL && flow->parameters != flow->own) {
    memcpy(flow->own, flow->parameters, flow->parameter_count * sizeof *flow->own);
  }
  flow->parameters = parameters == NULL ? flow->own : parameters;
}

/* One network's weights; `stream` tells networks apart. */
static void initialise_network(const bm_network_shape_t *network, bm_random_t random,
                               uint32_t stream, bm_real_t *parameters)
{
  size_t in = network->in;
  for (size_t l = 0; l <= network->hidden_count; l++) {
    int last = l == network->hidden_count;
    size_t out = last ? network->out : network->hidden[l];
    double gain = network->activation == BM_RELU ? 2.0 : 1.0;
    double deviation = sqrt(gain / (double)in) * (last ? 0.01 : 1.0);
    for (size_t i = 0; i < in * out; i += 2) {
      double normal[2];
      bm_random_normal2(random, stream, i / 2, (uint32_t)l, normal);
      parameters[i] = (bm_real_t)(deviation * normal[0]);
      if (i + 1 < in * out) {
        parameters[i + 1] = (bm_real_t)(deviation * normal[1]);
      }
    }
    memset(parameters + in * out, 0, out * sizeof *parameters);
    parameters += bm_dense_parameter_count(in, out);
    in = out;
  }
}

void bm_flow_initialise(bm_flow_t *flow, uint64_t seed)
{
  bm_random_t random = bm_random(seed, BM_PURPOSE_FLOW_INIT);
  for (size_t k = 0; k < flow->shape.layers; k++) {
    const coupling_t *coupling = &flow->couplings[k];
    initialise_network(&coupling->network, random, (uint32_t)(2 * k),
                       flow->parameters + coupling->offset_s);
    initialise_network(&coupling->network, random, (uint32_t)(2 * k + 1),
                       flow->parameters + coupling->offset_t);
  }
}

/* Items a coupling layer keeps a row. */
static size_t cache_items(const coupling_t *coupling)
{
  return coupling->kept_count + 2 * coupling->moved_count +
         2 * bm_network_cache(&coupling->network);
}

static void place_caches(const bm_flow_t *flow, bm_flow_workspace_t *workspace)
{
  bm_real_t *next = workspace->block;
  for (size_t k = 0; k < flow->shape.layers; k++) {
    const coupling_t *coupling = &flow->couplings[k];
    layer_cache_t *cache = &workspace->layers[k];
    cache->a = next;
    cache->b = cache->a + workspace->rows * coupling->kept_count;
    cache->s = cache->b + workspace->rows * coupling->moved_count;
    cache->cache_s = cache->s + workspace->rows * coupling->moved_count;
    cache->cache_t = cache->cache_s + workspace->rows * bm_network_cache(&coupling->network);
    next = cache->cache_t + workspace->rows * bm_network_cache(&coupling->network);
  }
}

/* Items that a row of a batch is kept in, for all layers, and items of scratch. */
static size_t count_items(const bm_flow_shape_t *shape, size_t rows, size_t shards, size_t *scratch)
{
  size_t items = 0;
  *scratch = 0;
  for (size_t k = 0; k < shape->layers; k++) {
    coupling_t coupling = make_coupling(shape, k);
    items += cache_items(&coupling);
    size_t need = bm_network_scratch(&coupling.network, rows, shards);
    *scratch = need > *scratch ? need : *scratch;
  }
  return items;
}

double bm_flow_workspace_bytes(const bm_flow_shape_t *shape, size_t rows, size_t shards)
{
  size_t scratch;
  size_t items = count_items(shape, rows, shards, &scratch) + BM_WIDE * shape->d + 1;
  return sizeof(bm_real_t) * ((double)rows * (double)items + (double)scratch);
}

bm_status_t bm_flow_workspace_create(const bm_flow_t *flow, size_t rows, size_t shards,
                                     bm_flow_workspace_t **out)
{
  bm_flow_workspace_t *workspace;
  *out = NULL;
  BM_TRY(BM_ALLOC(1, &workspace));
  workspace->rows = rows;
  workspace->shards = shards;
  size_t scratch;
  size_t items = count_items(&flow->shape, rows, shards, &scratch);
  bm_real_t **wide[BM_WIDE] = {&workspace->t, &workspace->ds, &workspace->dt, &workspace->da,
                               &workspace->adjoint};
  bm_status_t status = BM_ALLOC(flow->shape.layers, &workspace->layers);
  if (status == BM_OK) {
    status = BM_ALLOC(rows * items, &workspace->block);
  }
  for (size_t i = 0; status == BM_OK && i < sizeof wide / sizeof wide[0]; i++) {
    status = BM_ALLOC(rows * flow->shape.d, wide[i]);
  }
  if (status == BM_OK) {
    status = BM_ALLOC(rows, &workspace->zeros);
  }
  if (status == BM_OK) {
    status = BM_ALLOC(scratch, &workspace->scratch);
  }
  if (status != BM_OK) {
    bm_flow_workspace_destroy(&workspace);
    return status;
  }
  place_caches(flow, workspace);
  *out = workspace;
  return BM_OK;
}

void bm_flow_workspace_destroy(bm_flow_workspace_t **workspace)
{
  if (*workspace != NULL) {
    bm_free((*workspace)->layers);
    bm_free((*workspace)->block);
    bm_free((*workspace)->t);
    bm_free((*workspace)->ds);
    bm_free((*workspace)->dt);
    bm_free((*workspace)->da);
    bm_free((*workspace)->adjoint);
    bm_free((*workspace)->scratch);
    bm_free((*workspace)->zeros);
  }
  bm_free(*workspace);
  *workspace = NULL;
}

static size_t row_count(const bm_flow_workspace_t *workspace, const bm_shards_t *shards)
{
  size_t rows = shards->offset[shards->count];
  assert(rows <= workspace->rows && shards->count <= workspace->shards);
  return rows;
}

/* Run both networks on the kept columns of z: fills the cache's a and s, and t. */
static void conditioner(const bm_flow_t *flow, size_t k, bm_flow_workspace_t *workspace,
                        const bm_shards_t *shards, const bm_real_t *z /* [rows][d] */)
{
  const coupling_t *coupling = &flow->couplings[k];
  layer_cache_t *cache = &workspace->layers[k];
  size_t rows = shards->offset[shards->count];
  size_t d = flow->shape.d;
  for (size_t i = 0; i < rows; i++) {
    memcpy(cache->a + i * coupling->kept_count, z + i * d + coupling->kept,
           coupling->kept_count * sizeof *z);
  }
  bm_network_forward(&coupling->network, flow->parameters + coupling->offset_s, shards, cache->a,
                     cache->s, cache->cache_s, workspace->scratch);
  bm_network_forward(&coupling->network, flow->parameters + coupling->offset_t, shards, cache->a,
                     workspace->t, cache->cache_t, workspace->scratch);
  double cap = flow->shape.scale_cap;
  for (size_t i = 0; i < rows * coupling->moved_count; i++) {
    cache->s[i] = (bm_real_t)(cap * tanh((double)cache->s[i] / cap));
  }
}

static bm_real_t real_exp(bm_real_t x)
{
#ifdef BM_REAL_IS_DOUBLE
  return exp(x);
#else
  return expf(x);
#endif
}

void bm_flow_forward(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                     const bm_shards_t *shards, const bm_real_t *x, bm_real_t *y, double *log_det)
{
  size_t rows = row_count(workspace, shards);
  size_t d = flow->shape.d;
  memmove(y, x, rows * d * sizeof *y);
  memset(log_det, 0, rows * sizeof *log_det);
  for (size_t k = 0; k < flow->shape.layers; k++) {
    const coupling_t *coupling = &flow->couplings[k];
    layer_cache_t *cache = &workspace->layers[k];
    conditioner(flow, k, workspace, shards, y);
    for (size_t i = 0; i < rows; i++) {
      for (size_t j = 0; j < coupling->moved_count; j++) {
        size_t at = i * coupling->moved_count + j;
        bm_real_t *value = &y[i * d + coupling->moved + j];
        cache->b[at] = *value;
        *value = *value * real_exp(cache->s[at]) + workspace->t[at];
        log_det[i] += (double)cache->s[at];
      }
    }
  }
}

void bm_flow_inverse(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                     const bm_shards_t *shards, const bm_real_t *y, bm_real_t *x, double *log_det)
{
  size_t rows = row_count(workspace, shards);
  size_t d = flow->shape.d;
  memmove(x, y, rows * d * sizeof *x);
  memset(log_det, 0, rows * sizeof *log_det);
  for (size_t k = flow->shape.layers; k-- > 0;) {
    const coupling_t *coupling = &flow->couplings[k];
    layer_cache_t *cache = &workspace->layers[k];
    conditioner(flow, k, workspace, shards, x);
    for (size_t i = 0; i < rows; i++) {
      for (size_t j = 0; j < coupling->moved_count; j++) {
        size_t at = i * coupling->moved_count + j;
        bm_real_t *value = &x[i * d + coupling->moved + j];
        *value = (*value - workspace->t[at]) * real_exp(-cache->s[at]);
        cache->b[at] = *value;
        log_det[i] += (double)cache->s[at];
      }
    }
  }
}

/* From the adjoints of s and t in the workspace to those of the kept columns and the parameters. */
static void conditioner_backward(const bm_flow_t *flow, size_t k, bm_flow_workspace_t *workspace,
                                 const bm_shards_t *shards, bm_real_t *adjoint /* [rows][d] */,
                                 const bm_gradient_sink_t *sink)
{
  bm_real_t *gradient = sink == NULL ? NULL : sink->gradient;
  const coupling_t *coupling = &flow->couplings[k];
  const layer_cache_t *cache = &workspace->layers[k];
  size_t rows = shards->offset[shards->count];
  bm_real_t cap = (bm_real_t)flow->shape.scale_cap;
  for (size_t i = 0; i < rows * coupling->moved_count; i++) {
    bm_real_t ratio = cache->s[i] / cap;
    workspace->ds[i] *= 1 - ratio * ratio;
  }
  const struct {
    size_t offset;
    const bm_real_t *cache;
    bm_real_t *adjoint;
  } networks[2] = {{coupling->offset_s, cache->cache_s, workspace->ds},
                   {coupling->offset_t, cache->cache_t, workspace->dt}};
  for (int n = 0; n < 2; n++) {
    bm_network_backward(&coupling->network, flow->parameters + networks[n].offset, shards, cache->a,
                        networks[n].cache, networks[n].adjoint, workspace->da,
                        gradient == NULL ? NULL : gradient + networks[n].offset,
                        workspace->scratch);
    for (size_t i = 0; i < rows; i++) {
      for (size_t j = 0; j < coupling->kept_count; j++) {
        adjoint[i * flow->shape.d + coupling->kept + j] +=
            workspace->da[i * coupling->kept_count + j];
      }
    }
  }
  if (sink != NULL && sink->ready != NULL) {
    sink->ready(sink->self, coupling->offset_s, 2 * bm_network_parameter_count(&coupling->network));
  }
}

void bm_flow_forward_backward(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                              const bm_shards_t *shards, bm_real_t *adjoint,
                              const bm_real_t *d_log_det, const bm_gradient_sink_t *sink)
{
  size_t rows = row_count(workspace, shards);
  size_t d = flow->shape.d;
  for (size_t k = flow->shape.layers; k-- > 0;) {
    const coupling_t *coupling = &flow->couplings[k];
    const layer_cache_t *cache = &workspace->layers[k];
    for (size_t i = 0; i < rows; i++) {
      for (size_t j = 0; j < coupling->moved_count; j++) {
        size_t at = i * coupling->moved_count + j;
        bm_real_t *dy = &adjoint[i * d + coupling->moved + j];
        bm_real_t scale = real_exp(cache->s[at]);
        workspace->ds[at] = *dy * cache->b[at] * scale + d_log_det[i];
        workspace->dt[at] = *dy;
        *dy *= scale;
      }
    }
    conditioner_backward(flow, k, workspace, shards, adjoint, sink);
  }
}

void bm_flow_inverse_backward(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                              const bm_shards_t *shards, bm_real_t *adjoint,
                              const bm_real_t *d_log_det, const bm_gradient_sink_t *sink)
{
  size_t rows = row_count(workspace, shards);
  size_t d = flow->shape.d;
  for (size_t k = 0; k < flow->shape.layers; k++) {
    const coupling_t *coupling = &flow->couplings[k];
    const layer_cache_t *cache = &workspace->layers[k];
    for (size_t i = 0; i < rows; i++) {
      for (size_t j = 0; j < coupling->moved_count; j++) {
        size_t at = i * coupling->moved_count + j;
        bm_real_t *dx = &adjoint[i * d + coupling->moved + j];
        bm_real_t through = *dx * real_exp(-cache->s[at]);
        workspace->ds[at] = d_log_det[i] - *dx * cache->b[at];
        workspace->dt[at] = -through;
        *dx = through;
      }
    }
    conditioner_backward(flow, k, workspace, shards, adjoint, sink);
  }
}

void bm_flow_jacobian(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                      const bm_shards_t *shards, const bm_real_t *x, bm_real_t *y, double *log_det,
                      double *jacobian)
{
  size_t rows = row_count(workspace, shards);
  size_t d = flow->shape.d;
  bm_flow_forward(flow, workspace, shards, x, y, log_det);
  for (size_t out = 0; out < d; out++) {
    memset(workspace->adjoint, 0, rows * d * sizeof *workspace->adjoint);
    for (size_t i = 0; i < rows; i++) {
      workspace->adjoint[i * d + out] = 1;
    }
    bm_flow_forward_backward(flow, workspace, shards, workspace->adjoint, workspace->zeros, NULL);
    for (size_t i = 0; i < rows; i++) {
      for (size_t in = 0; in < d; in++) {
        jacobian[(i * d + out) * d + in] = (double)workspace->adjoint[i * d + in];
      }
    }
  }
}
