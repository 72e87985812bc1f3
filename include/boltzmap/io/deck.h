#ifndef BOLTZMAP_IO_DECK_H
#define BOLTZMAP_IO_DECK_H

/* Decks: libconfig files checked against tables of keys. After loading, every key that applies has
 * a typed value in range, so that getters cannot fail; asking for a key that no table has, or with
 * another type, is a programmer's error (assert). A deck has a base (its own groups) and one or
 * more cases (the base with a case's groups laid over it). */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"

typedef enum {
  BM_DECK_INT,      /* 64-bit integer */
  BM_DECK_REAL,     /* finite double; an integer in the deck is accepted */
  BM_DECK_BOOL,     /* true or false */
  BM_DECK_STRING,   /* one of `choices` where given */
  BM_DECK_PATH,     /* file name; taken relative to the deck's folder, kept absolute */
  BM_DECK_INT_LIST, /* [1, 2, …], each in range */
} bm_deck_type_t;

/* One key. A table is an array of them, ended by a row whose path is NULL; each module exports the
 * table of the keys it reads. */
typedef struct {
  const char *path;           /* "group.key" */
  bm_deck_type_t type;        /* */
  const char *fallback;       /* default as deck text ("8", "1e-3", "[256, 256]", "\"relu\""); NULL: the
                                 key must be given wherever it applies */
  double low, high;           /* inclusive range of numbers (of list items; length of a list is ≥ 1);
                                 ignored for other types */
  const char *const *choices; /* allowed strings, ended by NULL; NULL: any string */
  const char *when;           /* "group.key=value|value…": the key applies only there, and giving it
                                 elsewhere is an error; NULL: always */
  const char *help;           /* one line, with the unit */
} bm_deck_key_t;

typedef struct bm_deck bm_deck_t;           /* a loaded deck; opaque */
typedef struct bm_deck_case bm_deck_case_t; /* one resolved case of it; opaque, owned by the deck */

/* Load, check and resolve the deck at `path` on rank 0 and give every rank the same result.
 * `overrides` are "group.key=value" texts (from --set) that go over the base and all cases;
 * `@include` is resolved from the deck's folder. Collective. BM_ERR_DATA with file:line, key, what was
 * expected and the nearest known key; BM_ERR_IO where the file cannot be read; BM_ERR_USAGE for a
 * malformed override. The caller ends the deck with bm_deck_destroy. */
bm_status_t bm_deck_load(const bm_context_t *context, const char *path,
                         const char *const *overrides, size_t override_count,
                         const bm_deck_key_t *const *tables /* ended by NULL */, bm_deck_t **out);

void bm_deck_destroy(bm_deck_t **deck);

size_t bm_deck_case_count(const bm_deck_t *deck);

/* Case `index`; its name is unique in the deck and a valid folder name. */
const bm_deck_case_t *bm_deck_case(const bm_deck_t *deck, size_t index);
const char *bm_deck_case_name(const bm_deck_case_t *deck_case);

/* The deck without any case's overlay: its `system` group is the target distribution. */
const bm_deck_case_t *bm_deck_base(const bm_deck_t *deck);

/* Does this key apply (its `when` holds)? */
int bm_deck_has(const bm_deck_case_t *deck_case, const char *path);

int64_t bm_deck_int(const bm_deck_case_t *deck_case, const char *path);
double bm_deck_real(const bm_deck_case_t *deck_case, const char *path);
int bm_deck_bool(const bm_deck_case_t *deck_case, const char *path);
const char *bm_deck_string(const bm_deck_case_t *deck_case, const char *path); /* STRING or PATH */
size_t bm_deck_int_list(const bm_deck_case_t *deck_case, const char *path, const int64_t **items);

/* A failure about one key's value, found later by the module that reads it: BM_ERR_DATA with
 * "file:line: case 'name': key = value: " before the text. */
bm_status_t bm_deck_fail(const bm_deck_case_t *deck_case, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The whole deck as it runs, defaults included, as libconfig text that loads to the same deck
 * (reals with 17 digits, integers beyond 32 bits with L). Where a value comes from (deck, --set,
 * default) stands in a comment. Owned by the deck. */
const char *bm_deck_echo(const bm_deck_t *deck);

/* Overrides that changed a value, as "group.key: old -> new", for the report; owned by the deck. */
size_t bm_deck_override_count(const bm_deck_t *deck);
const char *bm_deck_override(const bm_deck_t *deck, size_t index);

/* 64-bit hash (XXH64) over path and resolved value of every key that applies in the named groups
 * ("system,reference"), in table order; `run.seed` may be named as a group of its own. Values
 * that mean the same hash the same. */
uint64_t bm_deck_fingerprint(const bm_deck_case_t *deck_case, const char *groups);

#endif
