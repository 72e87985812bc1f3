#ifndef BOLTZMAP_TRANSPORT_GRAPH_H
#define BOLTZMAP_TRANSPORT_GRAPH_H

/* Candidate pairs: the sparse graph on which the assignment is solved. Both directions are kept:
 * the neighbours of each x with their costs, and those of each y. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/transport/cost.h"

typedef struct {
  uint64_t *start; /* [n + 1] */
  uint32_t *to;    /* [edges] */
  double *cost;    /* [edges] */
} bm_adjacency_t;

typedef struct {
  size_t n; /* points on each side */
  uint64_t edges;
  bm_adjacency_t from[2]; /* of cloud 0, of cloud 1 */
} bm_graph_t;

typedef struct {
  uint32_t x, y;
} bm_pair_t;

/* A growing list of pairs; zero to begin with, ended with bm_free(list.pairs). */
typedef struct {
  size_t count, room;
  bm_pair_t *pairs;
} bm_pair_list_t;

/* BM_ERR_MEMORY. */
bm_status_t bm_pair_list_add(bm_pair_list_t *list, uint32_t x, uint32_t y);

/* A graph with no edges; ended with bm_graph_clear. BM_ERR_MEMORY. */
bm_status_t bm_graph_create(size_t n, bm_graph_t *graph);
void bm_graph_clear(bm_graph_t *graph);

/* Add pairs, those that are there already left out. Gives how many were new. BM_ERR_MEMORY. */
bm_status_t bm_graph_add(bm_graph_t *graph, const bm_cost_t *cost, const bm_pair_list_t *list,
                         uint64_t *added);

#endif
