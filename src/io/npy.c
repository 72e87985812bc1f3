#include "boltzmap/io/npy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "boltzmap/base/memory.h"

#define BM_NPY_MAGIC "\x93NUMPY"
#define BM_NPY_MAGIC_BYTES 6
#define BM_NPY_HEADER_MAX 65536

int bm_npy_recognise(const char *path)
{
  char start[BM_NPY_MAGIC_BYTES] = {0};
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    return 0;
  }
  size_t got = fread(start, 1, sizeof start, file);
  fclose(file);
  return got == sizeof start && memcmp(start, BM_NPY_MAGIC, sizeof start) == 0;
}

static bm_status_t bad_header(const char *path, const char *what)
{
  return BM_FAIL(BM_ERR_DATA, "%s: .npy header: %s", path, what);
}

/* The text behind "'key':" in the header's dictionary; NULL where it is missing. */
static const char *value_of(const char *header, const char *key)
{
  char quoted[32];
  snprintf(quoted, sizeof quoted, "'%s':", key);
  const char *found = strstr(header, quoted);
  if (found == NULL) {
    return NULL;
  }
  found += strlen(quoted);
  return found + strspn(found, " ");
}

static bm_status_t parse_type(const char *path, const char *text, bm_npy_t *npy)
{
  char order = 0;
  char digit = 0;
  char end = 0;
  if (text == NULL || *text != '\'') {
    return bad_header(path, "no simple 'descr'");
  }
  int is_short = sscanf(text, "'%c%c%c%c", &order, &npy->kind, &digit, &end) == 4 && end == '\'';
  npy->item_bytes = digit >= '0' && digit <= '9' ? (size_t)(digit - '0') : 0;
  const size_t bytes = npy->item_bytes;
  int is_float = npy->kind == 'f' && (bytes == 4 || bytes == 8);
  int is_integer = (npy->kind == 'i' || npy->kind == 'u') &&
                   (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8);
  if (!is_short || (order != '<' && order != '|') || (!is_float && !is_integer)) {
    return bad_header(path, "only little-endian float32, float64 and integers can be read");
  }
  return BM_OK;
}

static bm_status_t parse_shape(const char *path, const char *text, bm_npy_t *npy)
{
  unsigned long long rows = 0;
  unsigned long long columns = 1;
  char end = 0;
  if (text != NULL && sscanf(text, "(%18llu,%c", &rows, &end) == 2 && end == ')') {
    columns = 1;
  } else if (text == NULL || sscanf(text, "(%18llu, %18llu%c", &rows, &columns, &end) != 3 ||
             end != ')') {
    return bad_header(path, "one or two dimensions are needed");
  }
  if (columns != 0 && rows > SIZE_MAX / 8 / columns) {
    return bad_header(path, "the shape is too large");
  }
  npy->rows = (size_t)rows;
  npy->columns = (size_t)columns;
  return BM_OK;
}

/* Parse the header's dictionary. */
static bm_status_t parse_header(const char *path, const char *header, bm_npy_t *npy)
{
  BM_TRY(parse_type(path, value_of(header, "descr"), npy));
  const char *order = value_of(header, "fortran_order");
  if (order == NULL || strncmp(order, "False", 5) != 0) {
    return bad_header(path, "only C order can be read (numpy.ascontiguousarray)");
  }
  return parse_shape(path, value_of(header, "shape"), npy);
}

static bm_status_t read_header(const char *path, FILE *file, bm_npy_t *npy)
{
  unsigned char start[12];
  if (fread(start, 1, 10, file) != 10 || memcmp(start, BM_NPY_MAGIC, BM_NPY_MAGIC_BYTES) != 0) {
    return bad_header(path, "not a .npy file");
  }
  size_t length = (size_t)start[8] | (size_t)start[9] << 8;
  npy->data_offset = 10;
  if (start[6] == 2) {
    if (fread(start + 10, 1, 2, file) != 2) {
      return bad_header(path, "cut short");
    }
    length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
    npy->data_offset = 12;
  } else if (start[6] != 1) {
    return bad_header(path, "only format versions 1 and 2 can be read");
  }
  if (length > BM_NPY_HEADER_MAX) {
    return bad_header(path, "too long");
  }
  npy->data_offset += length;
  char *header = NULL;
  BM_TRY(BM_ALLOC(length + 1, &header));
  bm_status_t status = fread(header, 1, length, file) == length ? parse_header(path, header, npy)
                                                                : bad_header(path, "cut short");
  bm_free(header);
  return status;
}

bm_status_t bm_npy_open(const char *path, bm_npy_t *npy)
{
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    return BM_FAIL(BM_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
  }
  struct stat info;
  bm_status_t status = read_header(path, file, npy);
  if (status == BM_OK && fstat(fileno(file), &info) != 0) {
    status = BM_FAIL(BM_ERR_IO, "%s: cannot stat: %s", path, strerror(errno));
  } else if (status == BM_OK) {
    uint64_t expected = npy->data_offset + npy->rows * npy->columns * npy->item_bytes;
    if ((uint64_t)info.st_size != expected) {
      status = BM_FAIL(BM_ERR_DATA, "%s: %llu bytes long where its header asks for %llu", path,
                       (unsigned long long)info.st_size, (unsigned long long)expected);
    }
  }
  fclose(file);
  return status;
}

static double item_value(const unsigned char *item, char kind, size_t bytes)
{
  uint64_t bits = 0;
  memcpy(&bits, item, bytes);
  if (kind == 'u') {
    return (double)bits;
  }
  if (kind == 'i') {
    unsigned shift = (unsigned)(64 - 8 * bytes);
    return (double)((int64_t)(bits << shift) >> shift);
  }
  if (bytes == 8) {
    double value;
    memcpy(&value, item, sizeof value);
    return value;
  }
  float value;
  memcpy(&value, item, sizeof value);
  return (double)value;
}

bm_status_t bm_npy_read_rows(const char *path, const bm_npy_t *npy, size_t first, size_t count,
                             double *values /* [count][columns] */)
{
  size_t row_bytes = npy->columns * npy->item_bytes;
  unsigned char *row = NULL;
  BM_TRY(BM_ALLOC(row_bytes, &row));
  bm_status_t status = BM_OK;
  FILE *file = fopen(path, "rb");
  if (file == NULL || fseeko(file, (off_t)(npy->data_offset + first * row_bytes), SEEK_SET) != 0) {
    status = BM_FAIL(BM_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
  }
  for (size_t i = 0; status == BM_OK && i < count; i++) {
    if (fread(row, 1, row_bytes, file) != row_bytes) {
      status = BM_FAIL(BM_ERR_IO, "%s: cannot read row %zu", path, first + i);
    }
    for (size_t k = 0; k < npy->columns && status == BM_OK; k++) {
      values[i * npy->columns + k] =
          item_value(row + k * npy->item_bytes, npy->kind, npy->item_bytes);
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  bm_free(row);
  return status;
}
