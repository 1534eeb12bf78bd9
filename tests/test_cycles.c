/*
 * What a program that runs for weeks does: a thousand contexts and a hundred models, made and dropped. Neither memory nor files nor
 * threads may be left over. (Linux: counted in /proc.)
 */
#include "support/model_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WARM_UP = 50, CONTEXTS = 1000, MODELS = 100, TOKENS = 8 };

/* A context that leaked only its struct would lose more in so many cycles; lavapipe itself loses about 300 bytes an instance. */
#define ALLOWED_BYTES_PER_CYCLE 1024

struct held {
	uint64_t bytes;
	uint32_t files, threads;
};

static uint32_t entries_of(const char *path)
{
	DIR *folder = opendir(path);
	uint32_t count = 0;
	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static struct held held_now(void)
{
	unsigned long long total, resident;
	FILE *file = fopen("/proc/self/statm", "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%llu %llu", &total, &resident), 2);
	fclose(file);
	return (struct held){
		.bytes = resident * (uint64_t)sysconf(_SC_PAGESIZE),
		.files = entries_of("/proc/self/fd"),
		.threads = entries_of("/proc/self/task"),
	};
}

static void check_growth(const struct held *before, uint32_t cycles, const char *what)
{
	const struct held after = held_now();
	const uint64_t growth = after.bytes > before->bytes ? after.bytes - before->bytes : 0;
	print_message("%u %s: %llu KiB more\n", cycles, what, (unsigned long long)(growth >> 10));
	assert_int_equal(after.files, before->files);
	assert_int_equal(after.threads, before->threads);
	assert_true(growth <= (uint64_t)cycles * ALLOWED_BYTES_PER_CYCLE);
}

static gqe_context *open_plain(void)
{
	gqe_context *context = NULL;
	gqe_error error = {0};
	gqe_context_params params = {.size = sizeof(params), .device = getenv("GQE_DEVICE"), .cache_dir = ""};
	assert_ok(gqe_context_create(&params, &context, &error), &error);
	return context;
}

static void contexts_leave_nothing_behind(void **state)
{
	(void)state;
	struct held before = {0};
	for (int i = 0; i < WARM_UP + CONTEXTS; i++) {
		if (i == WARM_UP)
			before = held_now();
		gqe_context *context = open_plain();
		gqe_context_destroy(&context);
	}
	check_growth(&before, CONTEXTS, "contexts");
}

static void models_leave_nothing_behind(void **state)
{
	(void)state;
	struct random random = {3};
	struct model_fixture fixture = {.config = small_model_config(), .seed = 3};
	struct held before = {0};
	gqe_memory_info first = {0}, now;
	model_fixture_init(&fixture);
	int32_t *tokens = draw_tokens(&fixture.config, TOKENS, &random);
	gqe_context *context = open_plain();
	for (int i = 0; i < WARM_UP + MODELS; i++) {
		gqe_model *model = load_model(context, fixture.files, GQE_DTYPE_F32);
		gqe_session *session = make_session(model, TOKENS, TOKENS, true);
		prefill(session, tokens, TOKENS, NULL, NULL);
		gqe_session_destroy(&session);
		gqe_model_destroy(&model);
		gqe_context_memory(context, &now);
		if (i == 0)
			first = now;
		assert_true(now.used == first.used && now.peak == first.peak);
		if (i == WARM_UP)
			before = held_now();
	}
	check_growth(&before, MODELS, "models");
	gqe_context_destroy(&context);
	free(tokens);
	model_fixture_free(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contexts_leave_nothing_behind),
		cmocka_unit_test(models_leave_nothing_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
