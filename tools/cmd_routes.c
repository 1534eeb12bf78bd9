/* gqe routes: what the router of a GQE model does with a text. */
#include "commands.h"

#include "interrupt.h"
#include "prompt.h"
#include "routes.h"
#include "terminal.h"

#include <stdlib.h>

struct routes_options {
	struct prompt_source prompt;
	const char *plot, *html;
	uint32_t chunk, shown;
	int dtype;
};

#define AT(field) offsetof(struct routes_options, field)
static const struct option routes_options[] = {
	{"--prompt", 0, "TEXT", OPTION_TEXT, AT(prompt.text), 0, 0, NULL, "the text itself"},
	{"--prompt-file", 0, "F", OPTION_TEXT, AT(prompt.text_file), 0, 0, NULL, "a file that holds the text; - is stdin"},
	{"--tokens", 0, "F", OPTION_TEXT, AT(prompt.tokens_file), 0, 0, NULL,
	 "a file of token ids, separated by white space; - is stdin"},
	{"--plot", 0, "F.png", OPTION_TEXT, AT(plot), 0, 0, NULL, "write a map of experts over tokens as PNG"},
	{"--html", 0, "F.html", OPTION_TEXT, AT(html), 0, 0, NULL, "write everything as one page that needs no network"},
	{"--show", 0, "N", OPTION_NUMBER, AT(shown), 1, 4096, NULL, "tokens in the map (default: 256)"},
	{"--dtype", 0, "f32|f16", OPTION_CHOICE, AT(dtype), 0, 0, dtype_choices, "type of weights and KV cache (default: f32)"},
	{"--chunk", 0, "C", OPTION_NUMBER, AT(chunk), 1, 0, NULL, "tokens in one pass (default: by memory)"},
	{0},
};
#undef AT

/* Everything that the command holds, released in one place. */
struct reading {
	const struct program *program;
	const struct routes_options *options;
	gqe_model_files *files;
	gqe_context *context;
	gqe_model *model;
	gqe_session *session;
	int32_t *tokens;
	uint32_t token_count;
	struct routes routes;
	struct progress progress;
};

static bool on_progress(void *user, double done, double total)
{
	struct reading *reading = user;
	progress_draw(&reading->progress, done / total);
	return !interrupt_seen();
}

static gqe_status open_session(struct reading *reading, const char *folder, gqe_error *error)
{
	gqe_status status = gqe_model_files_open(folder, &reading->files, error);
	if (status != GQE_OK)
		return status;
	const gqe_model_config *config = gqe_model_files_config(reading->files);
	if (config->layer.attention != GQE_ATTENTION_GQE)
		return error_set(error, GQE_ERROR_BAD_INPUT, "%s: this model has dense attention, and so no router", folder);
	status = prompt_read(&reading->options->prompt, config, &reading->tokens, &reading->token_count, error);
	if (status != GQE_OK)
		return status;
	if (config->max_position_embeddings && reading->token_count > config->max_position_embeddings)
		program_warn(reading->program, "the model was trained for %u positions and the text has %u tokens",
			     config->max_position_embeddings, reading->token_count);
	status = program_context(reading->program, &reading->context, error);
	if (status != GQE_OK)
		return status;
	const gqe_model_params params = {.size = sizeof(params),
					 .dtype = (gqe_dtype)reading->options->dtype,
					 .progress = on_progress,
					 .progress_user = reading};
	const gqe_session_params session = {.size = sizeof(session),
					    .max_tokens = reading->token_count,
					    .chunk = reading->options->chunk,
					    .keep_routing = true};
	reading->progress = progress_begin("loading", !reading->program->json);
	status = gqe_model_load(reading->context, reading->files, &params, &reading->model, error);
	progress_end(&reading->progress);
	return status == GQE_OK ? gqe_session_create(reading->model, &session, &reading->session, error) : status;
}

static gqe_status read_text(struct reading *reading, gqe_error *error)
{
	const gqe_prefill_params params = {.size = sizeof(params),
					   .tokens = reading->tokens,
					   .count = reading->token_count,
					   .progress = on_progress,
					   .progress_user = reading};
	reading->progress = progress_begin("reading", !reading->program->json);
	gqe_status status = gqe_session_prefill(reading->session, &params, error);
	progress_end(&reading->progress);
	if (status == GQE_OK)
		status = routes_create(&reading->routes, gqe_model_get_config(reading->model), reading->tokens,
				       reading->token_count, error);
	return status == GQE_OK ? routes_take(&reading->routes, reading->session, error) : status;
}

static gqe_status report(const struct reading *reading, const char *folder, gqe_error *error)
{
	const struct routes_options *options = reading->options;
	const struct routes_origin origin = {
		.model_folder = folder,
		.device = gqe_context_device(reading->context),
		.dtype = (gqe_dtype)options->dtype,
		.shown = options->shown,
	};
	gqe_status status = GQE_OK;
	if (options->plot)
		status = routes_write_plot(&reading->routes, &origin, options->plot, error);
	if (status == GQE_OK && options->html)
		status = routes_write_page(&reading->routes, &origin, options->html, error);
	if (status != GQE_OK)
		return status;
	if (!reading->program->json)
		routes_print(&reading->routes, &origin);
	else if (program_print_json(reading->program, routes_json(&reading->routes, &origin)) != GQE_OK)
		return error_no_memory(error);
	return GQE_OK;
}

static gqe_status check_options(const struct routes_options *options, gqe_error *error)
{
	const struct prompt_source *prompt = &options->prompt;
	const int sources = (prompt->text != NULL) + (prompt->text_file != NULL) + (prompt->tokens_file != NULL);
	if (sources != 1)
		return error_set(error, GQE_ERROR_USAGE, "give %s of --prompt, --prompt-file and --tokens",
				 sources ? "only one" : "one");
	gqe_status status = options->plot ? program_check_writable("--plot", options->plot, error) : GQE_OK;
	if (status == GQE_OK && options->html)
		status = program_check_writable("--html", options->html, error);
	return status;
}

gqe_status cmd_routes(int argc, char **argv)
{
	struct program program = {.command = "routes"};
	struct routes_options options = {.dtype = GQE_DTYPE_F32, .shown = 256};
	const char *model = NULL;
	const struct option_group groups[] = {{"Text and model", routes_options, &options},
					      {"Common options", program_options, &program}};
	const struct command_line line = {
		.command = "routes",
		.synopsis = "MODEL (--prompt TEXT | --prompt-file F | --tokens F) [--plot F.png] [--html F.html] [OPTIONS]",
		.description =
			"Reads a text with a GQE model and shows what its router did: how even the experts' shares are, in every "
			"layer\n"
			"and group, how far the token alone decides, which tokens choose alike, and a map of experts over tokens.",
		.groups = groups,
		.group_count = 2,
		.operand_name = "MODEL",
		.operand = &model,
	};
	enum parse_result parsed = command_line_parse(&line, argc, argv);
	if (parsed != PARSE_OK)
		return parsed == PARSE_HELP ? GQE_OK : GQE_ERROR_USAGE;

	gqe_error error = {0};
	struct reading reading = {.program = &program, .options = &options};
	interrupt_watch();
	gqe_status status = check_options(&options, &error);
	if (status == GQE_OK)
		status = open_session(&reading, model, &error);
	if (status == GQE_OK)
		status = read_text(&reading, &error);
	if (status == GQE_OK)
		status = program_check_validation(&program, reading.context, &error);
	if (status == GQE_OK)
		status = report(&reading, model, &error);
	if (status != GQE_OK)
		program_fail(&program, &error);
	routes_free(&reading.routes);
	gqe_session_destroy(&reading.session);
	gqe_model_destroy(&reading.model);
	gqe_context_destroy(&reading.context);
	gqe_model_files_destroy(&reading.files);
	free(reading.tokens);
	return status;
}
