#include "deck_source.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"
#include "deck_pool.h"

#define BM_DECK_BYTES_MAX ((size_t)1 << 20) /* of a deck with all it includes */
#define BM_INCLUDE_DEPTH_MAX 8
#define BM_NAME_SHOWN 200 /* bytes of a file's name, from its end */
#define BM_BYTE_ORDER_MARK "\xEF\xBB\xBF"

/* A line that starts so says which file and line the next one is from; no deck has it, since
 * control characters are refused. */
#define BM_MARKER "#\x01"

/* Where the texts of all files go. */
typedef struct {
  FILE *out;
  const char *folder; /* of the deck, as the user gave it; NULL: the working folder */
  size_t bytes;       /* read so far */
} sink_t;

/* One text under way. */
typedef struct {
  sink_t *sink;
  const char *name;  /* of the file, for messages; NULL: none */
  const char *bytes; /* ended by 0 */
  size_t count, at;
  int line;
  int depth; /* of inclusion; -1: nothing can be included */
  char last; /* byte before, blanks and comments left out */
  int key_length;
  const char *key; /* last setting's name, for messages; length 0: none yet */
} scan_t;

#define FAIL_AT(scan, at_line, ...) fail_at((scan), (at_line), BM_FAIL(BM_ERR_DATA, __VA_ARGS__))

static bm_status_t fail_at(const scan_t *scan, int line, bm_status_t status)
{
  return scan->name != NULL ? bm_status_prefix(status, "%s:%d", scan->name, line) : status;
}

/* A failure about the value of the setting named last. */
#define FAIL_AT_VALUE(scan, ...) \
  fail_at((scan), (scan)->line, with_key((scan), BM_FAIL(BM_ERR_DATA, __VA_ARGS__)))

static bm_status_t with_key(const scan_t *scan, bm_status_t status)
{
  return scan->key_length > 0 ? bm_status_prefix(status, "%.*s", scan->key_length, scan->key)
                              : status;
}

static int is_allowed(char byte)
{
  unsigned char code = (unsigned char)byte;
  return (code >= ' ' && code != 0x7F) || strchr("\t\n\r\f", byte) != NULL;
}

static bm_status_t check_bytes(const scan_t *scan)
{
  int line = scan->line;
  for (size_t i = 0; i < scan->count; i++) {
    if (scan->bytes[i] == '\0' || !is_allowed(scan->bytes[i])) {
      return FAIL_AT(scan, line, "byte 0x%02X: not a text file",
                     (unsigned)(unsigned char)scan->bytes[i]);
    }
    line += scan->bytes[i] == '\n';
  }
  return BM_OK;
}

static void put_marker(const scan_t *scan)
{
  fprintf(scan->sink->out, "\n" BM_MARKER "%d ", scan->line);
  for (const char *c = scan->name; *c != '\0'; c++) {
    fputc(is_allowed(*c) && *c != '\n' ? *c : '?', scan->sink->out);
  }
  fputc('\n', scan->sink->out);
}

/* Pass over `count` bytes, keeping their line ends. */
static void skip(scan_t *scan, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    if (scan->bytes[scan->at++] == '\n') {
      scan->line++;
      fputc('\n', scan->sink->out);
    }
  }
}

static void copy(scan_t *scan, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    char byte = scan->bytes[scan->at++];
    fputc(byte, scan->sink->out);
    scan->line += byte == '\n';
    scan->last = isspace((unsigned char)byte) ? scan->last : byte;
  }
}

static bm_status_t skip_block_comment(scan_t *scan)
{
  const char *start = scan->bytes + scan->at;
  const char *end = strstr(start + 2, "*/");
  if (end == NULL) {
    return FAIL_AT(scan, scan->line, "the comment that starts here is not closed");
  }
  fputc(' ', scan->sink->out);
  skip(scan, (size_t)(end + 2 - start));
  return BM_OK;
}

/* Bytes of the quoted string at `text`, with its quotes; 0 where it is not closed on its line. */
static size_t string_length(const char *text)
{
  size_t length = 1;
  while (strchr("\n\"", text[length]) == NULL) {
    length += text[length] == '\\' && strchr("\n", text[length + 1]) == NULL ? 2 : 1;
  }
  return text[length] == '"' ? length + 1 : 0;
}

static bm_status_t copy_string(scan_t *scan)
{
  const char *text = scan->bytes + scan->at;
  size_t length = string_length(text);
  if (length == 0) {
    return FAIL_AT(scan, scan->line, "a string is not closed");
  }
  for (size_t i = 1; i < length; i++) {
    if (text[i] == '\\') {
      i++;
      if (text[i] == 'x' && text[i + 1] == '0' && text[i + 2] == '0') {
        return FAIL_AT(scan, scan->line, "a string cannot hold a byte 0 (\\x00)");
      }
    }
  }
  copy(scan, length);
  return BM_OK;
}

static size_t digits_at(const char *text)
{
  return strspn(text, "0123456789");
}

/* Bytes of an exponent, as e-8. */
static size_t exponent_at(const char *text)
{
  if (text[0] != 'e' && text[0] != 'E') {
    return 0;
  }
  size_t sign = text[1] == '+' || text[1] == '-' ? 1 : 0;
  size_t digits = digits_at(text + 1 + sign);
  return digits == 0 ? 0 : 1 + sign + digits;
}

/* Bytes of the real number at `text`, which has a point or an exponent; 0 where there is none. */
static size_t real_length(const char *text)
{
  size_t length = text[0] == '+' || text[0] == '-' ? 1 : 0;
  size_t whole = digits_at(text + length);
  length += whole;
  if (text[length] == '.') {
    length += 1 + digits_at(text + length + 1);
    return length + exponent_at(text + length);
  }
  size_t exponent = whole == 0 ? 0 : exponent_at(text + length);
  return exponent == 0 ? 0 : length + exponent;
}

/* The integer at `text` goes out in decimal with L. */
static bm_status_t put_integer(scan_t *scan, const char *text)
{
  char *end = NULL;
  int hexadecimal =
      text[0] == '0' && (text[1] == 'x' || text[1] == 'X') && isxdigit((unsigned char)text[2]) != 0;
  errno = 0;
  long long value = strtoll(text, &end, hexadecimal ? 16 : 10);
  size_t length = (size_t)(end - text);
  if (errno == ERANGE) {
    return FAIL_AT_VALUE(scan,
                         "%.*s is beyond the integers of 64 bits; a real number has a point or an "
                         "exponent, as 1e20",
                         length > 40 ? 40 : (int)length, text);
  }
  for (int i = 0; i < 2 && text[length] == 'L'; i++) {
    length++;
  }
  fprintf(scan->sink->out, "%lldL", value);
  scan->at += length;
  scan->last = 'L';
  return BM_OK;
}

/* The real number of `length` bytes at `text` goes out as it is. */
static bm_status_t copy_real(scan_t *scan, const char *text, size_t length)
{
  int shown = length > 40 ? 40 : (int)length;
  size_t start = strspn(text, "+-.");
  int is_value = scan->last != '\0' && strchr("=:[(,", scan->last) != NULL;
  if (is_value && (start >= length || !isdigit((unsigned char)text[start]))) {
    return FAIL_AT_VALUE(scan, "%.*s: a number without digits", shown, text);
  }
  if (!isfinite(strtod(text, NULL))) {
    return FAIL_AT_VALUE(scan, "%.*s is not finite: real numbers reach 1.8e308", shown, text);
  }
  copy(scan, length);
  return BM_OK;
}

static bm_status_t copy_number(scan_t *scan)
{
  const char *text = scan->bytes + scan->at;
  size_t length = real_length(text);
  if (length > 0) {
    return copy_real(scan, text, length);
  }
  if (digits_at(text + (text[0] == '+' || text[0] == '-' ? 1 : 0)) > 0) {
    return put_integer(scan, text);
  }
  copy(scan, 1); /* a lone sign: left to libconfig */
  return BM_OK;
}

/* A setting's name, or true or false. */
static bm_status_t copy_name(scan_t *scan)
{
  const char *text = scan->bytes + scan->at;
  size_t length = 1;
  while (isalnum((unsigned char)text[length]) ||
         (text[length] != '\0' && strchr("-_*", text[length]) != NULL)) {
    length++;
  }
  int is_value = (length == 4 && strncasecmp(text, "true", 4) == 0) ||
                 (length == 5 && strncasecmp(text, "false", 5) == 0);
  if (!is_value && (scan->last == '=' || scan->last == ':')) {
    return FAIL_AT_VALUE(scan, "%.*s: not a value; strings stand in double quotes",
                         length > 40 ? 40 : (int)length, text);
  }
  if (!is_value) {
    scan->key = text;
    scan->key_length = length > 40 ? 40 : (int)length;
  }
  copy(scan, length);
  return BM_OK;
}

static bm_status_t read_file(sink_t *sink, const char *path, char **bytes, size_t *count);
static bm_status_t scan_file(sink_t *sink, const char *path, const char *bytes, size_t count,
                             int depth);

/* Nothing but blanks before `at` on its line? */
static int starts_line(const scan_t *scan)
{
  size_t i = scan->at;
  while (i > 0 && (scan->bytes[i - 1] == ' ' || scan->bytes[i - 1] == '\t')) {
    i--;
  }
  return i == 0 || scan->bytes[i - 1] == '\n';
}

/* The file's name, between quotes at `text`, as a path. */
static bm_status_t include_path(const scan_t *scan, const char *text, size_t length, char **path)
{
  char *name = NULL;
  BM_TRY(BM_ALLOC(length, &name));
  size_t used = 0;
  for (size_t i = 1; i + 1 < length; i++) {
    i += text[i] == '\\' && (text[i + 1] == '\\' || text[i + 1] == '"');
    name[used++] = text[i];
  }
  const char *folder = scan->sink->folder;
  bm_status_t status = name[0] == '/' || folder == NULL ? bm_string_copy(name, path)
                                                        : bm_path_join(folder, name, path);
  bm_free(name);
  return status;
}

/* Read and scan the file named between quotes at `quoted`. */
static bm_status_t include_file(scan_t *scan, const char *quoted, size_t length)
{
  char *path = NULL;
  if (scan->depth >= BM_INCLUDE_DEPTH_MAX) {
    return FAIL_AT(scan, scan->line, "@include more than %d deep; does a file include itself?",
                   BM_INCLUDE_DEPTH_MAX);
  }
  BM_TRY(include_path(scan, quoted, length, &path));
  char *bytes = NULL;
  size_t count = 0;
  bm_status_t status = read_file(scan->sink, path, &bytes, &count);
  if (status != BM_OK) {
    status = bm_status_prefix(status, "%s:%d: @include", scan->name, scan->line);
  } else {
    status = scan_file(scan->sink, path, bytes, count, scan->depth + 1);
  }
  bm_free(bytes);
  bm_free(path);
  return status;
}

static bm_status_t include(scan_t *scan)
{
  const char *text = scan->bytes + scan->at;
  size_t keyword = sizeof "@include" - 1;
  size_t blanks = strncmp(text, "@include", keyword) == 0 ? strspn(text + keyword, " \t") : 0;
  const char *quoted = text + keyword + blanks;
  if (blanks == 0 || *quoted != '"' || scan->depth < 0 || !starts_line(scan)) {
    copy(scan, 1); /* left to libconfig, which refuses it */
    return BM_OK;
  }
  size_t length = string_length(quoted);
  if (length == 0) {
    return FAIL_AT(scan, scan->line, "the file name of @include is not closed");
  }
  BM_TRY(include_file(scan, quoted, length));
  scan->at += keyword + blanks + length;
  scan->last = '\0';
  put_marker(scan);
  return BM_OK;
}

static bm_status_t scan_next(scan_t *scan)
{
  const char *text = scan->bytes + scan->at;
  if (text[0] == '#' || (text[0] == '/' && text[1] == '/')) {
    scan->at += strcspn(text, "\n");
    return BM_OK;
  }
  if (text[0] == '/' && text[1] == '*') {
    return skip_block_comment(scan);
  }
  if (text[0] == '"') {
    return copy_string(scan);
  }
  if (text[0] == '@') {
    return include(scan);
  }
  if (isdigit((unsigned char)text[0]) || strchr("+-.", text[0]) != NULL) {
    return copy_number(scan);
  }
  if (isalpha((unsigned char)text[0]) || text[0] == '*') {
    return copy_name(scan);
  }
  copy(scan, 1);
  return BM_OK;
}

static bm_status_t scan_all(scan_t *scan)
{
  bm_status_t status = check_bytes(scan);
  while (status == BM_OK && scan->at < scan->count) {
    status = scan_next(scan);
  }
  return status;
}

static bm_status_t read_file(sink_t *sink, const char *path, char **bytes, size_t *count)
{
  struct stat info;
  if (stat(path, &info) == 0) {
    if (!S_ISREG(info.st_mode)) {
      return BM_FAIL(BM_ERR_IO, "%s: not a regular file", path);
    }
    sink->bytes += (size_t)info.st_size;
  }
  if (sink->bytes > BM_DECK_BYTES_MAX) {
    return BM_FAIL(BM_ERR_DATA, "%s: more than %zu bytes in all: not a deck", path,
                   BM_DECK_BYTES_MAX);
  }
  return bm_file_read(path, bytes, count);
}

static bm_status_t scan_file(sink_t *sink, const char *path, const char *bytes, size_t count,
                             int depth)
{
  size_t mark = sizeof BM_BYTE_ORDER_MARK - 1;
  size_t start = strncmp(bytes, BM_BYTE_ORDER_MARK, mark) == 0 ? mark : 0;
  scan_t scan = {.sink = sink,
                 .name = path,
                 .bytes = bytes + start,
                 .count = count - start,
                 .line = 1,
                 .depth = depth};
  put_marker(&scan);
  return scan_all(&scan);
}

static bm_status_t read_text(const char *path, const char *folder, char **out)
{
  char *bytes = NULL;
  size_t count = 0;
  bm_deck_writer_t writer;
  sink_t sink = {.folder = folder};
  BM_TRY(read_file(&sink, path, &bytes, &count));
  bm_status_t status = bm_deck_writer_open(&writer);
  if (status == BM_OK) {
    sink.out = writer.stream;
    status = bm_deck_writer_take(&writer, scan_file(&sink, path, bytes, count, 0), out);
  }
  bm_free(bytes);
  return status;
}

static bm_status_t absolute(const char *folder, char **out)
{
  *out = realpath(folder, NULL);
  if (*out == NULL) {
    return BM_FAIL(BM_ERR_IO, "%s: cannot find this folder: %s", folder, strerror(errno));
  }
  return BM_OK;
}

bm_status_t bm_deck_source_read(const char *path, bm_deck_source_t *out)
{
  bm_status_t status = BM_OK;
  char *folder = NULL;
  *out = (bm_deck_source_t){0};
  BM_TRY_GOTO(status, done, bm_string_copy(path, &out->name));
  BM_TRY_GOTO(status, done, bm_string_copy(path, &folder));
  char *slash = strrchr(folder, '/');
  if (slash != NULL) {
    slash[slash == folder] = '\0';
  }
  BM_TRY_GOTO(status, done, read_text(path, slash == NULL ? NULL : folder, &out->text));
  BM_TRY_GOTO(status, done, absolute(slash == NULL ? "." : folder, &out->folder));
  BM_TRY_GOTO(status, done, absolute(".", &out->working_folder));
done:
  bm_free(folder);
  if (status != BM_OK) {
    bm_deck_source_clear(out);
  }
  return status;
}

void bm_deck_source_clear(bm_deck_source_t *source)
{
  bm_free(source->name);
  bm_free(source->text);
  bm_free(source->folder);
  bm_free(source->working_folder);
  *source = (bm_deck_source_t){0};
}

bm_status_t bm_deck_source_of_value(const char *text, char **out)
{
  bm_deck_writer_t writer;
  BM_TRY(bm_deck_writer_open(&writer));
  sink_t sink = {.out = writer.stream};
  scan_t scan = {.sink = &sink, .bytes = text, .count = strlen(text), .depth = -1, .last = '='};
  fputs("value = ", sink.out);
  bm_status_t status = scan_all(&scan);
  fputc(';', sink.out);
  return bm_deck_writer_take(&writer, status, out);
}

/* Take one more line. */
static void advance(bm_deck_cursor_t *cursor)
{
  const char *text = cursor->at;
  size_t length = strcspn(text, "\n");
  if (strncmp(text, BM_MARKER, sizeof BM_MARKER - 1) == 0) {
    char *end = NULL;
    cursor->file_line = strtol(text + sizeof BM_MARKER - 1, &end, 10) - 1;
    cursor->name = end + 1;
    cursor->name_length = (int)(text + length - cursor->name);
  } else {
    cursor->file_line++;
  }
  cursor->at = text + length + (text[length] == '\n');
  cursor->line++;
}

bm_deck_place_t bm_deck_source_place(bm_deck_cursor_t *cursor, unsigned line)
{
  bm_deck_place_t place;
  if (cursor->at == NULL || line < cursor->line) {
    *cursor = (bm_deck_cursor_t){.text = cursor->text, .at = cursor->text, .name = ""};
  }
  while (cursor->line < line && *cursor->at != '\0') {
    advance(cursor);
  }
  int cut = cursor->name_length > BM_NAME_SHOWN ? cursor->name_length - BM_NAME_SHOWN : 0;
  snprintf(place.text, sizeof place.text, "%s%.*s:%ld", cut > 0 ? "..." : "",
           cursor->name_length - cut, cursor->name + cut,
           cursor->file_line < 1 ? 1 : cursor->file_line);
  return place;
}
