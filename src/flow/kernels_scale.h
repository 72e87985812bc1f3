/* The scale of a coupling. Part of kernels_body.h. */

#ifndef BOLTZMAP_FLOW_KERNELS_SCALE_H
#define BOLTZMAP_FLOW_KERNELS_SCALE_H

#include "kernels_vectors.h"

#ifdef BM_REAL_IS_DOUBLE

static void bound(size_t n, double cap, bm_real_t *s)
{
  for (size_t i = 0; i < n; i++) {
    s[i] = cap * tanh(s[i] / cap);
  }
}

static void exponential(size_t n, int minus, const bm_real_t *s, bm_real_t *e)
{
  for (size_t i = 0; i < n; i++) {
    e[i] = exp(minus ? -s[i] : s[i]);
  }
}

#else

/* e^x for |x| ≤ 80: x = k·log 2 + r with |r| ≤ log(2)/2, Taylor's series of e^r (rest 5e-9), and k in the
 * exponent. */
BM_INLINE vector_t exp_of(vector_t x)
{
  const float shift = 12582912.0f; /* 1.5·2^23: rounds what is added to it */
  vector_t k = x * 1.44269504f + shift;
  mask_t exponent = (mask_t)k << 23;
  k -= shift;
  vector_t r = x - k * 0.693145752f - k * 1.42860677e-6f; /* log 2 in two parts */
  vector_t e = r * (1.0f / 5040) + 1.0f / 720;
  e = e * r + 1.0f / 120;
  e = e * r + 1.0f / 24;
  e = e * r + 1.0f / 6;
  e = e * r + 0.5f;
  e = e * r + 1.0f;
  e = e * r + 1.0f;
  return (vector_t)((mask_t)e + exponent);
}

/* tanh: near 0 by a polynomial in x² (least relative error, 5e-9, up to |x| = 0.625), beyond by e^2x. */
BM_INLINE vector_t tanh_of(vector_t x)
{
  vector_t u = x * x;
  vector_t p = u * -0.00571704474f + 0.02065058701f;
  p = p * u - 0.05374349799f;
  p = p * u + 0.13331491286f;
  p = p * u - 0.33333283925f;
  vector_t near = x * u * p + x;
  vector_t size = (vector_t)((mask_t)x & 0x7fffffff);
  mask_t sign = (mask_t)x ^ (mask_t)size;
  vector_t least = (vector_t)((mask_t)(size < 9.5f)); /* beyond, tanh is 1 in float32 */
  vector_t far = 1.0f - 2.0f / (exp_of((vector_t)((mask_t)(2.0f * size) & (mask_t)least)) + 1.0f);
  far = (vector_t)(((mask_t)far & (mask_t)least) | ((mask_t)all(1.0f) & ~(mask_t)least));
  far = (vector_t)((mask_t)far | sign);
  mask_t is_near = (mask_t)(size < 0.625f) | (mask_t)(x != x); /* NaN stays NaN */
  return (vector_t)(((mask_t)near & is_near) | ((mask_t)far & ~is_near));
}

BM_INLINE vector_t bounded(vector_t s, float cap)
{
  return cap * tanh_of(s / cap);
}

static void bound(size_t n, double cap, bm_real_t *s)
{
  for (size_t i = 0; i < n; i += BM_LANES) {
    size_t count = n - i < BM_LANES ? n - i : BM_LANES;
    if (count == BM_LANES) {
      store(s + i, bounded(load(s + i), (float)cap));
    } else {
      store_some(s + i, 1, count, bounded(load_some(s + i, 1, count), (float)cap));
    }
  }
}

static void exponential(size_t n, int minus, const bm_real_t *s, bm_real_t *e)
{
  const float sign = minus ? -1.0f : 1.0f;
  for (size_t i = 0; i < n; i += BM_LANES) {
    size_t count = n - i < BM_LANES ? n - i : BM_LANES;
    if (count == BM_LANES) {
      store(e + i, exp_of(sign * load(s + i)));
    } else {
      store_some(e + i, 1, count, exp_of(sign * load_some(s + i, 1, count)));
    }
  }
}

#endif

#endif
