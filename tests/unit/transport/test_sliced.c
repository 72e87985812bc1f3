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
    assert_int_equal(bm_sliced_directions(c, 0, COUNT, d, directions), BM_OK);
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
  assert_int_equal(bm_sliced_directions(3, 0, COUNT, 5, directions), BM_OK);
  assert_int_equal(bm_sliced_w2_squared(N, N, 5, x, y, COUNT, directions, together), BM_OK);
  for (size_t i = 0; i < COUNT; i++) {
    double direction[5];
    assert_int_equal(bm_sliced_directions(3, i, 1, 5, direction), BM_OK);
    assert_memory_equal(direction, directions + i * 5, sizeof direction);
    assert_int_equal(bm_sliced_w2_squared(N, N, 5, x, y, 1, direction, &alone), BM_OK);
    assert_true(alone == together[i]);
  }
}

static void directions_differ_between_seeds_and_indices(void **state)
{
  (void)state;
  double other[2 * D];
  assert_int_equal(bm_sliced_directions(1, 0, 2, D, directions), BM_OK);
  assert_int_equal(bm_sliced_directions(2, 0, 2, D, other), BM_OK);
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
  assert_int_equal(bm_sliced_directions(5, 0, many, d, set), BM_OK);
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

static void blocks_of_directions_are_orthonormal(void **state)
{
  (void)state;
  static double block[300 * 300];
  const size_t dimensions[] = {1, 2, 7, D, 300};
  for (size_t c = 0; c < sizeof dimensions / sizeof dimensions[0]; c++) {
    const size_t d = dimensions[c], axes = d < 256 ? d : 256;
    assert_int_equal(bm_sliced_directions(c, 3 * axes, axes, d, block), BM_OK);
    for (size_t a = 0; a < axes; a++) {
      for (size_t b = 0; b <= a; b++) {
        double along = 0.0;
        for (size_t k = 0; k < d; k++) {
          along += block[a * d + k] * block[b * d + k];
        }
        assert_true(fabs(along - (a == b)) < 1e-13);
      }
    }
  }
}

/* The mean over the sphere of (a·u)^2, (a·u)^4 and (a·u)^6 is |a|^p times 1/d, 3/(d(d+2)) and
 * 15/(d(d+2)(d+4)). */
static void polynomials_have_their_exact_mean(void **state)
{
  (void)state;
  enum { many = 1024 };
  static double set[many * 5], values[many];
  for (size_t d = 1; d <= 5; d++) {
    double expected = 1.0, mean, error;
    for (size_t degree = 2; degree <= (d < 5 ? 6 : 4); degree += 2) {
      expected *= (double)(degree - 1) / (double)(d + degree - 2);
      assert_int_equal(bm_sliced_directions(7, 0, many, d, set), BM_OK);
      for (size_t i = 0; i < many; i++) {
        double along = 0.0;
        for (size_t k = 0; k < d; k++) {
          along += (k % 2 == 0 ? 1.0 : -0.5) * set[i * d + k];
        }
        values[i] = pow(along, (double)degree);
      }
      double square = (double)((d + 1) / 2) + 0.25 * (double)(d / 2);
      assert_int_equal(bm_sliced_mean(7, many, d, values, &mean, &error), BM_OK);
      assert_true(fabs(mean - expected * pow(square, 0.5 * (double)degree)) < 1e-10);
      assert_true(error < 1e-7);
    }
  }
}

/* W2² over many directions: the estimate is as close as it is meant to be, and its error bar is
 * honest: two standard errors hold the mean of all in 90 to 99% of 200 estimates. */
static void estimates_are_close_with_honest_errors(void **state)
{
  (void)state;
  enum { n = 200, repeats = 200, directions_each = 1024 };
  static double set[directions_each * D], values[directions_each];
  static double means[repeats], errors[repeats];
  const struct {
    size_t d;
    double largest; /* relative rms error of one estimate */
  } cases[] = {{4, 0.003}, {D, 0.03}};
  for (size_t c = 0; c < 2; c++) {
    const size_t d = cases[c].d;
    double truth = 0.0, squares = 0.0;
    size_t covered = 0;
    draw(60, n, d, x);
    draw(61, n, d, y);
    for (size_t i = 0; i < n * d; i++) {
      y[i] = 1.05 * y[i] + 0.1;
    }
    for (size_t r = 0; r < repeats; r++) {
      assert_int_equal(bm_sliced_directions(100 + r, 0, directions_each, d, set), BM_OK);
      assert_int_equal(bm_sliced_w2_squared(n, n, d, x, y, directions_each, set, values), BM_OK);
      assert_int_equal(bm_sliced_take_shift(n, n, d, x, y, directions_each, set, values), BM_OK);
      assert_int_equal(bm_sliced_mean(100 + r, directions_each, d, values, &means[r], &errors[r]),
                       BM_OK);
      truth += means[r] / repeats;
    }
    for (size_t r = 0; r < repeats; r++) {
      squares += (means[r] / truth - 1.0) * (means[r] / truth - 1.0) / (repeats - 1);
      covered += fabs(means[r] - truth) < 2.0 * errors[r];
    }
    assert_true(sqrt(squares) < cases[c].largest);
    assert_true(covered >= 0.90 * repeats && covered <= 0.99 * repeats);
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
  assert_int_equal(bm_sliced_directions(6, 0, COUNT, 3, directions), BM_OK);
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
  assert_int_equal(bm_sliced_directions(7, 0, COUNT, 1, directions), BM_OK);
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
      cmocka_unit_test(blocks_of_directions_are_orthonormal),
      cmocka_unit_test(polynomials_have_their_exact_mean),
      cmocka_unit_test(estimates_are_close_with_honest_errors),
      cmocka_unit_test(translation_is_seen_through_its_projection),
      cmocka_unit_test(one_dimension_is_the_marginal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
