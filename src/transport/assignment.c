#include "boltzmap/transport/assignment.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/state.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/transport/cost.h"
#include "boltzmap/transport/levels.h"
#include "boltzmap/transport/line.h"
#include "boltzmap/transport/multilevel.h"
#include "boltzmap/transport/potentials.h"
#include "boltzmap/transport/pricing.h"

#define BM_LARGEST_COST 1e300
#define BM_LEAST 1e-145       /* whose square still has all its digits */
#define BM_PRICED_TIMES 4.7   /* n² pairs that a solution typically prices */
#define BM_CHECKPOINT_S 300.0 /* seconds between checkpoints */

typedef struct {
  const bm_assignment_problem_t *problem;
  bm_cost_t *cost;
  bm_pricing_t *pricing;
  size_t levels, sizes[BM_LEVELS_MAX];
  double saved; /* when */
} run_t;

/* --- the proof -------------------------------------------------------------------------------- */

/* What rounding may do to W2², absolute. The price of x_i's own pair and those of others that come
 * near it are made of a cost, whose differences have lost digits (bm_cost_reach), and of a dual;
 * costs of others are no larger than that price and the largest dual. On a torus the distance
 * itself is made of such differences. */
static double find_rounding(const bm_cost_t *cost, const double *price /* [n] */,
                            const double *v /* [n] */, double w2)
{
  const double d = (double)cost->d, n = (double)cost->n, reach = bm_cost_reach(cost);
  double v_max = 0.0, sum = 0.0;
  for (size_t j = 0; j < cost->n; j++) {
    v_max = fmax(v_max, fabs(v[j]));
  }
  for (size_t i = 0; i < cost->n; i++) {
    const double other = fabs(price[i]) + v_max;
    sum += (d + 4.0) * other + reach * sqrt(2.0 * other) + v_max;
  }
  const double of_w2 = cost->period > 0.0 ? 2.0 * reach * w2 : 0.0;
  return DBL_EPSILON * (2.0 * sum / n + of_w2);
}

/* Of the sum of n terms that W2² is, by blocks; relative. */
static double sum_rounding(const bm_cost_t *cost)
{
  return DBL_EPSILON * ((double)cost->d + 64.0 + log2((double)cost->n));
}

/* Price all pairs once more: how far below the price of its own pair is the best choice of each x?
 * Its own pair has to be found, too, or the pricing itself is broken. */
static bm_status_t certify_with(const run_t *run, const bm_matching_t *m,
                                double *threshold /* [n] */, bm_assignment_result_t *result)
{
  const size_t n = run->cost->n;
  const double *v = m->dual[1];
  const double w2_squared = result->w2 * result->w2;
  bm_pricing_request_t request = {.side = 0, .keep = 1, .dual = v, .threshold = threshold};
  bm_pricing_answer_t answer;
  size_t missed = 0;
  double violation = 0.0;
  BM_TRY(bm_pricing_pack(run->pricing, 0, n));
  BM_TRY(bm_pricing_pack(run->pricing, 1, n));
  request.points = bm_pricing_points(run->pricing, 0, &request.count);
  for (size_t r = 0; r < n; r++) {
    const uint32_t i = request.points[r], j = m->partner[0][i];
    threshold[r] = nextafter(bm_cost_pair(run->cost, i, j) - v[j], INFINITY);
  }
  BM_TRY(bm_pricing_ask(run->pricing, &request, &answer));
  for (size_t r = 0; r < n; r++) {
    missed += answer.found[r] == 0;
    violation += fmax(nextafter(threshold[r], -INFINITY) - answer.least[r], 0.0);
  }
  bm_pricing_answer_free(&answer);
  if (missed > 0) {
    return BM_FAIL(BM_ERR_INTERNAL, "exact distance: %zu pairs are not found again", missed);
  }
  const double rounding = find_rounding(run->cost, threshold, v, result->w2);
  result->gap = w2_squared > 0.0 ? 2.0 * violation / (double)n / w2_squared : 0.0;
  result->rounding = w2_squared > 0.0 ? rounding / w2_squared + sum_rounding(run->cost) : 0.0;
  return BM_OK;
}

static bm_status_t certify(const run_t *run, const bm_matching_t *matching,
                           bm_assignment_result_t *result)
{
  double *threshold = NULL;
  BM_TRY(BM_ALLOC(run->cost->n, &threshold));
  bm_status_t status = certify_with(run, matching, threshold, result);
  bm_free(threshold);
  return status;
}

/* --- the checkpoint --------------------------------------------------------------------------- */

/* What a checkpoint has to belong to: sizes, period, every bit of both clouds, and how their points
 * are numbered. */
#define BM_FINGERPRINT 7
static void find_fingerprint(const run_t *run, int64_t fingerprint[BM_FINGERPRINT])
{
  const bm_assignment_problem_t *p = run->problem;
  const size_t numbers = p->n * sizeof *run->cost->order[0];
  const size_t bytes = p->n * p->d * sizeof *p->x;
  fingerprint[0] = (int64_t)p->n;
  fingerprint[1] = (int64_t)p->d;
  fingerprint[2] = (int64_t)XXH64(&p->period, sizeof p->period, 0);
  fingerprint[3] = (int64_t)XXH64(p->x, bytes, 0);
  fingerprint[4] = (int64_t)XXH64(p->y, bytes, 0);
  fingerprint[5] = (int64_t)XXH64(run->cost->order[0], numbers, 0);
  fingerprint[6] = (int64_t)XXH64(run->cost->order[1], numbers, 0);
}

static bm_status_t fill_checkpoint(const run_t *run, const bm_multilevel_t *solver,
                                   bm_state_t *state)
{
  int64_t fingerprint[BM_FINGERPRINT];
  find_fingerprint(run, fingerprint);
  BM_TRY(bm_state_put_string(state, "stage", "distance"));
  BM_TRY(bm_state_put_ints(state, "fingerprint", BM_FINGERPRINT, fingerprint));
  return bm_multilevel_save(solver, state);
}

static bm_status_t save(run_t *run, const bm_multilevel_t *solver)
{
  bm_state_t *state = NULL;
  BM_TRY(bm_state_create(BM_STATE_CHECKPOINT, &state));
  bm_status_t status = fill_checkpoint(run, solver, state);
  if (status == BM_OK) {
    status = bm_state_write(state, run->problem->checkpoint);
  }
  bm_state_destroy(&state);
  run->saved = bm_log_clock();
  return status;
}

static bm_status_t take_up(const run_t *run, const bm_state_t *state, bm_multilevel_t *solver)
{
  int64_t fingerprint[BM_FINGERPRINT], found[BM_FINGERPRINT];
  find_fingerprint(run, fingerprint);
  BM_TRY(bm_state_get_ints(state, "fingerprint", BM_FINGERPRINT, found));
  if (memcmp(found, fingerprint, sizeof found) != 0) {
    return BM_FAIL(
        BM_ERR_DATA,
        "is the checkpoint of other sets, or from another kind of processor: remove it or name "
        "another file");
  }
  return bm_multilevel_load(state, solver);
}

static bm_status_t load(const run_t *run, bm_multilevel_t *solver)
{
  const char *path = run->problem->checkpoint;
  bm_state_t *state = NULL;
  if (path == NULL || !bm_file_exists(path)) {
    return BM_OK;
  }
  BM_TRY(bm_state_read(path, BM_STATE_CHECKPOINT, &state));
  bm_status_t status = take_up(run, state, solver);
  bm_state_destroy(&state);
  return status == BM_OK ? status : bm_status_prefix(status, "%s", path);
}

/* Stopped: what is known is written down, if that is asked for; the message says what came of
 * it. */
static bm_status_t stop(run_t *run, const bm_multilevel_t *solver)
{
  if (run->problem->checkpoint == NULL) {
    return BM_STOPPED; /* with the message of who asked for it */
  }
  bm_status_t status = save(run, solver);
  if (status != BM_OK) {
    return bm_status_prefix(status, "stopped on request, but nothing could be kept");
  }
  return BM_FAIL(BM_STOPPED, "stopped on request; %s is valid, the same command goes on from there",
                 run->problem->checkpoint);
}

/* --- rank 0 ----------------------------------------------------------------------------------- */

static bm_status_t run_steps(run_t *run, bm_multilevel_t *solver)
{
  while (!bm_multilevel_done(solver)) {
    bm_pricing_note(run->pricing, bm_multilevel_phase(solver));
    bm_status_t status = bm_multilevel_step(solver);
    if (status == BM_STOPPED) {
      return stop(run, solver);
    }
    BM_TRY(status);
    if (run->problem->checkpoint != NULL && bm_log_clock() - run->saved > BM_CHECKPOINT_S &&
        save(run, solver) != BM_OK) {
      bm_log_warn(run->problem->log, "%s; the distance goes on without a checkpoint",
                  bm_status_message());
    }
  }
  return BM_OK;
}

static bm_status_t conclude(run_t *run, bm_multilevel_t *solver, uint32_t *pairing,
                            bm_assignment_result_t *result)
{
  const bm_matching_t *matching = bm_multilevel_matching(solver);
  const bm_cost_t *cost = run->cost;
  bm_pricing_note(run->pricing, bm_multilevel_phase(solver));
  result->w2 = sqrt(bm_cost_w2_squared(cost, matching->partner[0]));
  bm_status_t status = certify(run, matching, result);
  if (status == BM_STOPPED) {
    return stop(run, solver);
  }
  BM_TRY(status);
  result->pricing_s = bm_pricing_seconds(run->pricing);
  BM_TRY(bm_potentials_error(cost, matching, &result->error));
  for (size_t i = 0; i < cost->n && pairing != NULL; i++) {
    pairing[cost->order[0][i]] = cost->order[1][matching->partner[0][i]];
  }
  return BM_OK;
}

static bm_status_t coordinate(run_t *run, uint32_t *pairing, bm_assignment_result_t *result)
{
  bm_multilevel_t *solver = NULL;
  run->saved = bm_log_clock();
  bm_status_t status =
      bm_multilevel_create(run->cost, run->pricing, run->levels, run->sizes, &solver);
  if (status == BM_OK) {
    status = load(run, solver);
  }
  if (status == BM_OK) {
    status = run_steps(run, solver);
  }
  if (status == BM_OK) {
    status = conclude(run, solver, pairing, result);
  }
  bm_multilevel_destroy(&solver);
  return bm_pricing_finish(run->pricing, status);
}

/* --- all ranks -------------------------------------------------------------------------------- */

static bm_status_t check(const bm_assignment_problem_t *p)
{
  double largest = 0.0, spread = 0.0;
  for (size_t i = 0; i < p->n * p->d; i++) {
    if (!isfinite(p->x[i]) || !isfinite(p->y[i])) {
      return BM_FAIL(BM_ERR_DATA, "row %zu, column %zu is not a finite number", i / p->d, i % p->d);
    }
    const double x_0 = p->x[i % p->d], y_0 = p->y[i % p->d];
    largest = fmax(largest, fmax(fabs(p->x[i]), fabs(p->y[i])));
    spread = fmax(spread, fmax(fabs(p->x[i] - x_0), fmax(fabs(p->y[i] - y_0), fabs(x_0 - y_0))));
  }
  if (largest > sqrt(BM_LARGEST_COST / (double)p->d) / (double)p->n) {
    return BM_FAIL(BM_ERR_DATA, "values up to %g: their squares overflow", largest);
  }
  if (spread > 0.0 && spread < BM_LEAST) {
    return BM_FAIL(BM_ERR_DATA, "values that differ by %g at most: their squares underflow",
                   spread);
  }
  if (p->period > 0.0 && largest > BM_TURNS_MAX * p->period) {
    return BM_FAIL(BM_ERR_DATA, "values up to %g are more than %.0e times --period %g", largest,
                   BM_TURNS_MAX, p->period);
  }
  return BM_OK;
}

/* On the line the order is the proof. */
static bm_status_t solve_line(const bm_cost_t *cost, uint32_t *pairing,
                              bm_assignment_result_t *result)
{
  bm_matching_t matching;
  BM_TRY(bm_matching_create(cost->n, &matching));
  bm_status_t status = bm_line_assignment(cost, &matching);
  if (status == BM_OK) {
    result->w2 = sqrt(bm_cost_w2_squared(cost, matching.partner[0]));
    result->gap = 0.0;
    result->rounding = sum_rounding(cost);
    result->pricing_s = 0.0;
    status = bm_potentials_error(cost, &matching, &result->error);
  }
  if (status == BM_OK && pairing != NULL) {
    memcpy(pairing, matching.partner[0], cost->n * sizeof *pairing);
  }
  bm_matching_clear(&matching);
  return status;
}

static bm_status_t solve_levels(const bm_context_t *context, run_t *run, uint32_t *pairing,
                                bm_assignment_result_t *result)
{
  bm_log_t *log = run->problem->log;
  const double n = (double)run->cost->n;
  run->levels = bm_levels_sizes(run->cost->n, BM_COARSEST, run->sizes);
  BM_TRY(bm_pricing_create(context, run->cost, run->levels, run->sizes, &run->pricing));
  bm_log_progress_start(log, "exact W2", BM_PRICED_TIMES * n * n * 1e-6, "million pairs");
  bm_pricing_show(run->pricing, log);
  const int leads = context == NULL || bm_context_is_root(context);
  bm_status_t status = leads ? coordinate(run, pairing, result) : bm_pricing_serve(run->pricing);
  bm_log_progress_end(log);
  bm_pricing_destroy(&run->pricing);
  return status == BM_OK && context != NULL ? bm_broadcast(context, result, sizeof *result)
                                            : status;
}

bm_status_t bm_assignment_solve(const bm_context_t *context, const bm_assignment_problem_t *problem,
                                uint32_t *pairing, bm_assignment_result_t *result)
{
  assert(problem->n > 0 && problem->n < UINT32_MAX && problem->d > 0 && problem->period >= 0.0);
  run_t run = {.problem = problem};
  bm_status_t status = check(problem);
  if (status == BM_OK) {
    status =
        bm_cost_create(problem->n, problem->d, problem->x, problem->y, problem->period, &run.cost);
  }
  if (status == BM_OK && problem->d == 1 && problem->period == 0.0) {
    status = solve_line(run.cost, pairing, result);
  }
  status = context == NULL ? status : bm_agree(context, status);
  if (status == BM_OK && (problem->d > 1 || problem->period > 0.0)) {
    status = solve_levels(context, &run, pairing, result);
  }
  bm_cost_destroy(&run.cost);
  return status;
}
