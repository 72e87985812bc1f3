#ifndef BOLTZMAP_TRANSPORT_SPLINE_FIELD_H
#define BOLTZMAP_TRANSPORT_SPLINE_FIELD_H

/* Two densities on a box and a flux between them, as splines on a uniform grid.
 *
 * A density is a sum of cubic B-splines centred in the cells, even beyond the walls. Component j of the flux
 * is quartic along axis j, centred on the faces and odd beyond the walls, and cubic along the other axes. So
 * nothing flows through a wall, and the divergence of the flux is at every point the cubic spline whose
 * coefficients are the differences of the flux's between neighbouring faces: the spline version of a staggered
 * grid (Buffa, Rivas, Sangalli, Vázquez, SIAM J. Numer. Anal. 49, 818, 2011). */

#include <stddef.h>

#define BM_BOX_AXES 4
#define BM_BOX_CELLS_LEAST 4

typedef struct {
  size_t d;                  /* axes in use, at most BM_BOX_AXES */
  size_t cells[BM_BOX_AXES]; /* along each; BM_BOX_CELLS_LEAST at least */
  double low[BM_BOX_AXES], high[BM_BOX_AXES];
} bm_box_t;

size_t bm_box_cells(const bm_box_t *box);                /* of all axes */
double bm_box_spacing(const bm_box_t *box, size_t axis); /* width of a cell */

/* Arrays of coefficients, one a cell, the last axis fastest. That of the flux through the lower face of a cell
 * along axis j stands in flux[j]; those of the lowest faces are 0. Nothing is owned. */
typedef struct {
  bm_box_t box;
  const double *density[2]; /* [cells] */
  const double *flux[BM_BOX_AXES];
} bm_spline_field_t;

/* At a point. */
typedef struct {
  double density[2], slope[2][BM_BOX_AXES];                       /* slope: [which][by axis] */
  double flux[BM_BOX_AXES], flux_slope[BM_BOX_AXES][BM_BOX_AXES]; /* [component][by axis] */
} bm_spline_values_t;

/* Values and first derivatives at x, which is finite and may lie outside the box: there the field is mirrored. */
void bm_spline_field_at(const bm_spline_field_t *field, const double *x /* [d] */,
                        bm_spline_values_t *values);

#endif
