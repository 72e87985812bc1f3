/* boltzmap distance: W2 between two sample sets. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/app/commands.h"
#include "boltzmap/base/json.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/io/state.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/transport/debiased.h"
#include "boltzmap/transport/distance.h"
#include "boltzmap/transport/jackknife.h"

#define BM_COLUMNS_MAX 4096
#define BM_PLAN "plan" /* kind of a pairing's file */

static const bm_option_t options[] = {
    {"--kind", "KIND", "exact (default), sliced, max-sliced or marginal"},
    {"--dataset", "NAME", "data set in HDF5 files, as observables/r"},
    {"--columns", "LIST", "columns to compare, counted from 0, as 0,2"},
    {"--period", "X", "columns live on circles of this length, as 360 (exact, marginal)"},
    {"--subsample", "N", "draw N points from each set without replacement"},
    {"--repeats", "K", "so many independent subsamples; mean and error are given"},
    {"--debias", NULL, "W2² less the floors of both sets, from halves of each, with an error"},
    {"--projections", "M", "directions of sliced, starts of max-sliced; default 1000"},
    {"--seed", "S", "decides subsamples, directions and halves; default 1"},
    {"--plan", "FILE",
     "write the optimal pairing (exact) as HDF5: data set pairing, for each row of A its row of B"},
    {"--checkpoint", "FILE",
     "written every 5 min and on a stop request (exact); the same command goes on from it"},
    {"--tolerance", "X",
     "relative gap of W2², rounding included, above which to warn (exact); default 1e-9"},
    {"--strict", NULL, "fail where the gap is above the tolerance, instead of a warning (exact)"},
    {"--pairs", "FILE", "instead of A and B: a list of pairs, two names without blanks a line"},
    {"--json", NULL, "a JSON line for each pair instead of a sentence"},
    {NULL, NULL, NULL},
};

/* What the command line asks for. */
typedef struct {
  const bm_distance_ops_t *distance;
  bm_distance_settings_t settings;
  size_t columns[BM_COLUMNS_MAX];
  bm_samples_selection_t selection;
  double tolerance;
  int strict, debias, json;
  const char *plan, *pairs;
} request_t;

/* A pair of files and what came of it. */
typedef struct {
  const char *files[2];
  bm_cloud_t clouds[2];
  bm_distance_result_t found;
  bm_debiased_t debiased; /* where that is asked for */
  double seconds;
} pair_t;

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

/* Options that have nothing to do with each other. */
static bm_status_t check_options(const bm_arguments_t *arguments, const request_t *request,
                                 int64_t repeats)
{
  const int exact = strcmp(request->distance->name, "exact") == 0;
  static const char *const of_exact[] = {"--plan", "--checkpoint", "--tolerance", "--strict"};
  for (size_t i = 0; i < sizeof of_exact / sizeof of_exact[0]; i++) {
    if (!exact && bm_arguments_has(arguments, of_exact[i])) {
      return BM_FAIL(BM_ERR_USAGE, "%s goes with --kind exact", of_exact[i]);
    }
  }
  if (bm_arguments_has(arguments, "--projections") &&
      strstr(request->distance->name, "sliced") == NULL) {
    return BM_FAIL(BM_ERR_USAGE, "--projections goes with --kind sliced or max-sliced");
  }
  if (request->debias && repeats > 1) {
    return BM_FAIL(BM_ERR_USAGE, "--debias has errors of its own: leave --repeats out");
  }
  const int whole = request->plan != NULL || request->settings.checkpoint != NULL;
  if (whole &&
      (request->pairs != NULL || request->debias || bm_arguments_has(arguments, "--subsample"))) {
    return BM_FAIL(BM_ERR_USAGE, "--plan and --checkpoint go with two whole sets: leave --pairs, "
                                 "--debias and --subsample out");
  }
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
    return BM_FAIL(BM_ERR_USAGE, "--kind %s: expected exact, sliced, max-sliced or marginal", kind);
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
  BM_TRY(bm_arguments_real(arguments, "--tolerance", 0.0, 1.0, 1e-9, &request->tolerance));
  request->strict = bm_arguments_has(arguments, "--strict");
  request->debias = bm_arguments_has(arguments, "--debias");
  request->json = bm_arguments_has(arguments, "--json");
  request->plan = bm_arguments_value(arguments, "--plan");
  request->settings.checkpoint = bm_arguments_value(arguments, "--checkpoint");
  request->pairs = bm_arguments_value(arguments, "--pairs");
  BM_TRY(check_options(arguments, request, repeats));
  request->settings.subsample = (size_t)subsample;
  request->settings.repeats = (size_t)repeats;
  request->settings.projections = (size_t)projections;
  request->settings.seed = (uint64_t)seed;
  request->selection.dataset = bm_arguments_value(arguments, "--dataset");
  return read_columns(bm_arguments_value(arguments, "--columns"), request);
}

static bm_status_t fill_debiased(const bm_debiased_t *debiased, bm_json_t *line)
{
  BM_TRY(bm_json_add_number(line, "w2_squared_debiased", debiased->w2_squared));
  BM_TRY(bm_json_add_number(line, "w2_squared_debiased_error", debiased->error));
  BM_TRY(bm_json_add_number(line, "w2_squared_halves", debiased->raw));
  BM_TRY(bm_json_add_number(line, "w2_squared_floor", debiased->floor));
  return bm_json_add_number(line, "n_halves", (double)debiased->n);
}

static bm_status_t fill_json(const request_t *request, const pair_t *pair, bm_json_t *line)
{
  const bm_distance_result_t *found = &pair->found;
  BM_TRY(bm_json_add_string(line, "kind", request->distance->name));
  if (request->pairs != NULL) {
    BM_TRY(bm_json_add_string(line, "a", pair->files[0]));
    BM_TRY(bm_json_add_string(line, "b", pair->files[1]));
  }
  BM_TRY(bm_json_add_number(line, "w2", found->w2));
  BM_TRY(bm_json_add_number(line, "error", found->error));
  BM_TRY(bm_json_add_number(line, "spread", found->spread));
  BM_TRY(bm_json_add_number(line, "n", (double)found->n));
  BM_TRY(bm_json_add_number(line, "n_b", (double)found->m));
  BM_TRY(bm_json_add_number(line, "d", (double)found->d));
  BM_TRY(bm_json_add_number(line, "gap", found->gap));
  BM_TRY(bm_json_add_number(line, "rounding", found->rounding));
  if (request->debias) {
    BM_TRY(fill_debiased(&pair->debiased, line));
  }
  BM_TRY(bm_json_add_number(line, "seconds", pair->seconds));
  return bm_json_add_number(line, "seconds_pricing", found->pricing_s);
}

static bm_status_t print_json(const request_t *request, const pair_t *pair)
{
  bm_json_t *line = bm_json_object();
  if (line == NULL) {
    return BM_FAIL(BM_ERR_MEMORY, "out of memory: result");
  }
  bm_status_t status = fill_json(request, pair, line);
  if (status == BM_OK) {
    status = bm_json_say(line);
  }
  bm_json_destroy(&line);
  return status;
}

/* The root, with the error that goes with it, where the square is above zero. */
static void print_debiased(const bm_debiased_t *debiased)
{
  if (debiased->w2_squared > 0.0) {
    const double w2 = sqrt(debiased->w2_squared);
    printf("; debiased W2 = %.4g ± %.2g", w2, debiased->error / (2.0 * w2));
  }
  printf(
      "; debiased W2² = %.4g ± %.2g, that of halves of %zu points, %.4g, less their floors, %.4g",
      debiased->w2_squared, debiased->error, debiased->n, debiased->raw, debiased->floor);
}

static void print_sentence(const request_t *request, const pair_t *pair)
{
  const bm_distance_result_t *found = &pair->found;
  if (request->pairs != NULL) {
    printf("%s %s: ", pair->files[0], pair->files[1]);
  }
  printf("W2 (%s) = %.10g", request->distance->name, found->w2);
  if (isfinite(found->error)) {
    printf(" ± %.2g (one standard error)", found->error);
  }
  if (found->n == found->m) {
    printf("; %zu points each in %zu column%s", found->n, found->d, found->d == 1 ? "" : "s");
  } else {
    printf("; %zu and %zu points in %zu column%s", found->n, found->m, found->d,
           found->d == 1 ? "" : "s");
  }
  if (request->settings.repeats > 1) {
    printf(", %zu subsamples with standard deviation %.2g", request->settings.repeats,
           found->spread);
  }
  if (strcmp(request->distance->name, "exact") == 0) {
    printf("; optimal to a relative gap of %.1e (rounding at most %.0e)", found->gap,
           found->rounding);
  }
  if (request->debias) {
    print_debiased(&pair->debiased);
  }
  printf("; %.2f s\n", pair->seconds);
}

/* What is proved is told where it is less than asked for: a failure, or a warning. */
static bm_status_t tell(const request_t *request, const char *format, double lower, double upper,
                        double unsure)
{
  char text[256];
  snprintf(text, sizeof text, format, lower, upper, unsure, request->tolerance);
  if (request->strict) {
    return BM_FAIL(BM_ERR_DATA, "%s", text);
  }
  fprintf(stderr, "boltzmap: warning: %s\n", text);
  return BM_OK;
}

/* The gap and what rounding may add to it, against the tolerance. */
static bm_status_t judge(const request_t *request, const pair_t *pair)
{
  const bm_distance_result_t *found = &pair->found;
  const double unsure = found->gap + found->rounding, halves = pair->debiased.gap;
  if (!(unsure <= request->tolerance)) {
    BM_TRY(tell(request,
                "W2 is only known to lie between %.17g and %.17g: the relative gap of W2² is %.1e "
                "with rounding, above --tolerance %g",
                found->w2 * sqrt(fmax(1.0 - unsure, 0.0)), found->w2, unsure));
  }
  if (!(halves <= request->tolerance)) {
    BM_TRY(tell(request,
                "distances of halves are only known from %.12g to %.12g of themselves: a relative "
                "gap of %.1e, above --tolerance %g",
                sqrt(fmax(1.0 - halves, 0.0)), 1.0, halves));
  }
  return BM_OK;
}

static bm_status_t write_plan(const request_t *request, const pair_t *pair, const uint32_t *pairing)
{
  bm_state_t *plan = NULL;
  int64_t *rows = NULL;
  BM_TRY(BM_ALLOC(pair->found.n, &rows));
  for (size_t i = 0; i < pair->found.n; i++) {
    rows[i] = (int64_t)pairing[i];
  }
  const double w2[] = {pair->found.w2, pair->found.gap, pair->found.rounding};
  bm_status_t status = bm_state_create(BM_PLAN, &plan);
  if (status == BM_OK) {
    status = bm_state_put_ints(plan, "pairing", pair->found.n, rows);
  }
  if (status == BM_OK) {
    status = bm_state_put_doubles(plan, "w2_gap_rounding", 3, w2);
  }
  if (status == BM_OK) {
    status = bm_state_put_string(plan, "a", pair->files[0]);
  }
  if (status == BM_OK) {
    status = bm_state_put_string(plan, "b", pair->files[1]);
  }
  if (status == BM_OK) {
    status = bm_state_write(plan, request->plan);
  }
  bm_state_destroy(&plan);
  bm_free(rows);
  return status;
}

/* What rank 0 says and writes. */
static bm_status_t give(const request_t *request, const pair_t *pair)
{
  const char *checkpoint = request->settings.checkpoint;
  BM_TRY(judge(request, pair));
  if (request->json) {
    BM_TRY(print_json(request, pair));
  } else {
    print_sentence(request, pair);
  }
  if (fflush(stdout) != 0) {
    return BM_FAIL(BM_ERR_IO, "standard output cannot be written");
  }
  if (request->plan != NULL) {
    BM_TRY(write_plan(request, pair, request->settings.pairing));
    if (checkpoint != NULL && bm_file_is_same(request->plan, checkpoint)) {
      return BM_OK; /* the plan has taken its place */
    }
  }
  return checkpoint == NULL ? BM_OK : bm_file_remove(checkpoint); /* no more needed */
}

static bm_status_t measure(const bm_context_t *context, const request_t *request, pair_t *pair)
{
  const bm_distance_settings_t *settings = &request->settings;
  const bm_cloud_t *a = &pair->clouds[0], *b = &pair->clouds[1];
  const double started = bm_log_clock();
  BM_TRY(request->distance->compute(context, settings, a, b, &pair->found));
  if (strcmp(request->distance->name, "exact") != 0 && settings->repeats <= 1) {
    BM_TRY(bm_jackknife_error(context, request->distance, settings, a, b, &pair->found.error));
  }
  if (request->debias) {
    BM_TRY(bm_distance_debiased(context, request->distance, settings, a, b, &pair->debiased));
  }
  pair->seconds = bm_log_clock() - started;
  return bm_agree(context, bm_context_is_root(context) ? give(request, pair) : BM_OK);
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

static bm_status_t measure_with_plan(const bm_context_t *context, request_t *request, pair_t *pair)
{
  if (pair->clouds[0].d == 1 && request->settings.period == 0.0) {
    request->settings.checkpoint =
        NULL; /* a sort needs none, and leaves a file of that name alone */
  }
  if (request->plan == NULL) {
    return measure(context, request, pair);
  }
  BM_TRY_AGREE(context, BM_ALLOC(pair->clouds[0].n, &request->settings.pairing));
  bm_status_t status = measure(context, request, pair);
  bm_free(request->settings.pairing);
  return status;
}

static bm_status_t measure_files(const bm_context_t *context, request_t *request,
                                 const char *const *files /* [2] */)
{
  pair_t pair = {.files = {files[0], files[1]}};
  double *rows[2] = {NULL, NULL};
  bm_status_t status = BM_OK;
  for (size_t i = 0; status == BM_OK && i < 2; i++) {
    status = load(context, files[i], request, &pair.clouds[i], &rows[i]);
  }
  if (status == BM_OK) {
    status = measure_with_plan(context, request, &pair);
  }
  bm_free(rows[1]);
  bm_free(rows[0]);
  return bm_agree(context, status);
}

/* The two names of a line, separated by blanks or tabs; none in an empty line or a comment. Cuts
 * the line up. */
static bm_status_t split_line(char *line, const char *file, size_t number, const char *names[2])
{
  static const char blanks[] = " \t\r";
  char *rest = NULL;
  names[0] = strtok_r(line, blanks, &rest);
  names[1] = NULL;
  if (names[0] == NULL || names[0][0] == '#') {
    names[0] = NULL;
    return BM_OK;
  }
  names[1] = strtok_r(NULL, blanks, &rest);
  if (names[1] == NULL || strtok_r(NULL, blanks, &rest) != NULL) {
    return BM_FAIL(BM_ERR_DATA, "%s:%zu: expected two files, separated by blanks", file, number);
  }
  return BM_OK;
}

static bm_status_t measure_lines(const bm_context_t *context, request_t *request, char *text)
{
  size_t number = 1, pairs = 0;
  for (char *line = text, *next; line != NULL; line = next, number++) {
    const char *names[2];
    next = strchr(line, '\n');
    if (next != NULL) {
      *next++ = '\0';
    }
    BM_TRY(split_line(line, request->pairs, number, names));
    if (names[0] != NULL) {
      bm_status_t status = measure_files(context, request, names);
      if (status != BM_OK && status != BM_STOPPED) {
        return bm_status_prefix(status, "%s:%zu", request->pairs, number);
      }
      BM_TRY(status);
      pairs++;
    }
  }
  return pairs > 0 ? BM_OK : BM_FAIL(BM_ERR_DATA, "%s: has no pairs", request->pairs);
}

static bm_status_t measure_list(const bm_context_t *context, request_t *request)
{
  char *text = NULL;
  size_t size;
  bm_status_t status = BM_OK;
  if (bm_context_is_root(context)) {
    status = bm_file_read(request->pairs, &text, &size);
    if (status == BM_OK && memchr(text, 0, size) != NULL) {
      status = BM_FAIL(BM_ERR_DATA, "%s: is no text: it has zero bytes", request->pairs);
    }
  }
  BM_TRY_AGREE(context, status);
  status = bm_broadcast_string(context, &text);
  if (status == BM_OK) {
    status = measure_lines(context, request, text);
  }
  bm_free(text);
  return status;
}

/* A plan may take the place of an older one, and of nothing else. */
static bm_status_t check_plan(const char *path)
{
  bm_state_t *old = NULL;
  if (path == NULL || !bm_file_exists(path)) {
    return BM_OK;
  }
  if (bm_state_read(path, BM_PLAN, &old) != BM_OK) {
    return BM_FAIL(BM_ERR_USAGE, "--plan %s: is there and no plan; choose another name", path);
  }
  bm_state_destroy(&old);
  return BM_OK;
}

static bm_status_t work(const bm_context_t *context, const bm_arguments_t *arguments,
                        request_t *request)
{
  if (request->pairs != NULL) {
    return measure_list(context, request);
  }
  const char *const files[] = {bm_arguments_positional(arguments, 0),
                               bm_arguments_positional(arguments, 1), NULL};
  BM_TRY(bm_command_check_dataset(context, arguments, files));
  BM_TRY(bm_command_check_out(context, arguments, "--plan", files));
  BM_TRY(bm_command_check_out(context, arguments, "--checkpoint", files));
  BM_TRY_AGREE(context, bm_context_is_root(context) ? check_plan(request->plan) : BM_OK);
  if (request->plan != NULL && request->settings.checkpoint != NULL &&
      strcmp(request->plan, request->settings.checkpoint) == 0) {
    return BM_FAIL(BM_ERR_USAGE, "--plan and --checkpoint %s: two files are needed", request->plan);
  }
  return measure_files(context, request, files);
}

static bm_status_t run(const bm_context_t *context, const bm_arguments_t *arguments)
{
  request_t request = {0};
  BM_TRY(read_request(arguments, &request));
  bm_log_t *log = NULL;
  if (!request.json) {
    BM_TRY_AGREE(context, bm_log_create(context, NULL, &log));
  }
  request.settings.log = log;
  bm_status_t status = work(context, arguments, &request);
  bm_log_destroy(&log);
  if (status == BM_STOPPED && request.settings.checkpoint == NULL) {
    return BM_FAIL(BM_STOPPED, "stopped on request; nothing is kept of an unfinished distance%s",
                   strcmp(request.distance->name, "exact") == 0 ? " without --checkpoint" : "");
  }
  return status;
}

const bm_command_t bm_command_distance = {
    .name = "distance",
    .positional = {"A", "B"},
    .instead = "--pairs",
    .summary = "Wasserstein-2 distance of two sample sets, in the unit of the data",
    .details =
        "A and B are HDF5 files (H5MD, or a data set of rows) or .npy arrays. The exact distance\n"
        "pairs equal numbers of points and proves its optimality by a duality gap; it takes about\n"
        "1.2 kB a point beside the sets themselves, which every rank holds. sliced, max-sliced "
        "and\n"
        "marginal (one column) share their work over the ranks of mpirun; exact does so, too, and\n"
        "alone uses as many threads as there are cores (OMP_NUM_THREADS). The result does not\n"
        "depend on either.\n\n"
        "A distance of finite samples holds their noise: --debias takes it off, for sets that are\n"
        "independent of each other (no rows in common). Errors are one standard error of the\n"
        "samples, for rows in their order: from the dual variables (exact), by leaving out blocks\n"
        "of rows (others), or over --repeats, widened for points that subsamples share.\n\n"
        "--json gives kind, w2, error, spread (standard deviation over repeats), n and n_b "
        "(points\n"
        "of A and B), d (columns), gap and rounding (of W2², relative), seconds, seconds_pricing\n"
        "(what ranks share), with --pairs a and b, and with --debias w2_squared_debiased and its\n"
        "error, w2_squared_halves, w2_squared_floor, n_halves. Names in a list of --pairs count\n"
        "from the working folder; lines that begin with # are comments; the first bad pair ends "
        "it.",
    .options = options,
    .run = run,
    .after_stop =
        "the same command goes on where it has --checkpoint, else it starts from the beginning",
};
