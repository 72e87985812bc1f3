#ifndef BOLTZMAP_TRANSPORT_DEBIASED_H
#define BOLTZMAP_TRANSPORT_DEBIASED_H

/* A distance of finite samples is never zero: two samples of one law lie a floor apart.
 * The debiased estimate takes the floors of both laws off,
 *   W2²(A, B) - [W2²(A, A') + W2²(B, B')]/2
 * with independent samples A', B' of the same sizes (the idea of the Sinkhorn divergence: Feydy et
 * al., AISTATS 2019). Where there is one sample of each law, its halves are compared. */

#include "boltzmap/base/status.h"
#include "boltzmap/transport/distance.h"

#define BM_DEBIASED_BLOCKS 20 /* contiguous blocks of rows that halves are put together of */

typedef struct {
  double w2_squared; /* debiased; negative where the sets are closer than their floors */
  double error; /* one standard error of it, by the delete-a-group jackknife over pairs of blocks */
  double raw;   /* mean of W2² between halves of A and halves of B */
  double floor; /* mean of W2² between the halves of A and those of B */
  double gap;   /* exact: largest relative duality gap of all distances made; else 0 */
  size_t n;     /* points of a half */
} bm_debiased_t;

/* Halves are random sets of blocks of rows, so that frames that follow each other stay together:
 * halves of one trajectory, cut finely, would be too alike. settings->subsample: points of a half,
 * evenly spread; 0: all. settings->repeats is ignored. BM_ERR_DATA for fewer than
 * 2·BM_DEBIASED_BLOCKS rows and what the distance refuses. Collective. */
bm_status_t bm_distance_debiased(const bm_context_t *context, const bm_distance_ops_t *distance,
                                 const bm_distance_settings_t *settings, const bm_cloud_t *a,
                                 const bm_cloud_t *b, bm_debiased_t *result);

#endif
