/* Dense layers: products, packing of weights, outer products, few outputs. Part of kernels_body.h. */

#ifndef BOLTZMAP_FLOW_KERNELS_DENSE_H
#define BOLTZMAP_FLOW_KERNELS_DENSE_H

#include "kernels_vectors.h"

/* --- products ----------------------------------------------------------------------------------- */

BM_INLINE vector_t finished(const bm_kernel_product_t *p, size_t unit, size_t at, vector_t sum)
{
  if (p->bias != NULL) {
    sum += load(p->bias + unit);
  }
  if (p->relu) {
    sum = rectified(sum);
  }
  if (p->positive != NULL) {
    sum = where_positive(load(p->positive + at), sum);
  }
  return sum;
}

/* sum = rows [i, i + height) of a times `vectors` vectors of the panel. */
BM_INLINE void multiply(size_t height, size_t vectors, const bm_kernel_product_t *p, size_t i,
                        const bm_real_t *panel, vector_t sum[BM_HEIGHT * BM_SUMS])
{
  const bm_real_t *a = p->a + i * BM_BLOCK;
  BM_UNROLL(28)
  for (size_t s = 0; s < height * vectors; s++) {
    sum[s] = (vector_t){0};
  }
  for (size_t left = p->inner; left > 0; a += p->rows * BM_BLOCK) {
    size_t run = left < BM_BLOCK ? left : BM_BLOCK;
    left -= run;
    for (size_t k = 0; k < run; k++, panel += BM_PANEL) {
      vector_t b[BM_SUMS];
      BM_UNROLL(8)
      for (size_t v = 0; v < vectors; v++) {
        b[v] = load(panel + v * BM_LANES);
      }
      BM_UNROLL(14)
      for (size_t r = 0; r < height; r++) {
        bm_real_t item = a[r * BM_BLOCK + k];
        BM_UNROLL(8)
        for (size_t v = 0; v < vectors; v++) {
          sum[r * vectors + v] += item * b[v];
        }
      }
    }
  }
}

BM_INLINE void tile_of(size_t height, size_t vectors, const bm_kernel_product_t *p, size_t i,
                       size_t block, const bm_real_t *panel)
{
  vector_t sum[BM_HEIGHT * BM_SUMS];
  multiply(height, vectors, p, i, panel, sum);
  BM_UNROLL(8)
  for (size_t v = 0; v < vectors; v++) {
    size_t unit = block * BM_BLOCK + v * BM_LANES;
    size_t at = (unit / BM_BLOCK * p->rows + i) * BM_BLOCK + unit % BM_BLOCK;
    BM_UNROLL(14)
    for (size_t r = 0; r < height; r++, at += BM_BLOCK) {
      store(p->c + at, finished(p, unit, at, sum[r * vectors + v]));
    }
  }
}

typedef void (*product_tile_t)(const bm_kernel_product_t *p, size_t i, size_t block,
                               const bm_real_t *panel);

#define BM_TILES(height)                                                                \
  static void panel_tile_##height(const bm_kernel_product_t *p, size_t i, size_t block, \
                                  const bm_real_t *panel)                               \
  {                                                                                     \
    tile_of(height, BM_SUMS, p, i, block, panel);                                       \
  }                                                                                     \
  static void block_tile_##height(const bm_kernel_product_t *p, size_t i, size_t block, \
                                  const bm_real_t *panel)                               \
  {                                                                                     \
    tile_of(height, BM_VECTORS, p, i, block, panel);                                    \
  }
BM_EACH_HEIGHT(BM_TILES)
#define BM_PANEL_TILE(height) panel_tile_##height,
#define BM_BLOCK_TILE(height) block_tile_##height,
static const product_tile_t panel_tiles[] = {BM_EACH_HEIGHT(BM_PANEL_TILE)};
static const product_tile_t block_tiles[] = {BM_EACH_HEIGHT(BM_BLOCK_TILE)};

static void product_of_rows(const bm_kernel_product_t *p, size_t first, size_t end)
{
  const bm_real_t *panel = p->panels;
  for (size_t block = 0; block < p->blocks; block += BM_WIDE, panel += p->inner * BM_PANEL) {
    const product_tile_t *tiles = block + BM_WIDE <= p->blocks ? panel_tiles : block_tiles;
    for (size_t i = first, height; i < end; i += height) {
      height = next_height(end - i, BM_HEIGHT);
      tiles[height - 1](p, i, block, panel);
    }
  }
}

static void product(const bm_kernel_product_t *p)
{
  for (size_t first = 0; first < p->rows; first += BM_ROWS_AT_ONCE) {
    size_t end = first + BM_ROWS_AT_ONCE < p->rows ? first + BM_ROWS_AT_ONCE : p->rows;
    product_of_rows(p, first, end);
  }
}

/* --- packing ------------------------------------------------------------------------------------ */

#if BM_LANES == 16
#define BM_LOWER(a, b) \
  __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define BM_UPPER(a, b) \
  __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define BM_STAGES 4
#elif BM_LANES == 8
#define BM_LOWER(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define BM_UPPER(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define BM_STAGES 3
#elif BM_LANES == 4
#define BM_LOWER(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define BM_UPPER(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define BM_STAGES 2
#else
#define BM_LOWER(a, b) __builtin_shufflevector(a, b, 0, 2)
#define BM_UPPER(a, b) __builtin_shufflevector(a, b, 1, 3)
#define BM_STAGES 1
#endif

/* A square of BM_LANES rows and columns: a row that is shuffled like a deck of cards with the one half a
 * square away, as often as there are bits in its number, is a column. */
BM_INLINE void transpose_square(const bm_real_t *from, size_t from_stride, bm_real_t *to,
                                size_t to_stride)
{
  vector_t row[2][BM_LANES];
  BM_UNROLL(16)
  for (size_t i = 0; i < BM_LANES; i++) {
    row[0][i] = load(from + i * from_stride);
  }
  BM_UNROLL(4)
  for (size_t stage = 0; stage < BM_STAGES; stage++) {
    BM_UNROLL(8)
    for (size_t i = 0; i < BM_LANES / 2; i++) {
      vector_t a = row[stage % 2][i];
      vector_t b = row[stage % 2][i + BM_LANES / 2];
      row[1 - stage % 2][2 * i] = BM_LOWER(a, b);
      row[1 - stage % 2][2 * i + 1] = BM_UPPER(a, b);
    }
  }
  BM_UNROLL(16)
  for (size_t i = 0; i < BM_LANES; i++) {
    store(to + i * to_stride, row[BM_STAGES % 2][i]);
  }
}

static void transpose(size_t rows, size_t columns, const bm_real_t *from, size_t from_stride,
                      bm_real_t *to, size_t to_stride)
{
  size_t whole_rows = rows - rows % BM_LANES;
  size_t whole_columns = columns - columns % BM_LANES;
  for (size_t i = 0; i < whole_rows; i += BM_LANES) {
    for (size_t j = 0; j < whole_columns; j += BM_LANES) {
      for (size_t r = BM_LANES; r < 2 * BM_LANES && i + r < rows; r++) {
        __builtin_prefetch(from + (i + r) * from_stride + j);
      }
      transpose_square(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride);
    }
  }
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = i < whole_rows ? whole_columns : 0; j < columns; j++) {
      to[j * to_stride + i] = from[i * from_stride + j];
    }
  }
}

/* Row by row, as the matrix lies in memory. */
static void pack(size_t k, size_t n, const bm_real_t *b, bm_real_t *panels)
{
  const size_t whole = n - n % BM_PANEL;
  for (size_t i = 0; i < k; i++, b += n) {
    bm_real_t *to = panels + i * BM_PANEL;
    for (size_t j = 0; j < whole; j += BM_PANEL, to += k * BM_PANEL) {
      memcpy(to, b + j, BM_PANEL * sizeof *to);
    }
    if (whole < n) {
      memcpy(to, b + whole, (n - whole) * sizeof *to);
      memset(to + n - whole, 0, (BM_PANEL - (n - whole)) * sizeof *to);
    }
  }
}

static void pack_transposed(size_t k, size_t n, const bm_real_t *b, bm_real_t *panels)
{
  for (size_t j = 0; j < n; j += BM_PANEL, panels += k * BM_PANEL) {
    size_t width = n - j < BM_PANEL ? n - j : BM_PANEL;
    if (width < BM_PANEL) {
      memset(panels, 0, k * BM_PANEL * sizeof *panels);
    }
    transpose(width, k, b + j * k, k, panels, BM_PANEL);
  }
}

/* --- outer products: the tree over shards is climbed tile by tile ------------------------------- */

/* Blocks of b in a tile: low tiles are wider, or there would be too few sums to hide the latency of a
 * multiply-add. */
#define BM_LOW (BM_OUTER_HEIGHT / 2 < 3 ? BM_OUTER_HEIGHT / 2 : 3)
#define BM_OUTER_BLOCKS(height) ((height) > BM_LOW ? BM_WIDE : 2 * BM_WIDE)
#define BM_OUTER_SUMS (BM_OUTER_HEIGHT > 1 ? BM_OUTER_HEIGHT * BM_SUMS : 2 * BM_SUMS)

/* A tile of sums: units of a from unit i on, blocks of b from `block` on, into `to`. */
typedef struct {
  const bm_kernel_outer_t *outer;
  size_t i, block;
  bm_real_t *to;
  size_t stride;
  const unsigned char *merges; /* [shards], bm_tree_merges */
} outer_tile_t;

BM_INLINE void shard_sum(size_t height, size_t blocks, const outer_tile_t *tile, size_t shard,
                         vector_t sum[BM_OUTER_SUMS])
{
  const size_t *offset = tile->outer->shards->offset;
  const size_t vectors = blocks * BM_VECTORS;
  const size_t block_items = offset[tile->outer->shards->count] * BM_BLOCK;
  const bm_real_t *a = tile->outer->a + tile->i / BM_BLOCK * block_items +
                       offset[shard] * BM_BLOCK + tile->i % BM_BLOCK;
  const bm_real_t *b = tile->outer->b + tile->block * block_items + offset[shard] * BM_BLOCK;
  BM_UNROLL(32)
  for (size_t s = 0; s < height * vectors; s++) {
    sum[s] = (vector_t){0};
  }
  BM_UNROLL_BY(4)
  for (size_t left = offset[shard + 1] - offset[shard]; left > 0; left--) {
    vector_t column[2 * BM_SUMS];
    BM_UNROLL(16)
    for (size_t v = 0; v < vectors; v++) {
      column[v] = load(b + v / BM_VECTORS * block_items + v % BM_VECTORS * BM_LANES);
    }
    BM_UNROLL(8)
    for (size_t r = 0; r < height; r++) {
      bm_real_t item = a[r];
      BM_UNROLL(16)
      for (size_t v = 0; v < vectors; v++) {
        sum[r * vectors + v] += item * column[v];
      }
    }
    a += BM_BLOCK;
    b += BM_BLOCK;
  }
}

/* The sums of all shards, added while they are in registers to those that wait for them in `pending`, one
 * tile for each level of the tree. */
BM_INLINE void tree_sum(size_t height, size_t blocks, const outer_tile_t *tile, bm_real_t *pending)
{
  const size_t vectors = blocks * BM_VECTORS;
  const size_t count = tile->outer->shards->count;
  for (size_t shard = 0; shard < count; shard++) {
    vector_t sum[BM_OUTER_SUMS];
    shard_sum(height, blocks, tile, shard, sum);
    for (size_t left = tile->merges[shard]; left > 0; left--) {
      pending -= height * vectors * BM_LANES;
      BM_UNROLL(32)
      for (size_t s = 0; s < height * vectors; s++) {
        sum[s] += load(pending + s * BM_LANES);
      }
    }
    int last = shard + 1 == count;
    bm_real_t *to = last ? tile->to : pending;
    size_t stride = last ? tile->stride : vectors * BM_LANES;
    BM_UNROLL(8)
    for (size_t r = 0; r < height; r++) {
      BM_UNROLL(16)
      for (size_t v = 0; v < vectors; v++) {
        store(to + r * stride + v * BM_LANES, sum[r * vectors + v]);
      }
    }
    pending += height * vectors * BM_LANES;
  }
}

typedef void (*tree_sum_t)(const outer_tile_t *tile, bm_real_t *pending);

#define BM_TREE_SUMS(height)                                                   \
  static void wide_sum_##height(const outer_tile_t *tile, bm_real_t *pending)  \
  {                                                                            \
    tree_sum(height, BM_OUTER_BLOCKS(height), tile, pending);                  \
  }                                                                            \
  static void block_sum_##height(const outer_tile_t *tile, bm_real_t *pending) \
  {                                                                            \
    tree_sum(height, 1, tile, pending);                                        \
  }
BM_EACH_OUTER_HEIGHT(BM_TREE_SUMS)
#define BM_WIDE_SUM(height) wide_sum_##height,
#define BM_BLOCK_SUM(height) block_sum_##height,
static const tree_sum_t wide_sums[] = {BM_EACH_OUTER_HEIGHT(BM_WIDE_SUM)};
static const tree_sum_t block_sums[] = {BM_EACH_OUTER_HEIGHT(BM_BLOCK_SUM)};

/* A tile of `height` rows and `blocks` blocks, of whose last only some columns may be there. */
static void outer_tile(const outer_tile_t *tile, size_t height, size_t blocks, bm_real_t *scratch)
{
  const bm_kernel_outer_t *outer = tile->outer;
  const size_t column = tile->block * BM_BLOCK;
  const size_t width = blocks * BM_BLOCK;
  const tree_sum_t *sums = blocks == 1 ? block_sums : wide_sums;
  const tree_sum_t sum = sums[height - 1];
  if (column + width <= outer->n) {
    sum(tile, scratch);
    return;
  }
  outer_tile_t whole = *tile;
  whole.to = scratch;
  whole.stride = width;
  sum(&whole, scratch + BM_KERNEL_TILE);
  for (size_t r = 0; r < height; r++) {
    memcpy(tile->to + r * tile->stride, scratch + r * width, (outer->n - column) * sizeof *scratch);
  }
}

/* Columns of the result, whole tiles but for the last. */
typedef struct {
  size_t block, end; /* blocks of b */
  int low;           /* rows of tiles that are low, or of those that are not */
} strip_t;

static void sum_strip(const bm_kernel_outer_t *outer, strip_t strip, const unsigned char *merges,
                      bm_real_t *scratch)
{
  const size_t wide = strip.low ? 2 * BM_WIDE : BM_WIDE;
  for (size_t i = 0, height; i < outer->m; i += height) {
    size_t of_block = BM_BLOCK - i % BM_BLOCK;
    size_t left = outer->m - i < of_block ? outer->m - i : of_block;
    height = next_height(left, BM_OUTER_HEIGHT);
    if (strip.low != (height <= BM_LOW)) {
      continue;
    }
    for (size_t block = strip.block, step; block < strip.end; block += step) {
      step = strip.end - block < wide ? 1 : wide;
      outer_tile_t tile = {.outer = outer,
                           .i = i,
                           .block = block,
                           .to = outer->c + i * outer->stride + block * BM_BLOCK,
                           .stride = outer->stride,
                           .merges = merges};
      outer_tile(&tile, height, step, scratch);
    }
  }
}

static void outer(const bm_kernel_outer_t *outer, bm_real_t *scratch)
{
  const size_t count = outer->shards->count;
  unsigned char merges[BM_SHARDS_MAX];
  for (size_t shard = 0; shard < count; shard++) {
    merges[shard] = (unsigned char)bm_tree_merges(count, shard);
  }
  const size_t blocks = (outer->n + BM_BLOCK - 1) / BM_BLOCK;
  const size_t panel_items = outer->shards->offset[count] * 2 * BM_PANEL;
  const size_t step = (1 + BM_STRIP_ITEMS / (panel_items + 1)) * 2 * BM_WIDE;
  for (size_t block = 0; block < blocks; block += step) {
    const size_t end = block + step < blocks ? block + step : blocks;
    sum_strip(outer, (strip_t){block, end, 0}, merges, scratch);
    sum_strip(outer, (strip_t){block, end, 1}, merges, scratch);
  }
}

/* --- few outputs -------------------------------------------------------------------------------- */

#define BM_NARROW_ROWS (4 / BM_VECTORS > 0 ? 4 / BM_VECTORS : 1)

/* The sums of blocks of some rows for some outputs, a vector each: the upper half of a block's lanes is
 * added to the lower until it is one vector. */
BM_INLINE void narrow_lanes(size_t rows, size_t outputs, const bm_kernel_narrow_t *n, size_t i,
                            size_t o, bm_real_t *lanes /* [outputs][BM_LANES rows][BM_LANES] */)
{
  vector_t sum[2 * BM_NARROW_ROWS * BM_VECTORS];
  const size_t vectors = rows * BM_VECTORS;
  const bm_real_t *w = n->w + o * n->blocks * BM_BLOCK;
  const bm_real_t *a = n->a + i * BM_BLOCK;
  BM_UNROLL(16)
  for (size_t s = 0; s < outputs * vectors; s++) {
    sum[s] = (vector_t){0};
  }
  for (size_t b = 0; b < n->blocks; b++, a += n->rows * BM_BLOCK, w += BM_BLOCK) {
    BM_UNROLL(16)
    for (size_t s = 0; s < outputs * vectors; s++) {
      sum[s] += load(a + s % vectors * BM_LANES) *
                load(w + s / vectors * n->blocks * BM_BLOCK + s % BM_VECTORS * BM_LANES);
    }
  }
  BM_UNROLL(8)
  for (size_t r = 0; r < outputs * rows; r++) {
    vector_t *block = sum + r * BM_VECTORS;
    for (size_t half = BM_VECTORS / 2; half > 0; half /= 2) {
      for (size_t v = 0; v < half; v++) {
        block[v] += block[v + half];
      }
    }
    store(lanes + (r / rows * BM_LANES + r % rows) * BM_LANES, block[0]);
  }
}

/* The same for BM_LANES vectors at once: they are turned, so that a vector holds a lane of each. */
BM_INLINE vector_t sums_of_lanes(const bm_real_t *lanes /* [BM_LANES][BM_LANES] */)
{
  bm_real_t turned[BM_LANES * BM_LANES];
  vector_t sum[BM_LANES];
  transpose_square(lanes, BM_LANES, turned, BM_LANES);
  BM_UNROLL(16)
  for (size_t l = 0; l < BM_LANES; l++) {
    sum[l] = load(turned + l * BM_LANES);
  }
  BM_UNROLL(4)
  for (size_t half = BM_LANES / 2; half > 0; half /= 2) {
    BM_UNROLL(8)
    for (size_t l = 0; l < half; l++) {
      sum[l] += sum[l + half];
    }
  }
  return sum[0];
}

/* `rows` ≤ BM_LANES rows from i on for one or two outputs from o on. */
BM_INLINE void narrow_rows(size_t outputs, const bm_kernel_narrow_t *n, size_t i, size_t rows,
                           size_t o)
{
  bm_real_t lanes[2 * BM_LANES * BM_LANES] = {0};
  bm_real_t sums[BM_LANES];
  size_t r = 0;
  for (; r + BM_NARROW_ROWS <= rows; r += BM_NARROW_ROWS) {
    narrow_lanes(BM_NARROW_ROWS, outputs, n, i + r, o, lanes + r * BM_LANES);
  }
  for (; r < rows; r++) {
    narrow_lanes(1, outputs, n, i + r, o, lanes + r * BM_LANES);
  }
  for (size_t k = 0; k < outputs; k++) {
    const bm_real_t bias = n->bias != NULL ? n->bias[o + k] : 0;
    store(sums, sums_of_lanes(lanes + k * BM_LANES * BM_LANES) + bias);
    for (r = 0; r < rows; r++) {
      n->y[(i + r) * n->outputs + o + k] = sums[r];
    }
  }
}

static void narrow(const bm_kernel_narrow_t *n)
{
  for (size_t i = 0; i < n->rows; i += BM_LANES) {
    const size_t rows = n->rows - i < BM_LANES ? n->rows - i : BM_LANES;
    size_t o = 0;
    for (; o + 2 <= n->outputs; o += 2) {
      narrow_rows(2, n, i, rows, o);
    }
    if (o < n->outputs) {
      narrow_rows(1, n, i, rows, o);
    }
  }
}

#endif
