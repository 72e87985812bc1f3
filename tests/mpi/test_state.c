#include "check.h"

#include "boltzmap/io/hdf5.h"
#include "boltzmap/io/state.h"

#define COUNT 100001

static void write_state(const char *path, const double *large)
{
  const int64_t counters[3] = {INT64_MIN, 0, 7};
  const bm_real_t reals[2] = {(bm_real_t)0.1, -3};
  bm_state_t *state;
  REQUIRE(bm_state_create("checkpoint", &state) == BM_OK);
  REQUIRE(bm_state_put_doubles(state, "large", COUNT, large) == BM_OK);
  REQUIRE(bm_state_put_ints(state, "trainer/counters", 3, counters) == BM_OK);
  REQUIRE(bm_state_put_reals(state, "reals", 2, reals) == BM_OK);
  REQUIRE(bm_state_put_string(state, "deck", "a = 1;\n") == BM_OK);
  REQUIRE(bm_state_put_doubles(state, "nothing", 0, NULL) == BM_OK);
  REQUIRE(bm_state_write(state, path) == BM_OK);
  bm_state_destroy(&state);
}

static void all_ranks_get_what_rank_0_read(const bm_context_t *all, const char *path)
{
  double *large;
  double *back;
  REQUIRE(BM_ALLOC(COUNT, &large) == BM_OK);
  REQUIRE(BM_ALLOC(COUNT, &back) == BM_OK);
  bm_random_normals(bm_random(1, BM_PURPOSE_TEST), 0, 0, 0, COUNT, large);
  if (bm_context_is_root(all)) {
    write_state(path, large);
  }
  bm_state_t *state;
  REQUIRE(bm_state_read_all(all, path, "checkpoint", &state) == BM_OK);
  int64_t counters[3];
  bm_real_t reals[2];
  const char *text = "";
  CHECK(strcmp(bm_state_kind(state), "checkpoint") == 0);
  CHECK(bm_state_block_count(state) == 5);
  CHECK(bm_state_get_doubles(state, "large", COUNT, back) == BM_OK);
  CHECK_BITS(back, large, COUNT);
  CHECK(bm_state_get_ints(state, "trainer/counters", 3, counters) == BM_OK);
  CHECK(counters[0] == INT64_MIN && counters[1] == 0 && counters[2] == 7);
  CHECK(bm_state_get_reals(state, "reals", 2, reals) == BM_OK);
  CHECK(reals[1] <= -3 && reals[1] >= -3);
  CHECK(bm_state_get_string(state, "deck", &text) == BM_OK);
  CHECK(strcmp(text, "a = 1;\n") == 0);
  CHECK(bm_state_get_doubles(state, "absent", 1, back) == BM_ERR_DATA);
  CHECK(strstr(bm_status_message(), path) != NULL);
  bm_state_destroy(&state);
  bm_free(large);
  bm_free(back);
}

static void all_ranks_refuse_what_rank_0_cannot_read(const bm_context_t *all, const char *path)
{
  bm_state_t *state;
  CHECK(bm_state_read_all(all, path, "model", &state) == BM_ERR_DATA);
  CHECK(state == NULL);
  CHECK(strstr(bm_status_message(), "not a model") != NULL);
  MPI_Barrier(all->comm);
  if (bm_context_is_root(all)) {
    CHECK(truncate(path, 5000) == 0);
  }
  CHECK(bm_state_read_all(all, path, "checkpoint", &state) == BM_ERR_DATA);
  CHECK(state == NULL);
  CHECK(strstr(bm_status_message(), "damaged") != NULL);
  if (bm_context_is_root(all)) {
    unlink(path);
  }
  CHECK(bm_state_read_all(all, path, "checkpoint", &state) == BM_ERR_IO);
  CHECK(state == NULL);
}

int main(int argc, char **argv)
{
  bm_context_t *all;
  bm_context_t *alone;
  char folder[256];
  char path[300];
  check_start(&argc, &argv, &all, &alone);
  bm_hdf5_quiet();
  check_folder(all, folder);
  snprintf(path, sizeof path, "%s/checkpoint.h5", folder);
  all_ranks_get_what_rank_0_read(all, path);
  all_ranks_refuse_what_rank_0_cannot_read(all, path);
  check_folder_end(all, folder);
  return check_end(&all, &alone);
}
