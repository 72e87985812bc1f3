#ifndef BOLTZMAP_TRANSPORT_LEVELS_H
#define BOLTZMAP_TRANSPORT_LEVELS_H

/* Orders of a cloud: neighbours next to each other, and nested coarse levels that are spread as the
 * whole cloud is. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/transport/frame.h"

#define BM_LEVELS_MAX 32
#define BM_LEVELS_RATIO 4 /* points of a level over those of the next coarser one */

/* Sizes of the levels of n points, coarsest first and n last: n divided by BM_LEVELS_RATIO until at
 * most `coarsest` are left. Gives their number. */
size_t bm_levels_sizes(size_t n, size_t coarsest, size_t sizes[BM_LEVELS_MAX]);

/* Sort a cloud by a k-d tree: halves of the widest coordinate, again and again, so that points near
 * each other in the list are near each other in space, and any BM_PANEL_BLOCK that start at a
 * multiple of it fill a cell of the tree. `sequence` gets the points in that order.
 * BM_ERR_MEMORY. */
bm_status_t bm_levels_sequence(const bm_frame_t *frame, int side, size_t n,
                               uint32_t *sequence /* [n] */);

/* Renumber points so that the first sizes[l] of them are level l: one of each BM_LEVELS_RATIO that
 * follow each other in the sequence of the finer level, drawn by random numbers of the seed.
 * `sequence` holds rows before and new numbers after; row_of[i] is the row of new number i.
 * BM_ERR_MEMORY. */
bm_status_t bm_levels_renumber(size_t levels, const size_t *sizes /* [levels] */, uint64_t seed,
                               uint32_t *sequence /* [n] */, uint32_t *row_of /* [n] */);

#endif
