#ifndef BOLTZMAP_APP_FLOORS_H
#define BOLTZMAP_APP_FLOORS_H

/* Floors: the distances between independent references of the same sizes. Where a sampler makes the
 * reference of a system that is no molecule, each pair is two new runs of it with seeds of their own and
 * the step size, burn-in and thinning that the reference was made with. Where the reference is a file or
 * that of a molecule, each pair is a random split of its walkers, of an even number of them, into halves (of
 * twenty blocks of rows where there are fewer walkers than that; of a molecule, fewer than six); such pairs
 * share their points, so that the spread over them is somewhat too small. */

#include <stddef.h>

#include "boltzmap/app/experiment.h"
#include "boltzmap/geometry/chart.h"
#include "boltzmap/io/journal.h"

/* Are the pairs new runs of a sampler? */
int bm_floors_are_independent(const bm_deck_case_t *reference);

/* Fewest rows of a file that floors can be made from. */
#define BM_FLOOR_LEAST 20

/* Largest set that floors can be made for with this reference of n rows: about n/2 for a file. */
size_t bm_floors_most(const bm_deck_case_t *reference, size_t n, size_t walkers);

typedef struct {
  const bm_deck_case_t *reference; /* case (or base) whose reference it is */
  const bm_evaluate_settings_t *settings;
  const bm_chart_t *chart; /* of the map whose samples are compared */
  size_t n[2];             /* configurations of the two sets */
  bm_journal_t *journal;   /* where sets and floors of an interrupted run are found again */
} bm_floor_question_t;

/* Floors of the comparison's rows. Worked out once a process for equal questions; owned by the experiment,
 * valid until the next call. Collective. */
bm_status_t bm_floors_of(bm_experiment_t *experiment, const bm_floor_question_t *question,
                         const bm_floor_t **floor);

/* Free what a floor holds. */
void bm_floors_release(bm_floor_t *floor);

/* `count` of n rows, evenly spread: [count][d], from x [n][d]. */
void bm_floors_spread(size_t n, size_t d, const double *x, size_t count, double *rows);

#endif
