#include "boltzmap/parallel/stop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "boltzmap/parallel/agree.h"

/* A signal handler can only reach an object with static storage. */
static volatile sig_atomic_t requests;

static void on_signal(int number)
{
  if (requests > 0 && number != SIGUSR1) {
    _exit(75);
  }
  requests = 1;
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
    if (sigaction(signals[i], &action, NULL) != 0) {
      return BM_FAIL(BM_ERR_INTERNAL, "sigaction: %s", strerror(errno));
    }
  }
  return BM_OK;
}

bm_status_t bm_stop_check(const bm_context_t *context)
{
  if (bm_agree_any(context, bm_stop_pending())) {
    return BM_FAIL(BM_STOPPED, "stopped on request; run the same command again to go on");
  }
  return BM_OK;
}

int bm_stop_pending(void)
{
  return requests != 0;
}

void bm_stop_request(void)
{
  requests = 1;
}
