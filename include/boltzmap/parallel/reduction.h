#ifndef BOLTZMAP_PARALLEL_REDUCTION_H
#define BOLTZMAP_PARALLEL_REDUCTION_H

/* Sums over shards that do not depend on how the shards are dealt over ranks. Shards are dealt in
 * contiguous blocks; each rank fills one vector for every whole node of the fixed tree (base/tree.h) that
 * it holds, and the nodes are added up in the order of the tree. Each rank ends with the total of
 * its own slice of the vector, uses it to change its slice of a vector that all ranks have, and the slices
 * are put together.
 *
 * Ranks that share memory add from each other's vectors where these lie, and have that other vector
 * once for all of them. Only between hosts are there messages: a vector's pieces leave for the
 * ranks that own them as soon as they are filled, while the rest is still being computed.
 *
 * One round is: bm_reduction_start; for each vector, fill it and tell bm_reduction_ready of all its
 * items; bm_reduction_arrive; bm_reduction_sum; change the slice of bm_reduction_common;
 * bm_reduction_share. */

#include <stddef.h>

#include "boltzmap/base/real.h"
#include "boltzmap/base/status.h"
#include "boltzmap/base/tree.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/partition.h"

typedef struct bm_reduction bm_reduction_t;

/* What a sum gives, valid until bm_reduction_share. */
typedef struct {
  const bm_real_t *slice;     /* total of this rank's slice */
  double squares;             /* sum of the squares of the whole total, the same on all ranks */
  const double *shard_values; /* [parts][shards], of all ranks, in order */
  int raised;                 /* did any rank raise its flag, before it came to this sum? */
} bm_total_t;

/* Sums of vectors of `length` items over `shards` shards on this context, in `parts` trees of their own
 * whose totals are added at last: each node has a vector for every part. BM_ERR_DATA above INT_MAX items,
 * BM_ERR_MEMORY. Where a host has no room for shared memory, ranks exchange messages as if each were alone on
 * its host. Collective. */
bm_status_t bm_reduction_create(const bm_context_t *context, size_t shards, size_t parts,
                                size_t length, bm_reduction_t **out);

/* Collective over hosts: the memory is theirs together. */
void bm_reduction_destroy(bm_reduction_t **reduction);

/* The nodes that this rank has to fill: those of its block of the shards (none on a rank beyond
 * them). */
size_t bm_reduction_node_count(const bm_reduction_t *reduction);
bm_node_t bm_reduction_node(const bm_reduction_t *reduction, size_t index);

/* Vector `vector` = part · node count + node, [length]. Ranks of the same host read it between
 * bm_reduction_arrive and bm_reduction_share. */
bm_real_t *bm_reduction_vector(bm_reduction_t *reduction, size_t vector);

/* Items of the vectors that this rank owns. */
bm_range_t bm_reduction_slice(const bm_reduction_t *reduction);

/* Begin a round: receives from other hosts are posted. Not collective. Where MPI fails between this and the
 * return of bm_reduction_sum, all ranks are ended (bm_context_end_job). */
void bm_reduction_start(bm_reduction_t *reduction);

/* Items [first, first + count) of this vector are filled; each item is told of once a round, one
 * vector after the other. Sends to other hosts are begun and kept going. Not collective. */
void bm_reduction_ready(bm_reduction_t *reduction, size_t vector, size_t first, size_t count);

/* All vectors of this rank are filled. What is done between this and bm_reduction_sum is done while
 * other ranks are waited for. Not collective. */
void bm_reduction_arrive(bm_reduction_t *reduction);

/* Raise this rank's flag, which goes with the next sum to all ranks: an agreement that costs no message
 * of its own. Not collective. */
void bm_reduction_raise(bm_reduction_t *reduction);

/* Add up all nodes. `local` [parts][own shards] are this rank's values of its shards, in order. The squares
 * are float64 sums over fixed blocks, added in order. Collective. */
bm_status_t bm_reduction_sum(bm_reduction_t *reduction, const double *local, bm_total_t *total);

/* A vector, [length], that the ranks of a host have in common, zero at first; each rank writes its
 * own slice alone, between bm_reduction_sum and bm_reduction_share, and reads all of it otherwise.
 * Owned by the reduction. */
bm_real_t *bm_reduction_common(bm_reduction_t *reduction);

/* Every rank's slice of the common vector is current on entry, all of it on return. Collective. */
bm_status_t bm_reduction_share(bm_reduction_t *reduction);

/* Put a sliced vector together on rank 0 alone: `whole` [length] is used there only. Collective. */
bm_status_t bm_reduction_gather_root(bm_reduction_t *reduction, const bm_real_t *slice,
                                     bm_real_t *whole);

#endif
