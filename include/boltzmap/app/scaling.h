#ifndef BOLTZMAP_APP_SCALING_H
#define BOLTZMAP_APP_SCALING_H

/* What boltzmap check --ranks prints of a case: train/cost_model.h on the ranks asked for and on 1, 2,
 * 4, … BM_SCALING_MOST. */

#include "boltzmap/train/cost_model.h"

#define BM_SCALING_MOST 4096 /* ranks, of the table and of what may be asked for */

typedef struct {
  const char *name; /* of the case */
  bm_machine_t machine;
  bm_cluster_t cluster;
  bm_load_t load;
  double generated_rows, generated_bytes;
  int ranks;
} bm_scaling_t;

/* Print it on standard output, lines of which begin with '#'. Rank 0's own. */
void bm_scaling_print(const bm_scaling_t *scaling);

#endif
