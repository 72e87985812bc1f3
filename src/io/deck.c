#include "boltzmap/io/deck.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "boltzmap/base/memory.h"
#include "deck_state.h"

void bm_deck_destroy(bm_deck_t **deck)
{
  if (*deck != NULL) {
    XXH64_freeState((*deck)->hash_state);
    bm_deck_source_clear(&(*deck)->source);
    bm_deck_pool_clear(&(*deck)->pool);
    bm_free(*deck);
    *deck = NULL;
  }
}

size_t bm_deck_case_count(const bm_deck_t *deck)
{
  return deck->case_count;
}

const bm_deck_case_t *bm_deck_case(const bm_deck_t *deck, size_t index)
{
  assert(index < deck->case_count);
  return &deck->cases[index];
}

const char *bm_deck_case_name(const bm_deck_case_t *deck_case)
{
  return deck_case->name;
}

const bm_deck_case_t *bm_deck_base(const bm_deck_t *deck)
{
  return &deck->base;
}

/* The value of a path; NULL where it does not apply. */
static const bm_deck_value_t *find(const bm_deck_case_t *deck_case, const char *path)
{
  const bm_deck_t *deck = deck_case->deck;
  int is_known = 0;
  for (size_t row = 0; row < deck->row_count; row++) {
    if (strcmp(deck->rows[row]->path, path) == 0) {
      is_known = 1;
      if (deck_case->marks[row] == BM_ROW_PRESENT) {
        return &deck_case->values[row];
      }
    }
  }
  assert(is_known);
  (void)is_known;
  return NULL;
}

int bm_deck_has(const bm_deck_case_t *deck_case, const char *path)
{
  return find(deck_case, path) != NULL;
}

/* The value of a path that applies and has this type. */
static const bm_deck_value_t *get(const bm_deck_case_t *deck_case, const char *path,
                                  bm_deck_type_t type)
{
  const bm_deck_value_t *value = find(deck_case, path);
  assert(value != NULL && value->type == type);
  (void)type;
  return value;
}

int64_t bm_deck_int(const bm_deck_case_t *deck_case, const char *path)
{
  return get(deck_case, path, BM_DECK_INT)->integer;
}

double bm_deck_real(const bm_deck_case_t *deck_case, const char *path)
{
  return get(deck_case, path, BM_DECK_REAL)->real;
}

int bm_deck_bool(const bm_deck_case_t *deck_case, const char *path)
{
  return get(deck_case, path, BM_DECK_BOOL)->integer != 0;
}

const char *bm_deck_string(const bm_deck_case_t *deck_case, const char *path)
{
  const bm_deck_value_t *value = find(deck_case, path);
  assert(value != NULL && (value->type == BM_DECK_STRING || value->type == BM_DECK_PATH));
  return value->string;
}

size_t bm_deck_int_list(const bm_deck_case_t *deck_case, const char *path, const int64_t **items)
{
  const bm_deck_value_t *value = get(deck_case, path, BM_DECK_INT_LIST);
  *items = value->items;
  return value->item_count;
}

bm_status_t bm_deck_fail(const bm_deck_case_t *deck_case, const char *path, const char *format, ...)
{
  char text[BM_MESSAGE_MAX];
  char shown[BM_DECK_SHOWN + 1];
  const bm_deck_value_t *value = find(deck_case, path);
  assert(value != NULL);
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  snprintf(shown, sizeof shown, "%s", value->text);
  return bm_deck_prefix(BM_FAIL(BM_ERR_DATA, "%s", text), deck_case, path, value->origin,
                        value->place, shown);
}

const char *bm_deck_echo(const bm_deck_t *deck)
{
  return deck->echo;
}

size_t bm_deck_override_count(const bm_deck_t *deck)
{
  return deck->change_count;
}

const char *bm_deck_override(const bm_deck_t *deck, size_t index)
{
  assert(index < deck->change_count);
  return deck->changes[index];
}

/* Does the name of `length` bytes stand for the path: its group, or itself? */
static int names(const char *name, size_t length, const char *path)
{
  return (length == bm_deck_group_length(path) || length == strlen(path)) &&
         strncmp(name, path, length) == 0;
}

/* Is the path, or its group, among the names in "system,run.seed"? */
static int is_named(const char *path, const char *groups)
{
  for (const char *name = groups; *name != '\0'; name += *name == ',') {
    size_t length = strcspn(name, ",");
    if (names(name, length, path)) {
      return 1;
    }
    name += length;
  }
  return 0;
}

/* Does every name in "system,run.seed" stand for something? */
static int are_known(const bm_deck_t *deck, const char *groups)
{
  int known = 1;
  for (const char *name = groups; *name != '\0'; name += *name == ',') {
    size_t length = strcspn(name, ",");
    size_t row = 0;
    while (row < deck->row_count && !names(name, length, deck->rows[row]->path)) {
      row++;
    }
    known = known && row < deck->row_count;
    name += length;
  }
  return known;
}

uint64_t bm_deck_fingerprint(const bm_deck_case_t *deck_case, const char *groups)
{
  const bm_deck_t *deck = deck_case->deck;
  XXH64_state_t *state = deck->hash_state;
  int known = are_known(deck, groups);
  assert(known);
  (void)known;
  XXH64_reset(state, 0);
  for (size_t row = 0; row < deck->row_count; row++) {
    const char *path = deck->rows[row]->path;
    if (deck_case->marks[row] == BM_ROW_PRESENT && is_named(path, groups)) {
      const char *text = deck_case->values[row].text;
      XXH64_update(state, path, strlen(path));
      XXH64_update(state, "=", 1);
      XXH64_update(state, text, strlen(text));
      XXH64_update(state, "\n", 1);
    }
  }
  return XXH64_digest(state);
}
