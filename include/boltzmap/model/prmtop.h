#ifndef BOLTZMAP_MODEL_PRMTOP_H
#define BOLTZMAP_MODEL_PRMTOP_H

/* Topologies from AMBER parameter files (prmtop, format of AMBER 7 and later, as described at
 * ambermd.org/FileFormats.php). Refused, each by its name: CHAMBER files, polarisable force fields,
 * 10-12 and 12-6-4 terms, CMAP, extra points, perturbed atoms, caps, periodic boxes, and files older
 * than %FLAG. */

#include "boltzmap/base/status.h"
#include "boltzmap/model/topology.h"

/* Read a topology. Everything in the file that is used is checked: sections there, in their format, of
 * the length that POINTERS says, numbers finite, atoms and types in range. BM_ERR_DATA with
 * file:line; BM_ERR_IO. The caller ends it with bm_topology_destroy. Not collective. */
bm_status_t bm_prmtop_read(const char *path, bm_topology_t **out);

#endif
