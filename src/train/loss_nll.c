#include <math.h>

#include "boltzmap/train/loss.h"

double bm_loss_nll_sum(size_t rows, size_t d, const bm_real_t *base, const double *log_det)
{
  double sum = 0.0;
  double constant = 0.5 * (double)d * log(2.0 * M_PI);
  for (size_t i = 0; i < rows; i++) {
    double squares = 0.0;
    for (size_t k = 0; k < d; k++) {
      squares += (double)base[i * d + k] * (double)base[i * d + k];
    }
    sum += 0.5 * squares + constant + log_det[i];
  }
  return sum;
}

void bm_loss_nll_evaluate(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                          const bm_batch_t *batch, bm_real_t *rows_work, double *log_det,
                          double *shard_sums, const bm_gradient_sink_t *sink)
{
  const bm_shards_t *shards = &batch->shards;
  size_t d = bm_flow_shape(flow)->d;
  size_t rows = shards->offset[shards->count];
  bm_real_t *base = rows_work;
  bm_real_t *d_log_det = rows_work + rows * d;
  bm_real_t weight = (bm_real_t)(1.0 / (double)batch->batch_rows);
  bm_flow_inverse(flow, workspace, shards, batch->y, base, log_det);
  for (size_t s = 0; s < shards->count; s++) {
    size_t first = shards->offset[s];
    shard_sums[s] =
        bm_loss_nll_sum(shards->offset[s + 1] - first, d, base + first * d, log_det + first) /
        (double)batch->batch_rows;
  }
  for (size_t i = 0; i < rows * d; i++) {
    base[i] *= weight; /* dL/dx of ½|x|² */
  }
  for (size_t i = 0; i < rows; i++) {
    d_log_det[i] = weight;
  }
  bm_flow_inverse_backward(flow, workspace, shards, base, d_log_det, sink);
}

const bm_loss_ops_t bm_loss_nll = {
    .name = "nll",
    .description = "negative log-likelihood of the reference samples alone",
};
