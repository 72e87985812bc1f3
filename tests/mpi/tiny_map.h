#ifndef BOLTZMAP_TESTS_MPI_TINY_MAP_H
#define BOLTZMAP_TESTS_MPI_TINY_MAP_H

/* A small map in the plane's pairs (d = 4) and data for it, the same on every rank. */

#include "check.h"

#include "boltzmap/transport/map.h"

#define TINY_D 4

/* n rows with columns that depend on each other: [n][TINY_D], owned by the caller. */
static inline double *tiny_data(size_t n)
{
  double *x;
  REQUIRE(BM_ALLOC(n * TINY_D, &x) == BM_OK);
  for (size_t i = 0; i < n; i++) {
    double *row = x + i * TINY_D;
    bm_random_normals(bm_random(17, BM_PURPOSE_TEST), (uint32_t)i, 0, 0, TINY_D, row);
    row[1] = 0.3 * row[1] + row[0] * row[0];
    row[3] = 5.0 + 0.1 * row[3] - row[2];
  }
  return x;
}

/* Standardised by these rows; the flow has more parameters than one block of a reduction. */
static inline bm_map_t *tiny_map(size_t n, const double *x)
{
  const bm_flow_shape_t shape = {.d = TINY_D,
                                 .layers = 4,
                                 .hidden_count = 2,
                                 .hidden = {24, 40},
                                 .activation = BM_RELU,
                                 .scale_cap = 2.0};
  const bm_layout_t layout = {2, 2, "1", "1"};
  bm_chart_t *units;
  bm_map_t *map;
  REQUIRE(bm_chart_fit(
              &bm_chart_standardised,
              &(bm_chart_system_t){.particles = layout.particles, .dimensions = layout.dimensions},
              n, x, &units) == BM_OK);
  REQUIRE(bm_map_create(&shape, &layout, units, &map) == BM_OK);
  return map;
}

/* Parameters far from the identity, as training would leave them. */
static inline void tiny_map_shake(bm_map_t *map)
{
  bm_flow_t *flow = bm_map_flow(map);
  for (size_t i = 0; i < bm_flow_parameter_count(flow); i++) {
    double normal[2];
    bm_random_normal2(bm_random(18, BM_PURPOSE_TEST), (uint32_t)i, 0, 0, normal);
    bm_flow_parameters(flow)[i] = (bm_real_t)(0.2 * normal[0]);
  }
}

#endif
