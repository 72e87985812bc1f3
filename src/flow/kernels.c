#include "boltzmap/flow/kernels.h"

#include <assert.h>

const bm_kernels_t *const bm_kernels_table[] = {
#if defined(__x86_64__)
    &bm_kernels_v4,
    &bm_kernels_v3,
#endif
    &bm_kernels_generic,
    NULL,
};

const bm_kernels_t *bm_kernels_best(void)
{
  const bm_kernels_t *const *kernels = bm_kernels_table;
  while (!(*kernels)->runs_here()) {
    kernels++;
    assert(*kernels != NULL);
  }
  return *kernels;
}
