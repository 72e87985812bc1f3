/* The distances by name: what is refused, subsamples, errors, and one call for many pairs. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <mpi.h>

#include <cmocka.h>

#include "boltzmap/base/random.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/transport/assignment.h"
#include "boltzmap/transport/distance.h"
#include "boltzmap/transport/marginal.h"
#include "boltzmap/transport/sliced.h"

#define N 400
#define M 300
#define D 3
#define PROJECTIONS 37 /* not a multiple of a task's */

static bm_context_t *context;
static double x[N * D], y[N * D], z[M * D];

static int set_up(void **state)
{
  (void)state;
  bm_random_t random = bm_random(1, BM_PURPOSE_TEST);
  for (uint32_t i = 0; i < N; i++) {
    bm_random_normals(random, i, 0, 0, D, x + i * D);
    bm_random_normals(random, i, 1, 0, D, y + i * D);
    bm_random_normals(random, i, 2, 0, D, z + i % M * D);
  }
  return bm_context_create(MPI_COMM_WORLD, &context) == BM_OK ? 0 : -1;
}

static int tear_down(void **state)
{
  (void)state;
  bm_context_destroy(&context);
  return 0;
}

static bm_status_t compute(const char *name, const bm_distance_settings_t *settings, bm_cloud_t a,
                           bm_cloud_t b, bm_distance_result_t *result)
{
  const bm_distance_ops_t *distance = bm_distance_find(name);
  assert_non_null(distance);
  return distance->compute(context, settings, &a, &b, result);
}

static void assert_refused(const char *name, bm_distance_settings_t settings, bm_cloud_t a,
                           bm_cloud_t b, const char *text)
{
  bm_distance_result_t result;
  assert_int_equal(compute(name, &settings, a, b, &result), BM_ERR_DATA);
  assert_non_null(strstr(bm_status_message(), text));
}

static void every_distance_is_found_by_its_name(void **state)
{
  (void)state;
  size_t count = 0;
  for (const bm_distance_ops_t *row = bm_distance_table; row->name != NULL; row++, count++) {
    assert_ptr_equal(bm_distance_find(row->name), row);
    assert_non_null(row->description);
  }
  assert_int_equal(count, 4);
  assert_null(bm_distance_find("earth-mover"));
}

static void exact_is_the_assignment(void **state)
{
  (void)state;
  const double periods[] = {0.0, 2.0};
  for (size_t p = 0; p < 2; p++) {
    bm_distance_settings_t settings = {.period = periods[p], .repeats = 5};
    bm_distance_result_t result;
    bm_assignment_result_t expected;
    assert_int_equal(
        compute("exact", &settings, (bm_cloud_t){N, D, x}, (bm_cloud_t){N, D, y}, &result), BM_OK);
    const bm_assignment_problem_t problem = {N, D, x, y, periods[p], NULL, NULL};
    assert_int_equal(bm_assignment_solve(NULL, &problem, NULL, &expected), BM_OK);
    assert_true(result.w2 == expected.w2);
    assert_true(result.gap == expected.gap);
    assert_true(result.error == expected.error / (2.0 * expected.w2));
    assert_true(isnan(result.spread)); /* one repeat where all are taken */
    assert_int_equal(result.n, N);
    assert_int_equal(result.d, D);
  }
}

static void sliced_is_the_mean_over_directions(void **state)
{
  (void)state;
  double directions[PROJECTIONS * D], values[PROJECTIONS];
  bm_distance_settings_t settings = {.projections = PROJECTIONS, .seed = 5};
  bm_distance_result_t result;
  assert_int_equal(
      compute("sliced", &settings, (bm_cloud_t){N, D, x}, (bm_cloud_t){M, D, z}, &result), BM_OK);
  double mean, error;
  assert_int_equal(bm_sliced_directions(5, 0, PROJECTIONS, D, directions), BM_OK);
  assert_int_equal(bm_sliced_w2_squared(N, M, D, x, z, PROJECTIONS, directions, values), BM_OK);
  assert_int_equal(bm_sliced_take_shift(N, M, D, x, z, PROJECTIONS, directions, values), BM_OK);
  assert_int_equal(bm_sliced_mean(5, PROJECTIONS, D, values, &mean, &error), BM_OK);
  assert_true(result.w2 == sqrt(mean));
  assert_true(result.error == error / (2.0 * sqrt(mean)));
  assert_true(isnan(result.spread));
  assert_true(result.gap == 0.0);
}

static void marginal_is_that_of_the_column(void **state)
{
  (void)state;
  const double periods[] = {0.0, 1.0};
  for (size_t p = 0; p < 2; p++) {
    bm_distance_settings_t settings = {.period = periods[p]};
    bm_distance_result_t result;
    double expected;
    assert_int_equal(
        compute("marginal", &settings, (bm_cloud_t){N, 1, x}, (bm_cloud_t){M, 1, z}, &result),
        BM_OK);
    assert_int_equal(bm_marginal_w2_squared(N, x, M, z, periods[p], &expected), BM_OK);
    assert_true(result.w2 == sqrt(expected));
    assert_true(isnan(result.error));
  }
}

static void what_cannot_be_done_is_refused_with_the_way_out(void **state)
{
  (void)state;
  const bm_cloud_t a = {N, D, x}, b = {M, D, z}, flat = {N, 1, x}, none = {0, D, x};
  const bm_distance_settings_t plain = {.projections = 10};
  bm_distance_settings_t torus = plain, many = plain, strange = plain;
  torus.period = 1.0;
  many.subsample = M + 1;
  strange.period = -1.0;
  assert_refused("exact", plain, a, b, "--subsample");
  assert_refused("marginal", plain, a, b, "--columns");
  assert_refused("exact", plain, a, flat, "--columns");
  assert_refused("sliced", torus, a, b, "--period");
  assert_refused("exact", strange, a, a, "--period");
  assert_refused("sliced", many, a, b, "second set");
  assert_refused("sliced", plain, none, b, "first set");
  assert_refused("sliced", (bm_distance_settings_t){0}, a, b, "projection");
}

static void a_value_too_many_periods_out_is_named(void **state)
{
  (void)state;
  double far[N] = {0};
  far[4] = -3e9;
  bm_cloud_t a = {N, 1, far}, b = {N, 1, x};
  assert_refused("marginal", (bm_distance_settings_t){.period = 2.0}, a, b, "row 4, column 0");
  assert_refused("exact", (bm_distance_settings_t){.period = 2.0}, b, a, "--period 2");
}

static void more_columns_than_a_direction_can_have_are_refused(void **state)
{
  (void)state;
  const size_t d = BM_NORMALS_MAX + 1;
  double *wide = calloc(2 * d, sizeof *wide);
  assert_non_null(wide);
  bm_cloud_t a = {2, d, wide};
  assert_refused("sliced", (bm_distance_settings_t){.projections = 1}, a, a, "131072 columns");
  free(wide);
}

static void a_value_that_is_no_number_is_named(void **state)
{
  (void)state;
  double bad[12] = {0};
  bad[7] = NAN;
  const bm_cloud_t a = {4, 3, bad}, b = {4, 3, x};
  assert_refused("sliced", (bm_distance_settings_t){.projections = 1}, b, a,
                 "second set: row 2, column 1");
}

/* Against itself, a set that is drawn from whole must be at distance 0: no row twice, none left
 * out. */
static void subsamples_are_without_replacement(void **state)
{
  (void)state;
  bm_distance_settings_t settings = {.subsample = N, .repeats = 3, .seed = 2};
  bm_distance_result_t result;
  assert_int_equal(
      compute("exact", &settings, (bm_cloud_t){N, D, x}, (bm_cloud_t){N, D, x}, &result), BM_OK);
  assert_true(result.w2 == 0.0);
  settings.subsample = N / 2;
  assert_int_equal(
      compute("exact", &settings, (bm_cloud_t){N, D, x}, (bm_cloud_t){N, D, x}, &result), BM_OK);
  assert_true(result.w2 > 0.0); /* the two are drawn independently */
}

/* Mean of a subsample's mean is that of the set, with variance (s²/k)·(1 - k/n): seen through the
 * marginal distance to a point far away. */
static void subsamples_are_uniform(void **state)
{
  (void)state;
  enum { drawn = 10, repeats = 20000, n = 50 };
  const double far[n] = {0};
  double shifted[n], mean = 0.0, variance = 0.0;
  for (size_t i = 0; i < n; i++) {
    shifted[i] = 1e6 + (i < 5 ? 1.0 : 0.0); /* early rows marked */
    mean += shifted[i] / n;
  }
  for (size_t i = 0; i < n; i++) {
    variance += (shifted[i] - mean) * (shifted[i] - mean) / (n - 1);
  }
  bm_distance_settings_t settings = {.subsample = drawn, .repeats = repeats, .seed = 3};
  bm_distance_result_t result;
  assert_int_equal(
      compute("marginal", &settings, (bm_cloud_t){n, 1, shifted}, (bm_cloud_t){n, 1, far}, &result),
      BM_OK);
  variance *= (1.0 - (double)drawn / n) / drawn;
  assert_true(fabs(result.w2 - mean) < 5.5 * sqrt(variance / repeats));
  /* kurtosis of the hypergeometric count is under 4: its variance's error is under √(3/repeats) */
  assert_true(fabs(result.spread * result.spread / variance - 1.0) < 5.5 * sqrt(3.0 / repeats));
}

static void unequal_sets_can_be_subsampled(void **state)
{
  (void)state;
  bm_distance_settings_t settings = {.subsample = 100, .repeats = 4, .seed = 4};
  bm_distance_result_t result, again;
  const bm_cloud_t a = {N, D, x}, b = {M, D, z};
  assert_int_equal(compute("exact", &settings, a, b, &result), BM_OK);
  assert_int_equal(compute("exact", &settings, a, b, &again), BM_OK);
  assert_true(result.w2 == again.w2 && result.error == again.error);
  assert_int_equal(result.n, 100);
  assert_true(result.spread > 0.0);
  assert_true(fabs(result.error - result.spread * sqrt(1.0 / 4.0 + 100.0 / (M - 100))) <=
              1e-14 * result.error);
  settings.seed++;
  assert_int_equal(compute("exact", &settings, a, b, &again), BM_OK);
  assert_true(result.w2 != again.w2);
}

/* The error over repeats is that of the answer over fresh sets, not only over subsamples of one.
 * The set's distance to a shifted normal, 2,000 times: the variance of that is known to √(2/1999),
 * and the mean of the squared errors (from 20 repeats each) to √(2/19/2000); together 3.3%. */
static void error_covers_the_sets_as_well_as_the_subsamples(void **state)
{
  (void)state;
  enum { sets = 2000, n = 200 };
  static double a[n], b[n], w2[sets];
  bm_random_t random = bm_random(9, BM_PURPOSE_TEST);
  double error_squared = 0.0, mean = 0.0, variance = 0.0;
  for (uint32_t s = 0; s < sets; s++) {
    for (uint32_t i = 0; i < n; i++) {
      bm_random_normals(random, s, i, 0, 1, a + i);
      bm_random_normals(random, s, i, 1, 1, b + i);
      b[i] += 3.0;
    }
    bm_distance_settings_t settings = {.subsample = n / 4, .repeats = 20, .seed = s};
    bm_distance_result_t result;
    assert_int_equal(
        compute("marginal", &settings, (bm_cloud_t){n, 1, a}, (bm_cloud_t){n, 1, b}, &result),
        BM_OK);
    w2[s] = result.w2;
    mean += result.w2 / sets;
    error_squared += result.error * result.error / sets;
  }
  for (size_t s = 0; s < sets; s++) {
    variance += (w2[s] - mean) * (w2[s] - mean) / (sets - 1);
  }
  assert_true(fabs(error_squared / variance - 1.0) < 5.5 * 0.033);
}

/* Repeats of the sliced distance have directions of their own. */
static void sliced_repeats_differ_in_directions(void **state)
{
  (void)state;
  bm_distance_settings_t settings = {.projections = 1, .subsample = N, .repeats = 2, .seed = 6};
  bm_distance_result_t result;
  double direction[D], values[2], w2[2];
  assert_int_equal(
      compute("sliced", &settings, (bm_cloud_t){N, D, x}, (bm_cloud_t){N, D, y}, &result), BM_OK);
  for (size_t r = 0; r < 2; r++) {
    const uint64_t seed = r == 0 ? 6 : bm_random_derive_seed(6, r);
    assert_int_equal(bm_sliced_directions(seed, 0, 1, D, direction), BM_OK);
    assert_int_equal(bm_sliced_w2_squared(N, N, D, x, y, 1, direction, &values[r]), BM_OK);
    assert_int_equal(bm_sliced_take_shift(N, N, D, x, y, 1, direction, &values[r]), BM_OK);
    w2[r] = sqrt(values[r]);
  }
  assert_true(w2[0] != w2[1]);
  assert_true(fabs(result.w2 - 0.5 * (w2[0] + w2[1])) <= 1e-12 * result.w2);
}

static void assert_same(double a, double b)
{
  assert_true(a == b || (isnan(a) && isnan(b)));
}

static void one_call_for_many_pairs_gives_what_single_calls_give(void **state)
{
  (void)state;
  const size_t columns[] = {D, D, D, 1}; /* in the order of the table */
  for (size_t k = 0; k < 4; k++) {
    const size_t d = columns[k];
    const bm_cloud_t a[] = {{N, d, x}, {N, d, y}, {M, d, z}, {N, d, x}};
    const bm_cloud_t b[] = {{N, d, y}, {M, d, z}, {M, d, z}, {N, d, y}};
    bm_distance_settings_t settings = {
        .projections = PROJECTIONS, .subsample = 60, .repeats = 3, .seed = 7};
    bm_distance_result_t results[4], single;
    assert_int_equal(bm_distance_batch(context, &bm_distance_table[k], &settings, 4, a, b, results),
                     BM_OK);
    for (size_t p = 0; p < 4; p++) {
      bm_distance_settings_t own = settings;
      own.seed = bm_random_derive_seed(settings.seed, p);
      assert_int_equal(bm_distance_table[k].compute(context, &own, &a[p], &b[p], &single), BM_OK);
      assert_same(results[p].w2, single.w2);
      assert_same(results[p].error, single.error);
      assert_same(results[p].spread, single.spread);
      assert_same(results[p].gap, single.gap);
      assert_int_equal(results[p].n, 60);
    }
    assert_true(results[0].w2 != results[3].w2); /* same sets, another seed */
  }
}

static void a_bad_pair_fails_the_call(void **state)
{
  (void)state;
  const bm_cloud_t a[] = {{N, D, x}, {N, D, x}}, b[] = {{N, D, y}, {M, D, z}};
  bm_distance_settings_t settings = {0};
  bm_distance_result_t results[2];
  assert_int_equal(
      bm_distance_batch(context, bm_distance_find("exact"), &settings, 2, a, b, results),
      BM_ERR_DATA);
  assert_int_equal(
      bm_distance_batch(context, bm_distance_find("exact"), &settings, 0, a, b, results), BM_OK);
}

/* Last: a stop request stays. */
static void stops_on_request(void **state)
{
  (void)state;
  bm_distance_settings_t settings = {.projections = 4};
  bm_distance_result_t result;
  bm_stop_request();
  assert_int_equal(
      compute("sliced", &settings, (bm_cloud_t){N, D, x}, (bm_cloud_t){N, D, y}, &result),
      BM_STOPPED);
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_distance_is_found_by_its_name),
      cmocka_unit_test(exact_is_the_assignment),
      cmocka_unit_test(sliced_is_the_mean_over_directions),
      cmocka_unit_test(marginal_is_that_of_the_column),
      cmocka_unit_test(what_cannot_be_done_is_refused_with_the_way_out),
      cmocka_unit_test(a_value_that_is_no_number_is_named),
      cmocka_unit_test(a_value_too_many_periods_out_is_named),
      cmocka_unit_test(more_columns_than_a_direction_can_have_are_refused),
      cmocka_unit_test(subsamples_are_without_replacement),
      cmocka_unit_test(subsamples_are_uniform),
      cmocka_unit_test(unequal_sets_can_be_subsampled),
      cmocka_unit_test(error_covers_the_sets_as_well_as_the_subsamples),
      cmocka_unit_test(sliced_repeats_differ_in_directions),
      cmocka_unit_test(one_call_for_many_pairs_gives_what_single_calls_give),
      cmocka_unit_test(a_bad_pair_fails_the_call),
      cmocka_unit_test(stops_on_request),
  };
  MPI_Init(&argc, &argv);
  int failed = cmocka_run_group_tests(tests, set_up, tear_down);
  MPI_Finalize();
  return failed;
}
