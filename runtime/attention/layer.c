/* The public gqe_layer: one attention layer on tensors, on a Vulkan device or the C reference. */
#include <stdlib.h>
#include <string.h>

#include "attention/context.h"
#include "attention/layer.h"

static gqe_status check_pass_size(const gqe_layer_config *config, uint64_t rows, gqe_error *error)
{
	const uint32_t most = gqe_layer_most_rows(config);
	if (rows > most)
		return gqe_fail(error, GQE_ERROR_USAGE,
				"a pass over %llu tokens is more than 32-bit indices reach (%u); use a smaller chunk",
				(unsigned long long)rows, most);
	return GQE_OK;
}

static uint64_t cache_bytes(const gqe_layer_config *config, gqe_dtype dtype, uint32_t batch, uint32_t max_tokens)
{
	const uint64_t heads = (uint64_t)batch * gqe_layer_shape_of(config).cache_heads;
	return heads * max_tokens * config->head_dim * gqe_dtype_size(dtype);
}

static gqe_status import_cache(gqe_layer *layer, const gqe_vulkan_kv_cache *from, gqe_dtype dtype, gqe_error *error)
{
	const struct gqe_vulkan *vulkan = gqe_context_vulkan(layer->context);
	const uint64_t bytes = cache_bytes(&layer->config, dtype, layer->batch, layer->max_tokens);
	layer->cache.dtype = dtype;
	layer->cache.capacity = layer->max_tokens;
	layer->cache_is_imported = true;
	gqe_status status = gqe_buffer_import(vulkan, &from->k, bytes, "kv_cache.k", &layer->cache.k, error);
	if (status == GQE_OK)
		status = gqe_buffer_import(vulkan, &from->v, bytes, "kv_cache.v", &layer->cache.v, error);
	if (status == GQE_OK && gqe_buffers_overlap(&layer->cache.k, &layer->cache.v))
		status = gqe_fail(error, GQE_ERROR_USAGE, "kv_cache: v overlaps k; give it memory of its own");
	return status;
}

static gqe_status create_on_device(gqe_layer *layer, const struct gqe_layer_tensors *tensors, gqe_dtype dtype,
				   const gqe_vulkan_kv_cache *kv_cache, gqe_error *error)
{
	struct gqe_vulkan *vulkan = gqe_context_vulkan(layer->context);
	const uint64_t rows = (uint64_t)layer->batch * layer->chunk;
	gqe_status status = gqe_context_check_paths(layer->context, dtype, layer->config.head_dim, error);
	if (status == GQE_OK)
		status = gqe_arena_create(vulkan, GQE_MEMORY_DEVICE, &layer->arena, error);
	if (status != GQE_OK)
		return status;
	const struct gqe_weight_reader reader = gqe_context_weight_reader(layer->context);
	gqe_layer_weights_reserve(layer->arena, &layer->weights, &layer->config, tensors, dtype, &reader);
	if (kv_cache != NULL)
		status = import_cache(layer, kv_cache, dtype, error);
	else
		gqe_kv_cache_reserve(layer->arena, &layer->cache, &layer->config, dtype, layer->batch, layer->max_tokens);
	if (status != GQE_OK)
		return status;
	gqe_layer_scratch_reserve(layer->arena, &layer->scratch, &layer->config, dtype, layer->batch, layer->chunk);
	gqe_rope_tables_reserve(layer->arena, &layer->rope, &layer->config, layer->max_tokens);
	gqe_arena_reserve(layer->arena, &layer->x, rows * layer->config.hidden_size * sizeof(float));
	gqe_arena_reserve(layer->arena, &layer->y, rows * layer->config.hidden_size * sizeof(float));
	status = gqe_arena_commit(layer->arena, error);
	if (status == GQE_OK)
		status = gqe_steps_create(vulkan, &layer->steps, error);
	if (status == GQE_OK)
		status = gqe_layer_weights_upload(vulkan, &layer->weights, tensors, error);
	if (status == GQE_OK)
		status = gqe_rope_tables_upload(vulkan, &layer->rope, error);
	return status;
}

static gqe_status check_params(const gqe_context *context, gqe_layer_params *params, gqe_error *error)
{
	if (context == NULL || params->config == NULL || (params->tensors == NULL && params->tensor_count > 0))
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_layer_create: context, config and tensors are required");
	for (size_t i = 0; i < params->tensor_count; i++)
		if (params->tensors[i].name == NULL || params->tensors[i].data == NULL)
			return gqe_fail(error, GQE_ERROR_USAGE, "gqe_layer_create: tensor %zu has no name or no data", i);
	if (params->max_tokens == 0)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_layer_create: max_tokens is required");
	if (params->kv_cache != NULL && gqe_context_vulkan(context) == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_layer_create: the reference takes no kv_cache of Vulkan buffers");
	if (params->batch == 0)
		params->batch = 1;
	if (params->chunk == 0 || params->chunk > params->max_tokens)
		params->chunk = params->max_tokens;
	gqe_status status = gqe_context_check_dtype(context, &params->dtype, error);
	if (status == GQE_OK)
		status = gqe_layer_config_check(params->config, error);
	if (status == GQE_OK)
		status = check_pass_size(params->config, (uint64_t)params->batch * params->chunk, error);
	if (status == GQE_OK)
		status = gqe_kv_cache_check(params->config, params->batch, params->max_tokens, error);
	return status;
}

gqe_status gqe_vulkan_kv_cache_bytes(const gqe_layer_params *caller_params, uint64_t *bytes, gqe_error *error)
{
	gqe_layer_params params;
	gqe_status status = gqe_copy_params(&params, sizeof(params), caller_params, error);
	if (status == GQE_OK && (params.config == NULL || bytes == NULL || params.max_tokens == 0))
		status = gqe_fail(error, GQE_ERROR_USAGE, "gqe_vulkan_kv_cache_bytes: config, max_tokens and bytes are required");
	if (status == GQE_OK)
		status = gqe_layer_config_check(params.config, error);
	if (status != GQE_OK)
		return status;
	const gqe_dtype dtype = params.dtype == 0 ? GQE_DTYPE_F32 : params.dtype;
	const uint32_t batch = params.batch == 0 ? 1 : params.batch;
	status = gqe_kv_cache_check(params.config, batch, params.max_tokens, error);
	if (status == GQE_OK)
		*bytes = cache_bytes(params.config, dtype, batch, params.max_tokens);
	return status;
}

gqe_status gqe_layer_create(gqe_context *context, const gqe_layer_params *caller_params, gqe_layer **layer, gqe_error *error)
{
	if (layer == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_layer_create: layer is NULL");
	*layer = NULL;
	gqe_layer_params params;
	struct gqe_layer_tensors tensors;
	gqe_status status = gqe_copy_params(&params, sizeof(params), caller_params, error);
	if (status == GQE_OK)
		status = check_params(context, &params, error);
	if (status == GQE_OK)
		status = gqe_layer_tensors_find(params.config, "", params.tensors, params.tensor_count, true, &tensors, error);
	if (status != GQE_OK)
		return status;
	gqe_layer *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a layer");
	made->context = context;
	made->config = *params.config;
	made->shape = gqe_layer_shape_of(params.config);
	made->batch = params.batch;
	made->max_tokens = params.max_tokens;
	made->chunk = params.chunk;
	if (gqe_context_vulkan(context) != NULL)
		status = create_on_device(made, &tensors, params.dtype, params.kv_cache, error);
	else
		status = gqe_layer_host_create(&made->host, &made->config, &tensors, params.batch, params.max_tokens, error);
	if (status != GQE_OK) {
		gqe_layer_destroy(&made);
		return status;
	}
	*layer = made;
	return GQE_OK;
}

void gqe_layer_destroy(gqe_layer **layer)
{
	if (layer == NULL || *layer == NULL)
		return;
	gqe_commands_wait(&(*layer)->submitted, NULL);
	gqe_commands_destroy(&(*layer)->submitted);
	gqe_steps_destroy(&(*layer)->steps);
	gqe_arena_destroy(&(*layer)->arena);
	gqe_layer_host_destroy(&(*layer)->host);
	free(*layer);
	*layer = NULL;
}

static bool is_cancelled(void *user)
{
	gqe_layer *layer = user;
	return atomic_load(&layer->cancelled);
}

void gqe_layer_cancel(gqe_layer *layer)
{
	if (layer != NULL)
		atomic_store(&layer->cancelled, true);
}

void gqe_layer_append(gqe_layer *layer, uint32_t tokens, uint64_t x, uint64_t y)
{
	const struct gqe_recorder recorder = gqe_context_recorder(layer->context, layer->steps);
	if (layer->cache_is_imported) {
		gqe_steps_lend(layer->steps, &layer->cache.k);
		gqe_steps_lend(layer->steps, &layer->cache.v);
	}
	gqe_record_layer(&recorder, &(struct gqe_layer_run){
					    .config = &layer->config,
					    .weights = &layer->weights,
					    .cache = &layer->cache,
					    .scratch = &layer->scratch,
					    .rope = &layer->rope,
					    .batch = layer->batch,
					    .tokens = tokens,
					    .position = layer->position,
					    .x = x,
					    .y = y,
				    });
}

static gqe_status forward_on_device(gqe_layer *layer, const gqe_layer_io *io, gqe_error *error)
{
	struct gqe_vulkan *vulkan = gqe_context_vulkan(layer->context);
	const uint64_t rows = (uint64_t)layer->batch * io->tokens;
	const uint64_t tensor_bytes = rows * layer->config.hidden_size * sizeof(float);
	const uint64_t slot_bytes = rows * layer->shape.routed_slots * sizeof(uint32_t);
	gqe_status status = gqe_buffer_upload(vulkan, &layer->x, 0, io->x, tensor_bytes, error);
	if (status != GQE_OK)
		return status;
	gqe_layer_append(layer, io->tokens, layer->x.address, io->y != NULL ? layer->y.address : 0);
	status = gqe_steps_run(layer->steps, is_cancelled, layer, error);
	if (status == GQE_OK && io->y != NULL)
		status = gqe_buffer_download(vulkan, &layer->y, 0, io->y, tensor_bytes, error);
	if (status == GQE_OK && io->experts != NULL)
		status = gqe_buffer_download(vulkan, &layer->scratch.experts, 0, io->experts, slot_bytes, error);
	if (status == GQE_OK && io->gate != NULL)
		status = gqe_buffer_download(vulkan, &layer->scratch.gate, 0, io->gate, slot_bytes, error);
	return status;
}

gqe_status gqe_layer_check_tokens(const gqe_layer *layer, uint32_t tokens, const char *call, gqe_error *error)
{
	if (tokens == 0 || tokens > layer->chunk)
		return gqe_fail(error, GQE_ERROR_USAGE, "%s: 1 to %u tokens (the layer's chunk) are required, not %u", call,
				layer->chunk, tokens);
	if (tokens > layer->max_tokens - layer->position)
		return gqe_fail(error, GQE_ERROR_USAGE, "%s: %u tokens do not fit: %u of max_tokens %u are in use", call, tokens,
				layer->position, layer->max_tokens);
	return GQE_OK;
}

static gqe_status check_io(const gqe_layer *layer, const gqe_layer_io *io, gqe_error *error)
{
	if (io->x == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_layer_forward: x is required");
	gqe_status status = gqe_layer_check_tokens(layer, io->tokens, "gqe_layer_forward", error);
	if (status != GQE_OK)
		return status;
	const bool routing = io->experts != NULL || io->gate != NULL;
	if (routing && layer->config.attention == GQE_ATTENTION_GQA)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_layer_forward: dense GQA has no experts and no gate");
	if (routing && io->y == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE,
				"gqe_layer_forward: without y nothing is routed, so there are no experts and no gate");
	return GQE_OK;
}

gqe_status gqe_layer_forward(gqe_layer *layer, const gqe_layer_io *caller_io, gqe_error *error)
{
	if (layer == NULL || caller_io == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_layer_forward: layer and io are required");
	gqe_layer_io io;
	gqe_status status = gqe_copy_params(&io, sizeof(io), caller_io, error);
	if (status == GQE_OK)
		status = check_io(layer, &io, error);
	if (status != GQE_OK)
		return status;
	if (is_cancelled(layer)) {
		status = gqe_fail(error, GQE_CANCELLED, "gqe_layer_forward: cancelled");
	} else if (gqe_context_vulkan(layer->context) != NULL) {
		status = forward_on_device(layer, &io, error);
	} else {
		const struct gqe_reference_layer_io reference_io = {
			.batch = layer->batch,
			.tokens = io.tokens,
			.position = layer->position,
			.x = io.x,
			.y = io.y,
			.experts = io.experts,
			.gate = io.gate,
		};
		status = gqe_reference_layer(gqe_context_threads(layer->context), &layer->config, &layer->host.weights,
					     &layer->host.cache, &reference_io, error);
	}
	if (status == GQE_OK)
		layer->position += io.tokens;
	if (status == GQE_CANCELLED) /* one that came too late is for the next call */
		atomic_store(&layer->cancelled, false);
	return status;
}

uint32_t gqe_layer_position(const gqe_layer *layer)
{
	return layer != NULL ? layer->position : 0;
}

/* Zeros K and V of positions first...last-1 in every head of every sequence. */
static gqe_status clear_cache(gqe_layer *layer, uint32_t first, uint32_t last, gqe_error *error)
{
	struct gqe_vulkan *vulkan = gqe_context_vulkan(layer->context);
	const uint32_t heads = layer->batch * layer->shape.cache_heads;
	const uint64_t element = vulkan != NULL ? gqe_dtype_size(layer->weights.dtype) : sizeof(float);
	const uint64_t token_bytes = layer->config.head_dim * element;
	gqe_status status = GQE_OK;
	for (uint32_t head = 0; head < heads && status == GQE_OK; head++) {
		const uint64_t offset = ((uint64_t)head * layer->max_tokens + first) * token_bytes;
		const uint64_t bytes = (last - first) * token_bytes;
		if (vulkan == NULL) {
			memset((char *)layer->host.cache.k + offset, 0, bytes);
			memset((char *)layer->host.cache.v + offset, 0, bytes);
			continue;
		}
		status = gqe_buffer_fill(vulkan, &layer->cache.k, offset, bytes, 0, error);
		if (status == GQE_OK)
			status = gqe_buffer_fill(vulkan, &layer->cache.v, offset, bytes, 0, error);
	}
	return status;
}

gqe_status gqe_layer_seek(gqe_layer *layer, uint32_t position, gqe_error *error)
{
	if (layer == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_layer_seek: layer is NULL");
	if (position > layer->max_tokens)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_layer_seek: position %u is beyond the layer's max_tokens of %u",
				position, layer->max_tokens);
	gqe_status status = GQE_OK;
	if (position > layer->position)
		status = clear_cache(layer, layer->position, position, error);
	if (status == GQE_OK)
		layer->position = position;
	return status;
}
