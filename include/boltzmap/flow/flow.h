#ifndef BOLTZMAP_FLOW_FLOW_H
#define BOLTZMAP_FLOW_FLOW_H

/* RealNVP (Dinh, Sohl-Dickstein, Bengio 2017; paper section 4). F maps base points x to data points
 * y through coupling layers k = 0…layers-1. With d_a = floor(d/2), even layers keep columns
 * [0, d_a) and transform [d_a, d), odd ones the other way round:
 *   y_b = x_b·exp(s(x_a)) + t(x_a),   s = cap·tanh(raw_s/cap),
 * with separate networks for s and t. log|det J_F| is the sum of all s.
 *
 * All parameters lie in one flat buffer: layer after layer, network s then t.
 *
 * A pass works on a batch cut into shards (flow/shards.h) and keeps in a workspace what its backward
 * pass needs. Both directions have gradients with respect to parameters and inputs. Functions are
 * local arithmetic without communication; nothing is allocated in a pass. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/real.h"
#include "boltzmap/base/status.h"
#include "boltzmap/flow/network.h"

#define BM_SCALE_CAP_MAX 80.0 /* e^80 is a number in float32 */

typedef struct {
  size_t d;                     /* ≥ 2 */
  size_t layers;                /* coupling layers */
  size_t hidden_count;          /* hidden layers of each network */
  size_t hidden[BM_HIDDEN_MAX]; /* their widths */
  bm_activation_t activation;
  double scale_cap;                /* bound on |s|, at most BM_SCALE_CAP_MAX */
  const bm_network_ops_t *backend; /* NULL: that of bm_network_choose */
} bm_flow_shape_t;

typedef struct bm_flow bm_flow_t;
typedef struct bm_flow_workspace bm_flow_workspace_t;

/* A flow with zero parameters; bm_flow_initialise makes it trainable. Owned by the caller. */
bm_status_t bm_flow_create(const bm_flow_shape_t *shape, bm_flow_t **out);
void bm_flow_destroy(bm_flow_t **flow);

/* Its shape, with its back end. */
const bm_flow_shape_t *bm_flow_shape(const bm_flow_t *flow);
size_t bm_flow_parameter_count(const bm_flow_t *flow);

/* The same for a flow that was not made. */
size_t bm_flow_shape_parameters(const bm_flow_shape_t *shape);

/* The paper's count: networks of full width d in and out with a mask, most of whose weights are dead. */
size_t bm_flow_masked_equivalent(const bm_flow_shape_t *shape);

/* The back end that a flow of this shape has. */
const bm_network_ops_t *bm_flow_backend(const bm_flow_shape_t *shape);

/* Shape of the two networks of coupling layer k. */
bm_network_shape_t bm_flow_conditioner(const bm_flow_shape_t *shape, size_t k);

/* The flat buffer, owned by the flow unless it has borrowed another. */
bm_real_t *bm_flow_parameters(bm_flow_t *flow);

/* Have the flow read its parameters from `parameters` [parameter count], which the caller owns and fills,
 * and which must live until the flow gives them back: with NULL it returns to memory of its own, into
 * which the present values are copied. */
void bm_flow_borrow(bm_flow_t *flow, bm_real_t *parameters);

/* Where a backward pass leaves dL/dθ, and who is told as it goes on. */
typedef struct {
  bm_real_t *gradient; /* [parameter count], written over */
  /* The gradient of `count` parameters from `first` on, those of a coupling layer, is final. Called
   * once for each layer, in the order of the pass. NULL: nobody is told. */
  void (*ready)(void *self, size_t first, size_t count);
  void *self;
} bm_gradient_sink_t;

/* Normal weights of variance 2/in (He) before ReLU, 1/in otherwise; those of output layers have a
 * hundredth of that standard deviation, so that the first map is near the identity; biases 0. A
 * function of the seed alone. */
void bm_flow_initialise(bm_flow_t *flow, uint64_t seed);

/* Room for batches of at most `rows` rows in at most `shards` shards. */
bm_status_t bm_flow_workspace_create(const bm_flow_t *flow, size_t rows, size_t shards,
                                     bm_flow_workspace_t **out);

/* The same for bm_flow_forward and bm_flow_inverse alone, of a flow whose parameters no longer change: they
 * are packed once, in the order in which products read them, and activations of one layer take the place
 * of those of another. */
bm_status_t bm_flow_workspace_freeze(const bm_flow_t *flow, size_t rows, size_t shards,
                                     bm_flow_workspace_t **out);
/* Bytes that it takes, about. */
double bm_flow_workspace_bytes(const bm_flow_shape_t *shape, size_t rows, size_t shards);
void bm_flow_workspace_destroy(bm_flow_workspace_t **workspace);

/* y = F(x) and log|det J_F(x)|. y may be x. */
void bm_flow_forward(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                     const bm_shards_t *shards, const bm_real_t *x /* [rows][d] */,
                     bm_real_t *y /* [rows][d] */, double *log_det /* [rows] */);

/* What the first `layers` layers made of x in the last bm_flow_forward on this workspace, which must not be frozen. */
void bm_flow_stage(const bm_flow_t *flow, const bm_flow_workspace_t *workspace, size_t rows,
                   size_t layers, bm_real_t *y /* [rows][d] */);

/* x = F^-1(y) and log|det J_F(x)| at that x. x may be y. */
void bm_flow_inverse(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                     const bm_shards_t *shards, const bm_real_t *y /* [rows][d] */,
                     bm_real_t *x /* [rows][d] */, double *log_det /* [rows] */);

/* Backward of the last bm_flow_forward on this workspace. `adjoint` holds dL/dy on entry and dL/dx on
 * return; `d_log_det` is dL/d(log_det). `sink`, where not NULL, gets dL/dθ summed over the batch
 * in the order of the tree. */
void bm_flow_forward_backward(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                              const bm_shards_t *shards, bm_real_t *adjoint /* [rows][d] */,
                              const bm_real_t *d_log_det /* [rows] */,
                              const bm_gradient_sink_t *sink);

/* Adjoints of what the first layers make, for losses that see it: after layers[i], ascending and fewer than all. */
typedef struct {
  size_t count;
  const size_t *layers;     /* [count] */
  const bm_real_t *adjoint; /* [count][rows][d] */
} bm_flow_stages_t;

/* The same where the loss sees stages, too. */
void bm_flow_forward_backward_stages(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                                     const bm_shards_t *shards, const bm_flow_stages_t *stages,
                                     bm_real_t *adjoint, const bm_real_t *d_log_det,
                                     const bm_gradient_sink_t *sink);

/* The same for the last bm_flow_inverse: dL/dx on entry, dL/dy on return. */
void bm_flow_inverse_backward(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                              const bm_shards_t *shards, bm_real_t *adjoint /* [rows][d] */,
                              const bm_real_t *d_log_det /* [rows] */,
                              const bm_gradient_sink_t *sink);

/* J[i] = dF(x_i)/dx, the exact Jacobian by d backward passes; y and log_det as bm_flow_forward. */
void bm_flow_jacobian(const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                      const bm_shards_t *shards, const bm_real_t *x /* [rows][d] */,
                      bm_real_t *y /* [rows][d] */, double *log_det /* [rows] */,
                      double *jacobian /* [rows][d][d], row: output */);

#endif
