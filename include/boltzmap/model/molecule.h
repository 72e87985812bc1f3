#ifndef BOLTZMAP_MODEL_MOLECULE_H
#define BOLTZMAP_MODEL_MOLECULE_H

/* A molecule as the deck's `system` describes it with kind = "amber": topology, force field,
 * constraints, where to start. What samplers of molecular dynamics need beyond an energy. */

#include <stddef.h>

#include "boltzmap/base/status.h"
#include "boltzmap/io/deck.h"
#include "boltzmap/model/constraints.h"
#include "boltzmap/model/force_field.h"
#include "boltzmap/model/potential.h"

#define BM_GAS_CONSTANT 8.31446261815324e-3 /* kJ/mol/K */

struct bm_molecule {
  bm_topology_t *topology;
  bm_force_field_t *field;
  bm_constraints_t *constraints;     /* NULL: none */
  double *start;                     /* [atoms][3], nm, at the constrained lengths */
  size_t (*pairs)[2];                /* [pair_count], non-bonded ones */
  size_t (*angles)[4];               /* [angle_count], phi and psi of the backbone */
  bm_observable_name_t *angle_names; /* [angle_count] */
  size_t (*centres)[4];              /* [centre_count], stereocentres (model/topology.h) */
  size_t (*methyls)[3];              /* [methyl_count], hydrogens of methyl groups */
  size_t pair_count, angle_count, centre_count, methyl_count;
  bm_dihedral_t *dihedrals; /* [angle_count], where the names are */
  double temperature_K, kT; /* kT in kJ/mol */
};

/* Degrees of freedom that carry kinetic energy: three an atom, less the constraints. The thermostat
 * acts on the motion of the whole molecule, too. */
size_t bm_molecule_freedoms(const bm_molecule_t *molecule);

/* The smallest distance of a non-bonded pair, nm; infinite where there is none. */
double bm_molecule_shortest(const bm_molecule_t *molecule, const double *x /* [atoms][3] */);

/* Read the files that a case names. BM_ERR_DATA, BM_ERR_IO. The caller owns `*out`. */
bm_status_t bm_molecule_create(const bm_deck_case_t *deck_case, bm_molecule_t **out);
void bm_molecule_destroy(bm_molecule_t **molecule);

#endif
