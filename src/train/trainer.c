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
#include "boltzmap/train/trend.h"

#define BM_VALIDATION_CHUNK 128 /* rows a shard of the validation set */
#define BM_VALIDATIONS 100      /* evaluations a run, where the deck leaves it open */
#define BM_VALIDATION_GENERATED (8 * BM_VALIDATION_CHUNK) /* generated rows of the held-out loss */
#define BM_REWINDS_MOST 10                                /* before it is given up */
#define BM_REWIND_RATE 0.5                                /* of the learning rate, each time */

static const char *const schedule_names[] = {"cosine", "constant", NULL};
static const char *const keep_names[] = {"best", "last", NULL};
static const char *const nonfinite_names[] = {"recover", "skip", "stop", NULL};
static const char *const reduction_names[] = {"fixed", "fast", NULL};
static const char *const augment_names[] = {"none", "symmetries", NULL};

const bm_deck_key_t bm_trainer_keys[] = {
    {"training.loss", BM_DECK_STRING, "\"nll\"", 0, 0, bm_loss_names, NULL, "loss to minimise"},
    {"training.generated", BM_DECK_INT, "0", 0, 1e9, NULL,
     "training.loss=penalty|pair-penalty|energy|reverse-kl",
     "samples generated each step for the loss; 0: as many as rows of a minibatch"},
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
    {"training.nonfinite", BM_DECK_STRING, "\"recover\"", 0, 0, nonfinite_names, NULL,
     "at a loss or gradient that is not finite: leave the step out and count it as a spike, leave "
     "it out, or end"},
    {"training.spike", BM_DECK_REAL, "1.0", 0, 1e12, NULL, NULL,
     "nats a coordinate above its trend from which the loss is a spike; after 50 in a row training "
     "goes back to the parameters it would keep, at half the rate; 0: never"},
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
  size_t shards;    /* parts of a minibatch */
  size_t generated; /* samples generated a step; 0: none */
  bm_rows_t *source;
  const bm_chart_t *chart;
  bm_real_t *base;     /* [generated rows], of this rank's shards */
  bm_loss_room_t room; /* for generated samples */

  bm_reduction_t *reduction;
  bm_flow_workspace_t *workspace;
  bm_real_t *rows;      /* [batch][d], of this rank's shards of a minibatch */
  int64_t rows_step;    /* finished steps before the one they are for; -1: none */
  bm_real_t *rows_work; /* [batch][d + 1] */
  double *log_det;      /* [batch] */
  double *shard_sums;   /* [parts][own shards] */
  double *chunk_sums;   /* [validation chunks, then those of generated rows] */

  int raised; /* some rank's flag, in the step just finished */

  /* state */
  int64_t epoch, step; /* finished epochs, finished steps */
  int64_t updates;     /* optimiser steps, skipped ones left out */
  int64_t skipped, best_epoch;
  double best_validation, last_validation; /* of the whole loss */
  bm_trend_t trend;                        /* of the loss */
  int64_t rewinds;
  double epoch_loss, epoch_term, epoch_norm; /* sums over the rows of the epoch under way */
  double epoch_rows;         /* rows in these sums: those of skipped steps are left out */
  bm_real_t *moments[2];     /* [own slice] */
  bm_real_t *best;           /* [own slice] */
  bm_history_row_t *history; /* [epochs] */
  size_t history_count;

  double *epoch_rates; /* [epochs], samples/s, of this process's own epochs */
  size_t epoch_rate_count;
  double stepping_s, stepping_rows; /* optimiser steps of the epoch under way, in this process */
};

bm_status_t bm_trainer_settings(const bm_deck_case_t *deck_case, bm_trainer_settings_t *settings)
{
  int cosine = strcmp(bm_deck_string(deck_case, "training.schedule"), "cosine") == 0;
  *settings = (bm_trainer_settings_t){
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
      .spike = bm_deck_real(deck_case, "training.spike"),
  };
  settings->nonfinite = BM_NONFINITE_RECOVER;
  while (strcmp(bm_deck_string(deck_case, "training.nonfinite"),
                nonfinite_names[settings->nonfinite]) != 0) {
    settings->nonfinite++;
    assert(nonfinite_names[settings->nonfinite] != NULL);
  }
  if (bm_deck_has(deck_case, "training.generated")) {
    int64_t generated = bm_deck_int(deck_case, "training.generated");
    settings->generated = generated > 0 ? generated : settings->batch;
    if (!settings->fast && settings->shards > settings->generated) {
      return bm_deck_fail(deck_case, "training.generated", "fewer samples than training.shards");
    }
  }
  if (!settings->fast && settings->shards > settings->batch) {
    return bm_deck_fail(deck_case, "training.shards", "more shards than rows in a minibatch");
  }
  if (settings->validate_every == 0) {
    settings->validate_every = settings->epochs / BM_VALIDATIONS;
    settings->validate_every += settings->validate_every == 0;
  }
  return BM_OK;
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
  batch = batch > trainer->generated ? batch : trainer->generated;
  size_t rows = batch > BM_VALIDATION_CHUNK ? batch : BM_VALIDATION_CHUNK;
  BM_TRY(bm_flow_workspace_create(trainer->flow, rows, shards, &trainer->workspace));
  BM_TRY(bm_rows_create(trainer->chart, &trainer->data, trainer->validation_rows, trainer->seed,
                        trainer->settings.augment, &trainer->source));
  if (trainer->data.term != NULL) {
    BM_TRY(BM_ALLOC(rows * trainer->d, &trainer->base));
    BM_TRY(bm_loss_room_create(rows, trainer->chart, &trainer->room));
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
    bm_rows_destroy(&self->source);
    void *blocks[] = {self->base,       self->rows,       self->rows_work,  self->log_det,
                      self->shard_sums, self->chunk_sums, self->moments[0], self->moments[1],
                      self->best,       self->history,    self->epoch_rates};
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

/* Base points of the samples that this rank generates in the step after so many finished ones. */
static void gather_base(bm_trainer_t *trainer, int64_t finished)
{
  bm_range_t shards = bm_partition(trainer->shards, trainer->context->size, trainer->context->rank);
  size_t first = shard_start(trainer, trainer->generated, shards.first);
  size_t end = shard_start(trainer, trainer->generated, shards.first + shards.count);
  bm_rows_base(trainer->source, (uint64_t)finished, (bm_range_t){first, end - first},
               trainer->base);
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
  size_t before = (first - shard_start(trainer, rows, own)) * trainer->d;
  bm_batch_t batch = {
      {node.count, offset}, (part == 0 ? trainer->rows : trainer->base) + before, rows};
  filling_t filling = {trainer->reduction, part * nodes + index};
  bm_gradient_sink_t sink = {bm_reduction_vector(trainer->reduction, filling.vector), on_ready,
                             &filling};
  double *sums = trainer->shard_sums + part * own_shards(trainer) + (node.first - own);
  if (part == 0) {
    bm_loss_nll_evaluate(trainer->flow, trainer->workspace, &batch, trainer->rows_work,
                         trainer->log_det, sums, &sink);
  } else {
    bm_loss_term_evaluate(trainer->data.term, trainer->chart, trainer->flow, trainer->workspace,
                          &batch, &trainer->room, sums, &sink);
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
  bm_rows_base(trainer->source, BM_ROWS_HELD_OUT_ROUND,
               (bm_range_t){chunk * BM_VALIDATION_CHUNK, BM_VALIDATION_CHUNK}, trainer->rows_work);
  bm_batch_t batch = {{1, offset}, trainer->rows_work, 1};
  bm_loss_term_evaluate(trainer->data.term, trainer->chart, trainer->flow, trainer->workspace,
                        &batch, &trainer->room, &sum, NULL);
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
  bm_status_t status = BM_OK;
  bm_log_progress_start(log, "training", (double)trainer->settings.epochs, "epochs");
  bm_log_progress_resume(log, (double)trainer->step / (double)trainer->steps_per_epoch);
  while (status == BM_OK && trainer->step < total) {
    bm_rows_begin_epoch(trainer->source, trainer->epoch);
    double started = bm_log_clock();
    status = step(trainer, log);
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

/* Counters in the order they are stored. */
#define BM_COUNTERS 9
#define BM_SUMS 7
#define BM_HISTORY_COLUMNS 7
_Static_assert(sizeof(bm_history_row_t) == BM_HISTORY_COLUMNS * sizeof(double),
               "a row of the history is stored as its columns");

static bm_status_t save_counters(const bm_trainer_t *trainer, bm_state_t *state)
{
  const int64_t counters[BM_COUNTERS] = {
      trainer->epoch,        trainer->step,         trainer->updates,
      trainer->skipped,      trainer->best_epoch,   (int64_t)trainer->history_count,
      trainer->trend.spikes, trainer->trend.in_row, trainer->rewinds};
  const double sums[BM_SUMS] = {
      trainer->best_validation, trainer->last_validation, trainer->epoch_loss, trainer->epoch_norm,
      trainer->epoch_rows,      trainer->epoch_term,      trainer->trend.mean};
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

/* What counts steps or epochs is none too many of them; the history has room for no more. */
static bm_status_t check_counters(const bm_trainer_t *trainer, const int64_t counters[BM_COUNTERS])
{
  const int64_t epoch = counters[0];
  const int64_t step = counters[1];
  int good = step >= 0 && epoch == step / (int64_t)trainer->steps_per_epoch &&
             epoch <= trainer->settings.epochs && counters[4] <= epoch && counters[5] == epoch &&
             counters[8] <= BM_REWINDS_MOST;
  for (int i = 0; i < BM_COUNTERS; i++) {
    good = good && counters[i] >= 0 && counters[i] <= step;
  }
  return good ? BM_OK : BM_FAIL(BM_ERR_DATA, "the checkpoint is of a run with other epochs");
}

static bm_status_t restore_counters(bm_trainer_t *trainer, const bm_state_t *state)
{
  int64_t counters[BM_COUNTERS];
  double sums[BM_SUMS];
  BM_TRY(bm_state_get_ints(state, "trainer/counters", BM_COUNTERS, counters));
  BM_TRY(bm_state_get_doubles(state, "trainer/sums", BM_SUMS, sums));
  BM_TRY(check_counters(trainer, counters));
  trainer->rows_step = -1;
  trainer->epoch = counters[0];
  trainer->step = counters[1];
  trainer->updates = counters[2];
  trainer->skipped = counters[3];
  trainer->best_epoch = counters[4];
  trainer->history_count = (size_t)counters[5];
  trainer->trend.spikes = counters[6];
  trainer->trend.in_row = counters[7];
  trainer->rewinds = counters[8];
  trainer->best_validation = sums[0];
  trainer->last_validation = sums[1];
  trainer->epoch_loss = sums[2];
  trainer->epoch_norm = sums[3];
  trainer->epoch_rows = sums[4];
  trainer->epoch_term = sums[5];
  trainer->trend.mean = sums[6];
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
