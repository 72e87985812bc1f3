#ifndef BOLTZMAP_MODEL_TOPOLOGY_H
#define BOLTZMAP_MODEL_TOPOLOGY_H

/* A molecule as a force field sees it: atoms, bonded terms, non-bonded parameters. Units: nm, kJ/mol,
 * radian, atomic mass unit, elementary charge. Atoms are counted from 0. */

#include <stddef.h>

#include "boltzmap/base/status.h"

#define BM_ATOM_NAME 8 /* room for a name of up to four letters */

/* E = stiffness/2 · (r - length)² */
typedef struct {
  size_t i, j;
  double length, stiffness;
} bm_bond_t;

/* E = stiffness/2 · (theta - angle)², j in the middle */
typedef struct {
  size_t i, j, k;
  double angle, stiffness;
} bm_angle_t;

/* E = height · (1 + cos(periodicity·phi - phase)) */
typedef struct {
  size_t i, j, k, l;
  double height, phase;
  int periodicity;
} bm_torsion_t;

/* Non-bonded interaction of a pair i < j: E = a/r¹² - b/r⁶ + charges/r (charges with Coulomb's
 * constant in them). Excluded pairs have zeros. */
typedef struct {
  size_t i, j;
  double a, b, charges;
  int separation; /* bonds between the two; INT_MAX: not connected */
} bm_pair_t;

typedef struct {
  size_t atoms, residues;
  char (*atom_name)[BM_ATOM_NAME];    /* [atoms] */
  char (*residue_name)[BM_ATOM_NAME]; /* [residues] */
  size_t *residue;                    /* [atoms], of each atom */
  int *element;                       /* [atoms], atomic numbers */
  double *mass, *charge;              /* [atoms] */
  double *radius, *screen; /* [atoms], of the implicit solvent: intrinsic radius, scale factor */
  bm_bond_t *bonds;
  bm_angle_t *angles;
  bm_torsion_t *torsions; /* proper and improper; those of no height are left out */
  bm_pair_t *pairs;       /* all atoms·(atoms - 1)/2 of them, (0, 1), (0, 2), … */
  size_t bond_count, angle_count, torsion_count, pair_count;
} bm_topology_t;

/* Coulomb's constant e²/(4·pi·epsilon_0) in kJ/mol·nm, with OpenMM's value. */
#define BM_COULOMB 138.93545764438198

/* Place of the pair i < j in `pairs`. */
size_t bm_topology_pair(const bm_topology_t *topology, size_t i, size_t j);

/* The bond of two atoms, in whatever order; NULL where there is none. */
const bm_bond_t *bm_topology_bond(const bm_topology_t *topology, size_t i, size_t j);

/* Bonds between all pairs of atoms, [atoms][atoms], INT_MAX where not connected. */
bm_status_t bm_topology_separations(const bm_topology_t *topology, int *separation);

void bm_topology_destroy(bm_topology_t **topology);

/* A backbone torsion, for observables: "phi", "psi" (of the residue'th amino acid, from 1). */
typedef struct {
  char name[16];
  size_t atoms[4];
} bm_dihedral_t;

/* All phi (C-N-CA-C) and psi (N-CA-C-N) of the chain, phi and psi of each residue in turn; named "phi"
 * and "psi" where there is one of each, else with the number behind. `*dihedrals` is owned by the
 * caller. */
bm_status_t bm_topology_backbone(const bm_topology_t *topology, size_t *count,
                                 bm_dihedral_t **dihedrals);

/* Pairs i < j of atoms more than `beyond` bonds apart, or not connected; `*pairs` [count] is owned by the
 * caller. BM_ERR_MEMORY. */
bm_status_t bm_topology_nonbonded(const bm_topology_t *topology, int beyond, size_t *count,
                                  size_t (**pairs)[2]);

/* Methyl groups: the three hydrogens of each carbon that has three and one other neighbour; `*methyls` is owned
 * by the caller. */
bm_status_t bm_topology_methyls(const bm_topology_t *topology, size_t *count,
                                size_t (**methyls)[3]);

/* Stereocentres: the alpha carbon of each amino acid with a side chain, then its N, C and CB; `*centres`
 * [count] is owned by the caller. BM_ERR_MEMORY. */
bm_status_t bm_topology_stereocentres(const bm_topology_t *topology, size_t *count,
                                      size_t (**centres)[4]);

#endif
