/* gqe compare: records of gqe report side by side. */
#include "commands.h"

#include "compare.h"

#include <stdlib.h>

struct options {
	const char *baseline, *plot, *html;
	uint32_t tolerance; /* percent */
	int format, clock;
	bool all_paths, json;
};

static const struct option_choice format_choices[] = {
	{"table", COMPARE_TABLE}, {"md", COMPARE_MARKDOWN}, {"csv", COMPARE_CSV}, {"json", COMPARE_JSON}, {0}};
static const struct option_choice clock_choices[] = {
	{"gpu", BENCH_CLOCK_GPU}, {"wall", BENCH_CLOCK_WALL}, {"cpu", BENCH_CLOCK_CPU}, {0}};

#define AT(field) offsetof(struct options, field)
static const struct option compare_options[] = {
	{"--baseline", 0, "F.json", OPTION_TEXT, AT(baseline), 0, 0, NULL,
	 "an older record, perhaps of other kernels; exit code 7 when another is slower than it, or wrong"},
	{"--tolerance", 0, "PERCENT", OPTION_NUMBER, AT(tolerance), 1, 1000, NULL, "differences that do not count (default: 5)"},
	{"--all-paths", 0, NULL, OPTION_FLAG, AT(all_paths), 0, 0, NULL,
	 "every kernel path, not only the one that each device prefers"},
	{"--clock", 0, "CLOCK", OPTION_CHOICE, AT(clock), 0, 0, clock_choices,
	 "gpu, wall, or cpu (default: cpu when all are CPU drivers, else gpu)"},
	{"--format", 0, "FORMAT", OPTION_CHOICE, AT(format), 0, 0, format_choices, "table, md, csv or json (default: table)"},
	{"--json", 0, NULL, OPTION_FLAG, AT(json), 0, 0, NULL, "the same as --format json"},
	{"--plot", 0, "F.png", OPTION_TEXT, AT(plot), 0, 0, NULL, "write pictures as PNG"},
	{"--html", 0, "F.html", OPTION_TEXT, AT(html), 0, 0, NULL, "write everything as one page that needs no network"},
	{0},
};
#undef AT

static gqe_status print(const struct comparison *comparison, const struct program *program, enum compare_format format,
			gqe_error *error)
{
	if (format == COMPARE_JSON)
		return program_print_json(program, compare_json(comparison)) == GQE_OK ? GQE_OK : error_no_memory(error);
	struct text_buffer text = {0};
	compare_append(comparison, format, &text);
	if (text.failed)
		error_no_memory(error);
	else
		fputs(text.text, stdout);
	const gqe_status status = text.failed ? GQE_ERROR_OUT_OF_MEMORY : GQE_OK;
	text_buffer_free(&text);
	return status;
}

/*
 * Whether what was held against the baseline passes, said in a line for people. What could not be judged has not passed: a record
 * that computes wrong results is as bad as a slow one, and one that has nothing in common with the baseline says nothing.
 */
static gqe_status pass(const struct comparison *comparison, uint32_t tolerance)
{
	gqe_status status = GQE_OK;
	for (size_t c = 1; c < comparison->column_count; c++) {
		const struct compare_column *column = &comparison->columns[c];
		uint32_t failed;
		if (!column->marked[0])
			continue;
		fprintf(stderr, "gqe compare: %s is not judged: %s\n", column->label, column->marked);
		if (record_cases(column->record, &failed) == 0 || failed > 0 || !column->record->selftest_done)
			status = GQE_ERROR_VERIFICATION;
		else if (status == GQE_OK)
			status = GQE_ERROR_BAD_INPUT;
	}
	if (comparison->regressions > 0) {
		fprintf(stderr, "gqe compare: %zu step%s slower than the baseline by more than %u%%\n", comparison->regressions,
			comparison->regressions == 1 ? " is" : "s are", tolerance);
		return GQE_ERROR_VERIFICATION;
	}
	if (status == GQE_OK && comparison->judged == 0) {
		fprintf(stderr, "gqe compare: no step could be judged: no record has enough rounds of what both measured\n");
		return GQE_ERROR_BAD_INPUT;
	}
	return status;
}

static gqe_status compare_and_write(const struct options *options, const struct program *program, const struct record *records,
				    const char *const *paths, size_t count, gqe_error *error)
{
	struct comparison comparison = {0};
	const struct compare_options how = {
		.clock = (enum bench_clock)options->clock,
		.tolerance = 0.01 * options->tolerance,
		.all_paths = options->all_paths,
		.is_baseline = options->baseline != NULL,
	};
	gqe_status status = compare_records(&comparison, records, paths, count, &how, error);
	if (status == GQE_OK && options->plot)
		status = compare_write_plot(&comparison, options->plot, error);
	if (status == GQE_OK && options->html)
		status = compare_write_page(&comparison, options->html, error);
	if (status == GQE_OK)
		status = print(&comparison, program, (enum compare_format)options->format, error);
	if (status != GQE_OK)
		program_fail(program, error);
	else if (options->baseline)
		status = pass(&comparison, options->tolerance);
	comparison_free(&comparison);
	return status;
}

static gqe_status check_files(const struct options *options, gqe_error *error)
{
	gqe_status status = options->plot ? program_check_writable("--plot", options->plot, error) : GQE_OK;
	if (status == GQE_OK && options->html)
		status = program_check_writable("--html", options->html, error);
	return status;
}

gqe_status cmd_compare(int argc, char **argv)
{
	struct program program = {.command = "compare"};
	struct options options = {.tolerance = 5, .format = COMPARE_TABLE};
	/* The baseline, when there is one, comes first. */
	const char *paths[COMPARE_MOST_RECORDS] = {NULL};
	size_t count = 0;
	const struct option_group groups[] = {{"Comparison", compare_options, &options}};
	const struct command_line line = {
		.command = "compare",
		.synopsis = "A.json [B.json ...] [--baseline F.json] [--html F.html] [OPTIONS]",
		.description =
			"Compares records that 'gqe report' wrote, on any machine: GQE against dense GQA on each device, the "
			"devices with\n"
			"each other, and each with its own limits. Records that may not be compared are marked and not judged.",
		.groups = groups,
		.group_count = 1,
		.operand_name = "A.json",
		.operand = paths + 1,
		.most_operands = COMPARE_MOST_RECORDS - 1,
		.operand_count = &count,
	};
	enum parse_result parsed = command_line_parse(&line, argc, argv);
	if (parsed != PARSE_OK)
		return parsed == PARSE_HELP ? GQE_OK : GQE_ERROR_USAGE;
	if (options.json)
		options.format = COMPARE_JSON;
	program.json = options.format == COMPARE_JSON;
	paths[0] = options.baseline;
	const char *const *first = options.baseline ? paths : paths + 1;
	count += options.baseline != NULL;

	gqe_error error = {0};
	struct record records[COMPARE_MOST_RECORDS] = {0};
	gqe_status status = check_files(&options, &error);
	for (size_t i = 0; i < count && status == GQE_OK; i++)
		status = record_read(first[i], &records[i], &error);
	if (status == GQE_OK)
		status = compare_and_write(&options, &program, records, first, count, &error);
	else
		program_fail(&program, &error);
	for (size_t i = 0; i < count; i++)
		record_free(&records[i]);
	return status;
}
