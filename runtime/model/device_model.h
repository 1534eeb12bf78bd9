/* The transformer on a Vulkan device: weights, one sequence's memory, and a chunk as steps. */
#ifndef GQE_MODEL_DEVICE_MODEL_H
#define GQE_MODEL_DEVICE_MODEL_H

#include "attention/context.h"
#include "attention/layer_device.h"
#include "model/chunk.h"
#include "model/model_files.h"

struct gqe_device_linear {
	struct gqe_matrix weight, bias; /* bias (or a norm's) rows == 0 when absent */
};

struct gqe_device_block {
	struct gqe_device_linear input_norm, post_attention_norm;
	struct gqe_layer_weights attention;
	struct gqe_device_linear gate, up, down;
};

struct gqe_device_model {
	gqe_model_config config;
	gqe_dtype dtype;
	struct gqe_arena *arena;
	struct gqe_matrix embed;
	struct gqe_device_linear norm, lm_head; /* lm_head's weight is absent when it is `embed` */
	struct gqe_device_block *blocks;        /* [layers] */
};

/* Reserves every tensor; the arena may be one that only plans. */
gqe_status gqe_device_model_plan(struct gqe_device_model *model, const gqe_model_config *config,
				 const struct gqe_model_tensors *tensors, gqe_dtype dtype, const struct gqe_weight_reader *reader,
				 struct gqe_arena *arena, gqe_error *error);
/* `model` is zero; on failure gqe_device_model_destroy still applies. */
gqe_status gqe_device_model_load(struct gqe_vulkan *vulkan, struct gqe_device_model *model, const gqe_model_config *config,
				 const struct gqe_model_tensors *tensors, gqe_dtype dtype, const struct gqe_weight_reader *reader,
				 gqe_progress_fn progress, void *progress_user, gqe_error *error);
void gqe_device_model_destroy(struct gqe_device_model *model);

struct gqe_device_session {
	const struct gqe_device_model *model;
	uint32_t max_tokens, chunk;
	uint32_t logit_rows; /* rows whose logits exist at a time */
	bool keep_routing;
	struct gqe_arena *cache_arena, *scratch_arena, *upload_arena, *download_arena;
	struct gqe_steps *steps;
	struct gqe_kv_cache *caches; /* [layers] */
	struct gqe_layer_scratch layer_scratch;
	struct gqe_rope_tables rope;
	struct gqe_buffer tokens, targets; /* [chunk] */
	struct gqe_buffer x, normed;       /* [chunk, d]: the residual stream; a norm's output */
	struct gqe_buffer gate, up;        /* [chunk, intermediate_size] */
	struct gqe_buffer logits;          /* [logit_rows, vocab_size] */
	struct gqe_buffer nll;             /* [chunk] */
	struct gqe_buffer stats;           /* [layers, 2, N] */
	/* host-visible */
	struct gqe_buffer upload;           /* [2, chunk]: tokens, targets */
	struct gqe_buffer download_logits;  /* [vocab_size] */
	struct gqe_buffer download_nll;     /* [chunk] */
	struct gqe_buffer download_stats;   /* [layers, 2, N] */
	struct gqe_buffer download_experts; /* [layers, chunk, G, k], with keep_routing */
};

/* Bytes that a session of this size allocates; `cache` and `scratch` may be NULL. */
gqe_status gqe_device_session_estimate(const gqe_model_config *config, gqe_dtype dtype, uint32_t max_tokens, uint32_t chunk,
				       bool keep_routing, uint64_t *cache, uint64_t *scratch, gqe_error *error);
/* `session` is zero; on failure gqe_device_session_destroy still applies. */
gqe_status gqe_device_session_create(struct gqe_vulkan *vulkan, struct gqe_device_session *session,
				     const struct gqe_device_model *model, uint32_t max_tokens, uint32_t chunk, bool keep_routing,
				     gqe_error *error);
void gqe_device_session_destroy(struct gqe_device_session *session);

/* Computes one chunk; blocks. After a failure or a cancel the cache up to chunk->position is intact. */
gqe_status gqe_device_chunk(gqe_context *context, struct gqe_device_session *session, const struct gqe_chunk *chunk,
			    gqe_error *error);

#endif
