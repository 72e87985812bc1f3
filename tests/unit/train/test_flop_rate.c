/* Operations are those counted by hand; the peak rate is that of an honest loop. */

#include <math.h>
#include <mpi.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boltzmap/train/flop_rate.h"

#ifdef __SANITIZE_ADDRESS__
#define LEAST 0.4 /* gcc fuses multiply and add from -O2 on only */
#else
#define LEAST 0.9
#endif
#define SECONDS 0.1
#define MEASUREMENTS 3
#define LARGE 512 /* rows and columns of a product near OpenBLAS's best */

static bm_context_t *context;

/* Halves of 2 and 3 columns: two networks each of 2·7 + 7·3 and of 3·7 + 7·2 weights. */
static void operations_are_those_of_the_weights(void **state)
{
  (void)state;
  const bm_flow_shape_t shape = {5, 3, 1, {7}, BM_RELU, 2.0, NULL};
  const double weights = 2.0 * (2.0 * 35.0 + 35.0);
  assert_true(bm_flop_training_per_sample(&shape) == 6.0 * weights);
  assert_true(bm_flop_generation_per_sample(&shape) == 2.0 * weights);
}

/* No product is faster than the peak, beyond errors of the clocks; a loop that the compiler sees through
 * looks faster by orders of magnitude than what a product, which reaches more than an eighth of the
 * peak with any kernel, can do. Of several measurements the fastest: other work only slows. */
static void peak_is_above_products_and_within_reach(void **state)
{
  (void)state;
  bm_flop_rates_t peak;
  double fastest[2] = {0.0, 0.0};
  for (int i = 0; i < MEASUREMENTS; i++) {
    bm_flop_rates_t product;
    assert_int_equal(bm_flop_peak_rate(context, SECONDS, &peak), BM_OK);
    assert_int_equal(
        bm_flop_product_rate(context, BM_PRODUCT_FORWARD, LARGE, LARGE, LARGE, SECONDS, &product),
        BM_OK);
    fastest[0] = fmax(fastest[0], peak.max);
    fastest[1] = fmax(fastest[1], product.max);
  }
  assert_true(fastest[0] > LEAST * fastest[1]);
  assert_true(fastest[0] < 8.0 * fastest[1]);
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(operations_are_those_of_the_weights),
      cmocka_unit_test(peak_is_above_products_and_within_reach),
  };
  MPI_Init(&argc, &argv);
  int failed = 1;
  if (bm_context_create(MPI_COMM_SELF, &context) == BM_OK) {
    failed = cmocka_run_group_tests_name("flop rate " BM_REAL_NAME, tests, NULL, NULL);
  }
  bm_context_destroy(&context);
  MPI_Finalize();
  return failed;
}
