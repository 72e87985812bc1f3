/* Compiled for x86-64-v3 (AVX2 and fused multiply-add); see the Makefile. */

#if defined(__x86_64__)

#include "kernels_body.h"

static int runs_here(void)
{
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi2");
}

BM_KERNELS(bm_kernels_v3, "x86-64-v3", runs_here);

#endif
