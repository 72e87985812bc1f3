#include "boltzmap/model/backbone.h"

#include <math.h>

#include "boltzmap/model/molecule.h"

#define BM_ALPHA_LOW -120.0 /* degrees of psi */
#define BM_ALPHA_HIGH 50.0

void bm_backbone_basins(double phi, double psi, double *positive, double *alpha)
{
  double degrees = remainder(psi, 2.0 * M_PI) * 180.0 / M_PI;
  *positive = remainder(phi, 2.0 * M_PI) > 0.0 ? 1.0 : 0.0;
  *alpha = *positive <= 0.0 && degrees > BM_ALPHA_LOW && degrees < BM_ALPHA_HIGH ? 1.0 : 0.0;
}

/* `self` is the molecule. */
static void observe(const void *self, size_t n, const double *x /* [n][angles] */, double *values)
{
  const size_t count = ((const bm_molecule_t *)self)->angle_count;
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < count; k++) {
      values[k * n + i] = remainder(x[i * count + k], 2.0 * M_PI);
    }
  }
}

static void average(const void *self, size_t n, const double *x /* [n][angles] */, double *values)
{
  const size_t count = ((const bm_molecule_t *)self)->angle_count;
  for (size_t i = 0; i < n; i++) {
    bm_backbone_basins(x[i * count], x[i * count + 1], &values[i], &values[n + i]);
  }
}

static const bm_observable_name_t averages[] = {BM_BACKBONE_AVERAGES};

static const bm_potential_ops_t ops = {
    .name = "backbone",
    .description = "the backbone angles of a molecule",
    .observe = observe,
    .average = average,
};

bm_status_t bm_backbone_create(const bm_potential_t *of, bm_potential_t **out)
{
  const bm_molecule_t *molecule = bm_potential_traits(of)->molecule;
  const bm_traits_t traits = {.layout = {molecule->angle_count, 1, "rad", "kJ/mol"},
                              .beta = bm_potential_beta(of),
                              .observables = molecule->angle_names,
                              .observable_count = molecule->angle_count,
                              .averages = averages,
                              .average_count = sizeof averages / sizeof averages[0]};
  return bm_potential_derive(&ops, molecule, &traits, out);
}
