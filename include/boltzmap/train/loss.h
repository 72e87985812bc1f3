#ifndef BOLTZMAP_TRAIN_LOSS_H
#define BOLTZMAP_TRAIN_LOSS_H

/* The loss of a training step: the negative log-likelihood of reference samples (paper section 4) and, as
 * `training.loss` says, a term that is the mean of a function over generated samples (paper eq. 17 is
 * one). A term is one file and one row of BM_LOSS_TABLE. Both work on the shards of one node of the tree
 * and give a sum per shard and the gradient of their total. */

#include <stddef.h>

#include "boltzmap/base/status.h"
#include "boltzmap/flow/flow.h"
#include "boltzmap/geometry/chart.h"
#include "boltzmap/io/deck.h"
#include "boltzmap/model/potential.h"

/* What a term may learn from: reference samples as shapes (geometry/chart.h), and their system. */
typedef struct {
  const bm_potential_t *potential; /* of whole configurations, which the shapes have to be */
  size_t n, d;
  const double *x; /* [n][d] */
} bm_loss_data_t;

typedef struct {
  const char *name; /* training.loss */
  const char *description;
  const bm_deck_key_t *keys; /* of `training`, each with when = "training.loss=name"; NULL: none */
  /* The function of a generated sample; all NULL: no such term. BM_ERR_DATA for a system that it does not go
   * with; data->n may be 0, for a look at whether it does. */
  bm_status_t (*create)(const bm_deck_case_t *deck_case, const bm_loss_data_t *data, void **self);
  void (*destroy)(void **self);
  void (*value)(const void *self, size_t n, const double *x /* [n][d] */, double *value /* [n] */,
                double *gradient /* [n][d] */);
  /* How much of the log density of the generated sample, of whole molecules as bm_map_push gives it, is added
   * to the function, up to a constant; NULL: nothing. */
  double (*entropy)(const void *self);
  /* Instead of `value`, for what is said of the flow as a map: a function of `group` points that it makes of as
   * many base points, in its own coordinates, and for a term with pairs (train/pairs.h) of where these should
   * be; else `target` is NULL. Works with any system. */
  size_t
      group; /* 0: none; 1: a base point; 2: one to each side of it, by `step` times a normal direction */
  int is_paired;
  double (*step)(const void *self);
  /* With group = 1: the flow's points are so many for each base point, after equal shares of its layers, the last
   * after all; `group` below is their number. NULL: no such stages. */
  size_t (*stages)(const void *self);
  void (*compare)(const void *self, size_t n, size_t d, const bm_real_t *y /* [n][group][d] */,
                  const bm_real_t *target /* [n][group][d] */, double *value /* [n] */,
                  double *gradient /* [n][group][d] */);
} bm_loss_ops_t;

/* All of them: bm_loss_<row> is defined in a file of its own. */
#define BM_LOSS_TABLE(X)                                \
  X(nll, "nll")                                         \
  X(penalty, "penalty")                                 \
  X(pair_penalty, "pair-penalty")                       \
  X(energy, "energy")                                   \
  X(reverse_kl, "reverse-kl")                           \
  X(pair_penalty_reverse_kl, "pair-penalty+reverse-kl") \
  X(transport, "transport")                             \
  X(transport_sobolev, "transport-sobolev")             \
  X(transport_steps, "transport-steps")                 \
  X(lipschitz, "lipschitz")

#define BM_LOSS_ROW(row, name) extern const bm_loss_ops_t bm_loss_##row;
BM_LOSS_TABLE(BM_LOSS_ROW)
#undef BM_LOSS_ROW

extern const bm_loss_ops_t *const bm_loss_table[]; /* ended by NULL */
extern const char *const bm_loss_names[];

/* The term that a deck asks for. `*out` is NULL where it asks for none; owned by the caller, and the potential
 * must outlive it. BM_ERR_DATA where the system or the shapes have no such term, BM_ERR_MEMORY. */
typedef struct bm_loss_term bm_loss_term_t;
bm_status_t bm_loss_term_create(const bm_deck_case_t *deck_case, const bm_loss_data_t *data,
                                bm_loss_term_t **out);
void bm_loss_term_destroy(bm_loss_term_t **term);

/* Base points that a sample takes, 1 where there is no such group, the step from the middle to the others, and whether
 * they are to be those of pairs. */
size_t bm_loss_group(const char *name); /* of a row of the table */
size_t bm_loss_term_group(const bm_loss_term_t *term);
double bm_loss_term_step(const bm_loss_term_t *term);
int bm_loss_term_is_paired(const bm_loss_term_t *term);

/* Stages of the flow that a sample has, 1: none but the flow itself; and points that the term sees of a sample. */
size_t bm_loss_term_stages(const bm_loss_term_t *term);
size_t bm_loss_term_points(const bm_loss_term_t *term);

/* The function of n samples, as `value` above, which the term has to have. */
void bm_loss_term_value(const bm_loss_term_t *term, size_t n, const double *x, double *value,
                        double *gradient);

/* A node's share of a minibatch, in the flow's own coordinates. */
typedef struct {
  bm_shards_t shards;
  const bm_real_t *y; /* [rows][d] */
  size_t batch_rows;  /* of the whole minibatch: the mean is over these */
} bm_batch_t;

/* shard_sums[s] = sum over the rows of shard s of the row losses, divided by batch_rows; the sink gets the
 * gradient, and is told of it once for each parameter. `rows_work` has room for rows·(d + 1) items,
 * `log_det` for rows. */
void bm_loss_nll_evaluate(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                          const bm_batch_t *batch, bm_real_t *rows_work, double *log_det,
                          double *shard_sums /* [shards] */, const bm_gradient_sink_t *sink);

#define BM_STAGES_MOST 64 /* of a term */

/* Room that generated samples need, for minibatches of up to `rows` points that the term sees. */
typedef struct {
  bm_real_t *y;       /* [rows][d + 1] */
  bm_real_t *stage;   /* [stages][samples][d] */
  double *log_det;    /* [rows] */
  double *x;          /* [rows][shape d] */
  double *gradient;   /* [rows][shape d or d, the larger] */
  double *value;      /* [rows] */
  double *coordinate; /* [d] */
  double *slope;      /* [d] */
} bm_loss_room_t;

/* BM_ERR_MEMORY, after which the room is to be released, too. */
bm_status_t bm_loss_room_create(size_t rows, const bm_chart_t *chart, bm_loss_room_t *room);
void bm_loss_room_release(bm_loss_room_t *room);

/* A node's share of the samples that a term takes. */
typedef struct {
  bm_shards_t shards;      /* of samples */
  const bm_real_t *base;   /* [samples][group][d] */
  const bm_real_t *target; /* [samples][points][d], for a term with pairs */
  double weight;           /* of each sample in the sums */
} bm_loss_samples_t;

/* shard_sums[s] = sum over the samples of shard s of the term's function, times their weight, and its gradient as
 * above. `sink` NULL: the sums alone. */
void bm_loss_term_evaluate(const bm_loss_term_t *term, const bm_chart_t *chart,
                           const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                           const bm_loss_samples_t *samples, const bm_loss_room_t *room,
                           double *shard_sums, const bm_gradient_sink_t *sink);

/* Negative log-likelihood of rows under the flow with standard normal base, from the base points and
 * log-determinants that bm_flow_inverse gave: ½|x|² + (d/2)·log 2π + log|det J_F| (paper section 4).
 * Sum over rows in order. */
double bm_loss_nll_sum(size_t rows, size_t d, const bm_real_t *base /* [rows][d] */,
                       const double *log_det /* [rows] */);

#endif
