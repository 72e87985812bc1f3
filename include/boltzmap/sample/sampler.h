#ifndef BOLTZMAP_SAMPLE_SAMPLER_H
#define BOLTZMAP_SAMPLE_SAMPLER_H

/* Reference samples of exp(-beta·U): many independent walkers, distributed over ranks, each with its
 * own counter-based random numbers, so that the same deck gives the same bits on any number of
 * ranks. A sampler is one file and one row of bm_sampler_table.
 *
 * Where the potential offers involutions, a share `jump_fraction` of the steps proposes one of them
 * (chosen uniformly) and accepts it with min(1, exp(-beta·ΔU)); this crosses between wells and
 * keeps detailed balance, since an involution is its own reverse and preserves volume. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/random.h"
#include "boltzmap/base/status.h"
#include "boltzmap/io/deck.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/model/potential.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/log.h"

/* Settings of the deck's `reference` group. */
typedef struct {
  const char *sampler;   /* name in bm_sampler_table */
  size_t walkers;        /* independent chains */
  size_t samples;        /* over all walkers; a multiple of walkers */
  double step_size;      /* first step size; adapted in burn-in unless adapt is 0 */
  int adapt;             /* adapt the step size in burn-in to target_acceptance (exact samplers) */
  double jump_fraction;  /* share of steps that propose an involution */
  int64_t burn_in;       /* steps; 0: from the measured autocorrelation */
  int64_t thinning;      /* steps between frames; 0: from the measured autocorrelation */
  int64_t leapfrog_steps; /* HMC */
} bm_sampler_settings_t;

/* One walker's place and what samplers keep with it. */
typedef struct {
  double *x;        /* [d] */
  double *gradient; /* [d], of U at x, valid for samplers with uses_gradient */
  double energy;    /* U(x) */
} bm_walker_t;

/* The local move of a sampler. */
typedef struct {
  const char *name;
  const char *description;
  int uses_gradient;
  int exact;                /* has an accept step, so no time-step error */
  double target_acceptance; /* of the adaptation; 0 where there is none */
  double default_step_size;
  const bm_deck_key_t *keys; /* keys of `reference` only this sampler reads; NULL: none */
  /* One step of one walker in place; gives 1 where the proposal was accepted. `scratch` has room
   * for 4·d doubles. Random numbers come from the two generators with (walker, step). */
  int (*step)(const bm_potential_t *potential, const bm_sampler_settings_t *settings,
              double step_size, bm_random_t move, bm_random_t accept, uint32_t walker,
              uint64_t step, bm_walker_t *state, double *scratch /* [4·d] */);
} bm_sampler_ops_t;

extern const bm_sampler_ops_t *const bm_sampler_table[]; /* ended by NULL */
extern const char *const bm_sampler_names[];             /* for the deck: table names and "file" */
extern const bm_deck_key_t bm_sampler_keys[];            /* keys of `reference` */

/* What happened. Rates are over all walkers after burn-in. */
typedef struct {
  double acceptance;      /* of local moves */
  double jump_acceptance; /* of involutions; NaN where none were proposed */
  double step_size;
  int64_t burn_in, thinning; /* steps, as used */
  double autocorrelation_steps; /* largest integrated autocorrelation time over coordinates,
                                   observables and energy, in steps */
} bm_sampler_report_t;

/* Read the settings; BM_ERR_DATA where samples is not a multiple of walkers, naming the nearest
 * whole numbers, and so on. */
bm_status_t bm_sampler_settings(const bm_deck_case_t *deck_case, bm_sampler_settings_t *settings);

/* Make a reference set. `seed` decides everything. Stops with BM_STOPPED on request. The caller owns
 * `*samples`. Collective. */
bm_status_t bm_sampler_run(const bm_context_t *context, const bm_potential_t *potential,
                           const bm_sampler_settings_t *settings, uint64_t seed, bm_log_t *log,
                           bm_samples_t **samples, bm_sampler_report_t *report);

/* One walker of overdamped Langevin dynamics dX = -∇U dt + sqrt(2/beta) dW by Euler-Maruyama, with no
 * jumps: a real trajectory, for pictures of its dynamics. Not collective. */
void bm_sampler_trajectory(const bm_potential_t *potential, uint64_t seed, double time_step,
                           size_t frames, size_t stride, double *x /* [frames][d] */);

#endif
