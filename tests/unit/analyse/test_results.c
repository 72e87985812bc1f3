/* Results in the layout of results.json. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boltzmap/analyse/results.h"
#include "boltzmap/base/memory.h"

static bm_results_t *some_results(void)
{
  bm_results_t *results;
  assert_int_equal(bm_results_create(&results), BM_OK);
  assert_int_equal(bm_results_metric(results, "w2_r", 0.1 + 0.2, 1.0 / 3.0, "1", 12000), BM_OK);
  assert_int_equal(bm_results_metric(results, "lipschitz_max", INFINITY, NAN, "1", 7), BM_OK);
  assert_int_equal(bm_results_floor(results, "w2_r_floor", 0.5, 0.4, "1", 16), BM_OK);
  assert_int_equal(bm_results_timing(results, "training_s", 12.5, "s"), BM_OK);
  return results;
}

static double entry_number(const bm_json_t *entries, const char *name, const char *key)
{
  const bm_json_t *entry = bm_json_get(entries, name);
  assert_non_null(entry);
  assert_non_null(bm_json_get(entry, key));
  return bm_json_number(bm_json_get(entry, key));
}

/* Print and parse again. */
static bm_json_t *through_text(const bm_json_t *value, char **text)
{
  bm_json_t *again;
  assert_int_equal(bm_json_print(value, 1, text), BM_OK);
  assert_int_equal(bm_json_parse("test", *text, &again), BM_OK);
  return again;
}

static void numbers_survive_the_text_to_the_last_bit(void **state)
{
  (void)state;
  bm_results_t *results = some_results();
  char *text;
  bm_json_t *metrics = through_text(bm_results_metrics(results), &text);
  assert_true(entry_number(metrics, "w2_r", "value") == 0.1 + 0.2);
  assert_true(entry_number(metrics, "w2_r", "error") == 1.0 / 3.0);
  assert_true(entry_number(metrics, "w2_r", "n") == 12000.0);
  assert_string_equal(bm_json_string(bm_json_get(bm_json_get(metrics, "w2_r"), "unit")), "1");
  bm_json_destroy(&metrics);
  bm_free(text);
  bm_json_t *timings = through_text(bm_results_timings(results), &text);
  assert_true(entry_number(timings, "training_s", "value") == 12.5);
  assert_string_equal(bm_json_string(bm_json_get(bm_json_get(timings, "training_s"), "unit")), "s");
  assert_null(bm_json_get(timings, "w2_r"));
  bm_json_destroy(&timings);
  bm_free(text);
  bm_results_destroy(&results);
  assert_null(results);
}

static void what_is_not_finite_is_null(void **state)
{
  (void)state;
  bm_results_t *results = some_results();
  char *text;
  bm_json_t *metrics = through_text(bm_results_metrics(results), &text);
  assert_non_null(strstr(text, "\"lipschitz_max\":{\"value\":null,\"error\":null"));
  assert_true(isnan(entry_number(metrics, "lipschitz_max", "value")));
  assert_true(isnan(bm_results_value(results, "lipschitz_max")));
  assert_true(isnan(bm_results_value(results, "no_such_metric")));
  bm_json_destroy(&metrics);
  bm_free(text);
  bm_results_destroy(&results);
}

static void a_floor_has_its_spread_and_the_error_of_its_mean(void **state)
{
  (void)state;
  bm_results_t *results = some_results();
  const bm_json_t *metrics = bm_results_metrics(results);
  assert_true(entry_number(metrics, "w2_r_floor", "value") == 0.5);
  assert_true(entry_number(metrics, "w2_r_floor", "error") == 0.1);
  assert_true(entry_number(metrics, "w2_r_floor", "spread") == 0.4);
  assert_true(entry_number(metrics, "w2_r_floor", "n") == 16.0);
  bm_results_destroy(&results);
}

static void a_later_value_takes_the_place_of_an_earlier_one(void **state)
{
  (void)state;
  bm_results_t *results = some_results();
  bm_results_t *later;
  assert_int_equal(bm_results_create(&later), BM_OK);
  assert_int_equal(bm_results_metric(later, "w2_r", 9.0, 1.0, "1", 3), BM_OK);
  assert_int_equal(bm_results_timing(later, "distances_s", 1.5, "s"), BM_OK);
  size_t before = bm_json_count(bm_results_metrics(results));
  assert_int_equal(bm_results_merge(results, bm_results_metrics(later), bm_results_timings(later)),
                   BM_OK);
  assert_int_equal(bm_results_merge(results, NULL, NULL), BM_OK);
  bm_results_destroy(&later);
  assert_int_equal(bm_json_count(bm_results_metrics(results)), before);
  assert_true(bm_results_value(results, "w2_r") == 9.0);
  assert_true(bm_results_value(results, "w2_r_floor") == 0.5);
  assert_true(entry_number(bm_results_timings(results), "distances_s", "value") == 1.5);
  assert_true(entry_number(bm_results_timings(results), "training_s", "value") == 12.5);
  assert_int_equal(bm_results_metric(results, "w2_r", 8.0, NAN, "1", 3), BM_OK);
  assert_int_equal(bm_json_count(bm_results_metrics(results)), before);
  assert_true(bm_results_value(results, "w2_r") == 8.0);
  bm_results_destroy(&results);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_survive_the_text_to_the_last_bit),
      cmocka_unit_test(what_is_not_finite_is_null),
      cmocka_unit_test(a_floor_has_its_spread_and_the_error_of_its_mean),
      cmocka_unit_test(a_later_value_takes_the_place_of_an_earlier_one),
  };
  return cmocka_run_group_tests_name("results", tests, NULL, NULL);
}
