/* boltzmap info: what is in a sample set, model or checkpoint. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/app/commands.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/io/state.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/transport/map.h"

static const bm_option_t options[] = {
    {"--dataset", "NAME", "data set in an HDF5 file that holds several"},
    {NULL, NULL, NULL},
};

/* Long texts (the deck) are left to HDF5's own tools. */
static void print_text(const bm_state_t *state, const char *name)
{
  const char *text;
  if (bm_state_get_string(state, name, &text) == BM_OK && strchr(text, '\n') == NULL) {
    printf("  %-28s %s\n", name, text);
  } else {
    printf("  %-28s text of %zu bytes\n", name, bm_state_count(state, name));
  }
}

static void print_shape(const bm_state_t *state)
{
  bm_map_t *map = NULL;
  if (bm_map_load(NULL, state, &map) != BM_OK) {
    return; /* a Moser map's blocks say all there is */
  }
  const bm_flow_shape_t *shape = bm_flow_shape(bm_map_flow(map));
  printf("  RealNVP in %zu dimensions (%s): %zu layers, hidden", shape->d,
         bm_chart_name(bm_map_chart(map)), shape->layers);
  for (size_t l = 0; l < shape->hidden_count; l++) {
    printf(" %zu", shape->hidden[l]);
  }
  printf(" (%s), %zu parameters (%zu masked-equivalent)\n", bm_activation_names[shape->activation],
         bm_flow_parameter_count(bm_map_flow(map)), bm_flow_masked_equivalent(shape));
  printf("  networks computed by %s\n", shape->backend->name);
  bm_map_destroy(&map);
}

static void print_state(const char *path, const bm_state_t *state)
{
  printf("%s: %s, checksum good\n", path, bm_state_kind(state));
  print_shape(state);
  for (size_t i = 0; i < bm_state_block_count(state); i++) {
    const char *name = bm_state_block_name(state, i);
    if (strcmp(bm_state_block_type(state, i), "text") == 0) {
      print_text(state, name);
    } else {
      printf("  %-28s %s [%zu]\n", name, bm_state_block_type(state, i),
             bm_state_count(state, name));
    }
  }
}

static void print_columns(const bm_samples_t *samples, const double *x)
{
  printf("  column        least         mean     largest\n");
  for (size_t k = 0; k < samples->d && k < 12; k++) {
    double least = INFINITY;
    double most = -INFINITY;
    double sum = 0.0;
    for (size_t i = 0; i < samples->n; i++) {
      double value = x[i * samples->d + k];
      least = value < least ? value : least;
      most = value > most ? value : most;
      sum += value;
    }
    printf("  %6zu %12.5g %12.5g %11.5g\n", k, least, sum / (double)samples->n, most);
  }
  if (samples->d > 12) {
    printf("  … and %zu more\n", samples->d - 12);
  }
}

static const char *seal_text(const char *path)
{
  bm_seal_t seal = BM_SEAL_NONE;
  return bm_file_check_seal(path, &seal) == BM_OK && seal == BM_SEAL_GOOD
             ? "checksum good"
             : "no checksum (of another program)";
}

/* Rank 0's own: a state container or a sample set, by a context of its own. */
static bm_status_t print_file(const bm_context_t *alone, const char *path, const char *dataset)
{
  bm_state_t *state = NULL;
  if (bm_state_recognise(path) && dataset != NULL) {
    return BM_FAIL(BM_ERR_USAGE, "--dataset %s: goes with sample sets, %s is none", dataset, path);
  }
  if (bm_state_recognise(path)) {
    BM_TRY(bm_state_read(path, NULL, &state));
    print_state(path, state);
    bm_state_destroy(&state);
    return BM_OK;
  }
  bm_samples_t *samples = NULL;
  bm_samples_selection_t selection = {.dataset = dataset};
  BM_TRY(bm_samples_read(alone, path, &selection, &samples));
  printf("%s: sample set of %zu rows in %zu columns, %zu walker%s, %s\n", path, samples->n,
         samples->d, samples->walkers, samples->walkers == 1 ? "" : "s", seal_text(path));
  print_columns(samples, samples->x);
  bm_samples_destroy(&samples);
  return BM_OK;
}

static bm_status_t run(const bm_context_t *context, const bm_arguments_t *arguments)
{
  const char *path = bm_arguments_positional(arguments, 0);
  bm_context_t *alone = NULL;
  BM_TRY(bm_command_check_dataset(context, arguments, (const char *const[]){path, NULL}));
  BM_TRY_AGREE(context, bm_context_create(MPI_COMM_SELF, &alone));
  bm_status_t status = BM_OK;
  if (bm_context_is_root(context)) {
    status = print_file(alone, path, bm_arguments_value(arguments, "--dataset"));
  }
  bm_context_destroy(&alone);
  return bm_agree(context, status);
}

const bm_command_t bm_command_info = {
    .name = "info",
    .positional = {"FILE"},
    .summary = "what is in a sample set, model or checkpoint",
    .details = NULL,
    .options = options,
    .run = run,
};
