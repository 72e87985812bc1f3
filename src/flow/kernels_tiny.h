/* Tiny networks: rows in lanes for values, hidden units in lanes for sums over rows. Part of kernels_body.h. */

#ifndef BOLTZMAP_FLOW_KERNELS_TINY_H
#define BOLTZMAP_FLOW_KERNELS_TINY_H

#include "kernels_vectors.h"

#define BM_GROUP 4 /* vectors of rows that share a load of the weights */

/* The hidden unit's weights: those of its inputs, its bias, those of the outputs. */
typedef struct {
  bm_real_t w1[BM_TINY], b1, w2[BM_TINY];
} tiny_unit_t;

BM_INLINE tiny_unit_t tiny_unit(size_t in, size_t out, const bm_kernel_tiny_t *t, size_t unit)
{
  tiny_unit_t weights = {{0}, t->b1[unit], {0}};
  for (size_t i = 0; i < in; i++) {
    weights.w1[i] = t->w1[i * t->hidden + unit];
  }
  for (size_t o = 0; o < out; o++) {
    weights.w2[o] = t->w2[unit * out + o];
  }
  return weights;
}

BM_INLINE vector_t before_relu(size_t in, const tiny_unit_t *unit, const vector_t x[BM_TINY])
{
  vector_t sum = all(unit->b1);
  for (size_t i = 0; i < in; i++) {
    sum += unit->w1[i] * x[i];
  }
  return sum;
}

BM_INLINE void tiny_rows_forward(size_t in, size_t out, size_t group, const bm_kernel_tiny_t *t,
                                 const bm_kernel_rows_t *rows, size_t row, bm_real_t *y)
{
  vector_t input[BM_GROUP][BM_TINY];
  vector_t sum[BM_GROUP][BM_TINY];
  for (size_t g = 0; g < group; g++) {
    for (size_t i = 0; i < in; i++) {
      input[g][i] = load(rows->x + i * rows->stride + row + g * BM_LANES);
    }
    for (size_t o = 0; o < out; o++) {
      sum[g][o] = all(t->b2[o]);
    }
  }
  for (size_t unit = 0; unit < t->hidden; unit++) {
    tiny_unit_t weights = tiny_unit(in, out, t, unit);
    BM_UNROLL(4)
    for (size_t g = 0; g < group; g++) {
      vector_t h = rectified(before_relu(in, &weights, input[g]));
      for (size_t o = 0; o < out; o++) {
        sum[g][o] += weights.w2[o] * h;
      }
    }
  }
  for (size_t g = 0; g < group; g++) {
    for (size_t o = 0; o < out; o++) {
      store(y + o * rows->stride + row + g * BM_LANES, sum[g][o]);
    }
  }
}

BM_INLINE void tiny_rows_backward(size_t in, size_t out, size_t group, const bm_kernel_tiny_t *t,
                                  const bm_kernel_rows_t *rows, size_t row, bm_real_t *dx)
{
  vector_t input[BM_GROUP][BM_TINY];
  vector_t adjoint[BM_GROUP][BM_TINY];
  vector_t sum[BM_GROUP][BM_TINY];
  for (size_t g = 0; g < group; g++) {
    for (size_t i = 0; i < in; i++) {
      input[g][i] = load(rows->x + i * rows->stride + row + g * BM_LANES);
      sum[g][i] = all(0);
    }
    for (size_t o = 0; o < out; o++) {
      adjoint[g][o] = load(rows->dy + o * rows->stride + row + g * BM_LANES);
    }
  }
  for (size_t unit = 0; unit < t->hidden; unit++) {
    tiny_unit_t weights = tiny_unit(in, out, t, unit);
    BM_UNROLL(4)
    for (size_t g = 0; g < group; g++) {
      vector_t d = weights.w2[0] * adjoint[g][0];
      if (out > 1) {
        d += weights.w2[1] * adjoint[g][1];
      }
      d = where_positive(before_relu(in, &weights, input[g]), d);
      for (size_t i = 0; i < in; i++) {
        sum[g][i] += weights.w1[i] * d;
      }
    }
  }
  for (size_t g = 0; g < group; g++) {
    for (size_t i = 0; i < in; i++) {
      store(dx + i * rows->stride + row + g * BM_LANES, sum[g][i]);
    }
  }
}

/* Calls with the numbers of inputs and outputs as constants. */
#define BM_OF_SIZES(t, function, ...)    \
  do {                                   \
    if ((t)->in == 1 && (t)->out == 1) { \
      function(1, 1, __VA_ARGS__);       \
    } else if ((t)->in == 1) {           \
      function(1, 2, __VA_ARGS__);       \
    } else if ((t)->out == 1) {          \
      function(2, 1, __VA_ARGS__);       \
    } else {                             \
      function(2, 2, __VA_ARGS__);       \
    }                                    \
  } while (0)

static void tiny_forward(const bm_kernel_tiny_t *t, const bm_kernel_rows_t *rows, bm_real_t *y)
{
  size_t i = 0;
  for (; i + BM_GROUP * BM_LANES <= rows->stride; i += BM_GROUP * BM_LANES) {
    BM_OF_SIZES(t, tiny_rows_forward, BM_GROUP, t, rows, i, y);
  }
  for (; i < rows->stride; i += BM_LANES) {
    BM_OF_SIZES(t, tiny_rows_forward, 1, t, rows, i, y);
  }
}

static void tiny_backward_input(const bm_kernel_tiny_t *t, const bm_kernel_rows_t *rows,
                                bm_real_t *dx)
{
  size_t i = 0;
  for (; i + BM_GROUP * BM_LANES <= rows->stride; i += BM_GROUP * BM_LANES) {
    BM_OF_SIZES(t, tiny_rows_backward, BM_GROUP, t, rows, i, dx);
  }
  for (; i < rows->stride; i += BM_LANES) {
    BM_OF_SIZES(t, tiny_rows_backward, 1, t, rows, i, dx);
  }
}

/* A vector of hidden units: weights, and sums over rows, with m the derivative of ReLU: Σ m·dy_o and
 * Σ m·dy_o·x_i. */
typedef struct {
  vector_t w1[BM_TINY], b1, w2[BM_TINY];
  vector_t sum_dy[BM_TINY], sum_dyx[BM_TINY][BM_TINY];
} tiny_units_t;

BM_INLINE size_t units_left(const bm_kernel_tiny_t *t, size_t unit)
{
  return t->hidden - unit < BM_LANES ? t->hidden - unit : BM_LANES;
}

BM_INLINE void load_units(size_t in, size_t out, const bm_kernel_tiny_t *t, size_t unit,
                          tiny_units_t *u)
{
  const size_t count = units_left(t, unit);
  u->b1 = load_some(t->b1 + unit, 1, count);
  for (size_t i = 0; i < in; i++) {
    u->w1[i] = load_some(t->w1 + i * t->hidden + unit, 1, count);
  }
  for (size_t o = 0; o < out; o++) {
    u->w2[o] = load_some(t->w2 + unit * out + o, out, count);
    u->sum_dy[o] = all(0);
    for (size_t i = 0; i < in; i++) {
      u->sum_dyx[o][i] = all(0);
    }
  }
}

/* All gradients follow from the sums: of b1 Σ_o w2_o·Σ m·dy_o, of w1_i Σ_o w2_o·Σ m·dy_o·x_i, and of w2_o
 * Σ_i w1_i·Σ m·dy_o·x_i + b1·Σ m·dy_o. */
BM_INLINE void store_units(size_t in, size_t out, const bm_kernel_tiny_t *t, size_t unit,
                           const tiny_units_t *u, bm_real_t *gradient)
{
  const size_t count = units_left(t, unit);
  vector_t db1 = u->w2[0] * u->sum_dy[0];
  if (out > 1) {
    db1 += u->w2[1] * u->sum_dy[1];
  }
  store_some(gradient + in * t->hidden + unit, 1, count, db1);
  for (size_t i = 0; i < in; i++) {
    vector_t dw1 = u->w2[0] * u->sum_dyx[0][i];
    if (out > 1) {
      dw1 += u->w2[1] * u->sum_dyx[1][i];
    }
    store_some(gradient + i * t->hidden + unit, 1, count, dw1);
  }
  for (size_t o = 0; o < out; o++) {
    vector_t dw2 = u->b1 * u->sum_dy[o];
    for (size_t i = 0; i < in; i++) {
      dw2 += u->w1[i] * u->sum_dyx[o][i];
    }
    store_some(gradient + (in + 1) * t->hidden + unit * out + o, out, count, dw2);
  }
}

/* `group` vectors of units from `unit` on: several, or additions would wait for each other. */
BM_INLINE void tiny_units_backward(size_t in, size_t out, size_t group, const bm_kernel_tiny_t *t,
                                   size_t unit, const bm_kernel_rows_t *rows, size_t first,
                                   size_t end, bm_real_t *gradient)
{
  tiny_units_t units[BM_GROUP];
  for (size_t g = 0; g < group; g++) {
    load_units(in, out, t, unit + g * BM_LANES, &units[g]);
  }
  for (size_t row = first; row < end; row++) {
    BM_UNROLL(4)
    for (size_t g = 0; g < group; g++) {
      tiny_units_t *u = &units[g];
      vector_t h = u->b1;
      for (size_t i = 0; i < in; i++) {
        h += u->w1[i] * rows->x[i * rows->stride + row];
      }
      for (size_t o = 0; o < out; o++) {
        vector_t dy = where_positive(h, all(rows->dy[o * rows->stride + row]));
        u->sum_dy[o] += dy;
        for (size_t i = 0; i < in; i++) {
          u->sum_dyx[o][i] += dy * rows->x[i * rows->stride + row];
        }
      }
    }
  }
  for (size_t g = 0; g < group; g++) {
    store_units(in, out, t, unit + g * BM_LANES, &units[g], gradient);
  }
}

static void tiny_backward_parameters(const bm_kernel_tiny_t *t, const bm_kernel_rows_t *rows,
                                     size_t first, size_t end, bm_real_t *gradient)
{
  const size_t group = BM_VECTORS == 1 ? BM_GROUP : 2; /* as many as the registers hold */
  size_t unit = 0;
  for (; unit + group * BM_LANES <= t->hidden; unit += group * BM_LANES) {
    BM_OF_SIZES(t, tiny_units_backward, group, t, unit, rows, first, end, gradient);
  }
  for (; unit < t->hidden; unit += BM_LANES) {
    BM_OF_SIZES(t, tiny_units_backward, 1, t, unit, rows, first, end, gradient);
  }
}

#endif
