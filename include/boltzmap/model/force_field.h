#ifndef BOLTZMAP_MODEL_FORCE_FIELD_H
#define BOLTZMAP_MODEL_FORCE_FIELD_H

/* Molecular-mechanics energy and forces in float64, one configuration at a time: plain code, the
 * reference of the fast one (model/pack.h). A family of terms is one file and one row of
 * BM_FORCE_TERM_TABLE. Units: nm, kJ/mol, kJ/mol/nm. Functional forms and constants as in OpenMM
 * (docs.openmm.org, User Guide, "Standard Forces"). No cut-off. */

#include <stddef.h>

#include "boltzmap/base/status.h"
#include "boltzmap/model/topology.h"

/* GB-OBC2: Onufriev, Bashford, Case, Proteins 55, 383 (2004), model II; surface area as in Schaefer,
 * Bartels, Karplus, J. Mol. Biol. 284, 835 (1998). */
#define BM_OBC_ALPHA 1.0
#define BM_OBC_BETA 0.8
#define BM_OBC_GAMMA 4.85
#define BM_OBC_OFFSET 0.009       /* nm, taken off the intrinsic radii */
#define BM_PROBE_RADIUS 0.14      /* nm, of the solvent */
#define BM_SURFACE_ENERGY 2.25936 /* kJ/mol/nm² */

typedef struct {
  const bm_topology_t *topology; /* not owned */
  int solvated;                  /* with the solvation term; else in vacuum */
  double solvent_factor;         /* Coulomb's constant · (1/solvent - 1/solute dielectric), < 0 */
  double surface_energy;         /* kJ/mol/nm² */
  double *offset_radius;         /* [atoms] */
  double *scaled_radius;         /* [atoms] */
  double *room;                  /* [4·atoms], scratch of the solvation term */
} bm_force_field_t;

/* A family of terms: its energy, with its forces added to `force` where that is not NULL. */
typedef struct {
  const char *name;
  double (*energy)(const bm_force_field_t *field, const double *x /* [atoms][3] */,
                   double *force /* [atoms][3] or NULL */);
} bm_force_term_t;

#define BM_FORCE_TERM_TABLE(X) \
  X(bond)                      \
  X(angle)                     \
  X(torsion)                   \
  X(nonbonded)                 \
  X(solvation)

enum {
#define BM_FORCE_TERM_ENUM(row) BM_TERM_##row,
  BM_FORCE_TERM_TABLE(BM_FORCE_TERM_ENUM)
#undef BM_FORCE_TERM_ENUM
      BM_TERM_COUNT
};

#define BM_FORCE_TERM_ROW(row) extern const bm_force_term_t bm_force_##row;
BM_FORCE_TERM_TABLE(BM_FORCE_TERM_ROW)
#undef BM_FORCE_TERM_ROW

extern const bm_force_term_t *const bm_force_table[BM_TERM_COUNT];

/* The force field of a topology, which must outlive it. `solvent_dielectric` 0: no implicit solvent.
 * BM_ERR_DATA where the topology has no radii for the solvent. The caller owns `*out`. */
bm_status_t bm_force_field_create(const bm_topology_t *topology, double solvent_dielectric,
                                  bm_force_field_t **out);
void bm_force_field_destroy(bm_force_field_t **field);

/* Energy of each family of terms, and where not NULL the forces. Not finite at collisions. Not for
 * several threads at once. */
void bm_force_field_energy(const bm_force_field_t *field, const double *x /* [atoms][3] */,
                           double energy[BM_TERM_COUNT], double *force /* [atoms][3] or NULL */);

/* Born integral of 1/r⁴ over a sphere of radius s at distance r, outside of one of radius rho, in 1/nm;
 * and its derivative by r. */
double bm_force_born_integral(double r, double rho, double s, double *derivative);

#endif
