#ifndef BOLTZMAP_SRC_IO_DECK_SOURCE_H
#define BOLTZMAP_SRC_IO_DECK_SOURCE_H

/* The text of a deck as libconfig gets it: included files in place, comments taken out, every
 * integer in decimal with L (libconfig 1.5 cuts integers without it to 32 bits silently), and
 * comments of its own that say which file and line the next line is from. */

#include <stddef.h>

#include "boltzmap/base/status.h"

typedef struct {
  char *name;           /* of the deck's file, as the user gave it */
  char *text;           /* ready for libconfig */
  char *folder;         /* absolute folder of the deck */
  char *working_folder; /* absolute */
} bm_deck_source_t;

/* Read the deck at `path` and what it includes. BM_ERR_IO where a file cannot be read,
 * BM_ERR_DATA with file:line where it is no text, has an integer beyond 64 bits, or something in
 * it is not closed. */
bm_status_t bm_deck_source_read(const char *path, bm_deck_source_t *out);

/* Free the texts. */
void bm_deck_source_clear(bm_deck_source_t *source);

/* A single text (of an override or a default) made ready for libconfig as "value = text;", all
 * on one line; owned by the caller. BM_ERR_DATA as above. */
bm_status_t bm_deck_source_of_value(const char *text, char **out);

/* "file:line" of the deck for a line of its ready text, counted from 1. The cursor starts as the
 * text alone; asking for lines in order does not read the text again. */
typedef struct {
  const char *text; /* the whole */
  const char *at;   /* the line after `line` */
  unsigned line;    /* of the ready text */
  long file_line;   /* the same line in its file */
  const char *name; /* of that file, not ended by 0 */
  int name_length;
} bm_deck_cursor_t;

typedef struct {
  char text[256];
} bm_deck_place_t;
bm_deck_place_t bm_deck_source_place(bm_deck_cursor_t *cursor, unsigned line);

#endif
