/* The solver in steps: stopped at any point, written down and taken up again, it ends in the same
 * bits. Stop requests are this file's own: it stands in for parallel/stop.c. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"
#include "boltzmap/io/state.h"
#include "boltzmap/transport/augmentation.h"
#include "boltzmap/transport/dense_assignment.h"
#include "boltzmap/transport/levels.h"
#include "boltzmap/transport/multilevel.h"

#define N 900
#define D 2

static double x[N * D], y[N * D];

typedef struct {
  size_t n;
  bm_cost_t *cost;
  bm_pricing_t *pricing;
  bm_multilevel_t *solver;
} problem_t;

static void open_problem(size_t n, problem_t *p)
{
  size_t sizes[BM_LEVELS_MAX];
  const size_t levels = bm_levels_sizes(n, BM_COARSEST, sizes);
  p->n = n;
  assert_int_equal(bm_cost_create(n, D, x, y, 0.0, &p->cost), BM_OK);
  assert_int_equal(bm_pricing_create(NULL, p->cost, levels, sizes, &p->pricing), BM_OK);
  assert_int_equal(bm_multilevel_create(p->cost, p->pricing, levels, sizes, &p->solver), BM_OK);
}

static void close_problem(problem_t *p)
{
  bm_multilevel_destroy(&p->solver);
  bm_pricing_destroy(&p->pricing);
  bm_cost_destroy(&p->cost);
}

/* Looks at stop requests until one has come; negative: none will. */
static int64_t looks_left = -1;
static size_t looks;

bm_status_t bm_stop_poll(void)
{
  looks++;
  if (looks_left < 0 || looks_left-- > 0) {
    return BM_OK;
  }
  return BM_FAIL(BM_STOPPED, "stopped");
}

/* Go on to the end, or to the stop. */
static bm_status_t take_steps(problem_t *p)
{
  bm_status_t status = BM_OK;
  while (status == BM_OK && !bm_multilevel_done(p->solver)) {
    status = bm_multilevel_step(p->solver);
  }
  return status;
}

static void assert_same(const problem_t *a, const problem_t *b)
{
  const bm_matching_t *left = bm_multilevel_matching(a->solver);
  const bm_matching_t *right = bm_multilevel_matching(b->solver);
  for (int side = 0; side < 2; side++) {
    assert_memory_equal(left->partner[side], right->partner[side], a->n * sizeof(uint32_t));
    assert_memory_equal(left->dual[side], right->dual[side], a->n * sizeof(double));
  }
}

/* A whole solution beside those that are stopped at the first look at stop requests, at the second,
 * …, within pricings as between steps. Gives the number of looks. */
static size_t check_stops(size_t n)
{
  problem_t whole;
  open_problem(n, &whole);
  looks = 0;
  assert_int_equal(take_steps(&whole), BM_OK);
  const size_t all = looks;
  for (size_t stop = 0; stop < all; stop++) {
    problem_t first, second;
    bm_state_t *state = NULL;
    open_problem(n, &first);
    looks_left = (int64_t)stop;
    assert_int_equal(take_steps(&first), BM_STOPPED);
    looks_left = -1;
    assert_int_equal(bm_state_create(BM_STATE_CHECKPOINT, &state), BM_OK);
    assert_int_equal(bm_multilevel_save(first.solver, state), BM_OK);
    close_problem(&first);
    open_problem(n, &second);
    assert_int_equal(bm_multilevel_load(state, second.solver), BM_OK);
    assert_int_equal(take_steps(&second), BM_OK);
    assert_same(&whole, &second);
    close_problem(&second);
    bm_state_destroy(&state);
  }
  close_problem(&whole);
  return all;
}

static void draw(void)
{
  bm_random_t random = bm_random(3, BM_PURPOSE_TEST);
  for (size_t i = 0; i < N; i++) {
    bm_random_normals(random, (uint32_t)i, 0, 0, D, x + i * D);
    bm_random_normals(random, (uint32_t)i, 1, 0, D, y + i * D);
  }
}

static void stops_leave_no_trace(void **state)
{
  (void)state;
  draw();
  assert_true(check_stops(N) > 10);
}

/* Clusters that have to give points away: dead ends. */
static void stops_leave_no_trace_in_clusters(void **state)
{
  (void)state;
  draw();
  for (size_t i = 0; i < N; i++) {
    x[i * D] += i % 5 == 0 ? 1e4 : 0.0;
    y[i * D] += i % 3 == 0 ? 1e4 : 0.0;
  }
  assert_true(check_stops(N) > 10);
}

/* Nearly equal clouds, which are polished; on one level, too. */
static void stops_leave_no_trace_in_copies(void **state)
{
  (void)state;
  draw();
  for (size_t i = 0; i < N * D; i++) {
    y[i] = x[i] + 1e-7 * y[i];
  }
  assert_true(check_stops(N) > 10);
  assert_true(check_stops(300) > 2);
}

/* From no duals at all and a random matching: corrected labels and turned cycles lead to the
 * optimum. */
static void correcting_labels_finds_the_optimum(void **state)
{
  (void)state;
  enum { n = 60 };
  bm_cost_t *cost = NULL;
  bm_graph_t graph;
  bm_matching_t m;
  bm_pair_list_t list = {0};
  uint64_t added;
  uint32_t best[n];
  double v[n], least = 0.0, sum = 0.0;
  int settled;
  draw();
  assert_int_equal(bm_cost_create(n, D, x, y, 0.0, &cost), BM_OK);
  assert_int_equal(bm_dense_assignment(cost, n, best, v), BM_OK);
  assert_int_equal(bm_graph_create(n, &graph), BM_OK);
  assert_int_equal(bm_matching_create(n, &m), BM_OK);
  for (uint32_t i = 0; i < n; i++) {
    for (uint32_t j = 0; j < n; j++) {
      assert_int_equal(bm_pair_list_add(&list, i, j), BM_OK);
    }
    bm_matching_join(&m, i, i);
    least += bm_cost_pair(cost, i, best[i]);
  }
  assert_int_equal(bm_graph_add(&graph, cost, &list, &added), BM_OK);
  assert_int_equal(bm_augment_correct(&graph, cost, 1000000, &m, &settled), BM_OK);
  assert_true(settled);
  for (uint32_t i = 0; i < n; i++) {
    assert_int_equal(m.partner[1][m.partner[0][i]], i);
    sum += bm_cost_pair(cost, i, m.partner[0][i]);
    for (uint32_t j = 0; j < n; j++) {
      const double reduced = bm_cost_pair(cost, i, j) - m.dual[0][i] - m.dual[1][j];
      assert_true(reduced > -1e-12);
    }
  }
  assert_true(fabs(sum - least) < 1e-12 * least);
  bm_free(list.pairs);
  bm_matching_clear(&m);
  bm_graph_clear(&graph);
  bm_cost_destroy(&cost);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stops_leave_no_trace),
      cmocka_unit_test(stops_leave_no_trace_in_clusters),
      cmocka_unit_test(stops_leave_no_trace_in_copies),
      cmocka_unit_test(correcting_labels_finds_the_optimum),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
