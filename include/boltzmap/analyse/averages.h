#ifndef BOLTZMAP_ANALYSE_AVERAGES_H
#define BOLTZMAP_ANALYSE_AVERAGES_H

/* Averages and extremes of a potential's functions over sets of configurations, and the diagnostics of
 * the walkers that made them. Metrics are put into the results on rank 0; `set` is the end of their
 * names: "mean_r_" + "reference". */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/analyse/results.h"
#include "boltzmap/base/status.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/model/potential.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/transport/map.h"

/* Averages with the standard error of the walkers' means (one walker: none), and the smallest value of
 * each observable. Collective. */
bm_status_t bm_averages_of_walkers(const bm_context_t *context, const bm_potential_t *potential,
                                   const bm_samples_t *samples, const char *set,
                                   bm_results_t *results);

/* Rank-normalised split R-hat, bulk and tail effective size over all quantities
 * (sample/quantities.h):
 * rhat_max, ess_min, ess_tail_min. Needs at least four frames a walker; else nothing is added and
 * `*rhat` is NaN. `*rhat` is set on all ranks. Collective. */
bm_status_t bm_averages_diagnose(const bm_context_t *context, const bm_potential_t *potential,
                                 const bm_samples_t *samples, bm_results_t *results, double *rhat);

/* Averages over fresh samples of a map, which are independent, and what their importance weights make
 * of them. */
typedef struct {
  const bm_potential_t *potential; /* whose functions are averaged */
  const bm_potential_t *target;    /* density that the weights aim at; NULL: no weights */
  const double *least; /* [observables] smallest values of the reference; the share of samples below
                          is reported; NULL: not */
  uint64_t seed;       /* of the generator's stream */
  size_t n;            /* samples */
} bm_map_averages_t;

/* Puts NAME_generated, fraction_below_min_OBSERVABLE_reference and, with weights, NAME_reweighted,
 * importance_ess, importance_ess_clipped, importance_clipped_share and log_z_weights. Collective; the
 * same bits on any number of ranks. */
bm_status_t bm_averages_of_map(const bm_context_t *context, bm_map_t *map,
                               const bm_map_averages_t *what, bm_log_t *log, bm_results_t *results);

#endif
