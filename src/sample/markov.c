#include "boltzmap/sample/markov.h"

#include <math.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/sample/tune.h"

/* A run under way on this rank. */
typedef struct {
  const bm_sampler_request_t *request;
  const bm_sampler_ops_t *ops;
  bm_sampler_plan_t plan;
  bm_walkers_t *walkers;
  uint64_t step;
  int64_t done; /* steps after the escape */
  bm_sampler_counts_t counts;
  double kept_at;
} run_t;

/* Moves of all ranks; a walker that all of them make counts once. */
static bm_status_t sum_counts(const run_t *run, bm_sampler_counts_t *sum)
{
  const bm_context_t *context = run->request->context;
  const int counts_once = run->request->settings->walkers > 1 || bm_context_is_root(context);
  const bm_sampler_counts_t none = {0, 0, 0, 0};
  *sum = counts_once ? run->counts : none;
  int64_t counts[4] = {sum->local, sum->local_taken, sum->jumps, sum->jumps_taken};
  BM_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, counts, 4, MPI_INT64_T, MPI_SUM, context->comm));
  *sum = (bm_sampler_counts_t){counts[0], counts[1], counts[2], counts[3]};
  return BM_OK;
}

/* Where all ranks are, put together: the same on any number of them. */
typedef struct {
  double *x;    /* [walkers][d] */
  double *rows; /* [samples][d] */
  bm_sampler_counts_t counts;
} snapshot_t;

static bm_status_t fill_snapshot(const run_t *run, const bm_samples_t *samples,
                                 snapshot_t *snapshot)
{
  const bm_context_t *context = run->request->context;
  const bm_walkers_t *own = run->walkers;
  const size_t items = samples->walkers * own->d;
  BM_TRY_AGREE(context, BM_ALLOC(items, &snapshot->x));
  memcpy(snapshot->x + own->first * own->d, own->x, own->count * own->d * sizeof *own->x);
  BM_TRY(bm_join(context, items, snapshot->x));
  BM_TRY(sum_counts(run, &snapshot->counts));
  return bm_samples_replicate(context, samples, &snapshot->rows);
}

/* Integers and numbers in the order they are stored. */
#define BM_PLACES 8
#define BM_FOUND 2

static bm_status_t put_state(const run_t *run, const bm_samples_t *samples,
                             const snapshot_t *snapshot, bm_state_t *state)
{
  const bm_sampler_plan_t *plan = &run->plan;
  const bm_sampler_counts_t *counts = &snapshot->counts;
  const int64_t places[BM_PLACES] = {(int64_t)run->step, run->done,          plan->burn_in,
                                     plan->thinning,     counts->local,      counts->local_taken,
                                     counts->jumps,      counts->jumps_taken};
  const double found[BM_FOUND] = {plan->step_size, plan->autocorrelation_steps};
  const size_t d = samples->d;
  BM_TRY(bm_state_put_ints(state, "sampler/places", BM_PLACES, places));
  BM_TRY(bm_state_put_doubles(state, "sampler/plan", BM_FOUND, found));
  BM_TRY(bm_state_put_doubles(state, "sampler/walkers", samples->walkers * d, snapshot->x));
  return bm_state_put_doubles(state, "sampler/rows", samples->n * d, snapshot->rows);
}

static bm_status_t keep_snapshot(const run_t *run, const bm_samples_t *samples,
                                 const snapshot_t *snapshot)
{
  const bm_sampler_request_t *request = run->request;
  bm_state_t *state;
  BM_TRY(bm_keeper_begin(request->context, &state));
  bm_status_t status = state != NULL ? put_state(run, samples, snapshot, state) : BM_OK;
  return bm_keeper_end(request->context, request->keeper, (int64_t)run->step, status, &state);
}

static bm_status_t save(run_t *run, const bm_samples_t *samples)
{
  snapshot_t snapshot = {.x = NULL};
  bm_status_t status = fill_snapshot(run, samples, &snapshot);
  if (status == BM_OK) {
    status = keep_snapshot(run, samples, &snapshot);
  }
  bm_free(snapshot.x);
  bm_free(snapshot.rows);
  run->kept_at = bm_log_clock();
  return status;
}

static bm_status_t take_places(run_t *run, const bm_state_t *state)
{
  int64_t places[BM_PLACES];
  double found[BM_FOUND];
  BM_TRY(bm_state_get_ints(state, "sampler/places", BM_PLACES, places));
  BM_TRY(bm_state_get_doubles(state, "sampler/plan", BM_FOUND, found));
  if (places[0] < 0 || places[1] < 0 || places[2] < 1 || places[3] < 1) {
    return BM_FAIL(BM_ERR_DATA, "a checkpoint with a step that cannot be");
  }
  run->step = (uint64_t)places[0];
  run->done = places[1];
  run->plan = (bm_sampler_plan_t){found[0], places[2], places[3], found[1]};
  if (bm_context_is_root(run->request->context)) { /* sums of all ranks */
    run->counts = (bm_sampler_counts_t){places[4], places[5], places[6], places[7]};
  }
  return BM_OK;
}

static bm_status_t take_state(run_t *run, const bm_state_t *state, bm_samples_t *samples)
{
  const size_t d = samples->d;
  const size_t items = samples->walkers * d;
  bm_walkers_t *own = run->walkers;
  double *room = NULL;
  BM_TRY(take_places(run, state));
  BM_TRY(BM_ALLOC(items + samples->n * d, &room));
  double *rows = room + items;
  bm_status_t status = bm_state_get_doubles(state, "sampler/walkers", items, room);
  if (status == BM_OK) {
    status = bm_state_get_doubles(state, "sampler/rows", samples->n * d, rows);
  }
  if (status == BM_OK) {
    memcpy(own->x, room + own->first * d, own->count * d * sizeof *room);
    bm_walkers_evaluate(own);
    memcpy(samples->x, rows + samples->rows.first * d, samples->rows.count * d * sizeof *rows);
  }
  bm_free(room);
  return status;
}

/* Where the run before stood, or with a plan of its own at the start. */
static bm_status_t begin(run_t *run, bm_samples_t *samples)
{
  const bm_sampler_request_t *request = run->request;
  bm_state_t *state = NULL;
  if (request->keeper != NULL) {
    BM_TRY(request->keeper->load(request->keeper->self, &state));
  }
  if (state != NULL) {
    bm_status_t status = bm_agree(request->context, take_state(run, state, samples));
    bm_state_destroy(&state);
    return status;
  }
  BM_TRY(bm_sampler_tune(request->context, request->potential, request->settings, request->seed,
                         request->log, &run->plan));
  bm_sampler_escape(run->ops, run->walkers, &run->step);
  return BM_OK;
}

/* Put frame `frame` of each walker into its row, where that row belongs to this rank. */
static void keep_frame(const bm_walkers_t *walkers, size_t frame, bm_samples_t *samples)
{
  const size_t frames = samples->n / samples->walkers;
  for (size_t i = 0; i < walkers->count; i++) {
    size_t row = (walkers->first + i) * frames + frame;
    if (row >= samples->rows.first && row - samples->rows.first < samples->rows.count) {
      memcpy(samples->x + (row - samples->rows.first) * samples->d, walkers->x + i * walkers->d,
             walkers->d * sizeof *samples->x);
    }
  }
}

/* Stop requests and checkpoints; progress. */
static bm_status_t poll(run_t *run, const bm_samples_t *samples)
{
  const bm_context_t *context = run->request->context;
  const bm_keeper_t *keeper = run->request->keeper;
  const int due = keeper != NULL && bm_log_clock() - run->kept_at > keeper->every_s;
  bm_log_progress(run->request->log, (double)run->done, NULL);
  if (!bm_agree_any(context, due || bm_stop_pending())) {
    return BM_OK;
  }
  bm_status_t stop = bm_stop_check(context);
  if (keeper != NULL) {
    BM_TRY(save(run, samples));
  }
  return stop;
}

static bm_status_t walk(run_t *run, int64_t total, bm_samples_t *samples)
{
  const bm_sampler_plan_t *plan = &run->plan;
  while (run->done < total) {
    bm_sampler_step(run->ops, run->request->settings, plan->step_size, run->walkers, run->step++,
                    &run->counts);
    const int64_t sampled = ++run->done - plan->burn_in;
    if (sampled == 0) {
      BM_TRY_AGREE(run->request->context, bm_walkers_check(run->walkers, run->step));
      run->counts = (bm_sampler_counts_t){0, 0, 0, 0};
    } else if (sampled > 0 && sampled % plan->thinning == 0) {
      keep_frame(run->walkers, (size_t)(sampled / plan->thinning - 1), samples);
    }
    if (run->done % BM_STEPS_BETWEEN_POLLS == 0 && run->done < total) {
      BM_TRY(poll(run, samples));
    }
  }
  return BM_OK;
}

static bm_status_t make_frames(run_t *run, bm_samples_t *samples)
{
  bm_log_t *log = run->request->log;
  const int64_t frames = (int64_t)(samples->n / samples->walkers);
  const int64_t total = run->plan.burn_in + frames * run->plan.thinning;
  bm_log_progress_start(log, "sampling", (double)total, "steps");
  bm_log_progress_resume(log, (double)run->done);
  run->kept_at = bm_log_clock();
  bm_status_t status = walk(run, total, samples);
  bm_log_progress_end(log);
  return status;
}

static double rate(int64_t taken, int64_t proposed)
{
  return proposed > 0 ? (double)taken / (double)proposed : NAN;
}

static bm_status_t fill_report(const run_t *run, bm_sampler_report_t *report)
{
  bm_sampler_counts_t counts;
  BM_TRY(sum_counts(run, &counts));
  *report = (bm_sampler_report_t){
      .acceptance = rate(counts.local_taken, counts.local),
      .jump_acceptance = rate(counts.jumps_taken, counts.jumps),
      .step_size = run->plan.step_size,
      .burn_in = run->plan.burn_in,
      .thinning = run->plan.thinning,
      .autocorrelation_steps = run->plan.autocorrelation_steps,
      .temperature_K = NAN,
      .temperature_error_K = NAN,
      .exchange_acceptance = NAN,
      .round_trips = NAN,
      .simulated_ns = NAN,
      .frame_ps = NAN,
  };
  return BM_OK;
}

static bm_status_t create_parts(run_t *run, bm_samples_t **samples)
{
  const bm_sampler_request_t *request = run->request;
  const bm_sampler_settings_t *settings = request->settings;
  const bm_range_t own = bm_samples_walkers(request->context, settings->walkers);
  BM_TRY(bm_walkers_create(request->potential, request->seed, (uint32_t)own.first, own.count,
                           run->ops->uses_gradient, &run->walkers));
  return bm_samples_create(request->context, settings->samples,
                           bm_potential_dimension(request->potential), settings->walkers, samples);
}

bm_status_t bm_markov_run(const bm_sampler_request_t *request, bm_samples_t **samples,
                          bm_sampler_report_t *report)
{
  run_t run = {.request = request, .ops = bm_sampler_find(request->settings->sampler)};
  *samples = NULL;
  bm_status_t status = bm_agree(request->context, create_parts(&run, samples));
  if (status == BM_OK) {
    status = begin(&run, *samples);
  }
  if (status == BM_OK) {
    status = make_frames(&run, *samples);
  }
  if (status == BM_OK) {
    status = fill_report(&run, report);
  }
  bm_walkers_destroy(&run.walkers);
  if (status != BM_OK) {
    bm_samples_destroy(samples);
  }
  return status;
}
