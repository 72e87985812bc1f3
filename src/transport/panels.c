#include "boltzmap/transport/panels.h"

#include <float.h>
#include <math.h>

#include "boltzmap/base/memory.h"

#define BM_NOWHERE 1e30f /* offset of a slot without a point: its values are far below any other */

static size_t place(size_t d, size_t slot, size_t k)
{
  return slot / BM_PANEL_WIDTH * BM_PANEL_WIDTH * d + k * BM_PANEL_WIDTH + slot % BM_PANEL_WIDTH;
}

float bm_panels_value(const bm_panels_t *panels, size_t slot, size_t k)
{
  return panels->values[place(panels->d, slot, k)];
}

static bm_status_t allocate(bm_panels_t *p)
{
  const size_t slots = p->blocks * BM_PANEL_BLOCK, boxes = p->blocks + p->supers;
  BM_TRY(BM_ALLOC(slots, &p->point));
  BM_TRY(BM_ALLOC(slots * p->d, &p->values));
  BM_TRY(BM_ALLOC(slots, &p->half_norm));
  BM_TRY(BM_ALLOC(boxes, &p->norm));
  BM_TRY(BM_ALLOC(boxes * p->d, &p->low));
  BM_TRY(BM_ALLOC(boxes * p->d, &p->high));
  BM_TRY(BM_ALLOC(slots, &p->offset));
  BM_TRY(BM_ALLOC(p->blocks, &p->offset_max));
  return BM_ALLOC(boxes, &p->dual_max);
}

static void fill_slot(bm_panels_t *p, const bm_frame_t *frame, size_t slot, double *row /* [d] */)
{
  double square = 0.0;
  bm_frame_project(frame, p->side, p->point[slot], p->d, row);
  for (size_t k = 0; k < p->d; k++) {
    p->values[place(p->d, slot, k)] = (float)row[k];
    square += row[k] * row[k];
  }
  p->half_norm[slot] = bm_frame_is_torus(frame) ? 0.0 : 0.5 * square;
}

static size_t end_of(const bm_panels_t *p, size_t slot)
{
  return slot < p->n ? slot : p->n;
}

/* The box around the slots from `first` to before `end`. */
static void fill_box(bm_panels_t *p, size_t box, size_t first, size_t end)
{
  for (size_t k = 0; k < p->d; k++) {
    float low = FLT_MAX, high = -FLT_MAX;
    for (size_t slot = first; slot < end_of(p, end); slot++) {
      float value = bm_panels_value(p, slot, k);
      low = value < low ? value : low;
      high = value > high ? value : high;
    }
    p->low[box * p->d + k] = low;
    p->high[box * p->d + k] = high;
  }
}

static void fill_norm(bm_panels_t *p, int torus, size_t block)
{
  double largest = torus ? 0.25 * (double)p->d : 0.0;
  for (size_t slot = block * BM_PANEL_BLOCK; slot < end_of(p, (block + 1) * BM_PANEL_BLOCK);
       slot++) {
    largest = fmax(largest, p->half_norm[slot]);
  }
  float *super = &p->norm[p->blocks + block / BM_PANEL_SUPER];
  p->norm[block] = (float)sqrt(2.0 * largest);
  *super = fmaxf(*super, p->norm[block]);
  p->norm_max = fmaxf(p->norm_max, p->norm[block]);
}

static bm_status_t fill(bm_panels_t *p, const bm_frame_t *frame)
{
  double *row = NULL;
  BM_TRY(BM_ALLOC(p->d, &row));
  for (size_t slot = 0; slot < p->n; slot++) {
    fill_slot(p, frame, slot, row);
  }
  for (size_t b = 0; b < p->blocks; b++) {
    fill_box(p, b, b * BM_PANEL_BLOCK, (b + 1) * BM_PANEL_BLOCK);
    fill_norm(p, bm_frame_is_torus(frame), b);
  }
  const size_t super = BM_PANEL_SUPER * BM_PANEL_BLOCK;
  for (size_t s = 0; s < p->supers; s++) {
    fill_box(p, p->blocks + s, s * super, (s + 1) * super);
  }
  bm_free(row);
  return BM_OK;
}

bm_status_t bm_panels_create(const bm_frame_t *frame, int side, size_t n, size_t length,
                             const uint32_t *sequence, bm_panels_t **out)
{
  bm_panels_t *p = NULL;
  BM_TRY(BM_ALLOC(1, &p));
  p->n = n;
  p->d = bm_frame_dimension(frame);
  p->side = side;
  p->blocks = (n + BM_PANEL_BLOCK - 1) / BM_PANEL_BLOCK;
  p->supers = (p->blocks + BM_PANEL_SUPER - 1) / BM_PANEL_SUPER;
  bm_status_t status = allocate(p);
  if (status == BM_OK) {
    size_t slot = 0;
    for (size_t i = 0; i < length; i++) {
      if (sequence[i] < n) {
        p->point[slot++] = sequence[i];
      }
    }
    for (; slot < p->blocks * BM_PANEL_BLOCK; slot++) {
      p->point[slot] = BM_PANEL_NONE;
    }
    status = fill(p, frame);
  }
  if (status != BM_OK) {
    bm_panels_destroy(&p);
    return status;
  }
  *out = p;
  return BM_OK;
}

void bm_panels_destroy(bm_panels_t **panels)
{
  bm_panels_t *p = *panels;
  if (p == NULL) {
    return;
  }
  bm_free(p->point);
  bm_free(p->values);
  bm_free(p->half_norm);
  bm_free(p->norm);
  bm_free(p->low);
  bm_free(p->high);
  bm_free(p->offset);
  bm_free(p->offset_max);
  bm_free(p->dual_max);
  bm_free(p);
  *panels = NULL;
}

void bm_panels_set_duals(bm_panels_t *p, double unit, const double *v)
{
  const double per_unit = 1.0 / unit;
  p->dual_min = FLT_MAX;
  for (size_t s = 0; s < p->supers; s++) {
    p->dual_max[p->blocks + s] = -FLT_MAX;
  }
  for (size_t b = 0; b < p->blocks; b++) {
    float largest = 0.0f, dual = -FLT_MAX;
    for (size_t slot = b * BM_PANEL_BLOCK; slot < (b + 1) * BM_PANEL_BLOCK; slot++) {
      if (p->point[slot] == BM_PANEL_NONE || v[p->point[slot]] == -INFINITY) {
        p->offset[slot] = BM_NOWHERE;
        continue;
      }
      const double scaled = v[p->point[slot]] * per_unit;
      p->offset[slot] = (float)(p->half_norm[slot] - scaled);
      largest = fmaxf(largest, fabsf(p->offset[slot]));
      dual = fmaxf(dual, (float)scaled);
      p->dual_min = fminf(p->dual_min, (float)scaled);
    }
    float *super = &p->dual_max[p->blocks + b / BM_PANEL_SUPER];
    p->offset_max[b] = largest;
    p->dual_max[b] = dual;
    *super = fmaxf(*super, dual);
  }
}
