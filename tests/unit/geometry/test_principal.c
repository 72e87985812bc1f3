/* Principal components of rows whose covariance is known. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boltzmap/base/random.h"
#include "boltzmap/geometry/principal.h"

#define D 3
#define N 8

/* Orthonormal directions, each with its largest component positive, and deviations along them. */
static const double axes[D][D] = {{2.0 / 3.0, -1.0 / 3.0, 2.0 / 3.0},
                                  {2.0 / 3.0, 2.0 / 3.0, -1.0 / 3.0},
                                  {-1.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0}};
static const double deviations[D] = {3.0, 0.5, 1.0};
static const double centre[D] = {10.0, -20.0, 0.3};
static const int order[D] = {0, 2, 1}; /* by falling variance */

/* All eight corners of a box along the axes: the covariance is exact. */
static void fill_corners(double *x /* [N][D] */)
{
  for (size_t i = 0; i < N; i++) {
    for (size_t k = 0; k < D; k++) {
      x[i * D + k] = centre[k];
      for (size_t a = 0; a < D; a++) {
        x[i * D + k] += ((i >> a & 1) == 1 ? 1.0 : -1.0) * deviations[a] * axes[a][k];
      }
    }
  }
}

static void components_are_the_axes_of_the_box(void **state)
{
  (void)state;
  double x[N * D];
  double mean[D];
  double directions[D][D];
  double variances[D];
  fill_corners(x);
  assert_int_equal(bm_principal_components(N, D, x, NULL, D, mean, directions[0], variances),
                   BM_OK);
  for (size_t c = 0; c < D; c++) {
    const double *axis = axes[order[c]];
    const double deviation = deviations[order[c]];
    assert_true(fabs(mean[c] - centre[c]) < 1e-14 * 20.0);
    assert_true(fabs(variances[c] - deviation * deviation) < 1e-12);
    /* of equal components the first one that rounding favours is positive: one sign for all */
    const double sign = directions[c][0] * axis[0] > 0.0 ? 1.0 : -1.0;
    for (size_t k = 0; k < D; k++) {
      assert_true(fabs(directions[c][k] - sign * axis[k]) < 1e-13);
    }
  }
}

/* The same rows with their columns stretched, and the stretch as scale. */
static void scales_divide_the_columns(void **state)
{
  (void)state;
  static const double scale[D] = {2.0, 0.25, 8.0};
  double x[N * D];
  double mean[D];
  double directions[2][D];
  double variances[2];
  fill_corners(x);
  for (size_t k = 0; k < N * D; k++) {
    x[k] *= scale[k % D];
  }
  assert_int_equal(bm_principal_components(N, D, x, scale, 2, mean, directions[0], variances),
                   BM_OK);
  for (size_t c = 0; c < 2; c++) {
    const double deviation = deviations[order[c]];
    double along = 0.0;
    assert_true(fabs(variances[c] - deviation * deviation) < 1e-12);
    for (size_t k = 0; k < D; k++) {
      along += directions[c][k] * axes[order[c]][k];
    }
    assert_true(fabs(fabs(along) - 1.0) < 1e-13);
  }
  for (size_t k = 0; k < D; k++) {
    assert_true(fabs(mean[k] - centre[k] * scale[k]) < 1e-12);
  }
}

/* Of normal rows: orthonormal, falling, the largest component positive, and variances those of the rows along
 * them. */
static void directions_are_orthonormal_and_their_variances_those_of_the_rows(void **state)
{
  (void)state;
  enum { ROWS = 200, COLUMNS = 12, COUNT = 5 };
  static double x[ROWS * COLUMNS];
  double mean[COLUMNS];
  double directions[COUNT][COLUMNS];
  double variances[COUNT];
  for (uint32_t i = 0; i < ROWS; i++) {
    double *row = x + (size_t)i * COLUMNS;
    bm_random_normals(bm_random(95, BM_PURPOSE_TEST), i, 0, 0, COLUMNS, row);
    for (size_t k = 1; k < COLUMNS; k++) {
      row[k] = 5.0 + (double)k * row[k] + row[k - 1];
    }
  }
  assert_int_equal(
      bm_principal_components(ROWS, COLUMNS, x, NULL, COUNT, mean, directions[0], variances),
      BM_OK);
  for (size_t c = 0; c < COUNT; c++) {
    double largest = 0.0;
    double variance = 0.0;
    for (size_t other = 0; other < COUNT; other++) {
      double product = 0.0;
      for (size_t k = 0; k < COLUMNS; k++) {
        product += directions[c][k] * directions[other][k];
      }
      assert_true(fabs(product - (c == other)) < 1e-13);
    }
    for (size_t k = 0; k < COLUMNS; k++) {
      largest = fabs(directions[c][k]) > fabs(largest) ? directions[c][k] : largest;
    }
    assert_true(largest > 0.0);
    for (size_t i = 0; i < ROWS; i++) {
      double along = 0.0;
      for (size_t k = 0; k < COLUMNS; k++) {
        along += directions[c][k] * (x[i * COLUMNS + k] - mean[k]);
      }
      variance += along * along / ROWS;
    }
    assert_true(fabs(variance - variances[c]) < 1e-12 * variances[0]);
    assert_true(c == 0 || variances[c] <= variances[c - 1]);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(components_are_the_axes_of_the_box),
      cmocka_unit_test(scales_divide_the_columns),
      cmocka_unit_test(directions_are_orthonormal_and_their_variances_those_of_the_rows),
  };
  return cmocka_run_group_tests_name("principal components", tests, NULL, NULL);
}
