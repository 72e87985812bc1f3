/* What the tests of model and sample share: a deck from its text, and the potential in it. Included
 * once a test program. */

#ifndef BOLTZMAP_TESTS_UNIT_MODEL_CASE_OF_TEXT_H
#define BOLTZMAP_TESTS_UNIT_MODEL_CASE_OF_TEXT_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <mpi.h>

#include "boltzmap/base/status.h"
#include "boltzmap/io/deck.h"
#include "boltzmap/model/potential.h"
#include "boltzmap/parallel/context.h"

#define TABLES_MAX 32

static const bm_deck_key_t run_keys[] = {
    {"run.name", BM_DECK_STRING, NULL, 0, 0, NULL, NULL, "name of the run"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

/* Add the tables of the `system` group; gives the new number. */
static size_t add_system_tables(const bm_deck_key_t **tables, size_t count)
{
  tables[count++] = run_keys;
  tables[count++] = bm_potential_keys;
  for (size_t i = 0; bm_potential_table[i] != NULL; i++) {
    if (bm_potential_table[i]->keys != NULL) {
      tables[count++] = bm_potential_table[i]->keys;
    }
  }
  return count;
}

static bm_status_t deck_of_text(const bm_context_t *context, const char *text,
                                const bm_deck_key_t *const *tables, bm_deck_t **deck)
{
  char path[] = "/tmp/boltzmap-test-XXXXXX";
  int file = mkstemp(path);
  FILE *stream = file < 0 ? NULL : fdopen(file, "w");
  if (stream == NULL) {
    return BM_FAIL(BM_ERR_IO, "%s: cannot write a deck for the test", path);
  }
  fprintf(stream, "run: { name = \"test\"; };\n%s\n", text);
  fclose(stream);
  bm_status_t status = bm_deck_load(context, path, NULL, 0, tables, deck);
  unlink(path);
  return status;
}

/* The potential of a `system` group given as text; ends the program where there is none. */
static bm_potential_t *potential_of(const char *system)
{
  static const bm_deck_key_t *tables[TABLES_MAX];
  char text[9000];
  bm_context_t *context = NULL;
  bm_deck_t *deck = NULL;
  bm_potential_t *potential = NULL;
  tables[add_system_tables(tables, 0)] = NULL;
  snprintf(text, sizeof text, "system: { %s };", system);
  bm_status_t status = bm_context_create(MPI_COMM_SELF, &context);
  if (status == BM_OK) {
    status = deck_of_text(context, text, tables, &deck);
  }
  if (status == BM_OK) {
    status = bm_potential_create(bm_deck_case(deck, 0), &potential);
  }
  if (status != BM_OK) {
    fprintf(stderr, "%s\n", bm_status_message());
    exit(1);
  }
  bm_deck_destroy(&deck);
  bm_context_destroy(&context);
  return potential;
}

#endif
