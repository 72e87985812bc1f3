#include "boltzmap/app/commands.h"

#include <stdio.h>
#include <string.h>

#include "boltzmap/base/version.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/npy.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/stop.h"

static const bm_command_t *const commands[] = {
#define BM_COMMAND_ROW(row) &bm_command_##row,
    BM_COMMAND_TABLE(BM_COMMAND_ROW)
#undef BM_COMMAND_ROW
        NULL,
};

static void print_help(void)
{
  printf("boltzmap %s: transport maps onto Boltzmann distributions\n\n"
         "usage: boltzmap COMMAND [arguments]\n"
         "       mpirun -n RANKS boltzmap COMMAND [arguments]\n\n",
         bm_version());
  for (size_t i = 0; commands[i] != NULL; i++) {
    char left[64] = "";
    size_t used = (size_t)snprintf(left, sizeof left, "%s", commands[i]->name);
    for (size_t k = 0; commands[i]->positional[k] != NULL; k++) {
      used += (size_t)snprintf(left + used, sizeof left - used, " %s", commands[i]->positional[k]);
    }
    printf("  %-16s %s\n", left, commands[i]->summary);
  }
  printf(
      "\nboltzmap COMMAND --help tells more; boltzmap --version names version and libraries.\n"
      "Exit codes: 0 finished; 64 usage; 65 bad deck or data; 70 internal error;\n"
      "74 input/output, as a file that is missing; 75 stopped on request: run again to go on.\n");
}

/* Rank 0's part. */
static bm_status_t check_out(const char *option, const char *out, const char *const *inputs)
{
  const char *end = strrchr(out, '.');
  if (end != NULL && (strcmp(end, ".npy") == 0 || strcmp(end, ".csv") == 0)) {
    return BM_FAIL(BM_ERR_USAGE, "%s %s: what is written is HDF5; call it .h5 or .h5md", option,
                   out);
  }
  for (size_t i = 0; inputs[i] != NULL; i++) {
    if (bm_file_is_same(out, inputs[i])) {
      return BM_FAIL(BM_ERR_USAGE, "%s %s: would replace %s, which is read; choose another name",
                     option, out, inputs[i]);
    }
  }
  bm_status_t status = bm_file_check_target(out);
  return status == BM_OK ? status : bm_status_prefix(status, "%s", option);
}

bm_status_t bm_command_check_out(const bm_context_t *context, const bm_arguments_t *arguments,
                                 const char *option, const char *const *inputs)
{
  const char *out = bm_arguments_value(arguments, option);
  return bm_agree(
      context, out != NULL && bm_context_is_root(context) ? check_out(option, out, inputs) : BM_OK);
}

/* Rank 0's part. What is not there is told by who reads it. */
static bm_status_t check_dataset(const char *dataset, const char *const *files)
{
  for (size_t i = 0; files[i] != NULL; i++) {
    if (!bm_npy_recognise(files[i])) {
      return BM_OK;
    }
  }
  return BM_FAIL(BM_ERR_USAGE, "--dataset %s: goes with HDF5 files, %s is .npy", dataset, files[0]);
}

bm_status_t bm_command_check_dataset(const bm_context_t *context, const bm_arguments_t *arguments,
                                     const char *const *files)
{
  const char *dataset = bm_arguments_value(arguments, "--dataset");
  return bm_agree(context, dataset != NULL && bm_context_is_root(context)
                               ? check_dataset(dataset, files)
                               : BM_OK);
}

static const bm_command_t *find_command(const char *name)
{
  for (size_t i = 0; commands[i] != NULL; i++) {
    if (strcmp(commands[i]->name, name) == 0) {
      return commands[i];
    }
  }
  return NULL;
}

static int asks_for_help(int count, char *const *texts)
{
  for (int i = 0; i < count; i++) {
    if (strcmp(texts[i], "--help") == 0 || strcmp(texts[i], "-h") == 0) {
      return 1;
    }
  }
  return 0;
}

static bm_status_t run(const bm_context_t *context, const bm_command_t *command, int count,
                       char *const *texts)
{
  bm_arguments_t *arguments = NULL;
  bm_status_t status = bm_agree(context, bm_arguments_parse(command, count, texts, &arguments));
  if (status == BM_OK && command->after_stop != NULL) {
    status = bm_agree(context, bm_stop_install());
  }
  if (status == BM_OK) {
    status = command->run(context, arguments);
  }
  if (status == BM_STOPPED) {
    char message[BM_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s", bm_status_message());
    status = BM_FAIL(BM_STOPPED, "%s; %s", message, command->after_stop);
  }
  bm_arguments_destroy(&arguments);
  return status;
}

static bm_status_t answer(const bm_context_t *context, int count, char *const *texts)
{
  const int root = bm_context_is_root(context);
  if (count == 0) {
    return BM_FAIL(BM_ERR_USAGE, "no command given; see boltzmap --help");
  }
  if (strcmp(texts[0], "--version") == 0) {
    if (root) {
      char mpi[160];
      bm_context_library(mpi, sizeof mpi);
      printf("boltzmap %s (%s)\n%s, %s\n", bm_version(), bm_revision(), bm_library_versions(), mpi);
    }
    return BM_OK;
  }
  const int names_help = strcmp(texts[0], "help") == 0;
  const bm_command_t *command = find_command(texts[names_help && count > 1 ? 1 : 0]);
  if (command == NULL && (asks_for_help(1, texts) || names_help)) {
    if (root) {
      print_help();
    }
    return BM_OK;
  }
  if (command == NULL) {
    return BM_FAIL(BM_ERR_USAGE, "no command '%s'; see boltzmap --help", texts[0]);
  }
  if (names_help || asks_for_help(count - 1, texts + 1)) {
    if (root) {
      bm_arguments_help(command);
    }
    return BM_OK;
  }
  return run(context, command, count - 1, texts + 1);
}

/* What was printed has to arrive: a full disk behind a pipe shows only here. */
static bm_status_t flush_output(void)
{
  if (fflush(stdout) != 0 || ferror(stdout)) {
    return BM_FAIL(BM_ERR_IO, "cannot write to standard output");
  }
  return BM_OK;
}

bm_status_t bm_commands_dispatch(const bm_context_t *context, int count, char *const *texts)
{
  bm_status_t status = bm_agree(context, answer(context, count, texts));
  if (status == BM_OK && bm_context_is_root(context)) {
    status = flush_output();
  }
  return bm_agree(context, status);
}
