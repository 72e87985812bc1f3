/* Writing configurations of a molecule as the models of a PDB file. */

#include <math.h>

#include "../model/molecules.h"
#include "boltzmap/io/coordinates.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/pdb.h"
#include "scratch.h"

#define LINE 81 /* bytes of a record */
#define ATOMS 7
#define MODELS 3

/* A centre with five neighbours and one beyond: names of one to four letters, elements of one and two
 * letters and one that is not known. */
static const char atom_names[ATOMS][BM_PDB_NAME] = {"P", "HH31", "CA", "CA", "CL1", "X", "H"};
static const char residue_names[2][BM_PDB_NAME] = {"ACE", "NALA"};
static const size_t residues[ATOMS] = {0, 0, 0, 1, 1, 1, 1};
static const int elements[ATOMS] = {15, 1, 6, 20, 17, 0, 1};
static const size_t bonds[][2] = {{4, 0}, {0, 5}, {1, 0}, {0, 3}, {2, 0}, {6, 2}};
static const bm_pdb_molecule_t small = {.atoms = ATOMS,
                                        .residues = 2,
                                        .bond_count = sizeof bonds / sizeof bonds[0],
                                        .atom_name = atom_names,
                                        .residue_name = residue_names,
                                        .residue = residues,
                                        .element = elements,
                                        .bonds = bonds};
/* nm: the largest and smallest numbers there is room for, and some that are rounded */
static const double positions[2][ATOMS][3] = {{{0.0, 0.1, -0.1},
                                               {999.9999, -99.9999, 0.0},
                                               {0.12344, 0.12346, -0.12346},
                                               {1.0, 2.0, 3.0},
                                               {999.99994, -99.99994, 1e-9},
                                               {10.0, 100.0, -10.0},
                                               {0.5, 0.25, 0.125}},
                                              {{0.0, 0.0, 0.1}}};

static const char *const first_lines[] = {
    "MODEL        1",
    "ATOM      1  P   ACE A   1       0.000   1.000  -1.000  1.00  0.00           P",
    "ATOM      2 HH31 ACE A   1    9999.999-999.999   0.000  1.00  0.00           H",
    "ATOM      3  CA  ACE A   1       1.234   1.235  -1.235  1.00  0.00           C",
    "ATOM      4 CA   NALAA   2      10.000  20.000  30.000  1.00  0.00          CA",
    "ATOM      5 CL1  NALAA   2    9999.999-999.999   0.000  1.00  0.00          CL",
    "ATOM      6  X   NALAA   2     100.0001000.000-100.000  1.00  0.00",
    "ATOM      7  H   NALAA   2       5.000   2.500   1.250  1.00  0.00           H",
    "TER       8      NALAA   2",
    "ENDMDL",
    "MODEL        2",
    "ATOM      1  P   ACE A   1       0.000   0.000   1.000  1.00  0.00           P",
};

static const char *const last_lines[] = {
    "TER       8      NALAA   2",
    "ENDMDL",
    "CONECT    1    2    3    4    5",
    "CONECT    1    6",
    "CONECT    2    1",
    "CONECT    3    1    7",
    "CONECT    4    1",
    "CONECT    5    1",
    "CONECT    6    1",
    "CONECT    7    3",
    "END",
};

static void assert_lines(const char *text, const char *const *lines, size_t count)
{
  for (size_t k = 0; k < count; k++) {
    char wanted[LINE + 1];
    char found[LINE + 1] = "";
    snprintf(wanted, sizeof wanted, "%-80s\n", lines[k]);
    memcpy(found, text + k * LINE, LINE);
    assert_string_equal(found, wanted);
  }
}

static void records_stand_in_the_columns_of_the_format(void **state)
{
  (void)state;
  const size_t records = 2 * (ATOMS + 3) + 9;
  const size_t last = sizeof last_lines / sizeof last_lines[0];
  const char *path = scratch("small.pdb");
  char *text;
  size_t bytes;
  demand(bm_pdb_write(path, &small, 2, &positions[0][0][0]));
  demand(bm_file_read(path, &text, &bytes));
  assert_int_equal(bytes, records * LINE);
  assert_lines(text, first_lines, sizeof first_lines / sizeof first_lines[0]);
  assert_lines(text + (records - last) * LINE, last_lines, last);
  bm_free(text);
  unlink(path);
  assert_int_equal(scratch_entries(0), 0);
}

/* The part of a topology that a PDB file has; bonds are owned by the caller. */
static bm_pdb_molecule_t molecule_of(const bm_topology_t *topology, size_t (**pairs)[2])
{
  demand(BM_ALLOC(topology->bond_count, pairs));
  for (size_t b = 0; b < topology->bond_count; b++) {
    (*pairs)[b][0] = topology->bonds[b].i;
    (*pairs)[b][1] = topology->bonds[b].j;
  }
  return (bm_pdb_molecule_t){.atoms = topology->atoms,
                             .residues = topology->residues,
                             .bond_count = topology->bond_count,
                             .atom_name = topology->atom_name,
                             .residue_name = topology->residue_name,
                             .residue = topology->residue,
                             .element = topology->element,
                             .bonds = *pairs};
}

static void the_first_model_is_read_back(void **state)
{
  (void)state;
  for (size_t m = 0; m < MOLECULES; m++) {
    molecule_frames_t molecule;
    bm_coordinates_t coordinates;
    size_t(*pairs)[2];
    const char *path = scratch("molecule.pdb");
    load_molecule(molecules[m], &molecule);
    const bm_pdb_molecule_t pdb = molecule_of(molecule.topology, &pairs);
    demand(bm_pdb_write(path, &pdb, MODELS, molecule.x));
    assert_true(bm_coordinates_recognise(path));
    demand(bm_coordinates_read(path, &coordinates));
    assert_int_equal(coordinates.atoms, molecule.topology->atoms);
    for (size_t k = 0; k < molecule.d; k++) {
      /* a PDB has three digits of an ångström */
      assert_true(fabs(coordinates.x[k] - molecule.x[k]) < 0.501e-4);
    }
    bm_free(coordinates.x);
    bm_free(pairs);
    unload_molecule(&molecule);
    unlink(path);
  }
}

/* Refused with these words, one file of the name as before. */
static void assert_refused(const bm_pdb_molecule_t *molecule, size_t models, const double *x,
                           const char *wanted)
{
  const char *path = scratch("refused.pdb");
  char *text;
  size_t bytes;
  demand(bm_file_write(path, "old", 3));
  assert_int_equal(bm_pdb_write(path, molecule, models, x), BM_ERR_DATA);
  assert_message_has(wanted);
  assert_message_has("refused.pdb: ");
  demand(bm_file_read(path, &text, &bytes));
  assert_string_equal(text, "old");
  bm_free(text);
  unlink(path);
  assert_int_equal(scratch_entries(0), 0);
}

static void positions_that_do_not_fit_are_refused(void **state)
{
  (void)state;
  static const double bad[] = {999.99996, -99.99996, 1e300, -1e300, INFINITY, NAN};
  for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
    double x[2][ATOMS][3] = {{{0.0}}};
    x[1][2][1] = bad[k];
    assert_refused(&small, 2, &x[0][0][0], "model 2: atom 3 has y = ");
  }
}

static void molecules_that_do_not_fit_are_refused(void **state)
{
  (void)state;
  static const char long_names[ATOMS][BM_PDB_NAME] = {"P", "HH311"};
  const double *x = &positions[0][0][0];
  bm_pdb_molecule_t large = small;
  large.atoms = BM_PDB_ATOMS_MOST + 1;
  assert_refused(&large, 1, x, "99999 atoms");
  large = small;
  large.residues = BM_PDB_RESIDUES_MOST + 1;
  assert_refused(&large, 1, x, "10000 residues");
  assert_refused(&small, BM_PDB_MODELS_MOST + 1, x, "10000 models");
  large = small;
  large.atom_name = long_names;
  assert_refused(&large, 1, x, "name 'HH311' of atom 2");
  large = small;
  large.residue_name = long_names;
  assert_refused(&large, 1, x, "name 'HH311' of residue 2");
}

static void as_many_models_as_there_is_room_for_are_written(void **state)
{
  (void)state;
  static const bm_pdb_molecule_t atom = {.atoms = 1,
                                         .residues = 1,
                                         .atom_name = atom_names,
                                         .residue_name = residue_names,
                                         .residue = residues,
                                         .element = elements};
  const char *path = scratch("many.pdb");
  double *x;
  demand(BM_ALLOC(3 * BM_PDB_MODELS_MOST, &x));
  demand(bm_pdb_write(path, &atom, BM_PDB_MODELS_MOST, x));
  assert_int_equal(file_size(path), (4 * BM_PDB_MODELS_MOST + 1) * LINE);
  bm_free(x);
  unlink(path);
}

static void what_cannot_be_written_is_an_io_error_that_leaves_nothing(void **state)
{
  (void)state;
  const double *x = &positions[0][0][0];
  assert_int_equal(bm_pdb_write(scratch("gone/small.pdb"), &small, 1, x), BM_ERR_IO);
  assert_message_has("gone/small.pdb");
  limit_file_size(100);
  assert_int_equal(bm_pdb_write(scratch("small.pdb"), &small, 1, x), BM_ERR_IO);
  limit_file_size(RLIM_INFINITY);
  assert_int_equal(scratch_entries(0), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(records_stand_in_the_columns_of_the_format),
      cmocka_unit_test(the_first_model_is_read_back),
      cmocka_unit_test(positions_that_do_not_fit_are_refused),
      cmocka_unit_test(molecules_that_do_not_fit_are_refused),
      cmocka_unit_test(as_many_models_as_there_is_room_for_are_written),
      cmocka_unit_test(what_cannot_be_written_is_an_io_error_that_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
