/* Our own back end, on the kernels of kernels.h. Activations stay in blocks from the first layer to the
 * last and back; bias, activation and its derivative are applied to a tile before it leaves the
 * registers; layers of a few outputs are dot products, and networks of one hidden layer with one or two
 * inputs and outputs keep their hidden units in registers and compute them anew on the way back.
 *
 * It suits every processor whose kernels have fused multiply-adds in vectors of 256 bits or more.
 * Elsewhere OpenBLAS has kernels for many more processors, but not for tiny networks. */

#include <string.h>

#include "boltzmap/base/tree.h"
#include "boltzmap/flow/kernels.h"
#include "boltzmap/flow/network.h"

static size_t padded(size_t units)
{
  return (units + BM_BLOCK - 1) / BM_BLOCK * BM_BLOCK;
}

static size_t in_of(const bm_network_shape_t *shape, size_t l)
{
  return padded(bm_network_width_in(shape, l));
}

static size_t out_of(const bm_network_shape_t *shape, size_t l)
{
  return padded(bm_network_width_out(shape, l));
}

static int is_tiny(const bm_network_shape_t *shape)
{
  return shape->hidden_count == 1 && shape->in <= BM_TINY && shape->out <= BM_TINY &&
         shape->activation == BM_RELU;
}

static size_t row_count(const bm_network_pass_t *pass)
{
  return pass->shards->offset[pass->shards->count];
}

static size_t larger(size_t a, size_t b)
{
  return a > b ? a : b;
}

/* --- room --------------------------------------------------------------------------------------- */

/* The inputs, in blocks or, of a tiny network, in lanes; then the hidden layers, in blocks. */
static size_t cache(const bm_network_shape_t *shape, size_t rows)
{
  if (is_tiny(shape)) {
    return shape->in * padded(rows);
  }
  size_t count = 0;
  for (size_t l = 0; l <= shape->hidden_count; l++) {
    count += in_of(shape, l);
  }
  return rows * count;
}

/* How the scratch of a network is divided. */
typedef struct {
  bm_real_t *gradient[2]; /* blocked [rows][widest]: of what a layer gave, of what it was given */
  bm_real_t *ones;        /* blocked [rows][1] */
  bm_real_t *panels;      /* packed weights, or the transpose of their gradient */
  bm_real_t *bias;        /* [widest] */
  bm_real_t *tiles;       /* of an outer product */
} room_t;

/* Units of the widest layer, and items of the packed weights of any. */
static void find_largest(const bm_network_shape_t *shape, size_t *widest, size_t *weights)
{
  const size_t panel = bm_kernels_best()->panel;
  *widest = in_of(shape, 0);
  *weights = 0;
  for (size_t l = 0; l <= shape->hidden_count; l++) {
    size_t in = in_of(shape, l);
    size_t out = out_of(shape, l);
    *widest = larger(*widest, out);
    *weights = larger(*weights, larger(in * (out + panel), out * (in + panel)));
  }
}

static room_t divide(const bm_network_shape_t *shape, size_t rows, bm_real_t *scratch)
{
  size_t widest, weights;
  find_largest(shape, &widest, &weights);
  room_t room = {.gradient = {scratch, scratch + rows * widest}};
  room.ones = room.gradient[1] + rows * widest;
  room.panels = room.ones + rows * BM_BLOCK;
  room.bias = room.panels + weights;
  room.tiles = room.bias + widest;
  return room;
}

/* Items of the whole of it. */
static size_t blocked_scratch(const bm_network_shape_t *shape, size_t rows, size_t shards)
{
  size_t widest, weights;
  find_largest(shape, &widest, &weights);
  return (2 * rows + 1) * widest + rows * BM_BLOCK + weights +
         (bm_tree_depth(shards) + 1) * BM_KERNEL_TILE;
}

static size_t tiny_scratch(const bm_network_shape_t *shape, size_t rows, size_t shards)
{
  return (shape->in + shape->out) * padded(rows) +
         (bm_tree_depth(shards) + 1) * bm_network_parameter_count(shape);
}

static size_t scratch(const bm_network_shape_t *shape, size_t rows, size_t shards)
{
  return is_tiny(shape) ? tiny_scratch(shape, rows, shards) : blocked_scratch(shape, rows, shards);
}

/* --- layouts ------------------------------------------------------------------------------------ */

static void to_blocks(size_t rows, size_t units, const bm_real_t *x, bm_real_t *blocked)
{
  for (size_t unit = 0; unit < units; unit += BM_BLOCK) {
    size_t width = units - unit < BM_BLOCK ? units - unit : BM_BLOCK;
    for (size_t i = 0; i < rows; i++, blocked += BM_BLOCK) {
      memcpy(blocked, x + i * units + unit, width * sizeof *x);
      memset(blocked + width, 0, (BM_BLOCK - width) * sizeof *x);
    }
  }
}

static void from_blocks(size_t rows, size_t units, const bm_real_t *blocked, bm_real_t *x)
{
  for (size_t unit = 0; unit < units; unit += BM_BLOCK) {
    size_t width = units - unit < BM_BLOCK ? units - unit : BM_BLOCK;
    for (size_t i = 0; i < rows; i++, blocked += BM_BLOCK) {
      memcpy(x + i * units + unit, blocked, width * sizeof *x);
    }
  }
}

/* Rows of `columns` items, with zeros up to the next whole block. */
static void pad(size_t rows, size_t columns, const bm_real_t *from, bm_real_t *to)
{
  for (size_t i = 0; i < rows; i++, from += columns, to += padded(columns)) {
    memcpy(to, from, columns * sizeof *from);
    memset(to + columns, 0, (padded(columns) - columns) * sizeof *from);
  }
}

/* --- dense layers ------------------------------------------------------------------------------- */

/* Weights as a forward pass reads them: for few outputs W^T in rows of whole blocks, else panels. */
static size_t packed_items(size_t in, size_t out, int narrow)
{
  const size_t panel = bm_kernels_best()->panel;
  return narrow ? out * padded(in) : (out + panel - 1) / panel * panel * in;
}

static void pack_weights(const bm_dense_t *dense, int narrow, bm_real_t *packed)
{
  const size_t stride = padded(dense->in);
  if (!narrow) {
    bm_kernels_best()->pack(dense->in, dense->out, dense->weights, packed);
    return;
  }
  for (size_t o = 0; o < dense->out; o++) {
    for (size_t i = 0; i < stride; i++) {
      packed[o * stride + i] = i < dense->in ? dense->weights[i * dense->out + o] : 0;
    }
  }
}

/* y = x·W + bias for few outputs. */
static void narrow_forward(const bm_dense_t *dense, size_t rows, const bm_real_t *weights,
                           const bm_real_t *x, bm_real_t *y)
{
  bm_kernels_best()->narrow(&(bm_kernel_narrow_t){.rows = rows,
                                                  .blocks = padded(dense->in) / BM_BLOCK,
                                                  .outputs = dense->out,
                                                  .a = x,
                                                  .w = weights,
                                                  .bias = dense->bias,
                                                  .y = y});
}

/* y = x·W + bias in blocks, what is not positive set to zero where asked. */
static void wide_forward(const bm_dense_t *dense, int relu, size_t rows, const bm_real_t *weights,
                         const room_t *room, const bm_real_t *x, bm_real_t *y)
{
  pad(1, dense->out, dense->bias, room->bias);
  bm_kernels_best()->product(&(bm_kernel_product_t){.rows = rows,
                                                    .inner = dense->in,
                                                    .blocks = padded(dense->out) / BM_BLOCK,
                                                    .a = x,
                                                    .panels = weights,
                                                    .bias = room->bias,
                                                    .relu = relu,
                                                    .c = y});
}

/* dx = dy·W^T for few inputs. */
static void narrow_backward(const bm_dense_t *dense, size_t rows, const room_t *room,
                            const bm_real_t *dy, bm_real_t *dx)
{
  pad(dense->in, dense->out, dense->weights, room->panels);
  bm_kernels_best()->narrow(&(bm_kernel_narrow_t){.rows = rows,
                                                  .blocks = padded(dense->out) / BM_BLOCK,
                                                  .outputs = dense->in,
                                                  .a = dy,
                                                  .w = room->panels,
                                                  .y = dx});
}

/* dx = dy·W^T in blocks, zero where `positive`, if there is one, is not. */
static void wide_backward(const bm_dense_t *dense, const bm_real_t *positive, size_t rows,
                          const room_t *room, const bm_real_t *dy, bm_real_t *dx)
{
  const bm_kernels_t *kernels = bm_kernels_best();
  kernels->pack_transposed(dense->out, dense->in, dense->weights, room->panels);
  kernels->product(&(bm_kernel_product_t){.rows = rows,
                                          .inner = dense->out,
                                          .blocks = padded(dense->in) / BM_BLOCK,
                                          .a = dy,
                                          .panels = room->panels,
                                          .positive = positive,
                                          .c = dx});
}

/* Gradient of weights, then bias. The product is turned where that pads less. */
static void parameters_backward(const bm_dense_t *dense, const bm_shards_t *shards,
                                const room_t *room, const bm_real_t *x, const bm_real_t *dy,
                                bm_real_t *gradient)
{
  const bm_kernels_t *kernels = bm_kernels_best();
  const size_t in = dense->in;
  const size_t out = dense->out;
  if (padded(out) * in <= padded(in) * out) {
    bm_kernel_outer_t weights = {shards, in, out, x, dy, gradient, out};
    kernels->outer(&weights, room->tiles);
  } else {
    bm_kernel_outer_t turned = {shards, out, in, dy, x, room->panels, padded(in)};
    kernels->outer(&turned, room->tiles);
    kernels->transpose(out, in, room->panels, padded(in), gradient, out);
  }
  bm_kernel_outer_t bias = {shards, 1, out, room->ones, dy, gradient + in * out, out};
  kernels->outer(&bias, room->tiles);
}

/* --- networks ----------------------------------------------------------------------------------- */

static int is_narrow(const bm_network_shape_t *shape, size_t l)
{
  return l == shape->hidden_count && shape->out <= BM_NARROW;
}

static size_t packed(const bm_network_shape_t *shape)
{
  size_t items = 0;
  for (size_t l = 0; !is_tiny(shape) && l <= shape->hidden_count; l++) {
    items += packed_items(bm_network_width_in(shape, l), bm_network_width_out(shape, l),
                          is_narrow(shape, l));
  }
  return items;
}

static void pack(const bm_network_shape_t *shape, const bm_real_t *parameters, bm_real_t *to)
{
  for (size_t l = 0; !is_tiny(shape) && l <= shape->hidden_count; l++) {
    bm_dense_t dense = bm_network_layer(shape, l, parameters);
    pack_weights(&dense, is_narrow(shape, l), to);
    to += packed_items(dense.in, dense.out, is_narrow(shape, l));
    parameters += bm_dense_parameter_count(dense.in, dense.out);
  }
}

static void blocked_forward(const bm_network_pass_t *pass, bm_real_t *y)
{
  const bm_network_shape_t *shape = pass->shape;
  const size_t rows = row_count(pass);
  const room_t room = divide(shape, rows, pass->scratch);
  const bm_real_t *parameters = pass->parameters;
  const bm_real_t *weights = pass->packed;
  bm_real_t *from = pass->cache;
  to_blocks(rows, shape->in, pass->x, from);
  for (size_t l = 0; l <= shape->hidden_count; l++) {
    const bm_dense_t dense = bm_network_layer(shape, l, parameters);
    const int narrow = is_narrow(shape, l);
    const int last = l == shape->hidden_count;
    if (pass->packed == NULL) {
      pack_weights(&dense, narrow, room.panels);
      weights = room.panels;
    }
    bm_real_t *to = last ? room.gradient[0] : from + rows * padded(dense.in);
    if (narrow) {
      narrow_forward(&dense, rows, weights, from, y);
    } else {
      wide_forward(&dense, !last && shape->activation == BM_RELU, rows, weights, &room, from, to);
    }
    if (!last && shape->activation == BM_TANH) {
      bm_kernels_best()->bound(rows * padded(dense.out), 1.0, to);
    }
    from = to;
    parameters += bm_dense_parameter_count(dense.in, dense.out);
    weights += packed_items(dense.in, dense.out, narrow);
  }
  if (!is_narrow(shape, shape->hidden_count)) {
    from_blocks(rows, shape->out, from, y);
  }
}

/* Gradient of what a layer was given, `x`, which is the network's own input or a hidden layer. */
static void input_backward(const bm_network_pass_t *pass, size_t l, const bm_dense_t *dense,
                           const room_t *room, const bm_real_t *x, const bm_real_t *dy,
                           bm_real_t *dx)
{
  const size_t rows = row_count(pass);
  const bm_activation_t activation = pass->shape->activation;
  if (l > 0) {
    wide_backward(dense, activation == BM_RELU ? x : NULL, rows, room, dy, room->gradient[l % 2]);
    for (size_t i = 0; activation == BM_TANH && i < rows * padded(dense->in); i++) {
      room->gradient[l % 2][i] *= 1 - x[i] * x[i];
    }
  } else if (dense->in <= BM_NARROW) {
    narrow_backward(dense, rows, room, dy, dx);
  } else {
    wide_backward(dense, NULL, rows, room, dy, room->gradient[0]);
    from_blocks(rows, dense->in, room->gradient[0], dx);
  }
}

static void blocked_backward(const bm_network_pass_t *pass, bm_real_t *dy, bm_real_t *dx,
                             bm_real_t *gradient)
{
  const bm_network_shape_t *shape = pass->shape;
  const size_t rows = row_count(pass);
  const room_t room = divide(shape, rows, pass->scratch);
  const bm_real_t *x = pass->cache + cache(shape, rows);
  size_t offset = bm_network_parameter_count(shape);
  for (size_t i = 0; i < rows; i++) {
    room.ones[i * BM_BLOCK] = 1;
  }
  to_blocks(rows, shape->out, dy, room.gradient[(shape->hidden_count + 1) % 2]);
  for (size_t l = shape->hidden_count + 1; l-- > 0;) {
    const bm_real_t *from = room.gradient[(l + 1) % 2];
    offset -=
        bm_dense_parameter_count(bm_network_width_in(shape, l), bm_network_width_out(shape, l));
    x -= rows * in_of(shape, l);
    bm_dense_t dense = bm_network_layer(shape, l, pass->parameters + offset);
    if (gradient != NULL) {
      parameters_backward(&dense, pass->shards, &room, x, from, gradient + offset);
    }
    input_backward(pass, l, &dense, &room, x, from, dx);
  }
}

/* --- tiny networks ------------------------------------------------------------------------------ */

static bm_kernel_tiny_t tiny_of(const bm_network_pass_t *pass)
{
  const bm_network_shape_t *shape = pass->shape;
  bm_dense_t first = bm_network_layer(shape, 0, pass->parameters);
  bm_dense_t last = bm_network_layer(shape, 1, first.bias + first.out);
  return (bm_kernel_tiny_t){shape->in,  shape->hidden[0], shape->out, first.weights,
                            first.bias, last.weights,     last.bias};
}

/* lanes [columns][padded(rows)] from x [rows][columns], zeros behind the last row; and back. */
static void to_lanes(size_t rows, size_t columns, const bm_real_t *x, bm_real_t *lanes)
{
  for (size_t k = 0; k < columns; k++, lanes += padded(rows)) {
    for (size_t i = 0; columns > 1 && i < rows; i++) {
      lanes[i] = x[i * columns + k];
    }
    if (columns == 1) {
      memcpy(lanes, x, rows * sizeof *x);
    }
    memset(lanes + rows, 0, (padded(rows) - rows) * sizeof *lanes);
  }
}

static void from_lanes(size_t rows, size_t columns, const bm_real_t *lanes, bm_real_t *x)
{
  if (columns == 1) {
    memcpy(x, lanes, rows * sizeof *x);
    return;
  }
  for (size_t k = 0; k < columns; k++, lanes += padded(rows)) {
    for (size_t i = 0; i < rows; i++) {
      x[i * columns + k] = lanes[i];
    }
  }
}

static void tiny_forward(const bm_network_pass_t *pass, bm_real_t *y)
{
  const size_t rows = row_count(pass);
  const bm_kernel_tiny_t tiny = tiny_of(pass);
  const bm_kernel_rows_t lanes = {padded(rows), pass->cache, NULL};
  to_lanes(rows, tiny.in, pass->x, pass->cache);
  bm_kernels_best()->tiny_forward(&tiny, &lanes, pass->scratch);
  from_lanes(rows, tiny.out, pass->scratch, y);
}

/* What the gradient of a tiny network's parameters is made of. */
typedef struct {
  const bm_kernel_tiny_t *tiny;
  const bm_kernel_rows_t *lanes;
  const size_t *offset; /* of the shards */
  size_t count;         /* of parameters */
} tiny_gradient_t;

static void tiny_shard(const tiny_gradient_t *g, size_t shard, bm_real_t *gradient)
{
  const size_t first = g->offset[shard];
  const size_t end = g->offset[shard + 1];
  bm_kernels_best()->tiny_backward_parameters(g->tiny, g->lanes, first, end, gradient);
  for (size_t o = 0; o < g->tiny->out; o++) {
    bm_real_t sum = 0;
    for (size_t i = first; i < end; i++) {
      sum += g->lanes->dy[o * g->lanes->stride + i];
    }
    gradient[g->count - g->tiny->out + o] = sum;
  }
}

/* The sum of a node of the tree; `work` has a gradient for each level below. */
static void tiny_node(const tiny_gradient_t *g, bm_node_t node, bm_real_t *gradient,
                      bm_real_t *work)
{
  if (node.count == 1) {
    tiny_shard(g, node.first, gradient);
    return;
  }
  size_t left = bm_tree_left(node.count);
  tiny_node(g, (bm_node_t){node.first, left}, gradient, work);
  tiny_node(g, (bm_node_t){node.first + left, node.count - left}, work, work + g->count);
  for (size_t i = 0; i < g->count; i++) {
    gradient[i] += work[i];
  }
}

static void tiny_backward(const bm_network_pass_t *pass, bm_real_t *dy, bm_real_t *dx,
                          bm_real_t *gradient)
{
  const size_t rows = row_count(pass);
  const bm_kernel_tiny_t tiny = tiny_of(pass);
  bm_real_t *adjoint = pass->scratch;
  bm_real_t *input = adjoint + tiny.out * padded(rows);
  const bm_kernel_rows_t lanes = {padded(rows), pass->cache, adjoint};
  to_lanes(rows, tiny.out, dy, adjoint);
  bm_kernels_best()->tiny_backward_input(&tiny, &lanes, input);
  from_lanes(rows, tiny.in, input, dx);
  if (gradient != NULL) {
    const tiny_gradient_t g = {&tiny, &lanes, pass->shards->offset,
                               bm_network_parameter_count(pass->shape)};
    tiny_node(&g, (bm_node_t){0, pass->shards->count}, gradient, input + tiny.in * padded(rows));
  }
}

/* --- the row of the table ----------------------------------------------------------------------- */

static int suits(const bm_network_shape_t *shape)
{
  return bm_kernels_best()->fast || is_tiny(shape);
}

static const char *kernel(void)
{
  return bm_kernels_best()->name;
}

static void forward(const bm_network_pass_t *pass, bm_real_t *y)
{
  (is_tiny(pass->shape) ? tiny_forward : blocked_forward)(pass, y);
}

static void backward(const bm_network_pass_t *pass, bm_real_t *dy, bm_real_t *dx,
                     bm_real_t *gradient)
{
  (is_tiny(pass->shape) ? tiny_backward : blocked_backward)(pass, dy, dx, gradient);
}

static void bound(size_t n, double cap, bm_real_t *s)
{
  bm_kernels_best()->bound(n, cap, s);
}

static void exponential(size_t n, int minus, const bm_real_t *s, bm_real_t *e)
{
  bm_kernels_best()->exponential(n, minus, s, e);
}

const bm_network_ops_t bm_network_fused = {
    .name = "fused",
    .suits = suits,
    .kernel = kernel,
    .cache = cache,
    .scratch = scratch,
    .packed = packed,
    .pack = pack,
    .forward = forward,
    .backward = backward,
    .bound = bound,
    .exponential = exponential,
};
