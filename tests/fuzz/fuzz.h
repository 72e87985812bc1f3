#ifndef BOLTZMAP_TESTS_FUZZ_FUZZ_H
#define BOLTZMAP_TESTS_FUZZ_FUZZ_H

/* Readers of files that people bring, fed by libFuzzer. A target is a row of a table: a reader, and what has
 * to hold of everything that it takes. fuzz.c says what has to hold of a refusal. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"

typedef struct {
  const char *name;   /* also that of its folder of seeds */
  void (*open)(void); /* once, before the first input; NULL: nothing to do */
  void (*run)(const uint8_t *bytes, size_t count);
} fuzz_target_t;

extern const fuzz_target_t fuzz_text_targets[];   /* fuzz_text.c, ended by NULL */
extern const fuzz_target_t fuzz_stored_targets[]; /* fuzz_stored.c */
extern const fuzz_target_t fuzz_edit_targets[];   /* fuzz_edits.c */

extern const bm_context_t *fuzz_context; /* of this process alone */

/* What cannot be wrong, whatever the input; ends the process, which libFuzzer reports with the input. */
#define FUZZ_REQUIRE(condition)                                                   \
  do {                                                                            \
    if (!(condition)) {                                                           \
      fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition, \
              bm_status_message());                                               \
      abort();                                                                    \
    }                                                                             \
  } while (0)

/* Is this input taken? If not, the refusal has to be one: of its content, with a message. */
int fuzz_is_taken(bm_status_t status);

/* Put bytes into the file `name` of a folder of this process; gives its path, valid until the next call.
 * The folder also has the molecules of input/. */
const char *fuzz_file(const char *name, const void *bytes, size_t count);

/* The input as a string of its own, owned by the caller (free). */
char *fuzz_text(const uint8_t *bytes, size_t count);

#endif
