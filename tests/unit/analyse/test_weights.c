/* Importance weights on known cases. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boltzmap/analyse/weights.h"
#include "boltzmap/base/random.h"

static bm_weights_summary_t summary_of(size_t n, const double *weights, double shift)
{
  double log_weight[8];
  for (size_t i = 0; i < n; i++) {
    log_weight[i] = log(weights[i]) + shift;
  }
  bm_weights_summary_t summary;
  bm_weights_summary(n, log_weight, &summary);
  return summary;
}

static void assert_near(double value, double expected)
{
  if (!(fabs(value - expected) <= 1e-12 * (1.0 + fabs(expected)))) {
    fail_msg("%.17g is not %.17g", value, expected);
  }
}

static void kish_size_of_known_weights(void **state)
{
  (void)state;
  const double equal[4] = {2.0, 2.0, 2.0, 2.0};
  const double lone[4] = {0.0, 5.0, 0.0, 0.0};
  const double some[3] = {1.0, 2.0, 3.0};
  assert_near(summary_of(4, equal, 0.0).ess, 1.0);
  assert_near(summary_of(4, equal, 0.0).log_z_error, 0.0);
  assert_near(summary_of(4, lone, 0.0).ess, 0.25);
  assert_near(summary_of(3, some, 0.0).ess, 36.0 / 42.0);
  assert_near(summary_of(3, some, 0.0).log_z, log(2.0));
  assert_near(summary_of(3, some, 0.0).log_z_error, 1.0 / sqrt(3.0) / 2.0);
}

static void huge_logarithms_change_nothing_but_log_z(void **state)
{
  (void)state;
  const double some[3] = {1.0, 2.0, 3.0};
  for (int sign = -1; sign <= 1; sign += 2) {
    bm_weights_summary_t summary = summary_of(3, some, 1e4 * sign);
    assert_true(fabs(summary.ess - 36.0 / 42.0) < 1e-11);
    assert_true(fabs(summary.log_z - log(2.0) - 1e4 * sign) < 1e-11);
  }
}

/* Mean 25, so weights are cut at √4·25 = 50. */
static void heavy_weights_are_cut_at_root_n_times_the_mean(void **state)
{
  (void)state;
  const double heavy[4] = {1.0, 1.0, 1.0, 97.0};
  bm_weights_summary_t summary = summary_of(4, heavy, 0.0);
  assert_near(summary.clipped_share, 0.25);
  assert_near(summary.ess_clipped, 53.0 * 53.0 / (4.0 * (3.0 + 2500.0)));
  assert_near(summary.ess, 1e4 / (4.0 * (3.0 + 97.0 * 97.0)));
}

static void no_weight_at_all_is_not_a_number(void **state)
{
  (void)state;
  const double none[2] = {0.0, 0.0};
  bm_weights_summary_t summary = summary_of(2, none, 0.0);
  assert_true(isnan(summary.ess) && isnan(summary.ess_clipped) && isnan(summary.clipped_share));
  assert_true(isnan(summary.log_z) && isnan(summary.log_z_error));
  const double logs[2] = {-INFINITY, -INFINITY};
  const double f[2] = {1.0, 2.0};
  double mean;
  double error;
  bm_weights_mean(2, logs, f, &mean, &error);
  assert_true(isnan(mean) && isnan(error));
}

static void reweighted_mean_of_known_weights(void **state)
{
  (void)state;
  const double logs[4] = {log(1.0), log(2.0), log(3.0), -INFINITY};
  const double f[4] = {1.0, 4.0, -1.0, 7.0};
  double mean;
  double error;
  bm_weights_mean(4, logs, f, &mean, &error);
  assert_near(mean, 1.0);
  assert_near(error, sqrt(0.0 + 4.0 * 9.0 + 9.0 * 4.0) / 6.0);
}

#define SIGMA 0.8
#define SAMPLES 4000
#define REPEATS 400

/* Standard normal samples towards U = x²/(2σ²): Z = σ√(2π), E[x²] = σ². */
static void draw_case(uint32_t repeat, double *log_weight, double *f)
{
  bm_random_t random = bm_random(3, BM_PURPOSE_TEST);
  double x[SAMPLES];
  bm_random_normals(random, repeat, 0, 0, SAMPLES, x);
  for (size_t i = 0; i < SAMPLES; i++) {
    f[i] = x[i] * x[i];
    log_weight[i] = -0.5 * f[i] / (SIGMA * SIGMA) + 0.5 * f[i] + 0.5 * log(2.0 * M_PI);
  }
}

static void gaussian_partition_function_and_moment_with_honest_errors(void **state)
{
  (void)state;
  static double log_weight[SAMPLES];
  static double f[SAMPLES];
  double pulls[2] = {0.0, 0.0};
  for (uint32_t r = 0; r < REPEATS; r++) {
    draw_case(r, log_weight, f);
    bm_weights_summary_t summary;
    double mean;
    double error;
    bm_weights_summary(SAMPLES, log_weight, &summary);
    bm_weights_mean(SAMPLES, log_weight, f, &mean, &error);
    double z_pull = (summary.log_z - log(SIGMA * sqrt(2.0 * M_PI))) / summary.log_z_error;
    double f_pull = (mean - SIGMA * SIGMA) / error;
    /* 800 comparisons: 6.5 standard errors keep the false alarms below 1e-6 in all */
    assert_true(fabs(z_pull) < 6.5 && fabs(f_pull) < 6.5);
    pulls[0] += z_pull * z_pull;
    pulls[1] += f_pull * f_pull;
  }
  /* the pulls' mean square is 1; its relative standard error √(2/repeats) = 7% */
  for (int i = 0; i < 2; i++) {
    assert_true(fabs(pulls[i] / REPEATS - 1.0) < 5.5 * sqrt(2.0 / REPEATS));
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(kish_size_of_known_weights),
      cmocka_unit_test(huge_logarithms_change_nothing_but_log_z),
      cmocka_unit_test(heavy_weights_are_cut_at_root_n_times_the_mean),
      cmocka_unit_test(no_weight_at_all_is_not_a_number),
      cmocka_unit_test(reweighted_mean_of_known_weights),
      cmocka_unit_test(gaussian_partition_function_and_moment_with_honest_errors),
  };
  return cmocka_run_group_tests_name("weights", tests, NULL, NULL);
}
