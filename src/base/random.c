#include "boltzmap/base/random.h"

#include <assert.h>
#include <math.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include <Random123/philox.h>
#pragma GCC diagnostic pop

/* Two purposes with the same value are two equal case labels, which the compiler refuses. */
static uint32_t purpose_value(bm_purpose_t purpose)
{
  switch (purpose) {
#define BM_PURPOSE_CASE(name, value) \
  case name:                         \
    return value;
    BM_PURPOSE_TABLE(BM_PURPOSE_CASE)
#undef BM_PURPOSE_CASE
  }
  assert(0 && "unknown purpose");
  return 0;
}

bm_random_t bm_random(uint64_t seed, bm_purpose_t purpose)
{
  /* Philox keys have 64 bits: seed and purpose are hashed into one with Philox itself. */
  philox4x32_key_t key = {{0x626f6c74u, 0x7a6d6170u}};
  philox4x32_ctr_t counter = {{(uint32_t)seed, (uint32_t)(seed >> 32), purpose_value(purpose), 0}};
  philox4x32_ctr_t out = philox4x32(counter, key);
  return (bm_random_t){{out.v[0], out.v[1]}};
}

uint64_t bm_random_derive_seed(uint64_t seed, uint64_t index)
{
  uint32_t words[4];
  bm_random_words(bm_random(seed, BM_PURPOSE_REPLICA), 0, index, 0, words);
  return (uint64_t)words[0] | (uint64_t)words[1] << 32;
}

void bm_random_words(bm_random_t random, uint32_t stream, uint64_t step, uint32_t slot,
                     uint32_t words[4])
{
  assert(step < (UINT64_C(1) << 48) && slot < (1u << 16));
  philox4x32_key_t key = {{random.key[0], random.key[1]}};
  philox4x32_ctr_t counter = {{stream, (uint32_t)step, (uint32_t)(step >> 32) | slot << 16, 0}};
  philox4x32_ctr_t out = philox4x32(counter, key);
  for (int i = 0; i < 4; i++) {
    words[i] = out.v[i];
  }
}

/* 53 random bits centred in their cells, so that neither 0 nor 1 is reached. */
static double uniform_from(uint32_t low, uint32_t high)
{
  uint64_t bits = ((uint64_t)high << 32 | low) >> 11;
  return ((double)bits + 0.5) * 0x1p-53;
}

void bm_random_uniform2(bm_random_t random, uint32_t stream, uint64_t step, uint32_t slot,
                        double uniform[2])
{
  uint32_t words[4];
  bm_random_words(random, stream, step, slot, words);
  uniform[0] = uniform_from(words[0], words[1]);
  uniform[1] = uniform_from(words[2], words[3]);
}

void bm_random_normal2(bm_random_t random, uint32_t stream, uint64_t step, uint32_t slot,
                       double normal[2])
{
  double uniform[2];
  bm_random_uniform2(random, stream, step, slot, uniform);
  double radius = sqrt(-2.0 * log(uniform[0]));
  double angle = 2.0 * M_PI * uniform[1];
  normal[0] = radius * cos(angle);
  normal[1] = radius * sin(angle);
}

void bm_random_normals(bm_random_t random, uint32_t stream, uint64_t step, uint32_t first_slot,
                       size_t count, double *normal /* [count] */)
{
  for (size_t i = 0; i < count; i += 2) {
    double pair[2];
    bm_random_normal2(random, stream, step, first_slot + (uint32_t)(i / 2), pair);
    normal[i] = pair[0];
    if (i + 1 < count) {
      normal[i + 1] = pair[1];
    }
  }
}

uint64_t bm_random_below(bm_random_t random, uint32_t stream, uint64_t step, uint32_t slot,
                         uint64_t bound)
{
  assert(bound > 0);
  uint32_t words[4];
  bm_random_words(random, stream, step, slot, words);
  uint64_t bits = (uint64_t)words[1] << 32 | words[0];
  return (uint64_t)(((unsigned __int128)bits * bound) >> 64);
}

void bm_random_permutation(bm_random_t random, uint32_t stream, size_t count,
                           uint32_t *order /* [count] */)
{
  assert(count <= UINT32_MAX);
  for (size_t i = 0; i < count; i++) {
    order[i] = (uint32_t)i;
  }
  for (size_t i = count; i > 1; i--) {
    size_t j = (size_t)bm_random_below(random, stream, i, 0, i);
    uint32_t swap = order[i - 1];
    order[i - 1] = order[j];
    order[j] = swap;
  }
}
