#ifndef BOLTZMAP_TESTS_UNIT_MODEL_MOLECULES_H
#define BOLTZMAP_TESTS_UNIT_MODEL_MOLECULES_H

/* The molecules of input/ with the frames of tests/golden/force_field_*.npy. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/npy.h"
#include "boltzmap/model/force_field.h"
#include "boltzmap/model/prmtop.h"

#define FRAMES 200
#define MODERATE 120 /* the first frames are of dynamics at 300 K */
#define DIELECTRIC 78.3

static const char *const molecules[] = {"alanine-dipeptide", "alanine-tripeptide"};
#define MOLECULES (sizeof molecules / sizeof molecules[0])

typedef struct {
  bm_topology_t *topology;
  bm_force_field_t *field;
  size_t d;
  double *x;      /* [FRAMES][d] */
  double *energy; /* [FRAMES][BM_TERM_COUNT], of OpenMM */
  double *force;  /* [FRAMES][d] */
} molecule_frames_t;

static inline void demand(bm_status_t status)
{
  if (status != BM_OK) {
    fprintf(stderr, "%s\n", bm_status_message());
    exit(1);
  }
}

/* "TOP/FOLDER/NAME" with the name's hyphens as underscores where asked for. */
static inline void path_of(const char *folder, const char *name, const char *end, int underscores,
                           char path[4096])
{
  const char *top = getenv("BM_TOP");
  int length = snprintf(path, 4096, "%s/%s", top == NULL ? "." : top, folder);
  snprintf(path + length, 4096 - (size_t)length, "%s%s", name, end);
  for (char *c = path + length; underscores && *c != '\0'; c++) {
    *c = *c == '-' ? '_' : *c;
  }
}

static inline void load_molecule(const char *name, molecule_frames_t *out)
{
  char path[4096];
  bm_npy_t npy;
  double *rows;
  path_of("input/", name, ".prmtop", 0, path);
  demand(bm_prmtop_read(path, &out->topology));
  demand(bm_force_field_create(out->topology, DIELECTRIC, &out->field));
  out->d = 3 * out->topology->atoms;
  path_of("tests/golden/force_field_", name, ".npy", 1, path);
  demand(bm_npy_open(path, &npy));
  demand(BM_ALLOC(npy.rows * npy.columns, &rows));
  demand(bm_npy_read_rows(path, &npy, 0, npy.rows, rows));
  if (npy.rows != FRAMES || npy.columns != 2 * out->d + BM_TERM_COUNT) {
    fprintf(stderr, "%s: has %zu rows of %zu\n", path, npy.rows, npy.columns);
    exit(1);
  }
  demand(BM_ALLOC(FRAMES * out->d, &out->x));
  demand(BM_ALLOC(FRAMES * BM_TERM_COUNT, &out->energy));
  demand(BM_ALLOC(FRAMES * out->d, &out->force));
  for (size_t i = 0; i < FRAMES; i++) {
    const double *row = rows + i * npy.columns;
    memcpy(out->x + i * out->d, row, out->d * sizeof *row);
    memcpy(out->energy + i * BM_TERM_COUNT, row + out->d, BM_TERM_COUNT * sizeof *row);
    memcpy(out->force + i * out->d, row + out->d + BM_TERM_COUNT, out->d * sizeof *row);
  }
  bm_free(rows);
}

static inline void unload_molecule(molecule_frames_t *molecule)
{
  bm_force_field_destroy(&molecule->field);
  bm_topology_destroy(&molecule->topology);
  bm_free(molecule->x);
  bm_free(molecule->energy);
  bm_free(molecule->force);
}

#endif
