#include "model/config.h"

#include "model/host_file.h"
#include "model/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Far beyond every published model; they keep all sizes that follow within 64 bits. */
#define MAX_LAYERS 65536u
#define MAX_INTERMEDIATE_SIZE (1u << 24)
#define MAX_VOCAB_SIZE (1u << 28)

/* Hugging Face's defaults for keys that its configs leave out. */
#define HF_ROPE_THETA 10000.0
#define HF_MAX_POSITION_EMBEDDINGS 2048u
#define HF_NORM_EPS 1e-6

/* Reads keys of one object. The first failure is kept; reads after it return 0 and do nothing. */
struct reader {
	const char *file;
	const cJSON *object;
	const char *prefix; /* "gqe." inside that object, "" at the top */
	gqe_status status;
	gqe_error *error;
};

GQE_PRINTF(3, 4) static void fail_key(struct reader *reader, const char *key, const char *format, ...)
{
	char problem[640];
	va_list arguments;

	if (reader->status != GQE_OK)
		return;
	va_start(arguments, format);
	vsnprintf(problem, sizeof(problem), format, arguments);
	va_end(arguments);
	reader->status = gqe_fail(reader->error, GQE_ERROR_BAD_INPUT, "'%s': key '%s%s' %s", reader->file, reader->prefix,
				  gqe_show(key).text, problem);
}

/* NULL when absent or null, which Hugging Face's files use for "not set". */
static const cJSON *find(const struct reader *reader, const char *key)
{
	const cJSON *value = reader->status == GQE_OK ? cJSON_GetObjectItemCaseSensitive(reader->object, key) : NULL;
	return cJSON_IsNull(value) ? NULL : value;
}

static const cJSON *require(struct reader *reader, const char *key)
{
	const cJSON *value = find(reader, key);
	if (!value)
		fail_key(reader, key, "is missing; add it");
	return value;
}

static uint32_t integer_of(struct reader *reader, const char *key, const cJSON *value, uint32_t max)
{
	uint64_t integer = 0;

	if (!value)
		return 0;
	if (gqe_json_integer(value, &integer) && integer >= 1 && integer <= max)
		return (uint32_t)integer;
	fail_key(reader, key, "must be an integer from 1 to %" PRIu32, max);
	return 0;
}

static uint32_t read_integer(struct reader *reader, const char *key, uint32_t max)
{
	return integer_of(reader, key, require(reader, key), max);
}

static uint32_t read_integer_or(struct reader *reader, const char *key, uint32_t max, uint32_t fallback)
{
	const cJSON *value = find(reader, key);
	return value ? integer_of(reader, key, value, max) : fallback;
}

static double positive_of(struct reader *reader, const char *key, const cJSON *value)
{
	if (!value)
		return 0;
	if (cJSON_IsNumber(value) && value->valuedouble > 0 && isfinite(value->valuedouble))
		return value->valuedouble;
	fail_key(reader, key, "must be a number above 0");
	return 0;
}

static bool bool_of(struct reader *reader, const char *key, const cJSON *value)
{
	if (value && !cJSON_IsBool(value))
		fail_key(reader, key, "must be true or false");
	return cJSON_IsTrue(value);
}

static bool read_bool(struct reader *reader, const char *key)
{
	return bool_of(reader, key, require(reader, key));
}

/* One allowed text of a key and what it means. */
struct choice {
	const char *text;
	int meaning;
};

static int choice_of(struct reader *reader, const char *key, const cJSON *value, const struct choice *choices, size_t count)
{
	char allowed[256] = "";
	size_t length = 0;

	if (!value)
		return 0;
	for (size_t i = 0; i < count; i++) {
		if (cJSON_IsString(value) && strcmp(value->valuestring, choices[i].text) == 0)
			return choices[i].meaning;
		length += (size_t)snprintf(allowed + length, sizeof(allowed) - length, "%s\"%s\"", i ? ", " : "", choices[i].text);
	}
	if (cJSON_IsString(value))
		fail_key(reader, key, "is \"%s\"; allowed: %s", gqe_show(value->valuestring).text, allowed);
	else
		fail_key(reader, key, "must be a text; allowed: %s", allowed);
	return 0;
}

#define READ_CHOICE(reader, key, choices) choice_of(reader, key, require(reader, key), choices, GQE_COUNT(choices))

static const struct choice attentions[] = {{"gqe", GQE_ATTENTION_GQE}, {"gqa", GQE_ATTENTION_GQA}};
static const struct choice ropes[] = {{"half", GQE_ROPE_HALF}, {"interleaved", GQE_ROPE_INTERLEAVED}, {"none", GQE_ROPE_NONE}};
static const struct choice slot_orders[] = {{"rank", GQE_SLOT_ORDER_RANK}, {"expert", GQE_SLOT_ORDER_EXPERT}};
static const struct choice norms[] = {{"rmsnorm", GQE_NORM_RMSNORM}, {"layernorm", GQE_NORM_LAYERNORM}};
static const struct choice mlps[] = {{"swiglu", GQE_MLP_SWIGLU}, {"gelu", GQE_MLP_GELU}};
/* Llama's MLP is gated, so silu makes it SwiGLU. */
static const struct choice hidden_acts[] = {{"silu", GQE_MLP_SWIGLU}, {"swish", GQE_MLP_SWIGLU}};

enum family { FAMILY_NONE, FAMILY_LLAMA, FAMILY_MISTRAL, FAMILY_QWEN2 };
static const struct choice families[] = {{"llama", FAMILY_LLAMA}, {"mistral", FAMILY_MISTRAL}, {"qwen2", FAMILY_QWEN2}};

/* The family that a config without our key `attention` belongs to. */
static enum family read_family(struct reader *reader)
{
	if (find(reader, "attention"))
		return FAMILY_NONE;
	if (find(reader, "gqe") || !find(reader, "model_type"))
		fail_key(reader, "attention", "is missing; add \"attention\": \"gqe\" or \"gqa\"");
	const cJSON *type = find(reader, "model_type");
	for (size_t i = 0; i < GQE_COUNT(families); i++) {
		if (cJSON_IsString(type) && strcmp(type->valuestring, families[i].text) == 0)
			return (enum family)families[i].meaning;
	}
	fail_key(reader, "model_type",
		 "is %s; without a key 'attention' (\"gqe\" or \"gqa\") only \"llama\", \"mistral\" and \"qwen2\" are supported",
		 cJSON_IsString(type) ? gqe_show(type->valuestring).text : "not a text");
	return FAMILY_NONE;
}

/* A RoPE parameter object that changes angles would give wrong results silently. */
static void refuse_rope_scaling(struct reader *reader, const char *key)
{
	const cJSON *object = find(reader, key);
	const cJSON *type = cJSON_GetObjectItemCaseSensitive(object, "rope_type");

	if (!object)
		return;
	if (!type)
		type = cJSON_GetObjectItemCaseSensitive(object, "type");
	if (!cJSON_IsObject(object) || !cJSON_IsString(type) || strcmp(type->valuestring, "default") != 0)
		fail_key(reader, key, "asks for scaled rotary embeddings, which are not supported; only rope_type \"default\" is");
}

static void refuse_sliding_window(struct reader *reader, enum family family)
{
	const cJSON *window = find(reader, "sliding_window"), *use = find(reader, "use_sliding_window");
	const cJSON *positions = find(reader, "max_position_embeddings");
	/* Qwen2 has a window only when asked, Llama never; Mistral whenever its size is given. */
	bool in_use = window && family != FAMILY_LLAMA && (use || family == FAMILY_QWEN2 ? cJSON_IsTrue(use) : true);

	if (window && !cJSON_IsNumber(window))
		fail_key(reader, "sliding_window", "must be an integer or null");
	if (in_use && cJSON_IsNumber(positions) && window->valuedouble >= positions->valuedouble)
		in_use = false; /* as wide as the context: it never cuts anything off */
	if (in_use)
		fail_key(reader, "sliding_window", "asks for sliding-window attention, which is not supported");

	const cJSON *types = find(reader, "layer_types");
	for (const cJSON *type = types ? types->child : NULL; type; type = type->next) {
		if (!cJSON_IsString(type) || strcmp(type->valuestring, "full_attention") != 0)
			fail_key(reader, "layer_types", "has a layer that is not \"full_attention\"; only that is supported");
	}
}

/* What would make the results wrong rather than fail later. */
static void refuse_unsupported(struct reader *reader, enum family family)
{
	const cJSON *partial = find(reader, "partial_rotary_factor");

	refuse_rope_scaling(reader, "rope_scaling");
	refuse_rope_scaling(reader, "rope_parameters");
	if (partial && !(cJSON_IsNumber(partial) && partial->valuedouble == 1))
		fail_key(reader, "partial_rotary_factor", "must be 1: heads that are rotated in part are not supported");
	refuse_sliding_window(reader, family);
	if (find(reader, "quantization_config"))
		fail_key(reader, "quantization_config",
			 "says that the weights are quantized; only F32, F16 and BF16 are supported");
}

/* "group_3": 3 */
static bool parse_group(const char *text, uint32_t *group)
{
	static const char prefix[] = "group_";
	uint32_t number = 0;

	if (strncmp(text, prefix, sizeof(prefix) - 1) != 0)
		return false;
	const char *digits = text + sizeof(prefix) - 1;
	size_t length = strspn(digits, "0123456789");
	if (length == 0 || length > 4 || digits[length])
		return false;
	for (size_t i = 0; i < length; i++)
		number = number * 10 + (uint32_t)(digits[i] - '0');
	*group = number;
	return true;
}

static void read_shared_kv(struct reader *reader, gqe_layer_config *layer)
{
	layer->shared_kv = GQE_SHARED_KV_GROUP;
	if (!layer->shared_head && !find(reader, "shared_kv"))
		return;
	const cJSON *value = require(reader, "shared_kv");
	if (!value)
		return;
	const char *text = cJSON_IsString(value) ? value->valuestring : "";
	if (strcmp(text, "dedicated") == 0)
		layer->shared_kv = GQE_SHARED_KV_DEDICATED;
	else if (strcmp(text, "mean") == 0)
		layer->shared_kv = GQE_SHARED_KV_MEAN;
	else if (!parse_group(text, &layer->shared_kv_group))
		fail_key(reader, "shared_kv", "must be \"dedicated\", \"mean\", or \"group_0\" to \"group_G-1\" of G KV heads");
}

static void read_gqe(struct reader *top, gqe_layer_config *layer)
{
	static const char *const known[] = {"top_k",     "shared_head", "shared_kv", "weighted_sum_slot", "scale_expert_slots",
					    "slot_order"};
	struct reader reader = *top;

	reader.object = require(top, "gqe");
	reader.prefix = "gqe.";
	if (reader.object && !cJSON_IsObject(reader.object))
		fail_key(top, "gqe", "must be an object {...}");
	reader.status = top->status;
	for (const cJSON *item = reader.object ? reader.object->child : NULL; item && reader.status == GQE_OK; item = item->next) {
		size_t i = 0;
		while (i < GQE_COUNT(known) && strcmp(item->string, known[i]) != 0)
			i++;
		if (i == GQE_COUNT(known))
			fail_key(&reader, item->string,
				 "is unknown; the object 'gqe' has top_k, shared_head, shared_kv, weighted_sum_slot, "
				 "scale_expert_slots and slot_order");
	}

	layer->top_k = read_integer(&reader, "top_k", UINT32_MAX);
	layer->shared_head = read_bool(&reader, "shared_head");
	read_shared_kv(&reader, layer);
	layer->weighted_sum_slot = read_bool(&reader, "weighted_sum_slot");
	layer->scale_expert_slots = read_bool(&reader, "scale_expert_slots");
	layer->slot_order = (gqe_slot_order)READ_CHOICE(&reader, "slot_order", slot_orders);
	top->status = reader.status;
}

static uint32_t default_head_dim(struct reader *reader, const gqe_layer_config *layer)
{
	if (reader->status == GQE_OK && layer->hidden_size % layer->heads != 0)
		fail_key(reader, "head_dim", "is missing and hidden_size is no multiple of num_attention_heads; add it");
	return reader->status == GQE_OK ? layer->hidden_size / layer->heads : 0;
}

static double read_rope_theta(struct reader *reader, bool optional)
{
	const cJSON *theta = find(reader, "rope_theta");
	const cJSON *parameters = find(reader, "rope_parameters");

	if (!theta && parameters)
		theta = cJSON_GetObjectItemCaseSensitive(parameters, "rope_theta");
	if (!theta && optional)
		return HF_ROPE_THETA;
	return positive_of(reader, "rope_theta", theta ? theta : require(reader, "rope_theta"));
}

static void read_layer(struct reader *reader, enum family family, gqe_layer_config *layer)
{
	bool own = family == FAMILY_NONE;

	layer->attention = GQE_ATTENTION_GQA;
	if (own)
		layer->attention = (gqe_attention)READ_CHOICE(reader, "attention", attentions);
	layer->hidden_size = read_integer(reader, "hidden_size", UINT32_MAX);
	layer->heads = read_integer(reader, "num_attention_heads", UINT32_MAX);
	if (own) {
		layer->kv_heads = read_integer(reader, "num_key_value_heads", UINT32_MAX);
		layer->head_dim = read_integer(reader, "head_dim", UINT32_MAX);
		layer->rope = (gqe_rope)READ_CHOICE(reader, "rope_style", ropes);
	} else {
		layer->kv_heads = read_integer_or(reader, "num_key_value_heads", UINT32_MAX, layer->heads);
		layer->head_dim =
			find(reader, "head_dim") ? read_integer(reader, "head_dim", UINT32_MAX) : default_head_dim(reader, layer);
		layer->rope = GQE_ROPE_HALF;
	}
	layer->rope_theta = read_rope_theta(reader, !own || layer->rope == GQE_ROPE_NONE);
	if (layer->attention == GQE_ATTENTION_GQE)
		read_gqe(reader, layer);
	if (reader->status != GQE_OK)
		return;

	gqe_error problem;
	gqe_status status = gqe_layer_config_check(layer, &problem);
	if (status != GQE_OK)
		reader->status = gqe_fail(reader->error, status, "'%s': %s", reader->file, problem.message);
}

static void read_tokenizer(struct reader *reader, gqe_model_config *config)
{
	const cJSON *value = find(reader, "tokenizer");

	if (!value)
		return;
	if (!cJSON_IsString(value) || !value->valuestring[0] || strlen(value->valuestring) >= sizeof(config->tokenizer) ||
	    strpbrk(value->valuestring, "/\\"))
		fail_key(reader, "tokenizer", "must be \"bytes\" or the name of a file in the model's folder");
	else
		strcpy(config->tokenizer, value->valuestring);
}

/* Our keys, or Hugging Face's where ours is absent. */
static void read_model(struct reader *reader, enum family family, gqe_model_config *config)
{
	bool own = family == FAMILY_NONE;
	const cJSON *hf_eps = find(reader, "rms_norm_eps"), *eps = find(reader, "norm_eps");
	const cJSON *tied = find(reader, "tie_word_embeddings");

	config->layers = read_integer(reader, "num_hidden_layers", MAX_LAYERS);
	config->intermediate_size = read_integer(reader, "intermediate_size", MAX_INTERMEDIATE_SIZE);
	config->vocab_size = read_integer(reader, "vocab_size", MAX_VOCAB_SIZE);

	if (find(reader, "norm") || (own && !hf_eps))
		config->norm = (gqe_norm)READ_CHOICE(reader, "norm", norms);
	else
		config->norm = GQE_NORM_RMSNORM;
	if (eps)
		config->norm_eps = positive_of(reader, "norm_eps", eps);
	else if (hf_eps && config->norm == GQE_NORM_RMSNORM)
		config->norm_eps = positive_of(reader, "rms_norm_eps", hf_eps);
	else
		config->norm_eps = own ? positive_of(reader, "norm_eps", require(reader, "norm_eps")) : HF_NORM_EPS;

	if (find(reader, "mlp") || (own && !find(reader, "hidden_act")))
		config->mlp = (gqe_mlp)READ_CHOICE(reader, "mlp", mlps);
	else
		config->mlp = find(reader, "hidden_act") ? (gqe_mlp)READ_CHOICE(reader, "hidden_act", hidden_acts) : GQE_MLP_SWIGLU;

	config->tie_word_embeddings = bool_of(reader, "tie_word_embeddings", tied); /* absent: false, there and here */
	config->max_position_embeddings =
		own ? read_integer(reader, "max_position_embeddings", INT32_MAX)
		    : read_integer_or(reader, "max_position_embeddings", INT32_MAX, HF_MAX_POSITION_EMBEDDINGS);
	read_tokenizer(reader, config);
}

gqe_status gqe_config_parse(const char *file, const char *text, size_t bytes, bool layer_only, gqe_model_config *config,
			    gqe_error *error)
{
	cJSON *root = NULL;
	gqe_model_config parsed = {0};
	gqe_status status = gqe_json_parse(file, "config", text, bytes, &root, error);
	if (status != GQE_OK)
		return status;

	struct reader reader = {.file = file, .object = root, .prefix = "", .error = error};
	enum family family = read_family(&reader);
	refuse_unsupported(&reader, family);
	read_layer(&reader, family, &parsed.layer);
	if (!layer_only)
		read_model(&reader, family, &parsed);
	cJSON_Delete(root);
	if (reader.status == GQE_OK)
		*config = parsed;
	return reader.status;
}

gqe_status gqe_layer_config_read(const char *path, gqe_layer_config *config, gqe_error *error)
{
	char *text = NULL;
	size_t bytes = 0;
	gqe_model_config model;

	if (!path || !config)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_layer_config_read: path or config is NULL");
	gqe_status status = gqe_file_read(path, GQE_MAX_CONFIG_BYTES, &text, &bytes, error);
	if (status != GQE_OK)
		return status;
	status = gqe_config_parse(path, text, bytes, true, &model, error);
	free(text);
	if (status == GQE_OK)
		*config = model.layer;
	return status;
}
