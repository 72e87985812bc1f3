/* What the two precisions of bm_pack_ops_t have in common: included by pack_single.c and
 * pack_double.c, which define BM_PACK_ROW and BM_PACK_NAME. */

#include <assert.h>
#include <math.h>

#include "boltzmap/base/memory.h"
#include "lanes_random.h"
#include "pack_constraints.h"

/* A group's state: positions, then velocities. */
typedef struct {
  lane_t *x, *v; /* [3·atoms] */
} group_t;

static group_t group_of(const bm_pack_t *pack, void *state)
{
  return (group_t){state, (lane_t *)state + 3 * pack->atoms};
}

static void destroy(bm_pack_t **pack)
{
  if (*pack != NULL) {
    void *blocks[] = {(*pack)->held,     (*pack)->bonded,  (*pack)->near,   (*pack)->far,
                      (*pack)->screened, (*pack)->atom,    (*pack)->bond,   (*pack)->angle,
                      (*pack)->torsion,  (*pack)->cluster, (*pack)->memory, (*pack)->held_integral};
    for (size_t k = 0; k < sizeof blocks / sizeof blocks[0]; k++) {
      bm_free(blocks[k]);
    }
  }
  bm_free(*pack);
  *pack = NULL;
}

static bm_status_t create_scratch(bm_pack_t *pack)
{
  const size_t atoms = pack->atoms;
  const size_t pairs = pack->pair_count;
  lane_t *next;
  BM_TRY(bm_alloc(4 * pairs + 17 * atoms + 3, sizeof(lane_t), &pack->memory));
  next = pack->memory;
  pack->scratch.pair = (pair_scratch_t *)next;
  pack->scratch.integral = (next += 4 * pairs);
  pack->scratch.born = (next += atoms);
  pack->scratch.exponent = (next += atoms);
  pack->scratch.slope = (next += atoms);
  pack->scratch.chain = (next += atoms);
  pack->scratch.force = (next += atoms);
  pack->scratch.moved = (next += 3 * atoms);
  pack->group = (next += 3 * atoms);
  pack->scratch.noise = (float_t_ *)(next + 3 * atoms);
  return BM_OK;
}

static void fill_atoms(bm_pack_t *pack, const bm_force_field_t *field)
{
  const bm_topology_t *topology = field->topology;
  for (size_t i = 0; i < topology->atoms; i++) {
    atom_row_t *row = &pack->atom[i];
    row->inverse_mass = (scalar_t)(1.0 / topology->mass[i]);
    row->inverse_sqrt_mass = (scalar_t)(1.0 / sqrt(topology->mass[i]));
    if (field->solvated) {
      double rho = field->offset_radius[i];
      double radius = topology->radius[i];
      double reach = radius + BM_PROBE_RADIUS;
      row->rho = (scalar_t)rho;
      row->radius = (scalar_t)radius;
      row->inverse_rho = (scalar_t)(1.0 / rho);
      row->inverse_radius = (scalar_t)(1.0 / radius);
      row->chain = (scalar_t)(rho / radius);
      row->surface = (scalar_t)(4.0 * M_PI * field->surface_energy * reach * reach);
      row->self = (scalar_t)(field->solvent_factor * topology->charge[i] * topology->charge[i]);
    }
  }
}

/* Length of the bond of two atoms; 0 where there is none. */
static double bond_length(const bm_topology_t *topology, size_t i, size_t j)
{
  const bm_bond_t *bond = bm_topology_bond(topology, i, j);
  return bond == NULL ? 0.0 : bond->length;
}

static void add_held(bm_pack_t *pack, const bm_force_field_t *field, size_t place)
{
  const bm_pair_t *pair = &field->topology->pairs[place];
  const double r = bond_length(field->topology, pair->i, pair->j);
  const double sixth = pow(r, -6.0);
  held_row_t *row = &pack->held[pack->held_count++];
  *row = (held_row_t){(uint32_t)place, (scalar_t)(r * r),
                      (scalar_t)((pair->a * sixth - pair->b) * sixth + pair->charges / r)};
  if (field->solvated) {
    double derivative;
    pack->held_integral[pair->i] += (scalar_t)bm_force_born_integral(
        r, field->offset_radius[pair->i], field->scaled_radius[pair->j], &derivative);
    pack->held_integral[pair->j] += (scalar_t)bm_force_born_integral(
        r, field->offset_radius[pair->j], field->scaled_radius[pair->i], &derivative);
  }
}

static pair_row_t pair_row(const bm_force_field_t *field, size_t place)
{
  const bm_pair_t *pair = &field->topology->pairs[place];
  pair_row_t row = {.i = (uint32_t)(3 * pair->i),
                    .j = (uint32_t)(3 * pair->j),
                    .place = (uint32_t)place,
                    .a = (scalar_t)pair->a,
                    .b = (scalar_t)pair->b,
                    .charges = (scalar_t)pair->charges,
                    .a12 = (scalar_t)(12.0 * pair->a),
                    .b6 = (scalar_t)(6.0 * pair->b)};
  if (field->solvated) {
    double rho[2] = {field->offset_radius[pair->i], field->offset_radius[pair->j]};
    double s[2] = {field->scaled_radius[pair->i], field->scaled_radius[pair->j]};
    double seldom = fmax(fabs(s[1] - rho[0]), fabs(s[0] - rho[1]));
    double apart = fmax(s[1] + rho[0], s[0] + rho[1]);
    row.rho_i = (scalar_t)rho[0];
    row.rho_j = (scalar_t)rho[1];
    row.s_i = (scalar_t)s[0];
    row.s_j = (scalar_t)s[1];
    row.s2_i = (scalar_t)(s[0] * s[0]);
    row.s2_j = (scalar_t)(s[1] * s[1]);
    row.s3_i = (scalar_t)(s[0] * s[0] * s[0]);
    row.s3_j = (scalar_t)(s[1] * s[1] * s[1]);
    row.seldom = (scalar_t)(seldom * seldom);
    row.apart = (scalar_t)(apart * apart);
  }
  return row;
}

/* A function of one variable, with what it depends on. */
typedef struct {
  double (*value)(double x, const double *parameters);
  const double *parameters;
} function_t;

/* Chebyshev interpolation of a function on [low, high], as a polynomial in x - origin. */
static void fit(const function_t *function, double low, double high, double origin, int degree,
                scalar_t *coefficients /* [degree + 1] */)
{
  enum { N_MOST = 16 };
  const int n = degree + 1;
  const double scale = 2.0 / (high - low);
  const double shift = scale * (origin - 0.5 * (low + high));
  double sum[N_MOST] = {0.0};
  double before[N_MOST] = {1.0}; /* T_0 = 1, T_1 = u, T_k+1 = 2u·T_k - T_k-1, u = scale·t + shift */
  double now[N_MOST] = {shift, scale};
  assert(n <= N_MOST);
  for (int k = 0; k < n; k++) {
    double chebyshev = 0.0;
    for (int m = 0; m < n; m++) {
      double angle = M_PI * (m + 0.5) / n;
      double x = 0.5 * (low + high) + 0.5 * (high - low) * cos(angle);
      chebyshev +=
          (k == 0 ? 1.0 : 2.0) / n * function->value(x, function->parameters) * cos(k * angle);
    }
    for (int m = 0; m <= k; m++) {
      sum[m] += chebyshev * (k == 0 ? before : now)[m];
    }
    if (k > 0) {
      double next[N_MOST] = {0.0};
      for (int m = 0; m < n; m++) {
        next[m] = 2.0 * shift * now[m] - before[m] + (m > 0 ? 2.0 * scale * now[m - 1] : 0.0);
      }
      memcpy(before, now, sizeof before);
      memcpy(now, next, sizeof now);
    }
  }
  for (int k = 0; k < n; k++) {
    coefficients[k] = (scalar_t)sum[k];
  }
}

/* Born integral as a function of r². */
static double born_of_square(double square, const double *parameters /* rho, s */)
{
  double derivative;
  return bm_force_born_integral(sqrt(square), parameters[0], parameters[1], &derivative);
}

/* Bonded distances vary by a few percent: the polynomials hold up to 16% off, or to where spheres part,
 * and the formula is used beyond. */
static void add_bonded(bm_pack_t *pack, const bm_force_field_t *field, size_t place, double r)
{
  const bm_pair_t *pair = &field->topology->pairs[place];
  const double of_i[2] = {field->offset_radius[pair->i], field->scaled_radius[pair->j]};
  const double of_j[2] = {field->offset_radius[pair->j], field->scaled_radius[pair->i]};
  const double width = 0.16;
  const double kinks[2] = {of_i[0] + of_i[1], of_j[0] + of_j[1]};
  bonded_row_t *row = &pack->bonded[pack->bonded_count++];
  double low = r * (1.0 - width);
  double high = r * (1.0 + width);
  for (int k = 0; k < 2; k++) {
    high = kinks[k] > r && kinks[k] < high ? kinks[k] : high;
    low = kinks[k] < r && kinks[k] > low ? kinks[k] : low;
  }
  low *= low;
  high *= high;
  row->pair = pair_row(field, place);
  row->centre = (scalar_t)(0.5 * (low + high));
  row->low = (scalar_t)low;
  row->high = (scalar_t)high;
  fit(&(function_t){born_of_square, of_i}, low, high, (double)row->centre, BM_BONDED_DEGREE,
      row->of_i);
  fit(&(function_t){born_of_square, of_j}, low, high, (double)row->centre, BM_BONDED_DEGREE,
      row->of_j);
}

/* Distance at rest of atoms one or two bonds apart; 0 where no bond or angle says. */
static double rest_distance(const bm_topology_t *topology, size_t i, size_t j)
{
  double length = bond_length(topology, i, j);
  for (size_t n = 0; length == 0.0 && n < topology->angle_count; n++) {
    const bm_angle_t *angle = &topology->angles[n];
    if ((angle->i == i && angle->k == j) || (angle->i == j && angle->k == i)) {
      double a = bond_length(topology, angle->i, angle->j);
      double b = bond_length(topology, angle->j, angle->k);
      length = sqrt(a * a + b * b - 2.0 * a * b * cos(angle->angle));
    }
  }
  return length;
}

/* The class of a pair. In double only the formula is used. */
static bm_pair_class_t class_of(const bm_force_field_t *field, const bm_constraints_t *constraints,
                                const bm_pair_t *pair, const double *x)
{
  if (constraints != NULL && pair->separation == 1 &&
      bm_constraints_has(constraints, pair->i, pair->j)) {
    return BM_PAIR_HELD;
  }
  if (sizeof(scalar_t) == sizeof(double) || !field->solvated) {
    return BM_PAIR_NEAR;
  }
  if (pair->separation <= 2 && pair->a == 0.0 && pair->b == 0.0 && pair->charges == 0.0 &&
      rest_distance(field->topology, pair->i, pair->j) > 0.0) {
    return BM_PAIR_BONDED;
  }
  double apart = fmax(field->offset_radius[pair->i] + field->scaled_radius[pair->j],
                      field->offset_radius[pair->j] + field->scaled_radius[pair->i]);
  double square = 0.0;
  for (size_t a = 0; a < 3; a++) {
    double delta = x[3 * pair->i + a] - x[3 * pair->j + a];
    square += delta * delta;
  }
  return sqrt(square) < 1.05 * apart ? BM_PAIR_NEAR : BM_PAIR_FAR;
}

static void fill_pairs(bm_pack_t *pack, const bm_force_field_t *field,
                       const bm_constraints_t *constraints, const double *x)
{
  const bm_topology_t *topology = field->topology;
  for (size_t p = 0; p < topology->pair_count; p++) {
    const bm_pair_t *pair = &topology->pairs[p];
    pack->screened[p] =
        (scalar_t)(field->solvent_factor * topology->charge[pair->i] * topology->charge[pair->j]);
    switch (class_of(field, constraints, pair, x)) {
    case BM_PAIR_HELD:
      add_held(pack, field, p);
      break;
    case BM_PAIR_BONDED:
      add_bonded(pack, field, p, rest_distance(topology, pair->i, pair->j));
      break;
    case BM_PAIR_NEAR:
      pack->near[pack->near_count++] = pair_row(field, p);
      break;
    case BM_PAIR_FAR:
      pack->far[pack->far_count++] = pair_row(field, p);
      break;
    }
  }
}

static double artanh_over(double y, const double *parameters)
{
  (void)parameters;
  return y > 0.0 ? atanh(sqrt(y)) / sqrt(y) : 1.0;
}

static double apart_series(double y, const double *parameters)
{
  (void)parameters;
  double sum = 0.0;
  double power = 1.0;
  for (int k = 0; k < 200; k++) {
    sum += power * (2.0 * k + 2.0) / (2.0 * k + 3.0);
    power *= y;
  }
  return sum;
}

/* Largest y = (s/(rho + s))² that both polynomials meet: of spheres that just touch in apart_series,
 * and of z² in log_ratio, where z = (upper - lower)/(upper + lower) is largest for touching spheres. */
static double largest_y(const bm_force_field_t *field)
{
  double largest = 0.0;
  for (size_t i = 0; i < field->topology->atoms; i++) {
    for (size_t j = 0; j < field->topology->atoms; j++) {
      double s = field->scaled_radius[j];
      double z = s / (field->offset_radius[i] + s);
      largest = i != j ? fmax(largest, z * z) : largest;
    }
  }
  return largest;
}

#define BM_Y_MOST 0.50 /* up to here the polynomials are good to 1e-6 and 3e-6 of their values */

static bm_status_t fill_solvent(bm_pack_t *pack, const bm_force_field_t *field)
{
  if (sizeof(scalar_t) == sizeof(double)) {
    return BM_OK; /* the formula alone is used, with a logarithm of any range */
  }
  double end = largest_y(field);
  if (end > BM_Y_MOST) {
    return BM_FAIL(BM_ERR_DATA,
                   "radii of the implicit solvent are too different (a scaled radius of %.0f%% of "
                   "the distance at which spheres touch; at most %.0f%%)",
                   100.0 * sqrt(end), 100.0 * sqrt(BM_Y_MOST));
  }
  fit(&(function_t){artanh_over, NULL}, 0.0, end, 0.0, BM_ARTANH_DEGREE, pack->artanh);
  fit(&(function_t){apart_series, NULL}, 0.0, end, 0.0, BM_APART_DEGREE, pack->apart);
  return BM_OK;
}

static void fill_bonded(bm_pack_t *pack, const bm_topology_t *topology,
                        const bm_constraints_t *constraints)
{
  for (size_t b = 0; b < topology->bond_count; b++) {
    const bm_bond_t *bond = &topology->bonds[b];
    if (constraints == NULL || !bm_constraints_has(constraints, bond->i, bond->j)) {
      pack->bond[pack->bond_count++] =
          (bond_row_t){(uint32_t)(3 * bond->i), (uint32_t)(3 * bond->j), (scalar_t)bond->length,
                       (scalar_t)bond->stiffness};
    }
  }
  for (size_t n = 0; n < topology->angle_count; n++) {
    const bm_angle_t *angle = &topology->angles[n];
    pack->angle[pack->angle_count++] =
        (angle_row_t){(uint32_t)(3 * angle->i), (uint32_t)(3 * angle->j), (uint32_t)(3 * angle->k),
                      (scalar_t)angle->angle, (scalar_t)angle->stiffness};
  }
}

/* The row of these four atoms, made where there is none yet. */
static torsion_row_t *torsion_row(bm_pack_t *pack, const bm_torsion_t *torsion)
{
  const uint32_t atom[4] = {(uint32_t)(3 * torsion->i), (uint32_t)(3 * torsion->j),
                            (uint32_t)(3 * torsion->k), (uint32_t)(3 * torsion->l)};
  for (size_t n = 0; n < pack->torsion_count; n++) {
    if (memcmp(pack->torsion[n].atom, atom, sizeof atom) == 0) {
      return &pack->torsion[n];
    }
  }
  torsion_row_t *row = &pack->torsion[pack->torsion_count++];
  memcpy(row->atom, atom, sizeof atom);
  return row;
}

/* target[k] += factor · coefficient k of the Chebyshev polynomial of the first (first = 1) or second
 * (first = 2) kind and this order: P_0 = 1, P_1 = first·c, P_n+1 = 2c·P_n - P_n-1. */
static void add_chebyshev(int order, double first, double factor, double target[BM_ORDERS + 1])
{
  double before[BM_ORDERS + 2] = {1.0};
  double now[BM_ORDERS + 2] = {0.0, first};
  for (int n = 1; n < order; n++) {
    double next[BM_ORDERS + 2] = {0.0};
    for (int k = 0; k <= BM_ORDERS; k++) {
      next[k] = (k > 0 ? 2.0 * now[k - 1] : 0.0) - before[k];
    }
    memcpy(before, now, sizeof before);
    memcpy(now, next, sizeof now);
  }
  for (int k = 0; k <= BM_ORDERS; k++) {
    target[k] += factor * (order == 0 ? before : now)[k];
  }
}

static void add_torsion(const bm_torsion_t *torsion, torsion_row_t *row)
{
  const int n = torsion->periodicity;
  /* phases of 0 and pi, nearly all, have no sine */
  const double sine = torsion->phase == M_PI ? 0.0 : sin(torsion->phase);
  double even[BM_ORDERS + 1] = {torsion->height};
  double odd[BM_ORDERS + 1] = {0.0};
  add_chebyshev(n, 1.0, torsion->height * cos(torsion->phase), even);
  if (sine != 0.0 && n > 0) {
    add_chebyshev(n - 1, 2.0, torsion->height * sine, odd);
    row->skew = 1;
  }
  for (int k = 0; k <= BM_ORDERS; k++) {
    row->even[k] += (scalar_t)even[k];
    if (k > 0) {
      row->even_slope[k - 1] += (scalar_t)(k * even[k]);
    }
    if (k < BM_ORDERS) {
      row->odd[k] += (scalar_t)odd[k];
    }
    if (k > 0 && k < BM_ORDERS) {
      row->odd_slope[k - 1] += (scalar_t)(k * odd[k]);
    }
  }
}

static void fill_torsions(bm_pack_t *pack, const bm_topology_t *topology)
{
  for (size_t t = 0; t < topology->torsion_count; t++) {
    add_torsion(&topology->torsions[t], torsion_row(pack, &topology->torsions[t]));
  }
}

static void fill_clusters(bm_pack_t *pack, const bm_topology_t *topology,
                          const bm_constraints_t *constraints)
{
  for (size_t c = 0; constraints != NULL && c < constraints->count; c++) {
    const bm_cluster_t *cluster = &constraints->clusters[c];
    cluster_row_t *row = &pack->cluster[pack->cluster_count++];
    row->centre = (uint32_t)(3 * cluster->centre);
    row->inverse_centre = (scalar_t)(1.0 / topology->mass[cluster->centre]);
    row->count = (int)cluster->count;
    for (size_t h = 0; h < cluster->count; h++) {
      row->hydrogen[h] = (uint32_t)(3 * cluster->hydrogen[h]);
      row->inverse_hydrogen[h] = (scalar_t)(1.0 / topology->mass[cluster->hydrogen[h]]);
      row->square[h] = (scalar_t)(cluster->length[h] * cluster->length[h]);
    }
  }
}

static bm_status_t create_tables(const bm_force_field_t *field, const bm_constraints_t *constraints,
                                 const double *x, bm_pack_t *pack)
{
  const bm_topology_t *topology = field->topology;
  pack->atoms = topology->atoms;
  pack->pair_count = topology->pair_count;
  pack->solvated = field->solvated;
  BM_TRY(create_scratch(pack));
  BM_TRY(BM_ALLOC(topology->bond_count, &pack->held));
  BM_TRY(BM_ALLOC(topology->bond_count + topology->angle_count, &pack->bonded));
  BM_TRY(BM_ALLOC(topology->pair_count, &pack->near));
  BM_TRY(BM_ALLOC(topology->pair_count, &pack->far));
  BM_TRY(BM_ALLOC(topology->pair_count, &pack->screened));
  BM_TRY(BM_ALLOC(topology->atoms, &pack->held_integral));
  BM_TRY(BM_ALLOC(topology->atoms, &pack->atom));
  BM_TRY(BM_ALLOC(topology->bond_count, &pack->bond));
  BM_TRY(BM_ALLOC(topology->angle_count, &pack->angle));
  BM_TRY(BM_ALLOC(topology->torsion_count, &pack->torsion));
  BM_TRY(BM_ALLOC(constraints == NULL ? 0 : constraints->count, &pack->cluster));
  fill_atoms(pack, field);
  fill_pairs(pack, field, constraints, x);
  fill_bonded(pack, topology, constraints);
  fill_torsions(pack, topology);
  fill_clusters(pack, topology, constraints);
  return field->solvated ? fill_solvent(pack, field) : BM_OK;
}

static bm_status_t create(const bm_force_field_t *field, const bm_constraints_t *constraints,
                          const double *x, bm_pack_t **out)
{
  BM_TRY(BM_ALLOC(1, out));
  bm_status_t status = create_tables(field, constraints, x, *out);
  if (status != BM_OK) {
    destroy(out);
  }
  return status;
}

static size_t state_bytes(const bm_pack_t *pack)
{
  return 6 * pack->atoms * sizeof(lane_t);
}

static void put(const bm_pack_t *pack, void *state, size_t lane, const double *x, const double *v)
{
  group_t group = group_of(pack, state);
  for (size_t k = 0; k < 3 * pack->atoms; k++) {
    group.x[k][lane] = (scalar_t)x[k];
    group.v[k][lane] = (scalar_t)v[k];
  }
}

static void get(const bm_pack_t *pack, const void *state, size_t lane, double *x, double *v)
{
  const lane_t *values = state;
  for (size_t k = 0; k < 3 * pack->atoms; k++) {
    x[k] = (double)values[k][lane];
    v[k] = (double)values[3 * pack->atoms + k][lane];
  }
}

static __attribute__((noinline)) void forces(bm_pack_t *pack, const lane_t *x)
{
  const request_t request = {x, pack->scratch.force, NULL};
  evaluate(pack, &request);
}

static __attribute__((noinline)) void energies(bm_pack_t *pack, const lane_t *x,
                                               lane_t sums[BM_TERM_COUNT])
{
  const request_t request = {x, pack->scratch.force, sums};
  for (size_t t = 0; t < BM_TERM_COUNT; t++) {
    sums[t] = all(0);
  }
  evaluate(pack, &request);
}

static void energy(bm_pack_t *pack, size_t n, const double *x /* [n][atoms][3] */,
                   double *values /* [n][BM_TERM_COUNT] */, double *force)
{
  const size_t d = 3 * pack->atoms;
  lane_t sums[BM_TERM_COUNT];
  for (size_t first = 0; first < n; first += BM_LANES) {
    for (size_t lane = 0; lane < BM_LANES; lane++) {
      size_t row = first + lane < n ? first + lane : n - 1;
      for (size_t k = 0; k < d; k++) {
        pack->group[k][lane] = (scalar_t)x[row * d + k];
      }
    }
    energies(pack, pack->group, sums);
    for (size_t lane = 0; lane < BM_LANES && first + lane < n; lane++) {
      for (size_t t = 0; t < BM_TERM_COUNT; t++) {
        values[(first + lane) * BM_TERM_COUNT + t] = (double)sums[t][lane];
      }
      for (size_t k = 0; force != NULL && k < d; k++) {
        force[(first + lane) * d + k] = (double)pack->scratch.force[k][lane];
      }
    }
  }
}

/* Noise of one step, [3·atoms]: a walker's numbers 4s … 4s + 3 come from its slot s. */
static void draw(bm_pack_t *pack, bm_random_t random, word_t walkers, uint64_t step)
{
  float_t_ *noise = pack->scratch.noise;
  for (size_t k = 0; k < 3 * pack->atoms; k += 4) {
    word_t words[4];
    random_words(random, walkers, step, (uint32_t)(k / 4), words);
    normal_pair(words[0], words[1], &noise[k], &noise[k + 1]);
    normal_pair(words[2], words[3], &noise[k + 2], &noise[k + 3]);
  }
}

/* What a run needs at each step. */
typedef struct {
  word_t walkers;
  lane_t kick;             /* sqrt(kT)·sqrt(1 - exp(-2·friction·timestep)) */
  scalar_t timestep, keep; /* exp(-friction·timestep) */
  int thermostat;
} run_t;

static void step_group(bm_pack_t *pack, const group_t *group, const run_t *run, bm_random_t random,
                       uint64_t step)
{
  const scalar_t h = run->timestep;
  lane_t *moved = pack->scratch.moved;
  forces(pack, group->x);
  for (size_t i = 0; i < pack->atoms; i++) {
    for (size_t k = 3 * i; k < 3 * i + 3; k++) {
      group->v[k] += h * pack->atom[i].inverse_mass * pack->scratch.force[k];
    }
  }
  hold_velocities(pack, group->x, group->v);
  if (run->thermostat) {
    draw(pack, random, run->walkers, step);
  }
  for (size_t i = 0; i < pack->atoms; i++) {
    lane_t kick = run->kick * pack->atom[i].inverse_sqrt_mass;
    for (size_t k = 3 * i; k < 3 * i + 3; k++) {
      lane_t before = group->v[k];
      lane_t after = before;
      if (run->thermostat) {
        after = run->keep * before + kick * __builtin_convertvector(pack->scratch.noise[k], lane_t);
      }
      group->v[k] = after;
      moved[k] = group->x[k] + (scalar_t)0.5 * h * (before + after);
    }
  }
  hold_positions(pack, group->x, moved, group->v, h);
  memcpy(group->x, moved, 3 * pack->atoms * sizeof *moved);
}

/* Shift every replica by whole multiples of 2^-6 nm so that its first atom is near the origin. */
static void recentre(const bm_pack_t *pack, const group_t *group)
{
  const scalar_t shift =
      sizeof(scalar_t) == sizeof(double) ? (scalar_t)0x1.8p46 : (scalar_t)0x1.8p17;
  for (size_t a = 0; a < 3; a++) {
    lane_t offset = (group->x[a] + shift) - shift;
    for (size_t i = 0; i < pack->atoms; i++) {
      group->x[3 * i + a] -= offset;
    }
  }
}

static void run(bm_pack_t *pack, void *state, const bm_pack_dynamics_t *dynamics,
                const uint32_t *walkers /* [lanes] */, const double *kT /* [lanes] */,
                uint64_t first_step, size_t count)
{
  const group_t group = group_of(pack, state);
  const double keep = exp(-dynamics->friction * dynamics->timestep);
  run_t run = {.timestep = (scalar_t)dynamics->timestep,
               .keep = (scalar_t)keep,
               .thermostat = dynamics->friction > 0.0};
  for (size_t lane = 0; lane < BM_LANES; lane++) {
    run.walkers[lane] = walkers[lane];
    run.kick[lane] = (scalar_t)sqrt(kT[lane] * (1.0 - keep * keep));
  }
  for (size_t n = 0; n < count; n++) {
    step_group(pack, &group, &run, dynamics->random, first_step + n);
  }
  hold_velocities(pack, group.x, group.v);
  recentre(pack, &group);
}

static void constrain_velocities(bm_pack_t *pack, void *state)
{
  const group_t group = group_of(pack, state);
  hold_velocities(pack, group.x, group.v);
}

const bm_pack_ops_t BM_PACK_ROW = {
    .name = BM_PACK_NAME,
    .lanes = BM_LANES,
    .create = create,
    .destroy = destroy,
    .energy = energy,
    .state_bytes = state_bytes,
    .put = put,
    .get = get,
    .run = run,
    .constrain_velocities = constrain_velocities,
};
