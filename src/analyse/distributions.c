#include "boltzmap/analyse/distributions.h"

#include <math.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/transport/marginal.h"

#define BM_BINS BM_RAMACHANDRAN_BINS
#define BM_CELLS (BM_BINS * BM_BINS)
#define BM_PRIOR 0.5 /* counts added to a bin */

static size_t one_value(const bm_distance_settings_t *settings)
{
  (void)settings;
  return 1;
}

static bm_status_t compute_one(const bm_context_t *context, const bm_distance_ops_t *distance,
                               const bm_distance_settings_t *settings, const bm_cloud_t *a,
                               const bm_cloud_t *b, bm_distance_result_t *result)
{
  return bm_distance_batch(context, distance, settings, 1, a, b, result);
}

static bm_status_t compute_columns(const bm_context_t *context,
                                   const bm_distance_settings_t *settings, const bm_cloud_t *a,
                                   const bm_cloud_t *b, bm_distance_result_t *result)
{
  return compute_one(context, &bm_distance_columns, settings, a, b, result);
}

static bm_status_t compute_ramachandran(const bm_context_t *context,
                                        const bm_distance_settings_t *settings, const bm_cloud_t *a,
                                        const bm_cloud_t *b, bm_distance_result_t *result)
{
  return compute_one(context, &bm_distance_ramachandran, settings, a, b, result);
}

static bm_status_t check_anything(const bm_distance_settings_t *settings, size_t n, size_t m,
                                  size_t d)
{
  (void)settings;
  return n > 0 && m > 0 && d > 0 ? BM_OK : BM_FAIL(BM_ERR_DATA, "a distance of empty sets");
}

static void take_column(const bm_cloud_t *cloud, size_t k, double *column)
{
  for (size_t i = 0; i < cloud->n; i++) {
    column[i] = cloud->x[i * cloud->d + k];
  }
}

static bm_status_t work_columns(const bm_context_t *team, const bm_distance_task_t *task,
                                double *w2_squared, bm_distance_proof_t *proof)
{
  const size_t d = task->a.d;
  double *a = NULL;
  (void)team;
  *proof = (bm_distance_proof_t){.error = NAN};
  *w2_squared = 0.0;
  BM_TRY(BM_ALLOC(task->a.n + task->b.n, &a));
  double *b = a + task->a.n;
  bm_status_t status = BM_OK;
  for (size_t k = 0; status == BM_OK && k < d; k++) {
    double one = 0.0;
    take_column(&task->a, k, a);
    take_column(&task->b, k, b);
    status = bm_marginal_w2_squared(task->a.n, a, task->b.n, b, task->settings->period, &one);
    *w2_squared += one / (double)d;
  }
  bm_free(a);
  return status;
}

/* Share of each bin. */
static void fill_bins(const bm_cloud_t *cloud, double share[BM_CELLS])
{
  const double total = (double)cloud->n + BM_CELLS * BM_PRIOR;
  for (size_t c = 0; c < BM_CELLS; c++) {
    share[c] = BM_PRIOR / total;
  }
  for (size_t i = 0; i < cloud->n; i++) {
    size_t cell = 0;
    for (size_t k = 0; k < 2; k++) {
      double turns = cloud->x[i * cloud->d + k] / 360.0;
      size_t bin = (size_t)((turns - floor(turns)) * BM_BINS);
      cell = cell * BM_BINS + (bin < BM_BINS ? bin : 0);
    }
    share[cell] += 1.0 / total;
  }
}

/* Its square, since the root is taken of what tasks give. */
static bm_status_t work_ramachandran(const bm_context_t *team, const bm_distance_task_t *task,
                                     double *w2_squared, bm_distance_proof_t *proof)
{
  double p[BM_CELLS];
  double q[BM_CELLS];
  double sum = 0.0;
  (void)team;
  *proof = (bm_distance_proof_t){.error = NAN};
  fill_bins(&task->b, p);
  fill_bins(&task->a, q);
  for (size_t c = 0; c < BM_CELLS; c++) {
    sum += p[c] * log(p[c] / q[c]);
  }
  *w2_squared = sum * sum;
  return BM_OK;
}

const bm_distance_ops_t bm_distance_columns = {
    .name = "columns",
    .description = "1-D distances of all columns",
    .compute = compute_columns,
    .block = 1,
    .values = one_value,
    .check = check_anything,
    .work = work_columns,
};

const bm_distance_ops_t bm_distance_ramachandran = {
    .name = "ramachandran",
    .description = "divergence of two backbone angles",
    .compute = compute_ramachandran,
    .block = 1,
    .values = one_value,
    .check = check_anything,
    .work = work_ramachandran,
};
