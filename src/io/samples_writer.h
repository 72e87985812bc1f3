#ifndef BOLTZMAP_IO_SAMPLES_WRITER_H
#define BOLTZMAP_IO_SAMPLES_WRITER_H

/* What a writer of a sample set is made of, for the files that write its rows and that leave it for a later run. */

#include <pthread.h>

#include "boltzmap/io/samples.h"
#include "samples_layout.h"

/* One data set of the file, and what is on its way to it. */
typedef struct {
  size_t row_bytes;
  uint64_t offset; /* of row 0 in the file */
  char *rows;      /* [room][row_bytes], as on disk */
} bm_samples_column_t;

struct bm_samples_writer {
  const bm_context_t *context;
  char *path, *temporary;
  size_t n, d, particles, dimensions;
  int single_precision;
  size_t step_stride;
  double time_stride_ps;
  int file; /* -1: not open */
  size_t column_count;
  bm_samples_column_t *columns; /* [column_count], by the numbers of samples_layout.h */
  size_t room;                  /* rows that fit into each column */
  bm_range_t on_the_way;        /* rows between begin and wait */
  pthread_t thread;             /* that writes them */
  bm_status_t written;          /* what became of it, */
  char message[BM_MESSAGE_MAX]; /* and its message: those of a thread are its own */
};

/* A writer of n rows but for its file. Collective. */
bm_status_t bm_samples_writer_prepare(const bm_context_t *context, const char *path, size_t n,
                                      size_t d, const bm_samples_content_t *content,
                                      bm_samples_writer_t **out);

/* Name the file as one that stays when it is left. Collective. */
bm_status_t bm_samples_unfinished_name(bm_samples_writer_t *writer);

/* Remove one of that name that is of no use, or a link. Collective. */
bm_status_t bm_samples_unfinished_clear(const bm_samples_writer_t *writer);

/* Wait for what was begun, bring the rows to disk and close the file. This rank's own. */
bm_status_t bm_samples_writer_close(bm_samples_writer_t *writer);

/* Free a writer whose file is closed. */
void bm_samples_writer_free(bm_samples_writer_t **writer);

#endif
