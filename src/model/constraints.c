#include "boltzmap/model/constraints.h"

#include <math.h>

#include "boltzmap/base/memory.h"

#define BM_HYDROGEN 1

/* Add a hydrogen to the cluster of its centre. */
static bm_status_t add(bm_constraints_t *constraints, size_t centre, size_t hydrogen, double length)
{
  bm_cluster_t *cluster = constraints->clusters;
  bm_cluster_t *end = cluster + constraints->count;
  while (cluster < end && cluster->centre != centre) {
    cluster++;
  }
  if (cluster == end) {
    constraints->count++;
    cluster->centre = centre;
  }
  if (cluster->count == BM_CLUSTER_MOST) {
    return BM_FAIL(BM_ERR_DATA,
                   "atom %zu has more than %d hydrogens: their bonds cannot be constrained",
                   centre + 1, BM_CLUSTER_MOST);
  }
  if (!(length > 0.0)) {
    return BM_FAIL(BM_ERR_DATA,
                   "the bond of atoms %zu and %zu has a length of %g nm: it cannot be constrained",
                   centre + 1, hydrogen + 1, length);
  }
  cluster->hydrogen[cluster->count] = hydrogen;
  cluster->length[cluster->count] = length;
  cluster->count++;
  constraints->bond_count++;
  return BM_OK;
}

static bm_status_t fill(const bm_topology_t *topology, bm_constraints_t *constraints, int *used)
{
  for (size_t b = 0; b < topology->bond_count; b++) {
    const bm_bond_t *bond = &topology->bonds[b];
    size_t unknown = topology->element[bond->i] < BM_HYDROGEN ? bond->i : bond->j;
    if (topology->element[unknown] < BM_HYDROGEN) {
      return BM_FAIL(BM_ERR_DATA,
                     "the element of atom %zu is not known (no ATOMIC_NUMBER, a mass of %g): its "
                     "bonds may be to hydrogen or not; use constraints = \"none\"",
                     unknown + 1, topology->mass[unknown]);
    }
    int first = topology->element[bond->i] == BM_HYDROGEN;
    int second = topology->element[bond->j] == BM_HYDROGEN;
    size_t hydrogen = first ? bond->i : bond->j;
    if (!first && !second) {
      continue;
    }
    if ((first && second) || used[hydrogen]) {
      return BM_FAIL(BM_ERR_DATA,
                     "hydrogen %zu is bonded to a hydrogen or to two atoms: it cannot be "
                     "constrained; use constraints = \"none\"",
                     hydrogen + 1);
    }
    used[hydrogen] = 1;
    BM_TRY(add(constraints, first ? bond->j : bond->i, hydrogen, bond->length));
  }
  return BM_OK;
}

bm_status_t bm_constraints_create(const bm_topology_t *topology, bm_constraints_t **out)
{
  int *used = NULL;
  BM_TRY(BM_ALLOC(1, out));
  bm_status_t status = BM_ALLOC(topology->atoms, &(*out)->clusters);
  if (status == BM_OK) {
    status = BM_ALLOC(topology->atoms, &used);
  }
  if (status == BM_OK) {
    status = fill(topology, *out, used);
  }
  bm_free(used);
  if (status != BM_OK) {
    bm_constraints_destroy(out);
  }
  return status;
}

void bm_constraints_destroy(bm_constraints_t **constraints)
{
  if (*constraints != NULL) {
    bm_free((*constraints)->clusters);
  }
  bm_free(*constraints);
  *constraints = NULL;
}

void bm_constraints_stretch(const bm_constraints_t *constraints, double *x /* [atoms][3] */)
{
  for (size_t c = 0; c < constraints->count; c++) {
    const bm_cluster_t *cluster = &constraints->clusters[c];
    const double *centre = x + 3 * cluster->centre;
    for (size_t h = 0; h < cluster->count; h++) {
      double *hydrogen = x + 3 * cluster->hydrogen[h];
      double delta[3] = {hydrogen[0] - centre[0], hydrogen[1] - centre[1], hydrogen[2] - centre[2]};
      double distance = sqrt(delta[0] * delta[0] + delta[1] * delta[1] + delta[2] * delta[2]);
      if (distance == 0.0) {
        /* any direction is right; one for each hydrogen */
        delta[h] = distance = 1.0;
      }
      double factor = cluster->length[h] / distance;
      for (size_t a = 0; a < 3; a++) {
        hydrogen[a] = centre[a] + factor * delta[a];
      }
    }
  }
}

int bm_constraints_has(const bm_constraints_t *constraints, size_t i, size_t j)
{
  for (size_t c = 0; c < constraints->count; c++) {
    const bm_cluster_t *cluster = &constraints->clusters[c];
    for (size_t h = 0; h < cluster->count; h++) {
      if ((cluster->centre == i && cluster->hydrogen[h] == j) ||
          (cluster->centre == j && cluster->hydrogen[h] == i)) {
        return 1;
      }
    }
  }
  return 0;
}
