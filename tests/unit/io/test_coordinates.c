/* Reading coordinates from AMBER restart files and PDB files. */

#include <math.h>

#include "../model/edits.h"
#include "boltzmap/io/coordinates.h"

#define COORDINATES 66 /* of alanine dipeptide */

/* Room for a second copy of any of the texts and some more. */
static char *larger(const char *text)
{
  char *result;
  demand(BM_ALLOC(3 * strlen(text) + 4096, &result));
  strcpy(result, text);
  return result;
}

static void assert_same_as_file(const char *changed, const char *end)
{
  char path[4096];
  bm_coordinates_t coordinates;
  bm_coordinates_t wanted;
  const char *file = written(changed, strlen(changed));
  path_of("input/", "alanine-dipeptide", end, 0, path);
  demand(bm_coordinates_read(path, &wanted));
  assert_true(bm_coordinates_recognise(file));
  demand(bm_coordinates_read(file, &coordinates));
  assert_int_equal(coordinates.atoms, 22);
  assert_memory_equal(coordinates.x, wanted.x, COORDINATES * sizeof(double));
  bm_free(coordinates.x);
  bm_free(wanted.x);
}

static void restart_file_and_pdb_hold_the_same_molecule(void **state)
{
  (void)state;
  bm_coordinates_t restart;
  bm_coordinates_t pdb;
  char path[4096];
  path_of("input/", "alanine-dipeptide", ".rst7", 0, path);
  assert_true(bm_coordinates_recognise(path));
  demand(bm_coordinates_read(path, &restart));
  path_of("input/", "alanine-dipeptide", ".pdb", 0, path);
  assert_true(bm_coordinates_recognise(path));
  demand(bm_coordinates_read(path, &pdb));
  assert_int_equal(restart.atoms, 22);
  assert_int_equal(pdb.atoms, 22);
  assert_true(fabs(restart.x[0] + 0.27912735) < 1e-15); /* nm */
  for (size_t k = 0; k < COORDINATES; k++) {
    /* a PDB has three digits of an ångström */
    assert_true(fabs(restart.x[k] - pdb.x[k]) < 0.501e-4);
  }
  bm_free(restart.x);
  bm_free(pdb.x);
}

static void velocities_and_box_of_a_restart_file_are_passed_over(void **state)
{
  (void)state;
  char *text = text_of(".rst7");
  char *longer = larger(text);
  const char *lines = strchr(strchr(text, '\n') + 1, '\n') + 1;
  strcat(longer, lines);
  strcat(longer, "  30.0000000  30.0000000  30.0000000  90.0000000  90.0000000  90.0000000\n");
  assert_same_as_file(longer, ".rst7");
  bm_free(longer);
  bm_free(text);
}

static void the_first_model_of_a_pdb_is_read(void **state)
{
  (void)state;
  char *text = text_of(".pdb");
  char *other = larger(text);
  char *twice = larger(text);
  memcpy(other + (strstr(text, "-2.791") - text), "-9.999", 6);
  snprintf(twice, 3 * strlen(text) + 4096,
           "REMARK\nMODEL        1\n%sTER\nENDMDL\nMODEL        2\n%sENDMDL\n", text, other);
  assert_same_as_file(twice, ".pdb");
  bm_free(twice);
  bm_free(other);
  bm_free(text);
}

static void line_ends_of_another_system_are_read(void **state)
{
  (void)state;
  static const char *const ends[] = {".rst7", ".pdb"};
  for (size_t k = 0; k < 2; k++) {
    char *text = text_of(ends[k]);
    char *changed = with_carriage_returns(text);
    assert_same_as_file(changed, ends[k]);
    changed[strlen(changed) - 2] = '\0'; /* and no end of the last line */
    assert_same_as_file(changed, ends[k]);
    bm_free(changed);
    bm_free(text);
  }
}

static const edit_t broken_restart[] = {
    {ALL, "22", "23", NULL, "ends before the coordinates of atom 23 of 23"},
    {ALL, "22", "no", NULL, "neither"},
    {ALL, "22", "-2", NULL, "neither"},
    {ALL, "22", " 0", NULL, "neither"},
    {ALL, "   22", "99999999999999999999", NULL, "neither"},
    {ALL, "22", NULL, NULL, "neither"},
    {"e+00", ".", "x", NULL, "no coordinate of atom 1"},
    {"22", "\n", "\n\n", NULL, "no coordinate of atom 1"},
    {"22", "\n", "\n         nan", NULL, "no coordinate of atom 1"},
    {"22", "  -2.7912735", "        -inf", NULL, "no coordinate of atom 1"},
    {"22", "  -2.7912735", "************", NULL, "no coordinate of atom 1"},
    {"22", "  -2.7912735", "      1.e300", NULL, "no coordinate of atom 1"},
    {"22", "  -2.7912735", "-2.7912735", NULL, "no coordinate of atom 2"},
    {"2.1175733", "42096", NULL, NULL, "no coordinate of atom 22"}, /* in the last number */
};

static const edit_t broken_pdb[] = {
    {ALL, "-2.791", "-2.7x1", NULL, "no coordinate of atom 1"},
    {ALL, "-2.791", "   nan", NULL, "no coordinate of atom 1"},
    {"  H3  NME", "-2.384", NULL, NULL, "no coordinate of atom 22"},
    {"  H3  NME", "84", NULL, NULL, "no coordinate of atom 22"},
    {"  H3  NME", "   2.118", "2.118", NULL, "no coordinate of atom 22"},
};

static void assert_refused(size_t row, const edit_t *edit, const char *bytes, size_t count)
{
  const char *path = written(bytes, count);
  bm_coordinates_t coordinates;
  bm_status_t status = bm_coordinates_read(path, &coordinates);
  assert_told(row, edit, path, status);
  assert_null(coordinates.x);
}

static void assert_all_refused(const char *end, const edit_t *edits, size_t count)
{
  char *text = text_of(end);
  for (size_t k = 0; k < count; k++) {
    char *changed = edited(text, &edits[k]);
    assert_refused(k, &edits[k], changed, strlen(changed));
    bm_free(changed);
  }
  bm_free(text);
}

static void what_is_broken_is_told_with_file_line_and_atom(void **state)
{
  (void)state;
  assert_all_refused(".rst7", broken_restart, sizeof broken_restart / sizeof broken_restart[0]);
  assert_all_refused(".pdb", broken_pdb, sizeof broken_pdb / sizeof broken_pdb[0]);
}

/* A zero byte must not pass for the end of a file. */
static void files_that_are_no_text_or_empty_are_refused(void **state)
{
  (void)state;
  static const edit_t zero = {.from = "a byte", .to = "zero", .wanted = "a zero byte"};
  static const edit_t empty = {.from = "all", .to = "nothing", .wanted = "neither"};
  char *text = text_of(".pdb");
  const size_t count = strlen(text);
  assert_refused(0, &empty, "", 0);
  assert_refused(1, &empty, "\n\n", 2);
  text[count / 2] = '\0';
  assert_refused(2, &zero, text, count);
  bm_free(text);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(restart_file_and_pdb_hold_the_same_molecule),
      cmocka_unit_test(velocities_and_box_of_a_restart_file_are_passed_over),
      cmocka_unit_test(the_first_model_of_a_pdb_is_read),
      cmocka_unit_test(line_ends_of_another_system_are_read),
      cmocka_unit_test(what_is_broken_is_told_with_file_line_and_atom),
      cmocka_unit_test(files_that_are_no_text_or_empty_are_refused),
  };
  return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
