#include "boltzmap/io/coordinates.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"

#define BM_ANGSTROM 0.1 /* nm */
#define BM_ATOMS_MOST 1000000
#define BM_RST7_WIDTH 12
#define BM_RST7_PER_LINE 6
#define BM_FARTHEST 1e6 /* ångström; what is beyond is no molecule */
#define BM_PDB_WIDTH 8
#define BM_PDB_FIRST 30 /* columns of x, from 0 */

/* A file's text, a line at a time. */
typedef struct {
  const char *path;
  char *next;
  char *line;
  size_t number; /* of the line, from 1 */
} reader_t;

/* The next line, its end cut off; 0 where there is none. */
static int read_line(reader_t *reader)
{
  if (*reader->next == '\0') {
    return 0;
  }
  reader->line = reader->next;
  reader->number++;
  char *end = reader->line + strcspn(reader->line, "\n");
  reader->next = *end == '\0' ? end : end + 1;
  *end = '\0';
  if (end > reader->line && end[-1] == '\r') {
    end[-1] = '\0';
  }
  return 1;
}

static int is_record(const char *line)
{
  return strncmp(line, "ATOM  ", 6) == 0 || strncmp(line, "HETATM", 6) == 0;
}

/* A number in a field of fixed width, blanks around it. 0 where it is none, too large, or the line ends
 * before the field does: numbers stand at its right end, so that this one was cut off, with the file. */
static int parse_field(const char *line, size_t first, size_t width, double *value)
{
  char text[32];
  size_t length = strlen(line);
  if (first + width > length) {
    return 0;
  }
  memcpy(text, line + first, width);
  text[width] = '\0';
  char *end;
  *value = strtod(text, &end);
  int parsed = end != text;
  while (isspace((unsigned char)*end)) {
    end++;
  }
  return parsed && *end == '\0' && fabs(*value) <= BM_FARTHEST;
}

static bm_status_t bad_number(const reader_t *reader, size_t atom)
{
  return BM_FAIL(BM_ERR_DATA, "%s:%zu: no coordinate of atom %zu here: '%.80s'", reader->path,
                 reader->number, atom + 1, reader->line);
}

/* The atoms of a restart file: its second line starts with their number. */
static int parse_count(const char *line, size_t *atoms)
{
  char *end;
  long count = strtol(line, &end, 10);
  if (end == line || count < 1 || count > BM_ATOMS_MOST ||
      (*end != '\0' && !isspace((unsigned char)*end))) {
    return 0;
  }
  *atoms = (size_t)count;
  return 1;
}

static bm_status_t read_rst7(reader_t *reader, bm_coordinates_t *coordinates)
{
  const int has_title = read_line(reader);
  if (!has_title || !read_line(reader) || !parse_count(reader->line, &coordinates->atoms)) {
    return BM_FAIL(BM_ERR_DATA,
                   "%s:2: number of atoms expected: neither an AMBER restart file nor a PDB file",
                   reader->path);
  }
  const size_t count = 3 * coordinates->atoms;
  BM_TRY(BM_ALLOC(count, &coordinates->x));
  for (size_t k = 0; k < count; k++) {
    size_t column = k % BM_RST7_PER_LINE;
    if (column == 0 && !read_line(reader)) {
      return BM_FAIL(BM_ERR_DATA, "%s:%zu: ends before the coordinates of atom %zu of %zu",
                     reader->path, reader->number, k / 3 + 1, coordinates->atoms);
    }
    if (!parse_field(reader->line, column * BM_RST7_WIDTH, BM_RST7_WIDTH, &coordinates->x[k])) {
      return bad_number(reader, k / 3);
    }
    coordinates->x[k] *= BM_ANGSTROM;
  }
  return BM_OK;
}

static size_t count_records(const char *text)
{
  size_t count = 0;
  for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, "ENDMDL", 6) == 0) {
      break;
    }
    count += is_record(line) ? 1 : 0;
  }
  return count;
}

static bm_status_t read_pdb(reader_t *reader, bm_coordinates_t *coordinates)
{
  size_t count = count_records(reader->next);
  size_t atom = 0;
  coordinates->atoms = count;
  BM_TRY(BM_ALLOC(3 * count, &coordinates->x));
  while (atom < count && read_line(reader)) {
    for (size_t a = 0; is_record(reader->line) && a < 3; a++) {
      double *value = &coordinates->x[3 * atom + a];
      if (!parse_field(reader->line, BM_PDB_FIRST + a * BM_PDB_WIDTH, BM_PDB_WIDTH, value)) {
        return bad_number(reader, atom);
      }
      *value *= BM_ANGSTROM;
    }
    atom += is_record(reader->line) ? 1 : 0;
  }
  return BM_OK;
}

static bm_status_t read_text(char *text, size_t bytes, const char *path,
                             bm_coordinates_t *coordinates)
{
  if (strlen(text) < bytes) {
    size_t line = 1;
    for (const char *c = text; *c != '\0'; c++) {
      line += *c == '\n';
    }
    return BM_FAIL(BM_ERR_DATA, "%s:%zu: not a text file (a zero byte)", path, line);
  }
  reader_t reader = {.path = path, .next = text, .line = text};
  return count_records(text) > 0 ? read_pdb(&reader, coordinates) : read_rst7(&reader, coordinates);
}

int bm_coordinates_recognise(const char *path)
{
  char line[128];
  size_t atoms;
  int found = 0;
  FILE *file = fopen(path, "r");
  for (int k = 0; file != NULL && !found && k < 1000 && fgets(line, sizeof line, file) != NULL;
       k++) {
    found = is_record(line) || (k == 1 && parse_count(line, &atoms));
  }
  if (file != NULL) {
    fclose(file);
  }
  return found;
}

bm_status_t bm_coordinates_read(const char *path, bm_coordinates_t *coordinates)
{
  char *text;
  size_t bytes;
  *coordinates = (bm_coordinates_t){0, NULL};
  BM_TRY(bm_file_read(path, &text, &bytes));
  bm_status_t status = read_text(text, bytes, path, coordinates);
  bm_free(text);
  if (status != BM_OK) {
    bm_free(coordinates->x);
    coordinates->x = NULL;
  }
  return status;
}
