#ifndef BOLTZMAP_SAMPLE_MARKOV_H
#define BOLTZMAP_SAMPLE_MARKOV_H

/* Reference samples of samplers that are a local move: tuned, then walked, as described at bm_sampler_run. What
 * the request's keeper keeps is the plan that tuning found, the walkers, and the frames so far; an
 * interruption of the tuning, which takes seconds, starts it again. */

#include "boltzmap/sample/sampler.h"

/* As bm_sampler_run. Collective. */
bm_status_t bm_markov_run(const bm_sampler_request_t *request, bm_samples_t **samples,
                          bm_sampler_report_t *report);

#endif
