#ifndef BOLTZMAP_TRAIN_TRAINER_H
#define BOLTZMAP_TRAIN_TRAINER_H

/* Training: the ranks of a host share the parameters, each rank computes the gradient of its shards of a
 * minibatch, the shards are summed in the fixed order, and each rank steps its own slice of the
 * parameters. Losses, parameters and the whole history are the same bits on any number of ranks, and
 * after any save and restore. With `fast` a minibatch has as many shards as there are ranks: the
 * bits are then the same only on the same number of ranks. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/io/deck.h"
#include "boltzmap/io/state.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/train/pairs.h"
#include "boltzmap/train/rows.h"
#include "boltzmap/transport/map.h"

/* What to do at a loss or gradient that is not finite: leave the step out and after many in a row go back, as
 * at a spike; leave it out; end with BM_ERR_DATA. */
typedef enum { BM_NONFINITE_RECOVER, BM_NONFINITE_SKIP, BM_NONFINITE_STOP } bm_nonfinite_t;

/* Course of the weight of the loss's term over the training: as it is, or down to zero. */
typedef enum { BM_COURSE_CONSTANT, BM_COURSE_LINEAR, BM_COURSE_COSINE } bm_course_t;

/* Settings of the deck's `training` group. */
typedef struct {
  int64_t epochs, batch, shards;
  int64_t generated;  /* samples a step for the term of the loss; 0: there is none */
  int64_t points;     /* that the flow makes for these */
  bm_course_t course; /* of the term's weight */
  bm_pairs_settings_t pairs;
  double learning_rate, final_learning_rate; /* final: as a fraction of learning_rate */
  int cosine;                                /* cosine decay, else constant */
  int64_t warmup_steps;
  double clip_norm;           /* largest gradient norm; 0: no clipping */
  double validation_fraction; /* of the walkers (whole ones) */
  int64_t validate_every;     /* epochs; 0: about a hundred times a run */
  int keep_best;              /* keep the parameters of the best validation loss, else the last */
  int fast;                   /* as many shards as ranks, whatever `shards` is */
  int augment; /* each epoch sees each row through random symmetries of the potential */
  bm_nonfinite_t nonfinite; /* loss or gradient */
  double spike; /* nats a coordinate above the trend that make a loss a spike; 0: none is */
} bm_trainer_settings_t;

extern const bm_deck_key_t bm_trainer_keys[]; /* keys of `training` */

/* BM_ERR_DATA for values that do not go together. */
bm_status_t bm_trainer_settings(const bm_deck_case_t *deck_case, bm_trainer_settings_t *settings);

/* Parts that a minibatch is cut into on so many ranks. */
size_t bm_trainer_shards(const bm_trainer_settings_t *settings, int ranks);

/* One line of the history; losses in nats per configuration, in the physical units of the chart's
 * coordinates; the learning rate of the epoch's last step. */
typedef struct {
  double epoch, nll_train, nll_validation /* NaN: not evaluated */, learning_rate, gradient_norm;
  /* the loss's term on generated samples, as its schedule has it then and at the end; NaN: none */
  double term_train, term_validation;
} bm_history_row_t;

/* How it went. */
typedef struct {
  int64_t epochs, steps, best_epoch, skipped_steps;
  int64_t spikes, rewinds; /* steps whose loss was a spike; returns to earlier parameters */
  double best_validation, last_validation; /* of the whole loss */
  double samples_per_s; /* optimiser steps only, median over epochs; NaN before the first epoch */
} bm_training_report_t;

typedef struct bm_trainer bm_trainer_t;

/* A trainer for `map`, whose flow it initialises from the seed. The data are encoded by the map's own
 * chart and held-out walkers (the last ones) set aside; with one walker, the last rows. Map and data must
 * outlive the trainer. BM_ERR_DATA for too few rows, BM_ERR_MEMORY. Collective. */
bm_status_t bm_trainer_create(const bm_context_t *context, bm_map_t *map,
                              const bm_trainer_settings_t *settings, const bm_training_data_t *data,
                              uint64_t seed, bm_trainer_t **out);
void bm_trainer_destroy(bm_trainer_t **trainer);

/* Called on all ranks after every step: the place for stop requests and checkpoints (with
 * bm_trainer_save). A status other than BM_OK ends the run with it. */
typedef bm_status_t (*bm_trainer_hook_t)(bm_trainer_t *trainer, void *data);

/* Train to the last epoch from wherever the trainer stands; then the map has the parameters to
 * keep. Until it returns, the parameters are in memory that ranks share: the hook only reads them.
 * BM_ERR_DATA where a loss or gradient is not finite and the settings ask to stop, naming step and shard;
 * where the loss has stayed far above its trend eleven times; and where no held-out loss was finite;
 * errors of bm_pairs_begin_epoch, BM_STOPPED among them.
 * Collective. */
bm_status_t bm_trainer_run(bm_trainer_t *trainer, bm_log_t *log, bm_trainer_hook_t hook,
                           void *hook_data);

/* For hooks: this rank raises its flag, and after the next step it is raised on all ranks, for this one
 * step. So ranks agree on stops and checkpoints without a message of their own. Not collective. */
void bm_trainer_raise(bm_trainer_t *trainer);
int bm_trainer_raised(const bm_trainer_t *trainer);

int64_t bm_trainer_step(const bm_trainer_t *trainer);

void bm_trainer_report(const bm_trainer_t *trainer, bm_training_report_t *report);

/* Rows of the history so far, owned by the trainer. */
const bm_history_row_t *bm_trainer_history(const bm_trainer_t *trainer, size_t *count);

/* Everything needed to go on, into a container on rank 0 (others may pass NULL), and back from a
 * container that all ranks hold. Collective. */
bm_status_t bm_trainer_save(bm_trainer_t *trainer, bm_state_t *state);
bm_status_t bm_trainer_restore(bm_trainer_t *trainer, const bm_state_t *state);

#endif
