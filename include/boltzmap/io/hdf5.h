#ifndef BOLTZMAP_IO_HDF5_H
#define BOLTZMAP_IO_HDF5_H

/* Small checked pieces of HDF5 that sample sets, models and checkpoints share. HDF5's own error
 * printing is turned off; its innermost message goes into ours. */

#include <hdf5.h>
#include <stddef.h>

#include "boltzmap/base/status.h"

/* Turn a negative HDF5 result into BM_ERR_IO naming the file and what was tried. */
bm_status_t bm_hdf5_status(hid_t result, const char *path, const char *what);

/* The same for what is read: BM_ERR_DATA where the content of the file is to blame, not the disk. */
bm_status_t bm_hdf5_content_status(hid_t result, const char *path, const char *what);

/* Open a file to read it; negative where that fails. */
hid_t bm_hdf5_open_file(const char *path);

/* Close a file; nothing to do where it is negative. HDF5 crashes at its end where it could not close one,
 * so that a failure ends the job. */
void bm_hdf5_close_file(hid_t file, const char *path);

/* No printing by the library. Once, from main and from tests. */
void bm_hdf5_quiet(void);

/* Variable-length string attribute (the kind H5MD readers want), and numbers. */
bm_status_t bm_hdf5_write_string(hid_t object, const char *path, const char *name,
                                 const char *text);
bm_status_t bm_hdf5_write_ints(hid_t object, const char *path, const char *name, size_t count,
                               const int *values);

/* `count` strings in one attribute. */
bm_status_t bm_hdf5_write_strings(hid_t object, const char *path, const char *name, size_t count,
                                  const char *const *texts);

/* Rows [first, first + count) of a data set of up to three dimensions, or none of them: the
 * selection in the file's `space`, and the space of as many rows in memory. Ended by
 * bm_hdf5_close_selection. */
bm_status_t bm_hdf5_select_rows(hid_t dataset, const char *path, size_t first, size_t count,
                                hid_t *memory, hid_t *space);
void bm_hdf5_close_selection(hid_t *memory, hid_t *space);

/* A string attribute (any kind), owned by the caller; BM_ERR_DATA where it is missing. */
bm_status_t bm_hdf5_read_string(hid_t object, const char *path, const char *name, char **text);

/* What H5Aexists or H5Lexists found: yes, no, or a failure, which is neither. */
bm_status_t bm_hdf5_exists(htri_t found, const char *path, int *exists);

/* An integer attribute; `value` stays where it is missing or is no single value. */
bm_status_t bm_hdf5_read_int(hid_t object, const char *path, const char *name, long long *value);

#endif
