#include "boltzmap/sample/sampler.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "boltzmap/model/molecule.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/sample/markov.h"
#include "boltzmap/sample/tune.h"

#define BM_SCHEDULE_STREAM UINT32_MAX /* no walker has this number */
#define BM_SCHEDULE_SLOT 1            /* slot 0 is the length of HMC's trajectories */
#define BM_STEP_SAMPLER "reference.sampler=metropolis|mala|langevin|hmc"
#define BM_EXACT_SAMPLER "reference.sampler=metropolis|mala|hmc"
#define BM_MOLECULAR "reference.sampler=langevin-middle|tempering"
#define BM_TEMPERING "reference.sampler=tempering"
#define BM_ANY_SAMPLER "reference.sampler=metropolis|mala|langevin|hmc|langevin-middle|tempering"

const bm_sampler_ops_t *const bm_sampler_table[] = {
#define BM_SAMPLER_ROW(row, name) &bm_sampler_##row,
    BM_SAMPLER_TABLE(BM_SAMPLER_ROW)
#undef BM_SAMPLER_ROW
        NULL,
};

const char *const bm_sampler_names[] = {
#define BM_SAMPLER_ROW(row, name) name,
    BM_SAMPLER_TABLE(BM_SAMPLER_ROW)
#undef BM_SAMPLER_ROW
        "file",
    NULL,
};

static const char *const precisions[] = {"single", "double", NULL};

const bm_deck_key_t bm_sampler_keys[] = {
    {"reference.sampler", BM_DECK_STRING, "\"metropolis\"", 0, 0, bm_sampler_names, NULL,
     "how reference samples are made, or \"file\" to read them"},
    {"reference.file", BM_DECK_PATH, NULL, 0, 0, NULL, "reference.sampler=file",
     "sample set to read"},
    {"reference.walkers", BM_DECK_INT, "100", 1, 1e9, NULL, BM_ANY_SAMPLER,
     "independent Markov chains"},
    {"reference.samples", BM_DECK_INT, "12000", 1, 1e12, NULL, BM_ANY_SAMPLER,
     "samples of all walkers together; a multiple of walkers"},
    {"reference.step_size", BM_DECK_REAL, "0.0", 0, 1e12, NULL, BM_STEP_SAMPLER,
     "first step size (Metropolis: standard deviation; MALA, Langevin: time step; HMC: leapfrog "
     "step); 0: the sampler's own"},
    {"reference.adapt", BM_DECK_BOOL, "true", 0, 0, NULL, BM_EXACT_SAMPLER,
     "adapt the step size to the sampler's best acceptance before sampling"},
    {"reference.jump_fraction", BM_DECK_REAL, "0.2", 0, 0.9, NULL, BM_STEP_SAMPLER,
     "share of steps that propose a jump between wells, where the potential knows any"},
    {"reference.burn_in", BM_DECK_INT, "0", 0, 1e12, NULL, BM_STEP_SAMPLER,
     "steps before the first frame; 0: from the measured autocorrelation"},
    {"reference.thinning", BM_DECK_INT, "0", 0, 1e12, NULL, BM_STEP_SAMPLER,
     "steps between frames; 0: from the measured autocorrelation"},
    {"reference.timestep_fs", BM_DECK_REAL, "2.0", 1e-6, 100, NULL, BM_MOLECULAR,
     "time step, fs: 2 with constraints, 1 without"},
    {"reference.friction_per_ps", BM_DECK_REAL, "1.0", 1e-6, 1e6, NULL, BM_MOLECULAR,
     "friction of the thermostat, 1/ps"},
    {"reference.frame_ps", BM_DECK_REAL, "1.0", 1e-6, 1e9, NULL, BM_MOLECULAR,
     "time between frames, ps; with tempering an exchange is tried before each"},
    {"reference.burn_in_ps", BM_DECK_REAL, "100.0", 0, 1e12, NULL, BM_MOLECULAR,
     "time before the first frame's, ps"},
    {"reference.precision", BM_DECK_STRING, "\"single\"", 0, 0, precisions, BM_MOLECULAR,
     "arithmetic of the dynamics"},
    {"reference.temperatures", BM_DECK_INT, "6", 2, 1000, NULL, BM_TEMPERING,
     "temperatures of each walker's ladder, geometric from the system's to temperature_max_K"},
    {"reference.temperature_max_K", BM_DECK_REAL, "600.0", 1e-3, 1e6, NULL, BM_TEMPERING,
     "the highest temperature, K"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

const bm_sampler_ops_t *bm_sampler_find(const char *name)
{
  for (size_t i = 0; bm_sampler_table[i] != NULL; i++) {
    if (strcmp(bm_sampler_table[i]->name, name) == 0) {
      return bm_sampler_table[i];
    }
  }
  return NULL;
}

static bm_status_t check_samples(const bm_deck_case_t *deck_case, size_t samples, size_t walkers)
{
  size_t below = samples / walkers * walkers;
  if (below == samples) {
    return BM_OK;
  }
  if (below == 0) {
    return bm_deck_fail(deck_case, "reference.samples",
                        "fewer than the %zu walkers; each gives the same number of samples, so "
                        "the least is %zu",
                        walkers, walkers);
  }
  return bm_deck_fail(deck_case, "reference.samples",
                      "not a multiple of the %zu walkers; the nearest are %zu and %zu", walkers,
                      below, below + walkers);
}

/* Keys of samplers that take steps of their own kind. */
static void read_steps(const bm_deck_case_t *deck_case, const bm_sampler_ops_t *ops,
                       bm_sampler_settings_t *settings)
{
  settings->step_size = bm_deck_real(deck_case, "reference.step_size");
  settings->adapt =
      bm_deck_has(deck_case, "reference.adapt") && bm_deck_bool(deck_case, "reference.adapt");
  settings->jump_fraction = bm_deck_real(deck_case, "reference.jump_fraction");
  settings->burn_in = bm_deck_int(deck_case, "reference.burn_in");
  settings->thinning = bm_deck_int(deck_case, "reference.thinning");
  settings->leapfrog_steps = bm_deck_has(deck_case, "reference.leapfrog_steps")
                                 ? bm_deck_int(deck_case, "reference.leapfrog_steps")
                                 : 1;
  if (settings->step_size == 0.0) {
    settings->step_size = ops->default_step_size;
  }
}

/* Keys of molecular dynamics. Times become steps, which have to be whole. */
static bm_status_t read_times(const bm_deck_case_t *deck_case, bm_sampler_settings_t *settings)
{
  const double timestep = 1e-3 * bm_deck_real(deck_case, "reference.timestep_fs");
  const double frame = bm_deck_real(deck_case, "reference.frame_ps");
  const double burn_in = bm_deck_real(deck_case, "reference.burn_in_ps");
  const double steps = round(frame / timestep);
  if (steps < 1.0 || fabs(steps * timestep - frame) > 1e-9 * frame) {
    return bm_deck_fail(deck_case, "reference.frame_ps", "not a multiple of the time step of %g fs",
                        1000.0 * timestep);
  }
  if (burn_in / timestep > BM_STEPS_MOST) {
    return bm_deck_fail(deck_case, "reference.burn_in_ps", "more than %g steps", BM_STEPS_MOST);
  }
  settings->timestep = timestep;
  settings->thinning = (int64_t)steps;
  settings->burn_in = (int64_t)(ceil(burn_in / frame) * steps);
  settings->friction = bm_deck_real(deck_case, "reference.friction_per_ps");
  settings->precision = bm_deck_string(deck_case, "reference.precision");
  settings->temperatures = 1;
  if (bm_deck_has(deck_case, "reference.temperatures")) {
    settings->temperatures = (size_t)bm_deck_int(deck_case, "reference.temperatures");
    settings->temperature_max_K = bm_deck_real(deck_case, "reference.temperature_max_K");
  }
  return BM_OK;
}

bm_status_t bm_sampler_settings(const bm_deck_case_t *deck_case, bm_sampler_settings_t *settings)
{
  const char *name = bm_deck_string(deck_case, "reference.sampler");
  const bm_sampler_ops_t *ops = bm_sampler_find(name);
  assert(ops != NULL);
  *settings =
      (bm_sampler_settings_t){.sampler = name,
                              .walkers = (size_t)bm_deck_int(deck_case, "reference.walkers"),
                              .samples = (size_t)bm_deck_int(deck_case, "reference.samples")};
  if (ops->run == NULL) {
    read_steps(deck_case, ops, settings);
  } else {
    BM_TRY(read_times(deck_case, settings));
  }
  double frames = (double)settings->samples / (double)settings->walkers;
  if ((double)settings->burn_in + frames * (double)settings->thinning > BM_STEPS_MOST) {
    return bm_deck_fail(deck_case, "reference.samples", "more than %g steps in all", BM_STEPS_MOST);
  }
  return check_samples(deck_case, settings->samples, settings->walkers);
}

bm_status_t bm_sampler_check(const bm_deck_case_t *deck_case, const bm_potential_t *potential)
{
  const bm_sampler_ops_t *ops = bm_sampler_find(bm_deck_string(deck_case, "reference.sampler"));
  const bm_molecule_t *molecule = bm_potential_traits(potential)->molecule;
  if (ops == NULL) {
    return BM_OK; /* a file */
  }
  if (ops->run == NULL && molecule != NULL && molecule->constraints != NULL) {
    return bm_deck_fail(deck_case, "reference.sampler",
                        "cannot keep the system's constraints; langevin-middle and tempering can, "
                        "or use system.constraints = \"none\"");
  }
  if (ops->run != NULL && molecule == NULL) {
    return bm_deck_fail(deck_case, "reference.sampler",
                        "is for molecules (system.kind = \"amber\")");
  }
  if (ops->run != NULL && bm_deck_real(deck_case, "system.energy_cutoff") > 0.0) {
    return bm_deck_fail(deck_case, "system.energy_cutoff", "molecular dynamics knows no cut-off");
  }
  if (molecule != NULL && bm_deck_has(deck_case, "reference.temperature_max_K") &&
      bm_deck_real(deck_case, "reference.temperature_max_K") <= molecule->temperature_K) {
    return bm_deck_fail(deck_case, "reference.temperature_max_K",
                        "must be above the system's temperature of %g K", molecule->temperature_K);
  }
  return BM_OK;
}

void bm_sampler_step(const bm_sampler_ops_t *ops, const bm_sampler_settings_t *settings,
                     double step_size, bm_walkers_t *walkers, uint64_t step,
                     bm_sampler_counts_t *counts)
{
  double draw[2] = {1.0, 1.0};
  if (settings->jump_fraction > 0.0 && bm_potential_involution_count(walkers->potential) > 0) {
    bm_random_uniform2(walkers->move, BM_SCHEDULE_STREAM, step, BM_SCHEDULE_SLOT, draw);
  }
  if (draw[0] < settings->jump_fraction) {
    counts->jumps += (int64_t)walkers->count;
    counts->jumps_taken += (int64_t)bm_walkers_jump(walkers, step);
  } else {
    bm_move_t move = {step_size, settings->leapfrog_steps};
    counts->local += (int64_t)walkers->count;
    counts->local_taken += (int64_t)ops->step(walkers, &move, step);
  }
}

bm_status_t bm_sampler_run(const bm_sampler_request_t *request, bm_samples_t **samples,
                           bm_sampler_report_t *report)
{
  const bm_sampler_ops_t *ops = bm_sampler_find(request->settings->sampler);
  assert(ops != NULL && request->settings->samples % request->settings->walkers == 0);
  *samples = NULL;
  return ops->run != NULL ? ops->run(request, samples, report)
                          : bm_markov_run(request, samples, report);
}

static bm_status_t follow(bm_walkers_t *walker, double time_step, size_t frames, size_t stride,
                          double *x /* [frames][d] */)
{
  const bm_move_t move = {time_step, 1};
  uint64_t step = 0;
  bm_sampler_escape(&bm_sampler_langevin, walker, &step);
  BM_TRY(bm_walkers_check(walker, step));
  for (size_t frame = 0; frame < frames; frame++) {
    memcpy(x + frame * walker->d, walker->x, walker->d * sizeof *x);
    for (size_t i = 0; i < stride; i++) {
      bm_sampler_langevin.step(walker, &move, step++);
      if (step % BM_STEPS_BETWEEN_POLLS == 0) {
        BM_TRY(bm_stop_poll());
      }
    }
  }
  return BM_OK;
}

bm_status_t bm_sampler_trajectory(const bm_potential_t *potential, uint64_t seed, double time_step,
                                  size_t frames, size_t stride, double *x /* [frames][d] */)
{
  bm_walkers_t *walker;
  BM_TRY(bm_walkers_create(potential, seed, 0, 1, 1, &walker));
  bm_status_t status = follow(walker, time_step, frames, stride, x);
  bm_walkers_destroy(&walker);
  return status;
}
