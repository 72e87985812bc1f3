#ifndef BOLTZMAP_BASE_RANDOM_H
#define BOLTZMAP_BASE_RANDOM_H

/* Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC'11; Random123).
 * A number is a pure function of (seed, purpose, stream, step, slot) and never of rank, thread or
 * the order of calls, so that any distribution of the work gives the same numbers.
 *   seed     64 bits, from the deck
 *   purpose  what the number is for: one row of the table below, mixed into the key
 *   stream   walker, row or whatever is independent of its like (32 bits)
 *   step     time step or sweep (48 bits)
 *   slot     which number of that step (16 bits) */

#include <stddef.h>
#include <stdint.h>

/* Purposes. The values go into the key: never reuse or renumber one; equal ones do not compile
 * (random.c switches over them). */
#define BM_PURPOSE_TABLE(X)       \
  X(BM_PURPOSE_SAMPLER_START, 1)  \
  X(BM_PURPOSE_SAMPLER_MOVE, 2)   \
  X(BM_PURPOSE_SAMPLER_ACCEPT, 3) \
  X(BM_PURPOSE_FLOW_INIT, 4)      \
  X(BM_PURPOSE_SHUFFLE, 5)        \
  X(BM_PURPOSE_LOSS_BASE, 6)      \
  X(BM_PURPOSE_GENERATE, 7)       \
  X(BM_PURPOSE_PROJECTION, 8)     \
  X(BM_PURPOSE_SUBSAMPLE, 9)      \
  X(BM_PURPOSE_BOOTSTRAP, 10)     \
  X(BM_PURPOSE_ASCENT, 11)        \
  X(BM_PURPOSE_OBSERVE, 12)       \
  X(BM_PURPOSE_REPLICA, 13)       \
  X(BM_PURPOSE_SYMMETRY, 14)      \
  X(BM_PURPOSE_VELOCITY, 15)      \
  X(BM_PURPOSE_EXCHANGE, 16)      \
  X(BM_PURPOSE_LEVEL, 17)         \
  X(BM_PURPOSE_NOISE, 18)         \
  X(BM_PURPOSE_PAIR_BASE, 19)     \
  X(BM_PURPOSE_PAIR_DRAW, 20)     \
  X(BM_PURPOSE_TEST, 255)

typedef enum {
#define BM_PURPOSE_ENUM(name, value) name = value,
  BM_PURPOSE_TABLE(BM_PURPOSE_ENUM)
#undef BM_PURPOSE_ENUM
} bm_purpose_t;

typedef struct {
  uint32_t key[2];
} bm_random_t;

/* The generator for one seed and purpose. */
bm_random_t bm_random(uint64_t seed, bm_purpose_t purpose);

/* A new seed that depends on the old one and an index: for independent replicas of a whole
 * computation. */
uint64_t bm_random_derive_seed(uint64_t seed, uint64_t index);

/* Four uniform 32-bit words. */
void bm_random_words(bm_random_t random, uint32_t stream, uint64_t step, uint32_t slot,
                     uint32_t words[4]);

/* Two uniforms in the open interval (0, 1), 53 bits each. */
void bm_random_uniform2(bm_random_t random, uint32_t stream, uint64_t step, uint32_t slot,
                        double uniform[2]);

/* Two independent standard normals (Box-Muller). */
void bm_random_normal2(bm_random_t random, uint32_t stream, uint64_t step, uint32_t slot,
                       double normal[2]);

/* `count` standard normals into `normal`, using slots first_slot, first_slot + 1, …; from slot 0,
 * BM_NORMALS_MAX of them at most. */
#define BM_NORMALS_MAX ((size_t)1 << 17)
void bm_random_normals(bm_random_t random, uint32_t stream, uint64_t step, uint32_t first_slot,
                       size_t count, double *normal /* [count] */);

/* Uniform integer in [0, bound) from 64 bits by one multiply: no value is favoured by more than
 * bound/2^64. */
uint64_t bm_random_below(bm_random_t random, uint32_t stream, uint64_t step, uint32_t slot,
                         uint64_t bound);

/* Random permutation of 0…count-1 (Fisher-Yates); `stream` tells permutations apart. */
void bm_random_permutation(bm_random_t random, uint32_t stream, size_t count,
                           uint32_t *order /* [count] */);

#endif
