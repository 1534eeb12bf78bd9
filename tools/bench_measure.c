#include "bench_measure.h"

#include "interrupt.h"
#include "terminal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* GQE with two routings, and GQA. */
#define BENCH_MOST_OF_A_GROUP 3

/* Everything that a measurement holds while it runs. */
struct measurement {
	const struct bench_plan *plan;
	gqe_context *context;
	struct bench_result *result;
	gqe_bench *peaks[BENCH_PEAK_COUNT]; /* NULL: the device has no such peak */
	uint64_t peak_memory;
	int32_t *experts; /* of the routing file, aligned */
	struct progress progress;
	double done, total; /* of the progress */
};

static bool is_interrupted(void *user)
{
	struct measurement *measurement = user;
	progress_draw(&measurement->progress, measurement->done / measurement->total);
	return interrupt_seen();
}

const char *bench_attention_name(gqe_attention attention)
{
	return attention == GQE_ATTENTION_GQE ? "gqe" : "gqa";
}

const char *bench_clock_name(enum bench_clock clock)
{
	return clock == BENCH_CLOCK_GPU ? "gpu" : clock == BENCH_CLOCK_WALL ? "wall" : "cpu";
}

int bench_peak_of(gqe_path path)
{
	switch (path) {
	case GQE_PATH_SCALAR:
	case GQE_PATH_SUBGROUP:
		break;
	case GQE_PATH_PACKED:
		return BENCH_PEAK_F16;
	case GQE_PATH_MATRIX:
	case GQE_PATH_MATRIX2:
		return BENCH_PEAK_MATRIX;
	}
	return BENCH_PEAK_F32;
}

const char *bench_peak_name(int peak)
{
	static const char *const names[BENCH_PEAK_COUNT] = {
		[BENCH_PEAK_F32] = "f32",
		[BENCH_PEAK_F16] = "f16",
		[BENCH_PEAK_MATRIX] = "matrix",
		[BENCH_PEAK_BANDWIDTH] = "memory",
	};
	return names[peak];
}

gqe_bench_what bench_peak_what(int peak)
{
	static const gqe_bench_what whats[BENCH_PEAK_COUNT] = {
		[BENCH_PEAK_F32] = GQE_BENCH_FMA_F32,
		[BENCH_PEAK_F16] = GQE_BENCH_FMA_F16,
		[BENCH_PEAK_MATRIX] = GQE_BENCH_FMA_MATRIX,
		[BENCH_PEAK_BANDWIDTH] = GQE_BENCH_BANDWIDTH,
	};
	return whats[peak];
}

const char *bench_clock_text(const struct bench_result *result)
{
	switch (result->plan->clock) {
	case BENCH_CLOCK_GPU:
		return result->has_timestamps ? "device timestamps" : "wall clock of submits";
	case BENCH_CLOCK_WALL:
		return "wall clock";
	case BENCH_CLOCK_CPU:
		break;
	}
	return "processor time";
}

const char *bench_dtype_name(gqe_dtype dtype)
{
	return dtype == GQE_DTYPE_F16 ? "f16" : "f32";
}

const char *bench_routing_name(gqe_bench_routing routing)
{
	switch (routing) {
	case GQE_BENCH_UNIFORM:
		return "uniform";
	case GQE_BENCH_SKEWED:
		return "skewed";
	case GQE_BENCH_GIVEN:
		return "file";
	}
	return "-";
}

static double milliseconds(const gqe_bench_times *times, enum bench_clock clock)
{
	switch (clock) {
	case BENCH_CLOCK_GPU:
		return times->gpu_ms;
	case BENCH_CLOCK_WALL:
		return times->wall_ms;
	case BENCH_CLOCK_CPU:
		break;
	}
	return times->cpu_ms;
}

static int compare_doubles(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Sorts the values. */
static double median(double *values, uint32_t count)
{
	qsort(values, count, sizeof(*values), compare_doubles);
	return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

static gqe_status sample_peaks(struct measurement *measurement, gqe_error *error)
{
	for (int i = 0; i < BENCH_PEAK_COUNT; i++) {
		struct bench_peak *peak = &measurement->result->peaks[i];
		gqe_bench_times times;
		if (!peak->exists)
			continue;
		gqe_status status = gqe_bench_sample(measurement->peaks[i], &times, error);
		if (status != GQE_OK)
			return status;
		const gqe_bench_info info = gqe_bench_get_info(measurement->peaks[i]);
		const double rate = (info.flop + info.bytes) / milliseconds(&times, measurement->plan->clock) * 1e-6;
		peak->samples++;
		if (rate > peak->best)
			peak->best = rate;
	}
	return GQE_OK;
}

static bool has_peak(const gqe_device_info *device, int peak)
{
	if (peak == BENCH_PEAK_F16)
		return device->has_float16;
	return peak != BENCH_PEAK_MATRIX || device->matrix_shape_count > 0;
}

static gqe_status create_peaks(struct measurement *measurement, gqe_error *error)
{
	for (int i = 0; i < BENCH_PEAK_COUNT; i++) {
		const gqe_bench_params params = {
			.size = sizeof(params),
			.what = bench_peak_what(i),
			.cancelled = is_interrupted,
			.user = measurement,
		};
		if (!has_peak(measurement->result->device, i))
			continue;
		gqe_status status = gqe_bench_create(measurement->context, &params, &measurement->peaks[i], error);
		if (status != GQE_OK)
			return status;
		measurement->result->peaks[i].exists = true;
		const gqe_bench_info info = gqe_bench_get_info(measurement->peaks[i]);
		measurement->peak_memory += info.memory_bytes;
		measurement->result->memory_planned = measurement->peak_memory + info.context_bytes;
	}
	return GQE_OK;
}

static gqe_status create_bench(struct measurement *measurement, struct bench_record *record, gqe_bench **bench, gqe_error *error)
{
	const struct bench_plan *plan = measurement->plan;
	gqe_layer_config config = plan->config;
	config.attention = record->attention;
	const gqe_bench_params params = {
		.size = sizeof(params),
		.what = record->what,
		.config = &config,
		.tokens = record->tokens,
		.last_chunk = record->computed,
		.dtype = plan->dtype,
		.routing = record->routing,
		.experts = measurement->experts,
		.cancelled = is_interrupted,
		.user = measurement,
	};
	gqe_error cause = {0};
	gqe_status status = gqe_bench_create(measurement->context, &params, bench, &cause);
	if (status == GQE_ERROR_BAD_INPUT && plan->experts)
		return error_set(error, status, "%s: %s", plan->experts->file, cause.message);
	if (status != GQE_OK)
		return *error = cause, status;
	record->info = gqe_bench_get_info(*bench);
	record->samples = calloc(plan->samples, sizeof(*record->samples));
	return record->samples ? GQE_OK : error_no_memory(error);
}

static gqe_status summarize(const struct bench_plan *plan, struct bench_record *record, gqe_error *error)
{
	double *values = malloc(plan->samples * sizeof(*values));
	if (!values)
		return error_no_memory(error);
	for (uint32_t i = 0; i < plan->samples; i++)
		values[i] = milliseconds(&record->samples[i], plan->clock);
	record->median_ms = median(values, plan->samples);
	record->gflops = record->info.flop / record->median_ms * 1e-6;
	for (int step = 0; step < GQE_LAYER_STEP_COUNT; step++) {
		for (uint32_t i = 0; i < plan->samples; i++)
			values[i] = record->samples[i].step_ms[step];
		record->step_ms[step] = median(values, plan->samples);
	}
	free(values);
	return GQE_OK;
}

/* A unit of progress: a pass at one length. */
static double pass_cost(uint32_t tokens, uint32_t computed)
{
	return (double)tokens * computed;
}

/* The records of one kind and length, in turn, and a sample of each peak in every round. */
static gqe_status measure_group(struct measurement *measurement, struct bench_record *records, size_t count, gqe_error *error)
{
	const struct bench_plan *plan = measurement->plan;
	gqe_bench *benches[BENCH_MOST_OF_A_GROUP] = {NULL};
	uint64_t memory = measurement->peak_memory, context_memory = 0;
	gqe_status status = GQE_OK;
	for (size_t i = 0; i < count && status == GQE_OK; i++) {
		status = create_bench(measurement, &records[i], &benches[i], error);
		memory += records[i].info.memory_bytes;
		context_memory = records[i].info.context_bytes;
	}
	if (memory + context_memory > measurement->result->memory_planned)
		measurement->result->memory_planned = memory + context_memory;
	for (uint32_t round = 0; round < plan->warmups + plan->samples && status == GQE_OK; round++) {
		for (size_t i = 0; i < count && status == GQE_OK; i++) {
			gqe_bench_times times;
			status = gqe_bench_sample(benches[i], &times, error);
			if (status == GQE_OK && round >= plan->warmups)
				records[i].samples[round - plan->warmups] = times;
			measurement->done += pass_cost(records[i].tokens, records[i].computed);
		}
		if (status == GQE_OK)
			status = sample_peaks(measurement, error);
	}
	for (size_t i = 0; i < count; i++) {
		gqe_bench_destroy(&benches[i]);
		if (status == GQE_OK)
			status = summarize(plan, &records[i], error);
	}
	return status;
}

/* The experts of the first tokens of the file, which is checked to hold enough. */
static gqe_status read_experts(struct measurement *measurement, gqe_error *error)
{
	const gqe_tensor *tensor = measurement->plan->experts;
	if (!tensor)
		return GQE_OK;
	measurement->experts = malloc(tensor->bytes ? tensor->bytes : 1);
	if (!measurement->experts)
		return error_no_memory(error);
	memcpy(measurement->experts, tensor->data, tensor->bytes);
	return GQE_OK;
}

static uint32_t computed_tokens(const struct bench_plan *plan, uint32_t tokens)
{
	return plan->last_chunk ? plan->last_chunk : tokens;
}

/* Appends what is measured in turn at one length: every attention, with every routing where routing plays a part. */
static void lay_out_group(struct measurement *measurement, gqe_bench_what what, uint32_t tokens)
{
	const struct bench_plan *plan = measurement->plan;
	for (size_t a = 0; a < plan->attention_count; a++) {
		const bool is_routed = plan->attention[a] == GQE_ATTENTION_GQE && what != GQE_BENCH_ATTENTION;
		for (size_t r = 0; r < (is_routed ? plan->routing_count : 1); r++) {
			struct bench_record *record = &measurement->result->records[measurement->result->record_count++];
			record->what = what;
			record->attention = plan->attention[a];
			record->routing = is_routed ? plan->routing[r] : 0;
			record->tokens = tokens;
			record->computed = computed_tokens(plan, tokens);
			measurement->total += pass_cost(tokens, record->computed) * (plan->warmups + plan->samples);
		}
	}
}

/* In the order in which they are measured. */
static gqe_status lay_out_records(struct measurement *measurement, gqe_error *error)
{
	const struct bench_plan *plan = measurement->plan;
	struct bench_result *result = measurement->result;
	result->records = calloc(plan->what_count * plan->tokens_count * BENCH_MOST_OF_A_GROUP + 1, sizeof(*result->records));
	result->ratios = calloc(plan->samples, sizeof(*result->ratios));
	if (!result->records || !result->ratios)
		return error_no_memory(error);
	measurement->total = 1;
	for (size_t w = 0; w < plan->what_count; w++)
		for (size_t t = 0; t < plan->tokens_count; t++)
			lay_out_group(measurement, plan->what[w], plan->tokens[t]);
	return GQE_OK;
}

/* Records from `first` on that are measured in turn. */
static size_t group_length(const struct bench_result *result, size_t first)
{
	size_t length = 1;
	while (first + length < result->record_count && result->records[first + length].what == result->records[first].what &&
	       result->records[first + length].tokens == result->records[first].tokens)
		length++;
	return length;
}

gqe_status bench_measure(const struct bench_plan *plan, gqe_context *context, struct bench_result *result, gqe_error *error)
{
	struct measurement measurement = {.plan = plan, .context = context, .result = result};
	*result = (struct bench_result){.plan = plan, .device = gqe_context_device(context)};
	result->has_timestamps = result->device->has_timestamps;
	result->path = plan->program->path ? (gqe_path)plan->program->path : result->device->paths[result->device->path_count - 1];
	measurement.progress = progress_begin("bench", true);
	interrupt_watch();
	gqe_status status = read_experts(&measurement, error);
	if (status == GQE_OK)
		status = lay_out_records(&measurement, error);
	if (status == GQE_OK)
		status = create_peaks(&measurement, error);
	for (uint32_t i = 0; i < plan->samples && plan->what_count == 0 && status == GQE_OK; i++)
		status = sample_peaks(&measurement, error);
	for (size_t i = 0, length; i < result->record_count && status == GQE_OK; i += length) {
		length = group_length(result, i);
		status = measure_group(&measurement, &result->records[i], length, error);
	}
	for (size_t i = 0; i < result->record_count; i++) {
		struct bench_record *record = &result->records[i];
		record->peak_fraction = record->gflops / result->peaks[bench_peak_of(record->info.path)].best;
	}
	gqe_context_memory(context, &result->memory);
	for (int i = 0; i < BENCH_PEAK_COUNT; i++)
		gqe_bench_destroy(&measurement.peaks[i]);
	free(measurement.experts);
	interrupt_unwatch();
	progress_end(&measurement.progress);
	return status;
}

void bench_result_free(struct bench_result *result)
{
	for (size_t i = 0; i < result->record_count; i++)
		free(result->records[i].samples);
	free(result->records);
	free(result->ratios);
	*result = (struct bench_result){0};
}

const struct bench_record *bench_find(const struct bench_result *result, gqe_bench_what what, gqe_attention attention,
				      uint32_t tokens)
{
	for (size_t i = 0; i < result->record_count; i++) {
		const struct bench_record *record = &result->records[i];
		if (record->what == what && record->attention == attention && record->tokens == tokens)
			return record;
	}
	return NULL;
}

static double attention_ms(const gqe_bench_times *times, enum bench_clock clock)
{
	(void)clock;
	return times->step_ms[GQE_LAYER_STEP_ATTENTION];
}

static double median_ratio(const struct bench_result *result, const struct bench_record *over, const struct bench_record *under,
			   double (*time_of)(const gqe_bench_times *, enum bench_clock))
{
	const struct bench_plan *plan = result->plan;
	for (uint32_t i = 0; i < plan->samples; i++)
		result->ratios[i] = time_of(&over->samples[i], plan->clock) / time_of(&under->samples[i], plan->clock);
	return median(result->ratios, plan->samples);
}

bool bench_speedup_at(const struct bench_result *result, uint32_t tokens, struct bench_speedup *speedup)
{
	const struct bench_record *layer_gqe = bench_find(result, GQE_BENCH_LAYER, GQE_ATTENTION_GQE, tokens);
	const struct bench_record *layer_gqa = bench_find(result, GQE_BENCH_LAYER, GQE_ATTENTION_GQA, tokens);
	const struct bench_record *gqe = bench_find(result, GQE_BENCH_ATTENTION, GQE_ATTENTION_GQE, tokens);
	const struct bench_record *gqa = bench_find(result, GQE_BENCH_ATTENTION, GQE_ATTENTION_GQA, tokens);
	const bool has_layer = layer_gqe && layer_gqa, has_attention = gqe && gqa;
	*speedup = (struct bench_speedup){tokens, NAN, NAN, NAN, NAN};
	if (has_layer) {
		const int step = GQE_LAYER_STEP_ATTENTION;
		speedup->layer = median_ratio(result, layer_gqa, layer_gqe, milliseconds);
		speedup->bound_layer = layer_gqa->info.flop / layer_gqe->info.flop;
		speedup->attention = median_ratio(result, layer_gqa, layer_gqe, attention_ms);
		speedup->bound_attention = layer_gqa->info.step_flop[step] / layer_gqe->info.step_flop[step];
	}
	if (has_attention) { /* alone is more exact than as a part */
		speedup->attention = median_ratio(result, gqa, gqe, milliseconds);
		speedup->bound_attention = gqa->info.flop / gqe->info.flop;
	}
	return has_layer || has_attention;
}
