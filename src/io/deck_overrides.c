#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "deck_names.h"
#include "deck_state.h"

/* `count` bytes without the blanks around them, in the pool. */
static bm_status_t trimmed(bm_deck_pool_t *pool, const char *text, size_t count, const char **out)
{
  while (count > 0 && isspace((unsigned char)text[0])) {
    text++;
    count--;
  }
  while (count > 0 && isspace((unsigned char)text[count - 1])) {
    count--;
  }
  return bm_deck_pool_text(pool, out, "%.*s", (int)count, text);
}

/* The value of an override: deck text, or a word that a string takes as it is. */
static bm_status_t read_value(bm_deck_t *deck, const char *text, bm_deck_raw_t *raw)
{
  bm_status_t status = bm_deck_raw_parse(&deck->pool, text, raw);
  if (status == BM_ERR_DATA && text[0] != '"') {
    *raw = (bm_deck_raw_t){.kind = BM_RAW_WORD};
    status = BM_OK;
  }
  raw->origin = BM_FROM_SET;
  raw->word = text[0] == '"' ? NULL : text;
  return status;
}

static bm_status_t fail_unknown(const bm_deck_t *deck, const char *path, const char *place)
{
  char group[BM_DECK_SHOWN];
  size_t length = bm_deck_group_length(path);
  const char *key = path[length] == '.' ? path + length + 1 : path;
  snprintf(group, sizeof group, "%.*s", path[length] == '.' ? (int)length : 0, path);
  const char *nearest = bm_deck_nearest_path(deck->rows, deck->row_count, group, key);
  return BM_FAIL(BM_ERR_DATA, "%s: unknown key%s%s%s", place,
                 nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest,
                 nearest == NULL ? "" : "?");
}

static bm_status_t read_override(bm_deck_t *deck, const char *text)
{
  bm_deck_pool_t *pool = &deck->pool;
  size_t length = strcspn(text, "=");
  const char *path = NULL;
  const char *value = NULL;
  bm_deck_raw_t *raw = NULL;
  BM_TRY(trimmed(pool, text, length, &path));
  if (text[length] == '\0' || path[0] == '\0') {
    return BM_FAIL(BM_ERR_USAGE, "--set %s: expected group.key=value", bm_deck_shown(text).text);
  }
  BM_TRY(trimmed(pool, text + length + 1, strlen(text + length + 1), &value));
  BM_TRY(BM_DECK_TAKE(pool, 1, &raw));
  bm_deck_shown_t shown = bm_deck_shown(text);
  shown.text[strlen(shown.text) - 1] = '\0'; /* without the quotes */
  const char *place = NULL;
  BM_TRY(bm_deck_pool_text(pool, &place, "--set %s", shown.text + 1));
  size_t row = bm_deck_row(deck, path);
  if (row == deck->row_count) {
    return fail_unknown(deck, path, place);
  }
  bm_status_t status = read_value(deck, value, raw);
  if (status != BM_OK) {
    return bm_status_prefix(status, "%s", place);
  }
  raw->place = place;
  deck->overrides[row] = raw;
  return BM_OK;
}

bm_status_t bm_deck_overrides_read(bm_deck_t *deck, char *const *texts, size_t count)
{
  if (count == 0) {
    return BM_OK;
  }
  BM_TRY(bm_deck_layer_create(deck, &deck->overrides));
  for (size_t i = 0; i < count; i++) {
    BM_TRY(read_override(deck, texts[i]));
  }
  return BM_OK;
}

/* The value of a path as text; NULL where it does not apply. A deck that only the overrides make
 * whole may have none yet. */
static const char *text_in(bm_deck_case_t *deck_case, size_t first)
{
  size_t row;
  if (bm_deck_resolve_path(deck_case, first, &row) != BM_OK) {
    return "(none)";
  }
  return row < deck_case->deck->row_count ? deck_case->values[row].text : NULL;
}

static int differ(const char *a, const char *b)
{
  return (a == NULL) != (b == NULL) || (a != NULL && strcmp(a, b) != 0);
}

/* What changed of a path. */
typedef struct {
  const char *old, *new; /* NULL: does not apply */
} change_t;

static change_t change_in(bm_deck_case_t *plain, bm_deck_case_t *final, size_t first)
{
  return (change_t){text_in(plain, first), text_in(final, first)};
}

static bm_status_t add_change(bm_deck_t *deck, size_t first, change_t change, const char *name)
{
  static const char nothing[] = "(does not apply)";
  const char *path = deck->rows[first]->path;
  const char *old = change.old == NULL ? nothing : change.old;
  const char *new = change.new == NULL ? nothing : change.new;
  const char **out = &deck->changes[deck->change_count++];
  if (name == NULL) {
    return bm_deck_pool_text(&deck->pool, out, "%s: %s -> %s", path, old, new);
  }
  return bm_deck_pool_text(&deck->pool, out, "%s: %s -> %s (case \"%s\")", path, old, new, name);
}

/* Is the path given an override, or by the deck in a place where overrides make it apply no
 * more? */
static int is_touched(const bm_deck_t *deck, const bm_deck_case_t *deck_case, size_t first,
                      change_t change)
{
  if (deck->overrides[first] != NULL) {
    return 1;
  }
  int is_given =
      deck->layer[first] != NULL || (deck_case->layer != NULL && deck_case->layer[first] != NULL);
  return is_given && change.old != NULL && change.new == NULL;
}

static bm_status_t list_path(bm_deck_t *deck, size_t first)
{
  change_t base = change_in(&deck->plain_base, &deck->base, first);
  int base_changed = differ(base.old, base.new) && is_touched(deck, &deck->base, first, base);
  if (base_changed) {
    BM_TRY(add_change(deck, first, base, NULL));
  }
  for (size_t i = 0; deck->has_cases && i < deck->case_count; i++) {
    bm_deck_case_t *final = &deck->cases[i];
    change_t own = change_in(&deck->plain_cases[i], final, first);
    int as_base = base_changed && !differ(own.old, base.old) && !differ(own.new, base.new);
    if (differ(own.old, own.new) && !as_base && is_touched(deck, final, first, own)) {
      BM_TRY(add_change(deck, first, own, final->name));
    }
  }
  return BM_OK;
}

bm_status_t bm_deck_changes_list(bm_deck_t *deck)
{
  if (deck->overrides == NULL) {
    return BM_OK;
  }
  BM_TRY(BM_DECK_TAKE(&deck->pool, deck->row_count * (1 + deck->case_count), &deck->changes));
  for (size_t row = 0; row < deck->row_count; row++) {
    if (deck->first[row] == row) {
      BM_TRY(list_path(deck, row));
    }
  }
  return BM_OK;
}
