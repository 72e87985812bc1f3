#ifndef BOLTZMAP_APP_ARGUMENTS_H
#define BOLTZMAP_APP_ARGUMENTS_H

/* The command line: subcommands, their arguments and options, and the help made from these tables.
 * All ranks see the same command line and come to the same result; nothing here communicates. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"

#define BM_POSITIONAL_MAX 2

typedef struct {
  const char *name;  /* "--set" */
  const char *value; /* what its value is called in the help; NULL: a flag */
  const char *help;
} bm_option_t;

typedef struct bm_arguments bm_arguments_t;

typedef struct {
  const char *name;
  const char *positional[BM_POSITIONAL_MAX + 1]; /* names of what has to be given, ended by NULL */
  const char *summary;                           /* one line */
  const char *details;                           /* more for its own help, or NULL */
  const char *instead;        /* option that stands for the positional ones, or NULL */
  const bm_option_t *options; /* ended by a NULL name */
  bm_status_t (*run)(const bm_context_t *context, const bm_arguments_t *arguments); /* collective */
  /* What comes after a stop, for the message: it asks for stop requests (parallel/stop.h) while it works; NULL:
   * it ends by the signal. */
  const char *after_stop;
} bm_command_t;

/* Parse what follows the command's name; empty texts are none. BM_ERR_USAGE, naming the nearest
 * option. Owned by the caller; texts belong to argv. */
bm_status_t bm_arguments_parse(const bm_command_t *command, int count, char *const *texts,
                               bm_arguments_t **out);
void bm_arguments_destroy(bm_arguments_t **arguments);

const char *bm_arguments_positional(const bm_arguments_t *arguments, size_t index);

/* Was the option given? Its last value, or NULL; all values in order. */
int bm_arguments_has(const bm_arguments_t *arguments, const char *option);
const char *bm_arguments_value(const bm_arguments_t *arguments, const char *option);
size_t bm_arguments_values(const bm_arguments_t *arguments, const char *option,
                           const char *const **values);

/* A whole or real number in [low, high]; the fallback where the option is not given.
 * BM_ERR_USAGE. */
bm_status_t bm_arguments_int(const bm_arguments_t *arguments, const char *option, int64_t low,
                             int64_t high, int64_t fallback, int64_t *value);
bm_status_t bm_arguments_real(const bm_arguments_t *arguments, const char *option, double low,
                              double high, double fallback, double *value);

/* Print the help of a command. */
void bm_arguments_help(const bm_command_t *command);

#endif
