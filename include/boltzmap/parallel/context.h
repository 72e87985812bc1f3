#ifndef BOLTZMAP_PARALLEL_CONTEXT_H
#define BOLTZMAP_PARALLEL_CONTEXT_H

/* Who takes part: an owned duplicate of a communicator, whose errors come back as codes, and which of
 * its ranks can share memory. */

#include <mpi.h>
#include <stddef.h>

#include "boltzmap/base/status.h"

typedef struct {
  MPI_Comm comm; /* owned */
  int rank;
  int size;
  MPI_Comm host; /* owned: the ranks that share memory with this one, itself included, in order */
  int host_rank;
  int host_size;
  int *host_of; /* [size], owned: the lowest rank that each rank shares memory with */
} bm_context_t;

/* Duplicate `comm`. Collective. The caller ends the context with bm_context_destroy. */
bm_status_t bm_context_create(MPI_Comm comm, bm_context_t **out);

/* The same, but as if no more than `host_ranks` ≥ 1 ranks in a row shared memory: several hosts on one
 * machine, for tests and measurements of what goes on between hosts. Collective. */
bm_status_t bm_context_create_hosts(MPI_Comm comm, int host_ranks, bm_context_t **out);

/* Free the communicators. Collective. Sets the pointer to NULL; NULL inside is allowed. */
void bm_context_destroy(bm_context_t **context);

/* Rank 0 coordinates: it alone prints, reads decks and writes small files. */
int bm_context_is_root(const bm_context_t *context);

/* The MPI library in use, as "Open MPI v4.1.4". */
void bm_context_library(char *text, size_t size);

/* Say this rank's failure, the last message, and end all ranks at once with its exit code: where others
 * would wait for this one for ever. From any thread; also where MPI does not run. */
_Noreturn void bm_context_end_job(bm_status_t status);

/* A failed MPI call ends the job: nobody knows what the other ranks have of it, and they would wait for
 * this one. Gives BM_OK otherwise. Use through BM_TRY_MPI. */
bm_status_t bm_context_mpi_status(int code, const char *call);

#define BM_TRY_MPI(call) BM_TRY(bm_context_mpi_status((call), #call))

#endif
