#ifndef BOLTZMAP_ANALYSE_WEIGHTS_H
#define BOLTZMAP_ANALYSE_WEIGHTS_H

/* Importance weights of generated samples: log w = -beta·U(x) - log rho(x), with rho the flow's density.
 * All sums run in index order. Pure functions. */

#include <stddef.h>

typedef struct {
  double ess;         /* Kish's effective sample size as a fraction of n: (Σw)²/(n Σw²) */
  double ess_clipped; /* the same with weights cut at √n times their mean */
  double
      clipped_share; /* fraction of samples so cut (Ionides, J. Comput. Graph. Stat. 17, 295, 2008) */
  double log_z;      /* log of the mean weight: log of the partition function ∫exp(-beta·U) */
  double log_z_error; /* one standard error */
} bm_weights_summary_t;

/* Samples of weight zero (U = +inf) are allowed; at least one weight must be positive, else all
 * results are NaN. */
void bm_weights_summary(size_t n, const double *log_weight /* [n] */,
                        bm_weights_summary_t *summary);

/* Reweighted mean of f and its standard error, sqrt(Σ w²(f - mean)²)/Σw. */
void bm_weights_mean(size_t n, const double *log_weight /* [n] */, const double *f /* [n] */,
                     double *mean, double *error);

#endif
