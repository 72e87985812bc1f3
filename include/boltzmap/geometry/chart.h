#ifndef BOLTZMAP_GEOMETRY_CHART_H
#define BOLTZMAP_GEOMETRY_CHART_H

/* Charts: the coordinates that a flow works in, and the way from configurations to them and back. A chart is
 * one file and one row of BM_CHART_TABLE, chosen by `flow.coordinates`.
 *
 *   configuration x --project--> shape z --encode--> flow coordinates y (zero mean, unit variance)
 *                                shape z <--decode-- y
 *
 * A shape is what is left of a configuration when that is taken out which the chart does not describe: an
 * aligned configuration, or the backbone angles of one. Shapes are what generated samples are, and what
 * they are compared by; decode is affine, so that losses on shapes have gradients.
 *
 * Densities are per volume of configurations x where the shape is one; for aligned molecules per volume of
 * whole configurations at this shape (with position and orientation left open, see
 * bm_alignment_log_volume), so that importance weights are exp(-beta·U)/density for every chart but those
 * of angles. Local arithmetic. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/random.h"
#include "boltzmap/base/status.h"
#include "boltzmap/io/state.h"

/* What charts may need to know of a system; nothing is owned. */
typedef struct {
  size_t particles, dimensions;
  const double *start;        /* [particles][dimensions], a structure of the right handedness */
  size_t angle_count;         /* backbone angles */
  const size_t (*angles)[4];  /* [angle_count] */
  size_t centre_count;        /* stereocentres */
  const size_t (*centres)[4]; /* [centre_count], the atom and three of its neighbours */
  double noise;               /* nm, in directions in which aligned molecules do not vary */
} bm_chart_system_t;

typedef struct bm_chart bm_chart_t;
typedef struct bm_chart_ops bm_chart_ops_t;

/* All charts: bm_chart_<row> is defined in a file of its own. The first is that of systems in a fixed frame,
 * the others are for molecules. */
#define BM_CHART_MOLECULAR_TABLE(X) \
  X(cartesian, "cartesian")         \
  X(whitened, "whitened")           \
  X(dihedrals, "dihedrals")         \
  X(torus, "torus")
#define BM_CHART_TABLE(X)         \
  X(standardised, "standardised") \
  BM_CHART_MOLECULAR_TABLE(X)

#define BM_CHART_ROW(row, name) extern const bm_chart_ops_t bm_chart_##row;
BM_CHART_TABLE(BM_CHART_ROW)
#undef BM_CHART_ROW

/* Names of those for molecules, ended by NULL. */
extern const char *const bm_chart_molecular_names[];

/* A row by its name; NULL where there is none. */
const bm_chart_ops_t *bm_chart_find(const char *name);

/* Coordinates of the flow, without a chart. */
size_t bm_chart_dimension_of(const bm_chart_ops_t *ops, const bm_chart_system_t *system);

/* Are its shapes backbone angles? */
int bm_chart_is_angular(const bm_chart_ops_t *ops);

/* A chart fitted to n configurations. BM_ERR_DATA where they do not vary in a direction that is described, for
 * mirror images, and for what cannot be aligned; BM_ERR_MEMORY. Owned by the caller, and for one thread: it
 * has room for a row at work. */
bm_status_t bm_chart_fit(const bm_chart_ops_t *ops, const bm_chart_system_t *system, size_t n,
                         const double *x /* [n][particles][dimensions] */, bm_chart_t **out);

/* Columns standardised with these means and scales. BM_ERR_MEMORY. Owned by the caller. */
bm_status_t bm_chart_create_standardised(size_t particles, size_t dimensions,
                                         const double *mean /* [particles · dimensions] */,
                                         const double *scale /* [particles · dimensions] */,
                                         bm_chart_t **out);
void bm_chart_destroy(bm_chart_t **chart);

const char *bm_chart_name(const bm_chart_t *chart);
size_t bm_chart_dimension(const bm_chart_t *chart);        /* coordinates of the flow */
size_t bm_chart_system_dimension(const bm_chart_t *chart); /* of a configuration */
size_t bm_chart_shape_dimension(const bm_chart_t *chart);
size_t bm_chart_particles(const bm_chart_t *chart); /* of a shape */

/* The scale of each flow coordinate, [d]. */
const double *bm_chart_scale(const bm_chart_t *chart);

/* Log-determinant of y -> unscaled coordinates: the sum of log scale. */
double bm_chart_log_det(const bm_chart_t *chart);

/* Shapes of n configurations. BM_ERR_DATA, naming the configuration, for mirror images and for what cannot be
 * aligned. */
bm_status_t bm_chart_project(const bm_chart_t *chart, size_t n, const double *x /* [n][system d] */,
                             double *z /* [n][shape d] */);

/* One shape [shape d] to flow coordinates [d], and back. `log_weight`, where not NULL, is what has to be added
 * to the log density of the unscaled coordinates to make it one of the shape. z and y are different arrays. */
void bm_chart_encode(const bm_chart_t *chart, const double *z, double *y);
void bm_chart_decode(const bm_chart_t *chart, const double *y, double *z, double *log_weight);

/* The gradient by y from that by z = decode(y). */
void bm_chart_decode_adjoint(const bm_chart_t *chart, const double *g_z /* [shape d] */,
                             double *g_y /* [d] */);

/* The gradient by y of the log weight of z = decode(y); g_y may be y. */
void bm_chart_log_weight_gradient(const bm_chart_t *chart, const double *y /* [d] */,
                                  const double *z /* [shape d] */, double *g_y /* [d] */);

/* What training adds to the flow coordinates of row `row` in this round, so that a density exists in all
 * directions: noise along those in which the data do not vary. Nothing for charts without such. */
void bm_chart_add_noise(const bm_chart_t *chart, bm_random_t random, uint32_t row, uint64_t round,
                        double *y /* [d] */);

/* Into a state container and from it; containers without one are of standardised columns. Errors as
 * bm_state_get_doubles; BM_ERR_DATA for sizes that make no sense. */
bm_status_t bm_chart_save(const bm_chart_t *chart, bm_state_t *state);
bm_status_t bm_chart_load(const bm_state_t *state, size_t particles, size_t dimensions,
                          bm_chart_t **out);

#endif
