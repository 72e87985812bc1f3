/* Stage sample: reference.h5md from the deck's sampler, from a file that the user brings, or from
 * another case that has the same. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/analyse/averages.h"
#include "boltzmap/app/checkpoint.h"
#include "boltzmap/app/stage.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/sample/diagnostics.h"
#include "boltzmap/sample/sampler.h"

#define BM_REFERENCE "reference.h5md"

static const char *const files[] = {BM_REFERENCE, NULL};

/* A case whose reference is the same and is there; NULL where there is none. */
static const bm_deck_case_t *find_shared(const bm_experiment_t *experiment,
                                         const bm_deck_case_t *deck_case)
{
  uint64_t wanted = bm_stage_fingerprint(experiment, &bm_stage_sample, deck_case);
  size_t count = bm_deck_case_count(experiment->deck);
  for (size_t i = 0; i <= count; i++) {
    const bm_deck_case_t *other =
        i < count ? bm_deck_case(experiment->deck, i) : bm_deck_base(experiment->deck);
    if (other != deck_case && bm_stage_fingerprint(experiment, &bm_stage_sample, other) == wanted &&
        bm_stage_is_done(experiment, &bm_stage_sample, other)) {
      return other;
    }
  }
  return NULL;
}

/* One file under two names. Rank 0's own. */
static bm_status_t link_reference(const bm_experiment_t *experiment, const bm_deck_case_t *from,
                                  const bm_deck_case_t *to, bm_results_t *results)
{
  char *source = NULL;
  char *target = NULL;
  bm_results_t *whole = NULL;
  bm_status_t status = bm_stage_path(experiment, from, BM_REFERENCE, &source);
  if (status == BM_OK) {
    status = bm_stage_path(experiment, to, BM_REFERENCE, &target);
  }
  if (status == BM_OK) {
    status = bm_file_link(source, target);
  }
  if (status == BM_OK) {
    status = bm_results_create(&whole);
  }
  if (status == BM_OK) {
    status = bm_stage_read_record(experiment, &bm_stage_sample, from, whole);
  }
  if (status == BM_OK) {
    status = bm_results_merge(results, bm_results_metrics(whole), NULL);
  }
  bm_results_destroy(&whole);
  bm_free(target);
  bm_free(source);
  return status;
}

/* What the stage makes. */
typedef struct {
  bm_samples_t *samples;
  size_t stride;  /* steps between frames */
  double time;    /* ps between frames (in reduced units, steps) */
  double seconds; /* spent */
} reference_t;

static bm_status_t write_reference(const bm_experiment_t *experiment,
                                   const bm_deck_case_t *deck_case, const bm_potential_t *potential,
                                   const reference_t *reference)
{
  const bm_samples_t *samples = reference->samples;
  const bm_traits_t *traits = bm_potential_traits(potential);
  const bm_layout_t *layout = bm_potential_layout(potential);
  const size_t rows = samples->rows.count;
  const size_t count = traits->observable_count + 1;
  double *values = NULL;
  char *path = NULL;
  bm_observable_t *observables = NULL;
  bm_status_t status = BM_ALLOC(count * rows, &values);
  if (status == BM_OK) {
    status = BM_ALLOC(count, &observables);
  }
  if (status == BM_OK) {
    status = bm_stage_path(experiment, deck_case, BM_REFERENCE, &path);
  }
  status = bm_agree(experiment->context, status);
  if (status == BM_OK) {
    bm_potential_observe(potential, rows, samples->x, values);
    bm_potential_energy(potential, rows, samples->x, values + (count - 1) * rows, NULL);
    for (size_t k = 0; k < count; k++) {
      int is_energy = k == count - 1;
      observables[k] = (bm_observable_t){
          is_energy ? "energy" : traits->observables[k].name,
          is_energy ? layout->energy_unit : traits->observables[k].unit, values + k * rows};
    }
    bm_samples_content_t content = {
        .particles = layout->particles,
        .dimensions = layout->dimensions,
        .length_unit = "nm",
        .step_stride = reference->stride,
        .time_stride_ps = reference->time,
        .single_precision = samples->d > 8,
        .observables = observables,
        .observable_count = count,
        .provenance = experiment->provenance,
        .provenance_count = experiment->provenance_count,
        .fingerprint = bm_stage_fingerprint(experiment, &bm_stage_sample, deck_case)};
    status = bm_samples_write(experiment->context, path, samples, &content);
  }
  bm_free(path);
  bm_free(observables);
  bm_free(values);
  return status;
}

/* What molecular dynamics reports. */
static bm_status_t put_dynamics(const bm_sampler_report_t *report, size_t n, bm_results_t *results)
{
  BM_TRY(bm_results_metric(results, "temperature_K", report->temperature_K,
                           report->temperature_error_K, "K", n));
  BM_TRY(bm_results_metric(results, "simulated_ns", report->simulated_ns, NAN, "ns", n));
  if (isnan(report->exchange_acceptance)) {
    return BM_OK;
  }
  BM_TRY(
      bm_results_metric(results, "exchange_acceptance", report->exchange_acceptance, NAN, "1", n));
  return bm_results_metric(results, "round_trips", report->round_trips, NAN, "1", n);
}

/* What samplers that take steps report. */
static bm_status_t put_moves(const bm_sampler_report_t *report, size_t n, bm_results_t *results)
{
  const struct {
    const char *name;
    double value;
  } rows[] = {{"acceptance", report->acceptance},
              {"jump_acceptance", report->jump_acceptance},
              {"step_size", report->step_size},
              {"autocorrelation_steps", report->autocorrelation_steps}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    BM_TRY(bm_results_metric(results, rows[i].name, rows[i].value, NAN, "1", n));
  }
  return BM_OK;
}

static bm_status_t put_report(const bm_sampler_report_t *report, size_t n, bm_results_t *results)
{
  BM_TRY(bm_results_metric(results, "burn_in", (double)report->burn_in, NAN, "1", n));
  BM_TRY(bm_results_metric(results, "thinning", (double)report->thinning, NAN, "1", n));
  return isnan(report->simulated_ns) ? put_moves(report, n, results)
                                     : put_dynamics(report, n, results);
}

bm_status_t bm_stage_read_file(const bm_context_t *context, const bm_deck_case_t *deck_case,
                               size_t dimension, bm_samples_t **samples)
{
  BM_TRY(bm_samples_read(context, bm_deck_string(deck_case, "reference.file"), NULL, samples));
  if ((*samples)->d == dimension) {
    return BM_OK;
  }
  bm_status_t status = bm_deck_fail(
      deck_case, "reference.file", "has %zu columns, the system has %zu", (*samples)->d, dimension);
  bm_samples_destroy(samples);
  return status;
}

/* Samples of a sampler. */
static bm_status_t draw_samples(bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                                const bm_potential_t *potential, bm_results_t *results,
                                reference_t *reference)
{
  const bm_context_t *context = experiment->context;
  bm_sampler_settings_t settings;
  bm_sampler_report_t report;
  bm_checkpoint_t checkpoint = bm_checkpoint_of(
      experiment, deck_case, bm_stage_fingerprint(experiment, &bm_stage_sample, deck_case));
  const bm_keeper_t keeper = bm_checkpoint_keeper(&checkpoint);
  BM_TRY(bm_sampler_settings(deck_case, &settings));
  const bm_sampler_request_t request = {context,          potential,       &settings,
                                        experiment->seed, experiment->log, &keeper};
  BM_TRY(bm_sampler_run(&request, &reference->samples, &report));
  reference->seconds = bm_checkpoint_spent(&checkpoint);
  reference->stride = (size_t)report.thinning;
  reference->time = isnan(report.frame_ps) ? (double)report.thinning : report.frame_ps;
  if (isnan(report.simulated_ns)) {
    bm_log_info(experiment->log,
                "  %zu samples of %zu walkers; acceptance %.2f, burn-in %lld, thinning %lld steps",
                settings.samples, settings.walkers, report.acceptance, (long long)report.burn_in,
                (long long)report.thinning);
  } else {
    bm_log_info(experiment->log,
                "  %zu frames of %zu walkers, %.4g ns in all, at %.1f K, in %.0f s",
                settings.samples, settings.walkers, report.simulated_ns, report.temperature_K,
                reference->seconds);
  }
  return bm_context_is_root(context) ? put_report(&report, settings.samples, results) : BM_OK;
}

static bm_status_t make_samples(bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                                const bm_potential_t *potential, bm_results_t *results,
                                reference_t *reference)
{
  if (strcmp(bm_deck_string(deck_case, "reference.sampler"), "file") != 0) {
    return draw_samples(experiment, deck_case, potential, results, reference);
  }
  double started = bm_log_clock();
  BM_TRY(bm_stage_read_file(experiment->context, deck_case, bm_potential_dimension(potential),
                            &reference->samples));
  reference->seconds = bm_log_clock() - started;
  return BM_OK;
}

static bm_status_t sample(bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                          const bm_potential_t *potential, bm_results_t *results)
{
  const bm_context_t *context = experiment->context;
  reference_t reference = {NULL, 1, 1.0, 0.0};
  double rhat = NAN;
  bm_status_t status =
      bm_agree(context, make_samples(experiment, deck_case, potential, results, &reference));
  if (status == BM_OK) {
    status = write_reference(experiment, deck_case, potential, &reference);
  }
  if (status == BM_OK) {
    status = bm_averages_of_walkers(context, potential, reference.samples, "reference", results);
  }
  if (status == BM_OK) {
    status = bm_averages_diagnose(context, potential, reference.samples, results, &rhat);
  }
  if (status == BM_OK && rhat > BM_RHAT_CONVERGED) {
    bm_log_warn(experiment->log,
                "R-hat of the reference is %.4f, above %.2f: the walkers do not agree", rhat,
                BM_RHAT_CONVERGED);
  }
  if (status == BM_OK && bm_context_is_root(context)) {
    status = bm_results_timing(results, "sampling_s", reference.seconds, "s");
  }
  bm_samples_destroy(&reference.samples);
  return bm_agree(context, status);
}

static bm_status_t run(bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                       bm_results_t *results)
{
  const bm_context_t *context = experiment->context;
  const bm_deck_case_t *shared = find_shared(experiment, deck_case);
  if (shared != NULL) {
    return bm_agree(context, bm_context_is_root(context)
                                 ? link_reference(experiment, shared, deck_case, results)
                                 : BM_OK);
  }
  bm_potential_t *potential = NULL;
  BM_TRY_AGREE(context, bm_potential_create(deck_case, &potential));
  bm_status_t status = sample(experiment, deck_case, potential, results);
  bm_potential_destroy(&potential);
  return status;
}

const bm_stage_t bm_stage_sample = {
    .name = "sample",
    .description = "reference samples",
    .groups = "system,reference,run.seed",
    .files = files,
    .run = run,
};
