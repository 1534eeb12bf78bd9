/* The two committed models against logits that PyTorch computed from the same files in float64 (tools/train/expected.py). */
#include "support/model_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * In F16 a rounding may choose another expert where two are nearly equal, and then a row differs visibly: what must agree is the
 * score. Bits per byte of the stretch, absolute.
 */
#define TOLERANCE_BITS_F16 2e-3

struct expected {
	gqe_tensor_file *file;
	const gqe_tensor *logits, *experts;
	int32_t *tokens;
	float *logits_copy;
	uint32_t count, vocab;
};

static const char *models_folder(void)
{
	const char *other = getenv("GQE_TEST_MODELS");
	return other && other[0] ? other : GQE_MODELS;
}

static void expected_open(struct expected *expected, const char *name)
{
	gqe_error error = {0};
	char path[512];
	snprintf(path, sizeof(path), "%s/expected/%s.safetensors", models_folder(), name);
	assert_ok(gqe_tensor_file_open(path, &expected->file, &error), &error);
	const gqe_tensor *tokens = gqe_tensor_file_find(expected->file, "tokens");
	expected->logits = gqe_tensor_file_find(expected->file, "logits");
	expected->experts = gqe_tensor_file_find(expected->file, "experts");
	assert_non_null(tokens);
	assert_non_null(expected->logits);
	expected->count = (uint32_t)tokens->shape[0];
	expected->vocab = (uint32_t)expected->logits->shape[1];
	expected->tokens = memcpy(must_allocate(tokens->bytes), tokens->data, tokens->bytes);
	expected->logits_copy = memcpy(must_allocate(expected->logits->bytes), expected->logits->data, expected->logits->bytes);
}

static void expected_close(struct expected *expected)
{
	free(expected->tokens);
	free(expected->logits_copy);
	gqe_tensor_file_destroy(&expected->file);
}

/* Mean bits of the successors of all tokens but the last. */
static double bits_per_token(const struct expected *expected, const float *logits)
{
	double total = 0;
	for (uint32_t t = 0; t + 1 < expected->count; t++) {
		const float *row = logits + (size_t)t * expected->vocab;
		double sum = 0;
		for (uint32_t i = 0; i < expected->vocab; i++)
			sum += exp((double)row[i]);
		total += log(sum) - row[expected->tokens[t + 1]];
	}
	return total / log(2) / (expected->count - 1);
}

static void check_model(const char *name, gqe_dtype dtype)
{
	gqe_error error = {0};
	struct expected expected = {0};
	gqe_model_files *files = NULL;
	char folder[512];
	gqe_context *context = open_device(NULL);
	if (dtype == GQE_DTYPE_F16 && !can_f16(context)) {
		print_message("the device has no 16-bit storage\n");
		close_context(&context);
		skip();
	}
	expected_open(&expected, name);
	snprintf(folder, sizeof(folder), "%s/%s", models_folder(), name);
	assert_ok(gqe_model_files_open(folder, &files, &error), &error);
	const gqe_model_config *config = gqe_model_files_config(files);
	assert_int_equal(config->vocab_size, expected.vocab);
	gqe_model *model = load_model(context, files, dtype);
	gqe_session *session = make_session(model, expected.count, 100, true);
	size_t count = (size_t)expected.count * expected.vocab;
	float *logits = must_allocate(count * sizeof(float));
	poison(logits, count * sizeof(float));
	prefill(session, expected.tokens, expected.count, logits, NULL);

	double bits = bits_per_token(&expected, logits), want_bits = bits_per_token(&expected, expected.logits_copy);
	print_message("%s %s: relative error %.2e, %.4f bits a byte, PyTorch %.4f\n", name, gqe_dtype_name(dtype),
		      relative_error(logits, expected.logits_copy, count), bits, want_bits);
	if (dtype == GQE_DTYPE_F32)
		assert_close(logits, expected.logits_copy, count, TOLERANCE_F32, "%s logits", name);
	else if (!(fabs(bits - want_bits) <= TOLERANCE_BITS_F16))
		fail_msg("%s: %.5f bits a byte, PyTorch has %.5f", name, bits, want_bits);

	assert_int_equal(expected.experts != NULL, config->layer.attention == GQE_ATTENTION_GQE);
	if (expected.experts && dtype == GQE_DTYPE_F32) {
		size_t layer_bytes = (size_t)expected.count * config->layer.kv_heads * config->layer.top_k * sizeof(int32_t);
		assert_int_equal(expected.experts->bytes, config->layers * layer_bytes);
		int32_t *experts = must_allocate(layer_bytes);
		for (uint32_t layer = 0; layer < config->layers; layer++) {
			assert_ok(gqe_session_routing(session, layer, 0, expected.count, experts, &error), &error);
			assert_memory_equal(experts, (const char *)expected.experts->data + layer * layer_bytes, layer_bytes);
		}
		free(experts);
	}
	free(logits);
	gqe_session_destroy(&session);
	gqe_model_destroy(&model);
	gqe_model_files_destroy(&files);
	expected_close(&expected);
	close_context(&context);
}

static void gqe_2m_f32_agrees_with_pytorch(void **state)
{
	(void)state;
	check_model("gqe-2m", GQE_DTYPE_F32);
}

static void gqa_2m_f32_agrees_with_pytorch(void **state)
{
	(void)state;
	check_model("gqa-2m", GQE_DTYPE_F32);
}

static void gqe_2m_f16_scores_as_pytorch(void **state)
{
	(void)state;
	check_model("gqe-2m", GQE_DTYPE_F16);
}

static void gqa_2m_f16_scores_as_pytorch(void **state)
{
	(void)state;
	check_model("gqa-2m", GQE_DTYPE_F16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gqe_2m_f32_agrees_with_pytorch),
		cmocka_unit_test(gqa_2m_f32_agrees_with_pytorch),
		cmocka_unit_test(gqe_2m_f16_scores_as_pytorch),
		cmocka_unit_test(gqa_2m_f16_scores_as_pytorch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
