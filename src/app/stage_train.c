/* Stage train: model.h5 and history.csv from reference.h5md, with checkpoints on the way. */

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/app/checkpoint.h"
#include "boltzmap/app/space.h"
#include "boltzmap/app/stage.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"
#include "boltzmap/model/molecule.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/sample/diagnostics.h"
#include "boltzmap/train/flop_rate.h"
#include "boltzmap/train/trainer.h"

#define BM_KERNELS_MAX 80

static const char *const files[] = {"model.h5", "history.csv", NULL};

/* A training under way. */
typedef struct {
  bm_experiment_t *experiment;
  const bm_deck_case_t *deck_case;
  bm_checkpoint_t checkpoint;
  bm_trainer_t *trainer;
  char kernels[BM_KERNELS_MAX]; /* the back end of the networks and what its bits depend on */
  size_t held_out;              /* rows */
  double *density;              /* [held_out], of these at the end */
  double checkpoint_due;        /* on rank 0's clock */
} training_t;

static bm_status_t write_checkpoint(training_t *training, bm_trainer_t *trainer)
{
  const bm_context_t *context = training->experiment->context;
  const bm_keeper_t keeper = bm_checkpoint_keeper(&training->checkpoint);
  bm_state_t *state;
  BM_TRY(bm_keeper_begin(context, &state));
  bm_status_t status = bm_trainer_save(trainer, state);
  if (status == BM_OK && state != NULL) {
    status = bm_state_put_string(state, "flow/kernels", training->kernels);
  }
  return bm_keeper_end(context, &keeper, bm_trainer_step(trainer), status, &state);
}

/* Bits go on as they were only with the kernels that they were made with, and where the order of sums depends
 * on the ranks, with as many of these. */
static void compare_kernels(const training_t *training, const bm_state_t *state)
{
  const char *before;
  if (bm_state_count(state, "flow/kernels") > 0 &&
      bm_state_get_string(state, "flow/kernels", &before) == BM_OK &&
      strcmp(before, training->kernels) != 0) {
    bm_log_warn(training->experiment->log,
                "the checkpoint was made by %s, training goes on by %s: results may differ in "
                "rounding from those of a run that was not moved",
                before, training->kernels);
  }
}

/* Bring the trainer to where its last checkpoint stands. */
static bm_status_t go_on(training_t *training)
{
  bm_state_t *state = NULL;
  BM_TRY(bm_checkpoint_load(&training->checkpoint, &state));
  bm_status_t status = state == NULL ? BM_OK : bm_trainer_restore(training->trainer, state);
  if (state != NULL) {
    compare_kernels(training, state);
  }
  bm_state_destroy(&state);
  return status;
}

/* After every step: is there a reason to write a checkpoint, on any rank? One that comes up now is acted
 * on after the next step. */
static bm_status_t after_step(bm_trainer_t *trainer, void *data)
{
  training_t *training = data;
  const bm_context_t *context = training->experiment->context;
  int due = bm_context_is_root(context) && bm_log_clock() >= training->checkpoint_due;
  if (!bm_trainer_raised(trainer)) {
    if (due || bm_stop_pending()) {
      bm_trainer_raise(trainer);
    }
    return BM_OK;
  }
  bm_status_t stop = bm_stop_check(context);
  char message[BM_MESSAGE_MAX];
  snprintf(message, sizeof message, "%s", bm_status_message());
  BM_TRY(write_checkpoint(training, trainer));
  training->checkpoint_due = bm_log_clock() + training->experiment->checkpoint_every_s;
  bm_status_set_message(message);
  return stop;
}

static const char *number_or_nothing(double value, char text[40])
{
  text[0] = '\0';
  if (isfinite(value)) {
    snprintf(text, 40, "%.10g", value);
  }
  return text;
}

static bm_status_t write_history(const training_t *training)
{
  size_t count;
  const bm_history_row_t *rows = bm_trainer_history(training->trainer, &count);
  const size_t width = 240;
  char *text = NULL;
  char *path = NULL;
  BM_TRY(BM_ALLOC((count + 1) * width, &text));
  size_t used = (size_t)sprintf(text, "epoch,nll_train,nll_validation,learning_rate,gradient_norm,"
                                      "term_train,term_validation\n");
  for (size_t i = 0; i < count; i++) {
    const bm_history_row_t *row = &rows[i];
    char validation[40];
    char terms[2][40];
    used += (size_t)snprintf(text + used, width, "%.0f,%.10g,%s,%.6g,%.6g,%s,%s\n", row->epoch,
                             row->nll_train, number_or_nothing(row->nll_validation, validation),
                             row->learning_rate, row->gradient_norm,
                             number_or_nothing(row->term_train, terms[0]),
                             number_or_nothing(row->term_validation, terms[1]));
  }
  bm_status_t status =
      bm_stage_path(training->experiment, training->deck_case, "history.csv", &path);
  if (status == BM_OK) {
    status = bm_file_write(path, text, used);
  }
  bm_free(path);
  bm_free(text);
  return status;
}

static bm_status_t fill_model(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                              bm_map_t *map, bm_state_t *state)
{
  BM_TRY(bm_map_save(map, state));
  BM_TRY(bm_state_put_string(state, "case", bm_deck_case_name(deck_case)));
  return bm_experiment_put_origin(
      experiment, bm_stage_fingerprint(experiment, &bm_stage_train, deck_case), state);
}

static bm_status_t write_model(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                               bm_map_t *map)
{
  bm_state_t *state = NULL;
  char *path = NULL;
  bm_status_t status = bm_state_create("model", &state);
  if (status == BM_OK) {
    status = fill_model(experiment, deck_case, map, state);
  }
  if (status == BM_OK) {
    status = bm_stage_path(experiment, deck_case, "model.h5", &path);
  }
  if (status == BM_OK) {
    status = bm_state_write(state, path);
  }
  bm_free(path);
  bm_state_destroy(&state);
  return status;
}

/* Log densities of the held-out rows under the model that is kept, on all ranks; `*density` [held_out] is the
 * caller's. A Moser map takes its time, and looks for stop requests. Collective. */
static bm_status_t pull_held_out(const bm_context_t *context, bm_map_t *map,
                                 const bm_training_data_t *data, size_t held_out, double **density)
{
  const bm_range_t own = bm_map_partition(held_out, context->size, context->rank);
  const size_t most = bm_map_partition(held_out, context->size, 0).count;
  const double *x = data->x + (data->n - held_out + own.first) * data->d;
  BM_TRY_AGREE(context, BM_ALLOC(held_out, density));
  for (size_t done = 0; done < most; done += BM_MAP_CHUNK) {
    const size_t left = done < own.count ? own.count - done : 0;
    const size_t rows = left < BM_MAP_CHUNK ? left : BM_MAP_CHUNK;
    if (bm_map_moser(map) != NULL) {
      BM_TRY(bm_stop_check(context));
    }
    BM_TRY_AGREE(context, rows == 0 ? BM_OK
                                    : bm_map_pull(map, rows, x + done * data->d, NULL,
                                                  *density + own.first + done));
  }
  return bm_join(context, held_out, *density);
}

/* The negative log-likelihood from these, which are overwritten, with the standard error of the walkers' means. */
static bm_status_t put_validation(const bm_training_data_t *data, size_t held_out, double *loss,
                                  bm_results_t *results)
{
  double mean;
  double error;
  size_t frames = data->walkers > 1 ? data->n / data->walkers : held_out;
  assert(frames > 0);
  for (size_t i = 0; i < held_out; i++) {
    loss[i] = -loss[i];
  }
  bm_chain_mean(held_out / frames, frames, loss, &mean, &error);
  return bm_results_metric(results, "nll_validation", mean, error, "nat", held_out);
}

static bm_status_t put_results(const training_t *training, bm_map_t *map,
                               const bm_training_data_t *data, double seconds,
                               double sgemm_fraction, bm_results_t *results)
{
  bm_training_report_t report;
  bm_flow_t *flow = bm_map_flow(map);
  bm_trainer_report(training->trainer, &report);
  const struct {
    const char *name;
    double value;
  } metrics[] = {
      {"parameters", (double)bm_flow_parameter_count(flow)},
      {"parameters_masked_equivalent", (double)bm_flow_masked_equivalent(bm_flow_shape(flow))},
      {"epochs", (double)report.epochs},
      {"steps", (double)report.steps},
      {"skipped_steps", (double)report.skipped_steps},
      {"spikes", (double)report.spikes},
      {"rewinds", (double)report.rewinds},
      {"best_epoch", (double)report.best_epoch},
  };
  for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
    BM_TRY(bm_results_metric(results, metrics[i].name, metrics[i].value, NAN, "1", 1));
  }
  BM_TRY(put_validation(data, training->held_out, training->density, results));
  BM_TRY(bm_results_timing(results, "training_s", seconds, "s"));
  return bm_results_timing(results, "training_fraction_of_sgemm", sgemm_fraction, "1");
}

/* Arithmetic for a row of a minibatch: its own gradient, and its share of those of generated samples. */
static double flop_per_row(const bm_flow_shape_t *shape, const bm_trainer_settings_t *settings)
{
  return bm_flop_training_per_sample(shape) *
         (1.0 + (double)settings->points / (double)settings->batch);
}

/* Speed of the optimiser steps, and of one epoch of them. */
static bm_status_t put_speed(const training_t *training, const bm_flow_shape_t *shape,
                             const bm_trainer_settings_t *settings, size_t rows,
                             bm_results_t *results)
{
  bm_training_report_t report;
  bm_trainer_report(training->trainer, &report);
  BM_TRY(bm_results_timing(results, "training_samples_per_s", report.samples_per_s, "1/s"));
  BM_TRY(bm_results_timing(results, "training_epoch_s", (double)rows / report.samples_per_s, "s"));
  return bm_results_timing(results, "training_gflop_per_s",
                           1e-9 * report.samples_per_s * flop_per_row(shape, settings), "1/s");
}

/* Speed of the optimiser steps over that of the matrix products alone, measured here and now. */
static bm_status_t fraction_of_sgemm(const training_t *training, const bm_flow_shape_t *shape,
                                     const bm_trainer_settings_t *settings, double *fraction)
{
  const bm_context_t *context = training->experiment->context;
  bm_training_report_t report;
  double rate;
  size_t rows = (size_t)settings->batch / bm_trainer_shards(settings, context->size);
  bm_trainer_report(training->trainer, &report);
  BM_TRY(bm_flop_sgemm_rate(context, shape, rows > 0 ? rows : 1, &rate));
  *fraction = report.samples_per_s * flop_per_row(shape, settings) / rate;
  return BM_OK;
}

static bm_status_t run_trainer(training_t *training, bm_map_t *map,
                               const bm_trainer_settings_t *settings,
                               const bm_training_data_t *data, bm_results_t *results)
{
  bm_experiment_t *experiment = training->experiment;
  const bm_context_t *context = experiment->context;
  const bm_flow_shape_t *shape = bm_flow_shape(bm_map_flow(map));
  double fraction;
  BM_TRY(go_on(training));
  bm_log_record(experiment->log, "networks computed by %s", training->kernels);
  if (settings->fast && context->size > 1) {
    bm_log_info(experiment->log,
                "  training.reduction = \"fast\": this model is that of %d ranks, others give "
                "other roundings",
                context->size);
  }
  training->checkpoint_due = bm_log_clock() + experiment->checkpoint_every_s;
  BM_TRY(bm_trainer_run(training->trainer, experiment->log, after_step, training));
  double seconds = bm_checkpoint_spent(&training->checkpoint);
  BM_TRY(fraction_of_sgemm(training, shape, settings, &fraction));
  BM_TRY(pull_held_out(context, map, data, training->held_out, &training->density));
  bm_status_t status = BM_OK;
  if (bm_context_is_root(context)) {
    status = write_model(experiment, training->deck_case, map);
    if (status == BM_OK) {
      status = write_history(training);
    }
    if (status == BM_OK) {
      status = put_results(training, map, data, seconds, fraction, results);
    }
    if (status == BM_OK) {
      status = put_speed(training, shape, settings, data->n - training->held_out, results);
    }
  }
  return bm_agree(context, status);
}

/* An untrained map for these configurations, on a chart that is fitted to those that are not held out. */
static bm_status_t create_map(const bm_deck_case_t *deck_case, const bm_space_t *space,
                              const bm_training_data_t *data, size_t held_out, bm_map_t **map)
{
  bm_chart_t *chart = NULL;
  bm_flow_shape_t shape;
  BM_TRY(bm_experiment_flow_shape(deck_case, space->d, &shape));
  size_t rows =
      held_out < data->n ? data->n - held_out : data->n; /* else the trainer refuses them */
  BM_TRY(bm_chart_fit(space->chart, &space->of_chart, rows, data->x, &chart));
  bm_status_t status = bm_map_create(&shape, bm_potential_layout(space->shapes), chart, map);
  if (status != BM_OK) {
    bm_chart_destroy(&chart);
  }
  return status;
}

/* The data as shapes [n][shape d], owned by the caller, and what the loss makes of them. */
static bm_status_t shape_data(const bm_deck_case_t *deck_case, const bm_space_t *space,
                              const bm_map_t *map, bm_training_data_t *data, double **shapes,
                              bm_loss_term_t **term)
{
  const size_t d = bm_map_dimension(map);
  BM_TRY(BM_ALLOC(data->n * d, shapes));
  BM_TRY(bm_chart_project(bm_map_chart(map), data->n, data->x, *shapes));
  const bm_loss_data_t known = {space->system, data->n, d, *shapes};
  BM_TRY(bm_loss_term_create(deck_case, &known, term));
  data->d = d;
  data->x = *shapes;
  data->term = *term;
  return BM_OK;
}

/* A constrained bond is a dimension less than the flow has. */
static void warn_of_constraints(const bm_experiment_t *experiment, const bm_space_t *space)
{
  const bm_molecule_t *molecule = bm_potential_traits(space->system)->molecule;
  if (molecule != NULL && molecule->constraints != NULL && space->backbone == NULL) {
    bm_log_warn(
        experiment->log,
        "%zu bonds of the reference are constrained: it has no density in the coordinates of the "
        "flow, the likelihood is without meaning, and there are no weights",
        molecule->constraints->bond_count);
  }
}

/* Columns such that the reference with a margin on each side fills [-width, width]. */
static bm_status_t create_box(const bm_experiment_grid_t *grid, const bm_training_data_t *data,
                              const bm_layout_t *layout, bm_chart_t **chart)
{
  double mean[BM_BOX_AXES];
  double scale[BM_BOX_AXES];
  for (size_t k = 0; k < data->d; k++) {
    double low = INFINITY;
    double high = -INFINITY;
    for (size_t i = 0; i < data->n; i++) {
      low = fmin(low, data->x[i * data->d + k]);
      high = fmax(high, data->x[i * data->d + k]);
    }
    mean[k] = 0.5 * (low + high);
    scale[k] = (0.5 + grid->margin) * (high - low) / grid->width;
    if (!(scale[k] > 0.0 && isfinite(scale[k]))) {
      return BM_FAIL(BM_ERR_DATA, "coordinate %zu of the reference does not vary", k);
    }
  }
  return bm_chart_create_standardised(layout->particles, layout->dimensions, mean, scale, chart);
}

/* The Moser map to the system's Boltzmann density on the box of these configurations. Collective. */
static bm_status_t create_moser(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                                const bm_space_t *space, const bm_training_data_t *data,
                                bm_map_t **map)
{
  const bm_context_t *context = experiment->context;
  const double begun = bm_log_clock();
  bm_experiment_grid_t grid;
  bm_chart_t *chart = NULL;
  *map = NULL;
  BM_TRY(bm_experiment_grid(deck_case, space->d, &grid));
  BM_TRY_AGREE(context, create_box(&grid, data, bm_potential_layout(space->system), &chart));
  bm_status_t status =
      bm_map_create_moser(context, space->system, grid.cells, grid.width, chart, map);
  if (status != BM_OK) {
    bm_chart_destroy(&chart);
    return status;
  }
  bm_log_info(experiment->log, "  Moser map on %zu cells in %.1f s",
              bm_box_cells(&bm_moser_field(bm_map_moser(*map))->box), bm_log_clock() - begun);
  return BM_OK;
}

static bm_status_t train(bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                         const bm_space_t *space, const bm_training_data_t *configurations,
                         bm_results_t *results)
{
  const bm_context_t *context = experiment->context;
  training_t training = {
      .experiment = experiment,
      .deck_case = deck_case,
      .checkpoint = bm_checkpoint_of(experiment, deck_case,
                                     bm_stage_fingerprint(experiment, &bm_stage_train, deck_case))};
  training.checkpoint.file = experiment->restart_file;
  bm_trainer_settings_t settings;
  bm_map_t *map = NULL;
  bm_map_t *guide = NULL;
  double *shapes = NULL;
  bm_loss_term_t *term = NULL;
  bm_training_data_t data = *configurations;
  BM_TRY(bm_trainer_settings(deck_case, &settings));
  training.held_out = bm_rows_held_out_count(&data, settings.validation_fraction);
  bm_status_t status = create_map(deck_case, space, &data, training.held_out, &map);
  if (status == BM_OK) {
    status = shape_data(deck_case, space, map, &data, &shapes, &term);
  }
  status = bm_agree(context, status);
  if (status == BM_OK && bm_experiment_has_grid(deck_case)) {
    status = create_moser(experiment, deck_case, space, configurations, &guide);
    data.guide = guide;
  }
  warn_of_constraints(experiment, space);
  if (status == BM_OK) {
    const bm_network_ops_t *backend = bm_flow_shape(bm_map_flow(map))->backend;
    int used = snprintf(training.kernels, sizeof training.kernels, "%s (%s), %s", backend->name,
                        backend->kernel(), BM_REAL_NAME);
    if (settings.fast) {
      snprintf(training.kernels + used, sizeof training.kernels - (size_t)used,
               ", sums of %d ranks", context->size);
    }
  }
  if (status == BM_OK) {
    status = bm_trainer_create(context, map, &settings, &data, experiment->seed, &training.trainer);
  }
  if (status == BM_OK) {
    status = run_trainer(&training, map, &settings, &data, results);
  }
  bm_trainer_destroy(&training.trainer);
  bm_free(training.density);
  bm_loss_term_destroy(&term);
  bm_free(shapes);
  bm_map_destroy(&guide);
  bm_map_destroy(&map);
  return status;
}

static bm_status_t put_solution(const bm_map_t *map, double seconds, bm_results_t *results)
{
  const bm_moser_t *moser = bm_map_moser(map);
  const size_t cells = bm_box_cells(&bm_moser_field(moser)->box);
  BM_TRY(bm_results_metric(results, "moser_cells", (double)cells, NAN, "1", 1));
  BM_TRY(bm_results_metric(results, "moser_raised", bm_moser_raised(moser, 1), NAN, "1", cells));
  return bm_results_timing(results, "training_s", seconds, "s");
}

/* In the place of a training: the Moser map. */
static bm_status_t solve(bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                         const bm_space_t *space, const bm_training_data_t *data,
                         bm_results_t *results)
{
  const bm_context_t *context = experiment->context;
  const double begun = bm_log_clock();
  bm_trainer_settings_t settings;
  bm_map_t *map = NULL;
  double *density = NULL;
  BM_TRY(bm_trainer_settings(deck_case, &settings));
  BM_TRY(create_moser(experiment, deck_case, space, data, &map));
  const double seconds = bm_log_clock() - begun;
  const size_t held_out = bm_rows_held_out_count(data, settings.validation_fraction);
  bm_status_t status = pull_held_out(context, map, data, held_out, &density);
  if (status == BM_OK && bm_context_is_root(context)) {
    status = write_model(experiment, deck_case, map);
    if (status == BM_OK) {
      status = put_validation(data, held_out, density, results);
    }
    if (status == BM_OK) {
      status = put_solution(map, seconds, results);
    }
  }
  status = bm_agree(context, status);
  bm_free(density);
  bm_map_destroy(&map);
  return status;
}

/* A map that is not trained has no history. */
static int leaves(const bm_deck_case_t *deck_case, const char *file)
{
  return strcmp(file, "history.csv") != 0 || !bm_experiment_is_computed(deck_case);
}

static bm_status_t run(bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                       bm_results_t *results)
{
  bm_cloud_t cloud;
  double *rows = NULL;
  size_t walkers;
  bm_space_t space;
  BM_TRY_AGREE(experiment->context, bm_space_create(deck_case, &space));
  bm_status_t status =
      bm_stage_load_samples(experiment, deck_case, "reference.h5md", &cloud, &rows, &walkers);
  if (status == BM_OK) {
    bm_training_data_t data = {
        .n = cloud.n, .d = cloud.d, .walkers = walkers, .x = rows, .potential = space.system};
    status = bm_experiment_is_computed(deck_case)
                 ? solve(experiment, deck_case, &space, &data, results)
                 : train(experiment, deck_case, &space, &data, results);
  }
  bm_free(rows);
  bm_space_release(&space);
  return status;
}

const bm_stage_t bm_stage_train = {
    .name = "train",
    .description = "training",
    .groups = "system,reference,flow,training,run.seed",
    .files = files,
    .leaves = leaves,
    .run = run,
};
