#ifndef BOLTZMAP_ANALYSE_LIPSCHITZ_H
#define BOLTZMAP_ANALYSE_LIPSCHITZ_H

/* Lipschitz constants of a learned map, from the singular values of its exact Jacobian in physical units:
 * over given base points, then by local ascent from the worst of them. The ascent stays in the ball
 * of the base points, since far outside it there is no mass and the map is not constrained; it is shorter in
 * many dimensions, where a Jacobian is expensive. What is
 * found is a lower bound of the supremum over that ball. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/transport/map.h"

#define BM_LIPSCHITZ_DIMENSION_MAX 256

typedef struct {
  double max;         /* largest singular value met, ascent included */
  double max_sampled; /* over the given points alone */
  double p99;         /* 99% quantile over the points of each point's largest singular value */
  double inverse_max; /* largest 1/(smallest singular value) met, ascent included */
  double inverse_max_sampled;
} bm_lipschitz_t;

/* Over the first n base points of the generator's stream of `seed`. Collective; the same bits on
 * any number of ranks. BM_ERR_DATA above BM_LIPSCHITZ_DIMENSION_MAX dimensions; BM_STOPPED on
 * request. */
bm_status_t bm_lipschitz(const bm_context_t *context, bm_map_t *map, uint64_t seed, size_t n,
                         bm_log_t *log, bm_lipschitz_t *result);

/* Largest and smallest singular value of a d×d matrix (LAPACK dgesvd), d at most
 * BM_LIPSCHITZ_DIMENSION_MAX. The matrix is used up. */
bm_status_t bm_singular_range(size_t d, double *matrix /* [d][d] */, double *largest,
                              double *smallest);

#endif
