#ifndef BOLTZMAP_TRAIN_ROWS_H
#define BOLTZMAP_TRAIN_ROWS_H

/* Rows for training: reference samples in the flow's coordinates, in the random order of an epoch, with the
 * noise that the chart asks for and as images under symmetries; rows that are held out; and base points for
 * generated samples. All are functions of seed, row and epoch or step, never of rank. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/random.h"
#include "boltzmap/base/real.h"
#include "boltzmap/base/status.h"
#include "boltzmap/geometry/chart.h"
#include "boltzmap/model/potential.h"
#include "boltzmap/parallel/partition.h"
#include "boltzmap/train/loss.h"
#include "boltzmap/transport/map.h"

/* What training data are: all rows on every rank, walker-major. Nothing is owned. */
typedef struct {
  size_t n, d, walkers;
  const double *x;                 /* [n][d], shapes of the map's chart, physical units */
  const bm_potential_t *potential; /* for its symmetries; NULL: none */
  const bm_loss_term_t *term;      /* of the loss, on generated samples; NULL: none */
  /* map that a term with pairs takes them from; NULL: the Brenier map, from samples */
  bm_map_t *guide;
} bm_training_data_t;

/* How many rows, the last ones, are held out of the training: those of whole walkers, at least one;
 * of a single walker so many rows. All of them where there are too few to hold some out. */
size_t bm_rows_held_out_count(const bm_training_data_t *data, double fraction);

typedef struct bm_rows bm_rows_t;

/* Rows of `data`, the last `held_out` of them held out. `images`: each epoch sees each row through random
 * symmetries of the potential. The data and the chart must outlive the rows. BM_ERR_MEMORY. */
bm_status_t bm_rows_create(const bm_chart_t *chart, const bm_training_data_t *data, size_t held_out,
                           uint64_t seed, int images, bm_rows_t **out);
void bm_rows_destroy(bm_rows_t **rows);

/* Put the rows into the order of this epoch; nothing where they are. */
void bm_rows_begin_epoch(bm_rows_t *rows, int64_t epoch);

size_t bm_rows_count(const bm_rows_t *rows); /* those to train on */
size_t bm_rows_held_out_rows(const bm_rows_t *rows);

/* Rows at these places of the epoch's order. */
void bm_rows_take(bm_rows_t *rows, bm_range_t places, bm_real_t *y /* [places.count][d] */);

/* The held-out rows, with the noise that they keep: [held_out][d]. */
const bm_real_t *bm_rows_held_out(const bm_rows_t *rows);

/* Base points of these samples of a round, a step, say, or that of the held-out loss. `group` 1: z, standard normal;
 * 2: z + step·v and z - step·v, v standard normal, too; 3: z and these. */
#define BM_ROWS_HELD_OUT_ROUND ((uint64_t)1 << 47) /* no step comes so far */
void bm_rows_base(bm_rows_t *rows, bm_purpose_t purpose, uint64_t round, bm_range_t samples,
                  size_t group, double step, bm_real_t *base /* [samples.count][group][d] */);

#endif
