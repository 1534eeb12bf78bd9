#include "model/host_model.h"

#include <stdlib.h>
#include <string.h>

static gqe_status load_linear(struct gqe_host_linear *linear, const struct gqe_weight_tensors *tensors, gqe_error *error)
{
	gqe_status status = gqe_tensor_host_values(tensors->weight, &linear->weight, error);
	return status != GQE_OK ? status : gqe_tensor_host_values(tensors->bias, &linear->bias, error);
}

static void free_linear(struct gqe_host_linear *linear)
{
	free(linear->weight);
	free(linear->bias);
}

static gqe_status load_block(struct gqe_host_block *block, const gqe_model_config *config, const struct gqe_block_tensors *tensors,
			     gqe_error *error)
{
	const struct {
		struct gqe_host_linear *linear;
		const struct gqe_weight_tensors *tensors;
	} parts[] = {
		{&block->input_norm, &tensors->input_norm},
		{&block->post_attention_norm, &tensors->post_attention_norm},
		{&block->gate, &tensors->gate},
		{&block->up, &tensors->up},
		{&block->down, &tensors->down},
	};
	gqe_status status = gqe_layer_host_create(&block->attention, &config->layer, &tensors->attention, 1, 0, error);
	for (size_t i = 0; i < GQE_COUNT(parts) && status == GQE_OK; i++)
		status = load_linear(parts[i].linear, parts[i].tensors, error);
	return status;
}

gqe_status gqe_host_model_load(struct gqe_host_model *model, const gqe_model_config *config,
			       const struct gqe_model_tensors *tensors, gqe_progress_fn progress, void *progress_user,
			       gqe_error *error)
{
	model->config = *config;
	model->blocks = calloc(config->layers, sizeof(*model->blocks));
	if (model->blocks == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for %u layers", config->layers);
	struct gqe_weight_tensors lm_head = tensors->lm_head;
	if (lm_head.weight == tensors->embed)
		lm_head.weight = NULL;
	gqe_status status = gqe_tensor_host_values(tensors->embed, &model->embed, error);
	if (status == GQE_OK)
		status = load_linear(&model->norm, &tensors->norm, error);
	if (status == GQE_OK)
		status = load_linear(&model->lm_head, &lm_head, error);
	for (uint32_t i = 0; i < config->layers && status == GQE_OK; i++) {
		status = load_block(&model->blocks[i], config, &tensors->blocks[i], error);
		if (status == GQE_OK && progress != NULL && !progress(progress_user, i + 1, config->layers))
			status = gqe_fail(error, GQE_CANCELLED, "loading was cancelled");
	}
	return status;
}

void gqe_host_model_destroy(struct gqe_host_model *model)
{
	for (uint32_t i = 0; model->blocks != NULL && i < model->config.layers; i++) {
		struct gqe_host_block *block = &model->blocks[i];
		struct gqe_host_linear *const linears[] = {&block->input_norm, &block->post_attention_norm, &block->gate,
							   &block->up, &block->down};
		gqe_layer_host_destroy(&block->attention);
		for (size_t j = 0; j < GQE_COUNT(linears); j++)
			free_linear(linears[j]);
	}
	free(model->blocks);
	free(model->embed);
	free_linear(&model->norm);
	free_linear(&model->lm_head);
	*model = (struct gqe_host_model){0};
}

gqe_status gqe_host_session_create(struct gqe_host_session *session, const struct gqe_host_model *model, uint32_t threads,
				   uint32_t max_tokens, uint32_t chunk, gqe_error *error)
{
	const gqe_model_config *config = &model->config;
	const bool routed = config->layer.attention == GQE_ATTENTION_GQE;
	const struct {
		void **array;
		size_t width; /* words a token; 0: not needed */
	} arrays[] = {
		{(void **)&session->x, config->layer.hidden_size},
		{(void **)&session->normed, config->layer.hidden_size},
		{(void **)&session->gate, config->mlp == GQE_MLP_SWIGLU ? config->intermediate_size : 0},
		{(void **)&session->up, config->intermediate_size},
		{(void **)&session->logits, config->vocab_size},
		{(void **)&session->probability, routed ? config->layer.heads : 0},
		{(void **)&session->experts, routed ? (size_t)config->layer.kv_heads * config->layer.top_k : 0},
	};
	session->model = model;
	session->threads = threads;
	for (size_t i = 0; i < GQE_COUNT(arrays); i++) {
		if (arrays[i].width == 0)
			continue;
		*arrays[i].array = calloc((size_t)chunk * arrays[i].width, sizeof(float));
		if (*arrays[i].array == NULL)
			return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a chunk of %u tokens", chunk);
	}
	session->caches = calloc(config->layers, sizeof(*session->caches));
	if (session->caches == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for %u layers", config->layers);
	gqe_status status = GQE_OK;
	for (uint32_t i = 0; i < config->layers && status == GQE_OK; i++)
		status = gqe_cache_host_create(&session->caches[i], &config->layer, 1, max_tokens, error);
	return status;
}

void gqe_host_session_destroy(struct gqe_host_session *session)
{
	for (uint32_t i = 0; session->caches != NULL && i < session->model->config.layers; i++)
		gqe_cache_host_destroy(&session->caches[i]);
	free(session->caches);
	free(session->x);
	free(session->normed);
	free(session->gate);
	free(session->up);
	free(session->logits);
	free(session->probability);
	free(session->experts);
	*session = (struct gqe_host_session){0};
}

/* y = x * weight^T + bias (+ residual), rows dense */
static void linear(const struct gqe_host_session *session, const float *weight, const float *bias, uint32_t rows, uint32_t cols,
		   uint32_t depth, const float *x, const float *residual, float *y)
{
	gqe_reference_gemm(session->threads, rows, cols, depth, x, depth, weight, depth, bias, residual, y, cols);
}

static void norm(const struct gqe_host_session *session, const struct gqe_host_linear *weights, uint32_t rows)
{
	const gqe_model_config *config = &session->model->config;
	gqe_reference_norm(session->threads, config->norm, config->norm_eps, rows, config->layer.hidden_size, session->x,
			   weights->weight, weights->bias, session->normed);
}

static void mlp(const struct gqe_host_session *session, const struct gqe_host_block *block, uint32_t rows)
{
	const gqe_model_config *config = &session->model->config;
	const uint32_t width = config->layer.hidden_size;
	const uint32_t inner = config->intermediate_size;
	norm(session, &block->post_attention_norm, rows);
	if (config->mlp == GQE_MLP_SWIGLU)
		linear(session, block->gate.weight, block->gate.bias, rows, inner, width, session->normed, NULL, session->gate);
	linear(session, block->up.weight, block->up.bias, rows, inner, width, session->normed, NULL, session->up);
	gqe_reference_activation(config->mlp, (uint64_t)rows * inner, session->gate, session->up, session->up);
	linear(session, block->down.weight, block->down.bias, rows, width, inner, session->up, session->x, session->x);
}

/* Adds a layer's routing of this chunk to the chunk's outputs. */
static void take_routing(const struct gqe_host_session *session, const struct gqe_chunk *chunk, uint32_t layer)
{
	const gqe_layer_config *config = &session->model->config.layer;
	const uint32_t slots = config->kv_heads * config->top_k;
	const uint32_t per_group = config->heads / config->kv_heads;
	if (chunk->experts != NULL)
		memcpy(chunk->experts + (size_t)layer * chunk->count * slots, session->experts,
		       (size_t)chunk->count * slots * sizeof(int32_t));
	if (chunk->stats == NULL)
		return;
	double *selections = chunk->stats + (size_t)layer * 2 * config->heads;
	double *probability = selections + config->heads;
	for (uint32_t row = 0; row < chunk->count; row++) {
		for (uint32_t slot = 0; slot < slots; slot++)
			selections[slot / config->top_k * per_group + (uint32_t)session->experts[(size_t)row * slots + slot]] +=
				1.0;
		for (uint32_t expert = 0; expert < config->heads; expert++)
			probability[expert] += session->probability[(size_t)row * config->heads + expert];
	}
}

static gqe_status run_block(struct gqe_host_session *session, const struct gqe_chunk *chunk, uint32_t layer, gqe_error *error)
{
	const struct gqe_host_block *block = &session->model->blocks[layer];
	norm(session, &block->input_norm, chunk->count);
	gqe_status status = gqe_reference_layer(session->threads, &session->model->config.layer, &block->attention.weights,
						&session->caches[layer],
						&(struct gqe_reference_layer_io){
							.batch = 1,
							.tokens = chunk->count,
							.position = chunk->position,
							.x = session->normed,
							.y = session->x,
							.residual = session->x,
							.experts = session->experts,
							.probability = session->probability,
						},
						error);
	if (status != GQE_OK)
		return status;
	if (session->experts != NULL)
		take_routing(session, chunk, layer);
	mlp(session, block, chunk->count);
	return GQE_OK;
}

gqe_status gqe_host_chunk(struct gqe_host_session *session, const struct gqe_chunk *chunk, gqe_error *error)
{
	const struct gqe_host_model *model = session->model;
	const uint32_t width = model->config.layer.hidden_size;
	const uint32_t vocab = model->config.vocab_size;
	gqe_reference_embed(chunk->tokens, model->embed, chunk->count, width, session->x);
	for (uint32_t layer = 0; layer < model->config.layers; layer++) {
		if (chunk->cancelled != NULL && chunk->cancelled(chunk->user))
			return gqe_fail(error, GQE_CANCELLED, "the prefill was cancelled");
		gqe_status status = run_block(session, chunk, layer, error);
		if (status != GQE_OK)
			return status;
	}
	norm(session, &model->norm, chunk->count);
	const bool all = chunk->nll != NULL || chunk->logits != NULL;
	const uint32_t first = all ? 0 : chunk->count - 1;
	const uint32_t rows = chunk->count - first;
	linear(session, model->lm_head.weight != NULL ? model->lm_head.weight : model->embed, model->lm_head.bias, rows, vocab,
	       width, session->normed + (size_t)first * width, NULL, session->logits);
	memcpy(chunk->last_logits, session->logits + (size_t)(rows - 1) * vocab, vocab * sizeof(float));
	if (chunk->logits != NULL)
		memcpy(chunk->logits, session->logits, (size_t)rows * vocab * sizeof(float));
	if (chunk->nll != NULL)
		gqe_reference_nll(session->threads, chunk->count, vocab, session->logits, chunk->targets, chunk->nll);
	return GQE_OK;
}
