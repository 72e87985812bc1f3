/* Two particles in the plane, each in a double well, repelling each other (paper eq. 15 and 16):
 *   U = (x1² - 1)² + x2² + (y1² - 1)² + y2² + coupling/sqrt(r² + softening²)
 * with rows (x1, x2, y1, y2). A softening of 0 is the singular potential, +inf at r = 0. */

#include <math.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/model/potential.h"

#define BM_D 4
#define BM_SOFTENING_LEAST 1e-100 /* smaller ones, squared and cubed, leave the range of doubles */
#define BM_COLLISION 1e-240       /* r² + softening² below this: r = 0 */
#define BM_WHEN "system.kind=coulomb-double-well"

typedef struct {
  double coupling;
  double softening2; /* squared */
} parameters_t;

static const bm_deck_key_t keys[] = {
    {"system.coupling", BM_DECK_REAL, "0.7", 0, 1e12, NULL, BM_WHEN,
     "strength lambda of the Coulomb repulsion"},
    {"system.softening", BM_DECK_REAL, "1e-8", 0, 1e12, NULL, BM_WHEN,
     "length epsilon of the soft core; 0 = singular"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

static const bm_observable_name_t observables[] = {{"r", "1", 0.0}};

/* The mean of x1 is 0 by symmetry, so that its variance is the mean square. */
static const bm_observable_name_t averages[] = {{"mean_r", "1", 0.0},
                                                {"prob_r_below_0.8", "1", 0.0},
                                                {"prob_same_well", "1", 0.0},
                                                {"var_x1", "1", 0.0}};

static bm_status_t create(const bm_deck_case_t *deck_case, void **self, bm_traits_t *traits)
{
  double softening = bm_deck_real(deck_case, "system.softening");
  if (softening > 0.0 && softening < BM_SOFTENING_LEAST) {
    return bm_deck_fail(deck_case, "system.softening", "must be 0 or at least %g",
                        BM_SOFTENING_LEAST);
  }
  parameters_t *own;
  BM_TRY(BM_ALLOC(1, &own));
  *own = (parameters_t){bm_deck_real(deck_case, "system.coupling"), softening * softening};
  *self = own;
  static const size_t pair[1][2] = {{0, 1}};
  *traits = (bm_traits_t){.layout = {2, 2, "1", "1"},
                          .pairs = pair,
                          .pair_count = 1,
                          .symmetry_count = 8,
                          .observables = observables,
                          .observable_count = 1,
                          .averages = averages,
                          .average_count = sizeof averages / sizeof averages[0]};
  return BM_OK;
}

static void destroy(void **self)
{
  bm_free(*self);
  *self = NULL;
}

/* One particle in its well. */
static double well(const double *x /* [2] */, double *gradient /* [2] or NULL */)
{
  double height = x[0] * x[0] - 1.0;
  if (gradient != NULL) {
    gradient[0] = 4.0 * x[0] * height;
    gradient[1] = 2.0 * x[1];
  }
  return height * height + x[1] * x[1];
}

/* The pair term; its gradient is added. */
static double pair(const parameters_t *own, const double *x /* [4] */, double *gradient)
{
  double along = x[0] - x[2];
  double across = x[1] - x[3];
  double soft2 = along * along + across * across + own->softening2;
  if (!(own->coupling > 0.0)) {
    return 0.0;
  }
  if (soft2 < BM_COLLISION) {
    return INFINITY;
  }
  double soft = sqrt(soft2);
  if (gradient != NULL) {
    /* Quotients in this order stay in range down to the collision. */
    double slope = own->coupling / soft2;
    double pull_along = slope * (along / soft);
    double pull_across = slope * (across / soft);
    gradient[0] -= pull_along;
    gradient[1] -= pull_across;
    gradient[2] += pull_along;
    gradient[3] += pull_across;
  }
  return own->coupling / soft;
}

static void energy(const void *self, size_t n, const double *x /* [n][4] */, double *value,
                   double *gradient /* [n][4] */)
{
  for (size_t i = 0; i < n; i++) {
    const double *xi = x + i * BM_D;
    double *gi = gradient != NULL ? gradient + i * BM_D : NULL;
    value[i] = well(xi, gi) + well(xi + 2, gi != NULL ? gi + 2 : NULL);
    value[i] += pair(self, xi, gi);
  }
}

/* Each particle in a well drawn at random, so that half of the walkers start with both in one. */
static void start(const void *self, bm_random_t random, uint32_t stream, double *x /* [4] */)
{
  (void)self;
  double side[2];
  bm_random_normals(random, stream, 0, 0, BM_D, x);
  bm_random_uniform2(random, stream, 1, 0, side);
  for (size_t particle = 0; particle < 2; particle++) {
    double *own = x + 2 * particle;
    own[0] = (side[particle] < 0.5 ? -1.0 : 1.0) + 0.2 * own[0];
    own[1] *= 0.5;
  }
}

/* The distance itself, not softened. */
static void observe(const void *self, size_t n, const double *x /* [n][4] */, double *values)
{
  (void)self;
  for (size_t i = 0; i < n; i++) {
    const double *xi = x + i * BM_D;
    values[i] = hypot(xi[0] - xi[2], xi[1] - xi[3]);
  }
}

static void average(const void *self, size_t n, const double *x /* [n][4] */, double *values)
{
  observe(self, n, x, values);
  for (size_t i = 0; i < n; i++) {
    const double *xi = x + i * BM_D;
    values[n + i] = values[i] < 0.8 ? 1.0 : 0.0;
    values[2 * n + i] = xi[0] * xi[2] > 0.0 ? 1.0 : 0.0;
    values[3 * n + i] = xi[0] * xi[0];
  }
}

static void exchange(double *x /* [4] */)
{
  for (size_t i = 0; i < 2; i++) {
    double first = x[i];
    x[i] = x[i + 2];
    x[i + 2] = first;
  }
}

/* Jumps between the four pairs of wells. Local moves hardly ever take a particle over the barrier
 * of height 1 at beta = 5, so:
 *   0, 1  one particle to the other well at the same height: apart <-> both in one well. From the
 *         rare shared well it nearly always succeeds, into it seldom: this sets P(same well);
 *   2     both to the other well: (left, right) <-> (right, left) and one shared well <-> the
 *         other, a symmetry of U and always accepted, which by 0 and 1 alone would have to pass
 *         through the rare shared states;
 *   3     the particles change places, also a symmetry: in a shared well the one above and the one
 *         below can hardly pass each other. */
static void involution(const void *self, size_t k, double *x /* [4] */)
{
  (void)self;
  if (k == 3) {
    exchange(x);
    return;
  }
  if (k != 1) {
    x[0] = -x[0];
  }
  if (k != 0) {
    x[2] = -x[2];
  }
}

/* Bits of an element: both particles mirrored along the first axis, along the second, and exchanged. */
static void symmetry(const void *self, size_t element, double *x /* [4] */)
{
  (void)self;
  for (size_t axis = 0; axis < 2; axis++) {
    if ((element >> axis & 1u) != 0) {
      x[axis] = -x[axis];
      x[axis + 2] = -x[axis + 2];
    }
  }
  if ((element >> 2 & 1u) != 0) {
    exchange(x);
  }
}

const bm_potential_ops_t bm_potential_coulomb_double_well = {
    .name = "coulomb-double-well",
    .description = "two particles in 2-D double wells with (softened) Coulomb repulsion",
    .keys = keys,
    .create = create,
    .destroy = destroy,
    .energy = energy,
    .start = start,
    .observe = observe,
    .average = average,
    .involution_count = 4,
    .involution = involution,
    .symmetry = symmetry,
};
