#ifndef BOLTZMAP_APP_STAGE_H
#define BOLTZMAP_APP_STAGE_H

/* The stages of a case: sample, train, generate, evaluate. A stage reads what the ones before it left
 * in the case's folder, leaves files of its own, and at last its record STAGE.json: fingerprint of the
 * deck's groups that decide its outcome, metrics and timings. A stage whose record and files are whole
 * and of this deck is done and is not run again: that is how an interrupted run goes on. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/analyse/results.h"
#include "boltzmap/app/experiment.h"
#include "boltzmap/transport/map.h"

#define BM_TARGET_FOLDER "target" /* of the deck's own system, where no case has its reference */

typedef struct {
  const char *name;
  const char *description;
  const char *groups;       /* deck groups that decide the outcome, with run.seed */
  int uses_target;          /* depends on system and reference of the deck's own system, too */
  const char *const *files; /* what it leaves besides its record, ended by NULL */
  /* Does it leave this one of them for this case? NULL: all, always. */
  int (*leaves)(const bm_deck_case_t *deck_case, const char *file);
  /* Make the files and fill the results on rank 0. Collective. */
  bm_status_t (*run)(bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                     bm_results_t *results);
} bm_stage_t;

#define BM_STAGE_TABLE(X) \
  X(sample)               \
  X(train)                \
  X(generate)             \
  X(evaluate)

#define BM_STAGE_ROW(row) extern const bm_stage_t bm_stage_##row;
BM_STAGE_TABLE(BM_STAGE_ROW)
#undef BM_STAGE_ROW

extern const bm_stage_t *const bm_stage_table[]; /* in order, ended by NULL */

/* Which of them, as bits, from "sample,train"; NULL: all. BM_ERR_USAGE. */
bm_status_t bm_stage_selection(const char *list, unsigned *selection);

/* Path of a file in the folder of a case (of BM_TARGET_FOLDER for the deck's base); owned by the
 * caller. */
bm_status_t bm_stage_path(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                          const char *file, char **path);

/* Path of the record of a stage of a case; owned by the caller. */
bm_status_t bm_stage_record_path(const bm_experiment_t *experiment, const bm_stage_t *stage,
                                 const bm_deck_case_t *deck_case, char **path);

/* Fingerprint of the outcome of a stage of a case: the deck's values, and the content of
 * reference.file. */
uint64_t bm_stage_fingerprint(const bm_experiment_t *experiment, const bm_stage_t *stage,
                              const bm_deck_case_t *deck_case);

/* Is the stage done? Collective; the same on all ranks. A damaged file, or one of another run, is warned of and
 * means no. */
int bm_stage_is_done(const bm_experiment_t *experiment, const bm_stage_t *stage,
                     const bm_deck_case_t *deck_case);

/* Add the metrics and timings of the stage's record to results, where there is one and it is of
 * this deck. Rank 0's own. */
bm_status_t bm_stage_read_record(const bm_experiment_t *experiment, const bm_stage_t *stage,
                                 const bm_deck_case_t *deck_case, bm_results_t *results);

/* Run a stage and write its record. Collective. */
bm_status_t bm_stage_run(bm_experiment_t *experiment, const bm_stage_t *stage,
                         const bm_deck_case_t *deck_case);

/* Forget what was done from the stage at this place of bm_stage_table on: remove the records. Rank
 * 0's own. */
bm_status_t bm_stage_forget(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                            size_t first);

/* The samples that the user brings for a case (reference.sampler = "file"), checked against its system.
 * BM_ERR_DATA, BM_ERR_IO. Collective; owned by the caller. */
bm_status_t bm_stage_read_file(const bm_context_t *context, const bm_deck_case_t *deck_case,
                               size_t dimension, bm_samples_t **samples);

/* The map that the training of this case left. Collective; owned by the caller. */
bm_status_t bm_stage_load_map(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                              bm_map_t **map);

/* A sample set in the folder of a case ("reference.h5md"): all rows on every rank, in order; `*rows`
 * [n][d] is owned by the caller. Collective. */
bm_status_t bm_stage_load_samples(const bm_experiment_t *experiment,
                                  const bm_deck_case_t *deck_case, const char *file,
                                  bm_cloud_t *cloud, double **rows, size_t *walkers);

/* Whose system the weights and the second column of distances aim at: the deck's own, or the case's
 * where it is of another kind or dimension, is another molecule, or its flow has other coordinates. */
const bm_deck_case_t *bm_stage_target_of(const bm_experiment_t *experiment,
                                         const bm_deck_case_t *deck_case);

/* Is the evaluation of this case compared with a reference of the deck's own system that is not the
 * case's own? */
int bm_stage_needs_target(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case);

/* The case (or the base) whose folder holds the reference of the deck's own system, made where there
 * is none yet. Collective. */
bm_status_t bm_stage_target(bm_experiment_t *experiment, const bm_deck_case_t **target);

#endif
