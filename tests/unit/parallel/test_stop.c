/* Stop requests and the way out of a process that does not honour them. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
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

/* Does a process that looks for `seconds` find itself asked to stop? */
static int is_asked_within(double seconds)
{
  for (int i = 0; i < 20 * (int)seconds; i++) {
    if (bm_stop_pending()) {
      return 1;
    }
    usleep(50000);
  }
  return 0;
}

/* In a process of its own, since a request is never taken back. */
static int child_says(int (*question)(const char *folder), const char *folder)
{
  int status = 0;
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    _exit(question(folder));
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static int stops_by_file(const char *folder)
{
  char path[300];
  snprintf(path, sizeof path, "%s/stop", folder);
  bm_stop_watch(path, 1.0);
  if (is_asked_within(2.0)) {
    return 0;
  }
  FILE *file = fopen(path, "w");
  const int made = file != NULL && fclose(file) == 0;
  const int asked = is_asked_within(3.0);
  unlink(path);
  return made && asked &&
         strstr(bm_stop_poll() == BM_STOPPED ? bm_status_message() : "", "stop file") != NULL;
}

static void a_file_asks_to_stop(void **state)
{
  (void)state;
  char folder[] = "/tmp/boltzmap-stop-XXXXXX";
  assert_non_null(mkdtemp(folder));
  assert_true(child_says(stops_by_file, folder));
  assert_int_equal(rmdir(folder), 0);
}

/* A tenth of a short time is left for the checkpoint. */
static int stops_before_the_end(const char *folder)
{
  (void)folder;
  bm_stop_before((double)time(NULL) + 1e6);
  bm_stop_before((double)time(NULL) + 20.0);
  return !is_asked_within(2.0);
}

/* Writes have shown to take long: the margin is three of them. */
static int stops_in_time_for_a_slow_disk(const char *folder)
{
  (void)folder;
  bm_stop_took(5.9);
  bm_stop_took(0.1);
  bm_stop_before((double)time(NULL) + 20.0);
  return is_asked_within(3.0) &&
         strstr(bm_stop_poll() == BM_STOPPED ? bm_status_message() : "", "time allowed") != NULL;
}

static void the_end_of_the_time_asks_to_stop_with_room_for_a_checkpoint(void **state)
{
  (void)state;
  assert_true(child_says(stops_before_the_end, NULL));
  assert_true(child_says(stops_in_time_for_a_slow_disk, NULL));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_urgent_signal_after_another_request_does_not_end_the_process),
      cmocka_unit_test(many_gentle_requests_do_not_end_the_process),
      cmocka_unit_test(the_third_urgent_signal_ends_the_process_by_its_own_way),
      cmocka_unit_test(a_file_asks_to_stop),
      cmocka_unit_test(the_end_of_the_time_asks_to_stop_with_room_for_a_checkpoint),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
