#include "boltzmap/parallel/stop.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/watch.h"

#define BM_PATIENCE 3        /* so many SIGINT and SIGTERM end the process at once, */
#define BM_PATIENCE_S 10     /* or two, so many seconds apart */
#define BM_MARGIN_S 30.0     /* before the end of the time allowed, */
#define BM_MARGIN_SHARE 0.1  /* or this share of it, where it is short, */
#define BM_MARGIN_WRITES 3.0 /* and so many times what a checkpoint took */

/* A signal handler can only reach objects with static storage. */
static volatile sig_atomic_t requests;
static volatile sig_atomic_t urgent;   /* SIGINT and SIGTERM among them */
static volatile sig_atomic_t urgent_s; /* when the first of those came */

/* What else asks to stop; beside the signals, since both are requests to the process. */
static struct {
  const char *file;  /* NULL: none */
  double every_s;    /* between looks */
  int has_end;       /* is the time limited? */
  double end;        /* of the time allowed, on the monotonic clock */
  double margin;     /* seconds before it */
  double took;       /* seconds that a checkpoint took at most */
  double looked;     /* when it was looked for last */
  const char *found; /* what asked to stop; NULL: a signal, or nothing */
} watch;

/* Leave by the signal's own way: the parent sees that nothing was finished. */
static void leave(int number)
{
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = SIG_DFL;
  sigaction(number, &action, NULL);
  raise(number); /* comes through when the handler returns */
}

static void on_signal(int number)
{
  const int cause = errno;
  struct timespec now = {0, 0};
  requests = 1;
  if (number == SIGINT || number == SIGTERM) {
    clock_gettime(CLOCK_MONOTONIC, &now);
    urgent_s = urgent == 0 ? (sig_atomic_t)now.tv_sec : urgent_s;
    urgent = urgent + 1;
    if (urgent >= BM_PATIENCE || now.tv_sec - urgent_s >= BM_PATIENCE_S) {
      leave(number);
    }
  }
  errno = cause;
}

bm_status_t bm_stop_install(void)
{
  signal(SIGPIPE, SIG_IGN);
  const int signals[] = {SIGUSR1, SIGTERM, SIGINT, SIGHUP, SIGXCPU};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
    struct sigaction action;
    if (signals[i] == SIGHUP && sigaction(SIGHUP, NULL, &action) == 0 &&
        action.sa_handler == SIG_IGN) {
      continue; /* of nohup */
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    for (size_t k = 0; k < sizeof signals / sizeof signals[0]; k++) {
      sigaddset(&action.sa_mask, signals[k]); /* one after the other: the handler counts */
    }
    if (sigaction(signals[i], &action, NULL) != 0) {
      return BM_FAIL(BM_ERR_INTERNAL, "sigaction: %s", strerror(errno));
    }
  }
  return BM_OK;
}

static double seconds_of(clockid_t clock)
{
  struct timespec now = {0, 0};
  clock_gettime(clock, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void bm_stop_watch(const char *file, double every_s)
{
  watch.file = file;
  watch.every_s = every_s;
}

void bm_stop_before(double end)
{
  const double left = end - seconds_of(CLOCK_REALTIME);
  const double here = seconds_of(CLOCK_MONOTONIC) + left;
  if (!watch.has_end || here < watch.end) {
    watch.has_end = 1;
    watch.end = here;
    watch.margin = fmax(0.0, fmin(BM_MARGIN_SHARE * left, BM_MARGIN_S));
  }
}

void bm_stop_took(double seconds)
{
  watch.took = seconds > watch.took ? seconds : watch.took;
}

static int file_is_there(double now)
{
  bm_watch_t stall;
  if (watch.file == NULL || now - watch.looked < watch.every_s) {
    return 0;
  }
  watch.looked = now;
  bm_watch_start(&stall, "look for this file", watch.file);
  const int found = access(watch.file, F_OK) == 0;
  bm_watch_end(&stall);
  return found;
}

static void look(void)
{
  if (watch.file == NULL && !watch.has_end) {
    return;
  }
  const double now = seconds_of(CLOCK_MONOTONIC);
  if (watch.has_end && now > watch.end - watch.margin - BM_MARGIN_WRITES * watch.took) {
    watch.found = "the time allowed is nearly over";
  } else if (file_is_there(now)) {
    watch.found = "stopped by the stop file";
  }
  requests = watch.found != NULL || requests != 0;
}

static bm_status_t stopped(int asked)
{
  return asked ? BM_FAIL(BM_STOPPED, "%s", watch.found != NULL ? watch.found : "stopped on request")
               : BM_OK;
}

bm_status_t bm_stop_check(const bm_context_t *context)
{
  return stopped(bm_agree_any(context, bm_stop_pending()));
}

bm_status_t bm_stop_poll(void)
{
  return stopped(bm_stop_pending());
}

int bm_stop_pending(void)
{
  if (requests == 0) {
    look();
  }
  return requests != 0;
}

void bm_stop_request(void)
{
  requests = 1;
}
