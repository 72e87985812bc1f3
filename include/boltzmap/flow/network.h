#ifndef BOLTZMAP_FLOW_NETWORK_H
#define BOLTZMAP_FLOW_NETWORK_H

/* Conditioner networks: dense layers with one activation behind each hidden one and a linear output. A
 * network is a view on a stretch of a flat parameter buffer, layer after layer, weights [in][out] then
 * bias. Pure arithmetic: no allocation. */

#include <stddef.h>

#include "boltzmap/base/real.h"
#include "boltzmap/flow/dense.h"

#define BM_HIDDEN_MAX 8

typedef struct {
  size_t in, out;
  size_t hidden_count;          /* 1…BM_HIDDEN_MAX */
  size_t hidden[BM_HIDDEN_MAX]; /* widths */
  bm_activation_t activation;   /* of hidden layers */
} bm_network_shape_t;

/* Width of what goes into dense layer l and of what comes out; layers 0…hidden_count. */
size_t bm_network_width_in(const bm_network_shape_t *shape, size_t l);
size_t bm_network_width_out(const bm_network_shape_t *shape, size_t l);

/* Parameters of a network of this shape. */
size_t bm_network_parameter_count(const bm_network_shape_t *shape);

/* Hidden activations kept for the backward pass, items a row. */
size_t bm_network_cache(const bm_network_shape_t *shape);

/* Scratch items for batches of at most `rows` rows in `shards` shards. */
size_t bm_network_scratch(const bm_network_shape_t *shape, size_t rows, size_t shards);

/* y = network(x); `cache` keeps the hidden activations. */
void bm_network_forward(const bm_network_shape_t *shape, const bm_real_t *parameters,
                        const bm_shards_t *shards, const bm_real_t *x /* [rows][in] */,
                        bm_real_t *y /* [rows][out] */, bm_real_t *cache, bm_real_t *scratch);

/* From dy to dx (written over) and, where `gradient` is not NULL, to the parameters' gradient
 * (written over). dy is used up. */
void bm_network_backward(const bm_network_shape_t *shape, const bm_real_t *parameters,
                         const bm_shards_t *shards, const bm_real_t *x, const bm_real_t *cache,
                         bm_real_t *dy, bm_real_t *dx /* [rows][in] */, bm_real_t *gradient,
                         bm_real_t *scratch);

#endif
