#include "boltzmap/parallel/watch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"

static double limit(void)
{
  const char *text = getenv("BOLTZMAP_STALL_S");
  char *end = NULL;
  double seconds = text == NULL ? BM_WATCH_LIMIT_S : strtod(text, &end);
  return text != NULL && (end == text || *end != '\0') ? BM_WATCH_LIMIT_S : seconds;
}

/* In a thread of its own: the one that waits may never run again. */
static void on_stall(union sigval value)
{
  const bm_watch_t *watch = value.sival_ptr;
  const bm_status_t status = BM_FAIL(
      BM_ERR_IO,
      "%s: no answer for %g s (%s): the file system stalls; once it is back, run the same "
      "command again to go on, or allow more time with the environment variable BOLTZMAP_STALL_S",
      watch->path, limit(), watch->action);
  bm_context_end_job(status);
}

void bm_watch_start(bm_watch_t *watch, const char *action, const char *path)
{
  const double seconds = limit();
  struct sigevent event;
  *watch = (bm_watch_t){.action = action, .path = path};
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD;
  event.sigev_notify_function = on_stall;
  event.sigev_value.sival_ptr = watch;
  if (!(seconds > 0.0) || timer_create(CLOCK_MONOTONIC, &event, &watch->timer) != 0) {
    return;
  }
  const struct itimerspec once = {
      .it_value = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds)) + 1}};
  watch->armed = 1;
  if (timer_settime(watch->timer, 0, &once, NULL) != 0) {
    bm_watch_end(watch);
  }
}

void bm_watch_end(bm_watch_t *watch)
{
  if (watch->armed) {
    timer_delete(watch->timer);
  }
  watch->armed = 0;
}
