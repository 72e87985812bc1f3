#include "boltzmap/model/prmtop.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "prmtop_sections.h"

#define BM_ATOMS_MOST 2000 /* all pairs are kept in memory */
#define BM_ELEMENT_MOST 118
#define BM_POINTERS_LEAST 31 /* of POINTERS; later ones are not used */
#define BM_KCAL 4.184        /* kJ */
#define BM_ANGSTROM 0.1      /* nm */
#define BM_CHARGE_UNIT \
  18.2223           /* of CHARGE: sqrt of Coulomb's constant in kcal/mol·Å, as AMBER has it */
#define BM_SCEE 1.2 /* where the file has no scale factors */
#define BM_SCNB 2.0
#define BM_SCALE_LEAST 1e-6      /* of 1-4 pairs: scale factors divide */
#define BM_MIXING_TOLERANCE 1e-6 /* relative, of the printed coefficients */
#define BM_PHASE_TOLERANCE 1e-7  /* phases of 0 and pi are printed with nine digits */

/* Names of POINTERS, in the order of the file. */
enum {
  NATOM,
  NTYPES,
  NBONH,
  MBONA,
  NTHETH,
  MTHETA,
  NPHIH,
  MPHIA,
  NHPARM,
  NPARM,
  NNB,
  NRES,
  NBONA,
  NTHETA,
  NPHIA,
  NUMBND,
  NUMANG,
  NPTRA,
  NATYP,
  NPHB,
  IFPERT,
  NBPER,
  NGPER,
  NDPER,
  MBPER,
  MGPER,
  MDPER,
  IFBOX,
  NMXRS,
  IFCAP,
  NUMEXTRA
};

typedef struct {
  bm_sections_t sections;
  long *pointers; /* [BM_POINTERS_LEAST] */
  bm_topology_t *topology;
  /* Lennard-Jones, in kJ/mol and nm */
  size_t types;
  long *type;              /* [atoms], from 0 */
  double *type_a, *type_b; /* [types][types] */
  int *excluded;           /* [pairs] */
} reader_t;

static bm_status_t fail_in(const reader_t *reader, const char *name, size_t index, const char *what,
                           long value)
{
  const bm_section_t *section = bm_sections_find(&reader->sections, name);
  return BM_FAIL(BM_ERR_DATA, "%s:%zu: section %s, value %zu: %s: %ld", reader->sections.path,
                 bm_sections_line(section, index), name, index + 1, what, value);
}

static bm_status_t fail_real(const reader_t *reader, const char *name, size_t index,
                             const char *what, double value)
{
  const bm_section_t *section = bm_sections_find(&reader->sections, name);
  return BM_FAIL(BM_ERR_DATA, "%s:%zu: section %s, value %zu: %s: %g", reader->sections.path,
                 bm_sections_line(section, index), name, index + 1, what, value);
}

/* Sections and pointers that mean something this program does not compute. */
static bm_status_t refuse_sections(const reader_t *reader)
{
  static const struct {
    const char *section, *what;
  } unknown[] = {
      {"CTITLE", "a CHAMBER (CHARMM) force field"},
      {"FORCE_FIELD_TYPE", "a CHAMBER (CHARMM) force field"},
      {"LENNARD_JONES_CCOEF", "12-6-4 Lennard-Jones terms"},
      {"CMAP_COUNT", "CMAP terms"},
      {"POLARIZABILITY", "polarisable atoms"},
      {"AMOEBA_FORCEFIELD", "an AMOEBA force field"},
      {"CHARMM_UREY_BRADLEY", "CHARMM terms"},
  };
  for (size_t k = 0; k < sizeof unknown / sizeof unknown[0]; k++) {
    const bm_section_t *section = bm_sections_find(&reader->sections, unknown[k].section);
    if (section != NULL) {
      return BM_FAIL(BM_ERR_DATA, "%s:%zu: section %s: %s cannot be read", reader->sections.path,
                     section->flag_line, section->name, unknown[k].what);
    }
  }
  return BM_OK;
}

static bm_status_t refuse_pointers(const reader_t *reader)
{
  static const struct {
    size_t pointer;
    const char *what;
  } unknown[] = {
      {IFPERT, "perturbed atoms (IFPERT) cannot be read"},
      {IFBOX, "periodic boxes (IFBOX) cannot be read"},
      {IFCAP, "solvent caps (IFCAP) cannot be read"},
      {NUMEXTRA, "extra points (NUMEXTRA) cannot be read"},
  };
  for (size_t k = 0; k < sizeof unknown / sizeof unknown[0]; k++) {
    long value = reader->pointers[unknown[k].pointer];
    if (value != 0) {
      return fail_in(reader, "POINTERS", unknown[k].pointer, unknown[k].what, value);
    }
  }
  return BM_OK;
}

static bm_status_t read_pointers(reader_t *reader)
{
  const bm_sections_t *sections = &reader->sections;
  BM_TRY(refuse_sections(reader));
  const bm_section_t *section = bm_sections_find(sections, "POINTERS");
  size_t count = section == NULL ? BM_POINTERS_LEAST : bm_sections_count(sections, section);
  BM_TRY(bm_sections_integers(sections, "POINTERS",
                              count < BM_POINTERS_LEAST ? BM_POINTERS_LEAST : count,
                              &reader->pointers));
  for (size_t k = 0; k < BM_POINTERS_LEAST; k++) {
    if (reader->pointers[k] < 0 || reader->pointers[k] > INT_MAX / 8) {
      return fail_in(reader, "POINTERS", k, "out of range", reader->pointers[k]);
    }
  }
  BM_TRY(refuse_pointers(reader));
  if (reader->pointers[NATOM] < 1 || reader->pointers[NATOM] > BM_ATOMS_MOST) {
    return fail_in(reader, "POINTERS", NATOM, "number of atoms not in 1…2000",
                   reader->pointers[NATOM]);
  }
  if (reader->pointers[NTYPES] < 1 || reader->pointers[NTYPES] > reader->pointers[NATOM]) {
    return fail_in(reader, "POINTERS", NTYPES, "number of atom types not in 1…NATOM",
                   reader->pointers[NTYPES]);
  }
  if (reader->pointers[NRES] < 1 || reader->pointers[NRES] > reader->pointers[NATOM]) {
    return fail_in(reader, "POINTERS", NRES, "number of residues not in 1…NATOM",
                   reader->pointers[NRES]);
  }
  if (bm_sections_find(sections, "IPOL") != NULL) {
    long *polarisable;
    BM_TRY(bm_sections_integers(sections, "IPOL", 1, &polarisable));
    long value = polarisable[0];
    bm_free(polarisable);
    if (value != 0) {
      return fail_in(reader, "IPOL", 0, "polarisable force fields cannot be read", value);
    }
  }
  return BM_OK;
}

/* Atomic number of a mass, where ATOMIC_NUMBER is not there or -1 (not known to LEaP); 0 where no common
 * element has it. */
static int element_of_mass(double mass)
{
  static const struct {
    int number;
    double mass;
  } common[] = {{1, 1.008},   {6, 12.011}, {7, 14.007}, {8, 15.999}, {9, 18.998},
                {15, 30.974}, {16, 32.06}, {17, 35.45}, {35, 79.904}};
  for (size_t k = 0; k < sizeof common / sizeof common[0]; k++) {
    if (fabs(mass - common[k].mass) < 0.1) {
      return common[k].number;
    }
  }
  return 0;
}

static bm_status_t read_elements(reader_t *reader)
{
  bm_topology_t *topology = reader->topology;
  long *numbers = NULL;
  bm_status_t status = BM_OK;
  BM_TRY(BM_ALLOC(topology->atoms, &topology->element));
  if (bm_sections_find(&reader->sections, "ATOMIC_NUMBER") != NULL) {
    BM_TRY(bm_sections_integers(&reader->sections, "ATOMIC_NUMBER", topology->atoms, &numbers));
  }
  for (size_t i = 0; i < topology->atoms; i++) {
    long number = numbers == NULL ? -1 : numbers[i];
    if (number < -1 || number > BM_ELEMENT_MOST) {
      status = fail_in(reader, "ATOMIC_NUMBER", i, "no such element", number);
      break;
    }
    topology->element[i] = number < 1 ? element_of_mass(topology->mass[i]) : (int)number;
  }
  bm_free(numbers);
  return status;
}

static bm_status_t read_atoms(reader_t *reader)
{
  const bm_sections_t *sections = &reader->sections;
  bm_topology_t *topology = reader->topology;
  const size_t atoms = topology->atoms;
  BM_TRY(bm_sections_texts(sections, "ATOM_NAME", atoms, &topology->atom_name));
  BM_TRY(bm_sections_reals(sections, "CHARGE", atoms, &topology->charge));
  BM_TRY(bm_sections_reals(sections, "MASS", atoms, &topology->mass));
  for (size_t i = 0; i < atoms; i++) {
    topology->charge[i] /= BM_CHARGE_UNIT;
    if (topology->mass[i] <= 0.0) {
      return fail_real(reader, "MASS", i, "masses must be positive", topology->mass[i]);
    }
  }
  if (bm_sections_find(sections, "RADII") != NULL) {
    BM_TRY(bm_sections_reals(sections, "RADII", atoms, &topology->radius));
    BM_TRY(bm_sections_reals(sections, "SCREEN", atoms, &topology->screen));
    for (size_t i = 0; i < atoms; i++) {
      topology->radius[i] *= BM_ANGSTROM;
    }
  }
  return read_elements(reader);
}

static bm_status_t read_residues(reader_t *reader)
{
  const bm_sections_t *sections = &reader->sections;
  bm_topology_t *topology = reader->topology;
  long *first;
  BM_TRY(bm_sections_texts(sections, "RESIDUE_LABEL", topology->residues, &topology->residue_name));
  BM_TRY(BM_ALLOC(topology->atoms, &topology->residue));
  BM_TRY(bm_sections_integers(sections, "RESIDUE_POINTER", topology->residues, &first));
  bm_status_t status = BM_OK;
  for (size_t r = 0; r < topology->residues && status == BM_OK; r++) {
    long least = r == 0 ? 1 : first[r - 1] + 1;
    if (first[r] < least || first[r] > (long)topology->atoms || (r == 0 && first[r] != 1)) {
      status =
          fail_in(reader, "RESIDUE_POINTER", r, "not the first atom of a next residue", first[r]);
    }
    for (size_t i = (size_t)(first[r] - 1); status == BM_OK && i < topology->atoms; i++) {
      topology->residue[i] = r;
    }
  }
  bm_free(first);
  return status;
}

/* A list of terms: `width` integers each (atoms as 3·index, some with a sign, then the type), from the
 * two sections "<kind>_INC_HYDROGEN" and "<kind>_WITHOUT_HYDROGEN". */
typedef struct {
  size_t count;
  long *atoms;       /* [count][width - 1], signs kept */
  size_t *parameter; /* [count] */
} terms_t;

static void free_terms(terms_t *terms)
{
  bm_free(terms->atoms);
  bm_free(terms->parameter);
  *terms = (terms_t){0, NULL, NULL};
}

static bm_status_t check_atoms(const reader_t *reader, const char *section, size_t place,
                               const long *atoms, size_t count)
{
  for (size_t k = 0; k < count; k++) {
    long pointer = labs(atoms[k]);
    if (pointer % 3 != 0 || pointer / 3 >= (long)reader->topology->atoms ||
        (k < 2 && atoms[k] < 0)) {
      return fail_in(reader, section, place + k, "no such atom", atoms[k]);
    }
    for (size_t m = 0; m < k; m++) {
      if (labs(atoms[m]) == pointer) {
        return fail_in(reader, section, place + k, "an atom twice in one term", atoms[k]);
      }
    }
  }
  return BM_OK;
}

static bm_status_t read_half(const reader_t *reader, const char *section, size_t width,
                             size_t count, size_t types, terms_t *terms)
{
  long *raw;
  BM_TRY(bm_sections_integers(&reader->sections, section, width * count, &raw));
  /* Room only now: a wrong count in POINTERS may ask for any amount. */
  const size_t before = terms->count;
  bm_status_t status = bm_resize(before * (width - 1), (before + count) * (width - 1),
                                 sizeof *terms->atoms, (void **)&terms->atoms);
  if (status == BM_OK) {
    status =
        bm_resize(before, before + count, sizeof *terms->parameter, (void **)&terms->parameter);
  }
  for (size_t t = 0; t < count && status == BM_OK; t++) {
    const long *term = raw + t * width;
    status = check_atoms(reader, section, t * width, term, width - 1);
    if (status == BM_OK && (term[width - 1] < 1 || term[width - 1] > (long)types)) {
      status = fail_in(reader, section, t * width + width - 1, "no such type", term[width - 1]);
    }
    if (status == BM_OK) {
      memcpy(terms->atoms + terms->count * (width - 1), term, (width - 1) * sizeof *term);
      terms->parameter[terms->count++] = (size_t)(term[width - 1] - 1);
    }
  }
  bm_free(raw);
  return status;
}

/* Pointers: the numbers of terms with and without hydrogen, and of types. */
static bm_status_t read_terms(const reader_t *reader, const char *kind, size_t width,
                              const size_t pointers[3], terms_t *terms)
{
  static const char *const halves[] = {"INC_HYDROGEN", "WITHOUT_HYDROGEN"};
  const size_t types = (size_t)reader->pointers[pointers[2]];
  bm_status_t status = BM_OK;
  *terms = (terms_t){0, NULL, NULL};
  for (size_t half = 0; half < 2 && status == BM_OK; half++) {
    char name[64];
    snprintf(name, sizeof name, "%s_%s", kind, halves[half]);
    status = read_half(reader, name, width, (size_t)reader->pointers[pointers[half]], types, terms);
  }
  if (status != BM_OK) {
    free_terms(terms);
  }
  return status;
}

/* Two parameters of each type of a kind of term. */
static bm_status_t read_parameters(const reader_t *reader, const char *first, const char *second,
                                   size_t types, double **a, double **b)
{
  *a = NULL;
  *b = NULL;
  BM_TRY(bm_sections_reals(&reader->sections, first, types, a));
  return bm_sections_reals(&reader->sections, second, types, b);
}

static size_t atom_of(const terms_t *terms, size_t term, size_t per_term, size_t k)
{
  return (size_t)labs(terms->atoms[term * per_term + k]) / 3;
}

static bm_status_t read_bonds(reader_t *reader)
{
  bm_topology_t *topology = reader->topology;
  const size_t types = (size_t)reader->pointers[NUMBND];
  terms_t terms;
  double *stiffness = NULL;
  double *length = NULL;
  BM_TRY(read_terms(reader, "BONDS", 3, (const size_t[]){NBONH, MBONA, NUMBND}, &terms));
  bm_status_t status = read_parameters(reader, "BOND_FORCE_CONSTANT", "BOND_EQUIL_VALUE", types,
                                       &stiffness, &length);
  if (status == BM_OK) {
    status = BM_ALLOC(terms.count, &topology->bonds);
  }
  for (size_t t = 0; t < terms.count && status == BM_OK; t++) {
    size_t type = terms.parameter[t];
    topology->bonds[topology->bond_count++] =
        (bm_bond_t){atom_of(&terms, t, 2, 0), atom_of(&terms, t, 2, 1), length[type] * BM_ANGSTROM,
                    2.0 * stiffness[type] * BM_KCAL / (BM_ANGSTROM * BM_ANGSTROM)};
  }
  bm_free(length);
  bm_free(stiffness);
  free_terms(&terms);
  return status;
}

static bm_status_t read_angles(reader_t *reader)
{
  bm_topology_t *topology = reader->topology;
  const size_t types = (size_t)reader->pointers[NUMANG];
  terms_t terms;
  double *stiffness = NULL;
  double *angle = NULL;
  BM_TRY(read_terms(reader, "ANGLES", 4, (const size_t[]){NTHETH, MTHETA, NUMANG}, &terms));
  bm_status_t status = read_parameters(reader, "ANGLE_FORCE_CONSTANT", "ANGLE_EQUIL_VALUE", types,
                                       &stiffness, &angle);
  if (status == BM_OK) {
    status = BM_ALLOC(terms.count, &topology->angles);
  }
  for (size_t t = 0; t < terms.count && status == BM_OK; t++) {
    size_t type = terms.parameter[t];
    topology->angles[topology->angle_count++] =
        (bm_angle_t){atom_of(&terms, t, 3, 0), atom_of(&terms, t, 3, 1), atom_of(&terms, t, 3, 2),
                     angle[type], 2.0 * stiffness[type] * BM_KCAL};
  }
  bm_free(angle);
  bm_free(stiffness);
  free_terms(&terms);
  return status;
}

/* Per type of torsion. */
typedef struct {
  double *height, *periodicity, *phase, *scee, *scnb; /* [NPTRA]; the last two may be NULL */
} torsion_types_t;

static void free_torsion_types(torsion_types_t *types)
{
  bm_free(types->height);
  bm_free(types->periodicity);
  bm_free(types->phase);
  bm_free(types->scee);
  bm_free(types->scnb);
}

static bm_status_t read_torsion_types(const reader_t *reader, torsion_types_t *types)
{
  const bm_sections_t *sections = &reader->sections;
  const size_t count = (size_t)reader->pointers[NPTRA];
  BM_TRY(bm_sections_reals(sections, "DIHEDRAL_FORCE_CONSTANT", count, &types->height));
  BM_TRY(bm_sections_reals(sections, "DIHEDRAL_PERIODICITY", count, &types->periodicity));
  BM_TRY(bm_sections_reals(sections, "DIHEDRAL_PHASE", count, &types->phase));
  if (bm_sections_find(sections, "SCEE_SCALE_FACTOR") != NULL) {
    BM_TRY(bm_sections_reals(sections, "SCEE_SCALE_FACTOR", count, &types->scee));
  }
  if (bm_sections_find(sections, "SCNB_SCALE_FACTOR") != NULL) {
    BM_TRY(bm_sections_reals(sections, "SCNB_SCALE_FACTOR", count, &types->scnb));
  }
  for (size_t t = 0; t < count; t++) {
    double periodicity = fabs(types->periodicity[t]);
    if (periodicity != floor(periodicity) || periodicity > 6.0) {
      return fail_real(reader, "DIHEDRAL_PERIODICITY", t, "not a whole number up to 6",
                       types->periodicity[t]);
    }
  }
  return BM_OK;
}

static double clean_phase(double phase)
{
  if (fabs(phase) < BM_PHASE_TOLERANCE) {
    return 0.0;
  }
  return fabs(fabs(phase) - M_PI) < BM_PHASE_TOLERANCE ? M_PI : phase;
}

/* A pair in whatever order. */
static bm_pair_t *pair_of(bm_topology_t *topology, size_t i, size_t j)
{
  return &topology
              ->pairs[i < j ? bm_topology_pair(topology, i, j) : bm_topology_pair(topology, j, i)];
}

/* The 1-4 interaction at the ends of a torsion, from the table of coefficients, scaled. */
static bm_status_t set_one_four(reader_t *reader, const torsion_types_t *types, size_t type,
                                bm_pair_t *pair)
{
  const bm_topology_t *topology = reader->topology;
  size_t cell = (size_t)reader->type[pair->i] * reader->types + (size_t)reader->type[pair->j];
  double scee = types->scee == NULL ? BM_SCEE : types->scee[type];
  double scnb = types->scnb == NULL ? BM_SCNB : types->scnb[type];
  if (scee < BM_SCALE_LEAST || scnb < BM_SCALE_LEAST) {
    int first = scee < BM_SCALE_LEAST;
    return fail_real(reader, first ? "SCEE_SCALE_FACTOR" : "SCNB_SCALE_FACTOR", type,
                     "the scale factor of a 1-4 pair must be at least 1e-6", first ? scee : scnb);
  }
  pair->a = reader->type_a[cell] / scnb;
  pair->b = reader->type_b[cell] / scnb;
  pair->charges = BM_COULOMB * topology->charge[pair->i] * topology->charge[pair->j] / scee;
  return BM_OK;
}

static bm_status_t add_torsion(reader_t *reader, const torsion_types_t *types, const terms_t *terms,
                               size_t t)
{
  bm_topology_t *topology = reader->topology;
  const long *atoms = terms->atoms + 4 * t;
  const size_t type = terms->parameter[t];
  size_t i = atom_of(terms, t, 4, 0);
  size_t l = atom_of(terms, t, 4, 3);
  if (types->height[type] != 0.0) {
    topology->torsions[topology->torsion_count++] =
        (bm_torsion_t){i,
                       atom_of(terms, t, 4, 1),
                       atom_of(terms, t, 4, 2),
                       l,
                       types->height[type] * BM_KCAL,
                       clean_phase(types->phase[type]),
                       (int)fabs(types->periodicity[type])};
  }
  /* A negative third atom: the 1-4 pair belongs to another torsion; a negative fourth: an
   * improper torsion. */
  if (atoms[2] > 0 && atoms[3] > 0) {
    return set_one_four(reader, types, type, pair_of(topology, i, l));
  }
  return BM_OK;
}

static bm_status_t read_torsions(reader_t *reader)
{
  terms_t terms;
  torsion_types_t types = {NULL, NULL, NULL, NULL, NULL};
  BM_TRY(read_terms(reader, "DIHEDRALS", 5, (const size_t[]){NPHIH, MPHIA, NPTRA}, &terms));
  bm_status_t status = read_torsion_types(reader, &types);
  if (status == BM_OK) {
    status = BM_ALLOC(terms.count, &reader->topology->torsions);
  }
  for (size_t t = 0; t < terms.count && status == BM_OK; t++) {
    status = add_torsion(reader, &types, &terms, t);
  }
  free_torsion_types(&types);
  free_terms(&terms);
  return status;
}

/* Smallest energy (positive) and its distance of a 12-6 pair. */
static void well_of(double a, double b, double *depth, double *distance)
{
  int empty = a == 0.0 || b == 0.0;
  *depth = empty ? 0.0 : b * b / (4.0 * a);
  *distance = empty ? 0.0 : pow(2.0 * a / b, 1.0 / 6.0);
}

static int close_to(double value, double wanted)
{
  return isfinite(wanted) && fabs(value - wanted) <= BM_MIXING_TOLERANCE * fabs(wanted);
}

/* Coefficients of unlike types that are those of the Lorentz-Berthelot rule to the digits printed are
 * computed from it, as OpenMM does: the table has nine digits only. Others stay (NBFIX). */
static void mix(size_t types, const double *a, const double *b, double *mixed_a, double *mixed_b)
{
  for (size_t i = 0; i < types; i++) {
    for (size_t j = 0; j < types; j++) {
      double depth[2];
      double distance[2];
      well_of(a[i * types + i], b[i * types + i], &depth[0], &distance[0]);
      well_of(a[j * types + j], b[j * types + j], &depth[1], &distance[1]);
      double well = sqrt(depth[0] * depth[1]);
      double sixth = pow(0.5 * (distance[0] + distance[1]), 6.0);
      size_t cell = i * types + j;
      int by_rule =
          close_to(a[cell], well * sixth * sixth) && close_to(b[cell], 2.0 * well * sixth);
      mixed_a[cell] = by_rule ? well * sixth * sixth : a[cell];
      mixed_b[cell] = by_rule ? 2.0 * well * sixth : b[cell];
    }
  }
}

/* The coefficients of all pairs of types. */
static bm_status_t fill_types(reader_t *reader, const long *index, const double *a, const double *b)
{
  const size_t types = reader->types;
  const long most = (long)(types * (types + 1) / 2);
  const double sixth = pow(BM_ANGSTROM, 6.0);
  for (size_t cell = 0; cell < types * types; cell++) {
    if (index[cell] < 0) {
      return fail_in(reader, "NONBONDED_PARM_INDEX", cell, "10-12 terms cannot be read",
                     index[cell]);
    }
    if (index[cell] < 1 || index[cell] > most) {
      return fail_in(reader, "NONBONDED_PARM_INDEX", cell, "no such coefficient", index[cell]);
    }
    reader->type_a[cell] = a[index[cell] - 1] * BM_KCAL * sixth * sixth;
    reader->type_b[cell] = b[index[cell] - 1] * BM_KCAL * sixth;
  }
  return BM_OK;
}

static bm_status_t read_types(reader_t *reader)
{
  const bm_sections_t *sections = &reader->sections;
  const size_t types = (size_t)reader->pointers[NTYPES];
  long *index = NULL;
  double *a = NULL;
  double *b = NULL;
  reader->types = types;
  BM_TRY(bm_sections_integers(sections, "ATOM_TYPE_INDEX", reader->topology->atoms, &reader->type));
  for (size_t i = 0; i < reader->topology->atoms; i++) {
    if (reader->type[i] < 1 || reader->type[i] > (long)types) {
      return fail_in(reader, "ATOM_TYPE_INDEX", i, "no such type", reader->type[i]);
    }
    reader->type[i]--;
  }
  BM_TRY(BM_ALLOC(types * types, &reader->type_a));
  BM_TRY(BM_ALLOC(types * types, &reader->type_b));
  bm_status_t status =
      bm_sections_integers(sections, "NONBONDED_PARM_INDEX", types * types, &index);
  if (status == BM_OK) {
    status = read_parameters(reader, "LENNARD_JONES_ACOEF", "LENNARD_JONES_BCOEF",
                             types * (types + 1) / 2, &a, &b);
  }
  if (status == BM_OK) {
    status = fill_types(reader, index, a, b);
  }
  bm_free(index);
  bm_free(a);
  bm_free(b);
  return status;
}

/* Pairs that do not interact, of each atom with later ones. */
static bm_status_t read_exclusions(reader_t *reader)
{
  const bm_sections_t *sections = &reader->sections;
  bm_topology_t *topology = reader->topology;
  const size_t listed = (size_t)reader->pointers[NNB];
  long *numbers;
  long *atoms;
  BM_TRY(BM_ALLOC(topology->pair_count, &reader->excluded));
  BM_TRY(bm_sections_integers(sections, "NUMBER_EXCLUDED_ATOMS", topology->atoms, &numbers));
  bm_status_t status = bm_sections_integers(sections, "EXCLUDED_ATOMS_LIST", listed, &atoms);
  if (status != BM_OK) {
    bm_free(numbers);
    return status;
  }
  size_t next = 0;
  for (size_t i = 0; i < topology->atoms && status == BM_OK; i++) {
    if (numbers[i] < 0 || numbers[i] > (long)(listed - next)) {
      status = fail_in(reader, "NUMBER_EXCLUDED_ATOMS", i, "more than EXCLUDED_ATOMS_LIST has",
                       numbers[i]);
      break;
    }
    for (size_t end = next + (size_t)numbers[i]; next < end && status == BM_OK; next++) {
      long other = atoms[next];
      if (other == 0) {
        continue; /* the entry of an atom without exclusions */
      }
      if (other <= (long)i + 1 || other > (long)topology->atoms) {
        status = fail_in(reader, "EXCLUDED_ATOMS_LIST", next, "not a later atom", other);
      } else {
        reader->excluded[bm_topology_pair(topology, i, (size_t)other - 1)] = 1;
      }
    }
  }
  if (status == BM_OK && next != listed) {
    status = fail_in(reader, "EXCLUDED_ATOMS_LIST", next, "belongs to no atom", atoms[next]);
  }
  bm_free(atoms);
  bm_free(numbers);
  return status;
}

static bm_status_t fill_pairs(reader_t *reader)
{
  bm_topology_t *topology = reader->topology;
  const size_t types = reader->types;
  double *mixed;
  BM_TRY(BM_ALLOC(2 * types * types, &mixed));
  mix(types, reader->type_a, reader->type_b, mixed, mixed + types * types);
  bm_pair_t *pair = topology->pairs;
  for (size_t i = 0; i < topology->atoms; i++) {
    for (size_t j = i + 1; j < topology->atoms; j++, pair++) {
      size_t cell = (size_t)reader->type[i] * types + (size_t)reader->type[j];
      int excluded = reader->excluded[pair - topology->pairs];
      *pair = (bm_pair_t){
          .i = i,
          .j = j,
          .a = excluded ? 0.0 : mixed[cell],
          .b = excluded ? 0.0 : mixed[types * types + cell],
          .charges = excluded ? 0.0 : BM_COULOMB * topology->charge[i] * topology->charge[j]};
    }
  }
  bm_free(mixed);
  return BM_OK;
}

static bm_status_t fill_separations(bm_topology_t *topology)
{
  int *separation;
  BM_TRY(BM_ALLOC(topology->atoms * topology->atoms, &separation));
  bm_status_t status = bm_topology_separations(topology, separation);
  for (size_t p = 0; p < topology->pair_count && status == BM_OK; p++) {
    bm_pair_t *pair = &topology->pairs[p];
    pair->separation = separation[pair->i * topology->atoms + pair->j];
  }
  bm_free(separation);
  return status;
}

static bm_status_t read_all(reader_t *reader)
{
  bm_topology_t *topology = reader->topology;
  BM_TRY(bm_sections_read(reader->sections.path, &reader->sections));
  BM_TRY(read_pointers(reader));
  topology->atoms = (size_t)reader->pointers[NATOM];
  topology->residues = (size_t)reader->pointers[NRES];
  topology->pair_count = topology->atoms * (topology->atoms - 1) / 2;
  BM_TRY(read_atoms(reader));
  BM_TRY(read_residues(reader));
  BM_TRY(read_bonds(reader));
  BM_TRY(read_angles(reader));
  BM_TRY(read_types(reader));
  BM_TRY(read_exclusions(reader));
  BM_TRY(BM_ALLOC(topology->pair_count, &topology->pairs));
  BM_TRY(fill_pairs(reader));
  BM_TRY(fill_separations(topology));
  return read_torsions(reader);
}

bm_status_t bm_prmtop_read(const char *path, bm_topology_t **out)
{
  reader_t reader = {.sections = {.path = path}};
  BM_TRY(BM_ALLOC(1, out));
  reader.topology = *out;
  bm_status_t status = read_all(&reader);
  bm_sections_free(&reader.sections);
  bm_free(reader.pointers);
  bm_free(reader.type);
  bm_free(reader.type_a);
  bm_free(reader.type_b);
  bm_free(reader.excluded);
  if (status != BM_OK) {
    bm_topology_destroy(out);
  }
  return status;
}
