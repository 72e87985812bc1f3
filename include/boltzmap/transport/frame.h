#ifndef BOLTZMAP_TRANSPORT_FRAME_H
#define BOLTZMAP_TRANSPORT_FRAME_H

/* The coordinates in which pairs are priced: both clouds centred, turned to the principal axes of
 * the first (so that boxes around neighbours are thin) and scaled to unit variance; on a torus,
 * fractions of the period. Costs in it are those of bm_cost_t divided by bm_frame_unit. */

#include <stddef.h>

#include "boltzmap/base/status.h"
#include "boltzmap/transport/cost.h"

typedef struct bm_frame bm_frame_t;

/* BM_ERR_MEMORY; BM_ERR_INTERNAL where LAPACK fails. Ended with bm_frame_destroy. The cost has to
 * outlive it. */
bm_status_t bm_frame_create(const bm_cost_t *cost, bm_frame_t **out);
void bm_frame_destroy(bm_frame_t **frame);

size_t bm_frame_dimension(const bm_frame_t *frame);
int bm_frame_is_torus(const bm_frame_t *frame);

/* Cost that is 1 in the frame. */
double bm_frame_unit(const bm_frame_t *frame);

/* The first `count` coordinates of a point of cloud 0 or 1 in the frame. */
void bm_frame_project(const bm_frame_t *frame, int side, size_t point, size_t count,
                      double *out /* [count] */);

#endif
