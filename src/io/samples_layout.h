#ifndef BOLTZMAP_IO_SAMPLES_LAYOUT_H
#define BOLTZMAP_IO_SAMPLES_LAYOUT_H

/* An H5MD file but for its rows: groups, attributes, data sets in one stretch each, their space reserved.
 * HDF5 has left the file when the rows are written, so that they need not wait for it: where each data
 * set lies is all that it takes. */

#include <stdint.h>

#include "boltzmap/io/samples.h"

/* The data sets of a file by number; observable k is BM_OF_OBSERVABLES + k. Native numbers: int64 steps,
 * float64 for the rest, float32 positions where the content says so. */
enum { BM_OF_POSITIONS, BM_OF_STEPS, BM_OF_TIMES, BM_OF_OBSERVABLES };

/* Make the file `path` by parallel HDF5; offset [BM_OF_OBSERVABLES + observable_count] is the place of each data
 * set's first row in it. BM_ERR_IO where there is no room, BM_ERR_MEMORY; the caller removes what a failure
 * leaves. Where a call of HDF5 fails on one rank the others would wait in it for ever: the job ends. Collective. */
bm_status_t bm_samples_layout(const bm_context_t *context, const char *path, size_t n,
                              size_t walkers, const bm_samples_content_t *content,
                              uint64_t *offset);

#endif
