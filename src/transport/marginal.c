#include "boltzmap/transport/marginal.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "boltzmap/base/memory.h"

#define BM_INSERTION_MAX 48 /* below this, clearing the histograms costs more than the sort */
#define BM_DIGIT_BITS 11
#define BM_BUCKETS (1 << BM_DIGIT_BITS)
#define BM_DIGITS 6
#define BM_SUM_BLOCK 256 /* terms added up before they go into the total, to keep rounding down */

typedef uint64_t __attribute__((may_alias)) bits_t;

static void insertion_sort(size_t n, double *values)
{
  for (size_t i = 1; i < n; i++) {
    double value = values[i];
    size_t j = i;
    for (; j > 0 && values[j - 1] > value; j--) {
      values[j] = values[j - 1];
    }
    values[j] = value;
  }
}

/* The bits of a float64 as an unsigned number in the same order: negative ones run backwards, so
 * all their bits are turned; the others go above them. */
static uint64_t key_of(uint64_t bits)
{
  return bits ^ ((bits >> 63) != 0 ? UINT64_MAX : UINT64_C(1) << 63);
}

static uint64_t bits_of(uint64_t key)
{
  return key ^ ((key >> 63) != 0 ? UINT64_C(1) << 63 : UINT64_MAX);
}

static size_t digit_of(uint64_t key, int digit)
{
  return (size_t)(key >> (digit * BM_DIGIT_BITS)) & (BM_BUCKETS - 1);
}

/* Move the keys into the order of one digit, keeping the order of equal ones. `place` holds the
 * counts of the digit and is used up. */
static void move_by_digit(size_t n, int digit, const bits_t *from, bits_t *to, uint32_t *place)
{
  uint32_t first = 0;
  for (size_t b = 0; b < BM_BUCKETS; b++) {
    uint32_t count = place[b];
    place[b] = first;
    first += count;
  }
  for (size_t i = 0; i < n; i++) {
    to[place[digit_of(from[i], digit)]++] = from[i];
  }
}

void bm_sort(size_t n, double *values /* [n] */, double *scratch /* [n] */)
{
  assert(n <= UINT32_MAX);
  if (n <= BM_INSERTION_MAX) {
    insertion_sort(n, values);
    return;
  }
  uint32_t counts[BM_DIGITS][BM_BUCKETS];
  memset(counts, 0, sizeof counts);
  bits_t *from = (bits_t *)values;
  bits_t *to = (bits_t *)scratch;
  for (size_t i = 0; i < n; i++) {
    from[i] = key_of(from[i]);
    for (int digit = 0; digit < BM_DIGITS; digit++) {
      counts[digit][digit_of(from[i], digit)]++;
    }
  }
  for (int digit = 0; digit < BM_DIGITS; digit++) {
    if (counts[digit][digit_of(from[0], digit)] == n) {
      continue; /* all alike in this digit */
    }
    move_by_digit(n, digit, from, to, counts[digit]);
    bits_t *swap = from;
    from = to;
    to = swap;
  }
  bits_t *sorted = (bits_t *)values;
  for (size_t i = 0; i < n; i++) {
    sorted[i] = bits_of(from[i]);
  }
}

static double equal_sizes(size_t n, const double *x /* [n] */, const double *y /* [n] */)
{
  double sum = 0.0;
  for (size_t first = 0; first < n; first += BM_SUM_BLOCK) {
    size_t end = first + BM_SUM_BLOCK < n ? first + BM_SUM_BLOCK : n;
    double block = 0.0;
#pragma omp simd reduction(+ : block)
    for (size_t i = first; i < end; i++) {
      block += (x[i] - y[i]) * (x[i] - y[i]);
    }
    sum += block;
  }
  return sum / (double)n;
}

/* Both quantile functions are steps. In whole units of 1/lcm(n, m) the step of x are `x_step` wide
 * and those of y `y_step`, and all of them end at `total`. */
typedef struct {
  int64_t x_step, y_step, total;
} units_t;

static units_t units_of(size_t n, size_t m)
{
  assert(n > 0 && m > 0 && n <= INT32_MAX && m <= INT32_MAX);
  size_t divisor = n;
  for (size_t rest = m; rest != 0;) {
    size_t next = divisor % rest;
    divisor = rest;
    rest = next;
  }
  int64_t x_step = (int64_t)(m / divisor);
  return (units_t){x_step, (int64_t)(n / divisor), (int64_t)n * x_step};
}

/* y continued around the circle: one turn further, one period more. */
static double continued(int64_t m, const double *y, double period, int64_t j)
{
  int64_t turn = j >= 0 ? j / m : -((m - 1 - j) / m);
  return y[j - turn * m] + (turn == 0 ? 0.0 : (double)turn * period);
}

/* ∫ (X(t) - Y(t + shift))² dt over one turn. */
static double cost_at(size_t n, const double *x, size_t m, const double *y, double period,
                      int64_t shift)
{
  const units_t units = units_of(n, m);
  int64_t j = shift >= 0 ? shift / units.y_step : -((units.y_step - 1 - shift) / units.y_step);
  int64_t x_end = units.x_step;
  int64_t y_end = (j + 1) * units.y_step - shift;
  double sum = 0.0;
  double block = 0.0;
  size_t terms = 0;
  for (int64_t i = 0, at = 0; at < units.total;) {
    int64_t end = x_end < y_end ? x_end : y_end;
    double difference = x[i] - continued((int64_t)m, y, period, j);
    block += (double)(end - at) * (difference * difference);
    if (++terms % BM_SUM_BLOCK == 0) {
      sum += block;
      block = 0.0;
    }
    at = end;
    if (at == x_end) {
      x_end += units.x_step;
      i++;
    }
    if (at == y_end) {
      y_end += units.y_step;
      j++;
    }
  }
  return (sum + block) / (double)units.total;
}

double bm_marginal_w2_squared_sorted(size_t n, const double *x /* [n] */, size_t m,
                                     const double *y /* [m] */)
{
  return n == m ? equal_sizes(n, x, y) : cost_at(n, x, m, y, 0.0, 0);
}

/* Slope of the cost to the right of a shift: each jump of Y moves left and takes the place of the
 * value before it. */
static double slope_at(size_t n, const double *x, size_t m, const double *y, double period,
                       int64_t shift)
{
  const units_t units = units_of(n, m);
  const int64_t count = (int64_t)m;
  int64_t j = shift >= 0 ? shift / units.y_step : -((units.y_step - 1 - shift) / units.y_step);
  double before = continued(count, y, period, j);
  double slope = 0.0;
  for (int64_t step = 1; step <= count; step++) {
    double after = continued(count, y, period, j + step);
    int64_t i = ((j + step) * units.y_step - shift - 1) / units.x_step;
    slope += (after - before) * ((after - x[i]) + (before - x[i]));
    before = after;
  }
  return slope;
}

double bm_marginal_w2_squared_circle(size_t n, const double *x /* [n] */, size_t m,
                                     const double *y /* [m] */, double period)
{
  /* The cost is convex in the shift and linear between whole units. A full turn either way leaves
   * all of Y on one side of all of X, so the minimum lies between. */
  const units_t units = units_of(n, m);
  int64_t low = -units.total;
  int64_t high = units.total;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (slope_at(n, x, m, y, period, middle) >= 0.0) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return cost_at(n, x, m, y, period, low);
}

static void sorted_copy(size_t n, const double *values, double period, double *copy,
                        double *scratch)
{
  for (size_t i = 0; i < n; i++) {
    double value = values[i];
    if (period > 0.0) {
      value -= period * floor(value / period);
      value = value >= 0.0 && value < period ? value : 0.0; /* rounded up to the seam */
    }
    copy[i] = value;
  }
  bm_sort(n, copy, scratch);
}

bm_status_t bm_marginal_w2_squared(size_t n, const double *x /* [n] */, size_t m,
                                   const double *y /* [m] */, double period, double *w2_squared)
{
  double *buffer = NULL; /* x sorted [n], y sorted [m], scratch [max(n, m)] */
  BM_TRY(BM_ALLOC(n + m + (n > m ? n : m), &buffer));
  sorted_copy(n, x, period, buffer, buffer + n + m);
  sorted_copy(m, y, period, buffer + n, buffer + n + m);
  *w2_squared = period > 0.0 ? bm_marginal_w2_squared_circle(n, buffer, m, buffer + n, period)
                             : bm_marginal_w2_squared_sorted(n, buffer, m, buffer + n);
  bm_free(buffer);
  return BM_OK;
}
