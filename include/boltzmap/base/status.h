#ifndef BOLTZMAP_BASE_STATUS_H
#define BOLTZMAP_BASE_STATUS_H

/* Error policy. A function that can fail returns bm_status_t. The first failure writes one message
 * (what, where, what to do) with BM_FAIL; callers pass it up with BM_TRY and may add context with
 * bm_status_prefix. A wrong call by a programmer is an assert, not a status. */

#include <stddef.h>

/* name, process exit code */
#define BM_STATUS_TABLE(X) \
  X(BM_OK, 0)              \
  X(BM_ERR_USAGE, 64)      \
  X(BM_ERR_DATA, 65)       \
  X(BM_ERR_INTERNAL, 70)   \
  X(BM_ERR_MEMORY, 70)     \
  X(BM_ERR_IO, 74)         \
  X(BM_STOPPED, 75)

typedef enum {
#define BM_STATUS_ENUM(name, exit_code) name,
  BM_STATUS_TABLE(BM_STATUS_ENUM)
#undef BM_STATUS_ENUM
} bm_status_t;

#define BM_MESSAGE_MAX 1024

/* Exit code of the process for a status. */
int bm_status_exit_code(bm_status_t status);

/* Message of the last failure on this thread, one line; valid until the next failure on it. */
const char *bm_status_message(void);

/* Replace the message of the last failure: how a message agreed on by all ranks is installed. */
void bm_status_set_message(const char *message);

/* Put "prefix: " before the message of the last failure and return the status unchanged. */
bm_status_t bm_status_prefix(bm_status_t status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Record a failure; use through BM_FAIL. Internal errors get the source position appended. */
void bm_status_fail(bm_status_t status, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The status stands there again so that compilers and analysers know it for a failure. */
#define BM_FAIL(status, ...) \
  (bm_status_fail((status), __FILE__, __LINE__, __VA_ARGS__), (bm_status_t)(status))

/* Return from the calling function when the expression fails. */
#define BM_TRY(expression)                     \
  do {                                         \
    bm_status_t bm_try_status_ = (expression); \
    if (bm_try_status_ != BM_OK) {             \
      return bm_try_status_;                   \
    }                                          \
  } while (0)

/* The same, jumping to a clean-up label; `status` is the variable the label returns. */
#define BM_TRY_GOTO(status, label, expression) \
  do {                                         \
    (status) = (expression);                   \
    if ((status) != BM_OK) {                   \
      goto label;                              \
    }                                          \
  } while (0)

#endif
