#include "check.h"

#include <limits.h>
#include <signal.h>

#include "boltzmap/parallel/log.h"
#include "boltzmap/parallel/partition.h"
#include "boltzmap/parallel/stop.h"

/* Every rank gets the status and message of the lowest rank that failed. */
static void the_lowest_failing_rank_speaks_for_all(const bm_context_t *all)
{
  const bm_status_t kinds[] = {BM_ERR_DATA, BM_ERR_IO, BM_ERR_MEMORY, BM_STOPPED};
  for (int first = 0; first < all->size; first++) {
    bm_status_t mine = BM_OK;
    bm_status_set_message("old");
    if (all->rank >= first && (all->rank - first) % 2 == 0) {
      mine = BM_FAIL(kinds[all->rank % 4], "found by rank %d", all->rank);
    }
    CHECK(bm_agree(all, mine) == kinds[first % 4]);
    char expected[64];
    snprintf(expected, sizeof expected, "found by rank %d", first);
    CHECK(strcmp(bm_status_message(), expected) == 0);
  }
  CHECK(bm_agree(all, BM_OK) == BM_OK);
}

static void any_rank_is_enough(const bm_context_t *all)
{
  CHECK(!bm_agree_any(all, 0));
  for (int one = 0; one < all->size; one++) {
    CHECK(bm_agree_any(all, all->rank == one ? INT_MIN : 0) == 1);
  }
}

static void broadcasts_of_any_size_arrive_whole(const bm_context_t *all)
{
  const size_t sizes[] = {0, 1, 2, 3, 7, 1023, 4097, 65537, 1000003};
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
    unsigned char *bytes;
    REQUIRE(BM_ALLOC(sizes[s] + 1, &bytes) == BM_OK);
    bytes[sizes[s]] = 0xab;
    for (size_t i = 0; bm_context_is_root(all) && i < sizes[s]; i++) {
      bytes[i] = (unsigned char)(i * 131 % 251 + s);
    }
    CHECK(bm_broadcast(all, bytes, sizes[s]) == BM_OK);
    int good = bytes[sizes[s]] == 0xab;
    for (size_t i = 0; i < sizes[s]; i++) {
      good = good && bytes[i] == (unsigned char)(i * 131 % 251 + s);
    }
    CHECK(good);
    bm_free(bytes);
  }
  const char *const texts[] = {"", "a", "several words, é"};
  for (int i = 0; i < 3; i++) {
    char *text = NULL;
    if (bm_context_is_root(all)) {
      REQUIRE(bm_string_copy(texts[i], &text) == BM_OK);
    }
    CHECK(bm_broadcast_string(all, &text) == BM_OK);
    CHECK(strcmp(text, texts[i]) == 0);
    bm_free(text);
  }
}

/* Items of all ranks' parts add up to all items, each held once. */
static void partitions_cover_all_items(const bm_context_t *all)
{
  for (size_t count = 0; count < 40; count++) {
    bm_range_t range = bm_partition(count, all->size, all->rank);
    int held[40] = {0};
    for (size_t i = range.first; i < range.first + range.count; i++) {
      held[i] = 1;
    }
    MPI_Allreduce(MPI_IN_PLACE, held, 40, MPI_INT, MPI_SUM, all->comm);
    for (size_t i = 0; i < 40; i++) {
      CHECK(held[i] == (i < count));
    }
  }
}

/* All ranks call it; the file holds each line once. */
static void the_log_is_written_by_one_rank(const bm_context_t *all, const char *folder)
{
  char path[300];
  char text[4096] = "";
  bm_log_t *log;
  snprintf(path, sizeof path, "%s/log.txt", folder);
  REQUIRE(bm_log_create(all, path, &log) == BM_OK);
  bm_log_info(log, "line of rank %d", all->rank);
  bm_log_progress_start(log, "phase", 10.0, "steps");
  bm_log_progress(log, 5.0, "%d", all->rank);
  CHECK(bm_log_progress_end(log) >= 0.0);
  bm_log_destroy(&log);
  MPI_Barrier(all->comm);
  FILE *file = fopen(path, "r");
  REQUIRE(file != NULL);
  size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  const char *newline = strchr(text, '\n');
  CHECK(length > 0 && newline == text + length - 1);
  CHECK(strstr(text, " line of rank 0\n") != NULL);
  MPI_Barrier(all->comm);
  if (bm_context_is_root(all)) {
    unlink(path);
  }
}

/* A signal that reaches the last rank alone stops all. */
static void one_ranks_stop_request_stops_all(const bm_context_t *all)
{
  REQUIRE(bm_stop_install() == BM_OK);
  CHECK(bm_stop_check(all) == BM_OK);
  if (all->rank == all->size - 1) {
    raise(SIGUSR1);
  }
  CHECK(bm_stop_pending() == (all->rank == all->size - 1));
  CHECK(bm_stop_check(all) == BM_STOPPED);
  CHECK(bm_stop_check(all) == BM_STOPPED);
}

int main(int argc, char **argv)
{
  bm_context_t *all;
  bm_context_t *alone;
  char folder[256];
  check_start(&argc, &argv, &all, &alone);
  check_folder(all, folder);
  the_lowest_failing_rank_speaks_for_all(all);
  any_rank_is_enough(all);
  broadcasts_of_any_size_arrive_whole(all);
  partitions_cover_all_items(all);
  the_log_is_written_by_one_rank(all, folder);
  one_ranks_stop_request_stops_all(all);
  check_folder_end(all, folder);
  return check_end(&all, &alone);
}
