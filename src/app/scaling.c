#include "boltzmap/app/scaling.h"

#include <math.h>
#include <stdio.h>

#include "boltzmap/parallel/log.h"

#define BM_BATCHES 12 /* doublings of the minibatch that are tried */

static bm_cost_t strong(const bm_scaling_t *self, int ranks)
{
  return bm_cost_of_training(&self->machine, &self->cluster, &self->load, ranks);
}

static bm_cost_t weak(const bm_scaling_t *self, int ranks)
{
  const bm_load_t load = bm_cost_weak_load(&self->load, ranks);
  return bm_cost_of_training(&self->machine, &self->cluster, &load, ranks);
}

static void print_step(const bm_scaling_t *self)
{
  const bm_interconnect_t *network = self->cluster.network;
  const bm_cost_t cost = strong(self, self->ranks);
  const double generation = bm_cost_of_generation(
      &self->machine, &self->cluster, self->generated_rows, self->generated_bytes, self->ranks);
  char training[BM_DURATION_MAX];
  char generating[BM_DURATION_MAX];
  printf("# %s on %d rank%s, %d node%s of %d core%s, %s", self->name, self->ranks,
         self->ranks == 1 ? "" : "s", cost.nodes, cost.nodes == 1 ? "" : "s", self->cluster.cores,
         self->cluster.cores == 1 ? "" : "s", network->name);
  if (isfinite(network->bandwidth_bytes_per_s)) {
    printf(" (%.3g us, %.3g GB/s; %s)", 1e6 * network->latency_s,
           1e-9 * network->bandwidth_bytes_per_s, network->source);
  }
  printf("\n#   a step %.4g ms: compute %.4g, memory %.4g, optimiser %.4g, latency %.4g, bandwidth "
         "%.4g, checkpoints %.4g\n",
         1e3 * cost.step_s, 1e3 * cost.compute_s, 1e3 * cost.memory_s, 1e3 * cost.optimiser_s,
         1e3 * cost.latency_s, 1e3 * cost.bandwidth_s, 1e3 * cost.checkpoint_s);
  printf("#   training %s (%.4g s), generation %s; %.0f MB a rank; %d of %d ranks have a shard\n",
         bm_log_duration(cost.training_s, training), cost.training_s,
         bm_log_duration(generation, generating), 1e-6 * cost.rank_bytes, cost.busy, cost.ranks);
}

/* Of the rows of the table, the last that pays and the fastest. */
typedef struct {
  int pays, fastest;
  double least_s;
  int weak_pays;
} knee_t;

static void print_row(const bm_scaling_t *self, int ranks, knee_t *knee)
{
  const bm_cost_t one = strong(self, 1);
  const bm_cost_t cost = strong(self, ranks);
  const bm_cost_t grown = weak(self, ranks);
  const double efficiency = one.step_s / (ranks * cost.step_s);
  const double weak_efficiency = weak(self, 1).step_s / grown.step_s;
  char training[BM_DURATION_MAX];
  printf("#   %5d %5d %9.4g %9s %8.1f %9.0f%% %8.0f %11.4g %9.0f%%\n", ranks, cost.nodes,
         1e3 * cost.step_s, bm_log_duration(cost.training_s, training), one.step_s / cost.step_s,
         100.0 * efficiency, 1e-6 * cost.rank_bytes, 1e3 * grown.step_s, 100.0 * weak_efficiency);
  if (knee->pays == ranks / 2 && efficiency >= BM_COST_PAYS) {
    knee->pays = ranks;
  }
  if (knee->weak_pays == ranks / 2 && weak_efficiency >= BM_COST_PAYS) {
    knee->weak_pays = ranks;
  }
  if (cost.step_s < knee->least_s) {
    knee->least_s = cost.step_s;
    knee->fastest = ranks;
  }
}

static knee_t print_table(const bm_scaling_t *self)
{
  knee_t knee = {.least_s = INFINITY};
  printf("#   %51s | %s\n", "a minibatch of the deck", "the deck's minibatch for each rank");
  printf("#   %5s %5s %9s %9s %8s %10s %8s %11s %10s\n", "ranks", "nodes", "step ms", "training",
         "speed-up", "efficiency", "MB/rank", "step ms", "efficiency");
  for (int ranks = 1; ranks <= BM_SCALING_MOST; ranks *= 2) {
    print_row(self, ranks, &knee);
    if (ranks < self->ranks && self->ranks < 2 * ranks) {
      knee_t unused = knee;
      print_row(self, self->ranks, &unused);
    }
  }
  return knee;
}

/* Efficiency of the ranks asked for with another minibatch. */
static double efficiency_with(const bm_scaling_t *self, size_t batch, size_t shards)
{
  bm_scaling_t other = *self;
  other.load.batch = batch;
  other.load.shards = shards;
  return strong(&other, 1).step_s / (self->ranks * strong(&other, self->ranks).step_s);
}

/* The least minibatch, by doubling, with which the ranks asked for pay. */
static void print_advice(const bm_scaling_t *self)
{
  const size_t ranks = (size_t)self->ranks;
  const int enough = self->load.fast || self->load.shards > ranks;
  const size_t shards = enough ? self->load.shards : ranks;
  size_t batch = self->load.batch > shards ? self->load.batch : shards;
  double reached = efficiency_with(self, batch, shards);
  for (int i = 0; i < BM_BATCHES && reached < BM_COST_PAYS; i++) {
    batch *= 2;
    reached = efficiency_with(self, batch, shards);
  }
  if (reached < BM_COST_PAYS) {
    printf("#   no minibatch up to %zu rows makes %d ranks pay\n", batch, self->ranks);
  } else if (batch == self->load.batch && shards == self->load.shards) {
    printf("#   %d ranks pay with the deck's minibatch\n", self->ranks);
  } else {
    printf("#   %d ranks pay, at %.0f%%, with training.shards = %zu and training.batch = %zu\n",
           self->ranks, 100.0 * reached, shards, batch);
  }
}

void bm_scaling_print(const bm_scaling_t *self)
{
  print_step(self);
  const knee_t knee = print_table(self);
  printf(
      "#   more ranks stop paying (efficiency below %.0f%%) after %d, and stop being faster after "
      "%d; with a minibatch for each they stop paying after %d\n",
      100.0 * BM_COST_PAYS, knee.pays, knee.fastest, knee.weak_pays);
  print_advice(self);
}
