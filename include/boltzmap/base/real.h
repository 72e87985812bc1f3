#ifndef BOLTZMAP_BASE_REAL_H
#define BOLTZMAP_BASE_REAL_H

/* The arithmetic of the flow. The program computes in float32; the same code compiled with
 * BM_REAL_IS_DOUBLE is the float64 reference that tests compare with. */

#ifdef BM_REAL_IS_DOUBLE
typedef double bm_real_t;
#define BM_REAL_NAME "float64"
#define BM_REAL_EPSILON 0x1p-52
#else
typedef float bm_real_t;
#define BM_REAL_NAME "float32"
#define BM_REAL_EPSILON 0x1p-23
#endif

#endif
