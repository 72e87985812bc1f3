#include "boltzmap/app/space.h"

#include "boltzmap/model/backbone.h"
#include "boltzmap/model/molecule.h"

#define BM_BACKBONE_LEAST 2 /* angles: coupling layers need two coordinates */

const bm_deck_key_t bm_space_keys[] = {
    {"flow.coordinates", BM_DECK_STRING, "\"cartesian\"", 0, 0, bm_chart_molecular_names,
     "system.kind=amber",
     "what the flow learns: all coordinates of aligned molecules, their principal directions, or "
     "backbone angles as numbers or on a torus"},
    {"flow.noise_nm", BM_DECK_REAL, "0.02", 1e-9, 1e3, NULL, "flow.coordinates=cartesian",
     "noise in the six directions in which aligned molecules do not vary, nm"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

static void describe(const bm_deck_case_t *deck_case, bm_space_t *space)
{
  const bm_traits_t *traits = bm_potential_traits(space->system);
  const bm_molecule_t *molecule = traits->molecule;
  space->of_chart = (bm_chart_system_t){.particles = traits->layout.particles,
                                        .dimensions = traits->layout.dimensions};
  if (molecule == NULL) {
    return;
  }
  space->of_chart.start = molecule->start;
  space->of_chart.angle_count = molecule->angle_count;
  space->of_chart.angles = (const size_t(*)[4])molecule->angles;
  space->of_chart.centre_count = molecule->centre_count;
  space->of_chart.centres = (const size_t(*)[4])molecule->centres;
  space->of_chart.noise =
      bm_deck_has(deck_case, "flow.noise_nm") ? bm_deck_real(deck_case, "flow.noise_nm") : 0.0;
}

static bm_status_t fill(const bm_deck_case_t *deck_case, bm_space_t *space)
{
  const int has_charts = bm_deck_has(deck_case, "flow.coordinates");
  BM_TRY(bm_potential_create(deck_case, &space->system));
  describe(deck_case, space);
  space->shapes = space->system;
  space->chart =
      bm_chart_find(has_charts ? bm_deck_string(deck_case, "flow.coordinates") : "standardised");
  space->d = bm_chart_dimension_of(space->chart, &space->of_chart);
  if (!bm_chart_is_angular(space->chart)) {
    return has_charts && space->of_chart.particles < 3
               ? bm_deck_fail(deck_case, "flow.coordinates", "a molecule of %zu atoms has no frame",
                              space->of_chart.particles)
               : BM_OK;
  }
  if (space->of_chart.angle_count < BM_BACKBONE_LEAST) {
    return bm_deck_fail(
        deck_case, "flow.coordinates",
        "the molecule has no amino acid between two others, thus no backbone angles");
  }
  BM_TRY(bm_backbone_create(space->system, &space->backbone));
  space->shapes = space->backbone;
  return BM_OK;
}

bm_status_t bm_space_create(const bm_deck_case_t *deck_case, bm_space_t *space)
{
  *space = (bm_space_t){.system = NULL};
  bm_status_t status = fill(deck_case, space);
  if (status != BM_OK) {
    bm_space_release(space);
  }
  return status;
}

void bm_space_release(bm_space_t *space)
{
  bm_potential_destroy(&space->backbone);
  bm_potential_destroy(&space->system);
}

int bm_space_has_weights(const bm_space_t *space)
{
  const bm_molecule_t *molecule = bm_potential_traits(space->system)->molecule;
  return bm_potential_has_energy(space->shapes) &&
         (molecule == NULL || molecule->constraints == NULL);
}
