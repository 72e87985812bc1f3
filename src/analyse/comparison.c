#include "boltzmap/analyse/comparison.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/analyse/distributions.h"
#include "boltzmap/base/internal.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/base/tree.h"
#include "boltzmap/model/molecule.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/partition.h"
#include "boltzmap/transport/jackknife.h"

#define BM_MEASURES_MORE 16 /* besides those of observables */
#define BM_DEGREES (180.0 / M_PI)
#define BM_ANGLE_POINTS 1000 /* of each set in the paper's protocol for angles (section 6.2) */
#define BM_ANGLE_REPEATS 50
#define BM_PAIRS_AT_ONCE 4 /* of a floor, a rank: fewer are dealt unevenly, more are kept seldom */

typedef struct measure measure_t;

/* What one row computes: a distance between sets, or between columns that are made of their rows. */
struct measure {
  char name[BM_COMPARISON_NAME];
  const char *unit;
  const bm_distance_ops_t *distance;
  bm_distance_settings_t settings;
  int jackknife;  /* does the error come from it? else from the distance */
  size_t columns; /* 0: the sets as they are */
  /* columns [n][columns] of rows x [n][d] */
  bm_status_t (*make)(const measure_t *measure, const bm_cloud_t *set, double *columns);
  const bm_potential_t *potential;
  const bm_pca_t *pca;
  size_t observable;
};

typedef struct {
  const bm_potential_t *potential;
  const bm_comparison_settings_t *settings;
  size_t points; /* of the smaller set; SIZE_MAX: not known */
  size_t count, room;
  measure_t *measure; /* [room] */
} list_t;

static const bm_traits_t *traits_of(const measure_t *measure)
{
  return bm_potential_traits(measure->potential);
}

/* One more row, with what all have in common. */
static measure_t *append(list_t *list, const char *name, const char *unit, const char *distance)
{
  measure_t *measure = &list->measure[list->count];
  assert(list->count < list->room);
  list->count++;
  *measure = (measure_t){.unit = unit,
                         .distance = bm_distance_find(distance),
                         .settings = {.subsample = list->settings->subsample,
                                      .repeats = 1,
                                      .projections = list->settings->projections,
                                      .seed = list->settings->seed},
                         .jackknife = strcmp(distance, "exact") != 0,
                         .potential = list->potential,
                         .pca = list->settings->pca};
  snprintf(measure->name, sizeof measure->name, "%s", name);
  return measure;
}

/* Values of all observables, [count][n]; owned by the caller. */
static bm_status_t observe(const bm_potential_t *potential, const bm_cloud_t *set, double **values)
{
  BM_TRY(BM_ALLOC(bm_potential_traits(potential)->observable_count * set->n, values));
  bm_potential_observe(potential, set->n, set->x, *values);
  return BM_OK;
}

static bm_status_t make_observable(const measure_t *measure, const bm_cloud_t *set, double *columns)
{
  double *values = NULL;
  BM_TRY(observe(measure->potential, set, &values));
  memcpy(columns, values + measure->observable * set->n, set->n * sizeof *columns);
  bm_free(values);
  return BM_OK;
}

/* Places of the first two angles among the observables. */
static size_t find_angles(const bm_traits_t *traits, size_t places[2])
{
  size_t found = 0;
  for (size_t k = 0; k < traits->observable_count && found < 2; k++) {
    if (traits->observables[k].period > 0.0) {
      places[found++] = k;
    }
  }
  return found;
}

static bm_status_t make_angles(const measure_t *measure, const bm_cloud_t *set, double *columns)
{
  size_t places[2];
  double *values = NULL;
  find_angles(traits_of(measure), places);
  BM_TRY(observe(measure->potential, set, &values));
  for (size_t i = 0; i < 2 * set->n; i++) {
    columns[i] = values[places[i % 2] * set->n + i / 2] * BM_DEGREES;
  }
  bm_free(values);
  return BM_OK;
}

static bm_status_t make_pca(const measure_t *measure, const bm_cloud_t *set, double *columns)
{
  const bm_pca_t *pca = measure->pca;
  for (size_t i = 0; i < set->n; i++) {
    for (size_t c = 0; c < BM_PCA_COMPONENTS; c++) {
      double sum = 0.0;
      for (size_t k = 0; k < set->d; k++) {
        sum += pca->directions[c * set->d + k] * (set->x[i * set->d + k] - pca->mean[k]) /
               pca->scale[k];
      }
      columns[i * BM_PCA_COMPONENTS + c] = sum;
    }
  }
  return BM_OK;
}

static bm_status_t make_bonds(const measure_t *measure, const bm_cloud_t *set, double *columns)
{
  const bm_topology_t *topology = traits_of(measure)->molecule->topology;
  for (size_t i = 0; i < set->n; i++) {
    for (size_t b = 0; b < topology->bond_count; b++) {
      const size_t atoms[2] = {topology->bonds[b].i, topology->bonds[b].j};
      columns[i * topology->bond_count + b] = bm_internal_distance(set->x + i * set->d, atoms);
    }
  }
  return BM_OK;
}

static bm_status_t make_bond_angles(const measure_t *measure, const bm_cloud_t *set,
                                    double *columns)
{
  const bm_topology_t *topology = traits_of(measure)->molecule->topology;
  for (size_t i = 0; i < set->n; i++) {
    for (size_t a = 0; a < topology->angle_count; a++) {
      const bm_angle_t *angle = &topology->angles[a];
      const size_t atoms[3] = {angle->i, angle->j, angle->k};
      columns[i * topology->angle_count + a] =
          BM_DEGREES * bm_internal_angle(set->x + i * set->d, atoms);
    }
  }
  return BM_OK;
}

static void list_observables(list_t *list)
{
  const bm_traits_t *traits = bm_potential_traits(list->potential);
  for (size_t k = 0; k < traits->observable_count; k++) {
    const bm_observable_name_t *observable = &traits->observables[k];
    char name[BM_COMPARISON_NAME];
    snprintf(name, sizeof name, "w2_%s", observable->name);
    measure_t *measure = append(list, name, observable->unit, "marginal");
    measure->settings.period = observable->period;
    measure->columns = 1;
    measure->make = make_observable;
    measure->observable = k;
  }
}

/* Distances of whole configurations. */
static void list_whole(list_t *list)
{
  const char *unit = bm_potential_layout(list->potential)->length_unit;
  if (!bm_potential_has_energy(list->potential)) {
    return; /* angles have distances of their own */
  }
  if (list->settings->projections > 0) {
    append(list, "w2_sliced", unit, "sliced");
  }
  if (list->settings->exact) {
    /* as many points of either set */
    const size_t asked = list->settings->exact_points;
    measure_t *measure = append(list, "w2_exact", unit, "exact");
    measure->settings.subsample = asked > 0 && asked < list->points ? asked : list->points;
    measure->settings.repeats = list->settings->exact_repeats;
  }
}

/* Two angles in the plane and on the torus, on all points and by the paper's protocol. */
static void list_angles(list_t *list)
{
  static const struct {
    const char *name;
    double period;
    int few;
  } rows[] = {{"w2_flat_deg", 0.0, 0},
              {"w2_torus_deg", 360.0, 0},
              {"w2_flat_deg_subsample_1000", 0.0, 1},
              {"w2_torus_deg_subsample_1000", 360.0, 1}};
  size_t places[2];
  if (find_angles(bm_potential_traits(list->potential), places) < 2) {
    return;
  }
  for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
    if (!list->settings->exact || (rows[k].few && list->points <= BM_ANGLE_POINTS)) {
      continue;
    }
    measure_t *measure = append(list, rows[k].name, "degree", "exact");
    measure->settings.period = rows[k].period;
    measure->settings.subsample = rows[k].few ? BM_ANGLE_POINTS : list->points;
    measure->settings.repeats = rows[k].few ? BM_ANGLE_REPEATS : 1;
    measure->columns = 2;
    measure->make = make_angles;
  }
  measure_t *divergence = append(list, "ramachandran_kl", "nat", "marginal");
  divergence->distance = &bm_distance_ramachandran;
  divergence->columns = 2;
  divergence->make = make_angles;
}

static void list_molecule(list_t *list)
{
  const bm_molecule_t *molecule = bm_potential_traits(list->potential)->molecule;
  if (list->settings->exact && list->settings->pca != NULL) {
    measure_t *pca = append(list, "w2_pca", "1", "exact");
    pca->settings.subsample = list->points;
    pca->columns = BM_PCA_COMPONENTS;
    pca->make = make_pca;
  }
  if (molecule == NULL || molecule->topology->bond_count == 0) {
    return;
  }
  measure_t *bonds = append(list, "w2_bond_lengths", "nm", "marginal");
  bonds->distance = &bm_distance_columns;
  bonds->columns = molecule->topology->bond_count;
  bonds->make = make_bonds;
  if (molecule->topology->angle_count > 0) {
    measure_t *angles = append(list, "w2_bond_angles", "degree", "marginal");
    angles->distance = &bm_distance_columns;
    angles->columns = molecule->topology->angle_count;
    angles->make = make_bond_angles;
  }
}

/* All rows of a comparison; the memory is the caller's. */
static bm_status_t list_measures(const bm_potential_t *potential,
                                 const bm_comparison_settings_t *settings, size_t points,
                                 list_t *list)
{
  *list = (list_t){.potential = potential,
                   .settings = settings,
                   .points = points,
                   .room = bm_potential_traits(potential)->observable_count + BM_MEASURES_MORE};
  BM_TRY(BM_ALLOC(list->room, &list->measure));
  list_observables(list);
  list_whole(list);
  list_angles(list);
  list_molecule(list);
  return BM_OK;
}

static size_t smaller(const bm_cloud_t *a, const bm_cloud_t *b)
{
  return a->n < b->n ? a->n : b->n;
}

bm_status_t bm_comparison_count(const bm_potential_t *potential,
                                const bm_comparison_settings_t *settings, size_t points,
                                size_t *count)
{
  list_t list;
  BM_TRY(list_measures(potential, settings, points, &list));
  *count = list.count;
  bm_free(list.measure);
  return BM_OK;
}

/* The cloud that a row compares; `*columns` is its own memory where it is made of the rows. */
static bm_status_t cloud_of(const measure_t *measure, const bm_cloud_t *set, double **columns,
                            bm_cloud_t *out)
{
  *out = *set;
  *columns = NULL;
  if (measure->make == NULL) {
    return BM_OK;
  }
  BM_TRY(BM_ALLOC(measure->columns * set->n, columns));
  *out = (bm_cloud_t){set->n, measure->columns, *columns};
  return measure->make(measure, set, *columns);
}

static bm_status_t measure_clouds(const bm_context_t *context, const measure_t *measure,
                                  const bm_cloud_t *a, const bm_cloud_t *b,
                                  bm_comparison_row_t *row)
{
  bm_distance_result_t result;
  BM_TRY(measure->distance->compute(context, &measure->settings, a, b, &result));
  *row = (bm_comparison_row_t){.unit = measure->unit,
                               .value = result.w2,
                               .error = result.error,
                               .spread = result.spread,
                               .points = result.n};
  memcpy(row->name, measure->name, sizeof row->name);
  return measure->jackknife
             ? bm_jackknife_error(context, measure->distance, &measure->settings, a, b, &row->error)
             : BM_OK;
}

/* Numbers of a row as they are kept. */
#define BM_ROW_NUMBERS 4

static void name_piece(const bm_comparison_memory_t *memory, const measure_t *measure,
                       char piece[2 * BM_COMPARISON_NAME])
{
  snprintf(piece, 2 * BM_COMPARISON_NAME, "%s/%s", memory->label == NULL ? "" : memory->label,
           measure->name);
}

static void name_pair(const bm_comparison_memory_t *memory, const measure_t *measure, size_t pair,
                      char piece[3 * BM_COMPARISON_NAME])
{
  snprintf(piece, 3 * BM_COMPARISON_NAME, "%s-pairs/%s/%zu",
           memory->label == NULL ? "" : memory->label, measure->name, pair);
}

/* A row that an earlier run has measured. */
static int recall(const bm_comparison_memory_t *memory, const measure_t *measure,
                  bm_comparison_row_t *row)
{
  char piece[2 * BM_COMPARISON_NAME];
  double numbers[BM_ROW_NUMBERS];
  name_piece(memory, measure, piece);
  if (!bm_journal_find(memory->journal, piece, BM_ROW_NUMBERS, numbers)) {
    return 0;
  }
  *row = (bm_comparison_row_t){.unit = measure->unit,
                               .value = numbers[0],
                               .error = numbers[1],
                               .spread = numbers[2],
                               .points = (size_t)numbers[3]};
  memcpy(row->name, measure->name, sizeof row->name);
  return 1;
}

static bm_status_t remember(const bm_comparison_memory_t *memory, const measure_t *measure,
                            const bm_comparison_row_t *row)
{
  char piece[2 * BM_COMPARISON_NAME];
  const double numbers[BM_ROW_NUMBERS] = {row->value, row->error, row->spread, (double)row->points};
  name_piece(memory, measure, piece);
  return bm_journal_add(memory->journal, piece, BM_ROW_NUMBERS, numbers);
}

bm_status_t bm_comparison_recall(const bm_comparison_t *comparison, size_t points,
                                 bm_comparison_row_t *rows, int *found)
{
  list_t list;
  BM_TRY(list_measures(comparison->potential, comparison->settings, points, &list));
  size_t known = 0;
  while (known < list.count && recall(&comparison->memory, &list.measure[known], &rows[known])) {
    known++;
  }
  *found = known == list.count;
  bm_free(list.measure);
  return BM_OK;
}

static bm_status_t measure_row(const bm_context_t *context, const measure_t *measure,
                               const bm_cloud_t *a, const bm_cloud_t *b, bm_comparison_row_t *row)
{
  double *columns[2] = {NULL, NULL};
  bm_cloud_t clouds[2];
  bm_status_t status = cloud_of(measure, a, &columns[0], &clouds[0]);
  if (status == BM_OK) {
    status = cloud_of(measure, b, &columns[1], &clouds[1]);
  }
  status = bm_agree(context, status);
  if (status == BM_OK) {
    status = measure_clouds(context, measure, &clouds[0], &clouds[1], row);
  }
  bm_free(columns[0]);
  bm_free(columns[1]);
  return status;
}

bm_status_t bm_comparison_measure(const bm_comparison_t *comparison, const bm_cloud_t *a,
                                  const bm_cloud_t *b, bm_log_t *log, bm_comparison_row_t *rows)
{
  list_t list;
  BM_TRY_AGREE(comparison->context,
               list_measures(comparison->potential, comparison->settings, smaller(a, b), &list));
  bm_status_t status = BM_OK;

  bm_log_progress_start(log, "distances", (double)list.count, "kinds");
  for (size_t k = 0; status == BM_OK && k < list.count; k++) {
    if (!recall(&comparison->memory, &list.measure[k], &rows[k])) {
      status = measure_row(comparison->context, &list.measure[k], a, b, &rows[k]);
      if (status == BM_OK) {
        status = remember(&comparison->memory, &list.measure[k], &rows[k]);
      }
    }
    bm_log_progress(log, (double)(k + 1), NULL);
  }
  bm_log_progress_end(log);
  bm_free(list.measure);
  return status;
}

/* Clouds of all pairs for one row, and room for the results. */
typedef struct {
  bm_cloud_t *a, *b;
  double **columns; /* [2][pairs] */
  bm_distance_result_t *results;
  double *values; /* [2][pairs] */
} pairs_t;

static bm_status_t allocate_pairs(size_t pairs, pairs_t *all)
{
  BM_TRY(BM_ALLOC(pairs, &all->a));
  BM_TRY(BM_ALLOC(pairs, &all->b));
  BM_TRY(BM_ALLOC(2 * pairs, &all->columns));
  BM_TRY(BM_ALLOC(pairs, &all->results));
  return BM_ALLOC(2 * pairs, &all->values);
}

static void free_columns(size_t pairs, pairs_t *all)
{
  for (size_t p = 0; all->columns != NULL && p < 2 * pairs; p++) {
    bm_free(all->columns[p]);
    all->columns[p] = NULL;
  }
}

static void free_pairs(size_t pairs, pairs_t *all)
{
  free_columns(pairs, all);
  bm_free(all->values);
  bm_free(all->results);
  bm_free(all->columns);
  bm_free(all->b);
  bm_free(all->a);
}

static bm_status_t clouds_of_pairs(const measure_t *measure, bm_range_t part, const bm_cloud_t *a,
                                   const bm_cloud_t *b, pairs_t *all)
{
  for (size_t p = part.first; p < part.first + part.count; p++) {
    BM_TRY(cloud_of(measure, &a[p], &all->columns[2 * p], &all->a[p]));
    BM_TRY(cloud_of(measure, &b[p], &all->columns[2 * p + 1], &all->b[p]));
  }
  return BM_OK;
}

static void summarise_pairs(const measure_t *measure, size_t pairs, const pairs_t *all,
                            bm_comparison_row_t *row)
{
  double *squares = all->values + pairs;
  double mean = bm_tree_sum(pairs, all->values) / (double)pairs;
  for (size_t p = 0; p < pairs; p++) {
    squares[p] = (all->values[p] - mean) * (all->values[p] - mean);
  }
  double spread = sqrt(bm_tree_sum(pairs, squares) / (double)(pairs - 1));
  *row = (bm_comparison_row_t){.unit = measure->unit,
                               .value = mean,
                               .error = spread / sqrt((double)pairs),
                               .spread = spread,
                               .points = pairs};
  memcpy(row->name, measure->name, sizeof row->name);
}

/* Values of some pairs of a row, one piece of the journal each. */
static bm_status_t floor_part(const bm_comparison_t *comparison, const measure_t *measure,
                              bm_range_t part, const bm_cloud_t *a, const bm_cloud_t *b,
                              pairs_t *all)
{
  bm_distance_settings_t settings = measure->settings;
  settings.first_pair = part.first;
  bm_status_t status = bm_agree(comparison->context, clouds_of_pairs(measure, part, a, b, all));
  if (status == BM_OK) {
    status = bm_distance_batch(comparison->context, measure->distance, &settings, part.count,
                               all->a + part.first, all->b + part.first, all->results);
  }
  for (size_t p = 0; status == BM_OK && p < part.count; p++) {
    char piece[3 * BM_COMPARISON_NAME];
    all->values[part.first + p] = all->results[p].w2;
    name_pair(&comparison->memory, measure, part.first + p, piece);
    status = bm_journal_add(comparison->memory.journal, piece, 1, &all->values[part.first + p]);
  }
  return status;
}

/* From this pair on, those that the memory does not have, as many as are made at a time. */
static bm_range_t missing_pairs(const bm_comparison_t *comparison, const measure_t *measure,
                                bm_range_t left, pairs_t *all)
{
  const size_t most = BM_PAIRS_AT_ONCE * (size_t)comparison->context->size;
  char piece[3 * BM_COMPARISON_NAME];
  bm_range_t part = {left.first, 0};
  while (part.count < left.count && part.count < most) {
    const size_t pair = part.first + part.count;
    name_pair(&comparison->memory, measure, pair, piece);
    if (bm_journal_find(comparison->memory.journal, piece, 1, &all->values[pair])) {
      break;
    }
    part.count++;
  }
  return part;
}

static bm_status_t floor_row(const bm_comparison_t *comparison, const measure_t *measure,
                             size_t pairs, const bm_cloud_t *a, const bm_cloud_t *b, pairs_t *all)
{
  bm_status_t status = BM_OK;
  for (size_t done = 0; status == BM_OK && done < pairs;) {
    const bm_range_t part =
        missing_pairs(comparison, measure, (bm_range_t){done, pairs - done}, all);
    if (part.count > 0) {
      status = floor_part(comparison, measure, part, a, b, all);
    }
    done += part.count > 0 ? part.count : 1;
  }
  free_columns(pairs, all);
  return status;
}

bm_status_t bm_comparison_floor(const bm_comparison_t *comparison, size_t pairs,
                                const bm_cloud_t *a, const bm_cloud_t *b, bm_comparison_row_t *rows)
{
  assert(pairs >= 2);
  const bm_context_t *context = comparison->context;
  list_t list;
  BM_TRY_AGREE(context, list_measures(comparison->potential, comparison->settings,
                                      smaller(&a[0], &b[0]), &list));

  pairs_t all = {NULL, NULL, NULL, NULL, NULL};
  bm_status_t status = bm_agree(context, allocate_pairs(pairs, &all));
  for (size_t k = 0; status == BM_OK && k < list.count; k++) {
    const measure_t *measure = &list.measure[k];
    if (recall(&comparison->memory, measure, &rows[k])) {
      continue;
    }
    status = floor_row(comparison, measure, pairs, a, b, &all);
    if (status == BM_OK) {
      summarise_pairs(measure, pairs, &all, &rows[k]);
      status = remember(&comparison->memory, measure, &rows[k]);
    }
  }
  free_pairs(pairs, &all);
  bm_free(list.measure);
  return status;
}

bm_status_t bm_comparison_put(const bm_comparison_row_t *rows, size_t count, const char *suffix,
                              bm_results_t *results)
{
  for (size_t k = 0; k < count; k++) {
    char name[160];
    snprintf(name, sizeof name, "%s%s", rows[k].name, suffix);
    BM_TRY(bm_results_metric(results, name, rows[k].value, rows[k].error, rows[k].unit,
                             rows[k].points));
    if (isfinite(rows[k].spread)) {
      snprintf(name, sizeof name, "%s%s_spread", rows[k].name, suffix);
      BM_TRY(bm_results_metric(results, name, rows[k].spread, NAN, rows[k].unit, rows[k].points));
    }
  }
  return BM_OK;
}

bm_status_t bm_comparison_put_floor(const bm_comparison_row_t *rows, size_t count,
                                    const char *suffix, bm_results_t *results)
{
  for (size_t k = 0; k < count; k++) {
    char name[160];
    snprintf(name, sizeof name, "%s%s_floor", rows[k].name, suffix);
    BM_TRY(bm_results_floor(results, name, rows[k].value, rows[k].spread, rows[k].unit,
                            rows[k].points));
  }
  return BM_OK;
}
