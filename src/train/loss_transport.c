/* Distance of the flow F to a transport map T, in the flow's own coordinates, which are standardised: weight times
 * the mean of |F - T|² over base points, or the mean over steps of the same for groups of layers, which are to end
 * where T is after k/l of its time (the G^(k) of paper section 4.1), or with the slopes of both in it, |F - T|^p + |DF·v - DT·v|^p over base points
 * and standard normal directions v, which is a norm of the Sobolev space W^{1,p} (paper Theorems 2 to 4), with
 * slopes from central differences over `transport_step` each way. Those theorems hold for flows near such a map, and
 * nothing in the likelihood leads to one (paper section 7). */

#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/train/loss.h"

#define BM_SOBOLEV "training.loss=transport-sobolev"

static const bm_deck_key_t keys[] = {
    {"training.transport_weight", BM_DECK_REAL, "1.0", 0, 1e12, NULL,
     "training.loss=transport|transport-sobolev|transport-steps",
     "alpha, weight of the distance to the transport map, in standardised coordinates"},
    {"training.transport_power", BM_DECK_REAL, "2.0", 1, 8, NULL, BM_SOBOLEV,
     "p of the distance, which is a mean of p-th powers"},
    {"training.transport_step", BM_DECK_REAL, "0.01", 1e-4, 1, NULL, BM_SOBOLEV,
     "step of the differences that slopes are taken from, over the base"},
    {"training.transport_steps", BM_DECK_INT, "4", 2, BM_STAGES_MOST, NULL,
     "training.loss=transport-steps",
     "groups of layers, each to end where the map is after its share of the time"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

typedef struct {
  double weight, power, step; /* step 0: no slopes */
  size_t steps;
} transport_t;

static void destroy(void **self)
{
  bm_free(*self);
  *self = NULL;
}

static bm_status_t create(const bm_deck_case_t *deck_case, const bm_loss_data_t *data, void **self)
{
  transport_t *transport;
  (void)data;
  BM_TRY(BM_ALLOC(1, &transport));
  *self = transport;
  *transport = (transport_t){bm_deck_real(deck_case, "training.transport_weight"), 2.0, 0.0, 1};
  return BM_OK;
}

static bm_status_t check_map(const bm_deck_case_t *deck_case, const char *what)
{
  if (strcmp(bm_deck_string(deck_case, "training.map"), "brenier") == 0) {
    return bm_deck_fail(deck_case, "training.map",
                        "the Brenier map is known on samples, without %s; use \"moser\"", what);
  }
  return BM_OK;
}

static bm_status_t create_sobolev(const bm_deck_case_t *deck_case, const bm_loss_data_t *data,
                                  void **self)
{
  BM_TRY(check_map(deck_case, "slopes"));
  BM_TRY(create(deck_case, data, self));
  transport_t *transport = *self;
  transport->power = bm_deck_real(deck_case, "training.transport_power");
  transport->step = bm_deck_real(deck_case, "training.transport_step");
  return BM_OK;
}

static bm_status_t create_steps(const bm_deck_case_t *deck_case, const bm_loss_data_t *data,
                                void **self)
{
  BM_TRY(check_map(deck_case, "its steps"));
  BM_TRY(create(deck_case, data, self));
  ((transport_t *)*self)->steps = (size_t)bm_deck_int(deck_case, "training.transport_steps");
  return BM_OK;
}

static size_t stages(const void *self)
{
  return ((const transport_t *)self)->steps;
}

static double step(const void *self)
{
  return ((const transport_t *)self)->step;
}

/* What is added to the value for |way|^p, and the way's share of the gradient, in its place. */
static double raise_way(double power, size_t d, double *way)
{
  double square = 0.0;
  for (size_t k = 0; k < d; k++) {
    square += way[k] * way[k];
  }
  const double slope = square > 0.0 ? power * pow(square, 0.5 * power - 1.0) : 0.0;
  for (size_t k = 0; k < d; k++) {
    way[k] *= slope;
  }
  return pow(square, 0.5 * power);
}

/* Of the middle point of each sample; `apart`: points between two middle ones. */
static void compare_places(const transport_t *transport, size_t n, size_t d, size_t apart,
                           const bm_real_t *y, const bm_real_t *target, double *value,
                           double *gradient)
{
  for (size_t i = 0; i < n; i++) {
    const size_t first = i * apart * d;
    for (size_t k = first; k < first + d; k++) {
      gradient[k] = (double)y[k] - (double)target[k];
    }
    value[i] = transport->weight * raise_way(transport->power, d, gradient + first);
    for (size_t k = first; k < first + d; k++) {
      gradient[k] *= transport->weight;
    }
  }
}

static void compare(const void *self, size_t n, size_t d, const bm_real_t *y,
                    const bm_real_t *target, double *value, double *gradient)
{
  compare_places(self, n, d, 1, y, target, value, gradient);
}

static void compare_sobolev(const void *self, size_t n, size_t d, const bm_real_t *y,
                            const bm_real_t *target, double *value, double *gradient)
{
  const transport_t *transport = self;
  const double factor = 0.5 / transport->step;
  compare_places(self, n, d, 3, y, target, value, gradient);
  for (size_t i = 0; i < n; i++) {
    const size_t one = (3 * i + 1) * d;
    const size_t other = one + d;
    double *way = gradient + one;
    for (size_t k = 0; k < d; k++) {
      way[k] = factor * (((double)y[one + k] - (double)y[other + k]) -
                         ((double)target[one + k] - (double)target[other + k]));
    }
    value[i] += transport->weight * raise_way(transport->power, d, way);
    for (size_t k = 0; k < d; k++) {
      way[k] *= transport->weight * factor;
      gradient[other + k] = -way[k];
    }
  }
}

const bm_loss_ops_t bm_loss_transport = {
    .name = "transport",
    .description = "and the squared distance of the flow to a transport map",
    .keys = keys,
    .create = create,
    .destroy = destroy,
    .group = 1,
    .is_paired = 1,
    .compare = compare,
};

static void compare_steps(const void *self, size_t n, size_t d, const bm_real_t *y,
                          const bm_real_t *target, double *value, double *gradient)
{
  const transport_t *transport = self;
  const double share = 1.0 / (double)transport->steps;
  for (size_t i = 0; i < n; i++) {
    value[i] = 0.0;
    for (size_t k = i * transport->steps * d; k < (i + 1) * transport->steps * d; k++) {
      const double way = (double)y[k] - (double)target[k];
      value[i] += share * transport->weight * way * way;
      gradient[k] = 2.0 * share * transport->weight * way;
    }
  }
}

const bm_loss_ops_t bm_loss_transport_steps = {
    .name = "transport-steps",
    .description = "and the squared distance of groups of layers to the steps of a transport map",
    .create = create_steps,
    .destroy = destroy,
    .group = 1,
    .is_paired = 1,
    .stages = stages,
    .compare = compare_steps,
};

const bm_loss_ops_t bm_loss_transport_sobolev = {
    .name = "transport-sobolev",
    .description = "and the distance of the flow to a transport map, with that of their slopes",
    .create = create_sobolev,
    .destroy = destroy,
    .group = 3,
    .is_paired = 1,
    .step = step,
    .compare = compare_sobolev,
};
