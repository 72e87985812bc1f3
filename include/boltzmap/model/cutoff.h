#ifndef BOLTZMAP_MODEL_CUTOFF_H
#define BOLTZMAP_MODEL_CUTOFF_H

/* Energy cut-off of the paper's Theorem 1: U_e = (1 - zeta)·U + zeta·2/e, where zeta rises from 0
 * at U = 1/e to 1 at U = 2/e as the C1 smoothstep 3t² - 2t³, t = e·U - 1. Equal to U up to 1/e,
 * constant beyond 2/e, finite with finite gradient even at a collision (U = +inf). */

#include <stddef.h>

/* Apply to n energies and, where not NULL, to their gradients, in place. epsilon > 0. Beyond 2/e
 * the gradient is exactly zero, whatever it was. */
void bm_cutoff_apply(double epsilon, size_t n, size_t d, double *energy /* [n] */,
                     double *gradient /* [n][d] or NULL */);

#endif
