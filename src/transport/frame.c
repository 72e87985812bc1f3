#include "boltzmap/transport/frame.h"

#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"

#define BM_TURNED_MAX \
  512 /* columns; more are not turned: d² a point would cost more than it saves */
#define BM_COVARIANCE_MAX 4096 /* points that the axes are found from */

struct bm_frame {
  const bm_cost_t *cost;
  double *axes; /* [d][d]: column k is the k-th axis; NULL: not turned */
  double scale; /* length that is 1 */
};

/* Coordinate k of a row, from the mean of its cloud. */
static double centred(const bm_frame_t *frame, int side, const double *row, size_t k)
{
  return row[k] - frame->cost->cloud[side][k] - frame->cost->offset[side][k];
}

/* Covariance of the first cloud [d][d] in units of the scale, upper triangle. */
static void find_covariance(const bm_frame_t *frame, double *covariance)
{
  const size_t d = frame->cost->d, n = frame->cost->n;
  const size_t stride = (n + BM_COVARIANCE_MAX - 1) / BM_COVARIANCE_MAX;
  for (size_t i = 0; i < n; i += stride) {
    const double *row = frame->cost->cloud[0] + i * d;
    for (size_t a = 0; a < d; a++) {
      const double value = centred(frame, 0, row, a) / frame->scale;
      for (size_t b = a; b < d; b++) {
        covariance[a * d + b] += value * (centred(frame, 0, row, b) / frame->scale);
      }
    }
  }
}

/* LAPACK sorts by rising variance; the widest axis comes first here. */
static bm_status_t find_axes(bm_frame_t *frame)
{
  const size_t d = frame->cost->d;
  double *work = NULL; /* covariance, then its eigenvectors as columns [d][d]; variances [d] */
  BM_TRY(BM_ALLOC(d * d + d, &work));
  find_covariance(frame, work);
  int info = LAPACKE_dsyev(LAPACK_ROW_MAJOR, 'V', 'U', (int)d, work, (int)d, work + d * d);
  for (size_t l = 0; l < d && info == 0; l++) {
    for (size_t k = 0; k < d; k++) {
      frame->axes[l * d + k] = work[l * d + d - 1 - k] / frame->scale;
    }
  }
  bm_free(work);
  return info == 0 ? BM_OK
                   : BM_FAIL(BM_ERR_INTERNAL, "exact distance: LAPACK dsyev gives %d", info);
}

static bm_status_t fill(bm_frame_t *frame)
{
  const bm_cost_t *cost = frame->cost;
  const double variance = cost->spread / (double)cost->d;
  if (cost->period > 0.0) {
    frame->scale = cost->period;
    return BM_OK;
  }
  frame->scale = variance > DBL_MIN ? sqrt(variance) : 1.0;
  if (cost->d > 1 && cost->d <= BM_TURNED_MAX) {
    BM_TRY(BM_ALLOC(cost->d * cost->d, &frame->axes));
    return find_axes(frame);
  }
  return BM_OK;
}

bm_status_t bm_frame_create(const bm_cost_t *cost, bm_frame_t **out)
{
  bm_frame_t *frame = NULL;
  BM_TRY(BM_ALLOC(1, &frame));
  frame->cost = cost;
  bm_status_t status = fill(frame);
  if (status != BM_OK) {
    bm_frame_destroy(&frame);
    return status;
  }
  *out = frame;
  return BM_OK;
}

void bm_frame_destroy(bm_frame_t **frame)
{
  if (*frame != NULL) {
    bm_free((*frame)->axes);
    bm_free(*frame);
    *frame = NULL;
  }
}

size_t bm_frame_dimension(const bm_frame_t *frame)
{
  return frame->cost->d;
}

int bm_frame_is_torus(const bm_frame_t *frame)
{
  return frame->cost->period > 0.0;
}

double bm_frame_unit(const bm_frame_t *frame)
{
  return frame->scale * frame->scale;
}

void bm_frame_project(const bm_frame_t *frame, int side, size_t point, size_t count, double *out)
{
  const size_t d = frame->cost->d;
  const double *row = bm_cost_point(frame->cost, side, point);
  if (frame->axes != NULL) {
    memset(out, 0, count * sizeof *out);
    for (size_t l = 0; l < d; l++) {
      const double value = centred(frame, side, row, l);
      const double *axis = frame->axes + l * d;
#pragma omp simd
      for (size_t k = 0; k < count; k++) {
        out[k] += value * axis[k];
      }
    }
    return;
  }
  for (size_t k = 0; k < count; k++) {
    if (frame->cost->period > 0.0) {
      const double turns = row[k] / frame->scale;
      out[k] = turns - rint(turns);
    } else {
      out[k] = centred(frame, side, row, k) / frame->scale;
    }
  }
}
