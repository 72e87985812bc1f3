/* One measured piece of work of the flow, as a line of JSON; training_peers.py sets it beside JAX and
 * PyTorch.
 *
 *   mpirun -n RANKS bench_training --case NAME --batch ROWS --what WHAT [--seconds S] [--shards N]
 *                                  [--backend NAME] [--fast]
 *     dihedral       d = 2, 6 coupling layers, hidden [64]
 *     two-particle   d = 4, 8 coupling layers, hidden [256, 256]
 *     alanine        d = 66, 12 coupling layers, hidden [512, 512]
 *
 *     training       steps of the trainer, whole epochs: shuffle, gather, gradient, reduction, Adam
 *     penalty        the gradient of the NLL and of a loss on as many generated rows, on each rank's share
 *                    of the minibatch and without the reduction, and beside it that of the NLL alone
 *     generation     push-forward of base points with their log density, each rank its share
 *   bench_training --case NAME --batch ROWS --what check --folder FOLDER
 *     loss and gradients for parameters and rows that it leaves in the folder, for peers to compute
 *
 * --backend forces fused or openblas, --fast is training.reduction = "fast" (of training alone).
 *
 * Times are of a step (ROWS rows on all ranks), block of steps by block: wall, and processor time of all
 * ranks together. Rates are of a rank, in processor time, measured in the same run with all ranks at work. */

#include <getopt.h>
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/json.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/base/order.h"
#include "boltzmap/base/random.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/train/flop_rate.h"
#include "boltzmap/train/trainer.h"

#define EPOCHS 100000     /* more than fit into any measurement */
#define BLOCK_SECONDS 0.1 /* least length of a block, about */
#define BLOCKS_MAX 1000
#define SECONDS_MAX 60.0
#define RATE_SECONDS 0.15 /* of each rate */
#define LARGE 1024        /* rows and columns of a product that shows sgemm at its best */
#define ROUNDS 3          /* of NLL and penalty in turn */

/* End of all ranks; the message is that of the failed call. */
#define REQUIRE(expression)                                          \
  do {                                                               \
    if ((expression) != BM_OK) {                                     \
      fprintf(stderr, "%s: %s\n", #expression, bm_status_message()); \
      MPI_Abort(MPI_COMM_WORLD, 1);                                  \
    }                                                                \
  } while (0)

typedef struct {
  const char *name;
  bm_flow_shape_t shape;
  size_t rows; /* of the training set: whole minibatches */
} case_t;

static case_t cases[] = {
    {"dihedral", {2, 6, 1, {64}, BM_RELU, 2.0, NULL}, 12288},
    {"two-particle", {4, 8, 2, {256, 256}, BM_RELU, 2.0, NULL}, 12288},
    {"alanine", {66, 12, 2, {512, 512}, BM_RELU, 2.0, NULL}, 61440},
};

typedef struct {
  case_t *flow;
  const bm_network_ops_t *backend; /* NULL: that of the rule */
  int fast;
  size_t batch, shards;
  const char *what, *folder;
  double seconds;
} options_t;

/* --- clock -------------------------------------------------------------------------------------- */

/* Seconds a step, block of steps by block. */
typedef struct {
  const bm_context_t *context;
  double end;       /* when to stop; 0 before the first block, which is a warm-up */
  long steps, plan; /* made in this block; to be made */
  double before[2]; /* wall and processor clock at its start */
  size_t blocks;
  double wall[BLOCKS_MAX], processor[BLOCKS_MAX]; /* of this rank, later of all */
} stopwatch_t;

static void start_block(stopwatch_t *watch, long plan)
{
  watch->plan = plan;
  watch->steps = 0;
  watch->before[0] = bm_log_clock();
  watch->before[1] = bm_flop_clock();
}

/* After a step: whether to go on, for about `seconds`. Rank 0 decides for all: blocks are doubled until
 * they are long enough to count. */
static int go_on(stopwatch_t *watch, double seconds)
{
  if (++watch->steps < watch->plan) {
    return 1;
  }
  double now[2] = {bm_log_clock(), bm_flop_clock()};
  double wall = now[0] - watch->before[0];
  double steps = (double)watch->plan;
  int too_short = wall < 0.5 * BLOCK_SECONDS;
  long decision[2] = {watch->end > 0.0 && !too_short, too_short ? 2 * watch->plan : watch->plan};
  if (watch->end == 0.0) {
    watch->end = now[0] + seconds;
  } else if (decision[0] && (now[0] >= watch->end || watch->blocks + 1 == BLOCKS_MAX)) {
    decision[1] = 0;
  }
  MPI_Bcast(decision, 2, MPI_LONG, 0, watch->context->comm);
  if (decision[0]) {
    watch->wall[watch->blocks] = wall / steps;
    watch->processor[watch->blocks] = (now[1] - watch->before[1]) / steps;
    watch->blocks++;
  }
  start_block(watch, decision[1]);
  return decision[1] != 0;
}

typedef void (*step_t)(void *work);

/* More blocks of a step that is not the trainer's. */
static void run(stopwatch_t *watch, step_t step, void *work, double seconds)
{
  watch->end = 0.0;
  start_block(watch, 1);
  do {
    step(work);
  } while (go_on(watch, seconds));
}

/* The slowest rank's wall time counts, and everybody's processor time. Collective. */
static void over_ranks(stopwatch_t *watch)
{
  int count = (int)watch->blocks;
  MPI_Comm comm = watch->context->comm;
  MPI_Allreduce(MPI_IN_PLACE, watch->wall, count, MPI_DOUBLE, MPI_MAX, comm);
  MPI_Allreduce(MPI_IN_PLACE, watch->processor, count, MPI_DOUBLE, MPI_SUM, comm);
}

/* --- work --------------------------------------------------------------------------------------- */

static double *made_rows(size_t n, size_t d)
{
  double *x;
  REQUIRE(BM_ALLOC(n * d, &x));
  for (size_t i = 0; i < n; i++) {
    bm_random_normals(bm_random(1, BM_PURPOSE_TEST), (uint32_t)i, 0, 0, d, x + i * d);
    x[i * d] += x[i * d + 1] * x[i * d + 1];
  }
  return x;
}

static bm_map_t *made_map(const bm_flow_shape_t *shape, size_t n, const double *x)
{
  const bm_layout_t layout = {shape->d / 2, 2, "1", "1"};
  bm_chart_t *units;
  bm_map_t *map;
  REQUIRE(bm_chart_fit(
      &bm_chart_standardised,
      &(bm_chart_system_t){.particles = layout.particles, .dimensions = layout.dimensions}, n, x,
      &units));
  REQUIRE(bm_map_create(shape, &layout, units, &map));
  return map;
}

typedef struct {
  stopwatch_t *watch;
  double seconds;
} training_t;

static bm_status_t after_step(bm_trainer_t *trainer, void *data)
{
  training_t *training = data;
  (void)trainer;
  return go_on(training->watch, training->seconds) ? BM_OK : BM_STOPPED;
}

static void measure_training(const options_t *options, stopwatch_t *watch)
{
  const bm_flow_shape_t *shape = &options->flow->shape;
  const bm_trainer_settings_t settings = {.epochs = EPOCHS,
                                          .batch = (int64_t)options->batch,
                                          .shards = (int64_t)options->shards,
                                          .fast = options->fast,
                                          .learning_rate = 1e-4,
                                          .final_learning_rate = 1.0,
                                          .warmup_steps = 10,
                                          .clip_norm = 10.0,
                                          .validate_every = EPOCHS};
  const size_t n = options->flow->rows + 1; /* one is held out */
  double *x = made_rows(n, shape->d);
  const bm_training_data_t data = {.n = n, .d = shape->d, .walkers = 1, .x = x};
  bm_map_t *map = made_map(shape, n, x);
  training_t training = {watch, options->seconds};
  bm_trainer_t *trainer;
  REQUIRE(bm_trainer_create(watch->context, map, &settings, &data, 1, &trainer));
  start_block(watch, 1);
  if (bm_trainer_run(trainer, NULL, after_step, &training) != BM_STOPPED) {
    REQUIRE(BM_FAIL(BM_ERR_INTERNAL, "training ended before the measurement did"));
  }
  bm_trainer_destroy(&trainer);
  bm_map_destroy(&map);
  bm_free(x);
}

/* This rank's share of the minibatch, and room for gradients through both directions. */
typedef struct {
  bm_flow_t *flow;
  bm_flow_workspace_t *workspace;
  size_t rows, shards, *offset;
  bm_real_t *y, *generated;         /* [rows][d] */
  bm_real_t *rows_work, *d_log_det; /* [rows][d + 1], [rows] */
  double *log_det, *shard_sums;     /* [rows], [shards] */
  bm_real_t *gradient, *more;       /* [parameters] */
} share_t;

static share_t made_share(const bm_flow_shape_t *shape, size_t rows, size_t shards)
{
  share_t share = {.rows = rows, .shards = shards};
  double *x = made_rows(rows, shape->d);
  REQUIRE(bm_flow_create(shape, &share.flow));
  REQUIRE(bm_flow_workspace_create(share.flow, rows, shards, &share.workspace));
  REQUIRE(BM_ALLOC(shards + 1, &share.offset));
  REQUIRE(BM_ALLOC(rows * shape->d, &share.y));
  REQUIRE(BM_ALLOC(rows * shape->d, &share.generated));
  REQUIRE(BM_ALLOC(rows * (shape->d + 1), &share.rows_work));
  REQUIRE(BM_ALLOC(rows, &share.d_log_det));
  REQUIRE(BM_ALLOC(rows, &share.log_det));
  REQUIRE(BM_ALLOC(shards, &share.shard_sums));
  REQUIRE(BM_ALLOC(bm_flow_parameter_count(share.flow), &share.gradient));
  REQUIRE(BM_ALLOC(bm_flow_parameter_count(share.flow), &share.more));
  bm_flow_initialise(share.flow, 1);
  for (size_t s = 0; s <= shards; s++) {
    share.offset[s] = rows * s / shards;
  }
  for (size_t i = 0; i < rows * shape->d; i++) {
    share.y[i] = (bm_real_t)x[i];
  }
  bm_free(x);
  return share;
}

static void free_share(share_t *share)
{
  void *blocks[] = {share->offset,     share->y,         share->generated,
                    share->rows_work,  share->d_log_det, share->log_det,
                    share->shard_sums, share->gradient,  share->more};
  bm_flow_workspace_destroy(&share->workspace);
  bm_flow_destroy(&share->flow);
  for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
    bm_free(blocks[i]);
  }
}

/* Mean NLL of the rows and its gradient. */
static void nll_step(void *work)
{
  share_t *share = work;
  const bm_batch_t batch = {{share->shards, share->offset}, share->y, share->rows};
  bm_loss_nll_evaluate(share->flow, share->workspace, &batch, share->rows_work, share->log_det,
                       share->shard_sums, &(bm_gradient_sink_t){share->gradient, NULL, NULL});
}

/* Mean of ½|F(x)|² + log|det J_F(x)| over as many generated rows (the rows are taken as base points): any
 * loss on generated samples costs as much beyond its own arithmetic. Gradient into `more`. */
static double generated_step(share_t *share)
{
  const bm_shards_t shards = {share->shards, share->offset};
  const size_t d = bm_flow_shape(share->flow)->d;
  const bm_real_t weight = (bm_real_t)(1.0 / (double)share->rows);
  double sum = 0.0;
  bm_flow_forward(share->flow, share->workspace, &shards, share->y, share->generated,
                  share->log_det);
  for (size_t i = 0; i < share->rows; i++) {
    for (size_t k = 0; k < d; k++) {
      bm_real_t value = share->generated[i * d + k];
      sum += 0.5 * (double)value * (double)value;
      share->generated[i * d + k] = weight * value;
    }
    sum += share->log_det[i];
    share->d_log_det[i] = weight;
  }
  bm_flow_forward_backward(share->flow, share->workspace, &shards, share->generated,
                           share->d_log_det, &(bm_gradient_sink_t){share->more, NULL, NULL});
  return sum / (double)share->rows;
}

static void penalty_step(void *work)
{
  share_t *share = work;
  nll_step(share);
  generated_step(share);
  for (size_t i = 0; i < bm_flow_parameter_count(share->flow); i++) {
    share->gradient[i] += share->more[i];
  }
}

/* Shards of the minibatch that a rank has. */
static size_t own_shards(const options_t *options, int ranks)
{
  size_t shards = options->shards / (size_t)ranks;
  return shards > 0 ? shards : 1;
}

static void measure_penalty(const options_t *options, stopwatch_t *nll, stopwatch_t *penalty)
{
  int ranks = penalty->context->size;
  double seconds = options->seconds / (2.0 * ROUNDS);
  share_t share =
      made_share(&options->flow->shape, options->batch / (size_t)ranks, own_shards(options, ranks));
  for (int i = 0; i < ROUNDS; i++) {
    run(nll, nll_step, &share, seconds);
    run(penalty, penalty_step, &share, seconds);
  }
  free_share(&share);
}

typedef struct {
  bm_map_t *map;
  size_t rows;
  double *base, *x, *log_density;
} generation_t;

static void generation_step(void *work)
{
  generation_t *generation = work;
  bm_map_push(generation->map, generation->rows, generation->base, generation->x,
              generation->log_density);
}

static void measure_generation(const options_t *options, stopwatch_t *watch)
{
  const bm_flow_shape_t *shape = &options->flow->shape;
  size_t rows = options->batch / (size_t)watch->context->size;
  double *base = made_rows(rows, shape->d);
  generation_t generation = {made_map(shape, rows, base), rows, base, NULL, NULL};
  REQUIRE(BM_ALLOC(rows * shape->d, &generation.x));
  REQUIRE(BM_ALLOC(rows, &generation.log_density));
  bm_flow_initialise(bm_map_flow(generation.map), 1);
  REQUIRE(bm_map_freeze(generation.map));
  run(watch, generation_step, &generation, options->seconds);
  bm_map_destroy(&generation.map);
  bm_free(generation.base);
  bm_free(generation.x);
  bm_free(generation.log_density);
}

/* --- answer ------------------------------------------------------------------------------------- */

static void say(bm_json_t *answer)
{
  REQUIRE(bm_json_say(answer));
  bm_json_destroy(&answer);
}

/* Least and median of the blocks, and all of them. */
static void add_times(bm_json_t *answer, const char *name, size_t count, const double *seconds)
{
  bm_json_t *object;
  bm_json_t *all;
  double sorted[BLOCKS_MAX];
  memcpy(sorted, seconds, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, bm_order_ascending);
  REQUIRE(bm_json_add_object(answer, name, &object));
  REQUIRE(bm_json_add_number(object, "least", sorted[0]));
  REQUIRE(bm_json_add_number(object, "median", sorted[count / 2]));
  REQUIRE(bm_json_add_array(object, "all", &all));
  for (size_t i = 0; i < count; i++) {
    REQUIRE(bm_json_add_number(all, NULL, seconds[i]));
  }
}

/* Times of a step under `name`, and what they mean in samples and operations. */
static void add_work(bm_json_t *answer, const char *name, const options_t *options,
                     const stopwatch_t *watch, double flop_per_sample)
{
  bm_json_t *object;
  double processor = INFINITY;
  double wall = INFINITY;
  double batch = (double)options->batch;
  for (size_t i = 0; i < watch->blocks; i++) {
    processor = fmin(processor, watch->processor[i]);
    wall = fmin(wall, watch->wall[i]);
  }
  REQUIRE(bm_json_add_object(answer, name, &object));
  add_times(object, "wall_s", watch->blocks, watch->wall);
  add_times(object, "processor_s", watch->blocks, watch->processor);
  REQUIRE(bm_json_add_number(object, "samples_per_s", batch / wall));
  REQUIRE(bm_json_add_number(object, "samples_per_processor_s", batch / processor));
  REQUIRE(bm_json_add_number(object, "flop_per_sample", flop_per_sample));
  REQUIRE(bm_json_add_number(object, "gflops", 1e-9 * batch * flop_per_sample / processor));
}

/* Peak of a core and rates of OpenBLAS: at its best, at the shapes of the rank's rows of a minibatch, and
 * of a shard. */
static void add_rates(bm_json_t *answer, const bm_context_t *context, const options_t *options)
{
  const bm_flow_shape_t *shape = &options->flow->shape;
  const char *const names[4] = {"peak", "sgemm", "sgemm_rows", "sgemm_shard"};
  bm_flop_rates_t rates[4];
  bm_json_t *object;
  REQUIRE(bm_flop_peak_rate(context, RATE_SECONDS, &rates[0]));
  REQUIRE(bm_flop_product_rate(context, BM_PRODUCT_FORWARD, LARGE, LARGE, LARGE, RATE_SECONDS,
                               &rates[1]));
  REQUIRE(bm_flop_products_rate(context, shape, options->batch / (size_t)context->size,
                                RATE_SECONDS, &rates[2]));
  REQUIRE(bm_flop_products_rate(context, shape, options->batch / options->shards, RATE_SECONDS,
                                &rates[3]));
  REQUIRE(bm_json_add_object(answer, "rates_gflops", &object));
  for (int i = 0; i < 4; i++) {
    REQUIRE(bm_json_add_number(object, names[i], 1e-9 * rates[i].mean));
  }
}

static void measure(const options_t *options, const bm_context_t *context)
{
  const bm_flow_shape_t *shape = &options->flow->shape;
  const double training = bm_flop_training_per_sample(shape);
  static stopwatch_t watch, nll;
  bm_json_t *answer = bm_json_object();
  watch.context = nll.context = context;
  REQUIRE(bm_json_add_string(answer, "case", options->flow->name));
  REQUIRE(bm_json_add_number(answer, "batch", (double)options->batch));
  REQUIRE(bm_json_add_number(answer, "shards", (double)options->shards));
  REQUIRE(bm_json_add_number(answer, "ranks", context->size));
  if (strcmp(options->what, "training") == 0) {
    measure_training(options, &watch);
    over_ranks(&watch);
    add_work(answer, "training", options, &watch, training);
  } else if (strcmp(options->what, "generation") == 0) {
    measure_generation(options, &watch);
    over_ranks(&watch);
    add_work(answer, "generation", options, &watch, bm_flop_generation_per_sample(shape));
  } else {
    measure_penalty(options, &nll, &watch);
    over_ranks(&nll);
    over_ranks(&watch);
    add_work(answer, "nll", options, &nll, training);
    add_work(answer, "penalty", options, &watch, 2.0 * training);
  }
  add_rates(answer, context, options);
  if (bm_context_is_root(context)) {
    say(answer);
  } else {
    bm_json_destroy(&answer);
  }
}

/* --- check -------------------------------------------------------------------------------------- */

static void write_reals(const char *folder, const char *name, size_t count, const bm_real_t *x)
{
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "wb");
  if (file == NULL || fwrite(x, sizeof *x, count, file) != count || fclose(file) != 0) {
    REQUIRE(BM_FAIL(BM_ERR_IO, "cannot write %s", path));
  }
}

static double norm(size_t count, const bm_real_t *x)
{
  double sum = 0.0;
  for (size_t i = 0; i < count; i++) {
    sum += (double)x[i] * (double)x[i];
  }
  return sqrt(sum);
}

/* Parameters away from those of the start, where the flow is close to the identity. */
static void perturb(bm_flow_t *flow)
{
  bm_real_t *parameters = bm_flow_parameters(flow);
  for (size_t i = 0; i < bm_flow_parameter_count(flow); i += 2) {
    double normal[2];
    bm_random_normal2(bm_random(2, BM_PURPOSE_TEST), (uint32_t)i, 0, 0, normal);
    for (size_t k = 0; k < 2 && i + k < bm_flow_parameter_count(flow); k++) {
      parameters[i + k] += (bm_real_t)(0.005 * normal[k]);
    }
  }
}

static void check(const options_t *options)
{
  const bm_flow_shape_t *shape = &options->flow->shape;
  const size_t rows = options->flow->rows;
  share_t all = made_share(shape, rows, 1);
  share_t share = made_share(shape, options->batch, options->shards);
  bm_json_t *answer = bm_json_object();
  bm_json_t *hidden;
  double loss = 0.0;
  perturb(share.flow);
  write_reals(options->folder, "rows.f32", rows * shape->d, all.y);
  write_reals(options->folder, "parameters.f32", bm_flow_parameter_count(share.flow),
              bm_flow_parameters(share.flow));
  nll_step(&share);
  for (size_t s = 0; s < share.shards; s++) {
    loss += share.shard_sums[s];
  }
  REQUIRE(bm_json_add_number(answer, "d", (double)shape->d));
  REQUIRE(bm_json_add_number(answer, "layers", (double)shape->layers));
  REQUIRE(bm_json_add_array(answer, "hidden", &hidden));
  for (size_t l = 0; l < shape->hidden_count; l++) {
    REQUIRE(bm_json_add_number(hidden, NULL, (double)shape->hidden[l]));
  }
  REQUIRE(bm_json_add_number(answer, "scale_cap", shape->scale_cap));
  REQUIRE(bm_json_add_number(answer, "batch", (double)options->batch));
  REQUIRE(bm_json_add_number(answer, "loss", loss));
  REQUIRE(bm_json_add_number(answer, "gradient_norm",
                             norm(bm_flow_parameter_count(share.flow), share.gradient)));
  REQUIRE(bm_json_add_number(answer, "generated_loss", generated_step(&share)));
  REQUIRE(bm_json_add_number(answer, "generated_gradient_norm",
                             norm(bm_flow_parameter_count(share.flow), share.more)));
  say(answer);
  free_share(&share);
  free_share(&all);
}

/* --- command line ------------------------------------------------------------------------------- */

static int usage(void)
{
  fprintf(stderr, "bench_training --case dihedral|two-particle|alanine --batch ROWS\n"
                  "               --what training|penalty|generation|check\n"
                  "               [--seconds S] [--shards N] [--folder FOLDER]\n"
                  "               [--backend fused|openblas] [--fast]\n");
  return BM_ERR_USAGE;
}

static case_t *found_case(const char *name)
{
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    if (strcmp(cases[i].name, name) == 0) {
      return &cases[i];
    }
  }
  return NULL;
}

static int read_options(int argc, char **argv, options_t *options)
{
  static const struct option names[] = {
      {"case", required_argument, NULL, 'c'},
      {"batch", required_argument, NULL, 'b'},
      {"what", required_argument, NULL, 'w'},
      {"seconds", required_argument, NULL, 's'},
      {"shards", required_argument, NULL, 'n'},
      {"folder", required_argument, NULL, 'f'},
      {"backend", required_argument, NULL, 'k'},
      {"fast", no_argument, NULL, 'q'},
      {NULL, 0, NULL, 0},
  };
  int option;
  *options = (options_t){.shards = 8, .seconds = 3.0};
  while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
    switch (option) {
    case 'c':
      options->flow = found_case(optarg);
      break;
    case 'b':
      options->batch = strtoul(optarg, NULL, 10);
      break;
    case 'w':
      options->what = optarg;
      break;
    case 's':
      options->seconds = strtod(optarg, NULL);
      break;
    case 'n':
      options->shards = strtoul(optarg, NULL, 10);
      break;
    case 'f':
      options->folder = optarg;
      break;
    case 'k':
      options->backend = bm_network_find(optarg);
      if (options->backend == NULL) {
        return 0;
      }
      break;
    case 'q':
      options->fast = 1;
      break;
    default:
      return 0;
    }
  }
  if (options->flow != NULL) {
    options->flow->shape.backend = options->backend;
  }
  return optind == argc;
}

static int valid(const options_t *options, int ranks)
{
  static const char *const whats[] = {"training", "penalty", "generation", "check"};
  int known = 0;
  for (size_t i = 0; i < sizeof whats / sizeof whats[0] && options->what != NULL; i++) {
    known = known || strcmp(options->what, whats[i]) == 0;
  }
  return known && options->flow != NULL && options->batch > 0 && options->shards > 0 &&
         options->batch % (options->shards * (size_t)ranks) == 0 &&
         options->flow->rows % options->batch == 0 && options->seconds > 0.0 &&
         options->seconds <= SECONDS_MAX &&
         (strcmp(options->what, "check") != 0 || (options->folder != NULL && ranks == 1));
}

int main(int argc, char **argv)
{
  bm_context_t *context;
  options_t options;
  int status = BM_OK;
  MPI_Init(&argc, &argv);
  REQUIRE(bm_context_create(MPI_COMM_WORLD, &context));
  if (!read_options(argc, argv, &options) || !valid(&options, context->size)) {
    status = bm_status_exit_code((bm_status_t)usage());
  } else if (strcmp(options.what, "check") == 0) {
    check(&options);
  } else {
    measure(&options, context);
  }
  bm_context_destroy(&context);
  MPI_Finalize();
  return status;
}
