#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boltzmap/base/random.h"
#include "boltzmap/sample/diagnostics.h"

#define CHAINS 20
#define DRAWS 5000

static double chains[CHAINS * DRAWS];

/* Stationary first-order autoregressive chains x_t = phi·x_(t-1) + noise, moved by `shift` times
 * their number. */
static void fill(uint32_t stream, size_t m, size_t n, double phi, double shift)
{
  bm_random_t random = bm_random(21, BM_PURPOSE_TEST);
  for (size_t c = 0; c < m; c++) {
    double x = 0.0;
    for (size_t t = 0; t < n; t++) {
      double normal[2];
      bm_random_normal2(random, stream, c * n + t, 0, normal);
      x = t == 0 ? normal[0] / sqrt(1.0 - phi * phi) : phi * x + normal[0];
      chains[c * n + t] = x + shift * (double)c;
    }
  }
}

static void normal_quantile_inverts_the_distribution(void **state)
{
  (void)state;
  for (double p = 1e-300; p < 0.5; p *= 1.3) {
    double q = bm_normal_quantile(p);
    /* The distribution's relative slope at q is about |q|: rounding of q is enlarged by it,
     * twice. */
    double tolerance = 1e-15 * (4.0 + q * q);
    assert_true(fabs(0.5 * erfc(-q * M_SQRT1_2) / p - 1.0) <= tolerance);
  }
  for (int i = 1; i < 1024; i++) {
    double p = i / 1024.0; /* 1 - p is exact */
    assert_true(bm_normal_quantile(1.0 - p) == -bm_normal_quantile(p));
  }
  assert_true(bm_normal_quantile(0.0) == -INFINITY && bm_normal_quantile(1.0) == INFINITY);
}

/* (1 + phi)/(1 - phi); over m·n = 100,000 draws the estimate with a window of some five times tau
 * has a standard error of about 3%. */
static void autocorrelation_time_of_autoregressive_chains(void **state)
{
  (void)state;
  const double phis[] = {0.0, 0.5, 0.8};
  for (uint32_t i = 0; i < 3; i++) {
    double tau;
    double expected = (1.0 + phis[i]) / (1.0 - phis[i]);
    fill(i, CHAINS, DRAWS, phis[i], 0.0);
    assert_int_equal(bm_autocorrelation_time(CHAINS, DRAWS, chains, &tau), BM_OK);
    assert_true(fabs(tau / expected - 1.0) < 0.17);
  }
}

/* Antithetic chains know their mean better than independent draws; the time is not under 1. */
static void negative_correlation_counts_for_more_but_no_less_than_one_draw(void **state)
{
  (void)state;
  double tau;
  double ess;
  fill(3, CHAINS, DRAWS, -0.5, 0.0);
  assert_int_equal(bm_ess_mean(CHAINS, DRAWS, chains, &ess), BM_OK);
  assert_int_equal(bm_autocorrelation_time(CHAINS, DRAWS, chains, &tau), BM_OK);
  assert_true(ess > 2.0 * CHAINS * DRAWS);
  assert_true(tau == 1.0);
}

static void rhat_tells_chains_that_agree_from_ones_that_do_not(void **state)
{
  (void)state;
  double rhat;
  double ess;
  fill(4, 4, 1000, 0.3, 0.0);
  assert_int_equal(bm_rhat(4, 1000, chains, &rhat), BM_OK);
  assert_true(rhat < BM_RHAT_CONVERGED && rhat > 0.99);
  fill(4, 4, 1000, 0.3, 1.0);
  assert_int_equal(bm_rhat(4, 1000, chains, &rhat), BM_OK);
  assert_int_equal(bm_ess_bulk(4, 1000, chains, &ess), BM_OK);
  assert_true(rhat > 1.2 && ess < 50.0);
}

/* One chain of the four ten times as wide: the means agree, the folded ranks do not. */
static void rhat_sees_a_difference_in_width(void **state)
{
  (void)state;
  double rhat;
  fill(5, 4, 1000, 0.0, 0.0);
  for (size_t t = 0; t < 1000; t++) {
    chains[t] *= 10.0;
  }
  assert_int_equal(bm_rhat(4, 1000, chains, &rhat), BM_OK);
  assert_true(rhat > 1.1);
}

/* Ranks do not care for a monotone change of scale. */
static void rank_diagnostics_are_the_same_after_a_monotone_map(void **state)
{
  (void)state;
  double before[3];
  double after[3];
  fill(6, 5, 300, 0.6, 0.1);
  assert_int_equal(bm_ess_bulk(5, 300, chains, &before[0]), BM_OK);
  for (size_t i = 0; i < 5 * 300; i++) {
    chains[i] = exp(3.0 * chains[i]);
  }
  assert_int_equal(bm_ess_bulk(5, 300, chains, &after[0]), BM_OK);
  assert_true(before[0] == after[0]);
}

static void undefined_is_nan(void **state)
{
  (void)state;
  double value;
  fill(7, 4, 100, 0.0, 0.0);
  assert_int_equal(bm_rhat(4, 3, chains, &value), BM_OK);
  assert_true(isnan(value));
  assert_int_equal(bm_rhat(1, 100, chains, &value), BM_OK);
  assert_true(isnan(value));
  assert_int_equal(bm_ess_tail(4, 3, chains, &value), BM_OK);
  assert_true(isnan(value));
  chains[17] = INFINITY;
  assert_int_equal(bm_rhat(4, 100, chains, &value), BM_OK);
  assert_true(isnan(value));
  assert_int_equal(bm_ess_bulk(4, 100, chains, &value), BM_OK);
  assert_true(isnan(value));
  memset(chains, 0, 400 * sizeof *chains);
  assert_int_equal(bm_rhat(4, 100, chains, &value), BM_OK);
  assert_true(isnan(value));
  assert_int_equal(bm_ess_mean(4, 100, chains, &value), BM_OK);
  assert_true(value == 400.0);
}

/* For +1, -1, +1, … of even length the mean is 0 and the sum at lag k has n - k terms. */
static void autocorrelation_of_an_alternating_series(void **state)
{
  (void)state;
  double rho[12];
  for (size_t i = 0; i < 10; i++) {
    chains[i] = i % 2 == 0 ? 1.0 : -1.0;
  }
  bm_autocorrelation(10, chains, 12, rho);
  for (size_t k = 0; k < 12; k++) {
    double expected = k < 10 ? (k % 2 == 0 ? 1.0 : -1.0) * (10.0 - (double)k) / 10.0 : 0.0;
    assert_true(fabs(rho[k] - expected) < 1e-15);
  }
}

static void error_of_the_mean_is_between_chains(void **state)
{
  (void)state;
  const double values[6] = {1.0, 3.0, 4.0, 6.0, 7.0, 9.0}; /* means 2, 5, 8 */
  double mean;
  double error;
  bm_chain_mean(3, 2, values, &mean, &error);
  assert_true(mean == 5.0);
  assert_true(fabs(error - sqrt(3.0)) < 1e-15);
  bm_chain_mean(1, 6, values, &mean, &error);
  assert_true(mean == 5.0 && isnan(error));
}

/* Chains that are easily made again elsewhere, to the last bit: s = a·s + c modulo 2^64 (Knuth's
 * MMIX numbers), u = the top 20 bits over 2^20, x = phi·x + u - 1/2 cut down to a multiple of
 * 2^-20, the value x + shift·chain, and where levels > 0 of that the floor(levels·value), which has
 * many ties. */
typedef struct {
  uint64_t seed;
  size_t m, n;
  double phi, shift;
  int levels;
  double expected[4]; /* rhat, ess: bulk, tail, mean */
} pinned_t;

static void make_pinned(const pinned_t *row)
{
  uint64_t s = row->seed;
  for (size_t c = 0; c < row->m; c++) {
    double x = 0.0;
    for (size_t t = 0; t < row->n; t++) {
      s = s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
      x = floor((row->phi * x + (double)(s >> 44) * 0x1p-20 - 0.5) * 0x1p20) * 0x1p-20;
      double value = x + row->shift * (double)c;
      chains[c * row->n + t] = row->levels > 0 ? floor(row->levels * value) : value;
    }
  }
}

/* Numbers of ArviZ 0.19.0: az.rhat(x) and az.ess(x, method=…) with their defaults. */
static const pinned_t pinned[] = {
    {1, 4, 250, 0.0, 0.0, 0, {0.998513988527, 1051.14476845, 1037.33357191, 1080.7851967}},
    {2, 4, 250, 0.875, 0.0, 0, {1.0625056662, 58.4111249726, 219.025114572, 64.2118769305}},
    {3, 7, 101, -0.625, 0.0, 0, {1.0001107097, 1991.56862801, 626.972420792, 1991.56862801}},
    {4, 3, 60, 0.5, 0.25, 0, {1.22367576576, 11.9062841062, 19.2835246107, 11.8156860534}},
    {5, 5, 400, 0.75, 0.0, 3, {1.0083312674, 273.838166245, 474.020337539, 273.884057854}},
    {6, 2, 4, 0.0, 0.0, 0, {1.01096959481, 7.22471989594, 7.22471989594, 7.22471989594}},
    {7, 1, 90, 0.75, 0.0, 0, {NAN, 23.7587184792, 52.6713377393, 23.6096795059}},
};

static void numbers_are_those_of_arviz(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof pinned / sizeof pinned[0]; i++) {
    const pinned_t *row = &pinned[i];
    double found[4];
    make_pinned(row);
    assert_int_equal(bm_rhat(row->m, row->n, chains, &found[0]), BM_OK);
    assert_int_equal(bm_ess_bulk(row->m, row->n, chains, &found[1]), BM_OK);
    assert_int_equal(bm_ess_tail(row->m, row->n, chains, &found[2]), BM_OK);
    assert_int_equal(bm_ess_mean(row->m, row->n, chains, &found[3]), BM_OK);
    for (size_t k = 0; k < 4; k++) {
      double expected = row->expected[k];
      if (!(fabs(found[k] / expected - 1.0) < 1e-10) && !(isnan(expected) && isnan(found[k]))) {
        fail_msg("row %zu, number %zu: %.15g, ArviZ %.15g", i, k, found[k], expected);
      }
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_are_those_of_arviz),
      cmocka_unit_test(normal_quantile_inverts_the_distribution),
      cmocka_unit_test(autocorrelation_time_of_autoregressive_chains),
      cmocka_unit_test(negative_correlation_counts_for_more_but_no_less_than_one_draw),
      cmocka_unit_test(rhat_tells_chains_that_agree_from_ones_that_do_not),
      cmocka_unit_test(rhat_sees_a_difference_in_width),
      cmocka_unit_test(rank_diagnostics_are_the_same_after_a_monotone_map),
      cmocka_unit_test(undefined_is_nan),
      cmocka_unit_test(autocorrelation_of_an_alternating_series),
      cmocka_unit_test(error_of_the_mean_is_between_chains),
  };
  return cmocka_run_group_tests_name("diagnostics", tests, NULL, NULL);
}
