/* Alignment: what it takes out and leaves, where it is refused, and its volume. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <lapacke.h>

#include "boltzmap/geometry/alignment.h"
#include "rigid_motion.h"

#define PARTICLES 7
#define D (3 * PARTICLES)
#define SLICE (D - BM_RIGID) /* dimensions of aligned configurations */
#define POINTS 40

/* Normal positions of the reference about a place that is not the origin, the same for all tests. */
static void reference_of(double *a /* [D] */)
{
  bm_random_normals(bm_random(40, BM_PURPOSE_TEST), 0, 0, 0, D, a);
  for (size_t k = 0; k < D; k++) {
    a[k] += 3.0;
  }
}

static bm_alignment_t *made(void)
{
  double a[D];
  bm_alignment_t *alignment;
  reference_of(a);
  assert_int_equal(bm_alignment_create(PARTICLES, a, &alignment), BM_OK);
  return alignment;
}

/* The reference with displacements of this width, moved and turned. */
static void draw(uint64_t step, double width, double *x)
{
  double normals[D];
  reference_of(x);
  bm_random_normals(bm_random(41, BM_PURPOSE_TEST), 0, step, 0, D, normals);
  for (size_t k = 0; k < D; k++) {
    x[k] += width * normals[k];
  }
  move_and_turn(PARTICLES, 42, step, x);
}

static double largest_difference(size_t n, const double *a, const double *b)
{
  double largest = 0.0;
  for (size_t k = 0; k < n; k++) {
    largest = fmax(largest, fabs(a[k] - b[k]));
  }
  return largest;
}

/* Sum of squared distances of all pairs of positions. */
static double squares_between(const double *a, const double *b)
{
  double sum = 0.0;
  for (size_t k = 0; k < D; k++) {
    sum += (a[k] - b[k]) * (a[k] - b[k]);
  }
  return sum;
}

static void aligned_configurations_stay_where_they_are(void **state)
{
  (void)state;
  bm_alignment_t *alignment = made();
  for (uint64_t i = 0; i < POINTS; i++) {
    double once[D];
    double twice[D];
    draw(i, 0.3, once);
    assert_int_equal(bm_alignment_apply(alignment, 1, once, once), BM_OK);
    assert_int_equal(bm_alignment_apply(alignment, 1, once, twice), BM_OK);
    assert_true(largest_difference(D, once, twice) < 1e-12);
  }
  bm_alignment_destroy(&alignment);
  assert_null(alignment);
}

static void copies_that_are_moved_and_turned_come_back(void **state)
{
  (void)state;
  bm_alignment_t *alignment = made();
  for (uint64_t i = 0; i < POINTS; i++) {
    double first[D];
    double copy[D];
    draw(i, i % 2 == 0 ? 0.0 : 0.4, first);
    memcpy(copy, first, sizeof copy);
    move_and_turn(PARTICLES, 43, i, copy);
    assert_int_equal(bm_alignment_apply(alignment, 1, first, first), BM_OK);
    assert_int_equal(bm_alignment_apply(alignment, 1, copy, copy), BM_OK);
    assert_true(largest_difference(D, first, copy) < 1e-12);
    if (i % 2 == 0) { /* of the reference itself */
      assert_true(largest_difference(D, first, alignment->reference) < 1e-12);
    }
  }
  bm_alignment_destroy(&alignment);
}

/* No small rotation comes closer, and no random one. */
static void no_other_rotation_is_closer(void **state)
{
  (void)state;
  bm_alignment_t *alignment = made();
  for (uint64_t i = 0; i < POINTS; i++) {
    double y[D];
    draw(i, 0.4, y);
    assert_int_equal(bm_alignment_apply(alignment, 1, y, y), BM_OK);
    const double least = squares_between(y, alignment->reference);
    for (uint32_t way = 0; way < 20; way++) {
      double turned[D];
      double q[4];
      memcpy(turned, y, sizeof turned);
      bm_random_normals(bm_random(44, BM_PURPOSE_TEST), way, i, 0, 4, q);
      q[0] = way < 10 ? 30.0 : q[0]; /* a few degrees */
      turn_by(PARTICLES, q, turned);
      assert_true(squares_between(turned, alignment->reference) > least);
    }
  }
  bm_alignment_destroy(&alignment);
}

/* The mirror image of the reference has a best proper rotation, at a distance. */
static void mirror_images_are_not_turned_onto_the_original(void **state)
{
  (void)state;
  bm_alignment_t *alignment = made();
  double a[D];
  double y[D];
  double lengths = 0.0;
  reference_of(a);
  for (size_t k = 0; k < D; k++) {
    y[k] = k % 3 == 0 ? -a[k] : a[k];
    lengths += alignment->reference[k] * alignment->reference[k];
  }
  assert_int_equal(bm_alignment_apply(alignment, 1, y, y), BM_OK);
  assert_true(squares_between(y, alignment->reference) > 0.1 * lengths);
  /* handedness of four particles is still that of the mirror image */
  for (size_t first = 0; first + 4 <= PARTICLES; first++) {
    double hands[2];
    const double *sets[2] = {y, alignment->reference};
    for (int s = 0; s < 2; s++) {
      const double *p = sets[s] + 3 * first;
      double e[3][3];
      for (size_t c = 0; c < 9; c++) {
        e[c / 3][c % 3] = p[3 * (c / 3 + 1) + c % 3] - p[c % 3];
      }
      hands[s] = e[0][0] * (e[1][1] * e[2][2] - e[1][2] * e[2][1]) -
                 e[0][1] * (e[1][0] * e[2][2] - e[1][2] * e[2][0]) +
                 e[0][2] * (e[1][0] * e[2][1] - e[1][1] * e[2][0]);
    }
    assert_true(fabs(hands[0] + hands[1]) < 1e-11 * fmax(1.0, fabs(hands[0])));
  }
  bm_alignment_destroy(&alignment);
}

static void rigid_directions_are_orthonormal(void **state)
{
  (void)state;
  bm_alignment_t *alignment = made();
  for (size_t a = 0; a < BM_RIGID; a++) {
    for (size_t b = 0; b < BM_RIGID; b++) {
      double sum = 0.0;
      for (size_t k = 0; k < D; k++) {
        sum += alignment->rigid[a * D + k] * alignment->rigid[b * D + k];
      }
      assert_true(fabs(sum - (a == b)) < 1e-14);
    }
  }
  bm_alignment_destroy(&alignment);
}

/* Σ x_i = 0 and Σ a_i × x_i = 0; so projection finds nothing to remove. */
static void aligned_configurations_obey_eckart(void **state)
{
  (void)state;
  bm_alignment_t *alignment = made();
  for (uint64_t i = 0; i < POINTS; i++) {
    double y[D];
    double same[D];
    double along[BM_RIGID];
    double sum[6] = {0.0};
    draw(i, 0.4, y);
    assert_int_equal(bm_alignment_apply(alignment, 1, y, y), BM_OK);
    for (size_t k = 0; k < D; k++) {
      const size_t at = k - k % 3;
      const size_t b = (k + 1) % 3;
      const size_t c = (k + 2) % 3;
      const double *a = alignment->reference + at;
      sum[k % 3] += y[k];
      sum[3 + k % 3] += a[b] * y[at + c] - a[c] * y[at + b];
    }
    memcpy(same, y, sizeof same);
    bm_alignment_project(alignment, same, along);
    for (int r = 0; r < 6; r++) {
      assert_true(fabs(sum[r]) < 1e-12);
      assert_true(fabs(along[r]) < 1e-13);
    }
    assert_true(largest_difference(D, y, same) < 1e-13);
  }
  bm_alignment_destroy(&alignment);
}

/* What was removed is what was there, and nothing is left of it. */
static void projection_twice_is_projection(void **state)
{
  (void)state;
  bm_alignment_t *alignment = made();
  for (uint32_t i = 0; i < POINTS; i++) {
    double y[D];
    double once[D];
    double along[2][BM_RIGID];
    bm_random_normals(bm_random(45, BM_PURPOSE_TEST), i, 0, 0, D, y);
    memcpy(once, y, sizeof once);
    bm_alignment_project(alignment, once, along[0]);
    for (size_t r = 0; r < BM_RIGID; r++) {
      for (size_t k = 0; k < D; k++) {
        y[k] -= along[0][r] * alignment->rigid[r * D + k];
      }
    }
    assert_true(largest_difference(D, y, once) < 1e-14);
    bm_alignment_project(alignment, once, along[1]);
    assert_true(largest_difference(D, y, once) < 1e-14);
    for (size_t r = 0; r < BM_RIGID; r++) {
      assert_true(fabs(along[0][r]) > 1e-6 && fabs(along[1][r]) < 1e-14);
    }
    bm_alignment_project(alignment, once, NULL);
  }
  bm_alignment_destroy(&alignment);
}

/* The reference of a set does not know how each frame lay; it is the mean of the set aligned onto it. */
static void the_mean_structure_does_not_depend_on_how_frames_lie(void **state)
{
  (void)state;
  double first[D];
  double x[2][POINTS * D];
  double mean[D] = {0.0};
  bm_alignment_t *of[2];
  reference_of(first);
  for (int way = 0; way < 2; way++) {
    for (uint64_t i = 0; i < POINTS; i++) {
      double *row = x[way] + i * D;
      draw(i, 0.2, row);
      if (way == 1) {
        move_and_turn(PARTICLES, 46, i, row);
      }
    }
    assert_int_equal(bm_alignment_fit(PARTICLES, POINTS, x[way], first, &of[way]), BM_OK);
  }
  assert_true(largest_difference(D, of[0]->reference, of[1]->reference) < 1e-12);
  assert_int_equal(bm_alignment_apply(of[0], POINTS, x[0], x[0]), BM_OK);
  for (size_t k = 0; k < POINTS * D; k++) {
    mean[k % D] += x[0][k] / POINTS;
  }
  assert_true(largest_difference(D, mean, of[0]->reference) < 1e-6);
  bm_alignment_destroy(&of[0]);
  bm_alignment_destroy(&of[1]);
}

/* A reference that lies centred is kept to the bit, as one from a file has to be. */
static void a_reference_of_an_alignment_makes_the_same_alignment(void **state)
{
  (void)state;
  double x[POINTS * D];
  double first[D];
  bm_alignment_t *alignment;
  bm_alignment_t *again;
  reference_of(first);
  for (uint64_t i = 0; i < POINTS; i++) {
    draw(i, 0.2, x + i * D);
  }
  assert_int_equal(bm_alignment_fit(PARTICLES, POINTS, x, first, &alignment), BM_OK);
  assert_int_equal(bm_alignment_create(PARTICLES, alignment->reference, &again), BM_OK);
  assert_memory_equal(again->reference, alignment->reference, D * sizeof(double));
  assert_memory_equal(again->rigid, alignment->rigid, BM_RIGID * D * sizeof(double));
  bm_alignment_destroy(&again);
  bm_alignment_destroy(&alignment);
}

static void structures_without_a_frame_are_refused(void **state)
{
  (void)state;
  double line[D];
  bm_alignment_t *alignment;
  for (size_t k = 0; k < D; k++) { /* along (1, 2, -1) */
    static const double way[3] = {1.0, 2.0, -1.0};
    line[k] = 5.0 + (double)(k / 3 * (k / 3)) * way[k % 3];
  }
  assert_int_equal(bm_alignment_create(PARTICLES, line, &alignment), BM_ERR_DATA);
  assert_null(alignment);
  assert_non_null(strstr(bm_status_message(), "one line"));
  assert_int_equal(bm_alignment_create(2, line, &alignment), BM_ERR_DATA);
  assert_null(alignment);
  line[4] += 0.5; /* bent */
  assert_int_equal(bm_alignment_create(PARTICLES, line, &alignment), BM_OK);
  bm_alignment_destroy(&alignment);
}

/* By number: a mirror image of what is too symmetric, and all particles at one place. */
static void configurations_that_several_rotations_fit_are_refused(void **state)
{
  (void)state;
  /* of a tetrahedron, whose mirror image fits as well after each turn about one of its axes */
  static const double tetrahedron[12] = {1.0,  1.0, 1.0,  1.0,  -1.0, -1.0,
                                         -1.0, 1.0, -1.0, -1.0, -1.0, 1.0};
  double x[3 * 12];
  double y[3 * 12];
  bm_alignment_t *alignment;
  memcpy(x, tetrahedron, sizeof tetrahedron);
  move_and_turn(4, 47, 0, x);
  for (size_t k = 0; k < 12; k++) {
    x[12 + k] = -tetrahedron[k];
    x[24 + k] = 2.0;
  }
  assert_int_equal(bm_alignment_create(4, tetrahedron, &alignment), BM_OK);
  for (int bad = 1; bad < 3; bad++) {
    if (bad == 2) {
      memcpy(x + 12, x + 24, 12 * sizeof *x); /* all at one place */
    }
    assert_int_equal(bm_alignment_apply(alignment, 2, x, y), BM_ERR_DATA);
    assert_non_null(strstr(bm_status_message(), "configuration 1 "));
    assert_int_equal(bm_alignment_apply(alignment, 1, x, y), BM_OK);
  }
  bm_alignment_destroy(&alignment);
}

/* Along a walk in small steps aligned coordinates have derivatives: central differences of two steps differ
 * by what is of the order of their square, also where eigenvectors change their sign. */
static void aligned_coordinates_have_derivatives(void **state)
{
  (void)state;
  bm_alignment_t *alignment = made();
  double x[D];
  draw(0, 0.3, x);
  for (uint64_t step = 1; step < 400; step++) {
    double way[D];
    double slope[2][D];
    bm_random_normals(bm_random(48, BM_PURPOSE_TEST), 0, step, 0, D, way);
    for (int width = 0; width < 2; width++) {
      const double h = width == 0 ? 1e-3 : 1e-4;
      double ends[2 * D];
      for (size_t k = 0; k < D; k++) {
        ends[k] = x[k] + h * way[k];
        ends[D + k] = x[k] - h * way[k];
      }
      assert_int_equal(bm_alignment_apply(alignment, 2, ends, ends), BM_OK);
      for (size_t k = 0; k < D; k++) {
        slope[width][k] = (ends[k] - ends[D + k]) / (2.0 * h);
      }
    }
    assert_true(largest_difference(D, slope[0], slope[1]) < 1e-4);
    for (size_t k = 0; k < D; k++) {
      x[k] += 0.05 * way[k];
    }
    assert_int_equal(bm_alignment_apply(alignment, 1, x, x), BM_OK);
    for (size_t k = 0; k < D; k++) { /* so that the walk stays about the reference */
      x[k] += 0.05 * (alignment->reference[k] - x[k]);
    }
    move_and_turn(PARTICLES, 49, step, x);
  }
  bm_alignment_destroy(&alignment);
}

/* An orthonormal basis of aligned configurations, [SLICE][D]: normal rows with all before taken out. */
static void slice_basis(const bm_alignment_t *alignment, double *basis)
{
  for (size_t r = 0; r < SLICE; r++) {
    double *row = basis + r * D;
    double square = 0.0;
    bm_random_normals(bm_random(50, BM_PURPOSE_TEST), (uint32_t)r, 0, 0, D, row);
    for (int pass = 0; pass < 2; pass++) {
      bm_alignment_project(alignment, row, NULL);
      for (size_t s = 0; s < r; s++) {
        double along = 0.0;
        for (size_t k = 0; k < D; k++) {
          along += row[k] * basis[s * D + k];
        }
        for (size_t k = 0; k < D; k++) {
          row[k] -= along * basis[s * D + k];
        }
      }
    }
    for (size_t k = 0; k < D; k++) {
      square += row[k] * row[k];
    }
    for (size_t k = 0; k < D; k++) {
      row[k] /= sqrt(square);
    }
  }
}

/* Whole configuration of a place, a rotation vector and coordinates of the slice about y. */
static void compose(const double *y, const double *basis, const double *p /* [D] */, double *x)
{
  const double angle = sqrt(p[3] * p[3] + p[4] * p[4] + p[5] * p[5]);
  const double half = angle > 0.0 ? sin(0.5 * angle) / angle : 0.5;
  const double q[4] = {cos(0.5 * angle), half * p[3], half * p[4], half * p[5]};
  memcpy(x, y, D * sizeof *x);
  for (size_t s = 0; s < SLICE; s++) {
    for (size_t k = 0; k < D; k++) {
      x[k] += p[BM_RIGID + s] * basis[s * D + k];
    }
  }
  turn_by(PARTICLES, q, x);
  for (size_t k = 0; k < D; k++) {
    x[k] += p[k % 3];
  }
}

/* log|det| of that map at p = 0 by central differences. */
static double log_determinant(const double *y, const double *basis)
{
  const double h = 1e-5;
  double matrix[D * D];
  lapack_int pivots[D];
  double sum = 0.0;
  for (size_t c = 0; c < D; c++) {
    double p[D] = {0.0};
    double ends[2][D];
    for (int way = 0; way < 2; way++) {
      p[c] = way == 0 ? h : -h;
      compose(y, basis, p, ends[way]);
    }
    for (size_t k = 0; k < D; k++) {
      matrix[k * D + c] = (ends[0][k] - ends[1][k]) / (2.0 * h);
    }
  }
  assert_int_equal(LAPACKE_dgetrf(LAPACK_ROW_MAJOR, D, D, matrix, D, pivots), 0);
  for (size_t k = 0; k < D; k++) {
    sum += log(fabs(matrix[k * D + k]));
  }
  return sum;
}

/* Up to one constant, of how positions and rotations are measured. Differences of h are off by h². */
static void volume_is_the_determinant_of_placing_and_turning(void **state)
{
  (void)state;
  bm_alignment_t *alignment = made();
  double basis[SLICE * D];
  double constant = NAN;
  double least = INFINITY;
  double most = -INFINITY;
  slice_basis(alignment, basis);
  for (uint64_t i = 0; i < POINTS; i++) {
    double y[D];
    draw(i, 0.4, y);
    assert_int_equal(bm_alignment_apply(alignment, 1, y, y), BM_OK);
    const double volume = bm_alignment_log_volume(alignment, y);
    const double apart = log_determinant(y, basis) - volume;
    constant = i == 0 ? apart : constant;
    assert_true(fabs(apart - constant) < 1e-8);
    least = fmin(least, volume);
    most = fmax(most, volume);
  }
  assert_true(most - least > 0.1); /* it is not itself one constant */
  bm_alignment_destroy(&alignment);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(aligned_configurations_stay_where_they_are),
      cmocka_unit_test(copies_that_are_moved_and_turned_come_back),
      cmocka_unit_test(no_other_rotation_is_closer),
      cmocka_unit_test(mirror_images_are_not_turned_onto_the_original),
      cmocka_unit_test(rigid_directions_are_orthonormal),
      cmocka_unit_test(aligned_configurations_obey_eckart),
      cmocka_unit_test(projection_twice_is_projection),
      cmocka_unit_test(the_mean_structure_does_not_depend_on_how_frames_lie),
      cmocka_unit_test(a_reference_of_an_alignment_makes_the_same_alignment),
      cmocka_unit_test(structures_without_a_frame_are_refused),
      cmocka_unit_test(configurations_that_several_rotations_fit_are_refused),
      cmocka_unit_test(aligned_coordinates_have_derivatives),
      cmocka_unit_test(volume_is_the_determinant_of_placing_and_turning),
  };
  return cmocka_run_group_tests_name("alignment", tests, NULL, NULL);
}
