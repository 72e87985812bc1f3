#include "boltzmap/model/pack.h"

#include <string.h>

const bm_pack_ops_t *bm_pack_find(const char *name)
{
  static const bm_pack_ops_t *const table[] = {&bm_pack_single, &bm_pack_double};
  for (size_t k = 0; k < sizeof table / sizeof table[0]; k++) {
    if (strcmp(table[k]->name, name) == 0) {
      return table[k];
    }
  }
  return NULL;
}
