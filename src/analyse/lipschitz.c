#include "boltzmap/analyse/lipschitz.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/order.h"
#include "boltzmap/base/random.h"
#include "boltzmap/generate/generator.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/stop.h"

#define BM_STARTS BM_MAP_CHUNK /* points that ascend together: one chunk */
#define BM_ASCENT_STEPS 100    /* proposals of each, at most */
#define BM_ASCENT_LEAST 10     /* in many dimensions */
#define BM_ASCENT_PASSES 1000  /* backward passes of each, about: a Jacobian is one a dimension */
#define BM_FIRST_STRIDE 0.05   /* standard deviation of the first proposals, base units */
#define BM_STRIDE_GROWTH 1.6   /* after a success */
#define BM_STRIDE_SHRINK 0.88  /* after a failure: balanced at about one success in five */

bm_status_t bm_singular_range(size_t d, double *matrix, double *largest, double *smallest)
{
  double values[BM_LIPSCHITZ_DIMENSION_MAX];
  double superdiagonal[BM_LIPSCHITZ_DIMENSION_MAX];
  if (d > BM_LIPSCHITZ_DIMENSION_MAX) {
    return BM_FAIL(BM_ERR_DATA, "Lipschitz constants: dimension %zu is above %d", d,
                   BM_LIPSCHITZ_DIMENSION_MAX);
  }
  lapack_int n = (lapack_int)d;
  lapack_int info = LAPACKE_dgesvd(LAPACK_ROW_MAJOR, 'N', 'N', n, n, matrix, n, values, NULL, n,
                                   NULL, n, superdiagonal);
  if (info != 0) {
    return BM_FAIL(BM_ERR_INTERNAL, "dgesvd: code %d", (int)info);
  }
  *largest = values[0];
  *smallest = values[d - 1];
  return BM_OK;
}

/* Singular values at n base points that start at a chunk boundary. Looks for stop requests. */
static bm_status_t measure(bm_map_t *map, size_t n, const double *base, double *jacobian,
                           double *largest, double *inverse)
{
  size_t d = bm_map_base_dimension(map);
  BM_TRY(bm_stop_poll());
  BM_TRY(bm_map_jacobian(map, n, base, jacobian));
  for (size_t i = 0; i < n; i++) {
    double smallest;
    BM_TRY(bm_singular_range(d, jacobian + i * d * d, &largest[i], &smallest));
    inverse[i] = 1.0 / smallest;
  }
  return BM_OK;
}

/* The generator's base points of all ranks' chunks; zeros for other ranks' rows. */
static bm_status_t measure_own(const bm_context_t *context, bm_map_t *map, uint64_t seed, size_t n,
                               bm_log_t *log, double *values /* [2][n] */)
{
  size_t d = bm_map_base_dimension(map);
  bm_range_t own = bm_map_partition(n, context->size, context->rank);
  double *work = NULL;
  BM_TRY(BM_ALLOC(BM_MAP_CHUNK * d * (d + 1), &work));
  bm_status_t status = BM_OK;
  for (size_t done = 0; status == BM_OK && done < own.count; done += BM_MAP_CHUNK) {
    size_t first = own.first + done;
    size_t rows = own.count - done < BM_MAP_CHUNK ? own.count - done : BM_MAP_CHUNK;
    bm_generate_base(seed, first, rows, d, work);
    status = measure(map, rows, work, work + BM_MAP_CHUNK * d, values + first, values + n + first);
    bm_log_progress(log, (double)(done + rows) * context->size, NULL);
  }
  bm_free(work);
  return status;
}

/* A point and its value, for ordering. */
typedef struct {
  double value;
  size_t index;
} ranked_t;

static int descending(const void *a, const void *b)
{
  const ranked_t *x = a;
  const ranked_t *y = b;
  if (x->value > y->value || x->value < y->value) {
    return x->value > y->value ? -1 : 1;
  }
  return (x->index > y->index) - (x->index < y->index);
}

static double radius(size_t d, const double *x)
{
  double squares = 0.0;
  for (size_t k = 0; k < d; k++) {
    squares += x[k] * x[k];
  }
  return sqrt(squares);
}

/* Base points, values and strides of points that ascend together. */
typedef struct {
  size_t count, d;
  double *x, *proposal; /* [BM_STARTS][d] */
  double *jacobian;     /* [BM_STARTS][d][d] */
  double value[BM_STARTS], stride[BM_STARTS];
  double ball;
} ascent_t;

/* One proposal for every point, kept where it is better and inside the ball. */
static bm_status_t ascend_once(bm_map_t *map, bm_random_t random, uint64_t step, int inverse,
                               ascent_t *ascent)
{
  double largest[BM_STARTS];
  double reciprocal[BM_STARTS];
  size_t d = ascent->d;
  for (size_t i = 0; i < ascent->count; i++) {
    double *to = ascent->proposal + i * d;
    bm_random_normals(random, (uint32_t)i, step, 0, d, to);
    for (size_t k = 0; k < d; k++) {
      to[k] = ascent->x[i * d + k] + ascent->stride[i] * to[k];
    }
  }
  BM_TRY(measure(map, ascent->count, ascent->proposal, ascent->jacobian, largest, reciprocal));
  const double *found = inverse ? reciprocal : largest;
  for (size_t i = 0; i < ascent->count; i++) {
    const double *to = ascent->proposal + i * d;
    if (found[i] > ascent->value[i] && radius(d, to) <= ascent->ball) {
      ascent->value[i] = found[i];
      memcpy(ascent->x + i * d, to, d * sizeof *to);
      ascent->stride[i] *= BM_STRIDE_GROWTH;
    } else {
      ascent->stride[i] *= BM_STRIDE_SHRINK;
    }
  }
  return BM_OK;
}

/* Put the worst points at the start of an ascent. */
static bm_status_t choose_starts(uint64_t seed, size_t n, const double *values, ascent_t *ascent)
{
  ranked_t *ranked = NULL;
  BM_TRY(BM_ALLOC(n, &ranked));
  for (size_t i = 0; i < n; i++) {
    ranked[i] = (ranked_t){values[i], i};
  }
  qsort(ranked, n, sizeof *ranked, descending);
  for (size_t i = 0; i < ascent->count; i++) {
    bm_generate_base(seed, ranked[i].index, 1, ascent->d, ascent->x + i * ascent->d);
    ascent->value[i] = ranked[i].value;
    ascent->stride[i] = BM_FIRST_STRIDE;
  }
  bm_free(ranked);
  ascent->ball = 0.0;
  for (size_t i = 0; i < n; i++) {
    double point[BM_LIPSCHITZ_DIMENSION_MAX];
    bm_generate_base(seed, i, 1, ascent->d, point);
    double distance = radius(ascent->d, point);
    ascent->ball = distance > ascent->ball ? distance : ascent->ball;
  }
  return BM_OK;
}

static uint64_t ascent_steps(size_t d)
{
  const uint64_t steps = BM_ASCENT_PASSES / d;
  return steps > BM_ASCENT_STEPS ? BM_ASCENT_STEPS
                                 : (steps < BM_ASCENT_LEAST ? BM_ASCENT_LEAST : steps);
}

static bm_status_t ascend(bm_map_t *map, uint64_t seed, size_t n, const double *values, int inverse,
                          double *best)
{
  size_t d = bm_map_base_dimension(map);
  double *work = NULL;
  BM_TRY(BM_ALLOC(BM_STARTS * d * (d + 2), &work));
  ascent_t ascent = {.count = n < BM_STARTS ? n : BM_STARTS,
                     .d = d,
                     .x = work,
                     .proposal = work + BM_STARTS * d,
                     .jacobian = work + 2 * BM_STARTS * d};
  bm_random_t random = bm_random(bm_random_derive_seed(seed, (uint64_t)inverse), BM_PURPOSE_ASCENT);
  bm_status_t status = choose_starts(seed, n, values, &ascent);
  for (uint64_t step = 0; status == BM_OK && step < ascent_steps(d); step++) {
    status = ascend_once(map, random, step, inverse, &ascent);
  }
  *best = 0.0;
  for (size_t i = 0; i < ascent.count; i++) {
    *best = ascent.value[i] > *best ? ascent.value[i] : *best;
  }
  bm_free(work);
  return status;
}

/* From all points' values to the result; the two ascents go to two ranks where there are two. */
static bm_status_t summarise(const bm_context_t *context, bm_map_t *map, uint64_t seed, size_t n,
                             double *largest, const double *inverse, bm_lipschitz_t *result)
{
  double best[2] = {0.0, 0.0};
  bm_status_t status = BM_OK;
  for (int which = 0; which < 2; which++) {
    if (context->rank == which % context->size && status == BM_OK) {
      status = ascend(map, seed, n, which ? inverse : largest, which, &best[which]);
    }
  }
  BM_TRY_AGREE(context, status);
  for (int which = 0; which < 2; which++) {
    BM_TRY_MPI(MPI_Bcast(&best[which], 1, MPI_DOUBLE, which % context->size, context->comm));
  }
  result->max = best[0];
  result->inverse_max = best[1];
  result->inverse_max_sampled = 0.0;
  for (size_t i = 0; i < n; i++) {
    if (inverse[i] > result->inverse_max_sampled) {
      result->inverse_max_sampled = inverse[i];
    }
  }
  qsort(largest, n, sizeof *largest, bm_order_ascending);
  result->max_sampled = largest[n - 1];
  result->p99 = largest[(size_t)ceil(0.99 * (double)n) - 1];
  return BM_OK;
}

bm_status_t bm_lipschitz(const bm_context_t *context, bm_map_t *map, uint64_t seed, size_t n,
                         bm_log_t *log, bm_lipschitz_t *result)
{
  double *values = NULL;
  BM_TRY_AGREE(context, BM_ALLOC(2 * n, &values));
  bm_log_progress_start(log, "Lipschitz constants", (double)n, "points");
  bm_status_t status = bm_agree(context, measure_own(context, map, seed, n, log, values));
  /* Every point has one owner and zeros elsewhere: this sum has no rounding. */
  if (status == BM_OK) {
    status = bm_context_mpi_status(
        MPI_Allreduce(MPI_IN_PLACE, values, (int)(2 * n), MPI_DOUBLE, MPI_SUM, context->comm),
        "MPI_Allreduce");
  }
  if (status == BM_OK) {
    status = summarise(context, map, seed, n, values, values + n, result);
  }
  bm_log_progress_end(log);
  bm_free(values);
  return status;
}
