#ifndef BOLTZMAP_TRAIN_MACHINE_H
#define BOLTZMAP_TRAIN_MACHINE_H

/* What the parts of a training step take on a core of this machine, measured here and now with the
 * program's own functions, for train/cost_model.h. */

#include <stddef.h>

#include "boltzmap/base/status.h"
#include "boltzmap/flow/flow.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/train/loss.h"

/* Loss and gradient of a node of the tree with `shards` shards of `rows` rows in all take
 *   node_s + shards·shard_s + rows·row_s. */
typedef struct {
  double node_s, shard_s, row_s;
  double map_row_s;   /* a row through the flow in one direction, as in generation and validation */
  double adam_item_s; /* Adam's step of one parameter */
  double add_item_s;  /* a number of one vector added to that of another */
  int cores;          /* of this node */
} bm_machine_t;

/* Measure in about a second, with `rows` rows a shard and up to `shards` shards. All ranks work at once,
 * each in one thread and timed by its processor time; the fastest of many repeats counts, and of the
 * ranks the slowest: ranks on all cores of a node measure what a full node does to memory and clock
 * rate. Parts of a flow that would take longer are measured on fewer and narrower layers. BM_ERR_MEMORY.
 * Collective. */
bm_status_t bm_machine_measure(const bm_context_t *context, const bm_flow_shape_t *shape,
                               size_t shards, size_t rows, bm_machine_t *machine);

#endif
