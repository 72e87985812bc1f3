#include "boltzmap/transport/levels.h"

#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"
#include "boltzmap/transport/panels.h"

#define BM_KEYS 12 /* leading coordinates that the tree looks at */
#define BM_SPREAD_SAMPLE 256

typedef struct {
  size_t keys;
  const float *key; /* [n][keys] */
  uint32_t *points; /* what is sorted */
} tree_t;

static float key_of(const tree_t *tree, size_t place, size_t k)
{
  return tree->key[(size_t)tree->points[place] * tree->keys + k];
}

/* The widest coordinate of some of the points. */
static size_t widest(const tree_t *tree, size_t first, size_t count)
{
  const size_t stride = (count + BM_SPREAD_SAMPLE - 1) / BM_SPREAD_SAMPLE;
  size_t found = 0;
  float largest = -1.0f;
  for (size_t k = 0; k < tree->keys; k++) {
    float low = key_of(tree, first, k), high = low;
    for (size_t i = first; i < first + count; i += stride) {
      float value = key_of(tree, i, k);
      low = value < low ? value : low;
      high = value > high ? value : high;
    }
    if (high - low > largest) {
      largest = high - low;
      found = k;
    }
  }
  return found;
}

static void swap(uint32_t *a, uint32_t *b)
{
  uint32_t kept = *a;
  *a = *b;
  *b = kept;
}

/* Quickselect (Hoare): the `middle` points least in coordinate k first. */
static void split(const tree_t *tree, size_t first, size_t count, size_t middle, size_t k)
{
  size_t low = first, high = first + count - 1;
  const size_t target = first + middle;
  while (low < high) {
    const float pivot = key_of(tree, low + (high - low) / 2, k);
    size_t a = low, b = high;
    while (a <= b) {
      while (key_of(tree, a, k) < pivot) {
        a++;
      }
      while (key_of(tree, b, k) > pivot) {
        b--;
      }
      if (a <= b) {
        swap(&tree->points[a], &tree->points[b]);
        a++;
        if (b == 0) {
          break;
        }
        b--;
      }
    }
    if (target <= b) {
      high = b;
    } else if (target >= a) {
      low = a;
    } else {
      return;
    }
  }
}

static void sort_tree(const tree_t *tree, size_t first, size_t count)
{
  while (count > 1) {
    const size_t leaf = count > BM_PANEL_BLOCK ? BM_PANEL_BLOCK : 1;
    const size_t middle = (count / 2 + leaf - 1) / leaf * leaf;
    split(tree, first, count, middle, widest(tree, first, count));
    sort_tree(tree, first, middle);
    first += middle;
    count -= middle;
  }
}

bm_status_t bm_levels_sequence(const bm_frame_t *frame, int side, size_t n, uint32_t *sequence)
{
  tree_t tree = {.points = sequence};
  tree.keys = bm_frame_dimension(frame) < BM_KEYS ? bm_frame_dimension(frame) : BM_KEYS;
  float *keys = NULL;
  BM_TRY(BM_ALLOC(n * tree.keys, &keys));
  for (size_t i = 0; i < n; i++) {
    double point[BM_KEYS];
    bm_frame_project(frame, side, i, tree.keys, point);
    for (size_t k = 0; k < tree.keys; k++) {
      keys[i * tree.keys + k] = (float)point[k];
    }
    sequence[i] = (uint32_t)i;
  }
  tree.key = keys;
  sort_tree(&tree, 0, n);
  bm_free(keys);
  return BM_OK;
}

size_t bm_levels_sizes(size_t n, size_t coarsest, size_t sizes[BM_LEVELS_MAX])
{
  size_t count = 1;
  for (size_t size = n; size > coarsest; size /= BM_LEVELS_RATIO) {
    count++;
  }
  size_t size = n;
  for (size_t l = count; l > 0; l--) {
    sizes[l - 1] = size;
    size /= BM_LEVELS_RATIO;
  }
  return count;
}

/* level_of[place in the sequence]: the coarsest level that has it. */
static void draw_levels(size_t levels, const size_t *sizes, uint64_t seed,
                        uint32_t *kept /* [n]: places, those of the level at hand first */,
                        uint8_t *level_of /* [n] */)
{
  const bm_random_t random = bm_random(seed, BM_PURPOSE_LEVEL);
  const size_t n = sizes[levels - 1];
  memset(level_of, (int)(levels - 1), n);
  for (size_t i = 0; i < n; i++) {
    kept[i] = (uint32_t)i;
  }
  for (size_t l = levels - 1; l > 0; l--) {
    const size_t size = sizes[l], coarse = sizes[l - 1];
    for (size_t i = 0; i < coarse; i++) {
      const size_t begin = i * size / coarse, end = (i + 1) * size / coarse;
      const size_t place = begin + (size_t)bm_random_below(random, (uint32_t)l, i, 0, end - begin);
      kept[i] = kept[place];
      level_of[kept[i]] = (uint8_t)(l - 1);
    }
  }
}

bm_status_t bm_levels_renumber(size_t levels, const size_t *sizes, uint64_t seed,
                               uint32_t *sequence, uint32_t *row_of)
{
  const size_t n = sizes[levels - 1];
  uint32_t *kept = NULL;
  uint8_t *level_of = NULL;
  bm_status_t status = BM_ALLOC(n, &kept);
  if (status == BM_OK) {
    status = BM_ALLOC(n, &level_of);
  }
  if (status == BM_OK) {
    draw_levels(levels, sizes, seed, kept, level_of);
    size_t next[BM_LEVELS_MAX] = {0};
    for (size_t l = 1; l < levels; l++) {
      next[l] = sizes[l - 1];
    }
    for (size_t i = 0; i < n; i++) {
      const size_t number = next[level_of[i]]++;
      row_of[number] = sequence[i];
      sequence[i] = (uint32_t)number;
    }
  }
  bm_free(level_of);
  bm_free(kept);
  return status;
}
