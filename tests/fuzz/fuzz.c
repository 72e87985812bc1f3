/* What all targets share. BM_FUZZ_TARGET names the target, BM_TOP the source tree. */

#include "fuzz.h"

#include <dirent.h>
#include <mpi.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boltzmap/io/hdf5.h"

const bm_context_t *fuzz_context;
static const fuzz_target_t *target;
static char folder[256];

int fuzz_is_taken(bm_status_t status)
{
  if (status == BM_OK) {
    return 1;
  }
  /* not of the program, nor of the machine */
  FUZZ_REQUIRE(status == BM_ERR_DATA || status == BM_ERR_IO || status == BM_ERR_USAGE);
  FUZZ_REQUIRE(bm_status_message()[0] != '\0');
  bm_status_set_message("");
  return 0;
}

static void path_of(const char *name, char path[512])
{
  snprintf(path, 512, "%s/%s", folder, name);
}

const char *fuzz_file(const char *name, const void *bytes, size_t count)
{
  static char path[512];
  path_of(name, path);
  FILE *file = fopen(path, "wb");
  if (file == NULL || fwrite(bytes, 1, count, file) != count || fclose(file) != 0) {
    perror(path);
    exit(1);
  }
  return path;
}

char *fuzz_text(const uint8_t *bytes, size_t count)
{
  char *text = malloc(count + 1);
  if (text == NULL) {
    exit(1);
  }
  if (count > 0) {
    memcpy(text, bytes, count);
  }
  text[count] = '\0';
  return text;
}

static void close_all(void)
{
  DIR *entries = opendir(folder);
  for (struct dirent *entry = entries == NULL ? NULL : readdir(entries); entry != NULL;
       entry = readdir(entries)) {
    unlinkat(dirfd(entries), entry->d_name, 0);
  }
  if (entries != NULL) {
    closedir(entries);
  }
  rmdir(folder);
}

/* The names under which decks of the corpus know the molecule. */
static void link_molecule(void)
{
  static const char *const names[] = {"alanine-dipeptide.prmtop", "alanine-dipeptide.rst7"};
  const char *top = getenv("BM_TOP");
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    char from[512];
    char to[512];
    snprintf(from, sizeof from, "%s/input/%s", top == NULL ? "." : top, names[i]);
    path_of(names[i], to);
    if (access(from, R_OK) != 0 || symlink(from, to) != 0) {
      fprintf(stderr, "%s: not there: BM_TOP has to name the source tree\n", from);
      exit(1);
    }
  }
}

static const fuzz_target_t *find_target(const char *name)
{
  const fuzz_target_t *const tables[] = {fuzz_text_targets, fuzz_stored_targets, fuzz_edit_targets};
  for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
    for (const fuzz_target_t *row = tables[t]; row->name != NULL; row++) {
      if (name != NULL && strcmp(row->name, name) == 0) {
        return row;
      }
    }
  }
  fprintf(stderr, "BM_FUZZ_TARGET=%s: no such target\n", name == NULL ? "" : name);
  exit(1);
}

/* One process without a launcher; signals are libFuzzer's. */
static bm_status_t start(void)
{
  static bm_context_t *context;
  setenv("OMPI_MCA_ess_singleton_isolated", "1", 1);
  setenv("OMPI_MCA_pml", "ob1", 1);
  setenv("OMPI_MCA_btl", "self", 1);
  setenv("OMPI_MCA_sharedfp", "^sm", 1);
  setenv("OMPI_MCA_opal_signal", "", 1);
  MPI_Init(NULL, NULL);
  bm_hdf5_quiet();
  bm_status_t status = bm_context_create(MPI_COMM_SELF, &context);
  fuzz_context = context;
  return status;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  const char *parent = getenv("TMPDIR");
  target = find_target(getenv("BM_FUZZ_TARGET"));
  snprintf(folder, sizeof folder, "%s/boltzmap-fuzz-XXXXXX", parent != NULL ? parent : "/tmp");
  if (mkdtemp(folder) == NULL || start() != BM_OK) {
    perror(folder);
    exit(1);
  }
  atexit(close_all);
  link_molecule();
  if (target->open != NULL) {
    target->open();
  }
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
  target->run(bytes, count);
  return 0;
}
