/* Random numbers in lanes: the words of bm_random_words, a walker a lane, and normals of them. */

#ifndef BOLTZMAP_MODEL_LANES_RANDOM_H
#define BOLTZMAP_MODEL_LANES_RANDOM_H

#include "boltzmap/base/random.h"
#include "lanes.h"

/* High and low halves of the 64-bit products of 32-bit words with a constant. */
BM_INLINE void multiply(word_t x, uint32_t factor, word_t *high, word_t *low)
{
#if defined(__AVX512F__) && BM_VECTOR_BYTES == 64 && !defined(BM_LANE_DOUBLE)
  __m512i m = _mm512_set1_epi32((int)factor);
  __m512i even = _mm512_mul_epu32((__m512i)x, m);
  __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64((__m512i)x, 32), m);
  *low = (word_t)_mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
  *high = (word_t)_mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
#elif defined(__AVX2__) && 4 * BM_LANES == 32
  __m256i m = _mm256_set1_epi32((int)factor);
  __m256i even = _mm256_mul_epu32((__m256i)x, m);
  __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64((__m256i)x, 32), m);
  *low = (word_t)_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
  *high = (word_t)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
#else
  word_t below = {0}, beyond = {0};
  for (size_t k = 0; k < BM_LANES; k++) {
    uint64_t product = (uint64_t)x[k] * factor;
    below[k] = (uint32_t)product;
    beyond[k] = (uint32_t)(product >> 32);
  }
  *low = below;
  *high = beyond;
#endif
}

/* Philox4x32-10 (constants of Salmon et al., SC'11) of counters given in `words`, in place. */
BM_INLINE void philox(bm_random_t random, word_t words[4])
{
  uint32_t key[2] = {random.key[0], random.key[1]};
  for (int round = 0; round < 10; round++) {
    word_t high[2];
    word_t low[2];
    multiply(words[0], 0xd2511f53u, &high[0], &low[0]);
    multiply(words[2], 0xcd9e8d57u, &high[1], &low[1]);
    words[0] = high[1] ^ words[1] ^ key[0];
    words[1] = low[1];
    words[2] = high[0] ^ words[3] ^ key[1];
    words[3] = low[0];
    key[0] += 0x9e3779b9u;
    key[1] += 0xbb67ae85u;
  }
}

/* The words of bm_random_words(random, stream, step, slot) for BM_LANES streams. */
BM_INLINE void random_words(bm_random_t random, word_t streams, uint64_t step, uint32_t slot,
                            word_t words[4])
{
  words[0] = streams;
  words[1] = (word_t){0} + (uint32_t)step;
  words[2] = (word_t){0} + ((uint32_t)(step >> 32) | slot << 16);
  words[3] = (word_t){0};
  philox(random, words);
}

BM_INLINE float_t_ float_choose(int_t_ mask, float_t_ yes, float_t_ no)
{
  return (float_t_)((mask & (int_t_)yes) | (~mask & (int_t_)no));
}

/* Natural logarithm in float of x in (0, 1]: x = 2^e·m, m in [sqrt(1/2), sqrt(2)), and the series of
 * 2·artanh(z), z = (m - 1)/(m + 1), |z| < 0.172, up to z^7: the rest is below 6e-8 of the value. */
BM_INLINE float_t_ float_logarithm(float_t_ x)
{
  int_t_ exponent = ((int_t_)x - 0x3f3504f3) >> 23;
  float_t_ m = (float_t_)((word_t)x - ((word_t)exponent << 23));
  float_t_ z = (m - 1) / (m + 1);
  float_t_ y = z * z;
  float_t_ sum = ((y * (1.0f / 7.0f) + 0.2f) * y + (1.0f / 3.0f)) * y + 1.0f;
  return __builtin_convertvector(exponent, float_t_) * 6.931471806e-1f + 2 * z * sum;
}

BM_INLINE float_t_ float_square_root(float_t_ x)
{
  float_t_ y = (float_t_)(0x5f375a86u - ((word_t)x >> 1));
  y = y * (1.5f - 0.5f * x * y * y);
  float_t_ rest = 1 - x * y * y;
  y = y + y * rest * (0.5f + 0.375f * rest);
  return x * y;
}

/* Two standard normals from two words (Box, Muller, Annals of Mathematical Statistics 29, 610 (1958)):
 * the radius from 24 bits of the first, up to 5.9; the angle from the second, over half a turn, and the
 * other half from a bit of the first that the radius does not use. Sine and cosine of pi·t, |t| ≤ 1/2,
 * by Taylor's series: the rests are below 6e-8 and 5e-7. */
BM_INLINE void normal_pair(word_t first, word_t second, float_t_ *a, float_t_ *b)
{
  float_t_ uniform = (__builtin_convertvector((int_t_)(first >> 8), float_t_) + 0.5f) * 0x1p-24f;
  float_t_ radius = float_square_root(-2.0f * float_logarithm(uniform));
  float_t_ t = __builtin_convertvector((int_t_)second, float_t_) * 0x1p-32f;
  float_t_ y = t * t;
  float_t_ sine = 8.2145886611e-2f - 7.3704309457e-3f * y;
  sine = sine * y - 5.9926452932e-1f;
  sine = sine * y + 2.5501640399f;
  sine = sine * y - 5.1677127800f;
  sine = (sine * y + 3.1415926536f) * t;
  float_t_ cosine = 2.3533063036e-1f - 2.5806891390e-2f * y;
  cosine = cosine * y - 1.3352627689f;
  cosine = cosine * y + 4.0587121264f;
  cosine = cosine * y - 4.9348022005f;
  cosine = cosine * y + 1.0f;
  *a = radius * sine;
  *b = radius * (float_t_)((word_t)cosine ^ (first << 31));
}

#endif
