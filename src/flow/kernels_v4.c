/* Compiled for x86-64-v4 (AVX-512); see the Makefile. */

#if defined(__x86_64__)

#include "kernels_body.h"

static int runs_here(void)
{
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd");
}

BM_KERNELS(bm_kernels_v4, "x86-64-v4", runs_here);

#endif
