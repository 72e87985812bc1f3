#ifndef BOLTZMAP_TRANSPORT_MAP_PARTS_H
#define BOLTZMAP_TRANSPORT_MAP_PARTS_H

/* Inside of maps: what all have, and what each kind does. A kind is a file and a row of BM_MAP_TABLE. */

#include "boltzmap/transport/map.h"

/* The names are those of flow.kind. */
#define BM_MAP_TABLE(X) \
  X(realnvp, "realnvp") \
  X(moser, "moser")

/* From base points to the chart's coordinates and back, a chunk at a time. */
typedef struct {
  const char *name;
  /* map->in to map->out, with log-determinants; rows beyond the first ones are zeros and of no interest */
  bm_status_t (*forward)(bm_map_t *map, size_t rows);
  bm_status_t (*inverse)(bm_map_t *map, size_t rows);
  /* of map->in, into map->jacobian */
  bm_status_t (*jacobian)(bm_map_t *map, size_t rows);
  /* blocks of its own; what all kinds have is stored by map.c */
  bm_status_t (*save)(bm_map_t *map, bm_state_t *state);
  bm_status_t (*load)(const bm_context_t *context, const bm_state_t *state, bm_map_t **out);
  void (*destroy)(bm_map_t *map);
} bm_map_kind_t;

#define BM_MAP_ROW(row, name) extern const bm_map_kind_t bm_map_kind_##row;
BM_MAP_TABLE(BM_MAP_ROW)
#undef BM_MAP_ROW

struct bm_map {
  const bm_map_kind_t *kind;
  bm_chart_t *chart;
  bm_layout_t layout; /* of a shape */
  size_t d, shape_d;
  double log_scale;    /* log-determinant of the chart's scales */
  bm_real_t *in, *out; /* [BM_MAP_CHUNK][d] */
  double *log_det;     /* [BM_MAP_CHUNK] */
  double *row;         /* [d], one row in the chart's coordinates */
  double *shape;       /* [shape d] */
  double *jacobian;    /* [BM_MAP_CHUNK][d][d]; NULL until one is asked for */

  /* of a flow */
  bm_flow_t *flow;
  bm_flow_workspace_t *workspace; /* of a frozen map: without backward passes */
  bm_flow_workspace_t *backward;  /* for Jacobians of a frozen map; NULL until one is asked for */
  int frozen;

  /* of a Moser map */
  bm_moser_t *moser; /* on [-width, width]^d */
  double width;
};

/* What all kinds have; takes over `chart` on success. */
bm_status_t bm_map_create_common(const bm_map_kind_t *kind, const bm_layout_t *layout,
                                 bm_chart_t *chart, bm_map_t **out);

/* Units and sizes of a stored map's shapes: `particles` and `dimensions` as stored. */
bm_status_t bm_map_load_layout(const bm_state_t *state, int64_t particles, int64_t dimensions,
                               bm_layout_t *layout);

#endif
