#include "boltzmap/transport/multilevel.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/order.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/transport/dense_assignment.h"
#include "multilevel_state.h"

#define BM_CANDIDATES 16 /* of each point */
#define BM_EPSILON_FALL 5.0
#define BM_EPSILON_PRICED 0.1  /* of the scale: from there on missing pairs show */
#define BM_EPSILON_COARSE 0.05 /* of the scale: where coarse levels end */
#define BM_EPSILON_FINEST 1e-3 /* and the finest */
#define BM_SCALE_RANK 6     /* the scale is the median gap between the best choice and this one */
#define BM_SCALE_LEAST 1e-6 /* of the costs of candidates */
#define BM_LOOSE_MANY 10    /* one in so many pairs off the best choice: ties */
#define BM_LOOKS_CORRECTING 50
#define BM_LOOKS_POLISHING 1000
#define BM_RELEASED_MANY 50     /* one in so many pairs let go: price again */
#define BM_PRICINGS_MAX 8       /* of a level before it is finished as it is */
#define BM_ROUNDING_LARGE 1e-12 /* of W2²: smaller duals are worth a search */
#define BM_GROWTH 8             /* candidates for each point of a dead end */

static int is_finest(const bm_multilevel_t *s)
{
  return (size_t)s->at.level + 1 == s->levels;
}

/* --- pricing and the graph -------------------------------------------------------------------- */

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

/* All points of a side without a threshold, against duals of the other: their own duals as they
 * would be, the least reduced costs, and pairs for the list (NULL: none are wanted). */
static bm_status_t price_anew(bm_multilevel_t *s, int side, const double *other, size_t keep,
                              double *own /* [n] */, bm_pair_list_t *list)
{
  bm_pricing_request_t request = {.side = side, .keep = keep, .dual = other};
  bm_pricing_answer_t answer;
  request.points = bm_pricing_points(s->pricing, side, &request.count);
  request.threshold = s->threshold;
  for (size_t r = 0; r < request.count; r++) {
    s->threshold[r] = INFINITY;
  }
  BM_TRY(bm_pricing_ask(s->pricing, &request, &answer));
  for (size_t r = 0; r < request.count; r++) {
    own[request.points[r]] = answer.least[r];
  }
  bm_status_t status = list == NULL ? BM_OK : collect(&request, &answer, list);
  bm_pricing_answer_free(&answer);
  return status;
}

/* Price all x for pairs whose reduced cost is below the margin, and remember the bounds. */
static bm_status_t price_margin(bm_multilevel_t *s, double margin, bm_pair_list_t *list)
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
  BM_TRY(bm_pricing_ask(s->pricing, &request, &answer));
  for (size_t r = 0; r < request.count; r++) {
    s->bound[request.points[r]] = answer.bound[r];
  }
  memcpy(s->bound_v, s->matching.dual[1], s->n * sizeof *s->bound_v);
  s->at.has_bounds = 1;
  bm_status_t status = collect(&request, &answer, list);
  bm_pricing_answer_free(&answer);
  return status;
}

/* Price those points of a side whose key is below the cut (side 0) or above it (side 1) for pairs
 * of negative reduced cost. */
static bm_status_t price_suspects(bm_multilevel_t *s, int side, double cut, bm_pair_list_t *list)
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
  BM_TRY(bm_pricing_ask(s->pricing, &request, &answer));
  bm_status_t status = collect(&request, &answer, list);
  bm_pricing_answer_free(&answer);
  return status;
}

/* A pair that is not in the graph can have come to a negative reduced cost only where
 * bound_i - u_i < v_j - bound_v_j. Choose the cut so that the fewest x to the left of it and y to
 * the right of it have to be priced. Gives their number. */
static bm_status_t choose_cut(bm_multilevel_t *s, double *cut, size_t *count)
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

/* Pairs of negative reduced cost that may be outside the graph. Where most points
 * are suspect, all x are priced, with a margin that makes the next time cheaper. */
static bm_status_t price_violated(bm_multilevel_t *s, double margin, bm_pair_list_t *list)
{
  double cut = 0.0;
  size_t count = SIZE_MAX;
  if (s->at.has_bounds) {
    BM_TRY(choose_cut(s, &cut, &count));
  }
  if (count > s->n / 2) {
    return price_margin(s, margin, list);
  }
  BM_TRY(price_suspects(s, 0, cut, list));
  return price_suspects(s, 1, cut, list);
}

bm_status_t bm_multilevel_add_pairs(bm_multilevel_t *s, bm_pair_list_t *list, bm_status_t status,
                                    uint64_t *added)
{
  if (status == BM_OK) {
    status = bm_graph_add(&s->graph, s->cost, list, added);
  }
  bm_free(list->pairs);
  *list = (bm_pair_list_t){0};
  return status;
}

static bm_status_t add_violated(bm_multilevel_t *s, double margin, uint64_t *added)
{
  bm_pair_list_t list = {0};
  return bm_multilevel_add_pairs(s, &list, price_violated(s, margin, &list), added);
}

/* --- a complete matching ---------------------------------------------------------------------- */

/* Out of a dead end: the cheapest candidates beyond what it reaches. */
static bm_status_t price_dead_end(bm_multilevel_t *s, size_t keep, bm_pair_list_t *list)
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
                                        .keep = keep,
                                        .count = s->dead_end.count,
                                        .points = s->dead_end.rows,
                                        .dual = open_v,
                                        .threshold = s->threshold};
  bm_pricing_answer_t answer;
  bm_status_t status = bm_pricing_ask(s->pricing, &request, &answer);
  if (status == BM_OK) {
    status = collect(&request, &answer, list);
    bm_pricing_answer_free(&answer);
  }
  bm_free(open_v);
  return status;
}

/* --- the scale of a level --------------------------------------------------------------------- */

static double median(size_t n, double *values /* [n], sorted by this */)
{
  qsort(values, n, sizeof *values, bm_order_ascending);
  return values[n / 2];
}

/* Of each x: the gap from the best choice but one to one further down, that from the best to the
 * last, and the largest cost. */
static void find_gaps(const bm_multilevel_t *s, double *near /* [n] */, double *far /* [n] */,
                      double *cost /* [n] */)
{
  const bm_adjacency_t *of_x = &s->graph.from[0];
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
      cost[i] = fmax(cost[i], of_x->cost[e]);
    }
    near[i] = count > 1 ? best[count - 1] - best[1] : 0.0;
    far[i] = count > 1 ? last - best[0] : 0.0;
  }
}

/* What is large in terms of reduced costs, by medians, which outliers do not move. Ties would make
 * it zero, and auctions crawl; where all is tied, any scale will do. */
static bm_status_t find_scale(const bm_multilevel_t *s, double *scale)
{
  double *gaps = NULL; /* [3][n] */
  BM_TRY(BM_ALLOC(3 * s->n, &gaps));
  double *far = gaps + s->n, *cost = far + s->n;
  find_gaps(s, gaps, far, cost);
  *scale = fmax(median(s->n, gaps), 0.1 * median(s->n, far));
  *scale = fmax(*scale, BM_SCALE_LEAST * median(s->n, cost));
  if (*scale < DBL_MIN) {
    *scale = cost[s->n - 1] > 0.0 ? BM_SCALE_LEAST * cost[s->n - 1] : 1.0;
  }
  bm_free(gaps);
  return BM_OK;
}

void bm_multilevel_forget_matching(bm_multilevel_t *s)
{
  for (int side = 0; side < 2; side++) {
    for (size_t i = 0; i < s->n; i++) {
      s->matching.partner[side][i] = BM_UNMATCHED;
    }
  }
}

/* --- steps ------------------------------------------------------------------------------------ */

/* From the duals of the level before to v of the next one. */
static bm_status_t extend(bm_multilevel_t *s)
{
  double *v = s->keys[1];
  const size_t n = s->sizes[s->at.level];
  BM_TRY(bm_pricing_pack(s->pricing, 0, s->sizes[s->at.level - 1]));
  BM_TRY(bm_pricing_pack(s->pricing, 1, n));
  BM_TRY(price_anew(s, 1, s->matching.dual[0], 1, v, NULL));
  memcpy(s->matching.dual[1], v, n * sizeof *v);
  s->n = s->matching.n = n; /* last: a stop leaves the level before as it was */
  s->at.stage = BM_STAGE_CANDIDATES;
  return BM_OK;
}

static bm_status_t find_candidates(bm_multilevel_t *s)
{
  double *u = s->keys[0], *v = s->keys[1];
  bm_pair_list_t list = {0};
  uint64_t added;
  BM_TRY(bm_pricing_pack(s->pricing, 0, s->n));
  bm_graph_clear(&s->graph);
  BM_TRY(bm_graph_create(s->n, &s->graph));
  bm_status_t status = price_anew(s, 0, s->matching.dual[1], BM_CANDIDATES, u, &list);
  if (status == BM_OK) {
    status = price_anew(s, 1, u, BM_CANDIDATES, v, &list);
  }
  BM_TRY(bm_multilevel_add_pairs(s, &list, status, &added));
  memcpy(s->matching.dual[0], u, s->n * sizeof *u);
  memcpy(s->matching.dual[1], v, s->n * sizeof *v);
  bm_multilevel_forget_matching(s);
  BM_TRY(find_scale(s, &s->at.scale));
  s->at.epsilon = s->at.scale;
  s->at.pricings = s->at.priced = s->at.has_bounds = 0;
  s->at.stage = BM_STAGE_AUCTION;
  return BM_OK;
}

static double last_epsilon(const bm_multilevel_t *s)
{
  return (is_finest(s) ? BM_EPSILON_FINEST : BM_EPSILON_COARSE) * s->at.scale;
}

/* After an auction and what it called for: the next smaller epsilon, or the end of it. */
static void lower_epsilon(bm_multilevel_t *s)
{
  if (s->at.epsilon <= last_epsilon(s)) {
    s->at.stage = BM_STAGE_COMPLETE;
    return;
  }
  s->at.epsilon = fmax(s->at.epsilon / BM_EPSILON_FALL, last_epsilon(s));
  (void)bm_matching_tighten(&s->graph, s->cost, s->at.epsilon, &s->matching);
  s->at.stage = BM_STAGE_AUCTION;
}

static bm_status_t hold_auction(bm_multilevel_t *s)
{
  BM_TRY(bm_auction(&s->graph, s->at.epsilon, &s->matching));
  if (!s->at.priced && s->at.epsilon <= BM_EPSILON_PRICED * s->at.scale) {
    (void)bm_matching_tighten(&s->graph, s->cost, s->at.epsilon, &s->matching);
    s->at.stage = BM_STAGE_PRICE;
  } else {
    lower_epsilon(s);
  }
  return BM_OK;
}

/* Once epsilon is small, pairs that are missing show. */
static bm_status_t price(bm_multilevel_t *s)
{
  uint64_t added;
  BM_TRY(add_violated(s, is_finest(s) ? s->at.scale : 0.0, &added));
  const size_t released = bm_matching_tighten(&s->graph, s->cost, s->at.epsilon, &s->matching);
  if (released > s->n / BM_RELEASED_MANY && ++s->at.pricings < BM_PRICINGS_MAX) {
    s->at.stage = BM_STAGE_AUCTION;
  } else {
    s->at.priced = 1;
    lower_epsilon(s);
  }
  return BM_OK;
}

/* Where much is tied, an auction leaves most pairs a little off the best choice, and a path for
 * each would be long: correct the duals first. */
static bm_status_t correct(bm_multilevel_t *s)
{
  int settled;
  return bm_matching_loose(&s->graph, s->cost, &s->matching) > s->n / BM_LOOSE_MANY
             ? bm_augment_correct(&s->graph, s->cost, BM_LOOKS_CORRECTING, &s->matching, &settled)
             : BM_OK;
}

/* Match whom the auction left over. Where there is no way, the graph has to grow. */
static bm_status_t finish_level(bm_multilevel_t *s)
{
  if (is_finest(s) && s->at.growth == 0) {
    BM_TRY(correct(s));
  }
  const double epsilon = is_finest(s) ? 0.0 : last_epsilon(s);
  (void)bm_matching_tighten(&s->graph, s->cost, epsilon, &s->matching);
  BM_TRY(bm_augment(&s->graph, &s->matching, &s->dead_end));
  if (s->dead_end.count > 0) {
    s->at.growth = s->at.growth == 0 ? BM_GROWTH : 2 * s->at.growth;
    s->at.growth = s->at.growth < BM_PRICING_KEEP_MAX ? s->at.growth : BM_PRICING_KEEP_MAX;
    s->at.stage = BM_STAGE_GROW;
    return BM_OK;
  }
  s->at.growth = 0;
  if (is_finest(s)) {
    s->at.stage = BM_STAGE_PROVE;
  } else {
    s->at.level++;
    s->at.stage = BM_STAGE_EXTEND;
  }
  return BM_OK;
}

static bm_status_t grow(bm_multilevel_t *s)
{
  bm_pair_list_t list = {0};
  uint64_t added = 0;
  BM_TRY(bm_multilevel_add_pairs(s, &list, price_dead_end(s, (size_t)s->at.growth, &list), &added));
  if (added == 0) {
    return BM_FAIL(BM_ERR_INTERNAL, "exact distance: no way out of a dead end of %zu points",
                   s->dead_end.count);
  }
  s->at.stage = BM_STAGE_COMPLETE;
  return BM_OK;
}

/* How much of the mean cost may be the rounding of duals? */
static double dual_rounding(const bm_multilevel_t *s)
{
  double costs = 0.0, duals = 0.0;
  for (size_t i = 0; i < s->n; i++) {
    costs += bm_cost_pair(s->cost, i, s->matching.partner[0][i]);
    duals += fabs(s->matching.dual[0][i]) + fabs(s->matching.dual[1][i]);
  }
  return DBL_EPSILON * duals / fmax(costs, DBL_MIN);
}

/* Nothing of negative reduced cost may be left outside the graph that would change the matching. */
static bm_status_t prove(bm_multilevel_t *s)
{
  uint64_t added;
  BM_TRY(bm_pricing_pack(s->pricing, 0, s->n));
  BM_TRY(bm_pricing_pack(s->pricing, 1, s->n));
  BM_TRY(add_violated(s, s->at.scale, &added));
  if (added > 0 && bm_matching_tighten(&s->graph, s->cost, 0.0, &s->matching) > 0) {
    s->at.stage = BM_STAGE_COMPLETE;
  } else if (!s->at.polished && dual_rounding(s) > BM_ROUNDING_LARGE) {
    s->at.stage = BM_STAGE_POLISH;
  } else {
    s->at.stage = BM_STAGE_DONE;
  }
  return BM_OK;
}

/* Duals that are as small as they can be, where digits are short; the old ones where that takes too
 * long. They are proved like any others. */
static bm_status_t polish(bm_multilevel_t *s)
{
  bm_matching_t *m = &s->matching;
  int settled;
  memcpy(s->bound, m->dual[0], s->n * sizeof *s->bound);
  memcpy(s->bound_v, m->dual[1], s->n * sizeof *s->bound_v);
  memcpy(s->suspects, m->partner[0], s->n * sizeof *s->suspects);
  memset(m->dual[1], 0, s->n * sizeof *m->dual[1]);
  BM_TRY(bm_augment_correct(&s->graph, s->cost, BM_LOOKS_POLISHING, m, &settled));
  if (!settled) {
    memcpy(m->dual[0], s->bound, s->n * sizeof *s->bound);
    memcpy(m->dual[1], s->bound_v, s->n * sizeof *s->bound_v);
    for (size_t i = 0; i < s->n; i++) {
      bm_matching_join(m, (uint32_t)i, s->suspects[i]);
    }
  }
  s->at.polished = 1;
  s->at.has_bounds = 0;
  s->at.stage = BM_STAGE_PROVE;
  return BM_OK;
}

/* All pairs of a problem that has one level. */
static bm_status_t add_all_pairs(bm_multilevel_t *s)
{
  bm_pair_list_t list = {0};
  uint64_t added;
  bm_graph_clear(&s->graph);
  bm_status_t status = bm_graph_create(s->n, &s->graph);
  for (uint32_t i = 0; i < s->n; i++) {
    for (uint32_t j = 0; j < s->n && status == BM_OK; j++) {
      status = bm_pair_list_add(&list, i, j);
    }
  }
  return bm_multilevel_add_pairs(s, &list, status, &added);
}

static bm_status_t solve_coarsest(bm_multilevel_t *s)
{
  bm_matching_t *m = &s->matching;
  s->n = m->n = s->sizes[0];
  BM_TRY(bm_dense_assignment(s->cost, s->n, m->partner[0], m->dual[1]));
  for (size_t i = 0; i < s->n; i++) {
    const uint32_t j = m->partner[0][i];
    m->partner[1][j] = (uint32_t)i;
    m->dual[0][i] = bm_cost_pair(s->cost, i, j) - m->dual[1][j];
  }
  if (s->levels > 1) {
    s->at.stage = BM_STAGE_EXTEND;
    s->at.level = 1;
    return BM_OK;
  }
  s->at.stage = dual_rounding(s) > BM_ROUNDING_LARGE ? BM_STAGE_POLISH : BM_STAGE_DONE;
  return s->at.stage == BM_STAGE_POLISH ? add_all_pairs(s) : BM_OK;
}

static const struct {
  const char *name;
  bm_status_t (*work)(bm_multilevel_t *s);
} stages[] = {[BM_STAGE_EXTEND] = {"start", extend},
              [BM_STAGE_CANDIDATES] = {"candidates", find_candidates},
              [BM_STAGE_AUCTION] = {"auction", hold_auction},
              [BM_STAGE_PRICE] = {"pricing", price},
              [BM_STAGE_COMPLETE] = {"augmenting", finish_level},
              [BM_STAGE_GROW] = {"growing", grow},
              [BM_STAGE_PROVE] = {"pricing the rest", prove},
              [BM_STAGE_POLISH] = {"polishing", polish}};

bm_status_t bm_multilevel_step(bm_multilevel_t *s)
{
  BM_TRY(bm_stop_poll());
  return stages[s->at.stage].work(s);
}

int bm_multilevel_done(const bm_multilevel_t *s)
{
  return s->at.stage == BM_STAGE_DONE;
}

const char *bm_multilevel_phase(bm_multilevel_t *s)
{
  if (s->at.stage == BM_STAGE_DONE) {
    return "certificate";
  }
  snprintf(s->phase, sizeof s->phase, "level %d of %zu: %s", (int)s->at.level + 1, s->levels,
           stages[s->at.stage].name);
  return s->phase;
}

const bm_matching_t *bm_multilevel_matching(const bm_multilevel_t *s)
{
  return &s->matching;
}

static bm_status_t allocate(bm_multilevel_t *s, size_t n)
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

bm_status_t bm_multilevel_create(const bm_cost_t *cost, bm_pricing_t *pricing, size_t levels,
                                 const size_t *sizes, bm_multilevel_t **out)
{
  bm_multilevel_t *s = NULL;
  BM_TRY(BM_ALLOC(1, &s));
  s->cost = cost;
  s->pricing = pricing;
  s->levels = levels;
  memcpy(s->sizes, sizes, levels * sizeof *sizes);
  bm_status_t status = allocate(s, cost->n);
  if (status == BM_OK) {
    status = solve_coarsest(s);
  }
  if (status != BM_OK) {
    bm_multilevel_destroy(&s);
    return status;
  }
  *out = s;
  return BM_OK;
}

void bm_multilevel_destroy(bm_multilevel_t **solver)
{
  bm_multilevel_t *s = *solver;
  if (s == NULL) {
    return;
  }
  bm_matching_clear(&s->matching);
  bm_graph_clear(&s->graph);
  bm_dead_end_clear(&s->dead_end);
  bm_free(s->threshold);
  bm_free(s->keys[0]);
  bm_free(s->keys[1]);
  bm_free(s->suspects);
  bm_free(s->bound);
  bm_free(s->bound_v);
  bm_free(s);
  *solver = NULL;
}
