#include "boltzmap/flow/network.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const char *const bm_activation_names[] = {"relu", "tanh", NULL};

bm_status_t bm_activation_find(const char *name, bm_activation_t *activation)
{
  for (int i = 0; bm_activation_names[i] != NULL; i++) {
    if (strcmp(bm_activation_names[i], name) == 0) {
      *activation = (bm_activation_t)i;
      return BM_OK;
    }
  }
  return BM_FAIL(BM_ERR_DATA, "no activation '%s' is known", name);
}

size_t bm_network_width_in(const bm_network_shape_t *shape, size_t l)
{
  return l == 0 ? shape->in : shape->hidden[l - 1];
}

size_t bm_network_width_out(const bm_network_shape_t *shape, size_t l)
{
  return l == shape->hidden_count ? shape->out : shape->hidden[l];
}

size_t bm_dense_parameter_count(size_t in, size_t out)
{
  return in * out + out;
}

size_t bm_network_parameter_count(const bm_network_shape_t *shape)
{
  size_t count = 0;
  for (size_t l = 0; l <= shape->hidden_count; l++) {
    count +=
        bm_dense_parameter_count(bm_network_width_in(shape, l), bm_network_width_out(shape, l));
  }
  return count;
}

bm_dense_t bm_network_layer(const bm_network_shape_t *shape, size_t l, const bm_real_t *parameters)
{
  const size_t in = bm_network_width_in(shape, l);
  const size_t out = bm_network_width_out(shape, l);
  return (bm_dense_t){in, out, parameters, parameters + in * out};
}

const bm_network_ops_t *const bm_network_table[] = {
#define BM_NETWORK_ROW(row, name) &bm_network_##row,
    BM_NETWORK_TABLE(BM_NETWORK_ROW)
#undef BM_NETWORK_ROW
        NULL,
};

const char *const bm_network_names[] = {
    "auto",
#define BM_NETWORK_ROW(row, name) name,
    BM_NETWORK_TABLE(BM_NETWORK_ROW)
#undef BM_NETWORK_ROW
        NULL,
};

const bm_network_ops_t *bm_network_find(const char *name)
{
  for (size_t i = 0; bm_network_table[i] != NULL; i++) {
    if (strcmp(bm_network_table[i]->name, name) == 0) {
      return bm_network_table[i];
    }
  }
  return NULL;
}

const char *bm_network_kernels(void)
{
  static char text[200];
  size_t length = (size_t)snprintf(text, sizeof text, "%s", BM_REAL_NAME);
  for (size_t i = 0; bm_network_table[i] != NULL && length < sizeof text; i++) {
    length +=
        (size_t)snprintf(text + length, sizeof text - length, "%s %s (%s)", i == 0 ? ":" : ",",
                         bm_network_table[i]->name, bm_network_table[i]->kernel());
  }
  return text;
}

const bm_network_ops_t *bm_network_choose(const bm_network_shape_t *shape)
{
  const bm_network_ops_t *const *row = bm_network_table;
  while (!(*row)->suits(shape)) {
    row++;
    assert(*row != NULL);
  }
  return *row;
}
