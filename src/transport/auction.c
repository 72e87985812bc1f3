#include "boltzmap/transport/auction.h"

#include <math.h>

#include "boltzmap/base/memory.h"

#define BM_SHARE 0.5    /* of the gain over the second choice that a bidder gives up */
#define BM_FEW_LEFT 200 /* fewer than one in so many are left: the budget shrinks */

bm_status_t bm_matching_create(size_t n, bm_matching_t *m)
{
  *m = (bm_matching_t){.n = n};
  bm_status_t status = BM_OK;
  for (int side = 0; side < 2 && status == BM_OK; side++) {
    status = BM_ALLOC(n, &m->partner[side]);
    if (status == BM_OK) {
      status = BM_ALLOC(n, &m->dual[side]);
    }
    for (size_t i = 0; i < n && status == BM_OK; i++) {
      m->partner[side][i] = BM_UNMATCHED;
    }
  }
  if (status != BM_OK) {
    bm_matching_clear(m);
  }
  return status;
}

void bm_matching_clear(bm_matching_t *m)
{
  for (int side = 0; side < 2; side++) {
    bm_free(m->partner[side]);
    bm_free(m->dual[side]);
  }
  *m = (bm_matching_t){0};
}

void bm_matching_join(bm_matching_t *m, uint32_t i, uint32_t j)
{
  m->partner[0][i] = j;
  m->partner[1][j] = i;
}

static void part(bm_matching_t *m, uint32_t i)
{
  m->partner[1][m->partner[0][i]] = BM_UNMATCHED;
  m->partner[0][i] = BM_UNMATCHED;
}

static double least_choice(const bm_graph_t *graph, const double *v, size_t i)
{
  const bm_adjacency_t *of_x = &graph->from[0];
  double least = INFINITY;
  for (uint64_t e = of_x->start[i]; e < of_x->start[i + 1]; e++) {
    least = fmin(least, of_x->cost[e] - v[of_x->to[e]]);
  }
  return least;
}

/* Is the pair of x_i worse than its best choice by more than epsilon? */
static int is_loose(const bm_cost_t *cost, const bm_matching_t *m, size_t i, double limit)
{
  const uint32_t j = m->partner[0][i];
  if (j == BM_UNMATCHED) {
    return 0;
  }
  const double pair = bm_cost_pair(cost, i, j), v = m->dual[1][j];
  return pair - v > limit + BM_TIE * (pair + fabs(v));
}

size_t bm_matching_tighten(const bm_graph_t *graph, const bm_cost_t *cost, double epsilon,
                           bm_matching_t *m)
{
  size_t parted = 0;
  for (size_t i = 0; i < m->n; i++) {
    m->dual[0][i] = least_choice(graph, m->dual[1], i);
    if (is_loose(cost, m, i, m->dual[0][i] + epsilon)) {
      part(m, (uint32_t)i);
      parted++;
    }
  }
  return parted;
}

size_t bm_matching_loose(const bm_graph_t *graph, const bm_cost_t *cost, const bm_matching_t *m)
{
  size_t loose = 0;
  for (size_t i = 0; i < m->n; i++) {
    loose += (size_t)is_loose(cost, m, i, least_choice(graph, m->dual[1], i));
  }
  return loose;
}

/* Points of one side that wait to bid, first come, first served; one may be in it that has been
 * matched meanwhile. */
typedef struct {
  size_t room, first, count;
  uint32_t *points; /* [room], a ring */
  uint8_t *waiting; /* [n] */
} queue_t;

static void enqueue(queue_t *q, uint32_t point)
{
  if (q->waiting[point]) {
    return;
  }
  q->waiting[point] = 1;
  size_t at = q->first + q->count++;
  q->points[at < q->room ? at : at - q->room] = point;
}

static uint32_t dequeue(queue_t *q)
{
  uint32_t point = q->points[q->first];
  q->first = q->first + 1 < q->room ? q->first + 1 : 0;
  q->count--;
  q->waiting[point] = 0;
  return point;
}

typedef struct {
  const bm_graph_t *graph;
  bm_matching_t *matching;
  double epsilon;
  queue_t queue[2];
  size_t free_count; /* unmatched points of a side that have candidates */
  uint64_t bids, budget;
} auction_t;

static bm_status_t create_queue(size_t n, queue_t *q)
{
  q->room = n;
  BM_TRY(BM_ALLOC(n, &q->points));
  return BM_ALLOC(n, &q->waiting);
}

/* A bid of a point of one side for its best partner of the other. */
static void bid(auction_t *a, int side, uint32_t bidder)
{
  const bm_adjacency_t *choices = &a->graph->from[side];
  const double *price = a->matching->dual[1 - side];
  double best = INFINITY, second = INFINITY;
  uint64_t chosen = choices->start[bidder];
  for (uint64_t e = choices->start[bidder]; e < choices->start[bidder + 1]; e++) {
    const double value = choices->cost[e] - price[choices->to[e]];
    if (value < second) {
      if (value < best) {
        second = best;
        best = value;
        chosen = e;
      } else {
        second = value;
      }
    }
  }
  if (second == INFINITY) {
    second = best + 10.0 * a->epsilon;
  }
  const uint32_t partner = choices->to[chosen];
  const uint32_t loser = a->matching->partner[1 - side][partner];
  const double dual = second - BM_SHARE * (second - best) + a->epsilon;
  a->matching->dual[side][bidder] = dual;
  a->matching->dual[1 - side][partner] = choices->cost[chosen] - dual;
  if (loser != BM_UNMATCHED) {
    a->matching->partner[side][loser] = BM_UNMATCHED;
    enqueue(&a->queue[side], loser);
  } else {
    a->free_count--;
  }
  a->matching->partner[side][bidder] = partner;
  a->matching->partner[1 - side][partner] = bidder;
  a->bids++;
}

/* The queue of one side anew: bids of the other have freed points of this one without a word. */
static void refill(auction_t *a, int side)
{
  const bm_adjacency_t *choices = &a->graph->from[side];
  for (size_t i = 0; i < a->graph->n; i++) {
    if (a->matching->partner[side][i] == BM_UNMATCHED &&
        choices->start[i] < choices->start[i + 1]) {
      enqueue(&a->queue[side], (uint32_t)i);
    }
  }
}

/* Let one side bid until a quarter of those left over are matched. */
static void take_turn(auction_t *a, int side)
{
  const size_t quarter = a->free_count / 4 > 1 ? a->free_count / 4 : 1;
  const size_t target = a->free_count - quarter;
  const uint64_t limit = a->bids + 16 * a->free_count + 1000;
  refill(a, side);
  while (a->free_count > target && a->bids < a->budget && a->bids < limit &&
         a->queue[side].count > 0) {
    const uint32_t bidder = dequeue(&a->queue[side]);
    if (a->matching->partner[side][bidder] == BM_UNMATCHED) {
      bid(a, side, bidder);
    }
  }
}

/* Once few are left, as much again as was spent may be spent on them. */
static void shrink_budget(auction_t *a, int *few)
{
  if (!*few && a->free_count < a->graph->n / BM_FEW_LEFT + 2) {
    const uint64_t rest = 2 * a->bids + 10 * a->graph->n;
    a->budget = rest < a->budget ? rest : a->budget;
    *few = 1;
  }
}

static size_t count_free(const bm_graph_t *graph, const bm_matching_t *m, int side)
{
  const uint64_t *start = graph->from[side].start;
  size_t count = 0;
  for (size_t i = 0; i < m->n; i++) {
    count += m->partner[side][i] == BM_UNMATCHED && start[i] < start[i + 1];
  }
  return count;
}

static void run(auction_t *a)
{
  const size_t of_x = count_free(a->graph, a->matching, 0);
  const size_t of_y = count_free(a->graph, a->matching, 1);
  int few = 0;
  a->free_count = of_x < of_y ? of_x : of_y;
  for (int side = 0; a->free_count > 0 && a->bids < a->budget; side = 1 - side) {
    const uint64_t before = a->bids;
    shrink_budget(a, &few);
    take_turn(a, side);
    if (a->bids == before) {
      break;
    }
  }
}

bm_status_t bm_auction(const bm_graph_t *graph, double epsilon, bm_matching_t *matching)
{
  auction_t a = {.graph = graph,
                 .matching = matching,
                 .epsilon = epsilon,
                 .budget = (uint64_t)BM_AUCTION_BIDS * graph->n};
  bm_status_t status = create_queue(graph->n, &a.queue[0]);
  if (status == BM_OK) {
    status = create_queue(graph->n, &a.queue[1]);
  }
  if (status == BM_OK) {
    run(&a);
  }
  for (int side = 0; side < 2; side++) {
    bm_free(a.queue[side].points);
    bm_free(a.queue[side].waiting);
  }
  return status;
}
