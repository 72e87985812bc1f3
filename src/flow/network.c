#include "boltzmap/flow/network.h"

#include <assert.h>

size_t bm_network_width_in(const bm_network_shape_t *shape, size_t l)
{
  return l == 0 ? shape->in : shape->hidden[l - 1];
}

size_t bm_network_width_out(const bm_network_shape_t *shape, size_t l)
{
  return l == shape->hidden_count ? shape->out : shape->hidden[l];
}

static bm_dense_t layer(const bm_network_shape_t *shape, const bm_real_t *parameters, size_t l)
{
  const bm_real_t *weights = parameters;
  for (size_t i = 0; i < l; i++) {
    weights +=
        bm_dense_parameter_count(bm_network_width_in(shape, i), bm_network_width_out(shape, i));
  }
  size_t in = bm_network_width_in(shape, l);
  size_t out = bm_network_width_out(shape, l);
  return (bm_dense_t){in, out, weights, weights + in * out,
                      l == shape->hidden_count ? BM_LINEAR : shape->activation};
}

static size_t widest(const bm_network_shape_t *shape)
{
  size_t width = 0;
  for (size_t l = 0; l < shape->hidden_count; l++) {
    width = shape->hidden[l] > width ? shape->hidden[l] : width;
  }
  return width;
}

size_t bm_network_parameter_count(const bm_network_shape_t *shape)
{
  size_t count = 0;
  for (size_t l = 0; l <= shape->hidden_count; l++) {
    count +=
        bm_dense_parameter_count(bm_network_width_in(shape, l), bm_network_width_out(shape, l));
  }
  return count;
}

size_t bm_network_cache(const bm_network_shape_t *shape)
{
  size_t count = 0;
  for (size_t l = 0; l < shape->hidden_count; l++) {
    count += shape->hidden[l];
  }
  return count;
}

static size_t dense_scratch(const bm_network_shape_t *shape, size_t shards)
{
  size_t most = 0;
  for (size_t l = 0; l <= shape->hidden_count; l++) {
    size_t count =
        bm_dense_scratch(bm_network_width_in(shape, l), bm_network_width_out(shape, l), shards);
    most = count > most ? count : most;
  }
  return most;
}

size_t bm_network_scratch(const bm_network_shape_t *shape, size_t rows, size_t shards)
{
  return 2 * rows * widest(shape) + dense_scratch(shape, shards);
}

void bm_network_forward(const bm_network_shape_t *shape, const bm_real_t *parameters,
                        const bm_shards_t *shards, const bm_real_t *x, bm_real_t *y,
                        bm_real_t *cache, bm_real_t *scratch)
{
  size_t rows = shards->offset[shards->count];
  const bm_real_t *from = x;
  for (size_t l = 0; l <= shape->hidden_count; l++) {
    bm_dense_t dense = layer(shape, parameters, l);
    bm_real_t *to = l == shape->hidden_count ? y : cache;
    bm_dense_forward(&dense, shards, from, to, scratch);
    from = to;
    cache += rows * dense.out; /* moved past the last block on the output layer; unused there */
  }
}

void bm_network_backward(const bm_network_shape_t *shape, const bm_real_t *parameters,
                         const bm_shards_t *shards, const bm_real_t *x, const bm_real_t *cache,
                         bm_real_t *dy, bm_real_t *dx, bm_real_t *gradient, bm_real_t *scratch)
{
  size_t rows = shards->offset[shards->count];
  bm_real_t *work[2] = {scratch, scratch + rows * widest(shape)};
  bm_real_t *dense_work = scratch + 2 * rows * widest(shape);
  const bm_real_t *layer_cache = cache + rows * bm_network_cache(shape); /* end of hidden blocks */
  bm_real_t *layer_gradient = gradient + (gradient ? bm_network_parameter_count(shape) : 0);
  bm_real_t *from = dy;
  for (size_t l = shape->hidden_count + 1; l-- > 0;) {
    bm_dense_t dense = layer(shape, parameters, l);
    if (l < shape->hidden_count) {
      bm_dense_backward_activation(&dense, rows, layer_cache, from);
    }
    const bm_real_t *input = x;
    if (l > 0) {
      layer_cache -= rows * dense.in;
      input = layer_cache;
    }
    if (gradient != NULL) {
      layer_gradient -= bm_dense_parameter_count(dense.in, dense.out);
      bm_dense_backward_parameters(&dense, shards, input, from, layer_gradient, dense_work);
    }
    bm_real_t *to = l == 0 ? dx : work[l % 2];
    bm_dense_backward_input(&dense, shards, from, to, dense_work);
    from = to;
  }
}
