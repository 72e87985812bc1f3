/* Vectors of one instruction set, and the sizes of tiles that its registers hold. Loops over the rows and
 * vectors of a tile are unrolled by pragma, or the sums would live in memory. Part of kernels_body.h. */

#ifndef BOLTZMAP_FLOW_KERNELS_VECTORS_H
#define BOLTZMAP_FLOW_KERNELS_VECTORS_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "boltzmap/base/tree.h"
#include "boltzmap/flow/kernels.h"

#if defined(__AVX512F__)
#define BM_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define BM_VECTOR_BYTES 32
#else
#define BM_VECTOR_BYTES 16
#endif

#ifdef BM_REAL_IS_DOUBLE
#define BM_ITEM_BYTES 8
typedef int64_t item_bits_t;
#else
#define BM_ITEM_BYTES 4
typedef int32_t item_bits_t;
#endif

#define BM_LANES (BM_VECTOR_BYTES / BM_ITEM_BYTES)
#define BM_VECTORS (BM_BLOCK / BM_LANES) /* a block */

/* Blocks and vectors of a panel, and rows of the highest tiles: their sums, a panel's row and a spread
 * item fill the vector registers (32 with AVX-512 and NEON, 16 else). */
#if BM_VECTORS == 1
#define BM_WIDE 2
#define BM_HEIGHT 14
#define BM_OUTER_HEIGHT 8
#elif BM_VECTORS == 2 && defined(__AVX512F__)
#define BM_WIDE 1
#define BM_HEIGHT 14
#define BM_OUTER_HEIGHT 8
#elif BM_VECTORS == 2
#define BM_WIDE 1
#define BM_HEIGHT 6
#define BM_OUTER_HEIGHT 6
#elif BM_VECTORS == 4 && defined(__ARM_NEON)
#define BM_WIDE 1
#define BM_HEIGHT 6
#define BM_OUTER_HEIGHT 6
#elif BM_VECTORS == 4
#define BM_WIDE 1
#define BM_HEIGHT 3
#define BM_OUTER_HEIGHT 3
#else
#define BM_WIDE 1
#define BM_HEIGHT 1
#define BM_OUTER_HEIGHT 1
#endif
#define BM_PANEL (BM_WIDE * BM_BLOCK)
#define BM_SUMS (BM_WIDE * BM_VECTORS) /* vectors a row of a tile */
#define BM_ROWS_AT_ONCE 128   /* of a product, so that they and a panel stay in the second cache */
#define BM_STRIP_ITEMS 131072 /* of b in an outer product, so that they stay in the second cache */

typedef bm_real_t vector_t __attribute__((vector_size(BM_VECTOR_BYTES)));
typedef item_bits_t mask_t __attribute__((vector_size(BM_VECTOR_BYTES)));
typedef bm_real_t anywhere_t
    __attribute__((vector_size(BM_VECTOR_BYTES), aligned(BM_ITEM_BYTES), may_alias));

/* Unroll a loop of at most `times` rounds wholly; by so many rounds. A literal. */
#define BM_PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define BM_UNROLL(times) BM_PRAGMA(clang loop unroll(full))
#define BM_UNROLL_BY(times) BM_PRAGMA(clang loop unroll_count(times))
#else
#define BM_UNROLL(times) BM_PRAGMA(GCC unroll times)
#define BM_UNROLL_BY(times) BM_PRAGMA(GCC unroll times)
#endif

#define BM_INLINE static inline __attribute__((always_inline))

BM_INLINE vector_t load(const bm_real_t *p)
{
  return *(const anywhere_t *)p;
}

BM_INLINE void store(bm_real_t *p, vector_t v)
{
  *(anywhere_t *)p = v;
}

BM_INLINE vector_t all(bm_real_t x)
{
  return (vector_t){0} + x;
}

/* Up to BM_LANES items that lie `step` apart, zeros behind the last; and back. */
BM_INLINE vector_t load_some(const bm_real_t *p, size_t step, size_t count)
{
  bm_real_t items[BM_LANES] = {0};
  if (count == BM_LANES && step == 1) {
    return load(p);
  }
  for (size_t l = 0; l < count; l++) {
    items[l] = p[l * step];
  }
  return load(items);
}

BM_INLINE void store_some(bm_real_t *p, size_t step, size_t count, vector_t v)
{
  bm_real_t items[BM_LANES];
  store(items, v);
  for (size_t l = 0; l < count; l++) {
    p[l * step] = items[l];
  }
}

/* v where x > 0, else 0. */
BM_INLINE vector_t where_positive(vector_t x, vector_t v)
{
#if defined(__AVX512F__) && defined(BM_REAL_IS_DOUBLE)
  __mmask8 mask = _mm512_cmp_pd_mask((__m512d)x, _mm512_setzero_pd(), _CMP_GT_OQ);
  return (vector_t)_mm512_maskz_mov_pd(mask, (__m512d)v);
#elif defined(__AVX512F__)
  __mmask16 mask = _mm512_cmp_ps_mask((__m512)x, _mm512_setzero_ps(), _CMP_GT_OQ);
  return (vector_t)_mm512_maskz_mov_ps(mask, (__m512)v);
#else
  return (vector_t)((mask_t)v & (mask_t)(x > (vector_t){0}));
#endif
}

/* x where it is positive, else 0: NaN becomes 0 in both this and the derivative. */
BM_INLINE vector_t rectified(vector_t x)
{
  return where_positive(x, x);
}

/* X for every height of a tile: one kernel each, with the height as a constant. */
#if BM_HEIGHT == 14
#define BM_EACH_HEIGHT(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#elif BM_HEIGHT == 6
#define BM_EACH_HEIGHT(X) X(1) X(2) X(3) X(4) X(5) X(6)
#elif BM_HEIGHT == 3
#define BM_EACH_HEIGHT(X) X(1) X(2) X(3)
#else
#define BM_EACH_HEIGHT(X) X(1)
#endif
#if BM_OUTER_HEIGHT == 8
#define BM_EACH_OUTER_HEIGHT(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
#else
#define BM_EACH_OUTER_HEIGHT(X) BM_EACH_HEIGHT(X)
#endif

/* Height of the next tile where `left` rows are left: all about as high, for low ones do not keep the
 * units busy. */
static size_t next_height(size_t left, size_t most)
{
  size_t tiles = (left + most - 1) / most;
  return (left + tiles - 1) / tiles;
}

#endif
