#include "boltzmap/parallel/stop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "boltzmap/parallel/agree.h"

#define BM_PATIENCE 3    /* so many SIGINT and SIGTERM end the process at once, */
#define BM_PATIENCE_S 10 /* or two, so many seconds apart */

/* A signal handler can only reach objects with static storage. */
static volatile sig_atomic_t requests;
static volatile sig_atomic_t urgent;   /* SIGINT and SIGTERM among them */
static volatile sig_atomic_t urgent_s; /* when the first of those came */

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
  if (number != SIGUSR1) {
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
  const int signals[] = {SIGUSR1, SIGTERM, SIGINT};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
    struct sigaction action;
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

static bm_status_t stopped(int asked)
{
  return asked ? BM_FAIL(BM_STOPPED, "stopped on request; run the same command again to go on")
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
  return requests != 0;
}

void bm_stop_request(void)
{
  requests = 1;
}
