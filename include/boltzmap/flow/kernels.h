/* Kernels of coupling networks, in vector registers: one source (kernels_body.h) compiled for several
 * instruction sets, of which the best that the processor has is chosen at start.
 *
 * Hidden units lie in blocks of BM_BLOCK: item (row, unit) of a blocked matrix of `rows` rows is
 *   at[(unit / BM_BLOCK)·rows·BM_BLOCK + row·BM_BLOCK + unit % BM_BLOCK],
 * and units that fill up the last block are zero. A forward product, the gradient of its inputs and that
 * of its weights all read such matrices as they are. Every element of a product is one chain of
 * multiply-adds in the order of the inner index, or of the rows of a shard, whatever tile it falls into,
 * so that its bits depend neither on the tile nor on the width of the vectors, but on whether the
 * instruction set has fused multiply-adds. */

#ifndef BOLTZMAP_FLOW_KERNELS_H
#define BOLTZMAP_FLOW_KERNELS_H

#include <stddef.h>

#include "boltzmap/base/real.h"
#include "boltzmap/flow/shards.h"

#define BM_BLOCK 16
#define BM_NARROW 8 /* the most outputs that are dot products rather than columns of a tile */
#define BM_TINY 2   /* the most inputs and outputs where hidden units stay in registers */

/* c = act(a·b + bias), or c = (a·b)·act'(h) going backward. */
typedef struct {
  size_t rows, inner, blocks; /* blocks: of the result */
  const bm_real_t *a;         /* blocked [rows][inner] */
  const bm_real_t *panels;    /* b, as pack or pack_transposed leave it */
  const bm_real_t *bias;      /* [blocks·BM_BLOCK], or NULL */
  int relu;
  const bm_real_t *positive; /* blocked like c: c is zero where this is not positive; or NULL */
  bm_real_t *c;              /* blocked [rows][blocks·BM_BLOCK] */
} bm_kernel_product_t;

/* c[m][n] = a^T·b summed over the rows of each shard, and over shards in the order of the tree
 * (base/tree.h). */
typedef struct {
  const bm_shards_t *shards;
  size_t m, n;
  const bm_real_t *a; /* blocked [rows][m] */
  const bm_real_t *b; /* blocked [rows][n] */
  bm_real_t *c;       /* [m][stride] */
  size_t stride;
} bm_kernel_outer_t;

/* y[row][o] = Σ_unit a(row, unit)·w[o][unit] + bias[o] for few o: sums in BM_BLOCK lanes over the blocks,
 * the lanes added pairwise. */
typedef struct {
  size_t rows, blocks, outputs;
  const bm_real_t *a;    /* blocked [rows][blocks·BM_BLOCK] */
  const bm_real_t *w;    /* [outputs][blocks·BM_BLOCK] */
  const bm_real_t *bias; /* [outputs], or NULL */
  bm_real_t *y;          /* [rows][outputs] */
} bm_kernel_narrow_t;

/* A network of one hidden layer with ReLU and at most BM_TINY inputs and outputs. */
typedef struct {
  size_t in, hidden, out;
  const bm_real_t *w1, *b1; /* [in][hidden], [hidden] */
  const bm_real_t *w2, *b2; /* [hidden][out], [out] */
} bm_kernel_tiny_t;

/* Its rows lie in lanes: x and dx [in][stride], y and dy [out][stride]; `stride` is a multiple of
 * BM_BLOCK, with whatever numbers behind the last row. */
typedef struct {
  size_t stride;
  const bm_real_t *x, *dy;
} bm_kernel_rows_t;

typedef struct {
  const char *name;
  int (*runs_here)(void); /* has this processor the instructions? */
  int fast;               /* fused multiply-adds in vectors of 256 bits or more */
  size_t panel;           /* units of a panel, whole blocks */

  /* Columns of b [k][n] as panels [⌈n/panel⌉][k][panel], zeros behind the last; pack_transposed: those
   * of b^T, for b [n][k]. */
  void (*pack)(size_t k, size_t n, const bm_real_t *b, bm_real_t *panels);
  void (*pack_transposed)(size_t k, size_t n, const bm_real_t *b, bm_real_t *panels);
  /* to[j·to_stride + i] = from[i·from_stride + j], i < rows, j < columns */
  void (*transpose)(size_t rows, size_t columns, const bm_real_t *from, size_t from_stride,
                    bm_real_t *to, size_t to_stride);

  void (*product)(const bm_kernel_product_t *product);
  /* `scratch` has room for a tile (BM_KERNEL_TILE) for each level of the tree, and two more. */
  void (*outer)(const bm_kernel_outer_t *outer, bm_real_t *scratch);
  void (*narrow)(const bm_kernel_narrow_t *narrow);

  void (*tiny_forward)(const bm_kernel_tiny_t *tiny, const bm_kernel_rows_t *rows, bm_real_t *y);
  void (*tiny_backward_input)(const bm_kernel_tiny_t *tiny, const bm_kernel_rows_t *rows,
                              bm_real_t *dx);
  /* Gradient of w1, b1 and w2, in this order, over rows [first, end). */
  void (*tiny_backward_parameters)(const bm_kernel_tiny_t *tiny, const bm_kernel_rows_t *rows,
                                   size_t first, size_t end,
                                   bm_real_t *gradient /* [in·hidden + hidden + hidden·out] */);

  /* s = cap·tanh(s/cap) and e = exp(±s), to a few units in the last place (|s| ≤ 80). */
  void (*bound)(size_t n, double cap, bm_real_t *s);
  void (*exponential)(size_t n, int minus, const bm_real_t *s, bm_real_t *e);
} bm_kernels_t;

#define BM_KERNEL_TILE 512 /* items of the largest tile of an outer product */

extern const bm_kernels_t bm_kernels_generic;
#if defined(__x86_64__)
extern const bm_kernels_t bm_kernels_v3, bm_kernels_v4;
#endif

/* All of this build, the best first, ended by NULL. */
extern const bm_kernels_t *const bm_kernels_table[];

/* The first of them that runs here. */
const bm_kernels_t *bm_kernels_best(void);

#endif
