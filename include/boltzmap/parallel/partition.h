#ifndef BOLTZMAP_PARALLEL_PARTITION_H
#define BOLTZMAP_PARALLEL_PARTITION_H

/* Block partition: `count` items over `parts` parts, contiguous and in order, sizes differing by at
 * most one. */

#include <stddef.h>

typedef struct {
  size_t first;
  size_t count;
} bm_range_t;

/* The items of part `part`. */
bm_range_t bm_partition(size_t count, int parts, int part);

#endif
