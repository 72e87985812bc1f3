#ifndef BOLTZMAP_PARALLEL_SHARED_H
#define BOLTZMAP_PARALLEL_SHARED_H

/* Memory that the ranks of a host share, and a barrier for them. Ranks that are alone on their host have
 * memory of their own and pass the barrier at once. */

#include <stddef.h>

#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"

typedef struct bm_shared bm_shared_t;

/* A part of `bytes` zeroed bytes for each rank of the host, aligned to a cache line; ranks may ask
 * for different sizes. The pages of a part lie near the rank that asked for it. `room` is 0 on
 * return, on all ranks of the context, where some host has no room for memory to be shared, and
 * `*out` is then NULL. BM_ERR_MEMORY. Collective over the context. */
bm_status_t bm_shared_create(const bm_context_t *context, size_t bytes, int *room,
                             bm_shared_t **out);

/* Collective over the host. NULL inside is allowed. */
void bm_shared_destroy(bm_shared_t **shared);

/* The part of a rank of the host, owned by `shared`. */
void *bm_shared_part(const bm_shared_t *shared, int host_rank);

/* The barrier in two halves: say that this rank has come, then wait until all of the host have. What a
 * rank wrote before it came is seen by all who waited. Waiting ranks spin for some microseconds and
 * then yield their core again and again. */
void bm_shared_arrive(bm_shared_t *shared);
void bm_shared_wait(bm_shared_t *shared);

#endif
