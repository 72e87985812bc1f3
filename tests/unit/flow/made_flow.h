#ifndef BOLTZMAP_TESTS_UNIT_FLOW_MADE_FLOW_H
#define BOLTZMAP_TESTS_UNIT_FLOW_MADE_FLOW_H

/* Flows, points and shards for tests: functions of a stream number alone. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"
#include "boltzmap/flow/flow.h"

/* The back end of the networks of made shapes; NULL: the choice by rule. */
static const bm_network_ops_t *tested_backend = NULL;

static inline const char *with_backend(const bm_network_ops_t *backend, const char *name)
{
  static char text[80];
  tested_backend = backend;
  snprintf(text, sizeof text, "%s %s", name, backend->name);
  return text;
}

#define RUN_WITH_ALL_BACKENDS(failed, name, tests)                                                \
  for (size_t backend = 0; bm_network_table[backend] != NULL; backend++) {                        \
    (failed) += cmocka_run_group_tests_name(with_backend(bm_network_table[backend], name), tests, \
                                            NULL, NULL);                                          \
  }

/* Standard normals times `scale`. */
static inline void draw_reals(uint32_t stream, double scale, size_t count, bm_real_t *values)
{
  bm_random_t random = bm_random(20240229, BM_PURPOSE_TEST);
  for (size_t i = 0; i < count; i += 2) {
    double normal[2];
    bm_random_normal2(random, stream, i, 0, normal);
    values[i] = (bm_real_t)(scale * normal[0]);
    if (i + 1 < count) {
      values[i + 1] = (bm_real_t)(scale * normal[1]);
    }
  }
}

/* New block of such numbers; the caller gives it back with bm_free. */
static inline bm_real_t *drawn_reals(uint32_t stream, double scale, size_t count)
{
  bm_real_t *values;
  assert_int_equal(BM_ALLOC(count, &values), BM_OK);
  draw_reals(stream, scale, count, values);
  return values;
}

static inline bm_real_t *zero_reals(size_t count)
{
  bm_real_t *values;
  assert_int_equal(BM_ALLOC(count, &values), BM_OK);
  return values;
}

static inline double *zero_doubles(size_t count)
{
  double *values;
  assert_int_equal(BM_ALLOC(count, &values), BM_OK);
  return values;
}

/* A shape with `hidden_count` hidden layers of one width. */
static inline bm_flow_shape_t flow_shape(size_t d, size_t layers, size_t hidden_count, size_t width,
                                         bm_activation_t activation)
{
  bm_flow_shape_t shape = {.d = d,
                           .layers = layers,
                           .hidden_count = hidden_count,
                           .activation = activation,
                           .scale_cap = 2.0,
                           .backend = tested_backend};
  for (size_t l = 0; l < hidden_count; l++) {
    shape.hidden[l] = width;
  }
  return shape;
}

/* A flow whose weights and biases are all normal with deviation `gain`: far from the identity. */
static inline bm_flow_t *made_flow(const bm_flow_shape_t *shape, uint32_t stream, double gain)
{
  bm_flow_t *flow;
  assert_int_equal(bm_flow_create(shape, &flow), BM_OK);
  draw_reals(stream, gain, bm_flow_parameter_count(flow), bm_flow_parameters(flow));
  return flow;
}

static inline bm_flow_workspace_t *made_workspace(const bm_flow_t *flow, size_t rows, size_t shards)
{
  bm_flow_workspace_t *workspace;
  assert_int_equal(bm_flow_workspace_create(flow, rows, shards, &workspace), BM_OK);
  return workspace;
}

#endif
