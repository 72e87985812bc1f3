#include <assert.h>
#include <mpi.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/parallel/agree.h"
#include "samples_layout.h"

/* One data set of the file, and what is on its way to it. */
typedef struct {
  size_t row_bytes;
  uint64_t offset; /* of row 0 in the file */
  char *rows;      /* [room][row_bytes], as on disk */
  MPI_Request request;
} column_t;

struct bm_samples_writer {
  const bm_context_t *context;
  char *path, *temporary;
  size_t d, particles, dimensions;
  int single_precision;
  size_t step_stride;
  double time_stride_ps;
  MPI_File file;
  size_t column_count;
  column_t *columns; /* [column_count], by the numbers of samples_layout.h */
  size_t room;       /* rows that fit into each column */
  size_t on_the_way; /* rows between begin and wait */
};

static bm_status_t file_status(int code, const char *path, const char *what)
{
  char text[MPI_MAX_ERROR_STRING] = "unknown error";
  int length = 0;
  if (code == MPI_SUCCESS) {
    return BM_OK;
  }
  MPI_Error_string(code, text, &length);
  return BM_FAIL(BM_ERR_IO, "%s: cannot %s: %s", path, what, text);
}

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
  int code = MPI_File_open(writer->context->comm, writer->temporary, MPI_MODE_WRONLY, MPI_INFO_NULL,
                           &writer->file);
  return bm_agree(writer->context, file_status(code, writer->temporary, "open for writing"));
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
    writer->columns[k].request = MPI_REQUEST_NULL;
  }
  writer->columns[BM_OF_POSITIONS].row_bytes =
      writer->particles * 3 * (writer->single_precision ? sizeof(float) : sizeof(double));
  return BM_OK;
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
    *writer = (bm_samples_writer_t){.context = context, .d = d, .file = MPI_FILE_NULL};
    set_content(writer, content);
    status = bm_string_copy(path, &writer->path);
  }
  if (status == BM_OK) {
    status = create_columns(writer);
  }
  status = bm_agree(context, status);
  if (status == BM_OK) {
    status = choose_temporary(writer);
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
    column_t *column = &writer->columns[k];
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

/* Each rank by itself: its rows are one stretch of each data set, with nothing to be gathered from others,
 * and MPI_File_iwrite_at_all, which would do no more, crashes in the ROMIO of Open MPI 4.1. */
static bm_status_t post(bm_samples_writer_t *writer, bm_range_t rows)
{
  bm_status_t status = BM_OK;
  for (size_t k = 0; k < writer->column_count; k++) {
    column_t *column = &writer->columns[k];
    const MPI_Offset at = (MPI_Offset)(column->offset + rows.first * column->row_bytes);
    int code =
        MPI_File_iwrite_at(writer->file, at, column->rows, (int)(rows.count * column->row_bytes),
                           MPI_BYTE, &column->request);
    status = first_of(status, file_status(code, writer->temporary, "write rows"));
  }
  writer->on_the_way = rows.count;
  return status;
}

/* Rows of a piece, whose observables lie `total` rows apart. Local. */
static bm_status_t begin(bm_samples_writer_t *writer, bm_range_t rows, const double *x,
                         const double *observables, size_t total)
{
  assert(writer->on_the_way == 0);
  assert(rows.count * writer->d * sizeof *x <= BM_SAMPLES_PIECE_BYTES);
  BM_TRY(make_room(writer, rows.count));
  if (rows.count == 0) {
    return BM_OK;
  }
  fill_positions(writer, rows.count, x);
  fill_frames(writer, rows);
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

void bm_samples_writer_progress(const bm_samples_writer_t *writer)
{
  for (size_t k = 0; writer->on_the_way > 0 && k < writer->column_count; k++) {
    int done;
    (void)MPI_Request_get_status(writer->columns[k].request, &done, MPI_STATUS_IGNORE);
  }
}

/* What was written tells success from failure; MPI_Wait would call the error handler of the file, which
 * crashes in Open MPI 4.1 where a write has failed. The sleep leaves the processor to the write. */
static bm_status_t finish_write(const bm_samples_writer_t *writer, column_t *column)
{
  const struct timespec moment = {.tv_nsec = 50000};
  MPI_Status written;
  int done = 0;
  int bytes = 0;
  int code = MPI_Request_get_status(column->request, &done, &written);
  while (code == MPI_SUCCESS && !done) {
    nanosleep(&moment, NULL);
    code = MPI_Request_get_status(column->request, &done, &written);
  }
  if (code == MPI_SUCCESS) {
    code = MPI_Get_count(&written, MPI_BYTE, &bytes);
  }
  if (column->request != MPI_REQUEST_NULL) {
    MPI_Request_free(&column->request);
  }
  BM_TRY(file_status(code, writer->temporary, "write rows"));
  return (size_t)bytes == writer->on_the_way * column->row_bytes
             ? BM_OK
             : BM_FAIL(BM_ERR_IO, "%s: cannot write rows: the disk took %d of %zu bytes",
                       writer->temporary, bytes, writer->on_the_way * column->row_bytes);
}

bm_status_t bm_samples_writer_wait(bm_samples_writer_t *writer)
{
  bm_status_t status = BM_OK;
  for (size_t k = 0; writer->on_the_way > 0 && k < writer->column_count; k++) {
    status = first_of(status, finish_write(writer, &writer->columns[k]));
  }
  writer->on_the_way = 0;
  return status;
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

/* Collective; its status is this rank's own. */
static bm_status_t close_file(bm_samples_writer_t *writer)
{
  bm_status_t status = bm_samples_writer_wait(writer);
  if (writer->file != MPI_FILE_NULL) {
    status =
        first_of(status, file_status(MPI_File_close(&writer->file), writer->temporary, "close"));
  }
  return status;
}

/* The same with the rows on disk, for rank 0 to read them all. */
static bm_status_t sync_file(bm_samples_writer_t *writer)
{
  bm_status_t status = bm_samples_writer_wait(writer);
  status =
      first_of(status, file_status(MPI_File_sync(writer->file), writer->temporary, "sync to disk"));
  return first_of(status, close_file(writer));
}

static void free_writer(bm_samples_writer_t **writer)
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
  bm_status_t status = bm_agree(self->context, sync_file(self));
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
