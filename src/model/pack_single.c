/* Kernels of the force field and its dynamics in single precision. */

#define BM_PACK_ROW bm_pack_single
#define BM_PACK_NAME "single"
#include "pack_body.h"
