/* What `gqe devices` says about the checks of kernel paths: what a context has left in the user's cache folder. */
#include "support/layer_fixture.h"
#include "support/program_runner.h"
#include "support/vulkan_layer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The capability that SPIR-V with cooperative matrices declares. */
enum { COOPERATIVE_MATRIX = 6022 };

/* The verdict on a kernel's path in a device's JSON; NULL: there is none. Of the first device. */
static const char *verdict_in(const cJSON *document, const char *kernel, gqe_path path)
{
	const cJSON *device = cJSON_GetArrayItem(cJSON_GetObjectItem(document, "devices"), 0), *check;
	const cJSON *checks = cJSON_GetObjectItem(device, "path_checks");
	assert_true(cJSON_IsArray(checks));
	cJSON_ArrayForEach(check, checks) {
		if (strcmp(cJSON_GetObjectItem(check, "kernel")->valuestring, kernel) == 0 &&
		    strcmp(cJSON_GetObjectItem(check, "path")->valuestring, gqe_path_name(path)) == 0)
			return cJSON_GetObjectItem(check, "verdict")->valuestring;
	}
	return NULL;
}

static cJSON *list_devices(void)
{
	struct result result = RUN("devices", "--json");
	assert_int_equal(result.exit_code, 0);
	cJSON *document = parse_json(&result);
	result_free(&result);
	return document;
}

static void a_layer_is_made_as_on_a_gpu(void)
{
	struct random random = {11};
	struct layer_fixture fixture;
	gqe_layer_config config = small_layer_config();
	gqe_error error = {0};
	gqe_context *context = NULL;
	gqe_vulkan_import import = {.size = sizeof(import), .get_instance_proc_addr = layer_entry()};
	gqe_context_params params = {.size = sizeof(params), .vulkan = &import};
	fixture_init(&fixture, &config, false, &random);
	layer_hide_extension("VK_NV_cooperative_matrix2"); /* its kernel takes long to compile on a CPU driver */
	layer_spoil(COOPERATIVE_MATRIX);
	layer_disguise(VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
	assert_ok(gqe_context_create(&params, &context, &error), &error);
	gqe_layer *layer = make_layer(context, &fixture, GQE_DTYPE_F16, 1, 8, 8);
	gqe_layer_destroy(&layer);
	gqe_context_destroy(&context);
	fixture_free(&fixture);
}

static void devices_reports_what_was_checked(void **state)
{
	(void)state;
	assert_int_equal(mkdir(in_folder("cache"), 0700), 0);
	setenv("XDG_CACHE_HOME", in_folder("cache"), 1);
	cJSON *before = list_devices();
	const char *verdict = verdict_in(before, "gemm", GQE_PATH_MATRIX);
	if (verdict == NULL) {
		cJSON_Delete(before);
		print_message("the driver has no matrices\n");
		skip();
	}
	assert_string_equal(verdict, "unchecked");
	cJSON_Delete(before);
	a_layer_is_made_as_on_a_gpu();
	cJSON *after = list_devices();
	assert_string_equal(verdict_in(after, "gemm", GQE_PATH_MATRIX), "wrong");
	assert_string_equal(verdict_in(after, "gemm_gathered", GQE_PATH_MATRIX), "wrong");
	cJSON_Delete(after);

	struct result result = RUN("devices");
	assert_int_equal(result.exit_code, 0);
	assert_non_null(strstr(result.out, "matrix, gemm: disabled: wrong by"));
	result_free(&result);
	result = RUN("devices", "--device", "0");
	assert_non_null(strstr(result.out, "matrix, gemm: disabled: wrong by"));
	result_free(&result);
	result = RUN("devices", "--device", "0", "--cache-dir", "");
	assert_null(strstr(result.out, "matrix, gemm: ")); /* nothing is known, and a CPU driver checks nothing by itself */
	result_free(&result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_reports_what_was_checked),
	};
	return cmocka_run_group_tests(tests, program_open_folder, program_remove_folder);
}
