/* The kernels of every instruction set that runs here, beside plain sums in float64; and those with fused
 * multiply-adds beside each other, bit by bit. */

#include "boltzmap/flow/kernels.h"

#include <math.h>
#include <string.h>

#include "boltzmap/base/tree.h"
#include "made_flow.h"

#define KERNELS_MAX 8

/* Uneven shards, one of them empty. */
static const size_t offsets[] = {0, 5, 5, 18, 19, 37};
#define ROWS 37
static const bm_shards_t shards = {5, offsets};

static size_t running(const bm_kernels_t *found[KERNELS_MAX])
{
  size_t count = 0;
  for (size_t i = 0; bm_kernels_table[i] != NULL; i++) {
    if (bm_kernels_table[i]->runs_here()) {
      found[count++] = bm_kernels_table[i];
    }
  }
  return count;
}

static size_t padded(size_t units)
{
  return (units + BM_BLOCK - 1) / BM_BLOCK * BM_BLOCK;
}

/* Item of a blocked matrix. */
static double item(const bm_real_t *blocked, size_t rows, size_t row, size_t unit)
{
  return (double)blocked[unit / BM_BLOCK * rows * BM_BLOCK + row * BM_BLOCK + unit % BM_BLOCK];
}

static bm_real_t *drawn_blocks(uint32_t stream, size_t rows, size_t units)
{
  bm_real_t *blocked = drawn_reals(stream, 1.0, rows * padded(units));
  for (size_t unit = units; unit < padded(units); unit++) {
    for (size_t row = 0; row < rows; row++) {
      blocked[unit / BM_BLOCK * rows * BM_BLOCK + row * BM_BLOCK + unit % BM_BLOCK] = 0;
    }
  }
  return blocked;
}

static void assert_near(double value, double expected, size_t roundings, double size)
{
  double bound = (double)roundings * BM_REAL_EPSILON * size;
  if (!(fabs(value - expected) <= bound)) {
    fail_msg("%.17g is not %.17g within %.3g", value, expected, bound);
  }
}

/* Kernels with fused multiply-adds give the same bits as the first of them. */
static void check_bits(const bm_kernels_t *const *kernels, size_t i, const bm_real_t *first,
                       const bm_real_t *now, size_t items)
{
  if (i > 0 && kernels[i]->fast && kernels[0]->fast) {
    assert_memory_equal(first, now, items * sizeof *first);
  }
}

/* --- products ----------------------------------------------------------------------------------- */

static void check_product(const bm_kernels_t *kernels, const bm_kernel_product_t *p, size_t units,
                          const bm_real_t *b /* [inner][units] */)
{
  bm_real_t *panels = zero_reals(p->inner * (units + kernels->panel));
  bm_kernel_product_t product = *p;
  product.panels = panels;
  kernels->pack(p->inner, units, b, panels);
  kernels->product(&product);
  for (size_t row = 0; row < p->rows; row++) {
    for (size_t unit = 0; unit < p->blocks * BM_BLOCK; unit++) {
      double sum = p->bias != NULL ? (double)p->bias[unit] : 0.0;
      double size = fabs(sum);
      for (size_t k = 0; k < p->inner && unit < units; k++) {
        double term = item(p->a, p->rows, row, k) * (double)b[k * units + unit];
        sum += term;
        size += fabs(term);
      }
      if (p->relu && sum < 0.0) {
        sum = 0.0;
      }
      if (p->positive != NULL && !(item(p->positive, p->rows, row, unit) > 0.0)) {
        sum = size = 0.0;
      }
      assert_near(item(p->c, p->rows, row, unit), sum, p->inner + 2, size);
    }
  }
  bm_free(panels);
}

static void products_are_plain_sums(void **state)
{
  (void)state;
  const bm_kernels_t *kernels[KERNELS_MAX];
  size_t count = running(kernels);
  const size_t inners[] = {1, 2, 15, 16, 33};
  const size_t widths[] = {3, 16, 33, 48, 70};
  for (size_t rows = 1; rows < 500; rows += rows < 16 ? 1 : rows) { /* one at a time, and many */
    for (size_t s = 0; s < 25; s++) {
      size_t inner = inners[s / 5];
      size_t units = widths[s % 5];
      bm_real_t *a = drawn_blocks(1, rows, inner);
      bm_real_t *b = drawn_reals(2, 1.0, inner * units);
      bm_real_t *bias = zero_reals(padded(units));
      draw_reals(3, 1.0, units, bias);
      bm_real_t *mask = drawn_blocks(4, rows, units);
      bm_real_t *c[2] = {zero_reals(rows * padded(units)), zero_reals(rows * padded(units))};
      bm_real_t *masked[2] = {zero_reals(rows * padded(units)), zero_reals(rows * padded(units))};
      for (size_t i = 0; i < count; i++) {
        bm_kernel_product_t p = {rows, inner,   padded(units) / BM_BLOCK, a, NULL, bias, 1,
                                 NULL, c[i > 0]};
        check_product(kernels[i], &p, units, b);
        check_bits(kernels, i, c[0], c[1], rows * padded(units));
        p.bias = NULL;
        p.relu = 0;
        p.positive = mask;
        p.c = masked[i > 0];
        check_product(kernels[i], &p, units, b);
        check_bits(kernels, i, masked[0], masked[1], rows * padded(units));
      }
      bm_real_t *blocks[] = {a, b, bias, mask, c[0], c[1], masked[0], masked[1]};
      for (size_t i = 0; i < 8; i++) {
        bm_free(blocks[i]);
      }
    }
  }
}

static void packing_of_a_transpose_is_that_of_its_transpose(void **state)
{
  (void)state;
  const bm_kernels_t *kernels[KERNELS_MAX];
  size_t count = running(kernels);
  const size_t sizes[] = {1, 2, 16, 33, 47, 64};
  for (size_t i = 0; i < count * 36; i++) {
    const bm_kernels_t *k = kernels[i / 36];
    size_t rows = sizes[i / 6 % 6];
    size_t columns = sizes[i % 6];
    bm_real_t *b = drawn_reals(5, 1.0, rows * columns);
    bm_real_t *t = zero_reals(rows * columns);
    size_t items = rows * (columns + k->panel);
    bm_real_t *panels[2] = {drawn_reals(6, 1.0, items), drawn_reals(7, 1.0, items)};
    k->transpose(rows, columns, b, columns, t, rows);
    for (size_t j = 0; j < rows * columns; j++) {
      assert_true(t[j % columns * rows + j / columns] == b[j]);
    }
    k->pack(rows, columns, b, panels[0]);
    k->pack_transposed(rows, columns, t, panels[1]);
    size_t used = (columns + k->panel - 1) / k->panel * k->panel * rows;
    assert_memory_equal(panels[0], panels[1], used * sizeof *b);
    bm_free(b);
    bm_free(t);
    bm_free(panels[0]);
    bm_free(panels[1]);
  }
}

/* --- outer products ----------------------------------------------------------------------------- */

/* The sum of one element over a node, each shard's by plain multiply-adds, and that of the sizes. */
static double node_element(const bm_kernel_outer_t *o, bm_node_t node, const size_t ij[2],
                           double *size)
{
  double sum = 0.0;
  if (node.count == 1) {
    const size_t *offset = o->shards->offset;
    const size_t rows = offset[o->shards->count];
    for (size_t row = offset[node.first]; row < offset[node.first + 1]; row++) {
      double term = item(o->a, rows, row, ij[0]) * item(o->b, rows, row, ij[1]);
      sum += term;
      *size += fabs(term);
    }
    return sum;
  }
  size_t left = bm_tree_left(node.count);
  sum = node_element(o, (bm_node_t){node.first, left}, ij, size);
  return sum + node_element(o, (bm_node_t){node.first + left, node.count - left}, ij, size);
}

static void check_outer(const bm_shards_t *cut, size_t m, size_t n)
{
  const bm_kernels_t *kernels[KERNELS_MAX];
  const size_t count = running(kernels);
  const size_t rows = cut->offset[cut->count];
  const size_t stride = n + 3;
  bm_real_t *tiles = zero_reals((bm_tree_depth(cut->count) + 2) * BM_KERNEL_TILE);
  bm_real_t *a = drawn_blocks(8, rows, m);
  bm_real_t *b = drawn_blocks(9, rows, n);
  bm_real_t *c[2] = {drawn_reals(10, 1.0, m * stride), drawn_reals(10, 1.0, m * stride)};
  for (size_t k = 0; k < count; k++) {
    bm_kernel_outer_t o = {cut, m, n, a, b, c[k > 0], stride};
    kernels[k]->outer(&o, tiles);
    for (size_t e = 0; e < m * n; e++) {
      double size = 0.0;
      size_t ij[2] = {e / n, e % n};
      double sum = node_element(&o, (bm_node_t){0, cut->count}, ij, &size);
      assert_near((double)o.c[ij[0] * stride + ij[1]], sum, rows, size);
    }
    check_bits(kernels, k, c[0], c[1], m * stride); /* and nothing behind the rows */
  }
  bm_real_t *blocks[] = {tiles, a, b, c[0], c[1]};
  for (size_t i = 0; i < 5; i++) {
    bm_free(blocks[i]);
  }
}

static void outer_products_are_plain_sums(void **state)
{
  (void)state;
  const size_t sizes[] = {1, 2, 4, 7, 16, 33, 70};
  const size_t many[] = {0, 1000, 2200}; /* so many rows that columns come in several strips */
  for (size_t s = 0; s < 49; s++) {
    check_outer(&shards, sizes[s / 7], sizes[s % 7]);
  }
  check_outer(&(bm_shards_t){2, many}, 18, 150);
}

static void narrow_products_are_plain_sums(void **state)
{
  (void)state;
  const bm_kernels_t *kernels[KERNELS_MAX];
  size_t count = running(kernels);
  const size_t blocks = 5;
  for (size_t outputs = 1; outputs <= BM_NARROW; outputs++) {
    bm_real_t *a = drawn_blocks(11, ROWS, blocks * BM_BLOCK);
    bm_real_t *w = drawn_reals(12, 1.0, outputs * blocks * BM_BLOCK);
    bm_real_t *bias = drawn_reals(13, 1.0, outputs);
    bm_real_t *y[2] = {zero_reals(ROWS * outputs), zero_reals(ROWS * outputs)};
    for (size_t k = 0; k < count; k++) {
      bm_kernel_narrow_t n = {ROWS, blocks, outputs, a, w, outputs % 2 ? bias : NULL, y[k > 0]};
      kernels[k]->narrow(&n);
      for (size_t e = 0; e < ROWS * outputs; e++) {
        double sum = outputs % 2 ? (double)bias[e % outputs] : 0.0;
        double size = fabs(sum);
        for (size_t unit = 0; unit < blocks * BM_BLOCK; unit++) {
          double term =
              item(a, ROWS, e / outputs, unit) * (double)w[e % outputs * blocks * BM_BLOCK + unit];
          sum += term;
          size += fabs(term);
        }
        assert_near((double)n.y[e], sum, blocks + 6, size);
      }
      if (k > 0 && kernels[k]->fast && kernels[0]->fast) {
        assert_memory_equal(y[0], y[1], ROWS * outputs * sizeof *a);
      }
    }
    bm_real_t *used[] = {a, w, bias, y[0], y[1]};
    for (size_t i = 0; i < 5; i++) {
      bm_free(used[i]);
    }
  }
}

/* --- tiny networks ------------------------------------------------------------------------------ */

#define UNITS 69 /* whole groups of vectors, whole vectors and a rest */
#define STRIDE 48
#define TINY_ITEMS (STRIDE * BM_TINY)

/* What a tiny network gives: outputs, gradient of the inputs and of the parameters. */
typedef struct {
  bm_real_t y[TINY_ITEMS], dx[TINY_ITEMS], gradient[UNITS * (2 * BM_TINY + 1)];
} tiny_result_t;

typedef struct {
  bm_kernel_tiny_t network;
  bm_kernel_rows_t rows;
} tiny_t;

static void run_tiny(const bm_kernels_t *kernels, const tiny_t *tiny, tiny_result_t *result)
{
  memset(result, 0, sizeof *result);
  kernels->tiny_forward(&tiny->network, &tiny->rows, result->y);
  kernels->tiny_backward_input(&tiny->network, &tiny->rows, result->dx);
  kernels->tiny_backward_parameters(&tiny->network, &tiny->rows, 5, 37, result->gradient);
}

/* The same in float64, and how large the terms are that were added. */
static void check_tiny(const tiny_t *tiny, const tiny_result_t *result)
{
  const bm_kernel_tiny_t *n = &tiny->network;
  double gradient[UNITS * (2 * BM_TINY + 1)] = {0};
  for (size_t row = 0; row < STRIDE; row++) {
    double y[BM_TINY] = {0};
    double dx[BM_TINY] = {0};
    for (size_t u = 0; u < UNITS; u++) {
      double h = (double)n->b1[u];
      for (size_t i = 0; i < n->in; i++) {
        h += (double)n->w1[i * UNITS + u] * (double)tiny->rows.x[i * STRIDE + row];
      }
      double dh = 0.0;
      for (size_t o = 0; o < n->out; o++) {
        double dy = (double)tiny->rows.dy[o * STRIDE + row];
        y[o] += fmax(h, 0.0) * (double)n->w2[u * n->out + o];
        dh += h > 0.0 ? dy * (double)n->w2[u * n->out + o] : 0.0;
        if (row >= 5 && row < 37) {
          gradient[(n->in + 1) * UNITS + u * n->out + o] += fmax(h, 0.0) * dy;
        }
      }
      for (size_t i = 0; i < n->in; i++) {
        double x = (double)tiny->rows.x[i * STRIDE + row];
        dx[i] += dh * (double)n->w1[i * UNITS + u];
        gradient[i * UNITS + u] += row >= 5 && row < 37 ? dh * x : 0.0;
      }
      gradient[n->in * UNITS + u] += row >= 5 && row < 37 ? dh : 0.0;
    }
    for (size_t o = 0; o < n->out; o++) {
      assert_near((double)result->y[o * STRIDE + row], y[o] + (double)n->b2[o], 10 * UNITS, 1.0);
    }
    for (size_t i = 0; i < n->in; i++) {
      assert_near((double)result->dx[i * STRIDE + row], dx[i], 10 * UNITS, 1.0);
    }
  }
  for (size_t e = 0; e < (n->in + 1 + n->out) * UNITS; e++) {
    assert_near((double)result->gradient[e], gradient[e], 200, 1.0);
  }
}

static void tiny_networks_are_plain_sums(void **state)
{
  (void)state;
  const bm_kernels_t *kernels[KERNELS_MAX];
  size_t count = running(kernels);
  for (size_t sizes = 0; sizes < 4; sizes++) {
    bm_real_t *w = drawn_reals(14, 0.3, UNITS * (2 * BM_TINY + 1) + BM_TINY);
    bm_real_t *x = drawn_reals(15, 1.0, TINY_ITEMS);
    bm_real_t *dy = drawn_reals(16, 1.0, TINY_ITEMS);
    tiny_t tiny = {{1 + sizes / 2, UNITS, 1 + sizes % 2, w, w + BM_TINY * UNITS,
                    w + (BM_TINY + 1) * UNITS, w + (2 * BM_TINY + 1) * UNITS},
                   {STRIDE, x, dy}};
    tiny_result_t results[2];
    for (size_t k = 0; k < count; k++) {
      run_tiny(kernels[k], &tiny, &results[k > 0]);
      check_tiny(&tiny, &results[k > 0]);
      if (k > 0 && kernels[k]->fast && kernels[0]->fast) {
        assert_memory_equal(&results[0], &results[1], sizeof results[0]);
      }
    }
    bm_free(w);
    bm_free(x);
    bm_free(dy);
  }
}

/* --- the scale of a coupling -------------------------------------------------------------------- */

static void scales_are_those_of_the_c_library(void **state)
{
  (void)state;
  const bm_kernels_t *kernels[KERNELS_MAX];
  size_t count = running(kernels);
  const size_t n = 20003;
  bm_real_t *s = zero_reals(n);
  bm_real_t *e = zero_reals(n);
  bm_real_t *first = zero_reals(n);
  for (size_t k = 0; k < count; k++) {
    for (int minus = 0; minus < 2; minus++) {
      for (size_t i = 0; i < n; i++) {
        s[i] = (bm_real_t)(160.0 * (double)i / (double)(n - 1) - 80.0);
      }
      kernels[k]->exponential(n, minus, s, e);
      for (size_t i = 0; i < n; i++) {
        double expected = exp(minus ? -(double)s[i] : (double)s[i]);
        assert_near((double)e[i], expected, 2, expected);
      }
    }
    for (size_t i = 0; i < n; i++) {
      double x = 2.0 * (double)i / (double)(n - 1) - 1.0;
      s[i] = (bm_real_t)(40.0 * x * x * x); /* dense around 0 */
      e[i] = s[i];
    }
    kernels[k]->bound(n, 2.0, e);
    for (size_t i = 0; i < n; i++) {
      double expected = 2.0 * tanh((double)s[i] / 2.0);
      assert_near((double)e[i], expected, 3, fabs(expected));
    }
    if (k > 0 && kernels[k]->fast && kernels[0]->fast) {
      assert_memory_equal(first, e, n * sizeof *e);
    }
    if (k == 0) {
      memcpy(first, e, n * sizeof *e);
    }
    s[0] = (bm_real_t)NAN;
    kernels[k]->exponential(1, 0, s, e);
    kernels[k]->bound(1, 2.0, s);
    assert_true(isnan((double)s[0]) && isnan((double)e[0]));
  }
  bm_free(s);
  bm_free(e);
  bm_free(first);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_are_plain_sums),
      cmocka_unit_test(packing_of_a_transpose_is_that_of_its_transpose),
      cmocka_unit_test(outer_products_are_plain_sums),
      cmocka_unit_test(narrow_products_are_plain_sums),
      cmocka_unit_test(tiny_networks_are_plain_sums),
      cmocka_unit_test(scales_are_those_of_the_c_library),
  };
  return cmocka_run_group_tests_name("kernels " BM_REAL_NAME, tests, NULL, NULL);
}
