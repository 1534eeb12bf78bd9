/*
 * What happens when the upper paths (packed, matrix, matrix2) are used for the first time on a device and driver. Drivers that
 * compute on the CPU do not use them by default, so the layer inside the test says that the device is a GPU.
 */
#include "support/layer_fixture.h"
#include "support/vulkan_layer.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Capabilities of SPIR-V: what all shaders with cooperative matrices declare, and what only those of matrix2 do. */
enum { COOPERATIVE_MATRIX = 6022, COOPERATIVE_MATRIX_REDUCTIONS = 5430 };
enum { TOKENS = 40 };

static struct {
	char folder[256];
	uint32_t first_uses, disabled, forced, damaged, unwritable; /* messages of that kind since the last context was opened */
	struct layer_fixture fixture;
	float *x, *want; /* [TOKENS, d] */
} test;

static void note_message(void *user, gqe_log_level level, const char *message)
{
	(void)user;
	fprintf(stderr, "log %d: %s\n", (int)level, message);
	if (strncmp(message, "validation", strlen("validation")) == 0)
		fail_msg("%s", message);
	test.first_uses += strncmp(message, "first use", strlen("first use")) == 0;
	test.disabled += strstr(message, ": disabled: ") != NULL;
	test.forced += strstr(message, "forced") != NULL;
	test.damaged += strstr(message, "cache of paths") != NULL && strstr(message, "damaged") != NULL;
	test.unwritable += strstr(message, "cache of paths: cannot write") != NULL;
}

static gqe_context *open_as(VkPhysicalDeviceType type, const char *cache_dir, gqe_path force_path)
{
	const char *validation = getenv("GQE_TEST_VALIDATION");
	gqe_vulkan_import import = {.size = sizeof(import), .get_instance_proc_addr = layer_entry()};
	gqe_context_params params = {
		.size = sizeof(params),
		.cache_dir = cache_dir,
		.force_path = force_path,
		.validation = validation && validation[0] == '1',
		.log = note_message,
		.log_level = GQE_LOG_DEBUG,
		.vulkan = &import,
	};
	gqe_context *context = NULL;
	gqe_error error = {0};
	test.first_uses = test.disabled = test.forced = test.damaged = test.unwritable = 0;
	layer_disguise(type);
	assert_ok(gqe_context_create(&params, &context, &error), &error);
	layer_disguise(VK_PHYSICAL_DEVICE_TYPE_OTHER);
	return context;
}

static gqe_context *open_gpu(const char *cache_dir)
{
	return open_as(VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, cache_dir, 0);
}

static gqe_status create_layer(gqe_context *context, gqe_dtype dtype, gqe_layer **layer, gqe_error *error)
{
	gqe_layer_params params = {
		.size = sizeof(params),
		.config = &test.fixture.config,
		.tensors = test.fixture.tensors,
		.tensor_count = test.fixture.tensor_count,
		.dtype = dtype,
		.max_tokens = TOKENS,
	};
	return gqe_layer_create(context, &params, layer, error);
}

/* A layer is made and computes what the reference does. */
static void check_layer(gqe_context *context, gqe_dtype dtype)
{
	gqe_error error = {0};
	gqe_layer *layer = NULL;
	const size_t count = (size_t)TOKENS * test.fixture.config.hidden_size;
	float *y = must_allocate(count * sizeof(*y));
	poison(y, count * sizeof(*y));
	assert_ok(create_layer(context, dtype, &layer, &error), &error);
	forward(layer, TOKENS, test.x, y, NULL, NULL);
	assert_close(y, test.want, count, dtype == GQE_DTYPE_F16 ? TOLERANCE_F16 : TOLERANCE_F32, "y");
	gqe_layer_destroy(&layer);
	free(y);
}

/* The verdict about a kernel's path; UNCHECKED also where the device has no such path. */
static gqe_path_check check_of(const gqe_context *context, const char *kernel, gqe_path path)
{
	gqe_path_check checks[GQE_MAX_PATH_CHECKS];
	uint32_t count = gqe_context_path_checks(context, checks);
	assert_true(count <= GQE_MAX_PATH_CHECKS);
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(checks[i].kernel, kernel) == 0 && checks[i].path == path)
			return checks[i];
	return (gqe_path_check){.verdict = GQE_PATH_UNCHECKED};
}

static uint32_t verdicts_in(const gqe_context *context)
{
	gqe_path_check checks[GQE_MAX_PATH_CHECKS];
	uint32_t count = gqe_context_path_checks(context, checks), made = 0;
	for (uint32_t i = 0; i < count; i++) {
		made += checks[i].verdict != GQE_PATH_UNCHECKED;
		assert_true(checks[i].path >= GQE_PATH_PACKED && checks[i].text[0] != 0);
	}
	return made;
}

/* Verdicts that the next context knows too. Whether there was time to come to one is the machine's affair. */
static uint32_t final_in(const gqe_context *context)
{
	gqe_path_check checks[GQE_MAX_PATH_CHECKS];
	uint32_t count = gqe_context_path_checks(context, checks), final = 0;
	for (uint32_t i = 0; i < count; i++)
		final += checks[i].verdict > GQE_PATH_CHECKED || (checks[i].verdict == GQE_PATH_CHECKED && checks[i].slowdown > 0);
	return final;
}

static bool is_disabled(gqe_path_verdict verdict)
{
	return verdict == GQE_PATH_SLOW || verdict == GQE_PATH_WRONG || verdict == GQE_PATH_FAILED;
}

static int set_up(void **state)
{
	(void)state;
	struct random random = {11};
	gqe_layer_config config = small_layer_config();
	config.hidden_size = 96;
	config.head_dim = 32;
	fixture_init(&test.fixture, &config, true, &random);
	test.x = draw_input(&test.fixture, TOKENS, &random);
	gqe_context *reference = open_reference();
	struct layer_output output;
	run_layer(reference, &test.fixture, GQE_DTYPE_F32, test.x, 1, TOKENS, 0, &output);
	test.want = output.y;
	output.y = NULL;
	output_free(&output);
	close_context(&reference);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(test.x);
	free(test.want);
	fixture_free(&test.fixture);
	return 0;
}

static int open_folder(void **state)
{
	(void)state;
	make_folder(test.folder);
	layer_reset();
	layer_spoil(0);
	layer_delay(0);
	/* A CPU driver takes seconds to compile what a GPU gets for it, so only one test has it. */
	layer_hide_extension("VK_NV_cooperative_matrix2");
	return 0;
}

static int remove_the_folder(void **state)
{
	(void)state;
	remove_folder(test.folder);
	return layer_leaks()[0] ? -1 : 0;
}

/* Whether the device, as a GPU, has matrix paths. If not, the test is skipped. */
static void need_matrix(void)
{
	gqe_context *context = open_gpu("");
	const gqe_device_info *device = gqe_context_device(context);
	bool has_matrix = device->has_16bit_storage && device->matrix_shape_count > 0;
	gqe_context_destroy(&context);
	if (!has_matrix) {
		print_message("the driver has no matrices\n");
		skip();
	}
}

static void what_no_default_uses_is_not_checked(void **state)
{
	(void)state;
	gqe_context *context = open_as(VK_PHYSICAL_DEVICE_TYPE_CPU, test.folder, 0);
	check_layer(context, GQE_DTYPE_F32);
	if (gqe_context_device(context)->has_16bit_storage)
		check_layer(context, GQE_DTYPE_F16);
	assert_int_equal(test.first_uses, 0);
	assert_int_equal(verdicts_in(context), 0);
	gqe_context_destroy(&context);

	context = open_gpu(test.folder);
	check_layer(context, GQE_DTYPE_F32);
	assert_int_equal(test.first_uses, 0);
	assert_int_equal(verdicts_in(context), 0);
	gqe_context_destroy(&context);

	gqe_path_check checks[GQE_MAX_PATH_CHECKS];
	context = open_reference();
	assert_int_equal(gqe_context_path_checks(context, checks), 0);
	assert_int_equal(gqe_context_path_checks(NULL, checks), 0);
	close_context(&context);
}

static void a_verdict_is_made_once_and_kept(void **state)
{
	(void)state;
	need_matrix();
	gqe_context *context = open_gpu(test.folder);
	assert_int_equal(verdicts_in(context), 0);
	check_layer(context, GQE_DTYPE_F16);
	const uint32_t made = test.first_uses, disabled = test.disabled, final = final_in(context);
	gqe_path_check gemm = check_of(context, "gemm", GQE_PATH_MATRIX);
	assert_true(made >= 2 && verdicts_in(context) == made);
	assert_true(gemm.verdict == GQE_PATH_CHECKED || gemm.verdict == GQE_PATH_SLOW);
	assert_true(gemm.error > 0 && gemm.error <= gemm.tolerance && gemm.tolerance <= TOLERANCE_F16);
	check_layer(context, GQE_DTYPE_F16); /* another layer */
	assert_int_equal(test.first_uses, made);
	gqe_context_destroy(&context);

	context = open_gpu(test.folder);
	gqe_path_check again = check_of(context, "gemm", GQE_PATH_MATRIX);
	if (gemm.slowdown > 0) {
		assert_memory_equal(&again.error, &gemm.error, sizeof(gemm.error));
		assert_int_equal(again.verdict, gemm.verdict);
	}
	assert_int_equal(gqe_context_device(context)->path_check_count > 0, 1);
	assert_int_equal(verdicts_in(context), final);
	check_layer(context, GQE_DTYPE_F16);
	assert_int_equal(test.first_uses > 0, final < made);
	gqe_context_destroy(&context);

	context = open_gpu(""); /* once in every context */
	check_layer(context, GQE_DTYPE_F16);
	assert_true(test.first_uses >= 2);
	gqe_context_destroy(&context);
	assert_true(disabled <= made);
}

/* On a device where nothing is done in time: values are compared, and what is open stays open for the next context. */
static void the_check_ends_in_time_and_is_taken_up_again(void **state)
{
	(void)state;
	need_matrix();
	gqe_context *context = open_gpu(test.folder);
	layer_delay(25);
	check_layer(context, GQE_DTYPE_F16);
	layer_delay(0);
	const uint32_t made = test.first_uses;
	gqe_path_check gemm = check_of(context, "gemm", GQE_PATH_MATRIX);
	assert_int_equal(gemm.verdict, GQE_PATH_CHECKED);
	assert_true(gemm.error > 0 && gemm.error <= gemm.tolerance && gemm.slowdown == 0);
	assert_non_null(strstr(gemm.text, "not timed"));
	check_layer(context, GQE_DTYPE_F16);
	assert_int_equal(test.first_uses, made); /* once in a context */
	gqe_context_destroy(&context);

	context = open_gpu(test.folder);
	assert_int_equal(check_of(context, "gemm", GQE_PATH_MATRIX).verdict, GQE_PATH_UNCHECKED);
	check_layer(context, GQE_DTYPE_F16);
	assert_true(test.first_uses >= made);
	gqe_context_destroy(&context);

	layer_spoil(COOPERATIVE_MATRIX); /* what is wrong is found however little time there is, and is final */
	remove_folder(test.folder);
	make_folder(test.folder);
	context = open_gpu(test.folder);
	layer_delay(25);
	check_layer(context, GQE_DTYPE_F16);
	layer_delay(0);
	assert_int_equal(check_of(context, "gemm", GQE_PATH_MATRIX).verdict, GQE_PATH_WRONG);
	gqe_context_destroy(&context);
	context = open_gpu(test.folder);
	assert_int_equal(check_of(context, "gemm", GQE_PATH_MATRIX).verdict, GQE_PATH_WRONG);
	gqe_context_destroy(&context);
}

static void a_wrong_path_is_disabled(void **state)
{
	(void)state;
	need_matrix();
	layer_spoil(COOPERATIVE_MATRIX);
	gqe_context *context = open_gpu(test.folder);
	check_layer(context, GQE_DTYPE_F16);
	gqe_path_check gemm = check_of(context, "gemm", GQE_PATH_MATRIX);
	assert_int_equal(gemm.verdict, GQE_PATH_WRONG);
	assert_false(gemm.error <= gemm.tolerance);
	assert_non_null(strstr(gemm.text, "disabled: wrong"));
	assert_int_equal(check_of(context, "gemm_gathered", GQE_PATH_MATRIX).verdict, GQE_PATH_WRONG);
	assert_true(test.disabled >= 2);
	const bool is_open = final_in(context) < test.first_uses;
	gqe_context_destroy(&context);

	layer_spoil(0); /* the cache says it, whatever the driver would do now */
	context = open_gpu(test.folder);
	assert_int_equal(check_of(context, "gemm", GQE_PATH_MATRIX).verdict, GQE_PATH_WRONG);
	check_layer(context, GQE_DTYPE_F16);
	assert_int_equal(test.first_uses > 0, is_open);
	gqe_context_destroy(&context);

	context = open_as(VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, test.folder, GQE_PATH_MATRIX);
	check_layer(context, GQE_DTYPE_F16);
	assert_int_equal(test.first_uses, 0);
	assert_true(test.forced >= 2);
	gqe_context_destroy(&context);
}

static void a_wrong_path_of_one_kernel_leaves_the_others(void **state)
{
	(void)state;
	need_matrix();
	layer_hide_extension(NULL);
	layer_spoil(COOPERATIVE_MATRIX_REDUCTIONS);
	gqe_context *context = open_gpu(test.folder);
	bool has_matrix2 = gqe_context_device(context)->paths[gqe_context_device(context)->path_count - 1] == GQE_PATH_MATRIX2;
	check_layer(context, GQE_DTYPE_F16);
	if (has_matrix2) {
		assert_int_equal(check_of(context, "attention", GQE_PATH_MATRIX2).verdict, GQE_PATH_WRONG);
		assert_int_equal(check_of(context, "attention", GQE_PATH_MATRIX2).head_dim, test.fixture.config.head_dim);
	}
	assert_int_not_equal(check_of(context, "gemm", GQE_PATH_MATRIX).verdict, GQE_PATH_WRONG);
	assert_int_not_equal(check_of(context, "gemm_gathered", GQE_PATH_MATRIX).verdict, GQE_PATH_WRONG);
	gqe_context_destroy(&context);
}

/* The path of the file that holds the verdicts. */
static void find_file(char *path, size_t size)
{
	DIR *folder = opendir(test.folder);
	assert_non_null(folder);
	path[0] = 0;
	for (struct dirent *entry; (entry = readdir(folder));)
		if (strncmp(entry->d_name, "paths-", strlen("paths-")) == 0)
			snprintf(path, size, "%s/%s", test.folder, entry->d_name);
	closedir(folder);
	assert_int_not_equal(path[0], 0);
}

static void a_damaged_file_is_not_believed(void **state)
{
	(void)state;
	need_matrix();
	char path[600];
	layer_spoil(COOPERATIVE_MATRIX);
	gqe_context *context = open_gpu(test.folder);
	check_layer(context, GQE_DTYPE_F16);
	gqe_context_destroy(&context);
	find_file(path, sizeof(path));
	for (int damage = 0; damage < 3; damage++) {
		FILE *file = fopen(path, damage == 0 ? "wb" : "r+b"); /* truncated; a byte changed; a byte more */
		assert_non_null(file);
		if (damage > 0)
			fseek(file, damage == 1 ? -9 : 0, SEEK_END);
		fputc(0xee, file);
		fclose(file);
		context = open_gpu(test.folder);
		assert_true(test.damaged > 0);
		assert_int_equal(verdicts_in(context), 0);
		check_layer(context, GQE_DTYPE_F16);
		assert_true(test.first_uses >= 2);
		gqe_context_destroy(&context);
	}
}

static void a_folder_that_cannot_be_written_is_no_error(void **state)
{
	(void)state;
	need_matrix();
	gqe_context *context = open_gpu("/dev/null/nowhere");
	check_layer(context, GQE_DTYPE_F16);
	assert_true(test.first_uses >= 2 && test.unwritable > 0);
	gqe_context_destroy(&context);
}

static uint32_t function_named(const char *name)
{
	uint32_t function = 0;
	while (function < layer_function_count && strcmp(layer_functions[function].name, name) != 0)
		function++;
	assert_true(function < layer_function_count);
	return function;
}

/* The kernel that a context checks first, where Vulkan's functions fail. */
static const char first_checked[] = "attention";

static void without_memory_the_path_is_left_alone(void **state)
{
	(void)state;
	need_matrix();
	gqe_context *context = open_gpu(test.folder);
	layer_fail_call(function_named("vkAllocateMemory"), 0, VK_ERROR_OUT_OF_DEVICE_MEMORY);
	check_layer(context, GQE_DTYPE_F16);
	assert_true(layer_has_failed());
	assert_true(is_disabled(check_of(context, first_checked, GQE_PATH_MATRIX).verdict));
	gqe_context_destroy(&context);

	context = open_gpu(test.folder); /* which says nothing about the next time */
	assert_false(is_disabled(check_of(context, first_checked, GQE_PATH_MATRIX).verdict));
	check_layer(context, GQE_DTYPE_F16);
	assert_true(test.first_uses > 0);
	gqe_context_destroy(&context);
}

static void a_path_that_loses_the_device_twice_is_disabled(void **state)
{
	(void)state;
	need_matrix();
	for (int i = 0; i < 2; i++) {
		gqe_context *context = open_gpu(test.folder);
		gqe_layer *layer = NULL;
		gqe_error error = {0};
		layer_fail_call(function_named("vkWaitForFences"), 0, VK_ERROR_DEVICE_LOST);
		assert_status(create_layer(context, GQE_DTYPE_F16, &layer, &error), GQE_ERROR_DEVICE_LOST, &error);
		assert_null(layer);
		gqe_context_destroy(&context);
		layer_reset();
	}
	gqe_context *context = open_gpu(test.folder);
	assert_int_equal(check_of(context, first_checked, GQE_PATH_MATRIX).verdict, GQE_PATH_FAILED);
	check_layer(context, GQE_DTYPE_F16);
	gqe_context_destroy(&context);
}

/* The function that the last context makes pipelines with. */
static const char *making_function(void)
{
	const char *name = "vkCreateComputePipelines";
	for (uint32_t i = 0; layer_asked(i); i++)
		if (strcmp(layer_asked(i), "vkCreateShadersEXT") == 0)
			name = layer_asked(i);
	return name;
}

/* A pipeline that the driver will not make costs the path, not the layer. */
static void a_path_that_does_not_build_is_not_used(void **state)
{
	(void)state;
	need_matrix();
	gqe_context *context = open_gpu(test.folder);
	layer_fail_call(function_named(making_function()), 0, VK_ERROR_UNKNOWN);
	check_layer(context, GQE_DTYPE_F16);
	assert_true(layer_has_failed());
	assert_int_equal(check_of(context, first_checked, GQE_PATH_MATRIX).verdict, GQE_PATH_FAILED);
	gqe_context_destroy(&context);
}

static void a_driver_that_cannot_name_its_matrices_has_none(void **state)
{
	(void)state;
	need_matrix();
	uint32_t function = function_named("vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
	layer_reset();
	gqe_context *context = open_gpu(test.folder);
	uint32_t calls = layer_calls(function);
	gqe_context_destroy(&context);
	assert_true(calls >= 2);
	for (uint32_t call = 0; call < calls; call++)
		for (int i = 0; layer_functions[function].results[i] != VK_SUCCESS; i++) {
			layer_fail_call(function, call, layer_functions[function].results[i]);
			context = open_gpu(test.folder);
			assert_true(layer_has_failed());
			const gqe_device_info *device = gqe_context_device(context);
			assert_int_equal(device->matrix_shape_count, 0);
			for (uint32_t p = 0; p < device->path_count; p++)
				assert_true(device->paths[p] < GQE_PATH_MATRIX);
			check_layer(context, GQE_DTYPE_F16);
			gqe_context_destroy(&context);
		}
	layer_reset();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_folder, remove_the_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_no_default_uses_is_not_checked),
		TEST(a_verdict_is_made_once_and_kept),
		TEST(the_check_ends_in_time_and_is_taken_up_again),
		TEST(a_wrong_path_is_disabled),
		TEST(a_wrong_path_of_one_kernel_leaves_the_others),
		TEST(a_damaged_file_is_not_believed),
		TEST(a_folder_that_cannot_be_written_is_no_error),
		TEST(without_memory_the_path_is_left_alone),
		TEST(a_path_that_loses_the_device_twice_is_disabled),
		TEST(a_path_that_does_not_build_is_not_used),
		TEST(a_driver_that_cannot_name_its_matrices_has_none),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
