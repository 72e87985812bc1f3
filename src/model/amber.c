/* A molecule with an AMBER force field (model/force_field.h), its energies from the fast kernels in
 * double precision. Observables are the backbone torsions and the shortest distance of atoms more than
 * two bonds apart; averages are basins of the first residue and the families of terms. */

#include <math.h>
#include <string.h>

#include "boltzmap/base/internal.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/model/backbone.h"
#include "boltzmap/model/molecule.h"
#include "boltzmap/model/pack.h"

#define BM_WHEN "system.kind=amber"
#define BM_METHYLS_MOST 20 /* 3^20 elements are counted in 32 bits */
#define BM_PIECE 64        /* configurations whose terms are held at a time */

static const char *const solvents[] = {"none", "obc2", NULL};
static const char *const constraint_names[] = {"none", "h-bonds", NULL};

static const bm_deck_key_t keys[] = {
    {"system.topology", BM_DECK_PATH, NULL, 0, 0, NULL, BM_WHEN, "AMBER parameter file (prmtop)"},
    {"system.coordinates", BM_DECK_PATH, NULL, 0, 0, NULL, BM_WHEN,
     "where walkers start: AMBER restart file (rst7) or PDB"},
    {"system.temperature_K", BM_DECK_REAL, "300.0", 1e-3, 1e5, NULL, BM_WHEN,
     "temperature of the Boltzmann distribution, K"},
    {"system.implicit_solvent", BM_DECK_STRING, "\"obc2\"", 0, 0, solvents, BM_WHEN,
     "GB-OBC2 with surface-area term, or vacuum"},
    {"system.solvent_dielectric", BM_DECK_REAL, "78.3", 1.0, 1e6, NULL,
     "system.implicit_solvent=obc2", "dielectric constant of the solvent"},
    {"system.constraints", BM_DECK_STRING, "\"none\"", 0, 0, constraint_names, BM_WHEN,
     "bonds to hydrogen held at their length, or none"},
    {"system.nonbonded_beyond_bonds", BM_DECK_INT, "2", 1, 100, NULL, BM_WHEN,
     "atoms more than so many bonds apart are the non-bonded pairs of distances and penalties"},
    {NULL, BM_DECK_INT, NULL, 0, 0, NULL, NULL, NULL},
};

static const bm_observable_name_t average_names[] = {
    BM_BACKBONE_AVERAGES,
    {"energy_mean", "kJ/mol", 0},
    {"energy_bond_mean", "kJ/mol", 0},
    {"energy_angle_mean", "kJ/mol", 0},
    {"energy_torsion_mean", "kJ/mol", 0},
    {"energy_nonbonded_mean", "kJ/mol", 0},
    {"energy_solvation_mean", "kJ/mol", 0},
};
#define BM_AVERAGES (sizeof average_names / sizeof average_names[0])
#define BM_BASINS 2 /* averages that need a backbone, the first ones */

typedef struct {
  bm_molecule_t *molecule;
  bm_pack_t *pack;
  size_t observable_count;
  bm_observable_name_t *observables; /* [angles + 1] */
  double *terms;                     /* [BM_PIECE][BM_TERM_COUNT] */
} own_t;

static void destroy(void **self)
{
  own_t *own = *self;
  if (own != NULL) {
    bm_pack_double.destroy(&own->pack);
    bm_molecule_destroy(&own->molecule);
    bm_free(own->observables);
    bm_free(own->terms);
  }
  bm_free(own);
  *self = NULL;
}

static bm_status_t fill(const bm_deck_case_t *deck_case, own_t *own)
{
  BM_TRY(bm_molecule_create(deck_case, &own->molecule));
  const bm_molecule_t *molecule = own->molecule;
  BM_TRY(bm_pack_double.create(molecule->field, NULL, molecule->start, &own->pack));
  BM_TRY(BM_ALLOC(molecule->angle_count + 1, &own->observables));
  BM_TRY(BM_ALLOC(BM_PIECE * BM_TERM_COUNT, &own->terms));
  for (size_t k = 0; k < molecule->angle_count; k++) {
    own->observables[k] = molecule->angle_names[k];
  }
  own->observables[molecule->angle_count] = (bm_observable_name_t){"r_nonbonded", "nm", 0.0};
  own->observable_count = molecule->angle_count + (molecule->pair_count > 0 ? 1 : 0);
  return BM_OK;
}

/* Methyl groups whose turns are symmetries: as many as there are numbers for. */
static size_t turning_methyls(const bm_molecule_t *molecule)
{
  return molecule->methyl_count < BM_METHYLS_MOST ? molecule->methyl_count : BM_METHYLS_MOST;
}

/* Elements of the group that they make. */
static size_t turns_of(const bm_molecule_t *molecule)
{
  size_t count = 1;
  for (size_t m = 0; m < turning_methyls(molecule); m++) {
    count *= 3;
  }
  return count;
}

/* Turn methyl groups by thirds, digit by digit of the element: hydrogens are alike, and their exchange in a
 * circle is what a rotation of the group does. */
static void symmetry(const void *self, size_t element, double *x /* [d] */)
{
  const own_t *own = self;
  for (size_t m = 0; m < turning_methyls(own->molecule); m++, element /= 3) {
    const size_t *hydrogens = own->molecule->methyls[m];
    double old[3][3];
    for (size_t h = 0; h < 3; h++) {
      memcpy(old[h], x + 3 * hydrogens[h], sizeof old[h]);
    }
    for (size_t h = 0; h < 3; h++) {
      memcpy(x + 3 * hydrogens[h], old[(h + element) % 3], sizeof old[h]);
    }
  }
}

static bm_status_t create(const bm_deck_case_t *deck_case, void **self, bm_traits_t *traits)
{
  own_t *own;
  BM_TRY(BM_ALLOC(1, &own));
  *self = own;
  bm_status_t status = fill(deck_case, own);
  if (status != BM_OK) {
    destroy(self);
    return status;
  }
  size_t skipped = own->molecule->angle_count == 0 ? BM_BASINS : 0;
  *traits = (bm_traits_t){.layout = {own->molecule->topology->atoms, 3, "nm", "kJ/mol"},
                          .beta = 1.0 / own->molecule->kT,
                          .invariant = 1,
                          .observables = own->observables,
                          .observable_count = own->observable_count,
                          .averages = average_names + skipped,
                          .average_count = BM_AVERAGES - skipped,
                          .pairs = (const size_t(*)[2])own->molecule->pairs,
                          .pair_count = own->molecule->pair_count,
                          .symmetry_count = turns_of(own->molecule),
                          .molecule = own->molecule};
  return BM_OK;
}

/* Terms of up to BM_PIECE configurations into own->terms. */
static void evaluate(const own_t *own, size_t count, const double *x, double *force)
{
  bm_pack_double.energy(own->pack, count, x, own->terms, force);
}

static void energy(const void *self, size_t n, const double *x /* [n][d] */, double *value,
                   double *gradient /* [n][d] */)
{
  const own_t *own = self;
  const size_t d = 3 * own->molecule->topology->atoms;
  for (size_t first = 0; first < n; first += BM_PIECE) {
    size_t count = n - first < BM_PIECE ? n - first : BM_PIECE;
    double *force = gradient == NULL ? NULL : gradient + first * d;
    evaluate(own, count, x + first * d, force);
    for (size_t i = 0; i < count; i++) {
      double sum = 0.0;
      for (size_t t = 0; t < BM_TERM_COUNT; t++) {
        sum += own->terms[i * BM_TERM_COUNT + t];
      }
      /* what is not finite is a collision */
      value[first + i] = isfinite(sum) ? sum : INFINITY;
    }
    for (size_t k = 0; force != NULL && k < count * d; k++) {
      force[k] = -force[k];
    }
  }
}

static const char *const term_names[] = {
#define BM_TERM_NAME(row) #row,
    BM_FORCE_TERM_TABLE(BM_TERM_NAME)
#undef BM_TERM_NAME
        NULL,
};

static void terms(const void *self, size_t n, const double *x /* [n][d] */,
                  double *values /* [n][BM_TERM_COUNT] */)
{
  const own_t *own = self;
  bm_pack_double.energy(own->pack, n, x, values, NULL);
}

static void observe(const void *self, size_t n, const double *x /* [n][d] */, double *values)
{
  const own_t *own = self;
  const bm_molecule_t *molecule = own->molecule;
  for (size_t i = 0; i < n; i++) {
    const double *frame = x + i * 3 * molecule->topology->atoms;
    for (size_t k = 0; k < molecule->angle_count; k++) {
      values[k * n + i] = bm_internal_dihedral(frame, molecule->angles[k]);
    }
    if (own->observable_count > molecule->angle_count) {
      values[molecule->angle_count * n + i] = bm_molecule_shortest(molecule, frame);
    }
  }
}

static void average(const void *self, size_t n, const double *x /* [n][d] */, double *values)
{
  const own_t *own = self;
  const bm_molecule_t *molecule = own->molecule;
  const size_t d = 3 * molecule->topology->atoms;
  const int has_backbone = molecule->angle_count > 0;
  for (size_t i = 0; has_backbone && i < n; i++) {
    bm_backbone_basins(bm_internal_dihedral(x + i * d, molecule->angles[0]),
                       bm_internal_dihedral(x + i * d, molecule->angles[1]), &values[i],
                       &values[n + i]);
  }
  double *energies = values + (has_backbone ? BM_BASINS * n : 0);
  for (size_t first = 0; first < n; first += BM_PIECE) {
    size_t count = n - first < BM_PIECE ? n - first : BM_PIECE;
    evaluate(own, count, x + first * d, NULL);
    for (size_t i = 0; i < count; i++) {
      energies[first + i] = 0.0;
      for (size_t t = 0; t < BM_TERM_COUNT; t++) {
        energies[first + i] += own->terms[i * BM_TERM_COUNT + t];
        energies[(t + 1) * n + first + i] = own->terms[i * BM_TERM_COUNT + t];
      }
    }
  }
}

/* All walkers start where the deck says. */
static void start(const void *self, bm_random_t random, uint32_t stream, double *x /* [d] */)
{
  const own_t *own = self;
  (void)random;
  (void)stream;
  memcpy(x, own->molecule->start, 3 * own->molecule->topology->atoms * sizeof *x);
}

const bm_potential_ops_t bm_potential_amber = {
    .name = "amber",
    .description = "a molecule with an AMBER force field, in implicit solvent or vacuum",
    .keys = keys,
    .create = create,
    .destroy = destroy,
    .energy = energy,
    .start = start,
    .observe = observe,
    .average = average,
    .term_names = term_names,
    .terms = terms,
    .symmetry = symmetry,
};
