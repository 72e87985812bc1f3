#ifndef BOLTZMAP_SAMPLE_QUANTITIES_H
#define BOLTZMAP_SAMPLE_QUANTITIES_H

/* The quantities of a configuration that convergence is judged by: coordinates (all, or 128 of them
 * spread evenly where there are more; none where the energy does not depend on where the whole molecule
 * is), the potential's observables (an angle as its sine and cosine), the energy. */

#include <stddef.h>

#include "boltzmap/model/potential.h"

size_t bm_quantities_count(const bm_potential_t *potential);

/* Name of quantity q: "coordinate 3", "cos phi", "energy". */
void bm_quantities_name(const bm_potential_t *potential, size_t q, char *name, size_t size);

/* All quantities of n configurations but the energy, which is given. `room` is scratch. */
void bm_quantities(const bm_potential_t *potential, size_t n, const double *x /* [n][d] */,
                   const double *energy /* [n] */, double *values /* [quantities][n] */,
                   double *room /* [observables][n] */);

#endif
