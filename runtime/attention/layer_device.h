/*
 * One attention layer on a Vulkan device: its weights, its KV cache, the scratch memory that layers share, and the steps that
 * compute it. A layer, a model and a self-test are all made of these pieces.
 */
#ifndef GQE_ATTENTION_LAYER_DEVICE_H
#define GQE_ATTENTION_LAYER_DEVICE_H

#include <gqe/gqe_bench.h> /* enum gqe_layer_step */

#include "attention/kernels.h"
#include "attention/layer_weights.h"
#include "attention/matrix.h"
#include "attention/rope_table.h"

/*
 * Most elements of a tensor of a pass, and of one head in a KV cache: indices in the kernels are 32-bit, and a driver may take them
 * as signed.
 */
#define GQE_MAX_ELEMENTS ((uint32_t)INT32_MAX)

/* Most tokens that a pass may have, all sequences together. */
uint32_t gqe_layer_most_rows(const gqe_layer_config *config);
/* GQE_ERROR_USAGE when the kernels could not index a cache for `batch` sequences of `capacity` tokens. */
gqe_status gqe_kv_cache_check(const gqe_layer_config *config, uint32_t batch, uint32_t capacity, gqe_error *error);

struct gqe_layer_weights {
	struct gqe_matrix weight[GQE_LAYER_TENSORS]; /* the router's stays F32 */
	struct gqe_matrix bias[GQE_LAYER_TENSORS];   /* F32; rows == 0 when absent */
	gqe_dtype dtype;
};

void gqe_layer_weights_reserve(struct gqe_arena *arena, struct gqe_layer_weights *weights, const gqe_layer_config *config,
			       const struct gqe_layer_tensors *tensors, gqe_dtype dtype, const struct gqe_weight_reader *reader);
gqe_status gqe_layer_weights_upload(struct gqe_vulkan *vulkan, const struct gqe_layer_weights *weights,
				    const struct gqe_layer_tensors *tensors, gqe_error *error);

/* K and V [B, cache_heads, capacity, d_h]. */
struct gqe_kv_cache {
	struct gqe_buffer k, v;
	gqe_dtype dtype; /* F32 or F16 */
	uint32_t capacity;
};

void gqe_kv_cache_reserve(struct gqe_arena *arena, struct gqe_kv_cache *cache, const gqe_layer_config *config, gqe_dtype dtype,
			  uint32_t batch, uint32_t capacity);

/* What a layer needs between its steps; layers that run one after another share it. Sizes for rows = B * chunk. */
struct gqe_layer_scratch {
	struct gqe_buffer turns;              /* [rows, d_h / 2, 2]: rope_turns' */
	struct gqe_buffer k_panels, v_panels; /* as many keys as rows, in whole panels; absent unless the cache is f16 */
	struct gqe_buffer q;                  /* [rows, q_slots, d_h] */
	struct gqe_buffer o;                  /* [rows, o_slots, d_h] */
	struct gqe_buffer attention_state;    /* [rows, q_slots, 2]; see the kernel's push constants */
	/* routing; absent for dense GQA */
	struct gqe_buffer logits, probability;                          /* [rows, N] */
	struct gqe_buffer experts, selected, gate;                      /* [rows, G, k] */
	struct gqe_buffer counts, tiles, tile_count, dispatch, entries; /* expert lists */
	struct gqe_buffer expert_slots;                                 /* [rows, N] */
};

/* `dtype`: the cache's. For `batch` sequences of up to so many tokens in a pass. */
void gqe_layer_scratch_reserve(struct gqe_arena *arena, struct gqe_layer_scratch *scratch, const gqe_layer_config *config,
			       gqe_dtype dtype, uint32_t batch, uint32_t tokens);

struct gqe_layer_run {
	const gqe_layer_config *config;
	const struct gqe_layer_weights *weights;
	const struct gqe_kv_cache *cache;
	const struct gqe_layer_scratch *scratch; /* holds experts, gate and probability afterwards */
	const struct gqe_rope_tables *rope;
	uint32_t batch, tokens; /* tokens of each sequence in this pass */
	uint32_t position;      /* of the first of them */
	bool has_turns;         /* an earlier layer of the same pass has left the angles in the scratch */
	uint64_t x;             /* address of [B, T, d] */
	uint64_t residual;      /* address of [B, T, d] or 0; added to y */
	uint64_t y;             /* address of [B, T, d], may be `residual`, not `x`; 0: only the KV cache is filled */
};

/* Appends the layer's steps, labelled by enum gqe_layer_step; label 0 afterwards. */
void gqe_record_layer(const struct gqe_recorder *recorder, const struct gqe_layer_run *run);
/*
 * Parts of it, for measurements: the angles; the router and what its queries' mode needs (GQE only); the projection of the queries
 * of all heads or routed slots, with or without the shared head's, which needs both; attention over the scratch's q and the cache,
 * which needs no weights.
 */
void gqe_record_layer_turns(const struct gqe_recorder *recorder, const struct gqe_layer_run *run);
void gqe_record_layer_routing(const struct gqe_recorder *recorder, const struct gqe_layer_run *run);
void gqe_record_layer_queries(const struct gqe_recorder *recorder, const struct gqe_layer_run *run, bool with_shared);
void gqe_record_layer_attention(const struct gqe_recorder *recorder, const struct gqe_layer_run *run);

/* Appends y = x * matrix^T + bias + residual over dense rows; addresses, 0 for no residual. The model's projections use it too. */
void gqe_record_linear(const struct gqe_recorder *recorder, const struct gqe_matrix *matrix, const struct gqe_matrix *bias,
		       uint32_t rows, uint64_t x, uint64_t residual, uint64_t y);

#endif
