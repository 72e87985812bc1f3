#include "boltzmap/sample/molecular.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/model/molecule.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/partition.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/sample/diagnostics.h"
#include "boltzmap/sample/dynamics.h"

#define BM_DYNAMICS_BETWEEN_POLLS 128 /* steps, for stop requests and the time of checkpoints */
#define BM_NS 1e-3                    /* of a ps */

/* Where a replica has been last, of the two ends of its ladder. */
enum { NEVER, LOWEST, HIGHEST };

/* All ladders, the same on every rank. Replicas are counted walker by walker. */
typedef struct {
  size_t rungs;           /* temperatures of a ladder */
  double *kT;             /* [rungs], kJ/mol */
  size_t *rung;           /* [replicas], of each replica */
  size_t *replica;        /* [replicas], walker·rungs + rung -> replica */
  int *been;              /* [replicas] */
  int64_t *tried, *taken; /* [rungs - 1], exchanges of neighbours */
  int64_t round_trips;
} ladder_t;

typedef struct {
  const bm_sampler_request_t *request;
  const bm_molecule_t *molecule;
  bm_dynamics_t *dynamics;
  bm_range_t own; /* replicas of this rank */
  size_t replicas, frames, d;
  size_t done;    /* frames and burn-in frames so far */
  size_t burn_in; /* burn-in frames */
  ladder_t ladder;
  double *energy; /* [replicas], U */
  double *places; /* [own.count][d], positions whose energies are asked for */
  double *frame;  /* [walkers][d + 1], positions and kinetic temperature */
  double *x, *v;  /* [d], scratch */
  double *heat;   /* [walkers], sums of kinetic temperatures; zero for walkers not seen here */
  double kept_at; /* clock of the last checkpoint */
  double started;
} run_t;

static size_t walkers_of(const run_t *run)
{
  return run->request->settings->walkers;
}

static bm_status_t create_ladder(run_t *run)
{
  const bm_sampler_settings_t *settings = run->request->settings;
  ladder_t *ladder = &run->ladder;
  const size_t rungs = settings->temperatures;
  const double lowest = run->molecule->kT;
  ladder->rungs = rungs;
  BM_TRY(BM_ALLOC(rungs, &ladder->kT));
  BM_TRY(BM_ALLOC(run->replicas, &ladder->rung));
  BM_TRY(BM_ALLOC(run->replicas, &ladder->replica));
  BM_TRY(BM_ALLOC(run->replicas, &ladder->been));
  BM_TRY(BM_ALLOC(rungs, &ladder->tried));
  BM_TRY(BM_ALLOC(rungs, &ladder->taken));
  for (size_t k = 0; k < rungs; k++) {
    double highest = BM_GAS_CONSTANT * settings->temperature_max_K;
    ladder->kT[k] =
        k == 0 ? lowest : lowest * pow(highest / lowest, (double)k / (double)(rungs - 1));
  }
  for (size_t r = 0; r < run->replicas; r++) {
    ladder->rung[r] = r % rungs;
    ladder->replica[r] = r;
  }
  return BM_OK;
}

static void destroy_ladder(ladder_t *ladder)
{
  bm_free(ladder->kT);
  bm_free(ladder->rung);
  bm_free(ladder->replica);
  bm_free(ladder->been);
  bm_free(ladder->tried);
  bm_free(ladder->taken);
}

/* Note ends of ladders that replicas have come to. */
static void count_trips(ladder_t *ladder, size_t replicas)
{
  for (size_t r = 0; r < replicas; r++) {
    if (ladder->rung[r] == 0) {
      ladder->round_trips += ladder->been[r] == HIGHEST;
      ladder->been[r] = LOWEST;
    } else if (ladder->rung[r] == ladder->rungs - 1 && ladder->been[r] == LOWEST) {
      ladder->been[r] = HIGHEST;
    }
  }
}

/* Try to exchange rungs k and k + 1 of a walker. */
static void try_exchange(run_t *run, bm_random_t random, size_t walker, size_t k)
{
  ladder_t *ladder = &run->ladder;
  const size_t place = walker * ladder->rungs + k;
  const size_t low = ladder->replica[place];
  const size_t high = ladder->replica[place + 1];
  double uniform[2];
  double log_ratio =
      (1.0 / ladder->kT[k] - 1.0 / ladder->kT[k + 1]) * (run->energy[low] - run->energy[high]);
  bm_random_uniform2(random, (uint32_t)place, bm_dynamics_step(run->dynamics), 0, uniform);
  ladder->tried[k]++;
  if (log(uniform[0]) < log_ratio) {
    ladder->taken[k]++;
    ladder->replica[place] = high;
    ladder->replica[place + 1] = low;
    ladder->rung[high] = k;
    ladder->rung[low] = k + 1;
  }
}

/* Bring the thermostats of this rank's replicas to their rungs, velocities scaled. */
static void set_temperatures(run_t *run, int scale)
{
  for (size_t i = 0; i < run->own.count; i++) {
    double kT = run->ladder.kT[run->ladder.rung[run->own.first + i]];
    double before = bm_dynamics_kT(run->dynamics, i);
    if (kT == before) {
      continue;
    }
    bm_dynamics_set_kT(run->dynamics, i, kT);
    bm_dynamics_get(run->dynamics, i, run->x, run->v);
    for (size_t k = 0; scale && k < run->d; k++) {
      run->v[k] *= sqrt(kT / before);
    }
    bm_dynamics_put(run->dynamics, i, run->x, run->v);
  }
}

static bm_status_t exchange(run_t *run)
{
  const size_t rungs = run->ladder.rungs;
  bm_random_t random = bm_random(run->request->seed, BM_PURPOSE_EXCHANGE);
  memset(run->energy, 0, run->replicas * sizeof *run->energy);
  for (size_t i = 0; i < run->own.count; i++) {
    bm_dynamics_get(run->dynamics, i, run->places + i * run->d, run->v);
  }
  bm_potential_energy(run->request->potential, run->own.count, run->places,
                      run->energy + run->own.first, NULL);
  BM_TRY(bm_join(run->request->context, run->replicas, run->energy));
  for (size_t walker = 0; walker < walkers_of(run); walker++) {
    for (size_t k = run->done % 2; k + 1 < rungs; k += 2) {
      try_exchange(run, random, walker, k);
    }
  }
  count_trips(&run->ladder, run->replicas);
  set_temperatures(run, 1);
  return BM_OK;
}

/* All walkers' replicas at the system's temperature into run->frame: on every rank where ladders may lie
 * on several, else those of this rank. */
static bm_status_t collect(run_t *run)
{
  const size_t width = run->d + 1;
  const size_t rungs = run->ladder.rungs;
  memset(run->frame, 0, walkers_of(run) * width * sizeof *run->frame);
  for (size_t i = 0; i < run->own.count; i++) {
    size_t replica = run->own.first + i;
    if (run->ladder.rung[replica] == 0) {
      double *own = run->frame + replica / rungs * width;
      bm_dynamics_get(run->dynamics, i, own, run->v);
      own[run->d] = bm_dynamics_temperature(run->dynamics, i);
    }
  }
  return rungs > 1 ? bm_join(run->request->context, walkers_of(run) * width, run->frame) : BM_OK;
}

static bm_status_t keep_frame(run_t *run, bm_samples_t *samples)
{
  const size_t frame = run->done - run->burn_in;
  BM_TRY(collect(run));
  for (size_t w = 0; w < walkers_of(run); w++) {
    const double *own = run->frame + w * (run->d + 1);
    size_t row = w * run->frames + frame;
    if (row >= samples->rows.first && row - samples->rows.first < samples->rows.count) {
      memcpy(samples->x + (row - samples->rows.first) * run->d, own, run->d * sizeof *samples->x);
    }
    run->heat[w] += own[run->d];
  }
  return BM_OK;
}

/* Where all ranks are, put together: the same on any number of them. Ladders are whole on every rank. */
typedef struct {
  double *phases; /* [replicas][2·d], x and v */
  double *heat;   /* [walkers] */
  double *rows;   /* [samples][d] */
} snapshot_t;

static bm_status_t fill_snapshot(run_t *run, const bm_samples_t *samples, snapshot_t *snapshot)
{
  const bm_context_t *context = run->request->context;
  BM_TRY_AGREE(context, BM_ALLOC(run->replicas * 2 * run->d, &snapshot->phases));
  BM_TRY_AGREE(context, BM_ALLOC(walkers_of(run), &snapshot->heat));
  memcpy(snapshot->heat, run->heat, walkers_of(run) * sizeof *run->heat);
  for (size_t i = 0; i < run->own.count; i++) {
    double *phase = snapshot->phases + (run->own.first + i) * 2 * run->d;
    bm_dynamics_get(run->dynamics, i, phase, phase + run->d);
  }
  BM_TRY(bm_join(context, run->replicas * 2 * run->d, snapshot->phases));
  BM_TRY(bm_join(context, walkers_of(run), snapshot->heat));
  return bm_samples_replicate(context, samples, &snapshot->rows);
}

static bm_status_t put_ladder(const run_t *run, bm_state_t *state)
{
  const ladder_t *ladder = &run->ladder;
  int64_t *numbers;
  const size_t count = 2 * run->replicas + 2 * ladder->rungs + 1;
  BM_TRY(BM_ALLOC(count, &numbers));
  int64_t *next = numbers;
  for (size_t r = 0; r < run->replicas; r++) {
    *next++ = (int64_t)ladder->rung[r];
    *next++ = ladder->been[r];
  }
  for (size_t k = 0; k < ladder->rungs; k++) {
    *next++ = ladder->tried[k];
    *next++ = ladder->taken[k];
  }
  *next = ladder->round_trips;
  bm_status_t status = bm_state_put_ints(state, "sampler/ladder", count, numbers);
  bm_free(numbers);
  return status;
}

static bm_status_t get_ladder(run_t *run, const bm_state_t *state)
{
  ladder_t *ladder = &run->ladder;
  int64_t *numbers;
  const size_t count = 2 * run->replicas + 2 * ladder->rungs + 1;
  BM_TRY(BM_ALLOC(count, &numbers));
  bm_status_t status = bm_state_get_ints(state, "sampler/ladder", count, numbers);
  const int64_t *next = numbers;
  for (size_t r = 0; status == BM_OK && r < run->replicas; r++) {
    if (*next < 0 || *next >= (int64_t)ladder->rungs) {
      status = BM_FAIL(BM_ERR_DATA, "a checkpoint with a rung that the ladder has not");
      break;
    }
    ladder->rung[r] = (size_t)*next++;
    ladder->been[r] = (int)*next++;
    ladder->replica[r / ladder->rungs * ladder->rungs + ladder->rung[r]] = r;
  }
  for (size_t k = 0; status == BM_OK && k < ladder->rungs; k++) {
    ladder->tried[k] = *next++;
    ladder->taken[k] = *next++;
  }
  ladder->round_trips = status == BM_OK ? *next : 0;
  bm_free(numbers);
  return status;
}

static bm_status_t put_state(const run_t *run, const snapshot_t *snapshot, size_t rows,
                             bm_state_t *state)
{
  int64_t place[2] = {(int64_t)bm_dynamics_step(run->dynamics), (int64_t)run->done};
  BM_TRY(bm_state_put_ints(state, "sampler/place", 2, place));
  BM_TRY(put_ladder(run, state));
  BM_TRY(
      bm_state_put_doubles(state, "sampler/phases", run->replicas * 2 * run->d, snapshot->phases));
  BM_TRY(bm_state_put_doubles(state, "sampler/temperatures", walkers_of(run), snapshot->heat));
  return bm_state_put_doubles(state, "sampler/rows", rows * run->d, snapshot->rows);
}

static bm_status_t keep_snapshot(run_t *run, const snapshot_t *snapshot, size_t rows)
{
  const bm_sampler_request_t *request = run->request;
  bm_state_t *state;
  BM_TRY(bm_keeper_begin(request->context, &state));
  bm_status_t status = state != NULL ? put_state(run, snapshot, rows, state) : BM_OK;
  return bm_keeper_end(request->context, request->keeper, (int64_t)bm_dynamics_step(run->dynamics),
                       status, &state);
}

static bm_status_t save(run_t *run, const bm_samples_t *samples)
{
  snapshot_t snapshot = {NULL, NULL, NULL};
  bm_status_t status = fill_snapshot(run, samples, &snapshot);
  if (status == BM_OK) {
    status = keep_snapshot(run, &snapshot, samples->n);
  }
  bm_free(snapshot.phases);
  bm_free(snapshot.heat);
  bm_free(snapshot.rows);
  run->kept_at = bm_log_clock();
  return status;
}

/* Sums of walkers that this rank does not see stay zero. */
static void take_heat(run_t *run, const double *heat /* [walkers] */)
{
  for (size_t w = 0; w < walkers_of(run); w++) {
    int seen =
        run->ladder.rungs > 1 || (w >= run->own.first && w - run->own.first < run->own.count);
    run->heat[w] = seen ? heat[w] : 0.0;
  }
}

static void take_phases(run_t *run, const double *phases /* [replicas][2·d] */)
{
  for (size_t i = 0; i < run->own.count; i++) {
    const double *phase = phases + (run->own.first + i) * 2 * run->d;
    bm_dynamics_put(run->dynamics, i, phase, phase + run->d);
  }
  set_temperatures(run, 0);
}

static bm_status_t take_state(run_t *run, const bm_state_t *state, bm_samples_t *samples)
{
  const size_t phases = run->replicas * 2 * run->d;
  const size_t rows = samples->n * run->d;
  int64_t place[2];
  double *room;
  BM_TRY(bm_state_get_ints(state, "sampler/place", 2, place));
  if (place[0] < 0 || place[1] < 0 || (size_t)place[1] > run->burn_in + run->frames) {
    return BM_FAIL(BM_ERR_DATA, "a checkpoint of more frames than are asked for");
  }
  BM_TRY(get_ladder(run, state));
  BM_TRY(BM_ALLOC(phases + walkers_of(run) + rows, &room));
  double *heat = room + phases;
  double *all = heat + walkers_of(run);
  bm_status_t status = bm_state_get_doubles(state, "sampler/phases", phases, room);
  if (status == BM_OK) {
    status = bm_state_get_doubles(state, "sampler/temperatures", walkers_of(run), heat);
  }
  if (status == BM_OK) {
    status = bm_state_get_doubles(state, "sampler/rows", rows, all);
  }
  if (status == BM_OK) {
    bm_dynamics_set_step(run->dynamics, (uint64_t)place[0]);
    run->done = (size_t)place[1];
    take_phases(run, room);
    take_heat(run, heat);
    memcpy(samples->x, all + samples->rows.first * run->d,
           samples->rows.count * run->d * sizeof *samples->x);
  }
  bm_free(room);
  return status;
}

static bm_status_t go_on(run_t *run, bm_samples_t *samples)
{
  const bm_sampler_request_t *request = run->request;
  bm_state_t *state = NULL;
  if (request->keeper == NULL) {
    return BM_OK;
  }
  BM_TRY(request->keeper->load(request->keeper->self, &state));
  bm_status_t status = BM_OK;
  if (state != NULL) {
    status = bm_agree(request->context, take_state(run, state, samples));
  }
  bm_state_destroy(&state);
  return status;
}

static double simulated_ns(const run_t *run)
{
  const bm_sampler_settings_t *settings = run->request->settings;
  return BM_NS * settings->timestep * (double)settings->thinning * (double)run->done *
         (double)run->replicas;
}

/* Stop requests and checkpoints; progress. */
static bm_status_t poll(run_t *run, const bm_samples_t *samples, double first_ns)
{
  const bm_sampler_request_t *request = run->request;
  const double now = bm_log_clock();
  const double ns = simulated_ns(run);
  bm_log_progress(request->log, ns, "%.3g ns/day",
                  (ns - first_ns) / (now - run->started) * 86400.0);
  bm_status_t stop = bm_stop_check(request->context);
  int due = request->keeper != NULL &&
            (stop == BM_STOPPED || now - run->kept_at > request->keeper->every_s);
  if (bm_agree_any(request->context, due)) {
    BM_TRY(save(run, samples));
  }
  return stop;
}

/* Rates are those after the burn-in. */
static void reset_counts(ladder_t *ladder)
{
  memset(ladder->tried, 0, ladder->rungs * sizeof *ladder->tried);
  memset(ladder->taken, 0, ladder->rungs * sizeof *ladder->taken);
  ladder->round_trips = 0;
}

/* Steps of the frame under way: a run may have been left within it. */
static size_t steps_into_frame(const run_t *run, size_t stride)
{
  return (size_t)bm_dynamics_step(run->dynamics) - run->done * stride;
}

/* To the end of the frame under way, with looks at stop requests in long ones. */
static bm_status_t run_frame(run_t *run, size_t stride, const bm_samples_t *samples,
                             double first_ns)
{
  size_t left = stride - steps_into_frame(run, stride);
  while (left > BM_DYNAMICS_BETWEEN_POLLS) {
    bm_dynamics_run(run->dynamics, BM_DYNAMICS_BETWEEN_POLLS);
    left -= BM_DYNAMICS_BETWEEN_POLLS;
    BM_TRY(poll(run, samples, first_ns));
  }
  bm_dynamics_run(run->dynamics, left);
  return BM_OK;
}

static bm_status_t make_frames(run_t *run, bm_samples_t *samples)
{
  const size_t total = run->burn_in + run->frames;
  const size_t stride = (size_t)run->request->settings->thinning;
  const double first_ns = simulated_ns(run);
  run->started = bm_log_clock();
  run->kept_at = run->started;
  while (run->done < total) {
    BM_TRY(run_frame(run, stride, samples, first_ns));
    BM_TRY_AGREE(run->request->context, bm_dynamics_check(run->dynamics));
    if (run->ladder.rungs > 1) {
      BM_TRY(exchange(run));
    }
    if (run->done >= run->burn_in) {
      BM_TRY(keep_frame(run, samples));
    }
    run->done++;
    if (run->done == run->burn_in) {
      reset_counts(&run->ladder);
    }
    if (run->done % (BM_DYNAMICS_BETWEEN_POLLS / stride + 1) == 0 && run->done < total) {
      BM_TRY(poll(run, samples, first_ns));
    }
  }
  return BM_OK;
}

static bm_status_t fill_report(const run_t *run, bm_sampler_report_t *report)
{
  const bm_sampler_settings_t *settings = run->request->settings;
  const size_t walkers = walkers_of(run);
  double *means;
  BM_TRY_AGREE(run->request->context, BM_ALLOC(walkers, &means));
  memcpy(means, run->heat, walkers * sizeof *means);
  bm_status_t status = bm_join(run->request->context, walkers, means);
  for (size_t w = 0; w < walkers; w++) {
    means[w] /= (double)run->frames;
  }
  *report = (bm_sampler_report_t){.acceptance = NAN,
                                  .jump_acceptance = NAN,
                                  .step_size = settings->timestep,
                                  .burn_in = settings->burn_in,
                                  .thinning = settings->thinning,
                                  .autocorrelation_steps = NAN,
                                  .exchange_acceptance = NAN,
                                  .round_trips = NAN,
                                  .simulated_ns = simulated_ns(run),
                                  .frame_ps = settings->timestep * (double)settings->thinning};
  bm_chain_mean(walkers, 1, means, &report->temperature_K, &report->temperature_error_K);
  if (run->ladder.rungs > 1) {
    report->exchange_acceptance = 1.0;
    report->round_trips = (double)run->ladder.round_trips;
    for (size_t k = 0; k + 1 < run->ladder.rungs; k++) {
      report->exchange_acceptance = fmin(
          report->exchange_acceptance, (double)run->ladder.taken[k] / (double)run->ladder.tried[k]);
    }
  }
  bm_free(means);
  return status;
}

static bm_status_t create_parts(run_t *run, bm_samples_t **samples)
{
  const bm_sampler_request_t *request = run->request;
  const bm_sampler_settings_t *settings = request->settings;
  const bm_dynamics_settings_t dynamics = {settings->precision, settings->timestep,
                                           settings->friction};
  const size_t walkers = settings->walkers;
  BM_TRY(create_ladder(run));
  BM_TRY(bm_dynamics_create(run->molecule, &dynamics, request->seed, run->own, &run->dynamics));
  BM_TRY(BM_ALLOC(run->replicas, &run->energy));
  BM_TRY(BM_ALLOC(run->own.count * run->d, &run->places));
  BM_TRY(BM_ALLOC(walkers * (run->d + 1), &run->frame));
  BM_TRY(BM_ALLOC(run->d, &run->x));
  BM_TRY(BM_ALLOC(run->d, &run->v));
  BM_TRY(BM_ALLOC(walkers, &run->heat));
  return bm_samples_create(request->context, settings->samples, run->d, walkers, samples);
}

bm_status_t bm_molecular_run(const bm_sampler_request_t *request, bm_samples_t **samples,
                             bm_sampler_report_t *report)
{
  const bm_sampler_settings_t *settings = request->settings;
  run_t run = {.request = request,
               .molecule = bm_potential_traits(request->potential)->molecule,
               .replicas = settings->walkers * settings->temperatures,
               .frames = settings->samples / settings->walkers,
               .d = bm_potential_dimension(request->potential),
               .burn_in = (size_t)(settings->burn_in / settings->thinning)};
  assert(run.molecule != NULL);
  run.own = bm_samples_walkers(request->context, run.replicas);
  *samples = NULL;
  bm_status_t status = bm_agree(request->context, create_parts(&run, samples));
  if (status == BM_OK) {
    set_temperatures(&run, 1);
    status = go_on(&run, *samples);
  }
  if (status == BM_OK) {
    double frames = (double)(run.burn_in + run.frames);
    bm_log_progress_start(request->log, "dynamics",
                          BM_NS * settings->timestep * (double)settings->thinning * frames *
                              (double)run.replicas,
                          "ns");
    status = make_frames(&run, *samples);
    bm_log_progress_end(request->log);
  }
  if (status == BM_OK) {
    status = fill_report(&run, report);
  }
  bm_dynamics_destroy(&run.dynamics);
  destroy_ladder(&run.ladder);
  bm_free(run.energy);
  bm_free(run.places);
  bm_free(run.frame);
  bm_free(run.x);
  bm_free(run.v);
  bm_free(run.heat);
  if (status != BM_OK) {
    bm_samples_destroy(samples);
  }
  return status;
}
