/* Compiled for the least that the build asks for; see the Makefile. */

#include "kernels_body.h"

static int runs_here(void)
{
  return 1;
}

BM_KERNELS(bm_kernels_generic, "generic", runs_here);
