/* gqe_tune: what it reports, that its tiles are used and remembered, and that layers still compute the same with them. */
#include "support/layer_fixture.h"

#include <gqe/gqe_tune.h>
#include <stdlib.h>
#include <string.h>

enum { BUDGET_SECONDS = 4 };

struct results {
	uint32_t count, changed, gathered, queries;
	bool stop;
};

static gqe_layer_config config_to_tune(void)
{
	gqe_layer_config config = small_layer_config();
	config.hidden_size = 128;
	config.head_dim = 32;
	return config;
}

static void on_result(void *user, const gqe_tune_result *result)
{
	struct results *results = user;
	bool is_attention = strcmp(result->kernel, "attention") == 0;
	results->count++;
	results->gathered += strcmp(result->kernel, "gemm_gathered") == 0;
	bool is_queries = strcmp(result->kernel, "queries") == 0;
	results->queries += is_queries;
	results->changed += is_queries ? result->queries_before != result->queries_after
				       : memcmp(&result->before, &result->after, sizeof(result->before)) != 0;
	assert_int_equal(is_queries, result->queries_before != 0);
	assert_int_equal(is_queries, result->queries_after != 0);
	assert_true(result->candidates >= 1 && result->rejected < result->candidates);
	assert_int_equal(result->head_dim, is_attention ? 32 : 0);
	assert_true(result->up_to == 0 || result->above < result->up_to);
	assert_true(result->before.rows > 0 && result->before.columns > 0 && result->before.workgroup > 0);
	assert_true(result->before_ms > 0);
	assert_true(result->after_ms > 0 && result->after_ms <= result->before_ms);
}

static bool on_progress(void *user, double done, double total)
{
	const struct results *results = user;
	assert_true(done >= 0 && done <= total);
	return !results->stop;
}

static gqe_context *open_with_cache(const char *folder)
{
	gqe_context_params params = {.cache_dir = folder};
	return open_device(&params);
}

static gqe_status tune(gqe_context *context, double budget, struct results *results, bool *stored, gqe_error *error)
{
	gqe_layer_config config = config_to_tune();
	gqe_tune_params params = {
		.size = sizeof(params),
		.config = &config,
		.dtype = GQE_DTYPE_F32,
		.budget_seconds = budget,
		.on_result = on_result,
		.progress = on_progress,
		.user = results,
	};
	return gqe_tune(context, &params, stored, error);
}

/* A layer computes what the reference does, whatever tiles the context uses. */
static void check_layer(gqe_context *context)
{
	static const uint32_t lengths[] = {1, 7, 61, 200};
	struct random random = {77};
	struct layer_fixture fixture;
	gqe_layer_config config = config_to_tune();
	fixture_init(&fixture, &config, false, &random);
	gqe_context *reference = open_reference();
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint32_t tokens = lengths[i];
		float *x = draw_input(&fixture, tokens, &random);
		struct layer_output got, want;
		run_layer(context, &fixture, GQE_DTYPE_F32, x, 1, tokens, 0, &got);
		run_layer(reference, &fixture, GQE_DTYPE_F32, x, 1, tokens, 0, &want);
		assert_close(got.y, want.y, (size_t)tokens * config.hidden_size, TOLERANCE_F32, "y with measured tiles");
		assert_memory_equal(got.experts, want.experts, tokens * fixture_selected(&fixture) * sizeof(int32_t));
		output_free(&got);
		output_free(&want);
		free(x);
	}
	close_context(&reference);
	fixture_free(&fixture);
}

static void what_was_measured_is_used_and_remembered(void **state)
{
	(void)state;
	char folder[256];
	make_folder(folder);
	gqe_error error = {0};
	struct results results = {0};
	bool stored = false;
	gqe_context *context = open_with_cache(folder);
	assert_int_equal(gqe_context_tuned_count(context), 0);
	assert_ok(tune(context, BUDGET_SECONDS, &results, &stored, &error), &error);
	assert_true(results.count > 0 && results.count <= 13);
	assert_true(results.count - results.queries < 3 || results.gathered > 0); /* tiles come in that order, as time allows */
	assert_true(results.queries <= 4);
	assert_int_equal(gqe_context_tuned_count(context), results.changed);
	assert_true(stored);
	check_layer(context);
	close_context(&context);

	context = open_with_cache(folder);
	assert_int_equal(gqe_context_tuned_count(context), results.changed);
	check_layer(context);
	close_context(&context);
	remove_folder(folder);
}

static void stopping_keeps_what_is_finished(void **state)
{
	(void)state;
	gqe_error error = {0};
	struct results results = {.stop = true};
	bool stored = true;
	gqe_context *context = open_with_cache("");
	assert_status(tune(context, BUDGET_SECONDS, &results, &stored, &error), GQE_CANCELLED, &error);
	assert_int_equal(results.count, 0);
	assert_false(stored);
	assert_int_equal(gqe_context_tuned_count(context), 0);
	check_layer(context);
	close_context(&context);
}

static void bad_parameters_are_refused(void **state)
{
	(void)state;
	gqe_error error = {0};
	struct results results = {0};
	gqe_context *context = open_reference();
	assert_status(tune(context, 1, &results, NULL, &error), GQE_ERROR_USAGE, &error);
	assert_int_equal(gqe_context_tuned_count(context), 0);
	close_context(&context);

	context = open_with_cache("");
	gqe_tune_params params = {.size = sizeof(params)};
	assert_status(gqe_tune(context, &params, NULL, &error), GQE_ERROR_USAGE, &error);
	gqe_layer_config config = config_to_tune();
	params.config = &config;
	params.budget_seconds = -1;
	assert_status(gqe_tune(context, &params, NULL, &error), GQE_ERROR_USAGE, &error);
	params.budget_seconds = 1;
	params.dtype = GQE_DTYPE_I32;
	assert_status(gqe_tune(context, &params, NULL, &error), GQE_ERROR_USAGE, &error);
	params.dtype = 0;
	config.head_dim = 3;
	assert_status(gqe_tune(context, &params, NULL, &error), GQE_ERROR_BAD_INPUT, &error);
	close_context(&context);
	assert_status(gqe_tune(NULL, &params, NULL, &error), GQE_ERROR_USAGE, &error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_measured_is_used_and_remembered),
		cmocka_unit_test(stopping_keeps_what_is_finished),
		cmocka_unit_test(bad_parameters_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
