/* Distances by columns and by pairs of angles, against values known by hand. */

#include <math.h>
#include <mpi.h>

#include "../flow/made_flow.h"
#include "boltzmap/analyse/distributions.h"

#define CELLS (BM_RAMACHANDRAN_BINS * BM_RAMACHANDRAN_BINS)
#define PRIOR 0.5 /* counts added to each bin */

static bm_context_t *context;

static double distance_of(const bm_distance_ops_t *distance, bm_cloud_t a, bm_cloud_t b)
{
  const bm_distance_settings_t settings = {.repeats = 1};
  bm_distance_result_t result;
  assert_int_equal(distance->compute(context, &settings, &a, &b, &result), BM_OK);
  assert_int_equal(result.n, a.n);
  assert_int_equal(result.m, b.n);
  return result.w2;
}

static void equal_sets_have_no_distance(void **state)
{
  (void)state;
  double x[100];
  bm_random_normals(bm_random(60, BM_PURPOSE_TEST), 0, 0, 0, 100, x);
  for (int k = 0; k < 100; k++) {
    x[k] *= 100.0;
  }
  const bm_cloud_t set = {50, 2, x};
  assert_true(distance_of(&bm_distance_ramachandran, set, set) == 0.0);
  assert_true(distance_of(&bm_distance_columns, set, set) == 0.0);
}

/* Bins of 15 degrees, all rows of a in one, of b in that and another: three terms with the bins that neither
 * has. */
static void divergence_is_that_of_the_bins(void **state)
{
  (void)state;
  const double a[6] = {-60.0, -40.0, -46.0, -44.0, -59.0, -31.0};
  const double b[10] = {-60.0, -40.0, 65.0, 31.0, 70.0, 40.0, 61.0, 44.0, 65.0, 35.0};
  const double total_a = 3.0 + PRIOR * CELLS;
  const double total_b = 5.0 + PRIOR * CELLS;
  const double q[3] = {(3.0 + PRIOR) / total_a, PRIOR / total_a, PRIOR / total_a};
  const double p[3] = {(1.0 + PRIOR) / total_b, (4.0 + PRIOR) / total_b, PRIOR / total_b};
  const double counts[3] = {1.0, 1.0, CELLS - 2};
  double of_b = 0.0;
  double of_a = 0.0;
  for (int k = 0; k < 3; k++) {
    of_b += counts[k] * p[k] * log(p[k] / q[k]);
    of_a += counts[k] * q[k] * log(q[k] / p[k]);
  }
  const bm_cloud_t first = {3, 2, a};
  const bm_cloud_t second = {5, 2, b};
  assert_true(fabs(distance_of(&bm_distance_ramachandran, first, second) - of_b) < 1e-14);
  assert_true(fabs(distance_of(&bm_distance_ramachandran, second, first) - of_a) < 1e-14);
  assert_true(fabs(of_a - of_b) > 1e-4); /* they are told apart */
}

/* Also -180 and 180, and either angle by itself. */
static void divergence_does_not_count_turns(void **state)
{
  (void)state;
  const double a[6] = {-180.0, 10.0, 100.0, -180.0, -7.0, 359.0};
  const double b[6] = {180.0, 10.0 - 360.0, 100.0 + 720.0, 180.0, 353.0, -1.0};
  const double c[6] = {10.0, 180.0, -180.0, 100.0, -1.0, 353.0}; /* the angles change places */
  const bm_cloud_t first = {3, 2, a};
  assert_true(distance_of(&bm_distance_ramachandran, first, (bm_cloud_t){3, 2, b}) == 0.0);
  assert_true(distance_of(&bm_distance_ramachandran, first, (bm_cloud_t){3, 2, c}) > 1e-3);
}

/* Columns moved by 1, 2 and 2: the root of (1 + 4 + 4)/3. The second set has each row twice, in another
 * order in each column. */
static void columns_are_compared_one_by_one(void **state)
{
  (void)state;
  enum { ROWS = 40 };
  static const double shifts[3] = {1.0, -2.0, 2.0};
  double a[3 * ROWS];
  double b[6 * ROWS];
  bm_random_normals(bm_random(61, BM_PURPOSE_TEST), 0, 0, 0, 3 * ROWS, a);
  for (size_t i = 0; i < 2 * ROWS; i++) {
    for (size_t k = 0; k < 3; k++) {
      b[3 * i + k] = a[3 * ((i + 7 * k) % ROWS) + k] + shifts[k];
    }
  }
  const bm_cloud_t first = {ROWS, 3, a};
  const bm_cloud_t second = {2 * ROWS, 3, b};
  assert_true(fabs(distance_of(&bm_distance_columns, first, second) - sqrt(3.0)) < 1e-13);
  assert_true(fabs(distance_of(&bm_distance_columns, second, first) - sqrt(3.0)) < 1e-13);
}

static void several_pairs_at_once_are_the_pairs_one_by_one(void **state)
{
  (void)state;
  const bm_distance_ops_t *const distances[] = {&bm_distance_columns, &bm_distance_ramachandran};
  double x[3][60];
  bm_cloud_t a[2];
  bm_cloud_t b[2];
  for (uint32_t s = 0; s < 3; s++) {
    bm_random_normals(bm_random(62, BM_PURPOSE_TEST), s, 0, 0, 60, x[s]);
  }
  for (int k = 0; k < 60; k++) {
    x[0][k] *= 90.0;
  }
  for (size_t p = 0; p < 2; p++) {
    a[p] = (bm_cloud_t){30, 2, x[p]};
    b[p] = (bm_cloud_t){20, 2, x[p + 1]};
  }
  for (int k = 0; k < 2; k++) {
    const bm_distance_settings_t settings = {.repeats = 1};
    bm_distance_result_t results[2];
    assert_int_equal(bm_distance_batch(context, distances[k], &settings, 2, a, b, results), BM_OK);
    for (size_t p = 0; p < 2; p++) {
      assert_true(results[p].w2 > 0.0);
      assert_true(results[p].w2 == distance_of(distances[k], a[p], b[p]));
    }
  }
}

static void empty_sets_are_refused(void **state)
{
  (void)state;
  const double x[2] = {1.0, 2.0};
  const bm_cloud_t one = {1, 2, x};
  const bm_cloud_t none = {0, 2, x};
  const bm_distance_settings_t settings = {.repeats = 1};
  bm_distance_result_t result;
  assert_int_equal(bm_distance_columns.compute(context, &settings, &one, &none, &result),
                   BM_ERR_DATA);
  assert_int_equal(bm_distance_ramachandran.compute(context, &settings, &none, &one, &result),
                   BM_ERR_DATA);
}

int main(int argc, char **argv)
{
  MPI_Init(&argc, &argv);
  if (bm_context_create(MPI_COMM_SELF, &context) != BM_OK) {
    return 1;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equal_sets_have_no_distance),
      cmocka_unit_test(divergence_is_that_of_the_bins),
      cmocka_unit_test(divergence_does_not_count_turns),
      cmocka_unit_test(columns_are_compared_one_by_one),
      cmocka_unit_test(several_pairs_at_once_are_the_pairs_one_by_one),
      cmocka_unit_test(empty_sets_are_refused),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  bm_context_destroy(&context);
  MPI_Finalize();
  return failed;
}
