/* Sample sets that several runs write. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/parallel/agree.h"
#include "samples_writer.h"

#define BM_UNFINISHED ".unfinished"
#define BM_MIX UINT64_C(0x9e3779b97f4a7c15)

/* Numbers of the file in a container, before the places of its columns. */
enum { FILE_ROWS, FILE_TOTAL, FILE_HASH, FILE_PLACES };

bm_status_t bm_samples_unfinished_name(bm_samples_writer_t *writer)
{
  const size_t size = strlen(writer->path) + sizeof BM_UNFINISHED;
  bm_status_t status = BM_ALLOC(size, &writer->temporary);
  if (status == BM_OK) {
    snprintf(writer->temporary, size, "%s" BM_UNFINISHED, writer->path);
  }
  return bm_agree(writer->context, status);
}

bm_status_t bm_samples_unfinished_clear(const bm_samples_writer_t *writer)
{
  return bm_agree(writer->context,
                  bm_context_is_root(writer->context) ? bm_file_remove(writer->temporary) : BM_OK);
}

static int by_place(const void *a, const void *b)
{
  const bm_samples_column_t *one = a;
  const bm_samples_column_t *two = b;
  return (one->offset > two->offset) - (one->offset < two->offset);
}

/* Of all bytes but those of the seal and of the rows that are not written yet. */
static bm_status_t hash_written(const bm_samples_writer_t *writer, size_t rows, uint64_t *hash)
{
  bm_samples_column_t *ordered = NULL;
  const size_t count = writer->column_count;
  uint64_t from = BM_SEAL_BYTES;
  *hash = 0;
  BM_TRY(BM_ALLOC(count, &ordered));
  memcpy(ordered, writer->columns, count * sizeof *ordered);
  qsort(ordered, count, sizeof *ordered, by_place);
  bm_status_t status = BM_OK;
  for (size_t k = 0; status == BM_OK && k <= count; k++) {
    const uint64_t to =
        k < count ? ordered[k].offset + (uint64_t)rows * ordered[k].row_bytes : UINT64_MAX;
    uint64_t part = 0;
    status = bm_file_hash_part(writer->temporary, from, to - from, &part);
    *hash = (*hash ^ part) * BM_MIX;
    from = k < count ? ordered[k].offset + (uint64_t)writer->n * ordered[k].row_bytes : from;
  }
  bm_free(ordered);
  return status;
}

/* Rank 0's part. */
static bm_status_t put_file(const bm_samples_writer_t *writer, size_t rows, bm_state_t *state)
{
  const size_t count = FILE_PLACES + writer->column_count;
  int64_t *numbers = NULL;
  uint64_t hash;
  BM_TRY(hash_written(writer, rows, &hash));
  BM_TRY(BM_ALLOC(count, &numbers));
  numbers[FILE_ROWS] = (int64_t)rows;
  numbers[FILE_TOTAL] = (int64_t)writer->n;
  numbers[FILE_HASH] = (int64_t)hash;
  for (size_t k = 0; k < writer->column_count; k++) {
    numbers[FILE_PLACES + k] = (int64_t)writer->columns[k].offset;
  }
  bm_status_t status = bm_state_put_ints(state, "samples/file", count, numbers);
  bm_free(numbers);
  return status;
}

bm_status_t bm_samples_writer_keep(bm_samples_writer_t *writer, size_t rows, bm_state_t *state)
{
  BM_TRY_AGREE(writer->context, bm_file_sync(writer->file, writer->temporary));
  return bm_agree(writer->context, state != NULL ? put_file(writer, rows, state) : BM_OK);
}

void bm_samples_writer_leave(bm_samples_writer_t **writer)
{
  if (*writer != NULL) {
    (void)bm_samples_writer_close(*writer); /* what is not on disk is made again */
    bm_samples_writer_free(writer);
  }
}

static bm_status_t take_places(bm_samples_writer_t *writer, const int64_t *numbers)
{
  for (size_t k = 0; k < writer->column_count; k++) {
    writer->columns[k].offset = (uint64_t)numbers[FILE_PLACES + k];
  }
  return bm_samples_unfinished_name(writer);
}

/* Is the file what it was? Rank 0's own. */
static bm_status_t check_rows(const bm_samples_writer_t *writer, const int64_t *numbers)
{
  uint64_t hash = 0;
  BM_TRY(hash_written(writer, (size_t)numbers[FILE_ROWS], &hash));
  return (int64_t)hash == numbers[FILE_HASH]
             ? BM_OK
             : BM_FAIL(BM_ERR_DATA, "%s: damaged: its rows are not those that were kept",
                       writer->temporary);
}

/* Open the file again; `*good` is 0, with a message, where it is not what it was. */
static bm_status_t open_again(bm_samples_writer_t *writer, const int64_t *numbers, int *good)
{
  const bm_context_t *context = writer->context;
  BM_TRY(take_places(writer, numbers));
  bm_status_t status = bm_context_is_root(context) ? check_rows(writer, numbers) : BM_OK;
  *good = bm_agree(context, status) == BM_OK;
  return *good ? bm_agree(context, bm_file_open(writer->temporary, &writer->file)) : BM_OK;
}

bm_status_t bm_samples_writer_resume(const bm_context_t *context, const char *path,
                                     const bm_samples_content_t *content, const bm_state_t *state,
                                     size_t *rows, bm_samples_writer_t **out)
{
  const size_t count = FILE_PLACES + BM_OF_OBSERVABLES + content->observable_count;
  int64_t *numbers = NULL;
  bm_samples_writer_t *writer = NULL;
  int good = 0;
  *out = NULL;
  bm_status_t status = BM_ALLOC(count, &numbers);
  if (status == BM_OK) {
    status = bm_state_get_ints(state, "samples/file", count, numbers);
  }
  status = bm_agree(context, status);
  if (status == BM_OK) {
    status = bm_samples_writer_prepare(context, path, (size_t)numbers[FILE_TOTAL],
                                       content->particles * content->dimensions, content, &writer);
  }
  if (status == BM_OK) {
    status = open_again(writer, numbers, &good);
  }
  if (status == BM_OK && good) {
    *rows = (size_t)numbers[FILE_ROWS];
    *out = writer;
  } else {
    bm_samples_writer_leave(&writer);
  }
  bm_free(numbers);
  return status;
}
