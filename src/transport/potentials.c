#include "boltzmap/transport/potentials.h"

#include <math.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/tree.h"
#include "boltzmap/parallel/partition.h"

/* Potential of |x - y|² at each row of a cloud: twice the dual of half the squared distance, and
 * the linear part that the shift between the means took out. */
static void fill(const bm_cost_t *cost, const bm_matching_t *matching, int side,
                 double *potential /* [n] */)
{
  const double sign = side == 0 ? 2.0 : -2.0;
  for (size_t i = 0; i < cost->n; i++) {
    const double *row = bm_cost_point(cost, side, i);
    const double *first = cost->cloud[side];
    double value = 2.0 * matching->dual[side][i];
    for (size_t k = 0; k < cost->d; k++) {
      value += sign * cost->shift[k] * (row[k] - first[k]);
    }
    potential[cost->order[side][i]] = value;
  }
}

/* Variance of the mean, from the spread of block means. */
static double variance_of_mean(size_t n, const double *values /* [n] */)
{
  const int blocks = n < 2 * BM_POTENTIAL_BLOCKS ? (int)(n / 2) : BM_POTENTIAL_BLOCKS;
  double means[BM_POTENTIAL_BLOCKS];
  const double mean = bm_tree_sum(n, values) / (double)n;
  for (int b = 0; b < blocks; b++) {
    const bm_range_t block = bm_partition(n, blocks, b);
    const double of_block =
        bm_tree_sum(block.count, values + block.first) / (double)block.count - mean;
    means[b] = of_block * of_block;
  }
  return bm_tree_sum((size_t)blocks, means) / ((double)blocks * (double)(blocks - 1));
}

bm_status_t bm_potentials_error(const bm_cost_t *cost, const bm_matching_t *matching, double *error)
{
  double *potential = NULL;
  *error = NAN;
  if (cost->n < 4) {
    return BM_OK;
  }
  BM_TRY(BM_ALLOC(cost->n, &potential));
  double variance = 0.0;
  for (int side = 0; side < 2; side++) {
    fill(cost, matching, side, potential);
    variance += variance_of_mean(cost->n, potential);
  }
  bm_free(potential);
  *error = sqrt(variance);
  return BM_OK;
}
