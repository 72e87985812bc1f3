/* Coordinates of a system in a fixed frame, column by column to zero mean and unit variance. */

#include "chart_parts.h"

const bm_chart_ops_t bm_chart_standardised = {
    .name = "standardised",
    .description = "the system's own coordinates, standardised",
};
