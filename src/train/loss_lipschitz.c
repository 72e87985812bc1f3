/* Penalty on the slope of the flow: weight · E|J_F v|² over base points and standard normal directions v, which is
 * weight · E|J_F|² in the Frobenius norm (Hutchinson's estimate, of Jᵀ·J), with J_F v from a central difference over
 * `lipschitz_step` each way. */

#include "boltzmap/base/memory.h"
#include "boltzmap/train/loss.h"

static const bm_deck_key_t keys[] = {
    {"training.lipschitz_weight", BM_DECK_REAL, "1e-3", 0, 1e12, NULL, "training.loss=lipschitz",
     "weight of the mean squared slope of the flow, in standardised coordinates"},
    {"training.lipschitz_step", BM_DECK_REAL, "0.01", 1e-4, 1, NULL, "training.loss=lipschitz",
     "step of the difference that the slope is taken from, over the base"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

typedef struct {
  double weight, step;
} lipschitz_t;

static void destroy(void **self)
{
  bm_free(*self);
  *self = NULL;
}

static bm_status_t create(const bm_deck_case_t *deck_case, const bm_loss_data_t *data, void **self)
{
  lipschitz_t *lipschitz;
  (void)data;
  BM_TRY(BM_ALLOC(1, &lipschitz));
  *self = lipschitz;
  *lipschitz = (lipschitz_t){bm_deck_real(deck_case, "training.lipschitz_weight"),
                             bm_deck_real(deck_case, "training.lipschitz_step")};
  return BM_OK;
}

static double step(const void *self)
{
  return ((const lipschitz_t *)self)->step;
}

static void compare(const void *self, size_t n, size_t d, const bm_real_t *y,
                    const bm_real_t *target, double *value, double *gradient)
{
  const lipschitz_t *lipschitz = self;
  const double factor = 0.5 / lipschitz->step;
  (void)target;
  for (size_t i = 0; i < n; i++) {
    const size_t one = 2 * i * d;
    const size_t other = one + d;
    value[i] = 0.0;
    for (size_t k = 0; k < d; k++) {
      const double slope = factor * ((double)y[one + k] - (double)y[other + k]);
      value[i] += lipschitz->weight * slope * slope;
      gradient[one + k] = 2.0 * lipschitz->weight * slope * factor;
      gradient[other + k] = -gradient[one + k];
    }
  }
}

const bm_loss_ops_t bm_loss_lipschitz = {
    .name = "lipschitz",
    .description = "and the mean squared slope of the flow",
    .keys = keys,
    .create = create,
    .destroy = destroy,
    .group = 2,
    .step = step,
    .compare = compare,
};
