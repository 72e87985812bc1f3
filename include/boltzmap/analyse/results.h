#ifndef BOLTZMAP_ANALYSE_RESULTS_H
#define BOLTZMAP_ANALYSE_RESULTS_H

/* Named results of one case: metrics (functions of the deck alone, the same bits between equal runs)
 * and timings (what depends on the clock). Kept as JSON in the layout of results.json. */

#include <stddef.h>

#include "boltzmap/base/json.h"
#include "boltzmap/base/status.h"

typedef struct bm_results bm_results_t;

bm_status_t bm_results_create(bm_results_t **out);
void bm_results_destroy(bm_results_t **results);

/* A metric: value with one standard error (NaN: none) from n items. Non-finite numbers become null. */
bm_status_t bm_results_metric(bm_results_t *results, const char *name, double value, double error,
                              const char *unit, size_t n);

/* A floor: mean over `pairs` pairs, its standard error, and the spread over the pairs. */
bm_status_t bm_results_floor(bm_results_t *results, const char *name, double mean, double spread,
                             const char *unit, size_t pairs);

bm_status_t bm_results_timing(bm_results_t *results, const char *name, double value,
                              const char *unit);

/* Value of a metric; NaN where there is none. */
double bm_results_value(const bm_results_t *results, const char *name);

/* The objects "metrics" and "timings", owned by the results. */
const bm_json_t *bm_results_metrics(const bm_results_t *results);
const bm_json_t *bm_results_timings(const bm_results_t *results);

/* All results as text, owned by the caller, and such text added to results. BM_ERR_DATA, BM_ERR_MEMORY. */
bm_status_t bm_results_print(const bm_results_t *results, char **text);
bm_status_t bm_results_parse(bm_results_t *results, const char *text);

/* Take over all entries of two JSON objects in that layout, later ones replacing earlier ones. */
bm_status_t bm_results_merge(bm_results_t *results, const bm_json_t *metrics,
                             const bm_json_t *timings);

#endif
