#include "boltzmap/base/version.h"

#include "config.h"
#include "revision.h"

const char *bm_version(void)
{
  return PACKAGE_VERSION;
}

const char *bm_revision(void)
{
  return BM_REVISION;
}

const char *bm_library_versions(void)
{
  return "OpenBLAS " BM_OPENBLAS_VERSION ", LAPACKE " BM_LAPACKE_VERSION ", HDF5 " BM_HDF5_VERSION
         ", libconfig " BM_LIBCONFIG_VERSION ", cJSON " BM_CJSON_VERSION
         ", xxHash " BM_XXHASH_VERSION ", FFTW " BM_FFTW_VERSION;
}
