#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "boltzmap/base/status.h"

static bm_status_t fail_if(int bad)
{
  return bad ? BM_FAIL(BM_ERR_DATA, "row %d is bad", 7) : BM_OK;
}

static bm_status_t try_twice(int bad, int *reached)
{
  BM_TRY(fail_if(0));
  BM_TRY(fail_if(bad));
  *reached = 1;
  return BM_OK;
}

static void a_failure_is_passed_up_with_its_message(void **state)
{
  (void)state;
  int reached = 0;
  assert_int_equal(try_twice(1, &reached), BM_ERR_DATA);
  assert_int_equal(reached, 0);
  assert_string_equal(bm_status_message(), "row 7 is bad");
  assert_int_equal(try_twice(0, &reached), BM_OK);
  assert_int_equal(reached, 1);
}

static void a_prefix_goes_before_the_message(void **state)
{
  (void)state;
  assert_int_equal(bm_status_prefix(fail_if(1), "case '%s'", "a"), BM_ERR_DATA);
  assert_string_equal(bm_status_message(), "case 'a': row 7 is bad");
}

static void an_internal_error_names_its_source(void **state)
{
  (void)state;
  bm_status_t status = BM_FAIL(BM_ERR_INTERNAL, "odd");
  assert_int_equal(status, BM_ERR_INTERNAL);
  assert_non_null(strstr(bm_status_message(), "test_status.c:"));
}

static void long_messages_are_cut_and_ended(void **state)
{
  (void)state;
  char text[3 * BM_MESSAGE_MAX];
  memset(text, 'x', sizeof text);
  text[sizeof text - 1] = '\0';
  bm_status_t status = BM_FAIL(BM_ERR_INTERNAL, "%s", text);
  assert_int_equal(strlen(bm_status_message()), BM_MESSAGE_MAX - 1);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(bm_status_prefix(status, "%s", text), status);
    assert_true(strlen(bm_status_message()) < BM_MESSAGE_MAX);
  }
  bm_status_set_message(text);
  assert_int_equal(strlen(bm_status_message()), BM_MESSAGE_MAX - 1);
}

static void exit_codes_are_those_of_the_command_line(void **state)
{
  (void)state;
  const int codes[] = {0, 64, 65, 70, 70, 74, 75};
  const bm_status_t statuses[] = {BM_OK,         BM_ERR_USAGE, BM_ERR_DATA, BM_ERR_INTERNAL,
                                  BM_ERR_MEMORY, BM_ERR_IO,    BM_STOPPED};
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
    assert_int_equal(bm_status_exit_code(statuses[i]), codes[i]);
  }
}

static void a_message_is_one_line(void **state)
{
  (void)state;
  assert_int_equal(BM_FAIL(BM_ERR_DATA, "a\nb: bad"), BM_ERR_DATA);
  bm_status_prefix(BM_ERR_DATA, "c\r\x1b");
  assert_string_equal(bm_status_message(), "c??: a?b: bad");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_message_is_one_line),
      cmocka_unit_test(a_failure_is_passed_up_with_its_message),
      cmocka_unit_test(a_prefix_goes_before_the_message),
      cmocka_unit_test(an_internal_error_names_its_source),
      cmocka_unit_test(long_messages_are_cut_and_ended),
      cmocka_unit_test(exit_codes_are_those_of_the_command_line),
  };
  return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
