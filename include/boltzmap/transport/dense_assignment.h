#ifndef BOLTZMAP_TRANSPORT_DENSE_ASSIGNMENT_H
#define BOLTZMAP_TRANSPORT_DENSE_ASSIGNMENT_H

/* The optimal assignment from the full cost matrix, by shortest augmenting paths (Jonker,
 * Volgenant, Computing 38, 325, 1987): for few points, where it is the fastest, and the plain
 * reference for many. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/transport/cost.h"

#define BM_DENSE_MAX 20000 /* points; their costs take 3.2 GB */

/* Pair the first n points of either cloud: partner[i] is the y of x_i; v_j are duals, u_i the least
 * c_ij - v_j. Memory 8·n² bytes: BM_ERR_MEMORY. Stops with BM_STOPPED soon after a stop request on
 * this rank. Not collective. */
bm_status_t bm_dense_assignment(const bm_cost_t *cost, size_t n, uint32_t *partner /* [n] */,
                                double *v /* [n] */);

#endif
