#ifndef BOLTZMAP_TRAIN_COST_MODEL_H
#define BOLTZMAP_TRAIN_COST_MODEL_H

/* What a training would take on so many ranks: plain arithmetic on a machine that was measured
 * (train/machine.h) and a network whose figures were published (parallel/interconnect.h).
 *
 * A step is the sum of its parts, none of which hides behind another:
 *   compute     node_s + shards·shard_s + rows·row_s for each node of the tree that a rank holds; the
 *               rank with most decides;
 *   memory      sums and norm of the gradients, in the memory of a node;
 *   optimiser   Adam on a rank's slice of the parameters;
 *   latency     α for each message, and synchronisations within a node;
 *   bandwidth   1/B for each byte into or out of a node;
 *   checkpoint  what it takes to write one, spread over the steps between two.
 * A message of m bytes takes α + m/B (Hockney, Parallel Computing 20, 389, 1994). Sums between ranks
 * are a reduce-scatter by pairwise exchange, (p−1)·α + ((p−1)/p)·m/B a rank, p counting the ranks of other
 * nodes; a rank's parameters go once to each other node, with the same cost, p counting nodes;
 * small collectives go by doubling, ⌈log₂ p⌉·α (Thakur, Rabenseifner, Gropp, Int. J. High Perform.
 * Comput. Appl. 19, 49, 2005).
 * The ranks of a node share its network, and where there are more of them than cores, its cores: then
 * what all of them compute, divided by the cores, takes the place of what one of them does. */

#include <stddef.h>

#include "boltzmap/parallel/interconnect.h"
#include "boltzmap/train/machine.h"

/* Where it would run. Nodes are filled with a rank a core; a network that is a single node takes all
 * ranks, however few cores it has. */
typedef struct {
  const bm_interconnect_t *network;
  int cores; /* of a node */
} bm_cluster_t;

/* A training. */
typedef struct {
  double parameters;
  size_t batch, shards;      /* rows and parts of a minibatch */
  int fast;                  /* as many shards as ranks, whatever `shards` is */
  double steps;              /* optimiser steps in all */
  double validation_rows;    /* held-out rows that are looked at, of all evaluations together */
  double rows_bytes;         /* of the training data on each rank, workspace included */
  double checkpoint_every_s; /* between two checkpoints */
} bm_load_t;

/* Seconds of a step, but for the last ones. */
typedef struct {
  int ranks, nodes;
  int busy; /* ranks that have a shard */
  double compute_s, memory_s, optimiser_s, latency_s, bandwidth_s, checkpoint_s;
  double step_s;     /* their sum */
  double training_s; /* the whole training, with its evaluations of held-out rows */
  double rank_bytes; /* memory of rank 0, which has the most */
} bm_cost_t;

/* Cost of a training on `ranks` ranks. */
bm_cost_t bm_cost_of_training(const bm_machine_t *machine, const bm_cluster_t *cluster,
                              const bm_load_t *load, int ranks);

/* The same training with a minibatch that grows with the ranks: each has load->batch rows in one
 * shard. Steps and all that is not of a step are those of `load`. */
bm_load_t bm_cost_weak_load(const bm_load_t *load, int ranks);

/* Seconds to make `rows` samples on so many ranks and to write `bytes` of them. */
double bm_cost_of_generation(const bm_machine_t *machine, const bm_cluster_t *cluster, double rows,
                             double bytes, int ranks);

/* Efficiency, T(1)/(p·T(p)) of a given training and T(1)/T(p) of one that grows with the ranks, below
 * which more ranks are said not to pay. */
#define BM_COST_PAYS 0.5

#endif
