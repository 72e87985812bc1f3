/* The kernels in lanes: against the plain force field, and their dynamics. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boltzmap/base/random.h"
#include "boltzmap/model/pack.h"
#include "molecules.h"

#define LANES_MOST 16
#define D_MOST 128
#define KT (8.31446261815324e-3 * 300.0)

static const bm_pack_ops_t *const precisions[] = {&bm_pack_single, &bm_pack_double};

/* Largest difference of two forces over the root mean square of the wanted one. */
static double difference(size_t d, const double *force, const double *wanted)
{
  double sum = 0.0;
  double largest = 0.0;
  for (size_t k = 0; k < d; k++) {
    sum += wanted[k] * wanted[k];
    largest = fmax(largest, fabs(force[k] - wanted[k]));
  }
  return largest / sqrt(sum / (double)d);
}

/* Terms in single precision carry the rounding of their largest parts, which cancel. */
static void check_frame(const bm_pack_ops_t *ops, const molecule_frames_t *molecule, size_t frame,
                        const double *energy, const double *force)
{
  const int is_single = ops == &bm_pack_single;
  double wanted[BM_TERM_COUNT];
  double forces[D_MOST];
  bm_force_field_energy(molecule->field, molecule->x + frame * molecule->d, wanted, forces);
  for (size_t t = 0; t < BM_TERM_COUNT; t++) {
    double most = is_single ? 5e-3 + 1e-5 * fabs(wanted[t]) : 1e-9 + 1e-12 * fabs(wanted[t]);
    if (!(fabs(energy[t] - wanted[t]) <= most)) {
      fail_msg("%s, frame %zu: %s %.12g, not %.12g", ops->name, frame, bm_force_table[t]->name,
               energy[t], wanted[t]);
    }
  }
  double apart = difference(molecule->d, force, forces);
  if (!(apart <= (is_single ? 5e-5 : 1e-10))) {
    fail_msg("%s, frame %zu: forces differ by %g of their size", ops->name, frame, apart);
  }
}

static void lanes_agree_with_the_plain_force_field(void **state)
{
  (void)state;
  for (size_t m = 0; m < MOLECULES; m++) {
    molecule_frames_t molecule;
    load_molecule(molecules[m], &molecule);
    for (size_t p = 0; p < 2; p++) {
      const bm_pack_ops_t *ops = precisions[p];
      bm_pack_t *pack;
      double *energy;
      double *force;
      demand(ops->create(molecule.field, NULL, molecule.x, &pack));
      demand(BM_ALLOC(FRAMES * BM_TERM_COUNT, &energy));
      demand(BM_ALLOC(FRAMES * molecule.d, &force));
      ops->energy(pack, FRAMES, molecule.x, energy, force);
      for (size_t i = 0; i < FRAMES; i++) {
        check_frame(ops, &molecule, i, energy + i * BM_TERM_COUNT, force + i * molecule.d);
      }
      bm_free(energy);
      bm_free(force);
      ops->destroy(&pack);
    }
    unload_molecule(&molecule);
  }
}

/* In vacuum, too. */
static void lanes_agree_without_solvent(void **state)
{
  (void)state;
  molecule_frames_t molecule;
  load_molecule(molecules[0], &molecule);
  bm_force_field_destroy(&molecule.field);
  demand(bm_force_field_create(molecule.topology, 0.0, &molecule.field));
  for (size_t p = 0; p < 2; p++) {
    bm_pack_t *pack;
    double energy[BM_TERM_COUNT];
    double force[D_MOST];
    demand(precisions[p]->create(molecule.field, NULL, molecule.x, &pack));
    for (size_t i = 0; i < MODERATE; i++) {
      precisions[p]->energy(pack, 1, molecule.x + i * molecule.d, energy, force);
      check_frame(precisions[p], &molecule, i, energy, force);
    }
    precisions[p]->destroy(&pack);
  }
  unload_molecule(&molecule);
}

/* A group of replicas under way. */
typedef struct {
  const bm_pack_ops_t *ops;
  const molecule_frames_t *molecule;
  bm_constraints_t *constraints; /* NULL: none */
  bm_pack_t *pack;
  void *state;
  uint32_t walkers[LANES_MOST];
  double kT[LANES_MOST];
} group_t;

/* Lane k holds walker first + k, at its own frame, with Maxwell velocities. */
static void open_group(const bm_pack_ops_t *ops, const molecule_frames_t *molecule, int constrained,
                       size_t first, group_t *group)
{
  *group = (group_t){.ops = ops, .molecule = molecule};
  assert_true(ops->lanes <= LANES_MOST);
  if (constrained) {
    demand(bm_constraints_create(molecule->topology, &group->constraints));
  }
  demand(ops->create(molecule->field, group->constraints, molecule->x, &group->pack));
  demand(bm_alloc(ops->state_bytes(group->pack), 1, &group->state));
  for (size_t lane = 0; lane < ops->lanes; lane++) {
    uint32_t walker = (uint32_t)(first + lane);
    double x[D_MOST];
    double v[D_MOST];
    memcpy(x, molecule->x + walker * 3 * molecule->d, molecule->d * sizeof *x);
    bm_random_normals(bm_random(1, BM_PURPOSE_TEST), walker, 0, 0, molecule->d, v);
    for (size_t k = 0; k < molecule->d; k++) {
      v[k] *= sqrt(KT / molecule->topology->mass[k / 3]);
    }
    if (constrained) {
      bm_constraints_stretch(group->constraints, x);
    }
    ops->put(group->pack, group->state, lane, x, v);
    group->walkers[lane] = walker;
    group->kT[lane] = KT;
  }
  ops->constrain_velocities(group->pack, group->state);
}

static void close_group(group_t *group)
{
  bm_free(group->state);
  group->ops->destroy(&group->pack);
  bm_constraints_destroy(&group->constraints);
}

static void advance(group_t *group, double timestep, double friction, uint64_t first, size_t count)
{
  const bm_pack_dynamics_t dynamics = {timestep, friction, bm_random(2, BM_PURPOSE_TEST)};
  group->ops->run(group->pack, group->state, &dynamics, group->walkers, group->kT, first, count);
}

/* Largest relative error of a constrained length, and of velocities along the bonds over their size. */
static void worst_constraint(const group_t *group, double *length, double *rate)
{
  *length = 0.0;
  *rate = 0.0;
  for (size_t lane = 0; lane < group->ops->lanes; lane++) {
    double x[D_MOST];
    double v[D_MOST];
    group->ops->get(group->pack, group->state, lane, x, v);
    for (size_t c = 0; c < group->constraints->count; c++) {
      const bm_cluster_t *cluster = &group->constraints->clusters[c];
      for (size_t h = 0; h < cluster->count; h++) {
        double square = 0.0;
        double along = 0.0;
        double speed = 0.0;
        for (size_t a = 0; a < 3; a++) {
          double dx = x[3 * cluster->hydrogen[h] + a] - x[3 * cluster->centre + a];
          double dv = v[3 * cluster->hydrogen[h] + a] - v[3 * cluster->centre + a];
          square += dx * dx;
          along += dx * dv;
          speed += dv * dv;
        }
        *length = fmax(*length, fabs(sqrt(square) / cluster->length[h] - 1.0));
        *rate = fmax(*rate, fabs(along) / sqrt(square * speed));
      }
    }
  }
}

static void constraints_hold_at_every_step(void **state)
{
  (void)state;
  molecule_frames_t molecule;
  load_molecule(molecules[0], &molecule);
  for (size_t p = 0; p < 2; p++) {
    const double most = p == 0 ? 5e-6 : 1e-8;
    group_t group;
    double length;
    double rate;
    open_group(precisions[p], &molecule, 1, 0, &group);
    worst_constraint(&group, &length, &rate);
    assert_true(rate < (p == 0 ? 1e-5 : 1e-12));
    for (uint64_t step = 0; step < 5000; step++) {
      advance(&group, 0.002, 5.0, step, 1);
      worst_constraint(&group, &length, &rate);
      if (!(length <= most)) {
        fail_msg("%s, step %d: a bond is off by %g", precisions[p]->name, (int)step, length);
      }
    }
    close_group(&group);
  }
  unload_molecule(&molecule);
}

/* Total energy of a lane, with the velocities of half a step before. */
static double total_energy(const group_t *group, size_t lane)
{
  double x[D_MOST];
  double v[D_MOST];
  double energy[BM_TERM_COUNT];
  double kinetic = 0.0;
  group->ops->get(group->pack, group->state, lane, x, v);
  for (size_t k = 0; k < group->molecule->d; k++) {
    kinetic += 0.5 * group->molecule->topology->mass[k / 3] * v[k] * v[k];
  }
  bm_force_field_energy(group->molecule->field, x, energy, NULL);
  for (size_t t = group->constraints == NULL ? 0 : 1; t < BM_TERM_COUNT; t++) {
    kinetic += energy[t];
  }
  return kinetic;
}

/* Student's t of a false alarm below 1e-6, for the mean over so many lanes. */
static double errors_of(size_t lanes)
{
  return lanes >= 16 ? 8.0 : lanes >= 8 ? 15.0 : 110.0;
}

/* Without thermostat the energy stays: its mean over the last tenth of a run is that of the first tenth.
 * Energies here are those of velocities half a step off, which oscillate but do not drift. */
static void energy_does_not_drift_without_thermostat(void **state)
{
  (void)state;
  enum { STEPS = 200000, EVERY = 40, TENTH = STEPS / EVERY / 10 };
  molecule_frames_t molecule;
  load_molecule(molecules[0], &molecule);
  for (size_t p = 0; p < 2; p++) {
    group_t group;
    double drift[LANES_MOST] = {0.0};
    double sum = 0.0;
    double squares = 0.0;
    open_group(precisions[p], &molecule, 0, 0, &group);
    const size_t lanes = precisions[p]->lanes;
    for (size_t k = 0; k < STEPS / EVERY; k++) {
      advance(&group, 0.0005, 0.0, k * EVERY, EVERY);
      double sign = k < TENTH ? -1.0 : k >= STEPS / EVERY - TENTH ? 1.0 : 0.0;
      for (size_t lane = 0; sign != 0.0 && lane < lanes; lane++) {
        drift[lane] += sign * total_energy(&group, lane) / TENTH;
      }
    }
    for (size_t lane = 0; lane < lanes; lane++) {
      drift[lane] /= 0.9 * STEPS * 0.5e-6; /* per ns */
      sum += drift[lane];
      squares += drift[lane] * drift[lane];
    }
    double mean = sum / (double)lanes;
    double error = sqrt((squares / (double)lanes - mean * mean) / (double)(lanes - 1));
    print_message("%s: drift %.3f ± %.3f kJ/mol/ns\n", precisions[p]->name, mean, error);
    assert_true(fabs(mean) < errors_of(lanes) * error + 1.0);
    close_group(&group);
  }
  unload_molecule(&molecule);
}

/* Beside other neighbours, in another lane, a replica goes the same way bit by bit. */
static void a_replica_does_not_feel_its_neighbours(void **state)
{
  (void)state;
  molecule_frames_t molecule;
  load_molecule(molecules[0], &molecule);
  for (size_t p = 0; p < 2; p++) {
    group_t a;
    group_t b;
    double x[2][D_MOST];
    double v[2][D_MOST];
    open_group(precisions[p], &molecule, 1, 0, &a);
    open_group(precisions[p], &molecule, 1, 1, &b);
    for (uint64_t step = 0; step < 2000; step += 100) {
      advance(&a, 0.002, 91.0, step, 100);
      advance(&b, 0.002, 91.0, step, 100);
    }
    /* walker 1 */
    a.ops->get(a.pack, a.state, 1, x[0], v[0]);
    b.ops->get(b.pack, b.state, 0, x[1], v[1]);
    assert_memory_equal(x[0], x[1], molecule.d * sizeof(double));
    assert_memory_equal(v[0], v[1], molecule.d * sizeof(double));
    close_group(&a);
    close_group(&b);
  }
  unload_molecule(&molecule);
}

/* Twice the kinetic energy over kT is the number of degrees of freedom. */
static void kinetic_energy_is_that_of_the_temperature(void **state)
{
  (void)state;
  enum { SAMPLES = 4000 };
  molecule_frames_t molecule;
  load_molecule(molecules[0], &molecule);
  for (int constrained = 0; constrained < 2; constrained++) {
    group_t group;
    double means[LANES_MOST] = {0.0};
    double sum = 0.0;
    double squares = 0.0;
    open_group(&bm_pack_single, &molecule, constrained, 0, &group);
    const size_t lanes = group.ops->lanes;
    advance(&group, constrained ? 0.002 : 0.001, 20.0, 0, 5000);
    for (uint64_t n = 0; n < SAMPLES; n++) {
      advance(&group, constrained ? 0.002 : 0.001, 20.0, 5000 + 50 * n, 50);
      for (size_t lane = 0; lane < lanes; lane++) {
        double x[D_MOST];
        double v[D_MOST];
        group.ops->get(group.pack, group.state, lane, x, v);
        for (size_t k = 0; k < molecule.d; k++) {
          means[lane] += molecule.topology->mass[k / 3] * v[k] * v[k] / KT / SAMPLES;
        }
      }
    }
    for (size_t lane = 0; lane < lanes; lane++) {
      sum += means[lane];
      squares += means[lane] * means[lane];
    }
    double mean = sum / (double)lanes;
    double error = sqrt((squares / (double)lanes - mean * mean) / (double)(lanes - 1));
    double wanted =
        (double)molecule.d - (constrained ? (double)group.constraints->bond_count : 0.0);
    print_message("degrees of freedom %.3f ± %.3f, wanted %g\n", mean, error, wanted);
    assert_true(fabs(mean - wanted) < errors_of(lanes) * error);
    assert_true(error < 2e-3 * wanted);
    close_group(&group);
  }
  unload_molecule(&molecule);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lanes_agree_with_the_plain_force_field),
      cmocka_unit_test(lanes_agree_without_solvent),
      cmocka_unit_test(constraints_hold_at_every_step),
      cmocka_unit_test(energy_does_not_drift_without_thermostat),
      cmocka_unit_test(a_replica_does_not_feel_its_neighbours),
      cmocka_unit_test(kinetic_energy_is_that_of_the_temperature),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
