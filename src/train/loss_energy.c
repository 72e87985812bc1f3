/* Mean reduced energy of generated samples, with the cut-off of Theorem 1, which keeps collisions finite:
 * weight · β · U_ε. Samples beyond 2/ε have no slope: those the likelihood has to bring in reach. The energy
 * alone draws samples to its minima; "reverse-kl" adds the log density of the samples, which makes of it the
 * divergence of the flow from the target, KL(flow‖target) up to a constant (Noé, Olsson, Köhler, Wu, Science
 * 365, eaaw1147 (2019), eq. 5): the true density then minimises both parts of the loss. For aligned molecules
 * that takes their density as whole molecules, and the noise along the rigid directions for granted: without
 * that, the flow would widen these, in which the energy does not change. */

#include "boltzmap/base/memory.h"
#include "boltzmap/model/cutoff.h"
#include "boltzmap/train/loss.h"

#define BM_WHEN "training.loss=energy|reverse-kl"

static const bm_deck_key_t keys[] = {
    {"training.energy_weight", BM_DECK_REAL, "0.1", 0, 1e12, NULL, BM_WHEN,
     "weight of the mean reduced energy beside the negative log-likelihood"},
    {"training.energy_cutoff", BM_DECK_REAL, "1e-4", 1e-12, 1e12, NULL,
     BM_WHEN "|pair-penalty+reverse-kl",
     "epsilon of the term's energy cut-off: U is unchanged up to 1/epsilon, constant beyond "
     "2/epsilon"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

typedef struct {
  const bm_potential_t *potential; /* not owned */
  double epsilon, weight;
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
                       bm_deck_real(deck_case, "training.energy_weight")};
  return BM_OK;
}

static void value(const void *self, size_t n, const double *x, double *value, double *gradient)
{
  const energy_t *energy = self;
  const size_t d = bm_potential_dimension(energy->potential);
  const double factor = energy->weight * bm_potential_beta(energy->potential);
  bm_potential_energy(energy->potential, n, x, value, gradient);
  bm_cutoff_apply(energy->epsilon, n, d, value, gradient);
  for (size_t i = 0; i < n; i++) {
    value[i] *= factor;
    for (size_t k = 0; k < d; k++) {
      gradient[i * d + k] *= factor;
    }
  }
}

static double entropy(const void *self)
{
  return ((const energy_t *)self)->weight;
}

const bm_loss_ops_t bm_loss_energy = {
    .name = "energy",
    .description = "and the mean energy of generated samples, cut off as in Theorem 1",
    .keys = keys,
    .create = create,
    .destroy = destroy,
    .value = value,
};

const bm_loss_ops_t bm_loss_reverse_kl = {
    .name = "reverse-kl",
    .description = "and that energy with the log density added: the divergence from the target",
    .create = create,
    .destroy = destroy,
    .value = value,
    .entropy = entropy,
};
