#ifndef BOLTZMAP_TRANSPORT_AUGMENTATION_H
#define BOLTZMAP_TRANSPORT_AUGMENTATION_H

/* Shortest augmenting paths on the candidate graph: matches what an auction has left over, with
 * duals that stay feasible and tight (the Hungarian method on a sparse graph; Edmonds, Karp, J. ACM
 * 19, 248, 1972), so that a complete matching is optimal on the graph. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/transport/auction.h"
#include "boltzmap/transport/graph.h"

/* Where no free y can be reached: the graph has to grow out of it. */
typedef struct {
  size_t count;
  uint32_t *rows;  /* [n]: x that were reached, each once; `count` of them */
  uint8_t *closed; /* [n]: 1 for each y that was reached */
} bm_dead_end_t;

/* [n] each; ended with bm_dead_end_clear. BM_ERR_MEMORY. */
bm_status_t bm_dead_end_create(size_t n, bm_dead_end_t *end);
void bm_dead_end_clear(bm_dead_end_t *end);

/* Match every free x, in their order, that has an augmenting path; `end` is set to what all others
 * reach. Duals have to be feasible with matched pairs tight (bm_matching_tighten). Time for a path
 * grows with the region searched. BM_ERR_MEMORY. */
bm_status_t bm_augment(const bm_graph_t *graph, bm_matching_t *matching, bm_dead_end_t *end);

/* Make the duals of a matching feasible and tight by lowering v where v_j > v_k + c_ij - c_ik for
 * an x_i with partner y_k (label correcting; Ahuja, Magnanti, Orlin, Network Flows, 1993, ch. 5).
 * Cycles of negative cost that show, better pairings, are carried out. From the duals of an auction
 * this takes ties in its stride; from v = 0 it gives the smallest duals there are. u of x without
 * partner are left as they are. After `looks` looks at each point on average it ends as it is:
 * `*settled` says whether nothing was left to do. BM_ERR_MEMORY. */
bm_status_t bm_augment_correct(const bm_graph_t *graph, const bm_cost_t *cost, size_t looks,
                               bm_matching_t *matching, int *settled);

#endif
