/* Networks of every back end beside plain sums in float64, and the independence of every shard's numbers
 * from its neighbours. */

#include "boltzmap/flow/network.h"

#include <math.h>
#include <string.h>

#include "boltzmap/base/tree.h"
#include "boltzmap/flow/kernels.h"
#include "made_flow.h"

#define ROWS 37
#define WIDEST 300

/* Uneven shards, one of them empty. */
static const size_t offsets[] = {0, 5, 5, 18, 19, ROWS};
static const bm_shards_t shards = {5, offsets};

static const bm_network_shape_t shapes[] = {
    {1, 1, 1, {64}, BM_RELU},
    {1, 2, 1, {37}, BM_RELU},
    {2, 1, 1, {16}, BM_RELU},
    {2, 2, 1, {100}, BM_RELU},
    {1, 1, 1, {5}, BM_TANH},
    {2, 2, 2, {48, 48}, BM_RELU},
    {3, 1, 2, {7, 33}, BM_TANH},
    {33, 33, 2, {64, 64}, BM_RELU},
    {33, 17, 3, {20, 16, 130}, BM_RELU},
    {8, 9, 1, {WIDEST}, BM_RELU},
    {9, 8, 2, {16, 1}, BM_TANH},
    {16, 48, 1, {31}, BM_RELU},
};
#define SHAPES (sizeof shapes / sizeof shapes[0])

typedef struct {
  const bm_network_ops_t *ops;
  bm_network_pass_t pass;
  bm_real_t *x, *parameters, *dy; /* given */
  bm_real_t *y, *dx, *gradient;   /* found */
} work_t;

static work_t made_work(const bm_network_ops_t *ops, const bm_network_shape_t *shape)
{
  size_t count = bm_network_parameter_count(shape);
  work_t work = {.ops = ops,
                 .x = drawn_reals(1, 1.0, ROWS * shape->in),
                 .parameters = drawn_reals(2, 0.3, count),
                 .dy = drawn_reals(3, 1.0, ROWS * shape->out),
                 .y = zero_reals(ROWS * shape->out),
                 .dx = drawn_reals(4, 1.0, ROWS * shape->in),
                 .gradient = drawn_reals(5, 1.0, count)};
  work.pass = (bm_network_pass_t){.shape = shape,
                                  .parameters = work.parameters,
                                  .shards = &shards,
                                  .x = work.x,
                                  .cache = drawn_reals(6, 1.0, ops->cache(shape, ROWS)),
                                  .scratch = drawn_reals(7, 1.0, ops->scratch(shape, ROWS, 5))};
  return work;
}

static void free_work(work_t *work)
{
  bm_real_t *blocks[] = {work->x,  work->parameters, work->dy,         work->y,
                         work->dx, work->gradient,   work->pass.cache, work->pass.scratch};
  for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
    bm_free(blocks[i]);
  }
}

/* Both passes; dy is left as it was. */
static void run(work_t *work, const bm_shards_t *now)
{
  size_t items = now->offset[now->count] * work->pass.shape->out;
  bm_real_t *dy = zero_reals(items + 1);
  memcpy(dy, work->dy, items * sizeof *dy);
  work->pass.shards = now;
  work->ops->forward(&work->pass, work->y);
  work->ops->backward(&work->pass, dy, work->dx, work->gradient);
  bm_free(dy);
}

/* --- the plain network -------------------------------------------------------------------------- */

/* One row, in float64: values of every layer and their adjoints; `size` are the same sums of absolute
 * values, of which results are off by a few roundings a layer. */
typedef struct {
  double value[BM_HIDDEN_MAX + 2][WIDEST], size[BM_HIDDEN_MAX + 2][WIDEST];
  double adjoint[BM_HIDDEN_MAX + 2][WIDEST], adjoint_size[BM_HIDDEN_MAX + 2][WIDEST];
} row_t;

static const bm_real_t *layer_of(const bm_network_shape_t *shape, size_t l, const bm_real_t *p)
{
  for (size_t i = 0; i < l; i++) {
    p += bm_dense_parameter_count(bm_network_width_in(shape, i), bm_network_width_out(shape, i));
  }
  return p;
}

static void plain_layer(const work_t *work, size_t l, row_t *row)
{
  const bm_network_shape_t *shape = work->pass.shape;
  size_t in = bm_network_width_in(shape, l);
  size_t out = bm_network_width_out(shape, l);
  const bm_real_t *w = layer_of(shape, l, work->parameters);
  for (size_t j = 0; j < out; j++) {
    double sum = (double)w[in * out + j];
    double size = fabs(sum);
    for (size_t k = 0; k < in; k++) {
      sum += row->value[l][k] * (double)w[k * out + j];
      size += row->size[l][k] * fabs((double)w[k * out + j]);
    }
    if (l < shape->hidden_count) {
      sum = shape->activation == BM_TANH ? tanh(sum) : fmax(sum, 0.0);
    }
    row->value[l + 1][j] = sum;
    row->size[l + 1][j] = size + (shape->activation == BM_TANH ? 1.0 : 0.0);
  }
}

static void plain_layer_backward(const work_t *work, size_t l, row_t *row)
{
  const bm_network_shape_t *shape = work->pass.shape;
  size_t in = bm_network_width_in(shape, l);
  size_t out = bm_network_width_out(shape, l);
  const bm_real_t *w = layer_of(shape, l, work->parameters);
  for (size_t k = 0; k < in; k++) {
    double sum = 0.0;
    double size = 0.0;
    double h = row->value[l][k];
    for (size_t j = 0; j < out; j++) {
      sum += row->adjoint[l + 1][j] * (double)w[k * out + j];
      size += row->adjoint_size[l + 1][j] * fabs((double)w[k * out + j]);
    }
    double slope = shape->activation == BM_TANH ? 1.0 - h * h : (double)(h > 0.0);
    row->adjoint[l][k] = l == 0 ? sum : slope * sum;
    row->adjoint_size[l][k] =
        size * (l > 0 && shape->activation == BM_TANH ? 1.0 + row->size[l][k] : 1.0);
  }
}

static void plain_row(const work_t *work, size_t i, row_t *row)
{
  const bm_network_shape_t *shape = work->pass.shape;
  size_t last = shape->hidden_count + 1;
  for (size_t k = 0; k < shape->in; k++) {
    row->value[0][k] = (double)work->x[i * shape->in + k];
    row->size[0][k] = fabs(row->value[0][k]);
  }
  for (size_t l = 0; l < last; l++) {
    plain_layer(work, l, row);
  }
  for (size_t j = 0; j < shape->out; j++) {
    row->adjoint[last][j] = (double)work->dy[i * shape->out + j];
    row->adjoint_size[last][j] = fabs(row->adjoint[last][j]);
  }
  for (size_t l = last; l-- > 0;) {
    plain_layer_backward(work, l, row);
  }
}

static size_t roundings(const bm_network_shape_t *shape)
{
  size_t count = ROWS;
  for (size_t l = 0; l <= shape->hidden_count; l++) {
    count += bm_network_width_in(shape, l) + bm_network_width_out(shape, l) + 8;
  }
  return count;
}

static void assert_near(const bm_network_shape_t *shape, bm_real_t value, double expected,
                        double size)
{
  double bound = (double)roundings(shape) * BM_REAL_EPSILON * size;
  if (!(fabs((double)value - expected) <= bound)) {
    fail_msg("%.17g is not %.17g within %.3g", (double)value, expected, bound);
  }
}

static void check_gradient(const work_t *work, const row_t *rows)
{
  const bm_network_shape_t *shape = work->pass.shape;
  for (size_t l = 0; l <= shape->hidden_count; l++) {
    size_t in = bm_network_width_in(shape, l);
    size_t out = bm_network_width_out(shape, l);
    const bm_real_t *found = layer_of(shape, l, work->gradient);
    for (size_t e = 0; e < (in + 1) * out; e++) {
      double sum = 0.0;
      double size = 0.0;
      for (size_t i = 0; i < ROWS; i++) {
        double x = e < in * out ? rows[i].value[l][e / out] : 1.0;
        double x_size = e < in * out ? rows[i].size[l][e / out] : 1.0;
        sum += x * rows[i].adjoint[l + 1][e % out];
        size += x_size * rows[i].adjoint_size[l + 1][e % out];
      }
      assert_near(shape, found[e], sum, size);
    }
  }
}

static void networks_are_the_plain_sums(void **state)
{
  (void)state;
  row_t *rows;
  assert_int_equal(BM_ALLOC(ROWS, &rows), BM_OK);
  for (size_t s = 0; s < SHAPES; s++) {
    for (size_t b = 0; bm_network_table[b] != NULL; b++) {
      const bm_network_shape_t *shape = &shapes[s];
      work_t work = made_work(bm_network_table[b], shape);
      run(&work, &shards);
      for (size_t i = 0; i < ROWS; i++) {
        plain_row(&work, i, &rows[i]);
        for (size_t j = 0; j < shape->out; j++) {
          assert_near(shape, work.y[i * shape->out + j], rows[i].value[shape->hidden_count + 1][j],
                      rows[i].size[shape->hidden_count + 1][j]);
        }
        for (size_t k = 0; k < shape->in; k++) {
          assert_near(shape, work.dx[i * shape->in + k], rows[i].adjoint[0][k],
                      rows[i].adjoint_size[0][k]);
        }
      }
      check_gradient(&work, rows);
      free_work(&work);
    }
  }
  bm_free(rows);
}

/* --- shards ------------------------------------------------------------------------------------- */

/* The rows of one shard alone. */
static work_t lone_shard(const work_t *whole, size_t s)
{
  const bm_network_shape_t *shape = whole->pass.shape;
  size_t first = offsets[s];
  size_t rows = offsets[s + 1] - first;
  work_t lone = made_work(whole->ops, shape);
  memcpy(lone.x, whole->x + first * shape->in, rows * shape->in * sizeof *lone.x);
  memcpy(lone.dy, whole->dy + first * shape->out, rows * shape->out * sizeof *lone.dy);
  const size_t offset[2] = {0, rows};
  const bm_shards_t one = {1, offset};
  run(&lone, &one);
  return lone;
}

/* Sum over the tree of the lone shards' gradients, into the first. */
static void add_tree(work_t *lone, size_t first, size_t count, size_t parameters)
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
  for (size_t i = 0; bm_network_table[i / SHAPES] != NULL; i++) {
    const bm_network_shape_t *shape = &shapes[i % SHAPES];
    size_t count = bm_network_parameter_count(shape);
    work_t whole = made_work(bm_network_table[i / SHAPES], shape);
    work_t lone[5];
    run(&whole, &shards);
    for (size_t s = 0; s < shards.count; s++) {
      size_t rows = offsets[s + 1] - offsets[s];
      lone[s] = lone_shard(&whole, s);
      assert_memory_equal(lone[s].y, whole.y + offsets[s] * shape->out,
                          rows * shape->out * sizeof *whole.y);
      assert_memory_equal(lone[s].dx, whole.dx + offsets[s] * shape->in,
                          rows * shape->in * sizeof *whole.dx);
    }
    add_tree(lone, 0, shards.count, count);
    assert_memory_equal(lone[0].gradient, whole.gradient, count * sizeof *whole.gradient);
    for (size_t s = 0; s < shards.count; s++) {
      free_work(&lone[s]);
    }
    free_work(&whole);
  }
}

static void gradient_of_the_inputs_can_be_asked_for_alone(void **state)
{
  (void)state;
  for (size_t i = 0; bm_network_table[i / SHAPES] != NULL; i++) {
    const bm_network_shape_t *shape = &shapes[i % SHAPES];
    work_t work = made_work(bm_network_table[i / SHAPES], shape);
    run(&work, &shards);
    bm_real_t *dx = zero_reals(ROWS * shape->in);
    bm_real_t *dy = drawn_reals(3, 1.0, ROWS * shape->out);
    work.ops->backward(&work.pass, dy, dx, NULL);
    assert_memory_equal(dx, work.dx, ROWS * shape->in * sizeof *dx);
    bm_free(dx);
    bm_free(dy);
    free_work(&work);
  }
}

/* --- names -------------------------------------------------------------------------------------- */

static void names_and_activations_go_both_ways(void **state)
{
  (void)state;
  bm_activation_t found = BM_TANH;
  assert_int_equal(bm_activation_find("relu", &found), BM_OK);
  assert_int_equal(found, BM_RELU);
  assert_int_equal(bm_activation_find("tanh", &found), BM_OK);
  assert_int_equal(found, BM_TANH);
  assert_int_equal(bm_activation_find("swish", &found), BM_ERR_DATA);
  assert_string_equal(bm_activation_names[BM_RELU], "relu");
  assert_string_equal(bm_activation_names[BM_TANH], "tanh");
}

static void back_ends_are_found_by_name_and_chosen_by_rule(void **state)
{
  (void)state;
  for (size_t i = 0; bm_network_table[i] != NULL; i++) {
    assert_ptr_equal(bm_network_find(bm_network_names[i + 1]), bm_network_table[i]);
    assert_true(strstr(bm_network_kernels(), bm_network_table[i]->name) != NULL);
  }
  assert_null(bm_network_find("auto"));
  assert_null(bm_network_find("cuda"));
  for (size_t s = 0; s < SHAPES; s++) {
    const bm_network_shape_t *shape = &shapes[s];
    int tiny = shape->hidden_count == 1 && shape->in <= 2 && shape->out <= 2 &&
               shape->activation == BM_RELU;
    assert_ptr_equal(bm_network_choose(shape),
                     bm_kernels_best()->fast || tiny ? &bm_network_fused : &bm_network_openblas);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(networks_are_the_plain_sums),
      cmocka_unit_test(a_shard_does_not_feel_its_neighbours),
      cmocka_unit_test(gradient_of_the_inputs_can_be_asked_for_alone),
      cmocka_unit_test(names_and_activations_go_both_ways),
      cmocka_unit_test(back_ends_are_found_by_name_and_chosen_by_rule),
  };
  return cmocka_run_group_tests_name("network " BM_REAL_NAME, tests, NULL, NULL);
}
