#ifndef BOLTZMAP_TRAIN_TRAINER_STATE_H
#define BOLTZMAP_TRAIN_TRAINER_STATE_H

/* What a trainer holds: shared by trainer.c, which takes the steps, and trainer_state.c, which stores and
 * restores it. */

#include "boltzmap/parallel/reduction.h"
#include "boltzmap/train/trainer.h"
#include "boltzmap/train/trend.h"

#define BM_REWINDS_MOST 10 /* before it is given up */

struct bm_trainer {
  const bm_context_t *context;
  bm_map_t *map;
  bm_flow_t *flow;
  bm_training_data_t data; /* rows and potential not owned */
  bm_trainer_settings_t settings;
  uint64_t seed;
  size_t d, train_rows, validation_rows, steps_per_epoch;
  size_t shards;    /* parts of a minibatch */
  size_t generated; /* samples a step for the term; 0: none */
  size_t group;     /* base points that each of them takes */
  size_t points;    /* of the flow that the term sees of each */
  bm_rows_t *source;
  bm_pairs_t *pairs; /* NULL: the term has none */
  const bm_chart_t *chart;
  bm_real_t *base;     /* [generated][group][d], of this rank's shards */
  bm_real_t *target;   /* [generated][points][d], of pairs */
  bm_loss_room_t room; /* for generated samples */

  bm_reduction_t *reduction;
  bm_flow_workspace_t *workspace;
  bm_real_t *rows;      /* [batch][d], of this rank's shards of a minibatch */
  int64_t rows_step;    /* finished steps before the one they are for; -1: none */
  bm_real_t *rows_work; /* [batch][d + 1] */
  double *log_det;      /* [batch] */
  double *shard_sums;   /* [parts][own shards] */
  double *chunk_sums;   /* [validation chunks, then those of generated rows] */

  int raised; /* some rank's flag, in the step just finished */

  /* state */
  int64_t epoch, step; /* finished epochs, finished steps */
  int64_t updates;     /* optimiser steps, skipped ones left out */
  int64_t skipped, best_epoch;
  double best_validation, last_validation; /* of the whole loss */
  bm_trend_t trend;                        /* of the loss */
  int64_t rewinds;
  double epoch_loss, epoch_term, epoch_norm; /* sums over the rows of the epoch under way */
  double epoch_rows;         /* rows in these sums: those of skipped steps are left out */
  bm_real_t *moments[2];     /* [own slice] */
  bm_real_t *best;           /* [own slice] */
  bm_history_row_t *history; /* [epochs] */
  size_t history_count;

  double *epoch_rates; /* [epochs], samples/s, of this process's own epochs */
  size_t epoch_rate_count;
  double stepping_s, stepping_rows; /* optimiser steps of the epoch under way, in this process */
};

#endif
