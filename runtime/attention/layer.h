/* Inside the attention storey: what a gqe_layer is. */
#ifndef GQE_ATTENTION_LAYER_H
#define GQE_ATTENTION_LAYER_H

#include <stdatomic.h>

#include "attention/context.h"
#include "attention/layer_device.h"
#include "attention/layer_host.h"

struct gqe_layer {
	gqe_context *context;
	gqe_layer_config config;
	struct gqe_layer_shape shape;
	uint32_t batch, max_tokens, chunk;
	uint32_t position;
	atomic_bool cancelled;
	/* on a Vulkan device */
	struct gqe_arena *arena;
	bool cache_is_imported;
	struct gqe_commands submitted; /* made by the first gqe_layer_submit */
	struct gqe_steps *steps;
	struct gqe_layer_weights weights;
	struct gqe_kv_cache cache;
	struct gqe_layer_scratch scratch;
	struct gqe_rope_tables rope;
	struct gqe_buffer x, y; /* [B, chunk, d] */
	/* on the reference */
	struct gqe_layer_host host;
};

/* Appends a pass over x to y (0: only K and V), at the layer's position; an imported cache is lent to the steps. */
void gqe_layer_append(gqe_layer *layer, uint32_t tokens, uint64_t x, uint64_t y);
/* GQE_ERROR_USAGE unless so many tokens fit in a pass and after the position; `call` is for the message. */
gqe_status gqe_layer_check_tokens(const gqe_layer *layer, uint32_t tokens, const char *call, gqe_error *error);

#endif
