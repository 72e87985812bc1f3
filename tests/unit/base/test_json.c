#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/base/json.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"

static bm_json_t *parsed(const char *text)
{
  bm_json_t *value;
  assert_int_equal(bm_json_parse("test", text, &value), BM_OK);
  return value;
}

/* Text of an array with one number. */
static char *text_of_number(double number)
{
  bm_json_t *array = parsed("[]");
  char *text;
  assert_int_equal(bm_json_add_number(array, NULL, number), BM_OK);
  assert_int_equal(bm_json_print(array, 1, &text), BM_OK);
  bm_json_destroy(&array);
  return text;
}

static void check_round_trip(double number)
{
  char *text = text_of_number(number);
  bm_json_t *array = parsed(text);
  double back = bm_json_number(bm_json_item(array, 0));
  assert_memory_equal(&back, &number, sizeof back);
  char *again;
  assert_int_equal(bm_json_print(array, 1, &again), BM_OK);
  assert_string_equal(again, text);
  bm_json_destroy(&array);
  bm_free(again);
  bm_free(text);
}

static void finite_numbers_come_back_bit_for_bit(void **state)
{
  (void)state;
  const double special[] = {0.0,     -0.0,      1.0 / 3.0, 0.1,      DBL_MAX, -DBL_MAX,
                            DBL_MIN, 0x1p-1074, 1e16,      123456.0, M_PI,    0x1.fffffffffffffp52};
  for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
    check_round_trip(special[i]);
  }
  bm_random_t random = bm_random(11, BM_PURPOSE_TEST);
  for (uint32_t i = 0; i < 5000; i++) {
    uint32_t words[4];
    double number;
    bm_random_words(random, i, 0, 0, words);
    memcpy(&number, words, sizeof number);
    if (isfinite(number)) {
      check_round_trip(number);
    }
  }
}

static void short_numbers_are_written_short(void **state)
{
  (void)state;
  char *text = text_of_number(0.1);
  assert_string_equal(text, "[0.1]");
  bm_free(text);
}

static void numbers_that_are_not_finite_are_null(void **state)
{
  (void)state;
  const double bad[] = {NAN, INFINITY, -INFINITY};
  for (int i = 0; i < 3; i++) {
    char *text = text_of_number(bad[i]);
    assert_string_equal(text, "[null]");
    bm_json_t *array = parsed(text);
    assert_true(isnan(bm_json_number(bm_json_item(array, 0))));
    bm_json_destroy(&array);
    bm_free(text);
  }
}

static void a_number_can_be_read_before_it_is_printed(void **state)
{
  (void)state;
  bm_json_t *object = bm_json_object();
  assert_int_equal(bm_json_add_number(object, "x", 2.5), BM_OK);
  assert_true(fabs(bm_json_number(bm_json_get(object, "x")) - 2.5) <= 0.0);
  bm_json_t *copy = bm_json_copy(object);
  assert_true(fabs(bm_json_number(bm_json_get(copy, "x")) - 2.5) <= 0.0);
  bm_json_destroy(&copy);
  bm_json_destroy(&object);
}

static void objects_and_arrays_keep_names_and_order(void **state)
{
  (void)state;
  bm_json_t *top = bm_json_object();
  bm_json_t *list;
  bm_json_t *inner;
  char *text;
  assert_int_equal(bm_json_add_string(top, "quote", "a \"b\"\n\\ é"), BM_OK);
  assert_int_equal(bm_json_add_array(top, "list", &list), BM_OK);
  assert_int_equal(bm_json_add_number(list, NULL, 1.0), BM_OK);
  assert_int_equal(bm_json_add_object(list, NULL, &inner), BM_OK);
  assert_int_equal(bm_json_add_string(inner, "deep", ""), BM_OK);
  assert_int_equal(bm_json_add_string(top, "Quote", "other case"), BM_OK);
  for (int compact = 0; compact < 2; compact++) {
    assert_int_equal(bm_json_print(top, compact, &text), BM_OK);
    bm_json_t *back = parsed(text);
    bm_json_t *first = bm_json_first(back);
    assert_string_equal(bm_json_name(first), "quote");
    assert_string_equal(bm_json_string(first), "a \"b\"\n\\ é");
    assert_string_equal(bm_json_name(bm_json_next(first)), "list");
    assert_string_equal(bm_json_string(bm_json_get(back, "Quote")), "other case");
    assert_int_equal(bm_json_count(bm_json_get(back, "list")), 2);
    const bm_json_t *deep = bm_json_item(bm_json_get(back, "list"), 1);
    assert_string_equal(bm_json_string(bm_json_get(deep, "deep")), "");
    assert_null(bm_json_get(back, "missing"));
    assert_null(bm_json_item(bm_json_get(back, "list"), 2));
    assert_null(bm_json_string(bm_json_get(back, "list")));
    assert_true(isnan(bm_json_number(first)));
    bm_json_destroy(&back);
    bm_free(text);
  }
  bm_json_remove(top, "quote");
  bm_json_remove(top, "never there");
  assert_null(bm_json_get(top, "quote"));
  bm_json_destroy(&top);
  assert_null(top);
}

static void broken_text_is_refused_with_its_line(void **state)
{
  (void)state;
  const char *const broken[] = {"", "{\n\"a\": 1,\n", "[1, 2", "{\"a\" 1}", "[1] trailing", "nul"};
  for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
    bm_json_t *value;
    assert_int_equal(bm_json_parse("some.json", broken[i], &value), BM_ERR_DATA);
    assert_null(value);
    assert_ptr_equal(strstr(bm_status_message(), "some.json:"), bm_status_message());
  }
  bm_json_t *value;
  assert_int_equal(bm_json_parse("some.json", "{\n \"a\": 1,\n \"b\": x\n}", &value), BM_ERR_DATA);
  assert_non_null(strstr(bm_status_message(), "some.json:3:"));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finite_numbers_come_back_bit_for_bit),
      cmocka_unit_test(short_numbers_are_written_short),
      cmocka_unit_test(numbers_that_are_not_finite_are_null),
      cmocka_unit_test(a_number_can_be_read_before_it_is_printed),
      cmocka_unit_test(objects_and_arrays_keep_names_and_order),
      cmocka_unit_test(broken_text_is_refused_with_its_line),
  };
  return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
