#ifndef BOLTZMAP_FLOW_DENSE_H
#define BOLTZMAP_FLOW_DENSE_H

/* Dense layers y = act(x·W + b) on batches cut into shards. A row's numbers do not depend on other rows,
 * and sums over rows are made shard by shard, then over shards in the order of the fixed tree
 * (base/tree.h), so that results do not depend on how shards are dealt out. Pure arithmetic: no
 * allocation. */

#include <stddef.h>

#include "boltzmap/base/real.h"
#include "boltzmap/base/status.h"
#include "boltzmap/flow/product.h"

typedef enum { BM_LINEAR, BM_RELU, BM_TANH } bm_activation_t;

/* Names for the deck, without "linear"; index 0 is BM_RELU. Ended by NULL. */
extern const char *const bm_activation_names[];
/* The activation of that name; BM_ERR_DATA where there is none. */
bm_status_t bm_activation_find(const char *name, bm_activation_t *activation);
const char *bm_activation_name(bm_activation_t activation);

typedef struct {
  size_t in, out;
  const bm_real_t *weights; /* [in][out] */
  const bm_real_t *bias;    /* [out] */
  bm_activation_t activation;
} bm_dense_t;

/* Parameters of a layer: in·out + out. */
size_t bm_dense_parameter_count(size_t in, size_t out);

/* Items of scratch that the functions below need for `shards` shards. */
size_t bm_dense_scratch(size_t in, size_t out, size_t shards);

void bm_dense_forward(const bm_dense_t *dense, const bm_shards_t *shards,
                      const bm_real_t *x /* [rows][in] */, bm_real_t *y /* [rows][out] */,
                      bm_real_t *scratch);

/* From dy, the gradient with respect to y, to that of the pre-activation, in place. */
void bm_dense_backward_activation(const bm_dense_t *dense, size_t rows,
                                  const bm_real_t *y /* [rows][out] */,
                                  bm_real_t *dy /* [rows][out] */);

/* Gradient with respect to x; dy is that of the pre-activation. */
void bm_dense_backward_input(const bm_dense_t *dense, const bm_shards_t *shards,
                             const bm_real_t *dy /* [rows][out] */, bm_real_t *dx /* [rows][in] */,
                             bm_real_t *scratch);

/* Gradient with respect to the parameters, weights then bias, summed over rows and shards; written, not
 * added. */
void bm_dense_backward_parameters(const bm_dense_t *dense, const bm_shards_t *shards,
                                  const bm_real_t *x /* [rows][in] */,
                                  const bm_real_t *dy /* [rows][out] */,
                                  bm_real_t *gradient /* [in·out + out] */, bm_real_t *scratch);

#endif
