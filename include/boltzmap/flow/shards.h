#ifndef BOLTZMAP_FLOW_SHARDS_H
#define BOLTZMAP_FLOW_SHARDS_H

/* A batch of rows, cut into shards. A row's numbers do not depend on other rows, and sums over rows are
 * made shard by shard, then over shards in the order of the fixed tree (base/tree.h), so that results do
 * not depend on how shards are dealt out. */

#include <stddef.h>

#define BM_SHARDS_MAX 4096 /* of a batch */

/* Consecutive shards: shard s holds rows [offset[s], offset[s + 1]). A shard may be empty. */
typedef struct {
  size_t count;
  const size_t *offset; /* [count + 1], offset[0] = 0 */
} bm_shards_t;

#endif
