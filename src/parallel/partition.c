#include "boltzmap/parallel/partition.h"

#include <assert.h>

bm_range_t bm_partition(size_t count, int parts, int part)
{
  assert(parts > 0 && part >= 0 && part < parts);
  size_t p = (size_t)part;
  size_t base = count / (size_t)parts;
  size_t extra = count % (size_t)parts;
  size_t first = p * base + (p < extra ? p : extra);
  return (bm_range_t){first, base + (p < extra ? 1 : 0)};
}
