#include "boltzmap/parallel/reduction.h"

#include <limits.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/agree.h"

#define BM_BLOCK 4096 /* slices are cut at multiples of this, and norms summed over such blocks */
#define BM_NODES_MAX (2 * BM_TREE_DEPTH_MAX)

#ifdef BM_REAL_IS_DOUBLE
#define BM_MPI_REAL MPI_DOUBLE
#else
#define BM_MPI_REAL MPI_FLOAT
#endif

/* A node of some rank, with this rank's slice of its vector. */
typedef struct {
  bm_node_t node;
  int rank;
  bm_real_t *slice; /* in the rank's own vector, or received */
} held_t;

struct bm_reduction {
  const bm_context_t *context;
  size_t shards, length;
  size_t own_first, own_count; /* this rank's nodes in held */
  held_t *held;                /* nodes of all ranks, in the order of shards */
  size_t held_count;
  bm_real_t *vectors;  /* [own_count][length] */
  bm_real_t *received; /* [held_count - own_count][slice] */
  MPI_Request *requests;
  int *counts, *offsets;             /* items of each rank's slice */
  int *block_counts, *block_offsets; /* norm blocks of each rank's slice */
  int *shard_counts, *shard_offsets;
  double *block_sums; /* [blocks] */
};

static bm_range_t slice_of(const bm_reduction_t *reduction, int rank)
{
  size_t blocks = (reduction->length + BM_BLOCK - 1) / BM_BLOCK;
  bm_range_t range = bm_partition(blocks, reduction->context->size, rank);
  size_t first = range.first * BM_BLOCK;
  size_t end = (range.first + range.count) * BM_BLOCK;
  first = first < reduction->length ? first : reduction->length;
  end = end < reduction->length ? end : reduction->length;
  return (bm_range_t){first, end - first};
}

static bm_range_t shards_of(const bm_reduction_t *reduction, int rank)
{
  return bm_partition(reduction->shards, reduction->context->size, rank);
}

/* All nodes of all ranks; the same list everywhere. */
static bm_status_t list_nodes(bm_reduction_t *reduction)
{
  int size = reduction->context->size;
  BM_TRY(BM_ALLOC((size_t)size * BM_NODES_MAX, &reduction->held));
  for (int rank = 0; rank < size; rank++) {
    bm_node_t nodes[BM_NODES_MAX];
    bm_range_t range = shards_of(reduction, rank);
    size_t count = bm_tree_nodes(reduction->shards, range.first, range.count, nodes);
    if (rank == reduction->context->rank) {
      reduction->own_first = reduction->held_count;
      reduction->own_count = count;
    }
    for (size_t i = 0; i < count; i++) {
      reduction->held[reduction->held_count++] = (held_t){nodes[i], rank, NULL};
    }
  }
  return BM_OK;
}

static bm_status_t allocate(bm_reduction_t *reduction)
{
  size_t size = (size_t)reduction->context->size;
  size_t slice = bm_reduction_slice(reduction).count;
  size_t foreign = reduction->held_count - reduction->own_count;
  BM_TRY(BM_ALLOC(reduction->own_count * reduction->length, &reduction->vectors));
  BM_TRY(BM_ALLOC(foreign * slice, &reduction->received));
  BM_TRY(BM_ALLOC(foreign + reduction->own_count * size, &reduction->requests));
  BM_TRY(BM_ALLOC((reduction->length + BM_BLOCK - 1) / BM_BLOCK, &reduction->block_sums));
  int **tables[] = {&reduction->counts,        &reduction->offsets,      &reduction->block_counts,
                    &reduction->block_offsets, &reduction->shard_counts, &reduction->shard_offsets};
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
    BM_TRY(BM_ALLOC(size, tables[i]));
  }
  return BM_OK;
}

static void fill_tables(bm_reduction_t *reduction)
{
  size_t foreign = 0;
  for (size_t i = 0; i < reduction->held_count; i++) {
    held_t *held = &reduction->held[i];
    if (held->rank == reduction->context->rank) {
      held->slice = bm_reduction_vector(reduction, i - reduction->own_first) +
                    bm_reduction_slice(reduction).first;
    } else {
      held->slice = reduction->received + foreign++ * bm_reduction_slice(reduction).count;
    }
  }
  for (int rank = 0; rank < reduction->context->size; rank++) {
    bm_range_t slice = slice_of(reduction, rank);
    bm_range_t shards = shards_of(reduction, rank);
    reduction->counts[rank] = (int)slice.count;
    reduction->offsets[rank] = (int)slice.first;
    reduction->block_counts[rank] = (int)((slice.count + BM_BLOCK - 1) / BM_BLOCK);
    reduction->block_offsets[rank] = (int)((slice.first + BM_BLOCK - 1) / BM_BLOCK);
    reduction->shard_counts[rank] = (int)shards.count;
    reduction->shard_offsets[rank] = (int)shards.first;
  }
}

bm_status_t bm_reduction_create(const bm_context_t *context, size_t shards, size_t length,
                                bm_reduction_t **out)
{
  bm_reduction_t *reduction = NULL;
  *out = NULL;
  if (length > INT_MAX) {
    return BM_FAIL(BM_ERR_DATA, "sums over vectors of %zu items: at most %d are possible", length,
                   INT_MAX);
  }
  bm_status_t status = BM_ALLOC(1, &reduction);
  if (status == BM_OK) {
    reduction->context = context;
    reduction->shards = shards;
    reduction->length = length;
    status = list_nodes(reduction);
  }
  if (status == BM_OK) {
    status = allocate(reduction);
  }
  status = bm_agree(context, status);
  if (status != BM_OK) {
    bm_reduction_destroy(&reduction);
    return status;
  }
  fill_tables(reduction);
  *out = reduction;
  return BM_OK;
}

void bm_reduction_destroy(bm_reduction_t **reduction)
{
  bm_reduction_t *self = *reduction;
  if (self != NULL) {
    bm_free(self->held);
    bm_free(self->vectors);
    bm_free(self->received);
    bm_free(self->requests);
    bm_free(self->block_sums);
    bm_free(self->counts);
    bm_free(self->offsets);
    bm_free(self->block_counts);
    bm_free(self->block_offsets);
    bm_free(self->shard_counts);
    bm_free(self->shard_offsets);
  }
  bm_free(self);
  *reduction = NULL;
}

size_t bm_reduction_node_count(const bm_reduction_t *reduction)
{
  return reduction->own_count;
}

bm_node_t bm_reduction_node(const bm_reduction_t *reduction, size_t index)
{
  return reduction->held[reduction->own_first + index].node;
}

bm_real_t *bm_reduction_vector(bm_reduction_t *reduction, size_t index)
{
  return reduction->vectors + index * reduction->length;
}

bm_range_t bm_reduction_slice(const bm_reduction_t *reduction)
{
  return slice_of(reduction, reduction->context->rank);
}

/* Send every other rank its slice of this rank's nodes, and receive this rank's of theirs. A node's
 * first shard is its tag. */
static bm_status_t exchange(bm_reduction_t *reduction)
{
  const bm_context_t *context = reduction->context;
  int count = 0;
  for (size_t i = 0; i < reduction->held_count; i++) {
    held_t *held = &reduction->held[i];
    int tag = (int)held->node.first;
    if (held->rank != context->rank) {
      BM_TRY_MPI(MPI_Irecv(held->slice, reduction->counts[context->rank], BM_MPI_REAL, held->rank,
                           tag, context->comm, &reduction->requests[count++]));
      continue;
    }
    for (int rank = 0; rank < context->size; rank++) {
      if (rank != context->rank) {
        BM_TRY_MPI(MPI_Isend(bm_reduction_vector(reduction, i - reduction->own_first) +
                                 reduction->offsets[rank],
                             reduction->counts[rank], BM_MPI_REAL, rank, tag, context->comm,
                             &reduction->requests[count++]));
      }
    }
  }
  BM_TRY_MPI(MPI_Waitall(count, reduction->requests, MPI_STATUSES_IGNORE));
  return BM_OK;
}

static void add(size_t n, const bm_real_t *restrict x, bm_real_t *restrict y)
{
#pragma omp simd
  for (size_t i = 0; i < n; i++) {
    y[i] += x[i];
  }
}

/* The sum of a node: held as it is, or made in place from its children. `next` walks over the held
 * nodes, which the tree visits in order. */
static bm_real_t *evaluate(bm_reduction_t *reduction, bm_node_t node, size_t *next)
{
  const held_t *held = &reduction->held[*next];
  if (held->node.first == node.first && held->node.count == node.count) {
    (*next)++;
    return held->slice;
  }
  size_t left = bm_tree_left(node.count);
  bm_real_t *sum = evaluate(reduction, (bm_node_t){node.first, left}, next);
  const bm_real_t *rest =
      evaluate(reduction, (bm_node_t){node.first + left, node.count - left}, next);
  add(bm_reduction_slice(reduction).count, rest, sum);
  return sum;
}

bm_status_t bm_reduction_sum(bm_reduction_t *reduction, bm_real_t **slice)
{
  BM_TRY(exchange(reduction));
  size_t next = 0;
  *slice = evaluate(reduction, (bm_node_t){0, reduction->shards}, &next);
  return BM_OK;
}

bm_status_t bm_reduction_square_sum(bm_reduction_t *reduction, const bm_real_t *slice, double *sum)
{
  const bm_context_t *context = reduction->context;
  size_t count = bm_reduction_slice(reduction).count;
  double *own = reduction->block_sums + reduction->block_offsets[context->rank];
  for (size_t first = 0, b = 0; first < count; first += BM_BLOCK, b++) {
    size_t end = first + BM_BLOCK < count ? first + BM_BLOCK : count;
    double block = 0.0;
#pragma omp simd reduction(+ : block)
    for (size_t i = first; i < end; i++) {
      block += (double)slice[i] * (double)slice[i];
    }
    own[b] = block;
  }
  BM_TRY_MPI(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, reduction->block_sums,
                            reduction->block_counts, reduction->block_offsets, MPI_DOUBLE,
                            context->comm));
  *sum = 0.0;
  for (size_t b = 0; b < (reduction->length + BM_BLOCK - 1) / BM_BLOCK; b++) {
    *sum += reduction->block_sums[b];
  }
  return BM_OK;
}

bm_status_t bm_reduction_gather(bm_reduction_t *reduction, bm_real_t *whole)
{
  BM_TRY_MPI(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, whole, reduction->counts,
                            reduction->offsets, BM_MPI_REAL, reduction->context->comm));
  return BM_OK;
}

bm_status_t bm_reduction_gather_root(bm_reduction_t *reduction, const bm_real_t *slice,
                                     bm_real_t *whole)
{
  const bm_context_t *context = reduction->context;
  BM_TRY_MPI(MPI_Gatherv(slice, reduction->counts[context->rank], BM_MPI_REAL, whole,
                         reduction->counts, reduction->offsets, BM_MPI_REAL, 0, context->comm));
  return BM_OK;
}

bm_status_t bm_reduction_gather_shards(bm_reduction_t *reduction, const double *local, double *all)
{
  const bm_context_t *context = reduction->context;
  BM_TRY_MPI(MPI_Allgatherv(local, reduction->shard_counts[context->rank], MPI_DOUBLE, all,
                            reduction->shard_counts, reduction->shard_offsets, MPI_DOUBLE,
                            context->comm));
  return BM_OK;
}
