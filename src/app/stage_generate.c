/* Stage generate: generated.h5md from model.h5. */

#include <math.h>
#include <string.h>

#include "boltzmap/app/space.h"
#include "boltzmap/app/stage.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/generate/generator.h"
#include "boltzmap/parallel/agree.h"

static const char *const files[] = {"generated.h5md", NULL};

/* What is written beside each sample. */
typedef struct {
  const bm_potential_t *own;    /* of the case: observables and energy, where there is one */
  const bm_potential_t *target; /* of the deck: weights; NULL: none */
} observed_t;

/* Columns besides observables. */
static size_t extra_columns(const observed_t *observed)
{
  return (size_t)bm_potential_has_energy(observed->own) + (observed->target != NULL);
}

/* Observables, energy, log weight towards the deck's own system. */
static void observe(const void *self, size_t n, const double *x, const double *log_density,
                    double *values)
{
  const observed_t *observed = self;
  const size_t count = bm_potential_traits(observed->own)->observable_count;
  double *energy = values + count * n;
  double *log_weight = energy + n;
  bm_potential_observe(observed->own, n, x, values);
  if (bm_potential_has_energy(observed->own)) {
    bm_potential_energy(observed->own, n, x, energy, NULL);
  }
  if (observed->target == NULL) {
    return;
  }
  const double beta = bm_potential_beta(observed->target);
  bm_potential_energy(observed->target, n, x, log_weight, NULL);
  for (size_t i = 0; i < n; i++) {
    log_weight[i] = -beta * log_weight[i] - log_density[i];
  }
}

static bm_status_t write_samples(bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                                 bm_map_t *map, const observed_t *observed)
{
  const bm_traits_t *traits = bm_potential_traits(observed->own);
  const bm_context_t *context = experiment->context;
  const size_t count = traits->observable_count + extra_columns(observed);
  bm_observable_t *names = NULL;
  char *path = NULL;
  bm_status_t status = BM_ALLOC(count, &names);
  if (status == BM_OK) {
    status = bm_stage_path(experiment, deck_case, "generated.h5md", &path);
  }
  status = bm_agree(context, status);
  if (status == BM_OK) {
    for (size_t k = 0; k < traits->observable_count; k++) {
      names[k] = (bm_observable_t){traits->observables[k].name, traits->observables[k].unit, NULL};
    }
    bm_observable_t *next = names + traits->observable_count;
    if (bm_potential_has_energy(observed->own)) {
      *next++ = (bm_observable_t){"energy", bm_potential_layout(observed->own)->energy_unit, NULL};
    }
    if (observed->target != NULL) {
      *next = (bm_observable_t){"log_weight", "1", NULL};
    }
    const bm_generate_observer_t observer = {names, count, observe, observed};
    const bm_generate_order_t order = {
        .seed = experiment->seed,
        .n = (size_t)bm_deck_int(deck_case, "generate.samples"),
        .observer = &observer,
        .path = path,
        .provenance = experiment->provenance,
        .provenance_count = experiment->provenance_count,
        .fingerprint = bm_stage_fingerprint(experiment, &bm_stage_generate, deck_case)};
    status = bm_generate_file(context, map, &order, experiment->log);
  }
  bm_free(path);
  bm_free(names);
  return status;
}

static bm_status_t put_timings(size_t n, double seconds, bm_results_t *results)
{
  BM_TRY(bm_results_timing(results, "generation_s", seconds, "s"));
  return bm_results_timing(results, "generation_samples_per_s", (double)n / seconds, "1/s");
}

static bm_status_t run(bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                       bm_results_t *results)
{
  const bm_context_t *context = experiment->context;
  bm_space_t space;
  bm_space_t target = {.system = NULL};
  bm_map_t *map = NULL;
  bm_status_t status = bm_space_create(deck_case, &space);
  if (status == BM_OK && bm_space_has_weights(&space)) {
    status = bm_space_create(bm_stage_target_of(experiment, deck_case), &target);
  }
  status = bm_agree(context, status);
  if (status == BM_OK) {
    status = bm_stage_load_map(experiment, deck_case, &map);
  }
  double started = bm_log_clock();
  if (status == BM_OK) {
    observed_t observed = {space.shapes, target.shapes};
    status = write_samples(experiment, deck_case, map, &observed);
  }
  if (status == BM_OK && bm_context_is_root(context)) {
    status = put_timings((size_t)bm_deck_int(deck_case, "generate.samples"),
                         bm_log_clock() - started, results);
  }
  bm_map_destroy(&map);
  bm_space_release(&target);
  bm_space_release(&space);
  return bm_agree(context, status);
}

const bm_stage_t bm_stage_generate = {
    .name = "generate",
    .description = "generated samples",
    .groups = "system,reference,flow,training,generate,run.seed",
    .uses_target = 1,
    .files = files,
    .run = run,
};
