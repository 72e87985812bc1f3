/* Keys of the deck's `training` group, and what they say. */

#include <assert.h>
#include <string.h>

#include "boltzmap/train/trainer.h"

#define BM_VALIDATIONS 100 /* evaluations a run, where the deck leaves it open */

/* The losses with a term on what the flow generates. */
#define BM_GENERATING                                                                       \
  "training.loss=penalty|pair-penalty|energy|reverse-kl|pair-penalty+reverse-kl|transport|" \
  "transport-sobolev|transport-steps|lipschitz"
#define BM_PAIRED "training.loss=transport|transport-sobolev|transport-steps"

#define BM_MOSER "training.map=moser"

static const char *const map_names[] = {"brenier", "moser", NULL};
static const char *const course_names[] = {"constant", "linear", "cosine", NULL};
static const char *const schedule_names[] = {"cosine", "constant", NULL};
static const char *const keep_names[] = {"best", "last", NULL};
static const char *const nonfinite_names[] = {"recover", "skip", "stop", NULL};
static const char *const reduction_names[] = {"fixed", "fast", NULL};
static const char *const augment_names[] = {"none", "symmetries", NULL};

const bm_deck_key_t bm_trainer_keys[] = {
    {"training.loss", BM_DECK_STRING, "\"nll\"", 0, 0, bm_loss_names, NULL, "loss to minimise"},
    {"training.generated", BM_DECK_INT, "0", 0, 1e9, NULL, BM_GENERATING,
     "samples generated each step for the loss; 0: as many as rows of a minibatch"},
    {"training.loss_schedule", BM_DECK_STRING, "\"constant\"", 0, 0, course_names, BM_GENERATING,
     "course of the weight of what is added to the likelihood: constant, or linear or cosine to "
     "zero"},
    {"training.map", BM_DECK_STRING, "\"brenier\"", 0, 0, map_names, BM_PAIRED,
     "transport map that the flow is held to: brenier, optimal between base points and reference "
     "samples; moser, "
     "solved for on a grid"},
    {"training.pairs", BM_DECK_INT, "0", 0, 1e9, NULL, BM_PAIRED,
     "base points whose places under the map are known at a time; 0: as many as there are rows"},
    {"training.pairs_renewed", BM_DECK_INT, "0", 0, 1e9, NULL, BM_PAIRED,
     "epochs after which these are others; 0: never"},
    {"training.pairs_smoothed", BM_DECK_INT, "1", 1, BM_PAIRS_SMOOTHED_MOST, NULL,
     "training.map=brenier",
     "pairs that the place of a base point is the mean of, those with the nearest base points"},
    {"training.map_cells", BM_DECK_INT_LIST, "[32]", BM_BOX_CELLS_LEAST, BM_MAP_CELLS_MOST, NULL,
     BM_MOSER, "as flow.cells, of the map that the flow is held to"},
    {"training.map_width", BM_DECK_REAL, "3.0", BM_MAP_WIDTH_LEAST, BM_MAP_WIDTH_MOST, NULL,
     BM_MOSER, "as flow.width"},
    {"training.map_margin", BM_DECK_REAL, "0.1", 1e-3, 10, NULL, BM_MOSER, "as flow.margin"},
    {"training.epochs", BM_DECK_INT, "400", 1, 1e9, NULL, NULL, "passes over the training rows"},
    {"training.batch", BM_DECK_INT, "256", 1, 1e9, NULL, NULL, "rows a minibatch"},
    {"training.shards", BM_DECK_INT, "8", 1, BM_SHARDS_MAX, NULL, NULL,
     "parts of a minibatch, summed in a fixed order; ranks beyond them idle"},
    {"training.reduction", BM_DECK_STRING, "\"fixed\"", 0, 0, reduction_names, NULL,
     "fixed: the same bits on any number of ranks; fast: a part a rank, so that bits depend on "
     "ranks"},
    {"training.learning_rate", BM_DECK_REAL, "1e-3", 1e-12, 10, NULL, NULL,
     "Adam's step size at the top of the schedule"},
    {"training.final_learning_rate", BM_DECK_REAL, "0.01", 0, 1, NULL, "training.schedule=cosine",
     "fraction of learning_rate that the cosine ends at"},
    {"training.schedule", BM_DECK_STRING, "\"cosine\"", 0, 0, schedule_names, NULL,
     "course of the learning rate"},
    {"training.warmup_steps", BM_DECK_INT, "100", 0, 1e9, NULL, NULL, "steps of linear warm-up"},
    {"training.clip_norm", BM_DECK_REAL, "10", 0, 1e30, NULL, NULL,
     "largest gradient norm; 0: no clipping"},
    {"training.augment", BM_DECK_STRING, "\"none\"", 0, 0, augment_names, NULL,
     "symmetries: each epoch sees each row through random symmetries of the potential"},
    {"training.validation_fraction", BM_DECK_REAL, "0.1", 0.001, 0.9, NULL, NULL,
     "share of the walkers held out, whole ones"},
    {"training.validate_every", BM_DECK_INT, "0", 0, 1e9, NULL, NULL,
     "epochs between evaluations of the held-out loss; 0: about a hundred a run"},
    {"training.keep", BM_DECK_STRING, "\"best\"", 0, 0, keep_names, NULL,
     "which parameters the model keeps: of the best held-out loss, or the last"},
    {"training.nonfinite", BM_DECK_STRING, "\"recover\"", 0, 0, nonfinite_names, NULL,
     "at a loss or gradient that is not finite: leave the step out and count it as a spike, leave "
     "it out, or end"},
    {"training.spike", BM_DECK_REAL, "1.0", 0, 1e12, NULL, NULL,
     "nats a coordinate above its trend from which the loss is a spike; after 50 in a row training "
     "goes back to the parameters it would keep, at half the rate; 0: never"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

bm_status_t bm_trainer_settings(const bm_deck_case_t *deck_case, bm_trainer_settings_t *settings)
{
  int cosine = strcmp(bm_deck_string(deck_case, "training.schedule"), "cosine") == 0;
  *settings = (bm_trainer_settings_t){
      .epochs = bm_deck_int(deck_case, "training.epochs"),
      .batch = bm_deck_int(deck_case, "training.batch"),
      .shards = bm_deck_int(deck_case, "training.shards"),
      .learning_rate = bm_deck_real(deck_case, "training.learning_rate"),
      .final_learning_rate = cosine ? bm_deck_real(deck_case, "training.final_learning_rate") : 1.0,
      .cosine = cosine,
      .warmup_steps = bm_deck_int(deck_case, "training.warmup_steps"),
      .clip_norm = bm_deck_real(deck_case, "training.clip_norm"),
      .validation_fraction = bm_deck_real(deck_case, "training.validation_fraction"),
      .validate_every = bm_deck_int(deck_case, "training.validate_every"),
      .keep_best = strcmp(bm_deck_string(deck_case, "training.keep"), "best") == 0,
      .fast = strcmp(bm_deck_string(deck_case, "training.reduction"), "fast") == 0,
      .augment = strcmp(bm_deck_string(deck_case, "training.augment"), "symmetries") == 0,
      .spike = bm_deck_real(deck_case, "training.spike"),
  };
  settings->nonfinite = BM_NONFINITE_RECOVER;
  settings->course = BM_COURSE_CONSTANT;
  while (strcmp(bm_deck_string(deck_case, "training.nonfinite"),
                nonfinite_names[settings->nonfinite]) != 0) {
    settings->nonfinite++;
    assert(nonfinite_names[settings->nonfinite] != NULL);
  }
  if (bm_deck_has(deck_case, "training.generated")) {
    int64_t generated = bm_deck_int(deck_case, "training.generated");
    settings->generated = generated > 0 ? generated : settings->batch;
    settings->points =
        settings->generated * (int64_t)bm_loss_group(bm_deck_string(deck_case, "training.loss"));
    if (!settings->fast && settings->shards > settings->generated) {
      return bm_deck_fail(deck_case, "training.generated", "fewer samples than training.shards");
    }
    while (strcmp(bm_deck_string(deck_case, "training.loss_schedule"),
                  course_names[settings->course]) != 0) {
      settings->course++;
      assert(course_names[settings->course] != NULL);
    }
  }
  if (bm_deck_has(deck_case, "training.pairs")) {
    settings->pairs =
        (bm_pairs_settings_t){.count = (size_t)bm_deck_int(deck_case, "training.pairs"),
                              .renewed = bm_deck_int(deck_case, "training.pairs_renewed")};
  }
  if (bm_deck_has(deck_case, "training.pairs_smoothed")) {
    settings->pairs.smoothed = (size_t)bm_deck_int(deck_case, "training.pairs_smoothed");
  }
  if (!settings->fast && settings->shards > settings->batch) {
    return bm_deck_fail(deck_case, "training.shards", "more shards than rows in a minibatch");
  }
  if (settings->validate_every == 0) {
    settings->validate_every = settings->epochs / BM_VALIDATIONS;
    settings->validate_every += settings->validate_every == 0;
  }
  return BM_OK;
}

size_t bm_trainer_shards(const bm_trainer_settings_t *settings, int ranks)
{
  return settings->fast ? (size_t)ranks : (size_t)settings->shards;
}

/* The present parameters are the best so far: each rank keeps its own slice of them. */
