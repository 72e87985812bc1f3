#ifndef BOLTZMAP_GEOMETRY_CHART_PARTS_H
#define BOLTZMAP_GEOMETRY_CHART_PARTS_H

/* What charts are made of, for the files that define them. */

#include "boltzmap/geometry/alignment.h"
#include "boltzmap/geometry/chart.h"
#include "boltzmap/geometry/standardisation.h"

struct bm_chart {
  const bm_chart_ops_t *ops;
  size_t system_d, d;
  size_t particles, dimensions; /* of a shape */
  bm_standardisation_t *units;  /* of the unscaled coordinates u [d] */

  /* aligned molecules */
  bm_alignment_t *alignment;
  size_t centre_count;
  int64_t *centres; /* [centre_count][4] */
  double *hands;    /* [centre_count], handedness of each */
  double noise;     /* along the rigid directions, nm */

  /* principal directions */
  double *mean;       /* [shape d] */
  double *directions; /* [d][shape d] */

  /* angles */
  int64_t *angles; /* [d][4] */
  double *cuts;    /* [d], where the circle is cut; NULL: at ±pi */

  double *work;  /* [d], room for unscaled coordinates */
  double *slope; /* [shape d], room for a gradient */
};

/* A kind of chart. u are the unscaled coordinates; NULL: z and u are the same. */
struct bm_chart_ops {
  const char *name;
  const char *description;
  int aligned; /* are shapes aligned configurations? */
  int angular;
  size_t lost; /* coordinates of the shape that u does not have */
  /* what projection and u need, from n configurations, x standing in the system's own coordinates; then shapes
   * are known, and with them what needs those; NULL: nothing */
  bm_status_t (*prepare)(const bm_chart_system_t *system, size_t n, const double *x,
                         bm_chart_t *chart);
  bm_status_t (*learn)(size_t n, const double *z /* [n][shape d] */, bm_chart_t *chart);
  bm_status_t (*project)(const bm_chart_t *chart, size_t n, const double *x, double *z);
  void (*flatten)(const bm_chart_t *chart, const double *z, double *u);
  void (*unflatten)(const bm_chart_t *chart, const double *u, double *z);
  void (*adjoint)(const bm_chart_t *chart, const double *g_z, double *g_u); /* of unflatten */
  /* What makes a density of u one of the shape, and its gradient by u, `g_z` being room; NULL: 0 */
  double (*log_weight)(const bm_chart_t *chart, const double *u, const double *z);
  void (*log_weight_gradient)(const bm_chart_t *chart, const double *u, const double *z,
                              double *g_z /* [shape d] */, double *g_u /* [d] */);
};

/* A chart that knows its sizes alone. */
bm_status_t bm_chart_create(const bm_chart_ops_t *ops, const bm_chart_system_t *system,
                            bm_chart_t **out);

/* Alignment onto the mean of the configurations, and the handedness of the start. */
bm_status_t bm_chart_prepare_alignment(const bm_chart_system_t *system, size_t n, const double *x,
                                       bm_chart_t *chart);

/* Aligned configurations; mirror images are refused. */
bm_status_t bm_chart_project_aligned(const bm_chart_t *chart, size_t n, const double *x, double *z);

#endif
