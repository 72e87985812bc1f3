#include "boltzmap/app/floors.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/app/stage.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"
#include "boltzmap/base/tree.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/partition.h"
#include "boltzmap/sample/sampler.h"

#define BM_BLOCKS BM_FLOOR_LEAST /* of a file with few walkers */
#define BM_TRAJECTORIES 6        /* of a molecule, whose halves differ in ten ways */

/* The sets of all pairs: 2·pairs of them, a then b. */
typedef struct {
  size_t pairs, n[2], d;
  double **rows; /* [2·pairs], each [n][d] */
} sets_t;

/* A floor to be worked out. */
#define BM_PIECE_NAME 64
#define BM_SETS_KEPT_BYTES 2.5e8 /* larger ones are made again: the journal holds them in memory */
typedef struct {
  bm_experiment_t *experiment;
  const bm_floor_question_t *question;
  char label[BM_PIECE_NAME / 2]; /* of its pieces in the journal */
} work_t;

static size_t smaller(const bm_floor_question_t *question)
{
  return question->n[0] < question->n[1] ? question->n[0] : question->n[1];
}

static int is_file(const bm_deck_case_t *reference)
{
  return strcmp(bm_deck_string(reference, "reference.sampler"), "file") == 0;
}

/* Trajectories of molecules are long and expensive: they are split, too. */
int bm_floors_are_independent(const bm_deck_case_t *reference)
{
  return !is_file(reference) && !bm_deck_has(reference, "flow.coordinates");
}

/* How a reference is cut: its first rows into an even number of blocks. */
typedef struct {
  size_t rows, blocks;
} cut_t;

/* Whole walkers, without the last one where they are odd: a block with parts of two would bring a walker into
 * both halves. Of a molecule frames of one trajectory know of each other: few trajectories are few blocks. */
static cut_t cut_of(const bm_deck_case_t *reference, size_t n, size_t walkers)
{
  const size_t least = bm_deck_has(reference, "flow.coordinates") ? BM_TRAJECTORIES : BM_BLOCKS;
  const size_t whole = walkers / 2 * 2;
  return walkers >= least ? (cut_t){n / walkers * whole, whole} : (cut_t){n, BM_BLOCKS};
}

size_t bm_floors_most(const bm_deck_case_t *reference, size_t n, size_t walkers)
{
  const cut_t cut = cut_of(reference, n, walkers);
  return bm_floors_are_independent(reference) ? SIZE_MAX : cut.rows / cut.blocks * (cut.blocks / 2);
}

void bm_floors_spread(size_t n, size_t d, const double *x, size_t count, double *rows)
{
  assert(count <= n);
  for (size_t i = 0; i < count; i++) {
    size_t row = (size_t)((unsigned __int128)i * n / count);
    memcpy(rows + i * d, x + row * d, d * sizeof *rows);
  }
}

/* Step size, burn-in and thinning as the reference was made with. */
static bm_status_t settings_as_used(const bm_experiment_t *experiment,
                                    const bm_deck_case_t *reference,
                                    bm_sampler_settings_t *settings)
{
  const bm_context_t *context = experiment->context;
  double used[3] = {0.0, 0.0, 0.0};
  bm_status_t status = BM_OK;
  if (bm_context_is_root(context)) {
    bm_results_t *results = NULL;
    status = bm_results_create(&results);
    if (status == BM_OK) {
      status = bm_stage_read_record(experiment, &bm_stage_sample, reference, results);
    }
    if (status == BM_OK) {
      used[0] = bm_results_value(results, "step_size");
      used[1] = bm_results_value(results, "burn_in");
      used[2] = bm_results_value(results, "thinning");
    }
    bm_results_destroy(&results);
  }
  BM_TRY_AGREE(context, status);
  BM_TRY(bm_broadcast(context, used, sizeof used));
  settings->step_size = used[0];
  settings->adapt = 0;
  settings->burn_in = (int64_t)used[1];
  settings->thinning = (int64_t)used[2];
  return BM_OK;
}

/* A new reference of n rows on every rank. */
static bm_status_t sample_set(const bm_experiment_t *experiment, const bm_potential_t *potential,
                              const bm_sampler_settings_t *plan, uint64_t seed, size_t n,
                              double **rows)
{
  const bm_context_t *context = experiment->context;
  bm_sampler_settings_t settings = *plan;
  bm_sampler_report_t report;
  bm_samples_t *samples = NULL;
  double *all = NULL;
  settings.samples = (n + settings.walkers - 1) / settings.walkers * settings.walkers;
  const bm_sampler_request_t request = {context, potential, &settings, seed, NULL, NULL};
  BM_TRY(bm_sampler_run(&request, &samples, &report));
  bm_status_t status = bm_samples_replicate(context, samples, &all);
  if (status == BM_OK) {
    status = bm_agree(context, BM_ALLOC(n * samples->d, rows));
  }
  if (status == BM_OK) {
    bm_floors_spread(samples->n, samples->d, all, n, *rows);
  }
  bm_free(all);
  bm_samples_destroy(&samples);
  return status;
}

/* A set that an earlier run has made; NULL: none has. */
static bm_status_t recall_set(const bm_context_t *context, const bm_journal_t *journal,
                              const char *piece, size_t items, double **rows)
{
  BM_TRY_AGREE(context, BM_ALLOC(items, rows));
  if (!bm_journal_find(journal, piece, items, *rows)) {
    bm_free(*rows);
    *rows = NULL;
  }
  return BM_OK;
}

static bm_status_t sample_sets(const work_t *work, const bm_potential_t *potential, sets_t *sets)
{
  const bm_experiment_t *experiment = work->experiment;
  bm_sampler_settings_t settings;
  BM_TRY(bm_sampler_settings(work->question->reference, &settings));
  BM_TRY(settings_as_used(experiment, work->question->reference, &settings));
  const double bytes = 8.0 * (double)(sets->pairs * (sets->n[0] + sets->n[1]) * sets->d);
  bm_journal_t *journal = bytes < BM_SETS_KEPT_BYTES ? work->question->journal : NULL;
  for (size_t i = 0; i < 2 * sets->pairs; i++) {
    const uint64_t seed = bm_random_derive_seed(experiment->seed, 1 + i);
    const size_t n = sets->n[i % 2];
    char piece[BM_PIECE_NAME];
    snprintf(piece, sizeof piece, "sets/%s/%zu", work->label, i);
    BM_TRY(recall_set(experiment->context, journal, piece, n * sets->d, &sets->rows[i]));
    if (sets->rows[i] == NULL) {
      BM_TRY(sample_set(experiment, potential, &settings, seed, n, &sets->rows[i]));
      BM_TRY(bm_journal_add(journal, piece, n * sets->d, sets->rows[i]));
    }
    bm_log_progress(experiment->log, (double)(i + 1) / 2.0, NULL);
  }
  return BM_OK;
}

/* The rows of half of the blocks in this order, then `count` of them evenly spread. */
static bm_status_t take_half(const bm_cloud_t *file, int blocks, const uint32_t *order,
                             size_t count, double **rows)
{
  double *half = NULL;
  size_t n = 0;
  BM_TRY(BM_ALLOC(file->n * file->d, &half));
  for (int k = 0; k < blocks / 2; k++) {
    bm_range_t block = bm_partition(file->n, blocks, (int)order[k]);
    memcpy(half + n * file->d, file->x + block.first * file->d,
           block.count * file->d * sizeof *half);
    n += block.count;
  }
  bm_status_t status = BM_ALLOC(count * file->d, rows);
  if (status == BM_OK) {
    bm_floors_spread(n, file->d, half, count, *rows);
  }
  bm_free(half);
  return status;
}

static bm_status_t split_sets(const bm_experiment_t *experiment, const bm_cloud_t *file, int blocks,
                              sets_t *sets)
{
  uint32_t *order = NULL;
  bm_random_t random = bm_random(experiment->seed, BM_PURPOSE_BOOTSTRAP);
  bm_status_t status = BM_ALLOC((size_t)blocks, &order);
  for (size_t p = 0; status == BM_OK && p < sets->pairs; p++) {
    bm_random_permutation(random, (uint32_t)p, (size_t)blocks, order);
    status = take_half(file, blocks, order, sets->n[0], &sets->rows[2 * p]);
    if (status == BM_OK) {
      status = take_half(file, blocks, order + blocks / 2, sets->n[1], &sets->rows[2 * p + 1]);
    }
  }
  bm_free(order);
  return bm_agree(experiment->context, status);
}

static bm_status_t make_sets(const work_t *work, const bm_potential_t *potential, sets_t *sets)
{
  const bm_deck_case_t *reference = work->question->reference;
  if (bm_floors_are_independent(reference)) {
    return sample_sets(work, potential, sets);
  }
  bm_cloud_t file;
  double *rows = NULL;
  size_t walkers;
  BM_TRY(
      bm_stage_load_samples(work->experiment, reference, "reference.h5md", &file, &rows, &walkers));
  const cut_t cut = cut_of(reference, file.n, walkers);
  file.n = cut.rows;
  bm_status_t status = split_sets(work->experiment, &file, (int)cut.blocks, sets);
  bm_free(rows);
  return status;
}

static bm_comparison_t comparison_of(const work_t *work, const bm_potential_t *potential)
{
  return (bm_comparison_t){work->experiment->context,
                           potential,
                           &work->question->settings->comparison,
                           {work->question->journal, work->label}};
}

static bm_status_t compare_sets(const work_t *work, const bm_potential_t *potential,
                                const sets_t *sets, bm_comparison_row_t *rows)
{
  const bm_comparison_t comparison = comparison_of(work, potential);
  bm_cloud_t *clouds = NULL;
  BM_TRY_AGREE(comparison.context, BM_ALLOC(2 * sets->pairs, &clouds));
  for (size_t p = 0; p < sets->pairs; p++) {
    clouds[p] = (bm_cloud_t){sets->n[0], sets->d, sets->rows[2 * p]};
    clouds[sets->pairs + p] = (bm_cloud_t){sets->n[1], sets->d, sets->rows[2 * p + 1]};
  }
  bm_status_t status =
      bm_comparison_floor(&comparison, sets->pairs, clouds, clouds + sets->pairs, rows);
  bm_free(clouds);
  return status;
}

/* Configurations to what the flow's samples are compared as. */
static bm_status_t project_sets(const bm_chart_t *chart, sets_t *sets)
{
  const size_t d = bm_chart_shape_dimension(chart);
  for (size_t i = 0; i < 2 * sets->pairs; i++) {
    double *shapes = NULL;
    BM_TRY(BM_ALLOC(sets->n[i % 2] * d, &shapes));
    bm_status_t status = bm_chart_project(chart, sets->n[i % 2], sets->rows[i], shapes);
    bm_free(sets->rows[i]);
    sets->rows[i] = shapes;
    BM_TRY(status);
  }
  sets->d = d;
  return BM_OK;
}

/* Averages of the potential's functions over the sets, which are independent of each other. */
static bm_status_t average_sets(const bm_potential_t *potential, const sets_t *sets,
                                bm_floor_t *floor)
{
  const size_t count = bm_potential_traits(potential)->average_count;
  const size_t most = sets->n[0] > sets->n[1] ? sets->n[0] : sets->n[1];
  const double number = 2.0 * (double)sets->pairs;
  double *values = NULL; /* [count][most], squares [count] */
  BM_TRY(BM_ALLOC(count * (most + 1), &values));
  double *squares = values + count * most;
  for (size_t i = 0; i < 2 * sets->pairs; i++) {
    size_t n = sets->n[i % 2];
    bm_potential_average(potential, n, sets->rows[i], values);
    for (size_t k = 0; k < count; k++) {
      double mean = bm_tree_sum(n, values + k * n) / (double)n;
      floor->means[k] += mean / number;
      squares[k] += mean * mean / number;
    }
  }
  for (size_t k = 0; k < count; k++) {
    double variance = squares[k] - floor->means[k] * floor->means[k];
    floor->errors[k] = sqrt(fmax(variance, 0.0) / (number - 1.0));
  }
  floor->configurations = sets->pairs * (sets->n[0] + sets->n[1]);
  bm_free(values);
  return BM_OK;
}

/* Means, errors, configurations: as they are kept. */
static bm_status_t remember_averages(const work_t *work, const bm_floor_t *floor)
{
  const size_t count = bm_potential_traits(floor->space.shapes)->average_count;
  char piece[BM_PIECE_NAME];
  double *numbers = NULL;
  BM_TRY_AGREE(work->experiment->context, BM_ALLOC(2 * count + 1, &numbers));
  memcpy(numbers, floor->means, count * sizeof *numbers);
  memcpy(numbers + count, floor->errors, count * sizeof *numbers);
  numbers[2 * count] = (double)floor->configurations;
  snprintf(piece, sizeof piece, "averages/%s", work->label);
  bm_status_t status = bm_journal_add(work->question->journal, piece, 2 * count + 1, numbers);
  bm_free(numbers);
  return status;
}

static bm_status_t recall_averages(const work_t *work, bm_floor_t *floor, int *found)
{
  const size_t count = bm_potential_traits(floor->space.shapes)->average_count;
  char piece[BM_PIECE_NAME];
  double *numbers = NULL;
  BM_TRY(BM_ALLOC(2 * count + 1, &numbers));
  snprintf(piece, sizeof piece, "averages/%s", work->label);
  *found = bm_journal_find(work->question->journal, piece, 2 * count + 1, numbers);
  if (*found) {
    memcpy(floor->means, numbers, count * sizeof *numbers);
    memcpy(floor->errors, numbers + count, count * sizeof *numbers);
    floor->configurations = (size_t)numbers[2 * count];
  }
  bm_free(numbers);
  return BM_OK;
}

/* A floor that an earlier run has worked out to the end. */
static bm_status_t recall_floor(const work_t *work, bm_floor_t *floor, int *found)
{
  const bm_comparison_t comparison = comparison_of(work, floor->space.shapes);
  BM_TRY(bm_comparison_recall(&comparison, smaller(work->question), floor->rows, found));
  return *found && bm_floors_are_independent(work->question->reference)
             ? recall_averages(work, floor, found)
             : BM_OK;
}

static bm_status_t work_out(const work_t *work, sets_t *sets, bm_floor_t *floor)
{
  bm_experiment_t *experiment = work->experiment;
  const bm_context_t *context = experiment->context;
  BM_TRY_AGREE(context, BM_ALLOC(2 * sets->pairs, &sets->rows));
  bm_log_progress_start(experiment->log, "floors", (double)sets->pairs, "pairs");
  bm_status_t status = make_sets(work, floor->space.system, sets);
  if (status == BM_OK) {
    status = bm_agree(context, project_sets(work->question->chart, sets));
  }
  if (status == BM_OK && bm_floors_are_independent(work->question->reference)) {
    status = bm_agree(context, average_sets(floor->space.shapes, sets, floor));
    if (status == BM_OK) {
      status = remember_averages(work, floor);
    }
  }
  if (status == BM_OK) {
    status = compare_sets(work, floor->space.shapes, sets, floor->rows);
  }
  bm_log_progress_end(experiment->log);
  for (size_t i = 0; i < 2 * sets->pairs; i++) {
    bm_free(sets->rows[i]);
  }
  bm_free(sets->rows);
  return status;
}

static bm_status_t make_room(const bm_floor_question_t *question, bm_floor_t *floor)
{
  BM_TRY(bm_space_create(question->reference, &floor->space));
  const size_t averages = bm_potential_traits(floor->space.shapes)->average_count;
  BM_TRY(bm_comparison_count(floor->space.shapes, &question->settings->comparison,
                             smaller(question), &floor->count));

  BM_TRY(BM_ALLOC(floor->count, &floor->rows));
  BM_TRY(BM_ALLOC(averages, &floor->means));
  return BM_ALLOC(averages, &floor->errors);
}

void bm_floors_release(bm_floor_t *floor)
{
  bm_free(floor->errors);
  bm_free(floor->means);
  bm_free(floor->rows);
  bm_space_release(&floor->space);
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
  return (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15) + (hash >> 29);
}

/* What decides a floor: with these settings a chart is the same for equal references. */
static uint64_t key_of(const bm_experiment_t *experiment, const bm_floor_question_t *question)
{
  const bm_comparison_settings_t *comparison = &question->settings->comparison;
  const uint64_t parts[] = {
      question->n[0],
      question->n[1],
      question->settings->floor_pairs,
      comparison->projections,
      (uint64_t)comparison->exact,
      comparison->exact_points,
      comparison->exact_repeats,
      comparison->seed,
      bm_deck_fingerprint(question->reference, "flow.coordinates,training.validation_fraction")};
  uint64_t key = bm_stage_fingerprint(experiment, &bm_stage_sample, question->reference);
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    key = mix(key, parts[i]);
  }
  return key;
}

bm_status_t bm_floors_of(bm_experiment_t *experiment, const bm_floor_question_t *question,
                         const bm_floor_t **floor)
{
  uint64_t key = key_of(experiment, question);
  for (size_t i = 0; i < experiment->floor_count; i++) {
    *floor = &experiment->floors[i];
    if ((*floor)->key == key) {
      return BM_OK;
    }
  }
  bm_floor_t made = {.key = key};
  size_t known = experiment->floor_count;
  bm_status_t status = make_room(question, &made);
  if (status == BM_OK) {
    status = bm_resize(known, known + 1, sizeof *experiment->floors, (void **)&experiment->floors);
  }
  int found = 0;
  work_t work = {experiment, question, ""};
  snprintf(work.label, sizeof work.label, "floor-%016llx", (unsigned long long)key);
  if (status == BM_OK) {
    status = recall_floor(&work, &made, &found);
  }
  status = bm_agree(experiment->context, status);
  if (status == BM_OK && !found) {
    sets_t sets = {question->settings->floor_pairs,
                   {question->n[0], question->n[1]},
                   bm_potential_dimension(made.space.system),
                   NULL};
    status = work_out(&work, &sets, &made);
  }
  if (status != BM_OK) {
    bm_floors_release(&made);
    return status;
  }
  experiment->floors[known] = made;
  experiment->floor_count = known + 1;
  *floor = &experiment->floors[known];
  return BM_OK;
}
