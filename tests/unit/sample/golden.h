/* Reading tests/golden/NAME; shared by the tests of this folder. */

#ifndef BOLTZMAP_TESTS_UNIT_SAMPLE_GOLDEN_H
#define BOLTZMAP_TESTS_UNIT_SAMPLE_GOLDEN_H

#include <stdio.h>
#include <stdlib.h>

#include "boltzmap/base/json.h"
#include "boltzmap/base/memory.h"

/* The parsed file; ends the program where it cannot be read. */
static bm_json_t *read_golden(const char *name)
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

#endif
