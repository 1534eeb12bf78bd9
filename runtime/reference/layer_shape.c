#include "reference/layer_shape.h"

#include "shared/kernels.h"

struct gqe_layer_shape gqe_layer_shape_of(const gqe_layer_config *config)
{
	struct gqe_layer_shape shape = {
		.q_shared = GQE_NONE,
		.o_shared = GQE_NONE,
		.weighted_slot = GQE_NONE,
		.source_heads = config->kv_heads,
		.shared_head = GQE_NONE,
	};
	bool gqe = config->attention == GQE_ATTENTION_GQE;
	shape.routed_slots = gqe ? config->top_k * config->kv_heads : config->heads;
	shape.q_slots = shape.o_slots = shape.routed_slots;
	if (gqe && config->weighted_sum_slot)
		shape.weighted_slot = shape.o_slots++;
	if (gqe && config->shared_head) {
		shape.q_shared = shape.q_slots++;
		shape.o_shared = shape.o_slots++;
		shape.shared_head = config->shared_kv == GQE_SHARED_KV_GROUP ? config->shared_kv_group : config->kv_heads;
		shape.source_heads += config->shared_kv == GQE_SHARED_KV_DEDICATED;
		shape.mean_head = config->shared_kv == GQE_SHARED_KV_MEAN;
	}
	shape.cache_heads = shape.source_heads + shape.mean_head;
	return shape;
}
