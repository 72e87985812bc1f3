#include "boltzmap/geometry/alignment.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"

#define BM_ROUNDS 10      /* of the mean; it has converged to rounding after about six */
#define BM_UNDECIDED 1e-9 /* relative gap of eigenvalues below which rotations are equally good */
#define BM_LINE_LIMIT \
  1e-6 /* least size of a rotation's direction, in units of the structure's size */
#define BM_CENTRED \
  1e-15 /* relative distance of a centre from the origin that is rounding, a particle */

static void find_centre(size_t particles, const double *x, double mean[3])
{
  mean[0] = 0.0;
  mean[1] = 0.0;
  mean[2] = 0.0;
  for (size_t i = 0; i < particles; i++) {
    for (size_t c = 0; c < 3; c++) {
      mean[c] += x[3 * i + c] / (double)particles;
    }
  }
}

/* Move the centre of a configuration to the origin; y may be x. */
static void centre(size_t particles, const double *x, double *y)
{
  double mean[3];
  find_centre(particles, x, mean);
  for (size_t i = 0; i < particles; i++) {
    for (size_t c = 0; c < 3; c++) {
      y[3 * i + c] = x[3 * i + c] - mean[c];
    }
  }
}

/* e_axis × x_i of all particles. */
static void turn_about(size_t particles, const double *x, size_t axis, double *out)
{
  const size_t b = (axis + 1) % 3;
  const size_t c = (axis + 2) % 3;
  for (size_t i = 0; i < particles; i++) {
    out[3 * i + axis] = 0.0;
    out[3 * i + b] = -x[3 * i + c];
    out[3 * i + c] = x[3 * i + b];
  }
}

static double dot(size_t n, const double *a, const double *b)
{
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) {
    sum += a[i] * b[i];
  }
  return sum;
}

/* Take out of row k what lies along the rows before it, twice against rounding, and scale it to one. What was
 * left of its length. */
static double orthonormalise(size_t d, double *rows, size_t k)
{
  double *row = rows + k * d;
  for (int pass = 0; pass < 2; pass++) {
    for (size_t j = 0; j < k; j++) {
      double along = dot(d, row, rows + j * d);
      for (size_t i = 0; i < d; i++) {
        row[i] -= along * rows[j * d + i];
      }
    }
  }
  double length = sqrt(dot(d, row, row));
  for (size_t i = 0; i < d; i++) {
    row[i] /= length;
  }
  return length;
}

static bm_status_t fill_rigid(bm_alignment_t *alignment)
{
  const size_t d = 3 * alignment->particles;
  const double size = sqrt(dot(d, alignment->reference, alignment->reference));
  double *rows = alignment->rigid;
  for (size_t c = 0; c < 3; c++) {
    for (size_t i = 0; i < alignment->particles; i++) {
      rows[c * d + 3 * i + c] = 1.0;
    }
    orthonormalise(d, rows, c);
  }
  for (size_t c = 0; c < 3; c++) {
    turn_about(alignment->particles, alignment->reference, c, rows + (3 + c) * d);
    if (!(orthonormalise(d, rows, 3 + c) > BM_LINE_LIMIT * size)) {
      return BM_FAIL(BM_ERR_DATA, "the structure to align onto has all its particles on one line: "
                                  "its rotations cannot be told apart");
    }
  }
  return BM_OK;
}

/* A reference that has been centred stays as it is: one from a file is the same bits as before. */
static int is_centred(size_t particles, const double *x)
{
  const double size = sqrt(dot(3 * particles, x, x) / (double)particles);
  double mean[3];
  find_centre(particles, x, mean);
  return sqrt(dot(3, mean, mean)) <= BM_CENTRED * (double)particles * size;
}

static bm_status_t fill(size_t particles, const double *reference, bm_alignment_t *made)
{
  made->particles = particles;
  BM_TRY(BM_ALLOC(3 * particles, &made->reference));
  BM_TRY(BM_ALLOC(BM_RIGID * 3 * particles, &made->rigid));
  if (is_centred(particles, reference)) {
    memcpy(made->reference, reference, 3 * particles * sizeof *reference);
  } else {
    centre(particles, reference, made->reference);
  }
  return fill_rigid(made);
}

bm_status_t bm_alignment_create(size_t particles, const double *reference, bm_alignment_t **out)
{
  *out = NULL;
  if (particles < 3) {
    return BM_FAIL(BM_ERR_DATA, "alignment needs at least 3 particles, there are %zu", particles);
  }
  BM_TRY(BM_ALLOC(1, out));
  bm_status_t status = fill(particles, reference, *out);
  if (status != BM_OK) {
    bm_alignment_destroy(out);
  }
  return status;
}

void bm_alignment_destroy(bm_alignment_t **alignment)
{
  if (*alignment != NULL) {
    bm_free((*alignment)->reference);
    bm_free((*alignment)->rigid);
  }
  bm_free(*alignment);
  *alignment = NULL;
}

/* Horn's matrix of the rotation that takes x onto a, from their centred coordinates. */
static void horn(size_t particles, const double *x, const double *a, double k[16])
{
  double s[3][3] = {{0.0}};
  for (size_t i = 0; i < particles; i++) {
    for (size_t r = 0; r < 3; r++) {
      for (size_t c = 0; c < 3; c++) {
        s[r][c] += x[3 * i + r] * a[3 * i + c];
      }
    }
  }
  const double rows[16] = {
      s[0][0] + s[1][1] + s[2][2],
      s[1][2] - s[2][1],
      s[2][0] - s[0][2],
      s[0][1] - s[1][0], /**/
      s[1][2] - s[2][1],
      s[0][0] - s[1][1] - s[2][2],
      s[0][1] + s[1][0],
      s[2][0] + s[0][2], /**/
      s[2][0] - s[0][2],
      s[0][1] + s[1][0],
      -s[0][0] + s[1][1] - s[2][2],
      s[1][2] + s[2][1], /**/
      s[0][1] - s[1][0],
      s[2][0] + s[0][2],
      s[1][2] + s[2][1],
      -s[0][0] - s[1][1] + s[2][2],
  };
  memcpy(k, rows, sizeof rows);
}

/* The rotation of a unit quaternion (w, x, y, z). */
static void rotation_of(const double q[4], double r[3][3])
{
  const double w = q[0];
  const double x = q[1];
  const double y = q[2];
  const double z = q[3];
  const double rows[3][3] = {
      {w * w + x * x - y * y - z * z, 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)},
      {2.0 * (x * y + w * z), w * w - x * x + y * y - z * z, 2.0 * (y * z - w * x)},
      {2.0 * (x * z - w * y), 2.0 * (y * z + w * x), w * w - x * x - y * y + z * z},
  };
  memcpy(r, rows, sizeof rows);
}

/* Turn a centred configuration onto the reference, in place. */
static bm_status_t turn_onto(const bm_alignment_t *alignment, size_t number, double *y)
{
  double k[16];
  double values[4];
  double r[3][3];
  horn(alignment->particles, y, alignment->reference, k);
  int info = LAPACKE_dsyev(LAPACK_ROW_MAJOR, 'V', 'U', 4, k, 4, values);
  if (info != 0) {
    return BM_FAIL(BM_ERR_INTERNAL, "alignment: LAPACK dsyev gives %d", info);
  }
  if (!(values[3] - values[2] > BM_UNDECIDED * fabs(values[3]))) {
    return BM_FAIL(BM_ERR_DATA,
                   "configuration %zu cannot be aligned: several rotations fit it equally well",
                   number);
  }
  const double q[4] = {k[3], k[7], k[11], k[15]};
  rotation_of(q, r);
  for (size_t i = 0; i < alignment->particles; i++) {
    double *atom = y + 3 * i;
    const double old[3] = {atom[0], atom[1], atom[2]};
    for (size_t c = 0; c < 3; c++) {
      atom[c] = r[c][0] * old[0] + r[c][1] * old[1] + r[c][2] * old[2];
    }
  }
  return BM_OK;
}

bm_status_t bm_alignment_apply(const bm_alignment_t *alignment, size_t n, const double *x,
                               double *y)
{
  const size_t d = 3 * alignment->particles;
  for (size_t i = 0; i < n; i++) {
    centre(alignment->particles, x + i * d, y + i * d);
    BM_TRY(turn_onto(alignment, i, y + i * d));
  }
  return BM_OK;
}

/* Mean of n aligned configurations; `work` [2][particles][3]. */
static bm_status_t aligned_mean(const bm_alignment_t *alignment, size_t n, const double *x,
                                double *work)
{
  const size_t d = 3 * alignment->particles;
  double *mean = work;
  double *one = work + d;
  memset(mean, 0, d * sizeof *mean);
  for (size_t i = 0; i < n; i++) {
    centre(alignment->particles, x + i * d, one);
    BM_TRY(turn_onto(alignment, i, one));
    for (size_t k = 0; k < d; k++) {
      mean[k] += one[k] / (double)n;
    }
  }
  return BM_OK;
}

bm_status_t bm_alignment_fit(size_t particles, size_t n, const double *x, const double *first,
                             bm_alignment_t **out)
{
  double *work = NULL;
  BM_TRY(bm_alignment_create(particles, first, out));
  bm_status_t status = BM_ALLOC(2 * 3 * particles, &work);
  for (int round = 0; status == BM_OK && round < BM_ROUNDS; round++) {
    status = aligned_mean(*out, n, x, work);
    bm_alignment_destroy(out);
    if (status == BM_OK) {
      status = bm_alignment_create(particles, work, out);
    }
  }
  bm_free(work);
  if (status != BM_OK) {
    bm_alignment_destroy(out);
  }
  return status;
}

void bm_alignment_project(const bm_alignment_t *alignment, double *y, double *along)
{
  const size_t d = 3 * alignment->particles;
  for (size_t k = 0; k < BM_RIGID; k++) {
    const double *row = alignment->rigid + k * d;
    double part = dot(d, row, y);
    for (size_t i = 0; i < d; i++) {
      y[i] -= part * row[i];
    }
    if (along != NULL) {
      along[k] = part;
    }
  }
}

/* M of the log volume. */
static void fill_turns(const bm_alignment_t *alignment, const double *y, double m[3][3])
{
  const size_t d = 3 * alignment->particles;
  for (size_t k = 0; k < 3; k++) {
    const double *r = alignment->rigid + (3 + k) * d;
    for (size_t l = 0; l < 3; l++) {
      const size_t b = (l + 1) % 3;
      const size_t c = (l + 2) % 3;
      m[k][l] = 0.0;
      for (size_t i = 0; i < alignment->particles; i++) {
        m[k][l] += r[3 * i + c] * y[3 * i + b] - r[3 * i + b] * y[3 * i + c];
      }
    }
  }
}

static double determinant(double m[3][3])
{
  return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
         m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
         m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

double bm_alignment_log_volume(const bm_alignment_t *alignment, const double *y)
{
  double m[3][3];
  fill_turns(alignment, y, m);
  return log(fabs(determinant(m)));
}

/* M_kl = Σ_i y_i · (r_ki × e_l), and the gradient of log|det M| by M is the inverse of M, transposed: atom i has
 * Σ_k r_ki × w_k with column k of the inverse as w_k. */
void bm_alignment_log_volume_gradient(const bm_alignment_t *alignment, const double *y,
                                      double *gradient)
{
  const size_t d = 3 * alignment->particles;
  double m[3][3];
  fill_turns(alignment, y, m);
  const double det = determinant(m);
  memset(gradient, 0, d * sizeof *gradient);
  for (size_t k = 0; k < 3; k++) {
    const double *r = alignment->rigid + (3 + k) * d;
    const double *b = m[(k + 1) % 3];
    const double *c = m[(k + 2) % 3];
    const double w[3] = {(b[1] * c[2] - b[2] * c[1]) / det, (b[2] * c[0] - b[0] * c[2]) / det,
                         (b[0] * c[1] - b[1] * c[0]) / det};
    for (size_t i = 0; i < d; i += 3) {
      gradient[i] += r[i + 1] * w[2] - r[i + 2] * w[1];
      gradient[i + 1] += r[i + 2] * w[0] - r[i] * w[2];
      gradient[i + 2] += r[i] * w[1] - r[i + 1] * w[0];
    }
  }
}
