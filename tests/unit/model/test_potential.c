#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boltzmap/base/internal.h"
#include "boltzmap/base/random.h"
#include "boltzmap/model/potential.h"
#include "case_of_text.h"
#include "dipeptide.h"

#define POINTS 200
#define D_MAX 6
#define TOLERANCE 1e-7

#define SMOOTH 5 /* the first systems have derivatives of all orders wherever they are finite */
static const char *const systems[] = {
    "kind = \"gaussian\"; dimension = 6; mean = 0.3; aspect_ratio = 5.0; beta = 1.0;",
    "kind = \"double-well\"; barrier = 2.0; tilt = 0.3; stiffness = 1.5; beta = 3.0;",
    "kind = \"coulomb-double-well\"; beta = 5.0;",
    "kind = \"coulomb-double-well\"; beta = 5.0; softening = 0.0;",
    "kind = \"coulomb-double-well\"; beta = 5.0; softening = 0.03;",
    "kind = \"coulomb-double-well\"; beta = 5.0; softening = 0.5; energy_cutoff = 0.4;",
};

static double energy_of(const bm_potential_t *potential, const double *x)
{
  double energy;
  bm_potential_energy(potential, 1, x, &energy, NULL);
  return energy;
}

/* dU/dx_k by the central difference of sixth order: its error is of the order of (h/L)^6, where U
 * changes over the length L, and its rounding error 1e-16·|U|/h. */
static double difference(const bm_potential_t *potential, const double *x, size_t k, double h)
{
  static const double weights[3] = {45.0, -9.0, 1.0};
  double moved[D_MAX];
  double sum = 0.0;
  memcpy(moved, x, bm_potential_dimension(potential) * sizeof *moved);
  for (int i = 0; i < 3; i++) {
    moved[k] = x[k] + (i + 1) * h;
    sum += weights[i] * energy_of(potential, moved);
    moved[k] = x[k] - (i + 1) * h;
    sum -= weights[i] * energy_of(potential, moved);
  }
  return sum / (60.0 * h);
}

/* The gradient at x against differences, relative to its largest component. */
static void check_gradient(const bm_potential_t *potential, const double *x, double h)
{
  const size_t d = bm_potential_dimension(potential);
  double energy;
  double gradient[D_MAX];
  double largest = 0.0;
  bm_potential_energy(potential, 1, x, &energy, gradient);
  assert_true(isfinite(energy));
  for (size_t k = 0; k < d; k++) {
    assert_true(isfinite(gradient[k]));
    largest = fmax(largest, fabs(gradient[k]));
  }
  for (size_t k = 0; k < d; k++) {
    double expected = difference(potential, x, k, h);
    if (fabs(gradient[k] - expected) > TOLERANCE * largest) {
      fail_msg("dU/dx_%zu = %.17g, by differences %.17g", k, gradient[k], expected);
    }
  }
}

static void gradient_is_the_derivative_of_the_energy(void **state)
{
  (void)state;
  bm_random_t random = bm_random(1, BM_PURPOSE_TEST);
  for (size_t s = 0; s < SMOOTH; s++) {
    bm_potential_t *potential = potential_of(systems[s]);
    for (uint32_t i = 0; i < POINTS; i++) {
      double x[D_MAX];
      bm_potential_start(potential, random, i, x);
      check_gradient(potential, x, 1e-3);
    }
    bm_potential_destroy(&potential);
  }
}

/* Two particles at distance r along a slanted line. */
static void place_pair(double r, double *x /* [4] */)
{
  x[0] = 0.8 + 0.6 * r;
  x[1] = -0.2 + 0.8 * r;
  x[2] = 0.8;
  x[3] = -0.2;
}

static void gradient_holds_close_to_a_softened_collision(void **state)
{
  (void)state;
  bm_potential_t *potential =
      potential_of("kind = \"coulomb-double-well\"; beta = 5.0; softening = 0.03;");
  const double distances[] = {0.0, 1e-9, 1e-6, 1e-3, 0.01, 0.03, 0.1};
  for (size_t i = 0; i < sizeof distances / sizeof distances[0]; i++) {
    double x[4];
    place_pair(distances[i], x);
    check_gradient(potential, x, 1e-4);
  }
  bm_potential_destroy(&potential);
}

/* The same at r = 1e-6 without the wells' share: the pair's own force, lambda·r/epsilon³ to first
 * order in (r/epsilon)², stands out by itself against the closed form. */
static void pair_force_at_a_softened_collision_has_its_closed_form(void **state)
{
  (void)state;
  bm_potential_t *with = potential_of("kind = \"coulomb-double-well\"; softening = 0.03;");
  bm_potential_t *without = potential_of("kind = \"coulomb-double-well\"; coupling = 0.0;");
  double x[4] = {1e-6, 0.0, 0.0, 0.0};
  double energy[2];
  double gradient[2][4];
  bm_potential_energy(with, 1, x, &energy[0], gradient[0]);
  bm_potential_energy(without, 1, x, &energy[1], gradient[1]);
  double expected = -0.7 * 1e-6 / pow(1e-12 + 9e-4, 1.5);
  assert_true(fabs(gradient[0][0] - gradient[1][0] - expected) <= TOLERANCE * fabs(expected));
  assert_true(fabs(gradient[0][2] - gradient[1][2] + expected) <= TOLERANCE * fabs(expected));
  bm_potential_destroy(&with);
  bm_potential_destroy(&without);
}

/* At eps = 0.1 the cut-off changes energies from 10 to 20, which coupling/r passes through between
 * r = 0.07 and r = 0.035. */
static void gradient_holds_below_within_and_beyond_the_cutoff(void **state)
{
  (void)state;
  bm_potential_t *potential = potential_of(
      "kind = \"coulomb-double-well\"; beta = 5.0; softening = 0.0; energy_cutoff = 0.1;");
  const double within[] = {0.2, 0.1, 0.068, 0.06, 0.055, 0.05, 0.045, 0.04};
  for (size_t i = 0; i < sizeof within / sizeof within[0]; i++) {
    double x[4];
    place_pair(within[i], x);
    check_gradient(potential, x, 5e-5);
  }
  const double beyond[] = {0.03, 1e-6, 1e-160, 0.0};
  for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
    const double none[4] = {0.0, 0.0, 0.0, 0.0};
    double x[4];
    double energy;
    double gradient[4];
    place_pair(beyond[i], x);
    bm_potential_energy(potential, 1, x, &energy, gradient);
    assert_true(energy == 20.0);
    assert_memory_equal(gradient, none, sizeof none);
  }
  bm_potential_destroy(&potential);
}

/* At the two edges of the cut-off the second derivative jumps, which differences across them would
 * feel: points that near are left out. */
static void gradient_holds_with_softening_and_cutoff(void **state)
{
  (void)state;
  bm_random_t random = bm_random(7, BM_PURPOSE_TEST);
  bm_potential_t *potential = potential_of(systems[SMOOTH]);
  size_t within = 0;
  for (uint32_t i = 0; i < POINTS; i++) {
    double x[D_MAX];
    bm_potential_start(potential, random, i, x);
    double energy = energy_of(potential, x);
    if (fabs(energy - 2.5) > 0.05 && energy < 4.95) {
      check_gradient(potential, x, 1e-3);
      within += energy > 2.5;
    }
  }
  assert_true(within > 10);
  bm_potential_destroy(&potential);
}

static void nothing_is_ever_nan(void **state)
{
  (void)state;
  const double lengths[] = {0.0, 1e-320, 1e-300, 1e-160, 1e-108, 1e-20, 1e-8, 1.0, 1e20, 1e60};
  for (size_t s = 2; s < sizeof systems / sizeof systems[0]; s++) {
    bm_potential_t *potential = potential_of(systems[s]);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
      const double x[4] = {0.6 * lengths[i], 0.8 * lengths[i], 0.0, 0.0};
      double energy;
      double gradient[4];
      bm_potential_energy(potential, 1, x, &energy, gradient);
      assert_true(energy == energy);
      for (size_t k = 0; k < 4; k++) {
        assert_true(isfinite(gradient[k]));
      }
    }
    bm_potential_destroy(&potential);
  }
}

static void unsoftened_collision_is_infinite_with_no_gradient(void **state)
{
  (void)state;
  bm_potential_t *potential = potential_of("kind = \"coulomb-double-well\"; softening = 0.0;");
  const double x[4] = {0.5, 0.25, 0.5, 0.25};
  const double none[4] = {0.0, 0.0, 0.0, 0.0};
  double energy;
  double gradient[4];
  bm_potential_energy(potential, 1, x, &energy, gradient);
  assert_true(isinf(energy) && energy > 0.0);
  assert_memory_equal(gradient, none, sizeof none);
  bm_potential_destroy(&potential);
}

/* Configurations do not see their neighbours in a batch: what ranks with more or fewer walkers rely
 * on to get the same bits. */
static void batch_is_the_same_bits_as_one_by_one(void **state)
{
  (void)state;
  bm_random_t random = bm_random(2, BM_PURPOSE_TEST);
  for (size_t s = 0; s < sizeof systems / sizeof systems[0]; s++) {
    bm_potential_t *potential = potential_of(systems[s]);
    const size_t d = bm_potential_dimension(potential);
    double x[POINTS * D_MAX];
    double energy[POINTS];
    double gradient[POINTS * D_MAX];
    for (uint32_t i = 0; i < POINTS; i++) {
      bm_potential_start(potential, random, i, x + i * d);
    }
    bm_potential_energy(potential, POINTS, x, energy, gradient);
    for (size_t i = 0; i < POINTS; i++) {
      double alone;
      double slope[D_MAX];
      bm_potential_energy(potential, 1, x + i * d, &alone, slope);
      assert_memory_equal(&alone, &energy[i], sizeof alone);
      assert_memory_equal(slope, gradient + i * d, d * sizeof *slope);
    }
    bm_potential_destroy(&potential);
  }
}

/* |det| of a square matrix by elimination with pivoting. The matrix is used up. */
static double determinant(size_t d, double matrix[D_MAX][D_MAX])
{
  double product = 1.0;
  for (size_t k = 0; k < d; k++) {
    size_t pivot = k;
    for (size_t i = k; i < d; i++) {
      pivot = fabs(matrix[i][k]) > fabs(matrix[pivot][k]) ? i : pivot;
    }
    for (size_t j = 0; j < d; j++) {
      double swap = matrix[k][j];
      matrix[k][j] = matrix[pivot][j];
      matrix[pivot][j] = swap;
    }
    product *= fabs(matrix[k][k]);
    for (size_t i = k + 1; i < d; i++) {
      double factor = matrix[i][k] / matrix[k][k];
      for (size_t j = 0; j < d; j++) {
        matrix[i][j] -= factor * matrix[k][j];
      }
    }
  }
  return product;
}

static void check_involution(const bm_potential_t *potential, size_t kind, const double *x)
{
  const size_t d = bm_potential_dimension(potential);
  const double step = 0x1p-10;
  double image[D_MAX];
  double jacobian[D_MAX][D_MAX];
  memcpy(image, x, d * sizeof *image);
  bm_potential_involution(potential, kind, image);
  for (size_t k = 0; k < d; k++) {
    double moved[D_MAX];
    memcpy(moved, x, d * sizeof *moved);
    moved[k] += step;
    bm_potential_involution(potential, kind, moved);
    for (size_t i = 0; i < d; i++) {
      jacobian[k][i] = (moved[i] - image[i]) / step;
    }
  }
  assert_true(fabs(determinant(d, jacobian) - 1.0) < 1e-10);
  assert_memory_not_equal(image, x, d * sizeof *image);
  bm_potential_involution(potential, kind, image);
  assert_memory_equal(image, x, d * sizeof *image);
}

static void involutions_undo_themselves_and_keep_volume(void **state)
{
  (void)state;
  bm_random_t random = bm_random(3, BM_PURPOSE_TEST);
  size_t checked = 0;
  for (size_t s = 0; s < sizeof systems / sizeof systems[0]; s++) {
    bm_potential_t *potential = potential_of(systems[s]);
    for (size_t kind = 0; kind < bm_potential_involution_count(potential); kind++) {
      for (uint32_t i = 0; i < POINTS; i++) {
        double x[D_MAX];
        bm_potential_start(potential, random, i, x);
        check_involution(potential, kind, x);
        checked++;
      }
    }
    bm_potential_destroy(&potential);
  }
  assert_true(checked >= 5 * POINTS);
}

/* Images by all sets of symmetries, taken in any order. */
static void symmetries_leave_the_energy_and_commute(void **state)
{
  (void)state;
  bm_random_t random = bm_random(4, BM_PURPOSE_TEST);
  size_t checked = 0;
  for (size_t s = 0; s < sizeof systems / sizeof systems[0]; s++) {
    bm_potential_t *potential = potential_of(systems[s]);
    const size_t d = bm_potential_dimension(potential);
    const unsigned all = (unsigned)bm_potential_symmetry_count(potential) - 1u;
    for (uint32_t i = 0; i < POINTS; i++) {
      double x[D_MAX];
      double image[D_MAX];
      bm_potential_start(potential, random, i, x);
      for (unsigned which = 1; which <= all; which++) {
        memcpy(image, x, d * sizeof *image);
        bm_potential_symmetry(potential, which, image);
        assert_memory_not_equal(image, x, d * sizeof *image);
        assert_true(fabs(energy_of(potential, image) - energy_of(potential, x)) <
                    1e-13 * (1.0 + fabs(energy_of(potential, x))));
        bm_potential_symmetry(potential, all ^ which, image);
        bm_potential_symmetry(potential, all, image);
        assert_memory_equal(image, x, d * sizeof *image);
        checked++;
      }
    }
    bm_potential_destroy(&potential);
  }
  assert_true(checked >= 29 * POINTS);
}

static void distance_is_observed_without_softening(void **state)
{
  (void)state;
  bm_potential_t *potential = potential_of(systems[5]);
  const double x[8] = {1.0, 2.0, -2.0, 6.0, 0.5, 0.5, 0.5, 0.5};
  double r[2];
  bm_potential_observe(potential, 2, x, r);
  assert_true(r[0] == 5.0 && r[1] == 0.0);
  bm_potential_destroy(&potential);
}

/* Hydrogens of three methyl groups, each turned by thirds: a group of 27, whose elements leave the energy. */
static void turns_of_methyl_groups_leave_the_energy(void **state)
{
  (void)state;
  bm_potential_t *potential = potential_of(dipeptide_system(""));
  const size_t d = bm_potential_dimension(potential);
  const bm_molecule_t *molecule = bm_potential_traits(potential)->molecule;
  double *x = shaken_structures(molecule, 1, 0.01, 3);
  double *image = NULL;
  const double energy = energy_of(potential, x);
  assert_int_equal(BM_ALLOC(d, &image), BM_OK);
  assert_int_equal(bm_potential_symmetry_count(potential), 27);
  for (size_t element = 0; element < 27; element++) {
    memcpy(image, x, d * sizeof *image);
    bm_potential_symmetry(potential, element, image);
    assert_true((memcmp(image, x, d * sizeof *image) == 0) == (element == 0));
    assert_true(fabs(energy_of(potential, image) - energy) < 1e-9 * (1.0 + fabs(energy)));
    for (size_t c = 0; c < molecule->centre_count; c++) {
      assert_true(bm_internal_handedness(image, molecule->centres[c]) *
                      bm_internal_handedness(x, molecule->centres[c]) >
                  0.0);
    }
    bm_potential_symmetry(potential, element, image);
    bm_potential_symmetry(potential, element, image);
    assert_memory_equal(image, x, d * sizeof *image); /* three thirds */
  }
  bm_free(image);
  bm_free(x);
  bm_potential_destroy(&potential);
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradient_is_the_derivative_of_the_energy),
      cmocka_unit_test(gradient_holds_close_to_a_softened_collision),
      cmocka_unit_test(pair_force_at_a_softened_collision_has_its_closed_form),
      cmocka_unit_test(gradient_holds_below_within_and_beyond_the_cutoff),
      cmocka_unit_test(gradient_holds_with_softening_and_cutoff),
      cmocka_unit_test(nothing_is_ever_nan),
      cmocka_unit_test(unsoftened_collision_is_infinite_with_no_gradient),
      cmocka_unit_test(batch_is_the_same_bits_as_one_by_one),
      cmocka_unit_test(involutions_undo_themselves_and_keep_volume),
      cmocka_unit_test(symmetries_leave_the_energy_and_commute),
      cmocka_unit_test(turns_of_methyl_groups_leave_the_energy),
      cmocka_unit_test(distance_is_observed_without_softening),
  };
  MPI_Init(&argc, &argv);
  int failures = cmocka_run_group_tests_name("potential", tests, NULL, NULL);
  MPI_Finalize();
  return failures;
}
