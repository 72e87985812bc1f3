#ifndef BOLTZMAP_TESTS_UNIT_IO_SCRATCH_H
#define BOLTZMAP_TESTS_UNIT_IO_SCRATCH_H

/* A folder for a test program's files, and damage done to them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boltzmap/base/status.h"

static char scratch_folder[256];

/* Group set-up: make the folder. A write beyond the limit of a file's size shall fail, not kill. */
static inline int scratch_open(void **state)
{
  (void)state;
  const char *parent = getenv("TMPDIR");
  snprintf(scratch_folder, sizeof scratch_folder, "%s/boltzmap-test-XXXXXX",
           parent != NULL ? parent : "/tmp");
  signal(SIGXFSZ, SIG_IGN);
  return mkdtemp(scratch_folder) == NULL;
}

/* Names in the folder, "." and ".." left out; removes them where asked. */
static inline size_t scratch_entries(int removing)
{
  DIR *folder = opendir(scratch_folder);
  size_t count = 0;
  for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      count++;
      if (removing) {
        unlinkat(dirfd(folder), entry->d_name, 0);
        unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR);
      }
    }
  }
  closedir(folder);
  return count;
}

/* Group tear-down. */
static inline int scratch_close(void **state)
{
  (void)state;
  scratch_entries(1);
  return rmdir(scratch_folder);
}

/* Path of a file in the folder; eight of them are valid at a time. */
static inline const char *scratch(const char *name)
{
  static char paths[8][512];
  static unsigned next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", scratch_folder, name);
  return path;
}

/* Path of a file beside the tests, as "io/script.py". */
static inline const char *beside_tests(const char *name)
{
  static char path[512];
  const char *top = getenv("BM_TOP");
  snprintf(path, sizeof path, "%s/tests/unit/%s", top != NULL ? top : ".", name);
  return path;
}

static inline off_t file_size(const char *path)
{
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  return info.st_size;
}

static inline void write_file(const char *path, const void *bytes, size_t count)
{
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, count, file), count);
  assert_int_equal(fclose(file), 0);
}

/* Flip one bit; flipping it again repairs the file. */
static inline void flip_bit(const char *path, off_t byte, int bit)
{
  unsigned char value = 0;
  int file = open(path, O_RDWR);
  assert_true(file >= 0);
  assert_int_equal(pread(file, &value, 1, byte), 1);
  value ^= (unsigned char)(1u << bit);
  assert_int_equal(pwrite(file, &value, 1, byte), 1);
  close(file);
}

/* Bytes a file may have from here on: a stand-in for a full disk. */
static inline void limit_file_size(rlim_t bytes)
{
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = bytes;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

#define assert_message_has(text) assert_non_null(strstr(bm_status_message(), (text)))

#endif
