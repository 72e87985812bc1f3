#ifndef BOLTZMAP_TESTS_UNIT_MODEL_DIPEPTIDE_H
#define BOLTZMAP_TESTS_UNIT_MODEL_DIPEPTIDE_H

/* The alanine dipeptide of input/ as a system, and configurations about its structure, each moved and turned at
 * random. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../geometry/rigid_motion.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/geometry/chart.h"
#include "boltzmap/model/molecule.h"

/* The deck's `system` group, with `more` in it; valid until the next call. */
static inline const char *molecule_system(const char *name, const char *more)
{
  static char text[9000];
  const char *top = getenv("BM_TOP");
  char *folder = realpath(top == NULL ? "." : top, NULL);
  snprintf(text, sizeof text,
           "kind = \"amber\"; topology = \"%s/input/%s.prmtop\"; "
           "coordinates = \"%s/input/%s.rst7\"; %s",
           folder == NULL ? "." : folder, name, folder == NULL ? "." : folder, name, more);
  free(folder);
  return text;
}

static inline const char *dipeptide_system(const char *more)
{
  return molecule_system("alanine-dipeptide", more);
}

/* n times the structure with displacements of this width in each coordinate: [n][d], owned by the caller. */
static inline double *shaken_structures(const bm_molecule_t *molecule, size_t n, double width,
                                        uint32_t stream)
{
  const size_t particles = molecule->topology->atoms;
  double *x = NULL;
  if (BM_ALLOC(n * 3 * particles, &x) != BM_OK) {
    exit(1);
  }
  for (size_t i = 0; i < n; i++) {
    double *row = x + i * 3 * particles;
    bm_random_normals(bm_random(31, BM_PURPOSE_TEST), stream, i, 0, 3 * particles, row);
    for (size_t k = 0; k < 3 * particles; k++) {
      row[k] = molecule->start[k] + width * row[k];
    }
    move_and_turn(particles, stream, i, row);
  }
  return x;
}

/* What a chart is told of the molecule. */
static inline bm_chart_system_t chart_system(const bm_molecule_t *molecule, double noise)
{
  return (bm_chart_system_t){.particles = molecule->topology->atoms,
                             .dimensions = 3,
                             .start = molecule->start,
                             .angle_count = molecule->angle_count,
                             .angles = (const size_t(*)[4])molecule->angles,
                             .centre_count = molecule->centre_count,
                             .centres = (const size_t(*)[4])molecule->centres,
                             .noise = noise};
}

#endif
