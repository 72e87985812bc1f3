#include "boltzmap/sample/pilot.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/partition.h"
#include "boltzmap/sample/diagnostics.h"
#include "boltzmap/sample/quantities.h"

struct bm_pilot {
  const bm_context_t *context;     /* not owned */
  const bm_potential_t *potential; /* not owned */
  size_t walkers, draws, quantities, recorded;
  bm_range_t own;        /* walkers of this rank */
  double *record;        /* [quantities][own.count][draws] */
  double *values;        /* [quantities][own.count], of one draw */
  double *observables;   /* [observable_count][own.count], scratch */
  double *chains;        /* [walkers][draws], the quantity this rank judges */
  int *counts, *offsets; /* [size], doubles from each rank */
  double *verdicts;      /* [quantities][2]: autocorrelation, R-hat */
};

static size_t observable_count(const bm_pilot_t *pilot)
{
  return bm_potential_traits(pilot->potential)->observable_count;
}

static bm_status_t allocate(bm_pilot_t *pilot)
{
  size_t ranks = (size_t)pilot->context->size;
  BM_TRY(BM_ALLOC(pilot->quantities * pilot->own.count * pilot->draws, &pilot->record));
  BM_TRY(BM_ALLOC(pilot->quantities * pilot->own.count, &pilot->values));
  BM_TRY(BM_ALLOC(observable_count(pilot) * pilot->own.count, &pilot->observables));
  BM_TRY(BM_ALLOC(pilot->walkers * pilot->draws, &pilot->chains));
  BM_TRY(BM_ALLOC(pilot->quantities * 2, &pilot->verdicts));
  BM_TRY(BM_ALLOC(ranks, &pilot->counts));
  return BM_ALLOC(ranks, &pilot->offsets);
}

bm_status_t bm_pilot_create(const bm_context_t *context, size_t walkers, size_t draws,
                            const bm_potential_t *potential, bm_pilot_t **out)
{
  BM_TRY(BM_ALLOC(1, out));
  bm_pilot_t *pilot = *out;
  pilot->context = context;
  pilot->potential = potential;
  pilot->walkers = walkers;
  pilot->draws = draws;
  pilot->quantities = bm_quantities_count(potential);
  pilot->own = bm_partition(walkers, context->size, context->rank);
  bm_status_t status = allocate(pilot);
  if (status != BM_OK) {
    bm_pilot_destroy(out);
    return status;
  }
  for (int rank = 0; rank < context->size; rank++) {
    bm_range_t range = bm_partition(walkers, context->size, rank);
    pilot->counts[rank] = (int)(range.count * draws);
    pilot->offsets[rank] = (int)(range.first * draws);
  }
  return BM_OK;
}

void bm_pilot_destroy(bm_pilot_t **pilot)
{
  if (*pilot != NULL) {
    bm_free((*pilot)->offsets);
    bm_free((*pilot)->counts);
    bm_free((*pilot)->verdicts);
    bm_free((*pilot)->chains);
    bm_free((*pilot)->observables);
    bm_free((*pilot)->values);
    bm_free((*pilot)->record);
  }
  bm_free(*pilot);
  *pilot = NULL;
}

void bm_pilot_clear(bm_pilot_t *pilot)
{
  pilot->recorded = 0;
}

void bm_pilot_record(bm_pilot_t *pilot, const bm_walkers_t *walkers)
{
  const size_t count = pilot->own.count;
  assert(walkers->count == count && pilot->recorded < pilot->draws);
  bm_quantities(pilot->potential, count, walkers->x, walkers->energy, pilot->values,
                pilot->observables);
  for (size_t q = 0; q < pilot->quantities; q++) {
    double *chain = pilot->record + q * count * pilot->draws + pilot->recorded;
    for (size_t i = 0; i < count; i++, chain += pilot->draws) {
      *chain = pilot->values[q * count + i];
    }
  }
  pilot->recorded++;
}

static int is_constant(size_t count, const double *values)
{
  for (size_t i = 1; i < count; i++) {
    if (values[i] != values[0]) {
      return 0;
    }
  }
  return 1;
}

/* The verdict on the quantity whose chains this rank holds. One that is never different is no
 * reason to go on; one that is not finite has no autocorrelation yet. */
static bm_status_t judge_chains(const bm_pilot_t *pilot, double verdict[2])
{
  if (is_constant(pilot->walkers * pilot->draws, pilot->chains) && isfinite(pilot->chains[0])) {
    verdict[0] = 1.0;
    verdict[1] = 1.0;
    return BM_OK;
  }
  BM_TRY(bm_autocorrelation_time(pilot->walkers, pilot->draws, pilot->chains, &verdict[0]));
  BM_TRY(bm_rhat(pilot->walkers, pilot->draws, pilot->chains, &verdict[1]));
  for (int k = 0; k < 2; k++) {
    verdict[k] = isfinite(verdict[k]) ? verdict[k] : INFINITY;
  }
  return BM_OK;
}

/* Chains of the quantities from `first` on go each to a rank of its own, which judges them. */
static bm_status_t judge_round(bm_pilot_t *pilot, size_t first)
{
  const bm_context_t *context = pilot->context;
  const size_t items = pilot->own.count * pilot->draws;
  bm_status_t status = BM_OK;
  for (int rank = 0; rank < context->size && first + (size_t)rank < pilot->quantities; rank++) {
    const double *own = pilot->record + (first + (size_t)rank) * items;
    BM_TRY_MPI(MPI_Gatherv(own, (int)items, MPI_DOUBLE, pilot->chains, pilot->counts,
                           pilot->offsets, MPI_DOUBLE, rank, context->comm));
  }
  size_t mine = first + (size_t)context->rank;
  if (mine < pilot->quantities) {
    status = judge_chains(pilot, pilot->verdicts + 2 * mine);
  }
  return bm_agree(context, status);
}

/* The quantity with the largest verdict of kind `which`. */
static size_t largest(const bm_pilot_t *pilot, size_t which)
{
  size_t best = 0;
  for (size_t q = 1; q < pilot->quantities; q++) {
    if (pilot->verdicts[2 * q + which] > pilot->verdicts[2 * best + which]) {
      best = q;
    }
  }
  return best;
}

bm_status_t bm_pilot_judge(bm_pilot_t *pilot, bm_pilot_verdict_t *verdict)
{
  const bm_context_t *context = pilot->context;
  assert(pilot->recorded == pilot->draws);
  /* Each pair of numbers is zero on all ranks but one, so that their sum is exact. */
  memset(pilot->verdicts, 0, 2 * pilot->quantities * sizeof *pilot->verdicts);
  for (size_t first = 0; first < pilot->quantities; first += (size_t)context->size) {
    BM_TRY(judge_round(pilot, first));
  }
  BM_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, pilot->verdicts, (int)(2 * pilot->quantities), MPI_DOUBLE,
                           MPI_SUM, context->comm));
  size_t slow = largest(pilot, 0);
  size_t apart = largest(pilot, 1);
  verdict->autocorrelation = pilot->verdicts[2 * slow];
  verdict->rhat = pilot->verdicts[2 * apart + 1];
  bm_quantities_name(pilot->potential, verdict->rhat < BM_RHAT_CONVERGED ? slow : apart,
                     verdict->slowest, sizeof verdict->slowest);
  return BM_OK;
}
