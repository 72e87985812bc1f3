#ifndef BOLTZMAP_TRANSPORT_NEUMANN_H
#define BOLTZMAP_TRANSPORT_NEUMANN_H

/* Splines through given values on a box, and the flux between two densities: the gradient of the solution of
 * -Δu = ρ1 - ρ0 with Neumann walls (paper eq. 10), by cosine transforms.
 *
 * Of a mode cos(k·x) the flux has the part along k that the continuous equation gives, so that it is as exact
 * as the splines are, and its divergence is ρ0 - ρ1 at every point: coefficients along axis j are those of the
 * mode times -k_j²/(s_j |k|²), s_j = 2/h·sin(k_j h/2).
 *
 * Arrays are shared by the ranks of a host, which deal out lines among them; hosts repeat each other's work
 * instead of sending it. A line is transformed in the same way whoever does it: the bits are the same on any
 * number of ranks. Sums, splines and the flux are collective over the host, and what they leave is there for all
 * of it. */

#include <stddef.h>

#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/partition.h"
#include "boltzmap/parallel/shared.h"
#include "boltzmap/transport/spline_field.h"

typedef struct bm_neumann bm_neumann_t;

/* Neither context nor `shared` are owned; both must outlive it. BM_ERR_MEMORY. Not collective. */
bm_status_t bm_neumann_create(const bm_context_t *context, bm_shared_t *shared, const bm_box_t *box,
                              bm_neumann_t **out);
void bm_neumann_destroy(bm_neumann_t **neumann);

/* The cells of this rank's share, in whole lines of the last axis. */
bm_range_t bm_neumann_share(const bm_neumann_t *neumann);

/* From values at the centres of the cells to the coefficients of the cubic spline through them, whose sum, that
 * of the values, is given back. */
double bm_neumann_interpolate(bm_neumann_t *neumann, double *array /* [cells] */);

/* The sum of all coefficients, by way of the transform, which is left in `work`. */
double bm_neumann_sum(bm_neumann_t *neumann, const double *array /* [cells] */,
                      double *work /* [cells] */);

/* The flux from density 0 to density 1, both of the same sum; `work` is overwritten. */
void bm_neumann_flux(bm_neumann_t *neumann, const double *const density[2] /* [cells] */,
                     double *work /* [cells] */, double *const *flux /* [d][cells] */);

#endif
