/* GB-OBC2 implicit solvent with surface-area term (references in force_field.h). With rho_i the radius
 * less the offset and s_j the scaled radius,
 *   I_i  = sum over j of the integral of 1/r⁴ over sphere j outside of atom i,
 *   psi  = rho_i · I_i / 2,
 *   1/B_i = 1/rho_i - tanh(alpha·psi - beta·psi² + gamma·psi³) / R_i,
 *   E    = factor/2 · sum over i, j of q_i q_j / f_ij,  f² = r² + B_i B_j exp(-r²/(4 B_i B_j))
 *          + 4 pi · surface · sum over i of (R_i + probe)² (R_i/B_i)⁶. */

#include <math.h>
#include <string.h>

#include "boltzmap/model/force_field.h"

/* Scratch of one call: columns of field->room. */
typedef struct {
  double *integral; /* I_i */
  double *born;     /* B_i */
  double *chain;    /* dB_i / dI_i */
  double *slope;    /* dE / dB_i, then dE / dI_i */
} columns_t;

/* What depends on r through the lower limit cancels in the derivative. */
double bm_force_born_integral(double r, double rho, double s, double *derivative)
{
  *derivative = 0.0;
  if (rho >= r + s) {
    return 0.0;
  }
  double lower = 1.0 / fmax(rho, fabs(r - s));
  double upper = 1.0 / (r + s);
  double squares = lower * lower - upper * upper;
  double logarithm = log(upper / lower);
  double value = lower - upper - 0.25 * (r - s * s / r) * squares + 0.5 * logarithm / r;
  *derivative = -0.25 * (1.0 + s * s / (r * r)) * squares - 0.5 * logarithm / (r * r);
  if (rho < s - r) { /* atom i inside of sphere j */
    value += 2.0 * (1.0 / rho - lower);
  }
  return value;
}

static double distance(const double *x, size_t i, size_t j)
{
  double square = 0.0;
  for (size_t a = 0; a < 3; a++) {
    double delta = x[3 * i + a] - x[3 * j + a];
    square += delta * delta;
  }
  return sqrt(square);
}

static void fill_radii(const bm_force_field_t *field, const double *x, columns_t *columns)
{
  const bm_topology_t *topology = field->topology;
  memset(columns->integral, 0, topology->atoms * sizeof(double));
  for (size_t p = 0; p < topology->pair_count; p++) {
    const size_t i = topology->pairs[p].i;
    const size_t j = topology->pairs[p].j;
    double r = distance(x, i, j);
    double derivative;
    columns->integral[i] +=
        bm_force_born_integral(r, field->offset_radius[i], field->scaled_radius[j], &derivative);
    columns->integral[j] +=
        bm_force_born_integral(r, field->offset_radius[j], field->scaled_radius[i], &derivative);
  }
  for (size_t i = 0; i < topology->atoms; i++) {
    double rho = field->offset_radius[i];
    double psi = 0.5 * rho * columns->integral[i];
    double curve = tanh(psi * (BM_OBC_ALPHA + psi * (-BM_OBC_BETA + psi * BM_OBC_GAMMA)));
    double born = 1.0 / (1.0 / rho - curve / topology->radius[i]);
    columns->born[i] = born;
    columns->chain[i] = born * born * (1.0 - curve * curve) / topology->radius[i] *
                        (BM_OBC_ALPHA + psi * (-2.0 * BM_OBC_BETA + psi * 3.0 * BM_OBC_GAMMA)) *
                        0.5 * rho;
  }
}

/* Terms of single atoms: charges with themselves, surface area. */
static double self_energy(const bm_force_field_t *field, columns_t *columns)
{
  const bm_topology_t *topology = field->topology;
  double sum = 0.0;
  for (size_t i = 0; i < topology->atoms; i++) {
    double born = columns->born[i];
    double charge = 0.5 * field->solvent_factor * topology->charge[i] * topology->charge[i] / born;
    double reach = topology->radius[i] + BM_PROBE_RADIUS;
    double surface =
        4.0 * M_PI * field->surface_energy * reach * reach * pow(topology->radius[i] / born, 6.0);
    sum += charge + surface;
    columns->slope[i] = -(charge + 6.0 * surface) / born;
  }
  return sum;
}

/* factor·q_i q_j/f of one pair; slopes by r² and by B_i and B_j. */
static double screened(double charges, double square, double bi, double bj, double *by_square,
                       double *by_bi, double *by_bj)
{
  double product = bi * bj;
  double exponential = exp(-square / (4.0 * product));
  double f2 = square + product * exponential;
  double value = charges / sqrt(f2);
  double by_f2 = -0.5 * value / f2;
  double by_product = by_f2 * exponential * (1.0 + square / (4.0 * product));
  *by_square = by_f2 * (1.0 - 0.25 * exponential);
  *by_bi = by_product * bj;
  *by_bj = by_product * bi;
  return value;
}

static void add_along(const double *x, size_t i, size_t j, double factor, double *force)
{
  for (size_t a = 0; a < 3; a++) {
    double f = factor * (x[3 * i + a] - x[3 * j + a]);
    force[3 * i + a] += f;
    force[3 * j + a] -= f;
  }
}

static double pair_energy(const bm_force_field_t *field, const double *x, columns_t *columns,
                          double *force)
{
  const bm_topology_t *topology = field->topology;
  double sum = 0.0;
  for (size_t p = 0; p < topology->pair_count; p++) {
    const size_t i = topology->pairs[p].i;
    const size_t j = topology->pairs[p].j;
    double r = distance(x, i, j);
    double by_square;
    double by_bi;
    double by_bj;
    sum += screened(field->solvent_factor * topology->charge[i] * topology->charge[j], r * r,
                    columns->born[i], columns->born[j], &by_square, &by_bi, &by_bj);
    columns->slope[i] += by_bi;
    columns->slope[j] += by_bj;
    if (force != NULL) {
      add_along(x, i, j, -2.0 * by_square, force);
    }
  }
  return sum;
}

/* Forces through the Born radii. */
static void add_radius_forces(const bm_force_field_t *field, const double *x,
                              const columns_t *columns, double *force)
{
  const bm_topology_t *topology = field->topology;
  for (size_t p = 0; p < topology->pair_count; p++) {
    const size_t i = topology->pairs[p].i;
    const size_t j = topology->pairs[p].j;
    double r = distance(x, i, j);
    double of_i;
    double of_j;
    bm_force_born_integral(r, field->offset_radius[i], field->scaled_radius[j], &of_i);
    bm_force_born_integral(r, field->offset_radius[j], field->scaled_radius[i], &of_j);
    add_along(x, i, j,
              -(columns->slope[i] * columns->chain[i] * of_i +
                columns->slope[j] * columns->chain[j] * of_j) /
                  r,
              force);
  }
}

static double energy(const bm_force_field_t *field, const double *x /* [atoms][3] */,
                     double *force /* [atoms][3] or NULL */)
{
  if (!field->solvated) {
    return 0.0;
  }
  const size_t atoms = field->topology->atoms;
  columns_t columns = {field->room, field->room + atoms, field->room + 2 * atoms,
                       field->room + 3 * atoms};
  fill_radii(field, x, &columns);
  double sum = self_energy(field, &columns);
  sum += pair_energy(field, x, &columns, force);
  if (force != NULL) {
    add_radius_forces(field, x, &columns, force);
  }
  return sum;
}

const bm_force_term_t bm_force_solvation = {"solvation", energy};
