/* Training beside an independent program (tests/golden/flow_reference.py): the loss that a trainer
 * evaluates and its gradient, Adam step by step, and the trainer as a whole. */

#include <mpi.h>

#include "../flow/golden_flow.h"
#include "boltzmap/train/adam.h"
#include "boltzmap/train/loss.h"
#include "boltzmap/train/trainer.h"

#define ROW_MAX 20

static bm_context_t *context;

/* Call `check` with each small net of the file, its parameters set. */
static void for_each_case(void (*check)(const bm_json_t *golden, const bm_json_t *entry,
                                        bm_flow_t *flow))
{
  bm_json_t *golden = read_golden("flow_reference.json");
  const bm_json_t *cases = bm_json_get(golden, "cases");
  assert_int_equal(bm_json_count(cases), 4);
  for (size_t i = 0; i < 4; i++) {
    const bm_json_t *entry = bm_json_item(cases, i);
    const bm_flow_shape_t shape = golden_shape(golden, entry);
    bm_flow_t *flow;
    assert_int_equal(bm_flow_create(&shape, &flow), BM_OK);
    golden_parameters(flow, golden_size(entry, "seed"), 1.0);
    check(golden, entry, flow);
    bm_flow_destroy(&flow);
  }
  bm_json_destroy(&golden);
}

/* Loss and gradient of a whole minibatch in four shards. */
static double evaluate(const bm_flow_t *flow, size_t rows, const bm_real_t *y, bm_real_t *gradient)
{
  const size_t offsets[] = {0, rows / 4, rows / 2, rows / 2, rows};
  const bm_batch_t batch = {{4, offsets}, y, rows};
  bm_flow_workspace_t *workspace = made_workspace(flow, rows, 4);
  bm_real_t *work = zero_reals(rows * (bm_flow_shape(flow)->d + 1));
  double log_det[ROW_MAX];
  double sums[4];
  assert_true(rows <= ROW_MAX);
  bm_loss_nll_evaluate(flow, workspace, &batch, work, log_det, sums,
                       &(bm_gradient_sink_t){.gradient = gradient});
  bm_free(work);
  bm_flow_workspace_destroy(&workspace);
  return sums[0] + sums[1] + sums[2] + sums[3];
}

static void check_loss(const bm_json_t *golden, const bm_json_t *entry, bm_flow_t *flow)
{
  size_t rows = golden_size(golden, "rows");
  size_t count = bm_flow_parameter_count(flow);
  const bm_json_t *expected = bm_json_get(entry, "nll");
  bm_real_t *gradient = zero_reals(count);
  bm_real_t *y = golden_reals(golden_size(entry, "data_seed"), golden_number(golden, "point_scale"),
                              rows * bm_flow_shape(flow)->d);
  double loss = evaluate(flow, rows, y, gradient);
  assert_golden(expected, "loss", 1, &loss);
  assert_golden_reals(expected, "gradient", count, gradient);
  bm_free(y);
  bm_free(gradient);
}

static void loss_and_gradient_are_those_of_the_reference_program(void **state)
{
  (void)state;
  for_each_case(check_loss);
}

/* In float32 rounding takes single steps elsewhere: where a moment is small beside what its terms
 * were, and where a pre-activation passes the kink. */
#ifdef BM_REAL_IS_DOUBLE

static void check_adam(const bm_json_t *golden, const bm_json_t *entry, bm_flow_t *flow)
{
  const bm_json_t *expected = bm_json_get(entry, "adam");
  const bm_adam_t adam = {golden_number(golden, "learning_rate"), 0.9, 0.999, 1e-8};
  size_t steps = golden_size(golden, "steps");
  size_t rows = golden_size(golden, "batch");
  size_t d = bm_flow_shape(flow)->d;
  size_t count = bm_flow_parameter_count(flow);
  bm_real_t *gradient = zero_reals(count);
  bm_real_t *moments[2] = {zero_reals(count), zero_reals(count)};
  bm_real_t *y = golden_reals(golden_size(entry, "batches_seed"),
                              golden_number(golden, "point_scale"), steps * rows * d);
  double *losses = zero_doubles(steps);
  for (size_t i = 0; i < steps; i++) {
    losses[i] = evaluate(flow, rows, y + i * rows * d, gradient);
    bm_adam_step(&adam, (int64_t)i + 1, 1.0, count, gradient, moments[0], moments[1],
                 bm_flow_parameters(flow));
  }
  assert_golden(expected, "losses", steps, losses);
  assert_golden_reals(expected, "parameters", count, bm_flow_parameters(flow));
  bm_free(losses);
  bm_free(y);
  bm_free(moments[0]);
  bm_free(moments[1]);
  bm_free(gradient);
}

static void ten_adam_steps_are_those_of_the_reference_program(void **state)
{
  (void)state;
  for_each_case(check_adam);
}

/* Rows in physical units: mean + scale·(made number), without rounding. */
static double *physical_rows(const bm_json_t *golden, const bm_json_t *entry, size_t n, size_t d,
                             bm_chart_t **units)
{
  double mean[8], scale[8];
  double *x = zero_doubles(n * d);
  assert_true(golden_flatten(bm_json_get(golden, "mean"), 8, mean) >= d);
  assert_true(golden_flatten(bm_json_get(golden, "scale"), 8, scale) >= d);
  made_numbers(golden_size(entry, "training_seed"), golden_number(golden, "point_scale"), n * d, x);
  for (size_t i = 0; i < n * d; i++) {
    x[i] = mean[i % d] + scale[i % d] * x[i];
  }
  assert_int_equal(bm_chart_create_standardised(d, 1, mean, scale, units), BM_OK);
  return x;
}

static void assert_history_is_golden(const bm_json_t *expected, const bm_trainer_t *trainer,
                                     size_t epochs)
{
  size_t count;
  const bm_history_row_t *history = bm_trainer_history(trainer, &count);
  double *losses = zero_doubles(epochs);
  assert_int_equal(count, epochs);
  for (size_t i = 0; i < epochs; i++) {
    losses[i] = history[i].nll_train;
  }
  assert_golden(expected, "nll_train", epochs, losses);
  assert_golden(expected, "nll_validation", 1, &history[epochs - 1].nll_validation);
  bm_free(losses);
}

/* One minibatch an epoch, whose order does not matter, and one of four walkers held out. */
static void check_trainer(const bm_json_t *golden, const bm_json_t *entry, bm_flow_t *flow)
{
  size_t trained = golden_size(golden, "trained");
  size_t n = trained + golden_size(golden, "held_out");
  size_t d = bm_flow_shape(flow)->d;
  size_t epochs = golden_size(golden, "steps");
  const bm_trainer_settings_t settings = {.epochs = (int64_t)epochs,
                                          .batch = (int64_t)trained,
                                          .shards = 8,
                                          .learning_rate = golden_number(golden, "learning_rate"),
                                          .final_learning_rate = 1.0,
                                          .validation_fraction = 0.25,
                                          .validate_every = (int64_t)epochs};
  const bm_layout_t layout = {1, d, "1", "1"};
  bm_chart_t *units;
  bm_map_t *map;
  bm_trainer_t *trainer;
  double *x = physical_rows(golden, entry, n, d, &units);
  const bm_training_data_t data = {.n = n, .d = d, .walkers = 4, .x = x};
  assert_int_equal(bm_map_create(bm_flow_shape(flow), &layout, units, &map), BM_OK);
  assert_int_equal(bm_trainer_create(context, map, &settings, &data, 1, &trainer), BM_OK);
  golden_parameters(bm_map_flow(map), golden_size(entry, "seed"), 1.0);
  assert_int_equal(bm_trainer_run(trainer, NULL, NULL, NULL), BM_OK);
  assert_history_is_golden(bm_json_get(entry, "training"), trainer, epochs);
  bm_trainer_destroy(&trainer);
  bm_map_destroy(&map);
  bm_free(x);
}

static void ten_epochs_of_a_trainer_are_those_of_the_reference_program(void **state)
{
  (void)state;
  for_each_case(check_trainer);
}

#endif

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(loss_and_gradient_are_those_of_the_reference_program),
#ifdef BM_REAL_IS_DOUBLE
      cmocka_unit_test(ten_adam_steps_are_those_of_the_reference_program),
      cmocka_unit_test(ten_epochs_of_a_trainer_are_those_of_the_reference_program),
#endif
  };
  MPI_Init(&argc, &argv);
  int failed = 1;
  if (bm_context_create(MPI_COMM_SELF, &context) == BM_OK) {
    failed = 0;
    RUN_WITH_ALL_BACKENDS(failed, "training golden " BM_REAL_NAME, tests);
  }
  bm_context_destroy(&context);
  MPI_Finalize();
  return failed;
}
