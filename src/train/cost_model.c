#include "boltzmap/train/cost_model.h"

#include <math.h>

#include "boltzmap/base/tree.h"
#include "boltzmap/parallel/partition.h"
#include "boltzmap/transport/map.h"

/* Ranks of a node that wait for each other. MPI_Allreduce of one number, which is no faster than the barrier
 * in shared memory that takes its place, took 0.31 us on 2 ranks of 2 cores, 2.0 us on 4 and 8.4 us on 8,
 * whose waits give the core away (Open MPI 4.1.4, least of 20 series of 200). */
#define BM_SYNC_S 0.3e-6   /* times log2 of the ranks */
#define BM_SWITCH_S 2.0e-6 /* times the ranks a core, less one */
#define BM_SYNCS 3         /* a step: gradients, their numbers with stop requests, parameters */
#define BM_SMALL 1         /* of these, collectives of few bytes between nodes: numbers */

/* Of a checkpoint with all that it takes to make one, and taken for samples, too: 12 of 114 MB (12 layers
 * of [512, 512] in 66 coordinates, one after each step) made a training of 1.6 s last 6.3 s; the same
 * file system writes zeros at 1.7 GB/s. */
#define BM_WRITE_BYTES_PER_S 0.29e9

/* Of float32 or float64 vectors as long as the parameters: parameters, the best ones, two in a
 * checkpoint that is made (the four it holds, their image), a gradient. */
#define BM_CHECKPOINT_VECTORS 4.0
#define BM_RANK_VECTORS 2.0
#define BM_ROOT_VECTORS (1.0 + 2.0 * BM_CHECKPOINT_VECTORS)
#define BM_MOMENTS 2.0

static const double real = sizeof(bm_real_t);

/* How a minibatch lies on the ranks. */
typedef struct {
  int nodes, on_node;       /* ranks of the fullest node */
  int busy;                 /* ranks that have a shard */
  double vectors;           /* nodes of the tree, of all ranks */
  double vectors_of_rank;   /* of the rank that has most */
  double vectors_on_node;   /* of the ranks of the node that has most */
  double compute_s;         /* of the rank that takes longest */
  double compute_on_node_s; /* of all ranks of the node that takes longest */
} layout_t;

static int is_one_node(const bm_cluster_t *cluster)
{
  return isinf(cluster->network->bandwidth_bytes_per_s);
}

/* Ranks a core, at least 1. */
static double sharing(const bm_cluster_t *cluster, int on_node)
{
  return fmax(1.0, (double)on_node / cluster->cores);
}

/* The shards of one rank. */
static void add_rank(const bm_machine_t *machine, const bm_load_t *load, bm_range_t shards,
                     double *vectors, double *seconds)
{
  bm_node_t nodes[2 * BM_TREE_DEPTH_MAX];
  const int parts = (int)load->shards;
  const bm_range_t first = bm_partition(load->batch, parts, (int)shards.first);
  const bm_range_t last = bm_partition(load->batch, parts, (int)(shards.first + shards.count) - 1);
  const double rows = (double)(last.first + last.count - first.first);
  *vectors = (double)bm_tree_nodes(load->shards, shards.first, shards.count, nodes);
  *seconds =
      *vectors * machine->node_s + (double)shards.count * machine->shard_s + rows * machine->row_s;
}

static layout_t lay_out(const bm_machine_t *machine, const bm_cluster_t *cluster,
                        const bm_load_t *load, int ranks)
{
  const int whole = is_one_node(cluster) ? ranks : cluster->cores;
  layout_t layout = {.nodes = (ranks + whole - 1) / whole,
                     .on_node = ranks < whole ? ranks : whole,
                     .busy = load->shards < (size_t)ranks ? (int)load->shards : ranks};
  double node_s = 0.0;
  double node_vectors = 0.0;
  for (int rank = 0; rank < layout.busy; rank++) {
    double vectors;
    double seconds;
    add_rank(machine, load, bm_partition(load->shards, ranks, rank), &vectors, &seconds);
    node_s = rank % whole == 0 ? seconds : node_s + seconds;
    node_vectors = rank % whole == 0 ? vectors : node_vectors + vectors;
    layout.vectors += vectors;
    layout.vectors_of_rank = fmax(layout.vectors_of_rank, vectors);
    layout.vectors_on_node = fmax(layout.vectors_on_node, node_vectors);
    layout.compute_s = fmax(layout.compute_s, seconds);
    layout.compute_on_node_s = fmax(layout.compute_on_node_s, node_s);
  }
  return layout;
}

/* Each rank adds its slice from all vectors, where these lie or as they arrived, with the norm in the
 * same pass. */
static double memory_time(const bm_machine_t *machine, const bm_load_t *load,
                          const layout_t *layout, int ranks)
{
  return layout->vectors * load->parameters / ranks * machine->add_item_s;
}

static double latency_time(const bm_cluster_t *cluster, const layout_t *layout, int ranks)
{
  const double alpha = cluster->network->latency_s;
  const double on_node = BM_SYNCS * (BM_SYNC_S * log2(layout->on_node) +
                                     BM_SWITCH_S * (sharing(cluster, layout->on_node) - 1.0));
  if (layout->nodes == 1) {
    return on_node;
  }
  const double sums = (ranks - layout->on_node) * layout->vectors_of_rank;
  return on_node + alpha * (sums + BM_SMALL * ceil(log2(layout->nodes)) + layout->nodes - 1);
}

static double bandwidth_time(const bm_cluster_t *cluster, const bm_load_t *load,
                             const layout_t *layout, int ranks)
{
  const double elsewhere = (double)(ranks - layout->on_node) / ranks;
  const double bytes = real * load->parameters * elsewhere * (layout->vectors_on_node + 1.0);
  return bytes / cluster->network->bandwidth_bytes_per_s;
}

static double checkpoint_time(const bm_load_t *load, double step_s)
{
  const double bytes = BM_CHECKPOINT_VECTORS * real * load->parameters;
  return bytes / BM_WRITE_BYTES_PER_S * step_s / fmax(step_s, load->checkpoint_every_s);
}

/* Whole chunks of the map, dealt over the ranks. */
static double map_time(const bm_machine_t *machine, const bm_cluster_t *cluster, double rows,
                       int ranks)
{
  const int on_node = is_one_node(cluster) || ranks < cluster->cores ? ranks : cluster->cores;
  const double chunks = ceil(ceil(rows / BM_MAP_CHUNK) / ranks);
  return chunks * BM_MAP_CHUNK * machine->map_row_s * sharing(cluster, on_node);
}

static double rank_bytes(const bm_load_t *load, const layout_t *layout, int ranks)
{
  const double received = (layout->vectors - layout->vectors_of_rank) / ranks;
  return load->rows_bytes + real * load->parameters *
                                (BM_RANK_VECTORS + BM_ROOT_VECTORS + BM_MOMENTS / ranks +
                                 layout->vectors_of_rank + received);
}

bm_cost_t bm_cost_of_training(const bm_machine_t *machine, const bm_cluster_t *cluster,
                              const bm_load_t *load, int ranks)
{
  bm_load_t dealt = *load;
  dealt.shards = load->fast ? (size_t)ranks : load->shards;
  const layout_t layout = lay_out(machine, cluster, &dealt, ranks);
  const double share = sharing(cluster, layout.on_node);
  bm_cost_t cost = {.ranks = ranks, .nodes = layout.nodes, .busy = layout.busy};
  cost.compute_s = fmax(layout.compute_s, layout.compute_on_node_s / cluster->cores);
  cost.memory_s = share * memory_time(machine, load, &layout, ranks);
  cost.optimiser_s = share * load->parameters / ranks * machine->adam_item_s;
  cost.latency_s = latency_time(cluster, &layout, ranks);
  cost.bandwidth_s = bandwidth_time(cluster, load, &layout, ranks);
  cost.step_s =
      cost.compute_s + cost.memory_s + cost.optimiser_s + cost.latency_s + cost.bandwidth_s;
  cost.checkpoint_s = checkpoint_time(load, cost.step_s);
  cost.step_s += cost.checkpoint_s;
  cost.training_s =
      load->steps * cost.step_s + map_time(machine, cluster, load->validation_rows, ranks);
  cost.rank_bytes = rank_bytes(load, &layout, ranks);
  return cost;
}

bm_load_t bm_cost_weak_load(const bm_load_t *load, int ranks)
{
  bm_load_t weak = *load;
  weak.batch = load->batch * (size_t)ranks;
  weak.shards = (size_t)ranks;
  return weak;
}

double bm_cost_of_generation(const bm_machine_t *machine, const bm_cluster_t *cluster, double rows,
                             double bytes, int ranks)
{
  return map_time(machine, cluster, rows, ranks) + bytes / BM_WRITE_BYTES_PER_S;
}
