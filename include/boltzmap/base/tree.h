#ifndef BOLTZMAP_BASE_TREE_H
#define BOLTZMAP_BASE_TREE_H

/* The fixed binary tree of sums. Items 0…count-1 are added pairwise in an order that depends on `count`
 * alone: a node over `count` items is the sum of its left node, over the largest power of two
 * below count, and its right node, over the rest. A rank that holds some of the items can add
 * up whole nodes by itself without changing the result. */

#include <stddef.h>

/* A node: `count` items from `first` on. */
typedef struct {
  size_t first, count;
} bm_node_t;

#define BM_TREE_DEPTH_MAX 64

/* Items in the left child of a node over `count` ≥ 2 items. */
size_t bm_tree_left(size_t count);

/* The tree as a loop over its items: how many of the sums that wait, the latest first, are added to item
 * `item` of `count` before the next one; what comes of it waits in turn, at the end it is the total. */
size_t bm_tree_merges(size_t count, size_t item);

/* Largest number of additions under way at once for a node over `count` items. */
size_t bm_tree_depth(size_t count);

/* The largest nodes of the tree over `total` items that lie wholly in [first, first + count), in order;
 * `nodes` has room for 2·BM_TREE_DEPTH_MAX. Gives their number. */
size_t bm_tree_nodes(size_t total, size_t first, size_t count, bm_node_t *nodes);

/* Sum of `count` numbers in the order of the tree. */
double bm_tree_sum(size_t count, const double *values /* [count] */);

#endif
