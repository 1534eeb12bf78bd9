#include "model/device_model.h"

#include <stdlib.h>

static void plan_weight(struct gqe_arena *arena, struct gqe_matrix *matrix, uint64_t rows, uint64_t cols, gqe_dtype dtype,
			const struct gqe_weight_reader *reader)
{
	const struct gqe_matrix_layout layout = {.lanes = gqe_weight_lanes(reader, dtype, 0)};
	gqe_matrix_reserve_blocks(arena, matrix, rows, cols, dtype, &layout);
}

static void plan_linear(struct gqe_arena *arena, struct gqe_device_linear *linear, const struct gqe_weight_tensors *tensors,
			uint64_t rows, uint64_t cols, gqe_dtype dtype, const struct gqe_weight_reader *reader)
{
	const bool present = tensors->weight != NULL;
	plan_weight(arena, &linear->weight, present ? rows : 0, present ? cols : 0, dtype, reader);
	const bool biased = tensors->bias != NULL;
	gqe_matrix_reserve(arena, &linear->bias, biased, biased ? rows : 0, GQE_DTYPE_F32);
}

/* A norm is a row of float32, so that its matrix is [1, d]. */
static void plan_norm(struct gqe_arena *arena, struct gqe_device_linear *norm, const struct gqe_weight_tensors *tensors,
		      uint64_t width)
{
	gqe_matrix_reserve(arena, &norm->weight, 1, width, GQE_DTYPE_F32);
	gqe_matrix_reserve(arena, &norm->bias, tensors->bias != NULL, tensors->bias != NULL ? width : 0, GQE_DTYPE_F32);
}

gqe_status gqe_device_model_plan(struct gqe_device_model *model, const gqe_model_config *config,
				 const struct gqe_model_tensors *tensors, gqe_dtype dtype, const struct gqe_weight_reader *reader,
				 struct gqe_arena *arena, gqe_error *error)
{
	model->config = *config;
	model->dtype = dtype;
	model->blocks = calloc(config->layers, sizeof(*model->blocks));
	if (model->blocks == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for %u layers", config->layers);
	const uint64_t width = config->layer.hidden_size;
	const uint64_t inner = config->intermediate_size;
	plan_weight(arena, &model->embed, config->vocab_size, width, dtype, reader);
	plan_norm(arena, &model->norm, &tensors->norm, width);
	struct gqe_weight_tensors lm_head = tensors->lm_head;
	if (lm_head.weight == tensors->embed)
		lm_head.weight = NULL;
	plan_linear(arena, &model->lm_head, &lm_head, config->vocab_size, width, dtype, reader);
	for (uint32_t i = 0; i < config->layers; i++) {
		struct gqe_device_block *block = &model->blocks[i];
		const struct gqe_block_tensors *from = &tensors->blocks[i];
		plan_norm(arena, &block->input_norm, &from->input_norm, width);
		gqe_layer_weights_reserve(arena, &block->attention, &config->layer, &from->attention, dtype, reader);
		plan_norm(arena, &block->post_attention_norm, &from->post_attention_norm, width);
		plan_linear(arena, &block->gate, &from->gate, inner, width, dtype, reader);
		plan_linear(arena, &block->up, &from->up, inner, width, dtype, reader);
		plan_linear(arena, &block->down, &from->down, width, inner, dtype, reader);
	}
	return GQE_OK;
}

static gqe_status upload_linear(struct gqe_vulkan *vulkan, const struct gqe_device_linear *linear,
				const struct gqe_weight_tensors *tensors, gqe_error *error)
{
	gqe_status status = gqe_matrix_upload(vulkan, &linear->weight, tensors->weight, error);
	return status != GQE_OK ? status : gqe_matrix_upload(vulkan, &linear->bias, tensors->bias, error);
}

static gqe_status upload_block(struct gqe_vulkan *vulkan, const struct gqe_device_block *block,
			       const struct gqe_block_tensors *tensors, gqe_error *error)
{
	const struct {
		const struct gqe_device_linear *linear;
		const struct gqe_weight_tensors *tensors;
	} parts[] = {
		{&block->input_norm, &tensors->input_norm},
		{&block->post_attention_norm, &tensors->post_attention_norm},
		{&block->gate, &tensors->gate},
		{&block->up, &tensors->up},
		{&block->down, &tensors->down},
	};
	gqe_status status = gqe_layer_weights_upload(vulkan, &block->attention, &tensors->attention, error);
	for (size_t i = 0; i < GQE_COUNT(parts) && status == GQE_OK; i++)
		status = upload_linear(vulkan, parts[i].linear, parts[i].tensors, error);
	return status;
}

gqe_status gqe_device_model_load(struct gqe_vulkan *vulkan, struct gqe_device_model *model, const gqe_model_config *config,
				 const struct gqe_model_tensors *tensors, gqe_dtype dtype, const struct gqe_weight_reader *reader,
				 gqe_progress_fn progress, void *progress_user, gqe_error *error)
{
	gqe_status status = gqe_arena_create(vulkan, GQE_MEMORY_DEVICE, &model->arena, error);
	if (status == GQE_OK)
		status = gqe_device_model_plan(model, config, tensors, dtype, reader, model->arena, error);
	if (status == GQE_OK)
		status = gqe_arena_commit(model->arena, error);
	if (status == GQE_OK)
		status = gqe_matrix_upload(vulkan, &model->embed, tensors->embed, error);
	if (status == GQE_OK)
		status = upload_linear(vulkan, &model->norm, &tensors->norm, error);
	if (status == GQE_OK)
		status = upload_linear(vulkan, &model->lm_head, &tensors->lm_head, error);
	for (uint32_t i = 0; i < config->layers && status == GQE_OK; i++) {
		status = upload_block(vulkan, &model->blocks[i], &tensors->blocks[i], error);
		if (status == GQE_OK && progress != NULL && !progress(progress_user, i + 1, config->layers))
			status = gqe_fail(error, GQE_CANCELLED, "loading was cancelled");
	}
	return status;
}

void gqe_device_model_destroy(struct gqe_device_model *model)
{
	gqe_arena_destroy(&model->arena);
	free(model->blocks);
	*model = (struct gqe_device_model){0};
}
