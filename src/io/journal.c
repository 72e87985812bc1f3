#include "boltzmap/io/journal.h"

#include <stdio.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/parallel/stop.h"

#define BM_PREFIX "journal/"
#define BM_PIECE_NAME 128

struct bm_journal {
  const bm_context_t *context;
  const bm_keeper_t *keeper;
  bm_state_t *pieces;
  size_t kept; /* pieces that the keeper has */
  double kept_at;
};

bm_status_t bm_journal_open(const bm_context_t *context, const bm_keeper_t *keeper,
                            bm_journal_t **out)
{
  bm_state_t *before = NULL;
  *out = NULL;
  BM_TRY(keeper->load(keeper->self, &before));
  bm_status_t status = BM_ALLOC(1, out);
  if (status == BM_OK) {
    **out = (bm_journal_t){.context = context, .keeper = keeper, .kept_at = bm_log_clock()};
    status = bm_state_create(BM_STATE_CHECKPOINT, &(*out)->pieces);
  }
  if (status == BM_OK && before != NULL) {
    status = bm_state_copy(before, BM_PREFIX, (*out)->pieces);
  }
  if (status == BM_OK) {
    (*out)->kept = bm_state_block_count((*out)->pieces);
  }
  bm_state_destroy(&before);
  status = bm_agree(context, status);
  if (status != BM_OK) {
    bm_journal_close(out);
  }
  return status;
}

void bm_journal_close(bm_journal_t **journal)
{
  if (*journal != NULL) {
    bm_state_destroy(&(*journal)->pieces);
  }
  bm_free(*journal);
  *journal = NULL;
}

/* The block of a piece. */
static const char *block_of(const char *name, char block[BM_PIECE_NAME])
{
  snprintf(block, BM_PIECE_NAME, BM_PREFIX "%s", name);
  return block;
}

int bm_journal_find(const bm_journal_t *journal, const char *name, size_t count, double *values)
{
  char block[BM_PIECE_NAME];
  return journal != NULL && bm_state_count(journal->pieces, block_of(name, block)) == count &&
         bm_state_get_doubles(journal->pieces, block, count, values) == BM_OK;
}

const char *bm_journal_find_text(const bm_journal_t *journal, const char *name)
{
  char block[BM_PIECE_NAME];
  const char *text;
  return journal != NULL && bm_state_count(journal->pieces, block_of(name, block)) > 0 &&
                 bm_state_get_string(journal->pieces, block, &text) == BM_OK
             ? text
             : NULL;
}

/* Is it time, on rank 0's clock, or has a rank been asked to stop? Then all ranks keep. */
static bm_status_t keep_when_due(bm_journal_t *journal)
{
  const bm_context_t *context = journal->context;
  int due =
      bm_context_is_root(context) && bm_log_clock() - journal->kept_at >= journal->keeper->every_s;
  return bm_agree_any(context, due || bm_stop_pending()) ? bm_journal_keep(journal) : BM_OK;
}

bm_status_t bm_journal_add(bm_journal_t *journal, const char *name, size_t count,
                           const double *values)
{
  char block[BM_PIECE_NAME];
  if (journal == NULL || bm_state_count(journal->pieces, block_of(name, block)) > 0) {
    return BM_OK; /* made again beside pieces that were not kept */
  }
  BM_TRY_AGREE(journal->context,
               bm_state_put_doubles(journal->pieces, block_of(name, block), count, values));
  return keep_when_due(journal);
}

bm_status_t bm_journal_add_text(bm_journal_t *journal, const char *name, const char *text)
{
  char block[BM_PIECE_NAME];
  if (journal == NULL) {
    return BM_OK;
  }
  BM_TRY_AGREE(journal->context, bm_state_put_string(journal->pieces, block_of(name, block), text));
  return keep_when_due(journal);
}

bm_status_t bm_journal_keep(bm_journal_t *journal)
{
  bm_state_t *state;
  if (journal == NULL || bm_state_block_count(journal->pieces) == journal->kept) {
    return BM_OK;
  }
  const bm_context_t *context = journal->context;
  const size_t pieces = bm_state_block_count(journal->pieces);
  BM_TRY(bm_keeper_begin(context, &state));
  bm_status_t status = state != NULL ? bm_state_copy(journal->pieces, BM_PREFIX, state) : BM_OK;
  journal->kept = pieces;
  journal->kept_at = bm_log_clock();
  return bm_keeper_end(context, journal->keeper, (int64_t)pieces, status, &state);
}
