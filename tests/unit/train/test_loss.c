/* The negative log-likelihood as trainers use it: shares of a minibatch that add up to the mean. */

#include <math.h>

#include "../flow/made_flow.h"
#include "boltzmap/train/loss.h"

#define D 3
#define ROWS 20

static const size_t offsets[] = {0, 7, 7, 15, ROWS};

/* Shard sums and gradient of a batch's rows [offset[0]…]. */
typedef struct {
  double sums[4];
  bm_real_t *gradient;
} share_t;

static share_t evaluate(const bm_flow_t *flow, bm_shards_t shards, const bm_real_t *y,
                        size_t batch_rows)
{
  share_t share = {.gradient = zero_reals(bm_flow_parameter_count(flow))};
  bm_flow_workspace_t *workspace = made_workspace(flow, ROWS, 4);
  bm_real_t work[ROWS * (D + 1)];
  double log_det[ROWS];
  const bm_batch_t batch = {shards, y, batch_rows};
  bm_loss_nll_evaluate(flow, workspace, &batch, work, log_det, share.sums,
                       &(bm_gradient_sink_t){.gradient = share.gradient});
  bm_flow_workspace_destroy(&workspace);
  return share;
}

/* Zero nets leave points where they are: the loss is that of the normal density itself. */
static void loss_of_the_identity_is_the_normals(void **state)
{
  (void)state;
  const bm_flow_shape_t shape = flow_shape(D, 2, 1, 4, BM_TANH);
  bm_flow_t *flow = made_flow(&shape, 1, 0.0);
  bm_real_t *y = drawn_reals(2, 1.0, ROWS * D);
  share_t share = evaluate(flow, (bm_shards_t){4, offsets}, y, ROWS);
  for (size_t s = 0; s < 4; s++) {
    double expected = 0.0;
    for (size_t i = offsets[s] * D; i < offsets[s + 1] * D; i++) {
      expected += 0.5 * ((double)y[i] * (double)y[i] + log(2.0 * M_PI));
    }
    assert_true(fabs(share.sums[s] - expected / ROWS) < 1e-14 * (1.0 + expected));
  }
  bm_free(share.gradient);
  bm_free(y);
  bm_flow_destroy(&flow);
}

/* Two nodes of a minibatch computed apart and added: the order of the tree over four shards, so the
 * same bits. */
static void shares_add_up_to_the_minibatch(void **state)
{
  (void)state;
  const bm_flow_shape_t shape = flow_shape(D, 4, 2, 12, BM_RELU);
  bm_flow_t *flow = made_flow(&shape, 3, 0.3);
  bm_real_t *y = drawn_reals(4, 1.0, ROWS * D);
  const size_t right[] = {0, 8, 13};
  share_t whole = evaluate(flow, (bm_shards_t){4, offsets}, y, ROWS);
  share_t parts[2] = {evaluate(flow, (bm_shards_t){2, offsets}, y, ROWS),
                      evaluate(flow, (bm_shards_t){2, right}, y + 7 * D, ROWS)};
  for (size_t s = 0; s < 4; s++) {
    assert_true(parts[s / 2].sums[s % 2] == whole.sums[s]);
  }
  for (size_t i = 0; i < bm_flow_parameter_count(flow); i++) {
    assert_true(parts[0].gradient[i] + parts[1].gradient[i] == whole.gradient[i]);
  }
  bm_free(whole.gradient);
  bm_free(parts[0].gradient);
  bm_free(parts[1].gradient);
  bm_free(y);
  bm_flow_destroy(&flow);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(loss_of_the_identity_is_the_normals),
      cmocka_unit_test(shares_add_up_to_the_minibatch),
  };
  return cmocka_run_group_tests_name("loss " BM_REAL_NAME, tests, NULL, NULL);
}
