#include "prmtop_sections.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"

#define BM_WIDTH_MAX 80
#define BM_PER_LINE_MAX 999
#define BM_REAL_MAX 1e30 /* products of a few numbers up to here stay finite */

/* Cut the bytes into lines; a carriage return before the end of a line is dropped. */
static bm_status_t split_lines(bm_sections_t *sections, size_t byte_count)
{
  size_t count = 0;
  for (size_t k = 0; k < byte_count; k++) {
    count += sections->bytes[k] == '\n';
    if (sections->bytes[k] == '\0') {
      return BM_FAIL(BM_ERR_DATA, "%s:%zu: not a text file (a zero byte)", sections->path,
                     count + 1);
    }
  }
  BM_TRY(BM_ALLOC(count + 1, &sections->lines));
  char *line = sections->bytes;
  while (*line != '\0') {
    char *end = line + strcspn(line, "\n");
    int last = *end == '\0';
    *end = '\0';
    if (end > line && end[-1] == '\r') {
      end[-1] = '\0';
    }
    sections->lines[sections->line_count++] = line;
    line = last ? end : end + 1;
  }
  return BM_OK;
}

static bm_status_t fail_at(const bm_sections_t *sections, size_t line, const char *what,
                           const char *text)
{
  return BM_FAIL(BM_ERR_DATA, "%s:%zu: %s: '%.80s'", sections->path, line, what, text);
}

static int starts_with(const char *text, const char *start)
{
  return strncmp(text, start, strlen(start)) == 0;
}

static bm_field_t kind_of(char letter)
{
  switch (letter) {
  case 'a':
  case 'A':
    return BM_FIELD_TEXT;
  case 'i':
  case 'I':
    return BM_FIELD_INTEGER;
  case 'e':
  case 'E':
  case 'f':
  case 'F':
    return BM_FIELD_REAL;
  default:
    return BM_FIELD_OTHER;
  }
}

/* "%FORMAT(10I8)", "(5E16.8)", "(20a4)", "(a80)". Others are left for who needs the section to refuse:
 * CHAMBER files have "(i2,a78)". */
static bm_status_t parse_format(const bm_sections_t *sections, size_t line, bm_section_t *section)
{
  const char *text = sections->lines[line];
  unsigned per_line = 1;
  unsigned width = 0;
  char letter = 0;
  int used = 0;
  if (!starts_with(text, "%FORMAT(")) {
    return BM_FAIL(BM_ERR_DATA, "%s:%zu: section %s: %%FORMAT expected, as %%FORMAT(10I8): '%.80s'",
                   sections->path, line + 1, section->name, text);
  }
  section->kind = BM_FIELD_OTHER;
  section->per_line = 1;
  section->width = BM_WIDTH_MAX;
  if ((sscanf(text, "%%FORMAT(%3u%c%3u%n", &per_line, &letter, &width, &used) != 3 &&
       sscanf(text, "%%FORMAT(%c%3u%n", &letter, &width, &used) != 2) ||
      per_line == 0 || per_line > BM_PER_LINE_MAX || width == 0 || width > BM_WIDTH_MAX) {
    return BM_OK;
  }
  used += (int)strspn(text + used, ".0123456789");
  if (text[used] != ')') {
    return BM_OK;
  }
  section->kind = kind_of(letter);
  section->per_line = per_line;
  section->width = width;
  return BM_OK;
}

/* The section whose %FLAG is on `*line`; `*line` moves to the next one. */
static bm_status_t parse_section(bm_sections_t *sections, size_t *line)
{
  bm_section_t *section = &sections->sections[sections->section_count];
  if (sscanf(sections->lines[*line], "%%FLAG %80s", section->name) != 1) {
    return fail_at(sections, *line + 1, "%FLAG without a name", sections->lines[*line]);
  }
  section->flag_line = ++*line;
  if (bm_sections_find(sections, section->name) != NULL) {
    return BM_FAIL(BM_ERR_DATA, "%s:%zu: a second section %s", sections->path, section->flag_line,
                   section->name);
  }
  while (*line < sections->line_count && starts_with(sections->lines[*line], "%COMMENT")) {
    ++*line;
  }
  if (*line == sections->line_count) {
    return BM_FAIL(BM_ERR_DATA, "%s:%zu: section %s ends before its %%FORMAT: the file is cut off",
                   sections->path, section->flag_line, section->name);
  }
  BM_TRY(parse_format(sections, (*line)++, section));
  section->first = *line;
  while (*line < sections->line_count && sections->lines[*line][0] != '%') {
    ++*line;
  }
  section->count = *line - section->first;
  sections->section_count++;
  return BM_OK;
}

static bm_status_t find_sections(bm_sections_t *sections)
{
  size_t flags = 0;
  for (size_t k = 0; k < sections->line_count; k++) {
    flags += starts_with(sections->lines[k], "%FLAG") ? 1 : 0;
  }
  BM_TRY(BM_ALLOC(flags, &sections->sections));
  size_t line = 0;
  while (line < sections->line_count && starts_with(sections->lines[line], "%VERSION")) {
    line++;
  }
  if (flags == 0 || !starts_with(sections->lines[line], "%FLAG")) {
    return BM_FAIL(BM_ERR_DATA,
                   "%s:%zu: not a prmtop file of AMBER 7 or later: no %%FLAG where one is expected",
                   sections->path, line + 1);
  }
  while (line < sections->line_count) {
    if (!starts_with(sections->lines[line], "%FLAG")) {
      return fail_at(sections, line + 1, "%FLAG expected", sections->lines[line]);
    }
    BM_TRY(parse_section(sections, &line));
  }
  return BM_OK;
}

bm_status_t bm_sections_read(const char *path, bm_sections_t *sections)
{
  size_t count;
  *sections = (bm_sections_t){.path = path};
  BM_TRY(bm_file_read(path, &sections->bytes, &count));
  BM_TRY(split_lines(sections, count));
  return find_sections(sections);
}

void bm_sections_free(bm_sections_t *sections)
{
  bm_free(sections->sections);
  bm_free(sections->lines);
  bm_free(sections->bytes);
  *sections = (bm_sections_t){.path = NULL};
}

const bm_section_t *bm_sections_find(const bm_sections_t *sections, const char *name)
{
  for (size_t k = 0; k < sections->section_count; k++) {
    if (strcmp(sections->sections[k].name, name) == 0) {
      return &sections->sections[k];
    }
  }
  return NULL;
}

/* Fields on one data line: whole ones, and a last one that may be cut short by blanks left out. */
static size_t fields_on(const bm_section_t *section, const char *line)
{
  size_t length = strlen(line);
  while (length > 0 && line[length - 1] == ' ' && section->kind != BM_FIELD_TEXT) {
    length--;
  }
  size_t fields = (length + section->width - 1) / section->width;
  return fields < section->per_line ? fields : section->per_line;
}

size_t bm_sections_count(const bm_sections_t *sections, const bm_section_t *section)
{
  size_t count = 0;
  for (size_t k = 0; k < section->count; k++) {
    count += fields_on(section, sections->lines[section->first + k]);
  }
  return count;
}

size_t bm_sections_line(const bm_section_t *section, size_t index)
{
  return section->first + index / section->per_line + 1;
}

/* The section, with at least `count` fields, all lines but the last one full. Trailing blank texts
 * count as fields, so that texts may be more. */
static bm_status_t demand(const bm_sections_t *sections, const char *name, bm_field_t kind,
                          size_t count, const bm_section_t **out)
{
  const bm_section_t *section = bm_sections_find(sections, name);
  *out = section;
  if (section == NULL) {
    return BM_FAIL(BM_ERR_DATA, "%s:%zu: the file ends without a section %s", sections->path,
                   sections->line_count, name);
  }
  if (section->kind != kind) {
    return BM_FAIL(BM_ERR_DATA, "%s:%zu: section %s: its %%FORMAT is not of %s: '%.80s'",
                   sections->path, section->first, name,
                   kind == BM_FIELD_TEXT      ? "texts, as (20a4)"
                   : kind == BM_FIELD_INTEGER ? "integers, as (10I8)"
                                              : "real numbers, as (5E16.8)",
                   sections->lines[section->first - 1]);
  }
  size_t have = bm_sections_count(sections, section);
  if (have < count || (have > count && kind != BM_FIELD_TEXT)) {
    return BM_FAIL(BM_ERR_DATA, "%s:%zu: section %s: %zu values expected, %zu found",
                   sections->path, section->flag_line, name, count, have);
  }
  size_t full = count / section->per_line;
  for (size_t k = 0; k < full; k++) {
    if (fields_on(section, sections->lines[section->first + k]) != section->per_line) {
      return BM_FAIL(BM_ERR_DATA, "%s:%zu: section %s: a short line: '%.80s'", sections->path,
                     section->first + k + 1, name, sections->lines[section->first + k]);
    }
  }
  return BM_OK;
}

/* Text of field `index`, without blanks around it. */
static void field_text(const bm_sections_t *sections, const bm_section_t *section, size_t index,
                       char text[BM_WIDTH_MAX + 1])
{
  const char *line = sections->lines[section->first + index / section->per_line];
  size_t start = index % section->per_line * section->width;
  size_t length = strlen(line);
  size_t end = start + section->width < length ? start + section->width : length;
  start = start < end ? start : end;
  while (start < end && isspace((unsigned char)line[start])) {
    start++;
  }
  while (end > start && isspace((unsigned char)line[end - 1])) {
    end--;
  }
  memcpy(text, line + start, end - start);
  text[end - start] = '\0';
}

/* Numbers stand at the right end of their fields: one that ends before was cut off, with the file. */
static bm_status_t number_text(const bm_sections_t *sections, const bm_section_t *section,
                               size_t index, char text[BM_WIDTH_MAX + 1])
{
  const char *line = sections->lines[section->first + index / section->per_line];
  field_text(sections, section, index, text);
  if (strlen(line) < (index % section->per_line + 1) * section->width) {
    return BM_FAIL(BM_ERR_DATA, "%s:%zu: section %s, value %zu: cut short: '%s'", sections->path,
                   bm_sections_line(section, index), section->name, index + 1, text);
  }
  return BM_OK;
}

static bm_status_t bad_field(const bm_sections_t *sections, const bm_section_t *section,
                             size_t index, const char *text)
{
  return BM_FAIL(BM_ERR_DATA, "%s:%zu: section %s, value %zu: not a number, or too large: '%s'",
                 sections->path, bm_sections_line(section, index), section->name, index + 1, text);
}

static bm_status_t parse_real(const bm_sections_t *sections, const bm_section_t *section,
                              size_t index, double *value)
{
  char text[BM_WIDTH_MAX + 1];
  char *end;
  BM_TRY(number_text(sections, section, index, text));
  *value = strtod(text, &end);
  if (end == text || *end != '\0' || !(fabs(*value) <= BM_REAL_MAX)) {
    return bad_field(sections, section, index, text);
  }
  return BM_OK;
}

static bm_status_t parse_integer(const bm_sections_t *sections, const bm_section_t *section,
                                 size_t index, long *value)
{
  char text[BM_WIDTH_MAX + 1];
  char *end;
  BM_TRY(number_text(sections, section, index, text));
  errno = 0;
  *value = strtol(text, &end, 10);
  if (end == text || *end != '\0' || errno != 0 || *value > INT_MAX || *value < -INT_MAX) {
    return bad_field(sections, section, index, text);
  }
  return BM_OK;
}

bm_status_t bm_sections_reals(const bm_sections_t *sections, const char *name, size_t count,
                              double **values)
{
  const bm_section_t *section;
  BM_TRY(demand(sections, name, BM_FIELD_REAL, count, &section));
  BM_TRY(BM_ALLOC(count, values));
  bm_status_t status = BM_OK;
  for (size_t k = 0; k < count && status == BM_OK; k++) {
    status = parse_real(sections, section, k, *values + k);
  }
  if (status != BM_OK) {
    bm_free(*values);
    *values = NULL;
  }
  return status;
}

bm_status_t bm_sections_integers(const bm_sections_t *sections, const char *name, size_t count,
                                 long **values)
{
  const bm_section_t *section;
  BM_TRY(demand(sections, name, BM_FIELD_INTEGER, count, &section));
  BM_TRY(BM_ALLOC(count, values));
  bm_status_t status = BM_OK;
  for (size_t k = 0; k < count && status == BM_OK; k++) {
    status = parse_integer(sections, section, k, *values + k);
  }
  if (status != BM_OK) {
    bm_free(*values);
    *values = NULL;
  }
  return status;
}

bm_status_t bm_sections_texts(const bm_sections_t *sections, const char *name, size_t count,
                              char (**values)[8])
{
  const bm_section_t *section;
  BM_TRY(demand(sections, name, BM_FIELD_TEXT, count, &section));
  BM_TRY(BM_ALLOC(count, values));
  for (size_t k = 0; k < count; k++) {
    char text[BM_WIDTH_MAX + 1];
    field_text(sections, section, k, text);
    memcpy((*values)[k], text, strlen(text) < 7 ? strlen(text) : 7);
  }
  return BM_OK;
}
