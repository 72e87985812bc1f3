#ifndef BOLTZMAP_SAMPLE_DIAGNOSTICS_H
#define BOLTZMAP_SAMPLE_DIAGNOSTICS_H

/* Convergence diagnostics of Vehtari, Gelman, Simpson, Carpenter, Bürkner, Bayesian Analysis 16, 667
 * (2021). Pure functions on chains [m][n]: m chains of n draws. Local arithmetic, no communication.
 * Results are NaN where they are not defined (too few draws, constant chains), as in ArviZ. */

#include <stddef.h>

#include "boltzmap/base/status.h"

/* Rank-normalised split R-hat: the larger of the bulk and the folded one. n ≥ 4. */
bm_status_t bm_rhat(size_t m, size_t n, const double *chains /* [m][n] */, double *rhat);

/* Bulk and tail (5% and 95% quantiles) effective sample size, and that of the mean. */
bm_status_t bm_ess_bulk(size_t m, size_t n, const double *chains, double *ess);
bm_status_t bm_ess_tail(size_t m, size_t n, const double *chains, double *ess);
bm_status_t bm_ess_mean(size_t m, size_t n, const double *chains, double *ess);

/* Integrated autocorrelation time in draws, pooled over chains, n·m/ess_mean (at least 1). */
bm_status_t bm_autocorrelation_time(size_t m, size_t n, const double *chains, double *tau);

/* Normalised autocorrelation function of one series for lags 0…lags-1. */
void bm_autocorrelation(size_t n, const double *series, size_t lags, double *rho /* [lags] */);

/* Mean and standard error of m chains' means: chains are the independent units (m ≥ 2). */
void bm_chain_mean(size_t m, size_t n, const double *chains, double *mean, double *error);

/* Quantile function of the standard normal (Wichura, Applied Statistics 37, 477, algorithm AS 241). */
double bm_normal_quantile(double probability);

#endif
