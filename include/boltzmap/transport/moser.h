#ifndef BOLTZMAP_TRANSPORT_MOSER_H
#define BOLTZMAP_TRANSPORT_MOSER_H

/* The Moser map between two densities on a box (paper section 4.1): the flow from time 0 to 1 of the velocity
 * ∇u/((1-t)ρ0 + tρ1), -Δu = ρ1 - ρ0 with Neumann walls (eqs. 9-11; Moser 1965, Dacorogna and Moser 1990).
 *
 * Densities and flux are splines on a grid (transport/spline_field.h) whose divergence is exact, so that the
 * flow takes the spline ρ0 to the spline ρ1 up to the tolerance of its integration; those differ from the
 * densities that were given by the fourth power of the spacing; next to walls at which these do not end flat, by
 * the first. A box is not the smooth domain of Theorem 2. */

#include <stddef.h>

#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/transport/spline_field.h"

/* The logarithm of a density, up to a constant: values[i] at x_i. */
typedef struct {
  const char *name; /* for messages: "base", "target" */
  const void *self;
  void (*log_values)(const void *self, size_t n, const double *x /* [n][d] */,
                     double *values /* [n] */);
} bm_density_t;

typedef struct bm_moser bm_moser_t;

/* Solve for the map from one density to the other, on a box with low < high and BM_BOX_CELLS_LEAST cells or more
 * along each of its axes. Ranks of a host share the arrays, 3 + d of the size of the grid. BM_ERR_MEMORY, also where
 * the host has no room for memory to be shared; BM_ERR_DATA, naming the point, where a density is not a positive
 * number beside its largest value. Collective; the result has the same bits on any number of ranks. The context
 * must outlive the map. */
bm_status_t bm_moser_create(const bm_context_t *context, const bm_box_t *box,
                            const bm_density_t *from, const bm_density_t *to, bm_moser_t **out);

/* The same from the spline of the target, as bm_moser_field has it: positive and of mass 1. */
bm_status_t bm_moser_restore(const bm_context_t *context, const bm_box_t *box,
                             const bm_density_t *from, const double *target /* [cells] */,
                             bm_moser_t **out);

/* Collective over the host. NULL inside is allowed. */
void bm_moser_destroy(bm_moser_t **moser);

/* The splines, normalised: both densities integrate to 1. */
const bm_spline_field_t *bm_moser_field(const bm_moser_t *moser);

/* The spline through values that fall steeply may have coefficients that are not positive. They are raised to
 * half the value at their cell; what that added to the base (0) or the target (1), of its mass. 0 for a target that
 * was restored. */
double bm_moser_raised(const bm_moser_t *moser, int which);

/* Φ from time t to `until`, both in [0, 1], forward or backward: x, inside the box, is moved; errors of the
 * integration in the order of `tolerance` times the size of the box. log_det: log-determinant of that move,
 * integrated along the path; jacobian: its derivative. Both may be NULL. BM_ERR_DATA where the integration does not
 * come to an end. Not collective. */
bm_status_t bm_moser_move(const bm_moser_t *moser, double t, double until, double tolerance,
                          double *x /* [d] */, double *log_det, double *jacobian /* [d][d] */);

#endif
