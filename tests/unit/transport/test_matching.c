/* Assignment on a sparse graph: candidates, auction and augmenting paths. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"
#include "boltzmap/transport/auction.h"
#include "boltzmap/transport/augmentation.h"
#include "boltzmap/transport/cost.h"
#include "boltzmap/transport/dense_assignment.h"
#include "boltzmap/transport/graph.h"

#define N 300
#define D 3

static double x[N * D], y[N * D];
static bm_cost_t *cost;

static int set_up(void **state)
{
  (void)state;
  bm_random_t random = bm_random(1, BM_PURPOSE_TEST);
  for (size_t i = 0; i < N; i++) {
    bm_random_normals(random, (uint32_t)i, 0, 0, D, x + i * D);
    bm_random_normals(random, (uint32_t)i, 1, 0, D, y + i * D);
  }
  return bm_cost_create(N, D, x, y, 0.0, &cost) != BM_OK;
}

static int tear_down(void **state)
{
  (void)state;
  bm_cost_destroy(&cost);
  return 0;
}

/* All pairs, or those of each x with the y whose number is within `reach` of its own. */
static void build(size_t reach, bm_graph_t *graph)
{
  bm_pair_list_t list = {0};
  uint64_t added;
  assert_int_equal(bm_graph_create(N, graph), BM_OK);
  for (uint32_t i = 0; i < N; i++) {
    for (uint32_t j = 0; j < N; j++) {
      if ((i > j ? i - j : j - i) <= reach) {
        assert_int_equal(bm_pair_list_add(&list, i, j), BM_OK);
      }
    }
  }
  assert_int_equal(bm_graph_add(graph, cost, &list, &added), BM_OK);
  assert_int_equal(added, list.count);
  assert_int_equal(bm_graph_add(graph, cost, &list, &added), BM_OK);
  assert_int_equal(added, 0); /* all are known */
  bm_free(list.pairs);
}

static void candidates_are_kept_once_in_both_directions(void **state)
{
  (void)state;
  bm_graph_t graph;
  bm_pair_list_t list = {0};
  uint64_t added;
  assert_int_equal(bm_graph_create(N, &graph), BM_OK);
  for (uint32_t p = 0; p < 2000; p++) { /* many of them equal */
    assert_int_equal(bm_pair_list_add(&list, p * 7 % 50, p * 13 % 40), BM_OK);
  }
  assert_int_equal(bm_graph_add(&graph, cost, &list, &added), BM_OK);
  assert_int_equal(added, graph.edges);
  assert_int_equal(graph.from[0].start[N], graph.edges);
  assert_int_equal(graph.from[1].start[N], graph.edges);
  static double seen[N][N];
  memset(seen, 0, sizeof seen);
  for (int side = 0; side < 2; side++) {
    for (size_t i = 0; i < N; i++) {
      for (uint64_t e = graph.from[side].start[i]; e < graph.from[side].start[i + 1]; e++) {
        const size_t j = graph.from[side].to[e];
        double *pair = side == 0 ? &seen[i][j] : &seen[j][i];
        assert_true(*pair == (side == 0 ? 0.0 : graph.from[1].cost[e]));
        *pair = side == 0 ? graph.from[0].cost[e] : -1.0;
        assert_true(graph.from[side].cost[e] ==
                    (side == 0 ? bm_cost_pair(cost, i, j) : bm_cost_pair(cost, j, i)));
      }
    }
  }
  bm_free(list.pairs);
  bm_graph_clear(&graph);
}

static double sum_of(const bm_matching_t *m)
{
  double sum = 0.0;
  for (size_t i = 0; i < N; i++) {
    assert_true(m->partner[0][i] < N);
    assert_int_equal(m->partner[1][m->partner[0][i]], i);
    sum += bm_cost_pair(cost, i, m->partner[0][i]);
  }
  return sum;
}

static double least_sum(void)
{
  uint32_t partner[N];
  double v[N], sum = 0.0;
  assert_int_equal(bm_dense_assignment(cost, N, partner, v), BM_OK);
  for (size_t i = 0; i < N; i++) {
    sum += bm_cost_pair(cost, i, partner[i]);
  }
  return sum;
}

/* A complete matching of an auction costs at most n·epsilon more than the best (Bertsekas). Two
 * directions with shared gains: each pair is within epsilon of the bidder's best when made, and
 * stays so for the side that sees prices rise; the other may lose as much again. */
static void auctions_are_optimal_to_their_epsilon(void **state)
{
  (void)state;
  bm_graph_t graph;
  build(N, &graph);
  const double least = least_sum();
  for (double epsilon = 1.0; epsilon > 1e-4; epsilon *= 0.2) {
    bm_matching_t m;
    assert_int_equal(bm_matching_create(N, &m), BM_OK);
    for (double step = 1.0; step > epsilon; step *= 0.2) {
      assert_int_equal(bm_auction(&graph, step, &m), BM_OK);
      (void)bm_matching_tighten(&graph, cost, step, &m);
    }
    assert_int_equal(bm_auction(&graph, epsilon, &m), BM_OK);
    const double sum = sum_of(&m);
    assert_true(sum >= least * (1.0 - 1e-13));
    assert_true(sum <= least + 2.0 * (double)N * epsilon);
    bm_matching_clear(&m);
  }
  bm_graph_clear(&graph);
}

static void assert_optimal(const bm_graph_t *graph, const bm_matching_t *m)
{
  const bm_adjacency_t *of_x = &graph->from[0];
  for (size_t i = 0; i < N; i++) {
    for (uint64_t e = of_x->start[i]; e < of_x->start[i + 1]; e++) {
      const uint32_t j = of_x->to[e];
      const double reduced = of_x->cost[e] - m->dual[0][i] - m->dual[1][j];
      assert_true(reduced > -1e-12);
      if (m->partner[0][i] == j) {
        assert_true(reduced < 1e-12);
      }
    }
  }
}

static void paths_complete_any_matching_to_the_best(void **state)
{
  (void)state;
  bm_graph_t graph;
  bm_dead_end_t end;
  build(N, &graph);
  assert_int_equal(bm_dead_end_create(N, &end), BM_OK);
  for (int first = 0; first < 2; first++) { /* from nothing; after a coarse auction */
    bm_matching_t m;
    assert_int_equal(bm_matching_create(N, &m), BM_OK);
    if (first == 1) {
      assert_int_equal(bm_auction(&graph, 0.1, &m), BM_OK);
    }
    (void)bm_matching_tighten(&graph, cost, 0.0, &m);
    assert_int_equal(bm_augment(&graph, &m, &end), BM_OK);
    assert_int_equal(end.count, 0);
    const double least = least_sum();
    assert_true(fabs(sum_of(&m) - least) < 1e-12 * least);
    assert_optimal(&graph, &m);
    bm_matching_clear(&m);
  }
  bm_dead_end_clear(&end);
  bm_graph_clear(&graph);
}

static void sparse_graphs_are_solved_on_what_they_have(void **state)
{
  (void)state;
  bm_graph_t graph;
  bm_dead_end_t end;
  bm_matching_t m;
  build(5, &graph);
  assert_int_equal(bm_dead_end_create(N, &end), BM_OK);
  assert_int_equal(bm_matching_create(N, &m), BM_OK);
  assert_int_equal(bm_auction(&graph, 0.1, &m), BM_OK);
  (void)bm_matching_tighten(&graph, cost, 0.0, &m);
  assert_int_equal(bm_augment(&graph, &m, &end), BM_OK);
  assert_int_equal(end.count, 0);
  assert_optimal(&graph, &m);
  bm_matching_clear(&m);
  bm_dead_end_clear(&end);
  bm_graph_clear(&graph);
}

/* Twenty x share ten y: ten are left over, and what they reach is the twenty and the ten. The
 * auction has to end, too. */
static void dead_ends_are_told(void **state)
{
  (void)state;
  bm_graph_t graph;
  bm_dead_end_t end;
  bm_matching_t m;
  bm_pair_list_t list = {0};
  uint64_t added;
  assert_int_equal(bm_graph_create(N, &graph), BM_OK);
  for (uint32_t i = 0; i < N; i++) {
    for (uint32_t j = 0; j < N; j++) {
      if (i < 20 ? j < 10 : j >= 10) {
        assert_int_equal(bm_pair_list_add(&list, i, j), BM_OK);
      }
    }
  }
  assert_int_equal(bm_graph_add(&graph, cost, &list, &added), BM_OK);
  assert_int_equal(bm_dead_end_create(N, &end), BM_OK);
  assert_int_equal(bm_matching_create(N, &m), BM_OK);
  assert_int_equal(bm_auction(&graph, 1e-3, &m), BM_OK);
  (void)bm_matching_tighten(&graph, cost, 0.0, &m);
  assert_int_equal(bm_augment(&graph, &m, &end), BM_OK);
  assert_int_equal(end.count, 20);
  for (size_t r = 0; r < end.count; r++) {
    assert_true(end.rows[r] < 20);
  }
  size_t matched = 0;
  for (size_t j = 0; j < N; j++) {
    assert_int_equal(end.closed[j], j < 10);
    matched += m.partner[1][j] != BM_UNMATCHED;
  }
  assert_int_equal(matched, N - 10);
  bm_free(list.pairs);
  bm_matching_clear(&m);
  bm_dead_end_clear(&end);
  bm_graph_clear(&graph);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(candidates_are_kept_once_in_both_directions),
      cmocka_unit_test(auctions_are_optimal_to_their_epsilon),
      cmocka_unit_test(paths_complete_any_matching_to_the_best),
      cmocka_unit_test(sparse_graphs_are_solved_on_what_they_have),
      cmocka_unit_test(dead_ends_are_told),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
