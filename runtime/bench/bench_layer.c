#include "bench/bench_layer.h"

#include <math.h>
#include <stdlib.h>

#include "attention/kernel_table.h"
#include "bench/routing.h"
#include "bench/work.h"
#include "common/half.h"
#include "common/philox.h"

/* Elements of the random block that a long buffer repeats. */
#define BLOCK_ELEMENTS ((uint64_t)1 << 20)

/* Streams of the bench's random numbers, after those of the weights. */
enum { STREAM_X = GQE_LAYER_TENSORS, STREAM_Q, STREAM_K, STREAM_V, STREAM_EXPERTS };

struct gqe_bench_layer {
	gqe_bench_params params;
	gqe_layer_config config;
	struct gqe_layer_shape shape;
	uint32_t rows;     /* tokens computed */
	uint32_t position; /* of the first of them */
	struct gqe_arena *arena;
	struct gqe_layer_weights weights;
	struct gqe_kv_cache cache;
	struct gqe_layer_scratch scratch;
	struct gqe_rope_tables rope;
	struct gqe_buffer x, y; /* [rows, d] */
	int32_t *experts;       /* [rows, G, k] asked for; NULL: nothing is routed */
};

static bool has_weights(const struct gqe_bench_layer *layer)
{
	return layer->params.what != GQE_BENCH_ATTENTION;
}

static bool has_cache(const struct gqe_bench_layer *layer)
{
	return layer->params.what != GQE_BENCH_GEMM;
}

static bool is_routed(const struct gqe_bench_layer *layer)
{
	return has_weights(layer) && layer->config.attention == GQE_ATTENTION_GQE;
}

/* Uniform, with mean 0 and this deviation: as good as normal numbers for timing, and many times as fast to draw. */
static void fill_random(struct gqe_random *random, float *values, uint64_t count, float deviation)
{
	const float width = deviation * 3.46410162f; /* sqrt(12) */
	for (uint64_t i = 0; i < count; i++)
		values[i] = ((float)(gqe_random_u32(random) >> 8) * 0x1p-24f - 0.5f) * width;
}

static gqe_status no_host_memory(gqe_error *error)
{
	return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for the random tensors of a bench");
}

static gqe_status upload_weights(const struct gqe_bench_layer *layer, struct gqe_vulkan *vulkan, gqe_error *error)
{
	gqe_status status = GQE_OK;
	for (int i = 0; i < GQE_LAYER_TENSORS && status == GQE_OK; i++) {
		const struct gqe_matrix *matrix = &layer->weights.weight[i];
		const uint64_t count = (uint64_t)matrix->rows * matrix->cols;
		if (count == 0)
			continue;
		float *values = malloc(count * sizeof(*values));
		if (values == NULL)
			return no_host_memory(error);
		struct gqe_random random = gqe_random_seed(layer->params.seed, (uint64_t)i);
		if (i == GQE_LAYER_ROUTER)
			gqe_bench_fill_router(&layer->config, values);
		else
			fill_random(&random, values, count, 1.0f / sqrtf((float)matrix->cols));
		const gqe_tensor tensor = {
			.name = gqe_layer_tensor_name(i),
			.dtype = GQE_DTYPE_F32,
			.rank = 2,
			.shape = {matrix->rows, matrix->cols},
			.data = values,
			.bytes = count * sizeof(*values),
		};
		status = gqe_matrix_upload(vulkan, matrix, &tensor, error);
		free(values);
	}
	return status;
}

static gqe_status upload_x(struct gqe_bench_layer *layer, struct gqe_vulkan *vulkan, gqe_error *error)
{
	const uint64_t count = (uint64_t)layer->rows * layer->config.hidden_size;
	float *values = malloc(count * sizeof(*values));
	if (values == NULL)
		return no_host_memory(error);
	struct gqe_random random = gqe_random_seed(layer->params.seed, STREAM_X);
	fill_random(&random, values, count, 1.0f);
	if (is_routed(layer))
		gqe_bench_encode_experts(&layer->config, layer->experts, layer->rows, values);
	const gqe_status status = gqe_buffer_upload(vulkan, &layer->x, 0, values, count * sizeof(*values), error);
	free(values);
	return status;
}

/* A block of random numbers from the host, then repeated on the device until the buffer is full. */
static gqe_status fill_buffer(const struct gqe_bench_layer *layer, const struct gqe_recorder *recorder, struct gqe_vulkan *vulkan,
			      const struct gqe_buffer *buffer, gqe_dtype dtype, float deviation, uint64_t stream, gqe_error *error)
{
	const uint64_t element = gqe_dtype_size(dtype), elements = buffer->size / element;
	const uint64_t count = elements < BLOCK_ELEMENTS ? elements : BLOCK_ELEMENTS;
	float *values = malloc(count * sizeof(*values));
	uint16_t *halves = dtype == GQE_DTYPE_F16 ? malloc(count * sizeof(*halves)) : NULL;
	gqe_status status = GQE_OK;
	if (values == NULL || (dtype == GQE_DTYPE_F16 && halves == NULL)) {
		status = no_host_memory(error);
	} else {
		struct gqe_random random = gqe_random_seed(layer->params.seed, stream);
		fill_random(&random, values, count, deviation);
		for (uint64_t i = 0; halves != NULL && i < count; i++)
			halves[i] = gqe_f32_to_f16(values[i]);
		status = gqe_buffer_upload(vulkan, buffer, 0, halves != NULL ? (void *)halves : values, count * element, error);
	}
	free(values);
	free(halves);
	if (status != GQE_OK)
		return status;
	for (uint64_t filled = count * element; filled < buffer->size; filled *= 2) {
		const uint64_t left = buffer->size - filled;
		gqe_steps_copy(recorder->steps, buffer, 0, buffer, filled, left < filled ? left : filled);
	}
	return gqe_steps_run(recorder->steps, layer->params.cancelled, layer->params.user, error);
}

/* K and V before the computed tokens; for attention alone all of them, and the queries as their projection leaves them. */
static gqe_status fill_context(const struct gqe_bench_layer *layer, const struct gqe_recorder *recorder, struct gqe_vulkan *vulkan,
			       gqe_error *error)
{
	const gqe_dtype dtype = layer->cache.dtype;
	const float q_scale = 1.44269504f / sqrtf((float)layer->config.head_dim);
	gqe_status status = GQE_OK;
	if (layer->position > 0 || layer->params.what == GQE_BENCH_ATTENTION) {
		status = fill_buffer(layer, recorder, vulkan, &layer->cache.k, dtype, 1.0f, STREAM_K, error);
		if (status == GQE_OK)
			status = fill_buffer(layer, recorder, vulkan, &layer->cache.v, dtype, 1.0f, STREAM_V, error);
	}
	if (status == GQE_OK && layer->params.what == GQE_BENCH_ATTENTION)
		status = fill_buffer(layer, recorder, vulkan, &layer->scratch.q, GQE_DTYPE_F32, q_scale, STREAM_Q, error);
	return status;
}

static gqe_status allocate(struct gqe_bench_layer *layer, const struct gqe_recorder *recorder, struct gqe_vulkan *vulkan,
			   gqe_bench_info *info, gqe_error *error)
{
	const struct gqe_weight_reader reader = {.capabilities = recorder->capabilities, .path = recorder->path};
	const struct gqe_layer_tensors no_biases = {0};
	const uint64_t x_bytes = (uint64_t)layer->rows * layer->config.hidden_size * sizeof(float);
	gqe_status status = gqe_arena_create(vulkan, GQE_MEMORY_DEVICE, &layer->arena, error);
	if (status != GQE_OK)
		return status;
	if (has_weights(layer)) {
		gqe_layer_weights_reserve(layer->arena, &layer->weights, &layer->config, &no_biases, layer->params.dtype, &reader);
		gqe_arena_reserve(layer->arena, &layer->x, x_bytes);
		gqe_arena_reserve(layer->arena, &layer->y, x_bytes);
		gqe_rope_tables_reserve(layer->arena, &layer->rope, &layer->config, layer->params.tokens);
	}
	if (has_cache(layer)) {
		gqe_kv_cache_reserve(layer->arena, &layer->cache, &layer->config, layer->params.dtype, 1, layer->params.tokens);
	}
	gqe_layer_scratch_reserve(layer->arena, &layer->scratch, &layer->config, layer->params.dtype, 1, layer->rows);
	info->memory_bytes = gqe_arena_planned(layer->arena);
	status = gqe_arena_commit(layer->arena, error);
	if (status == GQE_OK && is_routed(layer)) {
		layer->experts = calloc((size_t)layer->rows * layer->shape.routed_slots, sizeof(*layer->experts));
		if (layer->experts == NULL)
			return no_host_memory(error);
		struct gqe_random random = gqe_random_seed(layer->params.seed, STREAM_EXPERTS);
		gqe_bench_choose_experts(&layer->config, layer->params.routing, layer->params.experts, &random, layer->rows,
					 layer->experts);
		layer->params.experts = NULL;
	}
	return status;
}

static gqe_status fill(struct gqe_bench_layer *layer, const struct gqe_recorder *recorder, struct gqe_vulkan *vulkan,
		       gqe_error *error)
{
	gqe_status status = GQE_OK;
	if (has_weights(layer)) {
		status = upload_weights(layer, vulkan, error);
		if (status == GQE_OK)
			status = upload_x(layer, vulkan, error);
	}
	if (status == GQE_OK && has_weights(layer))
		status = gqe_rope_tables_upload(vulkan, &layer->rope, error);
	if (status == GQE_OK && has_cache(layer))
		status = fill_context(layer, recorder, vulkan, error);
	return status;
}

static struct gqe_layer_run run_of(const struct gqe_bench_layer *layer)
{
	return (struct gqe_layer_run){
		.config = &layer->config,
		.weights = &layer->weights,
		.cache = &layer->cache,
		.scratch = &layer->scratch,
		.rope = &layer->rope,
		.batch = 1,
		.tokens = layer->rows,
		.position = layer->position,
		.x = layer->x.address,
		.y = layer->y.address,
	};
}

void gqe_bench_layer_record(const struct gqe_bench_layer *layer, const struct gqe_recorder *recorder)
{
	const struct gqe_layer_run run = run_of(layer);
	if (layer->params.what == GQE_BENCH_LAYER)
		gqe_record_layer(recorder, &run);
	else if (layer->params.what == GQE_BENCH_ATTENTION)
		gqe_record_layer_attention(recorder, &run);
	else
		gqe_record_layer_queries(recorder, &run, false);
}

/* One pass, which compiles every pipeline; a projection alone needs the angles, and the lists of the routing, once before. */
static gqe_status first_pass(const struct gqe_bench_layer *layer, const struct gqe_recorder *recorder, struct gqe_vulkan *vulkan,
			     gqe_error *error)
{
	const struct gqe_layer_run run = run_of(layer);
	if (layer->params.what == GQE_BENCH_GEMM)
		gqe_record_layer_turns(recorder, &run);
	if (is_routed(layer) && layer->params.what == GQE_BENCH_GEMM)
		gqe_record_layer_routing(recorder, &run);
	gqe_bench_layer_record(layer, recorder);
	gqe_status status = gqe_steps_run(recorder->steps, layer->params.cancelled, layer->params.user, error);
	if (status != GQE_OK || !is_routed(layer))
		return status;
	const uint64_t bytes = (uint64_t)layer->rows * layer->shape.routed_slots * sizeof(int32_t);
	int32_t *routed = malloc(bytes);
	if (routed == NULL)
		return no_host_memory(error);
	status = gqe_buffer_download(vulkan, &layer->scratch.experts, 0, routed, bytes, error);
	if (status == GQE_OK)
		status = gqe_bench_compare_experts(&layer->config, layer->experts, routed, layer->rows, error);
	free(routed);
	return status;
}

static void describe(const struct gqe_bench_layer *layer, gqe_path path, gqe_bench_info *info)
{
	enum gqe_kernel kernel = GQE_KERNEL_ATTENTION;
	if (layer->params.what == GQE_BENCH_GEMM) {
		const bool gathered = layer->config.attention == GQE_ATTENTION_GQE;
		kernel = gathered ? GQE_KERNEL_GEMM_GATHERED : GQE_KERNEL_GEMM_HEADS;
		info->step_flop[GQE_LAYER_STEP_Q_PROJ] = gqe_projection_flop(&layer->config, layer->rows);
	} else {
		gqe_layer_flop(&layer->config, layer->rows, layer->position, info->step_flop);
		for (int step = 0; step < GQE_LAYER_STEP_COUNT; step++)
			if (layer->params.what == GQE_BENCH_ATTENTION && step != GQE_LAYER_STEP_ATTENTION)
				info->step_flop[step] = 0;
	}
	for (int step = 0; step < GQE_LAYER_STEP_COUNT; step++)
		info->flop += info->step_flop[step];
	info->path = gqe_kernel_choose(kernel, path, layer->params.dtype).path;
}

gqe_status gqe_bench_layer_create(const struct gqe_recorder *recorder, struct gqe_vulkan *vulkan, const gqe_bench_params *params,
				  struct gqe_bench_layer **layer, gqe_bench_info *info, gqe_error *error)
{
	struct gqe_bench_layer *made = *layer = calloc(1, sizeof(*made));
	if (made == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a bench");
	made->params = *params;
	made->config = *params->config;
	made->params.config = &made->config; /* the caller's need not live on */
	made->shape = gqe_layer_shape_of(params->config);
	made->rows = params->last_chunk;
	made->position = params->tokens - params->last_chunk;
	gqe_status status = allocate(made, recorder, vulkan, info, error);
	if (status == GQE_OK)
		status = fill(made, recorder, vulkan, error);
	if (status == GQE_OK)
		status = first_pass(made, recorder, vulkan, error);
	if (status == GQE_OK)
		describe(made, recorder->path, info);
	else
		gqe_bench_layer_destroy(layer);
	return status;
}

void gqe_bench_layer_destroy(struct gqe_bench_layer **layer)
{
	if (*layer == NULL)
		return;
	gqe_arena_destroy(&(*layer)->arena);
	free((*layer)->experts);
	free(*layer);
	*layer = NULL;
}
