/*
 * No token sees a later one, whatever that holds: with infinity or NaN in the input of the last tokens, all before them get the
 * same bits as without. A key that is masked by a probability of 0 would pass them on, as 0 times infinity is NaN. The matrix paths
 * cannot but mask so, a matrix product being all or nothing, and are left out.
 */
#include "support/layer_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 75 };

static void check_cut(gqe_context *context, gqe_path path, const struct layer_fixture *fixture, gqe_dtype dtype, const float *x,
		      const struct layer_output *clean, uint32_t cut, float bad)
{
	const size_t hidden = fixture->config.hidden_size;
	float *spoilt = must_allocate(TOKENS * hidden * sizeof(*spoilt));
	for (size_t i = 0; i < TOKENS * hidden; i++)
		spoilt[i] = i / hidden < cut ? x[i] : bad;
	struct layer_output output;
	run_layer(context, fixture, dtype, spoilt, 1, TOKENS, 0, &output);
	for (size_t i = 0; i < cut * hidden; i++)
		if (memcmp(&output.y[i], &clean->y[i], sizeof(float)) != 0)
			fail_msg("path %s, %s, d_h %u, %u good tokens, then %g: token %zu channel %zu is %.9g and not %.9g",
				 gqe_path_name(path), gqe_dtype_name(dtype), fixture->config.head_dim, cut, (double)bad, i / hidden,
				 i % hidden, (double)output.y[i], (double)clean->y[i]);
	assert_true(isnan(output.y[TOKENS * hidden - 1]));
	output_free(&output);
	free(spoilt);
}

static void check_path(gqe_context *context, gqe_path path)
{
	static const uint32_t cuts[] = {1, 7, 32, 37, 66, 74};
	static const uint32_t head_dims[] = {16, 48};
	struct random random = {75};
	for (size_t d = 0; d < sizeof(head_dims) / sizeof(*head_dims); d++) {
		struct layer_fixture fixture;
		gqe_layer_config config = small_layer_config();
		config.head_dim = head_dims[d];
		fixture_init(&fixture, &config, false, &random);
		float *x = draw_input(&fixture, TOKENS, &random);
		for (gqe_dtype dtype = GQE_DTYPE_F32; dtype <= GQE_DTYPE_F16; dtype++) {
			if (dtype == GQE_DTYPE_F16 && !can_f16(context))
				continue;
			struct layer_output clean;
			run_layer(context, &fixture, dtype, x, 1, TOKENS, 0, &clean);
			for (size_t i = 0; i < sizeof(cuts) / sizeof(*cuts); i++) {
				check_cut(context, path, &fixture, dtype, x, &clean, cuts[i], NAN);
				check_cut(context, path, &fixture, dtype, x, &clean, cuts[i], INFINITY);
			}
			output_free(&clean);
		}
		free(x);
		fixture_free(&fixture);
	}
}

static void infinity_and_nan_do_not_reach_earlier_tokens(void **state)
{
	(void)state;
	gqe_context *context = open_device(NULL);
	gqe_device_info info = *gqe_context_device(context);
	close_context(&context);
	for (uint32_t i = 0; i < info.path_count; i++) {
		if (info.paths[i] != GQE_PATH_SCALAR && info.paths[i] != GQE_PATH_SUBGROUP)
			continue;
		gqe_context_params params = {.force_path = info.paths[i]};
		context = open_device(&params);
		check_path(context, info.paths[i]);
		close_context(&context);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(infinity_and_nan_do_not_reach_earlier_tokens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
