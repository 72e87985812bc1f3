#include "check.h"

#include <limits.h>
#include <math.h>

#include "boltzmap/parallel/reduction.h"

/* Item i of shard s: numbers of very different sizes, so that another order of sums shows. */
static bm_real_t item(size_t s, size_t i)
{
  double normal[2];
  bm_random_normal2(bm_random(5, BM_PURPOSE_TEST), (uint32_t)s, i, 0, normal);
  return (bm_real_t)(normal[0] * exp(3.0 * normal[1]));
}

/* Shards [first, first + count) in the order of the tree, by plain recursion. */
static bm_real_t plain_sum(size_t first, size_t count, size_t i)
{
  if (count == 1) {
    return item(first, i);
  }
  size_t left = 1;
  while (2 * left < count) {
    left *= 2;
  }
  return plain_sum(first, left, i) + plain_sum(first + left, count - left, i);
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

/* Fill this rank's nodes, add up, and put the slices together in `whole` [length]. */
static void reduce(bm_reduction_t *reduction, size_t length, bm_real_t *whole, double *squares)
{
  bm_range_t own = shards_of(reduction);
  size_t shards = 0;
  for (size_t k = 0; k < bm_reduction_node_count(reduction); k++) {
    bm_node_t node = bm_reduction_node(reduction, k);
    CHECK(node.first == own.first + shards);
    shards += node.count;
    for (size_t i = 0; i < length; i++) {
      bm_reduction_vector(reduction, k)[i] = plain_sum(node.first, node.count, i);
    }
  }
  CHECK(shards == own.count);
  bm_real_t *slice;
  bm_range_t range = bm_reduction_slice(reduction);
  REQUIRE(bm_reduction_sum(reduction, &slice) == BM_OK);
  REQUIRE(bm_reduction_square_sum(reduction, slice, squares) == BM_OK);
  memset(whole, 0xff, length * sizeof *whole);
  REQUIRE(bm_reduction_gather_root(reduction, slice, whole) == BM_OK);
  memcpy(whole + range.first, slice, range.count * sizeof *slice);
}

/* Twice on the same reduction: what one sum uses up does not reach the next. */
static void sums_are_those_of_the_plain_tree(const bm_context_t *all, const bm_context_t *alone,
                                             size_t shards, size_t length)
{
  bm_reduction_t *reduction;
  bm_reduction_t *single;
  bm_real_t *whole;
  bm_real_t *expected;
  double squares;
  double expected_squares;
  REQUIRE(BM_ALLOC(length, &whole) == BM_OK);
  REQUIRE(BM_ALLOC(length, &expected) == BM_OK);
  REQUIRE(bm_reduction_create(all, shards, length, &reduction) == BM_OK);
  REQUIRE(bm_reduction_create(alone, shards, length, &single) == BM_OK);
  reduce(single, length, expected, &expected_squares);
  for (size_t i = 0; i < length; i++) {
    const bm_real_t plain = plain_sum(0, shards, i);
    CHECK_BITS(&expected[i], &plain, 1);
  }
  for (int round = 0; round < 2; round++) {
    reduce(reduction, length, whole, &squares);
    if (bm_context_is_root(all)) {
      CHECK_BITS(whole, expected, length);
    }
    REQUIRE(bm_reduction_gather(reduction, whole) == BM_OK);
    CHECK_BITS(whole, expected, length);
    CHECK_BITS(&squares, &expected_squares, 1);
  }
  bm_reduction_destroy(&single);
  bm_reduction_destroy(&reduction);
  CHECK(reduction == NULL);
  bm_free(whole);
  bm_free(expected);
}

static void the_sum_of_squares_is_right(const bm_context_t *alone)
{
  bm_reduction_t *reduction;
  bm_real_t whole[3];
  double squares;
  REQUIRE(bm_reduction_create(alone, 1, 3, &reduction) == BM_OK);
  reduce(reduction, 3, whole, &squares);
  double expected = 0.0;
  for (int i = 0; i < 3; i++) {
    expected += (double)whole[i] * (double)whole[i];
  }
  CHECK(fabs(squares - expected) <= 1e-15 * expected);
  bm_reduction_destroy(&reduction);
}

static void slices_cover_the_vector(const bm_context_t *all, size_t length)
{
  bm_reduction_t *reduction;
  REQUIRE(bm_reduction_create(all, 8, length, &reduction) == BM_OK);
  bm_range_t range = bm_reduction_slice(reduction);
  unsigned long long ends[2] = {range.first + range.count, range.count};
  unsigned long long before = 0;
  MPI_Exscan(&ends[1], &before, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, all->comm);
  CHECK(range.first == (all->rank == 0 ? 0 : before));
  MPI_Allreduce(MPI_IN_PLACE, ends, 2, MPI_UNSIGNED_LONG_LONG, MPI_MAX, all->comm);
  CHECK(ends[0] == length);
  bm_reduction_destroy(&reduction);
}

static void vectors_too_long_for_mpi_are_refused(const bm_context_t *all)
{
  bm_reduction_t *reduction;
  CHECK(bm_reduction_create(all, 2, (size_t)INT_MAX + 1, &reduction) == BM_ERR_DATA);
  CHECK(reduction == NULL);
}

static void shard_values_arrive_in_order(const bm_context_t *all, size_t shards)
{
  bm_reduction_t *reduction;
  double local[40];
  double gathered[40];
  REQUIRE(bm_reduction_create(all, shards, 1, &reduction) == BM_OK);
  bm_range_t own = shards_of(reduction);
  for (size_t s = 0; s < own.count; s++) {
    local[s] = sqrt((double)(own.first + s));
  }
  CHECK(bm_reduction_gather_shards(reduction, local, gathered) == BM_OK);
  for (size_t s = 0; s < shards; s++) {
    const double expected = sqrt((double)s);
    CHECK_BITS(&gathered[s], &expected, 1);
  }
  bm_reduction_destroy(&reduction);
}

int main(int argc, char **argv)
{
  bm_context_t *all;
  bm_context_t *alone;
  check_start(&argc, &argv, &all, &alone);
  const size_t shards[] = {1, 2, 3, 5, 8, 13};
  const size_t lengths[] = {1, 100, 4096, 4097, 20001};
  for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
    for (size_t s = 0; s < sizeof shards / sizeof shards[0]; s++) {
      if (lengths[l] < 20000 || shards[s] == 8) {
        sums_are_those_of_the_plain_tree(all, alone, shards[s], lengths[l]);
      }
    }
    slices_cover_the_vector(all, lengths[l]);
  }
  for (size_t s = 1; s <= 40; s++) {
    shard_values_arrive_in_order(all, s);
  }
  vectors_too_long_for_mpi_are_refused(all);
  the_sum_of_squares_is_right(alone);
  return check_end(&all, &alone);
}
