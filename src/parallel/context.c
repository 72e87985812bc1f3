#include "boltzmap/parallel/context.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "boltzmap/base/memory.h"

#define BM_TURNS 5u        /* ranks that speak one after the other, */
#define BM_TURN_S 3u       /* so many seconds apart: Open MPI takes one or two to end a rank */
#define BM_LAST_WORDS_S 10 /* what MPI may take to end the job, until the process ends by itself */

/* The job that a failure ends: a thread that watches files has nobody to ask. The first context's, which
 * all others are parts of. */
static MPI_Comm job = MPI_COMM_NULL;

static int set_up_ranks(MPI_Comm comm, bm_context_t *context)
{
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
  return code;
}

/* Ranks that share memory, at most `host_ranks` together. */
static int set_up_host(int host_ranks, bm_context_t *context)
{
  MPI_Comm machine = MPI_COMM_NULL;
  int rank = 0;
  int code = MPI_Comm_split_type(context->comm, MPI_COMM_TYPE_SHARED, context->rank, MPI_INFO_NULL,
                                 &machine);
  if (code == MPI_SUCCESS) {
    code = MPI_Comm_rank(machine, &rank);
  }
  if (code == MPI_SUCCESS) {
    code = MPI_Comm_split(machine, rank / host_ranks, rank, &context->host);
  }
  if (code == MPI_SUCCESS) {
    code = MPI_Comm_set_errhandler(context->host, MPI_ERRORS_RETURN);
  }
  if (code == MPI_SUCCESS) {
    code = MPI_Comm_rank(context->host, &context->host_rank);
  }
  if (code == MPI_SUCCESS) {
    code = MPI_Comm_size(context->host, &context->host_size);
  }
  if (machine != MPI_COMM_NULL) {
    MPI_Comm_free(&machine);
  }
  return code;
}

static int list_hosts(bm_context_t *context)
{
  int lowest = context->rank;
  int code = MPI_Bcast(&lowest, 1, MPI_INT, 0, context->host);
  if (code == MPI_SUCCESS) {
    code = MPI_Allgather(&lowest, 1, MPI_INT, context->host_of, 1, MPI_INT, context->comm);
  }
  return code;
}

bm_status_t bm_context_create_hosts(MPI_Comm comm, int host_ranks, bm_context_t **out)
{
  bm_context_t *context;
  job = job == MPI_COMM_NULL ? comm : job;
  BM_TRY(BM_ALLOC(1, &context));
  context->comm = MPI_COMM_NULL;
  context->host = MPI_COMM_NULL;
  int code = set_up_ranks(comm, context);
  if (code == MPI_SUCCESS) {
    code = set_up_host(host_ranks, context);
  }
  bm_status_t status = bm_context_mpi_status(code, "creating a communicator");
  if (status == BM_OK) {
    status = BM_ALLOC((size_t)context->size, &context->host_of);
  }
  if (status == BM_OK) {
    status = bm_context_mpi_status(list_hosts(context), "finding who shares memory");
  }
  if (status != BM_OK) {
    bm_context_destroy(&context);
    return status;
  }
  *out = context;
  return BM_OK;
}

bm_status_t bm_context_create(MPI_Comm comm, bm_context_t **out)
{
  return bm_context_create_hosts(comm, INT_MAX, out);
}

void bm_context_destroy(bm_context_t **context)
{
  if (*context != NULL) {
    if ((*context)->host != MPI_COMM_NULL) {
      MPI_Comm_free(&(*context)->host);
    }
    if ((*context)->comm != MPI_COMM_NULL) {
      MPI_Comm_free(&(*context)->comm);
    }
    bm_free((*context)->host_of);
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

/* Where all ranks fail at the same time, or two threads of one, the first alone speaks: the others are ended
 * before their turn comes. */
static void wait_for_turn(int rank)
{
  static atomic_flag is_taken = ATOMIC_FLAG_INIT;
  while (atomic_flag_test_and_set(&is_taken)) {
    sleep(1);
  }
  sleep(BM_TURN_S * ((unsigned)rank < BM_TURNS ? (unsigned)rank : BM_TURNS));
}

/* Of ranks whose turn comes at once the first on its machine has the word: who makes an abstract socket of a name, which
 * goes with the process. Other launchers than those with PMIx leave it at the turns. */
static int has_the_word(void)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const char *space = getenv("PMIX_NAMESPACE");
  const int end = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (space == NULL || end < 0) {
    return 1;
  }
  const int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "boltzmap-%lu-%s",
                              (unsigned long)getuid(), space);
  const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
  return size > sizeof address || bind(end, (struct sockaddr *)&address, size) == 0 ||
         errno != EADDRINUSE;
}

_Noreturn void bm_context_end_job(bm_status_t status)
{
  const int code = bm_status_exit_code(status);
  int rank = 0;
  int runs = 0;
  MPI_Initialized(&runs);
  if (runs && job != MPI_COMM_NULL) {
    MPI_Comm_rank(job, &rank);
  }
  wait_for_turn(rank);
  if (has_the_word()) {
    fprintf(stderr, "boltzmap: rank %d: %s\n", rank, bm_status_message());
  } else {
    sleep(1); /* the other one may be about to speak */
  }
  signal(SIGALRM, SIG_DFL);
  alarm(BM_LAST_WORDS_S);
  if (runs && job != MPI_COMM_NULL) {
    MPI_Abort(job, code);
  }
  _exit(code);
}

bm_status_t bm_context_mpi_status(int code, const char *call)
{
  if (code == MPI_SUCCESS) {
    return BM_OK;
  }
  char text[MPI_MAX_ERROR_STRING] = "unknown error";
  int length = 0;
  MPI_Error_string(code, text, &length);
  bm_context_end_job(
      BM_FAIL(BM_ERR_INTERNAL,
              "MPI failed: %s: %s; run the same command again to go on from the last checkpoint",
              call, text));
}
