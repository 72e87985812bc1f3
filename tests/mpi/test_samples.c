#include "check.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>

#include "boltzmap/io/file.h"
#include "boltzmap/io/hdf5.h"
#include "boltzmap/io/samples.h"

/* Column k of row i, and its observables. */
static double value_of(size_t i, size_t k)
{
  return sqrt((double)(i * 7 + k)) - 3.0;
}

static bm_samples_t *made_samples(const bm_context_t *context, size_t n, size_t d, size_t walkers)
{
  bm_samples_t *samples;
  REQUIRE(bm_samples_create(context, n, d, walkers, &samples) == BM_OK);
  for (size_t i = 0; i < samples->rows.count; i++) {
    for (size_t k = 0; k < d; k++) {
      samples->x[i * d + k] = value_of(samples->rows.first + i, k);
    }
  }
  return samples;
}

static const bm_provenance_t provenance[] = {{"seed", "7"}};

static void write_set(const bm_context_t *context, const char *path, size_t n, size_t walkers,
                      int single_precision)
{
  bm_samples_t *samples = made_samples(context, n, 4, walkers);
  double *energies;
  REQUIRE(BM_ALLOC(samples->rows.count, &energies) == BM_OK);
  for (size_t i = 0; i < samples->rows.count; i++) {
    energies[i] = value_of(samples->rows.first + i, 9);
  }
  const bm_observable_t observables[] = {{"energy", "1", energies}};
  const bm_samples_content_t content = {.particles = 2,
                                        .dimensions = 2,
                                        .length_unit = "nm",
                                        .step_stride = 3,
                                        .time_stride_ps = 0.5,
                                        .single_precision = single_precision,
                                        .observables = observables,
                                        .observable_count = 1,
                                        .provenance = provenance,
                                        .provenance_count = 1,
                                        .fingerprint = 42};
  REQUIRE(bm_samples_write(context, path, samples, &content) == BM_OK);
  bm_free(energies);
  bm_samples_destroy(&samples);
}

/* Rank 0 writes the second file by itself. */
static void the_file_does_not_depend_on_the_ranks(const bm_context_t *all,
                                                  const bm_context_t *alone, const char *folder,
                                                  size_t n, size_t walkers)
{
  char together[300];
  char single[300];
  snprintf(together, sizeof together, "%s/together.h5md", folder);
  snprintf(single, sizeof single, "%s/single.h5md", folder);
  for (int single_precision = 0; single_precision < 2; single_precision++) {
    write_set(all, together, n, walkers, single_precision);
    if (bm_context_is_root(all)) {
      write_set(alone, single, n, walkers, single_precision);
      char *bytes[2];
      size_t counts[2];
      REQUIRE(bm_file_read(together, &bytes[0], &counts[0]) == BM_OK);
      REQUIRE(bm_file_read(single, &bytes[1], &counts[1]) == BM_OK);
      CHECK(counts[0] == counts[1] && memcmp(bytes[0], bytes[1], counts[0]) == 0);
      bm_seal_t seal;
      CHECK(bm_file_check_seal(together, &seal) == BM_OK && seal == BM_SEAL_GOOD);
      bm_free(bytes[0]);
      bm_free(bytes[1]);
      unlink(single);
    }
    CHECK(bm_samples_fingerprint(all, together) == 42);
  }
  MPI_Barrier(all->comm);
  if (bm_context_is_root(all)) {
    unlink(together);
  }
}

/* Each rank gets the rows of its part; together they are the whole set. */
static void rows_come_back_on_any_number_of_ranks(const bm_context_t *all, const char *folder,
                                                  size_t n, size_t walkers)
{
  char path[300];
  snprintf(path, sizeof path, "%s/set.h5md", folder);
  write_set(all, path, n, walkers, 0);
  bm_samples_t *expected = made_samples(all, n, 4, walkers);
  bm_samples_t *back;
  REQUIRE(bm_samples_read(all, path, NULL, &back) == BM_OK);
  CHECK(back->n == n && back->d == 4 && back->walkers == walkers);
  CHECK(back->rows.first == expected->rows.first && back->rows.count == expected->rows.count);
  CHECK_BITS(back->x, expected->x, back->rows.count * 4);
  double *whole;
  double *column;
  REQUIRE(bm_samples_replicate(all, back, &whole) == BM_OK);
  for (size_t i = 0; i < n * 4; i++) {
    const double value = value_of(i / 4, i % 4);
    CHECK_BITS(&whole[i], &value, 1);
  }
  bm_samples_destroy(&back);
  REQUIRE(bm_samples_read(all, path, &(bm_samples_selection_t){.dataset = "observables/energy"},
                          &back) == BM_OK);
  REQUIRE(bm_samples_replicate(all, back, &column) == BM_OK);
  for (size_t i = 0; i < n; i++) {
    const double value = value_of(i, 9);
    CHECK_BITS(&column[i], &value, 1);
  }
  bm_free(column);
  bm_free(whole);
  bm_samples_destroy(&back);
  bm_samples_destroy(&expected);
  MPI_Barrier(all->comm);
  if (bm_context_is_root(all)) {
    unlink(path);
  }
}

/* Ranks bring pieces of unlike lengths, and some none. */
static void a_stream_of_unlike_pieces_is_whole(const bm_context_t *all, const char *folder)
{
  char path[300];
  const size_t n = 100;
  snprintf(path, sizeof path, "%s/stream.h5md", folder);
  const bm_samples_content_t content = {.particles = 4, .dimensions = 1, .length_unit = "nm"};
  bm_samples_writer_t *writer;
  REQUIRE(bm_samples_writer_create(all, path, n, 4, 1, &content, &writer) == BM_OK);
  size_t next = 0;
  for (int round = 0; next < n; round++) {
    size_t piece = (size_t)(3 + 5 * round);
    piece = piece < n - next ? piece : n - next;
    int turn = round % all->size == all->rank;
    bm_range_t rows = {next, turn ? piece : 0};
    double x[400];
    for (size_t i = 0; i < rows.count * 4; i++) {
      x[i] = value_of(next + i / 4, i % 4);
    }
    REQUIRE(bm_samples_writer_write(writer, rows, turn ? x : NULL, NULL) == BM_OK);
    next += piece;
  }
  REQUIRE(bm_samples_writer_finish(&writer) == BM_OK);
  bm_samples_t *back;
  REQUIRE(bm_samples_read(all, path, NULL, &back) == BM_OK);
  bm_samples_t *expected = made_samples(all, n, 4, 1);
  CHECK_BITS(back->x, expected->x, back->rows.count * 4);
  bm_samples_destroy(&expected);
  bm_samples_destroy(&back);
  MPI_Barrier(all->comm);
  if (bm_context_is_root(all)) {
    unlink(path);
  }
}

/* NaN in the last row, which the last rank holds: all refuse with the same words. */
static void a_bad_row_of_one_rank_is_refused_by_all(const bm_context_t *all, const char *folder)
{
  char path[300];
  snprintf(path, sizeof path, "%s/nan.h5md", folder);
  bm_samples_t *samples = made_samples(all, 24, 4, 1);
  if (all->rank == all->size - 1) {
    samples->x[samples->rows.count * 4 - 2] = NAN;
  }
  const bm_samples_content_t content = {.particles = 2, .dimensions = 2, .length_unit = "nm"};
  REQUIRE(bm_samples_write(all, path, samples, &content) == BM_OK);
  bm_samples_destroy(&samples);
  CHECK(bm_samples_read(all, path, NULL, &samples) == BM_ERR_DATA);
  CHECK(samples == NULL);
  CHECK(strstr(bm_status_message(), "row 23, column 2") != NULL);
  MPI_Barrier(all->comm);
  if (bm_context_is_root(all)) {
    CHECK(truncate(path, 3000) == 0);
  }
  MPI_Barrier(all->comm);
  CHECK(bm_samples_read(all, path, NULL, &samples) == BM_ERR_DATA);
  CHECK(strstr(bm_status_message(), "damaged") != NULL);
  MPI_Barrier(all->comm);
  if (bm_context_is_root(all)) {
    unlink(path);
  }
  MPI_Barrier(all->comm);
  CHECK(bm_samples_read(all, path, NULL, &samples) == BM_ERR_IO);
}

/* A limit on the size of files stands in for a full disk: nobody hangs, and nothing is left. */
static void a_full_disk_is_told_to_all(const bm_context_t *all, const char *folder)
{
  char path[300];
  struct rlimit limit;
  snprintf(path, sizeof path, "%s/full.h5md", folder);
  bm_samples_t *samples = made_samples(all, 20000, 4, 1);
  const bm_samples_content_t content = {.particles = 2, .dimensions = 2, .length_unit = "nm"};
  signal(SIGXFSZ, SIG_IGN);
  REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
  const rlim_t old = limit.rlim_cur;
  const rlim_t limits[] = {0, 1000, 500000};
  for (int i = 0; i < 3; i++) {
    limit.rlim_cur = bm_context_is_root(all) ? limits[i] : old;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(bm_samples_write(all, path, samples, &content) == BM_ERR_IO);
    CHECK(strstr(bm_status_message(), path) != NULL);
    limit.rlim_cur = old;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(!bm_file_exists(path));
  }
  bm_samples_destroy(&samples);
}

int main(int argc, char **argv)
{
  bm_context_t *all;
  bm_context_t *alone;
  char folder[256];
  check_start(&argc, &argv, &all, &alone);
  bm_hdf5_quiet();
  check_folder(all, folder);
  const size_t shapes[][2] = {{60, 1}, {60, 5}, {3, 3}, {1, 1}, {1000, 20}};
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
    the_file_does_not_depend_on_the_ranks(all, alone, folder, shapes[s][0], shapes[s][1]);
    rows_come_back_on_any_number_of_ranks(all, folder, shapes[s][0], shapes[s][1]);
  }
  a_stream_of_unlike_pieces_is_whole(all, folder);
  a_bad_row_of_one_rank_is_refused_by_all(all, folder);
  a_full_disk_is_told_to_all(all, folder);
  check_folder_end(all, folder);
  return check_end(&all, &alone);
}
