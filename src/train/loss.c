#include "boltzmap/train/loss.h"

#include <string.h>

#include "loss_rows.h"

const bm_loss_ops_t *const bm_loss_table[] = {&bm_loss_nll, NULL};
const char *const bm_loss_names[] = {"nll", NULL};

const bm_loss_ops_t *bm_loss_find(const char *name)
{
  for (size_t i = 0; bm_loss_table[i] != NULL; i++) {
    if (strcmp(bm_loss_table[i]->name, name) == 0) {
      return bm_loss_table[i];
    }
  }
  return NULL;
}
