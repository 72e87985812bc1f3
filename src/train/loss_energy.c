/* Mean reduced energy of generated samples, with the cut-off of Theorem 1, which keeps collisions finite:
 * weight · β · U_ε. Samples beyond 2/ε have no slope: those the likelihood has to bring in reach. */

#include "boltzmap/base/memory.h"
#include "boltzmap/model/cutoff.h"
#include "boltzmap/train/loss.h"

static const bm_deck_key_t keys[] = {
    {"training.energy_weight", BM_DECK_REAL, "1.0", 0, 1e12, NULL, "training.loss=energy",
     "weight of the mean reduced energy beside the negative log-likelihood"},
    {"training.energy_cutoff", BM_DECK_REAL, "1e-3", 1e-12, 1e12, NULL, "training.loss=energy",
     "epsilon of the energy cut-off of the term: U is unchanged up to 1/epsilon and constant beyond "
     "2/epsilon"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

typedef struct {
  const bm_potential_t *potential; /* not owned */
  double epsilon, factor;
} energy_t;

static void destroy(void **self)
{
  bm_free(*self);
  *self = NULL;
}

static bm_status_t create(const bm_deck_case_t *deck_case, const bm_loss_data_t *data, void **self)
{
  energy_t *energy;
  BM_TRY(BM_ALLOC(1, &energy));
  *self = energy;
  *energy = (energy_t){data->potential, bm_deck_real(deck_case, "training.energy_cutoff"),
                       bm_deck_real(deck_case, "training.energy_weight") *
                           bm_potential_beta(data->potential)};
  return BM_OK;
}

static void value(const void *self, size_t n, const double *x, double *value, double *gradient)
{
  const energy_t *energy = self;
  const size_t d = bm_potential_dimension(energy->potential);
  bm_potential_energy(energy->potential, n, x, value, gradient);
  bm_cutoff_apply(energy->epsilon, n, d, value, gradient);
  for (size_t i = 0; i < n; i++) {
    value[i] *= energy->factor;
    for (size_t k = 0; k < d; k++) {
      gradient[i * d + k] *= energy->factor;
    }
  }
}

const bm_loss_ops_t bm_loss_energy = {
    .name = "energy",
    .description = "and the mean energy of generated samples, cut off as in Theorem 1",
    .keys = keys,
    .create = create,
    .destroy = destroy,
    .value = value,
};
