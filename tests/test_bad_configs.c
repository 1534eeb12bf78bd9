/* config.json: what is read from our own and from Hugging Face's, and every mistake refused by the name of its key. */
#include "support/bad_input.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[256], path[300];

static int make_test_folder(void **state)
{
	(void)state;
	make_folder(folder);
	snprintf(path, sizeof(path), "%s/config.json", folder);
	return 0;
}

static int remove_test_folder(void **state)
{
	(void)state;
	remove_folder(folder);
	return 0;
}

static const char own_config[] = "{\"hidden_size\": 48, \"num_attention_heads\": 8, \"num_key_value_heads\": 4,\n"
				 " \"head_dim\": 16, \"attention\": \"gqe\", \"rope_style\": \"half\", \"rope_theta\": 10000.5,\n"
				 " \"gqe\": {\"top_k\": 2, \"shared_head\": true, \"shared_kv\": \"group_3\",\n"
				 "  \"weighted_sum_slot\": true, \"scale_expert_slots\": false, \"slot_order\": \"expert\"}}";

/* As published with a Llama-family model. */
static const char llama_config[] =
	"{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"attention_bias\": false,\n"
	" \"bos_token_id\": 1, \"hidden_act\": \"silu\", \"hidden_size\": 64, \"initializer_range\": 0.02,\n"
	" \"intermediate_size\": 172, \"max_position_embeddings\": 4096, \"num_attention_heads\": 8,\n"
	" \"num_hidden_layers\": 2, \"num_key_value_heads\": 2, \"pretraining_tp\": 1, \"rms_norm_eps\": 1e-05,\n"
	" \"rope_scaling\": null, \"rope_theta\": 500000.0, \"tie_word_embeddings\": false,\n"
	" \"torch_dtype\": \"bfloat16\", \"use_cache\": true, \"vocab_size\": 32000}";

static gqe_status read_text(const char *text, gqe_layer_config *config, gqe_error *error)
{
	write_text(path, text);
	return gqe_layer_config_read(path, config, error);
}

/* `base` with `from` replaced by `to` has to be refused by a message that contains `key`. */
struct mistake {
	const char *key, *from, *to;
};

static void assert_mistakes_refused(const char *base, const struct mistake *mistakes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		gqe_layer_config config, untouched;
		gqe_error error = {0};
		memset(&config, 0x5a, sizeof(config));
		untouched = config;
		char *text = replaced(base, mistakes[i].from, mistakes[i].to);
		assert_bad_input(read_text(text, &config, &error), &error, path, mistakes[i].key);
		assert_memory_equal(&config, &untouched, sizeof(config));
		free(text);
	}
}

static void mistakes_in_our_configs_are_refused(void **state)
{
	static const struct mistake mistakes[] = {
		/* missing */
		{"'hidden_size'", "\"hidden_size\"", "\"hiden_size\""},
		{"'num_attention_heads'", "\"num_attention_heads\": 8,", ""},
		{"'num_key_value_heads'", "\"num_key_value_heads\": 4", "\"x\": 0"},
		{"'head_dim'", "\"head_dim\": 16,", ""},
		{"'head_dim'", "\"head_dim\": 16,", "\"head_dim\": null,"},
		{"'attention'", "\"attention\": \"gqe\",", ""},
		{"'rope_style'", "\"rope_style\": \"half\",", ""},
		{"'rope_theta'", "\"rope_theta\": 10000.5,", ""},
		{"'gqe'", "\"gqe\":", "\"other\":"},
		{"'gqe.top_k'", "\"top_k\": 2, ", ""},
		{"'gqe.shared_head'", "\"shared_head\": true, ", ""},
		{"'gqe.shared_kv'", "\"shared_kv\": \"group_3\",", ""},
		{"'gqe.weighted_sum_slot'", "\"weighted_sum_slot\": true, ", ""},
		{"'gqe.scale_expert_slots'", "\"scale_expert_slots\": false, ", ""},
		{"'gqe.slot_order'", ", \"slot_order\": \"expert\"", ""},
		/* wrong type */
		{"'hidden_size'", "48", "\"48\""},
		{"'hidden_size'", "48", "[48]"},
		{"'hidden_size'", "48", "true"},
		{"'head_dim'", "16", "{}"},
		{"'attention'", "\"attention\": \"gqe\"", "\"attention\": 1"},
		{"'rope_theta'", "10000.5", "\"10000\""},
		{"'gqe'", "\"gqe\": {", "\"gqe\": 7, \"ignored\": {"},
		{"'gqe.shared_head'", "\"shared_head\": true", "\"shared_head\": 1"},
		{"'gqe.weighted_sum_slot'", "\"weighted_sum_slot\": true", "\"weighted_sum_slot\": \"true\""},
		{"'gqe.shared_kv'", "\"group_3\"", "3"},
		{"'gqe.slot_order'", "\"expert\"", "false"},
		/* not an integer, negative, zero, huge */
		{"'hidden_size'", "48", "48.5"},
		{"'hidden_size'", "48", "-48"},
		{"'hidden_size'", "48", "0"},
		{"hidden_size", "48", "65537"},
		{"'hidden_size'", "48", "4294967344"},
		{"'hidden_size'", "48", "18446744073709551664"},
		{"'hidden_size'", "48", "1e300"},
		{"num_attention_heads", "\"num_attention_heads\": 8", "\"num_attention_heads\": 1028"},
		{"num_key_value_heads", "\"num_key_value_heads\": 4", "\"num_key_value_heads\": 3"},
		{"num_key_value_heads", "\"num_key_value_heads\": 4", "\"num_key_value_heads\": 16"},
		{"head_dim", "16", "15"},
		{"head_dim", "16", "258"},
		{"top_k", "\"top_k\": 2", "\"top_k\": 3"},
		{"'gqe.top_k'", "\"top_k\": 2", "\"top_k\": 0"},
		{"'gqe.top_k'", "\"top_k\": 2", "\"top_k\": -1"},
		{"'gqe.top_k'", "\"top_k\": 2", "\"top_k\": 1.5"},
		/* not finite, not positive */
		{"rope_theta", "10000.5", "NaN"},
		{"rope_theta", "10000.5", "Infinity"},
		{"rope_theta", "10000.5", "-Infinity"},
		{"rope_theta", "10000.5", "nan"},
		{"'rope_theta'", "10000.5", "1e999"},
		{"'rope_theta'", "10000.5", "-1e999"},
		{"'rope_theta'", "10000.5", "0"},
		{"'rope_theta'", "10000.5", "-1"},
		{"hidden_size", "48", "NaN"},
		/* unknown texts: the allowed ones are said */
		{"\"gqe\", \"gqa\"", "\"attention\": \"gqe\"", "\"attention\": \"mha\""},
		{"\"half\", \"interleaved\", \"none\"", "\"half\"", "\"Half\""},
		{"\"rank\", \"expert\"", "\"expert\"", "\"experts\""},
		{"group_3", "\"group_3\"", "\"group_4\""},
		{"'gqe.shared_kv'", "\"group_3\"", "\"group_\""},
		{"'gqe.shared_kv'", "\"group_3\"", "\"group_-1\""},
		{"'gqe.shared_kv'", "\"group_3\"", "\"group_3x\""},
		{"'gqe.shared_kv'", "\"group_3\"", "\"group_4294967299\""},
		{"'gqe.shared_kv'", "\"group_3\"", "\"Mean\""},
		/* a typing mistake inside gqe */
		{"'gqe.topk'", "\"top_k\": 2", "\"top_k\": 2, \"topk\": 1"},
		{"'gqe.slot order'", "\"top_k\": 2", "\"top_k\": 2, \"slot order\": \"rank\""},
		/* not JSON, duplicates */
		{"config", "}}", "}"},
		{"config", "}}", "}}}"},
		{"config", "{\"hidden_size\"", "[\"hidden_size\""},
		{"config", "{\"hidden_size\"", "hidden_size"},
		{"'hidden_size'", "{\"hidden_size\": 48,", "{\"hidden_size\": 48, \"hidden_size\": 64,"},
		{"'top_k'", "\"top_k\": 2", "\"top_k\": 2, \"top_k\": 1"},
		{"NUL", "\"gqe\",", "\"gqe\\u0000\","},
		{"UTF-8", "\"gqe\",", "\"gqe\x80\","},
		/* what would give wrong results if it were ignored */
		{"'rope_scaling'", "\"head_dim\"", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}, \"head_dim\""},
		{"'sliding_window'", "\"head_dim\"", "\"sliding_window\": 128, \"head_dim\""},
		{"'partial_rotary_factor'", "\"head_dim\"", "\"partial_rotary_factor\": 0.5, \"head_dim\""},
	};
	(void)state;
	assert_mistakes_refused(own_config, mistakes, sizeof(mistakes) / sizeof(mistakes[0]));
}

static void our_config_is_read(void **state)
{
	gqe_layer_config config = {0};
	gqe_error error = {0};
	(void)state;

	assert_ok(read_text(own_config, &config, &error), &error);
	assert_int_equal(config.hidden_size, 48);
	assert_int_equal(config.heads, 8);
	assert_int_equal(config.kv_heads, 4);
	assert_int_equal(config.head_dim, 16);
	assert_int_equal(config.attention, GQE_ATTENTION_GQE);
	assert_int_equal(config.rope, GQE_ROPE_HALF);
	assert_true(config.rope_theta == 10000.5);
	assert_int_equal(config.top_k, 2);
	assert_true(config.shared_head);
	assert_int_equal(config.shared_kv, GQE_SHARED_KV_GROUP);
	assert_int_equal(config.shared_kv_group, 3);
	assert_true(config.weighted_sum_slot);
	assert_false(config.scale_expert_slots);
	assert_int_equal(config.slot_order, GQE_SLOT_ORDER_EXPERT);
}

static void harmless_variants_are_read(void **state)
{
	static const struct mistake variants[] = {
		{NULL, "\"hidden_size\"", "\"a key of the future\": [{\"x\": null}], \"hidden_size\""},
		{NULL, "48", "48.0"},
		{NULL, "\"group_3\"", "\"mean\""},
		{NULL, "\"group_3\"", "\"dedicated\""},
		{NULL, "true, \"shared_kv\": \"group_3\"", "false"},
		{NULL, "\"half\", \"rope_theta\": 10000.5", "\"none\""},
		{NULL, "\"gqe\", \"rope_style\"", "\"gqa\", \"rope_style\""},
		{NULL, "{\"hidden_size\"", "\xef\xbb\xbf{\"hidden_size\""}, /* a byte order mark */
		{NULL, "}}", "}}\r\n\n"},
		{NULL, "\"head_dim\"", "\"rope_scaling\": {\"rope_type\": \"default\"}, \"head_dim\""},
		{NULL, "\"head_dim\"", "\"sliding_window\": 128, \"use_sliding_window\": false, \"head_dim\""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
		gqe_layer_config config = {0};
		gqe_error error = {0};
		char *text = replaced(own_config, variants[i].from, variants[i].to);
		assert_ok(read_text(text, &config, &error), &error);
		free(text);
	}
}

static void hugging_face_configs_are_dense_gqa(void **state)
{
	static const struct mistake variants[] = {
		{NULL, "\"use_cache\"", "\"use_cache\""},
		{NULL, "\"llama\"", "\"mistral\""},
		{NULL, "\"llama\"", "\"mistral\", \"sliding_window\": null"},
		{NULL, "\"llama\"", "\"mistral\", \"sliding_window\": 4096"}, /* as wide as the context */
		{NULL, "\"llama\"", "\"qwen2\", \"sliding_window\": 128, \"use_sliding_window\": false"},
		{NULL, "\"llama\"", "\"qwen2\", \"sliding_window\": 128, \"max_window_layers\": 2"},
		{NULL, "\"llama\"", "\"llama\", \"head_dim\": 8"},
		{NULL, "\"llama\"", "\"llama\", \"head_dim\": null, \"layer_types\": [\"full_attention\", \"full_attention\"]"},
		{NULL, "\"rope_theta\": 500000.0", "\"rope_parameters\": {\"rope_theta\": 500000.0, \"rope_type\": \"default\"}"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
		gqe_layer_config config = {0};
		gqe_error error = {0};
		char *text = replaced(llama_config, variants[i].from, variants[i].to);
		assert_ok(read_text(text, &config, &error), &error);
		free(text);
		assert_int_equal(config.attention, GQE_ATTENTION_GQA);
		assert_int_equal(config.hidden_size, 64);
		assert_int_equal(config.heads, 8);
		assert_int_equal(config.kv_heads, 2);
		assert_int_equal(config.head_dim, 8);
		assert_int_equal(config.rope, GQE_ROPE_HALF);
		assert_true(config.rope_theta == 500000.0);
	}

	gqe_layer_config config = {0};
	gqe_error error = {0};
	char *text = replaced(llama_config, "\"num_key_value_heads\": 2,", "");
	char *defaults = replaced(text, "\"rope_theta\": 500000.0,", "");
	assert_ok(read_text(defaults, &config, &error), &error);
	assert_int_equal(config.kv_heads, 8);
	assert_true(config.rope_theta == 10000.0);
	free(defaults);
	free(text);
}

static void hugging_face_features_that_are_missing_here_are_refused(void **state)
{
	static const struct mistake mistakes[] = {
		{"'model_type'", "\"llama\"", "\"gpt2\""},
		{"\"mistral\"", "\"llama\"", "\"gpt2\""}, /* says what is supported */
		{"'model_type'", "\"llama\"", "7"},
		{"'attention'", "\"model_type\": \"llama\",", ""},
		{"'attention'", "\"llama\",", "\"llama\", \"gqe\": {\"top_k\": 1},"},
		{"'rope_scaling'", "\"rope_scaling\": null",
		 "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0}"},
		{"'rope_scaling'", "\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}"},
		{"'rope_scaling'", "\"rope_scaling\": null", "\"rope_scaling\": 2"},
		{"'rope_parameters'", "\"rope_scaling\": null",
		 "\"rope_parameters\": {\"rope_type\": \"yarn\", \"rope_theta\": 1e4}"},
		{"'rope_theta'", "\"rope_theta\": 500000.0",
		 "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": -1}"},
		{"'sliding_window'", "\"llama\"", "\"mistral\", \"sliding_window\": 1024"},
		{"'sliding_window'", "\"llama\"", "\"qwen2\", \"sliding_window\": 1024, \"use_sliding_window\": true"},
		{"'sliding_window'", "\"llama\"", "\"mistral\", \"sliding_window\": \"wide\""},
		{"'layer_types'", "\"llama\"", "\"qwen2\", \"layer_types\": [\"full_attention\", \"sliding_attention\"]"},
		{"'quantization_config'", "\"llama\"", "\"llama\", \"quantization_config\": {\"bits\": 4}"},
		{"'head_dim'", "\"num_attention_heads\": 8", "\"num_attention_heads\": 6"},
		{"head_dim", "\"hidden_size\": 64", "\"hidden_size\": 8"}, /* 1: odd */
		{"num_key_value_heads", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 5"},
		{"'num_attention_heads'", "\"num_attention_heads\": 8,", ""},
	};
	(void)state;
	assert_mistakes_refused(llama_config, mistakes, sizeof(mistakes) / sizeof(mistakes[0]));
}

static void texts_cut_anywhere_are_refused(void **state)
{
	gqe_layer_config config;
	gqe_error error = {0};
	(void)state;

	for (size_t length = 0; length < sizeof(own_config) - 1; length++) {
		write_bytes(path, own_config, length);
		assert_bad_input(gqe_layer_config_read(path, &config, &error), &error, path, "config");
	}
	assert_int_equal(truncate(path, (off_t)17 << 20), 0); /* far beyond any config */
	assert_bad_input(gqe_layer_config_read(path, &config, &error), &error, path, "bytes");
	assert_bad_input(gqe_layer_config_read(folder, &config, &error), &error, folder, "folder");
	snprintf(path, sizeof(path), "%s/no_config.json", folder);
	assert_bad_input(gqe_layer_config_read(path, &config, &error), &error, path, "open");
	assert_int_equal(gqe_layer_config_read(NULL, &config, NULL), GQE_ERROR_USAGE);
	assert_int_equal(gqe_layer_config_read(path, NULL, NULL), GQE_ERROR_USAGE);
	snprintf(path, sizeof(path), "%s/config.json", folder);
}

/* Where 10000.5 is written 10000,5 the file's still is 10000.5. */
static void the_locale_does_not_matter(void **state)
{
	static const char *const locales[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
	gqe_layer_config config = {0};
	gqe_error error = {0};
	bool found = false;
	(void)state;

	for (size_t i = 0; i < sizeof(locales) / sizeof(locales[0]) && !found; i++)
		found = setlocale(LC_NUMERIC, locales[i]) && strcmp(localeconv()->decimal_point, ",") == 0;
	if (!found) {
		setlocale(LC_NUMERIC, "C");
		skip(); /* no such locale is installed */
	}
	gqe_status status = read_text(own_config, &config, &error);
	setlocale(LC_NUMERIC, "C");
	assert_ok(status, &error);
	assert_true(config.rope_theta == 10000.5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(our_config_is_read),
		cmocka_unit_test(harmless_variants_are_read),
		cmocka_unit_test(mistakes_in_our_configs_are_refused),
		cmocka_unit_test(hugging_face_configs_are_dense_gqa),
		cmocka_unit_test(hugging_face_features_that_are_missing_here_are_refused),
		cmocka_unit_test(texts_cut_anywhere_are_refused),
		cmocka_unit_test(the_locale_does_not_matter),
	};
	return cmocka_run_group_tests_name("bad configs", tests, make_test_folder, remove_test_folder);
}
