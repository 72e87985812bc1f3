#include "boltzmap/train/pairs.h"

#include <assert.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/transport/assignment.h"

typedef struct {
  size_t count;
  bm_real_t *base, *target; /* [count][base width], [count][target width] */
} table_t;

struct bm_pairs {
  const bm_context_t *context;
  bm_pairs_source_t source;
  uint64_t seed;
  size_t d, base_width, target_width; /* coordinates of a point, of a base and of a target */
  int64_t renewed;                    /* epochs */
  size_t smoothed;                    /* targets that one is the mean of */
  int64_t epoch;                      /* that the pairs were made in; -1: none */
  table_t train, held_out;
};

static bm_status_t table_create(const bm_pairs_t *pairs, size_t count, table_t *table)
{
  table->count = count;
  BM_TRY(BM_ALLOC(count * pairs->base_width, &table->base));
  return BM_ALLOC(count * pairs->target_width, &table->target);
}

static void table_release(table_t *table)
{
  bm_free(table->base);
  bm_free(table->target);
}

/* Targets in the order of their base points, by the exact assignment. */
typedef struct {
  double *x, *y;     /* [count][d] */
  uint32_t *pairing; /* [count] */
  bm_real_t *target; /* [count][d], as they were */
} assigning_t;

static bm_status_t assigning_create(size_t count, size_t d, assigning_t *work)
{
  BM_TRY(BM_ALLOC(count * d, &work->x));
  BM_TRY(BM_ALLOC(count * d, &work->y));
  BM_TRY(BM_ALLOC(count, &work->pairing));
  return BM_ALLOC(count * d, &work->target);
}

static void assigning_release(assigning_t *work)
{
  bm_free(work->x);
  bm_free(work->y);
  bm_free(work->pairing);
  bm_free(work->target);
}

static bm_status_t assign(const bm_context_t *context, size_t d, table_t *table, assigning_t *work)
{
  const size_t items = table->count * d;
  bm_assignment_result_t result;
  for (size_t i = 0; i < items; i++) {
    work->x[i] = (double)table->base[i];
    work->y[i] = (double)table->target[i];
  }
  const bm_assignment_problem_t problem = {.n = table->count, .d = d, .x = work->x, .y = work->y};
  BM_TRY(bm_assignment_solve(context, &problem, work->pairing, &result));
  BM_TRY(bm_broadcast(context, work->pairing, table->count * sizeof *work->pairing));
  memcpy(work->target, table->target, items * sizeof *work->target);
  for (size_t i = 0; i < table->count; i++) {
    memcpy(table->target + i * d, work->target + work->pairing[i] * d, d * sizeof *work->target);
  }
  return BM_OK;
}

/* The Brenier map from the base points to the targets that the table has. Collective. */
static bm_status_t pair_up(const bm_pairs_t *pairs, table_t *table)
{
  assigning_t work = {NULL, NULL, NULL, NULL};
  bm_status_t status = bm_agree(pairs->context, assigning_create(table->count, pairs->d, &work));
  if (status == BM_OK) {
    status = assign(pairs->context, pairs->d, table, &work);
  }
  assigning_release(&work);
  return status;
}

/* The nearest base points that were seen. */
typedef struct {
  size_t count, most;
  double square[BM_PAIRS_SMOOTHED_MOST]; /* of the distance, ascending */
  size_t place[BM_PAIRS_SMOOTHED_MOST];
} nearest_t;

/* Of two that are as near the one that was seen first. */
static void see(nearest_t *nearest, double square, size_t place)
{
  if (nearest->count == nearest->most && square >= nearest->square[nearest->most - 1]) {
    return;
  }
  size_t at = nearest->count < nearest->most ? nearest->count++ : nearest->most - 1;
  while (at > 0 && nearest->square[at - 1] > square) {
    nearest->square[at] = nearest->square[at - 1];
    nearest->place[at] = nearest->place[at - 1];
    at--;
  }
  nearest->square[at] = square;
  nearest->place[at] = place;
}

/* The mean target of the pairs around pair i. */
static void smooth_target(const table_t *table, size_t d, size_t i, nearest_t *nearest,
                          double *mean)
{
  nearest->count = 0;
  for (size_t j = 0; j < table->count; j++) {
    double square = 0.0;
    for (size_t k = 0; k < d; k++) {
      const double way = (double)table->base[i * d + k] - (double)table->base[j * d + k];
      square += way * way;
    }
    see(nearest, square, j);
  }
  for (size_t p = 0; p < nearest->count; p++) {
    const bm_real_t *target = table->target + nearest->place[p] * d;
    for (size_t k = 0; k < d; k++) {
      mean[k] += (double)target[k] / (double)nearest->count;
    }
  }
}

/* Collective. */
static bm_status_t smooth(const bm_pairs_t *pairs, table_t *table)
{
  const bm_context_t *context = pairs->context;
  const size_t d = pairs->d;
  nearest_t *nearest = NULL;
  double *mean = NULL;
  bm_status_t status = BM_ALLOC(1, &nearest);
  if (status == BM_OK) {
    status = BM_ALLOC(table->count * d, &mean);
  }
  status = bm_agree(context, status);
  if (status == BM_OK) {
    const bm_range_t own = bm_partition(table->count, context->size, context->rank);
    nearest->most = pairs->smoothed < table->count ? pairs->smoothed : table->count;
    for (size_t i = own.first; i < own.first + own.count; i++) {
      smooth_target(table, d, i, nearest, mean + i * d);
    }
    status = bm_join(context, table->count * d, mean);
  }
  for (size_t i = 0; status == BM_OK && i < table->count * d; i++) {
    table->target[i] = (bm_real_t)mean[i];
  }
  bm_free(nearest);
  bm_free(mean);
  return status;
}

/* Points on their way through the guide. */
typedef struct {
  double *base, *shape; /* [BM_MAP_CHUNK][d], [BM_MAP_CHUNK][shape d] */
  double *target;       /* [all points][stages][d] */
} following_t;

static bm_status_t following_create(const bm_pairs_t *pairs, size_t points, following_t *work)
{
  BM_TRY(BM_ALLOC(BM_MAP_CHUNK * pairs->d, &work->base));
  BM_TRY(BM_ALLOC(BM_MAP_CHUNK * bm_map_dimension(pairs->source.guide), &work->shape));
  return BM_ALLOC(points * pairs->source.stages * pairs->d, &work->target);
}

static void following_release(following_t *work)
{
  bm_free(work->base);
  bm_free(work->shape);
  bm_free(work->target);
}

/* Up to a chunk of points from this one on. */
static bm_status_t follow_chunk(const bm_pairs_t *pairs, const table_t *table, size_t first,
                                size_t count, following_t *work)
{
  const size_t d = pairs->d;
  const size_t shape_d = bm_map_dimension(pairs->source.guide);
  for (size_t i = 0; i < count * d; i++) {
    work->base[i] = (double)table->base[first * d + i];
  }
  if (pairs->source.stages > 1) {
    return bm_map_moser_steps(pairs->source.guide, pairs->source.chart, count, work->base,
                              pairs->source.stages,
                              work->target + first * pairs->source.stages * d);
  }
  BM_TRY(bm_map_push(pairs->source.guide, count, work->base, work->shape, NULL));
  for (size_t i = 0; i < count; i++) {
    bm_chart_encode(pairs->source.chart, work->shape + i * shape_d, work->target + (first + i) * d);
  }
  return BM_OK;
}

static bm_status_t follow(const bm_pairs_t *pairs, table_t *table, following_t *work)
{
  const bm_context_t *context = pairs->context;
  const size_t points = table->count * pairs->source.group;
  const bm_range_t own = bm_map_partition(points, context->size, context->rank);
  const size_t most = bm_map_partition(points, context->size, 0).count;
  for (size_t done = 0; done < most; done += BM_MAP_CHUNK) {
    const size_t left = done < own.count ? own.count - done : 0;
    const size_t count = left < BM_MAP_CHUNK ? left : BM_MAP_CHUNK;
    BM_TRY(bm_stop_check(context));
    BM_TRY_AGREE(context,
                 count == 0 ? BM_OK : follow_chunk(pairs, table, own.first + done, count, work));
  }
  BM_TRY(bm_join(context, table->count * pairs->target_width, work->target));
  for (size_t i = 0; i < table->count * pairs->target_width; i++) {
    table->target[i] = (bm_real_t)work->target[i];
  }
  return BM_OK;
}

/* Where the guide takes the base points. Collective. */
static bm_status_t take_along(const bm_pairs_t *pairs, table_t *table)
{
  following_t work = {NULL, NULL, NULL};
  bm_status_t status =
      bm_agree(pairs->context, following_create(pairs, table->count * pairs->source.group, &work));
  if (status == BM_OK) {
    status = follow(pairs, table, &work);
  }
  following_release(&work);
  return status;
}

/* Base points of this round, and their targets; of the Brenier map, those that the table has. Collective. */
static bm_status_t make(const bm_pairs_t *pairs, uint64_t round, table_t *table)
{
  bm_rows_base(pairs->source.rows, BM_PURPOSE_PAIR_BASE, round, (bm_range_t){0, table->count},
               pairs->source.group, pairs->source.step, table->base);
  return pairs->source.guide == NULL ? pair_up(pairs, table) : take_along(pairs, table);
}

bm_status_t bm_pairs_create(const bm_context_t *context, const bm_pairs_settings_t *settings,
                            const bm_pairs_source_t *source, uint64_t seed, bm_pairs_t **out)
{
  const size_t most = bm_rows_count(source->rows);
  const size_t held_out = bm_rows_held_out_rows(source->rows);
  bm_pairs_t *pairs = NULL;
  *out = NULL;
  assert(source->guide != NULL || (source->group == 1 && source->stages == 1));
  BM_TRY_AGREE(context, BM_ALLOC(1, &pairs));
  pairs->context = context;
  pairs->source = *source;
  pairs->seed = seed;
  pairs->d = bm_chart_dimension(source->chart);
  pairs->base_width = source->group * pairs->d;
  pairs->target_width = source->stages * pairs->base_width;
  pairs->renewed = settings->renewed;
  pairs->smoothed = settings->smoothed;
  pairs->epoch = -1;
  const size_t count = settings->count > 0 && settings->count < most ? settings->count : most;
  bm_status_t status = table_create(pairs, count, &pairs->train);
  if (status == BM_OK) {
    status = table_create(pairs, held_out, &pairs->held_out);
  }
  status = bm_agree(context, status);
  if (status == BM_OK) {
    if (source->guide == NULL) {
      memcpy(pairs->held_out.target, bm_rows_held_out(source->rows),
             held_out * pairs->d * sizeof *pairs->held_out.target);
    }
    status = make(pairs, BM_ROWS_HELD_OUT_ROUND, &pairs->held_out);
  }
  if (status != BM_OK) {
    bm_pairs_destroy(&pairs);
    return status;
  }
  *out = pairs;
  return BM_OK;
}

void bm_pairs_destroy(bm_pairs_t **pairs)
{
  if (*pairs != NULL) {
    table_release(&(*pairs)->train);
    table_release(&(*pairs)->held_out);
  }
  bm_free(*pairs);
  *pairs = NULL;
}

bm_status_t bm_pairs_begin_epoch(bm_pairs_t *pairs, int64_t epoch)
{
  const int64_t made = pairs->renewed > 0 ? epoch - epoch % pairs->renewed : 0;
  if (pairs->epoch != made) {
    if (pairs->source.guide == NULL) {
      bm_rows_begin_epoch(pairs->source.rows, made);
      bm_rows_take(pairs->source.rows, (bm_range_t){0, pairs->train.count}, pairs->train.target);
    }
    BM_TRY(make(pairs, (uint64_t)made, &pairs->train));
    if (pairs->source.guide == NULL && pairs->smoothed > 1) {
      BM_TRY(smooth(pairs, &pairs->train));
    }
    pairs->epoch = made;
  }
  bm_rows_begin_epoch(pairs->source.rows, epoch);
  return BM_OK;
}

static void copy_pair(const bm_pairs_t *pairs, const table_t *table, size_t from, size_t to,
                      bm_real_t *base, bm_real_t *target)
{
  const size_t widths[2] = {pairs->base_width, pairs->target_width};
  memcpy(base + to * widths[0], table->base + from * widths[0], widths[0] * sizeof *base);
  memcpy(target + to * widths[1], table->target + from * widths[1], widths[1] * sizeof *target);
}

void bm_pairs_draw(const bm_pairs_t *pairs, int64_t step, bm_range_t samples, bm_real_t *base,
                   bm_real_t *target)
{
  const bm_random_t random = bm_random(pairs->seed, BM_PURPOSE_PAIR_DRAW);
  for (size_t i = 0; i < samples.count; i++) {
    const uint64_t from = bm_random_below(random, (uint32_t)(samples.first + i), (uint64_t)step, 0,
                                          pairs->train.count);
    copy_pair(pairs, &pairs->train, (size_t)from, i, base, target);
  }
}

void bm_pairs_held_out(const bm_pairs_t *pairs, bm_range_t samples, bm_real_t *base,
                       bm_real_t *target)
{
  for (size_t i = 0; i < samples.count; i++) {
    copy_pair(pairs, &pairs->held_out, (samples.first + i) % pairs->held_out.count, i, base,
              target);
  }
}
