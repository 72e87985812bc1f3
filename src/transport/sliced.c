#include "boltzmap/transport/sliced.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"
#include "boltzmap/transport/marginal.h"

#define BM_TILE 128     /* rows turned into columns and projected together */
#define BM_DIRECTIONS 8 /* projections made in one pass over the rows */

void bm_sliced_directions(uint64_t seed, size_t first, size_t count, size_t d,
                          double *directions /* [count][d] */)
{
  const bm_random_t random = bm_random(seed, BM_PURPOSE_PROJECTION);
  for (size_t i = 0; i < count; i++) {
    double *direction = directions + i * d;
    uint64_t index = first + i;
    bm_random_normals(random, (uint32_t)index, index >> 32, 0, d, direction);
    double square = 0.0;
    for (size_t k = 0; k < d; k++) {
      square += direction[k] * direction[k];
    }
    double scale = 1.0 / sqrt(square);
    for (size_t k = 0; k < d; k++) {
      direction[k] *= scale;
    }
  }
}

/* Rows of x side by side, one coordinate after the other. */
static void turn(size_t rows, size_t d, const double *x /* [rows][d] */,
                 double *tile /* [d][BM_TILE] */)
{
  for (size_t i = 0; i < rows; i++) {
    for (size_t k = 0; k < d; k++) {
      tile[k * BM_TILE + i] = x[i * d + k];
    }
  }
}

static void project_tile(size_t d, const double *restrict tile /* [d][BM_TILE] */,
                         const double *restrict direction /* [d] */,
                         double *restrict projected /* [BM_TILE] */)
{
  for (size_t i = 0; i < BM_TILE; i++) {
    projected[i] = 0.0;
  }
  for (size_t k = 0; k < d; k++) {
    const double weight = direction[k];
    const double *restrict row = tile + k * BM_TILE;
#pragma omp simd
    for (size_t i = 0; i < BM_TILE; i++) {
      projected[i] += weight * row[i];
    }
  }
}

/* Directions that are projected on in one pass. */
typedef struct {
  size_t count, d;
  const double *directions; /* [count][d] */
  double *tile;             /* [d][BM_TILE], scratch */
} pass_t;

static void project(const pass_t *pass, size_t n, const double *x /* [n][d] */,
                    double *projections /* [count][n] */)
{
  const size_t d = pass->d;
  for (size_t first = 0; first < n; first += BM_TILE) {
    size_t rows = n - first < BM_TILE ? n - first : BM_TILE;
    turn(rows, d, x + first * d, pass->tile);
    for (size_t c = 0; c < pass->count; c++) {
      double projected[BM_TILE];
      project_tile(d, pass->tile, pass->directions + c * d, projected);
      memcpy(projections + c * n + first, projected, rows * sizeof *projected);
    }
  }
}

bm_status_t bm_sliced_w2_squared(size_t n, size_t m, size_t d, const double *x, const double *y,
                                 size_t count, const double *directions /* [count][d] */,
                                 double *w2_squared /* [count] */)
{
  assert(n > 0 && m > 0 && d > 0);
  size_t longest = n > m ? n : m;
  double *buffer = NULL; /* tile, projections of x and of y, scratch of the sort */
  BM_TRY(BM_ALLOC(d * BM_TILE + BM_DIRECTIONS * (n + m) + longest, &buffer));
  double *of_x = buffer + d * BM_TILE;
  double *of_y = of_x + BM_DIRECTIONS * n;
  double *scratch = of_y + BM_DIRECTIONS * m;
  for (size_t first = 0; first < count; first += BM_DIRECTIONS) {
    size_t some = count - first < BM_DIRECTIONS ? count - first : BM_DIRECTIONS;
    const pass_t pass = {some, d, directions + first * d, buffer};
    project(&pass, n, x, of_x);
    project(&pass, m, y, of_y);
    for (size_t c = 0; c < some; c++) {
      bm_sort(n, of_x + c * n, scratch);
      bm_sort(m, of_y + c * m, scratch);
      w2_squared[first + c] = bm_marginal_w2_squared_sorted(n, of_x + c * n, m, of_y + c * m);
    }
  }
  bm_free(buffer);
  return BM_OK;
}
