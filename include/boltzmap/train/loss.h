#ifndef BOLTZMAP_TRAIN_LOSS_H
#define BOLTZMAP_TRAIN_LOSS_H

/* Losses: one file and one row of bm_loss_table each, chosen by `training.loss`. A loss works on the
 * shards of one node of the tree and gives a sum per shard and the gradient of their total. */

#include <stddef.h>

#include "boltzmap/flow/flow.h"

/* A node's share of a minibatch, in the flow's own (standardised) coordinates. */
typedef struct {
  bm_shards_t shards;
  const bm_real_t *y; /* [rows][d] */
  size_t batch_rows;  /* of the whole minibatch: the mean is over these */
} bm_batch_t;

typedef struct {
  const char *name;
  const char *description;
  /* shard_sums[s] = sum over the rows of shard s of the row losses, divided by batch_rows; the sink
   * gets the gradient, and is told of it once for each parameter. `rows_work` has room for rows·(d + 1) items and rows float64. */
  void (*evaluate)(const bm_flow_t *flow, bm_flow_workspace_t *workspace, const bm_batch_t *batch,
                   bm_real_t *rows_work, double *log_det, double *shard_sums /* [shards] */,
                   const bm_gradient_sink_t *sink);
} bm_loss_ops_t;

/* All losses: bm_loss_<row> is defined in a file of its own. */
#define BM_LOSS_TABLE(X) X(nll, "nll")

#define BM_LOSS_ROW(row, name) extern const bm_loss_ops_t bm_loss_##row;
BM_LOSS_TABLE(BM_LOSS_ROW)
#undef BM_LOSS_ROW

extern const bm_loss_ops_t *const bm_loss_table[]; /* ended by NULL */
extern const char *const bm_loss_names[];

const bm_loss_ops_t *bm_loss_find(const char *name);

/* Negative log-likelihood of rows under the flow with standard normal base, from the base points and
 * log-determinants that bm_flow_inverse gave: ½|x|² + (d/2)·log 2π + log|det J_F| (paper section 4).
 * Sum over rows in order. */
double bm_loss_nll_sum(size_t rows, size_t d, const bm_real_t *base /* [rows][d] */,
                       const double *log_det /* [rows] */);

#endif
