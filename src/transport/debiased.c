#include "boltzmap/transport/debiased.h"

#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"
#include "boltzmap/base/tree.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/partition.h"

/* Blocks of a half; as many groups are left out in turn. */
enum { BM_HALF = BM_DEBIASED_BLOCKS / 2 };
#define BM_KEEP_ALL (-1)

/* Halves of both clouds: A, A', B, B'. */
typedef struct {
  uint32_t order[2][BM_DEBIASED_BLOCKS]; /* of the blocks of A and B: the first half, the second */
  size_t n;                              /* points of each */
  bm_cloud_t half[4];
  double *rows[4]; /* [n][d] */
  double *all;     /* [longest half][d] */
} halves_t;

/* The rows of the blocks of a half but one, then as many as asked for, evenly spread. */
static void fill_half(halves_t *halves, const bm_cloud_t *cloud, int which, int left_out, size_t n)
{
  const uint32_t *order = halves->order[which / 2] + which % 2 * BM_HALF;
  const size_t d = cloud->d;
  size_t found = 0;
  for (int k = 0; k < BM_HALF; k++) {
    if (k != left_out) {
      const bm_range_t block = bm_partition(cloud->n, BM_DEBIASED_BLOCKS, (int)order[k]);
      memcpy(halves->all + found * d, cloud->x + block.first * d,
             block.count * d * sizeof *halves->all);
      found += block.count;
    }
  }
  for (size_t i = 0; i < n; i++) {
    memcpy(halves->rows[which] + i * d, halves->all + i * found / n * d, d * sizeof *halves->all);
  }
  halves->half[which] = (bm_cloud_t){n, d, halves->rows[which]};
}

/* Smallest number of rows that a half of a cloud can have, a group left out or not. */
static size_t rows_of_half(const bm_cloud_t *cloud, int blocks)
{
  return (size_t)blocks * (cloud->n / BM_DEBIASED_BLOCKS);
}

static size_t points_of(const bm_distance_settings_t *settings, const bm_cloud_t *a,
                        const bm_cloud_t *b, int blocks)
{
  const size_t of_a = rows_of_half(a, blocks), of_b = rows_of_half(b, blocks);
  const size_t most = of_a < of_b ? of_a : of_b;
  const size_t asked = settings->subsample * (size_t)blocks / BM_HALF;
  return asked > 0 && asked < most ? asked : most;
}

/* The distances between the halves, a group of blocks left out. */
static bm_status_t compare(const bm_context_t *context, const bm_distance_ops_t *distance,
                           const bm_distance_settings_t *settings, const halves_t *halves,
                           bm_debiased_t *result)
{
  const bm_cloud_t *half = halves->half;
  const bm_cloud_t first[] = {half[0], half[1], half[0], half[2]};
  const bm_cloud_t second[] = {half[2], half[3], half[1], half[3]};
  bm_distance_settings_t whole = *settings;
  bm_distance_result_t found[4];
  double squares[4];
  whole.subsample = 0;
  whole.repeats = 1;
  whole.log = NULL;
  BM_TRY(bm_distance_batch(context, distance, &whole, 4, first, second, found));
  for (size_t i = 0; i < 4; i++) {
    squares[i] = found[i].w2 * found[i].w2;
    result->gap = fmax(result->gap, found[i].gap);
  }
  result->raw = 0.5 * (squares[0] + squares[1]);
  result->floor = 0.5 * (squares[2] + squares[3]);
  result->w2_squared = result->raw - result->floor;
  result->n = half[0].n;
  return BM_OK;
}

static bm_status_t run(const bm_context_t *context, const bm_distance_ops_t *distance,
                       const bm_distance_settings_t *settings, const bm_cloud_t *clouds[2],
                       halves_t *halves, int left_out, bm_debiased_t *result)
{
  const int blocks = left_out == BM_KEEP_ALL ? BM_HALF : BM_HALF - 1;
  const size_t n = points_of(settings, clouds[0], clouds[1], blocks);
  for (int which = 0; which < 4; which++) {
    fill_half(halves, clouds[which / 2], which, left_out, n);
  }
  return compare(context, distance, settings, halves, result);
}

static bm_status_t jackknife(const bm_context_t *context, const bm_distance_ops_t *distance,
                             const bm_distance_settings_t *settings, const bm_cloud_t *clouds[2],
                             halves_t *halves, bm_debiased_t *result)
{
  double values[BM_HALF], squares[BM_HALF];
  bm_status_t status = BM_OK;
  bm_log_progress_start(settings->log, "debiased distance", BM_HALF, "parts");
  for (int group = 0; group < BM_HALF && status == BM_OK; group++) {
    bm_debiased_t part = {0};
    status = run(context, distance, settings, clouds, halves, group, &part);
    values[group] = part.w2_squared;
    result->gap = fmax(result->gap, part.gap);
    bm_log_progress(settings->log, group + 1.0, NULL);
  }
  bm_log_progress_end(settings->log);
  BM_TRY(status);
  const double mean = bm_tree_sum(BM_HALF, values) / BM_HALF;
  for (int group = 0; group < BM_HALF; group++) {
    squares[group] = (values[group] - mean) * (values[group] - mean);
  }
  result->error = sqrt(bm_tree_sum(BM_HALF, squares) * (BM_HALF - 1.0) / BM_HALF);
  return BM_OK;
}

static bm_status_t create_halves(const bm_distance_settings_t *settings,
                                 const bm_cloud_t *clouds[2], halves_t *halves)
{
  const bm_random_t random = bm_random(settings->seed, BM_PURPOSE_BOOTSTRAP);
  const size_t n = clouds[0]->n > clouds[1]->n ? clouds[0]->n : clouds[1]->n;
  const size_t d = clouds[0]->d > clouds[1]->d ? clouds[0]->d : clouds[1]->d;
  for (int c = 0; c < 2; c++) {
    if (clouds[c]->n < 2 * BM_DEBIASED_BLOCKS) {
      return BM_FAIL(BM_ERR_DATA,
                     "%s set: a debiased distance compares halves of each set, of %d blocks; %zu "
                     "points are too few, at least %d are needed",
                     c == 0 ? "first" : "second", BM_HALF, clouds[c]->n, 2 * BM_DEBIASED_BLOCKS);
    }
    bm_random_permutation(random, (uint32_t)c, BM_DEBIASED_BLOCKS, halves->order[c]);
  }
  for (size_t i = 0; i < 4; i++) {
    BM_TRY(BM_ALLOC((n / 2 + BM_HALF) * d, &halves->rows[i]));
  }
  return BM_ALLOC((n / 2 + BM_HALF) * d, &halves->all);
}

bm_status_t bm_distance_debiased(const bm_context_t *context, const bm_distance_ops_t *distance,
                                 const bm_distance_settings_t *settings, const bm_cloud_t *a,
                                 const bm_cloud_t *b, bm_debiased_t *result)
{
  const bm_cloud_t *clouds[2] = {a, b};
  halves_t halves = {0};
  *result = (bm_debiased_t){0};
  bm_status_t status = bm_agree(context, create_halves(settings, clouds, &halves));
  if (status == BM_OK) {
    status = run(context, distance, settings, clouds, &halves, BM_KEEP_ALL, result);
  }
  if (status == BM_OK) {
    status = jackknife(context, distance, settings, clouds, &halves, result);
  }
  for (size_t i = 0; i < 4; i++) {
    bm_free(halves.rows[i]);
  }
  bm_free(halves.all);
  return status;
}
