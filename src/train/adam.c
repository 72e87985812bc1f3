#include "boltzmap/train/adam.h"

#include <math.h>

void bm_adam_step(const bm_adam_t *adam, int64_t step, double factor, size_t count,
                  const bm_real_t *restrict gradient, bm_real_t *restrict first_moment,
                  bm_real_t *restrict second_moment, bm_real_t *restrict parameters)
{
  bm_real_t b1 = (bm_real_t)adam->beta1;
  bm_real_t b2 = (bm_real_t)adam->beta2;
  bm_real_t c1 = (bm_real_t)(1.0 - adam->beta1); /* not 1 - b1: in float32 that loses digits */
  bm_real_t c2 = (bm_real_t)(1.0 - adam->beta2);
  bm_real_t scale = (bm_real_t)factor;
  bm_real_t epsilon = (bm_real_t)adam->epsilon;
  bm_real_t rate = (bm_real_t)(adam->learning_rate / (1.0 - pow(adam->beta1, (double)step)));
  bm_real_t root = (bm_real_t)(1.0 / sqrt(1.0 - pow(adam->beta2, (double)step)));
#pragma omp simd
  for (size_t i = 0; i < count; i++) {
    bm_real_t g = scale * gradient[i];
    bm_real_t m = b1 * first_moment[i] + c1 * g;
    bm_real_t v = b2 * second_moment[i] + c2 * g * g;
    first_moment[i] = m;
    second_moment[i] = v;
#ifdef BM_REAL_IS_DOUBLE
    parameters[i] -= rate * m / (sqrt(v) * root + epsilon);
#else
    parameters[i] -= rate * m / (sqrtf(v) * root + epsilon);
#endif
  }
}
