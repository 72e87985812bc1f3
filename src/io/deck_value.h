#ifndef BOLTZMAP_SRC_IO_DECK_VALUE_H
#define BOLTZMAP_SRC_IO_DECK_VALUE_H

/* Values: as a deck's text gives them, and as a key takes them. */

#include <libconfig.h>
#include <stdint.h>

#include "boltzmap/io/deck.h"
#include "deck_names.h"
#include "deck_pool.h"

typedef enum {
  BM_RAW_INTEGER,
  BM_RAW_REAL,
  BM_RAW_BOOL,
  BM_RAW_STRING,
  BM_RAW_LIST,        /* [1, 2] */
  BM_RAW_PARENTHESES, /* (1, 2) */
  BM_RAW_GROUP,       /* { } */
  BM_RAW_WORD,        /* text of an override that is no value by itself */
} bm_deck_raw_kind_t;

/* Where a value is from. */
typedef enum { BM_FROM_DECK, BM_FROM_SET, BM_FROM_DEFAULT } bm_deck_origin_t;

/* A value before its key's type is known. Owned by a pool. */
typedef struct bm_deck_raw {
  bm_deck_raw_kind_t kind;
  bm_deck_origin_t origin;
  const char *place; /* "deck.cfg:12" or "--set group.key=text" */
  const char *word;  /* text of an override that is not in quotes; else NULL */
  int64_t integer;   /* also of a bool */
  double real;
  const char *string;
  struct bm_deck_raw *items; /* [item_count] of a list */
  size_t item_count;
} bm_deck_raw_t;

/* A value of its key's type. Owned by a pool. */
typedef struct {
  bm_deck_type_t type;
  bm_deck_origin_t origin;
  const char *place; /* "default" where it is one */
  const char *text;  /* as deck text: equal values have equal text */
  int64_t integer;   /* also of a bool */
  double real;
  const char *string;
  const int64_t *items; /* [item_count] */
  size_t item_count;
} bm_deck_value_t;

/* Copy a value out of libconfig; `place` stays the caller's and must outlive the pool's use. */
bm_status_t bm_deck_raw_read(bm_deck_pool_t *pool, const config_setting_t *setting,
                             const char *place, bm_deck_raw_t *out);

/* The value in a text: BM_ERR_DATA where it is none. */
bm_status_t bm_deck_raw_parse(bm_deck_pool_t *pool, const char *text, bm_deck_raw_t *out);

/* What the value is, for "found …": its text, or its kind, cut where it is long. */
bm_deck_shown_t bm_deck_raw_shown(const bm_deck_raw_t *raw);

/* Make `raw` a value of the key's type. `folder` is what paths are relative to. BM_ERR_DATA with
 * what was expected, without place and key. */
bm_status_t bm_deck_value_of(bm_deck_pool_t *pool, const bm_deck_key_t *key,
                             const bm_deck_raw_t *raw, const char *folder, bm_deck_value_t *out);

/* What the key takes, as "an integer from 1 to 100". */
bm_status_t bm_deck_value_expected(bm_deck_pool_t *pool, const bm_deck_key_t *key,
                                   const char **out);

#endif
