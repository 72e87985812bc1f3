/* Generated samples: functions of map, seed and index alone. */

#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../flow/made_flow.h"
#include "boltzmap/generate/generator.h"

#define D 4
#define N 500
#define SEED 23

static const double means[D] = {1.0, -3.0, 0.2, 50.0};
static const double scales[D] = {2.0, 0.5, 0.01, 7.0};

static bm_context_t *context;

static bm_map_t *made_map(double gain)
{
  const bm_flow_shape_t shape = flow_shape(D, 4, 2, 12, BM_RELU);
  const bm_layout_t layout = {2, 2, "nm", "1"};
  bm_chart_t *units;
  bm_map_t *map;
  assert_int_equal(
      bm_chart_create_standardised(layout.particles, layout.dimensions, means, scales, &units),
      BM_OK);
  assert_int_equal(bm_map_create(&shape, &layout, units, &map), BM_OK);
  bm_flow_t *flow = bm_map_flow(map);
  draw_reals(90, gain, bm_flow_parameter_count(flow), bm_flow_parameters(flow));
  return map;
}

static void a_sample_does_not_depend_on_what_else_is_asked_for(void **state)
{
  (void)state;
  static double whole[N * D];
  static double whole_density[N];
  bm_map_t *map = made_map(0.3);
  assert_int_equal(bm_generate_rows(map, SEED, 0, N, whole, whole_density), BM_OK);
  const size_t firsts[] = {0, 0, 77, BM_MAP_CHUNK, 250, N - 1};
  const size_t counts[] = {0, 1, 50, 200, 250, 1};
  for (size_t p = 0; p < sizeof counts / sizeof counts[0]; p++) {
    size_t first = firsts[p];
    static double x[N * D];
    double log_density[N];
    assert_int_equal(bm_generate_rows(map, SEED, first, counts[p], x, log_density), BM_OK);
    assert_memory_equal(x, whole + first * D, counts[p] * D * sizeof *x);
    assert_memory_equal(log_density, whole_density + first, counts[p] * sizeof *log_density);
  }
  bm_map_destroy(&map);
}

static void samples_are_the_pushed_base_points(void **state)
{
  (void)state;
  static double base[N * D];
  static double x[2][N * D];
  double log_density[2][N];
  bm_map_t *map = made_map(0.3);
  bm_generate_base(SEED, 0, N, D, base);
  bm_map_push(map, N, base, x[0], log_density[0]);
  assert_int_equal(bm_generate_rows(map, SEED, 0, N, x[1], log_density[1]), BM_OK);
  assert_memory_equal(x[0], x[1], sizeof x[0]);
  assert_memory_equal(log_density[0], log_density[1], sizeof log_density[0]);
  bm_map_destroy(&map);
}

/* n sums of standard normals, and of their squares and neighbours' products: standard errors 1/√n, √2/√n
 * and 1/√n. */
static void base_points_are_independent_standard_normals(void **state)
{
  (void)state;
  enum { ROWS = 50000 };
  double *base = zero_doubles(ROWS * D);
  const size_t firsts[] = {0, (size_t)UINT32_MAX - 1000};
  for (size_t f = 0; f < 2; f++) {
    bm_generate_base(SEED, firsts[f], ROWS, D, base);
    double n = ROWS * D;
    double sum = 0.0;
    double squares = 0.0;
    double products[2] = {0.0, 0.0};
    for (size_t i = 0; i < ROWS * D; i++) {
      sum += base[i];
      squares += base[i] * base[i];
      products[0] += i > 0 ? base[i] * base[i - 1] : 0.0;
      products[1] += i >= D ? base[i] * base[i - D] : 0.0;
    }
    assert_true(fabs(sum / n) < 5.5 / sqrt(n));
    assert_true(fabs(squares / n - 1.0) < 5.5 * sqrt(2.0 / n));
    assert_true(fabs(products[0] / n) < 5.5 / sqrt(n));
    assert_true(fabs(products[1] / n) < 5.5 / sqrt(n));
  }
  bm_free(base);
}

static void another_seed_gives_other_points(void **state)
{
  (void)state;
  double base[2][D];
  bm_generate_base(SEED, 5, 1, D, base[0]);
  bm_generate_base(SEED + 1, 5, 1, D, base[1]);
  for (size_t k = 0; k < D; k++) {
    assert_true(base[0][k] != base[1][k]);
  }
}

/* The observer's column: log density plus the first coordinate. */
static void observe_sum(const void *self, size_t n, const double *x, const double *log_density,
                        double *values)
{
  const double *factor = self;
  for (size_t i = 0; i < n; i++) {
    values[i] = log_density[i] + *factor * x[i * D];
  }
}

static double *read_rows(const char *path, const char *dataset, size_t n, size_t d)
{
  const bm_samples_selection_t selection = {.dataset = dataset};
  bm_samples_t *samples;
  bm_status_t status = bm_samples_read(context, path, &selection, &samples);
  if (status != BM_OK) {
    fail_msg("%s", bm_status_message());
  }
  assert_int_equal(samples->n, n);
  assert_int_equal(samples->d, d);
  double *x;
  assert_int_equal(bm_samples_replicate(context, samples, &x), BM_OK);
  bm_samples_destroy(&samples);
  return x;
}

static void check_file(bm_map_t *map, const char *path, size_t n)
{
  const double factor = 2.0;
  const bm_observable_t names[] = {{"sum", "1", NULL}};
  const bm_generate_observer_t observer = {names, 1, observe_sum, &factor};
  const bm_provenance_t provenance = {"seed", "23"};
  const bm_generate_order_t order = {.seed = SEED,
                                     .n = n,
                                     .observer = &observer,
                                     .path = path,
                                     .provenance = &provenance,
                                     .provenance_count = 1,
                                     .fingerprint = 99};
  if (bm_generate_file(context, map, &order, NULL) != BM_OK) {
    fail_msg("%s", bm_status_message());
  }
  double *x = zero_doubles(n * D);
  double *log_density = zero_doubles(n);
  assert_int_equal(bm_generate_rows(map, SEED, 0, n, x, log_density), BM_OK);
  double *stored = read_rows(path, NULL, n, D);
  assert_memory_equal(stored, x, n * D * sizeof *x);
  bm_free(stored);
  stored = read_rows(path, "/observables/log_density/value", n, 1);
  assert_memory_equal(stored, log_density, n * sizeof *x);
  bm_free(stored);
  stored = read_rows(path, "/observables/sum/value", n, 1);
  for (size_t i = 0; i < n; i++) {
    assert_true(stored[i] == log_density[i] + factor * x[i * D]);
  }
  bm_free(stored);
  assert_int_equal(bm_samples_fingerprint(context, path), 99);
  bm_free(log_density);
  bm_free(x);
}

static char folder[64];
static char path_of_file[96];

static int make_folder(void **state)
{
  (void)state;
  const char *parent = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%.40s/generator_XXXXXX", parent == NULL ? "/tmp" : parent);
  if (mkdtemp(folder) == NULL) {
    return -1;
  }
  snprintf(path_of_file, sizeof path_of_file, "%s/generated.h5md", folder);
  return 0;
}

static int remove_folder(void **state)
{
  (void)state;
  unlink(path_of_file);
  return rmdir(folder);
}

/* The last size takes two pieces: one of 1 MiB of coordinates, and seven rows. */
static void a_file_holds_the_samples_of_its_rows(void **state)
{
  (void)state;
  bm_map_t *map = made_map(0.3);
  const size_t sizes[] = {1, 300, (1 << 20) / (D * sizeof(double)) + 7};
  for (size_t i = 0; i < 3; i++) {
    check_file(map, path_of_file, sizes[i]);
  }
  bm_map_destroy(&map);
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_sample_does_not_depend_on_what_else_is_asked_for),
      cmocka_unit_test(samples_are_the_pushed_base_points),
      cmocka_unit_test(base_points_are_independent_standard_normals),
      cmocka_unit_test(another_seed_gives_other_points),
      cmocka_unit_test_setup_teardown(a_file_holds_the_samples_of_its_rows, make_folder,
                                      remove_folder),
  };
  MPI_Init(&argc, &argv);
  int failed = 1;
  if (bm_context_create(MPI_COMM_SELF, &context) == BM_OK) {
    failed = cmocka_run_group_tests_name("generator " BM_REAL_NAME, tests, NULL, NULL);
  }
  bm_context_destroy(&context);
  MPI_Finalize();
  return failed;
}
