#include "boltzmap/sample/tune.h"

#include <math.h>

#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/partition.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/sample/diagnostics.h"
#include "boltzmap/sample/pilot.h"

#define BM_TUNE_REPLICA ((UINT64_C(1) << 48) - 1) /* no replica of a run has this number */
#define BM_TUNE_WALKERS 100

#define BM_ESCAPE_STEPS 128
#define BM_ESCAPE_SIZES 8 /* each half of the one before */

#define BM_BATCH_STEPS 10    /* local moves between changes of the step size */
#define BM_SEARCH_BATCHES 60 /* at most, by factors of two */
#define BM_ADAPT_BATCHES 60  /* by Robbins and Monro; the second half is averaged */

#define BM_PILOT_DRAWS 256
#define BM_PILOT_FIRST_STRIDE 2
#define BM_PILOT_LAST_STRIDE 512
#define BM_PILOT_TIMES 20    /* autocorrelation times that a pilot has to last */
#define BM_BURN_IN_TIMES 20  /* and a burn-in */
#define BM_BURN_IN_LEAST 500 /* steps */
#define BM_THINNING_TIMES 2.0

/* A run of walkers on the way to a plan. */
typedef struct {
  const bm_context_t *context;
  const bm_sampler_ops_t *ops;
  const bm_sampler_settings_t *settings;
  bm_log_t *log;
  bm_walkers_t *walkers;
  uint64_t step;
  double step_size;
} tuning_t;

void bm_sampler_escape(const bm_sampler_ops_t *ops, bm_walkers_t *walkers, uint64_t *step)
{
  if (!ops->uses_gradient) {
    return;
  }
  for (int i = 0; i < BM_ESCAPE_STEPS; i++) {
    /* One size out of the ladder suits, whatever the potential's scale. */
    bm_move_t move = {ldexp(2.0 * bm_sampler_metropolis.default_step_size, -(i % BM_ESCAPE_SIZES)),
                      1};
    bm_sampler_metropolis.step(walkers, &move, (*step)++);
  }
}

/* Acceptance over a batch of local moves of all walkers. Collective. */
static bm_status_t batch(tuning_t *tuning, double *acceptance)
{
  bm_move_t move = {tuning->step_size, tuning->settings->leapfrog_steps};
  int64_t taken = 0;
  for (int i = 0; i < BM_BATCH_STEPS; i++) {
    taken += (int64_t)tuning->ops->step(tuning->walkers, &move, tuning->step++);
  }
  BM_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &taken, 1, MPI_INT64_T, MPI_SUM, tuning->context->comm));
  *acceptance = (double)taken / (BM_BATCH_STEPS * (double)BM_TUNE_WALKERS);
  return bm_stop_check(tuning->context);
}

/* Double or halve the step size until the acceptance is on the other side of the target. */
static bm_status_t search(tuning_t *tuning)
{
  const double target = tuning->ops->target_acceptance;
  int direction = 0;
  for (int i = 0; i < BM_SEARCH_BATCHES; i++) {
    double acceptance;
    BM_TRY(batch(tuning, &acceptance));
    int wanted = acceptance > target ? 1 : -1;
    if (direction == -wanted) {
      break;
    }
    direction = wanted;
    tuning->step_size = ldexp(tuning->step_size, direction);
  }
  return BM_OK;
}

/* Adapt the step size to the target acceptance (Robbins, Monro, Annals of Mathematical Statistics
 * 22, 400 (1951), on its logarithm). */
static bm_status_t adapt(tuning_t *tuning)
{
  const int first_counted = BM_ADAPT_BATCHES / 2;
  double sum = 0.0;
  BM_TRY(search(tuning));
  double size = log(tuning->step_size);
  for (int i = 0; i < BM_ADAPT_BATCHES; i++) {
    double acceptance;
    BM_TRY(batch(tuning, &acceptance));
    size += (acceptance - tuning->ops->target_acceptance) / pow(1.0 + i, 0.6);
    tuning->step_size = exp(size);
    sum += i >= first_counted ? size : 0.0;
  }
  tuning->step_size = exp(sum / (BM_ADAPT_BATCHES - first_counted));
  return BM_OK;
}

/* The steps of a pilot run, with a record every `stride` of them. */
static bm_status_t fly(tuning_t *tuning, bm_pilot_t *pilot, int64_t stride)
{
  bm_sampler_counts_t counts = {0, 0, 0, 0};
  bm_pilot_clear(pilot);
  for (int64_t i = 1; i <= stride * BM_PILOT_DRAWS; i++) {
    bm_sampler_step(tuning->ops, tuning->settings, tuning->step_size, tuning->walkers,
                    tuning->step++, &counts);
    if (i % stride == 0) {
      bm_pilot_record(pilot, tuning->walkers);
    }
    if (i % BM_STEPS_BETWEEN_POLLS == 0) {
      BM_TRY(bm_stop_check(tuning->context));
      bm_log_progress(tuning->log, (double)i, NULL);
    }
  }
  return BM_OK;
}

static bm_status_t fly_and_judge(tuning_t *tuning, bm_pilot_t *pilot, int64_t stride,
                                 bm_pilot_verdict_t *verdict)
{
  bm_log_progress_start(tuning->log, "pilot run", (double)(stride * BM_PILOT_DRAWS), "steps");
  bm_status_t status = fly(tuning, pilot, stride);
  bm_log_progress_end(tuning->log);
  BM_TRY(status);
  return bm_pilot_judge(pilot, verdict);
}

static int satisfied(const bm_pilot_verdict_t *verdict)
{
  return verdict->autocorrelation * BM_PILOT_TIMES < BM_PILOT_DRAWS &&
         verdict->rhat < BM_RHAT_CONVERGED;
}

/* Pilot runs, each twice as long as the one before, until one is long enough. */
static bm_status_t measure(tuning_t *tuning, bm_pilot_t *pilot, bm_sampler_plan_t *plan)
{
  bm_pilot_verdict_t verdict = {INFINITY, INFINITY, ""};
  int64_t stride = BM_PILOT_FIRST_STRIDE;
  BM_TRY(fly_and_judge(tuning, pilot, stride, &verdict));
  while (!satisfied(&verdict) && stride < BM_PILOT_LAST_STRIDE) {
    stride *= 2;
    BM_TRY(fly_and_judge(tuning, pilot, stride, &verdict));
  }
  double longest = (double)(stride * BM_PILOT_DRAWS) / BM_PILOT_TIMES;
  double time = verdict.autocorrelation * (double)stride;
  plan->autocorrelation_steps = time;
  if (!satisfied(&verdict)) {
    bm_log_warn(tuning->log,
                "the walkers have not come to agree in %lld pilot steps (R-hat %.3f, "
                "autocorrelation time %.3g steps; look at: %s): do not trust these samples; "
                "give burn_in and thinning by hand, or use another sampler",
                (long long)stride * BM_PILOT_DRAWS, verdict.rhat, time, verdict.slowest);
    /* No burn-in or thinning from a time that was not seen to end. */
    time = time < longest ? time : longest;
  }
  int64_t burn_in = (int64_t)ceil(BM_BURN_IN_TIMES * time);
  burn_in = burn_in < BM_BURN_IN_LEAST ? BM_BURN_IN_LEAST : burn_in;
  plan->burn_in = plan->burn_in > 0 ? plan->burn_in : burn_in;
  plan->thinning = plan->thinning > 0 ? plan->thinning : (int64_t)ceil(BM_THINNING_TIMES * time);
  return BM_OK;
}

static bm_status_t tune_walkers(tuning_t *tuning, bm_pilot_t *pilot, int adapts,
                                bm_sampler_plan_t *plan)
{
  bm_sampler_escape(tuning->ops, tuning->walkers, &tuning->step);
  if (adapts) {
    BM_TRY(adapt(tuning));
    plan->step_size = tuning->step_size;
  }
  if (plan->burn_in == 0 || plan->thinning == 0) {
    BM_TRY(measure(tuning, pilot, plan));
  }
  return BM_OK;
}

bm_status_t bm_sampler_tune(const bm_context_t *context, const bm_potential_t *potential,
                            const bm_sampler_settings_t *settings, uint64_t seed, bm_log_t *log,
                            bm_sampler_plan_t *plan)
{
  const bm_sampler_ops_t *ops = bm_sampler_find(settings->sampler);
  const int adapts = settings->adapt && ops->target_acceptance > 0.0;
  *plan = (bm_sampler_plan_t){settings->step_size, settings->burn_in, settings->thinning, NAN};
  if (!adapts && plan->burn_in > 0 && plan->thinning > 0) {
    return BM_OK;
  }
  bm_range_t own = bm_partition(BM_TUNE_WALKERS, context->size, context->rank);
  tuning_t tuning = {context, ops, settings, log, NULL, 0, settings->step_size};
  bm_pilot_t *pilot = NULL;
  bm_status_t status =
      bm_walkers_create(potential, bm_random_derive_seed(seed, BM_TUNE_REPLICA),
                        (uint32_t)own.first, own.count, ops->uses_gradient, &tuning.walkers);
  if (status == BM_OK) {
    status = bm_pilot_create(context, BM_TUNE_WALKERS, BM_PILOT_DRAWS, potential, &pilot);
  }
  status = bm_agree(context, status);
  if (status == BM_OK) {
    status = tune_walkers(&tuning, pilot, adapts, plan);
  }
  bm_pilot_destroy(&pilot);
  bm_walkers_destroy(&tuning.walkers);
  return status;
}
