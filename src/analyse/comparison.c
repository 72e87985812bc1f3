#include "boltzmap/analyse/comparison.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/tree.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/transport/jackknife.h"

/* What one row computes: a distance between clouds that are the sets themselves or one column made
 * of an observable. */
typedef struct {
  const char *kind, *unit;
  const bm_distance_ops_t *distance;
  bm_distance_settings_t settings;
  int observable; /* -1: the configurations */
} measure_t;

size_t bm_comparison_count(const bm_potential_t *potential,
                           const bm_comparison_settings_t *settings)
{
  return bm_potential_traits(potential)->observable_count + (settings->projections > 0) +
         (settings->exact != 0);
}

/* The exact distance pairs as many points of either set. */
static size_t exact_points(const bm_comparison_settings_t *settings, const bm_cloud_t *a,
                           const bm_cloud_t *b)
{
  const size_t smaller = a->n < b->n ? a->n : b->n;
  const size_t asked = settings->exact_points;
  return asked > 0 && asked < smaller ? asked : smaller;
}

/* Row `row` of a comparison of sets of the sizes of a and b. */
static measure_t measure_of(const bm_potential_t *potential,
                            const bm_comparison_settings_t *settings, size_t row,
                            const bm_cloud_t *a, const bm_cloud_t *b)
{
  const bm_traits_t *traits = bm_potential_traits(potential);
  measure_t measure = {.settings = {.subsample = settings->subsample,
                                    .repeats = 1,
                                    .projections = settings->projections,
                                    .seed = settings->seed},
                       .observable = -1,
                       .unit = bm_potential_layout(potential)->length_unit};
  if (row < traits->observable_count) {
    measure.kind = traits->observables[row].name;
    measure.unit = traits->observables[row].unit;
    measure.distance = bm_distance_find("marginal");
    measure.observable = (int)row;
  } else if (row == traits->observable_count && settings->projections > 0) {
    measure.kind = "sliced";
    measure.distance = bm_distance_find("sliced");
  } else {
    measure.kind = "exact";
    measure.distance = bm_distance_find("exact");
    measure.settings.subsample = exact_points(settings, a, b);
    measure.settings.repeats = settings->exact_repeats;
  }
  return measure;
}

/* The cloud that a row compares; `*column` is its own memory where it is made of an observable. */
static bm_status_t cloud_of(const bm_potential_t *potential, const measure_t *measure,
                            const bm_cloud_t *set, double **column, bm_cloud_t *out)
{
  *out = *set;
  *column = NULL;
  if (measure->observable < 0) {
    return BM_OK;
  }
  size_t count = bm_potential_traits(potential)->observable_count;
  BM_TRY(BM_ALLOC(count * set->n, column));
  bm_potential_observe(potential, set->n, set->x, *column);
  memmove(*column, *column + (size_t)measure->observable * set->n, set->n * sizeof **column);
  *out = (bm_cloud_t){set->n, 1, *column};
  return BM_OK;
}

static bm_status_t measure_clouds(const bm_context_t *context, const measure_t *measure,
                                  const bm_cloud_t *a, const bm_cloud_t *b,
                                  bm_comparison_row_t *row)
{
  bm_distance_result_t result;
  BM_TRY(measure->distance->compute(context, &measure->settings, a, b, &result));
  *row = (bm_comparison_row_t){.kind = measure->kind,
                               .unit = measure->unit,
                               .value = result.w2,
                               .error = result.error,
                               .spread = NAN,
                               .points = result.n};
  return strcmp(measure->kind, "exact") == 0
             ? BM_OK
             : bm_jackknife_error(context, measure->distance, &measure->settings, a, b,
                                  &row->error);
}

bm_status_t bm_comparison_measure(const bm_context_t *context, const bm_potential_t *potential,
                                  const bm_comparison_settings_t *settings, const bm_cloud_t *a,
                                  const bm_cloud_t *b, bm_log_t *log, bm_comparison_row_t *rows)
{
  const size_t count = bm_comparison_count(potential, settings);
  bm_status_t status = BM_OK;
  bm_log_progress_start(log, "distances", (double)count, "kinds");
  for (size_t k = 0; status == BM_OK && k < count; k++) {
    measure_t measure = measure_of(potential, settings, k, a, b);
    double *columns[2] = {NULL, NULL};
    bm_cloud_t clouds[2];
    status = cloud_of(potential, &measure, a, &columns[0], &clouds[0]);
    if (status == BM_OK) {
      status = cloud_of(potential, &measure, b, &columns[1], &clouds[1]);
    }
    status = bm_agree(context, status);
    if (status == BM_OK) {
      status = measure_clouds(context, &measure, &clouds[0], &clouds[1], &rows[k]);
    }
    bm_free(columns[0]);
    bm_free(columns[1]);
    bm_log_progress(log, (double)(k + 1), NULL);
  }
  bm_log_progress_end(log);
  return status;
}

/* Clouds of all pairs for one row, and room for the results. */
typedef struct {
  bm_cloud_t *a, *b;
  double **columns; /* [2][pairs] */
  bm_distance_result_t *results;
  double *values; /* [2][pairs] */
} pairs_t;

static bm_status_t allocate_pairs(size_t pairs, pairs_t *all)
{
  BM_TRY(BM_ALLOC(pairs, &all->a));
  BM_TRY(BM_ALLOC(pairs, &all->b));
  BM_TRY(BM_ALLOC(2 * pairs, &all->columns));
  BM_TRY(BM_ALLOC(pairs, &all->results));
  return BM_ALLOC(2 * pairs, &all->values);
}

static void free_columns(size_t pairs, pairs_t *all)
{
  for (size_t p = 0; all->columns != NULL && p < 2 * pairs; p++) {
    bm_free(all->columns[p]);
    all->columns[p] = NULL;
  }
}

static void free_pairs(size_t pairs, pairs_t *all)
{
  free_columns(pairs, all);
  bm_free(all->values);
  bm_free(all->results);
  bm_free(all->columns);
  bm_free(all->b);
  bm_free(all->a);
}

static bm_status_t clouds_of_pairs(const bm_potential_t *potential, const measure_t *measure,
                                   size_t pairs, const bm_cloud_t *a, const bm_cloud_t *b,
                                   pairs_t *all)
{
  for (size_t p = 0; p < pairs; p++) {
    BM_TRY(cloud_of(potential, measure, &a[p], &all->columns[2 * p], &all->a[p]));
    BM_TRY(cloud_of(potential, measure, &b[p], &all->columns[2 * p + 1], &all->b[p]));
  }
  return BM_OK;
}

static void summarise_pairs(const measure_t *measure, size_t pairs, const pairs_t *all,
                            bm_comparison_row_t *row)
{
  double *squares = all->values + pairs;
  for (size_t p = 0; p < pairs; p++) {
    all->values[p] = all->results[p].w2;
  }
  double mean = bm_tree_sum(pairs, all->values) / (double)pairs;
  for (size_t p = 0; p < pairs; p++) {
    squares[p] = (all->values[p] - mean) * (all->values[p] - mean);
  }
  double spread = sqrt(bm_tree_sum(pairs, squares) / (double)(pairs - 1));
  *row = (bm_comparison_row_t){.kind = measure->kind,
                               .unit = measure->unit,
                               .value = mean,
                               .error = spread / sqrt((double)pairs),
                               .spread = spread,
                               .points = pairs};
}

bm_status_t bm_comparison_floor(const bm_context_t *context, const bm_potential_t *potential,
                                const bm_comparison_settings_t *settings, size_t pairs,
                                const bm_cloud_t *a, const bm_cloud_t *b, bm_comparison_row_t *rows)
{
  assert(pairs >= 2);
  const size_t count = bm_comparison_count(potential, settings);
  pairs_t all = {NULL, NULL, NULL, NULL, NULL};
  bm_status_t status = bm_agree(context, allocate_pairs(pairs, &all));
  for (size_t k = 0; status == BM_OK && k < count; k++) {
    measure_t measure = measure_of(potential, settings, k, &a[0], &b[0]);
    status = bm_agree(context, clouds_of_pairs(potential, &measure, pairs, a, b, &all));
    if (status == BM_OK) {
      status = bm_distance_batch(context, measure.distance, &measure.settings, pairs, all.a, all.b,
                                 all.results);
    }
    if (status == BM_OK) {
      summarise_pairs(&measure, pairs, &all, &rows[k]);
    }
    free_columns(pairs, &all);
  }
  free_pairs(pairs, &all);
  return status;
}

bm_status_t bm_comparison_put(const bm_comparison_row_t *rows, size_t count, const char *suffix,
                              bm_results_t *results)
{
  for (size_t k = 0; k < count; k++) {
    char name[160];
    snprintf(name, sizeof name, "w2_%s%s", rows[k].kind, suffix);
    BM_TRY(bm_results_metric(results, name, rows[k].value, rows[k].error, rows[k].unit,
                             rows[k].points));
  }
  return BM_OK;
}

bm_status_t bm_comparison_put_floor(const bm_comparison_row_t *rows, size_t count,
                                    const char *suffix, bm_results_t *results)
{
  for (size_t k = 0; k < count; k++) {
    char name[160];
    snprintf(name, sizeof name, "w2_%s%s_floor", rows[k].kind, suffix);
    BM_TRY(bm_results_floor(results, name, rows[k].value, rows[k].spread, rows[k].unit,
                            rows[k].points));
  }
  return BM_OK;
}
