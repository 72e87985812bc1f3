#ifndef BOLTZMAP_BASE_MEMORY_H
#define BOLTZMAP_BASE_MEMORY_H

/* Checked memory. Blocks are zeroed and aligned to 64 bytes (a cache line, an AVX-512 vector). */

#include <stddef.h>

#include "boltzmap/base/status.h"

/* Bytes of memory of this machine. */
double bm_memory_size(void);

/* Allocate `count` zeroed items of `size` bytes into `*out`, which the caller owns and gives back
 * with bm_free. A count of 0 gives a valid pointer. BM_ERR_MEMORY where there is no room, the
 * machine has less memory than that, or the product overflows; `*out` is then NULL. */
bm_status_t bm_alloc(size_t count, size_t size, void **out);

/* Typed allocation: BM_ALLOC(n, &pointer). */
#define BM_ALLOC(count, pointer_address) \
  bm_alloc((count), sizeof **(pointer_address), (void **)(pointer_address))

/* Grow (or shrink) a block from bm_alloc to `count` items; new items are zero, old ones keep their
 * values. On failure the old block stays valid. */
bm_status_t bm_resize(size_t old_count, size_t count, size_t size, void **block);

/* Give back a block; NULL is allowed. */
void bm_free(void *block);

/* Copy of a string, owned by the caller. */
bm_status_t bm_string_copy(const char *text, char **out);

#endif
