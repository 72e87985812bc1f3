#include "tiny_map.h"

#include <math.h>

#include "../unit/train/term_of_text.h"

#define ROWS 330 /* 66 of them held out: 264 are eight batches of 32 and one of 8 */
#define EPOCHS 3
#define EPOCHS_MOST 70
#define SYSTEM "kind = \"coulomb-double-well\";"

/* What a run came to. */
typedef struct {
  bm_real_t *parameters;
  size_t parameter_count;
  bm_history_row_t history[EPOCHS_MOST];
  size_t history_count;
  bm_training_report_t report;
} result_t;

static bm_trainer_settings_t settings_of_test(int64_t shards)
{
  return (bm_trainer_settings_t){.epochs = EPOCHS,
                                 .batch = 32,
                                 .shards = shards,
                                 .learning_rate = 1e-2,
                                 .final_learning_rate = 0.1,
                                 .cosine = 1,
                                 .warmup_steps = 5,
                                 .clip_norm = 2.0,
                                 .validation_fraction = 0.2,
                                 .validate_every = 1,
                                 .keep_best = 1};
}

static const double *rows;         /* [ROWS][TINY_D] */
static const bm_loss_term_t *term; /* of the loss; NULL: none */

static bm_trainer_t *made_trainer(const bm_context_t *context, bm_map_t *map,
                                  const bm_trainer_settings_t *settings)
{
  const bm_training_data_t data = {.n = ROWS, .d = TINY_D, .walkers = 10, .x = rows, .term = term};
  bm_trainer_t *trainer;
  REQUIRE(bm_trainer_create(context, map, settings, &data, 3, &trainer) == BM_OK);
  return trainer;
}

static void take_result(bm_trainer_t *trainer, bm_map_t *map, result_t *result)
{
  const bm_history_row_t *history = bm_trainer_history(trainer, &result->history_count);
  memcpy(result->history, history, result->history_count * sizeof *history);
  bm_trainer_report(trainer, &result->report);
  result->parameter_count = bm_flow_parameter_count(bm_map_flow(map));
  REQUIRE(BM_ALLOC(result->parameter_count, &result->parameters) == BM_OK);
  memcpy(result->parameters, bm_flow_parameters(bm_map_flow(map)),
         result->parameter_count * sizeof *result->parameters);
}

static result_t train(const bm_context_t *context, const bm_trainer_settings_t *settings)
{
  result_t result;
  bm_map_t *map = tiny_map(ROWS, rows);
  bm_trainer_t *trainer = made_trainer(context, map, settings);
  REQUIRE(bm_trainer_run(trainer, NULL, NULL, NULL) == BM_OK);
  take_result(trainer, map, &result);
  bm_trainer_destroy(&trainer);
  bm_map_destroy(&map);
  return result;
}

static void check_equal(const result_t *a, const result_t *b)
{
  CHECK(a->parameter_count == b->parameter_count);
  CHECK_BITS(a->parameters, b->parameters, a->parameter_count);
  CHECK(a->history_count == b->history_count && a->history_count >= EPOCHS);
  CHECK_BITS(a->history, b->history, a->history_count);
  CHECK(a->report.steps == b->report.steps && a->report.best_epoch == b->report.best_epoch);
  CHECK(a->report.skipped_steps == b->report.skipped_steps && a->report.spikes == b->report.spikes);
  CHECK(a->report.rewinds == b->report.rewinds);
  CHECK_BITS(&a->report.best_validation, &b->report.best_validation, 1);
}

/* Stop after some steps with a checkpoint, as a signal would have it. */
typedef struct {
  int64_t stop_at;
  bm_state_t *state; /* rank 0 */
} stopping_t;

static bm_status_t save_and_stop(bm_trainer_t *trainer, void *data)
{
  stopping_t *stopping = data;
  if (bm_trainer_step(trainer) < stopping->stop_at) {
    return BM_OK;
  }
  BM_TRY(bm_trainer_save(trainer, stopping->state));
  return BM_FAIL(BM_STOPPED, "test");
}

/* Rank 0's state by way of a file to every rank. */
static bm_state_t *through_file(const bm_context_t *all, bm_state_t **state, const char *path)
{
  bm_state_t *back;
  if (bm_context_is_root(all)) {
    REQUIRE(bm_state_write(*state, path) == BM_OK);
    bm_state_destroy(state);
  }
  REQUIRE(bm_state_read_all(all, path, "checkpoint", &back) == BM_OK);
  if (bm_context_is_root(all)) {
    unlink(path);
  }
  return back;
}

/* Train on `first` up to a step, go on on `second` to the end. The first context may be one of rank 0
 * alone. */
static result_t train_in_two(const bm_context_t *all, const bm_context_t *first,
                             const bm_context_t *second, const bm_trainer_settings_t *settings,
                             stopping_t stopping, const char *path)
{
  result_t result;
  REQUIRE(bm_state_create("checkpoint", &stopping.state) == BM_OK);
  bm_map_t *map = tiny_map(ROWS, rows);
  bm_trainer_t *trainer = made_trainer(first, map, settings);
  CHECK(bm_trainer_run(trainer, NULL, save_and_stop, &stopping) == BM_STOPPED);
  bm_trainer_destroy(&trainer);
  bm_map_destroy(&map);
  bm_state_t *state = through_file(all, &stopping.state, path);
  bm_state_destroy(&stopping.state);
  map = tiny_map(ROWS, rows);
  trainer = made_trainer(second, map, settings);
  REQUIRE(bm_trainer_restore(trainer, state) == BM_OK);
  CHECK(bm_trainer_step(trainer) == stopping.stop_at);
  REQUIRE(bm_trainer_run(trainer, NULL, NULL, NULL) == BM_OK);
  take_result(trainer, map, &result);
  bm_trainer_destroy(&trainer);
  bm_map_destroy(&map);
  bm_state_destroy(&state);
  return result;
}

static void training_does_not_depend_on_the_ranks(const bm_context_t *all,
                                                  const bm_context_t *alone)
{
  const int64_t shards[] = {1, 2, 5, 8, 12};
  for (size_t s = 0; s < sizeof shards / sizeof shards[0]; s++) {
    bm_trainer_settings_t settings = settings_of_test(shards[s]);
    result_t single = train(alone, &settings);
    result_t together = train(all, &settings);
    check_equal(&single, &together);
    CHECK(single.history[EPOCHS - 1].nll_train < single.history[0].nll_train - 0.05);
    bm_free(single.parameters);
    bm_free(together.parameters);
  }
}

/* On make-believe hosts of one, two and three ranks, between which gradients and parameters are sent. */
static void training_does_not_depend_on_the_hosts(const bm_context_t *all,
                                                  const bm_context_t *alone)
{
  bm_trainer_settings_t settings = settings_of_test(8);
  result_t single = train(alone, &settings);
  for (int host_ranks = 1; host_ranks <= 3 && host_ranks < all->size; host_ranks++) {
    bm_context_t *hosts;
    REQUIRE(bm_context_create_hosts(MPI_COMM_WORLD, host_ranks, &hosts) == BM_OK);
    result_t together = train(hosts, &settings);
    check_equal(&single, &together);
    bm_free(together.parameters);
    bm_context_destroy(&hosts);
  }
  bm_free(single.parameters);
}

/* A shard a rank: the bits of the fixed order with as many shards, and within rounding the losses of
 * the fixed order with eight. */
static void the_fast_order_is_the_fixed_one_of_as_many_shards_as_ranks(const bm_context_t *all)
{
  bm_trainer_settings_t fixed = settings_of_test(all->size);
  bm_trainer_settings_t fast = settings_of_test(8);
  bm_trainer_settings_t eight = settings_of_test(8);
  fast.fast = 1;
  result_t a = train(all, &fixed);
  result_t b = train(all, &fast);
  result_t c = train(all, &eight);
  check_equal(&a, &b);
  /* roundings of 1e-7 a step, which 27 steps make larger by far less than this */
  CHECK(fabs(b.history[0].nll_train - c.history[0].nll_train) < 1e-4);
  CHECK(fabs(b.history[EPOCHS - 1].nll_train - c.history[EPOCHS - 1].nll_train) < 1e-3);
  bm_free(a.parameters);
  bm_free(b.parameters);
  bm_free(c.parameters);
}

/* To a result that is near. */
static void a_fast_run_goes_on_with_other_ranks(const bm_context_t *all, const bm_context_t *alone,
                                                const char *path)
{
  bm_trainer_settings_t fast = settings_of_test(8);
  fast.fast = 1;
  result_t whole = train(all, &fast);
  result_t resumed = train_in_two(all, all, alone, &fast, (stopping_t){13, NULL}, path);
  CHECK(fabs(whole.history[EPOCHS - 1].nll_train - resumed.history[EPOCHS - 1].nll_train) < 1e-3);
  bm_free(whole.parameters);
  bm_free(resumed.parameters);
}

/* The last rank alone raises its flag. */
static bm_status_t raise_once(bm_trainer_t *trainer, void *data)
{
  const int *last = data;
  CHECK(bm_trainer_raised(trainer) == (bm_trainer_step(trainer) == 11));
  if (bm_trainer_step(trainer) == 10 && *last) {
    bm_trainer_raise(trainer);
  }
  return BM_OK;
}

static void a_raised_flag_is_seen_on_all_ranks_after_the_next_step(const bm_context_t *all)
{
  bm_trainer_settings_t settings = settings_of_test(8);
  int last = all->rank == all->size - 1;
  bm_map_t *map = tiny_map(ROWS, rows);
  bm_trainer_t *trainer = made_trainer(all, map, &settings);
  REQUIRE(bm_trainer_run(trainer, NULL, raise_once, &last) == BM_OK);
  bm_trainer_destroy(&trainer);
  bm_map_destroy(&map);
}

/* After the first step, in an epoch, at an epoch's end, after the last step; going on with as many ranks,
 * and with one. */
static void going_on_gives_the_bits_of_never_stopping(const bm_context_t *all,
                                                      const bm_context_t *alone, const char *path)
{
  bm_trainer_settings_t settings = settings_of_test(8);
  result_t whole = train(all, &settings);
  const int64_t stops[] = {1, 13, 18, 27};
  const bm_context_t *const pairs[][2] = {{all, all}, {all, alone}, {alone, all}};
  for (size_t s = 0; s < sizeof stops / sizeof stops[0]; s++) {
    for (size_t p = 0; p < sizeof pairs / sizeof pairs[0]; p++) {
      result_t resumed = train_in_two(all, pairs[p][0], pairs[p][1], &settings,
                                      (stopping_t){stops[s], NULL}, path);
      check_equal(&whole, &resumed);
      bm_free(resumed.parameters);
    }
  }
  CHECK(whole.report.steps == 27);
  bm_free(whole.parameters);
}

/* Only the last rank's data are bad, yet all ranks stop with the same words; asked to, all skip. */
static void a_loss_that_is_not_finite_stops_or_skips_on_all_ranks(const bm_context_t *all)
{
  bm_trainer_settings_t settings = settings_of_test(8);
  double *bad = tiny_data(ROWS);
  const bm_training_data_t data = {.n = ROWS, .d = TINY_D, .walkers = 10, .x = bad};
  bad[40 * TINY_D] = NAN;
  for (int skip = 0; skip < 2; skip++) {
    settings.nonfinite = skip ? BM_NONFINITE_SKIP : BM_NONFINITE_STOP;
    bm_map_t *map = tiny_map(ROWS, rows);
    bm_trainer_t *trainer;
    bm_training_report_t report;
    REQUIRE(bm_trainer_create(all, map, &settings, &data, 3, &trainer) == BM_OK);
    bm_status_t status = bm_trainer_run(trainer, NULL, NULL, NULL);
    bm_trainer_report(trainer, &report);
    if (skip) {
      CHECK(status == BM_OK && report.skipped_steps == EPOCHS && report.steps == 27);
      CHECK(isfinite(report.best_validation));
    } else {
      CHECK(status == BM_ERR_DATA);
      CHECK(strstr(bm_status_message(), "step") != NULL);
      CHECK(strstr(bm_status_message(), "shard") != NULL);
    }
    bm_trainer_destroy(&trainer);
    bm_map_destroy(&map);
  }
  bm_free(bad);
}

static void a_checkpoint_of_another_flow_is_refused(const bm_context_t *all)
{
  bm_trainer_settings_t settings = settings_of_test(8);
  const bm_real_t few[3] = {0};
  bm_state_t *state;
  bm_map_t *map = tiny_map(ROWS, rows);
  bm_trainer_t *trainer = made_trainer(all, map, &settings);
  REQUIRE(bm_state_create("checkpoint", &state) == BM_OK);
  CHECK(bm_trainer_restore(trainer, state) == BM_ERR_DATA);
  REQUIRE(bm_state_put_reals(state, "trainer/moment_1", 3, few) == BM_OK);
  CHECK(bm_trainer_restore(trainer, state) == BM_ERR_DATA);
  CHECK(strstr(bm_status_message(), "trainer/moment_1") != NULL);
  bm_state_destroy(&state);
  bm_trainer_destroy(&trainer);
  bm_map_destroy(&map);
}

/* On one rank, on all, on make-believe hosts, and in two parts; gives the result, whose parameters the caller
 * gives back. */
static result_t train_in_all_ways(const bm_context_t *all, const bm_context_t *alone,
                                  const bm_trainer_settings_t *settings, int64_t stop,
                                  const char *path)
{
  const bm_context_t *const pairs[][2] = {{all, alone}, {alone, all}};
  result_t whole = train(alone, settings);
  result_t together = train(all, settings);
  check_equal(&whole, &together);
  bm_free(together.parameters);
  if (all->size > 2) {
    bm_context_t *hosts;
    REQUIRE(bm_context_create_hosts(MPI_COMM_WORLD, 2, &hosts) == BM_OK);
    result_t apart = train(hosts, settings);
    check_equal(&whole, &apart);
    bm_free(apart.parameters);
    bm_context_destroy(&hosts);
  }
  for (size_t p = 0; p < sizeof pairs / sizeof pairs[0]; p++) {
    result_t resumed =
        train_in_two(all, pairs[p][0], pairs[p][1], settings, (stopping_t){stop, NULL}, path);
    check_equal(&whole, &resumed);
    bm_free(resumed.parameters);
  }
  return whole;
}

/* Pairs of the data are about 5 apart: a penalty from 6 on pulls most of the generated ones. More samples
 * than rows of a minibatch, and fewer. */
static void training_with_a_term_gives_the_same_bits_in_all_ways(const bm_context_t *all,
                                                                 const bm_context_t *alone,
                                                                 const char *path)
{
  const int64_t sizes[][2] = {{8, 50}, {5, 20}}; /* shards, samples */
  bm_potential_t *potential = potential_of(SYSTEM);
  const bm_loss_data_t known = {potential, ROWS, TINY_D, rows};
  bm_loss_term_t *penalty;
  REQUIRE(term_of(SYSTEM, "loss = \"penalty\"; penalty_weight = 2.0; penalty_distance = 6.0;",
                  &known, &penalty) == BM_OK);
  for (size_t s = 0; s < 2; s++) {
    bm_trainer_settings_t settings = settings_of_test(sizes[s][0]);
    settings.generated = sizes[s][1];
    result_t without = train(alone, &settings);
    term = penalty;
    result_t with = train_in_all_ways(all, alone, &settings, 13, path);
    term = NULL;
    CHECK(memcmp(with.parameters, without.parameters,
                 with.parameter_count * sizeof *with.parameters) != 0);
    for (size_t e = 0; e < EPOCHS; e++) {
      CHECK(isnan(without.history[e].term_train) && isnan(without.history[e].term_validation));
      CHECK(with.history[e].term_train > 0.1 && with.history[e].term_validation > 0.1);
    }
    CHECK(with.history[EPOCHS - 1].term_train < with.history[0].term_train);
    const bm_history_row_t *last = &with.history[EPOCHS - 1];
    CHECK(with.report.last_validation == last->nll_validation + last->term_validation);
    bm_free(with.parameters);
    bm_free(without.parameters);
  }
  bm_loss_term_destroy(&penalty);
  bm_potential_destroy(&potential);
}

/* Held to pairs that are made anew for the second and the third epoch, or to small slopes, more and more or less and
 * less. */
static void training_towards_a_map_gives_the_same_bits_in_all_ways(const bm_context_t *all,
                                                                   const bm_context_t *alone,
                                                                   const char *path)
{
  static const char *const losses[] = {"loss = \"transport\";",
                                       "loss = \"lipschitz\"; lipschitz_weight = 0.1;"};
  bm_potential_t *potential = potential_of(SYSTEM);
  const bm_loss_data_t known = {potential, ROWS, TINY_D, rows};
  for (int course = BM_COURSE_CONSTANT; course <= BM_COURSE_COSINE; course++) {
    for (size_t l = 0; l < 2; l++) {
      bm_trainer_settings_t settings = settings_of_test(8);
      bm_loss_term_t *held;
      REQUIRE(term_of(SYSTEM, losses[l], &known, &held) == BM_OK);
      settings.generated = 20;
      settings.course = (bm_course_t)course;
      settings.pairs = (bm_pairs_settings_t){.count = 100, .renewed = 1, .smoothed = 3};
      term = held;
      result_t whole = train_in_all_ways(all, alone, &settings, 13, path);
      term = NULL;
      const bm_history_row_t *last = &whole.history[EPOCHS - 1];
      CHECK(last->term_train > 0.0);
      CHECK(course == BM_COURSE_CONSTANT || last->term_train < whole.history[0].term_train);
      CHECK((last->term_validation == 0.0) == (course != BM_COURSE_CONSTANT));
      bm_free(whole.parameters);
      bm_loss_term_destroy(&held);
    }
  }
  bm_potential_destroy(&potential);
}

/* Loss of the standardised data under the standard normal density: that of a map which does nothing. */
static double loss_without_training(void)
{
  bm_map_t *map = tiny_map(ROWS, rows);
  double loss = 0.5 * TINY_D * (1.0 + log(2.0 * M_PI)) + bm_chart_log_det(bm_map_chart(map));
  bm_map_destroy(&map);
  return loss;
}

/* At a learning rate at which the parameters fly off in the first epoch, until it has been halved often enough.
 * What was validated on the way up is neither kept nor gone back to. */
static void a_loss_that_stays_up_goes_back_at_half_the_rate(const bm_context_t *all,
                                                            const bm_context_t *alone,
                                                            const char *path)
{
  const double untrained = loss_without_training();
  bm_trainer_settings_t settings = settings_of_test(8);
  settings.epochs = 50;
  settings.learning_rate = 1.0;
  settings.final_learning_rate = 1.0;
  settings.cosine = 0;
  settings.warmup_steps = 0;
  settings.clip_norm = 0.0;
  settings.spike = 1.0;
  for (int keep_best = 0; keep_best < 2; keep_best++) {
    settings.keep_best = keep_best;
    result_t whole =
        keep_best ? train_in_all_ways(all, alone, &settings, 70, path) : train(all, &settings);
    const bm_training_report_t *report = &whole.report;
    CHECK(whole.history[0].nll_train > untrained + 100.0);
    CHECK(report->rewinds > 0 && report->rewinds <= 10);
    CHECK(report->spikes >= 50 * report->rewinds);
    CHECK(report->steps == 9 * settings.epochs);
    CHECK(report->best_epoch > 0 && report->best_validation < untrained);
    CHECK(whole.history[settings.epochs - 1].learning_rate == pow(0.5, (double)report->rewinds));
    bm_free(whole.parameters);
  }
}

/* One bad row an epoch is left out; where all are bad, going back does not help, and all ranks say so. */
static void losses_that_are_not_finite_are_left_out_or_end_training(const bm_context_t *all)
{
  double *bad = tiny_data(ROWS);
  const bm_training_data_t data = {.n = ROWS, .d = TINY_D, .walkers = 10, .x = bad};
  for (int is_all = 0; is_all < 2; is_all++) {
    bm_trainer_settings_t settings = settings_of_test(8);
    bm_map_t *map = tiny_map(ROWS, rows);
    bm_trainer_t *trainer;
    bm_training_report_t report;
    settings.nonfinite = BM_NONFINITE_RECOVER;
    settings.epochs = is_all ? EPOCHS_MOST : EPOCHS;
    for (size_t i = 0; i < (is_all ? ROWS : 1); i++) {
      bad[(i + 40) % ROWS * TINY_D] = NAN;
    }
    REQUIRE(bm_trainer_create(all, map, &settings, &data, 3, &trainer) == BM_OK);
    bm_status_t status = bm_trainer_run(trainer, NULL, NULL, NULL);
    bm_trainer_report(trainer, &report);
    if (is_all) {
      CHECK(status == BM_ERR_DATA && strstr(bm_status_message(), "11 times") != NULL);
      CHECK(report.rewinds == 10 && report.steps == 11 * 50 - 1);
    } else {
      CHECK(status == BM_OK && report.skipped_steps == EPOCHS && report.spikes == EPOCHS);
      CHECK(report.rewinds == 0 && report.steps == 27 && isfinite(report.best_validation));
    }
    bm_trainer_destroy(&trainer);
    bm_map_destroy(&map);
  }
  bm_free(bad);
}

int main(int argc, char **argv)
{
  bm_context_t *all;
  bm_context_t *alone;
  char folder[256];
  char path[300];
  check_start(&argc, &argv, &all, &alone);
  check_folder(all, folder);
  snprintf(path, sizeof path, "%s/checkpoint.h5", folder);
  double *x = tiny_data(ROWS);
  rows = x;
  training_does_not_depend_on_the_ranks(all, alone);
  training_does_not_depend_on_the_hosts(all, alone);
  the_fast_order_is_the_fixed_one_of_as_many_shards_as_ranks(all);
  a_fast_run_goes_on_with_other_ranks(all, alone, path);
  a_raised_flag_is_seen_on_all_ranks_after_the_next_step(all);
  going_on_gives_the_bits_of_never_stopping(all, alone, path);
  a_loss_that_is_not_finite_stops_or_skips_on_all_ranks(all);
  a_checkpoint_of_another_flow_is_refused(all);
  training_with_a_term_gives_the_same_bits_in_all_ways(all, alone, path);
  training_towards_a_map_gives_the_same_bits_in_all_ways(all, alone, path);
  a_loss_that_stays_up_goes_back_at_half_the_rate(all, alone, path);
  losses_that_are_not_finite_are_left_out_or_end_training(all);
  bm_free(x);
  check_folder_end(all, folder);
  return check_end(&all, &alone);
}
