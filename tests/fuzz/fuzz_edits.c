/* Contents of models and checkpoints: the blocks of a good state with the edits that the input spells. Bytes of
 * HDF5 files seldom change to another file that HDF5 reads; these edits always arrive. */

#include "fuzz.h"

#include <math.h>
#include <string.h>

#include "../mpi/tiny_map.h"
#include "boltzmap/io/state.h"
#include "boltzmap/train/trainer.h"
#include "boltzmap/transport/levels.h"
#include "boltzmap/transport/multilevel.h"

#define BM_BLOCKS_MOST 64
#define BM_EDITS_MOST 16
#define BM_ROOM 512 /* values that an edit may add to a block */

/* --- edits ------------------------------------------------------------------------------------ */

typedef enum {
  EDIT_VALUE,
  EDIT_SMALL_VALUE,
  EDIT_LENGTH,
  EDIT_TYPE,
  EDIT_OMIT,
  EDIT_KINDS
} edit_kind_t;

/* As it stands in the input. */
typedef struct {
  uint8_t kind, block;
  uint16_t place;
  uint32_t low, high; /* of a value */
} edit_t;

typedef struct {
  const char *name;
  char type; /* f, d, i, t: the first letter of what bm_state_block_type says, d for float64 */
  size_t count, room; /* values there are, and that there is room for */
  uint64_t *bits;     /* [room], owned; reals of either width as float64 */
} block_t;

static char type_of(const char *name)
{
  return strcmp(name, "float64") == 0 ? 'd' : name[0];
}

static void take_block(const bm_state_t *state, size_t index, block_t *block)
{
  const char *name = bm_state_block_name(state, index);
  const char *text = "";
  *block = (block_t){.name = name,
                     .type = type_of(bm_state_block_type(state, index)),
                     .count = bm_state_count(state, name)};
  block->room = block->count + BM_ROOM;
  FUZZ_REQUIRE(BM_ALLOC(block->room, &block->bits) == BM_OK);
  if (block->type == 'i') {
    FUZZ_REQUIRE(bm_state_get_ints(state, name, block->count, (int64_t *)block->bits) == BM_OK);
  } else if (block->type == 't') {
    FUZZ_REQUIRE(bm_state_get_string(state, name, &text) == BM_OK);
    for (size_t i = 0; i < block->count; i++) {
      block->bits[i] = (unsigned char)text[i];
    }
  } else {
    FUZZ_REQUIRE(bm_state_get_doubles(state, name, block->count, (double *)block->bits) == BM_OK);
  }
}

static void edit_block(const edit_t *edit, block_t *block)
{
  static const char types[] = "fdit";
  const double small = (double)(int16_t)edit->low;
  switch ((edit_kind_t)(edit->kind % EDIT_KINDS)) {
  case EDIT_VALUE:
    if (block->count > 0) {
      block->bits[edit->place % block->count] = (uint64_t)edit->high << 32 | edit->low;
    }
    break;
  case EDIT_SMALL_VALUE:
    if (block->count > 0 && (block->type == 'i' || block->type == 't')) {
      block->bits[edit->place % block->count] = (uint64_t)(int64_t)small;
    } else if (block->count > 0) {
      memcpy(&block->bits[edit->place % block->count], &small, sizeof small);
    }
    break;
  case EDIT_LENGTH:
    block->count = edit->place % block->room;
    break;
  case EDIT_TYPE:
    block->type = types[edit->low % 4];
    break;
  case EDIT_OMIT:
    block->name = NULL;
    break;
  case EDIT_KINDS:
    break;
  }
}

static void put_block(const block_t *block, bm_state_t *state)
{
  bm_status_t status = BM_OK;
  if (block->type == 'i') {
    status = bm_state_put_ints(state, block->name, block->count, (const int64_t *)block->bits);
  } else if (block->type == 'd') {
    status = bm_state_put_doubles(state, block->name, block->count, (const double *)block->bits);
  } else if (block->type == 'f') {
    float *values = NULL;
    FUZZ_REQUIRE(BM_ALLOC(block->count, &values) == BM_OK);
    for (size_t i = 0; i < block->count; i++) {
      values[i] = (float)((const double *)block->bits)[i];
    }
    status = bm_state_put_reals(state, block->name, block->count, values);
    bm_free(values);
  } else {
    char text[4096] = "";
    for (size_t i = 0; i < block->count && i + 1 < sizeof text; i++) {
      text[i] = (char)block->bits[i];
    }
    status = bm_state_put_string(state, block->name, text);
  }
  FUZZ_REQUIRE(status == BM_OK);
}

/* The state with the edits in it; owned by the caller. */
static bm_state_t *edited(const bm_state_t *state, const uint8_t *bytes, size_t count)
{
  block_t blocks[BM_BLOCKS_MOST];
  const size_t block_count = bm_state_block_count(state);
  bm_state_t *out = NULL;
  FUZZ_REQUIRE(block_count > 0 && block_count <= BM_BLOCKS_MOST);
  for (size_t b = 0; b < block_count; b++) {
    take_block(state, b, &blocks[b]);
  }
  for (size_t k = 0; k < BM_EDITS_MOST && (k + 1) * sizeof(edit_t) <= count; k++) {
    edit_t edit;
    memcpy(&edit, bytes + k * sizeof edit, sizeof edit);
    edit_block(&edit, &blocks[edit.block % block_count]);
  }
  FUZZ_REQUIRE(bm_state_create(bm_state_kind(state), &out) == BM_OK);
  for (size_t b = 0; b < block_count; b++) {
    if (blocks[b].name != NULL) {
      put_block(&blocks[b], out);
    }
    bm_free(blocks[b].bits);
  }
  return out;
}

/* --- models ----------------------------------------------------------------------------------- */

static bm_state_t *model;

static void open_model(void)
{
  double *x = tiny_data(20);
  bm_map_t *map = tiny_map(20, x);
  tiny_map_shake(map);
  FUZZ_REQUIRE(bm_state_create("model", &model) == BM_OK);
  FUZZ_REQUIRE(bm_map_save(map, model) == BM_OK);
  bm_map_destroy(&map);
  bm_free(x);
}

static void use_map(bm_map_t *map)
{
  const size_t d = bm_map_base_dimension(map);
  double *base = NULL;
  double *x = NULL;
  double log_density[2];
  FUZZ_REQUIRE(BM_ALLOC(2 * d, &base) == BM_OK);
  FUZZ_REQUIRE(BM_ALLOC(2 * bm_map_dimension(map), &x) == BM_OK);
  base[d] = 1.0;
  bm_map_push(map, 2, base, x, log_density);
  bm_map_pull(map, 2, x, base, log_density);
  bm_free(x);
  bm_free(base);
}

static void run_model(const uint8_t *bytes, size_t count)
{
  bm_state_t *state = edited(model, bytes, count);
  bm_map_t *map = NULL;
  if (fuzz_is_taken(bm_map_load(NULL, state, &map))) {
    use_map(map);
  }
  bm_map_destroy(&map);
  bm_state_destroy(&state);
}

/* --- checkpoints of a training ---------------------------------------------------------------- */

#define BM_ROWS 20
#define BM_STEPS 5

static bm_state_t *training;
static double *rows; /* [BM_ROWS][TINY_D] */

static bm_trainer_t *create_trainer(bm_map_t **map)
{
  const bm_trainer_settings_t settings = {.epochs = 4,
                                          .batch = 8,
                                          .shards = 2,
                                          .learning_rate = 1e-2,
                                          .final_learning_rate = 0.1,
                                          .warmup_steps = 2,
                                          .validation_fraction = 0.2,
                                          .validate_every = 1,
                                          .keep_best = 1,
                                          .spike = 1.0};
  const bm_training_data_t data = {.n = BM_ROWS, .d = TINY_D, .walkers = 1, .x = rows};
  bm_trainer_t *trainer = NULL;
  *map = tiny_map(BM_ROWS, rows);
  FUZZ_REQUIRE(bm_trainer_create(fuzz_context, *map, &settings, &data, 3, &trainer) == BM_OK);
  return trainer;
}

static bm_status_t save_and_stop(bm_trainer_t *trainer, void *data)
{
  (void)data;
  return bm_trainer_step(trainer) < BM_STEPS           ? BM_OK
         : bm_trainer_save(trainer, training) == BM_OK ? BM_STOPPED
                                                       : BM_ERR_INTERNAL;
}

static void open_training(void)
{
  bm_map_t *map;
  rows = tiny_data(BM_ROWS);
  bm_trainer_t *trainer = create_trainer(&map);
  FUZZ_REQUIRE(bm_state_create(BM_STATE_CHECKPOINT, &training) == BM_OK);
  FUZZ_REQUIRE(bm_trainer_run(trainer, NULL, save_and_stop, NULL) == BM_STOPPED);
  bm_trainer_destroy(&trainer);
  bm_map_destroy(&map);
}

static void run_training(const uint8_t *bytes, size_t count)
{
  bm_state_t *state = edited(training, bytes, count);
  bm_map_t *map;
  bm_trainer_t *trainer = create_trainer(&map);
  if (fuzz_is_taken(bm_trainer_restore(trainer, state))) {
    (void)fuzz_is_taken(bm_trainer_run(trainer, NULL, NULL, NULL));
  }
  bm_trainer_destroy(&trainer);
  bm_map_destroy(&map);
  bm_state_destroy(&state);
}

/* --- checkpoints of an exact distance --------------------------------------------------------- */

#define BM_POINTS 96
#define BM_LEAST_POINTS 8
#define BM_SOLVER_STEPS 9
#define BM_SOLVER_STEPS_MOST 1000

typedef struct {
  double *x, *y; /* [BM_POINTS][TINY_D] */
  bm_cost_t *cost;
  bm_pricing_t *pricing;
  bm_multilevel_t *solver;
} solving_t;

static bm_state_t *distance;

static void create_solver(solving_t *made)
{
  size_t sizes[32];
  const size_t levels = bm_levels_sizes(BM_POINTS, BM_LEAST_POINTS, sizes);
  made->x = tiny_data(BM_POINTS);
  made->y = tiny_data(BM_POINTS);
  for (size_t i = 0; i < BM_POINTS * TINY_D; i++) {
    made->y[i] = 1.05 * made->y[(i + TINY_D) % (BM_POINTS * TINY_D)] + 0.1;
  }
  FUZZ_REQUIRE(bm_cost_create(BM_POINTS, TINY_D, made->x, made->y, 0.0, &made->cost) == BM_OK);
  FUZZ_REQUIRE(bm_pricing_create(NULL, made->cost, levels, sizes, &made->pricing) == BM_OK);
  FUZZ_REQUIRE(bm_multilevel_create(made->cost, made->pricing, levels, sizes, &made->solver) ==
               BM_OK);
}

static void destroy_solver(solving_t *made)
{
  bm_multilevel_destroy(&made->solver);
  bm_pricing_destroy(&made->pricing);
  bm_cost_destroy(&made->cost);
  bm_free(made->x);
  bm_free(made->y);
}

static void open_distance(void)
{
  solving_t made;
  create_solver(&made);
  for (int step = 0; step < BM_SOLVER_STEPS && !bm_multilevel_done(made.solver); step++) {
    FUZZ_REQUIRE(bm_multilevel_step(made.solver) == BM_OK);
  }
  FUZZ_REQUIRE(bm_state_create(BM_STATE_CHECKPOINT, &distance) == BM_OK);
  FUZZ_REQUIRE(bm_multilevel_save(made.solver, distance) == BM_OK);
  destroy_solver(&made);
}

static void run_distance(const uint8_t *bytes, size_t count)
{
  bm_state_t *state = edited(distance, bytes, count);
  solving_t made;
  create_solver(&made);
  bm_status_t status = bm_multilevel_load(state, made.solver);
  for (int step = 0; status == BM_OK && !bm_multilevel_done(made.solver); step++) {
    FUZZ_REQUIRE(step < BM_SOLVER_STEPS_MOST);
    status = bm_multilevel_step(made.solver);
  }
  (void)fuzz_is_taken(status);
  destroy_solver(&made);
  bm_state_destroy(&state);
}

const fuzz_target_t fuzz_edit_targets[] = {
    {"model", open_model, run_model},
    {"training", open_training, run_training},
    {"distance", open_distance, run_distance},
    {NULL, NULL, NULL},
};
