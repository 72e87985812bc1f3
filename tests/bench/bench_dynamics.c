/* Speed of the dynamics on one core, and the drift of the energy without thermostat.
 *
 *   bench_dynamics          time of a replica's step, a JSON line for each precision
 *   bench_dynamics --drift  drift over 1 ns of 16 replicas, a line for each precision
 *
 * dynamics_openmm.py sets the speed beside OpenMM's. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/coordinates.h"
#include "boltzmap/model/molecule.h"
#include "boltzmap/model/prmtop.h"
#include "boltzmap/sample/dynamics.h"

#define REPLICAS 16
#define CHUNK 500  /* steps */
#define REPEATS 20 /* of a chunk, the quickest of which counts */

static void demand(bm_status_t status)
{
  if (status != BM_OK) {
    fprintf(stderr, "%s\n", bm_status_message());
    exit(1);
  }
}

static double cpu_seconds(void)
{
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void load(const char *name, int constrained, bm_molecule_t *molecule)
{
  const char *top = getenv("BM_TOP");
  char path[4096];
  bm_coordinates_t coordinates;
  *molecule = (bm_molecule_t){.temperature_K = 300.0, .kT = 300.0 * BM_GAS_CONSTANT};
  snprintf(path, sizeof path, "%s/input/%s.prmtop", top == NULL ? "." : top, name);
  demand(bm_prmtop_read(path, &molecule->topology));
  demand(bm_force_field_create(molecule->topology, 78.3, &molecule->field));
  snprintf(path, sizeof path, "%s/input/%s.rst7", top == NULL ? "." : top, name);
  demand(bm_coordinates_read(path, &coordinates));
  molecule->start = coordinates.x;
  if (constrained) {
    demand(bm_constraints_create(molecule->topology, &molecule->constraints));
    bm_constraints_stretch(molecule->constraints, molecule->start);
  }
}

static void unload(bm_molecule_t *molecule)
{
  bm_constraints_destroy(&molecule->constraints);
  bm_force_field_destroy(&molecule->field);
  bm_topology_destroy(&molecule->topology);
  bm_free(molecule->start);
}

static bm_dynamics_t *dynamics_of(const bm_molecule_t *molecule, const char *precision,
                                  double timestep, double friction)
{
  const bm_dynamics_settings_t settings = {precision, timestep, friction};
  bm_dynamics_t *dynamics;
  demand(bm_dynamics_create(molecule, &settings, 1, (bm_range_t){0, REPLICAS}, &dynamics));
  return dynamics;
}

/* Microseconds of CPU a step of one replica. */
static double time_of(const char *name, const char *precision, int constrained)
{
  bm_molecule_t molecule;
  double best = INFINITY;
  load(name, constrained, &molecule);
  bm_dynamics_t *dynamics =
      dynamics_of(&molecule, precision, constrained ? 0.002 : 0.001, constrained ? 91.0 : 1.0);
  for (int k = 0; k < REPEATS; k++) {
    double start = cpu_seconds();
    bm_dynamics_run(dynamics, CHUNK);
    best = fmin(best, (cpu_seconds() - start) / (CHUNK * (double)REPLICAS));
  }
  demand(bm_dynamics_check(dynamics));
  bm_dynamics_destroy(&dynamics);
  unload(&molecule);
  return 1e6 * best;
}

/* Potential and kinetic energy of a replica; the kinetic one half a step off, which oscillates around the
 * one at the step but does not drift from it. */
static double energy_of(const bm_molecule_t *molecule, const bm_dynamics_t *dynamics, size_t i,
                        double *x, double *v)
{
  double terms[BM_TERM_COUNT];
  double sum = 0.0;
  bm_dynamics_get(dynamics, i, x, v);
  bm_force_field_energy(molecule->field, x, terms, NULL);
  for (size_t t = 0; t < BM_TERM_COUNT; t++) {
    sum += terms[t];
  }
  for (size_t k = 0; k < 3 * molecule->topology->atoms; k++) {
    sum += 0.5 * molecule->topology->mass[k / 3] * v[k] * v[k];
  }
  return sum;
}

/* Slope of the energy of each replica in time by least squares, kJ/mol/ns; mean and standard error. */
static void drift_of(const char *precision, int constrained)
{
  enum { SAMPLES = 10000, EQUILIBRATION = 20000 };
  const double timestep = constrained ? 0.002 : 0.001;
  const size_t every = (size_t)lround(0.1 / timestep);
  bm_molecule_t molecule;
  double slope[REPLICAS] = {0.0};
  double sum = 0.0;
  double squares = 0.0;
  double room[2][512];
  load("alanine-dipeptide", constrained, &molecule);
  bm_dynamics_t *warm = dynamics_of(&molecule, precision, timestep, 10.0);
  bm_dynamics_t *dynamics = dynamics_of(&molecule, precision, timestep, 0.0);
  bm_dynamics_run(warm, EQUILIBRATION);
  for (size_t i = 0; i < REPLICAS; i++) {
    bm_dynamics_get(warm, i, room[0], room[1]);
    bm_dynamics_put(dynamics, i, room[0], room[1]);
  }
  for (int k = 0; k < SAMPLES; k++) {
    double time = (k - 0.5 * (SAMPLES - 1)) / SAMPLES; /* ns, around the middle */
    bm_dynamics_run(dynamics, every);
    for (size_t i = 0; i < REPLICAS; i++) {
      slope[i] += time * energy_of(&molecule, dynamics, i, room[0], room[1]) * 12.0 / SAMPLES;
    }
  }
  for (size_t i = 0; i < REPLICAS; i++) {
    sum += slope[i];
    squares += slope[i] * slope[i];
  }
  double mean = sum / REPLICAS;
  double error = sqrt((squares / REPLICAS - mean * mean) / (REPLICAS - 1));
  printf("%s, %s: %+.3f ± %.3f kJ/mol/ns over 1 ns of %d replicas at %g fs\n", precision,
         constrained ? "constrained" : "free", mean, error, REPLICAS, 1000.0 * timestep);
  bm_dynamics_destroy(&warm);
  bm_dynamics_destroy(&dynamics);
  unload(&molecule);
}

int main(int argc, char **argv)
{
  static const char *const precisions[] = {"single", "double"};
  const int drift = argc > 1 && strcmp(argv[1], "--drift") == 0;
  const char *name = argc > 1 && !drift ? argv[1] : "alanine-dipeptide";
  for (int p = 0; p < 2; p++) {
    if (drift) {
      drift_of(precisions[p], 0);
      drift_of(precisions[p], 1);
    } else {
      printf("{\"precision\":\"%s\",\"constrained_us\":%.4f,\"free_us\":%.4f}\n", precisions[p],
             time_of(name, precisions[p], 1), time_of(name, precisions[p], 0));
    }
  }
  return 0;
}
