/* Pairs of base points and rows: the monotone map in one dimension, no better pairing of any two in three, new base
 * points and rows where they are renewed, and the draws of a step. */

#include "boltzmap/train/pairs.h"

#include <math.h>
#include <string.h>

#include "../flow/made_flow.h"

#define SEED 5
#define WALKERS 10
#define ROWS 200
#define HELD_OUT 20
#define PAIRS 60 /* fewer than there are rows */
#define D_MAX 3

/* Rows of so many columns, and pairs of them. */
typedef struct {
  bm_context_t *context;
  bm_chart_t *chart;
  double *x; /* [ROWS][d] */
  bm_rows_t *rows;
  bm_pairs_t *pairs;
} made_t;

static made_t make_smoothed(size_t d, size_t count, int64_t renewed, size_t smoothed)
{
  made_t made;
  const double mean[D_MAX] = {0.0};
  const double scale[D_MAX] = {1.0, 1.0, 1.0};
  const bm_pairs_settings_t settings = {count, renewed, smoothed};
  assert_int_equal(bm_context_create(MPI_COMM_SELF, &made.context), BM_OK);
  assert_int_equal(bm_chart_create_standardised(1, d, mean, scale, &made.chart), BM_OK);
  made.x = zero_doubles(ROWS * d);
  for (size_t i = 0; i < ROWS; i++) {
    bm_random_normals(bm_random(6, BM_PURPOSE_TEST), (uint32_t)i, 0, 0, d, made.x + i * d);
    made.x[i * d] = exp(made.x[i * d]); /* far from the base */
  }
  const bm_training_data_t data = {.n = ROWS, .d = d, .walkers = WALKERS, .x = made.x};
  assert_int_equal(bm_rows_create(made.chart, &data, HELD_OUT, SEED, 0, &made.rows), BM_OK);
  const bm_pairs_source_t source = {made.rows, made.chart, NULL, 1, 0.0, 1};
  assert_int_equal(bm_pairs_create(made.context, &settings, &source, SEED, &made.pairs), BM_OK);
  return made;
}

static made_t make(size_t d, size_t count, int64_t renewed)
{
  return make_smoothed(d, count, renewed, 1);
}

static void unmake(made_t *made)
{
  bm_pairs_destroy(&made->pairs);
  bm_rows_destroy(&made->rows);
  bm_free(made->x);
  bm_chart_destroy(&made->chart);
  bm_context_destroy(&made->context);
}

static double square_of_way(size_t d, const bm_real_t *a, const bm_real_t *b)
{
  double square = 0.0;
  for (size_t k = 0; k < d; k++) {
    square += ((double)a[k] - (double)b[k]) * ((double)a[k] - (double)b[k]);
  }
  return square;
}

/* No two pairs would be shorter with their targets exchanged: in one dimension that is the order. */
static void check_optimal(size_t n, size_t d, const bm_real_t *base, const bm_real_t *target)
{
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < i; j++) {
      const double kept = square_of_way(d, base + i * d, target + i * d) +
                          square_of_way(d, base + j * d, target + j * d);
      const double exchanged = square_of_way(d, base + i * d, target + j * d) +
                               square_of_way(d, base + j * d, target + i * d);
      assert_true(kept <= exchanged + 1e-6);
    }
  }
}

static void held_out_rows_have_the_pairing_that_is_shortest(void **state)
{
  (void)state;
  for (size_t d = 1; d <= D_MAX; d += 2) {
    made_t made = make(d, 0, 0);
    bm_real_t *base = zero_reals(2 * HELD_OUT * d);
    bm_real_t *target = zero_reals(2 * HELD_OUT * d);
    double found = 0.0;
    double expected = 0.0;
    bm_pairs_held_out(made.pairs, (bm_range_t){0, 2 * HELD_OUT}, base, target);
    check_optimal(HELD_OUT, d, base, target);
    for (size_t i = 0; i < HELD_OUT * d; i++) {
      found += (double)target[i];
      expected += made.x[(ROWS - HELD_OUT) * d + i];
    }
    assert_true(fabs(found - expected) < 1e-4);                                  /* all of them */
    assert_memory_equal(base, base + HELD_OUT * d, HELD_OUT * d * sizeof *base); /* and again */
    assert_memory_equal(target, target + HELD_OUT * d, HELD_OUT * d * sizeof *target);
    bm_free(base);
    bm_free(target);
    unmake(&made);
  }
}

/* The pairs that many draws find, in the order of their first number. */
typedef struct {
  size_t count;
  bm_real_t base[PAIRS], target[PAIRS];
} found_t;

static found_t find_pairs(made_t *made, int64_t epoch, int64_t step)
{
  found_t found = {.count = 0};
  bm_real_t base[20 * PAIRS];
  bm_real_t target[20 * PAIRS];
  assert_int_equal(bm_pairs_begin_epoch(made->pairs, epoch), BM_OK);
  bm_pairs_draw(made->pairs, step, (bm_range_t){0, 20 * PAIRS}, base, target);
  for (size_t i = 0; i < 20 * PAIRS; i++) {
    size_t p = 0;
    while (p < found.count && found.base[p] < base[i]) {
      p++;
    }
    if (p < found.count && found.base[p] == base[i]) {
      assert_true(found.target[p] == target[i]);
      continue;
    }
    assert_true(found.count < PAIRS);
    memmove(found.base + p + 1, found.base + p, (found.count - p) * sizeof *base);
    memmove(found.target + p + 1, found.target + p, (found.count - p) * sizeof *target);
    found.base[p] = base[i];
    found.target[p] = target[i];
    found.count++;
  }
  return found;
}

static void draws_are_of_all_pairs_and_of_the_step(void **state)
{
  (void)state;
  made_t made = make(1, PAIRS, 0);
  bm_real_t some[2][4];
  bm_real_t rest[2][4];
  found_t found = find_pairs(&made, 0, 7);
  assert_int_equal(found.count, PAIRS);
  check_optimal(PAIRS, 1, found.base, found.target);
  bm_pairs_draw(made.pairs, 7, (bm_range_t){0, 4}, some[0], some[1]);
  bm_pairs_draw(made.pairs, 7, (bm_range_t){2, 2}, rest[0], rest[1]);
  assert_memory_equal(some[0] + 2, rest[0], 2 * sizeof(bm_real_t));
  assert_memory_equal(some[1] + 2, rest[1], 2 * sizeof(bm_real_t));
  bm_pairs_draw(made.pairs, 8, (bm_range_t){0, 4}, rest[0], rest[1]);
  assert_memory_not_equal(some[0], rest[0], sizeof some[0]);
  unmake(&made);
}

static void pairs_are_made_anew_where_they_are_to_be(void **state)
{
  (void)state;
  made_t made = make(1, PAIRS, 3);
  made_t fixed = make(1, PAIRS, 0);
  const found_t first = find_pairs(&made, 0, 7);
  const found_t third = find_pairs(&made, 2, 7);
  const found_t fourth = find_pairs(&made, 3, 7);
  const found_t of_fixed = find_pairs(&fixed, 3, 7);
  assert_memory_equal(first.base, third.base, sizeof first.base);
  assert_memory_not_equal(first.base, fourth.base, sizeof first.base);
  assert_memory_not_equal(first.target, fourth.target, sizeof first.target);
  assert_memory_equal(first.target, of_fixed.target, sizeof first.target);
  const found_t again = find_pairs(&made, 2, 7); /* as a restart from an older checkpoint has it */
  assert_memory_equal(first.base, again.base, sizeof first.base);
  unmake(&fixed);
  unmake(&made);
}

/* On a line the nearest base points are neighbours in their order, and the held-out pairs stay. */
static void smoothed_targets_are_means_over_the_nearest_base_points(void **state)
{
  (void)state;
  made_t plain = make(1, PAIRS, 0);
  made_t smooth = make_smoothed(1, PAIRS, 0, 5);
  const found_t as_assigned = find_pairs(&plain, 0, 7);
  const found_t found = find_pairs(&smooth, 0, 7);
  bm_real_t held_out[2][2][HELD_OUT];
  assert_int_equal(found.count, PAIRS);
  assert_memory_equal(found.base, as_assigned.base, sizeof found.base);
  for (size_t i = 0; i < PAIRS; i++) {
    size_t first = i;
    size_t end = i + 1;
    double sum = 0.0;
    while (end - first < 5) { /* the nearer of the next ones on both sides */
      const double left =
          first > 0 ? (double)found.base[i] - (double)found.base[first - 1] : INFINITY;
      const double right = end < PAIRS ? (double)found.base[end] - (double)found.base[i] : INFINITY;
      first -= left < right;
      end += left >= right;
    }
    for (size_t j = first; j < end; j++) {
      sum += (double)as_assigned.target[j];
    }
    assert_true(fabs((double)found.target[i] - sum / 5.0) < 1e-5);
  }
  bm_pairs_held_out(plain.pairs, (bm_range_t){0, HELD_OUT}, held_out[0][0], held_out[0][1]);
  bm_pairs_held_out(smooth.pairs, (bm_range_t){0, HELD_OUT}, held_out[1][0], held_out[1][1]);
  assert_memory_equal(held_out[0], held_out[1], sizeof held_out[0]);
  unmake(&smooth);
  unmake(&plain);
}

int main(int argc, char **argv)
{
  MPI_Init(&argc, &argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(held_out_rows_have_the_pairing_that_is_shortest),
      cmocka_unit_test(draws_are_of_all_pairs_and_of_the_step),
      cmocka_unit_test(pairs_are_made_anew_where_they_are_to_be),
      cmocka_unit_test(smoothed_targets_are_means_over_the_nearest_base_points),
  };
  int failed = cmocka_run_group_tests_name("pairs " BM_REAL_NAME, tests, NULL, NULL);
  MPI_Finalize();
  return failed;
}
