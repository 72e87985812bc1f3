#ifndef BOLTZMAP_APP_CHECKPOINT_H
#define BOLTZMAP_APP_CHECKPOINT_H

/* Checkpoints of a stage that takes long: checkpoint-STEP.h5 in the folder of the case, the last two of
 * them kept until the stage is done. A checkpoint is a state container (io/state.h) with what the stage
 * puts in, the fingerprint of the stage and the seconds spent so far. */

#include <stdint.h>

#include "boltzmap/app/experiment.h"
#include "boltzmap/io/state.h"

typedef struct {
  uint64_t fingerprint; /* of the stage */
  int64_t step;         /* number of the file */
  double seconds;       /* spent so far */
} bm_checkpoint_t;

/* Complete a state (rank 0's own, used there alone) and write it. All others go but the one before it:
 * older ones, and those of later steps, which are damaged or were given up. Collective. */
bm_status_t bm_checkpoint_write(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                                const bm_checkpoint_t *what, bm_state_t *state);

/* The newest whole checkpoint of this fingerprint, or the one in `file` where not NULL (BM_ERR_DATA where
 * that is none of this stage), on every rank, owned by the caller; NULL where there is none. Damaged
 * ones are warned of and passed over. `*seconds` is what was spent before. Collective. */
bm_status_t bm_checkpoint_read(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                               uint64_t fingerprint, const char *file, double *seconds,
                               bm_state_t **state);

/* Fingerprint of the stage that a checkpoint belongs to. Rank 0's own. BM_ERR_DATA, BM_ERR_IO. */
bm_status_t bm_checkpoint_fingerprint(const char *file, uint64_t *fingerprint);

/* Remove all checkpoints of a case. Rank 0's own. */
bm_status_t bm_checkpoint_remove(const bm_experiment_t *experiment,
                                 const bm_deck_case_t *deck_case);

#endif
