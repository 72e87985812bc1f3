#include "scratch.h"

#include <sys/wait.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"

static void assert_content(const char *path, const char *expected)
{
  char *bytes;
  size_t count;
  assert_int_equal(bm_file_read(path, &bytes, &count), BM_OK);
  assert_int_equal(count, strlen(expected));
  assert_string_equal(bytes, expected);
  bm_free(bytes);
}

static void a_file_is_read_back_as_written(void **state)
{
  (void)state;
  const char *path = scratch("small");
  char *bytes;
  size_t count;
  for (size_t size = 0; size < 3 * 64; size += 31) {
    char text[200];
    memset(text, 'a' + (int)(size % 26), sizeof text);
    assert_int_equal(bm_file_write(path, text, size), BM_OK);
    assert_int_equal(bm_file_read(path, &bytes, &count), BM_OK);
    assert_int_equal(count, size);
    assert_memory_equal(bytes, text, size);
    assert_int_equal(bytes[size], 0);
    bm_free(bytes);
  }
  unlink(path);
  assert_int_equal(scratch_entries(0), 0);
}

static void a_link_is_the_same_file_and_takes_the_place_of_another(void **state)
{
  (void)state;
  const char *source = scratch("source");
  const char *path = scratch("second");
  struct stat a;
  struct stat b;
  assert_int_equal(bm_file_write(source, "one", 3), BM_OK);
  assert_int_equal(bm_file_write(path, "other", 5), BM_OK);
  for (int times = 0; times < 2; times++) { /* the second time it is that file already */
    assert_int_equal(bm_file_link(source, path), BM_OK);
    assert_content(path, "one");
    assert_true(stat(source, &a) == 0 && stat(path, &b) == 0);
    assert_true(a.st_ino == b.st_ino);
    assert_int_equal(scratch_entries(0), 2);
  }
  assert_int_equal(bm_file_link(scratch("missing"), path), BM_ERR_IO);
  assert_content(path, "one");
  assert_int_equal(bm_file_remove(source), BM_OK);
  assert_int_equal(bm_file_remove(source), BM_OK);
  assert_int_equal(bm_file_remove(path), BM_OK);
  assert_int_equal(scratch_entries(0), 0);
  assert_int_equal(bm_file_remove(scratch_folder), BM_ERR_IO);
}

static void a_hash_is_that_of_all_bytes(void **state)
{
  (void)state;
  const char *path = scratch("hashed");
  uint64_t hash = 0;
  assert_int_equal(bm_file_write(path, "", 0), BM_OK);
  assert_int_equal(bm_file_hash(path, &hash), BM_OK);
  assert_true(hash ==
              UINT64_C(0xef46db3751d8e999)); /* XXH64 of nothing, as its specification says */
  assert_int_equal(bm_file_write(path, "abc", 3), BM_OK);
  assert_int_equal(bm_file_hash(path, &hash), BM_OK);
  assert_true(hash == UINT64_C(0x44bc2cf5ad770999)); /* and of "abc" */
  assert_int_equal(bm_file_remove(path), BM_OK);
  assert_int_equal(bm_file_hash(path, &hash), BM_ERR_IO);
}

static void what_cannot_be_read_is_an_io_error_that_names_it(void **state)
{
  (void)state;
  const char *const paths[] = {scratch("missing"), scratch_folder, scratch("no/such/folder")};
  for (int i = 0; i < 3; i++) {
    char *bytes;
    size_t count;
    bm_seal_t seal;
    assert_int_equal(bm_file_read(paths[i], &bytes, &count), BM_ERR_IO);
    assert_null(bytes);
    assert_message_has(paths[i]);
    assert_int_equal(bm_file_check_seal(paths[i], &seal), BM_ERR_IO);
    assert_message_has(paths[i]);
  }
}

/* The old file stays until the new one is whole, and nothing else is left behind. */
static void a_failed_write_leaves_the_old_file(void **state)
{
  (void)state;
  const char *path = scratch("kept");
  static const char large[100000];
  assert_int_equal(bm_file_write(path, "old", 3), BM_OK);
  limit_file_size(50000);
  bm_status_t status = bm_file_write(path, large, sizeof large);
  limit_file_size(RLIM_INFINITY);
  assert_int_equal(status, BM_ERR_IO);
  assert_message_has(path);
  assert_content(path, "old");
  assert_int_equal(scratch_entries(0), 1);
  unlink(path);
}

static void a_write_replaces_the_file_and_an_unfinished_one(void **state)
{
  (void)state;
  const char *path = scratch("replaced");
  char *temporary;
  assert_int_equal(bm_file_temporary_name(path, &temporary), BM_OK);
  write_file(path, "old and long", 12);
  write_file(temporary, "left by a killed run, and longer", 32);
  assert_int_equal(bm_file_write(path, "new", 3), BM_OK);
  assert_content(path, "new");
  assert_false(bm_file_exists(temporary));
  bm_free(temporary);
  unlink(path);
}

static void what_killed_writers_left_is_removed_and_what_others_write_is_not(void **state)
{
  (void)state;
  const char *path = scratch("shared");
  char *temporary;
  char other[512];
  assert_int_equal(bm_file_temporary_name(path, &temporary), BM_OK);
  pid_t dead = fork();
  if (dead == 0) {
    _exit(0);
  }
  const pid_t pids[] = {dead, getppid()}; /* the first has ended, though nobody has taken note */
  siginfo_t end;
  assert_int_equal(waitid(P_PID, (id_t)dead, &end, WEXITED | WNOWAIT), 0);
  for (size_t i = 0; i < 2; i++) {
    snprintf(other, sizeof other, "%s", temporary);
    snprintf(strrchr(other, '-'), 32, "-%ld.part", (long)pids[i]);
    write_file(other, "half", 4);
  }
  assert_int_equal(bm_file_write(path, "new", 3), BM_OK);
  assert_int_equal(scratch_entries(0), 2); /* that of the parent, which runs, and the new file */
  assert_content(other, "half");
  waitpid(dead, NULL, 0);
  unlink(other);
  unlink(path);
  bm_free(temporary);
}

static void only_plain_files_are_replaced(void **state)
{
  (void)state;
  const char *path = scratch("pipe");
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_int_equal(bm_file_check_target(path), BM_ERR_IO);
  assert_int_equal(bm_file_write(path, "new", 3), BM_ERR_IO);
  assert_message_has(path);
  unlink(path);
  assert_int_equal(bm_file_check_target("/dev/null"), BM_ERR_IO);
  assert_int_equal(bm_file_check_target(scratch_folder), BM_ERR_IO);
  assert_int_equal(bm_file_check_target(scratch("no/folder")), BM_ERR_IO);
  assert_int_equal(bm_file_check_target(scratch("free")), BM_OK);
  assert_int_equal(bm_file_check_target("free"), BM_OK);
}

static void publishing_to_a_place_that_is_not_there_removes_the_temporary(void **state)
{
  (void)state;
  const char *temporary = scratch("fresh");
  write_file(temporary, "x", 1);
  assert_int_equal(bm_file_publish(temporary, scratch("no/folder")), BM_ERR_IO);
  assert_false(bm_file_exists(temporary));
  assert_int_equal(bm_file_publish(scratch("never made"), scratch("target")), BM_ERR_IO);
  assert_false(bm_file_exists(scratch("target")));
}

static void reserving_more_than_there_is_fails(void **state)
{
  (void)state;
  const char *path = scratch("reserved");
  write_file(path, "abc", 3);
  assert_int_equal(bm_file_reserve(path, 4096), BM_OK);
  assert_int_equal(file_size(path), 4096);
  limit_file_size(1 << 20);
  bm_status_t status = bm_file_reserve(path, 1 << 21);
  limit_file_size(RLIM_INFINITY);
  assert_int_equal(status, BM_ERR_IO);
  assert_message_has("reserve");
  assert_int_equal(bm_file_reserve(path, UINT64_C(1) << 62), BM_ERR_IO);
  assert_message_has("MB are free");
  assert_int_equal(file_size(path), 4096);
  unlink(path);
}

static bm_seal_t seal_of(const char *path)
{
  bm_seal_t seal;
  assert_int_equal(bm_file_check_seal(path, &seal), BM_OK);
  return seal;
}

static void make_sealed(const char *path, size_t body)
{
  char bytes[BM_SEAL_BYTES + 4096] = {0};
  for (size_t i = 0; i < body; i++) {
    bytes[BM_SEAL_BYTES + i] = (char)(i * 37 % 251);
  }
  write_file(path, bytes, BM_SEAL_BYTES + body);
  assert_int_equal(bm_file_seal(path), BM_OK);
}

static void a_sealed_file_is_good(void **state)
{
  (void)state;
  const char *path = scratch("sealed");
  for (size_t body = 0; body < 4096; body += 1000) {
    make_sealed(path, body);
    assert_int_equal(file_size(path), BM_SEAL_BYTES + body);
    assert_int_equal(seal_of(path), BM_SEAL_GOOD);
  }
  unlink(path);
}

/* A bit flipped in the mark itself makes the file look foreign, never good. */
static void no_flipped_bit_passes_the_seal(void **state)
{
  (void)state;
  const char *path = scratch("flipped");
  make_sealed(path, 300);
  for (off_t byte = 0; byte < file_size(path); byte++) {
    int bit = (int)(byte % 8);
    flip_bit(path, byte, bit);
    assert_int_equal(seal_of(path), BM_SEAL_BROKEN);
    flip_bit(path, byte, bit);
  }
  assert_int_equal(seal_of(path), BM_SEAL_GOOD);
  unlink(path);
}

static void no_cut_or_grown_file_passes_the_seal(void **state)
{
  (void)state;
  const char *path = scratch("cut");
  make_sealed(path, 300);
  const off_t sizes[] = {BM_SEAL_BYTES + 301, BM_SEAL_BYTES + 299, BM_SEAL_BYTES, 511, 100, 13, 0};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    assert_int_equal(truncate(path, sizes[i]), 0);
    assert_int_equal(seal_of(path), sizes[i] > 0 ? BM_SEAL_BROKEN : BM_SEAL_NONE);
  }
  unlink(path);
}

static void no_flipped_bit_of_a_json_text_is_read(void **state)
{
  (void)state;
  const char *path = scratch("record.json");
  const char *text = "{\n\t\"value\": 0.25\n}\n";
  char *back = NULL;
  assert_int_equal(bm_file_write_json(path, text), BM_OK);
  assert_int_equal(bm_file_read_json(path, &back), BM_OK);
  assert_non_null(strstr(back, text + 2));
  bm_free(back);
  for (off_t byte = 0; byte < file_size(path); byte++) {
    for (int bit = 0; bit < 8; bit++) {
      flip_bit(path, byte, bit);
      assert_int_equal(bm_file_read_json(path, &back), BM_ERR_DATA);
      assert_null(back);
      flip_bit(path, byte, bit);
    }
  }
  for (off_t size = file_size(path) - 1; size >= 0; size--) {
    assert_int_equal(truncate(path, size), 0);
    assert_int_equal(bm_file_read_json(path, &back), BM_ERR_DATA);
  }
  unlink(path);
}

static void a_file_of_another_program_has_no_seal(void **state)
{
  (void)state;
  const char *path = scratch("foreign");
  write_file(path, "\x89HDF\r\n\x1a\n and more", 17);
  assert_int_equal(seal_of(path), BM_SEAL_NONE);
  unlink(path);
}

static void folders_are_made_with_their_parents(void **state)
{
  (void)state;
  char *path;
  assert_int_equal(bm_path_join(scratch_folder, "a//b/c/", &path), BM_OK);
  assert_int_equal(bm_folder_create(path), BM_OK);
  assert_int_equal(bm_folder_create(path), BM_OK);
  assert_true(bm_file_exists(path));
  bm_free(path);
  write_file(scratch("a/file"), "", 0);
  assert_int_equal(bm_folder_create(scratch("a/file")), BM_ERR_IO);
  assert_int_equal(bm_folder_create(scratch("a/file/under")), BM_ERR_IO);
  assert_message_has("not a folder");
  assert_int_equal(bm_folder_create(""), BM_ERR_IO);
  unlink(scratch("a/file"));
  rmdir(scratch("a/b/c"));
  rmdir(scratch("a/b"));
  rmdir(scratch("a"));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_file_is_read_back_as_written),
      cmocka_unit_test(a_link_is_the_same_file_and_takes_the_place_of_another),
      cmocka_unit_test(a_hash_is_that_of_all_bytes),
      cmocka_unit_test(what_cannot_be_read_is_an_io_error_that_names_it),
      cmocka_unit_test(a_failed_write_leaves_the_old_file),
      cmocka_unit_test(a_write_replaces_the_file_and_an_unfinished_one),
      cmocka_unit_test(what_killed_writers_left_is_removed_and_what_others_write_is_not),
      cmocka_unit_test(only_plain_files_are_replaced),
      cmocka_unit_test(publishing_to_a_place_that_is_not_there_removes_the_temporary),
      cmocka_unit_test(reserving_more_than_there_is_fails),
      cmocka_unit_test(a_sealed_file_is_good),
      cmocka_unit_test(no_flipped_bit_passes_the_seal),
      cmocka_unit_test(no_flipped_bit_of_a_json_text_is_read),
      cmocka_unit_test(no_cut_or_grown_file_passes_the_seal),
      cmocka_unit_test(a_file_of_another_program_has_no_seal),
      cmocka_unit_test(folders_are_made_with_their_parents),
  };
  return cmocka_run_group_tests_name("file", tests, scratch_open, scratch_close);
}
