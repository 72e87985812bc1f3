#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boltzmap/parallel/partition.h"

static void parts_cover_all_items_in_order_and_evenly(void **state)
{
  (void)state;
  for (size_t count = 0; count < 50; count++) {
    for (int parts = 1; parts <= 17; parts++) {
      size_t next = 0;
      for (int part = 0; part < parts; part++) {
        bm_range_t range = bm_partition(count, parts, part);
        assert_int_equal(range.first, next);
        assert_true(range.count == count / (size_t)parts ||
                    range.count == count / (size_t)parts + 1);
        next += range.count;
      }
      assert_int_equal(next, count);
    }
  }
}

static void large_counts_do_not_overflow(void **state)
{
  (void)state;
  const size_t count = SIZE_MAX - 1;
  bm_range_t last = bm_partition(count, 4096, 4095);
  assert_true(last.first + last.count == count);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parts_cover_all_items_in_order_and_evenly),
      cmocka_unit_test(large_counts_do_not_overflow),
  };
  return cmocka_run_group_tests_name("partition", tests, NULL, NULL);
}
