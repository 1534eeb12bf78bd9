#include "model/model.h"

#include <stdlib.h>

gqe_status gqe_model_load(gqe_context *context, const gqe_model_files *files, const gqe_model_params *caller_params,
			  gqe_model **model, gqe_error *error)
{
	if (model == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_model_load: model is NULL");
	*model = NULL;
	if (context == NULL || files == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_model_load: context and files are required");
	gqe_model_params params;
	gqe_status status = gqe_copy_params(&params, sizeof(params), caller_params, error);
	if (status == GQE_OK)
		status = gqe_context_check_dtype(context, &params.dtype, error);
	if (status != GQE_OK)
		return status;
	gqe_model *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a model");
	made->context = context;
	made->config = *gqe_model_files_config(files);
	made->dtype = params.dtype;
	const struct gqe_model_tensors *tensors = gqe_model_files_model(files);
	struct gqe_vulkan *vulkan = gqe_context_vulkan(context);
	status = gqe_context_check_paths(context, params.dtype, made->config.layer.head_dim, error);
	if (status == GQE_OK && vulkan != NULL) {
		const struct gqe_weight_reader reader = gqe_context_weight_reader(context);
		status = gqe_device_model_load(vulkan, &made->device, &made->config, tensors, params.dtype, &reader,
					       params.progress, params.progress_user, error);
	} else if (status == GQE_OK) {
		status = gqe_host_model_load(&made->host, &made->config, tensors, params.progress, params.progress_user, error);
	}
	if (status != GQE_OK) {
		gqe_model_destroy(&made);
		return status;
	}
	*model = made;
	return GQE_OK;
}

void gqe_model_destroy(gqe_model **model)
{
	if (model == NULL || *model == NULL)
		return;
	gqe_device_model_destroy(&(*model)->device);
	gqe_host_model_destroy(&(*model)->host);
	free(*model);
	*model = NULL;
}

const gqe_model_config *gqe_model_get_config(const gqe_model *model)
{
	return model != NULL ? &model->config : NULL;
}

/* Tokens that a pass may have with 32-bit indices in the kernels. */
static uint32_t chunk_bound(const gqe_model_config *config)
{
	return gqe_min_u32(gqe_layer_most_rows(&config->layer), GQE_MAX_ELEMENTS / config->intermediate_size);
}

gqe_status gqe_choose_chunk(const gqe_model_config *config, gqe_dtype dtype, const gqe_session_params *params, uint64_t available,
			    uint32_t *chunk, uint64_t *total, gqe_error *error)
{
	const uint32_t bound = gqe_min_u32(chunk_bound(config), params->max_tokens);
	*chunk = gqe_min_u32(params->chunk == 0 ? GQE_DEFAULT_CHUNK : params->chunk, bound);
	for (;;) {
		uint64_t cache, scratch;
		gqe_status status = gqe_device_session_estimate(config, dtype, params->max_tokens, *chunk, params->keep_routing,
								&cache, &scratch, error);
		if (status != GQE_OK)
			return status;
		*total = cache + scratch;
		if (*total <= available || params->chunk != 0 || *chunk <= GQE_SMALLEST_CHUNK)
			return GQE_OK;
		*chunk /= 2;
	}
}

gqe_status gqe_model_estimate(const gqe_model_files *files, gqe_dtype dtype, const gqe_session_params *caller_params,
			      uint64_t memory_limit, gqe_memory_estimate *estimate, gqe_error *error)
{
	if (files == NULL || caller_params == NULL || estimate == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_model_estimate: files, params and estimate are required");
	gqe_session_params params;
	gqe_status status = gqe_copy_params(&params, sizeof(params), caller_params, error);
	if (status != GQE_OK)
		return status;
	if (params.max_tokens == 0)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_model_estimate: max_tokens is required");
	if (dtype == 0)
		dtype = GQE_DTYPE_F32;
	if (dtype != GQE_DTYPE_F32 && dtype != GQE_DTYPE_F16)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_model_estimate: dtype must be f32 or f16");
	const gqe_model_config *config = gqe_model_files_config(files);
	struct gqe_device_model model = {0};
	gqe_memory_estimate result = {0};
	uint64_t session_bytes, available = UINT64_MAX;
	status = gqe_arena_create(NULL, GQE_MEMORY_DEVICE, &model.arena, error);
	if (status == GQE_OK)
		status = gqe_device_model_plan(&model, config, gqe_model_files_model(files), dtype, &(struct gqe_weight_reader){0},
					       model.arena, error);
	if (status == GQE_OK)
		result.weights = gqe_arena_planned(model.arena);
	if (memory_limit > 0) {
		const uint64_t before_session = result.weights + gqe_staging_bytes();
		available = memory_limit > before_session ? memory_limit - before_session : 0;
	}
	if (status == GQE_OK)
		status = gqe_choose_chunk(config, dtype, &params, available, &result.chunk, &session_bytes, error);
	if (status == GQE_OK)
		status = gqe_device_session_estimate(config, dtype, params.max_tokens, result.chunk, params.keep_routing,
						     &result.kv_cache, &result.scratch, error);
	gqe_device_model_destroy(&model);
	if (status != GQE_OK)
		return status;
	result.scratch += gqe_staging_bytes();
	result.total = result.weights + result.kv_cache + result.scratch;
	*estimate = result;
	return GQE_OK;
}
