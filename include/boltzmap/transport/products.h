#ifndef BOLTZMAP_TRANSPORT_PRODUCTS_H
#define BOLTZMAP_TRANSPORT_PRODUCTS_H

/* Kernel of the pricing: a few points against a block of others, in float32. */

#include <stddef.h>

#define BM_PANEL_BLOCK 64 /* points of a block */
#define BM_PANEL_GROUP 6  /* points that are compared with it at a time */
#define BM_PANEL_CHUNK 48 /* points whose coordinates lie together; whole groups */

/* Columns that lie together in a block: [BM_PANEL_BLOCK / BM_PANEL_WIDTH][d][BM_PANEL_WIDTH]. */
#if defined(__AVX512F__)
#define BM_PANEL_WIDTH 64
#elif defined(__AVX__)
#define BM_PANEL_WIDTH 16
#else
#define BM_PANEL_WIDTH 8
#endif

typedef struct {
  size_t d;
  const float *rows;   /* [d][BM_PANEL_CHUNK], from the first of the group */
  const float *lift;   /* [BM_PANEL_GROUP] */
  const float *block;  /* a block's panels */
  const float *offset; /* [BM_PANEL_BLOCK] */
} bm_products_t;

/* values[r][c] = x_r · y_c - offset_c - lift_r. Gives 0, with values undefined, where all are
 * negative. */
int bm_products(const bm_products_t *p, float *values /* [BM_PANEL_GROUP][BM_PANEL_BLOCK] */);

/* values[r][c] = -|x_r - y_c|²/2 - offset_c - lift_r, differences wrapped to [-1/2, 1/2]. */
int bm_products_torus(const bm_products_t *p, float *values /* [BM_PANEL_GROUP][BM_PANEL_BLOCK] */);

/* Bit c is set where values[c] is not negative. */
unsigned long long bm_products_hits(const float *values /* [BM_PANEL_BLOCK] */);

#endif
