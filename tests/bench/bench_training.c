/* Training speed beside OpenBLAS: samples a second of the optimiser's steps through the trainer, the
 * rate of its dense products, and in turn with it the rate of sgemm for the same products, all ranks at
 * once. Requirement: at least half of sgemm's rate at the shapes of a shard, for the full-size
 * two-particle flow on two ranks.
 *
 *   mpirun -n 2 bench_training [seconds]      for each flow; default 20 */

#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/train/flop_rate.h"
#include "boltzmap/train/trainer.h"

#define BATCH 256
#define SHARDS 8
#define WALKERS 9 /* one of them held out */
#define EPOCHS 3
#define SGEMM_SECONDS 0.6
#define PRODUCT_SECONDS 0.1
#define CHUNKS 16 /* generated at a time, on each rank */

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
  size_t steps; /* an epoch */
} case_t;

static const case_t cases[] = {
    {"two particles", {4, 8, 2, {256, 256}, BM_RELU, 2.0, NULL}, 16},
    {"alanine dipeptide", {66, 12, 2, {512, 512}, BM_RELU, 2.0, NULL}, 4},
};

/* Best of several measurements. */
typedef struct {
  bm_flop_rates_t training[3];  /* samples/s of all ranks, as train gives them */
  bm_flop_rates_t generation;   /* samples/s of one rank */
  bm_flop_rates_t shard, whole; /* sgemm at the rows of a shard and of a rank, FLOP/s */
  int repeats;
} result_t;

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

static bm_map_t *made_map(const case_t *now, size_t n, const double *x)
{
  const bm_layout_t layout = {now->shape.d / 2, 2, "1", "1"};
  bm_standardisation_t *units;
  bm_map_t *map;
  REQUIRE(bm_standardisation_fit(n, now->shape.d, x, &units));
  REQUIRE(bm_map_create(&now->shape, &layout, units, &map));
  return map;
}

static bm_flop_rates_t over_ranks(const bm_context_t *context, double value)
{
  bm_flop_rates_t rates;
  MPI_Allreduce(&value, &rates.min, 1, MPI_DOUBLE, MPI_MIN, context->comm);
  MPI_Allreduce(&value, &rates.mean, 1, MPI_DOUBLE, MPI_SUM, context->comm);
  MPI_Allreduce(&value, &rates.max, 1, MPI_DOUBLE, MPI_MAX, context->comm);
  rates.mean /= context->size;
  return rates;
}

/* Shortest step between two calls of the hook, none of which began or ended an epoch; by the clock on the
 * wall and in processor time, which leaves out what neighbours took but not waiting for other ranks. */
typedef struct {
  int64_t steps_per_epoch;
  double before[2], shortest[2];
} stopwatch_t;

static bm_status_t after_step(bm_trainer_t *trainer, void *data)
{
  stopwatch_t *watch = data;
  const double now[2] = {bm_log_clock(), bm_flop_clock()};
  int64_t in_epoch = bm_trainer_step(trainer) % watch->steps_per_epoch;
  for (int i = 0; i < 2; i++) {
    if (in_epoch > 1) {
      watch->shortest[i] = fmin(watch->shortest[i], now[i] - watch->before[i]);
    }
    watch->before[i] = now[i];
  }
  return BM_OK;
}

/* Samples a second: the trainer's own figure, the median over epochs, and of the shortest step by
 * either clock. */
static void train(const bm_context_t *context, const case_t *now, bm_map_t *map,
                  const bm_training_data_t *data, bm_flop_rates_t rates[3])
{
  const bm_trainer_settings_t settings = {.loss = bm_loss_find("nll"),
                                          .epochs = EPOCHS,
                                          .batch = BATCH,
                                          .shards = SHARDS,
                                          .learning_rate = 1e-4,
                                          .final_learning_rate = 1.0,
                                          .warmup_steps = 10,
                                          .clip_norm = 10.0,
                                          .validation_fraction = 1.0 / (double)data->walkers,
                                          .validate_every = EPOCHS};
  bm_trainer_t *trainer;
  bm_training_report_t report;
  stopwatch_t watch = {(int64_t)now->steps, {0.0, 0.0}, {INFINITY, INFINITY}};
  REQUIRE(bm_trainer_create(context, map, &settings, data, 1, &trainer));
  REQUIRE(bm_trainer_run(trainer, NULL, after_step, &watch));
  bm_trainer_report(trainer, &report);
  bm_trainer_destroy(&trainer);
  rates[0] = over_ranks(context, report.samples_per_s);
  rates[1] = over_ranks(context, BATCH / watch.shortest[0]);
  rates[2] = over_ranks(context, BATCH / watch.shortest[1]);
}

static bm_flop_rates_t generation_rate(const bm_context_t *context, bm_map_t *map)
{
  size_t n = CHUNKS * BM_MAP_CHUNK;
  size_t d = bm_map_dimension(map);
  double *base = made_rows(n, d);
  double *x;
  double *log_density;
  REQUIRE(BM_ALLOC(n * d, &x));
  REQUIRE(BM_ALLOC(n, &log_density));
  MPI_Barrier(context->comm);
  double started = bm_log_clock();
  bm_map_push(map, n, base, x, log_density);
  double seconds = bm_log_clock() - started;
  bm_free(base);
  bm_free(x);
  bm_free(log_density);
  return over_ranks(context, (double)n / seconds);
}

static void keep_best(bm_flop_rates_t rates, bm_flop_rates_t *best)
{
  *best = rates.mean > best->mean ? rates : *best;
}

/* Training and its peer in turn until the time is up, so that both meet the same neighbours. */
static result_t measure(const bm_context_t *context, const case_t *now, double seconds)
{
  size_t walker_rows = now->steps * BATCH / (WALKERS - 1);
  size_t n = walker_rows * WALKERS;
  double *x = made_rows(n, now->shape.d);
  const bm_training_data_t data = {.n = n, .d = now->shape.d, .walkers = WALKERS, .x = x};
  bm_map_t *map = made_map(now, n, x);
  result_t best = {0};
  double started = bm_log_clock();
  int more = 1;
  while (more) {
    bm_flop_rates_t rates[3];
    train(context, now, map, &data, rates);
    for (int i = 0; i < 3; i++) {
      keep_best(rates[i], &best.training[i]);
    }
    REQUIRE(bm_flop_products_rate(context, &now->shape, BATCH / SHARDS, SGEMM_SECONDS, rates));
    keep_best(rates[0], &best.shard);
    REQUIRE(bm_flop_products_rate(context, &now->shape, BATCH / (size_t)context->size,
                                  SGEMM_SECONDS, rates));
    keep_best(rates[0], &best.whole);
    keep_best(generation_rate(context, map), &best.generation);
    best.repeats++;
    more = bm_log_clock() - started < seconds;
    MPI_Bcast(&more, 1, MPI_INT, 0, context->comm);
  }
  bm_map_destroy(&map);
  bm_free(x);
  return best;
}

static void print_row(const char *name, bm_flop_rates_t rates, double unit)
{
  printf("  %-60s %9.1f %9.1f %9.1f\n", name, rates.min / unit, rates.mean / unit,
         rates.max / unit);
}

static bm_flop_rates_t scaled(bm_flop_rates_t rates, double factor)
{
  return (bm_flop_rates_t){rates.min * factor, rates.mean * factor, rates.max * factor};
}

static void print_result(const bm_context_t *context, const case_t *now, const result_t *best)
{
  static const char *const names[3] = {
      "training, samples/s of all ranks, median epoch",
      "                                   best step",
      "                                   best step, processor time"};
  double ranks = context->size;
  double flop = bm_flop_training_per_sample(&now->shape);
  double generation_flop = bm_flop_generation_per_sample(&now->shape);
  double by_wall = best->training[1].mean * flop / ranks;
  double by_processor = best->training[2].mean * flop / ranks;
  printf("%s: d = %zu, %zu coupling layers, hidden [%zu, %zu], batch %d, %d shards, %d ranks; "
         "best of %d\n",
         now->name, now->shape.d, now->shape.layers, now->shape.hidden[0], now->shape.hidden[1],
         BATCH, SHARDS, context->size, best->repeats);
  printf("  %-60s %9s %9s %9s\n", "over ranks:", "min", "mean", "max");
  for (int i = 0; i < 3; i++) {
    print_row(names[i], best->training[i], 1.0);
  }
  print_row("training, GFLOP/s a rank, best step", scaled(best->training[1], flop / ranks), 1e9);
  print_row("sgemm, shapes of a shard, GFLOP/s a rank", best->shard, 1e9);
  print_row("sgemm, shapes of a rank's batch, GFLOP/s a rank", best->whole, 1e9);
  print_row("generation, samples/s a rank", best->generation, 1.0);
  print_row("generation, GFLOP/s a rank", scaled(best->generation, generation_flop), 1e9);
  printf("  %.2f MFLOP a training sample\n", flop / 1e6);
  printf(
      "  training / sgemm, shapes of a shard: %.3f (processor time %.3f); of a rank's batch: %.3f "
      "(%.3f)\n",
      by_wall / best->shard.mean, by_processor / best->shard.mean, by_wall / best->whole.mean,
      by_processor / best->whole.mean);
}

/* sgemm product by product, layer by layer. */
static void print_products(const bm_context_t *context, const case_t *now)
{
  static const char *const names[BM_PRODUCTS] = {"forward", "data", "weights"};
  bm_network_shape_t network = bm_flow_conditioner(&now->shape, 0);
  if (bm_context_is_root(context)) {
    printf("  sgemm on %d rows, GFLOP/s a rank (mean):", BATCH / SHARDS);
  }
  for (size_t l = 0; l <= network.hidden_count; l++) {
    size_t in = bm_network_width_in(&network, l);
    size_t out = bm_network_width_out(&network, l);
    if (bm_context_is_root(context)) {
      printf("  %zux%zu", in, out);
    }
    for (bm_flop_product_t product = 0; product < BM_PRODUCTS; product++) {
      bm_flop_rates_t rates;
      REQUIRE(
          bm_flop_product_rate(context, product, in, out, BATCH / SHARDS, PRODUCT_SECONDS, &rates));
      if (bm_context_is_root(context)) {
        printf(" %s %.1f", names[product], rates.mean / 1e9);
      }
    }
  }
  if (bm_context_is_root(context)) {
    printf("\n");
  }
}

int main(int argc, char **argv)
{
  bm_context_t *context;
  double seconds = argc > 1 ? strtod(argv[1], NULL) : 20.0;
  MPI_Init(&argc, &argv);
  REQUIRE(bm_context_create(MPI_COMM_WORLD, &context));
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    result_t result = measure(context, &cases[i], seconds);
    if (bm_context_is_root(context)) {
      print_result(context, &cases[i], &result);
    }
    print_products(context, &cases[i]);
  }
  bm_context_destroy(&context);
  MPI_Finalize();
  return 0;
}
