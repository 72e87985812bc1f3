#ifndef BOLTZMAP_GEOMETRY_ALIGNMENT_H
#define BOLTZMAP_GEOMETRY_ALIGNMENT_H

/* Translation and rotation taken out of configurations of N ≥ 3 particles in space: each is moved and turned
 * onto a reference structure a with the least sum of squared distances, by proper rotations alone, so that
 * mirror images stay apart (Kabsch, Acta Cryst. A 32, 922 (1976); the rotation from the largest
 * eigenvector of Horn's 4×4 matrix, J. Opt. Soc. Am. A 4, 629 (1987)).
 *
 * What comes of it fulfils Σ x_i = 0 and Σ a_i × x_i = 0 (Eckart's conditions with unit masses), which are
 * linear: aligned configurations lie in a linear space of 3N - 6 dimensions, and the six directions
 * that are missing are known in closed form. Local arithmetic. */

#include <stddef.h>

#include "boltzmap/base/status.h"

#define BM_RIGID 6 /* directions in which a molecule moves as a whole */

typedef struct {
  size_t particles;
  double *reference; /* [particles][3], its centre at the origin */
  /* [BM_RIGID][3·particles], orthonormal: three translations, then rotations about the reference */
  double *rigid;
} bm_alignment_t;

/* For a given reference structure, which is centred. BM_ERR_DATA for fewer than three particles, or all on one
 * line. Owned by the caller. */
bm_status_t bm_alignment_create(size_t particles, const double *reference /* [particles][3] */,
                                bm_alignment_t **out);

/* The reference that is the mean of n configurations aligned onto it (generalised Procrustes analysis), found
 * from `first` in a fixed number of rounds. Errors as bm_alignment_create and bm_alignment_apply. */
bm_status_t bm_alignment_fit(size_t particles, size_t n, const double *x /* [n][particles][3] */,
                             const double *first /* [particles][3] */, bm_alignment_t **out);
void bm_alignment_destroy(bm_alignment_t **alignment);

/* Align n configurations; y may be x. BM_ERR_DATA, naming the configuration, where no rotation is better
 * than all others: there the alignment would jump, and have no derivative. */
bm_status_t bm_alignment_apply(const bm_alignment_t *alignment, size_t n,
                               const double *x /* [n][particles][3] */,
                               double *y /* [n][particles][3] */);

/* Remove what lies along the rigid directions: the aligned configuration nearest to y, in place. `along`
 * [BM_RIGID], where not NULL, gets what was removed. */
void bm_alignment_project(const bm_alignment_t *alignment, double *y /* [particles][3] */,
                          double *along);

/* log|det M|, M_kl = r_k · (e_l × y) for the rotational rigid directions r_k: how much volume of the whole
 * space belongs to a unit of volume of aligned configurations at y, up to a constant. A density of
 * whole configurations that does not change when they are moved and turned is, on aligned ones, this
 * volume times itself. */
double bm_alignment_log_volume(const bm_alignment_t *alignment,
                               const double *y /* [particles][3] */);

/* Its gradient by y. */
void bm_alignment_log_volume_gradient(const bm_alignment_t *alignment,
                                      const double *y /* [particles][3] */,
                                      double *gradient /* [particles][3] */);

#endif
