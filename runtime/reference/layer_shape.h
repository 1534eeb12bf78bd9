/* Sizes of a layer's tensors and caches that follow from its config; the reference and the kernels share them. */
#ifndef GQE_REFERENCE_LAYER_SHAPE_H
#define GQE_REFERENCE_LAYER_SHAPE_H

#include "common/common.h"

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

#endif
