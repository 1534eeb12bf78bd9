/* gqe inspect: a model's config, tensors, sizes and memory needs. */
#include "commands.h"

#include "program.h"
#include "terminal.h"

#include <stdlib.h>
#include <string.h>

struct inspect_options {
	uint32_t context, chunk;
	int dtype;
	bool all;
};

#define AT(field) offsetof(struct inspect_options, field)
static const struct option inspect_options[] = {
	{"--context", 0, "T", OPTION_NUMBER, AT(context), 1, 0, NULL,
	 "tokens of the KV cache to estimate for (default: what the model was trained for)"},
	{"--dtype", 0, "f32|f16", OPTION_CHOICE, AT(dtype), 0, 0, dtype_choices, "type of weights and KV cache (default: f32)"},
	{"--chunk", 0, "C", OPTION_NUMBER, AT(chunk), 1, 0, NULL, "tokens in one pass of a prefill (default: by memory)"},
	{"--all", 0, NULL, OPTION_FLAG, AT(all), 0, 0, NULL, "every tensor in a row of its own, also those that all layers have"},
	{0},
};
#undef AT

struct inspection {
	const char *folder;
	const gqe_model_config *config;
	const gqe_tensor *tensors;
	size_t tensor_count;
	uint64_t parameters, file_bytes;
	uint32_t slots; /* inputs of the output projection, in heads */
	uint32_t context;
	gqe_dtype dtype;
	gqe_memory_estimate estimate;
	uint64_t limit; /* bytes that the device or --memory-limit allows; 0: neither was given */
};

static const char *rope_name(gqe_rope rope)
{
	return rope == GQE_ROPE_HALF ? "half" : rope == GQE_ROPE_INTERLEAVED ? "interleaved" : "none";
}

static void shared_kv_name(const gqe_layer_config *layer, char *text, size_t size)
{
	if (layer->shared_kv == GQE_SHARED_KV_GROUP)
		snprintf(text, size, "group_%u", layer->shared_kv_group);
	else
		snprintf(text, size, "%s", layer->shared_kv == GQE_SHARED_KV_MEAN ? "mean" : "dedicated");
}

static uint64_t elements(const gqe_tensor *tensor)
{
	uint64_t count = 1;
	for (uint32_t i = 0; i < tensor->rank; i++)
		count *= tensor->shape[i];
	return count;
}

static void shape_text(const gqe_tensor *tensor, char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "[");
	for (uint32_t i = 0; i < tensor->rank && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%llu", i ? ", " : "", (unsigned long long)tensor->shape[i]);
	if (used < size)
		snprintf(text + used, size - used, "]");
}

/* "model.layers.7.mlp..." gives 7 and the lengths of what stands before and after the number; -1 for another name. */
static long layer_of(const char *name, const char **after)
{
	static const char prefix[] = "model.layers.";
	if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
		return -1;
	char *end;
	long layer = strtol(name + sizeof(prefix) - 1, &end, 10);
	*after = end;
	return layer;
}

/* True when layer 0 has a tensor of the same name, type and shape: then its row stands for this one too. */
static bool covered_by_layer_0(const struct inspection *inspection, const gqe_tensor *tensor)
{
	const char *rest, *other_rest;
	if (layer_of(tensor->name, &rest) <= 0)
		return false;
	for (size_t i = 0; i < inspection->tensor_count; i++) {
		const gqe_tensor *other = &inspection->tensors[i];
		if (layer_of(other->name, &other_rest) == 0 && strcmp(rest, other_rest) == 0)
			return other->dtype == tensor->dtype && other->rank == tensor->rank &&
			       memcmp(other->shape, tensor->shape, tensor->rank * sizeof(tensor->shape[0])) == 0;
	}
	return false;
}

static void print_tensors(const struct inspection *inspection, bool all)
{
	printf("\n%sTensors%s (%zu, %s in the files)\n", style(stdout, STYLE_BOLD), style(stdout, STYLE_PLAIN),
	       inspection->tensor_count, format_bytes(inspection->file_bytes).text);
	for (size_t i = 0; i < inspection->tensor_count; i++) {
		const gqe_tensor *tensor = &inspection->tensors[i];
		const char *rest;
		char shape[160], name[320];
		if (!all && covered_by_layer_0(inspection, tensor))
			continue;
		snprintf(name, sizeof(name), "%s", tensor->name);
		if (!all && layer_of(tensor->name, &rest) == 0 && inspection->config->layers > 1)
			snprintf(name, sizeof(name), "model.layers.0...%u%s", inspection->config->layers - 1, rest);
		shape_text(tensor, shape, sizeof(shape));
		printf("  %-56s %-4s %-16s %s\n", name, gqe_dtype_name(tensor->dtype), shape, format_bytes(tensor->bytes).text);
	}
}

static void print_config(const struct inspection *inspection)
{
	const gqe_model_config *config = inspection->config;
	const gqe_layer_config *layer = &config->layer;
	bool gqe = layer->attention == GQE_ATTENTION_GQE;
	char shared[32];
	shared_kv_name(layer, shared, sizeof(shared));
	printf("%s%s%s\n", style(stdout, STYLE_BOLD), inspection->folder, style(stdout, STYLE_PLAIN));
	printf("  attention   %s, %u query heads, %u KV heads, head size %u\n", gqe ? "GQE" : "dense GQA", layer->heads,
	       layer->kv_heads, layer->head_dim);
	if (gqe) {
		printf("  experts     %u of %u in each group; slots in %s order%s\n", layer->top_k, layer->heads / layer->kv_heads,
		       layer->slot_order == GQE_SLOT_ORDER_RANK ? "rank" : "expert",
		       layer->scale_expert_slots ? ", scaled by probability" : "");
		printf("  slots       %u = %u hard%s%s%s%s\n", inspection->slots, layer->top_k * layer->kv_heads,
		       layer->weighted_sum_slot ? " + weighted sum" : "", layer->shared_head ? " + shared head (K, V: " : "",
		       layer->shared_head ? shared : "", layer->shared_head ? ")" : "");
	} else {
		printf("  slots       %u\n", inspection->slots);
	}
	printf("  rope        %s, theta %g\n", rope_name(layer->rope), layer->rope_theta);
	printf("  layers      %u, hidden size %u, MLP %s of %u, %s (eps %g)\n", config->layers, layer->hidden_size,
	       config->mlp == GQE_MLP_SWIGLU ? "SwiGLU" : "GELU", config->intermediate_size,
	       config->norm == GQE_NORM_RMSNORM ? "RMSNorm" : "LayerNorm", config->norm_eps);
	printf("  vocabulary  %u, tokenizer %s%s\n", config->vocab_size, config->tokenizer,
	       config->tie_word_embeddings ? ", tied embeddings" : "");
	printf("  positions   %u\n", config->max_position_embeddings);
	printf("  parameters  %llu\n", (unsigned long long)inspection->parameters);
}

static void print_memory(const struct inspection *inspection)
{
	const gqe_memory_estimate *estimate = &inspection->estimate;
	printf("\n%sDevice memory%s for %u tokens in %s, chunk %u\n", style(stdout, STYLE_BOLD), style(stdout, STYLE_PLAIN),
	       inspection->context, gqe_dtype_name(inspection->dtype), estimate->chunk);
	printf("  weights     %s\n", format_bytes(estimate->weights).text);
	printf("  KV cache    %s (%s a token)\n", format_bytes(estimate->kv_cache).text,
	       format_bytes(estimate->kv_cache / inspection->context).text);
	printf("  scratch     %s\n", format_bytes(estimate->scratch).text);
	printf("  total       %s", format_bytes(estimate->total).text);
	if (inspection->limit)
		printf(", %s of %s", estimate->total <= inspection->limit ? "fits the limit" : "over the limit",
		       format_bytes(inspection->limit).text);
	printf("\n");
}

static cJSON *config_json(const struct inspection *inspection)
{
	const gqe_model_config *config = inspection->config;
	const gqe_layer_config *layer = &config->layer;
	char shared[32];
	shared_kv_name(layer, shared, sizeof(shared));
	cJSON *object = cJSON_CreateObject();
	cJSON_AddStringToObject(object, "attention", layer->attention == GQE_ATTENTION_GQE ? "gqe" : "gqa");
	cJSON_AddNumberToObject(object, "hidden_size", layer->hidden_size);
	cJSON_AddNumberToObject(object, "num_attention_heads", layer->heads);
	cJSON_AddNumberToObject(object, "num_key_value_heads", layer->kv_heads);
	cJSON_AddNumberToObject(object, "head_dim", layer->head_dim);
	cJSON_AddStringToObject(object, "rope_style", rope_name(layer->rope));
	json_add_number(object, "rope_theta", layer->rope_theta);
	if (layer->attention == GQE_ATTENTION_GQE) {
		cJSON *gqe = cJSON_AddObjectToObject(object, "gqe");
		cJSON_AddNumberToObject(gqe, "top_k", layer->top_k);
		cJSON_AddBoolToObject(gqe, "shared_head", layer->shared_head);
		if (layer->shared_head)
			cJSON_AddStringToObject(gqe, "shared_kv", shared);
		cJSON_AddBoolToObject(gqe, "weighted_sum_slot", layer->weighted_sum_slot);
		cJSON_AddBoolToObject(gqe, "scale_expert_slots", layer->scale_expert_slots);
		cJSON_AddStringToObject(gqe, "slot_order", layer->slot_order == GQE_SLOT_ORDER_RANK ? "rank" : "expert");
	}
	cJSON_AddNumberToObject(object, "num_hidden_layers", config->layers);
	cJSON_AddNumberToObject(object, "intermediate_size", config->intermediate_size);
	cJSON_AddNumberToObject(object, "vocab_size", config->vocab_size);
	cJSON_AddStringToObject(object, "norm", config->norm == GQE_NORM_RMSNORM ? "rmsnorm" : "layernorm");
	json_add_number(object, "norm_eps", config->norm_eps);
	cJSON_AddStringToObject(object, "mlp", config->mlp == GQE_MLP_SWIGLU ? "swiglu" : "gelu");
	cJSON_AddBoolToObject(object, "tie_word_embeddings", config->tie_word_embeddings);
	cJSON_AddNumberToObject(object, "max_position_embeddings", config->max_position_embeddings);
	cJSON_AddStringToObject(object, "tokenizer", config->tokenizer);
	return object;
}

static cJSON *inspection_json(const struct inspection *inspection)
{
	cJSON *document = cJSON_CreateObject();
	cJSON_AddStringToObject(document, "model", inspection->folder);
	cJSON_AddItemToObject(document, "config", config_json(inspection));
	cJSON_AddNumberToObject(document, "slots", inspection->slots);
	cJSON_AddNumberToObject(document, "parameters", (double)inspection->parameters);
	cJSON_AddNumberToObject(document, "file_bytes", (double)inspection->file_bytes);
	cJSON *tensors = cJSON_AddArrayToObject(document, "tensors");
	for (size_t i = 0; i < inspection->tensor_count; i++) {
		const gqe_tensor *tensor = &inspection->tensors[i];
		cJSON *row = cJSON_CreateObject();
		cJSON_AddStringToObject(row, "name", tensor->name);
		cJSON_AddStringToObject(row, "dtype", gqe_dtype_name(tensor->dtype));
		cJSON *shape = cJSON_AddArrayToObject(row, "shape");
		for (uint32_t axis = 0; axis < tensor->rank; axis++)
			cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)tensor->shape[axis]));
		cJSON_AddNumberToObject(row, "bytes", (double)tensor->bytes);
		cJSON_AddItemToArray(tensors, row);
	}
	cJSON *memory = cJSON_AddObjectToObject(document, "memory");
	cJSON_AddNumberToObject(memory, "context", inspection->context);
	cJSON_AddStringToObject(memory, "dtype", gqe_dtype_name(inspection->dtype));
	cJSON_AddNumberToObject(memory, "chunk", inspection->estimate.chunk);
	cJSON_AddNumberToObject(memory, "weights", (double)inspection->estimate.weights);
	cJSON_AddNumberToObject(memory, "kv_cache", (double)inspection->estimate.kv_cache);
	cJSON_AddNumberToObject(memory, "kv_cache_per_token", (double)(inspection->estimate.kv_cache / inspection->context));
	cJSON_AddNumberToObject(memory, "scratch", (double)inspection->estimate.scratch);
	cJSON_AddNumberToObject(memory, "total", (double)inspection->estimate.total);
	if (inspection->limit) {
		cJSON_AddNumberToObject(memory, "limit", (double)inspection->limit);
		cJSON_AddBoolToObject(memory, "fits", inspection->estimate.total <= inspection->limit);
	}
	return document;
}

/* The limit to compare with: that of the device if one is named, else --memory-limit alone; no device is opened without need. */
static gqe_status find_limit(const struct program *program, uint64_t *limit, gqe_error *error)
{
	*limit = program->memory_limit;
	if (!program_device(program))
		return GQE_OK;
	gqe_context *context = NULL;
	gqe_status status = program_context(program, &context, error);
	if (status != GQE_OK)
		return status;
	gqe_memory_info memory;
	gqe_context_memory(context, &memory);
	if (gqe_context_device(context))
		*limit = memory.limit;
	gqe_context_destroy(&context);
	return GQE_OK;
}

static gqe_status inspect(const struct program *program, const struct inspect_options *options, const gqe_model_files *files,
			  struct inspection *inspection, gqe_error *error)
{
	const gqe_layer_config *layer = &gqe_model_files_config(files)->layer;
	inspection->config = gqe_model_files_config(files);
	inspection->tensors = gqe_model_files_tensors(files, &inspection->tensor_count);
	inspection->slots = layer->attention == GQE_ATTENTION_GQE
				    ? layer->top_k * layer->kv_heads + layer->weighted_sum_slot + layer->shared_head
				    : layer->heads;
	for (size_t i = 0; i < inspection->tensor_count; i++) {
		inspection->parameters += elements(&inspection->tensors[i]);
		inspection->file_bytes += inspection->tensors[i].bytes;
	}
	inspection->dtype = (gqe_dtype)options->dtype;
	inspection->context = options->context ? options->context : inspection->config->max_position_embeddings;
	if (inspection->context == 0)
		return error_set(error, GQE_ERROR_USAGE, "the config has no max_position_embeddings: give --context");
	gqe_session_params params = {.size = sizeof(params), .max_tokens = inspection->context, .chunk = options->chunk};
	gqe_status status = find_limit(program, &inspection->limit, error);
	if (status == GQE_OK)
		status = gqe_model_estimate(files, inspection->dtype, &params, inspection->limit, &inspection->estimate, error);
	if (status != GQE_OK)
		return status;
	if (program->json)
		return program_print_json(program, inspection_json(inspection)) == GQE_OK ? GQE_OK : error_no_memory(error);
	print_config(inspection);
	print_tensors(inspection, options->all);
	print_memory(inspection);
	return GQE_OK;
}

gqe_status cmd_inspect(int argc, char **argv)
{
	struct program program = {.command = "inspect"};
	struct inspect_options options = {.dtype = GQE_DTYPE_F32};
	const char *model = NULL;
	const struct option_group groups[] = {{"Inspect", inspect_options, &options},
					      {"Common options", program_options, &program}};
	const struct command_line line = {
		.command = "inspect",
		.synopsis = "MODEL [--context T] [OPTIONS]",
		.description =
			"Shows the config and the tensors of the model in the folder MODEL, and the device memory that it needs.\n"
			"With --device or --memory-limit also says whether that fits.",
		.groups = groups,
		.group_count = 2,
		.operand_name = "MODEL",
		.operand = &model,
	};
	enum parse_result parsed = command_line_parse(&line, argc, argv);
	if (parsed != PARSE_OK)
		return parsed == PARSE_HELP ? GQE_OK : GQE_ERROR_USAGE;
	gqe_error error = {0};
	gqe_model_files *files = NULL;
	struct inspection inspection = {.folder = model};
	gqe_status status = gqe_model_files_open(model, &files, &error);
	if (status == GQE_OK)
		status = inspect(&program, &options, files, &inspection, &error);
	if (status != GQE_OK)
		program_fail(&program, &error);
	gqe_model_files_destroy(&files);
	return status;
}
