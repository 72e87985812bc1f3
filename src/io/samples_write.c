#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/parallel/agree.h"
#include "samples_writer.h"

/* The first failure of two. */
static bm_status_t first_of(bm_status_t before, bm_status_t now)
{
  return before == BM_OK ? now : before;
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

/* Everything but the rows, and the file open for those. */
static bm_status_t create_file(bm_samples_writer_t *writer, size_t n, size_t walkers,
                               const bm_samples_content_t *content)
{
  uint64_t *offset = NULL;
  BM_TRY_AGREE(writer->context, BM_ALLOC(writer->column_count, &offset));
  bm_status_t status =
      bm_samples_layout(writer->context, writer->temporary, n, walkers, content, offset);
  for (size_t k = 0; status == BM_OK && k < writer->column_count; k++) {
    writer->columns[k].offset = offset[k];
  }
  bm_free(offset);
  BM_TRY(status);
  return bm_agree(writer->context, bm_file_open(writer->temporary, &writer->file));
}

static void set_content(bm_samples_writer_t *writer, const bm_samples_content_t *content)
{
  writer->particles = content->particles;
  writer->dimensions = content->dimensions;
  writer->single_precision = content->single_precision;
  writer->step_stride = content->step_stride;
  writer->time_stride_ps = content->time_stride_ps;
  writer->column_count = BM_OF_OBSERVABLES + content->observable_count;
}

static bm_status_t create_columns(bm_samples_writer_t *writer)
{
  BM_TRY(BM_ALLOC(writer->column_count, &writer->columns));
  for (size_t k = 0; k < writer->column_count; k++) {
    writer->columns[k].row_bytes = sizeof(double);
  }
  writer->columns[BM_OF_POSITIONS].row_bytes =
      writer->particles * 3 * (writer->single_precision ? sizeof(float) : sizeof(double));
  return BM_OK;
}

bm_status_t bm_samples_writer_prepare(const bm_context_t *context, const char *path, size_t n,
                                      size_t d, const bm_samples_content_t *content,
                                      bm_samples_writer_t **out)
{
  assert(content->particles * content->dimensions == d && content->dimensions <= 3);
  bm_status_t status = BM_ALLOC(1, out);
  if (status == BM_OK) {
    **out = (bm_samples_writer_t){.context = context, .n = n, .d = d, .file = -1};
    set_content(*out, content);
    status = bm_string_copy(path, &(*out)->path);
  }
  if (status == BM_OK) {
    status = create_columns(*out);
  }
  return bm_agree(context, status);
}

bm_status_t bm_samples_writer_create(const bm_context_t *context, const char *path, size_t n,
                                     size_t d, size_t walkers, const bm_samples_content_t *content,
                                     bm_samples_writer_t **out)
{
  bm_samples_writer_t *writer = NULL;
  *out = NULL;
  bm_status_t status = bm_samples_writer_prepare(context, path, n, d, content, &writer);
  if (status == BM_OK) {
    status = content->unfinished ? bm_samples_unfinished_name(writer) : choose_temporary(writer);
  }
  if (status == BM_OK && content->unfinished) {
    status = bm_samples_unfinished_clear(writer);
  }
  if (status == BM_OK) {
    status = create_file(writer, n, walkers, content);
  }
  if (status != BM_OK) {
    bm_samples_writer_abandon(&writer);
    return status;
  }
  *out = writer;
  return BM_OK;
}

static bm_status_t make_room(bm_samples_writer_t *writer, size_t rows)
{
  if (rows <= writer->room) {
    return BM_OK;
  }
  writer->room = 0;
  for (size_t k = 0; k < writer->column_count; k++) {
    bm_samples_column_t *column = &writer->columns[k];
    bm_free(column->rows);
    column->rows = NULL;
    BM_TRY(bm_alloc(rows, column->row_bytes, (void **)&column->rows));
  }
  writer->room = rows;
  return BM_OK;
}

/* d = particles·dimensions coordinates padded to particles·3. */
static void fill_positions(bm_samples_writer_t *writer, size_t rows, const double *x)
{
  double *wide = (double *)writer->columns[BM_OF_POSITIONS].rows;
  float *narrow = (float *)writer->columns[BM_OF_POSITIONS].rows;
  for (size_t i = 0; i < rows * writer->particles; i++) {
    for (size_t k = 0; k < 3; k++) {
      const double value = k < writer->dimensions ? x[i * writer->dimensions + k] : 0.0;
      if (writer->single_precision) {
        narrow[i * 3 + k] = (float)value;
      } else {
        wide[i * 3 + k] = value;
      }
    }
  }
}

/* step and time of every frame: the global row number in sampler steps. */
static void fill_frames(bm_samples_writer_t *writer, bm_range_t rows)
{
  int64_t *steps = (int64_t *)writer->columns[BM_OF_STEPS].rows;
  double *times = (double *)writer->columns[BM_OF_TIMES].rows;
  for (size_t i = 0; i < rows.count; i++) {
    steps[i] = (int64_t)((rows.first + i) * writer->step_stride);
    times[i] = (double)(rows.first + i) * writer->time_stride_ps;
  }
}

/* The thread's work: each rank by itself, since its rows are one stretch of each data set. */
static void *write_columns(void *self)
{
  bm_samples_writer_t *writer = self;
  const bm_range_t rows = writer->on_the_way;
  writer->written = BM_OK;
  for (size_t k = 0; writer->written == BM_OK && k < writer->column_count; k++) {
    const bm_samples_column_t *column = &writer->columns[k];
    writer->written = bm_file_write_at(writer->file, writer->temporary,
                                       column->offset + rows.first * column->row_bytes,
                                       column->rows, rows.count * column->row_bytes);
  }
  snprintf(writer->message, sizeof writer->message, "%s", bm_status_message());
  return NULL;
}

static bm_status_t post(bm_samples_writer_t *writer, bm_range_t rows)
{
  writer->on_the_way = rows;
  const int code = pthread_create(&writer->thread, NULL, write_columns, writer);
  if (code != 0) {
    writer->on_the_way.count = 0;
    return BM_FAIL(BM_ERR_MEMORY, "%s: no thread to write with: %s", writer->temporary,
                   strerror(code));
  }
  return BM_OK;
}

/* Rows of a piece, whose observables lie `total` rows apart. Local. */
static bm_status_t begin(bm_samples_writer_t *writer, bm_range_t rows, const double *x,
                         const double *observables, size_t total)
{
  assert(writer->on_the_way.count == 0);
  assert(rows.count * writer->d * sizeof *x <= BM_SAMPLES_PIECE_BYTES);
  BM_TRY(make_room(writer, rows.count));
  if (rows.count == 0) {
    return BM_OK;
  }
  fill_positions(writer, rows.count, x);
  fill_frames(writer, rows);
  assert(writer->column_count == BM_OF_OBSERVABLES || observables != NULL);
  for (size_t k = BM_OF_OBSERVABLES; k < writer->column_count; k++) {
    memcpy(writer->columns[k].rows, observables + (k - BM_OF_OBSERVABLES) * total,
           rows.count * sizeof *observables);
  }
  return post(writer, rows);
}

bm_status_t bm_samples_writer_begin(bm_samples_writer_t *writer, bm_range_t rows, const double *x,
                                    const double *observables)
{
  return begin(writer, rows, x, observables, rows.count);
}

bm_status_t bm_samples_writer_wait(bm_samples_writer_t *writer)
{
  if (writer->on_the_way.count == 0) {
    return BM_OK;
  }
  const int code = pthread_join(writer->thread, NULL);
  writer->on_the_way.count = 0;
  if (code != 0) {
    return BM_FAIL(BM_ERR_INTERNAL, "pthread_join: %s", strerror(code));
  }
  if (writer->written != BM_OK) {
    bm_status_set_message(writer->message);
  }
  return writer->written;
}

bm_status_t bm_samples_writer_write(bm_samples_writer_t *writer, bm_range_t rows, const double *x,
                                    const double *observables)
{
  const size_t most = BM_SAMPLES_PIECE_BYTES / (writer->d * sizeof *x);
  bm_status_t status = BM_OK;
  for (size_t done = 0; status == BM_OK && done < rows.count; done += most) {
    const size_t left = rows.count - done;
    status =
        begin(writer, (bm_range_t){rows.first + done, left < most ? left : most},
              x + done * writer->d, observables + (observables == NULL ? 0 : done), rows.count);
    status = first_of(status, bm_samples_writer_wait(writer));
  }
  return bm_agree(writer->context, status);
}

bm_status_t bm_samples_writer_close(bm_samples_writer_t *writer)
{
  bm_status_t status = bm_samples_writer_wait(writer);
  if (writer->file >= 0) {
    status = first_of(status, bm_file_sync_close(writer->file, writer->temporary));
  }
  writer->file = -1;
  return status;
}

void bm_samples_writer_free(bm_samples_writer_t **writer)
{
  for (size_t k = 0; (*writer)->columns != NULL && k < (*writer)->column_count; k++) {
    bm_free((*writer)->columns[k].rows);
  }
  bm_free((*writer)->columns);
  bm_free((*writer)->temporary);
  bm_free((*writer)->path);
  bm_free(*writer);
  *writer = NULL;
}

bm_status_t bm_samples_writer_finish(bm_samples_writer_t **writer)
{
  bm_samples_writer_t *self = *writer;
  bm_status_t status = bm_agree(self->context, bm_samples_writer_close(self));
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
  bm_samples_writer_free(writer);
  return BM_OK;
}

void bm_samples_writer_abandon(bm_samples_writer_t **writer)
{
  if (*writer == NULL) {
    return;
  }
  (void)bm_samples_writer_close(*writer); /* the failure that led here is the one to tell */
  if (bm_context_is_root((*writer)->context) && (*writer)->temporary != NULL) {
    unlink((*writer)->temporary);
  }
  bm_samples_writer_free(writer);
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
