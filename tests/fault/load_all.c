/* Damage a file in every way and load what is left: nothing that is loaded may differ from what was
 * written.
 *
 *   load_all FILE FLIPS SEED
 *
 * FILE is a state container, a sample set or a sealed JSON record. It is cut at every KiB, every bit of its
 * first bytes and FLIPS bits at random places are flipped, alone and beside another one of the first
 * bytes; each damaged copy is loaded from a scratch file beside the working
 * directory. The last line is "N damaged: N refused, N loaded alike, N loaded different"; a load that
 * takes longer than ten seconds ends the program by SIGALRM. */

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/hdf5.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/io/state.h"

#define KIB 1024
#define HEAD 64 /* bytes that say what a file is */
#define PATIENCE_S 10
#define SCRATCH "damaged.scratch"

typedef enum { STATE, SAMPLES, JSON } kind_t;

typedef struct {
  kind_t kind;
  uint64_t hash; /* of what is loaded */
  char *bytes;   /* [count] */
  size_t count;
} original_t;

typedef struct {
  size_t refused, alike, different;
} counts_t;

static void mix(uint64_t *hash, const void *bytes, size_t count)
{
  *hash = XXH64(bytes, count, *hash);
}

/* Values of a block, whatever its type. */
static bm_status_t mix_block(const bm_state_t *state, const char *name, const char *type,
                             uint64_t *hash)
{
  const size_t count = bm_state_count(state, name);
  const char *text = NULL;
  void *values = NULL;
  mix(hash, name, strlen(name));
  mix(hash, type, strlen(type));
  if (strcmp(type, "text") == 0) {
    BM_TRY(bm_state_get_string(state, name, &text));
    mix(hash, text, count);
    return BM_OK;
  }
  BM_TRY(bm_alloc(count, 8, &values));
  bm_status_t status = strcmp(type, "int64") == 0
                           ? bm_state_get_ints(state, name, count, values)
                           : bm_state_get_doubles(state, name, count, values);
  mix(hash, values, 8 * count);
  bm_free(values);
  return status;
}

static bm_status_t hash_state(const char *path, uint64_t *hash)
{
  bm_state_t *state = NULL;
  BM_TRY(bm_state_read(path, NULL, &state));
  bm_status_t status = BM_OK;
  mix(hash, bm_state_kind(state), strlen(bm_state_kind(state)));
  for (size_t i = 0; status == BM_OK && i < bm_state_block_count(state); i++) {
    status = mix_block(state, bm_state_block_name(state, i), bm_state_block_type(state, i), hash);
  }
  bm_state_destroy(&state);
  return status;
}

static bm_status_t hash_samples(const bm_context_t *context, const char *path, uint64_t *hash)
{
  bm_samples_t *samples = NULL;
  BM_TRY(bm_samples_read(context, path, NULL, &samples));
  const uint64_t head[] = {samples->n, samples->d, samples->walkers,
                           bm_samples_fingerprint(context, path)};
  mix(hash, head, sizeof head);
  mix(hash, samples->x, samples->rows.count * samples->d * sizeof *samples->x);
  bm_samples_destroy(&samples);
  return BM_OK;
}

static bm_status_t hash_json(const char *path, uint64_t *hash)
{
  char *text = NULL;
  BM_TRY(bm_file_read_json(path, &text));
  mix(hash, text, strlen(text));
  bm_free(text);
  return BM_OK;
}

static bm_status_t load(const bm_context_t *context, kind_t kind, const char *path, uint64_t *hash)
{
  *hash = 0;
  alarm(PATIENCE_S);
  bm_status_t status = kind == STATE     ? hash_state(path, hash)
                       : kind == SAMPLES ? hash_samples(context, path, hash)
                                         : hash_json(path, hash);
  alarm(0);
  return status;
}

static kind_t kind_of(const char *path)
{
  return bm_state_recognise(path) ? STATE : strstr(path, ".json") != NULL ? JSON : SAMPLES;
}

/* Load the scratch file and see what comes out; `what` and `where` tell of the damage. */
static void judge(const bm_context_t *context, const original_t *original, const char *what,
                  size_t where, counts_t *counts)
{
  uint64_t hash;
  if (load(context, original->kind, SCRATCH, &hash) != BM_OK) {
    counts->refused++;
    if (strncmp(bm_status_message(), SCRATCH, strlen(SCRATCH)) != 0) {
      printf("%s %zu: the message names no file: %s\n", what, where, bm_status_message());
      counts->different++;
    }
  } else if (hash == original->hash) {
    counts->alike++;
  } else {
    counts->different++;
    printf("%s %zu: loaded, but different\n", what, where);
  }
}

static void write_scratch(const char *bytes, size_t count)
{
  FILE *file = fopen(SCRATCH, "wb");
  if (file == NULL || fwrite(bytes, 1, count, file) != count || fclose(file) != 0) {
    perror(SCRATCH);
    exit(2);
  }
}

static void cut(const bm_context_t *context, const original_t *original, counts_t *counts)
{
  for (size_t length = 0; length < original->count; length += KIB) {
    write_scratch(original->bytes, length);
    judge(context, original, "cut at", length, counts);
  }
}

static void turn(const original_t *original, size_t bit)
{
  original->bytes[bit / 8] ^= (char)(1 << bit % 8);
}

/* Flip one bit (counted from the first byte's on), and another one where it is another; load; flip back. */
static void flip(const bm_context_t *context, const original_t *original, size_t bit, size_t other,
                 counts_t *counts)
{
  for (int turns = 0; turns < 2; turns++) {
    turn(original, bit);
    if (other != bit) {
      turn(original, other);
    }
    if (turns == 0) {
      write_scratch(original->bytes, original->count);
      judge(context, original, "flipped a bit of byte", bit / 8, counts);
    }
  }
}

static void flip_all(const bm_context_t *context, const original_t *original, size_t flips,
                     counts_t *counts)
{
  const size_t head = 8 * (original->count < HEAD ? original->count : HEAD);
  for (size_t bit = 0; bit < head; bit++) {
    flip(context, original, bit, bit, counts);
  }
  for (size_t i = 0; i < flips; i++) {
    const size_t bit = (size_t)(drand48() * 8.0 * (double)original->count);
    const size_t other = i % 2 == 0 ? bit : (size_t)(drand48() * (double)head);
    flip(context, original, bit, other, counts);
  }
}

static void damage(const bm_context_t *context, const char *path, size_t flips)
{
  original_t original = {.kind = kind_of(path)};
  counts_t counts = {0, 0, 0};
  if (load(context, original.kind, path, &original.hash) != BM_OK ||
      bm_file_read(path, &original.bytes, &original.count) != BM_OK) {
    printf("%s\n", bm_status_message());
    exit(2);
  }
  cut(context, &original, &counts);
  flip_all(context, &original, flips, &counts);
  bm_free(original.bytes);
  unlink(SCRATCH);
  printf("%zu damaged: %zu refused, %zu loaded alike, %zu loaded different\n",
         counts.refused + counts.alike + counts.different, counts.refused, counts.alike,
         counts.different);
}

int main(int argc, char **argv)
{
  bm_context_t *context = NULL;
  if (argc != 4 || MPI_Init(&argc, &argv) != MPI_SUCCESS ||
      bm_context_create(MPI_COMM_WORLD, &context) != BM_OK) {
    fprintf(stderr, "usage: load_all FILE FLIPS SEED\n");
    return 2;
  }
  bm_hdf5_quiet();
  srand48(atol(argv[3]));
  damage(context, argv[1], strtoul(argv[2], NULL, 10));
  bm_context_destroy(&context);
  MPI_Finalize();
  return 0;
}
