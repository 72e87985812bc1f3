#include "boltzmap/transport/jackknife.h"

#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/tree.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/partition.h"

#define BM_ERROR_PROJECTIONS 200

/* The cloud without block `group` of its rows; `rows` has room for them. */
static bm_cloud_t without_group(const bm_cloud_t *cloud, int group, double *rows)
{
  bm_range_t out = bm_partition(cloud->n, BM_JACKKNIFE_GROUPS, group);
  size_t behind = out.first + out.count;
  memcpy(rows, cloud->x, out.first * cloud->d * sizeof *rows);
  memcpy(rows + out.first * cloud->d, cloud->x + behind * cloud->d,
         (cloud->n - behind) * cloud->d * sizeof *rows);
  return (bm_cloud_t){cloud->n - out.count, cloud->d, rows};
}

/* Left-out rows move the distance along all directions together: few of them do. `room` holds the
 * rows of both clouds. */
static bm_status_t leave_out(const bm_context_t *context, const bm_distance_ops_t *distance,
                             const bm_distance_settings_t *settings, const bm_cloud_t *clouds[2],
                             double *room, double values[BM_JACKKNIFE_GROUPS])
{
  bm_distance_settings_t fewer = *settings;
  fewer.log = NULL;
  fewer.projections =
      settings->projections < BM_ERROR_PROJECTIONS ? settings->projections : BM_ERROR_PROJECTIONS;
  fewer.subsample = settings->subsample - settings->subsample / BM_JACKKNIFE_GROUPS;
  for (int group = 0; group < BM_JACKKNIFE_GROUPS; group++) {
    bm_distance_result_t result;
    const bm_cloud_t a = without_group(clouds[0], group, room);
    const bm_cloud_t b = without_group(clouds[1], group, room + clouds[0]->n * clouds[0]->d);
    BM_TRY(distance->compute(context, &fewer, &a, &b, &result));
    values[group] = result.w2;
  }
  return BM_OK;
}

bm_status_t bm_jackknife_error(const bm_context_t *context, const bm_distance_ops_t *distance,
                               const bm_distance_settings_t *settings, const bm_cloud_t *a,
                               const bm_cloud_t *b, double *error)
{
  const bm_cloud_t *clouds[2] = {a, b};
  double values[BM_JACKKNIFE_GROUPS], squares[BM_JACKKNIFE_GROUPS];
  double *room = NULL;
  *error = NAN;
  if (a->n < BM_JACKKNIFE_GROUPS || b->n < BM_JACKKNIFE_GROUPS) {
    return BM_OK;
  }
  BM_TRY_AGREE(context, BM_ALLOC(a->n * a->d + b->n * b->d, &room));
  bm_status_t status = leave_out(context, distance, settings, clouds, room, values);
  bm_free(room);
  BM_TRY(status);
  const double mean = bm_tree_sum(BM_JACKKNIFE_GROUPS, values) / BM_JACKKNIFE_GROUPS;
  for (int group = 0; group < BM_JACKKNIFE_GROUPS; group++) {
    squares[group] = (values[group] - mean) * (values[group] - mean);
  }
  *error = sqrt(bm_tree_sum(BM_JACKKNIFE_GROUPS, squares) * (BM_JACKKNIFE_GROUPS - 1.0) /
                BM_JACKKNIFE_GROUPS);
  return BM_OK;
}
