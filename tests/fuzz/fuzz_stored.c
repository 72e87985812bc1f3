/* Files of numbers: sample sets, models, checkpoints. What bears the program's seal is sealed anew after each
 * change, so that the reader behind the seal sees it. */

#include "fuzz.h"

#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/io/state.h"
#include "boltzmap/transport/map.h"

#define BM_SEAL_START "boltzmap seal"

static char *sealed(const uint8_t *bytes, size_t count)
{
  char *copy = fuzz_text(bytes, count);
  if (count >= BM_SEAL_BYTES && memcmp(copy, BM_SEAL_START, sizeof BM_SEAL_START - 1) == 0) {
    bm_file_seal_bytes(copy, count);
  }
  return copy;
}

static void require_rows(const bm_samples_t *samples)
{
  FUZZ_REQUIRE(samples->n > 0 && samples->d > 0 && samples->rows.count == samples->n);
  FUZZ_REQUIRE(samples->walkers > 0 && samples->n % samples->walkers == 0);
  for (size_t i = 0; i < samples->n * samples->d; i++) {
    FUZZ_REQUIRE(isfinite(samples->x[i]));
  }
}

static void run_samples(const uint8_t *bytes, size_t count)
{
  char *copy = sealed(bytes, count);
  const char *path = fuzz_file("x.h5md", copy, count);
  bm_samples_t *samples = NULL;
  (void)bm_samples_fingerprint(fuzz_context, path);
  if (fuzz_is_taken(bm_samples_read(fuzz_context, path, NULL, &samples))) {
    require_rows(samples);
  }
  bm_samples_destroy(&samples);
  free(copy);
}

static void use_blocks(const bm_state_t *state)
{
  bm_map_t *map = NULL;
  for (size_t i = 0; i < bm_state_block_count(state); i++) {
    const char *name = bm_state_block_name(state, i);
    const char *text;
    if (strcmp(bm_state_block_type(state, i), "text") == 0) {
      (void)fuzz_is_taken(bm_state_get_string(state, name, &text));
    }
  }
  (void)fuzz_is_taken(bm_map_load(NULL, state, &map));
  bm_map_destroy(&map);
}

static void run_state(const uint8_t *bytes, size_t count)
{
  char *copy = sealed(bytes, count);
  const char *path = fuzz_file("x.h5", copy, count);
  bm_state_t *state = NULL;
  const int is_known = bm_state_recognise(path);
  if (fuzz_is_taken(bm_state_read(path, NULL, &state))) {
    FUZZ_REQUIRE(is_known);
    use_blocks(state);
  }
  bm_state_destroy(&state);
  free(copy);
}

const fuzz_target_t fuzz_stored_targets[] = {
    {"npy", NULL, run_samples},
    {"h5md", NULL, run_samples},
    {"state", NULL, run_state},
    {NULL, NULL, NULL},
};
