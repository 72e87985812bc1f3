#ifndef BOLTZMAP_TRANSPORT_ASSIGNMENT_H
#define BOLTZMAP_TRANSPORT_ASSIGNMENT_H

/* Exact Wasserstein-2 of two clouds of equal size: the optimal assignment for squared Euclidean
 * cost (or squared distance on a torus), by shortest augmenting paths (Jonker, Volgenant, Computing
 * 38, 325, 1987), with the dual certificate that proves it. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"

#define BM_ASSIGNMENT_MAX 20000 /* points; their costs take 3.2 GB */

/* Values may lie so many periods out: what is left of their digits within a period is still of use,
 * and no wrapped difference overflows. */
#define BM_TURNS_MAX 1e9

typedef struct {
  /* Root of the mean cost of the pairing, summed as |x - y|². */
  double w2;

  /* Relative duality gap (primal - dual) / primal of W2², duals repaired to feasibility in float64
   * over all pairs; 0 where primal is 0. */
  double gap;
} bm_assignment_result_t;

/* Pair x [n][d] with y [n][d]. period > 0: coordinates live on circles of that length (differences
 * wrapped); 0: Euclidean. `pairing` (may be NULL) receives for each x its y. Memory 8·n² bytes.
 * BM_ERR_DATA above BM_ASSIGNMENT_MAX points and for values that are not finite or whose squares
 * overflow, underflow or are more than BM_TURNS_MAX periods out. Stops with BM_STOPPED soon after a stop
 * request on this rank. Not collective. */
bm_status_t bm_assignment_w2(size_t n, size_t d, const double *x, const double *y, double period,
                             uint32_t *pairing /* [n] or NULL */, bm_assignment_result_t *result);

#endif
