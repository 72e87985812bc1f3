/* boltzmap energy: energies, and forces, of given configurations; one JSON line a frame. */

#include <math.h>

#include "boltzmap/app/commands.h"
#include "boltzmap/app/experiment.h"
#include "boltzmap/base/json.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/io/samples.h"
#include "boltzmap/parallel/agree.h"

#define BM_FRAMES 1024 /* at a time */

static const bm_option_t options[] = {
    {"--in", "FILE", "configurations: HDF5 (H5MD or rows), .npy, AMBER .rst7 or PDB; needed"},
    {"--dataset", "NAME", "data set in an HDF5 file"},
    {"--case", "NAME", "system of this case; default: the deck's own"},
    {"--forces", NULL, "forces too"},
    {"--set", "PATH=VALUE", "change a value of the deck; may be repeated"},
    {NULL, NULL, NULL},
};

/* What is said of one configuration. */
typedef struct {
  size_t frame;
  double energy;
  const double *terms;    /* [terms of the potential] */
  const double *gradient; /* [d], or NULL */
} row_t;

static bm_status_t add_terms(bm_json_t *line, const bm_potential_t *potential, const double *terms)
{
  const size_t count = bm_potential_term_count(potential);
  bm_json_t *object;
  if (count == 0) {
    return BM_OK;
  }
  BM_TRY(bm_json_add_object(line, "terms", &object));
  for (size_t t = 0; t < count; t++) {
    BM_TRY(bm_json_add_number(object, bm_potential_ops(potential)->term_names[t], terms[t]));
  }
  return BM_OK;
}

static bm_status_t fill_line(bm_json_t *line, const bm_potential_t *potential, const row_t *row)
{
  const size_t d = bm_potential_dimension(potential);
  const double *gradient = row->gradient;
  BM_TRY(bm_json_add_number(line, "frame", (double)row->frame));
  BM_TRY(bm_json_add_number(line, "energy", row->energy));
  BM_TRY(add_terms(line, potential, row->terms));
  if (gradient == NULL) {
    return BM_OK;
  }
  bm_json_t *forces;
  BM_TRY(bm_json_add_array(line, "forces", &forces));
  for (size_t k = 0; k < d; k++) {
    BM_TRY(bm_json_add_number(forces, NULL, -gradient[k]));
  }
  return BM_OK;
}

static bm_status_t print_line(const bm_potential_t *potential, const row_t *row)
{
  bm_json_t *line = bm_json_object();
  if (line == NULL) {
    return BM_FAIL(BM_ERR_MEMORY, "out of memory: energies");
  }
  bm_status_t status = fill_line(line, potential, row);
  if (status == BM_OK) {
    status = bm_json_say(line);
  }
  bm_json_destroy(&line);
  return status;
}

/* JSON has no infinity, and a file of energies with holes is no use. */
static bm_status_t check_frame(const char *path, size_t frame, double energy, size_t d,
                               const double *gradient)
{
  int good = isfinite(energy);
  for (size_t k = 0; gradient != NULL && k < d; k++) {
    good = good && isfinite(gradient[k]);
  }
  return good ? BM_OK
              : BM_FAIL(BM_ERR_DATA, "%s: row %zu has no finite energy%s", path, frame,
                        gradient != NULL ? " and forces" : "");
}

/* Rank 0's own. */
static bm_status_t print_energies(const bm_potential_t *potential, const char *path, size_t n,
                                  const double *x, int forces)
{
  const size_t d = bm_potential_dimension(potential);
  const size_t term_count = bm_potential_term_count(potential);
  double *room = NULL;
  BM_TRY(BM_ALLOC(BM_FRAMES * (d + 1 + term_count), &room));
  double *terms = room + BM_FRAMES;
  double *gradient = forces ? terms + BM_FRAMES * term_count : NULL;
  bm_status_t status = BM_OK;
  for (size_t first = 0; status == BM_OK && first < n; first += BM_FRAMES) {
    size_t count = n - first < BM_FRAMES ? n - first : BM_FRAMES;
    bm_potential_energy(potential, count, x + first * d, room, gradient);
    bm_potential_terms(potential, count, x + first * d, terms);
    for (size_t i = 0; status == BM_OK && i < count; i++) {
      const row_t row = {first + i, room[i], terms + i * term_count,
                         forces ? gradient + i * d : NULL};
      status = check_frame(path, row.frame, row.energy, d, row.gradient);
      if (status == BM_OK) {
        status = print_line(potential, &row);
      }
    }
  }
  bm_free(room);
  return status;
}

static const bm_deck_case_t *find_case(const bm_deck_t *deck, const char *name)
{
  return name == NULL ? bm_deck_base(deck) : bm_experiment_find_case(deck, name);
}

static bm_status_t read_and_print(const bm_context_t *context, const bm_arguments_t *arguments,
                                  const bm_potential_t *potential)
{
  const char *in = bm_arguments_value(arguments, "--in");
  bm_samples_selection_t selection = {.dataset = bm_arguments_value(arguments, "--dataset")};
  bm_samples_t *samples = NULL;
  double *all = NULL;
  BM_TRY(bm_samples_read(context, in, &selection, &samples));
  bm_status_t status = BM_OK;
  if (samples->d != bm_potential_dimension(potential)) {
    status = BM_FAIL(BM_ERR_DATA, "%s: has %zu columns, the system has %zu", in, samples->d,
                     bm_potential_dimension(potential));
  } else {
    status = bm_samples_replicate(context, samples, &all);
  }
  if (status == BM_OK && bm_context_is_root(context)) {
    status =
        print_energies(potential, in, samples->n, all, bm_arguments_has(arguments, "--forces"));
  }
  bm_free(all);
  bm_samples_destroy(&samples);
  return bm_agree(context, status);
}

static bm_status_t use_deck(const bm_context_t *context, const bm_arguments_t *arguments,
                            const bm_deck_t *deck)
{
  const char *name = bm_arguments_value(arguments, "--case");
  const bm_deck_case_t *deck_case = find_case(deck, name);
  bm_potential_t *potential = NULL;
  if (deck_case == NULL) {
    return BM_FAIL(BM_ERR_USAGE, "--case %s: the deck has no such case", name);
  }
  BM_TRY_AGREE(context, bm_potential_create(deck_case, &potential));
  bm_status_t status = read_and_print(context, arguments, potential);
  bm_potential_destroy(&potential);
  return status;
}

static bm_status_t run(const bm_context_t *context, const bm_arguments_t *arguments)
{
  const char *const *overrides;
  bm_deck_t *deck = NULL;
  if (!bm_arguments_has(arguments, "--in")) {
    return BM_FAIL(BM_ERR_USAGE, "energy: --in FILE is needed");
  }
  const char *in = bm_arguments_value(arguments, "--in");
  BM_TRY(bm_command_check_dataset(context, arguments, (const char *const[]){in, NULL}));
  size_t count = bm_arguments_values(arguments, "--set", &overrides);
  BM_TRY(
      bm_experiment_load(context, bm_arguments_positional(arguments, 0), overrides, count, &deck));
  bm_status_t status = use_deck(context, arguments, deck);
  bm_deck_destroy(&deck);
  return status;
}

const bm_command_t bm_command_energy = {
    .name = "energy",
    .positional = {"DECK"},
    .summary = "energies and forces of given configurations, one JSON line a frame",
    .details = NULL,
    .options = options,
    .run = run,
};
