#ifndef BOLTZMAP_TRANSPORT_MULTILEVEL_STATE_H
#define BOLTZMAP_TRANSPORT_MULTILEVEL_STATE_H

/* What an exact distance knows between two steps: shared by multilevel.c, which takes the steps, and
 * multilevel_state.c, which writes it down. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/transport/augmentation.h"
#include "boltzmap/transport/graph.h"
#include "boltzmap/transport/levels.h"
#include "boltzmap/transport/multilevel.h"

typedef enum {
  BM_STAGE_EXTEND,
  BM_STAGE_CANDIDATES,
  BM_STAGE_AUCTION,
  BM_STAGE_PRICE,
  BM_STAGE_COMPLETE,
  BM_STAGE_GROW,
  BM_STAGE_PROVE,
  BM_STAGE_POLISH,
  BM_STAGE_DONE
} bm_multilevel_stage_t;

/* What is written down beside arrays, as numbers. */
typedef struct {
  int64_t stage, level, pricings, priced, polished, has_bounds, growth;
  double scale, epsilon;
} bm_multilevel_progress_t;

struct bm_multilevel {
  const bm_cost_t *cost;
  bm_pricing_t *pricing;
  size_t levels, sizes[BM_LEVELS_MAX];
  size_t n; /* points of the level at hand */
  bm_multilevel_progress_t at;
  bm_matching_t matching; /* its arrays have room for all points */
  bm_graph_t graph;

  /* When all x were last priced with a margin: no pair outside the graph had c_ij - v_j below
   * bound_i. */
  double *bound, *bound_v; /* [n] */

  /* Room for one step. */
  bm_dead_end_t dead_end;
  double *threshold;  /* [n]: of points asked for */
  double *keys[2];    /* [n]: what suspects are chosen by; new duals */
  uint32_t *suspects; /* [n] */
  char phase[64];
};

/* Put the pairs of a list into the graph and free it, unless `status` says that making it failed.
 * Gives the number of new ones. */
bm_status_t bm_multilevel_add_pairs(bm_multilevel_t *s, bm_pair_list_t *list, bm_status_t status,
                                    uint64_t *added);

/* Leave all points of the level without partner. */
void bm_multilevel_forget_matching(bm_multilevel_t *s);

#endif
