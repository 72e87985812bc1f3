#include "samples_layout.h"

#include <hdf5.h>
#include <stdio.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/version.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/hdf5.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/watch.h"

#define BM_OVERHEAD_BYTES ((size_t)1 << 16) /* of a file beside its rows, about */

typedef struct {
  const bm_context_t *context;
  const char *path;
  size_t n, walkers;
  const bm_samples_content_t *content;
  hid_t file;
  hid_t position;    /* [n][particles][3] */
  hid_t step, time;  /* [n] */
  hid_t *observable; /* [observable_count] data sets [n] */
} layout_t;

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

static bm_status_t create_frames(layout_t *layout, hid_t group)
{
  const char *path = layout->path;
  const hsize_t size = layout->n;
  BM_TRY(create_dataset(group, path, "step", H5T_NATIVE_INT64, 1, &size, &layout->step));
  BM_TRY(create_dataset(group, path, "time", H5T_NATIVE_DOUBLE, 1, &size, &layout->time));
  return bm_hdf5_write_string(layout->time, path, "unit", "ps");
}

static bm_status_t create_positions(layout_t *layout)
{
  const char *path = layout->path;
  hid_t particles, all, position;
  BM_TRY(create_group(layout->file, path, "particles", &particles));
  BM_TRY(create_group(particles, path, "all", &all));
  BM_TRY(write_box(all, path));
  BM_TRY(create_group(all, path, "position", &position));
  const hsize_t size[3] = {layout->n, layout->content->particles, 3};
  hid_t type = layout->content->single_precision ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE;
  BM_TRY(create_dataset(position, path, "value", type, 3, size, &layout->position));
  BM_TRY(bm_hdf5_write_string(layout->position, path, "unit", layout->content->length_unit));
  BM_TRY(create_frames(layout, position));
  H5Gclose(position);
  H5Gclose(all);
  H5Gclose(particles);
  return BM_OK;
}

/* An observable is a group with the frames of the positions linked in. */
static bm_status_t create_observables(layout_t *layout)
{
  const char *path = layout->path;
  const hsize_t size = layout->n;
  hid_t observables;
  BM_TRY(create_group(layout->file, path, "observables", &observables));
  for (size_t k = 0; k < layout->content->observable_count; k++) {
    hid_t group;
    BM_TRY(create_group(observables, path, layout->content->observables[k].name, &group));
    BM_TRY(
        create_dataset(group, path, "value", H5T_NATIVE_DOUBLE, 1, &size, &layout->observable[k]));
    BM_TRY(bm_hdf5_write_string(layout->observable[k], path, "unit",
                                layout->content->observables[k].unit));
    const char *const frames[] = {"step", "time"};
    for (int i = 0; i < 2; i++) {
      char source[64];
      snprintf(source, sizeof source, "/particles/all/position/%s", frames[i]);
      BM_TRY(bm_hdf5_status(
          H5Lcreate_hard(layout->file, source, group, frames[i], H5P_DEFAULT, H5P_DEFAULT), path,
          "link the frames"));
    }
    H5Gclose(group);
  }
  H5Gclose(observables);
  return BM_OK;
}

static bm_status_t write_parameters(const layout_t *layout)
{
  const char *path = layout->path;
  hid_t group;
  BM_TRY(create_group(layout->file, path, "parameters", &group));
  const int count = (int)layout->walkers;
  const int dimensions = (int)layout->content->dimensions;
  BM_TRY(bm_hdf5_write_ints(group, path, "walkers", 1, &count));
  BM_TRY(bm_hdf5_write_ints(group, path, "dimensions", 1, &dimensions));
  char fingerprint[17];
  snprintf(fingerprint, sizeof fingerprint, "%016llx",
           (unsigned long long)layout->content->fingerprint);
  BM_TRY(bm_hdf5_write_string(group, path, "fingerprint", fingerprint));
  BM_TRY(bm_hdf5_write_string(group, path, "program_version", bm_version()));
  BM_TRY(bm_hdf5_write_string(group, path, "program_revision", bm_revision()));
  for (size_t i = 0; i < layout->content->provenance_count; i++) {
    BM_TRY(bm_hdf5_write_string(group, path, layout->content->provenance[i].name,
                                layout->content->provenance[i].text));
  }
  H5Gclose(group);
  return BM_OK;
}

static bm_status_t create_file(layout_t *layout)
{
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  hid_t creation = H5Pcreate(H5P_FILE_CREATE);
  int ready = access >= 0 && creation >= 0 &&
              H5Pset_fapl_mpio(access, layout->context->comm, MPI_INFO_NULL) >= 0 &&
              H5Pset_libver_bounds(access, H5F_LIBVER_EARLIEST, H5F_LIBVER_V110) >= 0 &&
              H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0 &&
              H5Pset_userblock(creation, BM_SEAL_BYTES) >= 0;
  layout->file = ready ? H5Fcreate(layout->path, H5F_ACC_TRUNC, creation, access) : -1;
  bm_status_t status = bm_hdf5_status(layout->file, layout->path, "create this file");
  if (creation >= 0) {
    H5Pclose(creation);
  }
  if (access >= 0) {
    H5Pclose(access);
  }
  return status;
}

/* HDF5 cannot close a file that it could not write, and a collective write to a full disk may never return. So
 * before it has the file, the space is asked for by estimate. Rank 0's own. */
static bm_status_t try_space(const layout_t *layout)
{
  size_t row = layout->content->particles * 3 * (layout->content->single_precision ? 4 : 8) + 16 +
               8 * layout->content->observable_count;
  return bm_file_reserve(layout->path, layout->n * row + BM_OVERHEAD_BYTES);
}

/* Keep the space of the whole file before anything is written: HDF5 tells the size only until then. */
static bm_status_t keep_space(const layout_t *layout)
{
  hsize_t size = 0;
  BM_TRY(bm_hdf5_status(H5Fget_filesize(layout->file, &size), layout->path, "get the size"));
  return bm_context_is_root(layout->context) ? bm_file_reserve(layout->path, size) : BM_OK;
}

static bm_status_t create_objects(layout_t *layout)
{
  BM_TRY(write_h5md_group(layout->file, layout->path));
  BM_TRY(create_positions(layout));
  BM_TRY(create_observables(layout));
  return write_parameters(layout);
}

/* Where the rows of a data set begin. */
static bm_status_t find_rows(const layout_t *layout, hid_t dataset, uint64_t *offset)
{
  *offset = H5Dget_offset(dataset);
  return bm_hdf5_status(*offset == HADDR_UNDEF ? -1 : 0, layout->path, "place a data set");
}

static bm_status_t find_all_rows(const layout_t *layout, uint64_t *offset)
{
  BM_TRY(find_rows(layout, layout->position, &offset[BM_OF_POSITIONS]));
  BM_TRY(find_rows(layout, layout->step, &offset[BM_OF_STEPS]));
  BM_TRY(find_rows(layout, layout->time, &offset[BM_OF_TIMES]));
  for (size_t k = 0; k < layout->content->observable_count; k++) {
    BM_TRY(find_rows(layout, layout->observable[k], &offset[BM_OF_OBSERVABLES + k]));
  }
  return BM_OK;
}

static bm_status_t create_content(layout_t *layout, uint64_t *offset)
{
  BM_TRY(create_file(layout));
  BM_TRY(create_objects(layout));
  BM_TRY(keep_space(layout));
  return find_all_rows(layout, offset);
}

bm_status_t bm_samples_layout(const bm_context_t *context, const char *path, size_t n,
                              size_t walkers, const bm_samples_content_t *content, uint64_t *offset)
{
  layout_t layout = {
      .context = context, .path = path, .n = n, .walkers = walkers, .content = content, .file = -1};
  bm_status_t status = BM_ALLOC(content->observable_count, &layout.observable);
  if (status == BM_OK && bm_context_is_root(context)) {
    status = try_space(&layout);
  }
  status = bm_agree(context, status);
  if (status == BM_OK) {
    bm_watch_t watch;
    bm_watch_start(&watch, "lay out", path);
    const bm_status_t made = create_content(&layout, offset);
    if (made != BM_OK) {
      bm_context_end_job(made); /* the others are in the calls that this rank has left */
    }
    bm_hdf5_close_file(layout.file, path); /* strong: closes what is open in it */
    bm_watch_end(&watch);
  }
  bm_free(layout.observable);
  return status;
}
