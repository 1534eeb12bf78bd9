/* The 24 golden cases, computed in float64 from the specification alone, on the device under test in F32 and F16. */
#include "support/layer_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN_COUNT 24
/* large_logits has scores of several hundred, where float32's own rounding is that much larger. */
#define TOLERANCE_F32_LARGE_LOGITS 3e-5
#define TOLERANCE_F16_LARGE_LOGITS 8e-2

struct golden {
	gqe_layer_config config;
	gqe_tensor_file *weights, *input, *expected;
	const gqe_tensor *x, *y, *experts, *gate;
};

static void golden_open(struct golden *golden, const char *name)
{
	gqe_error error = {0};
	char path[768];
	snprintf(path, sizeof(path), "%s/%s/config.json", GQE_GOLDENS, name);
	assert_ok(gqe_layer_config_read(path, &golden->config, &error), &error);
	snprintf(path, sizeof(path), "%s/%s/weights.safetensors", GQE_GOLDENS, name);
	assert_ok(gqe_tensor_file_open(path, &golden->weights, &error), &error);
	snprintf(path, sizeof(path), "%s/%s/input.safetensors", GQE_GOLDENS, name);
	assert_ok(gqe_tensor_file_open(path, &golden->input, &error), &error);
	snprintf(path, sizeof(path), "%s/%s/expected.safetensors", GQE_GOLDENS, name);
	assert_ok(gqe_tensor_file_open(path, &golden->expected, &error), &error);
	golden->x = gqe_tensor_file_find(golden->input, "x");
	golden->y = gqe_tensor_file_find(golden->expected, "y");
	golden->experts = gqe_tensor_file_find(golden->expected, "experts");
	golden->gate = gqe_tensor_file_find(golden->expected, "gate");
	assert_non_null(golden->x);
	assert_non_null(golden->y);
	assert_int_equal(golden->x->rank, 3);
}

static void golden_close(struct golden *golden)
{
	gqe_tensor_file_destroy(&golden->weights);
	gqe_tensor_file_destroy(&golden->input);
	gqe_tensor_file_destroy(&golden->expected);
}

/* A copy, as data in a file need not be aligned. */
static void *tensor_copy(const gqe_tensor *tensor)
{
	return memcpy(must_allocate(tensor->bytes), tensor->data, tensor->bytes);
}

static void check_golden(gqe_context *context, const char *name, gqe_dtype dtype)
{
	struct golden golden;
	golden_open(&golden, name);
	struct layer_fixture fixture = {.config = golden.config};
	const gqe_tensor *tensors = gqe_tensor_file_tensors(golden.weights, &fixture.tensor_count);
	assert_true(fixture.tensor_count <= FIXTURE_TENSORS);
	memcpy(fixture.tensors, tensors, fixture.tensor_count * sizeof(*tensors));

	bool large = strcmp(name, "large_logits") == 0;
	double tolerance = dtype == GQE_DTYPE_F32 ? (large ? TOLERANCE_F32_LARGE_LOGITS : TOLERANCE_F32)
						  : (large ? TOLERANCE_F16_LARGE_LOGITS : TOLERANCE_F16);
	uint32_t batch = (uint32_t)golden.x->shape[0], tokens = (uint32_t)golden.x->shape[1];
	size_t count = golden.y->bytes / 4, selected = (size_t)batch * tokens * fixture_selected(&fixture);
	float *x = tensor_copy(golden.x), *y = tensor_copy(golden.y);
	struct layer_output output;
	run_layer(context, &fixture, dtype, x, batch, tokens, 0, &output);
	assert_close(output.y, y, count, tolerance, "%s y", name);
	print_message("%-22s %s %.2e of %.0e\n", name, gqe_dtype_name(dtype), relative_error(output.y, y, count), tolerance);
	if (selected) {
		assert_int_equal(golden.experts->bytes, selected * 4);
		assert_memory_equal(output.experts, golden.experts->data, selected * 4);
		float *gate = tensor_copy(golden.gate);
		assert_close(output.gate, gate, selected, TOLERANCE_F32, "%s gate", name);
		free(gate);
	}
	output_free(&output);
	free(x);
	free(y);
	golden_close(&golden);
}

static int check_all(gqe_context *context, gqe_dtype dtype)
{
	DIR *folder = opendir(GQE_GOLDENS);
	assert_non_null(folder);
	int checked = 0;
	for (struct dirent *entry; (entry = readdir(folder));) {
		if (entry->d_name[0] == '.')
			continue;
		check_golden(context, entry->d_name, dtype);
		checked++;
	}
	closedir(folder);
	return checked;
}

/* Both ways to compute queries, whichever the device would choose for so few tokens. */
static void f32_agrees_with_every_golden(void **state)
{
	(void)state;
	for (gqe_query_mode mode = GQE_QUERIES_GATHERED; mode <= GQE_QUERIES_DENSE; mode++) {
		gqe_context *context = open_device(&(gqe_context_params){.force_queries = mode});
		print_message("%s queries\n", gqe_query_mode_name(mode));
		assert_int_equal(check_all(context, GQE_DTYPE_F32), GOLDEN_COUNT);
		close_context(&context);
	}
}

/* The upper paths multiply in f16; on a CPU the device would not choose them. */
static void f16_agrees_on_every_path(void **state)
{
	(void)state;
	gqe_context *context = open_device(NULL);
	const gqe_device_info *device = gqe_context_device(context);
	if (device == NULL || !can_f16(context) || path_under_test() != 0) {
		close_context(&context);
		print_message("there is one path\n");
		skip();
	}
	gqe_path paths[8];
	uint32_t count = device->path_count;
	memcpy(paths, device->paths, sizeof(paths));
	close_context(&context);
	for (uint32_t i = 0; i + 1 < count; i++) {
		print_message("path %s\n", gqe_path_name(paths[i]));
		context = open_device(&(gqe_context_params){.force_path = paths[i]});
		assert_int_equal(check_all(context, GQE_DTYPE_F16), GOLDEN_COUNT);
		close_context(&context);
	}
}

/* Where the device has no 16-bit storage, asking for F16 is a clear error and nothing else. */
static void f16_agrees_or_is_refused(void **state)
{
	(void)state;
	gqe_context *context = open_device(NULL);
	if (can_f16(context)) {
		assert_int_equal(check_all(context, GQE_DTYPE_F16), GOLDEN_COUNT);
	} else {
		struct random random = {7};
		struct layer_fixture fixture;
		gqe_layer_config config = small_layer_config();
		fixture_init(&fixture, &config, false, &random);
		gqe_error error = {0};
		gqe_layer *layer = (gqe_layer *)&error;
		gqe_layer_params params = {.size = sizeof(params),
					   .config = &config,
					   .tensors = fixture.tensors,
					   .tensor_count = fixture.tensor_count,
					   .dtype = GQE_DTYPE_F16,
					   .max_tokens = 4};
		gqe_status status = gqe_layer_create(context, &params, &layer, &error);
		assert_int_not_equal(status, GQE_OK);
		assert_int_equal(error.status, status);
		assert_null(layer);
		assert_non_null(strstr(error.message, "16"));
		print_message("no 16-bit storage, refused: %s\n", error.message);
		fixture_free(&fixture);
	}
	close_context(&context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(f32_agrees_with_every_golden),
		cmocka_unit_test(f16_agrees_or_is_refused),
		cmocka_unit_test(f16_agrees_on_every_path),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
