/*
 * Routing that a bench asks for, brought about by the real router: channels 0...N-1 of x hold a code, and row e of the router's
 * weights is 1 in channel e and 0 elsewhere, so that expert e's logit is exactly what channel e holds.
 */
#ifndef GQE_BENCH_ROUTING_H
#define GQE_BENCH_ROUTING_H

#include <gqe/gqe_bench.h>

#include "common/philox.h"

/* Fills experts [tokens, G, k] in rank order; `given` [tokens, G, k] for GQE_BENCH_GIVEN. */
void gqe_bench_choose_experts(const gqe_layer_config *config, gqe_bench_routing routing, const int32_t *given,
			      struct gqe_random *random, uint32_t tokens, int32_t *experts);
/* GQE_ERROR_BAD_INPUT unless every group of experts [tokens, G, k] holds k different ones of 0...M-1. */
gqe_status gqe_bench_check_experts(const gqe_layer_config *config, const int32_t *experts, uint32_t tokens, gqe_error *error);

/* Overwrites the code's channels of x [tokens, d]. */
void gqe_bench_encode_experts(const gqe_layer_config *config, const int32_t *experts, uint32_t tokens, float *x);
/* The router's weights [N, d]. */
void gqe_bench_fill_router(const gqe_layer_config *config, float *weights);

/* GQE_ERROR_VERIFICATION unless `routed` [tokens, G, k], in the layer's slot order, are the experts asked for, in rank order. */
gqe_status gqe_bench_compare_experts(const gqe_layer_config *config, const int32_t *experts, const int32_t *routed, uint32_t tokens,
				     gqe_error *error);

#endif
