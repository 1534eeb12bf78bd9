/* gqe run: prefill a prompt, report, generate. */
#include "commands.h"

#include "platform.h"
#include "prompt.h"
#include "run_report.h"
#include "terminal.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct run_options {
	struct prompt_source prompt;
	uint32_t generate, chunk, window;
	int dtype;
};

#define AT(field) offsetof(struct run_options, field)
static const struct option run_options[] = {
	{"--prompt", 0, "TEXT", OPTION_TEXT, AT(prompt.text), 0, 0, NULL, "the prompt itself"},
	{"--prompt-file", 0, "F", OPTION_TEXT, AT(prompt.text_file), 0, 0, NULL, "a file that holds the prompt; - is stdin"},
	{"--tokens", 0, "F", OPTION_TEXT, AT(prompt.tokens_file), 0, 0, NULL,
	 "a file of token ids, separated by white space; - is stdin"},
	{"--generate", 'n', "N", OPTION_NUMBER, AT(generate), 0, UINT32_MAX / 4, NULL,
	 "generate N tokens, always the most probable one (default: 0)"},
	{"--dtype", 0, "f32|f16", OPTION_CHOICE, AT(dtype), 0, 0, dtype_choices, "type of weights and KV cache (default: f32)"},
	{"--chunk", 0, "C", OPTION_NUMBER, AT(chunk), 1, 0, NULL, "tokens in one pass of the prefill (default: by memory)"},
	{"--window", 0, "W", OPTION_NUMBER, AT(window), 1, 0, NULL,
	 "score in independent windows of W tokens; -n goes on from the last W - N tokens"},
	{0},
};
#undef AT

/* Everything that a run holds, released in one place. */
struct run {
	const struct program *program;
	const struct run_options *options;
	gqe_model_files *files;
	gqe_context *context;
	gqe_model *model;
	gqe_session *session;
	int32_t *tokens; /* [result.prompt_tokens] */
	float *nll;      /* [result.window] */
	int32_t *generated;
	char *generated_bytes;
	size_t generated_byte_count, generated_byte_capacity;
	char *generated_text;
	struct run_result result;
	struct progress progress;
	uint32_t window_first; /* tokens before the running window, for the progress bar */
};

/* Ctrl-C: the handler may only set a flag and call gqe_session_cancel. A second one ends the program the usual way. */
static volatile sig_atomic_t interrupted;
static gqe_session *volatile interruptible;

static void on_interrupt(int signal_number)
{
	interrupted = 1;
	if (interruptible)
		gqe_session_cancel(interruptible);
	signal(signal_number, SIG_DFL);
}

static bool on_load_progress(void *user, double done, double total)
{
	struct run *run = user;
	progress_draw(&run->progress, done / total);
	return !interrupted;
}

static bool on_prefill_progress(void *user, double done, double total)
{
	struct run *run = user;
	const struct run_result *result = &run->result;
	uint32_t left = result->prompt_tokens - run->window_first;
	double window = left < result->window ? left : result->window;
	progress_draw(&run->progress, (run->window_first + window * done / total) / result->prompt_tokens);
	return !interrupted;
}

/* How much of the prompt the generation goes on from; everything without --window. */
static uint32_t generation_context(const struct run *run)
{
	const struct run_result *result = &run->result;
	if (result->window >= result->prompt_tokens)
		return result->prompt_tokens;
	uint32_t generate = run->options->generate;
	return generate < result->window ? result->window - generate : (result->window + 1) / 2;
}

static gqe_status open_model(struct run *run, gqe_error *error)
{
	struct run_result *result = &run->result;
	gqe_status status = gqe_model_files_open(result->model_folder, &run->files, error);
	if (status != GQE_OK)
		return status;
	status =
		prompt_read(&run->options->prompt, gqe_model_files_config(run->files), &run->tokens, &result->prompt_tokens, error);
	if (status != GQE_OK)
		return status;
	uint32_t trained = gqe_model_files_config(run->files)->max_position_embeddings;
	if (trained && result->prompt_tokens > trained && !run->options->window)
		program_warn(
			run->program,
			"the model was trained for %u positions and the prompt has %u tokens: expect a worse score beyond that; "
			"--window %u scores it in windows",
			trained, result->prompt_tokens, trained);
	result->window =
		run->options->window && run->options->window < result->prompt_tokens ? run->options->window : result->prompt_tokens;
	status = program_context(run->program, &run->context, error);
	if (status != GQE_OK)
		return status;
	result->device = gqe_context_device(run->context);
	if (result->device && run->program->path)
		result->path = (gqe_path)run->program->path;
	else if (result->device && result->device->path_count)
		result->path = result->device->paths[result->device->path_count - 1];

	gqe_model_params params = {
		.size = sizeof(params), .dtype = result->dtype, .progress = on_load_progress, .progress_user = run};
	double began = now_seconds();
	run->progress = progress_begin("loading", !run->program->json);
	status = gqe_model_load(run->context, run->files, &params, &run->model, error);
	progress_end(&run->progress);
	if (status != GQE_OK)
		return status;
	result->config = gqe_model_get_config(run->model);
	uint32_t context = generation_context(run) + run->options->generate;
	gqe_session_params session = {.size = sizeof(session),
				      .max_tokens = context > result->window ? context : result->window,
				      .chunk = run->options->chunk};
	status = gqe_session_create(run->model, &session, &run->session, error);
	if (status != GQE_OK)
		return status;
	interruptible = run->session;
	result->chunk = gqe_session_chunk(run->session);
	result->load_seconds = now_seconds() - began;
	gqe_context_memory(run->context, &result->memory);
	return GQE_OK;
}

static gqe_status allocate(struct run *run, gqe_error *error)
{
	struct run_result *result = &run->result;
	const gqe_model_config *config = result->config;
	run->nll = calloc(result->window, sizeof(*run->nll));
	run->generated = calloc((size_t)run->options->generate + 1, sizeof(*run->generated));
	if (!run->nll || !run->generated)
		return error_no_memory(error);
	if (config->layer.attention == GQE_ATTENTION_GQE) {
		size_t count = (size_t)config->layers * config->layer.heads;
		result->routing.share = calloc(count, sizeof(double));
		result->routing.probability = calloc(count, sizeof(double));
		if (!result->routing.share || !result->routing.probability)
			return error_no_memory(error);
	}
	return GQE_OK;
}

/* Adds the statistics of the window just prefilled, weighted by its tokens. */
static gqe_status add_routing(struct run *run, uint32_t tokens, gqe_error *error)
{
	struct run_routing *routing = &run->result.routing;
	uint32_t heads = run->result.config->layer.heads;
	if (!routing->share)
		return GQE_OK;
	double share[1024], probability[1024]; /* N <= 1024: gqe_layer_config_check */
	for (uint32_t layer = 0; layer < run->result.config->layers; layer++) {
		gqe_status status = gqe_session_balance(run->session, layer, share, probability, NULL, error);
		if (status != GQE_OK)
			return status;
		for (uint32_t i = 0; i < heads; i++) {
			routing->share[(size_t)layer * heads + i] += share[i] * tokens;
			routing->probability[(size_t)layer * heads + i] += probability[i] * tokens;
		}
	}
	routing->tokens += tokens;
	return GQE_OK;
}

static gqe_status prefill_window(struct run *run, uint32_t first, uint32_t count, gqe_error *error)
{
	struct run_result *result = &run->result;
	run->window_first = first;
	gqe_status status = first ? gqe_session_rewind(run->session, 0, error) : GQE_OK;
	if (status != GQE_OK)
		return status;
	gqe_prefill_params params = {.size = sizeof(params),
				     .tokens = run->tokens + first,
				     .count = count,
				     .nll = count > 1 ? run->nll : NULL,
				     .progress = on_prefill_progress,
				     .progress_user = run};
	double began = now_seconds();
	status = gqe_session_prefill(run->session, &params, error);
	result->prefill_seconds += now_seconds() - began;
	result->prefilled_tokens = first + gqe_session_position(run->session);
	if (status != GQE_OK)
		return status;
	for (uint32_t i = 0; i + 1 < count; i++)
		result->nll_sum += run->nll[i];
	result->scored_tokens += count - 1;
	return add_routing(run, count, error);
}

static gqe_status prefill_prompt(struct run *run, gqe_error *error)
{
	struct run_result *result = &run->result;
	gqe_status status = GQE_OK;
	run->progress = progress_begin("prefill", !run->program->json);
	for (uint32_t first = 0; first < result->prompt_tokens && status == GQE_OK;) {
		uint32_t left = result->prompt_tokens - first, count = left < result->window ? left : result->window;
		status = interrupted ? error_set(error, GQE_CANCELLED, "cancelled") : prefill_window(run, first, count, error);
		first += count;
	}
	progress_end(&run->progress);
	gqe_context_memory(run->context, &result->memory);
	return status;
}

/* The most probable token, the lower id of equals; -1 when no logit is a number. */
static int32_t greedy(const float *logits, uint32_t vocab_size)
{
	int32_t best = -1;
	for (uint32_t i = 0; i < vocab_size; i++)
		if (!isnan(logits[i]) && (best < 0 || logits[i] > logits[best]))
			best = (int32_t)i;
	return best;
}

static gqe_status keep_bytes(struct run *run, const char *bytes, size_t count, gqe_error *error)
{
	if (run->generated_byte_count + count > run->generated_byte_capacity) {
		size_t capacity = 2 * run->generated_byte_capacity + count;
		char *grown = realloc(run->generated_bytes, capacity);
		if (!grown)
			return error_no_memory(error);
		run->generated_bytes = grown;
		run->generated_byte_capacity = capacity;
	}
	memcpy(run->generated_bytes + run->generated_byte_count, bytes, count);
	run->generated_byte_count += count;
	return GQE_OK;
}

/* Streams a token to stdout, as text or as an id like the prompt's; for the JSON document its bytes are kept. */
static gqe_status emit_token(struct run *run, int32_t id, gqe_error *error)
{
	char bytes[512];
	size_t count;
	if (run->options->prompt.tokens_file) {
		if (!run->program->json)
			printf("%s%d", run->result.generated_count > 1 ? " " : "", id);
	} else {
		gqe_status status = gqe_detokenize(run->result.config, id, bytes, sizeof(bytes), &count, error);
		if (status != GQE_OK)
			return status;
		count = count < sizeof(bytes) ? count : sizeof(bytes);
		if (run->program->json)
			return keep_bytes(run, bytes, count, error);
		fwrite(bytes, 1, count, stdout);
	}
	fflush(stdout);
	return GQE_OK;
}

static gqe_status generate(struct run *run, gqe_error *error)
{
	struct run_result *result = &run->result;
	uint32_t context = generation_context(run);
	gqe_status status = GQE_OK;
	if (result->window < result->prompt_tokens) {
		gqe_prefill_params params = {
			.size = sizeof(params), .tokens = run->tokens + result->prompt_tokens - context, .count = context};
		status = gqe_session_rewind(run->session, 0, error);
		if (status == GQE_OK)
			status = gqe_session_prefill(run->session, &params, error);
		if (status != GQE_OK)
			return status;
	}
	double began = now_seconds();
	while (result->generated_count < run->options->generate) {
		if (interrupted) {
			status = error_set(error, GQE_CANCELLED, "cancelled");
			break;
		}
		int32_t id = greedy(gqe_session_logits(run->session), result->config->vocab_size);
		if (id < 0) {
			status = error_set(error, GQE_ERROR_VERIFICATION, "the model's logits are not numbers (NaN)");
			break;
		}
		run->generated[result->generated_count++] = id;
		status = emit_token(run, id, error);
		if (status != GQE_OK || result->generated_count == run->options->generate)
			break;
		gqe_prefill_params params = {.size = sizeof(params), .tokens = &id, .count = 1};
		status = gqe_session_prefill(run->session, &params, error);
		if (status != GQE_OK)
			break;
	}
	result->generate_seconds = now_seconds() - began;
	result->generated = run->generated;
	return status;
}

/* Prefill, report, generate. After a cancel what is there is reported. */
static gqe_status prefill_and_generate(struct run *run, gqe_error *error)
{
	struct run_result *result = &run->result;
	bool json = run->program->json;
	gqe_status status = prefill_prompt(run, error);
	if (status != GQE_OK && status != GQE_CANCELLED)
		return status;
	result->cancelled = status == GQE_CANCELLED;
	if (!json)
		run_report_prompt(result);
	if (result->scored_tokens && !isfinite(result->nll_sum))
		program_warn(run->program, "the score is not finite: the model's weights or this device's results are broken");
	if (status == GQE_OK && run->options->generate > 0) {
		if (!json) {
			printf("\n%sGenerated%s\n", style(stdout, STYLE_BOLD), style(stdout, STYLE_PLAIN));
			fflush(stdout);
		}
		status = generate(run, error);
		result->cancelled = status == GQE_CANCELLED;
		if (!json && (status == GQE_OK || status == GQE_CANCELLED))
			run_report_generated(result);
	}
	if (status == GQE_OK)
		status = program_check_validation(run->program, run->context, error);
	if (json && (status == GQE_OK || status == GQE_CANCELLED)) {
		if (!run->options->prompt.tokens_file)
			result->generated_text = run->generated_text = valid_utf8(run->generated_bytes, run->generated_byte_count);
		gqe_status printed = program_print_json(run->program, run_report_json(result));
		if (printed != GQE_OK)
			return error_no_memory(error);
	}
	return status;
}

static gqe_status run_all(struct run *run)
{
	gqe_error error = {0};
	signal(SIGINT, on_interrupt);
	gqe_status status = open_model(run, &error);
	bool opened = status == GQE_OK;
	if (status == GQE_OK)
		status = allocate(run, &error);
	if (status == GQE_OK)
		status = prefill_and_generate(run, &error);
	interruptible = NULL;
	if (status == GQE_CANCELLED && opened)
		fprintf(stderr, "gqe run: cancelled\n"); /* stdout has what was done so far */
	else if (status != GQE_OK)
		program_fail(run->program, &error);

	gqe_session_destroy(&run->session);
	gqe_model_destroy(&run->model);
	gqe_context_destroy(&run->context);
	gqe_model_files_destroy(&run->files);
	free(run->tokens);
	free(run->nll);
	free(run->generated);
	free(run->generated_bytes);
	free(run->generated_text);
	free(run->result.routing.share);
	free(run->result.routing.probability);
	return status;
}

gqe_status cmd_run(int argc, char **argv)
{
	struct program program = {.command = "run"};
	struct run_options options = {.dtype = GQE_DTYPE_F32};
	const char *model = NULL;
	const struct option_group groups[] = {{"Prompt and model", run_options, &options},
					      {"Common options", program_options, &program}};
	const struct command_line line = {
		.command = "run",
		.synopsis = "MODEL (--prompt TEXT | --prompt-file F | --tokens F) [-n N] [OPTIONS]",
		.description =
			"Reads the prompt with the model in the folder MODEL (config.json, model.safetensors) and prints tokens/s, "
			"perplexity,\nbits per byte and the routing of every layer; with -n also generates text.",
		.groups = groups,
		.group_count = 2,
		.operand_name = "MODEL",
		.operand = &model,
	};
	enum parse_result parsed = command_line_parse(&line, argc, argv);
	if (parsed != PARSE_OK)
		return parsed == PARSE_HELP ? GQE_OK : GQE_ERROR_USAGE;
	const struct prompt_source *prompt = &options.prompt;
	int sources = (prompt->text != NULL) + (prompt->text_file != NULL) + (prompt->tokens_file != NULL);
	if (sources != 1)
		return program_fail_with(&program, GQE_ERROR_USAGE, "give %s of --prompt, --prompt-file and --tokens",
					 sources ? "only one" : "one");
	struct run run = {.program = &program,
			  .options = &options,
			  .result = {.model_folder = model,
				     .dtype = (gqe_dtype)options.dtype,
				     .tokens_given = prompt->tokens_file != NULL,
				     .generated_wanted = options.generate}};
	return run_all(&run);
}
