#include "boltzmap/transport/distance.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"
#include "boltzmap/base/tree.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/partition.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/transport/assignment.h"
#include "boltzmap/transport/marginal.h"
#include "boltzmap/transport/max_sliced.h"
#include "boltzmap/transport/sliced.h"

#define BM_STARTS 8            /* of ascents to the largest projection */
#define BM_DEALT_TASKS 2       /* a rank: from there on ranks work on tasks of their own */
#define BM_PROJECTION_BLOCK 16 /* projections in a task; many tasks share out evenly */

static size_t one_value(const bm_distance_settings_t *settings)
{
  (void)settings;
  return 1;
}

static size_t one_value_a_projection(const bm_distance_settings_t *settings)
{
  return settings->projections;
}

static bm_status_t check_exact(const bm_distance_settings_t *settings, size_t n, size_t m, size_t d)
{
  (void)settings;
  (void)d;
  if (n != m) {
    return BM_FAIL(BM_ERR_DATA,
                   "the exact distance pairs sets of equal size, these have %zu and %zu points: "
                   "draw as many from each with --subsample, or use sliced",
                   n, m);
  }
  return BM_OK;
}

static bm_status_t check_sliced(const bm_distance_settings_t *settings, size_t n, size_t m,
                                size_t d)
{
  (void)n;
  (void)m;
  if (d > BM_NORMALS_MAX) {
    return BM_FAIL(BM_ERR_DATA,
                   "the sliced distance takes at most %zu columns, these sets have %zu",
                   BM_NORMALS_MAX, d);
  }
  if (settings->projections == 0) {
    return BM_FAIL(BM_ERR_DATA, "the sliced distance needs at least one projection");
  }
  if (settings->period > 0.0) {
    return BM_FAIL(BM_ERR_DATA, "the sliced distance has no meaning on a torus: use exact or "
                                "marginal with --period, or leave --period out");
  }
  return BM_OK;
}

/* Pairs of sorted projections. */
static bm_status_t check_max_sliced(const bm_distance_settings_t *settings, size_t n, size_t m,
                                    size_t d)
{
  BM_TRY(check_sliced(settings, n, m, d));
  if (n != m) {
    return BM_FAIL(BM_ERR_DATA,
                   "the max-sliced distance takes sets of equal size, these have %zu and %zu "
                   "points: draw as many from each with --subsample",
                   n, m);
  }
  return BM_OK;
}

static bm_status_t check_marginal(const bm_distance_settings_t *settings, size_t n, size_t m,
                                  size_t d)
{
  (void)settings;
  (void)n;
  (void)m;
  if (d != 1) {
    return BM_FAIL(BM_ERR_DATA,
                   "the marginal distance is that of one column, these sets have %zu: name one "
                   "with --columns",
                   d);
  }
  return BM_OK;
}

static bm_status_t work_exact(const bm_context_t *team, const bm_distance_task_t *task,
                              double *w2_squared, bm_distance_proof_t *proof)
{
  const bm_distance_settings_t *settings = task->settings;
  const bm_assignment_problem_t problem = {.n = task->a.n,
                                           .d = task->a.d,
                                           .x = task->a.x,
                                           .y = task->b.x,
                                           .period = settings->period,
                                           .checkpoint = settings->checkpoint,
                                           .log = settings->log};
  bm_assignment_result_t result;
  BM_TRY(bm_assignment_solve(team, &problem, settings->pairing, &result));
  *w2_squared = result.w2 * result.w2;
  *proof = (bm_distance_proof_t){result.gap, result.rounding, result.error, result.pricing_s};
  return BM_OK;
}

static bm_status_t work_sliced(const bm_context_t *team, const bm_distance_task_t *task,
                               double *w2_squared, bm_distance_proof_t *proof)
{
  (void)team;
  const size_t d = task->a.d;
  double *directions = NULL;
  BM_TRY(BM_ALLOC(task->count * d, &directions));
  bm_status_t status = bm_sliced_directions(task->seed, task->first, task->count, d, directions);
  if (status == BM_OK) {
    status = bm_sliced_w2_squared(task->a.n, task->b.n, d, task->a.x, task->b.x, task->count,
                                  directions, w2_squared);
  }
  if (status == BM_OK) {
    status = bm_sliced_take_shift(task->a.n, task->b.n, d, task->a.x, task->b.x, task->count,
                                  directions, w2_squared);
  }
  bm_free(directions);
  *proof = (bm_distance_proof_t){.error = NAN};
  return status;
}

static size_t one_value_a_start(const bm_distance_settings_t *settings)
{
  return settings->projections < BM_STARTS ? settings->projections : BM_STARTS;
}

/* A value is the maximum found from one start: the best of its share of the directions. */
static bm_status_t work_max_sliced(const bm_context_t *team, const bm_distance_task_t *task,
                                   double *w2_squared, bm_distance_proof_t *proof)
{
  (void)team;
  const int starts = (int)one_value_a_start(task->settings);
  const bm_max_sliced_pair_t pair = {task->a.n, task->a.d, task->a.x, task->b.x};
  *proof = (bm_distance_proof_t){.error = NAN};
  for (size_t i = 0; i < task->count; i++) {
    const bm_range_t own =
        bm_partition(task->settings->projections, starts, (int)(task->first + i));
    BM_TRY(bm_max_sliced_ascend(&pair, task->seed, own.first, own.count, &w2_squared[i], NULL));
  }
  return BM_OK;
}

static bm_status_t largest(uint64_t seed, size_t count, size_t d, const double *values,
                           double *w2_squared, double *error)
{
  (void)seed;
  (void)d;
  *w2_squared = 0.0;
  *error = NAN;
  for (size_t i = 0; i < count; i++) {
    *w2_squared = fmax(*w2_squared, values[i]);
  }
  return BM_OK;
}

static bm_status_t work_marginal(const bm_context_t *team, const bm_distance_task_t *task,
                                 double *w2_squared, bm_distance_proof_t *proof)
{
  (void)team;
  *proof = (bm_distance_proof_t){.error = NAN};
  return bm_marginal_w2_squared(task->a.n, task->a.x, task->b.n, task->b.x, task->settings->period,
                                w2_squared);
}

/* All pairs of a call. A task is (pair, repeat, block of values); tasks are numbered in that order.
 * Where there are many, they are dealt over the ranks in contiguous blocks; where there are few and
 * the distance can do it, all ranks work on one after the other. */
typedef struct {
  const bm_distance_ops_t *distance;
  const bm_distance_settings_t *settings;
  const bm_cloud_t *a, *b; /* [pairs] */
  const uint64_t *seeds;   /* [pairs] */
  size_t pairs, repeats;
  size_t values, blocks; /* of one repeat */
} batch_t;

/* The subsample that a rank has at hand; tasks of one repeat follow each other. */
typedef struct {
  size_t repeat; /* counted through all pairs */
  int drawn;
  bm_cloud_t a, b;
  double *x, *y;
} subsample_t;

static size_t points_of(const bm_distance_settings_t *settings, const bm_cloud_t *cloud)
{
  return settings->subsample > 0 ? settings->subsample : cloud->n;
}

/* Of the directions of a repeat, counted through all pairs; the first one's is the pair's own. */
static uint64_t seed_of(const batch_t *batch, size_t repeat)
{
  const uint64_t seed = batch->seeds[repeat / batch->repeats];
  const size_t number = repeat % batch->repeats;
  return number == 0 ? seed : bm_random_derive_seed(seed, number);
}

static size_t task_count(const batch_t *batch)
{
  return batch->pairs * batch->repeats * batch->blocks;
}

/* Where the values of a task begin among those of all tasks; that of the last one's successor is
 * the number of values. */
static size_t value_offset(const batch_t *batch, size_t task)
{
  return task / batch->blocks * batch->values + task % batch->blocks * batch->distance->block;
}

static bm_status_t check_value(const bm_distance_settings_t *settings, const bm_cloud_t *cloud,
                               size_t i)
{
  if (!isfinite(cloud->x[i])) {
    return BM_FAIL(BM_ERR_DATA, "row %zu, column %zu is not a finite number", i / cloud->d,
                   i % cloud->d);
  }
  if (settings->period > 0.0 && fabs(cloud->x[i]) > BM_TURNS_MAX * settings->period) {
    return BM_FAIL(BM_ERR_DATA, "row %zu, column %zu: %g is more than %.0e times --period %g",
                   i / cloud->d, i % cloud->d, cloud->x[i], BM_TURNS_MAX, settings->period);
  }
  return BM_OK;
}

static bm_status_t check_cloud(const bm_distance_settings_t *settings, const bm_cloud_t *cloud)
{
  if (cloud->n == 0 || cloud->d == 0) {
    return BM_FAIL(BM_ERR_DATA, "a set of %zu points in %zu columns has no distance", cloud->n,
                   cloud->d);
  }
  if (cloud->n > INT_MAX) {
    return BM_FAIL(BM_ERR_DATA, "%zu points are more than distances can take", cloud->n);
  }
  if (settings->subsample > cloud->n) {
    return BM_FAIL(BM_ERR_DATA, "--subsample of %zu points from a set of %zu", settings->subsample,
                   cloud->n);
  }
  for (size_t i = 0; i < cloud->n * cloud->d; i++) {
    BM_TRY(check_value(settings, cloud, i));
  }
  return BM_OK;
}

static bm_status_t check_batch(const batch_t *batch)
{
  const bm_distance_settings_t *settings = batch->settings;
  if (!(settings->period >= 0.0) || !isfinite(settings->period)) {
    return BM_FAIL(BM_ERR_DATA, "--period %g: a positive length is expected", settings->period);
  }
  for (size_t p = 0; p < batch->pairs; p++) {
    const bm_cloud_t *a = &batch->a[p], *b = &batch->b[p];
    if (a->d != b->d) {
      return BM_FAIL(BM_ERR_DATA, "the sets have %zu and %zu columns: choose with --columns", a->d,
                     b->d);
    }
    bm_status_t status = check_cloud(settings, a);
    if (status != BM_OK) {
      return bm_status_prefix(status, "first set");
    }
    status = check_cloud(settings, b);
    if (status != BM_OK) {
      return bm_status_prefix(status, "second set");
    }
    BM_TRY(batch->distance->check(settings, points_of(settings, a), points_of(settings, b), a->d));
  }
  return BM_OK;
}

static int compare_rows(const void *a, const void *b)
{
  const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
  return (left > right) - (left < right);
}

/* `count` rows of the cloud without replacement, in their order: the first steps of a Fisher-Yates
 * shuffle, sorted. */
static bm_status_t draw_rows(const bm_cloud_t *cloud, uint64_t seed, size_t stream, size_t count,
                             double *rows /* [count][d] */)
{
  const bm_random_t random = bm_random(seed, BM_PURPOSE_SUBSAMPLE);
  uint32_t *order = NULL;
  BM_TRY(BM_ALLOC(cloud->n, &order));
  for (size_t i = 0; i < cloud->n; i++) {
    order[i] = (uint32_t)i;
  }
  for (size_t i = 0; i < count; i++) {
    size_t j = i + (size_t)bm_random_below(random, (uint32_t)stream, i, 0, cloud->n - i);
    const uint32_t drawn = order[j];
    order[j] = order[i];
    order[i] = drawn;
  }
  qsort(order, count, sizeof *order, compare_rows);
  for (size_t i = 0; i < count; i++) {
    memcpy(rows + i * cloud->d, cloud->x + order[i] * cloud->d, cloud->d * sizeof *rows);
  }
  bm_free(order);
  return BM_OK;
}

/* The clouds of a repeat. The two are drawn independently, also where they are one and the same. */
static bm_status_t draw(const batch_t *batch, size_t repeat, subsample_t *sample)
{
  if (sample->drawn && sample->repeat == repeat) {
    return BM_OK;
  }
  const size_t pair = repeat / batch->repeats;
  const size_t stream = 2 * (repeat % batch->repeats);
  const size_t count = batch->settings->subsample;
  const uint64_t seed = batch->seeds[pair];
  sample->repeat = repeat;
  sample->drawn = 1;
  sample->a = batch->a[pair];
  sample->b = batch->b[pair];
  if (count == 0) {
    return BM_OK;
  }
  bm_free(sample->x);
  bm_free(sample->y);
  sample->x = sample->y = NULL;
  BM_TRY(BM_ALLOC(count * sample->a.d, &sample->x));
  BM_TRY(BM_ALLOC(count * sample->b.d, &sample->y));
  BM_TRY(draw_rows(&batch->a[pair], seed, stream, count, sample->x));
  BM_TRY(draw_rows(&batch->b[pair], seed, stream + 1, count, sample->y));
  sample->a = (bm_cloud_t){count, sample->a.d, sample->x};
  sample->b = (bm_cloud_t){count, sample->b.d, sample->y};
  return BM_OK;
}

typedef struct {
  double *w2_squared;         /* [pairs][repeats][values] */
  bm_distance_proof_t *proof; /* [pairs][repeats][blocks] */
  double *scratch;            /* [2][repeats] */
  int *table;                 /* [4][ranks] */
} room_t;

#define BM_PROOF_DOUBLES 4 /* in a bm_distance_proof_t */

static bm_status_t work_task(const bm_context_t *team, const batch_t *batch, size_t task,
                             subsample_t *sample, const room_t *room)
{
  const size_t repeat = task / batch->blocks;
  bm_status_t status = bm_stop_poll();
  if (status == BM_OK) {
    status = draw(batch, repeat, sample);
  }
  BM_TRY(team == NULL ? status : bm_agree(team, status));
  const size_t offset = value_offset(batch, task);
  const bm_distance_task_t piece = {.settings = batch->settings,
                                    .seed = seed_of(batch, repeat),
                                    .first = offset - repeat * batch->values,
                                    .count = value_offset(batch, task + 1) - offset,
                                    .a = sample->a,
                                    .b = sample->b};
  return batch->distance->work(team, &piece, room->w2_squared + offset, room->proof + task);
}

/* Some of the tasks; with a team they are the same for all of its ranks. */
static bm_status_t work_tasks(const bm_context_t *team, const batch_t *batch, bm_range_t tasks,
                              const room_t *room)
{
  subsample_t sample = {0};
  bm_status_t status = BM_OK;
  for (size_t t = tasks.first; t < tasks.first + tasks.count && status == BM_OK; t++) {
    status = work_task(team, batch, t, &sample, room);
  }
  bm_free(sample.x);
  bm_free(sample.y);
  return status;
}

/* Fill in what the other ranks worked out. Collective. */
static bm_status_t gather(const bm_context_t *context, const batch_t *batch, const room_t *room)
{
  int *counts = room->table, *offsets = counts + context->size;
  int *task_counts = offsets + context->size, *task_offsets = task_counts + context->size;
  for (int rank = 0; rank < context->size; rank++) {
    bm_range_t range = bm_partition(task_count(batch), context->size, rank);
    size_t first = value_offset(batch, range.first);
    counts[rank] = (int)(value_offset(batch, range.first + range.count) - first);
    offsets[rank] = (int)first;
    task_counts[rank] = (int)range.count * BM_PROOF_DOUBLES;
    task_offsets[rank] = (int)range.first * BM_PROOF_DOUBLES;
  }
  BM_TRY_MPI(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, room->w2_squared, counts, offsets,
                            MPI_DOUBLE, context->comm));
  BM_TRY_MPI(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, room->proof, task_counts,
                            task_offsets, MPI_DOUBLE, context->comm));
  return BM_OK;
}

static double mean_of(size_t count, const double *values)
{
  return bm_tree_sum(count, values) / (double)count;
}

/* Standard deviation; NaN for a single value. `scratch` [count]. */
static double deviation_of(size_t count, const double *values, double *scratch)
{
  const double mean = mean_of(count, values);
  for (size_t i = 0; i < count; i++) {
    scratch[i] = (values[i] - mean) * (values[i] - mean);
  }
  return count > 1 ? sqrt(bm_tree_sum(count, scratch) / (double)(count - 1)) : NAN;
}

/* Standard error of the mean over repeats. Subsamples of `drawn` from `n` points share points, so
 * that their spread is too small by what all of them have in common, the luck of the n points. To
 * first order two of them correlate as drawn/n, and 1/repeats + drawn/(n - drawn) in place of
 * 1/repeats makes up for it: the factor of the delete-d jackknife (Shao, Wu, Ann. Statist. 17,
 * 1176, 1989; Nadeau, Bengio, Mach. Learn. 52, 239, 2003). It errs on the safe side where the
 * clouds are alike. NaN where nothing is left out, since then the spread says nothing of it. */
static double repeat_error(double spread, size_t repeats, size_t drawn, size_t n)
{
  if (drawn >= n) {
    return NAN;
  }
  return spread * sqrt(1.0 / (double)repeats + (double)drawn / (double)(n - drawn));
}

static bm_status_t summarise(const batch_t *batch, size_t pair, const room_t *room,
                             bm_distance_result_t *result)
{
  const bm_cloud_t *a = &batch->a[pair], *b = &batch->b[pair];
  const size_t repeats = batch->repeats, values = batch->values, tasks = repeats * batch->blocks;
  const double *own = room->w2_squared + pair * repeats * values;
  const bm_distance_proof_t *proof = room->proof + pair * tasks;
  double *w2 = room->scratch + repeats;
  double error = proof->error;
  for (size_t r = 0; r < repeats; r++) {
    double square = own[r * values];
    if (batch->distance->mean != NULL) {
      BM_TRY(batch->distance->mean(seed_of(batch, pair * repeats + r), values, a->d,
                                   own + r * values, &square, &error));
    }
    w2[r] = sqrt(fmax(square, 0.0));
  }
  *result = (bm_distance_result_t){.w2 = mean_of(repeats, w2),
                                   .spread = deviation_of(repeats, w2, room->scratch),
                                   .n = points_of(batch->settings, a),
                                   .m = points_of(batch->settings, b),
                                   .d = a->d};
  if (repeats > 1) {
    result->error = repeat_error(result->spread, repeats, result->n, a->n < b->n ? a->n : b->n);
  } else {
    /* of W2 from that of W2²; nothing differs where W2 is 0 */
    result->error = result->w2 > 0.0 ? error / (2.0 * result->w2) : error;
  }
  for (size_t t = 0; t < tasks; t++) {
    result->gap = fmax(result->gap, proof[t].gap);
    result->rounding = fmax(result->rounding, proof[t].rounding);
    result->pricing_s += proof[t].pricing_s;
  }
  return BM_OK;
}

static bm_status_t allocate(const batch_t *batch, int ranks, room_t *room)
{
  const size_t repeats = batch->repeats, values = batch->values;
  BM_TRY(check_batch(batch));
  if ((double)batch->pairs * (double)repeats * (double)values > INT_MAX) {
    return BM_FAIL(BM_ERR_DATA, "%zu pairs of %zu repeats with %zu projections are too many",
                   batch->pairs, repeats, values);
  }
  BM_TRY(BM_ALLOC(batch->pairs * repeats * values, &room->w2_squared));
  BM_TRY(BM_ALLOC(task_count(batch), &room->proof));
  BM_TRY(BM_ALLOC(2 * repeats, &room->scratch));
  return BM_ALLOC(4 * (size_t)ranks, &room->table);
}

/* One rank's failure is everybody's before the first exchange, and after the work. Collective. */
static bm_status_t run(const bm_context_t *context, const batch_t *batch, room_t *room,
                       bm_distance_result_t *results /* [pairs] */)
{
  BM_TRY_AGREE(context, allocate(batch, context->size, room));
  const size_t tasks = task_count(batch);
  if (batch->distance->shares &&
      (context->size == 1 || tasks < BM_DEALT_TASKS * (size_t)context->size)) {
    BM_TRY(work_tasks(context, batch, (bm_range_t){0, tasks}, room));
  } else {
    const bm_range_t own = bm_partition(tasks, context->size, context->rank);
    BM_TRY_AGREE(context, work_tasks(NULL, batch, own, room));
    BM_TRY(gather(context, batch, room));
  }
  bm_status_t status = BM_OK;
  for (size_t p = 0; p < batch->pairs && status == BM_OK; p++) {
    status = summarise(batch, p, room, &results[p]);
  }
  return bm_agree(context, status);
}

static bm_status_t run_pairs(const bm_context_t *context, const bm_distance_ops_t *distance,
                             const bm_distance_settings_t *settings, batch_t batch,
                             bm_distance_result_t *results)
{
  batch.distance = distance;
  batch.settings = settings;
  batch.repeats = settings->subsample > 0 && settings->repeats > 0 ? settings->repeats : 1;
  batch.values = distance->values(settings);
  batch.blocks = (batch.values + distance->block - 1) / distance->block;
  room_t room = {0};
  bm_status_t status = run(context, &batch, &room, results);
  bm_free(room.w2_squared);
  bm_free(room.proof);
  bm_free(room.scratch);
  bm_free(room.table);
  return status;
}

static bm_status_t compute(const bm_context_t *context, const char *name,
                           const bm_distance_settings_t *settings, const bm_cloud_t *a,
                           const bm_cloud_t *b, bm_distance_result_t *result)
{
  const batch_t pair = {.a = a, .b = b, .seeds = &settings->seed, .pairs = 1};
  return run_pairs(context, bm_distance_find(name), settings, pair, result);
}

static bm_status_t compute_exact(const bm_context_t *context,
                                 const bm_distance_settings_t *settings, const bm_cloud_t *a,
                                 const bm_cloud_t *b, bm_distance_result_t *result)
{
  return compute(context, "exact", settings, a, b, result);
}

static bm_status_t compute_sliced(const bm_context_t *context,
                                  const bm_distance_settings_t *settings, const bm_cloud_t *a,
                                  const bm_cloud_t *b, bm_distance_result_t *result)
{
  return compute(context, "sliced", settings, a, b, result);
}

static bm_status_t compute_marginal(const bm_context_t *context,
                                    const bm_distance_settings_t *settings, const bm_cloud_t *a,
                                    const bm_cloud_t *b, bm_distance_result_t *result)
{
  return compute(context, "marginal", settings, a, b, result);
}

static bm_status_t compute_max_sliced(const bm_context_t *context,
                                      const bm_distance_settings_t *settings, const bm_cloud_t *a,
                                      const bm_cloud_t *b, bm_distance_result_t *result)
{
  return compute(context, "max-sliced", settings, a, b, result);
}

const bm_distance_ops_t bm_distance_table[] = {
    {.name = "exact",
     .description = "optimal assignment of equal numbers of points, with a dual certificate",
     .compute = compute_exact,
     .block = 1,
     .shares = 1,
     .values = one_value,
     .check = check_exact,
     .work = work_exact},
    {.name = "sliced",
     .description = "mean over random directions of the distance of projections",
     .compute = compute_sliced,
     .block = BM_PROJECTION_BLOCK,
     .values = one_value_a_projection,
     .mean = bm_sliced_mean,
     .check = check_sliced,
     .work = work_sliced},
    {.name = "max-sliced",
     .description = "the largest distance of projections, by ascent from random directions",
     .compute = compute_max_sliced,
     .block = 1,
     .values = one_value_a_start,
     .mean = largest,
     .check = check_max_sliced,
     .work = work_max_sliced},
    {.name = "marginal",
     .description = "distance of quantile functions of one column",
     .compute = compute_marginal,
     .block = 1,
     .values = one_value,
     .check = check_marginal,
     .work = work_marginal},
    {0}};

const bm_distance_ops_t *bm_distance_find(const char *name)
{
  for (const bm_distance_ops_t *row = bm_distance_table; row->name != NULL; row++) {
    if (strcmp(row->name, name) == 0) {
      return row;
    }
  }
  return NULL;
}

bm_status_t bm_distance_batch(const bm_context_t *context, const bm_distance_ops_t *distance,
                              const bm_distance_settings_t *settings, size_t pairs,
                              const bm_cloud_t *a, const bm_cloud_t *b,
                              bm_distance_result_t *results /* [pairs] */)
{
  if (pairs == 0) {
    return BM_OK;
  }
  uint64_t *seeds = NULL;
  BM_TRY_AGREE(context, BM_ALLOC(pairs, &seeds));
  for (size_t p = 0; p < pairs; p++) {
    seeds[p] = bm_random_derive_seed(settings->seed, settings->first_pair + p);
  }
  const batch_t batch = {.a = a, .b = b, .seeds = seeds, .pairs = pairs};
  bm_status_t status = run_pairs(context, distance, settings, batch, results);
  bm_free(seeds);
  return status;
}
