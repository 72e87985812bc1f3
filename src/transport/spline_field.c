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

/* Rows for the splines of the last axis: a value and its derivatives along the axes before. */
#define BM_ROWS 4
typedef double rows_t[BM_ROWS][BM_QUARTIC];

/* rows[r] += factor · from[r], for the first `count` rows. */
static inline void add_rows(size_t count, size_t lanes, double factor, double (*from)[BM_QUARTIC],
                            double (*rows)[BM_QUARTIC])
{
  for (size_t r = 0; r < count; r++) {
    for (size_t l = 0; l < lanes; l++) {
      rows[r][l] += factor * from[r][l];
    }
  }
}

/* Sum over axis 2, [0] the value and [1] its derivative. */
static inline void sum_plane(const double *plane, const splines_t *const axes[BM_BOX_AXES],
                             size_t lanes, double (*sum)[BM_QUARTIC])
{
  const size_t *place = axes[3]->place;
  for (size_t i = 0; i < axes[2]->count; i++) {
    const double *line = plane + axes[2]->place[i];
    const double value = axes[2]->value[i];
    const double slope = axes[2]->slope[i];
    for (size_t l = 0; l < lanes; l++) {
      sum[0][l] += value * line[place[l]];
      sum[1][l] += slope * line[place[l]];
    }
  }
}

/* Axis by axis from the inside out; the last one, along which memory runs, comes at the end. */
static inline jet_t sum_lanes(const double *array, const splines_t *const axes[BM_BOX_AXES],
                              size_t lanes)
{
  rows_t total = {{0.0}}; /* value, derivatives along axes 2, 1, 0 */
  jet_t jet = {0.0, {0.0}};
  for (size_t i = 0; i < axes[0]->count; i++) {
    rows_t inner = {{0.0}}; /* value, derivatives along axes 2 and 1 */
    for (size_t j = 0; j < axes[1]->count; j++) {
      rows_t plane = {{0.0}};
      sum_plane(array + axes[0]->place[i] + axes[1]->place[j], axes, lanes, plane);
      add_rows(2, lanes, axes[1]->value[j], plane, inner);
      add_rows(1, lanes, axes[1]->slope[j], plane, inner + 2);
    }
    add_rows(3, lanes, axes[0]->value[i], inner, total);
    add_rows(1, lanes, axes[0]->slope[i], inner, total + 3);
  }
  for (size_t l = 0; l < lanes; l++) {
    jet.value += axes[3]->value[l] * total[0][l];
    jet.slope[3] += axes[3]->slope[l] * total[0][l];
    for (size_t k = 0; k < 3; k++) {
      jet.slope[k] += axes[3]->value[l] * total[3 - k][l];
    }
  }
  return jet;
}

/* With numbers of splines that the compiler knows. */
static jet_t sum_all(const double *array, const splines_t *const axes[BM_BOX_AXES])
{
  return axes[3]->count == BM_CUBIC ? sum_lanes(array, axes, BM_CUBIC)
                                    : sum_lanes(array, axes, BM_QUARTIC);
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
    assert(isfinite(x[k])); /* else the places would be anywhere */
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
