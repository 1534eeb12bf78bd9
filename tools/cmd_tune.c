/* gqe tune: measures on the device which tiles its kernels are fastest with, and remembers it. */
#include "commands.h"

#include "program.h"
#include "interrupt.h"
#include "terminal.h"

#include <gqe/gqe_tune.h>

struct tune_options {
	const char *config;
	uint32_t budget;
	int dtype;
};

#define AT(field) offsetof(struct tune_options, field)
static const struct option tune_options[] = {
	{"--budget", 0, "SECONDS", OPTION_NUMBER, AT(budget), 1, 86400, NULL, "how long to measure (default: 60)"},
	{"--config", 0, "C", OPTION_TEXT, AT(config), 0, 0, NULL,
	 "config.json of the layer or model to tune for (default: the paper's layer, d 1024, 16 experts, 8 groups, d_h 64)"},
	{"--dtype", 0, "f32|f16", OPTION_CHOICE, AT(dtype), 0, 0, dtype_choices,
	 "type of weights and KV cache (default: both, where the device has them)"},
	{0},
};
#undef AT

/* The layout of the paper's experiments. */
static const gqe_layer_config paper_layer = {
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

struct tuning_report {
	const struct program *program;
	struct progress progress;
	cJSON *results;
	uint32_t count, faster;
};

static bool on_progress(void *user, double done, double total)
{
	struct tuning_report *report = user;
	progress_draw(&report->progress, done / total);
	return !interrupt_seen();
}

/* "more than 64 rows", "2 to 64 rows", "1 row" */
static void describe_work(const gqe_tune_result *result, char *text, size_t size)
{
	if (result->up_to == 0)
		snprintf(text, size, "over %u", result->above);
	else if (result->above + 1 == result->up_to)
		snprintf(text, size, "%u", result->up_to);
	else
		snprintf(text, size, "%u-%u", result->above + 1, result->up_to);
}

static void describe_tile(const gqe_tile_info *tile, char *text, size_t size)
{
	if (tile->subgroup > 1)
		snprintf(text, size, "%ux%u/%u", tile->rows, tile->columns, tile->subgroup);
	else
		snprintf(text, size, "%ux%u/%u", tile->rows, tile->columns, tile->workgroup);
}

static void add_tile(cJSON *object, const char *name, const gqe_tile_info *tile, double ms)
{
	cJSON *entry = cJSON_AddObjectToObject(object, name);
	cJSON_AddNumberToObject(entry, "workgroup", tile->workgroup);
	cJSON_AddNumberToObject(entry, "subgroup", tile->subgroup);
	cJSON_AddNumberToObject(entry, "rows", tile->rows);
	cJSON_AddNumberToObject(entry, "columns", tile->columns);
	json_add_number(entry, "ms", ms);
}

static void add_json(struct tuning_report *report, const gqe_tune_result *result)
{
	cJSON *object = cJSON_CreateObject();
	cJSON_AddStringToObject(object, "kernel", result->kernel);
	cJSON_AddStringToObject(object, "path", gqe_path_name(result->path));
	cJSON_AddStringToObject(object, "dtype", gqe_dtype_name(result->dtype));
	cJSON_AddNumberToObject(object, "head_dim", result->head_dim);
	cJSON_AddNumberToObject(object, "above", result->above);
	cJSON_AddNumberToObject(object, "up_to", result->up_to);
	cJSON_AddNumberToObject(object, "candidates", result->candidates);
	cJSON_AddNumberToObject(object, "rejected", result->rejected);
	if (result->queries_before != 0) {
		cJSON_AddStringToObject(object, "queries_before", gqe_query_mode_name(result->queries_before));
		cJSON_AddStringToObject(object, "queries_after", gqe_query_mode_name(result->queries_after));
	}
	add_tile(object, "before", &result->before, result->before_ms);
	add_tile(object, "after", &result->after, result->after_ms);
	cJSON_AddItemToArray(report->results, object);
}

static void on_result(void *user, const gqe_tune_result *result)
{
	struct tuning_report *report = user;
	double gain = result->after_ms > 0 ? result->before_ms / result->after_ms : 1;
	char work[32], before[32], after[32];
	report->count++;
	report->faster += gain > 1;
	if (report->program->json) {
		add_json(report, result);
		return;
	}
	progress_end(&report->progress);
	describe_work(result, work, sizeof(work));
	if (result->queries_before != 0) {
		snprintf(before, sizeof(before), "%s", gqe_query_mode_name(result->queries_before));
		snprintf(after, sizeof(after), "%s", gqe_query_mode_name(result->queries_after));
	} else {
		describe_tile(&result->before, before, sizeof(before));
		describe_tile(&result->after, after, sizeof(after));
	}
	printf("  %-14s %-9s %-4s %9s  %-9s %9.3f ms  %-9s %9.3f ms  %5.2f  %u\n", result->kernel, gqe_path_name(result->path),
	       gqe_dtype_name(result->dtype), work, before, result->before_ms, after, result->after_ms, gain, result->candidates);
	fflush(stdout);
}

static void begin_report(const gqe_device_info *device)
{
	printf("%s%s%s (%s %s)\nTiles: rows x columns / lanes. Times are medians of samples taken in turn.\n"
	       "  %-14s %-9s %-4s %9s  %-9s %12s  %-9s %12s  %5s  %s\n",
	       style(stdout, STYLE_BOLD), device->name, style(stdout, STYLE_PLAIN), device->driver_name, device->driver_info,
	       "kernel", "path", "type", "rows", "ours", "", "measured", "", "gain", "tried");
}

static void end_report(struct tuning_report *report, const gqe_context *context, bool stored)
{
	progress_end(&report->progress);
	if (!report->program->json) {
		printf("%u of %u faster; %s\n", report->faster, report->count,
		       stored ? "stored, and used by every run on this device from now on"
			      : "not stored: there is no cache folder to write to");
		return;
	}
	cJSON *document = cJSON_CreateObject();
	cJSON_AddItemToObject(document, "device", json_device(gqe_context_device(context)));
	cJSON_AddBoolToObject(document, "stored", stored);
	cJSON_AddItemToObject(document, "results", report->results);
	report->results = NULL;
	program_print_json(report->program, document);
}

static gqe_status tune(const struct program *program, const struct tune_options *options, struct tuning_report *report,
		       gqe_error *error)
{
	gqe_layer_config config = paper_layer;
	gqe_context *context = NULL;
	bool stored = false;
	gqe_status status = GQE_OK;
	if (options->config)
		status = gqe_layer_config_read(options->config, &config, error);
	if (status == GQE_OK)
		status = program_context(program, &context, error);
	if (status == GQE_OK && !gqe_context_device(context))
		status = error_set(error, GQE_ERROR_USAGE, "the reference has no tiles to tune; choose a Vulkan device");
	if (status != GQE_OK) {
		gqe_context_destroy(&context);
		return status;
	}
	if (!program->json)
		begin_report(gqe_context_device(context));
	interrupt_watch();
	const gqe_tune_params params = {
		.size = sizeof(params),
		.config = &config,
		.dtype = (gqe_dtype)options->dtype,
		.budget_seconds = options->budget,
		.on_result = on_result,
		.progress = on_progress,
		.user = report,
	};
	report->progress = progress_begin("tune", !program->json);
	status = gqe_tune(context, &params, &stored, error);
	interrupt_unwatch();
	if (status == GQE_OK)
		status = program_check_validation(program, context, error);
	if (status == GQE_OK)
		end_report(report, context, stored);
	else
		progress_end(&report->progress);
	gqe_context_destroy(&context);
	return status;
}

gqe_status cmd_tune(int argc, char **argv)
{
	struct program program = {.command = "tune"};
	struct tune_options options = {.budget = 60};
	const struct option_group groups[] = {{"Tune", tune_options, &options}, {"Common options", program_options, &program}};
	const struct command_line line = {
		.command = "tune",
		.synopsis = "[--budget SECONDS] [--config C] [OPTIONS]",
		.description =
			"Measures on the device which tiles and modes its kernels are fastest with, checks the winners against the "
			"reference,\n"
			"and stores them in the cache folder: every later run on this device and driver uses them. Ctrl-C "
			"stops, and\n"
			"keeps what is finished.",
		.groups = groups,
		.group_count = 2,
	};
	enum parse_result parsed = command_line_parse(&line, argc, argv);
	if (parsed != PARSE_OK)
		return parsed == PARSE_HELP ? GQE_OK : GQE_ERROR_USAGE;
	gqe_error error = {0};
	struct tuning_report report = {.program = &program, .results = cJSON_CreateArray()};
	gqe_status status = tune(&program, &options, &report, &error);
	if (status != GQE_OK)
		program_fail(&program, &error);
	cJSON_Delete(report.results);
	return status;
}
