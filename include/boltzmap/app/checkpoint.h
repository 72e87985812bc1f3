#ifndef BOLTZMAP_APP_CHECKPOINT_H
#define BOLTZMAP_APP_CHECKPOINT_H

/* Checkpoints of the training: checkpoint-STEP.h5 in the folder of the case, the last two of them kept.
 * A checkpoint is a state container (io/state.h) with the trainer's state, the fingerprint of the
 * stage it belongs to and the seconds spent so far. */

#include <stdint.h>

#include "boltzmap/app/experiment.h"
#include "boltzmap/train/trainer.h"

/* Write the trainer's state. All others go but the one before it: older ones, and those of later
 * steps, which are damaged or were given up. Collective. */
bm_status_t bm_checkpoint_write(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                                uint64_t fingerprint, bm_trainer_t *trainer, double seconds);

/* Bring a trainer to where its newest whole checkpoint of this fingerprint stands, or the one in `file`
 * where not NULL (BM_ERR_DATA where that is none of this case). Damaged ones are warned of and passed
 * over. `*seconds` is what was spent before; 0 and an untouched trainer where there is none.
 * Collective. */
bm_status_t bm_checkpoint_restore(const bm_experiment_t *experiment,
                                  const bm_deck_case_t *deck_case, uint64_t fingerprint,
                                  const char *file, bm_trainer_t *trainer, double *seconds);

/* Fingerprint of the stage that a checkpoint belongs to. Rank 0's own. BM_ERR_DATA, BM_ERR_IO. */
bm_status_t bm_checkpoint_fingerprint(const char *file, uint64_t *fingerprint);

/* Remove all checkpoints of a case. Rank 0's own. */
bm_status_t bm_checkpoint_remove(const bm_experiment_t *experiment,
                                 const bm_deck_case_t *deck_case);

#endif
