#include "boltzmap/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char last_message[BM_MESSAGE_MAX];

static const int exit_codes[] = {
#define BM_STATUS_ROW(name, exit_code) exit_code,
    BM_STATUS_TABLE(BM_STATUS_ROW)
#undef BM_STATUS_ROW
};

int bm_status_exit_code(bm_status_t status)
{
  return exit_codes[status];
}

const char *bm_status_message(void)
{
  return last_message;
}

/* A message is one line, whatever is in the names of files. */
static void keep_on_one_line(void)
{
  for (char *c = last_message; *c != '\0'; c++) {
    if ((unsigned char)*c < ' ' || *c == 127) {
      *c = '?';
    }
  }
}

void bm_status_set_message(const char *message)
{
  snprintf(last_message, sizeof last_message, "%s", message);
}

bm_status_t bm_status_prefix(bm_status_t status, const char *format, ...)
{
  char old[BM_MESSAGE_MAX];
  char prefix[BM_MESSAGE_MAX];
  va_list args;
  memcpy(old, last_message, sizeof old);
  va_start(args, format);
  vsnprintf(prefix, sizeof prefix, format, args);
  va_end(args);
  /* Cutting an over-long message is intended. */
  const int most = (int)(sizeof last_message - sizeof ": ");
  const int used = snprintf(last_message, sizeof last_message, "%.*s: ", most, prefix);
  snprintf(last_message + used, sizeof last_message - (size_t)used, "%.*s", most + 2 - used, old);
  keep_on_one_line();
  return status;
}

void bm_status_fail(bm_status_t status, const char *file, int line, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  int used = vsnprintf(last_message, sizeof last_message, format, args);
  va_end(args);
  if (status == BM_ERR_INTERNAL && used >= 0 && (size_t)used < sizeof last_message) {
    snprintf(last_message + used, sizeof last_message - (size_t)used, " (%s:%d)", file, line);
  }
  keep_on_one_line();
}
