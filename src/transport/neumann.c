#include "boltzmap/transport/neumann.h"

#include <fftw3.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"

#define BM_LINES 8 /* lines that are copied together: neighbours share cache lines */

/* What can be done to a line, in the order of `kinds`. */
typedef enum { TO_MODES, FROM_COSINES, FROM_SINES, TRANSFORMS } transform_t;

static const fftw_r2r_kind kinds[TRANSFORMS] = {FFTW_REDFT10, FFTW_REDFT01, FFTW_RODFT00};

struct bm_neumann {
  const bm_context_t *context;
  bm_shared_t *shared;
  bm_box_t box;
  fftw_plan plans[BM_BOX_AXES][TRANSFORMS];
  double *square[BM_BOX_AXES]; /* [cells of the axis]: k² */
  double *smooth[BM_BOX_AXES]; /* [cells of the axis]: what a cubic spline makes of the mode */
  double *lower[BM_BOX_AXES];  /* [cells of the axis]: k²/s; 0 where k is 0 */
  double *lines;               /* [BM_LINES][room] */
  size_t room;                 /* of a line, whole cache lines */
};

static bm_status_t set_tables(bm_neumann_t *self, size_t axis)
{
  const size_t n = self->box.cells[axis];
  const double spacing = bm_box_spacing(&self->box, axis);
  BM_TRY(BM_ALLOC(n, &self->square[axis]));
  BM_TRY(BM_ALLOC(n, &self->smooth[axis]));
  BM_TRY(BM_ALLOC(n, &self->lower[axis]));
  for (size_t i = 0; i < n; i++) {
    const double angle = M_PI * (double)i / (double)n;
    const double k = angle / spacing;
    self->square[axis][i] = k * k;
    self->smooth[axis][i] = (2.0 + cos(angle)) / 3.0;
    self->lower[axis][i] = i == 0 ? 0.0 : k * k * spacing / (2.0 * sin(0.5 * angle));
  }
  return BM_OK;
}

static bm_status_t set_plans(bm_neumann_t *self, size_t axis)
{
  for (int t = 0; t < TRANSFORMS; t++) {
    const int n = (int)self->box.cells[axis] - (t == FROM_SINES);
    self->plans[axis][t] = fftw_plan_r2r_1d(n, self->lines, self->lines, kinds[t], FFTW_ESTIMATE);
    if (self->plans[axis][t] == NULL) {
      return BM_FAIL(BM_ERR_MEMORY, "out of memory: transform of %d numbers", n);
    }
  }
  return BM_OK;
}

static bm_status_t set_up(bm_neumann_t *self)
{
  for (size_t k = 0; k < self->box.d; k++) {
    self->room = self->box.cells[k] > self->room ? self->box.cells[k] : self->room;
  }
  self->room = (self->room + 7) / 8 * 8;
  BM_TRY(BM_ALLOC(BM_LINES * self->room, &self->lines));
  for (size_t k = 0; k < self->box.d; k++) {
    BM_TRY(set_tables(self, k));
    BM_TRY(set_plans(self, k));
  }
  return BM_OK;
}

bm_status_t bm_neumann_create(const bm_context_t *context, bm_shared_t *shared, const bm_box_t *box,
                              bm_neumann_t **out)
{
  *out = NULL;
  bm_neumann_t *self;
  BM_TRY(BM_ALLOC(1, &self));
  self->context = context;
  self->shared = shared;
  self->box = *box;
  bm_status_t status = set_up(self);
  if (status != BM_OK) {
    bm_neumann_destroy(&self);
    return status;
  }
  *out = self;
  return BM_OK;
}

void bm_neumann_destroy(bm_neumann_t **neumann)
{
  bm_neumann_t *self = *neumann;
  for (size_t k = 0; self != NULL && k < BM_BOX_AXES; k++) {
    for (int t = 0; t < TRANSFORMS; t++) {
      if (self->plans[k][t] != NULL) {
        fftw_destroy_plan(self->plans[k][t]);
      }
    }
    bm_free(self->square[k]);
    bm_free(self->smooth[k]);
    bm_free(self->lower[k]);
  }
  if (self != NULL) {
    bm_free(self->lines);
  }
  bm_free(self);
  *neumann = NULL;
}

static void wait_for_all(bm_neumann_t *self)
{
  bm_shared_arrive(self->shared);
  bm_shared_wait(self->shared);
}

static size_t last_cells(const bm_neumann_t *self)
{
  return self->box.cells[self->box.d - 1];
}

bm_range_t bm_neumann_share(const bm_neumann_t *self)
{
  const size_t n = last_cells(self);
  bm_range_t lines = bm_partition(bm_box_cells(&self->box) / n, self->context->host_size,
                                  self->context->host_rank);
  return (bm_range_t){lines.first * n, lines.count * n};
}

/* Transform `count` neighbouring lines, the first of which begins at `first`. Of sines there is none on the
 * lowest face. */
static void transform_lines(bm_neumann_t *self, size_t axis, transform_t what, size_t stride,
                            size_t count, double *first)
{
  const size_t n = self->box.cells[axis];
  const size_t begin = what == FROM_SINES;
  const double factor = what == TO_MODES ? 1.0 : 0.5 / (double)n;
  for (size_t i = begin; i < n; i++) {
    for (size_t l = 0; l < count; l++) {
      self->lines[l * self->room + i - begin] = first[i * stride + l];
    }
  }
  for (size_t l = 0; l < count; l++) {
    double *line = self->lines + l * self->room;
    fftw_execute_r2r(self->plans[axis][what], line, line);
  }
  for (size_t l = 0; l < count && begin > 0; l++) {
    first[l] = 0.0;
  }
  for (size_t i = begin; i < n; i++) {
    for (size_t l = 0; l < count; l++) {
      first[i * stride + l] = factor * self->lines[l * self->room + i - begin];
    }
  }
}

/* All lines along an axis. */
static void transform_axis(bm_neumann_t *self, size_t axis, transform_t what, double *array)
{
  const size_t n = self->box.cells[axis];
  size_t stride = 1;
  for (size_t k = axis + 1; k < self->box.d; k++) {
    stride *= self->box.cells[k];
  }
  const size_t outer = bm_box_cells(&self->box) / (n * stride);
  const size_t groups = (stride + BM_LINES - 1) / BM_LINES;
  bm_range_t own = bm_partition(outer * groups, self->context->host_size, self->context->host_rank);
  for (size_t g = own.first; g < own.first + own.count; g++) {
    const size_t inner = g % groups * BM_LINES;
    const size_t count = stride - inner < BM_LINES ? stride - inner : BM_LINES;
    transform_lines(self, axis, what, stride, count, array + g / groups * n * stride + inner);
  }
  wait_for_all(self);
}

static void transform_all(bm_neumann_t *self, transform_t what, double *array)
{
  for (size_t k = 0; k < self->box.d; k++) {
    transform_axis(self, k, what, array);
  }
}

/* Places along the axes of the line of the last axis that begins at this cell. */
static void find_place(const bm_box_t *box, size_t cell, size_t place[BM_BOX_AXES])
{
  for (size_t k = box->d; k-- > 0;) {
    place[k] = cell % box->cells[k];
    cell /= box->cells[k];
  }
}

/* The sum of what was transformed. */
static double sum_of_modes(const bm_neumann_t *self, const double *modes)
{
  return ldexp(modes[0], -(int)self->box.d);
}

double bm_neumann_interpolate(bm_neumann_t *self, double *array)
{
  const size_t last = self->box.d - 1;
  const size_t n = last_cells(self);
  const bm_range_t own = bm_neumann_share(self);
  transform_all(self, TO_MODES, array);
  const double sum = sum_of_modes(self, array);
  wait_for_all(self);
  for (size_t cell = own.first; cell < own.first + own.count; cell += n) {
    size_t place[BM_BOX_AXES] = {0};
    double smooth = 1.0;
    find_place(&self->box, cell, place);
    for (size_t k = 0; k < last; k++) {
      smooth *= self->smooth[k][place[k]];
    }
    for (size_t i = 0; i < n; i++) {
      array[cell + i] /= smooth * self->smooth[last][i];
    }
  }
  wait_for_all(self);
  transform_all(self, FROM_COSINES, array);
  return sum;
}

double bm_neumann_sum(bm_neumann_t *self, const double *array, double *work)
{
  const bm_range_t own = bm_neumann_share(self);
  memcpy(work + own.first, array + own.first, own.count * sizeof *work);
  wait_for_all(self);
  transform_all(self, TO_MODES, work);
  const double sum = sum_of_modes(self, work);
  wait_for_all(self); /* all have read it before anybody goes on */
  return sum;
}

/* The modes of component j of the flux from those of the difference of the densities. */
static void set_flux_modes(const bm_neumann_t *self, size_t j, const double *modes, double *flux)
{
  const size_t last = self->box.d - 1;
  const size_t n = last_cells(self);
  const bm_range_t own = bm_neumann_share(self);
  for (size_t cell = own.first; cell < own.first + own.count; cell += n) {
    size_t place[BM_BOX_AXES] = {0};
    double square = 0.0;
    find_place(&self->box, cell, place);
    for (size_t k = 0; k < last; k++) {
      square += self->square[k][place[k]];
    }
    for (size_t i = 0; i < n; i++) {
      const double lower = self->lower[j][j == last ? i : place[j]];
      const double all = square + self->square[last][i];
      flux[cell + i] = lower > 0.0 ? -modes[cell + i] * lower / all : 0.0;
    }
  }
}

void bm_neumann_flux(bm_neumann_t *self, const double *const density[2], double *work,
                     double *const *flux)
{
  const bm_range_t own = bm_neumann_share(self);
  for (size_t i = own.first; i < own.first + own.count; i++) {
    work[i] = density[1][i] - density[0][i];
  }
  wait_for_all(self);
  transform_all(self, TO_MODES, work);
  for (size_t j = 0; j < self->box.d; j++) {
    set_flux_modes(self, j, work, flux[j]);
    wait_for_all(self);
    for (size_t k = 0; k < self->box.d; k++) {
      transform_axis(self, k, k == j ? FROM_SINES : FROM_COSINES, flux[j]);
    }
  }
}
