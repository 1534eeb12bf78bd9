/* gqe bench: how fast, against dense GQA and against the device's peaks. */
#include "commands.h"

#include "bench_report.h"

#include <stdlib.h>
#include <string.h>

enum bench_format { FORMAT_TABLE = 1, FORMAT_MARKDOWN, FORMAT_CSV, FORMAT_JSON };

struct bench_options {
	const char *what, *tokens, *attention, *routing, *plot;
	uint32_t hidden, heads, kv_heads, top_k, head_dim;
	uint32_t last_chunk, warmups, samples;
	int dtype, format, clock;
};

static const struct option_choice format_choices[] = {
	{"table", FORMAT_TABLE}, {"md", FORMAT_MARKDOWN}, {"csv", FORMAT_CSV}, {"json", FORMAT_JSON}, {0}};
static const struct option_choice clock_choices[] = {
	{"gpu", BENCH_CLOCK_GPU}, {"wall", BENCH_CLOCK_WALL}, {"cpu", BENCH_CLOCK_CPU}, {0}};

#define AT(field) offsetof(struct bench_options, field)
static const struct option bench_options[] = {
	{"--what", 0, "WHAT", OPTION_TEXT, AT(what), 0, 0, NULL,
	 "layer, attention, gemm (one projection) or peak; several with commas (default: layer)"},
	{"--seq", 0, "T,...", OPTION_TEXT, AT(tokens), 0, 0, NULL,
	 "lengths of the context, in tokens; rows of gemm (default: 2048; gemm 4096)"},
	{"--attention", 0, "A,...", OPTION_TEXT, AT(attention), 0, 0, NULL, "gqe, gqa (default: gqe,gqa: both, in turn)"},
	{"--hidden", 0, "D", OPTION_NUMBER, AT(hidden), 1, 65536, NULL, "hidden size (default: 1024)"},
	{"--heads", 0, "N", OPTION_NUMBER, AT(heads), 1, 1024, NULL, "query heads, experts of GQE (default: 16)"},
	{"--kv-heads", 0, "G", OPTION_NUMBER, AT(kv_heads), 1, 1024, NULL, "KV heads (default: 8)"},
	{"--top-k", 0, "K", OPTION_NUMBER, AT(top_k), 1, 64, NULL, "experts that a token runs in each group (default: 1)"},
	{"--head-dim", 0, "C", OPTION_NUMBER, AT(head_dim), 2, 256, NULL, "head size (default: 64)"},
	{"--dtype", 0, "f32|f16", OPTION_CHOICE, AT(dtype), 0, 0, dtype_choices, "type of weights and KV cache (default: f32)"},
	{"--last-chunk", 0, "Q", OPTION_NUMBER, AT(last_chunk), 1, 0, NULL,
	 "compute only the last Q tokens of each context (default: all)"},
	{"--routing", 0, "R", OPTION_TEXT, AT(routing), 0, 0, NULL,
	 "uniform, skewed (all tokens to the first experts), uniform,skewed (in turn), or a file with I32 experts [tokens, G, k]"},
	{"--warmup", 0, "N", OPTION_NUMBER, AT(warmups), 0, 1000, NULL, "rounds that are thrown away (default: 1)"},
	{"--samples", 0, "N", OPTION_NUMBER, AT(samples), 1, 10000, NULL, "rounds that are measured (default: 5)"},
	{"--clock", 0, "CLOCK", OPTION_CHOICE, AT(clock), 0, 0, clock_choices,
	 "what medians and rates are of: gpu, wall, or cpu (processor time, for CPU drivers on a busy machine) (default: gpu)"},
	{"--format", 0, "FORMAT", OPTION_CHOICE, AT(format), 0, 0, format_choices, "table, md, csv or json (default: table)"},
	{"--plot", 0, "P.png", OPTION_TEXT, AT(plot), 0, 0, NULL,
	 "also draw speedup over length and rates against the peak, 1200 x 800"},
	{0},
};
#undef AT

/* Cuts the next word off a list with commas; false at its end. */
static bool next_word(const char **list, char word[32])
{
	if (!*list)
		return false;
	const char *comma = strchr(*list, ',');
	const size_t length = comma ? (size_t)(comma - *list) : strlen(*list);
	snprintf(word, 32, "%.*s", (int)(length < 31 ? length : 31), *list);
	*list = comma ? comma + 1 : NULL;
	return true;
}

static gqe_status plan_what(const struct bench_options *options, struct bench_plan *plan, gqe_error *error)
{
	static const gqe_bench_what kinds[] = {GQE_BENCH_LAYER, GQE_BENCH_ATTENTION, GQE_BENCH_GEMM};
	const char *list = options->what ? options->what : "layer";
	bool wanted[3] = {false};
	for (char word[32]; next_word(&list, word);) {
		bool known = strcmp(word, "peak") == 0;
		for (size_t i = 0; i < 3; i++)
			if (strcmp(word, gqe_bench_what_name(kinds[i])) == 0)
				known = wanted[i] = true;
		if (!known)
			return error_set(error, GQE_ERROR_USAGE, "option '--what': '%s' is none of layer, attention, gemm, peak",
					 word);
	}
	for (size_t i = 0; i < 3; i++)
		if (wanted[i])
			plan->what[plan->what_count++] = kinds[i];
	return GQE_OK;
}

static bool is_planned(const struct bench_plan *plan, uint32_t tokens)
{
	for (size_t i = 0; i < plan->tokens_count; i++)
		if (plan->tokens[i] == tokens)
			return true;
	return false;
}

static gqe_status plan_tokens(const struct bench_options *options, struct bench_plan *plan, gqe_error *error)
{
	enum { MOST = sizeof(plan->tokens) / sizeof(plan->tokens[0]) };
	const bool only_gemm = plan->what_count == 1 && plan->what[0] == GQE_BENCH_GEMM;
	const char *list = options->tokens ? options->tokens : only_gemm ? "4096" : "2048";
	for (char word[32]; next_word(&list, word);) {
		uint64_t number;
		if (!parse_number(word, &number) || number == 0 || number > INT32_MAX)
			return error_set(error, GQE_ERROR_USAGE, "option '--seq': '%s' is not a number of tokens from 1 to %d",
					 word, INT32_MAX);
		if (number < options->last_chunk)
			return error_set(error, GQE_ERROR_USAGE, "option '--last-chunk': %u tokens are more than the %s of '--seq'",
					 options->last_chunk, word);
		if (plan->tokens_count == MOST)
			return error_set(error, GQE_ERROR_USAGE, "option '--seq': more than %d lengths", MOST);
		if (!is_planned(plan, (uint32_t)number))
			plan->tokens[plan->tokens_count++] = (uint32_t)number;
	}
	return GQE_OK;
}

static gqe_status plan_attention(const struct bench_options *options, struct bench_plan *plan, gqe_error *error)
{
	const char *list = options->attention ? options->attention : "gqe,gqa";
	bool gqe = false, gqa = false;
	for (char word[32]; next_word(&list, word);) {
		gqe = gqe || strcmp(word, "gqe") == 0;
		gqa = gqa || strcmp(word, "gqa") == 0;
		if (strcmp(word, "gqe") != 0 && strcmp(word, "gqa") != 0)
			return error_set(error, GQE_ERROR_USAGE, "option '--attention': '%s' is none of gqe, gqa", word);
	}
	if (gqe)
		plan->attention[plan->attention_count++] = GQE_ATTENTION_GQE;
	if (gqa)
		plan->attention[plan->attention_count++] = GQE_ATTENTION_GQA;
	return GQE_OK;
}

/* The paper's layer: a shared head on the first group's K and V, the weighted-sum slot. */
static gqe_status plan_config(const struct bench_options *options, struct bench_plan *plan, gqe_error *error)
{
	plan->config = (gqe_layer_config){
		.hidden_size = options->hidden,
		.heads = options->heads,
		.kv_heads = options->kv_heads,
		.head_dim = options->head_dim,
		.attention = GQE_ATTENTION_GQE,
		.rope = GQE_ROPE_HALF,
		.rope_theta = 10000,
		.top_k = options->top_k,
		.shared_head = true,
		.shared_kv = GQE_SHARED_KV_GROUP,
		.weighted_sum_slot = true,
		.slot_order = GQE_SLOT_ORDER_RANK,
	};
	gqe_status status = gqe_layer_config_check(&plan->config, error);
	return status == GQE_ERROR_BAD_INPUT ? (error->status = GQE_ERROR_USAGE) : status;
}

/* uniform, skewed, or both with a comma; anything else is a file. */
static bool plan_named_routing(const char *routing, struct bench_plan *plan)
{
	static const struct {
		const char *name;
		gqe_bench_routing routing[2];
	} named[] = {{"uniform", {GQE_BENCH_UNIFORM}},
		     {"skewed", {GQE_BENCH_SKEWED}},
		     {"uniform,skewed", {GQE_BENCH_UNIFORM, GQE_BENCH_SKEWED}},
		     {"skewed,uniform", {GQE_BENCH_SKEWED, GQE_BENCH_UNIFORM}}};
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		if (strcmp(routing, named[i].name) != 0)
			continue;
		memcpy(plan->routing, named[i].routing, sizeof(plan->routing));
		plan->routing_count = named[i].routing[1] ? 2 : 1;
		return true;
	}
	return false;
}

/* A file's experts [.., tokens, G, k] must reach for every length. */
static gqe_status plan_routing(const struct bench_options *options, struct bench_plan *plan, gqe_tensor_file **file,
			       gqe_error *error)
{
	const char *routing = options->routing ? options->routing : "uniform";
	if (plan_named_routing(routing, plan))
		return GQE_OK;
	plan->routing[0] = GQE_BENCH_GIVEN;
	plan->routing_count = 1;
	gqe_status status = gqe_tensor_file_open(routing, file, error);
	if (status != GQE_OK)
		return status;
	const gqe_tensor *experts = plan->experts = gqe_tensor_file_find(*file, "experts");
	const uint32_t groups = options->kv_heads, k = options->top_k;
	if (!experts || experts->dtype != GQE_DTYPE_I32 || experts->rank < 3 || experts->shape[experts->rank - 1] != k ||
	    experts->shape[experts->rank - 2] != groups)
		return error_set(error, GQE_ERROR_BAD_INPUT, "%s: an I32 tensor 'experts' [.., tokens, %u, %u] is needed", routing,
				 groups, k);
	const uint64_t tokens = experts->bytes / 4 / groups / k;
	for (size_t i = 0; i < plan->tokens_count; i++) {
		const uint32_t computed = options->last_chunk ? options->last_chunk : plan->tokens[i];
		if (computed > tokens)
			return error_set(error, GQE_ERROR_BAD_INPUT,
					 "%s: the tensor 'experts' is for %llu tokens, but %u are computed", routing,
					 (unsigned long long)tokens, computed);
	}
	return GQE_OK;
}

static gqe_status make_plan(const struct program *program, const struct bench_options *options, struct bench_plan *plan,
			    gqe_tensor_file **file, gqe_error *error)
{
	*plan = (struct bench_plan){
		.program = program,
		.dtype = (gqe_dtype)options->dtype,
		.last_chunk = options->last_chunk,
		.warmups = options->warmups,
		.samples = options->samples,
		.clock = (enum bench_clock)options->clock,
	};
	gqe_status status = plan_what(options, plan, error);
	if (status == GQE_OK && options->plot && plan->what_count == 0)
		status = error_set(error, GQE_ERROR_USAGE, "option '--plot': there is nothing to draw of peaks alone");
	if (status == GQE_OK && options->plot)
		status = program_check_writable("--plot", options->plot, error);
	if (status == GQE_OK)
		status = plan_tokens(options, plan, error);
	if (status == GQE_OK)
		status = plan_attention(options, plan, error);
	if (status == GQE_OK)
		status = plan_config(options, plan, error);
	if (status == GQE_OK)
		status = plan_routing(options, plan, file, error);
	return status;
}

static gqe_status report(const struct bench_result *result, const struct bench_options *options, gqe_error *error)
{
	gqe_status status = options->plot ? bench_plot(result, options->plot, error) : GQE_OK;
	if (status != GQE_OK)
		return status;
	switch ((enum bench_format)options->format) {
	case FORMAT_TABLE:
		bench_print_table(result);
		break;
	case FORMAT_MARKDOWN:
		bench_print_markdown(result);
		break;
	case FORMAT_CSV:
		bench_print_csv(result);
		break;
	case FORMAT_JSON:
		status = program_print_json(result->plan->program, bench_json(result));
		return status == GQE_OK ? GQE_OK : error_no_memory(error);
	}
	return GQE_OK;
}

static gqe_status measure_and_report(const struct bench_plan *plan, const struct bench_options *options, gqe_error *error)
{
	gqe_context *context = NULL;
	struct bench_result result = {0};
	gqe_status status = program_context(plan->program, &context, error);
	if (status == GQE_OK && !gqe_context_device(context))
		status = error_set(error, GQE_ERROR_USAGE, "the reference is not made to be fast: choose a Vulkan device");
	if (status == GQE_OK)
		status = bench_measure(plan, context, &result, error);
	if (status == GQE_OK)
		status = program_check_validation(plan->program, context, error);
	if (status == GQE_OK)
		status = report(&result, options, error);
	bench_result_free(&result);
	gqe_context_destroy(&context);
	return status;
}

gqe_status cmd_bench(int argc, char **argv)
{
	struct program program = {.command = "bench"};
	struct bench_options options = {
		.hidden = 1024,
		.heads = 16,
		.kv_heads = 8,
		.top_k = 1,
		.head_dim = 64,
		.warmups = 1,
		.samples = 5,
		.dtype = GQE_DTYPE_F32,
		.format = FORMAT_TABLE,
		.clock = BENCH_CLOCK_GPU,
	};
	const struct option_group groups[] = {{"Bench", bench_options, &options}, {"Common options", program_options, &program}};
	const struct command_line line = {
		.command = "bench",
		.synopsis = "[--what WHAT] [--seq T,...] [OPTIONS]",
		.description =
			"Measures a layer, attention alone, or one projection, of GQE and of dense GQA, in turn with each other "
			"and\n"
			"with the device's peaks, on random weights. Ratios within a run hold; times of different runs may not.",
		.groups = groups,
		.group_count = 2,
	};
	enum parse_result parsed = command_line_parse(&line, argc, argv);
	if (parsed != PARSE_OK)
		return parsed == PARSE_HELP ? GQE_OK : GQE_ERROR_USAGE;
	if (program.json)
		options.format = FORMAT_JSON;
	program.json = options.format == FORMAT_JSON;

	gqe_error error = {0};
	struct bench_plan plan;
	gqe_tensor_file *file = NULL;
	gqe_status status = make_plan(&program, &options, &plan, &file, &error);
	if (status == GQE_OK)
		status = measure_and_report(&plan, &options, &error);
	if (status != GQE_OK)
		program_fail(&program, &error);
	gqe_tensor_file_destroy(&file);
	return status;
}
