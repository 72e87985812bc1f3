#ifndef BOLTZMAP_SRC_IO_DECK_POOL_H
#define BOLTZMAP_SRC_IO_DECK_POOL_H

/* The memory of a deck: many small pieces that are given back together. */

#include <stddef.h>
#include <stdio.h>

#include "boltzmap/base/status.h"

typedef struct bm_deck_block bm_deck_block_t;

typedef struct {
  bm_deck_block_t *last; /* owned */
} bm_deck_pool_t;

/* `count` zeroed items of `size` bytes, valid until the pool is cleared. BM_ERR_MEMORY. */
bm_status_t bm_deck_pool_take(bm_deck_pool_t *pool, size_t count, size_t size, void **out);

#define BM_DECK_TAKE(pool, count, pointer_address) \
  bm_deck_pool_take((pool), (count), sizeof **(pointer_address), (void **)(pointer_address))

/* Text in the pool, of any length. */
bm_status_t bm_deck_pool_text(bm_deck_pool_t *pool, const char **out, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Text of unknown length: written to `stream`, then taken. */
typedef struct {
  FILE *stream;
  char *text;
  size_t size;
} bm_deck_writer_t;

/* BM_ERR_MEMORY. The writer stays where it is until it is ended by one of the two below. */
bm_status_t bm_deck_writer_open(bm_deck_writer_t *writer);

/* End the writer: its text is the caller's, who frees it. `status` is that of the writing: the
 * text is dropped and the status passed on where it is not BM_OK. */
bm_status_t bm_deck_writer_take(bm_deck_writer_t *writer, bm_status_t status, char **out);

/* End the writer: its text moves to the pool. */
bm_status_t bm_deck_writer_keep(bm_deck_writer_t *writer, bm_deck_pool_t *pool, const char **out);

/* Give everything back. */
void bm_deck_pool_clear(bm_deck_pool_t *pool);

#endif
