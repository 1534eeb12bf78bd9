/* NULL in the place of every object and of everything required: a status with a message, or nothing, and never a crash. */
#include <gqe/gqe_bench.h>
#include <gqe/gqe_tune.h>
#include <gqe/gqe_vulkan.h>
#include <string.h>

#include "support/model_fixture.h"

static void functions_without_a_status_take_null(void **state)
{
	(void)state;
	gqe_memory_info memory = {1, 1, 1};
	gqe_path_check checks[GQE_MAX_PATH_CHECKS];
	size_t count = 1;
	gqe_session_cancel(NULL);
	gqe_layer_cancel(NULL);
	gqe_context_memory(NULL, NULL);
	gqe_context_memory(NULL, &memory);
	assert_true(memory.used == 0 && memory.peak == 0 && memory.limit == 0);
	assert_null(gqe_context_device(NULL));
	assert_int_equal(gqe_context_validation_errors(NULL), 0);
	assert_int_equal(gqe_context_path_checks(NULL, checks), 0);
	assert_int_equal(gqe_context_path_checks(NULL, NULL), 0);
	assert_int_equal(gqe_context_tuned_count(NULL), 0);
	assert_null(gqe_session_logits(NULL));
	assert_int_equal(gqe_session_position(NULL), 0);
	assert_int_equal(gqe_session_chunk(NULL), 0);
	assert_int_equal(gqe_layer_position(NULL), 0);
	assert_null(gqe_model_get_config(NULL));
	assert_null(gqe_model_files_config(NULL));
	assert_null(gqe_model_files_tensors(NULL, &count));
	assert_int_equal(count, 0);
	assert_null(gqe_model_files_tensors(NULL, NULL));
	count = 1;
	assert_null(gqe_tensor_file_tensors(NULL, &count));
	assert_int_equal(count, 0);
	assert_null(gqe_tensor_file_tensors(NULL, NULL));
	assert_null(gqe_tensor_file_find(NULL, "x"));
	assert_true(gqe_bench_get_info(NULL).flop == 0);
}

static void destroying_null_does_nothing(void **state)
{
	(void)state;
	gqe_context *context = NULL;
	gqe_context_destroy(NULL);
	gqe_context_destroy(&context);
	gqe_layer_destroy(NULL);
	gqe_model_destroy(NULL);
	gqe_session_destroy(NULL);
	gqe_model_files_destroy(NULL);
	gqe_tensor_file_destroy(NULL);
	gqe_device_list_destroy(NULL);
	gqe_vulkan_requirements_destroy(NULL);
	gqe_bench_destroy(NULL);
}

/* GQE_ERROR_USAGE, and the reason in `error`. */
#define assert_usage(call)                                       \
	do {                                                     \
		error = (gqe_error){0};                          \
		assert_status((call), GQE_ERROR_USAGE, &error);  \
		assert_int_equal(error.status, GQE_ERROR_USAGE); \
		assert_int_not_equal(error.message[0], 0);       \
	} while (0)

static void what_is_required_is_asked_for(void **state)
{
	(void)state;
	gqe_error error;
	uint64_t bytes;
	size_t count;
	gqe_memory_estimate estimate;
	gqe_bench_times times;
	gqe_layer *layer;
	gqe_model *model;
	gqe_session *session;
	gqe_tensor_file *file;
	gqe_model_files *files;
	gqe_bench *bench;
	gqe_vulkan_requirements *requirements;
	gqe_layer_config config;
	const gqe_layer_params layer_params = {.size = sizeof(layer_params), .max_tokens = 1};
	assert_usage(gqe_context_create(NULL, NULL, &error));
	assert_usage(gqe_device_list_create(NULL, &error));
	assert_usage(gqe_device_list_probe(NULL, &error));
	assert_usage(gqe_tensor_file_open(NULL, &file, &error));
	assert_usage(gqe_tensor_file_open("x", NULL, &error));
	assert_usage(gqe_tensor_file_write(NULL, NULL, 0, &error));
	assert_usage(gqe_tensor_file_write("x", NULL, 1, &error));
	assert_usage(gqe_layer_config_check(NULL, &error));
	assert_usage(gqe_layer_config_read(NULL, &config, &error));
	assert_usage(gqe_layer_config_read("x", NULL, &error));
	assert_usage(gqe_layer_create(NULL, &layer_params, &layer, &error));
	assert_usage(gqe_layer_create(NULL, NULL, NULL, &error));
	assert_usage(gqe_layer_forward(NULL, NULL, &error));
	assert_usage(gqe_layer_seek(NULL, 0, &error));
	assert_non_null(strstr(error.message, "layer is NULL"));
	assert_usage(gqe_layer_record(NULL, NULL, NULL, &error));
	assert_usage(gqe_layer_submit(NULL, NULL, NULL, &error));
	assert_usage(gqe_vulkan_kv_cache_bytes(NULL, &bytes, &error));
	assert_usage(gqe_vulkan_kv_cache_bytes(&layer_params, NULL, &error));
	assert_usage(gqe_vulkan_requirements_create(NULL, &requirements, &error));
	assert_usage(gqe_vulkan_requirements_create(NULL, NULL, &error));
	assert_usage(gqe_model_files_open(NULL, &files, &error));
	assert_usage(gqe_model_files_open("x", NULL, &error));
	assert_usage(gqe_model_estimate(NULL, GQE_DTYPE_F32, NULL, 0, &estimate, &error));
	assert_usage(gqe_model_load(NULL, NULL, NULL, &model, &error));
	assert_usage(gqe_model_load(NULL, NULL, NULL, NULL, &error));
	assert_usage(gqe_session_create(NULL, NULL, &session, &error));
	assert_usage(gqe_session_create(NULL, NULL, NULL, &error));
	assert_usage(gqe_session_prefill(NULL, NULL, &error));
	assert_usage(gqe_session_rewind(NULL, 0, &error));
	assert_non_null(strstr(error.message, "session is NULL"));
	assert_usage(gqe_session_balance(NULL, 0, NULL, NULL, NULL, &error));
	assert_usage(gqe_session_routing(NULL, 0, 0, 0, NULL, &error));
	assert_usage(gqe_tokenize(NULL, "x", 1, NULL, 0, &count, &error));
	assert_usage(gqe_detokenize(NULL, 0, NULL, 0, &count, &error));
	assert_usage(gqe_selftest(NULL, NULL, &error));
	assert_usage(gqe_tune(NULL, NULL, NULL, &error));
	assert_usage(gqe_bench_create(NULL, NULL, &bench, &error));
	assert_usage(gqe_bench_create(NULL, NULL, NULL, &error));
	assert_usage(gqe_bench_sample(NULL, &times, &error));
}

/* Where there is an object: what it is asked for may still be NULL. */
static void objects_take_null_for_what_they_give(void **state)
{
	(void)state;
	gqe_error error;
	struct model_fixture fixture = {.config = small_model_config(), .seed = 1};
	model_fixture_init(&fixture);
	gqe_context *context = open_reference();
	gqe_model *model = load_model(context, fixture.files, GQE_DTYPE_F32);
	gqe_session *session = make_session(model, 4, 4, true);
	const int32_t token = 1;
	gqe_context_memory(context, NULL);
	assert_int_equal(gqe_context_path_checks(context, NULL), 0);
	assert_non_null(gqe_model_files_tensors(fixture.files, NULL));
	assert_null(gqe_session_logits(session));
	assert_usage(gqe_session_prefill(session, NULL, &error));
	prefill(session, &token, 1, NULL, NULL);
	assert_usage(gqe_session_routing(session, 0, 0, 1, NULL, &error));
	assert_ok(gqe_session_balance(session, 0, NULL, NULL, NULL, &error), &error);
	assert_usage(gqe_model_estimate(fixture.files, GQE_DTYPE_F32, NULL, 0, NULL, &error));
	assert_usage(gqe_tokenize(&fixture.config, NULL, 1, NULL, 0, NULL, &error));
	gqe_session_destroy(&session);
	gqe_model_destroy(&model);
	close_context(&context);
	model_fixture_free(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_without_a_status_take_null),
		cmocka_unit_test(destroying_null_does_nothing),
		cmocka_unit_test(what_is_required_is_asked_for),
		cmocka_unit_test(objects_take_null_for_what_they_give),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
