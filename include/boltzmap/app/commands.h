#ifndef BOLTZMAP_APP_COMMANDS_H
#define BOLTZMAP_APP_COMMANDS_H

/* The subcommands of the program: one file and one row of the table each. */

#include "boltzmap/app/arguments.h"

#define BM_COMMAND_TABLE(X) \
  X(run)                    \
  X(check)                  \
  X(energy)                 \
  X(distance)               \
  X(generate)               \
  X(density)                \
  X(info)

#define BM_COMMAND_ROW(row) extern const bm_command_t bm_command_##row;
BM_COMMAND_TABLE(BM_COMMAND_ROW)
#undef BM_COMMAND_ROW

/* Sample sets are written as HDF5: BM_ERR_USAGE where `out` (may be NULL) is a name for another
 * format. */
bm_status_t bm_command_check_out(const char *command, const char *out);

/* Run the command line: a subcommand, --help or --version. Collective. */
bm_status_t bm_commands_dispatch(const bm_context_t *context, int count, char *const *texts);

#endif
