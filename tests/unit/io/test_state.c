#include "scratch.h"

#include <hdf5.h>
#include <mpi.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/hdf5.h"
#include "boltzmap/io/state.h"

static const bm_real_t reals[5] = {(bm_real_t)0.1, -2, 0, (bm_real_t)1e-30, 3};
static const double doubles[3] = {0.1, -0.0, 1e300};
static const int64_t ints[4] = {INT64_MIN, -1, 0, INT64_MAX};

static bm_state_t *made_state(void)
{
  bm_state_t *made;
  assert_int_equal(bm_state_create("model", &made), BM_OK);
  assert_int_equal(bm_state_put_reals(made, "flow/parameters", 5, reals), BM_OK);
  assert_int_equal(bm_state_put_doubles(made, "sums", 3, doubles), BM_OK);
  assert_int_equal(bm_state_put_ints(made, "a/b/counters", 4, ints), BM_OK);
  assert_int_equal(bm_state_put_string(made, "deck", "name = \"é\";\n"), BM_OK);
  assert_int_equal(bm_state_put_string(made, "empty text", ""), BM_OK);
  assert_int_equal(bm_state_put_doubles(made, "nothing", 0, NULL), BM_OK);
  return made;
}

static void check_state(const bm_state_t *made)
{
  bm_real_t r[5];
  double d[5];
  int64_t i[4];
  const char *text;
  assert_string_equal(bm_state_kind(made), "model");
  assert_int_equal(bm_state_block_count(made), 6);
  assert_int_equal(bm_state_get_reals(made, "flow/parameters", 5, r), BM_OK);
  assert_memory_equal(r, reals, sizeof r);
  assert_int_equal(bm_state_get_doubles(made, "flow/parameters", 5, d), BM_OK);
  for (int k = 0; k < 5; k++) {
    const double value = (double)reals[k];
    assert_memory_equal(&d[k], &value, sizeof value);
  }
  assert_int_equal(bm_state_get_doubles(made, "sums", 3, d), BM_OK);
  assert_memory_equal(d, doubles, sizeof doubles);
  assert_int_equal(bm_state_get_ints(made, "a/b/counters", 4, i), BM_OK);
  assert_memory_equal(i, ints, sizeof i);
  assert_int_equal(bm_state_get_string(made, "deck", &text), BM_OK);
  assert_string_equal(text, "name = \"é\";\n");
  assert_int_equal(bm_state_get_string(made, "empty text", &text), BM_OK);
  assert_string_equal(text, "");
  assert_int_equal(bm_state_get_doubles(made, "nothing", 0, d), BM_OK);
  assert_int_equal(bm_state_count(made, "sums"), 3);
  assert_int_equal(bm_state_count(made, "missing"), 0);
}

static void write_state(const char *path)
{
  bm_state_t *made = made_state();
  assert_int_equal(bm_state_write(made, path), BM_OK);
  bm_state_destroy(&made);
  assert_null(made);
}

static void every_kind_of_block_comes_back_bit_for_bit(void **state)
{
  (void)state;
  const char *path = scratch("model.h5");
  bm_state_t *made = made_state();
  check_state(made);
  assert_int_equal(bm_state_write(made, path), BM_OK);
  bm_state_destroy(&made);
  assert_int_equal(scratch_entries(0), 1);
  assert_int_equal(bm_state_read(path, "model", &made), BM_OK);
  check_state(made);
  bm_state_destroy(&made);
  assert_int_equal(bm_state_read(path, NULL, &made), BM_OK);
  check_state(made);
  bm_state_destroy(&made);
  unlink(path);
}

/* Two writes at different seconds, the second of a state that was read. */
static void equal_states_are_equal_files(void **state)
{
  (void)state;
  char *first;
  char *second;
  size_t first_size;
  size_t second_size;
  write_state(scratch("one.h5"));
  sleep(1);
  write_state(scratch("two.h5"));
  assert_int_equal(bm_file_read(scratch("one.h5"), &first, &first_size), BM_OK);
  assert_int_equal(bm_file_read(scratch("two.h5"), &second, &second_size), BM_OK);
  assert_int_equal(first_size, second_size);
  assert_memory_equal(first, second, first_size);
  bm_free(first);
  bm_free(second);
  unlink(scratch("one.h5"));
  unlink(scratch("two.h5"));
}

static void many_blocks_and_large_ones_fit(void **state)
{
  (void)state;
  const char *path = scratch("many.h5");
  bm_state_t *made;
  double *large;
  size_t n = 200000;
  assert_int_equal(BM_ALLOC(n, &large), BM_OK);
  assert_int_equal(bm_state_create("checkpoint", &made), BM_OK);
  for (int64_t i = 0; i < 100; i++) {
    char name[32];
    snprintf(name, sizeof name, "group-%d/block-%d", (int)(i % 7), (int)i);
    assert_int_equal(bm_state_put_ints(made, name, 1, &i), BM_OK);
  }
  large[n - 1] = 42.0;
  assert_int_equal(bm_state_put_doubles(made, "large", n, large), BM_OK);
  assert_int_equal(bm_state_write(made, path), BM_OK);
  bm_state_destroy(&made);
  assert_int_equal(bm_state_read(path, "checkpoint", &made), BM_OK);
  assert_int_equal(bm_state_block_count(made), 101);
  for (int64_t i = 0; i < 100; i++) {
    char name[32];
    int64_t value;
    snprintf(name, sizeof name, "group-%d/block-%d", (int)(i % 7), (int)i);
    assert_int_equal(bm_state_get_ints(made, name, 1, &value), BM_OK);
    assert_int_equal(value, i);
  }
  assert_int_equal(bm_state_get_doubles(made, "large", n, large), BM_OK);
  assert_true(large[n - 1] >= 42.0);
  bm_state_destroy(&made);
  bm_free(large);
  unlink(path);
}

static void a_missing_or_unfit_block_is_named(void **state)
{
  (void)state;
  const char *path = scratch("unfit.h5");
  bm_state_t *made;
  double d[6];
  bm_real_t r[6];
  int64_t i[6];
  const char *text;
  write_state(path);
  assert_int_equal(bm_state_read(path, "model", &made), BM_OK);
  assert_int_equal(bm_state_get_doubles(made, "absent", 1, d), BM_ERR_DATA);
  assert_message_has("'absent' is missing");
  assert_message_has(path);
  assert_int_equal(bm_state_get_string(made, "absent", &text), BM_ERR_DATA);
  assert_message_has(path);
  assert_int_equal(bm_state_get_reals(made, "flow/parameters", 6, r), BM_ERR_DATA);
  assert_message_has("5 values where 6");
  assert_int_equal(bm_state_get_ints(made, "sums", 3, i), BM_ERR_DATA);
  assert_message_has("'sums'");
  assert_int_equal(bm_state_get_doubles(made, "a/b/counters", 4, d), BM_ERR_DATA);
  assert_int_equal(bm_state_get_reals(made, "a/b/counters", 4, r), BM_ERR_DATA);
  assert_int_equal(bm_state_get_string(made, "sums", &text), BM_ERR_DATA);
  bm_state_destroy(&made);
  unlink(path);
}

static void a_name_used_twice_is_refused(void **state)
{
  (void)state;
  bm_state_t *made = made_state();
  assert_int_equal(bm_state_put_doubles(made, "sums", 3, doubles), BM_ERR_INTERNAL);
  char name[200];
  memset(name, 'n', sizeof name);
  name[sizeof name - 1] = '\0';
  assert_int_equal(bm_state_put_doubles(made, name, 3, doubles), BM_ERR_INTERNAL);
  assert_int_equal(bm_state_block_count(made), 6);
  bm_state_destroy(&made);
}

static void assert_refused(const char *path, const char *kind, const char *text)
{
  bm_state_t *made;
  assert_int_equal(bm_state_read(path, kind, &made), BM_ERR_DATA);
  assert_null(made);
  assert_message_has(path);
  assert_message_has(text);
}

/* Change the attribute and seal the file again, as another version of the program would. */
static void set_version(const char *path, int version)
{
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  hid_t attribute = H5Aopen(file, "state_version", H5P_DEFAULT);
  assert_true(H5Awrite(attribute, H5T_NATIVE_INT, &version) >= 0);
  H5Aclose(attribute);
  H5Fclose(file);
  assert_int_equal(bm_file_seal(path), BM_OK);
}

static void another_kind_or_version_is_refused(void **state)
{
  (void)state;
  const char *path = scratch("other.h5");
  write_state(path);
  assert_refused(path, "checkpoint", "is a model, not a checkpoint");
  set_version(path, BM_STATE_VERSION + 1);
  assert_refused(path, "model", "version");
  unlink(path);
}

static void a_flipped_bit_anywhere_is_refused(void **state)
{
  (void)state;
  const char *path = scratch("flipped.h5");
  write_state(path);
  off_t size = file_size(path);
  for (off_t i = 0; i < 400; i++) {
    off_t byte = i < 20 ? i : i * 7919 % size;
    flip_bit(path, byte, (int)(i % 8));
    bm_state_t *made;
    assert_int_equal(bm_state_read(path, "model", &made), BM_ERR_DATA);
    assert_null(made);
    flip_bit(path, byte, (int)(i % 8));
  }
  unlink(path);
}

static void cut_missing_and_foreign_files_are_refused(void **state)
{
  (void)state;
  const char *path = scratch("cut.h5");
  bm_state_t *made;
  assert_int_equal(bm_state_read(path, "model", &made), BM_ERR_IO);
  assert_null(made);
  assert_int_equal(bm_state_read(scratch_folder, "model", &made), BM_ERR_IO);
  write_state(path);
  off_t size = file_size(path);
  const off_t sizes[] = {size - 1, size / 2, 600, 512, 100, 0};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    assert_int_equal(truncate(path, sizes[i]), 0);
    assert_refused(path, "model", sizes[i] > 0 ? "damaged" : "no seal");
  }
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  H5Fclose(file);
  assert_refused(path, "model", "no seal");
  unlink(path);
}

/* Forged: a good seal over something else than a state. */
static void sealed_files_of_something_else_are_refused(void **state)
{
  (void)state;
  const char *path = scratch("forged.h5");
  char bytes[2048] = {0};
  bm_state_t *made;
  write_file(path, bytes, sizeof bytes);
  assert_int_equal(bm_file_seal(path), BM_OK);
  assert_int_equal(bm_state_read(path, "model", &made), BM_ERR_IO);
  assert_null(made);
  hid_t creation = H5Pcreate(H5P_FILE_CREATE);
  H5Pset_userblock(creation, BM_SEAL_BYTES);
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, creation, H5P_DEFAULT);
  const int two[2] = {1, 2};
  assert_int_equal(bm_hdf5_write_ints(file, path, "kind", 2, two), BM_OK);
  H5Fclose(file);
  H5Pclose(creation);
  assert_int_equal(bm_file_seal(path), BM_OK);
  assert_refused(path, "model", "'kind'");
  unlink(path);
}

/* The old state stays, nothing else does. */
static void a_full_disk_is_an_error_and_leaves_the_old_state(void **state)
{
  (void)state;
  const char *path = scratch("full.h5");
  write_state(path);
  bm_state_t *made = made_state();
  double *large;
  assert_int_equal(BM_ALLOC(500000, &large), BM_OK);
  assert_int_equal(bm_state_put_doubles(made, "large", 500000, large), BM_OK);
  const rlim_t limits[] = {0, 512, 1000, 5000, 100000, 3999999};
  for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
    limit_file_size(limits[i]);
    bm_status_t status = bm_state_write(made, path);
    limit_file_size(RLIM_INFINITY);
    assert_int_equal(status, BM_ERR_IO);
    assert_message_has(path);
    assert_int_equal(scratch_entries(0), 1);
  }
  bm_state_destroy(&made);
  bm_free(large);
  assert_int_equal(bm_state_read(path, "model", &made), BM_OK);
  check_state(made);
  bm_state_destroy(&made);
  unlink(path);
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_kind_of_block_comes_back_bit_for_bit),
      cmocka_unit_test(equal_states_are_equal_files),
      cmocka_unit_test(many_blocks_and_large_ones_fit),
      cmocka_unit_test(a_missing_or_unfit_block_is_named),
      cmocka_unit_test(a_name_used_twice_is_refused),
      cmocka_unit_test(another_kind_or_version_is_refused),
      cmocka_unit_test(a_flipped_bit_anywhere_is_refused),
      cmocka_unit_test(cut_missing_and_foreign_files_are_refused),
      cmocka_unit_test(sealed_files_of_something_else_are_refused),
      cmocka_unit_test(a_full_disk_is_an_error_and_leaves_the_old_state),
  };
  MPI_Init(&argc, &argv);
  bm_hdf5_quiet();
  int failed = cmocka_run_group_tests_name("state", tests, scratch_open, scratch_close);
  MPI_Finalize();
  return failed;
}
