/* The distances beside POT (tests/golden/distances_pot.py): exact by network simplex, on the line
 * and the circle, and sliced along given directions. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../golden.h"
#include "boltzmap/transport/assignment.h"
#include "boltzmap/transport/marginal.h"
#include "boltzmap/transport/sliced.h"

#define VALUES_MAX 40000
#define DIRECTIONS_MAX 64

/* Relative, of W2²; both sides round some thousand float64 sums. */
#define TOLERANCE 1e-11

static double x[VALUES_MAX], y[VALUES_MAX];

/* Cloud 0 or 1 of a row, by its recipe. */
static void make_cloud(const bm_json_t *row, size_t which, size_t n, size_t d, double *cloud)
{
  const bm_json_t *recipe = bm_json_item(bm_json_get(row, "clouds"), which);
  const size_t every = golden_size(recipe, "every");
  assert_true(n * d <= VALUES_MAX);
  made_numbers(golden_size(recipe, "seed"), golden_number(recipe, "scale"), n * d, cloud);
  for (size_t i = 0; i < n * d; i++) {
    cloud[i] += golden_number(recipe, "shift");
  }
  for (size_t i = 0; every > 0 && i < n; i += every) {
    cloud[i * d] += golden_number(recipe, "apart");
  }
}

/* W2² of a row of the file. */
typedef double (*compute_t)(const bm_json_t *row);

static void check_rows(const char *kind, size_t least, compute_t compute)
{
  bm_json_t *golden = read_golden("distances_pot.json");
  const bm_json_t *rows = bm_json_get(golden, kind);
  assert_true(bm_json_count(rows) >= least);
  for (size_t i = 0; i < bm_json_count(rows); i++) {
    const bm_json_t *row = bm_json_item(rows, i);
    double found = compute(row);
    double expected = golden_number(row, "w2_squared");
    if (!(fabs(found - expected) <= TOLERANCE * expected)) {
      fail_msg("%s, row %zu: W2² = %.15g, by POT %.15g", kind, i, found, expected);
    }
  }
  bm_json_destroy(&golden);
}

static double exact(const bm_json_t *row)
{
  const size_t n = golden_size(row, "n"), d = golden_size(row, "d");
  bm_assignment_result_t result;
  make_cloud(row, 0, n, d, x);
  make_cloud(row, 1, n, d, y);
  const bm_assignment_problem_t problem = {n, d, x, y, golden_number(row, "period"), NULL, NULL};
  assert_int_equal(bm_assignment_solve(NULL, &problem, NULL, &result), BM_OK);
  assert_true(result.gap <= TOLERANCE);
  return result.w2 * result.w2;
}

static void exact_is_the_network_simplex(void **state)
{
  (void)state;
  check_rows("exact", 7, exact);
}

static double marginal(const bm_json_t *row)
{
  const size_t n = golden_size(row, "n"), m = golden_size(row, "m");
  double w2_squared;
  make_cloud(row, 0, n, 1, x);
  make_cloud(row, 1, m, 1, y);
  assert_int_equal(bm_marginal_w2_squared(n, x, m, y, golden_number(row, "period"), &w2_squared),
                   BM_OK);
  return w2_squared;
}

static void marginal_is_that_of_pot(void **state)
{
  (void)state;
  check_rows("marginal", 6, marginal);
}

static double sliced(const bm_json_t *row)
{
  static double directions[DIRECTIONS_MAX * 66];
  double values[DIRECTIONS_MAX];
  const size_t n = golden_size(row, "n"), m = golden_size(row, "m"), d = golden_size(row, "d");
  const size_t count = golden_size(row, "count");
  assert_true(count <= DIRECTIONS_MAX && d <= 66);
  make_cloud(row, 0, n, d, x);
  make_cloud(row, 1, m, d, y);
  made_numbers(golden_size(row, "direction_seed"), 1.0, count * d, directions);
  for (size_t i = 0; i < count; i++) {
    double square = 0.0;
    for (size_t k = 0; k < d; k++) {
      square += directions[i * d + k] * directions[i * d + k];
    }
    for (size_t k = 0; k < d; k++) {
      directions[i * d + k] /= sqrt(square);
    }
  }
  assert_int_equal(bm_sliced_w2_squared(n, m, d, x, y, count, directions, values), BM_OK);
  double mean = 0.0;
  for (size_t i = 0; i < count; i++) {
    mean += values[i] / (double)count;
  }
  return mean;
}

static void sliced_along_the_same_directions_is_that_of_pot(void **state)
{
  (void)state;
  check_rows("sliced", 3, sliced);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(exact_is_the_network_simplex),
      cmocka_unit_test(marginal_is_that_of_pot),
      cmocka_unit_test(sliced_along_the_same_directions_is_that_of_pot),
  };
  return cmocka_run_group_tests_name("distance golden", tests, NULL, NULL);
}
