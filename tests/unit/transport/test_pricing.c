/* Pricing and its parts: the kernel beside a plain loop, the order of points, and answers beside
 * those of all pairs. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boltzmap/base/random.h"
#include "boltzmap/transport/frame.h"
#include "boltzmap/transport/levels.h"
#include "boltzmap/transport/panels.h"
#include "boltzmap/transport/pricing.h"
#include "boltzmap/transport/products.h"

#define N 1700
#define D 66

static double x[N * D], y[N * D], dual[N], threshold[N], all[N];
static uint32_t points[N];

static void draw(uint64_t seed, size_t n, size_t d, double *cloud)
{
  bm_random_t random = bm_random(seed, BM_PURPOSE_TEST);
  for (size_t i = 0; i < n; i++) {
    bm_random_normals(random, (uint32_t)i, 0, 0, d, cloud + i * d);
  }
}

/* --- the kernel ------------------------------------------------------------------------------- */

#define BM_ALIGNED __attribute__((aligned(64)))

typedef struct {
  float rows[D * BM_PANEL_CHUNK] BM_ALIGNED;
  float block[BM_PANEL_BLOCK * D] BM_ALIGNED;
  float offset[BM_PANEL_BLOCK] BM_ALIGNED;
  float values[BM_PANEL_GROUP * BM_PANEL_BLOCK] BM_ALIGNED;
  float lift[BM_PANEL_GROUP];
} room_t;

static float column_value(const room_t *room, size_t d, size_t c, size_t k)
{
  return room
      ->block[c / BM_PANEL_WIDTH * BM_PANEL_WIDTH * d + k * BM_PANEL_WIDTH + c % BM_PANEL_WIDTH];
}

static double plain_value(const room_t *room, size_t d, size_t r, size_t c, int torus)
{
  double sum = 0.0;
  for (size_t k = 0; k < d; k++) {
    double a = room->rows[k * BM_PANEL_CHUNK + r], b = column_value(room, d, c, k);
    double wrapped = a - b - rint(a - b);
    sum += torus ? -0.5 * wrapped * wrapped : a * b;
  }
  return sum - room->offset[c] - room->lift[r];
}

static void fill(float *values, size_t count, double scale, uint64_t seed)
{
  double normals[2];
  for (size_t i = 0; i < count; i++) {
    bm_random_normal2(bm_random(seed, BM_PURPOSE_TEST), (uint32_t)i, 0, 0, normals);
    values[i] = (float)(scale * fmax(fmin(normals[0], 3.0), -3.0));
  }
}

static void kernel_equals_the_plain_loop(void **state)
{
  (void)state;
  static room_t room;
  const size_t dimensions[] = {1, 2, 4, 5, 60, D};
  for (int torus = 0; torus < 2; torus++) {
    for (size_t c = 0; c < sizeof dimensions / sizeof dimensions[0]; c++) {
      const size_t d = dimensions[c];
      const double scale = torus ? 1.0 / 6.0 : 1.0; /* within half a turn */
      fill(room.rows, d * BM_PANEL_CHUNK, scale, 1 + c);
      fill(room.block, d * BM_PANEL_BLOCK, scale, 2 + c);
      fill(room.offset, BM_PANEL_BLOCK, 1.0, 3 + c);
      fill(room.lift, BM_PANEL_GROUP, 1.0, 4 + c);
      const bm_products_t p = {d, room.rows, room.lift, room.block, room.offset};
      assert_true((torus ? bm_products_torus : bm_products)(&p, room.values));
      for (size_t r = 0; r < BM_PANEL_GROUP; r++) {
        unsigned long long hits = bm_products_hits(room.values + r * BM_PANEL_BLOCK);
        for (size_t j = 0; j < BM_PANEL_BLOCK; j++) {
          const float value = room.values[r * BM_PANEL_BLOCK + j];
          assert_true(fabs(value - plain_value(&room, d, r, j, torus)) < 1e-6 * (double)(d + 8));
          assert_int_equal(hits >> j & 1, value >= 0.0f);
        }
      }
    }
  }
}

static void kernel_says_where_nothing_is_near(void **state)
{
  (void)state;
  static room_t room;
  const bm_products_t p = {4, room.rows, room.lift, room.block, room.offset};
  fill(room.rows, 4 * BM_PANEL_CHUNK, 1.0, 5);
  fill(room.block, 4 * BM_PANEL_BLOCK, 1.0, 6);
  for (size_t r = 0; r < BM_PANEL_GROUP; r++) {
    room.lift[r] = 100.0f;
  }
  assert_false(bm_products(&p, room.values));
  for (size_t r = 0; r < BM_PANEL_GROUP; r++) {
    room.lift[r] = -100.0f; /* one row alone is seen */
    assert_true(bm_products(&p, room.values));
    room.lift[r] = 100.0f;
  }
}

/* --- order and levels ------------------------------------------------------------------------- */

static void assert_permutation(size_t n, const uint32_t *numbers)
{
  char *seen = calloc(n, 1);
  for (size_t i = 0; i < n; i++) {
    assert_true(numbers[i] < n && !seen[numbers[i]]);
    seen[numbers[i]] = 1;
  }
  free(seen);
}

/* Mean of |x - x'|² over the pairs of a block. */
static double spread_of(const uint32_t *rows, size_t count, size_t d)
{
  double sum = 0.0;
  for (size_t k = 0; k < d; k++) {
    double mean = 0.0;
    for (size_t i = 0; i < count; i++) {
      mean += x[rows[i] * d + k] / (double)count;
    }
    for (size_t i = 0; i < count; i++) {
      const double difference = x[rows[i] * d + k] - mean;
      sum += 2.0 * difference * difference / (double)(count - 1);
    }
  }
  return sum;
}

static void neighbours_in_the_sequence_are_neighbours_in_space(void **state)
{
  (void)state;
  bm_cost_t *cost = NULL;
  bm_frame_t *frame = NULL;
  draw(7, N, 3, x);
  draw(8, N, 3, y);
  assert_int_equal(bm_cost_create(N, 3, x, y, 0.0, &cost), BM_OK);
  assert_int_equal(bm_frame_create(cost, &frame), BM_OK);
  assert_int_equal(bm_levels_sequence(frame, 0, N, points), BM_OK);
  assert_permutation(N, points);
  double near = 0.0;
  const size_t blocks = N / BM_PANEL_BLOCK;
  for (size_t b = 0; b < blocks; b++) {
    near += spread_of(points + b * BM_PANEL_BLOCK, BM_PANEL_BLOCK, 3) / (double)blocks;
  }
  assert_true(near < 0.3 * 6.0); /* E|x - x'|² = 6 for strangers */
  bm_frame_destroy(&frame);
  bm_cost_destroy(&cost);
}

static void levels_are_nested_and_spread_as_the_whole(void **state)
{
  (void)state;
  static uint32_t row_of[N];
  size_t sizes[BM_LEVELS_MAX];
  const size_t levels = bm_levels_sizes(N, 30, sizes);
  assert_int_equal(levels, 4);
  assert_int_equal(sizes[3], N);
  assert_int_equal(sizes[0], N / 64);
  for (size_t i = 0; i < N; i++) {
    points[i] = (uint32_t)(N - 1 - i);
  }
  assert_int_equal(bm_levels_renumber(levels, sizes, 1, points, row_of), BM_OK);
  assert_permutation(N, points);
  assert_permutation(N, row_of);
  for (size_t i = 0; i < N; i++) {
    assert_int_equal(row_of[points[i]], N - 1 - i);
  }
  for (size_t l = 0; l + 1 < levels; l++) { /* a quarter of each stretch is kept */
    size_t kept = 0;
    for (size_t i = 0; i < N / 2; i++) {
      kept += points[i] < sizes[l];
    }
    assert_true(kept + 2 >= sizes[l] / 2 && kept <= sizes[l] / 2 + 2);
  }
}

/* --- answers ---------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
  const double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

/* What a point has to be told, from all pairs. */
static void check_point(const bm_cost_t *cost, const bm_pricing_request_t *request, size_t n,
                        size_t r, const bm_pricing_answer_t *answer, const uint32_t *partner)
{
  size_t below = 0;
  double least = INFINITY, worst = -INFINITY;
  for (size_t j = 0; j < n; j++) {
    const size_t i = request->points[r];
    const double pair = request->side == 0 ? bm_cost_pair(cost, i, j) : bm_cost_pair(cost, j, i);
    all[j] = pair - request->dual[j];
    below += all[j] < request->threshold[r];
  }
  const size_t expected = below < request->keep ? below : request->keep;
  assert_int_equal(answer->found[r], expected);
  for (size_t f = 0; f < expected; f++) {
    least = fmin(least, all[partner[f]]);
    worst = fmax(worst, all[partner[f]]);
  }
  assert_true(answer->least[r] == least);
  qsort(all, n, sizeof *all, ascending);
  if (expected > 0) {
    assert_true(least == all[0] && worst == all[expected - 1]);
  }
  assert_true(expected == request->keep ? answer->bound[r] == worst
                                        : answer->bound[r] == request->threshold[r]);
}

static void check_answer(bm_pricing_t *pricing, const bm_cost_t *cost, int side, size_t keep,
                         size_t step)
{
  bm_pricing_request_t request = {
      .side = side, .keep = keep, .points = points, .dual = dual, .threshold = threshold};
  bm_pricing_answer_t answer;
  size_t n, others;
  const uint32_t *packed = bm_pricing_points(pricing, side, &n);
  (void)bm_pricing_points(pricing, 1 - side, &others);
  for (size_t i = 0; i < n; i += step) {
    points[request.count++] = packed[i];
  }
  assert_int_equal(bm_pricing_ask(pricing, &request, &answer), BM_OK);
  assert_int_equal(answer.count, request.count);
  const uint32_t *partner = answer.partner;
  for (size_t r = 0; r < request.count; r++) {
    check_point(cost, &request, others, r, &answer, partner);
    partner += answer.found[r];
  }
  assert_int_equal(partner - answer.partner, answer.total);
  bm_pricing_answer_free(&answer);
}

/* With no threshold, with one that some pairs pass, and with points left out. */
static void check_pricing(size_t n, size_t d, double period)
{
  bm_cost_t *cost = NULL;
  bm_pricing_t *pricing = NULL;
  size_t sizes[BM_LEVELS_MAX];
  const size_t levels = bm_levels_sizes(n, 512, sizes);
  double mean = 0.0;
  assert_int_equal(bm_cost_create(n, d, x, y, period, &cost), BM_OK);
  assert_int_equal(bm_pricing_create(NULL, cost, levels, sizes, &pricing), BM_OK);
  assert_int_equal(bm_pricing_pack(pricing, 0, sizes[0]), BM_OK);
  assert_int_equal(bm_pricing_pack(pricing, 1, n), BM_OK);
  for (size_t i = 0; i < n; i++) {
    mean += bm_cost_pair(cost, i, n - 1 - i) / (double)n;
  }
  for (size_t i = 0; i < n; i++) {
    dual[i] = mean * 0.1 * (double)(i % 7);
    threshold[i] = INFINITY;
  }
  check_answer(pricing, cost, 0, 24, 5);
  check_answer(pricing, cost, 1, 1, 3);
  for (size_t i = 0; i < n; i++) {
    threshold[i] = mean * (0.05 * (double)(i % 11) - 0.2);
  }
  check_answer(pricing, cost, 0, 96, 7);
  dual[3] = dual[n / 2] = -INFINITY;
  check_answer(pricing, cost, 0, 8, 7);
  bm_pricing_destroy(&pricing);
  bm_cost_destroy(&cost);
}

static void answers_are_those_of_all_pairs(void **state)
{
  (void)state;
  const size_t dimensions[] = {2, 4, 17, D};
  for (size_t c = 0; c < 4; c++) {
    draw(10 + c, N, dimensions[c], x);
    draw(20 + c, N, dimensions[c], y);
    check_pricing(N, dimensions[c], 0.0);
    check_pricing(50, dimensions[c], 0.0);
  }
}

static void answers_on_a_torus(void **state)
{
  (void)state;
  for (size_t d = 1; d <= 3; d++) {
    draw(30 + d, N, d, x);
    draw(40 + d, N, d, y);
    check_pricing(N, d, 2.5);
    check_pricing(N, d, 100.0);
  }
}

/* Where float32 sees next to nothing, float64 decides. */
static void answers_where_float32_is_blind(void **state)
{
  (void)state;
  for (size_t c = 0; c < 3; c++) {
    draw(50 + c, N, 4, x);
    draw(60 + c, N, 4, y);
    for (size_t i = 0; i < N; i++) {
      for (size_t k = 0; k < 4; k++) {
        const size_t at = i * 4 + k;
        if (c == 0) { /* clusters a million widths apart */
          x[at] += i % 2 == 0 ? 1e6 : 0.0;
          y[at] += i % 3 == 0 ? 1e6 : 0.0;
        } else if (c == 1) { /* heavy tails */
          x[at] = pow(x[at], 7.0);
          y[at] = pow(y[at], 7.0);
        } else { /* far from the origin */
          x[at] = 1e8 + 1e-3 * x[at];
          y[at] = 1e8 + 1e-3 * y[at];
        }
      }
    }
    check_pricing(N, 4, 0.0);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(kernel_equals_the_plain_loop),
      cmocka_unit_test(kernel_says_where_nothing_is_near),
      cmocka_unit_test(neighbours_in_the_sequence_are_neighbours_in_space),
      cmocka_unit_test(levels_are_nested_and_spread_as_the_whole),
      cmocka_unit_test(answers_are_those_of_all_pairs),
      cmocka_unit_test(answers_on_a_torus),
      cmocka_unit_test(answers_where_float32_is_blind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
