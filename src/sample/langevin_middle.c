/* Underdamped Langevin dynamics of a molecule. */

#include "boltzmap/sample/molecular.h"

const bm_sampler_ops_t bm_sampler_langevin_middle = {
    .name = "langevin-middle",
    .description = "Langevin-middle dynamics of a molecule",
    .uses_gradient = 1,
    .run = bm_molecular_run,
};
