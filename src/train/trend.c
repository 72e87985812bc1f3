#include "boltzmap/train/trend.h"

#include <math.h>

#define BM_STEPS 100.0 /* over which the mean is taken */
#define BM_IN_ROW 50   /* spikes that are too many */

bm_trend_t bm_trend(double room)
{
  return (bm_trend_t){.room = room, .mean = NAN};
}

int bm_trend_follow(bm_trend_t *trend, double loss)
{
  if (!isfinite(loss) || (trend->room > 0.0 && loss > trend->mean + trend->room)) {
    trend->spikes++;
    trend->in_row++;
    return 1;
  }
  trend->in_row = 0;
  trend->mean = isnan(trend->mean) ? loss : trend->mean + (loss - trend->mean) / BM_STEPS;
  return 0;
}

int bm_trend_is_lost(const bm_trend_t *trend)
{
  return trend->in_row >= BM_IN_ROW;
}

void bm_trend_restart(bm_trend_t *trend)
{
  trend->mean = NAN;
  trend->in_row = 0;
}
