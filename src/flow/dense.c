#include "boltzmap/flow/dense.h"

#include <math.h>
#include <string.h>

#include "boltzmap/base/tree.h"

const char *const bm_activation_names[] = {"relu", "tanh", NULL};

bm_status_t bm_activation_find(const char *name, bm_activation_t *activation)
{
  for (int i = 0; bm_activation_names[i] != NULL; i++) {
    if (strcmp(bm_activation_names[i], name) == 0) {
      *activation = (bm_activation_t)(BM_RELU + i);
      return BM_OK;
    }
  }
  return BM_FAIL(BM_ERR_DATA, "no activation '%s' is known", name);
}

const char *bm_activation_name(bm_activation_t activation)
{
  return activation == BM_LINEAR ? "linear" : bm_activation_names[activation - BM_RELU];
}

size_t bm_dense_parameter_count(size_t in, size_t out)
{
  return in * out + out;
}

size_t bm_dense_scratch(size_t in, size_t out, size_t shards)
{
  size_t bias = bm_tree_depth(shards) * out;
  size_t weights = bm_outer_product_scratch(in, out, shards);
  return bias > weights ? bias : weights;
}

static size_t all_rows(const bm_shards_t *shards)
{
  return shards->offset[shards->count];
}

void bm_dense_forward(const bm_dense_t *dense, const bm_shards_t *shards, const bm_real_t *x,
                      bm_real_t *y, bm_real_t *scratch)
{
  size_t rows = all_rows(shards);
  bm_product_t product = {.rows = rows,
                          .n = dense->out,
                          .k = dense->in,
                          .a = x,
                          .b = dense->weights,
                          .bias = dense->bias,
                          .relu = dense->activation == BM_RELU,
                          .c = y};
  bm_product(&product, scratch);
  for (size_t i = 0; dense->activation == BM_TANH && i < rows * dense->out; i++) {
    y[i] = (bm_real_t)tanh((double)y[i]);
  }
}

void bm_dense_backward_activation(const bm_dense_t *dense, size_t rows, const bm_real_t *restrict y,
                                  bm_real_t *restrict dy)
{
  size_t n = rows * dense->out;
  switch (dense->activation) {
  case BM_LINEAR:
    break;
  case BM_RELU:
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
      dy[i] = y[i] > 0 ? dy[i] : 0;
    }
    break;
  case BM_TANH:
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
      dy[i] *= 1 - y[i] * y[i];
    }
    break;
  }
}

void bm_dense_backward_input(const bm_dense_t *dense, const bm_shards_t *shards,
                             const bm_real_t *dy, bm_real_t *dx, bm_real_t *scratch)
{
  bm_product_t product = {.rows = all_rows(shards),
                          .n = dense->in,
                          .k = dense->out,
                          .a = dy,
                          .b = dense->weights,
                          .b_transposed = 1,
                          .c = dx};
  bm_product(&product, scratch);
}

static void add(size_t n, const bm_real_t *restrict x, bm_real_t *restrict y)
{
#pragma omp simd
  for (size_t i = 0; i < n; i++) {
    y[i] += x[i];
  }
}

/* Sum of the rows of dy [rows][n] over a node of the tree; `scratch` has n items for each level
 * below. */
static void sum_rows(const bm_shards_t *shards, bm_node_t node, size_t n, const bm_real_t *dy,
                     bm_real_t *sum, bm_real_t *scratch)
{
  if (node.count == 1) {
    memset(sum, 0, n * sizeof *sum);
    for (size_t i = shards->offset[node.first]; i < shards->offset[node.first + 1]; i++) {
      add(n, dy + i * n, sum);
    }
    return;
  }
  size_t left = bm_tree_left(node.count);
  sum_rows(shards, (bm_node_t){node.first, left}, n, dy, sum, scratch);
  sum_rows(shards, (bm_node_t){node.first + left, node.count - left}, n, dy, scratch, scratch + n);
  add(n, scratch, sum);
}

void bm_dense_backward_parameters(const bm_dense_t *dense, const bm_shards_t *shards,
                                  const bm_real_t *x, const bm_real_t *dy, bm_real_t *gradient,
                                  bm_real_t *scratch)
{
  bm_outer_product_t product = {shards, dense->in, dense->out, x, dy, gradient};
  bm_outer_product(&product, scratch);
  sum_rows(shards, (bm_node_t){0, shards->count}, dense->out, dy, gradient + dense->in * dense->out,
           scratch);
}
