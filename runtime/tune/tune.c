/*
 * gqe_tune. For each kernel, dtype and amount of work: every candidate is sampled a few times, the best are sampled in turn with
 * the library's own tile, and the winner must pass the self-test. Then the modes of queries, with these tiles, in the same way.
 */
#include <gqe/gqe_bench.h>
#include <gqe/gqe_tune.h>
#include <stdlib.h>
#include <string.h>

#include "attention/context.h"
#include "attention/prepared.h"
#include "common/platform.h"
#include "selftest/selftest.h"
#include "tune/candidates.h"

#define DEFAULT_BUDGET_SECONDS 60
/* A new tile must be so much faster: less is what two runs of the same tile differ by. */
#define LEAST_GAIN 1.03
/* Candidates slower than this many times the best so far are not sampled again. */
#define HOPELESS 1.5
#define SCREEN_SAMPLES 2
#define FINALISTS 3
#define FINAL_ROUNDS 7
/* The bench for any amount of work grows until a sample takes so long, or that many tokens. */
#define SAMPLE_MS 4
#define FIRST_TOKENS 256
#define MOST_TOKENS 4096
/* Keys that the queries of the small benches of attention see. */
#define FEW_QUERIES_CONTEXT 2048

/* What is tuned at a time. */
struct target {
	enum gqe_kernel kernel;
	gqe_path path;
	gqe_dtype dtype;
	uint32_t head_dim, above, up_to;
	struct gqe_tile own_tile; /* the library's, for the most work that the target is for */
};

struct contender {
	struct gqe_tile tile;
	gqe_bench *bench;
	double ms; /* best while screening, median in the end */
	double rounds[FINAL_ROUNDS];
};

struct tuner {
	gqe_context *context;
	gqe_tune_params params;
	struct gqe_vulkan *vulkan;
	struct gqe_tuning *tuning; /* the context's */
	double began;
	bool is_cancelled;
	uint32_t tokens[GQE_KERNEL_COUNT]; /* of the bench for any amount of work; 0: not known yet */
};

static double seconds_now(void)
{
	return 1e-9 * (double)gqe_wall_nanoseconds();
}

static double seconds_used(const struct tuner *tuner)
{
	return seconds_now() - tuner->began;
}

static bool is_cancelled(void *user)
{
	struct tuner *tuner = user;
	double used = seconds_used(tuner), budget = tuner->params.budget_seconds;
	if (!tuner->is_cancelled && tuner->params.progress != NULL)
		tuner->is_cancelled = !tuner->params.progress(tuner->params.user, used < budget ? used : budget, budget);
	return tuner->is_cancelled;
}

static struct gqe_tuned_tile entry_of(const struct target *target, const struct gqe_tile *tile)
{
	return (struct gqe_tuned_tile){
		.kernel = target->kernel,
		.path = target->path,
		.weights = target->dtype,
		.head_dim = target->head_dim,
		.above = target->above,
		.up_to = target->up_to,
		.tile = *tile,
	};
}

/* Makes the context's kernels use the tile. There is room: gqe_tune has seen to it. */
static void use_tile(struct tuner *tuner, const struct target *target, const struct gqe_tile *tile)
{
	struct gqe_tuned_tile entry = entry_of(target, tile);
	gqe_tuning_set(tuner->tuning, &entry);
}

/* The bench whose kernel is the target, with as much work as the target is for. */
static gqe_status create_bench(struct tuner *tuner, const struct target *target, uint32_t tokens, gqe_bench **bench,
			       gqe_error *error)
{
	gqe_layer_config config = *tuner->params.config;
	gqe_bench_params params = {
		.size = sizeof(params),
		.what = target->kernel == GQE_KERNEL_ATTENTION ? GQE_BENCH_ATTENTION : GQE_BENCH_GEMM,
		.config = &config,
		.tokens = tokens,
		.dtype = target->dtype,
		.cancelled = is_cancelled,
		.user = tuner,
	};
	if (target->kernel == GQE_KERNEL_GEMM)
		config.attention = GQE_ATTENTION_GQA;
	else if (target->kernel == GQE_KERNEL_GEMM_GATHERED)
		params.queries = GQE_QUERIES_GATHERED;
	if (target->kernel == GQE_KERNEL_ATTENTION && target->up_to != 0) {
		uint32_t slots = config.attention == GQE_ATTENTION_GQE ? config.top_k + 1 : config.heads / config.kv_heads;
		params.last_chunk = target->up_to / slots > 0 ? target->up_to / slots : 1;
		params.tokens = FEW_QUERIES_CONTEXT;
	} else if (target->up_to != 0) {
		params.tokens = target->up_to;
	}
	return gqe_bench_create(tuner->context, &params, bench, error);
}

/* Errors that end everything; any other one only means that this tile cannot be used. */
static bool is_fatal(gqe_status status)
{
	return status == GQE_ERROR_DEVICE_LOST || status == GQE_CANCELLED;
}

static gqe_status sample(struct tuner *tuner, const struct target *target, struct contender *contender, double *ms,
			 gqe_error *error)
{
	gqe_bench_times times;
	use_tile(tuner, target, &contender->tile);
	gqe_status status = gqe_bench_sample(contender->bench, &times, error);
	*ms = status == GQE_OK ? times.gpu_ms : 0;
	return status;
}

/* Builds the contender's kernel and takes its first samples; `best_ms` 0: none yet. */
static gqe_status screen(struct tuner *tuner, const struct target *target, struct contender *contender, double best_ms,
			 gqe_error *error)
{
	use_tile(tuner, target, &contender->tile);
	gqe_status status = create_bench(tuner, target, tuner->tokens[target->kernel], &contender->bench, error);
	contender->ms = 0;
	for (int i = 0; status == GQE_OK && i < SCREEN_SAMPLES; i++) {
		double ms;
		status = sample(tuner, target, contender, &ms, error);
		contender->ms = contender->ms == 0 || ms < contender->ms ? ms : contender->ms;
		if (best_ms > 0 && contender->ms > HOPELESS * best_ms)
			break;
	}
	return status;
}

/* Puts the contender among the best, [count] by time, and drops the last if there are too many. */
static void insert(struct contender finalists[FINALISTS], uint32_t *count, struct contender *contender)
{
	uint32_t place = *count;
	while (place > 0 && finalists[place - 1].ms > contender->ms)
		place--;
	if (place == FINALISTS) {
		gqe_bench_destroy(&contender->bench);
		return;
	}
	if (*count == FINALISTS)
		gqe_bench_destroy(&finalists[FINALISTS - 1].bench);
	else
		(*count)++;
	memmove(&finalists[place + 1], &finalists[place], (*count - place - 1) * sizeof(finalists[0]));
	finalists[place] = *contender;
}

static int by_value(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;
	return a < b ? -1 : a > b;
}

static double median(double rounds[FINAL_ROUNDS])
{
	qsort(rounds, FINAL_ROUNDS, sizeof(rounds[0]), by_value);
	return rounds[FINAL_ROUNDS / 2];
}

/* Samples all of them in turn, so that what slows the machine down slows down all of them. Sets their medians. */
static gqe_status run_final(struct tuner *tuner, const struct target *target, struct contender *own, struct contender *finalists,
			    uint32_t count, gqe_error *error)
{
	gqe_status status = GQE_OK;
	for (int round = 0; round < FINAL_ROUNDS && status == GQE_OK; round++) {
		status = sample(tuner, target, own, &own->rounds[round], error);
		for (uint32_t i = 0; i < count && status == GQE_OK; i++)
			status = sample(tuner, target, &finalists[i], &finalists[i].rounds[round], error);
	}
	own->ms = median(own->rounds);
	for (uint32_t i = 0; i < count; i++)
		finalists[i].ms = median(finalists[i].rounds);
	return status;
}

/* Tries the candidates until `deadline`. */
static gqe_status screen_all(struct tuner *tuner, const struct target *target, const struct contender *own, double deadline,
			     struct contender finalists[FINALISTS], uint32_t *count, gqe_tune_result *result, gqe_error *error)
{
	struct gqe_tile tiles[GQE_MAX_CANDIDATES];
	uint32_t tile_count = gqe_tile_candidates(&tuner->vulkan->capabilities, target->kernel, target->path, target->up_to,
						  target->head_dim, &own->tile, tiles);
	for (uint32_t i = 0; i < tile_count && seconds_now() < deadline; i++) {
		struct contender contender = {.tile = tiles[i]};
		double best_ms = *count > 0 && finalists[0].ms < own->ms ? finalists[0].ms : own->ms;
		gqe_status status = screen(tuner, target, &contender, best_ms, error);
		result->candidates++;
		if (status == GQE_OK) {
			insert(finalists, count, &contender);
			continue;
		}
		gqe_bench_destroy(&contender.bench);
		result->rejected++;
		if (is_fatal(status))
			return status;
	}
	return GQE_OK;
}

static gqe_tile_info tile_info(const struct gqe_tile *tile)
{
	return (gqe_tile_info){tile->workgroup, tile->subgroup, tile->rows, tile->columns};
}

/* The fastest finalist that is clearly faster than the library's own tile and computes what the reference does. */
static gqe_status choose(struct tuner *tuner, const struct target *target, const struct contender *own, struct contender *finalists,
			 uint32_t count, struct contender **winner, gqe_tune_result *result, gqe_error *error)
{
	*winner = NULL;
	for (;;) {
		struct contender *fastest = NULL;
		for (uint32_t i = 0; i < count; i++)
			if (finalists[i].ms > 0 && finalists[i].ms * LEAST_GAIN < own->ms &&
			    (fastest == NULL || finalists[i].ms < fastest->ms))
				fastest = &finalists[i];
		if (fastest == NULL)
			return GQE_OK;
		struct gqe_tuned_tile entry = entry_of(target, &fastest->tile);
		gqe_status status = gqe_selftest_tile(tuner->context, &entry, error);
		if (status == GQE_OK) {
			*winner = fastest;
			return GQE_OK;
		}
		if (is_fatal(status))
			return status;
		result->rejected++;
		fastest->ms = 0;
	}
}

/* How much work the bench for any amount of it has: enough to be measured. */
static gqe_status size_bench(struct tuner *tuner, const struct target *target, struct contender *own, gqe_error *error)
{
	uint32_t *tokens = &tuner->tokens[target->kernel];
	for (*tokens = *tokens > 0 ? *tokens : FIRST_TOKENS;; *tokens *= 2) {
		gqe_status status = screen(tuner, target, own, 0, error);
		if (status != GQE_OK || target->up_to != 0 || own->ms >= SAMPLE_MS || *tokens >= MOST_TOKENS)
			return status;
		gqe_bench_destroy(&own->bench);
	}
}

static gqe_status tune_target(struct tuner *tuner, const struct target *target, double seconds, gqe_error *error)
{
	double deadline = seconds_now() + seconds;
	struct contender own = {.tile = target->own_tile}, finalists[FINALISTS], *winner = NULL;
	uint32_t count = 0;
	gqe_tune_result result = {
		.kernel = gqe_kernel_name(target->kernel),
		.path = target->path,
		.dtype = target->dtype,
		.head_dim = target->head_dim,
		.above = target->above,
		.up_to = target->up_to,
		.candidates = 1,
		.before = tile_info(&own.tile),
	};
	gqe_status status = size_bench(tuner, target, &own, error);
	if (status == GQE_OK)
		status = screen_all(tuner, target, &own, deadline, finalists, &count, &result, error);
	if (status == GQE_OK)
		status = run_final(tuner, target, &own, finalists, count, error);
	if (status == GQE_OK)
		status = choose(tuner, target, &own, finalists, count, &winner, &result, error);
	/* Also after a failure: what is left in the context must be known to work. */
	if (winner != NULL) {
		use_tile(tuner, target, &winner->tile);
	} else {
		const struct gqe_tuned_tile tried = entry_of(target, &own.tile);
		gqe_tuning_remove(tuner->tuning, &tried);
		winner = &own;
	}
	result.after = tile_info(&winner->tile);
	result.before_ms = own.ms;
	result.after_ms = winner->ms;
	if (status == GQE_OK && tuner->params.on_result != NULL)
		tuner->params.on_result(tuner->params.user, &result);
	gqe_bench_destroy(&own.bench);
	for (uint32_t i = 0; i < count; i++)
		gqe_bench_destroy(&finalists[i].bench);
	return status;
}

#define MOST_TARGETS 32
/* Of the budget; the rest is for the modes of queries. */
#define TILES_SHARE 0.85

static void add_target(const struct tuner *tuner, struct target *target, enum gqe_kernel kernel, gqe_dtype dtype, uint32_t above,
		       uint32_t up_to)
{
	uint32_t head_dim = kernel == GQE_KERNEL_ATTENTION ? tuner->params.config->head_dim : 0;
	struct gqe_prepared own =
		gqe_prepare(&tuner->vulkan->capabilities, NULL, gqe_context_recorder(tuner->context, NULL).verdicts, kernel,
			    gqe_context_path(tuner->context), dtype, up_to != 0 ? up_to : UINT32_MAX, head_dim);
	*target = (struct target){
		.kernel = kernel,
		.path = own.choice.path,
		.dtype = dtype,
		.head_dim = head_dim,
		.above = above,
		.up_to = up_to,
		.own_tile = own.tile,
	};
}

static bool is_wanted(const struct tuner *tuner, gqe_dtype dtype)
{
	if (tuner->params.dtype != 0)
		return tuner->params.dtype == dtype;
	return dtype == GQE_DTYPE_F32 || tuner->vulkan->capabilities.storage16;
}

static uint32_t list_targets(const struct tuner *tuner, struct target targets[MOST_TARGETS])
{
	static const gqe_dtype dtypes[] = {GQE_DTYPE_F32, GQE_DTYPE_F16};
	static const struct {
		enum gqe_kernel kernel;
		struct {
			uint32_t above, up_to;
		} work[3];
	} kernels[] = {
		{GQE_KERNEL_ATTENTION, {{64, 0}, {8, 64}, {0, 8}}},
		{GQE_KERNEL_GEMM, {{64, 0}, {1, 64}, {0, 1}}},
		{GQE_KERNEL_GEMM_GATHERED, {{64, 0}, {1, 64}, {0, 1}}},
	};
	uint32_t count = 0;
	/* Large work first: that is where the time goes, should the budget be short. */
	for (size_t work = 0; work < GQE_COUNT(kernels[0].work); work++)
		for (size_t d = 0; d < GQE_COUNT(dtypes); d++)
			for (size_t k = 0; k < GQE_COUNT(kernels); k++) {
				bool is_routed = tuner->params.config->attention == GQE_ATTENTION_GQE;
				if (!is_wanted(tuner, dtypes[d]) || (kernels[k].kernel == GQE_KERNEL_GEMM_GATHERED && !is_routed))
					continue;
				add_target(tuner, &targets[count++], kernels[k].kernel, dtypes[d], kernels[k].work[work].above,
					   kernels[k].work[work].up_to);
			}
	return count;
}

/* Tokens that a mode of queries is measured for when it is for any larger number. */
#define MANY_TOKENS 256

static const struct {
	uint32_t above, up_to;
} query_work[] = {{0, 1}, {1, 8}, {8, 64}, {64, 0}};

/* What the mode decides about: from the router's logits to the queries. */
static double query_ms(const gqe_bench_times *times)
{
	return times->step_ms[GQE_LAYER_STEP_ROUTER] + times->step_ms[GQE_LAYER_STEP_EXPERT_LISTS] +
	       times->step_ms[GQE_LAYER_STEP_Q_PROJ];
}

/* Medians of both modes' times, sampled in turn; [0] gathered, [1] dense. */
static gqe_status time_queries(struct tuner *tuner, gqe_dtype dtype, uint32_t tokens, double ms[2], gqe_error *error)
{
	gqe_bench *benches[2] = {NULL, NULL};
	double rounds[2][FINAL_ROUNDS];
	gqe_status status = GQE_OK;
	for (int i = 0; i < 2 && status == GQE_OK; i++) {
		const gqe_bench_params params = {
			.size = sizeof(params),
			.what = GQE_BENCH_LAYER,
			.config = tuner->params.config,
			.tokens = tokens,
			.dtype = dtype,
			.queries = i == 0 ? GQE_QUERIES_GATHERED : GQE_QUERIES_DENSE,
			.cancelled = is_cancelled,
			.user = tuner,
		};
		status = gqe_bench_create(tuner->context, &params, &benches[i], error);
	}
	for (int round = -1; round < FINAL_ROUNDS && status == GQE_OK; round++) /* the first one is thrown away */
		for (int i = 0; i < 2 && status == GQE_OK; i++) {
			gqe_bench_times times;
			status = gqe_bench_sample(benches[i], &times, error);
			if (status == GQE_OK && round >= 0)
				rounds[i][round] = query_ms(&times);
		}
	for (int i = 0; i < 2; i++) {
		if (status == GQE_OK)
			ms[i] = median(rounds[i]);
		gqe_bench_destroy(&benches[i]);
	}
	return status;
}

/* The tile that the mode's kernel has for that work; as an entry, to be checked. */
static struct gqe_tuned_tile tile_of_mode(const struct tuner *tuner, gqe_query_mode mode, gqe_dtype dtype, uint32_t tokens)
{
	const enum gqe_kernel kernel = mode == GQE_QUERIES_DENSE ? GQE_KERNEL_GEMM_HEADS : GQE_KERNEL_GEMM_GATHERED;
	const struct gqe_prepared prepared =
		gqe_prepare(&tuner->vulkan->capabilities, tuner->tuning, gqe_context_recorder(tuner->context, NULL).verdicts,
			    kernel, gqe_context_path(tuner->context), dtype, tokens, 0);
	return (struct gqe_tuned_tile){
		.kernel = mode == GQE_QUERIES_DENSE ? GQE_KERNEL_GEMM : kernel, /* whose tiles gemm_heads takes */
		.path = prepared.choice.path,
		.weights = dtype,
		.tile = prepared.tile,
	};
}

/* Measures both modes for one amount of work; the library's choice is replaced by one that is clearly faster and computes what the
 * reference does. */
static gqe_status tune_queries(struct tuner *tuner, gqe_dtype dtype, uint32_t above, uint32_t up_to, gqe_error *error)
{
	const gqe_layer_config *config = tuner->params.config;
	const uint32_t tokens = up_to != 0 ? up_to : MANY_TOKENS, per_group = config->heads / config->kv_heads;
	const gqe_path path = gqe_context_path(tuner->context);
	const gqe_query_mode own =
		gqe_tile_query_mode(&tuner->vulkan->capabilities, path, tokens, (double)tokens * config->top_k / per_group);
	const gqe_query_mode other = own == GQE_QUERIES_DENSE ? GQE_QUERIES_GATHERED : GQE_QUERIES_DENSE;
	struct gqe_tuned_tile own_tile = tile_of_mode(tuner, own, dtype, tokens), tile = tile_of_mode(tuner, other, dtype, tokens);
	double ms[2];
	gqe_status status = time_queries(tuner, dtype, tokens, ms, error);
	if (status != GQE_OK)
		return status;
	gqe_tune_result result = {
		.kernel = "queries",
		.path = path,
		.dtype = dtype,
		.above = above,
		.up_to = up_to,
		.candidates = 2,
		.before = tile_info(&own_tile.tile),
		.after = tile_info(&own_tile.tile),
		.before_ms = ms[own == GQE_QUERIES_DENSE],
		.after_ms = ms[own == GQE_QUERIES_DENSE],
		.queries_before = own,
		.queries_after = own,
	};
	struct gqe_tuned_queries entry = {
		.path = path,
		.weights = dtype,
		.experts_per_group = per_group,
		.top_k = config->top_k,
		.above = above,
		.up_to = up_to,
	};
	if (ms[other == GQE_QUERIES_DENSE] * LEAST_GAIN < result.before_ms) {
		status = gqe_selftest_tile(tuner->context, &tile, error);
		if (is_fatal(status))
			return status;
		if (status == GQE_OK) {
			entry.mode = result.queries_after = other;
			result.after = tile_info(&tile.tile);
			result.after_ms = ms[other == GQE_QUERIES_DENSE];
		} else {
			result.rejected++;
		}
	}
	gqe_tuning_set_queries(tuner->tuning, &entry);
	if (tuner->params.on_result != NULL)
		tuner->params.on_result(tuner->params.user, &result);
	return GQE_OK;
}

/* After the tiles: it takes seconds. */
static gqe_status tune_all_queries(struct tuner *tuner, gqe_error *error)
{
	static const gqe_dtype dtypes[] = {GQE_DTYPE_F32, GQE_DTYPE_F16};
	gqe_status status = GQE_OK;
	if (tuner->params.config->attention != GQE_ATTENTION_GQE)
		return GQE_OK;
	if (tuner->tuning->query_count + GQE_COUNT(dtypes) * GQE_COUNT(query_work) > GQE_MAX_TUNED_QUERIES)
		tuner->tuning->query_count = 0; /* of many models, as with the tiles */
	for (size_t d = 0; d < GQE_COUNT(dtypes); d++)
		for (size_t i = 0; i < GQE_COUNT(query_work) && status == GQE_OK && is_wanted(tuner, dtypes[d]); i++) {
			if (seconds_used(tuner) >= tuner->params.budget_seconds)
				return GQE_OK;
			if (is_cancelled(tuner))
				return gqe_fail(error, GQE_CANCELLED, "cancelled");
			status = tune_queries(tuner, dtypes[d], query_work[i].above, query_work[i].up_to, error);
		}
	return status;
}

/* Each target gets an equal part of what is left, so that what one does not use helps the next. */
static gqe_status tune_all(struct tuner *tuner, gqe_error *error)
{
	struct target targets[MOST_TARGETS];
	uint32_t count = list_targets(tuner, targets);
	if (tuner->tuning->count + count > GQE_MAX_TUNED_TILES)
		tuner->tuning->count = 0; /* of many models; the table decides for them until they are tuned again */
	gqe_status status = GQE_OK;
	for (uint32_t i = 0; i < count && status == GQE_OK; i++) {
		double left = TILES_SHARE * tuner->params.budget_seconds - seconds_used(tuner);
		if (left <= 0)
			break;
		if (is_cancelled(tuner))
			status = gqe_fail(error, GQE_CANCELLED, "cancelled");
		else
			status = tune_target(tuner, &targets[i], left / (count - i), error);
	}
	return status;
}

gqe_status gqe_tune(gqe_context *context, const gqe_tune_params *params, bool *stored, gqe_error *error)
{
	if (context == NULL || gqe_context_vulkan(context) == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_tune needs a Vulkan device: the reference has no tiles");
	struct tuner tuner = {
		.context = context,
		.vulkan = gqe_context_vulkan(context),
		.tuning = gqe_context_tuning(context),
		.began = seconds_now(),
	};
	gqe_status status = gqe_copy_params(&tuner.params, sizeof(tuner.params), params, error);
	if (status != GQE_OK)
		return status;
	if (tuner.params.config == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_tune: a config is required");
	if (tuner.params.budget_seconds < 0)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_tune: the budget is negative");
	if (tuner.params.budget_seconds == 0)
		tuner.params.budget_seconds = DEFAULT_BUDGET_SECONDS;
	status = gqe_layer_config_check(tuner.params.config, error);
	if (status == GQE_OK && tuner.params.dtype != 0)
		status = gqe_context_check_dtype(context, &tuner.params.dtype, error);
	if (status != GQE_OK)
		return status;
	if (tuner.params.dtype != GQE_DTYPE_F32 && tuner.vulkan->capabilities.storage16)
		status = gqe_context_check_paths(context, GQE_DTYPE_F16, tuner.params.config->head_dim, error);
	if (status != GQE_OK)
		return status;
	status = tune_all(&tuner, error);
	if (status == GQE_OK)
		status = tune_all_queries(&tuner, error);
	bool is_stored = gqe_tuning_save(tuner.tuning, tuner.vulkan, gqe_context_cache_dir(context));
	if (stored != NULL)
		*stored = is_stored;
	return status;
}

uint32_t gqe_context_tuned_count(const gqe_context *context)
{
	const struct gqe_tuning *tuning = context != NULL ? gqe_context_tuning(context) : NULL;
	return tuning != NULL ? tuning->count + tuning->query_count : 0;
}
