/* Penalty on pairs of particles that come too close in generated samples (paper eq. 17):
 * weight/|P| · Σ_P max(ε - r_ij, 0). "pair-penalty" is the same with a distance ε_ij of each pair's own,
 * the smallest that the reference has for it. */

#include <math.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/train/loss.h"

static const bm_deck_key_t penalty_keys[] = {
    {"training.penalty_weight", BM_DECK_REAL, "5.0", 0, 1e12, NULL, "training.loss=penalty",
     "lambda of the penalty, in nats over the unit of length"},
    {"training.penalty_distance", BM_DECK_REAL, "0.17", 1e-12, 1e12, NULL, "training.loss=penalty",
     "epsilon: pairs that are closer are pushed apart, in the unit of length"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

static const bm_deck_key_t pair_penalty_keys[] = {
    {"training.penalty_weight", BM_DECK_REAL, "1e5", 0, 1e12, NULL, "training.loss=pair-penalty",
     "lambda of the penalty, in nats over the unit of length"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

typedef struct {
  size_t particles, dimensions, count;
  const size_t (*pairs)[2]; /* [count], the potential's */
  double *distance;         /* [count] */
  double weight;            /* of each pair */
} penalty_t;

static void destroy(void **self)
{
  penalty_t *penalty = *self;
  bm_free(penalty->distance);
  bm_free(penalty);
  *self = NULL;
}

static bm_status_t create(const bm_deck_case_t *deck_case, const bm_loss_data_t *data, void **self)
{
  const bm_traits_t *traits = bm_potential_traits(data->potential);
  penalty_t *penalty;
  if (traits->pair_count == 0) {
    return bm_deck_fail(deck_case, "training.loss", "this system has no pairs to keep apart");
  }
  BM_TRY(BM_ALLOC(1, &penalty));
  *self = penalty;
  *penalty = (penalty_t){.particles = traits->layout.particles,
                         .dimensions = traits->layout.dimensions,
                         .count = traits->pair_count,
                         .pairs = traits->pairs,
                         .weight = bm_deck_real(deck_case, "training.penalty_weight") /
                                   (double)traits->pair_count};
  return BM_ALLOC(penalty->count, &penalty->distance);
}

static bm_status_t create_penalty(const bm_deck_case_t *deck_case, const bm_loss_data_t *data,
                                  void **self)
{
  BM_TRY(create(deck_case, data, self));
  penalty_t *penalty = *self;
  for (size_t p = 0; p < penalty->count; p++) {
    penalty->distance[p] = bm_deck_real(deck_case, "training.penalty_distance");
  }
  return BM_OK;
}

/* Distance of a pair, and the way from the second to the first. */
static double separation(const penalty_t *penalty, size_t pair, const double *x, double way[3])
{
  const double *a = x + penalty->pairs[pair][0] * penalty->dimensions;
  const double *b = x + penalty->pairs[pair][1] * penalty->dimensions;
  double square = 0.0;
  for (size_t c = 0; c < penalty->dimensions; c++) {
    way[c] = a[c] - b[c];
    square += way[c] * way[c];
  }
  return sqrt(square);
}

static bm_status_t create_pair_penalty(const bm_deck_case_t *deck_case, const bm_loss_data_t *data,
                                       void **self)
{
  BM_TRY(create(deck_case, data, self));
  penalty_t *penalty = *self;
  for (size_t p = 0; p < penalty->count; p++) {
    penalty->distance[p] = INFINITY;
    for (size_t i = 0; i < data->n; i++) {
      double way[3];
      penalty->distance[p] =
          fmin(penalty->distance[p], separation(penalty, p, data->x + i * data->d, way));
    }
  }
  return BM_OK;
}

static void value(const void *self, size_t n, const double *x, double *value, double *gradient)
{
  const penalty_t *penalty = self;
  const size_t d = penalty->particles * penalty->dimensions;
  for (size_t i = 0; i < n; i++) {
    double *g = gradient + i * d;
    value[i] = 0.0;
    for (size_t k = 0; k < d; k++) {
      g[k] = 0.0;
    }
    for (size_t p = 0; p < penalty->count; p++) {
      double way[3];
      double r = separation(penalty, p, x + i * d, way);
      if (r >= penalty->distance[p] || r == 0.0) { /* no direction is away from a collision */
        value[i] += r == 0.0 ? penalty->weight * penalty->distance[p] : 0.0;
        continue;
      }
      value[i] += penalty->weight * (penalty->distance[p] - r);
      for (size_t c = 0; c < penalty->dimensions; c++) {
        double slope = -penalty->weight * way[c] / r;
        g[penalty->pairs[p][0] * penalty->dimensions + c] += slope;
        g[penalty->pairs[p][1] * penalty->dimensions + c] -= slope;
      }
    }
  }
}

const bm_loss_ops_t bm_loss_penalty = {
    .name = "penalty",
    .description = "and a penalty on pairs that come closer than one distance (paper eq. 17)",
    .keys = penalty_keys,
    .create = create_penalty,
    .destroy = destroy,
    .value = value,
};

const bm_loss_ops_t bm_loss_pair_penalty = {
    .name = "pair-penalty",
    .description = "and a penalty on pairs that come closer than they do in the reference",
    .keys = pair_penalty_keys,
    .create = create_pair_penalty,
    .destroy = destroy,
    .value = value,
};
