#include "boltzmap/flow/product.h"

#include <string.h>

#include "boltzmap/base/tree.h"

#if defined(__AVX512F__)
#define BM_VECTOR_BYTES 64
#define BM_VECTOR_BITS "512"
#elif defined(__AVX__)
#define BM_VECTOR_BYTES 32
#define BM_VECTOR_BITS "256"
#else
#define BM_VECTOR_BYTES 16
#define BM_VECTOR_BITS "128"
#endif

#ifdef BM_REAL_IS_DOUBLE
typedef long long mask_item_t;
#else
typedef int mask_item_t;
#endif

typedef bm_real_t vector_t __attribute__((vector_size(BM_VECTOR_BYTES)));
typedef mask_item_t mask_t __attribute__((vector_size(BM_VECTOR_BYTES)));
typedef bm_real_t anywhere_t
    __attribute__((vector_size(BM_VECTOR_BYTES), aligned(sizeof(bm_real_t)), may_alias));

/* A tile is held in 12 of the 16 vector registers that AVX2 has: enough chains to hide the latency of
 * a multiply-add. Loops over its BM_HEIGHT rows are unrolled by pragma (which takes a literal only), or
 * the sums would live in memory. */
#define BM_LANES (BM_VECTOR_BYTES / sizeof(bm_real_t))
#define BM_WIDTH (2 * BM_LANES)
#define BM_HEIGHT 6
#define BM_TILE (BM_HEIGHT * BM_WIDTH)

#define BM_INLINE static inline __attribute__((always_inline))

BM_INLINE vector_t load(const bm_real_t *p)
{
  return *(const anywhere_t *)p;
}

BM_INLINE void store(bm_real_t *p, vector_t v)
{
  *(anywhere_t *)p = v;
}

/* Where the operands of a tile begin, and how far apart their items are. */
typedef struct {
  const bm_real_t *a;
  size_t a_row, a_inner;
  const bm_real_t *b; /* BM_WIDTH items for each inner index */
  size_t b_inner;
} operands_t;

/* sum[r] = the tile's row r: `k` multiply-adds. */
BM_INLINE void multiply(size_t height, size_t k, operands_t x, vector_t sum[BM_HEIGHT][2])
{
#pragma GCC unroll 6
  for (size_t r = 0; r < height; r++) {
    sum[r][0] = sum[r][1] = (vector_t){0};
  }
  for (size_t i = 0; i < k; i++) {
    vector_t b0 = load(x.b);
    vector_t b1 = load(x.b + BM_LANES);
#pragma GCC unroll 6
    for (size_t r = 0; r < height; r++) {
      bm_real_t a = x.a[r * x.a_row];
      sum[r][0] += a * b0;
      sum[r][1] += a * b1;
    }
    x.a += x.a_inner;
    x.b += x.b_inner;
  }
}

/* Rows of the next tile where `left` are left: no tile gets too low to keep the units busy. */
static size_t next_height(size_t left)
{
  if (left <= BM_HEIGHT) {
    return left;
  }
  return left < 2 * BM_HEIGHT ? (left + 1) / 2 : BM_HEIGHT;
}

/* First column of the next tile: the last one reaches back over columns already done. */
static size_t tile_column(size_t n, size_t j)
{
  return j + BM_WIDTH <= n ? j : n - BM_WIDTH;
}

/* A call of `function` with the height as a constant, for which the compiler makes one kernel each. */
#define BM_WITH_HEIGHT(height, function, ...) \
  switch (height) {                           \
  case 1:                                     \
    function(1, __VA_ARGS__);                 \
    break;                                    \
  case 2:                                     \
    function(2, __VA_ARGS__);                 \
    break;                                    \
  case 3:                                     \
    function(3, __VA_ARGS__);                 \
    break;                                    \
  case 4:                                     \
    function(4, __VA_ARGS__);                 \
    break;                                    \
  case 5:                                     \
    function(5, __VA_ARGS__);                 \
    break;                                    \
  default:                                    \
    function(6, __VA_ARGS__);                 \
    break;                                    \
  }

/* --- products of rows with a matrix: its columns are packed, a panel of one tile's width at a time */

/* panel[k][BM_WIDTH] = columns [j, j + BM_WIDTH) of op(b). */
static void pack(const bm_product_t *product, size_t j, bm_real_t *restrict panel)
{
  size_t k = product->k;
  if (!product->b_transposed) {
    for (size_t i = 0; i < k; i++) {
      memcpy(panel + i * BM_WIDTH, product->b + i * product->n + j, BM_WIDTH * sizeof *panel);
    }
    return;
  }
  for (size_t q = 0; q < BM_WIDTH; q++) {
    const bm_real_t *restrict row = product->b + (j + q) * k;
    for (size_t i = 0; i < k; i++) {
      panel[i * BM_WIDTH + q] = row[i];
    }
  }
}

BM_INLINE vector_t finished(const bm_product_t *product, size_t j, vector_t sum)
{
  if (product->bias != NULL) {
    sum += load(product->bias + j);
  }
  if (product->relu) {
    sum = (vector_t)((mask_t)sum & (mask_t)(sum > (vector_t){0}));
  }
  return sum;
}

BM_INLINE void tile_of_rows(size_t height, const bm_product_t *product, size_t i, size_t j,
                            const bm_real_t *panel)
{
  vector_t sum[BM_HEIGHT][2];
  operands_t operands = {product->a + i * product->k, product->k, 1, panel, BM_WIDTH};
  multiply(height, product->k, operands, sum);
#pragma GCC unroll 6
  for (size_t r = 0; r < height; r++) {
    bm_real_t *c = product->c + (i + r) * product->n + j;
    store(c, finished(product, j, sum[r][0]));
    store(c + BM_LANES, finished(product, j + BM_LANES, sum[r][1]));
  }
}

static void product_by_tiles(const bm_product_t *product, bm_real_t *panel)
{
  for (size_t next = 0; next < product->n; next += BM_WIDTH) {
    size_t j = tile_column(product->n, next);
    pack(product, j, panel);
    for (size_t i = 0; i < product->rows;) {
      size_t height = next_height(product->rows - i);
      BM_WITH_HEIGHT(height, tile_of_rows, product, i, j, panel)
      i += height;
    }
  }
}

static bm_real_t dot(size_t n, const bm_real_t *x, const bm_real_t *y)
{
  vector_t sum[2] = {{0}, {0}};
  bm_real_t total = 0;
  size_t i = 0;
  for (; i + BM_WIDTH <= n; i += BM_WIDTH) {
    sum[0] += load(x + i) * load(y + i);
    sum[1] += load(x + i + BM_LANES) * load(y + i + BM_LANES);
  }
  sum[0] += sum[1];
  for (size_t l = 0; l < BM_LANES; l++) {
    total += sum[0][l];
  }
  for (; i < n; i++) {
    total += x[i] * y[i];
  }
  return total;
}

static void transpose(size_t rows, size_t columns, const bm_real_t *restrict a,
                      bm_real_t *restrict t)
{
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < columns; j++) {
      t[j * rows + i] = a[i * columns + j];
    }
  }
}

/* Fewer columns than a tile has: dot products with the columns of op(b). */
static void product_by_dots(const bm_product_t *product, bm_real_t *scratch)
{
  const bm_real_t *columns = product->b;
  if (!product->b_transposed) {
    transpose(product->k, product->n, product->b, scratch);
    columns = scratch;
  }
  for (size_t i = 0; i < product->rows; i++) {
    for (size_t j = 0; j < product->n; j++) {
      bm_real_t value = dot(product->k, product->a + i * product->k, columns + j * product->k);
      value += product->bias != NULL ? product->bias[j] : 0;
      product->c[i * product->n + j] = product->relu && !(value > 0) ? 0 : value;
    }
  }
}

const char *bm_product_kernel(void)
{
  return BM_VECTOR_BITS "-bit vectors of " BM_REAL_NAME;
}

void bm_product(const bm_product_t *product, bm_real_t *scratch)
{
  if (product->n < BM_WIDTH) {
    product_by_dots(product, scratch);
  } else {
    product_by_tiles(product, scratch);
  }
}

/* --- outer products: the tree over shards is climbed tile by tile, so that partial sums stay in the
 * first cache */

/* Where a tile of sums lies. */
typedef struct {
  bm_real_t *at;
  size_t stride;
} target_t;

typedef struct {
  const bm_outer_product_t *product;
  size_t i, j, height, width;
} outer_tile_t;

BM_INLINE void add_rows_by_vectors(size_t height, const outer_tile_t *tile, size_t shard, int add,
                                   target_t target)
{
  const bm_outer_product_t *product = tile->product;
  size_t first = product->shards->offset[shard];
  size_t rows = product->shards->offset[shard + 1] - first;
  operands_t operands = {product->a + first * product->m + tile->i, 1, product->m,
                         product->b + first * product->n + tile->j, product->n};
  vector_t sum[BM_HEIGHT][2];
  multiply(height, rows, operands, sum);
#pragma GCC unroll 6
  for (size_t r = 0; r < height; r++) {
    bm_real_t *c = target.at + r * target.stride;
    if (add) {
      sum[r][0] += load(c);
      sum[r][1] += load(c + BM_LANES);
    }
    store(c, sum[r][0]);
    store(c + BM_LANES, sum[r][1]);
  }
}

static void add_rows_one_by_one(const outer_tile_t *tile, size_t shard, int add, target_t target)
{
  const bm_outer_product_t *product = tile->product;
  for (size_t r = 0; r < tile->height; r++) {
    for (size_t q = 0; q < tile->width; q++) {
      bm_real_t sum = 0;
      for (size_t i = product->shards->offset[shard]; i < product->shards->offset[shard + 1]; i++) {
        sum += product->a[i * product->m + tile->i + r] * product->b[i * product->n + tile->j + q];
      }
      bm_real_t *c = target.at + r * target.stride + q;
      *c = add ? *c + sum : sum;
    }
  }
}

/* One shard's sum over its rows, put or added to the target. */
static void shard_tile(const outer_tile_t *tile, size_t shard, int add, target_t target)
{
  if (tile->width < BM_WIDTH) {
    add_rows_one_by_one(tile, shard, add, target);
  } else {
    BM_WITH_HEIGHT(tile->height, add_rows_by_vectors, tile, shard, add, target)
  }
}

/* The sum of a node of the tree; `scratch` has a tile for each level below. */
static void node_tile(const outer_tile_t *tile, bm_node_t node, target_t target, bm_real_t *scratch)
{
  if (node.count == 1) {
    shard_tile(tile, node.first, 0, target);
    return;
  }
  size_t left = bm_tree_left(node.count);
  bm_node_t right = {node.first + left, node.count - left};
  node_tile(tile, (bm_node_t){node.first, left}, target, scratch);
  if (right.count == 1) {
    shard_tile(tile, right.first, 1, target);
    return;
  }
  node_tile(tile, right, (target_t){scratch, BM_WIDTH}, scratch + BM_TILE);
  for (size_t r = 0; r < tile->height; r++) {
    for (size_t q = 0; q < tile->width; q++) {
      target.at[r * target.stride + q] += scratch[r * BM_WIDTH + q];
    }
  }
}

static void outer_product_by_tiles(const bm_outer_product_t *product, bm_real_t *scratch)
{
  size_t width = product->n < BM_WIDTH ? product->n : BM_WIDTH;
  for (size_t next = 0; next < product->n; next += BM_WIDTH) {
    size_t j = width < BM_WIDTH ? 0 : tile_column(product->n, next);
    for (size_t i = 0; i < product->m;) {
      outer_tile_t tile = {product, i, j, next_height(product->m - i), width};
      node_tile(&tile, (bm_node_t){0, product->shards->count},
                (target_t){product->c + i * product->n + j, product->n}, scratch);
      i += tile.height;
    }
  }
}

size_t bm_outer_product_scratch(size_t m, size_t n, size_t shards)
{
  return m * n + bm_tree_depth(shards) * BM_TILE;
}

void bm_outer_product(const bm_outer_product_t *product, bm_real_t *scratch)
{
  size_t m = product->m;
  size_t n = product->n;
  if (n >= BM_WIDTH || m < BM_WIDTH) {
    outer_product_by_tiles(product, scratch);
    return;
  }
  /* few columns, many rows: the other way round */
  bm_outer_product_t turned = {product->shards, n, m, product->b, product->a, scratch};
  outer_product_by_tiles(&turned, scratch + m * n);
  transpose(n, m, scratch, product->c);
}
