/* boltzmap: the program. Starts MPI, runs one command on all ranks, says a failure once. */

#include <cblas.h>
#include <mpi.h>
#include <stdio.h>

#include "boltzmap/app/commands.h"
#include "boltzmap/io/hdf5.h"
#include "boltzmap/parallel/agree.h"

static bm_status_t run(int argc, char **argv, bm_context_t **context)
{
  BM_TRY(bm_context_create(MPI_COMM_WORLD, context));
  openblas_set_num_threads(1); /* ranks are the parallelism */
  bm_hdf5_quiet();
  return bm_agree(*context, bm_commands_dispatch(*context, argc - 1, argv + 1));
}

int main(int argc, char **argv)
{
  if (MPI_Init(&argc, &argv) != MPI_SUCCESS) {
    fprintf(stderr, "boltzmap: MPI could not be started\n");
    return bm_status_exit_code(BM_ERR_INTERNAL);
  }
  bm_context_t *context = NULL;
  bm_status_t status = run(argc, argv, &context);
  if (status != BM_OK && (context == NULL || bm_context_is_root(context))) {
    fprintf(stderr, "boltzmap: %s\n", bm_status_message());
  }
  bm_context_destroy(&context);
  MPI_Finalize();
  return bm_status_exit_code(status);
}
