#include "boltzmap/model/topology.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/base/memory.h"

size_t bm_topology_pair(const bm_topology_t *topology, size_t i, size_t j)
{
  assert(i < j && j < topology->atoms);
  return i * topology->atoms - i * (i + 1) / 2 + (j - i - 1);
}

void bm_topology_destroy(bm_topology_t **topology)
{
  bm_topology_t *own = *topology;
  if (own != NULL) {
    void *blocks[] = {own->atom_name, own->residue_name, own->residue,  own->element,
                      own->mass,      own->charge,       own->radius,   own->screen,
                      own->bonds,     own->angles,       own->torsions, own->pairs};
    for (size_t k = 0; k < sizeof blocks / sizeof blocks[0]; k++) {
      bm_free(blocks[k]);
    }
  }
  bm_free(own);
  *topology = NULL;
}

/* Breadth-first from atom `root`; `neighbours` [2·bonds] with `first` [atoms + 1]. */
static void walk(size_t atoms, const size_t *neighbours, const size_t *first, size_t root,
                 size_t *queue, int *separation /* [atoms] */)
{
  for (size_t k = 0; k < atoms; k++) {
    separation[k] = INT_MAX;
  }
  size_t count = 1;
  queue[0] = root;
  separation[root] = 0;
  for (size_t head = 0; head < count; head++) {
    size_t here = queue[head];
    for (size_t k = first[here]; k < first[here + 1]; k++) {
      size_t there = neighbours[k];
      if (separation[there] == INT_MAX) {
        separation[there] = separation[here] + 1;
        queue[count++] = there;
      }
    }
  }
}

/* Neighbours of each atom, one after the other. */
static void list_neighbours(const bm_topology_t *topology, size_t *first /* [atoms + 1], zeros */,
                            size_t *neighbours)
{
  for (size_t b = 0; b < topology->bond_count; b++) {
    first[topology->bonds[b].i + 1]++;
    first[topology->bonds[b].j + 1]++;
  }
  for (size_t k = 0; k < topology->atoms; k++) {
    first[k + 1] += first[k];
  }
  for (size_t b = topology->bond_count; b-- > 0;) {
    neighbours[--first[topology->bonds[b].i + 1]] = topology->bonds[b].j;
    neighbours[--first[topology->bonds[b].j + 1]] = topology->bonds[b].i;
  }
  /* Each entry now holds the start of the atom before. */
  memmove(first, first + 1, topology->atoms * sizeof *first);
  first[topology->atoms] = 2 * topology->bond_count;
}

bm_status_t bm_topology_separations(const bm_topology_t *topology,
                                    int *separation /* [atoms][atoms] */)
{
  const size_t atoms = topology->atoms;
  size_t *room;
  BM_TRY(BM_ALLOC(2 * atoms + 1 + 2 * topology->bond_count, &room));
  size_t *first = room;
  size_t *queue = room + atoms + 1;
  size_t *neighbours = queue + atoms;
  list_neighbours(topology, first, neighbours);
  for (size_t i = 0; i < atoms; i++) {
    walk(atoms, neighbours, first, i, queue, separation + i * atoms);
  }
  bm_free(room);
  return BM_OK;
}

/* The atom of this name in a residue; `atoms` where there is none. */
static size_t find_atom(const bm_topology_t *topology, size_t residue, const char *name)
{
  for (size_t i = 0; i < topology->atoms; i++) {
    if (topology->residue[i] == residue && strcmp(topology->atom_name[i], name) == 0) {
      return i;
    }
  }
  return topology->atoms;
}

const bm_bond_t *bm_topology_bond(const bm_topology_t *topology, size_t i, size_t j)
{
  for (size_t b = 0; b < topology->bond_count; b++) {
    const bm_bond_t *bond = &topology->bonds[b];
    if ((bond->i == i && bond->j == j) || (bond->i == j && bond->j == i)) {
      return bond;
    }
  }
  return NULL;
}

/* phi and psi of a residue between two others, where it is an amino acid bonded to both. */
static size_t backbone_of(const bm_topology_t *topology, size_t residue, bm_dihedral_t *found)
{
  const size_t none = topology->atoms;
  size_t before = find_atom(topology, residue - 1, "C");
  size_t nitrogen = find_atom(topology, residue, "N");
  size_t alpha = find_atom(topology, residue, "CA");
  size_t carbonyl = find_atom(topology, residue, "C");
  size_t after = find_atom(topology, residue + 1, "N");
  if (before == none || nitrogen == none || alpha == none || carbonyl == none || after == none ||
      bm_topology_bond(topology, before, nitrogen) == NULL ||
      bm_topology_bond(topology, carbonyl, after) == NULL) {
    return 0;
  }
  found[0] = (bm_dihedral_t){"phi", {before, nitrogen, alpha, carbonyl}};
  found[1] = (bm_dihedral_t){"psi", {nitrogen, alpha, carbonyl, after}};
  return 2;
}

bm_status_t bm_topology_backbone(const bm_topology_t *topology, size_t *count,
                                 bm_dihedral_t **dihedrals)
{
  *count = 0;
  BM_TRY(BM_ALLOC(2 * topology->residues, dihedrals));
  for (size_t residue = 1; residue + 1 < topology->residues; residue++) {
    *count += backbone_of(topology, residue, *dihedrals + *count);
  }
  for (size_t k = 0; *count > 2 && k < *count; k++) {
    snprintf((*dihedrals)[k].name, sizeof(*dihedrals)[k].name, "%s_%u", k % 2 == 0 ? "phi" : "psi",
             (unsigned)(k / 2 + 1));
  }
  return BM_OK;
}

bm_status_t bm_topology_nonbonded(const bm_topology_t *topology, int beyond, size_t *count,
                                  size_t (**pairs)[2])
{
  *count = 0;
  BM_TRY(BM_ALLOC(topology->pair_count, pairs));
  for (size_t p = 0; p < topology->pair_count; p++) {
    const bm_pair_t *pair = &topology->pairs[p];
    if (pair->separation > beyond) {
      (*pairs)[*count][0] = pair->i;
      (*pairs)[(*count)++][1] = pair->j;
    }
  }
  return BM_OK;
}

bm_status_t bm_topology_stereocentres(const bm_topology_t *topology, size_t *count,
                                      size_t (**centres)[4])
{
  static const char *const names[4] = {"CA", "N", "C", "CB"};
  *count = 0;
  BM_TRY(BM_ALLOC(topology->residues, centres));
  for (size_t residue = 0; residue < topology->residues; residue++) {
    size_t *centre = (*centres)[*count];
    int whole = 1;
    for (size_t k = 0; k < 4; k++) {
      centre[k] = find_atom(topology, residue, names[k]);
      whole = whole && centre[k] < topology->atoms;
    }
    for (size_t k = 1; whole && k < 4; k++) {
      whole = bm_topology_bond(topology, centre[0], centre[k]) != NULL;
    }
    *count += whole != 0;
  }
  return BM_OK;
}

/* Has an atom three hydrogens and one neighbour more? */
static int is_methyl(const bm_topology_t *topology, size_t atom, size_t hydrogens[3])
{
  size_t found = 0;
  size_t others = 0;
  for (size_t b = 0; b < topology->bond_count; b++) {
    const bm_bond_t *bond = &topology->bonds[b];
    if (bond->i != atom && bond->j != atom) {
      continue;
    }
    size_t other = bond->i == atom ? bond->j : bond->i;
    if (topology->element[other] == 1 && found < 3) {
      hydrogens[found++] = other;
    } else {
      others++;
    }
  }
  return found == 3 && others == 1;
}

bm_status_t bm_topology_methyls(const bm_topology_t *topology, size_t *count, size_t (**methyls)[3])
{
  *count = 0;
  BM_TRY(BM_ALLOC(topology->atoms, methyls));
  for (size_t atom = 0; atom < topology->atoms; atom++) {
    if (topology->element[atom] == 6 && is_methyl(topology, atom, (*methyls)[*count])) {
      (*count)++;
    }
  }
  return BM_OK;
}
