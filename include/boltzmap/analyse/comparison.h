#ifndef BOLTZMAP_ANALYSE_COMPARISON_H
#define BOLTZMAP_ANALYSE_COMPARISON_H

/* How far one set of configurations is from another: 1-D W2 of each observable of the potential,
 * sliced and exact W2 of the configurations, each with a standard error; and their floor, what
 * independent sets of the same sizes have between them. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/analyse/results.h"
#include "boltzmap/base/status.h"
#include "boltzmap/model/potential.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/transport/distance.h"

typedef struct {
  size_t subsample;     /* points drawn from each set for all distances; 0: all */
  size_t projections;   /* of the sliced distance; 0: no sliced distance */
  int exact;            /* measure the exact distance? */
  size_t exact_points;  /* subsample for it; 0: all points of the smaller set */
  size_t exact_repeats; /* independent subsamples whose mean is taken; 1 where all points are */
  uint64_t seed;
} bm_comparison_settings_t;

typedef struct {
  const char *kind; /* observable's name, "sliced" or "exact"; static or the potential's */
  const char *unit;
  double value, error; /* one standard error; NaN: not known */
  double spread;       /* floor: standard deviation over the pairs */
  size_t points;       /* of each set; floor: number of pairs */
} bm_comparison_row_t;

/* Rows that a comparison has. */
size_t bm_comparison_count(const bm_potential_t *potential,
                           const bm_comparison_settings_t *settings);

/* Distances of b from a, both whole on every rank. Standard errors: of the exact distance over its
 * subsamples or, where there is one, from its potentials (transport/distance.h), of the others by the
 * jackknife (transport/jackknife.h). Collective. */
bm_status_t bm_comparison_measure(const bm_context_t *context, const bm_potential_t *potential,
                                  const bm_comparison_settings_t *settings, const bm_cloud_t *a,
                                  const bm_cloud_t *b, bm_log_t *log,
                                  bm_comparison_row_t *rows /* [count] */);

/* Mean, standard error and spread of the same distances over independent pairs. Collective. */
bm_status_t bm_comparison_floor(const bm_context_t *context, const bm_potential_t *potential,
                                const bm_comparison_settings_t *settings, size_t pairs,
                                const bm_cloud_t *a, const bm_cloud_t *b,
                                bm_comparison_row_t *rows /* [count] */);

/* Put rows into the results as w2_KIND + suffix, floors as w2_KIND + suffix + "_floor". */
bm_status_t bm_comparison_put(const bm_comparison_row_t *rows, size_t count, const char *suffix,
                              bm_results_t *results);
bm_status_t bm_comparison_put_floor(const bm_comparison_row_t *rows, size_t count,
                                    const char *suffix, bm_results_t *results);

#endif
