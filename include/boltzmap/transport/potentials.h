#ifndef BOLTZMAP_TRANSPORT_POTENTIALS_H
#define BOLTZMAP_TRANSPORT_POTENTIALS_H

/* What the dual variables of an optimal assignment say of its statistical error: they are values of
 * the Kantorovich potentials, and W2² of two samples is asymptotically normal around its mean with
 * variance Var f(X)/n + Var g(Y)/n (del Barrio, Loubes, Ann. Probab. 47, 926, 2019). Variances are
 * taken over means of contiguous blocks of rows, so that frames that follow each other may be
 * correlated. */

#include "boltzmap/base/status.h"
#include "boltzmap/transport/auction.h"
#include "boltzmap/transport/cost.h"

#define BM_POTENTIAL_BLOCKS 50 /* fewer where there are fewer than two rows a block */

/* One standard error of W2². NaN for fewer than four points. BM_ERR_MEMORY. */
bm_status_t bm_potentials_error(const bm_cost_t *cost, const bm_matching_t *matching,
                                double *error);

#endif
