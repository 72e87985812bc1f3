/* Clusters of bonds to hydrogen, of alanine dipeptide and of made molecules that have none. */

#include <math.h>

#include "../io/scratch.h"
#include "boltzmap/io/coordinates.h"
#include "boltzmap/model/constraints.h"
#include "molecules.h"

static bm_topology_t *dipeptide(void)
{
  char path[4096];
  bm_topology_t *topology;
  path_of("input/", "alanine-dipeptide", ".prmtop", 0, path);
  demand(bm_prmtop_read(path, &topology));
  return topology;
}

static void clusters_hold_each_bond_to_hydrogen_once(void **state)
{
  (void)state;
  bm_topology_t *topology = dipeptide();
  bm_constraints_t *constraints;
  demand(bm_constraints_create(topology, &constraints));
  assert_int_equal(constraints->bond_count, 12);
  assert_int_equal(constraints->count, 6); /* three methyl groups, two N-H, one C-H */
  size_t bonds = 0;
  size_t of_size[BM_CLUSTER_MOST + 1] = {0};
  for (size_t c = 0; c < constraints->count; c++) {
    bonds += constraints->clusters[c].count;
    of_size[constraints->clusters[c].count]++;
  }
  assert_int_equal(bonds, 12);
  assert_int_equal(of_size[1], 3);
  assert_int_equal(of_size[3], 3);
  for (size_t b = 0; b < topology->bond_count; b++) {
    const bm_bond_t *bond = &topology->bonds[b];
    int wanted = topology->element[bond->i] == 1 || topology->element[bond->j] == 1;
    assert_int_equal(bm_constraints_has(constraints, bond->i, bond->j), wanted);
    assert_int_equal(bm_constraints_has(constraints, bond->j, bond->i), wanted);
  }
  bm_constraints_destroy(&constraints);
  assert_null(constraints);
  bm_topology_destroy(&topology);
}

static double distance(const double *x, size_t i, size_t j)
{
  double square = 0.0;
  for (size_t a = 0; a < 3; a++) {
    square += pow(x[3 * i + a] - x[3 * j + a], 2);
  }
  return sqrt(square);
}

static void assert_lengths(const bm_constraints_t *constraints, const double *x)
{
  for (size_t c = 0; c < constraints->count; c++) {
    const bm_cluster_t *cluster = &constraints->clusters[c];
    for (size_t h = 0; h < cluster->count; h++) {
      /* a few roundings of coordinates below 1 nm */
      assert_true(fabs(distance(x, cluster->centre, cluster->hydrogen[h]) - cluster->length[h]) <
                  1e-15);
    }
  }
}

static void stretching_gives_the_lengths_and_moves_hydrogens_only(void **state)
{
  (void)state;
  char path[4096];
  bm_topology_t *topology = dipeptide();
  bm_constraints_t *constraints;
  bm_coordinates_t before;
  bm_coordinates_t after;
  demand(bm_constraints_create(topology, &constraints));
  path_of("input/", "alanine-dipeptide", ".pdb", 0, path);
  demand(bm_coordinates_read(path, &before));
  demand(bm_coordinates_read(path, &after));
  bm_constraints_stretch(constraints, after.x);
  assert_lengths(constraints, after.x);
  for (size_t i = 0; i < topology->atoms; i++) {
    if (topology->element[i] != 1) {
      assert_memory_equal(after.x + 3 * i, before.x + 3 * i, 3 * sizeof(double));
    }
  }
  /* hydrogens at the place of their centre have no direction, and get different ones */
  for (size_t h = 1; h <= 3; h++) {
    memcpy(after.x + 3 * h, after.x, 3 * sizeof(double));
  }
  bm_constraints_stretch(constraints, after.x);
  assert_lengths(constraints, after.x);
  assert_true(distance(after.x, 1, 2) > 0.1 && distance(after.x, 2, 3) > 0.1);
  bm_free(before.x);
  bm_free(after.x);
  bm_constraints_destroy(&constraints);
  bm_topology_destroy(&topology);
}

/* Atoms bonded in a chain or around the first one, all by the same length. */
typedef struct {
  size_t atoms;
  int element[5];
  size_t bond[4][2]; /* [atoms - 1] */
  double length;
  const char *wanted;
} made_t;

static const made_t refused[] = {
    {2, {1, 1}, {{0, 1}}, 0.1, "bonded to a hydrogen"},
    {3, {6, 1, 6}, {{0, 1}, {1, 2}}, 0.1, "two atoms"},
    {3, {8, 1, 1}, {{0, 1}, {1, 2}}, 0.1, "bonded to a hydrogen"},
    {5, {6, 1, 1, 1, 1}, {{0, 1}, {0, 2}, {3, 0}, {4, 0}}, 0.1, "more than 3 hydrogens"},
    {2, {6, 1}, {{0, 1}}, 0.0, "length of 0"},
    {2, {6, 1}, {{1, 0}}, -0.1, "length of -0.1"},
    {2, {6, 0}, {{0, 1}}, 0.1, "element of atom 2"},
    {2, {0, 6}, {{0, 1}}, 0.1, "element of atom 1"},
};

static void what_is_no_cluster_is_refused(void **state)
{
  (void)state;
  for (size_t k = 0; k < sizeof refused / sizeof refused[0]; k++) {
    made_t made = refused[k];
    bm_bond_t bonds[4];
    double mass[5] = {3.0, 3.0, 3.0, 3.0, 3.0};
    for (size_t b = 0; b + 1 < made.atoms; b++) {
      bonds[b] = (bm_bond_t){made.bond[b][0], made.bond[b][1], made.length, 1.0};
    }
    bm_topology_t topology = {.atoms = made.atoms,
                              .element = made.element,
                              .mass = mass,
                              .bonds = bonds,
                              .bond_count = made.atoms - 1};
    bm_constraints_t *constraints;
    assert_int_equal(bm_constraints_create(&topology, &constraints), BM_ERR_DATA);
    assert_message_has(made.wanted);
    assert_null(constraints);
  }
}

static void a_molecule_without_hydrogen_has_no_constraints(void **state)
{
  (void)state;
  int element[2] = {6, 8};
  bm_bond_t bond = {0, 1, 0.12, 1.0};
  bm_topology_t topology = {.atoms = 2, .element = element, .bonds = &bond, .bond_count = 1};
  bm_constraints_t *constraints;
  demand(bm_constraints_create(&topology, &constraints));
  assert_int_equal(constraints->count, 0);
  assert_int_equal(constraints->bond_count, 0);
  assert_int_equal(bm_constraints_has(constraints, 0, 1), 0);
  bm_constraints_destroy(&constraints);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(clusters_hold_each_bond_to_hydrogen_once),
      cmocka_unit_test(stretching_gives_the_lengths_and_moves_hydrogens_only),
      cmocka_unit_test(what_is_no_cluster_is_refused),
      cmocka_unit_test(a_molecule_without_hydrogen_has_no_constraints),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
