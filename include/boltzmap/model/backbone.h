#ifndef BOLTZMAP_MODEL_BACKBONE_H
#define BOLTZMAP_MODEL_BACKBONE_H

/* The backbone angles of a molecule as a system of its own: configurations are the angles, in radian, and
 * their energy (a free energy) is not known. */

#include "boltzmap/base/status.h"
#include "boltzmap/model/potential.h"

/* Names of the two functions of the first residue's angles that are averaged. */
#define BM_BACKBONE_AVERAGES     \
  {"prob_phi_positive", "1", 0}, \
  {                              \
    "prob_alpha", "1", 0         \
  }

/* Is phi positive? Is the residue in the alpha basin, phi not positive and psi in (-120, 50) degrees? 1 or 0;
 * angles in radian, in any turn. */
void bm_backbone_basins(double phi, double psi, double *positive, double *alpha);

/* The marginal of a molecule's density in its angles; `of`, a molecule with two of them or more, must outlive
 * it. BM_ERR_MEMORY. Owned by the caller. */
bm_status_t bm_backbone_create(const bm_potential_t *of, bm_potential_t **out);

#endif
