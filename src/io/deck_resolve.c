#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "deck_names.h"
#include "deck_state.h"

bm_status_t bm_deck_case_prepare(bm_deck_t *deck, bm_deck_case_t *deck_case)
{
  deck_case->deck = deck;
  BM_TRY(BM_DECK_TAKE(&deck->pool, deck->row_count, &deck_case->marks));
  return BM_DECK_TAKE(&deck->pool, deck->row_count, &deck_case->values);
}

bm_status_t bm_deck_prefix(bm_status_t status, const bm_deck_case_t *deck_case, const char *path,
                           bm_deck_origin_t origin, const char *place, const char *shown)
{
  char named[2 * BM_DECK_SHOWN] = "";
  if (deck_case->is_member) {
    snprintf(named, sizeof named, ": case \"%s\"", deck_case->name);
  }
  if (origin == BM_FROM_SET) {
    return bm_status_prefix(status, "%s%s", place, named);
  }
  if (origin == BM_FROM_DEFAULT) {
    return bm_status_prefix(status, "%s%s: %s = %s (default)", deck_case->deck->source.name, named,
                            path, shown);
  }
  return bm_status_prefix(status, "%s%s: %s = %s", place, named, path, shown);
}

/* What the deck gives for a path; NULL: nothing. */
static const bm_deck_raw_t *given(const bm_deck_case_t *deck_case, size_t first)
{
  const bm_deck_t *deck = deck_case->deck;
  if (deck->overrides != NULL && !deck_case->is_plain && deck->overrides[first] != NULL) {
    return deck->overrides[first];
  }
  if (deck_case->layer != NULL && deck_case->layer[first] != NULL) {
    return deck_case->layer[first];
  }
  return deck->layer[first];
}

static bm_status_t fail_missing(const bm_deck_case_t *deck_case, const bm_deck_key_t *key)
{
  bm_deck_t *deck = deck_case->deck;
  const char *expected = NULL;
  BM_TRY(bm_deck_value_expected(&deck->pool, key, &expected));
  int is_base = deck->has_cases && !deck_case->is_member;
  return BM_FAIL(BM_ERR_DATA, "%s%s%s%s: %s: missing%s; expected %s (%s)", deck->source.name,
                 deck_case->is_member ? ": case \"" : "",
                 deck_case->is_member ? deck_case->name : "", deck_case->is_member ? "\"" : "",
                 key->path, is_base ? " in the deck's own groups, which cases are laid over" : "",
                 expected, key->help);
}

/* Find the value of a row that applies. */
static bm_status_t find_value(bm_deck_case_t *deck_case, size_t row)
{
  bm_deck_t *deck = deck_case->deck;
  const bm_deck_key_t *key = deck->rows[row];
  const bm_deck_raw_t *raw = given(deck_case, deck->first[row]);
  if (raw == NULL) {
    raw = deck->defaults[row];
  }
  if (raw == NULL) {
    return fail_missing(deck_case, key);
  }
  const char *folder = deck->source.folder;
  if (raw->origin == BM_FROM_SET) {
    folder = deck->source.working_folder;
  }
  bm_deck_value_t *value = &deck_case->values[row];
  bm_status_t status = bm_deck_value_of(&deck->pool, key, raw, folder, value);
  if (status == BM_ERR_DATA && raw->origin == BM_FROM_DEFAULT) {
    status = BM_ERR_INTERNAL;
  }
  if (status == BM_ERR_MEMORY) {
    return status;
  }
  return status == BM_OK ? BM_OK
                         : bm_deck_prefix(status, deck_case, key->path, raw->origin, raw->place,
                                          bm_deck_raw_shown(raw).text);
}

/* Is `text` one of "value|value…"? */
static int is_listed(const char *text, const char *values)
{
  size_t length = strlen(text);
  for (const char *value = values;; value++) {
    size_t value_length = strcspn(value, "|");
    if (value_length == length && strncmp(value, text, length) == 0) {
      return 1;
    }
    value += value_length;
    if (*value == '\0') {
      return 0;
    }
  }
}

/* First row of the path that `when` names, which is in a table. */
static size_t row_of_when(const bm_deck_t *deck, const char *when)
{
  size_t length = strcspn(when, "=");
  size_t row = 0;
  assert(when[length] == '=');
  while (row < deck->row_count && (strncmp(deck->rows[row]->path, when, length) != 0 ||
                                   deck->rows[row]->path[length] != '\0')) {
    row++;
  }
  assert(row < deck->row_count);
  return row;
}

static const char *plain_text(const bm_deck_value_t *value)
{
  return value->string != NULL ? value->string : value->text;
}

static bm_status_t resolve_row(bm_deck_case_t *deck_case, size_t row)
{
  const bm_deck_t *deck = deck_case->deck;
  const char *when = deck->rows[row]->when;
  assert(deck_case->marks[row] != BM_ROW_BUSY); /* `when` in a circle */
  if (deck_case->marks[row] != BM_ROW_UNKNOWN) {
    return BM_OK;
  }
  deck_case->marks[row] = BM_ROW_BUSY;
  bm_status_t status = BM_OK;
  int applies = 1;
  if (when != NULL) {
    size_t on = deck->row_count;
    status = bm_deck_resolve_path(deck_case, row_of_when(deck, when), &on);
    applies = status == BM_OK && on < deck->row_count &&
              is_listed(plain_text(&deck_case->values[on]), strchr(when, '=') + 1);
  }
  if (applies) {
    status = find_value(deck_case, row);
  }
  deck_case->marks[row] = applies ? BM_ROW_PRESENT : BM_ROW_ABSENT;
  if (status != BM_OK) {
    deck_case->marks[row] = BM_ROW_UNKNOWN;
  }
  return status;
}

bm_status_t bm_deck_resolve_path(bm_deck_case_t *deck_case, size_t first, size_t *row)
{
  const bm_deck_t *deck = deck_case->deck;
  *row = deck->row_count;
  for (size_t other = first; other < deck->row_count; other++) {
    if (deck->first[other] == first) {
      BM_TRY(resolve_row(deck_case, other));
      if (deck_case->marks[other] == BM_ROW_PRESENT) {
        assert(*row == deck->row_count); /* two rows of a path apply at once */
        *row = other;
      }
    }
  }
  return BM_OK;
}

bm_status_t bm_deck_case_resolve(bm_deck_case_t *deck_case)
{
  for (size_t row = 0; row < deck_case->deck->row_count; row++) {
    size_t applying;
    BM_TRY(bm_deck_resolve_path(deck_case, deck_case->deck->first[row], &applying));
  }
  return BM_OK;
}

/* Does the path apply? A path that cannot be resolved (a mistake that an override mends) does
 * not. */
static int applies(bm_deck_case_t *deck_case, size_t first)
{
  size_t row;
  return bm_deck_resolve_path(deck_case, first, &row) == BM_OK && row < deck_case->deck->row_count;
}

static int applies_anywhere(bm_deck_t *deck, bm_deck_case_t *base, bm_deck_case_t *cases,
                            size_t first)
{
  int found = applies(base, first);
  for (size_t i = 0; !found && i < deck->case_count; i++) {
    found = applies(&cases[i], first);
  }
  return found;
}

/* A value that was given where its `when` does not hold. */
static bm_status_t fail_inapplicable(bm_deck_case_t *deck_case, size_t first,
                                     const bm_deck_raw_t *raw)
{
  bm_deck_t *deck = deck_case->deck;
  const char *conditions = "";
  for (size_t row = first; row < deck->row_count; row++) {
    if (deck->first[row] == first) {
      BM_TRY(bm_deck_pool_text(&deck->pool, &conditions, "%s%s%s", conditions,
                               *conditions == '\0' ? "" : " or ", deck->rows[row]->when));
    }
  }
  size_t on_first = row_of_when(deck, deck->rows[first]->when);
  size_t on;
  BM_TRY(bm_deck_resolve_path(deck_case, on_first, &on));
  int there = on < deck->row_count;
  bm_status_t status = BM_FAIL(BM_ERR_DATA, "applies only where %s; here %s %s%s", conditions,
                               deck->rows[on_first]->path, there ? "is " : "does not apply",
                               there ? deck_case->values[on].text : "");
  return bm_deck_prefix(status, deck_case, deck->rows[first]->path, raw->origin, raw->place,
                        bm_deck_raw_shown(raw).text);
}

static bm_status_t check_path(bm_deck_t *deck, size_t first)
{
  int has_overrides = deck->overrides != NULL;
  int anywhere = applies_anywhere(deck, &deck->base, deck->cases, first);
  if (has_overrides && deck->overrides[first] != NULL && !anywhere) {
    return fail_inapplicable(&deck->base, first, deck->overrides[first]);
  }
  if (deck->layer[first] != NULL && !anywhere &&
      !(has_overrides && applies_anywhere(deck, &deck->plain_base, deck->plain_cases, first))) {
    return fail_inapplicable(&deck->base, first, deck->layer[first]);
  }
  for (size_t i = 0; i < deck->case_count; i++) {
    bm_deck_layer_t layer = deck->cases[i].layer;
    if (layer != NULL && layer[first] != NULL && !applies(&deck->cases[i], first) &&
        !(has_overrides && applies(&deck->plain_cases[i], first))) {
      return fail_inapplicable(&deck->cases[i], first, layer[first]);
    }
  }
  return BM_OK;
}

bm_status_t bm_deck_check_given(bm_deck_t *deck)
{
  for (size_t row = 0; row < deck->row_count; row++) {
    if (deck->first[row] == row) {
      BM_TRY(check_path(deck, row));
    }
  }
  return BM_OK;
}
