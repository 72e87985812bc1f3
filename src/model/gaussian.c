/* A Gaussian: U = sum over k of (x_k - mean)²/(2·s_k²), so that at beta = 1 coordinate k has
 * standard deviation s_k. The s_k go in equal ratios from standard_deviation to aspect_ratio times
 * that. */

#include <math.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/model/potential.h"

#define BM_WHEN "system.kind=gaussian"

typedef struct {
  size_t d;
  double mean;
  double *deviation; /* [d] */
} parameters_t;

static const bm_deck_key_t keys[] = {
    {"system.dimension", BM_DECK_INT, "2", 1, 4096, NULL, BM_WHEN, "number of coordinates"},
    {"system.mean", BM_DECK_REAL, "0.0", -1e12, 1e12, NULL, BM_WHEN, "mean of each coordinate"},
    {"system.standard_deviation", BM_DECK_REAL, "1.0", 1e-12, 1e12, NULL, BM_WHEN,
     "standard deviation of the first coordinate at beta = 1"},
    {"system.aspect_ratio", BM_DECK_REAL, "1.0", 1e-6, 1e6, NULL, BM_WHEN,
     "standard deviation of the last coordinate over that of the first"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

static void destroy(void **self)
{
  parameters_t *own = *self;
  if (own != NULL) {
    bm_free(own->deviation);
  }
  bm_free(own);
  *self = NULL;
}

static bm_status_t create(const bm_deck_case_t *deck_case, void **self, bm_traits_t *traits)
{
  parameters_t *own;
  BM_TRY(BM_ALLOC(1, &own));
  *self = own;
  own->d = (size_t)bm_deck_int(deck_case, "system.dimension");
  own->mean = bm_deck_real(deck_case, "system.mean");
  BM_TRY(BM_ALLOC(own->d, &own->deviation));
  double first = bm_deck_real(deck_case, "system.standard_deviation");
  double ratio = bm_deck_real(deck_case, "system.aspect_ratio");
  for (size_t k = 0; k < own->d; k++) {
    double share = own->d > 1 ? (double)k / (double)(own->d - 1) : 0.0;
    own->deviation[k] = first * pow(ratio, share);
  }
  size_t dimensions = own->d % 3 == 0 ? 3 : own->d % 2 == 0 ? 2 : 1;
  *traits = (bm_traits_t){.layout = {own->d / dimensions, dimensions, "1", "1"}};
  return BM_OK;
}

static void energy(const void *self, size_t n, const double *x /* [n][d] */, double *value,
                   double *gradient /* [n][d] */)
{
  const parameters_t *own = self;
  for (size_t i = 0; i < n; i++) {
    double sum = 0.0;
    for (size_t k = 0; k < own->d; k++) {
      double z = (x[i * own->d + k] - own->mean) / own->deviation[k];
      sum += 0.5 * z * z;
      if (gradient != NULL) {
        gradient[i * own->d + k] = z / own->deviation[k];
      }
    }
    value[i] = sum;
  }
}

/* Wider than the density itself, so that agreement of the walkers means something. */
static void start(const void *self, bm_random_t random, uint32_t stream, double *x /* [d] */)
{
  const parameters_t *own = self;
  bm_random_normals(random, stream, 0, 0, own->d, x);
  for (size_t k = 0; k < own->d; k++) {
    x[k] = own->mean + 2.0 * own->deviation[k] * x[k];
  }
}

const bm_potential_ops_t bm_potential_gaussian = {
    .name = "gaussian",
    .description = "independent normal coordinates, for tests and first steps",
    .keys = keys,
    .create = create,
    .destroy = destroy,
    .energy = energy,
    .start = start,
};
