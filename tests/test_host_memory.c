/*
 * Every allocation of host memory that the library makes is made to fail, one at a time, from opening a context to destroying it.
 * The linker puts this file's functions between the library and the C library; leaks are for the sanitized build to find.
 */
#include "support/model_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 6, VOCABULARY = 61 };

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);

static struct {
	uint64_t made;    /* allocations so far */
	uint64_t failing; /* the one that fails; 0: none, the first is 1 */
} host_memory;

static bool fails(void)
{
	return ++host_memory.made == host_memory.failing;
}

void *__wrap_malloc(size_t bytes)
{
	return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
	return fails() ? NULL : __real_realloc(memory, bytes);
}

/* The whole life of a context. */
static gqe_status run(const struct model_fixture *fixture, const int32_t *tokens, float *logits, gqe_error *error)
{
	const char *device = getenv("GQE_DEVICE");
	gqe_context *context = NULL;
	gqe_model_files *files = NULL;
	gqe_model *model = NULL;
	gqe_session *session = NULL;
	gqe_context_params params = {.size = sizeof(params), .device = device, .threads = 1};
	gqe_session_params session_params = {.size = sizeof(session_params), .max_tokens = 16, .chunk = 4, .keep_routing = true};
	gqe_prefill_params prompt = {.size = sizeof(prompt), .tokens = tokens, .count = TOKENS};
	gqe_status status = gqe_context_create(&params, &context, error);
	if (status == GQE_OK)
		status = gqe_model_files_open(fixture->folder, &files, error);
	if (status == GQE_OK)
		status = gqe_model_load(context, files, NULL, &model, error);
	if (status == GQE_OK)
		status = gqe_session_create(model, &session_params, &session, error);
	if (status == GQE_OK)
		status = gqe_session_prefill(session, &prompt, error);
	if (status == GQE_OK)
		memcpy(logits, gqe_session_logits(session), VOCABULARY * sizeof(float));
	gqe_session_destroy(&session);
	gqe_model_destroy(&model);
	gqe_model_files_destroy(&files);
	gqe_context_destroy(&context);
	return status;
}

static void each_allocation_may_fail(void **state)
{
	(void)state;
	struct random random = {7};
	struct model_fixture fixture = {.config = small_model_config(), .seed = 3, .sharded = true};
	float want[VOCABULARY], got[VOCABULARY];
	gqe_error error = {0};
	fixture.config.layers = 1;
	model_fixture_init(&fixture);
	int32_t *tokens = draw_tokens(&fixture.config, TOKENS, &random);
	assert_ok(run(&fixture, tokens, want, &error), &error); /* whose pipelines the next ones find in the cache */
	host_memory.made = 0;
	assert_ok(run(&fixture, tokens, want, &error), &error);
	uint64_t count = host_memory.made, done_without = 0;
	for (uint64_t i = 1; i <= count; i++) {
		host_memory.made = 0;
		host_memory.failing = i;
		gqe_status status = run(&fixture, tokens, got, &error);
		host_memory.failing = 0;
		/* Without memory to look at a device it is listed as one that is no use. */
		bool says_memory = strstr(error.message, "memory") || strstr(error.message, "MEMORY");
		bool expected = status == GQE_ERROR_OUT_OF_MEMORY || status == GQE_ERROR_NO_DEVICE;
		if (status == GQE_OK && memcmp(got, want, sizeof(want)) == 0)
			done_without++; /* what only the cache files needed */
		else if (!expected || !says_memory)
			fail_msg("allocation %u of %u: %s: %s", (unsigned)i, (unsigned)count, gqe_status_name(status),
				 status == GQE_OK ? "other logits" : error.message);
	}
	print_message("%u allocations, %u of them done without\n", (unsigned)count, (unsigned)done_without);
	assert_true(done_without <= 18); /* finding and reading three files */
	free(tokens);
	model_fixture_free(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_may_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
