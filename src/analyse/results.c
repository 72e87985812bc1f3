#include "boltzmap/analyse/results.h"

#include <math.h>

#include "boltzmap/base/memory.h"

struct bm_results {
  bm_json_t *metrics, *timings;
};

bm_status_t bm_results_create(bm_results_t **out)
{
  BM_TRY(BM_ALLOC(1, out));
  (*out)->metrics = bm_json_object();
  (*out)->timings = bm_json_object();
  if ((*out)->metrics == NULL || (*out)->timings == NULL) {
    bm_results_destroy(out);
    return BM_FAIL(BM_ERR_MEMORY, "out of memory: results");
  }
  return BM_OK;
}

void bm_results_destroy(bm_results_t **results)
{
  if (*results != NULL) {
    bm_json_destroy(&(*results)->metrics);
    bm_json_destroy(&(*results)->timings);
  }
  bm_free(*results);
  *results = NULL;
}

/* An empty member of that name, in place of an older one. */
static bm_status_t renew(bm_json_t *parent, const char *name, bm_json_t **out)
{
  bm_json_remove(parent, name);
  return bm_json_add_object(parent, name, out);
}

static bm_status_t put_metric(bm_results_t *results, const char *name, double value, double error,
                              const char *unit, size_t n, bm_json_t **out)
{
  BM_TRY(renew(results->metrics, name, out));
  BM_TRY(bm_json_add_number(*out, "value", value));
  BM_TRY(bm_json_add_number(*out, "error", error));
  BM_TRY(bm_json_add_string(*out, "unit", unit));
  return bm_json_add_number(*out, "n", (double)n);
}

bm_status_t bm_results_metric(bm_results_t *results, const char *name, double value, double error,
                              const char *unit, size_t n)
{
  bm_json_t *entry;
  return put_metric(results, name, value, error, unit, n, &entry);
}

bm_status_t bm_results_floor(bm_results_t *results, const char *name, double mean, double spread,
                             const char *unit, size_t pairs)
{
  bm_json_t *entry;
  BM_TRY(put_metric(results, name, mean, spread / sqrt((double)pairs), unit, pairs, &entry));
  return bm_json_add_number(entry, "spread", spread);
}

bm_status_t bm_results_timing(bm_results_t *results, const char *name, double value,
                              const char *unit)
{
  bm_json_t *entry;
  BM_TRY(renew(results->timings, name, &entry));
  BM_TRY(bm_json_add_number(entry, "value", value));
  return bm_json_add_string(entry, "unit", unit);
}

double bm_results_value(const bm_results_t *results, const char *name)
{
  const bm_json_t *entry = bm_json_get(results->metrics, name);
  return entry == NULL ? NAN : bm_json_number(bm_json_get(entry, "value"));
}

const bm_json_t *bm_results_metrics(const bm_results_t *results)
{
  return results->metrics;
}

const bm_json_t *bm_results_timings(const bm_results_t *results)
{
  return results->timings;
}

static bm_status_t merge_into(bm_json_t *target, const bm_json_t *source)
{
  if (source == NULL) {
    return BM_OK;
  }
  for (const bm_json_t *item = bm_json_first(source); item != NULL; item = bm_json_next(item)) {
    bm_json_remove(target, bm_json_name(item));
    BM_TRY(bm_json_add(target, bm_json_name(item), bm_json_copy(item)));
  }
  return BM_OK;
}

bm_status_t bm_results_merge(bm_results_t *results, const bm_json_t *metrics,
                             const bm_json_t *timings)
{
  BM_TRY(merge_into(results->metrics, metrics));
  return merge_into(results->timings, timings);
}

bm_status_t bm_results_print(const bm_results_t *results, char **text)
{
  bm_json_t *document = bm_json_object();
  if (document == NULL) {
    return BM_FAIL(BM_ERR_MEMORY, "out of memory: results");
  }
  bm_status_t status = bm_json_add(document, "metrics", bm_json_copy(results->metrics));
  if (status == BM_OK) {
    status = bm_json_add(document, "timings", bm_json_copy(results->timings));
  }
  if (status == BM_OK) {
    status = bm_json_print(document, 1, text);
  }
  bm_json_destroy(&document);
  return status;
}

bm_status_t bm_results_parse(bm_results_t *results, const char *text)
{
  bm_json_t *document = NULL;
  BM_TRY(bm_json_parse("results", text, &document));
  bm_status_t status =
      bm_results_merge(results, bm_json_get(document, "metrics"), bm_json_get(document, "timings"));
  bm_json_destroy(&document);
  return status;
}
