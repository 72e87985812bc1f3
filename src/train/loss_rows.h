#ifndef BOLTZMAP_SRC_TRAIN_LOSS_ROWS_H
#define BOLTZMAP_SRC_TRAIN_LOSS_ROWS_H

/* The rows of bm_loss_table, each in its own file. */

#include "boltzmap/train/loss.h"

extern const bm_loss_ops_t bm_loss_nll;

#endif
