#include "multilevel_state.h"

#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"

static bm_status_t put_numbers(bm_state_t *state, const char *name, size_t count,
                               const uint32_t *values)
{
  int64_t *wide = NULL;
  BM_TRY(BM_ALLOC(count, &wide));
  for (size_t i = 0; i < count; i++) {
    wide[i] = (int64_t)values[i];
  }
  bm_status_t status = bm_state_put_ints(state, name, count, wide);
  bm_free(wide);
  return status;
}

static bm_status_t get_numbers(const bm_state_t *state, const char *name, size_t count,
                               uint32_t *values)
{
  int64_t *wide = NULL;
  BM_TRY(BM_ALLOC(count, &wide));
  bm_status_t status = bm_state_get_ints(state, name, count, wide);
  for (size_t i = 0; i < count && status == BM_OK; i++) {
    values[i] = (uint32_t)wide[i];
  }
  bm_free(wide);
  return status;
}

/* The y that a dead end reaches. */
static bm_status_t save_closed(const bm_multilevel_t *s, bm_state_t *state)
{
  uint32_t *closed = NULL;
  BM_TRY(BM_ALLOC(s->n, &closed));
  for (size_t j = 0; j < s->n; j++) {
    closed[j] = s->dead_end.closed[j];
  }
  bm_status_t status = put_numbers(state, "dead_end_closed", s->n, closed);
  bm_free(closed);
  return status;
}

static bm_status_t load_dead_end(const bm_state_t *state, bm_multilevel_t *s)
{
  const size_t count = bm_state_count(state, "dead_end");
  if (count > s->n) {
    return BM_FAIL(BM_ERR_DATA, "checkpoint: its dead end is larger than its level");
  }
  BM_TRY(get_numbers(state, "dead_end_closed", s->n, s->suspects));
  for (size_t j = 0; j < s->n; j++) {
    s->dead_end.closed[j] = s->suspects[j] != 0;
  }
  s->dead_end.count = count;
  BM_TRY(get_numbers(state, "dead_end", count, s->dead_end.rows));
  for (size_t r = 0; r < count; r++) {
    if (s->dead_end.rows[r] >= s->n) {
      return BM_FAIL(BM_ERR_DATA, "checkpoint: its dead end points beyond its level");
    }
  }
  return BM_OK;
}

/* Where a level begins, the graph is still that of the one before, or none; after the last none is asked
 * for. */
static int may_be_smaller(const bm_multilevel_t *s)
{
  return s->at.stage == BM_STAGE_EXTEND || s->at.stage == BM_STAGE_CANDIDATES ||
         s->at.stage == BM_STAGE_DONE;
}

/* Degrees and neighbours of the x; costs come from the clouds. */
static bm_status_t save_graph(const bm_multilevel_t *s, bm_state_t *state)
{
  const bm_adjacency_t *of_x = &s->graph.from[0];
  uint32_t *degrees = NULL;
  BM_TRY(BM_ALLOC(s->graph.n, &degrees));
  for (size_t i = 0; i < s->graph.n; i++) {
    degrees[i] = (uint32_t)(of_x->start[i + 1] - of_x->start[i]);
  }
  bm_status_t status = put_numbers(state, "graph/degrees", s->graph.n, degrees);
  bm_free(degrees);
  BM_TRY(status);
  return put_numbers(state, "graph/neighbours", s->graph.edges, of_x->to);
}

static bm_status_t load_graph(const bm_state_t *state, bm_multilevel_t *s)
{
  const size_t n = bm_state_count(state, "graph/degrees");
  const size_t edges = bm_state_count(state, "graph/neighbours");
  uint32_t *numbers = NULL; /* degrees [n], neighbours [edges] */
  bm_pair_list_t list = {0};
  if (n != s->n && !(n < s->n && may_be_smaller(s))) {
    return BM_FAIL(BM_ERR_DATA, "checkpoint: its graph is of another level");
  }
  bm_graph_clear(&s->graph);
  BM_TRY(bm_graph_create(n, &s->graph));
  BM_TRY(BM_ALLOC(n + edges, &numbers));
  bm_status_t status = get_numbers(state, "graph/degrees", n, numbers);
  if (status == BM_OK) {
    status = get_numbers(state, "graph/neighbours", edges, numbers + n);
  }
  size_t next = n;
  for (size_t i = 0; i < n && status == BM_OK; i++) {
    for (uint32_t e = 0; e < numbers[i] && status == BM_OK; e++, next++) {
      status = next < n + edges && numbers[next] < n
                   ? bm_pair_list_add(&list, (uint32_t)i, numbers[next])
                   : BM_FAIL(BM_ERR_DATA, "checkpoint: a pair points beyond the sets");
    }
  }
  bm_free(numbers);
  uint64_t added;
  return bm_multilevel_add_pairs(s, &list, status, &added);
}

/* A way out leads to a y that the dead end does not reach, so there has to be one, and whatever its points are
 * paired with is reached. */
static bm_status_t check_dead_end(const bm_multilevel_t *s)
{
  const bm_adjacency_t *of_x = &s->graph.from[0];
  size_t open = 0;
  for (size_t j = 0; j < s->n; j++) {
    open += !s->dead_end.closed[j];
  }
  int good = open > 0 && s->dead_end.count > 0 && s->at.growth > 0;
  for (size_t r = 0; r < s->dead_end.count; r++) {
    const uint32_t i = s->dead_end.rows[r];
    for (size_t e = of_x->start[i]; e < of_x->start[i + 1]; e++) {
      good = good && s->dead_end.closed[of_x->to[e]];
    }
  }
  return good ? BM_OK : BM_FAIL(BM_ERR_DATA, "checkpoint: its dead end is none");
}

#define BM_PROGRESS_INTS 8

bm_status_t bm_multilevel_save(const bm_multilevel_t *s, bm_state_t *state)
{
  const bm_multilevel_progress_t *at = &s->at;
  const int64_t ints[] = {at->stage,    at->level,      at->pricings, at->priced,
                          at->polished, at->has_bounds, at->growth,   (int64_t)s->n};
  const double doubles[] = {at->scale, at->epsilon};
  _Static_assert(sizeof ints / sizeof ints[0] == BM_PROGRESS_INTS, "all of them are read again");
  BM_TRY(bm_state_put_ints(state, "progress", BM_PROGRESS_INTS, ints));
  BM_TRY(bm_state_put_doubles(state, "scale", 2, doubles));
  BM_TRY(bm_state_put_doubles(state, "u", s->n, s->matching.dual[0]));
  BM_TRY(bm_state_put_doubles(state, "v", s->n, s->matching.dual[1]));
  BM_TRY(put_numbers(state, "partner", s->n, s->matching.partner[0]));
  BM_TRY(bm_state_put_doubles(state, "bound", s->n, s->bound));
  BM_TRY(bm_state_put_doubles(state, "bound_v", s->n, s->bound_v));
  BM_TRY(put_numbers(state, "dead_end", s->dead_end.count, s->dead_end.rows));
  BM_TRY(save_closed(s, state));
  return save_graph(s, state);
}

static int is_flag(int64_t value)
{
  return value == 0 || value == 1;
}

/* Lengths that an auction can work with: it would not end with others. */
static bm_status_t check_scale(const double *doubles)
{
  for (int i = 0; i < 2; i++) {
    if (!(doubles[i] >= 0.0 && isfinite(doubles[i]))) {
      return BM_FAIL(BM_ERR_DATA, "checkpoint: its scale is none");
    }
  }
  return BM_OK;
}

static bm_status_t check_progress(const bm_multilevel_t *s, const int64_t *ints)
{
  const int64_t stage = ints[0], level = ints[1], n = ints[7];
  const int known = stage >= BM_STAGE_EXTEND && stage <= BM_STAGE_DONE &&
                    level >= (stage == BM_STAGE_EXTEND) && level < (int64_t)s->levels;
  if (!known || n != (int64_t)s->sizes[stage == BM_STAGE_EXTEND ? level - 1 : level] ||
      ints[2] < 0 || ints[2] > INT32_MAX || !is_flag(ints[3]) || !is_flag(ints[4]) ||
      !is_flag(ints[5]) || ints[6] < 0 || ints[6] > BM_PRICING_KEEP_MAX) {
    return BM_FAIL(BM_ERR_DATA, "checkpoint: its level is none of these sets");
  }
  return BM_OK;
}

static bm_status_t load_matching(const bm_state_t *state, bm_multilevel_t *s)
{
  bm_matching_t *m = &s->matching;
  BM_TRY(bm_state_get_doubles(state, "u", s->n, m->dual[0]));
  BM_TRY(bm_state_get_doubles(state, "v", s->n, m->dual[1]));
  for (size_t i = 0; i < s->n; i++) {
    if (!isfinite(m->dual[0][i]) || !isfinite(m->dual[1][i])) {
      return BM_FAIL(BM_ERR_DATA, "checkpoint: its duals are none");
    }
  }
  bm_multilevel_forget_matching(s);
  BM_TRY(get_numbers(state, "partner", s->n, s->suspects));
  for (size_t i = 0; i < s->n; i++) {
    const uint32_t j = s->suspects[i];
    const int complete = s->at.stage == BM_STAGE_PROVE || s->at.stage == BM_STAGE_POLISH ||
                         s->at.stage == BM_STAGE_DONE;
    if (j == BM_UNMATCHED ? complete : j >= s->n || m->partner[1][j] != BM_UNMATCHED) {
      return BM_FAIL(BM_ERR_DATA, "checkpoint: its pairing is none");
    }
    if (j != BM_UNMATCHED) {
      bm_matching_join(m, (uint32_t)i, j);
    }
  }
  return BM_OK;
}

bm_status_t bm_multilevel_load(const bm_state_t *state, bm_multilevel_t *s)
{
  int64_t ints[BM_PROGRESS_INTS];
  double doubles[2];
  BM_TRY(bm_state_get_ints(state, "progress", BM_PROGRESS_INTS, ints));
  BM_TRY(bm_state_get_doubles(state, "scale", 2, doubles));
  BM_TRY(check_progress(s, ints));
  BM_TRY(check_scale(doubles));
  s->at = (bm_multilevel_progress_t){.stage = ints[0],
                                     .level = ints[1],
                                     .pricings = ints[2],
                                     .priced = ints[3],
                                     .polished = ints[4],
                                     .has_bounds = ints[5],
                                     .growth = ints[6],
                                     .scale = doubles[0],
                                     .epsilon = doubles[1]};
  s->n = s->matching.n = (size_t)ints[7];
  BM_TRY(load_matching(state, s));
  BM_TRY(bm_state_get_doubles(state, "bound", s->n, s->bound));
  BM_TRY(bm_state_get_doubles(state, "bound_v", s->n, s->bound_v));
  BM_TRY(load_dead_end(state, s));
  BM_TRY(load_graph(state, s));
  if (s->at.stage == BM_STAGE_GROW) {
    BM_TRY(check_dead_end(s));
  }
  if (s->at.stage == BM_STAGE_EXTEND || s->at.stage == BM_STAGE_DONE) {
    return BM_OK;
  }
  BM_TRY(bm_pricing_pack(s->pricing, 1, s->n));
  return s->at.stage == BM_STAGE_CANDIDATES ? BM_OK : bm_pricing_pack(s->pricing, 0, s->n);
}
