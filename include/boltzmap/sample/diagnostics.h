#ifndef BOLTZMAP_SAMPLE_DIAGNOSTICS_H
#define BOLTZMAP_SAMPLE_DIAGNOSTICS_H

/* Convergence diagnostics of Vehtari, Gelman, Simpson, Carpenter, Bürkner, Bayesian Analysis 16,
 * 667 (2021). Pure functions on chains [m][n]: m chains of n draws. Local arithmetic, no
 * communication. As in ArviZ, results are NaN where they are not defined: fewer than four draws,
 * values that are not finite, R-hat of a single chain or of constant chains. The effective size of
 * constant chains is their number of draws. Failures: BM_ERR_MEMORY only. */

#include <stddef.h>

#include "boltzmap/base/status.h"

#define BM_RHAT_CONVERGED 1.01 /* the article's bound */

/* Rank-normalised split R-hat: the larger of the bulk and the folded one. */
bm_status_t bm_rhat(size_t m, size_t n, const double *chains /* [m][n] */, double *rhat);

/* Bulk and tail (5% and 95% quantiles) effective sample size, and that of the mean. */
bm_status_t bm_ess_bulk(size_t m, size_t n, const double *chains, double *ess);
bm_status_t bm_ess_tail(size_t m, size_t n, const double *chains, double *ess);
bm_status_t bm_ess_mean(size_t m, size_t n, const double *chains, double *ess);

/* Integrated autocorrelation time in draws, pooled over chains: draws over ess_mean, at least 1. */
bm_status_t bm_autocorrelation_time(size_t m, size_t n, const double *chains, double *tau);

/* Normalised autocorrelation function of one series for lags 0…lags-1; NaN for a constant one. */
void bm_autocorrelation(size_t n, const double *series, size_t lags, double *rho /* [lags] */);

/* Mean and standard error of m chains' means: chains are the independent units. The error of one
 * chain is NaN. */
void bm_chain_mean(size_t m, size_t n, const double *chains, double *mean, double *error);

/* Quantile function of the standard normal (Wichura, Applied Statistics 37, 477, algorithm AS
 * 241). */
double bm_normal_quantile(double probability);

#endif
