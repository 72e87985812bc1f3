#include "boltzmap/parallel/shared.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/statvfs.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/agree.h"

#define BM_LINE 64                  /* bytes of a cache line */
#define BM_SPINS 1000               /* looks at the barrier before a rank gives its core away */
#define BM_SLACK ((size_t)1 << 16)  /* bytes a rank that MPI may add for itself */
#define BM_MARGIN 1.15              /* Open MPI 4 wants 5% more than it uses */
#define BM_SHARED_FOLDER "/dev/shm" /* where Linux has such memory, and how much of it there is */

/* In the part of the host's first rank. */
typedef struct {
  _Alignas(BM_LINE) atomic_uint arrived;
  _Alignas(BM_LINE) atomic_uint passed; /* barriers so far */
} barrier_t;

struct bm_shared {
  int host_size;
  unsigned passed; /* as this rank found it when it came */
  barrier_t *barrier;
  MPI_Win window;
  char **parts; /* [host_size] */
};

/* Open MPI 4 waits for ever where there is no room, and pages that cannot be made kill the process: ask
 * before. */
static int has_room(const bm_context_t *context, size_t bytes, int *room)
{
  struct statvfs folder;
  double needed = (double)(bytes + BM_SLACK);
  int code = MPI_Allreduce(MPI_IN_PLACE, &needed, 1, MPI_DOUBLE, MPI_SUM, context->host);
  *room = context->host_size == 1 || statvfs(BM_SHARED_FOLDER, &folder) != 0 ||
          (double)folder.f_bavail * (double)folder.f_frsize > BM_MARGIN * needed;
  return code;
}

static int open_window(const bm_context_t *context, size_t bytes, bm_shared_t *shared)
{
  MPI_Info info = MPI_INFO_NULL;
  void *mine;
  int code = MPI_Info_create(&info);
  if (code == MPI_SUCCESS) {
    code = MPI_Info_set(info, "alloc_shared_noncontig", "true");
  }
  if (code == MPI_SUCCESS) {
    code = MPI_Win_allocate_shared((MPI_Aint)bytes, 1, info, context->host, &mine, &shared->window);
  }
  if (info != MPI_INFO_NULL) {
    MPI_Info_free(&info);
  }
  return code;
}

/* The address of each part in this process: MPI promises no alignment, but pages are the same in all. */
static int find_parts(bm_shared_t *shared)
{
  int code = MPI_SUCCESS;
  for (int rank = 0; rank < shared->host_size && code == MPI_SUCCESS; rank++) {
    MPI_Aint size;
    int unit;
    void *part;
    code = MPI_Win_shared_query(shared->window, rank, &size, &unit, &part);
    shared->parts[rank] = (char *)part + (BM_LINE - (uintptr_t)part % BM_LINE) % BM_LINE;
  }
  return code;
}

static bm_status_t set_up(const bm_context_t *context, size_t bytes, bm_shared_t *shared)
{
  int first = context->host_rank == 0;
  size_t needed = bytes + (first ? sizeof(barrier_t) : 0);
  if (context->host_size == 1) {
    BM_TRY(BM_ALLOC(needed, &shared->parts[0]));
  } else {
    BM_TRY(
        bm_context_mpi_status(open_window(context, needed + BM_LINE, shared), "a shared window"));
    BM_TRY(bm_context_mpi_status(find_parts(shared), "MPI_Win_shared_query"));
  }
  memset(shared->parts[context->host_rank], 0, needed);
  shared->barrier = (barrier_t *)(void *)shared->parts[0];
  shared->parts[0] += sizeof(barrier_t);
  BM_TRY_MPI(MPI_Barrier(context->host)); /* zeroed, all of it */
  return BM_OK;
}

bm_status_t bm_shared_create(const bm_context_t *context, size_t bytes, int *room,
                             bm_shared_t **out)
{
  bm_shared_t *shared = NULL;
  *out = NULL;
  BM_TRY_AGREE(context, bm_context_mpi_status(has_room(context, bytes, room), "MPI_Allreduce"));
  *room = !bm_agree_any(context, !*room);
  if (!*room) {
    return BM_OK;
  }
  bm_status_t status = BM_ALLOC(1, &shared);
  if (status == BM_OK) {
    shared->host_size = context->host_size;
    shared->window = MPI_WIN_NULL;
    status = BM_ALLOC((size_t)context->host_size, &shared->parts);
  }
  status = bm_agree(context, status);
  if (status == BM_OK) {
    status = bm_agree(context, set_up(context, bytes, shared));
  }
  if (status != BM_OK) {
    bm_shared_destroy(&shared);
    return status;
  }
  *out = shared;
  return BM_OK;
}

void bm_shared_destroy(bm_shared_t **shared)
{
  bm_shared_t *self = *shared;
  if (self != NULL) {
    if (self->window != MPI_WIN_NULL) {
      MPI_Win_free(&self->window);
    } else if (self->barrier != NULL) {
      bm_free(self->barrier);
    }
    bm_free(self->parts);
  }
  bm_free(self);
  *shared = NULL;
}

void *bm_shared_part(const bm_shared_t *shared, int host_rank)
{
  return shared->parts[host_rank];
}

void bm_shared_arrive(bm_shared_t *shared)
{
  barrier_t *barrier = shared->barrier;
  shared->passed = atomic_load_explicit(&barrier->passed, memory_order_relaxed);
  unsigned before = atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel);
  if (before + 1 == (unsigned)shared->host_size) {
    atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
    atomic_store_explicit(&barrier->passed, shared->passed + 1, memory_order_release);
  }
}

static void pause_core(void)
{
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

void bm_shared_wait(bm_shared_t *shared)
{
  const atomic_uint *passed = &shared->barrier->passed;
  for (int spins = 0; atomic_load_explicit(passed, memory_order_acquire) == shared->passed;) {
    if (spins < BM_SPINS) {
      spins++;
      pause_core();
    } else {
      sched_yield();
    }
  }
}
