/* Kernels of the force field and its dynamics in double precision. */

#define BM_LANE_DOUBLE
#define BM_PACK_ROW bm_pack_double
#define BM_PACK_NAME "double"
#include "pack_body.h"
