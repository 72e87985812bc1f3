#include "boltzmap/app/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/app/checkpoint.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/generate/generator.h"
#include "boltzmap/io/file.h"
#include "boltzmap/parallel/agree.h"

const bm_stage_t *const bm_stage_table[] = {
#define BM_STAGE_ROW(row) &bm_stage_##row,
    BM_STAGE_TABLE(BM_STAGE_ROW)
#undef BM_STAGE_ROW
        NULL,
};

bm_status_t bm_stage_selection(const char *list, unsigned *selection)
{
  *selection = 0;
  if (list == NULL) {
    *selection = ~0u;
    return BM_OK;
  }
  while (*list != '\0') {
    size_t length = strcspn(list, ",");
    size_t i = 0;
    while (bm_stage_table[i] != NULL && (strlen(bm_stage_table[i]->name) != length ||
                                         strncmp(bm_stage_table[i]->name, list, length) != 0)) {
      i++;
    }
    if (bm_stage_table[i] == NULL) {
      return BM_FAIL(BM_ERR_USAGE,
                     "--stage: no stage '%.*s'; the stages are sample, train, generate, evaluate",
                     (int)length, list);
    }
    *selection |= 1u << i;
    list += length + (list[length] == ',');
  }
  return *selection != 0 ? BM_OK : BM_FAIL(BM_ERR_USAGE, "--stage: no stage named");
}

static const char *folder_name(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case)
{
  return deck_case == bm_deck_base(experiment->deck) ? BM_TARGET_FOLDER
                                                     : bm_deck_case_name(deck_case);
}

bm_status_t bm_stage_path(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                          const char *file, char **path)
{
  char *folder = NULL;
  BM_TRY(bm_path_join(experiment->folder, folder_name(experiment, deck_case), &folder));
  bm_status_t status = bm_path_join(folder, file, path);
  bm_free(folder);
  return status;
}

/* Of the deck's groups, and of the files that they name. */
static uint64_t own_fingerprint(const bm_experiment_t *experiment, const char *groups,
                                const bm_deck_case_t *deck_case)
{
  uint64_t file = bm_experiment_file_hash(experiment, deck_case);
  return bm_deck_fingerprint(deck_case, groups) ^ file * UINT64_C(0x9e3779b97f4a7c15);
}

uint64_t bm_stage_fingerprint(const bm_experiment_t *experiment, const bm_stage_t *stage,
                              const bm_deck_case_t *deck_case)
{
  uint64_t hash = own_fingerprint(experiment, stage->groups, deck_case);
  if (stage->uses_target) {
    uint64_t target =
        own_fingerprint(experiment, bm_stage_sample.groups, bm_deck_base(experiment->deck));
    hash ^= target + UINT64_C(0x9e3779b97f4a7c15) + (hash << 6) + (hash >> 2);
  }
  return hash;
}

bm_status_t bm_stage_record_path(const bm_experiment_t *experiment, const bm_stage_t *stage,
                                 const bm_deck_case_t *deck_case, char **path)
{
  char name[64];
  snprintf(name, sizeof name, "%s.json", stage->name);
  return bm_stage_path(experiment, deck_case, name, path);
}

/* The parsed record; NULL where there is none. */
static bm_status_t load_record(const bm_experiment_t *experiment, const bm_stage_t *stage,
                               const bm_deck_case_t *deck_case, bm_json_t **record)
{
  char *path = NULL;
  char *text = NULL;
  *record = NULL;
  BM_TRY(bm_stage_record_path(experiment, stage, deck_case, &path));
  bm_status_t status = BM_OK;
  if (bm_file_exists(path)) {
    status = bm_file_read_json(path, &text);
    if (status == BM_OK) {
      status = bm_json_parse(path, text, record);
    }
  }
  bm_free(text);
  bm_free(path);
  return status;
}

static int is_left(const bm_stage_t *stage, const bm_deck_case_t *deck_case, const char *file)
{
  return stage->leaves == NULL || stage->leaves(deck_case, file);
}

/* Checksum of a file that a stage left, as the record has it. */
static bm_status_t checksum_of(const char *path, char text[17])
{
  uint64_t hash = 0;
  BM_TRY(bm_file_hash(path, &hash));
  snprintf(text, 17, "%016llx", (unsigned long long)hash);
  return BM_OK;
}

/* Is the file that which the stage left? One of another run may be whole, too. */
static int file_is_left(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                        const char *file, const bm_json_t *record)
{
  char found[17];
  char *path = NULL;
  const char *stored = bm_json_string(bm_json_get(bm_json_get(record, "files"), file));
  if (stored == NULL || bm_stage_path(experiment, deck_case, file, &path) != BM_OK) {
    return 0;
  }
  int good = 0;
  if (!bm_file_exists(path)) {
    bm_log_warn(experiment->log, "%s: missing; it is made again", path);
  } else if (checksum_of(path, found) != BM_OK) {
    bm_log_warn(experiment->log, "%s; it is made again", bm_status_message());
  } else if (strcmp(stored, found) != 0) {
    bm_log_warn(experiment->log, "%s: damaged, or of another run; it is made again", path);
  } else {
    good = 1;
  }
  bm_free(path);
  return good;
}

/* Is the record there and that of this deck? */
static int is_current(const bm_experiment_t *experiment, const bm_stage_t *stage,
                      const bm_deck_case_t *deck_case, const bm_json_t *record)
{
  const char *stored = record == NULL ? NULL : bm_json_string(bm_json_get(record, "fingerprint"));
  return stored != NULL &&
         strtoull(stored, NULL, 16) == bm_stage_fingerprint(experiment, stage, deck_case);
}

static int is_done_here(const bm_experiment_t *experiment, const bm_stage_t *stage,
                        const bm_deck_case_t *deck_case)
{
  bm_json_t *record = NULL;
  if (load_record(experiment, stage, deck_case, &record) != BM_OK) {
    bm_log_warn(experiment->log, "%s; the stage is run again", bm_status_message());
    return 0;
  }
  int done = is_current(experiment, stage, deck_case, record);
  for (const char *const *file = stage->files; done && *file != NULL; file++) {
    done = !is_left(stage, deck_case, *file) || file_is_left(experiment, deck_case, *file, record);
  }
  bm_json_destroy(&record);
  return done;
}

int bm_stage_is_done(const bm_experiment_t *experiment, const bm_stage_t *stage,
                     const bm_deck_case_t *deck_case)
{
  int done = bm_context_is_root(experiment->context) && is_done_here(experiment, stage, deck_case);
  return bm_agree_any(experiment->context, done);
}

bm_status_t bm_stage_read_record(const bm_experiment_t *experiment, const bm_stage_t *stage,
                                 const bm_deck_case_t *deck_case, bm_results_t *results)
{
  bm_json_t *record;
  BM_TRY(load_record(experiment, stage, deck_case, &record));
  bm_status_t status = BM_OK;
  if (is_current(experiment, stage, deck_case, record)) {
    status =
        bm_results_merge(results, bm_json_get(record, "metrics"), bm_json_get(record, "timings"));
  }
  bm_json_destroy(&record);
  return status;
}

static bm_status_t remove_record(const bm_experiment_t *experiment, const bm_stage_t *stage,
                                 const bm_deck_case_t *deck_case)
{
  char *path = NULL;
  BM_TRY(bm_stage_record_path(experiment, stage, deck_case, &path));
  bm_status_t status = bm_file_remove(path);
  bm_free(path);
  return status;
}

bm_status_t bm_stage_forget(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                            size_t first)
{
  for (size_t s = first; bm_stage_table[s] != NULL; s++) {
    BM_TRY(remove_record(experiment, bm_stage_table[s], deck_case));
  }
  return BM_OK;
}

static bm_status_t add_file(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                            const char *file, bm_json_t *files)
{
  char text[17];
  char *path = NULL;
  BM_TRY(bm_stage_path(experiment, deck_case, file, &path));
  bm_status_t status = checksum_of(path, text);
  bm_free(path);
  return status == BM_OK ? bm_json_add_string(files, file, text) : status;
}

static bm_status_t add_files(const bm_experiment_t *experiment, const bm_stage_t *stage,
                             const bm_deck_case_t *deck_case, bm_json_t *record)
{
  bm_json_t *files;
  BM_TRY(bm_json_add_object(record, "files", &files));
  for (const char *const *file = stage->files; *file != NULL; file++) {
    if (is_left(stage, deck_case, *file)) {
      BM_TRY(add_file(experiment, deck_case, *file, files));
    }
  }
  return BM_OK;
}

static bm_status_t write_record(const bm_experiment_t *experiment, const bm_stage_t *stage,
                                const bm_deck_case_t *deck_case, const bm_results_t *results)
{
  char fingerprint[17];
  char *path = NULL;
  char *text = NULL;
  bm_json_t *record = bm_json_object();
  if (record == NULL) {
    return BM_FAIL(BM_ERR_MEMORY, "out of memory: record of a stage");
  }
  snprintf(fingerprint, sizeof fingerprint, "%016llx",
           (unsigned long long)bm_stage_fingerprint(experiment, stage, deck_case));
  bm_status_t status = bm_json_add_string(record, "fingerprint", fingerprint);
  if (status == BM_OK) {
    status = add_files(experiment, stage, deck_case, record);
  }
  if (status == BM_OK) {
    status = bm_json_add(record, "metrics", bm_json_copy(bm_results_metrics(results)));
  }
  if (status == BM_OK) {
    status = bm_json_add(record, "timings", bm_json_copy(bm_results_timings(results)));
  }
  if (status == BM_OK) {
    status = bm_json_print(record, 0, &text);
  }
  if (status == BM_OK) {
    status = bm_stage_record_path(experiment, stage, deck_case, &path);
  }
  if (status == BM_OK) {
    status = bm_file_write_json(path, text);
  }
  bm_free(text);
  bm_free(path);
  bm_json_destroy(&record);
  return status;
}

/* The folder is there and an older record gone, so that new files never stand beside it. */
static bm_status_t prepare(const bm_experiment_t *experiment, const bm_stage_t *stage,
                           const bm_deck_case_t *deck_case)
{
  if (!bm_context_is_root(experiment->context)) {
    return BM_OK;
  }
  char *folder = NULL;
  BM_TRY(bm_path_join(experiment->folder, folder_name(experiment, deck_case), &folder));
  bm_status_t status = bm_folder_create(folder);
  bm_free(folder);
  BM_TRY(status);
  return remove_record(experiment, stage, deck_case);
}

bm_status_t bm_stage_run(bm_experiment_t *experiment, const bm_stage_t *stage,
                         const bm_deck_case_t *deck_case)
{
  const bm_context_t *context = experiment->context;
  bm_results_t *results = NULL;
  BM_TRY_AGREE(context, prepare(experiment, stage, deck_case));
  BM_TRY_AGREE(context, bm_results_create(&results));
  bm_log_info(experiment->log, "%s: %s", folder_name(experiment, deck_case), stage->description);
  bm_status_t status = bm_agree(context, stage->run(experiment, deck_case, results));
  if (status == BM_OK && bm_context_is_root(context)) {
    status = write_record(experiment, stage, deck_case, results);
    if (status == BM_OK) {
      status = bm_checkpoint_remove(experiment, deck_case);
    }
  }
  bm_results_destroy(&results);
  return bm_agree(context, status);
}

bm_status_t bm_stage_load_map(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                              bm_map_t **map)
{
  char *path = NULL;
  *map = NULL;
  BM_TRY_AGREE(experiment->context, bm_stage_path(experiment, deck_case, "model.h5", &path));
  bm_status_t status = bm_generate_load(experiment->context, path, map);
  bm_free(path);
  return status;
}

bm_status_t bm_stage_load_samples(const bm_experiment_t *experiment,
                                  const bm_deck_case_t *deck_case, const char *file,
                                  bm_cloud_t *cloud, double **rows, size_t *walkers)
{
  bm_samples_t *samples = NULL;
  char *path = NULL;
  *rows = NULL;
  BM_TRY_AGREE(experiment->context, bm_stage_path(experiment, deck_case, file, &path));
  bm_status_t status = bm_samples_read(experiment->context, path, NULL, &samples);
  if (status == BM_OK) {
    status = bm_samples_replicate(experiment->context, samples, rows);
  }
  if (status == BM_OK) {
    *cloud = (bm_cloud_t){samples->n, samples->d, *rows};
    *walkers = samples->walkers;
  }
  bm_samples_destroy(&samples);
  bm_free(path);
  return status;
}

/* Of cases of one kind, which both have this key or not. */
static int has_same(const bm_deck_case_t *a, const bm_deck_case_t *b, const char *path)
{
  return !bm_deck_has(a, path) || strcmp(bm_deck_string(a, path), bm_deck_string(b, path)) == 0;
}

/* A kind has the same coordinates wherever its dimension is the same; of molecules, wherever the topology and
 * what the flow learns of it are. */
const bm_deck_case_t *bm_stage_target_of(const bm_experiment_t *experiment,
                                         const bm_deck_case_t *deck_case)
{
  const bm_deck_case_t *base = bm_deck_base(experiment->deck);
  if (!has_same(base, deck_case, "system.kind")) {
    return deck_case;
  }
  if (bm_deck_has(base, "system.dimension") &&
      bm_deck_int(base, "system.dimension") != bm_deck_int(deck_case, "system.dimension")) {
    return deck_case;
  }
  return has_same(base, deck_case, "system.topology") &&
                 has_same(base, deck_case, "flow.coordinates")
             ? base
             : deck_case;
}

int bm_stage_needs_target(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case)
{
  const bm_deck_case_t *target = bm_stage_target_of(experiment, deck_case);
  return bm_deck_case_count(experiment->deck) > 1 && target != deck_case &&
         bm_stage_fingerprint(experiment, &bm_stage_sample, target) !=
             bm_stage_fingerprint(experiment, &bm_stage_sample, deck_case);
}

bm_status_t bm_stage_target(bm_experiment_t *experiment, const bm_deck_case_t **target)
{
  const bm_stage_t *sample = &bm_stage_sample;
  const bm_deck_case_t *base = bm_deck_base(experiment->deck);
  uint64_t wanted = bm_stage_fingerprint(experiment, sample, base);
  for (size_t i = 0; i < bm_deck_case_count(experiment->deck); i++) {
    *target = bm_deck_case(experiment->deck, i);
    if (bm_stage_fingerprint(experiment, sample, *target) == wanted &&
        bm_stage_is_done(experiment, sample, *target)) {
      return BM_OK;
    }
  }
  *target = base;
  return bm_stage_is_done(experiment, sample, base) ? BM_OK
                                                    : bm_stage_run(experiment, sample, base);
}
