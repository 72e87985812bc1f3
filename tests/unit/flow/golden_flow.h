#ifndef BOLTZMAP_TESTS_UNIT_FLOW_GOLDEN_FLOW_H
#define BOLTZMAP_TESTS_UNIT_FLOW_GOLDEN_FLOW_H

/* Flows and points of tests/golden/flow_reference.py, and comparison with its numbers. */

#include <math.h>
#include <string.h>

#include "../golden.h"
#include "made_flow.h"

/* Of float32 some roundings a layer; of float64 what 13 stored digits and some hundred roundings
 * allow. */
#ifdef BM_REAL_IS_DOUBLE
#define GOLDEN_TOLERANCE 1e-10
#else
#define GOLDEN_TOLERANCE 1e-5
#endif

static inline bm_flow_shape_t golden_shape(const bm_json_t *golden, const bm_json_t *entry)
{
  const bm_json_t *hidden = bm_json_get(entry, "hidden");
  bm_flow_shape_t shape = {.d = golden_size(entry, "d"),
                           .layers = golden_size(entry, "layers"),
                           .hidden_count = bm_json_count(hidden),
                           .scale_cap = golden_number(golden, "scale_cap"),
                           .backend = tested_backend};
  const char *activation = bm_json_string(bm_json_get(entry, "activation"));
  assert_int_equal(bm_activation_find(activation, &shape.activation), BM_OK);
  for (size_t l = 0; l < shape.hidden_count; l++) {
    shape.hidden[l] = (size_t)bm_json_number(bm_json_item(hidden, l));
  }
  return shape;
}

/* Made numbers, which both arithmetics hold exactly; the caller gives them back with bm_free. */
static inline bm_real_t *golden_reals(uint64_t seed, double scale, size_t count)
{
  double *values = zero_doubles(count);
  bm_real_t *reals = zero_reals(count);
  made_numbers(seed, scale, count, values);
  for (size_t i = 0; i < count; i++) {
    reals[i] = (bm_real_t)values[i];
  }
  bm_free(values);
  return reals;
}

static inline void golden_parameters(bm_flow_t *flow, uint64_t seed, double scale)
{
  size_t count = bm_flow_parameter_count(flow);
  bm_real_t *values = golden_reals(seed, scale, count);
  memcpy(bm_flow_parameters(flow), values, count * sizeof *values);
  bm_free(values);
}

/* The numbers of nested arrays in a row, at most `room`; gives how many there are. */
static inline size_t golden_flatten(const bm_json_t *value, size_t room, double *numbers)
{
  size_t count = 0;
  if (bm_json_first(value) == NULL) {
    assert_true(room > 0);
    *numbers = bm_json_number(value);
    return 1;
  }
  for (const bm_json_t *item = bm_json_first(value); item != NULL; item = bm_json_next(item)) {
    count += golden_flatten(item, room - count, numbers + count);
  }
  return count;
}

/* Each number relative to the larger of itself and the root mean square of all: where terms cancel,
 * only the digits of the terms can be right. */
static inline void assert_golden(const bm_json_t *entry, const char *name, size_t count,
                                 const double *found)
{
  double *expected = zero_doubles(count);
  double squares = 0.0;
  assert_non_null(bm_json_get(entry, name));
  assert_int_equal(golden_flatten(bm_json_get(entry, name), count, expected), count);
  for (size_t i = 0; i < count; i++) {
    squares += expected[i] * expected[i];
  }
  double typical = sqrt(squares / (double)count);
  for (size_t i = 0; i < count; i++) {
    double size = fmax(typical, fabs(expected[i]));
    if (!(fabs(found[i] - expected[i]) <= GOLDEN_TOLERANCE * size)) {
      fail_msg("%s, number %zu of %zu: %.15g, by the reference program %.15g", name, i, count,
               found[i], expected[i]);
    }
  }
  bm_free(expected);
}

static inline void assert_golden_reals(const bm_json_t *entry, const char *name, size_t count,
                                       const bm_real_t *found)
{
  double *values = zero_doubles(count);
  for (size_t i = 0; i < count; i++) {
    values[i] = (double)found[i];
  }
  assert_golden(entry, name, count, values);
  bm_free(values);
}

#endif
