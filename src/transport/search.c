#include "boltzmap/transport/search.h"

#include <float.h>
#include <math.h>

#include "boltzmap/base/memory.h"

#define BM_GROUPS (BM_PANEL_CHUNK / BM_PANEL_GROUP)
#define BM_HOME_BLOCKS 3        /* blocks looked at first where there is no threshold yet */
#define BM_ROW_BOXES_MAX 16     /* columns up to which boxes are tried for each row */
#define BM_FLOAT_ROUNDING 6e-8f /* unit roundoff of float32, rounded up */
#define BM_HALVINGS 14          /* of a range of bounds: as fine as it pays */
#define BM_NEVER 1e30f          /* lift above which no value is a hit */

/* A choice of a point. */
typedef struct {
  double value;
  uint32_t column;
} choice_t;

/* A pair that float32 has seen: bounds on its reduced cost, in the frame. */
typedef struct {
  float lower, upper;
  uint32_t column;
} noted_t;

/* Pairs are noted with their bounds in float32, and looked at in float64 at the end, when few are
 * left: those whose lower bound is not above the upper bounds of as many others as are asked for.
 * Where bounds are too wide to leave few (ties, values of many sizes), a row is decided in float64
 * pair by pair. */
struct bm_search_room {
  float *rows;                /* [d][BM_PANEL_CHUNK] */
  float *values;              /* [BM_PANEL_GROUP][BM_PANEL_BLOCK] */
  float *low, *high, *centre; /* [d]: of the chunk */
  choice_t *heap;             /* [BM_PANEL_CHUNK][keep], the worst first */
  noted_t *noted;             /* [BM_PANEL_CHUNK][noted_max] */
  float *uppers;              /* [noted_max] */
  size_t noted_max;
  double half[BM_PANEL_CHUNK];  /* |x|²/2 in the frame */
  double limit[BM_PANEL_CHUNK]; /* pairs from there on are of no interest, in units of the cost */
  float filter[BM_PANEL_CHUNK]; /* the same for lower bounds, in the frame */
  float above[BM_PANEL_CHUNK];  /* half - filter: what products have to reach */
  float norm[BM_PANEL_CHUNK];   /* |x| in the frame */
  float square[BM_PANEL_CHUNK]; /* distance to a box, squared */
  float error[BM_PANEL_CHUNK];  /* of products with a block */
  float lift[BM_PANEL_CHUNK];   /* for a block */
  size_t found[BM_PANEL_CHUNK], noted_count[BM_PANEL_CHUNK];
  uint8_t exact[BM_PANEL_CHUNK]; /* is the row decided pair by pair? */
  int filter_moved;
  int open;         /* are there rows without a threshold? */
  float gamma;      /* relative rounding error of a sum of d products */
  float gamma64;    /* that of the coordinates' way into the frame, in float64 */
  float least;      /* what underflow may take */
  float norm_max;   /* of the rows */
  float filter_max; /* of the rows */
};

bm_status_t bm_search_room_create(size_t d, size_t keep, bm_search_room_t **out)
{
  bm_search_room_t *room = NULL;
  bm_status_t status = BM_ALLOC(1, &room);
  BM_TRY(status);
  room->gamma = (float)(d + 16) * BM_FLOAT_ROUNDING;
  room->gamma64 = (float)(d + 8) * 3e-16f;
  room->least = (float)(d + 8) * FLT_MIN;
  BM_TRY_GOTO(status, failed, BM_ALLOC(d * BM_PANEL_CHUNK, &room->rows));
  BM_TRY_GOTO(status, failed, BM_ALLOC(BM_PANEL_GROUP * BM_PANEL_BLOCK, &room->values));
  BM_TRY_GOTO(status, failed, BM_ALLOC(d, &room->low));
  BM_TRY_GOTO(status, failed, BM_ALLOC(d, &room->high));
  BM_TRY_GOTO(status, failed, BM_ALLOC(d, &room->centre));
  BM_TRY_GOTO(status, failed, BM_ALLOC(BM_PANEL_CHUNK * keep, &room->heap));
  room->noted_max = 2 * keep + BM_PANEL_BLOCK;
  BM_TRY_GOTO(status, failed, BM_ALLOC(BM_PANEL_CHUNK * room->noted_max, &room->noted));
  BM_TRY_GOTO(status, failed, BM_ALLOC(room->noted_max, &room->uppers));
  *out = room;
  return BM_OK;
failed:
  bm_search_room_destroy(&room);
  return status;
}

void bm_search_room_destroy(bm_search_room_t **out)
{
  bm_search_room_t *room = *out;
  if (room == NULL) {
    return;
  }
  bm_free(room->rows);
  bm_free(room->values);
  bm_free(room->low);
  bm_free(room->high);
  bm_free(room->centre);
  bm_free(room->heap);
  bm_free(room->noted);
  bm_free(room->uppers);
  bm_free(room);
  *out = NULL;
}

static float larger(float a, float b)
{
  return a > b ? a : b;
}

static float smaller(float a, float b)
{
  return a < b ? a : b;
}

static void set_filter(bm_search_room_t *room, size_t r, double filter)
{
  room->filter[r] = (float)filter;
  room->above[r] = (float)(room->half[r] - filter);
  room->filter_moved = 1;
}

static void set_limit(const bm_search_t *search, bm_search_room_t *room, size_t r, double limit)
{
  room->limit[r] = limit;
  set_filter(room, r, limit / search->unit);
}

/* Without a threshold the filter is what no reduced cost can exceed. */
static void start_limit(const bm_search_t *search, bm_search_room_t *room, size_t r,
                        double threshold)
{
  const bm_panels_t *columns = search->columns;
  const double far = (double)room->norm[r] + columns->norm_max;
  const double most = far * far - fmin((double)columns->dual_min, 0.0);
  set_limit(search, room, r, threshold);
  if (!(threshold / search->unit < most)) {
    set_filter(room, r, most);
    room->open = 1;
  }
}

static void find_filter_max(bm_search_room_t *room, size_t count)
{
  if (!room->filter_moved) {
    return;
  }
  float largest = -FLT_MAX;
  for (size_t r = 0; r < count; r++) {
    largest = larger(largest, room->filter[r]);
  }
  room->filter_max = largest;
  room->filter_moved = 0;
}

static void gather_row(const bm_search_t *search, bm_search_room_t *room, size_t r, size_t slot)
{
  for (size_t k = 0; k < search->rows->d; k++) {
    float value = bm_panels_value(search->rows, slot, k);
    room->rows[k * BM_PANEL_CHUNK + r] = value;
    room->low[k] = r == 0 || value < room->low[k] ? value : room->low[k];
    room->high[k] = r == 0 || value > room->high[k] ? value : room->high[k];
  }
  room->half[r] = search->rows->half_norm[slot];
  room->norm[r] = room->half[r] > 0.0 ? (float)sqrt(2.0 * room->half[r])
                                      : search->rows->norm[slot / BM_PANEL_BLOCK];
  room->norm_max = larger(room->norm_max, room->norm[r]);
}

static void start_chunk(const bm_search_t *search, bm_search_room_t *room,
                        const bm_search_chunk_t *chunk)
{
  room->norm_max = 0.0f;
  room->open = 0;
  for (size_t r = 0; r < chunk->count; r++) {
    gather_row(search, room, r, search->slot_of_row[chunk->points[r]]);
    start_limit(search, room, r, chunk->threshold[r]);
    room->found[r] = room->noted_count[r] = 0;
    room->exact[r] = 0;
  }
  for (size_t r = chunk->count; r < BM_PANEL_CHUNK; r++) {
    for (size_t k = 0; k < search->rows->d; k++) {
      room->rows[k * BM_PANEL_CHUNK + r] = 0.0f;
    }
    room->above[r] = BM_NEVER;
    room->norm[r] = 0.0f;
  }
  for (size_t k = 0; k < search->rows->d; k++) {
    room->centre[k] = 0.5f * (room->low[k] + room->high[k]);
  }
  find_filter_max(room, chunk->count);
}

/* Distance between two intervals; on a torus of length 1, where both lie in [-1/2, 1/2]. */
static float gap_between(float a_low, float a_high, float b_low, float b_high, int torus)
{
  float gap = larger(larger(a_low - b_high, b_low - a_high), 0.0f);
  if (torus) {
    float around = 1.0f - (larger(a_high, b_high) - smaller(a_low, b_low));
    gap = smaller(gap, larger(around, 0.0f));
  }
  return gap;
}

/* Square of the distance between a box and one of the columns' boxes. */
static float square_to_box(const bm_search_t *search, const float *low, const float *high,
                           size_t box)
{
  const size_t d = search->columns->d;
  const float *box_low = search->columns->low + box * d,
              *box_high = search->columns->high + box * d;
  const int torus = search->cost->period > 0.0;
  float square = 0.0f;
  for (size_t k = 0; k < d; k++) {
    float gap = gap_between(low[k], high[k], box_low[k], box_high[k], torus);
    square += gap * gap;
  }
  return square;
}

/* What a reduced cost found from a box may be off by. */
static float box_error(const bm_search_room_t *room, const bm_panels_t *columns, size_t box,
                       float norm, float limit)
{
  const float far = norm + columns->norm[box];
  return room->gamma * (far * far + fabsf(limit) + fabsf(columns->dual_max[box])) + room->least;
}

/* Can the box hold a pair of interest for a row of the chunk? */
static int box_matters(const bm_search_t *search, const bm_search_room_t *room, size_t box)
{
  const bm_panels_t *columns = search->columns;
  const float least = 0.5f * square_to_box(search, room->low, room->high, box);
  return least - columns->dual_max[box] <=
         room->filter_max + box_error(room, columns, box, room->norm_max, room->filter_max);
}

/* Distances of all rows to a block's box. */
static void find_squares(const bm_search_t *search, bm_search_room_t *room, size_t block)
{
  const size_t d = search->columns->d;
  const float *low = search->columns->low + block * d, *high = search->columns->high + block * d;
  for (size_t r = 0; r < BM_PANEL_CHUNK; r++) {
    room->square[r] = 0.0f;
  }
  for (size_t k = 0; k < d; k++) {
    const float *restrict x = room->rows + k * BM_PANEL_CHUNK;
    float *restrict square = room->square;
    const float a = low[k], b = high[k];
#pragma omp simd
    for (size_t r = 0; r < BM_PANEL_CHUNK; r++) {
      float below = a - x[r], beyond = x[r] - b;
      float gap = below > beyond ? below : beyond;
      gap = gap > 0.0f ? gap : 0.0f;
      square[r] += gap * gap;
    }
  }
}

static int group_matters(const bm_search_t *search, const bm_search_room_t *room, size_t block,
                         size_t first, size_t end)
{
  const bm_panels_t *columns = search->columns;
  int matters = 0;
  for (size_t r = first; r < first + BM_PANEL_GROUP && r < end; r++) {
    matters |= 0.5f * room->square[r] - columns->dual_max[block] <=
               room->filter[r] + box_error(room, columns, block, room->norm[r], room->above[r]);
  }
  return matters;
}

/* Ties are broken by a hash of the pair, so that points whose choices are all alike (duplicates,
 * lattices) do not all choose the same few. */
static uint32_t tie_order(uint32_t point, uint32_t column)
{
  uint32_t hash = point * UINT32_C(0x9e3779b1) ^ column * UINT32_C(0x85ebca77);
  hash = (hash ^ hash >> 15) * UINT32_C(0x2c1b3c6d);
  return hash ^ hash >> 12;
}

static int is_worse(uint32_t point, choice_t a, choice_t b)
{
  return a.value > b.value ||
         (a.value == b.value && tie_order(point, a.column) > tie_order(point, b.column));
}

/* A heap whose first item is the worst. */
static void sink(uint32_t point, choice_t *heap, size_t count, choice_t choice)
{
  size_t at = 0;
  for (size_t child = 1; child < count; child = 2 * at + 1) {
    child += child + 1 < count && is_worse(point, heap[child + 1], heap[child]);
    if (!is_worse(point, heap[child], choice)) {
      break;
    }
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = choice;
}

static void rise(uint32_t point, choice_t *heap, size_t count, choice_t choice)
{
  size_t at = count;
  while (at > 0 && is_worse(point, choice, heap[(at - 1) / 2])) {
    heap[at] = heap[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  heap[at] = choice;
}

static void keep(const bm_search_t *search, bm_search_room_t *room, size_t r, uint32_t point,
                 choice_t choice)
{
  choice_t *heap = room->heap + r * search->keep;
  if (room->found[r] < search->keep) {
    rise(point, heap, room->found[r]++, choice);
  } else if (is_worse(point, heap[0], choice)) {
    sink(point, heap, search->keep, choice);
  }
  if (room->found[r] == search->keep) {
    set_limit(search, room, r, heap[0].value);
  }
}

static void decide(const bm_search_t *search, bm_search_room_t *room, size_t r, uint32_t point,
                   uint32_t column)
{
  const double cost = search->rows->side == 0 ? bm_cost_pair(search->cost, point, column)
                                              : bm_cost_pair(search->cost, column, point);
  const double value = cost - search->dual[column];
  const int full = room->found[r] == search->keep;
  if (full ? value <= room->limit[r] : value < room->limit[r]) {
    keep(search, room, r, point, (choice_t){value, column});
  }
}

/* A value that at least `least` of the values do not exceed, and not many more: bisection, since
 * counting is quick and the last digit does not matter. */
static float bound_of(const float *values, size_t count, size_t least)
{
  float low = values[0], high = values[0];
  for (size_t i = 1; i < count; i++) {
    low = smaller(low, values[i]);
    high = larger(high, values[i]);
  }
  for (int halving = 0; halving < BM_HALVINGS; halving++) {
    const float middle = 0.5f * (low + high);
    int below = 0;
#pragma omp simd reduction(+ : below)
    for (size_t i = 0; i < count; i++) {
      below += values[i] <= middle;
    }
    if ((size_t)below >= least) {
      high = middle;
    } else {
      low = middle;
    }
  }
  return high;
}

/* Lower the filter to the upper bound that as many as are asked for keep to, and drop what is
 * above. */
static void drop_noted(const bm_search_t *search, bm_search_room_t *room, size_t r)
{
  noted_t *noted = room->noted + r * room->noted_max;
  const size_t count = room->noted_count[r];
  if (count < search->keep) {
    return;
  }
  for (size_t i = 0; i < count; i++) {
    room->uppers[i] = noted[i].upper;
  }
  const float enough = bound_of(room->uppers, count, search->keep);
  if (enough < room->filter[r]) {
    set_filter(room, r, (double)enough);
  }
  room->noted_count[r] = 0;
  for (size_t i = 0; i < count; i++) {
    if (noted[i].lower <= enough) {
      noted[room->noted_count[r]++] = noted[i];
    }
  }
}

/* Look at all that is noted. */
static void decide_noted(const bm_search_t *search, bm_search_room_t *room, size_t r,
                         uint32_t point)
{
  const noted_t *noted = room->noted + r * room->noted_max;
  for (size_t i = 0; i < room->noted_count[r]; i++) {
    decide(search, room, r, point, noted[i].column);
  }
  room->noted_count[r] = 0;
}

static void note(const bm_search_t *search, bm_search_room_t *room, size_t r, uint32_t point,
                 noted_t pair)
{
  if (room->noted_count[r] == room->noted_max) {
    drop_noted(search, room, r);
    if (room->noted_count[r] > room->noted_max - BM_PANEL_BLOCK / 2) {
      room->exact[r] = 1;
      decide_noted(search, room, r, point);
      decide(search, room, r, point, pair.column);
      return;
    }
  }
  room->noted[r * room->noted_max + room->noted_count[r]++] = pair;
  if (search->keep == 1 && pair.upper < room->filter[r]) {
    set_filter(room, r, (double)pair.upper);
  }
}

/* A value is what the product has above filter less error; bounds are widened by their own
 * rounding. */
static void take_hits(const bm_search_t *search, bm_search_room_t *room, size_t r, uint32_t point,
                      size_t block)
{
  const uint32_t *columns = search->columns->point + block * BM_PANEL_BLOCK;
  const float *values = room->values + r % BM_PANEL_GROUP * BM_PANEL_BLOCK;
  const float filter = room->filter[r], error = room->error[r];
  unsigned long long hits = bm_products_hits(values);
  for (; hits != 0; hits &= hits - 1) {
    const int at = __builtin_ctzll(hits);
    const uint32_t column = columns[at];
    if (column == BM_PANEL_NONE) {
      continue;
    }
    if (room->exact[r]) {
      decide(search, room, r, point, column);
      continue;
    }
    const float lower = filter - values[at], upper = lower + 2.0f * error;
    const float rounding = 4.0f * BM_FLOAT_ROUNDING * (larger(filter, -filter) + values[at]);
    note(search, room, r, point, (noted_t){lower - rounding, upper + rounding, column});
  }
}

static void work_group(const bm_search_t *search, bm_search_room_t *room,
                       const bm_search_chunk_t *chunk, size_t first, size_t block)
{
  const bm_panels_t *columns = search->columns;
  const float norm = columns->norm[block], offset = columns->offset_max[block];
  for (size_t r = first; r < first + BM_PANEL_GROUP; r++) {
    const float far = room->norm[r] + norm;
    room->error[r] = room->gamma * (room->norm[r] * norm + offset + fabsf(room->above[r])) +
                     room->gamma64 * far * far + room->least;
    room->lift[r] = room->above[r] - room->error[r];
  }
  const bm_products_t products = {.d = columns->d,
                                  .rows = room->rows + first,
                                  .lift = room->lift + first,
                                  .block = columns->values + block * BM_PANEL_BLOCK * columns->d,
                                  .offset = columns->offset + block * BM_PANEL_BLOCK};
  if (!(search->cost->period > 0.0 ? bm_products_torus : bm_products)(&products, room->values)) {
    return;
  }
  for (size_t r = first; r < first + BM_PANEL_GROUP && r < chunk->count; r++) {
    take_hits(search, room, r, chunk->points[r], block);
  }
}

static void work_block(const bm_search_t *search, bm_search_room_t *room,
                       const bm_search_chunk_t *chunk, size_t block)
{
  const int rows_have_boxes = search->columns->d <= BM_ROW_BOXES_MAX && search->cost->period == 0.0;
  if (rows_have_boxes) {
    find_squares(search, room, block);
  }
  for (size_t first = 0; first < chunk->count; first += BM_PANEL_GROUP) {
    if (!rows_have_boxes || group_matters(search, room, block, first, chunk->count)) {
      work_group(search, room, chunk, first, block);
    }
  }
}

/* The first of the blocks around the one that may hold the least reduced cost for the chunk's
 * middle. */
static size_t find_home(const bm_search_t *search, const bm_search_room_t *room)
{
  const bm_panels_t *columns = search->columns;
  size_t home = 0;
  float best = FLT_MAX;
  for (size_t b = 0; b < columns->blocks; b++) {
    float value =
        0.5f * square_to_box(search, room->centre, room->centre, b) - columns->dual_max[b];
    if (value < best) {
      best = value;
      home = b;
    }
  }
  home -= home < BM_HOME_BLOCKS / 2 ? home : BM_HOME_BLOCKS / 2;
  return home;
}

static void finish_row(const bm_search_t *search, bm_search_room_t *room, size_t r,
                       const bm_search_chunk_t *chunk)
{
  const choice_t *heap = room->heap + r * search->keep;
  drop_noted(search, room, r);
  decide_noted(search, room, r, chunk->points[r]);
  double least = INFINITY;
  for (size_t i = 0; i < room->found[r]; i++) {
    least = heap[i].value < least ? heap[i].value : least;
    chunk->partner[r * search->keep + i] = heap[i].column;
  }
  chunk->least[r] = least;
  chunk->found[r] = (uint32_t)room->found[r];
  chunk->bound[r] = room->limit[r];
}

void bm_search_chunk(const bm_search_t *search, bm_search_room_t *room,
                     const bm_search_chunk_t *chunk)
{
  const size_t blocks = search->columns->blocks;
  size_t home = 0, home_end = 0;
  start_chunk(search, room, chunk);
  if (room->open) {
    home = find_home(search, room);
    home_end = home + BM_HOME_BLOCKS < blocks ? home + BM_HOME_BLOCKS : blocks;
    for (size_t b = home; b < home_end; b++) {
      work_block(search, room, chunk, b);
    }
    find_filter_max(room, chunk->count);
  }
  for (size_t b = 0; b < blocks; b++) {
    if (b % BM_PANEL_SUPER == 0 && !box_matters(search, room, blocks + b / BM_PANEL_SUPER)) {
      b += BM_PANEL_SUPER - 1;
      continue;
    }
    if ((b < home || b >= home_end) && box_matters(search, room, b)) {
      work_block(search, room, chunk, b);
      find_filter_max(room, chunk->count);
    }
  }
  for (size_t r = 0; r < chunk->count; r++) {
    finish_row(search, room, r, chunk);
  }
}
