#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boltzmap/parallel/log.h"

static char path[] = "/tmp/boltzmap-log-XXXXXX";

/* The log asks a context for the rank alone. */
static const bm_context_t root = {.rank = 0, .size = 2};
static const bm_context_t other = {.rank = 1, .size = 2};

static int make_file(void **state)
{
  (void)state;
  int file = mkstemp(path);
  return file < 0 ? 1 : close(file);
}

static int remove_file(void **state)
{
  (void)state;
  return unlink(path);
}

static void read_log(char text[4096])
{
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  size_t count = fread(text, 1, 4095, file);
  text[count] = '\0';
  fclose(file);
}

static void write_lines(const bm_context_t *context, const char *word)
{
  bm_log_t *log;
  assert_int_equal(bm_log_create(context, path, &log), BM_OK);
  bm_log_info(log, "%s", word);
  bm_log_warn(log, "careful with %s", word);
  bm_log_destroy(&log);
  assert_null(log);
}

static void lines_are_appended_with_the_time(void **state)
{
  (void)state;
  char text[4096];
  int year = 0;
  int used = 0;
  write_lines(&root, "first");
  write_lines(&root, "second");
  read_log(text);
  assert_int_equal(sscanf(text, "%4d-%*2d-%*2d %*2d:%*2d:%*2d first\n%n", &year, &used), 1);
  assert_true(year > 2000 && used > 0);
  const char *warning = strstr(text, " warning: careful with first\n");
  assert_non_null(warning);
  assert_true(strstr(text, "second") > warning);
}

static void other_ranks_are_silent(void **state)
{
  (void)state;
  char before[4096];
  char after[4096];
  read_log(before);
  write_lines(&other, "nobody");
  read_log(after);
  assert_string_equal(before, after);
}

static void a_missing_log_is_silent(void **state)
{
  (void)state;
  bm_log_info(NULL, "%d", 1);
  bm_log_warn(NULL, "%d", 2);
  bm_log_progress_start(NULL, "phase", 1.0, "steps");
  bm_log_progress(NULL, 1.0, NULL);
  assert_true(bm_log_progress_end(NULL) <= 0.0);
  bm_log_t *log = NULL;
  bm_log_destroy(&log);
}

static void long_lines_are_cut(void **state)
{
  (void)state;
  char line[5000];
  char text[4096];
  bm_log_t *log;
  memset(line, 'y', sizeof line);
  line[sizeof line - 1] = '\0';
  assert_int_equal(bm_log_create(&root, path, &log), BM_OK);
  bm_log_info(log, "%s", line);
  bm_log_destroy(&log);
  read_log(text);
  assert_true(text[strlen(text) - 1] == '\n');
}

static void a_log_that_cannot_be_opened_is_an_error(void **state)
{
  (void)state;
  bm_log_t *log;
  assert_int_equal(bm_log_create(&root, "/no/such/folder/log.txt", &log), BM_ERR_IO);
  assert_null(log);
  assert_non_null(strstr(bm_status_message(), "/no/such/folder/log.txt"));
  assert_int_equal(bm_log_create(&other, "/no/such/folder/log.txt", &log), BM_OK);
  bm_log_destroy(&log);
}

static void durations_are_short_and_rounded_up(void **state)
{
  (void)state;
  const struct {
    double seconds;
    const char *text;
  } rows[] = {{0.0, "0 s"},
              {39.2, "40 s"},
              {125.0, "3 min"},
              {9000.0, "2.5 h"},
              {1e10, "unknown"},
              {(double)NAN, "unknown"},
              {(double)INFINITY, "unknown"}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char text[BM_DURATION_MAX];
    assert_string_equal(bm_log_duration(rows[i].seconds, text), rows[i].text);
  }
}

static void the_clock_goes_forward(void **state)
{
  (void)state;
  bm_log_t *log;
  double start = bm_log_clock();
  assert_int_equal(bm_log_create(&root, NULL, &log), BM_OK);
  bm_log_progress_start(log, "phase", 10.0, "steps");
  usleep(20000);
  double duration = bm_log_progress_end(log);
  assert_true(duration >= 0.02 && duration <= bm_log_clock() - start);
  bm_log_destroy(&log);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_are_appended_with_the_time),
      cmocka_unit_test(other_ranks_are_silent),
      cmocka_unit_test(a_missing_log_is_silent),
      cmocka_unit_test(long_lines_are_cut),
      cmocka_unit_test(a_log_that_cannot_be_opened_is_an_error),
      cmocka_unit_test(durations_are_short_and_rounded_up),
      cmocka_unit_test(the_clock_goes_forward),
  };
  return cmocka_run_group_tests_name("log", tests, make_file, remove_file);
}
