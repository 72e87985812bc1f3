#include "boltzmap/train/rows.h"

#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"

struct bm_rows {
  const bm_chart_t *chart;
  bm_training_data_t data; /* nothing of it owned */
  uint64_t seed;
  size_t d, count, held_out_rows; /* coordinates of the flow; rows to train on */
  int images;
  bm_real_t *train;    /* [count][d] */
  bm_real_t *held_out; /* [held out][d] */
  double *image;       /* [shape d], of one row */
  double *shape;       /* [shape d], the image as a shape */

  double *coordinate; /* [2][d], the second for a direction */
  uint32_t *order;    /* [count], rows in the order of this epoch */
  int64_t epoch;      /* that order belongs to; -1: none */
};

size_t bm_rows_held_out_count(const bm_training_data_t *data, double fraction)
{
  size_t units = data->walkers > 1 ? data->walkers : data->n;
  size_t held_out = (size_t)llround(fraction * (double)units);
  held_out = held_out < 1 ? 1 : held_out;
  return held_out * (data->n / units);
}

static void to_reals(size_t d, const double *from, bm_real_t *to)
{
  for (size_t k = 0; k < d; k++) {
    to[k] = (bm_real_t)from[k];
  }
}

/* What stands in `coordinate`, with noise where the chart has any. */
static void give_noisy(bm_rows_t *rows, size_t row, uint64_t round, bm_real_t *y /* [d] */)
{
  bm_random_t random = bm_random(rows->seed, BM_PURPOSE_NOISE);
  bm_chart_add_noise(rows->chart, random, (uint32_t)row, round, rows->coordinate);
  to_reals(rows->d, rows->coordinate, y);
}

static void encode_all(bm_rows_t *rows, size_t held_out)
{
  for (size_t i = 0; i < rows->count + held_out; i++) {
    bm_chart_encode(rows->chart, rows->data.x + i * rows->data.d, rows->coordinate);
    if (i < rows->count) {
      to_reals(rows->d, rows->coordinate, rows->train + i * rows->d);
    } else {
      give_noisy(rows, i, BM_ROWS_HELD_OUT_ROUND, rows->held_out + (i - rows->count) * rows->d);
    }
  }
}

static bm_status_t allocate(bm_rows_t *rows, size_t held_out)
{
  BM_TRY(BM_ALLOC(rows->count * rows->d, &rows->train));
  BM_TRY(BM_ALLOC(held_out * rows->d, &rows->held_out));
  BM_TRY(BM_ALLOC(rows->data.d, &rows->image));
  BM_TRY(BM_ALLOC(rows->data.d, &rows->shape));

  BM_TRY(BM_ALLOC(2 * rows->d, &rows->coordinate));
  return BM_ALLOC(rows->count, &rows->order);
}

bm_status_t bm_rows_create(const bm_chart_t *chart, const bm_training_data_t *data, size_t held_out,
                           uint64_t seed, int images, bm_rows_t **out)
{
  bm_rows_t *rows;
  *out = NULL;
  BM_TRY(BM_ALLOC(1, &rows));
  rows->chart = chart;
  rows->data = *data;
  rows->seed = seed;
  rows->d = bm_chart_dimension(chart);
  rows->count = data->n - held_out;
  rows->held_out_rows = held_out;
  rows->images = images && data->potential != NULL;
  rows->epoch = -1;
  bm_status_t status = allocate(rows, held_out);
  if (status != BM_OK) {
    bm_rows_destroy(&rows);
    return status;
  }
  encode_all(rows, held_out);
  *out = rows;
  return BM_OK;
}

void bm_rows_destroy(bm_rows_t **rows)
{
  bm_rows_t *self = *rows;
  if (self != NULL) {
    bm_free(self->train);
    bm_free(self->held_out);
    bm_free(self->image);
    bm_free(self->shape);
    bm_free(self->coordinate);
    bm_free(self->order);
  }
  bm_free(self);
  *rows = NULL;
}

size_t bm_rows_count(const bm_rows_t *rows)
{
  return rows->count;
}

size_t bm_rows_held_out_rows(const bm_rows_t *rows)
{
  return rows->held_out_rows;
}

void bm_rows_begin_epoch(bm_rows_t *rows, int64_t epoch)
{
  if (rows->epoch != epoch) {
    bm_random_permutation(bm_random(rows->seed, BM_PURPOSE_SHUFFLE), (uint32_t)epoch, rows->count,
                          rows->order);
    rows->epoch = epoch;
  }
}

/* A row as one of its images under the potential's symmetries, drawn anew for each epoch. */
static void draw_image(bm_rows_t *rows, size_t row)
{
  const size_t d = rows->data.d;
  uint32_t words[4];
  bm_random_words(bm_random(rows->seed, BM_PURPOSE_SYMMETRY), (uint32_t)row, (uint64_t)rows->epoch,
                  0, words);
  memcpy(rows->image, rows->data.x + row * d, d * sizeof *rows->image);
  const size_t elements = bm_potential_symmetry_count(rows->data.potential);
  bm_potential_symmetry(rows->data.potential, words[0] % elements, rows->image);
  /* a shape it is after another alignment; one that has none stays as it was */
  const bm_status_t status = bm_chart_project(rows->chart, 1, rows->image, rows->shape);
  bm_chart_encode(rows->chart, status == BM_OK ? rows->shape : rows->data.x + row * d,
                  rows->coordinate);
}

void bm_rows_take(bm_rows_t *rows, bm_range_t places, bm_real_t *y)
{
  for (size_t i = 0; i < places.count; i++) {
    const size_t row = rows->order[places.first + i];
    if (rows->images) {
      draw_image(rows, row);
    } else {
      for (size_t k = 0; k < rows->d; k++) {
        rows->coordinate[k] = (double)rows->train[row * rows->d + k];
      }
    }
    give_noisy(rows, row, (uint64_t)rows->epoch, y + i * rows->d);
  }
}

const bm_real_t *bm_rows_held_out(const bm_rows_t *rows)
{
  return rows->held_out;
}

void bm_rows_base(bm_rows_t *rows, bm_purpose_t purpose, uint64_t round, bm_range_t samples,
                  size_t group, double step, bm_real_t *base)
{
  static const double sides[][3] = {{0.0}, {1.0, -1.0}, {0.0, 1.0, -1.0}};
  const bm_random_t random = bm_random(rows->seed, purpose);
  const size_t d = rows->d;
  const double *direction = rows->coordinate + d;
  for (size_t i = 0; i < samples.count; i++) {
    bm_random_normals(random, (uint32_t)(samples.first + i), round, 0, group == 1 ? d : 2 * d,
                      rows->coordinate);
    for (size_t g = 0; g < group; g++) {
      const double side = step * sides[group - 1][g];
      for (size_t k = 0; k < d; k++) {
        base[(i * group + g) * d + k] = (bm_real_t)(rows->coordinate[k] + side * direction[k]);
      }
    }
  }
}
