#ifndef BOLTZMAP_BASE_ORDER_H
#define BOLTZMAP_BASE_ORDER_H

/* Order of float64 for qsort, from least to largest. The values are not NaN. */
int bm_order_ascending(const void *a, const void *b);

#endif
