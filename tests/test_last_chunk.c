/*
 * The last 512 of 131,072 tokens in the paper's layout (16 experts in 8 groups, k 1, d_h 64, shared head, weighted sum): K and V
 * are then 256 MiB each in f32, twice what some drivers allow one storage buffer. The hidden size is small, as it plays no part.
 */
#include "support/layer_fixture.h"

#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 131072, QUERIES = 512, PASS = 4096, HIDDEN = 32 };

/* Fills positions 0...CONTEXT-QUERIES-1 with keys and values of real inputs, without attending. */
static void fill_prefix(gqe_layer *layer, const float *x)
{
	for (uint32_t first = 0; first < CONTEXT - QUERIES;) {
		uint32_t left = CONTEXT - QUERIES - first, count = left < PASS ? left : PASS;
		forward(layer, count, x + (size_t)first * HIDDEN, NULL, NULL, NULL);
		first += count;
	}
}

static void last_512_of_131072_tokens_agree_with_reference(void **state)
{
	(void)state;
	/* Descending, as the reference goes back from one to the next and computes each alone. */
	static const uint32_t sampled[] = {511, 510, 300, 255, 64, 1, 0};
	enum { SAMPLED = sizeof(sampled) / sizeof(sampled[0]) };
	float got[SAMPLED][HIDDEN], want[SAMPLED][HIDDEN];
	if (small_scale()) {
		print_message("not at this scale: 170 GFLOP of attention\n");
		skip();
	}
	struct random random = {131072};
	struct layer_fixture fixture;
	gqe_error error = {0};
	gqe_layer_config config = small_layer_config();
	config.hidden_size = HIDDEN;
	config.heads = 16;
	config.kv_heads = 8;
	config.head_dim = 64;
	fixture_init(&fixture, &config, false, &random);
	/* Sharper scores, so that the result is no mere mean over the values: tensor 0 is q_proj.weight. */
	for (size_t i = 0; i < fixture.tensors[0].bytes / 4; i++)
		((float *)fixture.tensors[0].data)[i] *= 3;
	float *x = must_allocate((size_t)CONTEXT * HIDDEN * 4);
	fill_normal(&random, x, (size_t)(CONTEXT - QUERIES) * HIDDEN, 1);
	float *queries = draw_input(&fixture, QUERIES, &random);
	memcpy(x + (size_t)(CONTEXT - QUERIES) * HIDDEN, queries, QUERIES * HIDDEN * 4);

	float *y = must_allocate(QUERIES * HIDDEN * 4);
	int32_t *experts = must_allocate(QUERIES * 8 * 4);
	poison(y, QUERIES * HIDDEN * 4);
	gqe_context *context = open_device(NULL);
	gqe_layer *layer = make_layer(context, &fixture, GQE_DTYPE_F32, 1, CONTEXT, PASS);
	fill_prefix(layer, x);
	assert_int_equal(gqe_layer_position(layer), CONTEXT - QUERIES);
	forward(layer, QUERIES, queries, y, experts, NULL);
	gqe_layer_destroy(&layer);
	close_context(&context);

	context = open_reference();
	layer = make_layer(context, &fixture, GQE_DTYPE_F32, 1, CONTEXT, PASS);
	fill_prefix(layer, x);
	forward(layer, QUERIES, queries, NULL, NULL, NULL);
	for (int i = 0; i < SAMPLED; i++) {
		int32_t want_experts[8];
		assert_ok(gqe_layer_seek(layer, CONTEXT - QUERIES + sampled[i], &error), &error);
		forward(layer, 1, queries + (size_t)sampled[i] * HIDDEN, want[i], want_experts, NULL);
		memcpy(got[i], y + (size_t)sampled[i] * HIDDEN, sizeof(got[i]));
		assert_memory_equal(experts + sampled[i] * 8, want_experts, sizeof(want_experts));
	}
	assert_close(got[0], want[0], SAMPLED * HIDDEN, TOLERANCE_F32_LONG, "sampled queries");
	print_message("relative error %.2e of %.0e\n", relative_error(got[0], want[0], SAMPLED * HIDDEN), TOLERANCE_F32_LONG);
	gqe_layer_destroy(&layer);
	close_context(&context);
	free(x);
	free(queries);
	free(y);
	free(experts);
	fixture_free(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(last_512_of_131072_tokens_agree_with_reference)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
