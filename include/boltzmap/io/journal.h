#ifndef BOLTZMAP_IO_JOURNAL_H
#define BOLTZMAP_IO_JOURNAL_H

/* Outcomes of the pieces that a long work consists of, each under a name of its own. Kept from time to time,
 * they are found again by a work that was interrupted, which then makes the missing ones only. All ranks have
 * the same journal. NULL is a journal that nothing is kept in. */

#include <stddef.h>

#include "boltzmap/base/status.h"
#include "boltzmap/io/keeper.h"
#include "boltzmap/parallel/context.h"

typedef struct bm_journal bm_journal_t;

/* With what the keeper has of an earlier run; it must outlive the journal. BM_ERR_DATA, BM_ERR_IO,
 * BM_ERR_MEMORY. Collective; owned by the caller. */
bm_status_t bm_journal_open(const bm_context_t *context, const bm_keeper_t *keeper,
                            bm_journal_t **out);
void bm_journal_close(bm_journal_t **journal);

/* The outcome of a piece: 1 where it is known in this length, 0 where the piece is to be made. */
int bm_journal_find(const bm_journal_t *journal, const char *name, size_t count,
                    double *values /* [count] */);

/* The same for text, owned by the journal; NULL where it is not known. */
const char *bm_journal_find_text(const bm_journal_t *journal, const char *name);

/* The outcome of a piece just made, the same on all ranks (text may be rank 0's alone), kept with all before
 * it once it is time or a stop is pending. BM_ERR_IO, BM_ERR_MEMORY. Collective. */
bm_status_t bm_journal_add(bm_journal_t *journal, const char *name, size_t count,
                           const double *values /* [count] */);
bm_status_t bm_journal_add_text(bm_journal_t *journal, const char *name, const char *text);

/* Keep what is there now, if anything is new. BM_ERR_IO, BM_ERR_MEMORY. Collective. */
bm_status_t bm_journal_keep(bm_journal_t *journal);

#endif
