#include "boltzmap/parallel/agree.h"

#include <limits.h>
#include <string.h>

#include "boltzmap/base/memory.h"

#define BM_TRANSFER_BYTES ((size_t)1 << 30) /* counts beyond 2 GiB break in several layers */

bm_status_t bm_agree_first_failure(const bm_context_t *context, bm_status_t mine)
{
  int first = mine == BM_OK ? INT_MAX : context->rank;
  BM_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, context->comm));
  if (first == INT_MAX) {
    return BM_OK;
  }
  char message[BM_MESSAGE_MAX];
  memcpy(message, bm_status_message(), sizeof message);
  int status = (int)mine;
  BM_TRY_MPI(MPI_Bcast(&status, 1, MPI_INT, first, context->comm));
  BM_TRY_MPI(MPI_Bcast(message, sizeof message, MPI_CHAR, first, context->comm));
  bm_status_set_message(message);
  return (bm_status_t)status;
}

int bm_agree_any(const bm_context_t *context, int mine)
{
  int any = mine != 0;
  (void)bm_context_mpi_status(MPI_Allreduce(MPI_IN_PLACE, &any, 1, MPI_INT, MPI_MAX, context->comm),
                              "MPI_Allreduce");
  return any;
}

bm_status_t bm_join(const bm_context_t *context, size_t count, double *values)
{
  const size_t most = BM_TRANSFER_BYTES / sizeof *values;
  for (size_t done = 0; done < count; done += most) {
    size_t part = count - done < most ? count - done : most;
    BM_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, values + done, (int)part, MPI_UINT64_T, MPI_BOR,
                             context->comm));
  }
  return BM_OK;
}

bm_status_t bm_broadcast(const bm_context_t *context, void *bytes, size_t count)
{
  for (size_t done = 0; done < count; done += BM_TRANSFER_BYTES) {
    size_t part = count - done < BM_TRANSFER_BYTES ? count - done : BM_TRANSFER_BYTES;
    BM_TRY_MPI(MPI_Bcast((char *)bytes + done, (int)part, MPI_BYTE, 0, context->comm));
  }
  return BM_OK;
}

bm_status_t bm_broadcast_string(const bm_context_t *context, char **text)
{
  uint64_t length = bm_context_is_root(context) ? strlen(*text) + 1 : 0;
  BM_TRY(bm_broadcast(context, &length, sizeof length));
  bm_status_t status = BM_OK;
  if (!bm_context_is_root(context)) {
    status = BM_ALLOC((size_t)length, text);
  }
  BM_TRY_AGREE(context, status);
  return bm_broadcast(context, *text, (size_t)length);
}
