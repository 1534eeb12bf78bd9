/* The library's own self-test, with several seeds: every kernel of every path alone against the reference. */
#include "support/support.h"

#include <string.h>

struct tally {
	uint32_t cases, failed;
};

static void on_case(void *user, const gqe_selftest_case *result)
{
	struct tally *tally = user;
	tally->cases++;
	assert_non_null(result->detail);
	if (!result->passed) {
		tally->failed++;
		print_error("%s %s %s, %s: error %.3e, tolerance %.1e; %s\n", result->kernel, gqe_path_name(result->path),
			    gqe_dtype_name(result->dtype), result->shape, result->error, result->tolerance, result->detail);
	}
}

static void every_kernel_passes_with_every_seed(void **state)
{
	(void)state;
	gqe_context *context = open_device(NULL);
	for (uint64_t seed = 1; seed <= (small_scale() ? 1 : 3); seed++) {
		struct tally tally = {0};
		gqe_error error = {0};
		gqe_selftest_params params = {
			.size = sizeof(params),
			.path = path_under_test(),
			.seed = seed,
			.cases = 4, /* the third splits attention over key ranges, the fourth has an odd head size */
			.max_tokens = small_scale() ? 40 : 200,
			.on_case = on_case,
			.user = &tally};
		assert_ok(gqe_selftest(context, &params, &error), &error);
		assert_int_equal(tally.failed, 0);
		assert_true(tally.cases > 10);
	}
	close_context(&context);
}

static void every_kernel_passes_up_to_4099_tokens(void **state)
{
	(void)state;
	static const char *const kernels[] = {"embed",        "norm",        "gemm",           "gemm_gathered", "route",
					      "expert_count", "expert_scan", "balance",        "rope_turns",    "gemm_heads",
					      "kv_mean",      "kv_panels",   "expert_scatter", "attention",     "combine",
					      "activation",   "nll"};
	if (small_scale()) {
		print_message("not at this scale\n");
		skip();
	}
	gqe_context *context = open_device(NULL);
	for (size_t i = 0; i < sizeof(kernels) / sizeof(*kernels); i++) {
		struct tally tally = {0};
		gqe_error error = {0};
		gqe_selftest_params params = {.size = sizeof(params),
					      .path = path_under_test(),
					      .seed = 4099 + i,
					      .cases = 5, /* 1 token; 4099; an edge of a tile; anything between */
					      .max_tokens = 4099,
					      .kernel = kernels[i],
					      .on_case = on_case,
					      .user = &tally};
		assert_ok(gqe_selftest(context, &params, &error), &error);
		assert_int_equal(tally.failed, 0);
		assert_true(tally.cases >= 5);
	}
	close_context(&context);
}

static void one_kernel_can_be_chosen(void **state)
{
	(void)state;
	gqe_context *context = open_device(NULL);
	struct tally tally = {0};
	gqe_error error = {0};
	gqe_selftest_params params = {.size = sizeof(params), .cases = 1, .kernel = "norm", .on_case = on_case, .user = &tally};
	assert_ok(gqe_selftest(context, &params, &error), &error);
	assert_true(tally.cases >= 1);
	params.kernel = "no_such_kernel";
	assert_status(gqe_selftest(context, &params, &error), GQE_ERROR_USAGE, &error);
	assert_non_null(strstr(error.message, "no_such_kernel"));
	assert_non_null(strstr(error.message, "gemm_gathered")); /* what there is instead */
	close_context(&context);
}

static void the_reference_is_refused(void **state)
{
	(void)state;
	gqe_error error = {0};
	gqe_context *context = open_reference();
	assert_status(gqe_selftest(context, NULL, &error), GQE_ERROR_USAGE, &error);
	close_context(&context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kernel_passes_with_every_seed),
		cmocka_unit_test(every_kernel_passes_up_to_4099_tokens),
		cmocka_unit_test(one_kernel_can_be_chosen),
		cmocka_unit_test(the_reference_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
