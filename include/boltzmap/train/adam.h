#ifndef BOLTZMAP_TRAIN_ADAM_H
#define BOLTZMAP_TRAIN_ADAM_H

/* Adam (Kingma, Ba, ICLR 2015, algorithm 1) on a slice of the parameters. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/real.h"

typedef struct {
  double learning_rate;
  double beta1, beta2, epsilon;
} bm_adam_t;

/* One step: `step` counts from 1; `factor` multiplies the gradient first (clipping). */
void bm_adam_step(const bm_adam_t *adam, int64_t step, double factor, size_t count,
                  const bm_real_t *gradient /* [count] */, bm_real_t *first_moment /* [count] */,
                  bm_real_t *second_moment /* [count] */, bm_real_t *parameters /* [count] */);

#endif
