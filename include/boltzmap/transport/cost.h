#ifndef BOLTZMAP_TRANSPORT_COST_H
#define BOLTZMAP_TRANSPORT_COST_H

/* The cost of pairing two points: half their squared distance, Euclidean or on a torus.
 *
 * The clouds are taken apart by their means (which changes every pairing's sum by the same amount),
 * so that dual variables stay as small as what is to be decided; differences are made from the
 * coordinates as given, so that no digit is lost to rotations, norms or far-away origins. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"

typedef struct {
  size_t n, d;
  const double *cloud[2]; /* x and y [n][d], not owned */
  uint32_t *order[2];     /* [n]: row that is point i; owned */
  double *shift;          /* [d]: mean of x less mean of y; zeros on a torus; owned */
  double *offset[2];      /* [d]: mean of a cloud less its first row; zeros on a torus; owned */
  double spread;          /* mean square of the distances from the means; 0 on a torus */
  int apart;              /* is the shift larger than the clouds? */
  double period;          /* circle length of every coordinate; 0: Euclidean */
} bm_cost_t;

/* Points numbered as the rows are. BM_ERR_MEMORY. The caller ends it with bm_cost_destroy. */
bm_status_t bm_cost_create(size_t n, size_t d, const double *x /* [n][d] */,
                           const double *y /* [n][d] */, double period, bm_cost_t **out);
void bm_cost_destroy(bm_cost_t **cost);

/* Coordinates of a point of cloud 0 or 1 [d]. */
const double *bm_cost_point(const bm_cost_t *cost, int side, size_t point);

/* c_ij = |x_i - y_j - shift|² / 2; for clouds that are far apart made of
 * points from their means, since
 * x_i - y_j would lose digits to the shift, else of x_i - y_j, which keeps those of near copies. */
double bm_cost_pair(const bm_cost_t *cost, size_t i, size_t j);

/* Length whose last digit bounds what coordinates and differences lose. */
double bm_cost_reach(const bm_cost_t *cost);

/* W2² of a pairing: mean of |x_i - y_pairing(i)|², without the shift. */
double bm_cost_w2_squared(const bm_cost_t *cost, const uint32_t *pairing /* [n] */);

#endif
