#ifndef BOLTZMAP_TRANSPORT_LINE_H
#define BOLTZMAP_TRANSPORT_LINE_H

/* The optimal assignment on the line: sort both clouds (Villani, Topics in Optimal Transportation,
 * 2003, section 2.2). */

#include "boltzmap/base/status.h"
#include "boltzmap/transport/auction.h"
#include "boltzmap/transport/cost.h"

/* Pairing and duals of a cost with d = 1 and no period; equal values in the order of their rows.
 * The matching has room for all points. BM_ERR_MEMORY. */
bm_status_t bm_line_assignment(const bm_cost_t *cost, bm_matching_t *matching);

#endif
