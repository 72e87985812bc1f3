#include "boltzmap/base/nearest.h"

#include <string.h>

#define BM_WORD_MAX 64 /* longer words are not compared */

static size_t least(size_t a, size_t b)
{
  return a < b ? a : b;
}

size_t bm_nearest_edits(const char *a, size_t a_length, const char *b)
{
  size_t b_length = strlen(b);
  size_t rows[3][BM_WORD_MAX + 1];
  if (a_length > BM_WORD_MAX || b_length > BM_WORD_MAX) {
    return BM_WORD_MAX;
  }
  for (size_t j = 0; j <= b_length; j++) {
    rows[0][j] = j;
  }
  for (size_t i = 1; i <= a_length; i++) {
    const size_t *above = rows[(i - 1) % 3];
    size_t *row = rows[i % 3];
    row[0] = i;
    for (size_t j = 1; j <= b_length; j++) {
      size_t replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = least(replaced, 1 + least(above[j], row[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = least(row[j], rows[(i - 2) % 3][j - 2] + 1);
      }
    }
  }
  return rows[a_length % 3][b_length];
}

size_t bm_nearest_limit(size_t length)
{
  return length < 3 ? 1 : 1 + length / 4;
}
