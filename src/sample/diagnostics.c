#include "boltzmap/sample/diagnostics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/order.h"

#define BM_DRAWS_LEAST 4     /* the halves of a chain need two draws each */
#define BM_RANK_OFFSET 0.375 /* Blom's, for normal scores of ranks */
#define BM_RESOLUTION 1e-15  /* a range below this counts as constant */

/* Polynomial with coefficients from the constant up, by Horner's rule. */
static double polynomial(const double coefficients[8], double x)
{
  double value = coefficients[7];
  for (int k = 6; k >= 0; k--) {
    value = value * x + coefficients[k];
  }
  return value;
}

/* Rational approximations of AS 241: numerator, denominator. */
static const double centre[2][8] = {
    {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
     1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
     3.3430575583588128105e4, 2.5090809287301226727e3},
    {1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
     5.2264952788528545610e3},
};
static const double shoulder[2][8] = {
    {1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
     3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
     2.27238449892691845833e-2, 7.74545014278341407640e-4},
    {1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
     1.05075007164441684324e-9},
};
static const double tail[2][8] = {
    {6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
     2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
     2.71155556874348757815e-5, 2.01033439929228813265e-7},
    {1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
     2.04426310338993978564e-15},
};

double bm_normal_quantile(double probability)
{
  double q = probability - 0.5;
  if (fabs(q) <= 0.425) {
    double r = 0.180625 - q * q;
    return q * polynomial(centre[0], r) / polynomial(centre[1], r);
  }
  double r = sqrt(-log(q < 0.0 ? probability : 1.0 - probability));
  double value;
  if (isinf(r)) {
    value = INFINITY;
  } else if (r <= 5.0) {
    value = polynomial(shoulder[0], r - 1.6) / polynomial(shoulder[1], r - 1.6);
  } else {
    value = polynomial(tail[0], r - 5.0) / polynomial(tail[1], r - 5.0);
  }
  return q < 0.0 ? -value : value;
}

static int all_finite(size_t count, const double *values)
{
  for (size_t i = 0; i < count; i++) {
    if (!isfinite(values[i])) {
      return 0;
    }
  }
  return 1;
}

/* First and last half of each chain as chains of their own, [2m][n/2]; a middle draw is left
 * out. */
static bm_status_t split(size_t m, size_t n, const double *chains /* [m][n] */, double **halves)
{
  const size_t half = n / 2;
  BM_TRY(BM_ALLOC(2 * m * half, halves));
  for (size_t c = 0; c < m; c++) {
    memcpy(*halves + c * half, chains + c * n, half * sizeof **halves);
    memcpy(*halves + (m + c) * half, chains + c * n + n - half, half * sizeof **halves);
  }
  return BM_OK;
}

typedef struct {
  double value;
  size_t place;
} ranked_t;

static int by_value(const void *a, const void *b)
{
  double x = ((const ranked_t *)a)->value;
  double y = ((const ranked_t *)b)->value;
  return (x > y) - (x < y);
}

/* Each value becomes the normal quantile of its rank among all; equal values share their mean
 * rank. */
static bm_status_t normalise_ranks(size_t count, double *values /* [count], in place */)
{
  ranked_t *sorted;
  BM_TRY(BM_ALLOC(count, &sorted));
  for (size_t i = 0; i < count; i++) {
    sorted[i] = (ranked_t){values[i], i};
  }
  qsort(sorted, count, sizeof *sorted, by_value);
  for (size_t i = 0; i < count;) {
    size_t end = i + 1;
    while (end < count && sorted[end].value == sorted[i].value) {
      end++;
    }
    double rank = 0.5 * (double)(i + 1 + end);
    double z =
        bm_normal_quantile((rank - BM_RANK_OFFSET) / ((double)count - 2.0 * BM_RANK_OFFSET + 1.0));
    for (; i < end; i++) {
      values[sorted[i].place] = z;
    }
  }
  bm_free(sorted);
  return BM_OK;
}

/* Quantiles of all values, linear between order statistics. */
static bm_status_t quantiles(size_t count, const double *values, size_t wanted,
                             const double *probabilities /* [wanted] */, double *results)
{
  double *sorted;
  BM_TRY(BM_ALLOC(count, &sorted));
  memcpy(sorted, values, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, bm_order_ascending);
  for (size_t k = 0; k < wanted; k++) {
    double place = probabilities[k] * (double)(count - 1);
    size_t below = (size_t)place;
    size_t above = below + 1 < count ? below + 1 : below;
    double share = place - (double)below;
    results[k] = (1.0 - share) * sorted[below] + share * sorted[above];
  }
  bm_free(sorted);
  return BM_OK;
}

static double mean_of(size_t n, const double *series)
{
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) {
    sum += series[i];
  }
  return sum / (double)n;
}

/* Autocovariance at one lag with 1/n in front. */
static double autocovariance(size_t n, const double *series, double mean, size_t lag)
{
  const size_t count = lag < n ? n - lag : 0;
  double sum = 0.0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < count; i++) {
    sum += (series[i] - mean) * (series[i + lag] - mean);
  }
  return sum / (double)n;
}

/* Means of the chains and their variance (with m - 1; 0 for one chain). */
static double between(size_t m, size_t n, const double *chains, double *means /* [m] */)
{
  for (size_t c = 0; c < m; c++) {
    means[c] = mean_of(n, chains + c * n);
  }
  double middle = mean_of(m, means);
  double sum = 0.0;
  for (size_t c = 0; c < m; c++) {
    sum += (means[c] - middle) * (means[c] - middle);
  }
  return m > 1 ? sum / (double)(m - 1) : 0.0;
}

/* Autocovariance at one lag, mean over chains. */
static double pooled(size_t m, size_t n, const double *chains, const double *means, size_t lag)
{
  double sum = 0.0;
  for (size_t c = 0; c < m; c++) {
    sum += autocovariance(n, chains + c * n, means[c], lag);
  }
  return sum / (double)m;
}

/* R-hat of Gelman and Rubin, chains as they are. */
static bm_status_t plain_rhat(size_t m, size_t n, const double *chains, double *rhat)
{
  double *means;
  BM_TRY(BM_ALLOC(m, &means));
  double spread = between(m, n, chains, means);
  double count = (double)n;
  double within = pooled(m, n, chains, means, 0) * count / (count - 1.0);
  *rhat = sqrt((count * spread / within + count - 1.0) / count);
  bm_free(means);
  return BM_OK;
}

static bm_status_t rank_rhat(size_t m, size_t n, double *halves /* [m][n], used up */, double *rhat)
{
  BM_TRY(normalise_ranks(m * n, halves));
  return plain_rhat(m, n, halves, rhat);
}

/* Both R-hats of chains already split. */
static bm_status_t split_rhat(size_t m, size_t n, double *halves, double *folded, double *rhat)
{
  const double half = 0.5;
  double median;
  double bulk;
  double tails;
  BM_TRY(quantiles(m * n, halves, 1, &half, &median));
  for (size_t i = 0; i < m * n; i++) {
    folded[i] = fabs(halves[i] - median);
  }
  BM_TRY(rank_rhat(m, n, halves, &bulk));
  BM_TRY(rank_rhat(m, n, folded, &tails));
  *rhat = tails > bulk ? tails : bulk; /* a folded quantity may be constant: NaN, left out */
  return BM_OK;
}

bm_status_t bm_rhat(size_t m, size_t n, const double *chains /* [m][n] */, double *rhat)
{
  *rhat = NAN;
  if (m < 2 || n < BM_DRAWS_LEAST || !all_finite(m * n, chains)) {
    return BM_OK;
  }
  double *halves = NULL;
  double *folded = NULL;
  bm_status_t status = split(m, n, chains, &halves);
  if (status == BM_OK) {
    status = BM_ALLOC(2 * m * (n / 2), &folded);
  }
  if (status == BM_OK) {
    status = split_rhat(2 * m, n / 2, halves, folded, rhat);
  }
  bm_free(folded);
  bm_free(halves);
  return status;
}

/* The autocorrelations of m chains, one lag after the other. */
typedef struct {
  size_t m, n;
  const double *chains; /* [m][n] */
  const double *means;  /* [m] */
  double within, total; /* variances: within chains (n - 1), and of the whole */
} correlation_t;

static double correlation_at(const correlation_t *of, size_t lag)
{
  return 1.0 - (of->within - pooled(of->m, of->n, of->chains, of->means, lag)) / of->total;
}

/* Sum of the autocorrelations as -1 + 2·(pairs) + (one more), where pairs of neighbours stay
 * positive and fall (Geyer, Statistical Science 7, 473 (1992)). Pairs after the first negative one
 * do not count, so only lags up to there are computed. */
static double sum_of_pairs(const correlation_t *of)
{
  double even = 1.0;
  double odd = correlation_at(of, 1);
  double last = even + odd; /* the pair before, made to fall */
  double sum = 0.0;         /* of whole pairs */
  size_t lag = 1;
  while (lag + 3 < of->n && even + odd > 0.0) {
    sum += last;
    even = correlation_at(of, lag + 1);
    odd = correlation_at(of, lag + 2);
    last = even + odd < last ? even + odd : last;
    lag += 2;
  }
  /* Of the last pair met the even part counts, once, unless that pair is the negative one and so is
   * its even part. */
  return -1.0 + 2.0 * sum + (even > 0.0 || even + odd >= 0.0 ? even : 0.0);
}

static double range_of(size_t count, const double *values)
{
  double low = values[0];
  double high = values[0];
  for (size_t i = 1; i < count; i++) {
    low = values[i] < low ? values[i] : low;
    high = values[i] > high ? values[i] : high;
  }
  return high - low;
}

/* Effective sample size of chains already split. */
static bm_status_t split_ess(size_t m, size_t n, const double *halves, double *ess)
{
  const double count = (double)(m * n);
  if (range_of(m * n, halves) < BM_RESOLUTION) {
    *ess = count;
    return BM_OK;
  }
  double *means;
  BM_TRY(BM_ALLOC(m, &means));
  double spread = between(m, n, halves, means);
  double variance = pooled(m, n, halves, means, 0);
  double draws = (double)n;
  correlation_t of = {m, n, halves, means, variance * draws / (draws - 1.0), variance + spread};
  double tau = sum_of_pairs(&of);
  double least = 1.0 / log10(count);
  *ess = count / (tau > least ? tau : least);
  bm_free(means);
  return BM_OK;
}

/* How chains are looked at before their effective sample size is taken. */
typedef enum { AS_THEY_ARE, BY_RANK, BELOW } view_t;

static bm_status_t ess_of(size_t m, size_t n, const double *chains, view_t view, double threshold,
                          double *ess)
{
  *ess = NAN;
  if (m < 1 || n < BM_DRAWS_LEAST || !all_finite(m * n, chains)) {
    return BM_OK;
  }
  const size_t count = 2 * m * (n / 2);
  double *halves;
  BM_TRY(split(m, n, chains, &halves));
  bm_status_t status = view == BY_RANK ? normalise_ranks(count, halves) : BM_OK;
  for (size_t i = 0; view == BELOW && i < count; i++) {
    halves[i] = halves[i] <= threshold;
  }
  if (status == BM_OK) {
    status = split_ess(2 * m, n / 2, halves, ess);
  }
  bm_free(halves);
  return status;
}

bm_status_t bm_ess_bulk(size_t m, size_t n, const double *chains, double *ess)
{
  return ess_of(m, n, chains, BY_RANK, 0.0, ess);
}

bm_status_t bm_ess_mean(size_t m, size_t n, const double *chains, double *ess)
{
  return ess_of(m, n, chains, AS_THEY_ARE, 0.0, ess);
}

bm_status_t bm_ess_tail(size_t m, size_t n, const double *chains, double *ess)
{
  const double probabilities[2] = {0.05, 0.95};
  double thresholds[2];
  double upper;
  *ess = NAN;
  if (m < 1 || n < BM_DRAWS_LEAST || !all_finite(m * n, chains)) {
    return BM_OK;
  }
  BM_TRY(quantiles(m * n, chains, 2, probabilities, thresholds));
  BM_TRY(ess_of(m, n, chains, BELOW, thresholds[0], ess));
  BM_TRY(ess_of(m, n, chains, BELOW, thresholds[1], &upper));
  *ess = upper < *ess ? upper : *ess;
  return BM_OK;
}

bm_status_t bm_autocorrelation_time(size_t m, size_t n, const double *chains, double *tau)
{
  double ess;
  BM_TRY(bm_ess_mean(m, n, chains, &ess));
  const size_t used = 2 * m * (n / 2); /* halves of chains */
  *tau = (double)used / ess;
  *tau = *tau < 1.0 ? 1.0 : *tau;
  return BM_OK;
}

void bm_autocorrelation(size_t n, const double *series, size_t lags, double *rho /* [lags] */)
{
  double mean = mean_of(n, series);
  double variance = autocovariance(n, series, mean, 0);
  for (size_t lag = 0; lag < lags; lag++) {
    rho[lag] = autocovariance(n, series, mean, lag) / variance;
  }
}

void bm_chain_mean(size_t m, size_t n, const double *chains, double *mean, double *error)
{
  double sum = 0.0;
  for (size_t c = 0; c < m; c++) {
    sum += mean_of(n, chains + c * n);
  }
  *mean = sum / (double)m;
  sum = 0.0;
  for (size_t c = 0; c < m; c++) {
    double off = mean_of(n, chains + c * n) - *mean;
    sum += off * off;
  }
  *error = m > 1 ? sqrt(sum / (double)(m - 1) / (double)m) : NAN;
}
