/* Exact Wasserstein-2 beside all permutations, beside a plain Hungarian method, and by its
 * properties. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boltzmap/base/random.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/transport/assignment.h"
#include "boltzmap/transport/marginal.h"

#define MAX 60
#define VALUES 40000
#define GAP 1e-12

static double x[VALUES], y[VALUES], z[VALUES];

static void draw(uint64_t seed, size_t n, size_t d, double *cloud)
{
  bm_random_t random = bm_random(seed, BM_PURPOSE_TEST);
  for (size_t i = 0; i < n; i++) {
    bm_random_normals(random, (uint32_t)i, 0, 0, d, cloud + i * d);
  }
}

static void round_to_integers(size_t count, double *values)
{
  for (size_t i = 0; i < count; i++) {
    values[i] = rint(values[i]);
  }
}

static double cost(size_t d, const double *a, const double *b, double period)
{
  double square = 0.0;
  for (size_t k = 0; k < d; k++) {
    double difference = fabs(a[k] - b[k]);
    if (period > 0.0) {
      difference = fmod(difference, period);
      difference = fmin(difference, period - difference);
    }
    square += difference * difference;
  }
  return square;
}

static void assert_close(double value, double expected, double relative)
{
  assert_true(fabs(value - expected) <= relative * fabs(expected));
}

static bm_status_t solve(size_t n, size_t d, const double *a, const double *b, double period,
                         uint32_t *pairing, bm_assignment_result_t *result)
{
  const bm_assignment_problem_t problem = {n, d, a, b, period, NULL, NULL};
  return bm_assignment_solve(NULL, &problem, pairing, result);
}

/* Solve; the certificate holds, and the pairing is a permutation with the cost claimed. Gives W2².
 * */
static double w2_squared(size_t n, size_t d, const double *a, const double *b, double period)
{
  bm_assignment_result_t result;
  uint32_t *pairing = malloc(n * sizeof *pairing);
  char *taken = calloc(n, 1);
  assert_int_equal(solve(n, d, a, b, period, pairing, &result), BM_OK);
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) {
    assert_true(pairing[i] < n && !taken[pairing[i]]);
    taken[pairing[i]] = 1;
    sum += cost(d, a + i * d, b + pairing[i] * d, period);
  }
  free(pairing);
  free(taken);
  assert_close(result.w2 * result.w2, sum / (double)n, 1e-13);
  assert_true(result.gap >= 0.0 && result.gap <= GAP);
  return result.w2 * result.w2;
}

static double best_permutation(size_t n, size_t d, double period, size_t i, unsigned used)
{
  if (i == n) {
    return 0.0;
  }
  double best = INFINITY;
  for (size_t j = 0; j < n; j++) {
    if ((used >> j & 1u) == 0) {
      double rest = best_permutation(n, d, period, i + 1, used | 1u << j);
      best = fmin(best, cost(d, x + i * d, y + j * d, period) + rest);
    }
  }
  return best;
}

static void best_of_all_permutations(void **state)
{
  (void)state;
  const double periods[] = {0.0, 1.5};
  for (size_t n = 1; n <= 7; n++) {
    for (size_t d = 1; d <= 5; d++) {
      for (size_t p = 0; p < 2; p++) {
        draw(100 * n + d, n, d, x);
        draw(1000 * n + d, n, d, y);
        assert_close(w2_squared(n, d, x, y, periods[p]),
                     best_permutation(n, d, periods[p], 0, 0) / (double)n, 1e-13);
      }
    }
  }
}

/* The Hungarian method in its textbook form with row and column potentials; items counted from 1.
 * */
static double hungarian(size_t n, size_t d, double period)
{
  double u[MAX + 1] = {0}, v[MAX + 1] = {0};
  size_t row_of[MAX + 1] = {0}, way[MAX + 1] = {0};
  for (size_t i = 1; i <= n; i++) {
    double least[MAX + 1];
    char done[MAX + 1] = {0};
    for (size_t j = 0; j <= n; j++) {
      least[j] = INFINITY;
    }
    row_of[0] = i;
    size_t column = 0;
    while (row_of[column] != 0) {
      size_t row = row_of[column], next = 0;
      double step = INFINITY;
      done[column] = 1;
      for (size_t j = 1; j <= n; j++) {
        if (done[j]) {
          continue;
        }
        double reduced = cost(d, x + (row - 1) * d, y + (j - 1) * d, period) - u[row] - v[j];
        if (reduced < least[j]) {
          least[j] = reduced;
          way[j] = column;
        }
        if (least[j] < step) {
          step = least[j];
          next = j;
        }
      }
      for (size_t j = 0; j <= n; j++) {
        if (done[j]) {
          u[row_of[j]] += step;
          v[j] -= step;
        } else {
          least[j] -= step;
        }
      }
      column = next;
    }
    while (column != 0) {
      row_of[column] = row_of[way[column]];
      column = way[column];
    }
  }
  double sum = 0.0;
  for (size_t j = 1; j <= n; j++) {
    sum += cost(d, x + (row_of[j] - 1) * d, y + (j - 1) * d, period);
  }
  return sum / (double)n;
}

static void equals_hungarian_method(void **state)
{
  (void)state;
  for (size_t n = 10; n <= MAX; n += 10) {
    for (size_t d = 1; d <= 6; d++) {
      draw(7000 + n + d, n, d, x);
      draw(8000 + n + d, n, d, y);
      assert_close(w2_squared(n, d, x, y, 0.0), hungarian(n, d, 0.0), 1e-12);
      assert_close(w2_squared(n, d, x, y, 2.0), hungarian(n, d, 2.0), 1e-12);
    }
  }
}

/* Few different points, many of them equal: costs are integers, and so is n·W2². */
static void ties_and_duplicates_are_solved(void **state)
{
  (void)state;
  for (size_t n = 20; n <= MAX; n += 20) {
    for (size_t d = 1; d <= 4; d++) {
      draw(9000 + n + d, n, d, x);
      draw(9500 + n + d, n, d, y);
      round_to_integers(n * d, x);
      round_to_integers(n * d, y);
      double sum = (double)n * w2_squared(n, d, x, y, 0.0);
      assert_true(fabs(sum - rint((double)n * hungarian(n, d, 0.0))) < 1e-9);
    }
  }
}

static void all_points_equal(void **state)
{
  (void)state;
  for (size_t i = 0; i < 400; i++) {
    x[i] = 1.0;
    y[i] = -1.0;
  }
  assert_close(w2_squared(200, 2, x, y, 0.0), 8.0, 1e-15);
}

/* Clusters far apart with unequal shares: some points have to cross. */
static void separated_clusters_with_unequal_counts(void **state)
{
  (void)state;
  const size_t n = MAX;
  draw(11, n, 2, x);
  draw(12, n, 2, y);
  for (size_t i = 0; i < n; i++) {
    x[2 * i] += i % 2 == 0 ? 1000.0 : 0.0;
    y[2 * i] += i % 3 == 0 ? 1000.0 : 0.0;
  }
  assert_close(w2_squared(n, 2, x, y, 0.0), hungarian(n, 2, 0.0), 1e-12);
}

static void identical_clouds_are_at_distance_zero(void **state)
{
  (void)state;
  bm_assignment_result_t result;
  draw(13, 500, 4, x);
  for (size_t i = 0; i < 500; i++) { /* in another order */
    memcpy(y + ((i * 7 + 3) % 500) * 4, x + i * 4, 4 * sizeof *x);
  }
  for (size_t p = 0; p < 2; p++) {
    assert_int_equal(solve(500, 4, x, y, (double)p, NULL, &result), BM_OK);
    assert_true(result.w2 == 0.0);
    assert_true(result.gap == 0.0);
  }
}

static void translation_adds_its_square(void **state)
{
  (void)state;
  const size_t n = 300, d = 3;
  const double far[] = {1.0, 1e3, 1e6};
  draw(14, n, d, x);
  draw(15, n, d, y);
  double before = w2_squared(n, d, x, y, 0.0);
  for (size_t f = 0; f < 3; f++) {
    double shifted = 0.0;
    for (size_t k = 0; k < d; k++) {
      double mean = 0.0;
      for (size_t i = 0; i < n; i++) {
        mean += (x[i * d + k] - y[i * d + k]) / (double)n;
        z[i * d + k] = x[i * d + k] + far[f];
      }
      shifted += far[f] * far[f] + 2.0 * far[f] * mean;
    }
    assert_close(w2_squared(n, d, z, y, 0.0), before + shifted, 1e-12);
  }
}

/* Both clouds far out: only the digits of the coordinates are lost, not those of their squares. */
static void a_common_offset_changes_nothing(void **state)
{
  (void)state;
  const size_t n = 200, d = 4;
  draw(16, n, d, x);
  draw(17, n, d, y);
  double before = w2_squared(n, d, x, y, 0.0);
  for (size_t i = 0; i < n * d; i++) {
    x[i] += 1e8;
    y[i] += 1e8;
  }
  assert_close(w2_squared(n, d, x, y, 0.0), before, 1e-6);
}

static void scaling_multiplies(void **state)
{
  (void)state;
  const size_t n = 200, d = 4;
  const double scales[] = {1e-100, 1e-9, 3.0, 1e100};
  draw(18, n, d, x);
  draw(19, n, d, y);
  double before = sqrt(w2_squared(n, d, x, y, 0.0));
  for (size_t s = 0; s < 4; s++) {
    static double a[800], b[800];
    for (size_t i = 0; i < n * d; i++) {
      a[i] = scales[s] * x[i];
      b[i] = scales[s] * y[i];
    }
    assert_close(sqrt(w2_squared(n, d, a, b, 0.0)), scales[s] * before, 1e-12);
  }
}

static void symmetric(void **state)
{
  (void)state;
  draw(20, 400, 4, x);
  draw(21, 400, 4, y);
  assert_close(w2_squared(400, 4, x, y, 0.0), w2_squared(400, 4, y, x, 0.0), 1e-12);
  assert_close(w2_squared(400, 4, x, y, 3.0), w2_squared(400, 4, y, x, 3.0), 1e-12);
}

static void triangle_inequality(void **state)
{
  (void)state;
  const double periods[] = {0.0, 2.0};
  for (uint64_t seed = 0; seed < 20; seed++) {
    draw(300 + seed, 50, 3, x);
    draw(400 + seed, 50, 3, y);
    draw(500 + seed, 50, 3, z);
    for (size_t p = 0; p < 2; p++) {
      double xy = sqrt(w2_squared(50, 3, x, y, periods[p]));
      double yz = sqrt(w2_squared(50, 3, y, z, periods[p]));
      double xz = sqrt(w2_squared(50, 3, x, z, periods[p]));
      assert_true(xz <= (xy + yz) * (1.0 + 1e-12));
    }
  }
}

static void turning_the_torus_changes_nothing(void **state)
{
  (void)state;
  const size_t n = 300, d = 2;
  draw(22, n, d, x);
  draw(23, n, d, y);
  for (size_t i = 0; i < n * d; i++) {
    x[i] *= 90.0;
    y[i] *= 90.0;
  }
  double before = w2_squared(n, d, x, y, 360.0);
  assert_true(before < w2_squared(n, d, x, y, 0.0));
  for (size_t i = 0; i < n * d; i++) {
    x[i] += 100.0 + 360.0 * (double)(i % 5);
    y[i] += 100.0 - 360.0 * (double)(i % 3);
  }
  assert_close(w2_squared(n, d, x, y, 360.0), before, 1e-11);
}

static void one_dimension_is_a_sort(void **state)
{
  (void)state;
  double expected;
  draw(24, 999, 1, x);
  draw(25, 999, 1, y);
  assert_int_equal(bm_marginal_w2_squared(999, x, 999, y, 0.0, &expected), BM_OK);
  assert_close(w2_squared(999, 1, x, y, 0.0), expected, 1e-12);
  assert_int_equal(bm_marginal_w2_squared(999, x, 999, y, 1.0, &expected), BM_OK);
  assert_close(w2_squared(999, 1, x, y, 1.0), expected, 1e-12);
}

/* Padding the points with columns that are alike in both clouds changes no distance. */
static void many_dimensions(void **state)
{
  (void)state;
  const size_t n = 50, d = 500;
  double little[2][50 * 3];
  draw(26, n, 3, little[0]);
  draw(27, n, 3, little[1]);
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < d; k++) {
      x[i * d + k] = k < 3 ? little[0][i * 3 + k] : (double)k;
      y[i * d + k] = k < 3 ? little[1][i * 3 + k] : (double)k;
    }
  }
  assert_close(w2_squared(n, d, x, y, 0.0), w2_squared(n, 3, little[0], little[1], 0.0), 1e-12);
}

static void heavy_tails_keep_the_certificate(void **state)
{
  (void)state;
  draw(28, 1000, 4, x);
  draw(29, 1000, 4, y);
  for (size_t i = 0; i < 4000; i++) {
    x[i] = pow(x[i], 5.0);
    y[i] = pow(y[i], 5.0);
  }
  (void)w2_squared(1000, 4, x, y, 0.0);
}

static void values_beyond_arithmetic_are_refused(void **state)
{
  (void)state;
  bm_assignment_result_t result;
  const double bad[] = {NAN, INFINITY, 1e200};
  for (size_t b = 0; b < 3; b++) {
    draw(30, 10, 2, x);
    draw(31, 10, 2, y);
    y[13] = bad[b];
    assert_int_equal(solve(10, 2, x, y, 0.0, NULL, &result), BM_ERR_DATA);
  }
}

static void values_whose_squares_underflow_are_refused(void **state)
{
  (void)state;
  bm_assignment_result_t result;
  for (size_t i = 0; i < 4; i++) {
    x[i] = 1e-200 * (double)i;
    y[i] = -x[i];
  }
  assert_int_equal(solve(2, 2, x, y, 0.0, NULL, &result), BM_ERR_DATA);
  x[3] = 1.0;
  assert_int_equal(solve(2, 2, x, y, 0.0, NULL, &result), BM_OK);
}

static void values_too_many_periods_out_are_refused(void **state)
{
  (void)state;
  bm_assignment_result_t result;
  const double periods[] = {1e-300, 1e-9, 0.9};
  draw(34, 10, 2, x);
  draw(35, 10, 2, y);
  y[13] = 1e9;
  for (size_t p = 0; p < 3; p++) {
    assert_int_equal(solve(10, 2, x, y, periods[p], NULL, &result), BM_ERR_DATA);
    assert_non_null(strstr(bm_status_message(), "--period"));
  }
  assert_int_equal(solve(10, 2, x, y, 1.0, NULL, &result), BM_OK);
  assert_true(result.w2 > 0.0 && result.w2 < 1.0);
}

/* Last: a stop request stays. */
static void stops_on_request(void **state)
{
  (void)state;
  bm_assignment_result_t result;
  draw(32, 300, 4, x);
  draw(33, 300, 4, y);
  bm_stop_request();
  assert_int_equal(solve(300, 4, x, y, 0.0, NULL, &result), BM_STOPPED);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(best_of_all_permutations),
      cmocka_unit_test(equals_hungarian_method),
      cmocka_unit_test(ties_and_duplicates_are_solved),
      cmocka_unit_test(all_points_equal),
      cmocka_unit_test(separated_clusters_with_unequal_counts),
      cmocka_unit_test(identical_clouds_are_at_distance_zero),
      cmocka_unit_test(translation_adds_its_square),
      cmocka_unit_test(a_common_offset_changes_nothing),
      cmocka_unit_test(scaling_multiplies),
      cmocka_unit_test(symmetric),
      cmocka_unit_test(triangle_inequality),
      cmocka_unit_test(turning_the_torus_changes_nothing),
      cmocka_unit_test(one_dimension_is_a_sort),
      cmocka_unit_test(many_dimensions),
      cmocka_unit_test(heavy_tails_keep_the_certificate),
      cmocka_unit_test(values_beyond_arithmetic_are_refused),
      cmocka_unit_test(values_whose_squares_underflow_are_refused),
      cmocka_unit_test(values_too_many_periods_out_are_refused),
      cmocka_unit_test(stops_on_request),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
