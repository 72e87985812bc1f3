/* The cost model in its limits: one rank, networks without cost, ranks without shards, shared cores. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boltzmap/train/cost_model.h"

#define MOST 4096

static const bm_interconnect_t free_network = {"free", 0.0, 1e30, ""};
static const bm_interconnect_t slow_network = {"slow", 1e-4, 1e8, ""};

static const bm_machine_t machine = {.node_s = 1e-4,
                                     .shard_s = 2e-5,
                                     .row_s = 4e-5,
                                     .map_row_s = 1e-5,
                                     .adam_item_s = 5e-10,
                                     .add_item_s = 2e-10,
                                     .cores = 64};

static const bm_load_t load = {.parameters = 1e6,
                               .batch = 256,
                               .shards = 8,
                               .steps = 1000,
                               .validation_rows = 1280,
                               .rows_bytes = 1e6,
                               .checkpoint_every_s = 1e9};

/* Nothing but the arithmetic of gradients costs. */
static const bm_machine_t only_arithmetic = {.node_s = 1e-4, .shard_s = 2e-5, .row_s = 4e-5};

static bm_cost_t cost_on(const bm_interconnect_t *network, int cores, int ranks)
{
  const bm_cluster_t cluster = {network, cores};
  return bm_cost_of_training(&machine, &cluster, &load, ranks);
}

static int is_near(double a, double b)
{
  return fabs(a - b) <= 1e-12 * fabs(b);
}

static void one_rank_computes_and_steps_the_parameters(void **state)
{
  (void)state;
  const bm_cost_t cost = cost_on(bm_interconnect_table, 64, 1);
  assert_true(is_near(cost.compute_s, 1e-4 + 8 * 2e-5 + 256 * 4e-5));
  assert_true(is_near(cost.optimiser_s, 1e6 * 5e-10));
  assert_true(cost.latency_s == 0.0 && cost.bandwidth_s == 0.0);
  assert_int_equal(cost.nodes, 1);
  assert_true(
      is_near(cost.step_s, cost.compute_s + cost.memory_s + cost.optimiser_s + cost.checkpoint_s));
  assert_true(is_near(cost.training_s, 1000 * cost.step_s + 1280 * 1e-5));
}

static void without_any_communication_shards_divide_the_time(void **state)
{
  (void)state;
  const bm_cluster_t cluster = {&free_network, 4};
  const double one = bm_cost_of_training(&only_arithmetic, &cluster, &load, 1).compute_s;
  for (int ranks = 1; ranks <= 8; ranks *= 2) {
    const bm_cost_t cost = bm_cost_of_training(&only_arithmetic, &cluster, &load, ranks);
    const double shards = 8.0 / ranks;
    assert_true(is_near(cost.compute_s, 1e-4 + shards * (2e-5 + 32 * 4e-5)));
    assert_true(one / cost.compute_s <= ranks);
  }
}

static void uneven_shards_wait_for_the_rank_that_has_most(void **state)
{
  (void)state;
  const bm_cost_t three =
      cost_on(&free_network, 64, 3); /* 3, 3 and 2 shards, in 2, 3 and 1 nodes */
  const bm_cost_t four = cost_on(&free_network, 64, 4);
  const bm_cost_t five =
      cost_on(&free_network, 64, 5); /* 2 shards on three of them, astride nodes */
  assert_true(three.compute_s > 3 * (2e-5 + 32 * 4e-5));
  assert_true(four.compute_s < three.compute_s);
  assert_true(five.compute_s >= four.compute_s);
}

static void ranks_beyond_the_shards_are_idle(void **state)
{
  (void)state;
  const bm_cost_t eight = cost_on(&free_network, 64, 8);
  const bm_cost_t many = cost_on(&free_network, 64, MOST);
  assert_int_equal(eight.busy, 8);
  assert_int_equal(many.busy, 8);
  assert_true(is_near(many.compute_s, eight.compute_s));
}

static void a_fast_order_has_a_shard_for_each_rank(void **state)
{
  (void)state;
  const bm_cluster_t cluster = {&free_network, 64};
  bm_load_t fast = load;
  fast.fast = 1;
  const bm_cost_t cost = bm_cost_of_training(&machine, &cluster, &fast, 64);
  assert_int_equal(cost.busy, 64);
  assert_true(is_near(cost.compute_s, 1e-4 + 2e-5 + 4 * 4e-5));
}

static void more_ranks_need_no_more_memory_each(void **state)
{
  (void)state;
  double before = INFINITY;
  for (int ranks = 1; ranks <= MOST; ranks *= 2) {
    const double bytes = cost_on(&slow_network, 16, ranks).rank_bytes;
    assert_true(bytes <= before && bytes > 4.0 * load.parameters);
    before = bytes;
  }
}

static void ranks_beyond_the_cores_of_the_only_node_share_them(void **state)
{
  (void)state;
  const bm_cost_t two = cost_on(bm_interconnect_table, 2, 2);
  const bm_cost_t four = cost_on(bm_interconnect_table, 2, 4);
  const bm_cost_t on_four = cost_on(bm_interconnect_table, 4, 4);
  assert_int_equal(four.nodes, 1);
  /* each core does the arithmetic of two ranks, with one node of the tree for each */
  assert_true(is_near(four.compute_s, two.compute_s + 1e-4));
  assert_true(is_near(four.compute_s, 2.0 * on_four.compute_s));
  assert_true(is_near(four.optimiser_s, two.optimiser_s));
  assert_true(four.step_s > two.step_s && four.latency_s > two.latency_s);
}

static void ranks_beyond_the_cores_of_a_node_go_to_the_next(void **state)
{
  (void)state;
  const bm_cost_t cost = cost_on(&slow_network, 2, 4);
  assert_int_equal(cost.nodes, 2);
  assert_true(is_near(cost.compute_s, cost_on(bm_interconnect_table, 4, 4).compute_s));
  assert_true(cost.latency_s > 0.0 && cost.bandwidth_s > 0.0);
  assert_true(cost.step_s > cost_on(&free_network, 2, 4).step_s);
}

static void bytes_between_nodes_pass_their_network_once(void **state)
{
  (void)state;
  /* two ranks on two nodes: each sends half of its gradient and half of the parameters */
  const bm_cost_t cost = cost_on(&slow_network, 1, 2);
  assert_true(is_near(cost.bandwidth_s, sizeof(bm_real_t) * 1e6 / 1e8));
}

static void checkpoints_cost_what_their_interval_leaves(void **state)
{
  (void)state;
  const bm_cluster_t cluster = {bm_interconnect_table, 64};
  bm_load_t often = load;
  often.checkpoint_every_s = 0.0; /* after each step */
  const bm_cost_t each = bm_cost_of_training(&machine, &cluster, &often, 1);
  often.checkpoint_every_s = 100.0 * (each.step_s - each.checkpoint_s);
  const bm_cost_t hundredth = bm_cost_of_training(&machine, &cluster, &often, 1);
  assert_true(each.checkpoint_s > 0.0);
  assert_true(is_near(100.0 * hundredth.checkpoint_s, each.checkpoint_s));
}

static void a_minibatch_for_each_rank_keeps_its_arithmetic(void **state)
{
  (void)state;
  const bm_cluster_t cluster = {&free_network, 16};
  for (int ranks = 1; ranks <= MOST; ranks *= 4) {
    const bm_load_t weak = bm_cost_weak_load(&load, ranks);
    const bm_cost_t cost = bm_cost_of_training(&machine, &cluster, &weak, ranks);
    assert_int_equal(cost.busy, ranks);
    assert_true(is_near(cost.compute_s, 1e-4 + 2e-5 + 256 * 4e-5));
  }
}

static void generation_divides_whole_chunks(void **state)
{
  (void)state;
  const bm_cluster_t cluster = {&free_network, 16};
  const double one = bm_cost_of_generation(&machine, &cluster, 1280.0, 0.0, 1);
  assert_true(is_near(one, 1280 * 1e-5));
  assert_true(is_near(bm_cost_of_generation(&machine, &cluster, 1280.0, 0.0, 10), one / 10));
  assert_true(is_near(bm_cost_of_generation(&machine, &cluster, 1280.0, 0.0, MOST), one / 10));
  assert_true(bm_cost_of_generation(&machine, &cluster, 1280.0, 1e9, 10) > 1.0);
}

static void networks_are_found_by_name(void **state)
{
  (void)state;
  const bm_interconnect_t *found = NULL;
  for (const bm_interconnect_t *row = bm_interconnect_table; row->name != NULL; row++) {
    assert_int_equal(bm_interconnect_find(row->name, &found), BM_OK);
    assert_ptr_equal(found, row);
    assert_true(row->bandwidth_bytes_per_s > 1e8 && row->latency_s < 1e-3);
  }
  assert_int_equal(bm_interconnect_find("infiniband-hrd", &found), BM_ERR_USAGE);
  assert_non_null(strstr(bm_status_message(), "did you mean infiniband-hdr?"));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_rank_computes_and_steps_the_parameters),
      cmocka_unit_test(without_any_communication_shards_divide_the_time),
      cmocka_unit_test(uneven_shards_wait_for_the_rank_that_has_most),
      cmocka_unit_test(ranks_beyond_the_shards_are_idle),
      cmocka_unit_test(a_fast_order_has_a_shard_for_each_rank),
      cmocka_unit_test(more_ranks_need_no_more_memory_each),
      cmocka_unit_test(ranks_beyond_the_cores_of_the_only_node_share_them),
      cmocka_unit_test(ranks_beyond_the_cores_of_a_node_go_to_the_next),
      cmocka_unit_test(bytes_between_nodes_pass_their_network_once),
      cmocka_unit_test(checkpoints_cost_what_their_interval_leaves),
      cmocka_unit_test(a_minibatch_for_each_rank_keeps_its_arithmetic),
      cmocka_unit_test(generation_divides_whole_chunks),
      cmocka_unit_test(networks_are_found_by_name),
  };
  return cmocka_run_group_tests_name("cost model", tests, NULL, NULL);
}
