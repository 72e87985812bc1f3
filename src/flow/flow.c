#include "boltzmap/flow/flow.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"

/* One coupling layer's share of the columns and parameters. */
typedef struct {
  size_t kept_count, moved_count; /* columns that go into the networks, and that are transformed */
  bm_network_shape_t network;
  size_t offset_s, offset_t; /* of the networks in the flat buffer */
} coupling_t;

struct bm_flow {
  bm_flow_shape_t shape; /* with its back end */
  coupling_t *couplings; /* [layers] */
  size_t parameter_count;
  bm_real_t *parameters; /* [parameter_count], in use */
  bm_real_t *own;        /* [parameter_count] */
};

#define BM_WIDE 5 /* buffers as wide as the wider half of a configuration */

/* The columns of a configuration are kept as two halves, those of even number in the order of the layers,
 * which transform them, and those of odd number: halves[k + 1] goes into the networks of layer k, which
 * turns halves[k], on the base side, into halves[k + 2] or back. halves[0] and halves[1] are the base
 * point, the last two the data point. */
struct bm_flow_workspace {
  size_t rows, shards;
  bm_real_t **halves;  /* [layers + 2], each [rows][its columns] */
  bm_real_t **s;       /* [layers], each [rows][moved_count] */
  bm_real_t **cache_s; /* [layers], of the networks */
  bm_real_t **cache_t;
  bm_real_t *block;           /* all of these */
  bm_real_t *packed;          /* parameters of all networks, or NULL */
  bm_real_t *t, *e;           /* [rows][moved_count] */
  bm_real_t *ds, *dt;         /* [rows][moved_count] */
  bm_real_t *da;              /* [rows][kept_count] */
  bm_real_t *half_adjoint[2]; /* of the halves of even and odd number */
  bm_real_t *adjoint;         /* [rows][d], for Jacobians */
  bm_real_t *zeros;           /* [rows] */
  bm_real_t *scratch;
};

static coupling_t make_coupling(const bm_flow_shape_t *shape, size_t k)
{
  size_t half = shape->d / 2;
  coupling_t coupling = {0};
  coupling.kept_count = k % 2 == 0 ? half : shape->d - half;
  coupling.moved_count = shape->d - coupling.kept_count;
  coupling.network = (bm_network_shape_t){.in = coupling.kept_count,
                                          .out = coupling.moved_count,
                                          .hidden_count = shape->hidden_count,
                                          .activation = shape->activation};
  memcpy(coupling.network.hidden, shape->hidden, sizeof shape->hidden);
  return coupling;
}

const bm_network_ops_t *bm_flow_backend(const bm_flow_shape_t *shape)
{
  bm_network_shape_t network = make_coupling(shape, 0).network;
  return shape->backend != NULL ? shape->backend : bm_network_choose(&network);
}

bm_status_t bm_flow_create(const bm_flow_shape_t *shape, bm_flow_t **out)
{
  assert(shape->d >= 2 && shape->layers > 0 && shape->scale_cap > 0.0 &&
         shape->scale_cap <= BM_SCALE_CAP_MAX);
  assert(shape->hidden_count >= 1 && shape->hidden_count <= BM_HIDDEN_MAX);
  bm_flow_t *flow;
  *out = NULL;
  BM_TRY(BM_ALLOC(1, &flow));
  flow->shape = *shape;
  flow->shape.backend = bm_flow_backend(shape);
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

/* Columns of a half of this number. */
static size_t half_columns(const bm_flow_shape_t *shape, size_t half)
{
  return half % 2 == 1 ? shape->d / 2 : shape->d - shape->d / 2;
}

/* Give all buffers of a pass their places from `block` on, where there is a workspace; gives the number of
 * items. What a backward pass needs of a layer has a place of its own, unless there will be none. */
static size_t place(const bm_flow_shape_t *shape, size_t rows, int backward,
                    bm_flow_workspace_t *workspace)
{
  const bm_network_ops_t *backend = bm_flow_backend(shape);
  size_t items = 0;
  for (size_t i = 0; i < shape->layers + 2; i++) {
    if (workspace != NULL) {
      workspace->halves[i] = workspace->block + items;
    }
    items += rows * half_columns(shape, i);
  }
  size_t most = 0;
  for (size_t k = 0; k < shape->layers; k++) {
    coupling_t coupling = make_coupling(shape, k);
    const size_t cache = backend->cache(&coupling.network, rows);
    const size_t need = rows * coupling.moved_count + (backward ? 2 : 1) * cache;
    if (workspace != NULL) {
      workspace->s[k] = workspace->block + items;
      workspace->cache_s[k] = workspace->s[k] + rows * coupling.moved_count;
      workspace->cache_t[k] = workspace->cache_s[k] + (backward ? cache : 0);
    }
    items += backward ? need : 0;
    most = need > most ? need : most;
  }
  return items + (backward ? 0 : most);
}

/* Items of packed parameters before those of layer k. */
static size_t packed_before(const bm_flow_shape_t *shape, size_t k)
{
  size_t items = 0;
  for (size_t i = 0; i < k; i++) {
    coupling_t coupling = make_coupling(shape, i);
    items += 2 * shape->backend->packed(&coupling.network);
  }
  return items;
}

static size_t scratch_items(const bm_flow_shape_t *shape, size_t rows, size_t shards)
{
  const bm_network_ops_t *backend = bm_flow_backend(shape);
  size_t most = 0;
  for (size_t k = 0; k < 2 && k < shape->layers; k++) {
    coupling_t coupling = make_coupling(shape, k);
    size_t need = backend->scratch(&coupling.network, rows, shards);
    most = need > most ? need : most;
  }
  return most;
}

double bm_flow_workspace_bytes(const bm_flow_shape_t *shape, size_t rows, size_t shards)
{
  size_t wide = BM_WIDE * half_columns(shape, 0) + 2 * shape->d + 1;
  return (double)sizeof(bm_real_t) *
         ((double)place(shape, rows, 1, NULL) + (double)scratch_items(shape, rows, shards) +
          (double)rows * (double)wide);
}

static bm_status_t create(const bm_flow_t *flow, const size_t size[2] /* rows, shards */,
                          int backward, bm_flow_workspace_t **out)
{
  const bm_flow_shape_t *shape = &flow->shape;
  const size_t rows = size[0];
  const size_t even = rows * half_columns(shape, 0); /* the wider half, or as wide */
  bm_flow_workspace_t *workspace;
  *out = NULL;
  BM_TRY(BM_ALLOC(1, &workspace));
  workspace->rows = rows;
  workspace->shards = size[1];
  bm_status_t status = BM_ALLOC(shape->layers + 2, &workspace->halves);
  bm_real_t ***tables[] = {&workspace->s, &workspace->cache_s, &workspace->cache_t};
  for (size_t i = 0; status == BM_OK && i < sizeof tables / sizeof tables[0]; i++) {
    status = BM_ALLOC(shape->layers, tables[i]);
  }
  const struct {
    size_t items;
    bm_real_t **block;
  } blocks[] = {{place(shape, rows, backward, NULL), &workspace->block},
                {even, &workspace->t},
                {even, &workspace->e},
                {scratch_items(shape, rows, size[1]), &workspace->scratch},
                {backward ? 0 : packed_before(shape, shape->layers), &workspace->packed},
                {backward ? even : 0, &workspace->ds},
                {backward ? even : 0, &workspace->dt},
                {backward ? even : 0, &workspace->da},
                {backward ? even : 0, &workspace->half_adjoint[0]},
                {backward ? rows * half_columns(shape, 1) : 0, &workspace->half_adjoint[1]},
                {backward ? rows * shape->d : 0, &workspace->adjoint},
                {backward ? rows : 0, &workspace->zeros}};
  for (size_t i = 0; status == BM_OK && i < sizeof blocks / sizeof blocks[0]; i++) {
    if (blocks[i].items > 0) {
      status = BM_ALLOC(blocks[i].items, blocks[i].block);
    }
  }
  if (status != BM_OK) {
    bm_flow_workspace_destroy(&workspace);
    return status;
  }
  place(shape, rows, backward, workspace);
  *out = workspace;
  return BM_OK;
}

bm_status_t bm_flow_workspace_create(const bm_flow_t *flow, size_t rows, size_t shards,
                                     bm_flow_workspace_t **out)
{
  return create(flow, (size_t[2]){rows, shards}, 1, out);
}

bm_status_t bm_flow_workspace_freeze(const bm_flow_t *flow, size_t rows, size_t shards,
                                     bm_flow_workspace_t **out)
{
  BM_TRY(create(flow, (size_t[2]){rows, shards}, 0, out));
  for (size_t k = 0; (*out)->packed != NULL && k < flow->shape.layers; k++) {
    const coupling_t *coupling = &flow->couplings[k];
    const bm_network_ops_t *backend = flow->shape.backend;
    bm_real_t *packed = (*out)->packed + packed_before(&flow->shape, k);
    backend->pack(&coupling->network, flow->parameters + coupling->offset_s, packed);
    backend->pack(&coupling->network, flow->parameters + coupling->offset_t,
                  packed + backend->packed(&coupling->network));
  }
  return BM_OK;
}

void bm_flow_workspace_destroy(bm_flow_workspace_t **workspace)
{
  bm_flow_workspace_t *self = *workspace;
  if (self != NULL) {
    void *blocks[] = {self->halves,
                      self->s,
                      self->cache_s,
                      self->cache_t,
                      self->block,
                      self->packed,
                      self->t,
                      self->e,
                      self->ds,
                      self->dt,
                      self->da,
                      self->half_adjoint[0],
                      self->half_adjoint[1],
                      self->adjoint,
                      self->zeros,
                      self->scratch};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
      bm_free(blocks[i]);
    }
  }
  bm_free(self);
  *workspace = NULL;
}

static size_t row_count(const bm_flow_workspace_t *workspace, const bm_shards_t *shards)
{
  size_t rows = shards->offset[shards->count];
  assert(rows <= workspace->rows && shards->count <= workspace->shards);
  return rows;
}

/* Columns [0, d/2) are the odd half, the others the even one. */
static void split(size_t rows, size_t d, const bm_real_t *x, bm_real_t *even, bm_real_t *odd)
{
  size_t half = d / 2;
  for (size_t i = 0; i < rows; i++, x += d) {
    for (size_t j = 0; j < half; j++) {
      odd[i * half + j] = x[j];
    }
    for (size_t j = half; j < d; j++) {
      even[i * (d - half) + j - half] = x[j];
    }
  }
}

static void join(size_t rows, size_t d, const bm_real_t *even, const bm_real_t *odd, bm_real_t *x)
{
  size_t half = d / 2;
  for (size_t i = 0; i < rows; i++, x += d) {
    for (size_t j = 0; j < half; j++) {
      x[j] = odd[i * half + j];
    }
    for (size_t j = half; j < d; j++) {
      x[j] = even[i * (d - half) + j - half];
    }
  }
}

static void add_split(size_t rows, size_t d, const bm_real_t *x, bm_real_t *even, bm_real_t *odd)
{
  size_t half = d / 2;
  for (size_t i = 0; i < rows; i++, x += d) {
    for (size_t j = 0; j < half; j++) {
      odd[i * half + j] += x[j];
    }
    for (size_t j = half; j < d; j++) {
      even[i * (d - half) + j - half] += x[j];
    }
  }
}

/* The halves of even and odd number of two that follow each other, the first being `halves[k]`. */
static bm_real_t *even_of(bm_real_t *const *halves, size_t k)
{
  return halves[k + k % 2];
}

static bm_real_t *odd_of(bm_real_t *const *halves, size_t k)
{
  return halves[k + 1 - k % 2];
}

static bm_network_pass_t network_pass(const bm_flow_t *flow, size_t k,
                                      const bm_flow_workspace_t *workspace,
                                      const bm_shards_t *shards)
{
  return (bm_network_pass_t){.shape = &flow->couplings[k].network,
                             .shards = shards,
                             .x = workspace->halves[k + 1],
                             .scratch = workspace->scratch};
}

/* Run both networks of layer k: fills s and t, exp(±s) in e, and adds s to log_det. */
static void conditioner(const bm_flow_t *flow, size_t k, bm_flow_workspace_t *workspace,
                        const bm_shards_t *shards, int minus, double *log_det)
{
  const coupling_t *coupling = &flow->couplings[k];
  const bm_network_ops_t *backend = flow->shape.backend;
  const size_t rows = shards->offset[shards->count];
  const size_t moved = coupling->moved_count;
  bm_network_pass_t pass = network_pass(flow, k, workspace, shards);
  bm_real_t *s = workspace->s[k];
  pass.parameters = flow->parameters + coupling->offset_s;
  pass.cache = workspace->cache_s[k];
  if (workspace->packed != NULL) {
    pass.packed = workspace->packed + packed_before(&flow->shape, k);
  }
  backend->forward(&pass, s);
  pass.parameters = flow->parameters + coupling->offset_t;
  if (workspace->packed != NULL) {
    pass.packed += backend->packed(&coupling->network);
  }
  pass.cache = workspace->cache_t[k];
  backend->forward(&pass, workspace->t);
  backend->bound(rows * moved, flow->shape.scale_cap, s);
  backend->exponential(rows * moved, minus, s, workspace->e);
  for (size_t j = 0; j < moved; j++) {
#pragma omp simd
    for (size_t i = 0; i < rows; i++) {
      log_det[i] += (double)s[i * moved + j];
    }
  }
}

void bm_flow_forward(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                     const bm_shards_t *shards, const bm_real_t *x, bm_real_t *y, double *log_det)
{
  const size_t rows = row_count(workspace, shards);
  const size_t layers = flow->shape.layers;
  split(rows, flow->shape.d, x, workspace->halves[0], workspace->halves[1]);
  memset(log_det, 0, rows * sizeof *log_det);
  for (size_t k = 0; k < layers; k++) {
    conditioner(flow, k, workspace, shards, 0, log_det);
    const bm_real_t *restrict base = workspace->halves[k];
    bm_real_t *restrict data = workspace->halves[k + 2];
#pragma omp simd
    for (size_t i = 0; i < rows * flow->couplings[k].moved_count; i++) {
      data[i] = base[i] * workspace->e[i] + workspace->t[i];
    }
  }
  join(rows, flow->shape.d, even_of(workspace->halves, layers), odd_of(workspace->halves, layers),
       y);
}

void bm_flow_stage(const bm_flow_t *flow, const bm_flow_workspace_t *workspace, size_t rows,
                   size_t layers, bm_real_t *y)
{
  assert(workspace->da != NULL && layers <= flow->shape.layers);
  join(rows, flow->shape.d, even_of(workspace->halves, layers), odd_of(workspace->halves, layers),
       y);
}

void bm_flow_inverse(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                     const bm_shards_t *shards, const bm_real_t *y, bm_real_t *x, double *log_det)
{
  const size_t rows = row_count(workspace, shards);
  const size_t layers = flow->shape.layers;
  split(rows, flow->shape.d, y, even_of(workspace->halves, layers),
        odd_of(workspace->halves, layers));
  memset(log_det, 0, rows * sizeof *log_det);
  for (size_t k = layers; k-- > 0;) {
    conditioner(flow, k, workspace, shards, 1, log_det);
    const bm_real_t *restrict data = workspace->halves[k + 2];
    bm_real_t *restrict base = workspace->halves[k];
#pragma omp simd
    for (size_t i = 0; i < rows * flow->couplings[k].moved_count; i++) {
      base[i] = (data[i] - workspace->t[i]) * workspace->e[i];
    }
  }
  join(rows, flow->shape.d, workspace->halves[0], workspace->halves[1], x);
}

/* matrix[i][j] += values[i] */
static void add_to_rows(size_t rows, size_t columns, const bm_real_t *restrict values,
                        bm_real_t *restrict matrix)
{
  if (columns == 1) {
#pragma omp simd
    for (size_t i = 0; i < rows; i++) {
      matrix[i] += values[i];
    }
    return;
  }
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < columns; j++) {
      matrix[i * columns + j] += values[i];
    }
  }
}

/* From the adjoints of s and t in the workspace to those of the kept columns and the parameters. */
static void conditioner_backward(const bm_flow_t *flow, size_t k, bm_flow_workspace_t *workspace,
                                 const bm_shards_t *shards, const bm_gradient_sink_t *sink)
{
  bm_real_t *gradient = sink == NULL ? NULL : sink->gradient;
  const coupling_t *coupling = &flow->couplings[k];
  const size_t rows = shards->offset[shards->count];
  const bm_real_t inverse_cap = (bm_real_t)(1.0 / flow->shape.scale_cap);
  const bm_real_t *restrict s = workspace->s[k];
  bm_real_t *restrict ds = workspace->ds;
  bm_real_t *restrict kept = workspace->half_adjoint[(k + 1) % 2];
  const struct {
    size_t offset;
    bm_real_t *cache, *adjoint;
  } networks[2] = {{coupling->offset_s, workspace->cache_s[k], workspace->ds},
                   {coupling->offset_t, workspace->cache_t[k], workspace->dt}};
#pragma omp simd
  for (size_t i = 0; i < rows * coupling->moved_count; i++) {
    bm_real_t ratio = s[i] * inverse_cap;
    ds[i] *= 1 - ratio * ratio;
  }
  for (int n = 0; n < 2; n++) {
    bm_network_pass_t pass = network_pass(flow, k, workspace, shards);
    pass.parameters = flow->parameters + networks[n].offset;
    pass.cache = networks[n].cache;
    flow->shape.backend->backward(&pass, networks[n].adjoint, workspace->da,
                                  gradient == NULL ? NULL : gradient + networks[n].offset);
#pragma omp simd
    for (size_t i = 0; i < rows * coupling->kept_count; i++) {
      kept[i] += workspace->da[i];
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
  static const bm_flow_stages_t none = {0, NULL, NULL};
  bm_flow_forward_backward_stages(flow, workspace, shards, &none, adjoint, d_log_det, sink);
}

void bm_flow_forward_backward_stages(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                                     const bm_shards_t *shards, const bm_flow_stages_t *stages,
                                     bm_real_t *adjoint, const bm_real_t *d_log_det,
                                     const bm_gradient_sink_t *sink)
{
  assert(workspace->da != NULL); /* not frozen */
  const size_t rows = row_count(workspace, shards);
  const size_t d = flow->shape.d;
  bm_real_t *const *halves = workspace->half_adjoint;
  size_t stage = stages->count;
  split(rows, d, adjoint, halves[0], halves[1]);
  for (size_t k = flow->shape.layers; k-- > 0;) {
    if (stage > 0 && stages->layers[stage - 1] == k + 1) {
      stage--;
      add_split(rows, d, stages->adjoint + stage * rows * d, halves[0], halves[1]);
    }
    const size_t moved = flow->couplings[k].moved_count;
    const bm_real_t *restrict base = workspace->halves[k];
    const bm_real_t *restrict e = workspace->e;
    bm_real_t *restrict ds = workspace->ds;
    bm_real_t *restrict dt = workspace->dt;
    bm_real_t *restrict dy = halves[k % 2];
    flow->shape.backend->exponential(rows * moved, 0, workspace->s[k], workspace->e);
#pragma omp simd
    for (size_t at = 0; at < rows * moved; at++) {
      ds[at] = dy[at] * base[at] * e[at];
      dt[at] = dy[at];
      dy[at] *= e[at];
    }
    add_to_rows(rows, moved, d_log_det, ds);
    conditioner_backward(flow, k, workspace, shards, sink);
  }
  join(rows, flow->shape.d, halves[0], halves[1], adjoint);
}

void bm_flow_inverse_backward(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                              const bm_shards_t *shards, bm_real_t *adjoint,
                              const bm_real_t *d_log_det, const bm_gradient_sink_t *sink)
{
  assert(workspace->da != NULL); /* not frozen */
  const size_t rows = row_count(workspace, shards);
  bm_real_t *const *halves = workspace->half_adjoint;
  split(rows, flow->shape.d, adjoint, halves[0], halves[1]);
  for (size_t k = 0; k < flow->shape.layers; k++) {
    const size_t moved = flow->couplings[k].moved_count;
    const bm_real_t *restrict base = workspace->halves[k];
    const bm_real_t *restrict e = workspace->e;
    bm_real_t *restrict ds = workspace->ds;
    bm_real_t *restrict dt = workspace->dt;
    bm_real_t *restrict dx = halves[k % 2];
    flow->shape.backend->exponential(rows * moved, 1, workspace->s[k], workspace->e);
#pragma omp simd
    for (size_t at = 0; at < rows * moved; at++) {
      bm_real_t through = dx[at] * e[at];
      ds[at] = -dx[at] * base[at];
      dt[at] = -through;
      dx[at] = through;
    }
    add_to_rows(rows, moved, d_log_det, ds);
    conditioner_backward(flow, k, workspace, shards, sink);
  }
  join(rows, flow->shape.d, halves[0], halves[1], adjoint);
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
