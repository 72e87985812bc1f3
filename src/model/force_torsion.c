/* Cosine torsions: E = V · (1 + cos(n·phi - phase)). Forces as in Blondel, Karplus, J. Comput. Chem. 17,
 * 1132 (1996), which has no division by the sine of phi. */

#include <math.h>

#include "boltzmap/model/force_field.h"

typedef struct {
  double f[3], g[3], h[3]; /* x_i - x_j, x_j - x_k, x_l - x_k */
  double a[3], b[3];       /* f × g, h × g: normals of the two planes */
  double aa, bb, length;   /* |a|², |b|², |g| */
} planes_t;

static double dot(const double *a, const double *b)
{
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void cross(const double *a, const double *b, double *out)
{
  out[0] = a[1] * b[2] - a[2] * b[1];
  out[1] = a[2] * b[0] - a[0] * b[2];
  out[2] = a[0] * b[1] - a[1] * b[0];
}

static void fill_planes(const double *x, const size_t atoms[4], planes_t *planes)
{
  for (size_t c = 0; c < 3; c++) {
    planes->f[c] = x[3 * atoms[0] + c] - x[3 * atoms[1] + c];
    planes->g[c] = x[3 * atoms[1] + c] - x[3 * atoms[2] + c];
    planes->h[c] = x[3 * atoms[3] + c] - x[3 * atoms[2] + c];
  }
  cross(planes->f, planes->g, planes->a);
  cross(planes->h, planes->g, planes->b);
  planes->aa = dot(planes->a, planes->a);
  planes->bb = dot(planes->b, planes->b);
  planes->length = sqrt(dot(planes->g, planes->g));
}

static double angle_of(const planes_t *planes)
{
  double normal[3];
  cross(planes->b, planes->a, normal);
  return atan2(dot(normal, planes->g) / planes->length, dot(planes->a, planes->b));
}

/* Forces of a torsion whose energy has this slope dE/dphi. */
static void add_forces(const planes_t *planes, const size_t atoms[4], double slope, double *force)
{
  double along_f = dot(planes->f, planes->g) / (planes->length * planes->aa);
  double along_h = dot(planes->h, planes->g) / (planes->length * planes->bb);
  for (size_t c = 0; c < 3; c++) {
    double first = slope * planes->length / planes->aa * planes->a[c];
    double last = -slope * planes->length / planes->bb * planes->b[c];
    double middle = slope * (along_f * planes->a[c] - along_h * planes->b[c]);
    force[3 * atoms[0] + c] += first;
    force[3 * atoms[1] + c] -= first + middle;
    force[3 * atoms[2] + c] += middle - last;
    force[3 * atoms[3] + c] += last;
  }
}

static double energy(const bm_force_field_t *field, const double *x /* [atoms][3] */,
                     double *force /* [atoms][3] or NULL */)
{
  double sum = 0.0;
  for (size_t t = 0; t < field->topology->torsion_count; t++) {
    const bm_torsion_t *torsion = &field->topology->torsions[t];
    const size_t atoms[4] = {torsion->i, torsion->j, torsion->k, torsion->l};
    planes_t planes;
    fill_planes(x, atoms, &planes);
    double argument = torsion->periodicity * angle_of(&planes) - torsion->phase;
    sum += torsion->height * (1.0 + cos(argument));
    if (force != NULL) {
      add_forces(&planes, atoms, -torsion->height * torsion->periodicity * sin(argument), force);
    }
  }
  return sum;
}

const bm_force_term_t bm_force_torsion = {"torsion", energy};
