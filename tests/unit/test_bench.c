/* What a bench counts, and how it brings a routing about, without a device. */
#include "bench/routing.h"
#include "bench/work.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The paper's layer. */
static gqe_layer_config paper_config(gqe_attention attention)
{
	return (gqe_layer_config){
		.hidden_size = 1024,
		.heads = 16,
		.kv_heads = 8,
		.head_dim = 64,
		.attention = attention,
		.rope = GQE_ROPE_HALF,
		.rope_theta = 10000,
		.top_k = 1,
		.shared_head = true,
		.shared_kv = GQE_SHARED_KV_GROUP,
		.weighted_sum_slot = true,
		.slot_order = GQE_SLOT_ORDER_RANK,
	};
}

static double layer_flop(gqe_attention attention, uint32_t tokens, uint32_t position, double flop[GQE_LAYER_STEP_COUNT])
{
	const gqe_layer_config config = paper_config(attention);
	double sum = 0;
	gqe_layer_flop(&config, tokens, position, flop);
	for (int step = 0; step < GQE_LAYER_STEP_COUNT; step++)
		sum += flop[step];
	return sum;
}

static void test_the_arithmetic_bounds(void **state)
{
	(void)state;
	static const struct {
		uint32_t tokens;
		double bound;
	} bounds[] = {{2048, 1.50}, {4096, 1.57}, {8192, 1.64}, {16384, 1.70}, {65536, 1.75}, {1048576, 1.78}};
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		double gqe[GQE_LAYER_STEP_COUNT], gqa[GQE_LAYER_STEP_COUNT];
		const double layer = layer_flop(GQE_ATTENTION_GQA, bounds[i].tokens, 0, gqa) /
				     layer_flop(GQE_ATTENTION_GQE, bounds[i].tokens, 0, gqe);
		assert_true(fabs(layer - bounds[i].bound) < 0.0051);
		assert_true(fabs(gqa[GQE_LAYER_STEP_ATTENTION] / gqe[GQE_LAYER_STEP_ATTENTION] - 16.0 / 9) < 1e-12);
	}
}

static void test_attention_counts_causal_pairs(void **state)
{
	(void)state;
	double all[GQE_LAYER_STEP_COUNT], first[GQE_LAYER_STEP_COUNT], last[GQE_LAYER_STEP_COUNT];
	layer_flop(GQE_ATTENTION_GQA, 3, 0, all);
	assert_true(all[GQE_LAYER_STEP_ATTENTION] == 4.0 * 64 * 16 * (1 + 2 + 3));
	assert_true(all[GQE_LAYER_STEP_O_PROJ] == 2.0 * 3 * 1024 * 1024);
	assert_true(all[GQE_LAYER_STEP_ROUTER] == 0);
	layer_flop(GQE_ATTENTION_GQE, 1000, 0, all);
	layer_flop(GQE_ATTENTION_GQE, 700, 0, first);
	layer_flop(GQE_ATTENTION_GQE, 300, 700, last);
	for (int step = 0; step < GQE_LAYER_STEP_COUNT; step++)
		assert_true(all[step] == first[step] + last[step]);
	const gqe_layer_config gqe = paper_config(GQE_ATTENTION_GQE), gqa = paper_config(GQE_ATTENTION_GQA);
	assert_true(gqe_projection_flop(&gqa, 4096) == 2.0 * 4096 * 1024 * 1024);
	assert_true(gqe_projection_flop(&gqe, 4096) == 4096.0 * 1024 * 1024);
}

/* d = 24, 12 experts in 3 groups, k = 2. */
static gqe_layer_config routing_config(gqe_slot_order slot_order)
{
	gqe_layer_config config = paper_config(GQE_ATTENTION_GQE);
	config.hidden_size = 24;
	config.heads = 12;
	config.kv_heads = 3;
	config.top_k = 2;
	config.slot_order = slot_order;
	return config;
}

enum { TOKENS = 40, GROUPS = 3, PER_GROUP = 4, K = 2 };

static void test_uniform_routing_is_balanced(void **state)
{
	(void)state;
	const gqe_layer_config config = routing_config(GQE_SLOT_ORDER_RANK);
	struct gqe_random random = gqe_random_seed(1, 1);
	int32_t experts[TOKENS * GROUPS * K], again[TOKENS * GROUPS * K];
	gqe_bench_choose_experts(&config, GQE_BENCH_UNIFORM, NULL, &random, TOKENS, experts);
	assert_int_equal(gqe_bench_check_experts(&config, experts, TOKENS, NULL), GQE_OK);
	for (int block = 0; block < TOKENS; block += PER_GROUP)
		for (int group = 0; group < GROUPS; group++) {
			int count[PER_GROUP] = {0};
			for (int token = block; token < block + PER_GROUP; token++)
				for (int rank = 0; rank < K; rank++)
					count[experts[(token * GROUPS + group) * K + rank]]++;
			for (int expert = 0; expert < PER_GROUP; expert++)
				assert_int_equal(count[expert], K);
		}
	gqe_bench_choose_experts(&config, GQE_BENCH_UNIFORM, NULL, &random, TOKENS, again);
	assert_memory_not_equal(experts, again, sizeof(experts));
}

static void test_skewed_routing_takes_the_first_experts(void **state)
{
	(void)state;
	const gqe_layer_config config = routing_config(GQE_SLOT_ORDER_RANK);
	int32_t experts[TOKENS * GROUPS * K];
	gqe_bench_choose_experts(&config, GQE_BENCH_SKEWED, NULL, NULL, TOKENS, experts);
	for (int i = 0; i < TOKENS * GROUPS * K; i++)
		assert_int_equal(experts[i], i % K);
}

static void test_a_given_routing_is_checked(void **state)
{
	(void)state;
	const gqe_layer_config config = routing_config(GQE_SLOT_ORDER_RANK);
	static const int32_t bad[][2] = {{0, 0}, {1, 4}, {-1, 2}, {INT32_MIN, INT32_MAX}};
	int32_t experts[TOKENS * GROUPS * K];
	gqe_error error;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		gqe_bench_choose_experts(&config, GQE_BENCH_SKEWED, NULL, NULL, TOKENS, experts);
		memcpy(experts + (5 * GROUPS + 1) * K, bad[i], sizeof(bad[i]));
		assert_int_equal(gqe_bench_check_experts(&config, experts, TOKENS, &error), GQE_ERROR_BAD_INPUT);
		assert_non_null(strstr(error.message, "token 5, group 1"));
		assert_int_equal(gqe_bench_check_experts(&config, experts, 5, &error), GQE_OK);
	}
}

/* The k largest logits of each group, by a plain search: what the router's weights make of the code. */
static void test_the_code_gives_the_routing(void **state)
{
	(void)state;
	const gqe_layer_config config = routing_config(GQE_SLOT_ORDER_RANK);
	struct gqe_random random = gqe_random_seed(2, 1);
	int32_t experts[TOKENS * GROUPS * K], routed[TOKENS * GROUPS * K];
	float x[TOKENS * 24], weights[12 * 24];
	for (int i = 0; i < TOKENS * 24; i++)
		x[i] = gqe_random_normal(&random) * 100;
	gqe_bench_choose_experts(&config, GQE_BENCH_UNIFORM, NULL, &random, TOKENS, experts);
	gqe_bench_encode_experts(&config, experts, TOKENS, x);
	gqe_bench_fill_router(&config, weights);
	for (int token = 0; token < TOKENS; token++)
		for (int group = 0; group < GROUPS; group++) {
			float logits[PER_GROUP] = {0};
			for (int expert = 0; expert < PER_GROUP; expert++)
				for (int i = 0; i < 24; i++)
					logits[expert] += x[token * 24 + i] * weights[(group * PER_GROUP + expert) * 24 + i];
			for (int rank = 0; rank < K; rank++) {
				int best = 0;
				for (int expert = 1; expert < PER_GROUP; expert++)
					if (logits[expert] > logits[best])
						best = expert;
				routed[(token * GROUPS + group) * K + rank] = best;
				logits[best] = -INFINITY;
			}
		}
	assert_memory_equal(routed, experts, sizeof(experts));
	assert_int_equal(gqe_bench_compare_experts(&config, experts, routed, TOKENS, NULL), GQE_OK);
	gqe_error error;
	routed[(7 * GROUPS + 2) * K] ^= 1;
	assert_int_equal(gqe_bench_compare_experts(&config, experts, routed, TOKENS, &error), GQE_ERROR_VERIFICATION);
	assert_non_null(strstr(error.message, "token 7, group 2, slot 0"));
}

static void test_slots_by_expert_are_compared_in_order(void **state)
{
	(void)state;
	const gqe_layer_config config = routing_config(GQE_SLOT_ORDER_EXPERT);
	int32_t asked[GROUPS * K] = {3, 1, 0, 2, 2, 1}, routed[GROUPS * K] = {1, 3, 0, 2, 1, 2};
	assert_int_equal(gqe_bench_compare_experts(&config, asked, routed, 1, NULL), GQE_OK);
	assert_int_equal(gqe_bench_compare_experts(&config, asked, asked, 1, NULL), GQE_ERROR_VERIFICATION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_arithmetic_bounds),
		cmocka_unit_test(test_attention_counts_causal_pairs),
		cmocka_unit_test(test_uniform_routing_is_balanced),
		cmocka_unit_test(test_skewed_routing_takes_the_first_experts),
		cmocka_unit_test(test_a_given_routing_is_checked),
		cmocka_unit_test(test_the_code_gives_the_routing),
		cmocka_unit_test(test_slots_by_expert_are_compared_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
