#include "boltzmap/io/pdb.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"

#define BM_LINE_WIDTH 80 /* of every record, blanks at its end */
#define BM_LINE_BYTES (BM_LINE_WIDTH + 1)
#define BM_NAME_LETTERS 4
#define BM_COORDINATE_WIDTH 8
#define BM_ANGSTROMS 10.0  /* a nanometre */
#define BM_CONECT_MOST 4   /* neighbours a record */
#define BM_MODEL_RECORDS 3 /* beside the atoms: MODEL, TER, ENDMDL */

/* Bonds seen from each atom: those of atom i are atom[first[i]], …, atom[first[i + 1] - 1]. */
typedef struct {
  size_t *first; /* [atoms + 1] */
  size_t *atom;  /* [2 · bonds], ascending for each atom */
} neighbours_t;

/* Symbols of elements 1 to 118, two columns each, as a PDB file has them. */
static const char symbols[] =
    " HHELIBE B C N O FNENAMGALSI P SCLAR KCASCTI VCRMNFECONICUZNGAGEASSEBRKR"
    "RBSR YZRNBMOTCRURHPDAGCDINSNSBTE IXECSBALACEPRNDPMSMEUGDTBDYHOERTMYBLU"
    "HFTA WREOSIRPTAUHGTLPBBIPOATRNFRRAACTHPA UNPPUAMCMBKCFESFMMDNOLRRFDBSG"
    "BHHSMTDSRGCNNHFLMCLVTSOG";

static void symbol_of(int element, char symbol[3])
{
  const size_t known = (sizeof symbols - 1) / 2;
  const int is_known = element >= 1 && (size_t)element <= known;
  memcpy(symbol, is_known ? symbols + 2 * (element - 1) : "  ", 2);
  symbol[2] = '\0';
}

/* One more record at the end of the text. */
__attribute__((format(printf, 2, 3))) static void put_record(char **end, const char *format, ...)
{
  char line[BM_LINE_BYTES];
  va_list args;
  va_start(args, format);
  const int length = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  assert(length >= 0 && length <= BM_LINE_WIDTH);
  memset(*end, ' ', BM_LINE_WIDTH);
  memcpy(*end, line, (size_t)length);
  (*end)[BM_LINE_WIDTH] = '\n';
  *end += BM_LINE_BYTES;
}

/* Before a name in columns 13 to 16: an element's symbol ends in column 14, so that a name starts one column
 * later where the symbol is one letter, unless it needs all four. */
static const char *indent_of(const char *name, const char *symbol)
{
  return symbol[0] == ' ' && strlen(name) < BM_NAME_LETTERS ? " " : "";
}

/* Behind a residue's name in columns 18 to 20: a blank, whose column a fourth letter takes. */
static const char *gap_of(const char *residue_name)
{
  return strlen(residue_name) < BM_NAME_LETTERS ? " " : "";
}

/* Does the number fit into its eight columns? */
static int print_coordinate(double nm, char text[BM_COORDINATE_WIDTH + 1])
{
  return isfinite(nm) && snprintf(text, BM_COORDINATE_WIDTH + 1, "%*.3f", BM_COORDINATE_WIDTH,
                                  BM_ANGSTROMS * nm) == BM_COORDINATE_WIDTH;
}

static bm_status_t check_count(const char *what, size_t count, size_t most)
{
  return count <= most
             ? BM_OK
             : BM_FAIL(BM_ERR_DATA, "%zu %s: a PDB file has room for %zu", count, what, most);
}

static bm_status_t check_names(const char *what, size_t count,
                               const char (*names)[BM_PDB_NAME] /* [count] */)
{
  for (size_t i = 0; i < count; i++) {
    const size_t letters = strnlen(names[i], BM_PDB_NAME);
    if (letters > BM_NAME_LETTERS) {
      return BM_FAIL(BM_ERR_DATA, "name '%.*s' of %s %zu: a PDB file has room for %d letters",
                     (int)letters, names[i], what, i + 1, BM_NAME_LETTERS);
    }
  }
  return BM_OK;
}

static bm_status_t check(const bm_pdb_molecule_t *molecule, size_t models)
{
  BM_TRY(check_count("atoms", molecule->atoms, BM_PDB_ATOMS_MOST));
  BM_TRY(check_count("residues", molecule->residues, BM_PDB_RESIDUES_MOST));
  BM_TRY(check_count("models", models, BM_PDB_MODELS_MOST));
  BM_TRY(check_names("atom", molecule->atoms, molecule->atom_name));
  return check_names("residue", molecule->residues, molecule->residue_name);
}

static void insert(size_t *atoms, size_t count, size_t atom)
{
  for (; count > 0 && atoms[count - 1] > atom; count--) {
    atoms[count] = atoms[count - 1];
  }
  atoms[count] = atom;
}

static bm_status_t find_neighbours(const bm_pdb_molecule_t *molecule, neighbours_t *neighbours)
{
  const size_t atoms = molecule->atoms;
  size_t *found = NULL; /* [atoms], neighbours so far */
  BM_TRY(BM_ALLOC(atoms + 1, &neighbours->first));
  BM_TRY(BM_ALLOC(2 * molecule->bond_count, &neighbours->atom));
  BM_TRY(BM_ALLOC(atoms, &found));
  for (size_t b = 0; b < molecule->bond_count; b++) {
    for (int end = 0; end < 2; end++) {
      assert(molecule->bonds[b][end] < atoms);
      neighbours->first[molecule->bonds[b][end] + 1]++;
    }
  }
  for (size_t i = 0; i < atoms; i++) {
    neighbours->first[i + 1] += neighbours->first[i];
  }
  for (size_t b = 0; b < molecule->bond_count; b++) {
    for (int end = 0; end < 2; end++) {
      const size_t i = molecule->bonds[b][end];
      insert(neighbours->atom + neighbours->first[i], found[i]++, molecule->bonds[b][1 - end]);
    }
  }
  bm_free(found);
  return BM_OK;
}

/* Records of the whole file. */
static size_t count_records(const bm_pdb_molecule_t *molecule, const neighbours_t *neighbours,
                            size_t models)
{
  size_t count = models * (molecule->atoms + BM_MODEL_RECORDS) + 1;
  for (size_t i = 0; i < molecule->atoms; i++) {
    const size_t degree = neighbours->first[i + 1] - neighbours->first[i];
    count += (degree + BM_CONECT_MOST - 1) / BM_CONECT_MOST;
  }
  return count;
}

static void put_connections(char **end, const bm_pdb_molecule_t *molecule,
                            const neighbours_t *neighbours)
{
  for (size_t i = 0; i < molecule->atoms; i++) {
    const size_t last = neighbours->first[i + 1];
    for (size_t k = neighbours->first[i]; k < last; k += BM_CONECT_MOST) {
      char list[5 * BM_CONECT_MOST + 1] = "";
      for (size_t l = k; l < last && l < k + BM_CONECT_MOST; l++) {
        snprintf(list + 5 * (l - k), sizeof list - 5 * (l - k), "%5zu", neighbours->atom[l] + 1);
      }
      put_record(end, "CONECT%5zu%s", i + 1, list);
    }
  }
}

static bm_status_t put_atom(char **end, const bm_pdb_molecule_t *molecule, size_t atom,
                            const double *x /* [3] */)
{
  const size_t residue = molecule->residue[atom];
  assert(residue < molecule->residues);
  const char *name = molecule->atom_name[atom];
  const char *residue_name = molecule->residue_name[residue];
  char symbol[3];
  char number[3][BM_COORDINATE_WIDTH + 1];
  for (int k = 0; k < 3; k++) {
    if (!print_coordinate(x[k], number[k])) {
      return BM_FAIL(BM_ERR_DATA,
                     "atom %zu has %c = %g ångström: a PDB file has room for -999.999 to 9999.999",
                     atom + 1, "xyz"[k], BM_ANGSTROMS * x[k]);
    }
  }
  symbol_of(molecule->element[atom], symbol);
  const char *indent = indent_of(name, symbol);
  put_record(end, "ATOM  %5zu %s%-*s %3s%sA%4zu    %s%s%s  1.00  0.00          %s", atom + 1,
             indent, BM_NAME_LETTERS - (int)strlen(indent), name, residue_name,
             gap_of(residue_name), residue + 1, number[0], number[1], number[2], symbol);
  return BM_OK;
}

static bm_status_t put_model(char **end, const bm_pdb_molecule_t *molecule, size_t model,
                             const double *x /* [atoms][3] */)
{
  const size_t residue = molecule->residue[molecule->atoms - 1];
  const char *residue_name = molecule->residue_name[residue];
  put_record(end, "MODEL     %4zu", model + 1);
  for (size_t i = 0; i < molecule->atoms; i++) {
    bm_status_t status = put_atom(end, molecule, i, x + 3 * i);
    if (status != BM_OK) {
      return bm_status_prefix(status, "model %zu", model + 1);
    }
  }
  put_record(end, "TER   %5zu      %3s%sA%4zu", molecule->atoms + 1, residue_name,
             gap_of(residue_name), residue + 1);
  put_record(end, "ENDMDL");
  return BM_OK;
}

/* All records. */
static bm_status_t put_file(char **end, const bm_pdb_molecule_t *molecule,
                            const neighbours_t *neighbours, size_t models,
                            const double *x /* [models][atoms][3] */)
{
  for (size_t m = 0; m < models; m++) {
    BM_TRY(put_model(end, molecule, m, x + 3 * molecule->atoms * m));
  }
  put_connections(end, molecule, neighbours);
  put_record(end, "END");
  return BM_OK;
}

bm_status_t bm_pdb_write(const char *path, const bm_pdb_molecule_t *molecule, size_t models,
                         const double *x)
{
  neighbours_t neighbours = {NULL, NULL};
  char *text = NULL;
  size_t bytes = 0;
  assert(molecule->atoms > 0 && models > 0);
  bm_status_t status = check(molecule, models);
  if (status == BM_OK) {
    status = find_neighbours(molecule, &neighbours);
  }
  if (status == BM_OK) {
    bytes = BM_LINE_BYTES * count_records(molecule, &neighbours, models);
    status = BM_ALLOC(bytes, &text);
  }
  if (status == BM_OK) {
    char *end = text;
    status = put_file(&end, molecule, &neighbours, models, x);
    assert(status != BM_OK || end == text + bytes);
  }
  status =
      status == BM_OK ? bm_file_write(path, text, bytes) : bm_status_prefix(status, "%s", path);
  bm_free(text);
  bm_free(neighbours.atom);
  bm_free(neighbours.first);
  return status;
}
