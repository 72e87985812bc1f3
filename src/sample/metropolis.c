/* Random-walk Metropolis: a normal displacement of all coordinates at once, accepted with
 * min(1, exp(-beta·ΔU)). The step size is the standard deviation of a coordinate's displacement. */

#include "boltzmap/sample/sampler.h"

static size_t step_all(bm_walkers_t *walkers, const bm_move_t *move, uint64_t step)
{
  bm_walkers_draw_noise(walkers, step);
  for (size_t i = 0; i < walkers->count * walkers->d; i++) {
    walkers->proposal[i] = walkers->x[i] + move->step_size * walkers->noise[i];
  }
  bm_walkers_evaluate_proposal(walkers);
  return bm_walkers_decide(walkers, NULL, step);
}

const bm_sampler_ops_t bm_sampler_metropolis = {
    .name = "metropolis",
    .description = "random-walk Metropolis; needs no gradients",
    .exact = 1,
    .target_acceptance = 0.3, /* between 0.44 in one dimension and 0.234 in many */
    .default_step_size = 0.2,
    .step = step_all,
};
