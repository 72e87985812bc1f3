#include "boltzmap/base/memory.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BM_ALIGNMENT 64
#define BM_HUGE_PAGE ((size_t)2 << 20)
#define BM_LARGE ((size_t)1 << 30) /* bytes from which a request is compared with the memory */

double bm_memory_size(void)
{
  long pages = sysconf(_SC_PHYS_PAGES);
  long bytes = sysconf(_SC_PAGESIZE);
  return pages > 0 && bytes > 0 ? (double)pages * (double)bytes : HUGE_VAL;
}

bm_status_t bm_alloc(size_t count, size_t size, void **out)
{
  *out = NULL;
  if (size != 0 && count > (SIZE_MAX - BM_ALIGNMENT) / size) {
    return BM_FAIL(BM_ERR_MEMORY, "cannot allocate %zu items of %zu bytes: too large", count, size);
  }
  size_t bytes = (count * size + BM_ALIGNMENT - 1) / BM_ALIGNMENT * BM_ALIGNMENT;
  if (bytes == 0) {
    bytes = BM_ALIGNMENT;
  }
  size_t alignment = bytes < 2 * BM_HUGE_PAGE ? BM_ALIGNMENT : BM_HUGE_PAGE;
  /* Linux promises more than there is, and kills who uses it. */
  int fits = bytes < BM_LARGE || (double)bytes <= bm_memory_size();
  void *block = NULL;
  if (fits && posix_memalign(&block, alignment, bytes) != 0) {
    block = NULL;
  }
  if (block == NULL) {
    return BM_FAIL(BM_ERR_MEMORY, "out of memory: %zu bytes asked", bytes);
  }
#ifdef MADV_HUGEPAGE
  if (alignment ==
      BM_HUGE_PAGE) { /* fewer misses of the address cache; where refused, nothing is lost */
    (void)madvise(block, bytes / BM_HUGE_PAGE * BM_HUGE_PAGE, MADV_HUGEPAGE);
  }
#endif
  memset(block, 0, bytes);
  *out = block;
  return BM_OK;
}

bm_status_t bm_resize(size_t old_count, size_t count, size_t size, void **block)
{
  void *grown = NULL;
  BM_TRY(bm_alloc(count, size, &grown));
  if (*block != NULL) {
    memcpy(grown, *block, (old_count < count ? old_count : count) * size);
  }
  bm_free(*block);
  *block = grown;
  return BM_OK;
}

void bm_free(void *block)
{
  free(block);
}

bm_status_t bm_string_copy(const char *text, char **out)
{
  size_t length = strlen(text) + 1;
  BM_TRY(bm_alloc(length, 1, (void **)out));
  memcpy(*out, text, length);
  return BM_OK;
}
