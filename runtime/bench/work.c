#include "bench/work.h"

#include "reference/layer_shape.h"

static double product_flop(double rows, double columns, double depth)
{
	return 2.0 * rows * columns * depth;
}

void gqe_layer_flop(const gqe_layer_config *config, uint32_t tokens, uint32_t position, double flop[GQE_LAYER_STEP_COUNT])
{
	const struct gqe_layer_shape shape = gqe_layer_shape_of(config);
	const double hidden = config->hidden_size, head_dim = config->head_dim;
	const double pairs = (double)tokens * position + 0.5 * tokens * (tokens + 1.0); /* of a slot */
	for (int step = 0; step < GQE_LAYER_STEP_COUNT; step++)
		flop[step] = 0;
	if (config->attention == GQE_ATTENTION_GQE)
		flop[GQE_LAYER_STEP_ROUTER] = product_flop(tokens, config->heads, hidden);
	flop[GQE_LAYER_STEP_Q_PROJ] = product_flop(tokens, shape.q_slots * head_dim, hidden);
	flop[GQE_LAYER_STEP_KV_PROJ] = 2 * product_flop(tokens, shape.source_heads * head_dim, hidden);
	flop[GQE_LAYER_STEP_ATTENTION] = 4.0 * head_dim * pairs * shape.q_slots;
	flop[GQE_LAYER_STEP_O_PROJ] = product_flop(tokens, hidden, shape.o_slots * head_dim);
}

double gqe_projection_flop(const gqe_layer_config *config, uint32_t tokens)
{
	const double slots = gqe_layer_shape_of(config).routed_slots;
	return product_flop(tokens, slots * config->head_dim, config->hidden_size);
}
