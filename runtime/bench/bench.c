/* gqe_bench: its parameters, and taking samples. */
#include <stdlib.h>

#include "attention/context.h"
#include "bench/bench_layer.h"
#include "bench/bench_peak.h"
#include "bench/routing.h"
#include "common/platform.h"

#define DEFAULT_SEED 20260609

struct gqe_bench {
	gqe_bench_info info;
	bool (*cancelled)(void *user);
	void *user;
	struct gqe_vulkan *vulkan;
	struct gqe_steps *steps;
	struct gqe_recorder recorder;
	struct gqe_bench_layer *layer; /* NULL for a peak */
	struct gqe_bench_peak *peak;   /* NULL for a layer */
};

const char *gqe_layer_step_name(gqe_layer_step step)
{
	static const char *const names[GQE_LAYER_STEP_COUNT] = {
		[GQE_LAYER_STEP_OTHER] = "other",
		[GQE_LAYER_STEP_ROUTER] = "router",
		[GQE_LAYER_STEP_EXPERT_LISTS] = "expert_lists",
		[GQE_LAYER_STEP_Q_PROJ] = "q_proj",
		[GQE_LAYER_STEP_KV_PROJ] = "kv_proj",
		[GQE_LAYER_STEP_ATTENTION] = "attention",
		[GQE_LAYER_STEP_COMBINE] = "combine",
		[GQE_LAYER_STEP_O_PROJ] = "o_proj",
	};
	return (unsigned)step < GQE_LAYER_STEP_COUNT ? names[step] : "?";
}

const char *gqe_bench_what_name(gqe_bench_what what)
{
	switch (what) {
	case GQE_BENCH_LAYER:
		return "layer";
	case GQE_BENCH_ATTENTION:
		return "attention";
	case GQE_BENCH_GEMM:
		return "gemm";
	case GQE_BENCH_FMA_F32:
		return "fma_f32";
	case GQE_BENCH_FMA_F16:
		return "fma_f16";
	case GQE_BENCH_FMA_MATRIX:
		return "fma_matrix";
	case GQE_BENCH_BANDWIDTH:
		return "bandwidth";
	}
	return "?";
}

static bool is_layer(gqe_bench_what what)
{
	return what == GQE_BENCH_LAYER || what == GQE_BENCH_ATTENTION || what == GQE_BENCH_GEMM;
}

static gqe_status check_routing(const gqe_bench_params *params, gqe_error *error)
{
	const gqe_layer_config *config = params->config;
	if (params->routing < GQE_BENCH_UNIFORM || params->routing > GQE_BENCH_GIVEN)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_bench_create: there is no routing %d", (int)params->routing);
	if (params->what == GQE_BENCH_ATTENTION || config->attention == GQE_ATTENTION_GQA)
		return GQE_OK;
	if (config->heads > config->hidden_size)
		return gqe_fail(error, GQE_ERROR_USAGE,
				"a bench routes by a code in %u channels of x, one an expert, but the hidden size is %u",
				config->heads, config->hidden_size);
	if (params->routing != GQE_BENCH_GIVEN)
		return GQE_OK;
	if (params->experts == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_bench_create: the routing to be given is missing");
	return gqe_bench_check_experts(config, params->experts, params->last_chunk, error);
}

static gqe_status check_layer(gqe_context *context, gqe_bench_params *params, gqe_error *error)
{
	if (params->config == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_bench_create: a config is required");
	gqe_status status = gqe_layer_config_check(params->config, error);
	if (status == GQE_OK)
		status = gqe_context_check_dtype(context, &params->dtype, error);
	if (status != GQE_OK)
		return status;
	if (params->last_chunk == 0)
		params->last_chunk = params->tokens;
	if (params->tokens == 0 || params->last_chunk > params->tokens)
		return gqe_fail(error, GQE_ERROR_USAGE,
				"a bench needs at least one token, and not more of them computed than there are");
	if (params->last_chunk > gqe_layer_most_rows(params->config))
		return gqe_fail(error, GQE_ERROR_USAGE,
				"a pass over %u tokens is more than 32-bit indices reach (%u); compute fewer of them",
				params->last_chunk, gqe_layer_most_rows(params->config));
	if (params->what != GQE_BENCH_GEMM)
		status = gqe_kv_cache_check(params->config, 1, params->tokens, error);
	return status == GQE_OK ? check_routing(params, error) : status;
}

static gqe_status check_params(gqe_context *context, gqe_bench_params *params, gqe_error *error)
{
	if (context == NULL || gqe_context_vulkan(context) == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "a bench needs a Vulkan device: the reference is not made to be fast");
	if (params->what < GQE_BENCH_LAYER || params->what > GQE_BENCH_BANDWIDTH)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_bench_create: there is no bench %d", (int)params->what);
	if (params->seed == 0)
		params->seed = DEFAULT_SEED;
	if (params->routing == 0)
		params->routing = GQE_BENCH_UNIFORM;
	return is_layer(params->what) ? check_layer(context, params, error) : GQE_OK;
}

gqe_status gqe_bench_create(gqe_context *context, const gqe_bench_params *caller_params, gqe_bench **bench, gqe_error *error)
{
	if (bench == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_bench_create: bench is NULL");
	*bench = NULL;
	gqe_bench_params params;
	gqe_status status = gqe_copy_params(&params, sizeof(params), caller_params, error);
	if (status == GQE_OK)
		status = check_params(context, &params, error);
	if (status != GQE_OK)
		return status;
	gqe_bench *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a bench");
	made->cancelled = params.cancelled;
	made->user = params.user;
	made->vulkan = gqe_context_vulkan(context);
	made->info.has_timestamps = made->vulkan->capabilities.timestamps;
	made->info.context_bytes = gqe_staging_bytes();
	status = gqe_steps_create(made->vulkan, &made->steps, error);
	if (status == GQE_OK)
		status = gqe_steps_enable_timing(made->steps, error);
	made->recorder = gqe_context_recorder(context, made->steps);
	if (params.queries != 0)
		made->recorder.queries = params.queries;
	if (status == GQE_OK && is_layer(params.what))
		status = gqe_context_check_paths(context, params.dtype, params.config->head_dim, error);
	if (status == GQE_OK && is_layer(params.what))
		status = gqe_bench_layer_create(&made->recorder, made->vulkan, &params, &made->layer, &made->info, error);
	else if (status == GQE_OK)
		status = gqe_bench_peak_create(made->vulkan, made->steps, &params, &made->peak, &made->info, error);
	if (status != GQE_OK) {
		gqe_bench_destroy(&made);
		return status;
	}
	*bench = made;
	return GQE_OK;
}

void gqe_bench_destroy(gqe_bench **bench)
{
	if (bench == NULL || *bench == NULL)
		return;
	gqe_bench_layer_destroy(&(*bench)->layer);
	gqe_bench_peak_destroy(&(*bench)->peak);
	gqe_steps_destroy(&(*bench)->steps);
	free(*bench);
	*bench = NULL;
}

gqe_bench_info gqe_bench_get_info(const gqe_bench *bench)
{
	return bench != NULL ? bench->info : (gqe_bench_info){0};
}

gqe_status gqe_bench_sample(gqe_bench *bench, gqe_bench_times *times, gqe_error *error)
{
	if (bench == NULL || times == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_bench_sample: bench and times are required");
	const double cpu_start = gqe_processor_seconds();
	const uint64_t start = gqe_wall_nanoseconds();
	if (bench->layer != NULL)
		gqe_bench_layer_record(bench->layer, &bench->recorder);
	else
		gqe_bench_peak_record(bench->peak, bench->steps);
	const gqe_status status = gqe_steps_run(bench->steps, bench->cancelled, bench->user, error);
	if (status != GQE_OK)
		return status;
	const struct gqe_step_times steps = gqe_steps_times(bench->steps);
	*times = (gqe_bench_times){
		.wall_ms = 1e3 * gqe_seconds_since(start),
		.cpu_ms = 1e3 * (gqe_processor_seconds() - cpu_start),
	};
	for (int step = 0; step < GQE_LAYER_STEP_COUNT; step++) {
		times->step_ms[step] = 1e3 * steps.seconds[step];
		times->gpu_ms += times->step_ms[step];
	}
	return GQE_OK;
}
