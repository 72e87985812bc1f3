/* Decks, --set, topologies, coordinates, records. */

#include "fuzz.h"

#include <math.h>
#include <string.h>

#include "boltzmap/analyse/results.h"
#include "boltzmap/app/experiment.h"
#include "boltzmap/base/json.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/io/coordinates.h"
#include "boltzmap/io/deck.h"
#include "boltzmap/model/constraints.h"
#include "boltzmap/model/force_field.h"
#include "boltzmap/model/prmtop.h"

#define BM_GROUPS "run,system,reference,flow,training,generate,evaluate"
#define BM_OVERRIDES_MOST 4

/* --- decks ------------------------------------------------------------------------------------ */

static bm_status_t load(const char *path, const char *const *overrides, size_t count,
                        bm_deck_t **deck)
{
  *deck = NULL;
  bm_status_t status = bm_experiment_load(fuzz_context, path, overrides, count, deck);
  FUZZ_REQUIRE((status == BM_OK) == (*deck != NULL));
  return status;
}

static void require_same(const bm_deck_case_t *a, const bm_deck_case_t *b)
{
  FUZZ_REQUIRE(strcmp(bm_deck_case_name(a), bm_deck_case_name(b)) == 0);
  FUZZ_REQUIRE(bm_deck_fingerprint(a, BM_GROUPS) == bm_deck_fingerprint(b, BM_GROUPS));
}

/* The echo loads to the same deck, and is its own echo but for where values come from. */
static void require_echo(const bm_deck_t *deck)
{
  const char *echo = bm_deck_echo(deck);
  bm_deck_t *again;
  FUZZ_REQUIRE(load(fuzz_file("echo.cfg", echo, strlen(echo)), NULL, 0, &again) == BM_OK);
  FUZZ_REQUIRE(bm_deck_case_count(again) == bm_deck_case_count(deck));
  require_same(bm_deck_base(deck), bm_deck_base(again));
  for (size_t i = 0; i < bm_deck_case_count(deck); i++) {
    require_same(bm_deck_case(deck, i), bm_deck_case(again, i));
  }
  bm_deck_destroy(&again);
}

static void try_deck(const char *path, const char *const *overrides, size_t count)
{
  bm_deck_t *deck;
  if (!fuzz_is_taken(load(path, overrides, count, &deck))) {
    return;
  }
  require_echo(deck);
  if (fuzz_is_taken(bm_experiment_check_all(deck))) {
    (void)fuzz_is_taken(bm_experiment_check_memory(deck));
  }
  bm_deck_destroy(&deck);
}

static void run_deck(const uint8_t *bytes, size_t count)
{
  try_deck(fuzz_file("deck.cfg", bytes, count), NULL, 0);
}

/* Each line of the input is what follows --set. */
static void run_override(const uint8_t *bytes, size_t count)
{
  static const char deck[] = "run: { name = \"x\"; };\n"
                             "system: { kind = \"gaussian\"; dimension = 3; };\n"
                             "cases: ( { name = \"a\"; flow: { layers = 2; }; },\n"
                             "  { name = \"b\"; system: { mean = 2.0; }; } );\n";
  const char *overrides[BM_OVERRIDES_MOST];
  size_t found = 0;
  char *text = fuzz_text(bytes, count);
  for (char *line = strtok(text, "\n"); line != NULL && found < BM_OVERRIDES_MOST;
       line = strtok(NULL, "\n")) {
    overrides[found++] = line;
  }
  try_deck(fuzz_file("deck.cfg", deck, sizeof deck - 1), overrides, found);
  free(text);
}

/* --- molecules -------------------------------------------------------------------------------- */

static void require_lists(const bm_topology_t *topology)
{
  size_t count;
  size_t(*lists[3])[2] = {NULL, NULL, NULL};
  bm_dihedral_t *dihedrals = NULL;
  FUZZ_REQUIRE(bm_topology_backbone(topology, &count, &dihedrals) == BM_OK);
  FUZZ_REQUIRE(bm_topology_nonbonded(topology, 2, &count, &lists[0]) == BM_OK);
  FUZZ_REQUIRE(bm_topology_methyls(topology, &count, (size_t(**)[3]) & lists[1]) == BM_OK);
  FUZZ_REQUIRE(bm_topology_stereocentres(topology, &count, (size_t(**)[4]) & lists[2]) == BM_OK);
  for (size_t i = 0; i < 3; i++) {
    bm_free(lists[i]);
  }
  bm_free(dihedrals);
}

/* A force field and constraints are made where the topology has what they need. */
static void use_topology(const bm_topology_t *topology)
{
  bm_force_field_t *field = NULL;
  bm_constraints_t *constraints = NULL;
  double energy[BM_TERM_COUNT];
  double *x = NULL;
  double *force = NULL;
  FUZZ_REQUIRE(BM_ALLOC(3 * topology->atoms, &x) == BM_OK);
  FUZZ_REQUIRE(BM_ALLOC(3 * topology->atoms, &force) == BM_OK);
  for (size_t k = 0; k < 3 * topology->atoms; k++) {
    x[k] = 0.1 * (double)(k % 7) + 0.15 * (double)(k / 3);
  }
  if (fuzz_is_taken(bm_force_field_create(topology, 78.3, &field))) {
    bm_force_field_energy(field, x, energy, force);
  }
  (void)fuzz_is_taken(bm_constraints_create(topology, &constraints));
  bm_constraints_destroy(&constraints);
  bm_force_field_destroy(&field);
  bm_free(force);
  bm_free(x);
}

static void run_prmtop(const uint8_t *bytes, size_t count)
{
  bm_topology_t *topology = NULL;
  if (fuzz_is_taken(bm_prmtop_read(fuzz_file("x.prmtop", bytes, count), &topology))) {
    require_lists(topology);
    use_topology(topology);
  }
  bm_topology_destroy(&topology);
}

static void run_coordinates(const uint8_t *bytes, size_t count)
{
  const char *path = fuzz_file("x.rst7", bytes, count);
  bm_coordinates_t coordinates;
  (void)bm_coordinates_recognise(path);
  if (fuzz_is_taken(bm_coordinates_read(path, &coordinates))) {
    FUZZ_REQUIRE(coordinates.atoms > 0);
    for (size_t k = 0; k < 3 * coordinates.atoms; k++) {
      FUZZ_REQUIRE(isfinite(coordinates.x[k]));
    }
  }
  bm_free(coordinates.x);
}

/* --- records ---------------------------------------------------------------------------------- */

/* What is read is written again as it was. */
static void require_reprint(const bm_json_t *value)
{
  char *text = NULL;
  char *again = NULL;
  bm_json_t *back = NULL;
  FUZZ_REQUIRE(bm_json_print(value, 1, &text) == BM_OK);
  FUZZ_REQUIRE(bm_json_parse("again", text, &back) == BM_OK);
  FUZZ_REQUIRE(bm_json_print(back, 1, &again) == BM_OK);
  FUZZ_REQUIRE(strcmp(text, again) == 0);
  bm_json_destroy(&back);
  bm_free(again);
  bm_free(text);
}

static void run_json(const uint8_t *bytes, size_t count)
{
  char *text = fuzz_text(bytes, count);
  bm_json_t *value = NULL;
  bm_results_t *results = NULL;
  if (fuzz_is_taken(bm_json_parse("input", text, &value))) {
    require_reprint(value);
    FUZZ_REQUIRE(bm_results_create(&results) == BM_OK);
    (void)fuzz_is_taken(
        bm_results_merge(results, bm_json_get(value, "metrics"), bm_json_get(value, "timings")));
    (void)bm_results_value(results, "w2_exact");
    bm_results_destroy(&results);
  }
  bm_json_destroy(&value);
  free(text);
}

const fuzz_target_t fuzz_text_targets[] = {
    {"deck", NULL, run_deck},
    {"override", NULL, run_override},
    {"prmtop", NULL, run_prmtop},
    {"rst7", NULL, run_coordinates},
    {"pdb", NULL, run_coordinates},
    {"json", NULL, run_json},
    {NULL, NULL, NULL},
};
