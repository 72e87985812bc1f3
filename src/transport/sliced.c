#include "boltzmap/transport/sliced.h"

#include <assert.h>
#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"
#include "boltzmap/base/tree.h"
#include "boltzmap/transport/marginal.h"

#define BM_TILE 128     /* rows turned into columns and projected together */
#define BM_DIRECTIONS 8 /* projections made in one pass over the rows */
#define BM_AXES_MAX 256 /* of a block */
#define BM_HARMONICS_DEGREE 6
#define BM_DIRECTIONS_A_TERM 4 /* for least squares */

/* Directions of a block. */
static size_t axes_of(size_t d)
{
  return d < BM_AXES_MAX ? d : BM_AXES_MAX;
}

/* Normals of a block, made orthonormal (Gram, Schmidt; twice, which is as good as exact): a uniform
 * choice of axes. */
static void fill_block(uint64_t seed, uint64_t block, size_t d, double *axes /* [axes][d] */)
{
  const bm_random_t random = bm_random(seed, BM_PURPOSE_PROJECTION);
  for (size_t i = 0; i < axes_of(d); i++) {
    double *axis = axes + i * d;
    const uint64_t index = block * axes_of(d) + i;
    bm_random_normals(random, (uint32_t)index, index >> 32, 0, d, axis);
    for (size_t pass = 0; pass < 2 * i; pass++) {
      const double *before = axes + pass % i * d;
      double along = 0.0;
      for (size_t k = 0; k < d; k++) {
        along += axis[k] * before[k];
      }
      for (size_t k = 0; k < d; k++) {
        axis[k] -= along * before[k];
      }
    }
    double square = 0.0;
    for (size_t k = 0; k < d; k++) {
      square += axis[k] * axis[k];
    }
    for (size_t k = 0; k < d; k++) {
      axis[k] /= sqrt(square);
    }
  }
}

bm_status_t bm_sliced_directions(uint64_t seed, size_t first, size_t count, size_t d,
                                 double *directions)
{
  const size_t block = axes_of(d);
  assert(block > 0);
  double *axes = NULL;
  BM_TRY(BM_ALLOC(block * d, &axes));
  for (size_t i = first; i < first + count; i++) {
    if (i == first || i % block == 0) {
      fill_block(seed, i / block, d, axes);
    }
    memcpy(directions + (i - first) * d, axes + i % block * d, d * sizeof *directions);
  }
  bm_free(axes);
  return BM_OK;
}

static void add_mean(size_t n, size_t d, const double *x /* [n][d] */, double sign,
                     double *mean /* [d] */)
{
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < d; k++) {
      mean[k] += sign * x[i * d + k] / (double)n;
    }
  }
}

bm_status_t bm_sliced_take_shift(size_t n, size_t m, size_t d, const double *x, const double *y,
                                 size_t count, const double *directions, double *w2_squared)
{
  double *shift = NULL, square = 0.0;
  BM_TRY(BM_ALLOC(d, &shift));
  add_mean(n, d, x, 1.0, shift);
  add_mean(m, d, y, -1.0, shift);
  for (size_t k = 0; k < d; k++) {
    square += shift[k] * shift[k];
  }
  for (size_t i = 0; i < count; i++) {
    double along = 0.0;
    for (size_t k = 0; k < d; k++) {
      along += directions[i * d + k] * shift[k];
    }
    w2_squared[i] = fmax(w2_squared[i] - along * along, 0.0) + square / (double)d;
  }
  bm_free(shift);
  return BM_OK;
}

/* --- the mean over the sphere ----------------------------------------------------------------- */

/* Number of monomials of a degree in d variables, or SIZE_MAX where it is beyond `most`. */
static size_t count_monomials(size_t d, size_t degree, size_t most)
{
  size_t count = 1;
  for (size_t i = 1; i <= degree; i++) {
    count = count * (d + i - 1) / i; /* stays whole */
    if (count > most) {
      return SIZE_MAX;
    }
  }
  return count;
}

/* Highest even degree whose monomials are few against the directions; 0: none. On the sphere those
 * of degree k span the even harmonics up to k, and W2² of projections is even. */
static size_t choose_degree(size_t d, size_t count)
{
  size_t degree = BM_HARMONICS_DEGREE;
  while (degree > 0 && count_monomials(d, degree, count / BM_DIRECTIONS_A_TERM) == SIZE_MAX) {
    degree -= 2;
  }
  return degree;
}

/* Mean of a monomial over the sphere: product of (a - 1)!! over the powers a by d(d + 2)(d + 4)…,
 * zero where a power is odd (Folland, Am. Math. Mon. 108, 446, 2001). */
static double mean_of_monomial(size_t d, size_t degree,
                               const size_t *factors /* [degree], rising */)
{
  double mean = 1.0;
  size_t power = 0;
  for (size_t i = 0; i < degree; i++) {
    power = i > 0 && factors[i] == factors[i - 1] ? power + 1 : 1;
    const int ends = i + 1 == degree || factors[i + 1] != factors[i];
    if (ends && power % 2 == 1) {
      return 0.0;
    }
    mean *= power % 2 == 1 ? (double)power : 1.0;
  }
  for (size_t i = 0; i < degree / 2; i++) {
    mean /= (double)(d + 2 * i);
  }
  return mean;
}

/* The next choice of factors, each not below the one before; 0: that was the last. */
static int next_factors(size_t d, size_t degree, size_t *factors)
{
  size_t i = degree;
  while (i > 0 && factors[i - 1] == d - 1) {
    i--;
  }
  if (i == 0) {
    return 0;
  }
  const size_t value = factors[i - 1] + 1;
  for (size_t k = i - 1; k < degree; k++) {
    factors[k] = value;
  }
  return 1;
}

/* Least squares: values ≈ design · c; the mean is that of the monomials, means · c. */
typedef struct {
  size_t count, terms;
  double *directions; /* [count][d]; later weights and residuals [2][count] */
  double *design;     /* [terms][count] */
  double *means;      /* [terms] */
  double *gram;       /* [terms][terms] */
  double *solved;     /* [terms][2]: c, and gram^-1 · means */
} fit_t;

static void free_fit(fit_t *fit)
{
  bm_free(fit->directions);
  bm_free(fit->design);
  bm_free(fit->means);
  bm_free(fit->gram);
  bm_free(fit->solved);
}

static bm_status_t create_fit(size_t count, size_t terms, size_t d, fit_t *fit)
{
  fit->count = count;
  fit->terms = terms;
  BM_TRY(BM_ALLOC(count * (d < 2 ? 2 : d), &fit->directions));
  BM_TRY(BM_ALLOC(terms * count, &fit->design));
  BM_TRY(BM_ALLOC(terms, &fit->means));
  BM_TRY(BM_ALLOC(terms * terms, &fit->gram));
  return BM_ALLOC(2 * terms, &fit->solved);
}

static void fill_design(size_t d, size_t degree, fit_t *fit)
{
  size_t factors[BM_HARMONICS_DEGREE] = {0}, term = 0;
  do {
    double *row = fit->design + term * fit->count;
    for (size_t i = 0; i < fit->count; i++) {
      row[i] = 1.0;
      for (size_t f = 0; f < degree; f++) {
        row[i] *= fit->directions[i * d + factors[f]];
      }
    }
    fit->means[term++] = mean_of_monomial(d, degree, factors);
  } while (next_factors(d, degree, factors));
}

static double dot(size_t count, const double *a, const double *b)
{
  double sum = 0.0;
  for (size_t i = 0; i < count; i++) {
    sum += a[i] * b[i];
  }
  return sum;
}

/* Gives 0 where the directions do not tell the monomials apart. */
static int solve_fit(fit_t *fit, const double *values)
{
  const size_t terms = fit->terms;
  for (size_t a = 0; a < terms; a++) {
    const double *row = fit->design + a * fit->count;
    for (size_t b = 0; b <= a; b++) {
      fit->gram[a * terms + b] = dot(fit->count, row, fit->design + b * fit->count);
    }
    fit->solved[2 * a] = dot(fit->count, row, values);
    fit->solved[2 * a + 1] = fit->means[a];
  }
  return LAPACKE_dposv(LAPACK_ROW_MAJOR, 'L', (int)terms, 2, fit->gram, (int)terms, fit->solved,
                       2) == 0;
}

/* The error comes from residuals as they would be had the direction been left out of the fit
 * (MacKinnon, White, J. Econom. 29, 305, 1985: HC3), since what harmonics leave over is no noise of
 * equal size. */
static void read_fit(fit_t *fit, const double *values, double *mean, double *error)
{
  const size_t terms = fit->terms, count = fit->count;
  double squares = 0.0;
  double *weight = fit->directions, *residual = weight + count; /* no more needed as such */
  *mean = 0.0;
  for (size_t i = 0; i < count; i++) {
    weight[i] = 0.0;
    residual[i] = values[i];
  }
  for (size_t a = 0; a < terms; a++) {
    *mean += fit->means[a] * fit->solved[2 * a];
    for (size_t i = 0; i < count; i++) {
      weight[i] += fit->design[a * count + i] * fit->solved[2 * a + 1];
      residual[i] -= fit->design[a * count + i] * fit->solved[2 * a];
    }
  }
  (void)LAPACKE_dtrtrs(LAPACK_ROW_MAJOR, 'L', 'N', 'N', (int)terms, (int)count, fit->gram,
                       (int)terms, fit->design, (int)count);
  for (size_t i = 0; i < count; i++) {
    double leverage = 0.0;
    for (size_t a = 0; a < terms; a++) {
      leverage += fit->design[a * count + i] * fit->design[a * count + i];
    }
    const double left_out = residual[i] / fmax(1.0 - leverage, DBL_EPSILON);
    squares += weight[i] * weight[i] * left_out * left_out;
  }
  *error = sqrt(squares);
}

/* Two standard errors of few values hold their mean less often than the normal 95%: what makes up
 * for that (Student's t; Abramowitz, Stegun 26.7.5 to second order, at 1.96). */
static double student_factor(double freedom)
{
  const double z2 = 1.96 * 1.96;
  return 1.0 + (z2 + 1.0) / (4.0 * freedom) +
         ((5.0 * z2 + 16.0) * z2 + 3.0) / (96.0 * freedom * freedom);
}

/* Without harmonics: the spread of the means of whole blocks, or of single directions where there
 * are not two blocks. */
static void plain_mean(size_t count, size_t d, const double *values, double *mean, double *error)
{
  const size_t axes = axes_of(d), block = count >= 2 * axes ? axes : 1, blocks = count / block;
  double squares = 0.0;
  *mean = bm_tree_sum(count, values) / (double)count;
  for (size_t b = 0; b < blocks; b++) {
    const double of_block = bm_tree_sum(block, values + b * block) / (double)block - *mean;
    squares += of_block * of_block;
  }
  const double freedom = (double)blocks - 1.0;
  *error = blocks > 1
               ? student_factor(freedom) * sqrt(squares / freedom * (double)block / (double)count)
               : NAN;
}

bm_status_t bm_sliced_mean(uint64_t seed, size_t count, size_t d, const double *values,
                           double *mean, double *error)
{
  const size_t degree = choose_degree(d, count);
  fit_t fit = {0};
  plain_mean(count, d, values, mean, error);
  if (degree == 0) {
    return BM_OK;
  }
  bm_status_t status = create_fit(count, count_monomials(d, degree, count), d, &fit);
  if (status == BM_OK) {
    status = bm_sliced_directions(seed, 0, count, d, fit.directions);
  }
  if (status == BM_OK) {
    fill_design(d, degree, &fit);
    if (solve_fit(&fit, values)) {
      read_fit(&fit, values, mean, error);
    }
  }
  free_fit(&fit);
  return status;
}

/* --- projections ------------------------------------------------------------------------------ */

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
