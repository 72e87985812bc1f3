#include "boltzmap/generate/generator.h"

#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/stop.h"

#define BM_PIECE (64 * BM_MAP_CHUNK) /* rows a rank makes between writes */

bm_status_t bm_generate_load(const bm_context_t *context, const char *path, bm_map_t **map)
{
  bm_state_t *state = NULL;
  *map = NULL;
  BM_TRY(bm_state_read_all(context, path, "model", &state));
  bm_status_t status = bm_map_load(state, map);
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
  double *work = NULL;
  BM_TRY(BM_ALLOC(BM_MAP_CHUNK * (2 * d + 1), &work));
  double *base = work;
  double *rows = work + BM_MAP_CHUNK * d;
  double *density = work + BM_MAP_CHUNK * 2 * d;
  size_t end = first + count;
  /* Whole chunks of the endless row of samples are computed, and what was asked for is kept. */
  for (size_t start = first / BM_MAP_CHUNK * BM_MAP_CHUNK; start < end; start += BM_MAP_CHUNK) {
    size_t from = start > first ? start : first;
    size_t to = start + BM_MAP_CHUNK < end ? start + BM_MAP_CHUNK : end;
    bm_generate_base(seed, start, BM_MAP_CHUNK, d, base);
    bm_map_push(map, BM_MAP_CHUNK, base, rows, density);
    memcpy(x + (from - first) * d, rows + (from - start) * d, (to - from) * d * sizeof *x);
    memcpy(log_density + (from - first), density + (from - start), (to - from) * sizeof *x);
  }
  bm_free(work);
  return BM_OK;
}

/* What one round of the stream works with. */
typedef struct {
  double *x;       /* [BM_PIECE][d] */
  double *columns; /* [1 + observer count][BM_PIECE]: log_density first */
} piece_t;

static bm_status_t make_piece(bm_map_t *map, uint64_t seed, bm_range_t rows,
                              const bm_generate_observer_t *observer, piece_t *piece)
{
  BM_TRY(bm_generate_rows(map, seed, rows.first, rows.count, piece->x, piece->columns));
  if (observer != NULL && rows.count > 0) {
    observer->observe(observer->self, rows.count, piece->x, piece->columns,
                      piece->columns + rows.count);
  }
  return BM_OK;
}

/* Every rank works through its own stretch of rows, piece by piece, in as many rounds as the longest
 * stretch needs. */
static bm_status_t stream(const bm_context_t *context, bm_map_t *map, uint64_t seed, size_t n,
                          const bm_generate_observer_t *observer, bm_samples_writer_t *writer,
                          piece_t *piece, bm_log_t *log)
{
  bm_range_t own = bm_map_partition(n, context->size, context->rank);
  size_t most = bm_map_partition(n, context->size, 0).count;
  bm_log_progress_start(log, "generating", (double)n, "samples");
  for (size_t done = 0; done < most; done += BM_PIECE) {
    size_t skip = done < own.count ? done : own.count;
    size_t left = own.count - skip;
    bm_range_t rows = {own.first + skip, left < BM_PIECE ? left : BM_PIECE};
    BM_TRY_AGREE(context, make_piece(map, seed, rows, observer, piece));
    BM_TRY(bm_samples_writer_write(writer, rows, piece->x, piece->columns));
    BM_TRY(bm_stop_check(context));
    bm_log_progress(log, (double)(done + BM_PIECE) * context->size, NULL);
  }
  bm_log_progress_end(log);
  return BM_OK;
}

bm_status_t bm_generate_file(const bm_context_t *context, bm_map_t *map, uint64_t seed, size_t n,
                             const bm_generate_observer_t *observer, const char *path,
                             const bm_provenance_t *provenance, size_t provenance_count,
                             uint64_t fingerprint, bm_log_t *log)
{
  size_t extra = observer == NULL ? 0 : observer->count;
  size_t d = bm_map_dimension(map);
  const bm_layout_t *layout = bm_map_layout(map);
  bm_observable_t *names = NULL;
  piece_t piece = {NULL, NULL};
  bm_samples_writer_t *writer = NULL;
  bm_status_t status = BM_ALLOC(1 + extra, &names);
  if (status == BM_OK) {
    status = BM_ALLOC(BM_PIECE * d, &piece.x);
  }
  if (status == BM_OK) {
    status = BM_ALLOC(BM_PIECE * (1 + extra), &piece.columns);
  }
  status = bm_agree(context, status);
  if (status == BM_OK) {
    names[0] = (bm_observable_t){"log_density", "1", NULL};
    for (size_t k = 0; k < extra; k++) {
      names[1 + k] = observer->names[k];
    }
    bm_samples_content_t content = {.particles = layout->particles,
                                    .dimensions = layout->dimensions,
                                    .length_unit = "nm",
                                    .step_stride = 1,
                                    .time_stride_ps = 1.0,
                                    .single_precision = sizeof(bm_real_t) == sizeof(float) && d > 8,
                                    .observables = names,
                                    .observable_count = 1 + extra,
                                    .provenance = provenance,
                                    .provenance_count = provenance_count,
                                    .fingerprint = fingerprint};
    status = bm_samples_writer_create(context, path, n, d, 1, &content, &writer);
  }
  if (status == BM_OK) {
    status = stream(context, map, seed, n, observer, writer, &piece, log);
  }
  if (status == BM_OK) {
    status = bm_samples_writer_finish(&writer);
  } else {
    bm_samples_writer_abandon(&writer);
  }
  bm_free(piece.columns);
  bm_free(piece.x);
  bm_free(names);
  return status;
}
