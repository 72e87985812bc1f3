#ifndef BOLTZMAP_TRANSPORT_DISTANCE_H
#define BOLTZMAP_TRANSPORT_DISTANCE_H

/* The distances a user asks for, by name: exact, sliced, max-sliced, marginal. One thin layer that
 * shares the work over ranks around the kernels beside this file; the answer does not depend on the
 * number of ranks. A distance is one row of bm_distance_table. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/log.h"

/* A cloud that every rank holds whole. */
typedef struct {
  size_t n, d;
  const double *x; /* [n][d], not owned */
} bm_cloud_t;

typedef struct {
  size_t projections; /* sliced: number of directions */
  double period;      /* exact and marginal: circle length of every coordinate; 0: none */
  size_t subsample;   /* points drawn from each cloud without replacement, per repeat; 0: all */
  size_t repeats;     /* independent subsamples; 1 where subsample is 0 */
  uint64_t seed;      /* of subsamples and directions */
  size_t first_pair;  /* number of the first pair of a batch */
  /* Exact, one pair of whole clouds: receives on rank 0 the row of b for each row of a [n]. NULL: not
   * wanted. */
  uint32_t *pairing;
  const char *checkpoint; /* exact, one pair of whole clouds: see assignment.h; NULL: none */
  bm_log_t *log;          /* shows the progress of long computations; may be NULL */
} bm_distance_settings_t;

typedef struct {
  double w2;        /* mean over the repeats */
  double error;     /* one standard error: over repeats (subsamples share points: see .c), over
                       directions for sliced, of the sample for exact; NaN where none is known */
  double spread;    /* standard deviation over repeats; NaN for one */
  double gap;       /* exact: largest relative duality gap; else 0 */
  double rounding;  /* exact: bound on what rounding may add to the gap; else 0 */
  double pricing_s; /* exact: seconds in pricing, which ranks share, of all repeats; else 0 */
  size_t n, m, d;   /* points of the two clouds used per repeat, columns */
} bm_distance_result_t;

/* What a task knows beside its values. */
typedef struct {
  double gap, rounding; /* of an exact distance, else 0 */
  double error;         /* standard error of W2², NaN: not known from one task */
  double pricing_s;     /* assignment.h; else 0 */
} bm_distance_proof_t;

/* Some of the W2² values of one repeat: what a rank works on at a time. */
typedef struct {
  const bm_distance_settings_t *settings;
  uint64_t seed;       /* of the repeat */
  size_t first, count; /* values of the repeat */
  bm_cloud_t a, b;     /* as subsampled */
} bm_distance_task_t;

typedef struct {
  const char *name;
  const char *description;

  /* W2 of one pair of clouds. Collective; BM_ERR_DATA for clouds or settings that the distance
   * cannot do, with the option that helps. */
  bm_status_t (*compute)(const bm_context_t *context, const bm_distance_settings_t *settings,
                         const bm_cloud_t *a, const bm_cloud_t *b, bm_distance_result_t *result);

  /* What it is made of. */
  size_t block; /* values in a task, at most */
  int shares;   /* can all ranks work on one task? Else each works on its own. */

  /* Number of W2² values that the W2² of one repeat is made of. */
  size_t (*values)(const bm_distance_settings_t *settings);

  /* The W2² of a repeat from its values, and its standard error. NULL: there is one value, and its
   * task knows the error. */
  bm_status_t (*mean)(uint64_t seed, size_t count, size_t d, const double *values /* [count] */,
                      double *w2_squared, double *error);

  /* Refuse what the distance cannot do, n and m points a repeat. */
  bm_status_t (*check)(const bm_distance_settings_t *settings, size_t n, size_t m, size_t d);

  /* The values of a task. `team`: the ranks that work on it together (collective); NULL: this one
   * alone, with one thread. */
  bm_status_t (*work)(const bm_context_t *team, const bm_distance_task_t *task,
                      double *w2_squared /* [count] */, bm_distance_proof_t *proof);
} bm_distance_ops_t;

extern const bm_distance_ops_t bm_distance_table[]; /* ended by a NULL name */

/* Look a distance up; NULL where there is none of that name. */
const bm_distance_ops_t *bm_distance_find(const char *name);

/* Several pairs of clouds in one call (a floor is twenty of them): results[i] for pair (a[i],
 * b[i]), pair i with seed bm_random_derive_seed(settings->seed, settings->first_pair + i), the pairs' repeats and
 * projections shared over the ranks. Same answers as single calls with those seeds. Collective. */
bm_status_t bm_distance_batch(const bm_context_t *context, const bm_distance_ops_t *distance,
                              const bm_distance_settings_t *settings, size_t pairs,
                              const bm_cloud_t *a, const bm_cloud_t *b,
                              bm_distance_result_t *results /* [pairs] */);

#endif
