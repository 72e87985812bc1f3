/* The properties of Theorem 1, for the energy cut-off of the two-particle potential without
 * softening. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boltzmap/base/random.h"
#include "boltzmap/model/cutoff.h"
#include "boltzmap/model/potential.h"
#include "case_of_text.h"

#define D 4
#define POINTS 20000
#define BOX 2.0      /* Omega is the cube of this half-width */
#define COUPLING 0.7 /* the deck's default */

static const double epsilons[] = {1.0, 0.3, 0.1, 0.01};
#define EPSILONS (sizeof epsilons / sizeof epsilons[0])

static bm_potential_t *cut_at(double epsilon)
{
  char text[128];
  snprintf(text, sizeof text,
           "kind = \"coulomb-double-well\"; beta = 5.0; softening = 0.0; energy_cutoff = %.17g;",
           epsilon);
  return potential_of(text);
}

/* A point of Omega; in every second one the particles are close, by a power of ten from 0 to
 * -12. */
static void draw_point(bm_random_t random, uint32_t index, double *x /* [4] */)
{
  double uniform[2];
  for (uint32_t k = 0; k < D; k += 2) {
    bm_random_uniform2(random, index, k, 0, uniform);
    x[k] = BOX * (2.0 * uniform[0] - 1.0);
    x[k + 1] = BOX * (2.0 * uniform[1] - 1.0);
  }
  if (index % 2 == 1) {
    bm_random_uniform2(random, index, D, 0, uniform);
    double r = pow(10.0, -12.0 * uniform[0]);
    x[2] = x[0] + r * cos(2.0 * M_PI * uniform[1]);
    x[3] = x[1] + r * sin(2.0 * M_PI * uniform[1]);
  }
}

/* zeta as the article has it: U_e = (1 - zeta)·U + zeta·2/e. */
static double by_definition(double epsilon, double energy)
{
  double t = fmin(fmax(epsilon * energy - 1.0, 0.0), 1.0);
  double zeta = t * t * (3.0 - 2.0 * t);
  return (1.0 - zeta) * energy + zeta * 2.0 / epsilon;
}

static void energy_follows_the_definition(void **state)
{
  (void)state;
  for (size_t e = 0; e < EPSILONS; e++) {
    for (int i = -100; i <= 300; i++) {
      double energy = 0.01 * i / epsilons[e];
      double expected = by_definition(epsilons[e], energy);
      bm_cutoff_apply(epsilons[e], 1, D, &energy, NULL);
      assert_true(fabs(energy - expected) <= 1e-14 * (1.0 + fabs(expected)));
    }
  }
}

/* (i) C1: across U = 1/e and U = 2/e the value and the slope dU_e/dU go on without a step; the
 * smoothstep's second derivative is bounded, so that over a distance h·/e they change by no more
 * than 20·h. */
static void regularity_value_and_slope_are_continuous(void **state)
{
  (void)state;
  const double h = 1e-7;
  for (size_t e = 0; e < EPSILONS; e++) {
    const double epsilon = epsilons[e];
    for (int edge = 1; edge <= 2; edge++) {
      double energy[2] = {(edge - h) / epsilon, (edge + h) / epsilon};
      double slope[2] = {1.0, 1.0};
      bm_cutoff_apply(epsilon, 2, 1, energy, slope);
      assert_true(fabs(energy[1] - energy[0]) <= 3.0 * h / epsilon);
      assert_true(fabs(slope[1] - slope[0]) <= 20.0 * h);
    }
  }
}

/* A Lipschitz constant of U_e on Omega. Where U < 2/e the pair's force on each particle is under
 * (2/e)²/coupling; the wells' is at most 4·BOX·(BOX² - 1) and 2·BOX; and the largest dU_e/dU is
 * 27/16. */
static double lipschitz_bound(double epsilon)
{
  double pair = 4.0 / (epsilon * epsilon * COUPLING);
  double well = 4.0 * BOX * (BOX * BOX - 1.0) + 2.0 * BOX;
  return 27.0 / 16.0 * sqrt(2.0) * (pair + well);
}

/* (i) Lipschitz: gradients stay under the bound, and so do differences between any two points. */
static void regularity_is_lipschitz(void **state)
{
  (void)state;
  bm_random_t random = bm_random(4, BM_PURPOSE_TEST);
  for (size_t e = 0; e < EPSILONS; e++) {
    bm_potential_t *potential = cut_at(epsilons[e]);
    const double bound = lipschitz_bound(epsilons[e]);
    for (uint32_t i = 0; i < POINTS; i++) {
      double x[2][D];
      double energy[2];
      double gradient[2][D];
      draw_point(random, 2 * i, x[0]);
      draw_point(random, 2 * i + 1, x[1]);
      bm_potential_energy(potential, 2, x[0], energy, gradient[0]);
      double apart = 0.0;
      double steep = 0.0;
      for (size_t k = 0; k < D; k++) {
        apart += (x[0][k] - x[1][k]) * (x[0][k] - x[1][k]);
        steep += gradient[1][k] * gradient[1][k];
      }
      assert_true(sqrt(steep) <= bound);
      assert_true(fabs(energy[0] - energy[1]) <= bound * sqrt(apart) + 1e-12 * bound);
    }
    bm_potential_destroy(&potential);
  }
}

/* (ii) The two-particle U is never negative, so M = 0 serves for all epsilon. */
static void bounded_below_for_all_epsilon(void **state)
{
  (void)state;
  bm_random_t random = bm_random(5, BM_PURPOSE_TEST);
  for (size_t e = 0; e < EPSILONS; e++) {
    bm_potential_t *potential = cut_at(epsilons[e]);
    for (uint32_t i = 0; i < POINTS; i++) {
      double x[D];
      double energy;
      draw_point(random, i, x);
      bm_potential_energy(potential, 1, x, &energy, NULL);
      assert_true(energy >= 0.0 && energy <= 2.0 / epsilons[e]);
    }
    bm_potential_destroy(&potential);
  }
}

/* (iii) At each point U_e is U from some epsilon on, and at a collision it grows beyond all
 * bounds. */
static void converges_at_every_point(void **state)
{
  (void)state;
  const double x[2][D] = {{0.9, 0.1, 0.9, 0.1 + 1e-5}, {0.3, -0.4, 0.3, -0.4}};
  bm_potential_t *singular = potential_of("kind = \"coulomb-double-well\"; softening = 0.0;");
  double energy;
  bm_potential_energy(singular, 1, x[0], &energy, NULL);
  bm_potential_destroy(&singular);
  double before = 0.0;
  for (int power = 1; power <= 12; power++) {
    double epsilon = pow(10.0, -power);
    double cut[2];
    bm_potential_t *potential = cut_at(epsilon);
    bm_potential_energy(potential, 2, x[0], cut, NULL);
    bm_potential_destroy(&potential);
    assert_true(epsilon * energy > 1.0 || cut[0] == energy);
    assert_true(cut[1] > before);
    before = cut[1];
  }
  assert_true(before >= 1e12);
}

/* (iv) The same bits wherever U ≤ 1/e, energy and gradient. */
static void nothing_changes_below_the_cutoff(void **state)
{
  (void)state;
  bm_random_t random = bm_random(6, BM_PURPOSE_TEST);
  bm_potential_t *singular = potential_of("kind = \"coulomb-double-well\"; softening = 0.0;");
  for (size_t e = 0; e < EPSILONS; e++) {
    bm_potential_t *potential = cut_at(epsilons[e]);
    size_t below = 0;
    for (uint32_t i = 0; i < POINTS; i++) {
      double x[D];
      double energy[2];
      double gradient[2][D];
      draw_point(random, i, x);
      bm_potential_energy(singular, 1, x, &energy[0], gradient[0]);
      bm_potential_energy(potential, 1, x, &energy[1], gradient[1]);
      if (energy[0] <= 1.0 / epsilons[e]) {
        assert_memory_equal(&energy[0], &energy[1], sizeof energy[0]);
        assert_memory_equal(gradient[0], gradient[1], sizeof gradient[0]);
        below++;
      } else {
        assert_true(energy[1] > 1.0 / epsilons[e]);
      }
    }
    assert_true(below > 0);
    bm_potential_destroy(&potential);
  }
  bm_potential_destroy(&singular);
}

#define CELLS 32 /* along each coordinate */

/* exp(-beta·U) at the midpoints of the cells, and its sum. */
static double fill_density(const bm_potential_t *potential, double *density /* [CELLS^4] */)
{
  double sum = 0.0;
  for (size_t cell = 0; cell < (size_t)CELLS * CELLS * CELLS * CELLS; cell++) {
    double x[D];
    double energy;
    size_t rest = cell;
    for (size_t k = 0; k < D; k++) {
      x[k] = BOX * ((2.0 * (double)(rest % CELLS) + 1.0) / CELLS - 1.0);
      rest /= CELLS;
    }
    bm_potential_energy(potential, 1, x, &energy, NULL);
    density[cell] = exp(-bm_potential_beta(potential) * energy);
    sum += density[cell];
  }
  return sum;
}

/* b) The L1 distance of the normalised densities on Omega, by quadrature. Where U_e differs from U
 * at all, U > 1/e, so the distance is at most twice the mass that both densities have there, which
 * falls like exp(-beta/e). */
static void densities_converge_in_l1(void **state)
{
  (void)state;
  const size_t cells = (size_t)CELLS * CELLS * CELLS * CELLS;
  const double steps[] = {1.0, 0.6, 0.4, 0.25, 0.15};
  double *density[2];
  double before = 2.0;
  density[0] = malloc(cells * sizeof(double));
  density[1] = malloc(cells * sizeof(double));
  assert_true(density[0] != NULL && density[1] != NULL);
  bm_potential_t *singular =
      potential_of("kind = \"coulomb-double-well\"; beta = 5.0; softening = 0.0;");
  const double whole = fill_density(singular, density[0]);
  for (size_t e = 0; e < sizeof steps / sizeof steps[0]; e++) {
    bm_potential_t *potential = cut_at(steps[e]);
    const double cut = fill_density(potential, density[1]);
    double distance = 0.0;
    for (size_t cell = 0; cell < cells; cell++) {
      distance += fabs(density[1][cell] / cut - density[0][cell] / whole);
    }
    /* Both densities are at most exp(-beta/e) above the cut-off. */
    double bound = 2.0 * (double)cells * exp(-5.0 / steps[e]) / whole;
    assert_true(distance <= bound);
    assert_true(distance < before);
    before = distance;
    bm_potential_destroy(&potential);
  }
  assert_true(before < 1e-9);
  bm_potential_destroy(&singular);
  free(density[1]);
  free(density[0]);
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(energy_follows_the_definition),
      cmocka_unit_test(regularity_value_and_slope_are_continuous),
      cmocka_unit_test(regularity_is_lipschitz),
      cmocka_unit_test(bounded_below_for_all_epsilon),
      cmocka_unit_test(converges_at_every_point),
      cmocka_unit_test(nothing_changes_below_the_cutoff),
      cmocka_unit_test(densities_converge_in_l1),
  };
  MPI_Init(&argc, &argv);
  int failures = cmocka_run_group_tests_name("cutoff", tests, NULL, NULL);
  MPI_Finalize();
  return failures;
}
