/* The flow as a map: inverse, log-determinant, Jacobian, counts and the independence of shards. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/analyse/lipschitz.h"
#include "boltzmap/train/adam.h"
#include "boltzmap/train/loss.h"
#include "made_flow.h"

static const size_t dimensions[] = {2, 3, 4, 5, 7};
#define DIMENSIONS (sizeof dimensions / sizeof dimensions[0])

static const bm_activation_t activations[] = {BM_RELU, BM_TANH};

static int ascending(const void *a, const void *b)
{
  double x = *(const double *)a;
  double y = *(const double *)b;
  return (x > y) - (x < y);
}

/* log|det| by elimination with row exchanges; the matrix is used up. */
static double log_abs_det(size_t d, double *a /* [d][d] */)
{
  double sum = 0.0;
  for (size_t k = 0; k < d; k++) {
    size_t pivot = k;
    for (size_t i = k + 1; i < d; i++) {
      pivot = fabs(a[i * d + k]) > fabs(a[pivot * d + k]) ? i : pivot;
    }
    for (size_t j = 0; j < d; j++) {
      double swap = a[k * d + j];
      a[k * d + j] = a[pivot * d + j];
      a[pivot * d + j] = swap;
    }
    sum += log(fabs(a[k * d + k]));
    for (size_t i = k + 1; i < d; i++) {
      double factor = a[i * d + k] / a[k * d + k];
      for (size_t j = k; j < d; j++) {
        a[i * d + j] -= factor * a[k * d + j];
      }
    }
  }
  return sum;
}

/* Points in the wells of a two-particle system: coordinates near ±1, pairs pushed apart. */
static bm_real_t *well_points(size_t n)
{
  bm_real_t *y = drawn_reals(31, 0.2, 4 * n);
  for (size_t i = 0; i < n; i++) {
    bm_real_t side = i % 2 == 0 ? 1 : -1;
    y[4 * i] += side;
    y[4 * i + 2] -= i % 16 == 0 ? -side : side;
  }
  return y;
}

#define TRAIN_ROWS 256
#define TRAIN_STEPS 150

/* A flow of four dimensions after some optimiser steps on one batch. */
static bm_flow_t *trained_flow(double *first_loss, double *last_loss)
{
  bm_flow_shape_t shape = flow_shape(4, 8, 2, 32, BM_RELU);
  bm_flow_t *flow = made_flow(&shape, 30, 0.0);
  bm_flow_initialise(flow, 5);
  size_t count = bm_flow_parameter_count(flow);
  bm_flow_workspace_t *workspace = made_workspace(flow, TRAIN_ROWS, 2);
  bm_real_t *y = well_points(TRAIN_ROWS);
  bm_real_t *work = zero_reals(TRAIN_ROWS * 5);
  bm_real_t *gradient = zero_reals(3 * count);
  double *log_det = zero_doubles(TRAIN_ROWS);
  const size_t offset[3] = {0, TRAIN_ROWS / 2, TRAIN_ROWS};
  const bm_batch_t batch = {{2, offset}, y, TRAIN_ROWS};
  const bm_adam_t adam = {3e-3, 0.9, 0.999, 1e-8};
  for (int step = 1; step <= TRAIN_STEPS; step++) {
    double sums[2];
    bm_loss_nll_evaluate(flow, workspace, &batch, work, log_det, sums,
                         &(bm_gradient_sink_t){.gradient = gradient});
    bm_adam_step(&adam, step, 1.0, count, gradient, gradient + count, gradient + 2 * count,
                 bm_flow_parameters(flow));
    *(step == 1 ? first_loss : last_loss) = sums[0] + sums[1];
  }
  bm_free(log_det);
  bm_free(gradient);
  bm_free(work);
  bm_free(y);
  bm_flow_workspace_destroy(&workspace);
  return flow;
}

/* What going there and back does to points. */
typedef struct {
  size_t rows, d;
  bm_real_t *x, *y, *back;
  double *log_det, *log_det_back, *jacobian;
} trip_t;

static trip_t make_trip(const bm_flow_t *flow, size_t rows)
{
  size_t d = bm_flow_shape(flow)->d;
  trip_t trip = {.rows = rows,
                 .d = d,
                 .x = drawn_reals(40, 1.0, rows * d),
                 .y = zero_reals(rows * d),
                 .back = zero_reals(rows * d),
                 .log_det = zero_doubles(rows),
                 .log_det_back = zero_doubles(rows),
                 .jacobian = zero_doubles(rows * d * d)};
  bm_flow_workspace_t *workspace = made_workspace(flow, rows, 1);
  const size_t offset[2] = {0, rows};
  const bm_shards_t shards = {1, offset};
  bm_flow_jacobian(flow, workspace, &shards, trip.x, trip.y, trip.log_det, trip.jacobian);
  bm_flow_inverse(flow, workspace, &shards, trip.y, trip.back, trip.log_det_back);
  bm_flow_workspace_destroy(&workspace);
  return trip;
}

static void free_trip(trip_t *trip)
{
  bm_free(trip->x);
  bm_free(trip->y);
  bm_free(trip->back);
  bm_free(trip->log_det);
  bm_free(trip->log_det_back);
  bm_free(trip->jacobian);
}

/* Ratio of the largest to the smallest singular value of the Jacobian at a row. */
static double condition(const trip_t *trip, size_t i)
{
  size_t squares = trip->d * trip->d;
  double *copy = zero_doubles(squares);
  memcpy(copy, trip->jacobian + i * squares, squares * sizeof *copy);
  double largest;
  double smallest;
  assert_int_equal(bm_singular_range(trip->d, copy, &largest, &smallest), BM_OK);
  bm_free(copy);
  return largest / smallest;
}

static double row_size(const trip_t *trip, size_t i)
{
  double size = 1.0;
  for (size_t k = i * trip->d; k < (i + 1) * trip->d; k++) {
    size = fmax(size, fmax(fabs((double)trip->x[k]), fabs((double)trip->y[k])));
  }
  return size;
}

/* Each layer makes an error of a few roundings of its values, there and back, which the layers behind
 * it and the inverse magnify by no more than about the condition number. */
static double error_bound(const trip_t *trip, size_t layers, size_t i)
{
  return 4.0 * (double)layers * BM_REAL_EPSILON * condition(trip, i) * row_size(trip, i);
}

/* Gives the 99.9% quantile of the rows' errors. */
static double check_trip(const trip_t *trip, size_t layers)
{
  double *errors = zero_doubles(trip->rows);
  for (size_t i = 0; i < trip->rows; i++) {
    for (size_t k = i * trip->d; k < (i + 1) * trip->d; k++) {
      errors[i] = fmax(errors[i], fabs((double)trip->back[k] - (double)trip->x[k]));
    }
    double bound = error_bound(trip, layers, i);
    if (!(errors[i] <= bound)) {
      fail_msg("row %zu: error %.3g above %.3g", i, errors[i], bound);
    }
    assert_true(fabs(trip->log_det[i] - trip->log_det_back[i]) <= bound);
  }
  qsort(errors, trip->rows, sizeof *errors, ascending);
  double quantile = errors[(size_t)ceil(0.999 * (double)trip->rows) - 1];
  bm_free(errors);
  return quantile;
}

/* The plain formulas of flow/flow.h for one point in float64, each network evaluated unit by unit. */
#define WIDTH_MAX 16

/* Network outputs for `in` inputs; gives the parameters behind the network's own. */
static const bm_real_t *plain_network(const bm_flow_shape_t *shape, const bm_real_t *parameters,
                                      size_t in, const double *input, size_t out, double *output)
{
  double from[WIDTH_MAX];
  memcpy(from, input, in * sizeof *from);
  for (size_t l = 0; l <= shape->hidden_count; l++) {
    size_t width = l == shape->hidden_count ? out : shape->hidden[l];
    double to[WIDTH_MAX];
    for (size_t j = 0; j < width; j++) {
      to[j] = (double)parameters[in * width + j];
      for (size_t i = 0; i < in; i++) {
        to[j] += from[i] * (double)parameters[i * width + j];
      }
      if (l < shape->hidden_count) {
        to[j] = shape->activation == BM_TANH ? tanh(to[j]) : fmax(to[j], 0.0);
      }
    }
    parameters += (in + 1) * width;
    in = width;
    memcpy(l == shape->hidden_count ? output : from, to, width * sizeof *to);
  }
  return parameters;
}

static void plain_forward(const bm_flow_shape_t *shape, const bm_real_t *parameters,
                          double *z /* [d], there and back */, double *log_det)
{
  size_t half = shape->d / 2;
  *log_det = 0.0;
  for (size_t k = 0; k < shape->layers; k++) {
    size_t kept = k % 2 ? half : 0;
    size_t moved = k % 2 ? 0 : half;
    size_t in = k % 2 ? shape->d - half : half;
    size_t out = shape->d - in;
    double s[WIDTH_MAX];
    double t[WIDTH_MAX];
    parameters = plain_network(shape, parameters, in, z + kept, out, s);
    parameters = plain_network(shape, parameters, in, z + kept, out, t);
    for (size_t j = 0; j < out; j++) {
      double bounded = shape->scale_cap * tanh(s[j] / shape->scale_cap);
      z[moved + j] = z[moved + j] * exp(bounded) + t[j];
      *log_det += bounded;
    }
  }
}

static void forward_is_the_plain_formula(void **state)
{
  (void)state;
  for (size_t i = 0; i < 4 * DIMENSIONS; i++) {
    bm_flow_shape_t shape = flow_shape(dimensions[i / 4], 5, 1 + i / 2 % 2, 12, activations[i % 2]);
    shape.hidden[0] = 9;
    bm_flow_t *flow = made_flow(&shape, 39, 0.3);
    trip_t trip = make_trip(flow, 50);
    for (size_t row = 0; row < trip.rows; row++) {
      double z[WIDTH_MAX];
      double log_det;
      for (size_t k = 0; k < trip.d; k++) {
        z[k] = (double)trip.x[row * trip.d + k];
      }
      plain_forward(&shape, bm_flow_parameters(flow), z, &log_det);
      double bound = error_bound(&trip, shape.layers, row);
      for (size_t k = 0; k < trip.d; k++) {
        assert_true(fabs((double)trip.y[row * trip.d + k] - z[k]) <= bound);
      }
      assert_true(fabs(trip.log_det[row] - log_det) <= bound);
    }
    free_trip(&trip);
    bm_flow_destroy(&flow);
  }
}

static void inverse_of_forward_is_identity(void **state)
{
  (void)state;
  for (size_t i = 0; i < 2 * DIMENSIONS; i++) {
    bm_flow_shape_t shape = flow_shape(dimensions[i / 2], 6, 1 + i % 2, 16, activations[i % 2]);
    bm_flow_t *flow = made_flow(&shape, 41, 0.3);
    trip_t trip = make_trip(flow, 2000);
    check_trip(&trip, shape.layers);
    free_trip(&trip);
    bm_flow_destroy(&flow);
  }
}

static void inverse_of_forward_is_identity_after_training(void **state)
{
  (void)state;
  double first = 0.0;
  double last = 0.0;
  bm_flow_t *flow = trained_flow(&first, &last);
  assert_true(last < first - 1.0); /* it has learned something */
  trip_t trip = make_trip(flow, 10000);
  const double limit = sizeof(bm_real_t) == sizeof(float) ? 1e-4 : 1e-11;
  double quantile = check_trip(&trip, 8);
  if (!(quantile < limit)) {
    fail_msg("99.9%% quantile %.3g above %.3g", quantile, limit);
  }
  free_trip(&trip);
  bm_flow_destroy(&flow);
}

/* Elimination of a matrix of condition number c magnifies its roundings by c. */
static void check_log_dets(const trip_t *trip, const double *jacobian, double relative)
{
  size_t squares = trip->d * trip->d;
  double *copy = zero_doubles(squares);
  for (size_t i = 0; i < trip->rows; i++) {
    memcpy(copy, jacobian + i * squares, squares * sizeof *copy);
    double bound = relative * condition(trip, i);
    double exact = log_abs_det(trip->d, copy);
    if (!(fabs(exact - trip->log_det[i]) <= bound)) {
      fail_msg("d = %zu, row %zu: log det %.15g is not %.15g", trip->d, i, trip->log_det[i], exact);
    }
  }
  bm_free(copy);
}

static void log_determinant_is_that_of_the_exact_jacobian(void **state)
{
  (void)state;
  for (size_t i = 0; i < 4 * DIMENSIONS; i++) {
    bm_flow_shape_t shape = flow_shape(dimensions[i / 4], 5, 1 + i / 2 % 2, 12, activations[i % 2]);
    bm_flow_t *flow = made_flow(&shape, 42, 0.3);
    trip_t trip = make_trip(flow, 50);
    check_log_dets(&trip, trip.jacobian, 100.0 * BM_REAL_EPSILON);
    free_trip(&trip);
    bm_flow_destroy(&flow);
  }
}

#ifdef BM_REAL_IS_DOUBLE
/* Central differences: truncation and rounding both stay near 1e-10. */
static double *numerical_jacobian(const bm_flow_t *flow, const trip_t *trip)
{
  const double h = 1e-6;
  size_t d = trip->d;
  double *jacobian = zero_doubles(trip->rows * d * d);
  double *x = zero_doubles(trip->rows * d);
  double *y[2] = {zero_doubles(trip->rows * d), zero_doubles(trip->rows * d)};
  double *log_det = zero_doubles(trip->rows);
  bm_flow_workspace_t *workspace = made_workspace(flow, trip->rows, 1);
  const size_t offset[2] = {0, trip->rows};
  const bm_shards_t shards = {1, offset};
  for (size_t in = 0; in < d; in++) {
    for (int side = 0; side < 2; side++) {
      memcpy(x, trip->x, trip->rows * d * sizeof *x);
      for (size_t i = 0; i < trip->rows; i++) {
        x[i * d + in] += side ? h : -h;
      }
      bm_flow_forward(flow, workspace, &shards, x, y[side], log_det);
    }
    for (size_t k = 0; k < trip->rows * d; k++) {
      jacobian[k * d + in] = (y[1][k] - y[0][k]) / (2.0 * h);
    }
  }
  bm_flow_workspace_destroy(&workspace);
  bm_free(log_det);
  bm_free(y[0]);
  bm_free(y[1]);
  bm_free(x);
  return jacobian;
}

static void jacobian_and_log_determinant_are_the_numerical_ones(void **state)
{
  (void)state;
  for (size_t i = 0; i < 4 * DIMENSIONS; i++) {
    bm_flow_shape_t shape = flow_shape(dimensions[i / 4], 5, 1 + i / 2 % 2, 12, activations[i % 2]);
    bm_flow_t *flow = made_flow(&shape, 43, 0.3);
    trip_t trip = make_trip(flow, 20);
    double *numerical = numerical_jacobian(flow, &trip);
    for (size_t k = 0; k < trip.rows * trip.d * trip.d; k++) {
      assert_true(fabs(numerical[k] - trip.jacobian[k]) <= 1e-6 * (1.0 + fabs(trip.jacobian[k])));
    }
    check_log_dets(&trip, numerical, 1e-7);
    for (size_t row = 0; row < trip.rows; row++) {
      double exact = log_abs_det(trip.d, numerical + row * trip.d * trip.d);
      assert_true(fabs(exact - trip.log_det[row]) <= 1e-6 * (1.0 + fabs(exact)));
    }
    bm_free(numerical);
    free_trip(&trip);
    bm_flow_destroy(&flow);
  }
}
#endif

static void scale_stays_under_its_cap(void **state)
{
  (void)state;
  bm_flow_shape_t shape = flow_shape(4, 3, 1, 8, BM_RELU);
  bm_flow_t *flow = made_flow(&shape, 44, 30.0);
  bm_flow_workspace_t *workspace = made_workspace(flow, 100, 1);
  bm_real_t *x = drawn_reals(45, 10.0, 400);
  double *log_det = zero_doubles(100);
  const size_t offset[2] = {0, 100};
  const bm_shards_t shards = {1, offset};
  bm_flow_forward(flow, workspace, &shards, x, x, log_det);
  double largest = 0.0;
  for (size_t i = 0; i < 100; i++) {
    largest = fmax(largest, fabs(log_det[i]));
  }
  /* three layers that move two columns each */
  assert_true(largest <= 3.0 * 2.0 * shape.scale_cap * (1.0 + 4.0 * BM_REAL_EPSILON));
  assert_true(largest > shape.scale_cap);
  bm_free(log_det);
  bm_free(x);
  bm_flow_workspace_destroy(&workspace);
  bm_flow_destroy(&flow);
}

static void each_layer_keeps_half_of_the_columns(void **state)
{
  (void)state;
  for (size_t i = 0; i < DIMENSIONS; i++) {
    size_t d = dimensions[i];
    bm_flow_shape_t shape = flow_shape(d, 1, 1, 6, BM_TANH);
    bm_flow_t *flow = made_flow(&shape, 46, 0.5);
    trip_t trip = make_trip(flow, 10);
    for (size_t k = 0; k < trip.rows * d; k++) {
      if (k % d < d / 2) {
        assert_true(trip.y[k] == trip.x[k]);
      } else {
        assert_true(trip.y[k] != trip.x[k]);
      }
    }
    free_trip(&trip);
    bm_flow_destroy(&flow);
  }
}

static void in_place_passes_give_the_same_bits(void **state)
{
  (void)state;
  bm_flow_shape_t shape = flow_shape(5, 4, 2, 12, BM_TANH);
  bm_flow_t *flow = made_flow(&shape, 47, 0.3);
  trip_t trip = make_trip(flow, 30);
  bm_flow_workspace_t *workspace = made_workspace(flow, 30, 1);
  const size_t offset[2] = {0, 30};
  const bm_shards_t shards = {1, offset};
  bm_real_t *z = drawn_reals(40, 1.0, 150);
  bm_flow_forward(flow, workspace, &shards, z, z, trip.log_det);
  assert_memory_equal(z, trip.y, 150 * sizeof *z);
  bm_flow_inverse(flow, workspace, &shards, z, z, trip.log_det);
  assert_memory_equal(z, trip.back, 150 * sizeof *z);
  bm_free(z);
  bm_flow_workspace_destroy(&workspace);
  free_trip(&trip);
  bm_flow_destroy(&flow);
}

static void first_map_is_near_the_identity(void **state)
{
  (void)state;
  for (size_t i = 0; i < 2 * DIMENSIONS; i++) {
    bm_flow_shape_t shape = flow_shape(dimensions[i / 2], 8, 2, 64, activations[i % 2]);
    bm_flow_t *flow = made_flow(&shape, 48, 0.0);
    bm_flow_initialise(flow, 11);
    trip_t trip = make_trip(flow, 500);
    double squares = 0.0;
    for (size_t k = 0; k < trip.rows * trip.d; k++) {
      double shift = (double)trip.y[k] - (double)trip.x[k];
      squares += shift * shift;
    }
    /* each layer moves a point by about a hundredth of its size */
    double shift = sqrt(squares / (double)(trip.rows * trip.d));
    assert_true(shift > 1e-3 && shift < 0.1);
    for (size_t row = 0; row < trip.rows; row++) {
      assert_true(fabs(trip.log_det[row]) < 1.0);
    }
    free_trip(&trip);
    bm_flow_destroy(&flow);
  }
}

static void first_parameters_follow_from_the_seed_alone(void **state)
{
  (void)state;
  bm_flow_shape_t shape = flow_shape(4, 2, 2, 200, BM_RELU);
  bm_flow_t *flows[3];
  size_t count = 0;
  for (int i = 0; i < 3; i++) {
    flows[i] = made_flow(&shape, 49, (double)i);
    bm_flow_initialise(flows[i], i == 2 ? 8 : 7);
    count = bm_flow_parameter_count(flows[i]);
  }
  assert_memory_equal(bm_flow_parameters(flows[0]), bm_flow_parameters(flows[1]),
                      count * sizeof(bm_real_t));
  assert_memory_not_equal(bm_flow_parameters(flows[0]), bm_flow_parameters(flows[2]),
                          count * sizeof(bm_real_t));
  /* He's variance 2/in in the second layer of the first network: 40,000 draws, standard error of
   * their variance 0.7% */
  const bm_real_t *weights = bm_flow_parameters(flows[0]) + bm_dense_parameter_count(2, 200);
  double squares = 0.0;
  for (size_t i = 0; i < 40000; i++) {
    squares += (double)weights[i] * (double)weights[i];
  }
  assert_true(fabs(squares / 40000.0 / (2.0 / 200.0) - 1.0) < 5.5 * 0.0071);
  for (int i = 0; i < 3; i++) {
    bm_flow_destroy(&flows[i]);
  }
}

/* The article's nets: 8 layers of 256 in four dimensions, 12 of 512 in 66, and 6 of one hidden layer
 * of 64 for two torsions, which it counts (2,316) without dead weights. */
static void parameter_counts_are_the_articles(void **state)
{
  (void)state;
  const struct {
    size_t d, layers, hidden_count, width, masked, live;
  } nets[] = {
      {4, 8, 2, 256, 1089600, 1073184}, {66, 12, 2, 512, 7939632, 7127832}, {2, 6, 1, 64, 0, 2316}};
  for (size_t i = 0; i < 3; i++) {
    bm_flow_shape_t shape =
        flow_shape(nets[i].d, nets[i].layers, nets[i].hidden_count, nets[i].width, BM_RELU);
    if (nets[i].masked > 0) {
      assert_int_equal(bm_flow_masked_equivalent(&shape), nets[i].masked);
    }
    bm_flow_t *flow;
    assert_int_equal(bm_flow_create(&shape, &flow), BM_OK);
    assert_int_equal(bm_flow_parameter_count(flow), nets[i].live);
    bm_flow_destroy(&flow);
  }
}

/* With narrow and wide outputs, tiny networks, and activations of one layer in the place of another's. */
static void a_frozen_flow_gives_the_same_bits(void **state)
{
  (void)state;
  const struct {
    size_t d, hidden_count, width;
  } nets[] = {{2, 1, 20}, {4, 2, 40}, {5, 1, 17}, {40, 2, 33}};
  const size_t rows = 19;
  const size_t offsets[] = {0, rows};
  const bm_shards_t shards = {1, offsets};
  for (size_t i = 0; i < 8; i++) {
    size_t d = nets[i / 2].d;
    bm_flow_shape_t shape =
        flow_shape(d, 5, nets[i / 2].hidden_count, nets[i / 2].width, activations[i % 2]);
    bm_flow_t *flow = made_flow(&shape, 52, 0.2);
    bm_flow_workspace_t *workspace = made_workspace(flow, rows, 1);
    bm_flow_workspace_t *frozen;
    assert_int_equal(bm_flow_workspace_freeze(flow, rows, 1, &frozen), BM_OK);
    bm_real_t *x = drawn_reals(53, 1.0, rows * d);
    bm_real_t *y[2] = {zero_reals(rows * d), zero_reals(rows * d)};
    double *log_det[2] = {zero_doubles(rows), zero_doubles(rows)};
    for (int inverse = 0; inverse < 2; inverse++) {
      (inverse ? bm_flow_inverse : bm_flow_forward)(flow, workspace, &shards, x, y[0], log_det[0]);
      (inverse ? bm_flow_inverse : bm_flow_forward)(flow, frozen, &shards, x, y[1], log_det[1]);
      assert_memory_equal(y[0], y[1], rows * d * sizeof *x);
      assert_memory_equal(log_det[0], log_det[1], rows * sizeof **log_det);
    }
    void *blocks[] = {x, y[0], y[1], log_det[0], log_det[1]};
    for (size_t k = 0; k < 5; k++) {
      bm_free(blocks[k]);
    }
    bm_flow_workspace_destroy(&workspace);
    bm_flow_workspace_destroy(&frozen);
    bm_flow_destroy(&flow);
  }
}

/* Rows of a batch in several shards, and the same shards one by one. */
static void a_shard_does_not_feel_its_neighbours(void **state)
{
  (void)state;
  const size_t offsets[] = {0, 7, 7, 20, 33, 41};
  const bm_shards_t shards = {5, offsets};
  bm_flow_shape_t shape = flow_shape(5, 4, 2, 40, BM_RELU);
  bm_flow_t *flow = made_flow(&shape, 50, 0.2);
  bm_flow_workspace_t *workspace = made_workspace(flow, 41, 5);
  bm_real_t *x = drawn_reals(51, 1.0, 41 * 5);
  bm_real_t *whole[2] = {zero_reals(41 * 5), zero_reals(41 * 5)};
  double *log_det[2] = {zero_doubles(41), zero_doubles(41)};
  bm_flow_forward(flow, workspace, &shards, x, whole[0], log_det[0]);
  bm_flow_inverse(flow, workspace, &shards, x, whole[1], log_det[1]);
  for (size_t s = 0; s < shards.count; s++) {
    size_t first = offsets[s];
    size_t rows = offsets[s + 1] - first;
    const size_t offset[2] = {0, rows};
    const bm_shards_t one = {1, offset};
    bm_real_t part[41 * 5];
    double part_log_det[41];
    bm_flow_forward(flow, workspace, &one, x + first * 5, part, part_log_det);
    assert_memory_equal(part, whole[0] + first * 5, rows * 5 * sizeof *part);
    assert_memory_equal(part_log_det, log_det[0] + first, rows * sizeof *part_log_det);
    bm_flow_inverse(flow, workspace, &one, x + first * 5, part, part_log_det);
    assert_memory_equal(part, whole[1] + first * 5, rows * 5 * sizeof *part);
    assert_memory_equal(part_log_det, log_det[1] + first, rows * sizeof *part_log_det);
  }
  for (int i = 0; i < 2; i++) {
    bm_free(whole[i]);
    bm_free(log_det[i]);
  }
  bm_free(x);
  bm_flow_workspace_destroy(&workspace);
  bm_flow_destroy(&flow);
}

/* What the flow says of a point depends on the parameters it has borrowed, not on its own. */
static void borrowed_parameters_are_used_and_kept_when_given_back(void **state)
{
  (void)state;
  bm_flow_shape_t shape = flow_shape(4, 2, 1, 6, BM_TANH);
  bm_flow_t *flow = made_flow(&shape, 71, 0.4);
  bm_flow_t *other = made_flow(&shape, 72, 0.4);
  bm_flow_workspace_t *workspace = made_workspace(flow, 1, 1);
  size_t bytes = bm_flow_parameter_count(flow) * sizeof(bm_real_t);
  bm_real_t *lent = zero_reals(bm_flow_parameter_count(flow));
  const size_t offset[2] = {0, 1};
  const bm_shards_t shards = {1, offset};
  const bm_real_t x[4] = {1, -1, 2, 0.5f};
  bm_real_t y[2][4];
  double log_det;
  memcpy(lent, bm_flow_parameters(other), bytes);
  bm_flow_borrow(flow, lent);
  assert_ptr_equal(bm_flow_parameters(flow), lent);
  bm_flow_forward(flow, workspace, &shards, x, y[0], &log_det);
  bm_flow_forward(other, workspace, &shards, x, y[1], &log_det);
  assert_memory_equal(y[0], y[1], sizeof y[0]);
  bm_flow_borrow(flow, NULL);
  memset(lent, 0, bytes);
  assert_memory_equal(bm_flow_parameters(flow), bm_flow_parameters(other), bytes);
  bm_free(lent);
  bm_flow_workspace_destroy(&workspace);
  bm_flow_destroy(&flow);
  bm_flow_destroy(&other);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(forward_is_the_plain_formula),
      cmocka_unit_test(inverse_of_forward_is_identity),
      cmocka_unit_test(inverse_of_forward_is_identity_after_training),
      cmocka_unit_test(log_determinant_is_that_of_the_exact_jacobian),
#ifdef BM_REAL_IS_DOUBLE
      cmocka_unit_test(jacobian_and_log_determinant_are_the_numerical_ones),
#endif
      cmocka_unit_test(scale_stays_under_its_cap),
      cmocka_unit_test(each_layer_keeps_half_of_the_columns),
      cmocka_unit_test(in_place_passes_give_the_same_bits),
      cmocka_unit_test(first_map_is_near_the_identity),
      cmocka_unit_test(first_parameters_follow_from_the_seed_alone),
      cmocka_unit_test(parameter_counts_are_the_articles),
      cmocka_unit_test(a_frozen_flow_gives_the_same_bits),
      cmocka_unit_test(a_shard_does_not_feel_its_neighbours),
      cmocka_unit_test(borrowed_parameters_are_used_and_kept_when_given_back),
  };
  int failed = 0;
  RUN_WITH_ALL_BACKENDS(failed, "flow " BM_REAL_NAME, tests);
  return failed;
}
