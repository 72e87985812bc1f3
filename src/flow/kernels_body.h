/* The kernels of kernels.h for one instruction set. Included by kernels_v4.c, kernels_v3.c and
 * kernels_generic.c, which are compiled for theirs, and by nothing else. */

#ifndef BOLTZMAP_FLOW_KERNELS_BODY_H
#define BOLTZMAP_FLOW_KERNELS_BODY_H

#include "kernels_dense.h"
#include "kernels_scale.h"
#include "kernels_tiny.h"

#define BM_KERNELS(symbol, text, test)                                               \
  const bm_kernels_t symbol = {.name = text,                                         \
                               .runs_here = test,                                    \
                               .fast = BM_VECTOR_BYTES >= 32,                        \
                               .panel = BM_PANEL,                                    \
                               .pack = pack,                                         \
                               .pack_transposed = pack_transposed,                   \
                               .transpose = transpose,                               \
                               .product = product,                                   \
                               .outer = outer,                                       \
                               .narrow = narrow,                                     \
                               .tiny_forward = tiny_forward,                         \
                               .tiny_backward_input = tiny_backward_input,           \
                               .tiny_backward_parameters = tiny_backward_parameters, \
                               .bound = bound,                                       \
                               .exponential = exponential}

#endif
