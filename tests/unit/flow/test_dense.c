/* Dense layers against plain sums in float64, for shapes on both sides of the narrow-product limit, and
 * the independence of every shard's numbers from its neighbours. */

#include <math.h>
#include <string.h>

#include "boltzmap/base/tree.h"
#include "made_flow.h"

#define ROWS 23
#define WIDEST 70

static const size_t widths[] = {1, 2, 7, 8, 9, 16, 33, WIDEST};
#define WIDTHS (sizeof widths / sizeof widths[0])

/* Uneven shards, one of them empty. */
static const size_t offsets[] = {0, 5, 5, 11, 12, ROWS};
static const bm_shards_t shards = {5, offsets};

typedef struct {
  bm_dense_t dense;
  bm_real_t *parameters; /* weights, bias */
  bm_real_t *x, *y, *dy, *dx, *gradient, *scratch;
} layer_t;

static layer_t make_layer(size_t in, size_t out, bm_activation_t activation)
{
  size_t count = bm_dense_parameter_count(in, out);
  layer_t layer = {.parameters = drawn_reals(1, 0.5, count),
                   .x = drawn_reals(2, 1.0, ROWS * in),
                   .y = zero_reals(ROWS * out),
                   .dy = drawn_reals(3, 1.0, ROWS * out),
                   .dx = zero_reals(ROWS * in),
                   .gradient = zero_reals(count),
                   .scratch = zero_reals(bm_dense_scratch(in, out, shards.count))};
  layer.dense = (bm_dense_t){in, out, layer.parameters, layer.parameters + in * out, activation};
  return layer;
}

static void free_layer(layer_t *layer)
{
  bm_real_t *blocks[] = {layer->parameters, layer->x,        layer->y,      layer->dy,
                         layer->dx,         layer->gradient, layer->scratch};
  for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
    bm_free(blocks[i]);
  }
}

static void run_layer(layer_t *layer)
{
  bm_dense_forward(&layer->dense, &shards, layer->x, layer->y, layer->scratch);
  bm_dense_backward_input(&layer->dense, &shards, layer->dy, layer->dx, layer->scratch);
  bm_dense_backward_parameters(&layer->dense, &shards, layer->x, layer->dy, layer->gradient,
                               layer->scratch);
}

/* Sum of a strided product and of its absolute values: a sum of n products is off by at most
 * n + 1 roundings of the latter. */
typedef struct {
  double value, size;
} sum_t;

static sum_t plain_sum(size_t n, const bm_real_t *a, size_t a_stride, const bm_real_t *b,
                       size_t b_stride)
{
  sum_t sum = {0.0, 0.0};
  for (size_t i = 0; i < n; i++) {
    double term = (double)a[i * a_stride] * (double)b[i * b_stride];
    sum.value += term;
    sum.size += fabs(term);
  }
  return sum;
}

static void assert_near(double value, double expected, size_t roundings, double size)
{
  double bound = (double)roundings * BM_REAL_EPSILON * size;
  if (!(fabs(value - expected) <= bound)) {
    fail_msg("%.17g is not %.17g within %.3g", value, expected, bound);
  }
}

static double activate(bm_activation_t activation, double value)
{
  switch (activation) {
  case BM_RELU:
    return value > 0.0 ? value : 0.0;
  case BM_TANH:
    return tanh(value);
  default:
    return value;
  }
}

static void check_outputs(const layer_t *layer)
{
  const bm_dense_t *dense = &layer->dense;
  for (size_t i = 0; i < ROWS; i++) {
    for (size_t j = 0; j < dense->out; j++) {
      sum_t sum = plain_sum(dense->in, layer->x + i * dense->in, 1, dense->weights + j, dense->out);
      double bias = (double)dense->bias[j];
      /* slopes of the activations are at most 1; tanh rounds once more, to a value of at most 1 */
      assert_near((double)layer->y[i * dense->out + j],
                  activate(dense->activation, sum.value + bias), dense->in + 3,
                  sum.size + fabs(bias) + 1.0);
    }
  }
}

static void check_input_gradient(const layer_t *layer)
{
  const bm_dense_t *dense = &layer->dense;
  for (size_t i = 0; i < ROWS; i++) {
    for (size_t k = 0; k < dense->in; k++) {
      sum_t sum =
          plain_sum(dense->out, layer->dy + i * dense->out, 1, dense->weights + k * dense->out, 1);
      assert_near((double)layer->dx[i * dense->in + k], sum.value, dense->out + 1, sum.size);
    }
  }
}

static void check_parameter_gradient(const layer_t *layer)
{
  const bm_dense_t *dense = &layer->dense;
  const bm_real_t one = 1;
  for (size_t j = 0; j < dense->out; j++) {
    for (size_t k = 0; k < dense->in; k++) {
      sum_t sum = plain_sum(ROWS, layer->x + k, dense->in, layer->dy + j, dense->out);
      assert_near((double)layer->gradient[k * dense->out + j], sum.value, ROWS + 1, sum.size);
    }
    sum_t bias = plain_sum(ROWS, &one, 0, layer->dy + j, dense->out);
    assert_near((double)layer->gradient[dense->in * dense->out + j], bias.value, ROWS + 1,
                bias.size);
  }
}

static void products_are_the_plain_sums(void **state)
{
  (void)state;
  const bm_activation_t activations[] = {BM_LINEAR, BM_RELU, BM_TANH};
  for (size_t a = 0; a < 3; a++) {
    for (size_t i = 0; i < WIDTHS * WIDTHS; i++) {
      layer_t layer = make_layer(widths[i / WIDTHS], widths[i % WIDTHS], activations[a]);
      run_layer(&layer);
      check_outputs(&layer);
      check_input_gradient(&layer);
      check_parameter_gradient(&layer);
      free_layer(&layer);
    }
  }
}

static void slope_of_the_activation_is_applied(void **state)
{
  (void)state;
  const bm_activation_t activations[] = {BM_LINEAR, BM_RELU, BM_TANH};
  for (size_t a = 0; a < 3; a++) {
    layer_t layer = make_layer(3, 9, activations[a]);
    bm_dense_forward(&layer.dense, &shards, layer.x, layer.y, layer.scratch);
    bm_real_t *dy = drawn_reals(3, 1.0, ROWS * 9);
    bm_dense_backward_activation(&layer.dense, ROWS, layer.y, dy);
    for (size_t i = 0; i < ROWS * 9; i++) {
      double y = (double)layer.y[i];
      double slope = activations[a] == BM_TANH ? 1.0 - y * y : 1.0;
      slope = activations[a] == BM_RELU && !(y > 0.0) ? 0.0 : slope;
      assert_near((double)dy[i], slope * (double)layer.dy[i], 4, fabs((double)layer.dy[i]));
    }
    bm_free(dy);
    free_layer(&layer);
  }
}

/* The rows of one shard computed alone, in memory that is aligned differently. */
static layer_t lone_shard(const layer_t *whole, size_t s, size_t shift)
{
  size_t in = whole->dense.in;
  size_t out = whole->dense.out;
  size_t first = offsets[s];
  size_t rows = offsets[s + 1] - first;
  layer_t lone = make_layer(in, out, whole->dense.activation);
  bm_real_t *x = zero_reals(ROWS * in + shift);
  bm_real_t *dy = zero_reals(ROWS * out + shift);
  memcpy(x + shift, whole->x + first * in, rows * in * sizeof *x);
  memcpy(dy + shift, whole->dy + first * out, rows * out * sizeof *dy);
  const size_t offset[2] = {0, rows};
  const bm_shards_t one = {1, offset};
  bm_dense_forward(&lone.dense, &one, x + shift, lone.y, lone.scratch);
  bm_dense_backward_input(&lone.dense, &one, dy + shift, lone.dx, lone.scratch);
  bm_dense_backward_parameters(&lone.dense, &one, x + shift, dy + shift, lone.gradient,
                               lone.scratch);
  bm_free(dy);
  bm_free(x);
  return lone;
}

/* Sum over the tree of the lone shards' gradients, into the first. */
static void add_tree(layer_t *lone, size_t first, size_t count, size_t parameters)
{
  if (count < 2) {
    return;
  }
  size_t left = bm_tree_left(count);
  add_tree(lone, first, left, parameters);
  add_tree(lone, first + left, count - left, parameters);
  for (size_t i = 0; i < parameters; i++) {
    lone[first].gradient[i] += lone[first + left].gradient[i];
  }
}

static void a_shard_does_not_feel_its_neighbours(void **state)
{
  (void)state;
  for (size_t i = 0; i < WIDTHS * WIDTHS; i++) {
    size_t in = widths[i / WIDTHS];
    size_t out = widths[i % WIDTHS];
    layer_t whole = make_layer(in, out, BM_TANH);
    run_layer(&whole);
    layer_t lone[5];
    for (size_t s = 0; s < shards.count; s++) {
      size_t rows = offsets[s + 1] - offsets[s];
      lone[s] = lone_shard(&whole, s, s + 1);
      assert_memory_equal(lone[s].y, whole.y + offsets[s] * out, rows * out * sizeof *whole.y);
      assert_memory_equal(lone[s].dx, whole.dx + offsets[s] * in, rows * in * sizeof *whole.dx);
    }
    add_tree(lone, 0, shards.count, bm_dense_parameter_count(in, out));
    assert_memory_equal(lone[0].gradient, whole.gradient,
                        bm_dense_parameter_count(in, out) * sizeof *whole.gradient);
    for (size_t s = 0; s < shards.count; s++) {
      free_layer(&lone[s]);
    }
    free_layer(&whole);
  }
}

static void names_and_activations_go_both_ways(void **state)
{
  (void)state;
  bm_activation_t found = BM_LINEAR;
  assert_int_equal(bm_activation_find("relu", &found), BM_OK);
  assert_int_equal(found, BM_RELU);
  assert_int_equal(bm_activation_find("tanh", &found), BM_OK);
  assert_int_equal(found, BM_TANH);
  assert_int_equal(bm_activation_find("linear", &found), BM_ERR_DATA);
  assert_int_equal(bm_activation_find("swish", &found), BM_ERR_DATA);
  assert_string_equal(bm_activation_name(BM_RELU), "relu");
  assert_string_equal(bm_activation_name(BM_TANH), "tanh");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_are_the_plain_sums),
      cmocka_unit_test(slope_of_the_activation_is_applied),
      cmocka_unit_test(a_shard_does_not_feel_its_neighbours),
      cmocka_unit_test(names_and_activations_go_both_ways),
  };
  return cmocka_run_group_tests_name("dense " BM_REAL_NAME, tests, NULL, NULL);
}
