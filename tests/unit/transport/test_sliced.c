/* Directions and the sliced kernel, beside a plain projection and sort. */

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
#include "boltzmap/transport/sliced.h"

#define N 700
#define D 66
#define COUNT 21 /* not a multiple of any block */

static double x[N * D], y[N * D];
static double directions[COUNT * D];

static void draw(uint64_t seed, size_t n, size_t d, double *cloud)
{
  bm_random_t random = bm_random(seed, BM_PURPOSE_TEST);
  for (size_t i = 0; i < n; i++) {
    bm_random_normals(random, (uint32_t)i, 0, 0, d, cloud + i * d);
  }
}

static int compare(const void *a, const void *b)
{
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

/* Projections of a cloud, sorted, the plain way. */
static void project(size_t n, size_t d, const double *cloud, const double *direction, double *out)
{
  for (size_t i = 0; i < n; i++) {
    out[i] = 0.0;
    for (size_t k = 0; k < d; k++) {
      out[i] += cloud[i * d + k] * direction[k];
    }
  }
  qsort(out, n, sizeof *out, compare);
}

static void equals_plain_projection_and_sort(void **state)
{
  (void)state;
  static double of_x[N], of_y[N];
  const size_t cases[][3] = {{N, N, 4}, {N, 300, 4}, {129, 128, D}, {N, N, D}, {5, 3, 2}};
  for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
    const size_t n = cases[c][0], m = cases[c][1], d = cases[c][2];
    double values[COUNT];
    draw(10 + c, n, d, x);
    draw(20 + c, m, d, y);
    bm_sliced_directions(c, 0, COUNT, d, directions);
    assert_int_equal(bm_sliced_w2_squared(n, m, d, x, y, COUNT, directions, values), BM_OK);
    for (size_t i = 0; i < COUNT; i++) {
      project(n, d, x, directions + i * d, of_x);
      project(m, d, y, directions + i * d, of_y);
      double expected = bm_marginal_w2_squared_sorted(n, of_x, m, of_y);
      assert_true(fabs(values[i] - expected) <= 1e-11 * expected);
    }
  }
}

/* Sharing directions out must not change a bit of any. */
static void a_value_does_not_depend_on_its_neighbours(void **state)
{
  (void)state;
  double together[COUNT], alone;
  draw(30, N, 5, x);
  draw(31, N, 5, y);
  bm_sliced_directions(3, 0, COUNT, 5, directions);
  assert_int_equal(bm_sliced_w2_squared(N, N, 5, x, y, COUNT, directions, together), BM_OK);
  for (size_t i = 0; i < COUNT; i++) {
    double direction[5];
    bm_sliced_directions(3, i, 1, 5, direction);
    assert_memory_equal(direction, directions + i * 5, sizeof direction);
    assert_int_equal(bm_sliced_w2_squared(N, N, 5, x, y, 1, direction, &alone), BM_OK);
    assert_true(alone == together[i]);
  }
}

static void directions_differ_between_seeds_and_indices(void **state)
{
  (void)state;
  double other[2 * D];
  bm_sliced_directions(1, 0, 2, D, directions);
  bm_sliced_directions(2, 0, 2, D, other);
  assert_memory_not_equal(directions, directions + D, D * sizeof(double));
  assert_memory_not_equal(directions, other, D * sizeof(double));
}

/* E[u u'] = 1/d. Entries u_k u_l have variance 2(d-1)/(d²(d+2)) on the diagonal and 1/(d(d+2)) off
 * it. */
static void directions_are_uniform_on_the_sphere(void **state)
{
  (void)state;
  enum { d = 4, many = 20000 };
  static double set[many * d];
  double mean[d] = {0}, moment[d][d] = {{0}};
  bm_sliced_directions(5, 0, many, d, set);
  for (size_t i = 0; i < many; i++) {
    double square = 0.0;
    for (size_t k = 0; k < d; k++) {
      square += set[i * d + k] * set[i * d + k];
      mean[k] += set[i * d + k] / many;
      for (size_t l = 0; l < d; l++) {
        moment[k][l] += set[i * d + k] * set[i * d + l] / many;
      }
    }
    assert_true(fabs(square - 1.0) < 1e-14);
  }
  for (size_t k = 0; k < d; k++) {
    assert_true(fabs(mean[k]) < 5.5 * sqrt(1.0 / d / many));
    for (size_t l = 0; l < d; l++) {
      double variance = k == l ? 2.0 * (d - 1) / (d * d * (d + 2)) : 1.0 / (d * (d + 2));
      assert_true(fabs(moment[k][l] - (k == l ? 1.0 / d : 0.0)) < 5.5 * sqrt(variance / many));
    }
  }
}

static void translation_is_seen_through_its_projection(void **state)
{
  (void)state;
  const double shift[3] = {0.5, -1.0, 2.0};
  double values[COUNT];
  draw(40, N, 3, x);
  for (size_t i = 0; i < N * 3; i++) {
    y[i] = x[i] + shift[i % 3];
  }
  bm_sliced_directions(6, 0, COUNT, 3, directions);
  assert_int_equal(bm_sliced_w2_squared(N, N, 3, x, y, COUNT, directions, values), BM_OK);
  for (size_t i = 0; i < COUNT; i++) {
    double along = 0.0;
    for (size_t k = 0; k < 3; k++) {
      along += shift[k] * directions[i * 3 + k];
    }
    assert_true(fabs(values[i] - along * along) <= 1e-13);
  }
}

static void one_dimension_is_the_marginal(void **state)
{
  (void)state;
  double values[COUNT], expected;
  draw(50, N, 1, x);
  draw(51, 333, 1, y);
  bm_sliced_directions(7, 0, COUNT, 1, directions);
  assert_int_equal(bm_sliced_w2_squared(N, 333, 1, x, y, COUNT, directions, values), BM_OK);
  assert_int_equal(bm_marginal_w2_squared(N, x, 333, y, 0.0, &expected), BM_OK);
  for (size_t i = 0; i < COUNT; i++) {
    assert_true(fabs(values[i] - expected) <= 1e-13 * expected);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equals_plain_projection_and_sort),
      cmocka_unit_test(a_value_does_not_depend_on_its_neighbours),
      cmocka_unit_test(directions_differ_between_seeds_and_indices),
      cmocka_unit_test(directions_are_uniform_on_the_sphere),
      cmocka_unit_test(translation_is_seen_through_its_projection),
      cmocka_unit_test(one_dimension_is_the_marginal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
