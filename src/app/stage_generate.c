/* Stage generate: generated.h5md from model.h5. */

#include <math.h>
#include <string.h>

#include "boltzmap/app/checkpoint.h"
#include "boltzmap/app/space.h"
#include "boltzmap/app/stage.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/generate/generator.h"
#include "boltzmap/io/pdb.h"
#include "boltzmap/model/molecule.h"
#include "boltzmap/parallel/agree.h"

#define BM_PDB "generated.pdb"
#define BM_PDB_FARTHEST \
  50.0 /* nm from the centre: what the format has room for, and more than a molecule is */

static const char *const files[] = {"generated.h5md", BM_PDB, NULL};

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
    bm_checkpoint_t checkpoint = bm_checkpoint_of(
        experiment, deck_case, bm_stage_fingerprint(experiment, &bm_stage_generate, deck_case));
    const bm_keeper_t keeper = bm_checkpoint_keeper(&checkpoint);
    const bm_generate_order_t order = {.seed = experiment->seed,
                                       .n = (size_t)bm_deck_int(deck_case, "generate.samples"),
                                       .observer = &observer,
                                       .path = path,
                                       .provenance = experiment->provenance,
                                       .provenance_count = experiment->provenance_count,
                                       .fingerprint = checkpoint.fingerprint,
                                       .keeper = &keeper};
    status = bm_generate_file(context, map, &order, experiment->log);
  }
  bm_free(path);
  bm_free(names);
  return status;
}

static size_t pdb_models(const bm_deck_case_t *deck_case)
{
  const size_t asked = bm_deck_has(deck_case, "generate.pdb_models")
                           ? (size_t)bm_deck_int(deck_case, "generate.pdb_models")
                           : 0;
  const size_t samples = (size_t)bm_deck_int(deck_case, "generate.samples");
  return asked < samples ? asked : samples;
}

static int leaves(const bm_deck_case_t *deck_case, const char *file)
{
  return strcmp(file, BM_PDB) != 0 || pdb_models(deck_case) > 0;
}

/* Keep the configurations that a viewer can show; how many they are. */
static size_t keep_near(size_t n, size_t d, double *x)
{
  size_t kept = 0;
  for (size_t i = 0; i < n; i++) {
    double farthest = 0.0;
    for (size_t k = 0; k < d; k++) {
      farthest = fmax(farthest, fabs(x[i * d + k]));
    }
    if (farthest < BM_PDB_FARTHEST) {
      memmove(x + kept++ * d, x + i * d, d * sizeof *x);
    }
  }
  return kept;
}

static bm_status_t write_models(const bm_topology_t *topology, const char *path, size_t models,
                                const double *x)
{
  size_t(*bonds)[2] = NULL;
  BM_TRY(BM_ALLOC(topology->bond_count, &bonds));
  for (size_t b = 0; b < topology->bond_count; b++) {
    bonds[b][0] = topology->bonds[b].i;
    bonds[b][1] = topology->bonds[b].j;
  }
  const bm_pdb_molecule_t molecule = {
      .atoms = topology->atoms,
      .residues = topology->residues,
      .bond_count = topology->bond_count,
      .atom_name = (const char(*)[BM_PDB_NAME])topology->atom_name,
      .residue_name = (const char(*)[BM_PDB_NAME])topology->residue_name,
      .residue = topology->residue,
      .element = topology->element,
      .bonds = (const size_t(*)[2])bonds,
  };
  bm_status_t status = bm_pdb_write(path, &molecule, models, x);
  bm_free(bonds);
  return status;
}

/* The first samples for viewers. Rank 0's own. */
static bm_status_t write_pdb(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                             bm_map_t *map, const bm_molecule_t *molecule)
{
  const size_t d = bm_map_dimension(map);
  const size_t asked = pdb_models(deck_case);
  double *x = NULL; /* [asked][d], log densities [asked] */
  char *path = NULL;
  if (asked == 0) {
    return BM_OK;
  }
  BM_TRY(BM_ALLOC(asked * (d + 1), &x));
  bm_status_t status = bm_generate_rows(map, experiment->seed, 0, asked, x, x + asked * d);
  const size_t models = keep_near(asked, d, x);
  if (models < asked) {
    bm_log_warn(experiment->log, "%zu of the first %zu samples are too far apart for " BM_PDB,
                asked - models, asked);
  }
  if (status == BM_OK && models == 0) {
    status = bm_deck_fail(deck_case, "generate.pdb_models",
                          "no sample is fit for a viewer; set it to 0");
  }
  if (status == BM_OK) {
    status = bm_stage_path(experiment, deck_case, BM_PDB, &path);
  }
  if (status == BM_OK) {
    status = write_models(molecule->topology, path, models, x);
  }
  bm_free(path);
  bm_free(x);
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
  const double seconds = bm_log_clock() - started;
  if (status == BM_OK && bm_context_is_root(context)) {
    status = write_pdb(experiment, deck_case, map, bm_potential_traits(space.system)->molecule);
  }
  if (status == BM_OK && bm_context_is_root(context)) {
    status = put_timings((size_t)bm_deck_int(deck_case, "generate.samples"), seconds, results);
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
    .leaves = leaves,
    .run = run,
};
