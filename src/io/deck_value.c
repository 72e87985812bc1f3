#include "deck_value.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "deck_source.h"

#define BM_WHOLE_MAX 0x1p53 /* up to here every whole double is one integer */

/* Fewest digits from `least` on that give the number back. */
static void number_text(double number, int least, char text[32])
{
  for (int digits = least; digits <= 17; digits++) {
    snprintf(text, 32, "%.*g", digits, number);
    if (strtod(text, NULL) == number) {
      return;
    }
  }
}

static bm_status_t read_items(bm_deck_pool_t *pool, const config_setting_t *setting,
                              const char *place, bm_deck_raw_t *out)
{
  size_t count = (size_t)config_setting_length(setting);
  BM_TRY(BM_DECK_TAKE(pool, count, &out->items));
  out->item_count = count;
  for (size_t i = 0; i < count; i++) {
    const config_setting_t *item = config_setting_get_elem(setting, (unsigned)i);
    BM_TRY(bm_deck_raw_read(pool, item, place, &out->items[i]));
  }
  return BM_OK;
}

bm_status_t bm_deck_raw_read(bm_deck_pool_t *pool, const config_setting_t *setting,
                             const char *place, bm_deck_raw_t *out)
{
  *out = (bm_deck_raw_t){.place = place, .origin = BM_FROM_DECK};
  switch (config_setting_type(setting)) {
  case CONFIG_TYPE_INT:
    out->kind = BM_RAW_INTEGER;
    out->integer = config_setting_get_int(setting);
    return BM_OK;
  case CONFIG_TYPE_INT64:
    out->kind = BM_RAW_INTEGER;
    out->integer = config_setting_get_int64(setting);
    return BM_OK;
  case CONFIG_TYPE_FLOAT:
    out->kind = BM_RAW_REAL;
    out->real = config_setting_get_float(setting);
    return BM_OK;
  case CONFIG_TYPE_BOOL:
    out->kind = BM_RAW_BOOL;
    out->integer = config_setting_get_bool(setting) != 0;
    return BM_OK;
  case CONFIG_TYPE_STRING:
    out->kind = BM_RAW_STRING;
    return bm_deck_pool_text(pool, &out->string, "%s", config_setting_get_string(setting));
  case CONFIG_TYPE_ARRAY:
    out->kind = BM_RAW_LIST;
    return read_items(pool, setting, place, out);
  case CONFIG_TYPE_LIST:
    out->kind = BM_RAW_PARENTHESES;
    return BM_OK;
  default:
    out->kind = BM_RAW_GROUP;
    return BM_OK;
  }
}

bm_status_t bm_deck_raw_parse(bm_deck_pool_t *pool, const char *text, bm_deck_raw_t *out)
{
  char *source = NULL;
  BM_TRY(bm_deck_source_of_value(text, &source));
  config_t config;
  config_init(&config);
  bm_status_t status = BM_OK;
  if (!config_read_string(&config, source) ||
      config_setting_length(config_root_setting(&config)) != 1) {
    status = BM_FAIL(BM_ERR_DATA, "%s: not a value", bm_deck_shown(text).text);
  } else {
    const config_setting_t *value = config_setting_get_elem(config_root_setting(&config), 0);
    status = bm_deck_raw_read(pool, value, NULL, out);
  }
  config_destroy(&config);
  free(source);
  return status;
}

bm_deck_shown_t bm_deck_raw_shown(const bm_deck_raw_t *raw)
{
  bm_deck_shown_t shown = {"a group { }"};
  switch (raw->kind) {
  case BM_RAW_INTEGER:
    snprintf(shown.text, sizeof shown.text, "%" PRId64, raw->integer);
    break;
  case BM_RAW_REAL:
    number_text(raw->real, 6, shown.text);
    break;
  case BM_RAW_BOOL:
    snprintf(shown.text, sizeof shown.text, "%s", raw->integer ? "true" : "false");
    break;
  case BM_RAW_STRING:
    return bm_deck_shown(raw->string);
  case BM_RAW_WORD:
    return bm_deck_shown(raw->word);
  case BM_RAW_LIST:
    snprintf(shown.text, sizeof shown.text, "%s list [ ]", raw->item_count == 0 ? "an empty" : "a");
    break;
  case BM_RAW_PARENTHESES:
    snprintf(shown.text, sizeof shown.text, "a list in parentheses ( )");
    break;
  case BM_RAW_GROUP:
    break;
  }
  return shown;
}

static void put_choices(FILE *out, const char *const *choices)
{
  for (size_t i = 0; choices[i] != NULL; i++) {
    const char *between = choices[i + 1] == NULL ? " or " : ", ";
    fprintf(out, "%s\"%s\"", i == 0 ? "" : between, choices[i]);
  }
}

static void put_expected(FILE *out, const bm_deck_key_t *key)
{
  char low[32];
  char high[32];
  number_text(key->low, 6, low);
  number_text(key->high, 6, high);
  switch (key->type) {
  case BM_DECK_INT:
    fprintf(out, "an integer from %s to %s", low, high);
    return;
  case BM_DECK_REAL:
    fprintf(out, "a real number from %s to %s", low, high);
    return;
  case BM_DECK_BOOL:
    fputs("true or false", out);
    return;
  case BM_DECK_STRING:
    if (key->choices == NULL) {
      fputs("a string in double quotes", out);
    } else {
      put_choices(out, key->choices);
    }
    return;
  case BM_DECK_PATH:
    fputs("a file name in double quotes", out);
    return;
  case BM_DECK_INT_LIST:
    fprintf(out, "a list of integers from %s to %s, as [%s, %s]", low, high, low, low);
    return;
  }
}

bm_status_t bm_deck_value_expected(bm_deck_pool_t *pool, const bm_deck_key_t *key, const char **out)
{
  bm_deck_writer_t writer;
  BM_TRY(bm_deck_writer_open(&writer));
  put_expected(writer.stream, key);
  return bm_deck_writer_keep(&writer, pool, out);
}

static bm_status_t refuse(bm_deck_pool_t *pool, const bm_deck_key_t *key, const char *why)
{
  const char *expected = NULL;
  BM_TRY(bm_deck_value_expected(pool, key, &expected));
  return BM_FAIL(BM_ERR_DATA, "%sexpected %s", why, expected);
}

/* An integer, or a real number that is one exactly. */
static int whole(const bm_deck_raw_t *raw, int64_t *out)
{
  if (raw->kind == BM_RAW_INTEGER) {
    *out = raw->integer;
    return 1;
  }
  if (raw->kind != BM_RAW_REAL || !(fabs(raw->real) <= BM_WHOLE_MAX) ||
      raw->real != floor(raw->real)) {
    return 0;
  }
  *out = (int64_t)raw->real;
  return 1;
}

static int in_range(const bm_deck_key_t *key, double number)
{
  return number >= key->low && number <= key->high;
}

static bm_status_t take_integer(bm_deck_pool_t *pool, const bm_deck_key_t *key,
                                const bm_deck_raw_t *raw, bm_deck_value_t *out)
{
  if (!whole(raw, &out->integer) || !in_range(key, (double)out->integer)) {
    return refuse(pool, key, "");
  }
  return BM_OK;
}

static bm_status_t take_real(bm_deck_pool_t *pool, const bm_deck_key_t *key,
                             const bm_deck_raw_t *raw, bm_deck_value_t *out)
{
  if (raw->kind != BM_RAW_INTEGER && raw->kind != BM_RAW_REAL) {
    return refuse(pool, key, "");
  }
  out->real = raw->kind == BM_RAW_INTEGER ? (double)raw->integer : raw->real;
  if (!isfinite(out->real)) {
    return refuse(pool, key, "not finite; ");
  }
  if (!in_range(key, out->real)) {
    return refuse(pool, key, "");
  }
  if (out->real == 0.0) {
    out->real = 0.0; /* not -0 */
  }
  return BM_OK;
}

static bm_status_t take_bool(bm_deck_pool_t *pool, const bm_deck_key_t *key,
                             const bm_deck_raw_t *raw, bm_deck_value_t *out)
{
  out->integer = raw->integer;
  return raw->kind == BM_RAW_BOOL ? BM_OK : refuse(pool, key, "");
}

static const char *string_of(const bm_deck_raw_t *raw)
{
  if (raw->word != NULL) {
    return raw->word;
  }
  return raw->kind == BM_RAW_STRING ? raw->string : NULL;
}

static bm_status_t take_string(bm_deck_pool_t *pool, const bm_deck_key_t *key,
                               const bm_deck_raw_t *raw, bm_deck_value_t *out)
{
  out->string = string_of(raw);
  if (out->string == NULL) {
    return refuse(pool, key, "");
  }
  if (key->choices == NULL) {
    return BM_OK;
  }
  for (size_t i = 0; key->choices[i] != NULL; i++) {
    if (strcmp(out->string, key->choices[i]) == 0) {
      return BM_OK;
    }
  }
  const char *nearest = bm_deck_nearest(out->string, key->choices);
  char why[2 * BM_DECK_SHOWN] = "";
  if (nearest != NULL) {
    snprintf(why, sizeof why, "did you mean \"%s\"? ", nearest);
  }
  return refuse(pool, key, why);
}

/* A path without "." and empty parts; ".." stays, since a folder may be a link. */
static void clean_path(char *path)
{
  char *to = path;
  const char *from = path;
  while (*from != '\0') {
    size_t part = strcspn(from, "/");
    int skipped = part == 0 || (part == 1 && from[0] == '.');
    if (!skipped) {
      *to++ = '/';
      memmove(to, from, part);
      to += part;
    }
    from += part;
    from += *from == '/';
  }
  if (to == path) {
    *to++ = '/';
  }
  *to = '\0';
}

static bm_status_t take_path(bm_deck_pool_t *pool, const bm_deck_key_t *key,
                             const bm_deck_raw_t *raw, const char *folder, bm_deck_value_t *out)
{
  const char *given = string_of(raw);
  if (given == NULL) {
    return refuse(pool, key, "");
  }
  out->string = given;
  if (given[0] == '\0') {
    return BM_OK;
  }
  char *path = NULL;
  size_t size = strlen(folder) + strlen(given) + 3;
  BM_TRY(BM_DECK_TAKE(pool, size, &path));
  snprintf(path, size, "%s/%s", given[0] == '/' ? "" : folder, given);
  clean_path(path);
  out->string = path;
  return BM_OK;
}

static bm_status_t take_list(bm_deck_pool_t *pool, const bm_deck_key_t *key,
                             const bm_deck_raw_t *raw, bm_deck_value_t *out)
{
  if (raw->kind != BM_RAW_LIST || raw->item_count == 0) {
    return refuse(pool, key, "");
  }
  int64_t *items = NULL;
  BM_TRY(BM_DECK_TAKE(pool, raw->item_count, &items));
  for (size_t i = 0; i < raw->item_count; i++) {
    if (!whole(&raw->items[i], &items[i]) || !in_range(key, (double)items[i])) {
      char why[2 * BM_DECK_SHOWN];
      snprintf(why, sizeof why, "its item %zu is %s; ", i + 1,
               bm_deck_raw_shown(&raw->items[i]).text);
      return refuse(pool, key, why);
    }
  }
  out->items = items;
  out->item_count = raw->item_count;
  return BM_OK;
}

static int is_wide(int64_t integer)
{
  return integer < INT32_MIN || integer > INT32_MAX;
}

/* libconfig takes no list of integers with and without L. */
static void put_list(FILE *out, const bm_deck_value_t *value)
{
  int wide = 0;
  for (size_t i = 0; i < value->item_count; i++) {
    wide = wide || is_wide(value->items[i]);
  }
  for (size_t i = 0; i < value->item_count; i++) {
    fprintf(out, "%s%" PRId64 "%s", i == 0 ? "[" : ", ", value->items[i], wide ? "L" : "");
  }
  fputc(']', out);
}

static void put_real(FILE *out, double real)
{
  char text[32];
  number_text(real, 15, text);
  fprintf(out, "%s%s", text, strpbrk(text, ".e") == NULL ? ".0" : "");
}

static void put_string(FILE *out, const char *string)
{
  static const char plain[] = "\n\r\t\f\"\\";
  static const char escaped[] = "nrtf\"\\";
  fputc('"', out);
  for (const char *c = string; *c != '\0'; c++) {
    const char *special = strchr(plain, *c);
    if (special != NULL) {
      fprintf(out, "\\%c", escaped[special - plain]);
    } else if ((unsigned char)*c < ' ' || *c == 0x7F) {
      fprintf(out, "\\x%02X", (unsigned)*c);
    } else {
      fputc(*c, out);
    }
  }
  fputc('"', out);
}

static void put_value(FILE *out, const bm_deck_value_t *value)
{
  switch (value->type) {
  case BM_DECK_INT:
    fprintf(out, "%" PRId64 "%s", value->integer, is_wide(value->integer) ? "L" : "");
    return;
  case BM_DECK_REAL:
    put_real(out, value->real);
    return;
  case BM_DECK_BOOL:
    fputs(value->integer ? "true" : "false", out);
    return;
  case BM_DECK_STRING:
  case BM_DECK_PATH:
    put_string(out, value->string);
    return;
  case BM_DECK_INT_LIST:
    put_list(out, value);
    return;
  }
}

static bm_status_t print(bm_deck_pool_t *pool, bm_deck_value_t *value)
{
  bm_deck_writer_t writer;
  BM_TRY(bm_deck_writer_open(&writer));
  put_value(writer.stream, value);
  return bm_deck_writer_keep(&writer, pool, &value->text);
}

static bm_status_t take(bm_deck_pool_t *pool, const bm_deck_key_t *key, const bm_deck_raw_t *raw,
                        const char *folder, bm_deck_value_t *out)
{
  switch (key->type) {
  case BM_DECK_INT:
    return take_integer(pool, key, raw, out);
  case BM_DECK_REAL:
    return take_real(pool, key, raw, out);
  case BM_DECK_BOOL:
    return take_bool(pool, key, raw, out);
  case BM_DECK_STRING:
    return take_string(pool, key, raw, out);
  case BM_DECK_PATH:
    return take_path(pool, key, raw, folder, out);
  case BM_DECK_INT_LIST:
    return take_list(pool, key, raw, out);
  }
  return BM_FAIL(BM_ERR_INTERNAL, "%s: unknown type %d", key->path, (int)key->type);
}

bm_status_t bm_deck_value_of(bm_deck_pool_t *pool, const bm_deck_key_t *key,
                             const bm_deck_raw_t *raw, const char *folder, bm_deck_value_t *out)
{
  *out = (bm_deck_value_t){.type = key->type, .origin = raw->origin, .place = raw->place};
  BM_TRY(take(pool, key, raw, folder, out));
  return print(pool, out);
}
