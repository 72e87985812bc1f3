#include "boltzmap/app/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boltzmap/app/stage.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/base/version.h"
#include "boltzmap/flow/network.h"
#include "boltzmap/io/file.h"
#include "boltzmap/parallel/agree.h"

#define BM_DECK_MARK "# boltzmap output; deck "
#define BM_LOCK ".lock"

enum { JSON, CSV, RESULT_FILES };
static const char *const result_files[RESULT_FILES] = {"results.json", "results.csv"};

/* One hash over everything that decides the results of the run. */
static uint64_t fingerprint_of(const bm_experiment_t *experiment)
{
  uint64_t hash = 0;
  for (size_t i = 0; i < bm_deck_case_count(experiment->deck); i++) {
    const bm_deck_case_t *deck_case = bm_deck_case(experiment->deck, i);
    for (const char *c = bm_deck_case_name(deck_case); *c != '\0'; c++) {
      hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    }
    hash ^= bm_stage_fingerprint(experiment, &bm_stage_evaluate, deck_case) + (hash << 6);
  }
  return hash;
}

/* A deck.cfg that a killed run did not finish: it is all there is then. */
static int is_unfinished_deck(const char *name)
{
  const char *end = strrchr(name, '.');
  return strncmp(name, "deck.cfg.", 9) == 0 && strcmp(end, ".part") == 0;
}

/* Does the folder hold anything but hidden files and what a run left before it had a deck? */
static int has_entries(const char *folder)
{
  int found = 0;
  DIR *entries = opendir(folder);
  for (struct dirent *entry = entries == NULL ? NULL : readdir(entries); entry != NULL;
       entry = readdir(entries)) {
    found = found || (entry->d_name[0] != '.' && !is_unfinished_deck(entry->d_name));
  }
  if (entries != NULL) {
    closedir(entries);
  }
  return found;
}

/* Does this text of a deck.cfg say that the folder is the output of a run? */
static int is_of_a_run(const char *text)
{
  return text != NULL && strncmp(text, BM_DECK_MARK, strlen(BM_DECK_MARK)) == 0;
}

/* And of the run of the deck of this fingerprint? */
static int is_ours(const char *text, uint64_t fingerprint)
{
  return is_of_a_run(text) && strtoull(text + strlen(BM_DECK_MARK), NULL, 16) == fingerprint;
}

/* Whose folder is it, and may we use it? `text` is that of its deck.cfg, NULL where there is
 * none. */
static bm_status_t check_owner(const bm_experiment_t *experiment, const char *text,
                               uint64_t fingerprint, int force)
{
  if (is_ours(text, fingerprint) || (force && is_of_a_run(text)) ||
      !has_entries(experiment->folder)) {
    return BM_OK;
  }
  if (!is_of_a_run(text)) {
    return BM_FAIL(BM_ERR_DATA,
                   "%s: is not empty and not the output of a run; choose another folder with --out",
                   experiment->folder);
  }
  return BM_FAIL(BM_ERR_DATA,
                 "%s: holds the output of another deck or other settings; choose another folder "
                 "with --out, or --force to start over in this one",
                 experiment->folder);
}

static bm_status_t take_lock(bm_experiment_t *experiment)
{
  char *path = NULL;
  BM_TRY(bm_path_join(experiment->folder, BM_LOCK, &path));
  experiment->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
  bm_status_t status = BM_OK;
  if (experiment->lock < 0) {
    status =
        BM_FAIL(BM_ERR_IO, "%s: cannot open: %s%s", path, strerror(errno), bm_file_advice(errno));
  } else if (flock(experiment->lock, LOCK_EX | LOCK_NB) != 0) {
    status =
        errno == EWOULDBLOCK
            ? BM_FAIL(BM_ERR_IO,
                      "%s: in use by another run; let it end, or choose another folder with --out",
                      experiment->folder)
            : BM_FAIL(BM_ERR_IO, "%s: cannot lock: %s", path, strerror(errno));
  }
  bm_free(path);
  return status;
}

/* The same deck may have other values in `run`, or another origin of them: deck.cfg is that of the
 * last run. `old` is its text until now, or NULL. Where the run starts over it is written in any case:
 * a full disk shows here, before anything is removed. */
static bm_status_t write_deck(const bm_experiment_t *experiment, const char *path,
                              uint64_t fingerprint, const char *old, int anew)
{
  const char *echo = bm_deck_echo(experiment->deck);
  size_t size = strlen(echo) + 64;
  char *text = NULL;
  BM_TRY(BM_ALLOC(size, &text));
  int used =
      snprintf(text, size, BM_DECK_MARK "%016llx\n%s", (unsigned long long)fingerprint, echo);
  bm_status_t status = BM_OK;
  if (anew || old == NULL || strcmp(old, text) != 0) {
    status = bm_file_write(path, text, (size_t)used);
  }
  bm_free(text);
  return status;
}

/* `*text` is that of the folder's deck.cfg, or NULL; owned by the caller. */
static bm_status_t read_owner(const bm_experiment_t *experiment, const char *deck_path,
                              uint64_t fingerprint, int force, char **text)
{
  size_t size;
  *text = NULL;
  if (bm_file_exists(deck_path)) {
    BM_TRY(bm_file_read(deck_path, text, &size));
  }
  return check_owner(experiment, *text, fingerprint, force);
}

/* From the look at whose folder it is until the lock is there, another run may have taken it: looked
 * at before, so that nothing is made in a folder of somebody else's, and after. */
static bm_status_t take_folder(bm_experiment_t *experiment, const char *deck_path,
                               uint64_t fingerprint, int force, char **text)
{
  BM_TRY(read_owner(experiment, deck_path, fingerprint, force, text));
  bm_free(*text);
  *text = NULL;
  BM_TRY(bm_folder_create(experiment->folder));
  BM_TRY(take_lock(experiment));
  return read_owner(experiment, deck_path, fingerprint, force, text);
}

/* Paths of the files of results, owned by the caller, also where it fails. */
static bm_status_t join_results(const bm_experiment_t *experiment, char *path[RESULT_FILES])
{
  bm_status_t status = BM_OK;
  for (int i = 0; status == BM_OK && i < RESULT_FILES; i++) {
    status = bm_path_join(experiment->folder, result_files[i], &path[i]);
  }
  return status;
}

static void free_paths(char *path[RESULT_FILES])
{
  for (int i = 0; i < RESULT_FILES; i++) {
    bm_free(path[i]);
  }
}

/* Results that will not be those of this run any more. */
static bm_status_t remove_results(const bm_experiment_t *experiment)
{
  char *path[RESULT_FILES] = {NULL, NULL};
  bm_status_t status = join_results(experiment, path);
  for (int i = 0; status == BM_OK && i < RESULT_FILES; i++) {
    status = bm_file_remove(path[i]);
  }
  free_paths(path);
  return status;
}

/* Rank 0's part. */
static bm_status_t open_folder(bm_experiment_t *experiment, int anew, int force)
{
  char *deck_path = NULL;
  char *text = NULL;
  uint64_t fingerprint = fingerprint_of(experiment);
  BM_TRY(bm_path_join(experiment->folder, "deck.cfg", &deck_path));
  bm_status_t status = take_folder(experiment, deck_path, fingerprint, force, &text);
  if (status == BM_OK) {
    status = write_deck(experiment, deck_path, fingerprint, text, anew);
  }
  if (status == BM_OK && anew) {
    status = remove_results(experiment);
  }
  bm_free(text);
  bm_free(deck_path);
  return status;
}

static bm_status_t open_log(bm_experiment_t *experiment)
{
  char *path = NULL;
  BM_TRY(bm_path_join(experiment->folder, "log.txt", &path));
  bm_status_t status = bm_log_create(experiment->context, path, &experiment->log);
  bm_free(path);
  return status;
}

bm_status_t bm_output_open(bm_experiment_t *experiment, int anew, int force)
{
  const bm_context_t *context = experiment->context;
  BM_TRY_AGREE(context, bm_context_is_root(context) ? open_folder(experiment, anew, force) : BM_OK);
  return bm_agree(context, open_log(experiment));
}

/* A value of the deck as JSON. */
static bm_status_t add_value(bm_json_t *object, const bm_deck_case_t *deck_case,
                             const bm_deck_key_t *key, const char *name)
{
  switch (key->type) {
  case BM_DECK_INT:
    return bm_json_add_number(object, name, (double)bm_deck_int(deck_case, key->path));
  case BM_DECK_REAL:
    return bm_json_add_number(object, name, bm_deck_real(deck_case, key->path));
  case BM_DECK_BOOL:
    return bm_json_add_number(object, name, bm_deck_bool(deck_case, key->path));
  case BM_DECK_STRING:
  case BM_DECK_PATH:
    return bm_json_add_string(object, name, bm_deck_string(deck_case, key->path));
  case BM_DECK_INT_LIST:
    break;
  }
  bm_json_t *list;
  const int64_t *items;
  size_t count = bm_deck_int_list(deck_case, key->path, &items);
  BM_TRY(bm_json_add_array(object, name, &list));
  for (size_t i = 0; i < count; i++) {
    BM_TRY(bm_json_add_number(list, NULL, (double)items[i]));
  }
  return BM_OK;
}

/* The `system` group as it applies to the case. */
static bm_status_t add_system(bm_json_t *entry, const bm_deck_case_t *deck_case)
{
  const char prefix[] = "system.";
  bm_json_t *system;
  BM_TRY(bm_json_add_object(entry, "system", &system));
  for (const bm_deck_key_t *const *table = bm_experiment_tables(); *table != NULL; table++) {
    for (const bm_deck_key_t *key = *table; key->path != NULL; key++) {
      const char *name = key->path + strlen(prefix);
      if (strncmp(key->path, prefix, strlen(prefix)) == 0 && bm_deck_has(deck_case, key->path) &&
          bm_json_get(system, name) == NULL) {
        BM_TRY(add_value(system, deck_case, key, name));
      }
    }
  }
  return BM_OK;
}

/* Everything that the stages of a case recorded. A damaged record is of a stage that is not asked for: of one
 * that is, it would have been made again. */
static bm_status_t read_case(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                             bm_results_t *results)
{
  for (size_t s = 0; bm_stage_table[s] != NULL; s++) {
    bm_status_t status = bm_stage_read_record(experiment, bm_stage_table[s], deck_case, results);
    if (status == BM_ERR_DATA) {
      bm_log_warn(experiment->log, "%s; it is left out of the results", bm_status_message());
    } else {
      BM_TRY(status);
    }
  }
  return BM_OK;
}

static bm_status_t add_case(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                            bm_json_t *cases)
{
  bm_results_t *results = NULL;
  bm_json_t *entry;
  BM_TRY(bm_results_create(&results));
  bm_status_t status = read_case(experiment, deck_case, results);
  if (status == BM_OK) {
    status = bm_json_add_object(cases, NULL, &entry);
  }
  if (status == BM_OK) {
    status = bm_json_add_string(entry, "name", bm_deck_case_name(deck_case));
  }
  if (status == BM_OK) {
    status = add_system(entry, deck_case);
  }
  if (status == BM_OK) {
    status = bm_json_add(entry, "metrics", bm_json_copy(bm_results_metrics(results)));
  }
  if (status == BM_OK) {
    status = bm_json_add(entry, "timings", bm_json_copy(bm_results_timings(results)));
  }
  bm_results_destroy(&results);
  return status;
}

static bm_status_t fill_document(const bm_experiment_t *experiment, bm_json_t *document)
{
  bm_json_t *overrides;
  bm_json_t *cases;
  BM_TRY(bm_json_add_string(document, "program", "boltzmap"));
  BM_TRY(bm_json_add_string(document, "version", bm_version()));
  BM_TRY(bm_json_add_string(document, "revision", bm_revision()));
  BM_TRY(bm_json_add_string(document, "deck", experiment->provenance[0].text));
  BM_TRY(bm_json_add_string(document, "seed", experiment->seed_text));
  BM_TRY(bm_json_add_number(document, "ranks", experiment->context->size));
  BM_TRY(bm_json_add_string(document, "host_type", experiment->origin.host_type));
  BM_TRY(bm_json_add_string(document, "libraries", bm_library_versions()));
  BM_TRY(bm_json_add_string(document, "mpi", experiment->origin.mpi));
  BM_TRY(bm_json_add_string(document, "kernel", bm_network_kernels()));
  BM_TRY(bm_json_add_array(document, "overrides", &overrides));
  for (size_t i = 0; i < bm_deck_override_count(experiment->deck); i++) {
    BM_TRY(bm_json_add_string(overrides, NULL, bm_deck_override(experiment->deck, i)));
  }
  BM_TRY(bm_json_add_array(document, "cases", &cases));
  for (size_t i = 0; i < bm_deck_case_count(experiment->deck); i++) {
    BM_TRY(add_case(experiment, bm_deck_case(experiment->deck, i), cases));
  }
  return BM_OK;
}

/* A growing text. */
typedef struct {
  char *text;
  size_t used, room;
} text_t;

static bm_status_t append(text_t *out, const char *text)
{
  size_t length = strlen(text);
  if (out->used + length + 1 > out->room) {
    size_t room = 2 * (out->used + length) + 4096;
    BM_TRY(bm_resize(out->room, room, 1, (void **)&out->text));
    out->room = room;
  }
  memcpy(out->text + out->used, text, length + 1);
  out->used += length;
  return BM_OK;
}

/* One line a number: case,group,name,value,error,unit,n. */
static bm_status_t append_rows(text_t *out, const char *name, const char *group,
                               const bm_json_t *entries)
{
  for (const bm_json_t *entry = bm_json_first(entries); entry != NULL;
       entry = bm_json_next(entry)) {
    const char *const numbers[] = {"value", "error", "n"};
    char cells[3][40];
    char line[512];
    for (int k = 0; k < 3; k++) {
      double number = bm_json_number(bm_json_get(entry, numbers[k]));
      cells[k][0] = '\0';
      if (number - number == 0.0) { /* finite */
        snprintf(cells[k], sizeof cells[k], "%.17g", number);
      }
    }
    snprintf(line, sizeof line, "%s,%s,%s,%s,%s,%s,%s\n", name, group, bm_json_name(entry),
             cells[0], cells[1], bm_json_string(bm_json_get(entry, "unit")), cells[2]);
    BM_TRY(append(out, line));
  }
  return BM_OK;
}

static bm_status_t append_cases(text_t *out, const bm_json_t *document)
{
  BM_TRY(append(out, "case,group,name,value,error,unit,n\n"));
  const bm_json_t *cases = bm_json_get(document, "cases");
  for (size_t i = 0; i < bm_json_count(cases); i++) {
    const bm_json_t *entry = bm_json_item(cases, i);
    const char *name = bm_json_string(bm_json_get(entry, "name"));
    BM_TRY(append_rows(out, name, "metric", bm_json_get(entry, "metrics")));
    BM_TRY(append_rows(out, name, "timing", bm_json_get(entry, "timings")));
  }
  return BM_OK;
}

/* When a file was last written, in seconds; before all times where it is not there. */
static double written_at(const char *path)
{
  struct stat info;
  return stat(path, &info) == 0 ? (double)info.st_mtim.tv_sec + 1e-9 * (double)info.st_mtim.tv_nsec
                                : -INFINITY;
}

static bm_status_t find_newest_record(const bm_experiment_t *experiment, double *newest)
{
  *newest = -DBL_MAX;
  for (size_t c = 0; c < bm_deck_case_count(experiment->deck); c++) {
    for (size_t s = 0; bm_stage_table[s] != NULL; s++) {
      char *path = NULL;
      BM_TRY(bm_stage_record_path(experiment, bm_stage_table[s], bm_deck_case(experiment->deck, c),
                                  &path));
      *newest = fmax(*newest, written_at(path));
      bm_free(path);
    }
  }
  return BM_OK;
}

/* Are the two whole: results.json by its seal, results.csv by what the other says? */
static bm_status_t check_results(const char *json_path, const char *csv_path)
{
  char *text = NULL;
  char *csv = NULL;
  size_t count = 0;
  bm_json_t *document = NULL;
  text_t expected = {NULL, 0, 0};
  bm_status_t status = bm_file_read_json(json_path, &text);
  if (status == BM_OK) {
    status = bm_json_parse(json_path, text, &document);
  }
  if (status == BM_OK) {
    status = append_cases(&expected, document);
  }
  if (status == BM_OK) {
    status = bm_file_read(csv_path, &csv, &count);
  }
  if (status == BM_OK && (count != expected.used || memcmp(csv, expected.text, count) != 0)) {
    status = BM_FAIL(BM_ERR_DATA, "%s: damaged: is not what results.json says", csv_path);
  }
  bm_json_destroy(&document);
  bm_free(expected.text);
  bm_free(csv);
  bm_free(text);
  return status;
}

static int are_current(const bm_experiment_t *experiment)
{
  double newest;
  char *path[RESULT_FILES] = {NULL, NULL};
  int current = find_newest_record(experiment, &newest) == BM_OK &&
                join_results(experiment, path) == BM_OK && written_at(path[JSON]) >= newest &&
                written_at(path[CSV]) >= newest && check_results(path[JSON], path[CSV]) == BM_OK;
  free_paths(path);
  return current;
}

int bm_output_results_are_current(const bm_experiment_t *experiment)
{
  const bm_context_t *context = experiment->context;
  return !bm_agree_any(context, bm_context_is_root(context) && !are_current(experiment));
}

static bm_status_t write_results(const bm_experiment_t *experiment)
{
  char *path[RESULT_FILES] = {NULL, NULL};
  char *json = NULL;
  text_t csv = {NULL, 0, 0};
  bm_json_t *document = bm_json_object();
  if (document == NULL) {
    return BM_FAIL(BM_ERR_MEMORY, "out of memory: results");
  }
  bm_status_t status = fill_document(experiment, document);
  if (status == BM_OK) {
    status = bm_json_print(document, 0, &json);
  }
  if (status == BM_OK) {
    status = append_cases(&csv, document);
  }
  if (status == BM_OK) {
    status = join_results(experiment, path);
  }
  if (status == BM_OK) {
    status = bm_file_write(path[CSV], csv.text, csv.used);
  }
  if (status == BM_OK) {
    status = bm_file_write_json(path[JSON], json);
  }
  free_paths(path);
  bm_free(csv.text);
  bm_free(json);
  bm_json_destroy(&document);
  return status;
}

bm_status_t bm_output_write_results(const bm_experiment_t *experiment)
{
  const bm_context_t *context = experiment->context;
  return bm_agree(context, bm_context_is_root(context) ? write_results(experiment) : BM_OK);
}
