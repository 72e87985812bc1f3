#include "boltzmap/transport/max_sliced.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/order.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/transport/sliced.h"

#define BM_STEPS_MAX 500
#define BM_HALVINGS_MAX 20
#define BM_GAIN_LEAST 1e-12 /* relative, of a step */

typedef struct {
  size_t n, d;
  const double *x, *y;        /* [n][d] */
  bm_ranked_t *of_x, *of_y;   /* [n], sorted */
  double *here, *next, *goal; /* [d] */
} ascent_t;

static void project(size_t n, size_t d, const double *rows, const double *direction,
                    bm_ranked_t *out)
{
  for (size_t i = 0; i < n; i++) {
    double along = 0.0;
    for (size_t k = 0; k < d; k++) {
      along += rows[i * d + k] * direction[k];
    }
    out[i] = (bm_ranked_t){along, (uint32_t)i};
  }
  qsort(out, n, sizeof *out, bm_order_ranked);
}

static double value_at(ascent_t *a, const double *direction)
{
  double sum = 0.0;
  project(a->n, a->d, a->x, direction, a->of_x);
  project(a->n, a->d, a->y, direction, a->of_y);
  for (size_t i = 0; i < a->n; i++) {
    const double difference = a->of_x[i].value - a->of_y[i].value;
    sum += difference * difference;
  }
  return sum / (double)a->n;
}

static void normalise(size_t d, double *direction)
{
  double square = 0.0;
  for (size_t k = 0; k < d; k++) {
    square += direction[k] * direction[k];
  }
  for (size_t k = 0; k < d && square > 0.0; k++) {
    direction[k] /= sqrt(square);
  }
}

/* Where the power method leads for the pairing at hand: C · here, with C the mean of (x - y)(x -
 * y)' over the pairs, which is half the gradient. */
static void find_goal(ascent_t *a)
{
  memset(a->goal, 0, a->d * sizeof *a->goal);
  for (size_t i = 0; i < a->n; i++) {
    const double *x = a->x + a->of_x[i].place * a->d, *y = a->y + a->of_y[i].place * a->d;
    const double along = a->of_x[i].value - a->of_y[i].value;
    for (size_t k = 0; k < a->d; k++) {
      a->goal[k] += along * (x[k] - y[k]);
    }
  }
  normalise(a->d, a->goal);
}

/* A step towards the goal, halved until it gains. Gives 0 where none does. */
static int step(ascent_t *a, double *value)
{
  find_goal(a);
  double length = 1.0;
  for (int halving = 0; halving < BM_HALVINGS_MAX; halving++) {
    for (size_t k = 0; k < a->d; k++) {
      a->next[k] = (1.0 - length) * a->here[k] + length * a->goal[k];
    }
    normalise(a->d, a->next);
    const double found = value_at(a, a->next);
    if (found > *value * (1.0 + BM_GAIN_LEAST)) {
      *value = found;
      memcpy(a->here, a->next, a->d * sizeof *a->here);
      return 1;
    }
    length *= 0.5;
  }
  return 0;
}

static bm_status_t find_start(ascent_t *a, size_t count, const double *directions /* [count][d] */,
                              double *value)
{
  *value = -1.0;
  for (size_t i = 0; i < count; i++) {
    BM_TRY(bm_stop_poll());
    const double found = value_at(a, directions + i * a->d);
    if (found > *value) {
      *value = found;
      memcpy(a->here, directions + i * a->d, a->d * sizeof *a->here);
    }
  }
  (void)value_at(a, a->here); /* its pairing */
  return BM_OK;
}

static bm_status_t ascend(ascent_t *a, uint64_t seed, size_t first, size_t count,
                          double *w2_squared)
{
  double *directions = NULL;
  BM_TRY(BM_ALLOC(count * a->d, &directions));
  bm_status_t status = bm_sliced_directions(seed, first, count, a->d, directions);
  if (status == BM_OK) {
    status = find_start(a, count, directions, w2_squared);
  }
  bm_free(directions);
  BM_TRY(status);
  for (int steps = 0; steps < BM_STEPS_MAX && step(a, w2_squared); steps++) {
    BM_TRY(bm_stop_poll());
  }
  return BM_OK;
}

bm_status_t bm_max_sliced_ascend(const bm_max_sliced_pair_t *pair, uint64_t seed, size_t first,
                                 size_t count, double *w2_squared, double *direction)
{
  const size_t n = pair->n, d = pair->d;
  assert(n > 0 && d > 0 && count > 0);
  ascent_t a = {.n = n, .d = d, .x = pair->x, .y = pair->y};
  double *room = NULL;
  bm_status_t status = BM_ALLOC(3 * d, &room);
  if (status == BM_OK) {
    status = BM_ALLOC(2 * n, &a.of_x);
  }
  if (status == BM_OK) {
    a.of_y = a.of_x + n;
    a.here = room;
    a.next = room + d;
    a.goal = room + 2 * d;
    status = ascend(&a, seed, first, count, w2_squared);
  }
  if (status == BM_OK && direction != NULL) {
    memcpy(direction, a.here, d * sizeof *direction);
  }
  bm_free(a.of_x);
  bm_free(room);
  return status;
}
