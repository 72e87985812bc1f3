/* Parallel tempering of a molecule. */

#include "boltzmap/sample/molecular.h"

const bm_sampler_ops_t bm_sampler_tempering = {
    .name = "tempering",
    .description = "parallel tempering of a molecule with Langevin-middle dynamics",
    .uses_gradient = 1,
    .run = bm_molecular_run,
};
