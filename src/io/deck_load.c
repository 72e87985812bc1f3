#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/agree.h"
#include "deck_names.h"
#include "deck_state.h"

#define BM_RUN_GROUP "run."
#define BM_RUN_NAME BM_RUN_GROUP "name"

/* Rank 0's text, or an empty one elsewhere that the broadcast fills. */
static bm_status_t share(const bm_context_t *context, const char *mine, char **out)
{
  bm_status_t status = BM_OK;
  if (bm_context_is_root(context)) {
    status = bm_string_copy(mine, out);
  }
  BM_TRY_AGREE(context, status);
  return bm_broadcast_string(context, out);
}

/* Rank 0 reads the deck's text; all ranks have it. */
static bm_status_t share_source(const bm_context_t *context, const char *path,
                                bm_deck_source_t *source)
{
  bm_status_t status = BM_OK;
  if (bm_context_is_root(context)) {
    status = bm_deck_source_read(path, source);
  }
  BM_TRY_AGREE(context, status);
  BM_TRY(bm_broadcast_string(context, &source->name));
  BM_TRY(bm_broadcast_string(context, &source->text));
  BM_TRY(bm_broadcast_string(context, &source->folder));
  return bm_broadcast_string(context, &source->working_folder);
}

/* What the tables' writers owe: a group in each path, a range, and keys of the run that depend
 * on the run alone, since no case has any. */
static void check_row(const bm_deck_key_t *key)
{
  size_t run = sizeof BM_RUN_GROUP - 1;
  int is_of_run = strncmp(key->path, BM_RUN_GROUP, run) == 0;
  assert(key->path[bm_deck_group_length(key->path)] == '.');
  assert(key->low <= key->high);
  assert(!is_of_run || key->when == NULL || strncmp(key->when, BM_RUN_GROUP, run) == 0);
  (void)is_of_run;
}

static bm_status_t take_rows(bm_deck_t *deck, const bm_deck_key_t *const *tables)
{
  for (size_t t = 0; tables[t] != NULL; t++) {
    for (const bm_deck_key_t *key = tables[t]; key->path != NULL; key++) {
      check_row(key);
      deck->row_count++;
    }
  }
  BM_TRY(BM_DECK_TAKE(&deck->pool, deck->row_count, &deck->rows));
  BM_TRY(BM_DECK_TAKE(&deck->pool, deck->row_count, &deck->first));
  BM_TRY(bm_deck_layer_create(deck, &deck->defaults));
  size_t row = 0;
  for (size_t t = 0; tables[t] != NULL; t++) {
    for (const bm_deck_key_t *key = tables[t]; key->path != NULL; key++) {
      deck->rows[row] = key;
      deck->first[row] = bm_deck_row(deck, key->path);
      row++;
    }
  }
  return BM_OK;
}

static bm_status_t name_groups(bm_deck_t *deck)
{
  size_t count = 0;
  BM_TRY(BM_DECK_TAKE(&deck->pool, deck->row_count + 2, &deck->groups));
  for (size_t row = 0; row < deck->row_count; row++) {
    const char *path = deck->rows[row]->path;
    const char *name = NULL;
    if (bm_deck_is_group_start(deck, row)) {
      BM_TRY(bm_deck_pool_text(&deck->pool, &name, "%.*s", (int)bm_deck_group_length(path), path));
      deck->groups[count++] = name;
    }
  }
  deck->groups[count] = BM_DECK_CASES;
  return BM_OK;
}

static bm_status_t read_defaults(bm_deck_t *deck)
{
  for (size_t row = 0; row < deck->row_count; row++) {
    const bm_deck_key_t *key = deck->rows[row];
    bm_deck_raw_t *raw = NULL;
    if (key->fallback == NULL) {
      continue;
    }
    BM_TRY(BM_DECK_TAKE(&deck->pool, 1, &raw));
    if (bm_deck_raw_parse(&deck->pool, key->fallback, raw) != BM_OK) {
      return BM_FAIL(BM_ERR_INTERNAL, "%s: its default is no value", key->path);
    }
    raw->origin = BM_FROM_DEFAULT;
    raw->place = "default";
    deck->defaults[row] = raw;
  }
  return BM_OK;
}

/* A deck without cases has one: itself, under the name of the run. */
static bm_status_t add_single_case(bm_deck_t *deck)
{
  deck->case_count = 1;
  return BM_DECK_TAKE(&deck->pool, deck->case_count, &deck->cases);
}

/* The same without overrides, where there are any. */
static bm_status_t prepare_plain(bm_deck_t *deck)
{
  if (deck->overrides == NULL) {
    return BM_OK;
  }
  BM_TRY(BM_DECK_TAKE(&deck->pool, deck->case_count, &deck->plain_cases));
  deck->plain_base.is_plain = 1;
  BM_TRY(bm_deck_case_prepare(deck, &deck->plain_base));
  for (size_t i = 0; i < deck->case_count; i++) {
    deck->plain_cases[i] = deck->cases[i];
    deck->plain_cases[i].is_plain = 1;
    BM_TRY(bm_deck_case_prepare(deck, &deck->plain_cases[i]));
  }
  return BM_OK;
}

static bm_status_t name_run(bm_deck_t *deck)
{
  const char *name = bm_deck_string(&deck->base, BM_RUN_NAME);
  bm_status_t status = bm_deck_check_folder_name(name);
  if (status != BM_OK) {
    char why[BM_MESSAGE_MAX];
    snprintf(why, sizeof why, "%s", bm_status_message());
    return bm_deck_fail(&deck->base, BM_RUN_NAME, "%s", why);
  }
  deck->base.name = name;
  if (!deck->has_cases) {
    deck->cases[0].name = name;
  }
  return BM_OK;
}

static bm_status_t resolve(bm_deck_t *deck)
{
  BM_TRY(prepare_plain(deck));
  BM_TRY(bm_deck_case_prepare(deck, &deck->base));
  BM_TRY(bm_deck_case_resolve(&deck->base));
  for (size_t i = 0; i < deck->case_count; i++) {
    BM_TRY(bm_deck_case_prepare(deck, &deck->cases[i]));
    BM_TRY(bm_deck_case_resolve(&deck->cases[i]));
  }
  BM_TRY(bm_deck_check_given(deck));
  return name_run(deck);
}

/* Everything after the texts are here; the same on every rank. */
static bm_status_t build(bm_deck_t *deck, const bm_deck_key_t *const *tables,
                         char *const *overrides, size_t override_count)
{
  deck->hash_state = XXH64_createState();
  if (deck->hash_state == NULL) {
    return BM_FAIL(BM_ERR_MEMORY, "out of memory: checksum state");
  }
  BM_TRY(take_rows(deck, tables));
  BM_TRY(name_groups(deck));
  BM_TRY(read_defaults(deck));
  BM_TRY(bm_deck_layers_read(deck));
  if (!deck->has_cases) {
    BM_TRY(add_single_case(deck));
  }
  BM_TRY(bm_deck_overrides_read(deck, overrides, override_count));
  BM_TRY(resolve(deck));
  BM_TRY(bm_deck_changes_list(deck));
  return bm_deck_echo_write(deck);
}

/* Rank 0's overrides on all ranks; the caller frees `texts` and its `count` entries. */
static bm_status_t share_overrides(const bm_context_t *context, const char *const *mine,
                                   uint64_t *count, char ***texts)
{
  BM_TRY(bm_broadcast(context, count, sizeof *count));
  BM_TRY_AGREE(context, BM_ALLOC((size_t)*count, texts));
  for (size_t i = 0; i < *count; i++) {
    BM_TRY(share(context, bm_context_is_root(context) ? mine[i] : NULL, &(*texts)[i]));
  }
  return BM_OK;
}

bm_status_t bm_deck_load(const bm_context_t *context, const char *path,
                         const char *const *overrides, size_t override_count,
                         const bm_deck_key_t *const *tables, bm_deck_t **out)
{
  uint64_t count = override_count;
  char **texts = NULL;
  *out = NULL;
  bm_status_t status = bm_agree(context, BM_ALLOC(1, out));
  if (status == BM_OK) {
    status = share_source(context, path, &(*out)->source);
  }
  if (status == BM_OK) {
    status = share_overrides(context, overrides, &count, &texts);
  }
  if (status == BM_OK) {
    status = bm_agree(context, build(*out, tables, texts, (size_t)count));
  }
  for (size_t i = 0; texts != NULL && i < count; i++) {
    bm_free(texts[i]);
  }
  bm_free(texts);
  if (status != BM_OK) {
    bm_deck_destroy(out);
  }
  return status;
}
