/* A layer against the reference and against itself: random configs, chunks, decode, batches, seeking, reruns. */
#include "support/layer_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double tolerance_of(gqe_dtype dtype, uint32_t tokens)
{
	return dtype == GQE_DTYPE_F16 ? TOLERANCE_F16 : tokens > 4096 ? TOLERANCE_F32_LONG : TOLERANCE_F32;
}

/* The contexts, kept for all tests of the file: pipelines are then made once. */
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

static void compare_outputs(const struct layer_fixture *fixture, const struct layer_output *got, const struct layer_output *want,
			    size_t rows, double tolerance, const char *what)
{
	char description[200];
	size_t selected = rows * fixture_selected(fixture);
	describe_layer_config(&fixture->config, description, sizeof(description));
	assert_close(got->y, want->y, rows * fixture->config.hidden_size, tolerance, "%s y, %s", what, description);
	for (size_t i = 0; i < selected; i++)
		if (got->experts[i] != want->experts[i])
			fail_msg("%s, %s: expert %zu of %zu is %d, not %d", what, description, i, selected, got->experts[i],
				 want->experts[i]);
	if (selected)
		assert_close(got->gate, want->gate, selected, TOLERANCE_F32, "%s gate, %s", what, description);
}

static void check_against_reference(struct contexts *contexts, const gqe_layer_config *config, uint32_t batch, uint32_t tokens,
				    gqe_dtype dtype, struct random *random)
{
	struct layer_fixture fixture;
	struct layer_output got, want;
	fixture_init(&fixture, config, random_between(random, 0, 1), random);
	float *x = draw_input(&fixture, (size_t)batch * tokens, random);
	run_layer(contexts->device, &fixture, dtype, x, batch, tokens, 0, &got);
	run_layer(contexts->reference, &fixture, GQE_DTYPE_F32, x, batch, tokens, 0, &want);
	char what[64];
	snprintf(what, sizeof(what), "B=%u T=%u %s", batch, tokens, gqe_dtype_name(dtype));
	compare_outputs(&fixture, &got, &want, (size_t)batch * tokens, tolerance_of(dtype, tokens), what);
	output_free(&got);
	output_free(&want);
	free(x);
	fixture_free(&fixture);
}

static void random_layers_agree_with_reference(void **state)
{
	struct contexts *contexts = *state;
	struct random random = {20260620};
	uint32_t cases = small_scale() ? 12 : 40;
	for (uint32_t i = 0; i < cases; i++) {
		gqe_layer_config config = random_layer_config(&random);
		uint32_t tokens = small_scale() ? random_between(&random, 1, 40) : random_between(&random, 1, i % 4 ? 100 : 600);
		gqe_dtype dtype = i % 3 == 2 && can_f16(contexts->device) ? GQE_DTYPE_F16 : GQE_DTYPE_F32;
		check_against_reference(contexts, &config, random_between(&random, 1, 3), tokens, dtype, &random);
	}
}

/* Lengths around every power of two a tile may have. */
static void lengths_around_tile_edges_agree_with_reference(void **state)
{
	static const uint32_t lengths[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257};
	struct contexts *contexts = *state;
	struct random random = {31};
	gqe_layer_config config = small_layer_config();
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		if (!small_scale() || lengths[i] <= 65)
			check_against_reference(contexts, &config, 1, lengths[i], GQE_DTYPE_F32, &random);
}

static void a_layer_of_4099_tokens_agrees_with_reference(void **state)
{
	struct contexts *contexts = *state;
	struct random random = {4099};
	if (small_scale()) {
		print_message("not at this scale: the driver would need minutes\n");
		skip();
	}
	gqe_layer_config config = small_layer_config();
	config.kv_heads = 2;
	config.heads = 4;
	check_against_reference(contexts, &config, 1, 4099, GQE_DTYPE_F32, &random);
}

/* A layer in passes of every kind gives what one pass gives; and whatever the passes, the routing is the same. */
static void chunks_equal_whole(void **state)
{
	static const uint32_t chunks[] = {1, 3, 16, 32, 50};
	struct contexts *contexts = *state;
	struct random random = {5};
	for (int f16 = 0; f16 <= (can_f16(contexts->device) ? 1 : 0); f16++) {
		uint32_t tokens = small_scale() ? 37 : 101;
		gqe_dtype dtype = f16 ? GQE_DTYPE_F16 : GQE_DTYPE_F32;
		struct layer_fixture fixture;
		struct layer_output whole, pieces;
		gqe_layer_config config = small_layer_config();
		config.shared_kv = GQE_SHARED_KV_MEAN;
		fixture_init(&fixture, &config, true, &random);
		float *x = draw_input(&fixture, 2 * tokens, &random);
		run_layer(contexts->device, &fixture, dtype, x, 2, tokens, 0, &whole);
		for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
			run_layer(contexts->device, &fixture, dtype, x, 2, tokens, chunks[i], &pieces);
			char what[64];
			snprintf(what, sizeof(what), "chunks of %u, %s", chunks[i], gqe_dtype_name(dtype));
			compare_outputs(&fixture, &pieces, &whole, 2 * tokens, TOLERANCE_F32, what);
			output_free(&pieces);
		}
		output_free(&whole);
		free(x);
		fixture_free(&fixture);
	}
}

static void a_batch_equals_its_sequences(void **state)
{
	struct contexts *contexts = *state;
	struct random random = {6};
	uint32_t tokens = small_scale() ? 21 : 70;
	struct layer_fixture fixture;
	struct layer_output together, alone;
	gqe_layer_config config = small_layer_config();
	fixture_init(&fixture, &config, false, &random);
	float *x = draw_input(&fixture, 3 * tokens, &random);
	run_layer(contexts->device, &fixture, GQE_DTYPE_F32, x, 3, tokens, 0, &together);
	for (uint32_t b = 0; b < 3; b++) {
		size_t at = (size_t)b * tokens * config.hidden_size, at_slots = b * tokens * fixture_selected(&fixture);
		run_layer(contexts->device, &fixture, GQE_DTYPE_F32, x + at, 1, tokens, 0, &alone);
		struct layer_output part = {together.y + at, together.experts + at_slots, together.gate + at_slots};
		compare_outputs(&fixture, &part, &alone, tokens, TOLERANCE_F32, "a sequence of a batch");
		output_free(&alone);
	}
	output_free(&together);
	free(x);
	fixture_free(&fixture);
}

static void reruns_are_bit_identical(void **state)
{
	struct contexts *contexts = *state;
	struct random random = {8};
	for (int i = 0; i < 4; i++) {
		uint32_t tokens = small_scale() ? 33 : 200;
		struct layer_fixture fixture;
		struct layer_output first, second;
		gqe_layer_config config = i ? random_layer_config(&random) : small_layer_config();
		gqe_dtype dtype = i % 2 && can_f16(contexts->device) ? GQE_DTYPE_F16 : GQE_DTYPE_F32;
		fixture_init(&fixture, &config, false, &random);
		float *x = draw_input(&fixture, tokens, &random);
		gqe_context *another = open_device(NULL);
		run_layer(contexts->device, &fixture, dtype, x, 1, tokens, 0, &first);
		run_layer(another, &fixture, dtype, x, 1, tokens, 0, &second);
		assert_memory_equal(first.y, second.y, (size_t)tokens * config.hidden_size * 4);
		if (first.gate)
			assert_memory_equal(first.gate, second.gate, tokens * fixture_selected(&fixture) * 4);
		close_context(&another);
		output_free(&first);
		output_free(&second);
		free(x);
		fixture_free(&fixture);
	}
}

/* Going back drops the later tokens: what follows is as if they had never been. */
static void seek_forgets_later_tokens(void **state)
{
	struct contexts *contexts = *state;
	struct random random = {9};
	enum { TOKENS = 24, KEPT = 10 };
	struct layer_fixture fixture;
	gqe_layer_config config = small_layer_config();
	fixture_init(&fixture, &config, false, &random);
	size_t width = config.hidden_size;
	float *x = draw_input(&fixture, TOKENS, &random), *other = draw_input(&fixture, TOKENS, &random);
	float want[TOKENS * 48], got[TOKENS * 48];
	gqe_error error = {0};
	gqe_layer *layer = make_layer(contexts->device, &fixture, GQE_DTYPE_F32, 1, TOKENS, TOKENS);
	forward(layer, TOKENS, x, want, NULL, NULL);
	assert_ok(gqe_layer_seek(layer, 0, &error), &error);
	forward(layer, TOKENS, other, got, NULL, NULL);
	assert_ok(gqe_layer_seek(layer, 0, &error), &error);
	forward(layer, KEPT, x, got, NULL, NULL);
	forward(layer, TOKENS - KEPT, other + KEPT * width, got, NULL, NULL);
	assert_ok(gqe_layer_seek(layer, KEPT, &error), &error);
	assert_int_equal(gqe_layer_position(layer), KEPT);
	poison(got, sizeof(got));
	forward(layer, TOKENS - KEPT, x + KEPT * width, got + KEPT * width, NULL, NULL);
	assert_close(got + KEPT * width, want + KEPT * width, (TOKENS - KEPT) * width, TOLERANCE_F32, "after going back");
	assert_status(gqe_layer_seek(layer, TOKENS + 1, &error), GQE_ERROR_USAGE, &error);
	gqe_layer_destroy(&layer);
	free(x);
	free(other);
	fixture_free(&fixture);
}

/* A gap made by seeking forward has keys and values of zero, on the device as on the reference. */
static void a_gap_is_zeros(void **state)
{
	struct contexts *contexts = *state;
	struct random random = {10};
	enum { TOKENS = 6, GAP = 50 };
	struct layer_fixture fixture;
	gqe_layer_config config = small_layer_config();
	fixture_init(&fixture, &config, false, &random);
	size_t width = config.hidden_size;
	float *x = draw_input(&fixture, 2 * TOKENS, &random), y[2][TOKENS * 48];
	gqe_context *both[] = {contexts->device, contexts->reference};
	gqe_error error = {0};
	for (int i = 0; i < 2; i++) {
		gqe_layer *layer = make_layer(both[i], &fixture, GQE_DTYPE_F32, 1, GAP + 2 * TOKENS, GAP);
		forward(layer, TOKENS, x, y[i], NULL, NULL);
		assert_ok(gqe_layer_seek(layer, TOKENS + GAP, &error), &error);
		forward(layer, TOKENS, x + TOKENS * width, y[i], NULL, NULL);
		gqe_layer_destroy(&layer);
	}
	assert_close(y[0], y[1], TOKENS * width, TOLERANCE_F32, "after a gap");
	free(x);
	fixture_free(&fixture);
}

/* y NULL fills the cache only; the tokens after see the same as if y had been computed. */
static void a_prefix_without_y_is_seen(void **state)
{
	struct contexts *contexts = *state;
	struct random random = {11};
	enum { PREFIX = 19, TOKENS = 30 };
	for (int shared_kv = GQE_SHARED_KV_GROUP; shared_kv <= GQE_SHARED_KV_MEAN; shared_kv++) {
		struct layer_fixture fixture;
		gqe_layer_config config = small_layer_config();
		config.shared_kv = (gqe_shared_kv)shared_kv;
		config.shared_kv_group = 3;
		fixture_init(&fixture, &config, true, &random);
		size_t width = config.hidden_size;
		float *x = draw_input(&fixture, TOKENS, &random), want[TOKENS * 48], got[TOKENS * 48];
		gqe_layer *layer = make_layer(contexts->device, &fixture, GQE_DTYPE_F32, 1, TOKENS, TOKENS);
		forward(layer, TOKENS, x, want, NULL, NULL);
		gqe_layer_destroy(&layer);
		layer = make_layer(contexts->device, &fixture, GQE_DTYPE_F32, 1, TOKENS, TOKENS);
		forward(layer, PREFIX, x, NULL, NULL, NULL);
		assert_int_equal(gqe_layer_position(layer), PREFIX);
		forward(layer, TOKENS - PREFIX, x + PREFIX * width, got, NULL, NULL);
		assert_close(got, want + PREFIX * width, (TOKENS - PREFIX) * width, TOLERANCE_F32, "after a prefix without y");
		gqe_layer_destroy(&layer);
		free(x);
		fixture_free(&fixture);
	}
}

/* NaN or infinity in any tensor: computed with as with other values, and nothing but values goes wrong. */
static void values_are_not_looked_at(void **state)
{
	struct contexts *contexts = *state;
	struct random random = {21};
	enum { TOKENS = 9 };
	const gqe_layer_config config = small_layer_config();
	struct layer_fixture fixture;
	fixture_init(&fixture, &config, false, &random);
	const size_t width = config.hidden_size, slots = fixture_selected(&fixture);
	float *x = draw_input(&fixture, TOKENS, &random), *y = must_allocate(TOKENS * width * sizeof(float));
	int32_t *experts = must_allocate(TOKENS * slots * sizeof(int32_t));
	for (size_t i = 0; i < fixture.tensor_count; i++)
		for (int infinite = 0; infinite < 2; infinite++) {
			float *value = (float *)fixture.tensors[i].data, kept = *value;
			*value = infinite ? INFINITY : NAN;
			gqe_layer *layer = make_layer(contexts->device, &fixture, GQE_DTYPE_F32, 1, TOKENS, TOKENS);
			forward(layer, TOKENS, x, y, experts, NULL);
			gqe_layer_destroy(&layer);
			*value = kept;
			size_t finite = 0;
			for (size_t j = 0; j < TOKENS * width; j++)
				finite += isfinite(y[j]) != 0;
			assert_true(finite < TOKENS * width);
			for (size_t j = 0; j < TOKENS * slots; j++)
				assert_in_range(experts[j], 0, config.heads / config.kv_heads - 1);
		}
	free(experts);
	free(y);
	free(x);
	fixture_free(&fixture);
}

/* The last of a million positions: RoPE's angles must still be right. */
static void rope_is_right_at_position_1048575(void **state)
{
	struct contexts *contexts = *state;
	struct random random = {12};
	enum { LAST = 1048576, TOKENS = 4 };
	gqe_layer_config config = small_layer_config();
	config.kv_heads = 1;
	config.heads = 2;
	config.head_dim = 16;
	if (small_scale()) {
		print_message("not at this scale: attention over a million keys\n");
		skip();
	}
	for (int style = GQE_ROPE_HALF; style <= GQE_ROPE_INTERLEAVED; style++) {
		config.rope = (gqe_rope)style;
		struct layer_fixture fixture;
		fixture_init(&fixture, &config, false, &random);
		size_t width = config.hidden_size;
		float *x = draw_input(&fixture, TOKENS, &random), y[2][TOKENS * 48];
		gqe_context *both[] = {contexts->device, contexts->reference};
		gqe_error error = {0};
		/* A large key makes the few real tokens outweigh the million zeros before them. */
		for (size_t i = 0; i < fixture.tensors[1].bytes / 4; i++)
			((float *)fixture.tensors[1].data)[i] *= 12;
		for (int i = 0; i < 2; i++) {
			gqe_layer *layer = make_layer(both[i], &fixture, GQE_DTYPE_F32, 1, LAST, TOKENS);
			assert_ok(gqe_layer_seek(layer, LAST - TOKENS, &error), &error);
			forward(layer, TOKENS, x, y[i], NULL, NULL);
			gqe_layer_destroy(&layer);
		}
		assert_close(y[0], y[1], TOKENS * width, 1e-4, "at position %d", LAST - 1);
		free(x);
		fixture_free(&fixture);
	}
}

/* Misuse is a clear error that leaves the layer usable. */
static void misuse_is_refused(void **state)
{
	struct contexts *contexts = *state;
	struct random random = {13};
	struct layer_fixture fixture;
	gqe_layer_config config = small_layer_config();
	fixture_init(&fixture, &config, false, &random);
	float *x = draw_input(&fixture, 8, &random), y[8 * 48];
	gqe_error error = {0};
	gqe_layer *layer = make_layer(contexts->device, &fixture, GQE_DTYPE_F32, 1, 8, 4);
	gqe_layer_io io = {.size = sizeof(io), .tokens = 5, .x = x, .y = y};
	assert_status(gqe_layer_forward(layer, &io, &error), GQE_ERROR_USAGE, &error); /* more than the chunk */
	io.tokens = 0;
	assert_status(gqe_layer_forward(layer, &io, &error), GQE_ERROR_USAGE, &error);
	forward(layer, 4, x, y, NULL, NULL);
	forward(layer, 4, x, y, NULL, NULL);
	io.tokens = 1;
	assert_status(gqe_layer_forward(layer, &io, &error), GQE_ERROR_USAGE, &error); /* the cache is full */
	assert_int_equal(gqe_layer_position(layer), 8);
	gqe_layer_destroy(&layer);
	gqe_layer_destroy(&layer);

	gqe_layer_params params = {.size = sizeof(params),
				   .config = &config,
				   .tensors = fixture.tensors,
				   .tensor_count = fixture.tensor_count - 1,
				   .max_tokens = 4};
	assert_status(gqe_layer_create(contexts->device, &params, &layer, &error), GQE_ERROR_BAD_INPUT, &error);
	assert_non_null(strstr(error.message, "o_proj.weight"));
	assert_null(layer);
	params.tensor_count++;
	config.top_k = 3; /* M is 2 */
	assert_status(gqe_layer_create(contexts->device, &params, &layer, &error), GQE_ERROR_BAD_INPUT, &error);
	free(x);
	fixture_free(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_layers_agree_with_reference),
		cmocka_unit_test(lengths_around_tile_edges_agree_with_reference),
		cmocka_unit_test(a_layer_of_4099_tokens_agrees_with_reference),
		cmocka_unit_test(chunks_equal_whole),
		cmocka_unit_test(a_batch_equals_its_sequences),
		cmocka_unit_test(reruns_are_bit_identical),
		cmocka_unit_test(seek_forgets_later_tokens),
		cmocka_unit_test(a_gap_is_zeros),
		cmocka_unit_test(a_prefix_without_y_is_seen),
		cmocka_unit_test(values_are_not_looked_at),
		cmocka_unit_test(rope_is_right_at_position_1048575),
		cmocka_unit_test(misuse_is_refused),
	};
	return cmocka_run_group_tests(tests, open_contexts, close_contexts);
}
