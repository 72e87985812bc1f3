#ifndef BOLTZMAP_TRANSPORT_PANELS_H
#define BOLTZMAP_TRANSPORT_PANELS_H

/* A cloud, or the first points of it, packed for pricing: blocks of BM_PANEL_BLOCK neighbours in
 * float32, each with the box around it and bounds on its norms and dual variables. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/transport/frame.h"
#include "boltzmap/transport/products.h"

#define BM_PANEL_NONE UINT32_MAX /* where a slot has no point */
#define BM_PANEL_SUPER 16        /* blocks of a super-block */

typedef struct {
  size_t n, d, blocks, supers;
  int side;
  uint32_t *point;   /* [blocks][BM_PANEL_BLOCK]: of each slot; the first n slots have one */
  float *values;     /* [blocks]: panels as in products.h */
  double *half_norm; /* [blocks][BM_PANEL_BLOCK]: |y|²/2; 0 on a torus */
  float *norm;    /* [blocks + supers]: largest |y|; on a torus what the same error bound needs */
  float norm_max; /* of all blocks */
  float *low, *high; /* [blocks + supers][d]: boxes, those of super-blocks last */

  /* What dual variables change; in units of the frame. */
  float *offset;     /* [blocks][BM_PANEL_BLOCK]: |y|²/2 - v; huge where there is no point */
  float *offset_max; /* [blocks]: largest |offset| */
  float *dual_max;   /* [blocks + supers]: largest v */
  float dual_min;    /* of all points */
} bm_panels_t;

/* Pack the points numbered below n, in the order of `sequence`, which lists all points. Duals are
 * to be set before use. BM_ERR_MEMORY. */
bm_status_t bm_panels_create(const bm_frame_t *frame, int side, size_t n, size_t length,
                             const uint32_t *sequence /* [length] */, bm_panels_t **out);
void bm_panels_destroy(bm_panels_t **panels);

/* Dual variable of each point, in units of the cost; minus infinity takes a point out. */
void bm_panels_set_duals(bm_panels_t *panels, double unit, const double *v /* [n] */);

/* Coordinate k of a slot. */
float bm_panels_value(const bm_panels_t *panels, size_t slot, size_t k);

#endif
