/* Whole reference sets: the two-particle populations against quadrature, the settings, and what a
 * run chooses by itself. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../golden.h"
#include "../model/case_of_text.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/sample/diagnostics.h"
#include "boltzmap/sample/sampler.h"

#define ERRORS 5.5 /* standard errors: a false alarm in ten million checks */
#define SEED 3
#define WALKERS 400
#define FRAMES 300
#define TWO_PARTICLES "kind = \"coulomb-double-well\"; beta = 5.0;"

static bm_context_t *context;

static bm_sampler_settings_t settings_of(const char *sampler, size_t walkers, size_t frames)
{
  return (bm_sampler_settings_t){.sampler = sampler,
                                 .walkers = walkers,
                                 .samples = walkers * frames,
                                 .step_size = bm_sampler_find(sampler)->default_step_size,
                                 .adapt = 1,
                                 .jump_fraction = 0.2,
                                 .leapfrog_steps = 10};
}

static bm_samples_t *run(const bm_potential_t *potential, const bm_sampler_settings_t *settings,
                         bm_sampler_report_t *report)
{
  bm_samples_t *samples = NULL;
  const bm_sampler_request_t request = {context, potential, settings, SEED, NULL, NULL};
  bm_status_t status = bm_sampler_run(&request, &samples, report);
  if (status != BM_OK) {
    fail_msg("%s", bm_status_message());
  }
  return samples;
}

/* The quantities of quadrature.json at one configuration; the mean of x1 is 0. */
static double value_of(size_t quantity, const double *x /* [4] */)
{
  double r = hypot(x[0] - x[2], x[1] - x[3]);
  switch (quantity) {
  case 0:
    return r;
  case 1:
    return r < 0.8;
  case 2:
    return (x[0] > 0.0) == (x[2] > 0.0);
  default:
    return x[0] * x[0];
  }
}

static const struct {
  const char *name;
  double error_most; /* standard error over value that the sampler must reach */
} golden_rows[] = {
    {"mean_r", 0.005}, {"prob_r_below_0.8", 0.1}, {"prob_same_well", 0.1}, {"var_x1", 0.005}};

static void check_populations(const char *sampler, const bm_json_t *row)
{
  static double chains[WALKERS * FRAMES];
  char system[128];
  double softening = bm_json_number(bm_json_get(row, "softening"));
  bm_sampler_report_t report;
  snprintf(system, sizeof system, TWO_PARTICLES " softening = %.17g;", softening);
  bm_potential_t *potential = potential_of(system);
  bm_sampler_settings_t settings = settings_of(sampler, WALKERS, FRAMES);
  bm_samples_t *samples = run(potential, &settings, &report);
  for (size_t q = 0; q < sizeof golden_rows / sizeof golden_rows[0]; q++) {
    double expected = bm_json_number(bm_json_get(row, golden_rows[q].name));
    double mean;
    double error;
    for (size_t i = 0; i < samples->n; i++) {
      chains[i] = value_of(q, samples->x + 4 * i);
    }
    bm_chain_mean(WALKERS, FRAMES, chains, &mean, &error);
    if (!(fabs(mean - expected) <= ERRORS * error)) {
      fail_msg("%s, softening %g: %s = %.6g ± %.2g, by quadrature %.6g", sampler, softening,
               golden_rows[q].name, mean, error, expected);
    }
    assert_true(error <= golden_rows[q].error_most * expected);
  }
  bm_samples_destroy(&samples);
  bm_potential_destroy(&potential);
}

static void wells_are_populated_as_quadrature_says(void **state)
{
  (void)state;
  bm_json_t *golden = read_golden("quadrature.json");
  const bm_json_t *cases = bm_json_get(golden, "cases");
  assert_true(bm_json_count(cases) >= 4);
  for (size_t i = 0; i < bm_json_count(cases); i++) {
    check_populations("metropolis", bm_json_item(cases, i));
  }
  check_populations("mala", bm_json_item(cases, 0));
  check_populations("hmc", bm_json_item(cases, 0));
  bm_json_destroy(&golden);
}

/* Half of the walkers start with both particles in one well, where a fortieth belongs. */
static void first_frames_have_forgotten_the_start(void **state)
{
  (void)state;
  const size_t walkers = 10000;
  bm_json_t *golden = read_golden("quadrature.json");
  const bm_json_t *row = bm_json_item(bm_json_get(golden, "cases"), 0);
  double expected = bm_json_number(bm_json_get(row, "prob_same_well"));
  bm_sampler_report_t report;
  bm_potential_t *potential = potential_of(TWO_PARTICLES);
  bm_sampler_settings_t settings = settings_of("metropolis", walkers, 1);
  bm_samples_t *samples = run(potential, &settings, &report);
  double share = 0.0;
  for (size_t i = 0; i < walkers; i++) {
    share += value_of(2, samples->x + 4 * i) / (double)walkers;
  }
  double error = sqrt(expected * (1.0 - expected) / (double)walkers);
  assert_true(fabs(share - expected) <= ERRORS * error);
  bm_samples_destroy(&samples);
  bm_potential_destroy(&potential);
  bm_json_destroy(&golden);
}

/* Starts are far from the density (half of the walkers with both particles in one well); after the
 * automatic burn-in and thinning frames agree and are next to independent. */
static void automatic_frames_have_converged(void **state)
{
  (void)state;
  static double chains[100 * 120];
  bm_potential_t *potential = potential_of(TWO_PARTICLES);
  for (size_t s = 0; bm_sampler_table[s] != NULL; s++) {
    if (bm_sampler_table[s]->run != NULL) {
      continue; /* molecular dynamics: test_molecular */
    }
    bm_sampler_settings_t settings = settings_of(bm_sampler_table[s]->name, 100, 120);
    bm_sampler_report_t report;
    settings.step_size *= bm_sampler_table[s]->exact ? 1.0 : 10.0;
    bm_samples_t *samples = run(potential, &settings, &report);
    assert_true(report.burn_in >= 20.0 * report.autocorrelation_steps);
    assert_true(report.thinning >= 2.0 * report.autocorrelation_steps);
    for (size_t q = 0; q < 4; q++) {
      double rhat;
      double ess;
      for (size_t i = 0; i < samples->n; i++) {
        chains[i] = samples->x[4 * i + q];
      }
      assert_int_equal(bm_rhat(100, 120, chains, &rhat), BM_OK);
      assert_int_equal(bm_ess_bulk(100, 120, chains, &ess), BM_OK);
      assert_true(rhat < BM_RHAT_CONVERGED);
      assert_true(ess > 0.7 * 100 * 120);
    }
    bm_samples_destroy(&samples);
  }
  bm_potential_destroy(&potential);
}

/* Whatever the first step size; what it is adapted to does not depend on it by more than the
 * noise. */
static void step_size_is_adapted_to_the_acceptance(void **state)
{
  (void)state;
  const double factors[] = {1e-3, 1.0, 1e3};
  bm_potential_t *potential =
      potential_of("kind = \"gaussian\"; dimension = 4; standard_deviation = 0.01;");
  for (size_t s = 0; bm_sampler_table[s] != NULL; s++) {
    const bm_sampler_ops_t *ops = bm_sampler_table[s];
    if (ops->run != NULL) {
      continue;
    }
    for (size_t f = 0; ops->exact && f < 3; f++) {
      bm_sampler_settings_t settings = settings_of(ops->name, 50, 40);
      bm_sampler_report_t report;
      settings.step_size *= factors[f];
      settings.thinning = 10;
      settings.burn_in = 200;
      bm_samples_t *samples = run(potential, &settings, &report);
      assert_true(fabs(report.acceptance - ops->target_acceptance) < 0.07);
      assert_true(isnan(report.jump_acceptance) && isnan(report.autocorrelation_steps));
      bm_samples_destroy(&samples);
    }
  }
  bm_potential_destroy(&potential);
}

static void what_is_given_is_kept(void **state)
{
  (void)state;
  bm_sampler_report_t report;
  bm_potential_t *potential = potential_of(TWO_PARTICLES);
  bm_sampler_settings_t settings = settings_of("metropolis", 10, 5);
  settings.adapt = 0;
  settings.step_size = 0.123;
  settings.burn_in = 37;
  settings.thinning = 3;
  bm_samples_t *samples = run(potential, &settings, &report);
  assert_true(report.step_size == 0.123 && report.burn_in == 37 && report.thinning == 3);
  assert_true(samples->n == 50 && samples->d == 4 && samples->walkers == 10);
  bm_samples_destroy(&samples);
  bm_potential_destroy(&potential);
}

/* The rows of walker w are a chain of its own: the same whether other walkers are there or not. */
static void rows_are_walker_major(void **state)
{
  (void)state;
  bm_sampler_report_t report;
  bm_potential_t *potential = potential_of(TWO_PARTICLES);
  bm_sampler_settings_t settings = settings_of("metropolis", 5, 7);
  settings.adapt = 0;
  settings.burn_in = 10;
  settings.thinning = 2;
  bm_samples_t *five = run(potential, &settings, &report);
  settings.walkers = 1;
  settings.samples = 7;
  bm_samples_t *one = run(potential, &settings, &report);
  assert_memory_equal(one->x, five->x, 7 * 4 * sizeof(double));
  assert_memory_not_equal(five->x + 7 * 4, five->x, 7 * 4 * sizeof(double));
  bm_samples_destroy(&one);
  bm_samples_destroy(&five);
  bm_potential_destroy(&potential);
}

static void walkers_that_never_meet_are_warned_about_not_waited_for(void **state)
{
  (void)state;
  bm_sampler_report_t report;
  /* A barrier of 60 kT and no jumps: the wells never exchange. */
  bm_potential_t *potential = potential_of("kind = \"double-well\"; barrier = 60.0;");
  bm_sampler_settings_t settings = settings_of("metropolis", 4, 1);
  settings.jump_fraction = 0.0;
  bm_samples_t *samples = run(potential, &settings, &report);
  assert_true(report.autocorrelation_steps > 1e4);
  assert_true(report.burn_in < 200000 && report.thinning < 20000);
  bm_samples_destroy(&samples);
  bm_potential_destroy(&potential);
}

static const bm_deck_key_t *tables[TABLES_MAX];

static bm_status_t settings_of_text(const char *text, bm_deck_t **deck,
                                    bm_sampler_settings_t *settings)
{
  char whole[512];
  size_t count = add_system_tables(tables, 0);
  tables[count++] = bm_sampler_keys;
  for (size_t s = 0; bm_sampler_table[s] != NULL; s++) {
    if (bm_sampler_table[s]->keys != NULL) {
      tables[count++] = bm_sampler_table[s]->keys;
    }
  }
  tables[count] = NULL;
  snprintf(whole, sizeof whole, "system: { " TWO_PARTICLES " };\nreference: { %s };", text);
  assert_int_equal(deck_of_text(context, whole, tables, deck), BM_OK);
  return bm_sampler_settings(bm_deck_case(*deck, 0), settings);
}

static void settings_come_from_the_deck(void **state)
{
  (void)state;
  bm_deck_t *deck = NULL;
  bm_sampler_settings_t settings;
  assert_int_equal(settings_of_text("", &deck, &settings), BM_OK);
  assert_string_equal(settings.sampler, "metropolis");
  assert_true(settings.walkers == 100 && settings.samples == 12000 && settings.adapt);
  assert_true(settings.step_size == bm_sampler_metropolis.default_step_size);
  assert_true(settings.jump_fraction == 0.2 && settings.burn_in == 0 && settings.thinning == 0);
  bm_deck_destroy(&deck);
  assert_int_equal(settings_of_text("sampler = \"hmc\"; step_size = 0.3; leapfrog_steps = 7; "
                                    "adapt = false; walkers = 8; samples = 80; burn_in = 5; "
                                    "thinning = 6; jump_fraction = 0.5;",
                                    &deck, &settings),
                   BM_OK);
  assert_string_equal(settings.sampler, "hmc");
  assert_true(settings.step_size == 0.3 && settings.leapfrog_steps == 7 && !settings.adapt);
  assert_true(settings.walkers == 8 && settings.samples == 80 && settings.jump_fraction == 0.5);
  assert_true(settings.burn_in == 5 && settings.thinning == 6);
  bm_deck_destroy(&deck);
}

static void odd_sample_counts_are_refused_with_the_nearest(void **state)
{
  (void)state;
  bm_deck_t *deck = NULL;
  bm_sampler_settings_t settings;
  assert_int_equal(settings_of_text("samples = 12050;", &deck, &settings), BM_ERR_DATA);
  assert_non_null(strstr(bm_status_message(), "reference.samples"));
  assert_non_null(strstr(bm_status_message(), "12000 and 12100"));
  bm_deck_destroy(&deck);
  assert_int_equal(settings_of_text("samples = 99;", &deck, &settings), BM_ERR_DATA);
  assert_non_null(strstr(bm_status_message(), "least is 100"));
  bm_deck_destroy(&deck);
}

static void trajectory_is_one_dynamics_at_any_stride(void **state)
{
  (void)state;
  double each[20 * 4];
  double third[7 * 4];
  bm_potential_t *potential = potential_of(TWO_PARTICLES);
  assert_int_equal(bm_sampler_trajectory(potential, SEED, 1e-3, 20, 1, each), BM_OK);
  assert_int_equal(bm_sampler_trajectory(potential, SEED, 1e-3, 7, 3, third), BM_OK);
  for (size_t f = 0; f < 7; f++) {
    assert_memory_equal(third + 4 * f, each + 4 * 3 * f, 4 * sizeof(double));
  }
  /* A step of about sqrt(2h/beta) = 0.02 in each coordinate. */
  for (size_t i = 4; i < 20 * 4; i++) {
    assert_true(fabs(each[i] - each[i - 4]) < 8 * 0.02);
  }
  bm_potential_destroy(&potential);
}

/* Last, since a request cannot be taken back. */
static void stop_request_ends_a_run(void **state)
{
  (void)state;
  bm_samples_t *samples = NULL;
  bm_sampler_report_t report;
  bm_potential_t *potential = potential_of(TWO_PARTICLES);
  bm_sampler_settings_t settings = settings_of("metropolis", 100, 120);
  const bm_sampler_request_t request = {context, potential, &settings, SEED, NULL, NULL};
  bm_stop_request();
  assert_int_equal(bm_sampler_run(&request, &samples, &report), BM_STOPPED);
  assert_null(samples);
  settings.adapt = 0;
  settings.burn_in = 1000;
  settings.thinning = 10;
  assert_int_equal(bm_sampler_run(&request, &samples, &report), BM_STOPPED);
  assert_null(samples);
  bm_potential_destroy(&potential);
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wells_are_populated_as_quadrature_says),
      cmocka_unit_test(first_frames_have_forgotten_the_start),
      cmocka_unit_test(automatic_frames_have_converged),
      cmocka_unit_test(step_size_is_adapted_to_the_acceptance),
      cmocka_unit_test(what_is_given_is_kept),
      cmocka_unit_test(rows_are_walker_major),
      cmocka_unit_test(walkers_that_never_meet_are_warned_about_not_waited_for),
      cmocka_unit_test(settings_come_from_the_deck),
      cmocka_unit_test(odd_sample_counts_are_refused_with_the_nearest),
      cmocka_unit_test(trajectory_is_one_dynamics_at_any_stride),
      cmocka_unit_test(stop_request_ends_a_run),
  };
  MPI_Init(&argc, &argv);
  if (bm_context_create(MPI_COMM_WORLD, &context) != BM_OK) {
    return 1;
  }
  int failures = cmocka_run_group_tests_name("sampler run", tests, NULL, NULL);
  bm_context_destroy(&context);
  MPI_Finalize();
  return failures;
}
