/* Which tensors a layer has, with their shapes; and finding them in a list of tensors. */
#ifndef GQE_ATTENTION_LAYER_WEIGHTS_H
#define GQE_ATTENTION_LAYER_WEIGHTS_H

#include "common/common.h"

enum gqe_layer_tensor {
	GQE_LAYER_Q,
	GQE_LAYER_K,
	GQE_LAYER_V,
	GQE_LAYER_ROUTER,
	GQE_LAYER_O,
	GQE_LAYER_K_SHARED,
	GQE_LAYER_V_SHARED,
	GQE_LAYER_TENSORS
};

/* Sizes that follow from a config. */
struct gqe_layer_shape {
	uint32_t routed_slots;       /* slots with a query that routing or density fills: k*G, dense GQA: N */
	uint32_t q_slots;            /* + 1 with a shared head */
	uint32_t o_slots;            /* + 1 with a weighted-sum slot; o_proj's input is o_slots * d_h */
	uint32_t q_shared, o_shared; /* index of the shared head's slot, or GQE_NONE */
	uint32_t weighted_slot;      /* index of the weighted-sum slot in o, or GQE_NONE */
	uint32_t source_heads;       /* KV heads that are projected: G, + 1 if dedicated */
	bool mean_head;              /* the cache has one more head: the mean */
	uint32_t cache_heads;        /* source_heads + mean_head */
	uint32_t shared_head;        /* KV head of the shared slot, or GQE_NONE */
};

struct gqe_layer_shape gqe_layer_shape_of(const gqe_layer_config *config);

/* "q_proj", ...; rows and cols are 0 when the config has no such tensor. */
const char *gqe_layer_tensor_name(enum gqe_layer_tensor tensor);
void gqe_layer_tensor_shape(const gqe_layer_config *config, enum gqe_layer_tensor tensor, uint64_t *rows, uint64_t *cols);

/* The layer's tensors in a list; bias[i] NULL when absent. Pointers into the list. */
struct gqe_layer_tensors {
	const gqe_tensor *weight[GQE_LAYER_TENSORS];
	const gqe_tensor *bias[GQE_LAYER_TENSORS];
};

/*
 * Finds `prefix` + name + ".weight"/".bias" for each tensor of the config, checks dtype and shape. With `complete`, a tensor in the
 * list that the layer does not know is an error too. GQE_ERROR_BAD_INPUT names the file, the tensor, and what was expected.
 */
gqe_status gqe_layer_tensors_find(const gqe_layer_config *config, const char *prefix, const gqe_tensor *tensors, size_t count,
				  bool complete, struct gqe_layer_tensors *found, gqe_error *error);

#endif
