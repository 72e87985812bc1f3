#ifndef BOLTZMAP_ANALYSE_COMPARISON_H
#define BOLTZMAP_ANALYSE_COMPARISON_H

/* How far one set of configurations is from another, each distance with a standard error and a floor: what
 * independent sets of the same sizes have between them.
 *   w2_OBSERVABLE         1-D W2 of each observable of the potential, on the circle for angles
 *   w2_sliced, w2_exact   of configurations
 *   w2_flat_deg, w2_torus_deg
 *                         exact W2 of the first two angles, in the plane and on the torus; of more than 1,000
 *                         points also with _subsample_1000: the mean over 50 subsamples of 1,000 points of
 *                         each, the protocol of the paper's section 6.2
 *   ramachandran_kl       their divergence KL(b‖a) (analyse/distributions.h)
 *   w2_pca                exact W2 of two principal components
 *   w2_bond_lengths, w2_bond_angles   root of the mean squared 1-D W2 over those of a molecule */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/analyse/results.h"
#include "boltzmap/base/status.h"
#include "boltzmap/io/journal.h"
#include "boltzmap/model/potential.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/transport/distance.h"

/* Principal components of a set whose columns are scaled to unit variance: what is projected is
 * (x - mean)/scale. Not owned. */
#define BM_PCA_COMPONENTS 2
typedef struct {
  const double *mean, *scale; /* [d] */
  const double *directions;   /* [BM_PCA_COMPONENTS][d] */
} bm_pca_t;

typedef struct {
  size_t subsample;     /* points drawn from each set for all distances; 0: all */
  size_t projections;   /* of the sliced distance; 0: no sliced distance */
  int exact;            /* measure the exact distance? */
  size_t exact_points;  /* subsample for it; 0: all points of the smaller set */
  size_t exact_repeats; /* independent subsamples whose mean is taken; 1 where all points are */
  uint64_t seed;
  const bm_pca_t *pca; /* of the sets' dimension; NULL: no w2_pca */
} bm_comparison_settings_t;

/* Where the rows of an interrupted comparison are found again, as pieces LABEL/NAME; NULL: they are not. */
typedef struct {
  bm_journal_t *journal;
  const char *label;
} bm_comparison_memory_t;

#define BM_COMPARISON_NAME 64
typedef struct {
  char name[BM_COMPARISON_NAME];
  const char *unit;    /* static or the potential's */
  double value, error; /* one standard error; NaN: not known */
  double spread;       /* standard deviation over subsamples; floor: over the pairs */
  size_t points;       /* of each set; floor: number of pairs */
} bm_comparison_row_t;

/* Rows that a comparison of sets has whose smaller one is of so many points. BM_ERR_MEMORY. */
bm_status_t bm_comparison_count(const bm_potential_t *potential,
                                const bm_comparison_settings_t *settings, size_t points,
                                size_t *count);

/* What is compared, and how; nothing is owned. */
typedef struct {
  const bm_context_t *context;
  const bm_potential_t *potential;
  const bm_comparison_settings_t *settings;
  bm_comparison_memory_t memory;
} bm_comparison_t;

/* Distances of b from a, both whole on every rank. Standard errors: of the exact distance over its
 * subsamples or, where there is one, from its potentials (transport/distance.h), of the others by the
 * jackknife (transport/jackknife.h). Collective. */
bm_status_t bm_comparison_measure(const bm_comparison_t *comparison, const bm_cloud_t *a,
                                  const bm_cloud_t *b, bm_log_t *log,
                                  bm_comparison_row_t *rows /* [count] */);

/* Mean, standard error and spread of the same distances over independent pairs. Collective. */
bm_status_t bm_comparison_floor(const bm_comparison_t *comparison, size_t pairs,
                                const bm_cloud_t *a, const bm_cloud_t *b,
                                bm_comparison_row_t *rows /* [count] */);

/* All rows for sets whose smaller one is of so many points, where the memory has them all. BM_ERR_MEMORY. */
bm_status_t bm_comparison_recall(const bm_comparison_t *comparison, size_t points,
                                 bm_comparison_row_t *rows /* [count] */, int *found);

/* Put rows into the results as NAME + suffix, with their spread over subsamples as NAME + suffix + "_spread",
 * floors as NAME + suffix + "_floor". */
bm_status_t bm_comparison_put(const bm_comparison_row_t *rows, size_t count, const char *suffix,
                              bm_results_t *results);
bm_status_t bm_comparison_put_floor(const bm_comparison_row_t *rows, size_t count,
                                    const char *suffix, bm_results_t *results);

#endif
