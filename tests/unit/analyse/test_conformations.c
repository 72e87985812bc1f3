/* What conformations are like: the paper's Lennard-Jones energy, quantiles, means, mirror images. */

#include <math.h>
#include <mpi.h>

#include "../flow/made_flow.h"
#include "../model/case_of_text.h"
#include "../model/dipeptide.h"
#include "boltzmap/analyse/conformations.h"

#define SIGMA 0.17  /* nm */
#define APART 100.0 /* nm: Lennard-Jones energies of 1e-17 kJ/mol */

static bm_potential_t *potential;
static const bm_molecule_t *molecule;
static size_t d;

/* Atoms far from each other, but for this pair. */
static void spread_but_for_one_pair(const size_t pair[2], double distance, double *x)
{
  for (size_t k = 0; k < d; k++) {
    x[k] = k % 3 == 0 ? APART * (double)(k / 3) : 0.0;
  }
  x[3 * pair[1]] = x[3 * pair[0]];
  x[3 * pair[1] + 2] = distance;
}

/* 4·(s¹² - s⁶), s = 0.17 nm over the distance, for pairs more than two bonds apart. */
static void lennard_jones_energy_is_that_of_the_non_bonded_pairs(void **state)
{
  (void)state;
  const double minimum = SIGMA * pow(2.0, 1.0 / 6.0);
  double *x = zero_doubles(d);
  for (size_t i = 0; i < d / 3; i++) {
    for (size_t j = i + 1; j < d / 3; j++) {
      const size_t pair[2] = {i, j};
      const size_t place = bm_topology_pair(molecule->topology, i, j);
      const double counts = molecule->topology->pairs[place].separation > 2 ? 1.0 : 0.0;
      spread_but_for_one_pair(pair, SIGMA, x);
      assert_true(fabs(bm_conformations_lennard_jones(molecule, x)) < 1e-12);
      spread_but_for_one_pair(pair, minimum, x);
      assert_true(fabs(bm_conformations_lennard_jones(molecule, x) + counts) < 1e-12);
      spread_but_for_one_pair(pair, 0.5 * SIGMA, x);
      assert_true(fabs(bm_conformations_lennard_jones(molecule, x) - counts * 4.0 * 4032.0) < 1e-8);
    }
  }
  bm_free(x);
}

static bm_results_t *results_of(size_t n, size_t walkers, const double *x)
{
  const bm_cloud_t set = {n, d, x};
  bm_results_t *results;
  assert_int_equal(bm_results_create(&results), BM_OK);
  assert_int_equal(bm_conformations_put(potential, &set, walkers, "generated", results), BM_OK);
  return results;
}

static void check_metric(const bm_results_t *results, const char *name, double value, double error)
{
  const bm_json_t *entry = bm_json_get(bm_results_metrics(results), name);
  assert_non_null(entry);
  const double got = bm_json_number(bm_json_get(entry, "value"));
  if (!(fabs(got - value) <= 1e-9 * (1.0 + fabs(value)))) {
    fail_msg("%s: %.15g is not %.15g", name, got, value);
  }
  if (error > 0.0) {
    const double found = bm_json_number(bm_json_get(entry, "error"));
    if (!(fabs(found - error) <= 1e-9 * (1.0 + error))) {
      fail_msg("%s: error %.15g is not %.15g", name, found, error);
    }
  }
}

/* Smallest distances 0.2, 0.2002, … of 1,001 rows in another order. Ranks of the median have a standard
 * deviation of 15.8, which is rounded up; of the 0.1% quantile 1. */
static void quantiles_are_those_of_the_sorted_values(void **state)
{
  (void)state;
  enum { ROWS = 1001 };
  double *x = zero_doubles(ROWS * d);
  for (size_t i = 0; i < ROWS; i++) {
    spread_but_for_one_pair(molecule->pairs[0], 0.2 + 2e-4 * (double)(i * 400 % ROWS), x + i * d);
  }
  bm_results_t *results = results_of(ROWS, 1, x);
  check_metric(results, "r_nonbonded_median_generated", 0.3, 16.0 * 2e-4);
  check_metric(results, "r_nonbonded_q001_generated", 0.2002, 1.0 * 2e-4);
  /* beyond the minimum at 0.19 nm the energy rises with the distance */
  const double s[3] = {pow(SIGMA / 0.2, 6.0), pow(SIGMA / 0.3, 6.0), pow(SIGMA / 0.4, 6.0)};
  check_metric(results, "lj_min_generated", 4.0 * (s[0] * s[0] - s[0]), 0.0);
  check_metric(results, "lj_median_generated", 4.0 * (s[1] * s[1] - s[1]), 0.0);
  check_metric(results, "lj_max_generated", 4.0 * (s[2] * s[2] - s[2]), 0.0);
  bm_results_destroy(&results);
  bm_free(x);
}

/* Two walkers of four rows: the error is half the difference of their means; eight rows of one: that of
 * independent ones. */
static void means_have_the_error_of_walkers_or_rows(void **state)
{
  (void)state;
  enum { ROWS = 8 };
  double *x = zero_doubles(ROWS * d);
  double values[ROWS];
  double half[2] = {0.0, 0.0};
  double squares = 0.0;
  for (size_t i = 0; i < ROWS; i++) {
    spread_but_for_one_pair(molecule->pairs[5], 0.2 + 0.01 * (double)(i * i), x + i * d);
    values[i] = bm_conformations_lennard_jones(molecule, x + i * d);
    half[i / 4] += values[i] / 4.0;
  }
  const double mean = 0.5 * (half[0] + half[1]);
  for (size_t i = 0; i < ROWS; i++) {
    squares += (values[i] - mean) * (values[i] - mean);
  }
  bm_results_t *results = results_of(ROWS, 2, x);
  check_metric(results, "lj_mean_generated", mean, 0.5 * fabs(half[0] - half[1]));
  bm_results_destroy(&results);
  results = results_of(ROWS, 1, x);
  check_metric(results, "lj_mean_generated", mean, sqrt(squares) / ROWS);
  bm_results_destroy(&results);
  bm_free(x);
}

static void mirrored_molecules_are_counted(void **state)
{
  (void)state;
  enum { ROWS = 8 };
  double *x = shaken_structures(molecule, ROWS, 0.01, 70);
  for (size_t i = 0; i < ROWS; i++) {
    for (size_t k = 0; k < d; k++) {
      x[i * d + k] *= i == 1 || i == 4 || i == 7 ? -1.0 : 1.0;
    }
  }
  bm_results_t *results = results_of(ROWS, 1, x);
  check_metric(results, "fraction_mirrored_generated", 0.375, sqrt(0.375 * 0.625 / ROWS));
  bm_results_destroy(&results);
  bm_free(x);
}

/* One of the rows with a collision, whose energy is beyond all others. */
static void energies_are_those_of_the_force_field(void **state)
{
  (void)state;
  enum { ROWS = 5 };
  double *x = shaken_structures(molecule, ROWS, 0.002, 71);
  double energy[ROWS];
  double middle = NAN;
  memcpy(x + 2 * d + 3, x + 2 * d + 60, 3 * sizeof *x); /* two atoms at one place */
  bm_potential_energy(potential, ROWS, x, energy, NULL);
  for (int i = 0; i < ROWS; i++) {
    int below = 0;
    for (int j = 0; j < ROWS; j++) {
      below += energy[j] < energy[i];
    }
    middle = below == 2 ? energy[i] : middle;
  }
  bm_results_t *results = results_of(ROWS, 1, x);
  check_metric(results, "energy_median_generated", middle, 0.0);
  assert_false(isfinite(energy[2]) && energy[2] < 1e6);
  bm_results_destroy(&results);
  bm_free(x);
}

int main(int argc, char **argv)
{
  MPI_Init(&argc, &argv);
  potential = potential_of(dipeptide_system(""));
  molecule = bm_potential_traits(potential)->molecule;
  d = bm_potential_dimension(potential);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lennard_jones_energy_is_that_of_the_non_bonded_pairs),
      cmocka_unit_test(quantiles_are_those_of_the_sorted_values),
      cmocka_unit_test(means_have_the_error_of_walkers_or_rows),
      cmocka_unit_test(mirrored_molecules_are_counted),
      cmocka_unit_test(energies_are_those_of_the_force_field),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  bm_potential_destroy(&potential);
  MPI_Finalize();
  return failed;
}
