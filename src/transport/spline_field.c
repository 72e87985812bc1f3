#include "boltzmap/transport/spline_field.h"

#include <assert.h>
#include <math.h>

#define BM_CUBIC 4
#define BM_QUARTIC 5

/* The B-splines along an axis that are not zero at a coordinate. An axis that is not in use has one, of value
 * one. */
typedef struct {
  size_t count;
  size_t place[BM_QUARTIC];                    /* of the coefficient, in the array */
  double value[BM_QUARTIC], slope[BM_QUARTIC]; /* with the sign of the mirror image */
} splines_t;

/* A value and its derivatives along the four axes. */
typedef struct {
  double value, slope[BM_BOX_AXES];
} jet_t;

size_t bm_box_cells(const bm_box_t *box)
{
  size_t cells = 1;
  for (size_t k = 0; k < box->d; k++) {
    cells *= box->cells[k];
  }
  return cells;
}

double bm_box_spacing(const bm_box_t *box, size_t axis)
{
  return (box->high[axis] - box->low[axis]) / (double)box->cells[axis];
}

/* Values of the four cubic B-splines around u, 0 ≤ u < 1 of the way from the second to the third. */
static void cubic_values(double u, double *value /* [4] */)
{
  const double v = 1.0 - u;
  value[0] = v * v * v / 6.0;
  value[1] = (4.0 - 3.0 * u * u * (2.0 - u)) / 6.0;
  value[2] = (4.0 - 3.0 * v * v * (2.0 - v)) / 6.0;
  value[3] = u * u * u / 6.0;
}

static void cubic_slopes(double u, double *slope /* [4] */)
{
  const double v = 1.0 - u;
  slope[0] = -0.5 * v * v;
  slope[1] = 0.5 * u * (3.0 * u - 4.0);
  slope[2] = -0.5 * v * (3.0 * v - 4.0);
  slope[3] = 0.5 * u * u;
}

/* Values of the five quartic B-splines around the third, at -1/2 ≤ u < 1/2 from it. */
static void quartic_values(double u, double *value /* [5] */)
{
  const double a = 0.5 - u;
  const double b = 0.5 + u;
  const double w = u * u;
  value[0] = a * a * a * a / 24.0;
  value[1] = (19.0 / 96.0) - u * (11.0 / 24.0) + w * 0.25 + u * w / 6.0 - w * w / 6.0;
  value[2] = (115.0 / 192.0) - w * (5.0 / 8.0) + 0.25 * w * w;
  value[3] = (19.0 / 96.0) + u * (11.0 / 24.0) + w * 0.25 - u * w / 6.0 - w * w / 6.0;
  value[4] = b * b * b * b / 24.0;
}

/* The derivative of a B-spline is the difference of two of a degree less, half a cell apart. */
static void quartic_slopes(double u, double *slope /* [5] */)
{
  double cubic[BM_CUBIC];
  cubic_values(u + 0.5, cubic);
  slope[0] = -cubic[0];
  for (size_t i = 1; i < BM_CUBIC; i++) {
    slope[i] = cubic[i - 1] - cubic[i];
  }
  slope[4] = cubic[3];
}

/* Cubic ones, centred in the cells, at the coordinate s in cells from the lower wall. */
static void set_cubic(double s, size_t cells, double spacing, splines_t *splines)
{
  const double first = floor(s - 0.5);
  const long n = (long)cells;
  cubic_values(s - 0.5 - first, splines->value);
  cubic_slopes(s - 0.5 - first, splines->slope);
  splines->count = BM_CUBIC;
  for (long i = 0; i < BM_CUBIC; i++) {
    long place = (long)first - 1 + i;
    place = place < 0 ? -1 - place : place;
    place = place >= n ? 2 * n - 1 - place : place;
    splines->place[i] = (size_t)place;
    splines->slope[i] /= spacing;
  }
}

/* Quartic ones, centred on the faces; those on the walls are zero. */
static void set_quartic(double s, size_t cells, double spacing, splines_t *splines)
{
  const double centre = floor(s + 0.5);
  const long n = (long)cells;
  quartic_values(s - centre, splines->value);
  quartic_slopes(s - centre, splines->slope);
  splines->count = BM_QUARTIC;
  for (long i = 0; i < BM_QUARTIC; i++) {
    long place = (long)centre - 2 + i;
    double sign = 1.0;
    if (place < 0 || place > n) {
      place = place < 0 ? -place : 2 * n - place;
      sign = -1.0;
    }
    if (place == n) { /* the upper wall has no place in the array */
      place = 0;
    }
    splines->place[i] = (size_t)place;
    splines->value[i] *= sign;
    splines->slope[i] *= sign / spacing;
  }
}

/* Sum over the innermost axis. */
static inline void add_line(const double *line, const splines_t *splines, double *value,
                            double *slope)
{
  double sum = 0.0;
  double change = 0.0;
  for (size_t i = 0; i < splines->count; i++) {
    sum += line[splines->place[i]] * splines->value[i];
    change += line[splines->place[i]] * splines->slope[i];
  }
  *value = sum;
  *slope = change;
}

static void add_plane(const double *plane, const splines_t *const axes[BM_BOX_AXES], jet_t *sum)
{
  const splines_t *splines = axes[2];
  *sum = (jet_t){0.0, {0.0}};
  for (size_t i = 0; i < splines->count; i++) {
    double value;
    double slope;
    add_line(plane + splines->place[i], axes[3], &value, &slope);
    sum->value += splines->value[i] * value;
    sum->slope[2] += splines->slope[i] * value;
    sum->slope[3] += splines->value[i] * slope;
  }
}

/* Add `from`, made at one place along an axis, to the sum along it. */
static inline void add_jet(const splines_t *splines, size_t i, size_t axis, const jet_t *from,
                           jet_t *sum)
{
  sum->value += splines->value[i] * from->value;
  sum->slope[axis] += splines->slope[i] * from->value;
  for (size_t k = axis + 1; k < BM_BOX_AXES; k++) {
    sum->slope[k] += splines->value[i] * from->slope[k];
  }
}

static jet_t sum_all(const double *array, const splines_t *const axes[BM_BOX_AXES])
{
  jet_t total = {0.0, {0.0}};
  for (size_t i = 0; i < axes[0]->count; i++) {
    jet_t inner = {0.0, {0.0}};
    for (size_t j = 0; j < axes[1]->count; j++) {
      jet_t plane;
      add_plane(array + axes[0]->place[i] + axes[1]->place[j], axes, &plane);
      add_jet(axes[1], j, 1, &plane, &inner);
    }
    add_jet(axes[0], i, 0, &inner, &total);
  }
  return total;
}

/* The point of the box that x is the mirror image of. */
static void fold(const bm_box_t *box, double *x)
{
  for (size_t k = 0; k < box->d; k++) {
    const double width = box->high[k] - box->low[k];
    double s = fmod(fabs(x[k] - box->low[k]), 2.0 * width);
    s = s > width ? 2.0 * width - s : s;
    x[k] = box->low[k] + s;
  }
}

static void scale_places(splines_t *splines, size_t stride)
{
  for (size_t i = 0; i < splines->count; i++) {
    splines->place[i] *= stride;
  }
}

/* The splines of all axes at a point of the box; those in use are the last, so that inner sums are long. */
static void set_splines(const bm_box_t *box, const double *x, splines_t cubic[BM_BOX_AXES],
                        splines_t quartic[BM_BOX_AXES])
{
  const size_t unused = BM_BOX_AXES - box->d;
  size_t stride = 1;
  for (size_t k = 0; k < unused; k++) {
    cubic[k] = (splines_t){.count = 1, .value = {1.0}};
  }
  for (size_t k = box->d; k-- > 0;) {
    const double spacing = bm_box_spacing(box, k);
    const double s = (x[k] - box->low[k]) / spacing;
    set_cubic(s, box->cells[k], spacing, &cubic[unused + k]);
    set_quartic(s, box->cells[k], spacing, &quartic[unused + k]);
    scale_places(&cubic[unused + k], stride);
    scale_places(&quartic[unused + k], stride);
    stride *= box->cells[k];
  }
}

void bm_spline_field_at(const bm_spline_field_t *field, const double *x, bm_spline_values_t *values)
{
  const bm_box_t *box = &field->box;
  const size_t unused = BM_BOX_AXES - box->d;
  double inside[BM_BOX_AXES];
  double sign[BM_BOX_AXES]; /* of what is odd along an axis, in a mirror image */
  splines_t cubic[BM_BOX_AXES];
  splines_t quartic[BM_BOX_AXES];
  const splines_t *axes[BM_BOX_AXES];
  assert(box->d >= 1 && box->d <= BM_BOX_AXES);
  for (size_t k = 0; k < box->d; k++) {
    const double width = box->high[k] - box->low[k];
    inside[k] = x[k];
    sign[k] = fmod(floor((x[k] - box->low[k]) / width), 2.0) == 0.0 ? 1.0 : -1.0;
  }
  fold(box, inside);
  set_splines(box, inside, cubic, quartic);
  for (size_t k = 0; k < BM_BOX_AXES; k++) {
    axes[k] = &cubic[k];
  }
  for (size_t which = 0; which < 2; which++) {
    jet_t jet = sum_all(field->density[which], axes);
    values->density[which] = jet.value;
    for (size_t k = 0; k < box->d; k++) {
      values->slope[which][k] = sign[k] * jet.slope[unused + k];
    }
  }
  for (size_t j = 0; j < box->d; j++) {
    axes[unused + j] = &quartic[unused + j];
    jet_t jet = sum_all(field->flux[j], axes);
    axes[unused + j] = &cubic[unused + j];
    values->flux[j] = sign[j] * jet.value;
    for (size_t k = 0; k < box->d; k++) {
      values->flux_slope[j][k] = sign[j] * sign[k] * jet.slope[unused + k];
    }
  }
}
