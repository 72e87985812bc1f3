#ifndef BOLTZMAP_TESTS_UNIT_GOLDEN_H
#define BOLTZMAP_TESTS_UNIT_GOLDEN_H

/* Reading tests/golden/NAME, and making the numbers that its scripts make. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "boltzmap/base/json.h"
#include "boltzmap/base/memory.h"

/* The parsed file; ends the program where it cannot be read. */
static inline bm_json_t *read_golden(const char *name)
{
  const char *top = getenv("BM_TOP");
  char path[4096];
  char *text = NULL;
  bm_json_t *json = NULL;
  snprintf(path, sizeof path, "%s/tests/golden/%s", top == NULL ? "." : top, name);
  FILE *file = fopen(path, "r");
  long size = -1;
  if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
    size = ftell(file);
    rewind(file);
  }
  if (size < 0 || BM_ALLOC((size_t)size + 1, &text) != BM_OK ||
      fread(text, 1, (size_t)size, file) != (size_t)size ||
      bm_json_parse(path, text, &json) != BM_OK) {
    fprintf(stderr, "%s: cannot be read: %s\n", path, bm_status_message());
    exit(1);
  }
  fclose(file);
  bm_free(text);
  return json;
}

static inline double golden_number(const bm_json_t *object, const char *name)
{
  return bm_json_number(bm_json_get(object, name));
}

static inline size_t golden_size(const bm_json_t *object, const char *name)
{
  return (size_t)golden_number(object, name);
}

/* made_numbers of tests/golden/made_numbers.py, to the last bit: s = a·s + c modulo 2^64, scale times
 * (the top 20 bits over 2^20, less 1/2). */
static inline void made_numbers(uint64_t seed, double scale, size_t count, double *values)
{
  uint64_t s = seed;
  for (size_t i = 0; i < count; i++) {
    s = s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    values[i] = scale * ((double)(s >> 44) * 0x1p-20 - 0.5);
  }
}

#endif
