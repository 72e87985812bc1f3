/* Training on one rank: it learns, keeps what it should, follows its schedule, stops or skips at bad
 * numbers, and goes on after a save as if it had never stopped. */

#include <float.h>
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "../flow/made_flow.h"
#include "../model/case_of_text.h"
#include "boltzmap/train/trainer.h"

#define D 2
#define SEED 3

static bm_context_t *context;
static const bm_potential_t *symmetric; /* of the next problems */

static const bm_trainer_settings_t plain = {.epochs = 4,
                                            .batch = 50,
                                            .shards = 4,
                                            .learning_rate = 3e-3,
                                            .final_learning_rate = 0.1,
                                            .cosine = 1,
                                            .warmup_steps = 5,
                                            .clip_norm = 10.0,
                                            .validation_fraction = 0.1,
                                            .validate_every = 1,
                                            .keep_best = 1};

/* Covariance ((a, b), (b, c)) through its Cholesky factor. */
static const double mean[D] = {5.0, -100.0};
static const double factor[D][D] = {{2.0, 0.0}, {24.0, 18.0}};

/* Rows of a Gaussian, and their mean negative log-density under it. */
static double draw_gaussian(size_t n, double *x /* [n][D] */, double *nll /* [n] */)
{
  double entropy = 1.0 + log(2.0 * M_PI) + log(factor[0][0] * factor[1][1]);
  for (size_t i = 0; i < n; i++) {
    double z[D];
    bm_random_normals(bm_random(1, BM_PURPOSE_TEST), (uint32_t)i, 0, 0, D, z);
    x[D * i] = mean[0] + factor[0][0] * z[0];
    x[D * i + 1] = mean[1] + factor[1][0] * z[0] + factor[1][1] * z[1];
    nll[i] = entropy - 1.0 + 0.5 * (z[0] * z[0] + z[1] * z[1]);
  }
  return entropy;
}

/* A problem: data, map and trainer. */
typedef struct {
  bm_training_data_t data;
  double *x, *nll;
  bm_map_t *map;
  bm_trainer_t *trainer;
} problem_t;

/* `poison`, where it is a row, makes that row's loss infinite. */
static problem_t make_problem(const bm_trainer_settings_t *settings, size_t n, size_t walkers,
                              size_t width, size_t poison)
{
  const bm_flow_shape_t shape = flow_shape(D, 4, 1, width, BM_TANH);
  const bm_layout_t layout = {1, D, "1", "1"};
  bm_trainer_settings_t used = *settings;
  bm_chart_t *units;
  problem_t problem = {.x = zero_doubles(n * D), .nll = zero_doubles(n)};
  draw_gaussian(n, problem.x, problem.nll);
  assert_int_equal(bm_chart_fit(&bm_chart_standardised,
                                &(bm_chart_system_t){.particles = D, .dimensions = 1}, n, problem.x,
                                &units),
                   BM_OK);
  if (poison < n) {
    problem.x[D * poison] = DBL_MAX;
  }
  problem.data = (bm_training_data_t){
      .n = n, .d = D, .walkers = walkers, .x = problem.x, .potential = symmetric};
  assert_int_equal(bm_map_create(&shape, &layout, units, &problem.map), BM_OK);
  assert_int_equal(
      bm_trainer_create(context, problem.map, &used, &problem.data, SEED, &problem.trainer), BM_OK);
  return problem;
}

static void free_problem(problem_t *problem)
{
  bm_trainer_destroy(&problem->trainer);
  bm_map_destroy(&problem->map);
  bm_free(problem->nll);
  bm_free(problem->x);
}

static void run(problem_t *problem)
{
  bm_status_t status = bm_trainer_run(problem->trainer, NULL, NULL, NULL);
  if (status != BM_OK) {
    fail_msg("%s", bm_status_message());
  }
}

static bm_training_report_t report_of(const problem_t *problem)
{
  bm_training_report_t report;
  bm_trainer_report(problem->trainer, &report);
  return report;
}

/* Mean negative log-likelihood of the last rows under the map as it is now. */
static double nll_of_last(const problem_t *problem, size_t rows)
{
  size_t first = problem->data.n - rows;
  double *log_density = zero_doubles(rows);
  bm_map_pull(problem->map, rows, problem->x + first * D, NULL, log_density);
  double sum = 0.0;
  for (size_t i = 0; i < rows; i++) {
    sum -= log_density[i];
  }
  bm_free(log_density);
  return sum / (double)rows;
}

/* The flow cannot beat the truth on the held-out rows by more than chance, and comes near it: the two
 * are compared on the same rows, so that their noise cancels. */
static void loss_falls_to_the_entropy_of_a_gaussian(void **state)
{
  (void)state;
  bm_trainer_settings_t settings = plain;
  settings.epochs = 30;
  problem_t problem = make_problem(&settings, 4000, 20, 16, SIZE_MAX);
  double untrained = nll_of_last(&problem, 400);
  run(&problem);
  size_t count;
  const bm_history_row_t *history = bm_trainer_history(problem.trainer, &count);
  double truth = 0.0;
  double truth_train = 0.0;
  for (size_t i = 0; i < 4000; i++) {
    *(i < 3600 ? &truth_train : &truth) += problem.nll[i] / (i < 3600 ? 3600.0 : 400.0);
  }
  bm_training_report_t report = report_of(&problem);
  assert_int_equal(count, 30);
  assert_int_equal(report.epochs, 30);
  assert_int_equal(report.steps, 30 * 72);
  assert_int_equal(report.skipped_steps, 0);
  assert_true(report.samples_per_s > 0.0);
  assert_true(untrained > truth + 0.3);
  assert_true(fabs(report.best_validation - truth) < 0.03);
  assert_true(fabs(history[count - 1].nll_train - truth_train) < 0.03);
  assert_true(history[0].nll_train > history[count - 1].nll_train);
  free_problem(&problem);
}

/* Few rows, a wide net and a high rate: the held-out loss turns up again. */
static problem_t overfit(int keep_best)
{
  bm_trainer_settings_t settings = plain;
  settings.epochs = 60;
  settings.cosine = 0;
  settings.learning_rate = 1e-2;
  settings.keep_best = keep_best;
  settings.validation_fraction = 0.2;
  problem_t problem = make_problem(&settings, 140, 7, 64, SIZE_MAX);
  run(&problem);
  return problem;
}

/* Seven walkers of twenty rows: a fifth of them is one walker, the last. The map computes in other
 * shapes than the trainer: equal to some roundings of the sums of squares. */
static void best_parameters_on_the_held_out_walker_are_kept(void **state)
{
  (void)state;
  problem_t problem = overfit(1);
  size_t count;
  const bm_history_row_t *history = bm_trainer_history(problem.trainer, &count);
  bm_training_report_t report = report_of(&problem);
  double best = INFINITY;
  for (size_t i = 0; i < count; i++) {
    assert_true(history[i].nll_validation >= report.best_validation);
    best = fmin(best, history[i].nll_validation);
  }
  assert_true(best == report.best_validation);
  assert_true(history[report.best_epoch - 1].nll_validation == best);
  assert_true(history[count - 1].nll_validation == report.last_validation);
  assert_true(report.last_validation > report.best_validation + 0.01);
  assert_true(fabs(nll_of_last(&problem, 20) - best) < 100.0 * BM_REAL_EPSILON * fabs(best));
  free_problem(&problem);
}

static void last_parameters_are_kept_where_asked(void **state)
{
  (void)state;
  problem_t problem = overfit(0);
  bm_training_report_t report = report_of(&problem);
  assert_int_equal(report.best_epoch, 60);
  double last = nll_of_last(&problem, 20);
  assert_true(fabs(last - report.last_validation) < 100.0 * BM_REAL_EPSILON * fabs(last));
  free_problem(&problem);
}

/* Of one walker, the last rows. */
static void one_walker_gives_its_last_rows(void **state)
{
  (void)state;
  bm_trainer_settings_t settings = plain;
  settings.epochs = 1;
  settings.validation_fraction = 0.3;
  problem_t problem = make_problem(&settings, 110, 1, 8, SIZE_MAX);
  run(&problem);
  double best = report_of(&problem).best_validation;
  assert_true(fabs(nll_of_last(&problem, 33) - best) < 100.0 * BM_REAL_EPSILON * fabs(best));
  free_problem(&problem);
}

static void validation_follows_its_interval_and_the_last_epoch(void **state)
{
  (void)state;
  bm_trainer_settings_t settings = plain;
  settings.epochs = 8;
  settings.validate_every = 3;
  problem_t problem = make_problem(&settings, 200, 10, 8, SIZE_MAX);
  run(&problem);
  size_t count;
  const bm_history_row_t *history = bm_trainer_history(problem.trainer, &count);
  for (size_t i = 0; i < count; i++) {
    int evaluated = i == 2 || i == 5 || i == 7;
    assert_int_equal(!isnan(history[i].nll_validation), evaluated);
    assert_true(history[i].epoch == (double)(i + 1));
  }
  free_problem(&problem);
}

/* The norm of what Adam got in the first step, from its first moment 0.1·g. */
static double first_gradient_norm(double clip_norm, double *history_norm)
{
  bm_trainer_settings_t settings = plain;
  settings.epochs = 1;
  settings.batch = 1000; /* one step an epoch */
  settings.clip_norm = clip_norm;
  problem_t problem = make_problem(&settings, 200, 10, 8, SIZE_MAX);
  run(&problem);
  size_t count;
  *history_norm = bm_trainer_history(problem.trainer, &count)[0].gradient_norm;
  bm_state_t *stored;
  assert_int_equal(bm_state_create("checkpoint", &stored), BM_OK);
  assert_int_equal(bm_trainer_save(problem.trainer, stored), BM_OK);
  size_t parameters = bm_flow_parameter_count(bm_map_flow(problem.map));
  bm_real_t *moment = zero_reals(parameters);
  assert_int_equal(bm_state_get_reals(stored, "trainer/moment_1", parameters, moment), BM_OK);
  double squares = 0.0;
  for (size_t i = 0; i < parameters; i++) {
    squares += (double)moment[i] * (double)moment[i];
  }
  bm_free(moment);
  bm_state_destroy(&stored);
  free_problem(&problem);
  return sqrt(squares) / 0.1;
}

static void clipping_bounds_the_gradient_norm(void **state)
{
  (void)state;
  double norm;
  double unclipped = first_gradient_norm(0.0, &norm);
  assert_true(norm > 0.1);
  assert_true(fabs(unclipped / norm - 1.0) < 100.0 * BM_REAL_EPSILON);
  const double clips[] = {1e-3, 0.05, 1e3};
  for (size_t i = 0; i < 3; i++) {
    double again;
    double clipped = first_gradient_norm(clips[i], &again);
    assert_true(again == norm); /* the history has what was there before clipping */
    assert_true(fabs(clipped / fmin(clips[i], norm) - 1.0) < 100.0 * BM_REAL_EPSILON);
  }
}

/* A history row gives the rate of the last step of its epoch. */
static void rates_follow_warm_up_and_cosine(void **state)
{
  (void)state;
  for (int cosine = 0; cosine < 2; cosine++) {
    bm_trainer_settings_t settings = plain;
    settings.epochs = 10;
    settings.cosine = cosine;
    settings.warmup_steps = 14;
    problem_t problem = make_problem(&settings, 200, 10, 8, SIZE_MAX);
    run(&problem);
    size_t count;
    const bm_history_row_t *history = bm_trainer_history(problem.trainer, &count);
    assert_int_equal(count, 10);
    for (size_t i = 0; i < count; i++) {
      double done =
          4.0 * (double)(i + 1) - 1.0; /* 180 rows in batches of 50: four steps an epoch */
      double expected = 3e-3;
      if (cosine) {
        expected *= 0.1 + 0.9 * 0.5 * (1.0 + cos(M_PI * done / 40.0));
      }
      expected *= fmin(1.0, (done + 1.0) / 14.0);
      assert_true(fabs(history[i].learning_rate / expected - 1.0) < 1e-12);
    }
    free_problem(&problem);
  }
}

#define POISONED 41 /* a row of the training part */

/* Where the shuffle of the first epoch puts the bad row. */
static void find_poison(size_t rows, int64_t *step, int64_t *shard)
{
  uint32_t order[1000];
  size_t place = 0;
  bm_random_permutation(bm_random(SEED, BM_PURPOSE_SHUFFLE), 0, rows, order);
  while (order[place] != POISONED) {
    place++;
  }
  size_t in_batch = place % (size_t)plain.batch;
  size_t left = rows - (place - in_batch);
  size_t batch = left < (size_t)plain.batch ? left : (size_t)plain.batch;
  *step = (int64_t)(place / (size_t)plain.batch) + 1;
  *shard = 0;
  while (in_batch >= bm_partition(batch, (int)plain.shards, (int)*shard + 1).first) {
    (*shard)++;
  }
}

static void a_loss_that_is_not_finite_stops_by_step_and_shard(void **state)
{
  (void)state;
  bm_trainer_settings_t settings = plain;
  settings.nonfinite = BM_NONFINITE_STOP;
  problem_t problem = make_problem(&settings, 200, 10, 8, POISONED);
  assert_int_equal(bm_trainer_run(problem.trainer, NULL, NULL, NULL), BM_ERR_DATA);
  int64_t step;
  int64_t shard;
  char expected[64];
  find_poison(180, &step, &shard);
  snprintf(expected, sizeof expected, "step %lld, shard %lld;", (long long)step, (long long)shard);
  if (strstr(bm_status_message(), expected) == NULL) {
    fail_msg("no \"%s\" in \"%s\"", expected, bm_status_message());
  }
  free_problem(&problem);
}

static void held_out_losses_that_are_never_finite_leave_no_model(void **state)
{
  (void)state;
  bm_trainer_settings_t settings = plain;
  problem_t problem = make_problem(&settings, 200, 10, 8, 190);
  assert_int_equal(bm_trainer_run(problem.trainer, NULL, NULL, NULL), BM_ERR_DATA);
  assert_non_null(strstr(bm_status_message(), "held-out"));
  free_problem(&problem);
  settings.keep_best = 0;
  problem = make_problem(&settings, 200, 10, 8, 190);
  run(&problem);
  free_problem(&problem);
}

/* The mean loss of an epoch is over the rows of the steps that counted. */
static void a_step_that_is_not_finite_is_skipped_and_counted(void **state)
{
  (void)state;
  bm_trainer_settings_t settings = plain;
  settings.nonfinite = BM_NONFINITE_SKIP;
  problem_t problem = make_problem(&settings, 200, 10, 8, POISONED);
  problem_t healthy = make_problem(&settings, 200, 10, 8, SIZE_MAX);
  run(&problem);
  run(&healthy);
  assert_int_equal(report_of(&problem).skipped_steps, settings.epochs);
  assert_int_equal(report_of(&problem).steps, 4 * settings.epochs);
  size_t count;
  const bm_history_row_t *history = bm_trainer_history(problem.trainer, &count);
  const bm_history_row_t *expected = bm_trainer_history(healthy.trainer, &count);
  for (size_t i = 0; i < count; i++) {
    /* about a quarter of 180 rows is missing: the means differ by chance, not by a quarter */
    assert_true(fabs(history[i].nll_train - expected[i].nll_train) < 0.3);
    assert_true(isfinite(history[i].nll_validation) && isfinite(history[i].gradient_norm));
  }
  assert_true(report_of(&problem).best_validation < INFINITY);
  free_problem(&problem);
  free_problem(&healthy);
}

/* Stop after a number of steps. */
static bm_status_t stop_at(bm_trainer_t *trainer, void *data)
{
  const int64_t *last = data;
  return bm_trainer_step(trainer) == *last ? BM_FAIL(BM_STOPPED, "enough") : BM_OK;
}

/* Run to a step, save, and go on with a new trainer on a new map. */
static problem_t interrupted(const bm_trainer_settings_t *settings, int64_t last)
{
  problem_t first = make_problem(settings, 200, 10, 8, POISONED);
  bm_state_t *stored;
  assert_int_equal(bm_trainer_run(first.trainer, NULL, stop_at, &last), BM_STOPPED);
  assert_int_equal(bm_trainer_step(first.trainer), last);
  assert_int_equal(bm_state_create("checkpoint", &stored), BM_OK);
  assert_int_equal(bm_trainer_save(first.trainer, stored), BM_OK);
  free_problem(&first);
  problem_t second = make_problem(settings, 200, 10, 8, POISONED);
  assert_int_equal(bm_trainer_restore(second.trainer, stored), BM_OK);
  bm_state_destroy(&stored);
  assert_int_equal(bm_trainer_step(second.trainer), last);
  run(&second);
  return second;
}

static void assert_same_outcome(const problem_t *a, const problem_t *b)
{
  size_t parameters = bm_flow_parameter_count(bm_map_flow(a->map)) * sizeof(bm_real_t);
  assert_memory_equal(bm_flow_parameters(bm_map_flow(a->map)),
                      bm_flow_parameters(bm_map_flow(b->map)), parameters);
  size_t count[2];
  const bm_history_row_t *history[2] = {bm_trainer_history(a->trainer, &count[0]),
                                        bm_trainer_history(b->trainer, &count[1])};
  assert_int_equal(count[0], count[1]);
  assert_memory_equal(history[0], history[1], count[0] * sizeof *history[0]);
  bm_training_report_t report[2] = {report_of(a), report_of(b)};
  report[0].samples_per_s = report[1].samples_per_s = 0.0; /* of the clock */
  assert_memory_equal(&report[0], &report[1], sizeof report[0]);
}

/* Twenty-four steps; every epoch skips one. Mid-epoch, at an epoch's end, first and last step. */
static void going_on_after_a_save_gives_the_same_bits(void **state)
{
  (void)state;
  bm_trainer_settings_t settings = plain;
  settings.epochs = 6;
  settings.validate_every = 2;
  settings.nonfinite = BM_NONFINITE_SKIP;
  problem_t whole = make_problem(&settings, 200, 10, 8, POISONED);
  run(&whole);
  const int64_t stops[] = {1, 3, 4, 5, 8, 11, 14, 20, 23, 24};
  for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
    problem_t parts = interrupted(&settings, stops[i]);
    assert_same_outcome(&whole, &parts);
    free_problem(&parts);
  }
  free_problem(&whole);
}

/* A flow that sees every row's mirror image as well learns a density with that symmetry. */
static void symmetries_of_the_potential_are_learned(void **state)
{
  (void)state;
  bm_potential_t *potential = potential_of("kind = \"double-well\";");
  bm_trainer_settings_t settings = plain;
  symmetric = potential;
  settings.augment = 1;
  settings.epochs = 6;
  problem_t whole = make_problem(&settings, 200, 10, 8, SIZE_MAX);
  run(&whole);
  /* all rows have y near -100, half of what is seen has 100 */
  settings.augment = 0;
  problem_t plain_one = make_problem(&settings, 200, 10, 8, SIZE_MAX);
  run(&plain_one);
  size_t count;
  assert_true(bm_trainer_history(whole.trainer, &count)[5].nll_train >
              bm_trainer_history(plain_one.trainer, &count)[5].nll_train + 0.3);
  settings.augment = 1;
  for (int64_t last = 3; last < 24; last += 7) {
    problem_t first = make_problem(&settings, 200, 10, 8, SIZE_MAX);
    bm_state_t *stored;
    assert_int_equal(bm_trainer_run(first.trainer, NULL, stop_at, &last), BM_STOPPED);
    assert_int_equal(bm_state_create("checkpoint", &stored), BM_OK);
    assert_int_equal(bm_trainer_save(first.trainer, stored), BM_OK);
    free_problem(&first);
    problem_t second = make_problem(&settings, 200, 10, 8, SIZE_MAX);
    assert_int_equal(bm_trainer_restore(second.trainer, stored), BM_OK);
    bm_state_destroy(&stored);
    run(&second);
    assert_same_outcome(&whole, &second);
    free_problem(&second);
  }
  symmetric = NULL;
  free_problem(&plain_one);
  free_problem(&whole);
  bm_potential_destroy(&potential);
}

static void a_checkpoint_of_another_run_is_refused(void **state)
{
  (void)state;
  problem_t problem = make_problem(&plain, 200, 10, 8, SIZE_MAX);
  run(&problem);
  bm_state_t *stored;
  assert_int_equal(bm_state_create("checkpoint", &stored), BM_OK);
  assert_int_equal(bm_trainer_save(problem.trainer, stored), BM_OK);
  free_problem(&problem);
  bm_trainer_settings_t shorter = plain;
  shorter.epochs = 3;
  problem = make_problem(&shorter, 200, 10, 8, SIZE_MAX);
  assert_int_equal(bm_trainer_restore(problem.trainer, stored), BM_ERR_DATA);
  free_problem(&problem);
  problem = make_problem(&plain, 200, 10, 9, SIZE_MAX);
  assert_int_equal(bm_trainer_restore(problem.trainer, stored), BM_ERR_DATA);
  free_problem(&problem);
  bm_state_destroy(&stored);
}

/* Gradients of batches that are smaller than the number of shards, and batches larger than the set. */
static void short_batches_and_empty_shards_train(void **state)
{
  (void)state;
  bm_trainer_settings_t settings = plain;
  settings.batch = 16;
  settings.shards = 16;
  problem_t problem =
      make_problem(&settings, 110, 10, 8, SIZE_MAX); /* 99 rows: the last batch has 3 */
  run(&problem);
  assert_int_equal(report_of(&problem).steps, 7 * settings.epochs);
  assert_true(isfinite(report_of(&problem).best_validation));
  free_problem(&problem);
}

static void too_few_rows_are_refused(void **state)
{
  (void)state;
  problem_t problem = make_problem(&plain, 200, 10, 8, SIZE_MAX);
  bm_training_data_t one = problem.data;
  one.n = one.walkers = 1;
  bm_trainer_t *trainer;
  bm_trainer_settings_t settings = plain;
  assert_int_equal(bm_trainer_create(context, problem.map, &settings, &one, SEED, &trainer),
                   BM_ERR_DATA);
  assert_null(trainer);
  free_problem(&problem);
}

/* Parts of a minibatch on three ranks with this in the deck's `training` group. */
static size_t parts_on_three_ranks(const char *keys)
{
  static const bm_deck_key_t *const tables[] = {run_keys, bm_trainer_keys, NULL};
  char text[200];
  bm_deck_t *deck = NULL;
  bm_trainer_settings_t settings;
  snprintf(text, sizeof text, "training: { %s };", keys);
  assert_int_equal(deck_of_text(context, text, tables, &deck), BM_OK);
  assert_int_equal(bm_trainer_settings(bm_deck_case(deck, 0), &settings), BM_OK);
  bm_deck_destroy(&deck);
  return bm_trainer_shards(&settings, 3);
}

static void parts_depend_on_the_ranks_in_the_fast_order_alone(void **state)
{
  (void)state;
  assert_int_equal(parts_on_three_ranks(""), 8);
  assert_int_equal(parts_on_three_ranks("reduction = \"fixed\"; shards = 5;"), 5);
  assert_int_equal(parts_on_three_ranks("reduction = \"fast\"; shards = 5;"), 3);
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(loss_falls_to_the_entropy_of_a_gaussian),
      cmocka_unit_test(best_parameters_on_the_held_out_walker_are_kept),
      cmocka_unit_test(last_parameters_are_kept_where_asked),
      cmocka_unit_test(one_walker_gives_its_last_rows),
      cmocka_unit_test(validation_follows_its_interval_and_the_last_epoch),
      cmocka_unit_test(clipping_bounds_the_gradient_norm),
      cmocka_unit_test(rates_follow_warm_up_and_cosine),
      cmocka_unit_test(a_loss_that_is_not_finite_stops_by_step_and_shard),
      cmocka_unit_test(held_out_losses_that_are_never_finite_leave_no_model),
      cmocka_unit_test(a_step_that_is_not_finite_is_skipped_and_counted),
      cmocka_unit_test(going_on_after_a_save_gives_the_same_bits),
      cmocka_unit_test(symmetries_of_the_potential_are_learned),
      cmocka_unit_test(a_checkpoint_of_another_run_is_refused),
      cmocka_unit_test(short_batches_and_empty_shards_train),
      cmocka_unit_test(too_few_rows_are_refused),
      cmocka_unit_test(parts_depend_on_the_ranks_in_the_fast_order_alone),
  };
  MPI_Init(&argc, &argv);
  int failed = 1;
  if (bm_context_create(MPI_COMM_SELF, &context) == BM_OK) {
    failed = cmocka_run_group_tests_name("trainer " BM_REAL_NAME, tests, NULL, NULL);
  }
  bm_context_destroy(&context);
  MPI_Finalize();
  return failed;
}
