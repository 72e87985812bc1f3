#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "boltzmap/base/tree.h"

#define TOTAL_MAX 40

/* The sum of the whole tree from the sums of the nodes that several owners made. */
static size_t add_nodes(bm_node_t node, const bm_node_t *owned, size_t count, size_t *used)
{
  for (size_t i = 0; i < count; i++) {
    if (owned[i].first == node.first && owned[i].count == node.count) {
      *used += 1;
      return node.count;
    }
  }
  assert_true(node.count >= 2);
  size_t left = bm_tree_left(node.count);
  return add_nodes((bm_node_t){node.first, left}, owned, count, used) +
         add_nodes((bm_node_t){node.first + left, node.count - left}, owned, count, used);
}

static void any_partition_builds_the_same_tree(void **state)
{
  (void)state;
  for (size_t total = 1; total <= TOTAL_MAX; total++) {
    for (size_t parts = 1; parts <= 9; parts++) {
      bm_node_t owned[2 * BM_TREE_DEPTH_MAX * 9];
      size_t count = 0;
      for (size_t p = 0; p < parts; p++) {
        size_t first = total * p / parts;
        count += bm_tree_nodes(total, first, total * (p + 1) / parts - first, owned + count);
      }
      size_t used = 0;
      assert_int_equal(add_nodes((bm_node_t){0, total}, owned, count, &used), total);
      assert_int_equal(used, count);
    }
  }
}

static void left_child_is_the_largest_power_of_two_below(void **state)
{
  (void)state;
  assert_int_equal(bm_tree_left(2), 1);
  assert_int_equal(bm_tree_left(3), 2);
  assert_int_equal(bm_tree_left(8), 4);
  assert_int_equal(bm_tree_left(9), 8);
  assert_int_equal(bm_tree_depth(1), 0);
  assert_int_equal(bm_tree_depth(8), 3);
  assert_int_equal(bm_tree_depth(9), 4);
}

static void sum_follows_the_tree(void **state)
{
  (void)state;
  const double values[5] = {1e16, 1.0, -1e16, 1.0, 3.0};
  double expected = ((values[0] + values[1]) + (values[2] + values[3])) + values[4];
  double sum = bm_tree_sum(5, values);
  assert_memory_equal(&sum, &expected, sizeof sum);
}

/* The loop over items with sums that wait makes the additions of the tree, in its order: the nodes are told
 * apart by the texts of their sums. */
static void tree_of_text(size_t first, size_t count, char *text)
{
  if (count == 1) {
    sprintf(text, "%zu", first);
    return;
  }
  char left[400];
  char right[400];
  tree_of_text(first, bm_tree_left(count), left);
  tree_of_text(first + bm_tree_left(count), count - bm_tree_left(count), right);
  snprintf(text, 400, "(%.190s+%.190s)", left, right);
}

static void merges_make_the_tree(void **state)
{
  (void)state;
  for (size_t count = 1; count < 24; count++) {
    char waiting[BM_TREE_DEPTH_MAX][400];
    char expected[400];
    size_t depth = 0;
    for (size_t item = 0; item < count; item++) {
      snprintf(waiting[depth++], 400, "%zu", item);
      for (size_t left = bm_tree_merges(count, item); left > 0; left--, depth--) {
        char sum[400];
        snprintf(sum, sizeof sum, "(%.190s+%.190s)", waiting[depth - 2], waiting[depth - 1]);
        memcpy(waiting[depth - 2], sum, sizeof sum);
      }
      assert_true(depth <= bm_tree_depth(count) + 1);
    }
    assert_int_equal(depth, 1);
    tree_of_text(0, count, expected);
    assert_string_equal(waiting[0], expected);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(merges_make_the_tree),
      cmocka_unit_test(any_partition_builds_the_same_tree),
      cmocka_unit_test(left_child_is_the_largest_power_of_two_below),
      cmocka_unit_test(sum_follows_the_tree),
  };
  return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
