#ifndef BOLTZMAP_SRC_IO_DECK_STATE_H
#define BOLTZMAP_SRC_IO_DECK_STATE_H

/* A deck from the inside. Rows are the keys of all tables in order; several rows may have one path,
 * told apart by `when`. A layer is what one part of the deck gives: for each path a value or NULL,
 * held at the first row of the path. A case looks a path up in the overrides, then in its own
 * layer, then in the deck's, and falls back to the default of the row that applies. */

#include <stddef.h>
#include <xxhash.h>

#include "boltzmap/io/deck.h"
#include "deck_pool.h"
#include "deck_source.h"
#include "deck_value.h"

typedef const bm_deck_raw_t **bm_deck_layer_t; /* [row_count] */

typedef enum { BM_ROW_UNKNOWN, BM_ROW_BUSY, BM_ROW_ABSENT, BM_ROW_PRESENT } bm_deck_mark_t;

#define BM_DECK_CASES "cases" /* the list of cases */

struct bm_deck_case {
  bm_deck_t *deck;
  const char *name;
  int is_member;           /* of `cases`: messages name it */
  int is_plain;            /* overrides left out: to know what they change */
  bm_deck_layer_t layer;   /* the case's own; NULL: none */
  bm_deck_mark_t *marks;   /* [row_count] does the row apply? */
  bm_deck_value_t *values; /* [row_count] of rows that do */
};

struct bm_deck {
  bm_deck_pool_t pool; /* owns everything below */
  bm_deck_source_t source;
  const bm_deck_key_t **rows; /* [row_count] */
  size_t *first;              /* [row_count] first row of the same path */
  size_t row_count;
  const char **groups;      /* names of the groups in order and BM_DECK_CASES, ended by NULL */
  bm_deck_layer_t defaults; /* by row, not by path */
  bm_deck_layer_t layer;
  bm_deck_layer_t overrides; /* NULL: none */
  int has_cases;             /* the deck has a list of cases */
  bm_deck_case_t base;
  bm_deck_case_t *cases; /* [case_count] */
  size_t case_count;
  bm_deck_case_t plain_base;
  bm_deck_case_t *plain_cases; /* [case_count] */
  const char **changes;        /* [change_count] */
  size_t change_count;
  const char *echo;
  XXH64_state_t *hash_state; /* owned; made once so that a fingerprint cannot fail */
};

/* deck_layers.c: the deck's text into its layer and those of its cases. */
bm_status_t bm_deck_layers_read(bm_deck_t *deck);
bm_status_t bm_deck_layer_create(bm_deck_t *deck, bm_deck_layer_t *out);
/* Is this the first row of its group? */
int bm_deck_is_group_start(const bm_deck_t *deck, size_t row);
/* First row of a path; row_count where no table has it. */
size_t bm_deck_row(const bm_deck_t *deck, const char *path);

/* deck_overrides.c: --set texts into the layer of overrides; what they changed. */
bm_status_t bm_deck_overrides_read(bm_deck_t *deck, char *const *texts, size_t count);
bm_status_t bm_deck_changes_list(bm_deck_t *deck);

/* deck_resolve.c: give a case the memory for its values; find all of them; refuse given values that
 * apply nowhere. */
bm_status_t bm_deck_case_prepare(bm_deck_t *deck, bm_deck_case_t *deck_case);
bm_status_t bm_deck_case_resolve(bm_deck_case_t *deck_case);
bm_status_t bm_deck_check_given(bm_deck_t *deck);

/* The row of a path that applies, its value found; row_count where none does. `first` is the
 * path's first row. */
bm_status_t bm_deck_resolve_path(bm_deck_case_t *deck_case, size_t first, size_t *row);

/* "place: case: key = value: " before the message. */
bm_status_t bm_deck_prefix(bm_status_t status, const bm_deck_case_t *deck_case, const char *path,
                           bm_deck_origin_t origin, const char *place, const char *shown);

/* deck_echo.c */
bm_status_t bm_deck_echo_write(bm_deck_t *deck);

#endif
