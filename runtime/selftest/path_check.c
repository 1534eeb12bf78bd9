/*
 * The check of a path on first use: right on the self-test's small shapes, and not slow on a layer's. It is to end within 200 ms on
 * a GPU for the kernels together, pipelines aside: what is compared is small, and what is timed grows only until it takes
 * long enough to mean something, or TIMING_SECONDS are over, whatever comes first.
 */
#include "attention/context.h"
#include "attention/layer_device.h"
#include "common/platform.h"
#include "selftest/selftest.h"

/* For one kernel; exceeded by a sample at most, which takes 16 times as long as the one before. */
#define TIMING_SECONDS 0.04
/* A sample so long is as good as a longer one. */
#define SAMPLE_SECONDS 1e-3
#define FIRST_TOKENS 64
#define MOST_TOKENS 1024
#define TOKENS_FACTOR 4
#define PAIRS 3

/* A layer's memory, all zeros. */
struct bench {
	gqe_layer_config config;
	uint32_t most_tokens;
	struct gqe_vulkan *vulkan;
	struct gqe_steps *steps;
	struct gqe_arena *arena;
	struct gqe_layer_weights weights;
	struct gqe_kv_cache cache;
	struct gqe_layer_scratch scratch;
	struct gqe_rope_tables rope;
	struct gqe_buffer x, y; /* [most_tokens, d] */
};

static void bench_release(struct bench *bench)
{
	gqe_steps_destroy(&bench->steps);
	gqe_arena_destroy(&bench->arena);
}

static gqe_status reserve_and_commit(struct bench *bench, gqe_error *error)
{
	const struct gqe_layer_tensors no_biases = {0};
	const uint64_t bytes = (uint64_t)bench->most_tokens * bench->config.hidden_size * sizeof(float);
	gqe_status status = gqe_arena_create(bench->vulkan, GQE_MEMORY_DEVICE, &bench->arena, error);
	if (status != GQE_OK)
		return status;
	gqe_layer_weights_reserve(bench->arena, &bench->weights, &bench->config, &no_biases, GQE_DTYPE_F16);
	gqe_kv_cache_reserve(bench->arena, &bench->cache, &bench->config, GQE_DTYPE_F16, 1, bench->most_tokens);
	gqe_layer_scratch_reserve(bench->arena, &bench->scratch, &bench->config, GQE_DTYPE_F16, bench->most_tokens);
	gqe_arena_reserve(bench->arena, &bench->x, bytes);
	gqe_arena_reserve(bench->arena, &bench->y, bytes);
	return gqe_arena_commit(bench->arena, error);
}

static gqe_status bench_create(gqe_context *context, uint32_t head_dim, struct bench *bench, gqe_error *error)
{
	*bench = (struct bench){
		.config =
			{
				.hidden_size = 512,
				.heads = 8,
				.kv_heads = 4,
				.head_dim = head_dim != 0 ? head_dim : 64,
				.attention = GQE_ATTENTION_GQE,
				.rope = GQE_ROPE_NONE,
				.top_k = 1,
				.slot_order = GQE_SLOT_ORDER_RANK,
			},
		.most_tokens = MOST_TOKENS,
		.vulkan = gqe_context_vulkan(context),
	};
	gqe_status status = reserve_and_commit(bench, error);
	while (status == GQE_ERROR_OUT_OF_MEMORY && bench->most_tokens > FIRST_TOKENS) {
		gqe_arena_destroy(&bench->arena);
		bench->most_tokens /= TOKENS_FACTOR;
		status = reserve_and_commit(bench, error);
	}
	struct gqe_buffer block;
	for (uint32_t i = 0; status == GQE_OK && gqe_arena_block(bench->arena, i, &block); i++)
		status = gqe_buffer_fill(bench->vulkan, &block, 0, block.size, 0, error);
	if (status == GQE_OK)
		status = gqe_steps_create(bench->vulkan, &bench->steps, error);
	if (status == GQE_OK)
		status = gqe_steps_enable_timing(bench->steps, error);
	return status;
}

/* Records the kernel as a layer does; returns the label that it runs under. */
static enum gqe_layer_step record(const struct gqe_recorder *recorder, const struct bench *bench, enum gqe_kernel kernel,
				  uint32_t tokens)
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
		.tokens = tokens,
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
	gqe_record_linear(recorder, &bench->weights.weight[GQE_LAYER_O], &bench->weights.bias[GQE_LAYER_O], tokens,
			  bench->scratch.o.address, 0, bench->y.address);
	return GQE_LAYER_STEP_O_PROJ;
}

/* The least of what it took before, if it took anything, and now. */
static gqe_status sample(const struct gqe_recorder *recorder, const struct bench *bench, enum gqe_kernel kernel, uint32_t tokens,
			 double *seconds, gqe_error *error)
{
	enum gqe_layer_step label = record(recorder, bench, kernel, tokens);
	gqe_status status = gqe_steps_run(bench->steps, NULL, NULL, error);
	if (status == GQE_OK) {
		double now = gqe_steps_times(bench->steps).seconds[label];
		*seconds = *seconds == 0 || now < *seconds ? now : *seconds;
	}
	return status;
}

/* Of the largest work that there was time for; zeros: for none. */
struct timing {
	double seconds, subgroup_seconds;
};

static gqe_status time_paths(const struct gqe_recorder *own, const struct gqe_recorder *subgroup, const struct bench *bench,
			     enum gqe_kernel kernel, struct timing *timing, gqe_error *error)
{
	gqe_status status = GQE_OK;
	double used = 0; /* pipelines of another amount of work, which are made in the first pair, do not count */
	for (uint32_t tokens = FIRST_TOKENS; tokens <= bench->most_tokens && used < TIMING_SECONDS; tokens *= TOKENS_FACTOR) {
		struct timing now = {0};
		double ignored = 0;
		status = sample(own, bench, kernel, tokens, &ignored, error);
		if (status == GQE_OK)
			status = sample(subgroup, bench, kernel, tokens, &ignored, error);
		const uint64_t began = gqe_wall_nanoseconds();
		bool is_enough = false;
		for (int pair = 0; pair < PAIRS && status == GQE_OK && used + gqe_seconds_since(began) < TIMING_SECONDS; pair++) {
			status = sample(own, bench, kernel, tokens, &now.seconds, error);
			if (status == GQE_OK)
				status = sample(subgroup, bench, kernel, tokens, &now.subgroup_seconds, error);
			if (status != GQE_OK)
				return status;
			is_enough = now.seconds >= SAMPLE_SECONDS || now.subgroup_seconds >= SAMPLE_SECONDS;
			*timing = now;
		}
		used += gqe_seconds_since(began);
		if (status != GQE_OK || is_enough)
			break;
	}
	return status;
}

static gqe_status time_against_subgroup(gqe_context *context, const struct gqe_verdict *entry, struct timing *timing,
					gqe_error *error)
{
	struct bench bench;
	gqe_status status = bench_create(context, entry->head_dim, &bench, error);
	if (status == GQE_OK) {
		struct gqe_recorder own = gqe_context_recorder(context, bench.steps), subgroup;
		own.path = (gqe_path)entry->path;
		own.verdicts = NULL;
		own.queries = GQE_QUERIES_GATHERED;
		subgroup = own;
		subgroup.path = GQE_PATH_SUBGROUP;
		status = time_paths(&own, &subgroup, &bench, (enum gqe_kernel)entry->kernel, timing, error);
	}
	bench_release(&bench);
	return status;
}

gqe_status gqe_check_path(gqe_context *context, struct gqe_verdict *entry, gqe_error *error)
{
	gqe_selftest_case worst;
	struct timing timing = {0};
	gqe_error wrong = {0};
	gqe_status status =
		gqe_selftest_path(context, (enum gqe_kernel)entry->kernel, (gqe_path)entry->path, entry->head_dim, &worst, &wrong);
	const bool is_right = status == GQE_OK;
	if (!is_right && status != GQE_ERROR_VERIFICATION)
		return gqe_fail(error, status, "%s", wrong.message);
	if (!is_right)
		gqe_log_write(&gqe_context_vulkan(context)->log, GQE_LOG_WARNING, "%s", wrong.message);
	entry->error = worst.error;
	entry->tolerance = worst.tolerance;
	if (is_right)
		status = time_against_subgroup(context, entry, &timing, error);
	else
		status = GQE_OK;
	if (status != GQE_OK && status != GQE_ERROR_OUT_OF_MEMORY) /* what is right may be used without having been timed */
		return status;
	entry->slowdown = timing.subgroup_seconds > 0 ? timing.seconds / timing.subgroup_seconds : 0;
	entry->verdict = (uint32_t)gqe_verdict_judge(is_right, timing.seconds, timing.subgroup_seconds);
	return GQE_OK;
}
