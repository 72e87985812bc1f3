#include "boltzmap/base/order.h"

int bm_order_ascending(const void *a, const void *b)
{
  double x = *(const double *)a;
  double y = *(const double *)b;
  return (x > y) - (x < y);
}

int bm_order_ranked(const void *a, const void *b)
{
  const bm_ranked_t *left = a, *right = b;
  const int by_value = bm_order_ascending(&left->value, &right->value);
  return by_value != 0 ? by_value : (left->place > right->place) - (left->place < right->place);
}
