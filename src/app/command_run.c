/* boltzmap run: a deck through its stages, case by case. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "boltzmap/app/checkpoint.h"
#include "boltzmap/app/commands.h"
#include "boltzmap/app/floors.h"
#include "boltzmap/app/output.h"
#include "boltzmap/app/stage.h"
#include "boltzmap/io/file.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/sample/diagnostics.h"

static const bm_option_t options[] = {
    {"--set", "PATH=VALUE", "change a value of the deck, as training.epochs=50; may be repeated"},
    {"--out", "DIR", "output folder, in place of run.output_dir"},
    {"--stage", "LIST", "only these of sample,train,generate,evaluate"},
    {"--case", "NAME", "only this case; may be repeated"},
    {"--restart", "WHAT",
     "auto (default): go on where a checkpoint is; never: start the selected stages and what "
     "follows from them over, in the selected cases; FILE: training from this checkpoint"},
    {"--force", NULL, "as --restart never, also in the output folder of another deck"},
    {NULL, NULL, NULL},
};

#define BM_STOP_FILE "stop"
#define BM_STOP_FILE_ROOT_S \
  1.0 /* between looks for it; the others of a large run are many for a file */
#define BM_STOP_FILE_OTHERS_S 4.0 /* server */

/* What to run of the experiment. */
typedef struct {
  bm_experiment_t *experiment;
  unsigned stages; /* bits of bm_stage_table */
  int anew;        /* what is selected starts over */
  const char *const *names;
  size_t name_count;
  const char *restart_file;
  uint64_t restart_fingerprint;
} selection_t;

static int is_selected(const selection_t *selection, const bm_deck_case_t *deck_case)
{
  for (size_t i = 0; i < selection->name_count; i++) {
    if (strcmp(selection->names[i], bm_deck_case_name(deck_case)) == 0) {
      return 1;
    }
  }
  return selection->name_count == 0;
}

/* The first selected stage: it and what follows from it starts over, if anything does. */
static size_t first_stage(const selection_t *selection)
{
  size_t s = 0;
  while ((selection->stages >> s & 1u) == 0) {
    s++;
  }
  return s;
}

static int starts_over(const selection_t *selection, const bm_deck_case_t *deck_case, size_t s)
{
  return selection->anew && is_selected(selection, deck_case) && s >= first_stage(selection);
}

static int is_asked(const selection_t *selection, const bm_stage_t *stage)
{
  size_t s = 0;
  while (bm_stage_table[s] != stage) {
    s++;
  }
  return (selection->stages >> s & 1u) != 0;
}

/* Does this run go on from the user's checkpoint in the training of this case? */
static int restarts(const selection_t *selection, const bm_deck_case_t *deck_case)
{
  return selection->restart_file != NULL &&
         bm_stage_fingerprint(selection->experiment, &bm_stage_train, deck_case) ==
             selection->restart_fingerprint;
}

static int is_left_to_do(const selection_t *selection, const bm_deck_case_t *deck_case, size_t s)
{
  const bm_stage_t *stage = bm_stage_table[s];
  return starts_over(selection, deck_case, s) ||
         (stage == &bm_stage_train && restarts(selection, deck_case)) ||
         !bm_stage_is_done(selection->experiment, stage, deck_case);
}

static bm_status_t check_names(const selection_t *selection)
{
  const bm_deck_t *deck = selection->experiment->deck;
  for (size_t i = 0; i < selection->name_count; i++) {
    if (bm_experiment_find_case(deck, selection->names[i]) == NULL) {
      return BM_FAIL(BM_ERR_USAGE, "--case %s: the deck has no such case", selection->names[i]);
    }
  }
  return BM_OK;
}

/* The checkpoint that the user names has to be of a case that is run. Rank 0's own. */
static bm_status_t check_restart_file(selection_t *selection)
{
  const bm_experiment_t *experiment = selection->experiment;
  BM_TRY(bm_checkpoint_fingerprint(selection->restart_file, &selection->restart_fingerprint));
  for (size_t c = 0; c < bm_deck_case_count(experiment->deck); c++) {
    const bm_deck_case_t *deck_case = bm_deck_case(experiment->deck, c);
    if (is_selected(selection, deck_case) && restarts(selection, deck_case)) {
      return BM_OK;
    }
  }
  return BM_FAIL(BM_ERR_DATA, "%s: is no checkpoint of the training of this deck's cases",
                 selection->restart_file);
}

static bm_status_t read_restart(const bm_arguments_t *arguments, selection_t *selection)
{
  const bm_context_t *context = selection->experiment->context;
  const char *restart = bm_arguments_value(arguments, "--restart");
  selection->anew = bm_arguments_has(arguments, "--force");
  if (restart == NULL || strcmp(restart, "auto") == 0) {
    return BM_OK;
  }
  if (strcmp(restart, "never") == 0) {
    selection->anew = 1;
    return BM_OK;
  }
  selection->restart_file = restart;
  BM_TRY_AGREE(context, bm_context_is_root(context) ? check_restart_file(selection) : BM_OK);
  return bm_broadcast(context, &selection->restart_fingerprint,
                      sizeof selection->restart_fingerprint);
}

/* The run asked for stops where its references have not converged, if it wants so. */
static bm_status_t check_convergence(const bm_experiment_t *experiment,
                                     const bm_deck_case_t *deck_case)
{
  bm_results_t *results = NULL;
  if (!bm_context_is_root(experiment->context) ||
      !bm_deck_bool(deck_case, "run.require_convergence")) {
    return BM_OK;
  }
  BM_TRY(bm_results_create(&results));
  bm_status_t status = bm_stage_read_record(experiment, &bm_stage_sample, deck_case, results);
  double rhat = bm_results_value(results, "rhat_max");
  bm_results_destroy(&results);
  BM_TRY(status);
  if (!(rhat <= BM_RHAT_CONVERGED)) {
    return BM_FAIL(BM_ERR_DATA,
                   "case '%s': R-hat of the reference is %.4f, above %.2f, and "
                   "run.require_convergence is set: more steps between frames, or another sampler",
                   bm_deck_case_name(deck_case), rhat, BM_RHAT_CONVERGED);
  }
  return BM_OK;
}

/* Stages that are not asked for but whose outcome is needed have to be done. */
static bm_status_t check_stages(const selection_t *selection)
{
  const bm_deck_t *deck = selection->experiment->deck;
  for (size_t c = 0; c < bm_deck_case_count(deck); c++) {
    const bm_deck_case_t *deck_case = bm_deck_case(deck, c);
    for (size_t s = 0; is_selected(selection, deck_case) && bm_stage_table[s] != NULL; s++) {
      int asked = (selection->stages >> s & 1u) != 0;
      int later = selection->stages >> s > 1u;
      if (!asked && later && is_left_to_do(selection, deck_case, s)) {
        return BM_FAIL(BM_ERR_USAGE, "--stage: case '%s' needs stage %s first",
                       bm_deck_case_name(deck_case), bm_stage_table[s]->name);
      }
    }
  }
  return BM_OK;
}

/* The user's own checkpoint may lie among those of the case, and stays. */
static bm_status_t forget_case(const selection_t *selection, const bm_deck_case_t *deck_case)
{
  const bm_experiment_t *experiment = selection->experiment;
  BM_TRY(bm_stage_forget(experiment, deck_case, first_stage(selection)));
  return restarts(selection, deck_case) ? BM_OK : bm_checkpoint_remove(experiment, deck_case);
}

/* Rank 0's own. The reference of the deck's own system in a folder of its own belongs to no case:
 * it goes where all cases start over. */
static bm_status_t forget(const selection_t *selection)
{
  const bm_deck_t *deck = selection->experiment->deck;
  for (size_t c = 0; selection->anew && c < bm_deck_case_count(deck); c++) {
    if (is_selected(selection, bm_deck_case(deck, c))) {
      BM_TRY(forget_case(selection, bm_deck_case(deck, c)));
    }
  }
  return selection->anew && selection->name_count == 0 ? forget_case(selection, bm_deck_base(deck))
                                                       : BM_OK;
}

/* Run the stages of a case that are asked for and not done. */
static bm_status_t run_case(const selection_t *selection, const bm_deck_case_t *deck_case,
                            size_t *ran)
{
  bm_experiment_t *experiment = selection->experiment;
  int again = restarts(selection, deck_case);
  experiment->restart_file = again ? selection->restart_file : NULL;
  for (size_t s = 0; bm_stage_table[s] != NULL; s++) {
    const bm_stage_t *stage = bm_stage_table[s];
    int asked = (selection->stages >> s & 1u) != 0;
    if (asked &&
        ((again && stage == &bm_stage_train) || !bm_stage_is_done(experiment, stage, deck_case))) {
      BM_TRY(bm_stop_check(experiment->context));
      BM_TRY(bm_stage_run(experiment, stage, deck_case));
      (*ran)++;
    }
    if (stage == &bm_stage_sample) {
      BM_TRY_AGREE(experiment->context, check_convergence(experiment, deck_case));
    }
  }
  return BM_OK;
}

static bm_status_t run_cases(const selection_t *selection)
{
  const bm_experiment_t *experiment = selection->experiment;
  double started = bm_log_clock();
  size_t ran = 0;
  for (size_t c = 0; c < bm_deck_case_count(experiment->deck); c++) {
    const bm_deck_case_t *deck_case = bm_deck_case(experiment->deck, c);
    size_t before = ran;
    if (is_selected(selection, deck_case)) {
      BM_TRY(run_case(selection, deck_case, &ran));
    }
    if (ran > before) {
      BM_TRY(bm_output_write_results(experiment));
    }
  }
  if (!bm_output_results_are_current(experiment)) {
    BM_TRY(bm_output_write_results(experiment));
  }
  if (ran == 0) {
    bm_log_info(experiment->log, "%s: finished already and left alone; --force starts over",
                experiment->folder);
  } else {
    bm_log_info(experiment->log, "%s: finished in %.0f s", experiment->folder,
                bm_log_clock() - started);
  }
  return BM_OK;
}

static bm_status_t check_size(const bm_deck_case_t *deck_case, size_t rows, int floors)
{
  if (rows < 2) {
    return bm_deck_fail(deck_case, "reference.file", "holds fewer than 2 samples");
  }
  if (floors && rows < BM_FLOOR_LEAST) {
    return bm_deck_fail(deck_case, "reference.file",
                        "holds %zu samples, floors need %d: more samples, or "
                        "evaluate.floor_pairs=0",
                        rows, BM_FLOOR_LEAST);
  }
  return BM_OK;
}

/* Files that the user brings are read before the output folder is touched. */
static bm_status_t check_file(const selection_t *selection, const bm_deck_case_t *deck_case,
                              int floors)
{
  const bm_experiment_t *experiment = selection->experiment;
  bm_potential_t *potential = NULL;
  bm_samples_t *samples = NULL;
  if (strcmp(bm_deck_string(deck_case, "reference.sampler"), "file") != 0 ||
      !is_left_to_do(selection, deck_case, 0 /* sample */)) {
    return BM_OK;
  }
  BM_TRY_AGREE(experiment->context, bm_potential_create(deck_case, &potential));
  bm_status_t status = bm_stage_read_file(experiment->context, deck_case,
                                          bm_potential_dimension(potential), &samples);
  if (status == BM_OK) {
    status = check_size(deck_case, samples->n, floors);
  }
  bm_samples_destroy(&samples);
  bm_potential_destroy(&potential);
  return bm_agree(experiment->context, status);
}

/* Is the reference of the deck's own system that of a case which has it, or is checked for its own
 * sake? */
static int shares_target(const selection_t *selection)
{
  const bm_experiment_t *experiment = selection->experiment;
  const bm_deck_t *deck = experiment->deck;
  uint64_t wanted = bm_stage_fingerprint(experiment, &bm_stage_sample, bm_deck_base(deck));
  for (size_t c = 0; c < bm_deck_case_count(deck); c++) {
    const bm_deck_case_t *deck_case = bm_deck_case(deck, c);
    if (bm_stage_fingerprint(experiment, &bm_stage_sample, deck_case) == wanted &&
        (is_selected(selection, deck_case) ||
         bm_stage_is_done(experiment, &bm_stage_sample, deck_case))) {
      return 1;
    }
  }
  return 0;
}

/* Those of the selected cases, and of the deck's own system where an evaluation is going to ask for
 * it. */
static bm_status_t check_files(const selection_t *selection)
{
  const bm_experiment_t *experiment = selection->experiment;
  const bm_deck_t *deck = experiment->deck;
  const int evaluates = is_asked(selection, &bm_stage_evaluate);
  int needs_target = 0;
  int target_floors = 0;
  for (size_t c = 0; c < bm_deck_case_count(deck); c++) {
    const bm_deck_case_t *deck_case = bm_deck_case(deck, c);
    if (!is_selected(selection, deck_case)) {
      continue;
    }
    int floors = evaluates && bm_deck_int(deck_case, "evaluate.floor_pairs") > 0;
    BM_TRY(check_file(selection, deck_case, floors));
    if (evaluates && bm_stage_needs_target(experiment, deck_case)) {
      needs_target = 1;
      target_floors = target_floors || floors;
    }
  }
  return needs_target && !shares_target(selection)
             ? check_file(selection, bm_deck_base(deck), target_floors)
             : BM_OK;
}

/* When the time ends that the deck or SLURM allows, as Unix times; 0: never. */
static void find_ends(const bm_experiment_t *experiment, double ends[2])
{
  const double minutes = bm_deck_real(bm_deck_base(experiment->deck), "run.time_limit_min");
  const char *slurm = getenv("SLURM_JOB_END_TIME");
  ends[0] = minutes > 0.0 ? (double)time(NULL) + 60.0 * minutes : 0.0;
  ends[1] = slurm == NULL ? 0.0 : strtod(slurm, NULL);
}

/* Besides signals: a file in the folder (one of before asked the run of before), and the end of the time. All
 * ranks look, since some work for long without a word to the others. */
static bm_status_t watch_for_stops(bm_experiment_t *experiment)
{
  const bm_context_t *context = experiment->context;
  double ends[2];
  BM_TRY_AGREE(context, bm_path_join(experiment->folder, BM_STOP_FILE, &experiment->stop_file));
  if (bm_context_is_root(context) && bm_file_exists(experiment->stop_file)) {
    bm_log_info(experiment->log, "%s: asked the run before to stop; removed",
                experiment->stop_file);
  }
  BM_TRY_AGREE(context,
               bm_context_is_root(context) ? bm_file_remove(experiment->stop_file) : BM_OK);
  find_ends(experiment, ends);
  BM_TRY(bm_broadcast(context, ends, sizeof ends));
  bm_stop_watch(experiment->stop_file,
                bm_context_is_root(context) ? BM_STOP_FILE_ROOT_S : BM_STOP_FILE_OTHERS_S);
  for (int i = 0; i < 2; i++) {
    if (ends[i] > 0.0) {
      bm_stop_before(ends[i]);
    }
  }
  return BM_OK;
}

static bm_status_t run_experiment(const bm_arguments_t *arguments, selection_t *selection)
{
  bm_experiment_t *experiment = selection->experiment;
  selection->name_count = bm_arguments_values(arguments, "--case", &selection->names);
  BM_TRY(check_names(selection));
  BM_TRY(read_restart(arguments, selection));
  BM_TRY(check_stages(selection));
  BM_TRY(check_files(selection));
  BM_TRY(bm_output_open(experiment, selection->anew, bm_arguments_has(arguments, "--force")));
  BM_TRY_AGREE(experiment->context,
               bm_context_is_root(experiment->context) ? forget(selection) : BM_OK);
  BM_TRY(watch_for_stops(experiment));
  bm_log_info(experiment->log, "%s on %d rank%s, output in %s", experiment->provenance[0].text,
              experiment->context->size, experiment->context->size == 1 ? "" : "s",
              experiment->folder);
  bm_status_t status = run_cases(selection);
  if (status != BM_OK && experiment->log != NULL) {
    char message[BM_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s", bm_status_message());
    bm_log_record(experiment->log, "%s", message);
    bm_status_set_message(message);
  }
  return status;
}

static bm_status_t run(const bm_context_t *context, const bm_arguments_t *arguments)
{
  const char *path = bm_arguments_positional(arguments, 0);
  const char *const *overrides;
  bm_deck_t *deck = NULL;
  selection_t selection = {0};
  BM_TRY(bm_stage_selection(bm_arguments_value(arguments, "--stage"), &selection.stages));
  size_t count = bm_arguments_values(arguments, "--set", &overrides);
  BM_TRY(bm_experiment_load(context, path, overrides, count, &deck));
  bm_status_t status = bm_agree(context, bm_experiment_check_all(deck));
  if (status == BM_OK) {
    status = bm_agree(context, bm_experiment_check_memory(deck));
  }
  if (status != BM_OK) {
    bm_deck_destroy(&deck);
    return status;
  }
  BM_TRY(bm_experiment_create(context, deck, path, bm_arguments_value(arguments, "--out"),
                              &selection.experiment));
  status = run_experiment(arguments, &selection);
  bm_experiment_destroy(&selection.experiment);
  return status;
}

const bm_command_t bm_command_run = {
    .name = "run",
    .positional = {"DECK"},
    .summary = "run an experiment: reference samples, training, generation, evaluation",
    .details =
        "A run that was interrupted goes on when the same command is given again, on any number\n"
        "of ranks. A finished run is left alone. Ctrl-C, SIGTERM, SIGUSR1, a file named `stop` in\n"
        "the output folder, and the end of run.time_limit_min or of a SLURM allocation write a\n"
        "checkpoint and stop with exit code 75. The third Ctrl-C or SIGTERM, or another one after\n"
        "ten seconds, ends the program at once.",
    .options = options,
    .run = run,
    .after_stop = "run the same command again to go on",
};
