#include "boltzmap/train/machine.h"

#include <math.h>
#include <unistd.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/train/adam.h"
#include "boltzmap/train/flop_rate.h"

#define BM_SEED 1
#define BM_GRADIENT_SECONDS 0.25 /* of each of the three sizes of a node */
#define BM_OTHER_SECONDS 0.05    /* of each other part */
#define BM_REPEATS_LEAST 3
#define BM_ROWS 256      /* of the larger nodes */
#define BM_ROWS_MOST 512 /* a shard: the time of more is proportional */
#define BM_WIDEST 2048 /* hidden layer: the time of wider ones is proportional to their products */
#define BM_FLOP_MOST 2e10
#define BM_ITEMS_MOST 4194304 /* of a vector: the time of more is proportional */
#define BM_VECTORS 4          /* gradient, two moments, parameters */

/* What is measured on. */
typedef struct {
  bm_flow_t *flow;
  bm_flow_workspace_t *workspace;
  size_t shards, rows; /* of the node at work: rows a shard */
  size_t most_shards, most_rows;
  size_t *offset;  /* [most_shards + 1] */
  bm_real_t *y;    /* [most_rows][d] */
  bm_real_t *work; /* [most_rows][d + 1] */
  double *log_det; /* [most_rows] */
  double *sums;    /* [most_shards] */
  bm_real_t *gradient;
  size_t items;                   /* of each vector */
  bm_real_t *vectors[BM_VECTORS]; /* [items] */
} bench_t;

/* A flow that is measured in the time there is; larger ones are in proportion to it. */
static bm_flow_shape_t measured_shape(const bm_flow_shape_t *shape)
{
  bm_flow_shape_t measured = *shape;
  for (size_t l = 0; l < measured.hidden_count; l++) {
    measured.hidden[l] = measured.hidden[l] < BM_WIDEST ? measured.hidden[l] : BM_WIDEST;
  }
  const double layers =
      (double)measured.layers * BM_FLOP_MOST / (BM_ROWS * bm_flop_training_per_sample(&measured));
  if (layers < (double)measured.layers) {
    measured.layers = layers > 2.0 ? (size_t)layers : 2; /* both kinds of coupling layers */
    measured.layers = measured.layers < shape->layers ? measured.layers : shape->layers;
  }
  return measured;
}

static void release(bench_t *bench)
{
  void *blocks[] = {bench->offset,     bench->y,         bench->work,       bench->log_det,
                    bench->sums,       bench->gradient,  bench->vectors[0], bench->vectors[1],
                    bench->vectors[2], bench->vectors[3]};
  for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
    bm_free(blocks[i]);
  }
  bm_flow_workspace_destroy(&bench->workspace);
  bm_flow_destroy(&bench->flow);
}

static bm_status_t allocate(bench_t *bench, const bm_flow_shape_t *shape)
{
  const size_t rows = bench->most_rows;
  BM_TRY(bm_flow_create(shape, &bench->flow));
  BM_TRY(bm_flow_workspace_create(bench->flow, rows, bench->most_shards, &bench->workspace));
  BM_TRY(BM_ALLOC(bench->most_shards + 1, &bench->offset));
  BM_TRY(BM_ALLOC(rows * shape->d, &bench->y));
  BM_TRY(BM_ALLOC(rows * (shape->d + 1), &bench->work));
  BM_TRY(BM_ALLOC(rows, &bench->log_det));
  BM_TRY(BM_ALLOC(bench->most_shards, &bench->sums));
  BM_TRY(BM_ALLOC(bm_flow_parameter_count(bench->flow), &bench->gradient));
  for (size_t i = 0; i < BM_VECTORS; i++) {
    BM_TRY(BM_ALLOC(bench->items, &bench->vectors[i]));
  }
  return BM_OK;
}

/* Numbers that are neither zero nor denormal, nor all the same. */
static void fill_reals(size_t count, double low, bm_real_t *values)
{
  for (size_t i = 0; i < count; i++) {
    values[i] = (bm_real_t)(low + (double)(i % 7) / 4.0);
  }
}

static void fill(bench_t *bench)
{
  bm_flow_initialise(bench->flow, BM_SEED);
  fill_reals(bench->most_rows * bm_flow_shape(bench->flow)->d, -0.75, bench->y);
  for (size_t k = 0; k < BM_VECTORS; k++) {
    fill_reals(bench->items, 1.0, bench->vectors[k]);
  }
}

static void gradient_of_node(bench_t *bench)
{
  for (size_t s = 0; s <= bench->shards; s++) {
    bench->offset[s] = s * bench->rows;
  }
  const bm_batch_t batch = {{bench->shards, bench->offset}, bench->y, BM_ROWS};
  const bm_gradient_sink_t sink = {.gradient = bench->gradient};
  bm_loss_nll_evaluate(bench->flow, bench->workspace, &batch, bench->work, bench->log_det,
                       bench->sums, &sink);
}

static void map_rows(bench_t *bench)
{
  const size_t offset[2] = {0, bench->most_rows};
  const bm_shards_t shards = {1, offset};
  bm_flow_forward(bench->flow, bench->workspace, &shards, bench->y, bench->work, bench->log_det);
}

static void adam_step(bench_t *bench)
{
  const bm_adam_t adam = {1e-3, 0.9, 0.999, 1e-8};
  bm_adam_step(&adam, 1, 1.0, bench->items, bench->vectors[0], bench->vectors[1], bench->vectors[2],
               bench->vectors[3]);
}

static void add_vectors(bench_t *bench)
{
  const bm_real_t *restrict x = bench->vectors[0];
  bm_real_t *restrict y = bench->vectors[1];
#pragma omp simd
  for (size_t i = 0; i < bench->items; i++) {
    y[i] += x[i];
  }
}

/* Processor seconds of the fastest call; the first one fills caches. */
static double shortest(bench_t *bench, void (*part)(bench_t *), double seconds)
{
  double fastest = INFINITY;
  double end = bm_log_clock() + seconds;
  part(bench);
  for (int i = 0; i < BM_REPEATS_LEAST || bm_log_clock() < end; i++) {
    double before = bm_flop_clock();
    part(bench);
    fastest = fmin(fastest, bm_flop_clock() - before);
  }
  return fastest;
}

static double node_time(bench_t *bench, size_t shards, size_t rows)
{
  bench->shards = shards;
  bench->rows = rows;
  return shortest(bench, gradient_of_node, BM_GRADIENT_SECONDS);
}

/* Three nodes, one shard of `rows`, one of many rows and several of `rows`, give the three times. What
 * comes out below zero is noise. */
static void measure_gradient(bench_t *bench, size_t shards, size_t rows, bm_machine_t *machine)
{
  const double one = node_time(bench, 1, rows);
  const double many = node_time(bench, 1, bench->most_rows);
  const double several = node_time(bench, shards, rows);
  machine->row_s = many > one ? (many - one) / (double)(bench->most_rows - rows)
                              : many / (double)bench->most_rows;
  const double arithmetic = (double)(shards * rows) * machine->row_s;
  const double fixed = fmax(0.0, one - (double)rows * machine->row_s);
  machine->shard_s = fmin(fixed, fmax(0.0, (several - arithmetic - fixed) / (double)(shards - 1)));
  machine->node_s = fixed - machine->shard_s;
}

/* What a flow takes that was too large to be measured. */
static void scale(const bm_flow_shape_t *shape, const bm_flow_shape_t *measured,
                  bm_machine_t *machine)
{
  const double work = bm_flop_training_per_sample(shape) / bm_flop_training_per_sample(measured);
  const double parameters =
      (double)bm_flow_shape_parameters(shape) / (double)bm_flow_shape_parameters(measured);
  machine->row_s *= work;
  machine->map_row_s *= work;
  machine->shard_s *= parameters;
  machine->node_s *= parameters;
}

static void measure(bench_t *bench, size_t shards, size_t rows, bm_machine_t *machine)
{
  const double items = (double)bench->items;
  fill(bench);
  measure_gradient(bench, shards, rows, machine);
  machine->map_row_s = shortest(bench, map_rows, BM_OTHER_SECONDS) / (double)bench->most_rows;
  machine->adam_item_s = shortest(bench, adam_step, BM_OTHER_SECONDS) / items;
  machine->add_item_s = shortest(bench, add_vectors, BM_OTHER_SECONDS) / items;
}

static bm_status_t slowest(const bm_context_t *context, bm_machine_t *machine)
{
  double *times[] = {&machine->node_s,    &machine->shard_s,     &machine->row_s,
                     &machine->map_row_s, &machine->adam_item_s, &machine->add_item_s};
  for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
    BM_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, times[i], 1, MPI_DOUBLE, MPI_MAX, context->comm));
  }
  return BM_OK;
}

static size_t least(size_t a, size_t b)
{
  return a < b ? a : b;
}

static size_t most(size_t a, size_t b)
{
  return a > b ? a : b;
}

bm_status_t bm_machine_measure(const bm_context_t *context, const bm_flow_shape_t *shape,
                               size_t shards, size_t rows, bm_machine_t *machine)
{
  const bm_flow_shape_t measured = measured_shape(shape);
  rows = most(1, least(rows, BM_ROWS_MOST));
  shards = most(2, least(shards, BM_ROWS / rows));
  bench_t bench = {.most_shards = shards,
                   .most_rows = most(BM_ROWS, 2 * rows),
                   .items = least(BM_ITEMS_MOST, bm_flow_shape_parameters(&measured))};
  bm_status_t status = bm_agree(context, allocate(&bench, &measured));
  if (status == BM_OK) {
    measure(&bench, shards, rows, machine);
    scale(shape, &measured, machine);
    machine->cores = (int)most(1, (size_t)sysconf(_SC_NPROCESSORS_ONLN));
    status = slowest(context, machine);
  }
  release(&bench);
  return status;
}
