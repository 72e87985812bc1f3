#include "boltzmap/model/molecule.h"

#include <math.h>
#include <string.h>

#include "boltzmap/base/internal.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/io/coordinates.h"
#include "boltzmap/model/prmtop.h"

size_t bm_molecule_freedoms(const bm_molecule_t *molecule)
{
  return 3 * molecule->topology->atoms -
         (molecule->constraints == NULL ? 0 : molecule->constraints->bond_count);
}

double bm_molecule_shortest(const bm_molecule_t *molecule, const double *x)
{
  double least = INFINITY;
  for (size_t p = 0; p < molecule->pair_count; p++) {
    least = fmin(least, bm_internal_distance(x, molecule->pairs[p]));
  }
  return least;
}

/* Put the deck's place before the message of a failure about this key's file. */
static bm_status_t blame(const bm_deck_case_t *deck_case, const char *path, bm_status_t status)
{
  if (status != BM_ERR_DATA) {
    return status;
  }
  char message[BM_MESSAGE_MAX];
  memcpy(message, bm_status_message(), sizeof message);
  return bm_deck_fail(deck_case, path, "%s", message);
}

static bm_status_t read_start(const bm_deck_case_t *deck_case, bm_molecule_t *molecule)
{
  bm_coordinates_t coordinates;
  BM_TRY(blame(deck_case, "system.coordinates",
               bm_coordinates_read(bm_deck_string(deck_case, "system.coordinates"), &coordinates)));
  molecule->start = coordinates.x;
  if (coordinates.atoms != molecule->topology->atoms) {
    return bm_deck_fail(deck_case, "system.coordinates", "has %zu atoms, the topology has %zu",
                        coordinates.atoms, molecule->topology->atoms);
  }
  return BM_OK;
}

static bm_status_t fill(const bm_deck_case_t *deck_case, bm_molecule_t *molecule)
{
  const char *solvent = bm_deck_string(deck_case, "system.implicit_solvent");
  const char *constraints = bm_deck_string(deck_case, "system.constraints");
  double dielectric =
      strcmp(solvent, "none") == 0 ? 0.0 : bm_deck_real(deck_case, "system.solvent_dielectric");
  molecule->temperature_K = bm_deck_real(deck_case, "system.temperature_K");
  molecule->kT = BM_GAS_CONSTANT * molecule->temperature_K;
  BM_TRY(blame(deck_case, "system.topology",
               bm_prmtop_read(bm_deck_string(deck_case, "system.topology"), &molecule->topology)));
  BM_TRY(blame(deck_case, "system.implicit_solvent",
               bm_force_field_create(molecule->topology, dielectric, &molecule->field)));
  BM_TRY(read_start(deck_case, molecule));
  if (strcmp(constraints, "h-bonds") == 0) {
    BM_TRY(blame(deck_case, "system.constraints",
                 bm_constraints_create(molecule->topology, &molecule->constraints)));
    bm_constraints_stretch(molecule->constraints, molecule->start);
  }
  return BM_OK;
}

/* What analysis and coordinates of the flow need of the topology. */
static bm_status_t describe(const bm_deck_case_t *deck_case, bm_molecule_t *molecule)
{
  const bm_topology_t *topology = molecule->topology;
  int beyond = (int)bm_deck_int(deck_case, "system.nonbonded_beyond_bonds");
  BM_TRY(bm_topology_nonbonded(topology, beyond, &molecule->pair_count, &molecule->pairs));
  BM_TRY(bm_topology_stereocentres(topology, &molecule->centre_count, &molecule->centres));
  BM_TRY(bm_topology_methyls(topology, &molecule->methyl_count, &molecule->methyls));
  BM_TRY(bm_topology_backbone(topology, &molecule->angle_count, &molecule->dihedrals));
  BM_TRY(BM_ALLOC(molecule->angle_count, &molecule->angles));
  BM_TRY(BM_ALLOC(molecule->angle_count, &molecule->angle_names));
  for (size_t k = 0; k < molecule->angle_count; k++) {
    memcpy(molecule->angles[k], molecule->dihedrals[k].atoms, sizeof molecule->angles[k]);
    molecule->angle_names[k] =
        (bm_observable_name_t){molecule->dihedrals[k].name, "rad", 2.0 * M_PI};
  }
  return BM_OK;
}

bm_status_t bm_molecule_create(const bm_deck_case_t *deck_case, bm_molecule_t **out)
{
  BM_TRY(BM_ALLOC(1, out));
  bm_status_t status = fill(deck_case, *out);
  if (status == BM_OK) {
    status = describe(deck_case, *out);
  }
  if (status != BM_OK) {
    bm_molecule_destroy(out);
  }
  return status;
}

void bm_molecule_destroy(bm_molecule_t **molecule)
{
  if (*molecule != NULL) {
    bm_constraints_destroy(&(*molecule)->constraints);
    bm_force_field_destroy(&(*molecule)->field);
    bm_topology_destroy(&(*molecule)->topology);
    bm_free((*molecule)->start);
    bm_free((*molecule)->pairs);
    bm_free((*molecule)->angles);
    bm_free((*molecule)->angle_names);
    bm_free((*molecule)->centres);
    bm_free((*molecule)->methyls);
    bm_free((*molecule)->dihedrals);
  }
  bm_free(*molecule);
  *molecule = NULL;
}
