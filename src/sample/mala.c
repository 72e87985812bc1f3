/* MALA (Roberts, Tweedie, Bernoulli 2, 341 (1996)): an Euler-Maruyama step of overdamped Langevin
 * dynamics as a proposal, y = x - h·∇U(x) + sqrt(2h/beta)·ξ, accepted by Metropolis-Hastings. The
 * step size is the time step h. */

#include <math.h>

#include "boltzmap/sample/sampler.h"

/* log q(x|y) - log q(y|x), where log q(y|x) = -beta·|y - x + h·∇U(x)|²/(4h). */
static double reverse_over_forward(const bm_walkers_t *walkers, size_t i, double h, double beta)
{
  const size_t d = walkers->d;
  double forward = 0.0;
  double reverse = 0.0;
  for (size_t k = i * d; k < (i + 1) * d; k++) {
    double back = walkers->x[k] - walkers->proposal[k] + h * walkers->proposal_gradient[k];
    forward += 0.5 * walkers->noise[k] * walkers->noise[k];
    reverse += 0.25 * beta / h * back * back;
  }
  return forward - reverse;
}

static size_t step_all(bm_walkers_t *walkers, const bm_move_t *move, uint64_t step)
{
  const double h = move->step_size;
  const double beta = bm_potential_beta(walkers->potential);
  const double spread = sqrt(2.0 * h / beta);
  bm_walkers_draw_noise(walkers, step);
  for (size_t k = 0; k < walkers->count * walkers->d; k++) {
    walkers->proposal[k] = walkers->x[k] - h * walkers->gradient[k] + spread * walkers->noise[k];
  }
  bm_walkers_evaluate_proposal(walkers);
  for (size_t i = 0; i < walkers->count; i++) {
    walkers->correction[i] = reverse_over_forward(walkers, i, h, beta);
  }
  return bm_walkers_decide(walkers, walkers->correction, step);
}

const bm_sampler_ops_t bm_sampler_mala = {
    .name = "mala",
    .description = "Metropolis-adjusted Langevin",
    .uses_gradient = 1,
    .exact = 1,
    .target_acceptance = 0.574,
    .default_step_size = 0.02,
    .step = step_all,
};
