#ifndef BOLTZMAP_BASE_NEAREST_H
#define BOLTZMAP_BASE_NEAREST_H

/* Which known word a mistyped one was meant to be. */

#include <stddef.h>

/* Edits (insert, delete, replace, swap neighbours) from the first `length` bytes of one word to the
 * other; many for long words, which are not compared. */
size_t bm_nearest_edits(const char *word, size_t length, const char *other);

/* Edits up to which another word is taken for what was meant. */
size_t bm_nearest_limit(size_t length);

#endif
