#include "boltzmap/transport/cost.h"

#include <math.h>

#include "boltzmap/base/memory.h"

/* Mean of each coordinate less the first row's, which keeps digits where the origin is far away. */
static void find_offset(size_t n, size_t d, const double *rows /* [n][d] */,
                        double *offset /* [d] */)
{
  for (size_t k = 0; k < d; k++) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
      sum += rows[i * d + k] - rows[k];
    }
    offset[k] = sum / (double)n;
  }
}

/* Mean square of the distances from the mean. */
static double mean_square(const bm_cost_t *cost, int side)
{
  const size_t d = cost->d;
  const double *rows = cost->cloud[side], *offset = cost->offset[side];
  double sum = 0.0;
  for (size_t i = 0; i < cost->n; i++) {
    for (size_t k = 0; k < d; k++) {
      const double difference = rows[i * d + k] - rows[k] - offset[k];
      sum += difference * difference;
    }
  }
  return sum / (double)cost->n;
}

static void find_shift(bm_cost_t *cost)
{
  const size_t n = cost->n, d = cost->d;
  double square = 0.0;
  for (int side = 0; side < 2; side++) {
    find_offset(n, d, cost->cloud[side], cost->offset[side]);
  }
  for (size_t k = 0; k < d; k++) {
    cost->shift[k] =
        cost->cloud[0][k] - cost->cloud[1][k] + (cost->offset[0][k] - cost->offset[1][k]);
    square += cost->shift[k] * cost->shift[k];
  }
  cost->spread = 0.5 * (mean_square(cost, 0) + mean_square(cost, 1));
  cost->apart = square > cost->spread;
}

bm_status_t bm_cost_create(size_t n, size_t d, const double *x, const double *y, double period,
                           bm_cost_t **out)
{
  bm_cost_t *cost = NULL;
  bm_status_t status = BM_ALLOC(1, &cost);
  BM_TRY(status);
  *cost = (bm_cost_t){.n = n, .d = d, .cloud = {x, y}, .period = period};
  BM_TRY_GOTO(status, failed, BM_ALLOC(d, &cost->shift));
  for (int side = 0; side < 2; side++) {
    BM_TRY_GOTO(status, failed, BM_ALLOC(d, &cost->offset[side]));
    BM_TRY_GOTO(status, failed, BM_ALLOC(n, &cost->order[side]));
    for (size_t i = 0; i < n; i++) {
      cost->order[side][i] = (uint32_t)i;
    }
  }
  if (period == 0.0) {
    find_shift(cost);
  }
  *out = cost;
  return BM_OK;
failed:
  bm_cost_destroy(&cost);
  return status;
}

void bm_cost_destroy(bm_cost_t **cost)
{
  if (*cost != NULL) {
    bm_free((*cost)->order[0]);
    bm_free((*cost)->order[1]);
    bm_free((*cost)->shift);
    bm_free((*cost)->offset[0]);
    bm_free((*cost)->offset[1]);
    bm_free(*cost);
    *cost = NULL;
  }
}

const double *bm_cost_point(const bm_cost_t *cost, int side, size_t point)
{
  return cost->cloud[side] + (size_t)cost->order[side][point] * cost->d;
}

static double torus_square(size_t d, double period, const double *restrict x,
                           const double *restrict y)
{
  double square = 0.0;
  for (size_t k = 0; k < d; k++) {
    double difference = x[k] - y[k];
    difference -= period * rint(difference / period);
    square += difference * difference;
  }
  return square;
}

static double shifted_square(size_t d, const double *restrict x, const double *restrict y,
                             const double *restrict shift)
{
  double square = 0.0;
#pragma omp simd reduction(+ : square)
  for (size_t k = 0; k < d; k++) {
    double difference = x[k] - y[k] - shift[k];
    square += difference * difference;
  }
  return square;
}

static double square_apart(const bm_cost_t *cost, const double *restrict x,
                           const double *restrict y)
{
  const double *restrict x_0 = cost->cloud[0], *restrict y_0 = cost->cloud[1];
  const double *restrict x_mean = cost->offset[0], *restrict y_mean = cost->offset[1];
  double square = 0.0;
#pragma omp simd reduction(+ : square)
  for (size_t k = 0; k < cost->d; k++) {
    double difference = (x[k] - x_0[k] - x_mean[k]) - (y[k] - y_0[k] - y_mean[k]);
    square += difference * difference;
  }
  return square;
}

double bm_cost_pair(const bm_cost_t *cost, size_t i, size_t j)
{
  const double *x = bm_cost_point(cost, 0, i), *y = bm_cost_point(cost, 1, j);
  if (cost->period > 0.0) {
    return 0.5 * torus_square(cost->d, cost->period, x, y);
  }
  return 0.5 *
         (cost->apart ? square_apart(cost, x, y) : shifted_square(cost->d, x, y, cost->shift));
}

/* Largest distance of a row from one of them, or from the origin. */
static double largest_distance(size_t n, size_t d, const double *rows, const double *from)
{
  double largest = 0.0;
  for (size_t i = 0; i < n; i++) {
    double square = 0.0;
    for (size_t k = 0; k < d; k++) {
      const double difference = rows[i * d + k] - (from == NULL ? 0.0 : from[k]);
      square += difference * difference;
    }
    largest = fmax(largest, square);
  }
  return sqrt(largest);
}

double bm_cost_reach(const bm_cost_t *cost)
{
  double reach = 0.0;
  if (cost->period == 0.0 && !cost->apart) {
    for (size_t k = 0; k < cost->d; k++) {
      reach += cost->shift[k] * cost->shift[k];
    }
    return sqrt(reach);
  }
  for (int side = 0; side < 2; side++) {
    const double *rows = cost->cloud[side];
    reach += largest_distance(cost->n, cost->d, rows, cost->apart ? rows : NULL);
  }
  return cost->period > 0.0 ? 3.0 * reach : reach;
}

/* Pairwise over blocks, so that the rounding of the sum stays below that of its terms. */
static double sum_of_squares(const bm_cost_t *cost, const uint32_t *pairing, size_t first,
                             size_t count)
{
  if (count > 64) {
    size_t half = count / 2;
    return sum_of_squares(cost, pairing, first, half) +
           sum_of_squares(cost, pairing, first + half, count - half);
  }
  double sum = 0.0;
  for (size_t i = first; i < first + count; i++) {
    const double *x = bm_cost_point(cost, 0, i), *y = bm_cost_point(cost, 1, pairing[i]);
    for (size_t k = 0; k < cost->d; k++) {
      double difference = x[k] - y[k];
      if (cost->period > 0.0) {
        difference -= cost->period * rint(difference / cost->period);
      }
      sum += difference * difference;
    }
  }
  return sum;
}

double bm_cost_w2_squared(const bm_cost_t *cost, const uint32_t *pairing)
{
  return sum_of_squares(cost, pairing, 0, cost->n) / (double)cost->n;
}
