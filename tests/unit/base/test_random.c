#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"

#define SEED 20240229u

/* Plain Philox4x32-10 from the article's definition (Salmon et al., SC'11, section 3.3). */
static void plain_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
  uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
  uint32_t k[2] = {key[0], key[1]};
  for (int round = 0; round < 10; round++) {
    uint64_t a = (uint64_t)0xD2511F53u * c[0];
    uint64_t b = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k[0], (uint32_t)b,
                        (uint32_t)(a >> 32) ^ c[3] ^ k[1], (uint32_t)a};
    memcpy(c, next, sizeof c);
    k[0] += 0x9E3779B9u;
    k[1] += 0xBB67AE85u;
  }
  memcpy(out, c, sizeof c);
}

/* The three philox4x32-10 lines of kat_vectors, which Random123 is published with. */
static void plain_philox_gives_the_published_answers(void **state)
{
  (void)state;
  static const uint32_t known[3][10] = {
      {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
      {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d,
       0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
      {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
       0x94fdcceb, 0x5001e420, 0x24126ea1},
  };
  for (int i = 0; i < 3; i++) {
    uint32_t out[4];
    plain_philox(known[i], known[i] + 4, out);
    assert_memory_equal(out, known[i] + 6, sizeof out);
  }
}

/* stream, step and slot fill the first three counter words, each in bits of its own. */
static void words_are_philox_of_key_and_place(void **state)
{
  (void)state;
  const uint32_t streams[] = {0, 1, 0x85a308d3, UINT32_MAX};
  const uint64_t steps[] = {0, 1, UINT64_C(0xdeadbeef), (UINT64_C(1) << 48) - 1};
  const uint32_t slots[] = {0, 1, 0x7abc, 0xffff};
  const bm_random_t randoms[] = {
      {{0, 0}}, {{0xa4093822, 0x299f31d0}}, bm_random(SEED, BM_PURPOSE_TEST)};
  for (size_t i = 0; i < 3 * 4 * 4 * 4; i++) {
    bm_random_t random = randoms[i / 64];
    uint32_t stream = streams[i / 16 % 4];
    uint64_t step = steps[i / 4 % 4];
    uint32_t slot = slots[i % 4];
    const uint32_t counter[4] = {stream, (uint32_t)step, (uint32_t)(step >> 32) | slot << 16, 0};
    uint32_t expected[4];
    uint32_t words[4];
    plain_philox(counter, random.key, expected);
    bm_random_words(random, stream, step, slot, words);
    assert_memory_equal(words, expected, sizeof words);
  }
}

static void purposes_and_seeds_have_keys_of_their_own(void **state)
{
  (void)state;
  static const bm_purpose_t purposes[] = {
#define PURPOSE_NAME(name, value) name,
      BM_PURPOSE_TABLE(PURPOSE_NAME)
#undef PURPOSE_NAME
  };
  const uint64_t seeds[] = {0, 1, 2, SEED, UINT64_C(1) << 32, UINT64_MAX};
  const size_t purpose_count = sizeof purposes / sizeof purposes[0];
  const size_t count = purpose_count * (sizeof seeds / sizeof seeds[0]);
  uint64_t keys[256];
  assert_true(count <= sizeof keys / sizeof keys[0]);
  for (size_t i = 0; i < count; i++) {
    bm_random_t random = bm_random(seeds[i / purpose_count], purposes[i % purpose_count]);
    keys[i] = (uint64_t)random.key[1] << 32 | random.key[0];
    for (size_t k = 0; k < i; k++) {
      assert_true(keys[k] != keys[i]);
    }
  }
}

static void derived_seeds_differ(void **state)
{
  (void)state;
  uint64_t seeds[200];
  for (size_t i = 0; i < 200; i++) {
    seeds[i] = bm_random_derive_seed(SEED + i / 100, i % 100);
    assert_true(seeds[i] >> 32 != 0);
    for (size_t k = 0; k < i; k++) {
      assert_true(seeds[k] != seeds[i]);
    }
  }
}

/* Sample moments of n numbers against known means, at 5.5 standard errors; n is large enough for the
 * normal limit, so that each comparison fails by chance with probability 4e-8. */
#define MOMENTS 6
static void check_moments(size_t n, const double sums[MOMENTS], const double means[MOMENTS],
                          const double variances[MOMENTS])
{
  for (int k = 0; k < MOMENTS; k++) {
    double error = 5.5 * sqrt(variances[k] / (double)n);
    assert_true(fabs(sums[k] / (double)n - means[k]) < error);
  }
}

static void normals_have_the_moments_of_a_normal(void **state)
{
  (void)state;
  const size_t n = 400000;
  bm_random_t random = bm_random(SEED, BM_PURPOSE_TEST);
  double sums[MOMENTS] = {0};
  for (size_t i = 0; i < n; i++) {
    double z[2];
    bm_random_normal2(random, (uint32_t)(i % 1000), i / 1000, 3, z);
    const double terms[MOMENTS] = {z[0],           z[0] * z[0], z[0] * z[0] * z[0],
                                   pow(z[0], 4.0), z[0] * z[1], fabs(z[1]) > 2.0};
    for (int k = 0; k < MOMENTS; k++) {
      sums[k] += terms[k];
    }
  }
  const double tail = erfc(2.0 / sqrt(2.0));
  const double means[MOMENTS] = {0, 1, 0, 3, 0, tail};
  const double variances[MOMENTS] = {1, 2, 15, 96, 1, tail * (1.0 - tail)};
  check_moments(n, sums, means, variances);
}

static void uniforms_lie_inside_and_have_the_moments_of_a_uniform(void **state)
{
  (void)state;
  const size_t n = 400000;
  bm_random_t random = bm_random(SEED + 1, BM_PURPOSE_TEST);
  double sums[MOMENTS] = {0};
  for (size_t i = 0; i < n; i++) {
    double u[2];
    bm_random_uniform2(random, 7, i, 0, u);
    assert_true(u[0] > 0.0 && u[0] < 1.0 && u[1] > 0.0 && u[1] < 1.0);
    const double terms[MOMENTS] = {u[0] - 0.5, u[1] - 0.5, (u[0] - 0.5) * (u[1] - 0.5),
                                   (u[0] - 0.5) * (u[0] - 0.5), u[0]<0.001, u[1]> 0.999};
    for (int k = 0; k < MOMENTS; k++) {
      sums[k] += terms[k];
    }
  }
  const double means[MOMENTS] = {0, 0, 0, 1.0 / 12, 0.001, 0.001};
  const double variances[MOMENTS] = {1.0 / 12,  1.0 / 12,      1.0 / 144,
                                     1.0 / 180, 0.001 * 0.999, 0.001 * 0.999};
  check_moments(n, sums, means, variances);
}

/* An odd count ends with half a pair, and nothing behind it is touched. */
static void normals_of_a_row_are_the_pairs_of_its_slots(void **state)
{
  (void)state;
  bm_random_t random = bm_random(SEED, BM_PURPOSE_TEST);
  double row[6] = {0, 0, 0, 0, 0, -77.0};
  bm_random_normals(random, 5, 9, 4, 5, row);
  for (uint32_t i = 0; i < 5; i++) {
    double pair[2];
    bm_random_normal2(random, 5, 9, 4 + i / 2, pair);
    assert_memory_equal(&row[i], &pair[i % 2], sizeof pair[0]);
  }
  assert_true(row[5] <= -77.0 && row[5] >= -77.0);
}

static void integers_below_a_bound_are_uniform(void **state)
{
  (void)state;
  const size_t n = 300000;
  const uint64_t bound = 7;
  size_t seen[7] = {0};
  bm_random_t random = bm_random(SEED, BM_PURPOSE_SUBSAMPLE);
  for (size_t i = 0; i < n; i++) {
    uint64_t drawn = bm_random_below(random, 1, i, 2, bound);
    assert_true(drawn < bound);
    seen[drawn]++;
    assert_int_equal(bm_random_below(random, 1, i, 2, 1), 0);
  }
  double expected = (double)n / 7.0;
  for (int k = 0; k < 7; k++) {
    assert_true(fabs((double)seen[k] - expected) < 5.5 * sqrt(expected * 6.0 / 7.0));
  }
}

/* Every number once; and item 0 is as likely at each place. */
static void permutations_are_bijections_and_uniform(void **state)
{
  (void)state;
  bm_random_t random = bm_random(SEED, BM_PURPOSE_SHUFFLE);
  uint32_t order[1000];
  char seen[1000] = {0};
  bm_random_permutation(random, 3, 1000, order);
  for (size_t i = 0; i < 1000; i++) {
    assert_true(order[i] < 1000 && !seen[order[i]]);
    seen[order[i]] = 1;
  }
  const size_t n = 60000;
  size_t place[6] = {0};
  for (uint32_t stream = 0; stream < n; stream++) {
    bm_random_permutation(random, stream, 6, order);
    for (size_t i = 0; i < 6; i++) {
      place[i] += order[i] == 0;
    }
  }
  double expected = (double)n / 6.0;
  for (int i = 0; i < 6; i++) {
    assert_true(fabs((double)place[i] - expected) < 5.5 * sqrt(expected * 5.0 / 6.0));
  }
  bm_random_permutation(random, 0, 0, order);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plain_philox_gives_the_published_answers),
      cmocka_unit_test(words_are_philox_of_key_and_place),
      cmocka_unit_test(purposes_and_seeds_have_keys_of_their_own),
      cmocka_unit_test(derived_seeds_differ),
      cmocka_unit_test(normals_have_the_moments_of_a_normal),
      cmocka_unit_test(uniforms_lie_inside_and_have_the_moments_of_a_uniform),
      cmocka_unit_test(normals_of_a_row_are_the_pairs_of_its_slots),
      cmocka_unit_test(integers_below_a_bound_are_uniform),
      cmocka_unit_test(permutations_are_bijections_and_uniform),
  };
  return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
