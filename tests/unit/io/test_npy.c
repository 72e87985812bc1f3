#include "scratch.h"

#include "boltzmap/io/npy.h"

/* Write a .npy file of this version, header text and data; gives its length. */
static size_t write_npy(const char *path, int version, const char *header, const void *data,
                        size_t bytes)
{
  unsigned char file[4096] = "\x93NUMPY";
  size_t length = strlen(header);
  size_t start = version == 2 ? 12 : 10;
  file[6] = (unsigned char)version;
  file[8] = (unsigned char)length;
  file[9] = (unsigned char)(length >> 8);
  memcpy(file + start, header, length);
  memcpy(file + start + length, data, bytes);
  write_file(path, file, start + length + bytes);
  return start + length + bytes;
}

#define HEADER(type, shape) "{'descr': '" type "', 'fortran_order': False, 'shape': " shape ", }\n"

static void check_row(const char *header, const void *data, size_t bytes, const double expected[2])
{
  for (int version = 1; version <= 2; version++) {
    const char *path = scratch("types.npy");
    bm_npy_t npy;
    double values[2] = {0.0, 0.0};
    write_npy(path, version, header, data, bytes);
    assert_true(bm_npy_recognise(path));
    assert_int_equal(bm_npy_open(path, &npy), BM_OK);
    assert_int_equal(npy.rows * npy.columns, 2);
    for (size_t row = 0; row < npy.rows; row++) {
      assert_int_equal(bm_npy_read_rows(path, &npy, row, 1, values + row * npy.columns), BM_OK);
    }
    assert_memory_equal(values, expected, sizeof values);
    unlink(path);
  }
}

static void every_type_is_read_with_its_value(void **state)
{
  (void)state;
  const double real[2] = {-1.5, 0.25};
  const float single[2] = {-1.5f, 0.25f};
  check_row(HEADER("<f8", "(1, 2)"), real, sizeof real, real);
  check_row(HEADER("<f8", "(2,)"), real, sizeof real, real);
  check_row(HEADER("<f8", "(2, 1)"), real, sizeof real, real);
  check_row(HEADER("<f4", "(1,2)"), single, sizeof single, real);
  const double integers[2] = {-3.0, 100.0};
  check_row(HEADER("|i1", "(2,)"), (int8_t[]){-3, 100}, 2, integers);
  check_row(HEADER("<i2", "(2,)"), (int16_t[]){-3, 100}, 4, integers);
  check_row(HEADER("<i4", "(2,)"), (int32_t[]){-3, 100}, 8, integers);
  check_row(HEADER("<i8", "(2,)"), (int64_t[]){-3, 100}, 16, integers);
  const double naturals[2] = {253.0, 100.0};
  check_row(HEADER("|u1", "(2,)"), (uint8_t[]){253, 100}, 2, naturals);
  check_row(HEADER("<u2", "(2,)"), (uint16_t[]){253, 100}, 4, naturals);
  check_row(HEADER("<u4", "(2,)"), (uint32_t[]){253, 100}, 8, naturals);
  check_row(HEADER("<u8", "(2,)"), (uint64_t[]){253, 100}, 16, naturals);
}

static void rows_can_be_read_from_the_middle(void **state)
{
  (void)state;
  const char *path = scratch("middle.npy");
  double data[5][3];
  double values[2][3];
  bm_npy_t npy;
  for (int i = 0; i < 15; i++) {
    data[i / 3][i % 3] = i;
  }
  write_npy(path, 1, HEADER("<f8", "(5, 3)"), data, sizeof data);
  assert_int_equal(bm_npy_open(path, &npy), BM_OK);
  assert_int_equal(bm_npy_read_rows(path, &npy, 2, 2, values[0]), BM_OK);
  assert_memory_equal(values, data[2], sizeof values);
  assert_int_equal(bm_npy_read_rows(path, &npy, 5, 0, values[0]), BM_OK);
  assert_int_equal(bm_npy_read_rows(path, &npy, 4, 2, values[0]), BM_ERR_IO);
  unlink(path);
}

static void headers_that_cannot_be_read_are_refused(void **state)
{
  (void)state;
  const char *const headers[] = {
      "",
      "{}",
      HEADER(">f8", "(2,)"),
      HEADER("<f2", "(2,)"),
      HEADER("<c16", "(2,)"),
      HEADER("|b1", "(2,)"),
      HEADER("|S8", "(2,)"),
      HEADER("<i3", "(2,)"),
      HEADER("<f8x", "(2,)"),
      HEADER("<f4294967300", "(4,)"),
      HEADER("<f8", "()"),
      HEADER("<f8", "(2, 1, 1)"),
      HEADER("<f8", "(-2,)"),
      HEADER("<f8", "(2"),
      HEADER("<f8", "2"),
      HEADER("<f8", "(4294967296, 4294967296)"),
      HEADER("<f8", "(3,)"),
      HEADER("<f8", "(1,)"),
      HEADER("<f8", "(99999999999999999999999, 1)"),
      "{'descr': [('x', '<f8')], 'fortran_order': False, 'shape': (2,), }",
      "{'descr': '<f8', 'fortran_order': True, 'shape': (2,), }",
      "{'descr': '<f8', 'shape': (2,), }",
      "{'fortran_order': False, 'shape': (2,), }",
      "{'descr': '<f8', 'fortran_order': False, }",
  };
  const double data[2] = {1.0, 2.0};
  for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
    const char *path = scratch("bad.npy");
    bm_npy_t npy;
    write_npy(path, 1, headers[i], data, sizeof data);
    assert_int_equal(bm_npy_open(path, &npy), BM_ERR_DATA);
    assert_message_has(path);
    unlink(path);
  }
}

static void cut_and_foreign_files_are_refused(void **state)
{
  (void)state;
  const char *path = scratch("cut.npy");
  const double data[2] = {1.0, 2.0};
  bm_npy_t npy;
  for (int version = 1; version <= 2; version++) {
    off_t whole = (off_t)write_npy(path, version, HEADER("<f8", "(2,)"), data, sizeof data);
    for (off_t size = whole - 1; size >= 0; size--) {
      assert_int_equal(truncate(path, size), 0);
      assert_int_equal(bm_npy_open(path, &npy), BM_ERR_DATA);
      assert_int_equal(bm_npy_recognise(path), size >= 6);
    }
  }
  write_npy(path, 3, HEADER("<f8", "(2,)"), data, sizeof data);
  assert_int_equal(bm_npy_open(path, &npy), BM_ERR_DATA);
  write_npy(path, 1, HEADER("<f8", "(2,)"), data, sizeof data);
  flip_bit(path, 3, 2);
  assert_int_equal(bm_npy_open(path, &npy), BM_ERR_DATA);
  assert_false(bm_npy_recognise(path));
  unlink(path);
  assert_int_equal(bm_npy_open(path, &npy), BM_ERR_IO);
  assert_false(bm_npy_recognise(path));
}

/* No flipped bit of the header makes the reader fall: it reads something of the file's length, or
 * refuses. */
static void a_flipped_header_is_read_safely(void **state)
{
  (void)state;
  const char *path = scratch("flip.npy");
  const double data[6] = {1.0, 2.0, 3.0, 4.0, 5.0, 6.0};
  off_t whole = (off_t)write_npy(path, 2, HEADER("<f8", "(2, 3)"), data, sizeof data);
  for (off_t byte = 0; byte < whole - (off_t)sizeof data; byte++) {
    for (int bit = 0; bit < 8; bit++) {
      bm_npy_t npy;
      double values[48];
      flip_bit(path, byte, bit);
      bm_status_t status = bm_npy_open(path, &npy);
      if (status == BM_OK) {
        assert_true(npy.rows * npy.columns <= 48);
        assert_int_equal(bm_npy_read_rows(path, &npy, 0, npy.rows, values), BM_OK);
      } else {
        assert_int_equal(status, BM_ERR_DATA);
      }
      flip_bit(path, byte, bit);
    }
  }
  unlink(path);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_is_read_with_its_value),
      cmocka_unit_test(rows_can_be_read_from_the_middle),
      cmocka_unit_test(headers_that_cannot_be_read_are_refused),
      cmocka_unit_test(cut_and_foreign_files_are_refused),
      cmocka_unit_test(a_flipped_header_is_read_safely),
  };
  return cmocka_run_group_tests_name("npy", tests, scratch_open, scratch_close);
}
