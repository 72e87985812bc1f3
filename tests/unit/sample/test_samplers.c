/* The stationary distribution of each sampler, against known ones. Walkers are independent, so that
 * the spread of their means gives the standard error, whatever the correlation in time. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../model/case_of_text.h"
#include "boltzmap/sample/diagnostics.h"
#include "boltzmap/sample/sampler.h"

#define WALKERS 400
#define BURN_IN 1500
#define STEPS 2500
#define QUANTITIES_MAX 8
#define ERRORS 5.5 /* standard errors: a false alarm in ten million checks */
#define SEED 11

/* Functions of a configuration whose means are looked at. */
typedef size_t (*observe_t)(size_t d, const double *x, double *values);

static double totals[QUANTITIES_MAX][WALKERS]; /* sums over the steps, each a chain of one draw */

/* Let walkers run and add up the observed values of each. Gives the number of quantities. */
static size_t observe_run(const bm_potential_t *potential, const bm_sampler_ops_t *ops,
                          const bm_sampler_settings_t *settings, observe_t observe)
{
  bm_walkers_t *walkers = NULL;
  bm_sampler_counts_t counts = {0, 0, 0, 0};
  size_t quantities = 0;
  memset(totals, 0, sizeof totals);
  assert_int_equal(bm_walkers_create(potential, SEED, 0, WALKERS, ops->uses_gradient, &walkers),
                   BM_OK);
  for (uint64_t step = 0; step < BURN_IN + STEPS; step++) {
    bm_sampler_step(ops, settings, settings->step_size, walkers, step, &counts);
    for (size_t i = 0; step >= BURN_IN && i < WALKERS; i++) {
      double values[QUANTITIES_MAX];
      quantities = observe(walkers->d, walkers->x + i * walkers->d, values);
      for (size_t q = 0; q < quantities; q++) {
        totals[q][i] += values[q] / STEPS;
      }
    }
  }
  bm_walkers_destroy(&walkers);
  return quantities;
}

static void check_mean(const char *what, size_t quantity, double expected)
{
  double mean;
  double error;
  bm_chain_mean(WALKERS, 1, totals[quantity], &mean, &error);
  if (!(fabs(mean - expected) <= ERRORS * error)) {
    fail_msg("%s, quantity %zu: %.6g, expected %.6g, standard error %.2g", what, quantity, mean,
             expected, error);
  }
}

static size_t moments(size_t d, const double *x, double *values)
{
  for (size_t k = 0; k < d; k++) {
    values[2 * k] = x[k];
    values[2 * k + 1] = (x[k] - 0.5) * (x[k] - 0.5);
  }
  return 2 * d;
}

/* A Gaussian whose widest direction is three times its narrowest. */
static void exact_samplers_keep_a_gaussian(void **state)
{
  (void)state;
  const struct {
    const bm_sampler_ops_t *ops;
    double step_size;
  } rows[] = {{&bm_sampler_metropolis, 0.7}, {&bm_sampler_mala, 0.4}, {&bm_sampler_hmc, 0.5}};
  const double beta = 2.0;
  bm_potential_t *potential = potential_of(
      "kind = \"gaussian\"; dimension = 3; mean = 0.5; aspect_ratio = 3.0; beta = 2.0;");
  for (size_t r = 0; r < 3; r++) {
    const bm_sampler_ops_t *ops = rows[r].ops;
    bm_sampler_settings_t settings = {
        .sampler = ops->name, .step_size = rows[r].step_size, .leapfrog_steps = 5};
    assert_true(ops->exact);
    assert_int_equal(observe_run(potential, ops, &settings, moments), 6);
    for (size_t k = 0; k < 3; k++) {
      check_mean(ops->name, 2 * k, 0.5);
      check_mean(ops->name, 2 * k + 1, pow(3.0, (double)k) / beta);
    }
  }
  bm_potential_destroy(&potential);
}

#define WELL_BETA 3.0
#define WELL_TILT 0.2

static size_t well_values(size_t d, const double *x, double *values)
{
  (void)d;
  values[0] = x[0];
  values[1] = x[0] * x[0];
  values[2] = x[0] > 0.0;
  values[3] = x[1] * x[1];
  return 4;
}

/* Means of the first three under exp(-beta·((x² - 1)² + tilt·x)), by the midpoint rule, which
 * converges faster than any power here. */
static void well_truth(double truth[3])
{
  const double h = 1e-3;
  double sums[4] = {0.0, 0.0, 0.0, 0.0};
  for (int i = -4000; i < 4000; i++) {
    double x = (i + 0.5) * h;
    double height = x * x - 1.0;
    double weight = exp(-WELL_BETA * (height * height + WELL_TILT * x));
    sums[0] += weight * x;
    sums[1] += weight * x * x;
    sums[2] += x > 0.0 ? weight : 0.0;
    sums[3] += weight;
  }
  for (size_t k = 0; k < 3; k++) {
    truth[k] = sums[k] / sums[3];
  }
}

static void exact_samplers_keep_a_tilted_double_well(void **state)
{
  (void)state;
  const struct {
    const bm_sampler_ops_t *ops;
    double step_size, jump_fraction;
  } rows[] = {{&bm_sampler_metropolis, 0.5, 0.0}, {&bm_sampler_metropolis, 0.5, 0.3},
              {&bm_sampler_mala, 0.05, 0.0},      {&bm_sampler_mala, 0.05, 0.3},
              {&bm_sampler_hmc, 0.25, 0.0},       {&bm_sampler_hmc, 0.25, 0.3}};
  double truth[3];
  bm_potential_t *potential = potential_of("kind = \"double-well\"; tilt = 0.2; beta = 3.0;");
  well_truth(truth);
  for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
    bm_sampler_settings_t settings = {.sampler = rows[r].ops->name,
                                      .step_size = rows[r].step_size,
                                      .jump_fraction = rows[r].jump_fraction,
                                      .leapfrog_steps = 5};
    observe_run(potential, rows[r].ops, &settings, well_values);
    for (size_t k = 0; k < 3; k++) {
      check_mean(rows[r].ops->name, k, truth[k]);
    }
    check_mean(rows[r].ops->name, 3, 0.5 / WELL_BETA);
  }
  bm_potential_destroy(&potential);
}

static double same_well(const double *x /* [4] */)
{
  return (x[0] > 0.0) == (x[2] > 0.0);
}

/* Mean of same_well over the configurations that jumps alone reach from x, weighted by
 * exp(-beta·U): the mirror images of both particles. Changing places changes neither weight nor
 * value. */
static double orbit_mean(const bm_potential_t *potential, const double *x /* [4] */)
{
  double sum = 0.0;
  double norm = 0.0;
  for (int signs = 0; signs < 4; signs++) {
    const double image[4] = {signs & 1 ? -x[0] : x[0], x[1], signs & 2 ? -x[2] : x[2], x[3]};
    double energy;
    bm_potential_energy(potential, 1, image, &energy, NULL);
    double weight = exp(-bm_potential_beta(potential) * energy);
    sum += weight * same_well(image);
    norm += weight;
  }
  return sum / norm;
}

/* Each walker keeps to its own orbit, on which the truth is known: what is looked at is the
 * difference. */
static void jumps_alone_keep_the_weights_of_the_wells(void **state)
{
  (void)state;
  bm_walkers_t *walkers = NULL;
  bm_potential_t *potential =
      potential_of("kind = \"coulomb-double-well\"; beta = 2.0; softening = 0.3;");
  assert_int_equal(bm_walkers_create(potential, SEED, 0, WALKERS, 0, &walkers), BM_OK);
  memset(totals, 0, sizeof totals);
  for (size_t i = 0; i < WALKERS; i++) {
    totals[0][i] = -orbit_mean(potential, walkers->x + 4 * i);
  }
  for (uint64_t step = 0; step < BURN_IN + STEPS; step++) {
    bm_walkers_jump(walkers, step);
    for (size_t i = 0; step >= BURN_IN && i < WALKERS; i++) {
      totals[0][i] += same_well(walkers->x + 4 * i) / STEPS;
    }
  }
  check_mean("jumps", 0, 0.0);
  bm_walkers_destroy(&walkers);
  bm_potential_destroy(&potential);
}

/* For stiffness k the variance of Euler-Maruyama is too large by 1/(1 - h·k/2): here by 4/3 and
 * 16/15, and the test would notice if it were not. */
static void euler_maruyama_has_its_known_bias(void **state)
{
  (void)state;
  const double h = 0.5;
  const double beta = 2.0;
  bm_potential_t *potential = potential_of(
      "kind = \"gaussian\"; dimension = 2; mean = 0.5; aspect_ratio = 2.0; beta = 2.0;");
  bm_sampler_settings_t settings = {.sampler = "langevin", .step_size = h, .leapfrog_steps = 1};
  assert_false(bm_sampler_langevin.exact);
  observe_run(potential, &bm_sampler_langevin, &settings, moments);
  for (size_t k = 0; k < 2; k++) {
    double variance = pow(4.0, (double)k) / beta;
    double mean;
    double error;
    check_mean("langevin", 2 * k, 0.5);
    check_mean("langevin", 2 * k + 1, variance / (1.0 - 0.5 * h / (beta * variance)));
    bm_chain_mean(WALKERS, 1, totals[2 * k + 1], &mean, &error);
    assert_true(fabs(mean - variance) > ERRORS * error);
  }
  bm_potential_destroy(&potential);
}

/* What ranks rely on: walkers in parts are the same bits as walkers together. */
static void walkers_do_not_know_their_neighbours(void **state)
{
  (void)state;
  const size_t cuts[4] = {0, 1, 8, 19};
  bm_potential_t *potential = potential_of("kind = \"coulomb-double-well\"; beta = 5.0;");
  for (size_t s = 0; bm_sampler_table[s] != NULL; s++) {
    const bm_sampler_ops_t *ops = bm_sampler_table[s];
    if (ops->run != NULL) {
      continue; /* molecular dynamics: test_molecular */
    }
    bm_sampler_settings_t settings = {.jump_fraction = 0.3, .leapfrog_steps = 3};
    bm_walkers_t *parts[4] = {NULL, NULL, NULL, NULL}; /* the last: all together */
    bm_sampler_counts_t counts[4] = {{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}};
    for (size_t p = 0; p < 4; p++) {
      size_t first = p < 3 ? cuts[p] : 0;
      size_t end = p < 3 ? cuts[p + 1] : cuts[3];
      assert_int_equal(bm_walkers_create(potential, SEED, (uint32_t)first, end - first,
                                         ops->uses_gradient, &parts[p]),
                       BM_OK);
      for (uint64_t step = 0; step < 200; step++) {
        bm_sampler_step(ops, &settings, ops->default_step_size, parts[p], step, &counts[p]);
      }
    }
    for (size_t p = 0; p < 3; p++) {
      assert_memory_equal(parts[p]->x, parts[3]->x + 4 * cuts[p],
                          4 * parts[p]->count * sizeof(double));
    }
    assert_int_equal(counts[0].jumps_taken + counts[1].jumps_taken + counts[2].jumps_taken,
                     counts[3].jumps_taken);
    for (size_t p = 0; p < 4; p++) {
      bm_walkers_destroy(&parts[p]);
    }
  }
  bm_potential_destroy(&potential);
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(exact_samplers_keep_a_gaussian),
      cmocka_unit_test(exact_samplers_keep_a_tilted_double_well),
      cmocka_unit_test(jumps_alone_keep_the_weights_of_the_wells),
      cmocka_unit_test(euler_maruyama_has_its_known_bias),
      cmocka_unit_test(walkers_do_not_know_their_neighbours),
  };
  MPI_Init(&argc, &argv);
  int failures = cmocka_run_group_tests_name("samplers", tests, NULL, NULL);
  MPI_Finalize();
  return failures;
}
