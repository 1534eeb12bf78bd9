/* gqe_layer_config_check: every limit from both sides, and messages that name key, value and what is allowed. */
#include <gqe/gqe.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const gqe_layer_config paper = {
	.hidden_size = 1024,
	.heads = 16,
	.kv_heads = 8,
	.head_dim = 64,
	.attention = GQE_ATTENTION_GQE,
	.rope = GQE_ROPE_HALF,
	.rope_theta = 10000,
	.top_k = 1,
	.shared_head = true,
	.shared_kv = GQE_SHARED_KV_GROUP,
	.weighted_sum_slot = true,
	.slot_order = GQE_SLOT_ORDER_RANK,
};

static void expect_good(const gqe_layer_config *config)
{
	gqe_error error = {.status = GQE_OK, .message = "untouched"};
	assert_int_equal(gqe_layer_config_check(config, &error), GQE_OK);
	assert_string_equal(error.message, "untouched");
	assert_int_equal(gqe_layer_config_check(config, NULL), GQE_OK);
}

static void expect_bad(const gqe_layer_config *config, const char *key, const char *value, const char *allowed)
{
	gqe_error error = {.status = GQE_OK};
	assert_int_equal(gqe_layer_config_check(config, &error), GQE_ERROR_BAD_INPUT);
	assert_int_equal(error.status, GQE_ERROR_BAD_INPUT);
	assert_ptr_equal(strstr(error.message, key), error.message);
	assert_non_null(strstr(error.message, value));
	assert_non_null(strstr(error.message, allowed));
	assert_int_equal(gqe_layer_config_check(config, NULL), GQE_ERROR_BAD_INPUT);
}

/* expect_bad or expect_good of the paper's setting with some fields changed. */
#define BAD(key, value, allowed, ...)                     \
	do {                                              \
		gqe_layer_config config = paper;          \
		__VA_ARGS__;                              \
		expect_bad(&config, key, value, allowed); \
	} while (0)
#define GOOD(...)                                \
	do {                                     \
		gqe_layer_config config = paper; \
		__VA_ARGS__;                     \
		expect_good(&config);            \
	} while (0)

static void sizes(void **state)
{
	(void)state;
	GOOD();
	BAD("hidden_size", "0", "1...65536", config.hidden_size = 0);
	BAD("hidden_size", "65537", "1...65536", config.hidden_size = 65537);
	GOOD(config.hidden_size = 1);
	GOOD(config.hidden_size = 65536);
	BAD("num_attention_heads (heads)", "0", "1...1024", config.heads = 0);
	BAD("num_attention_heads", "1025", "1...1024", config.heads = config.kv_heads = 1025);
	GOOD(config.heads = 1024, config.kv_heads = 16);
	BAD("num_key_value_heads (kv_heads)", "0", "1...1024", config.kv_heads = 0);
	BAD("num_key_value_heads", "5", "16", config.kv_heads = 5);
	BAD("num_key_value_heads", "32", "16", config.kv_heads = 32);
	BAD("num_attention_heads / num_key_value_heads", "65", "64", config.heads = 65, config.kv_heads = 1);
	GOOD(config.heads = 64, config.kv_heads = 1);
	BAD("head_dim", "0", "1...256", config.head_dim = 0);
	BAD("head_dim", "63", "even", config.head_dim = 63);
	BAD("head_dim", "258", "1...256", config.head_dim = 258);
	BAD("head_dim", "4294967295", "1...256", config.head_dim = UINT32_MAX);
	GOOD(config.head_dim = 2);
	GOOD(config.head_dim = 256);
}

static void rope(void **state)
{
	(void)state;
	BAD("rope_theta", "0", "above 0", config.rope_theta = 0);
	BAD("rope_theta", "-1", "above 0", config.rope_theta = -1);
	BAD("rope_theta", "nan", "finite", config.rope_theta = NAN);
	BAD("rope_theta", "inf", "finite", config.rope_theta = INFINITY);
	GOOD(config.rope_theta = 1e-3);
	BAD("rope_style (rope)", "0", "GQE_ROPE_HALF", config.rope = 0);
	BAD("rope_style", "4", "GQE_ROPE_NONE", config.rope = GQE_ROPE_NONE + 1);
	GOOD(config.rope = GQE_ROPE_INTERLEAVED);
	GOOD(config.rope = GQE_ROPE_NONE);
}

static void routing(void **state)
{
	(void)state;
	BAD("attention", "0", "GQE_ATTENTION_GQE", config.attention = 0);
	BAD("attention", "3", "GQE_ATTENTION_GQA", config.attention = 3);
	BAD("gqe.top_k", "0", "1...2", config.top_k = 0);
	BAD("gqe.top_k", "3", "1...2", config.top_k = 3);
	GOOD(config.top_k = 2);
	BAD("gqe.slot_order", "0", "GQE_SLOT_ORDER_RANK", config.slot_order = 0);
	BAD("gqe.slot_order", "3", "GQE_SLOT_ORDER_EXPERT", config.slot_order = 3);
	GOOD(config.slot_order = GQE_SLOT_ORDER_EXPERT);
}

static void shared_head(void **state)
{
	(void)state;
	BAD("gqe.shared_kv", "0", "GQE_SHARED_KV_GROUP", config.shared_kv = 0);
	BAD("gqe.shared_kv", "4", "GQE_SHARED_KV_MEAN", config.shared_kv = 4);
	BAD("gqe.shared_kv", "group_8", "group_0...group_7", config.shared_kv_group = 8);
	GOOD(config.shared_kv_group = 7);
	GOOD(config.shared_kv = GQE_SHARED_KV_MEAN, config.shared_kv_group = 8);
	GOOD(config.shared_kv = GQE_SHARED_KV_DEDICATED, config.shared_kv_group = 8);
	GOOD(config.shared_head = false, config.shared_kv = 0, config.shared_kv_group = 8);
}

static void gqa_ignores_the_gqe_fields(void **state)
{
	(void)state;
	gqe_layer_config config = paper;
	config.attention = GQE_ATTENTION_GQA;
	config.top_k = 99;
	config.shared_kv = 99;
	config.shared_kv_group = 99;
	config.slot_order = 99;
	expect_good(&config);
	config.head_dim = 3;
	expect_bad(&config, "head_dim", "3", "even");
}

static void null_is_a_usage_error(void **state)
{
	(void)state;
	assert_int_equal(gqe_layer_config_check(NULL, NULL), GQE_ERROR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(rope),
		cmocka_unit_test(routing),
		cmocka_unit_test(shared_head),
		cmocka_unit_test(gqa_ignores_the_gqe_fields),
		cmocka_unit_test(null_is_a_usage_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
