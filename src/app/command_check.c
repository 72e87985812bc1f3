/* boltzmap check: is the deck good, what would run, how much would it take? Touches nothing. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/analyse/lipschitz.h"
#include "boltzmap/app/commands.h"
#include "boltzmap/app/experiment.h"
#include "boltzmap/app/scaling.h"
#include "boltzmap/app/space.h"
#include "boltzmap/app/stage.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/sample/sampler.h"
#include "boltzmap/train/cost_model.h"
#include "boltzmap/train/trainer.h"

#define BM_EXACT_DOUBLES 150 /* that the exact distance keeps of a point */
#define BM_CORES_MOST 4096   /* of a node */

static const bm_option_t options[] = {
    {"--case", "NAME", "only this case; may be repeated"},
    {"--set", "PATH=VALUE", "change a value of the deck; may be repeated"},
    {"--ranks", "N", "predict the training on N ranks, and on 1 to 4096"},
    {"--network", "NAME", "between nodes, as infiniband-hdr; default: one node for all ranks"},
    {"--cores-per-node", "C", "cores, and ranks, of a node; default: as this one"},
    {NULL, NULL, NULL},
};

/* What a case is like. */
typedef struct {
  bm_flow_shape_t shape;
  size_t system_d; /* coordinates of a configuration */
  bm_trainer_settings_t trainer;
  bm_evaluate_settings_t evaluate;
  double particles, reference, generated; /* configurations of each set */
  double parameters, workspace_bytes;
} case_t;

/* What the command line asks for. */
typedef struct {
  int64_t ranks; /* 0: those it runs on */
  int64_t cores; /* 0: those of this machine */
  const bm_interconnect_t *network;
  const char *const *names; /* [name_count], of the cases; none: all */
  size_t name_count;
} request_t;

static bm_status_t describe(const bm_deck_case_t *deck_case, case_t *found)
{
  bm_space_t space;
  BM_TRY(bm_space_create(deck_case, &space));
  const size_t d = space.d;
  found->system_d = bm_potential_dimension(space.system);
  found->particles = (double)bm_potential_layout(space.system)->particles;
  bm_space_release(&space);
  BM_TRY(bm_experiment_flow_shape(deck_case, d, &found->shape));
  BM_TRY(bm_trainer_settings(deck_case, &found->trainer));
  found->evaluate = bm_experiment_evaluate(deck_case);
  found->generated = (double)bm_deck_int(deck_case, "generate.samples");
  found->parameters = (double)bm_flow_shape_parameters(&found->shape);
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
  BM_TRY(bm_stage_read_file(context, deck_case, found->system_d, &samples));
  found->reference = (double)samples->n;
  bm_samples_destroy(&samples);
  return BM_OK;
}

/* The two sets, those that are compared, the floors' sets, what the exact distance keeps of each
 * point, Jacobians of three chunks, and the columns of averages. */
static double evaluation_bytes(const case_t *found)
{
  const bm_evaluate_settings_t *evaluate = &found->evaluate;
  const double d = (double)found->system_d;
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

/* A minibatch has no more rows than there are to train on. */
static void cap_batch(case_t *found)
{
  const double rows = fmax(1.0, found->reference * (1.0 - found->trainer.validation_fraction));
  if ((double)found->trainer.batch > rows) {
    found->trainer.batch = (int64_t)rows;
  }
  found->workspace_bytes = bm_flow_workspace_bytes(&found->shape, (size_t)found->trainer.batch,
                                                   (size_t)found->trainer.shards);
}

/* Bytes that a sample takes on disk: positions, step and time, and numbers beside them. */
static double sample_bytes(const case_t *found)
{
  return found->particles * 24.0 + 40.0;
}

static double disk_bytes(const case_t *found)
{
  const double frame = found->particles * 24.0 + 16.0;
  return (found->reference + found->generated) * sample_bytes(found) +
         (double)found->evaluate.trajectory_frames * frame +
         9.0 * sizeof(bm_real_t) * found->parameters; /* model and two checkpoints */
}

static bm_load_t load_of(const bm_deck_case_t *deck_case, const case_t *found)
{
  const bm_trainer_settings_t *trainer = &found->trainer;
  const double held_out = found->reference * trainer->validation_fraction;
  const double epochs = (double)trainer->epochs;
  const double steps = ceil((found->reference - held_out) / (double)trainer->batch);
  return (bm_load_t){
      .parameters = found->parameters,
      .batch = (size_t)(trainer->batch + trainer->points), /* rows cost alike in both directions */
      .shards = (size_t)trainer->shards,
      .fast = trainer->fast,
      .steps = epochs * steps,
      .validation_rows = held_out * ceil(epochs / (double)trainer->validate_every),
      .rows_bytes = found->reference * (double)found->shape.d * (8.0 + sizeof(bm_real_t)) +
                    found->workspace_bytes,
      .checkpoint_every_s = 60.0 * bm_deck_real(deck_case, "run.checkpoint_every_min"),
  };
}

static void print_needs(const case_t *found, const bm_scaling_t *scaling)
{
  char training[BM_DURATION_MAX];
  char generation[BM_DURATION_MAX];
  const bm_cost_t cost =
      bm_cost_of_training(&scaling->machine, &scaling->cluster, &scaling->load, scaling->ranks);
  const double generation_s =
      bm_cost_of_generation(&scaling->machine, &scaling->cluster, scaling->generated_rows,
                            scaling->generated_bytes, scaling->ranks);
  printf("# %s: %.0f parameters; on %d rank%s of this machine about %s of training and %s of "
         "generation; %.0f MB a rank, %.0f MB on disk\n",
         scaling->name, found->parameters, scaling->ranks, scaling->ranks == 1 ? "" : "s",
         bm_log_duration(cost.training_s, training), bm_log_duration(generation_s, generation),
         1e-6 * fmax(cost.rank_bytes, evaluation_bytes(found)), 1e-6 * disk_bytes(found));
}

/* What it takes on the ranks it runs on, and on those asked for. */
static bm_status_t predict(const bm_context_t *context, const bm_deck_case_t *deck_case,
                           const case_t *found, const request_t *request)
{
  const bm_trainer_settings_t *trainer = &found->trainer;
  const size_t shards = bm_trainer_shards(trainer, context->size);
  bm_scaling_t scaling = {
      .name = bm_deck_case_name(deck_case),
      .cluster = {.network = bm_interconnect_table},
      .load = load_of(deck_case, found),
      .generated_rows = found->generated + (double)found->evaluate.average_samples,
      .generated_bytes = found->generated * sample_bytes(found),
      .ranks = context->size,
  };
  BM_TRY(bm_machine_measure(context, &found->shape, shards,
                            ((size_t)trainer->batch + shards - 1) / shards, &scaling.machine));
  if (!bm_context_is_root(context)) {
    return BM_OK;
  }
  scaling.cluster.cores = scaling.machine.cores;
  print_needs(found, &scaling);
  if (request->ranks > 0) {
    scaling.ranks = (int)request->ranks;
    scaling.cluster.network = request->network;
    scaling.cluster.cores = request->cores > 0 ? (int)request->cores : scaling.machine.cores;
    bm_scaling_print(&scaling);
  }
  return BM_OK;
}

/* What a map that is computed takes is memory: the grid, and where a model is loaded two copies of the target. */
static bm_status_t print_grid(const bm_context_t *context, const bm_deck_case_t *deck_case)
{
  bm_space_t space;
  BM_TRY(bm_space_create(deck_case, &space));
  if (bm_context_is_root(context)) {
    const double bytes = bm_experiment_grid_bytes(deck_case, space.d);
    printf(
        "# %s: a Moser map, not trained; %.3g MB that the ranks of a host share, %.3g MB a rank\n",
        bm_deck_case_name(deck_case), 1e-6 * bytes, 2e-6 * bytes / (double)(3 + space.d));
  }
  bm_space_release(&space);
  return BM_OK;
}

static int is_asked(const bm_deck_case_t *deck_case, const request_t *request)
{
  for (size_t i = 0; i < request->name_count; i++) {
    if (strcmp(request->names[i], bm_deck_case_name(deck_case)) == 0) {
      return 1;
    }
  }
  return request->name_count == 0;
}

static bm_status_t check_names(const bm_deck_t *deck, const request_t *request)
{
  for (size_t i = 0; i < request->name_count; i++) {
    if (bm_experiment_find_case(deck, request->names[i]) == NULL) {
      return BM_FAIL(BM_ERR_USAGE, "--case %s: the deck has no such case", request->names[i]);
    }
  }
  return BM_OK;
}

static bm_status_t check_deck(const bm_context_t *context, const bm_deck_t *deck,
                              const request_t *request)
{
  BM_TRY_AGREE(context, check_names(deck, request));
  BM_TRY_AGREE(context, bm_experiment_check_all(deck));
  if (bm_context_is_root(context)) {
    printf("%s", bm_deck_echo(deck));
  }
  for (size_t i = 0; i < bm_deck_case_count(deck); i++) {
    const bm_deck_case_t *deck_case = bm_deck_case(deck, i);
    case_t found;
    if (!is_asked(deck_case, request)) {
      continue;
    }
    if (bm_experiment_is_computed(deck_case)) {
      BM_TRY_AGREE(context, print_grid(context, deck_case));
      continue;
    }
    BM_TRY_AGREE(context, describe(deck_case, &found));
    BM_TRY(count_reference(context, deck_case, &found));
    cap_batch(&found);
    BM_TRY(predict(context, deck_case, &found, request));
  }
  return BM_OK;
}

static bm_status_t read_request(const bm_arguments_t *arguments, request_t *request)
{
  static const char *const of_ranks[] = {"--network", "--cores-per-node"};
  const char *network = bm_arguments_value(arguments, "--network");
  BM_TRY(bm_arguments_int(arguments, "--ranks", 1, BM_SCALING_MOST, 0, &request->ranks));
  BM_TRY(bm_arguments_int(arguments, "--cores-per-node", 1, BM_CORES_MOST, 0, &request->cores));
  for (size_t i = 0; i < sizeof of_ranks / sizeof of_ranks[0]; i++) {
    if (request->ranks == 0 && bm_arguments_has(arguments, of_ranks[i])) {
      return BM_FAIL(BM_ERR_USAGE, "%s goes with --ranks", of_ranks[i]);
    }
  }
  request->name_count = bm_arguments_values(arguments, "--case", &request->names);
  request->network = bm_interconnect_table;
  if (network != NULL) {
    bm_status_t status = bm_interconnect_find(network, &request->network);
    return status == BM_OK ? status : bm_status_prefix(status, "--network");
  }
  return BM_OK;
}

static bm_status_t run(const bm_context_t *context, const bm_arguments_t *arguments)
{
  const char *const *overrides;
  bm_deck_t *deck = NULL;
  request_t request;
  BM_TRY(read_request(arguments, &request));
  size_t count = bm_arguments_values(arguments, "--set", &overrides);
  BM_TRY(
      bm_experiment_load(context, bm_arguments_positional(arguments, 0), overrides, count, &deck));
  bm_status_t status = check_deck(context, deck, &request);
  bm_deck_destroy(&deck);
  return status;
}

const bm_command_t bm_command_check = {
    .name = "check",
    .positional = {"DECK"},
    .summary = "validate a deck; print it as it would run, with an estimate of time and memory",
    .details =
        "Times come from the parts of a training step, timed here for about a second; sampling\n"
        "and distances are not in them. --ranks adds a table for 1 to 4096 ranks: the time of a\n"
        "step with the deck's minibatch and with one that grows with the ranks, efficiency, "
        "memory,\n"
        "and from where on more ranks do not pay. Nodes hold a rank a core, as many as this "
        "machine\n"
        "has unless --cores-per-node says it; without --network all ranks share the cores of one\n"
        "node. Networks: shared-memory, ethernet-1g, ethernet-10g, ethernet-25g,\n"
        "ethernet-100g-roce, infiniband-edr, infiniband-hdr, infiniband-ndr, omni-path-100,\n"
        "slingshot-11, with published latencies and bandwidths. Under mpirun on all cores of a\n"
        "node the speed of a core is that in a full node.",
    .options = options,
    .run = run,
};
