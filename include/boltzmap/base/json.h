#ifndef BOLTZMAP_BASE_JSON_H
#define BOLTZMAP_BASE_JSON_H

/* JSON, by cJSON behind this one file. Numbers are written with the fewest digits (15 to 17) that give
 * the value back, non-finite ones as null, so that equal results are equal bytes. */

#include <stddef.h>

#include "boltzmap/base/status.h"

typedef struct cJSON bm_json_t;

/* A new object; NULL only where there is no memory. The caller owns it until it is added. */
bm_json_t *bm_json_object(void);

/* Add to an object (name given) or an array (name NULL). bm_json_add takes over `value`, which may be
 * NULL (then the call fails). All fail with BM_ERR_MEMORY only. */
bm_status_t bm_json_add(bm_json_t *parent, const char *name, bm_json_t *value);
bm_status_t bm_json_add_number(bm_json_t *parent, const char *name, double number);
bm_status_t bm_json_add_string(bm_json_t *parent, const char *name, const char *text);

/* Add an object or array and give it for filling; it belongs to the parent. */
bm_status_t bm_json_add_object(bm_json_t *parent, const char *name, bm_json_t **out);
bm_status_t bm_json_add_array(bm_json_t *parent, const char *name, bm_json_t **out);

/* Take a member out of an object, if it is there. */
void bm_json_remove(bm_json_t *object, const char *name);

/* Parse text; BM_ERR_DATA with the place of the mistake. `source` names it in the message. */
bm_status_t bm_json_parse(const char *source, const char *text, bm_json_t **out);

/* Look up; NULL where it is missing. bm_json_number gives NaN for null or what is no number. */
bm_json_t *bm_json_get(const bm_json_t *object, const char *name);
bm_json_t *bm_json_item(const bm_json_t *array, size_t index);
size_t bm_json_count(const bm_json_t *array);
double bm_json_number(const bm_json_t *value);
const char *bm_json_string(const bm_json_t *value);

/* Name of a value in its object; first child and next sibling, for walks. */
const char *bm_json_name(const bm_json_t *value);
bm_json_t *bm_json_first(const bm_json_t *parent);
bm_json_t *bm_json_next(const bm_json_t *value);

/* Text, indented unless compact; owned by the caller (bm_free). */
bm_status_t bm_json_print(const bm_json_t *value, int compact, char **text);

/* The compact text as a line on standard output. BM_ERR_MEMORY. */
bm_status_t bm_json_say(const bm_json_t *value);

/* A deep copy; NULL where there is no memory. */
bm_json_t *bm_json_copy(const bm_json_t *value);

void bm_json_destroy(bm_json_t **value);

#endif
