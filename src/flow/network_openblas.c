/* The plain back end: OpenBLAS's products, shard by shard, and the C library's functions. The reference of
 * the fused kernels. */

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/tree.h"
#include "boltzmap/flow/network.h"

static size_t widest(const bm_network_shape_t *shape)
{
  size_t width = 0;
  for (size_t l = 0; l < shape->hidden_count; l++) {
    width = shape->hidden[l] > width ? shape->hidden[l] : width;
  }
  return width;
}

static size_t cache(const bm_network_shape_t *shape, size_t rows)
{
  size_t count = 0;
  for (size_t l = 0; l < shape->hidden_count; l++) {
    count += shape->hidden[l];
  }
  return rows * count;
}

static size_t scratch(const bm_network_shape_t *shape, size_t rows, size_t shards)
{
  size_t most = 0;
  for (size_t l = 0; l <= shape->hidden_count; l++) {
    size_t count =
        bm_dense_parameter_count(bm_network_width_in(shape, l), bm_network_width_out(shape, l));
    most = count > most ? count : most;
  }
  return 2 * rows * widest(shape) + bm_tree_depth(shards) * most;
}

/* c [m][n] = op(a)·op(b) */
static void multiply(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, const size_t mnk[3],
                     const bm_real_t *a, const bm_real_t *b, bm_real_t *c)
{
  const int m = (int)mnk[0];
  const int n = (int)mnk[1];
  const int k = (int)mnk[2];
  const int lda = ta == CblasTrans ? m : k;
  const int ldb = tb == CblasTrans ? k : n;
#ifdef BM_REAL_IS_DOUBLE
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1.0, a, lda, b, ldb, 0.0, c, n);
#else
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1.0f, a, lda, b, ldb, 0.0f, c, n);
#endif
}

static void activate(bm_activation_t activation, size_t n, bm_real_t *y)
{
  for (size_t i = 0; i < n; i++) {
    y[i] = activation == BM_TANH ? (bm_real_t)tanh((double)y[i]) : (y[i] > 0 ? y[i] : 0);
  }
}

/* From dL/dy to that of what the activation was given. */
static void activate_backward(bm_activation_t activation, size_t n, const bm_real_t *y,
                              bm_real_t *dy)
{
  for (size_t i = 0; i < n; i++) {
    dy[i] = activation == BM_TANH ? dy[i] * (1 - y[i] * y[i]) : (y[i] > 0 ? dy[i] : 0);
  }
}

static void dense_forward(const bm_dense_t *dense, const bm_shards_t *shards, const bm_real_t *x,
                          bm_real_t *y)
{
  for (size_t s = 0; s < shards->count; s++) {
    size_t first = shards->offset[s];
    size_t end = shards->offset[s + 1];
    multiply(CblasNoTrans, CblasNoTrans, (size_t[3]){end - first, dense->out, dense->in},
             x + first * dense->in, dense->weights, y + first * dense->out);
    for (size_t i = first; i < end; i++) {
      for (size_t j = 0; j < dense->out; j++) {
        y[i * dense->out + j] += dense->bias[j];
      }
    }
  }
}

static void dense_backward_input(const bm_dense_t *dense, const bm_shards_t *shards,
                                 const bm_real_t *dy, bm_real_t *dx)
{
  for (size_t s = 0; s < shards->count; s++) {
    size_t first = shards->offset[s];
    size_t rows = shards->offset[s + 1] - first;
    multiply(CblasNoTrans, CblasTrans, (size_t[3]){rows, dense->in, dense->out},
             dy + first * dense->out, dense->weights, dx + first * dense->in);
  }
}

/* What the gradient of a dense layer's parameters is made of. */
typedef struct {
  size_t in, out;
  const bm_shards_t *shards;
  const bm_real_t *x, *dy;
} dense_gradient_t;

static void shard_gradient(const dense_gradient_t *g, size_t shard, bm_real_t *gradient)
{
  size_t first = g->shards->offset[shard];
  size_t end = g->shards->offset[shard + 1];
  bm_real_t *bias = gradient + g->in * g->out;
  memset(gradient, 0, bm_dense_parameter_count(g->in, g->out) * sizeof *gradient);
  if (end > first) {
    multiply(CblasTrans, CblasNoTrans, (size_t[3]){g->in, g->out, end - first},
             g->x + first * g->in, g->dy + first * g->out, gradient);
  }
  for (size_t i = first; i < end; i++) {
    for (size_t j = 0; j < g->out; j++) {
      bias[j] += g->dy[i * g->out + j];
    }
  }
}

/* The sum of a node of the tree; `work` has a gradient for each level below. */
static void node_gradient(const dense_gradient_t *g, bm_node_t node, bm_real_t *gradient,
                          bm_real_t *work)
{
  size_t count = bm_dense_parameter_count(g->in, g->out);
  if (node.count == 1) {
    shard_gradient(g, node.first, gradient);
    return;
  }
  size_t left = bm_tree_left(node.count);
  node_gradient(g, (bm_node_t){node.first, left}, gradient, work);
  node_gradient(g, (bm_node_t){node.first + left, node.count - left}, work, work + count);
  for (size_t i = 0; i < count; i++) {
    gradient[i] += work[i];
  }
}

static size_t packed(const bm_network_shape_t *shape)
{
  (void)shape;
  return 0;
}

static void pack(const bm_network_shape_t *shape, const bm_real_t *parameters, bm_real_t *to)
{
  (void)shape;
  (void)parameters;
  (void)to;
}

static void forward(const bm_network_pass_t *pass, bm_real_t *y)
{
  const bm_network_shape_t *shape = pass->shape;
  const bm_real_t *parameters = pass->parameters;
  const bm_real_t *from = pass->x;
  bm_real_t *hidden = pass->cache;
  size_t rows = pass->shards->offset[pass->shards->count];
  for (size_t l = 0; l <= shape->hidden_count; l++) {
    bm_dense_t dense = bm_network_layer(shape, l, parameters);
    bm_real_t *to = l == shape->hidden_count ? y : hidden;
    dense_forward(&dense, pass->shards, from, to);
    if (l < shape->hidden_count) {
      activate(shape->activation, rows * dense.out, to);
      hidden += rows * dense.out;
    }
    from = to;
    parameters += bm_dense_parameter_count(dense.in, dense.out);
  }
}

static void backward(const bm_network_pass_t *pass, bm_real_t *dy, bm_real_t *dx,
                     bm_real_t *gradient)
{
  const bm_network_shape_t *shape = pass->shape;
  size_t rows = pass->shards->offset[pass->shards->count];
  bm_real_t *work[2] = {pass->scratch, pass->scratch + rows * widest(shape)};
  bm_real_t *sums = pass->scratch + 2 * rows * widest(shape);
  const bm_real_t *hidden = pass->cache + cache(shape, rows); /* end of the hidden layers */
  size_t offset = bm_network_parameter_count(shape);
  bm_real_t *from = dy;
  for (size_t l = shape->hidden_count + 1; l-- > 0;) {
    size_t in = bm_network_width_in(shape, l);
    size_t out = bm_network_width_out(shape, l);
    offset -= bm_dense_parameter_count(in, out);
    bm_dense_t dense = bm_network_layer(shape, l, pass->parameters + offset);
    hidden -= l > 0 ? rows * in : 0;
    const bm_real_t *input = l > 0 ? hidden : pass->x;
    if (gradient != NULL) {
      dense_gradient_t g = {in, out, pass->shards, input, from};
      node_gradient(&g, (bm_node_t){0, pass->shards->count}, gradient + offset, sums);
    }
    bm_real_t *to = l == 0 ? dx : work[l % 2];
    dense_backward_input(&dense, pass->shards, from, to);
    if (l > 0) {
      activate_backward(shape->activation, rows * in, input, to);
    }
    from = to;
  }
}

static void bound(size_t n, double cap, bm_real_t *s)
{
  for (size_t i = 0; i < n; i++) {
    s[i] = (bm_real_t)(cap * tanh((double)s[i] / cap));
  }
}

static void exponential(size_t n, int minus, const bm_real_t *s, bm_real_t *e)
{
  for (size_t i = 0; i < n; i++) {
#ifdef BM_REAL_IS_DOUBLE
    e[i] = exp(minus ? -s[i] : s[i]);
#else
    e[i] = expf(minus ? -s[i] : s[i]);
#endif
  }
}

static int suits(const bm_network_shape_t *shape)
{
  (void)shape;
  return 1;
}

/* OpenBLAS chooses its kernels by the processor: its own name of them. */
static const char *kernel(void)
{
  return openblas_get_corename();
}

const bm_network_ops_t bm_network_openblas = {
    .name = "openblas",
    .suits = suits,
    .kernel = kernel,
    .cache = cache,
    .scratch = scratch,
    .packed = packed,
    .pack = pack,
    .forward = forward,
    .backward = backward,
    .bound = bound,
    .exponential = exponential,
};
