#ifndef BOLTZMAP_TRAIN_PAIRS_H
#define BOLTZMAP_TRAIN_PAIRS_H

/* Pairs of a base point and the point that a transport map takes it to, in the flow's coordinates, for terms of the
 * loss that hold the flow to that map (paper section 4). A map that is computed, the Moser map, says where any base
 * point goes. The Brenier map (optimal transport for squared distance) is known on samples: as many base points as
 * rows, paired by the exact assignment (transport/assignment.h). Pairs are functions of seed and epoch, never of
 * ranks. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/real.h"
#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/partition.h"
#include "boltzmap/train/rows.h"

#define BM_PAIRS_SMOOTHED_MOST 1024

typedef struct {
  size_t count;    /* pairs at a time; 0: as many as there are rows */
  int64_t renewed; /* epochs after which they are made anew, with other base points; 0: never */
  /* Of the Brenier map: each target is the mean of those of so many pairs, its own and those with the nearest base
   * points (a barycentric projection of the plan, blurred over them); 0 and 1: as assigned. Held-out ones are as
   * assigned. */
  size_t smoothed;
} bm_pairs_settings_t;

/* What pairs are made of; nothing is owned, all must outlive them. */
typedef struct {
  bm_rows_t *rows;
  const bm_chart_t *chart; /* of the rows, and of shapes that the guide gives */
  bm_map_t *guide;         /* the map; NULL: the Brenier map */
  size_t group; /* points of a pair, of a base as bm_rows_base makes it; 1 for the Brenier map */
  double step;
  size_t
      stages; /* 1: targets are where the map takes base points; else, of a Moser map and group 1, where it has
                    taken them after so many equal shares of its time (bm_map_moser_steps) */
} bm_pairs_source_t;

typedef struct bm_pairs bm_pairs_t;

/* Room for pairs, and those of the held-out rows; of a guide, as many base points. The context must outlive them.
 * BM_ERR_MEMORY; as bm_assignment_solve and bm_map_push; BM_STOPPED. Collective. */
bm_status_t bm_pairs_create(const bm_context_t *context, const bm_pairs_settings_t *settings,
                            const bm_pairs_source_t *source, uint64_t seed, bm_pairs_t **out);
void bm_pairs_destroy(bm_pairs_t **pairs);

/* The pairs of this epoch; nothing where they are. Leaves the rows in the order of that epoch. Errors as above.
 * Collective. */
bm_status_t bm_pairs_begin_epoch(bm_pairs_t *pairs, int64_t epoch);

/* Pairs for these samples of a step, drawn with replacement. */
void bm_pairs_draw(const bm_pairs_t *pairs, int64_t step, bm_range_t samples,
                   bm_real_t *base /* [samples.count][group][d] */,
                   bm_real_t *target /* [samples.count][group·stages][d] */);

/* Pairs of the held-out rows, over and over where there are fewer than samples. */
void bm_pairs_held_out(const bm_pairs_t *pairs, bm_range_t samples, bm_real_t *base,
                       bm_real_t *target);

#endif
