#include "attention/layer_device.h"

#include <math.h>

_Static_assert(GQE_LAYER_STEP_COUNT <= (int)GQE_STEP_LABELS, "the parts of a layer are labels of steps");

uint32_t gqe_layer_most_rows(const gqe_layer_config *config)
{
	const struct gqe_layer_shape shape = gqe_layer_shape_of(config);
	const uint32_t slots = gqe_max_u32(gqe_max_u32(shape.q_slots, shape.o_slots), shape.source_heads);
	const uint32_t width = gqe_max_u32(slots * config->head_dim, gqe_max_u32(config->hidden_size, config->heads));
	return GQE_MAX_ELEMENTS / width;
}

gqe_status gqe_kv_cache_check(const gqe_layer_config *config, uint32_t batch, uint32_t capacity, gqe_error *error)
{
	/* Heads are reached by 64-bit addresses; the number of the cache's rows, and an index inside a head, are 32-bit. */
	const uint64_t heads = (uint64_t)batch * gqe_layer_shape_of(config).cache_heads;
	if (capacity > GQE_MAX_ELEMENTS / config->head_dim || heads > UINT32_MAX / capacity)
		return gqe_fail(
			error, GQE_ERROR_USAGE,
			"a KV cache for %u sequences of %u tokens is more than 32-bit indices reach; use fewer tokens or sequences",
			batch, capacity);
	return GQE_OK;
}

void gqe_layer_weights_reserve(struct gqe_arena *arena, struct gqe_layer_weights *weights, const gqe_layer_config *config,
			       const struct gqe_layer_tensors *tensors, gqe_dtype dtype)
{
	weights->dtype = dtype;
	for (int i = 0; i < GQE_LAYER_TENSORS; i++) {
		uint64_t rows, cols;
		gqe_layer_tensor_shape(config, i, &rows, &cols);
		/* Routing is discrete: a rounded logit may pick another expert, so the router is never stored in 16 bits. */
		gqe_matrix_reserve(arena, &weights->weight[i], rows, cols, i == GQE_LAYER_ROUTER ? GQE_DTYPE_F32 : dtype);
		const bool biased = rows != 0 && tensors->bias[i] != NULL;
		gqe_matrix_reserve(arena, &weights->bias[i], biased, biased ? rows : 0, GQE_DTYPE_F32);
	}
}

gqe_status gqe_layer_weights_upload(struct gqe_vulkan *vulkan, const struct gqe_layer_weights *weights,
				    const struct gqe_layer_tensors *tensors, gqe_error *error)
{
	gqe_status status = GQE_OK;
	for (int i = 0; i < GQE_LAYER_TENSORS && status == GQE_OK; i++) {
		status = gqe_matrix_upload(vulkan, &weights->weight[i], tensors->weight[i], error);
		if (status == GQE_OK)
			status = gqe_matrix_upload(vulkan, &weights->bias[i], tensors->bias[i], error);
	}
	return status;
}

void gqe_kv_cache_reserve(struct gqe_arena *arena, struct gqe_kv_cache *cache, const gqe_layer_config *config, gqe_dtype dtype,
			  uint32_t batch, uint32_t capacity)
{
	const struct gqe_layer_shape shape = gqe_layer_shape_of(config);
	const uint64_t bytes = (uint64_t)batch * shape.cache_heads * capacity * config->head_dim * gqe_dtype_size(dtype);
	cache->dtype = dtype;
	cache->capacity = capacity;
	gqe_arena_reserve(arena, &cache->k, bytes);
	gqe_arena_reserve(arena, &cache->v, bytes);
}

void gqe_layer_scratch_reserve(struct gqe_arena *arena, struct gqe_layer_scratch *scratch, const gqe_layer_config *config,
			       uint64_t rows)
{
	const struct gqe_layer_shape shape = gqe_layer_shape_of(config);
	const uint64_t head_bytes = (uint64_t)config->head_dim * sizeof(float);
	gqe_arena_reserve(arena, &scratch->k, rows * shape.source_heads * head_bytes);
	gqe_arena_reserve(arena, &scratch->v, rows * shape.source_heads * head_bytes);
	gqe_arena_reserve(arena, &scratch->q, rows * shape.q_slots * head_bytes);
	gqe_arena_reserve(arena, &scratch->o, rows * shape.o_slots * head_bytes);
	gqe_arena_reserve(arena, &scratch->attention_state, rows * shape.q_slots * 2 * sizeof(float));
	if (config->attention == GQE_ATTENTION_GQA)
		return;
	const uint64_t words = sizeof(uint32_t);
	const uint64_t blocks = (rows + GQE_LIST_BLOCK - 1) / GQE_LIST_BLOCK;
	const uint64_t tiles = gqe_gathered_tiles_bound((uint32_t)rows, config->kv_heads, config->top_k, config->heads);
	gqe_arena_reserve(arena, &scratch->logits, rows * config->heads * words);
	gqe_arena_reserve(arena, &scratch->probability, rows * config->heads * words);
	gqe_arena_reserve(arena, &scratch->experts, rows * shape.routed_slots * words);
	gqe_arena_reserve(arena, &scratch->selected, rows * shape.routed_slots * words);
	gqe_arena_reserve(arena, &scratch->gate, rows * shape.routed_slots * words);
	gqe_arena_reserve(arena, &scratch->counts, blocks * config->heads * words);
	gqe_arena_reserve(arena, &scratch->tiles, tiles * 3 * words);
	gqe_arena_reserve(arena, &scratch->tile_count, words);
	gqe_arena_reserve(arena, &scratch->dispatch, 3 * words);
	gqe_arena_reserve(arena, &scratch->entries, rows * shape.routed_slots * words);
}

/* A projection of x into columns of a wider output: `c` is the address of the first column, `c_stride` the whole width. */
static void record_projection(const struct gqe_recorder *recorder, const struct gqe_matrix *matrix, const struct gqe_matrix *bias,
			      uint32_t first_row, uint32_t cols, uint32_t rows, uint64_t x, uint64_t residual, uint64_t c,
			      uint32_t c_stride)
{
	gqe_record_gemm(recorder, matrix->dtype,
			&(struct gqe_push_gemm){
				.a = x,
				.w = gqe_matrix_row(matrix, first_row),
				.bias = bias->rows == 0 ? 0 : bias->buffer.address + first_row * sizeof(float),
				.residual = residual,
				.c = c,
				.rows = rows,
				.cols = cols,
				.depth = matrix->cols,
				.a_stride = matrix->cols,
				.w_stride = matrix->stride,
				.c_stride = c_stride,
				.has_bias = bias->rows != 0,
				.has_residual = residual != 0,
			});
}

void gqe_record_linear(const struct gqe_recorder *recorder, const struct gqe_matrix *matrix, const struct gqe_matrix *bias,
		       uint32_t rows, uint64_t x, uint64_t residual, uint64_t y)
{
	record_projection(recorder, matrix, bias, 0, matrix->rows, rows, x, residual, y, matrix->rows);
}

static uint32_t rope_kind(const gqe_layer_config *config)
{
	switch (config->rope) {
	case GQE_ROPE_HALF:
		return GQE_ROPE_KIND_HALF;
	case GQE_ROPE_INTERLEAVED:
		return GQE_ROPE_KIND_INTERLEAVED;
	case GQE_ROPE_NONE:
		break;
	}
	return GQE_ROPE_KIND_NONE;
}

/* Dense K and V of every token, rotated, into the cache (spec 2.1, 2.4, 2.6). */
static void record_kv(const struct gqe_recorder *recorder, const struct gqe_layer_run *run, const struct gqe_layer_shape *shape)
{
	const gqe_layer_config *config = run->config;
	const struct gqe_layer_weights *weights = run->weights;
	const struct gqe_layer_scratch *scratch = run->scratch;
	const uint32_t rows = run->batch * run->tokens;
	const uint32_t width = shape->source_heads * config->head_dim;
	const uint32_t group_width = config->kv_heads * config->head_dim;
	gqe_steps_label(recorder->steps, GQE_LAYER_STEP_KV_PROJ);
	record_projection(recorder, &weights->weight[GQE_LAYER_K], &weights->bias[GQE_LAYER_K], 0, group_width, rows, run->x, 0,
			  scratch->k.address, width);
	record_projection(recorder, &weights->weight[GQE_LAYER_V], &weights->bias[GQE_LAYER_V], 0, group_width, rows, run->x, 0,
			  scratch->v.address, width);
	if (shape->source_heads > config->kv_heads) {
		const uint64_t offset = group_width * sizeof(float);
		record_projection(recorder, &weights->weight[GQE_LAYER_K_SHARED], &weights->bias[GQE_LAYER_K_SHARED], 0,
				  config->head_dim, rows, run->x, 0, scratch->k.address + offset, width);
		record_projection(recorder, &weights->weight[GQE_LAYER_V_SHARED], &weights->bias[GQE_LAYER_V_SHARED], 0,
				  config->head_dim, rows, run->x, 0, scratch->v.address + offset, width);
	}
	gqe_record_kv_store(recorder, weights->dtype,
			    &(struct gqe_push_kv_store){
				    .rope_high = run->rope->high.address,
				    .rope_low = run->rope->low.address,
				    .k = scratch->k.address,
				    .v = scratch->v.address,
				    .k_cache = run->cache->k.address,
				    .v_cache = run->cache->v.address,
				    .rows = rows,
				    .tokens = run->tokens,
				    .position = run->position,
				    .capacity = run->cache->capacity,
				    .source_heads = shape->source_heads,
				    .mean_head = shape->mean_head,
				    .head_size = config->head_dim,
				    .rope_kind = rope_kind(config),
			    });
}

/* Router, top-k and the token list of each expert (spec 2.2). */
void gqe_record_layer_routing(const struct gqe_recorder *recorder, const struct gqe_layer_run *run)
{
	const gqe_layer_config *config = run->config;
	const struct gqe_layer_scratch *scratch = run->scratch;
	const uint32_t rows = run->batch * run->tokens;
	const uint32_t per_group = config->heads / config->kv_heads;
	const gqe_dtype dtype = run->weights->dtype;
	gqe_steps_label(recorder->steps, GQE_LAYER_STEP_ROUTER);
	gqe_record_linear(recorder, &run->weights->weight[GQE_LAYER_ROUTER], &run->weights->bias[GQE_LAYER_ROUTER], rows, run->x, 0,
			  scratch->logits.address);
	gqe_record_route(recorder, dtype,
			 &(struct gqe_push_route){
				 .logits = scratch->logits.address,
				 .probability = scratch->probability.address,
				 .experts = scratch->experts.address,
				 .selected = scratch->selected.address,
				 .gate = scratch->gate.address,
				 .rows = rows,
				 .groups = config->kv_heads,
				 .experts_per_group = per_group,
				 .top_k = config->top_k,
				 .slot_order = config->slot_order == GQE_SLOT_ORDER_EXPERT,
			 });
	gqe_steps_label(recorder->steps, GQE_LAYER_STEP_EXPERT_LISTS);
	gqe_record_expert_count(recorder, dtype,
				&(struct gqe_push_expert_count){
					.experts = scratch->experts.address,
					.counts = scratch->counts.address,
					.rows = rows,
					.groups = config->kv_heads,
					.experts_per_group = per_group,
					.top_k = config->top_k,
				});
	const struct gqe_gathered_tile tile = gqe_gathered_tile_of(recorder, dtype, rows, config->head_dim);
	gqe_record_expert_scan(recorder, dtype,
			       &(struct gqe_push_expert_scan){
				       .counts = scratch->counts.address,
				       .tiles = scratch->tiles.address,
				       .tile_count = scratch->tile_count.address,
				       .dispatch = scratch->dispatch.address,
				       .blocks = gqe_div_up(rows, GQE_LIST_BLOCK),
				       .experts_total = config->heads,
				       .tile_rows = tile.rows,
				       .column_tiles = tile.column_tiles,
			       });
	gqe_record_expert_scatter(recorder, dtype,
				  &(struct gqe_push_expert_scatter){
					  .experts = scratch->experts.address,
					  .positions = scratch->counts.address,
					  .entries = scratch->entries.address,
					  .rows = rows,
					  .groups = config->kv_heads,
					  .experts_per_group = per_group,
					  .top_k = config->top_k,
					  .q_slots = gqe_layer_shape_of(config).q_slots,
				  });
}

void gqe_record_layer_gathered(const struct gqe_recorder *recorder, const struct gqe_layer_run *run)
{
	const gqe_layer_config *config = run->config;
	const struct gqe_layer_shape shape = gqe_layer_shape_of(config);
	const struct gqe_layer_scratch *scratch = run->scratch;
	const struct gqe_matrix *matrix = &run->weights->weight[GQE_LAYER_Q];
	const struct gqe_matrix *bias = &run->weights->bias[GQE_LAYER_Q];
	gqe_steps_label(recorder->steps, GQE_LAYER_STEP_Q_PROJ);
	gqe_record_gemm_gathered(recorder, matrix->dtype,
				 &(struct gqe_push_gemm_gathered){
					 .a = run->x,
					 .w = gqe_matrix_row(matrix, 0),
					 .bias = gqe_matrix_row(bias, 0),
					 .tiles = scratch->tiles.address,
					 .tile_count = scratch->tile_count.address,
					 .entries = scratch->entries.address,
					 .q = scratch->q.address,
					 .q_slots = shape.q_slots,
					 .width_per_expert = config->head_dim,
					 .depth = config->hidden_size,
					 .a_stride = config->hidden_size,
					 .w_stride = matrix->stride,
					 .has_bias = bias->rows != 0,
				 },
				 &scratch->dispatch, run->batch * run->tokens, shape.routed_slots);
}

/* A query for every slot (spec 2.3, 2.4, 2.6): gathered by expert, or dense; the shared head's for every token. */
static void record_queries(const struct gqe_recorder *recorder, const struct gqe_layer_run *run,
			   const struct gqe_layer_shape *shape)
{
	const gqe_layer_config *config = run->config;
	const struct gqe_layer_scratch *scratch = run->scratch;
	const struct gqe_matrix *matrix = &run->weights->weight[GQE_LAYER_Q];
	const struct gqe_matrix *bias = &run->weights->bias[GQE_LAYER_Q];
	const uint32_t rows = run->batch * run->tokens;
	const uint32_t width = shape->q_slots * config->head_dim;
	const uint32_t routed_rows = config->heads * config->head_dim; /* of the weight matrix */
	if (config->attention == GQE_ATTENTION_GQE) {
		gqe_record_layer_routing(recorder, run);
		gqe_record_layer_gathered(recorder, run);
	}
	gqe_steps_label(recorder->steps, GQE_LAYER_STEP_Q_PROJ);
	if (config->attention == GQE_ATTENTION_GQA)
		record_projection(recorder, matrix, bias, 0, routed_rows, rows, run->x, 0, scratch->q.address, width);
	if (shape->q_shared != GQE_NONE)
		record_projection(recorder, matrix, bias, routed_rows, config->head_dim, rows, run->x, 0,
				  scratch->q.address + (uint64_t)shape->q_shared * config->head_dim * sizeof(float), width);
	gqe_record_rope_query(
		recorder, run->weights->dtype,
		&(struct gqe_push_rope_query){
			.rope_high = run->rope->high.address,
			.rope_low = run->rope->low.address,
			.q = scratch->q.address,
			.rows = rows,
			.tokens = run->tokens,
			.position = run->position,
			.q_slots = shape->q_slots,
			.head_size = config->head_dim,
			.rope_kind = rope_kind(config),
			.scale = (float)(1.4426950408889634 / sqrt(config->head_dim)), /* log2(e): the softmax uses exp2 */
		});
}

void gqe_record_layer_attention(const struct gqe_recorder *recorder, const struct gqe_layer_run *run)
{
	const gqe_layer_config *config = run->config;
	const struct gqe_layer_shape shape = gqe_layer_shape_of(config);
	const struct gqe_layer_scratch *scratch = run->scratch;
	gqe_steps_label(recorder->steps, GQE_LAYER_STEP_ATTENTION);
	gqe_record_attention(recorder, run->cache->dtype, config->head_dim,
			     &(struct gqe_push_attention){
				     .q = scratch->q.address,
				     .k_cache = run->cache->k.address,
				     .v_cache = run->cache->v.address,
				     .o = scratch->o.address,
				     .state = scratch->attention_state.address,
				     .batch = run->batch,
				     .tokens = run->tokens,
				     .position = run->position,
				     .capacity = run->cache->capacity,
				     .kv_heads = shape.cache_heads,
				     .groups = config->kv_heads,
				     .slots_per_group = shape.routed_slots / config->kv_heads,
				     .q_slots = shape.q_slots,
				     .o_slots = shape.o_slots,
				     .shared_head = shape.shared_head,
				     .q_shared = shape.q_shared,
				     .o_shared = shape.o_shared,
			     },
			     /* Projected K and V are in the cache by now. */
			     &(struct gqe_wide_scratch){
				     .k = scratch->k.address,
				     .v = scratch->v.address,
				     .elements = scratch->k.size / sizeof(float),
			     });
}

void gqe_record_layer(const struct gqe_recorder *recorder, const struct gqe_layer_run *run)
{
	const gqe_layer_config *config = run->config;
	const struct gqe_layer_shape shape = gqe_layer_shape_of(config);
	const struct gqe_layer_scratch *scratch = run->scratch;
	const uint32_t rows = run->batch * run->tokens;
	const bool dense = config->attention == GQE_ATTENTION_GQA;
	record_kv(recorder, run, &shape);
	if (run->y == 0) {
		gqe_steps_label(recorder->steps, GQE_LAYER_STEP_OTHER);
		return;
	}
	record_queries(recorder, run, &shape);
	gqe_record_layer_attention(recorder, run);
	gqe_steps_label(recorder->steps, GQE_LAYER_STEP_COMBINE);
	if (!dense && (shape.weighted_slot != GQE_NONE || config->scale_expert_slots))
		gqe_record_combine(recorder, run->weights->dtype,
				   &(struct gqe_push_combine){
					   .gate = scratch->gate.address,
					   .selected = scratch->selected.address,
					   .o = scratch->o.address,
					   .rows = rows,
					   .hard_slots = shape.routed_slots,
					   .o_slots = shape.o_slots,
					   .head_size = config->head_dim,
					   .weighted_slot = shape.weighted_slot,
					   .scale_hard = config->scale_expert_slots,
				   });
	gqe_steps_label(recorder->steps, GQE_LAYER_STEP_O_PROJ);
	gqe_record_linear(recorder, &run->weights->weight[GQE_LAYER_O], &run->weights->bias[GQE_LAYER_O], rows, scratch->o.address,
			  run->residual, run->y);
	gqe_steps_label(recorder->steps, GQE_LAYER_STEP_OTHER);
}
