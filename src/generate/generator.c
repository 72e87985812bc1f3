#include "boltzmap/generate/generator.h"

#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/stop.h"

/* What a rank makes between writes: the coordinates take so many bytes. Large enough for the ranks to
 * meet seldom, small enough to be nothing beside a flow's own memory. */
#define BM_PIECE_BYTES ((size_t)1 << 20)

#define BM_KEEPING_SHARE 0.01 /* of the time, at most, for checkpoints */

bm_status_t bm_generate_load(const bm_context_t *context, const char *path, bm_map_t **map)
{
  bm_state_t *state = NULL;
  *map = NULL;
  BM_TRY(bm_state_read_all(context, path, "model", &state));
  bm_status_t status = bm_map_load(context, state, map);
  bm_state_destroy(&state);
  return bm_agree(context, status == BM_OK ? status : bm_status_prefix(status, "%s", path));
}

void bm_generate_base(uint64_t seed, size_t first, size_t count, size_t d, double *base)
{
  bm_random_t random = bm_random(seed, BM_PURPOSE_GENERATE);
  for (size_t i = 0; i < count; i++) {
    size_t row = first + i;
    bm_random_normals(random, (uint32_t)row, row >> 32, 0, d, base + i * d);
  }
}

bm_status_t bm_generate_rows(bm_map_t *map, uint64_t seed, size_t first, size_t count, double *x,
                             double *log_density)
{
  size_t d = bm_map_dimension(map);
  size_t base_d = bm_map_base_dimension(map);
  double *work = NULL;
  BM_TRY(BM_ALLOC(BM_MAP_CHUNK * (base_d + d + 1), &work));
  double *base = work;
  double *rows = base + BM_MAP_CHUNK * base_d;
  double *density = rows + BM_MAP_CHUNK * d;
  size_t end = first + count;
  /* Whole chunks of the endless row of samples are computed, and what was asked for is kept. */
  bm_status_t status = BM_OK;
  for (size_t start = first / BM_MAP_CHUNK * BM_MAP_CHUNK; status == BM_OK && start < end;
       start += BM_MAP_CHUNK) {
    size_t from = start > first ? start : first;
    size_t to = start + BM_MAP_CHUNK < end ? start + BM_MAP_CHUNK : end;
    bm_generate_base(seed, start, BM_MAP_CHUNK, base_d, base);
    status = bm_map_push(map, BM_MAP_CHUNK, base, rows, density);
    memcpy(x + (from - first) * d, rows + (from - start) * d, (to - from) * d * sizeof *x);
    memcpy(log_density + (from - first), density + (from - start), (to - from) * sizeof *x);
  }
  bm_free(work);
  return status;
}

typedef struct {
  const bm_context_t *context;
  bm_map_t *map;
  const bm_generate_order_t *order;
  bm_samples_writer_t *writer;
  size_t room;          /* rows of a piece at most: whole chunks */
  double *base;         /* [BM_MAP_CHUNK][base d] */
  double *x;            /* [room][d] */
  double *columns;      /* [1 + observer count][rows of the piece]: log_density first */
  double kept_at, took; /* when it was kept last, and the seconds for that */
  int is_kept;          /* is there a checkpoint of this file? */
} stream_t;

/* The same on all ranks: they write in the same rounds. */
static size_t piece_room(const stream_t *stream)
{
  const size_t chunk_bytes = BM_MAP_CHUNK * bm_map_dimension(stream->map) * sizeof(double);
  const size_t chunks = BM_PIECE_BYTES / chunk_bytes;
  const size_t room = (chunks > 0 ? chunks : 1) * BM_MAP_CHUNK;
  const size_t most = bm_map_partition(stream->order->n, stream->context->size, 0).count;
  return most < room ? most : room;
}

static bm_status_t create_piece(stream_t *stream)
{
  const bm_generate_observer_t *observer = stream->order->observer;
  const size_t columns = 1 + (observer == NULL ? 0 : observer->count);
  stream->room = piece_room(stream);
  BM_TRY(BM_ALLOC(BM_MAP_CHUNK * bm_map_base_dimension(stream->map), &stream->base));
  BM_TRY(BM_ALLOC(stream->room * bm_map_dimension(stream->map), &stream->x));
  return BM_ALLOC(stream->room * columns, &stream->columns);
}

/* Rows of a piece, while the piece before is on its way. A rank that has to stop breaks off; the ranks
 * agree on that before they write. */
static bm_status_t make_piece(const stream_t *stream, bm_range_t rows)
{
  const size_t d = bm_map_dimension(stream->map);
  const bm_generate_observer_t *observer = stream->order->observer;
  for (size_t done = 0; done < rows.count; done += BM_MAP_CHUNK) {
    const size_t left = rows.count - done, count = left < BM_MAP_CHUNK ? left : BM_MAP_CHUNK;
    double *x = stream->x + done * d;
    if (bm_stop_pending()) {
      return BM_OK;
    }
    bm_generate_base(stream->order->seed, rows.first + done, count,
                     bm_map_base_dimension(stream->map), stream->base);
    BM_TRY(bm_map_push(stream->map, count, stream->base, x, stream->columns + done));
  }
  if (observer != NULL && rows.count > 0) {
    observer->observe(observer->self, rows.count, stream->x, stream->columns,
                      stream->columns + rows.count);
  }
  return BM_OK;
}

/* The first `rows` rows are written: where the file is, to go on from. */
static bm_status_t keep(stream_t *stream, size_t rows)
{
  const bm_context_t *context = stream->context;
  const double begun = bm_log_clock();
  bm_state_t *state;
  BM_TRY(bm_keeper_begin(context, &state));
  bm_status_t status = bm_samples_writer_keep(stream->writer, rows, state);
  status = bm_keeper_end(context, stream->order->keeper, (int64_t)rows, status, &state);
  stream->kept_at = bm_log_clock();
  stream->took = stream->kept_at - begun;
  stream->is_kept = stream->is_kept || status == BM_OK;
  bm_stop_took(stream->took);
  return status;
}

/* Stop requests, and checkpoints; for those all rows are read again, so that of large files they are further
 * apart. */
static bm_status_t poll(stream_t *stream, size_t rows)
{
  const bm_context_t *context = stream->context;
  const bm_keeper_t *keeper = stream->order->keeper;
  const int due =
      keeper != NULL && bm_context_is_root(context) &&
      bm_log_clock() - stream->kept_at >= fmax(keeper->every_s, stream->took / BM_KEEPING_SHARE);
  if (!bm_agree_any(context, due || bm_stop_pending())) {
    return BM_OK;
  }
  bm_status_t stop = bm_stop_check(context);
  if (keeper != NULL) {
    BM_TRY(keep(stream, rows));
  }
  return stop;
}

/* Round by round every rank makes a piece of the rows that come next, written while it makes another one. */
static bm_status_t run_rounds(stream_t *stream, size_t first, bm_log_t *log)
{
  const bm_context_t *context = stream->context;
  const size_t n = stream->order->n;
  const size_t most = stream->room * (size_t)context->size;
  size_t count;
  for (size_t done = first; done < n; done += count) {
    count = n - done < most ? n - done : most;
    const bm_range_t own = bm_map_partition(count, context->size, context->rank);
    const bm_range_t rows = {done + own.first, own.count};
    const bm_status_t made = make_piece(stream, rows);
    const bm_status_t written = bm_samples_writer_wait(stream->writer);
    BM_TRY_AGREE(context, made != BM_OK ? made : written);
    BM_TRY(poll(stream, done));
    BM_TRY_AGREE(context,
                 bm_samples_writer_begin(stream->writer, rows, stream->x, stream->columns));
    bm_log_progress(log, (double)(done + count), NULL);
  }
  return bm_agree(context, bm_samples_writer_wait(stream->writer));
}

static bm_status_t run_stream(stream_t *stream, size_t first, bm_log_t *log)
{
  bm_log_progress_start(log, "generating", (double)stream->order->n, "samples");
  bm_log_progress_resume(log, (double)first);
  stream->kept_at = bm_log_clock();
  bm_status_t status = run_rounds(stream, first, log);
  bm_log_progress_end(log);
  return status;
}

/* The file of an earlier run, where there is one that is good. */
static bm_status_t find_writer(stream_t *stream, const bm_samples_content_t *content, bm_log_t *log,
                               size_t *first)
{
  const bm_keeper_t *keeper = stream->order->keeper;
  bm_state_t *state = NULL;
  if (keeper == NULL) {
    return BM_OK;
  }
  BM_TRY(keeper->load(keeper->self, &state));
  if (state == NULL) {
    return BM_OK;
  }
  bm_status_t status = bm_samples_writer_resume(stream->context, stream->order->path, content,
                                                state, first, &stream->writer);
  if (status == BM_OK && stream->writer == NULL) {
    bm_log_warn(log, "%s; generation starts again", bm_status_message());
  }
  stream->is_kept = stream->writer != NULL;
  bm_state_destroy(&state);
  return status;
}

/* A file with everything but its rows from `*first` on. */
static bm_status_t open_writer(stream_t *stream, bm_log_t *log, size_t *first)
{
  const bm_generate_order_t *order = stream->order;
  const size_t extra = order->observer == NULL ? 0 : order->observer->count;
  const size_t d = bm_map_dimension(stream->map);
  const bm_layout_t *layout = bm_map_layout(stream->map);
  bm_observable_t *names = NULL;
  BM_TRY_AGREE(stream->context, BM_ALLOC(1 + extra, &names));
  names[0] = (bm_observable_t){"log_density", "1", NULL};
  for (size_t k = 0; k < extra; k++) {
    names[1 + k] = order->observer->names[k];
  }
  const bm_samples_content_t content = {.particles = layout->particles,
                                        .dimensions = layout->dimensions,
                                        .length_unit = "nm",
                                        .step_stride = 1,
                                        .time_stride_ps = 1.0,
                                        .single_precision =
                                            sizeof(bm_real_t) == sizeof(float) && d > 8,
                                        .observables = names,
                                        .observable_count = 1 + extra,
                                        .provenance = order->provenance,
                                        .provenance_count = order->provenance_count,
                                        .fingerprint = order->fingerprint,
                                        .unfinished = order->keeper != NULL};
  *first = 0;
  bm_status_t status = find_writer(stream, &content, log, first);
  if (status == BM_OK && stream->writer == NULL) {
    status = bm_samples_writer_create(stream->context, order->path, order->n, d, 1, &content,
                                      &stream->writer);
  }
  bm_free(names);
  return status;
}

bm_status_t bm_generate_file(const bm_context_t *context, bm_map_t *map,
                             const bm_generate_order_t *order, bm_log_t *log)
{
  stream_t stream = {.context = context, .map = map, .order = order};
  size_t first;
  bm_status_t status = bm_agree(context, create_piece(&stream));
  if (status == BM_OK) {
    status = open_writer(&stream, log, &first);
  }
  if (status == BM_OK) {
    status = run_stream(&stream, first, log);
  }
  bm_free(stream.base);
  bm_free(stream.x);
  bm_free(stream.columns);
  if (status == BM_OK) {
    return bm_samples_writer_finish(&stream.writer);
  }
  if (stream.is_kept) {
    bm_samples_writer_leave(&stream.writer);
  } else {
    bm_samples_writer_abandon(&stream.writer);
  }
  return status;
}
