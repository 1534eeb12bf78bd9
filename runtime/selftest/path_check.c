/*
 * The check of a path on first use: right on the self-test's small shapes, and not slow on a layer's. It ends when its budget does,
 * pipelines aside: values come first, then timing, whose samples grow only as long as there is time for larger ones. What is left
 * open then is open for the next context.
 *
 * Values are compared with the C reference, which every path is tested against, and not with the scalar path on the device: the
 * reference takes a millisecond, the scalar path's pipelines, which nothing else would use, up to 0.3 s a kernel (bench/NOTES.md),
 * and what is wrong in memory or transfers would be in both. Time is compared with the subgroup path, which is what would be used
 * instead.
 */
#include "attention/context.h"
#include "attention/layer_device.h"
#include "common/platform.h"
#include "selftest/selftest.h"

/* A sample so long is as good as a longer one. */
#define SAMPLE_SECONDS 1e-3
#define FIRST_TOKENS 64
#define MOST_TOKENS 4096
#define TOKENS_FACTOR 4
#define PAIRS 3

/* A layer's memory, all zeros. */
struct bench {
	gqe_layer_config config;
	uint32_t tokens;
	struct gqe_vulkan *vulkan;
	struct gqe_steps *steps;
	struct gqe_arena *arena;
	struct gqe_layer_weights weights;
	struct gqe_kv_cache cache;
	struct gqe_layer_scratch scratch;
	struct gqe_rope_tables rope;
	struct gqe_buffer x, y; /* [tokens, d] */
};

static gqe_status reserve_and_commit(struct bench *bench, gqe_error *error)
{
	const struct gqe_layer_tensors no_biases = {0};
	const uint64_t bytes = (uint64_t)bench->tokens * bench->config.hidden_size * sizeof(float);
	gqe_status status = gqe_arena_create(bench->vulkan, GQE_MEMORY_DEVICE, &bench->arena, error);
	if (status != GQE_OK)
		return status;
	/* Row by row, as any path reads them. */
	const struct gqe_weight_reader anyone = {0};
	gqe_layer_weights_reserve(bench->arena, &bench->weights, &bench->config, &no_biases, GQE_DTYPE_F16, &anyone);
	gqe_kv_cache_reserve(bench->arena, &bench->cache, &bench->config, GQE_DTYPE_F16, 1, bench->tokens);
	gqe_layer_scratch_reserve(bench->arena, &bench->scratch, &bench->config, GQE_DTYPE_F16, 1, bench->tokens);
	gqe_arena_reserve(bench->arena, &bench->x, bytes);
	gqe_arena_reserve(bench->arena, &bench->y, bytes);
	return gqe_arena_commit(bench->arena, error);
}

/* To be released by destroying the arena, also after a failure. */
static gqe_status bench_create(struct bench *bench, gqe_error *error)
{
	gqe_status status = reserve_and_commit(bench, error);
	struct gqe_buffer block;
	for (uint32_t i = 0; status == GQE_OK && gqe_arena_block(bench->arena, i, &block); i++)
		status = gqe_buffer_fill(bench->vulkan, &block, 0, block.size, 0, error);
	if (status == GQE_OK)
		status = gqe_steps_enable_timing(bench->steps, error);
	return status;
}

/* Records the kernel as a layer does; returns the label that it runs under. */
static enum gqe_layer_step record(const struct gqe_recorder *recorder, const struct bench *bench, enum gqe_kernel kernel)
{
	gqe_layer_config config = bench->config;
	if (kernel == GQE_KERNEL_GEMM_HEADS) { /* as many dense queries as there is room for */
		config.attention = GQE_ATTENTION_GQA;
		config.heads = config.kv_heads;
	}
	const struct gqe_layer_run run = {
		.config = &config,
		.weights = &bench->weights,
		.cache = &bench->cache,
		.scratch = &bench->scratch,
		.rope = &bench->rope,
		.batch = 1,
		.tokens = bench->tokens,
		.x = bench->x.address,
		.y = bench->y.address,
	};
	if (kernel == GQE_KERNEL_ATTENTION) {
		gqe_record_layer_attention(recorder, &run);
		return GQE_LAYER_STEP_ATTENTION;
	}
	if (kernel == GQE_KERNEL_GEMM_GATHERED || kernel == GQE_KERNEL_GEMM_HEADS) {
		if (kernel == GQE_KERNEL_GEMM_GATHERED)
			gqe_record_layer_routing(recorder, &run);
		gqe_record_layer_queries(recorder, &run, false);
		return GQE_LAYER_STEP_Q_PROJ;
	}
	gqe_steps_label(recorder->steps, GQE_LAYER_STEP_O_PROJ);
	gqe_record_linear(recorder, &bench->weights.weight[GQE_LAYER_O], &bench->weights.bias[GQE_LAYER_O], bench->tokens,
			  bench->scratch.o.address, 0, bench->y.address);
	return GQE_LAYER_STEP_O_PROJ;
}

static bool is_over(void *user)
{
	return gqe_budget_left(user) <= 0;
}

/* The least of what it took before, if it took anything, and now. GQE_CANCELLED when the budget is over. */
static gqe_status sample(const struct gqe_recorder *recorder, const struct bench *bench, enum gqe_kernel kernel,
			 struct gqe_budget *budget, double *seconds, gqe_error *error)
{
	enum gqe_layer_step label = record(recorder, bench, kernel);
	gqe_status status = gqe_steps_run(bench->steps, is_over, budget, error);
	if (status == GQE_OK) {
		double now = gqe_steps_times(bench->steps).seconds[label];
		*seconds = *seconds == 0 || now < *seconds ? now : *seconds;
	}
	return status;
}

/* The least of so many pairs of samples. */
struct timing {
	double seconds, subgroup_seconds;
	uint32_t pairs;
};

/* The two paths, and the memory that both work in. */
struct race {
	struct gqe_recorder own, subgroup;
	enum gqe_kernel kernel;
	struct gqe_budget *budget;
	struct bench bench;
};

/* One sample of each path; one in which a pipeline ran for the first time says nothing of its speed and is taken again. */
static gqe_status take_pair(const struct race *race, struct timing *timing, gqe_error *error)
{
	gqe_status status = GQE_OK;
	struct timing taken;
	double pipelines;
	do {
		taken = *timing;
		pipelines = gqe_steps_pipeline_seconds(race->bench.steps);
		status = sample(&race->own, &race->bench, race->kernel, race->budget, &taken.seconds, error);
		if (status == GQE_OK)
			status = sample(&race->subgroup, &race->bench, race->kernel, race->budget, &taken.subgroup_seconds, error);
	} while (status == GQE_OK && gqe_steps_pipeline_seconds(race->bench.steps) > pipelines);
	if (status != GQE_OK)
		return status;
	*timing = taken;
	timing->pairs++;
	return GQE_OK;
}

/* With race->bench.tokens: one pair, and the others too if more tokens are no use, or `*grows` is false; else it becomes true. */
static gqe_status time_size(const struct race *race, bool *grows, struct timing *timing, gqe_error *error)
{
	const double growth = race->kernel == GQE_KERNEL_ATTENTION ? TOKENS_FACTOR * TOKENS_FACTOR : TOKENS_FACTOR;
	const double left = gqe_budget_left(race->budget);
	*timing = (struct timing){0};
	gqe_status status = take_pair(race, timing, error);
	const double pair = left - gqe_budget_left(race->budget);
	bool is_long = timing->seconds >= SAMPLE_SECONDS || timing->subgroup_seconds >= SAMPLE_SECONDS;
	bool has_time = gqe_budget_left(race->budget) >= PAIRS * growth * pair;
	*grows = *grows && !is_long && has_time && race->bench.tokens < MOST_TOKENS;
	while (!*grows && status == GQE_OK && timing->pairs < PAIRS && gqe_budget_left(race->budget) >= pair)
		status = take_pair(race, timing, error);
	return status;
}

/* Of the largest work that there is time and memory for, up to what takes long enough. */
static gqe_status time_paths(struct race *race, struct timing *timing, gqe_error *error)
{
	bool grows = true;
	for (;;) {
		if (gqe_budget_left(race->budget) <= 0)
			return GQE_OK;
		gqe_status status = bench_create(&race->bench, error);
		if (status == GQE_OK)
			status = time_size(race, &grows, timing, error);
		gqe_arena_destroy(&race->bench.arena);
		const bool is_too_large = status == GQE_ERROR_OUT_OF_MEMORY && race->bench.tokens > FIRST_TOKENS;
		if (is_too_large)
			race->bench.tokens /= TOKENS_FACTOR;
		else if (status != GQE_OK || !grows)
			return status;
		else
			race->bench.tokens *= TOKENS_FACTOR;
		grows = grows && !is_too_large;
	}
}

static gqe_status time_against_subgroup(gqe_context *context, const struct gqe_verdict *entry, struct gqe_budget *budget,
					struct timing *timing, gqe_error *error)
{
	struct race race = {
		.own = gqe_context_recorder(context, budget->steps),
		.kernel = (enum gqe_kernel)entry->kernel,
		.budget = budget,
		.bench =
			{
				.config =
					{
						.hidden_size = 256,
						.heads = 4,
						.kv_heads = 2,
						.head_dim = entry->head_dim != 0 ? entry->head_dim : 64,
						.attention = GQE_ATTENTION_GQE,
						.rope = GQE_ROPE_NONE,
						.top_k = 1,
						.slot_order = GQE_SLOT_ORDER_RANK,
					},
				.tokens = FIRST_TOKENS,
				.vulkan = gqe_context_vulkan(context),
				.steps = budget->steps,
			},
	};
	race.own.path = (gqe_path)entry->path;
	race.own.verdicts = NULL;
	race.subgroup = race.own;
	race.subgroup.path = GQE_PATH_SUBGROUP;
	gqe_status status = time_paths(&race, timing, error);
	return status == GQE_CANCELLED ? GQE_OK : status;
}

static gqe_status check_within(gqe_context *context, struct gqe_verdict *entry, struct gqe_budget *budget, gqe_error *error)
{
	gqe_selftest_case worst;
	struct timing timing = {0};
	gqe_error wrong = {0};
	bool is_complete = false;
	gqe_status status = gqe_selftest_path(context, (enum gqe_kernel)entry->kernel, (gqe_path)entry->path, entry->head_dim,
					      budget, &worst, &is_complete, &wrong);
	const bool is_right = status == GQE_OK;
	if (!is_right && status != GQE_ERROR_VERIFICATION)
		return gqe_fail(error, status, "%s", wrong.message);
	if (!is_right)
		gqe_log_write(&gqe_context_vulkan(context)->log, GQE_LOG_WARNING, "%s", wrong.message);
	entry->error = worst.error;
	entry->tolerance = worst.tolerance;
	status = is_right ? time_against_subgroup(context, entry, budget, &timing, error) : GQE_OK;
	if (status != GQE_OK && status != GQE_ERROR_OUT_OF_MEMORY) /* what is right may be used without having been timed */
		return status;
	const bool came_to_end = is_complete && status == GQE_OK && timing.pairs == PAIRS;
	if (!came_to_end)
		timing = (struct timing){0};
	entry->slowdown = timing.subgroup_seconds > 0 ? timing.seconds / timing.subgroup_seconds : 0;
	entry->verdict = (uint32_t)gqe_verdict_judge(is_right, timing.seconds, timing.subgroup_seconds);
	entry->is_transient = is_right && !came_to_end;
	return GQE_OK;
}

gqe_status gqe_check_path(gqe_context *context, struct gqe_verdict *entry, double *seconds, gqe_error *error)
{
	struct gqe_steps *steps = NULL;
	gqe_status status = gqe_steps_create(gqe_context_vulkan(context), &steps, error);
	if (status != GQE_OK)
		return status;
	struct gqe_budget budget = gqe_budget_begin(steps, *seconds);
	status = check_within(context, entry, &budget, error);
	*seconds -= gqe_budget_left(&budget);
	gqe_steps_destroy(&steps);
	return status;
}
