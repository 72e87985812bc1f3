/* The flow beside an independent program with automatic differentiation (tests/golden/
 * flow_reference.py): both directions, losses, and their gradients for every parameter and input. */

#include "golden_flow.h"

/* One flow, one batch, and what comes of them. */
typedef struct {
  bm_flow_t *flow;
  bm_flow_workspace_t *workspace;
  size_t rows, d, parameters;
  double point_scale;
  size_t offsets[4];
  bm_shards_t shards;
  bm_real_t *points, *image, *adjoint, *d_log_det, *gradient;
  double *log_det;
} pass_t;

/* Three shards, the first of them empty. */
static void make_pass(const bm_flow_shape_t *shape, uint64_t seed, double gain, size_t rows,
                      double point_scale, pass_t *pass)
{
  assert_int_equal(bm_flow_create(shape, &pass->flow), BM_OK);
  golden_parameters(pass->flow, seed, gain);
  pass->rows = rows;
  pass->point_scale = point_scale;
  pass->d = shape->d;
  pass->parameters = bm_flow_parameter_count(pass->flow);
  pass->offsets[0] = pass->offsets[1] = 0;
  pass->offsets[2] = rows / 3;
  pass->offsets[3] = rows;
  pass->shards = (bm_shards_t){3, pass->offsets};
  pass->workspace = made_workspace(pass->flow, rows, 3);
  pass->image = zero_reals(rows * shape->d);
  pass->adjoint = zero_reals(rows * shape->d);
  pass->d_log_det = zero_reals(rows);
  pass->gradient = drawn_reals(1, 1.0, pass->parameters); /* to be written over */
  pass->log_det = zero_doubles(rows);
  pass->points = NULL;
}

static void free_pass(pass_t *pass)
{
  bm_real_t *blocks[] = {pass->points, pass->image, pass->adjoint, pass->d_log_det, pass->gradient};
  for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
    bm_free(blocks[i]);
  }
  bm_free(pass->log_det);
  bm_flow_workspace_destroy(&pass->workspace);
  bm_flow_destroy(&pass->flow);
}

/* Forward at the base points; loss: mean of exp(-|y|²/2) - log_det/4. */
static double generate(pass_t *pass)
{
  double sum = 0.0;
  double weight = 1.0 / (double)pass->rows;
  bm_flow_forward(pass->flow, pass->workspace, &pass->shards, pass->points, pass->image,
                  pass->log_det);
  for (size_t i = 0; i < pass->rows; i++) {
    double squares = 0.0;
    const bm_real_t *y = pass->image + i * pass->d;
    for (size_t k = 0; k < pass->d; k++) {
      squares += (double)y[k] * (double)y[k];
    }
    double value = exp(-0.5 * squares);
    for (size_t k = 0; k < pass->d; k++) {
      pass->adjoint[i * pass->d + k] = (bm_real_t)(-weight * value * (double)y[k]);
    }
    pass->d_log_det[i] = (bm_real_t)(-0.25 * weight);
    sum += weight * (value - 0.25 * pass->log_det[i]);
  }
  const bm_gradient_sink_t sink = {.gradient = pass->gradient};
  bm_flow_forward_backward(pass->flow, pass->workspace, &pass->shards, pass->adjoint,
                           pass->d_log_det, &sink);
  return sum;
}

/* Inverse at the data points; loss: negative log-likelihood. */
static double likelihood(pass_t *pass)
{
  double sum = 0.0;
  double weight = 1.0 / (double)pass->rows;
  bm_flow_inverse(pass->flow, pass->workspace, &pass->shards, pass->points, pass->image,
                  pass->log_det);
  for (size_t i = 0; i < pass->rows; i++) {
    const bm_real_t *x = pass->image + i * pass->d;
    for (size_t k = 0; k < pass->d; k++) {
      pass->adjoint[i * pass->d + k] = (bm_real_t)(weight * (double)x[k]);
      sum += weight * 0.5 * ((double)x[k] * (double)x[k] + log(2.0 * M_PI));
    }
    pass->d_log_det[i] = (bm_real_t)weight;
    sum += weight * pass->log_det[i];
  }
  const bm_gradient_sink_t sink = {.gradient = pass->gradient};
  bm_flow_inverse_backward(pass->flow, pass->workspace, &pass->shards, pass->adjoint,
                           pass->d_log_det, &sink);
  return sum;
}

/* Names in the file. */
static const struct {
  double (*loss)(pass_t *pass);
  const char *direction, *loss_name, *seed;
} directions[] = {{generate, "forward", "generated", "base_seed"},
                  {likelihood, "inverse", "nll", "data_seed"}};

/* Images, log-determinants, loss and input gradient; gives the loss's entry. */
static const bm_json_t *check_direction(const bm_json_t *entry, size_t direction, pass_t *pass)
{
  const bm_json_t *map = bm_json_get(entry, directions[direction].direction);
  const bm_json_t *loss = bm_json_get(entry, directions[direction].loss_name);
  bm_free(pass->points);
  pass->points = golden_reals(golden_size(entry, directions[direction].seed), pass->point_scale,
                              pass->rows * pass->d);
  double value = directions[direction].loss(pass);
  assert_golden_reals(map, "points", pass->rows * pass->d, pass->image);
  assert_golden(map, "log_det", pass->rows, pass->log_det);
  assert_golden(loss, "loss", 1, &value);
  assert_golden_reals(loss, "input_gradient", pass->rows * pass->d, pass->adjoint);
  return loss;
}

static void every_number_is_that_of_the_reference_program(void **state)
{
  (void)state;
  bm_json_t *golden = read_golden("flow_reference.json");
  const bm_json_t *cases = bm_json_get(golden, "cases");
  assert_int_equal(bm_json_count(cases), 4);
  for (size_t i = 0; i < 4; i++) {
    const bm_json_t *entry = bm_json_item(cases, i);
    const bm_flow_shape_t shape = golden_shape(golden, entry);
    pass_t pass;
    make_pass(&shape, golden_size(entry, "seed"), 1.0, golden_size(golden, "rows"),
              golden_number(golden, "point_scale"), &pass);
    for (size_t k = 0; k < 2; k++) {
      const bm_json_t *loss = check_direction(entry, k, &pass);
      assert_golden_reals(loss, "gradient", pass.parameters, pass.gradient);
    }
    free_pass(&pass);
  }
  bm_json_destroy(&golden);
}

/* Norms of the gradient of each network, and every stride-th entry. */
static void check_full_gradient(const bm_json_t *entry, const bm_json_t *loss, const pass_t *pass)
{
  enum { layers = 8, networks = 2 * layers };
  double norms[networks];
  size_t size = pass->parameters / networks; /* d_a = d - d_a: all networks have one shape */
  size_t stride = golden_size(entry, "stride");
  for (size_t n = 0; n < networks; n++) {
    double squares = 0.0;
    for (size_t i = n * size; i < (n + 1) * size; i++) {
      squares += (double)pass->gradient[i] * (double)pass->gradient[i];
    }
    norms[n] = sqrt(squares);
  }
  assert_golden(loss, "norms", networks, norms);
  size_t count = 0;
  double entries[64];
  for (size_t i = 0; i < pass->parameters; i += stride) {
    assert_true(count < 64);
    entries[count++] = (double)pass->gradient[i];
  }
  assert_golden(loss, "entries", count, entries);
}

/* Fifty rows have pre-activations that float32 puts on the other side of the kink. */
static void two_particle_net_is_that_of_the_reference_program(void **state)
{
  (void)state;
#ifdef BM_REAL_IS_DOUBLE
  const size_t compared = 2;
#else
  const size_t compared = 1;
#endif
  bm_json_t *golden = read_golden("flow_reference.json");
  const bm_flow_shape_t shape = {.d = 4,
                                 .layers = 8,
                                 .hidden_count = 2,
                                 .hidden = {256, 256},
                                 .activation = BM_RELU,
                                 .scale_cap = golden_number(golden, "scale_cap")};
  for (size_t i = 0; i < compared; i++) {
    const bm_json_t *entry = bm_json_item(bm_json_get(golden, "full"), i);
    pass_t pass;
    make_pass(&shape, golden_size(entry, "seed"), golden_number(golden, "full_gain"),
              golden_size(entry, "rows"), golden_number(golden, "point_scale"), &pass);
    for (size_t k = 0; k < 2; k++) {
      check_full_gradient(entry, check_direction(entry, k, &pass), &pass);
    }
    free_pass(&pass);
  }
  bm_json_destroy(&golden);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_number_is_that_of_the_reference_program),
      cmocka_unit_test(two_particle_net_is_that_of_the_reference_program),
  };
  return cmocka_run_group_tests_name("flow golden " BM_REAL_NAME, tests, NULL, NULL);
}
