/* Reading prmtop files: good variants, and files that are broken in one place each. */

#include <math.h>

#include "edits.h"

static const edit_t broken[] = {
    /* cut off: before the first section, its format, in a line, in a number, between sections */
    {ALL, "%VERSION", NULL, NULL, "not a prmtop file"},
    {ALL, "%FORMAT(10I8)", NULL, "POINTERS", "cut off"},
    {"%FLAG POINTERS", "      22", NULL, "POINTERS", "31 values expected, 0 found"},
    {"%FLAG CHARGE", "2.04636429E+00", NULL, "CHARGE", "22 values expected"},
    {"%FLAG RADII", "1.25", NULL, "RADII", "22 values expected"},
    {"%FLAG IPOL", "0\n", NULL, "IPOL", "expected"},
    {"%FLAG IPOL", "%FORMAT", NULL, "IPOL", "cut off"},
    {ALL, "%FLAG SCREEN", NULL, "SCREEN", "ends without"},
    {"%FLAG DIHEDRALS_WITHOUT", "\n", NULL, "DIHEDRALS_WITHOUT_HYDROGEN", "cut off"},
    {"%FLAG RADII", "%FLAG SCREEN", NULL, "SCREEN", "ends without"},
    /* sections */
    {ALL, "%FLAG MASS", "%FLAG MASSES", "MASS", "ends without"},
    {ALL, "%FLAG POINTERS", "%FLAG POINTER", "POINTERS", "ends without"},
    {ALL, "%FLAG MASS", "%FLAG CHARGE", "CHARGE", "a second section"},
    {ALL, "%FLAG TITLE", "%FLAG CTITLE", "CTITLE", "CHAMBER"},
    {ALL, "%FLAG SOLTY\n%FORMAT(5E16.8)", "%FLAG FORCE_FIELD_TYPE\n%FORMAT(i2,a78)",
     "FORCE_FIELD_TYPE", "CHAMBER"},
    {ALL, "%FLAG SOLTY", "%FLAG LENNARD_JONES_CCOEF", "LENNARD_JONES_CCOEF", "12-6-4"},
    {ALL, "%FLAG SOLTY", "%FLAG CMAP_COUNT", "CMAP_COUNT", "CMAP terms"},
    {ALL, "%FLAG SOLTY", "%FLAG POLARIZABILITY", "POLARIZABILITY", "polarisable"},
    {"%FLAG IPOL", "       0", "       1", "IPOL", "polarisable"},
    {ALL, "%FLAG TITLE\n", "TITLE\n", NULL, "no %FLAG"},
    {ALL, "%FLAG CHARGE", "%FLAG", NULL, "%FLAG without a name"},
    {"%FORMAT(10I8)", "%FLAG", "%FLOG", NULL, "%FLAG expected"},
    /* formats */
    {"%FLAG CHARGE", "%FORMAT(5E16.8)", "%FORMAT(5X16.8)", "CHARGE", "not of real numbers"},
    {"%FLAG CHARGE", "%FORMAT(5E16.8)", "%FORMAT(10I8)", "CHARGE", "not of real numbers"},
    {"%FLAG CHARGE", "%FORMAT(5E16.8)", "%FORMAT(0E16.8)", "CHARGE", "not of real numbers"},
    {"%FLAG CHARGE", "%FORMAT(5E16.8)", "%FORMAT(-5E16.8)", "CHARGE", "not of real numbers"},
    {"%FLAG CHARGE", "%FORMAT(5E16.8)", "%FORMAT(5E16.8", "CHARGE", "not of real numbers"},
    {"%FLAG CHARGE", "%FORMAT(5E16.8)", "%FORMAT 5E16.8", "CHARGE", "%FORMAT expected"},
    {"%FLAG CHARGE", "%FORMAT(5E16.8)\n", "", "CHARGE", "%FORMAT expected"},
    {"%FLAG CHARGE", "%FORMAT(5E16.8)", "%FORMAT(5E15.8)", "CHARGE", "23 found"},
    {"%FLAG ATOM_TYPE_INDEX", "%FORMAT(10I8)", "%FORMAT(5E16.8)", "ATOM_TYPE_INDEX",
     "not of integers"},
    {"%FLAG ATOM_NAME", "%FORMAT(20a4)", "%FORMAT(10I8)", "ATOM_NAME", "not of texts"},
    /* counts: the first line of POINTERS is NATOM NTYPES NBONH MBONA NTHETH MTHETA NPHIH MPHIA */
    {"%FLAG POINTERS", "      22", "      21", "CHARGE", "21 values expected, 22 found"},
    {"%FLAG POINTERS", "      22", "       0", "POINTERS", "number of atoms"},
    {"%FLAG POINTERS", "      22", "99999999", "POINTERS", "number of atoms"},
    {"%FLAG POINTERS", "      22", "     -22", "POINTERS", "out of range"},
    {"%FLAG POINTERS", "      22       7", "      22      99", "POINTERS", "atom types"},
    {"%FLAG POINTERS", "       7      12", "       7      13", "BONDS_INC_HYDROGEN", "39 values"},
    {"%FLAG POINTERS", "       7      12", "       799999999", "BONDS_INC_HYDROGEN", "expected"},
    {"%FLAG POINTERS", "      25      11", "      25      12", "ANGLES_WITHOUT_HYDROGEN",
     "expected"},
    {"%FLAG POINTERS", "      99       3", "      98       3", "EXCLUDED_ATOMS_LIST", "expected"},
    {"%FLAG POINTERS", "      99       3", "      99      33", "POINTERS", "number of residues"},
    {"%FLAG POINTERS", "      99       3", "      99       4", "RESIDUE_LABEL", "4 values"},
    {"%FLAG POINTERS", "      51       1", "       5       1", "DIHEDRALS_INC_HYDROGEN",
     "no such type"},
    {"%FLAG POINTERS", "       1       0\n       0", "       1       0\n       1", "POINTERS",
     "IFPERT"},
    {"%FLAG POINTERS", "       0      10       0\n", "       1      10       0\n", "POINTERS",
     "IFBOX"},
    {"%FLAG POINTERS", "      10       0\n       0", "      10       0\n       2", "POINTERS",
     "NUMEXTRA"},
    {"%FLAG POINTERS", "      10       0\n", "      10       1\n", "POINTERS", "IFCAP"},
    /* numbers */
    {"%FLAG CHARGE", " -6.67300626E+00", "             NaN", "CHARGE", "not a number"},
    {"%FLAG CHARGE", " -6.67300626E+00", "             inf", "CHARGE", "not a number"},
    {"%FLAG CHARGE", " -6.67300626E+00", "          1.E+99", "CHARGE", "too large"},
    {"%FLAG CHARGE", " -6.67300626E+00", "  -6.6730 626E+0", "CHARGE", "not a number"},
    {"%FLAG CHARGE", " -6.67300626E+00", "                ", "CHARGE", "not a number"},
    {"%FLAG CHARGE", "  1.77849648E+00\n%", "  1.77849648E+0\n%", "CHARGE", "cut short"},
    {"%FLAG MASS", "  1.20107800E+01", "  0.00000000E+00", "MASS", "must be positive: 0"},
    {"%FLAG MASS", "  1.20107800E+01", " -0.50000000E+00", "MASS", "must be positive: -0.5"},
    {"%FLAG ATOMIC_NUMBER", "       6", "     119", "ATOMIC_NUMBER", "no such element"},
    {"%FLAG ATOMIC_NUMBER", "       6", "      -2", "ATOMIC_NUMBER", "no such element"},
    /* types, residues, exclusions */
    {"%FLAG ATOM_TYPE_INDEX", "       1", "      12", "ATOM_TYPE_INDEX", "no such type"},
    {"%FLAG ATOM_TYPE_INDEX", "       1", "       0", "ATOM_TYPE_INDEX", "no such type"},
    {"%FLAG ATOM_TYPE_INDEX", "       1", "       x", "ATOM_TYPE_INDEX", "not a number"},
    {"%FLAG ATOM_TYPE_INDEX", "       1", "     1.0", "ATOM_TYPE_INDEX", "not a number"},
    {"%FLAG NONBONDED_PARM_INDEX", "       1", "      -1", "NONBONDED_PARM_INDEX", "10-12"},
    {"%FLAG NONBONDED_PARM_INDEX", "       1", "      99", "NONBONDED_PARM_INDEX", "no such"},
    {"%FLAG RESIDUE_POINTER", "       7", "       1", "RESIDUE_POINTER", "next residue"},
    {"%FLAG RESIDUE_POINTER", "       7      17", "      17       7", "RESIDUE_POINTER",
     "next residue: 7"},
    {"%FLAG RESIDUE_POINTER", "       1", "       2", "RESIDUE_POINTER", "next residue"},
    {"%FLAG NUMBER_EXCLUDED_ATOMS", "       8", "      88", "NUMBER_EXCLUDED_ATOMS", "more than"},
    {"%FLAG NUMBER_EXCLUDED_ATOMS", "       8", "     888", "NUMBER_EXCLUDED_ATOMS", "more than"},
    {"%FLAG NUMBER_EXCLUDED_ATOMS", "       8", "      -8", "NUMBER_EXCLUDED_ATOMS", "more than"},
    {"%FLAG NUMBER_EXCLUDED_ATOMS", "       1\n%", "       0\n%", "EXCLUDED_ATOMS_LIST",
     "belongs to no atom"},
    {"%FLAG EXCLUDED_ATOMS_LIST", "       2", "       1", "EXCLUDED_ATOMS_LIST", "not a later"},
    {"%FLAG EXCLUDED_ATOMS_LIST", "       2", "      99", "EXCLUDED_ATOMS_LIST", "not a later"},
    /* terms */
    {"%FLAG BONDS_INC_HYDROGEN", "       0       3", "       0      -3", "BONDS_INC_HYDROGEN",
     "no such atom"},
    {"%FLAG BONDS_INC_HYDROGEN", "       0       3", "       0       4", "BONDS_INC_HYDROGEN",
     "no such atom"},
    {"%FLAG BONDS_INC_HYDROGEN", "       0       3", "       0      66", "BONDS_INC_HYDROGEN",
     "no such atom"},
    {"%FLAG BONDS_INC_HYDROGEN", "       0       3", "       3       3", "BONDS_INC_HYDROGEN",
     "an atom twice"},
    {"%FLAG DIHEDRALS_INC_HYDROGEN", "       0      12      18      21",
     "       0      12      18     -12", "DIHEDRALS_INC_HYDROGEN", "an atom twice"},
    {"%FLAG BONDS_INC_HYDROGEN", "       0       3       1", "       0       3      11",
     "BONDS_INC_HYDROGEN", "no such type"},
    {"%FLAG DIHEDRAL_PERIODICITY", "  3.00000000E+00", "  7.00000000E+00", "DIHEDRAL_PERIODICITY",
     "up to 6: 7"},
    {"%FLAG DIHEDRAL_PERIODICITY", "  3.00000000E+00", "  2.50000000E+00", "DIHEDRAL_PERIODICITY",
     "up to 6: 2.5"},
    {"%FLAG SCEE_SCALE_FACTOR", "  1.20000048E+00", "  0.00000000E+00", "SCEE_SCALE_FACTOR",
     "scale factor"},
    {"%FLAG SCNB_SCALE_FACTOR", "  2.00000000E+00", "  -2.0000000E+00", "SCNB_SCALE_FACTOR",
     "1e-6: -2"},
};

static void assert_refused(size_t row, const edit_t *edit, const char *bytes, size_t count)
{
  const char *path = written(bytes, count);
  bm_topology_t *topology = NULL;
  bm_status_t status = bm_prmtop_read(path, &topology);
  assert_told(row, edit, path, status);
  assert_null(topology);
}

static void what_is_broken_is_told_with_file_line_and_section(void **state)
{
  (void)state;
  char *text = text_of(".prmtop");
  for (size_t k = 0; k < sizeof broken / sizeof broken[0]; k++) {
    char *changed = edited(text, &broken[k]);
    assert_refused(k, &broken[k], changed, strlen(changed));
    bm_free(changed);
  }
  bm_free(text);
}

static void files_that_are_no_text_or_empty_are_refused(void **state)
{
  (void)state;
  static const edit_t zero = {.from = "a byte", .to = "zero", .wanted = "a zero byte"};
  static const edit_t empty = {.from = "all", .to = "nothing", .wanted = "not a prmtop file"};
  char *text = text_of(".prmtop");
  const size_t count = strlen(text);
  assert_refused(0, &empty, "", 0);
  assert_refused(1, &empty, "\n", 1);
  text[count / 2] = '\0';
  assert_refused(2, &zero, text, count);
  text[0] = '\0';
  assert_refused(3, &zero, text, count);
  bm_free(text);
}

/* What other programs and older versions write. */
static const edit_t variants[] = {
    {.after = ALL, .from = "%FLAG ATOMIC_NUMBER", .to = "%FLAG ATOMIC_NUMBERS"},
    {.after = "%FLAG ATOMIC_NUMBER", .from = "       6", .to = "      -1"},
    {.after = ALL, .from = "%VERSION", .to = "%VERSION of another program\n%VERSION"},
    {.after = "%FLAG MASS", .from = "%FORMAT", .to = "%COMMENT of a program\n%FORMAT"},
    {.after = "%FLAG MASS", .from = "%FORMAT(5E16.8)", .to = "%FORMAT(5e16.8)  "},
    {.after = "%FLAG RADIUS_SET", .from = "%FORMAT(1a80)", .to = "%FORMAT(a80)"},
    {.after = "%FLAG RADIUS_SET", .from = "%FORMAT(1a80)", .to = "%FORMAT(i2,a78)"},
    {.after = ALL, .from = "%FLAG IPOL", .to = NULL},
};

static void variants_of_the_format_are_read(void **state)
{
  (void)state;
  char *text = text_of(".prmtop");
  const size_t count = sizeof variants / sizeof variants[0];
  for (size_t k = 0; k <= count; k++) {
    char *changed = k == count ? with_carriage_returns(text) : edited(text, &variants[k]);
    bm_topology_t *topology;
    demand(bm_prmtop_read(written(changed, strlen(changed)), &topology));
    assert_int_equal(topology->atoms, 22);
    assert_int_equal(topology->element[0], 6);
    assert_int_equal(topology->element[1], 1);
    assert_string_equal(topology->atom_name[21], "H3");
    assert_string_equal(topology->residue_name[2], "NME");
    bm_topology_destroy(&topology);
    bm_free(changed);
  }
  bm_free(text);
}

/* Old files have no scale factors of 1-4 pairs: 1.2 and 2 are then meant. */
static void scale_factors_default_one_by_one(void **state)
{
  (void)state;
  static const edit_t edits[] = {
      {.after = ALL, .from = "%FLAG TITLE", .to = "%FLAG TITLE"},
      {.after = ALL, .from = "%FLAG SCEE_SCALE_FACTOR", .to = "%FLAG OTHER"},
      {.after = ALL, .from = "%FLAG SCNB_SCALE_FACTOR", .to = "%FLAG OTHER"},
  };
  char *text = text_of(".prmtop");
  for (size_t k = 0; k < 3; k++) {
    char *changed = edited(text, &edits[k]);
    bm_topology_t *topology;
    demand(bm_prmtop_read(written(changed, strlen(changed)), &topology));
    /* H1 and O of the acetyl group, at the ends of a torsion */
    const bm_pair_t *pair = &topology->pairs[bm_topology_pair(topology, 1, 5)];
    double charges = BM_COULOMB * topology->charge[1] * topology->charge[5];
    assert_int_equal(pair->separation, 3);
    assert_true(fabs(charges / pair->charges - (k == 1 ? 1.2 : 1.20000048)) < 1e-12);
    /* coefficient 8 of the table, kcal/mol·Å¹² */
    assert_true(fabs(pair->a / (5.44261042e4 * 4.184e-12 / 2.0) - 1.0) < 1e-8);
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
  /* H-C-H: 35 kcal/mol/rad² and 109.5 degrees */
  assert_true(fabs(topology->angles[0].angle - 1.91113553) < 1e-12);
  assert_true(fabs(topology->angles[0].stiffness - 2.0 * 35.0 * 4.184) < 1e-9);
  assert_true(topology->mass[0] == 12.01078);
  assert_true(topology->torsions[0].phase == M_PI && topology->torsions[0].periodicity == 2);
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
  static const edit_t no_radii = {.after = ALL, .from = "%FLAG RADII", .to = "%FLAG OTHER_RADII"};
  char *text = text_of(".prmtop");
  char *changed = edited(text, &no_radii);
  bm_topology_t *topology;
  bm_force_field_t *field;
  demand(bm_prmtop_read(written(changed, strlen(changed)), &topology));
  assert_int_equal(bm_force_field_create(topology, DIELECTRIC, &field), BM_ERR_DATA);
  demand(bm_force_field_create(topology, 0.0, &field));
  bm_force_field_destroy(&field);
  bm_topology_destroy(&topology);
  bm_free(changed);
  bm_free(text);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_broken_is_told_with_file_line_and_section),
      cmocka_unit_test(files_that_are_no_text_or_empty_are_refused),
      cmocka_unit_test(variants_of_the_format_are_read),
      cmocka_unit_test(scale_factors_default_one_by_one),
      cmocka_unit_test(units_are_nm_kilojoules_and_elementary_charges),
      cmocka_unit_test(radii_are_needed_for_a_solvent_only),
  };
  return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
