#ifndef BOLTZMAP_IO_COORDINATES_H
#define BOLTZMAP_IO_COORDINATES_H

/* Coordinates of molecules in text: AMBER restart files (.rst7, .inpcrd, .restrt: title, number of
 * atoms, lines of six numbers in ångström; ambermd.org/FileFormats.php) and PDB files (ATOM and HETATM
 * records of the first model; wwpdb.org, format 3.3). Told apart by their content. */

#include <stddef.h>

#include "boltzmap/base/status.h"

typedef struct {
  size_t atoms;
  double *x; /* [atoms][3], nm, owned */
} bm_coordinates_t;

/* Does the file start as one of these? A PDB record on one of the first lines, or a title and a line
 * with a number of atoms. */
int bm_coordinates_recognise(const char *path);

/* Read a file. Velocities and boxes of restart files are passed over. BM_ERR_DATA with file:line,
 * BM_ERR_IO. The caller gives x back with bm_free. Not collective. */
bm_status_t bm_coordinates_read(const char *path, bm_coordinates_t *coordinates);

#endif
