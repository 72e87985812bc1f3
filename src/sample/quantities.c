#include "boltzmap/sample/quantities.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BM_COORDINATES_MOST 128

static size_t coordinate_count(const bm_potential_t *potential)
{
  const size_t d = bm_potential_dimension(potential);
  if (bm_potential_traits(potential)->invariant) {
    return 0;
  }
  return d < BM_COORDINATES_MOST ? d : BM_COORDINATES_MOST;
}

static size_t coordinate_of(const bm_potential_t *potential, size_t q)
{
  const size_t count = coordinate_count(potential);
  assert(q < count);
  return q * bm_potential_dimension(potential) / count;
}

size_t bm_quantities_count(const bm_potential_t *potential)
{
  const bm_traits_t *traits = bm_potential_traits(potential);
  size_t count = coordinate_count(potential) + 1;
  for (size_t k = 0; k < traits->observable_count; k++) {
    count += traits->observables[k].period > 0.0 ? 2 : 1;
  }
  return count;
}

void bm_quantities_name(const bm_potential_t *potential, size_t q, char *name, size_t size)
{
  const bm_traits_t *traits = bm_potential_traits(potential);
  size_t next = coordinate_count(potential);
  if (q < next) {
    snprintf(name, size, "coordinate %zu", coordinate_of(potential, q) + 1);
    return;
  }
  for (size_t k = 0; k < traits->observable_count; k++) {
    const bm_observable_name_t *observable = &traits->observables[k];
    size_t own = observable->period > 0.0 ? 2 : 1;
    if (q < next + own) {
      snprintf(name, size, "%s%s", own == 1 ? "" : q == next ? "sin " : "cos ", observable->name);
      return;
    }
    next += own;
  }
  snprintf(name, size, "energy");
}

void bm_quantities(const bm_potential_t *potential, size_t n, const double *x /* [n][d] */,
                   const double *energy /* [n] */, double *values /* [quantities][n] */,
                   double *room /* [observables][n] */)
{
  const bm_traits_t *traits = bm_potential_traits(potential);
  const size_t d = bm_potential_dimension(potential);
  const size_t coordinates = coordinate_count(potential);
  for (size_t q = 0; q < coordinates; q++, values += n) {
    size_t column = coordinate_of(potential, q);
    for (size_t i = 0; i < n; i++) {
      values[i] = x[i * d + column];
    }
  }
  bm_potential_observe(potential, n, x, room);
  for (size_t k = 0; k < traits->observable_count; k++) {
    const double *own = room + k * n;
    const double period = traits->observables[k].period;
    if (period > 0.0) {
      for (size_t i = 0; i < n; i++) {
        values[i] = sin(own[i] * 2.0 * M_PI / period);
        values[n + i] = cos(own[i] * 2.0 * M_PI / period);
      }
      values += 2 * n;
    } else {
      memcpy(values, own, n * sizeof *values);
      values += n;
    }
  }
  memcpy(values, energy, n * sizeof *values);
}
