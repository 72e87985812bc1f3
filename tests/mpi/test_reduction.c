#include "check.h"

#include <limits.h>
#include <math.h>

#include "boltzmap/parallel/reduction.h"

#define PARTS_MOST 3

/* Item i of shard s in a part: numbers of very different sizes, so that another order of sums shows. */
static bm_real_t item(size_t part, size_t s, size_t i)
{
  double normal[2];
  bm_random_normal2(bm_random(5 + part, BM_PURPOSE_TEST), (uint32_t)s, i, 0, normal);
  return (bm_real_t)(normal[0] * exp(3.0 * normal[1]));
}

/* Shards [first, first + count) in the order of the tree, by plain recursion. */
static bm_real_t plain_sum(size_t part, size_t first, size_t count, size_t i)
{
  if (count == 1) {
    return item(part, first, i);
  }
  size_t left = 1;
  while (2 * left < count) {
    left *= 2;
  }
  return plain_sum(part, first, left, i) + plain_sum(part, first + left, count - left, i);
}

/* The trees of the parts, one after the other. */
static bm_real_t plain_total(size_t parts, size_t shards, size_t i)
{
  bm_real_t sum = plain_sum(0, 0, shards, i);
  for (size_t part = 1; part < parts; part++) {
    sum += plain_sum(part, 0, shards, i);
  }
  return sum;
}

/* A value of a shard in a part. */
static double value_of(size_t part, size_t shard)
{
  return sqrt((double)shard) - 100.0 * (double)part;
}

/* The shards of this rank: those of its nodes, which follow each other. */
static bm_range_t shards_of(const bm_reduction_t *reduction)
{
  bm_range_t own = {0, 0};
  for (size_t k = 0; k < bm_reduction_node_count(reduction); k++) {
    bm_node_t node = bm_reduction_node(reduction, k);
    own.first = k == 0 ? node.first : own.first;
    own.count += node.count;
  }
  return own;
}

/* Fill a vector and tell of it in stretches that no piece begins or ends at, last ones first. */
static void fill(bm_reduction_t *reduction, size_t part, size_t index, size_t length)
{
  bm_node_t node = bm_reduction_node(reduction, index);
  const size_t vector = part * bm_reduction_node_count(reduction) + index;
  const size_t stretch = length / 7 + 1;
  for (size_t s = 7; s-- > 0;) {
    size_t first = s * stretch;
    size_t end = first + stretch < length ? first + stretch : length;
    for (size_t i = first; i < end; i++) {
      bm_reduction_vector(reduction, vector)[i] = plain_sum(part, node.first, node.count, i);
    }
    if (first < end) {
      bm_reduction_ready(reduction, vector, first, end - first);
    }
  }
}

/* Sizes of sums, and what a round gave. */
typedef struct {
  size_t shards, parts, length;
  bm_real_t *whole;    /* [length], put together by all */
  bm_real_t *gathered; /* [length], on rank 0 */
  double squares;
  double *shard_values; /* [parts][shards] */
  int raised;
} round_t;

static round_t room_for_round(size_t shards, size_t parts, size_t length)
{
  round_t room = {.shards = shards, .parts = parts, .length = length};
  REQUIRE(BM_ALLOC(length, &room.whole) == BM_OK);
  REQUIRE(BM_ALLOC(length, &room.gathered) == BM_OK);
  REQUIRE(BM_ALLOC(parts * shards, &room.shard_values) == BM_OK);
  return room;
}

static void free_round(round_t *room)
{
  bm_free(room->whole);
  bm_free(room->gathered);
  bm_free(room->shard_values);
}

/* Fill this rank's nodes, add up, and put the slices together. */
static void reduce(bm_reduction_t *reduction, round_t *out)
{
  bm_range_t own = shards_of(reduction);
  const size_t length = out->length;
  double local[PARTS_MOST * 40];
  bm_total_t total;
  bm_range_t range = bm_reduction_slice(reduction);
  bm_real_t *common = bm_reduction_common(reduction);
  bm_reduction_start(reduction);
  for (size_t part = 0; part < out->parts; part++) {
    for (size_t k = 0; k < bm_reduction_node_count(reduction); k++) {
      fill(reduction, part, k, length);
    }
    for (size_t s = 0; s < own.count; s++) {
      local[part * own.count + s] = value_of(part, own.first + s);
    }
  }
  bm_reduction_arrive(reduction);
  REQUIRE(bm_reduction_sum(reduction, local, &total) == BM_OK);
  out->squares = total.squares;
  out->raised = total.raised;
  memcpy(out->shard_values, total.shard_values,
         out->parts * out->shards * sizeof *out->shard_values);
  memcpy(common + range.first, total.slice, range.count * sizeof *common);
  memset(out->gathered, 0xff, length * sizeof *out->gathered);
  REQUIRE(bm_reduction_gather_root(reduction, total.slice, out->gathered) == BM_OK);
  REQUIRE(bm_reduction_share(reduction) == BM_OK);
  memcpy(out->whole, common, length * sizeof *common);
}

/* Three rounds on the same reduction: what one sum uses up does not reach the next. */
static void sums_are_those_of_the_plain_tree(const bm_context_t *all, size_t shards, size_t parts,
                                             size_t length)
{
  bm_reduction_t *reduction;
  round_t got = room_for_round(shards, parts, length);
  bm_real_t *expected;
  REQUIRE(BM_ALLOC(length, &expected) == BM_OK);
  for (size_t i = 0; i < length; i++) {
    expected[i] = plain_total(parts, shards, i);
  }
  REQUIRE(bm_reduction_create(all, shards, parts, length, &reduction) == BM_OK);
  for (int round = 0; round < 3; round++) {
    reduce(reduction, &got);
    CHECK_BITS(got.whole, expected, length);
    if (bm_context_is_root(all)) {
      CHECK_BITS(got.gathered, expected, length);
    }
    for (size_t s = 0; s < parts * shards; s++) {
      const double value = value_of(s / shards, s % shards);
      CHECK_BITS(&got.shard_values[s], &value, 1);
    }
  }
  bm_reduction_destroy(&reduction);
  CHECK(reduction == NULL);
  free_round(&got);
  bm_free(expected);
}

/* Each rank in turn; the flag is down again in the round after. */
static void a_flag_of_any_rank_reaches_all_in_its_round(const bm_context_t *all)
{
  bm_reduction_t *reduction;
  round_t got = room_for_round(3, 1, 10);
  REQUIRE(bm_reduction_create(all, 3, 1, 10, &reduction) == BM_OK);
  for (int rank = 0; rank < all->size; rank++) {
    if (all->rank == rank) {
      bm_reduction_raise(reduction);
    }
    reduce(reduction, &got);
    CHECK(got.raised);
    reduce(reduction, &got);
    CHECK(!got.raised);
  }
  bm_reduction_destroy(&reduction);
  free_round(&got);
}

static double squares_on(const bm_context_t *context, size_t parts, size_t length)
{
  bm_reduction_t *reduction;
  round_t got = room_for_round(5, parts, length);
  REQUIRE(bm_reduction_create(context, 5, parts, length, &reduction) == BM_OK);
  reduce(reduction, &got);
  double squares = got.squares;
  bm_reduction_destroy(&reduction);
  free_round(&got);
  return squares;
}

/* Right, and the same bits on all ranks together as on one. */
static void squares_do_not_depend_on_the_ranks(const bm_context_t *all, const bm_context_t *alone,
                                               size_t parts, size_t length)
{
  double expected = 0.0;
  for (size_t i = 0; i < length; i++) {
    expected += (double)plain_total(parts, 5, i) * (double)plain_total(parts, 5, i);
  }
  double single = squares_on(alone, parts, length);
  double together = squares_on(all, parts, length);
  CHECK(fabs(single - expected) <= 1e-12 * expected);
  CHECK_BITS(&single, &together, 1);
}

static void slices_cover_the_vector(const bm_context_t *all, size_t length)
{
  bm_reduction_t *reduction;
  REQUIRE(bm_reduction_create(all, 8, 1, length, &reduction) == BM_OK);
  bm_range_t range = bm_reduction_slice(reduction);
  unsigned long long ends[2] = {range.first + range.count, range.count};
  unsigned long long before = 0;
  MPI_Exscan(&ends[1], &before, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, all->comm);
  CHECK(range.first == (all->rank == 0 ? 0 : before));
  MPI_Allreduce(MPI_IN_PLACE, ends, 2, MPI_UNSIGNED_LONG_LONG, MPI_MAX, all->comm);
  CHECK(ends[0] == length);
  bm_reduction_destroy(&reduction);
}

/* What only one rank changed is seen by all of its host without a message, as it is one memory. */
static void ranks_of_a_host_have_one_common_vector(const bm_context_t *all)
{
  bm_reduction_t *reduction;
  REQUIRE(bm_reduction_create(all, 8, 1, 100, &reduction) == BM_OK);
  if (all->host_rank == all->host_size - 1) {
    bm_reduction_common(reduction)[50] = (bm_real_t)(1 + all->host_of[all->rank]);
  }
  MPI_Barrier(all->comm);
  CHECK(bm_reduction_common(reduction)[50] == (bm_real_t)(1 + all->host_of[all->rank]));
  bm_reduction_destroy(&reduction);
}

static void vectors_too_long_for_mpi_are_refused(const bm_context_t *all)
{
  bm_reduction_t *reduction;
  CHECK(bm_reduction_create(all, 2, 1, (size_t)INT_MAX + 1, &reduction) == BM_ERR_DATA);
  CHECK(reduction == NULL);
}

static void check_sums(const bm_context_t *all, const bm_context_t *alone)
{
  const size_t shards[] = {1, 2, 3, 5, 8, 13};
  const size_t lengths[] = {1, 100, 4096, 4097, 20001};
  for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
    for (size_t s = 0; s < sizeof shards / sizeof shards[0]; s++) {
      if (lengths[l] < 20000 || shards[s] == 8) {
        sums_are_those_of_the_plain_tree(all, shards[s], 1, lengths[l]);
      }
      if (lengths[l] < 4096) {
        sums_are_those_of_the_plain_tree(all, shards[s], 2, lengths[l]);
      }
    }
    if (lengths[l] == 4097) {
      sums_are_those_of_the_plain_tree(all, 5, PARTS_MOST, lengths[l]);
    }
    squares_do_not_depend_on_the_ranks(all, alone, 1, lengths[l]);
    squares_do_not_depend_on_the_ranks(all, alone, 2, lengths[l]);
    slices_cover_the_vector(all, lengths[l]);
  }
  ranks_of_a_host_have_one_common_vector(all);
  a_flag_of_any_rank_reaches_all_in_its_round(all);
  vectors_too_long_for_mpi_are_refused(all);
}

/* Rounds of many slices and pieces a rank. */
static void check_long_sums(const bm_context_t *all)
{
  sums_are_those_of_the_plain_tree(all, 5, 1, 300001);
  sums_are_those_of_the_plain_tree(all, 3, 2, 70001);
}

int main(int argc, char **argv)
{
  bm_context_t *all;
  bm_context_t *alone;
  check_start(&argc, &argv, &all, &alone);
  check_sums(all, alone);
  check_long_sums(all);
  for (int host_ranks = 1; host_ranks <= 3 && host_ranks < all->size; host_ranks++) {
    bm_context_t *hosts;
    REQUIRE(bm_context_create_hosts(MPI_COMM_WORLD, host_ranks, &hosts) == BM_OK);
    CHECK(hosts->host_size <= host_ranks);
    check_sums(hosts, alone);
    check_long_sums(hosts);
    bm_context_destroy(&hosts);
  }
  return check_end(&all, &alone);
}
