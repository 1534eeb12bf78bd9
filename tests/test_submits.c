/* Work in pieces: a layer whose every step is cut into submits of a millisecond computes the same, to the bit, as one in large
 * ones. */
#include "support/layer_fixture.h"

#include <stdlib.h>
#include <string.h>

enum { TOKENS = 96, HIDDEN = 256 };

static void compute(gqe_context_params params, float *y)
{
	struct random random = {5};
	struct layer_fixture fixture;
	gqe_layer_config config = small_layer_config();
	config.hidden_size = HIDDEN;
	config.head_dim = 64;
	fixture_init(&fixture, &config, true, &random);
	float *x = draw_input(&fixture, TOKENS, &random);
	gqe_context *context = open_device(&params);
	gqe_layer *layer = make_layer(context, &fixture, GQE_DTYPE_F32, 1, 2 * TOKENS, TOKENS);
	for (int pass = 0; pass < 2; pass++)
		forward(layer, TOKENS, x, y + (size_t)pass * TOKENS * HIDDEN, NULL, NULL);
	gqe_layer_destroy(&layer);
	close_context(&context);
	free(x);
	fixture_free(&fixture);
}

static void the_size_of_submits_changes_nothing(void **state)
{
	(void)state;
	const size_t count = (size_t)2 * TOKENS * HIDDEN;
	float *want = must_allocate(count * sizeof(float)), *got = must_allocate(count * sizeof(float));
	compute((gqe_context_params){.submit_target_ms = 100000, .submit_cap_ms = 1000000}, want);
	const gqe_context_params params[] = {{.submit_target_ms = 1, .submit_cap_ms = 1},
					     {.submit_target_ms = 1, .low_impact = true}};
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		poison(got, count * sizeof(float));
		compute(params[i], got);
		assert_memory_equal(got, want, count * sizeof(float));
	}
	free(want);
	free(got);
}

static void a_cancelled_layer_can_go_on(void **state)
{
	(void)state;
	struct random random = {5};
	struct layer_fixture fixture;
	gqe_layer_config config = small_layer_config();
	gqe_error error = {0};
	fixture_init(&fixture, &config, false, &random);
	float *x = draw_input(&fixture, TOKENS, &random), *y = must_allocate((size_t)TOKENS * config.hidden_size * sizeof(float));
	gqe_context *context = open_device(NULL);
	gqe_layer *layer = make_layer(context, &fixture, GQE_DTYPE_F32, 1, TOKENS, TOKENS);
	gqe_layer_io io = {.size = sizeof(io), .tokens = TOKENS, .x = x, .y = y};
	gqe_layer_cancel(layer);
	assert_status(gqe_layer_forward(layer, &io, &error), GQE_CANCELLED, &error);
	assert_int_equal(gqe_layer_position(layer), 0);
	assert_ok(gqe_layer_forward(layer, &io, &error), &error);
	assert_int_equal(gqe_layer_position(layer), TOKENS);
	gqe_layer_destroy(&layer);
	close_context(&context);
	free(y);
	free(x);
	fixture_free(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_size_of_submits_changes_nothing),
		cmocka_unit_test(a_cancelled_layer_can_go_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
