/* Vectors of replicas: arithmetic on BM_LANES of them at once, in float or, with BM_LANE_DOUBLE, in
 * double, by GCC's vector types, so that AVX-512, AVX2 and NEON come from one source. Included by the
 * two files that compile the kernels (pack_single.c, pack_double.c) and nothing else.
 *
 * A lane's result depends on that lane alone. Reciprocal square roots come from arithmetic, not from
 * the processor's approximations, which differ between makers. */

#ifndef BOLTZMAP_MODEL_LANES_H
#define BOLTZMAP_MODEL_LANES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#ifdef __AVX512DQ__
#define BM_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define BM_VECTOR_BYTES 32
#else
#define BM_VECTOR_BYTES 16
#endif

#ifdef BM_LANE_DOUBLE
typedef double scalar_t;
typedef int64_t bits_t;
typedef uint64_t pattern_bits_t;
#define BM_LANES (BM_VECTOR_BYTES / 8)
#else
typedef float scalar_t;
typedef int32_t bits_t;
typedef uint32_t pattern_bits_t;
#define BM_LANES (BM_VECTOR_BYTES / 4)
#endif

typedef scalar_t lane_t __attribute__((vector_size(BM_VECTOR_BYTES)));
typedef bits_t mask_t __attribute__((vector_size(BM_VECTOR_BYTES))); /* all ones or zeros a lane */
/* the bits of numbers, for arithmetic that may wrap around */
typedef pattern_bits_t pattern_t __attribute__((vector_size(BM_VECTOR_BYTES)));
typedef float float_t_ __attribute__((vector_size(4 * BM_LANES)));
typedef int32_t int_t_ __attribute__((vector_size(4 * BM_LANES)));
typedef uint32_t word_t __attribute__((vector_size(4 * BM_LANES)));

#define BM_INLINE static inline __attribute__((always_inline))

BM_INLINE lane_t all(scalar_t x)
{
  return (lane_t){0} + x;
}

BM_INLINE lane_t choose(mask_t mask, lane_t yes, lane_t no)
{
  return (lane_t)((mask & (mask_t)yes) | (~mask & (mask_t)no));
}

/* The larger and the smaller of two; b where either is NaN. */
BM_INLINE lane_t larger(lane_t a, lane_t b)
{
#if BM_VECTOR_BYTES == 64 && defined(BM_LANE_DOUBLE)
  return (lane_t)_mm512_max_pd((__m512d)a, (__m512d)b);
#elif BM_VECTOR_BYTES == 64
  return (lane_t)_mm512_max_ps((__m512)a, (__m512)b);
#else
  return choose(a > b, a, b);
#endif
}

BM_INLINE lane_t smaller(lane_t a, lane_t b)
{
  return -larger(-a, -b);
}

BM_INLINE lane_t absolute(lane_t x)
{
  return choose(x < 0, -x, x);
}

/* Is the mask set in any lane? */
BM_INLINE int any(mask_t mask)
{
#if BM_VECTOR_BYTES == 64 && defined(BM_LANE_DOUBLE)
  return _mm512_movepi64_mask((__m512i)mask) != 0;
#elif BM_VECTOR_BYTES == 64
  return _mm512_movepi32_mask((__m512i)mask) != 0;
#elif BM_VECTOR_BYTES == 32
  return _mm256_movemask_epi8((__m256i)mask) != 0;
#else
  bits_t found = 0;
  for (size_t k = 0; k < BM_LANES; k++) {
    found |= mask[k];
  }
  return found != 0;
#endif
}

/* Coefficients from the constant up, by Horner's rule. */
BM_INLINE lane_t polynomial(const scalar_t *coefficients, int degree, lane_t x)
{
  lane_t value = all(coefficients[degree]);
  for (int k = degree - 1; k >= 0; k--) {
    value = value * x + coefficients[k];
  }
  return value;
}

/* 1/sqrt(x) for x > 0 and not subnormal. A first guess y from the exponent leaves a rest r = 1 - x·y²,
 * |r| < 0.0682, and 1/sqrt(x) = y·(1 - r)^(-1/2), by the polynomial of degree 4 with the least relative
 * error, 2.3e-8; in double two steps of Newton's method more (1e-15, 2e-30). */
BM_INLINE lane_t inverse_sqrt(lane_t x)
{
  static const scalar_t series[4] = {(scalar_t)0.4999983498, (scalar_t)0.3749976761,
                                     (scalar_t)0.3139297829, (scalar_t)0.2749585225};
#ifdef BM_LANE_DOUBLE
  lane_t y = (lane_t)(0x5fe6e8e000000000u - ((pattern_t)x >> 1));
#else
  lane_t y = (lane_t)(0x5f374700u - ((pattern_t)x >> 1));
#endif
  lane_t rest = 1 - x * y * y;
  y = y + y * rest * polynomial(series, 3, rest);
#ifdef BM_LANE_DOUBLE
  y = y + 0.5 * y * (1 - x * y * y);
  y = y + 0.5 * y * (1 - x * y * y);
#endif
  return y;
}

BM_INLINE lane_t square_root(lane_t x)
{
  return x * inverse_sqrt(larger(x, all((scalar_t)1e-30)));
}

/* 2^x for x ≤ 0; below the smallest normal number it stays there. x = n + f, |f| ≤ 1/2, and for 2^f in
 * double Taylor's series up to f^13, whose remainder is below 5e-18 of the value, in float the polynomial
 * of degree 5 with the least relative error, 7.5e-8. */
BM_INLINE lane_t power_of_two(lane_t x)
{
#ifdef BM_LANE_DOUBLE
  enum { DEGREE = 13, FRACTION_BITS = 52, LEAST = -1022 };
  const scalar_t shift = 0x1.8p52;
  static const scalar_t series[DEGREE + 1] = {
      1.0,
      6.931471805599453094e-1,
      2.402265069591007123e-1,
      5.550410866482157995e-2,
      9.618129107628477232e-3,
      1.333355814642844342e-3,
      1.540353039338160995e-4,
      1.525273380405984028e-5,
      1.321548679014430949e-6,
      1.017808600923969973e-7,
      7.054911620801123330e-9,
      4.445538271870811497e-10,
      2.567843599348820514e-11,
      1.369148885390412889e-12,
  };
#else
  enum { DEGREE = 5, FRACTION_BITS = 23, LEAST = -126 };
  const scalar_t shift = 0x1.8p23f;
  static const scalar_t series[DEGREE + 1] = {1.000000072f,   0.6931469671f,   0.2402211972f,
                                              0.05550713275f, 0.009675541331f, 0.001327647146f};
#endif
  x = larger(x, all((scalar_t)LEAST));
  lane_t shifted = x + shift;
  lane_t fraction = x - (shifted - shift);
  lane_t value = polynomial(series, DEGREE, fraction);
  return (lane_t)((pattern_t)value + ((pattern_t)shifted << FRACTION_BITS));
}

#ifdef BM_LANE_DOUBLE
/* Natural logarithm of x > 0, normal: x = 2^e·m, m in [sqrt(1/2), sqrt(2)), and the series of
 * 2·artanh(z), z = (m - 1)/(m + 1), |z| < 0.172, up to z^21: the rest is below 1e-17. */
BM_INLINE lane_t logarithm(lane_t x)
{
  mask_t exponent = ((mask_t)x - 0x3fe6a09e667f3bcd) >> 52;
  lane_t m = (lane_t)((pattern_t)x - ((pattern_t)exponent << 52));
  lane_t z = (m - 1) / (m + 1);
  lane_t y = z * z;
  lane_t sum = all(1.0 / 21.0);
  for (int k = 19; k >= 1; k -= 2) {
    sum = sum * y + 1.0 / k;
  }
  return __builtin_convertvector(exponent, lane_t) * 6.931471805599453094e-1 + 2.0 * z * sum;
}
#endif

/* arccos(c)/sin(arccos(c)) for c in [0, 1]: in float by the polynomial of degree 8 with the least
 * relative error, 7.1e-8. */
BM_INLINE lane_t angle_over_sine(lane_t c)
{
#ifdef BM_LANE_DOUBLE
  lane_t ratio;
  for (size_t k = 0; k < BM_LANES; k++) {
    ratio[k] = c[k] < 1.0 ? acos(c[k]) / sqrt((1.0 - c[k]) * (1.0 + c[k])) : 1.0;
  }
  return ratio;
#else
  static const float series[9] = {1.570796216f,   -0.9999815174f,  0.7848809898f,
                                  -0.6609693133f, 0.5565562253f,   -0.4235830082f,
                                  0.2520868732f,  -0.09726536649f, 0.01747897124f};
  return polynomial(series, 8, c);
#endif
}

#endif
