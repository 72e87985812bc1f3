/* The direction in which two clouds differ most. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boltzmap/base/random.h"
#include "boltzmap/transport/max_sliced.h"
#include "boltzmap/transport/sliced.h"

#define N 400

static double x[N * 5], y[N * 5];

static void draw(size_t d)
{
  bm_random_t random = bm_random(d, BM_PURPOSE_TEST);
  for (size_t i = 0; i < N; i++) {
    bm_random_normals(random, (uint32_t)i, 0, 0, d, x + i * d);
    bm_random_normals(random, (uint32_t)i, 1, 0, d, y + i * d);
  }
}

static void translation_is_found_with_its_direction(void **state)
{
  (void)state;
  const double shift[] = {0.3, -0.1, 0.0, 0.7, 0.2};
  double square = 0.0, w2_squared, direction[5], along = 0.0;
  draw(5);
  for (size_t i = 0; i < N * 5; i++) {
    y[i] = x[i] + shift[i % 5];
  }
  for (size_t k = 0; k < 5; k++) {
    square += shift[k] * shift[k];
  }
  assert_int_equal(
      bm_max_sliced_ascend(&(bm_max_sliced_pair_t){N, 5, x, y}, 1, 0, 10, &w2_squared, direction),
      BM_OK);
  assert_true(fabs(w2_squared - square) < 1e-9);
  for (size_t k = 0; k < 5; k++) {
    along += direction[k] * shift[k];
  }
  assert_true(fabs(fabs(along) - sqrt(square)) < 1e-9);
}

/* In the plane all directions can be tried. */
static void no_direction_of_the_plane_is_better(void **state)
{
  (void)state;
  enum { angles = 2000 };
  double best = 0.0, found = 0.0;
  draw(2);
  for (size_t i = 0; i < N; i++) {
    y[2 * i] += 0.6 * y[2 * i + 1];
  }
  for (size_t a = 0; a < angles; a++) {
    const double angle = 3.14159265358979323846 * (double)a / angles;
    const double direction[] = {cos(angle), sin(angle)};
    double value;
    assert_int_equal(bm_sliced_w2_squared(N, N, 2, x, y, 1, direction, &value), BM_OK);
    best = fmax(best, value);
  }
  for (size_t start = 0; start < 8; start++) {
    double value;
    assert_int_equal(
        bm_max_sliced_ascend(&(bm_max_sliced_pair_t){N, 2, x, y}, 2, 10 * start, 10, &value, NULL),
        BM_OK);
    found = fmax(found, value);
  }
  assert_true(found >= best * (1.0 - 1e-6) && found <= best * (1.0 + 1e-3));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(translation_is_found_with_its_direction),
      cmocka_unit_test(no_direction_of_the_plane_is_better),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
