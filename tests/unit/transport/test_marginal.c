/* Sorting and Wasserstein-2 on the line and on the circle, beside plain references. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boltzmap/base/random.h"
#include "boltzmap/transport/marginal.h"

#define MAX 6000
#define ROUNDING 1e-13 /* relative: sums of at most some thousand positive terms */

static double x[MAX], y[MAX], scratch[MAX];

static int compare(const void *a, const void *b)
{
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

static void draw(uint64_t seed, size_t n, double *values)
{
  bm_random_t random = bm_random(seed, BM_PURPOSE_TEST);
  for (size_t i = 0; i < n; i++) {
    bm_random_normals(random, (uint32_t)i, 0, 0, 1, values + i);
  }
}

static void draw_sorted(uint64_t seed, size_t n, double *values)
{
  draw(seed, n, values);
  qsort(values, n, sizeof *values, compare);
}

static void draw_angles(uint64_t seed, size_t n, double period, double *values)
{
  bm_random_t random = bm_random(seed, BM_PURPOSE_TEST);
  for (size_t i = 0; i < n; i++) {
    double uniform[2];
    bm_random_uniform2(random, (uint32_t)i, 0, 0, uniform);
    values[i] = period * uniform[0] * uniform[1]; /* uneven */
  }
  qsort(values, n, sizeof *values, compare);
}

static void assert_close(double value, double expected, double relative)
{
  assert_true(fabs(value - expected) <= relative * fabs(expected));
}

/* Values over the whole range of exponents, both signs, with zeros of both signs and repeats. */
static void draw_wild(uint64_t seed, size_t n, double *values)
{
  bm_random_t random = bm_random(seed, BM_PURPOSE_TEST);
  for (size_t i = 0; i < n; i++) {
    double uniform[2];
    bm_random_uniform2(random, (uint32_t)i, 0, 0, uniform);
    double size = pow(10.0, 600.0 * uniform[0] - 310.0); /* from subnormal up */
    values[i] = (uniform[1] < 0.5 ? -1.0 : 1.0) * (i % 7 == 0 ? 0.0 : size);
    if (i > 3 && i % 5 == 0) {
      values[i] = values[i / 2];
    }
  }
}

static void sorted_as_by_comparison(void **state)
{
  (void)state;
  const size_t sizes[] = {0, 1, 2, 3, 47, 48, 49, 50, 200, 2049, MAX};
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
    draw_wild(s, sizes[s], x);
    memcpy(y, x, sizeof y);
    bm_sort(sizes[s], x, scratch);
    qsort(y, sizes[s], sizeof *y, compare);
    for (size_t i = 0; i < sizes[s]; i++) {
      assert_true(x[i] == y[i]);
    }
  }
}

static void sorting_keeps_equal_values(void **state)
{
  (void)state;
  for (size_t i = 0; i < 500; i++) {
    x[i] = -2.5;
  }
  bm_sort(500, x, scratch);
  for (size_t i = 0; i < 500; i++) {
    assert_true(x[i] == -2.5);
  }
}

/* Least mean cost over all n! pairings. `used` marks the y that are taken. */
static double best_pairing(size_t n, const double *a, const double *b, double period, size_t i,
                           unsigned used)
{
  if (i == n) {
    return 0.0;
  }
  double best = INFINITY;
  for (size_t j = 0; j < n; j++) {
    if ((used >> j & 1u) == 0) {
      double difference = a[i] - b[j];
      if (period > 0.0) {
        difference -= period * rint(difference / period);
      }
      double rest = best_pairing(n, a, b, period, i + 1, used | 1u << j);
      best = fmin(best, difference * difference / (double)n + rest);
    }
  }
  return best;
}

static void line_is_best_of_all_pairings(void **state)
{
  (void)state;
  for (size_t n = 1; n <= 7; n++) {
    for (uint64_t seed = 0; seed < 10; seed++) {
      draw_sorted(100 + seed, n, x);
      draw_sorted(200 + seed, n, y);
      assert_close(bm_marginal_w2_squared_sorted(n, x, n, y), best_pairing(n, x, y, 0.0, 0, 0),
                   ROUNDING);
    }
  }
}

static void circle_is_best_of_all_pairings(void **state)
{
  (void)state;
  for (size_t n = 1; n <= 7; n++) {
    for (uint64_t seed = 0; seed < 10; seed++) {
      draw_angles(300 + seed, n, 360.0, x);
      draw_angles(400 + seed, n, 360.0, y);
      for (size_t i = 0; i < n; i++) {
        y[i] = fmod(y[i] + 40.0 * (double)seed, 360.0); /* over the seam */
      }
      qsort(y, n, sizeof *y, compare);
      assert_close(bm_marginal_w2_squared_circle(n, x, n, y, 360.0),
                   best_pairing(n, x, y, 360.0, 0, 0), ROUNDING);
    }
  }
}

/* Each of `n` values `times` over: the same distribution. */
static void repeat(size_t n, const double *values, size_t times, double *out)
{
  for (size_t i = 0; i < n * times; i++) {
    out[i] = values[i / times];
  }
}

static const size_t pairs_of_sizes[][2] = {{1, 7},   {7, 1},   {2, 3},   {4, 6},
                                           {30, 45}, {64, 65}, {10, 60}, {71, 53}};
#define PAIRS (sizeof pairs_of_sizes / sizeof pairs_of_sizes[0])

static void unequal_sizes_are_their_common_refinement(void **state)
{
  (void)state;
  static double finer_x[MAX], finer_y[MAX];
  for (size_t p = 0; p < PAIRS; p++) {
    const size_t n = pairs_of_sizes[p][0], m = pairs_of_sizes[p][1];
    draw_sorted(500 + p, n, x);
    draw_sorted(600 + p, m, y);
    repeat(n, x, m, finer_x);
    repeat(m, y, n, finer_y);
    assert_close(bm_marginal_w2_squared_sorted(n, x, m, y),
                 bm_marginal_w2_squared_sorted(n * m, finer_x, n * m, finer_y), ROUNDING);
    draw_angles(700 + p, n, 1.0, x);
    draw_angles(800 + p, m, 1.0, y);
    repeat(n, x, m, finer_x);
    repeat(m, y, n, finer_y);
    assert_close(bm_marginal_w2_squared_circle(n, x, m, y, 1.0),
                 bm_marginal_w2_squared_circle(n * m, finer_x, n * m, finer_y, 1.0), ROUNDING);
  }
}

/* The refinement's best cyclic shift, tried one after the other. */
static void circle_is_best_of_all_shifts(void **state)
{
  (void)state;
  static double finer_x[MAX], finer_y[MAX];
  for (size_t p = 0; p < PAIRS; p++) {
    const size_t n = pairs_of_sizes[p][0], m = pairs_of_sizes[p][1], count = n * m;
    draw_angles(900 + p, n, 1.0, x);
    draw_angles(950 + p, m, 1.0, y);
    repeat(n, x, m, finer_x);
    repeat(m, y, n, finer_y);
    double best = INFINITY;
    for (size_t shift = 0; shift < count; shift++) {
      double sum = 0.0;
      for (size_t i = 0; i < count; i++) {
        double difference = finer_x[i] - finer_y[(i + shift) % count];
        difference -= rint(difference);
        sum += difference * difference;
      }
      best = fmin(best, sum / (double)count);
    }
    assert_close(bm_marginal_w2_squared_circle(n, x, m, y, 1.0), best, ROUNDING);
  }
}

static void translation_adds_its_square(void **state)
{
  (void)state;
  draw_sorted(1, 1000, x);
  draw_sorted(2, 700, y);
  double mean_x = 0.0, mean_y = 0.0;
  for (size_t i = 0; i < 1000; i++) {
    mean_x += x[i] / 1000.0;
    mean_y += i < 700 ? y[i] / 700.0 : 0.0;
  }
  double before = bm_marginal_w2_squared_sorted(1000, x, 700, y);
  for (size_t i = 0; i < 1000; i++) {
    x[i] += 2.0 + mean_y - mean_x;
  }
  double centred = before - (mean_x - mean_y) * (mean_x - mean_y);
  assert_close(bm_marginal_w2_squared_sorted(1000, x, 700, y), centred + 4.0, 1e-12);
}

static void order_and_winding_do_not_matter(void **state)
{
  (void)state;
  static double wound[MAX];
  draw_angles(3, 150, 2.0, x);
  draw_angles(4, 90, 2.0, y);
  double expected = bm_marginal_w2_squared_circle(150, x, 90, y, 2.0);
  for (size_t i = 0; i < 150; i++) {
    wound[149 - i] = x[i] + 2.0 * (double)((int)(i % 5) - 2);
  }
  double value;
  assert_int_equal(bm_marginal_w2_squared(150, wound, 90, y, 2.0, &value), BM_OK);
  assert_close(value, expected, 1e-12);
  assert_int_equal(bm_marginal_w2_squared(90, y, 150, wound, 2.0, &value), BM_OK);
  assert_close(value, expected, 1e-12);
}

static void turning_the_circle_changes_nothing(void **state)
{
  (void)state;
  double expected, value;
  draw_angles(5, 200, 360.0, x);
  draw_angles(6, 130, 360.0, y);
  assert_int_equal(bm_marginal_w2_squared(200, x, 130, y, 360.0, &expected), BM_OK);
  for (size_t i = 0; i < 200; i++) {
    x[i] += 123.456;
    y[i] += i < 130 ? 123.456 : 0.0;
  }
  assert_int_equal(bm_marginal_w2_squared(200, x, 130, y, 360.0, &value), BM_OK);
  assert_close(value, expected, 1e-11);
  assert_int_equal(bm_marginal_w2_squared(200, x, 130, y, 0.0, &value), BM_OK);
  assert_true(expected <= value);
}

static void equal_samples_are_at_distance_zero(void **state)
{
  (void)state;
  double value;
  draw(7, MAX, x);
  assert_int_equal(bm_marginal_w2_squared(MAX, x, MAX, x, 0.0, &value), BM_OK);
  assert_true(value == 0.0);
  assert_int_equal(bm_marginal_w2_squared(MAX, x, MAX, x, 3.0, &value), BM_OK);
  assert_true(value == 0.0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sorted_as_by_comparison),
      cmocka_unit_test(sorting_keeps_equal_values),
      cmocka_unit_test(line_is_best_of_all_pairings),
      cmocka_unit_test(circle_is_best_of_all_pairings),
      cmocka_unit_test(unequal_sizes_are_their_common_refinement),
      cmocka_unit_test(circle_is_best_of_all_shifts),
      cmocka_unit_test(translation_adds_its_square),
      cmocka_unit_test(order_and_winding_do_not_matter),
      cmocka_unit_test(turning_the_circle_changes_nothing),
      cmocka_unit_test(equal_samples_are_at_distance_zero),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
