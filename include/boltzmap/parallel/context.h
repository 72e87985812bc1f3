#ifndef BOLTZMAP_PARALLEL_CONTEXT_H
#define BOLTZMAP_PARALLEL_CONTEXT_H

/* Who takes part: an owned duplicate of a communicator, whose errors come back as codes. */

#include <mpi.h>
#include <stddef.h>

#include "boltzmap/base/status.h"

typedef struct {
  MPI_Comm comm; /* owned */
  int rank;
  int size;
} bm_context_t;

/* Duplicate `comm`. Collective. The caller ends the context with bm_context_destroy. */
bm_status_t bm_context_create(MPI_Comm comm, bm_context_t **out);

/* Free the communicator. Collective. Sets the pointer to NULL; NULL inside is allowed. */
void bm_context_destroy(bm_context_t **context);

/* Rank 0 coordinates: it alone prints, reads decks and writes small files. */
int bm_context_is_root(const bm_context_t *context);

/* The MPI library in use, as "Open MPI v4.1.4". */
void bm_context_library(char *text, size_t size);

/* A failed MPI call as a status: BM_ERR_INTERNAL with MPI's own text. Use through BM_TRY_MPI. */
bm_status_t bm_context_mpi_status(int code, const char *call);

#define BM_TRY_MPI(call) BM_TRY(bm_context_mpi_status((call), #call))

#endif
