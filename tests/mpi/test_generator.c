#include "tiny_map.h"

#include <math.h>

#include "boltzmap/analyse/lipschitz.h"
#include "boltzmap/generate/generator.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/hdf5.h"

#define SEED 77

/* Rows of any stretch are those of the whole, wherever it starts and ends. */
static void a_row_does_not_depend_on_its_neighbours(bm_map_t *map)
{
  const size_t n = 700;
  double *whole;
  double *piece;
  REQUIRE(BM_ALLOC(n * (TINY_D + 1), &whole) == BM_OK);
  REQUIRE(BM_ALLOC(n * (TINY_D + 1), &piece) == BM_OK);
  REQUIRE(bm_generate_rows(map, SEED, 0, n, whole, whole + n * TINY_D) == BM_OK);
  const size_t stretches[][2] = {{0, 1},   {1, 1},   {127, 2}, {128, 128},
                                 {5, 600}, {699, 1}, {300, 0}};
  for (size_t s = 0; s < sizeof stretches / sizeof stretches[0]; s++) {
    size_t first = stretches[s][0];
    size_t count = stretches[s][1];
    REQUIRE(bm_generate_rows(map, SEED, first, count, piece, piece + count * TINY_D) == BM_OK);
    CHECK_BITS(piece, whole + first * TINY_D, count * TINY_D);
    CHECK_BITS(piece + count * TINY_D, whole + n * TINY_D + first, count);
  }
  bm_free(whole);
  bm_free(piece);
}

/* An observer's column: the sum of the coordinates. */
static void observe_sum(const void *self, size_t n, const double *x, const double *log_density,
                        double *values)
{
  (void)self;
  (void)log_density;
  for (size_t i = 0; i < n; i++) {
    values[i] = x[i * TINY_D] + x[i * TINY_D + 1] + x[i * TINY_D + 2] + x[i * TINY_D + 3];
  }
}

static const bm_observable_t observed[] = {{"sum", "1", NULL}};
static const bm_generate_observer_t observer = {observed, 1, observe_sum, NULL};

static bm_status_t generate(const bm_context_t *context, bm_map_t *map, size_t n, const char *path)
{
  const bm_generate_order_t order = {
      .seed = SEED, .n = n, .observer = &observer, .path = path, .fingerprint = 1};
  return bm_generate_file(context, map, &order, NULL);
}

static void the_file_does_not_depend_on_the_ranks(const bm_context_t *all,
                                                  const bm_context_t *alone, bm_map_t *map,
                                                  const char *folder, size_t n)
{
  char together[300];
  char single[300];
  snprintf(together, sizeof together, "%s/together.h5md", folder);
  snprintf(single, sizeof single, "%s/single.h5md", folder);
  REQUIRE(generate(all, map, n, together) == BM_OK);
  if (bm_context_is_root(all)) {
    char *bytes[2];
    size_t counts[2];
    REQUIRE(generate(alone, map, n, single) == BM_OK);
    REQUIRE(bm_file_read(together, &bytes[0], &counts[0]) == BM_OK);
    REQUIRE(bm_file_read(single, &bytes[1], &counts[1]) == BM_OK);
    CHECK(counts[0] == counts[1] && memcmp(bytes[0], bytes[1], counts[0]) == 0);
    bm_free(bytes[0]);
    bm_free(bytes[1]);
    unlink(single);
  }
  bm_samples_t *back;
  double *expected;
  REQUIRE(bm_samples_read(all, together, NULL, &back) == BM_OK);
  CHECK(back->n == n && back->d == TINY_D);
  const bm_range_t rows = back->rows;
  REQUIRE(BM_ALLOC(rows.count * (TINY_D + 1), &expected) == BM_OK);
  REQUIRE(bm_generate_rows(map, SEED, rows.first, rows.count, expected,
                           expected + rows.count * TINY_D) == BM_OK);
  CHECK_BITS(back->x, expected, rows.count * TINY_D);
  bm_samples_destroy(&back);
  REQUIRE(bm_samples_read(all, together,
                          &(bm_samples_selection_t){.dataset = "observables/log_density"},
                          &back) == BM_OK);
  CHECK_BITS(back->x, expected + rows.count * TINY_D, rows.count);
  bm_samples_destroy(&back);
  bm_free(expected);
  MPI_Barrier(all->comm);
  if (bm_context_is_root(all)) {
    unlink(together);
  }
}

static void lipschitz_constants_do_not_depend_on_the_ranks(const bm_context_t *all,
                                                           const bm_context_t *alone, bm_map_t *map,
                                                           size_t n)
{
  bm_lipschitz_t together;
  bm_lipschitz_t single;
  REQUIRE(bm_lipschitz(all, map, SEED, n, NULL, &together) == BM_OK);
  REQUIRE(bm_lipschitz(alone, map, SEED, n, NULL, &single) == BM_OK);
  CHECK_BITS(&together, &single, 1);
  CHECK(isfinite(single.max) && isfinite(single.inverse_max));
  CHECK(single.max >= single.max_sampled && single.max_sampled >= single.p99);
  CHECK(single.inverse_max >= single.inverse_max_sampled && single.inverse_max_sampled > 0.0);
}

int main(int argc, char **argv)
{
  bm_context_t *all;
  bm_context_t *alone;
  char folder[256];
  check_start(&argc, &argv, &all, &alone);
  bm_hdf5_quiet();
  check_folder(all, folder);
  double *x = tiny_data(200);
  bm_map_t *map = tiny_map(200, x);
  tiny_map_shake(map);
  a_row_does_not_depend_on_its_neighbours(map);
  /* in the last one every rank makes two pieces, of 1 MiB of coordinates at most */
  const size_t pieces = (size_t)all->size * ((1 << 20) / (TINY_D * sizeof(double)) + 3000);
  const size_t sizes[] = {1, 129, 1000, 20000, pieces};
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
    the_file_does_not_depend_on_the_ranks(all, alone, map, folder, sizes[s]);
  }
  lipschitz_constants_do_not_depend_on_the_ranks(all, alone, map, 1);
  lipschitz_constants_do_not_depend_on_the_ranks(all, alone, map, 700);
  bm_map_destroy(&map);
  bm_free(x);
  check_folder_end(all, folder);
  return check_end(&all, &alone);
}
