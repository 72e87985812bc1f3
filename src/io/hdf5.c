#include "boltzmap/io/hdf5.h"

#include <stdio.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/watch.h"

/* What HDF5 says of a failure. */
typedef struct {
  char text[256];     /* innermost message */
  int is_of_the_disk; /* reported by the driver that reads and writes */
} cause_t;

/* Where the system is to blame, HDF5's message holds its error number among much else. */
static void describe(const char *text, cause_t *cause)
{
  int error = 0;
  const char *found = strstr(text, "errno = ");
  if (found != NULL && sscanf(found, "errno = %9d", &error) == 1 && error != 0) {
    cause->is_of_the_disk = 1;
    snprintf(cause->text, sizeof cause->text, "%s%s", strerror(error), bm_file_advice(error));
  } else {
    snprintf(cause->text, sizeof cause->text, "%s", text);
  }
}

static herr_t innermost(unsigned depth, const H5E_error2_t *error, void *data)
{
  cause_t *cause = (cause_t *)data;
  if (depth == 0 && error->desc != NULL) {
    cause->is_of_the_disk = error->min_num == H5E_READERROR && error->maj_num == H5E_IO;
    describe(error->desc, cause);
  }
  return 0;
}

static cause_t find_cause(void)
{
  cause_t cause = {"unknown HDF5 error", 0};
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, &cause);
  return cause;
}

bm_status_t bm_hdf5_status(hid_t result, const char *path, const char *what)
{
  return result >= 0 ? BM_OK
                     : BM_FAIL(BM_ERR_IO, "%s: cannot %s: %s", path, what, find_cause().text);
}

bm_status_t bm_hdf5_content_status(hid_t result, const char *path, const char *what)
{
  if (result >= 0) {
    return BM_OK;
  }
  const cause_t cause = find_cause();
  return BM_FAIL(cause.is_of_the_disk ? BM_ERR_IO : BM_ERR_DATA, "%s: cannot %s: %s", path, what,
                 cause.text);
}

hid_t bm_hdf5_open_file(const char *path)
{
  bm_watch_t watch;
  bm_watch_start(&watch, "open", path);
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  bm_watch_end(&watch);
  return file;
}

void bm_hdf5_close_file(hid_t file, const char *path)
{
  if (file >= 0 && H5Fclose(file) < 0) {
    bm_context_end_job(bm_hdf5_status(-1, path, "close this file"));
  }
}

void bm_hdf5_quiet(void)
{
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static bm_status_t write_attribute(hid_t object, const char *path, const char *name, hid_t type,
                                   hid_t space, const void *value)
{
  hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  herr_t result = attribute < 0 ? -1 : H5Awrite(attribute, type, value);
  bm_status_t status = bm_hdf5_status(result, path, "write an attribute");
  if (attribute >= 0) {
    H5Aclose(attribute);
  }
  return status;
}

/* The type of strings of any length; negative where HDF5 fails. */
static hid_t string_type(H5T_cset_t characters)
{
  hid_t type = H5Tcopy(H5T_C_S1);
  if (type >= 0 && (H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, characters) < 0)) {
    H5Tclose(type);
    return -1;
  }
  return type;
}

bm_status_t bm_hdf5_write_string(hid_t object, const char *path, const char *name, const char *text)
{
  return bm_hdf5_write_strings(object, path, name, 0, &text);
}

bm_status_t bm_hdf5_write_strings(hid_t object, const char *path, const char *name, size_t count,
                                  const char *const *texts)
{
  hsize_t size = count;
  hid_t type = string_type(H5T_CSET_UTF8);
  hid_t space = count == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &size, NULL);
  bm_status_t status = bm_hdf5_status(type < 0 ? type : space, path, "make a type");
  if (status == BM_OK) {
    status = write_attribute(object, path, name, type, space, texts);
  }
  if (space >= 0) {
    H5Sclose(space);
  }
  if (type >= 0) {
    H5Tclose(type);
  }
  return status;
}

bm_status_t bm_hdf5_write_ints(hid_t object, const char *path, const char *name, size_t count,
                               const int *values)
{
  hsize_t size = count;
  hid_t space = H5Screate_simple(1, &size, NULL);
  BM_TRY(bm_hdf5_status(space, path, "make a space"));
  bm_status_t status = write_attribute(object, path, name, H5T_NATIVE_INT, space, values);
  H5Sclose(space);
  return status;
}

bm_status_t bm_hdf5_select_rows(hid_t dataset, const char *path, size_t first, size_t count,
                                hid_t *memory, hid_t *space)
{
  hsize_t start[3] = {first, 0, 0};
  hsize_t size[3] = {0, 0, 0};
  *memory = -1;
  *space = H5Dget_space(dataset);
  int rank = *space < 0 ? -1 : H5Sget_simple_extent_dims(*space, size, NULL);
  size[0] = count;
  *memory = rank < 0 ? -1 : H5Screate_simple(rank, size, NULL);
  herr_t result = *memory < 0 ? -1 : 0;
  if (result == 0 && count == 0) {
    result = H5Sselect_none(*space) < 0 || H5Sselect_none(*memory) < 0 ? -1 : 0;
  } else if (result == 0) {
    result = H5Sselect_hyperslab(*space, H5S_SELECT_SET, start, NULL, size, NULL);
  }
  bm_status_t status = bm_hdf5_status(result, path, "select rows");
  if (status != BM_OK) {
    bm_hdf5_close_selection(memory, space);
  }
  return status;
}

void bm_hdf5_close_selection(hid_t *memory, hid_t *space)
{
  if (*memory >= 0) {
    H5Sclose(*memory);
  }
  if (*space >= 0) {
    H5Sclose(*space);
  }
  *memory = *space = -1;
}

/* Attributes of other programs may hold several values, for which one pointer has no room. */
static int is_single(hid_t attribute)
{
  hid_t space = H5Aget_space(attribute);
  int single = space >= 0 && H5Sget_simple_extent_npoints(space) == 1;
  if (space >= 0) {
    H5Sclose(space);
  }
  return single;
}

static bm_status_t read_variable_string(hid_t attribute, const char *path, const char *name,
                                        char **text)
{
  char *value = NULL;
  hid_t file_type = H5Aget_type(attribute);
  H5T_cset_t characters = file_type < 0 ? H5T_CSET_ERROR : H5Tget_cset(file_type);
  hid_t memory = characters == H5T_CSET_ERROR ? -1 : string_type(characters);
  herr_t result = memory < 0 ? -1 : H5Aread(attribute, memory, &value);
  if (memory >= 0) {
    H5Tclose(memory);
  }
  if (file_type >= 0) {
    H5Tclose(file_type);
  }
  if (result < 0 || value == NULL) {
    return BM_FAIL(BM_ERR_DATA, "%s: cannot read attribute '%s'", path, name);
  }
  bm_status_t status = bm_string_copy(value, text);
  H5free_memory(value);
  return status;
}

static bm_status_t read_fixed_string(hid_t attribute, hid_t type, const char *path,
                                     const char *name, char **text)
{
  size_t size = H5Tget_size(type);
  BM_TRY(BM_ALLOC(size + 1, text));
  if (H5Aread(attribute, type, *text) < 0) {
    bm_free(*text);
    *text = NULL;
    return BM_FAIL(BM_ERR_DATA, "%s: cannot read attribute '%s'", path, name);
  }
  return BM_OK;
}

bm_status_t bm_hdf5_read_string(hid_t object, const char *path, const char *name, char **text)
{
  *text = NULL;
  hid_t attribute = H5Aexists(object, name) > 0 ? H5Aopen(object, name, H5P_DEFAULT) : -1;
  if (attribute < 0) {
    return BM_FAIL(BM_ERR_DATA, "%s: attribute '%s' is missing", path, name);
  }
  hid_t type = H5Aget_type(attribute);
  bm_status_t status = BM_OK;
  if (type < 0 || H5Tget_class(type) != H5T_STRING || !is_single(attribute)) {
    status = BM_FAIL(BM_ERR_DATA, "%s: attribute '%s' is not a string", path, name);
  } else if (H5Tis_variable_str(type) > 0) {
    status = read_variable_string(attribute, path, name, text);
  } else {
    status = read_fixed_string(attribute, type, path, name, text);
  }
  if (type >= 0) {
    H5Tclose(type);
  }
  H5Aclose(attribute);
  return status;
}

bm_status_t bm_hdf5_exists(htri_t found, const char *path, int *exists)
{
  *exists = found > 0;
  return bm_hdf5_content_status(found, path, "look into this file");
}

static bm_status_t read_number(hid_t attribute, const char *path, long long *value)
{
  BM_TRY(bm_hdf5_content_status(attribute, path, "open an attribute"));
  hid_t space = H5Aget_space(attribute);
  hssize_t count = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
  herr_t result = count < 0    ? -1
                  : count == 1 ? H5Aread(attribute, H5T_NATIVE_LLONG, value)
                               : 0; /* no number: another program's */
  bm_status_t status = bm_hdf5_content_status(result, path, "read an attribute");
  if (space >= 0) {
    H5Sclose(space);
  }
  return status;
}

bm_status_t bm_hdf5_read_int(hid_t object, const char *path, const char *name, long long *value)
{
  int exists;
  BM_TRY(bm_hdf5_exists(H5Aexists(object, name), path, &exists));
  if (!exists) {
    return BM_OK;
  }
  hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
  bm_status_t status = read_number(attribute, path, value);
  if (attribute >= 0) {
    H5Aclose(attribute);
  }
  return status;
}
