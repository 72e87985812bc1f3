/* The force field in lanes. Included by the two files that compile the kernels.
 *
 * Three passes over pairs: distances, Lennard-Jones, Coulomb and Born integrals with their derivatives;
 * screened charges, once the Born radii are known; forces, once the slopes by the Born radii are. What
 * the formulas are is said in force_nonbonded.c and force_solvation.c. */

#ifndef BOLTZMAP_MODEL_PACK_FORCES_H
#define BOLTZMAP_MODEL_PACK_FORCES_H

#include "pack_tables.h"

/* What an evaluation is asked for. */
typedef struct {
  const lane_t *x; /* [3·atoms] */
  lane_t *force;   /* [3·atoms] */
  lane_t *energy;  /* [BM_TERM_COUNT]; NULL: forces only */
} request_t;

/* Distance of a pair: squared, and powers of its inverse. */
typedef struct {
  lane_t square, inverse, inverse2; /* r², 1/r, 1/r² */
} reach_t;

BM_INLINE lane_t square_of(const lane_t *a, const lane_t *b)
{
  lane_t dx = a[0] - b[0];
  lane_t dy = a[1] - b[1];
  lane_t dz = a[2] - b[2];
  return dx * dx + dy * dy + dz * dz;
}

BM_INLINE reach_t reach_of(const lane_t *a, const lane_t *b)
{
  reach_t reach;
  reach.square = square_of(a, b);
  reach.inverse = inverse_sqrt(reach.square);
  reach.inverse2 = reach.inverse * reach.inverse;
  return reach;
}

/* ln(lower/upper) for 0 < lower ≤ upper, given 1/(lower·upper·(upper + lower)). */
BM_INLINE lane_t log_ratio(const bm_pack_t *pack, lane_t lower, lane_t upper, lane_t scale)
{
#ifdef BM_LANE_DOUBLE
  (void)pack;
  (void)scale;
  return logarithm(lower / upper);
#else
  lane_t z = (upper - lower) * (scale * (lower * upper));
  return -2 * z * polynomial(pack->artanh, BM_ARTANH_DEGREE, z * z);
#endif
}

/* Born integral over a sphere of scaled radius s that overlaps (lower limit rho) or is apart, but
 * neither inside of atom i nor around it; and -d/d(r²). */
BM_INLINE void integrate(const bm_pack_t *pack, const reach_t *reach, lane_t rho, lane_t s,
                         lane_t s2, lane_t *integral, lane_t *slope)
{
  lane_t r = reach->square * reach->inverse;
  lane_t lower = larger(rho, r - s);
  lane_t upper = r + s;
  lane_t sum = upper + lower;
  lane_t difference = upper - lower;
  lane_t product = lower * upper;
  lane_t scale = 1 / (product * sum);
  lane_t near = difference * (scale * sum);      /* 1/lower - 1/upper */
  lane_t squares = near * (sum * (scale * sum)); /* 1/lower² - 1/upper² */
  lane_t ratio = reach->inverse * log_ratio(pack, lower, upper, scale);
  *integral = near + (scalar_t)0.5 * ratio - (scalar_t)0.25 * (r - s2 * reach->inverse) * squares;
  *slope = reach->inverse * ((scalar_t)0.125 * (1 + s2 * reach->inverse2) * squares +
                             (scalar_t)0.25 * ratio * reach->inverse);
}

/* The same wherever the spheres are. */
BM_INLINE void integrate_any(const bm_pack_t *pack, const reach_t *reach, lane_t rho, lane_t s,
                             lane_t s2, lane_t *integral, lane_t *slope)
{
  lane_t r = reach->square * reach->inverse;
  integrate(pack, reach, larger(rho, s - r), s, s2, integral, slope);
  mask_t inside = rho < s - r;
  *integral += choose(inside, 2 * (1 / rho - 1 / (s - r)), all(0));
  mask_t around = rho >= r + s;
  *integral = choose(around, all(0), *integral);
  *slope = choose(around, all(0), *slope);
}

/* For spheres apart, I = s³/r⁴ · sum over k of (s²/r²)^k (2k + 2)/(2k + 3), as a polynomial. */
BM_INLINE void integrate_series(const bm_pack_t *pack, lane_t inverse2, scalar_t s2, scalar_t s3,
                                lane_t *integral, lane_t *slope)
{
  lane_t y = s2 * inverse2;
  lane_t value = all(pack->apart[BM_APART_DEGREE]);
  lane_t derivative = (BM_APART_DEGREE + 2) * value; /* of y²·P(y), over y */
  for (int k = BM_APART_DEGREE - 1; k >= 0; k--) {
    value = value * y + pack->apart[k];
    derivative = derivative * y + (scalar_t)(k + 2) * pack->apart[k];
  }
  lane_t factor = s3 * inverse2 * inverse2;
  *integral = factor * value;
  *slope = factor * inverse2 * derivative;
}

/* Lennard-Jones and Coulomb: force over r, and energy. */
BM_INLINE lane_t interact(const pair_row_t *pair, const reach_t *reach, lane_t *energy)
{
  lane_t sixth = reach->inverse2 * reach->inverse2 * reach->inverse2;
  lane_t coulomb = pair->charges * reach->inverse;
  if (energy != NULL) {
    energy[BM_TERM_nonbonded] += sixth * (pair->a * sixth - pair->b) + coulomb;
  }
  return reach->inverse2 * (sixth * (pair->a12 * sixth - pair->b6) + coulomb);
}

/* Born integrals of a pair and their slopes, of i over j and of j over i. */
typedef struct {
  lane_t integral[2], slope[2];
} born_t;

BM_INLINE void keep_born(const scratch_t *scratch, const pair_row_t *pair, const born_t *born)
{
  scratch->pair[pair->place].by_i = born->slope[0];
  scratch->pair[pair->place].by_j = born->slope[1];
  scratch->integral[pair->i / 3] += born->integral[0];
  scratch->integral[pair->j / 3] += born->integral[1];
}

/* What holds everywhere, in the lanes where the quick way does not. */
static __attribute__((noinline)) void mend_born(const bm_pack_t *pack, const pair_row_t *pair,
                                                lane_t square, mask_t where, born_t *born)
{
  born_t other;
  reach_t reach = {square, inverse_sqrt(square), all(0)};
  reach.inverse2 = reach.inverse * reach.inverse;
  integrate_any(pack, &reach, all(pair->rho_i), all(pair->s_j), all(pair->s2_j), &other.integral[0],
                &other.slope[0]);
  integrate_any(pack, &reach, all(pair->rho_j), all(pair->s_i), all(pair->s2_i), &other.integral[1],
                &other.slope[1]);
  for (int k = 0; k < 2; k++) {
    born->integral[k] = choose(where, other.integral[k], born->integral[k]);
    born->slope[k] = choose(where, other.slope[k], born->slope[k]);
  }
}

BM_INLINE void near_pairs(const bm_pack_t *pack, const request_t *request)
{
  const scratch_t *scratch = &pack->scratch;
  for (size_t n = 0; n < pack->near_count; n++) {
    const pair_row_t *pair = &pack->near[n];
    born_t born;
    reach_t reach = reach_of(request->x + pair->i, request->x + pair->j);
    scratch->pair[pair->place].square = reach.square;
    scratch->pair[pair->place].along = interact(pair, &reach, request->energy);
    if (!pack->solvated) {
      continue;
    }
    integrate(pack, &reach, all(pair->rho_i), all(pair->s_j), all(pair->s2_j), &born.integral[0],
              &born.slope[0]);
    integrate(pack, &reach, all(pair->rho_j), all(pair->s_i), all(pair->s2_i), &born.integral[1],
              &born.slope[1]);
    mask_t seldom = reach.square < pair->seldom;
    if (__builtin_expect(any(seldom), 0)) {
      mend_born(pack, pair, reach.square, seldom, &born);
    }
    keep_born(scratch, pair, &born);
  }
}

BM_INLINE void far_pairs(const bm_pack_t *pack, const request_t *request)
{
  const scratch_t *scratch = &pack->scratch;
  for (size_t n = 0; n < pack->far_count; n++) {
    const pair_row_t *pair = &pack->far[n];
    born_t born;
    reach_t reach = reach_of(request->x + pair->i, request->x + pair->j);
    scratch->pair[pair->place].square = reach.square;
    scratch->pair[pair->place].along = interact(pair, &reach, request->energy);
    if (!pack->solvated) {
      continue;
    }
    integrate_series(pack, reach.inverse2, pair->s2_j, pair->s3_j, &born.integral[0],
                     &born.slope[0]);
    integrate_series(pack, reach.inverse2, pair->s2_i, pair->s3_i, &born.integral[1],
                     &born.slope[1]);
    mask_t overlap = reach.square < pair->apart;
    if (__builtin_expect(any(overlap), 0)) {
      mend_born(pack, pair, reach.square, overlap, &born);
    }
    keep_born(scratch, pair, &born);
  }
}

/* Value and -d/dx of a polynomial. */
BM_INLINE void value_and_slope(const scalar_t *coefficients, int degree, lane_t x, lane_t *value,
                               lane_t *slope)
{
  lane_t derivative = all(0);
  *value = all(coefficients[degree]);
  for (int k = degree - 1; k >= 0; k--) {
    derivative = derivative * x + *value;
    *value = *value * x + coefficients[k];
  }
  *slope = -derivative;
}

BM_INLINE void bonded_pairs(const bm_pack_t *pack, const request_t *request)
{
  const scratch_t *scratch = &pack->scratch;
  for (size_t n = 0; n < pack->bonded_count; n++) {
    const bonded_row_t *row = &pack->bonded[n];
    const pair_row_t *pair = &row->pair;
    born_t born;
    lane_t square = square_of(request->x + pair->i, request->x + pair->j);
    scratch->pair[pair->place].square = square;
    scratch->pair[pair->place].along = all(0);
    value_and_slope(row->of_i, BM_BONDED_DEGREE, square - row->centre, &born.integral[0],
                    &born.slope[0]);
    value_and_slope(row->of_j, BM_BONDED_DEGREE, square - row->centre, &born.integral[1],
                    &born.slope[1]);
    mask_t outside = (square < row->low) | (square > row->high);
    if (__builtin_expect(any(outside), 0)) {
      mend_born(pack, pair, square, outside, &born);
    }
    keep_born(scratch, pair, &born);
  }
}

BM_INLINE void held_pairs(const bm_pack_t *pack, const request_t *request)
{
  const scratch_t *scratch = &pack->scratch;
  for (size_t n = 0; n < pack->held_count; n++) {
    const held_row_t *pair = &pack->held[n];
    scratch->pair[pair->place].square = all(pair->square);
    scratch->pair[pair->place].by_i = all(0);
    scratch->pair[pair->place].by_j = all(0);
    scratch->pair[pair->place].along = all(0);
    if (request->energy != NULL) {
      request->energy[BM_TERM_nonbonded] += pair->energy;
    }
  }
}

/* 1 - 2/(exp(2x) + 1) for any x, from exp(-2|x|). */
BM_INLINE lane_t hyperbolic_tangent(lane_t x)
{
  lane_t e = power_of_two((scalar_t)-2.885390081777926815 * absolute(x));
  lane_t t = (1 - e) / (1 + e);
  return choose(x < 0, -t, t);
}

/* Born radii and the terms of single atoms. */
BM_INLINE void born_radii(const bm_pack_t *pack, const request_t *request)
{
  const scratch_t *scratch = &pack->scratch;
  for (size_t i = 0; i < pack->atoms; i++) {
    const atom_row_t *atom = &pack->atom[i];
    lane_t psi = (scalar_t)0.5 * atom->rho * scratch->integral[i];
    lane_t curve =
        hyperbolic_tangent(psi * ((scalar_t)BM_OBC_ALPHA +
                                  psi * ((scalar_t)-BM_OBC_BETA + psi * (scalar_t)BM_OBC_GAMMA)));
    lane_t inverse = atom->inverse_rho - curve * atom->inverse_radius;
    lane_t ratio = atom->radius * inverse;
    lane_t ratio2 = ratio * ratio;
    lane_t surface = atom->surface * (ratio2 * ratio2 * ratio2);
    lane_t charge = (scalar_t)0.5 * atom->self * inverse;
    scratch->born[i] = 1 / inverse;
    scratch->exponent[i] = (scalar_t)-0.60056120439322490 * inverse; /* sqrt(log2(e))/2 */
    scratch->chain[i] = atom->chain * (1 - curve * curve) *
                        ((scalar_t)BM_OBC_ALPHA + psi * ((scalar_t)(-2.0 * BM_OBC_BETA) +
                                                         psi * (scalar_t)(3.0 * BM_OBC_GAMMA)));
    scratch->slope[i] = -inverse * (charge + 6 * surface);
    if (request->energy != NULL) {
      request->energy[BM_TERM_solvation] += charge + surface;
    }
  }
}

/* Screened charges: forces along pairs, and slopes by the Born radii. */
BM_INLINE void screened_pairs(const bm_pack_t *pack, const request_t *request)
{
  const scratch_t *scratch = &pack->scratch;
  size_t p = 0;
  for (size_t i = 0; i < pack->atoms; i++) {
    lane_t slope = scratch->slope[i];
    const lane_t born = scratch->born[i];
    const lane_t exponent = scratch->exponent[i];
    for (size_t j = i + 1; j < pack->atoms; j++, p++) {
      lane_t square = scratch->pair[p].square;
      /* exp(-r²/(4 B_i B_j)) = 2^t */
      lane_t t = -square * (exponent * scratch->exponent[j]);
      lane_t e = power_of_two(t);
      lane_t other = scratch->born[j];
      lane_t inverse = inverse_sqrt(square + born * other * e);
      lane_t value = pack->screened[p] * inverse;
      lane_t cube = value * (inverse * inverse);
      lane_t by_product = (scalar_t)-0.5 * cube * e * (1 - (scalar_t)0.69314718055994531 * t);
      scratch->pair[p].along += cube * (1 - (scalar_t)0.25 * e);
      slope += by_product * other;
      scratch->slope[j] += by_product * born;
      if (request->energy != NULL) {
        request->energy[BM_TERM_solvation] += value;
      }
    }
    /* dE/dI·2, where I's slope is by r²: chain·B²·dE/dB */
    scratch->slope[i] = slope * born * born * scratch->chain[i];
  }
}

/* Forces of all pairs, each once. */
BM_INLINE void pair_forces(const bm_pack_t *pack, const request_t *request)
{
  const scratch_t *scratch = &pack->scratch;
  lane_t *force = request->force;
  size_t p = 0;
  for (size_t k = 0; k < 3 * pack->atoms; k++) {
    force[k] = all(0);
  }
  for (size_t i = 0; i < pack->atoms; i++) {
    const lane_t *xi = request->x + 3 * i;
    const lane_t at[3] = {xi[0], xi[1], xi[2]};
    lane_t sum[3] = {force[3 * i], force[3 * i + 1], force[3 * i + 2]};
    lane_t slope = pack->solvated ? scratch->slope[i] : all(0);
    for (size_t j = i + 1; j < pack->atoms; j++, p++) {
      lane_t factor = scratch->pair[p].along;
      if (pack->solvated) {
        factor += slope * scratch->pair[p].by_i + scratch->slope[j] * scratch->pair[p].by_j;
      }
      for (size_t a = 0; a < 3; a++) {
        lane_t f = factor * (at[a] - request->x[3 * j + a]);
        sum[a] += f;
        force[3 * j + a] -= f;
      }
    }
    for (size_t a = 0; a < 3; a++) {
      force[3 * i + a] = sum[a];
    }
  }
}

BM_INLINE void bonds(const bm_pack_t *pack, const request_t *request)
{
  for (size_t n = 0; n < pack->bond_count; n++) {
    const bond_row_t *bond = &pack->bond[n];
    reach_t reach = reach_of(request->x + bond->i, request->x + bond->j);
    lane_t stretch = reach.square * reach.inverse - bond->length;
    lane_t factor = -bond->stiffness * stretch * reach.inverse;
    for (size_t a = 0; a < 3; a++) {
      lane_t f = factor * (request->x[bond->i + a] - request->x[bond->j + a]);
      request->force[bond->i + a] += f;
      request->force[bond->j + a] -= f;
    }
    if (request->energy != NULL) {
      request->energy[BM_TERM_bond] += (scalar_t)0.5 * bond->stiffness * stretch * stretch;
    }
  }
}

BM_INLINE lane_t dot(const lane_t a[3], const lane_t b[3])
{
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

BM_INLINE void cross(const lane_t a[3], const lane_t b[3], lane_t out[3])
{
  out[0] = a[1] * b[2] - a[2] * b[1];
  out[1] = a[2] * b[0] - a[0] * b[2];
  out[2] = a[0] * b[1] - a[1] * b[0];
}

BM_INLINE void subtract(const lane_t *a, const lane_t *b, lane_t out[3])
{
  for (size_t k = 0; k < 3; k++) {
    out[k] = a[k] - b[k];
  }
}

BM_INLINE void angles(const bm_pack_t *pack, const request_t *request)
{
  for (size_t n = 0; n < pack->angle_count; n++) {
    const angle_row_t *angle = &pack->angle[n];
    lane_t u[3];
    lane_t v[3];
    subtract(request->x + angle->i, request->x + angle->j, u);
    subtract(request->x + angle->k, request->x + angle->j, v);
    lane_t uu = dot(u, u);
    lane_t vv = dot(v, v);
    lane_t both = inverse_sqrt(uu * vv); /* 1/(|u|·|v|) */
    lane_t cosine = dot(u, v) * both;
    /* a straight angle has no direction of its force: the sine is kept off zero */
    lane_t sine2 = larger((1 - cosine) * (1 + cosine), all((scalar_t)1e-6));
    lane_t inverse_sine = inverse_sqrt(sine2);
    lane_t acute = sine2 * inverse_sine * angle_over_sine(smaller(absolute(cosine), all(1)));
    lane_t bend = choose(cosine < 0, (scalar_t)M_PI - acute, acute) - angle->angle;
    lane_t slope = angle->stiffness * bend * inverse_sine;
    lane_t of_u = cosine * vv * both * both; /* cosine/|u|² */
    lane_t of_v = cosine * uu * both * both;
    for (size_t a = 0; a < 3; a++) {
      lane_t first = slope * (v[a] * both - u[a] * of_u);
      lane_t last = slope * (u[a] * both - v[a] * of_v);
      request->force[angle->i + a] += first;
      request->force[angle->k + a] += last;
      request->force[angle->j + a] -= first + last;
    }
    if (request->energy != NULL) {
      request->energy[BM_TERM_angle] += (scalar_t)0.5 * angle->stiffness * bend * bend;
    }
  }
}

/* Slope dE/dphi of a torsion at an angle of this cosine and sine; its energy where asked for. */
BM_INLINE lane_t torsion_slope(const torsion_row_t *torsion, lane_t cosine, lane_t sine,
                               lane_t *energy)
{
  lane_t slope = -sine * polynomial(torsion->even_slope, BM_ORDERS - 1, cosine);
  if (torsion->skew) {
    slope += cosine * polynomial(torsion->odd, BM_ORDERS - 1, cosine) -
             sine * sine * polynomial(torsion->odd_slope, BM_ORDERS - 2, cosine);
  }
  if (energy != NULL) {
    energy[BM_TERM_torsion] += polynomial(torsion->even, BM_ORDERS, cosine) +
                               sine * polynomial(torsion->odd, BM_ORDERS - 1, cosine);
  }
  return slope;
}

BM_INLINE void torsions(const bm_pack_t *pack, const request_t *request)
{
  for (size_t n = 0; n < pack->torsion_count; n++) {
    const torsion_row_t *torsion = &pack->torsion[n];
    const lane_t *x = request->x;
    lane_t *force = request->force;
    lane_t f[3];
    lane_t g[3];
    lane_t h[3];
    lane_t a[3];
    lane_t b[3];
    subtract(x + torsion->atom[0], x + torsion->atom[1], f);
    subtract(x + torsion->atom[1], x + torsion->atom[2], g);
    subtract(x + torsion->atom[3], x + torsion->atom[2], h);
    cross(f, g, a);
    cross(h, g, b);
    lane_t square = dot(g, g);
    lane_t ia = inverse_sqrt(dot(a, a));
    lane_t ib = inverse_sqrt(dot(b, b));
    lane_t ig = inverse_sqrt(square);
    lane_t length = square * ig;
    lane_t both = ia * ib;
    lane_t slope =
        torsion_slope(torsion, dot(a, b) * both, -length * dot(b, f) * both, request->energy);
    lane_t of_a = slope * ia * ia;
    lane_t of_b = slope * ib * ib;
    lane_t along_f = dot(f, g) * ig * of_a;
    lane_t along_h = dot(h, g) * ig * of_b;
    for (size_t k = 0; k < 3; k++) {
      lane_t first = length * of_a * a[k];
      lane_t last = -length * of_b * b[k];
      lane_t middle = along_f * a[k] - along_h * b[k];
      force[torsion->atom[0] + k] += first;
      force[torsion->atom[1] + k] -= first + middle;
      force[torsion->atom[2] + k] += middle - last;
      force[torsion->atom[3] + k] += last;
    }
  }
}

BM_INLINE void evaluate(const bm_pack_t *pack, const request_t *request)
{
  for (size_t i = 0; i < pack->atoms; i++) {
    pack->scratch.integral[i] = all(pack->held_integral[i]);
  }
  held_pairs(pack, request);
  bonded_pairs(pack, request);
  near_pairs(pack, request);
  far_pairs(pack, request);
  if (pack->solvated) {
    born_radii(pack, request);
    screened_pairs(pack, request);
  }
  pair_forces(pack, request);
  bonds(pack, request);
  angles(pack, request);
  torsions(pack, request);
}

#endif
