/* A model folder's tensors, found, checked against the config, and sorted into what each block of the transformer needs. */
#ifndef GQE_MODEL_MODEL_FILES_H
#define GQE_MODEL_MODEL_FILES_H

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

/* Every pointer is set as described above and every tensor has the dtype (F32, F16, BF16) and shape that the config asks for. */
const struct gqe_model_tensors *gqe_model_files_model(const gqe_model_files *files);

/* The tensor of that full name ("model.layers.0.mlp.up_proj.weight"), or NULL. Logarithmic in the number of tensors. */
const gqe_tensor *gqe_model_files_find(const gqe_model_files *files, const char *name);

#endif
