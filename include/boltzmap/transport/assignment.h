#ifndef BOLTZMAP_TRANSPORT_ASSIGNMENT_H
#define BOLTZMAP_TRANSPORT_ASSIGNMENT_H

/* Exact Wasserstein-2 of two clouds of equal size: the optimal assignment for squared Euclidean
 * cost (or squared distance on a torus), with the dual certificate that proves it.
 *
 * Memory O(n·(d + candidates)), about 1.2 kB a point beside the clouds. The clouds are solved
 * coarse to fine on nested subsets (in the manner of Schmitzer, SIAM J. Imaging Sci. 12, 1675,
 * 2019): duals of the coarser level extend to the finer one, candidate pairs are those of least
 * reduced cost, an auction with falling epsilon and shortest augmenting paths solve the assignment
 * on them, and pricing all pairs finds what is missing, until nothing is. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/log.h"

/* Values may lie so many periods out: what is left of their digits within a period is still of use,
 * and no wrapped difference overflows. */
#define BM_TURNS_MAX 1e9

typedef struct {
  size_t n, d;
  const double *x, *y; /* [n][d], not owned */
  double period;       /* of every coordinate, differences are wrapped; 0: Euclidean */
  const char
      *checkpoint; /* written on a stop request and every five minutes, and gone on from where it
                             is there; the caller removes it once the result is safe. NULL: none */
  bm_log_t *log;   /* shows progress; may be NULL */
} bm_assignment_problem_t;

typedef struct {
  double w2; /* root of the mean cost of the pairing, summed as |x - y|² */

  /* Relative duality gap: (primal - dual)/primal of W2², the duals made feasible over all pairs in
   * float64; 0 where primal is 0. The true W2² is at least w2²·(1 - gap - rounding). */
  double gap;
  double rounding; /* bound on what rounding may add to the gap */
  double error; /* one standard error of W2² as an estimate (potentials.h); NaN: too few points */
  double pricing_s; /* wall time of rank 0 in pricing, the part that ranks share */
} bm_assignment_result_t;

/* Solve. With a context all ranks share the work and get the result; each holds both clouds. A
 * context of one rank uses as many threads as it may (OMP_NUM_THREADS); NULL: this rank alone, with
 * one thread. The answer is the same to the bit in all cases, also when a checkpoint was gone on
 * from. `pairing` receives for each x its y, on rank 0 (may be NULL). BM_ERR_DATA for values that
 * are not finite or whose squares overflow, underflow or are more than BM_TURNS_MAX periods out;
 * BM_ERR_MEMORY; BM_ERR_IO and BM_ERR_DATA for the checkpoint; BM_STOPPED within seconds of a stop
 * request to all ranks. Collective with a context. */
bm_status_t bm_assignment_solve(const bm_context_t *context, const bm_assignment_problem_t *problem,
                                uint32_t *pairing /* [n] or NULL */,
                                bm_assignment_result_t *result);

#endif
