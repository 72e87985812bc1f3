#ifndef BOLTZMAP_IO_NPY_H
#define BOLTZMAP_IO_NPY_H

/* NumPy's .npy files, versions 1 and 2: little-endian float32, float64 and integers, C order, one or two
 * dimensions. Format: numpy.lib.format in NumPy's documentation. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"

typedef struct {
  size_t rows, columns; /* a 1-D array is one column */
  char kind;            /* 'f', 'i' or 'u' */
  size_t item_bytes;
  uint64_t data_offset; /* bytes */
} bm_npy_t;

/* Does the file start as a .npy file does? */
int bm_npy_recognise(const char *path);

/* Read the header and check it against the file's length. BM_ERR_DATA, BM_ERR_IO. */
bm_status_t bm_npy_open(const char *path, bm_npy_t *npy);

/* Rows [first, first + count) as float64. */
bm_status_t bm_npy_read_rows(const char *path, const bm_npy_t *npy, size_t first, size_t count,
                             double *values /* [count][columns] */);

#endif
