/* Stop requests and the way out of a process that does not honour them. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "boltzmap/parallel/stop.h"

#define BM_STILL_THERE 7

/* How a process ends that gets these signals and honours none of them, as wait tells. */
static int end_of(size_t count, const int *signals)
{
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    int failed = bm_stop_install() != BM_OK;
    for (size_t i = 0; i < count; i++) {
      raise(signals[i]);
      failed = failed || !bm_stop_pending();
    }
    _exit(failed ? 1 : BM_STILL_THERE);
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  return status;
}

static void one_urgent_signal_after_another_request_does_not_end_the_process(void **state)
{
  (void)state;
  const int pairs[][2] = {{SIGUSR1, SIGTERM}, {SIGINT, SIGTERM}, {SIGTERM, SIGTERM}};
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
    int status = end_of(2, pairs[i]);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), BM_STILL_THERE);
  }
}

static void many_gentle_requests_do_not_end_the_process(void **state)
{
  (void)state;
  const int signals[] = {SIGUSR1, SIGUSR1, SIGUSR1, SIGUSR1, SIGINT, SIGUSR1};
  int status = end_of(6, signals);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), BM_STILL_THERE);
}

static void the_third_urgent_signal_ends_the_process_by_its_own_way(void **state)
{
  (void)state;
  const int signals[] = {SIGINT, SIGUSR1, SIGINT, SIGTERM};
  int status = end_of(4, signals);
  assert_true(WIFSIGNALED(status));
  assert_int_equal(WTERMSIG(status), SIGTERM);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_urgent_signal_after_another_request_does_not_end_the_process),
      cmocka_unit_test(many_gentle_requests_do_not_end_the_process),
      cmocka_unit_test(the_third_urgent_signal_ends_the_process_by_its_own_way),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
