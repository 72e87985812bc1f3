#include "boltzmap/flow/dense.h"

#include <assert.h>
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/tree.h"

/* Products with an inner or outer length up to this are loops of vector operations: a matrix product
 * spends its time on packing there. */
#define BM_NARROW 8

const char *const bm_activation_names[] = {"relu", "tanh", NULL};

bm_activation_t bm_activation_from_name(const char *name)
{
  return strcmp(name, "tanh") == 0 ? BM_TANH : BM_RELU;
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
  /* partial sums of the tree, and one transposed copy of the weights */
  return (bm_tree_depth(shards) + 1) * bm_dense_parameter_count(in, out);
}

/* c[m][n] = op(a)·op(b), row-major, written over. */
static void product(int transpose_a, int transpose_b, size_t m, size_t n, size_t k,
                    const bm_real_t *a, const bm_real_t *b, bm_real_t *c)
{
  CBLAS_TRANSPOSE ta = transpose_a ? CblasTrans : CblasNoTrans;
  CBLAS_TRANSPOSE tb = transpose_b ? CblasTrans : CblasNoTrans;
  int lda = (int)(transpose_a ? m : k);
  int ldb = (int)(transpose_b ? k : n);
#ifdef BM_REAL_IS_DOUBLE
  cblas_dgemm(CblasRowMajor, ta, tb, (int)m, (int)n, (int)k, 1.0, a, lda, b, ldb, 0.0, c, (int)n);
#else
  cblas_sgemm(CblasRowMajor, ta, tb, (int)m, (int)n, (int)k, 1.0f, a, lda, b, ldb, 0.0f, c,
              (int)n);
#endif
}

/* y += a·x */
static void add_scaled(size_t n, bm_real_t a, const bm_real_t *restrict x, bm_real_t *restrict y)
{
#pragma omp simd
  for (size_t i = 0; i < n; i++) {
    y[i] += a * x[i];
  }
}

static bm_real_t dot(size_t n, const bm_real_t *restrict x, const bm_real_t *restrict y)
{
  bm_real_t sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < n; i++) {
    sum += x[i] * y[i];
  }
  return sum;
}

static void transpose(size_t rows, size_t columns, const bm_real_t *restrict a,
                      bm_real_t *restrict t)
{
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < columns; j++) {
      t[j * rows + i] = a[i * columns + j];
    }
  }
}

static size_t shard_rows(const bm_shards_t *shards, size_t s)
{
  return shards->offset[s + 1] - shards->offset[s];
}

static size_t all_rows(const bm_shards_t *shards)
{
  return shards->offset[shards->count];
}

/* x·W for few inputs: one scaled row of W after another. */
static void forward_few_inputs(const bm_dense_t *dense, size_t rows, const bm_real_t *x,
                               bm_real_t *y)
{
  for (size_t i = 0; i < rows; i++) {
    bm_real_t *row = y + i * dense->out;
    memset(row, 0, dense->out * sizeof *row);
    for (size_t k = 0; k < dense->in; k++) {
      add_scaled(dense->out, x[i * dense->in + k], dense->weights + k * dense->out, row);
    }
  }
}

/* x·W for few outputs: dot products with the rows of the transposed weights. */
static void forward_few_outputs(const bm_dense_t *dense, size_t rows, const bm_real_t *x,
                                bm_real_t *y, bm_real_t *scratch)
{
  transpose(dense->in, dense->out, dense->weights, scratch);
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < dense->out; j++) {
      y[i * dense->out + j] = dot(dense->in, x + i * dense->in, scratch + j * dense->in);
    }
  }
}

static void bias_and_activation(const bm_dense_t *dense, size_t rows, bm_real_t *restrict y)
{
  const bm_real_t *restrict bias = dense->bias;
  size_t n = dense->out;
  for (size_t i = 0; i < rows; i++) {
    bm_real_t *restrict row = y + i * n;
    switch (dense->activation) {
    case BM_LINEAR:
#pragma omp simd
      for (size_t j = 0; j < n; j++) {
        row[j] += bias[j];
      }
      break;
    case BM_RELU:
#pragma omp simd
      for (size_t j = 0; j < n; j++) {
        bm_real_t value = row[j] + bias[j];
        row[j] = value > 0 ? value : 0;
      }
      break;
    case BM_TANH:
      for (size_t j = 0; j < n; j++) {
        row[j] = (bm_real_t)tanh((double)(row[j] + bias[j]));
      }
      break;
    }
  }
}

void bm_dense_forward(const bm_dense_t *dense, const bm_shards_t *shards, const bm_real_t *x,
                      bm_real_t *y, bm_real_t *scratch)
{
  if (dense->in <= BM_NARROW) {
    forward_few_inputs(dense, all_rows(shards), x, y);
  } else if (dense->out <= BM_NARROW) {
    forward_few_outputs(dense, all_rows(shards), x, y, scratch);
  } else {
    for (size_t s = 0; s < shards->count; s++) {
      if (shard_rows(shards, s) > 0) {
        product(0, 0, shard_rows(shards, s), dense->out, dense->in,
                x + shards->offset[s] * dense->in, dense->weights,
                y + shards->offset[s] * dense->out);
      }
    }
  }
  bias_and_activation(dense, all_rows(shards), y);
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
  size_t in = dense->in;
  size_t out = dense->out;
  if (in <= BM_NARROW) {
    for (size_t i = 0; i < all_rows(shards); i++) {
      for (size_t k = 0; k < in; k++) {
        dx[i * in + k] = dot(out, dy + i * out, dense->weights + k * out);
      }
    }
  } else if (out <= BM_NARROW) {
    transpose(in, out, dense->weights, scratch);
    memset(dx, 0, all_rows(shards) * in * sizeof *dx);
    for (size_t i = 0; i < all_rows(shards); i++) {
      for (size_t j = 0; j < out; j++) {
        add_scaled(in, dy[i * out + j], scratch + j * in, dx + i * in);
      }
    }
  } else {
    for (size_t s = 0; s < shards->count; s++) {
      if (shard_rows(shards, s) > 0) {
        product(0, 1, shard_rows(shards, s), in, out, dy + shards->offset[s] * out, dense->weights,
                dx + shards->offset[s] * in);
      }
    }
  }
}

/* Weights and bias of one shard. */
static void shard_gradient(const bm_dense_t *dense, size_t rows, const bm_real_t *x,
                           const bm_real_t *dy, bm_real_t *gradient, bm_real_t *scratch)
{
  size_t in = dense->in;
  size_t out = dense->out;
  memset(gradient, 0, bm_dense_parameter_count(in, out) * sizeof *gradient);
  if (rows == 0) {
    return;
  }
  if (in <= BM_NARROW) {
    for (size_t i = 0; i < rows; i++) {
      for (size_t k = 0; k < in; k++) {
        add_scaled(out, x[i * in + k], dy + i * out, gradient + k * out);
      }
    }
  } else if (out <= BM_NARROW) {
    memset(scratch, 0, in * out * sizeof *scratch);
    for (size_t i = 0; i < rows; i++) {
      for (size_t j = 0; j < out; j++) {
        add_scaled(in, dy[i * out + j], x + i * in, scratch + j * in);
      }
    }
    transpose(out, in, scratch, gradient);
  } else {
    product(1, 0, in, out, rows, x, dy, gradient);
  }
  for (size_t i = 0; i < rows; i++) {
    add_scaled(out, 1, dy + i * out, gradient + in * out);
  }
}

/* The node over shards [first, first + count) of the tree. */
static void node_gradient(const bm_dense_t *dense, const bm_shards_t *shards, bm_node_t node,
                          const bm_real_t *x, const bm_real_t *dy, bm_real_t *gradient,
                          bm_real_t *scratch)
{
  if (node.count == 1) {
    size_t row = shards->offset[node.first];
    shard_gradient(dense, shard_rows(shards, node.first), x + row * dense->in,
                   dy + row * dense->out, gradient, scratch);
    return;
  }
  size_t left = bm_tree_left(node.count);
  size_t parameters = bm_dense_parameter_count(dense->in, dense->out);
  node_gradient(dense, shards, (bm_node_t){node.first, left}, x, dy, gradient, scratch);
  node_gradient(dense, shards, (bm_node_t){node.first + left, node.count - left}, x, dy, scratch,
                scratch + parameters);
  add_scaled(parameters, 1, scratch, gradient);
}

void bm_dense_backward_parameters(const bm_dense_t *dense, const bm_shards_t *shards,
                                  const bm_real_t *x, const bm_real_t *dy, bm_real_t *gradient,
                                  bm_real_t *scratch)
{
  node_gradient(dense, shards, (bm_node_t){0, shards->count}, x, dy, gradient, scratch);
}
