#ifndef BOLTZMAP_TESTS_MPI_CHECK_H
#define BOLTZMAP_TESTS_MPI_CHECK_H

/* Checks of programs that run on several ranks. A failed check is said by its rank and counted; the ranks
 * go on together, and the program fails where any check of any rank did. */

#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/context.h"

static int check_failures;

#define CHECK(condition)                                                                    \
  do {                                                                                      \
    if (!(condition)) {                                                                     \
      int check_rank_;                                                                      \
      MPI_Comm_rank(MPI_COMM_WORLD, &check_rank_);                                          \
      fprintf(stderr, "rank %d: %s:%d: not so: %s (%s)\n", check_rank_, __FILE__, __LINE__, \
              #condition, bm_status_message());                                             \
      check_failures++;                                                                     \
    }                                                                                       \
  } while (0)

/* What the following checks cannot do without; all ranks end. */
#define REQUIRE(condition)          \
  do {                              \
    CHECK(condition);               \
    if (check_failures > 0) {       \
      MPI_Abort(MPI_COMM_WORLD, 1); \
    }                               \
  } while (0)

/* A context of all ranks and one of this rank alone. */
static inline void check_start(int *argc, char ***argv, bm_context_t **all, bm_context_t **alone)
{
  MPI_Init(argc, argv);
  REQUIRE(bm_context_create(MPI_COMM_WORLD, all) == BM_OK);
  REQUIRE(bm_context_create(MPI_COMM_SELF, alone) == BM_OK);
}

/* Ends MPI; gives the exit code of the process. */
static inline int check_end(bm_context_t **all, bm_context_t **alone)
{
  int failed = bm_agree_any(*all, check_failures > 0);
  bm_context_destroy(all);
  bm_context_destroy(alone);
  MPI_Finalize();
  return failed;
}

/* Rank 0's new folder for files, known to all; check_folder_end removes it with the files named. */
static inline void check_folder(const bm_context_t *all, char folder[256])
{
  const char *parent = getenv("TMPDIR");
  snprintf(folder, 256, "%s/boltzmap-mpi-XXXXXX", parent != NULL ? parent : "/tmp");
  if (bm_context_is_root(all)) {
    REQUIRE(mkdtemp(folder) != NULL);
  }
  REQUIRE(bm_broadcast(all, folder, 256) == BM_OK);
}

static inline void check_folder_end(const bm_context_t *all, const char *folder)
{
  MPI_Barrier(all->comm);
  if (bm_context_is_root(all)) {
    CHECK(rmdir(folder) == 0); /* nothing left behind */
  }
}

#define CHECK_BITS(a, b, count) CHECK(memcmp((a), (b), (count) * sizeof *(a)) == 0)

#endif
