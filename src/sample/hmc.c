/* Hamiltonian Monte Carlo (Duane, Kennedy, Pendleton, Roweth, Physics Letters B 195, 216 (1987))
 * with the masses of a molecule's atoms, or unit masses: velocities from exp(-beta·sum of m·v²/2),
 * leapfrog steps, accepted with min(1, exp(-beta·ΔH)). The step size is that of the leapfrog (ps for a
 * molecule). Their number is drawn uniformly from 1 to
 * leapfrog_steps at each step, so that no trajectory length is in tune with a period. */

#include <math.h>
#include <string.h>

#include "boltzmap/sample/sampler.h"

#define BM_LENGTH_STREAM UINT32_MAX /* no walker has this number */

static const bm_deck_key_t keys[] = {
    {"reference.leapfrog_steps", BM_DECK_INT, "10", 1, 100000, NULL, "reference.sampler=hmc",
     "most leapfrog steps of a trajectory"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

/* target += factor·source, [count]. */
static void add(size_t count, double factor, const double *source, double *target)
{
  for (size_t k = 0; k < count; k++) {
    target[k] += factor * source[k];
  }
}

/* v -= factor·gradient/m, [count][d]. */
static void kick(const bm_walkers_t *walkers, double factor, const double *gradient, double *v)
{
  for (size_t k = 0; k < walkers->count * walkers->d; k++) {
    v[k] -= factor * gradient[k] / bm_walkers_mass(walkers, k);
  }
}

/* correction[i] += factor·sum of m·v_i²/2 */
static void add_kinetic(bm_walkers_t *walkers, double factor)
{
  for (size_t i = 0; i < walkers->count; i++) {
    double sum = 0.0;
    for (size_t k = i * walkers->d; k < (i + 1) * walkers->d; k++) {
      sum += bm_walkers_mass(walkers, k) * walkers->noise[k] * walkers->noise[k];
    }
    walkers->correction[i] += factor * 0.5 * sum;
  }
}

static size_t step_all(bm_walkers_t *walkers, const bm_move_t *move, uint64_t step)
{
  const size_t items = walkers->count * walkers->d;
  const double h = move->step_size;
  const double beta = bm_potential_beta(walkers->potential);
  const uint64_t length =
      1 + bm_random_below(walkers->move, BM_LENGTH_STREAM, step, 0, (uint64_t)move->leapfrog_steps);
  double *v = walkers->noise;
  bm_walkers_draw_noise(walkers, step);
  for (size_t k = 0; k < items; k++) {
    v[k] /= sqrt(beta * bm_walkers_mass(walkers, k));
  }
  memset(walkers->correction, 0, walkers->count * sizeof(double));
  add_kinetic(walkers, beta);
  memcpy(walkers->proposal, walkers->x, items * sizeof(double));
  kick(walkers, 0.5 * h, walkers->gradient, v);
  for (uint64_t leap = 0; leap < length; leap++) {
    add(items, h, v, walkers->proposal);
    bm_walkers_evaluate_proposal(walkers);
    kick(walkers, leap + 1 < length ? h : 0.5 * h, walkers->proposal_gradient, v);
  }
  add_kinetic(walkers, -beta);
  return bm_walkers_decide(walkers, walkers->correction, step);
}

const bm_sampler_ops_t bm_sampler_hmc = {
    .name = "hmc",
    .description = "Hamiltonian Monte Carlo with leapfrog steps",
    .uses_gradient = 1,
    .exact = 1,
    .target_acceptance = 0.8,
    .default_step_size = 0.1,
    .keys = keys,
    .step = step_all,
};
