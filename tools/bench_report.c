/* The result of `gqe bench` as text: for people, for documents, for spreadsheets. */
#include "bench_report.h"

#include "terminal.h"

#include <inttypes.h>
#include <math.h>

static const char *peak_unit(int peak)
{
	return peak == BENCH_PEAK_BANDWIDTH ? "GB/s" : "GFLOP/s";
}

/* "-" where there is no number */
struct number_text {
	char text[32];
};
static struct number_text number(double value, int decimals)
{
	struct number_text text;
	if (isfinite(value))
		snprintf(text.text, sizeof(text.text), "%.*f", decimals, value);
	else
		snprintf(text.text, sizeof(text.text), "-");
	return text;
}

/* Milliseconds and rates: four digits are enough, as runs differ by more. */
static struct number_text measured(double value)
{
	return number(value, value < 10 ? 3 : value < 100 ? 2 : value < 1000 ? 1 : 0);
}

static void print_setting(const struct bench_result *result, const char *line_begin, const char *line_end)
{
	const struct bench_plan *plan = result->plan;
	const gqe_layer_config *config = &plan->config;
	printf("%s%s, %s %s, path %s, commit %.12s, shaders %016" PRIx64 "%s\n", line_begin, result->device->name,
	       result->device->driver_name, result->device->driver_info, gqe_path_name(result->path), gqe_commit(),
	       gqe_shader_hash(), line_end);
	if (plan->what_count > 0)
		printf("%shidden size %u, %u heads, %u KV heads, top-%u, head size %u, %s%s\n", line_begin, config->hidden_size,
		       config->heads, config->kv_heads, config->top_k, config->head_dim, bench_dtype_name(plan->dtype), line_end);
	printf("%smedian of %u after %u to warm up, %s%s\n", line_begin, plan->samples, plan->warmups, bench_clock_text(result),
	       line_end);
	printf("%speak:", line_begin);
	for (int i = 0; i < BENCH_PEAK_COUNT; i++)
		if (result->peaks[i].exists)
			printf("%s %s %s %s", i ? "," : "", bench_peak_name(i), measured(result->peaks[i].best).text, peak_unit(i));
	printf(" (best of %u)%s\n", result->peaks[BENCH_PEAK_F32].samples, line_end);
}

static bool has_speedup(const struct bench_result *result)
{
	struct bench_speedup speedup;
	for (size_t i = 0; i < result->plan->tokens_count; i++)
		if (bench_speedup_at(result, result->plan->tokens[i], &speedup))
			return true;
	return false;
}

void bench_print_table(const struct bench_result *result)
{
	const struct bench_plan *plan = result->plan;
	printf("%sgqe bench%s\n", style(stdout, STYLE_BOLD), style(stdout, STYLE_PLAIN));
	print_setting(result, "  ", "");
	if (result->record_count > 0) {
		printf("\n%s  %-9s  %-3s  %-7s %8s %8s %9s %8s %5s  milliseconds of each part%s\n  %-61s",
		       style(stdout, STYLE_BOLD), "what", "", "routing", "tokens", "computed", "ms", "GFLOP/s", "peak",
		       style(stdout, STYLE_PLAIN), "");
		for (int step = GQE_LAYER_STEP_OTHER + 1; step < GQE_LAYER_STEP_COUNT; step++)
			printf(" %12s", gqe_layer_step_name(step));
		printf("\n");
	}
	for (size_t i = 0; i < result->record_count; i++) {
		const struct bench_record *record = &result->records[i];
		printf("  %-9s  %-3s  %-7s %8u %8u %9s %8s %4s%%", gqe_bench_what_name(record->what),
		       bench_attention_name(record->attention), bench_routing_name(record->routing), record->tokens,
		       record->computed, measured(record->median_ms).text, measured(record->gflops).text,
		       number(100 * record->peak_fraction, 0).text);
		for (int step = GQE_LAYER_STEP_OTHER + 1; step < GQE_LAYER_STEP_COUNT; step++)
			printf(" %12s", record->step_ms[step] > 0 ? measured(record->step_ms[step]).text : "-");
		printf("\n");
	}
	if (!has_speedup(result))
		return;
	printf("\n%s  %8s  %s%s\n", style(stdout, STYLE_BOLD), "tokens",
	       "GQE over dense GQA, median of the rounds' ratios (arithmetic bound)", style(stdout, STYLE_PLAIN));
	for (size_t i = 0; i < plan->tokens_count; i++) {
		struct bench_speedup speedup;
		if (bench_speedup_at(result, plan->tokens[i], &speedup))
			printf("  %8u  layer %s (%s)   attention %s (%s)\n", speedup.tokens, number(speedup.layer, 3).text,
			       number(speedup.bound_layer, 3).text, number(speedup.attention, 3).text,
			       number(speedup.bound_attention, 3).text);
	}
}

void bench_print_markdown(const struct bench_result *result)
{
	const struct bench_plan *plan = result->plan;
	print_setting(result, "- ", "");
	if (result->record_count > 0) {
		printf("\n| what | attention | routing | tokens | computed | ms | GFLOP/s | of peak |");
		for (int step = GQE_LAYER_STEP_OTHER + 1; step < GQE_LAYER_STEP_COUNT; step++)
			printf(" %s, ms |", gqe_layer_step_name(step));
		printf("\n|---|---|---|---:|---:|---:|---:|---:|");
		for (int step = GQE_LAYER_STEP_OTHER + 1; step < GQE_LAYER_STEP_COUNT; step++)
			printf("---:|");
		printf("\n");
	}
	for (size_t i = 0; i < result->record_count; i++) {
		const struct bench_record *record = &result->records[i];
		printf("| %s | %s | %s | %u | %u | %s | %s | %s%% |", gqe_bench_what_name(record->what),
		       bench_attention_name(record->attention), bench_routing_name(record->routing), record->tokens,
		       record->computed, measured(record->median_ms).text, measured(record->gflops).text,
		       number(100 * record->peak_fraction, 0).text);
		for (int step = GQE_LAYER_STEP_OTHER + 1; step < GQE_LAYER_STEP_COUNT; step++)
			printf(" %s |", record->step_ms[step] > 0 ? measured(record->step_ms[step]).text : "");
		printf("\n");
	}
	if (!has_speedup(result))
		return;
	printf("\n| tokens | layer, GQE over GQA | bound | attention, GQE over GQA | bound |\n|---:|---:|---:|---:|---:|\n");
	for (size_t i = 0; i < plan->tokens_count; i++) {
		struct bench_speedup speedup;
		if (bench_speedup_at(result, plan->tokens[i], &speedup))
			printf("| %u | %s | %s | %s | %s |\n", speedup.tokens, number(speedup.layer, 3).text,
			       number(speedup.bound_layer, 3).text, number(speedup.attention, 3).text,
			       number(speedup.bound_attention, 3).text);
	}
}

/* A number with all its digits, or nothing. */
static void print_csv_number(double value)
{
	if (isfinite(value))
		printf(",%.9g", value);
	else
		printf(",");
}

/* Names of drivers come from outside: quoted, with quotes doubled. */
static void print_csv_text(const char *text)
{
	printf(",\"");
	for (; *text; text++) {
		if (*text == '"')
			putchar('"');
		putchar(*text);
	}
	putchar('"');
}

static void print_csv_origin(const struct bench_result *result)
{
	print_csv_text(result->device->name);
	print_csv_text(result->device->driver_name);
	print_csv_text(result->device->driver_info);
	printf(",%s,%016" PRIx64 "\n", gqe_commit(), gqe_shader_hash());
}

void bench_print_csv(const struct bench_result *result)
{
	printf("what,attention,routing,tokens,last_chunk,dtype,path,median_ms,gflops,gbs,peak_fraction");
	for (int step = GQE_LAYER_STEP_OTHER + 1; step < GQE_LAYER_STEP_COUNT; step++)
		printf(",%s_ms", gqe_layer_step_name(step));
	printf(",device,driver,driver_info,commit,shader_hash\n");
	for (int i = 0; i < BENCH_PEAK_COUNT; i++) {
		if (!result->peaks[i].exists)
			continue;
		printf("%s,,,,,,,", gqe_bench_what_name(bench_peak_what(i)));
		print_csv_number(i == BENCH_PEAK_BANDWIDTH ? NAN : result->peaks[i].best);
		print_csv_number(i == BENCH_PEAK_BANDWIDTH ? result->peaks[i].best : NAN);
		print_csv_number(NAN);
		for (int step = GQE_LAYER_STEP_OTHER + 1; step < GQE_LAYER_STEP_COUNT; step++)
			print_csv_number(NAN);
		print_csv_origin(result);
	}
	for (size_t i = 0; i < result->record_count; i++) {
		const struct bench_record *record = &result->records[i];
		printf("%s,%s,%s,%u,%u,%s,%s", gqe_bench_what_name(record->what), bench_attention_name(record->attention),
		       record->routing ? bench_routing_name(record->routing) : "", record->tokens, record->computed,
		       bench_dtype_name(result->plan->dtype), gqe_path_name(record->info.path));
		print_csv_number(record->median_ms);
		print_csv_number(record->gflops);
		print_csv_number(NAN);
		print_csv_number(record->peak_fraction);
		for (int step = GQE_LAYER_STEP_OTHER + 1; step < GQE_LAYER_STEP_COUNT; step++)
			print_csv_number(record->step_ms[step]);
		print_csv_origin(result);
	}
}
