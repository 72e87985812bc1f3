#ifndef BOLTZMAP_TESTS_UNIT_GEOMETRY_RIGID_MOTION_H
#define BOLTZMAP_TESTS_UNIT_GEOMETRY_RIGID_MOTION_H

/* Random translations and rotations, functions of (stream, step). */

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/random.h"

/* Turn by the rotation of this quaternion (w, x, y, z), of any length but 0: v + 2w(q × v) + 2q × (q × v). */
static inline void turn_by(size_t particles, const double quaternion[4], double *x)
{
  double q[4];
  double square = 0.0;
  for (int k = 0; k < 4; k++) {
    square += quaternion[k] * quaternion[k];
  }
  for (int k = 0; k < 4; k++) {
    q[k] = quaternion[k] / sqrt(square);
  }
  for (size_t i = 0; i < particles; i++) {
    double *v = x + 3 * i;
    const double a[3] = {q[2] * v[2] - q[3] * v[1], q[3] * v[0] - q[1] * v[2],
                         q[1] * v[1] - q[2] * v[0]};
    const double b[3] = {q[2] * a[2] - q[3] * a[1], q[3] * a[0] - q[1] * a[2],
                         q[1] * a[1] - q[2] * a[0]};
    for (int c = 0; c < 3; c++) {
      v[c] += 2.0 * (q[0] * a[c] + b[c]);
    }
  }
}

/* By a rotation that is uniform among all, and by about 1 in each direction. */
static inline void move_and_turn(size_t particles, uint32_t stream, uint64_t step, double *x)
{
  double normals[7];
  bm_random_normals(bm_random(32, BM_PURPOSE_TEST), stream, step, 0, 7, normals);
  turn_by(particles, normals, x);
  for (size_t i = 0; i < 3 * particles; i++) {
    x[i] += normals[4 + i % 3];
  }
}

#endif
