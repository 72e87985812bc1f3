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

/* Can the file of an option, as --out, be written once the work is done? BM_ERR_USAGE where it is a
 * name for another format than HDF5, or one of the files that are read (`inputs`, ended by NULL);
 * BM_ERR_IO as bm_file_check_target. Without the option all is well. Collective. */
bm_status_t bm_command_check_out(const bm_context_t *context, const bm_arguments_t *arguments,
                                 const char *option, const char *const *inputs);

/* --dataset goes with HDF5: BM_ERR_USAGE where it is given and all of these files (ended by NULL)
 * are .npy. Collective. */
bm_status_t bm_command_check_dataset(const bm_context_t *context, const bm_arguments_t *arguments,
                                     const char *const *files);

/* Run the command line: a subcommand, --help or --version. Collective. */
bm_status_t bm_commands_dispatch(const bm_context_t *context, int count, char *const *texts);

#endif
