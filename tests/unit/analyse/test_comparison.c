/* Comparisons: the standard errors say what new draws would do, floors are what equal densities
 * have. */

#include <math.h>
#include <mpi.h>
#include <string.h>

#include "../flow/made_flow.h"
#include "../model/case_of_text.h"
#include "boltzmap/analyse/comparison.h"

#define N 400
#define DRAWS 40

static bm_context_t *context;
static const bm_comparison_settings_t settings = {
    .projections = 30, .exact = 1, .exact_points = 60, .exact_repeats = 2, .seed = 5};

/* Normal rows whose first coordinate is shifted: two particles in the plane, of no physical
 * meaning. */
static double *rows_of(uint32_t stream, double shift)
{
  double *x = zero_doubles(4 * N);
  for (size_t i = 0; i < N; i++) {
    bm_random_normals(bm_random(11, BM_PURPOSE_TEST), stream, i, 0, 4, x + 4 * i);
    x[4 * i] += shift;
  }
  return x;
}

static void rows_are_named_and_have_sizes(void **state)
{
  (void)state;
  bm_potential_t *potential = potential_of("kind = \"coulomb-double-well\"; beta = 5.0;");
  double *a = rows_of(0, 0.0);
  double *b = rows_of(1, 1.0);
  bm_cloud_t first = {N, 4, a};
  bm_cloud_t second = {N, 4, b};
  bm_comparison_row_t rows[3];
  bm_results_t *results;
  size_t count;
  assert_int_equal(bm_comparison_count(potential, &settings, N, &count), BM_OK);
  assert_int_equal(count, 3);
  assert_int_equal(
      bm_comparison_measure(context, potential, &settings, &first, &second, NULL, rows), BM_OK);
  assert_string_equal(rows[0].name, "w2_r");
  assert_string_equal(rows[1].name, "w2_sliced");
  assert_string_equal(rows[2].name, "w2_exact");
  assert_int_equal(rows[1].points, N);
  assert_int_equal(rows[2].points, 60);
  assert_int_equal(bm_results_create(&results), BM_OK);
  assert_int_equal(bm_comparison_put(rows, 3, "_singular", results), BM_OK);
  assert_true(bm_results_value(results, "w2_exact_singular") >= 1.0);
  assert_true(bm_results_value(results, "w2_sliced_singular") == rows[1].value);
  bm_results_destroy(&results);
  bm_free(b);
  bm_free(a);
  bm_potential_destroy(&potential);
}

/* Mean of the jackknife's errors beside the standard deviation over new draws of both sets. */
static void jackknife_says_what_new_draws_do(void **state)
{
  (void)state;
  bm_potential_t *potential = potential_of("kind = \"coulomb-double-well\"; beta = 5.0;");
  const bm_comparison_settings_t no_exact = {.projections = 30, .seed = 5};
  double values[2][DRAWS];
  double mean[2] = {0.0, 0.0};
  double error[2] = {0.0, 0.0};
  for (uint32_t draw = 0; draw < DRAWS; draw++) {
    double *a = rows_of(2 * draw, 0.0);
    double *b = rows_of(2 * draw + 1, 1.5);
    bm_cloud_t first = {N, 4, a};
    bm_cloud_t second = {N, 4, b};
    bm_comparison_row_t rows[2];
    assert_int_equal(
        bm_comparison_measure(context, potential, &no_exact, &first, &second, NULL, rows), BM_OK);
    for (int k = 0; k < 2; k++) {
      values[k][draw] = rows[k].value;
      mean[k] += rows[k].value / DRAWS;
      error[k] += rows[k].error / DRAWS;
    }
    bm_free(b);
    bm_free(a);
  }
  for (int k = 0; k < 2; k++) {
    double spread = 0.0;
    for (int draw = 0; draw < DRAWS; draw++) {
      spread += (values[k][draw] - mean[k]) * (values[k][draw] - mean[k]) / (DRAWS - 1);
    }
    spread = sqrt(spread);
    /* a standard deviation from 40 draws is good to a tenth; the jackknife leans a little high */
    assert_true(error[k] > 0.55 * spread && error[k] < 1.9 * spread);
  }
  bm_potential_destroy(&potential);
}

static void floor_is_the_mean_over_pairs_of_equal_densities(void **state)
{
  (void)state;
  enum { PAIRS = 8 };
  bm_potential_t *potential = potential_of("kind = \"coulomb-double-well\"; beta = 5.0;");
  double *x[2 * PAIRS];
  bm_cloud_t clouds[2 * PAIRS];
  bm_comparison_row_t floor[3];
  bm_comparison_row_t apart[3];
  for (uint32_t i = 0; i < 2 * PAIRS; i++) {
    x[i] = rows_of(100 + i, 0.0);
    clouds[i] = (bm_cloud_t){N, 4, x[i]};
  }
  assert_int_equal(
      bm_comparison_floor(context, potential, &settings, PAIRS, clouds, clouds + PAIRS, floor),
      BM_OK);
  double *b = rows_of(90, 1.5);
  bm_cloud_t second = {N, 4, b};
  assert_int_equal(
      bm_comparison_measure(context, potential, &settings, &clouds[0], &second, NULL, apart),
      BM_OK);
  for (int k = 0; k < 3; k++) {
    assert_int_equal(floor[k].points, PAIRS);
    assert_true(floor[k].value > 0.0 && floor[k].spread > 0.0);
    assert_true(fabs(floor[k].error * sqrt(PAIRS) - floor[k].spread) < 1e-12);
  }
  for (int k = 1; k < 3; k++) {
    assert_true(apart[k].value > floor[k].value + 6.0 * floor[k].spread);
  }
  bm_free(b);
  for (int i = 0; i < 2 * PAIRS; i++) {
    bm_free(x[i]);
  }
  bm_potential_destroy(&potential);
}

int main(int argc, char **argv)
{
  MPI_Init(&argc, &argv);
  if (bm_context_create(MPI_COMM_SELF, &context) != BM_OK) {
    return 1;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_are_named_and_have_sizes),
      cmocka_unit_test(jackknife_says_what_new_draws_do),
      cmocka_unit_test(floor_is_the_mean_over_pairs_of_equal_densities),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  bm_context_destroy(&context);
  MPI_Finalize();
  return failed;
}
