#ifndef BOLTZMAP_APP_SPACE_H
#define BOLTZMAP_APP_SPACE_H

/* What a case's flow works on: the system, the chart that flow.coordinates names, and the system of the
 * chart's shapes, which generated samples are configurations of. */

#include "boltzmap/base/status.h"
#include "boltzmap/geometry/chart.h"
#include "boltzmap/io/deck.h"
#include "boltzmap/model/potential.h"

extern const bm_deck_key_t bm_space_keys[]; /* of `flow`: its coordinates */

typedef struct {
  bm_potential_t *system;
  const bm_potential_t *shapes; /* the system, or its backbone */
  bm_potential_t *backbone;     /* NULL: not needed */
  const bm_chart_ops_t *chart;
  bm_chart_system_t of_chart;
  size_t d; /* coordinates of the flow */
} bm_space_t;

/* Errors as bm_potential_create; BM_ERR_DATA where the coordinates are none of this system. Released by the
 * caller. */
bm_status_t bm_space_create(const bm_deck_case_t *deck_case, bm_space_t *space);
void bm_space_release(bm_space_t *space);

/* Has the density of shapes weights towards that of the system? Not where they are angles, nor where
 * constraints leave it no density. */
int bm_space_has_weights(const bm_space_t *space);

#endif
