/* The tensors of a transformer by their Llama names, checked against the config, sorted into what each block needs. */
#ifndef GQE_MODEL_MODEL_TENSORS_H
#define GQE_MODEL_MODEL_TENSORS_H

#include "attention/layer_weights.h"

/* A matrix [out, in] with its optional bias [out], or a norm's weight [d] with its optional bias [d]. */
struct gqe_weight_tensors {
	const gqe_tensor *weight; /* NULL when the config has no such tensor */
	const gqe_tensor *bias;   /* NULL when absent */
};

/* model.layers.I */
struct gqe_block_tensors {
	struct gqe_weight_tensors input_norm; /* [d] */
	struct gqe_layer_tensors attention;
	struct gqe_weight_tensors post_attention_norm; /* [d] */
	struct gqe_weight_tensors gate;                /* [intermediate_size, d]; GQE_MLP_SWIGLU only */
	struct gqe_weight_tensors up;                  /* [intermediate_size, d] */
	struct gqe_weight_tensors down;                /* [d, intermediate_size] */
};

struct gqe_model_tensors {
	const gqe_tensor *embed;           /* [vocab_size, d] */
	struct gqe_weight_tensors norm;    /* [d] */
	struct gqe_weight_tensors lm_head; /* [vocab_size, d]; its weight is `embed` with tie_word_embeddings */
	struct gqe_block_tensors *blocks;  /* [config.layers] */
};

/*
 * Finds every tensor that the config asks for, F32, F16 or BF16, of the shape it asks for. A missing one, one of another dtype or
 * shape, and one that is left over are GQE_ERROR_BAD_INPUT. `tensors` [count] are sorted by name (strcmp), distinct, and outlive
 * `model`; `folder` is for messages.
 */
gqe_status gqe_model_tensors_match(const char *folder, const gqe_model_config *config, const gqe_tensor *tensors, size_t count,
				   struct gqe_model_tensors *model, gqe_error *error);
void gqe_model_tensors_free(struct gqe_model_tensors *model);

#endif
