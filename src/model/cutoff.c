#include "boltzmap/model/cutoff.h"

#include <assert.h>

void bm_cutoff_apply(double epsilon, size_t n, size_t d, double *energy /* [n] */,
                     double *gradient /* [n][d] or NULL */)
{
  assert(epsilon > 0.0);
  const double low = 1.0 / epsilon;
  const double high = 2.0 / epsilon;
  for (size_t i = 0; i < n; i++) {
    if (!(energy[i] > low)) {
      continue;
    }
    /* With 1 - zeta = (1 - t)²(1 + 2t) the definition becomes U_e = 2/e - (1 - t)³(1 + 2t)/e, which
     * has no difference of large numbers, and dU_e/dU = (1 - t)²(1 + 8t). */
    double slope = 0.0;
    if (energy[i] < high) {
      double t = epsilon * energy[i] - 1.0;
      double rest = 1.0 - t;
      energy[i] = high - rest * rest * rest * (1.0 + 2.0 * t) / epsilon;
      slope = rest * rest * (1.0 + 8.0 * t);
    } else {
      energy[i] = high;
    }
    for (size_t k = 0; gradient != NULL && k < d; k++) {
      gradient[i * d + k] = slope > 0.0 ? slope * gradient[i * d + k] : 0.0;
    }
  }
}
