#include "boltzmap/analyse/averages.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/analyse/weights.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/base/tree.h"
#include "boltzmap/generate/generator.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/sample/diagnostics.h"
#include "boltzmap/sample/quantities.h"

#define BM_PIECE (8 * BM_MAP_CHUNK) /* rows between looks at stop requests */

static const char *metric_name(char name[160], const char *stem, const char *set)
{
  snprintf(name, 160, "%s_%s", stem, set);
  return name;
}

static double smallest_of(size_t n, const double *values)
{
  double least = INFINITY;
  for (size_t i = 0; i < n; i++) {
    least = values[i] < least ? values[i] : least;
  }
  return least;
}

/* On rank 0, from all rows. */
static bm_status_t put_walker_averages(const bm_potential_t *potential, const bm_samples_t *samples,
                                       const double *all, const char *set, double *values,
                                       bm_results_t *results)
{
  const bm_traits_t *traits = bm_potential_traits(potential);
  const size_t n = samples->n;
  char name[160];
  bm_potential_average(potential, n, all, values);
  for (size_t k = 0; k < traits->average_count; k++) {
    double mean;
    double error;
    bm_chain_mean(samples->walkers, n / samples->walkers, values + k * n, &mean, &error);
    BM_TRY(bm_results_metric(results, metric_name(name, traits->averages[k].name, set), mean, error,
                             traits->averages[k].unit, n));
  }
  bm_potential_observe(potential, n, all, values);
  for (size_t k = 0; k < traits->observable_count; k++) {
    if (traits->observables[k].period > 0.0) {
      continue; /* an angle has no least value */
    }
    char stem[96];
    snprintf(stem, sizeof stem, "min_%s", traits->observables[k].name);
    BM_TRY(bm_results_metric(results, metric_name(name, stem, set), smallest_of(n, values + k * n),
                             NAN, traits->observables[k].unit, n));
  }
  return BM_OK;
}

bm_status_t bm_averages_of_walkers(const bm_context_t *context, const bm_potential_t *potential,
                                   const bm_samples_t *samples, const char *set,
                                   bm_results_t *results)
{
  const bm_traits_t *traits = bm_potential_traits(potential);
  double *all = NULL;
  double *values = NULL;
  BM_TRY(bm_samples_replicate(context, samples, &all));
  bm_status_t status = BM_OK;
  if (bm_context_is_root(context)) {
    status = BM_ALLOC((traits->average_count + traits->observable_count) * samples->n, &values);
    if (status == BM_OK) {
      status = put_walker_averages(potential, samples, all, set, values, results);
    }
  }
  bm_free(values);
  bm_free(all);
  return bm_agree(context, status);
}

enum { RHAT, ESS_BULK, ESS_TAIL, VERDICTS };

/* The diagnostics of one quantity's chains. */
static bm_status_t diagnose_chains(size_t walkers, size_t frames, const double *chains,
                                   double verdict[VERDICTS])
{
  BM_TRY(bm_rhat(walkers, frames, chains, &verdict[RHAT]));
  BM_TRY(bm_ess_bulk(walkers, frames, chains, &verdict[ESS_BULK]));
  return bm_ess_tail(walkers, frames, chains, &verdict[ESS_TAIL]);
}

/* Room for the diagnostics of n configurations. */
typedef struct {
  size_t quantities;
  double *verdicts;    /* [quantities][VERDICTS] */
  double *values;      /* [quantities][n] */
  double *observables; /* [observables][n] */
  double *energy;      /* [n] */
  double *memory;      /* behind all of them */
} diagnosis_t;

static bm_status_t create_diagnosis(const bm_potential_t *potential, size_t n, diagnosis_t *room)
{
  const size_t observables = bm_potential_traits(potential)->observable_count;
  room->quantities = bm_quantities_count(potential);
  BM_TRY(BM_ALLOC(room->quantities * (VERDICTS + n) + (observables + 1) * n, &room->memory));
  room->verdicts = room->memory;
  room->values = room->verdicts + room->quantities * VERDICTS;
  room->observables = room->values + room->quantities * n;
  room->energy = room->observables + observables * n;
  return BM_OK;
}

/* Each quantity is worked on by one rank and zero on the others. */
static bm_status_t diagnose_own(const bm_context_t *context, const bm_potential_t *potential,
                                const bm_samples_t *samples, const double *all, diagnosis_t *room)
{
  const size_t n = samples->n;
  bm_potential_energy(potential, n, all, room->energy, NULL);
  bm_quantities(potential, n, all, room->energy, room->values, room->observables);
  for (size_t q = (size_t)context->rank; q < room->quantities; q += (size_t)context->size) {
    BM_TRY(diagnose_chains(samples->walkers, n / samples->walkers, room->values + q * n,
                           room->verdicts + q * VERDICTS));
  }
  return BM_OK;
}

/* R-hat and effective sizes of each quantity, blanks of its name as underscores. */
static bm_status_t put_quantities(const bm_potential_t *potential, const double *verdicts, size_t n,
                                  bm_results_t *results)
{
  static const char *const stems[VERDICTS] = {"rhat", "ess", "ess_tail"};
  for (size_t q = 0; q < bm_quantities_count(potential); q++) {
    char quantity[96];
    bm_quantities_name(potential, q, quantity, sizeof quantity);
    for (char *c = quantity; *c != '\0'; c++) {
      *c = *c == ' ' ? '_' : *c;
    }
    for (size_t k = 0; k < VERDICTS; k++) {
      char name[160];
      BM_TRY(bm_results_metric(results, metric_name(name, stems[k], quantity),
                               verdicts[q * VERDICTS + k], NAN, "1", n));
    }
  }
  return BM_OK;
}

/* The worst of all quantities into the results; of a molecule, whose quantities are few, each. */
static bm_status_t put_diagnostics(const bm_context_t *context, const bm_potential_t *potential,
                                   const double *verdicts, size_t n, bm_results_t *results,
                                   double *rhat)
{
  const size_t quantities = bm_quantities_count(potential);
  double worst[VERDICTS] = {-INFINITY, INFINITY, INFINITY};
  for (size_t q = 0; q < quantities; q++) {
    const double *own = verdicts + q * VERDICTS;
    worst[RHAT] = own[RHAT] > worst[RHAT] ? own[RHAT] : worst[RHAT];
    for (int k = ESS_BULK; k < VERDICTS; k++) {
      worst[k] = own[k] < worst[k] ? own[k] : worst[k];
    }
  }
  *rhat = worst[RHAT];
  if (!bm_context_is_root(context)) {
    return BM_OK;
  }
  if (bm_potential_traits(potential)->invariant) {
    BM_TRY(put_quantities(potential, verdicts, n, results));
  }
  BM_TRY(bm_results_metric(results, "rhat_max", worst[RHAT], NAN, "1", n));
  BM_TRY(bm_results_metric(results, "ess_min", worst[ESS_BULK], NAN, "1", n));
  return bm_results_metric(results, "ess_tail_min", worst[ESS_TAIL], NAN, "1", n);
}

bm_status_t bm_averages_diagnose(const bm_context_t *context, const bm_potential_t *potential,
                                 const bm_samples_t *samples, bm_results_t *results, double *rhat)
{
  diagnosis_t room = {0, NULL, NULL, NULL, NULL, NULL};
  *rhat = NAN;
  if (samples->n / samples->walkers < 4 || samples->walkers < 2) {
    return BM_OK;
  }
  double *all = NULL;
  BM_TRY(bm_samples_replicate(context, samples, &all));
  bm_status_t status = create_diagnosis(potential, samples->n, &room);
  if (status == BM_OK) {
    status = diagnose_own(context, potential, samples, all, &room);
  }
  status = bm_agree(context, status);
  if (status == BM_OK) {
    status = bm_context_mpi_status(MPI_Allreduce(MPI_IN_PLACE, room.verdicts,
                                                 (int)(room.quantities * VERDICTS), MPI_DOUBLE,
                                                 MPI_SUM, context->comm),
                                   "MPI_Allreduce");
  }
  if (status == BM_OK) {
    status = put_diagnostics(context, potential, room.verdicts, samples->n, results, rhat);
  }
  bm_free(room.memory);
  bm_free(all);
  return bm_agree(context, status);
}

/* Numbers of every sample, as columns: the functions that are averaged, then log weights. */
typedef struct {
  size_t averages, count; /* columns of averages, of all */
  bm_range_t own;         /* samples of this rank */
  double *values;         /* [count][own.count] */
  double *whole;          /* [n], on rank 0: one column of all ranks */
  int64_t *below;         /* [observables] samples of this rank below the reference's least */
} columns_t;

static bm_status_t fill_columns(bm_map_t *map, const bm_map_averages_t *what, size_t done,
                                size_t rows, double *work, columns_t *columns)
{
  const size_t d = bm_map_dimension(map);
  const bm_traits_t *traits = bm_potential_traits(what->potential);
  double *x = work;                      /* [rows][d] */
  double *density = x + BM_PIECE * d;    /* [rows] */
  double *energy = density + BM_PIECE;   /* [rows] */
  double *functions = energy + BM_PIECE; /* [averages or observables][rows] */
  BM_TRY(bm_generate_rows(map, what->seed, columns->own.first + done, rows, x, density));
  bm_potential_average(what->potential, rows, x, functions);
  for (size_t k = 0; k < columns->averages; k++) {
    memcpy(columns->values + k * columns->own.count + done, functions + k * rows,
           rows * sizeof *functions);
  }
  bm_potential_observe(what->potential, rows, x, functions);
  for (size_t k = 0; what->least != NULL && k < traits->observable_count; k++) {
    for (size_t i = 0; i < rows; i++) {
      columns->below[k] += functions[k * rows + i] < what->least[k];
    }
  }
  if (what->target != NULL) {
    double *log_weight = columns->values + columns->averages * columns->own.count + done;
    double beta = bm_potential_beta(what->target);
    bm_potential_energy(what->target, rows, x, energy, NULL);
    for (size_t i = 0; i < rows; i++) {
      log_weight[i] = -beta * energy[i] - density[i];
    }
  }
  return BM_OK;
}

static bm_status_t fill_all(const bm_context_t *context, bm_map_t *map,
                            const bm_map_averages_t *what, bm_log_t *log, columns_t *columns)
{
  const bm_traits_t *traits = bm_potential_traits(what->potential);
  size_t widest = traits->average_count > traits->observable_count ? traits->average_count
                                                                   : traits->observable_count;
  size_t most = bm_map_partition(what->n, context->size, 0).count;
  double *work = NULL;
  BM_TRY_AGREE(context, BM_ALLOC(BM_PIECE * (bm_map_dimension(map) + 2 + widest), &work));
  bm_status_t status = BM_OK;
  for (size_t done = 0; status == BM_OK && done < most; done += BM_PIECE) {
    size_t skip = done < columns->own.count ? done : columns->own.count;
    size_t left = columns->own.count - skip;
    size_t rows = left < BM_PIECE ? left : BM_PIECE;
    status =
        bm_agree(context, rows == 0 ? BM_OK : fill_columns(map, what, skip, rows, work, columns));
    if (status == BM_OK) {
      status = bm_stop_check(context);
    }
    bm_log_progress(log, (double)(done + BM_PIECE) * context->size, NULL);
  }
  bm_free(work);
  return status;
}

/* One column of all ranks, in the order of samples, on rank 0. */
static bm_status_t gather_column(const bm_context_t *context, size_t n, const columns_t *columns,
                                 size_t k, double *whole)
{
  const double *own = columns->values + k * columns->own.count;
  if (!bm_context_is_root(context)) {
    BM_TRY_MPI(MPI_Send(own, (int)columns->own.count, MPI_DOUBLE, 0, 0, context->comm));
    return BM_OK;
  }
  memcpy(whole, own, columns->own.count * sizeof *whole);
  for (int rank = 1; rank < context->size; rank++) {
    bm_range_t range = bm_map_partition(n, context->size, rank);
    BM_TRY_MPI(MPI_Recv(whole + range.first, (int)range.count, MPI_DOUBLE, rank, 0, context->comm,
                        MPI_STATUS_IGNORE));
  }
  return BM_OK;
}

/* Mean and standard error of independent values. `squares` [n] is room. */
static void independent_mean(size_t n, const double *values, double *squares, double *mean,
                             double *error)
{
  *mean = bm_tree_sum(n, values) / (double)n;
  for (size_t i = 0; i < n; i++) {
    squares[i] = (values[i] - *mean) * (values[i] - *mean);
  }
  *error = sqrt(bm_tree_sum(n, squares) / ((double)n * (double)(n - 1)));
}

static bm_status_t put_weights(size_t n, const double *log_weight, bm_results_t *results)
{
  bm_weights_summary_t summary;
  bm_weights_summary(n, log_weight, &summary);
  BM_TRY(bm_results_metric(results, "importance_ess", summary.ess, NAN, "1", n));
  BM_TRY(bm_results_metric(results, "importance_ess_clipped", summary.ess_clipped, NAN, "1", n));
  BM_TRY(
      bm_results_metric(results, "importance_clipped_share", summary.clipped_share, NAN, "1", n));
  return bm_results_metric(results, "log_z_weights", summary.log_z, summary.log_z_error, "1", n);
}

static bm_status_t put_average(const bm_observable_name_t *name, size_t n, const double *values,
                               const double *log_weight, double *room, bm_results_t *results)
{
  char text[160];
  double mean;
  double error;
  independent_mean(n, values, room, &mean, &error);
  BM_TRY(bm_results_metric(results, metric_name(text, name->name, "generated"), mean, error,
                           name->unit, n));
  if (log_weight == NULL) {
    return BM_OK;
  }
  bm_weights_mean(n, log_weight, values, &mean, &error);
  return bm_results_metric(results, metric_name(text, name->name, "reweighted"), mean, error,
                           name->unit, n);
}

/* Column by column to rank 0 and from there into the results. */
static bm_status_t put_columns(const bm_context_t *context, const bm_map_averages_t *what,
                               const columns_t *columns, bm_results_t *results)
{
  const bm_traits_t *traits = bm_potential_traits(what->potential);
  const int root = bm_context_is_root(context);
  const size_t n = what->n;
  double *log_weight = what->target != NULL ? columns->whole + 2 * n : NULL;
  bm_status_t status = BM_OK;
  if (what->target != NULL) {
    BM_TRY(gather_column(context, n, columns, columns->averages, log_weight));
    status = root ? put_weights(n, log_weight, results) : BM_OK;
  }
  for (size_t k = 0; k < columns->averages; k++) {
    BM_TRY(gather_column(context, n, columns, k, columns->whole));
    if (root && status == BM_OK) {
      status = put_average(&traits->averages[k], n, columns->whole, log_weight, columns->whole + n,
                           results);
    }
  }
  return bm_agree(context, status);
}

static bm_status_t put_below(const bm_context_t *context, const bm_map_averages_t *what,
                             const columns_t *columns, bm_results_t *results)
{
  const bm_traits_t *traits = bm_potential_traits(what->potential);
  if (what->least == NULL || traits->observable_count == 0) {
    return BM_OK;
  }
  BM_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, columns->below, (int)traits->observable_count, MPI_INT64_T,
                           MPI_SUM, context->comm));
  bm_status_t status = BM_OK;
  for (size_t k = 0; bm_context_is_root(context) && status == BM_OK && k < traits->observable_count;
       k++) {
    char name[160];
    double share = (double)columns->below[k] / (double)what->n;
    snprintf(name, sizeof name, "fraction_below_min_%s_reference", traits->observables[k].name);
    status = bm_results_metric(results, name, share, sqrt(share * (1.0 - share) / (double)what->n),
                               "1", what->n);
  }
  return bm_agree(context, status);
}

bm_status_t bm_averages_of_map(const bm_context_t *context, bm_map_t *map,
                               const bm_map_averages_t *what, bm_log_t *log, bm_results_t *results)
{
  const bm_traits_t *traits = bm_potential_traits(what->potential);
  columns_t columns = {.averages = traits->average_count,
                       .count = traits->average_count + (what->target != NULL),
                       .own = bm_map_partition(what->n, context->size, context->rank)};
  bm_status_t status = BM_ALLOC(columns.count * columns.own.count, &columns.values);
  if (status == BM_OK) {
    status = BM_ALLOC(traits->observable_count, &columns.below);
  }
  if (status == BM_OK) {
    status = BM_ALLOC(bm_context_is_root(context) ? 3 * what->n : 0, &columns.whole);
  }
  status = bm_agree(context, status);
  if (status == BM_OK) {
    bm_log_progress_start(log, "averages", (double)what->n, "samples");
    status = fill_all(context, map, what, log, &columns);
    bm_log_progress_end(log);
  }
  if (status == BM_OK) {
    status = put_columns(context, what, &columns, results);
  }
  if (status == BM_OK) {
    status = put_below(context, what, &columns, results);
  }
  bm_free(columns.whole);
  bm_free(columns.below);
  bm_free(columns.values);
  return status;
}
