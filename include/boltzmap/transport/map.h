#ifndef BOLTZMAP_TRANSPORT_MAP_H
#define BOLTZMAP_TRANSPORT_MAP_H

/* The transport map: base density (standard normal) → RealNVP, or the Moser map → chart undone
 * (geometry/chart.h) → configuration, or what the chart keeps of one: its shape. What training makes, what
 * generation and metrics use, and what a model file holds.
 *
 * Rows are worked through in chunks of BM_MAP_CHUNK at fixed places of the whole set, always full-sized
 * inside, so that a row's result depends neither on the number of rows nor on who computes it, as
 * long as work is dealt out with bm_map_partition. Local arithmetic without communication, but for making, loading
 * and destroying a Moser map. */

#include <stddef.h>

#include "boltzmap/base/status.h"
#include "boltzmap/flow/flow.h"
#include "boltzmap/geometry/chart.h"
#include "boltzmap/io/state.h"
#include "boltzmap/model/potential.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/partition.h"
#include "boltzmap/transport/moser.h"

#define BM_MAP_CHUNK 128

/* Of Moser maps: cells along an axis, and half the width of the box, in standard deviations of the base. */
#define BM_MAP_CELLS_MOST 4096
#define BM_MAP_WIDTH_LEAST 0.1
#define BM_MAP_WIDTH_MOST 10

typedef struct bm_map bm_map_t;

/* Names of the kinds for the deck, ended by NULL. */
extern const char *const bm_map_kinds[];

/* A map with an untrained flow. Takes over `chart` (on success). Units of the layout are copied (their texts
 * must outlive the map or be literals), sizes are those of the chart's shapes. BM_ERR_MEMORY. */
bm_status_t bm_map_create(const bm_flow_shape_t *shape, const bm_layout_t *layout,
                          bm_chart_t *chart, bm_map_t **out);

/* The Moser map from the standard normal density to the Boltzmann density of a potential, for configurations of
 * at most BM_BOX_AXES coordinates. The box is [-width, width]^d in the coordinates of the chart, to which the
 * base is restricted: coordinate by coordinate, by the monotone map. Takes over `chart` on success; the
 * potential is needed here alone. Errors as bm_moser_create. Collective over the context, which must outlive the
 * map, and whose hosts' ranks destroy it together. */
bm_status_t bm_map_create_moser(const bm_context_t *context, const bm_potential_t *potential,
                                const size_t *cells /* [d] */, double width, bm_chart_t *chart,
                                bm_map_t **out);

/* Of a Moser map collective over the host. NULL inside is allowed. */
void bm_map_destroy(bm_map_t **map);

/* Of a flow only: its parameters will not change any more: makes what follows faster. Once at most.
 * BM_ERR_MEMORY. */
bm_status_t bm_map_freeze(bm_map_t *map);

/* What is in it; NULL in maps of the other kind. */
bm_flow_t *bm_map_flow(bm_map_t *map);
const bm_moser_t *bm_map_moser(const bm_map_t *map);
const bm_chart_t *bm_map_chart(const bm_map_t *map);
const bm_layout_t *bm_map_layout(const bm_map_t *map);
size_t bm_map_dimension(const bm_map_t *map);      /* of a shape: D below */
size_t bm_map_base_dimension(const bm_map_t *map); /* of a base point: d below */

/* Rows of part `part` when n rows are dealt out in whole chunks. */
bm_range_t bm_map_partition(size_t n, int parts, int part);

/* x = T(base) and log density of the push-forward at x (physical units; see geometry/chart.h), for n rows that
 * start at a chunk boundary. log_density may be NULL. This and what follows: BM_ERR_DATA where a Moser map cannot
 * be followed. */
bm_status_t bm_map_push(bm_map_t *map, size_t n, const double *base /* [n][d] */,
                        double *x /* [n][D] */, double *log_density /* [n] */);

/* Of a Moser map, where base points are after k/steps of its time, k = 1…steps: in coordinates that go, linearly in
 * that time, from those of the base to those of `chart`, another one of the same shapes. */
bm_status_t bm_map_moser_steps(const bm_map_t *map, const bm_chart_t *chart, size_t n,
                               const double *base /* [n][d] */, size_t steps,
                               double *y /* [n][steps][d] */);

/* base = T^-1(x) and log density at shapes x, -inf outside the box of a Moser map. base may be NULL. */
bm_status_t bm_map_pull(bm_map_t *map, size_t n, const double *x /* [n][D] */,
                        double *base /* [n][d] */, double *log_density /* [n] */);

/* Jacobian of T at base points, in physical units, to the chart's coordinates before they are scaled. The
 * first call makes room for those of a chunk: BM_ERR_MEMORY. */
bm_status_t bm_map_jacobian(bm_map_t *map, size_t n, const double *base /* [n][d] */,
                            double *jacobian /* [n][d][d] */);

/* Put the map into a state container, and make one from it, which is frozen; a Moser map is solved for again.
 * BM_ERR_DATA, BM_ERR_MEMORY. Loading is collective, the context must outlive the map; NULL where only a flow can
 * be loaded: BM_ERR_USAGE for a Moser map. */
bm_status_t bm_map_save(bm_map_t *map, bm_state_t *state);
bm_status_t bm_map_load(const bm_context_t *context, const bm_state_t *state, bm_map_t **out);

#endif
