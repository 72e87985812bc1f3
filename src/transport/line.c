#include "boltzmap/transport/line.h"

#include <assert.h>
#include <stdlib.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/order.h"

static void sort(const bm_cost_t *cost, int side, bm_ranked_t *places /* [n] */)
{
  for (size_t i = 0; i < cost->n; i++) {
    places[i] = (bm_ranked_t){*bm_cost_point(cost, side, i), (uint32_t)i};
  }
  qsort(places, cost->n, sizeof *places, bm_order_ranked);
}

/* Duals from place to place: v may rise by at most c(k, k+1) - c(k, k), and has to by at least
 * c(k+1, k+1) - c(k+1, k); that nothing further away wants more follows from the order. */
static void fill_duals(const bm_cost_t *cost, const bm_ranked_t *x, const bm_ranked_t *y,
                       bm_matching_t *matching)
{
  double v = 0.0;
  for (size_t k = 0; k < cost->n; k++) {
    const double own = bm_cost_pair(cost, x[k].place, y[k].place);
    matching->dual[1][y[k].place] = v;
    matching->dual[0][x[k].place] = own - v;
    if (k + 1 < cost->n) {
      v += 0.5 * (bm_cost_pair(cost, x[k].place, y[k + 1].place) - own +
                  bm_cost_pair(cost, x[k + 1].place, y[k + 1].place) -
                  bm_cost_pair(cost, x[k + 1].place, y[k].place));
    }
  }
}

bm_status_t bm_line_assignment(const bm_cost_t *cost, bm_matching_t *matching)
{
  assert(cost->d == 1 && cost->period == 0.0);
  bm_ranked_t *places = NULL; /* of x, of y [2][n] */
  BM_TRY(BM_ALLOC(2 * cost->n, &places));
  bm_ranked_t *of_y = places + cost->n;
  sort(cost, 0, places);
  sort(cost, 1, of_y);
  for (size_t k = 0; k < cost->n; k++) {
    bm_matching_join(matching, places[k].place, of_y[k].place);
  }
  fill_duals(cost, places, of_y, matching);
  bm_free(places);
  return BM_OK;
}
