/*
 * Threads: contexts that know nothing of each other, and sessions of one context, side by side. What each computes must be what it
 * computes alone; the build with ThreadSanitizer looks for races.
 */
#include "support/model_fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 24, VOCABULARY = 61, ROUNDS = 3, WORKERS = 2 };

static struct {
	struct model_fixture fixture;
	int32_t *tokens; /* [TOKENS] */
	float want[VOCABULARY];
} test;

struct worker {
	pthread_t thread;
	gqe_context *context; /* NULL: it opens one itself */
	gqe_model *model;     /* NULL: it loads one itself */
	gqe_session *session; /* of the worker that is cancelled */
	uint32_t differences;
	gqe_error error; /* the first one */
};

/* Checks by cmocka must stay on the main thread: a worker keeps what went wrong. */
static bool went_well(struct worker *worker, gqe_status status, const gqe_error *error)
{
	if (status != GQE_OK && worker->error.status == GQE_OK)
		worker->error = *error;
	return status == GQE_OK;
}

static void use_model(struct worker *worker, gqe_model *model)
{
	gqe_error error = {0};
	gqe_session_params capacity = {.size = sizeof(capacity), .max_tokens = TOKENS, .chunk = 8};
	gqe_prefill_params text = {.size = sizeof(text), .tokens = test.tokens, .count = TOKENS};
	gqe_session *session = NULL;
	if (!went_well(worker, gqe_session_create(model, &capacity, &session, &error), &error))
		return;
	for (int round = 0; round < ROUNDS; round++)
		if (went_well(worker, gqe_session_rewind(session, 0, &error), &error) &&
		    went_well(worker, gqe_session_prefill(session, &text, &error), &error))
			worker->differences += memcmp(gqe_session_logits(session), test.want, sizeof(test.want)) != 0;
	gqe_session_destroy(&session);
}

static void use_context(struct worker *worker, gqe_context *context)
{
	gqe_error error = {0};
	gqe_model *model = NULL;
	gqe_memory_info memory;
	if (!went_well(worker, gqe_model_load(context, test.fixture.files, NULL, &model, &error), &error))
		return;
	use_model(worker, model);
	gqe_context_memory(context, &memory);
	worker->differences += gqe_context_device(context) && memory.used > memory.peak;
	gqe_model_destroy(&model);
}

static void *work(void *user)
{
	struct worker *worker = user;
	if (worker->model) {
		use_model(worker, worker->model);
	} else if (worker->context) {
		use_context(worker, worker->context);
	} else {
		gqe_error error = {0};
		gqe_context *context = NULL;
		gqe_context_params params = {.size = sizeof(params), .device = getenv("GQE_DEVICE"), .threads = 2};
		if (went_well(worker, gqe_context_create(&params, &context, &error), &error))
			use_context(worker, context);
		gqe_context_destroy(&context);
	}
	return NULL;
}

static void run_workers(gqe_context *context, gqe_model *model)
{
	struct worker workers[WORKERS] = {0};
	for (int i = 0; i < WORKERS; i++) {
		workers[i].context = context;
		workers[i].model = model;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
	for (int i = 0; i < WORKERS; i++) {
		assert_ok(workers[i].error.status, &workers[i].error);
		assert_int_equal(workers[i].differences, 0);
	}
}

static gqe_context *open_default(void)
{
	gqe_context *context = NULL;
	gqe_error error = {0};
	gqe_context_params params = {.size = sizeof(params), .device = getenv("GQE_DEVICE"), .threads = 2};
	assert_ok(gqe_context_create(&params, &context, &error), &error);
	return context;
}

static void contexts_in_two_threads(void **state)
{
	(void)state;
	run_workers(NULL, NULL);
}

static void models_of_one_context_in_two_threads(void **state)
{
	(void)state;
	gqe_context *context = open_default();
	run_workers(context, NULL);
	gqe_context_destroy(&context);
}

static void sessions_of_one_model_in_two_threads(void **state)
{
	(void)state;
	gqe_context *context = open_default();
	gqe_model *model = load_model(context, test.fixture.files, GQE_DTYPE_F32);
	run_workers(context, model);
	gqe_model_destroy(&model);
	gqe_context_destroy(&context);
}

/* Prefills until it is cancelled from outside. */
static void *prefill_forever(void *user)
{
	struct worker *worker = user;
	gqe_prefill_params text = {.size = sizeof(text), .tokens = test.tokens, .count = TOKENS};
	gqe_status status = GQE_OK;
	while (status == GQE_OK) {
		status = gqe_session_rewind(worker->session, 0, &worker->error);
		if (status == GQE_OK)
			status = gqe_session_prefill(worker->session, &text, &worker->error);
	}
	return NULL;
}

static void a_session_is_cancelled_from_another_thread(void **state)
{
	(void)state;
	gqe_context *context = open_default();
	gqe_model *model = load_model(context, test.fixture.files, GQE_DTYPE_F32);
	struct worker worker = {.session = make_session(model, TOKENS, 8, false)};
	assert_int_equal(pthread_create(&worker.thread, NULL, prefill_forever, &worker), 0);
	gqe_session_cancel(worker.session);
	assert_int_equal(pthread_join(worker.thread, NULL), 0);
	assert_int_equal(worker.error.status, GQE_CANCELLED);

	gqe_error error = {0};
	assert_ok(gqe_session_rewind(worker.session, 0, &error), &error);
	prefill(worker.session, test.tokens, TOKENS, NULL, NULL);
	assert_memory_equal(gqe_session_logits(worker.session), test.want, sizeof(test.want));
	gqe_session_destroy(&worker.session);
	gqe_model_destroy(&model);
	gqe_context_destroy(&context);
}

/* What one thread computes alone is what everyone must. */
static int set_up(void **state)
{
	(void)state;
	struct random random = {11};
	test.fixture = (struct model_fixture){.config = small_model_config(), .seed = 5};
	model_fixture_init(&test.fixture);
	test.tokens = draw_tokens(&test.fixture.config, TOKENS, &random);
	gqe_context *context = open_default();
	gqe_model *model = load_model(context, test.fixture.files, GQE_DTYPE_F32);
	gqe_session *session = make_session(model, TOKENS, 8, false);
	prefill(session, test.tokens, TOKENS, NULL, NULL);
	memcpy(test.want, gqe_session_logits(session), sizeof(test.want));
	gqe_session_destroy(&session);
	gqe_model_destroy(&model);
	gqe_context_destroy(&context);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(test.tokens);
	model_fixture_free(&test.fixture);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contexts_in_two_threads),
		cmocka_unit_test(models_of_one_context_in_two_threads),
		cmocka_unit_test(sessions_of_one_model_in_two_threads),
		cmocka_unit_test(a_session_is_cancelled_from_another_thread),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
