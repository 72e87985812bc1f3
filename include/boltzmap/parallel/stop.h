#ifndef BOLTZMAP_PARALLEL_STOP_H
#define BOLTZMAP_PARALLEL_STOP_H

/* Stop requests: SIGUSR1, SIGTERM, SIGINT, SIGHUP (unless it is ignored, as under nohup), SIGXCPU, a file that
 * appears, the end of the time allowed. The handler only counts; the program asks at safe points, and all ranks
 * agree on the answer, since a request may reach one rank alone. While a stop is pending, the third SIGINT or
 * SIGTERM, or one that comes ten seconds after the first, ends the process by that signal (exit code 128 and its
 * number in a shell), so that exit code 75 always means that the stop was honoured; the last checkpoint stays
 * valid. */

#include "boltzmap/parallel/context.h"

/* Install the handlers. Once, by a command that asks for stops: all others end by the signal. Such a command has
 * files to finish, too, where nobody reads any more what it prints: SIGPIPE is ignored. */
bm_status_t bm_stop_install(void);

/* Ask to stop, too, when a file of this name is there, looked for so many seconds apart. The name is not copied;
 * NULL: no longer. */
void bm_stop_watch(const char *file, double every_s);

/* Ask to stop, too, so long before the Unix time `end` that a checkpoint can still be written: half a minute (of
 * a short time a tenth), and three times what writing has taken at most. The nearest end counts. */
void bm_stop_before(double end);

/* A checkpoint took so many seconds. */
void bm_stop_took(double seconds);

/* Has any rank been asked to stop? Collective. Gives BM_STOPPED (with a message) or BM_OK. */
bm_status_t bm_stop_check(const bm_context_t *context);

/* This rank alone, for loops that do not communicate; not collective. */
int bm_stop_pending(void);

/* The same as a status: BM_STOPPED (with a message) or BM_OK. */
bm_status_t bm_stop_poll(void);

/* Ask this process to stop, as a signal would. */
void bm_stop_request(void);

#endif
