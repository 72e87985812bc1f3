#include "boltzmap/app/origin.h"

#include <assert.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "boltzmap/base/version.h"
#include "boltzmap/flow/network.h"
#include "boltzmap/io/file.h"
#include "boltzmap/parallel/agree.h"

void bm_origin_add(bm_origin_t *origin, const char *name, const char *text)
{
  assert(origin->count < BM_ORIGIN_ROWS);
  origin->rows[origin->count++] = (bm_provenance_t){name, text};
}

void bm_origin_add_machine(bm_origin_t *origin, const bm_context_t *context)
{
  struct utsname name;
  if (uname(&name) == 0) {
    snprintf(origin->host_type, sizeof origin->host_type, "%s %s", name.sysname, name.machine);
  }
  snprintf(origin->ranks, sizeof origin->ranks, "%d", context->size);
  bm_context_library(origin->mpi, sizeof origin->mpi);
  bm_origin_add(origin, "ranks", origin->ranks);
  bm_origin_add(origin, "host_type", origin->host_type);
  bm_origin_add(origin, "libraries", bm_library_versions());
  bm_origin_add(origin, "mpi", origin->mpi);
  bm_origin_add(origin, "kernel", bm_network_kernels());
}

bm_status_t bm_origin_hash(const bm_context_t *context, const char *path, char text[17])
{
  uint64_t hash = 0;
  BM_TRY_AGREE(context, bm_context_is_root(context) ? bm_file_hash(path, &hash) : BM_OK);
  BM_TRY(bm_broadcast(context, &hash, sizeof hash));
  snprintf(text, 17, "%016llx", (unsigned long long)hash);
  return BM_OK;
}
