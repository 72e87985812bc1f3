#ifndef BOLTZMAP_SRC_IO_DECK_NAMES_H
#define BOLTZMAP_SRC_IO_DECK_NAMES_H

/* Names: the known one nearest to a mistyped one, and which names can be folders. */

#include <stddef.h>

#include "boltzmap/base/status.h"
#include "boltzmap/io/deck.h"

#define BM_DECK_SHOWN 64 /* bytes of the deck's own text that a message shows */

/* `text` as a message shows it: between double quotes, on one line, cut where it is long. */
typedef struct {
  char text[BM_DECK_SHOWN + 8];
} bm_deck_shown_t;
bm_deck_shown_t bm_deck_shown(const char *text);

/* The entry of `names` (ended by NULL) nearest to `word`; NULL where none is near. */
const char *bm_deck_nearest(const char *word, const char *const *names);

/* The path of a row nearest to "group.key": a key spelt alike in the group, or the same key in
 * another. */
const char *bm_deck_nearest_path(const bm_deck_key_t *const *rows, size_t count, const char *group,
                                 const char *key);

/* Length of the group's name in "group.key". */
size_t bm_deck_group_length(const char *path);

/* BM_ERR_DATA, without place and name, where `name` cannot be the folder of a run or case. */
bm_status_t bm_deck_check_folder_name(const char *name);

#endif
