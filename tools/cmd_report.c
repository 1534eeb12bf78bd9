/* gqe report: everything about a device's speed, as one record for gqe compare. */
#include "commands.h"

#include "interrupt.h"
#include "platform.h"
#include "report.h"
#include "text_buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { QUICK_SECONDS = 60, FULL_SECONDS = 900 };
#define DEFAULT_MODEL "models/gqe-2m"
#define DEFAULT_PROMPT "models/heldout.txt"

struct report_options {
	bool quick, full;
	const char *out, *model, *prompt_file;
	uint32_t seconds;
};

#define AT(field) offsetof(struct report_options, field)
static const struct option report_options[] = {
	{"--out", 'o', "F.json", OPTION_TEXT, AT(out), 0, 0, NULL, "the file to write"},
	{"--quick", 0, NULL, OPTION_FLAG, AT(quick), 0, 0, NULL, "in about a minute (the default)"},
	{"--full", 0, NULL, OPTION_FLAG, AT(full), 0, 0, NULL, "longer contexts, more samples; at most a quarter of an hour"},
	{"--seconds", 0, "S", OPTION_NUMBER, AT(seconds), 1, 86400, NULL, "another time than those"},
	{"--model", 0, "DIR", OPTION_TEXT, AT(model), 0, 0, NULL,
	 "model to run end to end (default: " DEFAULT_MODEL ", where it is)"},
	{"--prompt-file", 0, "F", OPTION_TEXT, AT(prompt_file), 0, 0, NULL, "what it reads (default: " DEFAULT_PROMPT ")"},
	{0},
};
#undef AT

static gqe_status write_record(const struct record *record, const char *path, gqe_error *error)
{
	cJSON *document = record_to_json(record);
	char *text = document ? cJSON_PrintUnformatted(document) : NULL;
	cJSON_Delete(document);
	if (!text)
		return error_no_memory(error);
	gqe_status status = GQE_OK;
	if (!text_write_file(path, text, strlen(text)))
		status = error_set(error, GQE_ERROR_INTERNAL, "cannot write '%s': %s", path, strerror(errno));
	cJSON_free(text);
	return status;
}

static void print_summary(const struct record *record, const char *path)
{
	uint32_t failed;
	const uint32_t cases = record_cases(record, &failed);
	printf("%s\n  device     %s (%s %s)\n  self-test  %u of %u cases passed\n  measured   %zu entries, %zu peaks, %zu model "
	       "runs in %.0f s%s\n",
	       path, record->device.name, record->device.driver, record->device.driver_info, cases - failed, cases,
	       record->entry_count, record->peak_count, record->model_count, record->seconds,
	       record->complete ? "" : " (cancelled)");
	for (size_t i = 0; i < record->skip_count; i++)
		printf("  left out   %s: %s\n", record->skips[i].what, record->skips[i].reason);
}

static gqe_status measure_and_write(struct report *report, const char *out, gqe_error *error)
{
	interrupt_watch();
	gqe_status status = report_measure(report, error);
	interrupt_unwatch();
	if (status != GQE_OK && status != GQE_CANCELLED)
		return status;
	gqe_error write_error = {0};
	gqe_status written = write_record(report->record, out, &write_error);
	if (written != GQE_OK)
		return *error = write_error, written;
	if (!report->program->json)
		print_summary(report->record, out);
	else if (program_print_json(report->program, record_to_json(report->record)) != GQE_OK)
		return error_no_memory(error);
	return status;
}

static gqe_status check_options(const struct report_options *options, gqe_error *error)
{
	if (!options->out)
		return error_set(error, GQE_ERROR_USAGE, "-o FILE.json is missing");
	if (options->quick && options->full)
		return error_set(error, GQE_ERROR_USAGE, "give only one of --quick and --full");
	return program_check_writable("--out", options->out, error);
}

static bool is_readable(const char *path)
{
	FILE *file = file_open(path, "rb");
	if (file)
		fclose(file);
	return file != NULL;
}

/* The demo model is used where it is, and not missed elsewhere; a model that was asked for must be there. */
static void choose_model(const struct report_options *options, struct report *report)
{
	report->model_folder = options->model;
	report->prompt_file = options->prompt_file ? options->prompt_file : DEFAULT_PROMPT;
	if (!options->model && is_readable(DEFAULT_MODEL "/config.json") && is_readable(report->prompt_file))
		report->model_folder = DEFAULT_MODEL;
}

gqe_status cmd_report(int argc, char **argv)
{
	struct program program = {.command = "report"};
	struct report_options options = {0};
	const struct option_group groups[] = {{"Report", report_options, &options}, {"Common options", program_options, &program}};
	const struct command_line line = {
		.command = "report",
		.synopsis = "[--quick | --full] -o FILE.json [OPTIONS]",
		.description =
			"Measures a device for 'gqe compare': the self-test, peaks, layers, attention and projections of GQE and "
			"dense\n"
			"GQA on every path and in every dtype it has, and a model end to end. Ctrl-C keeps what was measured.",
		.groups = groups,
		.group_count = 2,
	};
	enum parse_result parsed = command_line_parse(&line, argc, argv);
	if (parsed != PARSE_OK)
		return parsed == PARSE_HELP ? GQE_OK : GQE_ERROR_USAGE;

	gqe_error error = {0};
	struct record record = {0};
	struct report report = {.program = &program, .full = options.full, .record = &record};
	report.budget = options.seconds ? options.seconds : options.full ? FULL_SECONDS : QUICK_SECONDS;
	choose_model(&options, &report);
	gqe_status status = check_options(&options, &error);
	if (status == GQE_OK)
		status = measure_and_write(&report, options.out, &error);
	if (status == GQE_CANCELLED && record.schema_version)
		fprintf(stderr, "gqe report: cancelled; what was measured is in '%s'\n", options.out);
	else if (status != GQE_OK)
		program_fail(&program, &error);
	record_free(&record);
	return status;
}
