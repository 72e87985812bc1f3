#ifndef BOLTZMAP_SAMPLE_TUNE_H
#define BOLTZMAP_SAMPLE_TUNE_H

/* What a sampler needs to know before it makes frames: step size, burn-in and thinning. They are
 * found with a fixed number of walkers of their own, whose random numbers nobody else uses, so that
 * the cost does not grow with the walkers asked for and the frames do not depend on what was looked
 * at. */

#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/model/potential.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/sample/sampler.h"

#define BM_STEPS_BETWEEN_POLLS 256 /* for stop requests, which all ranks have to agree on */

typedef struct {
  double step_size;
  int64_t burn_in, thinning;    /* steps, ≥ 1 */
  double autocorrelation_steps; /* of the slowest quantity; NaN where not measured */
} bm_sampler_plan_t;

/* Random-walk Metropolis steps that bring walkers from any start to where gradients are tame, for
 * samplers that use gradients; none for others. `*step` counts on. */
void bm_sampler_escape(const bm_sampler_ops_t *ops, bm_walkers_t *walkers, uint64_t *step);

/* Fill the plan: what the settings fix is kept, the rest is found as described at bm_sampler_run.
 * BM_STOPPED on request. Collective; the same bits on any number of ranks. */
bm_status_t bm_sampler_tune(const bm_context_t *context, const bm_potential_t *potential,
                            const bm_sampler_settings_t *settings, uint64_t seed, bm_log_t *log,
                            bm_sampler_plan_t *plan);

#endif
