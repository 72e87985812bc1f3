#ifndef BOLTZMAP_SAMPLE_SAMPLER_H
#define BOLTZMAP_SAMPLE_SAMPLER_H

/* Reference samples of exp(-beta·U): many independent walkers, distributed over ranks, each with
 * its own counter-based random numbers, so that the same deck gives the same bits on any number of
 * ranks. A sampler is one file and one row of BM_SAMPLER_TABLE.
 *
 * Where the potential offers involutions, a share `jump_fraction` of the steps proposes one of them
 * (chosen uniformly by each walker) and accepts it with min(1, exp(-beta·ΔU)); this crosses between
 * wells and keeps detailed balance, since an involution is its own reverse and preserves volume.
 * Which steps are jumps, and how many leapfrog steps HMC makes, is drawn once for all walkers: the
 * draw does not look at any state, so given the draws the walkers stay independent chains, each
 * with stationary density exp(-beta·U). */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/random.h"
#include "boltzmap/base/status.h"
#include "boltzmap/io/deck.h"
#include "boltzmap/io/keeper.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/model/potential.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/sample/walkers.h"

/* Settings of the deck's `reference` group. */
typedef struct {
  const char *sampler;    /* name in bm_sampler_table */
  size_t walkers;         /* independent chains */
  size_t samples;         /* over all walkers; a multiple of walkers */
  double step_size;       /* first step size, > 0; its meaning is the sampler's */
  int adapt;              /* adapt the step size to target_acceptance (exact samplers) */
  double jump_fraction;   /* share of steps that propose an involution */
  int64_t burn_in;        /* steps; 0: from the measured autocorrelation */
  int64_t thinning;       /* steps between frames; 0: from the measured autocorrelation */
  int64_t leapfrog_steps; /* HMC: at most this many a step */

  /* of molecular dynamics, whose burn-in and thinning are whole frames */
  const char *precision;    /* "single", "double" */
  double timestep;          /* ps */
  double friction;          /* 1/ps */
  size_t temperatures;      /* of parallel tempering; 1: none */
  double temperature_max_K; /* the highest of them */
} bm_sampler_settings_t;

/* Size of a local move. */
typedef struct {
  double step_size;
  int64_t leapfrog_steps;
} bm_move_t;

/* What is asked of a sampler. */
typedef struct {
  const bm_context_t *context;
  const bm_potential_t *potential;
  const bm_sampler_settings_t *settings;
  uint64_t seed; /* decides everything */
  bm_log_t *log;
  const bm_keeper_t *keeper; /* of the run's state; NULL: nothing is kept */
} bm_sampler_request_t;

struct bm_sampler_report;

/* A sampler: a local move, or a way of its own to make frames. */
typedef struct {
  const char *name;
  const char *description;
  int uses_gradient;
  int exact;                /* has an accept step, so no time-step error */
  double target_acceptance; /* of the adaptation; 0 where there is none */
  double default_step_size;
  const bm_deck_key_t *keys; /* keys of `reference` only this sampler reads; NULL: none */
  /* One step of all walkers in place; gives the number of proposals taken. Random numbers are
   * counted by walker and `step`. */
  size_t (*step)(bm_walkers_t *walkers, const bm_move_t *move, uint64_t step);

  /* Instead of `step`, the whole run, as bm_sampler_run. */
  bm_status_t (*run)(const bm_sampler_request_t *request, bm_samples_t **samples,
                     struct bm_sampler_report *report);
} bm_sampler_ops_t;

#define BM_STEPS_MOST 1e14 /* of a run; random numbers count them with 48 bits */

/* All samplers: bm_sampler_<row> is defined in a file of its own. */
#define BM_SAMPLER_TABLE(X)             \
  X(metropolis, "metropolis")           \
  X(mala, "mala")                       \
  X(langevin, "langevin")               \
  X(hmc, "hmc")                         \
  X(langevin_middle, "langevin-middle") \
  X(tempering, "tempering")

#define BM_SAMPLER_ROW(row, name) extern const bm_sampler_ops_t bm_sampler_##row;
BM_SAMPLER_TABLE(BM_SAMPLER_ROW)
#undef BM_SAMPLER_ROW

extern const bm_sampler_ops_t *const bm_sampler_table[]; /* ended by NULL */
extern const char *const bm_sampler_names[];             /* for the deck: table names and "file" */
extern const bm_deck_key_t bm_sampler_keys[];            /* keys of `reference` */

/* The row of this name; NULL where there is none ("file"). */
const bm_sampler_ops_t *bm_sampler_find(const char *name);

/* Moves proposed and taken. */
typedef struct {
  int64_t local, local_taken;
  int64_t jumps, jumps_taken;
} bm_sampler_counts_t;

/* What happened. Rates are over all walkers after burn-in. */
typedef struct bm_sampler_report {
  double acceptance;            /* of local moves; NaN where none were proposed */
  double jump_acceptance;       /* of involutions; NaN where none were proposed */
  double step_size;             /* after adaptation */
  int64_t burn_in, thinning;    /* steps, as used */
  double autocorrelation_steps; /* largest integrated autocorrelation time over coordinates,
                                   observables and energy, in steps; NaN where not measured, +inf
                                   where there was none to see */

  /* of molecular dynamics, else NaN */
  double temperature_K, temperature_error_K; /* mean kinetic temperature, error between walkers */
  double exchange_acceptance; /* of parallel tempering: the least of all neighbours */
  double round_trips;         /* of replicas, lowest to highest temperature and back */
  double simulated_ns;        /* of all replicas, burn-in included */
  double frame_ps;            /* time between frames */
} bm_sampler_report_t;

/* Read the settings; BM_ERR_DATA where samples is not a multiple of walkers, naming the nearest
 * whole numbers, and so on. The deck's sampler must not be "file". Strings belong to the deck. */
bm_status_t bm_sampler_settings(const bm_deck_case_t *deck_case, bm_sampler_settings_t *settings);

/* Does the sampler of a case suit its potential? BM_ERR_DATA. */
bm_status_t bm_sampler_check(const bm_deck_case_t *deck_case, const bm_potential_t *potential);

/* One step of the walkers of a rank: a jump or the local move `ops`, as the schedule has it for
 * `step`. */
void bm_sampler_step(const bm_sampler_ops_t *ops, const bm_sampler_settings_t *settings,
                     double step_size, bm_walkers_t *walkers, uint64_t step,
                     bm_sampler_counts_t *counts);

/* Make a reference set.
 *
 * First the step size is adapted, and what the settings leave open (burn_in, thinning) is found,
 * with a hundred walkers kept apart, whatever the number asked for (sample/tune.h): the step size
 * is adapted to their acceptance and kept from then on; then pilot runs (sample/pilot.h), each
 * twice as long as the one before, until one is longer than 20 of its own autocorrelation times
 * with R-hat below 1.01 for all quantities. Burn-in by itself is 20 of these times, at least 500
 * steps; thinning by itself is twice the time, rounded up. Where no pilot gets there, the log warns
 * and names the quantity, and the time used is at most a twentieth of the longest pilot.
 *
 * Then each walker starts: samplers that use gradients first make some random-walk Metropolis
 * steps, which come out of any start (not counted as burn-in); burn-in; frames, one at the end of
 * each `thinning` steps.
 *
 * Stops with BM_STOPPED on request; BM_ERR_DATA where a walker has no finite energy after burn-in.
 * The caller owns `*samples`; NULL on failure. Collective.
 *
 * Molecular dynamics (sample/molecular.h) does none of this: its burn-in and its time between frames
 * are what the settings say. */
bm_status_t bm_sampler_run(const bm_sampler_request_t *request, bm_samples_t **samples,
                           bm_sampler_report_t *report);

/* One walker of overdamped Langevin dynamics dX = -∇U dt + sqrt(2/beta) dW by Euler-Maruyama, with
 * no jumps: a real trajectory, for pictures of its dynamics. The first frame is where some
 * Metropolis steps from the potential's start have led; frames are `stride` steps apart.
 * BM_ERR_DATA where the start has no finite energy; BM_STOPPED soon after a stop request on this
 * rank. Not collective. */
bm_status_t bm_sampler_trajectory(const bm_potential_t *potential, uint64_t seed, double time_step,
                                  size_t frames, size_t stride, double *x /* [frames][d] */);

#endif
