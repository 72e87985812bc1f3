#ifndef BOLTZMAP_TESTS_UNIT_MODEL_EDITS_H
#define BOLTZMAP_TESTS_UNIT_MODEL_EDITS_H

/* The files of alanine dipeptide with one place changed, for tests of their readers. */

#include <ctype.h>

#include "../io/scratch.h"
#include "boltzmap/io/file.h"
#include "molecules.h"

/* A change of a file's text: the first `from` behind `after` becomes `to`. `to` NULL: the file ends
 * there. */
typedef struct {
  const char *after, *from, *to;
  const char *section, *wanted; /* both in the message; section NULL: none is to blame */
} edit_t;

#define ALL "" /* `after` of a place looked for from the start */

/* The text of input/alanine-dipeptide with this ending. */
static inline char *text_of(const char *end)
{
  char path[4096];
  char *text;
  size_t bytes;
  path_of("input/", "alanine-dipeptide", end, 0, path);
  demand(bm_file_read(path, &text, &bytes));
  return text;
}

static inline char *edited(const char *text, const edit_t *edit)
{
  const char *place = strstr(text, edit->after);
  place = place == NULL ? NULL : strstr(place, edit->from);
  if (place == NULL) {
    fail_msg("the edit of '%s' finds no place", edit->from);
  }
  size_t before = (size_t)(place - text);
  size_t room = strlen(text) + (edit->to == NULL ? 0 : strlen(edit->to)) + 1;
  char *result;
  demand(BM_ALLOC(room, &result));
  memcpy(result, text, before);
  if (edit->to != NULL) {
    snprintf(result + before, room - before, "%s%s", edit->to, place + strlen(edit->from));
  }
  return result;
}

/* The text with line ends of another system. */
static inline char *with_carriage_returns(const char *text)
{
  char *result;
  demand(BM_ALLOC(2 * strlen(text) + 1, &result));
  char *to = result;
  for (const char *from = text; *from != '\0'; from++) {
    if (*from == '\n') {
      *to++ = '\r';
    }
    *to++ = *from;
  }
  return result;
}

/* A file of these bytes; its path. */
static inline const char *written(const char *bytes, size_t count)
{
  const char *path = scratch("file");
  demand(bm_file_write(path, bytes, count));
  return path;
}

/* Is this failure one of the file's data, told as "path:line: " with the words of the edit? */
static inline void assert_told(size_t row, const edit_t *edit, const char *path, bm_status_t status)
{
  const char *message = bm_status_message();
  const char *line = message + strlen(path);
  int placed = strncmp(message, path, strlen(path)) == 0 && line[0] == ':' &&
               isdigit((unsigned char)line[1]);
  if (status != BM_ERR_DATA || !placed || strstr(message, edit->wanted) == NULL ||
      (edit->section != NULL && strstr(message, edit->section) == NULL)) {
    fail_msg("row %zu ('%s' to '%s'): status %d, '%s'", row, edit->from,
             edit->to == NULL ? "(end)" : edit->to, (int)status, message);
  }
}

#endif
