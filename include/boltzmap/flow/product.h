#ifndef BOLTZMAP_FLOW_PRODUCT_H
#define BOLTZMAP_FLOW_PRODUCT_H

/* Matrix products of dense layers, in vector registers. Every element of a result is one chain of
 * multiply-adds in the order of the inner index, or of the rows of a shard, whatever tile it falls
 * into; where b has fewer columns than a tile, it is a chain in every lane of two vectors, added up
 * at the end. Its bits depend neither on how many rows there are nor on what lies beside it, but on
 * the width of the vectors, a choice of the build. Matrices are row-major without gaps and may lie
 * at any address. Pure arithmetic: no allocation. */

#include <stddef.h>

#include "boltzmap/base/real.h"

/* Consecutive shards of a batch: shard s holds rows [offset[s], offset[s + 1]). A shard may be empty. */
typedef struct {
  size_t count;
  const size_t *offset; /* [count + 1], offset[0] = 0 */
} bm_shards_t;

/* c = a·op(b), with the bias added and negative elements then set to zero where asked. */
typedef struct {
  size_t rows, n, k;
  const bm_real_t *a; /* [rows][k] */
  const bm_real_t *b; /* [k][n], or [n][k] where b_transposed */
  int b_transposed;
  const bm_real_t *bias; /* [n] or NULL */
  int relu;
  bm_real_t *c; /* [rows][n] */
} bm_product_t;

/* The kernels of this build, which bits of results depend on, as "512-bit vectors of float32". */
const char *bm_product_kernel(void);

/* `scratch` has room for k·n items. */
void bm_product(const bm_product_t *product, bm_real_t *scratch);

/* c = a^T·b summed over the rows of each shard, and over shards in the order of the tree
 * (base/tree.h). */
typedef struct {
  const bm_shards_t *shards;
  size_t m, n;
  const bm_real_t *a; /* [rows][m] */
  const bm_real_t *b; /* [rows][n] */
  bm_real_t *c;       /* [m][n] */
} bm_outer_product_t;

/* Items of scratch for bm_outer_product. */
size_t bm_outer_product_scratch(size_t m, size_t n, size_t shards);
void bm_outer_product(const bm_outer_product_t *product, bm_real_t *scratch);

#endif
