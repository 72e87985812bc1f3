#ifndef BOLTZMAP_PARALLEL_INTERCONNECT_H
#define BOLTZMAP_PARALLEL_INTERCONNECT_H

/* Networks between nodes, by name, with figures that were published for them; "shared-memory", the first
 * one, stands for a single node without any. */

#include <stddef.h>

#include "boltzmap/base/status.h"

typedef struct {
  const char *name;
  double latency_s;             /* of a small message from node to node */
  double bandwidth_bytes_per_s; /* of a node, in each direction; INFINITY: a single node */
  const char *source;           /* of the two figures */
} bm_interconnect_t;

/* All of them, ended by a NULL name. */
extern const bm_interconnect_t bm_interconnect_table[];

/* The row of that name. BM_ERR_USAGE with the names there are, the nearest first. */
bm_status_t bm_interconnect_find(const char *name, const bm_interconnect_t **found);

#endif
