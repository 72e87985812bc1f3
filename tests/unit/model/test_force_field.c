/* The float64 force field: against OpenMM, its own differences, and the symmetries of space. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boltzmap/base/random.h"
#include "molecules.h"

#define TERM_ABSOLUTE 1e-6 /* kJ/mol */
#define TERM_RELATIVE 1e-8
#define FORCE_RELATIVE 1e-6
#define TOLERANCE 1e-7

static double norm(size_t count, const double *values)
{
  double sum = 0.0;
  for (size_t k = 0; k < count; k++) {
    sum += values[k] * values[k];
  }
  return sqrt(sum);
}

static void check_terms(const double *energy, const double *wanted, size_t frame)
{
  for (size_t t = 0; t < BM_TERM_COUNT; t++) {
    double most = TERM_ABSOLUTE + TERM_RELATIVE * fabs(wanted[t]);
    if (!(fabs(energy[t] - wanted[t]) <= most)) {
      fail_msg("frame %zu: %s %.12g, OpenMM has %.12g", frame, bm_force_table[t]->name, energy[t],
               wanted[t]);
    }
  }
}

static void terms_and_forces_are_those_of_openmm(void **state)
{
  (void)state;
  for (size_t m = 0; m < MOLECULES; m++) {
    molecule_frames_t molecule;
    double *force;
    load_molecule(molecules[m], &molecule);
    demand(BM_ALLOC(molecule.d, &force));
    for (size_t i = 0; i < FRAMES; i++) {
      const double *wanted = molecule.force + i * molecule.d;
      double energy[BM_TERM_COUNT];
      bm_force_field_energy(molecule.field, molecule.x + i * molecule.d, energy, force);
      check_terms(energy, molecule.energy + i * BM_TERM_COUNT, i);
      for (size_t k = 0; k < molecule.d; k++) {
        force[k] -= wanted[k];
      }
      assert_true(norm(molecule.d, force) <= FORCE_RELATIVE * norm(molecule.d, wanted));
    }
    bm_free(force);
    unload_molecule(&molecule);
  }
}

static double total(const bm_force_field_t *field, const double *x, double *force)
{
  double energy[BM_TERM_COUNT];
  double sum = 0.0;
  bm_force_field_energy(field, x, energy, force);
  for (size_t t = 0; t < BM_TERM_COUNT; t++) {
    sum += energy[t];
  }
  return sum;
}

/* dU/dx_k by the central difference of sixth order. */
static double difference(const bm_force_field_t *field, double *x, size_t k, double h)
{
  static const double weights[3] = {45.0, -9.0, 1.0};
  const double at = x[k];
  double sum = 0.0;
  for (int i = 0; i < 3; i++) {
    x[k] = at + (i + 1) * h;
    sum += weights[i] * total(field, x, NULL);
    x[k] = at - (i + 1) * h;
    sum -= weights[i] * total(field, x, NULL);
  }
  x[k] = at;
  return sum / (60.0 * h);
}

static void forces_are_minus_the_gradient(void **state)
{
  (void)state;
  molecule_frames_t molecule;
  double *force;
  load_molecule(molecules[0], &molecule);
  demand(BM_ALLOC(molecule.d, &force));
  for (size_t i = 0; i < MODERATE; i += 12) {
    double *x = molecule.x + i * molecule.d;
    total(molecule.field, x, force);
    double largest = 0.0;
    for (size_t k = 0; k < molecule.d; k++) {
      largest = fmax(largest, fabs(force[k]));
    }
    for (size_t k = 0; k < molecule.d; k++) {
      assert_true(fabs(difference(molecule.field, x, k, 1e-4) + force[k]) <= TOLERANCE * largest);
    }
  }
  bm_free(force);
  unload_molecule(&molecule);
}

/* Force and torque of the whole molecule on itself. */
static void check_balance(const molecule_frames_t *molecule, const double *x, const double *force)
{
  double sum[3] = {0.0};
  double torque[3] = {0.0};
  double size = norm(molecule->d, force);
  for (size_t i = 0; i < molecule->topology->atoms; i++) {
    for (size_t a = 0; a < 3; a++) {
      size_t b = (a + 1) % 3;
      size_t c = (a + 2) % 3;
      sum[a] += force[3 * i + a];
      torque[a] += x[3 * i + b] * force[3 * i + c] - x[3 * i + c] * force[3 * i + b];
    }
  }
  assert_true(norm(3, sum) <= TOLERANCE * size);
  assert_true(norm(3, torque) <= TOLERANCE * size);
}

static void a_molecule_exerts_no_force_or_torque_on_itself(void **state)
{
  (void)state;
  molecule_frames_t molecule;
  double *force;
  load_molecule(molecules[1], &molecule);
  demand(BM_ALLOC(molecule.d, &force));
  for (size_t i = 0; i < FRAMES; i++) {
    total(molecule.field, molecule.x + i * molecule.d, force);
    check_balance(&molecule, molecule.x + i * molecule.d, force);
  }
  bm_free(force);
  unload_molecule(&molecule);
}

/* Turned by a quaternion of random normals and moved. */
static void move(size_t atoms, const double *x, uint32_t seed, double *moved)
{
  double q[4];
  double shift[3];
  bm_random_normals(bm_random(seed, BM_PURPOSE_TEST), 0, 0, 0, 4, q);
  bm_random_normals(bm_random(seed, BM_PURPOSE_TEST), 1, 0, 0, 3, shift);
  double size = norm(4, q);
  for (int k = 0; k < 4; k++) {
    q[k] /= size;
  }
  const double r[3][3] = {{1 - 2 * (q[2] * q[2] + q[3] * q[3]), 2 * (q[1] * q[2] - q[0] * q[3]),
                           2 * (q[1] * q[3] + q[0] * q[2])},
                          {2 * (q[1] * q[2] + q[0] * q[3]), 1 - 2 * (q[1] * q[1] + q[3] * q[3]),
                           2 * (q[2] * q[3] - q[0] * q[1])},
                          {2 * (q[1] * q[3] - q[0] * q[2]), 2 * (q[2] * q[3] + q[0] * q[1]),
                           1 - 2 * (q[1] * q[1] + q[2] * q[2])}};
  for (size_t i = 0; i < atoms; i++) {
    for (size_t a = 0; a < 3; a++) {
      moved[3 * i + a] = shift[a];
      for (size_t b = 0; b < 3; b++) {
        moved[3 * i + a] += r[a][b] * x[3 * i + b];
      }
    }
  }
}

static void energy_does_not_depend_on_place_or_direction(void **state)
{
  (void)state;
  molecule_frames_t molecule;
  double *moved;
  load_molecule(molecules[0], &molecule);
  demand(BM_ALLOC(molecule.d, &moved));
  for (size_t i = 0; i < FRAMES; i++) {
    const double *x = molecule.x + i * molecule.d;
    double wanted = total(molecule.field, x, NULL);
    move(molecule.topology->atoms, x, (uint32_t)i, moved);
    assert_true(fabs(total(molecule.field, moved, NULL) - wanted) <=
                TOLERANCE * fmax(1.0, fabs(wanted)));
  }
  bm_free(moved);
  unload_molecule(&molecule);
}

static void backbone_torsions_are_found(void **state)
{
  (void)state;
  static const size_t wanted[2] = {2, 4};
  for (size_t m = 0; m < MOLECULES; m++) {
    molecule_frames_t molecule;
    bm_dihedral_t *dihedrals;
    size_t count;
    load_molecule(molecules[m], &molecule);
    demand(bm_topology_backbone(molecule.topology, &count, &dihedrals));
    assert_int_equal(count, wanted[m]);
    assert_string_equal(dihedrals[0].name, m == 0 ? "phi" : "phi_1");
    assert_string_equal(dihedrals[count - 1].name, m == 0 ? "psi" : "psi_2");
    bm_free(dihedrals);
    unload_molecule(&molecule);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(terms_and_forces_are_those_of_openmm),
      cmocka_unit_test(forces_are_minus_the_gradient),
      cmocka_unit_test(a_molecule_exerts_no_force_or_torque_on_itself),
      cmocka_unit_test(energy_does_not_depend_on_place_or_direction),
      cmocka_unit_test(backbone_torsions_are_found),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
