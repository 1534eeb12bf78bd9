#include "model_fixture.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TENSORS 128

gqe_model_config small_model_config(void)
{
	return (gqe_model_config){
		.layer = {.hidden_size = 36,
			  .heads = 4,
			  .kv_heads = 2,
			  .head_dim = 16,
			  .attention = GQE_ATTENTION_GQE,
			  .rope = GQE_ROPE_HALF,
			  .rope_theta = 10000,
			  .top_k = 1,
			  .shared_head = true,
			  .shared_kv = GQE_SHARED_KV_GROUP,
			  .weighted_sum_slot = true,
			  .slot_order = GQE_SLOT_ORDER_RANK},
		.layers = 2,
		.intermediate_size = 40,
		.vocab_size = 61,
		.norm = GQE_NORM_RMSNORM,
		.norm_eps = 1e-5,
		.mlp = GQE_MLP_SWIGLU,
		.max_position_embeddings = 128,
		.tokenizer = "bytes",
	};
}

static void write_config(const struct model_fixture *fixture)
{
	static const char *const ropes[] = {"", "half", "interleaved", "none"};
	const gqe_model_config *config = &fixture->config;
	const gqe_layer_config *layer = &config->layer;
	cJSON *json = cJSON_CreateObject();
	cJSON_AddNumberToObject(json, "hidden_size", layer->hidden_size);
	cJSON_AddNumberToObject(json, "num_attention_heads", layer->heads);
	cJSON_AddNumberToObject(json, "num_key_value_heads", layer->kv_heads);
	cJSON_AddNumberToObject(json, "head_dim", layer->head_dim);
	cJSON_AddNumberToObject(json, "rope_theta", layer->rope_theta);
	cJSON_AddNumberToObject(json, "num_hidden_layers", config->layers);
	cJSON_AddNumberToObject(json, "intermediate_size", config->intermediate_size);
	cJSON_AddNumberToObject(json, "vocab_size", config->vocab_size);
	cJSON_AddNumberToObject(json, "max_position_embeddings", config->max_position_embeddings);
	cJSON_AddBoolToObject(json, "tie_word_embeddings", config->tie_word_embeddings);
	if (fixture->hugging_face) {
		cJSON *architectures = cJSON_AddArrayToObject(json, "architectures");
		cJSON_AddItemToArray(architectures, cJSON_CreateString("LlamaForCausalLM"));
		cJSON_AddStringToObject(json, "model_type", "llama");
		cJSON_AddStringToObject(json, "hidden_act", "silu");
		cJSON_AddNumberToObject(json, "rms_norm_eps", config->norm_eps);
		cJSON_AddStringToObject(json, "torch_dtype", "float32");
	} else {
		cJSON_AddStringToObject(json, "attention", layer->attention == GQE_ATTENTION_GQE ? "gqe" : "gqa");
		cJSON_AddStringToObject(json, "rope_style", ropes[layer->rope]);
		cJSON_AddStringToObject(json, "norm", config->norm == GQE_NORM_RMSNORM ? "rmsnorm" : "layernorm");
		cJSON_AddNumberToObject(json, "norm_eps", config->norm_eps);
		cJSON_AddStringToObject(json, "mlp", config->mlp == GQE_MLP_SWIGLU ? "swiglu" : "gelu");
		cJSON_AddStringToObject(json, "tokenizer", config->tokenizer);
	}
	if (layer->attention == GQE_ATTENTION_GQE) {
		cJSON *gqe = cJSON_AddObjectToObject(json, "gqe");
		cJSON_AddNumberToObject(gqe, "top_k", layer->top_k);
		cJSON_AddBoolToObject(gqe, "shared_head", layer->shared_head);
		cJSON_AddStringToObject(gqe, "shared_kv", layer->shared_kv == GQE_SHARED_KV_MEAN ? "mean" : "group_0");
		cJSON_AddBoolToObject(gqe, "weighted_sum_slot", layer->weighted_sum_slot);
		cJSON_AddBoolToObject(gqe, "scale_expert_slots", layer->scale_expert_slots);
		cJSON_AddStringToObject(gqe, "slot_order", layer->slot_order == GQE_SLOT_ORDER_RANK ? "rank" : "expert");
	}
	char path[300], *text = cJSON_Print(json);
	snprintf(path, sizeof(path), "%s/config.json", fixture->folder);
	write_text(path, text);
	cJSON_free(text);
	cJSON_Delete(json);
}

struct tensor_list {
	struct random random;
	gqe_tensor tensors[MAX_TENSORS];
	size_t count;
};

/* A tensor of normal values around `mean`. cols 0: rank 1. */
static void add(struct tensor_list *list, const char *prefix, const char *name, uint32_t rows, uint32_t cols, float mean,
		float deviation)
{
	assert_true(list->count < MAX_TENSORS);
	size_t count = (size_t)rows * (cols ? cols : 1);
	float *values = must_allocate(count * sizeof(float));
	char *full_name = must_allocate(160);
	snprintf(full_name, 160, "%s%s", prefix, name);
	for (size_t i = 0; i < count; i++)
		values[i] = mean + deviation * random_normal(&list->random);
	list->tensors[list->count++] = (gqe_tensor){.name = full_name,
						    .dtype = GQE_DTYPE_F32,
						    .rank = cols ? 2 : 1,
						    .shape = {rows, cols},
						    .data = values,
						    .bytes = count * sizeof(float)};
}

static void add_linear(struct tensor_list *list, const char *prefix, const char *name, uint32_t out, uint32_t in, bool bias)
{
	char full_name[64];
	snprintf(full_name, sizeof(full_name), "%s.weight", name);
	add(list, prefix, full_name, out, in, 0, 1 / sqrtf((float)in));
	snprintf(full_name, sizeof(full_name), "%s.bias", name);
	if (bias)
		add(list, prefix, full_name, out, 0, 0, 0.2f);
}

static void add_norm(struct tensor_list *list, const struct model_fixture *fixture, const char *prefix, const char *name)
{
	char full_name[64];
	snprintf(full_name, sizeof(full_name), "%s.weight", name);
	add(list, prefix, full_name, fixture->config.layer.hidden_size, 0, 1, 0.2f);
	snprintf(full_name, sizeof(full_name), "%s.bias", name);
	if (fixture->biases && fixture->config.norm == GQE_NORM_LAYERNORM)
		add(list, prefix, full_name, fixture->config.layer.hidden_size, 0, 0, 0.2f);
}

static void add_layer(struct tensor_list *list, const struct model_fixture *fixture, uint32_t index)
{
	const gqe_model_config *config = &fixture->config;
	const gqe_layer_config *layer = &config->layer;
	bool gqe = layer->attention == GQE_ATTENTION_GQE, shared = gqe && layer->shared_head, bias = fixture->biases;
	uint32_t d = layer->hidden_size, head = layer->head_dim, kv = layer->kv_heads * head;
	uint32_t slots = gqe ? layer->top_k * layer->kv_heads + layer->weighted_sum_slot + shared : layer->heads;
	char prefix[64];
	snprintf(prefix, sizeof(prefix), "model.layers.%u.", index);
	add_norm(list, fixture, prefix, "input_layernorm");
	add_linear(list, prefix, "self_attn.q_proj", (layer->heads + shared) * head, d, bias);
	add_linear(list, prefix, "self_attn.k_proj", kv, d, bias);
	add_linear(list, prefix, "self_attn.v_proj", kv, d, bias);
	if (gqe)
		add_linear(list, prefix, "self_attn.router", layer->heads, d, bias);
	add_linear(list, prefix, "self_attn.o_proj", d, slots * head, bias);
	add_norm(list, fixture, prefix, "post_attention_layernorm");
	if (config->mlp == GQE_MLP_SWIGLU)
		add_linear(list, prefix, "mlp.gate_proj", config->intermediate_size, d, bias);
	add_linear(list, prefix, "mlp.up_proj", config->intermediate_size, d, bias);
	add_linear(list, prefix, "mlp.down_proj", d, config->intermediate_size, bias);
}

static void write_shards(const struct model_fixture *fixture, const struct tensor_list *list)
{
	gqe_error error = {0};
	char path[320];
	if (!fixture->sharded) {
		snprintf(path, sizeof(path), "%s/model.safetensors", fixture->folder);
		assert_ok(gqe_tensor_file_write(path, list->tensors, list->count, &error), &error);
		return;
	}
	size_t half = list->count / 2;
	cJSON *index = cJSON_CreateObject(), *map;
	cJSON_AddObjectToObject(index, "metadata");
	map = cJSON_AddObjectToObject(index, "weight_map");
	for (int shard = 0; shard < 2; shard++) {
		char name[64];
		size_t first = shard ? half : 0, count = shard ? list->count - half : half;
		snprintf(name, sizeof(name), "model-0000%d-of-00002.safetensors", shard + 1);
		snprintf(path, sizeof(path), "%s/%s", fixture->folder, name);
		assert_ok(gqe_tensor_file_write(path, list->tensors + first, count, &error), &error);
		for (size_t i = first; i < first + count; i++)
			cJSON_AddStringToObject(map, list->tensors[i].name, name);
	}
	char *text = cJSON_Print(index);
	snprintf(path, sizeof(path), "%s/model.safetensors.index.json", fixture->folder);
	write_text(path, text);
	cJSON_free(text);
	cJSON_Delete(index);
}

void model_fixture_init(struct model_fixture *fixture)
{
	gqe_error error = {0};
	const gqe_model_config *config = &fixture->config;
	struct tensor_list list = {.random = {fixture->seed + 1}};
	make_folder(fixture->folder);
	write_config(fixture);
	add(&list, "", "model.embed_tokens.weight", config->vocab_size, config->layer.hidden_size, 0, 1);
	for (uint32_t layer = 0; layer < config->layers; layer++)
		add_layer(&list, fixture, layer);
	add_norm(&list, fixture, "", "model.norm");
	if (!config->tie_word_embeddings)
		add_linear(&list, "", "lm_head", config->vocab_size, config->layer.hidden_size, false);
	write_shards(fixture, &list);
	for (size_t i = 0; i < list.count; i++) {
		free((void *)list.tensors[i].data);
		free((void *)list.tensors[i].name);
	}
	assert_ok(gqe_model_files_open(fixture->folder, &fixture->files, &error), &error);
}

void model_fixture_free(struct model_fixture *fixture)
{
	gqe_model_files_destroy(&fixture->files);
	remove_folder(fixture->folder);
}

int32_t *draw_tokens(const gqe_model_config *config, uint32_t count, struct random *random)
{
	int32_t *tokens = must_allocate(count * sizeof(*tokens));
	for (uint32_t i = 0; i < count; i++)
		tokens[i] = (int32_t)random_between(random, 0, config->vocab_size - 1);
	return tokens;
}

gqe_model *load_model(gqe_context *context, const gqe_model_files *files, gqe_dtype dtype)
{
	gqe_error error = {0};
	gqe_model *model = NULL;
	gqe_model_params params = {.size = sizeof(params), .dtype = dtype};
	assert_ok(gqe_model_load(context, files, &params, &model, &error), &error);
	return model;
}

gqe_session *make_session(gqe_model *model, uint32_t max_tokens, uint32_t chunk, bool keep_routing)
{
	gqe_error error = {0};
	gqe_session *session = NULL;
	gqe_session_params params = {
		.size = sizeof(params), .max_tokens = max_tokens, .chunk = chunk, .keep_routing = keep_routing};
	assert_ok(gqe_session_create(model, &params, &session, &error), &error);
	return session;
}

void prefill(gqe_session *session, const int32_t *tokens, uint32_t count, float *logits, float *nll)
{
	gqe_error error = {0};
	gqe_prefill_params params = {.size = sizeof(params), .tokens = tokens, .count = count, .nll = nll, .logits = logits};
	assert_ok(gqe_session_prefill(session, &params, &error), &error);
}
