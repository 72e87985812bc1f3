#ifndef BOLTZMAP_TRANSPORT_AUCTION_H
#define BOLTZMAP_TRANSPORT_AUCTION_H

/* Forward/reverse auction on the candidate graph (Bertsekas, Castañon, Comput. Optim. Appl. 1, 277,
 * 1992): points without a partner bid for the one that is cheapest for them, in turns from either
 * side, and drive its former partner out. A bid leaves the pair within epsilon of the best there is
 * for the bidder.
 *
 * A matching: partner[0][i] is the y of x_i, partner[1][j] the x of y_j, or BM_UNMATCHED. Duals: u
 * of x, v of y; c_ij - u_i - v_j is the reduced cost. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/transport/graph.h"

#define BM_UNMATCHED UINT32_MAX

/* Reduced costs that differ by less than this part of their terms are equal: what rounding leaves
 * of ties. */
#define BM_TIE 1e-14

typedef struct {
  size_t n;
  uint32_t *partner[2]; /* [n] */
  double *dual[2];      /* [n]: u, v */
} bm_matching_t;

/* All unmatched, duals zero; ended with bm_matching_clear. BM_ERR_MEMORY. */
bm_status_t bm_matching_create(size_t n, bm_matching_t *matching);
void bm_matching_clear(bm_matching_t *matching);

/* Pair i with j, who must be free. */
void bm_matching_join(bm_matching_t *matching, uint32_t i, uint32_t j);

/* Set u_i to the least c_ij - v_j over the candidates, and let go of pairs that are worse than that
 * by more than epsilon. Gives the number of pairs that were let go. */
size_t bm_matching_tighten(const bm_graph_t *graph, const bm_cost_t *cost, double epsilon,
                           bm_matching_t *matching);

/* How many pairs bm_matching_tighten would let go with epsilon 0. */
size_t bm_matching_loose(const bm_graph_t *graph, const bm_cost_t *cost,
                         const bm_matching_t *matching);

/* Auction until all are matched, or until `BM_AUCTION_BIDS` a point are spent, which happens where
 * the graph has no complete matching: what is left over is for shortest paths. Points without
 * candidates stay free. BM_ERR_MEMORY. */
#define BM_AUCTION_BIDS 40
bm_status_t bm_auction(const bm_graph_t *graph, double epsilon, bm_matching_t *matching);

#endif
