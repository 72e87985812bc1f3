/* Harmonic angles: E = k/2 · (theta - theta0)². */

#include <math.h>

#include "boltzmap/model/force_field.h"

/* Sine of a straight angle for its force, whose direction is then undefined. */
#define BM_SINE_LEAST 1e-8

static double dot(const double *a, const double *b)
{
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static double energy(const bm_force_field_t *field, const double *x /* [atoms][3] */,
                     double *force /* [atoms][3] or NULL */)
{
  double sum = 0.0;
  for (size_t n = 0; n < field->topology->angle_count; n++) {
    const bm_angle_t *angle = &field->topology->angles[n];
    double u[3];
    double v[3];
    for (size_t a = 0; a < 3; a++) {
      u[a] = x[3 * angle->i + a] - x[3 * angle->j + a];
      v[a] = x[3 * angle->k + a] - x[3 * angle->j + a];
    }
    double cross[3] = {u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2],
                       u[0] * v[1] - u[1] * v[0]};
    double product = sqrt(dot(u, u) * dot(v, v));
    double cosine = dot(u, v) / product;
    double sine = sqrt(dot(cross, cross)) / product;
    double bend = atan2(sine, cosine) - angle->angle;
    sum += 0.5 * angle->stiffness * bend * bend;
    /* d theta = -d cos(theta) / sin(theta) */
    double slope = angle->stiffness * bend / (sine > BM_SINE_LEAST ? sine : BM_SINE_LEAST);
    for (size_t a = 0; force != NULL && a < 3; a++) {
      double first = slope * (v[a] / product - u[a] * cosine / dot(u, u));
      double last = slope * (u[a] / product - v[a] * cosine / dot(v, v));
      force[3 * angle->i + a] += first;
      force[3 * angle->k + a] += last;
      force[3 * angle->j + a] -= first + last;
    }
  }
  return sum;
}

const bm_force_term_t bm_force_angle = {"angle", energy};
