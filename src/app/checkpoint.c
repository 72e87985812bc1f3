#include "boltzmap/app/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/app/stage.h"
#include "boltzmap/base/memory.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/state.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/stop.h"

#define BM_KEPT 2
#define BM_LISTED_MAX 64

/* Steps of the checkpoints in a folder, newest first. */
typedef struct {
  int64_t step[BM_LISTED_MAX];
  size_t count;
} list_t;

#define BM_NAME_BYTES 64

/* Of the checkpoint of a step, in the folder of its case. */
static void name_of(int64_t step, char name[BM_NAME_BYTES])
{
  snprintf(name, BM_NAME_BYTES, "checkpoint-%lld.h5", (long long)step);
}

static void insert(list_t *list, int64_t step)
{
  size_t at = list->count < BM_LISTED_MAX ? list->count++ : BM_LISTED_MAX - 1;
  while (at > 0 && list->step[at - 1] < step) {
    list->step[at] = list->step[at - 1];
    at--;
  }
  list->step[at] = step;
}

static bm_status_t list_checkpoints(const bm_experiment_t *experiment,
                                    const bm_deck_case_t *deck_case, list_t *list)
{
  char *folder = NULL;
  list->count = 0;
  BM_TRY(bm_stage_path(experiment, deck_case, ".", &folder));
  DIR *entries = opendir(folder);
  if (entries == NULL && errno != ENOENT) {
    const int cause = errno;
    bm_status_t status = BM_FAIL(BM_ERR_IO, "%s: cannot list the checkpoints: %s%s", folder,
                                 strerror(cause), bm_file_advice(cause));
    bm_free(folder);
    return status;
  }
  for (struct dirent *entry = entries == NULL ? NULL : readdir(entries); entry != NULL;
       entry = readdir(entries)) {
    long long step = 0;
    char name[BM_NAME_BYTES] = "";
    if (sscanf(entry->d_name, "checkpoint-%18lld", &step) == 1) {
      name_of(step, name);
    }
    if (strcmp(entry->d_name, name) == 0) {
      insert(list, step);
    }
  }
  if (entries != NULL) {
    closedir(entries);
  }
  bm_free(folder);
  return BM_OK;
}

static bm_status_t path_of(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                           int64_t step, char **path)
{
  char name[BM_NAME_BYTES];
  name_of(step, name);
  return bm_stage_path(experiment, deck_case, name, path);
}

static bm_status_t remove_step(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                               int64_t step)
{
  char *path = NULL;
  BM_TRY(path_of(experiment, deck_case, step, &path));
  bm_status_t status = bm_file_remove(path);
  bm_free(path);
  return status;
}

/* Remove all but the one just written and the one before it. Later steps are of a training that
 * this one took the place of, or damaged. */
static bm_status_t prune(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                         int64_t written)
{
  list_t list;
  size_t kept = 0;
  BM_TRY(list_checkpoints(experiment, deck_case, &list));
  for (size_t i = 0; i < list.count; i++) {
    if (list.step[i] <= written && kept < BM_KEPT) {
      kept++;
    } else {
      BM_TRY(remove_step(experiment, deck_case, list.step[i]));
    }
  }
  return BM_OK;
}

bm_status_t bm_checkpoint_remove(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case)
{
  list_t list;
  BM_TRY(list_checkpoints(experiment, deck_case, &list));
  for (size_t i = 0; i < list.count; i++) {
    BM_TRY(remove_step(experiment, deck_case, list.step[i]));
  }
  return BM_OK;
}

static bm_status_t put_header(const bm_experiment_t *experiment, uint64_t fingerprint,
                              double seconds, bm_state_t *state)
{
  BM_TRY(bm_experiment_put_origin(experiment, fingerprint, state));
  return bm_state_put_doubles(state, "seconds", 1, &seconds);
}

bm_checkpoint_t bm_checkpoint_of(const bm_experiment_t *experiment, const bm_deck_case_t *deck_case,
                                 uint64_t fingerprint)
{
  return (bm_checkpoint_t){experiment, deck_case, fingerprint, NULL, 0.0, bm_log_clock()};
}

double bm_checkpoint_spent(const bm_checkpoint_t *self)
{
  return self->before_s + bm_log_clock() - self->started;
}

/* Rank 0's part. */
static bm_status_t write_state(const bm_checkpoint_t *self, int64_t step, bm_state_t *state)
{
  char *path = NULL;
  const double begun = bm_log_clock();
  BM_TRY(put_header(self->experiment, self->fingerprint, bm_checkpoint_spent(self), state));
  BM_TRY(path_of(self->experiment, self->deck_case, step, &path));
  bm_status_t status = bm_state_write(state, path);
  bm_free(path);
  BM_TRY(status);
  bm_stop_took(bm_log_clock() - begun);
  return prune(self->experiment, self->deck_case, step);
}

static bm_status_t save(void *checkpoint, int64_t step, bm_state_t *state)
{
  const bm_checkpoint_t *self = checkpoint;
  const bm_context_t *context = self->experiment->context;
  return bm_agree(context, bm_context_is_root(context) ? write_state(self, step, state) : BM_OK);
}

static bm_status_t fingerprint_of(const bm_state_t *state, uint64_t *fingerprint)
{
  const char *text;
  BM_TRY(bm_state_get_string(state, "fingerprint", &text));
  *fingerprint = strtoull(text, NULL, 16);
  return BM_OK;
}

bm_status_t bm_checkpoint_fingerprint(const char *file, uint64_t *fingerprint)
{
  bm_state_t *state = NULL;
  BM_TRY(bm_state_read(file, BM_STATE_CHECKPOINT, &state));
  bm_status_t status = fingerprint_of(state, fingerprint);
  bm_state_destroy(&state);
  return status;
}

/* Out of the way, so that it is not kept in place of a good one. */
static bm_status_t put_aside(const bm_checkpoint_t *self, const char *path, int64_t step)
{
  char name[BM_NAME_BYTES];
  char name_aside[BM_NAME_BYTES + sizeof ".damaged"];
  char *aside = NULL;
  bm_status_t status = BM_OK;
  bm_log_warn(self->experiment->log, "%s; the checkpoint is passed over, and named .damaged",
              bm_status_message());
  name_of(step, name);
  snprintf(name_aside, sizeof name_aside, "%s.damaged", name);
  BM_TRY(bm_stage_path(self->experiment, self->deck_case, name_aside, &aside));
  if (rename(path, aside) != 0) {
    const int cause = errno;
    status = BM_FAIL(BM_ERR_IO, "%s: cannot rename to this name: %s%s", aside, strerror(cause),
                     bm_file_advice(cause));
  }
  bm_free(aside);
  return status;
}

/* The newest whole one of this stage; "" where there is none. */
static bm_status_t choose(const bm_checkpoint_t *self, char **path)
{
  list_t list;
  size_t damaged = 0;
  BM_TRY(list_checkpoints(self->experiment, self->deck_case, &list));
  for (size_t i = 0; i < list.count; i++) {
    uint64_t found = 0;
    BM_TRY(path_of(self->experiment, self->deck_case, list.step[i], path));
    bm_status_t status = bm_checkpoint_fingerprint(*path, &found);
    if (status == BM_OK && found == self->fingerprint) {
      return BM_OK;
    }
    if (status != BM_OK && status != BM_ERR_DATA) {
      return status; /* it may be good, and older ones are not to take its place */
    }
    if (status != BM_OK) {
      damaged++;
      status = put_aside(self, *path, list.step[i]);
    }
    bm_free(*path);
    *path = NULL;
    BM_TRY(status);
  }
  if (damaged > 0) {
    bm_log_warn(self->experiment->log,
                "%s: no good checkpoint is left: the stage starts from its beginning",
                bm_deck_case_name(self->deck_case));
  }
  return bm_string_copy("", path);
}

static bm_status_t read_from(bm_checkpoint_t *self, const char *path, bm_state_t **state)
{
  const bm_context_t *context = self->experiment->context;
  uint64_t found = 0;
  BM_TRY(bm_state_read_all(context, path, BM_STATE_CHECKPOINT, state));
  bm_status_t status = fingerprint_of(*state, &found);
  if (status == BM_OK && found != self->fingerprint) {
    status = BM_FAIL(BM_ERR_DATA, "%s: is no checkpoint of this stage of this deck", path);
  }
  if (status == BM_OK) {
    status = bm_state_get_doubles(*state, "seconds", 1, &self->before_s);
  }
  status = bm_agree(context, status);
  if (status != BM_OK) {
    bm_state_destroy(state);
  }
  return status;
}

bm_status_t bm_checkpoint_load(void *checkpoint, bm_state_t **state)
{
  bm_checkpoint_t *self = checkpoint;
  const bm_context_t *context = self->experiment->context;
  char *path = NULL;
  bm_status_t status = BM_OK;
  *state = NULL;
  if (bm_context_is_root(context)) {
    status = self->file != NULL ? bm_string_copy(self->file, &path) : choose(self, &path);
  }
  BM_TRY_AGREE(context, status);
  BM_TRY(bm_broadcast_string(context, &path));
  if (path[0] != '\0') {
    status = read_from(self, path, state);
    if (status == BM_OK) {
      bm_log_info(self->experiment->log, "  going on from %s", path);
    }
  }
  bm_free(path);
  self->started = bm_log_clock();
  return status;
}

bm_keeper_t bm_checkpoint_keeper(bm_checkpoint_t *self)
{
  return (bm_keeper_t){self, self->experiment->checkpoint_every_s, save, bm_checkpoint_load};
}
