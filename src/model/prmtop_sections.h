#ifndef BOLTZMAP_MODEL_PRMTOP_SECTIONS_H
#define BOLTZMAP_MODEL_PRMTOP_SECTIONS_H

/* The outer form of prmtop files: sections of fixed-width fields under %FLAG and %FORMAT lines. */

#include <stddef.h>

#include "boltzmap/base/status.h"

typedef enum { BM_FIELD_TEXT, BM_FIELD_INTEGER, BM_FIELD_REAL, BM_FIELD_OTHER } bm_field_t;

/* One section. Texts point into the file's bytes. */
typedef struct {
  char name[84];
  size_t flag_line;    /* number of its %FLAG line, from 1 */
  size_t first, count; /* its data lines in bm_prmtop_lines_t.lines */
  bm_field_t kind;     /* of its fields */
  size_t per_line, width;
} bm_section_t;

typedef struct {
  const char *path; /* not owned */
  char *bytes;
  char **lines; /* [line_count], ended by 0 */
  size_t line_count;
  bm_section_t *sections;
  size_t section_count;
} bm_sections_t;

/* Read a file and find its sections. BM_ERR_DATA with file:line, BM_ERR_IO. Ended by bm_sections_free,
 * also after failure. */
bm_status_t bm_sections_read(const char *path, bm_sections_t *sections);
void bm_sections_free(bm_sections_t *sections);

/* The section of this name; NULL where there is none. */
const bm_section_t *bm_sections_find(const bm_sections_t *sections, const char *name);

/* Number of fields of a section. */
size_t bm_sections_count(const bm_sections_t *sections, const bm_section_t *section);

/* Line number, from 1, on which field `index` of a section stands: for messages. */
size_t bm_sections_line(const bm_section_t *section, size_t index);

/* Exactly `count` fields of a section that must be there. BM_ERR_DATA where it is missing, has another
 * number of fields, is of another kind, or a field is not a number, cut short, or beyond 1e30 or an
 * int. `values` is owned by the caller, NULL after failure. */
bm_status_t bm_sections_reals(const bm_sections_t *sections, const char *name, size_t count,
                              double **values);
bm_status_t bm_sections_integers(const bm_sections_t *sections, const char *name, size_t count,
                                 long **values);

/* The same for texts of up to four letters, blanks around them taken off; [count][8]. */
bm_status_t bm_sections_texts(const bm_sections_t *sections, const char *name, size_t count,
                              char (**values)[8]);

#endif
