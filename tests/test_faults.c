/*
 * Every Vulkan function that can fail is made to fail, one call at a time, at each call of: opening a device, loading a model, a
 * prefill, a decode step, and destroying everything. Each time the failure must be reported, nothing may leak, the validation layer
 * must have nothing to say, and what was tried must succeed when it is tried again: on the same session, on the same context, or,
 * where the device was lost, on another.
 */
#include "support/model_fixture.h"
#include "support/vulkan_layer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPT = 5, VOCABULARY = 61 };

static struct {
	struct model_fixture model;
	char cache_dir[256];
	int32_t *tokens;          /* [PROMPT + 1] */
	float logits[VOCABULARY]; /* after all of them, without a fault */
	char last_message[1100];  /* of the log, error or warning */
	char fault[200];          /* the one that is injected, in words */
	bool nothing_cached;      /* in the cache folder before each run */
} test;

static void note_message(void *user, gqe_log_level level, const char *message)
{
	(void)user;
	if (strncmp(message, "validation", strlen("validation")) == 0)
		fail_msg("with %s: %s", test.fault, message);
	if (level <= GQE_LOG_WARNING)
		snprintf(test.last_message, sizeof(test.last_message), "%s", message);
}

static gqe_status open_context(gqe_context **context, gqe_error *error)
{
	const char *validation = getenv("GQE_TEST_VALIDATION");
	gqe_vulkan_import import = {.size = sizeof(import), .get_instance_proc_addr = layer_entry()};
	gqe_context_params params = {
		.size = sizeof(params),
		.cache_dir = test.cache_dir,
		.validation = validation && validation[0] == '1',
		.force_path = path_under_test(),
		/* As many submits in every run: otherwise the machine's load decides which calls there are. */
		.submit_target_ms = 60000,
		.submit_cap_ms = 60000,
		.log = note_message,
		.vulkan = &import,
	};
	return gqe_context_create(&params, context, error);
}

/* Prompt and one decode step, from where the session is. */
static gqe_status compute(gqe_session *session, gqe_error *error)
{
	float nll[PROMPT];
	gqe_status status = GQE_OK;
	if (gqe_session_position(session) == 0) {
		gqe_prefill_params prompt = {.size = sizeof(prompt), .tokens = test.tokens, .count = PROMPT, .nll = nll};
		status = gqe_session_prefill(session, &prompt, error);
	}
	if (status == GQE_OK) {
		gqe_prefill_params step = {.size = sizeof(step), .tokens = test.tokens + PROMPT, .count = 1};
		status = gqe_session_prefill(session, &step, error);
	}
	return status;
}

/* Model, session, prompt and decode step. A computation that fails is tried again on the same session. */
static gqe_status use_context(gqe_context *context, float *logits, gqe_error *error)
{
	gqe_model *model = NULL;
	gqe_session *session = NULL;
	gqe_model_params model_params = {.size = sizeof(model_params)};
	gqe_session_params session_params = {.size = sizeof(session_params), .max_tokens = 16, .chunk = 4};
	gqe_status status = gqe_model_load(context, test.model.files, &model_params, &model, error);
	if (status == GQE_OK)
		status = gqe_session_create(model, &session_params, &session, error);
	if (status == GQE_OK) {
		status = compute(session, error);
		gqe_error again = {0};
		if (status != GQE_OK && status != GQE_ERROR_DEVICE_LOST && compute(session, &again) != GQE_OK)
			fail_msg("with %s: not even on the second try: %s", test.fault, again.message);
		if (status != GQE_ERROR_DEVICE_LOST)
			memcpy(logits, gqe_session_logits(session), sizeof(test.logits));
	}
	gqe_session_destroy(&session);
	gqe_model_destroy(&model);
	return status;
}

static void check_logits(const float *logits)
{
	if (memcmp(logits, test.logits, sizeof(test.logits)) != 0)
		fail_msg("with %s: the logits are others than without", test.fault);
}

static void expect_success(gqe_context *context)
{
	float logits[VOCABULARY];
	gqe_error error = {0};
	if (use_context(context, logits, &error) != GQE_OK)
		fail_msg("after %s: %s", test.fault, error.message);
	check_logits(logits);
}

static void close_faulty(gqe_context **context)
{
	assert_int_equal(gqe_context_validation_errors(*context), 0);
	gqe_context_destroy(context);
	if (layer_leaks()[0])
		fail_msg("with %s: these were never destroyed: %s", test.fault, layer_leaks());
}

/* The message names call, result and device, and says what to do; a driver that fails early is named as a device that is no use. */
static void check_message(const char *message, const char *function, const char *result)
{
	if (strstr(message, function) && strstr(message, result) && strstr(message, "no device is usable; the devices are 0: "))
		return;
	if (!strstr(message, function) || !strstr(message, result) || !strstr(message, " on ") || !strchr(message, ';'))
		fail_msg("with %s the message is only: %s", test.fault, message);
}

/* Whether there is another way to what that function is for. */
static bool is_done_without(const char *function)
{
	/* The paths below need no matrices; the logits are in f32, for which there are none. */
	return strcmp(function, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR") == 0 ||
	       /* From SPIR-V instead of the cached binary. */
	       (strcmp(function, "vkCreateShadersEXT") == 0 && !test.nothing_cached);
}

static void empty_cache(void)
{
	remove_folder(test.cache_dir);
	make_folder(test.cache_dir);
}

/* A whole run with that fault, which must have been chosen so that it happens. */
static void run_with_fault(uint32_t function, uint32_t call, VkResult result, const char *result_name)
{
	const char *name = layer_functions[function].name;
	float logits[VOCABULARY];
	gqe_error error = {0};
	gqe_context *context = NULL;
	snprintf(test.fault, sizeof(test.fault), "%s, call %u, failing with %s", name, call, result_name);
	test.last_message[0] = 0;
	if (test.nothing_cached)
		empty_cache();
	layer_fail_call(function, call, result);
	gqe_status status = open_context(&context, &error);
	if (status == GQE_OK)
		status = use_context(context, logits, &error);
	bool before_destroying = layer_has_failed();
	if (context && before_destroying && status != GQE_ERROR_DEVICE_LOST)
		expect_success(context);
	close_faulty(&context);
	if (!layer_has_failed())
		fail_msg("%s: there was no such call", test.fault);
	if (!before_destroying) {
		check_message(test.last_message, name, result_name); /* gqe_context_destroy has no other way to say so */
		return;
	}
	if (is_done_without(name)) {
		assert_status(status, GQE_OK, &error);
		check_logits(logits);
		return;
	}
	if (status == GQE_OK)
		fail_msg("%s was not reported", test.fault);
	assert_int_equal(error.status, status);
	if (result == VK_ERROR_DEVICE_LOST)
		assert_int_equal(status, GQE_ERROR_DEVICE_LOST);
	check_message(error.message, name, result_name);
	if (!context || status != GQE_OK) {
		layer_reset();
		error = (gqe_error){0};
		assert_ok(open_context(&context, &error), &error);
		close_faulty(&context);
	}
}

static const char *name_of(VkResult result)
{
	switch (result) {
	case VK_ERROR_OUT_OF_HOST_MEMORY:
		return "VK_ERROR_OUT_OF_HOST_MEMORY";
	case VK_ERROR_OUT_OF_DEVICE_MEMORY:
		return "VK_ERROR_OUT_OF_DEVICE_MEMORY";
	case VK_ERROR_INITIALIZATION_FAILED:
		return "VK_ERROR_INITIALIZATION_FAILED";
	case VK_ERROR_DEVICE_LOST:
		return "VK_ERROR_DEVICE_LOST";
	case VK_ERROR_MEMORY_MAP_FAILED:
		return "VK_ERROR_MEMORY_MAP_FAILED";
	case VK_ERROR_TOO_MANY_OBJECTS:
		return "VK_ERROR_TOO_MANY_OBJECTS";
	default:
		return "?";
	}
}

/* A run without a fault: its logits are what every other must give. */
static void run_without_fault(void)
{
	gqe_context *context = NULL;
	gqe_error error = {0};
	snprintf(test.fault, sizeof(test.fault), "no fault");
	layer_reset();
	assert_ok(open_context(&context, &error), &error);
	assert_ok(use_context(context, test.logits, &error), &error);
	close_faulty(&context);
}

/*
 * The first call fails in every way it may, the others in one each, by turns; at small scale only the last of them. Returns the
 * number of runs.
 */
static uint32_t fail_each_call(uint32_t function, uint32_t calls)
{
	const VkResult *results = layer_functions[function].results;
	uint32_t count = 0, runs = 0;
	while (results[count] != VK_SUCCESS)
		count++;
	for (uint32_t call = 0; call < calls; call += small_scale() && call + 2 < calls ? calls - 1 : 1)
		for (uint32_t i = 0; i < (call == 0 ? count : 1); i++, runs++) {
			VkResult result = results[(call + i) % count];
			run_with_fault(function, call, result, name_of(result));
		}
	print_message("%s: %u calls\n", layer_functions[function].name, calls);
	return runs;
}

static void each_call_of_each_function_may_fail(void **state)
{
	(void)state;
	uint32_t calls[128], runs = 0;
	assert_true(layer_function_count <= 128);
	run_without_fault(); /* writes the pipeline cache, which the next ones read */
	run_without_fault();
	if (layer_unknown()[0])
		fail_msg("support/vulkan_layer.c does not say whether these can fail:%s", layer_unknown());
	for (uint32_t function = 0; function < layer_function_count; function++)
		calls[function] = layer_calls(function);
	for (uint32_t function = 0; function < layer_function_count; function++)
		runs += fail_each_call(function, calls[function]);
	print_message("%u faults\n", runs);
}

/* Where pipelines are shader objects: what the first context with a cache folder calls and later ones need not. */
static void each_shader_without_a_binary_may_fail(void **state)
{
	(void)state;
	static const char *const names[] = {"vkCreateShadersEXT", "vkGetShaderBinaryDataEXT"};
	test.nothing_cached = true;
	for (uint32_t function = 0; function < layer_function_count; function++)
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (strcmp(layer_functions[function].name, names[i]) == 0) {
				empty_cache();
				run_without_fault();
				fail_each_call(function, layer_calls(function));
			}
	test.nothing_cached = false;
}

/* An old or broken loader or driver. */
static void each_function_may_be_missing(void **state)
{
	(void)state;
	char name[64];
	snprintf(test.fault, sizeof(test.fault), "a function missing");
	for (uint32_t i = 0; layer_asked(i); i++) {
		gqe_context *context = NULL;
		gqe_error error = {0};
		snprintf(name, sizeof(name), "%s", layer_asked(i));
		/* Without these nothing can be given back; and messages of the validation layer are an extra. */
		if (strcmp(name, "vkDestroyInstance") == 0 || strcmp(name, "vkDestroyDevice") == 0 ||
		    strstr(name, "DebugUtilsMessenger"))
			continue;
		layer_reset();
		layer_hide(name);
		gqe_status status = open_context(&context, &error);
		layer_hide(NULL);
		assert_status(status, GQE_ERROR_NO_DEVICE, &error);
		assert_null(context);
		if (!strstr(error.message, strcmp(name, "vkEnumerateInstanceVersion") == 0 ? "1.0" : name))
			fail_msg("without %s the message is: %s", name, error.message);
		if (layer_leaks()[0])
			fail_msg("without %s these were never destroyed: %s", name, layer_leaks());
	}
}

int main(void)
{
	struct random random = {7};
	test.model = (struct model_fixture){.config = small_model_config(), .seed = 3};
	test.model.config.layers = 1;
	model_fixture_init(&test.model);
	make_folder(test.cache_dir);
	test.tokens = draw_tokens(&test.model.config, PROMPT + 1, &random);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_of_each_function_may_fail),
		cmocka_unit_test(each_shader_without_a_binary_may_fail),
		cmocka_unit_test(each_function_may_be_missing),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(test.tokens);
	remove_folder(test.cache_dir);
	model_fixture_free(&test.model);
	return failed;
}
