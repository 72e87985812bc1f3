#include "deck_names.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/base/nearest.h"

#define BM_DECK_NAME_MAX 100 /* characters of a folder's name */

/* What the output folder holds beside the folders of the cases. */
static const char *const reserved_names[] = {
    "figures",      "target",      "stop",        "deck.cfg",   "log.txt",
    "results.json", "results.csv", "report.html", "table1.txt", "table1.tex",
    "table1.csv",   "table2.txt",  "table2.tex",  "table2.csv", NULL};

bm_deck_shown_t bm_deck_shown(const char *text)
{
  bm_deck_shown_t shown;
  size_t used = 0;
  shown.text[used++] = '"';
  size_t length = strnlen(text, BM_DECK_SHOWN + 1);
  int cut = length > BM_DECK_SHOWN;
  if (cut) {
    length = BM_DECK_SHOWN;
    while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) {
      length--; /* not within a UTF-8 character */
    }
  }
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)text[i];
    shown.text[used++] = (char)(byte < ' ' || byte == 0x7F ? '?' : byte);
  }
  snprintf(shown.text + used, sizeof shown.text - used, "%s\"", cut ? "..." : "");
  return shown;
}

const char *bm_deck_nearest(const char *word, const char *const *names)
{
  size_t length = strlen(word);
  size_t best = bm_nearest_limit(length) + 1;
  const char *nearest = NULL;
  for (size_t i = 0; names[i] != NULL; i++) {
    size_t found = bm_nearest_edits(word, length, names[i]);
    if (found < best && found < strlen(names[i])) {
      best = found;
      nearest = names[i];
    }
  }
  return nearest;
}

size_t bm_deck_group_length(const char *path)
{
  return strcspn(path, ".");
}

const char *bm_deck_nearest_path(const bm_deck_key_t *const *rows, size_t count, const char *group,
                                 const char *key)
{
  size_t length = strlen(key);
  size_t best = bm_nearest_limit(length) + 1;
  const char *nearest = NULL;
  for (size_t i = 0; i < count; i++) {
    const char *path = rows[i]->path;
    size_t group_length = bm_deck_group_length(path);
    const char *name = path + group_length + 1;
    int same_group = strlen(group) == group_length && strncmp(path, group, group_length) == 0;
    size_t found = bm_nearest_edits(key, length, name);
    if (!same_group) {
      found = found == 0 ? 1 : SIZE_MAX;
    }
    if (found < best && found < strlen(name)) {
      best = found;
      nearest = path;
    }
  }
  return nearest;
}

bm_status_t bm_deck_check_folder_name(const char *name)
{
  static const char allowed[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+";
  if (strspn(name, allowed) != strlen(name) || strchr(".-", name[0]) != NULL) {
    return BM_FAIL(BM_ERR_DATA, "expected the name of a folder: letters, digits and . _ - +, not "
                                "starting with . or -");
  }
  if (strlen(name) > BM_DECK_NAME_MAX) {
    return BM_FAIL(BM_ERR_DATA, "expected a name of at most %d characters", BM_DECK_NAME_MAX);
  }
  for (size_t i = 0; reserved_names[i] != NULL; i++) {
    if (strcmp(name, reserved_names[i]) == 0) {
      return BM_FAIL(BM_ERR_DATA, "the output folder uses this name itself");
    }
  }
  return BM_OK;
}
