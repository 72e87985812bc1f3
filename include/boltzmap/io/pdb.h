#ifndef BOLTZMAP_IO_PDB_H
#define BOLTZMAP_IO_PDB_H

/* Configurations of a molecule as the models of one PDB file (wwpdb.org, format 3.3), which molecular
 * viewers play as a film: MODEL, ATOM, TER and ENDMDL for each, then CONECT for the bonds, and END. The
 * molecule is one chain, A. Read back by io/coordinates.h. */

#include <stddef.h>

#include "boltzmap/base/status.h"

#define BM_PDB_NAME 8           /* room for a name of up to four letters */
#define BM_PDB_ATOMS_MOST 99998 /* numbers have five digits, and TER takes one */
#define BM_PDB_RESIDUES_MOST 9999
#define BM_PDB_MODELS_MOST 9999

/* What a file says of a molecule. Atoms and residues are counted from 0. Nothing here is owned. */
typedef struct {
  size_t atoms, residues, bond_count;
  const char (*atom_name)[BM_PDB_NAME];    /* [atoms] */
  const char (*residue_name)[BM_PDB_NAME]; /* [residues] */
  const size_t *residue;                   /* [atoms], of each atom, ascending */
  const int *element;                      /* [atoms], atomic numbers; 0: not known */
  const size_t (*bonds)[2];                /* [bond_count], each bond once */
} bm_pdb_molecule_t;

/* Write `models` > 0 configurations. What the format has no room for is refused with BM_ERR_DATA before
 * there is a file: more atoms, residues or models than above, names of more than four letters, positions
 * that are not finite, below -999.999 or above 9999.999 ångström. The whole text is in memory, 81 bytes an
 * atom and model. BM_ERR_IO, BM_ERR_MEMORY. Not collective. */
bm_status_t bm_pdb_write(const char *path, const bm_pdb_molecule_t *molecule, size_t models,
                         const double *x /* [models][atoms][3], nm */);

#endif
