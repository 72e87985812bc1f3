#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "boltzmap/base/memory.h"

/* AddressSanitizer's allocator shall refuse as others do, not abort. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
  return "allocator_may_return_null=1";
}

static void blocks_are_zero_and_aligned(void **state)
{
  (void)state;
  const size_t counts[] = {0, 1, 7, 8, 9, 1000};
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
    double *block;
    assert_int_equal(BM_ALLOC(counts[i], &block), BM_OK);
    assert_non_null(block);
    assert_int_equal((uintptr_t)block % 64, 0);
    for (size_t k = 0; k < counts[i]; k++) {
      assert_true(block[k] <= 0.0 && block[k] >= 0.0);
    }
    bm_free(block);
  }
}

static void sizes_beyond_memory_are_refused(void **state)
{
  (void)state;
  const size_t counts[] = {SIZE_MAX, SIZE_MAX / 8, SIZE_MAX / 8 + 2, SIZE_MAX / 16};
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
    double *block = (double *)&counts;
    assert_int_equal(BM_ALLOC(counts[i], &block), BM_ERR_MEMORY);
    assert_null(block);
  }
}

static void resizing_keeps_values_and_zeroes_the_rest(void **state)
{
  (void)state;
  int *block = NULL;
  const size_t counts[] = {3, 100, 5, 50};
  size_t old = 0;
  size_t kept = 0;
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(bm_resize(old, counts[i], sizeof *block, (void **)&block), BM_OK);
    kept = kept < counts[i] ? kept : counts[i];
    for (size_t k = 0; k < counts[i]; k++) {
      assert_int_equal(block[k], k < kept ? (int)k + 1 : 0);
    }
    for (size_t k = 0; k < 3; k++) {
      block[k] = (int)k + 1;
    }
    kept = 3;
    old = counts[i];
  }
  int *before = block;
  assert_int_equal(bm_resize(old, SIZE_MAX / 2, sizeof *block, (void **)&block), BM_ERR_MEMORY);
  assert_ptr_equal(block, before);
  bm_free(block);
}

static void strings_are_copied_whole(void **state)
{
  (void)state;
  char *copy;
  assert_int_equal(bm_string_copy("", &copy), BM_OK);
  assert_string_equal(copy, "");
  bm_free(copy);
  char text[65];
  memset(text, 'a', 64);
  text[64] = '\0';
  assert_int_equal(bm_string_copy(text, &copy), BM_OK);
  assert_string_equal(copy, text);
  bm_free(copy);
  bm_free(NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blocks_are_zero_and_aligned),
      cmocka_unit_test(sizes_beyond_memory_are_refused),
      cmocka_unit_test(resizing_keeps_values_and_zeroes_the_rest),
      cmocka_unit_test(strings_are_copied_whole),
  };
  return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
