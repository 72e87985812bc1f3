/* The learned map from base points to configurations: inverse, density, Jacobian, storage. */

#include <math.h>
#include <string.h>

#include "../flow/made_flow.h"
#include "boltzmap/io/state.h"
#include "boltzmap/transport/map.h"

#define N 300 /* more than two chunks */

static const double means[] = {1.0, -3.0, 0.2, 50.0};
static const double scales[] = {2.0, 0.5, 0.01, 7.0};

/* A map of d ≤ 4 dimensions with a flow far from the identity and uneven units. */
static bm_map_t *made_map(size_t d, double gain)
{
  const bm_flow_shape_t shape = flow_shape(d, 4, 2, 12, BM_TANH);
  const bm_layout_t layout = {d / 2, 2, "nm", "1"};
  bm_chart_t *units;
  bm_map_t *map;
  assert_int_equal(
      bm_chart_create_standardised(layout.particles, layout.dimensions, means, scales, &units),
      BM_OK);
  assert_int_equal(bm_map_create(&shape, &layout, units, &map), BM_OK);
  bm_flow_t *flow = bm_map_flow(map);
  draw_reals(70, gain, bm_flow_parameter_count(flow), bm_flow_parameters(flow));
  return map;
}

/* Base points, where they go, what comes back. */
typedef struct {
  double base[N * 4], x[N * 4], back[N * 4];
  double pushed[N], pulled[N];
} trip_t;

static void make_trip(bm_map_t *map, size_t n, trip_t *trip)
{
  bm_random_t random = bm_random(71, BM_PURPOSE_TEST);
  memset(trip, 0, sizeof *trip);
  bm_random_normals(random, 0, 0, 0, n * bm_map_dimension(map), trip->base);
  bm_map_push(map, n, trip->base, trip->x, trip->pushed);
  bm_map_pull(map, n, trip->x, trip->back, trip->pulled);
}

/* Both ways pass four layers; their roundings come back magnified by the flow's condition number, which
 * is below 1e3 for these parameters. */
static void pull_undoes_push(void **state)
{
  (void)state;
  static trip_t trip;
  bm_map_t *map = made_map(4, 0.3);
  make_trip(map, N, &trip);
  double moved = 0.0;
  for (size_t i = 0; i < N * 4; i++) {
    assert_true(fabs(trip.back[i] - trip.base[i]) < 1e3 * BM_REAL_EPSILON);
    double shift = (trip.x[i] - means[i % 4]) / scales[i % 4] - trip.base[i];
    moved = fmax(moved, fabs(shift));
  }
  assert_true(moved > 0.5);
  for (size_t i = 0; i < N; i++) {
    assert_true(fabs(trip.pulled[i] - trip.pushed[i]) < 1e4 * BM_REAL_EPSILON);
  }
  bm_map_destroy(&map);
  assert_null(map);
}

static void outputs_that_are_not_wanted_may_be_null(void **state)
{
  (void)state;
  static trip_t trip;
  bm_map_t *map = made_map(4, 0.3);
  make_trip(map, N, &trip);
  static double x[N * 4];
  double log_density[N];
  bm_map_push(map, N, trip.base, x, NULL);
  assert_memory_equal(x, trip.x, sizeof x);
  bm_map_pull(map, N, trip.x, NULL, log_density);
  assert_memory_equal(log_density, trip.pulled, sizeof log_density);
  bm_map_destroy(&map);
}

/* Midpoint sums over plus or minus nine standard deviations: nothing of weight is outside, and the rule
 * is exact to far below 1e-3 for a density this smooth. */
static void density_integrates_to_one(void **state)
{
  (void)state;
  enum { CELLS = 360 };
  bm_map_t *map = made_map(2, 0.3);
  const double side = 18.0 / CELLS;
  double sum = 0.0;
  for (size_t i = 0; i < CELLS; i++) {
    double x[CELLS * 2];
    double log_density[CELLS];
    for (size_t j = 0; j < CELLS; j++) {
      x[2 * j] = means[0] + scales[0] * (-9.0 + ((double)i + 0.5) * side);
      x[2 * j + 1] = means[1] + scales[1] * (-9.0 + ((double)j + 0.5) * side);
    }
    bm_map_pull(map, CELLS, x, NULL, log_density);
    for (size_t j = 0; j < CELLS; j++) {
      sum += exp(log_density[j]) * side * scales[0] * side * scales[1];
    }
  }
  if (!(fabs(sum - 1.0) < 1e-3)) {
    fail_msg("the density sums to %.6f", sum);
  }
  bm_map_destroy(&map);
}

/* A map whose nets are zero is the standardisation undone: a normal density, known in closed form. */
static void zero_nets_give_the_scaled_normal(void **state)
{
  (void)state;
  static trip_t trip;
  bm_map_t *map = made_map(4, 0.0);
  make_trip(map, N, &trip);
  for (size_t i = 0; i < N; i++) {
    double expected = -2.0 * log(2.0 * M_PI);
    for (size_t k = 0; k < 4; k++) {
      double base = (double)(bm_real_t)trip.base[4 * i + k];
      assert_true(trip.x[4 * i + k] == means[k] + scales[k] * base);
      expected -= 0.5 * base * base + log(scales[k]);
    }
    assert_true(fabs(trip.pushed[i] - expected) < 1e-12 * (1.0 + fabs(expected)));
  }
  bm_map_destroy(&map);
}

static void a_row_does_not_depend_on_the_number_of_rows(void **state)
{
  (void)state;
  static trip_t whole;
  bm_map_t *map = made_map(4, 0.3);
  make_trip(map, N, &whole);
  static double jacobian[N * 16];
  assert_int_equal(bm_map_jacobian(map, N, whole.base, jacobian), BM_OK);
  const size_t firsts[] = {0, 0, BM_MAP_CHUNK, 2 * BM_MAP_CHUNK};
  const size_t counts[] = {1, 77, 130, N - 2 * BM_MAP_CHUNK};
  for (size_t p = 0; p < 4; p++) {
    size_t first = firsts[p];
    size_t count = counts[p];
    static trip_t part;
    static double part_jacobian[N * 16];
    bm_map_push(map, count, whole.base + first * 4, part.x, part.pushed);
    bm_map_pull(map, count, whole.x + first * 4, part.back, part.pulled);
    assert_int_equal(bm_map_jacobian(map, count, whole.base + first * 4, part_jacobian), BM_OK);
    assert_memory_equal(part.x, whole.x + first * 4, count * 4 * sizeof(double));
    assert_memory_equal(part.back, whole.back + first * 4, count * 4 * sizeof(double));
    assert_memory_equal(part.pushed, whole.pushed + first, count * sizeof(double));
    assert_memory_equal(part.pulled, whole.pulled + first, count * sizeof(double));
    assert_memory_equal(part_jacobian, jacobian + first * 16, count * 16 * sizeof(double));
  }
  bm_map_destroy(&map);
}

static void partition_deals_whole_chunks_in_order(void **state)
{
  (void)state;
  const size_t sizes[] = {0, 1, BM_MAP_CHUNK, BM_MAP_CHUNK + 1, 1000, 10000};
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
    for (int parts = 1; parts <= 9; parts++) {
      size_t next = 0;
      for (int part = 0; part < parts; part++) {
        bm_range_t range = bm_map_partition(sizes[s], parts, part);
        assert_int_equal(range.first, next);
        assert_true(range.count == 0 || range.first % BM_MAP_CHUNK == 0);
        next += range.count;
      }
      assert_int_equal(next, sizes[s]);
    }
  }
}

#ifdef BM_REAL_IS_DOUBLE
static void jacobian_is_that_of_push_in_physical_units(void **state)
{
  (void)state;
  const double h = 1e-6;
  static trip_t trip;
  bm_map_t *map = made_map(4, 0.3);
  make_trip(map, 20, &trip);
  double jacobian[20 * 16];
  assert_int_equal(bm_map_jacobian(map, 20, trip.base, jacobian), BM_OK);
  for (size_t in = 0; in < 4; in++) {
    double x[2][20 * 4];
    for (int side = 0; side < 2; side++) {
      double base[20 * 4];
      memcpy(base, trip.base, sizeof base);
      for (size_t i = 0; i < 20; i++) {
        base[4 * i + in] += side ? h : -h;
      }
      bm_map_push(map, 20, base, x[side], NULL);
    }
    for (size_t k = 0; k < 20 * 4; k++) {
      double numerical = (x[1][k] - x[0][k]) / (2.0 * h);
      assert_true(fabs(numerical - jacobian[4 * k + in]) <
                  1e-6 * (scales[k % 4] + fabs(numerical)));
    }
  }
  bm_map_destroy(&map);
}
#endif

static void a_stored_map_is_the_same_map(void **state)
{
  (void)state;
  static trip_t trip;
  static trip_t again;
  bm_map_t *map = made_map(4, 0.3);
  make_trip(map, N, &trip);
  bm_state_t *stored;
  bm_map_t *loaded;
  assert_int_equal(bm_state_create("model", &stored), BM_OK);
  assert_int_equal(bm_map_save(map, stored), BM_OK);
  assert_int_equal(bm_map_load(NULL, stored, &loaded), BM_OK);
  bm_state_destroy(&stored);
  make_trip(loaded, N, &again);
  assert_memory_equal(&again, &trip, sizeof trip);
  assert_int_equal(bm_map_layout(loaded)->particles, 2);
  assert_int_equal(bm_map_layout(loaded)->dimensions, 2);
  assert_string_equal(bm_map_layout(loaded)->length_unit, "nm");
  assert_memory_equal(bm_flow_shape(bm_map_flow(loaded)), bm_flow_shape(bm_map_flow(map)),
                      sizeof(bm_flow_shape_t));
  bm_map_destroy(&loaded);
  bm_map_destroy(&map);
}

/* A container of a map of this kind whose block "flow/sizes" is replaced. */
static bm_status_t load_made(const char *kind, const char *activation, size_t count,
                             const int64_t *sizes)
{
  bm_state_t *stored;
  bm_map_t *loaded;
  const double cap = 2.0;
  assert_int_equal(bm_state_create("model", &stored), BM_OK);
  assert_int_equal(bm_state_put_string(stored, "flow/activation", activation), BM_OK);
  assert_int_equal(bm_state_put_string(stored, "flow/kind", kind), BM_OK);
  assert_int_equal(bm_state_put_string(stored, "units/length", "nm"), BM_OK);
  assert_int_equal(bm_state_put_ints(stored, "flow/sizes", count, sizes), BM_OK);
  assert_int_equal(bm_state_put_doubles(stored, "flow/scale_cap", 1, &cap), BM_OK);
  assert_int_equal(bm_state_put_doubles(stored, "standardisation/mean", 4, means), BM_OK);
  assert_int_equal(bm_state_put_doubles(stored, "standardisation/scale", 4, scales), BM_OK);
  const bm_real_t too_few[3] = {0, 0, 0};
  assert_int_equal(bm_state_put_reals(stored, "flow/parameters", 3, too_few), BM_OK);
  bm_status_t status = bm_map_load(NULL, stored, &loaded);
  assert_null(loaded);
  bm_state_destroy(&stored);
  return status;
}

static bm_status_t load_with_sizes(size_t count, const int64_t *sizes)
{
  return load_made("realnvp", "tanh", count, sizes);
}

static void a_flow_that_is_not_known_is_refused(void **state)
{
  (void)state;
  const int64_t sizes[] = {4, 3, 2, 2, 8};
  assert_int_equal(load_made("spline", "tanh", 5, sizes), BM_ERR_DATA);
  assert_non_null(strstr(bm_status_message(), "spline"));
  assert_int_equal(load_made("realnvp", "swish", 5, sizes), BM_ERR_DATA);
  assert_non_null(strstr(bm_status_message(), "swish"));
}

/* d, layers, particles, dimensions, hidden widths */
static void sizes_that_make_no_sense_are_refused(void **state)
{
  (void)state;
  const int64_t sizes[][5] = {
      {4, 3, 2, 2, 8},       /* sensible, but there are too few parameters */
      {4, 3, 3, 2, 8},       /* not particles·dimensions */
      {1, 3, 1, 1, 8},       /* too few dimensions */
      {4, 0, 2, 2, 8},       /* no layer */
      {4, 3, 1, 4, 8},       /* four dimensions a particle */
      {4, 3, -2, -2, 8},     /* negative */
      {6, 3, 3, 2, 8},       /* another dimension than the units */
      {4, 3, 2, 2, 1 << 21}, /* absurd width */
  };
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    assert_int_equal(load_with_sizes(5, sizes[i]), BM_ERR_DATA);
  }
  assert_int_equal(load_with_sizes(4, sizes[0]), BM_ERR_DATA);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pull_undoes_push),
      cmocka_unit_test(outputs_that_are_not_wanted_may_be_null),
      cmocka_unit_test(density_integrates_to_one),
      cmocka_unit_test(zero_nets_give_the_scaled_normal),
      cmocka_unit_test(a_row_does_not_depend_on_the_number_of_rows),
      cmocka_unit_test(partition_deals_whole_chunks_in_order),
#ifdef BM_REAL_IS_DOUBLE
      cmocka_unit_test(jacobian_is_that_of_push_in_physical_units),
#endif
      cmocka_unit_test(a_stored_map_is_the_same_map),
      cmocka_unit_test(sizes_that_make_no_sense_are_refused),
      cmocka_unit_test(a_flow_that_is_not_known_is_refused),
  };
  return cmocka_run_group_tests_name("map " BM_REAL_NAME, tests, NULL, NULL);
}
