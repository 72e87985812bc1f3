#include "scratch.h"

#include <hdf5.h>
#include <math.h>
#include <mpi.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/hdf5.h"
#include "boltzmap/io/samples.h"

#define ROWS 5
#define COLUMNS 4

static bm_context_t *context;

/* Group set-up: the files of another program are made once. */
static int open_all(void **state)
{
  char command[1200];
  const char *python = getenv("PYTHON");
  if (scratch_open(state) != 0 || bm_context_create(MPI_COMM_WORLD, &context) != BM_OK) {
    return 1;
  }
  snprintf(command, sizeof command, "%s %s make %s", python != NULL ? python : "/usr/bin/python3",
           beside_tests("io/hdf5_files.py"), scratch_folder);
  return system(command);
}

static int close_all(void **state)
{
  bm_context_destroy(&context);
  return scratch_close(state);
}

/* Frames of two particles in the plane: x = frame + column/10. */
static bm_samples_t *made_samples(size_t walkers)
{
  bm_samples_t *samples;
  assert_int_equal(bm_samples_create(context, ROWS, COLUMNS, walkers, &samples), BM_OK);
  assert_int_equal(samples->rows.first, 0);
  assert_int_equal(samples->rows.count, ROWS);
  for (size_t i = 0; i < ROWS * COLUMNS; i++) {
    samples->x[i] = (double)(i / COLUMNS) + (double)(i % COLUMNS) / 10.0;
  }
  return samples;
}

static const double energies[ROWS] = {-0.0, -1.0, -2.0, -3.0, -4.0};
static const double distances[ROWS] = {0.0, 2.0, 4.0, 6.0, 8.0};
static const bm_observable_t observables[] = {{"energy", "kJ/mol", energies},
                                              {"r", "1", distances}};
static const bm_provenance_t provenance[] = {{"seed", "7"}, {"deck", "a = 1;\n"}};

static bm_samples_content_t content_of_test(void)
{
  return (bm_samples_content_t){.particles = 2,
                                .dimensions = 2,
                                .length_unit = "nm",
                                .step_stride = 10,
                                .time_stride_ps = 0.25,
                                .observables = observables,
                                .observable_count = 2,
                                .provenance = provenance,
                                .provenance_count = 2,
                                .fingerprint = 0xdeadbeef};
}

static void write_samples(const char *path)
{
  bm_samples_t *samples = made_samples(5);
  bm_samples_content_t content = content_of_test();
  assert_int_equal(bm_samples_write(context, path, samples, &content), BM_OK);
  bm_samples_destroy(&samples);
  assert_null(samples);
}

static bm_samples_t *read_samples(const char *path, const bm_samples_selection_t *selection)
{
  bm_samples_t *samples;
  bm_status_t status = bm_samples_read(context, path, selection, &samples);
  if (status != BM_OK) {
    print_error("%s\n", bm_status_message());
  }
  assert_int_equal(status, BM_OK);
  return samples;
}

static void assert_refused(const char *path, const bm_samples_selection_t *selection,
                           bm_status_t expected, const char *text)
{
  bm_samples_t *samples;
  assert_int_equal(bm_samples_read(context, path, selection, &samples), expected);
  assert_null(samples);
  assert_message_has(path);
  assert_message_has(text);
}

static void a_set_comes_back_bit_for_bit(void **state)
{
  (void)state;
  const char *path = scratch("set.h5md");
  bm_samples_t *expected = made_samples(5);
  size_t entries = scratch_entries(0);
  write_samples(path);
  assert_int_equal(scratch_entries(0), entries + 1);
  bm_seal_t seal;
  assert_int_equal(bm_file_check_seal(path, &seal), BM_OK);
  assert_int_equal(seal, BM_SEAL_GOOD);
  bm_samples_t *back = read_samples(path, NULL);
  assert_int_equal(back->n, ROWS);
  assert_int_equal(back->d, COLUMNS);
  assert_int_equal(back->walkers, 5);
  assert_memory_equal(back->x, expected->x, ROWS * COLUMNS * sizeof(double));
  bm_samples_destroy(&back);
  bm_samples_destroy(&expected);
  assert_true(bm_samples_fingerprint(context, path) == 0xdeadbeef);
  assert_true(bm_samples_fingerprint(context, scratch("missing")) == 0);
  assert_true(bm_samples_fingerprint(context, scratch("rows.h5")) == 0);
  unlink(path);
}

static void another_reader_finds_h5md(void **state)
{
  (void)state;
  const char *path = scratch("h5py.h5md");
  const char *python = getenv("PYTHON");
  char command[1200];
  write_samples(path);
  snprintf(command, sizeof command, "%s %s check %s", python != NULL ? python : "/usr/bin/python3",
           beside_tests("io/hdf5_files.py"), path);
  assert_int_equal(system(command), 0);
  unlink(path);
}

static void observables_come_back_bit_for_bit(void **state)
{
  (void)state;
  const char *path = scratch("observables.h5md");
  write_samples(path);
  const char *const names[] = {"observables/energy", "/observables/r/value"};
  const double *const expected[] = {energies, distances};
  for (int i = 0; i < 2; i++) {
    const bm_samples_selection_t selection = {.dataset = names[i]};
    bm_samples_t *back = read_samples(path, &selection);
    assert_int_equal(back->n, ROWS);
    assert_int_equal(back->d, 1);
    assert_memory_equal(back->x, expected[i], sizeof energies);
    bm_samples_destroy(&back);
  }
  unlink(path);
}

static void single_precision_rounds_once(void **state)
{
  (void)state;
  const char *path = scratch("single.h5md");
  bm_samples_t *samples = made_samples(1);
  bm_samples_content_t content = content_of_test();
  content.single_precision = 1;
  assert_int_equal(bm_samples_write(context, path, samples, &content), BM_OK);
  bm_samples_t *back = read_samples(path, NULL);
  assert_int_equal(back->walkers, 1);
  for (size_t i = 0; i < ROWS * COLUMNS; i++) {
    const double rounded = (double)(float)samples->x[i];
    assert_memory_equal(&back->x[i], &rounded, sizeof rounded);
  }
  bm_samples_destroy(&back);
  bm_samples_destroy(&samples);
  unlink(path);
}

/* One, two and three components a particle, with and without padding. */
static void every_layout_comes_back(void **state)
{
  (void)state;
  const char *path = scratch("layout.h5md");
  const size_t layouts[][2] = {{4, 1}, {2, 2}, {1, 3}, {3, 3}, {1, 1}};
  for (size_t l = 0; l < sizeof layouts / sizeof layouts[0]; l++) {
    size_t d = layouts[l][0] * layouts[l][1];
    bm_samples_t *samples;
    assert_int_equal(bm_samples_create(context, 7, d, 1, &samples), BM_OK);
    for (size_t i = 0; i < 7 * d; i++) {
      samples->x[i] = sqrt((double)i);
    }
    const bm_samples_content_t content = {
        .particles = layouts[l][0], .dimensions = layouts[l][1], .length_unit = "nm"};
    assert_int_equal(bm_samples_write(context, path, samples, &content), BM_OK);
    bm_samples_t *back = read_samples(path, NULL);
    assert_int_equal(back->d, d);
    assert_memory_equal(back->x, samples->x, 7 * d * sizeof(double));
    bm_samples_destroy(&back);
    bm_samples_destroy(&samples);
  }
  unlink(path);
}

static void columns_are_those_asked_for(void **state)
{
  (void)state;
  const char *path = scratch("columns.h5md");
  write_samples(path);
  const size_t columns[3] = {3, 0, 3};
  const bm_samples_selection_t selection = {.columns = columns, .column_count = 3};
  bm_samples_t *back = read_samples(path, &selection);
  assert_int_equal(back->d, 3);
  for (size_t i = 0; i < ROWS * 3; i++) {
    const double expected = (double)(i / 3) + (double)columns[i % 3] / 10.0;
    assert_memory_equal(&back->x[i], &expected, sizeof expected);
  }
  bm_samples_destroy(&back);
  const size_t beyond[1] = {COLUMNS};
  const bm_samples_selection_t wrong = {.columns = beyond, .column_count = 1};
  assert_refused(path, &wrong, BM_ERR_DATA, "column 4");
  assert_refused(scratch("rows.npy"), &wrong, BM_ERR_DATA, "column 4");
  unlink(path);
}

/* Pieces in any order, empty ones too. */
static void a_stream_gives_the_file_of_one_write(void **state)
{
  (void)state;
  bm_samples_t *samples = made_samples(5);
  bm_samples_content_t content = content_of_test();
  bm_samples_writer_t *writer;
  const bm_range_t pieces[] = {{3, 2}, {5, 0}, {0, 1}, {1, 2}};
  assert_int_equal(bm_samples_writer_create(context, scratch("stream.h5md"), ROWS, COLUMNS, 5,
                                            &content, &writer),
                   BM_OK);
  for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
    double values[2 * ROWS];
    size_t first = pieces[p].first;
    size_t count = pieces[p].count;
    for (size_t i = 0; i < count; i++) {
      values[i] = energies[first + i];
      values[count + i] = distances[first + i];
    }
    assert_int_equal(
        bm_samples_writer_write(writer, pieces[p], samples->x + first * COLUMNS, values), BM_OK);
  }
  assert_false(bm_file_exists(scratch("stream.h5md")));
  assert_int_equal(bm_samples_writer_finish(&writer), BM_OK);
  assert_null(writer);
  sleep(1); /* no time of day in the file */
  write_samples(scratch("whole.h5md"));
  char *first;
  char *second;
  size_t first_size;
  size_t second_size;
  assert_int_equal(bm_file_read(scratch("stream.h5md"), &first, &first_size), BM_OK);
  assert_int_equal(bm_file_read(scratch("whole.h5md"), &second, &second_size), BM_OK);
  assert_int_equal(first_size, second_size);
  assert_memory_equal(first, second, first_size);
  bm_free(first);
  bm_free(second);
  bm_samples_destroy(&samples);
  unlink(scratch("stream.h5md"));
  unlink(scratch("whole.h5md"));
}

/* What is begun is the writer's own: the caller's arrays are used again at once. */
static void a_write_goes_on_beside_its_caller(void **state)
{
  (void)state;
  const char *path = scratch("beside.h5md");
  bm_samples_content_t content = content_of_test();
  content.observable_count = 1;
  bm_samples_t *samples = made_samples(1);
  bm_samples_writer_t *writer;
  assert_int_equal(bm_samples_writer_create(context, path, ROWS, COLUMNS, 1, &content, &writer),
                   BM_OK);
  for (size_t row = 0; row < ROWS; row++) {
    double x[COLUMNS];
    double energy = energies[row];
    memcpy(x, samples->x + row * COLUMNS, sizeof x);
    assert_int_equal(bm_samples_writer_begin(writer, (bm_range_t){row, 1}, x, &energy), BM_OK);
    memset(x, 0xff, sizeof x);
    energy = NAN;
    assert_int_equal(bm_samples_writer_wait(writer), BM_OK);
    assert_int_equal(bm_samples_writer_wait(writer), BM_OK);
  }
  assert_int_equal(bm_samples_writer_finish(&writer), BM_OK);
  bm_samples_t *back = read_samples(path, NULL);
  assert_memory_equal(back->x, samples->x, ROWS * COLUMNS * sizeof *back->x);
  bm_samples_destroy(&back);
  back = read_samples(path, &(bm_samples_selection_t){.dataset = "/observables/energy/value"});
  assert_memory_equal(back->x, energies, ROWS * sizeof *back->x);
  bm_samples_destroy(&back);
  bm_samples_destroy(&samples);
  unlink(path);
}

static void a_set_larger_than_a_piece_is_whole(void **state)
{
  (void)state;
  const char *path = scratch("large.h5md");
  const size_t n = 2 * BM_SAMPLES_PIECE_BYTES / sizeof(double) / 30 + 5;
  bm_samples_t *samples;
  assert_int_equal(bm_samples_create(context, n, 30, 1, &samples), BM_OK);
  for (size_t i = 0; i < n * 30; i++) {
    samples->x[i] = (double)i;
  }
  const bm_samples_content_t content = {.particles = 10, .dimensions = 3, .length_unit = "nm"};
  assert_int_equal(bm_samples_write(context, path, samples, &content), BM_OK);
  bm_samples_t *back = read_samples(path, NULL);
  assert_int_equal(back->n, n);
  assert_memory_equal(back->x, samples->x, n * 30 * sizeof *back->x);
  bm_samples_destroy(&back);
  bm_samples_destroy(&samples);
  unlink(path);
}

/* A disk that takes no more in spite of the space reserved; a limit on the size of files stands in. */
static void a_disk_that_fails_half_way_is_an_error(void **state)
{
  (void)state;
  size_t entries = scratch_entries(0);
  bm_samples_t *samples;
  assert_int_equal(bm_samples_create(context, 100000, COLUMNS, 1, &samples), BM_OK);
  const bm_samples_content_t content = {.particles = 2, .dimensions = 2, .length_unit = "nm"};
  const rlim_t limits[] = {0, 1000000};
  for (size_t i = 0; i < 2; i++) {
    bm_samples_writer_t *writer;
    assert_int_equal(bm_samples_writer_create(context, scratch("fails.h5md"), samples->n, COLUMNS,
                                              1, &content, &writer),
                     BM_OK);
    limit_file_size(limits[i]);
    bm_status_t status = bm_samples_writer_write(writer, samples->rows, samples->x, NULL);
    limit_file_size(RLIM_INFINITY);
    assert_int_equal(status, BM_ERR_IO);
    assert_message_has("fails.h5md");
    bm_samples_writer_abandon(&writer);
    assert_int_equal(scratch_entries(0), entries);
  }
  bm_samples_destroy(&samples);
}

static void an_abandoned_stream_leaves_nothing(void **state)
{
  (void)state;
  size_t entries = scratch_entries(0);
  bm_samples_content_t content = content_of_test();
  bm_samples_writer_t *writer;
  assert_int_equal(bm_samples_writer_create(context, scratch("given-up.h5md"), ROWS, COLUMNS, 5,
                                            &content, &writer),
                   BM_OK);
  bm_samples_writer_abandon(&writer);
  assert_null(writer);
  bm_samples_writer_abandon(&writer);
  assert_int_equal(scratch_entries(0), entries);
  assert_int_equal(bm_samples_writer_create(context, scratch("no/such/folder.h5md"), ROWS, COLUMNS,
                                            5, &content, &writer),
                   BM_ERR_IO);
  assert_null(writer);
  assert_message_has("no/such/folder.h5md");
}

static void a_full_disk_is_an_error_and_leaves_the_old_set(void **state)
{
  (void)state;
  const char *path = scratch("full.h5md");
  write_samples(path);
  size_t entries = scratch_entries(0);
  bm_samples_t *samples;
  assert_int_equal(bm_samples_create(context, 100000, COLUMNS, 1, &samples), BM_OK);
  bm_samples_content_t content = content_of_test();
  content.observable_count = 0;
  const rlim_t limits[] = {0, 512, 5000, 100000, 4800000, 6400000};
  for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
    limit_file_size(limits[i]);
    bm_status_t status = bm_samples_write(context, path, samples, &content);
    limit_file_size(RLIM_INFINITY);
    assert_int_equal(status, BM_ERR_IO);
    assert_message_has(path);
    assert_int_equal(scratch_entries(0), entries);
  }
  bm_samples_destroy(&samples);
  samples = read_samples(path, NULL);
  assert_int_equal(samples->n, ROWS);
  bm_samples_destroy(&samples);
  unlink(path);
}

static void check_rows(const char *name, const bm_samples_selection_t *selection, size_t d,
                       double scale)
{
  bm_samples_t *back = read_samples(scratch(name), selection);
  assert_int_equal(back->n * back->d, d == 1 ? 4 : 12);
  assert_int_equal(back->d, d);
  assert_int_equal(back->walkers, 1);
  for (size_t i = 0; i < back->n * d; i++) {
    const double expected = scale * (double)(d == 1 ? 3 * i : i) / 8.0;
    assert_memory_equal(&back->x[i], &expected, sizeof expected);
  }
  bm_samples_destroy(&back);
}

static void files_of_other_programs_are_read(void **state)
{
  (void)state;
  check_rows("rows.h5", NULL, 3, 1.0);
  check_rows("rows.npy", NULL, 3, 1.0);
  check_rows("column.h5", NULL, 1, 1.0);
  check_rows("big-endian.h5", NULL, 3, 1.0);
  check_rows("integers.h5", NULL, 3, 8.0);
  check_rows("compressed.h5", NULL, 3, 1.0);
  check_rows("foreign.h5md", NULL, 6, 1.0);
  check_rows("two.h5", &(bm_samples_selection_t){.dataset = "deep/y"}, 3, 2.0);
  check_rows("two.h5", &(bm_samples_selection_t){.dataset = "z"}, 3, 3.0);
  bm_samples_t *back = read_samples(scratch("foreign.h5md"),
                                    &(bm_samples_selection_t){.dataset = "observables/energy"});
  assert_int_equal(back->n, 2);
  bm_samples_destroy(&back);
}

static void files_that_are_no_sets_are_refused(void **state)
{
  (void)state;
  assert_refused(scratch("two.h5"), NULL, BM_ERR_DATA, "--dataset");
  assert_refused(scratch("nothing.h5"), NULL, BM_ERR_DATA, "--dataset");
  assert_refused(scratch("four-dimensions.h5"), NULL, BM_ERR_DATA, "dimensions");
  assert_refused(scratch("scalar.h5"), NULL, BM_ERR_DATA, "dimensions");
  assert_refused(scratch("empty.h5"), NULL, BM_ERR_DATA, "empty");
  assert_refused(scratch("huge.h5"), NULL, BM_ERR_DATA, "too large");
  bm_samples_selection_t selection = {.dataset = "names"};
  assert_refused(scratch("two.h5"), &selection, BM_ERR_DATA, "numbers");
  selection.dataset = "absent/x";
  assert_refused(scratch("two.h5"), &selection, BM_ERR_DATA, "'absent/x'");
  selection.dataset = "deep";
  assert_refused(scratch("two.h5"), &selection, BM_ERR_DATA, "'deep'");
  assert_refused(scratch("missing.h5"), NULL, BM_ERR_IO, "open");
  assert_refused(scratch_folder, NULL, BM_ERR_IO, "");
  write_file(scratch("text.txt"), "1 2 3\n", 6);
  assert_refused(scratch("text.txt"), NULL, BM_ERR_DATA, "neither");
}

static void a_value_that_is_not_finite_is_named(void **state)
{
  (void)state;
  const char *path = scratch("nan.h5md");
  const double bad[] = {NAN, INFINITY, -INFINITY};
  const size_t columns[2] = {2, 1};
  const bm_samples_selection_t selection = {.columns = columns, .column_count = 2};
  const size_t others[1] = {0};
  const bm_samples_selection_t without = {.columns = others, .column_count = 1};
  for (int i = 0; i < 3; i++) {
    bm_samples_t *samples = made_samples(5);
    bm_samples_content_t content = content_of_test();
    samples->x[3 * COLUMNS + 2] = bad[i];
    assert_int_equal(bm_samples_write(context, path, samples, &content), BM_OK);
    bm_samples_destroy(&samples);
    assert_refused(path, NULL, BM_ERR_DATA, "row 3, column 2");
    assert_refused(path, &selection, BM_ERR_DATA, "row 3, column 2");
    samples = read_samples(path, &without);
    bm_samples_destroy(&samples);
  }
  unlink(path);
}

/* A flip in the first bytes of the seal's mark takes the seal away, not the content. */
static void a_flipped_bit_is_never_read_silently(void **state)
{
  (void)state;
  const char *path = scratch("flipped.h5md");
  bm_samples_t *expected = made_samples(5);
  write_samples(path);
  off_t size = file_size(path);
  for (off_t i = 0; i < 300; i++) {
    off_t byte = i < 20 ? i : i * 7919 % size;
    flip_bit(path, byte, (int)(i % 8));
    bm_samples_t *back;
    bm_status_t status = bm_samples_read(context, path, NULL, &back);
    if (status == BM_OK) {
      assert_true(byte < 14);
      assert_memory_equal(back->x, expected->x, ROWS * COLUMNS * sizeof(double));
      bm_samples_destroy(&back);
    } else {
      assert_int_equal(status, BM_ERR_DATA);
      assert_null(back);
    }
    assert_true(bm_samples_fingerprint(context, path) == 0);
    flip_bit(path, byte, (int)(i % 8));
  }
  bm_samples_destroy(&expected);
  unlink(path);
}

static void cut_files_are_refused(void **state)
{
  (void)state;
  const char *path = scratch("cut.h5md");
  write_samples(path);
  off_t size = file_size(path);
  const off_t sizes[] = {size - 1, size / 2, 600, 512, 100, 0};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    assert_int_equal(truncate(path, sizes[i]), 0);
    assert_refused(path, NULL, BM_ERR_DATA, sizes[i] > 0 ? "damaged" : "neither");
  }
  unlink(path);
}

static void a_foreign_file_that_is_cut_is_refused(void **state)
{
  (void)state;
  char *bytes;
  size_t count;
  assert_int_equal(bm_file_read(scratch("rows.h5"), &bytes, &count), BM_OK);
  for (size_t size = 0; size < count; size += 97) {
    write_file(scratch("rows-cut.h5"), bytes, size);
    bm_samples_t *samples;
    assert_int_not_equal(bm_samples_read(context, scratch("rows-cut.h5"), NULL, &samples), BM_OK);
    assert_null(samples);
  }
  bm_free(bytes);
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_set_comes_back_bit_for_bit),
      cmocka_unit_test(another_reader_finds_h5md),
      cmocka_unit_test(observables_come_back_bit_for_bit),
      cmocka_unit_test(single_precision_rounds_once),
      cmocka_unit_test(every_layout_comes_back),
      cmocka_unit_test(columns_are_those_asked_for),
      cmocka_unit_test(a_stream_gives_the_file_of_one_write),
      cmocka_unit_test(a_write_goes_on_beside_its_caller),
      cmocka_unit_test(a_set_larger_than_a_piece_is_whole),
      cmocka_unit_test(a_disk_that_fails_half_way_is_an_error),
      cmocka_unit_test(an_abandoned_stream_leaves_nothing),
      cmocka_unit_test(a_full_disk_is_an_error_and_leaves_the_old_set),
      cmocka_unit_test(files_of_other_programs_are_read),
      cmocka_unit_test(files_that_are_no_sets_are_refused),
      cmocka_unit_test(a_value_that_is_not_finite_is_named),
      cmocka_unit_test(a_flipped_bit_is_never_read_silently),
      cmocka_unit_test(cut_files_are_refused),
      cmocka_unit_test(a_foreign_file_that_is_cut_is_refused),
  };
  MPI_Init(&argc, &argv);
  bm_hdf5_quiet();
  int failed = cmocka_run_group_tests_name("samples", tests, open_all, close_all);
  MPI_Finalize();
  return failed;
}
