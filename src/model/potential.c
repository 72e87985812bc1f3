#include "boltzmap/model/potential.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/model/cutoff.h"

#define BM_CUTOFF_LEAST 1e-100 /* below, 2/epsilon comes near the largest double */

struct bm_potential {
  const bm_potential_ops_t *ops;
  void *self;
  bm_traits_t traits;
  double beta;
  double energy_cutoff; /* epsilon of Theorem 1; 0: none */
};

const bm_potential_ops_t *const bm_potential_table[] = {
#define BM_POTENTIAL_ROW(row, name) &bm_potential_##row,
    BM_POTENTIAL_TABLE(BM_POTENTIAL_ROW)
#undef BM_POTENTIAL_ROW
        NULL,
};

const char *const bm_potential_names[] = {
#define BM_POTENTIAL_ROW(row, name) name,
    BM_POTENTIAL_TABLE(BM_POTENTIAL_ROW)
#undef BM_POTENTIAL_ROW
        NULL,
};

const bm_deck_key_t bm_potential_keys[] = {
    {"system.kind", BM_DECK_STRING, NULL, 0, 0, bm_potential_names, NULL, "the potential"},
    {"system.beta", BM_DECK_REAL, "1.0", 1e-12, 1e12, NULL,
     "system.kind=coulomb-double-well|double-well|gaussian",
     "inverse temperature 1/kT, in one over the unit of energy"},
    {"system.energy_cutoff", BM_DECK_REAL, "0.0", 0, 1e12, NULL, NULL,
     "epsilon of the energy cut-off: U is unchanged up to 1/epsilon and constant beyond 2/epsilon; "
     "0 = none"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

static const bm_potential_ops_t *find(const char *name)
{
  for (size_t i = 0; bm_potential_table[i] != NULL; i++) {
    if (strcmp(bm_potential_table[i]->name, name) == 0) {
      return bm_potential_table[i];
    }
  }
  return NULL;
}

static bm_status_t read_deck(const bm_deck_case_t *deck_case, bm_potential_t *potential)
{
  potential->energy_cutoff = bm_deck_real(deck_case, "system.energy_cutoff");
  if (potential->energy_cutoff > 0.0 && potential->energy_cutoff < BM_CUTOFF_LEAST) {
    return bm_deck_fail(deck_case, "system.energy_cutoff", "must be 0 or at least %g",
                        BM_CUTOFF_LEAST);
  }
  BM_TRY(potential->ops->create(deck_case, &potential->self, &potential->traits));
  potential->beta = potential->traits.beta > 0.0 ? potential->traits.beta
                                                 : bm_deck_real(deck_case, "system.beta");
  return BM_OK;
}

bm_status_t bm_potential_create(const bm_deck_case_t *deck_case, bm_potential_t **out)
{
  const bm_potential_ops_t *ops = find(bm_deck_string(deck_case, "system.kind"));
  assert(ops != NULL);
  BM_TRY(BM_ALLOC(1, out));
  (*out)->ops = ops;
  bm_status_t status = read_deck(deck_case, *out);
  if (status != BM_OK) {
    bm_potential_destroy(out);
  }
  return status;
}

void bm_potential_destroy(bm_potential_t **potential)
{
  if (*potential != NULL && (*potential)->ops->destroy != NULL) {
    (*potential)->ops->destroy(&(*potential)->self);
  }
  bm_free(*potential);
  *potential = NULL;
}

bm_status_t bm_potential_derive(const bm_potential_ops_t *ops, const void *self,
                                const bm_traits_t *traits, bm_potential_t **out)
{
  assert(ops->destroy == NULL);
  BM_TRY(BM_ALLOC(1, out));
  **out =
      (bm_potential_t){.ops = ops, .self = (void *)self, .traits = *traits, .beta = traits->beta};
  return BM_OK;
}

int bm_potential_has_energy(const bm_potential_t *potential)
{
  return potential->ops->energy != NULL;
}

size_t bm_potential_dimension(const bm_potential_t *potential)
{
  return potential->traits.layout.particles * potential->traits.layout.dimensions;
}

const bm_layout_t *bm_potential_layout(const bm_potential_t *potential)
{
  return &potential->traits.layout;
}

const bm_traits_t *bm_potential_traits(const bm_potential_t *potential)
{
  return &potential->traits;
}

double bm_potential_beta(const bm_potential_t *potential)
{
  return potential->beta;
}

const bm_potential_ops_t *bm_potential_ops(const bm_potential_t *potential)
{
  return potential->ops;
}

void bm_potential_energy(const bm_potential_t *potential, size_t n, const double *x /* [n][d] */,
                         double *energy /* [n] */, double *gradient /* [n][d] or NULL */)
{
  const size_t d = bm_potential_dimension(potential);
  potential->ops->energy(potential->self, n, x, energy, gradient);
  if (potential->energy_cutoff > 0.0) {
    bm_cutoff_apply(potential->energy_cutoff, n, d, energy, gradient);
  }
  for (size_t i = 0; gradient != NULL && i < n; i++) {
    if (!isfinite(energy[i])) {
      memset(gradient + i * d, 0, d * sizeof *gradient);
    }
  }
}

void bm_potential_observe(const bm_potential_t *potential, size_t n, const double *x /* [n][d] */,
                          double *values /* [observable_count][n] */)
{
  if (potential->traits.observable_count > 0) {
    potential->ops->observe(potential->self, n, x, values);
  }
}

void bm_potential_average(const bm_potential_t *potential, size_t n, const double *x /* [n][d] */,
                          double *values /* [average_count][n] */)
{
  if (potential->traits.average_count > 0) {
    potential->ops->average(potential->self, n, x, values);
  }
}

size_t bm_potential_term_count(const bm_potential_t *potential)
{
  size_t count = 0;
  while (potential->ops->term_names != NULL && potential->ops->term_names[count] != NULL) {
    count++;
  }
  return count;
}

void bm_potential_terms(const bm_potential_t *potential, size_t n, const double *x /* [n][d] */,
                        double *values /* [n][terms] */)
{
  if (potential->ops->terms != NULL) {
    potential->ops->terms(potential->self, n, x, values);
  }
}

void bm_potential_start(const bm_potential_t *potential, bm_random_t random, uint32_t stream,
                        double *x /* [d] */)
{
  potential->ops->start(potential->self, random, stream, x);
}

size_t bm_potential_involution_count(const bm_potential_t *potential)
{
  return potential->ops->involution_count;
}

void bm_potential_involution(const bm_potential_t *potential, size_t k, double *x /* [d] */)
{
  assert(k < potential->ops->involution_count);
  potential->ops->involution(potential->self, k, x);
}

size_t bm_potential_symmetry_count(const bm_potential_t *potential)
{
  const size_t count = potential->traits.symmetry_count;
  return count > 0 ? count : 1;
}

void bm_potential_symmetry(const bm_potential_t *potential, size_t element, double *x /* [d] */)
{
  assert(element < bm_potential_symmetry_count(potential));
  if (element > 0) {
    potential->ops->symmetry(potential->self, element, x);
  }
}
