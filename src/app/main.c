/* boltzmap: the program. Starts MPI, runs one command on all ranks, says a failure once. */

#include <cblas.h>
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "boltzmap/app/commands.h"
#include "boltzmap/io/hdf5.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/watch.h"

/* A process that no launcher started is alone: Open MPI need not look for neighbours or networks,
 * which takes ten times as long as all else at the start. Other MPIs do not read these variables;
 * who sets them keeps what they say. */
static void start_alone(void)
{
  static const char *const launched[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_FD"};
  static const char *const settings[][2] = {
      {"OMPI_MCA_ess_singleton_isolated", "1"}, {"OMPI_MCA_pml", "ob1"}, {"OMPI_MCA_btl", "self"}};
  for (size_t i = 0; i < sizeof launched / sizeof launched[0]; i++) {
    if (getenv(launched[i]) != NULL) {
      return;
    }
  }
  for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
    (void)setenv(settings[i][0], settings[i][1], 0);
  }
}

#define BM_BLAS_BYTES ((size_t)192 << 20) /* more than OpenBLAS asks for at once */

/* OpenBLAS asks for its buffer again and again, for ever, where there is no memory for it. A limit on the address
 * space is one to see now, while the buffer is made; where memory itself ends, the kernel does. */
static bm_status_t make_room_for_blas(void)
{
  struct rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return BM_OK;
  }
  void *room = malloc(BM_BLAS_BYTES);
  if (room == NULL) {
    return BM_FAIL(
        BM_ERR_MEMORY,
        "the limit on memory (ulimit -v) of %llu KiB is too low: OpenBLAS wants %zu MiB more",
        (unsigned long long)limit.rlim_cur / 1024, BM_BLAS_BYTES >> 20);
  }
  free(room);
  const double one = 1.0;
  double square = 0.0;
  cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, 1, 1, 1.0, &one, 1, 0.0, &square, 1);
  return BM_OK;
}

static bm_status_t run(int argc, char **argv, bm_context_t **context)
{
  BM_TRY(bm_context_create(MPI_COMM_WORLD, context));
  BM_TRY_AGREE(*context, bm_watch_check());
  openblas_set_num_threads(1); /* ranks are the parallelism */
  if (make_room_for_blas() != BM_OK) {
    bm_context_end_job(BM_ERR_MEMORY); /* MPI has not the memory to come to an end either */
  }
  bm_hdf5_quiet();
  return bm_agree(*context, bm_commands_dispatch(*context, argc - 1, argv + 1));
}

/* Open MPI's shared file pointers, which nothing here uses: some take a name from the file's alone, so that one
 * user's run can stop another's, or have no room for a long one. */
static void leave_out_file_pointers(void)
{
  (void)setenv("OMPI_MCA_sharedfp", "individual", 0);
}

int main(int argc, char **argv)
{
  signal(SIGXFSZ, SIG_IGN); /* what is beyond a limit on files is an error to tell */
  start_alone();
  leave_out_file_pointers();
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
