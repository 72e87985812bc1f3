#include "boltzmap/analyse/conformations.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/internal.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/base/order.h"
#include "boltzmap/base/tree.h"
#include "boltzmap/model/molecule.h"
#include "boltzmap/sample/diagnostics.h"

#define BM_SIGMA 0.17  /* nm, of the paper's Lennard-Jones energy */
#define BM_EPSILON 1.0 /* kJ/mol */

double bm_conformations_lennard_jones(const bm_molecule_t *molecule, const double *x)
{
  double sum = 0.0;
  for (size_t p = 0; p < molecule->pair_count; p++) {
    double ratio = BM_SIGMA / bm_internal_distance(x, molecule->pairs[p]);
    double sixth = ratio * ratio * ratio * ratio * ratio * ratio;
    sum += 4.0 * BM_EPSILON * sixth * (sixth - 1.0); /* no difference of infinities at r = 0 */
  }
  return sum;
}

static int is_mirrored(const bm_molecule_t *molecule, const double *x)
{
  for (size_t c = 0; c < molecule->centre_count; c++) {
    if (bm_internal_handedness(x, molecule->centres[c]) *
            bm_internal_handedness(molecule->start, molecule->centres[c]) <=
        0.0) {
      return 1;
    }
  }
  return 0;
}

/* One quantity of all rows, and where its results go. */
typedef struct {
  const char *stem, *set, *unit;
  size_t n, walkers;
  double *values; /* [n] */
  double *room;   /* [n] */
  bm_results_t *results;
} quantity_t;

static bm_status_t put(const quantity_t *quantity, const char *what, double value, double error)
{
  char name[96];
  snprintf(name, sizeof name, "%s_%s_%s", quantity->stem, what, quantity->set);
  return bm_results_metric(quantity->results, name, value, error, quantity->unit, quantity->n);
}

/* Of sorted values: the one at this share, and half the distance of those that lie one standard deviation of
 * the rank to either side. */
static bm_status_t put_quantile(const quantity_t *quantity, const char *what, double share)
{
  const double last = (double)(quantity->n - 1);
  const double middle = share * last;
  const double spread = sqrt((double)quantity->n * share * (1.0 - share));
  const size_t low = (size_t)fmax(0.0, floor(middle - spread));
  const size_t high = (size_t)fmin(last, ceil(middle + spread));
  return put(quantity, what, quantity->values[(size_t)llround(middle)],
             0.5 * (quantity->values[high] - quantity->values[low]));
}

static bm_status_t put_mean(const quantity_t *quantity)
{
  double mean;
  double error;
  if (quantity->walkers > 1) {
    bm_chain_mean(quantity->walkers, quantity->n / quantity->walkers, quantity->values, &mean,
                  &error);
    return put(quantity, "mean", mean, error);
  }
  mean = bm_tree_sum(quantity->n, quantity->values) / (double)quantity->n;
  for (size_t i = 0; i < quantity->n; i++) {
    quantity->room[i] = (quantity->values[i] - mean) * (quantity->values[i] - mean);
  }
  return put(quantity, "mean", mean,
             sqrt(bm_tree_sum(quantity->n, quantity->room)) / (double)quantity->n);
}

static void sort(const quantity_t *quantity)
{
  qsort(quantity->values, quantity->n, sizeof(double), bm_order_ascending);
}

static bm_status_t put_distances(const bm_molecule_t *molecule, const bm_cloud_t *set,
                                 quantity_t *quantity)
{
  quantity->stem = "r_nonbonded";
  quantity->unit = "nm";
  for (size_t i = 0; i < set->n; i++) {
    quantity->values[i] = bm_molecule_shortest(molecule, set->x + i * set->d);
  }
  sort(quantity);
  BM_TRY(put_quantile(quantity, "q001", 0.001));
  return put_quantile(quantity, "median", 0.5);
}

static bm_status_t put_lennard_jones(const bm_molecule_t *molecule, const bm_cloud_t *set,
                                     quantity_t *quantity)
{
  quantity->stem = "lj";
  quantity->unit = "kJ/mol";
  for (size_t i = 0; i < set->n; i++) {
    quantity->values[i] = bm_conformations_lennard_jones(molecule, set->x + i * set->d);
  }
  BM_TRY(put_mean(quantity));
  sort(quantity);
  BM_TRY(put(quantity, "min", quantity->values[0], NAN));
  BM_TRY(put_quantile(quantity, "median", 0.5));
  BM_TRY(put_quantile(quantity, "q999", 0.999));
  return put(quantity, "max", quantity->values[set->n - 1], NAN);
}

static bm_status_t put_energy(const bm_potential_t *potential, const bm_cloud_t *set,
                              quantity_t *quantity)
{
  quantity->stem = "energy";
  quantity->unit = "kJ/mol";
  bm_potential_energy(potential, set->n, set->x, quantity->values, NULL);
  sort(quantity);
  BM_TRY(put_quantile(quantity, "median", 0.5));
  return put_quantile(quantity, "q999", 0.999);
}

static bm_status_t put_mirrored(const bm_molecule_t *molecule, const bm_cloud_t *set,
                                const char *name, bm_results_t *results)
{
  char text[96];
  double count = 0.0;
  for (size_t i = 0; i < set->n; i++) {
    count += is_mirrored(molecule, set->x + i * set->d);
  }
  double share = count / (double)set->n;
  snprintf(text, sizeof text, "fraction_mirrored_%s", name);
  return bm_results_metric(results, text, share, sqrt(share * (1.0 - share) / (double)set->n), "1",
                           set->n);
}

static bm_status_t put_all(const bm_potential_t *potential, const bm_cloud_t *set,
                           quantity_t *quantity)
{
  const bm_molecule_t *molecule = bm_potential_traits(potential)->molecule;
  if (molecule->pair_count > 0) {
    BM_TRY(put_distances(molecule, set, quantity));
    BM_TRY(put_lennard_jones(molecule, set, quantity));
  }
  if (molecule->centre_count > 0) {
    BM_TRY(put_mirrored(molecule, set, quantity->set, quantity->results));
  }
  return put_energy(potential, set, quantity);
}

bm_status_t bm_conformations_put(const bm_potential_t *potential, const bm_cloud_t *set,
                                 size_t walkers, const char *name, bm_results_t *results)
{
  quantity_t quantity = {.set = name, .n = set->n, .walkers = walkers, .results = results};
  bm_status_t status = BM_ALLOC(set->n, &quantity.values);
  if (status == BM_OK) {
    status = BM_ALLOC(set->n, &quantity.room);
  }
  if (status == BM_OK) {
    status = put_all(potential, set, &quantity);
  }
  bm_free(quantity.values);
  bm_free(quantity.room);
  return status;
}
