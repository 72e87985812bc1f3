#include "boltzmap/base/internal.h"

#include <math.h>

static void difference(const double *x, size_t from, size_t to, double out[3])
{
  for (size_t c = 0; c < 3; c++) {
    out[c] = x[3 * to + c] - x[3 * from + c];
  }
}

static double dot(const double a[3], const double b[3])
{
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void cross(const double a[3], const double b[3], double out[3])
{
  out[0] = a[1] * b[2] - a[2] * b[1];
  out[1] = a[2] * b[0] - a[0] * b[2];
  out[2] = a[0] * b[1] - a[1] * b[0];
}

double bm_internal_distance(const double *x, const size_t atoms[2])
{
  double d[3];
  difference(x, atoms[0], atoms[1], d);
  return sqrt(dot(d, d));
}

double bm_internal_angle(const double *x, const size_t atoms[3])
{
  double a[3];
  double b[3];
  double normal[3];
  difference(x, atoms[1], atoms[0], a);
  difference(x, atoms[1], atoms[2], b);
  cross(a, b, normal);
  return atan2(sqrt(dot(normal, normal)), dot(a, b));
}

double bm_internal_dihedral(const double *x, const size_t atoms[4])
{
  double first[3];
  double middle[3];
  double last[3];
  double a[3];
  double b[3];
  difference(x, atoms[0], atoms[1], first);
  difference(x, atoms[1], atoms[2], middle);
  difference(x, atoms[2], atoms[3], last);
  cross(first, middle, a);
  cross(middle, last, b);
  return atan2(sqrt(dot(middle, middle)) * dot(first, b), dot(a, b));
}

double bm_internal_handedness(const double *x, const size_t atoms[4])
{
  double a[3];
  double b[3];
  double c[3];
  double normal[3];
  difference(x, atoms[0], atoms[1], a);
  difference(x, atoms[0], atoms[2], b);
  difference(x, atoms[0], atoms[3], c);
  cross(b, c, normal);
  return dot(a, normal);
}
