#ifndef BOLTZMAP_TRAIN_FLOP_RATE_H
#define BOLTZMAP_TRAIN_FLOP_RATE_H

/* How fast training could go: the arithmetic of a training sample, and the rate at which OpenBLAS does
 * the same matrix products, measured on this machine and now. Training speed as a fraction of it:
 *   samples_per_s · bm_flop_training_per_sample(shape) / rate of bm_flop_sgemm_rate. */

#include <stddef.h>

#include "boltzmap/base/status.h"
#include "boltzmap/flow/flow.h"
#include "boltzmap/parallel/context.h"

/* The products that a dense layer of `in` inputs and `out` outputs costs in training, each of
 * 2·rows·in·out operations. */
typedef enum {
  BM_PRODUCT_FORWARD, /* [rows][in]·[in][out] */
  BM_PRODUCT_DATA,    /* [rows][out]·[in][out]^T, the gradient of the inputs */
  BM_PRODUCT_WEIGHTS, /* [rows][in]^T·[rows][out], the gradient of the weights */
  BM_PRODUCTS
} bm_flop_product_t;

/* Operations a second of one rank: least, mean and greatest over the ranks of a context. */
typedef struct {
  double min, mean, max;
} bm_flop_rates_t;

/* Processor seconds of this process, which is what rates are measured in: neighbours on a busy machine
 * must not make the peer look slow. */
double bm_flop_clock(void);

/* Floating-point operations of the dense products of one training sample, inverse pass and backward
 * pass: 6·in·out for each dense layer of each network (2 for each of bm_flop_product_t; a multiply-add is
 * two). The input gradient of the first layers counts, for it is computed. What is not a product
 * (biases, activations, couplings, Adam) is not counted, so that a rate from this number errs on the
 * low side. */
double bm_flop_training_per_sample(const bm_flow_shape_t *shape);

/* The same for one generated sample: 2·in·out a dense layer. */
double bm_flop_generation_per_sample(const bm_flow_shape_t *shape);

/* Peak rate of a core, in operations of bm_real_t: multiply-adds on registers of the widest vectors that
 * the program is compiled for, enough of them in flight to fill the units; nothing is loaded or stored.
 * All ranks measure at once, for about `seconds`, and the fastest of many repeats counts. BM_ERR_INTERNAL.
 * Collective. */
bm_status_t bm_flop_peak_rate(const bm_context_t *context, double seconds, bm_flop_rates_t *rates);

/* Rate of OpenBLAS's own gemm, in the precision of bm_real_t and with one thread a rank, for one
 * product of a dense layer on `rows` rows; all ranks measure at once, for about `seconds`, and the
 * fastest of many repeats counts. Operands stay in the cache between calls, which training cannot have.
 * BM_ERR_MEMORY. Collective. */
bm_status_t bm_flop_product_rate(const bm_context_t *context, bm_flop_product_t product, size_t in,
                                 size_t out, size_t rows, double seconds, bm_flop_rates_t *rates);

/* The same for all products of training this flow on `rows` rows at a time (those of a shard), each
 * weighted with its share of the operations: the rate of a program that does nothing but these calls.
 * BM_ERR_MEMORY. Collective. */
bm_status_t bm_flop_products_rate(const bm_context_t *context, const bm_flow_shape_t *shape,
                                  size_t rows, double seconds, bm_flop_rates_t *rates);

/* That rate, operations a second of all ranks together, measured in about half a second. BM_ERR_MEMORY.
 * Collective. */
bm_status_t bm_flop_sgemm_rate(const bm_context_t *context, const bm_flow_shape_t *shape,
                               size_t rows, double *rate);

#endif
