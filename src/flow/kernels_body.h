/* The kernels of kernels.h for one instruction set. Included by kernels_v4.c, kernels_v3.c and
 * kernels_generic.c, which are compiled for theirs, and by nothing else.
 *
 * Loops over the rows and vectors of a tile are unrolled by pragma, or the sums would live in memory. */

#ifndef BOLTZMAP_FLOW_KERNELS_BODY_H
#define BOLTZMAP_FLOW_KERNELS_BODY_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "boltzmap/base/tree.h"
#include "boltzmap/flow/kernels.h"

#if defined(__AVX512F__)
#define BM_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define BM_VECTOR_BYTES 32
#else
#define BM_VECTOR_BYTES 16
#endif

#ifdef BM_REAL_IS_DOUBLE
#define BM_ITEM_BYTES 8
typedef int64_t item_bits_t;
#else
#define BM_ITEM_BYTES 4
typedef int32_t item_bits_t;
#endif

#define BM_LANES (BM_VECTOR_BYTES / BM_ITEM_BYTES)
#define BM_VECTORS (BM_BLOCK / BM_LANES) /* a block */

/* Blocks and vectors of a panel, and rows of the highest tiles: their sums, a panel's row and a spread
 * item fill the vector registers (32 with AVX-512 and NEON, 16 else). */
#if BM_VECTORS == 1
#define BM_WIDE 2
#define BM_HEIGHT 14
#define BM_OUTER_HEIGHT 8
#elif BM_VECTORS == 2 && defined(__AVX512F__)
#define BM_WIDE 1
#define BM_HEIGHT 14
#define BM_OUTER_HEIGHT 8
#elif BM_VECTORS == 2
#define BM_WIDE 1
#define BM_HEIGHT 6
#define BM_OUTER_HEIGHT 6
#elif BM_VECTORS == 4 && defined(__ARM_NEON)
#define BM_WIDE 1
#define BM_HEIGHT 6
#define BM_OUTER_HEIGHT 6
#elif BM_VECTORS == 4
#define BM_WIDE 1
#define BM_HEIGHT 3
#define BM_OUTER_HEIGHT 3
#else
#define BM_WIDE 1
#define BM_HEIGHT 1
#define BM_OUTER_HEIGHT 1
#endif
#define BM_PANEL (BM_WIDE * BM_BLOCK)
#define BM_SUMS (BM_WIDE * BM_VECTORS) /* vectors a row of a tile */
#define BM_ROWS_AT_ONCE 128   /* of a product, so that they and a panel stay in the second cache */
#define BM_STRIP_ITEMS 131072 /* of b in an outer product, so that they stay in the second cache */

typedef bm_real_t vector_t __attribute__((vector_size(BM_VECTOR_BYTES)));
typedef item_bits_t mask_t __attribute__((vector_size(BM_VECTOR_BYTES)));
typedef bm_real_t anywhere_t
    __attribute__((vector_size(BM_VECTOR_BYTES), aligned(BM_ITEM_BYTES), may_alias));

/* Unroll a loop of at most `times` rounds wholly; by so many rounds. A literal. */
#define BM_PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define BM_UNROLL(times) BM_PRAGMA(clang loop unroll(full))
#define BM_UNROLL_BY(times) BM_PRAGMA(clang loop unroll_count(times))
#else
#define BM_UNROLL(times) BM_PRAGMA(GCC unroll times)
#define BM_UNROLL_BY(times) BM_PRAGMA(GCC unroll times)
#endif

#define BM_INLINE static inline __attribute__((always_inline))

BM_INLINE vector_t load(const bm_real_t *p)
{
  return *(const anywhere_t *)p;
}

BM_INLINE void store(bm_real_t *p, vector_t v)
{
  *(anywhere_t *)p = v;
}

BM_INLINE vector_t all(bm_real_t x)
{
  return (vector_t){0} + x;
}

/* v where x > 0, else 0. */
BM_INLINE vector_t where_positive(vector_t x, vector_t v)
{
#if defined(__AVX512F__) && defined(BM_REAL_IS_DOUBLE)
  __mmask8 mask = _mm512_cmp_pd_mask((__m512d)x, _mm512_setzero_pd(), _CMP_GT_OQ);
  return (vector_t)_mm512_maskz_mov_pd(mask, (__m512d)v);
#elif defined(__AVX512F__)
  __mmask16 mask = _mm512_cmp_ps_mask((__m512)x, _mm512_setzero_ps(), _CMP_GT_OQ);
  return (vector_t)_mm512_maskz_mov_ps(mask, (__m512)v);
#else
  return (vector_t)((mask_t)v & (mask_t)(x > (vector_t){0}));
#endif
}

/* x where it is positive, else 0: NaN becomes 0 in both this and the derivative. */
BM_INLINE vector_t rectified(vector_t x)
{
  return where_positive(x, x);
}

/* X for every height of a tile: one kernel each, with the height as a constant. */
#if BM_HEIGHT == 14
#define BM_EACH_HEIGHT(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#elif BM_HEIGHT == 6
#define BM_EACH_HEIGHT(X) X(1) X(2) X(3) X(4) X(5) X(6)
#elif BM_HEIGHT == 3
#define BM_EACH_HEIGHT(X) X(1) X(2) X(3)
#else
#define BM_EACH_HEIGHT(X) X(1)
#endif
#if BM_OUTER_HEIGHT == 8
#define BM_EACH_OUTER_HEIGHT(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
#else
#define BM_EACH_OUTER_HEIGHT(X) BM_EACH_HEIGHT(X)
#endif

/* Height of the next tile where `left` rows are left: all about as high, for low ones do not keep the
 * units busy. */
static size_t next_height(size_t left, size_t most)
{
  size_t tiles = (left + most - 1) / most;
  return (left + tiles - 1) / tiles;
}

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

/* --- tiny networks: rows in lanes for values, hidden units in lanes for sums over rows --------------- */

#define BM_GROUP 4 /* vectors of rows that share a load of the weights */

/* The hidden unit's weights: those of its inputs, its bias, those of the outputs. */
typedef struct {
  bm_real_t w1[BM_TINY], b1, w2[BM_TINY];
} tiny_unit_t;

BM_INLINE tiny_unit_t tiny_unit(size_t in, size_t out, const bm_kernel_tiny_t *t, size_t unit)
{
  tiny_unit_t weights = {{0}, t->b1[unit], {0}};
  for (size_t i = 0; i < in; i++) {
    weights.w1[i] = t->w1[i * t->hidden + unit];
  }
  for (size_t o = 0; o < out; o++) {
    weights.w2[o] = t->w2[unit * out + o];
  }
  return weights;
}

BM_INLINE vector_t before_relu(size_t in, const tiny_unit_t *unit, const vector_t x[BM_TINY])
{
  vector_t sum = all(unit->b1);
  for (size_t i = 0; i < in; i++) {
    sum += unit->w1[i] * x[i];
  }
  return sum;
}

BM_INLINE void tiny_rows_forward(size_t in, size_t out, size_t group, const bm_kernel_tiny_t *t,
                                 const bm_kernel_rows_t *rows, size_t row, bm_real_t *y)
{
  vector_t input[BM_GROUP][BM_TINY];
  vector_t sum[BM_GROUP][BM_TINY];
  for (size_t g = 0; g < group; g++) {
    for (size_t i = 0; i < in; i++) {
      input[g][i] = load(rows->x + i * rows->stride + row + g * BM_LANES);
    }
    for (size_t o = 0; o < out; o++) {
      sum[g][o] = all(t->b2[o]);
    }
  }
  for (size_t unit = 0; unit < t->hidden; unit++) {
    tiny_unit_t weights = tiny_unit(in, out, t, unit);
    BM_UNROLL(4)
    for (size_t g = 0; g < group; g++) {
      vector_t h = rectified(before_relu(in, &weights, input[g]));
      for (size_t o = 0; o < out; o++) {
        sum[g][o] += weights.w2[o] * h;
      }
    }
  }
  for (size_t g = 0; g < group; g++) {
    for (size_t o = 0; o < out; o++) {
      store(y + o * rows->stride + row + g * BM_LANES, sum[g][o]);
    }
  }
}

BM_INLINE void tiny_rows_backward(size_t in, size_t out, size_t group, const bm_kernel_tiny_t *t,
                                  const bm_kernel_rows_t *rows, size_t row, bm_real_t *dx)
{
  vector_t input[BM_GROUP][BM_TINY];
  vector_t adjoint[BM_GROUP][BM_TINY];
  vector_t sum[BM_GROUP][BM_TINY];
  for (size_t g = 0; g < group; g++) {
    for (size_t i = 0; i < in; i++) {
      input[g][i] = load(rows->x + i * rows->stride + row + g * BM_LANES);
      sum[g][i] = all(0);
    }
    for (size_t o = 0; o < out; o++) {
      adjoint[g][o] = load(rows->dy + o * rows->stride + row + g * BM_LANES);
    }
  }
  for (size_t unit = 0; unit < t->hidden; unit++) {
    tiny_unit_t weights = tiny_unit(in, out, t, unit);
    BM_UNROLL(4)
    for (size_t g = 0; g < group; g++) {
      vector_t d = weights.w2[0] * adjoint[g][0];
      if (out > 1) {
        d += weights.w2[1] * adjoint[g][1];
      }
      d = where_positive(before_relu(in, &weights, input[g]), d);
      for (size_t i = 0; i < in; i++) {
        sum[g][i] += weights.w1[i] * d;
      }
    }
  }
  for (size_t g = 0; g < group; g++) {
    for (size_t i = 0; i < in; i++) {
      store(dx + i * rows->stride + row + g * BM_LANES, sum[g][i]);
    }
  }
}

/* Calls with the numbers of inputs and outputs as constants. */
#define BM_OF_SIZES(t, function, ...)    \
  do {                                   \
    if ((t)->in == 1 && (t)->out == 1) { \
      function(1, 1, __VA_ARGS__);       \
    } else if ((t)->in == 1) {           \
      function(1, 2, __VA_ARGS__);       \
    } else if ((t)->out == 1) {          \
      function(2, 1, __VA_ARGS__);       \
    } else {                             \
      function(2, 2, __VA_ARGS__);       \
    }                                    \
  } while (0)

static void tiny_forward(const bm_kernel_tiny_t *t, const bm_kernel_rows_t *rows, bm_real_t *y)
{
  size_t i = 0;
  for (; i + BM_GROUP * BM_LANES <= rows->stride; i += BM_GROUP * BM_LANES) {
    BM_OF_SIZES(t, tiny_rows_forward, BM_GROUP, t, rows, i, y);
  }
  for (; i < rows->stride; i += BM_LANES) {
    BM_OF_SIZES(t, tiny_rows_forward, 1, t, rows, i, y);
  }
}

static void tiny_backward_input(const bm_kernel_tiny_t *t, const bm_kernel_rows_t *rows,
                                bm_real_t *dx)
{
  size_t i = 0;
  for (; i + BM_GROUP * BM_LANES <= rows->stride; i += BM_GROUP * BM_LANES) {
    BM_OF_SIZES(t, tiny_rows_backward, BM_GROUP, t, rows, i, dx);
  }
  for (; i < rows->stride; i += BM_LANES) {
    BM_OF_SIZES(t, tiny_rows_backward, 1, t, rows, i, dx);
  }
}

/* Weights of BM_LANES units, zero behind the last. */
BM_INLINE vector_t load_some(const bm_real_t *p, size_t step, size_t count)
{
  bm_real_t items[BM_LANES] = {0};
  if (count == BM_LANES && step == 1) {
    return load(p);
  }
  for (size_t l = 0; l < count; l++) {
    items[l] = p[l * step];
  }
  return load(items);
}

BM_INLINE void store_some(bm_real_t *p, size_t step, size_t count, vector_t v)
{
  bm_real_t items[BM_LANES];
  store(items, v);
  for (size_t l = 0; l < count; l++) {
    p[l * step] = items[l];
  }
}

/* A vector of hidden units: weights, and sums over rows, with m the derivative of ReLU: Σ m·dy_o and
 * Σ m·dy_o·x_i. */
typedef struct {
  vector_t w1[BM_TINY], b1, w2[BM_TINY];
  vector_t sum_dy[BM_TINY], sum_dyx[BM_TINY][BM_TINY];
} tiny_units_t;

BM_INLINE size_t units_left(const bm_kernel_tiny_t *t, size_t unit)
{
  return t->hidden - unit < BM_LANES ? t->hidden - unit : BM_LANES;
}

BM_INLINE void load_units(size_t in, size_t out, const bm_kernel_tiny_t *t, size_t unit,
                          tiny_units_t *u)
{
  const size_t count = units_left(t, unit);
  u->b1 = load_some(t->b1 + unit, 1, count);
  for (size_t i = 0; i < in; i++) {
    u->w1[i] = load_some(t->w1 + i * t->hidden + unit, 1, count);
  }
  for (size_t o = 0; o < out; o++) {
    u->w2[o] = load_some(t->w2 + unit * out + o, out, count);
    u->sum_dy[o] = all(0);
    for (size_t i = 0; i < in; i++) {
      u->sum_dyx[o][i] = all(0);
    }
  }
}

/* All gradients follow from the sums: of b1 Σ_o w2_o·Σ m·dy_o, of w1_i Σ_o w2_o·Σ m·dy_o·x_i, and of w2_o
 * Σ_i w1_i·Σ m·dy_o·x_i + b1·Σ m·dy_o. */
BM_INLINE void store_units(size_t in, size_t out, const bm_kernel_tiny_t *t, size_t unit,
                           const tiny_units_t *u, bm_real_t *gradient)
{
  const size_t count = units_left(t, unit);
  vector_t db1 = u->w2[0] * u->sum_dy[0];
  if (out > 1) {
    db1 += u->w2[1] * u->sum_dy[1];
  }
  store_some(gradient + in * t->hidden + unit, 1, count, db1);
  for (size_t i = 0; i < in; i++) {
    vector_t dw1 = u->w2[0] * u->sum_dyx[0][i];
    if (out > 1) {
      dw1 += u->w2[1] * u->sum_dyx[1][i];
    }
    store_some(gradient + i * t->hidden + unit, 1, count, dw1);
  }
  for (size_t o = 0; o < out; o++) {
    vector_t dw2 = u->b1 * u->sum_dy[o];
    for (size_t i = 0; i < in; i++) {
      dw2 += u->w1[i] * u->sum_dyx[o][i];
    }
    store_some(gradient + (in + 1) * t->hidden + unit * out + o, out, count, dw2);
  }
}

/* `group` vectors of units from `unit` on: several, or additions would wait for each other. */
BM_INLINE void tiny_units_backward(size_t in, size_t out, size_t group, const bm_kernel_tiny_t *t,
                                   size_t unit, const bm_kernel_rows_t *rows, size_t first,
                                   size_t end, bm_real_t *gradient)
{
  tiny_units_t units[BM_GROUP];
  for (size_t g = 0; g < group; g++) {
    load_units(in, out, t, unit + g * BM_LANES, &units[g]);
  }
  for (size_t row = first; row < end; row++) {
    BM_UNROLL(4)
    for (size_t g = 0; g < group; g++) {
      tiny_units_t *u = &units[g];
      vector_t h = u->b1;
      for (size_t i = 0; i < in; i++) {
        h += u->w1[i] * rows->x[i * rows->stride + row];
      }
      for (size_t o = 0; o < out; o++) {
        vector_t dy = where_positive(h, all(rows->dy[o * rows->stride + row]));
        u->sum_dy[o] += dy;
        for (size_t i = 0; i < in; i++) {
          u->sum_dyx[o][i] += dy * rows->x[i * rows->stride + row];
        }
      }
    }
  }
  for (size_t g = 0; g < group; g++) {
    store_units(in, out, t, unit + g * BM_LANES, &units[g], gradient);
  }
}

static void tiny_backward_parameters(const bm_kernel_tiny_t *t, const bm_kernel_rows_t *rows,
                                     size_t first, size_t end, bm_real_t *gradient)
{
  const size_t group = BM_VECTORS == 1 ? BM_GROUP : 2; /* as many as the registers hold */
  size_t unit = 0;
  for (; unit + group * BM_LANES <= t->hidden; unit += group * BM_LANES) {
    BM_OF_SIZES(t, tiny_units_backward, group, t, unit, rows, first, end, gradient);
  }
  for (; unit < t->hidden; unit += BM_LANES) {
    BM_OF_SIZES(t, tiny_units_backward, 1, t, unit, rows, first, end, gradient);
  }
}

/* --- the scale of a coupling -------------------------------------------------------------------- */

#ifdef BM_REAL_IS_DOUBLE

static void bound(size_t n, double cap, bm_real_t *s)
{
  for (size_t i = 0; i < n; i++) {
    s[i] = cap * tanh(s[i] / cap);
  }
}

static void exponential(size_t n, int minus, const bm_real_t *s, bm_real_t *e)
{
  for (size_t i = 0; i < n; i++) {
    e[i] = exp(minus ? -s[i] : s[i]);
  }
}

#else

/* e^x for |x| ≤ 80: x = k·log 2 + r with |r| ≤ log(2)/2, Taylor's series of e^r (rest 5e-9), and k in the
 * exponent. */
BM_INLINE vector_t exp_of(vector_t x)
{
  const float shift = 12582912.0f; /* 1.5·2^23: rounds what is added to it */
  vector_t k = x * 1.44269504f + shift;
  mask_t exponent = (mask_t)k << 23;
  k -= shift;
  vector_t r = x - k * 0.693145752f - k * 1.42860677e-6f; /* log 2 in two parts */
  vector_t e = r * (1.0f / 5040) + 1.0f / 720;
  e = e * r + 1.0f / 120;
  e = e * r + 1.0f / 24;
  e = e * r + 1.0f / 6;
  e = e * r + 0.5f;
  e = e * r + 1.0f;
  e = e * r + 1.0f;
  return (vector_t)((mask_t)e + exponent);
}

/* tanh: near 0 by a polynomial in x² (least relative error, 5e-9, up to |x| = 0.625), beyond by e^2x. */
BM_INLINE vector_t tanh_of(vector_t x)
{
  vector_t u = x * x;
  vector_t p = u * -0.00571704474f + 0.02065058701f;
  p = p * u - 0.05374349799f;
  p = p * u + 0.13331491286f;
  p = p * u - 0.33333283925f;
  vector_t near = x * u * p + x;
  vector_t size = (vector_t)((mask_t)x & 0x7fffffff);
  mask_t sign = (mask_t)x ^ (mask_t)size;
  vector_t least = (vector_t)((mask_t)(size < 9.5f)); /* beyond, tanh is 1 in float32 */
  vector_t far = 1.0f - 2.0f / (exp_of((vector_t)((mask_t)(2.0f * size) & (mask_t)least)) + 1.0f);
  far = (vector_t)(((mask_t)far & (mask_t)least) | ((mask_t)all(1.0f) & ~(mask_t)least));
  far = (vector_t)((mask_t)far | sign);
  mask_t is_near = (mask_t)(size < 0.625f) | (mask_t)(x != x); /* NaN stays NaN */
  return (vector_t)(((mask_t)near & is_near) | ((mask_t)far & ~is_near));
}

BM_INLINE vector_t bounded(vector_t s, float cap)
{
  return cap * tanh_of(s / cap);
}

static void bound(size_t n, double cap, bm_real_t *s)
{
  for (size_t i = 0; i < n; i += BM_LANES) {
    size_t count = n - i < BM_LANES ? n - i : BM_LANES;
    if (count == BM_LANES) {
      store(s + i, bounded(load(s + i), (float)cap));
    } else {
      store_some(s + i, 1, count, bounded(load_some(s + i, 1, count), (float)cap));
    }
  }
}

static void exponential(size_t n, int minus, const bm_real_t *s, bm_real_t *e)
{
  const float sign = minus ? -1.0f : 1.0f;
  for (size_t i = 0; i < n; i += BM_LANES) {
    size_t count = n - i < BM_LANES ? n - i : BM_LANES;
    if (count == BM_LANES) {
      store(e + i, exp_of(sign * load(s + i)));
    } else {
      store_some(e + i, 1, count, exp_of(sign * load_some(s + i, 1, count)));
    }
  }
}

#endif

#define BM_KERNELS(symbol, text, test)                                               \
  const bm_kernels_t symbol = {.name = text,                                         \
                               .runs_here = test,                                    \
                               .fast = BM_VECTOR_BYTES >= 32,                        \
                               .panel = BM_PANEL,                                    \
                               .pack = pack,                                         \
                               .pack_transposed = pack_transposed,                   \
                               .transpose = transpose,                               \
                               .product = product,                                   \
                               .outer = outer,                                       \
                               .narrow = narrow,                                     \
                               .tiny_forward = tiny_forward,                         \
                               .tiny_backward_input = tiny_backward_input,           \
                               .tiny_backward_parameters = tiny_backward_parameters, \
                               .bound = bound,                                       \
                               .exponential = exponential}

#endif
