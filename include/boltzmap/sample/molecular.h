#ifndef BOLTZMAP_SAMPLE_MOLECULAR_H
#define BOLTZMAP_SAMPLE_MOLECULAR_H

/* Reference samples of a molecule from Langevin-middle dynamics: the run of the samplers
 * "langevin-middle" and "tempering". With tempering (Hansmann, Chem. Phys. Lett. 281, 140 (1997);
 * Sugita, Okamoto, Chem. Phys. Lett. 314, 141 (1999)) each walker is a ladder of replicas at
 * temperatures geometric between the system's and the highest. Before each frame neighbours on the
 * ladder, even and odd pairs in turn, change their temperatures with probability
 * min(1, exp((1/kT_i - 1/kT_j)·(U_i - U_j))), velocities scaled with them; the frame is that of the
 * replica at the system's temperature. Replicas are dealt over ranks, so that ladders may lie on
 * several; every rank works out the same exchanges from all energies. */

#include "boltzmap/sample/sampler.h"

/* As bm_sampler_run. Collective. */
bm_status_t bm_molecular_run(const bm_sampler_request_t *request, bm_samples_t **samples,
                             bm_sampler_report_t *report);

#endif
