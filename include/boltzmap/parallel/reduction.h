#ifndef BOLTZMAP_PARALLEL_REDUCTION_H
#define BOLTZMAP_PARALLEL_REDUCTION_H

/* Sums over shards that do not depend on how the shards are dealt over ranks. Shards are dealt in
 * contiguous blocks; each rank fills one vector for every whole node of the fixed tree (base/tree.h) that
 * it holds, and the nodes are added up in the order of the tree. Each rank ends with the total of
 * its own slice of the vector; slices are put together with bm_reduction_gather. */

#include <stddef.h>

#include "boltzmap/base/real.h"
#include "boltzmap/base/status.h"
#include "boltzmap/base/tree.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/partition.h"

typedef struct bm_reduction bm_reduction_t;

/* Sums of vectors of `length` items over `shards` shards on this context. BM_ERR_DATA above INT_MAX
 * items, BM_ERR_MEMORY. Collective. */
bm_status_t bm_reduction_create(const bm_context_t *context, size_t shards, size_t length,
                                bm_reduction_t **out);
void bm_reduction_destroy(bm_reduction_t **reduction);

/* The nodes that this rank has to fill: those of its block of the shards (none on a rank beyond
 * them). */
size_t bm_reduction_node_count(const bm_reduction_t *reduction);
bm_node_t bm_reduction_node(const bm_reduction_t *reduction, size_t index);

/* The vector of a node, [length], to be filled before bm_reduction_sum, which uses it up. */
bm_real_t *bm_reduction_vector(bm_reduction_t *reduction, size_t index);

/* Items of the vector that this rank owns. */
bm_range_t bm_reduction_slice(const bm_reduction_t *reduction);

/* Add up all nodes; `*slice` is the total of this rank's slice, valid until vectors are filled again.
 * Collective. */
bm_status_t bm_reduction_sum(bm_reduction_t *reduction, bm_real_t **slice);

/* Sum over the whole vector of squares of a sliced vector, the same on all ranks and for any number of
 * them: float64 sums over fixed blocks, added in order. Collective. */
bm_status_t bm_reduction_square_sum(bm_reduction_t *reduction, const bm_real_t *slice, double *sum);

/* Put a sliced vector together on all ranks: each rank's own slice of `whole` [length] is current on
 * entry, all of it on return. Collective. */
bm_status_t bm_reduction_gather(bm_reduction_t *reduction, bm_real_t *whole);

/* Put a sliced vector together on rank 0 alone: `whole` [length] is used there only. Collective. */
bm_status_t bm_reduction_gather_root(bm_reduction_t *reduction, const bm_real_t *slice,
                                     bm_real_t *whole);

/* One number a shard: local ones [own shards] to all [shards], in order. Collective. */
bm_status_t bm_reduction_gather_shards(bm_reduction_t *reduction, const double *local, double *all);

#endif
