#include "boltzmap/io/samples.h"

#include <assert.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/agree.h"

/* Whole walkers stay on one rank; a set of one walker is cut anywhere. */
static bm_range_t rows_of(size_t n, size_t walkers, int parts, int part)
{
  if (walkers == 1) {
    return bm_partition(n, parts, part);
  }
  size_t length = n / walkers;
  bm_range_t range = bm_partition(walkers, parts, part);
  return (bm_range_t){range.first * length, range.count * length};
}

bm_range_t bm_samples_walkers(const bm_context_t *context, size_t walkers)
{
  return walkers == 1 ? (bm_range_t){0, 1} : bm_partition(walkers, context->size, context->rank);
}

bm_status_t bm_samples_create(const bm_context_t *context, size_t n, size_t d, size_t walkers,
                              bm_samples_t **out)
{
  assert(walkers > 0 && n % walkers == 0);
  bm_samples_t *samples;
  *out = NULL;
  BM_TRY(BM_ALLOC(1, &samples));
  *samples = (bm_samples_t){n, d, walkers, rows_of(n, walkers, context->size, context->rank), NULL};
  bm_status_t status = BM_ALLOC(samples->rows.count * d, &samples->x);
  if (status != BM_OK) {
    bm_free(samples);
    return status;
  }
  *out = samples;
  return BM_OK;
}

void bm_samples_destroy(bm_samples_t **samples)
{
  if (*samples != NULL) {
    bm_free((*samples)->x);
  }
  bm_free(*samples);
  *samples = NULL;
}

/* One broadcast a rank keeps counts small. */
bm_status_t bm_samples_replicate(const bm_context_t *context, const bm_samples_t *samples,
                                 double **all)
{
  BM_TRY_AGREE(context, BM_ALLOC(samples->n * samples->d, all));
  for (int rank = 0; rank < context->size; rank++) {
    bm_range_t rows = rows_of(samples->n, samples->walkers, context->size, rank);
    size_t count = rows.count * samples->d;
    const size_t most = (size_t)1 << 27; /* 1 GiB of doubles */
    for (size_t done = 0; done < count; done += most) {
      size_t part = count - done < most ? count - done : most;
      double *target = *all + rows.first * samples->d + done;
      for (size_t i = 0; rank == context->rank && i < part; i++) {
        target[i] = samples->x[done + i];
      }
      BM_TRY_MPI(MPI_Bcast(target, (int)part, MPI_DOUBLE, rank, context->comm));
    }
  }
  return BM_OK;
}
