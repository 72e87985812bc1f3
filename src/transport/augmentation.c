#include "boltzmap/transport/augmentation.h"

#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/stop.h"

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
  for (uint64_t e = of_x->start[x]; e < of_x->start[x + 1]; e++) {
    const uint32_t y = of_x->to[e];
    const double through = offset + fmax(of_x->cost[e] - u - v[y], 0.0);
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
    BM_TRY(bm_stop_poll());
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
