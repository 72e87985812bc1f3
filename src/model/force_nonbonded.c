/* Lennard-Jones and Coulomb between all pairs: E = a/r¹² - b/r⁶ + q/r. */

#include <math.h>

#include "boltzmap/model/force_field.h"

static double energy(const bm_force_field_t *field, const double *x /* [atoms][3] */,
                     double *force /* [atoms][3] or NULL */)
{
  double sum = 0.0;
  for (size_t p = 0; p < field->topology->pair_count; p++) {
    const bm_pair_t *pair = &field->topology->pairs[p];
    if (pair->a == 0.0 && pair->b == 0.0 && pair->charges == 0.0) {
      continue;
    }
    double delta[3];
    for (size_t a = 0; a < 3; a++) {
      delta[a] = x[3 * pair->i + a] - x[3 * pair->j + a];
    }
    double square = delta[0] * delta[0] + delta[1] * delta[1] + delta[2] * delta[2];
    double sixth = 1.0 / (square * square * square);
    double coulomb = pair->charges / sqrt(square);
    sum += (pair->a * sixth - pair->b) * sixth + coulomb;
    double slope = ((12.0 * pair->a * sixth - 6.0 * pair->b) * sixth + coulomb) / square;
    for (size_t a = 0; force != NULL && a < 3; a++) {
      force[3 * pair->i + a] += slope * delta[a];
      force[3 * pair->j + a] -= slope * delta[a];
    }
  }
  return sum;
}

const bm_force_term_t bm_force_nonbonded = {"nonbonded", energy};
