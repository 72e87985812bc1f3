#include "boltzmap/parallel/reduction.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/shared.h"

#define BM_SUM_BLOCK 4096 /* slices are cut at multiples of this; sums and squares go by it */
#define BM_PIECE (16 * BM_SUM_BLOCK) /* items of a message between hosts, at most */
#define BM_NODES_MAX (2 * BM_TREE_DEPTH_MAX)
#define BM_LINE 64 /* bytes */

#ifdef BM_REAL_IS_DOUBLE
#define BM_MPI_REAL MPI_DOUBLE
#else
#define BM_MPI_REAL MPI_FLOAT
#endif

/* A node of some rank in one of the parts, with this rank's slice of its vector. */
typedef struct {
  bm_node_t node;
  int rank;
  size_t vector;          /* of that rank */
  const bm_real_t *slice; /* in that rank's own vector, or received */
} held_t;

/* A stretch of a slice that is sent at once. */
typedef struct {
  bm_range_t range;
  int owner;
  int tag;       /* its number in the slice */
  size_t filled; /* items, of the vector that is being filled */
} piece_t;

/* Persistent requests, made once and started in every round. */
typedef struct {
  MPI_Request *list;
  int count;
} requests_t;

struct bm_reduction {
  const bm_context_t *context;
  int alone;  /* each rank is taken for a host of its own */
  int raised; /* this rank's flag */
  size_t shards, parts, length, blocks;
  size_t own_first, own_count; /* this rank's nodes in the first part of held */
  held_t *held;                /* nodes of all ranks, in the order of parts and shards */
  size_t held_count;
  bm_shared_t *shared;  /* of each rank, its vectors; of the first, what is common before them */
  bm_context_t *single; /* of this rank alone; NULL unless `alone` */
  bm_real_t *common;    /* [length] */
  bm_real_t *vectors;   /* [parts][own_count][stride] */
  size_t stride;
  bm_real_t *total;    /* [slice], of a rank without vectors */
  bm_real_t *received; /* [nodes of other hosts][slice] */
  bm_real_t *work;     /* [depth of the tree and one][BM_SUM_BLOCK] */
  double *numbers; /* of each rank in turn: squares of its blocks, its shards' values, its flag */
  double *own_numbers;                 /* where they do not come by shared memory alone */
  int *number_counts, *number_offsets; /* [ranks] */
  int *counts, *offsets;               /* [ranks], items of each slice */
  double *shard_values;                /* [parts][shards] */
  piece_t *pieces;
  size_t piece_count;
  requests_t receives; /* slices of nodes of other hosts */
  requests_t sends; /* [parts][own_count][piece_count]; MPI_REQUEST_NULL for owners on this host */
  requests_t exchanges; /* slices of the common vector */
};

static int host_of(const bm_reduction_t *reduction, int rank)
{
  return reduction->alone ? rank : reduction->context->host_of[rank];
}

static int is_near(const bm_reduction_t *reduction, int rank)
{
  return host_of(reduction, rank) == host_of(reduction, reduction->context->rank);
}

static int has_other_hosts(const bm_reduction_t *reduction)
{
  return reduction->alone ? reduction->context->size > 1
                          : reduction->context->size > reduction->context->host_size;
}

static bm_range_t blocks_of(const bm_reduction_t *reduction, int rank)
{
  return bm_partition(reduction->blocks, reduction->context->size, rank);
}

static bm_range_t slice_of(const bm_reduction_t *reduction, int rank)
{
  bm_range_t blocks = blocks_of(reduction, rank);
  size_t first = blocks.first * BM_SUM_BLOCK;
  size_t end = (blocks.first + blocks.count) * BM_SUM_BLOCK;
  first = first < reduction->length ? first : reduction->length;
  end = end < reduction->length ? end : reduction->length;
  return (bm_range_t){first, end - first};
}

static bm_range_t shards_of(const bm_reduction_t *reduction, int rank)
{
  return bm_partition(reduction->shards, reduction->context->size, rank);
}

/* The nodes of one part; the same list everywhere. */
static void list_part(bm_reduction_t *reduction, size_t part)
{
  for (int rank = 0; rank < reduction->context->size; rank++) {
    bm_node_t nodes[BM_NODES_MAX];
    bm_range_t range = shards_of(reduction, rank);
    size_t count = bm_tree_nodes(reduction->shards, range.first, range.count, nodes);
    if (part == 0 && rank == reduction->context->rank) {
      reduction->own_first = reduction->held_count;
      reduction->own_count = count;
    }
    for (size_t i = 0; i < count; i++) {
      reduction->held[reduction->held_count++] = (held_t){nodes[i], rank, part * count + i, NULL};
    }
  }
}

static bm_status_t list_nodes(bm_reduction_t *reduction)
{
  size_t size = (size_t)reduction->context->size;
  BM_TRY(BM_ALLOC(size * reduction->parts * BM_NODES_MAX, &reduction->held));
  for (size_t part = 0; part < reduction->parts; part++) {
    list_part(reduction, part);
  }
  return BM_OK;
}

static size_t whole_lines(size_t bytes)
{
  return (bytes + BM_LINE - 1) / BM_LINE * BM_LINE;
}

static size_t number_count(const bm_reduction_t *reduction)
{
  return reduction->blocks + reduction->parts * reduction->shards +
         (size_t)reduction->context->size;
}

/* Bytes before the vectors of the first rank of a host: the common vector, and the numbers. */
static size_t common_bytes(const bm_reduction_t *reduction)
{
  return reduction->stride * sizeof(bm_real_t) +
         whole_lines(number_count(reduction) * sizeof(double));
}

/* Memory of the host, or of each rank where that cannot be had. */
static bm_status_t open_memory(bm_reduction_t *reduction)
{
  const bm_context_t *context = reduction->context;
  size_t bytes = reduction->parts * reduction->own_count * reduction->stride * sizeof(bm_real_t);
  int room;
  BM_TRY(bm_shared_create(context, bytes + (context->host_rank == 0 ? common_bytes(reduction) : 0),
                          &room, &reduction->shared));
  if (!room) {
    reduction->alone = 1;
    BM_TRY_AGREE(context, bm_context_create(MPI_COMM_SELF, &reduction->single));
    BM_TRY(bm_shared_create(reduction->single, bytes + common_bytes(reduction), &room,
                            &reduction->shared));
  }
  return BM_OK;
}

/* The vectors of a rank of this host. */
static bm_real_t *vectors_of(const bm_reduction_t *reduction, int rank)
{
  int host_rank = 0;
  for (int r = 0; r < rank && !reduction->alone; r++) {
    host_rank += is_near(reduction, r);
  }
  char *part = bm_shared_part(reduction->shared, host_rank);
  return (bm_real_t *)(void *)(part + (host_rank == 0 ? common_bytes(reduction) : 0));
}

static bm_status_t allocate(bm_reduction_t *reduction)
{
  size_t size = (size_t)reduction->context->size;
  size_t slice = bm_reduction_slice(reduction).count;
  size_t far = 0;
  for (size_t i = 0; i < reduction->held_count; i++) {
    far += !is_near(reduction, reduction->held[i].rank);
  }
  size_t depth = bm_tree_depth(reduction->shards);
  BM_TRY(BM_ALLOC(reduction->own_count == 0 ? slice : 0, &reduction->total));
  BM_TRY(BM_ALLOC(far * slice, &reduction->received));
  BM_TRY(BM_ALLOC((depth + 2) * BM_SUM_BLOCK, &reduction->work));
  BM_TRY(BM_ALLOC(reduction->parts * reduction->shards, &reduction->shard_values));
  BM_TRY(
      BM_ALLOC(has_other_hosts(reduction) ? number_count(reduction) : 0, &reduction->own_numbers));
  int **tables[] = {&reduction->counts, &reduction->offsets, &reduction->number_counts,
                    &reduction->number_offsets};
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
    BM_TRY(BM_ALLOC(size, tables[i]));
  }
  return BM_OK;
}

static void place(bm_reduction_t *reduction)
{
  char *common = bm_shared_part(reduction->shared, 0);
  bm_range_t slice = bm_reduction_slice(reduction);
  size_t far = 0;
  reduction->common = (bm_real_t *)(void *)common;
  reduction->numbers = has_other_hosts(reduction)
                           ? reduction->own_numbers
                           : (double *)(void *)(common + reduction->stride * sizeof(bm_real_t));
  reduction->vectors = vectors_of(reduction, reduction->context->rank);
  for (size_t i = 0; i < reduction->held_count; i++) {
    held_t *held = &reduction->held[i];
    held->slice =
        is_near(reduction, held->rank)
            ? vectors_of(reduction, held->rank) + held->vector * reduction->stride + slice.first
            : reduction->received + far++ * slice.count;
  }
}

static void fill_tables(bm_reduction_t *reduction)
{
  int numbers = 0;
  for (int rank = 0; rank < reduction->context->size; rank++) {
    bm_range_t slice = slice_of(reduction, rank);
    reduction->counts[rank] = (int)slice.count;
    reduction->offsets[rank] = (int)slice.first;
    reduction->number_offsets[rank] = numbers;
    reduction->number_counts[rank] = (int)(blocks_of(reduction, rank).count +
                                           reduction->parts * shards_of(reduction, rank).count + 1);
    numbers += reduction->number_counts[rank];
  }
}

static bm_status_t list_pieces(bm_reduction_t *reduction)
{
  size_t size = (size_t)reduction->context->size;
  BM_TRY(BM_ALLOC(reduction->length / BM_PIECE + size + 1, &reduction->pieces));
  for (int rank = 0; rank < reduction->context->size; rank++) {
    bm_range_t slice = slice_of(reduction, rank);
    for (size_t done = 0; done < slice.count; done += BM_PIECE) {
      size_t count = slice.count - done < BM_PIECE ? slice.count - done : BM_PIECE;
      reduction->pieces[reduction->piece_count++] =
          (piece_t){{slice.first + done, count}, rank, (int)(done / BM_PIECE), 0};
    }
  }
  return BM_OK;
}

/* Tag of a piece of a held node; the next one is that of the common vector. */
static int tag_of(const bm_reduction_t *reduction, size_t held, int piece)
{
  return (int)(held * (reduction->length / BM_PIECE + 1)) + piece;
}

/* Receives of this rank's slice of all nodes of other hosts, and sends of this rank's nodes to them. */
static bm_status_t make_requests(bm_reduction_t *reduction)
{
  const bm_context_t *context = reduction->context;
  bm_range_t slice = bm_reduction_slice(reduction);
  size_t own_pieces = (slice.count + BM_PIECE - 1) / BM_PIECE;
  BM_TRY(BM_ALLOC(reduction->held_count * own_pieces, &reduction->receives.list));
  BM_TRY(BM_ALLOC(reduction->parts * reduction->own_count * reduction->piece_count,
                  &reduction->sends.list));
  for (size_t i = 0; i < reduction->held_count; i++) {
    const held_t *held = &reduction->held[i];
    for (size_t p = 0; p < reduction->piece_count; p++) {
      const piece_t *piece = &reduction->pieces[p];
      int count = (int)piece->range.count;
      if (held->rank == context->rank) {
        MPI_Request *send = &reduction->sends.list[reduction->sends.count++];
        *send = MPI_REQUEST_NULL;
        if (!is_near(reduction, piece->owner)) {
          BM_TRY_MPI(MPI_Send_init(
              bm_reduction_vector(reduction, held->vector) + piece->range.first, count, BM_MPI_REAL,
              piece->owner, tag_of(reduction, i, piece->tag), context->comm, send));
        }
      } else if (piece->owner == context->rank && !is_near(reduction, held->rank)) {
        bm_real_t *to = (bm_real_t *)held->slice + (piece->range.first - slice.first);
        MPI_Request *receive = &reduction->receives.list[reduction->receives.count++];
        *receive = MPI_REQUEST_NULL;
        BM_TRY_MPI(MPI_Recv_init(to, count, BM_MPI_REAL, held->rank,
                                 tag_of(reduction, i, piece->tag), context->comm, receive));
      }
    }
  }
  return BM_OK;
}

/* The rank of another host that takes a rank's slice of the common vector for all of that host: they
 * take turns. */
static int taker_of(const bm_reduction_t *reduction, int host, int owner)
{
  int members = 0;
  for (int rank = 0; rank < reduction->context->size; rank++) {
    members += host_of(reduction, rank) == host;
  }
  assert(members > 0);
  int turn = owner % members;
  int rank = host;
  while (turn > 0) {
    rank++;
    turn -= host_of(reduction, rank) == host;
  }
  return rank;
}

static bm_status_t make_exchanges(bm_reduction_t *reduction)
{
  const bm_context_t *context = reduction->context;
  const int tag = tag_of(reduction, reduction->held_count, 0); /* not one of a piece */
  BM_TRY(BM_ALLOC(2 * (size_t)context->size, &reduction->exchanges.list));
  MPI_Request *next = reduction->exchanges.list;
  int me = context->rank;
  for (int rank = 0; rank < context->size; rank++) {
    if (!is_near(reduction, rank) && taker_of(reduction, host_of(reduction, me), rank) == me) {
      BM_TRY_MPI(MPI_Recv_init(reduction->common + reduction->offsets[rank],
                               reduction->counts[rank], BM_MPI_REAL, rank, tag, context->comm,
                               next++));
    }
    if (!is_near(reduction, rank) && host_of(reduction, rank) == rank) {
      int taker = taker_of(reduction, rank, me);
      BM_TRY_MPI(MPI_Send_init(reduction->common + reduction->offsets[me], reduction->counts[me],
                               BM_MPI_REAL, taker, tag, context->comm, next++));
    }
  }
  reduction->exchanges.count = (int)(next - reduction->exchanges.list);
  return BM_OK;
}

static bm_status_t set_up(bm_reduction_t *reduction)
{
  const bm_context_t *context = reduction->context;
  BM_TRY_AGREE(context, list_nodes(reduction));
  BM_TRY(open_memory(reduction));
  bm_status_t status = allocate(reduction);
  if (status == BM_OK) {
    place(reduction);
    fill_tables(reduction);
    status = list_pieces(reduction);
  }
  if (status == BM_OK) {
    status = make_requests(reduction);
  }
  if (status == BM_OK) {
    status = make_exchanges(reduction);
  }
  return bm_agree(context, status);
}

bm_status_t bm_reduction_create(const bm_context_t *context, size_t shards, size_t parts,
                                size_t length, bm_reduction_t **out)
{
  bm_reduction_t *reduction = NULL;
  *out = NULL;
  if (length > INT_MAX) {
    return BM_FAIL(BM_ERR_DATA, "sums over vectors of %zu items: at most %d are possible", length,
                   INT_MAX);
  }
  BM_TRY_AGREE(context, BM_ALLOC(1, &reduction));
  reduction->context = context;
  reduction->shards = shards;
  reduction->parts = parts;
  reduction->length = length;
  reduction->blocks = (length + BM_SUM_BLOCK - 1) / BM_SUM_BLOCK;
  reduction->stride = whole_lines(length * sizeof(bm_real_t)) / sizeof(bm_real_t);
  bm_status_t status = set_up(reduction);
  if (status != BM_OK) {
    bm_reduction_destroy(&reduction);
    return status;
  }
  *out = reduction;
  return BM_OK;
}

static void free_requests(requests_t *requests)
{
  for (int i = 0; i < requests->count; i++) {
    if (requests->list[i] != MPI_REQUEST_NULL) {
      MPI_Request_free(&requests->list[i]);
    }
  }
  bm_free(requests->list);
}

void bm_reduction_destroy(bm_reduction_t **reduction)
{
  bm_reduction_t *self = *reduction;
  if (self != NULL) {
    free_requests(&self->receives);
    free_requests(&self->sends);
    free_requests(&self->exchanges);
    bm_shared_destroy(&self->shared);
    bm_context_destroy(&self->single);
    void *blocks[] = {self->held,          self->total,          self->received,   self->work,
                      self->pieces,        self->shard_values,   self->counts,     self->offsets,
                      self->number_counts, self->number_offsets, self->own_numbers};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
      bm_free(blocks[i]);
    }
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

bm_real_t *bm_reduction_vector(bm_reduction_t *reduction, size_t vector)
{
  return reduction->vectors + vector * reduction->stride;
}

bm_range_t bm_reduction_slice(const bm_reduction_t *reduction)
{
  return slice_of(reduction, reduction->context->rank);
}

bm_real_t *bm_reduction_common(bm_reduction_t *reduction)
{
  return reduction->common;
}

/* In the middle of a round the others would wait for this rank for ever. */
static void end_where_failed(bm_status_t status)
{
  if (status != BM_OK) {
    bm_context_end_job(status);
  }
}

static bm_status_t begin_all(requests_t *requests)
{
  if (requests->count > 0) {
    BM_TRY_MPI(MPI_Startall(requests->count, requests->list));
  }
  return BM_OK;
}

void bm_reduction_start(bm_reduction_t *reduction)
{
  end_where_failed(begin_all(&reduction->receives));
}

static double square_sum(size_t count, const bm_real_t *x)
{
  double sum = 0.0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < count; i++) {
    sum += (double)x[i] * (double)x[i];
  }
  return sum;
}

/* The squares of blocks of this rank's slice that `range`, which is cut like pieces, covers. */
static void put_squares(bm_reduction_t *reduction, const bm_real_t *slice, bm_range_t range)
{
  bm_range_t own = bm_reduction_slice(reduction);
  double *sums = reduction->numbers + reduction->number_offsets[reduction->context->rank];
  for (size_t done = 0; done < range.count; done += BM_SUM_BLOCK) {
    size_t at = range.first - own.first + done;
    size_t count = range.count - done < BM_SUM_BLOCK ? range.count - done : BM_SUM_BLOCK;
    sums[at / BM_SUM_BLOCK] = square_sum(count, slice + at);
  }
}

/* Is one vector of this rank the total already? */
static int is_total(const bm_reduction_t *reduction)
{
  return reduction->context->size == 1 && reduction->parts == 1;
}

static bm_status_t complete(bm_reduction_t *reduction, size_t vector, size_t piece)
{
  MPI_Request *send = &reduction->sends.list[vector * reduction->piece_count + piece];
  if (is_total(reduction)) { /* while it is in the cache */
    put_squares(reduction, bm_reduction_vector(reduction, 0), reduction->pieces[piece].range);
  } else if (*send != MPI_REQUEST_NULL) {
    BM_TRY_MPI(MPI_Start(send));
  }
  return BM_OK;
}

static size_t overlap(bm_range_t a, bm_range_t b)
{
  size_t first = a.first > b.first ? a.first : b.first;
  size_t end_a = a.first + a.count;
  size_t end_b = b.first + b.count;
  size_t end = end_a < end_b ? end_a : end_b;
  return end > first ? end - first : 0;
}

/* Let MPI move what is under way. */
static bm_status_t keep_going(bm_reduction_t *reduction)
{
  int done;
  BM_TRY_MPI(
      MPI_Testall(reduction->receives.count, reduction->receives.list, &done, MPI_STATUSES_IGNORE));
  return BM_OK;
}

void bm_reduction_ready(bm_reduction_t *reduction, size_t vector, size_t first, size_t count)
{
  bm_range_t filled = {first, count};
  bm_status_t status = BM_OK;
  for (size_t p = 0; p < reduction->piece_count && status == BM_OK; p++) {
    piece_t *piece = &reduction->pieces[p];
    size_t items = overlap(piece->range, filled);
    piece->filled += items;
    if (items > 0 && piece->filled == piece->range.count) {
      piece->filled = 0;
      status = complete(reduction, vector, p);
    }
  }
  if (status == BM_OK && has_other_hosts(reduction)) {
    status = keep_going(reduction);
  }
  end_where_failed(status);
}

static bm_status_t wait_for(requests_t *requests)
{
  BM_TRY_MPI(MPI_Waitall(requests->count, requests->list, MPI_STATUSES_IGNORE));
  return BM_OK;
}

void bm_reduction_raise(bm_reduction_t *reduction)
{
  reduction->raised = 1;
}

void bm_reduction_arrive(bm_reduction_t *reduction)
{
  bm_shared_arrive(reduction->shared);
}

/* a + b to `out`, which may be either. */
static void add(size_t n, const bm_real_t *a, const bm_real_t *b, bm_real_t *out)
{
#pragma omp simd
  for (size_t i = 0; i < n; i++) {
    out[i] = a[i] + b[i];
  }
}

/* A block of the slice. */
typedef struct {
  size_t first, count;
  size_t next; /* held node: the tree visits them in order */
} block_t;

/* The sum of a node's block: where it lies, or made in `out`, which is written to when its children have
 * been read, so that it may be a vector of this rank or `work`. Right children need a block of
 * `work` for every level below. */
static const bm_real_t *evaluate(const bm_reduction_t *reduction, bm_node_t node, block_t *block,
                                 bm_real_t *work, bm_real_t *out)
{
  const held_t *held = &reduction->held[block->next];
  if (held->node.first == node.first && held->node.count == node.count) {
    block->next++;
    return held->slice + block->first;
  }
  size_t left = bm_tree_left(node.count);
  bm_node_t rest = {node.first + left, node.count - left};
  const bm_real_t *a = evaluate(reduction, (bm_node_t){node.first, left}, block, work, work);
  const bm_real_t *b = evaluate(reduction, rest, block, work + BM_SUM_BLOCK, work + BM_SUM_BLOCK);
  add(block->count, a, b, out);
  return out;
}

/* To the sum of the first part, `made`, those of the others, in `out`, which may be the same. */
static const bm_real_t *add_parts(const bm_reduction_t *reduction, block_t *block,
                                  const bm_real_t *made, bm_real_t *out)
{
  for (size_t part = 1; part < reduction->parts; part++) {
    const bm_real_t *other = evaluate(reduction, (bm_node_t){0, reduction->shards}, block,
                                      reduction->work + BM_SUM_BLOCK, reduction->work);
    add(block->count, made, other, out);
    made = out;
  }
  return made;
}

/* Total and squares of this rank's slice, block by block while they are in the cache. */
static const bm_real_t *sum_slice(bm_reduction_t *reduction)
{
  bm_range_t slice = bm_reduction_slice(reduction);
  bm_real_t *total = reduction->own_count == 0 ? reduction->total
                                               : bm_reduction_vector(reduction, 0) + slice.first;
  const bm_real_t *sum = total;
  double *squares = reduction->numbers + reduction->number_offsets[reduction->context->rank];
  for (size_t first = 0; first < slice.count; first += BM_SUM_BLOCK) {
    size_t count = slice.count - first < BM_SUM_BLOCK ? slice.count - first : BM_SUM_BLOCK;
    block_t block = {first, count, 0};
    const bm_real_t *made = evaluate(reduction, (bm_node_t){0, reduction->shards}, &block,
                                     reduction->work, total + first);
    made = add_parts(reduction, &block, made, total + first);
    squares[first / BM_SUM_BLOCK] = square_sum(count, made);
    sum = first == 0 ? made : sum;
  }
  return sum;
}

/* All ranks' numbers to all. */
static bm_status_t exchange_numbers(bm_reduction_t *reduction)
{
  if (has_other_hosts(reduction)) {
    BM_TRY_MPI(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, reduction->numbers,
                              reduction->number_counts, reduction->number_offsets, MPI_DOUBLE,
                              reduction->context->comm));
  } else {
    bm_shared_arrive(reduction->shared);
    bm_shared_wait(reduction->shared);
  }
  return BM_OK;
}

static void take_numbers(bm_reduction_t *reduction, bm_total_t *total)
{
  double squares = 0.0;
  total->raised = 0;
  const double *next = reduction->numbers;
  for (int rank = 0; rank < reduction->context->size; rank++) {
    bm_range_t shards = shards_of(reduction, rank);
    for (size_t b = blocks_of(reduction, rank).count; b > 0; b--) {
      squares += *next++;
    }
    for (size_t part = 0; part < reduction->parts; part++) {
      memcpy(reduction->shard_values + part * reduction->shards + shards.first, next,
             shards.count * sizeof *next);
      next += shards.count;
    }
    total->raised |= *next++ > 0.0;
  }
  total->squares = squares;
  total->shard_values = reduction->shard_values;
}

bm_status_t bm_reduction_sum(bm_reduction_t *reduction, const double *local, bm_total_t *total)
{
  int rank = reduction->context->rank;
  double *values =
      reduction->numbers + reduction->number_offsets[rank] + blocks_of(reduction, rank).count;
  end_where_failed(wait_for(&reduction->receives));
  end_where_failed(wait_for(&reduction->sends));
  bm_shared_wait(reduction->shared);
  total->slice = is_total(reduction) ? bm_reduction_vector(reduction, 0) : sum_slice(reduction);
  size_t count = reduction->parts * shards_of(reduction, rank).count;
  memcpy(values, local, count * sizeof *values);
  values[count] = reduction->raised;
  reduction->raised = 0;
  BM_TRY(exchange_numbers(reduction));
  take_numbers(reduction, total);
  return BM_OK;
}

bm_status_t bm_reduction_share(bm_reduction_t *reduction)
{
  if (reduction->exchanges.count > 0) {
    BM_TRY_MPI(MPI_Startall(reduction->exchanges.count, reduction->exchanges.list));
    BM_TRY(wait_for(&reduction->exchanges));
  }
  bm_shared_arrive(reduction->shared);
  bm_shared_wait(reduction->shared);
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
