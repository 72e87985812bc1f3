#include "boltzmap/sample/dynamics.h"

#include <assert.h>
#include <math.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/model/pack.h"

#define BM_EXPLODED 10.0       /* times the temperature of the thermostat */
#define BM_STRETCH_MOST 1e-3   /* of a constrained bond, relative */
#define BM_FREEDOMS_USUAL 30.0 /* with fewer the kinetic temperature fluctuates more */

struct bm_dynamics {
  const bm_molecule_t *molecule; /* not owned */
  const bm_pack_ops_t *ops;
  bm_pack_t *pack;
  bm_pack_dynamics_t settings;
  bm_range_t range;
  size_t d, groups;
  size_t group_bytes;
  unsigned char *states; /* [groups][group_bytes] */
  uint32_t *walkers;     /* [groups·lanes], numbers; lanes left over repeat the last replica */
  double *kT;            /* [groups·lanes], kJ/mol */
  double *x, *v;         /* [d], scratch */
  uint64_t step;
};

static void *state_of(const bm_dynamics_t *dynamics, size_t group)
{
  return dynamics->states + group * dynamics->group_bytes;
}

/* Velocities of a Maxwell distribution, made to satisfy the constraints by the kernels. */
static void draw_velocities(const bm_dynamics_t *dynamics, uint64_t seed, size_t replica, double *v)
{
  const bm_molecule_t *molecule = dynamics->molecule;
  bm_random_t random = bm_random(seed, BM_PURPOSE_VELOCITY);
  bm_random_normals(random, (uint32_t)replica, 0, 0, dynamics->d, v);
  for (size_t k = 0; k < dynamics->d; k++) {
    v[k] *= sqrt(molecule->kT / molecule->topology->mass[k / 3]);
  }
}

static void fill_states(bm_dynamics_t *dynamics, uint64_t seed)
{
  const size_t lanes = dynamics->ops->lanes;
  for (size_t k = 0; k < dynamics->groups * lanes; k++) {
    size_t i = k < dynamics->range.count ? k : dynamics->range.count - 1;
    size_t replica = dynamics->range.first + i;
    dynamics->walkers[k] = (uint32_t)replica;
    dynamics->kT[k] = dynamics->molecule->kT;
    draw_velocities(dynamics, seed, replica, dynamics->v);
    dynamics->ops->put(dynamics->pack, state_of(dynamics, k / lanes), k % lanes,
                       dynamics->molecule->start, dynamics->v);
  }
  for (size_t g = 0; g < dynamics->groups; g++) {
    dynamics->ops->constrain_velocities(dynamics->pack, state_of(dynamics, g));
  }
}

static bm_status_t allocate(bm_dynamics_t *dynamics)
{
  const bm_molecule_t *molecule = dynamics->molecule;
  const size_t lanes = dynamics->ops->lanes;
  BM_TRY(dynamics->ops->create(molecule->field, molecule->constraints, molecule->start,
                               &dynamics->pack));
  dynamics->d = 3 * molecule->topology->atoms;
  dynamics->groups = (dynamics->range.count + lanes - 1) / lanes;
  dynamics->group_bytes = dynamics->ops->state_bytes(dynamics->pack);
  BM_TRY(bm_alloc(dynamics->groups, dynamics->group_bytes, (void **)&dynamics->states));
  BM_TRY(BM_ALLOC(dynamics->groups * lanes, &dynamics->walkers));
  BM_TRY(BM_ALLOC(dynamics->groups * lanes, &dynamics->kT));
  BM_TRY(BM_ALLOC(dynamics->d, &dynamics->x));
  return BM_ALLOC(dynamics->d, &dynamics->v);
}

bm_status_t bm_dynamics_create(const bm_molecule_t *molecule,
                               const bm_dynamics_settings_t *settings, uint64_t seed,
                               bm_range_t range, bm_dynamics_t **out)
{
  BM_TRY(BM_ALLOC(1, out));
  bm_dynamics_t *dynamics = *out;
  dynamics->molecule = molecule;
  dynamics->ops = bm_pack_find(settings->precision);
  assert(dynamics->ops != NULL);
  dynamics->settings = (bm_pack_dynamics_t){settings->timestep, settings->friction,
                                            bm_random(seed, BM_PURPOSE_SAMPLER_MOVE)};
  dynamics->range = range;
  bm_status_t status = allocate(dynamics);
  if (status != BM_OK) {
    bm_dynamics_destroy(out);
    return status;
  }
  fill_states(dynamics, seed);
  return BM_OK;
}

void bm_dynamics_destroy(bm_dynamics_t **dynamics)
{
  bm_dynamics_t *own = *dynamics;
  if (own != NULL) {
    own->ops->destroy(&own->pack);
    bm_free(own->states);
    bm_free(own->walkers);
    bm_free(own->kT);
    bm_free(own->x);
    bm_free(own->v);
  }
  bm_free(own);
  *dynamics = NULL;
}

void bm_dynamics_run(bm_dynamics_t *dynamics, size_t steps)
{
  const size_t lanes = dynamics->ops->lanes;
  for (size_t g = 0; g < dynamics->groups; g++) {
    dynamics->ops->run(dynamics->pack, state_of(dynamics, g), &dynamics->settings,
                       dynamics->walkers + g * lanes, dynamics->kT + g * lanes, dynamics->step,
                       steps);
  }
  dynamics->step += steps;
}

uint64_t bm_dynamics_step(const bm_dynamics_t *dynamics)
{
  return dynamics->step;
}

void bm_dynamics_set_step(bm_dynamics_t *dynamics, uint64_t step)
{
  dynamics->step = step;
}

void bm_dynamics_get(const bm_dynamics_t *dynamics, size_t i, double *x /* [d] */,
                     double *v /* [d] */)
{
  const size_t lanes = dynamics->ops->lanes;
  dynamics->ops->get(dynamics->pack, state_of(dynamics, i / lanes), i % lanes, x, v);
}

/* The lanes left over follow the last replica, whose neighbours they must not outlive as a NaN. */
void bm_dynamics_put(bm_dynamics_t *dynamics, size_t i, const double *x, const double *v)
{
  const size_t lanes = dynamics->ops->lanes;
  const size_t end = i + 1 == dynamics->range.count ? dynamics->groups * lanes : i + 1;
  for (size_t k = i; k < end; k++) {
    dynamics->ops->put(dynamics->pack, state_of(dynamics, k / lanes), k % lanes, x, v);
  }
}

double bm_dynamics_kT(const bm_dynamics_t *dynamics, size_t i)
{
  return dynamics->kT[i];
}

void bm_dynamics_set_kT(bm_dynamics_t *dynamics, size_t i, double kT)
{
  const size_t lanes = dynamics->ops->lanes;
  const size_t end = i + 1 == dynamics->range.count ? dynamics->groups * lanes : i + 1;
  for (size_t k = i; k < end; k++) {
    dynamics->kT[k] = kT;
  }
}

double bm_dynamics_temperature(bm_dynamics_t *dynamics, size_t i)
{
  const bm_molecule_t *molecule = dynamics->molecule;
  double twice = 0.0;
  bm_dynamics_get(dynamics, i, dynamics->x, dynamics->v);
  for (size_t k = 0; k < dynamics->d; k++) {
    twice += molecule->topology->mass[k / 3] * dynamics->v[k] * dynamics->v[k];
  }
  return twice / ((double)bm_molecule_freedoms(molecule) * BM_GAS_CONSTANT);
}

/* Do the constraints hold in the scratch positions? Too long a step leaves them without a solution. */
static int bonds_hold(const bm_dynamics_t *dynamics)
{
  const bm_constraints_t *constraints = dynamics->molecule->constraints;
  for (size_t c = 0; constraints != NULL && c < constraints->count; c++) {
    const bm_cluster_t *cluster = &constraints->clusters[c];
    for (size_t h = 0; h < cluster->count; h++) {
      double square = 0.0;
      for (size_t a = 0; a < 3; a++) {
        double delta =
            dynamics->x[3 * cluster->hydrogen[h] + a] - dynamics->x[3 * cluster->centre + a];
        square += delta * delta;
      }
      if (!(fabs(sqrt(square) / cluster->length[h] - 1.0) < BM_STRETCH_MOST)) {
        return 0;
      }
    }
  }
  return 1;
}

bm_status_t bm_dynamics_check(bm_dynamics_t *dynamics)
{
  for (size_t i = 0; i < dynamics->range.count; i++) {
    double temperature = bm_dynamics_temperature(dynamics, i);
    int finite = isfinite(temperature);
    for (size_t k = 0; finite && k < dynamics->d; k++) {
      finite = isfinite(dynamics->x[k]);
    }
    double few = BM_FREEDOMS_USUAL / (double)bm_molecule_freedoms(dynamics->molecule);
    double most = BM_EXPLODED * fmax(1.0, few) * dynamics->kT[i] / BM_GAS_CONSTANT;
    if (!finite || temperature > most || !bonds_hold(dynamics)) {
      return BM_FAIL(BM_ERR_DATA,
                     "replica %zu has exploded by step %llu (kinetic temperature %.3g K): the time "
                     "step of %g fs is too long, or the start is far from equilibrium",
                     dynamics->range.first + i, (unsigned long long)dynamics->step, temperature,
                     1000.0 * dynamics->settings.timestep);
    }
  }
  return BM_OK;
}
