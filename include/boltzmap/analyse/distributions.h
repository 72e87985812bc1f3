#ifndef BOLTZMAP_ANALYSE_DISTRIBUTIONS_H
#define BOLTZMAP_ANALYSE_DISTRIBUTIONS_H

/* Distances of sets of rows by what single columns or pairs of angles are distributed like, in the form of
 * transport/distance.h, so that they have errors and floors as all others. */

#include "boltzmap/transport/distance.h"

/* Root of the mean over columns of the squared 1-D W2. */
extern const bm_distance_ops_t bm_distance_columns;

/* Kullback-Leibler divergence of rows a from rows b, KL(b‖a) in nats, both two angles in degrees: on
 * BM_RAMACHANDRAN_BINS² bins of the torus, half a count added to each. */
#define BM_RAMACHANDRAN_BINS 24
extern const bm_distance_ops_t bm_distance_ramachandran;

#endif
