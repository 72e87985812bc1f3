#include "boltzmap/transport/augmentation.h"

#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"

bm_status_t bm_dead_end_create(size_t n, bm_dead_end_t *end)
{
  *end = (bm_dead_end_t){0};
  BM_TRY(BM_ALLOC(n, &end->rows));
  return BM_ALLOC(n, &end->closed);
}

void bm_dead_end_clear(bm_dead_end_t *end)
{
  bm_free(end->rows);
  bm_free(end->closed);
  *end = (bm_dead_end_t){0};
}

typedef struct {
  double distance;
  uint32_t y;
} open_t;

/* A search for the nearest free y; arrays over y are valid where `seen` is the search's number. */
typedef struct {
  const bm_graph_t *graph;
  bm_matching_t *matching;
  bm_dead_end_t *end;
  uint32_t number;
  uint32_t *seen;    /* [n] */
  double *distance;  /* [n]; minus infinity once settled */
  uint32_t *before;  /* [n]: x before y on the path */
  uint32_t *settled; /* [n]: in the order of their distance */
  double *at;        /* [n]: distances of those */
  size_t settled_count;
  open_t *heap; /* smallest distance first; may hold a y more than once */
  size_t heap_count, heap_room;
} search_t;

static void free_search(search_t *s)
{
  bm_free(s->seen);
  bm_free(s->distance);
  bm_free(s->before);
  bm_free(s->settled);
  bm_free(s->at);
  bm_free(s->heap);
}

static bm_status_t create_search(search_t *s)
{
  const size_t n = s->graph->n;
  BM_TRY(BM_ALLOC(n, &s->seen));
  BM_TRY(BM_ALLOC(n, &s->distance));
  BM_TRY(BM_ALLOC(n, &s->before));
  BM_TRY(BM_ALLOC(n, &s->settled));
  return BM_ALLOC(n, &s->at);
}

static bm_status_t push(search_t *s, double distance, uint32_t y)
{
  if (s->heap_count == s->heap_room) {
    const size_t room = 2 * s->heap_room + 1024;
    BM_TRY(bm_resize(s->heap_room, room, sizeof *s->heap, (void **)&s->heap));
    s->heap_room = room;
  }
  size_t at = s->heap_count++;
  while (at > 0 && s->heap[(at - 1) / 2].distance > distance) {
    s->heap[at] = s->heap[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  s->heap[at] = (open_t){distance, y};
  return BM_OK;
}

static open_t pop(search_t *s)
{
  const open_t top = s->heap[0], last = s->heap[--s->heap_count];
  size_t at = 0;
  for (size_t child = 1; child < s->heap_count; child = 2 * at + 1) {
    child += child + 1 < s->heap_count && s->heap[child + 1].distance < s->heap[child].distance;
    if (s->heap[child].distance >= last.distance) {
      break;
    }
    s->heap[at] = s->heap[child];
    at = child;
  }
  s->heap[at] = last;
  return top;
}

/* Where a search stands: the nearest free y so far bounds what is worth following. */
typedef struct {
  double distance;
  uint32_t y;
} goal_t;

/* Shorten the ways through x, itself at `offset`. */
static bm_status_t relax(search_t *s, uint32_t x, double offset, goal_t *goal)
{
  const bm_adjacency_t *of_x = &s->graph->from[0];
  const double u = s->matching->dual[0][x], *v = s->matching->dual[1];
  for (uint64_t e = of_x->start[x]; e < of_x->start[x + 1] && offset < goal->distance; e++) {
    const uint32_t y = of_x->to[e];
    const double reduced = of_x->cost[e] - u - v[y];
    const double tie = BM_TIE * (of_x->cost[e] + fabs(v[y]));
    const double through = reduced > tie ? offset + reduced : offset;
    if (through >= goal->distance || s->end->closed[y] ||
        (s->seen[y] == s->number && through >= s->distance[y])) {
      continue;
    }
    s->seen[y] = s->number;
    s->distance[y] = through;
    s->before[y] = x;
    if (s->matching->partner[1][y] == BM_UNMATCHED) {
      *goal = (goal_t){through, y};
    } else {
      BM_TRY(push(s, through, y));
    }
  }
  return BM_OK;
}

/* Dijkstra's search from a free x. */
static bm_status_t find_goal(search_t *s, uint32_t start, goal_t *goal)
{
  *goal = (goal_t){INFINITY, BM_UNMATCHED};
  s->number++;
  s->settled_count = 0;
  s->heap_count = 0;
  BM_TRY(relax(s, start, 0.0, goal));
  while (s->heap_count > 0) {
    const open_t next = pop(s);
    if (next.distance >= goal->distance) {
      break;
    }
    if (next.distance > s->distance[next.y]) {
      continue;
    }
    s->distance[next.y] = -INFINITY;
    s->settled[s->settled_count] = next.y;
    s->at[s->settled_count++] = next.distance;
    BM_TRY(relax(s, s->matching->partner[1][next.y], next.distance, goal));
  }
  return BM_OK;
}

/* Move the duals so that the path becomes tight, and change over along it. */
static void carry_out(search_t *s, uint32_t start, goal_t goal)
{
  bm_matching_t *m = s->matching;
  for (size_t i = 0; i < s->settled_count; i++) {
    const double shift = goal.distance - s->at[i];
    m->dual[1][s->settled[i]] -= shift;
    m->dual[0][m->partner[1][s->settled[i]]] += shift;
  }
  m->dual[0][start] += goal.distance;
  for (uint32_t y = goal.y;;) {
    const uint32_t x = s->before[y], given_up = m->partner[0][x];
    bm_matching_join(m, x, y);
    if (x == start) {
      return;
    }
    y = given_up;
  }
}

/* Nothing free can be reached from there, by this search or by any later one. */
static void close(search_t *s, uint32_t start)
{
  bm_dead_end_t *end = s->end;
  end->rows[end->count++] = start;
  for (size_t i = 0; i < s->settled_count; i++) {
    end->closed[s->settled[i]] = 1;
    end->rows[end->count++] = s->matching->partner[1][s->settled[i]];
  }
}

static bm_status_t match_all(search_t *s)
{
  const size_t n = s->graph->n;
  for (size_t x = 0; x < n; x++) {
    if (s->matching->partner[0][x] != BM_UNMATCHED) {
      continue;
    }
    goal_t goal;
    BM_TRY(find_goal(s, (uint32_t)x, &goal));
    if (goal.y == BM_UNMATCHED) {
      close(s, (uint32_t)x);
    } else {
      carry_out(s, (uint32_t)x, goal);
    }
  }
  return BM_OK;
}

bm_status_t bm_augment(const bm_graph_t *graph, bm_matching_t *matching, bm_dead_end_t *end)
{
  search_t s = {.graph = graph, .matching = matching, .end = end};
  end->count = 0;
  memset(end->closed, 0, graph->n);
  bm_status_t status = create_search(&s);
  if (status == BM_OK) {
    status = match_all(&s);
  }
  free_search(&s);
  return status;
}

/* --- label correcting ------------------------------------------------------------------------- */

typedef struct {
  const bm_graph_t *graph;
  const bm_cost_t *cost;
  bm_matching_t *matching;
  uint32_t *before; /* [n]: y whose partner made the label of a y; BM_UNMATCHED: none */
  uint32_t *maker;  /* [n]: that partner; the label is out of date where y has another one now */
  uint32_t *queue;  /* [n], a ring */
  uint8_t *waiting; /* [n] */
  size_t first, count;
  uint32_t *cycle; /* [n] */
} labels_t;

static void free_labels(labels_t *l)
{
  bm_free(l->before);
  bm_free(l->maker);
  bm_free(l->queue);
  bm_free(l->waiting);
  bm_free(l->cycle);
}

/* A y without partner passes nothing on. */
static void await(labels_t *l, uint32_t y)
{
  if (!l->waiting[y] && l->matching->partner[1][y] != BM_UNMATCHED) {
    l->waiting[y] = 1;
    l->queue[(l->first + l->count++) % l->graph->n] = y;
  }
}

static bm_status_t create_labels(labels_t *l)
{
  const size_t n = l->graph->n;
  BM_TRY(BM_ALLOC(n, &l->before));
  BM_TRY(BM_ALLOC(n, &l->maker));
  BM_TRY(BM_ALLOC(n, &l->queue));
  BM_TRY(BM_ALLOC(n, &l->waiting));
  BM_TRY(BM_ALLOC(n, &l->cycle));
  for (size_t y = 0; y < n; y++) {
    l->before[y] = BM_UNMATCHED;
    await(l, (uint32_t)y);
  }
  return BM_OK;
}

/* Does the label of y come from that of `from`, so that lowering it would close a cycle? Gives the
 * cycle's length, or 0; `cycle` goes back from y. */
static size_t find_cycle(labels_t *l, uint32_t y, uint32_t from)
{
  size_t length = 0;
  for (uint32_t at = y; length < l->graph->n;) {
    l->cycle[length++] = at;
    if (at == from) {
      return length;
    }
    const uint32_t next = l->before[at];
    if (next == BM_UNMATCHED || l->matching->partner[1][next] != l->maker[at]) {
      return 0;
    }
    at = next;
  }
  return 0;
}

/* Each x of the cycle takes the y whose label came from its own. */
static void turn_cycle(labels_t *l, size_t length)
{
  bm_matching_t *m = l->matching;
  const uint32_t last = m->partner[1][l->cycle[0]];
  for (size_t i = 0; i + 1 < length; i++) {
    bm_matching_join(m, m->partner[1][l->cycle[i + 1]], l->cycle[i]);
  }
  bm_matching_join(m, last, l->cycle[length - 1]);
  for (size_t i = 0; i < length; i++) {
    l->before[l->cycle[i]] = BM_UNMATCHED;
    await(l, l->cycle[i]);
  }
}

/* Lower the labels that y's partner makes too large, until the partner changes. */
static void lower_labels(labels_t *l, uint32_t y)
{
  const bm_adjacency_t *of_x = &l->graph->from[0];
  double *v = l->matching->dual[1];
  const uint32_t x = l->matching->partner[1][y];
  const double own = bm_cost_pair(l->cost, x, y);
  for (uint64_t e = of_x->start[x]; e < of_x->start[x + 1]; e++) {
    const uint32_t to = of_x->to[e];
    const double label = v[y] + (of_x->cost[e] - own);
    if (to == y || label >= v[to] - BM_TIE * (of_x->cost[e] + own + fabs(v[to]))) {
      continue;
    }
    const size_t length = find_cycle(l, y, to);
    if (length > 0) {
      turn_cycle(l, length);
      return;
    }
    v[to] = label;
    l->before[to] = y;
    l->maker[to] = x;
    await(l, to);
  }
}

static void correct_labels(labels_t *l, uint64_t looks)
{
  while (l->count > 0 && looks-- > 0) {
    const uint32_t y = l->queue[l->first];
    l->first = (l->first + 1) % l->graph->n;
    l->count--;
    l->waiting[y] = 0;
    lower_labels(l, y);
  }
}

bm_status_t bm_augment_correct(const bm_graph_t *graph, const bm_cost_t *cost, size_t looks,
                               bm_matching_t *matching, int *settled)
{
  labels_t l = {.graph = graph, .cost = cost, .matching = matching};
  bm_status_t status = create_labels(&l);
  if (status == BM_OK) {
    correct_labels(&l, (uint64_t)looks * graph->n);
    *settled = l.count == 0;
  }
  for (size_t x = 0; x < graph->n && status == BM_OK; x++) {
    const uint32_t y = matching->partner[0][x];
    if (y != BM_UNMATCHED) {
      matching->dual[0][x] = bm_cost_pair(cost, x, y) - matching->dual[1][y];
    }
  }
  free_labels(&l);
  return status;
}
