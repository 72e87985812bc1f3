/* Maps that are computed: the Moser map to a Boltzmann density (paper section 4.1). */

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/agree.h"
#include "map_parts.h"

#define BM_TOLERANCE 1e-8  /* of the integration, beside the size of the box */
#define BM_SOLVES 100      /* steps of Newton's method, at most */
#define BM_MASS_ERROR 1e-6 /* of a stored target, at most */

/* Share of the standard normal density below z. */
static double below(double z)
{
  return 0.5 * erfc(-z * M_SQRT1_2);
}

/* The z ≤ 0 below which the share is p ≤ 1/2. The share below the start is at most exp(-z²/2)/2 = p/2, and the
 * logarithm of the share is concave: Newton's method comes from below. */
static double quantile(double p)
{
  double z = -sqrt(-2.0 * log(p));
  for (int i = 0; i < BM_SOLVES; i++) {
    const double share = below(z);
    const double step = log(p / share) * share * sqrt(2.0 * M_PI) * exp(0.5 * z * z);
    z += step;
    if (fabs(step) < 1e-15 * (1.0 + fabs(z))) {
      break;
    }
  }
  return z;
}

/* The standard normal density to the same restricted to [-width, width], and back; both are odd. */
static double restricted(double width, double z)
{
  const double tail = below(-width);
  const double share = tail + (1.0 - 2.0 * tail) * below(-fabs(z));
  return copysign(fmin(-quantile(share), width), z);
}

static double unrestricted(double width, double y)
{
  const double tail = below(-width);
  const double share = (below(-fabs(y)) - tail) / (1.0 - 2.0 * tail);
  return copysign(-quantile(fmax(share, DBL_MIN)), y); /* at the wall any base is as good */
}

static double restricted_log_slope(double width, double z, double y)
{
  return log1p(-2.0 * below(-width)) + 0.5 * (y * y - z * z);
}

static void base_log_values(const void *self, size_t n, const double *x, double *values)
{
  const size_t d = *(const size_t *)self;
  for (size_t i = 0; i < n; i++) {
    values[i] = 0.0;
    for (size_t k = 0; k < d; k++) {
      values[i] -= 0.5 * x[i * d + k] * x[i * d + k];
    }
  }
}

typedef struct {
  const bm_potential_t *potential;
  const bm_chart_t *chart;
  size_t d;
} target_t;

static void target_log_values(const void *self, size_t n, const double *y, double *values)
{
  const target_t *target = self;
  for (size_t i = 0; i < n; i++) {
    double x[BM_BOX_AXES];
    double energy;
    bm_chart_decode(target->chart, y + i * target->d, x, NULL);
    bm_potential_energy(target->potential, 1, x, &energy, NULL);
    values[i] = -bm_potential_beta(target->potential) * energy;
  }
}

static bm_box_t box_of(size_t d, const size_t *cells, double width)
{
  bm_box_t box = {.d = d};
  for (size_t k = 0; k < d; k++) {
    box.cells[k] = cells[k];
    box.low[k] = -width;
    box.high[k] = width;
  }
  return box;
}

/* Takes over both on success, on all ranks or on none. Collective. */
static bm_status_t take(const bm_context_t *context, bm_moser_t *moser, const bm_layout_t *layout,
                        bm_chart_t *chart, bm_map_t **out)
{
  bm_status_t status =
      bm_agree(context, bm_map_create_common(&bm_map_kind_moser, layout, chart, out));
  if (status == BM_OK) {
    (*out)->moser = moser;
    (*out)->width = bm_moser_field(moser)->box.high[0];
  } else if (*out != NULL) {
    (*out)->chart = NULL;
    bm_map_destroy(out);
  }
  return status;
}

bm_status_t bm_map_create_moser(const bm_context_t *context, const bm_potential_t *potential,
                                const size_t *cells, double width, bm_chart_t *chart,
                                bm_map_t **out)
{
  const size_t d = bm_chart_dimension(chart);
  assert(d <= BM_BOX_AXES && d == bm_potential_dimension(potential));
  const bm_box_t box = box_of(d, cells, width);
  const target_t target = {potential, chart, d};
  const bm_density_t from = {"base", &d, base_log_values};
  const bm_density_t to = {"target", &target, target_log_values};
  bm_moser_t *moser;
  *out = NULL;
  BM_TRY(bm_moser_create(context, &box, &from, &to, &moser));
  bm_status_t status = take(context, moser, bm_potential_layout(potential), chart, out);
  if (status != BM_OK) {
    bm_moser_destroy(&moser);
  }
  return status;
}

static void destroy(bm_map_t *map)
{
  bm_moser_destroy(&map->moser);
}

const bm_moser_t *bm_map_moser(const bm_map_t *map)
{
  return map->moser;
}

/* Of one row: the base point restricted to the box, and moved. */
static bm_status_t move_row(bm_map_t *map, const bm_real_t *z, double *y, double *log_det,
                            double *jacobian)
{
  double slope[BM_BOX_AXES];
  double sum = 0.0;
  for (size_t k = 0; k < map->d; k++) {
    y[k] = restricted(map->width, (double)z[k]);
    slope[k] = restricted_log_slope(map->width, (double)z[k], y[k]);
    sum += slope[k];
  }
  BM_TRY(bm_moser_move(map->moser, 0.0, 1.0, BM_TOLERANCE, y, log_det, jacobian));
  *log_det += sum;
  for (size_t i = 0; jacobian != NULL && i < map->d * map->d; i++) {
    jacobian[i] *= exp(slope[i % map->d]);
  }
  return BM_OK;
}

static bm_status_t forward(bm_map_t *map, size_t rows)
{
  for (size_t i = 0; i < rows; i++) {
    double y[BM_BOX_AXES];
    BM_TRY(move_row(map, map->in + i * map->d, y, &map->log_det[i], NULL));
    for (size_t k = 0; k < map->d; k++) {
      map->out[i * map->d + k] = (bm_real_t)y[k];
    }
  }
  return BM_OK;
}

bm_status_t bm_map_moser_steps(const bm_map_t *map, const bm_chart_t *chart, size_t n,
                               const double *base, size_t steps, double *y)
{
  const size_t d = map->d;
  for (size_t i = 0; i < n; i++) {
    double place[BM_BOX_AXES];
    for (size_t k = 0; k < d; k++) {
      place[k] = restricted(map->width, base[i * d + k]);
    }
    for (size_t s = 0; s < steps; s++, y += d) {
      const double t = (double)(s + 1) / (double)steps;
      double x[BM_BOX_AXES];
      double log_det;
      BM_TRY(bm_moser_move(map->moser, (double)s / (double)steps, t, BM_TOLERANCE, place, &log_det,
                           NULL));
      bm_chart_decode(map->chart, place, x, NULL);
      bm_chart_encode(chart, x, y);
      for (size_t k = 0; k < d; k++) {
        y[k] = (1.0 - t) * place[k] + t * y[k];
      }
    }
  }
  return BM_OK;
}

/* Nothing of the base comes to points outside the box. */
static int is_outside(const bm_map_t *map, const bm_real_t *y)
{
  int outside = 0;
  for (size_t k = 0; k < map->d; k++) {
    outside = outside || fabs((double)y[k]) >= map->width;
  }
  return outside;
}

static bm_status_t inverse(bm_map_t *map, size_t rows)
{
  for (size_t i = 0; i < rows; i++) {
    const bm_real_t *y = map->in + i * map->d;
    bm_real_t *z = map->out + i * map->d;
    double x[BM_BOX_AXES];
    double log_det = 0.0;
    for (size_t k = 0; k < map->d; k++) {
      x[k] = (double)y[k];
    }
    if (is_outside(map, y)) {
      map->log_det[i] = INFINITY;
      memset(z, 0, map->d * sizeof *z);
      continue;
    }
    BM_TRY(bm_moser_move(map->moser, 1.0, 0.0, BM_TOLERANCE, x, &log_det, NULL));
    for (size_t k = 0; k < map->d; k++) {
      const double base = unrestricted(map->width, x[k]);
      log_det -= restricted_log_slope(map->width, base, x[k]);
      z[k] = (bm_real_t)base;
    }
    map->log_det[i] = -log_det;
  }
  return BM_OK;
}

static bm_status_t jacobian(bm_map_t *map, size_t rows)
{
  for (size_t i = 0; i < rows; i++) {
    double y[BM_BOX_AXES];
    BM_TRY(move_row(map, map->in + i * map->d, y, &map->log_det[i],
                    map->jacobian + i * map->d * map->d));
  }
  return BM_OK;
}

/* The base is known and the flux is solved for again: the target is what has to be kept. */
static bm_status_t save(bm_map_t *map, bm_state_t *state)
{
  const bm_spline_field_t *field = bm_moser_field(map->moser);
  int64_t sizes[2 + BM_BOX_AXES] = {(int64_t)map->layout.particles,
                                    (int64_t)map->layout.dimensions};
  for (size_t k = 0; k < map->d; k++) {
    sizes[2 + k] = (int64_t)field->box.cells[k];
  }
  BM_TRY(bm_state_put_string(state, "flow/precision", BM_REAL_NAME));
  BM_TRY(bm_state_put_ints(state, "moser/sizes", 2 + map->d, sizes));
  BM_TRY(bm_state_put_doubles(state, "moser/width", 1, &map->width));
  return bm_state_put_doubles(state, "moser/target", bm_box_cells(&field->box), field->density[1]);
}

/* Sizes that go together and with the number of coefficients that there are. */
static bm_status_t load_box(const bm_state_t *state, bm_box_t *box, bm_layout_t *layout)
{
  int64_t sizes[2 + BM_BOX_AXES];
  size_t cells[BM_BOX_AXES] = {0};
  double width;
  double all = 1.0;
  const size_t count = bm_state_count(state, "moser/sizes");
  if (count < 3 || count > 2 + BM_BOX_AXES) {
    return BM_FAIL(BM_ERR_DATA, "the model's block 'moser/sizes' is missing or has a wrong length");
  }
  BM_TRY(bm_state_get_ints(state, "moser/sizes", count, sizes));
  BM_TRY(bm_state_get_doubles(state, "moser/width", 1, &width));
  int good = width >= BM_MAP_WIDTH_LEAST && width <= BM_MAP_WIDTH_MOST && sizes[0] > 0 &&
             sizes[1] > 0 && sizes[0] <= BM_BOX_AXES && sizes[1] <= BM_BOX_AXES &&
             sizes[0] * sizes[1] == (int64_t)count - 2;
  for (size_t k = 2; k < count; k++) {
    good = good && sizes[k] >= BM_BOX_CELLS_LEAST && sizes[k] <= BM_MAP_CELLS_MOST;
    cells[k - 2] = (size_t)sizes[k];
    all *= (double)sizes[k];
  }
  if (!good || all != (double)bm_state_count(state, "moser/target")) {
    return BM_FAIL(BM_ERR_DATA, "the model's sizes make no sense");
  }
  *box = box_of(count - 2, cells, width);
  return bm_map_load_layout(state, sizes[0], sizes[1], layout);
}

static bm_status_t load_target(const bm_state_t *state, const bm_box_t *box, double **target)
{
  const size_t cells = bm_box_cells(box);
  double mass = 0.0;
  double volume = 1.0;
  int positive = 1;
  BM_TRY(BM_ALLOC(cells, target));
  BM_TRY(bm_state_get_doubles(state, "moser/target", cells, *target));
  for (size_t k = 0; k < box->d; k++) {
    volume *= bm_box_spacing(box, k);
  }
  for (size_t i = 0; i < cells; i++) {
    positive = positive && (*target)[i] > 0.0;
    mass += (*target)[i] * volume;
  }
  return positive && fabs(mass - 1.0) < BM_MASS_ERROR
             ? BM_OK
             : BM_FAIL(BM_ERR_DATA, "the model's target is no density");
}

/* What the container holds: the same on all ranks. */
static bm_status_t load_parts(const bm_context_t *context, const bm_state_t *state, bm_box_t *box,
                              bm_layout_t *layout, bm_chart_t **chart, double **target)
{
  if (context == NULL) {
    return BM_FAIL(BM_ERR_USAGE, "a Moser map cannot be used here");
  }
  BM_TRY(load_box(state, box, layout));
  BM_TRY(load_target(state, box, target));
  BM_TRY(bm_chart_load(state, layout->particles, layout->dimensions, chart));
  if (bm_chart_dimension(*chart) != box->d || bm_chart_shape_dimension(*chart) != box->d) {
    return BM_FAIL(BM_ERR_DATA, "the model's sizes make no sense");
  }
  return BM_OK;
}

static bm_status_t load(const bm_context_t *context, const bm_state_t *state, bm_map_t **out)
{
  bm_box_t box = {.d = 0};
  bm_layout_t layout;
  bm_chart_t *chart = NULL;
  double *target = NULL;
  bm_moser_t *moser = NULL;
  const bm_density_t from = {"base", &box.d, base_log_values};
  bm_status_t status = load_parts(context, state, &box, &layout, &chart, &target);
  if (context != NULL) {
    status = bm_agree(context, status);
  }
  if (status == BM_OK) {
    status = bm_moser_restore(context, &box, &from, target, &moser);
  }
  bm_free(target);
  if (status == BM_OK) {
    status = take(context, moser, &layout, chart, out);
  }
  if (status != BM_OK) {
    bm_moser_destroy(&moser);
    bm_chart_destroy(&chart);
  }
  return status;
}

const bm_map_kind_t bm_map_kind_moser = {
    .name = "moser",
    .forward = forward,
    .inverse = inverse,
    .jacobian = jacobian,
    .save = save,
    .load = load,
    .destroy = destroy,
};
