#include "boltzmap/app/arguments.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/nearest.h"

typedef struct {
  const bm_option_t *option;
  const char *value;
} given_t;

struct bm_arguments {
  const bm_command_t *command;
  const char *positional[BM_POSITIONAL_MAX];
  given_t *given; /* [count], as on the command line */
  size_t count;
  const char **values; /* [options][count]: what was given for each option, in order */
};

static size_t option_count(const bm_command_t *command)
{
  size_t count = 0;
  while (command->options[count].name != NULL) {
    count++;
  }
  return count;
}

static const bm_option_t *find_option(const bm_command_t *command, const char *name, size_t length)
{
  for (const bm_option_t *option = command->options; option->name != NULL; option++) {
    if (strlen(option->name) == length && strncmp(option->name, name, length) == 0) {
      return option;
    }
  }
  return NULL;
}

static const char *nearest_option(const bm_command_t *command, const char *text, size_t length)
{
  size_t best = bm_nearest_limit(length) + 1;
  const char *nearest = NULL;
  for (const bm_option_t *option = command->options; option->name != NULL; option++) {
    size_t edits = bm_nearest_edits(text, length, option->name);
    if (edits < best) {
      best = edits;
      nearest = option->name;
    }
  }
  return nearest;
}

static bm_status_t unknown_option(const bm_command_t *command, const char *text, size_t length)
{
  const char *nearest = nearest_option(command, text, length);
  if (nearest != NULL) {
    return BM_FAIL(BM_ERR_USAGE, "%s: unknown option '%s'; did you mean %s?", command->name, text,
                   nearest);
  }
  return BM_FAIL(BM_ERR_USAGE, "%s: unknown option '%s'; see boltzmap %s --help", command->name,
                 text, command->name);
}

/* One option, with its value behind '=' or as the next text. Gives the texts it took. */
static bm_status_t take_option(bm_arguments_t *self, int count, char *const *texts, int *taken)
{
  const char *text = texts[0];
  const char *equals = strchr(text, '=');
  size_t length = equals != NULL ? (size_t)(equals - text) : strlen(text);
  const bm_option_t *option = find_option(self->command, text, length);
  *taken = 1;
  if (option == NULL) {
    return unknown_option(self->command, text, length);
  }
  const char *value = equals != NULL ? equals + 1 : NULL;
  if (option->value == NULL && value != NULL) {
    return BM_FAIL(BM_ERR_USAGE, "%s: option %s takes no value", self->command->name, option->name);
  }
  if (option->value != NULL && value == NULL && count >= 2) {
    value = texts[1];
    *taken = 2;
  }
  if (option->value != NULL && (value == NULL || value[0] == '\0')) {
    return BM_FAIL(BM_ERR_USAGE, "%s: option %s needs a value: %s %s", self->command->name,
                   option->name, option->name, option->value);
  }
  self->given[self->count++] = (given_t){option, value};
  return BM_OK;
}

static bm_status_t take_all(bm_arguments_t *self, int count, char *const *texts)
{
  const bm_command_t *command = self->command;
  size_t positional = 0;
  for (int i = 0; i < count;) {
    int taken = 1;
    if (texts[i][0] == '-' && texts[i][1] != '\0') {
      BM_TRY(take_option(self, count - i, texts + i, &taken));
    } else if (command->positional[positional] == NULL) {
      return BM_FAIL(BM_ERR_USAGE, "%s: '%s' is one argument too many; see boltzmap %s --help",
                     command->name, texts[i], command->name);
    } else if (texts[i][0] == '\0') {
      return BM_FAIL(BM_ERR_USAGE, "%s: %s is an empty text; see boltzmap %s --help", command->name,
                     command->positional[positional], command->name);
    } else {
      self->positional[positional++] = texts[i];
    }
    i += taken;
  }
  const int instead = command->instead != NULL && bm_arguments_has(self, command->instead);
  if (instead && positional > 0) {
    return BM_FAIL(BM_ERR_USAGE, "%s: '%s' besides %s; see boltzmap %s --help", command->name,
                   self->positional[0], command->instead, command->name);
  }
  if (!instead && command->positional[positional] != NULL) {
    return BM_FAIL(BM_ERR_USAGE, "%s: %s is missing; see boltzmap %s --help", command->name,
                   command->positional[positional], command->name);
  }
  return BM_OK;
}

bm_status_t bm_arguments_parse(const bm_command_t *command, int count, char *const *texts,
                               bm_arguments_t **out)
{
  BM_TRY(BM_ALLOC(1, out));
  bm_arguments_t *self = *out;
  self->command = command;
  bm_status_t status = BM_ALLOC((size_t)count, &self->given);
  if (status == BM_OK) {
    status = BM_ALLOC(option_count(command) * (size_t)count, &self->values);
  }
  if (status == BM_OK) {
    status = take_all(self, count, texts);
  }
  if (status != BM_OK) {
    bm_arguments_destroy(out);
  }
  return status;
}

void bm_arguments_destroy(bm_arguments_t **arguments)
{
  if (*arguments != NULL) {
    bm_free((*arguments)->values);
    bm_free((*arguments)->given);
  }
  bm_free(*arguments);
  *arguments = NULL;
}

const char *bm_arguments_positional(const bm_arguments_t *arguments, size_t index)
{
  assert(index < BM_POSITIONAL_MAX && arguments->positional[index] != NULL);
  return arguments->positional[index];
}

int bm_arguments_has(const bm_arguments_t *arguments, const char *option)
{
  const char *const *values;
  return bm_arguments_values(arguments, option, &values) > 0;
}

const char *bm_arguments_value(const bm_arguments_t *arguments, const char *option)
{
  const char *const *values;
  size_t count = bm_arguments_values(arguments, option, &values);
  return count > 0 ? values[count - 1] : NULL;
}

size_t bm_arguments_values(const bm_arguments_t *arguments, const char *option,
                           const char *const **values)
{
  const bm_option_t *row = find_option(arguments->command, option, strlen(option));
  assert(row != NULL);
  const char **own =
      arguments->values + (size_t)(row - arguments->command->options) * arguments->count;
  size_t found = 0;
  for (size_t i = 0; i < arguments->count; i++) {
    if (arguments->given[i].option == row) {
      own[found++] = arguments->given[i].value;
    }
  }
  *values = own;
  return found;
}

bm_status_t bm_arguments_int(const bm_arguments_t *arguments, const char *option, int64_t low,
                             int64_t high, int64_t fallback, int64_t *value)
{
  const char *text = bm_arguments_value(arguments, option);
  *value = fallback;
  if (text == NULL) {
    return BM_OK;
  }
  char *end;
  errno = 0;
  long long number = strtoll(text, &end, 10);
  if (end == text || *end != '\0' || errno != 0 || number < low || number > high) {
    return BM_FAIL(BM_ERR_USAGE, "%s %s: expected a whole number from %lld to %lld", option, text,
                   (long long)low, (long long)high);
  }
  *value = number;
  return BM_OK;
}

bm_status_t bm_arguments_real(const bm_arguments_t *arguments, const char *option, double low,
                              double high, double fallback, double *value)
{
  const char *text = bm_arguments_value(arguments, option);
  *value = fallback;
  if (text == NULL) {
    return BM_OK;
  }
  char *end;
  double number = strtod(text, &end);
  if (end == text || *end != '\0' || !isfinite(number) || number < low || number > high) {
    return BM_FAIL(BM_ERR_USAGE, "%s %s: expected a number from %g to %g", option, text, low, high);
  }
  *value = number;
  return BM_OK;
}

void bm_arguments_help(const bm_command_t *command)
{
  printf("boltzmap %s", command->name);
  for (size_t i = 0; command->positional[i] != NULL; i++) {
    printf(" %s", command->positional[i]);
  }
  printf("%s\n\n%s\n", command->options->name != NULL ? " [options]" : "", command->summary);
  if (command->details != NULL) {
    printf("\n%s\n", command->details);
  }
  if (command->options->name != NULL) {
    printf("\nOptions:\n");
  }
  for (const bm_option_t *option = command->options; option->name != NULL; option++) {
    char left[64];
    snprintf(left, sizeof left, "%s%s%s", option->name, option->value != NULL ? " " : "",
             option->value != NULL ? option->value : "");
    printf("  %-24s %s\n", left, option->help);
  }
}
