/* The Moser map: against closed forms, its densities and derivatives, the way back, and the same bits on any number
 * of ranks. */

#include "check.h"

#include <lapacke.h>
#include <math.h>

#include "boltzmap/io/state.h"
#include "boltzmap/transport/map.h"
#include "boltzmap/transport/moser.h"

#define POINTS 5
#define PAIR_D 4

/* Densities that end flat at the walls of [0, 1]^d: one of factors, */
static void slope_log_values(const void *self, size_t n, const double *x, double *values)
{
  const size_t d = *(const size_t *)self;
  for (size_t i = 0; i < n; i++) {
    values[i] = 0.0;
    for (size_t k = 0; k < d; k++) {
      values[i] += log(1.0 + 0.5 * cos(M_PI * x[i * d + k]));
    }
  }
}

/* and one that does not come apart. */
static void wave_log_values(const void *self, size_t n, const double *x, double *values)
{
  const size_t d = *(const size_t *)self;
  for (size_t i = 0; i < n; i++) {
    double product = 1.0;
    for (size_t k = 0; k < d; k++) {
      product *= cos(2.0 * M_PI * x[i * d + k]);
    }
    values[i] = log(1.0 + 0.8 * product);
  }
}

static bm_moser_t *make(const bm_context_t *context, size_t d, size_t cells)
{
  const bm_density_t from = {"base", &d, slope_log_values};
  const bm_density_t to = {"target", &d, wave_log_values};
  bm_box_t box = {.d = d};
  bm_moser_t *moser;
  for (size_t k = 0; k < d; k++) {
    box.cells[k] = cells + 3 * k;
    box.high[k] = 1.0;
  }
  REQUIRE(bm_moser_create(context, &box, &from, &to, &moser) == BM_OK);
  return moser;
}

/* On the line the map takes one distribution function to the other; both are known. */
static double worst_on_the_line(const bm_context_t *alone, size_t cells, double tolerance)
{
  bm_moser_t *moser = make(alone, 1, cells);
  double worst = 0.0;
  for (int i = 1; i < 100; i++) {
    double x = i / 100.0;
    const double before = x + 0.5 * sin(M_PI * x) / M_PI;
    REQUIRE(bm_moser_move(moser, 0.0, 1.0, tolerance, &x, NULL, NULL) == BM_OK);
    worst = fmax(worst, fabs(x + 0.4 * sin(2.0 * M_PI * x) / M_PI - before));
  }
  bm_moser_destroy(&moser);
  return worst;
}

/* Fourth order in the spacing: twice the cells, a sixteenth of the error. */
static void the_grid_converges_to_the_closed_form(const bm_context_t *alone)
{
  double error[3];
  for (int i = 0; i < 3; i++) {
    error[i] = worst_on_the_line(alone, (size_t)16 << i, 1e-12);
  }
  CHECK(error[2] < 1e-6);
  CHECK(error[0] / error[1] > 14.0 && error[0] / error[1] < 18.0);
  CHECK(error[1] / error[2] > 14.0 && error[1] / error[2] < 18.0);
}

/* The error of the integration goes with the tolerance; that of the grid is 1e-9 here. */
static void the_integration_keeps_its_tolerance(const bm_context_t *alone)
{
  for (double tolerance = 1e-4; tolerance > 1e-8; tolerance *= 0.1) {
    const double error = worst_on_the_line(alone, 128, tolerance);
    CHECK(error < 3.0 * tolerance && error > 1e-3 * tolerance);
  }
}

static double log_determinant(size_t d, double *matrix /* [d][d], destroyed */)
{
  lapack_int pivots[BM_BOX_AXES];
  double sum = 0.0;
  CHECK(LAPACKE_dgetrf(LAPACK_ROW_MAJOR, (lapack_int)d, (lapack_int)d, matrix, (lapack_int)d,
                       pivots) == 0);
  for (size_t k = 0; k < d; k++) {
    sum += log(fabs(matrix[k * d + k]));
  }
  return sum;
}

/* Central differences of the map at x. */
static void differences(const bm_moser_t *moser, size_t d, const double *x, double *jacobian)
{
  const double h = 1e-4;
  for (size_t k = 0; k < d; k++) {
    double ends[2][BM_BOX_AXES];
    for (int e = 0; e < 2; e++) {
      memcpy(ends[e], x, d * sizeof *x);
      ends[e][k] += e == 0 ? -h : h;
      REQUIRE(bm_moser_move(moser, 0.0, 1.0, 1e-11, ends[e], NULL, NULL) == BM_OK);
    }
    for (size_t j = 0; j < d; j++) {
      jacobian[j * d + k] = (ends[1][j] - ends[0][j]) / (2.0 * h);
    }
  }
}

static void check_point(const bm_moser_t *moser, size_t d, const double *x)
{
  const bm_spline_field_t *field = bm_moser_field(moser);
  double y[BM_BOX_AXES];
  double log_det;
  double jacobian[BM_BOX_AXES * BM_BOX_AXES];
  double numerical[BM_BOX_AXES * BM_BOX_AXES];
  double divergence = 0.0;
  bm_spline_values_t before;
  bm_spline_values_t after;
  memcpy(y, x, d * sizeof *x);
  REQUIRE(bm_moser_move(moser, 0.0, 1.0, 1e-9, y, &log_det, jacobian) == BM_OK);
  bm_spline_field_at(field, x, &before);
  bm_spline_field_at(field, y, &after);
  CHECK(fabs(log(before.density[0] / after.density[1]) - log_det) < 1e-6);
  for (size_t k = 0; k < d; k++) {
    divergence += before.flux_slope[k][k];
  }
  CHECK(fabs(divergence - (before.density[0] - before.density[1])) < 1e-13);
  differences(moser, d, x, numerical);
  for (size_t i = 0; i < d * d; i++) {
    CHECK(fabs(numerical[i] - jacobian[i]) < 1e-6);
  }
  CHECK(fabs(log_determinant(d, numerical) - log_det) < 1e-5);
  CHECK(fabs(log_determinant(d, jacobian) - log_det) < 1e-6);
  REQUIRE(bm_moser_move(moser, 1.0, 0.0, 1e-9, y, NULL, NULL) == BM_OK);
  for (size_t k = 0; k < d; k++) {
    CHECK(fabs(y[k] - x[k]) < 1e-7);
  }
}

/* In d dimensions: mass is kept along the map, derivatives are those of the map, and it can be undone. */
static void densities_go_along_the_map(const bm_context_t *alone, size_t d)
{
  bm_moser_t *moser = make(alone, d, 12);
  bm_random_t random = bm_random(3, BM_PURPOSE_TEST);
  for (uint32_t i = 0; i < POINTS; i++) {
    double x[BM_BOX_AXES];
    bm_random_uniform2(random, i, 0, 0, x);
    bm_random_uniform2(random, i, 0, 1, x + 2);
    check_point(moser, d, x);
  }
  bm_moser_destroy(&moser);
}

/* Half of the way and the other half are the whole (paper eq. 7). */
static void steps_put_together_are_the_map(const bm_context_t *alone)
{
  bm_moser_t *moser = make(alone, 2, 12);
  double whole[2] = {0.3, 0.8};
  double parts[2] = {0.3, 0.8};
  REQUIRE(bm_moser_move(moser, 0.0, 1.0, 1e-10, whole, NULL, NULL) == BM_OK);
  for (int k = 0; k < 4; k++) {
    REQUIRE(bm_moser_move(moser, 0.25 * k, 0.25 * (k + 1), 1e-10, parts, NULL, NULL) == BM_OK);
  }
  CHECK(fabs(whole[0] - parts[0]) < 1e-8 && fabs(whole[1] - parts[1]) < 1e-8);
  CHECK(fabs(whole[0] - 0.3) > 1e-2); /* it does move */
  bm_moser_destroy(&moser);
}

static void bits_do_not_depend_on_the_ranks(const bm_context_t *many, const bm_context_t *alone,
                                            size_t d, size_t cells)
{
  bm_moser_t *together = make(many, d, cells);
  bm_moser_t *single = make(alone, d, cells);
  const bm_spline_field_t *a = bm_moser_field(together);
  const bm_spline_field_t *b = bm_moser_field(single);
  const size_t all = bm_box_cells(&a->box);
  double ends[2][BM_BOX_AXES] = {{0.2, 0.7, 0.1, 0.6}, {0.2, 0.7, 0.1, 0.6}};
  for (size_t j = 0; j < d; j++) {
    CHECK_BITS(a->flux[j], b->flux[j], all);
  }
  CHECK_BITS(a->density[1], b->density[1], all);
  REQUIRE(bm_moser_move(together, 0.0, 1.0, 1e-8, ends[0], NULL, NULL) == BM_OK);
  REQUIRE(bm_moser_move(single, 0.0, 1.0, 1e-8, ends[1], NULL, NULL) == BM_OK);
  CHECK_BITS(ends[0], ends[1], d);
  bm_moser_destroy(&together);
  bm_moser_destroy(&single);
}

/* One that is zero in a corner is refused, on all ranks and with the place. */
static void gap_log_values(const void *self, size_t n, const double *x, double *values)
{
  slope_log_values(self, n, x, values);
  for (size_t i = 0; i < n; i++) {
    values[i] += x[2 * i] > 0.9 && x[2 * i + 1] > 0.9 ? -1e4 : 0.0;
  }
}

static void a_density_with_a_hole_is_refused(const bm_context_t *all)
{
  const size_t d = 2;
  const bm_density_t from = {"base", &d, slope_log_values};
  const bm_density_t to = {"target", &d, gap_log_values};
  const bm_box_t box = {.d = 2, .cells = {10, 10}, .high = {1.0, 1.0}};
  bm_moser_t *moser;
  CHECK(bm_moser_create(all, &box, &from, &to, &moser) == BM_ERR_DATA);
  CHECK(moser == NULL && strstr(bm_status_message(), "(0.95, 0.95)") != NULL);
}

/* A pair of particles in a bowl: U = |x|²/2 + x₀x₂/2. */
static bm_status_t no_create(const bm_deck_case_t *deck_case, void **self, bm_traits_t *traits)
{
  (void)deck_case, (void)self, (void)traits;
  return BM_ERR_INTERNAL;
}

static void bowl_energy(const void *self, size_t n, const double *x, double *energy,
                        double *gradient)
{
  (void)self, (void)gradient;
  for (size_t i = 0; i < n; i++) {
    const double *row = x + i * PAIR_D;
    energy[i] = 0.5 * row[0] * row[2];
    for (size_t k = 0; k < PAIR_D; k++) {
      energy[i] += 0.5 * row[k] * row[k];
    }
  }
}

static bm_map_t *make_map(const bm_context_t *context)
{
  static const bm_potential_ops_t bowl = {
      .name = "bowl", .create = no_create, .energy = bowl_energy};
  const bm_traits_t traits = {.layout = {2, 2, "1", "1"}, .beta = 1.0};
  const double mean[PAIR_D] = {0.1, 0.0, -0.1, 0.0};
  const double scale[PAIR_D] = {1.0, 1.1, 0.9, 1.2};
  const size_t cells[PAIR_D] = {16, 12, 16, 12};
  bm_potential_t *potential;
  bm_chart_t *chart;
  bm_map_t *map;
  REQUIRE(bm_potential_derive(&bowl, NULL, &traits, &potential) == BM_OK);
  REQUIRE(bm_chart_create_standardised(2, 2, mean, scale, &chart) == BM_OK);
  REQUIRE(bm_map_create_moser(context, potential, cells, 3.0, chart, &map) == BM_OK);
  bm_potential_destroy(&potential);
  return map;
}

static int is_far_from_the_walls(const double *x)
{
  int far = 1;
  for (size_t k = 0; k < PAIR_D; k++) {
    far = far && fabs(x[k]) < 2.0;
  }
  return far;
}

/* Base points as they come from a normal distribution, one far outside the box, go there and back; the density is
 * the potential's up to one constant. */
static void a_map_restricts_the_base_to_its_box(bm_map_t *map)
{
  enum { N = 200 };
  static double base[N * PAIR_D], x[N * PAIR_D], back[N * PAIR_D];
  static double pushed[N], pulled[N], energy[N];
  double least = INFINITY;
  double most = -INFINITY;
  bm_random_normals(bm_random(9, BM_PURPOSE_TEST), 0, 0, 0, N * PAIR_D, base);
  base[0] = 5.0;
  REQUIRE(bm_map_push(map, N, base, x, pushed) == BM_OK);
  REQUIRE(bm_map_pull(map, N, x, back, pulled) == BM_OK);
  bowl_energy(NULL, N, x, energy, NULL);
  for (size_t i = 0; i < N; i++) {
    for (size_t k = 0; k < PAIR_D && i > 0; k++) {
      CHECK(fabs(back[i * PAIR_D + k] - base[i * PAIR_D + k]) < 1e-3);
    }
    CHECK(fabs(pushed[i] - pulled[i]) < 1e-3 || i == 0);
    if (i > 0 && is_far_from_the_walls(x + i * PAIR_D) &&
        is_far_from_the_walls(base + i * PAIR_D)) {
      least = fmin(least, pushed[i] + energy[i]);
      most = fmax(most, pushed[i] + energy[i]);
    }
  }
  CHECK(most - least < 0.01);
  x[0] = 100.0;
  REQUIRE(bm_map_pull(map, 1, x, NULL, pulled) == BM_OK);
  CHECK(isinf(pulled[0]) && pulled[0] < 0.0);
}

/* In the map's own coordinates a step goes on where the one before has come to, and the last one is the map; in those of
 * another chart the last one is the same place. */
static void steps_of_a_map_end_where_it_does(bm_map_t *map)
{
  enum { N = 20, STEPS = 3 };
  const double mean[PAIR_D] = {0.3, -0.2, 0.0, 0.1};
  const double scale[PAIR_D] = {0.5, 2.0, 1.5, 1.0};
  double base[N * PAIR_D], x[N * PAIR_D], own[N][STEPS][PAIR_D], other[N][STEPS][PAIR_D];
  bm_chart_t *chart;
  REQUIRE(bm_chart_create_standardised(2, 2, mean, scale, &chart) == BM_OK);
  bm_random_normals(bm_random(9, BM_PURPOSE_TEST), 0, 0, 0, N * PAIR_D, base);
  REQUIRE(bm_map_push(map, N, base, x, NULL) == BM_OK);
  REQUIRE(bm_map_moser_steps(map, bm_map_chart(map), N, base, STEPS, &own[0][0][0]) == BM_OK);
  REQUIRE(bm_map_moser_steps(map, chart, N, base, STEPS, &other[0][0][0]) == BM_OK);
  for (size_t i = 0; i < N; i++) {
    double there[PAIR_D];
    double log_det;
    for (size_t k = 0; k < PAIR_D; k++) {
      there[k] = own[i][0][k];
    }
    REQUIRE(bm_moser_move(bm_map_moser(map), 1.0 / STEPS, 2.0 / STEPS, 1e-8, there, &log_det,
                          NULL) == BM_OK);
    for (size_t k = 0; k < PAIR_D; k++) {
      CHECK(fabs(own[i][1][k] - there[k]) < 1e-6);
      CHECK(fabs(own[i][1][k] - own[i][0][k]) > 0.0);
    }
    bm_chart_encode(bm_map_chart(map), x + i * PAIR_D, there);
    for (size_t k = 0; k < PAIR_D; k++) {
      CHECK(fabs(own[i][STEPS - 1][k] - there[k]) < 1e-5);
    }
    bm_chart_encode(chart, x + i * PAIR_D, there);
    for (size_t k = 0; k < PAIR_D; k++) {
      CHECK(fabs(other[i][STEPS - 1][k] - there[k]) < 1e-5);
    }
  }
  bm_chart_destroy(&chart);
}

static void a_stored_map_is_the_same_map(const bm_context_t *all, bm_map_t *map)
{
  bm_state_t *state;
  bm_map_t *loaded;
  double base[PAIR_D] = {0.3, -1.0, 2.0, 0.1};
  double x[2][PAIR_D];
  double jacobian[2][PAIR_D * PAIR_D];
  REQUIRE(bm_state_create("model", &state) == BM_OK);
  REQUIRE(bm_map_save(map, state) == BM_OK);
  REQUIRE(bm_map_load(all, state, &loaded) == BM_OK);
  REQUIRE(bm_map_push(map, 1, base, x[0], NULL) == BM_OK);
  REQUIRE(bm_map_push(loaded, 1, base, x[1], NULL) == BM_OK);
  CHECK_BITS(x[0], x[1], PAIR_D);
  REQUIRE(bm_map_jacobian(map, 1, base, jacobian[0]) == BM_OK);
  REQUIRE(bm_map_jacobian(loaded, 1, base, jacobian[1]) == BM_OK);
  CHECK_BITS(jacobian[0], jacobian[1], PAIR_D * PAIR_D);
  CHECK(bm_map_flow(loaded) == NULL && bm_map_moser(loaded) != NULL);
  bm_map_destroy(&loaded);
  CHECK(bm_map_load(NULL, state, &loaded) == BM_ERR_USAGE && loaded == NULL);
  bm_state_destroy(&state);
}

/* A model file with a good checksum and wrong contents, as a stranger could make it. */
typedef struct {
  const char *what;
  size_t count; /* of the sizes: 2 for particles and dimensions, then cells */
  int64_t sizes[2 + BM_BOX_AXES + 1];
  double width, target,
      factor; /* the first coefficient, and what the others are times of an even density */
} forged_t;

#define FORGED_CELLS 5

static void forge(const forged_t *forged, bm_state_t **state)
{
  double target[FORGED_CELLS * FORGED_CELLS];
  const double mean[2] = {0.0, 0.0};
  const double scale[2] = {1.0, 1.0};
  bm_chart_t *chart;
  for (size_t i = 0; i < FORGED_CELLS * FORGED_CELLS; i++) {
    target[i] = forged->factor / (4.0 * forged->width * forged->width);
  }
  if (!(forged->target == 1.0)) {
    target[0] = forged->target;
  }
  REQUIRE(bm_state_create("model", state) == BM_OK);
  REQUIRE(bm_chart_create_standardised(1, 2, mean, scale, &chart) == BM_OK);
  REQUIRE(bm_state_put_string(*state, "flow/kind", "moser") == BM_OK);
  REQUIRE(bm_state_put_string(*state, "units/length", "1") == BM_OK);
  REQUIRE(bm_state_put_ints(*state, "moser/sizes", forged->count, forged->sizes) == BM_OK);
  REQUIRE(bm_state_put_doubles(*state, "moser/width", 1, &forged->width) == BM_OK);
  REQUIRE(bm_state_put_doubles(*state, "moser/target", FORGED_CELLS * FORGED_CELLS, target) ==
          BM_OK);
  REQUIRE(bm_chart_save(chart, *state) == BM_OK);
  bm_chart_destroy(&chart);
}

static void forged_models_are_refused(const bm_context_t *all)
{
  const int64_t n = FORGED_CELLS;
  const forged_t good = {"good", 4, {1, 2, n, n}, 2.0, 1.0, 1.0};
  const forged_t bad[] = {
      {"no axes", 2, {1, 2}, 2.0, 1.0, 1.0},
      {"too many axes", 7, {1, 5, n, n, 1, 1, 1}, 2.0, 1.0, 1.0},
      {"another number of cells", 4, {1, 2, n, n + 1}, 2.0, 1.0, 1.0},
      {"few cells", 4, {1, 2, 1, n * n}, 2.0, 1.0, 1.0},
      {"negative cells", 4, {1, 2, -n, -n}, 2.0, 1.0, 1.0},
      {"another dimension", 4, {2, 2, n, n}, 2.0, 1.0, 1.0},
      {"no width", 4, {1, 2, n, n}, 0.0, 1.0, 1.0},
      {"hardly any width", 4, {1, 2, n, n}, 1e-300, 1.0, 1.0},
      {"a width that is no number", 4, {1, 2, n, n}, NAN, 1.0, 1.0},
      {"a density that is zero", 4, {1, 2, n, n}, 2.0, 0.0, 1.0},
      {"one that is no number", 4, {1, 2, n, n}, 2.0, NAN, 1.0},
      {"one that is huge", 4, {1, 2, n, n}, 2.0, 1e308, 1.0},
      {"one that is denormal", 4, {1, 2, n, n}, 2.0, 1e-320, 1.04166666},
      {"another mass", 4, {1, 2, n, n}, 2.0, 1.0, 1.1},
  };
  bm_state_t *state;
  bm_map_t *map;
  forge(&good, &state);
  CHECK(bm_map_load(all, state, &map) == BM_OK);
  bm_map_destroy(&map);
  bm_state_destroy(&state);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    forge(&bad[i], &state);
    const bm_status_t status = bm_map_load(all, state, &map);
    if (status != BM_ERR_DATA || map != NULL) {
      fprintf(stderr, "%s: status %d\n", bad[i].what, (int)status);
    }
    CHECK(status == BM_ERR_DATA && map == NULL);
    bm_state_destroy(&state);
  }
}

int main(int argc, char **argv)
{
  bm_context_t *all;
  bm_context_t *alone;
  bm_context_t *hosts;
  check_start(&argc, &argv, &all, &alone);
  REQUIRE(bm_context_create_hosts(MPI_COMM_WORLD, 2, &hosts) == BM_OK);
  for (size_t d = 1; d <= BM_BOX_AXES; d++) {
    bits_do_not_depend_on_the_ranks(all, alone, d, d == 4 ? 5 : 9);
    bits_do_not_depend_on_the_ranks(hosts, alone, d, d == 4 ? 5 : 9);
  }
  a_density_with_a_hole_is_refused(all);
  forged_models_are_refused(all);
  bm_map_t *map = make_map(all);
  a_stored_map_is_the_same_map(all, map);
  if (bm_context_is_root(all)) {
    the_grid_converges_to_the_closed_form(alone);
    the_integration_keeps_its_tolerance(alone);
    for (size_t d = 1; d <= BM_BOX_AXES; d++) {
      densities_go_along_the_map(alone, d);
    }
    steps_put_together_are_the_map(alone);
    a_map_restricts_the_base_to_its_box(map);
    steps_of_a_map_end_where_it_does(map);
  }
  bm_map_destroy(&map);
  bm_context_destroy(&hosts);
  return check_end(&all, &alone);
}
