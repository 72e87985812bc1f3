#include <hdf5.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/coordinates.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/hdf5.h"
#include "boltzmap/io/npy.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/watch.h"

#define BM_TRANSFER_BYTES \
  ((size_t)1 << 28) /* a read: what a slow disk gives in the time of bm_watch_start */

/* What a file turned out to hold. */
typedef struct {
  size_t n, width;              /* rows, stored columns a row */
  size_t particles, dimensions; /* of an H5MD frame of three stored components; 0: plain rows */
  size_t walkers;
} shape_t;

/* Stored columns that are kept, in order. */
typedef struct {
  size_t *index;
  size_t count;
} columns_t;

static bm_status_t choose_columns(const char *path, const shape_t *shape,
                                  const bm_samples_selection_t *selection, columns_t *columns)
{
  size_t d = shape->particles > 0 ? shape->particles * shape->dimensions : shape->width;
  size_t asked = selection == NULL ? 0 : selection->column_count;
  columns->count = asked > 0 ? asked : d;
  BM_TRY(BM_ALLOC(columns->count, &columns->index));
  for (size_t k = 0; k < columns->count; k++) {
    size_t column = asked > 0 ? selection->columns[k] : k;
    if (column >= d) {
      return BM_FAIL(BM_ERR_DATA, "%s: column %zu asked, but there are %zu (counted from 0)", path,
                     column, d);
    }
    columns->index[k] =
        shape->particles > 0 ? column / shape->dimensions * 3 + column % shape->dimensions : column;
  }
  return BM_OK;
}

/* Pick the kept columns of stored rows; a value that is not finite is refused. */
static bm_status_t take_rows(const char *path, const shape_t *shape, const columns_t *columns,
                             const bm_samples_selection_t *selection,
                             const double *stored /* [rows][width] */, bm_samples_t *samples)
{
  const size_t *asked =
      selection != NULL && selection->column_count > 0 ? selection->columns : NULL;
  for (size_t i = 0; i < samples->rows.count; i++) {
    for (size_t k = 0; k < columns->count; k++) {
      double value = stored[i * shape->width + columns->index[k]];
      if (!isfinite(value)) {
        return BM_FAIL(BM_ERR_DATA, "%s: row %zu, column %zu is not a finite number", path,
                       samples->rows.first + i, asked != NULL ? asked[k] : k);
      }
      samples->x[i * columns->count + k] = value;
    }
  }
  return BM_OK;
}

/* Numeric data sets of the root group: how many, and the first one's name. */
typedef struct {
  int count;
  char name[256];
} candidates_t;

static herr_t count_dataset(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
  (void)info;
  candidates_t *found = data;
  hid_t object = H5Oopen(group, name, H5P_DEFAULT);
  if (object >= 0 && H5Iget_type(object) == H5I_DATASET) {
    hid_t type = H5Dget_type(object);
    H5T_class_t class = type < 0 ? H5T_NO_CLASS : H5Tget_class(type);
    if ((class == H5T_FLOAT || class == H5T_INTEGER) && found->count++ == 0) {
      snprintf(found->name, sizeof found->name, "/%s", name);
    }
    if (type >= 0) {
      H5Tclose(type);
    }
  }
  if (object >= 0) {
    H5Oclose(object);
  }
  return 0;
}

static herr_t first_link(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
  (void)group;
  (void)info;
  candidates_t *found = data;
  snprintf(found->name, sizeof found->name, "/particles/%s/position/value", name);
  return 1;
}

/* Those of the first group of particles. */
static bm_status_t find_positions(hid_t file, const char *path, candidates_t *found)
{
  hid_t particles = H5Gopen2(file, "particles", H5P_DEFAULT);
  BM_TRY(bm_hdf5_content_status(particles, path, "open its particles"));
  herr_t result = H5Literate(particles, H5_INDEX_NAME, H5_ITER_INC, NULL, first_link, found);
  H5Gclose(particles);
  BM_TRY(bm_hdf5_content_status(result, path, "list its particles"));
  return found->name[0] != '\0'
             ? BM_OK
             : BM_FAIL(BM_ERR_DATA,
                       "%s: its group 'particles' is empty; name a data set with --dataset", path);
}

/* An H5MD element is a group with a value. */
static bm_status_t open_by_name(hid_t file, const char *path, const char *name, hid_t *dataset)
{
  char group[300];
  snprintf(group, sizeof group, "%s/value", name);
  const char *const names[] = {name, group};
  *dataset = -1;
  for (size_t i = 0; i < 2 && *dataset < 0; i++) {
    *dataset = H5Dopen2(file, names[i], H5P_DEFAULT);
    if (bm_hdf5_content_status(*dataset, path, "open a data set") == BM_ERR_IO) {
      return BM_ERR_IO;
    }
  }
  return *dataset >= 0 ? BM_OK
                       : BM_FAIL(BM_ERR_DATA, "%s: no data set '%s' in this file", path, name);
}

/* The data set to read: as asked, or an H5MD file's positions, or the only one there is. */
static bm_status_t find_dataset(hid_t file, const char *path, const char *asked, hid_t *dataset)
{
  candidates_t found = {0, ""};
  const char *name = asked;
  int is_h5md;
  BM_TRY(bm_hdf5_exists(H5Lexists(file, "particles", H5P_DEFAULT), path, &is_h5md));
  if (asked == NULL && is_h5md) {
    BM_TRY(find_positions(file, path, &found));
    name = found.name;
  } else if (asked == NULL) {
    herr_t result = H5Literate(file, H5_INDEX_NAME, H5_ITER_INC, NULL, count_dataset, &found);
    BM_TRY(bm_hdf5_content_status(result, path, "list its data sets"));
    if (found.count != 1) {
      return BM_FAIL(BM_ERR_DATA, "%s: holds %d data sets at its top; name one with --dataset",
                     path, found.count);
    }
    name = found.name;
  }
  return open_by_name(file, path, name, dataset);
}

/* What this program leaves beside the rows; `particles` is their number where rows are of three components,
 * else 0. */
static bm_status_t read_parameters(hid_t file, const char *path, size_t particles, shape_t *shape)
{
  long long walkers = 1;
  long long dimensions = 3;
  int exists;
  BM_TRY(bm_hdf5_exists(H5Lexists(file, "parameters", H5P_DEFAULT), path, &exists));
  if (!exists) {
    return BM_OK;
  }
  hid_t parameters = H5Gopen2(file, "parameters", H5P_DEFAULT);
  BM_TRY(bm_hdf5_content_status(parameters, path, "open the parameters"));
  bm_status_t status = bm_hdf5_read_int(parameters, path, "walkers", &walkers);
  if (status == BM_OK) {
    status = bm_hdf5_read_int(parameters, path, "dimensions", &dimensions);
  }
  H5Gclose(parameters);
  shape->walkers = walkers > 0 ? (size_t)walkers : 1;
  if (particles > 0 && dimensions >= 1 && dimensions <= 3) {
    shape->particles = particles;
    shape->dimensions = (size_t)dimensions;
  }
  return status;
}

static bm_status_t dataset_shape(hid_t file, hid_t dataset, const char *path, shape_t *shape)
{
  hid_t type = H5Dget_type(dataset);
  BM_TRY(bm_hdf5_content_status(type, path, "get the type of a data set"));
  H5T_class_t class = H5Tget_class(type);
  H5Tclose(type);
  if (class != H5T_FLOAT && class != H5T_INTEGER) {
    return BM_FAIL(BM_ERR_DATA, "%s: the data set does not hold numbers", path);
  }
  hid_t space = H5Dget_space(dataset);
  BM_TRY(bm_hdf5_content_status(space, path, "get the shape of a data set"));
  int rank = H5Sget_simple_extent_ndims(space);
  hsize_t size[3] = {0, 1, 1};
  if (rank >= 1 && rank <= 3) {
    H5Sget_simple_extent_dims(space, size, NULL);
  }
  H5Sclose(space);
  if (rank < 1 || rank > 3) {
    return BM_FAIL(BM_ERR_DATA, "%s: the data set has %d dimensions; 1, 2 or 3 can be read", path,
                   rank);
  }
  if (size[0] > SIZE_MAX / 8 / (size[1] + 1) / (size[2] + 1)) {
    return BM_FAIL(BM_ERR_DATA, "%s: the data set is too large", path);
  }
  *shape = (shape_t){size[0], size[1] * size[2], 0, 0, 1};
  return read_parameters(file, path, rank == 3 && size[2] == 3 ? size[1] : 0, shape);
}

static bm_status_t check_shape(const char *path, shape_t *shape)
{
  if (shape->n == 0 || shape->width == 0) {
    return BM_FAIL(BM_ERR_DATA, "%s: the data set is empty", path);
  }
  if (shape->n % shape->walkers != 0) {
    shape->walkers = 1;
  }
  return BM_OK;
}

/* Read some rows, all stored columns, as float64. */
static bm_status_t read_piece(hid_t dataset, const char *path, bm_range_t rows, double *stored)
{
  hid_t memory = -1, space = -1;
  bm_watch_t watch;
  BM_TRY(bm_hdf5_select_rows(dataset, path, rows.first, rows.count, &memory, &space));
  bm_watch_start(&watch, "read", path);
  herr_t result = H5Dread(dataset, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, stored);
  bm_watch_end(&watch);
  bm_status_t status = bm_hdf5_content_status(result, path, "read rows");
  bm_hdf5_close_selection(&memory, &space);
  return status;
}

/* Read this rank's rows in pieces. */
static bm_status_t read_hdf5_rows(hid_t dataset, const char *path, size_t width,
                                  const bm_samples_t *samples, double *stored)
{
  const size_t most = BM_TRANSFER_BYTES / (width * sizeof *stored) + 1;
  const bm_range_t rows = samples->rows;
  for (size_t done = 0; done < rows.count; done += most) {
    const size_t left = rows.count - done;
    const bm_range_t piece = {rows.first + done, left < most ? left : most};
    BM_TRY(read_piece(dataset, path, piece, stored + done * width));
  }
  return BM_OK;
}

/* One that no machine like this has room for would end in the failure of an allocation. */
static bm_status_t check_size(const bm_context_t *context, const char *path, const shape_t *shape)
{
  const double bytes = 8.0 * (double)shape->n * (double)shape->width / context->size;
  if (bytes > bm_memory_size()) {
    return BM_FAIL(BM_ERR_DATA,
                   "%s: %zu rows of %zu columns are %.3g GB a rank; the memory has %.3g", path,
                   shape->n, shape->width, bytes / 1e9, bm_memory_size() / 1e9);
  }
  return BM_OK;
}

/* From an open data set to this rank's part of a sample set. */
static bm_status_t load_dataset(const bm_context_t *context, hid_t dataset, const char *path,
                                const shape_t *shape, const bm_samples_selection_t *selection,
                                bm_samples_t **out)
{
  columns_t columns = {NULL, 0};
  double *stored = NULL;
  bm_status_t status = check_size(context, path, shape);
  if (status == BM_OK) {
    status = choose_columns(path, shape, selection, &columns);
  }
  if (status == BM_OK) {
    status = bm_samples_create(context, shape->n, columns.count, shape->walkers, out);
  }
  if (status == BM_OK) {
    status = BM_ALLOC((*out)->rows.count * shape->width, &stored);
  }
  if (status == BM_OK) {
    status = read_hdf5_rows(dataset, path, shape->width, *out, stored);
  }
  if (status == BM_OK) {
    status = take_rows(path, shape, &columns, selection, stored, *out);
  }
  bm_free(stored);
  bm_free(columns.index);
  return status;
}

/* The data set to read and its shape. */
static bm_status_t open_dataset(hid_t file, const char *path,
                                const bm_samples_selection_t *selection, hid_t *dataset,
                                shape_t *shape)
{
  bm_watch_t watch;
  bm_watch_start(&watch, "read", path);
  bm_status_t status =
      find_dataset(file, path, selection == NULL ? NULL : selection->dataset, dataset);
  if (status == BM_OK) {
    status = dataset_shape(file, *dataset, path, shape);
  }
  bm_watch_end(&watch);
  return status == BM_OK ? check_shape(path, shape) : status;
}

/* Each rank opens the file for itself and reads its own rows: one that cannot leaves nobody waiting. */
static bm_status_t read_hdf5(const bm_context_t *context, const char *path,
                             const bm_samples_selection_t *selection, bm_samples_t **out)
{
  hid_t dataset = -1;
  shape_t shape = {0, 0, 0, 0, 1};
  hid_t file = bm_hdf5_open_file(path);
  bm_status_t status = bm_hdf5_content_status(file, path, "open as HDF5");
  if (status == BM_OK) {
    status = open_dataset(file, path, selection, &dataset, &shape);
  }
  if (status == BM_OK) {
    status = load_dataset(context, dataset, path, &shape, selection, out);
  }
  if (dataset >= 0) {
    H5Dclose(dataset);
  }
  bm_hdf5_close_file(file, path);
  return bm_agree(context, status);
}

static bm_status_t read_npy(const bm_context_t *context, const char *path,
                            const bm_samples_selection_t *selection, bm_samples_t **out)
{
  shape_t shape = {0, 0, 0, 0, 1};
  bm_npy_t npy;
  columns_t columns = {NULL, 0};
  double *stored = NULL;
  bm_status_t status = bm_npy_open(path, &npy);
  if (status == BM_OK) {
    shape.n = npy.rows;
    shape.width = npy.columns;
    status = check_shape(path, &shape);
  }
  if (status == BM_OK) {
    status = check_size(context, path, &shape);
  }
  if (status == BM_OK) {
    status = choose_columns(path, &shape, selection, &columns);
  }
  if (status == BM_OK) {
    status = bm_samples_create(context, shape.n, columns.count, 1, out);
  }
  if (status == BM_OK) {
    status = BM_ALLOC((*out)->rows.count * shape.width, &stored);
  }
  if (status == BM_OK) {
    status = bm_npy_read_rows(path, &npy, (*out)->rows.first, (*out)->rows.count, stored);
  }
  if (status == BM_OK) {
    status = take_rows(path, &shape, &columns, selection, stored, *out);
  }
  bm_free(stored);
  bm_free(columns.index);
  return bm_agree(context, status);
}

/* One configuration of a molecule. */
static bm_status_t read_coordinates(const bm_context_t *context, const char *path,
                                    const bm_samples_selection_t *selection, bm_samples_t **out)
{
  bm_coordinates_t coordinates;
  columns_t columns = {NULL, 0};
  bm_status_t status = bm_coordinates_read(path, &coordinates);
  const shape_t shape = {1, 3 * coordinates.atoms, 0, 0, 1};
  if (status == BM_OK) {
    status = choose_columns(path, &shape, selection, &columns);
  }
  if (status == BM_OK) {
    status = bm_samples_create(context, 1, columns.count, 1, out);
  }
  if (status == BM_OK && (*out)->rows.count > 0) {
    status = take_rows(path, &shape, &columns, selection, coordinates.x, *out);
  }
  bm_free(coordinates.x);
  bm_free(columns.index);
  return bm_agree(context, status);
}

typedef enum { KIND_HDF5, KIND_NPY, KIND_COORDINATES } kind_t;

static bm_status_t recognise(const char *path, kind_t *kind)
{
  if (bm_npy_recognise(path)) {
    *kind = KIND_NPY;
  } else if (H5Fis_hdf5(path) > 0) {
    *kind = KIND_HDF5;
  } else if (bm_coordinates_recognise(path)) {
    *kind = KIND_COORDINATES;
  } else {
    return BM_FAIL(BM_ERR_DATA, "%s: neither HDF5 nor .npy, AMBER restart or PDB", path);
  }
  return BM_OK;
}

/* Which reader; decided by rank 0, with the seal of our own files checked before any parsing. */
static bm_status_t find_kind(const char *path, kind_t *kind)
{
  bm_seal_t seal;
  bm_watch_t watch;
  BM_TRY(bm_file_check_seal(path, &seal));
  if (seal == BM_SEAL_BROKEN) {
    return BM_FAIL(BM_ERR_DATA, "%s: damaged: its checksum does not match its content", path);
  }
  bm_watch_start(&watch, "read", path);
  bm_status_t status = recognise(path, kind);
  bm_watch_end(&watch);
  return status;
}

bm_status_t bm_samples_read(const bm_context_t *context, const char *path,
                            const bm_samples_selection_t *selection, bm_samples_t **out)
{
  *out = NULL;
  kind_t kind = KIND_HDF5;
  bm_status_t status = BM_OK;
  if (bm_context_is_root(context)) {
    status = find_kind(path, &kind);
  }
  BM_TRY_AGREE(context, status);
  BM_TRY(bm_broadcast(context, &kind, sizeof kind));
  switch (kind) {
  case KIND_HDF5:
    status = read_hdf5(context, path, selection, out);
    break;
  case KIND_NPY:
    status = read_npy(context, path, selection, out);
    break;
  case KIND_COORDINATES:
    status = read_coordinates(context, path, selection, out);
    break;
  }
  if (status != BM_OK) {
    bm_samples_destroy(out);
  }
  return status;
}

/* Rank 0's part: 0 unless the file is sealed, whole and has a fingerprint. */
static uint64_t stored_fingerprint(const char *path)
{
  bm_seal_t seal = BM_SEAL_NONE;
  if (!bm_file_exists(path) || bm_file_check_seal(path, &seal) != BM_OK || seal != BM_SEAL_GOOD) {
    return 0;
  }
  uint64_t fingerprint = 0;
  hid_t file = bm_hdf5_open_file(path);
  hid_t group = file < 0 ? -1 : H5Gopen2(file, "parameters", H5P_DEFAULT);
  char *text = NULL;
  if (group >= 0 && bm_hdf5_read_string(group, path, "fingerprint", &text) == BM_OK) {
    fingerprint = strtoull(text, NULL, 16);
  }
  bm_free(text);
  if (group >= 0) {
    H5Gclose(group);
  }
  bm_hdf5_close_file(file, path);
  return fingerprint;
}

uint64_t bm_samples_fingerprint(const bm_context_t *context, const char *path)
{
  uint64_t fingerprint = bm_context_is_root(context) ? stored_fingerprint(path) : 0;
  if (bm_broadcast(context, &fingerprint, sizeof fingerprint) != BM_OK) {
    return 0;
  }
  return fingerprint;
}
