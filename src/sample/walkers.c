#include "boltzmap/sample/walkers.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/model/molecule.h"

/* Cut the block into the arrays of the walkers. */
static void place_arrays(bm_walkers_t *walkers)
{
  const size_t rows = walkers->count;
  const size_t items = walkers->count * walkers->d;
  double *next = walkers->memory;
  walkers->x = next;
  walkers->proposal = (next += items);
  walkers->noise = (next += items);
  walkers->energy = (next += items);
  walkers->proposal_energy = (next += rows);
  walkers->correction = (next += rows);
  if (walkers->uses_gradient) {
    walkers->gradient = (next += rows);
    walkers->proposal_gradient = next + items;
  }
}

bm_status_t bm_walkers_create(const bm_potential_t *potential, uint64_t seed, uint32_t first,
                              size_t count, int uses_gradient, bm_walkers_t **out)
{
  bm_walkers_t *walkers;
  *out = NULL;
  BM_TRY(BM_ALLOC(1, &walkers));
  walkers->potential = potential;
  walkers->move = bm_random(seed, BM_PURPOSE_SAMPLER_MOVE);
  walkers->accept = bm_random(seed, BM_PURPOSE_SAMPLER_ACCEPT);
  walkers->first = first;
  walkers->count = count;
  walkers->d = bm_potential_dimension(potential);
  walkers->uses_gradient = uses_gradient;
  const bm_molecule_t *molecule = bm_potential_traits(potential)->molecule;
  walkers->mass = molecule == NULL ? NULL : molecule->topology->mass;
  bm_status_t status = BM_ALLOC(
      count * (3 * (walkers->d + 1) + (uses_gradient ? 2 * walkers->d : 0)), &walkers->memory);
  if (status != BM_OK) {
    bm_free(walkers);
    return status;
  }
  place_arrays(walkers);
  bm_random_t start = bm_random(seed, BM_PURPOSE_SAMPLER_START);
  for (size_t i = 0; i < count; i++) {
    bm_potential_start(potential, start, first + (uint32_t)i, walkers->x + i * walkers->d);
  }
  bm_walkers_evaluate(walkers);
  *out = walkers;
  return BM_OK;
}

void bm_walkers_destroy(bm_walkers_t **walkers)
{
  if (*walkers != NULL) {
    bm_free((*walkers)->memory);
  }
  bm_free(*walkers);
  *walkers = NULL;
}

double bm_walkers_mass(const bm_walkers_t *walkers, size_t k)
{
  return walkers->mass == NULL ? 1.0 : walkers->mass[k % walkers->d / 3];
}

void bm_walkers_draw_noise(bm_walkers_t *walkers, uint64_t step)
{
  for (size_t i = 0; i < walkers->count; i++) {
    bm_random_normals(walkers->move, walkers->first + (uint32_t)i, step, 0, walkers->d,
                      walkers->noise + i * walkers->d);
  }
}

void bm_walkers_evaluate(bm_walkers_t *walkers)
{
  bm_potential_energy(walkers->potential, walkers->count, walkers->x, walkers->energy,
                      walkers->gradient);
}

void bm_walkers_evaluate_proposal(bm_walkers_t *walkers)
{
  bm_potential_energy(walkers->potential, walkers->count, walkers->proposal,
                      walkers->proposal_energy, walkers->proposal_gradient);
}

void bm_walkers_take(bm_walkers_t *walkers, size_t i)
{
  const size_t d = walkers->d;
  memcpy(walkers->x + i * d, walkers->proposal + i * d, d * sizeof(double));
  walkers->energy[i] = walkers->proposal_energy[i];
  if (walkers->uses_gradient) {
    memcpy(walkers->gradient + i * d, walkers->proposal_gradient + i * d, d * sizeof(double));
  }
}

static int accepted(double energy, double proposed, double log_ratio, double uniform)
{
  if (!isfinite(energy)) {
    return !isnan(proposed);
  }
  /* A NaN in the ratio makes the comparison false: refused. */
  return isfinite(proposed) && log(uniform) < log_ratio;
}

size_t bm_walkers_decide(bm_walkers_t *walkers, const double *correction /* [count] */,
                         uint64_t step)
{
  const double beta = bm_potential_beta(walkers->potential);
  size_t taken = 0;
  for (size_t i = 0; i < walkers->count; i++) {
    double uniform[2];
    bm_random_uniform2(walkers->accept, walkers->first + (uint32_t)i, step, 0, uniform);
    double log_ratio = beta * (walkers->energy[i] - walkers->proposal_energy[i]) +
                       (correction != NULL ? correction[i] : 0.0);
    if (accepted(walkers->energy[i], walkers->proposal_energy[i], log_ratio, uniform[0])) {
      bm_walkers_take(walkers, i);
      taken++;
    }
  }
  return taken;
}

size_t bm_walkers_jump(bm_walkers_t *walkers, uint64_t step)
{
  const size_t kinds = bm_potential_involution_count(walkers->potential);
  assert(kinds > 0);
  memcpy(walkers->proposal, walkers->x, walkers->count * walkers->d * sizeof(double));
  for (size_t i = 0; i < walkers->count; i++) {
    size_t kind =
        (size_t)bm_random_below(walkers->accept, walkers->first + (uint32_t)i, step, 1, kinds);
    bm_potential_involution(walkers->potential, kind, walkers->proposal + i * walkers->d);
  }
  bm_walkers_evaluate_proposal(walkers);
  return bm_walkers_decide(walkers, NULL, step);
}

bm_status_t bm_walkers_check(const bm_walkers_t *walkers, uint64_t step)
{
  for (size_t i = 0; i < walkers->count; i++) {
    int finite = isfinite(walkers->energy[i]);
    for (size_t k = 0; finite && k < walkers->d; k++) {
      finite = isfinite(walkers->x[i * walkers->d + k]);
    }
    if (!finite) {
      return BM_FAIL(BM_ERR_DATA,
                     "walker %zu has no finite energy after %llu steps (U = %g): its starting "
                     "point or the step size does not suit the potential",
                     (size_t)walkers->first + i, (unsigned long long)step, walkers->energy[i]);
    }
  }
  return BM_OK;
}
