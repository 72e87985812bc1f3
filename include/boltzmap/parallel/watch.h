#ifndef BOLTZMAP_PARALLEL_WATCH_H
#define BOLTZMAP_PARALLEL_WATCH_H

/* Files that stall. A file server that is gone lets a read or write wait for ever, and all ranks with it.
 * What may wait is put between bm_watch_start and bm_watch_end: when it takes longer than the time limit,
 * the job ends with one message that names the file, and exit code 74.
 *
 * The limit is BM_WATCH_LIMIT_S, longer than servers take to come back; another one in seconds is taken
 * from the environment variable BOLTZMAP_STALL_S, 0 for none. It holds for one piece of a file, not
 * for the whole. */

#include <time.h>

#include "boltzmap/base/status.h"

#define BM_WATCH_LIMIT_S 1800.0

typedef struct bm_watch {
  const char *action; /* as "write"; not owned */
  const char *path;   /* not owned */
  timer_t timer;
  int armed;
  int number; /* among those under way */
  struct bm_watch *next;
} bm_watch_t;

/* Is the environment variable a number of seconds, or not set? BM_ERR_USAGE. */
bm_status_t bm_watch_check(void);

/* Begin to watch; the watch and its texts stay where they are until bm_watch_end. Any thread. Where
 * the system has no timer left, nothing is watched. */
void bm_watch_start(bm_watch_t *watch, const char *action, const char *path);
void bm_watch_end(bm_watch_t *watch);

#endif
