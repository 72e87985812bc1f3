/* Overdamped Langevin dynamics dX = -∇U dt + sqrt(2/beta) dW by Euler-Maruyama. There is no accept
 * step: what it samples is off by an error of first order in the step size (for a coordinate of
 * stiffness k the variance is too large by the factor 1/(1 - h·k/2)). The step size is the time
 * step h; it is not adapted. Only a step to where the energy is not finite is refused. */

#include <math.h>

#include "boltzmap/sample/sampler.h"

static size_t step_all(bm_walkers_t *walkers, const bm_move_t *move, uint64_t step)
{
  const double h = move->step_size;
  const double spread = sqrt(2.0 * h / bm_potential_beta(walkers->potential));
  size_t taken = 0;
  bm_walkers_draw_noise(walkers, step);
  for (size_t k = 0; k < walkers->count * walkers->d; k++) {
    walkers->proposal[k] = walkers->x[k] - h * walkers->gradient[k] + spread * walkers->noise[k];
  }
  bm_walkers_evaluate_proposal(walkers);
  for (size_t i = 0; i < walkers->count; i++) {
    if (isfinite(walkers->proposal_energy[i]) || !isfinite(walkers->energy[i])) {
      bm_walkers_take(walkers, i);
      taken++;
    }
  }
  return taken;
}

const bm_sampler_ops_t bm_sampler_langevin = {
    .name = "langevin",
    .description = "overdamped Langevin by Euler-Maruyama; has a time-step error",
    .uses_gradient = 1,
    .default_step_size = 1e-3,
    .step = step_all,
};
