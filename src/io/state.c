#include "boltzmap/io/state.h"

#include <hdf5.h>
#include <stdio.h>
#include <string.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/base/version.h"
#include "boltzmap/io/file.h"
#include "boltzmap/io/hdf5.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/watch.h"

#define BM_BLOCK_NAME_MAX 128
#define BM_IMAGE_GROWTH ((size_t)1 << 20) /* steps in which a file grows in memory */

typedef enum { TYPE_F32, TYPE_F64, TYPE_I64, TYPE_TEXT } type_t;

static const struct {
  const char *name;
  size_t bytes;
} types[] = {{"float32", 4}, {"float64", 8}, {"int64", 8}, {"text", 1}};

#ifdef BM_REAL_IS_DOUBLE
#define TYPE_REAL TYPE_F64
#else
#define TYPE_REAL TYPE_F32
#endif

typedef struct {
  char name[BM_BLOCK_NAME_MAX];
  type_t type;
  size_t count; /* text: length with the final 0 */
  void *values; /* owned */
} block_t;

struct bm_state {
  char kind[32];
  char *source; /* file it was read from, for messages */
  block_t *blocks;
  size_t count, room;
};

bm_status_t bm_state_create(const char *kind, bm_state_t **out)
{
  BM_TRY(BM_ALLOC(1, out));
  snprintf((*out)->kind, sizeof(*out)->kind, "%s", kind);
  return BM_OK;
}

void bm_state_destroy(bm_state_t **state)
{
  if (*state != NULL) {
    for (size_t i = 0; i < (*state)->count; i++) {
      bm_free((*state)->blocks[i].values);
    }
    bm_free((*state)->blocks);
    bm_free((*state)->source);
  }
  bm_free(*state);
  *state = NULL;
}

static const block_t *find(const bm_state_t *state, const char *name)
{
  for (size_t i = 0; i < state->count; i++) {
    if (strcmp(state->blocks[i].name, name) == 0) {
      return &state->blocks[i];
    }
  }
  return NULL;
}

static int is_new_name(const bm_state_t *state, const char *name)
{
  return strlen(name) < BM_BLOCK_NAME_MAX && find(state, name) == NULL;
}

/* A new block with room for its values. */
static bm_status_t add_block(bm_state_t *state, const char *name, type_t type, size_t count,
                             block_t **out)
{
  if (!is_new_name(state, name)) {
    return BM_FAIL(BM_ERR_INTERNAL, "state block '%s': name too long or used twice", name);
  }
  if (state->count == state->room) {
    size_t room = state->room == 0 ? 16 : 2 * state->room;
    BM_TRY(bm_resize(state->room, room, sizeof *state->blocks, (void **)&state->blocks));
    state->room = room;
  }
  block_t *block = &state->blocks[state->count];
  snprintf(block->name, sizeof block->name, "%s", name);
  block->type = type;
  block->count = count;
  BM_TRY(bm_alloc(count, types[type].bytes, &block->values));
  state->count++;
  *out = block;
  return BM_OK;
}

static bm_status_t put(bm_state_t *state, const char *name, type_t type, size_t count,
                       const void *values)
{
  block_t *block;
  BM_TRY(add_block(state, name, type, count, &block));
  if (count > 0) {
    memcpy(block->values, values, count * types[type].bytes);
  }
  return BM_OK;
}

bm_status_t bm_state_put_reals(bm_state_t *state, const char *name, size_t count,
                               const bm_real_t *values)
{
  return put(state, name, TYPE_REAL, count, values);
}

bm_status_t bm_state_put_doubles(bm_state_t *state, const char *name, size_t count,
                                 const double *values)
{
  return put(state, name, TYPE_F64, count, values);
}

bm_status_t bm_state_put_ints(bm_state_t *state, const char *name, size_t count,
                              const int64_t *values)
{
  return put(state, name, TYPE_I64, count, values);
}

bm_status_t bm_state_put_string(bm_state_t *state, const char *name, const char *text)
{
  return put(state, name, TYPE_TEXT, strlen(text) + 1, text);
}

bm_status_t bm_state_copy(const bm_state_t *state, const char *prefix, bm_state_t *to)
{
  for (size_t i = 0; i < state->count; i++) {
    const block_t *block = &state->blocks[i];
    if (strncmp(block->name, prefix, strlen(prefix)) == 0) {
      BM_TRY(put(to, block->name, block->type, block->count, block->values));
    }
  }
  return BM_OK;
}

static bm_status_t find_checked(const bm_state_t *state, const char *name, size_t count,
                                const block_t **out)
{
  const char *source = state->source != NULL ? state->source : "state";
  *out = find(state, name);
  if (*out == NULL) {
    return BM_FAIL(BM_ERR_DATA, "%s: block '%s' is missing", source, name);
  }
  if ((*out)->count != count) {
    return BM_FAIL(BM_ERR_DATA, "%s: block '%s' has %zu values where %zu are needed", source, name,
                   (*out)->count, count);
  }
  return BM_OK;
}

static bm_status_t wrong_type(const bm_state_t *state, const block_t *block)
{
  return BM_FAIL(BM_ERR_DATA, "%s: block '%s' has type %s",
                 state->source != NULL ? state->source : "state", block->name,
                 types[block->type].name);
}

bm_status_t bm_state_get_reals(const bm_state_t *state, const char *name, size_t count,
                               bm_real_t *values)
{
  const block_t *block;
  BM_TRY(find_checked(state, name, count, &block));
  if (block->type != TYPE_F32 && block->type != TYPE_F64) {
    return wrong_type(state, block);
  }
  for (size_t i = 0; i < count; i++) {
    values[i] = block->type == TYPE_F32 ? (bm_real_t)((const float *)block->values)[i]
                                        : (bm_real_t)((const double *)block->values)[i];
  }
  return BM_OK;
}

bm_status_t bm_state_get_doubles(const bm_state_t *state, const char *name, size_t count,
                                 double *values)
{
  const block_t *block;
  BM_TRY(find_checked(state, name, count, &block));
  if (block->type != TYPE_F32 && block->type != TYPE_F64) {
    return wrong_type(state, block);
  }
  for (size_t i = 0; i < count; i++) {
    values[i] = block->type == TYPE_F32 ? (double)((const float *)block->values)[i]
                                        : ((const double *)block->values)[i];
  }
  return BM_OK;
}

bm_status_t bm_state_get_ints(const bm_state_t *state, const char *name, size_t count,
                              int64_t *values)
{
  const block_t *block;
  BM_TRY(find_checked(state, name, count, &block));
  if (block->type != TYPE_I64) {
    return wrong_type(state, block);
  }
  memcpy(values, block->values, count * sizeof *values);
  return BM_OK;
}

bm_status_t bm_state_get_string(const bm_state_t *state, const char *name, const char **text)
{
  const block_t *block = find(state, name);
  if (block == NULL) {
    return BM_FAIL(BM_ERR_DATA, "%s: block '%s' is missing",
                   state->source != NULL ? state->source : "state", name);
  }
  if (block->type != TYPE_TEXT || block->count == 0 ||
      ((const char *)block->values)[block->count - 1] != '\0') {
    return wrong_type(state, block);
  }
  *text = block->values;
  return BM_OK;
}

size_t bm_state_count(const bm_state_t *state, const char *name)
{
  const block_t *block = find(state, name);
  return block == NULL ? 0 : block->count;
}

size_t bm_state_block_count(const bm_state_t *state)
{
  return state->count;
}

const char *bm_state_block_name(const bm_state_t *state, size_t index)
{
  return state->blocks[index].name;
}

const char *bm_state_block_type(const bm_state_t *state, size_t index)
{
  return types[state->blocks[index].type].name;
}

const char *bm_state_kind(const bm_state_t *state)
{
  return state->kind;
}

/* HDF5 types on disk (little endian) and in memory. */
static hid_t disk_type(type_t type)
{
  switch (type) {
  case TYPE_F32:
    return H5T_IEEE_F32LE;
  case TYPE_F64:
    return H5T_IEEE_F64LE;
  case TYPE_I64:
    return H5T_STD_I64LE;
  case TYPE_TEXT:
    break;
  }
  return H5T_STD_U8LE;
}

static hid_t memory_type(type_t type)
{
  switch (type) {
  case TYPE_F32:
    return H5T_NATIVE_FLOAT;
  case TYPE_F64:
    return H5T_NATIVE_DOUBLE;
  case TYPE_I64:
    return H5T_NATIVE_INT64;
  case TYPE_TEXT:
    break;
  }
  return H5T_NATIVE_UINT8;
}

static bm_status_t write_block(hid_t file, const char *path, const block_t *block)
{
  hsize_t size = block->count;
  hid_t space = H5Screate_simple(1, &size, NULL);
  hid_t links = H5Pcreate(H5P_LINK_CREATE);
  hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  /* equal states are equal files, whenever written: no times */
  int ready = space >= 0 && links >= 0 && properties >= 0 &&
              H5Pset_create_intermediate_group(links, 1) >= 0 &&
              H5Pset_obj_track_times(properties, 0) >= 0;
  hid_t dataset = !ready ? -1
                         : H5Dcreate2(file, block->name, disk_type(block->type), space, links,
                                      properties, H5P_DEFAULT);
  herr_t result = dataset < 0 ? -1
                              : H5Dwrite(dataset, memory_type(block->type), H5S_ALL, H5S_ALL,
                                         H5P_DEFAULT, block->values);
  bm_status_t status = bm_hdf5_status(result, path, "write a block");
  if (status == BM_OK && block->type == TYPE_TEXT) {
    status = bm_hdf5_write_string(dataset, path, "kind", "text");
  }
  if (dataset >= 0) {
    H5Dclose(dataset);
  }
  if (properties >= 0) {
    H5Pclose(properties);
  }
  if (links >= 0) {
    H5Pclose(links);
  }
  if (space >= 0) {
    H5Sclose(space);
  }
  return status;
}

static bm_status_t write_blocks(const bm_state_t *state, hid_t file, const char *path)
{
  const int version = BM_STATE_VERSION;
  BM_TRY(bm_hdf5_write_string(file, path, "kind", state->kind));
  BM_TRY(bm_hdf5_write_ints(file, path, "state_version", 1, &version));
  BM_TRY(bm_hdf5_write_string(file, path, "program", "boltzmap"));
  BM_TRY(bm_hdf5_write_string(file, path, "program_version", bm_version()));
  BM_TRY(bm_hdf5_write_string(file, path, "program_revision", bm_revision()));
  for (size_t i = 0; i < state->count; i++) {
    BM_TRY(write_block(file, path, &state->blocks[i]));
  }
  return BM_OK;
}

static bm_status_t create_in_memory(const char *path, hid_t *file)
{
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  hid_t creation = H5Pcreate(H5P_FILE_CREATE);
  int ready = access >= 0 && creation >= 0 && H5Pset_fapl_core(access, BM_IMAGE_GROWTH, 0) >= 0 &&
              H5Pset_userblock(creation, BM_SEAL_BYTES) >= 0;
  *file = ready ? H5Fcreate(path, H5F_ACC_TRUNC, creation, access) : -1;
  bm_status_t status = bm_hdf5_status(*file, path, "create this file");
  if (creation >= 0) {
    H5Pclose(creation);
  }
  if (access >= 0) {
    H5Pclose(access);
  }
  return status;
}

/* The bytes of the file. HDF5 makes them in memory, since it cannot close a file that a full disk did
 * not take. Owned by the caller. */
static bm_status_t make_image(const bm_state_t *state, const char *path, char **image,
                              size_t *bytes)
{
  hid_t file = -1;
  BM_TRY(create_in_memory(path, &file));
  bm_status_t status = write_blocks(state, file, path);
  if (status == BM_OK) {
    status = bm_hdf5_status(H5Fflush(file, H5F_SCOPE_GLOBAL), path, "flush");
  }
  ssize_t size = H5Fget_file_image(file, NULL, 0);
  if (status == BM_OK) {
    status = bm_hdf5_status(size, path, "get the image");
  }
  if (status == BM_OK) {
    *bytes = BM_SEAL_BYTES + (size_t)size; /* HDF5 leaves the user block out */
    status = BM_ALLOC(*bytes, image);
  }
  if (status == BM_OK) {
    status = bm_hdf5_status(H5Fget_file_image(file, *image + BM_SEAL_BYTES, (size_t)size), path,
                            "get the image");
  }
  bm_hdf5_close_file(file, path);
  return status;
}

bm_status_t bm_state_write(const bm_state_t *state, const char *path)
{
  char *image = NULL;
  size_t bytes = 0;
  bm_status_t status = make_image(state, path, &image, &bytes);
  if (status == BM_OK) {
    bm_file_seal_bytes(image, bytes);
    status = bm_file_write(path, image, bytes);
  }
  bm_free(image);
  return status;
}

static bm_status_t type_of(hid_t dataset, const char *path, const char *name, type_t *type)
{
  hid_t stored = H5Dget_type(dataset);
  BM_TRY(bm_hdf5_status(stored, path, "get the type of a block"));
  H5T_class_t class = H5Tget_class(stored);
  size_t bytes = H5Tget_size(stored);
  H5Tclose(stored);
  if (class == H5T_FLOAT && (bytes == 4 || bytes == 8)) {
    *type = bytes == 4 ? TYPE_F32 : TYPE_F64;
  } else if (class == H5T_INTEGER && bytes == 8) {
    *type = TYPE_I64;
  } else if (class == H5T_INTEGER && bytes == 1) {
    *type = TYPE_TEXT;
  } else {
    return BM_FAIL(BM_ERR_DATA, "%s: block '%s' has an unknown type", path, name);
  }
  return BM_OK;
}

/* What the walk over a file's objects carries. */
typedef struct {
  bm_state_t *state;
  const char *path;
  hsize_t bytes; /* of the file */
  bm_status_t status;
} walk_t;

static bm_status_t read_block(const walk_t *walk, hid_t dataset, const char *name)
{
  const char *path = walk->path;
  type_t type = TYPE_TEXT;
  BM_TRY(type_of(dataset, path, name, &type));
  hid_t space = H5Dget_space(dataset);
  BM_TRY(bm_hdf5_status(space, path, "get the size of a block"));
  hssize_t count = H5Sget_simple_extent_npoints(space);
  H5Sclose(space);
  BM_TRY(bm_hdf5_status(count, path, "get the size of a block"));
  if (!is_new_name(walk->state, name)) {
    return BM_FAIL(BM_ERR_DATA, "%s: damaged: block '%s' has too long a name or is there twice",
                   path, name);
  }
  if ((hsize_t)count > walk->bytes / types[type].bytes) {
    return BM_FAIL(BM_ERR_DATA, "%s: damaged: block '%s' is larger than the file", path, name);
  }
  block_t *block;
  BM_TRY(add_block(walk->state, name, type, (size_t)count, &block));
  return bm_hdf5_status(
      H5Dread(dataset, memory_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, block->values), path,
      "read a block");
}

static herr_t visit(hid_t root, const char *name, const H5O_info_t *info, void *data)
{
  walk_t *walk = data;
  if (info->type != H5O_TYPE_DATASET) {
    return 0;
  }
  hid_t dataset = H5Dopen2(root, name, H5P_DEFAULT);
  walk->status = dataset < 0 ? bm_hdf5_status(dataset, walk->path, "open a block")
                             : read_block(walk, dataset, name);
  if (dataset >= 0) {
    H5Dclose(dataset);
  }
  return walk->status == BM_OK ? 0 : -1;
}

static bm_status_t read_blocks(hid_t file, const char *path, const char *kind, bm_state_t **out)
{
  char *stored = NULL;
  long long version = -1;
  int exists;
  BM_TRY(bm_hdf5_exists(H5Aexists(file, "kind"), path, &exists));
  BM_TRY(bm_hdf5_read_int(file, path, "state_version", &version));
  if (!exists) {
    return BM_FAIL(BM_ERR_DATA, "%s: is not a %s", path, kind != NULL ? kind : "state container");
  }
  BM_TRY(bm_hdf5_read_string(file, path, "kind", &stored));
  bm_status_t status = BM_OK;
  if (kind != NULL && strcmp(stored, kind) != 0) {
    status = BM_FAIL(BM_ERR_DATA, "%s: is a %s, not a %s", path, stored, kind);
  } else if (version != BM_STATE_VERSION) {
    status = BM_FAIL(BM_ERR_DATA, "%s: has state version %lld; this program reads version %d", path,
                     version, BM_STATE_VERSION);
  } else {
    status = bm_state_create(stored, out);
  }
  bm_free(stored);
  BM_TRY(status);
  BM_TRY(bm_string_copy(path, &(*out)->source));
  walk_t walk = {*out, path, 0, BM_OK};
  BM_TRY(bm_hdf5_status(H5Fget_filesize(file, &walk.bytes), path, "get the size"));
  herr_t result = H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, visit, &walk);
  return walk.status != BM_OK ? walk.status : bm_hdf5_status(result, path, "list the blocks");
}

int bm_state_recognise(const char *path)
{
  bm_seal_t seal;
  if (bm_file_check_seal(path, &seal) != BM_OK || seal != BM_SEAL_GOOD) {
    return 0;
  }
  hid_t file = bm_hdf5_open_file(path);
  int found = file >= 0 && H5Aexists(file, "state_version") > 0;
  bm_hdf5_close_file(file, path);
  return found;
}

static bm_status_t read_whole(const char *path, const char *kind, bm_state_t **out)
{
  *out = NULL;
  bm_seal_t seal;
  BM_TRY(bm_file_check_seal(path, &seal));
  if (seal == BM_SEAL_NONE) {
    return BM_FAIL(BM_ERR_DATA, "%s: not a file of boltzmap's (no seal)", path);
  }
  if (seal == BM_SEAL_BROKEN) {
    return BM_FAIL(BM_ERR_DATA, "%s: damaged: its checksum does not match its content", path);
  }
  hid_t file = bm_hdf5_open_file(path);
  BM_TRY(bm_hdf5_status(file, path, "open as HDF5"));
  bm_status_t status = read_blocks(file, path, kind, out);
  bm_hdf5_close_file(file, path);
  if (status != BM_OK) {
    bm_state_destroy(out);
  }
  return status;
}

bm_status_t bm_state_read(const char *path, const char *kind, bm_state_t **out)
{
  bm_watch_t watch;
  bm_watch_start(&watch, "read", path);
  bm_status_t status = read_whole(path, kind, out);
  bm_watch_end(&watch);
  return status;
}

/* Send one block; the others make room for it. */
static bm_status_t broadcast_block(const bm_context_t *context, bm_state_t *state, size_t index)
{
  const int is_root = bm_context_is_root(context);
  block_t head = {"", TYPE_F32, 0, NULL};
  if (is_root) {
    head = state->blocks[index];
  }
  BM_TRY(bm_broadcast(context, &head, sizeof head));
  block_t *block = NULL;
  bm_status_t status = BM_OK;
  if (is_root) {
    block = &state->blocks[index];
  } else {
    status = add_block(state, head.name, head.type, head.count, &block);
  }
  BM_TRY_AGREE(context, status);
  return bm_broadcast(context, block->values, block->count * types[block->type].bytes);
}

bm_status_t bm_state_read_all(const bm_context_t *context, const char *path, const char *kind,
                              bm_state_t **out)
{
  *out = NULL;
  const int is_root = bm_context_is_root(context);
  bm_status_t status = BM_OK;
  if (is_root) {
    status = bm_state_read(path, kind, out);
  }
  BM_TRY_AGREE(context, status);
  char stored[sizeof(*out)->kind] = "";
  uint64_t count = 0;
  if (is_root) {
    memcpy(stored, (*out)->kind, sizeof stored);
    count = (*out)->count;
  }
  status = bm_broadcast(context, stored, sizeof stored);
  if (status == BM_OK && !is_root) {
    status = bm_state_create(stored, out);
    if (status == BM_OK) {
      status = bm_string_copy(path, &(*out)->source);
    }
  }
  status = bm_agree(context, status);
  if (status == BM_OK) {
    status = bm_broadcast(context, &count, sizeof count);
  }
  for (size_t i = 0; status == BM_OK && i < count; i++) {
    status = broadcast_block(context, *out, i);
  }
  if (status != BM_OK) {
    bm_state_destroy(out);
  }
  return status;
}
