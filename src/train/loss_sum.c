/* Two terms at once: "pair-penalty+reverse-kl" keeps pairs apart that the reference has apart, which samples feel
 * before an energy cut off has a slope, and draws what is left towards the target's density. */

#include "boltzmap/base/memory.h"
#include "boltzmap/train/loss.h"

#define BM_WHEN "training.loss=pair-penalty+reverse-kl"
#define BM_PARTS 2
#define BM_CHUNK 64 /* samples whose second term has room */

static const bm_loss_ops_t *const terms[BM_PARTS] = {&bm_loss_pair_penalty, &bm_loss_reverse_kl};

static const bm_deck_key_t keys[] = {
    {"training.penalty_weight", BM_DECK_REAL, "2e5", 0, 1e12, NULL, BM_WHEN,
     "lambda of the penalty, in nats over the unit of length"},
    {"training.energy_weight", BM_DECK_REAL, "0.004", 0, 1e12, NULL, BM_WHEN,
     "weight of the divergence beside the negative log-likelihood"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

typedef struct {
  void *parts[BM_PARTS];
  size_t d;
  double *value;    /* [BM_CHUNK] */
  double *gradient; /* [BM_CHUNK][d] */
} sum_t;

static void destroy(void **self)
{
  sum_t *sum = *self;
  for (size_t p = 0; p < BM_PARTS; p++) {
    if (sum->parts[p] != NULL) {
      terms[p]->destroy(&sum->parts[p]);
    }
  }
  bm_free(sum->value);
  bm_free(sum->gradient);
  bm_free(sum);
  *self = NULL;
}

static bm_status_t create(const bm_deck_case_t *deck_case, const bm_loss_data_t *data, void **self)
{
  sum_t *sum;
  BM_TRY(BM_ALLOC(1, &sum));
  *self = sum;
  sum->d = data->d;
  for (size_t p = 0; p < BM_PARTS; p++) {
    BM_TRY(terms[p]->create(deck_case, data, &sum->parts[p]));
  }
  BM_TRY(BM_ALLOC(BM_CHUNK, &sum->value));
  return BM_ALLOC(BM_CHUNK * data->d, &sum->gradient);
}

/* The second term of up to BM_CHUNK samples, added to the first. */
static void add(const sum_t *sum, size_t n, const double *x, double *value, double *gradient)
{
  terms[1]->value(sum->parts[1], n, x, sum->value, sum->gradient);
  for (size_t i = 0; i < n; i++) {
    value[i] += sum->value[i];
  }
  for (size_t k = 0; k < n * sum->d; k++) {
    gradient[k] += sum->gradient[k];
  }
}

static void value(const void *self, size_t n, const double *x, double *value, double *gradient)
{
  const sum_t *sum = self;
  terms[0]->value(sum->parts[0], n, x, value, gradient);
  for (size_t i = 0; i < n; i += BM_CHUNK) {
    add(sum, n - i < BM_CHUNK ? n - i : BM_CHUNK, x + i * sum->d, value + i, gradient + i * sum->d);
  }
}

static double entropy(const void *self)
{
  const sum_t *sum = self;
  return terms[1]->entropy(sum->parts[1]);
}

const bm_loss_ops_t bm_loss_pair_penalty_reverse_kl = {
    .name = "pair-penalty+reverse-kl",
    .description = "and both of these, which mend what the other leaves",
    .keys = keys,
    .create = create,
    .destroy = destroy,
    .value = value,
    .entropy = entropy,
};
