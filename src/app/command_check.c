/* boltzmap check: is the deck good, what would run, how much would it take? Touches nothing. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/analyse/lipschitz.h"
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
#define BM_EXACT_DOUBLES 150   /* that the exact distance keeps of a point */
#define BM_WIDEST 2048         /* rows and columns of a product that is timed */

static const bm_option_t options[] = {
    {"--set", "PATH=VALUE", "change a value of the deck; may be repeated"},
    {NULL, NULL, NULL},
};

/* What a case is like. */
typedef struct {
  bm_flow_shape_t shape;
  bm_trainer_settings_t trainer;
  bm_evaluate_settings_t evaluate;
  double particles, reference, generated; /* configurations of each set */
  double parameters, workspace_bytes;
} case_t;

/* What it needs. */
typedef struct {
  double training_s, generation_s, rank_bytes, disk_bytes;
} needs_t;

static bm_status_t describe(const bm_deck_case_t *deck_case, case_t *found)
{
  bm_potential_t *potential = NULL;
  BM_TRY(bm_potential_create(deck_case, &potential));
  const size_t d = bm_potential_dimension(potential);
  found->particles = (double)bm_potential_layout(potential)->particles;
  bm_potential_destroy(&potential);
  BM_TRY(bm_experiment_flow_shape(deck_case, d, &found->shape));
  BM_TRY(bm_trainer_settings(deck_case, &found->trainer));
  found->evaluate = bm_experiment_evaluate(deck_case);
  found->generated = (double)bm_deck_int(deck_case, "generate.samples");
  found->parameters = (double)bm_flow_shape_parameters(&found->shape);
  found->workspace_bytes = bm_flow_workspace_bytes(&found->shape, (size_t)found->trainer.batch,
                                                   (size_t)found->trainer.shards);
  return BM_OK;
}

/* Samples of the reference: those of the deck, or of the user's file, which has to be good. */
static bm_status_t count_reference(const bm_context_t *context, const bm_deck_case_t *deck_case,
                                   case_t *found)
{
  bm_samples_t *samples = NULL;
  if (bm_deck_has(deck_case, "reference.samples")) {
    found->reference = (double)bm_deck_int(deck_case, "reference.samples");
    return BM_OK;
  }
  BM_TRY(bm_stage_read_file(context, deck_case, found->shape.d, &samples));
  found->reference = (double)samples->n;
  bm_samples_destroy(&samples);
  return BM_OK;
}

/* On rank 0, which has the most: the rows as read and as standardised, parameters, best ones,
 * gradients of nodes and those received, its share of the moments, and the checkpoint with its
 * image. */
static double training_bytes(const case_t *found, int ranks)
{
  const double real = sizeof(bm_real_t);
  return found->reference * (double)found->shape.d * (8.0 + real) + found->workspace_bytes +
         real * found->parameters * (14.0 + 2.0 / ranks);
}

/* The two sets, those that are compared, the floors' sets, what the exact distance keeps of each
 * point, Jacobians of three chunks, and the columns of averages. */
static double evaluation_bytes(const case_t *found)
{
  const bm_evaluate_settings_t *evaluate = &found->evaluate;
  const double d = (double)found->shape.d;
  double most = evaluate->distance_samples > 0 ? (double)evaluate->distance_samples : INFINITY;
  double compared = fmin(found->reference, most) + fmin(found->generated, most);
  const bm_comparison_settings_t *comparison = &evaluate->comparison;
  const double asked = comparison->exact_points > 0 ? (double)comparison->exact_points : INFINITY;
  const double exact = comparison->exact ? fmin(asked, compared / 2.0) : 0.0;
  int jacobians = evaluate->lipschitz_points > 0 && found->shape.d <= BM_LIPSCHITZ_DIMENSION_MAX;
  return 8.0 *
         (d * (found->reference + found->generated) +
          d * compared * (1.0 + (double)evaluate->floor_pairs) + exact * (BM_EXACT_DOUBLES + d) +
          (jacobians ? 3.0 * BM_MAP_CHUNK * d * d : 0.0) + 8.0 * (double)evaluate->average_samples);
}

static double disk_bytes(const case_t *found)
{
  const double frame = found->particles * 24.0 + 16.0;
  return (found->reference + found->generated) * (frame + 24.0) +
         (double)found->evaluate.trajectory_frames * frame +
         9.0 * sizeof(bm_real_t) * found->parameters; /* model and two checkpoints */
}

/* Wider products are not faster, and would take the memory that is to be estimated. */
static bm_flow_shape_t measured_shape(const bm_flow_shape_t *shape)
{
  bm_flow_shape_t measured = *shape;
  for (size_t l = 0; l < measured.hidden_count; l++) {
    measured.hidden[l] = measured.hidden[l] < BM_WIDEST ? measured.hidden[l] : BM_WIDEST;
  }
  return measured;
}

static bm_status_t estimate(const bm_context_t *context, const case_t *found, needs_t *needs)
{
  const bm_trainer_settings_t *trainer = &found->trainer;
  double rate;
  const bm_flow_shape_t measured = measured_shape(&found->shape);
  size_t rows_a_product = (size_t)(trainer->batch / trainer->shards);
  rows_a_product = rows_a_product < BM_WIDEST ? rows_a_product : BM_WIDEST;
  BM_TRY(bm_flop_sgemm_rate(context, &measured, rows_a_product, &rate));
  rate *= BM_TRAINING_SHARE;
  double rows = found->reference * (1.0 - trainer->validation_fraction) * (double)trainer->epochs;
  double made = found->generated + (double)found->evaluate.average_samples;
  *needs =
      (needs_t){.training_s = rows * bm_flop_training_per_sample(&found->shape) / rate,
                .generation_s = made * bm_flop_generation_per_sample(&found->shape) / rate,
                .rank_bytes = fmax(training_bytes(found, context->size), evaluation_bytes(found)),
                .disk_bytes = disk_bytes(found)};
  return BM_OK;
}

static bm_status_t print_needs(const bm_context_t *context, const bm_deck_t *deck)
{
  for (size_t i = 0; i < bm_deck_case_count(deck); i++) {
    const bm_deck_case_t *deck_case = bm_deck_case(deck, i);
    case_t found;
    needs_t needs;
    char training[BM_DURATION_MAX];
    char generation[BM_DURATION_MAX];
    BM_TRY_AGREE(context, describe(deck_case, &found));
    BM_TRY(count_reference(context, deck_case, &found));
    BM_TRY(estimate(context, &found, &needs));
    if (bm_context_is_root(context)) {
      printf("# %s: %.0f parameters; on %d rank%s of this machine about %s of training and %s of "
             "generation; %.0f MB a rank, %.0f MB on disk\n",
             bm_deck_case_name(deck_case), found.parameters, context->size,
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
