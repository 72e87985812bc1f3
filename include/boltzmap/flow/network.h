#ifndef BOLTZMAP_FLOW_NETWORK_H
#define BOLTZMAP_FLOW_NETWORK_H

/* Conditioner networks: dense layers y = act(x·W + b) with one activation behind each hidden one and a
 * linear output. A network is a view on a stretch of a flat parameter buffer, layer after layer, weights
 * [in][out] then bias.
 *
 * How they are computed is a back end, one file and one row of bm_network_table each: the same functions
 * and the same order of shards (flow/shards.h), with roundings and speed of its own. Pure arithmetic: no
 * allocation. */

#include <stddef.h>

#include "boltzmap/base/real.h"
#include "boltzmap/base/status.h"
#include "boltzmap/flow/shards.h"

#define BM_HIDDEN_MAX 8

typedef enum { BM_RELU, BM_TANH } bm_activation_t;

/* Names for the deck, in the order of bm_activation_t. Ended by NULL. */
extern const char *const bm_activation_names[];
/* The activation of that name; BM_ERR_DATA where there is none. */
bm_status_t bm_activation_find(const char *name, bm_activation_t *activation);

typedef struct {
  size_t in, out;
  size_t hidden_count;          /* 1…BM_HIDDEN_MAX */
  size_t hidden[BM_HIDDEN_MAX]; /* widths */
  bm_activation_t activation;   /* of hidden layers */
} bm_network_shape_t;

/* Width of what goes into dense layer l and of what comes out; layers 0…hidden_count. */
size_t bm_network_width_in(const bm_network_shape_t *shape, size_t l);
size_t bm_network_width_out(const bm_network_shape_t *shape, size_t l);

/* Parameters of a dense layer, in·out + out, and of a network of this shape. */
size_t bm_dense_parameter_count(size_t in, size_t out);
size_t bm_network_parameter_count(const bm_network_shape_t *shape);

/* A view on the parameters of dense layer l, which begin at `parameters`. */
typedef struct {
  size_t in, out;
  const bm_real_t *weights; /* [in][out] */
  const bm_real_t *bias;    /* [out] */
} bm_dense_t;
bm_dense_t bm_network_layer(const bm_network_shape_t *shape, size_t l, const bm_real_t *parameters);

/* A network on a batch. */
typedef struct {
  const bm_network_shape_t *shape;
  const bm_real_t *parameters;
  const bm_real_t *packed; /* the same as `pack` left them, for forward passes; or NULL */
  const bm_shards_t *shards;
  const bm_real_t *x; /* [rows][in] */
  bm_real_t *cache;   /* what the backward pass needs of the forward pass */
  bm_real_t *scratch; /* of any pass */
} bm_network_pass_t;

typedef struct bm_network_ops {
  const char *name;

  /* Is it the fastest for networks of this shape on this processor, by the rule in its file? */
  int (*suits)(const bm_network_shape_t *shape);

  /* What bits of its results depend on besides its name, as "x86-64-v4, float32". */
  const char *(*kernel)(void);

  /* Items of cache and of scratch for batches of at most `rows` rows in at most `shards` shards. */
  size_t (*cache)(const bm_network_shape_t *shape, size_t rows);
  size_t (*scratch)(const bm_network_shape_t *shape, size_t rows, size_t shards);

  /* Items of parameters in the order that forward passes read them in, 0 where that is their own; to put
   * them so is worth while where many batches follow. */
  size_t (*packed)(const bm_network_shape_t *shape);
  void (*pack)(const bm_network_shape_t *shape, const bm_real_t *parameters, bm_real_t *packed);

  /* y = network(x). */
  void (*forward)(const bm_network_pass_t *pass, bm_real_t *y /* [rows][out] */);

  /* From dy to dx and, where `gradient` is not NULL, to the gradient of the parameters, summed over rows
   * and shards; both are written, not added. dy is used up. */
  void (*backward)(const bm_network_pass_t *pass, bm_real_t *dy /* [rows][out] */,
                   bm_real_t *dx /* [rows][in] */, bm_real_t *gradient);

  /* The scale of couplings: s = cap·tanh(s/cap), and e = exp(s) or, with `minus`, exp(-s). */
  void (*bound)(size_t n, double cap, bm_real_t *s);
  void (*exponential)(size_t n, int minus, const bm_real_t *s, bm_real_t *e);
} bm_network_ops_t;

/* All back ends, in the order in which they are asked whether they suit: bm_network_<row> is defined in a
 * file of its own. */
#define BM_NETWORK_TABLE(X) X(fused, "fused") X(openblas, "openblas")

#define BM_NETWORK_ROW(row, name) extern const bm_network_ops_t bm_network_##row;
BM_NETWORK_TABLE(BM_NETWORK_ROW)
#undef BM_NETWORK_ROW

extern const bm_network_ops_t *const bm_network_table[]; /* ended by NULL */

/* For the deck: "auto", then the names of the table. Ended by NULL. */
extern const char *const bm_network_names[];

/* The back end of that name, NULL where there is none. */
const bm_network_ops_t *bm_network_find(const char *name);

/* All back ends and what their bits depend on here, as "float32: fused (x86-64-v4), openblas (SkylakeX)". */
const char *bm_network_kernels(void);

/* The first that suits: a rule of shape and processor, which asks neither a clock nor how many ranks there
 * are. */
const bm_network_ops_t *bm_network_choose(const bm_network_shape_t *shape);

#endif
