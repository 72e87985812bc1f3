#include "boltzmap/app/experiment.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "boltzmap/app/floors.h"
#include "boltzmap/app/space.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/pdb.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/sample/sampler.h"
#include "boltzmap/train/trainer.h"
#include "boltzmap/transport/map.h"

static const bm_deck_key_t run_keys[] = {
    {"run.name", BM_DECK_STRING, NULL, 0, 0, NULL, NULL, "name of the run"},
    {"run.seed", BM_DECK_INT, "1", 0, 9.2e18, NULL, NULL, "decides every random number"},
    {"run.output_dir", BM_DECK_STRING, "\"\"", 0, 0, NULL, NULL,
     "output folder, from the working directory; empty: out/ and the run's name"},
    {"run.checkpoint_every_min", BM_DECK_REAL, "5.0", 0, 1e6, NULL, NULL,
     "minutes between checkpoints, in whatever stage"},
    {"run.time_limit_min", BM_DECK_REAL, "0.0", 0, 1e9, NULL, NULL,
     "minutes after which the run stops with a checkpoint, as at the end of a SLURM allocation; 0: "
     "none"},
    {"run.require_convergence", BM_DECK_BOOL, "false", 0, 0, NULL, NULL,
     "stop where the R-hat of a reference is above 1.01, instead of a warning"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

#define BM_NETWORK "flow.kind=realnvp"
#define BM_COMPUTED "flow.kind=moser"

static const bm_deck_key_t flow_keys[] = {
    {"flow.kind", BM_DECK_STRING, "\"realnvp\"", 0, 0, bm_map_kinds, NULL,
     "what is trained, an invertible network; or solved for, the Moser map to the Boltzmann "
     "density"},
    {"flow.layers", BM_DECK_INT, "8", 1, 1024, NULL, BM_NETWORK, "coupling layers"},
    {"flow.hidden", BM_DECK_INT_LIST, "[256, 256]", 1, 65536, NULL, BM_NETWORK,
     "widths of the hidden layers of each s and t network"},
    {"flow.activation", BM_DECK_STRING, "\"relu\"", 0, 0, bm_activation_names, BM_NETWORK,
     "activation of hidden layers"},
    {"flow.backend", BM_DECK_STRING, "\"auto\"", 0, 0, bm_network_names, BM_NETWORK,
     "who computes the networks; auto: the faster one, by a rule of shape and processor"},
    {"flow.scale_cap", BM_DECK_REAL, "2.0", 1e-3, 20, NULL, BM_NETWORK,
     "smooth bound on the log-scale of each coupling layer"},
    {"flow.cells", BM_DECK_INT_LIST, "[32]", BM_BOX_CELLS_LEAST, BM_MAP_CELLS_MOST, NULL,
     BM_COMPUTED, "cells of the grid along each coordinate; one number is that of all"},
    {"flow.width", BM_DECK_REAL, "3.0", BM_MAP_WIDTH_LEAST, BM_MAP_WIDTH_MOST, NULL, BM_COMPUTED,
     "half the width of the box in standard deviations of the base, which is restricted to it"},
    {"flow.margin", BM_DECK_REAL, "0.1", 1e-3, 10, NULL, BM_COMPUTED,
     "how much wider the box is than the reference, as a share of its range"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

static const bm_deck_key_t generate_keys[] = {
    {"generate.samples", BM_DECK_INT, "10000", 1, 1e12, NULL, NULL,
     "samples of the learned map in generated.h5md"},
    {"generate.pdb_models", BM_DECK_INT, "100", 0, BM_PDB_MODELS_MOST, NULL,
     "flow.coordinates=cartesian|whitened",
     "the first samples as models of generated.pdb, for viewers; 0: none"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

static const bm_deck_key_t evaluate_keys[] = {
    {"evaluate.exact_w2", BM_DECK_BOOL, "true", 0, 0, NULL, NULL,
     "measure exact W2s: of configurations, backbone angles and principal components"},
    {"evaluate.exact_subsample", BM_DECK_INT, "0", 0, 1e9, NULL, "evaluate.exact_w2=true",
     "points drawn from each set for the exact W2; 0: all of the smaller set"},
    {"evaluate.exact_repeats", BM_DECK_INT, "1", 1, 1000, NULL, "evaluate.exact_w2=true",
     "independent subsamples whose mean is taken; one holds all there is with exact_subsample = 0"},
    {"evaluate.sliced_projections", BM_DECK_INT, "1000", 0, 1e6, NULL, NULL,
     "directions of the sliced W2; 0: not measured"},
    {"evaluate.distance_samples", BM_DECK_INT, "20000", 0, 1e9, NULL, NULL,
     "configurations of each set, at most, in distances, evenly spread; 0: all"},
    {"evaluate.floor_pairs", BM_DECK_INT, "20", 0, 1000, NULL, NULL,
     "pairs of independent reference sets for the floors; 0: no floors, else at least 2"},
    {"evaluate.average_samples", BM_DECK_INT, "1000000", 0, 1e8, NULL, NULL,
     "samples of the learned map for averages and weights; 0: none"},
    {"evaluate.weights", BM_DECK_BOOL, "true", 0, 0, NULL, NULL,
     "importance weights against the deck's own system"},
    {"evaluate.lipschitz", BM_DECK_BOOL, "true", 0, 0, NULL, NULL, "measure Lipschitz constants"},
    {"evaluate.lipschitz_points", BM_DECK_INT, "10000", 1, 1e7, NULL, "evaluate.lipschitz=true",
     "generated points whose Jacobians are looked at first"},
    {"evaluate.trajectory_frames", BM_DECK_INT, "0", 0, 1e8, NULL, NULL,
     "frames of an overdamped Langevin trajectory in trajectory.h5md, of no molecule; 0: none"},
    {"evaluate.trajectory_stride", BM_DECK_INT, "10", 1, 1e9, NULL, NULL,
     "time steps between its frames"},
    {"evaluate.trajectory_time_step", BM_DECK_REAL, "1e-3", 1e-12, 1e6, NULL, NULL,
     "its time step, in reduced units"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

#define BM_TABLES_MAX 32

static void add_table(const bm_deck_key_t *tables[BM_TABLES_MAX], size_t *count,
                      const bm_deck_key_t *table)
{
  assert(*count + 1 < BM_TABLES_MAX); /* and NULL behind it */
  if (table != NULL) {
    tables[(*count)++] = table;
  }
}

const bm_deck_key_t *const *bm_experiment_tables(void)
{
  static const bm_deck_key_t *tables[BM_TABLES_MAX];
  size_t count = 0;
  if (tables[0] != NULL) {
    return tables;
  }
  add_table(tables, &count, run_keys);
  add_table(tables, &count, bm_potential_keys);
  for (size_t i = 0; bm_potential_table[i] != NULL; i++) {
    add_table(tables, &count, bm_potential_table[i]->keys);
  }
  add_table(tables, &count, bm_sampler_keys);
  for (size_t i = 0; bm_sampler_table[i] != NULL; i++) {
    add_table(tables, &count, bm_sampler_table[i]->keys);
  }
  add_table(tables, &count, flow_keys);
  add_table(tables, &count, bm_space_keys);
  add_table(tables, &count, bm_trainer_keys);
  for (size_t i = 0; bm_loss_table[i] != NULL; i++) {
    add_table(tables, &count, bm_loss_table[i]->keys);
  }
  add_table(tables, &count, generate_keys);
  add_table(tables, &count, evaluate_keys);
  return tables;
}

bm_status_t bm_experiment_load(const bm_context_t *context, const char *path,
                               const char *const *overrides, size_t override_count,
                               bm_deck_t **deck)
{
  return bm_deck_load(context, path, overrides, override_count, bm_experiment_tables(), deck);
}

bm_status_t bm_experiment_flow_shape(const bm_deck_case_t *deck_case, size_t d,
                                     bm_flow_shape_t *shape)
{
  const int64_t *widths;
  *shape = (bm_flow_shape_t){.d = d,
                             .layers = (size_t)bm_deck_int(deck_case, "flow.layers"),
                             .hidden_count = bm_deck_int_list(deck_case, "flow.hidden", &widths),
                             .scale_cap = bm_deck_real(deck_case, "flow.scale_cap"),
                             .backend = bm_network_find(bm_deck_string(deck_case, "flow.backend"))};
  BM_TRY(bm_activation_find(bm_deck_string(deck_case, "flow.activation"), &shape->activation));
  if (d < 2) {
    return bm_deck_fail(deck_case, "flow.kind",
                        "coupling layers need at least 2 coordinates, the system has %zu", d);
  }
  if (shape->hidden_count > BM_HIDDEN_MAX) {
    return bm_deck_fail(deck_case, "flow.hidden", "at most %d hidden layers", BM_HIDDEN_MAX);
  }
  for (size_t l = 0; l < shape->hidden_count; l++) {
    shape->hidden[l] = (size_t)widths[l];
  }
  return BM_OK;
}

int bm_experiment_is_computed(const bm_deck_case_t *deck_case)
{
  return bm_deck_has(deck_case, "flow.cells");
}

int bm_experiment_has_grid(const bm_deck_case_t *deck_case)
{
  return bm_experiment_is_computed(deck_case) || bm_deck_has(deck_case, "training.map_cells");
}

bm_status_t bm_experiment_grid(const bm_deck_case_t *deck_case, size_t d,
                               bm_experiment_grid_t *grid)
{
  static const char *const keys[][4] = {
      {"training.map_cells", "training.map_width", "training.map_margin", "training.map"},
      {"flow.cells", "flow.width", "flow.margin", "flow.kind"}};
  const char *const *key = keys[bm_experiment_is_computed(deck_case)];
  const int64_t *given;
  const size_t count = bm_deck_int_list(deck_case, key[0], &given);
  if (d > BM_BOX_AXES) {
    return bm_deck_fail(deck_case, key[3],
                        "a Moser map has at most %d coordinates, the system has %zu", BM_BOX_AXES,
                        d);
  }
  if (count != 1 && count != d) {
    return bm_deck_fail(deck_case, key[0], "one number, or one for each of %zu coordinates", d);
  }
  *grid = (bm_experiment_grid_t){.width = bm_deck_real(deck_case, key[1]),
                                 .margin = bm_deck_real(deck_case, key[2])};
  for (size_t k = 0; k < d; k++) {
    grid->cells[k] = (size_t)given[count == 1 ? 0 : k];
  }
  return BM_OK;
}

static size_t count_of(const bm_deck_case_t *deck_case, const char *path)
{
  return (size_t)bm_deck_int(deck_case, path);
}

bm_evaluate_settings_t bm_experiment_evaluate(const bm_deck_case_t *deck_case)
{
  int exact = bm_deck_bool(deck_case, "evaluate.exact_w2");
  int lipschitz = bm_deck_bool(deck_case, "evaluate.lipschitz");
  return (bm_evaluate_settings_t){
      .comparison = {.projections = count_of(deck_case, "evaluate.sliced_projections"),
                     .exact = exact,
                     .exact_points = exact ? count_of(deck_case, "evaluate.exact_subsample") : 0,
                     .exact_repeats = exact ? count_of(deck_case, "evaluate.exact_repeats") : 1,
                     .seed = (uint64_t)bm_deck_int(deck_case, "run.seed")},
      .distance_samples = count_of(deck_case, "evaluate.distance_samples"),
      .floor_pairs = count_of(deck_case, "evaluate.floor_pairs"),
      .average_samples = count_of(deck_case, "evaluate.average_samples"),
      .weights = bm_deck_bool(deck_case, "evaluate.weights"),
      .lipschitz_points = lipschitz ? count_of(deck_case, "evaluate.lipschitz_points") : 0,
      .trajectory_frames = count_of(deck_case, "evaluate.trajectory_frames"),
      .trajectory_stride = count_of(deck_case, "evaluate.trajectory_stride"),
      .trajectory_time_step = bm_deck_real(deck_case, "evaluate.trajectory_time_step")};
}

/* Does the loss go with the system? */
static bm_status_t check_loss(const bm_deck_case_t *deck_case, const bm_space_t *space)
{
  const bm_loss_data_t none = {space->system, 0, bm_potential_dimension(space->shapes), NULL};
  bm_loss_term_t *term = NULL;
  BM_TRY(bm_loss_term_create(deck_case, &none, &term));
  const size_t stages = term == NULL ? 1 : bm_loss_term_stages(term);
  bm_loss_term_destroy(&term);
  if (stages > 1 && (int64_t)stages > bm_deck_int(deck_case, "flow.layers")) {
    return bm_deck_fail(deck_case, "training.transport_steps", "more steps than flow.layers");
  }
  return BM_OK;
}

static bm_status_t check_evaluate(const bm_deck_case_t *deck_case, const bm_potential_t *system)
{
  const bm_evaluate_settings_t evaluate = bm_experiment_evaluate(deck_case);
  if (bm_deck_int(deck_case, "evaluate.floor_pairs") == 1) {
    return bm_deck_fail(deck_case, "evaluate.floor_pairs", "0 for no floors, or at least 2");
  }
  if (evaluate.trajectory_frames > 0 && bm_potential_traits(system)->molecule != NULL) {
    return bm_deck_fail(deck_case, "evaluate.trajectory_frames",
                        "0 for a molecule: its trajectories are those of the reference");
  }
  if ((double)evaluate.trajectory_frames * (double)evaluate.trajectory_stride > BM_STEPS_MOST) {
    return bm_deck_fail(deck_case, "evaluate.trajectory_stride", "more than %g steps in all",
                        BM_STEPS_MOST);
  }
  return BM_OK;
}

static bm_status_t check_grid(const bm_deck_case_t *deck_case, const bm_space_t *space)
{
  const int computed = bm_experiment_is_computed(deck_case);
  bm_experiment_grid_t grid;
  if (bm_potential_traits(space->system)->molecule != NULL) {
    return bm_deck_fail(deck_case, computed ? "flow.kind" : "training.map",
                        "a Moser map is for model potentials");
  }
  if (computed && strcmp(bm_deck_string(deck_case, "training.loss"), "nll") != 0) {
    return bm_deck_fail(deck_case, "training.loss", "a Moser map is not trained");
  }
  return bm_experiment_grid(deck_case, space->d, &grid);
}

static bm_status_t check_map(const bm_deck_case_t *deck_case, const bm_space_t *space)
{
  bm_flow_shape_t shape;
  if (bm_experiment_has_grid(deck_case)) {
    BM_TRY(check_grid(deck_case, space));
  }
  return bm_experiment_is_computed(deck_case)
             ? BM_OK
             : bm_experiment_flow_shape(deck_case, space->d, &shape);
}

static bm_status_t check_groups(const bm_deck_case_t *deck_case, const bm_space_t *space)
{
  const bm_potential_t *potential = space->system;
  bm_trainer_settings_t trainer;
  BM_TRY(check_map(deck_case, space));
  BM_TRY(bm_trainer_settings(deck_case, &trainer));
  BM_TRY(check_loss(deck_case, space));
  if (trainer.augment && bm_chart_is_angular(space->chart)) {
    return bm_deck_fail(deck_case, "training.augment", "symmetries do not change backbone angles");
  }
  if (trainer.augment && bm_potential_symmetry_count(potential) == 1) {
    return bm_deck_fail(deck_case, "training.augment", "this kind of system knows no symmetries");
  }
  if (strcmp(bm_deck_string(deck_case, "reference.sampler"), "file") != 0) {
    bm_sampler_settings_t sampler;
    BM_TRY(bm_sampler_check(deck_case, potential));
    BM_TRY(bm_sampler_settings(deck_case, &sampler));
    if (sampler.samples < 2) {
      return bm_deck_fail(deck_case, "reference.samples", "at least 2 are needed for training");
    }
  }
  return check_evaluate(deck_case, potential);
}

bm_status_t bm_experiment_check(const bm_deck_case_t *deck_case)
{
  bm_space_t space;
  BM_TRY(bm_space_create(deck_case, &space));
  bm_status_t status = check_groups(deck_case, &space);
  bm_space_release(&space);
  return status;
}

bm_status_t bm_experiment_check_all(const bm_deck_t *deck)
{
  for (size_t i = 0; i < bm_deck_case_count(deck); i++) {
    BM_TRY(bm_experiment_check(bm_deck_case(deck, i)));
  }
  return bm_experiment_check(bm_deck_base(deck));
}

double bm_experiment_grid_bytes(const bm_deck_case_t *deck_case, size_t d)
{
  bm_experiment_grid_t grid;
  double bytes = sizeof(double) * (double)(3 + d);
  if (!bm_experiment_has_grid(deck_case) || bm_experiment_grid(deck_case, d, &grid) != BM_OK) {
    return 0.0;
  }
  for (size_t k = 0; k < d; k++) {
    bytes *= (double)grid.cells[k];
  }
  return bytes;
}

/* Parameters with their gradients and moments, and the grid of a Moser map. */
static bm_status_t check_memory_of_map(const bm_deck_case_t *deck_case, const bm_space_t *space)
{
  const double gigabytes = bm_memory_size() / 1e9;
  const int computed = bm_experiment_is_computed(deck_case);
  const double grid = 1e-9 * bm_experiment_grid_bytes(deck_case, space->d);
  if (grid > gigabytes) {
    return bm_deck_fail(deck_case, computed ? "flow.cells" : "training.map_cells",
                        "the grid would take %.3g GB or more a host; the memory has %.3g", grid,
                        gigabytes);
  }
  if (!computed) {
    bm_flow_shape_t shape;
    BM_TRY(bm_experiment_flow_shape(deck_case, space->d, &shape));
    const double needed = 4e-9 * sizeof(bm_real_t) * (double)bm_flow_shape_parameters(&shape);
    if (needed > gigabytes) {
      return bm_deck_fail(deck_case, "flow.hidden",
                          "training would take %.3g GB or more a rank; the memory has %.3g", needed,
                          gigabytes);
    }
  }
  return BM_OK;
}

/* Every rank has all rows of the reference. */
static bm_status_t check_memory(const bm_deck_case_t *deck_case, const bm_space_t *space)
{
  const double gigabytes = bm_memory_size() / 1e9;
  const size_t d = bm_potential_dimension(space->system);
  BM_TRY(check_memory_of_map(deck_case, space));
  if (!bm_deck_has(deck_case, "reference.samples")) {
    return BM_OK;
  }
  double rows = 8e-9 * (double)d * (double)bm_deck_int(deck_case, "reference.samples");
  if (rows > gigabytes) {
    return bm_deck_fail(deck_case, "reference.samples",
                        "would take %.3g GB or more a rank; the memory has %.3g", rows, gigabytes);
  }
  return BM_OK;
}

bm_status_t bm_experiment_check_memory(const bm_deck_t *deck)
{
  for (size_t i = 0; i < bm_deck_case_count(deck); i++) {
    const bm_deck_case_t *deck_case = bm_deck_case(deck, i);
    bm_space_t space;
    BM_TRY(bm_space_create(deck_case, &space));
    bm_status_t status = check_memory(deck_case, &space);
    bm_space_release(&space);
    BM_TRY(status);
  }
  return BM_OK;
}

const bm_deck_case_t *bm_experiment_find_case(const bm_deck_t *deck, const char *name)
{
  for (size_t i = 0; i < bm_deck_case_count(deck); i++) {
    if (strcmp(bm_deck_case_name(bm_deck_case(deck, i)), name) == 0) {
      return bm_deck_case(deck, i);
    }
  }
  return NULL;
}

static void fill_provenance(bm_experiment_t *experiment)
{
  const char *slash = strrchr(experiment->deck_name, '/');
  bm_origin_t *origin = &experiment->origin;
  bm_origin_add(origin, "deck_file", slash != NULL ? slash + 1 : experiment->deck_name);
  bm_origin_add(origin, "deck", bm_deck_echo(experiment->deck));
  bm_origin_add(origin, "seed", experiment->seed_text);
  bm_origin_add_machine(origin, experiment->context);
  experiment->provenance = origin->rows;
  experiment->provenance_count = origin->count;
}

static const bm_deck_case_t *case_or_base(const bm_deck_t *deck, size_t i)
{
  return i < bm_deck_case_count(deck) ? bm_deck_case(deck, i) : bm_deck_base(deck);
}

/* Keys of files whose contents decide the outcome. */
static const char *const file_keys[] = {"reference.file", "system.topology", "system.coordinates"};
#define BM_FILE_KEYS (sizeof file_keys / sizeof file_keys[0])

/* The last file of a key, since cases mostly share it. What is missing is told where it is
 * needed. */
typedef struct {
  const char *path;
  uint64_t hash;
} hashed_t;

static bm_status_t hash_file(const char *path, hashed_t *last)
{
  if (last->path != NULL && strcmp(last->path, path) == 0) {
    return BM_OK;
  }
  *last = (hashed_t){path, 0};
  return bm_file_exists(path) ? bm_file_hash(path, &last->hash) : BM_OK;
}

/* Rank 0's part. */
static bm_status_t hash_files(bm_experiment_t *experiment)
{
  const size_t count = bm_deck_case_count(experiment->deck) + 1;
  hashed_t last[BM_FILE_KEYS] = {{NULL, 0}};
  for (size_t i = 0; i < count; i++) {
    const bm_deck_case_t *deck_case = case_or_base(experiment->deck, i);
    uint64_t *hash = &experiment->file_hashes[i];
    for (size_t k = 0; k < BM_FILE_KEYS; k++) {
      if (bm_deck_has(deck_case, file_keys[k])) {
        BM_TRY(hash_file(bm_deck_string(deck_case, file_keys[k]), &last[k]));
        *hash = *hash * UINT64_C(0x9e3779b97f4a7c15) + last[k].hash;
      }
    }
  }
  return BM_OK;
}

static bm_status_t find_file_hashes(bm_experiment_t *experiment)
{
  const bm_context_t *context = experiment->context;
  const size_t count = bm_deck_case_count(experiment->deck) + 1;
  BM_TRY_AGREE(context, BM_ALLOC(count, &experiment->file_hashes));
  BM_TRY_AGREE(context, bm_context_is_root(context) ? hash_files(experiment) : BM_OK);
  return bm_broadcast(context, experiment->file_hashes, count * sizeof *experiment->file_hashes);
}

uint64_t bm_experiment_file_hash(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case)
{
  size_t i = 0;
  while (case_or_base(experiment->deck, i) != deck_case) {
    i++;
  }
  return experiment->file_hashes[i];
}

bm_status_t bm_experiment_put_origin(const bm_experiment_t *experiment, uint64_t fingerprint,
                                     bm_state_t *state)
{
  char text[17];
  snprintf(text, sizeof text, "%016llx", (unsigned long long)fingerprint);
  BM_TRY(bm_state_put_string(state, "fingerprint", text));
  for (size_t i = 0; i < experiment->provenance_count; i++) {
    char name[96];
    snprintf(name, sizeof name, "provenance/%s", experiment->provenance[i].name);
    BM_TRY(bm_state_put_string(state, name, experiment->provenance[i].text));
  }
  return BM_OK;
}

/* out/<name> unless the command line or the deck says otherwise. */
static bm_status_t choose_folder(bm_experiment_t *experiment, const char *out)
{
  const bm_deck_case_t *base = bm_deck_base(experiment->deck);
  const char *given = out != NULL ? out : bm_deck_string(base, "run.output_dir");
  if (given[0] != '\0') {
    return bm_string_copy(given, &experiment->folder);
  }
  return bm_path_join("out", bm_deck_string(base, "run.name"), &experiment->folder);
}

bm_status_t bm_experiment_create(const bm_context_t *context, bm_deck_t *deck,
                                 const char *deck_path, const char *out,
                                 bm_experiment_t **experiment)
{
  const bm_deck_case_t *base = bm_deck_base(deck);
  bm_status_t status = BM_ALLOC(1, experiment);
  if (status == BM_OK) {
    bm_experiment_t *self = *experiment;
    self->context = context;
    self->deck = deck;
    self->lock = -1;
    self->seed = (uint64_t)bm_deck_int(base, "run.seed");
    self->checkpoint_every_s = 60.0 * bm_deck_real(base, "run.checkpoint_every_min");
    snprintf(self->seed_text, sizeof self->seed_text, "%llu", (unsigned long long)self->seed);
    snprintf(self->deck_name, sizeof self->deck_name, "%s", deck_path);
    fill_provenance(self);
    status = choose_folder(self, out);
  }
  status = bm_agree(context, status);
  if (status != BM_OK && *experiment == NULL) {
    bm_deck_destroy(&deck);
  }
  if (status == BM_OK) {
    status = find_file_hashes(*experiment);
  }
  if (status != BM_OK) {
    bm_experiment_destroy(experiment);
  }
  return status;
}

void bm_experiment_destroy(bm_experiment_t **experiment)
{
  if (*experiment != NULL) {
    bm_log_destroy(&(*experiment)->log);
    for (size_t i = 0; i < (*experiment)->floor_count; i++) {
      bm_floors_release(&(*experiment)->floors[i]);
    }
    bm_free((*experiment)->floors);
    if ((*experiment)->lock >= 0) {
      close((*experiment)->lock);
    }
    bm_stop_watch(NULL, 0.0);
    bm_free((*experiment)->stop_file);
    bm_free((*experiment)->file_hashes);
    bm_free((*experiment)->folder);
    bm_deck_destroy(&(*experiment)->deck);
  }
  bm_free(*experiment);
  *experiment = NULL;
}
