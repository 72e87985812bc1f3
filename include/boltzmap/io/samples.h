#ifndef BOLTZMAP_IO_SAMPLES_H
#define BOLTZMAP_IO_SAMPLES_H

/* Sample sets: n rows of d coordinates, distributed by rows, kept on disk as H5MD 1.1: laid out by
 * parallel HDF5, filled by all ranks at once. A configuration of P particles in D ≤ 3 dimensions
 * (d = P·D) is a frame of P positions whose missing components are 0.
 *
 * A file is written under a temporary name, its space reserved before the data, checksummed (see
 * io/file.h), synced and renamed: an interrupted write never leaves a file that looks whole. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/io/state.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/partition.h"

typedef struct {
  size_t n;        /* rows of the whole set */
  size_t d;        /* coordinates a row */
  size_t walkers;  /* rows are walker-major: walker w holds rows [w·n/walkers, (w+1)·n/walkers) */
  bm_range_t rows; /* rows of this rank */
  double *x;       /* [rows.count][d], owned */
} bm_samples_t;

/* An empty set (zeros) over the ranks of the context; rows by block partition of whole walkers. The
 * caller ends it with bm_samples_destroy. walkers must divide n. Not collective. */
bm_status_t bm_samples_create(const bm_context_t *context, size_t n, size_t d, size_t walkers,
                              bm_samples_t **out);
void bm_samples_destroy(bm_samples_t **samples);

/* The walkers whose rows are on this rank. Rows of a single walker lie on all ranks: each makes the whole
 * chain, which needs no exchange, and keeps its own rows. */
bm_range_t bm_samples_walkers(const bm_context_t *context, size_t walkers);

/* All rows of the set on every rank, in row order: [n][d], owned by the caller. Collective. */
bm_status_t bm_samples_replicate(const bm_context_t *context, const bm_samples_t *samples,
                                 double **all);

typedef struct {
  const char *name;     /* data set name under /observables */
  const char *unit;     /* "1" for pure numbers */
  const double *values; /* [rows.count], not owned */
} bm_observable_t;

typedef struct {
  const char *name;
  const char *text;
} bm_provenance_t;

/* What a file holds besides the rows. */
typedef struct {
  size_t particles, dimensions; /* particles · dimensions = d */
  const char *length_unit;      /* "nm" (reduced units are written as "nm", as H5MD readers ask) */
  size_t step_stride;           /* sampler steps between frames */
  double time_stride_ps;        /* time between frames (reduced units: steps) */
  int single_precision;         /* positions on disk as float32 */
  const bm_observable_t *observables;
  size_t observable_count;
  const bm_provenance_t *provenance; /* attributes of /parameters */
  size_t provenance_count;
  uint64_t fingerprint; /* of the deck parts that made it; 0: none */
  int unfinished;       /* a streamed file may be left for a later run (bm_samples_writer_leave) */
} bm_samples_content_t;

/* Write a whole set to `path`. Collective. BM_ERR_IO. */
bm_status_t bm_samples_write(const bm_context_t *context, const char *path,
                             const bm_samples_t *samples, const bm_samples_content_t *content);

/* Streaming: make the file of n rows (observables given by name and unit, values NULL), write pieces, close.
 * Ranks may bring different pieces, or none. BM_ERR_IO, BM_ERR_MEMORY. Collective. */
typedef struct bm_samples_writer bm_samples_writer_t;
bm_status_t bm_samples_writer_create(const bm_context_t *context, const char *path, size_t n,
                                     size_t d, size_t walkers, const bm_samples_content_t *content,
                                     bm_samples_writer_t **out);

/* Begin to write this rank's piece, whose coordinates take at most BM_SAMPLES_PIECE_BYTES, while the
 * caller goes on: values are copied, and observables are needed where the file has any. The write before must
 * have been waited for. BM_ERR_IO, BM_ERR_MEMORY. Not collective: the caller sees to it that all ranks
 * agree. */
#define BM_SAMPLES_PIECE_BYTES ((size_t)1 << 25)
bm_status_t bm_samples_writer_begin(bm_samples_writer_t *writer, bm_range_t rows,
                                    const double *x /* [rows.count][d] */,
                                    const double *observables /* [observable_count][rows.count] */);
/* Wait for what was begun, if anything. BM_ERR_IO. Not collective. */
bm_status_t bm_samples_writer_wait(bm_samples_writer_t *writer);

/* Write a piece of any size, waited for and agreed on. Collective. */
bm_status_t bm_samples_writer_write(bm_samples_writer_t *writer, bm_range_t rows,
                                    const double *x /* [rows.count][d] */,
                                    const double *observables /* [observable_count][rows.count] */);
/* Checksum, sync, rename; the writer is gone afterwards, and on failure the file too. Collective. */
bm_status_t bm_samples_writer_finish(bm_samples_writer_t **writer);
/* Give up: remove the temporary file. Collective. */
void bm_samples_writer_abandon(bm_samples_writer_t **writer);

/* A file that several runs write, PATH.unfinished until it is finished. Keep: once the first `rows` rows are
 * written and waited for on all ranks, they are brought to disk, and where they are and their checksum go into a
 * container (rank 0's own, NULL elsewhere). Leave: the writer goes, its file stays. Resume: a writer as it was
 * when that container was filled, for the rows from `*rows` on; `*out` is NULL, with a message, where there is no
 * such file any more or its rows are not those. BM_ERR_IO, BM_ERR_MEMORY. Collective. */
bm_status_t bm_samples_writer_keep(bm_samples_writer_t *writer, size_t rows, bm_state_t *state);
void bm_samples_writer_leave(bm_samples_writer_t **writer);
bm_status_t bm_samples_writer_resume(const bm_context_t *context, const char *path,
                                     const bm_samples_content_t *content, const bm_state_t *state,
                                     size_t *rows, bm_samples_writer_t **out);

/* What to read from a file. Zeros and NULLs mean: everything. */
typedef struct {
  const char
      *dataset; /* HDF5 path of the data set; NULL: the positions of an H5MD file, or the only
                            numeric data set of another HDF5 file */
  const size_t *columns; /* columns to keep, in order; NULL: all (padding of an H5MD file written by
                            this program is dropped) */
  size_t column_count;
} bm_samples_selection_t;

/* Read a set on any number of ranks from HDF5 (H5MD, or a 2-D row set; a 1-D data set is one column)
 * or .npy (n×d or n, C order, float32/float64/integers, little endian). Non-finite values, empty
 * sets and other kinds are refused with BM_ERR_DATA naming file, row and column; unreadable files
 * are BM_ERR_IO. Collective. */
bm_status_t bm_samples_read(const bm_context_t *context, const char *path,
                            const bm_samples_selection_t *selection, bm_samples_t **out);

/* Fingerprint stored in a file written by this program; 0 where there is no such file or it is
 * damaged. Collective. */
uint64_t bm_samples_fingerprint(const bm_context_t *context, const char *path);

#endif
