/* Convergence diagnostics beside ArviZ (tests/golden/diagnostics_arviz.py), on chains made by the
 * script's recipes. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../golden.h"
#include "boltzmap/sample/diagnostics.h"

#define DRAWS_MAX 12000
#define LAGS_MAX 8
#define TOLERANCE 1e-9 /* some thousand roundings; of ArviZ 12 digits or more are stored */

static double chains[DRAWS_MAX], made[2 * DRAWS_MAX];

typedef enum { AUTOREGRESSIVE, WELLS, HEAVY, TREND } kind_t;

typedef struct {
  kind_t kind;
  size_t m, n;
  double phi, shift, levels, hop, slope;
} recipe_t;

static recipe_t read_recipe(const bm_json_t *set)
{
  static const char *const names[] = {"autoregressive", "wells", "heavy", "trend"};
  const char *name = bm_json_string(bm_json_get(set, "kind"));
  int kind = 0;
  while (kind < 3 && strcmp(name, names[kind]) != 0) {
    kind++;
  }
  assert_string_equal(name, names[kind]);
  return (recipe_t){.kind = (kind_t)kind,
                    .m = golden_size(set, "m"),
                    .n = golden_size(set, "n"),
                    .phi = golden_number(set, "phi"),
                    .shift = golden_number(set, "shift"),
                    .levels = golden_number(set, "levels"),
                    .hop = golden_number(set, "hop"),
                    .slope = golden_number(set, "slope")};
}

/* The next draw of a chain; `side` is that of the well. */
static double next_draw(const recipe_t *recipe, size_t t, const double *u, double x, double *side)
{
  switch (recipe->kind) {
  case AUTOREGRESSIVE:
    return floor((recipe->phi * x + u[t]) * 0x1p20) * 0x1p-20;
  case WELLS:
    *side = u[2 * t] > 0.5 - recipe->hop ? -*side : *side;
    return *side + u[2 * t + 1] / 2.0;
  case HEAVY:
    return u[t] / (fabs(u[t]) - 0.5 - 0x1p-10);
  default:
    return u[t] + recipe->slope * (double)t;
  }
}

static recipe_t make_chains(const bm_json_t *set)
{
  const recipe_t recipe = read_recipe(set);
  const size_t row = recipe.n * (recipe.kind == WELLS ? 2 : 1);
  assert_true(recipe.m * recipe.n <= DRAWS_MAX);
  made_numbers(golden_size(set, "seed"), 1.0, recipe.m * row, made);
  for (size_t c = 0; c < recipe.m; c++) {
    double x = 0.0;
    double side = 1.0;
    for (size_t t = 0; t < recipe.n; t++) {
      x = next_draw(&recipe, t, made + c * row, x, &side);
      double value = x + recipe.shift * (double)c;
      chains[c * recipe.n + t] = recipe.levels > 0.0 ? floor(recipe.levels * value) : value;
    }
  }
  return recipe;
}

static const struct {
  const char *name;
  bm_status_t (*compute)(size_t m, size_t n, const double *chains, double *value);
} numbers[] = {{"rhat", bm_rhat},
               {"ess_bulk", bm_ess_bulk},
               {"ess_tail", bm_ess_tail},
               {"ess_mean", bm_ess_mean}};

/* null, where ArviZ defines no number, reads as NaN. */
static void rhat_and_effective_sizes_are_those_of_arviz(void **state)
{
  (void)state;
  bm_json_t *golden = read_golden("diagnostics_arviz.json");
  const bm_json_t *sets = bm_json_get(golden, "sets");
  assert_true(bm_json_count(sets) >= 17);
  for (size_t i = 0; i < bm_json_count(sets); i++) {
    const recipe_t recipe = make_chains(bm_json_item(sets, i));
    for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
      double expected = golden_number(bm_json_item(sets, i), numbers[k].name);
      double found;
      assert_non_null(bm_json_get(bm_json_item(sets, i), numbers[k].name));
      assert_int_equal(numbers[k].compute(recipe.m, recipe.n, chains, &found), BM_OK);
      if (!(fabs(found - expected) <= TOLERANCE * expected) && !(isnan(expected) && isnan(found))) {
        fail_msg("set %zu, %s: %.15g, by ArviZ %.15g", i, numbers[k].name, found, expected);
      }
    }
  }
  bm_json_destroy(&golden);
}

static void autocorrelation_is_that_of_arviz(void **state)
{
  (void)state;
  bm_json_t *golden = read_golden("diagnostics_arviz.json");
  const bm_json_t *sets = bm_json_get(golden, "sets");
  for (size_t i = 0; i < bm_json_count(sets); i++) {
    const bm_json_t *expected = bm_json_get(bm_json_item(sets, i), "autocorrelation");
    const recipe_t recipe = make_chains(bm_json_item(sets, i));
    double rho[LAGS_MAX];
    assert_true(bm_json_count(expected) >= 4 && bm_json_count(expected) <= LAGS_MAX);
    bm_autocorrelation(recipe.n, chains, bm_json_count(expected), rho);
    for (size_t lag = 0; lag < bm_json_count(expected); lag++) {
      assert_true(fabs(rho[lag] - bm_json_number(bm_json_item(expected, lag))) <= TOLERANCE);
    }
  }
  bm_json_destroy(&golden);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rhat_and_effective_sizes_are_those_of_arviz),
      cmocka_unit_test(autocorrelation_is_that_of_arviz),
  };
  return cmocka_run_group_tests_name("diagnostics golden", tests, NULL, NULL);
}
