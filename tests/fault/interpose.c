/* Faults on purpose, preloaded into the program (LD_PRELOAD): the Nth call of a class fails, kills the
 * process, never returns, writes half of what it was given, or writes something else.
 *
 *   FAULT_CLASS   mpi, hdf5 or file (calls on files whose path holds FAULT_PATH)
 *   FAULT_CALL    only calls of this name, as fsync; unset: all of the class
 *   FAULT_NTH     which one, counted from 1 on each rank; 0: every one
 *   FAULT_WAY     fail, kill, stall, short, corrupt; count: none, only count
 *   FAULT_ERRNO   of failing file calls (a number)
 *   FAULT_RANK    the rank it happens on (default 0); -1: all
 *   FAULT_REPORT  file that the rank's count of calls goes to at its end
 *   FAULT_CLOCK   back: the time of day goes back by an hour each time it is looked at
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <mpi.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef enum { NONE, FAIL, SHORT, CORRUPT } fault_t;

static atomic_long calls;

static int is_set(const char *variable, const char *value)
{
  const char *text = getenv(variable);
  return text != NULL && strcmp(text, value) == 0;
}

static long number(const char *variable, long otherwise)
{
  const char *text = getenv(variable);
  return text == NULL ? otherwise : atol(text);
}

/* The launcher is left alone. */
static int is_my_rank(void)
{
  if (strcmp(program_invocation_short_name, "boltzmap") != 0) {
    return 0;
  }
  const long wanted = number("FAULT_RANK", 0);
  return wanted < 0 || number("OMPI_COMM_WORLD_RANK", 0) == wanted;
}

/* What is to happen to this call. */
static fault_t fault(const char *class, const char *name)
{
  const char *only = getenv("FAULT_CALL");
  if (!is_set("FAULT_CLASS", class) || (only != NULL && strcmp(only, name) != 0) || !is_my_rank()) {
    return NONE;
  }
  const long nth = number("FAULT_NTH", -1);
  const long call = atomic_fetch_add(&calls, 1) + 1;
  if (nth != 0 && call != nth) {
    return NONE;
  }
  if (is_set("FAULT_WAY", "kill")) {
    kill(getpid(), SIGKILL);
  }
  while (is_set("FAULT_WAY", "stall")) {
    pause();
  }
  return is_set("FAULT_WAY", "fail")      ? FAIL
         : is_set("FAULT_WAY", "short")   ? SHORT
         : is_set("FAULT_WAY", "corrupt") ? CORRUPT
                                          : NONE;
}

__attribute__((destructor)) static void report(void)
{
  const char *path = getenv("FAULT_REPORT");
  FILE *file = path == NULL || !is_my_rank() ? NULL : fopen(path, "w");
  if (file != NULL) {
    fprintf(file, "%ld\n", atomic_load(&calls));
    fclose(file);
  }
}

/* --- MPI: a failing call does not take part ------------------------------------------------------ */

#define MPI_CALL(name, parameters, arguments)                               \
  int name parameters                                                       \
  {                                                                         \
    return fault("mpi", #name) == FAIL ? MPI_ERR_OTHER : P##name arguments; \
  }

MPI_CALL(MPI_Allgather,
         (const void *a, int b, MPI_Datatype c, void *d, int e, MPI_Datatype f, MPI_Comm g),
         (a, b, c, d, e, f, g))
MPI_CALL(MPI_Allgatherv,
         (const void *a, int b, MPI_Datatype c, void *d, const int *e, const int *f, MPI_Datatype g,
          MPI_Comm h),
         (a, b, c, d, e, f, g, h))
MPI_CALL(MPI_Allreduce, (const void *a, void *b, int c, MPI_Datatype d, MPI_Op e, MPI_Comm f),
         (a, b, c, d, e, f))
MPI_CALL(MPI_Barrier, (MPI_Comm a), (a))
MPI_CALL(MPI_Bcast, (void *a, int b, MPI_Datatype c, int d, MPI_Comm e), (a, b, c, d, e))
MPI_CALL(MPI_Comm_dup, (MPI_Comm a, MPI_Comm *b), (a, b))
MPI_CALL(MPI_Comm_free, (MPI_Comm * a), (a))
MPI_CALL(MPI_Comm_rank, (MPI_Comm a, int *b), (a, b))
MPI_CALL(MPI_Comm_set_errhandler, (MPI_Comm a, MPI_Errhandler b), (a, b))
MPI_CALL(MPI_Comm_size, (MPI_Comm a, int *b), (a, b))
MPI_CALL(MPI_Comm_split, (MPI_Comm a, int b, int c, MPI_Comm *d), (a, b, c, d))
MPI_CALL(MPI_Comm_split_type, (MPI_Comm a, int b, int c, MPI_Info d, MPI_Comm *e), (a, b, c, d, e))
/* HDF5's, in what all ranks lay out together */
MPI_CALL(MPI_File_close, (MPI_File * a), (a))
MPI_CALL(MPI_File_get_size, (MPI_File a, MPI_Offset *b), (a, b))
MPI_CALL(MPI_File_open, (MPI_Comm a, const char *b, int c, MPI_Info d, MPI_File *e),
         (a, b, c, d, e))
MPI_CALL(MPI_File_read_at,
         (MPI_File a, MPI_Offset b, void *c, int d, MPI_Datatype e, MPI_Status *f),
         (a, b, c, d, e, f))
MPI_CALL(MPI_File_set_size, (MPI_File a, MPI_Offset b), (a, b))
MPI_CALL(MPI_File_set_view,
         (MPI_File a, MPI_Offset b, MPI_Datatype c, MPI_Datatype d, const char *e, MPI_Info f),
         (a, b, c, d, e, f))
MPI_CALL(MPI_File_sync, (MPI_File a), (a))
MPI_CALL(MPI_File_write_at,
         (MPI_File a, MPI_Offset b, const void *c, int d, MPI_Datatype e, MPI_Status *f),
         (a, b, c, d, e, f))
MPI_CALL(MPI_File_write_at_all,
         (MPI_File a, MPI_Offset b, const void *c, int d, MPI_Datatype e, MPI_Status *f),
         (a, b, c, d, e, f))
MPI_CALL(MPI_Gatherv,
         (const void *a, int b, MPI_Datatype c, void *d, const int *e, const int *f, MPI_Datatype g,
          int h, MPI_Comm i),
         (a, b, c, d, e, f, g, h, i))
MPI_CALL(MPI_Get_library_version, (char *a, int *b), (a, b))
MPI_CALL(MPI_Info_create, (MPI_Info * a), (a))
MPI_CALL(MPI_Info_set, (MPI_Info a, const char *b, const char *c), (a, b, c))
MPI_CALL(MPI_Init, (int *a, char ***b), (a, b))
MPI_CALL(MPI_Recv, (void *a, int b, MPI_Datatype c, int d, int e, MPI_Comm f, MPI_Status *g),
         (a, b, c, d, e, f, g))
MPI_CALL(MPI_Recv_init, (void *a, int b, MPI_Datatype c, int d, int e, MPI_Comm f, MPI_Request *g),
         (a, b, c, d, e, f, g))
MPI_CALL(MPI_Send, (const void *a, int b, MPI_Datatype c, int d, int e, MPI_Comm f),
         (a, b, c, d, e, f))
MPI_CALL(MPI_Send_init,
         (const void *a, int b, MPI_Datatype c, int d, int e, MPI_Comm f, MPI_Request *g),
         (a, b, c, d, e, f, g))
MPI_CALL(MPI_Start, (MPI_Request * a), (a))
MPI_CALL(MPI_Startall, (int a, MPI_Request *b), (a, b))
MPI_CALL(MPI_Testall, (int a, MPI_Request *b, int *c, MPI_Status *d), (a, b, c, d))
MPI_CALL(MPI_Waitall, (int a, MPI_Request *b, MPI_Status *c), (a, b, c))
MPI_CALL(MPI_Win_allocate_shared, (MPI_Aint a, int b, MPI_Info c, MPI_Comm d, void *e, MPI_Win *f),
         (a, b, c, d, e, f))
MPI_CALL(MPI_Win_free, (MPI_Win * a), (a))
MPI_CALL(MPI_Win_shared_query, (MPI_Win a, int b, MPI_Aint *c, int *d, void *e), (a, b, c, d, e))

/* --- HDF5 ---------------------------------------------------------------------------------------- */

/* The call of the library behind this one. */
#define REAL(type, name, parameters)                    \
  static type(*real) parameters;                        \
  if (real == NULL) {                                   \
    real = (type(*) parameters)dlsym(RTLD_NEXT, #name); \
  }

#define HDF5_CALL(type, name, parameters, arguments)           \
  type name parameters                                         \
  {                                                            \
    REAL(type, name, parameters)                               \
    return fault("hdf5", #name) == FAIL ? -1 : real arguments; \
  }

HDF5_CALL(herr_t, H5Aclose, (hid_t a), (a))
HDF5_CALL(hid_t, H5Acreate2, (hid_t a, const char *b, hid_t c, hid_t d, hid_t e, hid_t f),
          (a, b, c, d, e, f))
HDF5_CALL(htri_t, H5Aexists, (hid_t a, const char *b), (a, b))
HDF5_CALL(hid_t, H5Aget_space, (hid_t a), (a))
HDF5_CALL(hid_t, H5Aget_type, (hid_t a), (a))
HDF5_CALL(hid_t, H5Aopen, (hid_t a, const char *b, hid_t c), (a, b, c))
HDF5_CALL(herr_t, H5Aread, (hid_t a, hid_t b, void *c), (a, b, c))
HDF5_CALL(herr_t, H5Awrite, (hid_t a, hid_t b, const void *c), (a, b, c))
HDF5_CALL(herr_t, H5Dclose, (hid_t a), (a))
HDF5_CALL(hid_t, H5Dcreate2, (hid_t a, const char *b, hid_t c, hid_t d, hid_t e, hid_t f, hid_t g),
          (a, b, c, d, e, f, g))
HDF5_CALL(hid_t, H5Dget_space, (hid_t a), (a))
HDF5_CALL(hid_t, H5Dget_type, (hid_t a), (a))
HDF5_CALL(hid_t, H5Dopen2, (hid_t a, const char *b, hid_t c), (a, b, c))
HDF5_CALL(herr_t, H5Dread, (hid_t a, hid_t b, hid_t c, hid_t d, hid_t e, void *f),
          (a, b, c, d, e, f))
HDF5_CALL(herr_t, H5Dwrite, (hid_t a, hid_t b, hid_t c, hid_t d, hid_t e, const void *f),
          (a, b, c, d, e, f))
HDF5_CALL(herr_t, H5Fclose, (hid_t a), (a))
HDF5_CALL(hid_t, H5Fcreate, (const char *a, unsigned b, hid_t c, hid_t d), (a, b, c, d))
HDF5_CALL(herr_t, H5Fflush, (hid_t a, H5F_scope_t b), (a, b))
HDF5_CALL(ssize_t, H5Fget_file_image, (hid_t a, void *b, size_t c), (a, b, c))
HDF5_CALL(herr_t, H5Fget_filesize, (hid_t a, hsize_t *b), (a, b))
HDF5_CALL(htri_t, H5Fis_hdf5, (const char *a), (a))
HDF5_CALL(hid_t, H5Fopen, (const char *a, unsigned b, hid_t c), (a, b, c))
HDF5_CALL(herr_t, H5Gclose, (hid_t a), (a))
HDF5_CALL(hid_t, H5Gcreate2, (hid_t a, const char *b, hid_t c, hid_t d, hid_t e), (a, b, c, d, e))
HDF5_CALL(hid_t, H5Gopen2, (hid_t a, const char *b, hid_t c), (a, b, c))
HDF5_CALL(herr_t, H5Lcreate_hard,
          (hid_t a, const char *b, hid_t c, const char *d, hid_t e, hid_t f), (a, b, c, d, e, f))
HDF5_CALL(htri_t, H5Lexists, (hid_t a, const char *b, hid_t c), (a, b, c))
HDF5_CALL(herr_t, H5Literate,
          (hid_t a, H5_index_t b, H5_iter_order_t c, hsize_t *d, H5L_iterate_t e, void *f),
          (a, b, c, d, e, f))
HDF5_CALL(herr_t, H5Ovisit, (hid_t a, H5_index_t b, H5_iter_order_t c, H5O_iterate_t d, void *e),
          (a, b, c, d, e))
HDF5_CALL(herr_t, H5Pclose, (hid_t a), (a))
HDF5_CALL(hid_t, H5Pcreate, (hid_t a), (a))
HDF5_CALL(herr_t, H5Pset_alloc_time, (hid_t a, H5D_alloc_time_t b), (a, b))
HDF5_CALL(herr_t, H5Pset_fapl_core, (hid_t a, size_t b, hbool_t c), (a, b, c))
HDF5_CALL(herr_t, H5Pset_fclose_degree, (hid_t a, H5F_close_degree_t b), (a, b))
HDF5_CALL(herr_t, H5Pset_fill_time, (hid_t a, H5D_fill_time_t b), (a, b))
HDF5_CALL(herr_t, H5Pset_userblock, (hid_t a, hsize_t b), (a, b))
HDF5_CALL(herr_t, H5Sclose, (hid_t a), (a))
HDF5_CALL(hid_t, H5Screate, (H5S_class_t a), (a))
HDF5_CALL(hid_t, H5Screate_simple, (int a, const hsize_t *b, const hsize_t *c), (a, b, c))
HDF5_CALL(int, H5Sget_simple_extent_dims, (hid_t a, hsize_t *b, hsize_t *c), (a, b, c))
HDF5_CALL(int, H5Sget_simple_extent_ndims, (hid_t a), (a))
HDF5_CALL(hssize_t, H5Sget_simple_extent_npoints, (hid_t a), (a))
HDF5_CALL(herr_t, H5Sselect_hyperslab,
          (hid_t a, H5S_seloper_t b, const hsize_t *c, const hsize_t *d, const hsize_t *e,
           const hsize_t *f),
          (a, b, c, d, e, f))
HDF5_CALL(herr_t, H5Sselect_none, (hid_t a), (a))
HDF5_CALL(herr_t, H5Tclose, (hid_t a), (a))
HDF5_CALL(hid_t, H5Tcopy, (hid_t a), (a))
HDF5_CALL(herr_t, H5Tset_cset, (hid_t a, H5T_cset_t b), (a, b))
HDF5_CALL(herr_t, H5Tset_size, (hid_t a, size_t b), (a, b))

/* --- files --------------------------------------------------------------------------------------- */

static int is_meant(const char *path)
{
  const char *part = getenv("FAULT_PATH");
  return part != NULL && path != NULL && strstr(path, part) != NULL;
}

static fault_t fault_of_path(const char *name, const char *path)
{
  const fault_t what = is_meant(path) ? fault("file", name) : NONE;
  if (what == FAIL) {
    errno = (int)number("FAULT_ERRNO", EIO);
  }
  return what;
}

static fault_t fault_of_file(const char *name, int file)
{
  char link[64];
  char path[4096] = "";
  if (getenv("FAULT_PATH") == NULL) {
    return NONE;
  }
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  path[length < 0 ? 0 : length] = '\0';
  return fault_of_path(name, path);
}

#define OPEN_CALL(name)                                                                  \
  int name(const char *path, int flags, ...)                                             \
  {                                                                                      \
    REAL(int, name, (const char *, int, ...))                                            \
    va_list more;                                                                        \
    va_start(more, flags);                                                               \
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0; \
    va_end(more);                                                                        \
    return fault_of_path("open", path) == FAIL ? -1 : real(path, flags, mode);           \
  }

OPEN_CALL(open)
OPEN_CALL(open64)

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);

/* A byte of what is written comes out another one. */
static ssize_t write_corrupt(int file, const char *bytes, size_t count, off_t at)
{
  char *copy = malloc(count);
  memcpy(copy, bytes, count);
  copy[count / 2] ^= 4;
  const ssize_t put = real_pwrite(file, copy, count, at);
  free(copy);
  return put;
}

#define PWRITE_CALL(name)                                                                     \
  ssize_t name(int file, const void *bytes, size_t count, off_t at)                           \
  {                                                                                           \
    if (real_pwrite == NULL) {                                                                \
      real_pwrite = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite"); \
    }                                                                                         \
    switch (count == 0 ? NONE : fault_of_file("pwrite", file)) {                              \
    case FAIL:                                                                                \
      return -1;                                                                              \
    case SHORT:                                                                               \
      return real_pwrite(file, bytes, count > 1 ? count / 2 : count, at);                     \
    case CORRUPT:                                                                             \
      return write_corrupt(file, bytes, count, at);                                           \
    case NONE:                                                                                \
      break;                                                                                  \
    }                                                                                         \
    return real_pwrite(file, bytes, count, at);                                               \
  }

PWRITE_CALL(pwrite)
PWRITE_CALL(pwrite64)

#define PREAD_CALL(name)                                                             \
  ssize_t name(int file, void *bytes, size_t count, off_t at)                        \
  {                                                                                  \
    REAL(ssize_t, name, (int, void *, size_t, off_t))                                \
    return fault_of_file("pread", file) == FAIL ? -1 : real(file, bytes, count, at); \
  }

PREAD_CALL(pread)
PREAD_CALL(pread64)

int fsync(int file)
{
  REAL(int, fsync, (int))
  return fault_of_file("fsync", file) == FAIL ? -1 : real(file);
}

int close(int file)
{
  REAL(int, close, (int))
  const fault_t what = fault_of_file("close", file);
  const int code = real(file);
  if (what == FAIL) {
    errno = (int)number("FAULT_ERRNO", EIO);
  }
  return what == FAIL ? -1 : code;
}

#define FALLOCATE_CALL(name)                                                                  \
  int name(int file, off_t first, off_t count)                                                \
  {                                                                                           \
    REAL(int, name, (int, off_t, off_t))                                                      \
    return fault_of_file("posix_fallocate", file) == FAIL ? errno : real(file, first, count); \
  }

FALLOCATE_CALL(posix_fallocate)
FALLOCATE_CALL(posix_fallocate64)

int rename(const char *from, const char *to)
{
  REAL(int, rename, (const char *, const char *))
  return fault_of_path("rename", to) == FAIL ? -1 : real(from, to);
}

int link(const char *from, const char *to)
{
  REAL(int, link, (const char *, const char *))
  return fault_of_path("link", to) == FAIL ? -1 : real(from, to);
}

int unlink(const char *path)
{
  REAL(int, unlink, (const char *))
  return fault_of_path("unlink", path) == FAIL ? -1 : real(path);
}

int mkdir(const char *path, mode_t mode)
{
  REAL(int, mkdir, (const char *, mode_t))
  return fault_of_path("mkdir", path) == FAIL ? -1 : real(path, mode);
}

/* --- the clock ----------------------------------------------------------------------------------- */

static time_t lost_s(void)
{
  static atomic_long looks;
  return is_set("FAULT_CLOCK", "back") ? 3600 * (atomic_fetch_add(&looks, 1) + 1) : 0;
}

time_t time(time_t *out)
{
  struct timespec now;
  REAL(int, clock_gettime, (clockid_t, struct timespec *))
  real(CLOCK_REALTIME, &now);
  now.tv_sec -= lost_s();
  if (out != NULL) {
    *out = now.tv_sec;
  }
  return now.tv_sec;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
  REAL(int, clock_gettime, (clockid_t, struct timespec *))
  const int code = real(clock, now);
  if (clock == CLOCK_REALTIME) {
    now->tv_sec -= lost_s();
  }
  return code;
}
