/* Sampling on several ranks: the same frames as on one, and after going on from a state that was kept. */

#include "check.h"

#include <math.h>

#include "../unit/model/case_of_text.h"
#include "boltzmap/sample/sampler.h"

#define SEED 11

/* Keeps one state, as a checkpoint on disk would. */
typedef struct {
  const bm_context_t *context;
  int keep;    /* how many more are taken */
  int offered; /* is the kept one to be gone on from? */
  char folder[256];
} shelf_t;

static bm_status_t save(void *self, int64_t step, bm_state_t *state)
{
  shelf_t *shelf = self;
  char path[300];
  (void)step;
  if (shelf->keep == 0) {
    return BM_OK;
  }
  shelf->keep--;
  snprintf(path, sizeof path, "%s/state", shelf->folder);
  return bm_agree(shelf->context,
                  bm_context_is_root(shelf->context) ? bm_state_write(state, path) : BM_OK);
}

static bm_status_t load(void *self, bm_state_t **state)
{
  shelf_t *shelf = self;
  char path[300];
  *state = NULL;
  snprintf(path, sizeof path, "%s/state", shelf->folder);
  return shelf->offered ? bm_state_read_all(shelf->context, path, BM_STATE_CHECKPOINT, state)
                        : BM_OK;
}

static bm_potential_t *molecule(void)
{
  char text[8192];
  const char *top = getenv("BM_TOP");
  snprintf(text, sizeof text,
           "kind = \"amber\"; topology = \"%s/input/alanine-dipeptide.prmtop\"; coordinates = "
           "\"%s/input/alanine-dipeptide.rst7\"; constraints = \"h-bonds\";",
           top == NULL ? "." : top, top == NULL ? "." : top);
  return potential_of(text);
}

/* Whole frames of a run, on every rank. */
static double *frames_of(const bm_sampler_request_t *request, bm_sampler_report_t *report)
{
  bm_samples_t *samples;
  double *all;
  REQUIRE(bm_sampler_run(request, &samples, report) == BM_OK);
  REQUIRE(bm_samples_replicate(request->context, samples, &all) == BM_OK);
  bm_samples_destroy(&samples);
  return all;
}

static int same(double a, double b)
{
  return a == b || (isnan(a) && isnan(b));
}

/* The run of all ranks, and one that goes on from the second state it kept, against each rank's own. */
static void check_run(const bm_context_t *all, const bm_context_t *alone, bm_potential_t *potential,
                      const bm_sampler_settings_t *settings)
{
  const size_t count = settings->samples * bm_potential_dimension(potential);
  bm_sampler_report_t reports[3];
  double *frames[3];
  shelf_t shelf = {.context = all, .keep = 2};
  const bm_keeper_t keeper = {&shelf, 0.0, save, load};
  bm_sampler_request_t request = {alone, potential, settings, SEED, NULL, NULL};
  check_folder(all, shelf.folder);
  frames[0] = frames_of(&request, &reports[0]);
  request.context = all;
  request.keeper = &keeper;
  frames[1] = frames_of(&request, &reports[1]);
  CHECK(shelf.keep == 0);
  shelf.offered = 1;
  frames[2] = frames_of(&request, &reports[2]);
  for (int k = 1; k < 3; k++) {
    CHECK_BITS(frames[0], frames[k], count);
    CHECK(same(reports[0].temperature_K, reports[k].temperature_K));
    CHECK(same(reports[0].exchange_acceptance, reports[k].exchange_acceptance));
    CHECK(same(reports[0].acceptance, reports[k].acceptance));
    CHECK(same(reports[0].jump_acceptance, reports[k].jump_acceptance));
    CHECK(same(reports[0].autocorrelation_steps, reports[k].autocorrelation_steps));
  }
  for (int k = 0; k < 3; k++) {
    bm_free(frames[k]);
  }
  if (bm_context_is_root(all)) {
    char path[300];
    snprintf(path, sizeof path, "%s/state", shelf.folder);
    unlink(path);
  }
  check_folder_end(all, shelf.folder);
}

static void check_dynamics(const bm_context_t *all, const bm_context_t *alone)
{
  const bm_sampler_settings_t plain = {.sampler = "langevin-middle",
                                       .walkers = 6,
                                       .samples = 6 * 40,
                                       .burn_in = 20,
                                       .thinning = 10,
                                       .precision = "single",
                                       .timestep = 0.002,
                                       .friction = 5.0,
                                       .temperatures = 1};
  bm_potential_t *potential = molecule();
  bm_sampler_settings_t settings = plain;
  check_run(all, alone, potential, &settings);
  settings.precision = "double";
  check_run(all, alone, potential, &settings);
  settings = plain;
  settings.walkers = 1; /* its rows lie on all ranks */
  settings.samples = 40;
  check_run(all, alone, potential, &settings);
  settings = plain;
  settings.thinning = 300; /* left within a frame */
  settings.burn_in = 300;
  settings.samples = 6 * 2;
  check_run(all, alone, potential, &settings);
  settings = plain;
  settings.sampler = "tempering"; /* ladders that lie across ranks */
  settings.walkers = 3;
  settings.samples = 3 * 40;
  settings.temperatures = 4;
  settings.temperature_max_K = 450.0;
  check_run(all, alone, potential, &settings);
  bm_potential_destroy(&potential);
}

static void check_chains(const bm_context_t *all, const bm_context_t *alone)
{
  const char *const samplers[] = {"metropolis", "mala", "langevin", "hmc"};
  bm_potential_t *potential = potential_of("kind = \"coulomb-double-well\"; beta = 5.0;");
  for (size_t k = 0; k < 2 * sizeof samplers / sizeof samplers[0]; k++) {
    const size_t walkers = k % 2 == 0 ? 6 : 1; /* the rows of one lie on all ranks */
    const bm_sampler_settings_t settings = {.sampler = samplers[k / 2],
                                            .walkers = walkers,
                                            .samples = walkers * 40,
                                            .step_size = 0.01,
                                            .adapt = strcmp(samplers[k / 2], "langevin") != 0,
                                            .jump_fraction = 0.2,
                                            .burn_in = 300,
                                            .thinning = 20,
                                            .leapfrog_steps = 5};
    check_run(all, alone, potential, &settings);
  }
  bm_potential_destroy(&potential);
}

int main(int argc, char **argv)
{
  bm_context_t *all;
  bm_context_t *alone;
  check_start(&argc, &argv, &all, &alone);
  check_dynamics(all, alone);
  check_chains(all, alone);
  return check_end(&all, &alone);
}
