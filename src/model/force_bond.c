/* Harmonic bonds: E = k/2 · (r - r0)². */

#include <math.h>

#include "boltzmap/model/force_field.h"

static double energy(const bm_force_field_t *field, const double *x /* [atoms][3] */,
                     double *force /* [atoms][3] or NULL */)
{
  double sum = 0.0;
  for (size_t b = 0; b < field->topology->bond_count; b++) {
    const bm_bond_t *bond = &field->topology->bonds[b];
    double delta[3];
    for (size_t a = 0; a < 3; a++) {
      delta[a] = x[3 * bond->i + a] - x[3 * bond->j + a];
    }
    double r = sqrt(delta[0] * delta[0] + delta[1] * delta[1] + delta[2] * delta[2]);
    double stretch = r - bond->length;
    sum += 0.5 * bond->stiffness * stretch * stretch;
    for (size_t a = 0; force != NULL && a < 3; a++) {
      double f = -bond->stiffness * stretch * delta[a] / r;
      force[3 * bond->i + a] += f;
      force[3 * bond->j + a] -= f;
    }
  }
  return sum;
}

const bm_force_term_t bm_force_bond = {"bond", energy};
