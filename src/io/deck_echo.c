#include <stdio.h>
#include <string.h>

#include "deck_names.h"
#include "deck_state.h"

#define BM_COMMENT_COLUMN 44

/* What is being written. */
typedef struct {
  FILE *out;
  const bm_deck_t *deck;
  int indent;
} echo_t;

static const char *source_of(const bm_deck_value_t *value)
{
  return value->origin == BM_FROM_SET ? "--set" : value->place;
}

/* Has the case a value of this row that laying it over the base would not give? */
static int is_own(const bm_deck_case_t *deck_case, size_t row)
{
  const bm_deck_t *deck = deck_case->deck;
  const bm_deck_case_t *base = &deck->base;
  if (deck_case->marks[row] != BM_ROW_PRESENT) {
    return 0;
  }
  if (deck_case == base) {
    return 1;
  }
  for (size_t other = 0; other < deck->row_count; other++) {
    if (deck->first[other] == deck->first[row] && base->marks[other] == BM_ROW_PRESENT) {
      return base->values[other].type != deck_case->values[row].type ||
             strcmp(base->values[other].text, deck_case->values[row].text) != 0;
    }
  }
  return 1;
}

static void put_key(const echo_t *echo, const bm_deck_case_t *deck_case, size_t row)
{
  const bm_deck_value_t *value = &deck_case->values[row];
  const char *path = echo->deck->rows[row]->path;
  int used = fprintf(echo->out, "%*s%s = %s;", echo->indent + 2, "",
                     path + bm_deck_group_length(path) + 1, value->text);
  int room = used < BM_COMMENT_COLUMN ? BM_COMMENT_COLUMN - used : 1;
  fprintf(echo->out, "%*s# %s\n", room, "", source_of(value));
}

/* The group that starts at row `first`, where the case has anything of its own in it. */
static void put_group(const echo_t *echo, const bm_deck_case_t *deck_case, size_t first)
{
  const bm_deck_t *deck = echo->deck;
  const char *path = deck->rows[first]->path;
  size_t length = bm_deck_group_length(path);
  int open = 0;
  for (size_t row = first; row < deck->row_count; row++) {
    if (strncmp(deck->rows[row]->path, path, length + 1) != 0 || !is_own(deck_case, row)) {
      continue;
    }
    if (!open) {
      fprintf(echo->out, "%*s%.*s: {\n", echo->indent, "", (int)length, path);
      open = 1;
    }
    put_key(echo, deck_case, row);
  }
  if (open) {
    fprintf(echo->out, "%*s};\n", echo->indent, "");
  }
}

static void put_groups(const echo_t *echo, const bm_deck_case_t *deck_case)
{
  for (size_t row = 0; row < echo->deck->row_count; row++) {
    if (bm_deck_is_group_start(echo->deck, row)) {
      put_group(echo, deck_case, row);
    }
  }
}

static void put_deck(FILE *out, const bm_deck_t *deck)
{
  echo_t echo = {out, deck, 0};
  put_groups(&echo, &deck->base);
  if (!deck->has_cases) {
    return;
  }
  echo.indent = 4;
  fputs("cases: (\n", out);
  for (size_t i = 0; i < deck->case_count; i++) {
    fprintf(out, "  {\n    name = \"%s\";\n", deck->cases[i].name);
    put_groups(&echo, &deck->cases[i]);
    fprintf(out, "  }%s\n", i + 1 < deck->case_count ? "," : "");
  }
  fputs(");\n", out);
}

bm_status_t bm_deck_echo_write(bm_deck_t *deck)
{
  bm_deck_writer_t writer;
  BM_TRY(bm_deck_writer_open(&writer));
  put_deck(writer.stream, deck);
  return bm_deck_writer_keep(&writer, &deck->pool, &deck->echo);
}
