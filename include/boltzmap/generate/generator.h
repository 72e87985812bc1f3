#ifndef BOLTZMAP_GENERATE_GENERATOR_H
#define BOLTZMAP_GENERATE_GENERATOR_H

/* Samples from a learned map. Sample i is a function of (map, seed, i) alone: it depends neither on how
 * many are asked for nor on which rank makes it. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/io/keeper.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/transport/map.h"

/* Read the map of a model file on rank 0 and give it to all. BM_ERR_DATA, BM_ERR_IO. Collective; owned by
 * the caller. */
bm_status_t bm_generate_load(const bm_context_t *context, const char *path, bm_map_t **map);

/* Base points (standard normal) of rows [first, first + count). */
void bm_generate_base(uint64_t seed, size_t first, size_t count, size_t d,
                      double *base /* [count][d] */);

/* Rows [first, first + count) with their log density. Local. */
bm_status_t bm_generate_rows(bm_map_t *map, uint64_t seed, size_t first, size_t count,
                             double *x /* [count][d] */, double *log_density /* [count] */);

/* Columns written beside each sample. */
typedef struct {
  const bm_observable_t *names; /* [count], values unused */
  size_t count;
  void (*observe)(const void *self, size_t n, const double *x, const double *log_density,
                  double *values /* [count][n] */);
  const void *self;
} bm_generate_observer_t;

/* What is generated, and the file that gets it; nothing is owned. */
typedef struct {
  uint64_t seed;
  size_t n;
  const bm_generate_observer_t *observer; /* NULL: the log density alone */
  const char *path;
  const bm_provenance_t *provenance;
  size_t provenance_count;
  uint64_t fingerprint;      /* of what made the map; 0: none */
  const bm_keeper_t *keeper; /* of how far it is; NULL: an interruption starts again */
} bm_generate_order_t;

/* Generate samples to an H5MD file with the observable "log_density" and those of the observer. Every
 * rank makes its own stretch of rows, piece by piece in bounded memory; each piece is written while the
 * next one is made. BM_ERR_IO, BM_ERR_MEMORY; BM_STOPPED on request. A failure leaves no file but
 * an unfinished one that the keeper has a state of. Collective. */
bm_status_t bm_generate_file(const bm_context_t *context, bm_map_t *map,
                             const bm_generate_order_t *order, bm_log_t *log);

#endif
