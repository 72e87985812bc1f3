#include "boltzmap/transport/assignment.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/order.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/transport/auction.h"
#include "boltzmap/transport/augmentation.h"
#include "boltzmap/transport/cost.h"
#include "boltzmap/transport/dense_assignment.h"
#include "boltzmap/transport/graph.h"
#include "boltzmap/transport/levels.h"
#include "boltzmap/transport/potentials.h"
#include "boltzmap/transport/pricing.h"

#define BM_COARSEST 512  /* points that are solved from the full matrix */
#define BM_CANDIDATES 24 /* of each point */
#define BM_EPSILON_FALL 5.0
#define BM_EPSILON_PRICED 0.1  /* of the scale: from there on missing pairs show */
#define BM_EPSILON_COARSE 0.05 /* of the scale: where coarse levels end */
#define BM_EPSILON_FINEST 1e-3 /* and the finest */
#define BM_SCALE_RANK 6     /* the scale is the median gap between the best choice and this one */
#define BM_RELEASED_MANY 50 /* one in so many pairs let go: price again */
#define BM_PRICINGS_MAX 8   /* of a level before it is finished as it is */
#define BM_GROWTH 8         /* candidates for each point of a dead end */
#define BM_LARGEST_COST 1e300
#define BM_LEAST 1e-145 /* whose square still has all its digits */

typedef struct {
  bm_cost_t *cost;
  bm_pricing_t *pricing;
  bm_log_t *log;
  size_t levels, sizes[BM_LEVELS_MAX];
  size_t n; /* points of the level at hand */
  int finest;
  bm_matching_t matching; /* its arrays have room for all points */
  bm_graph_t graph;
  bm_dead_end_t dead_end;
  double *threshold;  /* [n]: of points asked for */
  double *keys[2];    /* [n]: what suspects are sorted by */
  uint32_t *suspects; /* [n] */

  /* When all pairs were last priced: none outside the graph had c_ij - v_j below bound_i. */
  int has_bounds;
  double *bound, *bound_v; /* [n] */
  double rows_priced;
} solver_t;

/* --- pricing and the graph --------------------------------------------------------------------- */

static bm_status_t ask(solver_t *s, const bm_pricing_request_t *request,
                       bm_pricing_answer_t *answer)
{
  BM_TRY(bm_pricing_ask(s->pricing, request, answer));
  s->rows_priced += (double)request->count;
  return BM_OK;
}

/* Put what was found on a list of pairs. */
static bm_status_t collect(const bm_pricing_request_t *request, const bm_pricing_answer_t *answer,
                           bm_pair_list_t *list)
{
  const uint32_t *partner = answer->partner;
  for (size_t r = 0; r < answer->count; r++) {
    const uint32_t point = request->points[r];
    for (uint32_t f = 0; f < answer->found[r]; f++, partner++) {
      BM_TRY(request->side == 0 ? bm_pair_list_add(list, point, *partner)
                                : bm_pair_list_add(list, *partner, point));
    }
  }
  return BM_OK;
}

/* All points of a side without a threshold: their duals become the least reduced costs, and the
 * pairs go on the list (NULL: no pairs are wanted). */
static bm_status_t price_anew(solver_t *s, int side, size_t keep, bm_pair_list_t *list)
{
  bm_pricing_request_t request = {.side = side, .keep = keep, .dual = s->matching.dual[1 - side]};
  bm_pricing_answer_t answer;
  request.points = bm_pricing_points(s->pricing, side, &request.count);
  request.threshold = s->threshold;
  for (size_t r = 0; r < request.count; r++) {
    s->threshold[r] = INFINITY;
  }
  BM_TRY(ask(s, &request, &answer));
  for (size_t r = 0; r < request.count; r++) {
    s->matching.dual[side][request.points[r]] = answer.least[r];
  }
  bm_status_t status = list == NULL ? BM_OK : collect(&request, &answer, list);
  bm_pricing_answer_free(&answer);
  return status;
}

/* Price all x for pairs whose reduced cost is below the margin, and remember the bounds. */
static bm_status_t price_margin(solver_t *s, double margin, bm_pair_list_t *list)
{
  const double *u = s->matching.dual[0];
  bm_pricing_request_t request = {.side = 0,
                                  .keep = BM_PRICING_KEEP_MAX,
                                  .dual = s->matching.dual[1],
                                  .threshold = s->threshold};
  bm_pricing_answer_t answer;
  request.points = bm_pricing_points(s->pricing, 0, &request.count);
  for (size_t r = 0; r < request.count; r++) {
    s->threshold[r] = u[request.points[r]] + margin;
  }
  BM_TRY(ask(s, &request, &answer));
  for (size_t r = 0; r < request.count; r++) {
    s->bound[request.points[r]] = answer.bound[r];
  }
  memcpy(s->bound_v, s->matching.dual[1], s->n * sizeof *s->bound_v);
  s->has_bounds = 1;
  bm_status_t status = collect(&request, &answer, list);
  bm_pricing_answer_free(&answer);
  return status;
}

/* Price those points of a side whose key is below the cut (side 0) or above it (side 1) for pairs of
 * negative reduced cost. */
static bm_status_t price_suspects(solver_t *s, int side, double cut, bm_pair_list_t *list)
{
  const double *dual = s->matching.dual[side];
  size_t n;
  const uint32_t *points = bm_pricing_points(s->pricing, side, &n);
  bm_pricing_request_t request = {.side = side,
                                  .keep = BM_PRICING_KEEP_MAX,
                                  .points = s->suspects,
                                  .dual = s->matching.dual[1 - side],
                                  .threshold = s->threshold};
  for (size_t r = 0; r < n; r++) {
    const double key = s->keys[side][points[r]];
    if (side == 0 ? key < cut : key > cut) {
      s->threshold[request.count] = dual[points[r]];
      s->suspects[request.count++] = points[r];
    }
  }
  if (request.count == 0) {
    return BM_OK;
  }
  bm_pricing_answer_t answer;
  BM_TRY(ask(s, &request, &answer));
  bm_status_t status = collect(&request, &answer, list);
  bm_pricing_answer_free(&answer);
  return status;
}

/* A pair that is not in the graph can have come to a negative reduced cost only where
 * bound_i - u_i < v_j - bound_v_j. Choose the cut so that the fewest x to the left of it and y to
 * the right of it have to be priced. Gives their number. */
static bm_status_t choose_cut(solver_t *s, double *cut, size_t *count)
{
  const double *u = s->matching.dual[0], *v = s->matching.dual[1];
  double *sorted = NULL; /* [2][n] */
  BM_TRY(BM_ALLOC(2 * s->n, &sorted));
  double *of_x = sorted, *of_y = sorted + s->n;
  for (size_t i = 0; i < s->n; i++) {
    of_x[i] = s->keys[0][i] = s->bound[i] - u[i];
    of_y[i] = s->keys[1][i] = v[i] - s->bound_v[i];
  }
  qsort(of_x, s->n, sizeof *of_x, bm_order_ascending);
  qsort(of_y, s->n, sizeof *of_y, bm_order_ascending);
  *count = SIZE_MAX;
  for (size_t above = 0, below = s->n; above < s->n; above++) {
    const double value = of_y[s->n - 1 - above];
    while (below > 0 && of_x[below - 1] >= value) {
      below--;
    }
    if (above + below < *count) {
      *count = above + below;
      *cut = value;
    }
  }
  bm_free(sorted);
  return BM_OK;
}

/* Pairs of negative reduced cost that may be outside the graph. `*full`: all x were priced, with a
 * margin. */
static bm_status_t price_violated(solver_t *s, double margin, bm_pair_list_t *list)
{
  double cut = 0.0;
  size_t count = SIZE_MAX;
  if (s->has_bounds) {
    BM_TRY(choose_cut(s, &cut, &count));
  }
  if (count > s->n / 2) {
    return price_margin(s, margin, list);
  }
  BM_TRY(price_suspects(s, 0, cut, list));
  return price_suspects(s, 1, cut, list);
}

static bm_status_t add_pairs(solver_t *s, bm_pair_list_t *list, bm_status_t status, uint64_t *added)
{
  if (status == BM_OK) {
    status = bm_graph_add(&s->graph, s->cost, list, added);
  }
  bm_free(list->pairs);
  *list = (bm_pair_list_t){0};
  return status;
}

static bm_status_t add_violated(solver_t *s, double margin, uint64_t *added)
{
  bm_pair_list_t list = {0};
  return add_pairs(s, &list, price_violated(s, margin, &list), added);
}

/* --- a complete matching ----------------------------------------------------------------------- */

/* Out of a dead end: the cheapest candidates beyond what it reaches. */
static bm_status_t price_dead_end(solver_t *s, bm_pair_list_t *list)
{
  double *open_v = NULL;
  BM_TRY(BM_ALLOC(s->n, &open_v));
  for (size_t j = 0; j < s->n; j++) {
    open_v[j] = s->dead_end.closed[j] ? -INFINITY : s->matching.dual[1][j];
  }
  for (size_t r = 0; r < s->dead_end.count; r++) {
    s->threshold[r] = INFINITY;
  }
  const bm_pricing_request_t request = {.side = 0,
                                        .keep = BM_GROWTH,
                                        .count = s->dead_end.count,
                                        .points = s->dead_end.rows,
                                        .dual = open_v,
                                        .threshold = s->threshold};
  bm_pricing_answer_t answer;
  bm_status_t status = ask(s, &request, &answer);
  if (status == BM_OK) {
    status = collect(&request, &answer, list);
    bm_pricing_answer_free(&answer);
  }
  bm_free(open_v);
  return status;
}

/* Match whom the auction left over, on a graph that grows where it has to. */
static bm_status_t complete(solver_t *s, double epsilon)
{
  for (;;) {
    (void)bm_matching_tighten(&s->graph, s->cost, epsilon, &s->matching);
    BM_TRY(bm_augment(&s->graph, &s->matching, &s->dead_end));
    if (s->dead_end.count == 0) {
      return BM_OK;
    }
    bm_pair_list_t list = {0};
    uint64_t added = 0;
    BM_TRY(add_pairs(s, &list, price_dead_end(s, &list), &added));
    if (added == 0) {
      return BM_FAIL(BM_ERR_INTERNAL, "exact distance: no way out of a dead end of %zu points",
                     s->dead_end.count);
    }
  }
}

/* --- a level ------------------------------------------------------------------------------------- */

static double median(size_t n, double *values /* [n], sorted by this */)
{
  qsort(values, n, sizeof *values, bm_order_ascending);
  return values[n / 2];
}

/* The gap from the best choice of each x to one further down, and to the last. */
static void find_gaps(const solver_t *s, double *near /* [n] */, double *far /* [n] */,
                      double *mean_cost)
{
  const bm_adjacency_t *of_x = &s->graph.from[0];
  *mean_cost = 0.0;
  for (size_t i = 0; i < s->n; i++) {
    double best[BM_SCALE_RANK], last = -INFINITY;
    size_t count = 0;
    for (uint64_t e = of_x->start[i]; e < of_x->start[i + 1]; e++) {
      const double value = of_x->cost[e] - s->matching.dual[1][of_x->to[e]];
      size_t at = count < BM_SCALE_RANK ? count++ : BM_SCALE_RANK;
      for (; at > 0 && best[at - 1] > value; at--) {
        if (at < BM_SCALE_RANK) {
          best[at] = best[at - 1];
        }
      }
      if (at < BM_SCALE_RANK) {
        best[at] = value;
      }
      last = fmax(last, value);
      *mean_cost += of_x->cost[e] / (double)s->graph.edges;
    }
    near[i] = count > 1 ? best[count - 1] - best[1] : 0.0;
    far[i] = count > 1 ? last - best[0] : 0.0;
  }
}

/* What is large in terms of reduced costs. Ties would make it zero, and auctions crawl. */
static bm_status_t find_scale(const solver_t *s, double *scale)
{
  double *gaps = NULL; /* [2][n] */
  double mean_cost;
  BM_TRY(BM_ALLOC(2 * s->n, &gaps));
  find_gaps(s, gaps, gaps + s->n, &mean_cost);
  *scale = fmax(median(s->n, gaps), 0.1 * median(s->n, gaps + s->n));
  *scale = fmax(*scale, fmax(1e-6 * mean_cost, DBL_MIN));
  bm_free(gaps);
  return BM_OK;
}

/* Auctions with falling epsilon; once it is small, pairs that were missing are added. */
static bm_status_t anneal(solver_t *s, double scale)
{
  const double last = (s->finest ? BM_EPSILON_FINEST : BM_EPSILON_COARSE) * scale;
  double epsilon = scale;
  int pricings = 0, priced = 0;
  for (;;) {
    BM_TRY(bm_auction(&s->graph, epsilon, &s->matching));
    if (!priced && epsilon <= BM_EPSILON_PRICED * scale) {
      uint64_t added;
      (void)bm_matching_tighten(&s->graph, s->cost, epsilon, &s->matching);
      BM_TRY(add_violated(s, s->finest ? scale : 0.0, &added));
      const size_t released = bm_matching_tighten(&s->graph, s->cost, epsilon, &s->matching);
      if (released > s->n / BM_RELEASED_MANY && ++pricings < BM_PRICINGS_MAX) {
        continue;
      }
      priced = 1;
    }
    if (epsilon <= last) {
      return BM_OK;
    }
    epsilon = fmax(epsilon / BM_EPSILON_FALL, last);
    (void)bm_matching_tighten(&s->graph, s->cost, epsilon, &s->matching);
  }
}

static void forget_matching(solver_t *s)
{
  for (int side = 0; side < 2; side++) {
    for (size_t i = 0; i < s->n; i++) {
      s->matching.partner[side][i] = BM_UNMATCHED;
    }
  }
}

static bm_status_t find_candidates(solver_t *s)
{
  bm_pair_list_t list = {0};
  uint64_t added;
  bm_graph_clear(&s->graph);
  BM_TRY(bm_graph_create(s->n, &s->graph));
  bm_status_t status = price_anew(s, 0, BM_CANDIDATES, &list);
  if (status == BM_OK) {
    status = price_anew(s, 1, BM_CANDIDATES, &list);
  }
  return add_pairs(s, &list, status, &added);
}

/* From the duals of the level before to those of level l. */
static bm_status_t solve_level(solver_t *s, size_t l)
{
  double scale;
  s->n = s->matching.n = s->sizes[l];
  s->finest = l + 1 == s->levels;
  s->has_bounds = 0;
  BM_TRY(bm_pricing_pack(s->pricing, 1, s->n));
  BM_TRY(price_anew(s, 1, 1, NULL));
  BM_TRY(bm_pricing_pack(s->pricing, 0, s->n));
  forget_matching(s);
  BM_TRY(find_candidates(s));
  BM_TRY(find_scale(s, &scale));
  BM_TRY(anneal(s, scale));
  if (!s->finest) {
    return complete(s, BM_EPSILON_COARSE * scale);
  }
  for (uint64_t added = 1; added > 0;) {
    BM_TRY(complete(s, 0.0));
    BM_TRY(add_violated(s, scale, &added));
  }
  return BM_OK;
}

static bm_status_t solve_coarsest(solver_t *s)
{
  bm_matching_t *m = &s->matching;
  s->n = m->n = s->sizes[0];
  s->finest = s->levels == 1;
  BM_TRY(bm_dense_assignment(s->cost, s->n, m->partner[0], m->dual[1]));
  for (size_t i = 0; i < s->n; i++) {
    const uint32_t j = m->partner[0][i];
    m->partner[1][j] = (uint32_t)i;
    m->dual[0][i] = bm_cost_pair(s->cost, i, j) - m->dual[1][j];
  }
  return bm_pricing_pack(s->pricing, 0, s->n);
}

/* --- the proof ------------------------------------------------------------------------------------ */

/* Price all pairs once more: how far below the price of its own pair is the best choice of each x? */
static bm_status_t certify(solver_t *s, bm_assignment_result_t *result)
{
  const bm_matching_t *m = &s->matching;
  const double *v = m->dual[1];
  const double w2_squared = result->w2 * result->w2;
  bm_pricing_request_t request = {.side = 0, .keep = 1, .dual = v, .threshold = s->threshold};
  bm_pricing_answer_t answer;
  double rounding = 0.0, violation = 0.0;
  BM_TRY(bm_pricing_pack(s->pricing, 1, s->n));
  request.points = bm_pricing_points(s->pricing, 0, &request.count);
  for (size_t r = 0; r < s->n; r++) {
    const uint32_t i = request.points[r], j = m->partner[0][i];
    const double cost = bm_cost_pair(s->cost, i, j);
    s->threshold[r] = cost - v[j];
    rounding += DBL_EPSILON * (((double)s->cost->d + 4.0) * cost + 2.0 * fabs(v[j]));
  }
  BM_TRY(ask(s, &request, &answer));
  for (size_t r = 0; r < s->n; r++) {
    violation += fmax(s->threshold[r] - answer.least[r], 0.0);
  }
  bm_pricing_answer_free(&answer);
  result->gap = w2_squared > 0.0 ? 2.0 * violation / (double)s->n / w2_squared : 0.0;
  result->rounding = w2_squared > 0.0 ? 2.0 * rounding / (double)s->n / w2_squared : 0.0;
  return BM_OK;
}

/* --- rank 0 --------------------------------------------------------------------------------------- */

static bm_status_t allocate(solver_t *s, size_t n)
{
  BM_TRY(bm_matching_create(n, &s->matching));
  BM_TRY(bm_graph_create(0, &s->graph));
  BM_TRY(bm_dead_end_create(n, &s->dead_end));
  BM_TRY(BM_ALLOC(n, &s->threshold));
  BM_TRY(BM_ALLOC(n, &s->keys[0]));
  BM_TRY(BM_ALLOC(n, &s->keys[1]));
  BM_TRY(BM_ALLOC(n, &s->suspects));
  BM_TRY(BM_ALLOC(n, &s->bound));
  return BM_ALLOC(n, &s->bound_v);
}

static void free_solver(solver_t *s)
{
  bm_matching_clear(&s->matching);
  bm_graph_clear(&s->graph);
  bm_dead_end_clear(&s->dead_end);
  bm_free(s->threshold);
  bm_free(s->keys[0]);
  bm_free(s->keys[1]);
  bm_free(s->suspects);
  bm_free(s->bound);
  bm_free(s->bound_v);
}

static bm_status_t solve(solver_t *s, uint32_t *pairing, bm_assignment_result_t *result)
{
  BM_TRY(allocate(s, s->cost->n));
  BM_TRY(solve_coarsest(s));
  for (size_t l = 1; l < s->levels; l++) {
    BM_TRY(solve_level(s, l));
  }
  result->w2 = sqrt(bm_cost_w2_squared(s->cost, s->matching.partner[0]));
  BM_TRY(certify(s, result));
  BM_TRY(bm_potentials_error(s->cost, &s->matching, &result->error));
  for (size_t i = 0; i < s->n && pairing != NULL; i++) {
    pairing[s->cost->order[0][i]] = s->cost->order[1][s->matching.partner[0][i]];
  }
  return BM_OK;
}

static bm_status_t coordinate(solver_t *s, uint32_t *pairing, bm_assignment_result_t *result)
{
  bm_status_t status = solve(s, pairing, result);
  free_solver(s);
  return bm_pricing_finish(s->pricing, status);
}

/* --- all ranks ------------------------------------------------------------------------------------ */

static bm_status_t check(const bm_assignment_problem_t *p)
{
  double largest = 0.0;
  for (size_t i = 0; i < p->n * p->d; i++) {
    if (!isfinite(p->x[i]) || !isfinite(p->y[i])) {
      return BM_FAIL(BM_ERR_DATA, "row %zu, column %zu is not a finite number", i / p->d, i % p->d);
    }
    largest = fmax(largest, fmax(fabs(p->x[i]), fabs(p->y[i])));
  }
  if (largest > sqrt(BM_LARGEST_COST / (double)p->d) / (double)p->n) {
    return BM_FAIL(BM_ERR_DATA, "values up to %g: their squares overflow", largest);
  }
  if (largest > 0.0 && largest < BM_LEAST) {
    return BM_FAIL(BM_ERR_DATA, "values up to %g: their squares underflow", largest);
  }
  if (p->period > 0.0 && largest > BM_TURNS_MAX * p->period) {
    return BM_FAIL(BM_ERR_DATA, "values up to %g are more than %.0e times --period %g", largest,
                   BM_TURNS_MAX, p->period);
  }
  return BM_OK;
}

bm_status_t bm_assignment_solve(const bm_context_t *context, const bm_assignment_problem_t *problem,
                                bm_log_t *log, uint32_t *pairing, bm_assignment_result_t *result)
{
  assert(problem->n > 0 && problem->n < UINT32_MAX && problem->d > 0 && problem->period >= 0.0);
  BM_TRY(check(problem));
  solver_t s = {.log = log};
  bm_status_t status =
      bm_cost_create(problem->n, problem->d, problem->x, problem->y, problem->period, &s.cost);
  status = context == NULL ? status : bm_agree(context, status);
  s.levels = bm_levels_sizes(problem->n, BM_COARSEST, s.sizes);
  if (status == BM_OK) {
    status = bm_pricing_create(context, s.cost, s.levels, s.sizes, &s.pricing);
  }
  if (status == BM_OK) {
    const int leads = context == NULL || bm_context_is_root(context);
    status = leads ? coordinate(&s, pairing, result) : bm_pricing_serve(s.pricing);
  }
  if (status == BM_OK && context != NULL) {
    status = bm_broadcast(context, result, sizeof *result);
  }
  bm_pricing_destroy(&s.pricing);
  bm_cost_destroy(&s.cost);
  return status;
}
