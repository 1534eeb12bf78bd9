/* The transformer on the C reference: float32 tensors, float64 sums. */
#ifndef GQE_MODEL_HOST_MODEL_H
#define GQE_MODEL_HOST_MODEL_H

#include "attention/layer_host.h"
#include "model/chunk.h"
#include "model/model_files.h"

struct gqe_host_linear {
	float *weight, *bias; /* NULL when absent */
};

struct gqe_host_block {
	struct gqe_host_linear input_norm, post_attention_norm;
	struct gqe_layer_host attention; /* weights only; caches belong to the sessions */
	struct gqe_host_linear gate, up, down;
};

struct gqe_host_model {
	gqe_model_config config;
	float *embed;
	struct gqe_host_linear norm, lm_head; /* lm_head.weight NULL: it is `embed` */
	struct gqe_host_block *blocks;        /* [layers] */
};

/* `model` is zero; on failure gqe_host_model_destroy still applies. */
gqe_status gqe_host_model_load(struct gqe_host_model *model, const gqe_model_config *config,
			       const struct gqe_model_tensors *tensors, gqe_progress_fn progress, void *progress_user,
			       gqe_error *error);
void gqe_host_model_destroy(struct gqe_host_model *model);

struct gqe_host_session {
	const struct gqe_host_model *model;
	uint32_t threads;
	struct gqe_reference_cache *caches; /* [layers] */
	float *x, *normed;                  /* [chunk, d] */
	float *gate, *up;                   /* [chunk, intermediate_size] */
	float *logits;                      /* [chunk, vocab_size] */
	float *probability;                 /* [chunk, N]; GQE only */
	int32_t *experts;                   /* [chunk, G, k]; GQE only */
};

gqe_status gqe_host_session_create(struct gqe_host_session *session, const struct gqe_host_model *model, uint32_t threads,
				   uint32_t max_tokens, uint32_t chunk, gqe_error *error);
void gqe_host_session_destroy(struct gqe_host_session *session);

/* Computes one chunk. */
gqe_status gqe_host_chunk(struct gqe_host_session *session, const struct gqe_chunk *chunk, gqe_error *error);

#endif
