/* Reading prmtop and coordinate files: good variants, and files that are broken in one place each. */

#include <limits.h>
#include <math.h>

#include "../io/scratch.h"
#include "boltzmap/io/coordinates.h"
#include "boltzmap/io/file.h"
#include "boltzmap/model/constraints.h"
#include "molecules.h"

/* A change of a file's text: the first `from` behind `after` becomes `to`. `to` NULL: the file ends
 * there. */
typedef struct {
  const char *after, *from, *to;
  const char *wanted; /* in the message */
} edit_t;

static char *text_of(const char *end)
{
  char path[4096];
  char *text;
  size_t bytes;
  path_of("input/", "alanine-dipeptide", end, 0, path);
  demand(bm_file_read(path, &text, &bytes));
  return text;
}

static char *edited(const char *text, const edit_t *edit)
{
  const char *place = strstr(text, edit->after);
  place = place == NULL ? NULL : strstr(place, edit->from);
  if (place == NULL) {
    fail_msg("the edit of '%s' finds no place", edit->from);
  }
  size_t before = (size_t)(place - text);
  size_t room = strlen(text) + (edit->to == NULL ? 0 : strlen(edit->to)) + 1;
  char *result;
  demand(BM_ALLOC(room, &result));
  memcpy(result, text, before);
  if (edit->to != NULL) {
    snprintf(result + before, room - before, "%s%s", edit->to, place + strlen(edit->from));
  }
  return result;
}

static const char *written(const char *text)
{
  static char path[300];
  snprintf(path, sizeof path, "%s/file", scratch_folder);
  demand(bm_file_write(path, text, strlen(text)));
  return path;
}

#define ALL ""
static const edit_t broken[] = {
    /* cut off */
    {ALL, "%VERSION", NULL, "not a prmtop file"},
    {ALL, "%FORMAT(10I8)", NULL, "POINTERS"},
    {"%FLAG CHARGE", "2.04636429E+00", NULL, "CHARGE"},
    {"%FLAG RADII", "1.25", NULL, "RADII"},
    {ALL, "%FLAG SCREEN", NULL, "SCREEN"},
    {"%FLAG DIHEDRALS_WITHOUT", "\n", NULL, "DIHEDRALS_WITHOUT_HYDROGEN"},
    /* sections */
    {ALL, "%FLAG MASS", "%FLAG MASSES", "MASS"},
    {ALL, "%FLAG MASS", "%FLAG CHARGE", "a second section CHARGE"},
    {ALL, "%FLAG TITLE", "%FLAG CTITLE", "CHAMBER"},
    {ALL, "%FLAG SOLTY", "%FLAG LENNARD_JONES_CCOEF", "12-6-4"},
    {ALL, "%FLAG SOLTY", "%FLAG CMAP_COUNT", "CMAP"},
    {ALL, "%FLAG SOLTY", "%FLAG POLARIZABILITY", "polarisable"},
    {"%FLAG IPOL", "       0", "       1", "IPOL"},
    {ALL, "%FLAG TITLE\n", "TITLE\n", "no %FLAG"},
    {"%FLAG CHARGE", "%FORMAT(5E16.8)", "%FORMAT(5X16.8)", "unknown kind of field"},
    {"%FLAG CHARGE", "%FORMAT(5E16.8)", "%FORMAT 5E16.8", "%FORMAT expected"},
    {"%FLAG CHARGE", "%FORMAT(5E16.8)", "%FORMAT(10I8)", "CHARGE"},
    {"%FLAG CHARGE", "%FORMAT(5E16.8)", "%FORMAT(0E16.8)", "%FORMAT expected"},
    {"%FLAG CHARGE", "%FORMAT(5E16.8)", "%FORMAT(5E15.8)", "CHARGE"},
    /* counts: the first line of POINTERS is NATOM NTYPES NBONH MBONA NTHETH MTHETA NPHIH MPHIA */
    {"%FLAG POINTERS", "      22", "      21", "CHARGE"},
    {"%FLAG POINTERS", "      22", "       0", "number of atoms"},
    {"%FLAG POINTERS", "      22", "   90000", "number of atoms"},
    {"%FLAG POINTERS", "      22", "     -22", "out of range"},
    {"%FLAG POINTERS", "      22       7", "      22      99", "atom types"},
    {"%FLAG POINTERS", "       7      12", "       7      13", "BONDS_INC_HYDROGEN"},
    {"%FLAG POINTERS", "      25      11", "      25      12", "ANGLES_WITHOUT_HYDROGEN"},
    {"%FLAG POINTERS", "      99       3", "      98       3", "EXCLUDED_ATOMS"},
    {"%FLAG POINTERS", "      99       3", "      99       4", "RESIDUE"},
    {"%FLAG POINTERS", "       0       0       0       0       0       0       0       0      10",
     "       0       0       0       0       0       0       0       1      10", "IFBOX"},
    {"%FLAG POINTERS", "      10       0\n       0", "      10       0\n       2", "NUMEXTRA"},
    {"%FLAG POINTERS", "      10       0\n", "      10       1\n", "IFCAP"},
    /* numbers */
    {"%FLAG CHARGE", " -6.67300626E+00", "             NaN", "not a number"},
    {"%FLAG CHARGE", " -6.67300626E+00", "             inf", "not a number"},
    {"%FLAG CHARGE", " -6.67300626E+00", "  -6.6730 626E+0", "not a number"},
    {"%FLAG MASS", "  1.20107800E+01", "  0.00000000E+00", "MASS"},
    {"%FLAG ATOM_TYPE_INDEX", "       1", "      12", "ATOM_TYPE_INDEX"},
    {"%FLAG ATOM_TYPE_INDEX", "       1", "       x", "not a number"},
    {"%FLAG NONBONDED_PARM_INDEX", "       1", "      -1", "10-12"},
    {"%FLAG NONBONDED_PARM_INDEX", "       1", "      99", "no such coefficient"},
    {"%FLAG RESIDUE_POINTER", "       7", "       1", "RESIDUE_POINTER"},
    {"%FLAG RESIDUE_POINTER", "       1", "       2", "RESIDUE_POINTER"},
    {"%FLAG NUMBER_EXCLUDED_ATOMS", "       8", "      88", "NUMBER_EXCLUDED_ATOMS"},
    {"%FLAG NUMBER_EXCLUDED_ATOMS", "       8", "      -8", "NUMBER_EXCLUDED_ATOMS"},
    {"%FLAG EXCLUDED_ATOMS_LIST", "       2", "       1", "EXCLUDED_ATOMS_LIST"},
    {"%FLAG EXCLUDED_ATOMS_LIST", "       2", "      99", "EXCLUDED_ATOMS_LIST"},
    {"%FLAG BONDS_INC_HYDROGEN", "       0       3", "       0      -3", "no such atom"},
    {"%FLAG BONDS_INC_HYDROGEN", "       0       3", "       0       4", "no such atom"},
    {"%FLAG BONDS_INC_HYDROGEN", "       0       3", "       0      66", "no such atom"},
    {"%FLAG BONDS_INC_HYDROGEN", "       0       3", "       3       3", "an atom twice"},
    {"%FLAG BONDS_INC_HYDROGEN", "       0       3       1", "       0       3      11",
     "no such type"},
    {"%FLAG DIHEDRAL_PERIODICITY", "  3.00000000E+00", "  7.00000000E+00", "whole number"},
    {"%FLAG DIHEDRAL_PERIODICITY", "  3.00000000E+00", "  2.50000000E+00", "whole number"},
    {"%FLAG SCEE_SCALE_FACTOR", "  1.20000048E+00", "  0.00000000E+00", "scale factor"},
};

static void what_is_broken_is_told_with_file_line_and_section(void **state)
{
  (void)state;
  char *text = text_of(".prmtop");
  for (size_t k = 0; k < sizeof broken / sizeof broken[0]; k++) {
    char *changed = edited(text, &broken[k]);
    const char *path = written(changed);
    bm_topology_t *topology = NULL;
    bm_status_t status = bm_prmtop_read(path, &topology);
    if (status != BM_ERR_DATA || strstr(bm_status_message(), broken[k].wanted) == NULL ||
        strncmp(bm_status_message(), path, strlen(path)) != 0) {
      fail_msg("edit %zu ('%s' to '%s'): status %d, '%s'", k, broken[k].from,
               broken[k].to == NULL ? "(end)" : broken[k].to, (int)status, bm_status_message());
    }
    assert_null(topology);
    bm_free(changed);
  }
  bm_free(text);
}

/* Sections that older files lack, and line ends of another system. */
static const edit_t variants[] = {
    {ALL, "%FLAG ATOMIC_NUMBER", "%FLAG ATOMIC_NUMBERS", NULL},
    {ALL, "%VERSION", "%VERSION of another program\n%VERSION", NULL},
    {"%FLAG MASS", "%FORMAT", "%COMMENT of a program\n%FORMAT", NULL},
};

static void variants_of_the_format_are_read(void **state)
{
  (void)state;
  char *text = text_of(".prmtop");
  for (size_t k = 0; k < sizeof variants / sizeof variants[0]; k++) {
    char *changed = edited(text, &variants[k]);
    bm_topology_t *topology;
    demand(bm_prmtop_read(written(changed), &topology));
    assert_int_equal(topology->element[0], 6);
    assert_int_equal(topology->element[1], 1);
    bm_topology_destroy(&topology);
    bm_free(changed);
  }
  bm_free(text);
}

static void units_are_nm_kilojoules_and_elementary_charges(void **state)
{
  (void)state;
  char path[4096];
  bm_topology_t *topology;
  path_of("input/", "alanine-dipeptide", ".prmtop", 0, path);
  demand(bm_prmtop_read(path, &topology));
  assert_int_equal(topology->atoms, 22);
  assert_int_equal(topology->residues, 3);
  assert_int_equal(topology->bond_count, 21);
  assert_int_equal(topology->angle_count, 36);
  assert_int_equal(topology->pair_count, 231);
  /* C-H: 1.09 Å, 340 kcal/mol/Å²; the file gives half the stiffness */
  assert_true(fabs(topology->bonds[0].length - 0.109) < 1e-12);
  assert_true(fabs(topology->bonds[0].stiffness - 2.0 * 340.0 * 418.4) < 1e-6);
  /* the methyl carbon of the acetyl group has -0.3662 e in the force field */
  assert_true(fabs(topology->charge[0] + 0.3662) < 1e-6);
  assert_true(fabs(topology->radius[0] - 0.19) < 1e-12);
  /* 1-2 pairs are excluded, pairs four bonds apart interact */
  assert_true(topology->pairs[bm_topology_pair(topology, 0, 1)].charges == 0.0);
  assert_int_equal(topology->pairs[bm_topology_pair(topology, 0, 1)].separation, 1);
  const bm_pair_t *pair = &topology->pairs[bm_topology_pair(topology, 0, 21)];
  double charges = BM_COULOMB * topology->charge[0] * topology->charge[21];
  assert_true(pair->separation > 3 && fabs(pair->charges - charges) < 1e-9);
  bm_topology_destroy(&topology);
}

static void radii_are_needed_for_a_solvent_only(void **state)
{
  (void)state;
  static const edit_t no_radii = {ALL, "%FLAG RADII", "%FLAG OTHER_RADII", NULL};
  char *text = text_of(".prmtop");
  char *changed = edited(text, &no_radii);
  bm_topology_t *topology;
  bm_force_field_t *field;
  demand(bm_prmtop_read(written(changed), &topology));
  assert_int_equal(bm_force_field_create(topology, 78.3, &field), BM_ERR_DATA);
  demand(bm_force_field_create(topology, 0.0, &field));
  bm_force_field_destroy(&field);
  bm_topology_destroy(&topology);
  bm_free(changed);
  bm_free(text);
}

static const edit_t broken_coordinates[] = {
    {ALL, "22", "23", "ends before"},
    {ALL, "22", "no", "neither"},
    {ALL, "22", "-2", "neither"},
    {"e+00", ".", "x", "no coordinate of atom 1"},
    {ALL, "22", NULL, "neither"},
    {"22", "\n", "\n\n", "no coordinate of atom 1"},
    {"22", "\n", "\n         nan", "no coordinate"},
};

static void broken_coordinates_are_told_with_the_atom(void **state)
{
  (void)state;
  char *text = text_of(".rst7");
  for (size_t k = 0; k < sizeof broken_coordinates / sizeof broken_coordinates[0]; k++) {
    char *changed = edited(text, &broken_coordinates[k]);
    bm_coordinates_t coordinates;
    bm_status_t status = bm_coordinates_read(written(changed), &coordinates);
    if (status != BM_ERR_DATA ||
        strstr(bm_status_message(), broken_coordinates[k].wanted) == NULL) {
      fail_msg("edit %zu: status %d, '%s'", k, (int)status, bm_status_message());
    }
    assert_null(coordinates.x);
    bm_free(changed);
  }
  bm_free(text);
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
  for (size_t k = 0; k < 66; k++) {
    assert_true(fabs(restart.x[k] - pdb.x[k]) <
                0.51e-4); /* a PDB has three digits of an ångström */
  }
  bm_free(restart.x);
  bm_free(pdb.x);
}

static void the_first_model_of_a_pdb_is_read(void **state)
{
  (void)state;
  char *text = text_of(".pdb");
  char *twice;
  bm_coordinates_t coordinates;
  demand(BM_ALLOC(2 * strlen(text) + 64, &twice));
  sprintf(twice, "MODEL        1\n%sENDMDL\nMODEL        2\n%sENDMDL\n", text, text);
  demand(bm_coordinates_read(written(twice), &coordinates));
  assert_int_equal(coordinates.atoms, 22);
  bm_free(coordinates.x);
  bm_free(twice);
  bm_free(text);
}

static void clusters_hold_all_bonds_to_hydrogen(void **state)
{
  (void)state;
  char path[4096];
  bm_topology_t *topology;
  bm_constraints_t *constraints;
  bm_coordinates_t coordinates;
  path_of("input/", "alanine-dipeptide", ".prmtop", 0, path);
  demand(bm_prmtop_read(path, &topology));
  demand(bm_constraints_create(topology, &constraints));
  assert_int_equal(constraints->bond_count, 12);
  assert_int_equal(constraints->count, 6); /* three methyl groups, two N-H, one C-H */
  path_of("input/", "alanine-dipeptide", ".pdb", 0, path);
  demand(bm_coordinates_read(path, &coordinates));
  bm_constraints_stretch(constraints, coordinates.x);
  for (size_t c = 0; c < constraints->count; c++) {
    const bm_cluster_t *cluster = &constraints->clusters[c];
    for (size_t h = 0; h < cluster->count; h++) {
      const double *a = coordinates.x + 3 * cluster->centre;
      const double *b = coordinates.x + 3 * cluster->hydrogen[h];
      double r = sqrt(pow(a[0] - b[0], 2) + pow(a[1] - b[1], 2) + pow(a[2] - b[2], 2));
      assert_true(fabs(r - cluster->length[h]) < 1e-14);
    }
  }
  bm_constraints_destroy(&constraints);
  topology->element[0] = 1; /* now hydrogens are bonded to a hydrogen */
  assert_int_equal(bm_constraints_create(topology, &constraints), BM_ERR_DATA);
  topology->element[0] = 6;
  topology->element[4] = 1; /* a fourth one on the methyl carbon, which another atom holds, too */
  assert_int_equal(bm_constraints_create(topology, &constraints), BM_ERR_DATA);
  bm_free(coordinates.x);
  bm_topology_destroy(&topology);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_broken_is_told_with_file_line_and_section),
      cmocka_unit_test(variants_of_the_format_are_read),
      cmocka_unit_test(units_are_nm_kilojoules_and_elementary_charges),
      cmocka_unit_test(radii_are_needed_for_a_solvent_only),
      cmocka_unit_test(broken_coordinates_are_told_with_the_atom),
      cmocka_unit_test(restart_file_and_pdb_hold_the_same_molecule),
      cmocka_unit_test(the_first_model_of_a_pdb_is_read),
      cmocka_unit_test(clusters_hold_all_bonds_to_hydrogen),
  };
  return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
