/* gqe_selftest: every kernel of every path that the device gets, case by case. */
#include "selftest/checks.h"
#include "selftest/selftest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention/context.h"
#include "attention/kernel_table.h"
#include "common/platform.h"

#define DEFAULT_SEED 20260609
#define DEFAULT_CASES 4
#define DEFAULT_MAX_TOKENS 300

#define CHECK_ROW(name, NAME) [GQE_KERNEL_##NAME] = gqe_check_##name,
static void (*const check_functions[GQE_KERNEL_COUNT])(struct gqe_check *check) = {GQE_KERNELS(CHECK_ROW)};

struct selftest {
	gqe_selftest_params params;
	gqe_context *context;
	struct gqe_vulkan *vulkan;
	struct gqe_steps *steps;
	const struct gqe_tuning *tuning; /* NULL: the tile table's tiles, whatever was measured */
	uint32_t head_dim;               /* the only one to draw; 0: any */
	uint32_t threads;                /* of the reference */
	bool keeps_shape;                /* of matrices: the one that the library would use */
	uint64_t run, failed;
};

/* A case's random stream depends on nothing but what the case is, so that a single one can be repeated. */
static struct gqe_random case_random(const struct selftest *test, enum gqe_kernel kernel, gqe_path path, gqe_dtype dtype,
				     uint32_t number)
{
	uint64_t stream = (((uint64_t)kernel * 16 + (uint64_t)path) * 16 + (uint64_t)dtype) << 32 | number;
	return gqe_random_seed(test->params.seed, stream);
}

static gqe_status run_case(struct selftest *test, enum gqe_kernel kernel, gqe_path path, gqe_dtype dtype, uint32_t number,
			   gqe_error *failure, gqe_error *error)
{
	struct gqe_check *check = calloc(1, sizeof(*check));
	if (check == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a case of the self-test");
	check->recorder = (struct gqe_recorder){
		.steps = test->steps,
		.capabilities = &check->capabilities,
		.path = path,
		.tuning = test->tuning,
	};
	check->capabilities = test->vulkan->capabilities;
	if (check->capabilities.matrix_shape_count > 1 && !test->keeps_shape) {
		check->capabilities.matrix_shapes[0] =
			check->capabilities.matrix_shapes[number % check->capabilities.matrix_shape_count];
		check->capabilities.matrix_shape_count = 1;
	}
	/* Attention numbers its tiles in another order then; half of the cases have the one that this device does not use. */
	if (number / 2 % 2 == 1 && !test->keeps_shape)
		check->capabilities.quirks ^= GQE_QUIRK_GRID_IN_PARTS;
	check->vulkan = test->vulkan;
	check->dtype = dtype;
	check->number = number;
	check->max_tokens = test->params.max_tokens;
	check->head_dim = test->head_dim;
	check->threads = test->threads;
	check->random = case_random(test, kernel, path, dtype, number);
	check->error = error;
	check_functions[kernel](check);
	gqe_check_release(check);

	gqe_status status = check->status;
	if (status == GQE_OK) {
		gqe_selftest_case result = {
			.kernel = gqe_kernel_name(kernel),
			.path = path,
			.dtype = dtype,
			.shape = check->shape,
			.passed = !check->failed,
			.error = check->measured,
			.tolerance = check->tolerance,
			.detail = check->detail,
		};
		test->run++;
		test->failed += check->failed;
		if (check->failed && test->failed == 1)
			gqe_fail(failure, GQE_ERROR_VERIFICATION, "%s, %s %s, %s: %s", result.kernel, gqe_path_name(path),
				 gqe_dtype_name(dtype), result.shape, result.detail);
		if (test->params.on_case != NULL)
			test->params.on_case(test->params.user, &result);
	}
	free(check);
	return status;
}

static gqe_status run_cases(struct selftest *test, gqe_error *failure, gqe_error *error)
{
	const gqe_device_info *info = &test->vulkan->info;
	static const gqe_dtype dtypes[] = {GQE_DTYPE_F32, GQE_DTYPE_F16};
	for (uint32_t p = 0; p < info->path_count; p++) {
		if (test->params.path != 0 && test->params.path != info->paths[p])
			continue;
		for (uint32_t d = 0; d < GQE_COUNT(dtypes); d++) {
			if (dtypes[d] == GQE_DTYPE_F16 && !test->vulkan->capabilities.storage16)
				continue;
			for (enum gqe_kernel kernel = 0; kernel < GQE_KERNEL_COUNT; kernel++) {
				bool is_wanted =
					test->params.kernel == NULL || strcmp(test->params.kernel, gqe_kernel_name(kernel)) == 0;
				if (!is_wanted || !gqe_kernel_has(kernel, info->paths[p], dtypes[d]))
					continue;
				for (uint32_t number = 0; number < test->params.cases; number++) {
					gqe_status status =
						run_case(test, kernel, info->paths[p], dtypes[d], number, failure, error);
					if (status != GQE_OK)
						return status;
				}
			}
		}
	}
	return GQE_OK;
}

static gqe_status fail_unknown_kernel(const char *name, gqe_error *error)
{
	char names[512] = "";
	for (enum gqe_kernel kernel = 0; kernel < GQE_KERNEL_COUNT; kernel++) {
		if (strcmp(name, gqe_kernel_name(kernel)) == 0)
			return gqe_fail(error, GQE_ERROR_USAGE, "the kernel %s has no variant of its own on the path asked for",
					name);
		size_t length = strlen(names);
		snprintf(names + length, sizeof(names) - length, "%s%s", kernel == 0 ? "" : ", ", gqe_kernel_name(kernel));
	}
	return gqe_fail(error, GQE_ERROR_USAGE, "no kernel is called '%s'; there are %s", name, names);
}

gqe_status gqe_selftest(gqe_context *context, const gqe_selftest_params *params, gqe_error *error)
{
	if (context == NULL || gqe_context_vulkan(context) == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE,
				"the self-test needs a Vulkan device: the reference has nothing to compare with");
	struct selftest test = {
		.context = context,
		.vulkan = gqe_context_vulkan(context),
		.threads = gqe_context_threads(context),
	};
	gqe_status status = gqe_copy_params(&test.params, sizeof(test.params), params, error);
	if (status != GQE_OK)
		return status;
	test.params.seed = test.params.seed != 0 ? test.params.seed : DEFAULT_SEED;
	test.params.cases = test.params.cases != 0 ? test.params.cases : DEFAULT_CASES;
	test.params.max_tokens = test.params.max_tokens != 0 ? test.params.max_tokens : DEFAULT_MAX_TOKENS;

	gqe_error failure = {0};
	status = gqe_steps_create(test.vulkan, &test.steps, error);
	if (status == GQE_OK)
		status = run_cases(&test, &failure, error);
	gqe_steps_destroy(&test.steps);
	if (status == GQE_OK && test.run == 0 && test.params.kernel == NULL)
		status = gqe_fail(error, GQE_ERROR_USAGE, "the device '%s' does not have the kernel path '%s'",
				  test.vulkan->info.name, gqe_path_name(test.params.path));
	if (status == GQE_OK && test.run == 0)
		status = fail_unknown_kernel(test.params.kernel, error);
	if (status == GQE_OK && test.failed > 0)
		status = gqe_fail(error, GQE_ERROR_VERIFICATION, "%llu of %llu cases of the self-test failed; the first: %s",
				  (unsigned long long)test.failed, (unsigned long long)test.run, failure.message);
	return status;
}

gqe_status gqe_selftest_tile(gqe_context *context, const struct gqe_tuned_tile *entry, gqe_error *error)
{
	/* As much work as the tile is for; a token has up to five slots in attention. */
	const uint32_t most_slots = 5;
	struct selftest test = {
		.params = {.seed = DEFAULT_SEED, .max_tokens = DEFAULT_MAX_TOKENS},
		.context = context,
		.vulkan = gqe_context_vulkan(context),
		.head_dim = entry->head_dim,
		.threads = gqe_context_threads(context),
	};
	if (entry->up_to != 0)
		test.params.max_tokens = entry->up_to < most_slots ? 1 : entry->up_to / most_slots;
	struct gqe_tuning *tuning = calloc(1, sizeof(*tuning));
	if (tuning == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a self-test");
	struct gqe_tuned_tile always = *entry;
	always.above = 0; /* the smallest shapes take it too */
	gqe_tuning_set(tuning, &always);
	test.tuning = tuning;
	gqe_error failure = {0};
	gqe_status status = gqe_steps_create(test.vulkan, &test.steps, error);
	for (uint32_t number = 0; status == GQE_OK && number < DEFAULT_CASES; number++) {
		status = run_case(&test, (enum gqe_kernel)entry->kernel, (gqe_path)entry->path, (gqe_dtype)entry->weights, number,
				  &failure, error);
		if (status == GQE_OK && entry->kernel == GQE_KERNEL_GEMM) /* it is gemm_heads' tile too */
			status = run_case(&test, GQE_KERNEL_GEMM_HEADS, (gqe_path)entry->path, (gqe_dtype)entry->weights, number,
					  &failure, error);
	}
	gqe_steps_destroy(&test.steps);
	free(tuning);
	if (status == GQE_OK && test.failed > 0)
		status = gqe_fail(error, GQE_ERROR_VERIFICATION, "%s", failure.message);
	return status;
}

static void keep_worst(void *user, const gqe_selftest_case *result)
{
	gqe_selftest_case *worst = user;
	/* By how much of the tolerance was used; NaN is the worst there is. */
	bool is_worse = worst->tolerance == 0 || !(result->error * worst->tolerance <= worst->error * result->tolerance);
	if (worst->passed && (!result->passed || is_worse))
		*worst = *result;
}

struct gqe_budget gqe_budget_begin(struct gqe_steps *steps, double seconds)
{
	return (struct gqe_budget){
		.steps = steps, .began = gqe_wall_nanoseconds(), .seconds = seconds + gqe_steps_pipeline_seconds(steps)};
}

double gqe_budget_left(const struct gqe_budget *budget)
{
	return budget->seconds + gqe_steps_pipeline_seconds(budget->steps) - gqe_seconds_since(budget->began);
}

gqe_status gqe_selftest_path(gqe_context *context, enum gqe_kernel kernel, gqe_path path, uint32_t head_dim,
			     const struct gqe_budget *budget, gqe_selftest_case *worst, bool *is_complete, gqe_error *error)
{
	/*
	 * Cases by number, of those that take a few milliseconds on the host: for products what tiles divide first, and two that
	 * are ragged; for attention with and without earlier tokens, with sharp scores, and with a shared head. None is split over
	 * key ranges.
	 */
	static const uint32_t plain_numbers[] = {1, 4, 7}, gathered_numbers[] = {17, 19, 12};
	const uint32_t *numbers = kernel == GQE_KERNEL_GEMM_GATHERED ? gathered_numbers : plain_numbers;
	const uint32_t most_tokens = 48;
	struct selftest test = {
		.params = {.seed = DEFAULT_SEED, .max_tokens = most_tokens, .on_case = keep_worst, .user = worst},
		.context = context,
		.vulkan = gqe_context_vulkan(context),
		.steps = budget->steps,
		.tuning = gqe_context_tuning(context),
		.head_dim = head_dim,
		.threads = 1, /* for so little work */
		.keeps_shape = true,
	};
	*worst = (gqe_selftest_case){.passed = true};
	gqe_error failure = {0};
	gqe_status status = GQE_OK;
	double longest = 0;
	size_t i = 0;
	for (; i < GQE_COUNT(plain_numbers) && status == GQE_OK && test.failed == 0; i++) {
		const double left = gqe_budget_left(budget);
		if (i > 0 && left < longest)
			break;
		status = run_case(&test, kernel, path, GQE_DTYPE_F16, numbers[i], &failure, error);
		longest = fmax(longest, left - gqe_budget_left(budget));
	}
	worst->shape = worst->detail = ""; /* the case that they were of is gone */
	*is_complete = status == GQE_OK && i == GQE_COUNT(plain_numbers);
	if (status == GQE_OK && test.failed > 0)
		status = gqe_fail(error, GQE_ERROR_VERIFICATION, "%s", failure.message);
	return status;
}
