/* gqe_bench: samples of every kind, routing, what is refused. How long anything takes decides nothing. */
#include "support/layer_fixture.h"

#include <gqe/gqe_bench.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static gqe_layer_config config_of(gqe_attention attention)
{
	gqe_layer_config config = small_layer_config();
	config.attention = attention;
	return config;
}

static void check_sample(gqe_bench *bench)
{
	gqe_error error = {0};
	gqe_bench_times times;
	const gqe_bench_info info = gqe_bench_get_info(bench);
	assert_ok(gqe_bench_sample(bench, &times, &error), &error);
	double sum = 0, flop = 0;
	for (int step = 0; step < GQE_LAYER_STEP_COUNT; step++) {
		assert_true(times.step_ms[step] >= 0);
		if (info.step_flop[step] > 0)
			assert_true(times.step_ms[step] > 0);
		sum += times.step_ms[step];
		flop += info.step_flop[step];
	}
	assert_true(times.gpu_ms > 0 && times.wall_ms > 0 && times.cpu_ms >= 0);
	assert_true(fabs(sum - times.gpu_ms) <= 1e-9 * sum);
	assert_true(flop == 0 || flop == info.flop);
	assert_true(info.flop > 0 || info.bytes > 0);
	assert_true(info.memory_bytes > 0);
}

static gqe_bench *make_bench(gqe_context *context, gqe_bench_params params)
{
	gqe_error error = {0};
	gqe_bench *bench;
	params.size = sizeof(params);
	assert_ok(gqe_bench_create(context, &params, &bench, &error), &error);
	return bench;
}

static void layers_attention_and_projections_in_turn(void **state)
{
	(void)state;
	static const gqe_bench_what whats[] = {GQE_BENCH_LAYER, GQE_BENCH_ATTENTION, GQE_BENCH_GEMM};
	const gqe_layer_config gqe = config_of(GQE_ATTENTION_GQE), gqa = config_of(GQE_ATTENTION_GQA);
	gqe_context *context = open_device(NULL);
	for (int i = 0; i < (can_f16(context) ? 6 : 3); i++) {
		const gqe_dtype dtype = i < 3 ? GQE_DTYPE_F32 : GQE_DTYPE_F16;
		gqe_bench *benches[2] = {
			make_bench(context, (gqe_bench_params){.what = whats[i % 3], .config = &gqe, .tokens = 67, .dtype = dtype}),
			make_bench(context, (gqe_bench_params){.what = whats[i % 3], .config = &gqa, .tokens = 67, .dtype = dtype}),
		};
		for (int sample = 0; sample < 4; sample++)
			check_sample(benches[sample % 2]);
		const gqe_bench_info info = gqe_bench_get_info(benches[0]), dense = gqe_bench_get_info(benches[1]);
		assert_true(info.flop < dense.flop);
		assert_true(info.has_timestamps == gqe_context_device(context)->has_timestamps);
		assert_true(dense.step_flop[GQE_LAYER_STEP_ROUTER] == 0);
		assert_true((info.step_flop[GQE_LAYER_STEP_ROUTER] > 0) == (whats[i % 3] == GQE_BENCH_LAYER));
		gqe_bench_destroy(&benches[0]);
		assert_null(benches[0]);
		gqe_bench_destroy(&benches[1]);
	}
	gqe_bench_destroy(NULL);
	close_context(&context);
}

static void the_last_chunk_of_a_context(void **state)
{
	(void)state;
	const gqe_layer_config gqe = config_of(GQE_ATTENTION_GQE);
	gqe_context *context = open_device(NULL);
	gqe_memory_info before, after;
	gqe_bench *all = make_bench(context, (gqe_bench_params){.what = GQE_BENCH_LAYER, .config = &gqe, .tokens = 1024});
	gqe_context_memory(context, &before);
	gqe_bench *last =
		make_bench(context, (gqe_bench_params){.what = GQE_BENCH_LAYER, .config = &gqe, .tokens = 1024, .last_chunk = 16});
	gqe_context_memory(context, &after);
	check_sample(last);
	/* 5% is what gqe.h promises of every estimate. */
	const gqe_bench_info info = gqe_bench_get_info(last), whole = gqe_bench_get_info(all);
	assert_true(fabs((double)(after.used - before.used) / (double)info.memory_bytes - 1) < 0.05);
	assert_true(info.flop < whole.flop);
	assert_true(info.step_flop[GQE_LAYER_STEP_O_PROJ] * 64 == whole.step_flop[GQE_LAYER_STEP_O_PROJ]);
	gqe_bench_destroy(&last);
	gqe_bench_destroy(&all);
	close_context(&context);
}

/* Creating a bench compares what the router chose with what was asked for. */
static void every_routing_is_what_the_router_chooses(void **state)
{
	(void)state;
	enum { TOKENS = 130 };
	struct random random = {7};
	gqe_context *context = open_device(NULL);
	for (int round = 0; round < (small_scale() ? 3 : 12); round++) {
		gqe_layer_config config = random_layer_config(&random);
		config.attention = GQE_ATTENTION_GQE;
		if (config.hidden_size < config.heads)
			config.hidden_size = config.heads;
		const uint32_t per_group = config.heads / config.kv_heads;
		int32_t *experts = must_allocate((size_t)TOKENS * config.kv_heads * config.top_k * sizeof(*experts));
		for (uint32_t i = 0; i < TOKENS * config.kv_heads; i++) {
			const uint32_t first = random_between(&random, 0, per_group - 1);
			for (uint32_t rank = 0; rank < config.top_k; rank++)
				experts[i * config.top_k + rank] = (int32_t)((first + per_group - rank) % per_group);
		}
		for (gqe_bench_routing routing = GQE_BENCH_UNIFORM; routing <= GQE_BENCH_GIVEN; routing++) {
			const gqe_bench_params params = {
				.what = round % 2 ? GQE_BENCH_GEMM : GQE_BENCH_LAYER,
				.config = &config,
				.tokens = TOKENS,
				.routing = routing,
				.experts = experts,
			};
			gqe_bench *bench = make_bench(context, params);
			check_sample(bench);
			gqe_bench_destroy(&bench);
		}
		free(experts);
	}
	close_context(&context);
}

static void peaks_of_the_device(void **state)
{
	(void)state;
	gqe_context *context = open_device(NULL);
	for (gqe_bench_what what = GQE_BENCH_FMA_F32; what <= GQE_BENCH_BANDWIDTH; what++) {
		gqe_error error = {0};
		gqe_bench *bench;
		const gqe_bench_params params = {.size = sizeof(params), .what = what};
		const gqe_device_info *device = gqe_context_device(context);
		if ((what == GQE_BENCH_FMA_F16 && !device->has_float16) ||
		    (what == GQE_BENCH_FMA_MATRIX && device->matrix_shape_count == 0)) {
			assert_status(gqe_bench_create(context, &params, &bench, &error), GQE_ERROR_NO_DEVICE, &error);
			assert_null(bench);
			continue;
		}
		assert_ok(gqe_bench_create(context, &params, &bench, &error), &error);
		const gqe_bench_info info = gqe_bench_get_info(bench);
		assert_true((info.bytes > 0) == (what == GQE_BENCH_BANDWIDTH) && (info.flop > 0) != (info.bytes > 0));
		check_sample(bench);
		gqe_bench_destroy(&bench);
	}
	close_context(&context);
}

static void refuse(gqe_context *context, gqe_bench_params params, gqe_status status, const char *text)
{
	gqe_error error = {0};
	gqe_bench *bench;
	params.size = sizeof(params);
	assert_status(gqe_bench_create(context, &params, &bench, &error), status, &error);
	assert_null(bench);
	if (!strstr(error.message, text))
		fail_msg("'%s' is not in '%s'", text, error.message);
}

static void what_is_refused(void **state)
{
	(void)state;
	const gqe_layer_config gqe = config_of(GQE_ATTENTION_GQE);
	gqe_layer_config bad = gqe, narrow = gqe;
	const int32_t experts[4 * 4] = {9};
	gqe_error error = {0};
	gqe_bench *bench;
	bad.kv_heads = 3;
	narrow.hidden_size = 4;
	gqe_context *context = open_device(NULL);
	refuse(context, (gqe_bench_params){0}, GQE_ERROR_USAGE, "no bench 0");
	refuse(context, (gqe_bench_params){.what = GQE_BENCH_BANDWIDTH + 1}, GQE_ERROR_USAGE, "no bench");
	refuse(context, (gqe_bench_params){.what = GQE_BENCH_LAYER, .tokens = 4}, GQE_ERROR_USAGE, "config");
	refuse(context, (gqe_bench_params){.what = GQE_BENCH_LAYER, .config = &gqe}, GQE_ERROR_USAGE, "at least one token");
	refuse(context, (gqe_bench_params){.what = GQE_BENCH_GEMM, .config = &gqe, .tokens = 4, .last_chunk = 5}, GQE_ERROR_USAGE,
	       "not more of them");
	refuse(context, (gqe_bench_params){.what = GQE_BENCH_LAYER, .config = &bad, .tokens = 4}, GQE_ERROR_BAD_INPUT, "");
	refuse(context, (gqe_bench_params){.what = GQE_BENCH_LAYER, .config = &narrow, .tokens = 4}, GQE_ERROR_USAGE,
	       "channels of x");
	refuse(context, (gqe_bench_params){.what = GQE_BENCH_LAYER, .config = &gqe, .tokens = 4, .dtype = GQE_DTYPE_I32},
	       GQE_ERROR_USAGE, "I32");
	refuse(context, (gqe_bench_params){.what = GQE_BENCH_LAYER, .config = &gqe, .tokens = 4, .routing = 9}, GQE_ERROR_USAGE,
	       "routing 9");
	refuse(context, (gqe_bench_params){.what = GQE_BENCH_LAYER, .config = &gqe, .tokens = 4, .routing = GQE_BENCH_GIVEN},
	       GQE_ERROR_USAGE, "missing");
	refuse(context,
	       (gqe_bench_params){
		       .what = GQE_BENCH_LAYER, .config = &gqe, .tokens = 4, .routing = GQE_BENCH_GIVEN, .experts = experts},
	       GQE_ERROR_BAD_INPUT, "there is a 9");
	refuse(context, (gqe_bench_params){.what = GQE_BENCH_ATTENTION, .config = &gqe, .tokens = INT32_MAX}, GQE_ERROR_USAGE,
	       "32-bit");
	refuse(context, (gqe_bench_params){.what = GQE_BENCH_ATTENTION, .config = &gqe, .tokens = INT32_MAX / 64, .last_chunk = 1},
	       GQE_ERROR_OUT_OF_MEMORY, "");
	assert_status(gqe_bench_create(context, NULL, &bench, &error), GQE_ERROR_USAGE, &error);
	assert_status(gqe_bench_create(context, NULL, NULL, &error), GQE_ERROR_USAGE, &error);
	assert_status(gqe_bench_sample(NULL, NULL, &error), GQE_ERROR_USAGE, &error);
	close_context(&context);
	context = open_reference();
	refuse(context, (gqe_bench_params){.what = GQE_BENCH_LAYER, .config = &gqe, .tokens = 4}, GQE_ERROR_USAGE, "Vulkan");
	close_context(&context);
}

static bool count_down(void *user)
{
	int *left = user;
	return (*left)-- <= 0;
}

static void a_callback_cancels(void **state)
{
	(void)state;
	const gqe_layer_config gqe = config_of(GQE_ATTENTION_GQE);
	gqe_error error = {0};
	gqe_bench_times times;
	int left = 0;
	gqe_bench_params params = {.what = GQE_BENCH_LAYER, .config = &gqe, .tokens = 16, .cancelled = count_down, .user = &left};
	gqe_context *context = open_device(NULL);
	refuse(context, params, GQE_CANCELLED, "cancelled");
	left = 1000;
	gqe_bench *bench = make_bench(context, params);
	left = 0;
	assert_status(gqe_bench_sample(bench, &times, &error), GQE_CANCELLED, &error);
	left = 1000;
	check_sample(bench);
	gqe_bench_destroy(&bench);
	close_context(&context);
}

static void names_and_origin(void **state)
{
	(void)state;
	assert_string_equal(gqe_layer_step_name(GQE_LAYER_STEP_EXPERT_LISTS), "expert_lists");
	assert_string_equal(gqe_layer_step_name(GQE_LAYER_STEP_COUNT), "?");
	assert_string_equal(gqe_bench_what_name(GQE_BENCH_GEMM), "gemm");
	assert_string_equal(gqe_bench_what_name(0), "?");
	assert_true(gqe_shader_hash() != 0 && gqe_shader_hash() == gqe_shader_hash());
	const char *commit = gqe_commit();
	assert_true(strcmp(commit, "unknown") == 0 || strspn(commit, "0123456789abcdef") == 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layers_attention_and_projections_in_turn),
		cmocka_unit_test(the_last_chunk_of_a_context),
		cmocka_unit_test(every_routing_is_what_the_router_chooses),
		cmocka_unit_test(peaks_of_the_device),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(a_callback_cancels),
		cmocka_unit_test(names_and_origin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
