/* The journal of a long work: what was kept is found again, and the rest is to be made. */

#include "scratch.h"

#include <mpi.h>

#include "boltzmap/io/journal.h"
#include "boltzmap/parallel/stop.h"

static bm_context_t *context;

/* Keeps the last state in a file, and counts. */
typedef struct {
  int saved;
} shelf_t;

static bm_status_t save(void *self, int64_t step, bm_state_t *state)
{
  shelf_t *shelf = self;
  assert_true(step > 0);
  shelf->saved++;
  /* as a checkpoint does, which has no place in the journal */
  assert_int_equal(bm_state_put_string(state, "fingerprint", "0"), BM_OK);
  return bm_state_write(state, scratch("journal.h5"));
}

static bm_status_t load(void *self, bm_state_t **state)
{
  (void)self;
  *state = NULL;
  return access(scratch("journal.h5"), F_OK) == 0
             ? bm_state_read(scratch("journal.h5"), BM_STATE_CHECKPOINT, state)
             : BM_OK;
}

static const double pair[2] = {0.1, -0.0};

static void pieces_are_found_by_the_next_run_once_they_are_kept(void **state)
{
  (void)state;
  shelf_t shelf = {0};
  const bm_keeper_t keeper = {&shelf, 1e9, save, load};
  bm_journal_t *journal;
  double values[2];
  assert_int_equal(bm_journal_open(context, &keeper, &journal), BM_OK);
  assert_false(bm_journal_find(journal, "sets/a", 2, values));
  assert_int_equal(bm_journal_keep(journal), BM_OK); /* nothing is new */
  assert_int_equal(shelf.saved, 0);
  assert_int_equal(bm_journal_add(journal, "sets/a", 2, pair), BM_OK);
  assert_int_equal(bm_journal_add_text(journal, "text", "{}"), BM_OK);
  assert_int_equal(shelf.saved, 0); /* it is not time yet */
  assert_int_equal(bm_journal_keep(journal), BM_OK);
  assert_int_equal(shelf.saved, 1);
  assert_int_equal(bm_journal_add(journal, "sets/b", 2, pair), BM_OK); /* lost */
  bm_journal_close(&journal);

  assert_int_equal(bm_journal_open(context, &keeper, &journal), BM_OK);
  assert_true(bm_journal_find(journal, "sets/a", 2, values));
  assert_memory_equal(values, pair, sizeof pair);
  assert_string_equal(bm_journal_find_text(journal, "text"), "{}");
  assert_false(bm_journal_find(journal, "sets/a", 1, values)); /* of another length */
  assert_false(bm_journal_find(journal, "sets/b", 2, values));
  assert_null(bm_journal_find_text(journal, "fingerprint"));
  assert_int_equal(bm_journal_add(journal, "sets/a", 2, pair), BM_OK); /* made again, of no harm */
  assert_int_equal(bm_journal_keep(journal), BM_OK);
  assert_int_equal(shelf.saved, 1);
  bm_journal_close(&journal);
  unlink(scratch("journal.h5"));
}

static void a_piece_is_kept_when_it_is_time_and_when_a_stop_is_asked_for(void **state)
{
  (void)state;
  shelf_t shelf = {0};
  bm_keeper_t keeper = {&shelf, 0.0, save, load};
  bm_journal_t *journal;
  assert_int_equal(bm_journal_open(context, &keeper, &journal), BM_OK);
  assert_int_equal(bm_journal_add(journal, "a", 2, pair), BM_OK);
  assert_int_equal(shelf.saved, 1);
  keeper.every_s = 1e9;
  assert_int_equal(bm_journal_add(journal, "b", 2, pair), BM_OK);
  assert_int_equal(shelf.saved, 1);
  bm_stop_request();
  assert_int_equal(bm_journal_add(journal, "c", 2, pair), BM_OK);
  assert_int_equal(shelf.saved, 2);
  bm_journal_close(&journal);
}

static void no_journal_knows_nothing(void **state)
{
  (void)state;
  double values[2];
  assert_false(bm_journal_find(NULL, "a", 2, values));
  assert_null(bm_journal_find_text(NULL, "a"));
  assert_int_equal(bm_journal_add(NULL, "a", 2, pair), BM_OK);
  assert_int_equal(bm_journal_keep(NULL), BM_OK);
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pieces_are_found_by_the_next_run_once_they_are_kept),
      cmocka_unit_test(no_journal_knows_nothing),
      cmocka_unit_test(a_piece_is_kept_when_it_is_time_and_when_a_stop_is_asked_for),
  };
  if (MPI_Init(&argc, &argv) != MPI_SUCCESS ||
      bm_context_create(MPI_COMM_WORLD, &context) != BM_OK) {
    return 1;
  }
  int failed = cmocka_run_group_tests(tests, scratch_open, scratch_close);
  bm_context_destroy(&context);
  MPI_Finalize();
  return failed;
}
