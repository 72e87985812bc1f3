#ifndef BOLTZMAP_IO_STATE_H
#define BOLTZMAP_IO_STATE_H

/* State container: labelled blocks of numbers and text, the one format of models and checkpoints. On
 * disk it is an HDF5 file, one data set a block, sealed with a checksum over the whole file and
 * published whole (io/file.h). A container has a kind ("model", "checkpoint") and a format version,
 * both checked on reading. Blocks live in memory and are owned by the container.
 *
 * Functions act on the calling rank alone: rank 0 writes; bm_state_broadcast gives it to all. */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/real.h"
#include "boltzmap/base/status.h"
#include "boltzmap/parallel/context.h"

#define BM_STATE_VERSION 1 /* of the layout of blocks; raise when their meaning changes */

#define BM_STATE_CHECKPOINT "checkpoint" /* kind of what an interrupted stage goes on from */

typedef struct bm_state bm_state_t;

bm_status_t bm_state_create(const char *kind, bm_state_t **out);
void bm_state_destroy(bm_state_t **state);

/* Add a block under a new name ("flow/parameters"); values are copied. */
bm_status_t bm_state_put_reals(bm_state_t *state, const char *name, size_t count,
                               const bm_real_t *values);
bm_status_t bm_state_put_doubles(bm_state_t *state, const char *name, size_t count,
                                 const double *values);
bm_status_t bm_state_put_ints(bm_state_t *state, const char *name, size_t count,
                              const int64_t *values);
bm_status_t bm_state_put_string(bm_state_t *state, const char *name, const char *text);

/* Copy a block out. BM_ERR_DATA (naming file and block) where it is missing or has another length
 * or type; float32 and float64 are converted. */
bm_status_t bm_state_get_reals(const bm_state_t *state, const char *name, size_t count,
                               bm_real_t *values);
bm_status_t bm_state_get_doubles(const bm_state_t *state, const char *name, size_t count,
                                 double *values);
bm_status_t bm_state_get_ints(const bm_state_t *state, const char *name, size_t count,
                              int64_t *values);
bm_status_t bm_state_get_string(const bm_state_t *state, const char *name, const char **text);

/* Add copies of all blocks whose names begin with `prefix` to another container. BM_ERR_MEMORY. */
bm_status_t bm_state_copy(const bm_state_t *state, const char *prefix, bm_state_t *to);

/* Length of a block; 0 where there is none. */
size_t bm_state_count(const bm_state_t *state, const char *name);

/* Names of the blocks, for `boltzmap info`. */
size_t bm_state_block_count(const bm_state_t *state);
const char *bm_state_block_name(const bm_state_t *state, size_t index);
const char *bm_state_block_type(const bm_state_t *state, size_t index);
const char *bm_state_kind(const bm_state_t *state);

/* Write to `path`: temporary name, sealed, synced, renamed. BM_ERR_IO. */
bm_status_t bm_state_write(const bm_state_t *state, const char *path);

/* Is this an undamaged file with a container in it? */
int bm_state_recognise(const char *path);

/* Read from `path`. BM_ERR_DATA where the file is damaged, of another kind (kind NULL: any) or version;
 * BM_ERR_IO where it cannot be read. */
bm_status_t bm_state_read(const char *path, const char *kind, bm_state_t **out);

/* Rank 0 reads, all get a copy. Collective. */
bm_status_t bm_state_read_all(const bm_context_t *context, const char *path, const char *kind,
                              bm_state_t **out);

#endif
