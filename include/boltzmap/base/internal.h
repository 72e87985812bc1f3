#ifndef BOLTZMAP_BASE_INTERNAL_H
#define BOLTZMAP_BASE_INTERNAL_H

/* Internal coordinates of atoms: what does not change when a molecule is moved and turned. Positions are
 * x [atoms][3]; lengths have their unit, angles are in radian. Pure functions. */

#include <stddef.h>

double bm_internal_distance(const double *x, const size_t atoms[2]);

/* Angle of three atoms, the second in the middle, in [0, pi]. */
double bm_internal_angle(const double *x, const size_t atoms[3]);

/* Torsion angle of four atoms, in (-pi, pi], sign as IUPAC has it. */
double bm_internal_dihedral(const double *x, const size_t atoms[4]);

/* Six times the signed volume of the tetrahedron of four atoms, the first its apex: (b - a)·((c - a) × (d -
 * a)). Its sign is that of the handedness, and changes in a mirror. */
double bm_internal_handedness(const double *x, const size_t atoms[4]);

#endif
