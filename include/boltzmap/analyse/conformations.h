#ifndef BOLTZMAP_ANALYSE_CONFORMATIONS_H
#define BOLTZMAP_ANALYSE_CONFORMATIONS_H

/* What conformations of a molecule are like: its non-bonded pairs, its energy, its handedness (paper
 * section 6.3 and Table 2). */

#include <stddef.h>

#include "boltzmap/analyse/results.h"
#include "boltzmap/base/status.h"
#include "boltzmap/model/potential.h"
#include "boltzmap/transport/distance.h"

/* The paper's Lennard-Jones energy of a configuration, Σ 4·((σ/r)¹² - (σ/r)⁶) kJ/mol over all non-bonded
 * pairs, σ = 0.17 nm. */
double bm_conformations_lennard_jones(const bm_molecule_t *molecule,
                                      const double *x /* [atoms][3], nm */);

/* Put into the results, for the set of this name, "reference" or "generated", of this many walkers:
 * r_nonbonded, the smallest non-bonded distance of each configuration; lj, its energy above; energy, the force
 * field's. Means with the standard error of the walkers' means (of independent rows where there is one
 * walker), quantiles with that of independent rows:
 *   r_nonbonded_{q001,median}_NAME      nm; the 0.1% quantile
 *   lj_{min,median,mean,q999,max}_NAME  kJ/mol; the 99.9% quantile
 *   energy_{median,q999}_NAME           kJ/mol
 *   fraction_mirrored_NAME              with a stereocentre of the other hand than the start's
 * BM_ERR_MEMORY. Not collective. */
bm_status_t bm_conformations_put(const bm_potential_t *potential, const bm_cloud_t *set,
                                 size_t walkers, const char *name, bm_results_t *results);

#endif
