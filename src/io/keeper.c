#include "boltzmap/io/keeper.h"

#include "boltzmap/parallel/agree.h"

bm_status_t bm_keeper_begin(const bm_context_t *context, bm_state_t **state)
{
  *state = NULL;
  return bm_agree(context, bm_context_is_root(context) ? bm_state_create(BM_STATE_CHECKPOINT, state)
                                                       : BM_OK);
}

bm_status_t bm_keeper_end(const bm_context_t *context, const bm_keeper_t *keeper, int64_t step,
                          bm_status_t filled, bm_state_t **state)
{
  bm_status_t status = bm_agree(context, filled);
  if (status == BM_OK) {
    status = keeper->save(keeper->self, step, *state);
  }
  bm_state_destroy(state);
  return status;
}
