#include "attention/layer_device.h"

#include <math.h>

#include "attention/tuning.h"

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

/* The layout that the products with that tensor read: heads in pairs as RoPE rotates them. */
static struct gqe_matrix_layout weight_layout(const gqe_layer_config *config, enum gqe_layer_tensor tensor, gqe_dtype dtype,
					      const struct gqe_weight_reader *reader)
{
	const bool has_heads = tensor != GQE_LAYER_ROUTER && tensor != GQE_LAYER_O;
	const bool is_rotated = tensor == GQE_LAYER_Q || tensor == GQE_LAYER_K || tensor == GQE_LAYER_K_SHARED;
	const uint32_t head_size = has_heads ? config->head_dim : 0;
	return (struct gqe_matrix_layout){
		.lanes = gqe_weight_lanes(reader, dtype, head_size),
		.head_size = head_size,
		.is_interleaved = is_rotated && config->rope == GQE_ROPE_INTERLEAVED,
	};
}

void gqe_layer_weights_reserve(struct gqe_arena *arena, struct gqe_layer_weights *weights, const gqe_layer_config *config,
			       const struct gqe_layer_tensors *tensors, gqe_dtype dtype, const struct gqe_weight_reader *reader)
{
	weights->dtype = dtype;
	for (int i = 0; i < GQE_LAYER_TENSORS; i++) {
		uint64_t rows, cols;
		gqe_layer_tensor_shape(config, i, &rows, &cols);
		/* Routing is discrete: a rounded logit may pick another expert, so the router is never stored in 16 bits. */
		const gqe_dtype stored = i == GQE_LAYER_ROUTER ? GQE_DTYPE_F32 : dtype;
		const struct gqe_matrix_layout layout = weight_layout(config, i, stored, reader);
		gqe_matrix_reserve_blocks(arena, &weights->weight[i], rows, cols, stored, &layout);
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
			       gqe_dtype dtype, uint32_t batch, uint32_t tokens)
{
	const uint64_t rows = (uint64_t)batch * tokens;
	const struct gqe_layer_shape shape = gqe_layer_shape_of(config);
	const uint64_t head_bytes = (uint64_t)config->head_dim * sizeof(float);
	if (config->rope != GQE_ROPE_NONE)
		gqe_arena_reserve(arena, &scratch->turns, rows * head_bytes);
	if (dtype == GQE_DTYPE_F16) {
		const uint64_t keys = batch * gqe_align_up(tokens, GQE_MOST_PANEL_KEYS);
		gqe_arena_reserve(arena, &scratch->k_panels, keys * shape.source_heads * head_bytes);
		gqe_arena_reserve(arena, &scratch->v_panels, keys * shape.source_heads * head_bytes);
	}
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
	gqe_arena_reserve(arena, &scratch->expert_slots, rows * config->heads * words);
}

void gqe_record_linear(const struct gqe_recorder *recorder, const struct gqe_matrix *matrix, const struct gqe_matrix *bias,
		       uint32_t rows, uint64_t x, uint64_t residual, uint64_t y)
{
	gqe_record_gemm(recorder, matrix->dtype,
			&(struct gqe_push_gemm){
				.a = x,
				.w = gqe_matrix_row(matrix, 0),
				.bias = gqe_matrix_row(bias, 0),
				.residual = residual,
				.c = y,
				.rows = rows,
				.cols = matrix->rows,
				.depth = matrix->cols,
				.a_stride = matrix->cols,
				.w_stride = matrix->stride,
				.w_lanes = matrix->layout.lanes,
				.c_stride = matrix->rows,
				.has_bias = bias->rows != 0,
				.has_residual = residual != 0,
			});
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

void gqe_record_layer_turns(const struct gqe_recorder *recorder, const struct gqe_layer_run *run)
{
	if (run->config->rope == GQE_ROPE_NONE)
		return;
	gqe_record_rope_turns(recorder, run->weights->dtype,
			      &(struct gqe_push_rope_turns){
				      .rope_high = run->rope->high.address,
				      .rope_low = run->rope->low.address,
				      .turns = run->scratch->turns.address,
				      .rows = run->batch * run->tokens,
				      .tokens = run->tokens,
				      .position = run->position,
				      .head_size = run->config->head_dim,
			      });
}

/* What is the same for all projections to heads: x times `heads` of a matrix, from head `first_head` on. The caller says where to.
 */
static struct gqe_push_gemm_heads heads_push(const struct gqe_layer_run *run, enum gqe_layer_tensor tensor, uint32_t first_head,
					     uint32_t heads, bool rotated, double scale)
{
	const gqe_layer_config *config = run->config;
	const struct gqe_matrix *matrix = &run->weights->weight[tensor], *bias = &run->weights->bias[tensor];
	const uint32_t first_row = first_head * config->head_dim;
	const bool has_turns = rotated && config->rope != GQE_ROPE_NONE;
	return (struct gqe_push_gemm_heads){
		.a = run->x,
		.w = gqe_matrix_row(matrix, first_row),
		.bias = bias->rows == 0 ? 0 : bias->buffer.address + first_row * sizeof(float),
		.turns = has_turns ? run->scratch->turns.address : 0,
		.rows = run->batch * run->tokens,
		.tokens = run->tokens,
		.heads = heads,
		.head_size = config->head_dim,
		.depth = matrix->cols,
		.a_stride = matrix->cols,
		.w_stride = matrix->stride,
		.w_lanes = matrix->layout.lanes,
		.has_bias = bias->rows != 0,
		.rope_kind = has_turns ? rope_kind(config) : GQE_ROPE_KIND_NONE,
		.scale = (float)scale,
	};
}

/* Heads of K or V of every token into the cache, from its head `cache_head` on. */
static void record_cache_heads(const struct gqe_recorder *recorder, const struct gqe_layer_run *run,
			       const struct gqe_layer_shape *shape, enum gqe_layer_tensor tensor, uint32_t heads,
			       uint32_t cache_head, bool rotated, const struct gqe_buffer *cache)
{
	const uint64_t token_bytes = run->config->head_dim * gqe_dtype_size(run->cache->dtype);
	struct gqe_push_gemm_heads push = heads_push(run, tensor, 0, heads, rotated, 1.0);
	push.result = cache->address + ((uint64_t)cache_head * run->cache->capacity + run->position) * token_bytes;
	push.sequence_stride = shape->cache_heads * run->cache->capacity;
	push.token_stride = 1;
	push.head_stride = run->cache->capacity;
	push.is_cache = 1;
	gqe_record_gemm_heads(recorder, run->weights->dtype, &push);
}

/* Dense K and V of every token, rotated, into the cache. */
static void record_kv(const struct gqe_recorder *recorder, const struct gqe_layer_run *run, const struct gqe_layer_shape *shape)
{
	const gqe_layer_config *config = run->config;
	const struct gqe_kv_cache *cache = run->cache;
	const uint32_t groups = config->kv_heads;
	gqe_steps_label(recorder->steps, GQE_LAYER_STEP_KV_PROJ);
	if (!run->has_turns)
		gqe_record_layer_turns(recorder, run);
	record_cache_heads(recorder, run, shape, GQE_LAYER_K, groups, 0, true, &cache->k);
	record_cache_heads(recorder, run, shape, GQE_LAYER_V, groups, 0, false, &cache->v);
	if (shape->source_heads > groups) {
		record_cache_heads(recorder, run, shape, GQE_LAYER_K_SHARED, 1, groups, true, &cache->k);
		record_cache_heads(recorder, run, shape, GQE_LAYER_V_SHARED, 1, groups, false, &cache->v);
	}
	if (shape->mean_head != 0)
		gqe_record_kv_mean(recorder, cache->dtype,
				   &(struct gqe_push_kv_mean){
					   .k_cache = cache->k.address,
					   .v_cache = cache->v.address,
					   .rows = run->batch * run->tokens,
					   .tokens = run->tokens,
					   .position = run->position,
					   .capacity = cache->capacity,
					   .source_heads = shape->source_heads,
					   .head_size = config->head_dim,
				   });
}

/* How the pass gets its queries. */
static gqe_query_mode query_mode(const struct gqe_recorder *recorder, const struct gqe_layer_run *run)
{
	const gqe_layer_config *config = run->config;
	const uint32_t rows = run->batch * run->tokens, per_group = config->heads / config->kv_heads;
	if (recorder->queries != 0)
		return recorder->queries;
	gqe_query_mode measured =
		gqe_tuning_find_queries(recorder->tuning, recorder->path, run->weights->dtype, per_group, config->top_k, rows);
	return measured != 0 ? measured
			     : gqe_tile_query_mode(recorder->capabilities, recorder->path, rows,
						   (double)rows * config->top_k / per_group);
}

/* The tokens of each expert. */
static void record_expert_lists(const struct gqe_recorder *recorder, const struct gqe_layer_run *run)
{
	const gqe_layer_config *config = run->config;
	const struct gqe_layer_scratch *scratch = run->scratch;
	const uint32_t rows = run->batch * run->tokens;
	const uint32_t per_group = config->heads / config->kv_heads;
	const gqe_dtype dtype = run->weights->dtype;
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
	const struct gqe_gathered_tile tile =
		gqe_gathered_tile_of(recorder, dtype, run->weights->weight[GQE_LAYER_Q].layout.lanes, rows, config->head_dim);
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

/* Router and top-k, and the token list of each expert if the queries are gathered. */
void gqe_record_layer_routing(const struct gqe_recorder *recorder, const struct gqe_layer_run *run)
{
	const gqe_layer_config *config = run->config;
	const struct gqe_layer_scratch *scratch = run->scratch;
	const uint32_t rows = run->batch * run->tokens;
	const uint32_t per_group = config->heads / config->kv_heads;
	const gqe_dtype dtype = run->weights->dtype;
	const bool is_dense = query_mode(recorder, run) == GQE_QUERIES_DENSE;
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
				 .expert_slots = is_dense ? scratch->expert_slots.address : 0,
				 .rows = rows,
				 .groups = config->kv_heads,
				 .experts_per_group = per_group,
				 .top_k = config->top_k,
				 .slot_order = config->slot_order == GQE_SLOT_ORDER_EXPERT,
				 .has_expert_slots = is_dense,
			 });
	if (!is_dense)
		record_expert_lists(recorder, run);
}

/* The softmax uses exp2, hence log2(e). */
static double query_scale(const gqe_layer_config *config)
{
	return 1.4426950408889634 / sqrt(config->head_dim);
}

/* The push constants for heads of the matrix from `first_head` on, into slots from `first_slot` on. */
static struct gqe_push_gemm_heads queries_push(const struct gqe_layer_run *run, uint32_t first_head, uint32_t heads,
					       uint32_t first_slot)
{
	const gqe_layer_config *config = run->config;
	const uint32_t slots = gqe_layer_shape_of(config).q_slots;
	struct gqe_push_gemm_heads push = heads_push(run, GQE_LAYER_Q, first_head, heads, true, query_scale(config));
	push.result = run->scratch->q.address + (uint64_t)first_slot * config->head_dim * sizeof(float);
	push.sequence_stride = run->tokens * slots;
	push.token_stride = slots;
	push.head_stride = 1;
	return push;
}

/* Of every token. */
static void record_dense_queries(const struct gqe_recorder *recorder, const struct gqe_layer_run *run, uint32_t first_head,
				 uint32_t heads, uint32_t first_slot)
{
	const struct gqe_push_gemm_heads push = queries_push(run, first_head, heads, first_slot);
	gqe_record_gemm_heads(recorder, run->weights->dtype, &push);
}

/* Of every token for the experts that it selected and `shared_heads` more. */
static void record_selected_queries(const struct gqe_recorder *recorder, const struct gqe_layer_run *run, uint32_t shared_heads,
				    uint32_t shared_slot)
{
	struct gqe_push_gemm_heads push = queries_push(run, 0, run->config->heads + shared_heads, 0);
	push.expert_slots = run->scratch->expert_slots.address;
	push.experts = run->config->heads;
	push.shared_slot = shared_slot;
	gqe_record_gemm_heads(recorder, run->weights->dtype, &push);
}

static void record_gathered_queries(const struct gqe_recorder *recorder, const struct gqe_layer_run *run)
{
	const struct gqe_layer_shape shape = gqe_layer_shape_of(run->config);
	const struct gqe_layer_scratch *scratch = run->scratch;
	const struct gqe_push_gemm_heads like = heads_push(run, GQE_LAYER_Q, 0, 0, true, query_scale(run->config));
	gqe_record_gemm_gathered(recorder, run->weights->dtype,
				 &(struct gqe_push_gemm_gathered){
					 .a = like.a,
					 .w = like.w,
					 .bias = like.bias,
					 .turns = like.turns,
					 .tiles = scratch->tiles.address,
					 .tile_count = scratch->tile_count.address,
					 .entries = scratch->entries.address,
					 .q = scratch->q.address,
					 .q_slots = shape.q_slots,
					 .head_size = like.head_size,
					 .depth = like.depth,
					 .a_stride = like.a_stride,
					 .w_stride = like.w_stride,
					 .w_lanes = like.w_lanes,
					 .has_bias = like.has_bias,
					 .rope_kind = like.rope_kind,
					 .scale = like.scale,
				 },
				 &scratch->dispatch, run->batch * run->tokens, shape.routed_slots);
}

void gqe_record_layer_queries(const struct gqe_recorder *recorder, const struct gqe_layer_run *run, bool with_shared)
{
	const gqe_layer_config *config = run->config;
	const uint32_t shared_slot = gqe_layer_shape_of(config).q_shared;
	const uint32_t shared_heads = with_shared && shared_slot != GQE_NONE ? 1 : 0;
	gqe_steps_label(recorder->steps, GQE_LAYER_STEP_Q_PROJ);
	if (config->attention == GQE_ATTENTION_GQA) {
		record_dense_queries(recorder, run, 0, config->heads, 0);
		return;
	}
	if (query_mode(recorder, run) == GQE_QUERIES_DENSE) {
		record_selected_queries(recorder, run, shared_heads, shared_slot);
		return;
	}
	record_gathered_queries(recorder, run);
	if (shared_heads > 0)
		record_dense_queries(recorder, run, config->heads, shared_heads, shared_slot);
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
			     &(struct gqe_panel_scratch){
				     .k = scratch->k_panels.address,
				     .v = scratch->v_panels.address,
				     .elements = scratch->k_panels.size / sizeof(float),
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
	if (!dense)
		gqe_record_layer_routing(recorder, run);
	gqe_record_layer_queries(recorder, run, true);
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
