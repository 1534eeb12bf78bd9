/* A model's folder: config, one file or shards, every tensor by name, dtype and shape; the tokenizer that follows from it. */
#include "support/bad_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_TENSORS 48

/* 2 blocks, d 8, N 4, G 2, d_h 4, k 1: q [20, 8], o [8, 16]. */
static const char config_text[] = "{\"hidden_size\": 8, \"num_attention_heads\": 4, \"num_key_value_heads\": 2,\n"
				  " \"head_dim\": 4, \"attention\": \"gqe\", \"rope_style\": \"half\", \"rope_theta\": 10000,\n"
				  " \"gqe\": {\"top_k\": 1, \"shared_head\": true, \"shared_kv\": \"group_0\",\n"
				  "  \"weighted_sum_slot\": true, \"scale_expert_slots\": false, \"slot_order\": \"rank\"},\n"
				  " \"num_hidden_layers\": 2, \"intermediate_size\": 12, \"vocab_size\": 256,\n"
				  " \"norm\": \"rmsnorm\", \"norm_eps\": 1e-5, \"mlp\": \"swiglu\",\n"
				  " \"tie_word_embeddings\": false, \"max_position_embeddings\": 64, \"tokenizer\": \"bytes\"}";

struct model {
	gqe_tensor tensors[MAX_TENSORS];
	char names[MAX_TENSORS][80];
	size_t count;
};

static char folder[256];
static float zeros[4096];

static int make_test_folder(void **state)
{
	(void)state;
	make_folder(folder);
	return 0;
}

static int remove_test_folder(void **state)
{
	(void)state;
	remove_folder(folder);
	return 0;
}

static const char *in_folder(const char *name)
{
	static char path[512];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void set_shape(gqe_tensor *tensor, gqe_dtype dtype, uint64_t rows, uint64_t cols)
{
	tensor->dtype = dtype;
	tensor->rank = cols ? 2 : 1;
	tensor->shape[0] = rows;
	tensor->shape[1] = cols;
	tensor->bytes = rows * (cols ? cols : 1) * gqe_dtype_size(dtype);
	tensor->data = zeros;
	assert_true(tensor->bytes <= sizeof(zeros) * 2);
}

static void add(struct model *model, const char *name, uint64_t rows, uint64_t cols)
{
	static const gqe_dtype dtypes[] = {GQE_DTYPE_F32, GQE_DTYPE_F16, GQE_DTYPE_BF16};
	size_t i = model->count++;

	assert_true(i < MAX_TENSORS);
	snprintf(model->names[i], sizeof(model->names[i]), "%s", name);
	model->tensors[i] = (gqe_tensor){0};
	set_shape(&model->tensors[i], dtypes[i % 3], rows, cols);
}

/* Names point into the struct, so they are set when it no longer moves. */
static void write_model(struct model *model, const char *config, const char *file)
{
	gqe_error error = {0};

	for (size_t i = 0; i < model->count; i++)
		model->tensors[i].name = model->names[i];
	if (config)
		write_text(in_folder("config.json"), config);
	assert_ok(gqe_tensor_file_write(in_folder(file), model->tensors, model->count, &error), &error);
}

/* What `config_text` asks for. */
static struct model whole_model(void)
{
	static const struct {
		const char *name;
		uint64_t rows, cols;
	} parts[] = {
		{"input_layernorm.weight", 8, 0},          {"self_attn.q_proj.weight", 20, 8}, {"self_attn.k_proj.weight", 8, 8},
		{"self_attn.v_proj.weight", 8, 8},         {"self_attn.router.weight", 4, 8},  {"self_attn.o_proj.weight", 8, 16},
		{"mlp.gate_proj.weight", 12, 8},           {"mlp.up_proj.weight", 12, 8},      {"mlp.down_proj.weight", 8, 12},
		{"post_attention_layernorm.weight", 8, 0},
	};
	struct model model = {.count = 0};

	add(&model, "model.embed_tokens.weight", 256, 8);
	for (int block = 0; block < 2; block++) {
		for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
			char name[80];
			snprintf(name, sizeof(name), "model.layers.%d.%s", block, parts[i].name);
			add(&model, name, parts[i].rows, parts[i].cols);
		}
	}
	add(&model, "model.norm.weight", 8, 0);
	add(&model, "lm_head.weight", 256, 8);
	return model;
}

static gqe_tensor *tensor_named(struct model *model, const char *name)
{
	for (size_t i = 0; i < model->count; i++) {
		if (strcmp(model->names[i], name) == 0)
			return &model->tensors[i];
	}
	fail_msg("the test's model has no %s", name);
	return NULL;
}

static void leave_out(struct model *model, size_t i)
{
	model->count--;
	memmove(&model->tensors[i], &model->tensors[i + 1], (model->count - i) * sizeof(model->tensors[0]));
	memmove(&model->names[i], &model->names[i + 1], (model->count - i) * sizeof(model->names[0]));
}

static void assert_opens(void)
{
	gqe_model_files *files = NULL;
	gqe_error error = {0};

	assert_ok(gqe_model_files_open(folder, &files, &error), &error);
	gqe_model_files_destroy(&files);
	assert_null(files);
}

static void assert_refused(const char *file, const char *name)
{
	gqe_error error = {0};
	gqe_model_files *files = (gqe_model_files *)&error; /* must become NULL */
	gqe_status status = gqe_model_files_open(folder, &files, &error);

	assert_bad_input(status, &error, file, name);
	assert_null(files);
}

static void a_whole_model_opens(void **state)
{
	struct model model = whole_model();
	gqe_model_files *files = NULL;
	gqe_error error = {0};
	size_t count = 0, found = 0;
	(void)state;

	write_model(&model, config_text, "model.safetensors");
	assert_ok(gqe_model_files_open(folder, &files, &error), &error);
	const gqe_model_config *config = gqe_model_files_config(files);
	assert_int_equal(config->layers, 2);
	assert_int_equal(config->layer.hidden_size, 8);
	assert_int_equal(config->intermediate_size, 12);
	assert_int_equal(config->vocab_size, 256);
	assert_int_equal(config->norm, GQE_NORM_RMSNORM);
	assert_true(config->norm_eps == 1e-5);
	assert_int_equal(config->mlp, GQE_MLP_SWIGLU);
	assert_false(config->tie_word_embeddings);
	assert_int_equal(config->max_position_embeddings, 64);
	assert_string_equal(config->tokenizer, "bytes");

	const gqe_tensor *tensors = gqe_model_files_tensors(files, &count);
	assert_int_equal(count, model.count);
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < model.count; j++)
			found += strcmp(tensors[i].name, model.names[j]) == 0 && tensors[i].dtype == model.tensors[j].dtype &&
				 memcmp(tensors[i].data, zeros, tensors[i].bytes) == 0;
	}
	assert_int_equal(found, model.count);
	gqe_model_files_destroy(&files);
	gqe_model_files_destroy(NULL);
}

static void every_missing_tensor_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < whole_model().count; i++) {
		struct model model = whole_model();
		char name[80];
		strcpy(name, model.names[i]);
		leave_out(&model, i);
		write_model(&model, config_text, "model.safetensors");
		assert_refused(folder, name);
	}

	struct model model = whole_model(); /* a whole block's attention */
	for (size_t i = model.count; i-- > 0;) {
		if (strstr(model.names[i], "layers.1.self_attn"))
			leave_out(&model, i);
	}
	write_model(&model, config_text, "model.safetensors");
	assert_refused(folder, "model.layers.1.self_attn.q_proj.weight");
	model.count = 0;
	write_model(&model, config_text, "model.safetensors");
	assert_refused(folder, "num_hidden_layers");
}

static void every_wrong_shape_and_dtype_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < whole_model().count; i++) {
		static const gqe_dtype wrong[] = {GQE_DTYPE_I32, GQE_DTYPE_U8};
		struct model model = whole_model();
		gqe_tensor good = model.tensors[i], *tensor = &model.tensors[i];

		for (int change = 0; change < 5; change++) {
			*tensor = good;
			if (change == 0)
				set_shape(tensor, good.dtype, good.shape[0] + 1, good.shape[1]);
			else if (change == 1)
				set_shape(tensor, good.dtype, good.shape[0], good.shape[1] ? good.shape[1] - 1 : 1);
			else if (change == 2)
				set_shape(tensor, good.dtype, 0, good.shape[1]);
			else
				set_shape(tensor, wrong[change - 3], good.shape[0], good.shape[1]);
			write_model(&model, config_text, "model.safetensors");
			assert_refused(in_folder("model.safetensors"), model.names[i]);
		}
	}
}

static void unknown_tensors_are_named(void **state)
{
	static const char *const unknown[] = {
		"extra",
		"model.embed_tokens.bias",
		"model.norm.bias", /* of a layernorm only */
		"model.layers.0.self_attn.router.weights",
		"model.layers.0.self_attn.k_shared_proj.weight", /* of a dedicated shared head only */
		"model.layers.1.mlp.gate_up_proj.weight",
		"model.layers.2.input_layernorm.weight",
		"model.layers.00.input_layernorm.weight",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		struct model model = whole_model();
		add(&model, unknown[i], 8, 0);
		write_model(&model, config_text, "model.safetensors");
		assert_refused(in_folder("model.safetensors"), unknown[i]);
	}
}

static void optional_tensors_may_be_there(void **state)
{
	struct model model = whole_model();
	(void)state;

	add(&model, "model.layers.0.self_attn.rotary_emb.inv_freq", 2, 0); /* of old checkpoints */
	add(&model, "model.layers.0.self_attn.q_proj.bias", 20, 0);
	add(&model, "model.layers.1.self_attn.router.bias", 4, 0);
	add(&model, "model.layers.1.self_attn.o_proj.bias", 8, 0);
	add(&model, "model.layers.1.mlp.gate_proj.bias", 12, 0);
	add(&model, "model.layers.0.mlp.down_proj.bias", 8, 0);
	add(&model, "lm_head.bias", 256, 0);
	write_model(&model, config_text, "model.safetensors");
	assert_opens();

	set_shape(tensor_named(&model, "model.layers.0.mlp.down_proj.bias"), GQE_DTYPE_F32, 12, 0);
	write_model(&model, config_text, "model.safetensors");
	assert_refused(in_folder("model.safetensors"), "model.layers.0.mlp.down_proj.bias");
}

static void tied_embeddings_need_no_head(void **state)
{
	char *tied = replaced(config_text, "\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
	struct model model = whole_model();
	(void)state;

	write_model(&model, tied, "model.safetensors"); /* a copy of the head does no harm */
	assert_opens();
	leave_out(&model, model.count - 1);
	write_model(&model, tied, "model.safetensors");
	assert_opens();
	free(tied);
}

static void layernorm_and_gelu_have_their_own_tensors(void **state)
{
	char *layernorm = replaced(config_text, "rmsnorm", "layernorm");
	char *config = replaced(layernorm, "swiglu", "gelu");
	struct model model = whole_model();
	(void)state;

	write_model(&model, config, "model.safetensors");
	assert_refused(in_folder("model.safetensors"), "gate_proj");
	for (size_t i = model.count; i-- > 0;) {
		if (strstr(model.names[i], "gate_proj"))
			leave_out(&model, i);
	}
	write_model(&model, config, "model.safetensors");
	assert_opens();
	add(&model, "model.layers.0.input_layernorm.bias", 8, 0);
	add(&model, "model.norm.bias", 8, 0);
	write_model(&model, config, "model.safetensors");
	assert_opens();
	free(config);
	free(layernorm);
}

static void mistakes_in_a_models_config_are_refused(void **state)
{
	static const struct {
		const char *key, *from, *to;
	} mistakes[] = {
		{"num_hidden_layers", "\"num_hidden_layers\": 2,", ""},
		{"num_hidden_layers", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 0"},
		{"num_hidden_layers", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 2.5"},
		{"num_hidden_layers", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 65536"},
		{"num_hidden_layers", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 4294967297"},
		{"intermediate_size", "\"intermediate_size\": 12", "\"intermediate_size\": -1"},
		{"intermediate_size", "\"intermediate_size\": 12", "\"intermediate_size\": 1e15"},
		{"vocab_size", "\"vocab_size\": 256", "\"vocab_size\": \"256\""},
		{"vocab_size", "\"vocab_size\": 256", "\"vocab_size\": null"},
		{"'norm'", "\"norm\": \"rmsnorm\",", ""},
		{"'norm'", "rmsnorm", "batchnorm"},
		{"norm_eps", "\"norm_eps\": 1e-5,", ""},
		{"norm_eps", "1e-5", "-1e-5"},
		{"norm_eps", "1e-5", "NaN"},
		{"norm_eps", "1e-5", "\"1e-5\""},
		{"'mlp'", "\"mlp\": \"swiglu\",", ""},
		{"'mlp'", "swiglu", "relu"},
		{"tie_word_embeddings", "\"tie_word_embeddings\": false", "\"tie_word_embeddings\": 0"},
		{"max_position_embeddings", "\"max_position_embeddings\": 64", "\"max_position_embeddings\": 1e10"},
		{"tokenizer", "\"bytes\"", "\"\""},
		{"tokenizer", "\"bytes\"", "\"../bytes\""},
		{"tokenizer", "\"bytes\"", "256"},
		{"top_k", "\"top_k\": 1", "\"top_k\": 3"},
	};
	struct model model = whole_model();
	(void)state;

	write_model(&model, config_text, "model.safetensors");
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		char *text = replaced(config_text, mistakes[i].from, mistakes[i].to);
		write_text(in_folder("config.json"), text);
		assert_refused(folder, mistakes[i].key);
		free(text);
	}
	char *text = replaced(config_text, "\"hidden_size\": 8", "\"hidden_size\": 16");
	write_text(in_folder("config.json"), text);
	assert_refused(in_folder("model.safetensors"), "model.embed_tokens.weight");
	free(text);
}

static void incomplete_folders_are_refused(void **state)
{
	gqe_model_files *files = NULL;
	gqe_error error = {0};
	(void)state;

	unlink(in_folder("model.safetensors"));
	write_text(in_folder("config.json"), config_text);
	assert_refused(folder, "model.safetensors");
	write_text(in_folder("model.safetensors"), "short");
	assert_refused(in_folder("model.safetensors"), "5 bytes");
	unlink(in_folder("config.json"));
	assert_refused(folder, "config.json");
	assert_bad_input(gqe_model_files_open(in_folder("model.safetensors"), &files, &error), &error, "model.safetensors",
			 "folder");
	assert_bad_input(gqe_model_files_open(in_folder("nowhere"), &files, &error), &error, "nowhere", "config.json");
	assert_int_equal(gqe_model_files_open("", &files, NULL), GQE_ERROR_BAD_INPUT);
	assert_int_equal(gqe_model_files_open(NULL, &files, NULL), GQE_ERROR_USAGE);
	assert_int_equal(gqe_model_files_open(folder, NULL, NULL), GQE_ERROR_USAGE);
}

/* The model in two shards, tensors dealt out in turn, and its index. */
static char *write_shards(void)
{
	struct model model = whole_model(), shards[2] = {{.count = 0}, {.count = 0}};
	char *index = must_allocate(MAX_TENSORS * 160);

	strcpy(index, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
	for (size_t i = 0; i < model.count; i++) {
		add(&shards[i % 2], model.names[i], model.tensors[i].shape[0], model.tensors[i].shape[1]);
		sprintf(index + strlen(index), "%s\"%s\": \"model-0000%d-of-00002.safetensors\"", i ? ", " : "", model.names[i],
			(int)(i % 2) + 1);
	}
	strcat(index, "}}");
	write_model(&shards[0], config_text, "model-00001-of-00002.safetensors");
	write_model(&shards[1], NULL, "model-00002-of-00002.safetensors");
	write_text(in_folder("model.safetensors.index.json"), index);
	unlink(in_folder("model.safetensors"));
	return index;
}

static void shards_are_one_model(void **state)
{
	gqe_model_files *files = NULL;
	gqe_error error = {0};
	size_t count = 0, first = 0;
	(void)state;

	free(write_shards());
	assert_ok(gqe_model_files_open(folder, &files, &error), &error);
	const gqe_tensor *tensors = gqe_model_files_tensors(files, &count);
	assert_int_equal(count, whole_model().count);
	for (size_t i = 0; i < count; i++)
		first += strstr(tensors[i].file, "model-00001-of-00002.safetensors") != NULL;
	assert_int_equal(first, (count + 1) / 2);
	gqe_model_files_destroy(&files);
}

static void mistakes_in_an_index_are_refused(void **state)
{
	static const struct {
		const char *name, *from, *to;
	} mistakes[] = {
		{"index", "{\"metadata\"", "[\"metadata\""},
		{"'weight_map'", "\"weight_map\"", "\"weights\""},
		{"'weight_map'", "\"weight_map\": {", "\"weight_map\": 7, \"x\": {"},
		{"'model.norm.weight'", "\"model.norm.weight\":", "\"model.norm.weight\": 1, \"x\":"},
		{"'model.norm.weight'", "{\"model.embed",
		 "{\"model.norm.weight\": \"model-00001-of-00002.safetensors\", \"model.embed"},
		{"'not.there'", "\"model.norm.weight\"", "\"not.there\""},
		{"model.norm.weight", "\"model.norm.weight\": \"model-00002", "\"model.norm.weight\": \"model-00001"},
		{"'../model-00001", "\"model-00001", "\"../model-00001"},
		{"'/etc/passwd'", "\"model-00001-of-00002.safetensors\"", "\"/etc/passwd\""},
		{"'a\\b'", "\"model-00001-of-00002.safetensors\"", "\"a\\\\b\""},
		{"'..'", "\"model-00001-of-00002.safetensors\"", "\"..\""},
		{"''", "\"model-00001-of-00002.safetensors\"", "\"\""},
		{"model-00003", "\"model-00001", "\"model-00003"},
		{"config.json", "\"model-00001-of-00002.safetensors\"", "\"config.json\""},
	};
	char *index = write_shards();
	(void)state;

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		char *text = replaced(index, mistakes[i].from, mistakes[i].to);
		write_text(in_folder("model.safetensors.index.json"), text);
		assert_refused(folder, mistakes[i].name);
		free(text);
	}

	/* one tensor in both shards */
	struct model twice = {.count = 0};
	for (size_t i = 0; i < whole_model().count; i += 2)
		add(&twice, whole_model().names[i], whole_model().tensors[i].shape[0], whole_model().tensors[i].shape[1]);
	add(&twice, whole_model().names[1], whole_model().tensors[1].shape[0], whole_model().tensors[1].shape[1]);
	write_model(&twice, NULL, "model-00001-of-00002.safetensors");
	write_text(in_folder("model.safetensors.index.json"), index);
	assert_refused(folder, whole_model().names[1]);
	free(index);
}

/* A dense model with Hugging Face's keys only. */
static const char llama_config[] = "{\"model_type\": \"llama\", \"hidden_act\": \"silu\", \"hidden_size\": 8,\n"
				   " \"intermediate_size\": 12, \"max_position_embeddings\": 128, \"num_attention_heads\": 4,\n"
				   " \"num_hidden_layers\": 1, \"num_key_value_heads\": 2, \"rms_norm_eps\": 1e-06,\n"
				   " \"tie_word_embeddings\": true, \"vocab_size\": 256}";

static void write_llama(const char *config)
{
	static const struct {
		const char *name;
		uint64_t rows, cols;
	} parts[] = {
		{"model.embed_tokens.weight", 256, 8},
		{"model.layers.0.input_layernorm.weight", 8, 0},
		{"model.layers.0.self_attn.q_proj.weight", 8, 8},
		{"model.layers.0.self_attn.k_proj.weight", 4, 8},
		{"model.layers.0.self_attn.v_proj.weight", 4, 8},
		{"model.layers.0.self_attn.o_proj.weight", 8, 8},
		{"model.layers.0.post_attention_layernorm.weight", 8, 0},
		{"model.layers.0.mlp.gate_proj.weight", 12, 8},
		{"model.layers.0.mlp.up_proj.weight", 12, 8},
		{"model.layers.0.mlp.down_proj.weight", 8, 12},
		{"model.norm.weight", 8, 0},
	};
	struct model model = {.count = 0};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		add(&model, parts[i].name, parts[i].rows, parts[i].cols);
	write_model(&model, config, "model.safetensors");
}

static void a_hugging_face_model_opens_as_gqa(void **state)
{
	gqe_model_files *files = NULL;
	gqe_error error = {0};
	int32_t ids[4];
	size_t count = 0;
	(void)state;

	write_llama(llama_config);
	assert_ok(gqe_model_files_open(folder, &files, &error), &error);
	const gqe_model_config *config = gqe_model_files_config(files);
	assert_int_equal(config->layer.attention, GQE_ATTENTION_GQA);
	assert_int_equal(config->norm, GQE_NORM_RMSNORM);
	assert_true(config->norm_eps == 1e-6);
	assert_int_equal(config->mlp, GQE_MLP_SWIGLU);
	assert_true(config->tie_word_embeddings);
	assert_string_equal(config->tokenizer, "bytes"); /* a vocabulary of 256 and no tokenizer.json */
	gqe_model_files_destroy(&files);

	write_text(in_folder("tokenizer.json"), "{}");
	assert_ok(gqe_model_files_open(folder, &files, &error), &error);
	assert_bad_input(gqe_tokenize(gqe_model_files_config(files), "x", 1, ids, 4, &count, &error), &error, "tokenizer.json",
			 "--tokens");
	gqe_model_files_destroy(&files);
	unlink(in_folder("tokenizer.json"));

	char *text = replaced(llama_config, "\"silu\"", "\"gelu\"");
	write_llama(text);
	assert_refused(folder, "'hidden_act'");
	free(text);
}

static void bytes_are_tokens(void **state)
{
	gqe_model_config config = {.vocab_size = 300, .tokenizer = "bytes"};
	gqe_error error = {0};
	int32_t ids[3] = {-1, -1, -1};
	size_t count = 0;
	char text[2] = "";
	(void)state;

	assert_ok(gqe_tokenize(&config, "a\0\xff", 3, ids, 3, &count, &error), &error);
	assert_int_equal(count, 3);
	assert_int_equal(ids[0], 'a');
	assert_int_equal(ids[1], 0);
	assert_int_equal(ids[2], 255);
	ids[1] = -1;
	assert_ok(gqe_tokenize(&config, "xyz", 3, ids, 1, &count, &error), &error);
	assert_int_equal(count, 3);
	assert_int_equal(ids[0], 'x');
	assert_int_equal(ids[1], -1);
	assert_ok(gqe_tokenize(&config, NULL, 0, NULL, 0, &count, &error), &error);
	assert_int_equal(count, 0);

	assert_ok(gqe_detokenize(&config, 255, text, 1, &count, &error), &error);
	assert_int_equal(count, 1);
	assert_int_equal((uint8_t)text[0], 255);
	assert_ok(gqe_detokenize(&config, 299, text, 1, &count, &error), &error);
	assert_int_equal(count, 0); /* a mark of the model's own */
	assert_int_equal(gqe_detokenize(&config, 300, text, 1, &count, NULL), GQE_ERROR_USAGE);
	assert_int_equal(gqe_detokenize(&config, -1, text, 1, &count, NULL), GQE_ERROR_USAGE);

	config.vocab_size = 100;
	assert_bad_input(gqe_tokenize(&config, "ab\xc3", 3, ids, 3, &count, &error), &error, "byte 2", "vocab_size");
	config.tokenizer[0] = '\0';
	assert_int_equal(gqe_tokenize(&config, "a", 1, ids, 3, &count, NULL), GQE_ERROR_BAD_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_model_opens),
		cmocka_unit_test(every_missing_tensor_is_named),
		cmocka_unit_test(every_wrong_shape_and_dtype_is_named),
		cmocka_unit_test(unknown_tensors_are_named),
		cmocka_unit_test(optional_tensors_may_be_there),
		cmocka_unit_test(tied_embeddings_need_no_head),
		cmocka_unit_test(layernorm_and_gelu_have_their_own_tensors),
		cmocka_unit_test(mistakes_in_a_models_config_are_refused),
		cmocka_unit_test(incomplete_folders_are_refused),
		cmocka_unit_test(shards_are_one_model),
		cmocka_unit_test(mistakes_in_an_index_are_refused),
		cmocka_unit_test(a_hugging_face_model_opens_as_gqa),
		cmocka_unit_test(bytes_are_tokens),
	};
	return cmocka_run_group_tests_name("model files", tests, make_test_folder, remove_test_folder);
}
