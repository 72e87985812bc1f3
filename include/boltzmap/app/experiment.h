#ifndef BOLTZMAP_APP_EXPERIMENT_H
#define BOLTZMAP_APP_EXPERIMENT_H

/* A deck about to be run: every key that any module reads, the settings of the groups that belong to no
 * single module, and where the output goes. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/analyse/comparison.h"
#include "boltzmap/app/origin.h"
#include "boltzmap/app/space.h"
#include "boltzmap/base/status.h"
#include "boltzmap/flow/flow.h"
#include "boltzmap/io/deck.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/io/state.h"
#include "boltzmap/model/potential.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/transport/spline_field.h"

/* A floor that was worked out in this process, for cases that share it. */
typedef struct {
  uint64_t key;
  bm_space_t space;          /* whose names the rows have */
  bm_comparison_row_t *rows; /* [count] */
  size_t count;
  /* where the sets are independent, averages of the potential's functions over all of them: mean and
   * standard error from the spread over the sets */
  double *means, *errors; /* [average_count]; else 0 */
  size_t configurations;  /* of all sets; else 0 */
} bm_floor_t;

typedef struct {
  const bm_context_t *context; /* not owned */
  bm_deck_t *deck;
  bm_log_t *log;
  char *folder; /* out/<run> */
  uint64_t seed;
  double checkpoint_every_s;
  const char *restart_file; /* checkpoint that the user named, or NULL */
  char seed_text[32], deck_name[256];
  bm_origin_t origin;
  const bm_provenance_t *provenance; /* what every file carries: the rows of origin */
  size_t provenance_count;
  uint64_t *file_hashes; /* [cases + 1], the base last: of the files that the deck names; 0: none */
  bm_floor_t *floors;
  size_t floor_count;
  char *stop_file; /* in the folder: asks the run to stop; NULL: not looked for */
  int lock;        /* descriptor of the locked file in the folder; -1: none */
} bm_experiment_t;

/* Tables of all keys, ended by NULL; static storage. */
const bm_deck_key_t *const *bm_experiment_tables(void);

/* Load a deck with the overrides of --set. Collective. Errors as bm_deck_load. */
bm_status_t bm_experiment_load(const bm_context_t *context, const char *path,
                               const char *const *overrides, size_t override_count,
                               bm_deck_t **deck);

/* Everything that can be wrong with the values of a case, found before anything is written: potentials,
 * sampler, flow and training settings are made and thrown away. Not collective. */
bm_status_t bm_experiment_check(const bm_deck_case_t *deck_case);

/* The same for the base and all cases of a deck. */
bm_status_t bm_experiment_check_all(const bm_deck_t *deck);

/* Sizes of a deck that this machine cannot run, though a larger one may: BM_ERR_DATA naming the key.
 * Not collective. */
bm_status_t bm_experiment_check_memory(const bm_deck_t *deck);

/* A case by its name; NULL where the deck has none of that name. */
const bm_deck_case_t *bm_experiment_find_case(const bm_deck_t *deck, const char *name);

/* Hash of the samples that the user brings for a case or the base; 0 where there are none. */
uint64_t bm_experiment_file_hash(const bm_experiment_t *experiment,
                                 const bm_deck_case_t *deck_case);

/* Put a fingerprint and the provenance into a container. BM_ERR_MEMORY. */
bm_status_t bm_experiment_put_origin(const bm_experiment_t *experiment, uint64_t fingerprint,
                                     bm_state_t *state);

/* Fill an experiment for this deck, which it takes over. `out` replaces run.output_dir where not
 * NULL. No file is touched (those that the user brings are read); the log stays NULL. Collective.
 * Ended by bm_experiment_destroy. */
bm_status_t bm_experiment_create(const bm_context_t *context, bm_deck_t *deck,
                                 const char *deck_path, const char *out,
                                 bm_experiment_t **experiment);
void bm_experiment_destroy(bm_experiment_t **experiment);

/* Settings of `flow`, for configurations of d coordinates. */
bm_status_t bm_experiment_flow_shape(const bm_deck_case_t *deck_case, size_t d,
                                     bm_flow_shape_t *shape);

/* Is the map of a case computed instead of trained (flow.kind = "moser")? */
int bm_experiment_is_computed(const bm_deck_case_t *deck_case);

/* The grid of a Moser map: that of the case, or one which its flow is held to (training.map = "moser"). */
typedef struct {
  size_t cells[BM_BOX_AXES];
  double width, margin; /* of the box, as flow.width and flow.margin */
} bm_experiment_grid_t;
int bm_experiment_has_grid(const bm_deck_case_t *deck_case);

/* For d coordinates. BM_ERR_DATA naming the key. */
bm_status_t bm_experiment_grid(const bm_deck_case_t *deck_case, size_t d,
                               bm_experiment_grid_t *grid);

/* Bytes that the ranks of a host share for it; 0 where there is none, or it is refused. */
double bm_experiment_grid_bytes(const bm_deck_case_t *deck_case, size_t d);

/* Settings of `evaluate`. */
typedef struct {
  bm_comparison_settings_t comparison;
  size_t distance_samples; /* configurations of each set in distances, at most; 0: all */
  size_t floor_pairs;      /* 0: no floors */
  size_t average_samples;  /* generated for averages and weights; 0: none */
  int weights;             /* importance weights against the deck's own system */
  size_t lipschitz_points; /* 0: no Lipschitz constants */
  size_t trajectory_frames, trajectory_stride;
  double trajectory_time_step;
} bm_evaluate_settings_t;

bm_evaluate_settings_t bm_experiment_evaluate(const bm_deck_case_t *deck_case);

#endif
