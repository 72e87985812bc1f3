#include "boltzmap/train/loss.h"

#include <string.h>

#include "boltzmap/base/memory.h"

const bm_loss_ops_t *const bm_loss_table[] = {
#define BM_LOSS_ROW(row, name) &bm_loss_##row,
    BM_LOSS_TABLE(BM_LOSS_ROW)
#undef BM_LOSS_ROW
        NULL,
};

const char *const bm_loss_names[] = {
#define BM_LOSS_ROW(row, name) name,
    BM_LOSS_TABLE(BM_LOSS_ROW)
#undef BM_LOSS_ROW
        NULL,
};

struct bm_loss_term {
  const bm_loss_ops_t *ops;
  void *self;
};

static const bm_loss_ops_t *find(const char *name)
{
  size_t i = 0;
  while (strcmp(bm_loss_table[i]->name, name) != 0) {
    i++;
  }
  return bm_loss_table[i];
}

bm_status_t bm_loss_term_create(const bm_deck_case_t *deck_case, const bm_loss_data_t *data,
                                bm_loss_term_t **out)
{
  const bm_loss_ops_t *ops = find(bm_deck_string(deck_case, "training.loss"));
  *out = NULL;
  if (ops->create == NULL) {
    return BM_OK;
  }
  if (ops->value != NULL && data->d != bm_potential_dimension(data->potential)) {
    return bm_deck_fail(deck_case, "training.loss",
                        "needs whole configurations, which flow.coordinates does not give");
  }
  BM_TRY(BM_ALLOC(1, out));
  (*out)->ops = ops;
  bm_status_t status = ops->create(deck_case, data, &(*out)->self);
  if (status != BM_OK) {
    bm_loss_term_destroy(out);
  }
  return status;
}

void bm_loss_term_destroy(bm_loss_term_t **term)
{
  if (*term != NULL && (*term)->self != NULL) {
    (*term)->ops->destroy(&(*term)->self);
  }
  bm_free(*term);
  *term = NULL;
}

static size_t group_of(const bm_loss_ops_t *ops)
{
  return ops->group == 0 ? 1 : ops->group;
}

size_t bm_loss_group(const char *name)
{
  return group_of(find(name));
}

size_t bm_loss_term_group(const bm_loss_term_t *term)
{
  return group_of(term->ops);
}

double bm_loss_term_step(const bm_loss_term_t *term)
{
  return term->ops->step == NULL ? 0.0 : term->ops->step(term->self);
}

int bm_loss_term_is_paired(const bm_loss_term_t *term)
{
  return term->ops->is_paired;
}

size_t bm_loss_term_stages(const bm_loss_term_t *term)
{
  return term->ops->stages == NULL ? 1 : term->ops->stages(term->self);
}

size_t bm_loss_term_points(const bm_loss_term_t *term)
{
  return bm_loss_term_group(term) * bm_loss_term_stages(term);
}

void bm_loss_term_value(const bm_loss_term_t *term, size_t n, const double *x, double *value,
                        double *gradient)
{
  term->ops->value(term->self, n, x, value, gradient);
}

bm_status_t bm_loss_room_create(size_t rows, const bm_chart_t *chart, bm_loss_room_t *room)
{
  const size_t shape_d = bm_chart_shape_dimension(chart);
  const size_t d = bm_chart_dimension(chart);
  memset(room, 0, sizeof *room);
  BM_TRY(BM_ALLOC(rows * (d + 1), &room->y));
  BM_TRY(BM_ALLOC(rows * d, &room->stage));
  BM_TRY(BM_ALLOC(rows, &room->log_det));
  BM_TRY(BM_ALLOC(rows * shape_d, &room->x));
  BM_TRY(BM_ALLOC(rows * (d > shape_d ? d : shape_d), &room->gradient));
  BM_TRY(BM_ALLOC(rows, &room->value));
  BM_TRY(BM_ALLOC(d, &room->coordinate));
  return BM_ALLOC(d, &room->slope);
}

void bm_loss_room_release(bm_loss_room_t *room)
{
  void *blocks[] = {room->y,        room->stage, room->log_det,    room->x,
                    room->gradient, room->value, room->coordinate, room->slope};
  for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
    bm_free(blocks[i]);
  }
}

static void take_coordinates(const bm_chart_t *chart, const bm_loss_room_t *room, size_t row,
                             double *coordinate)
{
  const size_t d = bm_chart_dimension(chart);
  for (size_t k = 0; k < d; k++) {
    coordinate[k] = (double)room->y[row * d + k];
  }
}

/* The generated coordinates as shapes; where densities are asked for, the log-determinants become those of
 * shapes. */
static void decode_rows(const bm_chart_t *chart, size_t rows, double entropy,
                        const bm_loss_room_t *room)
{
  const size_t shape_d = bm_chart_shape_dimension(chart);
  for (size_t i = 0; i < rows; i++) {
    double log_weight = 0.0;
    take_coordinates(chart, room, i, room->coordinate);
    bm_chart_decode(chart, room->coordinate, room->x + i * shape_d,
                    entropy > 0.0 ? &log_weight : NULL);
    room->log_det[i] -= log_weight;
  }
}

/* To the gradient by coordinates of a row that of its log weight. */
static void add_slope_of_weight(const bm_chart_t *chart, size_t row, double entropy,
                                const bm_loss_room_t *room)
{
  const double *x = room->x + row * bm_chart_shape_dimension(chart);
  take_coordinates(chart, room, row, room->slope);
  bm_chart_log_weight_gradient(chart, room->slope, x, room->slope);
  for (size_t k = 0; k < bm_chart_dimension(chart); k++) {
    room->coordinate[k] += entropy * room->slope[k];
  }
}

/* The gradient by shapes as one by coordinates, times `weight`. */
static void take_gradient(const bm_chart_t *chart, size_t rows, double weight, double entropy,
                          const bm_loss_room_t *room)
{
  const size_t shape_d = bm_chart_shape_dimension(chart);
  const size_t d = bm_chart_dimension(chart);
  for (size_t i = 0; i < rows; i++) {
    bm_chart_decode_adjoint(chart, room->gradient + i * shape_d, room->coordinate);
    if (entropy > 0.0) {
      add_slope_of_weight(chart, i, entropy, room);
    }
    for (size_t k = 0; k < d; k++) {
      room->y[i * d + k] = (bm_real_t)(weight * room->coordinate[k]);
    }
  }
}

/* The sums of a term's function, with `entropy` of the log density. */
static void sum_shards(const bm_loss_samples_t *samples, double entropy, const bm_loss_room_t *room,
                       double *shard_sums)
{
  const bm_shards_t *shards = &samples->shards;
  for (size_t s = 0; s < shards->count; s++) {
    shard_sums[s] = 0.0;
    for (size_t i = shards->offset[s]; i < shards->offset[s + 1]; i++) {
      shard_sums[s] += samples->weight * (room->value[i] - entropy * room->log_det[i]);
    }
  }
}

/* A function of shapes. */
static void evaluate_shapes(const bm_loss_term_t *term, const bm_chart_t *chart,
                            const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                            const bm_loss_samples_t *samples, const bm_loss_room_t *room,
                            double *shard_sums, const bm_gradient_sink_t *sink)
{
  const size_t rows = samples->shards.offset[samples->shards.count];
  const double entropy = term->ops->entropy == NULL ? 0.0 : term->ops->entropy(term->self);
  bm_flow_forward(flow, workspace, &samples->shards, samples->base, room->y, room->log_det);
  decode_rows(chart, rows, entropy, room);
  bm_loss_term_value(term, rows, room->x, room->value, room->gradient);
  sum_shards(samples, entropy, room, shard_sums);
  if (sink == NULL) {
    return;
  }
  bm_real_t *d_log_det = room->y + rows * bm_chart_dimension(chart);
  take_gradient(chart, rows, samples->weight, entropy, room);
  for (size_t i = 0; i < rows; i++) {
    d_log_det[i] = (bm_real_t)(-samples->weight * entropy);
  }
  bm_flow_forward_backward(flow, workspace, &samples->shards, room->y, d_log_det, sink);
}

/* A function of the flow's own coordinates, of groups of points. */
static void evaluate_groups(const bm_loss_term_t *term, const bm_flow_t *flow,
                            bm_flow_workspace_t *workspace, const bm_loss_samples_t *samples,
                            const bm_loss_room_t *room, double *shard_sums,
                            const bm_gradient_sink_t *sink)
{
  const size_t d = bm_flow_shape(flow)->d;
  const size_t group = term->ops->group;
  const size_t n = samples->shards.offset[samples->shards.count];
  size_t offset[BM_SHARDS_MAX + 1];
  for (size_t s = 0; s <= samples->shards.count; s++) {
    offset[s] = group * samples->shards.offset[s];
  }
  const bm_shards_t points = {samples->shards.count, offset};
  bm_flow_forward(flow, workspace, &points, samples->base, room->y, room->log_det);
  term->ops->compare(term->self, n, d, room->y, samples->target, room->value, room->gradient);
  sum_shards(samples, 0.0, room, shard_sums);
  if (sink == NULL) {
    return;
  }
  for (size_t k = 0; k < n * group * d; k++) {
    room->y[k] = (bm_real_t)(samples->weight * room->gradient[k]);
  }
  bm_real_t *d_log_det = room->y + n * group * d;
  for (size_t i = 0; i < n * group; i++) {
    d_log_det[i] = 0;
  }
  bm_flow_forward_backward(flow, workspace, &points, room->y, d_log_det, sink);
}

/* Items [stages][n][d] as [n][stages][d]. */
static void gather_stages(size_t stages, size_t n, size_t d, const bm_real_t *stage, bm_real_t *y)
{
  for (size_t s = 0; s < stages; s++) {
    for (size_t i = 0; i < n; i++) {
      memcpy(y + (i * stages + s) * d, stage + (s * n + i) * d, d * sizeof *y);
    }
  }
}

/* A function of what the flow has made of the base points after each share of its layers. */
static void evaluate_stages(const bm_loss_term_t *term, const bm_flow_t *flow,
                            bm_flow_workspace_t *workspace, const bm_loss_samples_t *samples,
                            const bm_loss_room_t *room, double *shard_sums,
                            const bm_gradient_sink_t *sink)
{
  const bm_flow_shape_t *shape = bm_flow_shape(flow);
  const size_t d = shape->d;
  const size_t stages = bm_loss_term_stages(term);
  const size_t n = samples->shards.offset[samples->shards.count];
  bm_real_t *last = room->stage + (stages - 1) * n * d;
  size_t layers[BM_STAGES_MOST];
  bm_flow_forward(flow, workspace, &samples->shards, samples->base, last, room->log_det);
  for (size_t s = 0; s + 1 < stages; s++) {
    layers[s] = shape->layers * (s + 1) / stages;
    bm_flow_stage(flow, workspace, n, layers[s], room->stage + s * n * d);
  }
  gather_stages(stages, n, d, room->stage, room->y);
  term->ops->compare(term->self, n, d, room->y, samples->target, room->value, room->gradient);
  sum_shards(samples, 0.0, room, shard_sums);
  if (sink == NULL) {
    return;
  }
  for (size_t i = 0; i < n * stages; i++) {
    for (size_t k = 0; k < d; k++) {
      room->stage[(i % stages * n + i / stages) * d + k] =
          (bm_real_t)(samples->weight * room->gradient[i * d + k]);
    }
  }
  const bm_flow_stages_t before = {stages - 1, layers, room->stage};
  memset(room->y, 0, n * sizeof *room->y); /* the log-determinants are not in it */
  bm_flow_forward_backward_stages(flow, workspace, &samples->shards, &before, last, room->y, sink);
}

void bm_loss_term_evaluate(const bm_loss_term_t *term, const bm_chart_t *chart,
                           const bm_flow_t *flow, bm_flow_workspace_t *workspace,
                           const bm_loss_samples_t *samples, const bm_loss_room_t *room,
                           double *shard_sums, const bm_gradient_sink_t *sink)
{
  if (term->ops->stages != NULL) {
    evaluate_stages(term, flow, workspace, samples, room, shard_sums, sink);
  } else if (term->ops->compare != NULL) {
    evaluate_groups(term, flow, workspace, samples, room, shard_sums, sink);
  } else {
    evaluate_shapes(term, chart, flow, workspace, samples, room, shard_sums, sink);
  }
}
