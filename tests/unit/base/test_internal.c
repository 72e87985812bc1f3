/* Internal coordinates of structures whose values are known in closed form. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../geometry/rigid_motion.h"
#include "boltzmap/base/internal.h"

static const size_t four[4] = {0, 1, 2, 3};

/* A chain whose bonds are 1, 2, 3 long, whose angles are these, and whose last bond is turned about the middle
 * one, seen along it clockwise, from where the first one stands. */
static void place_chain(double first_angle, double last_angle, double torsion, double x[12])
{
  const double height = 3.0 * sin(last_angle);
  const double chain[12] = {sin(first_angle),
                            0.0,
                            cos(first_angle),
                            0.0,
                            0.0,
                            0.0,
                            0.0,
                            0.0,
                            2.0,
                            height * cos(torsion),
                            height * sin(torsion),
                            2.0 - 3.0 * cos(last_angle)};
  for (int k = 0; k < 12; k++) {
    x[k] = chain[k];
  }
}

static void values_are_those_that_chains_are_built_with(void **state)
{
  (void)state;
  static const double angles[] = {0.3, 1.0, M_PI / 2.0, 2.0, 3.0};
  for (size_t i = 0; i < 5; i++) {
    for (int k = -17; k <= 18; k++) {
      const double torsion = k * M_PI / 18.0;
      double x[12];
      place_chain(angles[i], angles[4 - i], torsion, x);
      move_and_turn(4, 90, (uint64_t)(k + 20), x);
      assert_true(fabs(bm_internal_distance(x, (const size_t[]){0, 1}) - 1.0) < 1e-14);
      assert_true(fabs(bm_internal_distance(x, (const size_t[]){2, 1}) - 2.0) < 1e-14);
      assert_true(fabs(bm_internal_distance(x, (const size_t[]){2, 3}) - 3.0) < 1e-14);
      assert_true(fabs(bm_internal_angle(x, four) - angles[i]) < 1e-13);
      assert_true(fabs(bm_internal_angle(x, four + 1) - angles[4 - i]) < 1e-13);
      double apart = bm_internal_dihedral(x, four) - torsion;
      assert_true(fabs(remainder(apart, 2.0 * M_PI)) < 1e-13);
    }
  }
}

/* IUPAC: looking along the middle bond, with the first one up, the last one to the right is positive. Along +y
 * with +z up, +x is to the right. */
static void a_turn_to_the_right_is_a_positive_torsion(void **state)
{
  (void)state;
  for (int side = -1; side < 2; side += 2) {
    const double x[12] = {0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, (double)side, 1.0, 0.0};
    const size_t back[4] = {3, 2, 1, 0}; /* the same from the other end */
    assert_true(bm_internal_dihedral(x, four) == side * M_PI / 2.0);
    assert_true(bm_internal_dihedral(x, back) == side * M_PI / 2.0);
  }
}

static void straight_and_folded_angles_are_exact(void **state)
{
  (void)state;
  const double x[12] = {1.0, 2.0, 3.0, 0.0, 0.0, 0.0, -2.0, -4.0, -6.0, 0.5, 1.0, 1.5};
  assert_true(bm_internal_angle(x, (const size_t[]){0, 1, 2}) == M_PI);
  assert_true(bm_internal_angle(x, (const size_t[]){0, 1, 3}) == 0.0);
}

static void trans_is_pi_and_cis_is_zero(void **state)
{
  (void)state;
  const double trans[12] = {0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, -1.0, 0.0};
  const double cis[12] = {0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0};
  assert_true(fabs(bm_internal_dihedral(trans, four)) == M_PI);
  assert_true(bm_internal_dihedral(cis, four) == 0.0);
}

/* A corner of a box: the product of its edges, whatever lies where; another order of two has the other
 * sign. */
static void handedness_is_the_volume_of_the_box(void **state)
{
  (void)state;
  double x[12] = {0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 5.0};
  assert_true(bm_internal_handedness(x, four) == 30.0);
  assert_true(bm_internal_handedness(x, (const size_t[]){0, 2, 1, 3}) == -30.0);
  assert_true(bm_internal_handedness(x, (const size_t[]){0, 2, 3, 1}) == 30.0);
  move_and_turn(4, 91, 0, x);
  assert_true(fabs(bm_internal_handedness(x, four) - 30.0) < 1e-12);
}

/* Distances and angles stay in a mirror, torsions and hands change their sign. */
static void mirrors_change_signs_alone(void **state)
{
  (void)state;
  for (uint32_t i = 0; i < 50; i++) {
    double x[12];
    double mirrored[12];
    bm_random_normals(bm_random(92, BM_PURPOSE_TEST), i, 0, 0, 12, x);
    for (int k = 0; k < 12; k++) {
      mirrored[k] = k % 3 == 1 ? -x[k] : x[k];
    }
    assert_true(bm_internal_distance(x, four) == bm_internal_distance(mirrored, four));
    assert_true(fabs(bm_internal_angle(x, four) - bm_internal_angle(mirrored, four)) < 1e-14);
    assert_true(fabs(bm_internal_dihedral(x, four) + bm_internal_dihedral(mirrored, four)) < 1e-13);
    assert_true(fabs(bm_internal_handedness(x, four) + bm_internal_handedness(mirrored, four)) <
                1e-13);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_are_those_that_chains_are_built_with),
      cmocka_unit_test(a_turn_to_the_right_is_a_positive_torsion),
      cmocka_unit_test(straight_and_folded_angles_are_exact),
      cmocka_unit_test(trans_is_pi_and_cis_is_zero),
      cmocka_unit_test(handedness_is_the_volume_of_the_box),
      cmocka_unit_test(mirrors_change_signs_alone),
  };
  return cmocka_run_group_tests_name("internal coordinates", tests, NULL, NULL);
}
