#ifndef BOLTZMAP_APP_ORIGIN_H
#define BOLTZMAP_APP_ORIGIN_H

/* Where a file comes from: what the program writes into each as its provenance. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/parallel/context.h"

#define BM_ORIGIN_ROWS 12

/* Rows point into the struct, which stays where it is. Starts as zeros. */
typedef struct {
  char ranks[32], host_type[160], mpi[160];
  bm_provenance_t rows[BM_ORIGIN_ROWS];
  size_t count;
} bm_origin_t;

/* One more row; the texts are not copied. */
void bm_origin_add(bm_origin_t *origin, const char *name, const char *text);

/* Rows of the machine and the program on it: ranks, host_type, libraries, mpi, kernel. */
void bm_origin_add_machine(bm_origin_t *origin, const bm_context_t *context);

/* XXH64 of all bytes of a file that rank 0 reads, as 16 digits on all ranks. BM_ERR_IO.
 * Collective. */
bm_status_t bm_origin_hash(const bm_context_t *context, const char *path, char text[17]);

#endif
