/* A layer's weights as float32 and its KV cache in host memory, for the C reference. */
#ifndef GQE_ATTENTION_LAYER_HOST_H
#define GQE_ATTENTION_LAYER_HOST_H

#include "attention/layer_weights.h"
#include "reference/reference.h"

struct gqe_layer_host {
	struct gqe_reference_weights weights; /* point into `values` */
	struct gqe_reference_cache cache;
	float *values[2 * GQE_LAYER_TENSORS];
};

/* On failure what was made is left for gqe_layer_host_destroy. `max_tokens` 0: no cache yet. */
gqe_status gqe_layer_host_create(struct gqe_layer_host *host, const gqe_layer_config *config,
				 const struct gqe_layer_tensors *tensors, uint32_t batch, uint32_t max_tokens, gqe_error *error);
void gqe_layer_host_destroy(struct gqe_layer_host *host);

gqe_status gqe_cache_host_create(struct gqe_reference_cache *cache, const gqe_layer_config *config, uint32_t batch,
				 uint32_t max_tokens, gqe_error *error);
void gqe_cache_host_destroy(struct gqe_reference_cache *cache);

/* A tensor's elements as a malloc'ed float32 array; NULL tensor: *values is NULL. */
gqe_status gqe_tensor_host_values(const gqe_tensor *tensor, float **values, gqe_error *error);

#endif
