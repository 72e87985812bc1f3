#include "boltzmap/model/force_field.h"

#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"

const bm_force_term_t *const bm_force_table[BM_TERM_COUNT] = {
#define BM_FORCE_TERM_ROW(row) &bm_force_##row,
    BM_FORCE_TERM_TABLE(BM_FORCE_TERM_ROW)
#undef BM_FORCE_TERM_ROW
};

static bm_status_t add_solvent(bm_force_field_t *field, double dielectric)
{
  const bm_topology_t *topology = field->topology;
  if (topology->radius == NULL) {
    return BM_FAIL(BM_ERR_DATA, "the topology has no RADII and SCREEN for an implicit solvent");
  }
  field->solvated = 1;
  field->solvent_factor = BM_COULOMB * (1.0 / dielectric - 1.0);
  field->surface_energy = BM_SURFACE_ENERGY;
  BM_TRY(BM_ALLOC(topology->atoms, &field->offset_radius));
  BM_TRY(BM_ALLOC(topology->atoms, &field->scaled_radius));
  BM_TRY(BM_ALLOC(4 * topology->atoms, &field->room));
  for (size_t i = 0; i < topology->atoms; i++) {
    field->offset_radius[i] = topology->radius[i] - BM_OBC_OFFSET;
    field->scaled_radius[i] = topology->screen[i] * field->offset_radius[i];
    if (!(field->offset_radius[i] > 0.0) || !(field->scaled_radius[i] >= 0.0)) {
      return BM_FAIL(BM_ERR_DATA,
                     "atom %zu has a radius of %g nm and a scale factor of %g in the implicit "
                     "solvent: radii must be above %g nm, factors not negative",
                     i + 1, topology->radius[i], topology->screen[i], BM_OBC_OFFSET);
    }
  }
  return BM_OK;
}

bm_status_t bm_force_field_create(const bm_topology_t *topology, double solvent_dielectric,
                                  bm_force_field_t **out)
{
  BM_TRY(BM_ALLOC(1, out));
  (*out)->topology = topology;
  bm_status_t status = solvent_dielectric > 0.0 ? add_solvent(*out, solvent_dielectric) : BM_OK;
  if (status != BM_OK) {
    bm_force_field_destroy(out);
  }
  return status;
}

void bm_force_field_destroy(bm_force_field_t **field)
{
  if (*field != NULL) {
    bm_free((*field)->offset_radius);
    bm_free((*field)->scaled_radius);
    bm_free((*field)->room);
  }
  bm_free(*field);
  *field = NULL;
}

void bm_force_field_energy(const bm_force_field_t *field, const double *x /* [atoms][3] */,
                           double energy[BM_TERM_COUNT], double *force /* [atoms][3] or NULL */)
{
  if (force != NULL) {
    memset(force, 0, 3 * field->topology->atoms * sizeof *force);
  }
  for (size_t t = 0; t < BM_TERM_COUNT; t++) {
    energy[t] = bm_force_table[t]->energy(field, x, force);
  }
}
