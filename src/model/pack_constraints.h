/* Constrained bonds in lanes, cluster by cluster. Included by the two files that compile the kernels.
 *
 * One hydrogen: the quadratic equation of its multiplier, solved. Two and three: a fixed number of
 * steps with the matrix of the unconstrained positions, all lanes alike. Changes of velocities come
 * from the multipliers, not from differences of positions, which have lost their digits. */

#ifndef BOLTZMAP_MODEL_PACK_CONSTRAINTS_H
#define BOLTZMAP_MODEL_PACK_CONSTRAINTS_H

#include "pack_forces.h"

#ifdef BM_LANE_DOUBLE
#define BM_CONSTRAINT_STEPS 10
#else
#define BM_CONSTRAINT_STEPS 4
#endif

/* Inverse of a 3×3 matrix. */
BM_INLINE void invert(lane_t m[3][3], lane_t inverse[3][3])
{
  lane_t cofactor[3][3];
  for (int i = 0; i < 3; i++) {
    for (int j = 0; j < 3; j++) {
      int i1 = (i + 1) % 3;
      int i2 = (i + 2) % 3;
      int j1 = (j + 1) % 3;
      int j2 = (j + 2) % 3;
      cofactor[i][j] = m[i1][j1] * m[i2][j2] - m[i1][j2] * m[i2][j1];
    }
  }
  lane_t scale =
      1 / (m[0][0] * cofactor[0][0] + m[0][1] * cofactor[0][1] + m[0][2] * cofactor[0][2]);
  for (int i = 0; i < 3; i++) {
    for (int j = 0; j < 3; j++) {
      inverse[i][j] = cofactor[j][i] * scale;
    }
  }
}

/* One hydrogen: |r + g·d|² = length², r and d the bond now and before. */
BM_INLINE void hold_one(const cluster_row_t *cluster, const lane_t *x, lane_t *y, lane_t *v,
                        scalar_t per_time)
{
  const scalar_t ic = cluster->inverse_centre;
  const scalar_t ih = cluster->inverse_hydrogen[0];
  const size_t c = cluster->centre;
  const size_t h = cluster->hydrogen[0];
  lane_t d[3];
  lane_t r[3];
  subtract(x + h, x + c, d);
  subtract(y + h, y + c, r);
  lane_t along = dot(r, d);
  lane_t excess = dot(r, r) - cluster->square[0];
  lane_t root = square_root(along * along - dot(d, d) * excess);
  lane_t g = -excess / ((along + root) * (ic + ih));
  for (size_t a = 0; a < 3; a++) {
    lane_t push = g * d[a];
    y[c + a] -= ic * push;
    y[h + a] += ih * push;
    v[c + a] -= ic * per_time * push;
    v[h + a] += ih * per_time * push;
  }
}

/* Two or three hydrogens. */
BM_INLINE void hold_more(const cluster_row_t *cluster, const lane_t *x, lane_t *y, lane_t *v,
                         scalar_t per_time)
{
  const int count = cluster->count;
  const scalar_t ic = cluster->inverse_centre;
  const size_t c = cluster->centre;
  lane_t d[3][3];
  lane_t r[3][3];
  lane_t matrix[3][3] = {
      {all(1), all(0), all(0)}, {all(0), all(1), all(0)}, {all(0), all(0), all(1)}};
  lane_t inverse[3][3];
  lane_t total[3] = {all(0), all(0), all(0)};
  for (int k = 0; k < count; k++) {
    subtract(x + cluster->hydrogen[k], x + c, d[k]);
    subtract(y + cluster->hydrogen[k], y + c, r[k]);
  }
  for (int k = 0; k < count; k++) {
    for (int l = 0; l < count; l++) {
      matrix[k][l] = 2 * (ic + (k == l ? cluster->inverse_hydrogen[k] : 0)) * dot(r[k], d[l]);
    }
  }
  invert(matrix, inverse);
  for (int step = 0; step < BM_CONSTRAINT_STEPS; step++) {
    lane_t excess[3] = {all(0), all(0), all(0)};
    lane_t change[3];
    for (int k = 0; k < count; k++) {
      excess[k] = cluster->square[k] - dot(r[k], r[k]);
    }
    for (int k = 0; k < count; k++) {
      change[k] = dot(inverse[k], excess);
      total[k] += change[k];
    }
    for (size_t a = 0; a < 3; a++) {
      lane_t common = all(0);
      for (int k = 0; k < count; k++) {
        common += change[k] * d[k][a];
      }
      for (int k = 0; k < count; k++) {
        r[k][a] += ic * common + cluster->inverse_hydrogen[k] * change[k] * d[k][a];
      }
    }
  }
  for (size_t a = 0; a < 3; a++) {
    for (int k = 0; k < count; k++) {
      lane_t push = total[k] * d[k][a];
      const size_t h = cluster->hydrogen[k];
      y[c + a] -= ic * push;
      y[h + a] += cluster->inverse_hydrogen[k] * push;
      v[c + a] -= ic * per_time * push;
      v[h + a] += cluster->inverse_hydrogen[k] * per_time * push;
    }
  }
}

/* Positions y, reached from x, back to the constraints; velocities with them. */
BM_INLINE void hold_positions(const bm_pack_t *pack, const lane_t *x, lane_t *y, lane_t *v,
                              scalar_t timestep)
{
  for (size_t n = 0; n < pack->cluster_count; n++) {
    const cluster_row_t *cluster = &pack->cluster[n];
    if (cluster->count == 1) {
      hold_one(cluster, x, y, v, 1 / timestep);
    } else {
      hold_more(cluster, x, y, v, 1 / timestep);
    }
  }
}

/* Velocities along constrained bonds taken away. */
BM_INLINE void hold_velocities(const bm_pack_t *pack, const lane_t *x, lane_t *v)
{
  for (size_t n = 0; n < pack->cluster_count; n++) {
    const cluster_row_t *cluster = &pack->cluster[n];
    const int count = cluster->count;
    const scalar_t ic = cluster->inverse_centre;
    lane_t *vc = v + cluster->centre;
    lane_t d[3][3];
    lane_t rate[3] = {all(0), all(0), all(0)};
    lane_t matrix[3][3] = {
        {all(1), all(0), all(0)}, {all(0), all(1), all(0)}, {all(0), all(0), all(1)}};
    lane_t inverse[3][3];
    for (int k = 0; k < count; k++) {
      lane_t u[3];
      subtract(x + cluster->hydrogen[k], x + cluster->centre, d[k]);
      subtract(v + cluster->hydrogen[k], vc, u);
      rate[k] = -dot(d[k], u);
    }
    for (int k = 0; k < count; k++) {
      for (int l = 0; l < count; l++) {
        matrix[k][l] = (ic + (k == l ? cluster->inverse_hydrogen[k] : 0)) * dot(d[k], d[l]);
      }
    }
    if (count == 1) {
      inverse[0][0] = 1 / matrix[0][0];
    } else {
      invert(matrix, inverse);
    }
    for (int k = 0; k < count; k++) {
      lane_t multiplier = count == 1 ? inverse[0][0] * rate[0] : dot(inverse[k], rate);
      lane_t *vh = v + cluster->hydrogen[k];
      for (size_t a = 0; a < 3; a++) {
        vc[a] -= ic * multiplier * d[k][a];
        vh[a] += cluster->inverse_hydrogen[k] * multiplier * d[k][a];
      }
    }
  }
}

#endif
