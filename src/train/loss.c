#include "boltzmap/train/loss.h"

#include <string.h>

const bm_loss_ops_t *const bm_loss_table[] = {
#define BM_LOSS_ROW(row, name) &bm_loss_##row,
    BM_LOSS_TABLE(BM_LOSS_ROW)
#undef BM_LOSS_ROW
        NULL,
};

const char *const bm_loss_names[] = {
#define BM_LOSS_ROW(row, name) name,
    BM_LOSS_TABLE(BM_LOSS_ROW)
#undef BM_LOSS_ROW
        NULL,
};

const bm_loss_ops_t *bm_loss_find(const char *name)
{
  for (size_t i = 0; bm_loss_table[i] != NULL; i++) {
    if (strcmp(bm_loss_table[i]->name, name) == 0) {
      return bm_loss_table[i];
    }
  }
  return NULL;
}
