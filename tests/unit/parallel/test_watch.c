#include "boltzmap/parallel/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A child that waits under a watch for `wait_us`, with this limit; gives its exit code and what it said. */
static int exit_of_child(const char *limit_s, useconds_t wait_us, char said[512])
{
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    bm_watch_t watch;
    dup2(ends[1], STDERR_FILENO);
    setenv("BOLTZMAP_STALL_S", limit_s, 1);
    bm_watch_start(&watch, "write", "some/file.h5");
    usleep(wait_us);
    bm_watch_end(&watch);
    _exit(0);
  }
  close(ends[1]);
  const ssize_t length = read(ends[0], said, 511);
  said[length < 0 ? 0 : length] = '\0';
  close(ends[0]);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void what_takes_too_long_ends_the_process_and_names_the_file(void **state)
{
  (void)state;
  char said[512];
  assert_int_equal(exit_of_child("0.1", 20000000, said), 74);
  assert_non_null(strstr(said, "some/file.h5"));
  assert_non_null(strstr(said, "BOLTZMAP_STALL_S"));
}

static void what_ends_in_time_goes_on(void **state)
{
  (void)state;
  char said[512];
  assert_int_equal(exit_of_child("10", 1000, said), 0);
  assert_string_equal(said, "");
}

static void a_limit_of_zero_is_none(void **state)
{
  (void)state;
  char said[512];
  assert_int_equal(exit_of_child("0", 200000, said), 0);
}

static void a_limit_that_is_no_number_is_refused(void **state)
{
  (void)state;
  const char *const bad[] = {"", "abc", "5x", "nan", "-5", "1e300"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    setenv("BOLTZMAP_STALL_S", bad[i], 1);
    assert_int_equal(bm_watch_check(), BM_ERR_USAGE);
    assert_non_null(strstr(bm_status_message(), "BOLTZMAP_STALL_S"));
  }
  const char *const good[] = {"0", "0.5", "3600"};
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    setenv("BOLTZMAP_STALL_S", good[i], 1);
    assert_int_equal(bm_watch_check(), BM_OK);
  }
  unsetenv("BOLTZMAP_STALL_S");
  assert_int_equal(bm_watch_check(), BM_OK);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_takes_too_long_ends_the_process_and_names_the_file),
      cmocka_unit_test(what_ends_in_time_goes_on),
      cmocka_unit_test(a_limit_of_zero_is_none),
      cmocka_unit_test(a_limit_that_is_no_number_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
