#include "boltzmap/transport/moser.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/shared.h"
#include "boltzmap/transport/neumann.h"

#define BM_REST 30.0 /* e^-30 of the way may be left when the flow is said to have come to an end */
#define BM_LOG_LEAST \
  -640.0                /* of a density beside its largest value: what can be divided by its mass */
#define BM_STEPS 100000 /* of one integration, at most */
#define BM_FIRST_STEP 0.01
#define BM_STAGES 7 /* of the method of Dormand and Prince */
#define BM_STATE (BM_BOX_AXES + 1 + BM_BOX_AXES * BM_BOX_AXES)

struct bm_moser {
  const bm_context_t *context;
  bm_shared_t *shared;
  bm_spline_field_t field;
  double *density[2], *flux[BM_BOX_AXES], *work; /* in the memory that the host shares */
  double raised[2];
  double end; /* the clock (see clock_at) when all has come to rest */
};

static void place_arrays(bm_moser_t *self)
{
  const size_t cells = bm_box_cells(&self->field.box);
  double *next = bm_shared_part(self->shared, 0);
  for (int which = 0; which < 2; which++, next += cells) {
    self->density[which] = next;
    self->field.density[which] = next;
  }
  for (size_t j = 0; j < self->field.box.d; j++, next += cells) {
    self->flux[j] = next;
    self->field.flux[j] = next;
  }
  self->work = next;
}

static bm_status_t make_room(bm_moser_t *self)
{
  const bm_context_t *context = self->context;
  const size_t cells = bm_box_cells(&self->field.box);
  const size_t bytes = (3 + self->field.box.d) * cells * sizeof(double);
  int room;
  BM_TRY(bm_shared_create(context, context->host_rank == 0 ? bytes : 0, &room, &self->shared));
  if (!room) {
    return BM_FAIL(BM_ERR_MEMORY,
                   "Moser map: no room for %.3g GB of shared memory; take fewer cells, or make "
                   "/dev/shm larger",
                   1e-9 * (double)bytes);
  }
  place_arrays(self);
  return BM_OK;
}

/* Where a density is zero beside its largest value, or no number. */
static bm_status_t fail_at(const bm_box_t *box, const char *name, const double *x, double log_value)
{
  char text[128] = "";
  size_t used = 0;
  for (size_t k = 0; k < box->d; k++) {
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%.4g", k == 0 ? "" : ", ", x[k]);
  }
  return BM_FAIL(BM_ERR_DATA,
                 "Moser map: at (%s) of the box, in its own coordinates, the density of the %s is "
                 "exp(%g) of its largest value, and has to be positive everywhere; take a smaller "
                 "box or a softer potential",
                 text, name, log_value);
}

static void find_centre(const bm_box_t *box, size_t cell, double *x)
{
  for (size_t k = box->d; k-- > 0;) {
    x[k] = box->low[k] + ((double)(cell % box->cells[k]) + 0.5) * bm_box_spacing(box, k);
    cell /= box->cells[k];
  }
}

/* Values at the centres of this rank's cells, beside the largest of all. */
static bm_status_t fill(const bm_moser_t *self, const bm_range_t *own, const bm_density_t *density,
                        double *values)
{
  const bm_box_t *box = &self->field.box;
  const size_t end = own->first + own->count;
  double x[BM_BOX_AXES];
  double most = -INFINITY;
  for (size_t cell = own->first; cell < end; cell++) {
    find_centre(box, cell, x);
    density->log_values(density->self, 1, x, &values[cell]);
    most = fmax(most, values[cell]);
  }
  BM_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_DOUBLE, MPI_MAX, self->context->comm));
  for (size_t cell = own->first; cell < end; cell++) {
    const double log_value = values[cell] - most;
    values[cell] = exp(log_value);
    if (!(log_value >= BM_LOG_LEAST)) {
      find_centre(box, cell, x);
      return fail_at(box, density->name, x, log_value);
    }
  }
  return BM_OK;
}

static void wait_for_host(bm_moser_t *self)
{
  bm_shared_arrive(self->shared);
  bm_shared_wait(self->shared);
}

/* A density of mass one as a spline with positive coefficients. */
static bm_status_t make_density(bm_moser_t *self, bm_neumann_t *neumann,
                                const bm_density_t *density, int which)
{
  const bm_range_t own = bm_neumann_share(neumann);
  double *array = self->density[which];
  double *values = self->flux[0]; /* not in use yet */
  double volume = 1.0;
  for (size_t k = 0; k < self->field.box.d; k++) {
    volume *= bm_box_spacing(&self->field.box, k);
  }
  BM_TRY_AGREE(self->context, fill(self, &own, density, array));
  memcpy(values + own.first, array + own.first, own.count * sizeof *array);
  wait_for_host(self);
  const double before = bm_neumann_interpolate(neumann, array);
  for (size_t i = own.first; i < own.first + own.count; i++) {
    array[i] = fmax(array[i], 0.5 * values[i]);
  }
  const double after = bm_neumann_sum(neumann, array, self->work);
  self->raised[which] = (after - before) / after;
  for (size_t i = own.first; i < own.first + own.count; i++) {
    array[i] /= after * volume;
  }
  return BM_OK;
}

/* Where the target is e^a times thinner than the base, the flow rests a later on its clock. */
static bm_status_t find_end(bm_moser_t *self, const bm_range_t *own)
{
  double ratio = 1.0;
  for (size_t i = own->first; i < own->first + own->count; i++) {
    ratio = fmax(ratio, self->density[0][i] / self->density[1][i]);
  }
  BM_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &ratio, 1, MPI_DOUBLE, MPI_MAX, self->context->comm));
  if (!isfinite(ratio)) {
    return BM_FAIL(BM_ERR_DATA, "Moser map: the target is too thin somewhere");
  }
  self->end = log(ratio) + BM_REST;
  return BM_OK;
}

/* The densities, the second of which is given as one or as its spline, and the flux. */
static bm_status_t solve(bm_moser_t *self, const bm_density_t *from, const bm_density_t *to,
                         const double *target)
{
  bm_neumann_t *neumann = NULL;
  assert((to == NULL) != (target == NULL));
  BM_TRY_AGREE(self->context,
               bm_neumann_create(self->context, self->shared, &self->field.box, &neumann));
  const bm_range_t own = bm_neumann_share(neumann);
  bm_status_t status = make_density(self, neumann, from, 0);
  if (status == BM_OK && to != NULL) {
    status = make_density(self, neumann, to, 1);
  } else if (status == BM_OK) {
    memcpy(self->density[1] + own.first, target + own.first, own.count * sizeof *target);
    wait_for_host(self);
  }
  if (status == BM_OK) {
    bm_neumann_flux(neumann, self->field.density, self->work, self->flux);
    status = find_end(self, &own);
  }
  bm_neumann_destroy(&neumann);
  return bm_agree(self->context, status);
}

static bm_status_t create(const bm_context_t *context, const bm_box_t *box,
                          const bm_density_t *from, const bm_density_t *to, const double *target,
                          bm_moser_t **out)
{
  bm_moser_t *self;
  *out = NULL;
  BM_TRY_AGREE(context, BM_ALLOC(1, &self));
  self->context = context;
  self->field.box = *box;
  bm_status_t status = make_room(self);
  if (status == BM_OK) {
    status = solve(self, from, to, target);
  }
  if (status != BM_OK) {
    bm_moser_destroy(&self);
    return status;
  }
  *out = self;
  return BM_OK;
}

bm_status_t bm_moser_create(const bm_context_t *context, const bm_box_t *box,
                            const bm_density_t *from, const bm_density_t *to, bm_moser_t **out)
{
  return create(context, box, from, to, NULL, out);
}

bm_status_t bm_moser_restore(const bm_context_t *context, const bm_box_t *box,
                             const bm_density_t *from, const double *target, bm_moser_t **out)
{
  return create(context, box, from, NULL, target, out);
}

void bm_moser_destroy(bm_moser_t **moser)
{
  if (*moser != NULL) {
    bm_shared_destroy(&(*moser)->shared);
  }
  bm_free(*moser);
  *moser = NULL;
}

const bm_spline_field_t *bm_moser_field(const bm_moser_t *moser)
{
  return &moser->field;
}

double bm_moser_raised(const bm_moser_t *moser, int which)
{
  return moser->raised[which];
}

/* The flow is followed on the clock s = -log(1 - t): towards t = 1 a particle in a thin part of the target goes
 * through as many powers of ten of the time that is left as its density is below that of the base, each of them
 * as smoothly as the last. */
static double clock_at(const bm_moser_t *self, double t)
{
  return t < 1.0 ? fmin(-log1p(-t), self->end) : self->end;
}

/* What is integrated: [d] coordinates, [1] log-determinant, [d][d] Jacobian. */
typedef struct {
  const bm_moser_t *moser;
  size_t d, size;
  double scale[BM_STATE]; /* errors of this size are as good as none */
} path_t;

static void find_rates(const path_t *path, double clock, const double *y, double *rate)
{
  const bm_moser_t *self = path->moser;
  const size_t d = path->d;
  const double left = exp(-clock); /* 1 - t */
  bm_spline_values_t at;
  double change[BM_BOX_AXES][BM_BOX_AXES]; /* of the velocity by place */
  bm_spline_field_at(&self->field, y, &at);
  const double density = left * at.density[0] + (1.0 - left) * at.density[1];
  rate[d] = 0.0;
  for (size_t j = 0; j < d; j++) {
    const double velocity = left * at.flux[j] / density;
    rate[j] = velocity;
    for (size_t k = 0; k < d; k++) {
      const double slope = left * at.slope[0][k] + (1.0 - left) * at.slope[1][k];
      change[j][k] = left * at.flux_slope[j][k] / density - velocity * slope / density;
    }
    rate[d] += change[j][j];
  }
  for (size_t j = 0; path->size > d + 1 && j < d; j++) {
    for (size_t l = 0; l < d; l++) {
      double sum = 0.0;
      for (size_t k = 0; k < d; k++) {
        sum += change[j][k] * y[d + 1 + k * d + l];
      }
      rate[d + 1 + j * d + l] = sum;
    }
  }
}

/* Dormand and Prince, J. Comput. Appl. Math. 6, 19 (1980): fifth order, and what tells its error. The last stage
 * is the first of the next step. */
static const double nodes[BM_STAGES] = {0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0};
static const double weights[BM_STAGES][BM_STAGES - 1] = {
    {0.0},
    {0.2},
    {3.0 / 40.0, 9.0 / 40.0},
    {44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0},
    {19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0},
    {9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0},
    {35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0},
};
static const double errors[BM_STAGES] = {
    71.0 / 57600.0,      0.0,          -71.0 / 16695.0, 71.0 / 1920.0,
    -17253.0 / 339200.0, 22.0 / 525.0, -1.0 / 40.0};

static int is_finite(size_t n, const double *y)
{
  int good = 1;
  for (size_t i = 0; i < n; i++) {
    good = good && isfinite(y[i]);
  }
  return good;
}

/* One step from y to `to`; its error, of those that are as good as none. rates[0] is known. */
static double try_step(const path_t *path, double clock, double step, const double *y,
                       double rates[BM_STAGES][BM_STATE], double *to)
{
  double worst = 0.0;
  for (int stage = 1; stage < BM_STAGES; stage++) {
    for (size_t i = 0; i < path->size; i++) {
      double sum = 0.0;
      for (int before = 0; before < stage; before++) {
        sum += weights[stage][before] * rates[before][i];
      }
      to[i] = y[i] + step * sum;
    }
    if (!is_finite(path->d, to)) {
      return INFINITY;
    }
    find_rates(path, clock + nodes[stage] * step, to, rates[stage]);
  }
  for (size_t i = 0; i < path->size; i++) {
    double error = 0.0;
    for (int stage = 0; stage < BM_STAGES; stage++) {
      error += errors[stage] * rates[stage][i];
    }
    const double size = i < path->d ? 1.0 : 1.0 + fmax(fabs(y[i]), fabs(to[i]));
    error = fabs(step * error) / (path->scale[i] * size);
    worst = error > worst || isnan(error) ? error : worst;
  }
  return worst;
}

static bm_status_t follow(const path_t *path, double clock, double until, double *y)
{
  const double way = until < clock ? -1.0 : 1.0;
  double rates[BM_STAGES][BM_STATE];
  double to[BM_STATE];
  double step = way * BM_FIRST_STEP;
  find_rates(path, clock, y, rates[0]);
  for (int n = 0; n < BM_STEPS && way * (until - clock) > 0.0 && clock + step != clock; n++) {
    const int last = way * (clock + step - until) >= 0.0;
    step = last ? until - clock : step;
    const double error = try_step(path, clock, step, y, rates, to);
    if (error <= 1.0) {
      clock = last ? until : clock + step;
      memcpy(y, to, path->size * sizeof *y);
      memcpy(rates[0], rates[BM_STAGES - 1], sizeof rates[0]);
    }
    step *= isfinite(error) ? fmin(5.0, fmax(0.2, 0.9 * pow(error + 1e-10, -0.2))) : 0.1;
  }
  return clock == until
             ? BM_OK
             : BM_FAIL(BM_ERR_DATA, "Moser map: the flow could not be followed in %d steps",
                       BM_STEPS);
}

bm_status_t bm_moser_move(const bm_moser_t *moser, double t, double until, double tolerance,
                          double *x, double *log_det, double *jacobian)
{
  const bm_box_t *box = &moser->field.box;
  const size_t d = box->d;
  path_t path = {.moser = moser, .d = d, .size = d + 1 + (jacobian == NULL ? 0 : d * d)};
  double y[BM_STATE] = {0.0};
  assert(t >= 0.0 && t <= 1.0 && until >= 0.0 && until <= 1.0 && tolerance > 0.0);
  for (size_t i = 0; i < path.size; i++) {
    path.scale[i] = tolerance * (i < d ? box->high[i] - box->low[i] : 1.0);
  }
  memcpy(y, x, d * sizeof *x);
  for (size_t k = 0; k < d && jacobian != NULL; k++) {
    y[d + 1 + k * d + k] = 1.0;
  }
  BM_TRY(follow(&path, clock_at(moser, t), clock_at(moser, until), y));
  for (size_t k = 0; k < d; k++) {
    x[k] = fmin(fmax(y[k], box->low[k]), box->high[k]);
  }
  if (log_det != NULL) {
    *log_det = y[d];
  }
  if (jacobian != NULL) {
    memcpy(jacobian, y + d + 1, d * d * sizeof *jacobian);
  }
  return BM_OK;
}
