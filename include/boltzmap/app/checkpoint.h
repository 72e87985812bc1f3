#ifndef BOLTZMAP_APP_CHECKPOINT_H
#define BOLTZMAP_APP_CHECKPOINT_H

/* Checkpoints of a stage: checkpoint-STEP.h5 in the folder of the case, the last two of them kept until the
 * stage is done. A checkpoint is a state container (io/state.h) with what the stage puts in, the fingerprint of
 * the stage and the seconds spent so far. */

#include <stdint.h>

#include "boltzmap/app/experiment.h"
#include "boltzmap/io/keeper.h"
#include "boltzmap/io/state.h"

/* Those of one stage of one case, while it runs. */
typedef struct {
  const bm_experiment_t *experiment;
  const bm_deck_case_t *deck_case;
  uint64_t fingerprint; /* of the stage */
  const char *file;     /* checkpoint that the user named to go on from; NULL: the newest */
  double before_s;      /* spent in earlier runs */
  double started;       /* clock at which this one began or went on */
} bm_checkpoint_t;

bm_checkpoint_t bm_checkpoint_of(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                                 uint64_t fingerprint);

/* Seconds spent on the stage, earlier runs included. */
double bm_checkpoint_spent(const bm_checkpoint_t *self);

/* The newest whole checkpoint of this fingerprint, or the one in `file` (BM_ERR_DATA where that is none of this
 * stage), on every rank, owned by the caller; NULL where there is none. Damaged ones are warned of and passed
 * over. Collective. */
bm_status_t bm_checkpoint_load(void *self, bm_state_t **state);

/* Loads as above. Saves at the deck's interval: completes a state and writes it as that of its step; all others
 * go but the one before it: older ones, and those of later steps, which are damaged or were given up. BM_ERR_IO. */
bm_keeper_t bm_checkpoint_keeper(bm_checkpoint_t *self);

/* Fingerprint of the stage that a checkpoint belongs to. Rank 0's own. BM_ERR_DATA, BM_ERR_IO. */
bm_status_t bm_checkpoint_fingerprint(const char *file, uint64_t *fingerprint);

/* Remove all checkpoints of a case. Rank 0's own. */
bm_status_t bm_checkpoint_remove(const bm_experiment_t *experiment,
                                 const bm_deck_case_t *deck_case);

#endif
