/* Averages and weights where they are known: an untrained flow is the identity, so that the map is a
 * Gaussian whose every average is a formula or a short quadrature. */

#include <math.h>
#include <mpi.h>
#include <string.h>

#include "../flow/made_flow.h"
#include "../model/case_of_text.h"
#include "boltzmap/analyse/averages.h"

#define ERRORS 5.5
#define SAMPLES 40000

static bm_context_t *context;

static bm_map_t *gaussian_map(size_t d, double mean, double scale)
{
  const bm_flow_shape_t shape = flow_shape(d, 2, 1, 8, BM_RELU);
  const bm_layout_t layout = {1, d, "1", "1"};
  double means[3] = {mean, mean, mean};
  double scales[3] = {scale, scale, scale};
  bm_chart_t *units;
  bm_map_t *map;
  assert_int_equal(
      bm_chart_create_standardised(layout.particles, layout.dimensions, means, scales, &units),
      BM_OK);
  assert_int_equal(bm_map_create(&shape, &layout, units, &map), BM_OK);
  return map;
}

static bm_results_t *averages_of(bm_map_t *map, const bm_potential_t *potential, int weights)
{
  bm_results_t *results;
  const bm_map_averages_t what = {
      .potential = potential, .target = weights ? potential : NULL, .seed = 3, .n = SAMPLES};
  assert_int_equal(bm_results_create(&results), BM_OK);
  assert_int_equal(bm_averages_of_map(context, map, &what, NULL, results), BM_OK);
  return results;
}

static double error_of(const bm_results_t *results, const char *name)
{
  return bm_json_number(bm_json_get(bm_json_get(bm_results_metrics(results), name), "error"));
}

static void check_within(const bm_results_t *results, const char *name, double expected)
{
  double error = error_of(results, name);
  assert_true(error > 0.0);
  assert_true(fabs(bm_results_value(results, name) - expected) < ERRORS * error);
}

static void weights_of_the_exact_density_are_equal(void **state)
{
  (void)state;
  bm_map_t *map = gaussian_map(2, 0.7, 1.0);
  bm_potential_t *potential =
      potential_of("kind = \"gaussian\"; dimension = 2; mean = 0.7; beta = 1.0;");
  bm_results_t *results = averages_of(map, potential, 1);
  assert_true(fabs(bm_results_value(results, "importance_ess") - 1.0) < 1e-4);
  assert_true(fabs(bm_results_value(results, "log_z_weights") - log(2.0 * M_PI)) < 1e-4);
  bm_results_destroy(&results);
  bm_potential_destroy(&potential);
  bm_map_destroy(&map);
}

/* P(x > 0) and log Z of the double well by the trapezoidal rule. */
static void double_well_truth(double beta, double tilt, double *right, double *log_z)
{
  double sums[2] = {0.0, 0.0};
  const double step = 1e-3;
  for (int i = -5000; i < 5000; i++) {
    double x = ((double)i + 0.5) * step;
    double height = x * x - 1.0;
    sums[x > 0.0] += step * exp(-beta * (height * height + tilt * x));
  }
  *right = sums[1] / (sums[0] + sums[1]);
  *log_z = log(sums[0] + sums[1]) + 0.5 * log(M_PI / beta);
}

static void reweighting_finds_the_truth_from_the_wrong_density(void **state)
{
  (void)state;
  double right;
  double log_z;
  double_well_truth(1.0, 0.4, &right, &log_z);
  bm_map_t *map = gaussian_map(2, 0.2, 1.1);
  bm_potential_t *potential = potential_of("kind = \"double-well\"; beta = 1.0; tilt = 0.4;");
  bm_results_t *results = averages_of(map, potential, 1);
  check_within(results, "prob_right_well_generated", 0.5 * erfc(-0.2 / 1.1 / sqrt(2.0)));
  check_within(results, "prob_right_well_reweighted", right);
  check_within(results, "log_z_weights", log_z);
  double ess = bm_results_value(results, "importance_ess");
  assert_true(ess > 0.2 && ess < 0.95);
  assert_true(error_of(results, "prob_right_well_reweighted") <
              2.0 * sqrt(right * (1.0 - right) / (ess * SAMPLES)));
  bm_results_destroy(&results);
  bm_potential_destroy(&potential);
  bm_map_destroy(&map);
}

static void without_a_target_there_are_no_weights(void **state)
{
  (void)state;
  bm_map_t *map = gaussian_map(2, 0.0, 1.0);
  bm_potential_t *potential = potential_of("kind = \"double-well\"; beta = 1.0;");
  bm_results_t *results = averages_of(map, potential, 0);
  assert_true(isfinite(bm_results_value(results, "prob_right_well_generated")));
  assert_true(isnan(bm_results_value(results, "importance_ess")));
  assert_true(isnan(bm_results_value(results, "prob_right_well_reweighted")));
  bm_results_destroy(&results);
  bm_potential_destroy(&potential);
  bm_map_destroy(&map);
}

/* Walkers that stay where they are: the standard error is that of their means. */
static void walkers_are_the_independent_units(void **state)
{
  (void)state;
  const size_t walkers = 8;
  const size_t frames = 50;
  bm_samples_t *samples;
  bm_results_t *results;
  double rhat;
  bm_potential_t *potential = potential_of("kind = \"double-well\"; beta = 1.0;");
  assert_int_equal(bm_samples_create(context, walkers * frames, 2, walkers, &samples), BM_OK);
  for (size_t i = 0; i < samples->n; i++) {
    samples->x[2 * i] = i / frames < 2 ? 1.0 : -1.0;
    samples->x[2 * i] += 1e-3 * (double)(i * 7919 % 101);
    samples->x[2 * i + 1] = 1e-3 * (double)(i * 104729 % 97);
  }
  assert_int_equal(bm_results_create(&results), BM_OK);
  assert_int_equal(bm_averages_of_walkers(context, potential, samples, "reference", results),
                   BM_OK);
  assert_true(fabs(bm_results_value(results, "prob_right_well_reference") - 0.25) < 1e-12);
  /* standard deviation of two ones and six zeros, over root 8 */
  double expected = sqrt((2.0 * 0.5625 + 6.0 * 0.0625) / 7.0 / 8.0);
  assert_true(fabs(error_of(results, "prob_right_well_reference") - expected) < 1e-12);
  assert_int_equal(bm_averages_diagnose(context, potential, samples, results, &rhat), BM_OK);
  assert_true(rhat > 1.3);
  assert_true(bm_results_value(results, "ess_min") < 20.0);
  bm_results_destroy(&results);
  bm_samples_destroy(&samples);
  bm_potential_destroy(&potential);
}

int main(int argc, char **argv)
{
  MPI_Init(&argc, &argv);
  if (bm_context_create(MPI_COMM_SELF, &context) != BM_OK) {
    return 1;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(weights_of_the_exact_density_are_equal),
      cmocka_unit_test(reweighting_finds_the_truth_from_the_wrong_density),
      cmocka_unit_test(without_a_target_there_are_no_weights),
      cmocka_unit_test(walkers_are_the_independent_units),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  bm_context_destroy(&context);
  MPI_Finalize();
  return failed;
}
