/*
 * The float64 inside of the reference: what reference.h offers on float32 tensors is made of these, and the layer uses them
 * directly, so that between its input and its output only the KV cache is rounded to float32. "wide" means float64.
 *
 * Every output element is one sum in one fixed order, whatever the number of threads and however the work is split.
 */
#ifndef GQE_REFERENCE_WIDE_H
#define GQE_REFERENCE_WIDE_H

#include "common/common.h"
#include "shared/kernels.h"

/*
 * out[c] += sum_i row[i] * panel[i, c] for c < width; panel [depth, width]. The inner loop runs over independent sums, so compilers
 * vectorize it without reordering any; four steps of depth at once keep `out` out of memory for longer.
 */
static inline void gqe_wide_multiply_add(uint32_t depth, uint32_t width, const double *restrict row, const double *restrict panel,
					 double *restrict out)
{
	uint32_t i = 0;
	for (; i + 4 <= depth; i += 4) {
		double r0 = row[i], r1 = row[i + 1], r2 = row[i + 2], r3 = row[i + 3];
		const double *p0 = panel + (size_t)i * width, *p1 = p0 + width, *p2 = p1 + width, *p3 = p2 + width;
		for (uint32_t c = 0; c < width; c++)
			out[c] += r0 * p0[c] + r1 * p1[c] + r2 * p2[c] + r3 * p3[c];
	}
	for (; i < depth; i++) {
		for (uint32_t c = 0; c < width; c++)
			out[c] += row[i] * panel[(size_t)i * width + c];
	}
}

/*
 * c[row, col] = sum_i a[row, i] * w[col, i] + bias[col] + residual[row, col], a and c either float32 or wide (the other is NULL).
 * With `entries`, row r reads a's row entries[r] / entries_per_row and writes c's row entries[r]; residual must be NULL then.
 */
struct gqe_wide_product {
	uint32_t rows, cols, depth;
	const float *a;
	const double *a_wide;
	size_t a_stride;
	const float *w;
	size_t w_stride;
	const float *bias;     /* [cols] or NULL */
	const float *residual; /* [rows, c_stride] or NULL; may be c */
	float *c;
	double *c_wide;
	size_t c_stride;
	const uint32_t *entries; /* [rows] or NULL */
	uint32_t entries_per_row;
};

/* On the calling thread alone. */
void gqe_wide_product(const struct gqe_wide_product *product);
void gqe_wide_product_threads(uint32_t threads, const struct gqe_wide_product *product);

/* angles [head_dim / 2, 2]: cos and sin of every pair at `position`; GQE_ROPE_NONE: of 0. */
void gqe_wide_rope_angles(gqe_rope rope, double theta, uint32_t head_dim, uint64_t position, double *angles);
void gqe_wide_rope_rotate(gqe_rope rope, uint32_t head_dim, const double *angles, double scale, double *head);

/*
 * One token's routing. logits and probability [experts]; selected_experts, selected and gate [groups, top_k]. All outputs are
 * written.
 */
struct gqe_wide_route {
	double *probability;
	int32_t *selected_experts;
	double *selected;
	double *gate;
};

void gqe_wide_route(uint32_t experts, uint32_t groups, uint32_t top_k, gqe_slot_order order, const double *logits,
		    const struct gqe_wide_route *out);

/* One token's slots o [o_slots, width], in place: first the weighted sum (weighted_slot or GQE_NONE), then the scaling. */
void gqe_wide_combine(uint32_t hard_slots, uint32_t width, const double *gate, const double *selected, uint32_t weighted_slot,
		      bool scale_hard, double *o);

/* Most queries of one gqe_wide_attend. */
#define GQE_WIDE_QUERIES 32

/* Causal attention of consecutive queries of one slot: query i sees keys 0...first_keys + i - 1, at least one. */
struct gqe_wide_attention {
	uint32_t head_dim;
	uint32_t queries;    /* 1...GQE_WIDE_QUERIES */
	uint32_t first_keys; /* keys that query 0 sees */
	const double *q;     /* [queries, q_stride], rotated and scaled */
	size_t q_stride;
	const float *k, *v; /* [keys, head_dim] */
	double *o;          /* [queries, o_stride] */
	size_t o_stride;
};

void gqe_wide_attend(const struct gqe_wide_attention *attention);

#endif
