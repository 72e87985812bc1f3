#ifndef BOLTZMAP_TRANSPORT_JACKKNIFE_H
#define BOLTZMAP_TRANSPORT_JACKKNIFE_H

/* How much a distance owes to the luck of its samples: the delete-a-group jackknife (Shao, Wu, Ann.
 * Statist. 17, 1176, 1989) over contiguous blocks of rows of both sets, which keeps frames that
 * follow each other together. */

#include "boltzmap/base/status.h"
#include "boltzmap/transport/distance.h"

#define BM_JACKKNIFE_GROUPS 10 /* blocks of rows left out in turn */

/* One standard error of W2; NaN where a set has fewer rows than there are groups. Fewer directions
 * than settings->projections do for it. Collective; errors as of the distance, BM_ERR_MEMORY. */
bm_status_t bm_jackknife_error(const bm_context_t *context, const bm_distance_ops_t *distance,
                               const bm_distance_settings_t *settings, const bm_cloud_t *a,
                               const bm_cloud_t *b, double *error);

#endif
