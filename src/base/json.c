#include "boltzmap/base/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boltzmap/base/memory.h"

static bm_status_t no_memory(void)
{
  return BM_FAIL(BM_ERR_MEMORY, "out of memory: JSON");
}

bm_json_t *bm_json_object(void)
{
  return cJSON_CreateObject();
}

bm_status_t bm_json_add(bm_json_t *parent, const char *name, bm_json_t *value)
{
  if (value == NULL) {
    return no_memory();
  }
  cJSON_bool added = name != NULL ? cJSON_AddItemToObject(parent, name, value)
                                  : cJSON_AddItemToArray(parent, value);
  if (!added) {
    cJSON_Delete(value);
    return no_memory();
  }
  return BM_OK;
}

#define BM_NUMBER_BYTES 40

/* The fewest digits that give the value back; "null" where it is not finite. */
static void write_number(double number, char text[BM_NUMBER_BYTES])
{
  if (!isfinite(number)) {
    snprintf(text, BM_NUMBER_BYTES, "null");
    return;
  }
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, BM_NUMBER_BYTES, "%.*g", digits, number);
    double back = 0.0;
    if (sscanf(text, "%lf", &back) == 1 && back >= number && back <= number) {
      break;
    }
  }
}

bm_status_t bm_json_add_number(bm_json_t *parent, const char *name, double number)
{
  char text[BM_NUMBER_BYTES];
  write_number(number, text);
  return bm_json_add(parent, name, cJSON_CreateRaw(text));
}

bm_status_t bm_json_add_string(bm_json_t *parent, const char *name, const char *text)
{
  return bm_json_add(parent, name, cJSON_CreateString(text));
}

bm_status_t bm_json_add_object(bm_json_t *parent, const char *name, bm_json_t **out)
{
  *out = cJSON_CreateObject();
  return bm_json_add(parent, name, *out);
}

bm_status_t bm_json_add_array(bm_json_t *parent, const char *name, bm_json_t **out)
{
  *out = cJSON_CreateArray();
  return bm_json_add(parent, name, *out);
}

void bm_json_remove(bm_json_t *object, const char *name)
{
  cJSON_DeleteItemFromObjectCaseSensitive(object, name);
}

/* Numbers as raw text: cJSON would print them with 15 digits where that is nearly the value. */
static bm_status_t keep_digits(cJSON *value)
{
  for (; value != NULL; value = value->next) {
    if (cJSON_IsNumber(value)) {
      value->valuestring = cJSON_malloc(BM_NUMBER_BYTES);
      if (value->valuestring == NULL) {
        return no_memory();
      }
      write_number(value->valuedouble, value->valuestring);
      value->type = cJSON_Raw;
    }
    BM_TRY(keep_digits(value->child));
  }
  return BM_OK;
}

bm_status_t bm_json_parse(const char *source, const char *text, bm_json_t **out)
{
  const char *end = text;
  *out = cJSON_ParseWithOpts(text, &end, 1);
  if (*out == NULL) {
    int line = 1;
    for (const char *c = text; c < end; c++) {
      line += *c == '\n';
    }
    return BM_FAIL(BM_ERR_DATA, "%s:%d: not valid JSON", source, line);
  }
  bm_status_t status = keep_digits(*out);
  if (status != BM_OK) {
    bm_json_destroy(out);
  }
  return status;
}

bm_json_t *bm_json_get(const bm_json_t *object, const char *name)
{
  return cJSON_GetObjectItemCaseSensitive(object, name);
}

bm_json_t *bm_json_item(const bm_json_t *array, size_t index)
{
  return cJSON_GetArrayItem(array, (int)index);
}

size_t bm_json_count(const bm_json_t *array)
{
  return (size_t)cJSON_GetArraySize(array);
}

double bm_json_number(const bm_json_t *value)
{
  /* not finite ones are "null" */
  return cJSON_IsRaw(value) && *value->valuestring != 'n' ? strtod(value->valuestring, NULL) : NAN;
}

const char *bm_json_string(const bm_json_t *value)
{
  return cJSON_IsString(value) ? value->valuestring : NULL;
}

const char *bm_json_name(const bm_json_t *value)
{
  return value->string;
}

bm_json_t *bm_json_first(const bm_json_t *parent)
{
  return parent->child;
}

bm_json_t *bm_json_next(const bm_json_t *value)
{
  return value->next;
}

bm_status_t bm_json_print(const bm_json_t *value, int compact, char **text)
{
  char *printed = compact ? cJSON_PrintUnformatted(value) : cJSON_Print(value);
  if (printed == NULL) {
    return no_memory();
  }
  bm_status_t status = bm_string_copy(printed, text);
  cJSON_free(printed);
  return status;
}

bm_status_t bm_json_say(const bm_json_t *value)
{
  char *text = NULL;
  BM_TRY(bm_json_print(value, 1, &text));
  printf("%s\n", text);
  bm_free(text);
  return BM_OK;
}

bm_json_t *bm_json_copy(const bm_json_t *value)
{
  return cJSON_Duplicate(value, 1);
}

void bm_json_destroy(bm_json_t **value)
{
  cJSON_Delete(*value);
  *value = NULL;
}
