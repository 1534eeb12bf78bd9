/* One sequence on a Vulkan device: its memory, and a chunk of tokens as steps. */
#include <stdlib.h>
#include <string.h>

#include "model/device_model.h"

/* Logits of a chunk are computed a block of rows at a time, to bound their memory at any vocabulary. */
#define LOGITS_BYTES (16u << 20)

static bool is_gqe(const gqe_model_config *config)
{
	return config->layer.attention == GQE_ATTENTION_GQE;
}

static uint64_t stats_words(const gqe_model_config *config)
{
	return is_gqe(config) ? (uint64_t)config->layers * 2 * config->layer.heads : 0;
}

static uint64_t slots_per_token(const gqe_model_config *config)
{
	return is_gqe(config) ? (uint64_t)config->layer.kv_heads * config->layer.top_k : 0;
}

/* Reserves the session's memory; the arenas may be ones that only plan. */
static void plan(struct gqe_device_session *session, const gqe_model_config *config, gqe_dtype dtype)
{
	const uint64_t word = sizeof(float);
	const uint64_t chunk = session->chunk;
	const uint64_t width = config->layer.hidden_size;
	session->logit_rows = gqe_max_u32(1, gqe_min_u32(session->chunk, (uint32_t)(LOGITS_BYTES / (word * config->vocab_size))));
	for (uint32_t i = 0; i < config->layers; i++)
		gqe_kv_cache_reserve(session->cache_arena, &session->caches[i], &config->layer, dtype, 1, session->max_tokens);
	struct gqe_arena *scratch = session->scratch_arena;
	gqe_layer_scratch_reserve(scratch, &session->layer_scratch, &config->layer, dtype, 1, session->chunk);
	gqe_rope_tables_reserve(scratch, &session->rope, &config->layer, session->max_tokens);
	gqe_arena_reserve(scratch, &session->tokens, chunk * word);
	gqe_arena_reserve(scratch, &session->targets, chunk * word);
	gqe_arena_reserve(scratch, &session->x, chunk * width * word);
	gqe_arena_reserve(scratch, &session->normed, chunk * width * word);
	gqe_arena_reserve(scratch, &session->gate, config->mlp == GQE_MLP_SWIGLU ? chunk * config->intermediate_size * word : 0);
	gqe_arena_reserve(scratch, &session->up, chunk * config->intermediate_size * word);
	gqe_arena_reserve(scratch, &session->logits, (uint64_t)session->logit_rows * config->vocab_size * word);
	gqe_arena_reserve(scratch, &session->nll, chunk * word);
	gqe_arena_reserve(scratch, &session->stats, stats_words(config) * word);
	gqe_arena_reserve(session->upload_arena, &session->upload, 2 * chunk * word);
	gqe_arena_reserve(session->download_arena, &session->download_logits, config->vocab_size * word);
	gqe_arena_reserve(session->download_arena, &session->download_nll, chunk * word);
	gqe_arena_reserve(session->download_arena, &session->download_stats, stats_words(config) * word);
	if (session->keep_routing)
		gqe_arena_reserve(session->download_arena, &session->download_experts,
				  config->layers * chunk * slots_per_token(config) * word);
}

static gqe_status create_arenas(struct gqe_vulkan *vulkan, struct gqe_device_session *session, uint32_t layers, gqe_error *error)
{
	session->caches = calloc(layers, sizeof(*session->caches));
	if (session->caches == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for %u layers", layers);
	gqe_status status = gqe_arena_create(vulkan, GQE_MEMORY_DEVICE, &session->cache_arena, error);
	if (status == GQE_OK)
		status = gqe_arena_create(vulkan, GQE_MEMORY_DEVICE, &session->scratch_arena, error);
	if (status == GQE_OK)
		status = gqe_arena_create(vulkan, GQE_MEMORY_UPLOAD, &session->upload_arena, error);
	if (status == GQE_OK)
		status = gqe_arena_create(vulkan, GQE_MEMORY_DOWNLOAD, &session->download_arena, error);
	return status;
}

gqe_status gqe_device_session_estimate(const gqe_model_config *config, gqe_dtype dtype, uint32_t max_tokens, uint32_t chunk,
				       bool keep_routing, uint64_t *cache, uint64_t *scratch, gqe_error *error)
{
	struct gqe_device_session session = {.max_tokens = max_tokens, .chunk = chunk, .keep_routing = keep_routing};
	gqe_status status = create_arenas(NULL, &session, config->layers, error);
	if (status == GQE_OK) {
		plan(&session, config, dtype);
		if (cache != NULL)
			*cache = gqe_arena_planned(session.cache_arena);
		if (scratch != NULL)
			*scratch = gqe_arena_planned(session.scratch_arena) + gqe_arena_planned(session.upload_arena) +
				   gqe_arena_planned(session.download_arena);
	}
	gqe_device_session_destroy(&session);
	return status;
}

gqe_status gqe_device_session_create(struct gqe_vulkan *vulkan, struct gqe_device_session *session,
				     const struct gqe_device_model *model, uint32_t max_tokens, uint32_t chunk, bool keep_routing,
				     gqe_error *error)
{
	session->model = model;
	session->max_tokens = max_tokens;
	session->chunk = chunk;
	session->keep_routing = keep_routing && is_gqe(&model->config);
	gqe_status status = create_arenas(vulkan, session, model->config.layers, error);
	if (status != GQE_OK)
		return status;
	plan(session, &model->config, model->dtype);
	struct gqe_arena *const arenas[] = {session->cache_arena, session->scratch_arena, session->upload_arena,
					    session->download_arena};
	for (size_t i = 0; i < GQE_COUNT(arenas) && status == GQE_OK; i++)
		status = gqe_arena_commit(arenas[i], error);
	if (status == GQE_OK)
		status = gqe_steps_create(vulkan, &session->steps, error);
	if (status == GQE_OK)
		status = gqe_rope_tables_upload(vulkan, &session->rope, error);
	return status;
}

void gqe_device_session_destroy(struct gqe_device_session *session)
{
	gqe_steps_destroy(&session->steps);
	gqe_arena_destroy(&session->cache_arena);
	gqe_arena_destroy(&session->scratch_arena);
	gqe_arena_destroy(&session->upload_arena);
	gqe_arena_destroy(&session->download_arena);
	free(session->caches);
	*session = (struct gqe_device_session){0};
}

static void record_norm(const struct gqe_recorder *recorder, const struct gqe_device_session *session,
			const struct gqe_device_linear *norm, uint32_t rows, uint64_t x, uint64_t y)
{
	const gqe_model_config *config = &session->model->config;
	gqe_record_norm(recorder, session->model->dtype,
			&(struct gqe_push_norm){
				.x = x,
				.weight = norm->weight.buffer.address,
				.bias = gqe_matrix_row(&norm->bias, 0),
				.y = y,
				.rows = rows,
				.width = config->layer.hidden_size,
				.kind = config->norm == GQE_NORM_LAYERNORM ? GQE_NORM_KIND_LAYER : GQE_NORM_KIND_RMS,
				.eps = (float)config->norm_eps,
			});
}

/* x += mlp(norm(x)) */
static void record_mlp(const struct gqe_recorder *recorder, const struct gqe_device_session *session,
		       const struct gqe_device_block *block, uint32_t rows)
{
	const gqe_model_config *config = &session->model->config;
	const bool gated = config->mlp == GQE_MLP_SWIGLU;
	record_norm(recorder, session, &block->post_attention_norm, rows, session->x.address, session->normed.address);
	if (gated)
		gqe_record_linear(recorder, &block->gate.weight, &block->gate.bias, rows, session->normed.address, 0,
				  session->gate.address);
	gqe_record_linear(recorder, &block->up.weight, &block->up.bias, rows, session->normed.address, 0, session->up.address);
	gqe_record_activation(recorder, session->model->dtype,
			      &(struct gqe_push_activation){
				      .gate = gated ? session->gate.address : 0,
				      .up = session->up.address,
				      .y = session->up.address,
				      .count = rows * config->intermediate_size,
				      .kind = gated ? GQE_MLP_KIND_SWIGLU : GQE_MLP_KIND_GELU,
			      });
	gqe_record_linear(recorder, &block->down.weight, &block->down.bias, rows, session->up.address, session->x.address,
			  session->x.address);
}

static void record_routing_download(const struct gqe_recorder *recorder, const struct gqe_device_session *session,
				    const struct gqe_chunk *chunk, uint32_t layer)
{
	const gqe_model_config *config = &session->model->config;
	const uint64_t word = sizeof(uint32_t);
	if (chunk->stats != NULL)
		gqe_record_balance(recorder, session->model->dtype,
				   &(struct gqe_push_balance){
					   .probability = session->layer_scratch.probability.address,
					   .experts = session->layer_scratch.experts.address,
					   .stats = session->stats.address + (uint64_t)layer * 2 * config->layer.heads * word,
					   .rows = chunk->count,
					   .groups = config->layer.kv_heads,
					   .experts_per_group = config->layer.heads / config->layer.kv_heads,
					   .top_k = config->layer.top_k,
				   });
	if (chunk->experts != NULL && session->keep_routing) {
		const uint64_t bytes = chunk->count * slots_per_token(config) * word;
		gqe_steps_copy(recorder->steps, &session->layer_scratch.experts, 0, &session->download_experts, layer * bytes,
			       bytes);
	}
}

/* Embedding and every block; the residual stream is in session->x afterwards. */
static void record_blocks(const struct gqe_recorder *recorder, const struct gqe_device_session *session,
			  const struct gqe_chunk *chunk)
{
	const struct gqe_device_model *model = session->model;
	const gqe_model_config *config = &model->config;
	gqe_record_embed(recorder, model->dtype,
			 &(struct gqe_push_embed){
				 .tokens = session->tokens.address,
				 .table = model->embed.buffer.address,
				 .x = session->x.address,
				 .rows = chunk->count,
				 .width = config->layer.hidden_size,
				 .table_stride = model->embed.stride,
				 .table_lanes = model->embed.layout.lanes,
			 });
	for (uint32_t i = 0; i < config->layers; i++) {
		const struct gqe_device_block *block = &model->blocks[i];
		record_norm(recorder, session, &block->input_norm, chunk->count, session->x.address, session->normed.address);
		gqe_record_layer(recorder, &(struct gqe_layer_run){
						   .config = &config->layer,
						   .weights = &block->attention,
						   .cache = &session->caches[i],
						   .scratch = &session->layer_scratch,
						   .rope = &session->rope,
						   .batch = 1,
						   .tokens = chunk->count,
						   .position = chunk->position,
						   .has_turns = i > 0,
						   .x = session->normed.address,
						   .residual = session->x.address,
						   .y = session->x.address,
					   });
		if (is_gqe(config))
			record_routing_download(recorder, session, chunk, i);
		record_mlp(recorder, session, block, chunk->count);
	}
}

/* Final norm of rows first...first+rows-1 and their logits, at the start of session->logits. */
static void record_logits(const struct gqe_recorder *recorder, const struct gqe_device_session *session, uint32_t first,
			  uint32_t rows)
{
	const struct gqe_device_model *model = session->model;
	const uint64_t offset = (uint64_t)first * model->config.layer.hidden_size * sizeof(float);
	const struct gqe_matrix *matrix = model->lm_head.weight.rows != 0 ? &model->lm_head.weight : &model->embed;
	record_norm(recorder, session, &model->norm, rows, session->x.address + offset, session->normed.address + offset);
	gqe_record_linear(recorder, matrix, &model->lm_head.bias, rows, session->normed.address + offset, 0,
			  session->logits.address);
}

static gqe_status run_steps(const struct gqe_device_session *session, const struct gqe_chunk *chunk, gqe_error *error)
{
	return gqe_steps_run(session->steps, chunk->cancelled, chunk->user, error);
}

/* Logits of every row in blocks, with nll on the device; full logits are fetched block by block. */
static gqe_status all_logits(struct gqe_vulkan *vulkan, const struct gqe_recorder *recorder,
			     const struct gqe_device_session *session, const struct gqe_chunk *chunk, gqe_error *error)
{
	const uint32_t vocab = session->model->config.vocab_size;
	gqe_status status = GQE_OK;
	for (uint32_t first = 0; first < chunk->count && status == GQE_OK; first += session->logit_rows) {
		const uint32_t rows = gqe_min_u32(session->logit_rows, chunk->count - first);
		record_logits(recorder, session, first, rows);
		if (chunk->nll != NULL)
			gqe_record_nll(recorder, session->model->dtype,
				       &(struct gqe_push_nll){
					       .logits = session->logits.address,
					       .targets = session->targets.address + first * sizeof(int32_t),
					       .nll = session->nll.address + first * sizeof(float),
					       .rows = rows,
					       .vocab = vocab,
				       });
		if (chunk->logits != NULL) {
			status = run_steps(session, chunk, error);
			if (status == GQE_OK)
				status = gqe_buffer_download(vulkan, &session->logits, 0, chunk->logits + (size_t)first * vocab,
							     (uint64_t)rows * vocab * sizeof(float), error);
		}
	}
	if (status == GQE_OK && chunk->nll != NULL)
		gqe_steps_copy(recorder->steps, &session->nll, 0, &session->download_nll, 0, chunk->count * sizeof(float));
	return status;
}

/* Takes what the steps have left in host-visible memory. */
static void read_results(const struct gqe_device_session *session, const struct gqe_chunk *chunk)
{
	const gqe_model_config *config = &session->model->config;
	memcpy(chunk->last_logits, session->download_logits.host, config->vocab_size * sizeof(float));
	if (chunk->nll != NULL)
		memcpy(chunk->nll, session->download_nll.host, chunk->count * sizeof(float));
	if (chunk->stats != NULL) {
		const float *stats = session->download_stats.host;
		for (uint64_t i = 0; i < stats_words(config); i++)
			chunk->stats[i] += stats[i];
	}
	if (chunk->experts != NULL && session->keep_routing)
		memcpy(chunk->experts, session->download_experts.host,
		       config->layers * chunk->count * slots_per_token(config) * sizeof(int32_t));
}

gqe_status gqe_device_chunk(gqe_context *context, struct gqe_device_session *session, const struct gqe_chunk *chunk,
			    gqe_error *error)
{
	struct gqe_vulkan *vulkan = gqe_context_vulkan(context);
	const gqe_model_config *config = &session->model->config;
	const struct gqe_recorder recorder = gqe_context_recorder(context, session->steps);
	const uint64_t bytes = chunk->count * sizeof(int32_t);
	const uint64_t vocab_bytes = config->vocab_size * sizeof(float);
	memcpy(session->upload.host, chunk->tokens, bytes);
	gqe_steps_copy(session->steps, &session->upload, 0, &session->tokens, 0, bytes);
	if (chunk->nll != NULL) {
		memcpy((char *)session->upload.host + bytes, chunk->targets, bytes);
		gqe_steps_copy(session->steps, &session->upload, bytes, &session->targets, 0, bytes);
	}
	record_blocks(&recorder, session, chunk);
	gqe_status status = GQE_OK;
	uint32_t last_row = 0; /* of the last token in session->logits */
	if (chunk->nll != NULL || chunk->logits != NULL) {
		status = all_logits(vulkan, &recorder, session, chunk, error);
		last_row = (chunk->count - 1) % session->logit_rows;
	} else {
		record_logits(&recorder, session, chunk->count - 1, 1);
	}
	if (status != GQE_OK)
		return status;
	gqe_steps_copy(session->steps, &session->logits, last_row * vocab_bytes, &session->download_logits, 0, vocab_bytes);
	if (chunk->stats != NULL)
		gqe_steps_copy(session->steps, &session->stats, 0, &session->download_stats, 0, session->stats.size);
	status = run_steps(session, chunk, error);
	if (status == GQE_OK)
		read_results(session, chunk);
	return status;
}
