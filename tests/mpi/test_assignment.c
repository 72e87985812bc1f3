/* Exact W2 shared by all ranks: the bits of one rank alone. */

#include "check.h"

#include <math.h>

#include "boltzmap/parallel/stop.h"
#include "boltzmap/transport/assignment.h"
#include "boltzmap/transport/debiased.h"
#include "boltzmap/transport/distance.h"

#define N 2500
#define D 20

static double x[N * D], y[N * D];

static void draw(size_t d, double separation)
{
  bm_random_t random = bm_random(1, BM_PURPOSE_TEST);
  for (size_t i = 0; i < N; i++) {
    bm_random_normals(random, (uint32_t)i, d, 0, d, x + i * d);
    bm_random_normals(random, (uint32_t)(i + N), d, 0, d, y + i * d);
    x[i * d] += i % 4 == 0 ? separation : 0.0;
    y[i * d] += i % 3 == 0 ? separation : 0.0;
  }
}

static void all_ranks_together_are_as_one(const bm_context_t *all, const bm_context_t *alone)
{
  static uint32_t together[N], single[N];
  const struct {
    size_t n, d;
    double separation, period;
  } cases[] = {
      {N, 4, 0.0, 0.0}, {N, D, 30.0, 0.0}, {N, 2, 0.0, 3.0}, {40, 3, 0.0, 0.0}, {1, 1, 0.0, 0.0}};
  for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
    const bm_assignment_problem_t problem = {cases[c].n,      cases[c].d, x,   y,
                                             cases[c].period, NULL,       NULL};
    bm_assignment_result_t shared, own, threads;
    draw(cases[c].d, cases[c].separation);
    CHECK(bm_assignment_solve(all, &problem, together, &shared) == BM_OK);
    CHECK(bm_assignment_solve(NULL, &problem, single, &own) == BM_OK);
    CHECK(bm_assignment_solve(alone, &problem, NULL, &threads) == BM_OK);
    CHECK_BITS(&shared.w2, &own.w2, 1);
    CHECK_BITS(&shared.gap, &own.gap, 1);
    CHECK_BITS(&shared.error, &own.error, 1);
    CHECK_BITS(&threads.w2, &own.w2, 1);
    CHECK_BITS(&threads.error, &own.error, 1);
    CHECK(own.gap < 1e-12);
    if (bm_context_is_root(all)) {
      CHECK_BITS(together, single, problem.n);
    }
  }
}

static void debiased_distances_do_not_depend_on_ranks(const bm_context_t *all,
                                                      const bm_context_t *alone)
{
  const bm_distance_settings_t settings = {.projections = 50, .seed = 3, .subsample = 200};
  const char *const kinds[] = {"exact", "sliced"};
  draw(4, 1.0);
  const bm_cloud_t a = {1000, 4, x}, b = {700, 4, y};
  for (size_t k = 0; k < 2; k++) {
    bm_debiased_t shared, own;
    const bm_distance_ops_t *kind = bm_distance_find(kinds[k]);
    CHECK(bm_distance_debiased(all, kind, &settings, &a, &b, &shared) == BM_OK);
    CHECK(bm_distance_debiased(alone, kind, &settings, &a, &b, &own) == BM_OK);
    CHECK_BITS(&shared.w2_squared, &own.w2_squared, 1);
    CHECK_BITS(&shared.error, &own.error, 1);
    CHECK_BITS(&shared.floor, &own.floor, 1);
  }
}

/* Last: a stop request stays. One rank alone gets it, and all stop. */
static void a_stop_request_of_one_rank_stops_all(const bm_context_t *all)
{
  const bm_assignment_problem_t problem = {N, 4, x, y, 0.0, NULL, NULL};
  bm_assignment_result_t result;
  draw(4, 0.0);
  if (all->rank == all->size - 1) {
    bm_stop_request();
  }
  CHECK(bm_assignment_solve(all, &problem, NULL, &result) == BM_STOPPED);
}

int main(int argc, char **argv)
{
  bm_context_t *all, *alone;
  check_start(&argc, &argv, &all, &alone);
  all_ranks_together_are_as_one(all, alone);
  debiased_distances_do_not_depend_on_ranks(all, alone);
  a_stop_request_of_one_rank_stops_all(all);
  return check_end(&all, &alone);
}
