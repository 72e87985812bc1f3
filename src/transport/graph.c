#include "boltzmap/transport/graph.h"

#include <string.h>

#include "boltzmap/base/memory.h"

bm_status_t bm_pair_list_add(bm_pair_list_t *list, uint32_t x, uint32_t y)
{
  if (list->count == list->room) {
    const size_t room = 2 * list->room + 1024;
    BM_TRY(bm_resize(list->room, room, sizeof *list->pairs, (void **)&list->pairs));
    list->room = room;
  }
  list->pairs[list->count++] = (bm_pair_t){x, y};
  return BM_OK;
}

static void free_adjacency(bm_adjacency_t *a)
{
  bm_free(a->start);
  bm_free(a->to);
  bm_free(a->cost);
  *a = (bm_adjacency_t){0};
}

static bm_status_t create_adjacency(size_t n, uint64_t edges, bm_adjacency_t *a)
{
  *a = (bm_adjacency_t){0};
  BM_TRY(BM_ALLOC(n + 1, &a->start));
  BM_TRY(BM_ALLOC(edges, &a->to));
  return BM_ALLOC(edges, &a->cost);
}

bm_status_t bm_graph_create(size_t n, bm_graph_t *graph)
{
  *graph = (bm_graph_t){.n = n};
  bm_status_t status = create_adjacency(n, 0, &graph->from[0]);
  if (status == BM_OK) {
    status = create_adjacency(n, 0, &graph->from[1]);
  }
  if (status != BM_OK) {
    bm_graph_clear(graph);
  }
  return status;
}

void bm_graph_clear(bm_graph_t *graph)
{
  free_adjacency(&graph->from[0]);
  free_adjacency(&graph->from[1]);
  *graph = (bm_graph_t){0};
}

/* Turn counts, [1 + i] for i, into starts. */
static void add_up(size_t n, uint64_t *start /* [n + 1] */)
{
  for (size_t i = 0; i < n; i++) {
    start[i + 1] += start[i];
  }
}

/* Work room of a merge. */
typedef struct {
  uint64_t *start; /* [n + 1]: of the new pairs, by x */
  uint64_t *next;  /* [n + 1] */
  uint32_t *to;    /* [count] */
  uint32_t *mark;  /* [n]: x + 1 that met this y last */
} merge_t;

static void free_merge(merge_t *m)
{
  bm_free(m->start);
  bm_free(m->next);
  bm_free(m->to);
  bm_free(m->mark);
}

static bm_status_t create_merge(size_t n, size_t count, merge_t *m)
{
  BM_TRY(BM_ALLOC(n + 1, &m->start));
  BM_TRY(BM_ALLOC(n + 1, &m->next));
  BM_TRY(BM_ALLOC(count, &m->to));
  return BM_ALLOC(n, &m->mark);
}

/* Sort the pairs by x. */
static void sort_pairs(size_t n, const bm_pair_list_t *list, merge_t *m)
{
  for (size_t p = 0; p < list->count; p++) {
    m->start[list->pairs[p].x + 1]++;
  }
  add_up(n, m->start);
  memcpy(m->next, m->start, n * sizeof *m->next);
  for (size_t p = 0; p < list->count; p++) {
    m->to[m->next[list->pairs[p].x]++] = list->pairs[p].y;
  }
}

/* Leave out, in place, pairs that the graph or the list itself has already. Gives what is left. */
static uint64_t drop_known(const bm_graph_t *graph, merge_t *m)
{
  const bm_adjacency_t *old = &graph->from[0];
  uint64_t kept = 0;
  for (size_t i = 0; i < graph->n; i++) {
    const uint64_t first = m->start[i], end = m->next[i];
    for (uint64_t e = old->start[i]; e < old->start[i + 1]; e++) {
      m->mark[old->to[e]] = (uint32_t)i + 1;
    }
    m->start[i] = kept;
    for (uint64_t e = first; e < end; e++) {
      const uint32_t j = m->to[e];
      if (m->mark[j] != (uint32_t)i + 1) {
        m->mark[j] = (uint32_t)i + 1;
        m->to[kept++] = j;
      }
    }
  }
  m->start[graph->n] = kept;
  return kept;
}

/* Old and new neighbours of each x. */
static void join(const bm_graph_t *graph, const bm_cost_t *cost, const merge_t *m,
                 bm_adjacency_t *a)
{
  const bm_adjacency_t *old = &graph->from[0];
  uint64_t at = 0;
  for (size_t i = 0; i < graph->n; i++) {
    const uint64_t known = old->start[i + 1] - old->start[i];
    a->start[i] = at;
    memcpy(a->to + at, old->to + old->start[i], known * sizeof *a->to);
    memcpy(a->cost + at, old->cost + old->start[i], known * sizeof *a->cost);
    at += known;
    for (uint64_t e = m->start[i]; e < m->start[i + 1]; e++, at++) {
      a->to[at] = m->to[e];
      a->cost[at] = bm_cost_pair(cost, i, m->to[e]);
    }
  }
  a->start[graph->n] = at;
}

static void transpose(size_t n, const bm_adjacency_t *of_x, bm_adjacency_t *of_y,
                      uint64_t *next /* [n + 1] */)
{
  const uint64_t edges = of_x->start[n];
  for (uint64_t e = 0; e < edges; e++) {
    of_y->start[of_x->to[e] + 1]++;
  }
  add_up(n, of_y->start);
  memcpy(next, of_y->start, n * sizeof *next);
  for (size_t i = 0; i < n; i++) {
    for (uint64_t e = of_x->start[i]; e < of_x->start[i + 1]; e++) {
      const uint64_t at = next[of_x->to[e]]++;
      of_y->to[at] = (uint32_t)i;
      of_y->cost[at] = of_x->cost[e];
    }
  }
}

static bm_status_t merge(bm_graph_t *graph, const bm_cost_t *cost, const bm_pair_list_t *list,
                         merge_t *m)
{
  const size_t n = graph->n;
  BM_TRY(create_merge(n, list->count, m));
  sort_pairs(n, list, m);
  const uint64_t added = drop_known(graph, m);
  if (added == 0) {
    return BM_OK;
  }
  bm_adjacency_t joined[2] = {{0}, {0}};
  const uint64_t edges = graph->edges + added;
  bm_status_t status = create_adjacency(n, edges, &joined[0]);
  if (status == BM_OK) {
    join(graph, cost, m, &joined[0]);
    free_adjacency(&graph->from[0]);
    free_adjacency(&graph->from[1]);
    status = create_adjacency(n, edges, &joined[1]);
  }
  if (status != BM_OK) {
    free_adjacency(&joined[0]);
    free_adjacency(&joined[1]);
    return status;
  }
  transpose(n, &joined[0], &joined[1], m->next);
  graph->from[0] = joined[0];
  graph->from[1] = joined[1];
  graph->edges = edges;
  return BM_OK;
}

bm_status_t bm_graph_add(bm_graph_t *graph, const bm_cost_t *cost, const bm_pair_list_t *list,
                         uint64_t *added)
{
  const uint64_t before = graph->edges;
  merge_t m = {0};
  bm_status_t status = merge(graph, cost, list, &m);
  free_merge(&m);
  *added = graph->edges - before;
  return status;
}
