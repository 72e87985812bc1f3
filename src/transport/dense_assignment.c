#include "boltzmap/transport/dense_assignment.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/stop.h"

#define BM_BLOCK 64 /* columns worked on together; rows are padded to whole blocks */
#define BM_LOWS 8   /* least distances kept for each block */
#define BM_UNASSIGNED (-1)
#define BM_REDUCTION_PASSES 2
#define BM_BIDS_A_POINT 2

/* Minimise the sum of cost over pairings. u_i + v_j <= cost_ij for the duals; only v is stored: u_i
 * is the least of cost_ij - v_j. Columns beyond n cost infinity and are never taken. */
typedef struct {
  size_t n, stride;
  size_t low_count;   /* BM_LOWS a block, rounded up to whole blocks */
  double *cost;       /* [n][stride] */
  double *v;          /* [stride] */
  double *reduced;    /* [stride]: a row of cost - v */
  int64_t *row_of;    /* [stride]: row of each column, or BM_UNASSIGNED */
  int64_t *column_of; /* [n] */
  size_t *free_rows;  /* [n] */
  size_t free_count;
  double *lows; /* [low_count]: least distances of every BM_LOWS-th column; infinite past the row */
  double *distance; /* [stride]: of columns not yet settled; infinite for the others */
  double *open_v;   /* [stride]: v of columns not yet settled; minus infinity for the others */
  int64_t *before;  /* [stride]: row before the column on the shortest path */
  size_t *settled;  /* [n]: columns in the order of their distance */
  double *settled_distance; /* [n] */
} solver_t;

static void free_solver(solver_t *s)
{
  bm_free(s->cost);
  bm_free(s->v);
  bm_free(s->reduced);
  bm_free(s->row_of);
  bm_free(s->column_of);
  bm_free(s->free_rows);
  bm_free(s->lows);
  bm_free(s->distance);
  bm_free(s->open_v);
  bm_free(s->before);
  bm_free(s->settled);
  bm_free(s->settled_distance);
}

static size_t whole_blocks(size_t count)
{
  return (count + BM_BLOCK - 1) / BM_BLOCK * BM_BLOCK;
}

static bm_status_t allocate(solver_t *s, size_t n)
{
  *s = (solver_t){.n = n, .stride = whole_blocks(n)};
  s->low_count = whole_blocks(s->stride / BM_BLOCK * BM_LOWS);
  BM_TRY(BM_ALLOC(n * s->stride, &s->cost));
  BM_TRY(BM_ALLOC(s->stride, &s->v));
  BM_TRY(BM_ALLOC(s->stride, &s->reduced));
  BM_TRY(BM_ALLOC(s->stride, &s->row_of));
  BM_TRY(BM_ALLOC(n, &s->column_of));
  BM_TRY(BM_ALLOC(n, &s->free_rows));
  BM_TRY(BM_ALLOC(s->low_count, &s->lows));
  BM_TRY(BM_ALLOC(s->stride, &s->distance));
  BM_TRY(BM_ALLOC(s->stride, &s->open_v));
  BM_TRY(BM_ALLOC(s->stride, &s->before));
  BM_TRY(BM_ALLOC(n, &s->settled));
  BM_TRY(BM_ALLOC(n, &s->settled_distance));
  for (size_t l = 0; l < s->low_count; l++) {
    s->lows[l] = INFINITY;
  }
  return BM_OK;
}

static void fill_cost(solver_t *s, const bm_cost_t *cost)
{
  for (size_t i = 0; i < s->n; i++) {
    double *row = s->cost + i * s->stride;
    for (size_t j = 0; j < s->n; j++) {
      row[j] = bm_cost_pair(cost, i, j);
    }
    for (size_t j = s->n; j < s->stride; j++) {
      row[j] = INFINITY;
    }
  }
}

static double smaller(double a, double b)
{
  return a < b ? a : b;
}

/* Fold a block into its first `width` lanes, by halves: lane l becomes the least of l, l + width, …
 * Loops over lanes, not reductions, since compilers take the minimum for one only where they may
 * forget that there are NaNs. */
static void fold(double *lanes /* [BM_BLOCK] */, size_t width)
{
  for (size_t half = BM_BLOCK / 2; half >= width; half /= 2) {
#pragma omp simd
    for (size_t l = 0; l < half; l++) {
      lanes[l] = smaller(lanes[l], lanes[l + half]);
    }
  }
}

/* reduced = cost - v of a row; gives the least. */
static double reduce_row(size_t stride, const double *restrict cost /* [stride] */,
                         const double *restrict v /* [stride] */,
                         double *restrict reduced /* [stride] */)
{
  double lanes[BM_BLOCK];
  for (size_t l = 0; l < BM_BLOCK; l++) {
    lanes[l] = INFINITY;
  }
  for (size_t first = 0; first < stride; first += BM_BLOCK) {
#pragma omp simd
    for (size_t l = 0; l < BM_BLOCK; l++) {
      double value = cost[first + l] - v[first + l];
      reduced[first + l] = value;
      lanes[l] = smaller(lanes[l], value);
    }
  }
  fold(lanes, 1);
  return lanes[0];
}

/* Least of whole blocks. */
static double least_of(size_t count, const double *values /* [count] */)
{
  double lanes[BM_BLOCK];
  memcpy(lanes, values, sizeof lanes);
  for (size_t first = BM_BLOCK; first < count; first += BM_BLOCK) {
#pragma omp simd
    for (size_t l = 0; l < BM_BLOCK; l++) {
      lanes[l] = smaller(lanes[l], values[first + l]);
    }
  }
  fold(lanes, 1);
  return lanes[0];
}

/* The value is one of them. */
static size_t find(size_t count, const double *values /* [count] */, double value)
{
  size_t j = 0;
  while (j + 1 < count && values[j] != value) {
    j++;
  }
  return j;
}

static void assign(solver_t *s, size_t row, size_t column)
{
  s->row_of[column] = (int64_t)row;
  s->column_of[row] = (int64_t)column;
}

/* v_j: the least cost of the column, and the row that has it. */
static void find_column_minima(solver_t *s)
{
  double *restrict v = s->v;
  int64_t *restrict nearest = s->before;
  for (size_t j = 0; j < s->stride; j++) {
    v[j] = INFINITY;
  }
  for (size_t i = 0; i < s->n; i++) {
    const double *restrict cost = s->cost + i * s->stride;
#pragma omp simd
    for (size_t j = 0; j < s->stride; j++) {
      nearest[j] = cost[j] < v[j] ? (int64_t)i : nearest[j];
      v[j] = cost[j] < v[j] ? cost[j] : v[j];
    }
  }
  for (size_t j = s->n; j < s->stride; j++) {
    v[j] = 0.0; /* keeps infinity minus infinity out of the scans */
  }
}

/* Give columns to the rows they are nearest to; where a row got one column alone, lower that
 * column's dual as far as its second choice allows, which helps the rows left over. */
static void reduce_columns(solver_t *s)
{
  find_column_minima(s);
  size_t *wanted = s->settled; /* columns that are nearest to the row */
  memset(wanted, 0, s->n * sizeof *wanted);
  for (size_t i = 0; i < s->n; i++) {
    s->column_of[i] = BM_UNASSIGNED;
  }
  for (size_t j = 0; j < s->stride; j++) {
    s->row_of[j] = BM_UNASSIGNED;
  }
  for (size_t j = 0; j < s->n; j++) {
    size_t row = (size_t)s->before[j];
    if (wanted[row]++ == 0) {
      assign(s, row, j);
    }
  }
  for (size_t i = 0; i < s->n; i++) {
    if (wanted[i] == 0) {
      s->free_rows[s->free_count++] = i;
    } else if (wanted[i] == 1 && s->n > 1) {
      size_t column = (size_t)s->column_of[i];
      (void)reduce_row(s->stride, s->cost + i * s->stride, s->v, s->reduced);
      s->reduced[column] = INFINITY;
      s->v[column] -= least_of(s->stride, s->reduced);
    }
  }
}

/* One step: the row takes its best column, whose dual falls to where the second best is as good.
 * Gives the row that lost it, or BM_UNASSIGNED. `*strict`: the dual did fall. */
static int64_t take_best(solver_t *s, size_t row, int *strict)
{
  double best = reduce_row(s->stride, s->cost + row * s->stride, s->v, s->reduced);
  size_t column = find(s->n, s->reduced, best);
  s->reduced[column] = INFINITY;
  double second = least_of(s->stride, s->reduced);
  double lowered = s->v[column] - (second - best);
  *strict = lowered < s->v[column];
  if (*strict) {
    s->v[column] = lowered;
  } else if (s->row_of[column] != BM_UNASSIGNED) {
    column = find(s->n, s->reduced, second);
  }
  int64_t loser = s->row_of[column];
  assign(s, row, column);
  if (loser != BM_UNASSIGNED) {
    s->column_of[loser] = BM_UNASSIGNED;
  }
  return loser;
}

/* Bids may go back and forth in ever smaller steps: their number is limited, and what they leave
 * over is for the shortest paths. */
static bm_status_t reduce_rows(solver_t *s)
{
  size_t waiting = s->free_count;
  size_t bids = BM_BIDS_A_POINT * s->n;
  size_t kept = 0;
  for (size_t next = 0; next < waiting;) {
    if (bids == 0) {
      s->free_rows[kept++] = s->free_rows[next++];
      continue;
    }
    bids--;
    BM_TRY(bm_stop_poll());
    int strict = 0;
    int64_t loser = take_best(s, s->free_rows[next++], &strict);
    if (loser == BM_UNASSIGNED) {
      continue;
    }
    if (strict) {
      s->free_rows[--next] = (size_t)loser; /* its turn comes at once */
    } else {
      s->free_rows[kept++] = (size_t)loser;
    }
  }
  s->free_count = kept;
  return BM_OK;
}

/* Shorten the way to each open column through a row; `lows` follow. */
static void relax(solver_t *s, size_t row, double offset)
{
  const double *restrict cost = s->cost + row * s->stride;
  const double *restrict open_v = s->open_v;
  double *restrict distance = s->distance;
  int64_t *restrict before = s->before;
  for (size_t first = 0; first < s->stride; first += BM_BLOCK) {
    double lanes[BM_BLOCK];
#pragma omp simd
    for (size_t l = 0; l < BM_BLOCK; l++) {
      const size_t j = first + l;
      double through = cost[j] - open_v[j] - offset;
      int shorter = through < distance[j];
      before[j] = shorter ? (int64_t)row : before[j];
      lanes[l] = distance[j] = shorter ? through : distance[j];
    }
    fold(lanes, BM_LOWS);
    memcpy(s->lows + first / BM_BLOCK * BM_LOWS, lanes, BM_LOWS * sizeof *lanes);
  }
}

/* An open column at the least distance; one without a row, which ends the search, before others. */
static size_t nearest_column(const solver_t *s, double *distance)
{
  const double least = least_of(s->low_count, s->lows);
  size_t found = s->stride;
  *distance = least;
  for (size_t low = 0; low < s->stride / BM_BLOCK * BM_LOWS; low++) {
    if (s->lows[low] != least) {
      continue;
    }
    const size_t block = low / BM_LOWS * BM_BLOCK;
    for (size_t j = block + low % BM_LOWS; j < block + BM_BLOCK; j += BM_LOWS) {
      if (s->distance[j] == least && s->row_of[j] == BM_UNASSIGNED) {
        return j;
      }
      found = s->distance[j] == least && found == s->stride ? j : found;
    }
  }
  return found;
}

/* Change over along the path that ends in `column`. */
static void augment(solver_t *s, size_t start, size_t column)
{
  for (;;) {
    size_t row = (size_t)s->before[column];
    int64_t given_up = s->column_of[row];
    assign(s, row, column);
    if (row == start) {
      return;
    }
    column = (size_t)given_up;
  }
}

/* Give a free row a column by the shortest path in reduced costs (Dijkstra), and move the duals so
 * that they stay feasible and tight on the pairing. Every step settles a column, and the last one
 * left open has no row. */
static bm_status_t assign_row(solver_t *s, size_t start)
{
  memcpy(s->open_v, s->v, s->stride * sizeof *s->v);
  for (size_t j = 0; j < s->stride; j++) {
    s->distance[j] = INFINITY;
  }
  size_t count = 0;
  size_t row = start;
  double offset = 0.0;
  while (count < s->n) {
    double least;
    relax(s, row, offset);
    size_t column = nearest_column(s, &least);
    if (column >= s->n) {
      break;
    }
    if (s->row_of[column] == BM_UNASSIGNED) {
      for (size_t i = 0; i < count; i++) {
        s->v[s->settled[i]] += s->settled_distance[i] - least;
      }
      augment(s, start, column);
      return BM_OK;
    }
    s->settled[count] = column;
    s->settled_distance[count++] = least;
    s->distance[column] = INFINITY;
    s->open_v[column] = -INFINITY;
    row = (size_t)s->row_of[column];
    offset = s->cost[row * s->stride + column] - s->v[column] - least;
  }
  return BM_FAIL(BM_ERR_INTERNAL, "exact distance: no column is left for row %zu", start);
}

static bm_status_t solve(solver_t *s)
{
  reduce_columns(s);
  for (int pass = 0; pass < BM_REDUCTION_PASSES && s->free_count > 0; pass++) {
    BM_TRY(reduce_rows(s));
  }
  for (size_t i = 0; i < s->free_count; i++) {
    BM_TRY(bm_stop_poll());
    BM_TRY(assign_row(s, s->free_rows[i]));
  }
  return BM_OK;
}

bm_status_t bm_dense_assignment(const bm_cost_t *cost, size_t n, uint32_t *partner, double *v)
{
  assert(n > 0 && n <= BM_DENSE_MAX && n <= cost->n);
  solver_t s;
  bm_status_t status = allocate(&s, n);
  if (status == BM_OK) {
    fill_cost(&s, cost);
    status = solve(&s);
  }
  for (size_t i = 0; i < n && status == BM_OK; i++) {
    partner[i] = (uint32_t)s.column_of[i];
    v[i] = s.v[i];
  }
  free_solver(&s);
  return status;
}
