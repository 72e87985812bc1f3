#include "boltzmap/train/trainer.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/order.h"
#include "boltzmap/base/random.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/train/adam.h"
#include "boltzmap/train/trend.h"
#include "trainer_state.h"

#define BM_VALIDATION_CHUNK 128                           /* rows a shard of the validation set */
#define BM_VALIDATION_GENERATED (8 * BM_VALIDATION_CHUNK) /* generated rows of the held-out loss */
#define BM_REWIND_RATE 0.5                                /* of the learning rate, each time */

static void keep_parameters(bm_trainer_t *trainer)
{
  bm_range_t slice = bm_reduction_slice(trainer->reduction);
  memcpy(trainer->best, bm_flow_parameters(trainer->flow) + slice.first,
         slice.count * sizeof *trainer->best);
}

static size_t validation_chunks(const bm_trainer_t *trainer)
{
  return (trainer->validation_rows + BM_VALIDATION_CHUNK - 1) / BM_VALIDATION_CHUNK;
}

static size_t generated_chunks(const bm_trainer_t *trainer)
{
  return trainer->data.term == NULL ? 0 : BM_VALIDATION_GENERATED / BM_VALIDATION_CHUNK;
}

static size_t parts_of(const bm_trainer_t *trainer)
{
  return trainer->data.term == NULL ? 1 : 2;
}

static bm_status_t allocate(bm_trainer_t *trainer)
{
  size_t batch = (size_t)trainer->settings.batch < trainer->train_rows
                     ? (size_t)trainer->settings.batch
                     : trainer->train_rows;
  size_t shards = trainer->shards;
  size_t slice = bm_reduction_slice(trainer->reduction).count;
  size_t samples =
      trainer->generated > BM_VALIDATION_CHUNK ? trainer->generated : BM_VALIDATION_CHUNK;
  size_t bases = samples * trainer->group;
  size_t points = samples * trainer->points;
  size_t rows = batch > bases ? batch : bases;
  BM_TRY(bm_flow_workspace_create(trainer->flow, rows, shards, &trainer->workspace));
  BM_TRY(bm_rows_create(trainer->chart, &trainer->data, trainer->validation_rows, trainer->seed,
                        trainer->settings.augment, &trainer->source));
  if (trainer->data.term != NULL) {
    BM_TRY(BM_ALLOC(bases * trainer->d, &trainer->base));
    BM_TRY(BM_ALLOC(points * trainer->d, &trainer->target));
    BM_TRY(bm_loss_room_create(points, trainer->chart, &trainer->room));
  }

  BM_TRY(BM_ALLOC(rows * trainer->d, &trainer->rows));
  BM_TRY(BM_ALLOC(rows * (trainer->d + 1), &trainer->rows_work));
  BM_TRY(BM_ALLOC(rows, &trainer->log_det));
  BM_TRY(BM_ALLOC(parts_of(trainer) * shards, &trainer->shard_sums));
  BM_TRY(BM_ALLOC(validation_chunks(trainer) + generated_chunks(trainer), &trainer->chunk_sums));
  BM_TRY(BM_ALLOC(slice, &trainer->moments[0]));
  BM_TRY(BM_ALLOC(slice, &trainer->moments[1]));
  BM_TRY(BM_ALLOC(slice, &trainer->best));
  BM_TRY(BM_ALLOC((size_t)trainer->settings.epochs, &trainer->history));
  return BM_ALLOC((size_t)trainer->settings.epochs, &trainer->epoch_rates);
}

bm_status_t bm_trainer_create(const bm_context_t *context, bm_map_t *map,
                              const bm_trainer_settings_t *settings, const bm_training_data_t *data,
                              uint64_t seed, bm_trainer_t **out)
{
  bm_trainer_t *trainer = NULL;
  *out = NULL;
  size_t held_out = bm_rows_held_out_count(data, settings->validation_fraction);
  if (held_out >= data->n) {
    return BM_FAIL(BM_ERR_DATA, "training: %zu rows are too few to hold some out", data->n);
  }
  BM_TRY_AGREE(context, BM_ALLOC(1, &trainer));
  trainer->context = context;
  trainer->map = map;
  trainer->flow = bm_map_flow(map);
  trainer->data = *data;
  trainer->settings = *settings;
  trainer->seed = seed;
  trainer->chart = bm_map_chart(map);
  trainer->d = bm_chart_dimension(trainer->chart);
  trainer->generated = data->term == NULL ? 0 : (size_t)settings->generated;
  trainer->group = data->term == NULL ? 1 : bm_loss_term_group(data->term);
  trainer->points = data->term == NULL ? 1 : bm_loss_term_points(data->term);
  trainer->train_rows = data->n - held_out;
  trainer->validation_rows = held_out;
  trainer->steps_per_epoch =
      (trainer->train_rows + (size_t)settings->batch - 1) / (size_t)settings->batch;
  trainer->shards = bm_trainer_shards(settings, context->size);

  trainer->rows_step = -1;
  trainer->best_validation = INFINITY;
  trainer->last_validation = NAN;
  trainer->trend = bm_trend(settings->spike * (double)trainer->d);
  bm_status_t status =
      bm_reduction_create(context, trainer->shards, parts_of(trainer),
                          bm_flow_parameter_count(trainer->flow), &trainer->reduction);
  if (status == BM_OK) {
    status = bm_agree(context, allocate(trainer));
  }
  if (status == BM_OK && data->term != NULL && bm_loss_term_is_paired(data->term)) {
    const bm_pairs_source_t source = {trainer->source,
                                      trainer->chart,
                                      data->guide,
                                      trainer->group,
                                      bm_loss_term_step(data->term),
                                      bm_loss_term_stages(data->term)};
    status = bm_pairs_create(context, &settings->pairs, &source, seed, &trainer->pairs);
  }
  if (status != BM_OK) {
    bm_trainer_destroy(&trainer);
    return status;
  }

  bm_flow_initialise(trainer->flow, seed);
  keep_parameters(trainer);
  *out = trainer;
  return BM_OK;
}

void bm_trainer_destroy(bm_trainer_t **trainer)
{
  bm_trainer_t *self = *trainer;
  if (self != NULL) {
    bm_reduction_destroy(&self->reduction);
    bm_flow_workspace_destroy(&self->workspace);
    bm_loss_room_release(&self->room);
    bm_pairs_destroy(&self->pairs);
    bm_rows_destroy(&self->source);
    void *blocks[] = {self->base,       self->target,     self->rows,       self->rows_work,
                      self->log_det,    self->shard_sums, self->chunk_sums, self->moments[0],
                      self->moments[1], self->best,       self->history,    self->epoch_rates};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
      bm_free(blocks[i]);
    }
  }
  bm_free(self);
  *trainer = NULL;
}

/* Rate of the step after so many finished ones. */
static double learning_rate(const bm_trainer_t *trainer, int64_t finished)
{
  const bm_trainer_settings_t *settings = &trainer->settings;
  double rate = settings->learning_rate;
  double total = (double)settings->epochs * (double)trainer->steps_per_epoch;
  if (settings->cosine) {
    double progress = (double)finished / total;
    double low = settings->final_learning_rate;
    rate *= low + (1.0 - low) * 0.5 * (1.0 + cos(M_PI * progress));
  }
  if (finished < settings->warmup_steps) {
    rate *= (double)(finished + 1) / (double)settings->warmup_steps;
  }
  return rate * pow(BM_REWIND_RATE, (double)trainer->rewinds);
}

/* Rows of the minibatch after so many finished steps, as places in the epoch's order. */
static bm_range_t minibatch(const bm_trainer_t *trainer, int64_t finished)
{
  size_t first = (size_t)finished % trainer->steps_per_epoch * (size_t)trainer->settings.batch;
  size_t rows = trainer->train_rows - first;
  size_t most = (size_t)trainer->settings.batch;
  return (bm_range_t){first, rows < most ? rows : most};
}

/* The first row of a shard, counted in its minibatch. */
static size_t shard_start(const bm_trainer_t *trainer, size_t batch_rows, size_t shard)
{
  return shard == trainer->shards
             ? batch_rows
             : bm_partition(batch_rows, (int)trainer->shards, (int)shard).first;
}

/* Of the term's weight, after so many finished steps. */
static double course(const bm_trainer_t *trainer, int64_t finished)
{
  const double total = (double)trainer->settings.epochs * (double)trainer->steps_per_epoch;
  const double left = 1.0 - (double)finished / total;
  switch (trainer->settings.course) {
  case BM_COURSE_LINEAR:
    return left;
  case BM_COURSE_COSINE:
    return 0.5 * (1.0 - cos(M_PI * left));
  case BM_COURSE_CONSTANT:
    break;
  }
  return 1.0;
}

/* At the end, which is what held-out losses are compared by. */
static double last_course(const bm_trainer_t *trainer)
{
  return trainer->settings.course == BM_COURSE_CONSTANT ? 1.0 : 0.0;
}

/* Base points of the samples that this rank generates in the step after so many finished ones. */
static void gather_base(bm_trainer_t *trainer, int64_t finished)
{
  bm_range_t shards = bm_partition(trainer->shards, trainer->context->size, trainer->context->rank);
  size_t first = shard_start(trainer, trainer->generated, shards.first);
  size_t end = shard_start(trainer, trainer->generated, shards.first + shards.count);
  const bm_range_t samples = {first, end - first};
  if (trainer->pairs != NULL) {
    bm_pairs_draw(trainer->pairs, finished, samples, trainer->base, trainer->target);
  } else if (trainer->data.term != NULL) {
    bm_rows_base(trainer->source, BM_PURPOSE_LOSS_BASE, (uint64_t)finished, samples, trainer->group,
                 bm_loss_term_step(trainer->data.term), trainer->base);
  }
}

/* This rank's rows of the minibatch after so many finished steps of the epoch under way, and its base
 * points. */
static void gather_rows(bm_trainer_t *trainer, int64_t finished)
{
  bm_range_t batch = minibatch(trainer, finished);
  bm_range_t shards = bm_partition(trainer->shards, trainer->context->size, trainer->context->rank);
  size_t first = shard_start(trainer, batch.count, shards.first);
  size_t end = shard_start(trainer, batch.count, shards.first + shards.count);
  bm_rows_take(trainer->source, (bm_range_t){batch.first + first, end - first}, trainer->rows);
  gather_base(trainer, finished);
  trainer->rows_step = finished;
}

static size_t own_shards(const bm_trainer_t *trainer)
{
  return bm_partition(trainer->shards, trainer->context->size, trainer->context->rank).count;
}

/* A vector that is being filled. */
typedef struct {
  bm_reduction_t *reduction;
  size_t vector;
} filling_t;

static void on_ready(void *self, size_t first, size_t count)
{
  const filling_t *filling = self;
  bm_reduction_ready(filling->reduction, filling->vector, first, count);
}

/* Loss sums and gradient of one node's shards in one part of the loss, into the reduction's vector. */
static void compute_node(bm_trainer_t *trainer, size_t part, size_t index, size_t rows)
{
  size_t nodes = bm_reduction_node_count(trainer->reduction);
  bm_node_t node = bm_reduction_node(trainer->reduction, index);
  size_t own = bm_reduction_node(trainer->reduction, 0).first;
  size_t offset[BM_SHARDS_MAX + 1];
  size_t first = shard_start(trainer, rows, node.first);
  for (size_t s = 0; s <= node.count; s++) {
    offset[s] = shard_start(trainer, rows, node.first + s) - first;
  }
  const size_t before = (first - shard_start(trainer, rows, own)) * trainer->d;
  filling_t filling = {trainer->reduction, part * nodes + index};
  bm_gradient_sink_t sink = {bm_reduction_vector(trainer->reduction, filling.vector), on_ready,
                             &filling};
  double *sums = trainer->shard_sums + part * own_shards(trainer) + (node.first - own);
  if (part == 0) {
    const bm_batch_t batch = {{node.count, offset}, trainer->rows + before, rows};
    bm_loss_nll_evaluate(trainer->flow, trainer->workspace, &batch, trainer->rows_work,
                         trainer->log_det, sums, &sink);
  } else {
    const bm_loss_samples_t samples = {{node.count, offset},
                                       trainer->base + trainer->group * before,
                                       trainer->target + trainer->points * before,
                                       course(trainer, trainer->step) / (double)rows};
    bm_loss_term_evaluate(trainer->data.term, trainer->chart, trainer->flow, trainer->workspace,
                          &samples, &trainer->room, sums, &sink);
  }
}

/* A loss or gradient that is not finite: name it. */
static bm_status_t fail_nonfinite(const bm_trainer_t *trainer, const double *shard_losses)
{
  for (size_t s = 0; s < parts_of(trainer) * trainer->shards; s++) {
    if (!isfinite(shard_losses[s])) {
      return BM_FAIL(BM_ERR_DATA,
                     "training: the loss is not finite at step %lld, shard %zu; lower "
                     "training.learning_rate or set training.nonfinite = \"recover\"",
                     (long long)trainer->step + 1, s % trainer->shards);
    }
  }
  return BM_FAIL(BM_ERR_DATA,
                 "training: the gradient is not finite at step %lld; lower "
                 "training.learning_rate or set training.nonfinite = \"recover\"",
                 (long long)trainer->step + 1);
}

/* Adam on this rank's slice, then everyone's slices put together. */
static bm_status_t update(bm_trainer_t *trainer, const bm_real_t *gradient, double norm)
{
  bm_range_t slice = bm_reduction_slice(trainer->reduction);
  double clip = trainer->settings.clip_norm;
  double factor = clip > 0.0 && norm > clip ? clip / norm : 1.0;
  bm_adam_t adam = {learning_rate(trainer, trainer->step), 0.9, 0.999, 1e-8};
  trainer->updates++;
  bm_adam_step(&adam, trainer->updates, factor, slice.count, gradient, trainer->moments[0],
               trainer->moments[1], bm_reduction_common(trainer->reduction) + slice.first);
  return bm_reduction_share(trainer->reduction);
}

/* Gradients of this rank's shards; the next rows are gathered while others are waited for. */
static void compute(bm_trainer_t *trainer)
{
  bm_range_t batch = minibatch(trainer, trainer->step);
  int64_t next = trainer->step + 1;
  bm_reduction_start(trainer->reduction);
  if (trainer->rows_step != trainer->step) {
    gather_rows(trainer, trainer->step);
  }
  for (size_t part = 0; part < parts_of(trainer); part++) {
    for (size_t i = 0; i < bm_reduction_node_count(trainer->reduction); i++) {
      compute_node(trainer, part, i, part == 0 ? batch.count : trainer->generated);
    }
  }
  bm_reduction_arrive(trainer->reduction);
  if (next % (int64_t)trainer->steps_per_epoch != 0) {
    gather_rows(trainer, next);
  }
}

/* Back to the parameters that would be kept, or to the first ones; the optimiser starts anew. */
static bm_status_t rewind_training(bm_trainer_t *trainer, bm_log_t *log)
{
  bm_range_t slice = bm_reduction_slice(trainer->reduction);
  if (trainer->rewinds == BM_REWINDS_MOST) {
    return BM_FAIL(
        BM_ERR_DATA,
        "training: the loss has left its trend %d times, the last time at step %lld; lower "
        "training.learning_rate or training.clip_norm",
        BM_REWINDS_MOST + 1, (long long)trainer->step + 1);
  }
  trainer->rewinds++;
  trainer->updates = 0;
  bm_trend_restart(&trainer->trend);
  memset(trainer->moments[0], 0, slice.count * sizeof *trainer->moments[0]);
  memset(trainer->moments[1], 0, slice.count * sizeof *trainer->moments[1]);
  memcpy(bm_reduction_common(trainer->reduction) + slice.first, trainer->best,
         slice.count * sizeof *trainer->best);
  bm_log_warn(log, "the loss does not come down: training goes on from epoch %lld at half the rate",
              (long long)trainer->best_epoch);
  return bm_reduction_share(trainer->reduction);
}

static void add_to_epoch(bm_trainer_t *trainer, const double *losses, double norm, double rows)
{
  trainer->epoch_loss += losses[0] * rows;
  trainer->epoch_term += losses[1] * rows;
  trainer->epoch_norm += norm * rows;
  trainer->epoch_rows += rows;
}

/* What becomes of a step whose gradient is known. */
static bm_status_t decide(bm_trainer_t *trainer, const bm_total_t *total, double rows,
                          bm_log_t *log)
{
  const size_t parts = parts_of(trainer);
  const double losses[2] = {
      bm_tree_sum(trainer->shards, total->shard_values),
      parts == 2 ? bm_tree_sum(trainer->shards, total->shard_values + trainer->shards) : 0.0};
  const double loss = losses[0] + losses[1];
  const double norm = sqrt(total->squares);
  const int is_finite = isfinite(loss) && isfinite(total->squares);
  if (!is_finite && trainer->settings.nonfinite == BM_NONFINITE_STOP) {
    return fail_nonfinite(trainer, total->shard_values);
  }
  trainer->skipped += !is_finite;
  if (!is_finite && trainer->settings.nonfinite == BM_NONFINITE_SKIP) {
    return BM_OK;
  }
  const double before = trainer->trend.mean;
  if (bm_trend_follow(&trainer->trend, is_finite ? loss : INFINITY) && trainer->trend.in_row == 1) {
    bm_log_record(log, "step %lld: the loss is %.4g, its trend %.4g: a spike",
                  (long long)trainer->step + 1, loss, before);
  }
  if (bm_trend_is_lost(&trainer->trend)) {
    return rewind_training(trainer, log);
  }
  if (!is_finite) {
    return BM_OK;
  }
  add_to_epoch(trainer, losses, norm, rows);
  return update(trainer, total->slice, norm);
}

/* Rows and pairs of the epoch under way; nothing where they are there. */
static bm_status_t begin_epoch(bm_trainer_t *trainer)
{
  if (trainer->pairs != NULL) {
    return bm_pairs_begin_epoch(trainer->pairs, trainer->epoch);
  }
  bm_rows_begin_epoch(trainer->source, trainer->epoch);
  return BM_OK;
}

static bm_status_t step(bm_trainer_t *trainer, bm_log_t *log)
{
  double rows = (double)minibatch(trainer, trainer->step).count;
  bm_total_t total;
  compute(trainer);
  BM_TRY(bm_reduction_sum(trainer->reduction, trainer->shard_sums, &total));
  trainer->raised = total.raised;
  BM_TRY(decide(trainer, &total, rows, log));
  trainer->step++;
  trainer->stepping_rows += rows;
  return BM_OK;
}

/* Rows of this validation chunk, of so many rows in all. */
static size_t chunk_rows(size_t rows, size_t chunk)
{
  size_t left = rows - chunk * BM_VALIDATION_CHUNK;
  return left < BM_VALIDATION_CHUNK ? left : BM_VALIDATION_CHUNK;
}

static double held_out_sum(bm_trainer_t *trainer, size_t chunk)
{
  size_t rows = chunk_rows(trainer->validation_rows, chunk);
  const size_t offset[2] = {0, rows};
  bm_shards_t shards = {1, offset};
  bm_flow_inverse(trainer->flow, trainer->workspace, &shards,
                  bm_rows_held_out(trainer->source) + chunk * BM_VALIDATION_CHUNK * trainer->d,
                  trainer->rows_work, trainer->log_det);
  return bm_loss_nll_sum(rows, trainer->d, trainer->rows_work, trainer->log_det);
}

/* The generated samples of the held-out loss are always from the same base points. */
static double generated_sum(bm_trainer_t *trainer, size_t chunk)
{
  const size_t offset[2] = {0, BM_VALIDATION_CHUNK};
  double sum;
  const bm_range_t places = {chunk * BM_VALIDATION_CHUNK, BM_VALIDATION_CHUNK};
  if (trainer->pairs != NULL) {
    bm_pairs_held_out(trainer->pairs, places, trainer->rows_work, trainer->target);
  } else {
    bm_rows_base(trainer->source, BM_PURPOSE_LOSS_BASE, BM_ROWS_HELD_OUT_ROUND, places,
                 trainer->group, bm_loss_term_step(trainer->data.term), trainer->rows_work);
  }
  const bm_loss_samples_t samples = {
      {1, offset}, trainer->rows_work, trainer->target, last_course(trainer)};
  bm_loss_term_evaluate(trainer->data.term, trainer->chart, trainer->flow, trainer->workspace,
                        &samples, &trainer->room, &sum, NULL);
  return sum;
}

/* The held-out loss and the part of the term in it: fixed chunks, dealt over ranks, summed in order. */
static bm_status_t validate(bm_trainer_t *trainer, double *nll, double *term)
{
  size_t chunks = validation_chunks(trainer);
  size_t generated = generated_chunks(trainer);
  const bm_context_t *context = trainer->context;
  memset(trainer->chunk_sums, 0, (chunks + generated) * sizeof *trainer->chunk_sums);
  bm_range_t own = bm_partition(chunks + generated, context->size, context->rank);
  for (size_t c = own.first; c < own.first + own.count; c++) {
    trainer->chunk_sums[c] =
        c < chunks ? held_out_sum(trainer, c) : generated_sum(trainer, c - chunks);
  }
  /* Every chunk has one owner and zeros elsewhere: this sum has no rounding. */
  BM_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, trainer->chunk_sums, (int)(chunks + generated), MPI_DOUBLE,
                           MPI_SUM, context->comm));
  *nll = bm_tree_sum(chunks, trainer->chunk_sums) / (double)trainer->validation_rows;
  *term = generated == 0 ? 0.0
                         : bm_tree_sum(generated, trainer->chunk_sums + chunks) /
                               (double)BM_VALIDATION_GENERATED;
  return BM_OK;
}

/* Are the parameters just validated the ones to keep, and to go back to? Not while the loss is up: those are
 * what going back is to leave; but the last ones, where they are as good as any. */
static int is_to_keep(const bm_trainer_t *trainer, int last)
{
  const double loss = trainer->last_validation;
  if (trainer->trend.in_row > 0 && !last) {
    return 0;
  }
  return loss < trainer->best_validation ||
         (!trainer->settings.keep_best && (last || isfinite(loss)));
}

/* Close an epoch: history, held-out loss, best parameters. */
static bm_status_t end_epoch(bm_trainer_t *trainer)
{
  double units = bm_chart_log_det(trainer->chart);
  double rows = trainer->epoch_rows;
  int has_term = trainer->data.term != NULL;
  trainer->epoch++;
  bm_history_row_t row = {(double)trainer->epoch,
                          trainer->epoch_loss / rows + units,
                          NAN,
                          learning_rate(trainer, trainer->step - 1),
                          trainer->epoch_norm / rows,
                          has_term ? trainer->epoch_term / rows : NAN,
                          NAN};
  int last = trainer->epoch == trainer->settings.epochs;
  if (last || trainer->epoch % trainer->settings.validate_every == 0) {
    double nll;
    double term;
    BM_TRY(validate(trainer, &nll, &term));
    row.nll_validation = nll + units;
    row.term_validation = has_term ? term : NAN;
    trainer->last_validation = row.nll_validation + term;
    if (is_to_keep(trainer, last)) {
      trainer->best_validation = trainer->last_validation;
      trainer->best_epoch = trainer->epoch;
      keep_parameters(trainer);
    }
  }
  trainer->history[trainer->history_count++] = row;
  trainer->epoch_loss = 0.0;
  trainer->epoch_term = 0.0;
  trainer->epoch_norm = 0.0;
  trainer->epoch_rows = 0.0;
  if (trainer->stepping_s > 0.0) {
    trainer->epoch_rates[trainer->epoch_rate_count++] =
        trainer->stepping_rows / trainer->stepping_s;
  }
  trainer->stepping_s = 0.0;
  trainer->stepping_rows = 0.0;
  return BM_OK;
}

static void show_progress(const bm_trainer_t *trainer, bm_log_t *log)
{
  const bm_history_row_t *row =
      trainer->history_count > 0 ? &trainer->history[trainer->history_count - 1] : NULL;
  double done = (double)trainer->step / (double)trainer->steps_per_epoch;
  if (row == NULL) {
    bm_log_progress(log, done, NULL);
  } else {
    bm_log_progress(log, done, "loss %.4f, held-out %.4f (best %.4f)", row->nll_train,
                    trainer->last_validation, trainer->best_validation);
  }
}

/* While it trains, the flow has the parameters that its host's ranks share. */
static bm_status_t share_parameters(bm_trainer_t *trainer, const bm_real_t *slice)
{
  bm_range_t own = bm_reduction_slice(trainer->reduction);
  bm_real_t *common = bm_reduction_common(trainer->reduction);
  memcpy(common + own.first, slice, own.count * sizeof *slice);
  bm_flow_borrow(trainer->flow, common);
  return bm_reduction_share(trainer->reduction);
}

static bm_status_t run_steps(bm_trainer_t *trainer, bm_log_t *log, bm_trainer_hook_t hook,
                             void *hook_data)
{
  int64_t total = trainer->settings.epochs * (int64_t)trainer->steps_per_epoch;
  bm_status_t status = begin_epoch(trainer); /* pairs take a while, that is no training's */
  bm_log_progress_start(log, "training", (double)trainer->settings.epochs, "epochs");
  bm_log_progress_resume(log, (double)trainer->step / (double)trainer->steps_per_epoch);
  while (status == BM_OK && trainer->step < total) {
    status = begin_epoch(trainer);
    double started = bm_log_clock();
    if (status == BM_OK) {
      status = step(trainer, log);
    }
    trainer->stepping_s += bm_log_clock() - started;
    if (status == BM_OK && trainer->step % (int64_t)trainer->steps_per_epoch == 0) {
      status = end_epoch(trainer);
    }
    show_progress(trainer, log);
    if (status == BM_OK && hook != NULL) {
      status = hook(trainer, hook_data);
    }
  }
  bm_log_progress_end(log);
  return status;
}

bm_status_t bm_trainer_run(bm_trainer_t *trainer, bm_log_t *log, bm_trainer_hook_t hook,
                           void *hook_data)
{
  bm_range_t own = bm_reduction_slice(trainer->reduction);
  bm_status_t status = share_parameters(trainer, bm_flow_parameters(trainer->flow) + own.first);
  if (status == BM_OK) {
    status = run_steps(trainer, log, hook, hook_data);
  }
  if (status == BM_OK && trainer->best_epoch == 0) {
    status = BM_FAIL(BM_ERR_DATA,
                     "training: the held-out loss was never finite, so that there is no model to "
                     "keep; lower training.learning_rate or look at the held-out samples");
  }
  if (status == BM_OK) {
    status = share_parameters(trainer, trainer->best);
  }
  bm_flow_borrow(trainer->flow, NULL);
  return status;
}

void bm_trainer_raise(bm_trainer_t *trainer)
{
  bm_reduction_raise(trainer->reduction);
}

int bm_trainer_raised(const bm_trainer_t *trainer)
{
  return trainer->raised;
}

int64_t bm_trainer_step(const bm_trainer_t *trainer)
{
  return trainer->step;
}

void bm_trainer_report(const bm_trainer_t *trainer, bm_training_report_t *report)
{
  *report = (bm_training_report_t){.epochs = trainer->epoch,
                                   .steps = trainer->step,
                                   .best_epoch = trainer->best_epoch,
                                   .skipped_steps = trainer->skipped,
                                   .spikes = trainer->trend.spikes,
                                   .rewinds = trainer->rewinds,
                                   .best_validation = trainer->best_validation,
                                   .last_validation = trainer->last_validation,
                                   .samples_per_s = NAN};
  if (trainer->epoch_rate_count > 0) {
    qsort(trainer->epoch_rates, trainer->epoch_rate_count, sizeof(double), bm_order_ascending);
    report->samples_per_s = trainer->epoch_rates[trainer->epoch_rate_count / 2];
  }
}

const bm_history_row_t *bm_trainer_history(const bm_trainer_t *trainer, size_t *count)
{
  *count = trainer->history_count;
  return trainer->history;
}
