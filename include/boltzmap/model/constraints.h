#ifndef BOLTZMAP_MODEL_CONSTRAINTS_H
#define BOLTZMAP_MODEL_CONSTRAINTS_H

/* Bonds to hydrogen held at their length, in clusters of a centre and up to three hydrogens, which can
 * be solved one by one. */

#include <stddef.h>

#include "boltzmap/base/status.h"
#include "boltzmap/model/topology.h"

#define BM_CLUSTER_MOST 3

typedef struct {
  size_t centre;
  size_t count; /* of hydrogens */
  size_t hydrogen[BM_CLUSTER_MOST];
  double length[BM_CLUSTER_MOST]; /* nm */
} bm_cluster_t;

typedef struct {
  size_t count; /* of clusters */
  bm_cluster_t *clusters;
  size_t bond_count; /* of constraints */
} bm_constraints_t;

/* All bonds to hydrogen of a topology. BM_ERR_DATA where two hydrogens are bonded to each other, one
 * hydrogen to two atoms, an atom has more than three, a bonded atom's element is not known, or a length is
 * not positive. The caller owns `*out`. */
bm_status_t bm_constraints_create(const bm_topology_t *topology, bm_constraints_t **out);
void bm_constraints_destroy(bm_constraints_t **constraints);

/* Bring positions to the constraint lengths, hydrogens moved along their bonds. */
void bm_constraints_stretch(const bm_constraints_t *constraints, double *x /* [atoms][3] */);

/* Is this bond one of them? */
int bm_constraints_has(const bm_constraints_t *constraints, size_t i, size_t j);

#endif
