#ifndef BOLTZMAP_IO_DECK_H
#define BOLTZMAP_IO_DECK_H

/* Decks: libconfig files checked against tables of keys. After loading, every key that applies has
 * a typed value in range, so that getters cannot fail; asking for a key that no table has, or with
 * another type, is a programmer's error (assert). A deck has a base (its own groups) and one or
 * more cases (the base with a case's groups laid over it).
 *
 * What a deck may say:
 * - Groups of keys ("system: { beta = 5.0; };") and `cases`, a list of groups, each with a `name`
 *   and the groups laid over the deck's own. Without `cases` there is one case, named after the
 *   run. The group `run` belongs to the deck: no case has it. The deck's own groups must be whole
 *   by themselves.
 * - run.name and the names of cases are names of folders: up to 100 letters, digits and . _ - +,
 *   not starting with . or -, none that the output folder uses itself (figures, target, deck.cfg,
 *   …).
 * - Integers are read as 64 bits, with or without libconfig's L, in decimal or hexadecimal; beyond
 *   64 bits is an error. A real number without a fraction, as 1e6, is taken for an integer up to
 *   2^53. An integer is taken for a real number. A real number that overflows is an error, one that
 *   underflows is 0.
 * - A string ends on its line. A path is relative to the folder of the deck, also in an included
 *   file; from --set, to the working folder. "" stays "".
 * - @include "file" stands at the start of a line and is relative to the folder of the deck. A deck
 *   with all it includes has at most 1 MiB.
 * - A value where its key does not apply is an error: in the deck's own groups, where it applies
 *   neither there nor in any case; in a case, where it does not apply in that case. A value of the
 *   base is no part of a case where it does not apply. Where a value applies no more only because
 *   of an override (--set), it is left out and listed with the overrides.
 * - Overrides have the syntax of the deck; a string or path may go without quotes. The last one of
 *   a key counts. One that applies nowhere is an error. */

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
 * table of the keys it reads. Several rows may have one path where at most one of them applies at
 * a time. The key that `when` names is in a table too and may itself depend on another; while it
 * does not apply, neither does what depends on it. */
typedef struct {
  const char *path; /* "group.key" */
  bm_deck_type_t type;
  /* Default as deck text ("8", "1e-3", "[256, 256]", "\"relu\""); NULL: the key must be given
   * wherever it applies. */
  const char *fallback;
  /* Inclusive range of numbers (of list items; length of a list is ≥ 1); ignored for other
   * types. */
  double low, high;
  const char *const *choices; /* allowed strings, ended by NULL; NULL: any string */
  /* "group.key=value|value…": the key applies only there, and giving it elsewhere is an error;
   * NULL: always. */
  const char *when;
  const char *help; /* one line, with the unit */
} bm_deck_key_t;

typedef struct bm_deck bm_deck_t;           /* a loaded deck; opaque */
typedef struct bm_deck_case bm_deck_case_t; /* one resolved case of it; opaque, owned by the deck */

/* Load, check and resolve the deck at `path`, read by rank 0, and give every rank the same
 * result. `overrides` are "group.key=value" texts (from --set; rank 0's count) that go over the
 * base and all cases. The tables have run.name among them and outlive the deck. Collective.
 * BM_ERR_DATA with file:line (or "--set group.key=value"), case, key, what was found and
 * expected and the nearest known key; BM_ERR_IO where the deck or a file it includes cannot be
 * read; BM_ERR_USAGE for a malformed override. The caller ends the deck with bm_deck_destroy. */
bm_status_t bm_deck_load(const bm_context_t *context, const char *path,
                         const char *const *overrides, size_t override_count,
                         const bm_deck_key_t *const *tables /* ended by NULL */, bm_deck_t **out);

void bm_deck_destroy(bm_deck_t **deck);

size_t bm_deck_case_count(const bm_deck_t *deck);

/* Case `index`; its name is unique in the deck and a valid folder name. The base has the run's. */
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
 * `file:line: case "name": key = value: ` before the text (no case where the deck has none, the
 * file alone for a default, "--set group.key=value" for an override). */
bm_status_t bm_deck_fail(const bm_deck_case_t *deck_case, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The whole deck as it runs, defaults included, as libconfig text that loads to the same deck
 * (reals with as many of 17 digits as it takes, integers beyond 32 bits with L, paths absolute).
 * Where a value comes from (file:line, --set, default) stands in a comment. A case has what
 * differs from the deck's own groups. Owned by the deck. */
const char *bm_deck_echo(const bm_deck_t *deck);

/* What overrides changed, for the report: "group.key: old -> new", with ` (case "name")` behind
 * where it is not so in the base; "(none)" for an old value that the deck lacks, "(does not
 * apply)" where there is no value. Owned by the deck. */
size_t bm_deck_override_count(const bm_deck_t *deck);
const char *bm_deck_override(const bm_deck_t *deck, size_t index);

/* 64-bit hash (XXH64) over path and resolved value of every key that applies in the named groups
 * ("system,reference"), in table order; a single key may be named too ("system,run.seed"). Values
 * that mean the same hash the same. Not for several threads at once. */
uint64_t bm_deck_fingerprint(const bm_deck_case_t *deck_case, const char *groups);

#endif
