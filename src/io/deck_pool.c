#include "deck_pool.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include "boltzmap/base/memory.h"

struct bm_deck_block {
  bm_deck_block_t *before;
  _Alignas(max_align_t) char bytes[];
};

bm_status_t bm_deck_pool_take(bm_deck_pool_t *pool, size_t count, size_t size, void **out)
{
  bm_deck_block_t *block = NULL;
  *out = NULL;
  if (count > (SIZE_MAX - sizeof *block) / size) {
    return BM_FAIL(BM_ERR_MEMORY, "cannot allocate %zu items of %zu bytes: too large", count, size);
  }
  BM_TRY(bm_alloc(sizeof *block + count * size, 1, (void **)&block));
  block->before = pool->last;
  pool->last = block;
  *out = block->bytes;
  return BM_OK;
}

bm_status_t bm_deck_pool_text(bm_deck_pool_t *pool, const char **out, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  int length = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (length < 0) {
    return BM_FAIL(BM_ERR_INTERNAL, "cannot format a text");
  }
  char *text = NULL;
  BM_TRY(BM_DECK_TAKE(pool, (size_t)length + 1, &text));
  va_start(args, format);
  vsnprintf(text, (size_t)length + 1, format, args);
  va_end(args);
  *out = text;
  return BM_OK;
}

bm_status_t bm_deck_writer_open(bm_deck_writer_t *writer)
{
  *writer = (bm_deck_writer_t){0};
  writer->stream = open_memstream(&writer->text, &writer->size);
  if (writer->stream == NULL) {
    return BM_FAIL(BM_ERR_MEMORY, "out of memory: text of a deck");
  }
  return BM_OK;
}

bm_status_t bm_deck_writer_take(bm_deck_writer_t *writer, bm_status_t status, char **out)
{
  int failed = ferror(writer->stream);
  *out = NULL;
  if (fclose(writer->stream) != 0 || failed) {
    status = status != BM_OK ? status : BM_FAIL(BM_ERR_MEMORY, "out of memory: text of a deck");
  }
  if (status != BM_OK) {
    free(writer->text);
    return status;
  }
  *out = writer->text;
  return BM_OK;
}

bm_status_t bm_deck_writer_keep(bm_deck_writer_t *writer, bm_deck_pool_t *pool, const char **out)
{
  char *text = NULL;
  BM_TRY(bm_deck_writer_take(writer, BM_OK, &text));
  bm_status_t status = bm_deck_pool_text(pool, out, "%s", text);
  free(text);
  return status;
}

void bm_deck_pool_clear(bm_deck_pool_t *pool)
{
  while (pool->last != NULL) {
    bm_deck_block_t *before = pool->last->before;
    bm_free(pool->last);
    pool->last = before;
  }
}
