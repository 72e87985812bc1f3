#include "scratch.h"

#include <errno.h>
#include <math.h>
#include <mpi.h>
#include <sys/wait.h>
#include <xxhash.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/deck.h"
#include "boltzmap/io/file.h"

static bm_context_t *context;

static const char *const kinds[] = {"gaussian", "double-well", "coulomb", NULL};
static const char *const samplers[] = {"metropolis", "hmc", "langevin", "file", NULL};
static const char *const activations[] = {"relu", "tanh", "gelu", NULL};

static const bm_deck_key_t first_table[] = {
    {"run.name", BM_DECK_STRING, NULL, 0, 0, NULL, NULL, "name of the run"},
    {"run.seed", BM_DECK_INT, "1", 0, 9e18, NULL, NULL, "seed"},
    {"run.output_dir", BM_DECK_PATH, "\"\"", 0, 0, NULL, NULL, "output folder"},
    {"system.kind", BM_DECK_STRING, NULL, 0, 0, kinds, NULL, "the potential"},
    {"system.beta", BM_DECK_REAL, "1.0", 1e-12, 1e12, NULL, NULL, "inverse temperature"},
    {"reference.sampler", BM_DECK_STRING, "\"metropolis\"", 0, 0, samplers, NULL, "sampler"},
    {"reference.file", BM_DECK_PATH, NULL, 0, 0, NULL, "reference.sampler=file", "samples"},
    {"reference.samples", BM_DECK_INT, "12000", 1, 1e12, NULL,
     "reference.sampler=metropolis|hmc|langevin", "samples to make"},
    {"reference.adapt", BM_DECK_BOOL, "true", 0, 0, NULL, "reference.sampler=metropolis|hmc",
     "adapt the step"},
    {"reference.leapfrog_steps", BM_DECK_INT, "10", 1, 1000, NULL, "reference.sampler=hmc",
     "steps"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

static const bm_deck_key_t gaussian_table[] = {
    {"system.dimension", BM_DECK_INT, "2", 1, 1000, NULL, "system.kind=gaussian", "dimension"},
    {"system.mean", BM_DECK_REAL, "0.5", -1e3, 1e3, NULL, "system.kind=gaussian", "mean"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

static const bm_deck_key_t well_table[] = {
    {"system.mean", BM_DECK_INT, "3", 1, 9, NULL, "system.kind=double-well", "number of wells"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

static const bm_deck_key_t last_table[] = {
    {"system.softening", BM_DECK_REAL, NULL, 0, 1, NULL, "system.kind=coulomb", "soft core"},
    {"flow.layers", BM_DECK_INT, "8", 1, 100, NULL, NULL, "coupling layers"},
    {"flow.hidden", BM_DECK_INT_LIST, "[256, 256]", 1, 1e10, NULL, NULL, "widths"},
    {"flow.activation", BM_DECK_STRING, "\"relu\"", 0, 0, activations, NULL, "activation"},
    {"flow.label", BM_DECK_STRING, "\"\"", 0, 0, NULL, NULL, "any text"},
    {"flow.any", BM_DECK_REAL, "0", -1.7e308, 1.7e308, NULL, NULL, "any number"},
    {"flow.whole", BM_DECK_INT, "0", -9.3e18, 9.3e18, NULL, NULL, "any integer"},
    {"evaluate.lipschitz", BM_DECK_BOOL, "false", 0, 0, NULL, NULL, "Lipschitz constants"},
    {"evaluate.probes", BM_DECK_INT, "5", 1, 100, NULL, "evaluate.lipschitz=true", "probes"},
    {"evaluate.ascent", BM_DECK_REAL, "0.1", 0, 1, NULL, "evaluate.probes=7|8", "ascent step"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

static const bm_deck_key_t *const tables[] = {first_table, gaussian_table, well_table, last_table,
                                              NULL};

#define GROUPS "run,system,reference,flow,evaluate"
#define RUN "run: { name = \"test\"; };\n"
#define GOOD RUN "system: { kind = \"gaussian\"; };\n"

static int open_all(void **state)
{
  return scratch_open(state) != 0 || bm_context_create(MPI_COMM_WORLD, &context) != BM_OK;
}

static int close_all(void **state)
{
  bm_context_destroy(&context);
  return scratch_close(state);
}

static bm_status_t try_file(const char *path, const char *const *overrides, size_t count,
                            bm_deck_t **deck)
{
  bm_status_set_message("");
  bm_status_t status = bm_deck_load(context, path, overrides, count, tables, deck);
  assert_int_equal(status == BM_OK, *deck != NULL);
  return status;
}

static const char *const *list_of(const char *one, const char *two)
{
  static const char *texts[2];
  texts[0] = one;
  texts[1] = two;
  return texts;
}

/* Load a deck from its text, with up to two overrides (NULL: none). */
static bm_status_t try_text(const char *text, const char *one, const char *two, bm_deck_t **deck)
{
  const char *path = scratch("deck.cfg");
  write_file(path, text, strlen(text));
  size_t count = (one != NULL) + (size_t)(two != NULL);
  return try_file(path, list_of(one, two), count, deck);
}

static bm_deck_t *deck_with(const char *text, const char *one, const char *two)
{
  bm_deck_t *deck;
  if (try_text(text, one, two, &deck) != BM_OK) {
    fail_msg("%s\n%s", text, bm_status_message());
  }
  return deck;
}

static bm_deck_t *deck_of(const char *text)
{
  return deck_with(text, NULL, NULL);
}

/* The message of a refusal, without the folder's name. */
static const char *refusal(void)
{
  static char text[BM_MESSAGE_MAX];
  const char *message = bm_status_message();
  size_t used = 0;
  while (*message != '\0') {
    size_t folder = strlen(scratch_folder);
    if (strncmp(message, scratch_folder, folder) == 0 && message[folder] == '/') {
      message += folder + 1;
      continue;
    }
    text[used++] = *message++;
  }
  text[used] = '\0';
  return text;
}

static void assert_refused_with(const char *text, const char *one, bm_status_t expected,
                                const char *message)
{
  bm_deck_t *deck;
  bm_status_t status = try_text(text, one, NULL, &deck);
  if (status != expected || strcmp(refusal(), message) != 0) {
    fail_msg("%s\nexit code %d\nexpected %s\nfound    %s", text, bm_status_exit_code(status),
             message, refusal());
  }
}

static void assert_refused(const char *text, const char *message)
{
  assert_refused_with(text, NULL, BM_ERR_DATA, message);
}

typedef struct {
  const char *text, *message;
} refusal_t;

static void assert_all_refused(const refusal_t *rows, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    assert_refused(rows[i].text, rows[i].message);
  }
}

#define ASSERT_ALL_REFUSED(rows) assert_all_refused((rows), sizeof(rows) / sizeof(rows)[0])

static void values_have_their_types_and_defaults(void **state)
{
  (void)state;
  bm_deck_t *deck = deck_of("run: { name = \"a+B-1._\"; seed = 7; };\n"
                            "system: { kind = \"gaussian\"; beta = 2.5; mean = -1e-3; };\n"
                            "flow: { hidden = [1, 2, 3]; activation = \"tanh\"; };\n"
                            "reference: { adapt = FALSE; };\n");
  assert_int_equal(bm_deck_case_count(deck), 1);
  const bm_deck_case_t *one = bm_deck_case(deck, 0);
  assert_string_equal(bm_deck_case_name(one), "a+B-1._");
  assert_string_equal(bm_deck_case_name(bm_deck_base(deck)), "a+B-1._");
  assert_true(bm_deck_int(one, "run.seed") == 7 && bm_deck_int(one, "flow.layers") == 8);
  assert_true(bm_deck_real(one, "system.beta") == 2.5 && bm_deck_real(one, "system.mean") == -1e-3);
  assert_false(bm_deck_bool(one, "reference.adapt"));
  assert_string_equal(bm_deck_string(one, "flow.activation"), "tanh");
  assert_string_equal(bm_deck_string(one, "run.output_dir"), "");
  const int64_t *hidden;
  assert_int_equal(bm_deck_int_list(one, "flow.hidden", &hidden), 3);
  assert_true(hidden[0] == 1 && hidden[1] == 2 && hidden[2] == 3);
  assert_true(bm_deck_has(one, "system.dimension") && !bm_deck_has(one, "system.softening"));
  assert_true(bm_deck_int(bm_deck_base(deck), "system.dimension") == 2);
  bm_deck_destroy(&deck);
  assert_null(deck);
}

static void an_integer_is_a_real_number(void **state)
{
  (void)state;
  bm_deck_t *deck = deck_of(GOOD "flow: { any = 2; };");
  assert_true(bm_deck_real(bm_deck_base(deck), "flow.any") == 2.0);
  bm_deck_destroy(&deck);
  deck = deck_of(GOOD "flow: { any = 3000000000; };");
  assert_true(bm_deck_real(bm_deck_base(deck), "flow.any") == 3e9);
  bm_deck_destroy(&deck);
}

static int64_t whole_of(const char *number)
{
  char text[256];
  snprintf(text, sizeof text, GOOD "flow: { whole = %s };", number);
  bm_deck_t *deck = deck_of(text);
  int64_t whole = bm_deck_int(bm_deck_base(deck), "flow.whole");
  bm_deck_destroy(&deck);
  return whole;
}

static void integers_are_read_with_all_64_bits(void **state)
{
  (void)state;
  assert_true(whole_of("3000000000") == 3000000000);
  assert_true(whole_of("3000000000L") == 3000000000);
  assert_true(whole_of("-3000000000LL;") == -3000000000);
  assert_true(whole_of("+5") == 5 && whole_of("007") == 7 && whole_of("-0") == 0);
  assert_true(whole_of("0xFFFFFFFF") == 0xFFFFFFFF && whole_of("0X10L") == 16);
  assert_true(whole_of("9223372036854775807") == INT64_MAX);
  assert_true(whole_of("-9223372036854775808") == INT64_MIN);
  assert_true(whole_of("2147483648") == 2147483648 && whole_of("-2147483649") == -2147483649);
  assert_true(whole_of("1e6") == 1000000 && whole_of("12000.0") == 12000);
  assert_true(whole_of("9007199254740992.0") == 9007199254740992);
  static const refusal_t rows[] = {
      {GOOD "flow: { whole = 9223372036854775808; };",
       "deck.cfg:3: whole: 9223372036854775808 is beyond the integers of 64 bits; a real number "
       "has a "
       "point or an exponent, as 1e20"},
      {GOOD "flow: {\n whole = 0x8000000000000000L; };",
       "deck.cfg:4: whole: 0x8000000000000000 is beyond the integers of 64 bits; a real number has "
       "a "
       "point or an exponent, as 1e20"},
      {GOOD "flow: { whole = 1.5; };",
       "deck.cfg:3: flow.whole = 1.5: expected an integer from -9.3e+18 to 9.3e+18"},
      {GOOD "flow: { whole = 1e18; };",
       "deck.cfg:3: flow.whole = 1e+18: expected an integer from -9.3e+18 to 9.3e+18"},
  };
  ASSERT_ALL_REFUSED(rows);
}

static void lists_may_mix_small_and_large_integers(void **state)
{
  (void)state;
  bm_deck_t *deck = deck_of(GOOD "flow: { hidden = [1, 3000000000, 0x10, 7L]; };");
  const int64_t *hidden;
  assert_int_equal(bm_deck_int_list(bm_deck_base(deck), "flow.hidden", &hidden), 4);
  assert_true(hidden[0] == 1 && hidden[1] == 3000000000 && hidden[2] == 16 && hidden[3] == 7);
  assert_non_null(strstr(bm_deck_echo(deck), "hidden = [1L, 3000000000L, 16L, 7L];"));
  bm_deck_destroy(&deck);
}

static double real_of(const char *number)
{
  char text[256];
  snprintf(text, sizeof text, GOOD "flow: { any = %s; };", number);
  bm_deck_t *deck = deck_of(text);
  double real = bm_deck_real(bm_deck_base(deck), "flow.any");
  bm_deck_destroy(&deck);
  return real;
}

static void real_numbers_are_read_to_the_last_bit(void **state)
{
  (void)state;
  assert_true(real_of("0.1") == 0.1 && real_of(".5") == 0.5 && real_of("5.") == 5.0);
  assert_true(real_of("1e-3") == 1e-3 && real_of("-1E+3") == -1000.0 && real_of("+.5e1") == 5.0);
  assert_true(real_of("0.30000000000000004") == 0.1 + 0.2);
  assert_true(real_of("1.7e308") == 1.7e308 && real_of("5e-324") == 5e-324);
  assert_true(real_of("1e-400") == 0.0 && !signbit(real_of("-0.0")));
}

static void numbers_that_are_none_are_refused(void **state)
{
  (void)state;
  static const refusal_t rows[] = {
      {GOOD "flow: { any = 1e400; };",
       "deck.cfg:3: any: 1e400 is not finite: real numbers reach 1.8e308"},
      {GOOD "flow: { any = -1.0e999; };",
       "deck.cfg:3: any: -1.0e999 is not finite: real numbers reach 1.8e308"},
      {GOOD "flow: { any = nan; };",
       "deck.cfg:3: any: nan: not a value; strings stand in double quotes"},
      {GOOD "flow: { any = .; };", "deck.cfg:3: any: .: a number without digits"},
      {GOOD "flow: { any = -.e5; };", "deck.cfg:3: any: -.e5: a number without digits"},
      {GOOD "flow: { any = 1.5.2; };", "deck.cfg:3: syntax error, here or just before"},
      {GOOD "flow: { any = 1,5; };", "deck.cfg:3: syntax error, here or just before"},
      {GOOD "flow: { any = 5 nm; };", "deck.cfg:3: syntax error, here or just before"},
      {GOOD "flow: { any = 1_000; };", "deck.cfg:3: syntax error, here or just before"},
      {GOOD "flow: { whole = 5-3; };", "deck.cfg:3: syntax error, here or just before"},
      {GOOD "flow: { whole = -; };", "deck.cfg:3: syntax error, here or just before"},
  };
  ASSERT_ALL_REFUSED(rows);
}

static void unknown_names_are_refused_with_the_nearest(void **state)
{
  (void)state;
  static const refusal_t rows[] = {
      {GOOD "flow: {\n  layer = 8; };",
       "deck.cfg:4: flow.layer: unknown key; did you mean flow.layers?"},
      {GOOD "flow: { acitvation = 8; };",
       "deck.cfg:3: flow.acitvation: unknown key; did you mean flow.activation?"},
      {GOOD "flow: { beta = 8; };",
       "deck.cfg:3: flow.beta: unknown key; did you mean system.beta?"},
      {GOOD "flow: { nothing_like_it = 8; };", "deck.cfg:3: flow.nothing_like_it: unknown key"},
      {GOOD "flwo: { layers = 8; };", "deck.cfg:3: flwo: unknown group; did you mean flow?"},
      {GOOD "case: ( );", "deck.cfg:3: case: unknown group; did you mean cases?"},
      {GOOD "anything: { layers = 8; };", "deck.cfg:3: anything: unknown group"},
      {GOOD "layers = 8;",
       "deck.cfg:3: layers: unknown key; keys stand in groups; did you mean flow.layers?"},
      {GOOD "x = 8;", "deck.cfg:3: x: unknown key; keys stand in groups"},
      {GOOD "flow: { net: { layers = 8; }; };", "deck.cfg:3: flow.net: unknown key"},
      {RUN "system: { kind = \"gausian\"; };",
       "deck.cfg:2: system.kind = \"gausian\": did you mean \"gaussian\"? expected \"gaussian\", "
       "\"double-well\" or \"coulomb\""},
      {GOOD "cases: ( { name = \"x\"; system: { softning = 1; }; } );",
       "deck.cfg:3: case \"x\": system.softning: unknown key; did you mean system.softening?"},
      {GOOD "cases: ( { name = \"x\"; sistem: { beta = 1; }; } );",
       "deck.cfg:3: case \"x\": sistem: unknown group; did you mean system?"},
      {GOOD "cases: ( { name = \"x\"; beta = 1; } );",
       "deck.cfg:3: case \"x\": beta: unknown key; keys stand in groups; did you mean "
       "system.beta?"},
  };
  ASSERT_ALL_REFUSED(rows);
}

static void wrong_types_are_refused_with_what_was_expected(void **state)
{
  (void)state;
  static const refusal_t rows[] = {
      {GOOD "flow: { layers = \"8\"; };",
       "deck.cfg:3: flow.layers = \"8\": expected an integer from 1 to 100"},
      {GOOD "flow: { layers = true; };",
       "deck.cfg:3: flow.layers = true: expected an integer from 1 to 100"},
      {GOOD "flow: { any = [1.0]; };",
       "deck.cfg:3: flow.any = a list [ ]: expected a real number from -1.7e+308 to 1.7e+308"},
      {GOOD "flow: { any = true; };",
       "deck.cfg:3: flow.any = true: expected a real number from -1.7e+308 to 1.7e+308"},
      {GOOD "flow: { hidden = 64; };", "deck.cfg:3: flow.hidden = 64: expected a list of integers "
                                       "from 1 to 1e+10, as [1, 1]"},
      {GOOD "flow: { hidden = []; };", "deck.cfg:3: flow.hidden = an empty list [ ]: expected a "
                                       "list of integers from 1 to 1e+10, as [1, 1]"},
      {GOOD "flow: { hidden = (64, 64); };",
       "deck.cfg:3: flow.hidden = a list in parentheses ( ): expected a list of integers from 1 to "
       "1e+10, as [1, 1]"},
      {GOOD "flow: { hidden = [64, 0]; };",
       "deck.cfg:3: flow.hidden = a list [ ]: its item 2 is 0; expected a list of integers from 1 "
       "to 1e+10, as [1, 1]"},
      {GOOD "flow: { hidden = [\"a\"]; };",
       "deck.cfg:3: flow.hidden = a list [ ]: its item 1 is \"a\"; expected a list of integers "
       "from 1 to 1e+10, as [1, 1]"},
      {GOOD "flow: { hidden = [64, 1.5]; };",
       "deck.cfg:3: mismatched element type in array, here or just before"},
      {GOOD "flow: { label = 5; };",
       "deck.cfg:3: flow.label = 5: expected a string in double quotes"},
      {GOOD "flow: { label = word; };",
       "deck.cfg:3: label: word: not a value; strings stand in double quotes"},
      {GOOD "flow: { activation = \"\"; };",
       "deck.cfg:3: flow.activation = \"\": expected \"relu\", \"tanh\" or \"gelu\""},
      {GOOD "evaluate: { lipschitz = 1; };",
       "deck.cfg:3: evaluate.lipschitz = 1: expected true or false"},
      {RUN "system: { kind = \"gaussian\"; beta: { x = 1; }; };",
       "deck.cfg:2: system.beta = a group { }: expected a real number from 1e-12 to 1e+12"},
      {GOOD "flow = 8;", "deck.cfg:3: flow = 8: expected a group of keys, as flow: { ... };"},
      {GOOD "flow = (1);",
       "deck.cfg:3: flow = a list in parentheses ( ): expected a group of keys, as flow: { ... };"},
      {"run: { name = \"a\"; output_dir = 5; };",
       "deck.cfg:1: run.output_dir = 5: expected a file name in double quotes"},
  };
  ASSERT_ALL_REFUSED(rows);
}

static void values_out_of_range_are_refused(void **state)
{
  (void)state;
  static const refusal_t rows[] = {
      {GOOD "flow: { layers = 0; };",
       "deck.cfg:3: flow.layers = 0: expected an integer from 1 to 100"},
      {GOOD "flow: { layers = 101; };",
       "deck.cfg:3: flow.layers = 101: expected an integer from 1 to 100"},
      {GOOD "flow: { layers = 4294967297; };", /* 1 in 32 bits */
       "deck.cfg:3: flow.layers = 4294967297: expected an integer from 1 to 100"},
      {RUN "system: { kind = \"coulomb\"; softening = -1e-9; };",
       "deck.cfg:2: system.softening = -1e-09: expected a real number from 0 to 1"},
  };
  ASSERT_ALL_REFUSED(rows);
  bm_deck_t *deck = deck_of(GOOD "flow: { layers = 100; };");
  bm_deck_destroy(&deck);
  deck = deck_of(GOOD "flow: { layers = 1; };");
  bm_deck_destroy(&deck);
}

static void missing_keys_are_named(void **state)
{
  (void)state;
  static const refusal_t rows[] = {
      {"", "deck.cfg: nothing in it"},
      {"# only a comment\n\n", "deck.cfg: nothing in it"},
      {"system: { kind = \"gaussian\"; };",
       "deck.cfg: run.name: missing; expected a string in double quotes (name of the run)"},
      {RUN, "deck.cfg: system.kind: missing; expected \"gaussian\", \"double-well\" or \"coulomb\" "
            "(the potential)"},
      {RUN "system: { kind = \"coulomb\"; };",
       "deck.cfg: system.softening: missing; expected a real number from 0 to 1 (soft core)"},
      {GOOD "cases: ( { name = \"x\"; system: { kind = \"coulomb\"; }; } );",
       "deck.cfg: case \"x\": system.softening: missing; expected a real number from 0 to 1 (soft "
       "core)"},
      {RUN "cases: ( { name = \"x\"; system: { kind = \"gaussian\"; }; } );",
       "deck.cfg: system.kind: missing in the deck's own groups, which cases are laid over; "
       "expected \"gaussian\", \"double-well\" or \"coulomb\" (the potential)"},
  };
  ASSERT_ALL_REFUSED(rows);
}

static void a_key_applies_where_its_condition_holds(void **state)
{
  (void)state;
  bm_deck_t *deck = deck_of(GOOD "evaluate: { lipschitz = true; probes = 7; ascent = 0.2; };");
  assert_true(bm_deck_real(bm_deck_base(deck), "evaluate.ascent") == 0.2);
  bm_deck_destroy(&deck);
  deck = deck_of(GOOD "evaluate: { lipschitz = true; };");
  assert_true(bm_deck_has(bm_deck_base(deck), "evaluate.probes"));
  assert_false(bm_deck_has(bm_deck_base(deck), "evaluate.ascent"));
  bm_deck_destroy(&deck);
  static const refusal_t rows[] = {
      {GOOD "evaluate: { probes = 7; };",
       "deck.cfg:3: evaluate.probes = 7: applies only where evaluate.lipschitz=true; here "
       "evaluate.lipschitz is false"},
      {GOOD "evaluate: { ascent = 0.2; };",
       "deck.cfg:3: evaluate.ascent = 0.2: applies only where evaluate.probes=7|8; here "
       "evaluate.probes does not apply"},
      {GOOD "reference: {\n  leapfrog_steps = 3; };",
       "deck.cfg:4: reference.leapfrog_steps = 3: applies only where reference.sampler=hmc; here "
       "reference.sampler is \"metropolis\""},
      {RUN "system: { kind = \"coulomb\"; softening = 0; mean = 1; };",
       "deck.cfg:2: system.mean = 1: applies only where system.kind=gaussian or "
       "system.kind=double-well; here system.kind is \"coulomb\""},
      {GOOD "cases: ( { name = \"x\";\n reference: { leapfrog_steps = 3; }; } );",
       "deck.cfg:4: case \"x\": reference.leapfrog_steps = 3: applies only where "
       "reference.sampler=hmc; here reference.sampler is \"metropolis\""},
  };
  ASSERT_ALL_REFUSED(rows);
}

static void one_path_may_mean_two_things(void **state)
{
  (void)state;
  bm_deck_t *deck = deck_of(RUN "system: { kind = \"double-well\"; };\n"
                                "cases: ( { name = \"g\"; system: { kind = \"gaussian\"; }; },\n"
                                "{ name = \"w\"; system: { mean = 5; }; } );");
  assert_true(bm_deck_int(bm_deck_base(deck), "system.mean") == 3);
  assert_true(bm_deck_real(bm_deck_case(deck, 0), "system.mean") == 0.5);
  assert_true(bm_deck_int(bm_deck_case(deck, 1), "system.mean") == 5);
  bm_deck_destroy(&deck);
  assert_refused(RUN "system: { kind = \"double-well\"; mean = 1.5; };",
                 "deck.cfg:2: system.mean = 1.5: expected an integer from 1 to 9");
  assert_refused(RUN "system: { kind = \"gaussian\"; mean = 1.5; };\n"
                     "cases: ( { name = \"w\"; system: { kind = \"double-well\"; }; } );",
                 "deck.cfg:2: case \"w\": system.mean = 1.5: expected an integer from 1 to 9");
}

static void a_case_lies_over_the_deck(void **state)
{
  (void)state;
  bm_deck_t *deck = deck_of(RUN "system: { kind = \"coulomb\"; beta = 5; softening = 1e-8; };\n"
                                "reference: { adapt = false; leapfrog_steps = 3; };\n"
                                "cases: ( { name = \"plain\"; },\n"
                                "  { name = \"soft\"; system: { softening = 0.03; }; },\n"
                                "  { name = \"hmc\"; reference: { sampler = \"hmc\"; }; },\n"
                                "  { name = \"lan\"; reference: { sampler = \"langevin\"; }; } );");
  assert_int_equal(bm_deck_case_count(deck), 4);
  const bm_deck_case_t *soft = bm_deck_case(deck, 1);
  assert_string_equal(bm_deck_case_name(soft), "soft");
  assert_string_equal(bm_deck_case_name(bm_deck_base(deck)), "test");
  assert_true(bm_deck_real(soft, "system.softening") == 0.03);
  assert_true(bm_deck_real(soft, "system.beta") == 5.0);
  assert_true(bm_deck_real(bm_deck_case(deck, 0), "system.softening") == 1e-8);
  assert_true(bm_deck_real(bm_deck_base(deck), "system.softening") == 1e-8);
  /* What applies in some cases only is no part of the others. */
  assert_false(bm_deck_has(bm_deck_base(deck), "reference.leapfrog_steps"));
  assert_true(bm_deck_int(bm_deck_case(deck, 2), "reference.leapfrog_steps") == 3);
  assert_false(bm_deck_has(bm_deck_case(deck, 3), "reference.adapt"));
  bm_deck_destroy(&deck);
}

static void cases_that_are_none_are_refused(void **state)
{
  (void)state;
  static const refusal_t rows[] = {
      {GOOD "cases: ( );", "deck.cfg:3: cases: expected a list of at least one case, as ( { name = "
                           "\"...\"; ... }, ... )"},
      {GOOD "cases: { };", "deck.cfg:3: cases: expected a list of at least one case, as ( { name = "
                           "\"...\"; ... }, ... )"},
      {GOOD "cases = 5;", "deck.cfg:3: cases: expected a list of at least one case, as ( { name = "
                          "\"...\"; ... }, ... )"},
      {GOOD "cases: ( 5 );", "deck.cfg:3: case 1: expected a group, as { name = \"...\"; ... }"},
      {GOOD "cases: ( { name = \"a\"; },\n { } );",
       "deck.cfg:4: case 2: name: missing; expected name = \"...\""},
      {GOOD "cases: ( { name = 5; } );",
       "deck.cfg:3: case 1: name = 5: expected a string in double quotes"},
      {GOOD "cases: ( { name = \"a\"; }, { name = \"a\"; } );",
       "deck.cfg:3: case 2: name = \"a\": an earlier case has this name"},
      {GOOD "cases: ( { name = \"a\"; run: { seed = 2; }; } );",
       "deck.cfg:3: case \"a\": run: belongs to the deck, not to a case"},
      {GOOD "cases: ( { name = \"a\"; cases: ( ); } );",
       "deck.cfg:3: case \"a\": cases: unknown group"},
  };
  ASSERT_ALL_REFUSED(rows);
}

static void a_thousand_cases_are_the_limit(void **state)
{
  (void)state;
  static char text[40000];
  for (int count = 1000; count <= 1001; count++) {
    int used = sprintf(text, GOOD "cases: (");
    for (int i = 0; i < count; i++) {
      used += sprintf(text + used, "%s{ name = \"c%d\"; }", i == 0 ? "" : ",\n", i);
    }
    sprintf(text + used, ");");
    if (count == 1000) {
      bm_deck_t *deck = deck_of(text);
      assert_int_equal(bm_deck_case_count(deck), 1000);
      bm_deck_destroy(&deck);
    } else {
      assert_refused(text, "deck.cfg:3: cases: expected at most 1000");
    }
  }
}

static void names_are_names_of_folders(void **state)
{
  (void)state;
  static const char *const bad[] = {"",       ".",        "..",      ".hidden",     "-x",
                                    "a/b",    "a b",      "a\\\\b",  "caf\303\251", "figures",
                                    "target", "deck.cfg", "log.txt", "stop",        "table1.csv"};
  char text[512];
  bm_deck_t *deck;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    snprintf(text, sizeof text, GOOD "cases: ( { name = \"%s\"; } );", bad[i]);
    assert_int_equal(try_text(text, NULL, NULL, &deck), BM_ERR_DATA);
    assert_non_null(strstr(refusal(), "deck.cfg:3: case 1: name = \""));
    snprintf(text, sizeof text, "run: { name = \"%s\"; }; system: { kind = \"gaussian\"; };",
             bad[i]);
    assert_int_equal(try_text(text, NULL, NULL, &deck), BM_ERR_DATA);
    assert_non_null(strstr(refusal(), "deck.cfg:1: run.name = \""));
  }
  for (int length = 100; length <= 101; length++) {
    snprintf(text, sizeof text, "run: { name = \"%0*d\"; }; system: { kind = \"gaussian\"; };",
             length, 1);
    assert_int_equal(try_text(text, NULL, NULL, &deck), length == 100 ? BM_OK : BM_ERR_DATA);
    bm_deck_destroy(&deck);
  }
}

static void libconfig_syntax_means_what_it_looks_like(void **state)
{
  (void)state;
  /* No semicolons, either sign of assignment, all comments, strings put together. */
  bm_deck_t *deck =
      deck_of("run = { name : \"te\"\n \"st\" seed = 3 }\n"
              "system: { kind = \"gaussian\" # beta = 2.0;\n"
              "  mean = 1.5 // beta = 2.0;\n"
              "  /* beta = 2.0;\n */ dimension = 4 }\n"
              "flow: { label = \"# // /* \\\" \\\\ \\x41\\t\"; layers = 2, any = 3 }");
  const bm_deck_case_t *base = bm_deck_base(deck);
  assert_string_equal(bm_deck_string(base, "run.name"), "test");
  assert_true(bm_deck_int(base, "run.seed") == 3 && bm_deck_real(base, "system.mean") == 1.5);
  assert_true(bm_deck_int(base, "system.dimension") == 4);
  assert_true(bm_deck_real(base, "system.beta") == 1.0);
  assert_string_equal(bm_deck_string(base, "flow.label"), "# // /* \" \\ A\t");
  assert_true(bm_deck_int(base, "flow.layers") == 2 && bm_deck_real(base, "flow.any") == 3.0);
  bm_deck_destroy(&deck);
}

static void broken_text_is_refused_with_its_line(void **state)
{
  (void)state;
  static const refusal_t rows[] = {
      {GOOD "flow: { layers = 8;\n", "deck.cfg:3: syntax error, here or just before"},
      {GOOD "flow: {\n  layers = 8;\n  layers = 9;\n};",
       "deck.cfg:5: duplicate setting name, here or just before"},
      {GOOD "\nrun: { seed = 1; };", "deck.cfg:4: duplicate setting name, here or just before"},
      {GOOD "flow: { label = \"open; };\n}", "deck.cfg:3: a string is not closed"},
      {GOOD "flow: { label = \"a\\\";\n}", "deck.cfg:3: a string is not closed"},
      {GOOD "flow: { label = \"a\\x00b\"; };", "deck.cfg:3: a string cannot hold a byte 0 (\\x00)"},
      {GOOD "\n/* open\n\n", "deck.cfg:4: the comment that starts here is not closed"},
      {GOOD "\001", "deck.cfg:3: byte 0x01: not a text file"},
      {"#\0011 x\n", "deck.cfg:1: byte 0x01: not a text file"},
      {GOOD "flow: { label = \"\177\"; };", "deck.cfg:3: byte 0x7F: not a text file"},
      {GOOD "}", "deck.cfg:3: syntax error, here or just before"},
      {GOOD "flow.layers = 5;", "deck.cfg:3: syntax error, here or just before"},
  };
  ASSERT_ALL_REFUSED(rows);
  bm_deck_t *deck;
  write_file(scratch("deck.cfg"), "run: {\0 };", 10);
  assert_int_equal(try_file(scratch("deck.cfg"), NULL, 0, &deck), BM_ERR_DATA);
  assert_string_equal(refusal(), "deck.cfg:1: byte 0x00: not a text file");
  write_file(scratch("deck.cfg"), "\xFF\xFEr\0u\0", 6);
  assert_int_equal(try_file(scratch("deck.cfg"), NULL, 0, &deck), BM_ERR_DATA);
  assert_string_equal(refusal(), "deck.cfg:1: byte 0x00: not a text file");
}

static void text_of_other_systems_is_read(void **state)
{
  (void)state;
  bm_deck_t *deck = deck_of("\xEF\xBB\xBFrun: { name = \"test\"; };\r\n# comment\r\n"
                            "system: { kind = \"gaussian\"; };\r\n");
  assert_string_equal(bm_deck_string(bm_deck_base(deck), "system.kind"), "gaussian");
  assert_non_null(strstr(bm_deck_echo(deck), "deck.cfg:3\n"));
  bm_deck_destroy(&deck);
  assert_refused("\xEF\xBB\xBFrun: { name = \"test\"; };\r\n# comment\r\nsystem: { knd = 1; };",
                 "deck.cfg:3: system.knd: unknown key; did you mean system.kind?");
}

static void files_that_cannot_be_read_are_errors(void **state)
{
  (void)state;
  bm_deck_t *deck;
  assert_int_equal(try_file(scratch("no.cfg"), NULL, 0, &deck), BM_ERR_IO);
  assert_string_equal(refusal(), "no.cfg: cannot open: No such file or directory");
  assert_int_equal(try_file(scratch("no/no.cfg"), NULL, 0, &deck), BM_ERR_IO);
  assert_int_equal(try_file(scratch_folder, NULL, 0, &deck), BM_ERR_IO);
  assert_message_has("not a regular file");
  assert_int_equal(try_file("", NULL, 0, &deck), BM_ERR_IO);
  assert_int_equal(mkfifo(scratch("pipe"), 0600), 0);
  assert_int_equal(try_file(scratch("pipe"), NULL, 0, &deck), BM_ERR_IO);
  assert_string_equal(refusal(), "pipe: not a regular file");
  unlink(scratch("pipe"));
  write_file(scratch("secret.cfg"), GOOD, strlen(GOOD));
  assert_int_equal(chmod(scratch("secret.cfg"), 0), 0);
  if (access(scratch("secret.cfg"), R_OK) != 0) { /* root reads all */
    assert_int_equal(try_file(scratch("secret.cfg"), NULL, 0, &deck), BM_ERR_IO);
    assert_string_equal(refusal(), "secret.cfg: cannot open: Permission denied");
  }
  unlink(scratch("secret.cfg"));
  write_file(scratch("huge.cfg"), "", 0);
  assert_int_equal(truncate(scratch("huge.cfg"), 100000000), 0);
  assert_int_equal(try_file(scratch("huge.cfg"), NULL, 0, &deck), BM_ERR_DATA);
  assert_string_equal(refusal(), "huge.cfg: more than 1048576 bytes in all: not a deck");
  unlink(scratch("huge.cfg"));
}

static void includes_are_found_beside_the_deck(void **state)
{
  (void)state;
  const char *base = "kind = \"gaussian\";\nbeta = 0.5;\n";
  assert_int_equal(mkdir(scratch("sub"), 0777), 0);
  write_file(scratch("sub/base.inc"), base, strlen(base));
  char here[4096];
  assert_non_null(getcwd(here, sizeof here));
  assert_int_equal(chdir("/"), 0);
  const char *text = RUN "system: {\n  @include \"sub/base.inc\"  mean = 2.0;\n dimension = 3; };";
  bm_deck_t *deck = deck_of(text);
  const bm_deck_case_t *base_case = bm_deck_base(deck);
  assert_true(bm_deck_real(base_case, "system.beta") == 0.5);
  assert_true(bm_deck_real(base_case, "system.mean") == 2.0);
  assert_non_null(strstr(bm_deck_echo(deck), "sub/base.inc:2\n"));
  assert_non_null(strstr(bm_deck_echo(deck), "deck.cfg:3\n")); /* mean */
  assert_non_null(strstr(bm_deck_echo(deck), "deck.cfg:4\n")); /* dimension */
  bm_deck_destroy(&deck);
  assert_int_equal(chdir(scratch_folder), 0); /* the deck named without a folder */
  assert_int_equal(try_file("deck.cfg", NULL, 0, &deck), BM_OK);
  bm_deck_destroy(&deck);
  assert_int_equal(chdir(here), 0);
  write_file(scratch("sub/base.inc"), "kind = \"gaussian\";\nbta = 1;", 27);
  assert_refused(text, "sub/base.inc:2: system.bta: unknown key; did you mean system.beta?");
  write_file(scratch("sub/base.inc"), "kind = \"gaussian\";\n/*", 21);
  assert_refused(text, "sub/base.inc:2: the comment that starts here is not closed");
  unlink(scratch("sub/base.inc"));
  assert_refused_with(text, NULL, BM_ERR_IO,
                      "deck.cfg:3: @include: sub/base.inc: cannot open: No such file or directory");
  rmdir(scratch("sub"));
}

static void includes_that_cannot_be_are_refused(void **state)
{
  (void)state;
  assert_refused("@include \"deck.cfg\"\n",
                 "deck.cfg:1: @include more than 8 deep; does a file include itself?");
  assert_refused(GOOD "@include \"deck.cfg\n",
                 "deck.cfg:3: the file name of @include is not closed");
  assert_refused(GOOD "flow: {}; @include \"deck.cfg\"\n",
                 "deck.cfg:3: syntax error, here or just before");
  assert_refused(GOOD "@includ \"deck.cfg\"\n", "deck.cfg:3: syntax error, here or just before");
  assert_refused_with(GOOD "@include \"\"\n", NULL, BM_ERR_IO,
                      "deck.cfg:3: @include: : not a regular file");
}

static void paths_are_absolute(void **state)
{
  (void)state;
  char expected[8192];
  char *folder = realpath(scratch_folder, NULL);
  bm_deck_t *deck =
      deck_of(GOOD "reference: { sampler = \"file\"; file = \"./a//b/../c d.h5\"; };");
  snprintf(expected, sizeof expected, "%s/a/b/../c d.h5", folder);
  assert_string_equal(bm_deck_string(bm_deck_base(deck), "reference.file"), expected);
  bm_deck_destroy(&deck);
  deck = deck_of(GOOD "reference: { sampler = \"file\"; file = \"/x/./y\"; };");
  assert_string_equal(bm_deck_string(bm_deck_base(deck), "reference.file"), "/x/y");
  bm_deck_destroy(&deck);
  deck = deck_with(GOOD "reference: { sampler = \"file\"; file = \"a\"; };",
                   "reference.file=my samples.h5", "run.output_dir=");
  char here[4096];
  assert_non_null(getcwd(here, sizeof here));
  snprintf(expected, sizeof expected, "%s/my samples.h5", here);
  assert_string_equal(bm_deck_string(bm_deck_base(deck), "reference.file"), expected);
  assert_string_equal(bm_deck_string(bm_deck_base(deck), "run.output_dir"), "");
  bm_deck_destroy(&deck);
  free(folder);
}

static void overrides_go_over_deck_and_cases(void **state)
{
  (void)state;
  const char *text = GOOD "flow: { layers = 4; };\n"
                          "cases: ( { name = \"a\"; flow: { layers = 6; }; }, { name = \"b\"; } );";
  bm_deck_t *deck = deck_with(text, "flow.layers=5", "flow.hidden=[64, 3000000000]");
  const int64_t *hidden;
  assert_true(bm_deck_int(bm_deck_base(deck), "flow.layers") == 5);
  assert_true(bm_deck_int(bm_deck_case(deck, 0), "flow.layers") == 5);
  assert_true(bm_deck_int(bm_deck_case(deck, 1), "flow.layers") == 5);
  assert_int_equal(bm_deck_int_list(bm_deck_base(deck), "flow.hidden", &hidden), 2);
  assert_true(hidden[1] == 3000000000);
  assert_int_equal(bm_deck_override_count(deck), 3);
  assert_string_equal(bm_deck_override(deck, 0), "flow.layers: 4 -> 5");
  assert_string_equal(bm_deck_override(deck, 1), "flow.layers: 6 -> 5 (case \"a\")");
  assert_string_equal(bm_deck_override(deck, 2), "flow.hidden: [256, 256] -> [64L, 3000000000L]");
  assert_non_null(strstr(bm_deck_echo(deck), "# --set\n"));
  bm_deck_destroy(&deck);
  deck = deck_with(text, "flow.layers=6", NULL);
  assert_int_equal(bm_deck_override_count(deck), 1); /* nothing new in case a */
  assert_string_equal(bm_deck_override(deck, 0), "flow.layers: 4 -> 6");
  bm_deck_destroy(&deck);
  deck = deck_with(text, "flow.layers=9", " flow.layers = 4 ");
  assert_int_equal(bm_deck_override_count(deck), 1); /* the last one counts */
  assert_string_equal(bm_deck_override(deck, 0), "flow.layers: 6 -> 4 (case \"a\")");
  bm_deck_destroy(&deck);
}

static void strings_of_overrides_need_no_quotes(void **state)
{
  (void)state;
  bm_deck_t *deck = deck_with(GOOD, "flow.activation=tanh", "flow.label=12");
  assert_string_equal(bm_deck_string(bm_deck_base(deck), "flow.activation"), "tanh");
  assert_string_equal(bm_deck_string(bm_deck_base(deck), "flow.label"), "12");
  bm_deck_destroy(&deck);
  deck = deck_with(GOOD, "flow.activation=\"gelu\"", "flow.label=a = \"b\"; [c] # d");
  assert_string_equal(bm_deck_string(bm_deck_base(deck), "flow.activation"), "gelu");
  assert_string_equal(bm_deck_string(bm_deck_base(deck), "flow.label"), "a = \"b\"; [c] # d");
  bm_deck_destroy(&deck);
  deck = deck_with(GOOD, "run.name=other", "flow.label=\"\"");
  assert_string_equal(bm_deck_case_name(bm_deck_case(deck, 0)), "other");
  assert_string_equal(bm_deck_override(deck, 0), "run.name: \"test\" -> \"other\"");
  bm_deck_destroy(&deck);
}

static void an_override_can_mend_a_deck(void **state)
{
  (void)state;
  bm_deck_t *deck = deck_with(RUN, "system.kind=coulomb", "system.softening=0.5");
  assert_true(bm_deck_real(bm_deck_base(deck), "system.softening") == 0.5);
  assert_string_equal(bm_deck_override(deck, 0), "system.kind: (none) -> \"coulomb\"");
  bm_deck_destroy(&deck);
}

static void what_an_override_shuts_out_is_left_out_and_said(void **state)
{
  (void)state;
  bm_deck_t *deck = deck_with(GOOD "reference: { samples = 500; };\n"
                                   "cases: ( { name = \"h\"; reference: { sampler = \"hmc\"; "
                                   "leapfrog_steps = 4; }; }, { name = \"b\"; } );",
                              "reference.sampler=file", "reference.file=/x");
  assert_false(bm_deck_has(bm_deck_base(deck), "reference.samples"));
  assert_int_equal(bm_deck_override_count(deck), 5);
  static const char *const lines[] = {
      "reference.sampler: \"metropolis\" -> \"file\"",
      "reference.sampler: \"hmc\" -> \"file\" (case \"h\")",
      "reference.file: (does not apply) -> \"/x\"",
      "reference.samples: 500 -> (does not apply)",
      "reference.leapfrog_steps: 4 -> (does not apply) (case \"h\")",
  };
  for (size_t i = 0; i < 5; i++) {
    assert_string_equal(bm_deck_override(deck, i), lines[i]);
  }
  bm_deck_destroy(&deck);
  /* What did not apply before is as wrong as ever. */
  assert_refused_with(GOOD "reference: { leapfrog_steps = 4; };", "reference.sampler=langevin",
                      BM_ERR_DATA,
                      "deck.cfg:3: reference.leapfrog_steps = 4: applies only where "
                      "reference.sampler=hmc; here reference.sampler is \"langevin\"");
}

static void overrides_that_are_none_are_refused(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    bm_status_t status;
    const char *message;
  } rows[] = {
      {"flow.layers", BM_ERR_USAGE, "--set \"flow.layers\": expected group.key=value"},
      {"", BM_ERR_USAGE, "--set \"\": expected group.key=value"},
      {" = 5", BM_ERR_USAGE, "--set \" = 5\": expected group.key=value"},
      {"flow.layer=5", BM_ERR_DATA, "--set flow.layer=5: unknown key; did you mean flow.layers?"},
      {"layers=5", BM_ERR_DATA, "--set layers=5: unknown key; did you mean flow.layers?"},
      {"cases=5", BM_ERR_DATA, "--set cases=5: unknown key"},
      {"flow=5", BM_ERR_DATA, "--set flow=5: unknown key"},
      {"flow.layers=", BM_ERR_DATA, "--set flow.layers=: expected an integer from 1 to 100"},
      {"flow.layers=x", BM_ERR_DATA, "--set flow.layers=x: expected an integer from 1 to 100"},
      {"flow.layers=5; any=3", BM_ERR_DATA,
       "--set flow.layers=5; any=3: expected an integer from 1 to 100"},
      {"flow.layers=99999999999999999999", BM_ERR_DATA,
       "--set flow.layers=99999999999999999999: expected an integer from 1 to 100"},
      {"flow.any=1e400", BM_ERR_DATA,
       "--set flow.any=1e400: expected a real number from -1.7e+308 to 1.7e+308"},
      {"flow.activation=tan", BM_ERR_DATA,
       "--set flow.activation=tan: did you mean \"tanh\"? expected \"relu\", \"tanh\" or \"gelu\""},
      {"flow.activation=\"tanh", BM_ERR_DATA,
       "--set flow.activation=\"tanh: a string is not closed"},
      {"run.name=a/b", BM_ERR_DATA,
       "--set run.name=a/b: expected the name of a folder: letters, digits and . _ - +, not "
       "starting with . or -"},
      {"reference.leapfrog_steps=3", BM_ERR_DATA,
       "--set reference.leapfrog_steps=3: applies only where reference.sampler=hmc; here "
       "reference.sampler is \"metropolis\""},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    assert_refused_with(GOOD, rows[i].text, rows[i].status, rows[i].message);
  }
  assert_refused_with(GOOD "cases: ( { name = \"w\"; system: { kind = \"double-well\"; }; } );",
                      "system.mean=0.25", BM_ERR_DATA,
                      "--set system.mean=0.25: case \"w\": expected an integer from 1 to 9");
}

/* The echo without its comments. */
static char *stripped(const char *echo)
{
  char *text;
  assert_int_equal(bm_string_copy(echo, &text), BM_OK);
  char *to = text;
  int quoted = 0;
  for (const char *c = echo; *c != '\0'; c++) {
    if (!quoted && *c == '#') {
      c += strcspn(c, "\n");
      while (to > text && to[-1] == ' ') {
        to--;
      }
    }
    if (quoted && *c == '\\') {
      *to++ = *c++;
    } else if (*c == '"') {
      quoted = !quoted;
    }
    *to++ = *c;
  }
  *to = '\0';
  return text;
}

static void assert_same_case(const bm_deck_case_t *a, const bm_deck_case_t *b)
{
  assert_string_equal(bm_deck_case_name(a), bm_deck_case_name(b));
  assert_true(bm_deck_fingerprint(a, GROUPS) == bm_deck_fingerprint(b, GROUPS));
  for (size_t t = 0; tables[t] != NULL; t++) {
    for (const bm_deck_key_t *key = tables[t]; key->path != NULL; key++) {
      assert_int_equal(bm_deck_has(a, key->path), bm_deck_has(b, key->path));
    }
  }
}

/* The deck's echo loads to the same deck. Takes the deck. */
static void assert_echo_is_the_deck(bm_deck_t *deck)
{
  bm_deck_t *again = deck_of(bm_deck_echo(deck));
  assert_same_case(bm_deck_base(deck), bm_deck_base(again));
  assert_int_equal(bm_deck_case_count(deck), bm_deck_case_count(again));
  for (size_t i = 0; i < bm_deck_case_count(deck); i++) {
    assert_same_case(bm_deck_case(deck, i), bm_deck_case(again, i));
  }
  char *first = stripped(bm_deck_echo(deck));
  char *second = stripped(bm_deck_echo(again));
  assert_string_equal(first, second);
  bm_free(first);
  bm_free(second);
  bm_deck_destroy(&deck);
  bm_deck_destroy(&again);
}

static void the_echo_loads_to_the_same_deck(void **state)
{
  (void)state;
  assert_echo_is_the_deck(deck_of(GOOD));
  assert_echo_is_the_deck(deck_of(
      GOOD "flow: { hidden = [1, 10000000000]; whole = -9223372036854775808;\n"
           "any = 1e22; label = \"a\\n\\t\\\"\\\\ # // \\x01\\x7F\\f\\r caf\303\251\"; };"));
  assert_echo_is_the_deck(
      deck_of(RUN "system: { kind = \"coulomb\"; softening = 1; };\n"
                  "reference: { adapt = false; leapfrog_steps = 7; };\n"
                  "cases: ( { name = \"a\"; },\n"
                  "{ name = \"b\"; reference: { sampler = \"hmc\"; }; },\n"
                  "{ name = \"c\"; reference: { sampler = \"file\"; file = \"x\"; }; },\n"
                  "{ name = \"d\"; system: { kind = \"gaussian\"; }; flow: { layers = 8; }; },\n"
                  "{ name = \"e\"; system: { kind = \"double-well\"; mean = 1; }; } );"));
  assert_echo_is_the_deck(
      deck_of(RUN "system: { kind = \"gaussian\"; mean = 1; };\n"
                  "cases: ( { name = \"w\"; system: { kind = \"double-well\"; }; } );"));
  assert_echo_is_the_deck(deck_with(GOOD "cases: ( { name = \"a\"; flow: { layers = 3; }; } );",
                                    "flow.label=a # b\nc", "run.output_dir=out"));
  assert_echo_is_the_deck(deck_with(GOOD "reference: { samples = 10; };", "reference.sampler=file",
                                    "reference.file=\"x\""));
}

static void any_real_number_survives_the_echo(void **state)
{
  (void)state;
  static const double numbers[] = {
      0.1,  1.0 / 3.0, 1e-8,    2.0,      -1e300,  5e-324,    1e15,
      1e16, 1e17,      123456., 1.5e-310, 1.6e308, 0.1 + 0.2, 4503599627370497.5};
  char text[256];
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    snprintf(text, sizeof text, GOOD "flow: { any = %.17g; };", numbers[i]);
    bm_deck_t *deck = deck_of(text);
    bm_deck_t *again = deck_of(bm_deck_echo(deck));
    assert_true(bm_deck_real(bm_deck_base(again), "flow.any") == numbers[i]);
    bm_deck_destroy(&again);
    assert_echo_is_the_deck(deck);
  }
}

/* The echo without blanks before comments and without the folder's name. */
static void squeeze(const char *echo, char *out)
{
  size_t folder = strlen(scratch_folder);
  for (const char *c = echo; *c != '\0'; c++) {
    if (strncmp(c, scratch_folder, folder) == 0) {
      c += folder;
    } else {
      *out++ = *c;
      if (*c == ';') {
        c += strspn(c + 1, " ");
      }
    }
  }
  *out = '\0';
}

static void the_echo_says_where_values_are_from(void **state)
{
  (void)state;
  bm_deck_t *deck = deck_with(RUN "system: {\n  kind = \"coulomb\";\n  softening = 1; };\n"
                                  "cases: ( { name = \"a\"; flow: { any = 3; }; } );",
                              "flow.layers=3", NULL);
  static const char *const lines[] = {
      "run: {\n  name = \"test\";# deck.cfg:1\n  seed = 1;# default\n",
      "  kind = \"coulomb\";# deck.cfg:3\n",
      "  softening = 1.0;# deck.cfg:4\n",
      "  layers = 3;# --set\n",
      "cases: (\n  {\n    name = \"a\";\n    flow: {\n      any = 3.0;# deck.cfg:5\n",
      "    };\n  }\n);\n",
  };
  char echo[4096];
  squeeze(bm_deck_echo(deck), echo);
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
    if (strstr(echo, lines[i]) == NULL) {
      fail_msg("not in the echo:\n%s\n%s", lines[i], echo);
    }
  }
  assert_null(strstr(echo, "leapfrog_steps"));
  bm_deck_destroy(&deck);
}

static uint64_t print_of(const char *text, const char *groups)
{
  bm_deck_t *deck = deck_of(text);
  uint64_t print = bm_deck_fingerprint(bm_deck_case(deck, 0), groups);
  bm_deck_destroy(&deck);
  return print;
}

static void equal_meaning_has_equal_fingerprints(void **state)
{
  (void)state;
  const char *text = RUN "system: { kind = \"coulomb\"; softening = 1; };";
  const char *spelled =
      "flow: { hidden=[0x100,\n256L]; any = -0.0; };\n"
      "system: { softening = 1.00; kind = \"cou\" \"lomb\"; beta = 10.0e-1 }\n" RUN;
  assert_true(print_of(text, GROUPS) == print_of(spelled, GROUPS));
  assert_true(print_of(text, "system") == print_of(text, "system"));
  assert_true(print_of(text, "system") != print_of(text, "flow"));
  assert_true(print_of(text, "system,flow") == print_of(text, "flow,system")); /* table order */
  const char *other = RUN "system: { kind = \"coulomb\"; softening = 0.5; };";
  assert_true(print_of(text, "system") != print_of(other, "system"));
  assert_true(print_of(text, "flow,run") == print_of(other, "flow,run"));
}

static void a_fingerprint_is_that_of_its_text(void **state)
{
  (void)state;
  const char *text =
      "run: { name = \"n\"; seed = 3000000000; };\nsystem: { kind = \"gaussian\"; };";
  const char *expected = "run.seed=3000000000L\nsystem.kind=\"gaussian\"\nsystem.beta=1.0\n"
                         "system.dimension=2\nsystem.mean=0.5\n";
  assert_true(print_of(text, "system,run.seed") == XXH64(expected, strlen(expected), 0));
  assert_true(print_of(text, "") == XXH64("", 0, 0));
}

static void a_late_failure_names_its_place(void **state)
{
  (void)state;
  bm_deck_t *deck = deck_with(GOOD "cases: ( { name = \"a\";\n flow: { any = 0.5; }; } );",
                              "flow.layers=3", NULL);
  const bm_deck_case_t *a = bm_deck_case(deck, 0);
  assert_int_equal(bm_deck_fail(a, "flow.any", "not %d", 5), BM_ERR_DATA);
  assert_string_equal(refusal(), "deck.cfg:4: case \"a\": flow.any = 0.5: not 5");
  bm_deck_fail(bm_deck_base(deck), "system.kind", "no");
  assert_string_equal(refusal(), "deck.cfg:2: system.kind = \"gaussian\": no");
  bm_deck_fail(a, "system.mean", "no");
  assert_string_equal(refusal(), "deck.cfg: case \"a\": system.mean = 0.5 (default): no");
  bm_deck_fail(a, "flow.layers", "no");
  assert_string_equal(refusal(), "--set flow.layers=3: case \"a\": no");
  bm_deck_destroy(&deck);
}

typedef enum { UNKNOWN_PATH, WRONG_TYPE, NOT_THERE, UNKNOWN_GROUP } misuse_t;

/* Does a wrong call end the process? */
static int aborts(const bm_deck_t *deck, misuse_t misuse)
{
  pid_t child = fork();
  if (child == 0) {
    signal(SIGABRT, SIG_DFL);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    if (freopen("/dev/null", "w", stderr) == NULL) {
      _exit(2);
    }
    const bm_deck_case_t *base = bm_deck_base(deck);
    switch (misuse) {
    case UNKNOWN_PATH:
      bm_deck_has(base, "flow.nothing");
      break;
    case WRONG_TYPE:
      bm_deck_int(base, "flow.any");
      break;
    case NOT_THERE:
      bm_deck_real(base, "system.softening");
      break;
    case UNKNOWN_GROUP:
      bm_deck_fingerprint(base, "flow,sistem");
      break;
    }
    _exit(0);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void wrong_calls_are_asserted(void **state)
{
  (void)state;
  bm_deck_t *deck = deck_of(GOOD);
  assert_true(aborts(deck, UNKNOWN_PATH));
  assert_true(aborts(deck, WRONG_TYPE));
  assert_true(aborts(deck, NOT_THERE));
  assert_true(aborts(deck, UNKNOWN_GROUP));
  bm_deck_destroy(&deck);
}

static const char long_deck[] =
    "run: { name = \"test\"; seed = 0x10; output_dir = \"out\"; };\n"
    "system = { kind = \"coulomb\"; softening = 1e-8 beta = 5.0; } # comment\n"
    "reference: { sampler = \"hmc\"; samples = 3000000000; adapt = true; };\n"
    "flow: { hidden = [64, 64L]; label = \"a\\\"b\\x41\"; /* c */ any = -1.5e+3; };\n"
    "cases: ( { name = \"a\"; }, // x\n"
    "  { name = \"b\"; system: { kind = \"gaussian\"; mean = 1; }; } );\n";

/* Whatever the bytes are, loading ends with a status and a message of one line. */
static void assert_survives(const char *bytes, size_t count)
{
  bm_deck_t *deck;
  unlink(scratch("deck.cfg")); /* cutting an old file short may wait for the disk */
  write_file(scratch("deck.cfg"), bytes, count);
  bm_status_t status = try_file(scratch("deck.cfg"), NULL, 0, &deck);
  if (status == BM_OK) {
    bm_deck_t *again = deck_of(bm_deck_echo(deck));
    assert_same_case(bm_deck_base(deck), bm_deck_base(again));
    bm_deck_destroy(&again);
    bm_deck_destroy(&deck);
    return;
  }
  assert_true(status == BM_ERR_DATA || status == BM_ERR_IO);
  assert_true(strlen(bm_status_message()) > 0);
  assert_null(strchr(bm_status_message(), '\n'));
}

static void a_cut_deck_never_crashes(void **state)
{
  (void)state;
  bm_deck_t *deck = deck_of(long_deck);
  bm_deck_destroy(&deck);
  for (size_t count = 0; count < sizeof long_deck; count++) {
    assert_survives(long_deck, count);
  }
}

static void a_flipped_bit_never_crashes(void **state)
{
  (void)state;
  char bytes[sizeof long_deck];
  for (size_t bit = 0; bit < 8 * (sizeof long_deck - 1); bit++) {
    memcpy(bytes, long_deck, sizeof bytes);
    bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
    assert_survives(bytes, sizeof long_deck - 1);
  }
}

static void deep_and_long_decks_never_crash(void **state)
{
  (void)state;
  static char bytes[200001];
  static const char *const parts[] = {"(", "{", "[",  "a:{",    "\"",      "\\", "/*", "@",  "9",
                                      "-", "a", "a;", "\"a\" ", "name=\"", ".",  "1e", "#\n"};
  for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
    size_t length = strlen(parts[p]);
    strcpy(bytes, "cases: ");
    for (size_t i = strlen(bytes); i + length < 200000; i += length) {
      memcpy(bytes + i, parts[p], length + 1);
    }
    assert_survives(bytes, strlen(bytes));
  }
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_have_their_types_and_defaults),
      cmocka_unit_test(an_integer_is_a_real_number),
      cmocka_unit_test(integers_are_read_with_all_64_bits),
      cmocka_unit_test(lists_may_mix_small_and_large_integers),
      cmocka_unit_test(real_numbers_are_read_to_the_last_bit),
      cmocka_unit_test(numbers_that_are_none_are_refused),
      cmocka_unit_test(unknown_names_are_refused_with_the_nearest),
      cmocka_unit_test(wrong_types_are_refused_with_what_was_expected),
      cmocka_unit_test(values_out_of_range_are_refused),
      cmocka_unit_test(missing_keys_are_named),
      cmocka_unit_test(a_key_applies_where_its_condition_holds),
      cmocka_unit_test(one_path_may_mean_two_things),
      cmocka_unit_test(a_case_lies_over_the_deck),
      cmocka_unit_test(cases_that_are_none_are_refused),
      cmocka_unit_test(a_thousand_cases_are_the_limit),
      cmocka_unit_test(names_are_names_of_folders),
      cmocka_unit_test(libconfig_syntax_means_what_it_looks_like),
      cmocka_unit_test(broken_text_is_refused_with_its_line),
      cmocka_unit_test(text_of_other_systems_is_read),
      cmocka_unit_test(files_that_cannot_be_read_are_errors),
      cmocka_unit_test(includes_are_found_beside_the_deck),
      cmocka_unit_test(includes_that_cannot_be_are_refused),
      cmocka_unit_test(paths_are_absolute),
      cmocka_unit_test(overrides_go_over_deck_and_cases),
      cmocka_unit_test(strings_of_overrides_need_no_quotes),
      cmocka_unit_test(an_override_can_mend_a_deck),
      cmocka_unit_test(what_an_override_shuts_out_is_left_out_and_said),
      cmocka_unit_test(overrides_that_are_none_are_refused),
      cmocka_unit_test(the_echo_loads_to_the_same_deck),
      cmocka_unit_test(any_real_number_survives_the_echo),
      cmocka_unit_test(the_echo_says_where_values_are_from),
      cmocka_unit_test(equal_meaning_has_equal_fingerprints),
      cmocka_unit_test(a_fingerprint_is_that_of_its_text),
      cmocka_unit_test(a_late_failure_names_its_place),
      cmocka_unit_test(wrong_calls_are_asserted),
      cmocka_unit_test(a_cut_deck_never_crashes),
      cmocka_unit_test(a_flipped_bit_never_crashes),
      cmocka_unit_test(deep_and_long_decks_never_crash),
  };
  MPI_Init(&argc, &argv);
  int failed = cmocka_run_group_tests_name("deck", tests, open_all, close_all);
  MPI_Finalize();
  return failed;
}
