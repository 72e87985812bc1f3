#ifndef BOLTZMAP_PARALLEL_AGREE_H
#define BOLTZMAP_PARALLEL_AGREE_H

/* Agreement. One rank never leaves a collective alone: what a rank found out by itself (an error, a
 * stop request) is agreed on before anyone acts on it. */

#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"

/* Every rank brings its own status and gets the same one back: that of the lowest failing rank,
 * with its message. BM_OK where all are. Collective. */
bm_status_t bm_agree_first_failure(const bm_context_t *context, bm_status_t mine);

/* The same, so that compilers and analysers see that BM_OK comes back only where BM_OK was brought. */
static inline bm_status_t bm_agree(const bm_context_t *context, bm_status_t mine)
{
  bm_status_t first = bm_agree_first_failure(context, mine);
  return first == BM_OK ? mine : first;
}

/* True on every rank where it is true on any. Collective. */
int bm_agree_any(const bm_context_t *context, int mine);

/* Pass up a failure of one rank on all ranks. Collective. */
#define BM_TRY_AGREE(context, expression) BM_TRY(bm_agree((context), (expression)))

/* Numbers of which each is set on one rank, or equal on several, and zero on the others, put together bit by bit
 * on all. Collective. Handles any size. */
bm_status_t bm_join(const bm_context_t *context, size_t count, double *values /* [count] */);

/* Send rank 0's bytes to all. Collective. Handles any size. */
bm_status_t bm_broadcast(const bm_context_t *context, void *bytes, size_t count);

/* Send rank 0's string to all: on the others `*text` is allocated and owned by the caller. */
bm_status_t bm_broadcast_string(const bm_context_t *context, char **text);

#endif
