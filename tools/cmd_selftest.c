/* gqe selftest: every kernel of every path against the reference. */
#include "commands.h"

#include "program.h"
#include "terminal.h"

#include <string.h>

struct selftest_options {
	uint64_t seed;
	uint32_t cases, max_tokens;
	const char *kernel;
};

#define AT(field) offsetof(struct selftest_options, field)
static const struct option selftest_options[] = {
	{"--seed", 0, "S", OPTION_SEED, AT(seed), 0, 0, NULL, "draws other shapes and values (default: a fixed seed)"},
	{"--cases", 0, "N", OPTION_NUMBER, AT(cases), 1, 100000, NULL,
	 "random shapes for each kernel, path and dtype (default: 4)"},
	{"--max-tokens", 0, "T", OPTION_NUMBER, AT(max_tokens), 1, 1 << 20, NULL, "the largest T drawn (default: 300)"},
	{"--kernel", 0, "K", OPTION_TEXT, AT(kernel), 0, 0, NULL, "only this kernel (default: all)"},
	{0},
};
#undef AT

/* The cases of one kernel, path and dtype, which arrive one after another. */
struct summary {
	const struct program *program;
	char kernel[64];
	gqe_path path;
	gqe_dtype dtype;
	uint32_t cases, failed;
	double worst_ratio, worst_error, worst_tolerance; /* the case whose error is the largest part of its tolerance */
	uint32_t all_cases, all_failed;
	cJSON *document_cases;
};

static void print_row(struct summary *summary)
{
	if (summary->cases && !summary->program->json) {
		printf("  %-16s %-9s %-4s %5u %8.1e of %-8.1e %s\n", summary->kernel, gqe_path_name(summary->path),
		       gqe_dtype_name(summary->dtype), summary->cases, summary->worst_error, summary->worst_tolerance,
		       summary->failed ? "FAILED" : "ok");
		fflush(stdout);
	}
	summary->cases = summary->failed = 0;
	summary->worst_ratio = -1;
}

static void add_json(struct summary *summary, const gqe_selftest_case *result)
{
	cJSON *object = cJSON_CreateObject();
	cJSON_AddStringToObject(object, "kernel", result->kernel);
	cJSON_AddStringToObject(object, "path", gqe_path_name(result->path));
	cJSON_AddStringToObject(object, "dtype", gqe_dtype_name(result->dtype));
	cJSON_AddStringToObject(object, "shape", result->shape);
	cJSON_AddBoolToObject(object, "passed", result->passed);
	json_add_number(object, "error", result->error);
	json_add_number(object, "tolerance", result->tolerance);
	if (!result->passed)
		cJSON_AddStringToObject(object, "detail", result->detail);
	cJSON_AddItemToArray(summary->document_cases, object);
}

static void on_case(void *user, const gqe_selftest_case *result)
{
	struct summary *summary = user;
	if (strcmp(summary->kernel, result->kernel) != 0 || summary->path != result->path || summary->dtype != result->dtype)
		print_row(summary);
	snprintf(summary->kernel, sizeof(summary->kernel), "%s", result->kernel);
	summary->path = result->path;
	summary->dtype = result->dtype;
	summary->cases++;
	summary->all_cases++;
	double ratio = result->tolerance > 0 ? result->error / result->tolerance : result->error;
	if (!(ratio <= summary->worst_ratio)) { /* NaN counts as the worst */
		summary->worst_ratio = ratio;
		summary->worst_error = result->error;
		summary->worst_tolerance = result->tolerance;
	}
	if (!result->passed) {
		summary->failed++;
		summary->all_failed++;
	}
	if (!result->passed || summary->program->verbose)
		fprintf(stderr, "%s: %s %s %s, %s: error %.2e of %.2e%s%s\n", result->passed ? "ok" : "FAILED", result->kernel,
			gqe_path_name(result->path), gqe_dtype_name(result->dtype), result->shape, result->error, result->tolerance,
			result->detail[0] ? "; " : "", result->detail);
	if (summary->program->json)
		add_json(summary, result);
}

static void begin_report(const struct program *program, const gqe_device_info *device)
{
	if (program->json)
		return;
	printf("%s%s%s (%s %s)\n  %-16s %-9s %-4s %5s %s\n", style(stdout, STYLE_BOLD), device ? device->name : "reference",
	       style(stdout, STYLE_PLAIN), device ? device->driver_name : "", device ? device->driver_info : "", "kernel", "path",
	       "type", "cases", "worst error");
}

static gqe_status end_report(struct summary *summary, const gqe_device_info *device)
{
	print_row(summary);
	if (!summary->program->json) {
		printf("%u of %u cases passed\n", summary->all_cases - summary->all_failed, summary->all_cases);
		return GQE_OK;
	}
	cJSON *document = cJSON_CreateObject();
	cJSON_AddItemToObject(document, "device", json_device(device));
	cJSON_AddNumberToObject(document, "passed", summary->all_cases - summary->all_failed);
	cJSON_AddNumberToObject(document, "failed", summary->all_failed);
	cJSON_AddItemToObject(document, "cases", summary->document_cases);
	summary->document_cases = NULL;
	return program_print_json(summary->program, document);
}

gqe_status cmd_selftest(int argc, char **argv)
{
	struct program program = {.command = "selftest"};
	struct selftest_options options = {0};
	const struct option_group groups[] = {{"Self-test", selftest_options, &options},
					      {"Common options", program_options, &program}};
	const struct command_line line = {
		.command = "selftest",
		.synopsis = "[--seed S] [--cases N] [--kernel K] [OPTIONS]",
		.description =
			"Runs every kernel of every path that the device gets, alone, on random shapes against the C reference,\n"
			"with poisoned outputs and guard bands around every buffer.",
		.groups = groups,
		.group_count = 2,
	};
	enum parse_result parsed = command_line_parse(&line, argc, argv);
	if (parsed != PARSE_OK)
		return parsed == PARSE_HELP ? GQE_OK : GQE_ERROR_USAGE;

	gqe_error error = {0};
	gqe_context *context = NULL;
	gqe_status status = program_context(&program, &context, &error);
	if (status != GQE_OK)
		return program_fail(&program, &error);
	const gqe_device_info *device = gqe_context_device(context);
	struct summary summary = {.program = &program, .document_cases = cJSON_CreateArray(), .worst_ratio = -1};
	gqe_selftest_params params = {.size = sizeof(params),
				      .seed = options.seed,
				      .cases = options.cases,
				      .max_tokens = options.max_tokens,
				      .kernel = options.kernel,
				      .on_case = on_case,
				      .user = &summary,
				      .path = (gqe_path)program.path};
	if (device)
		begin_report(&program, device);
	status = gqe_selftest(context, &params, &error);
	if (status == GQE_OK)
		status = program_check_validation(&program, context, &error);
	if (summary.all_cases > 0 && (status == GQE_OK || status == GQE_ERROR_VERIFICATION)) {
		gqe_status printed = end_report(&summary, device);
		if (status == GQE_OK)
			status = printed;
		else
			fprintf(stderr, "gqe selftest: %s\n", error.message);
	} else if (status != GQE_OK) {
		program_fail(&program, &error);
	}
	cJSON_Delete(summary.document_cases);
	gqe_context_destroy(&context);
	return status;
}
