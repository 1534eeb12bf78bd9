/* Whole models: small random ones written to disk, on the device under test against the reference and against themselves. */
#include "support/model_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 45, VOCAB = 61 };

struct contexts {
	gqe_context *device, *reference;
};

static int open_contexts(void **state)
{
	static struct contexts contexts;
	contexts.device = open_device(NULL);
	contexts.reference = open_reference();
	*state = &contexts;
	return 0;
}

static int close_contexts(void **state)
{
	struct contexts *contexts = *state;
	close_context(&contexts->device);
	gqe_context_destroy(&contexts->reference);
	return 0;
}

/* logits [TOKENS, VOCAB] of a prefill in chunks of `chunk` (0: chosen) */
static float *compute_logits(gqe_context *context, const struct model_fixture *fixture, gqe_dtype dtype, const int32_t *tokens,
			     uint32_t chunk)
{
	float *logits = must_allocate(TOKENS * VOCAB * sizeof(float));
	poison(logits, TOKENS * VOCAB * sizeof(float));
	gqe_model *model = load_model(context, fixture->files, dtype);
	gqe_session *session = make_session(model, TOKENS, chunk, false);
	prefill(session, tokens, TOKENS, logits, NULL);
	assert_int_equal(gqe_session_position(session), TOKENS);
	assert_memory_equal(gqe_session_logits(session), logits + (TOKENS - 1) * VOCAB, VOCAB * sizeof(float));
	gqe_session_destroy(&session);
	gqe_model_destroy(&model);
	return logits;
}

/*
 * Routing may differ where two experts are equal to rounding. In F32 the seeds are such that none are; in F16 only models without
 * a choice are compared.
 */
static void check_model(struct contexts *contexts, struct model_fixture *fixture, const char *what)
{
	struct random random = {fixture->seed};
	bool no_choice = fixture->config.layer.attention == GQE_ATTENTION_GQA ||
			 (fixture->config.layer.top_k == 2 && fixture->config.layer.slot_order == GQE_SLOT_ORDER_EXPERT);
	model_fixture_init(fixture);
	int32_t *tokens = draw_tokens(&fixture->config, TOKENS, &random);
	float *want = compute_logits(contexts->reference, fixture, GQE_DTYPE_F32, tokens, 0);
	float *got = compute_logits(contexts->device, fixture, GQE_DTYPE_F32, tokens, 0);
	assert_close(got, want, TOKENS * VOCAB, TOLERANCE_F32, "logits F32, %s", what);
	free(got);
	if (no_choice && can_f16(contexts->device)) {
		got = compute_logits(contexts->device, fixture, GQE_DTYPE_F16, tokens, 0);
		assert_close(got, want, TOKENS * VOCAB, TOLERANCE_F16, "logits F16, %s", what);
		free(got);
	}
	free(want);
	free(tokens);
	model_fixture_free(fixture);
}

static void every_kind_of_model_agrees_with_reference(void **state)
{
	for (uint32_t kind = 0; kind < 16; kind++) {
		char what[96];
		struct model_fixture fixture = {.config = small_model_config(), .seed = 100 + kind, .biases = kind & 4};
		gqe_layer_config *layer = &fixture.config.layer;
		fixture.config.norm = kind & 1 ? GQE_NORM_LAYERNORM : GQE_NORM_RMSNORM;
		fixture.config.mlp = kind & 2 ? GQE_MLP_GELU : GQE_MLP_SWIGLU;
		fixture.config.tie_word_embeddings = kind & 1;
		layer->attention = kind & 8 ? GQE_ATTENTION_GQA : GQE_ATTENTION_GQE;
		if (kind % 3 == 0) {
			layer->top_k = 2;
			layer->slot_order = GQE_SLOT_ORDER_EXPERT;
			layer->shared_kv = GQE_SHARED_KV_MEAN;
		}
		snprintf(what, sizeof(what), "%s, %s, %s, %s biases", kind & 8 ? "gqa" : "gqe", kind & 1 ? "layernorm" : "rmsnorm",
			 kind & 2 ? "gelu" : "swiglu", kind & 4 ? "with" : "without");
		check_model(*state, &fixture, what);
	}
}

static void a_hugging_face_llama_loads_as_gqa(void **state)
{
	struct model_fixture fixture = {.config = small_model_config(), .seed = 7, .hugging_face = true};
	fixture.config.layer.attention = GQE_ATTENTION_GQA;
	check_model(*state, &fixture, "llama");
}

static void shards_equal_one_file(void **state)
{
	struct contexts *contexts = *state;
	struct random random = {3};
	struct model_fixture one = {.config = small_model_config(), .seed = 3};
	struct model_fixture two = {.config = small_model_config(), .seed = 3, .sharded = true};
	model_fixture_init(&one);
	model_fixture_init(&two);
	int32_t *tokens = draw_tokens(&one.config, TOKENS, &random);
	float *a = compute_logits(contexts->device, &one, GQE_DTYPE_F32, tokens, 0);
	float *b = compute_logits(contexts->device, &two, GQE_DTYPE_F32, tokens, 0);
	assert_memory_equal(a, b, TOKENS * VOCAB * sizeof(float));
	free(a);
	free(b);
	free(tokens);
	model_fixture_free(&one);
	model_fixture_free(&two);
}

/* A model, its tokens and the logits of one pass over them: what the tests below compare with. */
struct loaded {
	struct model_fixture fixture;
	gqe_model *model;
	int32_t *tokens;
	float *whole; /* [TOKENS, VOCAB] */
};

static void load(struct loaded *loaded, gqe_context *context, bool dense)
{
	struct random random = {11};
	*loaded = (struct loaded){.fixture = {.config = small_model_config(), .seed = 11}};
	if (dense)
		loaded->fixture.config.layer.attention = GQE_ATTENTION_GQA;
	model_fixture_init(&loaded->fixture);
	loaded->tokens = draw_tokens(&loaded->fixture.config, TOKENS, &random);
	loaded->whole = compute_logits(context, &loaded->fixture, GQE_DTYPE_F32, loaded->tokens, TOKENS);
	loaded->model = load_model(context, loaded->fixture.files, GQE_DTYPE_F32);
}

static void unload(struct loaded *loaded)
{
	gqe_model_destroy(&loaded->model);
	free(loaded->tokens);
	free(loaded->whole);
	model_fixture_free(&loaded->fixture);
}

static void chunked_prefill_equals_whole(void **state)
{
	static const uint32_t chunks[] = {1, 7, 16, 44};
	struct contexts *contexts = *state;
	struct loaded loaded;
	load(&loaded, contexts->device, false);
	for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
		float *got = compute_logits(contexts->device, &loaded.fixture, GQE_DTYPE_F32, loaded.tokens, chunks[i]);
		assert_close(got, loaded.whole, TOKENS * VOCAB, TOLERANCE_F32, "chunks of %u", chunks[i]);
		free(got);
	}
	unload(&loaded);
}

static void decode_equals_prefill_and_rewind_forgets(void **state)
{
	struct contexts *contexts = *state;
	struct loaded loaded;
	gqe_error error = {0};
	enum { PROMPT = 20 };
	load(&loaded, contexts->device, false);
	gqe_session *session = make_session(loaded.model, TOKENS, 16, false);
	assert_null(gqe_session_logits(session));
	for (int round = 0; round < 2; round++) {
		prefill(session, loaded.tokens, PROMPT, NULL, NULL);
		for (uint32_t t = PROMPT; t < TOKENS; t++) {
			assert_close(gqe_session_logits(session), loaded.whole + (t - 1) * VOCAB, VOCAB, TOLERANCE_F32,
				     "decode at %u", t);
			prefill(session, loaded.tokens + t, 1, NULL, NULL);
		}
		assert_ok(gqe_session_rewind(session, 10, &error), &error);
		assert_int_equal(gqe_session_position(session), 10);
		prefill(session, loaded.tokens + 10, 5, NULL, NULL);
		assert_close(gqe_session_logits(session), loaded.whole + 14 * VOCAB, VOCAB, TOLERANCE_F32, "after rewind");
		assert_ok(gqe_session_rewind(session, 0, &error), &error);
	}
	gqe_session_destroy(&session);
	unload(&loaded);
}

static void nll_is_that_of_the_logits(void **state)
{
	struct contexts *contexts = *state;
	struct loaded loaded;
	float nll[TOKENS];
	load(&loaded, contexts->device, false);
	gqe_session *session = make_session(loaded.model, TOKENS, 16, false);
	poison(nll, sizeof(nll));
	prefill(session, loaded.tokens, TOKENS, NULL, nll);
	for (uint32_t t = 0; t + 1 < TOKENS; t++) {
		const float *logits = loaded.whole + t * VOCAB;
		double sum = 0;
		for (uint32_t i = 0; i < VOCAB; i++)
			sum += exp((double)logits[i]);
		double want = log(sum) - logits[loaded.tokens[t + 1]];
		if (!(fabs(nll[t] - want) <= 2e-5 * (1 + fabs(want))))
			fail_msg("nll[%u] is %.9g, want %.9g", t, (double)nll[t], want);
	}
	assert_true(nll[TOKENS - 1] == 0);
	gqe_session_destroy(&session);
	unload(&loaded);
}

struct progress_log {
	uint32_t calls, stop_after;
	double last;
};

static bool on_progress(void *user, double done, double total)
{
	struct progress_log *log = user;
	assert_true(total > 0 && done > log->last && done <= total * (1 + 1e-9));
	log->last = done;
	return ++log->calls != log->stop_after;
}

static void progress_counts_chunks_and_can_cancel(void **state)
{
	struct contexts *contexts = *state;
	struct loaded loaded;
	gqe_error error = {0};
	load(&loaded, contexts->device, false);
	gqe_session *session = make_session(loaded.model, TOKENS, 10, false);
	assert_int_equal(gqe_session_chunk(session), 10);
	struct progress_log log = {0};
	gqe_prefill_params params = {
		.size = sizeof(params), .tokens = loaded.tokens, .count = TOKENS, .progress = on_progress, .progress_user = &log};
	assert_ok(gqe_session_prefill(session, &params, &error), &error);
	assert_int_equal(log.calls, 5);

	assert_ok(gqe_session_rewind(session, 0, &error), &error);
	log = (struct progress_log){.stop_after = 2};
	assert_status(gqe_session_prefill(session, &params, &error), GQE_CANCELLED, &error);
	uint32_t done = gqe_session_position(session);
	assert_int_equal(done, 20);
	prefill(session, loaded.tokens + done, TOKENS - done, NULL, NULL);
	assert_close(gqe_session_logits(session), loaded.whole + (TOKENS - 1) * VOCAB, VOCAB, TOLERANCE_F32,
		     "continued after a cancel");

	assert_ok(gqe_session_rewind(session, 0, &error), &error);
	gqe_session_cancel(session);
	params.progress = NULL;
	params.count = 0; /* a refused call does not take the cancel with it */
	assert_status(gqe_session_prefill(session, &params, &error), GQE_ERROR_USAGE, &error);
	params.count = TOKENS;
	assert_status(gqe_session_prefill(session, &params, &error), GQE_CANCELLED, &error);
	assert_ok(gqe_session_prefill(session, &(gqe_prefill_params){.size = sizeof(params), .tokens = loaded.tokens, .count = 1},
				      &error),
		  &error);
	gqe_session_destroy(&session);
	unload(&loaded);
}

static void routing_statistics_are_those_of_the_experts(void **state)
{
	struct contexts *contexts = *state;
	struct loaded loaded;
	gqe_error error = {0};
	load(&loaded, contexts->device, false);
	gqe_session *session = make_session(loaded.model, TOKENS, 16, true);
	prefill(session, loaded.tokens, 30, NULL, NULL);
	prefill(session, loaded.tokens + 30, TOKENS - 30, NULL, NULL);
	for (uint32_t layer = 0; layer < 2; layer++) {
		enum { GROUPS = 2, EXPERTS = 2 };
		int32_t experts[TOKENS][GROUPS], part[5][GROUPS];
		double share[GROUPS * EXPERTS], probability[GROUPS * EXPERTS], balance[GROUPS];
		assert_ok(gqe_session_routing(session, layer, 0, TOKENS, &experts[0][0], &error), &error);
		assert_ok(gqe_session_routing(session, layer, 28, 5, &part[0][0], &error), &error);
		assert_memory_equal(part, experts[28], sizeof(part));
		assert_ok(gqe_session_balance(session, layer, share, probability, balance, &error), &error);
		for (uint32_t group = 0; group < GROUPS; group++) {
			double want_balance = 0, sum = 0;
			for (int32_t m = 0; m < EXPERTS; m++) {
				uint32_t count = 0;
				for (uint32_t t = 0; t < TOKENS; t++)
					count += experts[t][group] == m;
				double f = share[group * EXPERTS + (uint32_t)m], p = probability[group * EXPERTS + (uint32_t)m];
				assert_true(fabs(f - (double)count / TOKENS) < 1e-9);
				want_balance += EXPERTS * f * p;
				sum += p;
			}
			assert_true(fabs(sum - 1) < 1e-5);
			assert_true(fabs(balance[group] - want_balance) < 1e-9);
		}
	}
	assert_status(gqe_session_routing(session, 2, 0, 1, NULL, &error), GQE_ERROR_USAGE, &error);
	assert_status(gqe_session_routing(session, 0, TOKENS, 1, &(int32_t){0}, &error), GQE_ERROR_USAGE, &error);
	assert_status(gqe_session_balance(session, 2, NULL, NULL, NULL, &error), GQE_ERROR_USAGE, &error);
	gqe_session_destroy(&session);
	unload(&loaded);

	load(&loaded, contexts->device, true);
	session = make_session(loaded.model, TOKENS, 16, true);
	prefill(session, loaded.tokens, 3, NULL, NULL);
	assert_status(gqe_session_balance(session, 0, NULL, NULL, NULL, &error), GQE_ERROR_USAGE, &error);
	gqe_session_destroy(&session);
	unload(&loaded);
}

/* The bytes that a model and a session of `tokens` take in a context of their own. */
static uint64_t measure_memory(const struct model_fixture *fixture, gqe_dtype dtype, uint32_t tokens)
{
	gqe_context *context = open_device(NULL);
	gqe_memory_info memory;
	gqe_model *model = load_model(context, fixture->files, dtype);
	gqe_session *session = make_session(model, tokens, 0, false);
	prefill(session, (int32_t[]){1, 2, 3}, 3, NULL, NULL);
	gqe_context_memory(context, &memory);
	uint64_t used = memory.used;
	assert_true(memory.peak >= used && used <= memory.limit);
	gqe_session_destroy(&session);
	gqe_model_destroy(&model);
	gqe_context_memory(context, &memory);
	assert_true(memory.used < used);
	close_context(&context);
	return used;
}

static void the_memory_estimate_is_within_5_percent(void **state)
{
	struct contexts *contexts = *state;
	struct model_fixture fixture = {.config = small_model_config(), .seed = 1};
	gqe_error error = {0};
	if (!gqe_context_device(contexts->device))
		skip();
	fixture.config.layer.hidden_size = 256;
	fixture.config.layer.head_dim = 64;
	fixture.config.intermediate_size = 512;
	model_fixture_init(&fixture);
	for (int f16 = 0; f16 <= (can_f16(contexts->device) ? 1 : 0); f16++) {
		gqe_dtype dtype = f16 ? GQE_DTYPE_F16 : GQE_DTYPE_F32;
		uint64_t kv_cache_before = 0;
		for (uint32_t tokens = 1024; tokens <= 16384; tokens *= 4) {
			gqe_session_params params = {.size = sizeof(params), .max_tokens = tokens};
			gqe_memory_estimate estimate;
			assert_ok(gqe_model_estimate(fixture.files, dtype, &params, 0, &estimate, &error), &error);
			assert_int_equal(estimate.total, estimate.weights + estimate.kv_cache + estimate.scratch);
			double used = (double)measure_memory(&fixture, dtype, tokens), ratio = (double)estimate.total / used;
			if (ratio < 0.95 || ratio > 1.05)
				fail_msg("%s, %u tokens: estimate %.0f, used %.0f", gqe_dtype_name(dtype), tokens,
					 (double)estimate.total, used);
			/* Linear in the tokens, but for rounding. */
			if (kv_cache_before)
				assert_true(estimate.kv_cache <= 4 * kv_cache_before + 65536);
			kv_cache_before = estimate.kv_cache;
		}
	}
	model_fixture_free(&fixture);
}

static void what_does_not_fit_is_refused_before_anything_runs(void **state)
{
	struct contexts *contexts = *state;
	struct model_fixture fixture = {.config = small_model_config(), .seed = 1};
	gqe_error error = {0};
	if (!gqe_context_device(contexts->device))
		skip();
	model_fixture_init(&fixture);
	gqe_memory_estimate estimate;
	gqe_session_params params = {.size = sizeof(params), .max_tokens = 100000};
	assert_ok(gqe_model_estimate(fixture.files, GQE_DTYPE_F32, &params, 0, &estimate, &error), &error);
	gqe_context *context = open_device(&(gqe_context_params){.memory_limit = estimate.total / 2});
	gqe_model *model = load_model(context, fixture.files, GQE_DTYPE_F32);
	gqe_memory_info before, after;
	gqe_session *session = (gqe_session *)&error;
	gqe_context_memory(context, &before);
	assert_int_equal(before.limit, estimate.total / 2);
	assert_status(gqe_session_create(model, &params, &session, &error), GQE_ERROR_OUT_OF_MEMORY, &error);
	assert_null(session);
	/* To the byte: in MiB both may be the same. */
	char available[64];
	snprintf(available, sizeof(available), "(%llu bytes) of the limit", (unsigned long long)(before.limit - before.used));
	assert_non_null(strstr(error.message, available));
	gqe_context_memory(context, &after);
	assert_int_equal(after.used, before.used);
	session = make_session(model, 64, 0, false); /* and what fits still works */
	prefill(session, (int32_t[]){1, 2, 3}, 3, NULL, NULL);
	gqe_session_destroy(&session);
	gqe_model_destroy(&model);
	close_context(&context);

	context = open_device(&(gqe_context_params){.memory_limit = 4096});
	assert_status(gqe_model_load(context, fixture.files, NULL, &model, &error), GQE_ERROR_OUT_OF_MEMORY, &error);
	assert_null(model);
	close_context(&context);
	model_fixture_free(&fixture);
}

/* Under a limit that is too low for the largest chunk, the estimate is that of the chunk which a session then takes. */
static void estimate_under_a_limit_is_what_is_taken(void **state)
{
	struct contexts *contexts = *state;
	struct model_fixture fixture = {.config = small_model_config(), .seed = 1};
	gqe_error error = {0};
	if (!gqe_context_device(contexts->device))
		skip();
	model_fixture_init(&fixture);
	gqe_session_params params = {.size = sizeof(params), .max_tokens = 4096};
	gqe_memory_estimate largest, smallest, limited;
	assert_ok(gqe_model_estimate(fixture.files, GQE_DTYPE_F32, &params, 0, &largest, &error), &error);
	assert_ok(gqe_model_estimate(fixture.files, GQE_DTYPE_F32, &params, 1, &smallest, &error), &error);
	assert_true(smallest.chunk < largest.chunk && smallest.total < largest.total);
	uint64_t limit = (smallest.total + largest.total) / 2;
	assert_ok(gqe_model_estimate(fixture.files, GQE_DTYPE_F32, &params, limit, &limited, &error), &error);
	assert_true(limited.total <= limit);

	gqe_context *context = open_device(&(gqe_context_params){.memory_limit = limit});
	gqe_model *model = load_model(context, fixture.files, GQE_DTYPE_F32);
	gqe_session *session = make_session(model, params.max_tokens, 0, false);
	gqe_memory_info memory;
	gqe_context_memory(context, &memory);
	assert_int_equal(gqe_session_chunk(session), limited.chunk);
	assert_in_range(memory.used, limited.total - limited.total / 20, limited.total + limited.total / 20);
	gqe_session_destroy(&session);
	gqe_model_destroy(&model);
	close_context(&context);
	model_fixture_free(&fixture);
}

static void two_contexts_and_sessions_do_not_mix(void **state)
{
	struct contexts *contexts = *state;
	struct loaded loaded;
	load(&loaded, contexts->device, false);
	gqe_context *second = open_device(NULL);
	gqe_model *model = load_model(second, loaded.fixture.files, GQE_DTYPE_F32);
	gqe_session *sessions[] = {make_session(loaded.model, TOKENS, TOKENS, false), make_session(model, TOKENS, TOKENS, false),
				   make_session(loaded.model, TOKENS, TOKENS, false)};
	for (uint32_t t = 0; t < 12; t += 4)
		for (int i = 0; i < 3; i++)
			prefill(sessions[i], loaded.tokens + t, 4, NULL, NULL);
	for (int i = 0; i < 3; i++) {
		assert_memory_equal(gqe_session_logits(sessions[i]), gqe_session_logits(sessions[0]), VOCAB * sizeof(float));
		assert_close(gqe_session_logits(sessions[i]), loaded.whole + 11 * VOCAB, VOCAB, TOLERANCE_F32, "session %d", i);
	}
	for (int i = 0; i < 3; i++)
		gqe_session_destroy(&sessions[i]);
	gqe_model_destroy(&model);
	close_context(&second);
	unload(&loaded);
}

static void misuse_is_refused(void **state)
{
	struct contexts *contexts = *state;
	struct loaded loaded;
	gqe_error error = {0};
	load(&loaded, contexts->device, false);
	gqe_session *session = make_session(loaded.model, 8, 0, false);
	gqe_prefill_params params = {.size = sizeof(params), .tokens = (int32_t[]){1, VOCAB}, .count = 2};
	assert_status(gqe_session_prefill(session, &params, &error), GQE_ERROR_USAGE, &error);
	params.tokens = (int32_t[]){-1, 2};
	assert_status(gqe_session_prefill(session, &params, &error), GQE_ERROR_USAGE, &error);
	params.tokens = loaded.tokens;
	params.count = 9;
	assert_status(gqe_session_prefill(session, &params, &error), GQE_ERROR_USAGE, &error);
	params.count = 0;
	assert_status(gqe_session_prefill(session, &params, &error), GQE_ERROR_USAGE, &error);
	assert_int_equal(gqe_session_position(session), 0);
	assert_status(gqe_session_rewind(session, 1, &error), GQE_ERROR_USAGE, &error);
	params.count = 8;
	assert_ok(gqe_session_prefill(session, &params, &error), &error);
	assert_status(gqe_session_routing(session, 0, 0, 1, &(int32_t){0}, &error), GQE_ERROR_USAGE, &error);
	gqe_session_destroy(&session);
	assert_status(gqe_session_create(loaded.model, &(gqe_session_params){.size = sizeof(gqe_session_params)}, &session, &error),
		      GQE_ERROR_USAGE, &error);
	unload(&loaded);
}

static void the_bytes_tokenizer_is_the_identity(void **state)
{
	(void)state;
	gqe_error error = {0};
	gqe_model_config config = small_model_config();
	const char text[] = "a\0\xff";
	int32_t ids[3];
	size_t count;
	char byte;
	config.vocab_size = 256;
	assert_ok(gqe_tokenize(&config, text, 3, ids, 3, &count, &error), &error);
	assert_int_equal(count, 3);
	assert_int_equal(ids[0], 'a');
	assert_int_equal(ids[1], 0);
	assert_int_equal(ids[2], 255);
	assert_ok(gqe_tokenize(&config, text, 3, ids, 1, &count, &error), &error);
	assert_int_equal(count, 3);
	assert_ok(gqe_detokenize(&config, 255, &byte, 1, &count, &error), &error);
	assert_int_equal(count, 1);
	assert_int_equal(byte, '\xff');
	strcpy(config.tokenizer, "tokenizer.json");
	assert_status(gqe_tokenize(&config, text, 3, ids, 3, &count, &error), GQE_ERROR_BAD_INPUT, &error);
	assert_non_null(strstr(error.message, "tokenizer.json"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_model_agrees_with_reference),
		cmocka_unit_test(a_hugging_face_llama_loads_as_gqa),
		cmocka_unit_test(shards_equal_one_file),
		cmocka_unit_test(chunked_prefill_equals_whole),
		cmocka_unit_test(decode_equals_prefill_and_rewind_forgets),
		cmocka_unit_test(nll_is_that_of_the_logits),
		cmocka_unit_test(progress_counts_chunks_and_can_cancel),
		cmocka_unit_test(routing_statistics_are_those_of_the_experts),
		cmocka_unit_test(the_memory_estimate_is_within_5_percent),
		cmocka_unit_test(what_does_not_fit_is_refused_before_anything_runs),
		cmocka_unit_test(estimate_under_a_limit_is_what_is_taken),
		cmocka_unit_test(two_contexts_and_sessions_do_not_mix),
		cmocka_unit_test(misuse_is_refused),
		cmocka_unit_test(the_bytes_tokenizer_is_the_identity),
	};
	return cmocka_run_group_tests(tests, open_contexts, close_contexts);
}
