/*
 * Judges what compile-pipelines found and writes it down:
 *
 *   report-pipelines EXCEPTIONS OUT-FOLDER TARGET.json...
 *
 * makes pipelines.json and pipelines.md (everything) and summary.md (what docs/drivers.md shows) in OUT-FOLDER, names each fault on
 * standard error, and fails when there is one that EXCEPTIONS does not list, or when EXCEPTIONS lists one that is gone.
 *
 *   report-pipelines --candidates OUT-FOLDER TARGET.json...
 *
 * makes candidates.md of what compile-pipelines --candidates found, for choosing the rows of the tile table: nothing is judged.
 *
 * A line of EXCEPTIONS:  TARGET KERNEL PATH WEIGHTS HEAD_DIM ROWS FAULT | reason | link     (a field may be *; # begins a comment)
 */
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNTOLD (-1.0)

/* What the drivers tell of a pipeline, by one set of names; UNTOLD where a driver is silent. */
struct facts {
	double registers, spills, scratch, shared, waves, instructions, cycles;
};

/* Several statistics of one driver may add up to one fact. */
static const struct {
	const char *statistic;
	size_t fact;
} statistics[] = {
	/* RADV 25.0 */
	{"VGPRs", offsetof(struct facts, registers)},
	{"Spilled SGPRs", offsetof(struct facts, spills)},
	{"Spilled VGPRs", offsetof(struct facts, spills)},
	{"Scratch size", offsetof(struct facts, scratch)},
	{"LDS size", offsetof(struct facts, shared)},
	{"Subgroups per SIMD", offsetof(struct facts, waves)},
	{"Instructions", offsetof(struct facts, instructions)},
	{"Inverse Throughput", offsetof(struct facts, cycles)},
	/* ANV 25.0, and the names that 26.1 changed */
	{"Max live registers", offsetof(struct facts, registers)},
	{"Spill Count", offsetof(struct facts, spills)},
	{"Fill Count", offsetof(struct facts, spills)},
	{"Scratch Memory Size", offsetof(struct facts, scratch)},
	{"Workgroup Memory Size", offsetof(struct facts, shared)},
	{"Instruction Count", offsetof(struct facts, instructions)},
	{"Cycle Count", offsetof(struct facts, cycles)},
	{"Spills", offsetof(struct facts, spills)},
	{"Fills", offsetof(struct facts, spills)},
	{"Cycles", offsetof(struct facts, cycles)},
	/* NVK 25.0 and 26.1; its SLM is memory of a thread, where spills go */
	{"Number of GPRs", offsetof(struct facts, registers)},
	{"SLM Size", offsetof(struct facts, scratch)},
	{"Instruction count", offsetof(struct facts, instructions)},
	{"SLM size", offsetof(struct facts, scratch)},
	{"Spills to memory", offsetof(struct facts, spills)},
	{"Fills from memory", offsetof(struct facts, spills)},
	{"Max warps/SM", offsetof(struct facts, waves)},
	{"Static cycle count", offsetof(struct facts, cycles)},
};

struct exception {
	char fields[7][64]; /* target, kernel, path, weights, head_dim, rows, fault */
	char text[512];
	bool is_needed;
};

struct report {
	cJSON *targets; /* the documents of compile-pipelines, judged */
	struct exception exceptions[256];
	size_t exception_count;
	unsigned faults, excepted;
};

static const char *text_of(const cJSON *object, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
	return text != NULL ? text : "";
}

static double number_of(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
	return cJSON_IsNumber(item) ? item->valuedouble : UNTOLD;
}

static struct facts facts_of(const cJSON *executable)
{
	struct facts facts = {UNTOLD, UNTOLD, UNTOLD, UNTOLD, UNTOLD, UNTOLD, UNTOLD};
	const cJSON *values = cJSON_GetObjectItemCaseSensitive(executable, "statistics");
	for (size_t i = 0; i < sizeof(statistics) / sizeof(statistics[0]); i++) {
		double value = number_of(values, statistics[i].statistic);
		double *fact = (double *)((char *)&facts + statistics[i].fact);
		if (value != UNTOLD)
			*fact = (*fact == UNTOLD ? 0 : *fact) + value;
	}
	return facts;
}

/* Two pipelines made of the same SPIR-V with the same constants, on whatever target. */
static bool same_pipeline(const cJSON *a, const cJSON *b)
{
	static const char *const texts[] = {"kernel", "path", "weights"};
	static const char *const numbers[] = {"head_dim", "workgroup", "subgroup", "rows", "columns"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(text_of(a, texts[i]), text_of(b, texts[i])) != 0)
			return false;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (number_of(a, numbers[i]) != number_of(b, numbers[i]))
			return false;
	return true;
}

/* What another target's driver says of the shared memory: it follows from the SPIR-V. */
static double shared_elsewhere(const struct report *report, const cJSON *pipeline)
{
	const cJSON *target, *other;
	cJSON_ArrayForEach(target, report->targets) {
		cJSON_ArrayForEach(other, cJSON_GetObjectItemCaseSensitive(target, "pipelines")) {
			const cJSON *executables = cJSON_GetObjectItemCaseSensitive(other, "executables");
			struct facts facts = facts_of(cJSON_GetArrayItem(executables, 0));
			if (same_pipeline(pipeline, other) && facts.shared != UNTOLD)
				return facts.shared;
		}
	}
	return UNTOLD;
}

static bool is_excepted(struct report *report, const cJSON *target, const cJSON *pipeline, const char *fault)
{
	char head_dim[32], rows[32];
	snprintf(head_dim, sizeof(head_dim), "%.0f", number_of(pipeline, "head_dim"));
	snprintf(rows, sizeof(rows), "%.0f", number_of(pipeline, "rows"));
	const char *const fields[7] = {text_of(target, "target"),
				       text_of(pipeline, "kernel"),
				       text_of(pipeline, "path"),
				       text_of(pipeline, "weights"),
				       head_dim,
				       rows,
				       fault};
	bool found = false;
	for (size_t e = 0; e < report->exception_count; e++) {
		struct exception *exception = &report->exceptions[e];
		bool fits = true;
		for (int f = 0; f < 7; f++)
			fits &= strcmp(exception->fields[f], "*") == 0 || strcmp(exception->fields[f], fields[f]) == 0;
		exception->is_needed |= fits;
		found |= fits;
	}
	return found;
}

/* `fault` is one word, by which an exception names it. */
static void add_fault(struct report *report, const cJSON *target, cJSON *pipeline, const char *fault, const char *detail)
{
	bool excepted = is_excepted(report, target, pipeline, fault);
	cJSON *entry = cJSON_CreateObject();
	cJSON_AddStringToObject(entry, "fault", fault);
	cJSON_AddStringToObject(entry, "detail", detail);
	cJSON_AddBoolToObject(entry, "is_excepted", excepted);
	if (!cJSON_HasObjectItem(pipeline, "faults"))
		cJSON_AddArrayToObject(pipeline, "faults");
	cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(pipeline, "faults"), entry);
	report->excepted += excepted;
	report->faults += !excepted;
	if (!excepted)
		fprintf(stderr, "%s: %s %s %s, head size %.0f, tile %.0f x %.0f, workgroup %.0f: %s: %s\n",
			text_of(target, "target"), text_of(pipeline, "kernel"), text_of(pipeline, "path"),
			text_of(pipeline, "weights"), number_of(pipeline, "head_dim"), number_of(pipeline, "rows"),
			number_of(pipeline, "columns"), number_of(pipeline, "workgroup"), fault, detail);
}

static void judge_executable(struct report *report, const cJSON *target, cJSON *pipeline, const cJSON *executable)
{
	char detail[256];
	struct facts facts = facts_of(executable);
	double subgroup = number_of(pipeline, "subgroup");
	if (facts.instructions == UNTOLD || facts.scratch == UNTOLD)
		add_fault(report, target, pipeline, "silent", "the driver does not tell instructions and scratch memory");
	if (facts.spills > 0) {
		snprintf(detail, sizeof(detail), "%.0f spills and fills", facts.spills);
		add_fault(report, target, pipeline, "spill", detail);
	}
	if (facts.scratch > 0) {
		snprintf(detail, sizeof(detail), "%.0f bytes of scratch memory", facts.scratch);
		add_fault(report, target, pipeline, "scratch", detail);
	}
	if (subgroup > 0 && subgroup != number_of(executable, "subgroup_size")) {
		snprintf(detail, sizeof(detail), "needs subgroups of %.0f and got %.0f", subgroup,
			 number_of(executable, "subgroup_size"));
		add_fault(report, target, pipeline, "subgroup", detail);
	}
	double shared = facts.shared != UNTOLD ? facts.shared : shared_elsewhere(report, pipeline);
	if (shared > number_of(target, "shared_memory_bytes")) {
		snprintf(detail, sizeof(detail), "%.0f bytes of shared memory, the limit is %.0f", shared,
			 number_of(target, "shared_memory_bytes"));
		add_fault(report, target, pipeline, "shared", detail);
	}
}

static void judge(struct report *report, const cJSON *target, cJSON *pipeline)
{
	char detail[256];
	if (cJSON_HasObjectItem(pipeline, "error")) {
		add_fault(report, target, pipeline, "compile", text_of(pipeline, "error"));
		return;
	}
	if (number_of(pipeline, "workgroup") > number_of(target, "max_workgroup_invocations")) {
		snprintf(detail, sizeof(detail), "%.0f invocations, the limit is %.0f", number_of(pipeline, "workgroup"),
			 number_of(target, "max_workgroup_invocations"));
		add_fault(report, target, pipeline, "workgroup", detail);
	}
	const cJSON *executables = cJSON_GetObjectItemCaseSensitive(pipeline, "executables"), *executable;
	if (cJSON_GetArraySize(executables) == 0)
		add_fault(report, target, pipeline, "silent", "the driver tells nothing of the pipeline");
	cJSON_ArrayForEach(executable, executables)
		judge_executable(report, target, pipeline, executable);
}

static void judge_all(struct report *report)
{
	cJSON *target, *pipeline;
	cJSON_ArrayForEach(target, report->targets)
		cJSON_ArrayForEach(pipeline, cJSON_GetObjectItemCaseSensitive(target, "pipelines"))
			judge(report, target, pipeline);
	for (size_t e = 0; e < report->exception_count; e++)
		if (!report->exceptions[e].is_needed) {
			fprintf(stderr, "exception no longer needed: %s\n", report->exceptions[e].text);
			report->faults++;
		}
}

/* ---- what is written ---- */

static void write_number(FILE *file, double value)
{
	if (value == UNTOLD)
		fputs(" – |", file);
	else
		fprintf(file, " %.0f |", value);
}

/* Multiply-adds with their companions, innermost loops last: "2048 fma, 263 alu, 48 memory; ...". */
static void write_loops(FILE *file, const cJSON *executable)
{
	static const char *const classes[] = {"matrix", "fma", "alu", "memory", "shared", "barrier", "subgroup"};
	const cJSON *loop;
	bool is_first = true;
	cJSON_ArrayForEach(loop, cJSON_GetObjectItemCaseSensitive(executable, "loops")) {
		fputs(is_first ? " " : "; ", file);
		is_first = false;
		const char *separator = "";
		for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
			if (number_of(loop, classes[i]) > 0) {
				fprintf(file, "%s%.0f %s", separator, number_of(loop, classes[i]), classes[i]);
				separator = ", ";
			}
	}
	fputs(" |\n", file);
}

static const char *const fact_columns = " registers | spills | scratch | shared | waves | instructions | cycles |";

static void write_pipeline(FILE *file, const cJSON *pipeline, bool with_loops)
{
	const cJSON *executable = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(pipeline, "executables"), 0);
	struct facts facts = facts_of(executable);
	fprintf(file, " %.0f × %.0f | %.0f | %.0f |", number_of(pipeline, "rows"), number_of(pipeline, "columns"),
		number_of(pipeline, "workgroup"), number_of(executable, "subgroup_size"));
	const double values[] = {facts.registers, facts.spills,       facts.scratch, facts.shared,
				 facts.waves,     facts.instructions, facts.cycles};
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		write_number(file, values[i]);
	if (with_loops)
		write_loops(file, executable);
	else
		fputc('\n', file);
}

static void write_everything(FILE *file, const struct report *report)
{
	const cJSON *target, *pipeline;
	fputs("# Every pipeline, on every target\n\nWhat each column means stands in docs/drivers.md.\n", file);
	cJSON_ArrayForEach(target, report->targets) {
		fprintf(file, "\n## %s: %s\n\n", text_of(target, "target"), text_of(target, "device"));
		fprintf(file, "| kernel | path | weights | head size | tile | workgroup | subgroup |%s\n", fact_columns);
		fputs("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n", file);
		cJSON_ArrayForEach(pipeline, cJSON_GetObjectItemCaseSensitive(target, "pipelines")) {
			fprintf(file, "| %s | %s | %s | %.0f |", text_of(pipeline, "kernel"), text_of(pipeline, "path"),
				text_of(pipeline, "weights"), number_of(pipeline, "head_dim"));
			write_pipeline(file, pipeline, false);
		}
	}
}

static void write_targets(FILE *file, const struct report *report)
{
	const cJSON *target, *pipeline;
	fputs("| target | device | compiler | pipelines | compiled without spill or scratch |\n|---|---|---|---|---|\n", file);
	cJSON_ArrayForEach(target, report->targets) {
		const cJSON *pipelines = cJSON_GetObjectItemCaseSensitive(target, "pipelines");
		int clean = 0;
		cJSON_ArrayForEach(pipeline, pipelines)
			clean += !cJSON_HasObjectItem(pipeline, "faults");
		fprintf(file, "| %s | %s | %s %s | %d | %d |\n", text_of(target, "target"), text_of(target, "device"),
			text_of(target, "driver"), text_of(target, "driver_info"), cJSON_GetArraySize(pipelines), clean);
	}
}

/* The pipeline that a kernel gets by default for much work, in f16 where the device can read it. */
static const cJSON *hot_pipeline(const cJSON *target, const char *kernel, double head_dim)
{
	const cJSON *pipeline, *best = NULL;
	cJSON_ArrayForEach(pipeline, cJSON_GetObjectItemCaseSensitive(target, "pipelines"))
		if (strcmp(text_of(pipeline, "kernel"), kernel) == 0 && number_of(pipeline, "head_dim") == head_dim &&
		    cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(pipeline, "is_default")))
			best = pipeline; /* work grows and F16 comes last */
	return best;
}

static void write_summary(FILE *file, const struct report *report)
{
	static const struct {
		const char *kernel;
		double head_dim;
		const char *title;
	} hot[] = {
		{"attention", 64, "attention, head size 64"},
		{"attention", 128, "attention, head size 128"},
		{"gemm", 0, "gemm"},
		{"gemm_gathered", 0, "gemm_gathered"},
	};
	write_targets(file, report);
	for (size_t i = 0; i < sizeof(hot) / sizeof(hot[0]); i++) {
		const cJSON *target;
		fprintf(file, "\n### %s\n\n| target | path | tile | workgroup | subgroup |%s loops |\n", hot[i].title,
			fact_columns);
		fputs("|---|---|---|---|---|---|---|---|---|---|---|---|---|\n", file);
		cJSON_ArrayForEach(target, report->targets) {
			const cJSON *pipeline = hot_pipeline(target, hot[i].kernel, hot[i].head_dim);
			if (pipeline == NULL)
				continue;
			fprintf(file, "| %s | %s %s |", text_of(target, "target"), text_of(pipeline, "path"),
				text_of(pipeline, "weights"));
			write_pipeline(file, pipeline, true);
		}
	}
	if (report->exception_count > 0)
		fputs("\n### Exceptions\n\n", file);
	for (size_t e = 0; e < report->exception_count; e++)
		fprintf(file, "- %s\n", report->exceptions[e].text);
}

/* ---- candidates ---- */

/* Multiply-adds and matrix instructions among all that a loop issues to the vector pipe and to memory; loops count by their depth.
 */
static double share_of_multiplies(const cJSON *executable)
{
	static const char *const others[] = {"alu", "memory", "shared", "subgroup"};
	const double trips = 8; /* of a loop inside another: any number that tells inner loops from outer ones */
	double multiplies = 0, all = 0;
	const cJSON *loop;
	cJSON_ArrayForEach(loop, cJSON_GetObjectItemCaseSensitive(executable, "loops")) {
		double weight = 1;
		for (double depth = number_of(loop, "depth"); depth > 0; depth--)
			weight *= trips;
		double useful = number_of(loop, "fma") + number_of(loop, "matrix");
		multiplies += weight * useful;
		all += weight * useful;
		for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
			all += weight * number_of(loop, others[i]);
	}
	return all > 0 ? multiplies / all : 0;
}

static const cJSON *executable_of(const cJSON *pipeline)
{
	return cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(pipeline, "executables"), 0);
}

static bool same_kernel(const cJSON *a, const cJSON *b)
{
	return strcmp(text_of(a, "kernel"), text_of(b, "kernel")) == 0 && strcmp(text_of(a, "path"), text_of(b, "path")) == 0 &&
	       number_of(a, "head_dim") == number_of(b, "head_dim");
}

static int by_share(const void *left, const void *right)
{
	const cJSON *const *a = left, *const *b = right;
	double share_a = share_of_multiplies(executable_of(*a)), share_b = share_of_multiplies(executable_of(*b));
	return share_a > share_b ? -1 : share_a < share_b;
}

/* The candidates of one kernel that do not spill, those with the largest share of multiplies first. Returns the last of them. */
static const cJSON *write_kernel(FILE *file, const cJSON *first)
{
	const cJSON *list[256];
	size_t count = 0;
	int spilled = 0;
	const cJSON *last = first;
	for (const cJSON *pipeline = first; pipeline != NULL && same_kernel(first, pipeline); pipeline = pipeline->next) {
		struct facts facts = facts_of(executable_of(pipeline));
		bool is_clean = executable_of(pipeline) != NULL && facts.spills <= 0 && facts.scratch <= 0;
		last = pipeline;
		spilled += !is_clean;
		if (is_clean && count < sizeof(list) / sizeof(list[0]))
			list[count++] = pipeline;
	}
	qsort(list, count, sizeof(list[0]), by_share);
	fprintf(file, "\n### %s, %s %s, head size %.0f (%d more spill or do not compile)\n\n", text_of(first, "kernel"),
		text_of(first, "path"), text_of(first, "weights"), number_of(first, "head_dim"), spilled);
	fprintf(file,
		"| | multiplies | tile | workgroup | subgroup |%s loops |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
		fact_columns);
	for (size_t i = 0; i < count; i++) {
		fprintf(file, "| %s | %.0f%% |", list[i] == first ? "ours" : "", 100 * share_of_multiplies(executable_of(list[i])));
		write_pipeline(file, list[i], true);
	}
	return last;
}

static void write_candidates(FILE *file, const struct report *report)
{
	const cJSON *target;
	fputs("# Tiles that could be chosen\n\nOurs is the tile table's. What the columns mean stands in docs/drivers.md.\n", file);
	cJSON_ArrayForEach(target, report->targets) {
		fprintf(file, "\n## %s: %s\n", text_of(target, "target"), text_of(target, "device"));
		const cJSON *pipelines = cJSON_GetObjectItemCaseSensitive(target, "pipelines");
		for (const cJSON *first = pipelines->child; first != NULL; first = first->next)
			first = write_kernel(file, first);
	}
}

static void write_json(FILE *file, const struct report *report)
{
	char *text = cJSON_PrintUnformatted(report->targets);
	fputs(text != NULL ? text : "", file);
	cJSON_free(text);
}

static bool write_file(const struct report *report, const char *folder, const char *name,
		       void (*write)(FILE *file, const struct report *report))
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	if (file != NULL)
		write(file, report);
	bool failed = file == NULL || ferror(file) != 0;
	if (file != NULL)
		failed |= fclose(file) != 0;
	if (failed)
		fprintf(stderr, "report-pipelines: cannot write %s\n", path);
	return !failed;
}

/* ---- what is read ---- */

static bool read_exceptions(struct report *report, const char *path)
{
	FILE *file = fopen(path, "r");
	if (file == NULL) {
		fprintf(stderr, "report-pipelines: cannot read %s\n", path);
		return false;
	}
	char line[512];
	bool good = true;
	while (good && fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[strspn(line, " \t")] == '\0')
			continue;
		good = report->exception_count < sizeof(report->exceptions) / sizeof(report->exceptions[0]);
		struct exception *exception = &report->exceptions[good ? report->exception_count++ : 0];
		snprintf(exception->text, sizeof(exception->text), "%s", line);
		char *reason = strchr(line, '|'), *link = reason != NULL ? strstr(reason + 1, "http") : NULL;
		good = good && link != NULL &&
		       sscanf(line, "%63s %63s %63s %63s %63s %63s %63s", exception->fields[0], exception->fields[1],
			      exception->fields[2], exception->fields[3], exception->fields[4], exception->fields[5],
			      exception->fields[6]) == 7;
		if (!good)
			fprintf(stderr, "report-pipelines: %s: bad line, or too many: %s\n", path, line);
	}
	fclose(file);
	return good;
}

static cJSON *read_target(const char *path)
{
	cJSON *document = NULL;
	char *text = NULL;
	FILE *file = fopen(path, "rb");
	long size = -1;
	if (file != NULL && fseek(file, 0, SEEK_END) == 0)
		size = ftell(file);
	if (size >= 0 && fseek(file, 0, SEEK_SET) == 0)
		text = malloc((size_t)size + 1);
	if (text != NULL && fread(text, 1, (size_t)size, file) == (size_t)size) {
		text[size] = '\0';
		document = cJSON_Parse(text);
	}
	if (document == NULL)
		fprintf(stderr, "report-pipelines: cannot read %s\n", path);
	free(text);
	if (file != NULL)
		fclose(file);
	return document;
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: report-pipelines EXCEPTIONS|--candidates OUT-FOLDER TARGET.json...\n");
		return 2;
	}
	static struct report report;
	bool candidates = strcmp(argv[1], "--candidates") == 0;
	report.targets = cJSON_CreateArray();
	bool good = report.targets != NULL && (candidates || read_exceptions(&report, argv[1]));
	for (int i = 3; i < argc && good; i++) {
		cJSON *target = read_target(argv[i]);
		good = target != NULL && cJSON_AddItemToArray(report.targets, target);
	}
	if (good && candidates) {
		good = write_file(&report, argv[2], "candidates.md", write_candidates);
	} else if (good) {
		judge_all(&report);
		good = write_file(&report, argv[2], "pipelines.json", write_json) &&
		       write_file(&report, argv[2], "pipelines.md", write_everything) &&
		       write_file(&report, argv[2], "summary.md", write_summary);
		fprintf(stderr, "%d targets: %u faults, %u excepted\n", cJSON_GetArraySize(report.targets), report.faults,
			report.excepted);
	}
	cJSON_Delete(report.targets);
	return good && report.faults == 0 ? 0 : 1;
}
