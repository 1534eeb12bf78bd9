/* Layers, attention and projections in growing lengths, on every path and in every dtype. */
#include "report.h"

#include "bench_measure.h"
#include "interrupt.h"
#include "platform.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * A path first climbs, which finds the rungs that fit, and then takes samples in rounds: every rung once in each, one after the
 * other, so that the samples of a rung lie seconds apart and are spread over all of the time. Another program that shares the
 * processor, or a clock that is throttled, slows down whole seconds: what samples of one moment agree on need not hold in the next.
 */
enum { MOST_SAMPLES = 5 /* of a round */, LEAST_ROUNDS = 10, MOST_ROUNDS = 40 };
/* Passes that are shorter are warmed up, and sampled again, for this long in each round. */
#define RUNG_SECONDS_QUICK 0.03
#define RUNG_SECONDS_FULL 0.1
/* Both dtypes share a path's time; most is for f32, as every device has it. */
#define F32_PART 0.65
/* The f32 peak, which shows how the machine drifts, is sampled again when this long has passed. */
#define PEAK_SECONDS 0.3
/* Of the time that is left, for the preferred path; and for each other one but the last. */
#define PREFERRED_PART 0.8
#define OTHERS_PART 0.5
/* That a path must have left, to be checked only now. */
#define CHECK_SECONDS 45.0
/* Of the first path's time, for the model's part of the rounds. */
#define MODEL_PART 0.2
/* Of the device's heap: what rungs may hold between rounds. The others are made anew in each round. */
#define HELD_PART 0.25

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

/* What is measured at the rungs of a ladder; of the last there is one rung. */
static const gqe_bench_what ascent_whats[] = {GQE_BENCH_LAYER, GQE_BENCH_ATTENTION, GQE_BENCH_GEMM};
enum { ASCENT_LAYER, ASCENT_ATTENTION, ASCENT_GEMM, ASCENT_KINDS };

/* A length of a ladder, in a dtype: GQE and dense GQA in turn. */
struct rung {
	const struct ladder *ladder;
	gqe_dtype dtype;
	gqe_bench_what what;
	uint32_t tokens;
	gqe_bench *benches[2]; /* NULL: made anew in each round */
	size_t entries[2];     /* in the record */
	bool has_entries;
	double seconds, pair_seconds; /* of the last round, and of a pass of both in it; 0 before the first */
};

/* How far a ladder was climbed in a dtype. */
struct ascent {
	const struct ladder *ladder;
	gqe_dtype dtype;
	uint32_t next_tokens[ASCENT_KINDS]; /* of the next rung of a kind; beyond the ladder's highest: it is done */
	double seconds_per_flop;            /* of the last rung; 0 before the first */
};

/* One context: a path. */
struct climb {
	struct report *report;
	gqe_context *context;
	gqe_path path;
	bool preferred;
	bool has_own_f32; /* paths that are for f16 take the subgroup path's kernels for f32: those are measured once */
	bool is_last_try; /* what finds no time now is left out */
	struct rung *rungs;
	size_t rung_count;
	double heap_bytes, held_bytes;
	gqe_bench *peaks[BENCH_PEAK_COUNT]; /* NULL: the device has none */
	double peak_sampled;                /* when the f32 peak was, last */
	double until;                       /* no rung is begun that, with all rounds so far, would not be done by then */
	double began, end;                  /* of the time of this path */
	struct report_model *model;         /* NULL: its rounds are another path's */
	int model_stride;                   /* it takes part in every so many rounds */
	double create_seconds;              /* the least of the rungs so far; 0 before the second, as the first compiles */
	double seconds_per_flop;            /* of the last rung; 0 before the first */
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

/* Each context finds its own size of sample: times are scaled to the first one's. */
static gqe_status sample_peak(struct climb *climb, int which, gqe_error *error)
{
	struct record *record = climb->report->record;
	gqe_bench_times times;
	if (!climb->peaks[which])
		return GQE_OK;
	const char *what = gqe_bench_what_name(bench_peak_what(which));
	const gqe_bench_info info = gqe_bench_get_info(climb->peaks[which]);
	gqe_status status = gqe_bench_sample(climb->peaks[which], &times, error);
	if (status != GQE_OK)
		return status;
	struct record_peak *peak = find_peak(record, what);
	if (!peak) {
		peak = record_grow(&record->peaks, &record->peak_count, sizeof(*peak));
		if (!peak)
			return error_no_memory(error);
		snprintf(peak->what, sizeof(peak->what), "%s", what);
		peak->amount = info.flop + info.bytes;
	}
	const double scale = peak->amount / (info.flop + info.bytes);
	times.gpu_ms *= scale;
	times.wall_ms *= scale;
	times.cpu_ms *= scale;
	if (which == BENCH_PEAK_F32)
		climb->peak_sampled = now_seconds();
	return report_add_sample(climb->report, &peak->samples, &times, true, error);
}

/* A new round begins with a sample of every peak. */
static gqe_status begin_round(struct climb *climb, gqe_error *error)
{
	gqe_status status = GQE_OK;
	climb->report->round++;
	for (int i = 0; i < BENCH_PEAK_COUNT && status == GQE_OK; i++)
		status = sample_peak(climb, i, error);
	return status;
}

/* An entry without samples yet, for a bench. */
static void describe_entry(const struct climb *climb, const struct rung *rung, gqe_attention attention, const gqe_bench_info *info,
			   struct record_entry *entry)
{
	const gqe_layer_config *config = &rung->ladder->config;
	*entry = (struct record_entry){
		.preferred = climb->preferred,
		.shape = {config->hidden_size, config->heads, config->kv_heads, config->top_k, config->head_dim},
		.tokens = rung->tokens,
		.computed = rung->tokens,
		.flop = info->flop,
		.memory_bytes = (double)info->memory_bytes,
	};
	snprintf(entry->what, sizeof(entry->what), "%s", gqe_bench_what_name(rung->what));
	snprintf(entry->attention, sizeof(entry->attention), "%s", bench_attention_name(attention));
	snprintf(entry->path, sizeof(entry->path), "%s", gqe_path_name(info->path));
	snprintf(entry->dtype, sizeof(entry->dtype), "%s", bench_dtype_name(rung->dtype));
	snprintf(entry->routing, sizeof(entry->routing), "%s", bench_routing_name(GQE_BENCH_UNIFORM));
	snprintf(entry->peak, sizeof(entry->peak), "%s", gqe_bench_what_name(bench_peak_what(bench_peak_of(info->path))));
	memcpy(entry->step_flop, info->step_flop, sizeof(entry->step_flop));
}

static gqe_status add_entry_sample(struct report *report, struct record_entry *entry, const gqe_bench_times *times,
				   gqe_error *error)
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
	return report_add_sample(report, &entry->samples, times, true, error);
}

static const gqe_attention attentions[2] = {GQE_ATTENTION_GQE, GQE_ATTENTION_GQA};

static void destroy_pair(struct rung *rung)
{
	for (size_t i = 0; i < 2; i++)
		gqe_bench_destroy(&rung->benches[i]);
}

static gqe_status create_pair(struct climb *climb, struct rung *rung, gqe_error *error)
{
	gqe_status status = GQE_OK;
	for (size_t i = 0; i < 2 && status == GQE_OK; i++) {
		const gqe_layer_config config = layer_config(rung->ladder, attentions[i]);
		const gqe_bench_params params = {
			.size = sizeof(params),
			.what = rung->what,
			.config = &config,
			.tokens = rung->tokens,
			.dtype = rung->dtype,
			.routing = GQE_BENCH_UNIFORM,
			.cancelled = report_must_stop,
			.user = climb->report,
		};
		status = gqe_bench_create(climb->context, &params, &rung->benches[i], error);
	}
	if (status != GQE_OK)
		destroy_pair(rung);
	return status;
}

static double pair_bytes(const struct rung *rung)
{
	return (double)gqe_bench_get_info(rung->benches[0]).memory_bytes +
	       (double)gqe_bench_get_info(rung->benches[1]).memory_bytes;
}

/* Memory that the rungs below hold may be what this one lacks: they are made anew from then on. */
static gqe_status create_pair_alone(struct climb *climb, struct rung *rung, gqe_error *error)
{
	gqe_status status = create_pair(climb, rung, error);
	if (status != GQE_ERROR_OUT_OF_MEMORY || climb->held_bytes <= 0)
		return status;
	for (size_t i = 0; i < climb->rung_count; i++)
		destroy_pair(&climb->rungs[i]);
	climb->heap_bytes = climb->held_bytes = 0;
	return create_pair(climb, rung, error);
}

static gqe_status add_entries(struct climb *climb, struct rung *rung, gqe_error *error)
{
	struct record *record = climb->report->record;
	for (size_t i = 0; i < 2; i++) {
		const gqe_bench_info info = gqe_bench_get_info(rung->benches[i]);
		rung->entries[i] = record->entry_count;
		struct record_entry *entry = record_grow(&record->entries, &record->entry_count, sizeof(*entry));
		if (!entry)
			return error_no_memory(error);
		describe_entry(climb, rung, attentions[i], &info, entry);
	}
	rung->has_entries = true;
	return GQE_OK;
}

/* A pass of GQE and one of dense GQA; kept only when both were made. */
static gqe_status sample_pair(struct climb *climb, struct rung *rung, bool keep, gqe_error *error)
{
	gqe_bench_times times[2];
	gqe_status status = GQE_OK;
	for (size_t i = 0; i < 2 && status == GQE_OK; i++)
		status = gqe_bench_sample(rung->benches[i], &times[i], error);
	if (status == GQE_OK && keep && !rung->has_entries)
		status = add_entries(climb, rung, error);
	for (size_t i = 0; i < 2 && keep && status == GQE_OK; i++)
		status = add_entry_sample(climb->report, &climb->report->record->entries[rung->entries[i]], &times[i], error);
	return status;
}

static gqe_status sample_rung(struct climb *climb, struct rung *rung, gqe_error *error)
{
	const double least_seconds = climb->report->full ? RUNG_SECONDS_FULL : RUNG_SECONDS_QUICK;
	gqe_status status = GQE_OK;
	/* In a long pass what is cold at its begin plays no part. */
	if (rung->pair_seconds < least_seconds)
		status = sample_pair(climb, rung, false, error);
	const double began = now_seconds();
	uint32_t pairs = 0;
	while (status == GQE_OK && (pairs == 0 || (pairs < MOST_SAMPLES && now_seconds() < began + least_seconds))) {
		status = sample_pair(climb, rung, true, error);
		pairs++;
	}
	rung->pair_seconds = (now_seconds() - began) / pairs;
	return status;
}

/* A rung's part of a round. */
static gqe_status visit_rung(struct climb *climb, struct rung *rung, gqe_error *error)
{
	const double began = now_seconds();
	const bool is_held = rung->benches[0] != NULL;
	gqe_status status = GQE_OK;
	if (began > climb->peak_sampled + PEAK_SECONDS)
		status = sample_peak(climb, BENCH_PEAK_F32, error);
	const double create_began = now_seconds();
	if (status == GQE_OK && !is_held)
		status = create_pair_alone(climb, rung, error);
	const double created = now_seconds();
	if (status == GQE_OK)
		status = sample_rung(climb, rung, error);
	if (status == GQE_OK && !is_held) {
		const double bytes = pair_bytes(rung);
		if (climb->rung_count > 0)
			climb->create_seconds = climb->create_seconds > 0 ? fmin(climb->create_seconds, created - create_began)
									  : created - create_began;
		if (climb->report->prepare_seconds <= 0)
			climb->report->prepare_seconds = created - climb->began;
		climb->seconds_per_flop = rung->pair_seconds / (2 * rung_flop(rung->ladder, rung->what, rung->tokens));
		if (climb->held_bytes + bytes <= HELD_PART * climb->heap_bytes)
			climb->held_bytes += bytes;
		else
			destroy_pair(rung);
	}
	rung->seconds = rung->benches[0] ? now_seconds() - created : now_seconds() - began;
	return status;
}

/* ------------------------------------------------------------------------------------------------------------- climbing -- */

static double round_seconds(const struct climb *climb)
{
	double seconds = 0;
	for (size_t i = 0; i < climb->rung_count; i++)
		seconds += climb->rungs[i].seconds;
	return seconds;
}

/* Compiling cannot be stopped: a path that would spend its time on it is not begun. */
static bool can_begin(const struct report *report, double seconds)
{
	return seconds > 2 * report->prepare_seconds;
}

/* Whether the rung, and then its part of the rounds, fit into what is left, judged by the last one of its ladder, or of all. */
static bool fits(const struct climb *climb, const struct ascent *ascent, gqe_bench_what what, uint32_t tokens)
{
	const double seconds_per_flop = ascent->seconds_per_flop > 0 ? ascent->seconds_per_flop : climb->seconds_per_flop;
	const double pair_seconds = 2 * seconds_per_flop * rung_flop(ascent->ladder, what, tokens);
	/* One pass when the bench is made, one to warm up, one that counts. */
	return now_seconds() + climb->create_seconds + 3 * pair_seconds + LEAST_ROUNDS * (round_seconds(climb) + pair_seconds) <
	       climb->until;
}

static gqe_status leave_out(struct climb *climb, const struct ascent *ascent, int kind, const char *reason, gqe_error *error)
{
	return report_skip(climb->report, reason, error, "%s shape, %s path, %s: %s of %u tokens%s", ascent->ladder->name,
			   gqe_path_name(climb->path), bench_dtype_name(ascent->dtype), gqe_bench_what_name(ascent_whats[kind]),
			   ascent->next_tokens[kind], kind == ASCENT_GEMM ? "" : " and more");
}

/* Takes the next rung of a kind. *ended: there is none, or no time for it now; or it is left out, and none is taken later. */
static gqe_status try_rung(struct climb *climb, struct ascent *ascent, int kind, bool *ended, gqe_error *error)
{
	const uint32_t tokens = ascent->next_tokens[kind], most = kind == ASCENT_GEMM   ? ascent->ladder->gemm_rows
								  : climb->report->full ? ascent->ladder->full_tokens
											: ascent->ladder->quick_tokens;
	*ended = true;
	if (tokens > most)
		return GQE_OK;
	if (interrupt_seen())
		return error_set(error, GQE_CANCELLED, "cancelled");
	if (!fits(climb, ascent, ascent_whats[kind], tokens))
		return climb->is_last_try ? leave_out(climb, ascent, kind, "no time was left", error) : GQE_OK;
	/* A rung that is dearer than it looked, as when a driver compiles slowly, may go on. */
	climb->report->deadline = climb->end;
	gqe_error cause = {0};
	struct rung rung = {.ladder = ascent->ladder, .dtype = ascent->dtype, .what = ascent_whats[kind], .tokens = tokens};
	gqe_status status = visit_rung(climb, &rung, &cause);
	if (status == GQE_OK) {
		struct rung *kept = record_grow(&climb->rungs, &climb->rung_count, sizeof(*kept));
		if (!kept) {
			destroy_pair(&rung);
			return error_no_memory(error);
		}
		*kept = rung;
		/* A projection is faster than what is climbed. */
		if (kind != ASCENT_GEMM)
			ascent->seconds_per_flop = climb->seconds_per_flop;
		ascent->next_tokens[kind] = 2 * tokens;
		*ended = false;
		return GQE_OK;
	}
	destroy_pair(&rung);
	if ((status == GQE_CANCELLED && interrupt_seen()) || status == GQE_ERROR_DEVICE_LOST || status == GQE_ERROR_INTERNAL)
		return *error = cause, status;
	status = leave_out(climb, ascent, kind, status == GQE_CANCELLED ? "took longer than the time left" : cause.message, error);
	ascent->next_tokens[kind] = UINT32_MAX;
	return status;
}

/* Layers and attention in turn, the shorter one first; the projection as soon as a layer was taken, as its pipelines are the
 * layer's. */
static int next_kind(const struct ascent *ascent, const bool ended[ASCENT_KINDS])
{
	if (!ended[ASCENT_GEMM] && ascent->next_tokens[ASCENT_LAYER] > ascent->ladder->first_tokens)
		return ASCENT_GEMM;
	if (ended[ASCENT_LAYER] && ended[ASCENT_ATTENTION])
		return ASCENT_GEMM;
	const bool is_shorter = ascent->next_tokens[ASCENT_ATTENTION] < ascent->next_tokens[ASCENT_LAYER];
	return ended[ASCENT_LAYER] || (!ended[ASCENT_ATTENTION] && is_shorter) ? ASCENT_ATTENTION : ASCENT_LAYER;
}

static gqe_status climb_ladder(struct climb *climb, struct ascent *ascent, gqe_error *error)
{
	bool ended[ASCENT_KINDS] = {false};
	gqe_status status = GQE_OK;
	while (status == GQE_OK && !(ended[ASCENT_LAYER] && ended[ASCENT_ATTENTION] && ended[ASCENT_GEMM])) {
		const int kind = next_kind(ascent, ended);
		status = try_rung(climb, ascent, kind, &ended[kind], error);
	}
	return status;
}

/*
 * Every dtype, every ladder: first each within its part of the time, the small ladder in half of a dtype's; and then what found no
 * time there, in that which the others left, or will not use: the first rungs of a path compile, which says little about the
 * others.
 */
static gqe_status climb_ladders(struct climb *climb, size_t dtype_count, double last_end, gqe_error *error)
{
	const gqe_dtype dtypes[2] = {GQE_DTYPE_F32, GQE_DTYPE_F16};
	const double began = now_seconds(), own_part = climb->model ? 1 - MODEL_PART : 1;
	struct ascent ascents[2 * LADDER_COUNT];
	size_t count = 0;
	double part = 0;
	gqe_status status = begin_round(climb, error);
	for (size_t d = climb->has_own_f32 ? 0 : 1; d < dtype_count && status == GQE_OK; d++) {
		const double dtype_part = dtype_count == 1 || !climb->has_own_f32 ? 1 : d == 0 ? F32_PART : 1 - F32_PART;
		for (size_t i = 0; i < LADDER_COUNT && status == GQE_OK; i++) {
			const struct ladder *ladder = &ladders[i];
			ascents[count] = (struct ascent){
				.ladder = ladder,
				.dtype = dtypes[d],
				.next_tokens = {ladder->first_tokens, ladder->first_tokens, ladder->gemm_rows},
			};
			part += dtype_part / LADDER_COUNT;
			climb->until = began + part * own_part * (climb->end - began);
			status = climb_ladder(climb, &ascents[count++], error);
		}
	}
	if (!can_begin(climb->report, OTHERS_PART * (last_end - climb->end)))
		climb->end = last_end;
	climb->is_last_try = true;
	climb->until = began + own_part * (climb->end - began);
	for (size_t i = 0; i < count && status == GQE_OK; i++)
		status = climb_ladder(climb, &ascents[i], error);
	return status;
}

/* The model's first round is the climb's, and as many others follow as its part of the time allows. */
static gqe_status begin_model(struct climb *climb, gqe_error *error)
{
	const double seconds = MODEL_PART * (climb->end - climb->began);
	if (!climb->model)
		return GQE_OK;
	climb->report->progress.label = "model";
	gqe_status status = report_model_begin(climb->model, climb->context, seconds, climb->seconds_per_flop, error);
	climb->report->progress.label = "speed";
	climb->model_stride = 1 + (int)(LEAST_ROUNDS * report_model_seconds(climb->model) / seconds);
	return status;
}

static bool has_model(const struct climb *climb, int round)
{
	return report_model_seconds(climb->model) > 0 && round % climb->model_stride == 0;
}

/* The time is over in the middle of a round now and then: its last rungs have a sample less. */
static gqe_status take_rounds(struct climb *climb, gqe_error *error)
{
	gqe_status status = begin_model(climb, error);
	climb->report->deadline = climb->end;
	for (int round = 1; round < MOST_ROUNDS && climb->rung_count > 0 && status == GQE_OK; round++) {
		const double model_seconds = has_model(climb, round) ? report_model_seconds(climb->model) : 0;
		if (now_seconds() + round_seconds(climb) + model_seconds > climb->end)
			break;
		status = begin_round(climb, error);
		for (size_t i = 0; i < climb->rung_count && status == GQE_OK; i++)
			status = visit_rung(climb, &climb->rungs[i], error);
		if (status == GQE_OK && model_seconds > 0)
			status = report_model_round(climb->model, error);
	}
	return status == GQE_CANCELLED && !interrupt_seen() ? GQE_OK : status;
}

/* One path, every dtype. */
static gqe_status climb_path(struct report *report, const gqe_device_info *device, gqe_path path, bool preferred,
			     struct report_model *model, double until, double last_end, gqe_error *error)
{
	struct program program = *report->program;
	struct climb climb = {.report = report,
			      .path = path,
			      .preferred = preferred,
			      .model = model,
			      .has_own_f32 = preferred || report->program->path || path == GQE_PATH_SCALAR,
			      .began = now_seconds(),
			      .end = until,
			      .heap_bytes = (double)device->heap_bytes};
	program.path = (int)path;
	report->deadline = until;
	gqe_status status = program_context(&program, &climb.context, error);
	if (status == GQE_OK)
		status = create_peaks(&climb, error);
	if (status == GQE_OK)
		status = climb_ladders(&climb, device->has_16bit_storage ? 2 : 1, last_end, error);
	if (status == GQE_OK)
		status = take_rounds(&climb, error);
	for (size_t i = 0; i < climb.rung_count; i++)
		destroy_pair(&climb.rungs[i]);
	free(climb.rungs);
	for (int i = 0; i < BENCH_PEAK_COUNT; i++)
		gqe_bench_destroy(&climb.peaks[i]);
	report_model_end(model);
	if (status == GQE_OK)
		status = program_check_validation(&program, climb.context, error);
	gqe_context_destroy(&climb.context);
	return status;
}

/*
 * What a device prefers, and the paths below it, were checked at first. A path above it is one that it has and would not use, such
 * as matrices computed by a CPU driver, whose compiler may take half a minute for one of them, which nothing can stop.
 */
static gqe_status check_other(struct report *report, const gqe_device_info *device, gqe_path path, double seconds, gqe_error *error)
{
	return report_is_checked(report, path) || seconds < CHECK_SECONDS ? GQE_OK : report_selftest(report, device, path, error);
}

gqe_status report_ladders(struct report *report, const gqe_device_info *device, double end, gqe_error *error)
{
	struct report_model *model = report->model;
	report->progress.label = "speed";
	/* The preferred path, the last of the list, first, and with the most time. */
	for (uint32_t i = device->path_count; i-- > 0;) {
		const gqe_path path = device->paths[i];
		const bool preferred = i + 1 == device->path_count;
		const double now = now_seconds();
		if (report->program->path && (gqe_path)report->program->path != path)
			continue;
		const double part = i == 0 || report->program->path ? 1 : preferred ? PREFERRED_PART : OTHERS_PART;
		gqe_status status = check_other(report, device, path, part * (end - now), error);
		if (status != GQE_OK)
			return status;
		status = can_begin(report, part * (end - now)) && report_is_checked(report, path)
				 ? climb_path(report, device, path, preferred, model, now + part * (end - now), end, error)
				 : GQE_CANCELLED;
		/* Out of time already while compiling, or while the peaks were measured: the next path may still fit. */
		if (status == GQE_CANCELLED && !interrupt_seen()) {
			status = report_skip(report, "no time was left", error, "the whole %s path", gqe_path_name(path));
			if (status == GQE_OK && model)
				status = report_skip(report, "no time was left", error, "the run of %s", report->model_folder);
		}
		model = NULL; /* its run is the first path's */
		if (status != GQE_OK)
			return status;
	}
	return GQE_OK;
}
