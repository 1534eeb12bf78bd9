/* Contexts: listing and choosing devices, wrong arguments, the pipeline cache on disk, logging, validation. */
#include "support/layer_fixture.h"
#include "support/vulkan_layer.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void every_listed_device_is_described(void **state)
{
	(void)state;
	gqe_error error = {0};
	gqe_device_list *list = NULL;
	assert_ok(gqe_device_list_create(&list, &error), &error);
	assert_true(list->count > 0);
	for (uint32_t i = 0; i < list->count; i++) {
		const gqe_device_info *device = &list->devices[i];
		assert_int_equal(device->index, i);
		assert_int_not_equal(device->name[0], 0);
		assert_int_equal(device->usable, device->rejected[0] == 0);
		if (!device->usable)
			continue;
		assert_true(device->path_count > 0 && device->paths[0] == GQE_PATH_SCALAR);
		assert_true(device->heap_bytes > 0 && device->max_allocation_bytes > 0);
		assert_true(device->subgroup_size > 0 && device->subgroup_size_min <= device->subgroup_size_max);
	}
	gqe_device_list_destroy(&list);
	assert_null(list);
	gqe_device_list_destroy(&list);
	assert_status(gqe_device_list_create(NULL, &error), GQE_ERROR_USAGE, &error);
}

static void open_by(const char *selector, const gqe_device_info *expected)
{
	gqe_error error = {0};
	gqe_context *context = NULL;
	gqe_context_params params = {.size = sizeof(params), .device = selector};
	assert_ok(gqe_context_create(&params, &context, &error), &error);
	assert_memory_equal(gqe_context_device(context)->uuid, expected->uuid, 16);
	gqe_context_destroy(&context);
}

static void a_device_is_chosen_by_index_name_or_uuid(void **state)
{
	(void)state;
	gqe_context *context = open_device(NULL);
	gqe_device_info device = *gqe_context_device(context);
	close_context(&context);
	char text[64];
	snprintf(text, sizeof(text), "%u", device.index);
	open_by(text, &device);
	snprintf(text, sizeof(text), "%02x%02x%02X", device.uuid[0], device.uuid[1], device.uuid[2]);
	open_by(text, &device);
	size_t length = strlen(device.name) < 8 ? strlen(device.name) : 8;
	for (size_t i = 0; i < length; i++)
		text[i] = (char)toupper((unsigned char)device.name[i]);
	text[length] = 0;
	open_by(text, &device);
}

static void expect_failure(const gqe_context_params *params, gqe_status expected)
{
	gqe_error error = {0};
	gqe_context *context = (gqe_context *)&error;
	assert_status(gqe_context_create(params, &context, &error), expected, &error);
	assert_null(context);
	assert_int_equal(error.status, expected);
	assert_int_not_equal(error.message[0], 0);
}

static void wrong_choices_are_clear_errors(void **state)
{
	(void)state;
	gqe_error error = {0};
	expect_failure(&(gqe_context_params){.size = sizeof(gqe_context_params), .device = "no such device"}, GQE_ERROR_NO_DEVICE);
	expect_failure(&(gqe_context_params){.size = sizeof(gqe_context_params), .device = "9999"}, GQE_ERROR_NO_DEVICE);
	expect_failure(&(gqe_context_params){.size = sizeof(gqe_context_params), .force_path = (gqe_path)99}, GQE_ERROR_USAGE);
	expect_failure(&(gqe_context_params){.device = "reference"}, GQE_ERROR_USAGE); /* size forgotten */
	assert_status(gqe_context_create(NULL, NULL, &error), GQE_ERROR_USAGE, &error);
	gqe_context *context = NULL;
	assert_int_equal(gqe_context_create(&(gqe_context_params){.size = sizeof(gqe_context_params), .device = "no such device"},
					    &context, NULL),
			 GQE_ERROR_NO_DEVICE); /* the error may be NULL */
	gqe_context_destroy(NULL);
	gqe_context_destroy(&context);
}

/* A program built with an older header passes a smaller struct: what lies beyond must not be read. */
static void a_smaller_params_struct_is_accepted(void **state)
{
	(void)state;
	gqe_error error = {0};
	gqe_context *context = NULL;
	gqe_context_params params;
	memset(&params, 0xff, sizeof(params));
	params.size = offsetof(gqe_context_params, memory_limit);
	params.device = "reference";
	assert_ok(gqe_context_create(&params, &context, &error), &error);
	assert_null(gqe_context_device(context));
	gqe_context_destroy(&context);
	assert_int_equal(gqe_version(), GQE_VERSION);
}

/* y [3, 48] of a fixed layer on a context that is opened for it. */
static void compute_on(gqe_context_params params, float y[3 * 48])
{
	struct random random = {1};
	struct layer_fixture fixture;
	gqe_layer_config config = small_layer_config();
	fixture_init(&fixture, &config, false, &random);
	float *x = draw_input(&fixture, 3, &random);
	gqe_context *context = open_device(&params);
	gqe_layer *layer = make_layer(context, &fixture, GQE_DTYPE_F32, 1, 3, 3);
	forward(layer, 3, x, y, NULL, NULL);
	gqe_layer_destroy(&layer);
	close_context(&context);
	free(x);
	fixture_free(&fixture);
}

static void compute(const char *cache_dir, gqe_log_fn log, void *log_user, float y[3 * 48])
{
	compute_on(
		(gqe_context_params){
			.cache_dir = cache_dir, .log = log, .log_user = log_user, .log_level = log ? GQE_LOG_DEBUG : 0},
		y);
}

/* The only file in the folder; its size is returned. */
static long cache_file(const char *folder, char path[512])
{
	struct stat about = {0};
	int count = 0;
	DIR *entries = opendir(folder);
	assert_non_null(entries);
	for (struct dirent *entry; (entry = readdir(entries));)
		if (entry->d_name[0] != '.') {
			snprintf(path, 512, "%s/%s", folder, entry->d_name);
			count++;
		}
	closedir(entries);
	assert_int_equal(count, 1);
	assert_int_equal(stat(path, &about), 0);
	return (long)about.st_size;
}

static void a_corrupt_pipeline_cache_is_a_miss(void **state)
{
	(void)state;
	char folder[256], path[512];
	float want[3 * 48], got[3 * 48];
	make_folder(folder);
	compute(folder, NULL, NULL, want);
	long size = cache_file(folder, path);
	for (int damage = 0; damage < 4; damage++) {
		FILE *file = fopen(path, damage == 0 ? "wb" : "r+b");
		assert_non_null(file);
		if (damage == 1)
			assert_int_equal(ftruncate(fileno(file), size / 2), 0);
		fseek(file, damage == 2 ? size / 2 : damage == 3 ? size : 0, SEEK_SET);
		if (damage > 1)
			fputs("this is no pipeline cache", file);
		fclose(file);
		compute(folder, NULL, NULL, got);
		assert_memory_equal(got, want, sizeof(want));
		assert_true(cache_file(folder, path) > 0);
	}
	remove_folder(folder);
}

static uint32_t calls_of(const char *name)
{
	uint32_t function = 0;
	while (strcmp(layer_functions[function].name, name) != 0)
		function++;
	return layer_calls(function);
}

/* The fixed layer's y on a context that is seen through the tests' layer, whose counts start anew. */
static void compute_watched(const char *cache_dir, float y[3 * 48])
{
	gqe_vulkan_import import = {.size = sizeof(import), .get_instance_proc_addr = layer_entry()};
	layer_reset();
	compute_on((gqe_context_params){.cache_dir = cache_dir, .vulkan = &import}, y);
}

/* Where pipelines are shader objects: a binary is asked for of each that was made of SPIR-V, and of no other. */
static void a_later_context_makes_nothing_of_spirv(void **state)
{
	(void)state;
	char folder[256], path[512];
	float want[3 * 48], got[3 * 48];
	make_folder(folder);
	compute_watched(folder, want);
	const uint32_t shaders = calls_of("vkCreateShadersEXT");
	if (shaders == 0) {
		remove_folder(folder);
		print_message("the driver has no shader objects, or a pipeline cache\n");
		skip();
	}
	assert_int_equal(calls_of("vkCreateComputePipelines"), 0);
	assert_int_equal(calls_of("vkGetShaderBinaryDataEXT"), 2 * shaders); /* how many bytes, and these */
	compute_watched(folder, got);
	assert_int_equal(calls_of("vkCreateShadersEXT"), shaders);
	assert_int_equal(calls_of("vkGetShaderBinaryDataEXT"), 0);
	assert_memory_equal(got, want, sizeof(want));
	assert_true(cache_file(folder, path) > 0);
	compute_watched("", got);
	assert_int_equal(calls_of("vkCreateShadersEXT"), shaders);
	assert_int_equal(calls_of("vkGetShaderBinaryDataEXT"), 0);
	assert_memory_equal(got, want, sizeof(want));
	remove_folder(folder);
}

static void a_cache_folder_that_cannot_be_is_no_error(void **state)
{
	(void)state;
	char folder[256], file[300];
	float y[3 * 48];
	make_folder(folder);
	snprintf(file, sizeof(file), "%s/file", folder);
	write_text(file, "not a folder");
	compute(file, NULL, NULL, y);
	remove_folder(folder);
}

static void count_message(void *user, gqe_log_level level, const char *message)
{
	uint32_t *counts = user;
	assert_true(level >= GQE_LOG_ERROR && level <= GQE_LOG_DEBUG);
	assert_non_null(message);
	assert_null(strchr(message, '\n'));
	counts[level]++;
}

static void messages_go_to_the_callback_and_nowhere_else(void **state)
{
	(void)state;
	char folder[256], path[300];
	float y[3 * 48];
	uint32_t counts[GQE_LOG_DEBUG + 1] = {0};
	make_folder(folder);
	snprintf(path, sizeof(path), "%s/output", folder);
	fflush(stdout);
	fflush(stderr);
	int file = open(path, O_CREAT | O_RDWR, 0600), out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
	assert_true(file >= 0 && out >= 0 && err >= 0);
	dup2(file, STDOUT_FILENO);
	dup2(file, STDERR_FILENO);
	compute("", count_message, counts, y);
	fflush(stdout);
	fflush(stderr);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	off_t printed = lseek(file, 0, SEEK_END);
	close(file);
	close(out);
	close(err);
	remove_folder(folder);
	assert_int_equal(printed, 0);
	assert_true(counts[GQE_LOG_INFO] + counts[GQE_LOG_DEBUG] > 0);
	assert_int_equal(counts[GQE_LOG_ERROR], 0);
}

static void memory_is_accounted_for(void **state)
{
	(void)state;
	gqe_memory_info info;
	struct random random = {1};
	struct layer_fixture fixture;
	gqe_layer_config config = small_layer_config();
	gqe_error error = {0};
	fixture_init(&fixture, &config, false, &random);
	gqe_context *context = open_device(&(gqe_context_params){.memory_limit = 64 << 20});
	gqe_context_memory(context, &info);
	assert_int_equal(info.limit, 64 << 20);
	uint64_t before = info.used;
	gqe_layer *layer = make_layer(context, &fixture, GQE_DTYPE_F32, 1, 1000, 10);
	gqe_context_memory(context, &info);
	uint64_t cache = 2ull * 1000 * config.kv_heads * config.head_dim * sizeof(float); /* K and V */
	assert_true(info.used >= before + cache && info.peak >= info.used);
	gqe_layer_destroy(&layer);
	gqe_layer_params params = {.size = sizeof(params),
				   .config = &config,
				   .tensors = fixture.tensors,
				   .tensor_count = fixture.tensor_count,
				   .max_tokens = 10000000,
				   .chunk = 10};
	gqe_context_memory(context, &info);
	before = info.used;
	assert_status(gqe_layer_create(context, &params, &layer, &error), GQE_ERROR_OUT_OF_MEMORY, &error);
	gqe_context_memory(context, &info);
	assert_int_equal(info.used, before);
	close_context(&context);
	fixture_free(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_listed_device_is_described),
		cmocka_unit_test(a_device_is_chosen_by_index_name_or_uuid),
		cmocka_unit_test(wrong_choices_are_clear_errors),
		cmocka_unit_test(a_smaller_params_struct_is_accepted),
		cmocka_unit_test(a_corrupt_pipeline_cache_is_a_miss),
		cmocka_unit_test(a_later_context_makes_nothing_of_spirv),
		cmocka_unit_test(a_cache_folder_that_cannot_be_is_no_error),
		cmocka_unit_test(messages_go_to_the_callback_and_nowhere_else),
		cmocka_unit_test(memory_is_accounted_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
