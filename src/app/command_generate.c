/* boltzmap generate: samples of a trained model, without a deck. */

#include <stdio.h>

#include "boltzmap/app/commands.h"
#include "boltzmap/app/origin.h"
#include "boltzmap/generate/generator.h"
#include "boltzmap/parallel/agree.h"

static const bm_option_t options[] = {
    {"--samples", "N", "how many; needed"},
    {"--out", "FILE", "sample set to write (.h5md); needed"},
    {"--seed", "S", "decides the samples; default 1"},
    {NULL, NULL, NULL},
};

static bm_status_t run(const bm_context_t *context, const bm_arguments_t *arguments)
{
  const char *model = bm_arguments_positional(arguments, 0);
  const char *out = bm_arguments_value(arguments, "--out");
  int64_t samples;
  int64_t seed;
  BM_TRY(bm_arguments_int(arguments, "--samples", 1, INT64_C(1000000000000), 0, &samples));
  BM_TRY(bm_arguments_int(arguments, "--seed", 0, INT64_MAX, 1, &seed));
  if (samples == 0 || out == NULL) {
    return BM_FAIL(BM_ERR_USAGE, "generate: --samples N and --out FILE are needed");
  }
  bm_map_t *map = NULL;
  bm_log_t *log = NULL;
  bm_origin_t origin = {.count = 0};
  char seed_text[32];
  char hash[17];
  BM_TRY(bm_command_check_out(context, arguments, "--out", (const char *const[]){model, NULL}));
  BM_TRY(bm_origin_hash(context, model, hash));
  BM_TRY(bm_generate_load(context, model, &map));
  snprintf(seed_text, sizeof seed_text, "%lld", (long long)seed);
  bm_origin_add(&origin, "model", model);
  bm_origin_add(&origin, "model_xxh64", hash);
  bm_origin_add(&origin, "seed", seed_text);
  bm_origin_add_machine(&origin, context);
  bm_status_t status = bm_agree(context, bm_log_create(context, NULL, &log));
  if (status == BM_OK) {
    const bm_generate_order_t order = {.seed = (uint64_t)seed,
                                       .n = (size_t)samples,
                                       .path = out,
                                       .provenance = origin.rows,
                                       .provenance_count = origin.count};
    status = bm_generate_file(context, map, &order, log);
  }
  if (status == BM_OK) {
    bm_log_info(log, "%s: %lld samples", out, (long long)samples);
  }
  bm_log_destroy(&log);
  bm_map_destroy(&map);
  return status;
}

const bm_command_t bm_command_generate = {
    .name = "generate",
    .positional = {"MODEL"},
    .summary = "draw any number of samples from a trained model",
    .details =
        "Sample i depends on the model, the seed and i alone, not on how many are drawn or on the\n"
        "number of ranks. The file has the log-density of each sample beside it. Its space is "
        "reserved\n"
        "before the first sample is made; a rank holds a few MB of samples, however many are "
        "drawn, and\n"
        "writes them while it makes the next ones. A generation that is stopped (code 75) leaves "
        "no file.",
    .options = options,
    .run = run,
    .after_stop = "nothing is kept: the same command starts from the beginning",
};
