/* gqe layer: one attention layer on tensors from files. */
#include "commands.h"

#include "platform.h"
#include "program.h"
#include "tensor_values.h"
#include "terminal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct layer_options {
	const char *config, *weights, *input, *output;
	int dtype;
	uint32_t chunk;
};

#define AT(field) offsetof(struct layer_options, field)
static const struct option layer_options[] = {
	{"--config", 0, "C", OPTION_TEXT, AT(config), 0, 0, NULL, "the layer's config.json"},
	{"--weights", 0, "W", OPTION_TEXT, AT(weights), 0, 0, NULL, "the layer's weights (safetensors)"},
	{"--input", 0, "X", OPTION_TEXT, AT(input), 0, 0, NULL, "a safetensors file with the tensor x [T, d] or [B, T, d]"},
	{"--output", 0, "Y", OPTION_TEXT, AT(output), 0, 0, NULL, "the file to write: y, and for GQE experts and gate"},
	{"--dtype", 0, "f32|f16", OPTION_CHOICE, AT(dtype), 0, 0, dtype_choices, "type of weights and KV cache (default: f32)"},
	{"--chunk", 0, "C", OPTION_NUMBER, AT(chunk), 1, 0, NULL, "tokens of a sequence in one pass (default: 1024)"},
	{0},
};
#undef AT

/* The tensors of a call, whole: x, y [B, T, d]; experts, gate [B, T, G, k]. */
struct layer_tensors {
	uint32_t batch, tokens, hidden, selected; /* B, T, d, G*k (0 for dense GQA) */
	float *x, *y, *gate;
	int32_t *experts;
};

/* What one pass of C tokens takes and gives: the same tensors with C in place of T, as a pass wants them dense. */
struct layer_pass {
	float *x, *y, *gate;
	int32_t *experts;
};

/* rows [B, from_tokens] of `width` elements of 4 bytes: tokens first... of each sequence to or from a dense piece. */
static void copy_rows(const struct layer_tensors *tensors, void *whole, void *piece, uint32_t first, uint32_t count, uint32_t width,
		      bool to_piece)
{
	size_t bytes = (size_t)count * width * 4;
	for (uint32_t b = 0; b < tensors->batch; b++) {
		char *at_whole = (char *)whole + ((size_t)b * tensors->tokens + first) * width * 4;
		char *at_piece = (char *)piece + b * bytes;
		memcpy(to_piece ? at_piece : at_whole, to_piece ? at_whole : at_piece, bytes);
	}
}

static void *allocate(uint64_t a, uint64_t b, uint64_t c)
{
	if (b && a > SIZE_MAX / 4 / b)
		return NULL;
	if (c && a * b > SIZE_MAX / 4 / c)
		return NULL;
	size_t bytes = (size_t)(a * b * c * 4);
	return malloc(bytes ? bytes : 1);
}

static gqe_status read_input(const char *path, const gqe_layer_config *config, const gqe_tensor *x, struct layer_tensors *tensors,
			     gqe_error *error)
{
	if (!x)
		return error_set(error, GQE_ERROR_BAD_INPUT,
				 "%s: there is no tensor 'x'; the input is named x, [T, d] or [B, T, d]", path);
	if (x->rank != 2 && x->rank != 3)
		return error_set(error, GQE_ERROR_BAD_INPUT, "%s: tensor 'x' has %u dimensions; [T, d] or [B, T, d] is needed",
				 path, x->rank);
	uint64_t batch = x->rank == 3 ? x->shape[0] : 1, tokens = x->shape[x->rank - 2], hidden = x->shape[x->rank - 1];
	if (hidden != config->hidden_size)
		return error_set(error, GQE_ERROR_BAD_INPUT,
				 "%s: the last dimension of tensor 'x' is %llu, but the config's hidden_size is %u", path,
				 (unsigned long long)hidden, config->hidden_size);
	if (batch == 0 || tokens == 0 || batch > UINT32_MAX || tokens > UINT32_MAX)
		return error_set(error, GQE_ERROR_BAD_INPUT,
				 "%s: tensor 'x' has %llu sequences of %llu tokens; both must be at least 1", path,
				 (unsigned long long)batch, (unsigned long long)tokens);
	bool gqe = config->attention == GQE_ATTENTION_GQE;
	tensors->batch = (uint32_t)batch;
	tensors->tokens = (uint32_t)tokens;
	tensors->hidden = (uint32_t)hidden;
	tensors->selected = gqe ? config->kv_heads * config->top_k : 0;
	tensors->x = allocate(batch, tokens, hidden);
	tensors->y = allocate(batch, tokens, hidden);
	tensors->experts = allocate(batch, tokens, tensors->selected);
	tensors->gate = allocate(batch, tokens, tensors->selected);
	if (!tensors->x || !tensors->y || !tensors->experts || !tensors->gate)
		return error_no_memory(error);
	if (!tensor_values(x, tensors->x))
		return error_set(error, GQE_ERROR_BAD_INPUT, "%s: tensor 'x' has dtype %s; F32, F16 or BF16 is needed", path,
				 gqe_dtype_name(x->dtype));
	return GQE_OK;
}

static gqe_status forward(gqe_layer *layer, struct layer_tensors *tensors, struct layer_pass *pass, uint32_t chunk,
			  const struct program *program, gqe_error *error)
{
	gqe_status status = GQE_OK;
	struct progress progress = progress_begin("layer", !program->json);
	for (uint32_t first = 0; first < tensors->tokens && status == GQE_OK;) {
		uint32_t left = tensors->tokens - first, count = left < chunk ? left : chunk;
		copy_rows(tensors, tensors->x, pass->x, first, count, tensors->hidden, true);
		gqe_layer_io io = {.size = sizeof(io),
				   .tokens = count,
				   .x = pass->x,
				   .y = pass->y,
				   .experts = tensors->selected ? pass->experts : NULL,
				   .gate = tensors->selected ? pass->gate : NULL};
		status = gqe_layer_forward(layer, &io, error);
		if (status == GQE_OK) {
			copy_rows(tensors, tensors->y, pass->y, first, count, tensors->hidden, false);
			copy_rows(tensors, tensors->experts, pass->experts, first, count, tensors->selected, false);
			copy_rows(tensors, tensors->gate, pass->gate, first, count, tensors->selected, false);
		}
		first += count;
		progress_draw(&progress, (double)first / tensors->tokens);
	}
	progress_end(&progress);
	return status;
}

/* f16 holds nothing beyond 65,504, and what a file holds may be anything: the result is still written, but not without a word. */
static void warn_of_non_finite(const struct program *program, const struct layer_options *options,
			       const struct layer_tensors *tensors)
{
	uint64_t count = (uint64_t)tensors->batch * tensors->tokens * tensors->hidden;
	for (uint64_t i = 0; i < count; i++)
		if (!isfinite(tensors->y[i])) {
			program_warn(program, "y has values that are not finite, the first at element %llu: %s",
				     (unsigned long long)i,
				     options->dtype == GQE_DTYPE_F16
					     ? "a weight, K or V is beyond the range of f16 or not finite; try --dtype f32"
					     : "the input or a weight is too large or not finite");
			return;
		}
}

static gqe_status write_output(const char *path, const gqe_layer_config *config, const gqe_tensor *x,
			       const struct layer_tensors *tensors, gqe_error *error)
{
	uint64_t rows = (uint64_t)tensors->batch * tensors->tokens;
	gqe_tensor out[3] = {
		{.name = "y", .dtype = GQE_DTYPE_F32, .rank = x->rank, .data = tensors->y, .bytes = rows * tensors->hidden * 4},
		{.name = "experts", .dtype = GQE_DTYPE_I32, .data = tensors->experts, .bytes = rows * tensors->selected * 4},
		{.name = "gate", .dtype = GQE_DTYPE_F32, .data = tensors->gate, .bytes = rows * tensors->selected * 4},
	};
	memcpy(out[0].shape, x->shape, sizeof(out[0].shape));
	for (int i = 1; i < 3; i++) {
		memcpy(out[i].shape, x->shape, sizeof(out[i].shape));
		out[i].rank = x->rank + 1;
		out[i].shape[x->rank - 1] = config->kv_heads;
		out[i].shape[x->rank] = config->top_k;
	}
	return gqe_tensor_file_write(path, out, tensors->selected ? 3 : 1, error);
}

static void report(const struct program *program, const struct layer_options *options, const gqe_context *context,
		   const struct layer_tensors *tensors, double seconds)
{
	const gqe_device_info *device = gqe_context_device(context);
	double rate = seconds > 0 ? (double)tensors->batch * tensors->tokens / seconds : 0;
	if (!program->json) {
		printf("%s: %u x %u tokens in %.3f s (%.1f tokens/s) on %s\n", options->output, tensors->batch, tensors->tokens,
		       seconds, rate, device ? device->name : "the reference");
		return;
	}
	cJSON *document = cJSON_CreateObject();
	cJSON_AddStringToObject(document, "output", options->output);
	cJSON_AddItemToObject(document, "device", json_device(device));
	cJSON_AddStringToObject(document, "dtype", gqe_dtype_name((gqe_dtype)options->dtype));
	cJSON_AddNumberToObject(document, "batch", tensors->batch);
	cJSON_AddNumberToObject(document, "tokens", tensors->tokens);
	json_add_number(document, "seconds", seconds);
	json_add_number(document, "tokens_per_second", rate);
	program_print_json(program, document);
}

static gqe_status compute(const struct program *program, const struct layer_options *options, struct layer_tensors *tensors,
			  struct layer_pass *pass, gqe_error *error)
{
	gqe_layer_config config;
	gqe_tensor_file *weights = NULL, *input = NULL;
	gqe_context *context = NULL;
	gqe_layer *layer = NULL;
	const gqe_tensor *x = NULL;
	double began = 0;
	gqe_status status = gqe_layer_config_read(options->config, &config, error);
	if (status == GQE_OK)
		status = program_check_writable("--output", options->output, error);
	if (status == GQE_OK)
		status = gqe_tensor_file_open(options->weights, &weights, error);
	if (status == GQE_OK)
		status = gqe_tensor_file_open(options->input, &input, error);
	if (status == GQE_OK) {
		x = gqe_tensor_file_find(input, "x");
		status = read_input(options->input, &config, x, tensors, error);
	}
	uint32_t chunk = tensors->tokens < options->chunk ? tensors->tokens : options->chunk;
	if (status == GQE_OK) {
		pass->x = allocate(tensors->batch, chunk, tensors->hidden);
		pass->y = allocate(tensors->batch, chunk, tensors->hidden);
		pass->experts = allocate(tensors->batch, chunk, tensors->selected);
		pass->gate = allocate(tensors->batch, chunk, tensors->selected);
		if (!pass->x || !pass->y || !pass->experts || !pass->gate)
			status = error_no_memory(error);
	}
	if (status == GQE_OK)
		status = program_context(program, &context, error);
	if (status == GQE_OK) {
		gqe_layer_params params = {.size = sizeof(params),
					   .config = &config,
					   .dtype = (gqe_dtype)options->dtype,
					   .batch = tensors->batch,
					   .max_tokens = tensors->tokens,
					   .chunk = chunk};
		params.tensors = gqe_tensor_file_tensors(weights, &params.tensor_count);
		status = gqe_layer_create(context, &params, &layer, error);
	}
	if (status == GQE_OK) {
		began = now_seconds();
		status = forward(layer, tensors, pass, chunk, program, error);
	}
	double seconds = now_seconds() - began;
	if (status == GQE_OK)
		status = program_check_validation(program, context, error);
	if (status == GQE_OK)
		warn_of_non_finite(program, options, tensors);
	if (status == GQE_OK)
		status = write_output(options->output, &config, x, tensors, error);
	if (status == GQE_OK)
		report(program, options, context, tensors, seconds);
	gqe_layer_destroy(&layer);
	gqe_context_destroy(&context);
	gqe_tensor_file_destroy(&input);
	gqe_tensor_file_destroy(&weights);
	return status;
}

gqe_status cmd_layer(int argc, char **argv)
{
	struct program program = {.command = "layer"};
	struct layer_options options = {.dtype = GQE_DTYPE_F32, .chunk = 1024};
	const struct option_group groups[] = {{"Layer", layer_options, &options}, {"Common options", program_options, &program}};
	const struct command_line line = {
		.command = "layer",
		.synopsis = "--config C --weights W --input X --output Y [OPTIONS]",
		.description =
			"Computes one causal attention layer. Reads the tensor x, [T, d] or [B, T, d]; writes y (F32, x's shape) "
			"and,\n"
			"for GQE, experts (I32, [.., T, G, k], in slot order) and gate (F32, the weights of the weighted sum).",
		.groups = groups,
		.group_count = 2,
	};
	enum parse_result parsed = command_line_parse(&line, argc, argv);
	if (parsed != PARSE_OK)
		return parsed == PARSE_HELP ? GQE_OK : GQE_ERROR_USAGE;
	const char *missing = !options.config    ? "--config"
			      : !options.weights ? "--weights"
			      : !options.input   ? "--input"
			      : !options.output  ? "--output"
						 : NULL;
	if (missing)
		return program_fail_with(&program, GQE_ERROR_USAGE, "%s is missing", missing);

	gqe_error error = {0};
	struct layer_tensors tensors = {0};
	struct layer_pass pass = {0};
	gqe_status status = compute(&program, &options, &tensors, &pass, &error);
	if (status != GQE_OK)
		program_fail(&program, &error);
	free(tensors.x);
	free(tensors.y);
	free(tensors.experts);
	free(tensors.gate);
	free(pass.x);
	free(pass.y);
	free(pass.experts);
	free(pass.gate);
	return status;
}
