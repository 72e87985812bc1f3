#ifndef BOLTZMAP_TRAIN_TREND_H
#define BOLTZMAP_TRAIN_TREND_H

/* The trend of a loss, and spikes above it. A few rows that the flow has missed make a spike, too, and their
 * clipped gradient is what it learns them from; only where the loss stays up the parameters are lost. */

#include <stdint.h>

typedef struct {
  double room; /* above the trend that is no spike yet; 0: none is but what is not finite */
  double mean; /* over about a hundred steps; NaN before the first one */
  int64_t spikes, in_row; /* all of them, those since the last step without one */
} bm_trend_t;

bm_trend_t bm_trend(double room);

/* Follow the loss of a step, +inf where it is not finite (always a spike). Is it a spike? */
int bm_trend_follow(bm_trend_t *trend, double loss);

/* Have there been so many in a row that it will not come down by itself? */
int bm_trend_is_lost(const bm_trend_t *trend);

/* Begin anew, spikes still counted. */
void bm_trend_restart(bm_trend_t *trend);

#endif
