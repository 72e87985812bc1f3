/* Charts: there and back, zero mean and unit variance, slopes, what is refused, and what a file holds. */

#include <math.h>
#include <mpi.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../model/case_of_text.h"
#include "../model/dipeptide.h"
#include "boltzmap/geometry/alignment.h"

#define N 160      /* more than the molecule has coordinates */
#define WIDTH 0.01 /* nm */
#define NOISE 0.02 /* nm */
#define D_MAX 66
#define ALPHA_CARBON 9 /* counted from 1 */

static bm_potential_t *potential;
static const bm_molecule_t *molecule;
static double *frames; /* [N][66], shaken structures of the molecule */
static double *pairs;  /* [N][4], two particles in the plane */

static const char *const names[] = {"standardised", "cartesian", "whitened", "dihedrals", "torus"};
#define CHARTS (sizeof names / sizeof names[0])

static bm_chart_t *fitted(const char *name)
{
  const bm_chart_ops_t *ops = bm_chart_find(name);
  const int is_plain = strcmp(name, "standardised") == 0;
  const double noise = strcmp(name, "cartesian") == 0 ? NOISE : 0.0;
  const bm_chart_system_t system = is_plain ? (bm_chart_system_t){.particles = 2, .dimensions = 2}
                                            : chart_system(molecule, noise);
  bm_chart_t *chart;
  assert_non_null(ops);
  assert_int_equal(bm_chart_fit(ops, &system, N, is_plain ? pairs : frames, &chart), BM_OK);
  assert_string_equal(bm_chart_name(chart), name);
  assert_int_equal(bm_chart_dimension(chart), bm_chart_dimension_of(ops, &system));
  return chart;
}

/* Shapes of the data of the chart, [N][shape d], owned by the caller. */
static double *shapes_of(const bm_chart_t *chart)
{
  double *z = NULL;
  const double *x = bm_chart_system_dimension(chart) == 4 ? pairs : frames;
  assert_int_equal(BM_ALLOC(N * bm_chart_shape_dimension(chart), &z), BM_OK);
  assert_int_equal(bm_chart_project(chart, N, x, z), BM_OK);
  return z;
}

static void sizes_are_those_of_the_description(void **state)
{
  (void)state;
  static const size_t sizes[CHARTS][3] = {
      {4, 4, 4}, {66, 66, 66}, {60, 66, 66}, {2, 2, 66}, {2, 2, 66}}; /* flow, shape, system */
  for (size_t c = 0; c < CHARTS; c++) {
    bm_chart_t *chart = fitted(names[c]);
    double sum = 0.0;
    assert_int_equal(bm_chart_dimension(chart), sizes[c][0]);
    assert_int_equal(bm_chart_shape_dimension(chart), sizes[c][1]);
    assert_int_equal(bm_chart_system_dimension(chart), sizes[c][2]);
    for (size_t k = 0; k < sizes[c][0]; k++) {
      sum += log(bm_chart_scale(chart)[k]);
    }
    assert_true(fabs(bm_chart_log_det(chart) - sum) < 1e-12);
    bm_chart_destroy(&chart);
    assert_null(chart);
  }
  assert_null(bm_chart_find("polar"));
}

/* Roundings of lengths of about 1 and of angles, through up to 66 terms. */
static void decode_is_the_inverse_of_encode_on_shapes_of_the_data(void **state)
{
  (void)state;
  for (size_t c = 0; c < CHARTS; c++) {
    bm_chart_t *chart = fitted(names[c]);
    const size_t shape_d = bm_chart_shape_dimension(chart);
    double *z = shapes_of(chart);
    for (size_t i = 0; i < N; i++) {
      double y[D_MAX];
      double again[D_MAX];
      bm_chart_encode(chart, z + i * shape_d, y);
      bm_chart_decode(chart, y, again, NULL);
      for (size_t k = 0; k < shape_d; k++) {
        assert_true(fabs(again[k] - z[i * shape_d + k]) < 1e-13);
      }
    }
    bm_free(z);
    bm_chart_destroy(&chart);
  }
}

/* Columns of encoded data [d], after `rounds` rounds of noise on each. */
static void moments_of(const bm_chart_t *chart, uint64_t rounds, double *mean, double *square)
{
  const bm_random_t random = bm_random(4, BM_PURPOSE_NOISE);
  const size_t d = bm_chart_dimension(chart);
  const size_t shape_d = bm_chart_shape_dimension(chart);
  double *z = shapes_of(chart);
  for (size_t k = 0; k < d; k++) {
    mean[k] = 0.0;
    square[k] = 0.0;
  }
  for (size_t i = 0; i < N; i++) {
    for (uint64_t round = 0; round < rounds; round++) {
      double y[D_MAX];
      bm_chart_encode(chart, z + i * shape_d, y);
      bm_chart_add_noise(chart, random, (uint32_t)i, round, y);
      for (size_t k = 0; k < d; k++) {
        mean[k] += y[k] / (double)(N * rounds);
        square[k] += y[k] * y[k] / (double)(N * rounds);
      }
    }
  }
  bm_free(z);
}

static void encoded_data_have_zero_mean_and_unit_variance(void **state)
{
  (void)state;
  double mean[D_MAX];
  double square[D_MAX];
  for (size_t c = 0; c < CHARTS; c++) {
    bm_chart_t *chart = fitted(names[c]);
    const int is_noisy = strcmp(names[c], "cartesian") == 0;
    const uint64_t rounds = is_noisy ? 100 : 1;
    /* 5.5 standard errors of a variance that is that of N·rounds normals at most, and its square root for
     * the mean; else roundings */
    const double few = 1.0 / sqrt((double)(N * rounds));
    moments_of(chart, rounds, mean, square);
    for (size_t k = 0; k < bm_chart_dimension(chart); k++) {
      assert_true(fabs(mean[k]) < (is_noisy ? 5.5 * few : 1e-9));
      assert_true(fabs(square[k] - 1.0) < (is_noisy ? 5.5 * sqrt(2.0) * few : 1e-9));
    }
    bm_chart_destroy(&chart);
  }
}

/* Noise is along directions that no shape has a part in, anew in each round, and a function of its
 * arguments. */
static void noise_leaves_the_shape(void **state)
{
  (void)state;
  const bm_random_t random = bm_random(4, BM_PURPOSE_NOISE);
  for (size_t c = 0; c < CHARTS; c++) {
    bm_chart_t *chart = fitted(names[c]);
    const size_t d = bm_chart_dimension(chart);
    const size_t shape_d = bm_chart_shape_dimension(chart);
    double *z = shapes_of(chart);
    double y[4][D_MAX];
    double again[D_MAX];
    for (int way = 0; way < 4; way++) {
      bm_chart_encode(chart, z, y[way]);
    }
    bm_chart_add_noise(chart, random, 3, 7, y[1]);
    bm_chart_add_noise(chart, random, 3, 7, y[2]);
    bm_chart_add_noise(chart, random, 3, 8, y[3]);
    bm_chart_decode(chart, y[1], again, NULL);
    assert_memory_equal(y[1], y[2], d * sizeof(double));
    const int is_noisy = strcmp(names[c], "cartesian") == 0;
    assert_true((memcmp(y[0], y[1], d * sizeof(double)) != 0) == is_noisy);
    assert_true((memcmp(y[1], y[3], d * sizeof(double)) != 0) == is_noisy);
    for (size_t k = 0; k < shape_d; k++) {
      assert_true(fabs(again[k] - z[k]) < 1e-13);
    }
    bm_free(z);
    bm_chart_destroy(&chart);
  }
}

/* decode is affine: its differences are its slope, whatever the step is. Steps of angles stay on one side of
 * the cut. */
static void adjoint_is_the_transpose_of_decode(void **state)
{
  (void)state;
  for (size_t c = 0; c < CHARTS; c++) {
    bm_chart_t *chart = fitted(names[c]);
    const size_t d = bm_chart_dimension(chart);
    const size_t shape_d = bm_chart_shape_dimension(chart);
    double *z = shapes_of(chart);
    double y[D_MAX];
    double g_z[D_MAX];
    double g_y[D_MAX];
    double high[D_MAX];
    double low[D_MAX];
    double size = 0.0;
    bm_chart_encode(chart, z, y);
    bm_random_normals(bm_random(5, BM_PURPOSE_TEST), 0, 0, 0, shape_d, g_z);
    bm_chart_decode_adjoint(chart, g_z, g_y);
    for (size_t k = 0; k < d; k++) {
      size = fmax(size, fabs(g_y[k]));
    }
    for (size_t k = 0; k < d; k++) {
      const double middle = y[k];
      double along = 0.0;
      y[k] = middle + 0.5;
      bm_chart_decode(chart, y, high, NULL);
      y[k] = middle - 0.5;
      bm_chart_decode(chart, y, low, NULL);
      y[k] = middle;
      for (size_t l = 0; l < shape_d; l++) {
        along += g_z[l] * (high[l] - low[l]);
      }
      assert_true(fabs(along - g_y[k]) < 1e-9 * size);
    }
    bm_free(z);
    bm_chart_destroy(&chart);
  }
}

/* A shape is that of the configuration however it is moved and turned. */
static void shapes_do_not_know_of_motions(void **state)
{
  (void)state;
  for (size_t c = 1; c < CHARTS; c++) {
    bm_chart_t *chart = fitted(names[c]);
    const size_t shape_d = bm_chart_shape_dimension(chart);
    double *z = shapes_of(chart);
    for (size_t i = 0; i < N; i++) {
      double x[D_MAX];
      double again[D_MAX];
      memcpy(x, frames + i * D_MAX, sizeof x);
      move_and_turn(D_MAX / 3, 50, i, x);
      assert_int_equal(bm_chart_project(chart, 1, x, again), BM_OK);
      for (size_t k = 0; k < shape_d; k++) {
        assert_true(fabs(again[k] - z[i * shape_d + k]) < 1e-12);
      }
    }
    bm_free(z);
    bm_chart_destroy(&chart);
  }
}

static void mirror_images_are_refused_by_number_where_atoms_are_described(void **state)
{
  (void)state;
  double x[5 * D_MAX];
  double z[5 * D_MAX];
  double angles[10];
  char atom[16];
  memcpy(x, frames, sizeof x);
  for (size_t k = 3 * D_MAX; k < 4 * D_MAX; k++) {
    x[k] = -x[k];
  }
  snprintf(atom, sizeof atom, "atom %d ", ALPHA_CARBON);
  for (size_t c = 1; c < CHARTS; c++) {
    bm_chart_t *chart = fitted(names[c]);
    if (bm_chart_is_angular(bm_chart_find(names[c]))) { /* the angles of one have the other sign */
      assert_int_equal(bm_chart_project(chart, 5, x, z), BM_OK);
      assert_int_equal(bm_chart_project(chart, 5, frames, angles), BM_OK);
      assert_true(z[4] == angles[4]);
      assert_true(z[6] == -angles[6] && z[7] == -angles[7]);
    } else {
      assert_int_equal(bm_chart_project(chart, 5, x, z), BM_ERR_DATA);
      assert_non_null(strstr(bm_status_message(), "configuration 3 "));
      assert_non_null(strstr(bm_status_message(), atom));
      assert_int_equal(bm_chart_project(chart, 3, x, z), BM_OK);
    }
    bm_chart_destroy(&chart);
  }
}

/* Five atoms in a chain, bonds of 0.1 nm at right angles, with these two torsion angles. */
static void place_chain(const double angles[2], double *x /* [5][3] */)
{
  static const double plane[9] = {0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0};
  memcpy(x, plane, sizeof plane);
  for (int k = 0; k < 2; k++) {
    /* the bond before last turned about the last one: by 0 where all lie in a plane on one side */
    const double *a = x + 3 * k;
    const double *b = a + 3;
    const double *c = a + 6;
    double axis[3];
    double out[3];
    double side[3];
    for (int i = 0; i < 3; i++) {
      axis[i] = (c[i] - b[i]) / 0.1;
      out[i] = (a[i] - b[i]) / 0.1;
    }
    for (int i = 0; i < 3; i++) {
      side[i] = axis[(i + 1) % 3] * out[(i + 2) % 3] - axis[(i + 2) % 3] * out[(i + 1) % 3];
    }
    for (int i = 0; i < 3; i++) {
      x[9 + 3 * k + i] = c[i] + 0.1 * (cos(angles[k]) * out[i] + sin(angles[k]) * side[i]);
    }
  }
}

static const size_t chain_angles[2][4] = {{0, 1, 2, 3}, {1, 2, 3, 4}};
static const bm_chart_system_t chain = {
    .particles = 5, .dimensions = 3, .angle_count = 2, .angles = chain_angles};

/* First angles in two stretches of 2 and 0.6, one of them across ±pi; second ones about 1. */
static double *chains(double *angles /* [N][2] */)
{
  double *x = NULL;
  assert_int_equal(BM_ALLOC(N * 15, &x), BM_OK);
  for (size_t i = 0; i < N; i++) {
    double uniform[2];
    bm_random_uniform2(bm_random(6, BM_PURPOSE_TEST), 0, i, 0, uniform);
    angles[2 * i] = i % 5 == 0 ? 0.6 * uniform[0] : M_PI - 1.0 + 2.0 * uniform[0];
    angles[2 * i] = remainder(angles[2 * i], 2.0 * M_PI);
    angles[2 * i + 1] = 0.5 + uniform[1];
    place_chain(angles + 2 * i, x + 15 * i);
  }
  return x;
}

/* Where the first flow coordinate jumps back as its angle goes round. */
static double cut_of(const bm_chart_t *chart)
{
  const double step = 2.0 * M_PI / 7200.0;
  double last = INFINITY;
  for (int i = 0; i < 7200; i++) {
    double z[2] = {-M_PI + (i + 0.5) * step, 1.0};
    double y[2];
    bm_chart_encode(chart, z, y);
    if (y[0] < last && i > 0) {
      return z[0] - 0.5 * step;
    }
    last = y[0];
  }
  return M_PI;
}

static void circles_are_cut_where_there_are_no_data(void **state)
{
  (void)state;
  double angles[2 * N];
  double *x = chains(angles);
  bm_chart_t *chart;
  assert_int_equal(bm_chart_fit(&bm_chart_torus, &chain, N, x, &chart), BM_OK);
  double *z = NULL;
  assert_int_equal(BM_ALLOC(2 * N, &z), BM_OK);
  assert_int_equal(bm_chart_project(chart, N, x, z), BM_OK);
  const double cut = cut_of(chart);
  for (size_t i = 0; i < N; i++) {
    assert_true(fabs(remainder(z[2 * i] - angles[2 * i], 2.0 * M_PI)) < 1e-12);
    assert_true(fabs(z[2 * i + 1] - angles[2 * i + 1]) < 1e-12);
    /* three bins of five degrees at least */
    assert_true(fabs(remainder(z[2 * i] - cut, 2.0 * M_PI)) > 15.0 / 180.0 * M_PI);
  }
  /* the two stretches have gaps of 1.54 and 2.14: the wider one is not asked for */
  assert_true((cut > 0.6 && cut < M_PI - 1.0) || (cut > 1.0 - M_PI && cut < 0.0));
  bm_free(z);
  bm_chart_destroy(&chart);
  bm_free(x);
}

/* On the torus, but not as numbers. Generated coordinates beyond the cut come back as angles. */
static void angles_across_pi_are_neighbours_on_the_torus(void **state)
{
  (void)state;
  double angles[2 * N];
  double *x = chains(angles);
  for (int is_torus = 0; is_torus < 2; is_torus++) {
    const double below[2] = {M_PI - 0.01, 1.0};
    const double above[2] = {-M_PI + 0.01, 1.0};
    double y[2][2];
    double z[2];
    bm_chart_t *chart;
    assert_int_equal(
        bm_chart_fit(is_torus ? &bm_chart_torus : &bm_chart_dihedrals, &chain, N, x, &chart),
        BM_OK);
    bm_chart_encode(chart, below, y[0]);
    bm_chart_encode(chart, above, y[1]);
    const double way = bm_chart_scale(chart)[0] * (y[1][0] - y[0][0]);
    assert_true(fabs(way - (is_torus ? 0.02 : 0.02 - 2.0 * M_PI)) < 1e-12);
    y[0][0] += 4.0 * M_PI / bm_chart_scale(chart)[0]; /* two turns */
    bm_chart_decode(chart, y[0], z, NULL);
    assert_true(fabs(z[0] - below[0] - (is_torus ? 0.0 : 4.0 * M_PI)) < 1e-12);
    assert_true(fabs(z[1] - below[1]) < 1e-12);
    bm_chart_destroy(&chart);
  }
  bm_free(x);
}

static double log_weight_of(const bm_chart_t *chart, const double *y)
{
  double z[D_MAX];
  double log_weight;
  bm_chart_decode(chart, y, z, &log_weight);
  return log_weight;
}

static void charts_of_a_fixed_frame_and_of_angles_weigh_nothing(void **state)
{
  (void)state;
  const double y[4] = {0.3, -1.0, 0.0, 2.0};
  static const char *const plain[] = {"standardised", "dihedrals", "torus"};
  for (size_t c = 0; c < 3; c++) {
    bm_chart_t *chart = fitted(plain[c]);
    assert_true(log_weight_of(chart, y) == 0.0);
    bm_chart_destroy(&chart);
  }
}

/* A density of all coordinates that has the density of the noise as a factor, times the weight, does not
 * depend on the noise; without noise it differs from that of principal directions, which is the volume of
 * aligned configurations, by the noise's normalisation. */
static void weights_take_the_noise_out_and_the_volume_in(void **state)
{
  (void)state;
  const bm_random_t random = bm_random(4, BM_PURPOSE_NOISE);
  bm_chart_t *cartesian = fitted("cartesian");
  bm_chart_t *whitened = fitted("whitened");
  bm_alignment_t *alignment;
  double *z = shapes_of(cartesian);
  assert_int_equal(bm_alignment_fit(D_MAX / 3, N, frames, molecule->start, &alignment), BM_OK);
  for (uint32_t i = 0; i < N; i++) {
    double y[D_MAX];
    double normals[BM_RIGID];
    double squares = 0.0;
    bm_chart_encode(whitened, z + i * D_MAX, y);
    double volume = log_weight_of(whitened, y);
    assert_true(fabs(volume + bm_alignment_log_volume(alignment, z + i * D_MAX)) < 1e-12);
    bm_chart_encode(cartesian, z + i * D_MAX, y);
    double still = log_weight_of(cartesian, y);
    assert_true(fabs(still - volume - BM_RIGID * log(NOISE * sqrt(2.0 * M_PI))) < 1e-11);
    bm_chart_add_noise(cartesian, random, i, 5, y);
    bm_random_normals(random, i, 5, 0, BM_RIGID, normals);
    for (int r = 0; r < BM_RIGID; r++) {
      squares += normals[r] * normals[r];
    }
    assert_true(fabs(log_weight_of(cartesian, y) - still - 0.5 * squares) < 1e-10);
  }
  bm_alignment_destroy(&alignment);
  bm_free(z);
  bm_chart_destroy(&whitened);
  bm_chart_destroy(&cartesian);
}

/* Central differences of a step of 1e-4 of a standard deviation: off by some 1e-8 of the slope's size. */
static void gradient_of_the_log_weight_is_its_derivative(void **state)
{
  (void)state;
  const double step = 1e-4;
  for (size_t c = 0; c < CHARTS; c++) {
    bm_chart_t *chart = fitted(names[c]);
    const size_t d = bm_chart_dimension(chart);
    double y[D_MAX];
    double z[D_MAX];
    double g[D_MAX];
    double size = 0.0;
    bm_random_normals(bm_random(5, BM_PURPOSE_TEST), 1, 0, 0, d, y);
    bm_chart_decode(chart, y, z, NULL);
    bm_chart_log_weight_gradient(chart, y, z, g);
    for (size_t k = 0; k < d; k++) {
      size = fmax(size, fabs(g[k]));
    }
    assert_true((size > 0.0) == (c == 1 || c == 2)); /* those of aligned molecules */
    for (size_t k = 0; k < d; k++) {
      const double middle = y[k];
      y[k] = middle + step;
      double slope = log_weight_of(chart, y);
      y[k] = middle - step;
      slope = (slope - log_weight_of(chart, y)) / (2.0 * step);
      y[k] = middle;
      assert_true(fabs(slope - g[k]) <= 1e-6 * size);
    }
    bm_chart_log_weight_gradient(chart, y, z, y);
    assert_memory_equal(y, g, d * sizeof *y);
    bm_chart_destroy(&chart);
  }
}

static bm_state_t *saved(const bm_chart_t *chart)
{
  bm_state_t *state;
  assert_int_equal(bm_state_create("model", &state), BM_OK);
  assert_int_equal(bm_chart_save(chart, state), BM_OK);
  return state;
}

/* Everything that a chart does with the same rows, into one array. */
static size_t deeds_of(const bm_chart_t *chart, double *out)
{
  const size_t d = bm_chart_dimension(chart);
  const size_t shape_d = bm_chart_shape_dimension(chart);
  const double *x = bm_chart_system_dimension(chart) == 4 ? pairs : frames;
  double *next = out;
  assert_int_equal(bm_chart_project(chart, 3, x, next), BM_OK);
  const double *z = next;
  next += 3 * shape_d;
  bm_chart_encode(chart, z, next);
  bm_chart_add_noise(chart, bm_random(1, BM_PURPOSE_NOISE), 2, 3, next);
  const double *y = next;
  next += d;
  bm_chart_decode(chart, y, next + 1, next);
  next += 1 + shape_d;
  bm_chart_decode_adjoint(chart, z, next);
  next += d;
  *next++ = bm_chart_log_det(chart);
  return (size_t)(next - out);
}

static void layout_of(const bm_chart_t *chart, size_t layout[2])
{
  const int is_plane = bm_chart_system_dimension(chart) == 4;
  layout[0] = is_plane ? 2 : bm_chart_particles(chart);
  layout[1] = is_plane ? 2 : bm_chart_shape_dimension(chart) / layout[0];
}

static void a_loaded_chart_is_the_same_bits(void **state)
{
  (void)state;
  for (size_t c = 0; c < CHARTS; c++) {
    bm_chart_t *chart = fitted(names[c]);
    bm_chart_t *again;
    bm_state_t *file = saved(chart);
    size_t layout[2];
    double deeds[2][6 * D_MAX + 2];
    layout_of(chart, layout);
    assert_int_equal(bm_chart_load(file, layout[0], layout[1], &again), BM_OK);
    assert_string_equal(bm_chart_name(again), names[c]);
    assert_int_equal(bm_chart_system_dimension(again), bm_chart_system_dimension(chart));
    assert_int_equal(bm_chart_dimension(again), bm_chart_dimension(chart));
    assert_int_equal(bm_chart_particles(again), bm_chart_particles(chart));
    size_t count = deeds_of(chart, deeds[0]);
    assert_int_equal(deeds_of(again, deeds[1]), count);
    assert_memory_equal(deeds[0], deeds[1], count * sizeof(double));
    if (strcmp(names[c], "standardised") != 0 && !bm_chart_is_angular(bm_chart_find(names[c]))) {
      double mirrored[D_MAX];
      for (size_t k = 0; k < D_MAX; k++) {
        mirrored[k] = -frames[k];
      }
      assert_int_equal(bm_chart_project(again, 1, mirrored, deeds[0]), BM_ERR_DATA);
    }
    bm_state_destroy(&file);
    bm_chart_destroy(&again);
    bm_chart_destroy(&chart);
  }
}

static void containers_that_name_no_chart_are_of_standardised_columns(void **state)
{
  (void)state;
  const double mean[4] = {1.0, 2.0, 3.0, 4.0};
  const double scale[4] = {0.5, 2.0, 8.0, 1.0};
  const double x[4] = {2.0, 2.0, -5.0, 5.0};
  const double expected[4] = {2.0, 0.0, -1.0, 1.0};
  double y[4];
  bm_state_t *file;
  bm_chart_t *chart;
  assert_int_equal(bm_state_create("model", &file), BM_OK);
  assert_int_equal(bm_state_put_doubles(file, "standardisation/mean", 4, mean), BM_OK);
  assert_int_equal(bm_state_put_doubles(file, "standardisation/scale", 4, scale), BM_OK);
  assert_int_equal(bm_chart_load(file, 2, 2, &chart), BM_OK);
  bm_chart_encode(chart, x, y);
  assert_memory_equal(y, expected, sizeof y);
  bm_chart_destroy(&chart);
  assert_int_equal(bm_chart_load(file, 2, 3, &chart), BM_ERR_DATA);
  assert_null(chart);
  bm_state_destroy(&file);
}

/* What is done to a block. */
typedef struct {
  const char *name;
  const char *text; /* instead of a text; NULL: not a text */
  ptrdiff_t longer; /* items more; -1000: the block is left out */
  size_t place;     /* of the item that gets the value */
  double value;
  int has_value;
} damage_t;

#define ITEMS_MAX 4000

static void copy_block(const bm_state_t *file, size_t index, const damage_t *damage,
                       bm_state_t *out)
{
  const char *name = bm_state_block_name(file, index);
  const char *type = bm_state_block_type(file, index);
  const int is_hit = strcmp(name, damage->name) == 0;
  size_t count = bm_state_count(file, name);
  size_t made = is_hit ? (size_t)((ptrdiff_t)count + damage->longer) : count;
  static double doubles[ITEMS_MAX + 1];
  static int64_t ints[ITEMS_MAX + 1];
  const char *text;
  assert_true(count <= ITEMS_MAX);
  if (is_hit && damage->longer == -1000) {
    return;
  }
  if (strstr(type, "text") != NULL) {
    assert_int_equal(bm_state_get_string(file, name, &text), BM_OK);
    text = is_hit ? damage->text : text;
    assert_int_equal(bm_state_put_string(out, name, text), BM_OK);
  } else if (strstr(type, "int") != NULL) {
    assert_int_equal(bm_state_get_ints(file, name, count, ints), BM_OK);
    ints[count] = 0;
    if (is_hit && damage->has_value) {
      ints[damage->place] = (int64_t)damage->value;
    }
    assert_int_equal(bm_state_put_ints(out, name, made, ints), BM_OK);
  } else {
    assert_int_equal(bm_state_get_doubles(file, name, count, doubles), BM_OK);
    doubles[count] = 1.0;
    if (is_hit && damage->has_value) {
      doubles[damage->place] = damage->value;
    }
    assert_int_equal(bm_state_put_doubles(out, name, made, doubles), BM_OK);
  }
}

static bm_status_t load_damaged(const bm_chart_t *chart, const damage_t *damage)
{
  bm_state_t *file = saved(chart);
  bm_state_t *out;
  bm_chart_t *again;
  size_t layout[2];
  assert_int_equal(bm_state_create("model", &out), BM_OK);
  for (size_t b = 0; b < bm_state_block_count(file); b++) {
    copy_block(file, b, damage, out);
  }
  layout_of(chart, layout);
  bm_status_t status = bm_chart_load(out, layout[0], layout[1], &again);
  assert_true((again == NULL) == (status != BM_OK));
  bm_chart_destroy(&again);
  bm_state_destroy(&out);
  bm_state_destroy(&file);
  return status;
}

static void refuse(const bm_chart_t *chart, damage_t damage)
{
  bm_status_t status = load_damaged(chart, &damage);
  if (status != BM_ERR_DATA) {
    fail_msg("%s: %s, %td more, item %zu = %g: status %d", bm_chart_name(chart), damage.name,
             damage.longer, damage.place, damage.value, (int)status);
  }
}

static void blocks_that_are_missing_or_of_another_length_are_refused(void **state)
{
  (void)state;
  for (size_t c = 0; c < CHARTS; c++) {
    bm_chart_t *chart = fitted(names[c]);
    bm_state_t *file = saved(chart);
    assert_int_equal(load_damaged(chart, &(damage_t){.name = "none"}), BM_OK);
    for (size_t b = 0; b < bm_state_block_count(file); b++) {
      const char *name = bm_state_block_name(file, b);
      if (strcmp(name, "chart/kind") == 0) {
        continue;
      }
      refuse(chart, (damage_t){.name = name, .longer = 1});
      refuse(chart, (damage_t){.name = name, .longer = -1000});
    }
    refuse(chart, (damage_t){.name = "chart/kind", .text = "polar"});
    bm_state_destroy(&file);
    bm_chart_destroy(&chart);
  }
}

static void numbers_that_are_not_finite_are_refused(void **state)
{
  (void)state;
  static const double values[] = {NAN, INFINITY, -INFINITY};
  for (size_t c = 0; c < CHARTS; c++) {
    bm_chart_t *chart = fitted(names[c]);
    bm_state_t *file = saved(chart);
    for (size_t b = 0; b < bm_state_block_count(file); b++) {
      const char *name = bm_state_block_name(file, b);
      const char *type = bm_state_block_type(file, b);
      if (strstr(type, "text") != NULL || strstr(type, "int") != NULL) {
        continue;
      }
      for (int v = 0; v < 3; v++) {
        const size_t last = bm_state_count(file, name) - 1;
        refuse(chart, (damage_t){.name = name, .place = last, .value = values[v], .has_value = 1});
      }
    }
    for (int sign = -1; sign < 1; sign++) {
      refuse(
          chart,
          (damage_t){.name = "standardisation/scale", .place = 1, .value = sign, .has_value = 1});
    }
    bm_state_destroy(&file);
    bm_chart_destroy(&chart);
  }
}

static void atoms_that_are_not_there_are_refused(void **state)
{
  (void)state;
  static const char *const lists[CHARTS] = {NULL, "chart/centres", "chart/centres", "chart/angles",
                                            "chart/angles"};
  for (size_t c = 1; c < CHARTS; c++) {
    bm_chart_t *chart = fitted(names[c]);
    for (size_t place = 0; place < 4; place++) {
      refuse(chart, (damage_t){.name = lists[c], .place = place, .value = -1, .has_value = 1});
      refuse(chart, (damage_t){.name = lists[c], .place = place, .value = 22, .has_value = 1});
    }
    bm_chart_destroy(&chart);
  }
}

static void sizes_that_make_no_sense_are_refused(void **state)
{
  (void)state;
  static const double bad[] = {-1.0, 0.0, 1.0, 21.0, 23.0, 1e9, 9e18};
  for (size_t c = 0; c < CHARTS; c++) {
    bm_chart_t *chart = fitted(names[c]);
    for (size_t place = 0; place < 3; place++) {
      for (size_t v = 0; v < sizeof bad / sizeof bad[0]; v++) {
        if (bm_chart_is_angular(bm_chart_find(names[c])) && place == 0 && bad[v] > 20.0 &&
            bad[v] < 24.0) {
          continue; /* atoms that have no part in its angles */
        }
        refuse(chart,
               (damage_t){.name = "chart/sizes", .place = place, .value = bad[v], .has_value = 1});
      }
    }
    bm_chart_destroy(&chart);
  }
}

/* Without noise there is no density in the null directions; where there are none, there is no noise. */
static void noise_that_makes_no_sense_is_refused(void **state)
{
  (void)state;
  bm_chart_t *cartesian = fitted("cartesian");
  bm_chart_t *whitened = fitted("whitened");
  refuse(cartesian, (damage_t){.name = "chart/noise", .value = 0.0, .has_value = 1});
  refuse(cartesian, (damage_t){.name = "chart/noise", .value = -0.02, .has_value = 1});
  refuse(whitened, (damage_t){.name = "chart/noise", .value = 0.02, .has_value = 1});
  bm_chart_destroy(&whitened);
  bm_chart_destroy(&cartesian);
}

static void data_that_do_not_vary_are_refused(void **state)
{
  (void)state;
  double *x = shaken_structures(molecule, N, 0.0, 1);
  bm_chart_t *chart;
  for (size_t c = 1; c < CHARTS; c++) {
    const bm_chart_system_t system = chart_system(molecule, 0.0);
    assert_int_equal(bm_chart_fit(bm_chart_find(names[c]), &system, N, x, &chart), BM_ERR_DATA);
    assert_null(chart);
  }
  bm_free(x);
}

int main(int argc, char **argv)
{
  MPI_Init(&argc, &argv);
  potential = potential_of(dipeptide_system(""));
  molecule = bm_potential_traits(potential)->molecule;
  frames = shaken_structures(molecule, N, WIDTH, 1);
  if (BM_ALLOC(4 * N, &pairs) != BM_OK) {
    return 1;
  }
  for (uint32_t i = 0; i < N; i++) {
    bm_random_normals(bm_random(2, BM_PURPOSE_TEST), i, 0, 0, 4, pairs + 4 * (size_t)i);
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes_are_those_of_the_description),
      cmocka_unit_test(decode_is_the_inverse_of_encode_on_shapes_of_the_data),
      cmocka_unit_test(encoded_data_have_zero_mean_and_unit_variance),
      cmocka_unit_test(noise_leaves_the_shape),
      cmocka_unit_test(adjoint_is_the_transpose_of_decode),
      cmocka_unit_test(shapes_do_not_know_of_motions),
      cmocka_unit_test(mirror_images_are_refused_by_number_where_atoms_are_described),
      cmocka_unit_test(circles_are_cut_where_there_are_no_data),
      cmocka_unit_test(angles_across_pi_are_neighbours_on_the_torus),
      cmocka_unit_test(charts_of_a_fixed_frame_and_of_angles_weigh_nothing),
      cmocka_unit_test(weights_take_the_noise_out_and_the_volume_in),
      cmocka_unit_test(gradient_of_the_log_weight_is_its_derivative),
      cmocka_unit_test(a_loaded_chart_is_the_same_bits),
      cmocka_unit_test(containers_that_name_no_chart_are_of_standardised_columns),
      cmocka_unit_test(blocks_that_are_missing_or_of_another_length_are_refused),
      cmocka_unit_test(numbers_that_are_not_finite_are_refused),
      cmocka_unit_test(atoms_that_are_not_there_are_refused),
      cmocka_unit_test(sizes_that_make_no_sense_are_refused),
      cmocka_unit_test(noise_that_makes_no_sense_is_refused),
      cmocka_unit_test(data_that_do_not_vary_are_refused),
  };
  int failed = cmocka_run_group_tests_name("charts", tests, NULL, NULL);
  bm_free(pairs);
  bm_free(frames);
  bm_potential_destroy(&potential);
  MPI_Finalize();
  return failed;
}
