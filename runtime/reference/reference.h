/*
 * The same computation as the kernels in plain C: float32 tensors in and out, every sum in float64, threads. Knows no Vulkan.
 * Each kernel of shaders/ has its function here, and the layer is made of them. Shapes and symbols as in gqe.h.
 */
#ifndef GQE_REFERENCE_REFERENCE_H
#define GQE_REFERENCE_REFERENCE_H

#include "common/common.h"

/* c[row, col] = sum_i a[row, i] * w[col, i] + bias[col] + residual[row, col]. bias and residual may be NULL; residual may be c. */
void gqe_reference_gemm(uint32_t threads, uint32_t rows, uint32_t cols, uint32_t depth, const float *a, uint32_t a_stride,
			const float *w, uint32_t w_stride, const float *bias, const float *residual, float *c, uint32_t c_stride);

void gqe_reference_embed(const int32_t *tokens, const float *table, uint32_t rows, uint32_t width, float *x);
void gqe_reference_norm(uint32_t threads, gqe_norm kind, double eps, uint32_t rows, uint32_t width, const float *x,
			const float *weight, const float *bias, float *y);
/* out = silu(gate) * up, or gelu(up) with gate NULL; out may be `up`. */
void gqe_reference_activation(gqe_mlp kind, uint64_t count, const float *gate, const float *up, float *out);
/* nll[row] = -ln softmax(logits[row])[targets[row]]; a negative target gives 0. */
void gqe_reference_nll(uint32_t threads, uint32_t rows, uint32_t vocab, const float *logits, const int32_t *targets, float *nll);

/*
 * Softmax over each group of M = experts / groups logits, top-k, slot order, gate. Outputs may be NULL.
 * probability [rows, experts], selected_experts [rows, groups, k], selected (their p) and gate [rows, groups, k].
 */
void gqe_reference_route(uint32_t rows, uint32_t experts, uint32_t groups, uint32_t top_k, gqe_slot_order order,
			 const float *logits, float *probability, int32_t *selected_experts, float *selected, float *gate);

/* Rotates one head vector in place for a position, angles and products in float64; then multiplies by scale. */
void gqe_reference_rope(gqe_rope rope, double theta, uint32_t head_dim, uint64_t position, double scale, float *head);

/* One query slot's output against keys 0...keys-1 (rows of k and v, head_dim apart), scores q.k (already scaled, base e). */
void gqe_reference_attend(uint32_t head_dim, uint32_t keys, const float *q, const float *k, const float *v, float *out);

/* Weighted-sum slot and scaling, in place, as the kernel `combine`: weighted_slot < 0: none. */
void gqe_reference_combine(uint32_t rows, uint32_t hard_slots, uint32_t o_slots, uint32_t head_dim, const float *gate,
			   const float *selected, int32_t weighted_slot, bool scale_hard, float *o);

/* --- the layer --- */

/* Weights as F32, [out, in] dense; biases NULL when absent; the shared ones only for GQE_SHARED_KV_DEDICATED. */
struct gqe_reference_weights {
	const float *q, *q_bias;
	const float *k, *k_bias;
	const float *v, *v_bias;
	const float *router, *router_bias;
	const float *o, *o_bias;
	const float *k_shared, *k_shared_bias;
	const float *v_shared, *v_shared_bias;
};

/* KV cache of a layer: k, v [B, heads, capacity, d_h], heads = G, + 1 for a dedicated or mean shared head. Owned by the caller. */
struct gqe_reference_cache {
	float *k, *v;
	uint32_t heads, capacity;
};

/* Number of KV heads that the cache of this config has. */
uint32_t gqe_reference_cache_heads(const gqe_layer_config *config);

struct gqe_reference_layer_io {
	uint32_t batch, tokens;
	uint32_t position;     /* tokens already cached in each sequence */
	const float *x;        /* [B, T, d] */
	float *y;              /* [B, T, d]; NULL: only fill the cache. May not be x. */
	const float *residual; /* [B, T, d] or NULL: added to y; may be y */
	int32_t *experts;      /* [B, T, G, k] or NULL */
	float *gate;           /* [B, T, G, k] or NULL */
	float *probability;    /* [B, T, N] or NULL */
};

/* Appends to the cache and attends. Fails only with GQE_ERROR_OUT_OF_MEMORY (host). */
gqe_status gqe_reference_layer(uint32_t threads, const gqe_layer_config *config, const struct gqe_reference_weights *weights,
			       struct gqe_reference_cache *cache, const struct gqe_reference_layer_io *io, gqe_error *error);

#endif
