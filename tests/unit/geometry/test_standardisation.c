/* Zero mean, unit variance, and the log-determinant of the way back. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boltzmap/base/random.h"
#include "boltzmap/geometry/standardisation.h"

#define N 1000
#define D 3

static const double shifts[D] = {-4.0, 1e6, 0.1};
static const double widths[D] = {0.01, 3.0, 200.0};

static void draw_rows(double *x /* [N][D] */)
{
  bm_random_t random = bm_random(1, BM_PURPOSE_TEST);
  for (size_t i = 0; i < N; i++) {
    bm_random_normals(random, (uint32_t)i, 0, 0, D, x + i * D);
    for (size_t k = 0; k < D; k++) {
      x[i * D + k] = shifts[k] + widths[k] * x[i * D + k];
    }
  }
}

static void standardised_rows_have_zero_mean_and_unit_variance(void **state)
{
  (void)state;
  double x[N * D];
  draw_rows(x);
  bm_standardisation_t *units;
  assert_int_equal(bm_standardisation_fit(N, D, x, &units), BM_OK);
  assert_int_equal(units->d, D);
  for (size_t k = 0; k < D; k++) {
    double sum = 0.0;
    double squares = 0.0;
    for (size_t i = 0; i < N; i++) {
      double y = (x[i * D + k] - units->mean[k]) / units->scale[k];
      sum += y;
      squares += y * y;
    }
    /* roundings of values whose mean is up to 1e8 times their width would show as 1e-8 */
    assert_true(fabs(sum / N) < 1e-9);
    assert_true(fabs(squares / N - 1.0) < 1e-9);
    /* the fit finds the widths drawn: relative standard error 1/√(2N) */
    assert_true(fabs(units->scale[k] / widths[k] - 1.0) < 5.5 / sqrt(2.0 * N));
    assert_true(fabs(units->mean[k] - shifts[k]) < 5.5 * widths[k] / sqrt((double)N));
  }
  bm_standardisation_destroy(&units);
  assert_null(units);
}

static void log_determinant_is_that_of_the_way_back(void **state)
{
  (void)state;
  const double mean[D] = {1.0, 2.0, 3.0};
  const double scale[D] = {2.0, 0.25, 8.0};
  bm_standardisation_t *units;
  assert_int_equal(bm_standardisation_create(D, mean, scale, &units), BM_OK);
  assert_memory_equal(units->mean, mean, sizeof mean);
  assert_memory_equal(units->scale, scale, sizeof scale);
  assert_true(fabs(bm_standardisation_log_det(units) - log(4.0)) < 1e-15);
  bm_standardisation_destroy(&units);
}

static void constant_column_is_refused_by_number(void **state)
{
  (void)state;
  double x[N * D];
  bm_standardisation_t *units;
  for (int tiny = 0; tiny < 2; tiny++) {
    draw_rows(x);
    for (size_t i = 0; i < N; i++) {
      x[i * D + 1] = 0.1 + (tiny && i == 7 ? 1e-15 : 0.0);
    }
    assert_int_equal(bm_standardisation_fit(N, D, x, &units), BM_ERR_DATA);
    assert_null(units);
    assert_non_null(strstr(bm_status_message(), "column 1 "));
  }
}

static void one_row_is_refused(void **state)
{
  (void)state;
  const double x[D] = {1.0, 2.0, 3.0};
  bm_standardisation_t *units;
  assert_int_equal(bm_standardisation_fit(1, D, x, &units), BM_ERR_DATA);
  assert_null(units);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(standardised_rows_have_zero_mean_and_unit_variance),
      cmocka_unit_test(log_determinant_is_that_of_the_way_back),
      cmocka_unit_test(constant_column_is_refused_by_number),
      cmocka_unit_test(one_row_is_refused),
  };
  return cmocka_run_group_tests_name("standardisation", tests, NULL, NULL);
}
