#ifndef BOLTZMAP_IO_FILE_H
#define BOLTZMAP_IO_FILE_H

/* Files that are whole or not there. Everything the program writes goes to a temporary name beside
 * the target, is synced and renamed. HDF5 files carry a seal in their user block: a line of text
 * with the XXH64 checksum of every byte behind it, so that no flipped bit is read silently.
 * Functions act on the calling rank alone. What may wait for a disk is watched (parallel/watch.h). */

#include <stddef.h>
#include <stdint.h>

#include "boltzmap/base/status.h"

#define BM_SEAL_BYTES 512 /* size of the user block */

typedef enum { BM_SEAL_NONE, BM_SEAL_GOOD, BM_SEAL_BROKEN } bm_seal_t;

/* What there is to do about an errno, to be put behind its text: "; make room and run the same command
 * again", or "" where the text says all. */
const char *bm_file_advice(int error);

/* `path` with a suffix that marks it unfinished and this process as its writer, so that two programs
 * never write into one file; owned by the caller. Removes what processes of this machine that are no
 * more left unfinished in the folder. */
bm_status_t bm_file_temporary_name(const char *path, char **out);

/* Can a file of this name be made or replaced? BM_ERR_IO where it is a folder, device or pipe, or where
 * its folder is not there or not writable. Looks only. */
bm_status_t bm_file_check_target(const char *path);

/* Are these two names of one file that is there? */
int bm_file_is_same(const char *a, const char *b);

/* Reserve disk space for the first `bytes` bytes of a file, which is made where there is none: a full
 * disk shows here, not half-way. */
bm_status_t bm_file_reserve(const char *path, uint64_t bytes);

/* Write the seal into the first BM_SEAL_BYTES bytes of a file that has that much room there. */
bm_status_t bm_file_seal(const char *path);

/* The same for the bytes of a file that is still in memory: the first BM_SEAL_BYTES of them are written
 * over. */
void bm_file_seal_bytes(char *bytes, size_t count);

/* XXH64 of all bytes of a file, or of at most so many from a place on. */
bm_status_t bm_file_hash(const char *path, uint64_t *hash);
bm_status_t bm_file_hash_part(const char *path, uint64_t first, uint64_t most, uint64_t *hash);

/* Check the seal. A file without one (made by another program) is BM_SEAL_NONE. */
bm_status_t bm_file_check_seal(const char *path, bm_seal_t *seal);

/* Sync `temporary`, rename it to `path`, sync the folder. Removes `temporary` on failure, as where
 * `path` is no target (bm_file_check_target). */
bm_status_t bm_file_publish(const char *temporary, const char *path);

/* Open a file that is there, to write to it; on disk with the next call; and closed. */
bm_status_t bm_file_open(const char *path, int *file);
bm_status_t bm_file_sync(int file, const char *path);
bm_status_t bm_file_sync_close(int file, const char *path);

/* Write to an open file, all of it or BM_ERR_IO; `path` is for messages. Any thread. */
bm_status_t bm_file_write_at(int file, const char *path, uint64_t at, const void *bytes,
                             size_t count);

/* Write a whole small file: temporary, space reserved, written, synced, read back, published. */
bm_status_t bm_file_write(const char *path, const void *bytes, size_t count);

/* The text of a JSON object, which begins with "{" and a new line, sealed by a member "seal" that is put
 * first: a checksum of everything behind it. bm_file_read_json gives the text, seal included, 0 byte
 * appended, owned by the caller; BM_ERR_DATA where any byte of it is another one. */
bm_status_t bm_file_write_json(const char *path, const char *text);
bm_status_t bm_file_read_json(const char *path, char **text);

/* Read a whole file with a 0 byte appended; owned by the caller. */
bm_status_t bm_file_read(const char *path, char **bytes, size_t *count);

/* Give a file a second name, in place of any file of that name; a copy where the file system has no
 * links. */
bm_status_t bm_file_link(const char *source, const char *path);

/* Remove a file; where there is none, that is fine. */
bm_status_t bm_file_remove(const char *path);

/* Make a folder and its parents. */
bm_status_t bm_folder_create(const char *path);

int bm_file_exists(const char *path);

/* "a/b" from "a" and "b"; owned by the caller. */
bm_status_t bm_path_join(const char *folder, const char *name, char **out);

#endif
