#ifndef BOLTZMAP_BASE_ORDER_H
#define BOLTZMAP_BASE_ORDER_H

#include <stdint.h>

/* Order of float64 for qsort, from least to largest. The values are not NaN. */
int bm_order_ascending(const void *a, const void *b);

/* A value and where it stood; ordered by value, equal ones by where they stood. */
typedef struct {
  double value;
  uint32_t place;
} bm_ranked_t;

int bm_order_ranked(const void *a, const void *b);

#endif
