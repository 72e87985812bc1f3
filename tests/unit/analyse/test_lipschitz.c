/* Lipschitz constants: where they are known, and that the ascent only adds. */

#include <math.h>
#include <mpi.h>
#include <string.h>

#include "../flow/made_flow.h"
#include "boltzmap/analyse/lipschitz.h"
#include "boltzmap/generate/generator.h"

#define D 4
#define POINTS 300
#define SEED 17

static const double means[D] = {1.0, -3.0, 0.2, 50.0};
static const double scales[D] = {2.0, 0.5, 0.01, 7.0};

static bm_context_t *context;

static bm_map_t *made_map(double gain)
{
  const bm_flow_shape_t shape = flow_shape(D, 4, 1, 12, BM_TANH);
  const bm_layout_t layout = {2, 2, "nm", "1"};
  bm_chart_t *units;
  bm_map_t *map;
  assert_int_equal(
      bm_chart_create_standardised(layout.particles, layout.dimensions, means, scales, &units),
      BM_OK);
  assert_int_equal(bm_map_create(&shape, &layout, units, &map), BM_OK);
  bm_flow_t *flow = bm_map_flow(map);
  draw_reals(80, gain, bm_flow_parameter_count(flow), bm_flow_parameters(flow));
  return map;
}

/* Rotate rows, or columns, p and q of a matrix. */
static void rotate(double *a, size_t d, size_t p, size_t q, int columns)
{
  const double c = cos(0.3 + (double)(p + q));
  const double s = sin(0.3 + (double)(p + q));
  for (size_t k = 0; k < d; k++) {
    double *x = columns ? &a[k * d + p] : &a[p * d + k];
    double *y = columns ? &a[k * d + q] : &a[q * d + k];
    double old = *x;
    *x = c * old - s * *y;
    *y = s * old + c * *y;
  }
}

static void singular_values_of_a_rotated_diagonal(void **state)
{
  (void)state;
  for (size_t d = 1; d <= 7; d++) {
    double a[49] = {0.0};
    for (size_t k = 0; k < d; k++) {
      a[k * d + k] = k % 2 ? -3.0 - (double)k : 0.125 * (1.0 + (double)k);
    }
    for (size_t i = 0; i + 1 < d; i++) {
      rotate(a, d, i, i + 1, 0);
      rotate(a, d, i, d - 1 == i ? 0 : d - 1, 1);
    }
    double expected = d == 1 ? 0.125 : 3.0 + (double)((d / 2) * 2 - 1);
    double largest;
    double smallest;
    assert_int_equal(bm_singular_range(d, a, &largest, &smallest), BM_OK);
    assert_true(fabs(largest - expected) < 1e-14 * (double)d * expected);
    assert_true(fabs(smallest - 0.125) < 1e-14 * (double)d * expected);
  }
}

static void a_matrix_that_is_not_finite_is_an_error(void **state)
{
  (void)state;
  double a[4] = {1.0, NAN, 0.0, 1.0};
  double largest;
  double smallest;
  assert_int_not_equal(bm_singular_range(2, a, &largest, &smallest), BM_OK);
}

static void linear_map_has_its_scales_as_constants(void **state)
{
  (void)state;
  bm_map_t *map = made_map(0.0);
  bm_lipschitz_t found;
  assert_int_equal(bm_lipschitz(context, map, SEED, POINTS, NULL, &found), BM_OK);
  const double largest[] = {found.max, found.max_sampled, found.p99};
  const double inverse[] = {found.inverse_max, found.inverse_max_sampled};
  for (size_t i = 0; i < 3; i++) {
    assert_true(fabs(largest[i] - 7.0) < 1e-13);
  }
  for (size_t i = 0; i < 2; i++) {
    assert_true(fabs(inverse[i] - 100.0) < 1e-11);
  }
  bm_map_destroy(&map);
}

/* The largest singular values at the sampled points, one by one. */
static void measure_points(bm_map_t *map, double *largest, double *inverse)
{
  static double base[POINTS * D];
  static double jacobian[POINTS * D * D];
  bm_generate_base(SEED, 0, POINTS, D, base);
  assert_int_equal(bm_map_jacobian(map, POINTS, base, jacobian), BM_OK);
  for (size_t i = 0; i < POINTS; i++) {
    double smallest;
    assert_int_equal(bm_singular_range(D, jacobian + i * D * D, &largest[i], &smallest), BM_OK);
    inverse[i] = 1.0 / smallest;
  }
}

static void sampled_values_are_those_of_the_generators_points(void **state)
{
  (void)state;
  bm_map_t *map = made_map(0.4);
  static double largest[POINTS];
  static double inverse[POINTS];
  measure_points(map, largest, inverse);
  double max = 0.0;
  double inverse_max = 0.0;
  for (size_t i = 0; i < POINTS; i++) {
    max = fmax(max, largest[i]);
    inverse_max = fmax(inverse_max, inverse[i]);
  }
  bm_lipschitz_t found;
  assert_int_equal(bm_lipschitz(context, map, SEED, POINTS, NULL, &found), BM_OK);
  assert_true(found.max_sampled == max);
  assert_true(found.inverse_max_sampled == inverse_max);
  size_t above = 0;
  size_t below = 0;
  for (size_t i = 0; i < POINTS; i++) {
    above += largest[i] > found.p99;
    below += largest[i] <= found.p99;
  }
  assert_int_equal(above, POINTS / 100);
  assert_int_equal(below, POINTS - POINTS / 100);
  bm_map_destroy(&map);
}

static void ascent_never_lowers_and_finds_more_on_a_curved_map(void **state)
{
  (void)state;
  bm_map_t *map = made_map(0.4);
  bm_lipschitz_t found;
  for (size_t n = 1; n <= POINTS; n += 23) {
    assert_int_equal(bm_lipschitz(context, map, SEED, n, NULL, &found), BM_OK);
    assert_true(found.max >= found.max_sampled);
    assert_true(found.inverse_max >= found.inverse_max_sampled);
    assert_true(found.max_sampled >= found.p99);
  }
  assert_true(found.max > 1.01 * found.max_sampled);
  assert_true(found.inverse_max > 1.01 * found.inverse_max_sampled);
  bm_map_destroy(&map);
}

static void equal_calls_give_equal_bits(void **state)
{
  (void)state;
  bm_map_t *map = made_map(0.4);
  bm_lipschitz_t found[2];
  for (int i = 0; i < 2; i++) {
    assert_int_equal(bm_lipschitz(context, map, SEED, POINTS, NULL, &found[i]), BM_OK);
  }
  assert_memory_equal(&found[0], &found[1], sizeof found[0]);
  bm_map_destroy(&map);
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(singular_values_of_a_rotated_diagonal),
      cmocka_unit_test(a_matrix_that_is_not_finite_is_an_error),
      cmocka_unit_test(linear_map_has_its_scales_as_constants),
      cmocka_unit_test(sampled_values_are_those_of_the_generators_points),
      cmocka_unit_test(ascent_never_lowers_and_finds_more_on_a_curved_map),
      cmocka_unit_test(equal_calls_give_equal_bits),
  };
  MPI_Init(&argc, &argv);
  int failed = 1;
  if (bm_context_create(MPI_COMM_SELF, &context) == BM_OK) {
    failed = cmocka_run_group_tests_name("Lipschitz " BM_REAL_NAME, tests, NULL, NULL);
  }
  bm_context_destroy(&context);
  MPI_Finalize();
  return failed;
}
