#ifndef BOLTZMAP_TESTS_UNIT_TRAIN_TERM_OF_TEXT_H
#define BOLTZMAP_TESTS_UNIT_TRAIN_TERM_OF_TEXT_H

/* The term of a loss from the text of a deck. */

#include "../model/case_of_text.h"
#include "boltzmap/train/loss.h"
#include "boltzmap/train/trainer.h"

/* For the system and the `training` group of these texts; `data` has the potential. */
static bm_status_t term_of(const char *system, const char *training, const bm_loss_data_t *data,
                           bm_loss_term_t **term)
{
  static const bm_deck_key_t *tables[TABLES_MAX];
  char text[9000];
  bm_context_t *context = NULL;
  bm_deck_t *deck = NULL;
  size_t count = add_system_tables(tables, 0);
  tables[count++] = bm_trainer_keys;
  for (size_t i = 0; bm_loss_table[i] != NULL; i++) {
    if (bm_loss_table[i]->keys != NULL) {
      tables[count++] = bm_loss_table[i]->keys;
    }
  }
  tables[count] = NULL;
  snprintf(text, sizeof text, "system: { %s };\ntraining: { %s };", system, training);
  *term = NULL;
  bm_status_t status = bm_context_create(MPI_COMM_SELF, &context);
  if (status == BM_OK) {
    status = deck_of_text(context, text, tables, &deck);
  }
  if (status == BM_OK) {
    status = bm_loss_term_create(bm_deck_case(deck, 0), data, term);
  }
  bm_deck_destroy(&deck);
  bm_context_destroy(&context);
  return status;
}

#endif
