#include "boltzmap/parallel/watch.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"

#define BM_WATCH_MOST_S 1e9

#define BM_WATCH_VARIABLE "BOLTZMAP_STALL_S"

/* Is the number what the text says? */
static int parse(const char *text, double *seconds)
{
  char *end = NULL;
  *seconds = strtod(text, &end);
  return end != text && *end == '\0' && *seconds >= 0.0 && *seconds < BM_WATCH_MOST_S;
}

bm_status_t bm_watch_check(void)
{
  const char *text = getenv(BM_WATCH_VARIABLE);
  double seconds;
  return text == NULL || parse(text, &seconds) ? BM_OK
                                               : BM_FAIL(BM_ERR_USAGE,
                                                         "environment variable " BM_WATCH_VARIABLE
                                                         " = \"%s\": expected seconds, 0 for none",
                                                         text);
}

static double limit(void)
{
  const char *text = getenv(BM_WATCH_VARIABLE);
  double seconds;
  return text != NULL && parse(text, &seconds) ? seconds : BM_WATCH_LIMIT_S;
}

/* Those under way, since a timer may fire while its watch ends: then it is not among them any more. */
static struct {
  pthread_mutex_t lock;
  bm_watch_t *first;
  int next_number;
} watches = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void enter(bm_watch_t *watch)
{
  pthread_mutex_lock(&watches.lock);
  watch->number = watches.next_number++;
  watch->next = watches.first;
  watches.first = watch;
  pthread_mutex_unlock(&watches.lock);
}

static void leave(bm_watch_t *watch)
{
  pthread_mutex_lock(&watches.lock);
  bm_watch_t **place = &watches.first;
  while (*place != watch) {
    place = &(*place)->next;
  }
  *place = watch->next;
  pthread_mutex_unlock(&watches.lock);
}

/* In a thread of its own: the one that waits may never run again. */
static void on_stall(union sigval value)
{
  pthread_mutex_lock(&watches.lock); /* and keep it: the job ends */
  const bm_watch_t *watch = watches.first;
  while (watch != NULL && watch->number != value.sival_int) {
    watch = watch->next;
  }
  if (watch == NULL) {
    pthread_mutex_unlock(&watches.lock);
    return;
  }
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
  enter(watch);
  event.sigev_value.sival_int = watch->number;
  if (!(seconds > 0.0) || timer_create(CLOCK_MONOTONIC, &event, &watch->timer) != 0) {
    return;
  }
  const struct itimerspec once = {
      .it_value = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds)) + 1}};
  watch->armed = 1;
  if (timer_settime(watch->timer, 0, &once, NULL) != 0) {
    timer_delete(watch->timer);
    watch->armed = 0;
  }
}

void bm_watch_end(bm_watch_t *watch)
{
  if (watch->armed) {
    timer_delete(watch->timer);
  }
  watch->armed = 0;
  leave(watch);
}
