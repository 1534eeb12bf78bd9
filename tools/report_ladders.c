/* Layers, attention and projections in growing lengths, on every path and in every dtype. */
#include "report.h"

#include "bench_measure.h"
#include "interrupt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * Every rung is visited several times, with the others in between, so that its samples are not all of one moment: another program
 * that shares the processor, or a clock that is throttled, slows down whole seconds. Warm-ups and samples are those of a visit.
 */
enum { VISITS = 3, WARMUPS = 1, MOST_SAMPLES = 9 };
/* The later visits may find no time any more: the first one must be enough by itself. */
static const uint32_t least_samples[VISITS] = {5, 3, 3};
/* When each visit ends, in parts of the time: the first one also compiles. */
static const double visit_ends[VISITS] = {0.5, 0.75, 1};
/* A rung whose passes are short takes more samples than the least, this long. */
#define RUNG_SECONDS_QUICK 0.15
#define RUNG_SECONDS_FULL 0.7
#define F32_PART 0.65

/* Shapes: one that every device can climb, the demo model's; and the paper's. */
static const struct ladder {
	const char *name;
	gqe_layer_config config;
	uint32_t first_tokens, quick_tokens, full_tokens, gemm_rows;
} ladders[] = {
	{"small",
	 {.hidden_size = 256, .heads = 8, .kv_heads = 4, .head_dim = 32, .top_k = 1},
	 .first_tokens = 64,
	 .quick_tokens = 1024,
	 .full_tokens = 4096,
	 .gemm_rows = 256},
	{"paper",
	 {.hidden_size = 1024, .heads = 16, .kv_heads = 8, .head_dim = 64, .top_k = 1},
	 .first_tokens = 256,
	 .quick_tokens = 16384,
	 .full_tokens = 131072,
	 .gemm_rows = 1024},
};
#define LADDER_COUNT (sizeof(ladders) / sizeof(ladders[0]))

/* One context: a path. */
struct climb {
	struct report *report;
	gqe_context *context;
	gqe_path path;
	bool preferred;
	gqe_dtype dtype;
	const struct ladder *ladder;
	int visit;
	gqe_bench *peaks[BENCH_PEAK_COUNT];      /* NULL: the device has none */
	double until;                            /* no rung is begun that would not be done by then */
	double end;                              /* of the time of this path and dtype */
	double create_seconds, seconds_per_flop; /* of the rungs so far, the least, and the last; 0 before the first */
};

/* The paper's layer: a shared head on the first group's K and V, the weighted-sum slot. */
static gqe_layer_config layer_config(const struct ladder *ladder, gqe_attention attention)
{
	gqe_layer_config config = ladder->config;
	config.attention = attention;
	config.rope = GQE_ROPE_HALF;
	config.rope_theta = 10000;
	config.shared_head = true;
	config.shared_kv = GQE_SHARED_KV_GROUP;
	config.weighted_sum_slot = true;
	config.slot_order = GQE_SLOT_ORDER_RANK;
	return config;
}

/* Operations of a pass of dense GQA; GQE's are fewer. */
static double rung_flop(const struct ladder *ladder, gqe_bench_what what, uint32_t tokens)
{
	const gqe_layer_config *c = &ladder->config;
	const double heads = (double)c->heads * c->head_dim, kv_heads = (double)c->kv_heads * c->head_dim;
	const double attention = 2.0 * heads * tokens * (tokens + 1.0);
	const double projections = 2.0 * tokens * c->hidden_size * (2 * heads + 2 * kv_heads);
	if (what == GQE_BENCH_GEMM)
		return 2.0 * tokens * c->hidden_size * heads;
	return what == GQE_BENCH_ATTENTION ? attention : attention + projections;
}

static gqe_status create_peaks(struct climb *climb, gqe_error *error)
{
	for (int i = 0; i < BENCH_PEAK_COUNT; i++) {
		const gqe_bench_params params = {
			.size = sizeof(params), .what = bench_peak_what(i), .cancelled = report_must_stop, .user = climb->report};
		gqe_error cause;
		gqe_status status = gqe_bench_create(climb->context, &params, &climb->peaks[i], &cause);
		if (status != GQE_OK && status != GQE_ERROR_NO_DEVICE)
			return *error = cause, status;
	}
	return GQE_OK;
}

static struct record_peak *find_peak(struct record *record, const char *what)
{
	for (size_t i = 0; i < record->peak_count; i++)
		if (strcmp(record->peaks[i].what, what) == 0)
			return &record->peaks[i];
	return NULL;
}

/* A sample of every peak. Each context finds its own size of sample; only those of the first one's size are kept together. */
static gqe_status sample_peaks(struct climb *climb, gqe_error *error)
{
	struct record *record = climb->report->record;
	for (int i = 0; i < BENCH_PEAK_COUNT; i++) {
		gqe_bench_times times;
		if (!climb->peaks[i])
			continue;
		const char *what = gqe_bench_what_name(bench_peak_what(i));
		const gqe_bench_info info = gqe_bench_get_info(climb->peaks[i]);
		struct record_peak *peak = find_peak(record, what);
		if (!peak) {
			peak = record_grow(&record->peaks, &record->peak_count, sizeof(*peak));
			if (!peak)
				return error_no_memory(error);
			snprintf(peak->what, sizeof(peak->what), "%s", what);
			peak->amount = info.flop + info.bytes;
		}
		gqe_status status = gqe_bench_sample(climb->peaks[i], &times, error);
		const double scale = peak->amount / (info.flop + info.bytes);
		times.gpu_ms *= scale;
		times.wall_ms *= scale;
		times.cpu_ms *= scale;
		if (status == GQE_OK && peak->samples.count < RECORD_MOST_SAMPLES)
			status = report_add_sample(&peak->samples, &times, true, error);
		if (status != GQE_OK)
			return status;
	}
	return GQE_OK;
}

/* An entry without samples yet, for a bench. */
static void describe_entry(const struct climb *climb, gqe_bench_what what, gqe_attention attention, uint32_t tokens,
			   const gqe_bench_info *info, struct record_entry *entry)
{
	const gqe_layer_config *config = &climb->ladder->config;
	*entry = (struct record_entry){
		.preferred = climb->preferred,
		.shape = {config->hidden_size, config->heads, config->kv_heads, config->top_k, config->head_dim},
		.tokens = tokens,
		.computed = tokens,
		.flop = info->flop,
		.memory_bytes = (double)info->memory_bytes,
	};
	snprintf(entry->what, sizeof(entry->what), "%s", gqe_bench_what_name(what));
	snprintf(entry->attention, sizeof(entry->attention), "%s", bench_attention_name(attention));
	snprintf(entry->path, sizeof(entry->path), "%s", gqe_path_name(info->path));
	snprintf(entry->dtype, sizeof(entry->dtype), "%s", bench_dtype_name(climb->dtype));
	snprintf(entry->routing, sizeof(entry->routing), "%s", bench_routing_name(GQE_BENCH_UNIFORM));
	snprintf(entry->peak, sizeof(entry->peak), "%s", gqe_bench_what_name(bench_peak_what(bench_peak_of(info->path))));
	memcpy(entry->step_flop, info->step_flop, sizeof(entry->step_flop));
}

static gqe_status add_entry_sample(struct record_entry *entry, const gqe_bench_times *times, gqe_error *error)
{
	for (int step = GQE_LAYER_STEP_OTHER + 1; step < GQE_LAYER_STEP_COUNT; step++) {
		/* A part that this kind does not have takes no time in the first sample, nor in any other. */
		if (entry->samples.count > 0 ? !entry->step_ms[step] : times->step_ms[step] <= 0)
			continue;
		double *grown = realloc(entry->step_ms[step], (entry->samples.count + 1) * sizeof(*grown));
		if (!grown)
			return error_no_memory(error);
		grown[entry->samples.count] = times->step_ms[step];
		entry->step_ms[step] = grown;
	}
	return report_add_sample(&entry->samples, times, true, error);
}

static const gqe_attention attentions[2] = {GQE_ATTENTION_GQE, GQE_ATTENTION_GQA};

static gqe_status create_pair(struct climb *climb, gqe_bench_what what, uint32_t tokens, gqe_bench *benches[2],
			      struct record_entry entries[2], gqe_error *error)
{
	for (size_t i = 0; i < 2; i++) {
		const gqe_layer_config config = layer_config(climb->ladder, attentions[i]);
		const gqe_bench_params params = {
			.size = sizeof(params),
			.what = what,
			.config = &config,
			.tokens = tokens,
			.dtype = climb->dtype,
			.routing = GQE_BENCH_UNIFORM,
			.cancelled = report_must_stop,
			.user = climb->report,
		};
		gqe_status status = gqe_bench_create(climb->context, &params, &benches[i], error);
		if (status != GQE_OK)
			return status;
		const gqe_bench_info info = gqe_bench_get_info(benches[i]);
		describe_entry(climb, what, attentions[i], tokens, &info, &entries[i]);
	}
	return GQE_OK;
}

/* GQE and dense GQA in turn, until there are samples enough. */
static gqe_status sample_pair(const struct climb *climb, gqe_bench *benches[2], struct record_entry entries[2], gqe_error *error)
{
	const double until = now_seconds() + (climb->report->full ? RUNG_SECONDS_FULL : RUNG_SECONDS_QUICK);
	for (uint32_t round = 0; round < WARMUPS + MOST_SAMPLES; round++) {
		if (round >= WARMUPS + least_samples[climb->visit] && now_seconds() > until)
			break;
		for (size_t i = 0; i < 2; i++) {
			gqe_bench_times times;
			gqe_status status = gqe_bench_sample(benches[i], &times, error);
			if (status == GQE_OK && round >= WARMUPS)
				status = add_entry_sample(&entries[i], &times, error);
			if (status != GQE_OK)
				return status;
		}
	}
	return GQE_OK;
}

/* What an earlier visit left of the same rung and attention; NULL: it is the first. */
static struct record_entry *find_entry(const struct record *record, const struct climb *climb, gqe_bench_what what, uint32_t tokens,
				       gqe_attention attention)
{
	for (size_t i = 0; i < record->entry_count; i++) {
		struct record_entry *entry = &record->entries[i];
		if (strcmp(entry->what, gqe_bench_what_name(what)) == 0 && entry->tokens == tokens &&
		    strcmp(entry->attention, bench_attention_name(attention)) == 0 &&
		    strcmp(entry->path, gqe_path_name(climb->path)) == 0 &&
		    strcmp(entry->dtype, bench_dtype_name(climb->dtype)) == 0 &&
		    entry->shape.hidden == climb->ladder->config.hidden_size)
			return entry;
	}
	return NULL;
}

static gqe_status append_samples(struct record_entry *to, const struct record_entry *from, gqe_error *error)
{
	gqe_status status = GQE_OK;
	for (uint32_t i = 0; i < from->samples.count && status == GQE_OK; i++) {
		gqe_bench_times times = {
			.gpu_ms = from->samples.gpu_ms[i], .wall_ms = from->samples.wall_ms[i], .cpu_ms = from->samples.cpu_ms[i]};
		for (int step = 0; step < GQE_LAYER_STEP_COUNT; step++)
			times.step_ms[step] = from->step_ms[step] ? from->step_ms[step][i] : 0;
		status = add_entry_sample(to, &times, error);
	}
	return status;
}

/* Moves the entry, samples and all, to the record, or its samples to the entry of an earlier visit. */
static gqe_status keep_entry(const struct climb *climb, gqe_bench_what what, uint32_t tokens, gqe_attention attention,
			     struct record_entry *entry, gqe_error *error)
{
	struct record *record = climb->report->record;
	struct record_entry *kept = find_entry(record, climb, what, tokens, attention);
	if (kept)
		return append_samples(kept, entry, error);
	kept = record_grow(&record->entries, &record->entry_count, sizeof(*kept));
	if (!kept)
		return error_no_memory(error);
	*kept = *entry;
	*entry = (struct record_entry){0};
	return GQE_OK;
}

static gqe_status measure_rung(struct climb *climb, gqe_bench_what what, uint32_t tokens, gqe_error *error)
{
	gqe_bench *benches[2] = {NULL, NULL};
	struct record_entry entries[2] = {0};
	const double began = now_seconds();
	gqe_status status = sample_peaks(climb, error);
	if (status == GQE_OK)
		status = create_pair(climb, what, tokens, benches, entries, error);
	const double created = now_seconds();
	if (status == GQE_OK)
		status = sample_pair(climb, benches, entries, error);
	const double sampled = now_seconds();
	const uint32_t passes = WARMUPS + entries[1].samples.count;
	for (size_t i = 0; i < 2; i++) {
		gqe_bench_destroy(&benches[i]);
		if (status == GQE_OK)
			status = keep_entry(climb, what, tokens, attentions[i], &entries[i], error);
		record_entry_free(&entries[i]);
	}
	if (status == GQE_OK) {
		/* The least, as the first of a kind compiles its pipelines and the later ones find them. */
		climb->create_seconds =
			climb->seconds_per_flop > 0 ? fmin(climb->create_seconds, created - began) : created - began;
		climb->seconds_per_flop = (sampled - created) / (2 * passes * rung_flop(climb->ladder, what, tokens));
	}
	return status;
}

/* Whether the rung fits into what is left, judged by the last one. */
static bool fits(const struct climb *climb, gqe_bench_what what, uint32_t tokens)
{
	const double passes = 2.0 * (1 + WARMUPS + least_samples[climb->visit]);
	return now_seconds() + climb->create_seconds + climb->seconds_per_flop * passes * rung_flop(climb->ladder, what, tokens) <
	       climb->until;
}

/* Takes a rung, or says why not. *ended: no higher one needs to be tried. */
static gqe_status try_rung(struct climb *climb, gqe_bench_what what, uint32_t tokens, bool *ended, gqe_error *error)
{
	gqe_error cause = {0};
	gqe_status status = GQE_OK;
	const char *reason = "no time was left";
	if (interrupt_seen())
		return error_set(error, GQE_CANCELLED, "cancelled");
	if (climb->visit > 0 && !find_entry(climb->report->record, climb, what, tokens, GQE_ATTENTION_GQA)) {
		*ended = true; /* the first visit came no higher */
		return GQE_OK;
	}
	/* A rung that is dearer than it looked, as when a driver compiles slowly, may go on. */
	climb->report->deadline = climb->end;
	if (fits(climb, what, tokens)) {
		status = measure_rung(climb, what, tokens, &cause);
		if (status == GQE_OK)
			return GQE_OK;
		if (status == GQE_CANCELLED && interrupt_seen())
			return *error = cause, status;
		if (status == GQE_ERROR_DEVICE_LOST || status == GQE_ERROR_INTERNAL)
			return *error = cause, status;
		reason = status == GQE_CANCELLED ? "took longer than the time left" : cause.message;
	}
	*ended = true;
	if (climb->visit > 0)
		return GQE_OK; /* it has samples already */
	return report_skip(climb->report, reason, error, "%s shape, %s path, %s: %s of %u tokens and more", climb->ladder->name,
			   gqe_path_name(climb->path), bench_dtype_name(climb->dtype), gqe_bench_what_name(what), tokens);
}

static gqe_status climb_ladder(struct climb *climb, gqe_error *error)
{
	const uint32_t most = climb->report->full ? climb->ladder->full_tokens : climb->ladder->quick_tokens;
	bool no_gemm = false, no_layer = false, no_attention = false;
	gqe_status status = GQE_OK;
	for (uint32_t tokens = climb->ladder->first_tokens; tokens <= most && status == GQE_OK; tokens *= 2) {
		if (!no_layer)
			status = try_rung(climb, GQE_BENCH_LAYER, tokens, &no_layer, error);
		if (status == GQE_OK && !no_attention)
			status = try_rung(climb, GQE_BENCH_ATTENTION, tokens, &no_attention, error);
	}
	/* Last, as its pipelines are the layer's. */
	return status == GQE_OK ? try_rung(climb, GQE_BENCH_GEMM, climb->ladder->gemm_rows, &no_gemm, error) : status;
}

/* One path and dtype. The small ladder may use half of a visit. */
static gqe_status visit_ladders(struct climb *climb, double end, gqe_error *error)
{
	const double began = now_seconds();
	gqe_status status = GQE_OK;
	climb->end = end;
	for (climb->visit = 0; climb->visit < VISITS && status == GQE_OK; climb->visit++) {
		const double now = now_seconds(), visit_end = began + visit_ends[climb->visit] * (end - began);
		for (size_t i = 0; i < LADDER_COUNT && status == GQE_OK; i++) {
			climb->ladder = &ladders[i];
			climb->until = i + 1 == LADDER_COUNT ? visit_end : now + 0.5 * (visit_end - now);
			status = climb_ladder(climb, error);
		}
	}
	return status;
}

/* One path, every dtype. */
static gqe_status climb_path(struct report *report, const gqe_device_info *device, gqe_path path, bool preferred, double until,
			     gqe_error *error)
{
	struct program program = *report->program;
	struct climb climb = {.report = report, .path = path, .preferred = preferred};
	const gqe_dtype dtypes[2] = {GQE_DTYPE_F32, GQE_DTYPE_F16};
	const size_t dtype_count = device->has_16bit_storage ? 2 : 1;
	program.path = (int)path;
	report->deadline = until;
	gqe_status status = program_context(&program, &climb.context, error);
	if (status == GQE_OK)
		status = create_peaks(&climb, error);
	for (size_t i = 0; i < dtype_count && status == GQE_OK; i++) {
		const double now = now_seconds();
		climb.dtype = dtypes[i];
		/* Most of the time for f32, as every device has it. */
		const double end = i + 1 == dtype_count ? until : now + F32_PART * (until - now);
		status = visit_ladders(&climb, end, error);
	}
	for (int i = 0; i < BENCH_PEAK_COUNT; i++)
		gqe_bench_destroy(&climb.peaks[i]);
	if (status == GQE_OK)
		status = program_check_validation(&program, climb.context, error);
	gqe_context_destroy(&climb.context);
	return status;
}

gqe_status report_ladders(struct report *report, const gqe_device_info *device, double seconds, gqe_error *error)
{
	const double end = now_seconds() + seconds;
	report->progress.label = "speed";
	/* The preferred path, the last of the list, first, and with the most time. */
	for (uint32_t i = device->path_count; i-- > 0;) {
		const gqe_path path = device->paths[i];
		const bool preferred = i + 1 == device->path_count;
		const double now = now_seconds();
		if (report->program->path && (gqe_path)report->program->path != path)
			continue;
		const double part = i == 0 || report->program->path ? 1 : preferred ? 0.8 : 0.5;
		gqe_status status = climb_path(report, device, path, preferred, now + part * (end - now), error);
		/* Out of time already while compiling, or while the peaks were measured: the next path may still fit. */
		if (status == GQE_CANCELLED && !interrupt_seen())
			status = report_skip(report, "no time was left", error, "the whole %s path", gqe_path_name(path));
		if (status != GQE_OK)
			return status;
	}
	return GQE_OK;
}
