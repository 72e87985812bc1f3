/* Stage evaluate: averages, importance weights, distances with their floors, Lipschitz constants,
 * and a real trajectory to look at. */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/analyse/averages.h"
#include "boltzmap/analyse/comparison.h"
#include "boltzmap/analyse/conformations.h"
#include "boltzmap/analyse/lipschitz.h"
#include "boltzmap/app/checkpoint.h"
#include "boltzmap/app/floors.h"
#include "boltzmap/app/space.h"
#include "boltzmap/app/stage.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/geometry/principal.h"
#include "boltzmap/geometry/standardisation.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/sample/sampler.h"

#define BM_TRAJECTORY "trajectory.h5md"

static const char *const files[] = {BM_TRAJECTORY, NULL};

/* What the parts of the evaluation share. */
typedef struct {
  bm_experiment_t *experiment;
  const bm_deck_case_t *deck_case;
  bm_evaluate_settings_t settings;
  bm_space_t space, target_space;
  const bm_potential_t *own;    /* of the shapes */
  const bm_potential_t *target; /* that weights aim at; NULL: none */
  bm_map_t *map;
  bm_cloud_t reference, generated;
  double *rows[2];
  size_t walkers; /* of the reference */
  double *pca;    /* means, scales and directions; NULL: none */
  bm_journal_t *journal;
  bm_results_t *results;
} evaluation_t;

static int is_root(const evaluation_t *self)
{
  return bm_context_is_root(self->experiment->context);
}

/* Smallest value of each observable in a set; `*least` [observable_count] is owned by the
 * caller. */
static bm_status_t smallest(const bm_potential_t *potential, const bm_cloud_t *cloud,
                            double **least)
{
  const size_t count = bm_potential_traits(potential)->observable_count;
  double *values = NULL;
  BM_TRY(BM_ALLOC(count, least));
  BM_TRY(BM_ALLOC(count * cloud->n, &values));
  bm_potential_observe(potential, cloud->n, cloud->x, values);
  for (size_t k = 0; k < count; k++) {
    (*least)[k] = INFINITY;
    for (size_t i = 0; i < cloud->n; i++) {
      (*least)[k] = fmin((*least)[k], values[k * cloud->n + i]);
    }
  }
  bm_free(values);
  return BM_OK;
}

static bm_status_t put_smallest_generated(const evaluation_t *self)
{
  const bm_traits_t *traits = bm_potential_traits(self->own);
  double *least = NULL;
  bm_status_t status = smallest(self->own, &self->generated, &least);
  for (size_t k = 0; status == BM_OK && k < traits->observable_count; k++) {
    char name[160];
    if (traits->observables[k].period > 0.0) {
      continue; /* an angle has no least value */
    }
    snprintf(name, sizeof name, "min_%s_generated", traits->observables[k].name);
    status = bm_results_metric(self->results, name, least[k], NAN, traits->observables[k].unit,
                               self->generated.n);
  }
  bm_free(least);
  return status;
}

static bm_status_t averages_of_map(const evaluation_t *self, const double *least)
{
  bm_map_averages_t what = {.potential = self->own,
                            .target = self->target,
                            .least = least,
                            .seed = self->experiment->seed,
                            .n = self->settings.average_samples};
  return bm_averages_of_map(self->experiment->context, self->map, &what, self->experiment->log,
                            self->results);
}

static bm_status_t averages(const evaluation_t *self)
{
  double *least = NULL;
  bm_status_t status = smallest(self->own, &self->reference, &least);
  if (status == BM_OK && is_root(self)) {
    status = put_smallest_generated(self);
  }
  status = bm_agree(self->experiment->context, status);
  if (status == BM_OK && self->settings.average_samples >= 2) {
    status = averages_of_map(self, least);
  }
  bm_free(least);
  return status;
}

/* What the report says of a molecule's conformations, in the reference and generated. */
static bm_status_t conformations(const evaluation_t *self)
{
  bm_status_t status = BM_OK;
  if (bm_potential_traits(self->own)->molecule != NULL && is_root(self)) {
    status = bm_conformations_put(self->own, &self->reference, self->walkers, "reference",
                                  self->results);
    if (status == BM_OK) {
      status = bm_stop_poll();
    }
    if (status == BM_OK) {
      status = bm_conformations_put(self->own, &self->generated, 1, "generated", self->results);
    }
  }
  return bm_agree(self->experiment->context, status);
}

/* Sizes at which two sets are compared, equal for the distance and its floor. */
static size_t size_of(const evaluation_t *self, size_t n, size_t most)
{
  size_t limit = self->settings.distance_samples > 0 ? self->settings.distance_samples : n;
  limit = limit < most ? limit : most;
  return n < limit ? n : limit;
}

/* The comparison's settings for sets of these sizes: where the exact distance takes all points of
 * one, a second subsample would be the first again. */
static bm_evaluate_settings_t settings_for(const evaluation_t *self, size_t n_a, size_t n_b)
{
  bm_evaluate_settings_t settings = self->settings;
  bm_comparison_settings_t *comparison = &settings.comparison;
  const size_t smaller = n_a < n_b ? n_a : n_b;
  if (comparison->exact && (comparison->exact_points == 0 || comparison->exact_points >= smaller)) {
    if (comparison->exact_repeats > 1) {
      bm_log_info(self->experiment->log, "  exact W2 on all %zu points, once", smaller);
    }
    comparison->exact_points = 0;
    comparison->exact_repeats = 1;
  }
  return settings;
}

/* On rank 0, under each of the names. */
static bm_status_t put_rows(const evaluation_t *self, const bm_comparison_row_t *rows, size_t count,
                            int are_floors, const char *const *suffixes)
{
  for (; is_root(self) && *suffixes != NULL; suffixes++) {
    BM_TRY(are_floors ? bm_comparison_put_floor(rows, count, *suffixes, self->results)
                      : bm_comparison_put(rows, count, *suffixes, self->results));
  }
  return BM_OK;
}

/* Averages over the independent references that the floor of the case's own reference was made of:
 * with so many configurations a check of the sampler that the one reference is too small for. */
static bm_status_t put_replicas(const evaluation_t *self, const bm_floor_t *floor)
{
  const bm_traits_t *traits = bm_potential_traits(self->own);
  if (!is_root(self) || !bm_floors_are_independent(self->deck_case)) {
    return BM_OK;
  }
  for (size_t k = 0; k < traits->average_count; k++) {
    char name[160];
    snprintf(name, sizeof name, "%s_replicas", traits->averages[k].name);
    BM_TRY(bm_results_metric(self->results, name, floor->means[k], floor->errors[k],
                             traits->averages[k].unit, floor->configurations));
  }
  return BM_OK;
}

/* Of the rows of this comparison in the journal. */
static const char *label_of(const char *const *suffixes)
{
  return suffixes[0][0] == '\0' ? "own" : "singular";
}

static bm_status_t put_distances(const evaluation_t *self, const bm_evaluate_settings_t *settings,
                                 const bm_cloud_t *a, const bm_cloud_t *b,
                                 const char *const *suffixes)
{
  const bm_experiment_t *experiment = self->experiment;
  size_t count;
  bm_comparison_row_t *rows = NULL;
  BM_TRY_AGREE(experiment->context, bm_comparison_count(self->own, &settings->comparison,
                                                        a->n < b->n ? a->n : b->n, &count));
  BM_TRY_AGREE(experiment->context, BM_ALLOC(count, &rows));

  const bm_comparison_t comparison = {
      experiment->context, self->own, &settings->comparison, {self->journal, label_of(suffixes)}};
  bm_status_t status = bm_comparison_measure(&comparison, a, b, experiment->log, rows);
  if (status == BM_OK) {
    status = put_rows(self, rows, count, 0, suffixes);
  }
  bm_free(rows);
  return bm_agree(experiment->context, status);
}

/* Distances of the generated samples from a reference, and the floor of that reference. */
static bm_status_t compare_spread(const evaluation_t *self, const bm_deck_case_t *where,
                                  const bm_cloud_t *a, const bm_cloud_t *b,
                                  const char *const *suffixes)
{
  bm_evaluate_settings_t settings = settings_for(self, a->n, b->n);
  BM_TRY(put_distances(self, &settings, a, b, suffixes));
  if (settings.floor_pairs < 2) {
    return BM_OK;
  }
  const bm_floor_t *floor;
  const bm_floor_question_t question = {
      where, &settings, bm_map_chart(self->map), {a->n, b->n}, self->journal};
  BM_TRY(bm_floors_of(self->experiment, &question, &floor));
  bm_status_t status = put_rows(self, floor->rows, floor->count, 1, suffixes);
  if (status == BM_OK && suffixes[0][0] == '\0') {
    status = put_replicas(self, floor);
  }
  return status;
}

static bm_status_t compare(const evaluation_t *self, const bm_deck_case_t *where,
                           const bm_cloud_t *reference, size_t walkers, const char *const *suffixes)
{
  const bm_context_t *context = self->experiment->context;
  const size_t d = reference->d;
  int floors = self->settings.floor_pairs > 0;
  size_t most = floors ? bm_floors_most(where, reference->n, walkers) : SIZE_MAX;
  size_t n[2] = {size_of(self, self->generated.n, most), size_of(self, reference->n, most)};
  double *rows = NULL;
  BM_TRY_AGREE(context, BM_ALLOC((n[0] + n[1]) * d, &rows));
  bm_floors_spread(self->generated.n, d, self->generated.x, n[0], rows);
  bm_floors_spread(reference->n, d, reference->x, n[1], rows + n[0] * d);
  bm_cloud_t a = {n[0], d, rows};
  bm_cloud_t b = {n[1], d, rows + n[0] * d};
  bm_status_t status = bm_agree(context, compare_spread(self, where, &a, &b, suffixes));
  bm_free(rows);
  return status;
}

/* The reference of a case as shapes. */
static bm_status_t load_shapes(const evaluation_t *self, const bm_deck_case_t *deck_case,
                               bm_cloud_t *cloud, double **rows, size_t *walkers)
{
  const bm_context_t *context = self->experiment->context;
  const size_t d = bm_map_dimension(self->map);
  double *configurations = NULL;
  *rows = NULL;
  bm_status_t status = bm_stage_load_samples(self->experiment, deck_case, "reference.h5md", cloud,
                                             &configurations, walkers);
  if (status == BM_OK) {
    status = BM_ALLOC(cloud->n * d, rows);
    if (status == BM_OK) {
      status = bm_chart_project(bm_map_chart(self->map), cloud->n, configurations, *rows);
    }
    *cloud = (bm_cloud_t){cloud->n, d, *rows};
    status = bm_agree(context, status);
  }
  bm_free(configurations);
  return status;
}

/* To the reference of the deck's own system, which another case may have made. */
static bm_status_t compare_with_target(const evaluation_t *self)
{
  static const char *const suffixes[] = {"_singular", NULL};
  bm_experiment_t *experiment = self->experiment;
  const bm_deck_case_t *target;
  bm_cloud_t reference;
  double *rows = NULL;
  size_t walkers;
  BM_TRY(bm_stage_target(experiment, &target));
  bm_status_t status = load_shapes(self, target, &reference, &rows, &walkers);
  if (status == BM_OK) {
    status = compare(self, target, &reference, walkers, suffixes);
  }
  bm_free(rows);
  return status;
}

/* Do its cases differ in more than how they learn from one reference? */
static int has_several_systems(const bm_deck_t *deck)
{
  const uint64_t base = bm_deck_fingerprint(bm_deck_base(deck), "system");
  for (size_t i = 0; i < bm_deck_case_count(deck); i++) {
    if (bm_deck_fingerprint(bm_deck_case(deck, i), "system") != base) {
      return 1;
    }
  }
  return 0;
}

/* To the case's own reference and, where the deck's cases have several systems, to that of the deck's own
 * system (in the paper the singular one), which may be the same. */
static bm_status_t distances(const evaluation_t *self)
{
  static const char *const suffixes[] = {"", "_singular", NULL};
  static const char *const no_suffix[] = {"", NULL};
  const bm_experiment_t *experiment = self->experiment;
  const bm_deck_case_t *target = bm_stage_target_of(experiment, self->deck_case);
  int needs_target = bm_stage_needs_target(experiment, self->deck_case);
  int is_target =
      has_several_systems(experiment->deck) && target != self->deck_case && !needs_target;
  double started = bm_log_clock();
  BM_TRY(compare(self, self->deck_case, &self->reference, self->walkers,
                 is_target ? suffixes : no_suffix));
  if (needs_target) {
    BM_TRY(compare_with_target(self));
  }
  return is_root(self)
             ? bm_results_timing(self->results, "distances_s", bm_log_clock() - started, "s")
             : BM_OK;
}

static bm_status_t lipschitz(const evaluation_t *self)
{
  const size_t n = self->settings.lipschitz_points;
  bm_lipschitz_t found;
  if (n == 0) {
    return BM_OK;
  }
  if (bm_map_base_dimension(self->map) > BM_LIPSCHITZ_DIMENSION_MAX) {
    bm_log_warn(self->experiment->log, "Lipschitz constants are measured up to dimension %d only",
                BM_LIPSCHITZ_DIMENSION_MAX);
    return BM_OK;
  }
  double started = bm_log_clock();
  BM_TRY(bm_lipschitz(self->experiment->context, self->map, self->experiment->seed, n,
                      self->experiment->log, &found));
  if (!is_root(self)) {
    return BM_OK;
  }
  const struct {
    const char *name;
    double value;
  } rows[] = {{"lipschitz_max", found.max},
              {"lipschitz_max_sampled", found.max_sampled},
              {"lipschitz_p99", found.p99},
              {"inverse_lipschitz_max", found.inverse_max},
              {"inverse_lipschitz_max_sampled", found.inverse_max_sampled}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    BM_TRY(bm_results_metric(self->results, rows[i].name, rows[i].value, NAN, "1", n));
  }
  return bm_results_timing(self->results, "lipschitz_s", bm_log_clock() - started, "s");
}

/* Every rank follows the whole walker, which needs no exchange, and writes its own frames. */
static bm_status_t write_trajectory(const evaluation_t *self, const char *path, double *x)
{
  const bm_experiment_t *experiment = self->experiment;
  const bm_evaluate_settings_t *settings = &self->settings;
  const bm_layout_t *layout = bm_potential_layout(self->own);
  const size_t d = bm_potential_dimension(self->own);
  const size_t frames = settings->trajectory_frames;
  bm_samples_t *samples = NULL;
  bm_status_t status =
      bm_sampler_trajectory(self->own, experiment->seed, settings->trajectory_time_step, frames,
                            settings->trajectory_stride, x);
  if (status == BM_OK) {
    status = bm_samples_create(experiment->context, frames, d, 1, &samples);
  }
  status = bm_agree(experiment->context, status);
  if (status == BM_OK) {
    memcpy(samples->x, x + samples->rows.first * d, samples->rows.count * d * sizeof *x);
    bm_samples_content_t content = {
        .particles = layout->particles,
        .dimensions = layout->dimensions,
        .length_unit = "nm",
        .step_stride = settings->trajectory_stride,
        .time_stride_ps = settings->trajectory_time_step * (double)settings->trajectory_stride,
        .single_precision = d > 8,
        .provenance = experiment->provenance,
        .provenance_count = experiment->provenance_count,
        .fingerprint = bm_stage_fingerprint(experiment, &bm_stage_evaluate, self->deck_case)};
    status = bm_samples_write(experiment->context, path, samples, &content);
  }
  bm_samples_destroy(&samples);
  return status;
}

static bm_status_t trajectory(const evaluation_t *self)
{
  const size_t items = self->settings.trajectory_frames * bm_potential_dimension(self->own);
  double *x = NULL;
  char *path = NULL;
  if (items == 0) {
    return BM_OK;
  }
  bm_status_t status = BM_ALLOC(items, &x);
  if (status == BM_OK) {
    status = bm_stage_path(self->experiment, self->deck_case, BM_TRAJECTORY, &path);
  }
  status = bm_agree(self->experiment->context, status);
  if (status == BM_OK) {
    status = write_trajectory(self, path, x);
  }
  bm_free(path);
  bm_free(x);
  return status;
}

static int leaves(const bm_deck_case_t *deck_case, const char *file)
{
  return strcmp(file, BM_TRAJECTORY) != 0 ||
         bm_experiment_evaluate(deck_case).trajectory_frames > 0;
}

/* Principal components of the reference, its columns scaled to unit variance. */
static bm_status_t find_pca(evaluation_t *self)
{
  const size_t d = self->reference.d;
  const size_t n = self->reference.n;
  bm_standardisation_t *units = NULL;
  double variances[BM_PCA_COMPONENTS];
  BM_TRY(BM_ALLOC((2 + BM_PCA_COMPONENTS) * d, &self->pca));
  double *scale = self->pca + d;
  double *directions = scale + d;
  bm_status_t status = bm_standardisation_fit(n, d, self->reference.x, &units);
  if (status == BM_OK) {
    memcpy(scale, units->scale, d * sizeof *scale);
    status = bm_principal_components(n, d, self->reference.x, scale, BM_PCA_COMPONENTS, self->pca,
                                     directions, variances);
  }
  bm_standardisation_destroy(&units);
  return status;
}

static bm_status_t load_spaces(evaluation_t *self)
{
  BM_TRY(bm_space_create(self->deck_case, &self->space));
  self->own = self->space.shapes;
  if (!self->settings.weights || !bm_space_has_weights(&self->space)) {
    return BM_OK;
  }
  BM_TRY(
      bm_space_create(bm_stage_target_of(self->experiment, self->deck_case), &self->target_space));
  self->target = self->target_space.shapes;
  return BM_OK;
}

static bm_status_t load(evaluation_t *self)
{
  const bm_experiment_t *experiment = self->experiment;
  const bm_deck_case_t *deck_case = self->deck_case;
  size_t one;
  BM_TRY_AGREE(experiment->context, load_spaces(self));
  BM_TRY(bm_stage_load_map(experiment, deck_case, &self->map));
  BM_TRY(bm_stop_check(experiment->context));
  BM_TRY(load_shapes(self, deck_case, &self->reference, &self->rows[0], &self->walkers));
  BM_TRY(bm_stop_check(experiment->context));
  if (bm_potential_traits(self->own)->molecule != NULL) {
    BM_TRY_AGREE(experiment->context, find_pca(self));
  }
  return bm_stage_load_samples(experiment, deck_case, "generated.h5md", &self->generated,
                               &self->rows[1], &one);
}

/* What the evaluation consists of. The results after a part are a piece of the journal under its name. */
typedef struct {
  const char *name;
  bm_status_t (*run)(const evaluation_t *self);
} part_t;

static const part_t parts[] = {{"results-averages", averages},
                               {"results-conformations", conformations},
                               {"results-distances", distances},
                               {"results-lipschitz", lipschitz},
                               {"results-trajectory", trajectory}};

/* Was this part done by an earlier run? Then its results are taken over. */
static bm_status_t recall_part(const evaluation_t *self, const part_t *part, int *found)
{
  const char *text = bm_journal_find_text(self->journal, part->name);
  *found = text != NULL;
  return text != NULL && is_root(self) ? bm_results_parse(self->results, text) : BM_OK;
}

static bm_status_t remember_part(const evaluation_t *self, const part_t *part)
{
  char *text = NULL;
  bm_status_t status =
      is_root(self) ? bm_results_print(self->results, &text) : bm_string_copy("", &text);
  status = bm_agree(self->experiment->context, status);
  if (status == BM_OK) {
    status = bm_journal_add_text(self->journal, part->name, text);
  }
  bm_free(text);
  return status;
}

static bm_status_t run_part(const evaluation_t *self, const part_t *part)
{
  const bm_context_t *context = self->experiment->context;
  int found;
  BM_TRY_AGREE(context, recall_part(self, part, &found));
  if (found) {
    return BM_OK;
  }
  BM_TRY(bm_stop_check(context));
  BM_TRY_AGREE(context, part->run(self));
  return remember_part(self, part);
}

/* All parts; what is done when the run is stopped is kept. */
static bm_status_t run_parts(const evaluation_t *self)
{
  char message[BM_MESSAGE_MAX];
  bm_status_t status = BM_OK;
  for (size_t i = 0; status == BM_OK && i < sizeof parts / sizeof parts[0]; i++) {
    status = run_part(self, &parts[i]);
  }
  if (status == BM_STOPPED) {
    snprintf(message, sizeof message, "%s", bm_status_message());
    BM_TRY(bm_journal_keep(self->journal));
    bm_status_set_message(message);
  }
  return status;
}

static bm_status_t run(bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                       bm_results_t *results)
{
  evaluation_t self = {.experiment = experiment,
                       .deck_case = deck_case,
                       .settings = bm_experiment_evaluate(deck_case),
                       .results = results};
  bm_checkpoint_t checkpoint = bm_checkpoint_of(
      experiment, deck_case, bm_stage_fingerprint(experiment, &bm_stage_evaluate, deck_case));
  const bm_keeper_t keeper = bm_checkpoint_keeper(&checkpoint);
  bm_status_t status = load(&self);
  bm_pca_t pca;
  if (self.pca != NULL) {
    const size_t d = self.reference.d;
    pca = (bm_pca_t){self.pca, self.pca + d, self.pca + 2 * d};
    self.settings.comparison.pca = &pca;
  }
  if (status == BM_OK) {
    status = bm_journal_open(experiment->context, &keeper, &self.journal);
  }
  if (status == BM_OK) {
    status = run_parts(&self);
  }
  bm_journal_close(&self.journal);
  bm_free(self.rows[1]);
  bm_free(self.rows[0]);
  bm_map_destroy(&self.map);
  bm_free(self.pca);
  bm_space_release(&self.target_space);
  bm_space_release(&self.space);
  return status;
}

const bm_stage_t bm_stage_evaluate = {
    .name = "evaluate",
    .description = "evaluation",
    .groups = "system,reference,flow,training,generate,evaluate,run.seed",
    .uses_target = 1,
    .files = files,
    .leaves = leaves,
    .run = run,
};
