/* boltzmap check: is the deck good, what would run, how much would it take? Touches nothing. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/app/commands.h"
#include "boltzmap/app/experiment.h"
#include "boltzmap/app/stage.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/sample/sampler.h"
#include "boltzmap/train/flop_rate.h"
#include "boltzmap/train/trainer.h"

#define BM_TRAINING_SHARE 0.55 /* of the products' rate that a training typically gets */

static const bm_option_t options[] = {
    {"--set", "PATH=VALUE", "change a value of the deck; may be repeated"},
    {NULL, NULL, NULL},
};

/* What a case needs. */
typedef struct {
  double training_s, generation_s, rank_bytes, disk_bytes;
  size_t parameters;
} needs_t;

static bm_status_t sizes_of(const bm_deck_case_t *deck_case, bm_flow_shape_t *shape, double *rows,
                            double *particles)
{
  bm_potential_t *potential = NULL;
  BM_TRY(bm_potential_create(deck_case, &potential));
  bm_status_t status =
      bm_experiment_flow_shape(deck_case, bm_potential_dimension(potential), shape);
  *particles = (double)bm_potential_layout(potential)->particles;
  *rows = bm_deck_has(deck_case, "reference.samples")
              ? (double)bm_deck_int(deck_case, "reference.samples")
              : NAN;
  bm_potential_destroy(&potential);
  return status;
}

static bm_status_t estimate(const bm_context_t *context, const bm_deck_case_t *deck_case,
                            needs_t *needs)
{
  bm_flow_shape_t shape;
  bm_trainer_settings_t trainer;
  double rows = NAN;
  double particles = NAN;
  double rate;
  bm_flow_t *flow = NULL;
  bm_evaluate_settings_t evaluate = bm_experiment_evaluate(deck_case);
  BM_TRY_AGREE(context, sizes_of(deck_case, &shape, &rows, &particles));
  BM_TRY_AGREE(context, bm_trainer_settings(deck_case, &trainer));
  BM_TRY_AGREE(context, bm_flow_create(&shape, &flow));
  needs->parameters = bm_flow_parameter_count(flow);
  bm_flow_destroy(&flow);
  BM_TRY(bm_flop_sgemm_rate(context, &shape, (size_t)(trainer.batch / trainer.shards), &rate));
  double flops = bm_flop_training_per_sample(&shape);
  double train_rows = rows * (1.0 - trainer.validation_fraction);
  double generated = (double)bm_deck_int(deck_case, "generate.samples");
  needs->training_s = train_rows * (double)trainer.epochs * flops / (BM_TRAINING_SHARE * rate);
  needs->generation_s =
      (generated + (double)evaluate.average_samples) * flops / 3.0 / (BM_TRAINING_SHARE * rate);
  /* parameters, their best, moments, gradients of the nodes; the rows and the evaluation's columns */
  double d = (double)shape.d;
  double sets = 2.0 * (double)evaluate.floor_pairs + 4.0;
  needs->rank_bytes = 9.0 * sizeof(bm_real_t) * (double)needs->parameters +
                      sets * 8.0 * d * fmax(rows, generated) +
                      8.0 * 8.0 * (double)evaluate.average_samples;
  needs->disk_bytes = (rows + generated) * (particles * 24.0 + 40.0) +
                      9.0 * sizeof(bm_real_t) * (double)needs->parameters;
  return BM_OK;
}

static bm_status_t print_needs(const bm_context_t *context, const bm_deck_t *deck)
{
  for (size_t i = 0; i < bm_deck_case_count(deck); i++) {
    const bm_deck_case_t *deck_case = bm_deck_case(deck, i);
    needs_t needs;
    char training[BM_DURATION_MAX];
    char generation[BM_DURATION_MAX];
    BM_TRY(estimate(context, deck_case, &needs));
    if (bm_context_is_root(context)) {
      printf("# %s: %zu parameters; on %d rank%s of this machine about %s of training and %s of "
             "generation; %.0f MB a rank, %.0f MB on disk\n",
             bm_deck_case_name(deck_case), needs.parameters, context->size,
             context->size == 1 ? "" : "s", bm_log_duration(needs.training_s, training),
             bm_log_duration(needs.generation_s, generation), needs.rank_bytes / 1e6,
             needs.disk_bytes / 1e6);
    }
  }
  return BM_OK;
}

static bm_status_t check_deck(const bm_context_t *context, const bm_deck_t *deck)
{
  BM_TRY_AGREE(context, bm_experiment_check_all(deck));
  if (bm_context_is_root(context)) {
    printf("%s", bm_deck_echo(deck));
  }
  return print_needs(context, deck);
}

static bm_status_t run(const bm_context_t *context, const bm_arguments_t *arguments)
{
  const char *const *overrides;
  bm_deck_t *deck = NULL;
  size_t count = bm_arguments_values(arguments, "--set", &overrides);
  BM_TRY(
      bm_experiment_load(context, bm_arguments_positional(arguments, 0), overrides, count, &deck));
  bm_status_t status = check_deck(context, deck);
  bm_deck_destroy(&deck);
  return status;
}

const bm_command_t bm_command_check = {
    .name = "check",
    .positional = {"DECK"},
    .summary = "validate a deck; print it as it would run, with an estimate of time and memory",
    .details =
        "The estimate multiplies the work of training and generation by the speed of matrix\n"
        "products measured here; sampling and distances are not in it.",
    .options = options,
    .run = run,
};
