/* boltzmap distance: W2 between two sample sets. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/app/commands.h"
#include "boltzmap/base/json.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/transport/assignment.h"
#include "boltzmap/transport/distance.h"

#define BM_COLUMNS_MAX 4096

static const bm_option_t options[] = {
    {"--kind", "KIND", "exact (default), sliced or marginal"},
    {"--dataset", "NAME", "data set in HDF5 files, as observables/r"},
    {"--columns", "LIST", "columns to compare, counted from 0, as 0,2"},
    {"--period", "X", "columns live on circles of this length, as 360 (exact, marginal)"},
    {"--subsample", "N", "draw N points from each set without replacement"},
    {"--repeats", "K", "so many independent subsamples; mean and error are given"},
    {"--projections", "M", "directions of the sliced distance; default 1000"},
    {"--seed", "S", "decides subsamples and directions; default 1"},
    {"--json", NULL, "one JSON line instead of a sentence"},
    {NULL, NULL, NULL},
};

/* What the command line asks for. */
typedef struct {
  const bm_distance_ops_t *distance;
  bm_distance_settings_t settings;
  size_t columns[BM_COLUMNS_MAX];
  bm_samples_selection_t selection;
} request_t;

static bm_status_t read_columns(const char *list, request_t *request)
{
  size_t count = 0;
  for (const char *text = list; text != NULL && *text != '\0';) {
    char *end;
    unsigned long long column = strtoull(text, &end, 10);
    if (end == text || *text == '-' || (*end != ',' && *end != '\0') || count == BM_COLUMNS_MAX) {
      return BM_FAIL(BM_ERR_USAGE, "--columns %s: expected numbers from 0, as 0,2", list);
    }
    request->columns[count++] = (size_t)column;
    text = end + (*end == ',');
  }
  if (list != NULL && count == 0) {
    return BM_FAIL(BM_ERR_USAGE, "--columns: expected numbers from 0, as 0,2");
  }
  request->selection.columns = count > 0 ? request->columns : NULL;
  request->selection.column_count = count;
  return BM_OK;
}

static bm_status_t read_request(const bm_arguments_t *arguments, request_t *request)
{
  const char *kind = bm_arguments_value(arguments, "--kind");
  int64_t subsample;
  int64_t repeats;
  int64_t projections;
  int64_t seed;
  request->distance = bm_distance_find(kind == NULL ? "exact" : kind);
  if (request->distance == NULL) {
    return BM_FAIL(BM_ERR_USAGE, "--kind %s: expected exact, sliced or marginal", kind);
  }
  BM_TRY(bm_arguments_int(arguments, "--subsample", 1, INT32_MAX, 0, &subsample));
  BM_TRY(bm_arguments_int(arguments, "--repeats", 1, 1000000, 1, &repeats));
  BM_TRY(bm_arguments_int(arguments, "--projections", 1, 100000000, 1000, &projections));
  BM_TRY(bm_arguments_int(arguments, "--seed", 0, INT64_MAX, 1, &seed));
  BM_TRY(bm_arguments_real(arguments, "--period", 1e-100, 1e100, 0.0, &request->settings.period));
  if (repeats > 1 && subsample == 0) {
    return BM_FAIL(BM_ERR_USAGE,
                   "--repeats needs --subsample: the same points give the same result");
  }
  if (bm_arguments_has(arguments, "--projections") &&
      strcmp(request->distance->name, "sliced") != 0) {
    return BM_FAIL(BM_ERR_USAGE, "--projections goes with --kind sliced");
  }
  request->settings.subsample = (size_t)subsample;
  request->settings.repeats = (size_t)repeats;
  request->settings.projections = (size_t)projections;
  request->settings.seed = (uint64_t)seed;
  request->selection.dataset = bm_arguments_value(arguments, "--dataset");
  return read_columns(bm_arguments_value(arguments, "--columns"), request);
}

static bm_status_t fill_json(const char *kind, const bm_distance_result_t *result, double seconds,
                             bm_json_t *line)
{
  BM_TRY(bm_json_add_string(line, "kind", kind));
  BM_TRY(bm_json_add_number(line, "w2", result->w2));
  BM_TRY(bm_json_add_number(line, "error", result->error));
  BM_TRY(bm_json_add_number(line, "spread", result->spread));
  BM_TRY(bm_json_add_number(line, "n", (double)result->n));
  BM_TRY(bm_json_add_number(line, "d", (double)result->d));
  BM_TRY(bm_json_add_number(line, "gap", result->gap));
  return bm_json_add_number(line, "seconds", seconds);
}

static bm_status_t print_json(const char *kind, const bm_distance_result_t *result, double seconds)
{
  bm_json_t *line = bm_json_object();
  if (line == NULL) {
    return BM_FAIL(BM_ERR_MEMORY, "out of memory: result");
  }
  bm_status_t status = fill_json(kind, result, seconds, line);
  if (status == BM_OK) {
    status = bm_json_say(line);
  }
  bm_json_destroy(&line);
  return status;
}

static void print_sentence(const request_t *request, const bm_distance_result_t *result,
                           double seconds)
{
  printf("W2 (%s) = %.10g", request->distance->name, result->w2);
  if (isfinite(result->error)) {
    printf(" ± %.2g (one standard error)", result->error);
  }
  printf("; %zu points each in %zu column%s", result->n, result->d, result->d == 1 ? "" : "s");
  if (request->settings.repeats > 1) {
    printf(", %zu subsamples with standard deviation %.2g", request->settings.repeats,
           result->spread);
  }
  if (strcmp(request->distance->name, "exact") == 0) {
    printf("; optimal to a relative gap of %.1e", result->gap);
  }
  printf("; %.2f s\n", seconds);
}

static bm_status_t measure(const bm_context_t *context, const bm_arguments_t *arguments,
                           const request_t *request, const bm_cloud_t *a, const bm_cloud_t *b)
{
  bm_distance_result_t result;
  double started = bm_log_clock();
  BM_TRY(request->distance->compute(context, &request->settings, a, b, &result));
  double seconds = bm_log_clock() - started;
  if (!bm_context_is_root(context)) {
    return BM_OK;
  }
  if (bm_arguments_has(arguments, "--json")) {
    return print_json(request->distance->name, &result, seconds);
  }
  print_sentence(request, &result, seconds);
  return BM_OK;
}

static bm_status_t load(const bm_context_t *context, const char *path, const request_t *request,
                        bm_cloud_t *cloud, double **rows)
{
  bm_samples_t *samples = NULL;
  BM_TRY(bm_samples_read(context, path, &request->selection, &samples));
  bm_status_t status = bm_samples_replicate(context, samples, rows);
  if (status == BM_OK) {
    *cloud = (bm_cloud_t){samples->n, samples->d, *rows};
  }
  bm_samples_destroy(&samples);
  return status;
}

static bm_status_t run(const bm_context_t *context, const bm_arguments_t *arguments)
{
  request_t request = {0};
  bm_cloud_t clouds[2];
  double *rows[2] = {NULL, NULL};
  BM_TRY(read_request(arguments, &request));
  const char *const files[] = {bm_arguments_positional(arguments, 0),
                               bm_arguments_positional(arguments, 1), NULL};
  BM_TRY(bm_command_check_dataset(context, arguments, files));
  bm_status_t status = BM_OK;
  for (size_t i = 0; status == BM_OK && i < 2; i++) {
    status = load(context, bm_arguments_positional(arguments, i), &request, &clouds[i], &rows[i]);
  }
  if (status == BM_OK) {
    status = measure(context, arguments, &request, &clouds[0], &clouds[1]);
  }
  bm_free(rows[1]);
  bm_free(rows[0]);
  return bm_agree(context, status);
}

const bm_command_t bm_command_distance = {
    .name = "distance",
    .positional = {"A", "B"},
    .summary = "Wasserstein-2 distance of two sample sets, in the unit of the data",
    .details =
        "A and B are HDF5 files (H5MD, or a data set of rows) or .npy arrays. The exact distance\n"
        "pairs equal numbers of points, 20000 at most, and proves its optimality by a dual gap;\n"
        "sliced and marginal take sets of any sizes. marginal compares one column. Work is\n"
        "shared over the ranks of mpirun; alone it uses one thread.",
    .options = options,
    .run = run,
    .stops = 1,
};
