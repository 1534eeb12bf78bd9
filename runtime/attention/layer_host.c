#include "attention/layer_host.h"

#include <stdlib.h>

#include "common/half.h"

gqe_status gqe_tensor_host_values(const gqe_tensor *tensor, float **values, gqe_error *error)
{
	*values = NULL;
	if (tensor == NULL)
		return GQE_OK;
	uint64_t count = 1;
	for (uint32_t i = 0; i < tensor->rank; i++)
		count *= tensor->shape[i];
	*values = malloc(count * sizeof(float));
	if (*values == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for the tensor '%s'", tensor->name);
	gqe_tensor_to_f32(tensor, 0, count, *values);
	return GQE_OK;
}

gqe_status gqe_cache_host_create(struct gqe_reference_cache *cache, const gqe_layer_config *config, uint32_t batch,
				 uint32_t max_tokens, gqe_error *error)
{
	cache->heads = gqe_reference_cache_heads(config);
	cache->capacity = max_tokens;
	const size_t count = (size_t)batch * cache->heads * max_tokens * config->head_dim;
	cache->k = calloc(count, sizeof(float));
	cache->v = calloc(count, sizeof(float));
	if (cache->k == NULL || cache->v == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a KV cache of %u tokens", max_tokens);
	return GQE_OK;
}

void gqe_cache_host_destroy(struct gqe_reference_cache *cache)
{
	free(cache->k);
	free(cache->v);
	*cache = (struct gqe_reference_cache){0};
}

gqe_status gqe_layer_host_create(struct gqe_layer_host *host, const gqe_layer_config *config,
				 const struct gqe_layer_tensors *tensors, uint32_t batch, uint32_t max_tokens, gqe_error *error)
{
	gqe_status status = GQE_OK;
	for (int i = 0; i < GQE_LAYER_TENSORS && status == GQE_OK; i++) {
		status = gqe_tensor_host_values(tensors->weight[i], &host->values[2 * i], error);
		if (status == GQE_OK)
			status = gqe_tensor_host_values(tensors->bias[i], &host->values[2 * i + 1], error);
	}
	host->weights = (struct gqe_reference_weights){
		.q = host->values[2 * GQE_LAYER_Q],
		.q_bias = host->values[2 * GQE_LAYER_Q + 1],
		.k = host->values[2 * GQE_LAYER_K],
		.k_bias = host->values[2 * GQE_LAYER_K + 1],
		.v = host->values[2 * GQE_LAYER_V],
		.v_bias = host->values[2 * GQE_LAYER_V + 1],
		.router = host->values[2 * GQE_LAYER_ROUTER],
		.router_bias = host->values[2 * GQE_LAYER_ROUTER + 1],
		.o = host->values[2 * GQE_LAYER_O],
		.o_bias = host->values[2 * GQE_LAYER_O + 1],
		.k_shared = host->values[2 * GQE_LAYER_K_SHARED],
		.k_shared_bias = host->values[2 * GQE_LAYER_K_SHARED + 1],
		.v_shared = host->values[2 * GQE_LAYER_V_SHARED],
		.v_shared_bias = host->values[2 * GQE_LAYER_V_SHARED + 1],
	};
	if (status == GQE_OK && max_tokens > 0)
		status = gqe_cache_host_create(&host->cache, config, batch, max_tokens, error);
	return status;
}

void gqe_layer_host_destroy(struct gqe_layer_host *host)
{
	for (size_t i = 0; i < GQE_COUNT(host->values); i++)
		free(host->values[i]);
	gqe_cache_host_destroy(&host->cache);
	*host = (struct gqe_layer_host){0};
}
