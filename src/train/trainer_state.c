/* What is needed to go on with a training, as blocks of a state. */

#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/agree.h"
#include "trainer_state.h"

/* Counters in the order they are stored. */
#define BM_COUNTERS 9
#define BM_SUMS 7
#define BM_HISTORY_COLUMNS 7
_Static_assert(sizeof(bm_history_row_t) == BM_HISTORY_COLUMNS * sizeof(double),
               "a row of the history is stored as its columns");

static bm_status_t save_counters(const bm_trainer_t *trainer, bm_state_t *state)
{
  const int64_t counters[BM_COUNTERS] = {
      trainer->epoch,        trainer->step,         trainer->updates,
      trainer->skipped,      trainer->best_epoch,   (int64_t)trainer->history_count,
      trainer->trend.spikes, trainer->trend.in_row, trainer->rewinds};
  const double sums[BM_SUMS] = {
      trainer->best_validation, trainer->last_validation, trainer->epoch_loss, trainer->epoch_norm,
      trainer->epoch_rows,      trainer->epoch_term,      trainer->trend.mean};
  BM_TRY(bm_state_put_ints(state, "trainer/counters", BM_COUNTERS, counters));
  BM_TRY(bm_state_put_doubles(state, "trainer/sums", BM_SUMS, sums));
  return bm_state_put_doubles(state, "trainer/history", trainer->history_count * BM_HISTORY_COLUMNS,
                              (const double *)trainer->history);
}

/* What each rank has a slice of, by name. */
#define BM_SLICED 3
typedef struct {
  const char *name;
  bm_real_t *slice;
} sliced_t;

static void list_sliced(const bm_trainer_t *trainer, sliced_t sliced[BM_SLICED])
{
  sliced[0] = (sliced_t){"trainer/moment_1", trainer->moments[0]};
  sliced[1] = (sliced_t){"trainer/moment_2", trainer->moments[1]};
  sliced[2] = (sliced_t){"trainer/best", trainer->best};
}

bm_status_t bm_trainer_save(bm_trainer_t *trainer, bm_state_t *state)
{
  size_t count = bm_flow_parameter_count(trainer->flow);
  int root = bm_context_is_root(trainer->context);
  sliced_t sliced[BM_SLICED];
  bm_real_t *whole = NULL;
  list_sliced(trainer, sliced);
  BM_TRY_AGREE(trainer->context, BM_ALLOC(root ? count : 0, &whole));
  bm_status_t status = BM_OK;
  for (int i = 0; i < BM_SLICED; i++) {
    bm_status_t gathered = bm_reduction_gather_root(trainer->reduction, sliced[i].slice, whole);
    if (status == BM_OK && gathered == BM_OK && root) {
      gathered = bm_state_put_reals(state, sliced[i].name, count, whole);
    }
    status = status == BM_OK ? gathered : status;
  }
  bm_free(whole);
  if (status == BM_OK && root) {
    status = save_counters(trainer, state);
    if (status == BM_OK) {
      status =
          bm_state_put_reals(state, "trainer/parameters", count, bm_flow_parameters(trainer->flow));
    }
  }
  return bm_agree(trainer->context, status);
}

/* What counts steps or epochs is none too many of them; the history has room for no more. */
static bm_status_t check_counters(const bm_trainer_t *trainer, const int64_t counters[BM_COUNTERS])
{
  const int64_t epoch = counters[0];
  const int64_t step = counters[1];
  int good = step >= 0 && epoch == step / (int64_t)trainer->steps_per_epoch &&
             epoch <= trainer->settings.epochs && counters[4] <= epoch && counters[5] == epoch &&
             counters[8] <= BM_REWINDS_MOST;
  for (int i = 0; i < BM_COUNTERS; i++) {
    good = good && counters[i] >= 0 && counters[i] <= step;
  }
  return good ? BM_OK : BM_FAIL(BM_ERR_DATA, "the checkpoint is of a run with other epochs");
}

static bm_status_t restore_counters(bm_trainer_t *trainer, const bm_state_t *state)
{
  int64_t counters[BM_COUNTERS];
  double sums[BM_SUMS];
  BM_TRY(bm_state_get_ints(state, "trainer/counters", BM_COUNTERS, counters));
  BM_TRY(bm_state_get_doubles(state, "trainer/sums", BM_SUMS, sums));
  BM_TRY(check_counters(trainer, counters));
  trainer->rows_step = -1;
  trainer->epoch = counters[0];
  trainer->step = counters[1];
  trainer->updates = counters[2];
  trainer->skipped = counters[3];
  trainer->best_epoch = counters[4];
  trainer->history_count = (size_t)counters[5];
  trainer->trend.spikes = counters[6];
  trainer->trend.in_row = counters[7];
  trainer->rewinds = counters[8];
  trainer->best_validation = sums[0];
  trainer->last_validation = sums[1];
  trainer->epoch_loss = sums[2];
  trainer->epoch_norm = sums[3];
  trainer->epoch_rows = sums[4];
  trainer->epoch_term = sums[5];
  trainer->trend.mean = sums[6];
  return bm_state_get_doubles(state, "trainer/history", trainer->history_count * BM_HISTORY_COLUMNS,
                              (double *)trainer->history);
}

bm_status_t bm_trainer_restore(bm_trainer_t *trainer, const bm_state_t *state)
{
  size_t count = bm_flow_parameter_count(trainer->flow);
  bm_range_t slice = bm_reduction_slice(trainer->reduction);
  bm_real_t *whole = NULL;
  bm_status_t status = BM_ALLOC(count, &whole);
  sliced_t sliced[BM_SLICED];
  list_sliced(trainer, sliced);
  for (int i = 0; i < BM_SLICED && status == BM_OK; i++) {
    status = bm_state_get_reals(state, sliced[i].name, count, whole);
    if (status == BM_OK) {
      memcpy(sliced[i].slice, whole + slice.first, slice.count * sizeof *whole);
    }
  }
  bm_free(whole);
  if (status == BM_OK) {
    status =
        bm_state_get_reals(state, "trainer/parameters", count, bm_flow_parameters(trainer->flow));
  }
  if (status == BM_OK) {
    status = restore_counters(trainer, state);
  }
  return bm_agree(trainer->context, status);
}
