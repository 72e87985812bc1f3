#include "boltzmap/transport/products.h"

#include <stdint.h>
#include <string.h>
#ifdef __AVX__
#include <immintrin.h>
#endif

/* Vectors of the panel's width are a few registers; BM_PANEL_GROUP rows of them, the
 * panel's own and a spread coordinate fill the registers there are. Loops over them are unrolled by
 * pragma (which takes a literal only), or the sums would live in memory. */
#if defined(__AVX512F__)
#define BM_LANES 16
#elif defined(__AVX__)
#define BM_LANES 8
#else
#define BM_LANES 4
#endif
#define BM_VECTORS (BM_PANEL_WIDTH / BM_LANES)
#define BM_PANELS (BM_PANEL_BLOCK / BM_PANEL_WIDTH)
#define BM_SUMS (BM_PANEL_GROUP * BM_VECTORS)

typedef float vector_t __attribute__((vector_size(4 * BM_LANES)));
typedef int32_t bits_t __attribute__((vector_size(4 * BM_LANES)));

#define BM_INLINE static inline __attribute__((always_inline))

BM_INLINE vector_t load(const float *p)
{
  return *(const vector_t *)p;
}

BM_INLINE void start(const bm_products_t *p, size_t panel, vector_t sum[BM_SUMS])
{
#pragma GCC unroll 24
  for (size_t s = 0; s < BM_SUMS; s++) {
    sum[s] = -load(p->offset + panel * BM_PANEL_WIDTH + s % BM_VECTORS * BM_LANES) -
             p->lift[s / BM_VECTORS];
  }
}

/* Nearest integer of a number that is small, by the rounding of an addition. */
BM_INLINE vector_t nearest(vector_t value)
{
  const float shift = 12582912.0f; /* 1.5·2^23 */
  return value + shift - shift;
}

/* `torus` is known where this is compiled. */
BM_INLINE void add_terms(const bm_products_t *p, size_t panel, int torus, vector_t sum[BM_SUMS])
{
  const float *y = p->block + panel * BM_PANEL_WIDTH * p->d;
  const float *x = p->rows;
  for (size_t k = 0; k < p->d; k++, y += BM_PANEL_WIDTH, x += BM_PANEL_CHUNK) {
#pragma GCC unroll 24
    for (size_t s = 0; s < BM_SUMS; s++) {
      const vector_t column = load(y + s % BM_VECTORS * BM_LANES);
      if (torus) {
        vector_t difference = x[s / BM_VECTORS] - column;
        difference -= nearest(difference);
        sum[s] -= 0.5f * difference * difference;
      } else {
        sum[s] += x[s / BM_VECTORS] * column;
      }
    }
  }
}

/* Is there a lane whose sign bit is not set? */
BM_INLINE int any_hit(const vector_t sum[BM_SUMS])
{
  bits_t all = (bits_t)sum[0];
#pragma GCC unroll 24
  for (size_t s = 1; s < BM_SUMS; s++) {
    all &= (bits_t)sum[s];
  }
  uint64_t words[BM_LANES / 2], negative = UINT64_MAX;
  memcpy(words, &all, sizeof words);
  for (size_t w = 0; w < BM_LANES / 2; w++) {
    negative &= words[w];
  }
  const uint64_t signs = UINT64_C(0x8000000080000000);
  return (negative & signs) != signs;
}

BM_INLINE void store(const vector_t sum[BM_SUMS], size_t panel, float *values)
{
#pragma GCC unroll 24
  for (size_t s = 0; s < BM_SUMS; s++) {
    *(vector_t *)(values + s / BM_VECTORS * BM_PANEL_BLOCK + panel * BM_PANEL_WIDTH +
                  s % BM_VECTORS * BM_LANES) = sum[s];
  }
}

BM_INLINE int work(const bm_products_t *p, int torus, float *values)
{
  int hit = 0;
  for (size_t panel = 0; panel < BM_PANELS; panel++) {
    vector_t sum[BM_SUMS];
    start(p, panel, sum);
    add_terms(p, panel, torus, sum);
    hit |= any_hit(sum);
    store(sum, panel, values);
  }
  return hit;
}

int bm_products(const bm_products_t *p, float *values)
{
  return work(p, 0, values);
}

int bm_products_torus(const bm_products_t *p, float *values)
{
  return work(p, 1, values);
}

unsigned long long bm_products_hits(const float *values)
{
  unsigned long long hits = 0;
  for (size_t first = 0; first < BM_PANEL_BLOCK; first += BM_LANES) {
    const vector_t some = load(values + first);
#if defined(__AVX512F__)
    const unsigned mask = _mm512_cmp_ps_mask(some, _mm512_setzero_ps(), _CMP_GE_OQ);
#elif defined(__AVX__)
    const int mask = _mm256_movemask_ps(_mm256_cmp_ps(some, _mm256_setzero_ps(), _CMP_GE_OQ));
#else
    unsigned mask = 0;
    for (size_t l = 0; l < BM_LANES; l++) {
      mask |= (unsigned)(some[l] >= 0.0f) << l;
    }
#endif
    hits |= (unsigned long long)mask << first;
  }
  return hits;
}
