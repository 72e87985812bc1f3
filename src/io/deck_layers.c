#include <libconfig.h>
#include <stdio.h>
#include <string.h>

#include "deck_names.h"
#include "deck_state.h"

#define BM_CASE_NAME "name"
#define BM_CASES_MAX 1000
#define BM_RUN "run"

/* Reading of one layer. */
typedef struct {
  bm_deck_t *deck;
  bm_deck_cursor_t cursor;
  char named[2 * BM_DECK_SHOWN]; /* `case "x": `, or nothing for the deck's own groups */
} reader_t;

#define FAIL_AT(reader, setting, ...) \
  fail_at((reader), (setting), BM_FAIL(BM_ERR_DATA, __VA_ARGS__))

static bm_deck_place_t place_of(reader_t *reader, const config_setting_t *setting)
{
  return bm_deck_source_place(&reader->cursor, config_setting_source_line(setting));
}

static bm_status_t fail_at(reader_t *reader, const config_setting_t *setting, bm_status_t status)
{
  return bm_status_prefix(status, "%s%s", place_of(reader, setting).text, reader->named);
}

bm_status_t bm_deck_layer_create(bm_deck_t *deck, bm_deck_layer_t *out)
{
  return BM_DECK_TAKE(&deck->pool, deck->row_count, out);
}

size_t bm_deck_row(const bm_deck_t *deck, const char *path)
{
  for (size_t row = 0; row < deck->row_count; row++) {
    if (strcmp(deck->rows[row]->path, path) == 0) {
      return row;
    }
  }
  return deck->row_count;
}

int bm_deck_is_group_start(const bm_deck_t *deck, size_t row)
{
  size_t length = bm_deck_group_length(deck->rows[row]->path);
  for (size_t other = 0; other < row; other++) {
    if (strncmp(deck->rows[other]->path, deck->rows[row]->path, length + 1) == 0) {
      return 0;
    }
  }
  return 1;
}

static int is_group(const bm_deck_t *deck, const char *name)
{
  for (size_t i = 0; deck->groups[i] != NULL; i++) {
    if (strcmp(deck->groups[i], name) == 0) {
      return strcmp(name, BM_DECK_CASES) != 0;
    }
  }
  return 0;
}

static bm_status_t raw_at(reader_t *reader, const config_setting_t *setting, bm_deck_raw_t *raw)
{
  const char *place = NULL;
  bm_deck_pool_t *pool = &reader->deck->pool;
  BM_TRY(bm_deck_pool_text(pool, &place, "%s", place_of(reader, setting).text));
  return bm_deck_raw_read(pool, setting, place, raw);
}

static bm_status_t read_key(reader_t *reader, const char *group, const config_setting_t *setting,
                            bm_deck_layer_t layer)
{
  bm_deck_t *deck = reader->deck;
  const char *key = config_setting_name(setting);
  char path[2 * BM_DECK_SHOWN];
  snprintf(path, sizeof path, "%s.%.*s", group, BM_DECK_SHOWN, key);
  size_t row = bm_deck_row(deck, path);
  if (row == deck->row_count) {
    const char *nearest = bm_deck_nearest_path(deck->rows, deck->row_count, group, key);
    return FAIL_AT(reader, setting, "%s: unknown key%s%s%s", path,
                   nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest,
                   nearest == NULL ? "" : "?");
  }
  bm_deck_raw_t *raw = NULL;
  BM_TRY(BM_DECK_TAKE(&deck->pool, 1, &raw));
  BM_TRY(raw_at(reader, setting, raw));
  layer[row] = raw;
  return BM_OK;
}

static bm_status_t fail_unknown_group(reader_t *reader, const config_setting_t *setting)
{
  const bm_deck_t *deck = reader->deck;
  const char *name = config_setting_name(setting);
  int is_value = !config_setting_is_group(setting) && !config_setting_is_list(setting);
  const char *nearest = NULL;
  if (is_value) {
    nearest = bm_deck_nearest_path(deck->rows, deck->row_count, "", name);
  }
  if (nearest == NULL && strcmp(name, BM_DECK_CASES) != 0) {
    nearest = bm_deck_nearest(name, deck->groups);
  }
  return FAIL_AT(reader, setting, "%.*s: %s%s%s%s", BM_DECK_SHOWN, name,
                 is_value ? "unknown key; keys stand in groups" : "unknown group",
                 nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest,
                 nearest == NULL ? "" : "?");
}

static bm_status_t read_group(reader_t *reader, const config_setting_t *group,
                              bm_deck_layer_t layer)
{
  const char *name = config_setting_name(group);
  if (!is_group(reader->deck, name)) {
    return fail_unknown_group(reader, group);
  }
  if (!config_setting_is_group(group)) {
    bm_deck_raw_t raw;
    BM_TRY(raw_at(reader, group, &raw));
    return FAIL_AT(reader, group, "%s = %s: expected a group of keys, as %s: { ... };", name,
                   bm_deck_raw_shown(&raw).text, name);
  }
  for (int i = 0; i < config_setting_length(group); i++) {
    BM_TRY(read_key(reader, name, config_setting_get_elem(group, (unsigned)i), layer));
  }
  return BM_OK;
}

/* The case's name, checked; from here on messages have it. */
static bm_status_t read_case_name(reader_t *reader, const config_setting_t *setting,
                                  bm_deck_case_t *deck_case)
{
  const config_setting_t *member = config_setting_get_member(setting, BM_CASE_NAME);
  if (member == NULL) {
    return FAIL_AT(reader, setting, "%s: missing; expected %s = \"...\"", BM_CASE_NAME,
                   BM_CASE_NAME);
  }
  bm_deck_raw_t raw;
  BM_TRY(raw_at(reader, member, &raw));
  if (raw.kind != BM_RAW_STRING) {
    return FAIL_AT(reader, member, "%s = %s: expected a string in double quotes", BM_CASE_NAME,
                   bm_deck_raw_shown(&raw).text);
  }
  bm_status_t status = bm_deck_check_folder_name(raw.string);
  if (status != BM_OK) {
    status = bm_status_prefix(status, "%s = %s", BM_CASE_NAME, bm_deck_raw_shown(&raw).text);
    return fail_at(reader, member, status);
  }
  const bm_deck_t *deck = reader->deck;
  for (const bm_deck_case_t *other = deck->cases; other < deck_case; other++) {
    if (strcmp(other->name, raw.string) == 0) {
      return FAIL_AT(reader, member, "%s = \"%s\": an earlier case has this name", BM_CASE_NAME,
                     raw.string);
    }
  }
  deck_case->name = raw.string;
  snprintf(reader->named, sizeof reader->named, ": case \"%s\"", raw.string);
  return BM_OK;
}

static bm_status_t read_case(reader_t *reader, const config_setting_t *setting, size_t index)
{
  bm_deck_case_t *deck_case = &reader->deck->cases[index];
  snprintf(reader->named, sizeof reader->named, ": case %zu", index + 1);
  if (!config_setting_is_group(setting)) {
    return FAIL_AT(reader, setting, "expected a group, as { name = \"...\"; ... }");
  }
  deck_case->is_member = 1;
  BM_TRY(bm_deck_layer_create(reader->deck, &deck_case->layer));
  BM_TRY(read_case_name(reader, setting, deck_case));
  for (int i = 0; i < config_setting_length(setting); i++) {
    const config_setting_t *member = config_setting_get_elem(setting, (unsigned)i);
    const char *name = config_setting_name(member);
    if (strcmp(name, BM_RUN) == 0) {
      return FAIL_AT(reader, member, "%s: belongs to the deck, not to a case", name);
    }
    if (strcmp(name, BM_CASE_NAME) != 0) {
      BM_TRY(read_group(reader, member, deck_case->layer));
    }
  }
  return BM_OK;
}

static bm_status_t read_cases(reader_t *reader, const config_setting_t *list)
{
  bm_deck_t *deck = reader->deck;
  if (!config_setting_is_list(list) || config_setting_length(list) == 0) {
    return FAIL_AT(reader, list, "%s: expected a list of at least one case, as %s", BM_DECK_CASES,
                   "( { name = \"...\"; ... }, ... )");
  }
  if (config_setting_length(list) > BM_CASES_MAX) {
    return FAIL_AT(reader, list, "%s: expected at most %d", BM_DECK_CASES, BM_CASES_MAX);
  }
  deck->has_cases = 1;
  deck->case_count = (size_t)config_setting_length(list);
  BM_TRY(BM_DECK_TAKE(&deck->pool, deck->case_count, &deck->cases));
  for (size_t i = 0; i < deck->case_count; i++) {
    BM_TRY(read_case(reader, config_setting_get_elem(list, (unsigned)i), i));
  }
  reader->named[0] = '\0';
  return BM_OK;
}

static bm_status_t read_root(bm_deck_t *deck, const config_setting_t *root)
{
  reader_t reader = {.deck = deck, .cursor = {.text = deck->source.text}};
  if (config_setting_length(root) == 0) {
    return BM_FAIL(BM_ERR_DATA, "%s: nothing in it", deck->source.name);
  }
  BM_TRY(bm_deck_layer_create(deck, &deck->layer));
  for (int i = 0; i < config_setting_length(root); i++) {
    const config_setting_t *member = config_setting_get_elem(root, (unsigned)i);
    if (strcmp(config_setting_name(member), BM_DECK_CASES) == 0) {
      BM_TRY(read_cases(&reader, member));
    } else {
      BM_TRY(read_group(&reader, member, deck->layer));
    }
  }
  return BM_OK;
}

bm_status_t bm_deck_layers_read(bm_deck_t *deck)
{
  config_t config;
  config_init(&config);
  bm_status_t status = BM_OK;
  if (config_read_string(&config, deck->source.text)) {
    status = read_root(deck, config_root_setting(&config));
  } else {
    bm_deck_cursor_t cursor = {.text = deck->source.text};
    const char *text = config_error_text(&config);
    int line = config_error_line(&config);
    status = BM_FAIL(BM_ERR_DATA, "%s: %s, here or just before",
                     bm_deck_source_place(&cursor, line < 0 ? 0 : (unsigned)line).text,
                     text == NULL ? "syntax error" : text);
  }
  config_destroy(&config);
  return status;
}
