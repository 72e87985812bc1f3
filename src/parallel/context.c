#include "boltzmap/parallel/context.h"

#include <stdio.h>
#include <string.h>

#include "boltzmap/base/memory.h"

bm_status_t bm_context_create(MPI_Comm comm, bm_context_t **out)
{
  bm_context_t *context;
  BM_TRY(BM_ALLOC(1, &context));
  context->comm = MPI_COMM_NULL;
  int code = MPI_Comm_dup(comm, &context->comm);
  if (code == MPI_SUCCESS) {
    code = MPI_Comm_set_errhandler(context->comm, MPI_ERRORS_RETURN);
  }
  if (code == MPI_SUCCESS) {
    code = MPI_Comm_rank(context->comm, &context->rank);
  }
  if (code == MPI_SUCCESS) {
    code = MPI_Comm_size(context->comm, &context->size);
  }
  if (code != MPI_SUCCESS) {
    bm_context_destroy(&context);
    return bm_context_mpi_status(code, "creating a communicator");
  }
  *out = context;
  return BM_OK;
}

void bm_context_destroy(bm_context_t **context)
{
  if (*context != NULL && (*context)->comm != MPI_COMM_NULL) {
    MPI_Comm_free(&(*context)->comm);
  }
  bm_free(*context);
  *context = NULL;
}

int bm_context_is_root(const bm_context_t *context)
{
  return context->rank == 0;
}

void bm_context_library(char *text, size_t size)
{
  char whole[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  if (MPI_Get_library_version(whole, &length) != MPI_SUCCESS || whole[0] == '\0') {
    snprintf(whole, sizeof whole, "unknown");
  }
  /* who built it, and with what, comes behind */
  snprintf(text, size, "%.*s", (int)strcspn(whole, ",\n"), whole);
}

bm_status_t bm_context_mpi_status(int code, const char *call)
{
  if (code == MPI_SUCCESS) {
    return BM_OK;
  }
  char text[MPI_MAX_ERROR_STRING] = "unknown error";
  int length = 0;
  MPI_Error_string(code, text, &length);
  return BM_FAIL(BM_ERR_INTERNAL, "MPI: %s: %s", call, text);
}
