#ifndef BOLTZMAP_APP_OUTPUT_H
#define BOLTZMAP_APP_OUTPUT_H

/* The output folder of a run: who may use it, and the files at its top. */

#include "boltzmap/app/experiment.h"

/* Make the folder, or take it over where it is this deck's: lock it against other runs (the lock
 * goes with the process), write deck.cfg, open log.txt. What is done stays; results.* go where the run
 * starts over (`anew`). BM_ERR_DATA where it is another deck's, unless forced, or no output folder at
 * all; BM_ERR_IO where it is in use or cannot be written, and nothing was removed then. Collective. */
bm_status_t bm_output_open(bm_experiment_t *experiment, int anew, int force);

/* Are results.json and results.csv there, whole, and not older than a record that goes into them? No where
 * a run was interrupted between the two. Collective; the same on all ranks. */
int bm_output_results_are_current(const bm_experiment_t *experiment);

/* Write results.json and results.csv from the records of all cases. Collective. */
bm_status_t bm_output_write_results(const bm_experiment_t *experiment);

#endif
