/* A double well in the plane: U = barrier·(x² - 1)² + tilt·x + stiffness·y². With a tilt the two
 * wells have different weights, which a sampler has to find. */

#include "boltzmap/base/memory.h"
#include "boltzmap/model/potential.h"

#define BM_WHEN "system.kind=double-well"

typedef struct {
  double barrier, tilt, stiffness;
} parameters_t;

static const bm_observable_name_t averages[] = {{"prob_right_well", "1", 0.0}};

static const bm_deck_key_t keys[] = {
    {"system.barrier", BM_DECK_REAL, "1.0", 1e-12, 1e12, NULL, BM_WHEN,
     "height of the barrier between the wells at x = -1 and x = 1"},
    {"system.tilt", BM_DECK_REAL, "0.0", -1e12, 1e12, NULL, BM_WHEN,
     "slope along x; half the difference in energy between the wells"},
    {"system.stiffness", BM_DECK_REAL, "1.0", 1e-12, 1e12, NULL, BM_WHEN, "factor of y squared"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

static bm_status_t create(const bm_deck_case_t *deck_case, void **self, bm_traits_t *traits)
{
  parameters_t *own;
  BM_TRY(BM_ALLOC(1, &own));
  *own = (parameters_t){bm_deck_real(deck_case, "system.barrier"),
                        bm_deck_real(deck_case, "system.tilt"),
                        bm_deck_real(deck_case, "system.stiffness")};
  *self = own;
  *traits = (bm_traits_t){
      .layout = {1, 2, "1", "1"}, .averages = averages, .average_count = 1, .symmetry_count = 2};
  return BM_OK;
}

static void destroy(void **self)
{
  bm_free(*self);
  *self = NULL;
}

static void energy(const void *self, size_t n, const double *x /* [n][2] */, double *value,
                   double *gradient /* [n][2] */)
{
  const parameters_t *own = self;
  for (size_t i = 0; i < n; i++) {
    double along = x[2 * i];
    double across = x[2 * i + 1];
    double height = along * along - 1.0;
    value[i] =
        own->barrier * height * height + own->tilt * along + own->stiffness * across * across;
    if (gradient != NULL) {
      gradient[2 * i] = 4.0 * own->barrier * along * height + own->tilt;
      gradient[2 * i + 1] = 2.0 * own->stiffness * across;
    }
  }
}

static void average(const void *self, size_t n, const double *x /* [n][2] */, double *values)
{
  (void)self;
  for (size_t i = 0; i < n; i++) {
    values[i] = x[2 * i] > 0.0 ? 1.0 : 0.0;
  }
}

/* Either well with probability one half. */
static void start(const void *self, bm_random_t random, uint32_t stream, double *x /* [2] */)
{
  (void)self;
  double side[2];
  bm_random_normal2(random, stream, 0, 0, x);
  bm_random_uniform2(random, stream, 1, 0, side);
  x[0] = (side[0] < 0.5 ? -1.0 : 1.0) + 0.2 * x[0];
  x[1] *= 0.5;
}

/* To the mirror image in the other well: a symmetry only without tilt. */
static void involution(const void *self, size_t k, double *x /* [2] */)
{
  (void)self;
  (void)k;
  x[0] = -x[0];
}

/* Mirrored across the line through the wells. */
static void symmetry(const void *self, size_t element, double *x /* [2] */)
{
  (void)self;
  (void)element;
  x[1] = -x[1];
}

const bm_potential_ops_t bm_potential_double_well = {
    .name = "double-well",
    .description = "one particle in a 2-D double well",
    .keys = keys,
    .create = create,
    .destroy = destroy,
    .energy = energy,
    .start = start,
    .average = average,
    .involution_count = 1,
    .involution = involution,
    .symmetry = symmetry,
};
