#include "boltzmap/parallel/log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/watch.h"

#define BM_PROGRESS_TERMINAL_S 0.2
#define BM_PROGRESS_FILE_S 10.0
#define BM_LINE_MAX 1024

struct bm_log {
  int root;
  int terminal;
  FILE *file;
  /* the phase under way */
  char phase[64];
  char unit[32];
  double total;
  double before; /* done when the phase began */
  double started;
  double shown;
  int line_open;
};

/* To write at its end; NULL, also where it is a link, which could lead out of the output folder. */
static FILE *open_file(const char *path)
{
  int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
  FILE *stream = file < 0 ? NULL : fdopen(file, "a");
  if (stream == NULL && file >= 0) {
    close(file);
  }
  return stream;
}

bm_status_t bm_log_create(const bm_context_t *context, const char *file, bm_log_t **out)
{
  BM_TRY(BM_ALLOC(1, out));
  bm_log_t *log = *out;
  log->root = bm_context_is_root(context);
  log->terminal = isatty(STDERR_FILENO);
  if (log->root && file != NULL) {
    log->file = open_file(file);
    if (log->file == NULL) {
      bm_status_t status = BM_FAIL(BM_ERR_IO, "%s: cannot open the log: %s", file, strerror(errno));
      bm_log_destroy(out);
      return status;
    }
  }
  return BM_OK;
}

void bm_log_destroy(bm_log_t **log)
{
  if (*log != NULL && (*log)->file != NULL) {
    fclose((*log)->file);
  }
  bm_free(*log);
  *log = NULL;
}

double bm_log_clock(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void close_line(bm_log_t *log)
{
  if (log->line_open) {
    fputs("\r\033[K", stderr);
    log->line_open = 0;
  }
}

/* To the log file with the time of day, and to a terminal stream. */
static void write_line(bm_log_t *log, FILE *stream, const char *prefix, const char *text)
{
  close_line(log);
  if (stream != NULL) {
    fprintf(stream, "%s%s\n", prefix, text);
    fflush(stream);
  }
  if (log->file != NULL) {
    char stamp[32];
    time_t now = time(NULL);
    struct tm local;
    bm_watch_t watch;
    localtime_r(&now, &local);
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &local);
    bm_watch_start(&watch, "write", "the log");
    fprintf(log->file, "%s %s%s\n", stamp, prefix, text);
    fflush(log->file);
    bm_watch_end(&watch);
  }
}

void bm_log_info(bm_log_t *log, const char *format, ...)
{
  if (log == NULL || !log->root) {
    return;
  }
  char text[BM_LINE_MAX];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  write_line(log, stdout, "", text);
}

void bm_log_warn(bm_log_t *log, const char *format, ...)
{
  if (log == NULL || !log->root) {
    return;
  }
  char text[BM_LINE_MAX];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  write_line(log, stderr, "warning: ", text);
}

void bm_log_record(bm_log_t *log, const char *format, ...)
{
  if (log == NULL || !log->root) {
    return;
  }
  char text[BM_LINE_MAX];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  write_line(log, NULL, "", text);
}

void bm_log_progress_start(bm_log_t *log, const char *phase, double total, const char *unit)
{
  if (log == NULL) {
    return;
  }
  snprintf(log->phase, sizeof log->phase, "%s", phase);
  snprintf(log->unit, sizeof log->unit, "%s", unit);
  log->total = total;
  log->before = 0.0;
  log->started = bm_log_clock();
  log->shown = log->terminal ? 0.0 : log->started;
}

void bm_log_progress_resume(bm_log_t *log, double done)
{
  if (log != NULL) {
    log->before = done;
  }
}

const char *bm_log_duration(double seconds, char text[BM_DURATION_MAX])
{
  if (!(seconds < 1e9)) {
    snprintf(text, BM_DURATION_MAX, "unknown");
  } else if (seconds < 100.0) {
    snprintf(text, BM_DURATION_MAX, "%.0f s", ceil(seconds));
  } else if (seconds < 6000.0) {
    snprintf(text, BM_DURATION_MAX, "%.0f min", ceil(seconds / 60.0));
  } else {
    snprintf(text, BM_DURATION_MAX, "%.1f h", seconds / 3600.0);
  }
  return text;
}

/* "12000 of 30000 steps (40%), 3410 steps/s, 6 s left": counts are whole. */
static void format_progress(const bm_log_t *log, double done, double elapsed, char *text,
                            size_t size)
{
  char left[BM_DURATION_MAX];
  double speed = (done - log->before) / elapsed;
  int used = snprintf(text, size, "  %s: %.0f of %.0f %s (%.0f%%)", log->phase, floor(done),
                      log->total, log->unit, log->total > 0.0 ? 100.0 * done / log->total : 100.0);
  if (speed > 0.0 && isfinite(speed) && used >= 0 && (size_t)used < size) {
    snprintf(text + used, size - (size_t)used, ", %.*f %s/s, %s left", speed < 10.0 ? 2 : 0, speed,
             log->unit, bm_log_duration((log->total - done) / speed, left));
  }
}

void bm_log_progress(bm_log_t *log, double done, const char *format, ...)
{
  if (log == NULL || !log->root) {
    return;
  }
  double now = bm_log_clock();
  if (now - log->shown < (log->terminal ? BM_PROGRESS_TERMINAL_S : BM_PROGRESS_FILE_S)) {
    return;
  }
  log->shown = now;
  char extra[BM_LINE_MAX / 2] = "";
  if (format != NULL) {
    va_list args;
    va_start(args, format);
    vsnprintf(extra, sizeof extra, format, args);
    va_end(args);
  }
  done = done < log->total ? done : log->total; /* the last piece may be counted in full */
  char counts[BM_LINE_MAX / 2 - 8];
  char text[BM_LINE_MAX];
  format_progress(log, done, now - log->started, counts, sizeof counts);
  snprintf(text, sizeof text, "%s%s%s", counts, extra[0] != '\0' ? ", " : "", extra);
  if (log->terminal) {
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
    log->line_open = 1;
  } else {
    write_line(log, stdout, "", text);
  }
}

double bm_log_progress_end(bm_log_t *log)
{
  if (log == NULL) {
    return 0.0;
  }
  close_line(log);
  return bm_log_clock() - log->started;
}
