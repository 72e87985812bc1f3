#include "boltzmap/io/file.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <xxhash.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/watch.h"

#define BM_SEAL_FORMAT "boltzmap seal 1\nxxh64 %016" PRIx64 "\nbytes %" PRIu64 "\n"
#define BM_SEAL_START "boltzmap seal "
#define BM_TEXT_SEAL_FORMAT "{\n  \"seal\": \"xxh64 %016" PRIx64 "\",\n"
#define BM_TEXT_SEAL_BYTES 38
#define BM_TEXT_OPENS "{\n"
#define BM_READ_BYTES ((size_t)1 << 20)
#define BM_WRITE_BYTES \
  ((size_t)1 << 24) /* a piece that a slow disk takes in the time of bm_watch_start */
#define BM_UNFINISHED ".part"
#define BM_WRITER_BYTES 64 /* of ".<where>-<process>.part" */

const char *bm_file_advice(int error)
{
  switch (error) {
  case ENOSPC:
  case EDQUOT:
    return "; make room and run the same command again";
  case EFBIG:
    return "; raise the limit on the size of files (ulimit -f) and run the same command again";
  case EROFS:
  case EACCES:
  case EPERM:
    return "; see to the permissions or choose another folder";
  case EIO:
  case ESTALE:
    return "; the disk or its server fails: when it is back, run the same command again";
  default:
    return "";
  }
}

static bm_status_t io_error(const char *path, const char *what)
{
  return BM_FAIL(BM_ERR_IO, "%s: %s: %s%s", path, what, strerror(errno), bm_file_advice(errno));
}

/* The folder of a path, as "." or "/"; owned by the caller. */
static bm_status_t folder_of(const char *path, char **folder)
{
  const char *slash = strrchr(path, '/');
  BM_TRY(bm_string_copy(slash == NULL ? "." : path, folder));
  if (slash != NULL) {
    (*folder)[slash == path ? 1 : slash - path] = '\0';
  }
  return BM_OK;
}

/* Where process numbers mean what they mean here: host and its space of processes. */
static uint64_t process_space(void)
{
  char host[256] = "";
  struct stat space = {0};
  gethostname(host, sizeof host - 1);
  return XXH64(host, strlen(host), stat("/proc/self/ns/pid", &space) == 0 ? space.st_ino : 0);
}

/* A killed process that nobody has asked for its end yet has a number, but no program. */
static int is_running(long process)
{
  char path[64];
  char program[2];
  if (kill((pid_t)process, 0) != 0 && errno == ESRCH) {
    return 0;
  }
  snprintf(path, sizeof path, "/proc/%ld/exe", process);
  return readlink(path, program, sizeof program) >= 0 || errno != ENOENT ||
         access("/proc/self/exe", F_OK) != 0;
}

/* Was this name given to a file by a process of this machine that is no more? */
static int is_left_behind(const char *name, uint64_t space)
{
  const char *dash = strrchr(name, '-');
  char *end;
  if (dash == NULL || dash - name < 17 || dash[-17] != '.') {
    return 0;
  }
  long process = strtol(dash + 1, &end, 10);
  return strcmp(end, BM_UNFINISHED) == 0 && process > 0 && strtoull(dash - 16, NULL, 16) == space &&
         !is_running(process);
}

/* What cannot be removed stays: it is in nobody's way. */
static void remove_left_behind(const char *folder)
{
  const uint64_t space = process_space();
  DIR *entries = opendir(folder);
  for (struct dirent *entry = entries == NULL ? NULL : readdir(entries); entry != NULL;
       entry = readdir(entries)) {
    if (is_left_behind(entry->d_name, space)) {
      unlinkat(dirfd(entries), entry->d_name, 0);
    }
  }
  if (entries != NULL) {
    closedir(entries);
  }
}

bm_status_t bm_file_temporary_name(const char *path, char **out)
{
  size_t size = strlen(path) + BM_WRITER_BYTES;
  char *folder = NULL;
  BM_TRY(folder_of(path, &folder));
  remove_left_behind(folder);
  bm_free(folder);
  BM_TRY(BM_ALLOC(size, out));
  snprintf(*out, size, "%s.%016" PRIx64 "-%ld" BM_UNFINISHED, path, process_space(),
           (long)getpid());
  return BM_OK;
}

static bm_status_t check_folder(const char *path)
{
  char *folder = NULL;
  struct stat info;
  BM_TRY(folder_of(path, &folder));
  bm_status_t status = BM_OK;
  if (stat(folder, &info) != 0) {
    status =
        BM_FAIL(BM_ERR_IO, "%s: cannot be made in folder %s: %s", path, folder, strerror(errno));
  } else if (!S_ISDIR(info.st_mode)) {
    status = BM_FAIL(BM_ERR_IO, "%s: cannot be made: %s is not a folder", path, folder);
  } else if (access(folder, W_OK | X_OK) != 0) {
    status = BM_FAIL(BM_ERR_IO, "%s: cannot be made in folder %s: %s%s", path, folder,
                     strerror(errno), bm_file_advice(errno));
  }
  bm_free(folder);
  return status;
}

bm_status_t bm_file_check_target(const char *path)
{
  struct stat info;
  size_t length = strlen(path);
  if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
    return BM_FAIL(BM_ERR_IO, "%s: is a %s, not a file that can be replaced", path,
                   S_ISDIR(info.st_mode) ? "folder" : "device or pipe");
  }
  if (length == 0 || path[length - 1] == '/') {
    return BM_FAIL(BM_ERR_IO, "%s: is not the name of a file", path);
  }
  return check_folder(path);
}

int bm_file_is_same(const char *a, const char *b)
{
  struct stat one, two;
  return stat(a, &one) == 0 && stat(b, &two) == 0 && one.st_dev == two.st_dev &&
         one.st_ino == two.st_ino;
}

/* What cannot fit is refused before any of it is taken: others would find the disk full meanwhile. Some
 * file systems do not know how much is free. */
static bm_status_t check_space(int file, const char *path, uint64_t bytes)
{
  struct stat info;
  struct statvfs disk;
  if (fstat(file, &info) != 0 || fstatvfs(file, &disk) != 0 || disk.f_blocks == 0) {
    return BM_OK;
  }
  const double needed = (double)bytes - 512.0 * (double)info.st_blocks;
  const double free = (double)disk.f_frsize * (double)disk.f_bfree;
  return needed <= free
             ? BM_OK
             : BM_FAIL(
                   BM_ERR_IO,
                   "%s: cannot reserve disk space: %s: %.1f MB more are needed, %.1f MB are free%s",
                   path, strerror(ENOSPC), 1e-6 * needed, 1e-6 * free, bm_file_advice(ENOSPC));
}

static bm_status_t reserve(const char *path, uint64_t bytes)
{
  int file = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (file < 0) {
    return io_error(path, "cannot open");
  }
  bm_status_t status = check_space(file, path, bytes);
  int code = status != BM_OK || bytes == 0 ? 0 : posix_fallocate(file, 0, (off_t)bytes);
  close(file);
  if (code != 0) {
    errno = code;
    return io_error(path, "cannot reserve disk space");
  }
  return status;
}

bm_status_t bm_file_reserve(const char *path, uint64_t bytes)
{
  bm_watch_t watch;
  bm_watch_start(&watch, "reserve disk space", path);
  bm_status_t status = reserve(path, bytes);
  bm_watch_end(&watch);
  return status;
}

/* What is there already. Without O_NONBLOCK a pipe in its place would wait for somebody at its other end. */
static int open_watched(const char *path, int flags)
{
  bm_watch_t watch;
  bm_watch_start(&watch, "open", path);
  const int file = open(path, flags | O_CLOEXEC | O_NONBLOCK);
  bm_watch_end(&watch);
  return file;
}

/* pread with a watch over it. */
static ssize_t read_piece(int file, const char *path, char *bytes, size_t count, uint64_t at)
{
  bm_watch_t watch;
  ssize_t got;
  bm_watch_start(&watch, "read", path);
  do {
    got = pread(file, bytes, count, (off_t)at);
  } while (got < 0 && errno == EINTR);
  bm_watch_end(&watch);
  return got;
}

/* Bytes of a file. */
typedef struct {
  uint64_t first, most;
} part_t;

static const part_t all_bytes = {0, UINT64_MAX};
static const part_t behind_the_seal = {BM_SEAL_BYTES, UINT64_MAX};

/* Checksum and length of a part of a file. */
static bm_status_t checksum(int file, const char *path, part_t part, uint64_t *hash,
                            uint64_t *bytes)
{
  XXH64_state_t *state = XXH64_createState();
  char *buffer = NULL;
  bm_status_t status = BM_ALLOC(BM_READ_BYTES, &buffer);
  if (state == NULL && status == BM_OK) {
    status = BM_FAIL(BM_ERR_MEMORY, "out of memory: checksum state");
  }
  if (status != BM_OK) {
    goto done;
  }
  XXH64_reset(state, 0);
  *bytes = 0;
  while (*bytes < part.most) {
    const uint64_t left = part.most - *bytes;
    ssize_t got =
        read_piece(file, path, buffer, left < BM_READ_BYTES ? (size_t)left : BM_READ_BYTES,
                   part.first + *bytes);
    if (got < 0) {
      status = io_error(path, "cannot read");
      goto done;
    }
    if (got == 0) {
      break;
    }
    XXH64_update(state, buffer, (size_t)got);
    *bytes += (uint64_t)got;
  }
  *hash = XXH64_digest(state);
done:
  bm_free(buffer);
  XXH64_freeState(state);
  return status;
}

/* pwrite with a watch over it. */
static ssize_t write_piece(int file, const char *path, const char *bytes, size_t count, uint64_t at)
{
  bm_watch_t watch;
  ssize_t put;
  bm_watch_start(&watch, "write", path);
  do {
    put = pwrite(file, bytes, count < BM_WRITE_BYTES ? count : BM_WRITE_BYTES, (off_t)at);
  } while (put < 0 && errno == EINTR);
  bm_watch_end(&watch);
  return put;
}

bm_status_t bm_file_write_at(int file, const char *path, uint64_t at, const void *bytes,
                             size_t count)
{
  for (size_t done = 0; done < count;) {
    ssize_t put = write_piece(file, path, (const char *)bytes + done, count - done, at + done);
    if (put <= 0) {
      errno = put == 0 ? ENOSPC : errno;
      return io_error(path, "cannot write");
    }
    done += (size_t)put;
  }
  return BM_OK;
}

bm_status_t bm_file_open(const char *path, int *file)
{
  *file = open_watched(path, O_RDWR | O_NOFOLLOW);
  return *file >= 0 ? BM_OK : io_error(path, "cannot open for writing");
}

static int sync_file(int file, const char *path)
{
  bm_watch_t watch;
  bm_watch_start(&watch, "sync to disk", path);
  const int failed = fsync(file);
  bm_watch_end(&watch);
  return failed;
}

bm_status_t bm_file_sync(int file, const char *path)
{
  return sync_file(file, path) == 0 ? BM_OK : io_error(path, "cannot sync to disk");
}

bm_status_t bm_file_sync_close(int file, const char *path)
{
  bm_status_t status = bm_file_sync(file, path);
  if (close(file) != 0 && status == BM_OK) {
    status = io_error(path, "cannot close");
  }
  return status;
}

static bm_status_t hash_part(const char *path, part_t part, uint64_t *hash)
{
  uint64_t bytes;
  int file = open_watched(path, O_RDONLY);
  if (file < 0) {
    return io_error(path, "cannot open");
  }
  bm_status_t status = checksum(file, path, part, hash, &bytes);
  close(file);
  return status;
}

bm_status_t bm_file_hash(const char *path, uint64_t *hash)
{
  return hash_part(path, all_bytes, hash);
}

bm_status_t bm_file_hash_part(const char *path, uint64_t first, uint64_t most, uint64_t *hash)
{
  return hash_part(path, (part_t){first, most}, hash);
}

void bm_file_seal_bytes(char *bytes, size_t count)
{
  assert(count >= BM_SEAL_BYTES);
  size_t body = count - BM_SEAL_BYTES;
  memset(bytes, 0, BM_SEAL_BYTES);
  snprintf(bytes, BM_SEAL_BYTES, BM_SEAL_FORMAT, XXH64(bytes + BM_SEAL_BYTES, body, 0),
           (uint64_t)body);
}

bm_status_t bm_file_seal(const char *path)
{
  int file = open_watched(path, O_RDWR);
  if (file < 0) {
    return io_error(path, "cannot open");
  }
  uint64_t hash = 0;
  uint64_t bytes = 0;
  bm_status_t status = checksum(file, path, behind_the_seal, &hash, &bytes);
  char block[BM_SEAL_BYTES] = {0};
  snprintf(block, sizeof block, BM_SEAL_FORMAT, hash, bytes);
  if (status == BM_OK) {
    status = bm_file_write_at(file, path, 0, block, sizeof block);
  }
  if (close(file) != 0 && status == BM_OK) {
    status = io_error(path, "cannot close");
  }
  return status;
}

/* A seal, or what is left of a damaged one: most of the bytes that it starts with. */
static int is_like_a_seal(const char *block)
{
  const size_t length = strlen(BM_SEAL_START);
  size_t same = 0;
  for (size_t i = 0; i < length; i++) {
    same += block[i] == BM_SEAL_START[i];
  }
  return 2 * same > length;
}

bm_status_t bm_file_check_seal(const char *path, bm_seal_t *seal)
{
  *seal = BM_SEAL_NONE;
  int file = open_watched(path, O_RDONLY);
  if (file < 0) {
    return io_error(path, "cannot open");
  }
  char block[BM_SEAL_BYTES] = {0};
  ssize_t got = read_piece(file, path, block, sizeof block, 0);
  bm_status_t status = BM_OK;
  if (got < 0) {
    status = io_error(path, "cannot read");
  } else if (is_like_a_seal(block)) {
    uint64_t hash = 0;
    uint64_t bytes = 0;
    char expected[BM_SEAL_BYTES] = {0};
    status = checksum(file, path, behind_the_seal, &hash, &bytes);
    snprintf(expected, sizeof expected, BM_SEAL_FORMAT, hash, bytes);
    *seal = memcmp(block, expected, sizeof block) == 0 ? BM_SEAL_GOOD : BM_SEAL_BROKEN;
  }
  close(file);
  return status;
}

static bm_status_t sync_path(const char *path, int flags)
{
  int file = open_watched(path, flags);
  if (file < 0) {
    return io_error(path, "cannot open");
  }
  return bm_file_sync_close(file, path);
}

static bm_status_t sync_folder_of(const char *path)
{
  char *folder = NULL;
  BM_TRY(folder_of(path, &folder));
  bm_status_t status = sync_path(folder, O_RDONLY | O_DIRECTORY);
  bm_free(folder);
  return status;
}

static bm_status_t publish(const char *temporary, const char *path)
{
  bm_status_t status = bm_file_check_target(path);
  if (status == BM_OK) {
    status = sync_path(temporary, O_RDWR);
  }
  if (status == BM_OK && rename(temporary, path) != 0) {
    status = io_error(path, "cannot rename to this name");
  }
  if (status != BM_OK) {
    unlink(temporary);
    return status;
  }
  return sync_folder_of(path);
}

bm_status_t bm_file_publish(const char *temporary, const char *path)
{
  bm_watch_t watch;
  bm_watch_start(&watch, "publish", path);
  bm_status_t status = publish(temporary, path);
  bm_watch_end(&watch);
  return status;
}

/* What the disk has of a file is what it was given. The kernel's own copy is let go first, so that the disk
 * is asked where it can be. */
static bm_status_t check_content(int file, const char *path, const void *bytes, size_t count)
{
  uint64_t hash = 0;
  uint64_t stored = 0;
  if (sync_file(file, path) != 0) {
    return io_error(path, "cannot sync to disk");
  }
  (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  BM_TRY(checksum(file, path, all_bytes, &hash, &stored));
  return stored == count && hash == XXH64(bytes, count, 0)
             ? BM_OK
             : BM_FAIL(BM_ERR_IO,
                       "%s: what was written is not what is read back: the disk is not to be "
                       "trusted; choose another folder",
                       path);
}

static bm_status_t fill(int file, const char *path, const void *bytes, size_t count)
{
  BM_TRY(bm_file_reserve(path, count));
  BM_TRY(bm_file_write_at(file, path, 0, bytes, count));
  return check_content(file, path, bytes, count);
}

static bm_status_t write_whole(const char *path, const void *bytes, size_t count)
{
  char *temporary = NULL;
  BM_TRY(bm_file_temporary_name(path, &temporary));
  bm_status_t status = BM_OK;
  int file = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (file < 0) {
    status = io_error(temporary, "cannot create");
  } else {
    status = fill(file, temporary, bytes, count);
    if (close(file) != 0 && status == BM_OK) {
      status = io_error(temporary, "cannot close");
    }
    if (status == BM_OK) {
      status = bm_file_publish(temporary, path);
    } else {
      unlink(temporary);
    }
  }
  bm_free(temporary);
  return status;
}

bm_status_t bm_file_write(const char *path, const void *bytes, size_t count)
{
  bm_watch_t watch;
  bm_watch_start(&watch, "write", path);
  bm_status_t status = write_whole(path, bytes, count);
  bm_watch_end(&watch);
  return status;
}

static void text_seal(const char *body, size_t count, char seal[BM_TEXT_SEAL_BYTES + 1])
{
  snprintf(seal, BM_TEXT_SEAL_BYTES + 1, BM_TEXT_SEAL_FORMAT, XXH64(body, count, 0));
}

bm_status_t bm_file_write_json(const char *path, const char *text)
{
  const size_t opens = strlen(BM_TEXT_OPENS);
  assert(strncmp(text, BM_TEXT_OPENS, opens) == 0);
  const size_t count = strlen(text) - opens;
  char *sealed = NULL;
  BM_TRY(BM_ALLOC(BM_TEXT_SEAL_BYTES + count + 1, &sealed));
  text_seal(text + opens, count, sealed);
  memcpy(sealed + BM_TEXT_SEAL_BYTES, text + opens, count);
  bm_status_t status = bm_file_write(path, sealed, BM_TEXT_SEAL_BYTES + count);
  bm_free(sealed);
  return status;
}

bm_status_t bm_file_read_json(const char *path, char **text)
{
  size_t count = 0;
  char seal[BM_TEXT_SEAL_BYTES + 1];
  BM_TRY(bm_file_read(path, text, &count));
  if (count > BM_TEXT_SEAL_BYTES) {
    text_seal(*text + BM_TEXT_SEAL_BYTES, count - BM_TEXT_SEAL_BYTES, seal);
  }
  if (count > BM_TEXT_SEAL_BYTES && memcmp(*text, seal, BM_TEXT_SEAL_BYTES) == 0) {
    return BM_OK;
  }
  bm_free(*text);
  *text = NULL;
  return BM_FAIL(BM_ERR_DATA, "%s: damaged: its checksum does not match its content", path);
}

bm_status_t bm_file_read(const char *path, char **bytes, size_t *count)
{
  *bytes = NULL;
  *count = 0;
  int file = open_watched(path, O_RDONLY);
  if (file < 0) {
    return io_error(path, "cannot open");
  }
  bm_status_t status = BM_OK;
  struct stat info;
  if (fstat(file, &info) != 0) {
    status = io_error(path, "cannot stat");
  } else if (!S_ISREG(info.st_mode)) {
    status = BM_FAIL(BM_ERR_IO, "%s: not a regular file", path);
  } else {
    status = BM_ALLOC((size_t)info.st_size + 1, bytes);
  }
  while (status == BM_OK && *count < (size_t)info.st_size) {
    ssize_t got = read_piece(file, path, *bytes + *count, (size_t)info.st_size - *count, *count);
    if (got < 0) {
      status = io_error(path, "cannot read");
    } else if (got == 0) {
      status = BM_FAIL(BM_ERR_IO, "%s: became shorter while it was read", path);
    } else {
      *count += (size_t)got;
    }
  }
  close(file);
  if (status != BM_OK) {
    bm_free(*bytes);
    *bytes = NULL;
  }
  return status;
}

static bm_status_t copy(const char *source, const char *path)
{
  char *buffer = NULL;
  int from = open(source, O_RDONLY | O_CLOEXEC);
  if (from < 0) {
    return io_error(source, "cannot open");
  }
  int to = open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
  bm_status_t status = to < 0 ? io_error(path, "cannot create") : BM_ALLOC(BM_READ_BYTES, &buffer);
  uint64_t done = 0;
  for (ssize_t got = 1; status == BM_OK && got > 0; done += (uint64_t)(got > 0 ? got : 0)) {
    got = read_piece(from, source, buffer, BM_READ_BYTES, done);
    status = got < 0 ? io_error(source, "cannot read")
                     : bm_file_write_at(to, path, done, buffer, (size_t)got);
  }
  if (to >= 0 && close(to) != 0 && status == BM_OK) {
    status = io_error(path, "cannot close");
  }
  close(from);
  bm_free(buffer);
  return status;
}

static bm_status_t link_whole(const char *source, const char *path)
{
  char *temporary = NULL;
  BM_TRY(bm_file_temporary_name(path, &temporary));
  bm_status_t status = bm_file_remove(temporary);
  if (status == BM_OK && link(source, temporary) != 0) {
    int has_no_links = errno == EPERM || errno == EOPNOTSUPP || errno == EXDEV || errno == EMLINK;
    status = has_no_links ? copy(source, temporary) : io_error(path, "cannot link");
  }
  if (status == BM_OK) {
    status = bm_file_publish(temporary, path);
  }
  unlink(temporary); /* also where both were names of one file already: rename leaves them */
  bm_free(temporary);
  return status;
}

bm_status_t bm_file_link(const char *source, const char *path)
{
  bm_watch_t watch;
  bm_watch_start(&watch, "link", path);
  bm_status_t status = link_whole(source, path);
  bm_watch_end(&watch);
  return status;
}

bm_status_t bm_file_remove(const char *path)
{
  return unlink(path) == 0 || errno == ENOENT ? BM_OK : io_error(path, "cannot remove");
}

bm_status_t bm_folder_create(const char *path)
{
  char *copy = NULL;
  BM_TRY(bm_string_copy(path, &copy));
  bm_status_t status = BM_OK;
  for (char *end = copy + 1; status == BM_OK; end++) {
    if (*end != '/' && *end != '\0') {
      continue;
    }
    char keep = *end;
    *end = '\0';
    struct stat info;
    if (mkdir(copy, 0777) != 0 && errno != EEXIST) {
      status = io_error(copy, "cannot create this folder");
    } else if (stat(copy, &info) == 0 && !S_ISDIR(info.st_mode)) {
      status = BM_FAIL(BM_ERR_IO, "%s: exists and is not a folder", copy);
    }
    *end = keep;
    if (keep == '\0') {
      break;
    }
  }
  bm_free(copy);
  return status;
}

int bm_file_exists(const char *path)
{
  return access(path, F_OK) == 0;
}

bm_status_t bm_path_join(const char *folder, const char *name, char **out)
{
  size_t size = strlen(folder) + strlen(name) + 2;
  BM_TRY(BM_ALLOC(size, out));
  snprintf(*out, size, "%s/%s", folder, name);
  return BM_OK;
}
