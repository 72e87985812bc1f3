#include <assert.h>
#include <hdf5.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/version.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/hdf5.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/parallel/agree.h"

#define BM_TRANSFER_BYTES ((size_t)1 << 28) /* a collective write: far below 2 GiB */
#define BM_OVERHEAD_BYTES ((size_t)1 << 16) /* of a file beside its rows, about */

struct bm_samples_writer {
  const bm_context_t *context;
  char *path, *temporary;
  size_t n, d, particles, dimensions, observable_count;
  hid_t file;
  hid_t position;    /* [n][particles][3] */
  hid_t step, time;  /* [n] */
  hid_t *observable; /* [observable_count] data sets [n] */
  hid_t collective;  /* transfer property list */
};

/* One data set with its space reserved in the file at once. */
static bm_status_t create_dataset(hid_t parent, const char *path, const char *name, hid_t type,
                                  int rank, const hsize_t *size, hid_t *out)
{
  hid_t space = H5Screate_simple(rank, size, NULL);
  hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  /* equal sets are equal files, whenever written: no times */
  int ready = space >= 0 && properties >= 0 &&
              H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY) >= 0 &&
              H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER) >= 0 &&
              H5Pset_obj_track_times(properties, 0) >= 0;
  *out = ready ? H5Dcreate2(parent, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT) : -1;
  bm_status_t status = bm_hdf5_status(*out, path, "create a data set");
  if (properties >= 0) {
    H5Pclose(properties);
  }
  if (space >= 0) {
    H5Sclose(space);
  }
  return status;
}

static bm_status_t create_group(hid_t parent, const char *path, const char *name, hid_t *out)
{
  *out = H5Gcreate2(parent, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  return bm_hdf5_status(*out, path, "create a group");
}

/* Write rows [first, first + count) of a data set. Collective; its status is this rank's own. */
static bm_status_t write_rows(const bm_samples_writer_t *writer, hid_t dataset, hid_t type,
                              size_t first, size_t count, const void *values)
{
  hid_t memory, space;
  bm_status_t status =
      bm_agree(writer->context,
               bm_hdf5_select_rows(dataset, writer->temporary, first, count, &memory, &space));
  if (status == BM_OK) {
    herr_t result = H5Dwrite(dataset, type, memory, space, writer->collective, values);
    status = bm_hdf5_status(result, writer->temporary, "write rows");
  }
  bm_hdf5_close_selection(&memory, &space);
  return status;
}

static bm_status_t write_h5md_group(hid_t file, const char *path)
{
  const int version[2] = {1, 1};
  const int units_version[2] = {1, 0};
  hid_t h5md, author, creator, modules, units;
  BM_TRY(create_group(file, path, "h5md", &h5md));
  BM_TRY(bm_hdf5_write_ints(h5md, path, "version", 2, version));
  BM_TRY(create_group(h5md, path, "author", &author));
  BM_TRY(bm_hdf5_write_string(author, path, "name", "unknown"));
  BM_TRY(create_group(h5md, path, "creator", &creator));
  BM_TRY(bm_hdf5_write_string(creator, path, "name", "boltzmap"));
  BM_TRY(bm_hdf5_write_string(creator, path, "version", bm_version()));
  BM_TRY(create_group(h5md, path, "modules", &modules));
  BM_TRY(create_group(modules, path, "units", &units));
  BM_TRY(bm_hdf5_write_ints(units, path, "version", 2, units_version));
  H5Gclose(units);
  H5Gclose(modules);
  H5Gclose(creator);
  H5Gclose(author);
  H5Gclose(h5md);
  return BM_OK;
}

static bm_status_t write_box(hid_t group, const char *path)
{
  const int dimension = 3;
  const char *const none[3] = {"none", "none", "none"};
  hid_t box;
  BM_TRY(create_group(group, path, "box", &box));
  BM_TRY(bm_hdf5_write_ints(box, path, "dimension", 1, &dimension));
  BM_TRY(bm_hdf5_write_strings(box, path, "boundary", 3, none));
  H5Gclose(box);
  return BM_OK;
}

static bm_status_t create_frames(bm_samples_writer_t *writer, hid_t group)
{
  const char *path = writer->temporary;
  const hsize_t size = writer->n;
  BM_TRY(create_dataset(group, path, "step", H5T_STD_I64LE, 1, &size, &writer->step));
  BM_TRY(create_dataset(group, path, "time", H5T_IEEE_F64LE, 1, &size, &writer->time));
  return bm_hdf5_write_string(writer->time, path, "unit", "ps");
}

/* step and time of every frame: the global row number in sampler steps. */
static bm_status_t write_frames(const bm_samples_writer_t *writer,
                                const bm_samples_content_t *content)
{
  bm_range_t rows = bm_partition(writer->n, writer->context->size, writer->context->rank);
  long long *steps = NULL;
  double *times = NULL;
  bm_status_t status = BM_ALLOC(rows.count, &steps);
  if (status == BM_OK) {
    status = BM_ALLOC(rows.count, &times);
  }
  status = bm_agree(writer->context, status);
  for (size_t i = 0; status == BM_OK && i < rows.count; i++) {
    steps[i] = (long long)((rows.first + i) * content->step_stride);
    times[i] = (double)(rows.first + i) * content->time_stride_ps;
  }
  if (status == BM_OK) {
    status = write_rows(writer, writer->step, H5T_NATIVE_LLONG, rows.first, rows.count, steps);
    bm_status_t next =
        write_rows(writer, writer->time, H5T_NATIVE_DOUBLE, rows.first, rows.count, times);
    status = bm_agree(writer->context, status == BM_OK ? next : status);
  }
  bm_free(steps);
  bm_free(times);
  return status;
}

static bm_status_t create_positions(bm_samples_writer_t *writer,
                                    const bm_samples_content_t *content)
{
  const char *path = writer->temporary;
  hid_t particles, all, position;
  BM_TRY(create_group(writer->file, path, "particles", &particles));
  BM_TRY(create_group(particles, path, "all", &all));
  BM_TRY(write_box(all, path));
  BM_TRY(create_group(all, path, "position", &position));
  const hsize_t size[3] = {writer->n, writer->particles, 3};
  hid_t type = content->single_precision ? H5T_IEEE_F32LE : H5T_IEEE_F64LE;
  BM_TRY(create_dataset(position, path, "value", type, 3, size, &writer->position));
  BM_TRY(bm_hdf5_write_string(writer->position, path, "unit", content->length_unit));
  BM_TRY(create_frames(writer, position));
  H5Gclose(position);
  H5Gclose(all);
  H5Gclose(particles);
  return BM_OK;
}

/* An observable is a group with the frames of the positions linked in. */
static bm_status_t create_observables(bm_samples_writer_t *writer,
                                      const bm_samples_content_t *content)
{
  const char *path = writer->temporary;
  const hsize_t size = writer->n;
  hid_t observables;
  BM_TRY(create_group(writer->file, path, "observables", &observables));
  for (size_t k = 0; k < writer->observable_count; k++) {
    hid_t group;
    BM_TRY(create_group(observables, path, content->observables[k].name, &group));
    BM_TRY(create_dataset(group, path, "value", H5T_IEEE_F64LE, 1, &size, &writer->observable[k]));
    BM_TRY(bm_hdf5_write_string(writer->observable[k], path, "unit", content->observables[k].unit));
    const char *const frames[] = {"step", "time"};
    for (int i = 0; i < 2; i++) {
      char source[64];
      snprintf(source, sizeof source, "/particles/all/position/%s", frames[i]);
      BM_TRY(bm_hdf5_status(
          H5Lcreate_hard(writer->file, source, group, frames[i], H5P_DEFAULT, H5P_DEFAULT), path,
          "link the frames"));
    }
    H5Gclose(group);
  }
  H5Gclose(observables);
  return BM_OK;
}

static bm_status_t write_parameters(const bm_samples_writer_t *writer,
                                    const bm_samples_content_t *content, size_t walkers)
{
  const char *path = writer->temporary;
  hid_t group;
  BM_TRY(create_group(writer->file, path, "parameters", &group));
  const int count = (int)walkers;
  const int dimensions = (int)writer->dimensions;
  BM_TRY(bm_hdf5_write_ints(group, path, "walkers", 1, &count));
  BM_TRY(bm_hdf5_write_ints(group, path, "dimensions", 1, &dimensions));
  char fingerprint[17];
  snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)content->fingerprint);
  BM_TRY(bm_hdf5_write_string(group, path, "fingerprint", fingerprint));
  BM_TRY(bm_hdf5_write_string(group, path, "program_version", bm_version()));
  BM_TRY(bm_hdf5_write_string(group, path, "program_revision", bm_revision()));
  for (size_t i = 0; i < content->provenance_count; i++) {
    BM_TRY(bm_hdf5_write_string(group, path, content->provenance[i].name,
                                content->provenance[i].text));
  }
  H5Gclose(group);
  return BM_OK;
}

static bm_status_t create_file(bm_samples_writer_t *writer)
{
  const bm_context_t *context = writer->context;
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  hid_t creation = H5Pcreate(H5P_FILE_CREATE);
  int ready = access >= 0 && creation >= 0 &&
              H5Pset_fapl_mpio(access, context->comm, MPI_INFO_NULL) >= 0 &&
              H5Pset_libver_bounds(access, H5F_LIBVER_EARLIEST, H5F_LIBVER_V110) >= 0 &&
              H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0 &&
              H5Pset_userblock(creation, BM_SEAL_BYTES) >= 0;
  bm_status_t status =
      bm_agree(context, bm_hdf5_status(ready ? 0 : -1, writer->temporary, "prepare this file"));
  if (status == BM_OK) {
    writer->file = H5Fcreate(writer->temporary, H5F_ACC_TRUNC, creation, access);
    status = bm_hdf5_status(writer->file, writer->temporary, "create this file");
  }
  if (creation >= 0) {
    H5Pclose(creation);
  }
  if (access >= 0) {
    H5Pclose(access);
  }
  return bm_agree(context, status);
}

/* A collective write to a full disk may report success or never return, and HDF5 cannot close a file
 * that it could not write. So before HDF5 has the file, the space is asked for by estimate. */
static bm_status_t try_space(const bm_samples_writer_t *writer, const bm_samples_content_t *content)
{
  size_t row = writer->particles * 3 * (content->single_precision ? 4 : 8) + 16 +
               8 * content->observable_count;
  bm_status_t status = BM_OK;
  if (bm_context_is_root(writer->context)) {
    status = bm_file_reserve(writer->temporary, writer->n * row + BM_OVERHEAD_BYTES);
    if (status != BM_OK) {
      unlink(writer->temporary);
    }
  }
  return bm_agree(writer->context, status);
}

/* Keep the space of the whole file before anything is written: HDF5 tells the size only until then. */
static bm_status_t keep_space(const bm_samples_writer_t *writer)
{
  hsize_t size = 0;
  bm_status_t status =
      bm_hdf5_status(H5Fget_filesize(writer->file, &size), writer->temporary, "get the size");
  if (status == BM_OK && bm_context_is_root(writer->context)) {
    status = bm_file_reserve(writer->temporary, size);
  }
  return bm_agree(writer->context, status);
}

static bm_status_t create_objects(bm_samples_writer_t *writer, const bm_samples_content_t *content,
                                  size_t walkers)
{
  BM_TRY(bm_hdf5_transfer_together(writer->temporary, &writer->collective));
  BM_TRY(write_h5md_group(writer->file, writer->temporary));
  BM_TRY(create_positions(writer, content));
  BM_TRY(create_observables(writer, content));
  return write_parameters(writer, content, walkers);
}

/* Everything but the rows. */
static bm_status_t create_content(bm_samples_writer_t *writer, const bm_samples_content_t *content,
                                  size_t walkers)
{
  BM_TRY(try_space(writer, content));
  BM_TRY(create_file(writer));
  BM_TRY_AGREE(writer->context, create_objects(writer, content, walkers));
  BM_TRY(keep_space(writer));
  BM_TRY(write_frames(writer, content));
  return bm_hdf5_status(H5Fflush(writer->file, H5F_SCOPE_GLOBAL), writer->temporary, "flush");
}

/* The name that rank 0 marks as its own. */
static bm_status_t choose_temporary(bm_samples_writer_t *writer)
{
  bm_status_t status = BM_OK;
  if (bm_context_is_root(writer->context)) {
    status = bm_file_temporary_name(writer->path, &writer->temporary);
  }
  BM_TRY_AGREE(writer->context, status);
  return bm_broadcast_string(writer->context, &writer->temporary);
}

bm_status_t bm_samples_writer_create(const bm_context_t *context, const char *path, size_t n,
                                     size_t d, size_t walkers, const bm_samples_content_t *content,
                                     bm_samples_writer_t **out)
{
  assert(content->particles * content->dimensions == d && content->dimensions <= 3);
  bm_samples_writer_t *writer = NULL;
  *out = NULL;
  bm_status_t status = BM_ALLOC(1, &writer);
  if (status == BM_OK) {
    *writer = (bm_samples_writer_t){.context = context,
                                    .n = n,
                                    .d = d,
                                    .particles = content->particles,
                                    .dimensions = content->dimensions,
                                    .observable_count = content->observable_count,
                                    .file = -1,
                                    .position = -1,
                                    .collective = -1};
    status = bm_string_copy(path, &writer->path);
  }
  if (status == BM_OK) {
    status = BM_ALLOC(content->observable_count, &writer->observable);
  }
  status = bm_agree(context, status);
  if (status == BM_OK) {
    status = choose_temporary(writer);
  }
  if (status == BM_OK) {
    status = bm_agree(context, create_content(writer, content, walkers));
  }
  if (status != BM_OK) {
    bm_samples_writer_abandon(&writer);
    return status;
  }
  *out = writer;
  return BM_OK;
}

/* Pad d = particles·dimensions columns to particles·3. */
static void pad(const bm_samples_writer_t *writer, size_t count, const double *x, double *padded)
{
  for (size_t i = 0; i < count * writer->particles; i++) {
    for (size_t k = 0; k < 3; k++) {
      padded[i * 3 + k] = k < writer->dimensions ? x[i * writer->dimensions + k] : 0.0;
    }
  }
}

/* One collective round of every data set; `total` is the length of the caller's whole piece. */
static bm_status_t write_round(bm_samples_writer_t *writer, size_t first, size_t count,
                               const double *x, const double *observables, size_t total)
{
  double *padded = NULL;
  BM_TRY_AGREE(writer->context, BM_ALLOC(count * writer->particles * 3, &padded));
  pad(writer, count, x, padded);
  bm_status_t status =
      write_rows(writer, writer->position, H5T_NATIVE_DOUBLE, first, count, padded);
  bm_free(padded);
  for (size_t k = 0; k < writer->observable_count; k++) {
    bm_status_t next = write_rows(writer, writer->observable[k], H5T_NATIVE_DOUBLE, first, count,
                                  count > 0 ? observables + k * total : NULL);
    status = status == BM_OK ? next : status;
  }
  return bm_agree(writer->context, status);
}

bm_status_t bm_samples_writer_write(bm_samples_writer_t *writer, bm_range_t rows, const double *x,
                                    const double *observables)
{
  size_t most = BM_TRANSFER_BYTES / (writer->particles * 3 * sizeof(double)) + 1;
  unsigned long long rounds = (rows.count + most - 1) / most;
  BM_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &rounds, 1, MPI_UNSIGNED_LONG_LONG, MPI_MAX,
                           writer->context->comm));
  for (size_t round = 0; round < rounds; round++) {
    size_t done = round * most < rows.count ? round * most : rows.count;
    size_t left = rows.count - done;
    size_t count = left < most ? left : most;
    BM_TRY(write_round(writer, rows.first + done, count, x + done * writer->d,
                       observables == NULL ? NULL : observables + done, rows.count));
  }
  return BM_OK;
}

static bm_status_t close_file(bm_samples_writer_t *writer)
{
  herr_t result = 0;
  if (writer->file >= 0) {
    result = H5Fclose(writer->file); /* strong: closes what is open in it */
  }
  bm_status_t status = bm_hdf5_status(result, writer->temporary, "close");
  writer->file = -1;
  if (writer->collective >= 0) {
    H5Pclose(writer->collective);
  }
  writer->collective = -1;
  return status;
}

static void free_writer(bm_samples_writer_t **writer)
{
  bm_free((*writer)->observable);
  bm_free((*writer)->temporary);
  bm_free((*writer)->path);
  bm_free(*writer);
  *writer = NULL;
}

bm_status_t bm_samples_writer_finish(bm_samples_writer_t **writer)
{
  bm_samples_writer_t *self = *writer;
  bm_status_t status = bm_agree(self->context, close_file(self));
  if (status == BM_OK && bm_context_is_root(self->context)) {
    status = bm_file_seal(self->temporary);
    if (status == BM_OK) {
      status = bm_file_publish(self->temporary, self->path);
    }
  }
  status = bm_agree(self->context, status);
  if (status != BM_OK) {
    bm_samples_writer_abandon(writer);
    return status;
  }
  free_writer(writer);
  return BM_OK;
}

void bm_samples_writer_abandon(bm_samples_writer_t **writer)
{
  if (*writer == NULL) {
    return;
  }
  close_file(*writer);
  if (bm_context_is_root((*writer)->context) && (*writer)->temporary != NULL) {
    unlink((*writer)->temporary);
  }
  free_writer(writer);
}

bm_status_t bm_samples_write(const bm_context_t *context, const char *path,
                             const bm_samples_t *samples, const bm_samples_content_t *content)
{
  bm_samples_writer_t *writer = NULL;
  double *observables = NULL;
  size_t count = samples->rows.count;
  BM_TRY_AGREE(context, BM_ALLOC(content->observable_count * count, &observables));
  for (size_t k = 0; k < content->observable_count && count > 0; k++) {
    memcpy(observables + k * count, content->observables[k].values, count * sizeof(double));
  }
  bm_status_t status = bm_samples_writer_create(context, path, samples->n, samples->d,
                                                samples->walkers, content, &writer);
  if (status == BM_OK) {
    status = bm_samples_writer_write(writer, samples->rows, samples->x, observables);
  }
  if (status == BM_OK) {
    status = bm_samples_writer_finish(&writer);
  } else {
    bm_samples_writer_abandon(&writer);
  }
  bm_free(observables);
  return status;
}
