#ifndef BOLTZMAP_TRANSPORT_PRICING_H
#define BOLTZMAP_TRANSPORT_PRICING_H

/* Pricing: for each of some points of one cloud, those of the other whose reduced cost c_ij - v_j
 * is least. Float32 arithmetic with a bound on its error, and boxes, sort out pairs that cannot be
 * among them; what is left is decided in float64, so that the answer is exact.
 *
 * All ranks of a context hold both clouds and share the points asked for. Rank 0 asks; the others
 * serve it until it says that it is done. A point's answer does not depend on who works it out. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"
#include "boltzmap/parallel/log.h"
#include "boltzmap/transport/cost.h"

typedef struct bm_pricing bm_pricing_t;

/* The cost's points are renumbered by levels (levels.h), `sizes` [levels] as there. context NULL:
 * this rank alone, with one thread; a context of one rank: with as many threads as it may use.
 * Every rank calls it with the same clouds. BM_ERR_MEMORY, BM_ERR_INTERNAL; agreed on.
 * Collective. */
bm_status_t bm_pricing_create(const bm_context_t *context, bm_cost_t *cost, size_t levels,
                              const size_t *sizes, bm_pricing_t **out);
void bm_pricing_destroy(bm_pricing_t **pricing);

/* On all ranks but 0: answer what rank 0 asks, until bm_pricing_finish. Collective. */
bm_status_t bm_pricing_serve(bm_pricing_t *pricing);

/* Rank 0, collective with bm_pricing_serve: let the others go, with a status that they return. */
bm_status_t bm_pricing_finish(bm_pricing_t *pricing, bm_status_t status);

/* Rank 0, collective with bm_pricing_serve: from now on cloud `side` is its first n points. */
bm_status_t bm_pricing_pack(bm_pricing_t *pricing, int side, size_t n);

/* The points that cloud `side` is, [n], neighbours next to each other. Owned by the pricing. */
const uint32_t *bm_pricing_points(const bm_pricing_t *pricing, int side, size_t *n);

/* What is asked for. */
typedef struct {
  int side;                /* the points' cloud; the others are that of 1 - side */
  size_t count;            /* points */
  const uint32_t *points;  /* [count], best in the order of bm_pricing_points */
  const double *dual;      /* [n of the other cloud]: v; minus infinity leaves a point out */
  const double *threshold; /* [count]: only pairs below it; may be infinite */
  size_t keep;             /* as many of the least for each point, at most BM_PRICING_KEEP_MAX */
} bm_pricing_request_t;

#define BM_PRICING_KEEP_MAX 96

typedef struct {
  size_t count;      /* points */
  uint32_t *found;   /* [count]: how many there are for each */
  double *least;     /* [count]: least reduced cost of those; infinity where there is none */
  double *bound;     /* [count]: no pair left out is below it */
  uint32_t *partner; /* [total]: of the first point, of the second, …, in no order */
  size_t total;
} bm_pricing_answer_t;

/* Rank 0, collective with bm_pricing_serve. The caller gives the answer back with
 * bm_pricing_answer_free. BM_ERR_MEMORY; BM_STOPPED after a stop request on any rank. */
bm_status_t bm_pricing_ask(bm_pricing_t *pricing, const bm_pricing_request_t *request,
                           bm_pricing_answer_t *answer);
void bm_pricing_answer_free(bm_pricing_answer_t *answer);

/* Rank 0: show on a log (NULL: none) how many million pairs have been priced, with a note that says
 * what for. */
void bm_pricing_show(bm_pricing_t *pricing, bm_log_t *log);
void bm_pricing_note(bm_pricing_t *pricing, const char *note);

/* Seconds that this rank has spent in pricing, which is what ranks share. */
double bm_pricing_seconds(const bm_pricing_t *pricing);

#endif
