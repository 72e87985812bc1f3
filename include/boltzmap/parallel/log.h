#ifndef BOLTZMAP_PARALLEL_LOG_H
#define BOLTZMAP_PARALLEL_LOG_H

/* Messages of a run: rank 0 writes them to the terminal and, where one is open, to log.txt. Ranks
 * other than 0 may call everything here; it does nothing there. */

#include <stddef.h>

#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"

typedef struct bm_log bm_log_t;

/* A log for this context; `file` (appended to) may be NULL. BM_ERR_IO, also where it is a link. Not
 * collective. */
bm_status_t bm_log_create(const bm_context_t *context, const char *file, bm_log_t **out);
void bm_log_destroy(bm_log_t **log);

/* One line; bm_log_warn prefixes "warning: " and goes to stderr. A NULL log is silent. */
void bm_log_info(bm_log_t *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void bm_log_warn(bm_log_t *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One line to the file alone: what the terminal is told elsewhere. */
void bm_log_record(bm_log_t *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Progress of a phase: one terminal line rewritten in place (a line each ten seconds where the output
 * is not a terminal) with done/total, speed, extra text and time left. */
void bm_log_progress_start(bm_log_t *log, const char *phase, double total, const char *unit);
/* What was done before this phase began: speed and time left do not count it. */
void bm_log_progress_resume(bm_log_t *log, double done);
void bm_log_progress(bm_log_t *log, double done, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* End the phase's line; gives its duration in seconds. */
double bm_log_progress_end(bm_log_t *log);

/* "40 s", "3 min", "2.5 h" or "unknown", rounded up; gives `text`. */
#define BM_DURATION_MAX 32
const char *bm_log_duration(double seconds, char text[BM_DURATION_MAX]);

/* Seconds on a clock that only goes forward. */
double bm_log_clock(void);

#endif
