/* Comparisons: the standard errors say what new draws would do, floors are what equal densities
 * have. */

#include <math.h>
#include <mpi.h>
#include <string.h>

#include "../flow/made_flow.h"
#include "../model/case_of_text.h"
#include "../model/dipeptide.h"
#include "boltzmap/analyse/comparison.h"
#include "boltzmap/base/internal.h"
#include "boltzmap/model/backbone.h"

#define N 400
#define DRAWS 40

static bm_context_t *context;
static const bm_comparison_settings_t settings = {
    .projections = 30, .exact = 1, .exact_points = 60, .exact_repeats = 2, .seed = 5};

/* Normal rows whose first coordinate is shifted: two particles in the plane, of no physical
 * meaning. */
static double *rows_of(uint32_t stream, double shift)
{
  double *x = zero_doubles(4 * N);
  for (size_t i = 0; i < N; i++) {
    bm_random_normals(bm_random(11, BM_PURPOSE_TEST), stream, i, 0, 4, x + 4 * i);
    x[4 * i] += shift;
  }
  return x;
}

static void rows_are_named_and_have_sizes(void **state)
{
  (void)state;
  bm_potential_t *potential = potential_of("kind = \"coulomb-double-well\"; beta = 5.0;");
  double *a = rows_of(0, 0.0);
  double *b = rows_of(1, 1.0);
  bm_cloud_t first = {N, 4, a};
  bm_cloud_t second = {N, 4, b};
  bm_comparison_row_t rows[3];
  bm_results_t *results;
  size_t count;
  assert_int_equal(bm_comparison_count(potential, &settings, N, &count), BM_OK);
  assert_int_equal(count, 3);
  const bm_comparison_t comparison = {context, potential, &settings, {NULL, NULL}};
  assert_int_equal(bm_comparison_measure(&comparison, &first, &second, NULL, rows), BM_OK);
  assert_string_equal(rows[0].name, "w2_r");
  assert_string_equal(rows[1].name, "w2_sliced");
  assert_string_equal(rows[2].name, "w2_exact");
  assert_int_equal(rows[1].points, N);
  assert_int_equal(rows[2].points, 60);
  assert_int_equal(bm_results_create(&results), BM_OK);
  assert_int_equal(bm_comparison_put(rows, 3, "_singular", results), BM_OK);
  assert_true(bm_results_value(results, "w2_exact_singular") >= 1.0);
  assert_true(bm_results_value(results, "w2_sliced_singular") == rows[1].value);
  bm_results_destroy(&results);
  bm_free(b);
  bm_free(a);
  bm_potential_destroy(&potential);
}

/* Mean of the jackknife's errors beside the standard deviation over new draws of both sets. */
static void jackknife_says_what_new_draws_do(void **state)
{
  (void)state;
  bm_potential_t *potential = potential_of("kind = \"coulomb-double-well\"; beta = 5.0;");
  const bm_comparison_settings_t no_exact = {.projections = 30, .seed = 5};
  const bm_comparison_t comparison = {context, potential, &no_exact, {NULL, NULL}};
  double values[2][DRAWS];
  double mean[2] = {0.0, 0.0};
  double error[2] = {0.0, 0.0};
  for (uint32_t draw = 0; draw < DRAWS; draw++) {
    double *a = rows_of(2 * draw, 0.0);
    double *b = rows_of(2 * draw + 1, 1.5);
    bm_cloud_t first = {N, 4, a};
    bm_cloud_t second = {N, 4, b};
    bm_comparison_row_t rows[2];
    assert_int_equal(bm_comparison_measure(&comparison, &first, &second, NULL, rows), BM_OK);
    for (int k = 0; k < 2; k++) {
      values[k][draw] = rows[k].value;
      mean[k] += rows[k].value / DRAWS;
      error[k] += rows[k].error / DRAWS;
    }
    bm_free(b);
    bm_free(a);
  }
  for (int k = 0; k < 2; k++) {
    double spread = 0.0;
    for (int draw = 0; draw < DRAWS; draw++) {
      spread += (values[k][draw] - mean[k]) * (values[k][draw] - mean[k]) / (DRAWS - 1);
    }
    spread = sqrt(spread);
    /* a standard deviation from 40 draws is good to a tenth; the jackknife leans a little high */
    assert_true(error[k] > 0.55 * spread && error[k] < 1.9 * spread);
  }
  bm_potential_destroy(&potential);
}

static void floor_is_the_mean_over_pairs_of_equal_densities(void **state)
{
  (void)state;
  enum { PAIRS = 8 };
  bm_potential_t *potential = potential_of("kind = \"coulomb-double-well\"; beta = 5.0;");
  double *x[2 * PAIRS];
  bm_cloud_t clouds[2 * PAIRS];
  const bm_comparison_t comparison = {context, potential, &settings, {NULL, NULL}};
  bm_comparison_row_t floor[3];
  bm_comparison_row_t apart[3];
  for (uint32_t i = 0; i < 2 * PAIRS; i++) {
    x[i] = rows_of(100 + i, 0.0);
    clouds[i] = (bm_cloud_t){N, 4, x[i]};
  }
  assert_int_equal(bm_comparison_floor(&comparison, PAIRS, clouds, clouds + PAIRS, floor), BM_OK);
  double *b = rows_of(90, 1.5);
  bm_cloud_t second = {N, 4, b};
  assert_int_equal(bm_comparison_measure(&comparison, &clouds[0], &second, NULL, apart), BM_OK);
  for (int k = 0; k < 3; k++) {
    assert_int_equal(floor[k].points, PAIRS);
    assert_true(floor[k].value > 0.0 && floor[k].spread > 0.0);
    assert_true(fabs(floor[k].error * sqrt(PAIRS) - floor[k].spread) < 1e-12);
  }
  for (int k = 1; k < 3; k++) {
    assert_true(apart[k].value > floor[k].value + 6.0 * floor[k].spread);
  }
  bm_free(b);
  for (int i = 0; i < 2 * PAIRS; i++) {
    bm_free(x[i]);
  }
  bm_potential_destroy(&potential);
}

/* Rows of a comparison of two sets; owned by the caller. */
static bm_comparison_row_t *compared(const bm_potential_t *potential,
                                     const bm_comparison_settings_t *asked, bm_cloud_t a,
                                     bm_cloud_t b, size_t *count)
{
  bm_comparison_row_t *rows = NULL;
  assert_int_equal(bm_comparison_count(potential, asked, a.n, count), BM_OK);
  assert_int_equal(BM_ALLOC(*count, &rows), BM_OK);
  const bm_comparison_t comparison = {context, potential, asked, {NULL, NULL}};
  assert_int_equal(bm_comparison_measure(&comparison, &a, &b, NULL, rows), BM_OK);
  return rows;
}

static void check_names(const bm_comparison_row_t *rows, size_t count, const char *const *names)
{
  for (size_t k = 0; k < count; k++) {
    assert_non_null(names[k]);
    assert_string_equal(rows[k].name, names[k]);
  }
  assert_null(names[count]);
}

static double value_of(const bm_comparison_row_t *rows, size_t count, const char *name)
{
  for (size_t k = 0; k < count; k++) {
    if (strcmp(rows[k].name, name) == 0) {
      return rows[k].value;
    }
  }
  fail_msg("no row %s", name);
  return NAN;
}

/* The second set is the first one with all lengths a tenth larger, moved and turned: bonds differ by a tenth of
 * their lengths, angles not at all. Principal components know of the place. */
static void rows_of_a_molecule_are_of_its_bonds_angles_and_components(void **state)
{
  (void)state;
  enum { ROWS = 12 };
  static const char *const names[] = {"w2_phi",          "w2_psi",          "w2_r_nonbonded",
                                      "w2_sliced",       "w2_exact",        "w2_flat_deg",
                                      "w2_torus_deg",    "ramachandran_kl", "w2_pca",
                                      "w2_bond_lengths", "w2_bond_angles",  NULL};
  bm_potential_t *potential = potential_of(dipeptide_system(""));
  const bm_molecule_t *molecule = bm_potential_traits(potential)->molecule;
  const bm_topology_t *topology = molecule->topology;
  const size_t d = bm_potential_dimension(potential);
  double *a = shaken_structures(molecule, ROWS, 0.0, 80);
  double *b = zero_doubles(ROWS * d);
  double *pca = zero_doubles(4 * d); /* mean, scale, directions */
  double squares = 0.0;
  size_t count;
  for (size_t k = 0; k < ROWS * d; k++) {
    b[k] = 1.1 * a[k];
  }
  for (size_t k = 0; k < d; k++) {
    pca[d + k] = 2.0;
  }
  pca[2 * d] = 1.0;
  pca[3 * d + 1] = 1.0;
  const bm_pca_t components = {pca, pca + d, pca + 2 * d};
  bm_comparison_settings_t asked = settings;
  asked.pca = &components;
  bm_comparison_row_t *rows =
      compared(potential, &asked, (bm_cloud_t){ROWS, d, a}, (bm_cloud_t){ROWS, d, b}, &count);
  check_names(rows, count, names);
  for (size_t k = 0; k < topology->bond_count; k++) {
    const size_t atoms[2] = {topology->bonds[k].i, topology->bonds[k].j};
    const double length = bm_internal_distance(molecule->start, atoms);
    squares += length * length / (double)topology->bond_count;
  }
  assert_true(fabs(value_of(rows, count, "w2_bond_lengths") - 0.1 * sqrt(squares)) < 1e-9);
  assert_true(value_of(rows, count, "w2_bond_angles") < 1e-5); /* degrees; roundings of atan2 */
  assert_true(value_of(rows, count, "w2_torus_deg") < 1e-5);
  assert_true(value_of(rows, count, "ramachandran_kl") < 1e-12);
  bm_free(rows);
  for (size_t i = 0; i < ROWS; i++) {
    memcpy(b + i * d, a + i * d, d * sizeof *b);
    b[i * d] += 0.3;
    b[i * d + 1] += 0.4;
  }
  rows = compared(potential, &asked, (bm_cloud_t){ROWS, d, a}, (bm_cloud_t){ROWS, d, b}, &count);
  assert_true(fabs(value_of(rows, count, "w2_pca") - 0.25) < 1e-9);
  bm_free(rows);
  bm_free(pca);
  bm_free(b);
  bm_free(a);
  bm_potential_destroy(&potential);
}

/* Angles of one set on one side of ±pi in phi, of the other beyond it by a tenth of a radian: near on the torus,
 * a turn away in the plane. Sets of more than 1,000 rows are compared by the paper's protocol, too. */
static void clouds_across_the_cut_are_near_on_the_torus(void **state)
{
  (void)state;
  enum { ROWS = 60 };
  static const char *const names[] = {"w2_phi",       "w2_psi",          "w2_flat_deg",
                                      "w2_torus_deg", "ramachandran_kl", NULL};
  bm_potential_t *molecule = potential_of(dipeptide_system(""));
  bm_potential_t *backbone;
  double x[2][2 * ROWS];
  size_t count;
  const bm_comparison_settings_t angles = {.exact = 1, .seed = 5};
  assert_int_equal(bm_backbone_create(molecule, &backbone), BM_OK);
  for (size_t i = 0; i < ROWS; i++) {
    double uniform[2];
    bm_random_uniform2(bm_random(81, BM_PURPOSE_TEST), 0, i, 0, uniform);
    x[0][2 * i] = M_PI - 0.08 * uniform[0];
    x[1][2 * i] = x[0][2 * i] + 0.1 - 2.0 * M_PI;
    x[0][2 * i + 1] = uniform[1];
    x[1][2 * i + 1] = uniform[1];
  }
  bm_comparison_row_t *rows =
      compared(backbone, &angles, (bm_cloud_t){ROWS, 2, x[0]}, (bm_cloud_t){ROWS, 2, x[1]}, &count);
  check_names(rows, count, names);
  const double degrees = 180.0 / M_PI;
  assert_true(fabs(value_of(rows, count, "w2_torus_deg") - 0.1 * degrees) < 1e-5);
  assert_true(fabs(value_of(rows, count, "w2_flat_deg") - (2.0 * M_PI - 0.1) * degrees) < 1e-3);
  assert_true(fabs(value_of(rows, count, "w2_phi") - 0.1) < 1e-7);
  assert_true(value_of(rows, count, "w2_psi") < 1e-12);
  assert_true(value_of(rows, count, "ramachandran_kl") > 0.0);
  bm_free(rows);
  assert_int_equal(bm_comparison_count(backbone, &angles, 1000, &count), BM_OK);
  assert_int_equal(count, 5);
  assert_int_equal(bm_comparison_count(backbone, &angles, 1001, &count), BM_OK);
  assert_int_equal(count, 7);
  bm_potential_destroy(&backbone);
  bm_potential_destroy(&molecule);
}

/* Keeps nothing: the journal itself remembers. */
static bm_status_t save_nothing(void *self, int64_t step, bm_state_t *kept)
{
  (void)self;
  (void)step;
  (void)kept;
  return BM_OK;
}

static bm_status_t load_nothing(void *self, bm_state_t **kept)
{
  (void)self;
  *kept = NULL;
  return BM_OK;
}

/* Made-up values in the journal are taken as they are, and what is missing is measured. */
static void rows_that_are_remembered_are_not_measured_again(void **state)
{
  (void)state;
  enum { PAIRS = 3 };
  bm_potential_t *potential = potential_of("kind = \"coulomb-double-well\"; beta = 5.0;");
  const bm_keeper_t keeper = {NULL, 1e9, save_nothing, load_nothing};
  bm_journal_t *journal;
  assert_int_equal(bm_journal_open(context, &keeper, &journal), BM_OK);
  const bm_comparison_t fresh = {context, potential, &settings, {NULL, NULL}};
  const bm_comparison_t comparison = {context, potential, &settings, {journal, "own"}};
  const double made_up[4] = {7.0, 0.5, NAN, 11.0};
  const double pair = 1000.0;
  assert_int_equal(bm_journal_add(journal, "own/w2_sliced", 4, made_up), BM_OK);
  assert_int_equal(bm_journal_add(journal, "own-pairs/w2_exact/1", 1, &pair), BM_OK);
  double *x[2 * PAIRS];
  bm_cloud_t clouds[2 * PAIRS];
  for (uint32_t i = 0; i < 2 * PAIRS; i++) {
    x[i] = rows_of(200 + i, 0.0);
    clouds[i] = (bm_cloud_t){N, 4, x[i]};
  }
  bm_comparison_row_t rows[3];
  bm_comparison_row_t floor[3];
  bm_comparison_row_t known[3];
  bm_comparison_row_t whole[3];
  int found;
  assert_int_equal(bm_comparison_recall(&comparison, N, rows, &found), BM_OK);
  assert_false(found);
  assert_int_equal(bm_comparison_floor(&fresh, PAIRS, clouds, clouds + PAIRS, whole), BM_OK);
  assert_int_equal(bm_comparison_floor(&comparison, PAIRS, clouds, clouds + PAIRS, floor), BM_OK);
  assert_true(floor[0].value == whole[0].value && floor[0].spread == whole[0].spread);
  assert_true(floor[1].value == 7.0 && floor[1].error == 0.5 && floor[1].points == 11);
  assert_true(floor[2].value > 300.0); /* a third of the made-up pair */
  assert_int_equal(bm_comparison_recall(&comparison, N, known, &found), BM_OK);
  assert_true(found);
  assert_true(known[2].value == floor[2].value);
  assert_int_equal(bm_comparison_measure(&comparison, &clouds[0], &clouds[PAIRS], NULL, rows),
                   BM_OK);
  assert_true(rows[0].value == floor[0].value && rows[1].value == 7.0);
  for (int i = 0; i < 2 * PAIRS; i++) {
    bm_free(x[i]);
  }
  bm_journal_close(&journal);
  bm_potential_destroy(&potential);
}

int main(int argc, char **argv)
{
  MPI_Init(&argc, &argv);
  if (bm_context_create(MPI_COMM_SELF, &context) != BM_OK) {
    return 1;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_that_are_remembered_are_not_measured_again),
      cmocka_unit_test(rows_are_named_and_have_sizes),
      cmocka_unit_test(jackknife_says_what_new_draws_do),
      cmocka_unit_test(floor_is_the_mean_over_pairs_of_equal_densities),
      cmocka_unit_test(rows_of_a_molecule_are_of_its_bonds_angles_and_components),
      cmocka_unit_test(clouds_across_the_cut_are_near_on_the_torus),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  bm_context_destroy(&context);
  MPI_Finalize();
  return failed;
}
