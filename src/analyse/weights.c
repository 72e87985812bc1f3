#include "boltzmap/analyse/weights.h"

#include <math.h>

static double largest(size_t n, const double *values)
{
  double most = -INFINITY;
  for (size_t i = 0; i < n; i++) {
    most = values[i] > most ? values[i] : most;
  }
  return most;
}

/* Kish's fraction for weights exp(log w - shift), each cut at `limit`. */
static double kish(size_t n, const double *log_weight, double shift, double limit, size_t *cut)
{
  double sum = 0.0;
  double squares = 0.0;
  *cut = 0;
  for (size_t i = 0; i < n; i++) {
    double w = exp(log_weight[i] - shift);
    if (w > limit) {
      w = limit;
      (*cut)++;
    }
    sum += w;
    squares += w * w;
  }
  return sum * sum / (squares * (double)n);
}

void bm_weights_summary(size_t n, const double *log_weight, bm_weights_summary_t *summary)
{
  double shift = largest(n, log_weight);
  if (!isfinite(shift)) {
    *summary = (bm_weights_summary_t){NAN, NAN, NAN, NAN, NAN};
    return;
  }
  double sum = 0.0;
  double squares = 0.0;
  for (size_t i = 0; i < n; i++) {
    double w = exp(log_weight[i] - shift);
    sum += w;
    squares += w * w;
  }
  double count = (double)n;
  double mean = sum / count;
  double variance = (squares / count - mean * mean) * count / (count - 1.0);
  size_t cut;
  summary->ess = kish(n, log_weight, shift, INFINITY, &cut);
  summary->ess_clipped = kish(n, log_weight, shift, mean * sqrt(count), &cut);
  summary->clipped_share = (double)cut / count;
  summary->log_z = log(mean) + shift;
  summary->log_z_error = sqrt(variance > 0.0 ? variance / count : 0.0) / mean;
}

void bm_weights_mean(size_t n, const double *log_weight, const double *f, double *mean,
                     double *error)
{
  double shift = largest(n, log_weight);
  double sum = 0.0;
  double weighted = 0.0;
  for (size_t i = 0; i < n; i++) {
    double w = exp(log_weight[i] - shift);
    sum += w;
    weighted += w * f[i];
  }
  *mean = weighted / sum;
  double squares = 0.0;
  for (size_t i = 0; i < n; i++) {
    double term = exp(log_weight[i] - shift) * (f[i] - *mean);
    squares += term * term;
  }
  *error = sqrt(squares) / sum;
}
