/* boltzmap density: log-density of given configurations under a trained model. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/app/commands.h"
#include "boltzmap/app/origin.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/generate/generator.h"
#include "boltzmap/io/file.h"
#include "boltzmap/parallel/agree.h"

#define BM_TRANSFER ((size_t)1 << 27) /* doubles a reduction */

static const bm_option_t options[] = {
    {"--in", "FILE", "configurations: HDF5 (H5MD or rows), .npy, AMBER .rst7 or PDB; needed"},
    {"--dataset", "NAME", "data set in an HDF5 file"},
    {"--out", "FILE",
     "sample set to write (.h5md) with the densities as /observables/log_density; "
     "without it they are printed, one a line"},
    {NULL, NULL, NULL},
};

/* A density that is no number would be refused by whoever reads it. */
static bm_status_t check_densities(const char *path, size_t n, const double *density)
{
  for (size_t i = 0; i < n; i++) {
    if (!isfinite(density[i])) {
      return BM_FAIL(BM_ERR_DATA, "%s: row %zu lies where the model's density %s", path, i,
                     isinf(density[i]) && density[i] < 0.0 ? "is zero" : "cannot be worked out");
    }
  }
  return BM_OK;
}

/* The rows as shapes [n][map dimension], owned by the caller: whole configurations are projected, other columns
 * are shapes already. All rows on every rank, so that each can tell which one is at fault. */
static bm_status_t load_shapes(const bm_context_t *context, const bm_map_t *map,
                               const bm_samples_t *samples, double **shapes)
{
  const bm_chart_t *chart = bm_map_chart(map);
  double *all = NULL;
  *shapes = NULL;
  BM_TRY(bm_samples_replicate(context, samples, &all));
  if (samples->d != bm_chart_system_dimension(chart)) {
    *shapes = all;
    return BM_OK;
  }
  bm_status_t status = BM_ALLOC(samples->n * bm_map_dimension(map), shapes);
  if (status == BM_OK) {
    status = bm_chart_project(chart, samples->n, all, *shapes);
  }
  bm_free(all);
  return bm_agree(context, status);
}

/* Densities of all rows on every rank: worked out in the map's chunks, dealt over the ranks, zero
 * elsewhere, so that their sum is exact. */
static bm_status_t pull_rows(const bm_context_t *context, bm_map_t *map, size_t n,
                             const double *shapes, double *density /* [n] */)
{
  bm_range_t own = bm_map_partition(n, context->size, context->rank);
  BM_TRY_AGREE(context, bm_map_pull(map, own.count, shapes + own.first * bm_map_dimension(map),
                                    NULL, density + own.first));
  for (size_t done = 0; done < n; done += BM_TRANSFER) {
    size_t count = n - done < BM_TRANSFER ? n - done : BM_TRANSFER;
    BM_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, density + done, (int)count, MPI_DOUBLE, MPI_SUM,
                             context->comm));
  }
  return BM_OK;
}

static bm_status_t write_densities(const bm_context_t *context, const bm_map_t *map,
                                   const bm_arguments_t *arguments, const bm_samples_t *samples,
                                   const double *density)
{
  const bm_layout_t *layout = bm_map_layout(map);
  const size_t dimensions = samples->d == bm_map_dimension(map) ? layout->dimensions : 3;
  const bm_observable_t observable = {"log_density", "1", density + samples->rows.first};
  const char *model = bm_arguments_positional(arguments, 0);
  bm_origin_t origin = {.count = 0};
  char hash[17];
  BM_TRY(bm_origin_hash(context, model, hash));
  bm_origin_add(&origin, "model", model);
  bm_origin_add(&origin, "model_xxh64", hash);
  bm_origin_add(&origin, "configurations", bm_arguments_value(arguments, "--in"));
  bm_origin_add_machine(&origin, context);
  bm_samples_content_t content = {.particles = samples->d / dimensions,
                                  .dimensions = dimensions,
                                  .length_unit = "nm",
                                  .step_stride = 1,
                                  .time_stride_ps = 1.0,
                                  .observables = &observable,
                                  .observable_count = 1,
                                  .provenance = origin.rows,
                                  .provenance_count = origin.count};
  return bm_samples_write(context, bm_arguments_value(arguments, "--out"), samples, &content);
}

static bm_status_t give(const bm_context_t *context, const bm_map_t *map,
                        const bm_arguments_t *arguments, const bm_samples_t *samples,
                        const double *density)
{
  if (bm_arguments_has(arguments, "--out")) {
    return write_densities(context, map, arguments, samples, density);
  }
  for (size_t i = 0; bm_context_is_root(context) && i < samples->n; i++) {
    printf("%.10g\n", density[i]);
  }
  return BM_OK;
}

static bm_status_t evaluate(const bm_context_t *context, const bm_arguments_t *arguments,
                            bm_map_t *map, const bm_samples_t *samples)
{
  const char *in = bm_arguments_value(arguments, "--in");
  double *density = NULL;
  double *shapes = NULL;
  const size_t expected = bm_chart_system_dimension(bm_map_chart(map));
  if (samples->d != expected && samples->d != bm_map_dimension(map)) {
    return BM_FAIL(BM_ERR_DATA, "%s: has %zu columns, the model has %zu coordinates", in,
                   samples->d, expected);
  }
  BM_TRY_AGREE(context, BM_ALLOC(samples->n, &density));
  bm_status_t status = load_shapes(context, map, samples, &shapes);
  if (status != BM_OK) {
    status = bm_status_prefix(status, "%s", in);
  } else {
    status = pull_rows(context, map, samples->n, shapes, density);
  }
  if (status == BM_OK) {
    status = check_densities(in, samples->n, density);
  }
  if (status == BM_OK) {
    status = give(context, map, arguments, samples, density);
  }
  bm_free(shapes);
  bm_free(density);
  return status;
}

static bm_status_t run(const bm_context_t *context, const bm_arguments_t *arguments)
{
  const char *model = bm_arguments_positional(arguments, 0);
  const char *in = bm_arguments_value(arguments, "--in");
  bm_map_t *map = NULL;
  bm_samples_t *samples = NULL;
  if (in == NULL) {
    return BM_FAIL(BM_ERR_USAGE, "density: --in FILE is needed");
  }
  BM_TRY(bm_command_check_out(context, arguments, "--out", (const char *const[]){model, in, NULL}));
  BM_TRY(bm_command_check_dataset(context, arguments, (const char *const[]){in, NULL}));
  BM_TRY(bm_generate_load(context, model, &map));
  bm_samples_selection_t selection = {.dataset = bm_arguments_value(arguments, "--dataset")};
  bm_status_t status = bm_samples_read(context, in, &selection, &samples);
  if (status == BM_OK) {
    status = bm_agree(context, evaluate(context, arguments, map, samples));
  }
  bm_samples_destroy(&samples);
  bm_map_destroy(&map);
  return status;
}

const bm_command_t bm_command_density = {
    .name = "density",
    .positional = {"MODEL"},
    .summary = "log-density of given configurations under a trained model",
    .details = NULL,
    .options = options,
    .run = run,
};
