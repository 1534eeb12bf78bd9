/* Which tensors a layer has, with their shapes; and finding them in a list of tensors. */
#ifndef GQE_ATTENTION_LAYER_WEIGHTS_H
#define GQE_ATTENTION_LAYER_WEIGHTS_H

#include "reference/layer_shape.h"

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
