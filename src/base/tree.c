#include "boltzmap/base/tree.h"

#include <assert.h>

size_t bm_tree_left(size_t count)
{
  assert(count >= 2);
  size_t left = 1;
  while (2 * left < count) {
    left *= 2;
  }
  return left;
}

size_t bm_tree_merges(size_t count, size_t item)
{
  /* Below the root's right edge all nodes are whole powers of two: those that end with this item are as
   * many as it has ones at the end. The last item ends all nodes of that edge, as many as wait. */
  size_t bits = item + 1 == count ? item : item & ~(item + 1);
  size_t ones = 0;
  for (; bits > 0; bits &= bits - 1) {
    ones++;
  }
  return ones;
}

size_t bm_tree_depth(size_t count)
{
  size_t depth = 0;
  for (size_t width = 1; width < count; width *= 2) {
    depth++;
  }
  return depth;
}

/* Nodes below `node` that lie in [first, end). */
static size_t collect(bm_node_t node, size_t first, size_t end, bm_node_t *nodes)
{
  size_t node_end = node.first + node.count;
  if (node.count == 0 || node_end <= first || node.first >= end) {
    return 0;
  }
  if (node.first >= first && node_end <= end) {
    nodes[0] = node;
    return 1;
  }
  size_t left = bm_tree_left(node.count);
  size_t found = collect((bm_node_t){node.first, left}, first, end, nodes);
  return found +
         collect((bm_node_t){node.first + left, node.count - left}, first, end, nodes + found);
}

size_t bm_tree_nodes(size_t total, size_t first, size_t count, bm_node_t *nodes)
{
  return count == 0 ? 0 : collect((bm_node_t){0, total}, first, first + count, nodes);
}

double bm_tree_sum(size_t count, const double *values /* [count] */)
{
  if (count == 0) {
    return 0.0;
  }
  if (count == 1) {
    return values[0];
  }
  size_t left = bm_tree_left(count);
  return bm_tree_sum(left, values) + bm_tree_sum(count - left, values + left);
}
