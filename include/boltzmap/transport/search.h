#ifndef BOLTZMAP_TRANSPORT_SEARCH_H
#define BOLTZMAP_TRANSPORT_SEARCH_H

/* The part of pricing that one thread does: a chunk of points against all blocks of the other
 * cloud. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/transport/cost.h"
#include "boltzmap/transport/panels.h"

/* What all chunks share. */
typedef struct {
  const bm_cost_t *cost;
  double unit;                 /* bm_frame_unit */
  const bm_panels_t *rows;     /* the points' cloud */
  const bm_panels_t *columns;  /* the other, with its duals set */
  const uint32_t *slot_of_row; /* [rows->n] */
  const double *dual;          /* [columns->n] */
  size_t keep;
} bm_search_t;

/* Room for a chunk: one for each thread. */
typedef struct bm_search_room bm_search_room_t;
bm_status_t bm_search_room_create(size_t d, size_t keep, bm_search_room_t **out);
void bm_search_room_destroy(bm_search_room_t **room);

/* A chunk's points and answers. */
typedef struct {
  size_t count;            /* points, at most BM_PANEL_CHUNK */
  const uint32_t *points;  /* [count] */
  const double *threshold; /* [count] */
  uint32_t *found;         /* [count] */
  double *least, *bound;   /* [count] */
  uint32_t *partner;       /* [count][keep] */
} bm_search_chunk_t;

/* Work a chunk out. */
void bm_search_chunk(const bm_search_t *search, bm_search_room_t *room,
                     const bm_search_chunk_t *chunk);

#endif
