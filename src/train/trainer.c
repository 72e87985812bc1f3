#include "boltzmap/train/trainer.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/order.h"
#include "boltzmap/base/random.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/reduction.h"
#include "boltzmap/train/adam.h"

#define BM_VALIDATION_CHUNK 128 /* rows a shard of the validation set */
#define BM_VALIDATIONS 100      /* evaluations a run, where the deck leaves it open */

static const char *const schedule_names[] = {"cosine", "constant", NULL};
static const char *const keep_names[] = {"best", "last", NULL};
static const char *const nonfinite_names[] = {"stop", "skip", NULL};
static const char *const reduction_names[] = {"fixed", "fast", NULL};
static const char *const augment_names[] = {"none", "symmetries", NULL};

const bm_deck_key_t bm_trainer_keys[] = {
    {"training.loss", BM_DECK_STRING, "\"nll\"", 0, 0, bm_loss_names, NULL, "loss to minimise"},
    {"training.epochs", BM_DECK_INT, "400", 1, 1e9, NULL, NULL, "passes over the training rows"},
    {"training.batch", BM_DECK_INT, "256", 1, 1e9, NULL, NULL, "rows a minibatch"},
    {"training.shards", BM_DECK_INT, "8", 1, BM_SHARDS_MAX, NULL, NULL,
     "parts of a minibatch, summed in a fixed order; ranks beyond them idle"},
    {"training.reduction", BM_DECK_STRING, "\"fixed\"", 0, 0, reduction_names, NULL,
     "fixed: the same bits on any number of ranks; fast: a part a rank, so that bits depend on "
     "ranks"},
    {"training.learning_rate", BM_DECK_REAL, "1e-3", 1e-12, 10, NULL, NULL,
     "Adam's step size at the top of the schedule"},
    {"training.final_learning_rate", BM_DECK_REAL, "0.01", 0, 1, NULL, "training.schedule=cosine",
     "fraction of learning_rate that the cosine ends at"},
    {"training.schedule", BM_DECK_STRING, "\"cosine\"", 0, 0, schedule_names, NULL,
     "course of the learning rate"},
    {"training.warmup_steps", BM_DECK_INT, "100", 0, 1e9, NULL, NULL, "steps of linear warm-up"},
    {"training.clip_norm", BM_DECK_REAL, "10", 0, 1e30, NULL, NULL,
     "largest gradient norm; 0: no clipping"},
    {"training.augment", BM_DECK_STRING, "\"none\"", 0, 0, augment_names, NULL,
     "symmetries: each epoch sees each row through random symmetries of the potential"},
    {"training.validation_fraction", BM_DECK_REAL, "0.1", 0.001, 0.9, NULL, NULL,
     "share of the walkers held out, whole ones"},
    {"training.validate_every", BM_DECK_INT, "0", 0, 1e9, NULL, NULL,
     "epochs between evaluations of the held-out loss; 0: about a hundred a run"},
    {"training.keep", BM_DECK_STRING, "\"best\"", 0, 0, keep_names, NULL,
     "which parameters the model keeps: of the best held-out loss, or the last"},
    {"training.nonfinite", BM_DECK_STRING, "\"stop\"", 0, 0, nonfinite_names, NULL,
     "what to do at a loss or gradient that is not finite"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

struct bm_trainer {
  const bm_context_t *context;
  bm_map_t *map;
  bm_flow_t *flow;
  bm_training_data_t data; /* rows and potential not owned */
  bm_trainer_settings_t settings;
  uint64_t seed;
  size_t d, train_rows, validation_rows, steps_per_epoch;
  size_t shards;         /* parts of a minibatch */
  bm_real_t *train;      /* [train_rows][d], standardised */
  double *image;         /* [d], of one row */
  bm_real_t *validation; /* [validation_rows][d] */
  uint32_t *order;       /* [train_rows], rows in the order of this epoch */
  int64_t order_epoch;   /* epoch that order belongs to; -1: none */

  bm_reduction_t *reduction;
  bm_flow_workspace_t *workspace;
  bm_real_t *rows;      /* [batch][d], of this rank's shards of a minibatch */
  int64_t rows_step;    /* finished steps before the one they are for; -1: none */
  bm_real_t *rows_work; /* [batch][d + 1] */
  double *log_det;      /* [batch] */
  double *shard_sums;   /* [shards], own */
  double *chunk_sums;   /* [validation chunks] */

  int raised; /* some rank's flag, in the step just finished */

  /* state */
  int64_t epoch, step; /* finished epochs, finished steps */
  int64_t updates;     /* optimiser steps, skipped ones left out */
  int64_t skipped, best_epoch;
  double best_validation, last_validation;
  double epoch_loss, epoch_norm; /* sums over the rows of the epoch under way */
  double epoch_rows;             /* rows in these sums: those of skipped steps are left out */
  bm_real_t *moments[2];         /* [own slice] */
  bm_real_t *best;               /* [own slice] */
  bm_history_row_t *history;     /* [epochs] */
  size_t history_count;

  double *epoch_rates; /* [epochs], samples/s, of this process's own epochs */
  size_t epoch_rate_count;
  double stepping_s, stepping_rows; /* optimiser steps of the epoch under way, in this process */
};

bm_status_t bm_trainer_settings(const bm_deck_case_t *deck_case, bm_trainer_settings_t *settings)
{
  int cosine = strcmp(bm_deck_string(deck_case, "training.schedule"), "cosine") == 0;
  *settings = (bm_trainer_settings_t){
      .loss = bm_loss_find(bm_deck_string(deck_case, "training.loss")),
      .epochs = bm_deck_int(deck_case, "training.epochs"),
      .batch = bm_deck_int(deck_case, "training.batch"),
      .shards = bm_deck_int(deck_case, "training.shards"),
      .learning_rate = bm_deck_real(deck_case, "training.learning_rate"),
      .final_learning_rate = cosine ? bm_deck_real(deck_case, "training.final_learning_rate") : 1.0,
      .cosine = cosine,
      .warmup_steps = bm_deck_int(deck_case, "training.warmup_steps"),
      .clip_norm = bm_deck_real(deck_case, "training.clip_norm"),
      .validation_fraction = bm_deck_real(deck_case, "training.validation_fraction"),
      .validate_every = bm_deck_int(deck_case, "training.validate_every"),
      .keep_best = strcmp(bm_deck_string(deck_case, "training.keep"), "best") == 0,
      .fast = strcmp(bm_deck_string(deck_case, "training.reduction"), "fast") == 0,
      .augment = strcmp(bm_deck_string(deck_case, "training.augment"), "symmetries") == 0,
      .skip_nonfinite = strcmp(bm_deck_string(deck_case, "training.nonfinite"), "skip") == 0,
  };
  if (!settings->fast && settings->shards > settings->batch) {
    return bm_deck_fail(deck_case, "training.shards", "more shards than rows in a minibatch");
  }
  if (settings->validate_every == 0) {
    settings->validate_every = settings->epochs / BM_VALIDATIONS;
    settings->validate_every += settings->validate_every == 0;
  }
  return BM_OK;
}

size_t bm_trainer_held_out(const bm_training_data_t *data, double fraction)
{
  size_t units = data->walkers > 1 ? data->walkers : data->n;
  size_t held_out = (size_t)llround(fraction * (double)units);
  held_out = held_out < 1 ? 1 : held_out;
  return held_out * (data->n / units);
}

static void standardise(const bm_standardisation_t *units, size_t n, const double *x, bm_real_t *y)
{
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < units->d; k++) {
      y[i * units->d + k] = (bm_real_t)((x[i * units->d + k] - units->mean[k]) / units->scale[k]);
    }
  }
}

size_t bm_trainer_shards(const bm_trainer_settings_t *settings, int ranks)
{
  return settings->fast ? (size_t)ranks : (size_t)settings->shards;
}

/* The present parameters are the best so far: each rank keeps its own slice of them. */
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

static bm_status_t allocate(bm_trainer_t *trainer)
{
  size_t batch = (size_t)trainer->settings.batch < trainer->train_rows
                     ? (size_t)trainer->settings.batch
                     : trainer->train_rows;
  size_t shards = trainer->shards;
  size_t slice = bm_reduction_slice(trainer->reduction).count;
  size_t rows = batch > BM_VALIDATION_CHUNK ? batch : BM_VALIDATION_CHUNK;
  BM_TRY(bm_flow_workspace_create(trainer->flow, rows, shards, &trainer->workspace));
  BM_TRY(BM_ALLOC(trainer->train_rows * trainer->d, &trainer->train));
  BM_TRY(BM_ALLOC(trainer->d, &trainer->image));
  BM_TRY(BM_ALLOC(trainer->validation_rows * trainer->d, &trainer->validation));
  BM_TRY(BM_ALLOC(trainer->train_rows, &trainer->order));
  BM_TRY(BM_ALLOC(rows * trainer->d, &trainer->rows));
  BM_TRY(BM_ALLOC(rows * (trainer->d + 1), &trainer->rows_work));
  BM_TRY(BM_ALLOC(rows, &trainer->log_det));
  BM_TRY(BM_ALLOC(shards, &trainer->shard_sums));
  BM_TRY(BM_ALLOC(validation_chunks(trainer), &trainer->chunk_sums));
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
  size_t held_out = bm_trainer_held_out(data, settings->validation_fraction);
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
  trainer->d = data->d;
  trainer->train_rows = data->n - held_out;
  trainer->validation_rows = held_out;
  trainer->steps_per_epoch =
      (trainer->train_rows + (size_t)settings->batch - 1) / (size_t)settings->batch;
  trainer->shards = bm_trainer_shards(settings, context->size);
  trainer->order_epoch = -1;
  trainer->rows_step = -1;
  trainer->best_validation = INFINITY;
  trainer->last_validation = NAN;
  bm_status_t status = bm_reduction_create(
      context, trainer->shards, bm_flow_parameter_count(trainer->flow), &trainer->reduction);
  if (status == BM_OK) {
    status = bm_agree(context, allocate(trainer));
  }
  if (status != BM_OK) {
    bm_trainer_destroy(&trainer);
    return status;
  }
  standardise(bm_map_standardisation(map), trainer->train_rows, data->x, trainer->train);
  standardise(bm_map_standardisation(map), held_out, data->x + trainer->train_rows * data->d,
              trainer->validation);
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
    void *blocks[] = {self->image,      self->train,      self->validation, self->order,
                      self->rows,       self->rows_work,  self->log_det,    self->shard_sums,
                      self->chunk_sums, self->moments[0], self->moments[1], self->best,
                      self->history,    self->epoch_rates};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
      bm_free(blocks[i]);
    }
  }
  bm_free(self);
  *trainer = NULL;
}

/* The order of the rows in an epoch is a function of seed and epoch. */
static void prepare_epoch(bm_trainer_t *trainer)
{
  if (trainer->order_epoch != trainer->epoch) {
    bm_random_permutation(bm_random(trainer->seed, BM_PURPOSE_SHUFFLE), (uint32_t)trainer->epoch,
                          trainer->train_rows, trainer->order);
    trainer->order_epoch = trainer->epoch;
  }
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
  return rate;
}

/* Rows of the minibatch after so many finished steps, as places in the epoch's order. */
static bm_range_t minibatch(const bm_trainer_t *trainer, int64_t finished)
{
  size_t first = (size_t)finished % trainer->steps_per_epoch * (size_t)trainer->settings.batch;
  size_t rows = trainer->train_rows - first;
  size_t most = (size_t)trainer->settings.batch;
  return (bm_range_t){first, rows < most ? rows : most};
}

/* A training row as one of its images under the potential's symmetries, drawn anew for each epoch. */
static void draw_image(bm_trainer_t *trainer, size_t row, bm_real_t *y /* [d] */)
{
  const size_t d = trainer->d;
  uint32_t words[4];
  bm_random_words(bm_random(trainer->seed, BM_PURPOSE_SYMMETRY), (uint32_t)row,
                  (uint64_t)trainer->epoch, 0, words);
  memcpy(trainer->image, trainer->data.x + row * d, d * sizeof *trainer->image);
  bm_potential_symmetry(trainer->data.potential, words[0], trainer->image);
  standardise(bm_map_standardisation(trainer->map), 1, trainer->image, y);
}

/* The first row of a shard, counted in its minibatch. */
static size_t shard_start(const bm_trainer_t *trainer, size_t batch_rows, size_t shard)
{
  return shard == trainer->shards
             ? batch_rows
             : bm_partition(batch_rows, (int)trainer->shards, (int)shard).first;
}

/* This rank's rows of the minibatch after so many finished steps of the epoch under way. */
static void gather_rows(bm_trainer_t *trainer, int64_t finished)
{
  bm_range_t batch = minibatch(trainer, finished);
  bm_range_t shards = bm_partition(trainer->shards, trainer->context->size, trainer->context->rank);
  size_t first = shard_start(trainer, batch.count, shards.first);
  size_t end = shard_start(trainer, batch.count, shards.first + shards.count);
  int images = trainer->settings.augment && trainer->data.potential != NULL;
  bm_real_t *y = trainer->rows;
  for (size_t i = first; i < end; i++, y += trainer->d) {
    size_t row = trainer->order[batch.first + i];
    if (images) {
      draw_image(trainer, row, y);
    } else {
      memcpy(y, trainer->train + row * trainer->d, trainer->d * sizeof *y);
    }
  }
  trainer->rows_step = finished;
}

/* A vector that is being filled. */
typedef struct {
  bm_reduction_t *reduction;
  size_t index;
} filling_t;

static void on_ready(void *self, size_t first, size_t count)
{
  const filling_t *filling = self;
  bm_reduction_ready(filling->reduction, filling->index, first, count);
}

/* Loss sums and gradient of one node's shards, into the reduction's vector. */
static void compute_node(bm_trainer_t *trainer, size_t index, size_t batch_rows)
{
  bm_node_t node = bm_reduction_node(trainer->reduction, index);
  size_t own = bm_reduction_node(trainer->reduction, 0).first;
  size_t offset[BM_SHARDS_MAX + 1];
  size_t first = shard_start(trainer, batch_rows, node.first);
  for (size_t s = 0; s <= node.count; s++) {
    offset[s] = shard_start(trainer, batch_rows, node.first + s) - first;
  }
  const bm_real_t *y = trainer->rows + (first - shard_start(trainer, batch_rows, own)) * trainer->d;
  bm_batch_t batch = {{node.count, offset}, y, batch_rows};
  filling_t filling = {trainer->reduction, index};
  bm_gradient_sink_t sink = {bm_reduction_vector(trainer->reduction, index), on_ready, &filling};
  trainer->settings.loss->evaluate(trainer->flow, trainer->workspace, &batch, trainer->rows_work,
                                   trainer->log_det, trainer->shard_sums + (node.first - own),
                                   &sink);
}

/* A loss or gradient that is not finite: name it, or skip the step. */
static bm_status_t handle_nonfinite(bm_trainer_t *trainer, const double *shard_losses)
{
  if (trainer->settings.skip_nonfinite) {
    trainer->skipped++;
    return BM_OK;
  }
  for (size_t s = 0; s < trainer->shards; s++) {
    if (!isfinite(shard_losses[s])) {
      return BM_FAIL(BM_ERR_DATA,
                     "training: the loss is not finite at step %lld, shard %zu; lower "
                     "training.learning_rate or set training.nonfinite = \"skip\"",
                     (long long)trainer->step + 1, s);
    }
  }
  return BM_FAIL(BM_ERR_DATA,
                 "training: the gradient is not finite at step %lld; lower "
                 "training.learning_rate or set training.nonfinite = \"skip\"",
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
  for (size_t i = 0; i < bm_reduction_node_count(trainer->reduction); i++) {
    compute_node(trainer, i, batch.count);
  }
  bm_reduction_arrive(trainer->reduction);
  if (next % (int64_t)trainer->steps_per_epoch != 0) {
    gather_rows(trainer, next);
  }
}

static bm_status_t step(bm_trainer_t *trainer)
{
  double rows = (double)minibatch(trainer, trainer->step).count;
  bm_total_t total;
  compute(trainer);
  BM_TRY(bm_reduction_sum(trainer->reduction, trainer->shard_sums, &total));
  trainer->raised = total.raised;
  double loss = bm_tree_sum(trainer->shards, total.shard_values);
  double norm = sqrt(total.squares);
  if (!isfinite(loss) || !isfinite(total.squares)) {
    BM_TRY(handle_nonfinite(trainer, total.shard_values));
  } else {
    trainer->epoch_loss += loss * rows;
    trainer->epoch_norm += norm * rows;
    trainer->epoch_rows += rows;
    BM_TRY(update(trainer, total.slice, norm));
  }
  trainer->step++;
  trainer->stepping_rows += rows;
  return BM_OK;
}

/* Mean loss over the held-out rows: fixed chunks, dealt over ranks, summed in order. */
static bm_status_t validate(bm_trainer_t *trainer, double *mean)
{
  size_t chunks = validation_chunks(trainer);
  const bm_context_t *context = trainer->context;
  memset(trainer->chunk_sums, 0, chunks * sizeof *trainer->chunk_sums);
  bm_range_t own = bm_partition(chunks, context->size, context->rank);
  for (size_t c = own.first; c < own.first + own.count; c++) {
    size_t first = c * BM_VALIDATION_CHUNK;
    size_t rows = trainer->validation_rows - first;
    rows = rows < BM_VALIDATION_CHUNK ? rows : BM_VALIDATION_CHUNK;
    const size_t offset[2] = {0, rows};
    bm_shards_t shards = {1, offset};
    bm_flow_inverse(trainer->flow, trainer->workspace, &shards,
                    trainer->validation + first * trainer->d, trainer->rows_work, trainer->log_det);
    trainer->chunk_sums[c] =
        bm_loss_nll_sum(rows, trainer->d, trainer->rows_work, trainer->log_det);
  }
  /* Every chunk has one owner and zeros elsewhere: this sum has no rounding. */
  BM_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, trainer->chunk_sums, (int)chunks, MPI_DOUBLE, MPI_SUM,
                           context->comm));
  *mean = bm_tree_sum(chunks, trainer->chunk_sums) / (double)trainer->validation_rows;
  return BM_OK;
}

/* Close an epoch: history, held-out loss, best parameters. */
static bm_status_t end_epoch(bm_trainer_t *trainer)
{
  double units = bm_standardisation_log_det(bm_map_standardisation(trainer->map));
  double rows = trainer->epoch_rows;
  trainer->epoch++;
  bm_history_row_t row = {(double)trainer->epoch, trainer->epoch_loss / rows + units, NAN,
                          learning_rate(trainer, trainer->step - 1), trainer->epoch_norm / rows};
  int last = trainer->epoch == trainer->settings.epochs;
  if (last || trainer->epoch % trainer->settings.validate_every == 0) {
    double mean;
    BM_TRY(validate(trainer, &mean));
    row.nll_validation = mean + units;
    trainer->last_validation = row.nll_validation;
    if (row.nll_validation < trainer->best_validation || (last && !trainer->settings.keep_best)) {
      trainer->best_validation = row.nll_validation;
      trainer->best_epoch = trainer->epoch;
      keep_parameters(trainer);
    }
  }
  trainer->history[trainer->history_count++] = row;
  trainer->epoch_loss = 0.0;
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
  bm_status_t status = BM_OK;
  bm_log_progress_start(log, "training", (double)trainer->settings.epochs, "epochs");
  bm_log_progress_resume(log, (double)trainer->step / (double)trainer->steps_per_epoch);
  while (status == BM_OK && trainer->step < total) {
    prepare_epoch(trainer);
    double started = bm_log_clock();
    status = step(trainer);
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

/* Counters in the order they are stored. */
#define BM_COUNTERS 6
#define BM_SUMS 5
#define BM_HISTORY_COLUMNS 5
_Static_assert(sizeof(bm_history_row_t) == BM_HISTORY_COLUMNS * sizeof(double),
               "a row of the history is stored as its columns");

static bm_status_t save_counters(const bm_trainer_t *trainer, bm_state_t *state)
{
  const int64_t counters[BM_COUNTERS] = {trainer->epoch,      trainer->step,
                                         trainer->updates,    trainer->skipped,
                                         trainer->best_epoch, (int64_t)trainer->history_count};
  const double sums[BM_SUMS] = {trainer->best_validation, trainer->last_validation,
                                trainer->epoch_loss, trainer->epoch_norm, trainer->epoch_rows};
  BM_TRY(bm_state_put_ints(state, "trainer/counters", BM_COUNTERS, counters));
  BM_TRY(bm_state_put_doubles(state, "trainer/sums", BM_SUMS, sums));
  return bm_state_put_doubles(state, "trainer/history", trainer->history_count * BM_HISTORY_COLUMNS,
                              (const double *)trainer->history);
}

/* What each rank has a slice of, by name. */
#define BM_SLICED 3
typedef struct {
  const char *name;
  bm_real_t *slice;
} sliced_t;

static void list_sliced(const bm_trainer_t *trainer, sliced_t sliced[BM_SLICED])
{
  sliced[0] = (sliced_t){"trainer/moment_1", trainer->moments[0]};
  sliced[1] = (sliced_t){"trainer/moment_2", trainer->moments[1]};
  sliced[2] = (sliced_t){"trainer/best", trainer->best};
}

bm_status_t bm_trainer_save(bm_trainer_t *trainer, bm_state_t *state)
{
  size_t count = bm_flow_parameter_count(trainer->flow);
  int root = bm_context_is_root(trainer->context);
  sliced_t sliced[BM_SLICED];
  bm_real_t *whole = NULL;
  list_sliced(trainer, sliced);
  BM_TRY_AGREE(trainer->context, BM_ALLOC(root ? count : 0, &whole));
  bm_status_t status = BM_OK;
  for (int i = 0; i < BM_SLICED; i++) {
    bm_status_t gathered = bm_reduction_gather_root(trainer->reduction, sliced[i].slice, whole);
    if (status == BM_OK && gathered == BM_OK && root) {
      gathered = bm_state_put_reals(state, sliced[i].name, count, whole);
    }
    status = status == BM_OK ? gathered : status;
  }
  bm_free(whole);
  if (status == BM_OK && root) {
    status = save_counters(trainer, state);
    if (status == BM_OK) {
      status =
          bm_state_put_reals(state, "trainer/parameters", count, bm_flow_parameters(trainer->flow));
    }
  }
  return bm_agree(trainer->context, status);
}

static bm_status_t restore_counters(bm_trainer_t *trainer, const bm_state_t *state)
{
  int64_t counters[BM_COUNTERS];
  double sums[BM_SUMS];
  BM_TRY(bm_state_get_ints(state, "trainer/counters", BM_COUNTERS, counters));
  BM_TRY(bm_state_get_doubles(state, "trainer/sums", BM_SUMS, sums));
  if (counters[0] < 0 || counters[0] > trainer->settings.epochs || counters[5] != counters[0]) {
    return BM_FAIL(BM_ERR_DATA, "the checkpoint is of a run with other epochs");
  }
  trainer->rows_step = -1;
  trainer->epoch = counters[0];
  trainer->step = counters[1];
  trainer->updates = counters[2];
  trainer->skipped = counters[3];
  trainer->best_epoch = counters[4];
  trainer->history_count = (size_t)counters[5];
  trainer->best_validation = sums[0];
  trainer->last_validation = sums[1];
  trainer->epoch_loss = sums[2];
  trainer->epoch_norm = sums[3];
  trainer->epoch_rows = sums[4];
  return bm_state_get_doubles(state, "trainer/history", trainer->history_count * BM_HISTORY_COLUMNS,
                              (double *)trainer->history);
}

bm_status_t bm_trainer_restore(bm_trainer_t *trainer, const bm_state_t *state)
{
  size_t count = bm_flow_parameter_count(trainer->flow);
  bm_range_t slice = bm_reduction_slice(trainer->reduction);
  bm_real_t *whole = NULL;
  bm_status_t status = BM_ALLOC(count, &whole);
  sliced_t sliced[BM_SLICED];
  list_sliced(trainer, sliced);
  for (int i = 0; i < BM_SLICED && status == BM_OK; i++) {
    status = bm_state_get_reals(state, sliced[i].name, count, whole);
    if (status == BM_OK) {
      memcpy(sliced[i].slice, whole + slice.first, slice.count * sizeof *whole);
    }
  }
  bm_free(whole);
  if (status == BM_OK) {
    status =
        bm_state_get_reals(state, "trainer/parameters", count, bm_flow_parameters(trainer->flow));
  }
  if (status == BM_OK) {
    status = restore_counters(trainer, state);
  }
  return bm_agree(trainer->context, status);
}
