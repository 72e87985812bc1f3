/* Gradients of a loss through either direction of the flow, for every parameter and every input, against
 * central differences of the loss. */

#include <math.h>
#include <string.h>

#include "made_flow.h"

#define ROWS 6
#define ROW_MAX 7

/* Central differences of step h are off by about h² and by roundings of the loss over h. The step for
 * ReLU is small, so that no kink lies inside it. In float32 only the smooth activation can be
 * looked at, and only roughly: tests against the reference program are sharper there. */
#ifdef BM_REAL_IS_DOUBLE
#define TOLERANCE 1e-6
static const double steps[] = {1e-7, 3e-6};
static const bm_activation_t activations[] = {BM_RELU, BM_TANH};
#define ACTIVATIONS 2
#else
#define TOLERANCE 5e-3
static const double steps[] = {1e-2};
static const bm_activation_t activations[] = {BM_TANH};
#define ACTIVATIONS 1
#endif

static const size_t dimensions[] = {2, 3, 4, 5, 7};
#define DIMENSIONS (sizeof dimensions / sizeof dimensions[0])

static const size_t offsets[] = {0, 2, 2, ROWS};
static const bm_shards_t shards = {3, offsets};

typedef void (*pass_t)(const bm_flow_t *, bm_flow_workspace_t *, const bm_shards_t *,
                       const bm_real_t *, bm_real_t *, double *);
typedef void (*backward_t)(const bm_flow_t *, bm_flow_workspace_t *, const bm_shards_t *,
                           bm_real_t *, const bm_real_t *, const bm_gradient_sink_t *);

/* A loss on what a pass gives: mean of value(z_i) + weight·log_det_i. */
typedef struct {
  pass_t pass;
  backward_t backward;
  double (*value)(size_t d, const bm_real_t *z, bm_real_t *slope /* [d] */);
  double weight;
} loss_t;

/* ½|z|²: with the log-determinant, the negative log-likelihood without its constant. */
static double half_square(size_t d, const bm_real_t *z, bm_real_t *slope)
{
  double sum = 0.0;
  for (size_t k = 0; k < d; k++) {
    sum += 0.5 * (double)z[k] * (double)z[k];
    slope[k] = z[k];
  }
  return sum;
}

/* An energy of a generated configuration, coupled and not convex: double wells and springs. */
static double chain_energy(size_t d, const bm_real_t *z, bm_real_t *slope)
{
  double sum = 0.0;
  memset(slope, 0, d * sizeof *slope);
  for (size_t k = 0; k < d; k++) {
    double well = (double)z[k] * (double)z[k] - 1.0;
    double stretch = (double)z[k] - (double)z[(k + 1) % d] - 0.5;
    sum += 0.25 * well * well + 0.5 * stretch * stretch;
    slope[k] += (bm_real_t)(well * (double)z[k] + stretch);
    slope[(k + 1) % d] -= (bm_real_t)stretch;
  }
  return sum;
}

static const loss_t nll = {bm_flow_inverse, bm_flow_inverse_backward, half_square, 1.0};
static const loss_t generated = {bm_flow_forward, bm_flow_forward_backward, chain_energy, -0.7};

/* Loss at x; the adjoints, where not NULL, take its gradients with respect to z and log_det. */
static double loss_at(const loss_t *loss, const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                      const bm_real_t *x, bm_real_t *adjoint, bm_real_t *d_log_det)
{
  size_t d = bm_flow_shape(flow)->d;
  bm_real_t z[ROWS * ROW_MAX];
  double log_det[ROWS];
  double sum = 0.0;
  loss->pass(flow, workspace, &shards, x, z, log_det);
  for (size_t i = 0; i < ROWS; i++) {
    bm_real_t slope[ROW_MAX];
    sum += loss->value(d, z + i * d, slope) + loss->weight * log_det[i];
    for (size_t k = 0; adjoint != NULL && k < d; k++) {
      adjoint[i * d + k] = slope[k] / ROWS;
    }
    if (d_log_det != NULL) {
      d_log_det[i] = (bm_real_t)(loss->weight / ROWS);
    }
  }
  return sum / ROWS;
}

/* `variable` points into the flow's parameters or into x. */
static double difference(const loss_t *loss, const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                         const bm_real_t *x, bm_real_t *variable, double h)
{
  const bm_real_t old = *variable;
  *variable = (bm_real_t)((double)old + h);
  double up = (double)*variable;
  double value = loss_at(loss, flow, workspace, x, NULL, NULL);
  *variable = (bm_real_t)((double)old - h);
  up -= (double)*variable;
  value -= loss_at(loss, flow, workspace, x, NULL, NULL);
  *variable = old;
  return value / up;
}

/* Relative to the larger of the entry and the root mean square of all. */
static void compare(const loss_t *loss, const bm_flow_t *flow, const bm_real_t *x,
                    bm_real_t *variables, size_t count, const bm_real_t *gradient, double h)
{
  bm_flow_workspace_t *workspace = made_workspace(flow, ROWS, 3);
  double squares = 0.0;
  for (size_t i = 0; i < count; i++) {
    squares += (double)gradient[i] * (double)gradient[i];
  }
  double typical = sqrt(squares / (double)count);
  assert_true(typical > 1e-4);
  for (size_t i = 0; i < count; i++) {
    double numerical = difference(loss, flow, workspace, x, &variables[i], h);
    double error = fabs(numerical - (double)gradient[i]);
    if (!(error <= TOLERANCE * fmax(typical, fabs(numerical)))) {
      fail_msg("d = %zu, hidden layers %zu, %s, variable %zu of %zu: %.12g is not %.12g",
               bm_flow_shape(flow)->d, bm_flow_shape(flow)->hidden_count,
               bm_activation_name(bm_flow_shape(flow)->activation), i, count, (double)gradient[i],
               numerical);
    }
  }
  bm_flow_workspace_destroy(&workspace);
}

static void check_gradients(const loss_t *loss, const bm_flow_shape_t *shape, double h)
{
  bm_flow_t *flow = made_flow(shape, 60, 0.4);
  size_t count = bm_flow_parameter_count(flow);
  bm_flow_workspace_t *workspace = made_workspace(flow, ROWS, 3);
  bm_real_t *x = drawn_reals(61, 1.0, ROWS * shape->d);
  bm_real_t *gradient = drawn_reals(62, 1.0, count); /* to be written over */
  bm_real_t adjoint[ROWS * ROW_MAX];
  bm_real_t d_log_det[ROWS];
  loss_at(loss, flow, workspace, x, adjoint, d_log_det);
  loss->backward(flow, workspace, &shards, adjoint, d_log_det,
                 &(bm_gradient_sink_t){.gradient = gradient});
  compare(loss, flow, x, bm_flow_parameters(flow), count, gradient, h);
  compare(loss, flow, x, x, ROWS * shape->d, adjoint, h);
  bm_free(gradient);
  bm_free(x);
  bm_flow_workspace_destroy(&workspace);
  bm_flow_destroy(&flow);
}

/* Hidden widths on both sides of the limit for narrow products. */
static void check_all(const loss_t *loss)
{
  for (size_t i = 0; i < DIMENSIONS; i++) {
    for (size_t hidden = 1; hidden <= 2; hidden++) {
      for (size_t a = 0; a < ACTIVATIONS; a++) {
        bm_flow_shape_t shape = flow_shape(dimensions[i], 4, hidden, 10, activations[a]);
        shape.hidden[hidden - 1] = 6;
        check_gradients(loss, &shape, steps[a]);
      }
    }
  }
}

static void nll_gradients_are_central_differences(void **state)
{
  (void)state;
  check_all(&nll);
}

static void generated_sample_gradients_are_central_differences(void **state)
{
  (void)state;
  check_all(&generated);
}

static void input_gradient_does_not_need_that_of_the_parameters(void **state)
{
  (void)state;
  const loss_t *const losses[] = {&nll, &generated};
  bm_flow_shape_t shape = flow_shape(5, 3, 2, 12, BM_TANH);
  bm_flow_t *flow = made_flow(&shape, 63, 0.4);
  bm_flow_workspace_t *workspace = made_workspace(flow, ROWS, 3);
  bm_real_t *x = drawn_reals(64, 1.0, ROWS * 5);
  bm_real_t *gradient = zero_reals(bm_flow_parameter_count(flow));
  for (int l = 0; l < 2; l++) {
    bm_real_t adjoint[2][ROWS * 5];
    bm_real_t d_log_det[ROWS];
    const bm_gradient_sink_t sink = {.gradient = gradient};
    for (int with = 0; with < 2; with++) {
      loss_at(losses[l], flow, workspace, x, adjoint[with], d_log_det);
      losses[l]->backward(flow, workspace, &shards, adjoint[with], d_log_det, with ? &sink : NULL);
    }
    assert_memory_equal(adjoint[0], adjoint[1], sizeof adjoint[0]);
  }
  bm_free(gradient);
  bm_free(x);
  bm_flow_workspace_destroy(&workspace);
  bm_flow_destroy(&flow);
}

/* What a sink was told: the gradient of each stretch as it was then. */
typedef struct {
  const bm_real_t *gradient;
  bm_real_t *then;
  int *told; /* how often, for each parameter */
  int calls;
} listener_t;

static void listen(void *self, size_t first, size_t count)
{
  listener_t *listener = self;
  listener->calls++;
  for (size_t i = first; i < first + count; i++) {
    listener->then[i] = listener->gradient[i];
    listener->told[i]++;
  }
}

static void a_sink_is_told_of_each_layer_once_its_gradient_is_final(void **state)
{
  (void)state;
  const loss_t *const losses[] = {&nll, &generated};
  bm_flow_shape_t shape = flow_shape(5, 3, 2, 12, BM_TANH);
  bm_flow_t *flow = made_flow(&shape, 63, 0.4);
  size_t count = bm_flow_parameter_count(flow);
  bm_flow_workspace_t *workspace = made_workspace(flow, ROWS, 3);
  bm_real_t *x = drawn_reals(64, 1.0, ROWS * 5);
  for (int l = 0; l < 2; l++) {
    bm_real_t adjoint[ROWS * 5];
    bm_real_t d_log_det[ROWS];
    bm_real_t *gradient = zero_reals(count);
    listener_t listener = {gradient, zero_reals(count), NULL, 0};
    assert_int_equal(BM_ALLOC(count, &listener.told), BM_OK);
    loss_at(losses[l], flow, workspace, x, adjoint, d_log_det);
    losses[l]->backward(flow, workspace, &shards, adjoint, d_log_det,
                        &(bm_gradient_sink_t){gradient, listen, &listener});
    assert_int_equal(listener.calls, 3);
    assert_memory_equal(listener.then, gradient, count * sizeof *gradient);
    for (size_t i = 0; i < count; i++) {
      assert_int_equal(listener.told[i], 1);
    }
    bm_free(listener.told);
    bm_free(listener.then);
    bm_free(gradient);
  }
  bm_free(x);
  bm_flow_workspace_destroy(&workspace);
  bm_flow_destroy(&flow);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nll_gradients_are_central_differences),
      cmocka_unit_test(generated_sample_gradients_are_central_differences),
      cmocka_unit_test(input_gradient_does_not_need_that_of_the_parameters),
      cmocka_unit_test(a_sink_is_told_of_each_layer_once_its_gradient_is_final),
  };
  return cmocka_run_group_tests_name("flow gradients " BM_REAL_NAME, tests, NULL, NULL);
}
