#include "boltzmap/parallel/interconnect.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/base/nearest.h"

/* Latencies are those of a few bytes, bandwidths those of long messages one way, where a source says so
 * between two ranks with MPI. A row marked as derived takes one figure from another row's source. */
const bm_interconnect_t bm_interconnect_table[] = {
    {"shared-memory", 0.0, INFINITY, "one node, whose cores all ranks share"},
    {"ethernet-1g", 25.4e-6, 0.116e9,
     "OSU benchmarks, MPICH over TCP, University of York (gist jfgrimm/3af692a5475b, 2021)"},
    {"ethernet-10g", 17.8e-6, 1.205e9,
     "TCP of the Linux kernel: latency sockperf (F-Stack issue 540), bandwidth iperf 9.64 Gb/s "
     "between two c3.8xlarge (gist 2matzzz/38f85732f6dd, 2015)"},
    {"ethernet-25g", 17.8e-6, 3.01e9, "derived: latency and share of the line as ethernet-10g"},
    {"ethernet-100g-roce", 1.16e-6, 12.4e9,
     "latency a tenth above EDR's (University of New Mexico, ConnectX-4, as told by NADDOD, 2023); "
     "bandwidth 99.2% of the line (NVIDIA daqiri, pull request 162)"},
    {"infiniband-edr", 1.05e-6, 12.1e9, "Microsoft, HC-series performance: 1.05 us, 96.8 Gb/s"},
    {"infiniband-hdr", 1.2e-6, 24.0e9, "Microsoft, HBv3-series performance: 1.2 us, 192 Gb/s"},
    {"infiniband-ndr", 2.0e-6, 50.0e9,
     "Microsoft, HBv4-series performance: below 2 us, 400 Gb/s; the bounds are taken"},
    {"omni-path-100", 1.05e-6, 12.38e9,
     "bandwidth osu_mbw_mr at LANL (gist hppritcha/8da4436a216c, 2016); latency derived: as "
     "infiniband-edr"},
    {"slingshot-11", 2.0e-6, 24.3e9,
     "bandwidth of one NIC with fi_write (uccl issue 956, 2026); latency derived: as "
     "infiniband-ndr"},
    {NULL, 0.0, 0.0, NULL},
};

static bm_status_t unknown(const char *name)
{
  char names[512] = "";
  size_t used = 0;
  size_t best = bm_nearest_limit(strlen(name)) + 1;
  const char *nearest = NULL;
  for (const bm_interconnect_t *row = bm_interconnect_table; row->name != NULL; row++) {
    size_t edits = bm_nearest_edits(name, strlen(name), row->name);
    if (edits < best) {
      best = edits;
      nearest = row->name;
    }
    used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used > 0 ? ", " : "",
                             row->name);
  }
  if (nearest != NULL) {
    return BM_FAIL(BM_ERR_USAGE, "no network '%s' is known; did you mean %s? There are %s", name,
                   nearest, names);
  }
  return BM_FAIL(BM_ERR_USAGE, "no network '%s' is known; there are %s", name, names);
}

bm_status_t bm_interconnect_find(const char *name, const bm_interconnect_t **found)
{
  for (const bm_interconnect_t *row = bm_interconnect_table; row->name != NULL; row++) {
    if (strcmp(row->name, name) == 0) {
      *found = row;
      return BM_OK;
    }
  }
  return unknown(name);
}
